/* What a registry had approved at a moment, at the first and the last second of everything, and
 * only from operations that a proven state leads back to. */
#include "resolver/entry/past_at.h"
#include "tests/support/history.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define AT(block) (FAKE_HISTORY_START_S + (block))
#define DOC(id) "[{\"measurement_id\":\"" id "\",\"attestation_type\":\"dcap-tdx\"}]"

static struct fake_history fake;

/* 100 init; 200 approve 1 (from 250 on); 300 approve 2 (350 to 450); 400 revoke 1 and approve 3 (at
 * once); 500 the heartbeat, which ends at 600; 700 another, of 9000. */
static void set_up(void)
{
    fake_history_init(&fake);
    fake_history_add(&fake, 100, 0);
    fake_history_approve(&fake, 200, DOC("one"), AT(250), 0);
    fake_history_approve(&fake, 300, DOC("two"), AT(350), AT(450));
    fake_history_revoke(&fake, 400, 0);
    fake_history_approve(&fake, 400, DOC("gone"), AT(400), 0);
    fake_history_heartbeat(&fake, 500, AT(600));
    fake_history_heartbeat(&fake, 700, AT(9000));
}

static enum ms_err add(struct past_at *past, size_t i, struct ms_diag *diag)
{
    static const struct eth_hash none;
    return past_at_add(past, &fake.event[i], i == 0 ? &none : &fake.event[i - 1].history_hash,
                       diag);
}

static struct past_at *past_of(uint64_t time_s)
{
    struct past_at *past = NULL;

    assert_int_equal(past_at_new(time_s, &past), MS_OK);
    for (size_t i = 0; i < fake.n; i++)
        assert_int_equal(add(past, i, NULL), MS_OK);
    return past;
}

/* Two of the three documents are at hand; the first cannot be read. */
static enum ms_err document(void *arg, const struct registry_release *release, struct rec_set *set,
                            struct ms_diag *diag)
{
    (void)arg;
    (void)set;
    if (release->id == 3)
        return MS_ERR_NOT_FOUND;
    return release->id == 2 ? MS_OK : ms_diag_set(diag, MS_ERR_RECORDS, "no list");
}

static const struct {
    uint64_t at;
    enum past_at_verdict verdict;
    int operation;
    const char *releases, *why;
} moments[] = {
    {0, PAST_AT_NOTHING, 0, "", "no registry before its first operation, in block 100"},
    {99, PAST_AT_NOTHING, 0, "", "no registry"},
    {100, PAST_AT_COUNTS, 1, "", "nothing was in force after operation 1"},
    {199, PAST_AT_COUNTS, 1, "", "nothing"},
    {200, PAST_AT_COUNTS, 2, "1 pending unreadable", "nothing was in force"},
    {249, PAST_AT_COUNTS, 2, "1 pending unreadable", "nothing was in force"},
    {250, PAST_AT_COUNTS, 2, "1 in-force unreadable", "governance's word after operation 2"},
    {300, PAST_AT_COUNTS, 3, "1 in-force unreadable, 2 pending known", ""},
    {350, PAST_AT_COUNTS, 3, "1 in-force unreadable, 2 in-force known", ""},
    {399, PAST_AT_COUNTS, 3, "1 in-force unreadable, 2 in-force known", ""},
    {400, PAST_AT_COUNTS, 5, "2 in-force known, 3 in-force missing", "operation 5"},
    {449, PAST_AT_COUNTS, 5, "2 in-force known, 3 in-force missing", ""},
    {450, PAST_AT_COUNTS, 5, "2 expired known, 3 in-force missing", ""},
    {500, PAST_AT_COUNTS, 6, "2 expired known, 3 in-force missing", ""},
    {600, PAST_AT_COUNTS, 6, "2 expired known, 3 in-force missing", ""},
    {601, PAST_AT_LAPSED, 6, "2 expired known, 3 expired missing", "governance itself ended"},
    {699, PAST_AT_LAPSED, 6, "2 expired known, 3 expired missing", ""},
    {700, PAST_AT_COUNTS, 7, "2 expired known, 3 in-force missing", ""},
    {9001, PAST_AT_LAPSED, 7, "2 expired known, 3 expired missing", ""},
};

static void list(const json_t *root, char *out, size_t size)
{
    size_t i, n = 0;
    json_t *one;

    out[0] = '\0';
    json_array_foreach(json_object_get(root, "releases"), i, one)
    {
        bool known = strcmp(json_string_value(json_object_get(one, "document")), "known") == 0;
        assert_int_equal(json_object_get(one, "records") != NULL, known);
        assert_int_equal(strlen(json_string_value(json_object_get(one, "payload"))), 71);
        n += (size_t)snprintf(out + n, size - n, "%s%lld %s %s", i == 0 ? "" : ", ",
                              (long long)json_integer_value(json_object_get(one, "id")),
                              json_string_value(json_object_get(one, "status")),
                              json_string_value(json_object_get(one, "document")));
    }
}

static void test_moments(void **state)
{
    (void)state;
    set_up();
    for (size_t i = 0; i < MS_ARRAY_LEN(moments); i++) {
        struct past_at *past = past_of(AT(moments[i].at));
        struct ms_diag why;
        char got[256];

        past_at_why(past, &why);
        json_t *root = past_at_json(past, document, NULL);
        list(root, got, sizeof(got));
        if (past_at_verdict(past) != moments[i].verdict || strcmp(got, moments[i].releases) != 0 ||
            strstr(why.text, moments[i].why) == NULL ||
            json_integer_value(json_object_get(root, "operation")) != moments[i].operation)
            fail_msg("at %d: verdict %d, %s: %s", (int)moments[i].at, past_at_verdict(past), got,
                     why.text);
        json_decref(root);
        past_at_free(past);
    }
    fake_history_done(&fake);
}

static struct operations_proof proof_of(void)
{
    struct registry_snapshot snapshot = {
        .state = fake.state, .n_releases = fake.n_live, .releases = fake.live};
    struct eth_hash commitment = registry_commitment(&snapshot);
    struct operations_proof proof = {.newest = history_newest(&fake.state)};

    memcpy(proof.commitment.b, commitment.b, sizeof(commitment.b));
    return proof;
}

/* Not fewer operations than the state knows of, no others, and to its releases. */
static void test_proof(void **state)
{
    struct past_at *past = NULL;
    (void)state;
    set_up();
    struct operations_proof proof = proof_of();
    past = past_of(AT(300));
    assert_int_equal(past_at_prove(past, &proof, NULL), MS_OK);
    proof.newest.hash.b[3] ^= 1;
    assert_int_equal(past_at_prove(past, &proof, NULL), MS_ERR_COMMITMENT);
    proof = proof_of();
    proof.commitment.b[3] ^= 1;
    assert_int_equal(past_at_prove(past, &proof, NULL), MS_ERR_COMMITMENT);
    past_at_free(past);
    proof = proof_of();
    for (size_t n = 0; n < fake.n; n++) { /* the newest are missing */
        assert_int_equal(past_at_new(AT(300), &past), MS_OK);
        for (size_t i = 0; i < n; i++)
            assert_int_equal(add(past, i, NULL), MS_OK);
        assert_int_equal(past_at_prove(past, &proof, NULL), MS_ERR_COMMITMENT);
        past_at_free(past);
    }
    fake_history_done(&fake);
}

/* Behind a gap nothing counts: neither from the first on, nor in between. */
static void test_gaps(void **state)
{
    struct past_at *past = NULL;
    (void)state;
    set_up();
    for (size_t gap = 0; gap + 1 < fake.n; gap++) {
        assert_int_equal(past_at_new(AT(10000), &past), MS_OK);
        for (size_t i = 0; i < fake.n; i++)
            if (i != gap)
                assert_int_equal(add(past, i, NULL), MS_OK);
        assert_int_equal(past_at_newest(past), gap);
        assert_int_equal(past_at_behind_gap(past), gap + 2);
        past_at_free(past);
    }
    fake_history_done(&fake);
}

static void test_links(void **state)
{
    struct past_at *past = NULL;
    struct ms_diag diag = {0};
    (void)state;
    set_up();
    for (int member = 0; member < 5; member++) {
        struct registry_event event = fake.event[3];
        struct eth_hash before = fake.event[2].history_hash;
        assert_int_equal(past_at_new(AT(10000), &past), MS_OK);
        for (size_t i = 0; i < 3; i++)
            assert_int_equal(add(past, i, NULL), MS_OK);
        if (member == 0)
            event.timestamp_s--;
        else if (member == 1)
            event.history_hash.b[0] ^= 1;
        else if (member == 2)
            before.b[0] ^= 1;
        else if (member == 3)
            event.prev_block--;
        if (member >= 3) /* a link in itself, but not on the one before */
            before.b[1] ^= member == 4;
        if (member >= 3)
            event.history_hash = registry_history_hash(&before, &event);
        diag = (struct ms_diag){0};
        assert_int_equal(past_at_add(past, &event, &before, &diag), MS_ERR_COMMITMENT);
        assert_non_null(strstr(diag.text, "operation 4 (revoke of release 1"));
        past_at_free(past);
    }
    fake_history_done(&fake);
}

/* A kind of later contracts: what came before is known, what it led to is not. */
static void test_strange(void **state)
{
    struct past_at *past = NULL;
    struct ms_diag why;
    (void)state;
    set_up();
    struct registry_event event = fake.event[3];
    event.kind = 77;
    event.history_hash = registry_history_hash(&fake.event[2].history_hash, &event);
    for (int after = 0; after < 2; after++) {
        assert_int_equal(past_at_new(AT(399 + (uint64_t)after), &past), MS_OK);
        for (size_t i = 0; i < 3; i++)
            assert_int_equal(add(past, i, NULL), MS_OK);
        assert_int_equal(past_at_add(past, &event, &fake.event[2].history_hash, NULL), MS_OK);
        assert_int_equal(past_at_verdict(past), after ? PAST_AT_UNKNOWN : PAST_AT_COUNTS);
        past_at_why(past, &why);
        assert_int_equal(strstr(why.text, "operation 4 is not understood") != NULL, after);
        past_at_free(past);
    }
    fake_history_done(&fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_moments), cmocka_unit_test(test_proof),   cmocka_unit_test(test_gaps),
        cmocka_unit_test(test_links),   cmocka_unit_test(test_strange),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
