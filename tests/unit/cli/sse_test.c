/* The event stream parser: endings, joining, cutting, limits. */
#include "cli/sse.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void note(const struct sse_event *event, void *arg)
{
    struct ms_buf *seen = arg;

    (void)ms_buf_add(seen, event->type);
    (void)ms_buf_add_byte(seen, '=');
    (void)ms_buf_add(seen, event->data);
    (void)ms_buf_add_byte(seen, '|');
}

static const struct {
    const char *name, *text, *want; /* want: TYPE=DATA| for each event */
} cases[] = {
    {"one", "event: set\ndata: {}\n\n", "set={}|"},
    {"no type", "data: x\n\n", "message=x|"},
    {"the type lasts one event", "event: a\ndata: 1\n\ndata: 2\n\n", "a=1|message=2|"},
    {"the last type counts", "event: a\nevent: b\ndata: 1\n\n", "b=1|"},
    {"lines are joined", "data: a\ndata: b\n\n", "message=a\nb|"},
    {"CRLF", "data: a\r\ndata: b\r\n\r\n", "message=a\nb|"},
    {"CR", "data: a\rdata: b\r\r", "message=a\nb|"},
    {"one space goes", "data:  a \n\n", "message= a |"},
    {"no space needed", "data:a\n\n", "message=a|"},
    {"comments", ": hello\n\ndata: a\n: between\n\n", "message=a|"},
    {"no data, no event", "event: a\n\n", ""},
    {"empty data, no event", "data\n\ndata:\n\n", ""},
    {"a type without data is forgotten", "event: a\n\ndata: x\n\n", "message=x|"},
    {"unknown fields", "id: 1\nretry: 2\nfoo\ndata: x\n\n", "message=x|"},
    {"names are exact", "Data: x\n data: y\n\n", ""},
    {"byte order mark",
     "\xef\xbb\xbf"
     "data: x\n\n",
     "message=x|"},
    {"only one byte order mark",
     "data: x\n\n\xef\xbb\xbf"
     "data: y\n\n",
     "message=x|"},
    {"cut off", "data: x\n\ndata: y\n", "message=x|"},
    {"colon in data", "data: a:b\n\n", "message=a:b|"},
};

static void test_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < MS_ARRAY_LEN(cases); i++) {
        struct ms_span text = ms_span_str(cases[i].text);
        for (size_t step = 1; step <= text.len; step++) {
            struct ms_buf seen = MS_BUF_INIT(4096);
            struct sse sse;
            sse_init(&sse, 4096);
            for (size_t at = 0; at < text.len; at += step)
                assert_int_equal(sse_feed(&sse, ms_span_sub(text, at, step), note, &seen), MS_OK);
            if (!ms_span_eq_str(ms_buf_span(&seen), cases[i].want))
                fail_msg("%s, %zu bytes at a time: got %s", cases[i].name, step, ms_buf_str(&seen));
            sse_done(&sse);
            ms_buf_done(&seen);
        }
    }
}

static void test_limit(void **state)
{
    struct ms_buf seen = MS_BUF_INIT(4096);
    struct sse sse;
    (void)state;

    sse_init(&sse, 16);
    assert_int_equal(sse_feed(&sse, ms_span_str("data: 0123456789\n\n"), note, &seen), MS_OK);
    assert_int_equal(sse_feed(&sse, ms_span_str("data: 0123456789a"), note, &seen), MS_ERR_LIMIT);
    /* it stays failed, whatever follows */
    assert_int_equal(sse_feed(&sse, ms_span_str("\n\ndata: b\n\n"), note, &seen), MS_ERR_LIMIT);
    assert_string_equal(ms_buf_str(&seen), "message=0123456789|");
    sse_done(&sse);

    /* many short lines are one long event */
    sse_init(&sse, 16);
    assert_int_equal(sse_feed(&sse, ms_span_str("data: 01234567\ndata: 01234567\n\n"), note, &seen),
                     MS_ERR_LIMIT);
    sse_done(&sse);
    ms_buf_done(&seen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_cases), cmocka_unit_test(test_limit)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
