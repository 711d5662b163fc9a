/* Canonical form, hash and profiles: what equal sets share and what each consumer gets. */
#include "resolver/records/records.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define H8 "0123456789abcdef"
#define H32 H8 H8 H8 H8
#define H48 H32 H8 H8
#define G32 "fedcba9876543210" H8 H8 H8
#define G48 "fedcba9876543210" H8 H8 H8 H8 H8
#define HASH "\"" H48 "\""
#define IMAGE                                                                               \
    "{\"measurement_id\":\"img\",\"attestation_type\":\"gcp-tdx\",\"dcap_image_hashes\":{"  \
    "\"uki_authenticode\":" HASH ",\"kernel_authenticode\":" HASH ",\"cmdline_hash\":" HASH \
    ",\"initrd_hash\":" HASH ",\"gpt_disk_guid_hash\":" HASH "}}"
#define UNKNOWN                                                                                \
    "{\"measurement_id\":\"u\",\"attestation_type\":\"sev-snp\",\"measurements\":{\"launch\":" \
    "\"00\"}}"
#define PREDICATE "{\"predicate\":{\"kind\":\"dstack-compose-hash\",\"value\":\"" H32 "\"}}"
#define AZURE                                                                         \
    "{\"measurement_id\":\"a\",\"attestation_type\":\"azure-tdx\",\"measurements\":{" \
    "\"4\":{\"expected_any\":[\"" H32 "\",\"" G32 "\"]},\"11\":{\"expected\":\"" H32 "\"}}}"
#define GCP                                                                         \
    "{\"measurement_id\":\"g\",\"attestation_type\":\"gcp-tdx\",\"measurements\":{" \
    "\"0\":{\"expected\":\"" H48 "\"}}}"

static void load(const char *text, struct rec_set *set)
{
    struct ms_diag diag = {0};

    rec_set_init(set);
    enum ms_err err = rec_parse(ms_span_str(text), REC_MODE_DIALECTS, set, &diag);
    if (err != MS_OK)
        fail_msg("%s: %s", ms_err_name(err), diag.text);
}

static void hash_of(const char *text, char out[65])
{
    struct rec_set set;
    struct ms_sha256 hash;

    load(text, &set);
    assert_int_equal(rec_set_hash(&set, &hash), MS_OK);
    ms_sha256_hex(&hash, out);
    rec_set_done(&set);
}

/* ---- canonical ---- */

/* Every row says the same as its group's first row. */
static const char *const same[][6] = {
    {"[{\"measurement_id\":\"x\",\"attestation_type\":\"dcap-tdx\",\"measurements\":{"
     "\"0\":{\"expected\":\"" H48 "\"},\"2\":{\"expected_any\":[\"" G48 "\",\"" H48 "\"]}}}]",
     "[ {\"attestation_type\":\"dcap-tdx\",\"measurements\":{"
     "\"2\":{\"expected_any\":[\"" H48 "\",\"" G48 "\",\"" H48 "\"]},\"0\":\"" H48
     "\"},\"measurement_id\":\"x\"}]",
     "{\"measurement_id\":\"\\u0078\",\"attestation_type\":\"qemu-tdx\",\"measurements\":{"
     "\"MRTD\":[\"" H48 "\"],\"Rtmr1\":[\"" G48 "\",\"" H48 "\"]}}",
     "[{\"measurement_id\":\"x\",\"attestation_type\":\"dcap-tdx\",\"comment\":\"\","
     "\"measurements\":{"
     "\"0\":{\"expected\":\"0123456789ABCDEF" H8 H8 H8 H8 H8
     "\",\"warnOnly\":false},\"rtmr1\":{\"expected_any\":[\"FEDCBA9876543210" H8 H8 H8 H8 H8
     "\",\"" H48 "\"]}}}]"},
    {"[" AZURE "," GCP "]", "[" GCP "," AZURE "]", "[" GCP "," AZURE "," GCP "]"},
    {"{\"n\":{\"4\":{\"expected\":\"" H32 "\"}}}",
     "{\"measurement_id\":\"n\",\"attestation_type\":\"azure-tdx\",\"measurements\":{\"pcr4\":"
     "\"" H32 "\"}}"},
    {"[" PREDICATE "]", "[" PREDICATE "," PREDICATE "]"},
    {"[" GCP "," UNKNOWN "," IMAGE "," PREDICATE "]",
     "[" PREDICATE "," IMAGE "," UNKNOWN "," GCP "]"},
    {"[{\"measurement_id\":\"\",\"attestation_type\":\"dcap-tdx\",\"measurements\":{\"0\":\"" H48
     "\",\"2\":[\"" G48 "\"]}}]",

     NULL},
};

static void test_same_hash(void **state)
{
    (void)state;
    for (size_t g = 0; g < MS_ARRAY_LEN(same); g++) {
        char first[65], other[65];
        hash_of(same[g][0], first);
        for (size_t i = 1; i < MS_ARRAY_LEN(same[g]) && same[g][i] != NULL; i++) {
            hash_of(same[g][i], other);
            if (strcmp(first, other) != 0)
                fail_msg("group %zu, row %zu: %s is not %s", g, i, other, first);
        }
    }
}

/* Constellation, Contrast, trustee, attest measure: the same records as written out by hand. */
static void test_foreign_forms(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"{\"version\":\"v1\",\"ref\":\"-\",\"stream\":\"s\",\"list\":[{\"csp\":\"Azure\","
         "\"attestationVariant\":\"azure-tdx\",\"measurements\":{\"4\":{\"expected\":\"" H32
         "\",\"warnOnly\":false}}}]}",
         "[{\"measurement_id\":\"v1-Azure-azure-tdx\",\"attestation_type\":\"azure-tdx\","
         "\"measurements\":{\"4\":\"" H32 "\"}}]"},
        {"{\"snp\":[{}],\"tdx\":[{\"MrTd\":\"" G48 "\",\"Rtmrs\":[" HASH "," HASH "," HASH "," HASH
         "]}]}",
         "[{\"attestation_type\":\"dcap-tdx\",\"measurements\":{\"0\":\"" G48 "\",\"1\":" HASH
         ",\"2\":" HASH ",\"3\":" HASH ",\"4\":" HASH "}}]"},
        {"{\"kind\":\"azure\",\"azure\":{\"pcr4\":\"" H32 "\"}}",
         "[{\"attestation_type\":\"azure-tdx\",\"measurements\":{\"4\":\"" H32 "\"}}]"},
        {"{\"osImages\":[\"0x" H32 "\"],\"apps\":{\"a\":{\"composeHashes\":[\"" G32
         "\"],\"devices\":[]}}}",
         "[{\"predicate\":{\"kind\":\"dstack-compose-hash\",\"value\":\"" G32 "\"}},"
         "{\"predicate\":{\"kind\":\"dstack-os-image\",\"value\":\"" H32 "\"}}]"},
        /* base64 of {"mr_td":["00..00"]} with 96 digits */
        {"{\"version\":\"0.1.0\",\"type\":\"sample\",\"payload\":\""
         "eyJtcl90ZCI6WyIwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAw"
         "MDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAiXX0=\"}",
         "[{\"attestation_type\":\"dcap-tdx\",\"measurements\":{\"0\":\""
         "00000000000000000000000000000000000000000000000000000000000000000000000000000000"
         "0000000000000000\"}}]"},
    };
    for (size_t i = 0; i < MS_ARRAY_LEN(pairs); i++) {
        char a[65], b[65];
        hash_of(pairs[i][0], a);
        hash_of(pairs[i][1], b);
        if (strcmp(a, b) != 0)
            fail_msg("pair %zu", i);
    }
}

static void test_canonical_text(void **state)
{
    (void)state;
    struct rec_set set;
    struct ms_buf out = MS_BUF_INIT(65536);

    load("[" AZURE "]", &set);
    assert_int_equal(rec_set_canonical(&set, &out), MS_OK);
    assert_string_equal(ms_buf_str(&out),
                        "[{\"attestation_type\":\"azure-tdx\",\"measurement_id\":\"a\","
                        "\"measurements\":{\"11\":{\"expected_any\":[\"" H32 "\"]},"
                        "\"4\":{\"expected_any\":[\"" H32 "\",\"" G32 "\"]}}}]");
    rec_set_done(&set);
    ms_buf_reset(&out);
    load("[]", &set);
    assert_int_equal(rec_set_canonical(&set, &out), MS_OK);
    assert_string_equal(ms_buf_str(&out), "[]");
    rec_set_done(&set);
    ms_buf_done(&out);
}

/* The writer of canonical text and jansson's sorted compact printer agree byte for byte, and
 * reading it back gives the same hash. */
static void test_canonical_round_trip(void **state)
{
    (void)state;
    static const struct ms_json_limits limits = {1 << 20, 16, 16384, 0};
    for (size_t g = 0; g < MS_ARRAY_LEN(same); g++) {
        struct rec_set set, again;
        struct ms_buf out = MS_BUF_INIT(1 << 20), printed = MS_BUF_INIT(1 << 20);
        struct ms_sha256 a, b;
        json_t *root = NULL;
        load(same[g][0], &set);
        assert_int_equal(rec_set_canonical(&set, &out), MS_OK);
        assert_int_equal(ms_json_parse(ms_buf_span(&out), &limits, &root, NULL), MS_OK);
        assert_int_equal(ms_json_dump(root, &printed), MS_OK);
        assert_string_equal(ms_buf_str(&out), ms_buf_str(&printed));
        load(ms_buf_str(&out), &again);
        assert_int_equal(rec_set_hash(&set, &a), MS_OK);
        assert_int_equal(rec_set_hash(&again, &b), MS_OK);
        assert_true(ms_sha256_eq(&a, &b));
        json_decref(root);
        ms_buf_done(&out);
        ms_buf_done(&printed);
        rec_set_done(&set);
        rec_set_done(&again);
    }
}

/* Whatever changes what is approved changes the hash. */
static void test_different_hash(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "[]",
        "[" GCP "]",
        "[" AZURE "]",
        "[" AZURE "," GCP "]",
        "[" PREDICATE "]",
        "[" PREDICATE "," GCP "]",
        "[" IMAGE "]",
        "[" GCP "," UNKNOWN "]",
        "[{\"predicate\":{\"kind\":\"dstack-os-image\",\"value\":\"" H32 "\"}}]",
        "[{\"predicate\":{\"kind\":\"tdx-workload-id\",\"value\":\"" H32 "\",\"version\":1}}]",
        "[{\"predicate\":{\"kind\":\"tdx-workload-id\",\"value\":\"" H32 "\",\"version\":2}}]",
        "[{\"measurement_id\":\"g\",\"attestation_type\":\"dcap-tdx\",\"measurements\":{\"0\":"
        "\"" H48 "\"}}]",
        "[{\"measurement_id\":\"g\",\"attestation_type\":\"gcp-tdx\",\"measurements\":{\"1\":\"" H48
        "\"}}]",
        "[{\"measurement_id\":\"h\",\"attestation_type\":\"gcp-tdx\",\"measurements\":{\"0\":\"" H48
        "\"}}]",
        "[{\"measurement_id\":\"g\",\"attestation_type\":\"gcp-tdx\",\"measurements\":{\"0\":\"" G48
        "\"}}]",
    };
    char hashes[MS_ARRAY_LEN(texts)][65];
    for (size_t i = 0; i < MS_ARRAY_LEN(texts); i++) {
        hash_of(texts[i], hashes[i]);
        for (size_t k = 0; k < i; k++)
            if (strcmp(hashes[i], hashes[k]) == 0)
                fail_msg("%zu and %zu have one hash", k, i);
    }
}

/* ---- random documents, each written in many ways ---- */

struct draft {
    bool azure;
    size_t n;
    struct {
        unsigned index, n_values;
        uint8_t value[3][48];
    } reg[5];
};

static struct draft random_draft(void)
{
    struct draft d = {.azure = rand() % 2 == 0, .n = 1 + (size_t)rand() % 5};

    for (size_t i = 0; i < d.n; i++) {
        d.reg[i].index = (unsigned)i * (d.azure ? 5 : 1);
        d.reg[i].n_values = 1 + (unsigned)rand() % 3;
        for (size_t v = 0; v < d.reg[i].n_values; v++)
            for (size_t b = 0; b < 48; b++)
                d.reg[i].value[v][b] = (uint8_t)rand();
    }
    return d;
}

static void write_value(const uint8_t *value, size_t len, struct ms_buf *out)
{
    (void)ms_buf_add_byte(out, '"');
    for (size_t i = 0; i < len; i++)
        (void)ms_buf_addf(out, rand() % 2 == 0 ? "%02x" : "%02X", value[i]);
    (void)ms_buf_add_byte(out, '"');
}

/* One of the ways in which the register can be written. */
static void write_register(const struct draft *d, size_t i, struct ms_buf *out)
{
    unsigned first = (unsigned)rand() % d->reg[i].n_values, n = d->reg[i].n_values;
    bool bare = rand() % 2 == 0, list = n > 1 || rand() % 2 == 0;
    const char *name =
        rec_register_name(d->azure ? REC_TYPE_AZURE_TDX : REC_TYPE_DCAP_TDX, d->reg[i].index);

    if (rand() % 2 == 0)
        (void)ms_buf_addf(out, "\"%u\":", d->reg[i].index);
    else
        (void)ms_buf_addf(out, "\"%c%s\":", name[0] - (rand() % 2 == 0 ? 32 : 0), name + 1);
    if (!bare)
        (void)ms_buf_add_str(out, list ? "{\"expected_any\":" : "{\"expected\":");
    for (unsigned v = 0; v < n; v++) {
        (void)ms_buf_add_str(out, v > 0 ? "," : list ? "[" : "");
        write_value(d->reg[i].value[(first + v) % n], d->azure ? 32 : 48, out);
    }
    (void)ms_buf_addf(out, "%s%s", list ? "]" : "", bare ? "" : "}");
}

static void write_record(const struct draft *d, unsigned id, struct ms_buf *out)
{
    size_t first = (size_t)rand() % d->n;

    (void)ms_buf_addf(
        out, "{\"measurement_id\":\"%u\",\"attestation_type\":\"%s\",\"measurements\":{", id,
        d->azure          ? "azure-tdx"
        : rand() % 2 == 0 ? "dcap-tdx"
                          : "qemu-tdx");
    for (size_t i = 0; i < d->n; i++) {
        (void)ms_buf_add_str(out, i == 0 ? "" : ", ");
        write_register(d, (first + i) % d->n, out);
    }
    (void)ms_buf_add_str(out, "}}");
}

static void test_random_spellings(void **state)
{
    (void)state;
    unsigned seed = 20261121;
    print_message("seed %u\n", seed);
    srand(seed);
    for (int round = 0; round < 100; round++) {
        struct draft drafts[4];
        char first[65] = "", hash[65];
        for (size_t i = 0; i < 4; i++)
            drafts[i] = random_draft();
        for (int spelling = 0; spelling < 8; spelling++) {
            struct ms_buf text = MS_BUF_INIT(1 << 20);
            unsigned start = (unsigned)rand() % 4;
            for (unsigned i = 0; i < 4; i++) {
                (void)ms_buf_add_byte(&text, i == 0 ? '[' : ',');
                write_record(&drafts[(start + i) % 4], (start + i) % 4, &text);
            }
            (void)ms_buf_add_byte(&text, ']');
            hash_of(ms_buf_str(&text), hash);
            if (spelling == 0)
                memcpy(first, hash, sizeof(first));
            assert_string_equal(hash, first);
            ms_buf_done(&text);
        }
        drafts[round % 4].reg[0].value[0][round % 32] ^= 1;
        struct ms_buf text = MS_BUF_INIT(1 << 20);
        for (unsigned i = 0; i < 4; i++) {
            (void)ms_buf_add_byte(&text, i == 0 ? '[' : ',');
            write_record(&drafts[i], i, &text);
        }
        (void)ms_buf_add_byte(&text, ']');
        hash_of(ms_buf_str(&text), hash);
        assert_string_not_equal(hash, first);
        ms_buf_done(&text);
    }
}

/* ---- profiles ---- */

static const struct {
    const char *name, *text;
    enum rec_profile profile;
    enum ms_err want;
    const char *out;
    bool omits; /* the diag of MS_OK says what was left out */
} rows[] = {
    {"atls-1", "[" AZURE "]", REC_PROFILE_ATLS_1, MS_OK,
     "[{\"measurement_id\":\"a\",\"attestation_type\":\"azure-tdx\",\"measurements\":{\"4\":{"
     "\"expected_any\":[\"" H32 "\",\"" G32 "\"]},\"11\":{\"expected\":\"" H32 "\"}}}]\n",
     false},
    {"atls-1 keeps gcp", "[" GCP "]", REC_PROFILE_ATLS_1, MS_OK,
     "[{\"measurement_id\":\"g\",\"attestation_type\":\"gcp-tdx\",\"measurements\":{\"0\":{"
     "\"expected\":\"" H48 "\"}}}]\n",
     false},
    {"atls-1, nothing", "[]", REC_PROFILE_ATLS_1, MS_OK, "[]\n", false},
    {"seed, nothing", "[]", REC_PROFILE_SEED, MS_OK, "[]\n", false},
    {"atls-1, a portable policy would be any machine", "[" IMAGE "]", REC_PROFILE_ATLS_1, MS_OK,
     "[]\n", true},
    {"atls-1, predicates", "[" PREDICATE "]", REC_PROFILE_ATLS_1, MS_OK, "[]\n", true},
    {"atls-1, unknown type", "[" UNKNOWN "," GCP "]", REC_PROFILE_ATLS_1, MS_OK,
     "[{\"measurement_id\":\"g\",\"attestation_type\":\"gcp-tdx\",\"measurements\":{\"0\":{"
     "\"expected\":\"" H48 "\"}}}]\n",
     true},
    {"atls-2 names", "[" AZURE "," GCP "]", REC_PROFILE_ATLS_2, MS_OK,
     "[{\"measurement_id\":\"a\",\"attestation_type\":\"azure-tdx\",\"measurements\":{\"pcr4\":{"
     "\"expected_any\":[\"" H32 "\",\"" G32 "\"]},\"pcr11\":{\"expected\":\"" H32 "\"}}},"
     "{\"measurement_id\":\"g\",\"attestation_type\":\"gcp-tdx\",\"measurements\":{\"mrtd\":{"
     "\"expected\":\"" H48 "\"}}}]\n",
     false},
    {"atls-2 portable", "[" IMAGE "]", REC_PROFILE_ATLS_2, MS_OK, "[" IMAGE "]\n", false},
    {"cvm expands, gcp is dcap", "[" AZURE "," GCP "]", REC_PROFILE_CVM, MS_OK,
     "[{\"measurement_id\":\"a\",\"attestation_type\":\"azure-tdx\",\"measurements\":{\"4\":{"
     "\"expected\":\"" H32 "\"},\"11\":{\"expected\":\"" H32 "\"}}},"
     "{\"measurement_id\":\"a\",\"attestation_type\":\"azure-tdx\",\"measurements\":{\"4\":{"
     "\"expected\":\"" G32 "\"},\"11\":{\"expected\":\"" H32 "\"}}},"
     "{\"measurement_id\":\"g\",\"attestation_type\":\"dcap-tdx\",\"measurements\":{\"0\":{"
     "\"expected\":\"" H48 "\"}}}]\n",
     false},
    {"cvm denies all", "[]", REC_PROFILE_CVM, MS_OK,
     "[{\"measurement_id\":\"deny-all\",\"attestation_type\":\"dcap-tdx\",\"measurements\":{\"0\":{"
     "\"expected\":"
     "\"ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
     "ffffffffffffffff\"}}},{\"measurement_id\":\"deny-all\",\"attestation_type\":\"azure-tdx\","
     "\"measurements\":{\"4\":{\"expected\":\""
     "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff\"}}}]\n",
     false},
    {"cvm, unknown type", "[" UNKNOWN "," GCP "]", REC_PROFILE_CVM, MS_ERR_PROFILE, NULL, false},
    {"cvm, portable", "[" IMAGE "]", REC_PROFILE_CVM, MS_ERR_PROFILE, NULL, false},
    {"cvm, predicates", "[" PREDICATE "," GCP "]", REC_PROFILE_CVM, MS_ERR_PROFILE, NULL, false},
    {"no profile", "[]", REC_PROFILE_NONE, MS_ERR_ARGUMENT, NULL, false},
};

static void test_profiles(void **state)
{
    (void)state;
    for (size_t i = 0; i < MS_ARRAY_LEN(rows); i++) {
        struct rec_set set;
        struct ms_buf out = MS_BUF_INIT(1 << 20);
        struct ms_diag diag = {0};
        load(rows[i].text, &set);
        const struct rec_set *sets[] = {&set};
        enum ms_err err =
            rec_render(sets, 1, &(struct rec_options){.profile = rows[i].profile}, &out, &diag);
        if (err != rows[i].want)
            fail_msg("%s: got %s", rows[i].name, ms_err_name(err));
        if (err == MS_OK && strcmp(ms_buf_str(&out), rows[i].out) != 0)
            fail_msg("%s: got %s", rows[i].name, ms_buf_str(&out));
        if (err != MS_OK)
            assert_int_equal(out.len, 0);
        if (err == MS_OK && (diag.text[0] != '\0') != rows[i].omits)
            fail_msg("%s: diag \"%s\"", rows[i].name, diag.text);
        ms_buf_done(&out);
        rec_set_done(&set);
    }
}

/* The text of the seed document comes out as it went in. */
static void test_seed_text(void **state)
{
    (void)state;
    static const char text[] = "[\n"
                               "    {\n"
                               "        \"measurement_id\": \"a \\\"quoted\\\" <b>\",\n"
                               "        \"attestation_type\": \"azure-tdx\",\n"
                               "        \"measurements\": {\n"
                               "            \"4\": {\n"
                               "                \"expected\": \"" H32 "\"\n"
                               "            },\n"
                               "            \"11\": {\n"
                               "                \"expected_any\": [\n"
                               "                    \"" H32 "\",\n"
                               "                    \"" G32 "\"\n"
                               "                ]\n"
                               "            }\n"
                               "        }\n"
                               "    }\n"
                               "]\n";
    struct rec_set set;
    struct ms_buf out = MS_BUF_INIT(1 << 20);
    load(text, &set);
    const struct rec_set *sets[] = {&set};
    assert_int_equal(
        rec_render(sets, 1, &(struct rec_options){.profile = REC_PROFILE_SEED}, &out, NULL), MS_OK);
    assert_string_equal(ms_buf_str(&out), text);
    ms_buf_done(&out);
    rec_set_done(&set);
}

/* 64 * 64 is the cap exactly; one record more is beyond it, also when it comes from another set. */
static void test_expansion_cap(void **state)
{
    (void)state;
    struct ms_buf text = MS_BUF_INIT(1 << 20), out = MS_BUF_INIT(8 << 20);
    struct rec_set wide, one;

    (void)ms_buf_add_str(&text, "[{\"measurement_id\":\"w\",\"attestation_type\":\"azure-tdx\","
                                "\"measurements\":{");
    for (int reg = 0; reg < 2; reg++) {
        (void)ms_buf_addf(&text, "%s\"%d\":{\"expected_any\":[", reg == 0 ? "" : ",", reg);
        for (int i = 0; i < 64; i++)
            (void)ms_buf_addf(&text, "%s\"%064x\"", i == 0 ? "" : ",", i);
        (void)ms_buf_add_str(&text, "]}");
    }
    (void)ms_buf_add_str(&text, "}}]");
    load(ms_buf_str(&text), &wide);
    load("[" GCP "]", &one);
    const struct rec_set *sets[] = {&wide, &one};
    assert_int_equal(
        rec_render(sets, 1, &(struct rec_options){.profile = REC_PROFILE_CVM}, &out, NULL), MS_OK);
    size_t records = 0;
    for (const char *at = ms_buf_str(&out); (at = strstr(at, "measurement_id")) != NULL; at++)
        records++;
    assert_int_equal(records, REC_CVM_EXPANSION_MAX);
    ms_buf_reset(&out);
    assert_int_equal(
        rec_render(sets, 2, &(struct rec_options){.profile = REC_PROFILE_CVM}, &out, NULL),
        MS_ERR_EXPANSION);
    assert_int_equal(out.len, 0);
    rec_set_done(&wide);
    rec_set_done(&one);
    ms_buf_done(&text);
    ms_buf_done(&out);
}

/* What a profile renders reads back as the same set, wherever the profile can express all of it. */
static void test_render_reads_back(void **state)
{
    (void)state;
    for (enum rec_profile profile = REC_PROFILE_SEED; profile <= REC_PROFILE_ATLS_2; profile++) {
        struct rec_set set, again;
        struct ms_buf out = MS_BUF_INIT(1 << 20);
        struct ms_sha256 a, b;
        load(profile == REC_PROFILE_ATLS_2 ? "[" AZURE "," GCP "," IMAGE "]"
                                           : "[" AZURE "," GCP "]",
             &set);
        const struct rec_set *sets[] = {&set};
        assert_int_equal(rec_render(sets, 1, &(struct rec_options){.profile = profile}, &out, NULL),
                         MS_OK);
        load(ms_buf_str(&out), &again);
        assert_int_equal(rec_set_hash(&set, &a), MS_OK);
        assert_int_equal(rec_set_hash(&again, &b), MS_OK);
        assert_true(ms_sha256_eq(&a, &b));
        ms_buf_done(&out);
        rec_set_done(&set);
        rec_set_done(&again);
    }
}

static void test_envelope_members(void **state)
{
    (void)state;
    struct rec_set set;
    struct ms_buf out = MS_BUF_INIT(65536);

    load("[" GCP "," PREDICATE "]", &set);
    json_t *records = rec_records_json(&set), *predicates = rec_predicates_json(&set);
    assert_int_equal(ms_json_print(records, false, &out), MS_OK);
    assert_string_equal(ms_buf_str(&out), "[" GCP "]");
    ms_buf_reset(&out);
    assert_int_equal(ms_json_print(predicates, false, &out), MS_OK);
    assert_string_equal(ms_buf_str(&out),
                        "[{\"kind\":\"dstack-compose-hash\",\"value\":\"" H32 "\"}]");
    json_decref(records);
    json_decref(predicates);
    rec_set_done(&set);
    ms_buf_done(&out);
}

static void test_names(void **state)
{
    (void)state;
    for (enum rec_profile p = REC_PROFILE_SEED; p < REC_PROFILES; p++)
        assert_int_equal(rec_profile_parse(ms_span_str(rec_profile_name(p))), p);
    for (enum rec_type t = REC_TYPE_AZURE_TDX; t <= REC_TYPE_QEMU_TDX; t++)
        assert_int_equal(rec_type_parse(ms_span_str(rec_type_name(t))), t);
    assert_int_equal(rec_profile_parse(ms_span_str("rvps")), REC_PROFILE_RVPS_LOCALJSON);
    assert_int_equal(rec_profile_parse(ms_span_str("none")), REC_PROFILE_NONE);
    assert_int_equal(rec_profile_parse(ms_span_str("CVM")), REC_PROFILE_NONE);
    assert_int_equal(rec_type_parse(ms_span_str("unknown")), REC_TYPE_UNKNOWN);
    assert_int_equal(rec_predicate_kind_parse(ms_span_str("none")), REC_PREDICATE_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_hash),        cmocka_unit_test(test_foreign_forms),
        cmocka_unit_test(test_canonical_text),   cmocka_unit_test(test_canonical_round_trip),
        cmocka_unit_test(test_random_spellings), cmocka_unit_test(test_different_hash),
        cmocka_unit_test(test_profiles),         cmocka_unit_test(test_seed_text),
        cmocka_unit_test(test_expansion_cap),    cmocka_unit_test(test_render_reads_back),
        cmocka_unit_test(test_envelope_members), cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
