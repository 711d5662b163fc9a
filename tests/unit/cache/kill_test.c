/* A child commits in a loop and reports each commit once cache_commit said MS_OK; the parent kills
 * it with SIGKILL at a random moment, opens the directory again and looks for everything that was
 * reported. */
#define _GNU_SOURCE /* mkdtemp */

#include "tests/unit/cache/cache_test_util.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#define ROUNDS (getenv("MS_SOAK") != NULL ? 1000 : 20)
#define KILL_MAX_MS 60 /* first commits of a round included */

static struct cache_entry numbered(uint32_t i)
{
    char text[32];
    struct cache_entry e = sample();
    (void)snprintf(text, sizeof(text), "key %u", i % 97); /* rows are replaced, too */
    e.key = hash_of(text);
    e.sequence = e.floor_sequence = i;
    (void)snprintf(text, sizeof(text), "evidence %u", i);
    e.bundle = hash_of(text);
    return e;
}

static _Noreturn void child(int fd, uint32_t from)
{
    struct cache *cache = NULL;
    if (cache_open(state_dir, NULL, &cache, NULL) != MS_OK)
        _exit(2);
    for (uint32_t i = from;; i++) {
        char text[32];
        struct cache_entry e = numbered(i);
        struct cache_history h = sample_history();
        h.key = e.key;
        h.sequence = i;
        h.bundle = e.bundle;
        (void)snprintf(text, sizeof(text), "evidence %u", i);
        struct ms_span blob = ms_span_str(text);
        struct cache_change change = {1, &blob, &e, &h};
        if (cache_commit(cache, &change, NULL) != MS_OK)
            _exit(3);
        if (write(fd, &i, sizeof(i)) != (ssize_t)sizeof(i))
            _exit(4);
    }
}

/* Everything the child reported before it was killed; the greatest number. */
static uint32_t read_reports(int fd, uint32_t last)
{
    uint32_t i = 0;
    ssize_t n;
    while ((n = read(fd, &i, sizeof(i))) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        assert_int_equal(n, sizeof(i));
        last = i;
    }
    return last;
}

static enum ms_err count(void *arg, enum ms_err row, const struct cache_history *h,
                         const struct ms_diag *why)
{
    (void)why;
    uint32_t *n = arg;
    assert_int_equal(row, MS_OK);
    if (h->sequence > *n)
        *n = (uint32_t)h->sequence;
    return MS_OK;
}

/* Returns the number of the last commit that is there: `last`, or one that was durable but not yet
 * reported. */
static uint32_t check(uint32_t last)
{
    struct cache *cache = must_open(); /* runs quick_check */
    uint32_t stored = 0;
    assert_int_equal(cache_history_each(cache, NULL, count, &stored, NULL), MS_OK);
    assert_true(stored == last || stored == last + 1);
    for (uint32_t i = stored < 97 ? 1 : stored - 96; i <= stored; i++) {
        struct ms_arena arena = MS_ARENA_INIT(65536);
        struct ms_buf out = MS_BUF_INIT(64);
        struct cache_entry want = numbered(i), got;
        bool found = false;
        assert_int_equal(cache_entry_get(cache, &want.key, want.level, &arena, &got, &found, NULL),
                         MS_OK);
        assert_true(found && got.sequence == i);
        assert_int_equal(cache_blob_get(cache, &want.bundle, &out, &found, NULL), MS_OK);
        assert_true(found);
        ms_buf_done(&out);
        ms_arena_done(&arena);
    }
    cache_close(cache);
    return stored;
}

static void test_kill(void **state)
{
    (void)state;
    unsigned seed = (unsigned)time(NULL);
    uint32_t last = 0;

    print_message("seed %u\n", seed);
    srand(seed);
    for (int round = 0; round < ROUNDS; round++) {
        int fds[2];
        assert_int_equal(pipe(fds), 0);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            (void)close(fds[0]);
            child(fds[1], last + 1);
        }
        (void)close(fds[1]);
        struct timespec pause = {0, (long)(rand() % (KILL_MAX_MS * 1000)) * 1000};
        (void)nanosleep(&pause, NULL);
        assert_int_equal(kill(pid, SIGKILL), 0);
        last = read_reports(fds[0], last);
        (void)close(fds[0]);
        int status = 0;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status)); /* the child itself never fails */
        last = check(last);
    }
    print_message("%u commits\n", last);
    assert_true(last > ROUNDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_kill, fresh_dir, drop_dir),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
