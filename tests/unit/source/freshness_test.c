/* RFC 9111 freshness within our limits. */
#include "resolver/source/freshness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define NOW INT64_C(784111777) /* Sun, 06 Nov 1994 08:49:37 GMT, RFC 9110's own example */
#define DATE_NOW "Sun, 06 Nov 1994 08:49:37 GMT"
#define DATE_PLUS_90 "Sun, 06 Nov 1994 08:51:07 GMT"
#define DATE_PLUS_10 "Sun, 06 Nov 1994 08:49:47 GMT"
#define DATE_MINUS_100 "Sun, 06 Nov 1994 08:47:57 GMT"

static const struct {
    const char *name, *control, *expires, *date, *age, *vary;
    int64_t fresh_s, swr_s, sie_s;
    bool no_store;
} cases[] = {
    {"nothing", NULL, NULL, NULL, NULL, NULL, 300, 60, 3600, false},
    {"max-age", "max-age=120", NULL, NULL, NULL, NULL, 120, 60, 3600, false},
    {"case", "MAX-AGE=120", NULL, NULL, NULL, NULL, 120, 60, 3600, false},
    {"max-age below the minimum", "max-age=5", NULL, NULL, NULL, NULL, 60, 60, 3600, false},
    {"max-age above the maximum", "max-age=90000", NULL, NULL, NULL, NULL, 3600, 60, 3600, false},
    {"max-age beyond 64 bits", "max-age=99999999999999999999999", NULL, NULL, NULL, NULL, 3600, 60,
     3600, false},
    {"max-age=0 is not raised", "max-age=0", NULL, NULL, NULL, NULL, 0, 0, 3600, false},
    {"s-maxage wins and is a hard deadline", "max-age=900, s-maxage=120", NULL, NULL, NULL, NULL,
     120, 0, 0, false},
    {"s-maxage is not raised", "s-maxage=5", NULL, NULL, NULL, NULL, 5, 0, 0, false},
    {"s-maxage=0", "s-maxage=0, max-age=900", NULL, NULL, NULL, NULL, 0, 0, 0, false},
    {"must-revalidate", "max-age=5, must-revalidate", NULL, NULL, NULL, NULL, 5, 0, 0, false},
    {"proxy-revalidate", "proxy-revalidate,max-age=70", NULL, NULL, NULL, NULL, 70, 0, 0, false},
    {"must-revalidate alone", "must-revalidate", NULL, NULL, NULL, NULL, 300, 0, 0, false},
    {"must-revalidate beats windows", "max-age=70, must-revalidate, stale-if-error=9", NULL, NULL,
     NULL, NULL, 70, 0, 0, false},
    {"windows", "max-age=70, stale-while-revalidate=7, stale-if-error=9", NULL, NULL, NULL, NULL,
     70, 7, 9, false},
    {"windows capped", "max-age=70, stale-while-revalidate=700, stale-if-error=90000", NULL, NULL,
     NULL, NULL, 70, 60, 3600, false},
    {"windows invalid", "max-age=70, stale-while-revalidate, stale-if-error=x", NULL, NULL, NULL,
     NULL, 70, 0, 0, false},
    {"stale on arrival with a window", "max-age=0, stale-while-revalidate=7", NULL, NULL, NULL,
     NULL, 0, 7, 3600, false},
    {"no-cache", "no-cache, max-age=900", NULL, NULL, NULL, NULL, 0, 0, 0, false},
    {"no-cache of a field", "max-age=900, no-cache=\"set-cookie\"", NULL, NULL, NULL, NULL, 0, 0, 0,
     false},
    {"no-store", "max-age=900, no-store", NULL, NULL, NULL, NULL, 0, 0, 0, true},
    {"private", "private", NULL, NULL, NULL, NULL, 0, 0, 0, true},
    {"private of a field", "private=\"x, y\", max-age=900", NULL, NULL, NULL, NULL, 0, 0, 0, true},
    {"no-store with a value", "no-store=1", NULL, NULL, NULL, NULL, 0, 0, 0, true},
    {"no-store as a value", "x=no-store, max-age=120", NULL, NULL, NULL, NULL, 120, 60, 3600,
     false},
    {"no-store in quotes", "x=\"a, no-store\", max-age=120", NULL, NULL, NULL, NULL, 120, 60, 3600,
     false},
    {"no-store after an escaped quote", "x=\"a\\\", b\", no-store", NULL, NULL, NULL, NULL, 0, 0, 0,
     true},
    {"no-store as a prefix", "no-stores, max-age=120", NULL, NULL, NULL, NULL, 120, 60, 3600,
     false},
    {"empty elements", " , ,max-age=120 ,, ", NULL, NULL, NULL, NULL, 120, 60, 3600, false},
    {"quoted number", "max-age=\"120\"", NULL, NULL, NULL, NULL, 120, 60, 3600, false},
    {"leading zeros", "max-age=00120", NULL, NULL, NULL, NULL, 120, 60, 3600, false},
    {"two, the smaller counts", "max-age=900, max-age=120", NULL, NULL, NULL, NULL, 120, 60, 3600,
     false},
    {"two, the other way round", "max-age=120, max-age=900", NULL, NULL, NULL, NULL, 120, 60, 3600,
     false},
    {"two, one invalid", "max-age=120, max-age=x", NULL, NULL, NULL, NULL, 0, 0, 3600, false},
    {"negative", "max-age=-1", NULL, DATE_NOW, NULL, NULL, 0, 0, 3600, false},
    {"no number", "max-age", DATE_PLUS_90, NULL, NULL, NULL, 0, 0, 3600, false},
    {"space after =", "max-age= 900", NULL, NULL, NULL, NULL, 0, 0, 0, false},
    {"space before =", "max-age =900", NULL, NULL, NULL, NULL, 0, 0, 0, false},
    {"semicolon", "max-age=900; no-store", NULL, NULL, NULL, NULL, 0, 0, 0, false},
    {"broken, then no-store", "@, no-store", NULL, NULL, NULL, NULL, 0, 0, 0, true},
    {"open quote", "max-age=900, x=\"no-store", NULL, NULL, NULL, NULL, 0, 0, 0, true},
    {"open quote after an escape", "max-age=900, x=\"\\", NULL, NULL, NULL, NULL, 0, 0, 0, true},
    {"Expires", NULL, DATE_PLUS_90, DATE_NOW, NULL, NULL, 90, 60, 3600, false},
    {"Expires without Date", NULL, DATE_PLUS_90, NULL, NULL, NULL, 90, 60, 3600, false},
    {"Expires soon is raised", NULL, DATE_PLUS_10, DATE_NOW, NULL, NULL, 60, 60, 3600, false},
    {"Expires past", NULL, DATE_MINUS_100, DATE_NOW, NULL, NULL, 0, 0, 3600, false},
    {"Expires 0", NULL, "0", DATE_NOW, NULL, NULL, 0, 0, 3600, false},
    {"Expires empty", NULL, "", DATE_NOW, NULL, NULL, 0, 0, 3600, false},
    {"Expires twice", NULL, DATE_PLUS_90 ", " DATE_PLUS_90, DATE_NOW, NULL, NULL, 0, 0, 3600,
     false},
    {"max-age beats Expires", "max-age=120", "0", DATE_NOW, NULL, NULL, 120, 60, 3600, false},
    {"Age", "max-age=900", NULL, DATE_NOW, "100", NULL, 800, 60, 3600, false},
    {"Age uses it up", "max-age=900", NULL, DATE_NOW, "900", NULL, 0, 0, 3600, false},
    {"Age and a raise", "max-age=20", NULL, DATE_NOW, "15", NULL, 45, 60, 3600, false},
    {"Age beyond the maximum", "max-age=90000", NULL, DATE_NOW, "4000", NULL, 3600, 60, 3600,
     false},
    {"Age twice, the first counts", "max-age=900", NULL, DATE_NOW, "100, 0", NULL, 800, 60, 3600,
     false},
    {"Age invalid", "max-age=900", NULL, DATE_NOW, "abc", NULL, 900, 60, 3600, false},
    {"Age huge", "max-age=900", NULL, DATE_NOW, "99999999999999999999", NULL, 0, 0, 3600, false},
    {"Age and no lifetime", NULL, NULL, NULL, "100", NULL, 200, 60, 3600, false},
    {"old Date is age", "max-age=900", NULL, DATE_MINUS_100, NULL, NULL, 800, 60, 3600, false},
    {"Date ahead", "max-age=900", NULL, DATE_PLUS_90, NULL, NULL, 900, 60, 3600, false},
    {"Date invalid", "max-age=900", NULL, "yesterday", NULL, NULL, 900, 60, 3600, false},
    {"Vary on what we never vary", "max-age=120", NULL, NULL, NULL, " Accept-Encoding ,", 120, 60,
     3600, false},
    {"Vary", "max-age=120", NULL, NULL, NULL, "Accept-Encoding, Cookie", 0, 0, 0, true},
    {"Vary *", "max-age=120", NULL, NULL, NULL, "*", 0, 0, 0, true},
};

static void test_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < MS_ARRAY_LEN(cases); i++) {
        struct source_response response = {.status = 200, .time_s = NOW};
        response.header[SOURCE_HEADER_CACHE_CONTROL] = cases[i].control;
        response.header[SOURCE_HEADER_EXPIRES] = cases[i].expires;
        response.header[SOURCE_HEADER_DATE] = cases[i].date;
        response.header[SOURCE_HEADER_AGE] = cases[i].age;
        response.header[SOURCE_HEADER_VARY] = cases[i].vary;
        struct source_freshness got = source_freshness(&response, NOW, &source_freshness_location);
        if (got.life.fresh_s != cases[i].fresh_s || got.life.swr_s != cases[i].swr_s ||
            got.life.sie_s != cases[i].sie_s || got.life.no_store != cases[i].no_store ||
            got.life.ceiling_s != 86400)
            fail_msg("%s: F %lld W %lld E %lld no_store %d", cases[i].name,
                     (long long)got.life.fresh_s, (long long)got.life.swr_s,
                     (long long)got.life.sie_s, got.life.no_store);
    }
}

static void test_evidence_time(void **state)
{
    (void)state;
    struct source_response response = {.status = 200, .time_s = NOW};

    response.header[SOURCE_HEADER_CACHE_CONTROL] = "max-age=900";
    struct source_freshness got = source_freshness(&response, NOW - 7, &source_freshness_location);
    assert_int_equal(got.evidence_time_s, NOW);
    assert_int_equal(got.life.fresh_s, 893); /* the request took 7 s */
    response.header[SOURCE_HEADER_AGE] = "30";
    got =
        source_freshness(&response, NOW + 7, &source_freshness_location); /* a clock stepped back */
    assert_int_equal(got.evidence_time_s, NOW - 30);
    assert_int_equal(got.life.fresh_s, 870);
    response.header[SOURCE_HEADER_DATE] = DATE_MINUS_100;
    got = source_freshness(&response, NOW, &source_freshness_location);
    assert_int_equal(got.evidence_time_s, NOW - 130);
    response.header[SOURCE_HEADER_DATE] = DATE_PLUS_90; /* never in the future */
    got = source_freshness(&response, NOW, &source_freshness_location);
    assert_int_equal(got.evidence_time_s, NOW - 30);
    response.status = 404;
    got = source_freshness(&response, NOW, &source_freshness_location);
    assert_true(got.life.no_store && got.flags & FRESHNESS_STATUS);
}

static const struct {
    const char *text;
    int64_t time_s; /* -1: refused */
} dates[] = {
    {DATE_NOW, NOW},
    {"Sunday, 06-Nov-94 08:49:37 GMT", NOW},
    {"Sun Nov  6 08:49:37 1994", NOW},
    {" sun, 06 nov 1994 08:49:37 gmt ", NOW},
    {"Thu, 01 Jan 1970 00:00:00 GMT", 0},
    {"Tue, 29 Feb 2000 23:59:59 GMT", 951868799},
    {"Wed, 01 Mar 2000 00:00:00 GMT", 951868800},
    {"Thu, 29 Feb 2024 00:00:00 GMT", 1709164800},
    {"Fri, 31 Dec 9999 23:59:59 GMT", 253402300799},
    {"Sunday, 01-Jan-44 00:00:00 GMT", 2335219200}, /* 50 years ahead */
    {"Sunday, 01-Jan-45 00:00:00 GMT", -788918400},
    {"Sunday, 01-Jan-00 00:00:00 GMT", 946684800},
    {"Thu, 29 Feb 2100 00:00:00 GMT", -1},
    {"Sun, 31 Nov 1994 08:49:37 GMT", -1},
    {"Sun, 00 Nov 1994 08:49:37 GMT", -1},
    {"Sun, 6 Nov 1994 08:49:37 GMT", -1},
    {"Sun, 06 Nov 1994 24:49:37 GMT", -1},
    {"Sun, 06 Nov 1994 08:60:37 GMT", -1},
    {"Sun, 06 Nov 1994 08:49:37 UTC", -1},
    {"Sun, 06 Nov 1994 08:49:37", -1},
    {"Sun, 06 Nov 1994 08:49:37 GMT x", -1},
    {"Sun, 06 Nov 94 08:49:37 GMT", -1},
    {"Sun 06 Nov 1994 08:49:37 GMT", -1},
    {"Sun, 06-Nov-1994 08:49:37 GMT", -1},
    {"Xxx, 06 Nov 1994 08:49:37 GMT", -1},
    {"Sun, 06 Xxx 1994 08:49:37 GMT", -1},
    {"0", -1},
    {"-1", -1},
    {"", -1},
};

static void test_dates(void **state)
{
    (void)state;
    for (size_t i = 0; i < MS_ARRAY_LEN(dates); i++) {
        int64_t got = -1;
        bool ok = source_http_date(ms_span_str(dates[i].text), NOW, &got);
        if (ok != (dates[i].time_s != -1) || got != dates[i].time_s)
            fail_msg("%s: %lld", dates[i].text, (long long)got);
    }
}

static void test_retry_after(void **state)
{
    (void)state;
    static const struct {
        uint32_t status;
        const char *text;
        int64_t want_s;
    } rows[] = {
        {429, NULL, 0},
        {429, "", 0},
        {429, "0", 1},
        {429, "1", 1},
        {503, "120", 120},
        {503, " 600 ", 600},
        {503, "601", 600},
        {429, "99999999999999999999999", 600},
        {429, "-5", 0},
        {429, "1.5", 0},
        {429, "soon", 0},
        {429, "3, 4", 0},
        {429, "Sun, 06 Nov 1994 08:49:37 GMT", 30},
        {429, "Sun, 06 Nov 1994 08:40:00 GMT", 1}, /* past */
        {503, "Mon, 07 Nov 1994 08:49:37 GMT", 600},
        {503, "Sun, 06 Nov 1994 08:49:37 GMT x", 0},
        {200, "30", 0},
        {500, "30", 0},
    };
    for (size_t i = 0; i < MS_ARRAY_LEN(rows); i++) {
        struct source_response r = {.status = rows[i].status, .time_s = 784111777 - 30};
        r.header[SOURCE_HEADER_RETRY_AFTER] = rows[i].text;
        if (source_retry_after(&r) != rows[i].want_s)
            fail_msg("%u %s", rows[i].status, rows[i].text);
        r.err = MS_ERR_TIMEOUT;
        assert_int_equal(source_retry_after(&r), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_evidence_time),
        cmocka_unit_test(test_dates),
        cmocka_unit_test(test_retry_after),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
