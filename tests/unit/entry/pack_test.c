/* Packed bundles: what comes back is what went in, whatever stands where bodies stand; what was
 * packed by an earlier version is still read; nothing else is. */
#include "resolver/entry/pack.h"

#include "base/gzip.h"
#include "base/hex.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define ROOM ((size_t)1 << 16)
#define A48 "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
#define BODY "\"body\":\""

static const struct {
    const char *name, *text;
} texts[] = {
    {"nothing", ""},
    {"no body", "{\"answers\":[],\"boot_ms\":77}"},
    {"one body", "{" BODY A48 "\"}"},
    {"two, and one that is empty", "[{" BODY A48 "\"},{" BODY "\"},{" BODY A48 A48 "\"}]"},
    {"padded", "{" BODY A48 "AAA=\"}{" BODY A48 "AA==\"}"},
    {"unpadded", "{" BODY A48 "AAA\"}{" BODY A48 "AA\"}"},
    {"bits left over", "{" BODY A48 "AAB=\"}{" BODY A48 "AB==\"}"},
    {"the other alphabet", "{" BODY A48 "AA-_\"}"},
    {"this alphabet", "{" BODY A48 "AA+/\"}"},
    {"no base64", "{" BODY A48 "AA.A\"}"},
    {"short", "{" BODY "AAAA\"}"},
    {"cut off", "{" BODY A48},
    {"cut off earlier", "{\"body\":"},
    {"behind another", BODY BODY A48 "\""},
};

static void must_return(const char *name, struct ms_span text)
{
    struct ms_buf packed = MS_BUF_INIT(ROOM), again = MS_BUF_INIT(ROOM);

    if (pack_text(text, &packed) != MS_OK || packed.ptr[0] != PACK_FIRST_BYTE ||
        unpack_text(ms_buf_span(&packed), text.len, &again) != MS_OK ||
        !ms_span_eq(ms_buf_span(&again), text))
        fail_msg("%s: not what it was", name);
    ms_buf_reset(&again);
    assert_int_equal(unpack_text(ms_buf_span(&packed), text.len + 1, &again), MS_ERR_GZIP);
    ms_buf_done(&packed);
    ms_buf_done(&again);
}

static void test_round_trip(void **state)
{
    (void)state;
    for (size_t i = 0; i < MS_ARRAY_LEN(texts); i++)
        must_return(texts[i].name, ms_span_str(texts[i].text));
}

/* Bodies are worth their place: as digits they would take a third more. */
static void test_small(void **state)
{
    char text[sizeof(BODY) + 1024 + 2] = BODY;
    size_t n = strlen(text);
    uint32_t random = 1;

    (void)state;
    for (size_t i = 0; i < 1024; i++) {
        random = random * 1664525u + 1013904223u;
        text[n++] =
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[random >> 26];
    }
    text[n++] = '"';
    struct ms_buf packed = MS_BUF_INIT(ROOM);
    assert_int_equal(pack_text(ms_span_of(text, n), &packed), MS_OK);
    assert_true(packed.len < 768 + 64);
    ms_buf_done(&packed);
}

/* Written by the first version. The dictionary is part of the format. */
static void test_first_version(void **state)
{
    static const char text[] =
        "{\"answers\":[{" BODY A48
        "\",\"headers\":{},\"id\":1,\"status\":200,\"time\":1700000000}],"
        "\"type\":\"measured-bundle/1\",\"verdict\":{\"error\":\"timeout\"}}";
    static const char hex[] =
        "78bb3c584f0e63606010c55aa400255418880305046a38944402732cb6b4873d48d12bdada5a006dfe2b1d";
    uint8_t packed[sizeof(hex) / 2];
    struct ms_buf out = MS_BUF_INIT(ROOM);

    (void)state;
    assert_int_equal(ms_hex_decode(ms_span_str(hex), packed, sizeof(packed)), MS_OK);
    assert_int_equal(unpack_text(ms_span_of(packed, sizeof(packed)), strlen(text), &out), MS_OK);
    assert_true(ms_span_eq_str(ms_buf_span(&out), text));
    ms_buf_done(&out);
}

#define ZEROS12 "000000000000000000000000"
#define BODY36 "00000024" ZEROS12 ZEROS12 ZEROS12

/* Pieces within a stream that is in order. */
static const struct {
    const char *name, *pieces; /* in hexadecimal */
    size_t size;
    enum ms_err want;
} pieces[] = {
    {"one piece", "0000000161", 1, MS_OK},
    {"a body", "0000000161" BODY36 "0000000162", 50, MS_OK},
    {"none", "", 0, MS_ERR_GZIP},
    {"half a length", "0000", 0, MS_ERR_GZIP},
    {"cut off", "0000000261", 2, MS_ERR_GZIP},
    {"it ends with a body", "0000000161" BODY36, 49, MS_ERR_GZIP},
    {"shorter than it says", "0000000161", 2, MS_ERR_GZIP},
    {"longer than it says",
     "0000000361"
     "6161",
     2, MS_ERR_LIMIT},
    {"a body longer than it says", "0000000161" BODY36 "00000000", 48, MS_ERR_GZIP},
    {"a length beyond all", "ffffffff61", 1, MS_ERR_GZIP},
};

static void test_pieces(void **state)
{
    (void)state;
    for (size_t i = 0; i < MS_ARRAY_LEN(pieces); i++) {
        struct ms_buf packed = MS_BUF_INIT(ROOM), out = MS_BUF_INIT(ROOM);
        uint8_t bytes[64];
        size_t n = strlen(pieces[i].pieces) / 2;
        assert_int_equal(ms_hex_decode(ms_span_str(pieces[i].pieces), bytes, n), MS_OK);
        assert_int_equal(ms_deflate(ms_span_of(bytes, n), ms_span_str(""), &packed), MS_OK);
        enum ms_err err = unpack_text(ms_buf_span(&packed), pieces[i].size, &out);
        if (err != pieces[i].want)
            fail_msg("%s: %s", pieces[i].name, ms_err_name(err));
        ms_buf_done(&packed);
        ms_buf_done(&out);
    }
}

/* No proper start of it is read, and nothing may stand behind it. */
static void test_cut(void **state)
{
    struct ms_buf packed = MS_BUF_INIT(ROOM), out = MS_BUF_INIT(ROOM);
    const char *text = texts[3].text;

    (void)state;
    assert_int_equal(pack_text(ms_span_str(text), &packed), MS_OK);
    for (size_t len = 0; len <= packed.len + 1; len++) {
        uint8_t *copy = calloc(1, len + 1);
        assert_non_null(copy);
        memcpy(copy, packed.ptr, len < packed.len ? len : packed.len);
        enum ms_err err = unpack_text(ms_span_of(copy, len), strlen(text), &out);
        assert_int_equal(err == MS_OK, len == packed.len);
        free(copy);
        ms_buf_reset(&out);
    }
    ms_buf_done(&packed);
    ms_buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),    cmocka_unit_test(test_small),
        cmocka_unit_test(test_first_version), cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
