/* The state machine of an entry: exact boundaries, what an answer means, and that no number breaks
 * it. */
#include "resolver/entry/entry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#define T0 INT64_C(1000000) /* boot clock, ms */
#define WALL INT64_C(1700000000)

static struct ms_now at(int64_t after_ms)
{
    return (struct ms_now){.wall_s = WALL + after_ms / 1000,
                           .boot_ms = T0 + after_ms,
                           .wall_ms = (int32_t)(after_ms % 1000)};
}

/* F 100, W 60, E 3600, X 21600; evidence 1000 s old. */
static struct entry good(void)
{
    return (struct entry){.good = true,
                          .checked_boot_ms = T0,
                          .evidence_time_s = WALL - 1000,
                          .life = {.fresh_s = 100, .swr_s = 60, .sie_s = 3600, .ceiling_s = 21600}};
}

static void test_boundaries(void **state)
{
    (void)state;
    static const struct {
        int64_t ms;
        enum entry_state state;
        bool serve, refresh, wait;
    } rows[] = {
        {0, ENTRY_FRESH, true, false, false},
        {99999, ENTRY_FRESH, true, false, false},
        {100000, ENTRY_SWR, true, true, false},
        {159999, ENTRY_SWR, true, true, false},
        {160000, ENTRY_SIE, true, true, true},
        {3699999, ENTRY_SIE, true, true, true},
        {3700000, ENTRY_EXPIRED, false, true, true},
        {INT64_C(1) << 50, ENTRY_EXPIRED, false, true, true},
    };
    for (size_t i = 0; i < MS_ARRAY_LEN(rows); i++) {
        struct entry e = good();
        struct entry_view v = entry_view(&e, at(rows[i].ms));
        if (v.state != rows[i].state || v.serve != rows[i].serve || v.refresh != rows[i].refresh ||
            v.wait_first != rows[i].wait || (v.err == MS_OK) != v.serve)
            fail_msg("%lld: %s", (long long)rows[i].ms, entry_state_name(v.state));
    }
}

static void test_ceilings(void **state)
{
    (void)state;
    struct entry e = good();

    e.evidence_time_s = WALL - 21600 + 50; /* X ends 50 s on, long before F */
    assert_int_equal(entry_view(&e, at(49999)).state, ENTRY_FRESH);
    assert_int_equal(entry_view(&e, at(0)).serve_until_ms, T0 + 50000);
    assert_int_equal(entry_view(&e, at(0)).next_change_ms, T0 + 50000);
    assert_int_equal(entry_view(&e, at(50000)).state, ENTRY_EXPIRED);
    e = good();
    e.valid_until_s = WALL + 20; /* inclusive */
    assert_true(entry_view(&e, at(20999)).serve);
    assert_false(entry_view(&e, at(21000)).serve);
    e = (struct entry){
        .good = true, .checked_boot_ms = T0, .life = {.fresh_s = -1, .ceiling_s = -1}};
    assert_int_equal(entry_view(&e, at(INT64_C(1) << 60)).state, ENTRY_FRESH);
    assert_int_equal(entry_wall_s(entry_view(&e, at(0)).serve_until_ms, at(0)), 0);
}

static void test_states(void **state)
{
    (void)state;
    struct entry e = {0};

    assert_int_equal(entry_view(&e, at(0)).state, ENTRY_EMPTY);
    assert_int_equal(entry_view(&e, at(0)).err, MS_ERR_UNAVAILABLE);
    e = good();
    e.recheck = true;
    assert_int_equal(entry_view(&e, at(0)).state, ENTRY_SWR);
    assert_true(entry_view(&e, at(0)).refresh);
    e = good();
    e.hold = true;
    assert_int_equal(entry_view(&e, at(0)).state, ENTRY_HOLD);
    assert_true(entry_view(&e, at(0)).serve);
    /* beyond F, W and E, to the ceiling of the evidence and no further */
    assert_int_equal(entry_view(&e, at(3700000)).state, ENTRY_HOLD);
    assert_true(entry_view(&e, at((21600 - 1000) * 1000 - 1)).serve);
    assert_int_equal(entry_view(&e, at((21600 - 1000) * 1000)).state, ENTRY_EXPIRED);
    e = good();
    e.conflict = true;
    e.conflict_err = MS_ERR_CONFLICT;
    assert_int_equal(entry_view(&e, at(0)).state, ENTRY_CONFLICT);
    assert_false(entry_view(&e, at(0)).serve);
    e = good();
    e.evidence_time_s = WALL + ENTRY_CLOCK_SLACK_S;
    assert_int_equal(entry_view(&e, at(0)).state, ENTRY_FRESH);
    e.evidence_time_s++;
    assert_int_equal(entry_view(&e, at(0)).state, ENTRY_CLOCK_SUSPECT);
    assert_false(entry_view(&e, at(0)).serve);
}

static void test_failures(void **state)
{
    (void)state;
    struct entry e = good();

    entry_fail(&e, MS_ERR_CONNECT, NULL, 0, 60000, UINT32_MAX, at(170000));
    assert_in_range(e.next_try_ms, T0 + 170998, T0 + 171000);
    struct entry_view v = entry_view(&e, at(170000));
    assert_true(v.state == ENTRY_SIE && v.serve && !v.refresh && !v.wait_first);
    assert_int_equal(v.next_change_ms, e.next_try_ms);
    for (size_t i = 0; i < 100; i++)
        entry_fail(&e, MS_ERR_CONNECT, NULL, 0, 60000, UINT32_MAX, at(170000));
    assert_in_range(e.next_try_ms, T0 + 170000 + 59999, T0 + 170000 + 60000); /* capped */
    entry_fail(&e, MS_ERR_CONNECT, NULL, 0, 60000, 0, at(170000));
    assert_int_equal(e.next_try_ms, T0 + 170000); /* full jitter begins at nothing */

    e = (struct entry){0}; /* a definite no, for its time */
    entry_fail(&e, MS_ERR_NOT_FOUND, NULL, 60, 300000, 0, at(0));
    v = entry_view(&e, at(59999));
    assert_true(v.state == ENTRY_NEGATIVE && !v.refresh && v.err == MS_ERR_NOT_FOUND);
    assert_int_equal(v.next_change_ms, T0 + 60000);
    assert_int_equal(entry_view(&e, at(60000)).state, ENTRY_EMPTY);
    e = good(); /* E protects a good set from it */
    entry_fail(&e, MS_ERR_NOT_FOUND, NULL, 60, 300000, 0, at(3650000));
    assert_int_equal(entry_view(&e, at(3699999)).state, ENTRY_SIE);
    assert_int_equal(entry_view(&e, at(3700000)).state, ENTRY_NEGATIVE);
    assert_int_equal(entry_view(&e, at(3710000)).state, ENTRY_EXPIRED);
}

static struct source_result result(uint64_t sequence, uint8_t commitment, enum spec_level level)
{
    struct source_result r = {.has_sequence = sequence > 0,
                              .sequence = sequence,
                              .level = level,
                              .evidence_time_s = WALL,
                              .life = {100, 60, 3600, 21600, false}};
    memset(r.commitment.b, commitment, sizeof(r.commitment.b));
    return r;
}

static void test_judge(void **state)
{
    enum ms_err why;
    (void)state;
    static const struct {
        const char *name;
        bool good, conflict;
        uint64_t floor;
        uint64_t sequence;  /* of the result; 0: none */
        uint8_t commitment; /* 1 is the entry's */
        enum spec_level level;
        enum entry_verdict want;
    } rows[] = {
        {"first", false, false, 0, 5, 2, SPEC_LEVEL_L2, ENTRY_CHANGED},
        {"same", true, false, 5, 5, 1, SPEC_LEVEL_L2, ENTRY_SAME},
        {"higher", true, false, 5, 6, 2, SPEC_LEVEL_L2, ENTRY_CHANGED},
        {"higher, same set", true, false, 5, 6, 1, SPEC_LEVEL_L2, ENTRY_CHANGED},
        {"lower", true, false, 5, 4, 2, SPEC_LEVEL_L3, ENTRY_REFUSED},
        {"lower, evidence lost", false, false, 5, 4, 2, SPEC_LEVEL_L3, ENTRY_REFUSED},
        {"floor, evidence lost", false, false, 5, 5, 1, SPEC_LEVEL_L3, ENTRY_CHANGED},
        {"equivocation", true, false, 5, 5, 2, SPEC_LEVEL_L2, ENTRY_CONTRADICTS},
        {"conflict stays", true, true, 5, 5, 1, SPEC_LEVEL_L3, ENTRY_REFUSED},
        {"conflict, other", true, true, 5, 5, 2, SPEC_LEVEL_L3, ENTRY_REFUSED},
        {"conflict, higher at l2", true, true, 5, 6, 2, SPEC_LEVEL_L2, ENTRY_REFUSED},
        {"conflict, higher at l3", true, true, 5, 6, 2, SPEC_LEVEL_L3, ENTRY_CHANGED},
        {"list, same", true, false, 0, 0, 1, SPEC_LEVEL_NONE, ENTRY_SAME},
        {"list, other", true, false, 0, 0, 2, SPEC_LEVEL_NONE, ENTRY_CHANGED},
        {"end of numbers", true, false, UINT64_MAX, UINT64_MAX, 1, SPEC_LEVEL_L3, ENTRY_SAME},
    };
    for (size_t i = 0; i < MS_ARRAY_LEN(rows); i++) {
        struct entry e = {.good = rows[i].good,
                          .conflict = rows[i].conflict,
                          .has_sequence = rows[i].floor > 0,
                          .floor_sequence = rows[i].floor};
        struct source_result r = result(rows[i].sequence, rows[i].commitment, rows[i].level);
        memset(e.commitment.b, 1, sizeof(e.commitment.b));
        if (entry_judge(&e, &r, at(0), &why) != rows[i].want)
            fail_msg("%s: %d", rows[i].name, (int)entry_judge(&e, &r, at(0), &why));
    }
    struct source_result unchanged = {.unchanged = true};
    struct entry e = good();
    assert_int_equal(entry_judge(&e, &unchanged, at(0), &why), ENTRY_SAME);
    e.good = false;
    assert_int_equal(entry_judge(&e, &unchanged, at(0), &why), ENTRY_REFUSED);
}

/* Signed sets: sequences of one epoch are compared, and what signers contradict is a conflict. */
static void test_judge_signed(void **state)
{
    struct entry e = good();
    enum ms_err why;

    (void)state;
    e.has_sequence = true;
    e.floor_epoch = 2;
    e.floor_sequence = 7;
    e.commitment.b[0] = 1;
    struct source_result r = {
        .trust = SOURCE_TRUST_SIGNERS, .has_sequence = true, .epoch = 2, .sequence = 7};
    r.commitment.b[0] = 1;
    r.has_head = true;
    r.life = e.life;
    r.evidence_time_s = WALL;
    assert_int_equal(entry_judge(&e, &r, at(0), &why), ENTRY_SAME);
    e.valid_until_s = WALL + 10;
    r.valid_until_s = WALL + 100; /* a newer statement of freshness about the same set */
    entry_accept(&e, &r, ENTRY_SAME, at(0));
    assert_int_equal(e.valid_until_s, WALL + 100);
    r.evidence_time_s = WALL - 5;
    r.valid_until_s = WALL + 50; /* an older one */
    entry_accept(&e, &r, ENTRY_SAME, at(0));
    assert_int_equal(e.valid_until_s, WALL + 100);
    r.evidence_time_s = WALL;
    r.commitment.b[0] = 2;
    assert_int_equal(entry_judge(&e, &r, at(0), &why), ENTRY_CONTRADICTS);
    entry_accept(&e, &r, ENTRY_CONTRADICTS, at(0));
    assert_int_equal(entry_view(&e, at(0)).state, ENTRY_CONFLICT);
    assert_int_equal(entry_judge(&e, &r, at(0), &why), ENTRY_REFUSED);
    assert_int_equal(why, MS_ERR_CONFLICT);
    r.sequence = 8; /* a higher one, by the signers, ends it */
    assert_int_equal(entry_judge(&e, &r, at(0), &why), ENTRY_CHANGED);
    r.epoch = 1;
    r.sequence = 100;
    assert_int_equal(entry_judge(&e, &r, at(0), &why), ENTRY_REFUSED);
    assert_int_equal(why, MS_ERR_ROLLBACK);
    r.epoch = 3; /* other signers, a new count */
    r.sequence = 1;
    assert_int_equal(entry_judge(&e, &r, at(0), &why), ENTRY_CHANGED);
    entry_accept(&e, &r, ENTRY_CHANGED, at(0));
    assert_int_equal(e.floor_epoch, 3);
    assert_int_equal(e.floor_sequence, 1);
    assert_true(entry_view(&e, at(0)).serve);
    r.sequence = 0;
    assert_int_equal(entry_judge(&e, &r, at(0), &why), ENTRY_REFUSED);
    assert_int_equal(why, MS_ERR_ROLLBACK);
}

static void test_accept(void **state)
{
    (void)state;
    struct source_result r = result(7, 3, SPEC_LEVEL_L3);
    struct entry e = {0};

    entry_fail(&e, MS_ERR_CONNECT, NULL, 60, 60000, UINT32_MAX, at(0));
    entry_accept(&e, &r, ENTRY_CHANGED, at(5000));
    assert_true(e.good && e.fails == 0 && e.next_try_ms == 0 && e.negative_until_ms == 0);
    assert_int_equal(e.floor_sequence, 7);
    assert_int_equal(e.checked_boot_ms, T0 + 5000);
    r.evidence_time_s = WALL - 500; /* the same again from an older block: not younger, not older */
    entry_accept(&e, &r, ENTRY_SAME, at(9000));
    assert_int_equal(e.evidence_time_s, WALL);
    assert_int_equal(e.checked_boot_ms, T0 + 9000);
    struct entry before = e;
    entry_accept(&e, &r, ENTRY_REFUSED, at(10000));
    assert_memory_equal(&before, &e, sizeof(e));
    entry_accept(&e, &r, ENTRY_CONTRADICTS, at(10000));
    assert_true(e.conflict && e.good);
    assert_int_equal(e.checked_boot_ms, T0 + 9000);
    r.sequence = 8;
    entry_accept(&e, &r, ENTRY_CHANGED, at(11000));
    assert_false(e.conflict);
    r.sequence = 2; /* the floor never falls, whatever the caller says */
    entry_accept(&e, &r, ENTRY_CHANGED, at(12000));
    assert_int_equal(e.floor_sequence, 8);
}

/* A poll confirms as an attempt that found the same set does; what stands against it forbids it. */
static void test_confirm(void **state)
{
    (void)state;
    struct ms_diag diag = {0};
    struct entry e = good();

    e.recheck = true;
    entry_fail(&e, MS_ERR_TIMEOUT, &diag, 60, 60000, UINT32_MAX, at(50000));
    assert_true(entry_may_confirm(&e, false, 0, at(60000)));
    entry_confirm(&e, WALL - 500, 0, at(60000));
    assert_int_equal(e.checked_boot_ms, T0 + 60000);
    assert_int_equal(e.evidence_time_s, WALL - 500);
    assert_int_equal(e.fails, 0);
    assert_int_equal(e.next_try_ms, 0);
    assert_int_equal(e.negative_until_ms, 0);
    assert_int_equal(e.last_err, MS_OK);
    assert_int_equal(entry_view(&e, at(60000)).state, ENTRY_FRESH);
    entry_confirm(&e, WALL - 700, 0, at(70000)); /* an older block */
    assert_int_equal(e.evidence_time_s, WALL - 500);
    assert_int_equal(e.checked_boot_ms, T0 + 70000);

    e = good();
    e.overlay.b[0] = 1;
    e.overlay_head = 90;
    assert_false(entry_may_confirm(&e, false, 0, at(0)));
    assert_false(entry_may_confirm(&e, true, 89, at(0)));
    assert_true(entry_may_confirm(&e, true, 90, at(0)));
    for (int i = 0; i < 5; i++) {
        e = good();
        e.good = i != 0;
        e.hold = i == 1;
        e.conflict = i == 2;
        e.dissent = i == 3;
        e.evidence_time_s = i == 4 ? WALL - 21600 : WALL; /* too old to be served */
        assert_false(entry_may_confirm(&e, true, 100, at(0)));
    }
}

static void test_windows(void **state)
{
    (void)state;
    static const struct {
        int64_t not_before, not_after, chain, wall;
        enum entry_window want;
    } rows[] = {
        {0, 0, 5, 5, ENTRY_WINDOW_IN_FORCE},
        {10, 0, 9, 99, ENTRY_WINDOW_PENDING}, /* only the chain begins */
        {10, 0, 10, 0, ENTRY_WINDOW_IN_FORCE},
        {0, 20, 19, 19, ENTRY_WINDOW_IN_FORCE},
        {0, 20, 20, 0, ENTRY_WINDOW_EXPIRED}, /* either ends */
        {0, 20, 0, 20, ENTRY_WINDOW_EXPIRED},
        {30, 20, 25, 25, ENTRY_WINDOW_EXPIRED},
        {INT64_MAX, INT64_MAX, 5, 5, ENTRY_WINDOW_PENDING},
        {INT64_MIN, 1, INT64_MIN, 0, ENTRY_WINDOW_IN_FORCE},
    };
    for (size_t i = 0; i < MS_ARRAY_LEN(rows); i++) {
        struct source_release r = {.not_before_s = rows[i].not_before,
                                   .not_after_s = rows[i].not_after};
        if (entry_release_window(&r, rows[i].chain, rows[i].wall) != rows[i].want)
            fail_msg("row %zu", i);
    }
}

/* ---- properties over hostile numbers ---- */

static uint64_t random_state;

static uint64_t next_random(void)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return random_state >> 16;
}

static int64_t number(void)
{
    static const int64_t ends[] = {INT64_MIN,        INT64_MIN + 1, -1,        0,    1,
                                   INT64_MAX / 1000, INT64_MAX - 1, INT64_MAX, WALL, T0};
    switch (next_random() % 4) {
    case 0:
        return ends[next_random() % MS_ARRAY_LEN(ends)];
    case 1:
        return WALL + (int64_t)(next_random() % 20000) - 10000;
    default:
        return (int64_t)(next_random() % 5000);
    }
}

static void random_entry(struct entry *e)
{
    *e = (struct entry){
        .good = next_random() % 4 > 0,
        .checked_boot_ms = next_random() % 2 ? T0 : number(),
        .evidence_time_s = number(),
        .life = {number(), number(), number(), number(), false},
        .valid_until_s = next_random() % 2 ? 0 : number(),
        .recheck = next_random() % 8 == 0,
        .conflict = next_random() % 16 == 0,
        .hold = next_random() % 8 == 0,
        .negative_until_ms = next_random() % 2 ? 0 : number(),
        .next_try_ms = next_random() % 2 ? 0 : number(),
    };
}

/* What is published with a view holds until its next_change_ms, and never beyond serve_until_ms. */
static void test_views_hold(void **state)
{
    (void)state;
    random_state = (uint64_t)time(NULL);
    print_message("seed %llu\n", (unsigned long long)random_state);
    for (size_t i = 0; i < 20000; i++) {
        struct entry e;
        random_entry(&e);
        int64_t now_ms = (int64_t)(next_random() % 3000) * 1000;
        struct entry_view v = entry_view(&e, at(now_ms));
        assert_int_not_equal(v.state, ENTRY_REVOKED);
        assert_true(v.next_change_ms > T0 + now_ms);
        if (v.serve)
            assert_true(v.serve_until_ms > T0 + now_ms && v.err == MS_OK);
        else
            assert_int_not_equal(
                v.err == MS_OK && v.state != ENTRY_CONFLICT && v.state != ENTRY_NEGATIVE, true);
        for (size_t k = 0; k < 8; k++) {
            int64_t later_ms = now_ms + (int64_t)(next_random() % 4000) * 1000;
            struct entry_view then = entry_view(&e, at(later_ms));
            if (v.serve && then.serve == false && T0 + later_ms < v.next_change_ms)
                fail_msg("%zu: not served before next_change_ms", i);
            if (T0 + later_ms < v.next_change_ms && then.state != v.state &&
                v.state != ENTRY_CLOCK_SUSPECT && !v.wait_first)
                fail_msg("%zu: %s became %s before next_change_ms", i, entry_state_name(v.state),
                         entry_state_name(then.state));
            if (then.serve && v.serve && T0 + later_ms >= v.serve_until_ms)
                fail_msg("%zu: served beyond serve_until_ms", i);
        }
        (void)entry_wall_s(v.serve_until_ms, at(now_ms));
        (void)entry_wall_s(v.soft_until_ms, at(now_ms));
        (void)entry_boot_ms(number(), at(now_ms));
    }
}

/* One endpoint's word is held against another one only while it may be served; a revocation seen in
 * the newest state stands until that state has been read again; other code holds. */
static void test_judge_contracts(void **state)
{
    (void)state;
    enum ms_err why = MS_OK;
    struct entry e = good();
    e.has_sequence = true;
    e.floor_sequence = 9;
    memset(e.commitment.b, 1, sizeof(e.commitment.b));

    struct source_result r = result(5, 2, SPEC_LEVEL_L1);
    assert_int_equal(entry_judge(&e, &r, at(0), &why), ENTRY_REFUSED);
    assert_int_equal(why, MS_ERR_ROLLBACK);
    assert_int_equal(entry_floor(&e, SPEC_LEVEL_L1, at(0)), 9);
    int64_t end = entry_view(&e, at(0)).serve_until_ms - T0;
    assert_int_equal(entry_judge(&e, &r, at(end), &why), ENTRY_CHANGED);
    assert_int_equal(entry_floor(&e, SPEC_LEVEL_L1, at(end)), 0);
    r.level = SPEC_LEVEL_L2;
    assert_int_equal(entry_judge(&e, &r, at(end), &why), ENTRY_REFUSED);
    assert_int_equal(entry_floor(&e, SPEC_LEVEL_L2, at(end)), 9);
    r = result(9, 2, SPEC_LEVEL_L1);
    assert_int_equal(entry_judge(&e, &r, at(0), &why), ENTRY_REFUSED);
    assert_int_equal(why, MS_ERR_CONFLICT);

    e.overlay.b[0] = 1;
    r = result(10, 2, SPEC_LEVEL_L3);
    assert_int_equal(entry_judge(&e, &r, at(0), &why), ENTRY_REFUSED);
    assert_int_equal(why, MS_ERR_UNAVAILABLE);
    r.has_head = true;
    e.overlay_head = 100;
    r.head_number = 99; /* an older head than the one that revoked */
    assert_int_equal(entry_judge(&e, &r, at(0), &why), ENTRY_REFUSED);
    r.head_number = 100;
    assert_int_equal(entry_judge(&e, &r, at(0), &why), ENTRY_CHANGED);
    e.overlay_head = 0;
    r = result(9, 1, SPEC_LEVEL_L3); /* the same state, the revocation undone */
    r.has_head = true;
    assert_int_equal(entry_judge(&e, &r, at(0), &why), ENTRY_CHANGED);
    r.overlay = e.overlay;
    assert_int_equal(entry_judge(&e, &r, at(0), &why), ENTRY_SAME);

    e.has_identity = r.has_identity = true;
    assert_int_equal(entry_judge(&e, &r, at(0), &why), ENTRY_SAME);
    r.identity.b[0] = 1;
    assert_int_equal(entry_judge(&e, &r, at(0), &why), ENTRY_HELD);
    entry_accept(&e, &r, ENTRY_HELD, at(0));
    assert_int_equal(entry_view(&e, at(0)).state, ENTRY_HOLD);
    r.has_identity = false; /* nobody proves that it is the old code again */
    assert_int_equal(entry_judge(&e, &r, at(0), &why), ENTRY_REFUSED);
    assert_int_equal(why, MS_ERR_CODE_IDENTITY);
    r.has_identity = true;
    r.identity = e.identity;
    assert_int_equal(entry_judge(&e, &r, at(0), &why), ENTRY_CHANGED); /* to be stored */
    entry_accept(&e, &r, ENTRY_CHANGED, at(0));
    assert_int_equal(entry_view(&e, at(0)).state, ENTRY_FRESH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_boundaries),   cmocka_unit_test(test_ceilings),
        cmocka_unit_test(test_states),       cmocka_unit_test(test_failures),
        cmocka_unit_test(test_judge),        cmocka_unit_test(test_judge_contracts),
        cmocka_unit_test(test_judge_signed), cmocka_unit_test(test_accept),
        cmocka_unit_test(test_windows),      cmocka_unit_test(test_views_hold),
        cmocka_unit_test(test_confirm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
