/* Times as people write them. */
#include "cli/when.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct {
    const char *text;
    enum ms_err want;
    uint64_t unix_s; /* date -u -d TEXT +%s */
} rows[] = {
    {"0", MS_OK, 0},
    {"1770000000", MS_OK, 1770000000},
    {"18446744073709551615", MS_OK, UINT64_MAX},
    {"1970-01-01", MS_OK, 0},
    {"2026-02-02T02:40:00Z", MS_OK, 1770000000},
    {"2026-02-02t02:40:00z", MS_OK, 1770000000},
    {"2026-02-02 02:40:00Z", MS_OK, 1770000000},
    {"2026-02-02T03:40:00+01:00", MS_OK, 1770000000},
    {"2026-02-01T21:10:00-05:30", MS_OK, 1770000000},
    {"2000-02-29", MS_OK, 951782400},
    {"2024-12-31T23:59:59Z", MS_OK, 1735689599},
    {"9999-12-31T23:59:59Z", MS_OK, 253402300799},
    {"", MS_ERR_SYNTAX, 0},
    {"-1", MS_ERR_SYNTAX, 0},
    {"now", MS_ERR_SYNTAX, 0},
    {"2026-2-2", MS_ERR_SYNTAX, 0},
    {"2026-02-02T02:40:00", MS_ERR_SYNTAX, 0}, /* whose time? */
    {"2026-02-02T02:40Z", MS_ERR_SYNTAX, 0},
    {"2026-02-02T02:40:00.5Z", MS_ERR_SYNTAX, 0},
    {"2026-02-02Z", MS_ERR_SYNTAX, 0},
    {"2026-02-02T02:40:00Z ", MS_ERR_SYNTAX, 0},
    {"2026-02-02T02:40:00+0100", MS_ERR_SYNTAX, 0},
    {"2026-02-30", MS_ERR_RANGE, 0},
    {"2100-02-29", MS_ERR_RANGE, 0},
    {"2026-00-01", MS_ERR_RANGE, 0},
    {"2026-13-01", MS_ERR_RANGE, 0},
    {"2026-02-02T24:00:00Z", MS_ERR_RANGE, 0},
    {"2026-02-02T02:60:00Z", MS_ERR_RANGE, 0},
    {"2026-02-02T02:40:00+24:00", MS_ERR_RANGE, 0},
    {"1969-12-31", MS_ERR_RANGE, 0},
    {"1970-01-01T00:00:00+00:01", MS_ERR_RANGE, 0},
};

static void test_parse(void **state)
{
    (void)state;
    for (size_t i = 0; i < MS_ARRAY_LEN(rows); i++) {
        uint64_t got = 0;
        enum ms_err err = when_parse(ms_span_str(rows[i].text), &got);
        if (err != rows[i].want || got != rows[i].unix_s)
            fail_msg("%s: %s, %llu", rows[i].text, ms_err_name(err), (unsigned long long)got);
    }
}

/* A day in seventeen until the year 9999, at a second that moves: its text reads as the same. */
static void test_round_trip(void **state)
{
    (void)state;
    for (uint64_t day = 0; day * 86400 < UINT64_C(253402300800); day += 17) {
        uint64_t unix_s = day * 86400 + day * 7919 % 86400, got = 0;
        char text[WHEN_TEXT];
        when_text(unix_s, text);
        assert_int_equal(when_parse(ms_span_str(text), &got), MS_OK);
        assert_int_equal(got, unix_s);
    }
}

static void test_text(void **state)
{
    (void)state;
    char text[WHEN_TEXT];

    when_text(1770000000, text);
    assert_string_equal(text, "2026-02-02T02:40:00Z");
    when_text(UINT64_C(253402300800), text);
    assert_string_equal(text, "after the year 9999");
    when_text(UINT64_MAX, text);
    assert_string_equal(text, "after the year 9999");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
