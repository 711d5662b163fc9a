/* What the nginx module reads of an attested hop's headers: rows, and as a property that it accepts
 * exactly what the daemon does. */
#include "tests/support/header_both.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

/* No byte reads the same with its digits swapped, so a swap shows. */
#define H8 "0123456789abcdef"
#define H32 H8 H8 H8 H8
#define H48 H32 H8 H8
#define U48 "ABCDEF0123456789" H32 H8
#define NO 0
#define DCAP MEASURED_HEADER_DCAP_TDX
#define GCP MEASURED_HEADER_GCP_TDX
#define QEMU MEASURED_HEADER_QEMU_TDX
#define AZURE MEASURED_HEADER_AZURE_TDX

struct row {
    const char *name, *text;
    enum measured_header_type type;
    size_t n; /* values; NO is refused */
};

static const struct row rows[] = {
    {"one register", "{\"0\":\"" H48 "\"}", DCAP, 1},
    {"all of DCAP",
     "{\"0\":\"" H48 "\",\"1\":\"" H48 "\",\"2\":\"" H48 "\",\"3\":\"" H48 "\",\"4\":\"" H48 "\"}",
     DCAP, 5},
    {"gcp-tdx", "{\"4\":\"" H48 "\"}", GCP, 1},
    {"qemu-tdx", "{\"4\":\"" H48 "\"}", QEMU, 1},
    {"azure", "{\"23\":\"" H32 "\"}", AZURE, 1},
    {"names", "{\"mrtd\":\"" H48 "\",\"rtmr0\":\"" H48 "\",\"RTMR3\":\"" H48 "\"}", DCAP, 3},
    {"pcr names", "{\"pcr0\":\"" H32 "\",\"PCR23\":\"" H32 "\"}", AZURE, 2},
    {"spaces", " {\t\"0\" : \"" H48 "\" } \r\n", DCAP, 1},
    {"capitals", "{\"0\":\"" U48 "\"}", DCAP, 1},
    {"escapes", "{\"\\u0030\":\"\\u0030123456789abcdef" H32 H8 "\"}", DCAP, 1},
    {"escaped letters of a name", "{\"\\u006D\\u0052td\":\"" H48 "\"}", DCAP, 1},

    {"another register", "{\"5\":\"" H48 "\"}", DCAP, NO},
    {"another PCR", "{\"24\":\"" H32 "\"}", AZURE, NO},
    {"rtmr4", "{\"rtmr4\":\"" H48 "\"}", DCAP, NO},
    {"rtmr", "{\"rtmr\":\"" H48 "\"}", DCAP, NO},
    {"mrtd0", "{\"mrtd0\":\"" H48 "\"}", DCAP, NO},
    {"mrt", "{\"mrt\":\"" H48 "\"}", DCAP, NO},
    {"pcr names of DCAP", "{\"pcr0\":\"" H48 "\"}", DCAP, NO},
    {"DCAP names of azure", "{\"mrtd\":\"" H32 "\"}", AZURE, NO},
    {"a zero in front", "{\"01\":\"" H48 "\"}", DCAP, NO},
    {"a sign in front", "{\"+1\":\"" H48 "\"}", DCAP, NO},
    {"no name", "{\"\":\"" H48 "\"}", DCAP, NO},
    {"twice", "{\"0\":\"" H48 "\",\"0\":\"" H48 "\"}", DCAP, NO},
    {"twice by another name", "{\"1\":\"" H48 "\",\"rtmr0\":\"" H48 "\"}", DCAP, NO},
    {"twice by an escape", "{\"1\":\"" H48 "\",\"\\u0031\":\"" H48 "\"}", DCAP, NO},
    {"no registers", "{}", DCAP, NO},
    {"DCAP value for azure", "{\"0\":\"" H48 "\"}", AZURE, NO},
    {"azure value for DCAP", "{\"0\":\"" H32 "\"}", DCAP, NO},
    {"a digit more", "{\"0\":\"" H48 "0\"}", DCAP, NO},
    {"no digit", "{\"0\":\"g123456789abcdef" H32 H8 "\"}", DCAP, NO},
    {"a list of actual values", "{\"0\":[\"" H48 "\"]}", DCAP, NO},
    {"a number", "{\"0\":0}", DCAP, NO},
    {"null", "null", DCAP, NO},
    {"a list", "[\"" H48 "\"]", DCAP, NO},
    {"nothing", "", DCAP, NO},
    {"a comma behind", "{\"0\":\"" H48 "\",}", DCAP, NO},
    {"something behind", "{\"0\":\"" H48 "\"}{", DCAP, NO},
    {"NUL behind a name", "{\"0\\u0000\":\"" H48 "\"}", DCAP, NO},
    {"a byte beyond ASCII", "{\"0\xc2\xa0\":\"" H48 "\"}", DCAP, NO},
    {"a tab in a value", "{\"0\":\"\t" H48 "\"}", DCAP, NO},
    {"a byte order mark", "\xef\xbb\xbf{\"0\":\"" H48 "\"}", DCAP, NO},
    {"no type", "{\"0\":\"" H48 "\"}", MEASURED_HEADER_UNKNOWN, NO},

    {"matched policy", "{\"type\":\"dcap\",\"measurements\":{\"0\":[\"" H48 "\"]}}", DCAP, 1},
    {"the other way round", "{\"measurements\":{\"0\":[\"" H48 "\"]},\"type\":\"dcap\"}", QEMU, 1},
    {"two values", "{\"type\":\"dcap\",\"measurements\":{\"0\":[\"" H48 "\",\"" U48 "\"]}}", DCAP,
     2},
    {"no list", "{\"type\":\"dcap\",\"measurements\":{\"0\":\"" H48 "\"}}", DCAP, 1},
    {"of azure", "{\"type\":\"azure\",\"measurements\":{\"pcr4\":[\"" H32 "\"]}}", AZURE, 1},
    {"azure for DCAP", "{\"type\":\"azure\",\"measurements\":{\"0\":[\"" H48 "\"]}}", DCAP, NO},
    {"DCAP for azure", "{\"type\":\"dcap\",\"measurements\":{\"0\":[\"" H32 "\"]}}", AZURE, NO},
    {"image", "{\"type\":\"image\",\"measurements\":{\"0\":[\"" H48 "\"]}}", DCAP, NO},
    {"no_attestation", "{\"type\":\"no_attestation\"}", DCAP, NO},
    {"only a type", "{\"type\":\"dcap\"}", DCAP, NO},
    {"only measurements", "{\"measurements\":{\"0\":[\"" H48 "\"]}}", DCAP, NO},
    {"two types", "{\"type\":\"dcap\",\"type\":\"dcap\"}", DCAP, NO},
    {"two types and measurements",
     "{\"type\":\"dcap\",\"measurements\":{\"0\":[\"" H48 "\"]},\"type\":\"dcap\"}", DCAP, NO},
    {"two measurements",
     "{\"measurements\":{\"0\":[\"" H48 "\"]},\"measurements\":{\"0\":[\"" H48 "\"]}}", DCAP, NO},
    {"a third member", "{\"type\":\"dcap\",\"measurements\":{\"0\":[\"" H48 "\"]},\"x\":\"\"}",
     DCAP, NO},
    {"a register beside", "{\"0\":\"" H48 "\",\"type\":\"dcap\"}", DCAP, NO},
    {"an empty list", "{\"type\":\"dcap\",\"measurements\":{\"0\":[]}}", DCAP, NO},
    {"a list of lists", "{\"type\":\"dcap\",\"measurements\":{\"0\":[[\"" H48 "\"]]}}", DCAP, NO},
    {"no registers", "{\"type\":\"dcap\",\"measurements\":{}}", DCAP, NO},
    {"policy in a policy",
     "{\"type\":\"dcap\",\"measurements\":{\"type\":\"dcap\",\"measurements\":{}}}", DCAP, NO},
};

/* ---- rows ---- */

/* In memory of exactly its size, so that a look behind it is found. */
static bool both_agree(enum measured_header_type type, const char *text, size_t len, bool *accepted)
{
    uint8_t *copy = malloc(len == 0 ? 1 : len);

    assert_non_null(copy);
    if (len > 0)
        memcpy(copy, text, len);
    bool same = header_both(type, ms_span_of(copy, len), accepted);
    free(copy);
    return same;
}

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < MS_ARRAY_LEN(rows); i++) {
        struct measured_presented got;
        const char *why =
            measured_header_read(rows[i].type, rows[i].text, strlen(rows[i].text), &got);
        bool accepted;
        if (got.n != rows[i].n || (why == NULL) != (rows[i].n != NO))
            fail_msg("%s: %zu values, %s", rows[i].name, got.n, why == NULL ? "accepted" : why);
        if (rows[i].type != MEASURED_HEADER_UNKNOWN &&
            !both_agree(rows[i].type, rows[i].text, strlen(rows[i].text), &accepted))
            fail_msg("%s: the daemon reads it otherwise", rows[i].name);
    }
}

static void test_values(void **state)
{
    static const char text[] = "{\"type\":\"dcap\",\"measurements\":{\"rtmr2\":[\"" H48 "\",\"" U48
                               "\"],\"0\":\"" U48 "\"}}";
    static const uint8_t first[] = {0x01, 0x23}, second[] = {0xab, 0xcd};
    struct measured_presented got;

    (void)state;
    assert_null(measured_header_read(DCAP, text, strlen(text), &got));
    assert_int_equal(got.n, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(got.regs[i].index, i == 2 ? 0 : 3);
        assert_int_equal(got.regs[i].size, 48);
        assert_ptr_equal(got.regs[i].value, got.values[i]);
        assert_memory_equal(got.values[i], i == 0 ? first : second, 2);
        assert_int_equal(got.values[i][47], 0xef);
    }
}

static void test_prefixes(void **state)
{
    (void)state;
    for (size_t i = 0; i < MS_ARRAY_LEN(rows); i++) {
        size_t end = strlen(rows[i].text);
        while (end > 0 && strchr(" \r\n", rows[i].text[end - 1]) != NULL)
            end--;
        for (size_t len = 0; rows[i].n != NO && len < end; len++) {
            bool accepted = true;
            assert_true(both_agree(rows[i].type, rows[i].text, len, &accepted));
            if (accepted)
                fail_msg("%s: accepted at %zu bytes", rows[i].name, len);
        }
    }
}

/* 24 values are accepted, one more is not; so are as many bytes as the limit says. */
static void test_limits(void **state)
{
    char text[MEASURED_HEADER_MAX_BYTES + 2];
    struct measured_presented got;
    bool accepted;

    (void)state;
    for (size_t values = 24; values <= 25; values++) {
        int len =
            snprintf(text, sizeof(text), "{\"type\":\"dcap\",\"measurements\":{\"0\":[\"" H48 "\"");
        for (size_t i = 1; i < values; i++)
            len += snprintf(text + len, sizeof(text) - (size_t)len, ",\"" H48 "\"");
        len += snprintf(text + len, sizeof(text) - (size_t)len, "]}}");
        assert_true(both_agree(DCAP, text, (size_t)len, &accepted));
        assert_int_equal(accepted, values == 24);
    }
    memset(text, ' ', sizeof(text));
    memcpy(text, "{\"0\":\"" H48 "\"}", strlen("{\"0\":\"" H48 "\"}"));
    assert_null(measured_header_read(DCAP, text, MEASURED_HEADER_MAX_BYTES, &got));
    assert_true(both_agree(DCAP, text, MEASURED_HEADER_MAX_BYTES, &accepted));
    assert_non_null(measured_header_read(DCAP, text, MEASURED_HEADER_MAX_BYTES + 1, &got));
    assert_int_equal(got.n, 0);
    assert_true(both_agree(DCAP, text, MEASURED_HEADER_MAX_BYTES + 1, &accepted));
}

static void test_types(void **state)
{
    static const char *const names[] = {"dcap-tdx", "gcp-tdx", "qemu-tdx", "azure-tdx"};
    static const char *const others[] = {"", "none", "dcap", "DCAP-TDX", "dcap-tdx ", "dcap-tdxx"};

    (void)state;
    for (size_t i = 0; i < MS_ARRAY_LEN(names); i++) {
        enum measured_header_type type = measured_header_type(names[i], strlen(names[i]));
        assert_int_not_equal(type, MEASURED_HEADER_UNKNOWN);
        assert_string_equal(measured_header_type_name(type), names[i]);
        assert_int_equal(measured_header_type(names[i], strlen(names[i]) - 1), 0);
    }
    for (size_t i = 0; i < MS_ARRAY_LEN(others); i++)
        assert_int_equal(measured_header_type(others[i], strlen(others[i])), 0);
}

/* ---- the property ---- */

static uint64_t seed;

static uint64_t random_below(uint64_t n)
{
    seed ^= seed << 13; /* xorshift64 */
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed % n;
}

/* What documents are made of, so that random ones come near to what is accepted. */
static const char *const pieces[] = {
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "\"0\"",
    "\"1\"",
    "\"mrtd\"",
    "\"4\"",
    "\"pcr7\"",
    "\"23\"",
    "\"type\"",
    "\"measurements\"",
    "\"dcap\"",
    "\"azure\"",
    "\"\"",
    "null",
    "1",
    "\\u0030",
    "\"\\u0074ype\"",
    " ",
    "\"image\"",
    "\"01\"",
    "\"Rtmr1\"",
    "\"" H32 "\"",
    "\"" H48 "\"",
    "\"\\u0031\"",
};

static size_t put(char *text, size_t max, size_t len, const char *piece)
{
    size_t n = strlen(piece);

    if (n > max - len)
        return len;
    memcpy(text + len, piece, n);
    return len + n;
}

static size_t random_pieces(char *text, size_t max)
{
    size_t len = 0, n = random_below(24);

    for (size_t i = 0; i < n; i++)
        len = put(text, max, len, pieces[random_below(MS_ARRAY_LEN(pieces))]);
    return len;
}

/* A document of a row with a few bytes changed, dropped or put in. */
static size_t random_change(char *text, size_t max)
{
    const char *row = rows[random_below(MS_ARRAY_LEN(rows))].text;
    size_t len = put(text, max, 0, row), changes = random_below(3);

    for (size_t i = 0; i < changes && len > 1; i++) {
        size_t at = random_below(len);
        const char *piece = pieces[random_below(MS_ARRAY_LEN(pieces))];
        switch (random_below(4)) {
        case 0:
            text[at] = (char)random_below(256);
            break;
        case 1:
            memmove(text + at, text + at + 1, --len - at);
            break;
        case 2:
            text[at] = text[random_below(len)];
            break;
        default:
            if (strlen(piece) > max - len)
                break;
            memmove(text + at + strlen(piece), text + at, len - at);
            memcpy(text + at, piece, strlen(piece));
            len += strlen(piece);
        }
    }
    return len;
}

static void test_as_the_daemon(void **state)
{
    static const enum measured_header_type types[] = {DCAP, GCP, QEMU, AZURE};
    uint64_t begun = (uint64_t)time(NULL) | 1u;
    size_t n_accepted = 0;
    char text[4096];

    (void)state;
    seed = begun;
    for (int i = 0; i < 100000; i++) {
        enum measured_header_type type = types[random_below(4)];
        size_t len = random_below(4) == 0 ? random_pieces(text, sizeof(text))
                                          : random_change(text, sizeof(text));
        bool accepted;
        if (!both_agree(type, text, len, &accepted))
            fail_msg("seed %" PRIu64 ", document %d: %s, the daemon reads otherwise: %.*s", begun,
                     i, accepted ? "accepted" : "refused", (int)len, text);
        n_accepted += accepted;
    }
    /* a property of refusals alone would say little */
    if (n_accepted < 1000)
        fail_msg("seed %" PRIu64 ": only %zu documents were accepted", begun, n_accepted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),     cmocka_unit_test(test_values),
        cmocka_unit_test(test_prefixes), cmocka_unit_test(test_limits),
        cmocka_unit_test(test_types),    cmocka_unit_test(test_as_the_daemon),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
