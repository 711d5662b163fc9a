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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
