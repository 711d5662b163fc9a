/* Reading documents: what is accepted, what is refused and with which error, in both modes. */
#include "resolver/records/records.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define H8 "0123456789abcdef"
#define H32 H8 H8 H8 H8 /* 64 digits: a PCR */
#define H48 H32 H8 H8   /* 96 digits: MRTD, RTMR */
#define D32 "{\"expected\":\"" H32 "\"}"
#define D48 "{\"expected\":\"" H48 "\"}"
#define REC(type, regs) \
    "{\"measurement_id\":\"x\",\"attestation_type\":\"" type "\",\"measurements\":{" regs "}}"
#define DCAP(regs) "[" REC("dcap-tdx", regs) "]"
#define AZURE(regs) "[" REC("azure-tdx", regs) "]"
#define WITH(member)                                                                            \
    "[{\"measurement_id\":\"x\",\"attestation_type\":\"dcap-tdx\",\"measurements\":{\"0\":" D48 \
    "}," member "}]"
#define ID(id)                                                                                   \
    "[{\"measurement_id\":" id ",\"attestation_type\":\"dcap-tdx\",\"measurements\":{\"0\":" D48 \
    "}}]"
#define IMAGE5                                                                                     \
    "\"uki_authenticode\":\"" H48 "\",\"kernel_authenticode\":\"" H48 "\",\"cmdline_hash\":\"" H48 \
    "\",\"initrd_hash\":\"" H48 "\",\"gpt_disk_guid_hash\":\"" H48 "\""
#define IMG(type, hashes)                                                                         \
    "[{\"measurement_id\":\"x\",\"attestation_type\":\"" type "\",\"dcap_image_hashes\":{" hashes \
    "}}]"
#define DSTACK(os, app)  \
    "{\"osImages\":[" os \
    "],\"gatewayAppId\":\"\",\"kms\":{\"mrAggregated\":[]},\"apps\":{\"aa\":{" app "}}}"

/* strict and loose: what the two modes answer; MS_OK means accepted. */
static const struct {
    const char *name, *text;
    enum ms_err strict, loose;
} cases[] = {
    {"one record", DCAP("\"0\":" D48), MS_OK, MS_OK},
    {"all five", DCAP("\"0\":" D48 ",\"1\":" D48 ",\"2\":" D48 ",\"3\":" D48 ",\"4\":" D48), MS_OK,
     MS_OK},
    {"azure, PCR 23", AZURE("\"23\":" D32), MS_OK, MS_OK},
    {"expected_any", DCAP("\"0\":{\"expected_any\":[\"" H48 "\"]}"), MS_OK, MS_OK},
    {"warnOnly false", DCAP("\"0\":{\"expected\":\"" H48 "\",\"warnOnly\":false}"), MS_OK, MS_OK},
    {"gcp", "[" REC("gcp-tdx", "\"0\":" D48) "]", MS_OK, MS_OK},
    {"qemu", "[" REC("qemu-tdx", "\"0\":" D48) "]", MS_OK, MS_OK},
    {"known beside unknown type",
     "[" REC("sev-snp", "\"0\":" D48) "," REC("dcap-tdx", "\"0\":" D48) "]", MS_OK, MS_OK},
    {"unknown member of a record", WITH("\"comment\":\"x\""), MS_OK, MS_OK},
    {"provenance", WITH("\"provenance\":{\"commit\":\"x\"}"), MS_OK, MS_OK},
    {"platform debug false", WITH("\"platform\":{\"debug\":false}"), MS_OK, MS_OK},

    {"empty list", "[]", MS_ERR_RECORDS, MS_OK},
    {"single object", REC("dcap-tdx", "\"0\":" D48), MS_ERR_RECORDS, MS_OK},
    {"bare string", DCAP("\"0\":\"" H48 "\""), MS_ERR_RECORDS, MS_OK},
    {"list of strings", DCAP("\"0\":[\"" H48 "\"]"), MS_ERR_RECORDS, MS_OK},
    {"named register", DCAP("\"MrTd\":" D48), MS_ERR_REGISTER, MS_OK},
    {"pcr4", AZURE("\"PcR4\":" D32), MS_ERR_REGISTER, MS_OK},
    {"id missing", "[{\"attestation_type\":\"dcap-tdx\",\"measurements\":{\"0\":" D48 "}}]",
     MS_ERR_RECORDS, MS_OK},
    {"id empty", ID("\"\""), MS_ERR_RECORDS, MS_OK},
    {"older map", "{\"x\":{\"4\":" D32 "}}", MS_ERR_RECORDS, MS_OK},
    {"portable policy", IMG("gcp-tdx", IMAGE5), MS_ERR_RECORDS, MS_OK},
    {"portable policy with pe_sections", IMG("gcp-tdx", IMAGE5 ",\"pe_sections\":\"" H48 "\""),
     MS_ERR_RECORDS, MS_OK},
    {"attest measure, portable",
     "{\"kind\":\"portable\",\"azure\":{\"pcr4\":\"" H32 "\"},\"dcap\":{" IMAGE5 "}}",
     MS_ERR_RECORDS, MS_OK},
    {"attest measure, azure null", "{\"kind\":\"portable\",\"azure\":null,\"dcap\":{" IMAGE5 "}}",
     MS_ERR_RECORDS, MS_OK},
    {"a predicate of ours",
     "[{\"predicate\":{\"kind\":\"dstack-compose-hash\",\"value\":\"" H32 "\"}}]", MS_ERR_TYPE,
     MS_OK},
    {"Constellation",
     "{\"version\":\"v2.16.0\",\"ref\":\"-\",\"stream\":\"stable\",\"list\":[{\"csp\":\"Azure\","
     "\"attestationVariant\":\"azure-tdx\",\"measurements\":{\"4\":{\"expected\":\"" H32
     "\",\"warnOnly\":false}}}]}",
     MS_ERR_RECORDS, MS_OK},
    {"Contrast without MrSeam",
     "{\"ReferenceValues\":{\"snp\":[],\"tdx\":[{\"MrTd\":\"" H48
     "\",\"MrSeam\":\"\",\"Rtmrs\":[\"" H48 "\",\"" H48 "\",\"" H48 "\",\"" H48 "\"]}]}}",
     MS_ERR_RECORDS, MS_OK},
    {"dstack", DSTACK("\"0x" H32 "\"", "\"composeHashes\":[\"" H32 "\"],\"devices\":[]"),
     MS_ERR_RECORDS, MS_OK},

    {"null", "null", MS_ERR_RECORDS, MS_ERR_RECORDS},
    {"number", "12", MS_ERR_RECORDS, MS_ERR_RECORDS},
    {"empty object", "{}", MS_ERR_RECORDS, MS_ERR_RECORDS},
    {"empty text", "", MS_ERR_JSON, MS_ERR_JSON},
    {"trailing comma", "[" REC("dcap-tdx", "\"0\":" D48) ",]", MS_ERR_JSON, MS_ERR_JSON},
    {"byte order mark", "\xef\xbb\xbf[]", MS_ERR_JSON, MS_ERR_JSON},
    {"NaN", "[{\"measurement_id\":NaN}]", MS_ERR_JSON, MS_ERR_JSON},
    {"invalid UTF-8", ID("\"\xff\""), MS_ERR_UTF8, MS_ERR_UTF8},
    {"escaped NUL", ID("\"a\\u0000b\""), MS_ERR_JSON, MS_ERR_JSON},
    {"lone surrogate", ID("\"\\ud800\""), MS_ERR_JSON, MS_ERR_JSON},
    {"duplicate register", DCAP("\"0\":" D48 ",\"\\u0030\":" D48), MS_ERR_JSON_DUPLICATE,
     MS_ERR_JSON_DUPLICATE},
    {"duplicate type", WITH("\"attestation_type\":\"azure-tdx\""), MS_ERR_JSON_DUPLICATE,
     MS_ERR_JSON_DUPLICATE},
    {"too deep", "[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]", MS_ERR_DEPTH, MS_ERR_DEPTH},
    {"a list in the list", "[[]]", MS_ERR_RECORDS, MS_ERR_RECORDS},

    {"type missing", "[{\"measurement_id\":\"x\",\"measurements\":{\"0\":" D48 "}}]", MS_ERR_TYPE,
     MS_ERR_TYPE},
    {"type a number",
     "[{\"measurement_id\":\"x\",\"attestation_type\":1,\"measurements\":{\"0\":" D48 "}}]",
     MS_ERR_TYPE, MS_ERR_TYPE},
    {"type empty", "[" REC("", "\"0\":" D48) "]", MS_ERR_TYPE, MS_ERR_TYPE},
    {"type none", "[" REC("none", "\"0\":" D48) "," REC("dcap-tdx", "\"0\":" D48) "]", MS_ERR_TYPE,
     MS_ERR_TYPE},
    {"type None", "[" REC("None", "\"0\":" D48) "," REC("dcap-tdx", "\"0\":" D48) "]", MS_ERR_TYPE,
     MS_ERR_TYPE},
    {"only an unknown type", "[" REC("sev-snp", "\"0\":" D48) "]", MS_ERR_TYPE, MS_ERR_TYPE},
    {"type in capitals", "[" REC("DCAP-TDX", "\"0\":" D48) "]", MS_ERR_TYPE, MS_ERR_TYPE},
    {"type with a space", "[" REC("dcap-tdx ", "\"0\":" D48) "]", MS_ERR_TYPE, MS_ERR_TYPE},
    {"unknown type, empty", "[" REC("sev-snp", "") "," REC("dcap-tdx", "\"0\":" D48) "]",
     MS_ERR_RECORDS, MS_ERR_RECORDS},
    {"unknown type, warnOnly",
     "[" REC("sev-snp", "\"0\":{\"expected\":\"00\",\"warnOnly\":true}") "," REC("dcap-tdx",
                                                                                 "\"0\":" D48) "]",
     MS_ERR_RECORDS, MS_ERR_RECORDS},

    {"measurements missing", "[{\"measurement_id\":\"x\",\"attestation_type\":\"dcap-tdx\"}]",
     MS_ERR_RECORDS, MS_ERR_RECORDS},
    {"measurements empty", DCAP(""), MS_ERR_RECORDS, MS_ERR_RECORDS},
    {"measurements a list",
     "[{\"measurement_id\":\"x\",\"attestation_type\":\"dcap-tdx\",\"measurements\":[]}]",
     MS_ERR_RECORDS, MS_ERR_RECORDS},
    {"warnOnly", DCAP("\"0\":{\"expected\":\"" H48 "\",\"warnOnly\":true}"), MS_ERR_RECORDS,
     MS_ERR_RECORDS},
    {"warnOnly a string", DCAP("\"0\":{\"expected\":\"" H48 "\",\"warnOnly\":\"no\"}"),
     MS_ERR_RECORDS, MS_ERR_RECORDS},
    {"unknown modifier", DCAP("\"0\":{\"expected\":\"" H48 "\",\"warnonly\":true}"), MS_ERR_RECORDS,
     MS_ERR_RECORDS},
    {"both", DCAP("\"0\":{\"expected\":\"" H48 "\",\"expected_any\":[\"" H48 "\"]}"),
     MS_ERR_RECORDS, MS_ERR_RECORDS},
    {"both, one null", DCAP("\"0\":{\"expected\":null,\"expected_any\":[\"" H48 "\"]}"),
     MS_ERR_RECORDS, MS_ERR_RECORDS},
    {"neither", DCAP("\"0\":{}"), MS_ERR_RECORDS, MS_ERR_RECORDS},
    {"no alternatives", DCAP("\"0\":{\"expected_any\":[]}"), MS_ERR_RECORDS, MS_ERR_RECORDS},
    {"alternatives a string", DCAP("\"0\":{\"expected_any\":\"" H48 "\"}"), MS_ERR_RECORDS,
     MS_ERR_RECORDS},
    {"an alternative a number", DCAP("\"0\":{\"expected_any\":[\"" H48 "\",5]}"), MS_ERR_REGISTER,
     MS_ERR_REGISTER},
    {"expected a list", DCAP("\"0\":{\"expected\":[\"" H48 "\"]}"), MS_ERR_REGISTER,
     MS_ERR_REGISTER},
    {"expected null", DCAP("\"0\":{\"expected\":null}"), MS_ERR_REGISTER, MS_ERR_REGISTER},
    {"register null", DCAP("\"0\":null"), MS_ERR_RECORDS, MS_ERR_RECORDS},
    {"32 bytes for dcap", DCAP("\"0\":" D32), MS_ERR_REGISTER, MS_ERR_REGISTER},
    {"48 bytes for azure", AZURE("\"4\":" D48), MS_ERR_REGISTER, MS_ERR_REGISTER},
    {"47 bytes and a half", DCAP("\"0\":{\"expected\":\"" H32 H8 "0123456789abcde\"}"),
     MS_ERR_REGISTER, MS_ERR_REGISTER},
    {"0x", DCAP("\"0\":{\"expected\":\"0x" H48 "\"}"), MS_ERR_REGISTER, MS_ERR_REGISTER},
    {"no hex", DCAP("\"0\":{\"expected\":\"" H32 H8 "0123456789abcdeg\"}"), MS_ERR_REGISTER,
     MS_ERR_REGISTER},
    {"value empty", DCAP("\"0\":{\"expected\":\"\"}"), MS_ERR_REGISTER, MS_ERR_REGISTER},
    {"register 5 of dcap", DCAP("\"5\":" D48), MS_ERR_REGISTER, MS_ERR_REGISTER},
    {"register 24 of azure", AZURE("\"24\":" D32), MS_ERR_REGISTER, MS_ERR_REGISTER},
    {"register 2^32", AZURE("\"4294967296\":" D32), MS_ERR_REGISTER, MS_ERR_REGISTER},
    {"register -1", DCAP("\"-1\":" D48), MS_ERR_REGISTER, MS_ERR_REGISTER},
    {"register 01", DCAP("\"01\":" D48), MS_ERR_REGISTER, MS_ERR_REGISTER},
    {"register empty", DCAP("\"\":" D48), MS_ERR_REGISTER, MS_ERR_REGISTER},
    {"rtmr4", DCAP("\"rtmr4\":" D48), MS_ERR_REGISTER, MS_ERR_REGISTER},
    {"pcr04", AZURE("\"pcr04\":" D32), MS_ERR_REGISTER, MS_ERR_REGISTER},
    {"pcr24", AZURE("\"pcr24\":" D32), MS_ERR_REGISTER, MS_ERR_REGISTER},
    {"mrtd of azure", AZURE("\"mrtd\":" D32), MS_ERR_REGISTER, MS_ERR_REGISTER},
    {"one register, two names", DCAP("\"0\":" D48 ",\"mrtd\":" D48), MS_ERR_REGISTER,
     MS_ERR_REGISTER},
    {"id a number", ID("7"), MS_ERR_RECORDS, MS_ERR_RECORDS},
    {"id null", ID("null"), MS_ERR_RECORDS, MS_ERR_RECORDS},
    {"id with CR LF", ID("\"a\\r\\nX: 1\""), MS_ERR_RECORDS, MS_ERR_RECORDS},
    {"id with DEL", ID("\"a\x7f\""), MS_ERR_RECORDS, MS_ERR_RECORDS},
    {"id with CSI", ID("\"a\\u009b31m\""), MS_ERR_RECORDS, MS_ERR_RECORDS},
    {"id with a line separator", ID("\"a\\u2028\""), MS_ERR_RECORDS, MS_ERR_RECORDS},
    {"id in other letters", ID("\"bild-\\u00e4-\\u65e5\\ud83d\\ude80\""), MS_OK, MS_OK},
    {"not_after", WITH("\"not_after\":1"), MS_ERR_RECORDS, MS_ERR_RECORDS},
    {"claims", WITH("\"claims\":{\"compose-hash\":[]}"), MS_ERR_RECORDS, MS_ERR_RECORDS},
    {"platform debug true", WITH("\"platform\":{\"debug\":true}"), MS_ERR_RECORDS, MS_ERR_RECORDS},
    {"portable policy beside registers", WITH("\"dcap_image_hashes\":{" IMAGE5 "}"), MS_ERR_RECORDS,
     MS_ERR_RECORDS},
    {"portable policy of dcap", IMG("dcap-tdx", IMAGE5), MS_ERR_RECORDS, MS_ERR_RECORDS},
    {"portable policy, a hash short", IMG("gcp-tdx", "\"uki_authenticode\":\"" H48 "\""),
     MS_ERR_RECORDS, MS_ERR_RECORDS},
    {"portable policy, a hash too much", IMG("gcp-tdx", IMAGE5 ",\"x\":\"" H48 "\""),
     MS_ERR_RECORDS, MS_ERR_RECORDS},

    {"attest measure, dcap", "{\"kind\":\"dcap\",\"dcap\":{}}", MS_ERR_RECORDS, MS_ERR_RECORDS},
    {"attest measure, nothing", "{\"kind\":\"portable\",\"azure\":null}", MS_ERR_RECORDS,
     MS_ERR_RECORDS},
    {"older map, 48 bytes", "{\"x\":{\"0\":" D48 "}}", MS_ERR_RECORDS, MS_ERR_REGISTER},
    {"older map, empty entry", "{\"x\":{}}", MS_ERR_RECORDS, MS_ERR_RECORDS},
    {"a record without its type", "{\"measurement_id\":\"x\",\"measurements\":{\"4\":" D32 "}}",
     MS_ERR_RECORDS, MS_ERR_TYPE},
    {"only measurements", "{\"measurements\":{\"4\":" D32 "}}", MS_ERR_RECORDS, MS_ERR_TYPE},
    {"Constellation, warnOnly",
     "{\"version\":\"v\",\"list\":[{\"csp\":\"Azure\",\"attestationVariant\":\"azure-tdx\","
     "\"measurements\":{\"4\":{\"expected\":\"" H32 "\",\"warnOnly\":true}}}]}",
     MS_ERR_RECORDS, MS_ERR_RECORDS},
    {"Constellation, empty", "{\"version\":\"v\",\"list\":[]}", MS_ERR_RECORDS, MS_ERR_RECORDS},
    {"Contrast with MrSeam",
     "{\"snp\":[],\"tdx\":[{\"MrTd\":\"" H48 "\",\"MrSeam\":\"" H48 "\",\"Rtmrs\":[\"" H48
     "\",\"" H48 "\",\"" H48 "\",\"" H48 "\"]}]}",
     MS_ERR_RECORDS, MS_ERR_RECORDS},
    {"Contrast, three Rtmrs",
     "{\"snp\":[],\"tdx\":[{\"MrTd\":\"" H48 "\",\"Rtmrs\":[\"" H48 "\",\"" H48 "\",\"" H48
     "\"]}]}",
     MS_ERR_RECORDS, MS_ERR_RECORDS},
    {"dstack, no images", DSTACK("", "\"composeHashes\":[\"" H32 "\"],\"devices\":[]"),
     MS_ERR_RECORDS, MS_ERR_RECORDS},
    {"dstack, devices",
     DSTACK("\"" H32 "\"", "\"composeHashes\":[\"" H32 "\"],\"devices\":[\"" H32 "\"]"),
     MS_ERR_RECORDS, MS_ERR_RECORDS},
    {"dstack, devices but any",
     DSTACK("\"" H32 "\"",
            "\"composeHashes\":[\"" H32 "\"],\"devices\":[\"" H32 "\"],\"allowAnyDevice\":true"),
     MS_ERR_RECORDS, MS_OK},
    {"dstack, short hash", DSTACK("\"" H32 "\"", "\"composeHashes\":[\"" H8 "\"],\"devices\":[]"),
     MS_ERR_RECORDS, MS_ERR_RECORDS},
    {"dstack, two apps",
     "{\"osImages\":[\"" H32 "\"],\"apps\":{\"a\":{\"composeHashes\":[\"" H32
     "\"],\"allowAnyDevice\":true},\"b\":{\"composeHashes\":[\"" H32
     "\"],\"allowAnyDevice\":true}}}",
     MS_ERR_RECORDS, MS_ERR_RECORDS},
    {"dstack, unknown member",
     DSTACK("\"" H32 "\"", "\"composeHashes\":[\"" H32 "\"],\"devices\":[],\"regions\":[]"),
     MS_ERR_RECORDS, MS_ERR_RECORDS},
    {"attest measure, unknown member",
     "{\"kind\":\"portable\",\"azure\":{\"pcr4\":\"" H32 "\"},\"x\":1}", MS_ERR_RECORDS,
     MS_ERR_RECORDS},
    {"trustee, unknown member",
     "{\"version\":\"0.1.0\",\"type\":\"sample\",\"payload\":\"e30=\",\"x\":1}", MS_ERR_RECORDS,
     MS_ERR_RECORDS},
    {"trustee, not base64", "{\"version\":\"0.1.0\",\"type\":\"sample\",\"payload\":\"*\"}",
     MS_ERR_RECORDS, MS_ERR_BASE64},
    {"trustee, another type", "{\"version\":\"0.1.0\",\"type\":\"corim\",\"payload\":\"e30=\"}",
     MS_ERR_RECORDS, MS_ERR_RECORDS},
    {"trustee, empty", "{\"version\":\"0.1.0\",\"type\":\"sample\",\"payload\":\"e30=\"}",
     MS_ERR_RECORDS, MS_ERR_RECORDS},
    {"workload id without version",
     "[{\"predicate\":{\"kind\":\"tdx-workload-id\",\"value\":\"" H32 "\"}}]", MS_ERR_TYPE,
     MS_ERR_RECORDS},
    {"predicate of no kind", "[{\"predicate\":{\"kind\":\"none\",\"value\":\"" H32 "\"}}]",
     MS_ERR_TYPE, MS_ERR_RECORDS},
};

/* On a heap block of its exact size, so that ASan sees a byte too far. */
static enum ms_err parse_heap_copy(const char *text, enum rec_mode mode, struct rec_set *set,
                                   struct ms_diag *diag)
{
    size_t len = strlen(text);
    uint8_t *copy = malloc(len == 0 ? 1 : len);

    assert_non_null(copy);
    memcpy(copy, text, len);
    enum ms_err err = rec_parse(ms_span_of(copy, len), mode, set, diag);
    free(copy);
    return err;
}

static void check(const char *name, const char *text, enum rec_mode mode, enum ms_err want)
{
    struct rec_set set;
    struct ms_diag diag = {0};

    rec_set_init(&set);
    enum ms_err err = parse_heap_copy(text, mode, &set, &diag);
    /* A predicate in strict mode is a record without a type or an id, whichever is missed first. */
    if (want == MS_ERR_TYPE && err == MS_ERR_RECORDS && strstr(text, "predicate") != NULL)
        want = err;
    if (err != want)
        fail_msg("%s, mode %d: got %s (%s), want %s", name, mode, ms_err_name(err), diag.text,
                 ms_err_name(want));
    if (err != MS_OK) {
        assert_true(diag.text[0] != '\0');
        assert_int_equal(set.n_records + set.n_predicates + set.n_warnings, 0);
    }
    rec_set_done(&set);
}

static void test_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < MS_ARRAY_LEN(cases); i++) {
        check(cases[i].name, cases[i].text, REC_MODE_STRICT, cases[i].strict);
        check(cases[i].name, cases[i].text, REC_MODE_DIALECTS, cases[i].loose);
    }
}

/* No proper prefix of an accepted document is accepted. */
static void test_prefixes(void **state)
{
    (void)state;
    const char *text = DCAP("\"0\":" D48 ",\"2\":{\"expected_any\":[\"" H48 "\"]}");
    for (size_t len = 0; len < strlen(text); len++) {
        struct rec_set set;
        rec_set_init(&set);
        for (enum rec_mode mode = REC_MODE_STRICT; mode <= REC_MODE_DIALECTS; mode++)
            assert_int_not_equal(rec_parse(ms_span_of(text, len), mode, &set, NULL), MS_OK);
        rec_set_done(&set);
    }
}

static void test_content(void **state)
{
    (void)state;
    struct rec_set set;
    rec_set_init(&set);
    const char *text =
        AZURE("\"11\":" D32 ",\"4\":{\"expected_any\":[\"" H32
              "\",\"0000000000000000000000000000000000000000000000000000000000000000\","
              "\"0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF\"]}");
    assert_int_equal(rec_parse(ms_span_str(text), REC_MODE_STRICT, &set, NULL), MS_OK);
    assert_int_equal(set.n_records, 1);
    const struct rec_record *record = &set.records[0];
    assert_int_equal(record->type, REC_TYPE_AZURE_TDX);
    assert_string_equal(record->id, "x");
    assert_int_equal(record->n_registers, 2);
    assert_int_equal(record->registers[0].index, 4);
    assert_int_equal(record->registers[0].n_values, 2); /* capitals are the same value */
    assert_int_equal(record->registers[0].values[0].b[0], 0);
    assert_int_equal(record->registers[0].values[1].b[31], 0xef);
    assert_int_equal(record->registers[0].values[1].len, 32);
    assert_int_equal(record->registers[1].index, 11);
    assert_int_equal(set.n_warnings, 0);
    rec_set_done(&set);
}

static void expect_warning(const char *text, const char *code)
{
    struct rec_set set;
    rec_set_init(&set);
    assert_int_equal(rec_parse(ms_span_str(text), REC_MODE_DIALECTS, &set, NULL), MS_OK);
    bool found = false;
    for (size_t i = 0; i < set.n_warnings; i++)
        found |= strcmp(set.warnings[i].code, code) == 0;
    if (!found)
        fail_msg("no warning %s", code);
    rec_set_done(&set);
}

static void test_warnings(void **state)
{
    (void)state;
    expect_warning("[" REC("sev-snp", "\"0\":" D48) "," REC("dcap-tdx", "\"0\":" D48) "]",
                   "unknown-type");
    expect_warning(WITH("\"comment\":\"x\""), "member");
    expect_warning("[" REC("gcp-tdx", "\"0\":" D48) "," REC("dcap-tdx", "\"0\":" D48) "]",
                   "same-id");
    expect_warning(ID("\"\""), "no-id");
    expect_warning(ID("\"a\\u202eb\""), "misleading-id");
    expect_warning("{\"x\":{\"4\":" D32 "}}", "legacy-map");
    expect_warning(DSTACK("\"" H32 "\"", "\"composeHashes\":[\"" H32 "\"],\"devices\":[]"),
                   "left-out");
}

/* Untrusted text comes out escaped, and the sentence survives a long id. */
static void test_diag_is_printable(void **state)
{
    (void)state;
    char text[2048];
    struct ms_diag diag = {0};
    struct rec_set set;

    rec_set_init(&set);
    char id[257] = "\xf0\x9f\x9a\x80";
    for (size_t i = 4; i < 256; i++)
        id[i] = 'a';
    (void)snprintf(text, sizeof(text),
                   "[{\"measurement_id\":\"%s\",\"attestation_type\":\"dcap-tdx\","
                   "\"measurements\":{\"\\u001b[31m\":" D48 "}}]",
                   id);
    assert_int_equal(rec_parse(ms_span_str(text), REC_MODE_STRICT, &set, &diag), MS_ERR_REGISTER);
    assert_non_null(strstr(diag.text, "has no register \"\\x1b[31m\""));
    for (const char *at = diag.text; *at != '\0'; at++)
        assert_in_range(*at, 0x20, 0x7e);
    rec_set_done(&set);
}

/* ---- limits ---- */

static char *many(const char *open, const char *item, const char *sep, size_t n, const char *close)
{
    size_t size = strlen(open) + n * (strlen(item) + strlen(sep)) + strlen(close) + 1, at = 0;
    char *text = malloc(size);

    assert_non_null(text);
    at += (size_t)snprintf(text, size, "%s", open);
    for (size_t i = 0; i < n; i++)
        at += (size_t)snprintf(text + at, size - at, "%s%s", i == 0 ? "" : sep, item);
    (void)snprintf(text + at, size - at, "%s", close);
    return text;
}

static enum ms_err parse_free(char *text, struct rec_set *set)
{
    rec_set_init(set);
    enum ms_err err = rec_parse(ms_span_str(text), REC_MODE_STRICT, set, NULL);
    free(text);
    return err;
}

static void test_limits(void **state)
{
    (void)state;
    static const struct {
        size_t n;
        enum ms_err want;
    } lists[] = {{1000, MS_OK}, {1001, MS_ERR_RECORDS}},
      alternatives[] = {{64, MS_OK}, {65, MS_ERR_RECORDS}};
    struct rec_set set;

    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(
            parse_free(many("[", REC("azure-tdx", "\"4\":" D32), ",", lists[i].n, "]"), &set),
            lists[i].want);
        assert_int_equal(set.n_warnings, lists[i].want == MS_OK ? 1 : 0);
        rec_set_done(&set);
        assert_int_equal(
            parse_free(many("[{\"measurement_id\":\"x\",\"attestation_type\":\"dcap-tdx\","
                            "\"measurements\":{\"0\":{\"expected_any\":[",
                            "\"" H48 "\"", ",", alternatives[i].n, "]}}}]"),
                       &set),
            alternatives[i].want);
        rec_set_done(&set);
    }
    assert_int_equal(parse_free(many("[", " ", " ", REC_DOC_MAX_BYTES, "]"), &set), MS_ERR_LIMIT);
    rec_set_done(&set);
    /* Warnings stay few, and the last one says so. */
    assert_int_equal(parse_free(many("[",
                                     "{\"measurement_id\":\"x\",\"attestation_type\":\"dcap-tdx\","
                                     "\"c\":0,\"measurements\":{\"0\":" D48 "}}",
                                     ",", 100, "]"),
                                &set),
                     MS_OK);
    assert_int_equal(set.n_warnings, REC_WARNINGS_MAX);
    assert_string_equal(set.warnings[REC_WARNINGS_MAX - 1].code, "more");
    rec_set_done(&set);
}

/* ---- memory ---- */

static size_t heap_now, heap_peak, heap_fail_at, heap_calls;

static void *counted_malloc(size_t size)
{
    if (++heap_calls == heap_fail_at)
        return NULL;
    size_t *block = malloc(size + 16);
    if (block == NULL)
        return NULL;
    *block = size;
    heap_now += size;
    heap_peak = heap_now > heap_peak ? heap_now : heap_peak;
    return (char *)block + 16;
}

static void counted_free(void *ptr)
{
    if (ptr == NULL)
        return;
    size_t *block = (size_t *)(void *)((char *)ptr - 16);
    heap_now -= *block;
    free(block);
}

/* The tree of the most hostile documents of the greatest size stays within 4 MiB. */
static void test_memory_of_hostile_documents(void **state)
{
    (void)state;
    static const char *const items[] = {"{}", "[]", "{\"a\":{}}", "\"\"", "0", "{\"0\":{\"a\":0}}"};
    struct rec_set set;

    json_set_alloc_funcs(counted_malloc, counted_free);
    for (size_t i = 0; i < MS_ARRAY_LEN(items); i++) {
        size_t n = (REC_DOC_MAX_BYTES - 2) / (strlen(items[i]) + 1);
        size_t fitting = n < 5400 ? n : 5400; /* below the cap on values, so that it is parsed */
        heap_peak = 0;
        assert_int_not_equal(parse_free(many("[", items[i], ",", n, "]"), &set), MS_OK);
        rec_set_done(&set);
        assert_int_not_equal(parse_free(many("[", items[i], ",", fitting, "]"), &set), MS_OK);
        rec_set_done(&set);
        if (heap_peak > (size_t)4 << 20)
            fail_msg("%s: %zu bytes", items[i], heap_peak);
        assert_int_equal(heap_now, 0);
    }
    json_set_alloc_funcs(malloc, free);
}

static size_t allocations_of_parser(const char *text)
{
    static const struct ms_json_limits limits = {REC_DOC_MAX_BYTES, 16, 16384, 0};
    json_t *root = NULL;

    heap_calls = 0;
    assert_int_equal(ms_json_parse(ms_span_str(text), &limits, &root, NULL), MS_OK);
    json_decref(root);
    return heap_calls;
}

/* Each allocation that a translation makes fails once: an error, nothing leaked, nothing
 * half-built. Those of the JSON parser are left alone, jansson 2.14 itself does not survive them.
 */
static void test_allocation_failures(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "[" REC("sev-snp", "\"0\":" D48) "," REC("dcap-tdx", "\"0\":" D48) "]",
        IMG("gcp-tdx", IMAGE5),
        "{\"kind\":\"portable\",\"azure\":{\"pcr4\":\"" H32 "\"},\"dcap\":{" IMAGE5 "}}",
        "{\"snp\":[],\"tdx\":[{\"MrTd\":\"" H48 "\",\"Rtmrs\":[\"" H48 "\",\"" H48 "\",\"" H48
        "\",\"" H48 "\"]}]}",
        "{\"version\":\"v\",\"list\":[{\"csp\":\"Azure\",\"attestationVariant\":\"azure-tdx\","
        "\"measurements\":{\"4\":" D32 "}}]}",
        DSTACK("\"" H32 "\"", "\"composeHashes\":[\"" H32 "\"],\"devices\":[]"),
        "{\"x\":{\"4\":" D32 "}}",
    };

    json_set_alloc_funcs(counted_malloc, counted_free);
    for (size_t i = 0; i < MS_ARRAY_LEN(texts); i++) {
        enum ms_err err = MS_ERR_INTERNAL;
        size_t first = allocations_of_parser(texts[i]) + 1;
        for (size_t n = first; err != MS_OK && n < first + 2000; n++) {
            struct rec_set set;
            rec_set_init(&set);
            heap_calls = 0;
            heap_fail_at = n;
            err = rec_parse(ms_span_str(texts[i]), REC_MODE_DIALECTS, &set, NULL);
            rec_set_done(&set);
            assert_int_equal(heap_now, 0);
        }
        heap_fail_at = 0;
        assert_int_equal(err, MS_OK);
    }
    json_set_alloc_funcs(malloc, free);
}

/* What a release that carries the document has to say of it. */
static void test_payload_format(void **state)
{
#define ONE "0000000000000000000000000000000000000000000000000000000000000001"
    static const struct {
        const char *text;
        uint16_t want;
    } documents[] = {
        {"[]", 1},
        {"no JSON", 1},
        {"{\"predicates\":[{\"kind\":\"tdx-workload-id\",\"version\":2,\"value\":\"" ONE "\"}]}",
         3},
        {"{\"predicates\":[{\"kind\":\"dstack-os-image\",\"value\":\"" ONE "\"}]}", 4},
        {"{\"predicates\":[]}", 1},
        {"{\"predicates\":[{\"kind\":\"dstack-os-image\",\"value\":\"" ONE
         "\"},{\"kind\":\"tdx-workload-id\",\"version\":2,\"value\":\"" ONE "\"}]}",
         1},
    };

    (void)state;
    for (size_t i = 0; i < MS_ARRAY_LEN(documents); i++)
        assert_int_equal(rec_payload_format(ms_span_str(documents[i].text)), documents[i].want);
    assert_string_equal(rec_payload_format_name(4), "dstack hashes");
    assert_string_equal(rec_payload_format_name(5), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_prefixes),
        cmocka_unit_test(test_content),
        cmocka_unit_test(test_warnings),
        cmocka_unit_test(test_payload_format),
        cmocka_unit_test(test_diag_is_printable),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_memory_of_hostile_documents),
        cmocka_unit_test(test_allocation_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
