/* The envelope: what is told in which state, and what is in force. */
#include "resolver/entry/envelope.h"
#include "resolver/source/kinds.h"
#include "tests/support/play.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define NOW_S (CHAIN_GENESIS_S + 12 * 180)

static struct chain chain;
static struct node nodes[2];
static struct play play;
static struct spec spec;

static json_t *render(struct entry_view view, const struct entry *entry, bool with_result)
{
    static const struct ms_json_limits limits = {ENVELOPE_MAX_BYTES, 16, 65536, 0};
    struct ms_buf text = MS_BUF_INIT(ENVELOPE_MAX_BYTES);
    struct ms_sha256 evidence = {{1}};
    struct envelope_input in = {.spec = &spec,
                                .result = with_result ? play.result : NULL,
                                .view = view,
                                .entry = entry,
                                .evidence = &evidence,
                                .now = {NOW_S, 1000000, 0}};
    json_t *root = NULL;

    assert_int_equal(envelope_render(&in, &text), MS_OK);
    assert_int_equal(text.ptr[text.len - 1], '}');
    assert_int_equal(ms_json_parse(ms_buf_span(&text), &limits, &root, NULL), MS_OK);
    ms_buf_done(&text);
    return root;
}

static const char *text_of(const json_t *root, const char *name)
{
    return json_string_value(json_object_get(root, name));
}

static void test_served(void **state)
{
    (void)state;
    struct entry entry = {.good = true, .checked_boot_ms = 990000};
    struct entry_view view = {
        .state = ENTRY_FRESH, .serve = true, .soft_until_ms = 1005000, .serve_until_ms = 1060000};
    json_t *root = render(view, &entry, true);

    assert_string_equal(text_of(root, "state"), "fresh");
    assert_string_equal(text_of(root, "trust"), "proof");
    assert_string_equal(text_of(root, "kind"), "contract");
    assert_int_equal(json_integer_value(json_object_get(root, "sequence")), 4);
    assert_int_equal(json_integer_value(json_object_get(root, "fetched_at")), NOW_S - 10);
    assert_int_equal(json_integer_value(json_object_get(root, "fresh_until")), NOW_S + 5);
    assert_int_equal(json_integer_value(json_object_get(root, "valid_until")), NOW_S + 60);
    const json_t *releases = json_object_get(root, "releases");
    assert_int_equal(json_array_size(releases), 3);
    static const char *const want[] = {"in-force", "pending", "expired"};
    for (size_t i = 0; i < 3; i++)
        assert_string_equal(text_of(json_array_get(releases, i), "status"), want[i]);
    assert_null(json_object_get(root, "error"));
    json_decref(root);
}

static void test_refused(void **state)
{
    (void)state;
    struct entry entry = {.good = true, .last_err = MS_ERR_CONNECT};
    struct entry_view view = {.state = ENTRY_EXPIRED, .err = MS_ERR_STALE};
    json_t *root = render(view, &entry, true);

    assert_string_equal(text_of(root, "state"), "expired");
    assert_int_equal(json_array_size(json_object_get(root, "releases")), 0);
    assert_string_equal(text_of(json_object_get(root, "error"), "code"), "stale");
    assert_null(json_object_get(root, "trust")); /* nothing of a set that is not served */
    assert_null(json_object_get(root, "set_hash"));
    json_decref(root);
}

static void test_stale_warning(void **state)
{
    (void)state;
    struct entry entry = {.good = true, .last_err = MS_ERR_CONNECT};
    struct entry_view view = {
        .state = ENTRY_SIE, .serve = true, .soft_until_ms = 1, .serve_until_ms = 2000000};

    for (size_t i = 0; i < 2; i++) {
        json_t *root = render(view, &entry, true);
        const json_t *warnings = json_object_get(root, "warnings");
        const json_t *last = json_array_get(warnings, json_array_size(warnings) - 1);
        assert_string_equal(text_of(last, "code"), "stale-if-error");
        assert_string_equal(text_of(last, "text"),
                            i == 0 ? "could not connect" : "the source has not answered since");
        json_decref(root);
        entry.last_err = MS_OK;
    }
}

static void test_in_force(void **state)
{
    (void)state;
    const struct rec_set *sets[SOURCE_RELEASES_MAX];
    size_t index[SOURCE_RELEASES_MAX];
    int64_t next_s = -1;

    struct entry entry = {.good = true};
    assert_int_equal(envelope_in_force(play.result, NULL, &entry,
                                       (struct ms_now){.wall_s = NOW_S, .boot_ms = 0}, sets, index,
                                       &next_s),
                     1);
    assert_int_equal(index[0], 0);
    assert_int_equal(next_s, NOW_S + 300); /* when the pending one comes into force */
    struct ms_now end = {.wall_s = NOW_S + 500, .boot_ms = 0};
    assert_int_equal(envelope_in_force(play.result, NULL, &entry, end, sets, index, &next_s), 0);
    assert_int_equal(next_s, 0);
    struct envelope_input in = {.spec = &spec,
                                .result = play.result,
                                .entry = &entry,
                                .now = end,
                                .view = {.state = ENTRY_SWR, .serve = true}};
    assert_int_equal(envelope_state(&in), ENTRY_REVOKED);
    in.view.serve = false; /* what is not served is not empty */
    in.view.state = ENTRY_EXPIRED;
    assert_int_equal(envelope_state(&in), ENTRY_EXPIRED);
}

static bool warns_of_age(const json_t *root)
{
    const json_t *warnings = json_object_get(root, "warnings");
    bool found = false;
    for (size_t i = 0; i < json_array_size(warnings); i++)
        found = found || strcmp(text_of(json_array_get(warnings, i), "code"), "old-finality") == 0;
    return found;
}

/* A later block in which the set still stands: it is shown, its time counts for windows, and so
 * does its age. */
static void test_later_block(void **state)
{
    (void)state;
    struct chain other;
    struct node tells[2];
    const struct rec_set *sets[SOURCE_RELEASES_MAX];
    struct play p = {.spec = CHAIN_SPEC,
                     .policy = play_policy(SPEC_LEVEL_L2, 2, 2),
                     .now = {chain_time(100) + 1000, 1000, 0},
                     .nodes = tells};
    struct entry entry = {
        .rules = &entry_rules_default, .good = true, .chain = true, .life = {.ceiling_s = 21600}};
    struct source_block later = {.chain = 1, .number = 102, .time_s = chain_time(102)};

    chain_init(&other);
    chain_approve(&other, chain_document(1), NULL)->not_before_s = (uint64_t)chain_time(101);
    for (size_t i = 0; i < 2; i++)
        tells[i] = (struct node){.chain = &other, .final = 100, .head = 150};
    play_run(&p);
    assert_int_equal(p.err, MS_OK);
    assert_int_equal(envelope_in_force(p.result, NULL, &entry, p.now, sets, NULL, NULL), 0);
    assert_int_equal(envelope_in_force(p.result, &later, &entry, p.now, sets, NULL, NULL), 1);
    entry.evidence_time_s = chain_time(102);
    for (int old = 0; old < 2; old++) {
        struct envelope_input in = {.spec = &spec,
                                    .result = p.result,
                                    .block = &later,
                                    .entry = &entry,
                                    .now = {chain_time(102) + 1800 + old, 1000, 0},
                                    .view = {.state = ENTRY_FRESH, .serve = true}};
        struct ms_buf text = MS_BUF_INIT(ENVELOPE_MAX_BYTES);
        source_result_warn(p.result, "old-finality", "of the block it was read at");
        assert_int_equal(envelope_render(&in, &text), MS_OK);
        json_t *root = json_loadb((const char *)text.ptr, text.len, 0, NULL);
        const json_t *source = json_object_get(root, "source");
        assert_int_equal(json_integer_value(json_object_get(source, "block")), 102);
        assert_int_equal(json_integer_value(json_object_get(source, "block_time")),
                         chain_time(102));
        assert_int_equal(warns_of_age(root), old == 1);
        in.block = NULL;
        ms_buf_reset(&text);
        json_decref(root);
        assert_int_equal(envelope_render(&in, &text), MS_OK);
        root = json_loadb((const char *)text.ptr, text.len, 0, NULL);
        assert_int_equal(warns_of_age(root), old == 1); /* as of now, whatever was said then */
        json_decref(root);
        ms_buf_done(&text);
    }
    play_done(&p);
    chain_done(&other);
}

static void test_trust(void **state)
{
    (void)state;
    static const struct {
        enum source_trust trust;
        const char *want;
    } rows[] = {
        {SOURCE_TRUST_NONE, "none"},
        {SOURCE_TRUST_SELF, "self"},
        {SOURCE_TRUST_TLS, "tls"},
        {SOURCE_TRUST_SINGLE, "single"},
        {SOURCE_TRUST_QUORUM, "quorum 2/3"},
        {SOURCE_TRUST_PROOF, "proof"},
        {SOURCE_TRUST_SIGNERS, "signers 2/3"},
    };
    for (size_t i = 0; i < MS_ARRAY_LEN(rows); i++) {
        struct source_result r = {.trust = rows[i].trust, .trust_k = 2, .trust_n = 3};
        char out[32];
        envelope_trust(&r, out);
        assert_string_equal(out, rows[i].want);
    }
}

/* Texts from elsewhere that look like the end of an envelope stay inside their strings. */
static void test_spelling(void **state)
{
    (void)state;
    static const struct {
        const char *envelope, *elements, *want;
    } rows[] = {
        {"{\"v\":1,\"warnings\":[]}", "", "{\"v\":1,\"warnings\":[]}"},
        {"{\"v\":1,\"warnings\":[]}", "{\"code\":\"x\"}",
         "{\"v\":1,\"warnings\":[{\"code\":\"x\"}]}"},
        {"{\"v\":1,\"warnings\":[{}]}", "{\"code\":\"x\"}",
         "{\"v\":1,\"warnings\":[{\"code\":\"x\"},{}]}"},
        {"{\"warnings\":[{\"text\":\"\\\"warnings\\\":[\"}]}", "{}",
         "{\"warnings\":[{},{\"text\":\"\\\"warnings\\\":[\"}]}"},
    };
    for (size_t i = 0; i < MS_ARRAY_LEN(rows); i++) {
        struct ms_buf out = MS_BUF_INIT(4096);
        assert_int_equal(envelope_add_spelling(ms_span_str(rows[i].envelope),
                                               ms_span_str(rows[i].elements), &out),
                         MS_OK);
        assert_string_equal(ms_buf_str(&out), rows[i].want);
        ms_buf_done(&out);
    }
}

static int setup(void **state)
{
    (void)state;
    static const struct spec_context context;

    chain_init(&chain);
    struct registry_release *r = chain_approve(&chain, chain_document(1), NULL);
    r->not_after_s = (uint64_t)NOW_S + 500;
    r = chain_approve(&chain, chain_document(2), NULL);
    r->not_before_s = (uint64_t)NOW_S + 300;
    r = chain_approve(&chain, chain_document(3), NULL);
    r->not_after_s = (uint64_t)NOW_S - 1;
    for (size_t i = 0; i < 2; i++)
        nodes[i] = (struct node){.chain = &chain, .final = 100, .head = 170};
    play = (struct play){.spec = CHAIN_SPEC,
                         .policy = play_policy(SPEC_LEVEL_L3, 2, 2),
                         .now = {NOW_S, 5, 0},
                         .nodes = nodes};
    play_run(&play);
    spec_init(&spec);
    return play.err == MS_OK && spec_parse(ms_span_str(CHAIN_SPEC), &context, &spec, NULL) == MS_OK
               ? 0
               : -1;
}

static int teardown(void **state)
{
    (void)state;
    play_done(&play);
    spec_done(&spec);
    chain_done(&chain);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_served),        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_stale_warning), cmocka_unit_test(test_in_force),
        cmocka_unit_test(test_later_block),   cmocka_unit_test(test_trust),
        cmocka_unit_test(test_spelling),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
