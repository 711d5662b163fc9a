/* Base64 is strict: one text, one value. */
#include "base/base64.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct {
    const char *name, *text;
    enum ms_err want;
    const char *bytes;
    enum ms_base64_alphabet alphabet;
    bool padded;
} cases[] = {
    {"empty", "", MS_OK, "", MS_BASE64_NONE, true},
    {"one byte", "Zg==", MS_OK, "f", MS_BASE64_NONE, true},
    {"one byte, padding left out", "Zg", MS_OK, "f", MS_BASE64_NONE, false},
    {"three bytes", "Zm9v", MS_OK, "foo", MS_BASE64_NONE, true},
    {"standard alphabet", "+/+/", MS_OK, "\xfb\xff\xbf", MS_BASE64_STD, true},
    {"url alphabet", "-_-_", MS_OK, "\xfb\xff\xbf", MS_BASE64_URL, true},
    {"both alphabets", "+_+_", MS_ERR_BASE64, NULL, MS_BASE64_NONE, false},
    {"unused bits set", "Zh==", MS_ERR_BASE64, NULL, MS_BASE64_NONE, false},
    {"unused bits set, three digits", "Zm9", MS_ERR_BASE64, NULL, MS_BASE64_NONE, false},
    {"half of the padding", "Zg=", MS_ERR_BASE64, NULL, MS_BASE64_NONE, false},
    {"padding too much", "Zm9v=", MS_ERR_BASE64, NULL, MS_BASE64_NONE, false},
    {"only padding", "====", MS_ERR_BASE64, NULL, MS_BASE64_NONE, false},
    {"padding in the middle", "Zg==Zg==", MS_ERR_BASE64, NULL, MS_BASE64_NONE, false},
    {"length 1 mod 4", "Zm9vZ", MS_ERR_BASE64, NULL, MS_BASE64_NONE, false},
    {"space", "Zm 9v", MS_ERR_BASE64, NULL, MS_BASE64_NONE, false},
    {"newline at the end", "Zm9v\n", MS_ERR_BASE64, NULL, MS_BASE64_NONE, false},
};

static void test_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < MS_ARRAY_LEN(cases); i++) {
        struct ms_buf out = MS_BUF_INIT(64);
        enum ms_base64_alphabet alphabet = MS_BASE64_NONE;
        bool padded = false;
        enum ms_err err =
            ms_base64_decode(ms_span_str(cases[i].text), &out, &alphabet, &padded, NULL);
        if (err != cases[i].want || alphabet != cases[i].alphabet || padded != cases[i].padded ||
            (err == MS_OK && !ms_span_eq_str(ms_buf_span(&out), cases[i].bytes)))
            fail_msg("%s: got %s", cases[i].name, ms_err_name(err));
        if (err != MS_OK)
            assert_int_equal(out.len, 0);
        ms_buf_done(&out);
    }
}

/* decode(encode(x)) == x in both alphabets, for every length and random bytes; the seed is printed.
 */
static void test_round_trip(void **state)
{
    (void)state;
    unsigned seed = 20261121;
    print_message("seed %u\n", seed);
    srand(seed);
    for (size_t len = 0; len < 200; len++) {
        uint8_t bytes[200];
        for (size_t i = 0; i < len; i++)
            bytes[i] = (uint8_t)rand();
        for (int url = 0; url < 2; url++) {
            struct ms_buf text = MS_BUF_INIT(300), out = MS_BUF_INIT(200);
            assert_int_equal(url ? ms_base64url_encode(ms_span_of(bytes, len), &text)
                                 : ms_base64_encode(ms_span_of(bytes, len), &text),
                             MS_OK);
            assert_int_equal(ms_base64_decode(ms_buf_span(&text), &out, NULL, NULL, NULL), MS_OK);
            assert_true(ms_span_eq(ms_buf_span(&out), ms_span_of(bytes, len)));
            ms_buf_done(&text);
            ms_buf_done(&out);
        }
    }
}

/* RFC 4648 section 10, and bytes that tell the alphabets apart. */
static const struct {
    const char *bytes, *std, *url;
} encoded[] = {
    {"", "", ""},
    {"f", "Zg==", "Zg"},
    {"fo", "Zm8=", "Zm8"},
    {"foo", "Zm9v", "Zm9v"},
    {"foob", "Zm9vYg==", "Zm9vYg"},
    {"fooba", "Zm9vYmE=", "Zm9vYmE"},
    {"\xfb\xff\xbf\xff", "+/+//w==", "-_-__w"},
};

static void test_encode(void **state)
{
    (void)state;
    for (size_t i = 0; i < MS_ARRAY_LEN(encoded); i++) {
        struct ms_buf out = MS_BUF_INIT(strlen(encoded[i].std) + strlen(encoded[i].url));
        struct ms_span bytes = ms_span_str(encoded[i].bytes);
        assert_int_equal(ms_base64_encode(bytes, &out), MS_OK);
        assert_true(ms_span_eq_str(ms_buf_span(&out), encoded[i].std));
        size_t len = out.len;
        assert_int_equal(ms_base64url_encode(bytes, &out), MS_OK);
        assert_true(ms_span_eq_str(ms_span_sub(ms_buf_span(&out), len, out.len), encoded[i].url));
        if (bytes.len > 0) /* full to the byte */
            assert_int_equal(ms_base64_encode(bytes, &out), MS_ERR_LIMIT);
        ms_buf_done(&out);
    }
}

static void test_limit(void **state)
{
    (void)state;
    struct ms_buf out = MS_BUF_INIT(2);
    assert_int_equal(ms_base64_decode(ms_span_str("Zm9v"), &out, NULL, NULL, NULL), MS_ERR_LIMIT);
    ms_buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_encode),
        cmocka_unit_test(test_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
