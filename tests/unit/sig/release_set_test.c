/* Signed documents: what parses, what each fault is called, who is counted, and when. */
#include "base/json.h"
#include "sig/release_set.h"
#include "tests/support/sign.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define DOC_MAX_BYTES ((size_t)1 << 20)
#define ISSUED_S 1770000000
#define UNTIL_S 1772592000 /* 30 days later */

#define H32(digit2)                                                                                \
    "0x" digit2 digit2 digit2 digit2 digit2 digit2 digit2 digit2 digit2 digit2 digit2 digit2       \
        digit2 digit2 digit2 digit2 digit2 digit2 digit2 digit2 digit2 digit2 digit2 digit2 digit2 \
            digit2 digit2 digit2 digit2 digit2 digit2 digit2
/* printf 'first payload' | sha256sum */
#define PAYLOAD "first payload"

static const char template_set[] =
    "{\"type\":\"measured-release-set/1\",\"set\":{\"app\":\"app\",\"sequence\":7,"
    "\"issuedAt\":1770000000,\"validUntil\":1772592000,\"previous\":\"" H32(
        "01") "\","
              "\"releases\":["
              "{\"id\":1,\"version\":10,\"notBefore\":0,\"notAfter\":0,\"approvedSeq\":1,"
              "\"payloadFormat\":1,\"payloadSize\":13,\"payloadHash\":\"" H32(
                  "aB") "\",\"uri\":\"\"},"
                        "{\"id\":4,\"version\":\"18446744073709551615\",\"notBefore\":100,"
                        "\"notAfter\":200,"
                        "\"approvedSeq\":6,\"payloadFormat\":2,\"payloadSize\":9,\"payloadHash\":"
                        "\"" H32("cd") "\","
                                       "\"uri\":\"https://a.example/"
                                       "x\"}]},\"payloads\":{},\"signatures\":[]}";

static const char template_root[] =
    "{\"type\":\"measured-root/1\",\"root\":{\"app\":\"app\",\"epoch\":1,\"threshold\":1,"
    "\"signers\":[\"0x3c524fD949d601790ac741dFB5B07414F3DacF1d\"],\"freshThreshold\":0,"
    "\"freshSigners\":[],\"revokers\":[],\"validUntil\":1801536000,"
    "\"previous\":\"" H32("00") "\"},\"signatures\":[]}";

/* ---- a document with one thing changed ---- */
static json_t *tree(const char *text)
{
    json_t *root = json_loads(text, JSON_DECODE_ANY, NULL);
    assert_non_null(root);
    return root;
}

static json_t *child(json_t *at, const char *name)
{
    return json_is_array(at) ? json_array_get(at, (size_t)strtoul(name, NULL, 10))
                             : json_object_get(at, name);
}

/* path: "set/releases/0/id"; the empty one is the root. value: JSON text, NULL takes it away. */
static void put(json_t *root, const char *path, const char *value)
{
    char copy[128];
    char *name = copy, *slash;
    json_t *at = root;

    (void)snprintf(copy, sizeof(copy), "%s", path);
    while ((slash = strchr(name, '/')) != NULL) {
        *slash = '\0';
        at = child(at, name);
        assert_non_null(at);
        name = slash + 1;
    }
    if (value == NULL)
        assert_int_equal(json_object_del(at, name), 0);
    else if (json_is_array(at))
        assert_int_equal(json_array_append_new(at, tree(value)), 0);
    else
        assert_int_equal(json_object_set_new(at, name, tree(value)), 0);
}

static enum ms_err parse_set(const json_t *root, struct ms_arena *arena, struct msig_set_doc *doc,
                             struct ms_diag *diag)
{
    struct ms_buf text = MS_BUF_INIT(DOC_MAX_BYTES);

    assert_int_equal(ms_json_dump(root, &text), MS_OK);
    enum ms_err err = msig_set_parse(ms_buf_span(&text), arena, doc, diag);
    ms_buf_done(&text); /* nothing borrows from the text */
    return err;
}

static enum ms_err set_with(const char *path, const char *value, struct ms_diag *diag)
{
    struct ms_arena arena = MS_ARENA_INIT(MSIG_DOC_ARENA_BYTES);
    struct msig_set_doc doc;
    json_t *root = tree(template_set);

    if (path != NULL)
        put(root, path, value);
    enum ms_err err = parse_set(root, &arena, &doc, diag);
    json_decref(root);
    ms_arena_done(&arena);
    return err;
}

static enum ms_err root_with(const char *path, const char *value, struct ms_diag *diag)
{
    struct ms_arena arena = MS_ARENA_INIT(MSIG_DOC_ARENA_BYTES);
    struct ms_buf text = MS_BUF_INIT(DOC_MAX_BYTES);
    struct msig_root_doc doc;
    json_t *root = tree(template_root);

    put(root, path, value);
    assert_int_equal(ms_json_dump(root, &text), MS_OK);
    enum ms_err err = msig_root_parse(ms_buf_span(&text), &arena, &doc, diag);
    ms_buf_done(&text);
    json_decref(root);
    ms_arena_done(&arena);
    return err;
}

struct row {
    const char *path, *value;
    enum ms_err want;
};

static void run_rows(const struct row *rows, size_t n,
                     enum ms_err (*parse)(const char *, const char *, struct ms_diag *))
{
    for (size_t i = 0; i < n; i++) {
        struct ms_diag diag = {0};
        enum ms_err err = parse(rows[i].path, rows[i].value, &diag);
        if (err != rows[i].want)
            fail_msg("%s = %s: got %s, %s", rows[i].path,
                     rows[i].value == NULL ? "nothing" : rows[i].value, ms_err_name(err),
                     diag.text);
        assert_true(err == MS_OK || diag.text[0] != '\0'); /* a cause for whoever has to act */
    }
}

static void test_set_rows(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"type", "\"measured-release-set/2\"", MS_ERR_SYNTAX},
        {"type", NULL, MS_ERR_SYNTAX},
        {"set", NULL, MS_ERR_SYNTAX},
        {"set", "[]", MS_ERR_SYNTAX},
        {"note", "{\"any\":[1,2.5,null]}", MS_OK}, /* beside the set */
        {"set/note", "1", MS_ERR_UNKNOWN},
        {"set/releases/0/note", "1", MS_ERR_UNKNOWN},
        {"set/app", NULL, MS_ERR_SYNTAX},
        {"set/app", "5", MS_ERR_SYNTAX},
        {"set/app", "\"\"", MS_OK},
        {"set/previous", NULL, MS_ERR_SYNTAX},
        {"set/previous", "\"" H32("0A") "\"", MS_OK},
        {"set/previous", "\"0x01\"", MS_ERR_LENGTH},
        {"set/previous", "\"" H32("0g") "\"", MS_ERR_HEX},
        {"set/previous", "1", MS_ERR_SYNTAX},
        {"set/sequence", "0", MS_OK},
        {"set/sequence", "\"7\"", MS_OK},
        {"set/sequence", "\"07\"", MS_ERR_SYNTAX},
        {"set/sequence", "\"0x7\"", MS_ERR_SYNTAX},
        {"set/sequence", "\"\"", MS_ERR_SYNTAX},
        {"set/sequence", "\" 7\"", MS_ERR_SYNTAX},
        {"set/sequence", "7.0", MS_ERR_SYNTAX},
        {"set/sequence", "7e0", MS_ERR_SYNTAX},
        {"set/sequence", "true", MS_ERR_SYNTAX},
        {"set/sequence", "null", MS_ERR_SYNTAX},
        {"set/sequence", "-1", MS_ERR_RANGE},
        {"set/sequence", "9007199254740992", MS_OK},
        {"set/sequence", "9007199254740993", MS_ERR_RANGE}, /* 2^53 + 1: not exact everywhere */
        {"set/sequence", "\"9007199254740993\"", MS_OK},
        {"set/sequence", "\"18446744073709551615\"", MS_OK},
        {"set/sequence", "\"18446744073709551616\"", MS_ERR_SYNTAX},
        {"set/validUntil", "1770000000", MS_ERR_NONCANONICAL},
        {"set/releases", "{}", MS_ERR_SYNTAX},
        {"set/releases", "[]", MS_OK},
        {"set/releases", "[1]", MS_ERR_SYNTAX},
        {"set/releases/0/id", "4", MS_ERR_NONCANONICAL},
        {"set/releases/1/id", "1", MS_ERR_NONCANONICAL},
        {"set/releases/1/version", "10", MS_ERR_NONCANONICAL},
        {"set/releases/1/notBefore", "200", MS_ERR_NONCANONICAL},
        {"set/releases/1/notBefore", "199", MS_OK},
        {"set/releases/1/payloadHash", "\"" H32("ab") "\"", MS_ERR_NONCANONICAL},
        {"set/releases/0/payloadFormat", "65535", MS_OK},
        {"set/releases/0/payloadFormat", "65536", MS_ERR_RANGE},
        {"set/releases/0/payloadSize", "4294967295", MS_OK},
        {"set/releases/0/payloadSize", "4294967296", MS_ERR_RANGE},
        {"set/releases/0/uri", NULL, MS_ERR_SYNTAX},
        {"set/releases/0/uri", "\"a\\nb\"", MS_ERR_SYNTAX},
        {"set/releases/0/uri", "\"\u00e9\"", MS_ERR_SYNTAX},
        {"payloads", NULL, MS_OK},
        {"payloads", "[]", MS_ERR_SYNTAX},
        {"payloads", "{\"" H32("ef") "\":5}", MS_OK}, /* of no release */
        {"payloads", "{\"" H32("ab") "\":5}", MS_ERR_SYNTAX},
        {"payloads", "{\"" H32("ab") "\":\"*\"}", MS_ERR_BASE64},
        {"payloads", "{\"" H32("ab") "\":\"AA==\"}", MS_ERR_HASH},
        {"payloads", "{\"" H32("ab") "\":\"Zmlyc3QgcGF5bG9hZA==\"}", MS_ERR_HASH},
        {"signatures", NULL, MS_OK},
        {"signatures", "{}", MS_ERR_SYNTAX},
        {"signatures", "[5]", MS_ERR_SYNTAX},
        {"signatures", "[{\"signer\":\"0x0\",\"scheme\":\"eip712\",\"signature\":\"0x\"}]",
         MS_ERR_ADDRESS},
        {"signatures", "[{\"signer\":\"key\",\"scheme\":\"dsse\",\"signature\":\"x\",\"n\":1}]",
         MS_OK},
        {"signatures", "[{\"signer\":\"0x3c524fD949d601790ac741dFB5B07414F3DacF1d\"}]",
         MS_ERR_SYNTAX},
    };

    assert_int_equal(set_with(NULL, NULL, NULL), MS_OK);
    run_rows(rows, MS_ARRAY_LEN(rows), set_with);
}

static void test_root_rows(void **state)
{
    (void)state;
#define ONE "\"0x3c524fD949d601790ac741dFB5B07414F3DacF1d\""
    static const struct row rows[] = {
        {"note", "1", MS_OK},
        {"root/note", "1", MS_ERR_UNKNOWN},
        {"root/epoch", "0", MS_ERR_SIGNERS},
        {"root/threshold", "0", MS_ERR_SIGNERS},
        {"root/threshold", "2", MS_ERR_SIGNERS},
        {"root/threshold", "4294967297", MS_ERR_RANGE},
        {"root/signers", "[]", MS_ERR_SIGNERS},
        {"root/signers", "[" ONE "," ONE "]", MS_ERR_SIGNERS},
        {"root/signers", "[\"0x0000000000000000000000000000000000000000\"]", MS_ERR_SIGNERS},
        {"root/signers", "[5]", MS_ERR_ADDRESS},
        {"root/freshThreshold", "1", MS_ERR_SIGNERS},
        {"root/freshSigners", "[" ONE "]", MS_ERR_SIGNERS}, /* a list without a threshold */
        {"root/revokers", "[" ONE "]", MS_OK},
        {"root/revokers", "null", MS_ERR_SYNTAX},
    };

    run_rows(rows, MS_ARRAY_LEN(rows), root_with);
}

static enum ms_err raw(const char *text, size_t len)
{
    struct ms_arena arena = MS_ARENA_INIT(MSIG_DOC_ARENA_BYTES);
    struct msig_set_doc doc;
    enum ms_err err = msig_set_parse(ms_span_of(text, len), &arena, &doc, NULL);
    ms_arena_done(&arena);
    return err;
}

static void test_limits(void **state)
{
    (void)state;
    static const char twice[] = "{\"type\":\"measured-release-set/1\",\"set\":{\"app\":\"a\","
                                "\"app\":\"a\"}}";
    static const char deep[] = "{\"type\":\"measured-release-set/1\",\"x\":[[[[[[[[0]]]]]]]]}";
    json_t *root = tree(template_set),
           *releases = json_object_get(json_object_get(root, "set"), "releases");
    json_t *signatures = json_object_get(root, "signatures");
    struct ms_arena arena = MS_ARENA_INIT(MSIG_DOC_ARENA_BYTES);
    struct msig_set_doc doc;

    assert_int_equal(raw(twice, strlen(twice)), MS_ERR_JSON_DUPLICATE);
    assert_int_equal(raw(deep, strlen(deep)), MS_ERR_DEPTH);
    char *large = malloc(MSIG_DOC_MAX_BYTES + 1);
    assert_non_null(large);
    memset(large, ' ', MSIG_DOC_MAX_BYTES + 1);
    memcpy(large, template_set, sizeof(template_set) - 1);
    assert_int_equal(raw(large, MSIG_DOC_MAX_BYTES), MS_OK);
    assert_int_equal(raw(large, MSIG_DOC_MAX_BYTES + 1), MS_ERR_LIMIT);
    free(large);

    for (int i = 0; i < MSIG_SIGNATURES_MAX; i++)
        put(signatures, "", "{\"signer\":\"k\",\"scheme\":\"x\",\"signature\":\"\"}");
    assert_int_equal(parse_set(root, &arena, &doc, NULL), MS_OK);
    put(signatures, "", "{\"signer\":\"k\",\"scheme\":\"x\",\"signature\":\"\"}");
    assert_int_equal(parse_set(root, &arena, &doc, NULL), MS_ERR_LIMIT);
    (void)json_array_clear(signatures);

    for (int i = 2; i <= MSIG_RELEASES_MAX; i++) {
        char text[512];
        (void)snprintf(text, sizeof(text),
                       "{\"id\":%d,\"version\":\"%d\",\"notBefore\":0,\"notAfter\":0,"
                       "\"approvedSeq\":1,\"payloadFormat\":1,\"payloadSize\":1,"
                       "\"payloadHash\":\"0x%064x\",\"uri\":\"\"}",
                       i + 3, i + 20, (unsigned)i);
        if (i == 2) /* its version is the largest there is */
            assert_int_equal(json_array_remove(releases, 1), 0);
        put(releases, "", text);
        assert_int_equal(json_array_size(releases), i);
    }
    assert_int_equal(parse_set(root, &arena, &doc, NULL), MS_OK);
    assert_int_equal(doc.set.n_releases, MSIG_RELEASES_MAX);
    put(releases, "",
        "{\"id\":100,\"version\":100,\"notBefore\":0,\"notAfter\":0,\"approvedSeq\":1,"
        "\"payloadFormat\":1,\"payloadSize\":1,\"payloadHash\":\"" H32("77") "\",\"uri\":\"\"}");
    assert_int_equal(parse_set(root, &arena, &doc, NULL), MS_ERR_LIMIT);
    json_decref(root);
    ms_arena_done(&arena);
}

static void test_payload(void **state)
{
    (void)state;
    struct ms_arena arena = MS_ARENA_INIT(MSIG_DOC_ARENA_BYTES);
    struct msig_set_doc doc;
    struct ms_sha256 hash = ms_sha256(ms_span_str(PAYLOAD));
    char hex[2 * MS_SHA256_BYTES + 1], quoted[80], object[256], twice[256];
    json_t *root = tree(template_set);

    ms_sha256_hex(&hash, hex);
    (void)snprintf(quoted, sizeof(quoted), "\"0x%s\"", hex);
    (void)snprintf(object, sizeof(object), "{\"0x%s\":\"Zmlyc3QgcGF5bG9hZA==\"}", hex);
    put(root, "set/releases/0/payloadHash", quoted);
    put(root, "payloads", object);
    assert_int_equal(parse_set(root, &arena, &doc, NULL), MS_OK);
    assert_true(ms_span_eq_str(doc.set.releases[0].payload, PAYLOAD));
    assert_int_equal(doc.set.releases[1].payload.len, 0);
    put(root, "set/releases/0/payloadSize", "12");
    assert_int_equal(parse_set(root, &arena, &doc, NULL), MS_ERR_HASH);
    put(root, "set/releases/0/payloadSize", "13");

    /* two spellings of one hash are two members to JSON, and one payload too many to us */
    (void)snprintf(twice, sizeof(twice),
                   "{\"0x%s\":\"Zmlyc3QgcGF5bG9hZA==\",\"0xB%s\":\"Zmlyc3QgcGF5bG9hZA==\"}", hex,
                   hex + 1);
    assert_int_equal(hex[0], 'b'); /* so that its other case is another name */
    put(root, "payloads", twice);
    assert_int_equal(parse_set(root, &arena, &doc, NULL), MS_ERR_NONCANONICAL);
    json_decref(root);
    ms_arena_done(&arena);
}

/* ---- counting ---- */
enum { SIGNERS = 3 };
static const uint8_t keys[SIGNERS + 1] = {0xa1, 0xb2, 0xc3, 0xd4}; /* the last is not listed */

struct ballot {
    struct eth_hash digest;
    uint8_t bytes[8][65];
    struct msig_signatures signatures;
    struct msig_signers signers;
    struct msig_tally tally;
    struct ms_diag diag;
};

static void set_up(struct ballot *b)
{
    *b = (struct ballot){.signers = {.threshold = 2, .n = SIGNERS}};
    b->digest = eth_keccak256(ms_span_str("a set"));
    for (size_t i = 0; i < SIGNERS; i++)
        b->signers.addrs[i] = sign_addr(keys[i]);
}

static struct msig_signature *add(struct ballot *b, size_t key)
{
    size_t i = b->signatures.n++;
    sign_digest(keys[key], &b->digest, b->bytes[i]);
    b->signatures.items[i] = (struct msig_signature){.scheme = MSIG_SCHEME_EIP712,
                                                     .signer = sign_addr(keys[key]),
                                                     .bytes = ms_span_of(b->bytes[i], 65)};
    return &b->signatures.items[i];
}

static enum ms_err count(struct ballot *b)
{
    b->diag = (struct ms_diag){0};
    return msig_tally(&b->digest, &b->signatures, &b->signers, &b->tally, &b->diag);
}

static void test_threshold(void **state)
{
    (void)state;
    struct ballot b;

    set_up(&b);
    (void)add(&b, 2);
    assert_int_equal(count(&b), MS_OK);
    assert_int_equal(msig_met(&b.tally, &b.signers), MSIG_SHORT);
    (void)add(&b, 0);
    assert_int_equal(count(&b), MS_OK);
    assert_int_equal(msig_met(&b.tally, &b.signers), MSIG_MET);
    assert_true(b.tally.counted[0] && !b.tally.counted[1] && b.tally.counted[2]);
    b.signers.threshold = 0; /* must not read as "nobody needs to sign" */
    assert_int_equal(msig_met(&b.tally, &b.signers), MSIG_SHORT);
}

static void test_refused_whole(void **state)
{
    (void)state;
    struct ballot b;

    for (int kind = 0; kind < 6; kind++) {
        set_up(&b);
        (void)add(&b, 0);
        (void)add(&b, 1); /* the threshold is met; a third spoils it */
        struct msig_signature *third = add(&b, kind == 0 ? 0 : 2);
        if (kind == 1)
            sign_malleate(b.bytes[2]);
        if (kind == 2)
            b.bytes[2][40] ^= 1;
        if (kind == 3)
            third->bytes.len = 64;
        if (kind == 4)
            third->bytes.len = 0;
        if (kind == 5) /* a good one, of somebody else */
            sign_digest(keys[3], &b.digest, b.bytes[2]);
        assert_int_equal(count(&b), MS_ERR_SIGNATURE);
        assert_non_null(strstr(b.diag.text, "signature 3"));
    }
}

/* What is not the list's own cannot spoil a document, nor help it. */
static void test_strangers(void **state)
{
    (void)state;
    struct ballot b;

    set_up(&b);
    (void)add(&b, 0);
    (void)add(&b, 3);
    add(&b, 3)->bytes.len = 3;
    add(&b, 1)->scheme = MSIG_SCHEME_OTHER;
    assert_int_equal(count(&b), MS_OK);
    assert_int_equal(b.tally.n_counted, 1);
    assert_int_equal(msig_met(&b.tally, &b.signers), MSIG_SHORT);
}

static void test_contract_signers(void **state)
{
    (void)state;
    struct ballot b;

    set_up(&b);
    (void)add(&b, 0);
    add(&b, 1)->scheme = MSIG_SCHEME_EIP1271;
    assert_int_equal(count(&b), MS_OK);
    assert_int_equal(b.tally.n_counted, 1);
    assert_int_equal(b.tally.n_unresolved, 1);
    assert_int_equal(b.tally.unresolved[0], 1);
    assert_int_equal(msig_met(&b.tally, &b.signers), MSIG_PENDING);
    b.signers.threshold = 3;
    assert_int_equal(msig_met(&b.tally, &b.signers), MSIG_SHORT);
    (void)add(&b, 1); /* by key as well: the same signer's second */
    assert_int_equal(count(&b), MS_ERR_SIGNATURE);

    set_up(&b); /* it has signed: counted once, and only if it is listed */
    (void)add(&b, 0);
    struct msig_signature *contract = add(&b, 1);
    contract->scheme = MSIG_SCHEME_EIP1271;
    contract->bytes.len = 0; /* it keeps its word itself */
    assert_int_equal(count(&b), MS_OK);
    msig_count(&b.tally, contract, &b.signers);
    msig_count(&b.tally, contract, &b.signers);
    assert_int_equal(b.tally.n_counted, 2);
    assert_int_equal(msig_met(&b.tally, &b.signers), MSIG_MET);
    contract->signer.b[0] ^= 1;
    msig_count(&b.tally, contract, &b.signers);
    assert_int_equal(b.tally.n_counted, 2);

    set_up(&b); /* no hex is not the same as nothing */
    contract = add(&b, 1);
    contract->scheme = MSIG_SCHEME_EIP1271;
    contract->bytes.len = 0;
    contract->malformed = true;
    assert_int_equal(count(&b), MS_ERR_SIGNATURE);
}

/* Where a contract is: 1, unless its entry says otherwise in one way only. */
static void test_chain_of_contract(void **state)
{
    static const struct {
        const char *scheme, *more;
        enum ms_err want;
        uint64_t chain;
        bool malformed;
    } cases[] = {
        {"eip1271", "\"signature\":\"0x\"", MS_OK, 1, false},
        {"eip1271", "\"signature\":\"0x\",\"chain\":10", MS_OK, 10, false},
        {"eip1271", "\"signature\":\"0x\",\"chain\":9007199254740992", MS_OK, 1ull << 53, false},
        {"eip1271", "\"signature\":\"0x\",\"chain\":9007199254740993", MS_ERR_RANGE, 0, false},
        {"eip1271", "\"signature\":\"0x\",\"chain\":0", MS_ERR_RANGE, 0, false},
        {"eip1271", "\"signature\":\"0x\",\"chain\":-1", MS_ERR_RANGE, 0, false},
        {"eip1271", "\"signature\":\"0x\",\"chain\":1.0", MS_ERR_SYNTAX, 0, false},
        {"eip1271", "\"signature\":\"0x\",\"chain\":\"10\"", MS_ERR_SYNTAX, 0, false},
        {"eip1271", "\"signature\":\"0x\",\"chain\":null", MS_ERR_SYNTAX, 0, false},
        {"eip1271", "\"signature\":\"0x0\"", MS_OK, 1, true},
        {"eip1271", "\"signature\":\"\"", MS_OK, 1, true},
        {"eip712", "\"signature\":\"0x\",\"chain\":\"x\"", MS_OK, 0, false},
    };

    (void)state;
    for (size_t i = 0; i < MS_ARRAY_LEN(cases); i++) {
        static const struct ms_json_limits limits = {4096, 8, 64, 0};
        struct ms_arena arena = MS_ARENA_INIT(65536);
        struct msig_signatures got = {0};
        char text[256];
        json_t *array = NULL;
        (void)snprintf(text, sizeof(text),
                       "[{\"signer\":\"0x3c524fD949d601790ac741dFB5B07414F3DacF1d\","
                       "\"scheme\":\"%s\",%s}]",
                       cases[i].scheme, cases[i].more);
        assert_int_equal(ms_json_parse(ms_span_str(text), &limits, &array, NULL), MS_OK);
        enum ms_err err = msig_signatures_read(array, &arena, &got, NULL);
        if (err != cases[i].want || got.items[0].chain != cases[i].chain ||
            got.items[0].malformed != cases[i].malformed)
            fail_msg("%s: %s, chain %llu", text, ms_err_name(err),
                     (unsigned long long)got.items[0].chain);
        json_decref(array);
        ms_arena_done(&arena);
    }
}

/* ---- roots ---- */
static struct msig_signers list_of(uint32_t threshold, const uint8_t *fills, size_t n)
{
    struct msig_signers list = {.threshold = threshold, .n = n};
    for (size_t i = 0; i < n; i++)
        list.addrs[i] = sign_addr(fills[i]);
    return list;
}

struct succession {
    struct msig_root before;
    struct msig_root_doc doc;
    uint8_t bytes[4][65];
};

/* Two of a1, b2, c3 hand over to two of c3, d4; signed by the keys named. */
static void hand_over(struct succession *s, const uint8_t *by, size_t n)
{
    static const uint8_t after[] = {0xc3, 0xd4};

    *s = (struct succession){.before = {.app = ms_span_str("app"), .epoch = 4}};
    s->before.signers = list_of(2, keys, SIGNERS);
    s->doc.root = (struct msig_root){.app = ms_span_str("app"),
                                     .epoch = 5,
                                     .signers = list_of(2, after, MS_ARRAY_LEN(after)),
                                     .previous = msig_root_hash(&s->before)};
    s->doc.digest = msig_root_digest(&s->doc.root);
    s->doc.signatures.n = n;
    for (size_t i = 0; i < n; i++) {
        sign_digest(by[i], &s->doc.digest, s->bytes[i]);
        s->doc.signatures.items[i] = (struct msig_signature){.scheme = MSIG_SCHEME_EIP712,
                                                             .signer = sign_addr(by[i]),
                                                             .bytes = ms_span_of(s->bytes[i], 65)};
    }
}

static enum ms_err follows(const struct succession *s, const char *want_text)
{
    struct ms_diag diag = {0};
    enum ms_err err = msig_root_follows(&s->doc, &s->before, &diag);
    if (want_text != NULL && strstr(diag.text, want_text) == NULL)
        fail_msg("%s: got %s", want_text, diag.text);
    return err;
}

static void test_roots_follow(void **state)
{
    (void)state;
    static const uint8_t both[] = {0xa1, 0xc3, 0xd4}, old[] = {0xa1, 0xc3}, new[] = {0xc3, 0xd4};
    struct succession s;

    hand_over(&s, both, MS_ARRAY_LEN(both));
    assert_int_equal(follows(&s, NULL), MS_OK);
    hand_over(&s, old, MS_ARRAY_LEN(old));
    assert_int_equal(follows(&s, "1 of 2 signatures of its own signers"), MS_ERR_SIGNATURE);
    hand_over(&s, new, MS_ARRAY_LEN(new)); /* a takeover */
    assert_int_equal(follows(&s, "1 of 2 signatures of the signers before"), MS_ERR_SIGNATURE);

    hand_over(&s, both, MS_ARRAY_LEN(both));
    s.before.epoch = 3;
    assert_int_equal(follows(&s, "epoch"), MS_ERR_SIGNERS);
    s.before.epoch = UINT64_MAX; /* the last there can be */
    s.doc.root.epoch = 0;
    assert_int_equal(follows(&s, "epoch"), MS_ERR_SIGNERS);
    hand_over(&s, both, MS_ARRAY_LEN(both));
    s.before.valid_until_s++; /* another root of the same epoch */
    assert_int_equal(follows(&s, "previous"), MS_ERR_SIGNERS);
    hand_over(&s, both, MS_ARRAY_LEN(both));
    s.before.app = ms_span_str("other");
    assert_int_equal(follows(&s, "app"), MS_ERR_SIGNERS);
}

/* The list of a specifier: epoch 0, nothing before the first root. */
static void test_first_root(void **state)
{
    (void)state;
    struct msig_root url = {.app = ms_span_str("app"), .signers = list_of(1, keys, 1)};
    struct msig_root_doc doc = {.root = {.app = ms_span_str("app"), .epoch = 1}};
    uint8_t sig[65];

    doc.root.signers = list_of(1, keys, 1);
    doc.digest = msig_root_digest(&doc.root);
    sign_digest(keys[0], &doc.digest, sig);
    doc.signatures.n = 1;
    doc.signatures.items[0] = (struct msig_signature){
        .scheme = MSIG_SCHEME_EIP712, .signer = sign_addr(keys[0]), .bytes = ms_span_of(sig, 65)};
    assert_int_equal(msig_root_follows(&doc, &url, NULL), MS_OK);
    doc.root.previous.b[0] = 1;
    assert_int_equal(msig_root_follows(&doc, &url, NULL), MS_ERR_SIGNERS);
}

/* ---- time and order ---- */
static void test_time(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint64_t issued, until;
        int64_t now;
        enum ms_err set, fresh;
    } rows[] = {
        {"in the middle", ISSUED_S, ISSUED_S + 3600, ISSUED_S + 60, MS_OK, MS_OK},
        {"five minutes early", ISSUED_S, ISSUED_S + 3600, ISSUED_S - 300, MS_OK, MS_OK},
        {"a second more", ISSUED_S, ISSUED_S + 3600, ISSUED_S - 301, MS_ERR_CLOCK, MS_ERR_CLOCK},
        {"last second", ISSUED_S, ISSUED_S + 3600, ISSUED_S + 3599, MS_OK, MS_OK},
        {"over", ISSUED_S, ISSUED_S + 3600, ISSUED_S + 3600, MS_ERR_STALE, MS_ERR_STALE},
        {"7 days", ISSUED_S, ISSUED_S + 604800, ISSUED_S, MS_OK, MS_OK},
        {"7 days and 1 s", ISSUED_S, ISSUED_S + 604801, ISSUED_S, MS_OK, MS_ERR_RANGE},
        {"90 days", ISSUED_S, ISSUED_S + 7776000, ISSUED_S, MS_OK, MS_ERR_RANGE},
        {"90 days and 1 s", ISSUED_S, ISSUED_S + 7776001, ISSUED_S, MS_ERR_RANGE, MS_ERR_RANGE},
        {"for ever", ISSUED_S, UINT64_MAX, ISSUED_S, MS_ERR_RANGE, MS_ERR_RANGE},
        {"never", UINT64_MAX, UINT64_MAX, ISSUED_S, MS_ERR_CLOCK, MS_ERR_CLOCK},
        {"no clock", ISSUED_S, ISSUED_S + 3600, -1, MS_ERR_CLOCK, MS_ERR_CLOCK},
    };

    for (size_t i = 0; i < MS_ARRAY_LEN(rows); i++) {
        struct msig_release_set set = {.issued_at_s = rows[i].issued,
                                       .valid_until_s = rows[i].until};
        struct msig_freshness fresh = {.issued_at_s = rows[i].issued,
                                       .valid_until_s = rows[i].until};
        if (msig_set_time(&set, rows[i].now, NULL) != rows[i].set ||
            msig_freshness_time(&fresh, rows[i].now, NULL) != rows[i].fresh)
            fail_msg("%s", rows[i].name);
    }
    struct msig_root root = {.valid_until_s = UNTIL_S};
    assert_int_equal(msig_root_time(&root, UNTIL_S - 1, NULL), MS_OK);
    assert_int_equal(msig_root_time(&root, UNTIL_S, NULL), MS_ERR_STALE);
}

static void test_order(void **state)
{
    (void)state;
    const struct eth_hash a = {{0xaa}}, b = {{0xbb}};
    const struct msig_floor floor = {.epoch = 1, .sequence = 7, .set_hash = a, .known = true};
    const struct {
        const char *name;
        uint64_t epoch, sequence;
        struct eth_hash hash, previous;
        enum msig_order want;
    } rows[] = {
        {"the same", 1, 7, a, b, MSIG_ORDER_SAME},
        {"another with its number", 1, 7, b, b, MSIG_ORDER_CONFLICT},
        {"an older one", 1, 6, b, b, MSIG_ORDER_ROLLBACK},
        {"the next", 1, 8, b, a, MSIG_ORDER_NEXT},
        {"a next that follows another", 1, 8, b, b, MSIG_ORDER_BROKEN},
        {"a later one", 1, 9, b, a, MSIG_ORDER_GAP},
        {"the last possible", 1, UINT64_MAX, b, a, MSIG_ORDER_GAP},
        {"a new epoch begins again", 2, 1, b, b, MSIG_ORDER_FIRST},
        {"an older epoch", 0, 9, b, a, MSIG_ORDER_ROLLBACK},
    };

    for (size_t i = 0; i < MS_ARRAY_LEN(rows); i++) {
        struct msig_set_doc doc = {.set_hash = rows[i].hash};
        doc.set.sequence = rows[i].sequence;
        doc.set.previous = rows[i].previous;
        if (msig_set_order(&doc, rows[i].epoch, &floor) != rows[i].want)
            fail_msg("%s", rows[i].name);
    }
    struct msig_set_doc doc = {.set_hash = a};
    struct msig_floor none = {0};
    assert_int_equal(msig_set_order(&doc, 0, &none), MSIG_ORDER_FIRST);
}

/* ---- the other documents ---- */
static void test_freshness_and_revocations(void **state)
{
    (void)state;
    static const char fresh[] =
        "{\"type\":\"measured-freshness/1\",\"freshness\":{\"app\":\"app\",\"sequence\":7,"
        "\"setHash\":\"" H32("5a") "\",\"issuedAt\":1770000000,\"validUntil\":1770086400}}";
    static const char revoked[] =
        "{\"type\":\"measured-revocations/1\",\"revocations\":[{\"revocation\":{\"app\":\"app\","
        "\"releaseId\":4,\"payloadHash\":\"" H32(
            "cd") "\",\"reason\":1,\"issuedAt\":1770000000},"
                  "\"signatures\":[]},{\"revocation\":{\"app\":\"\",\"releaseId\":5,"
                  "\"payloadHash\":\"" H32("ce") "\",\"reason\":\"2\",\"issuedAt\":1770000001}}]}";
    struct ms_arena arena = MS_ARENA_INIT(MSIG_DOC_ARENA_BYTES);
    struct msig_freshness_doc doc;
    struct msig_revocation_doc *docs;
    size_t n = 0;

    assert_int_equal(msig_freshness_parse(ms_span_str(fresh), &arena, &doc, NULL), MS_OK);
    assert_int_equal(doc.freshness.sequence, 7);
    assert_int_equal(doc.freshness.set_hash.b[31], 0x5a);
    struct eth_hash digest = msig_freshness_digest(&doc.freshness);
    assert_true(eth_hash_eq(&doc.digest, &digest));
    assert_int_equal(msig_freshness_parse(ms_span_str(revoked), &arena, &doc, NULL), MS_ERR_SYNTAX);

    assert_int_equal(msig_revocations_parse(ms_span_str(revoked), &arena, &docs, &n, NULL), MS_OK);
    assert_int_equal(n, 2);
    assert_int_equal(docs[0].revocation.release_id, 4);
    assert_int_equal(docs[1].revocation.reason, 2);
    assert_int_equal(docs[1].revocation.payload_hash.b[0], 0xce);
    digest = msig_revocation_digest(&docs[1].revocation);
    assert_true(eth_hash_eq(&docs[1].digest, &digest));
    assert_int_equal(msig_revocations_parse(ms_span_str(fresh), &arena, &docs, &n, NULL),
                     MS_ERR_SYNTAX);
    ms_arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_set_rows),
        cmocka_unit_test(test_root_rows),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_payload),
        cmocka_unit_test(test_threshold),
        cmocka_unit_test(test_refused_whole),
        cmocka_unit_test(test_strangers),
        cmocka_unit_test(test_contract_signers),
        cmocka_unit_test(test_chain_of_contract),
        cmocka_unit_test(test_roots_follow),
        cmocka_unit_test(test_first_root),
        cmocka_unit_test(test_time),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_freshness_and_revocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
