/* Bundles: written from a run they lead to the same verdict; changed anywhere they are refused, or
 * lead to the same one. (Every play of the other tests writes and verifies one, too.) */
#include "tests/support/mapping.h"
#include "tests/support/play.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#define NOW_S (CHAIN_GENESIS_S + 12 * 180)
#define FLIPS 400
#define GROUP_64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static struct chain chain;
static char document[512];

static struct source_response serve(void *arg, const struct source_request *request)
{
    struct source_response r = {.status = 200, .body = ms_span_str(arg)};
    (void)request;
    r.header[SOURCE_HEADER_CACHE_CONTROL] = "max-age=100";
    r.header[SOURCE_HEADER_DATE] = "Tue, 14 Nov 2023 22:40:00 GMT";
    r.header[SOURCE_HEADER_ETAG] = "\"v1 \xe9\"";
    (void)snprintf(r.peer_sha256, sizeof(r.peer_sha256), "%064d", 7);
    return r;
}

static char inline_spec[600], sha256_spec[256];

/* One good run of each kind. */
static const struct kind {
    const char *name, *spec;
    enum spec_level level;
    enum node_lie first; /* what node 0 tells */
    const char *document;
} kinds[] = {
    {"inline", inline_spec, SPEC_LEVEL_L1, NODE_HONEST, NULL},
    {"sha256", sha256_spec, SPEC_LEVEL_L1, NODE_HONEST, document},
    {"location", "url:https://a.example/list.json", SPEC_LEVEL_L1, NODE_HONEST, document},
    {"l1", CHAIN_SPEC, SPEC_LEVEL_L1, NODE_HONEST, NULL},
    {"l1, the first is dead", CHAIN_SPEC, SPEC_LEVEL_L1, NODE_DEAD, NULL},
    {"l1, the first lies", CHAIN_SPEC, SPEC_LEVEL_L1, NODE_PROOF_KEY, NULL},
    {"l2", CHAIN_SPEC, SPEC_LEVEL_L2, NODE_HONEST, NULL},
    {"l2, the first is dead", CHAIN_SPEC, SPEC_LEVEL_L2, NODE_DEAD, NULL},
    {"l3", CHAIN_SPEC, SPEC_LEVEL_L3, NODE_HONEST, NULL},
    {"l3, no batches", CHAIN_SPEC, SPEC_LEVEL_L3, NODE_BATCH_413, NULL},
    {"l3, the first lies", CHAIN_SPEC, SPEC_LEVEL_L3, NODE_SNAPSHOT, NULL},
};

static void run(const struct kind *kind, struct play *p, struct node nodes[3])
{
    for (size_t i = 0; i < 3; i++)
        nodes[i] = (struct node){
            .chain = &chain, .lie = i == 0 ? kind->first : NODE_HONEST, .final = 100, .head = 170};
    *p = (struct play){.spec = kind->spec,
                       .policy = play_policy(kind->level, kind->level == SPEC_LEVEL_L1 ? 1 : 2, 3),
                       .previous = {.etag = "\"v0\"", .floor_sequence = 1},
                       .now = {NOW_S, 77, 0},
                       .nodes = nodes,
                       .http = serve,
                       .arg = document};
    play_run(p);
    if (p->err != MS_OK)
        fail_msg("%s: %s", kind->name, p->diag.text);
}

static enum ms_err verify(struct ms_span text, struct spec *spec, struct source_result **ret)
{
    struct ms_diag diag = {0};
    uint8_t *exact = malloc(text.len == 0 ? 1 : text.len);

    assert_non_null(exact);
    memcpy(exact, text.ptr, text.len);
    spec_init(spec);
    enum ms_err err = bundle_verify(ms_span_of(exact, text.len), spec, ret, &diag);
    free(exact);
    if (err != MS_OK)
        assert_int_not_equal(diag.text[0], '\0');
    return err;
}

static bool same_verdict(const struct source_result *a, const struct source_result *b)
{
    return ms_sha256_eq(&a->set_hash, &b->set_hash) &&
           ms_sha256_eq(&a->commitment, &b->commitment) && a->trust == b->trust &&
           a->level == b->level && a->has_sequence == b->has_sequence &&
           a->sequence == b->sequence && a->evidence_time_s == b->evidence_time_s;
}

/* Verify what is in the play's bundle now; whether it is refused or leads to the same. */
static bool refused_or_same(struct play *p, const struct ms_sha256 *key)
{
    struct source_result *result = NULL;
    struct spec spec;

    if (verify(ms_buf_span(&p->bundle), &spec, &result) != MS_OK)
        return true;
    bool ok = same_verdict(p->result, result) && ms_sha256_eq(key, &spec.key);
    source_result_free(result);
    spec_done(&spec);
    return ok;
}

static struct ms_sha256 key_of(const struct play *p)
{
    struct source_result *result = NULL;
    struct spec spec;

    assert_int_equal(verify(ms_buf_span(&p->bundle), &spec, &result), MS_OK);
    struct ms_sha256 key = spec.key;
    source_result_free(result);
    spec_done(&spec);
    return key;
}

static void test_flips(void **state)
{
    (void)state;
    uint32_t seed = (uint32_t)time(NULL);
    print_message("seed %u\n", seed);
    for (size_t k = 0; k < MS_ARRAY_LEN(kinds); k++) {
        struct node nodes[3];
        struct play p;
        run(&kinds[k], &p, nodes);
        struct ms_sha256 key = key_of(&p);
        size_t n = p.bundle.len < FLIPS ? p.bundle.len : FLIPS;
        for (size_t i = 0; i < n; i++) {
            seed = seed * 1664525u + 1013904223u;
            size_t at = n == p.bundle.len ? i : (seed >> 4) % p.bundle.len;
            uint8_t was = p.bundle.ptr[at];
            p.bundle.ptr[at] = (uint8_t)(was ^ 1u << (seed >> 29));
            if (!refused_or_same(&p, &key))
                fail_msg("%s: byte %zu, %02x for %02x: another verdict is accepted", kinds[k].name,
                         at, p.bundle.ptr[at], was);
            p.bundle.ptr[at] = was;
        }
        play_done(&p);
    }
}

static void test_prefixes(void **state)
{
    (void)state;
    for (size_t k = 0; k < 4; k++) {
        struct node nodes[3];
        struct play p;
        run(&kinds[k], &p, nodes);
        size_t step = p.bundle.len > 4000 ? 97 : 1;
        for (size_t n = 0; n < p.bundle.len; n += step) {
            struct source_result *result = NULL;
            struct spec spec;
            assert_int_equal(verify(ms_span_of(p.bundle.ptr, n), &spec, &result), MS_ERR_EVIDENCE);
        }
        play_done(&p);
    }
}

/* ---- changed with intent ---- */

static const struct ms_json_limits limits = {BUNDLE_MAX_BYTES, 16, 65536, 0};

static size_t index_of(const char *name)
{
    uint64_t value = 0;
    assert_true(ms_span_u64(ms_span_str(name), &value));
    return (size_t)value;
}

/* Set a member reached by "a.b.0.c" to a JSON text; verify. */
static enum ms_err verify_with(const struct play *p, const char *path, const char *value)
{
    struct ms_buf text = MS_BUF_INIT(BUNDLE_MAX_BYTES);
    struct source_result *result = NULL;
    json_t *root = NULL, *to = NULL;
    char name[64];
    struct spec spec;

    assert_int_equal(ms_json_parse(ms_buf_span(&p->bundle), &limits, &root, NULL), MS_OK);
    json_t *at = root;
    for (;;) {
        size_t n = strcspn(path, ".");
        (void)snprintf(name, sizeof(name), "%.*s", (int)n, path);
        path += n;
        if (*path == '\0')
            break;
        path++;
        at = json_is_array(at) ? json_array_get(at, index_of(name)) : json_object_get(at, name);
        assert_non_null(at);
    }
    if (value != NULL) {
        assert_int_equal(ms_json_parse(ms_span_str(value), &limits, &to, NULL), MS_OK);
        assert_int_equal(json_is_array(at) ? json_array_set_new(at, index_of(name), to)
                                           : json_object_set_new(at, name, to),
                         0);
    } else if (json_is_array(at)) {
        assert_int_equal(json_array_remove(at, index_of(name)), 0);
    } else {
        assert_int_equal(json_object_del(at, name), 0);
    }
    assert_int_equal(ms_json_dump(root, &text), MS_OK);
    enum ms_err err = verify(ms_buf_span(&text), &spec, &result);
    source_result_free(result);
    spec_done(&spec);
    ms_buf_done(&text);
    json_decref(root);
    return err;
}

/* Whoever may have voted is told: also the one whose name is as long as names may be. */
static void test_groups(void **state)
{
    struct bundle_about about;
    struct node nodes[3];
    struct play p;
    (void)state;
    for (size_t i = 0; i < 3; i++)
        nodes[i] = (struct node){.chain = &chain, .final = 100, .head = 170};
    p = (struct play){.spec = CHAIN_SPEC,
                      .policy = play_policy(SPEC_LEVEL_L3, 2, 3),
                      .now = {NOW_S, 77, 0},
                      .nodes = nodes};
    p.policy.providers[1].group = GROUP_64;
    play_run(&p);
    assert_int_equal(p.err, MS_OK);
    struct source_result *result = NULL;
    struct spec spec;
    spec_init(&spec);
    assert_int_equal(bundle_read(ms_buf_span(&p.bundle), &spec, &result, &about, NULL), MS_OK);
    assert_int_equal(about.n_groups, 3);
    assert_string_equal(about.groups[1], GROUP_64);
    source_result_free(result);
    spec_done(&spec);
    play_done(&p);
}

static void test_changes(void **state)
{
    (void)state;
    static const struct {
        size_t kind;
        const char *path, *value;
        enum ms_err want;
    } cases[] = {
        {8, "type", "\"measured-bundle/1\"", MS_OK},
        {8, "type", "\"measured-bundle/2\"", MS_ERR_EVIDENCE},
        {8, "type", NULL, MS_ERR_EVIDENCE},
        {8, "policy", NULL, MS_ERR_EVIDENCE},
        {0, "policy", NULL, MS_ERR_EVIDENCE}, /* also where nobody needs one */
        {0, "policy", "7", MS_ERR_EVIDENCE},
        {8, "policy.level", "\"l1\"", MS_ERR_EVIDENCE},
        {8, "policy.level", "\"l2\"", MS_ERR_EVIDENCE},
        {8, "policy.level", "\"l9\"", MS_ERR_EVIDENCE},
        {8, "policy.quorum", "3", MS_ERR_EVIDENCE}, /* two were asked who owns it */
        {8, "policy.quorum", "4", MS_ERR_EVIDENCE},
        {8, "policy.quorum", "-1", MS_ERR_EVIDENCE},
        {8, "policy.quorum", "99999", MS_ERR_EVIDENCE},
        {8, "policy.providers.0.group", "\"b\"", MS_OK},
        {8, "policy.providers.0.group", "\"" GROUP_64 "\"", MS_OK},
        {8, "policy.providers.0.group", "\"" GROUP_64 "x\"", MS_ERR_EVIDENCE},
        {8, "policy.providers.0.group", "\"\"", MS_ERR_EVIDENCE},
        {8, "policy.providers.0.proofs", "7", MS_ERR_EVIDENCE},
        {8, "policy.providers.0.name", NULL, MS_ERR_EVIDENCE},
        {8, "answers", "[]", MS_ERR_EVIDENCE},
        {8, "answers.0", NULL, MS_ERR_EVIDENCE},
        {8, "answers.0.error", "\"timeout\"", MS_OK}, /* two of three are enough */
        {8, "answers.3.body", "\"\"", MS_ERR_EVIDENCE},
        {8, "answers.0.id", "2", MS_ERR_EVIDENCE},
        {8, "answers.0.id", "0", MS_ERR_EVIDENCE},
        {8, "answers.0.id", "9999", MS_ERR_EVIDENCE},
        {8, "answers.0.status", "-1", MS_ERR_EVIDENCE},
        {8, "verdict", NULL, MS_ERR_EVIDENCE},
        {8, "verdict.sequence", "4", MS_ERR_EVIDENCE},
        {8, "verdict.sequence", NULL, MS_ERR_EVIDENCE},
        {8, "verdict.trust", "4", MS_ERR_EVIDENCE},
        {8, "verdict.level", "\"l2\"", MS_ERR_EVIDENCE},
        {8, "verdict.evidence_time", "1", MS_ERR_EVIDENCE},
        {8, "verdict.releases", "99", MS_ERR_EVIDENCE},
        {8, "verdict.epoch", "1", MS_ERR_EVIDENCE},
        {8, "previous.floor", "3", MS_OK},
        {8, "previous.floor", "4", MS_ERR_EVIDENCE},
        {8, "key", "\"00\"", MS_ERR_EVIDENCE},
        {8, "specifier", "\"eip155:1:0x0000000000000000000000000000000000000001\"",
         MS_ERR_EVIDENCE},
        {8, "text", "\"eip155:1:0x0000000000000000000000000000000000000001\"", MS_ERR_EVIDENCE},
        {8, "time", "1", MS_ERR_EVIDENCE}, /* the block would be of the future */
        {2, "answers.0.headers.etag", "\"\\u0100\"", MS_ERR_EVIDENCE},
        {2, "answers.0.headers.etag", "\"\\u00ff\"", MS_OK},
        {2, "answers.0.status", "304", MS_ERR_EVIDENCE},
        {2, "previous.etag", "\"\\u20ac\"", MS_ERR_EVIDENCE},
        {2, "previous.etag", NULL, MS_OK},
        {2, "answers.0.peer",
         "\"00000000000000000000000000000000000000000000000000000000000000000\"", MS_ERR_EVIDENCE},
        {4, "answers.0.error", "\"dns\"", MS_OK}, /* which failure does not matter */
    };
    for (size_t i = 0; i < MS_ARRAY_LEN(cases); i++) {
        struct node nodes[3];
        struct play p;
        run(&kinds[cases[i].kind], &p, nodes);
        enum ms_err err = verify_with(&p, cases[i].path, cases[i].value);
        if (err != cases[i].want)
            fail_msg("%s, %s = %s: %s", kinds[cases[i].kind].name, cases[i].path,
                     cases[i].value == NULL ? "nothing" : cases[i].value, ms_err_name(err));
        play_done(&p);
    }
}

/* ---- values that were asked about, and how far logs were searched ---- */

/* A contract that approves value 1, asked about it and about 2. */
static void run_asked(struct play *p, struct node nodes[2], struct chain *c,
                      struct chain_contract *app)
{
    struct source_candidate one = mapping_candidate(SOURCE_CANDIDATE_COMPOSE_HASH, 1);

    chain_init(c);
    mapping_app(app);
    mapping_set(app, &one, true);
    c->contract = app;
    for (size_t i = 0; i < 2; i++)
        nodes[i] = (struct node){.chain = c, .final = 100, .head = 170};
    *p = (struct play){.spec = CHAIN_SPEC ";kind=dstack-app",
                       .policy = play_policy(SPEC_LEVEL_L3, 2, 2),
                       .now = {NOW_S, 77, 0},
                       .nodes = nodes};
    p->previous.candidates[p->previous.n_candidates++] = one;
    p->previous.candidates[p->previous.n_candidates++] =
        mapping_candidate(SOURCE_CANDIDATE_COMPOSE_HASH, 2);
    p->previous.scan =
        (struct source_scan){.begun = true, .from = 5, .next = 50, .window = UINT64_MAX};
    play_run(p);
    if (p->err != MS_OK)
        fail_msg("%s", p->diag.text);
}

#define VALUE "\"value\":\"0303030303030303030303030303030303030303030303030303030303030303\""
#define CANDIDATE "{\"kind\":1," VALUE "}"

static void test_asked(void **state)
{
    (void)state;
    static const struct {
        const char *path, *value;
        enum ms_err want;
    } cases[] = {
        {"previous.scan.from", "6", MS_OK},
        {"previous.scan.window", "7000", MS_OK},               /* would have asked the same */
        {"previous.candidates.1", CANDIDATE, MS_ERR_EVIDENCE}, /* nobody was asked about it */
        {"previous.candidates.1", NULL, MS_ERR_EVIDENCE},
        {"previous.candidates.0", NULL, MS_ERR_EVIDENCE},
        {"previous.candidates", NULL, MS_ERR_EVIDENCE},
        {"previous.candidates", "{}", MS_ERR_EVIDENCE},
        {"previous.candidates", "7", MS_ERR_EVIDENCE},
        {"previous.candidates.1", "7", MS_ERR_EVIDENCE},
        {"previous.candidates.1.kind", "0", MS_ERR_EVIDENCE},
        {"previous.candidates.1.kind", "6", MS_ERR_EVIDENCE},
        {"previous.candidates.1.kind", "-1", MS_ERR_EVIDENCE},
        {"previous.candidates.1.kind", "4294967297", MS_ERR_EVIDENCE},
        {"previous.candidates.1.kind", "\"1\"", MS_ERR_EVIDENCE},
        {"previous.candidates.1.value", "\"03\"", MS_ERR_EVIDENCE},
        {"previous.candidates.1.value", NULL, MS_ERR_EVIDENCE},
        {"previous.scan.from", "-1", MS_ERR_EVIDENCE},
        {"previous.scan.next", "-1", MS_ERR_EVIDENCE},
        {"previous.scan.next", "4", MS_ERR_EVIDENCE}, /* before its beginning */
        {"previous.scan.window", "-1", MS_ERR_EVIDENCE},
        {"previous.scan.window", "\"all\"", MS_ERR_EVIDENCE},
        {"previous.scan.next", NULL, MS_ERR_EVIDENCE},
        {"previous.scan", "7", MS_ERR_EVIDENCE},
        {"previous.scan", "{}", MS_ERR_EVIDENCE},
    };
    for (size_t i = 0; i < MS_ARRAY_LEN(cases); i++) {
        struct node nodes[2];
        static struct chain_contract app;
        struct chain c;
        struct play p;
        run_asked(&p, nodes, &c, &app);
        enum ms_err err = verify_with(&p, cases[i].path, cases[i].value);
        if (err != cases[i].want)
            fail_msg("%s = %s: %s", cases[i].path, cases[i].value, ms_err_name(err));
        play_done(&p);
        chain_done(&c);
    }
}

static void test_asked_too_many(void **state)
{
    (void)state;
    for (size_t n = SOURCE_CANDIDATES_MAX; n <= SOURCE_CANDIDATES_MAX + 1; n++) {
        struct ms_buf text = MS_BUF_INIT(65536);
        static struct chain_contract app;
        struct node nodes[2];
        struct chain c;
        struct play p;
        run_asked(&p, nodes, &c, &app);
        /* the two of them, again and again: the same questions */
        for (size_t i = 0; i < n; i++) {
            (void)ms_buf_add_str(&text, i == 0 ? "[" : ",");
            (void)ms_buf_add_str(&text, "{\"kind\":1,\"value\":\"");
            for (size_t k = 0; k < 32; k++)
                (void)ms_buf_add_str(&text, i % 2 == 0 ? "01" : "02");
            (void)ms_buf_add_str(&text, "\"}");
        }
        (void)ms_buf_add_str(&text, "]");
        const char *list = ms_buf_str(&text);
        assert_non_null(list);
        assert_int_equal(verify_with(&p, "previous.candidates", list),
                         n <= SOURCE_CANDIDATES_MAX ? MS_OK : MS_ERR_EVIDENCE);
        ms_buf_done(&text);
        play_done(&p);
        chain_done(&c);
    }
}

/* A 304 confirms a set it does not hold: it is no evidence of one. */
static void test_unchanged(void **state)
{
    (void)state;
    struct source_result result = {.unchanged = true}, *got = NULL;
    struct bundle_transcript *t = NULL;
    struct source_policy policy = play_policy(SPEC_LEVEL_L1, 1, 1);
    struct source_previous previous = {.etag = "\"v\""};
    struct source_response r = {.id = 1, .status = 304, .time_s = NOW_S};
    struct ms_buf text = MS_BUF_INIT(BUNDLE_MAX_BYTES);
    static const struct spec_context context;
    struct spec spec, read;

    spec_init(&spec);
    assert_int_equal(
        spec_parse(ms_span_str(play_text("url:https://a.example/x")), &context, &spec, NULL),
        MS_OK);
    assert_int_equal(bundle_transcript_new(&t), MS_OK);
    assert_int_equal(bundle_transcript_add(t, &r), MS_OK);
    assert_int_equal(bundle_write(&spec, &policy, &previous,
                                  (struct ms_now){.wall_s = NOW_S, .boot_ms = 0}, t, &result, MS_OK,
                                  &text),
                     MS_OK);
    assert_int_equal(verify(ms_buf_span(&text), &read, &got), MS_ERR_EVIDENCE);
    ms_buf_done(&text);
    bundle_transcript_free(t);
    spec_done(&spec);
}

static void test_caps(void **state)
{
    (void)state;
    size_t n = (size_t)5 << 20;
    uint8_t *body = calloc(1, n);
    struct bundle_transcript *t = NULL;
    struct source_response r = {.id = 1, .status = 200, .body = {body, n}};

    assert_non_null(body);
    assert_int_equal(bundle_transcript_new(&t), MS_OK);
    assert_int_equal(bundle_transcript_add(t, &r), MS_OK);
    assert_int_equal(bundle_transcript_add(t, &r), MS_OK);
    assert_int_equal(bundle_transcript_add(t, &r), MS_ERR_LIMIT);
    r.body.len = 1000; /* what fits is still taken */
    assert_int_equal(bundle_transcript_add(t, &r), MS_OK);
    bundle_transcript_free(t);
    free(body);
}

static int setup(void **state)
{
    (void)state;
    char hex[2 * MS_SHA256_BYTES + 1];

    chain_init(&chain);
    (void)chain_approve(&chain, chain_document(0x11), NULL);
    (void)chain_approve(&chain, chain_document(0x22), NULL);
    (void)snprintf(document, sizeof(document), "%s", chain_document(0x33));
    struct ms_sha256 hash = ms_sha256(ms_span_str(document));
    ms_sha256_hex(&hash, hex);
    (void)snprintf(inline_spec, sizeof(inline_spec), "inline:%s", document);
    (void)snprintf(sha256_spec, sizeof(sha256_spec), "sha256:%s;at=https://a.example/x", hex);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    chain_done(&chain);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_flips),          cmocka_unit_test(test_prefixes),
        cmocka_unit_test(test_changes),        cmocka_unit_test(test_unchanged),
        cmocka_unit_test(test_caps),           cmocka_unit_test(test_asked),
        cmocka_unit_test(test_asked_too_many), cmocka_unit_test(test_groups),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
