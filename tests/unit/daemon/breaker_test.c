/* The breaker and the back-off under a fake clock. */
#include "resolver/daemon/breaker.h"

#include "base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* A script of events, each at its time; `allow` is what a request asked for then must get. */
enum event { OK, FAULT, BENCH, PAUSE, RESET, ALLOW, REFUSE }; /* PAUSE: for 10 s */
static const struct {
    const char *name;
    struct {
        int64_t at_ms;
        enum event event;
    } steps[16];
    size_t n;
} scripts[] = {
    {"five faults open it for 30 s, then one probe",
     {{0, FAULT},
      {1, FAULT},
      {2, FAULT},
      {3, FAULT},
      {3, ALLOW},
      {4, FAULT},
      {4, REFUSE},
      {30003, REFUSE},
      {30004, ALLOW},
      {30004, REFUSE},
      {30100, OK},
      {30100, ALLOW},
      {30100, ALLOW}},
     13},
    {"faults spread over more than 60 s do not",
     {{0, FAULT}, {15001, FAULT}, {30002, FAULT}, {45003, FAULT}, {60001, FAULT}, {60001, ALLOW}},
     6},
    {"five faults within exactly 60 s do",
     {{0, FAULT}, {15000, FAULT}, {30000, FAULT}, {45000, FAULT}, {60000, FAULT}, {60000, REFUSE}},
     6},
    {"the window slides",
     {{0, FAULT},
      {70000, FAULT},
      {70001, FAULT},
      {70002, FAULT},
      {70003, FAULT},
      {70003, ALLOW},
      {70004, FAULT},
      {70004, REFUSE}},
     8},
    {"a success forgets the faults",
     {{0, FAULT}, {1, FAULT}, {2, FAULT}, {3, FAULT}, {4, OK}, {5, FAULT}, {5, ALLOW}},
     7},
    {"a failed probe opens it for another 30 s",
     {{0, FAULT},
      {0, FAULT},
      {0, FAULT},
      {0, FAULT},
      {0, FAULT},
      {30000, ALLOW},
      {31000, FAULT},
      {31000, REFUSE},
      {60999, REFUSE},
      {61000, ALLOW}},
     10},
    {"a late success of an older request does not close it",
     {{0, FAULT}, {0, FAULT}, {0, FAULT}, {0, FAULT}, {0, FAULT}, {10, OK}, {10, REFUSE}},
     7},
    {"a late fault does not lengthen it",
     {{0, FAULT}, {0, FAULT}, {0, FAULT}, {0, FAULT}, {0, FAULT}, {20000, FAULT}, {30000, ALLOW}},
     7},
    {"a probe that is never reported does not block for ever",
     {{0, FAULT},
      {0, FAULT},
      {0, FAULT},
      {0, FAULT},
      {0, FAULT},
      {30000, ALLOW},
      {59999, REFUSE},
      {60000, ALLOW},
      {60000, REFUSE}},
     9},
    {"the bench lasts an hour and no success ends it",
     {{0, BENCH}, {0, REFUSE}, {1, OK}, {1, REFUSE}, {3599999, REFUSE}, {3600000, ALLOW}},
     6},
    {"a pause lasts as long as it was asked for, and no success ends it",
     {{0, PAUSE}, {0, REFUSE}, {1, OK}, {9999, REFUSE}, {10000, ALLOW}, {10000, ALLOW}},
     6},
    {"faults in a pause do not count",
     {{0, PAUSE}, {1, FAULT}, {2, FAULT}, {3, FAULT}, {4, FAULT}, {5, FAULT}, {10000, ALLOW}},
     7},
    {"a probe that is asked to wait: the next one probes",
     {{0, FAULT},
      {0, FAULT},
      {0, FAULT},
      {0, FAULT},
      {0, FAULT},
      {30000, ALLOW},
      {30001, PAUSE},
      {40000, REFUSE},
      {40001, ALLOW},
      {40001, REFUSE}},
     10},
    {"the operator lifts the bench", {{0, BENCH}, {1, RESET}, {1, ALLOW}}, 3},
    {"bench while open: both must be over",
     {{0, FAULT},
      {0, FAULT},
      {0, FAULT},
      {0, FAULT},
      {0, FAULT},
      {1, BENCH},
      {30000, REFUSE},
      {3600001, ALLOW},
      {3600001, REFUSE}},
     9},
};

static void test_scripts(void **state)
{
    (void)state;
    for (size_t i = 0; i < MS_ARRAY_LEN(scripts); i++) {
        struct breaker breaker = {0};
        for (size_t s = 0; s < scripts[i].n; s++) {
            int64_t now_ms = scripts[i].steps[s].at_ms;
            enum event event = scripts[i].steps[s].event;
            bool would = breaker_would_allow(&breaker, now_ms);
            switch (event) {
            case OK:
                breaker_ok(&breaker);
                break;
            case FAULT:
                breaker_fault(&breaker, now_ms);
                break;
            case BENCH:
                breaker_bench(&breaker, now_ms);
                break;
            case PAUSE:
                breaker_pause(&breaker, now_ms + 10000);
                break;
            case RESET:
                breaker_reset(&breaker);
                break;
            case ALLOW:
            case REFUSE:
                if (would != (event == ALLOW) ||
                    breaker_allow(&breaker, now_ms) != (event == ALLOW))
                    fail_msg("%s: step %zu", scripts[i].name, s);
                break;
            }
        }
    }
}

static void test_states(void **state)
{
    (void)state;
    struct breaker breaker = {0};
    assert_int_equal(breaker_state(&breaker, 0), BREAKER_CLOSED);
    for (int i = 0; i < 5; i++)
        breaker_fault(&breaker, 0);
    assert_int_equal(breaker_state(&breaker, 0), BREAKER_OPEN);
    assert_true(breaker_allow(&breaker, 30000));
    assert_int_equal(breaker_state(&breaker, 30000), BREAKER_PROBING);
    breaker_pause(&breaker, 31000);
    assert_int_equal(breaker_state(&breaker, 30999), BREAKER_PAUSED);
    assert_int_equal(breaker_state(&breaker, 31000), BREAKER_OPEN);
    breaker_bench(&breaker, 30000);
    assert_int_equal(breaker_state(&breaker, 30000), BREAKER_BENCHED);
}

static void test_backoff(void **state)
{
    (void)state;
    static const struct {
        uint32_t fails;
        int64_t cap_ms, max_ms;
    } rows[] = {
        {0, BACKOFF_CAP_RPC_MS, 1000},
        {1, BACKOFF_CAP_RPC_MS, 2000},
        {5, BACKOFF_CAP_RPC_MS, 32000},
        {6, BACKOFF_CAP_RPC_MS, 60000},
        {8, BACKOFF_CAP_HTTP_MS, 256000},
        {9, BACKOFF_CAP_HTTP_MS, 300000},
        {63, BACKOFF_CAP_HTTP_MS, 300000},
        {UINT32_MAX, BACKOFF_CAP_RPC_MS, 60000},
        {3, 0, 0},
    };
    for (size_t i = 0; i < MS_ARRAY_LEN(rows); i++) {
        uint64_t max = (uint64_t)rows[i].max_ms;
        /* The ends of the range are reached and nothing lies beyond. */
        assert_int_equal(backoff_ms(rows[i].fails, rows[i].cap_ms, 0), 0);
        assert_int_equal(backoff_ms(rows[i].fails, rows[i].cap_ms, max), rows[i].max_ms);
        assert_int_equal(backoff_ms(rows[i].fails, rows[i].cap_ms, max + 1), 0);
        assert_true(backoff_ms(rows[i].fails, rows[i].cap_ms, UINT64_MAX) <= rows[i].max_ms);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scripts),
        cmocka_unit_test(test_states),
        cmocka_unit_test(test_backoff),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
