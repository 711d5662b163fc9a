/* {"predicates": [...]}: the payloads of releases that approve workload ids or hashes of dstack,
 * and the same form in a document from elsewhere. */
#include "resolver/records/records.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define H8 "0123456789abcdef"
#define H32 H8 H8 H8 H8 /* 64 digits */
#define CAPS "0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF"
#define ID(version) "{\"kind\":\"tdx-workload-id\",\"value\":\"" H32 "\",\"version\":" version "}"
#define HASH(kind, value) "{\"kind\":\"" kind "\",\"value\":\"" value "\"}"
#define COMPOSE HASH("dstack-compose-hash", H32)
#define IMAGE HASH("dstack-os-image", H32)
#define DOC(list) "{\"predicates\":[" list "]}"

/* What formats 3 and 4 answer, and a reader of documents from elsewhere. */
static const struct {
    const char *name, *text;
    enum ms_err workload, dstack, loose;
    size_t n; /* predicates where it is accepted */
} cases[] = {
    {"a workload id", DOC(ID("2")), MS_OK, MS_ERR_RECORDS, MS_OK, 1},
    {"by both formulas", DOC(ID("1") "," ID("2")), MS_OK, MS_ERR_RECORDS, MS_OK, 2},
    {"the same twice", DOC(ID("2") "," ID("2")), MS_OK, MS_ERR_RECORDS, MS_OK, 1},
    {"a compose hash", DOC(COMPOSE), MS_ERR_RECORDS, MS_OK, MS_OK, 1},
    {"and an image", " " DOC(COMPOSE " , " IMAGE) "\n", MS_ERR_RECORDS, MS_OK, MS_OK, 2},
    {"capitals", DOC(HASH("dstack-os-image", CAPS) "," IMAGE), MS_ERR_RECORDS, MS_OK, MS_OK, 1},

    {"of both worlds", DOC(ID("2") "," COMPOSE), MS_ERR_RECORDS, MS_ERR_RECORDS, MS_ERR_RECORDS, 0},
    {"none", DOC(""), MS_ERR_RECORDS, MS_ERR_RECORDS, MS_ERR_RECORDS, 0},
    {"no list", "{\"predicates\":" COMPOSE "}", MS_ERR_RECORDS, MS_ERR_RECORDS, MS_ERR_RECORDS, 0},
    {"null", "{\"predicates\":null}", MS_ERR_RECORDS, MS_ERR_RECORDS, MS_ERR_RECORDS, 0},
    {"a string in it", DOC("\"" H32 "\""), MS_ERR_RECORDS, MS_ERR_RECORDS, MS_ERR_RECORDS, 0},
    {"a member beside it", "{\"predicates\":[" COMPOSE "],\"devices\":[]}", MS_ERR_RECORDS,
     MS_ERR_RECORDS, MS_ERR_RECORDS, 0},
    {"a member in it", DOC("{\"kind\":\"dstack-compose-hash\",\"value\":\"" H32 "\",\"x\":1}"),
     MS_ERR_RECORDS, MS_ERR_RECORDS, MS_ERR_RECORDS, 0},
    {"twice the same member", "{\"predicates\":[],\"predicates\":[" COMPOSE "]}",
     MS_ERR_JSON_DUPLICATE, MS_ERR_JSON_DUPLICATE, MS_ERR_JSON_DUPLICATE, 0},
    {"unknown kind", DOC(HASH("snp-launch", H32)), MS_ERR_RECORDS, MS_ERR_RECORDS, MS_ERR_RECORDS,
     0},
    {"no value", DOC("{\"kind\":\"dstack-os-image\"}"), MS_ERR_RECORDS, MS_ERR_RECORDS,
     MS_ERR_RECORDS, 0},
    {"short value", DOC(HASH("dstack-os-image", H8)), MS_ERR_RECORDS, MS_ERR_RECORDS,
     MS_ERR_RECORDS, 0},
    {"0x", DOC(HASH("dstack-os-image", "0x" H32)), MS_ERR_RECORDS, MS_ERR_RECORDS, MS_ERR_RECORDS,
     0},
    {"no formula", DOC(HASH("tdx-workload-id", H32)), MS_ERR_RECORDS, MS_ERR_RECORDS,
     MS_ERR_RECORDS, 0},
    {"no such formula", DOC(ID("3")), MS_ERR_RECORDS, MS_ERR_RECORDS, MS_ERR_RECORDS, 0},
    {"half a formula", DOC(ID("2.0")), MS_ERR_RECORDS, MS_ERR_RECORDS, MS_ERR_RECORDS, 0},
    {"a formula of dstack",
     DOC("{\"kind\":\"dstack-compose-hash\",\"value\":\"" H32 "\",\"version\":2}"), MS_ERR_RECORDS,
     MS_ERR_RECORDS, MS_ERR_RECORDS, 0},
    {"cut", "{\"predicates\":[" COMPOSE, MS_ERR_JSON, MS_ERR_JSON, MS_ERR_JSON, 0},

    /* what others read is no payload of these formats */
    {"a list of predicates", "[{\"predicate\":" COMPOSE "}]", MS_ERR_RECORDS, MS_ERR_RECORDS, MS_OK,
     1},
    {"one predicate", "{\"predicate\":" COMPOSE "}", MS_ERR_RECORDS, MS_ERR_RECORDS, MS_OK, 1},
    {"nothing is approved", "[]", MS_ERR_RECORDS, MS_ERR_RECORDS, MS_OK, 0},
    {"auth-config of dstack",
     "{\"osImages\":[\"" H32 "\"],\"gatewayAppId\":\"\",\"apps\":{\"aa\":{\"composeHashes\":"
     "[\"" H32 "\"],\"devices\":[]}}}",
     MS_ERR_RECORDS, MS_ERR_RECORDS, MS_OK, 2},
    {"a map by that name", "{\"predicates\":{\"4\":{\"expected\":\"" H32 "\"}}}", MS_ERR_RECORDS,
     MS_ERR_RECORDS, MS_ERR_RECORDS, 0},
};

static void check(const char *name, const char *text, enum rec_mode mode, enum ms_err want,
                  size_t n)
{
    size_t len = strlen(text);
    uint8_t *copy = malloc(len); /* exact size, for ASan */
    struct ms_diag diag = {0};
    struct rec_set set;

    assert_non_null(copy);
    memcpy(copy, text, len);
    rec_set_init(&set);
    enum ms_err err = rec_parse(ms_span_of(copy, len), mode, &set, &diag);
    free(copy);
    if (err != want)
        fail_msg("%s, mode %d: got %s (%s), want %s", name, mode, ms_err_name(err), diag.text,
                 ms_err_name(want));
    assert_int_equal(set.n_predicates, err == MS_OK ? n : 0);
    assert_int_equal(set.n_records, 0);
    assert_int_equal(diag.text[0] != '\0', err != MS_OK);
    for (size_t i = 0; i < set.n_predicates; i++) {
        assert_int_equal(set.predicates[i].value[0], 0x01);
        assert_int_equal(set.predicates[i].value[31], 0xef);
        assert_int_equal(set.predicates[i].version != 0,
                         set.predicates[i].kind == REC_PREDICATE_TDX_WORKLOAD_ID);
    }
    rec_set_done(&set);
}

static void test_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < MS_ARRAY_LEN(cases); i++) {
        check(cases[i].name, cases[i].text, REC_MODE_WORKLOAD_IDS, cases[i].workload, cases[i].n);
        check(cases[i].name, cases[i].text, REC_MODE_DSTACK, cases[i].dstack, cases[i].n);
        check(cases[i].name, cases[i].text, REC_MODE_DIALECTS, cases[i].loose, cases[i].n);
    }
}

/* Inside a specifier there are records only. */
static void test_strict(void **state)
{
    (void)state;
    check("strict", DOC(COMPOSE), REC_MODE_STRICT, MS_ERR_RECORDS, 0);
}

static enum ms_err parse_many(size_t n)
{
    struct ms_buf text = MS_BUF_INIT(REC_DOC_MAX_BYTES);
    struct rec_set set;

    (void)ms_buf_add_str(&text, "{\"predicates\":[");
    for (size_t i = 0; i < n; i++)
        (void)ms_buf_addf(&text, "%s{\"kind\":\"dstack-os-image\",\"value\":\"%064zx\"}",
                          i > 0 ? "," : "", i);
    assert_int_equal(ms_buf_add_str(&text, "]}"), MS_OK);
    rec_set_init(&set);
    enum ms_err err = rec_parse(ms_buf_span(&text), REC_MODE_DSTACK, &set, NULL);
    if (err == MS_OK)
        assert_int_equal(set.n_predicates, n);
    rec_set_done(&set);
    ms_buf_done(&text);
    return err;
}

static void test_many(void **state)
{
    (void)state;
    assert_int_equal(parse_many(REC_RECORDS_MAX), MS_OK);
    assert_int_equal(parse_many(REC_RECORDS_MAX + 1), MS_ERR_RECORDS);
}

/* The order, the spelling and the form do not change the hash. */
static void test_hash(void **state)
{
    (void)state;
    static const char *const same[] = {
        DOC(COMPOSE "," IMAGE),
        DOC(IMAGE "," COMPOSE "," IMAGE),
        DOC(HASH("dstack-compose-hash", CAPS) "," IMAGE),
        "[{\"predicate\":" IMAGE "},{\"predicate\":" COMPOSE "}]",
    };
    struct ms_sha256 first = {{0}}, hash;

    for (size_t i = 0; i < MS_ARRAY_LEN(same); i++) {
        struct rec_set set;
        rec_set_init(&set);
        assert_int_equal(rec_parse(ms_span_str(same[i]), REC_MODE_DIALECTS, &set, NULL), MS_OK);
        assert_int_equal(rec_set_hash(&set, i == 0 ? &first : &hash), MS_OK);
        assert_true(i == 0 || ms_sha256_eq(&first, &hash));
        rec_set_done(&set);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_strict),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_hash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
