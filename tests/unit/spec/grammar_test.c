/* Every kind of specifier, its canonical text and its refusals (ethereum.md 4.2 to 4.7). */
#include "tests/unit/spec/helper.h"

#define A1 "0x3f661c4CFdb8bc14D5C7A8B9A6f21B2c726BA2b7"
#define K1 "02bf0241b30b9cb7db5f7fc41f9fb16dc220d0663c40de0924178ea4c25a8dea04" /* its key */
#define A1_LOWER "0x3f661c4cfdb8bc14d5c7a8b9a6f21b2c726ba2b7"
#define A2_LOWER "0xde374479cee0792f9c3fd389e5c28b8574b0a7dd"
#define LABEL63 "a23456789012345678901234567890123456789012345678901234567890123"

static const struct {
    const char *name, *text;
    enum ms_err want;
    enum spec_kind kind;
    const char *canonical; /* NULL on error */
    const char *warning;   /* a code that must be among the warnings; NULL: there must be none */
} cases[] = {
    {"contract", ADDRESS, MS_OK, SPEC_CONTRACT, "eip155:1:" ADDRESS, NULL},
    {"short name", "sep:" ADDRESS, MS_OK, SPEC_CONTRACT, "eip155:11155111:" ADDRESS, NULL},
    {"eip155", "eip155:8453:" ADDRESS, MS_OK, SPEC_CONTRACT, "eip155:8453:" ADDRESS, NULL},
    {"chain of 18 digits", "eip155:999999999999999999:" ADDRESS, MS_OK, SPEC_CONTRACT,
     "eip155:999999999999999999:" ADDRESS, NULL},
    {"chain of 19 digits", "eip155:1000000000000000000:" ADDRESS, MS_ERR_CHAIN, 0, NULL, NULL},
    {"chain with leading zero", "eip155:01:" ADDRESS, MS_ERR_CHAIN, 0, NULL, NULL},
    {"chain zero", "eip155:0:" ADDRESS, MS_ERR_CHAIN, 0, NULL, NULL},
    {"chain empty", "eip155::" ADDRESS, MS_ERR_CHAIN, 0, NULL, NULL},
    {"chain without address", "eip155:1", MS_ERR_CHAIN, 0, NULL, NULL},
    {"unknown short name", "ethx:" ADDRESS, MS_ERR_CHAIN, 0, NULL, NULL},
    {"short name in capitals", "ETH:" ADDRESS, MS_ERR_CHAIN, 0, NULL, NULL},
    {"empty prefix", ":" ADDRESS, MS_ERR_CHAIN, 0, NULL, NULL},
    {"wrong EIP-55", "0xde374479CEe0792F9c3fD389E5c28B8574b0a7DD", MS_OK, SPEC_CONTRACT,
     "eip155:1:" ADDRESS, "eip55"},
    {"lower case", A2_LOWER, MS_OK, SPEC_CONTRACT, "eip155:1:" ADDRESS, "eip55-none"},
    {"39 digits", "0xde374479cEE0792f9c3fd389E5C28b8574b0a7d", MS_ERR_ADDRESS, 0, NULL, NULL},
    {"41 digits", ADDRESS "0", MS_ERR_ADDRESS, 0, NULL, NULL},
    {"0X", "0Xde374479cEE0792f9c3fd389E5C28b8574b0a7dD", MS_ERR_ADDRESS, 0, NULL, NULL},
    {"no 0x", "de374479cEE0792f9c3fd389E5C28b8574b0a7dD", MS_ERR_ADDRESS, 0, NULL, NULL},
    {"no hex digit", "0xge374479cEE0792f9c3fd389E5C28b8574b0a7dD", MS_ERR_ADDRESS, 0, NULL, NULL},
    {"zero address", "0x0000000000000000000000000000000000000000", MS_ERR_ADDRESS, 0, NULL, NULL},
    {"only 0x", "0x", MS_ERR_ADDRESS, 0, NULL, NULL},

    {"ens", "releases.example.eth", MS_OK, SPEC_ENS, "ens:eip155:1:releases.example.eth", NULL},
    {"ens with chain", "sep:a_b-c.eth", MS_OK, SPEC_ENS, "ens:eip155:11155111:a_b-c.eth", NULL},
    {"ens, label of 63", LABEL63 ".eth", MS_OK, SPEC_ENS, "ens:eip155:1:" LABEL63 ".eth", NULL},
    {"ens, label of 64", LABEL63 "x.eth", MS_ERR_ENS_CHARS, 0, NULL, NULL},
    {"ens in capitals", "Releases.eth", MS_ERR_ENS_CHARS, 0, NULL, NULL},
    {"ens, empty label", "a..eth", MS_ERR_ENS_CHARS, 0, NULL, NULL},
    {"ens, dot at the end", "a.eth.", MS_ERR_ENS_CHARS, 0, NULL, NULL},
    {"ens, only .eth", ".eth", MS_ERR_ENS_CHARS, 0, NULL, NULL},
    {"ens, other end", "example.com", MS_ERR_SPEC, 0, NULL, NULL},
    {"ens, Cyrillic a", "\xd0\xb0.eth", MS_ERR_PCT, 0, NULL, NULL},

    {"signers", "2of2:" ADDRESS "," A1, MS_OK, SPEC_SIGNERS, "2of2:" A1_LOWER "," A2_LOWER, NULL},
    {"signers, a key", "1of2:" ADDRESS "," K1, MS_OK, SPEC_SIGNERS, "1of2:" A1_LOWER "," A2_LOWER,
     NULL},
    {"signers, key and its address", "1of2:" A1 "," K1, MS_ERR_SIGNERS, 0, NULL, NULL},
    {"signers, twice, other case", "2of2:" ADDRESS "," A2_LOWER, MS_ERR_SIGNERS, 0, NULL, NULL},
    {"signers, too few", "2of3:" ADDRESS "," A1, MS_ERR_SIGNERS, 0, NULL, NULL},
    {"signers, too many", "1of1:" ADDRESS "," A1, MS_ERR_SIGNERS, 0, NULL, NULL},
    {"signers, 3of2", "3of2:" ADDRESS "," A1, MS_ERR_SIGNERS, 0, NULL, NULL},
    {"signers, 0of1", "0of1:" ADDRESS, MS_ERR_SIGNERS, 0, NULL, NULL},
    {"signers, leading zero", "01of1:" ADDRESS, MS_ERR_SIGNERS, 0, NULL, NULL},
    {"signers, 17", "1of17:" ADDRESS, MS_ERR_SIGNERS, 0, NULL, NULL},
    {"signers, OF", "1OF1:" ADDRESS, MS_ERR_SIGNERS, 0, NULL, NULL},
    {"signers, none", "1of1:", MS_ERR_SIGNERS, 0, NULL, NULL},
    {"signers, comma at the end", "1of1:" ADDRESS ",", MS_ERR_SIGNERS, 0, NULL, NULL},
    {"signers, wrong EIP-55", "1of1:0xde374479CEe0792F9c3fD389E5c28B8574b0a7DD", MS_OK,
     SPEC_SIGNERS, "1of1:" A2_LOWER, "eip55"},
    {"signers, zero address", "1of1:0x0000000000000000000000000000000000000000", MS_ERR_SIGNERS, 0,
     NULL, NULL},
    {"signers, no point", "1of1:02" HEX32, MS_ERR_PUBKEY, 0, NULL, NULL},
    {"signers, prefix 05", "1of1:05" HEX32, MS_ERR_PUBKEY, 0, NULL, NULL},
    {"key alone", K1, MS_ERR_SPEC, 0, NULL, NULL},
    {"key alone, 0x", "0x" K1, MS_ERR_SPEC, 0, NULL, NULL},

    {"github", "github:Owner~Repo.x", MS_OK, SPEC_GITHUB, "github:owner~repo.x", NULL},
    {"github, slash", "github:owner/repo", MS_OK, SPEC_GITHUB, "github:owner~repo", "raw-slash"},
    {"github, ..", "github:a~..", MS_ERR_SPEC, 0, NULL, NULL},
    {"github, .", "github:a~.", MS_ERR_SPEC, 0, NULL, NULL},
    {"github, two parts more", "github:a~b~c", MS_ERR_SPEC, 0, NULL, NULL},
    {"github, no repo", "github:owner", MS_ERR_SPEC, 0, NULL, NULL},
    {"github, no owner", "github:~repo", MS_ERR_SPEC, 0, NULL, NULL},
    {"github, owner of 40", "github:a234567890123456789012345678901234567890~r", MS_ERR_SPEC, 0,
     NULL, NULL},

    {"sha256", "sha256:" HEX32, MS_OK, SPEC_SHA256, "sha256:" HEX32, NULL},
    {"sha256 in capitals", "sha256:" HEX8 HEX8 HEX8 "0123456789ABCDEF", MS_OK, SPEC_SHA256,
     "sha256:" HEX32, NULL},
    {"sha256, 62 digits", "sha256:" HEX8 HEX8 HEX8 "0123456789abcd", MS_ERR_LENGTH, 0, NULL, NULL},
    {"sha256, 0x", "sha256:0x" HEX32, MS_ERR_LENGTH, 0, NULL, NULL},

    {"alias", "alias:build-net_1", MS_OK, SPEC_ALIAS, "alias:build-net_1", NULL},
    {"alias in capitals", "alias:Buildernet", MS_ERR_ALIAS, 0, NULL, NULL},
    {"alias, empty", "alias:", MS_ERR_ALIAS, 0, NULL, NULL},
    {"alias with an option", "alias:a;seq=3", MS_ERR_OPT, 0, NULL, NULL},
    {"a bare word nobody knows", "buildernet", MS_ERR_SPEC, 0, NULL, NULL},

    {"url:", "url:aHR0cHM6Ly94LmV4YW1wbGUv", MS_OK, SPEC_LOCATION, "url:https://x.example/", NULL},
    {"url: without path", "url:aHR0cHM6Ly94LmV4YW1wbGU", MS_OK, SPEC_LOCATION,
     "url:https://x.example/", NULL},
    {"url: of http", "url:aHR0cDovL3guZXhhbXBsZS8", MS_ERR_SCHEME, 0, NULL, NULL},
    {"legacy url", "aHR0cHM6Ly94LmV4YW1wbGUv", MS_OK, SPEC_LOCATION, "url:https://x.example/",
     NULL},
    {"legacy url, LF at its end", "aHR0cHM6Ly94LmV4YW1wbGUvCg==", MS_OK, SPEC_LOCATION,
     "url:https://x.example/", NULL},
    {"legacy url, CR LF at its end", "aHR0cHM6Ly94LmV4YW1wbGUvDQo=", MS_OK, SPEC_LOCATION,
     "url:https://x.example/", NULL},
    {"legacy url, two LF", "aHR0cHM6Ly94LmV4YW1wbGUvCgo=", MS_ERR_URL, 0, NULL, NULL},
    {"legacy url, only CR", "aHR0cHM6Ly94LmV4YW1wbGUvDQ==", MS_ERR_URL, 0, NULL, NULL},
    {"legacy http", "aHR0cDovL3guZXhhbXBsZS8=", MS_ERR_SCHEME, 0, NULL, NULL},
    {"url: of a document", "url:W10", MS_ERR_URL, 0, NULL, NULL},
    {"inline: of a url", "inline:aHR0cHM6Ly94LmV4YW1wbGUv", MS_ERR_SPEC, 0, NULL, NULL},
    {"inline: empty", "inline:", MS_ERR_BASE64, 0, NULL, NULL},
    {"inline: standard alphabet", "inline:W10+W10+", MS_ERR_BASE64, 0, NULL, NULL},
    {"empty list", "W10=", MS_ERR_RECORDS, 0, NULL, NULL},
    {"duplicate member", "W3siYSI6MSwiYSI6Mn1d", MS_ERR_JSON_DUPLICATE, 0, NULL, NULL},
    {"base64 of words", "aGVsbG8gd29ybGQ=", MS_ERR_SPEC, 0, NULL, NULL},

    {"empty", "", MS_ERR_SPEC, 0, NULL, NULL},
    {"only ;", ";", MS_ERR_SPEC, 0, NULL, NULL},
    {"newline at the end", ADDRESS "\n", MS_ERR_PCT, 0, NULL, NULL},
    {"space", " " ADDRESS, MS_ERR_PCT, 0, NULL, NULL},
    {"percent", "%30x", MS_ERR_PCT, 0, NULL, NULL},
    {"DEL", ADDRESS "\x7f", MS_ERR_PCT, 0, NULL, NULL},
    {"URL without scheme", ADDRESS "@host.domain", MS_ERR_SPEC, 0, NULL, NULL},
};

static void check_case(size_t i)
{
    struct ms_diag diag = {0};
    struct spec spec;

    spec_init(&spec);
    enum ms_err err = parse_text(cases[i].text, &spec, &diag);
    if (err != cases[i].want || spec.kind != cases[i].kind)
        fail_msg("%s: got %s, kind %s: %s", cases[i].name, ms_err_name(err),
                 spec_kind_name(spec.kind), diag.text);
    if (err != MS_OK) {
        /* empty again, and a cause for the reader */
        if (spec.canonical != NULL || spec.text != NULL || spec.arena.used != 0 ||
            diag.text[0] == '\0')
            fail_msg("%s: something is left, or nothing is said", cases[i].name);
    } else if (strcmp(spec.canonical, cases[i].canonical) != 0 ||
               strcmp(spec.text, cases[i].text) != 0) {
        fail_msg("%s: canonical %s", cases[i].name, spec.canonical);
    } else if (cases[i].warning == NULL ? spec.n_warnings != 0 : !warns(&spec, cases[i].warning)) {
        fail_msg("%s: %zu warnings", cases[i].name, spec.n_warnings);
    }
    spec_done(&spec);
}

static void test_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < MS_ARRAY_LEN(cases); i++)
        check_case(i);
}

/* printf 'measured/spec/1\neip155:1:0xde37...' | sha256sum */
static void test_key(void **state)
{
    (void)state;
    static const char want[] = "3144b952cfea5e6c49d5cea357d1b83d8ef25de6978eeaa5542b5fd9a2eaa495";
    char key[2 * MS_SHA256_BYTES + 1];
    struct spec spec;

    spec_init(&spec);
    assert_int_equal(parse_text(ADDRESS, &spec, NULL), MS_OK);
    ms_sha256_hex(&spec.key, key);
    assert_string_equal(key, want);
    spec_done(&spec);
}

static void test_strict_eip55(void **state)
{
    (void)state;
    const struct spec_context strict = {.eip55_strict = true};
    struct ms_span wrong = ms_span_str("0xde374479CEe0792F9c3fD389E5c28B8574b0a7DD");
    struct ms_diag diag = {0};
    struct spec spec;

    spec_init(&spec);
    assert_int_equal(parse_bytes(wrong, &strict, &spec, &diag), MS_ERR_EIP55);
    assert_non_null(strstr(diag.text, ADDRESS)); /* the right form is told */
    assert_int_equal(parse_bytes(ms_span_str(ADDRESS), &strict, &spec, NULL), MS_OK);
    assert_int_equal(spec.n_warnings, 0);
    /* no checksum at all is no wrong checksum */
    assert_int_equal(parse_bytes(ms_span_str(A2_LOWER), &strict, &spec, NULL), MS_OK);
    assert_true(warns(&spec, "eip55-none"));
    spec_done(&spec);
}

static const char *know_alias(void *arg, struct ms_span name)
{
    (*(int *)arg)++;
    return ms_span_eq_str(name, "buildernet") ? "url:..." : NULL;
}

static void test_alias(void **state)
{
    (void)state;
    int asked = 0;
    const struct spec_context context = {.alias = know_alias, .alias_arg = &asked};
    struct spec spec;

    spec_init(&spec);
    assert_int_equal(parse_bytes(ms_span_str("buildernet"), &context, &spec, NULL), MS_OK);
    assert_int_equal(spec.kind, SPEC_ALIAS);
    assert_string_equal(spec.name, "buildernet");
    assert_string_equal(spec.canonical, "alias:buildernet");
    assert_int_equal(parse_bytes(ms_span_str("other"), &context, &spec, NULL), MS_ERR_SPEC);
    assert_int_equal(asked, 2);
    /* what means something by itself is never looked up */
    assert_int_equal(parse_bytes(ms_span_str("a.eth"), &context, &spec, NULL), MS_OK);
    assert_int_equal(parse_bytes(ms_span_str(A2_LOWER), &context, &spec, NULL), MS_OK);
    assert_int_equal(asked, 2);
    spec_done(&spec);
}

static void test_default_chain(void **state)
{
    (void)state;
    const struct spec_context context = {.default_chain = 10};
    struct spec spec;

    spec_init(&spec);
    assert_int_equal(parse_bytes(ms_span_str(ADDRESS), &context, &spec, NULL), MS_OK);
    assert_string_equal(spec.canonical, "eip155:10:" ADDRESS);
    assert_int_equal(parse_bytes(ms_span_str("eth:" ADDRESS), &context, &spec, NULL), MS_OK);
    assert_string_equal(spec.canonical, "eip155:1:" ADDRESS);
    spec_done(&spec);
}

static void test_chains(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint64_t id;
    } want[] = {{"eth", 1},        {"sep", 11155111}, {"hoe", 560048}, {"oeth", 10},
                {"unichain", 130}, {"base", 8453},    {"arb1", 42161}};

    for (size_t i = 0; i < MS_ARRAY_LEN(want); i++) {
        assert_int_equal(spec_chain_by_name(ms_span_str(want[i].name)), want[i].id);
        assert_string_equal(spec_chain_name(want[i].id), want[i].name);
    }
    assert_int_equal(spec_chain_by_name(ms_span_str("")), 0);
    assert_null(spec_chain_name(0));
}

static void test_names(void **state)
{
    (void)state;
    assert_string_equal(spec_kind_name(SPEC_LOCATION), "location");
    assert_string_equal(spec_level_name(SPEC_LEVEL_L3), "l3");
    assert_int_equal(spec_level_parse(ms_span_str("l4")), SPEC_LEVEL_L4);
    assert_int_equal(spec_level_parse(ms_span_str("none")), SPEC_LEVEL_NONE);
    assert_int_equal(spec_level_parse(ms_span_str("L2")), SPEC_LEVEL_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),         cmocka_unit_test(test_key),
        cmocka_unit_test(test_strict_eip55),  cmocka_unit_test(test_alias),
        cmocka_unit_test(test_default_chain), cmocka_unit_test(test_chains),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
