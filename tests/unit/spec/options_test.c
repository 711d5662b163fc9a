/* Options: their values, which of them belong to the identity, and fail closed
 * (ethereum.md 4.3, 4.7). */
#include "tests/unit/spec/helper.h"

#define CONTRACT "eip155:1:" ADDRESS
#define A1 "0x3f661c4CFdb8bc14D5C7A8B9A6f21B2c726BA2b7"
#define K1 "02bf0241b30b9cb7db5f7fc41f9fb16dc220d0663c40de0924178ea4c25a8dea04"
#define A1_LOWER "0x3f661c4cfdb8bc14d5c7a8b9a6f21b2c726ba2b7"
#define A2_LOWER "0xde374479cee0792f9c3fd389e5c28b8574b0a7dd"
#define LOWER32 "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static const struct {
    const char *name, *text;
    enum ms_err want;
    const char *canonical;
} cases[] = {
    {"no identity", ADDRESS ";level=l2;max-age=60;seq=3;tag=safe;from=1", MS_OK, CONTRACT},
    {"x- of any kind", ADDRESS ";x-;x-a=b=c;x-note", MS_OK, CONTRACT},
    {"sorted", ADDRESS ";kind=registry;app=a;id=i", MS_OK, CONTRACT ";app=a;id=i;kind=registry"},
    {"code in one case", ADDRESS ";code=0x" HEX8 HEX8 HEX8 "0123456789ABCDEF", MS_OK,
     CONTRACT ";code=0x" HEX32},
    {"kms as EIP-55", ADDRESS ";kms=" A1_LOWER, MS_OK, CONTRACT ";kms=" A1},
    {"keys sorted, as addresses", ADDRESS ";keys=1of2:" ADDRESS "," K1, MS_OK,
     CONTRACT ";keys=1of2:" A1_LOWER "," A2_LOWER},
    {"auditors", ADDRESS ";auditors=1of1:" A1, MS_OK, CONTRACT ";auditors=1of1:" A1_LOWER},
    {"types sorted", ADDRESS ";type=gcp-tdx,azure-tdx", MS_OK, CONTRACT ";type=azure-tdx,gcp-tdx"},
    {"hashes sorted", ADDRESS ";sha256=" HEX32 "," LOWER32, MS_OK,
     CONTRACT ";sha256=" LOWER32 "," HEX32},
    {"at, normal form", ADDRESS ";at=aHR0cHM6Ly9YLmV4YW1wbGU", MS_OK,
     CONTRACT ";at=aHR0cHM6Ly94LmV4YW1wbGUv"},
    {"= in a value", ADDRESS ";id=a=b", MS_OK, CONTRACT ";id=a=b"},
    {"on a location", "url:aHR0cHM6Ly94LmV4YW1wbGUv;keys=1of1:" A1 ";seq=1", MS_OK,
     "url:https://x.example/;keys=1of1:" A1_LOWER},
    {"on signers", "1of1:" A1 ";app=a;at=aHR0cHM6Ly94LmV4YW1wbGUv", MS_OK,
     "1of1:" A1_LOWER ";app=a;at=aHR0cHM6Ly94LmV4YW1wbGUv"},
    {"the chain of contracts", "1of1:" A1 ";chain=10", MS_OK, "1of1:" A1_LOWER ";chain=10"},
    {"which is 1 anyway", "1of1:" A1 ";chain=1", MS_OK, "1of1:" A1_LOWER},
    {"on a hash", "sha256:" HEX32 ";at=aHR0cHM6Ly94LmV4YW1wbGUv", MS_OK,
     "sha256:" HEX32 ";at=aHR0cHM6Ly94LmV4YW1wbGUv"},

    {"unknown", ADDRESS ";foo=1", MS_ERR_OPT, NULL},
    {"unknown, no value", ADDRESS ";foo", MS_ERR_OPT, NULL},
    {"known in capitals", ADDRESS ";Level=l1", MS_ERR_OPT, NULL},
    {"repeated", ADDRESS ";seq=1;level=l1;seq=1", MS_ERR_OPT, NULL},
    {"x- repeated", ADDRESS ";x-a=1;x-a=2", MS_ERR_OPT, NULL},
    {"; at the end", ADDRESS ";seq=1;", MS_ERR_OPT, NULL},
    {"; alone", ADDRESS ";", MS_ERR_OPT, NULL},
    {";;", ADDRESS ";;seq=1", MS_ERR_OPT, NULL},
    {"no name", ADDRESS ";=1", MS_ERR_OPT, NULL},
    {"empty value", ADDRESS ";seq=", MS_ERR_OPT, NULL},
    {"x-, empty value", ADDRESS ";x-a=", MS_ERR_OPT, NULL},
    {"value missing", ADDRESS ";seq", MS_ERR_OPT, NULL},
    {"value missing where any text will do", ADDRESS ";app", MS_ERR_OPT, NULL},
    {"chain of a contract", ADDRESS ";chain=10", MS_ERR_OPT, NULL},
    {"chain 0", "1of1:" A1 ";chain=0", MS_ERR_OPT, NULL},
    {"chain with leading zero", "1of1:" A1 ";chain=010", MS_ERR_OPT, NULL},
    {"chain above 2^53", "1of1:" A1 ";chain=9007199254740993", MS_ERR_OPT, NULL},
    {"chain by name", "1of1:" A1 ";chain=oeth", MS_ERR_OPT, NULL},
    {"level l0", ADDRESS ";level=l0", MS_ERR_OPT, NULL},
    {"level l5", ADDRESS ";level=l5", MS_ERR_OPT, NULL},
    {"level in capitals", ADDRESS ";level=L2", MS_ERR_OPT, NULL},
    {"tag", ADDRESS ";tag=latest", MS_ERR_OPT, NULL},
    {"max-age 0", ADDRESS ";max-age=0", MS_ERR_OPT, NULL},
    {"max-age with unit", ADDRESS ";max-age=60s", MS_ERR_OPT, NULL},
    {"max-age, leading zero", ADDRESS ";max-age=060", MS_ERR_OPT, NULL},
    {"max-age of 2^32", ADDRESS ";max-age=4294967296", MS_ERR_OPT, NULL},
    {"seq negative", ADDRESS ";seq=-1", MS_ERR_OPT, NULL},
    {"seq of 2^63", ADDRESS ";seq=9223372036854775808", MS_ERR_OPT, NULL},
    {"from in hex", ADDRESS ";from=0x10", MS_ERR_OPT, NULL},
    {"code without 0x", ADDRESS ";code=" HEX32, MS_ERR_OPT, NULL},
    {"code too short", ADDRESS ";code=0x" HEX8, MS_ERR_OPT, NULL},
    {"kms no address", ADDRESS ";kms=0x12", MS_ERR_OPT, NULL},
    {"kind in capitals", ADDRESS ";kind=Safe", MS_ERR_OPT, NULL},
    {"keys, 2of1", ADDRESS ";keys=2of1:" A1, MS_ERR_OPT, NULL},
    {"type unknown", ADDRESS ";type=sgx", MS_ERR_OPT, NULL},
    {"type twice", ADDRESS ";type=dcap-tdx,dcap-tdx", MS_ERR_OPT, NULL},
    {"type, empty item", ADDRESS ";type=dcap-tdx,", MS_ERR_OPT, NULL},
    {"hash twice", ADDRESS ";sha256=" HEX32 "," HEX32, MS_ERR_OPT, NULL},
    {"hash too short", ADDRESS ";sha256=" HEX8, MS_ERR_OPT, NULL},
    {"at of http", ADDRESS ";at=aHR0cDovL3guZXhhbXBsZS8", MS_ERR_OPT, NULL},
    {"at no base64", ADDRESS ";at=https://x.example/", MS_ERR_OPT, NULL},
    {"at of a location", "url:aHR0cHM6Ly94LmV4YW1wbGUv;at=aHR0cHM6Ly94LmV4YW1wbGUv", MS_ERR_OPT,
     NULL},
    {"level of a location", "url:aHR0cHM6Ly94LmV4YW1wbGUv;level=l1", MS_ERR_OPT, NULL},
    {"code of signers", "1of1:" A1 ";code=0x" HEX32, MS_ERR_OPT, NULL},
};

static void test_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < MS_ARRAY_LEN(cases); i++) {
        struct ms_diag diag = {0};
        struct spec spec;
        spec_init(&spec);
        enum ms_err err = parse_text(cases[i].text, &spec, &diag);
        if (err != cases[i].want || (err != MS_OK && diag.text[0] == '\0'))
            fail_msg("%s: got %s: %s", cases[i].name, ms_err_name(err), diag.text);
        if (err == MS_OK && strcmp(spec.canonical, cases[i].canonical) != 0)
            fail_msg("%s: %s", cases[i].name, spec.canonical);
        spec_done(&spec);
    }
}

static void test_values(void **state)
{
    (void)state;
    struct spec spec;

    spec_init(&spec);
    assert_int_equal(parse_text(ADDRESS ";x-b;tag=finalized;level=l3;max-age=4294967295;kind=safe;"
                                        "seq=9223372036854775807;code=0x" HEX32
                                        ";at=aHR0cHM6Ly94LmV4YW1wbGU6ODQ0My8=",
                                &spec, NULL),
                     MS_OK);
    assert_int_equal(spec.level, SPEC_LEVEL_L3);
    assert_int_equal(spec.tag, SPEC_TAG_FINALIZED);
    assert_true(spec.max_age_s == 4294967295u);
    assert_true(spec.seq == INT64_MAX);
    assert_string_equal(spec.adapter, "safe");
    assert_true(spec.has_code && spec.code[0] == 0x01 && spec.code[31] == 0xef);
    assert_string_equal(spec.at.url, "https://x.example:8443/");
    assert_int_equal(spec.at.port, 8443);
    assert_int_equal(spec.n_options, 8);
    assert_string_equal(spec.options[0].name, "at");
    assert_string_equal(spec.options[7].name, "x-b");
    assert_string_equal(spec_option_value(&spec, "x-b"), "");
    assert_string_equal(spec_option_value(&spec, "kind"), "safe");
    assert_null(spec_option_value(&spec, "app"));

    assert_int_equal(parse_text(ADDRESS, &spec, NULL), MS_OK);
    assert_int_equal(spec.level, SPEC_LEVEL_NONE);
    assert_int_equal(spec.tag, SPEC_TAG_NONE);
    assert_int_equal(spec.n_options, 0);
    assert_null(spec.at.url);
    assert_null(spec.adapter);
    assert_false(spec.has_code);
    spec_done(&spec);
}

/* An option that cannot act on a list in the URL would promise what nobody checks. */
static void test_inline(void **state)
{
    (void)state;
    static const struct {
        const char *option;
        enum ms_err want;
    } rows[] = {{";type=dcap-tdx", MS_OK},
                {";id=one", MS_OK},
                {";max-age=60", MS_OK},
                {";x-a", MS_OK},
                {";sha256=" HEX32, MS_OK},
                {";level=l2", MS_ERR_OPT},
                {";keys=1of1:" A1, MS_ERR_OPT},
                {";app=a", MS_ERR_OPT},
                {";at=aHR0cHM6Ly94LmV4YW1wbGUv", MS_ERR_OPT},
                {";seq=1", MS_ERR_OPT}};
    char *base64 = encoded("", ms_span_str(DOCUMENT), true, true);

    for (size_t i = 0; i < MS_ARRAY_LEN(rows); i++) {
        struct ms_buf text = MS_BUF_INIT(4096);
        struct spec spec;
        spec_init(&spec);
        (void)ms_buf_addf(&text, "%s%s", base64, rows[i].option);
        enum ms_err err = parse_text(ms_buf_str(&text), &spec, NULL);
        if (err != rows[i].want)
            fail_msg("%s: got %s", rows[i].option, ms_err_name(err));
        spec_done(&spec);
        ms_buf_done(&text);
    }
    free(base64);
}

static void test_strict_eip55(void **state)
{
    (void)state;
    const struct spec_context strict = {.eip55_strict = true};
    static const char *const texts[] = {
        ADDRESS ";kms=0xde374479CEe0792F9c3fD389E5c28B8574b0a7DD",
        ADDRESS ";keys=1of1:0xde374479CEe0792F9c3fD389E5c28B8574b0a7DD",
    };
    struct spec spec;

    spec_init(&spec);
    for (size_t i = 0; i < MS_ARRAY_LEN(texts); i++) {
        assert_int_equal(parse_bytes(ms_span_str(texts[i]), &strict, &spec, NULL), MS_ERR_EIP55);
        assert_int_equal(parse_bytes(ms_span_str(texts[i]), NULL, &spec, NULL), MS_OK);
        assert_true(warns(&spec, "eip55"));
    }
    spec_done(&spec);
}

static void test_signers_of_option(void **state)
{
    (void)state;
    struct spec_signers signers = {0};

    assert_int_equal(spec_signers_parse(ms_span_str("1of2:" ADDRESS "," K1), &signers, NULL),
                     MS_OK);
    assert_int_equal(signers.m, 1);
    assert_int_equal(signers.n, 2);
    assert_int_equal(signers.addr[0].b[0], 0x3f);
    assert_int_equal(signers.addr[1].b[0], 0xde);
    assert_int_equal(spec_signers_parse(ms_span_str("1of1"), &signers, NULL), MS_ERR_SIGNERS);
    assert_int_equal(spec_signers_parse(ms_span_str("1of1:0x12"), &signers, NULL), MS_ERR_ADDRESS);
    assert_int_equal(signers.n, 2); /* written on MS_OK only */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_inline),
        cmocka_unit_test(test_strict_eip55),
        cmocka_unit_test(test_signers_of_option),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
