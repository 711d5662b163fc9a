/* measured_check and measured_describe make no system call and take no memory: under a filter that
 * kills for any system call but those that end the process, and with an allocator that counts. With
 * the library as it is installed. Exits 77 where the kernel's clock cannot be read without a system
 * call. */
#define _GNU_SOURCE /* __libc_malloc and the like, syscall */

#include "include/measured/measured.h"
#include "tests/support/feed.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ---- the allocator ---- */

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *old, size_t n);
void *__libc_memalign(size_t align, size_t n);

static size_t allocations;

void *malloc(size_t n)
{
    allocations++;
    return __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
    allocations++;
    return __libc_calloc(n, size);
}

void *realloc(void *old, size_t n)
{
    allocations++;
    return __libc_realloc(old, n);
}

void *aligned_alloc(size_t align, size_t n)
{
    allocations++;
    return __libc_memalign(align, n);
}

/* ---- the filter ---- */

static void allow_only_the_end(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    };
    struct sock_fprog program = {sizeof(filter) / sizeof(filter[0]), filter};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        _exit(77);
}

/* What becomes of fn in a child under the filter: its exit status, or -1 when it was killed. */
static int filtered(int (*fn)(void))
{
    int status = 0;
    pid_t pid = fork();

    if (pid == 0) {
        allow_only_the_end();
        _exit(fn());
    }
    if (pid == -1 || waitpid(pid, &status, 0) != pid)
        return 1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int call_the_kernel(void)
{
    (void)syscall(SYS_getppid);
    return 0;
}

static int read_the_clock(void)
{
    struct timespec now;

    return clock_gettime(CLOCK_BOOTTIME, &now) == 0 ? 0 : 1;
}

/* ---- the checks ---- */

static struct measured *m;
static struct measured_set *set;

static int check_often(void)
{
    uint8_t values[2][48];
    struct measured_register regs[] = {
        {0, values[0], 48}, {0, values[1], 48}, {1, values[1], 48}, {77, values[1], 48}};
    struct measured_match match;
    struct measured_description description;
    size_t before = allocations;

    memset(values[0], 0x11, 48);
    memset(values[1], 0x22, 48);
    for (int i = 0; i < 10000; i++) {
        if (measured_check(set, "dcap-tdx", regs, 1, &match) != MEASURED_APPROVED ||
            measured_check(set, "qemu-tdx", regs, 1, NULL) != MEASURED_APPROVED ||
            measured_check(set, "dcap-tdx", regs + 1, 1, &match) != MEASURED_REFUSED ||
            measured_check(set, "dcap-tdx", regs, 4, &match) != MEASURED_REFUSED ||
            measured_check(set, "azure-tdx", regs, 4, &match) != MEASURED_REFUSED ||
            measured_check(set, "other", regs, 4, &match) != MEASURED_REFUSED ||
            measured_check(NULL, "dcap-tdx", regs, 4, &match) != MEASURED_UNKNOWN)
            return 2;
        measured_describe(set, &description);
        if (description.state != MEASURED_STATE_FRESH ||
            strcmp(measured_state_name(description.state), "fresh") != 0)
            return 3;
    }
    return allocations == before ? 0 : 4;
}

static void subscribe(struct feed_fake *fake)
{
    struct feed_snapshot_in in = {.generation = 1,
                                  .hard_until_ms = FEED_NEVER,
                                  .fresh_until_ms = FEED_NEVER,
                                  .state = FEED_STATE_FRESH,
                                  .serve = true};
    size_t size;
    uint8_t *bytes = feed_snapshot_of_byte(&in, 0x11, &size);

    m = measured_open(fake->dir);
    set = measured_subscribe(m, "sha256:aa");
    (void)measured_pump(m);
    (void)feed_fake_accept(fake, 1000);
    (void)feed_fake_want(fake, FEED_HELLO);
    feed_fake_welcome(fake);
    (void)measured_pump(m);
    feed_fake_snapshot(fake, feed_fake_want(fake, FEED_SUBSCRIBE), 1, bytes, size);
    (void)measured_pump(m);
    free(bytes);
}

int main(void)
{
    struct feed_fake fake;
    size_t before = allocations;

    void *volatile probe = malloc(1); /* volatile: or the compiler leaves it out */
    free(probe);
    int seen = filtered(call_the_kernel), clock_status = filtered(read_the_clock);
    if (seen != -1 || clock_status != 0) {
        printf("skipped: %s\n", seen == 77   ? "no seccomp filters here"
                                : seen != -1 ? "the filter lets system calls pass"
                                             : "the clock cannot be read without a system call");
        return seen == -1 || seen == 77 ? 77 : 1;
    }
    if (allocations == before) {
        printf("FAILED: allocations are not counted\n");
        return 1;
    }
    feed_fake_start(&fake);
    subscribe(&fake);
    int result = filtered(check_often);
    printf(result == 0    ? "no system call, no allocation\n"
           : result == -1 ? "FAILED: a system call\n"
           : result == 4  ? "FAILED: an allocation\n"
                          : "FAILED: a wrong answer\n");
    measured_close(m);
    feed_fake_stop(&fake);
    return result == 0 ? 0 : 1;
}
