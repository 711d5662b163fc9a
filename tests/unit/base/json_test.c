/* Strict JSON: what is refused with which error, and that limits hold at their edges. */
#include "base/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define TEXT(t) t, sizeof(t) - 1

static const struct {
    const char *name, *text;
    size_t len;
    enum ms_err want;
} cases[] = {
    {"object", TEXT("{\"a\":[1,2]}"), MS_OK},
    {"depth at the limit", TEXT("[[[[]]]]"), MS_OK},
    {"depth beyond it", TEXT("[[[[[]]]]]"), MS_ERR_DEPTH},
    {"brackets in a string", TEXT("\"[[[[[[[[[[[[[[[[\\\"[[[[\""), MS_OK},
    {"values at the limit", TEXT("[1,2,3,4,5,6,7,8]"), MS_OK},
    {"values beyond it", TEXT("[1,2,3,4,5,6,7,8,9]"), MS_ERR_LIMIT},
    {"bytes at the limit",
     TEXT("\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\""), MS_OK},
    {"bytes beyond it", TEXT("\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\""),
     MS_ERR_LIMIT},
    {"duplicate by escape", TEXT("{\"a\":1,\"\\u0061\":1}"), MS_ERR_JSON_DUPLICATE},
    {"escaped NUL", TEXT("[\"\\u0000\"]"), MS_ERR_JSON},
    {"empty", TEXT(""), MS_ERR_JSON},
    {"invalid UTF-8", TEXT("\"\xff\""), MS_ERR_UTF8},
    /* jansson 2.14 puts a byte back and forgets it when it is NUL: 1 NUL was read as 1. */
    {"NUL behind a number", TEXT("1\0"), MS_ERR_JSON},
    {"NUL behind a number in a list", TEXT("[1\0]"), MS_ERR_JSON},
    {"NUL behind a word", TEXT("[true\0]"), MS_ERR_JSON},
    {"NUL in a string", TEXT("\"\0\""), MS_ERR_JSON},
    {"NUL alone", TEXT("\0"), MS_ERR_JSON},
    {"empty containers", TEXT("[{},[],{ },[ ]]"), MS_OK},
    {"a comma before the end", TEXT("[1,]"), MS_ERR_JSON},
    {"a comma before the end of an object", TEXT("{\"a\":1,}"), MS_ERR_JSON},
    {"the wrong bracket", TEXT("[1}"), MS_ERR_JSON},
    {"behind the end", TEXT("[1] 2"), MS_ERR_JSON},
    {"the largest integer", TEXT("9223372036854775807"), MS_OK},
    {"larger", TEXT("9223372036854775808"), MS_ERR_JSON},
    {"a number beyond doubles", TEXT("1e999"), MS_ERR_JSON},
    {"leading zero", TEXT("-01"), MS_ERR_JSON},
    {"high surrogate alone", TEXT("\"\\ud800\""), MS_ERR_JSON},
    {"low surrogate alone", TEXT("\"\\udc00\""), MS_ERR_JSON},
    {"a pair", TEXT("\"\\ud83d\\ude00\""), MS_OK},
    {"overlong UTF-8", TEXT("\"\xc0\xaf\""), MS_ERR_UTF8},
    {"UTF-8 cut off", TEXT("\"\xe2\x82\""), MS_ERR_UTF8},
    {"byte order mark", TEXT("\xef\xbb\xbf[]"), MS_ERR_JSON},
    {"invalid UTF-8 outside strings", TEXT("[\xff]"), MS_ERR_UTF8},
};

static void test_cases(void **state)
{
    static const struct ms_json_limits limits = {64, 4, 9, 0};
    (void)state;
    for (size_t i = 0; i < MS_ARRAY_LEN(cases); i++) {
        struct ms_diag diag = {0};
        json_t *root = NULL;
        uint8_t *copy = malloc(cases[i].len + 1);
        assert_non_null(copy);
        memcpy(copy, cases[i].text, cases[i].len);
        enum ms_err err = ms_json_parse(ms_span_of(copy, cases[i].len), &limits, &root, &diag);
        free(copy);
        if (err != cases[i].want)
            fail_msg("%s: got %s (%s)", cases[i].name, ms_err_name(err), diag.text);
        assert_int_equal(err != MS_OK, diag.text[0] != '\0');
        json_decref(root);
    }
}

/* Values, and that the sorted compact form is jansson's. */
static void test_values(void **state)
{
    static const char text[] =
        "{\"b\":[-0,1.5e3,\"\\u00e9\\ud83d\\ude00\\\"\\u0001\\/\"],\"a\\n\":{\"z\":null,"
        "\"\":true}}";
    static const struct ms_json_limits limits = {256, 8, 64, 0};
    struct ms_buf out = MS_BUF_INIT(256);
    json_t *root = NULL;

    (void)state;
    assert_int_equal(ms_json_parse(ms_span_str(text), &limits, &root, NULL), MS_OK);
    assert_int_equal(ms_json_dump(root, &out), MS_OK);
    assert_string_equal(ms_buf_str(&out), "{\"a\\n\":{\"\":true,\"z\":null},\"b\":[0,1500.0,"
                                          "\"\xc3\xa9\xf0\x9f\x98\x80\\\"\\u0001/\"]}");
    char *theirs = json_dumps(root, JSON_COMPACT | JSON_SORT_KEYS);
    assert_string_equal(ms_buf_str(&out), theirs);
    free(theirs);
    json_decref(root);
    ms_buf_done(&out);
}

/* Any byte at any place of a string, among others that mean nothing: strings are read in words. */
static void test_bytes(void **state)
{
    static const struct ms_json_limits limits = {64, 8, 64, 0};
    char text[2 + 20];

    (void)state;
    for (size_t len = 1; len <= 20; len++) {
        for (size_t i = 0; i < len * 256; i++) {
            size_t at = i / 256;
            uint8_t byte = (uint8_t)i;
            json_t *root = NULL;
            memset(text, 'a', sizeof(text));
            text[0] = text[len + 1] = '"';
            text[at + 1] = (char)byte;
            enum ms_err want = byte >= 0x80                                 ? MS_ERR_UTF8
                               : byte < 0x20 || byte == '"' || byte == '\\' ? MS_ERR_JSON
                                                                            : MS_OK;
            enum ms_err err = ms_json_parse(ms_span_of(text, len + 2), &limits, &root, NULL);
            if (err != want ||
                (err == MS_OK && memcmp(json_string_value(root), text + 1, len) != 0))
                fail_msg("byte %02x at %zu of %zu: %s", byte, at, len, ms_err_name(err));
            json_decref(root);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
