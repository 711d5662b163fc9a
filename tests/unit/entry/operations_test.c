/* Stored operations are only believed when they lead back from a proven state, and up to it; and
 * what is told of them. */
#include "resolver/entry/operations.h"
#include "tests/support/history.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define LENGTH 40u

static struct fake_history fake;
static struct operations_proof proofs[LENGTH + 1]; /* after each operation */

static void set_up(void)
{
    uint64_t pick = 99;

    fake_history_init(&fake);
    for (uint64_t i = 0; i < LENGTH; i++) {
        pick = pick * 6364136223846793005u + 1442695040888963407u;
        fake_history_add(&fake, 100 + i * 2 / 3, pick >> 20);
        struct registry_snapshot snapshot = {
            .state = fake.state, .n_releases = fake.n_live, .releases = fake.live};
        struct eth_hash commitment = registry_commitment(&snapshot);
        proofs[i + 1].newest = history_newest(&fake.state);
        memcpy(proofs[i + 1].commitment.b, commitment.b, sizeof(commitment.b));
    }
}

/* The first byte of a bundle's name says which state it proves. */
static enum ms_err prove(void *arg, const struct ms_sha256 *bundle,
                         struct operations_proof *ret_proof, struct ms_diag *diag)
{
    (void)arg;
    if (bundle->b[0] > LENGTH)
        return ms_diag_set(diag, MS_ERR_EVIDENCE, "no such bundle");
    *ret_proof = proofs[bundle->b[0]];
    return MS_OK;
}

static struct operations_row row(uint64_t sequence, uint8_t bundle)
{
    struct operations_row r = {.event = fake.event[sequence - 1], .bundle = {{bundle}}};
    if (sequence > 1)
        r.before = fake.event[sequence - 2].history_hash;
    return r;
}

static enum ms_err run(const struct operations_row *rows, size_t n,
                       struct operations_verdict *ret_verdict, struct ms_diag *diag)
{
    struct operations_check *check = NULL;

    assert_int_equal(operations_check_new(prove, NULL, &check), MS_OK);
    enum ms_err err = MS_OK;
    for (size_t i = 0; err == MS_OK && i < n; i++)
        err = operations_check_add(check, &rows[i], diag);
    if (err == MS_OK)
        err = operations_check_end(check, ret_verdict, diag);
    operations_check_free(check);
    return err;
}

static struct operations_row rows[LENGTH];

static void fill(void)
{
    for (uint64_t s = 1; s <= LENGTH; s++)
        rows[s - 1] = row(s, s <= 10 ? 25 : s <= 25 ? 25 : s <= 30 ? 30 : LENGTH);
}

static void must(enum ms_err want, const char *words, const char *what)
{
    struct operations_verdict verdict;
    struct ms_diag diag = {0};
    enum ms_err err = run(rows, LENGTH, &verdict, &diag);
    if (err != want || strstr(diag.text, words) == NULL)
        fail_msg("%s: got %s: %s", what, ms_err_name(err), diag.text);
}

static void test_check(void **state)
{
    struct operations_verdict v;
    struct ms_diag diag = {0};
    char name[32];
    (void)state;
    set_up();
    fill();
    must(MS_OK, "", "all right");
    assert_int_equal(run(rows, LENGTH, &v, &diag), MS_OK);
    assert_true(v.whole && v.n == LENGTH && v.newest == LENGTH && v.recomputed == LENGTH &&
                v.missing == 0);
    for (uint64_t s = 1; s <= LENGTH; s++) {
        (void)snprintf(name, sizeof(name), "operation %llu ", (unsigned long long)s);
        for (int member = 0; member < 7; member++) {
            fill();
            struct registry_event *e = &rows[s - 1].event;
            uint64_t *numbers[] = {&e->block, &e->prev_block, &e->timestamp_s, &e->id};
            if (member < 4)
                *numbers[member] ^= 1;
            else if (member == 4)
                e->kind ^= 1;
            else if (member == 5)
                e->history_hash.b[0] ^= 1;
            else
                rows[s - 1].before.b[0] ^= 1;
            must(MS_ERR_COMMITMENT, name, "a member");
        }
        fill();
        rows[s - 1].bundle.b[0] = (uint8_t)(s - 1);
        must(MS_ERR_COMMITMENT, name, "an older state");
    }
    fill();
    rows[20].bundle.b[0] = 200;
    must(MS_ERR_EVIDENCE, "no such", "a bundle that is not there");
    fake_history_done(&fake);
}

/* Rows that a forger made, consistent among themselves, are not what the state leads back to. */
static void test_forged(void **state)
{
    (void)state;
    set_up();
    fill();
    for (uint64_t s = 5; s <= LENGTH; s++) {
        struct operations_row *r = &rows[s - 1];
        r->event.timestamp_s += 1;
        r->before = rows[s - 2].event.history_hash;
        r->event.history_hash = registry_history_hash(&r->before, &r->event);
    }
    must(MS_ERR_COMMITMENT, "not the one that its bundle proves", "forged from 5 on");
    /* the commitment counts as well */
    fill();
    proofs[30].commitment.b[0] ^= 1;
    must(MS_ERR_COMMITMENT, "lead to another state", "another commitment");
    fake_history_done(&fake);
}

/* A back-fill that was cut short leaves a part, from a state down; a later one another above it. */
static void test_gaps(void **state)
{
    struct operations_verdict v;
    struct ms_diag diag = {0};
    (void)state;
    set_up();
    fill();
    assert_int_equal(run(rows + 14, 11, &v, &diag), MS_OK); /* 15..25 of state 25 */
    assert_true(!v.whole && v.missing == 14 && v.newest == 25 && v.recomputed == 0);
    struct operations_row parts[16];
    memcpy(parts, rows + 14, 11 * sizeof(rows[0]));
    memcpy(parts + 11, rows + 35, 5 * sizeof(rows[0]));
    assert_int_equal(run(parts, 16, &v, &diag), MS_OK); /* and 36..40 of state 40 */
    assert_true(!v.whole && v.missing == 35 && v.newest == 40);
    /* a part that does not reach up to its state */
    assert_int_equal(run(rows + 14, 10, &v, &diag), MS_ERR_COMMITMENT);
    memcpy(parts + 10, rows + 35, 5 * sizeof(rows[0]));
    assert_int_equal(run(parts, 15, &v, &diag), MS_ERR_COMMITMENT);
    assert_non_null(strstr(diag.text, "operation 24"));
    assert_int_equal(run(rows, 0, &v, &diag), MS_OK);
    assert_false(v.whole);
    /* twice, or out of order */
    parts[1] = parts[0];
    assert_int_equal(run(parts, 2, &v, &diag), MS_ERR_COMMITMENT);
    fake_history_done(&fake);
}

/* However long a daemon has watched: each operation rests on the state that it saw right after it.
 */
#define LONG (OPERATIONS_BUNDLES_MAX + 500u)

static struct eth_hash long_hashes[LONG + 1];

static enum ms_err prove_long(void *arg, const struct ms_sha256 *bundle,
                              struct operations_proof *ret_proof, struct ms_diag *diag)
{
    uint64_t sequence = (uint64_t)bundle->b[0] << 8 | bundle->b[1];

    (void)diag;
    *ret_proof = *(const struct operations_proof *)arg;
    ret_proof->newest =
        (struct history_at){.sequence = sequence, .block = sequence, .hash = long_hashes[sequence]};
    return MS_OK;
}

static void test_long(void **state)
{
    static struct operations_proof proof; /* the first operation is missing: no state is compared */
    struct operations_check *check = NULL;
    struct operations_verdict verdict;
    struct ms_diag diag = {0};
    (void)state;

    assert_int_equal(operations_check_new(prove_long, &proof, &check), MS_OK);
    for (uint64_t s = 2; s <= LONG; s++) {
        struct operations_row r = {
            .event = {.sequence = s, .block = s, .prev_block = s - 1, .timestamp_s = s, .kind = 5},
            .before = long_hashes[s - 1],
            .bundle = {{(uint8_t)(s >> 8), (uint8_t)s}}};
        long_hashes[s] = r.event.history_hash = registry_history_hash(&r.before, &r.event);
        if (operations_check_add(check, &r, &diag) != MS_OK)
            fail_msg("operation %llu: %s", (unsigned long long)s, diag.text);
    }
    assert_int_equal(operations_check_end(check, &verdict, &diag), MS_OK);
    assert_int_equal(verdict.n, LONG - 1);
    operations_check_free(check);
}

/* Where operation `sequence` approves release `sequence`: an approval of the fake history, with its
 * numbers. */
static struct ms_span approval_of(uint64_t sequence, uint8_t *data)
{
    const struct registry_event *e = fake.event;

    while (e->kind != REGISTRY_APPROVE)
        e++;
    memcpy(data, e->data.ptr, e->data.len);
    for (size_t i = 0; i < 8; i++) /* id and approvedSeq, the first and the fifth of the struct */
        data[64 + 24 + i] = data[64 + 4 * 32 + 24 + i] = (uint8_t)(sequence >> (56 - 8 * i));
    return ms_span_of(data, e->data.len);
}

static enum ms_err prove_above(void *arg, const struct ms_sha256 *bundle,
                               struct operations_proof *ret_proof, struct ms_diag *diag)
{
    (void)arg;
    (void)bundle;
    (void)diag;
    *ret_proof = (struct operations_proof){.newest = {.sequence = HISTORY_OPERATIONS_MAX + 1}};
    return MS_OK;
}

/* As many approvals as a registry may have are checked in the memory there is for it. */
static void test_most(void **state)
{
    struct operations_check *check = NULL;
    struct operations_verdict verdict;
    struct operations_row r = {0};
    struct ms_diag diag = {0};
    uint8_t data[2048];
    (void)state;

    set_up();
    assert_int_equal(operations_check_new(prove_above, NULL, &check), MS_OK);
    for (uint64_t s = 1; s <= HISTORY_OPERATIONS_MAX; s++) {
        r.event = (struct registry_event){.sequence = s,
                                          .id = s,
                                          .block = s,
                                          .prev_block = s - 1,
                                          .timestamp_s = s,
                                          .kind = REGISTRY_APPROVE,
                                          .data = approval_of(s, data)};
        r.event.history_hash = registry_history_hash(&r.before, &r.event);
        if (operations_check_add(check, &r, &diag) != MS_OK)
            fail_msg("operation %llu: %s", (unsigned long long)s, diag.text);
        r.before = r.event.history_hash;
    }
    /* nothing met the state that all rest on, which lies above them */
    assert_int_equal(operations_check_end(check, &verdict, &diag), MS_ERR_COMMITMENT);
    operations_check_free(check);
    fake_history_done(&fake);
}

static bool known_document(void *arg, const struct registry_release *release)
{
    return release->id == *(uint64_t *)arg;
}

static void test_json(void **state)
{
    struct ms_arena arena = MS_ARENA_INIT((size_t)4 << 20);
    struct history_past past = {0};
    struct ms_sha256 evidence = {{1}};
    uint64_t id = 1;
    struct operation_facts facts = {&evidence, "first", known_document, &id};
    bool seen[10] = {false};
    (void)state;
    set_up();
    for (size_t i = 0; i < LENGTH; i++) {
        static const char *const members[] = {"sequence", "time",     "state",   "block",
                                              "kind",     "added",    "hash",    "removed",
                                              "live",     "evidence", "provider"};
        struct history_operation op;
        assert_int_equal(history_operation_read(&fake.event[i], &arena, &op), MS_OK);
        json_t *json = operation_json(&op, &past, &facts);
        assert_non_null(json);
        for (size_t m = 0; m < MS_ARRAY_LEN(members); m++)
            if (json_object_get(json, members[m]) == NULL)
                fail_msg("operation %zu has no %s", i + 1, members[m]);
        assert_int_equal(json_integer_value(json_object_get(json, "sequence")), i + 1);
        size_t added = json_array_size(json_object_get(json, "added"));
        size_t removed = json_array_size(json_object_get(json, "removed"));
        uint8_t kind = op.event.kind;
        seen[kind] = true;
        assert_int_equal(added, kind == REGISTRY_APPROVE || kind == REGISTRY_SHORTEN);
        assert_int_equal(removed, kind >= REGISTRY_REVOKE && kind <= REGISTRY_PRUNE);
        assert_string_equal(json_string_value(json_object_get(json, "state")),
                            past.n_live > 0 ? "good" : "revoked");
        if (added == 1 && kind == REGISTRY_APPROVE) {
            json_t *one = json_array_get(json_object_get(json, "added"), 0);
            assert_string_equal(json_string_value(json_object_get(one, "document")),
                                op.event.id == 1 ? "known" : "missing");
        }
        json_decref(json);
    }
    for (size_t k = 0; k < MS_ARRAY_LEN(seen); k++)
        if (!seen[k])
            fail_msg("no operation of kind %zu was tried", k);
    /* one that is not understood is told as it is, and nothing is claimed from then on */
    struct history_operation op = {.event = {.sequence = LENGTH + 1, .kind = 77}};
    json_t *json = operation_json(&op, &past, &facts);
    assert_string_equal(json_string_value(json_object_get(json, "state")), "unknown");
    assert_string_equal(json_string_value(json_object_get(json, "kind")), "unknown");
    assert_non_null(json_object_get(json, "data"));
    assert_null(json_object_get(json, "live"));
    json_decref(json);
    ms_arena_done(&arena);
    fake_history_done(&fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_check), cmocka_unit_test(test_forged),
                                       cmocka_unit_test(test_gaps),  cmocka_unit_test(test_long),
                                       cmocka_unit_test(test_most),  cmocka_unit_test(test_json)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
