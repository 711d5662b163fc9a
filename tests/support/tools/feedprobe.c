/* feedprobe.c - follow specifiers through libmeasured and print each change of what a check says.
 *
 *   feedprobe SOCKET_DIR TYPE INDEX=HEX[,INDEX=HEX..] SPECIFIER_OR_URL...
 *
 * A line each time the verdict, the state or the generation of a set changes, and one when the
 * connection goes or comes: BOOT_MS set=N verdict=approved state=fresh generation=G release=R id=ID
 * hard=BOOT_MS BOOT_MS pump=ECONNREFUSED It looks every millisecond, so a deadline that is kept
 * shows to the millisecond. Ends with SIGTERM. */
#define _GNU_SOURCE
#include <measured/measured.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SETS_MAX 64
#define REGISTERS_MAX 24

struct shown {
    enum measured_verdict verdict;
    enum measured_state state;
    uint64_t generation;
    int64_t hard_ms;
};

static uint8_t values[REGISTERS_MAX][48];
static struct measured_register registers[REGISTERS_MAX];
static size_t n_registers;

static long long boot_ms(void)
{
    struct timespec t = {0};
    (void)clock_gettime(CLOCK_BOOTTIME, &t);
    return (long long)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void read_registers(char *text)
{
    for (char *one = text, *rest = NULL; (one = strtok_r(one, ",", &rest)) != NULL; one = NULL) {
        char *hex = strchr(one, '=');
        if (hex == NULL || n_registers == REGISTERS_MAX)
            exit(2);
        struct measured_register *r = &registers[n_registers];
        r->index = (uint32_t)strtoul(one, NULL, 10);
        r->value = values[n_registers];
        for (hex++; hex[0] != '\0' && hex[1] != '\0' && r->size < 48; hex += 2)
            values[n_registers][r->size++] = (uint8_t)(digit(hex[0]) << 4 | digit(hex[1]));
        n_registers++;
    }
}

static const char *verdict_name(enum measured_verdict verdict)
{
    return verdict == MEASURED_APPROVED  ? "approved"
           : verdict == MEASURED_REFUSED ? "refused"
                                         : "unknown";
}

static void look(size_t i, struct measured_set *set, const char *type, struct shown *last)
{
    struct measured_match match = {0};
    struct measured_description d;
    struct shown now = {0};

    now.verdict = measured_check(set, type, registers, n_registers, &match);
    measured_describe(set, &d);
    now.state = d.state;
    now.generation = d.generation;
    now.hard_ms = d.hard_until_ms;
    if (now.verdict == last->verdict && now.state == last->state &&
        now.generation == last->generation && now.hard_ms == last->hard_ms)
        return;
    *last = now;
    (void)printf(
        "%lld set=%zu verdict=%s state=%s generation=%llu release=%llu id=%s hard=%lld %s\n",
        boot_ms(), i, verdict_name(now.verdict), measured_state_name(d.state),
        (unsigned long long)d.generation, (unsigned long long)match.release_id,
        match.measurement_id, (long long)d.hard_until_ms, measured_error(set));
}

int main(int argc, char **argv)
{
    struct measured_set *sets[SETS_MAX];
    struct shown last[SETS_MAX] = {0};
    int down = 0;

    if (argc < 5 || argc - 4 > SETS_MAX)
        return 2;
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    read_registers(argv[3]);
    struct measured *m = measured_open(argv[1]);
    if (m == NULL)
        return 1;
    for (int i = 4; i < argc; i++) {
        sets[i - 4] = measured_subscribe(m, argv[i]);
        if (sets[i - 4] == NULL)
            return 1;
        last[i - 4].hard_ms = -1;
    }
    for (;;) {
        struct pollfd wait = {.fd = measured_fd(m), .events = POLLIN};
        int said = 0;
        if (poll(&wait, 1, 1) > 0 && measured_pump(m) != 0)
            said = errno;
        else if (wait.revents == 0)
            said = down;
        if (said != down)
            (void)printf("%lld pump=%s\n", boot_ms(), said == 0 ? "up" : strerrorname_np(said));
        down = said;
        for (int i = 4; i < argc; i++)
            look((size_t)(i - 4), sets[i - 4], argv[2], &last[i - 4]);
    }
}
