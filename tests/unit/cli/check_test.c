/* The shapes of `check --registers`. */
#include "cli/check.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct {
    const char *name, *text, *want; /* NULL: refused */
} cases[] = {
    {"registers", "{\"0\":\"aa\",\"1\":\"bb\"}", "{\"0\":\"aa\",\"1\":\"bb\"}"},
    {"a record", "{\"measurement_id\":\"x\",\"measurements\":{\"0\":\"aa\"}}", "{\"0\":\"aa\"}"},
    {"expected", "{\"measurements\":{\"0\":{\"expected\":\"aa\"}}}", "{\"0\":\"aa\"}"},
    {"one alternative", "{\"0\":{\"expected_any\":[\"aa\"]}}", "{\"0\":\"aa\"}"},
    {"two are no value of a peer", "{\"0\":{\"expected_any\":[\"aa\",\"bb\"]}}",
     "{\"0\":{\"expected_any\":[\"aa\",\"bb\"]}}"},
    {"both", "{\"0\":{\"expected\":\"aa\",\"expected_any\":[\"aa\"]}}",
     "{\"0\":{\"expected\":\"aa\",\"expected_any\":[\"aa\"]}}"},
    {"matched policy", "{\"type\":\"dcap\",\"measurements\":{\"0\":[\"aa\",\"bb\"]}}",
     "{\"measurements\":{\"0\":[\"aa\",\"bb\"]},\"type\":\"dcap\"}"},
    {"nothing", "{}", "{}"},
    {"a list", "[{\"0\":\"aa\"}]", NULL},
    {"no JSON", "0=aa", NULL},
    {"empty", "", NULL},
    {"measurements is a list", "{\"measurements\":[]}", NULL},
    {"twice", "{\"0\":\"aa\",\"0\":\"bb\"}", NULL},
};

static void test_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < MS_ARRAY_LEN(cases); i++) {
        struct ms_buf out = MS_BUF_INIT(4096);
        json_t *got = NULL;
        enum ms_err err = check_presented(ms_span_str(cases[i].text), &got, NULL);
        assert_int_equal(err == MS_OK, cases[i].want != NULL);
        assert_int_equal(got != NULL, cases[i].want != NULL);
        if (got != NULL) {
            assert_int_equal(ms_json_dump(got, &out), MS_OK);
            if (!ms_span_eq_str(ms_buf_span(&out), cases[i].want))
                fail_msg("%s: got %s", cases[i].name, ms_buf_str(&out));
        }
        json_decref(got);
        ms_buf_done(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_cases)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
