/* Histories that never were, and everything that can be done to them: each break is found, and told
 * by the operation it is about; and what is right leads to the proven state. */
#include "tests/support/history.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define ARENA_BYTES ((size_t)8 << 20)
#define LENGTH 48u

static uint64_t seed;

static uint64_t random_number(void)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return seed >> 20;
}

/* Several operations stand in one block, now and then. */
static void make(struct fake_history *fake, size_t n)
{
    uint64_t block = 1000;

    fake_history_init(fake);
    for (size_t i = 0; i < n; i++) {
        block += random_number() % 3;
        fake_history_add(fake, block, random_number());
    }
}

static struct history_break look(const struct fake_history *fake, struct ms_diag *diag)
{
    struct ms_arena arena = MS_ARENA_INIT(ARENA_BYTES);
    struct history_break found = {0};
    struct registry_event *events;
    size_t n;
    enum ms_err err = history_verify(fake->log, fake->n, &fake->registry, &fake->state, &arena,
                                     &events, &n, &found, diag);

    assert_int_equal(err == MS_OK, found.fault == HISTORY_FAULT_NONE);
    ms_arena_done(&arena);
    return found;
}

/* NONE as fault: any will do, only the operation counts. */
static void expect(const struct fake_history *fake, uint64_t sequence, enum history_fault fault,
                   const char *what)
{
    struct ms_diag diag = {0};
    struct history_break found = look(fake, &diag);
    char name[32];

    (void)snprintf(name, sizeof(name), "peration %llu", (unsigned long long)sequence);
    if (found.sequence != sequence || found.fault == HISTORY_FAULT_NONE ||
        (fault != HISTORY_FAULT_NONE && found.fault != fault) || strstr(diag.text, name) == NULL)
        fail_msg("%s, operation %llu: told fault %d at %llu: %s", what,
                 (unsigned long long)sequence, found.fault, (unsigned long long)found.sequence,
                 diag.text);
}

static struct fake_history whole, changed;

static void test_right(void **state)
{
    (void)state;
    for (size_t n = 0; n < 200; n += n < 10 ? 1 : 37) {
        struct ms_diag diag = {0};
        make(&whole, n);
        struct history_break found = look(&whole, &diag);
        if (found.fault != HISTORY_FAULT_NONE)
            fail_msg("%zu operations: %s", n, diag.text);
        fake_history_done(&whole);
    }
}

static void test_left_out(void **state)
{
    (void)state;
    make(&whole, LENGTH);
    for (size_t i = 0; i < whole.n; i++) {
        changed = whole;
        changed.n--;
        memmove(&changed.log[i], &changed.log[i + 1], (changed.n - i) * sizeof(changed.log[0]));
        expect(&changed, i + 1, HISTORY_FAULT_MISSING, "left out");
    }
    changed = whole;
    changed.n = 0;
    expect(&changed, LENGTH, HISTORY_FAULT_MISSING, "no log at all");
    fake_history_done(&whole);
}

static void test_doubled(void **state)
{
    (void)state;
    make(&whole, LENGTH);
    for (size_t i = 0; i < whole.n; i++) {
        for (size_t to = 0; to <= whole.n; to++) {
            changed = whole;
            memmove(&changed.log[to + 1], &changed.log[to],
                    (changed.n - to) * sizeof(changed.log[0]));
            changed.log[to] = whole.log[i];
            changed.n++;
            expect(&changed, i + 1, HISTORY_FAULT_TWICE, "doubled");
        }
    }
    fake_history_done(&whole);
}

static void test_out_of_order(void **state)
{
    (void)state;
    make(&whole, LENGTH);
    for (size_t a = 0; a < whole.n; a++) {
        for (size_t b = a + 1; b < whole.n; b++) {
            changed = whole;
            changed.log[a] = whole.log[b];
            changed.log[b] = whole.log[a];
            expect(&changed, b + 1, HISTORY_FAULT_PLACE, "changed places");
        }
    }
    fake_history_done(&whole);
}

/* Each member of each event, as a log that is well-formed says it. */
static void test_altered(void **state)
{
    (void)state;
    make(&whole, LENGTH);
    for (size_t i = 0; i < whole.n; i++) {
        struct eth_log *log = &changed.log[i];
        uint8_t *data = malloc(whole.log[i].data.len);
        size_t len = whole.log[i].data.len;
        assert_non_null(data);
        for (unsigned round = 0; round < 200; round++) {
            size_t bit = random_number() % (8 * len);
            changed = whole;
            memcpy(data, whole.log[i].data.ptr, len);
            data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
            log->data = ms_span_of(data, len);
            expect(&changed, i + 1, HISTORY_FAULT_NONE, "one bit of the data");
        }
        for (unsigned t = 0; t < 4; t++) {
            for (unsigned round = 0; round < 16; round++) {
                size_t bit = round < 8 ? 255 - round : random_number() % 256;
                changed = whole;
                log->topics[t].b[bit / 8] ^= (uint8_t)(0x80u >> (bit % 8));
                expect(&changed, i + 1, HISTORY_FAULT_NONE, "one bit of a topic");
            }
        }
        changed = whole;
        log->block ^= 1;
        expect(&changed, i + 1, HISTORY_FAULT_ALTERED, "another block");
        changed = whole;
        log->address.b[0] ^= 1;
        expect(&changed, i + 1, HISTORY_FAULT_MISSING, "another contract's");
        changed = whole;
        log->n_topics = 3;
        expect(&changed, i + 1, HISTORY_FAULT_MALFORMED, "a topic less");
        changed = whole;
        log->data.len -= 32;
        expect(&changed, i + 1, HISTORY_FAULT_MALFORMED, "cut");
        free(data);
    }
    fake_history_done(&whole);
}

/* A forger who computes the hash of what it altered is found one operation later: there the proven
 * hash does not follow. */
static void test_forged(void **state)
{
    (void)state;
    make(&whole, LENGTH);
    for (size_t i = 0; i + 1 < whole.n; i++) {
        struct registry_event event = whole.event[i];
        struct history_break found;
        struct history_at last = history_newest(&whole.state);
        struct registry_event events[LENGTH];
        struct eth_hash before = i == 0 ? (struct eth_hash){0} : whole.event[i - 1].history_hash;
        memcpy(events, whole.event, sizeof(events));
        event.timestamp_s ^= 1;
        event.history_hash = registry_history_hash(&before, &event);
        events[i] = event;
        assert_int_equal(history_links(events, LENGTH, &last, true, &found, NULL),
                         MS_ERR_COMMITMENT);
        assert_int_equal(found.sequence, i + 2);
    }
    fake_history_done(&whole);
}

/* A part of a history proves all of it but the first's own words; and that is no whole one. */
static void test_part(void **state)
{
    struct history_break found;
    (void)state;
    make(&whole, LENGTH);
    struct history_at last = history_newest(&whole.state);
    for (size_t i = 0; i < whole.n; i++) {
        assert_int_equal(history_links(&whole.event[i], whole.n - i, &last, false, &found, NULL),
                         MS_OK);
        if (i == 0)
            continue;
        assert_int_equal(history_links(&whole.event[i], whole.n - i, &last, true, &found, NULL),
                         MS_ERR_COMMITMENT);
        assert_int_equal(found.sequence, i);
        assert_int_equal(found.fault, HISTORY_FAULT_MISSING);
    }
    /* one that is further back is proven by its own hash */
    last = (struct history_at){10, whole.event[9].block, whole.event[9].history_hash};
    assert_int_equal(history_links(whole.event, 10, &last, true, &found, NULL), MS_OK);
    last.hash.b[0] ^= 1;
    assert_int_equal(history_links(whole.event, 10, &last, true, &found, NULL), MS_ERR_COMMITMENT);
    assert_int_equal(found.sequence, 10);
    fake_history_done(&whole);
}

/* After each operation, what the contract had then. */
static void test_past(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 20; round++) {
        struct ms_arena arena = MS_ARENA_INIT(ARENA_BYTES);
        struct history_past past = {0};
        uint64_t block = 5;
        fake_history_init(&whole);
        for (size_t i = 0; i < 150; i++) {
            struct history_operation op;
            struct registry_release gone;
            struct ms_diag diag = {0};
            block += random_number() % 2;
            fake_history_add(&whole, block, random_number());
            assert_int_equal(history_operation_read(&whole.event[i], &arena, &op), MS_OK);
            assert_true(op.known);
            uint8_t kind = op.event.kind;
            assert_int_equal(history_past_apply(&past, &op, &gone),
                             kind >= REGISTRY_REVOKE && kind <= REGISTRY_PRUNE);
            if (kind >= REGISTRY_REVOKE && kind <= REGISTRY_PRUNE)
                assert_int_equal(gone.id, op.event.id);
            if (history_past_verify(&past, &whole.state, &diag) != MS_OK)
                fail_msg("operation %zu: %s", i + 1, diag.text);
        }
        ms_arena_done(&arena);
        fake_history_done(&whole);
    }
}

/* What is in force at a time of the past: by the windows that were known then. */
static void test_in_force(void **state)
{
    struct history_past past = {0};
    struct registry_release *r = &past.live[0];
    (void)state;
    past.n_live = 1;
    *r = (struct registry_release){.id = 1, .not_before_s = 100, .not_after_s = 200};
    assert_int_equal(history_past_in_force(&past, r, 99), REGISTRY_PENDING);
    assert_int_equal(history_past_in_force(&past, r, 100), REGISTRY_IN_FORCE);
    assert_int_equal(history_past_in_force(&past, r, 199), REGISTRY_IN_FORCE);
    assert_int_equal(history_past_in_force(&past, r, 200), REGISTRY_ENDED);
    past.state.valid_until_s = 150;
    assert_int_equal(history_past_in_force(&past, r, 151), REGISTRY_LAPSED);
}

/* An operation of a later contract, or one that cannot have been: what follows is not known. */
static void test_lost(void **state)
{
    struct ms_arena arena = MS_ARENA_INIT(ARENA_BYTES);
    struct history_operation op;
    struct registry_release gone;
    (void)state;
    static const struct {
        const char *name;
        uint8_t kind;
        uint64_t id;
        size_t len;
    } rows[] = {{"a later kind", 10, 0, 0},
                {"data too short", REGISTRY_HEARTBEAT, 0, 31},
                {"a revocation of nothing", REGISTRY_REVOKE, 9, 32},
                {"made twice", REGISTRY_INIT, 0, 96}};
    static const uint8_t zeros[96];
    for (size_t i = 0; i < MS_ARRAY_LEN(rows); i++) {
        struct history_past past = {.state = {.sequence = 4}};
        struct registry_event event = {.sequence = 5,
                                       .kind = rows[i].kind,
                                       .id = rows[i].id,
                                       .data = ms_span_of(zeros, rows[i].len)};
        assert_int_equal(history_operation_read(&event, &arena, &op), MS_OK);
        assert_false(history_past_apply(&past, &op, &gone));
        if (!past.lost || past.lost_at != 5)
            fail_msg("%s: not lost", rows[i].name);
        assert_int_equal(history_past_verify(&past, &past.state, NULL), MS_ERR_COMMITMENT);
    }
    ms_arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_right),    cmocka_unit_test(test_left_out),
        cmocka_unit_test(test_doubled),  cmocka_unit_test(test_out_of_order),
        cmocka_unit_test(test_altered),  cmocka_unit_test(test_forged),
        cmocka_unit_test(test_part),     cmocka_unit_test(test_past),
        cmocka_unit_test(test_in_force), cmocka_unit_test(test_lost),
    };
    const char *given = getenv("SEED");
    seed = given == NULL ? 20260101 : strtoull(given, NULL, 10);
    printf("SEED=%llu\n", (unsigned long long)seed);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
