/* Envelopes as a person is told of them, and what changed between two. */
#include "cli/view.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define RECORD(id, hex) "{\"measurement_id\":\"" id "\",\"measurements\":{\"0\":\"" hex "\"}}"
#define RELEASE(id, version, status, records)                                                    \
    "{\"id\":" id ",\"version\":\"" version "\",\"status\":\"" status "\",\"records\":[" records \
    "],\"predicates\":[]}"
#define ENVELOPE(state, sequence, hash, releases)                               \
    "{\"v\":1,\"state\":\"" state "\",\"trust\":\"tls\",\"sequence\":" sequence \
    ",\"set_hash\":\"" hash "\",\"releases\":[" releases                        \
    "],\"fetched_at\":1000,\"valid_until\":1600,\"new\":{}}"
#define EXPIRED                                                                                    \
    "{\"v\":1,\"state\":\"expired\",\"releases\":[],\"error\":{\"code\":\"stale\",\"text\":\"too " \
    "old\"}}"

static const char one[] =
    ENVELOPE("fresh", "2", "a", RELEASE("1", "1.0", "in-force", RECORD("m1", "00")));
static const char two[] =
    ENVELOPE("fresh", "3", "b",
             RELEASE("1", "1.0", "in-force", RECORD("m1", "00")) "," RELEASE(
                 "2", "", "in-force", RECORD("m2", "01") "," RECORD("m0", "02")));
static const char two_swr[] =
    ENVELOPE("stale-while-revalidate", "3", "b",
             RELEASE("1", "1.0", "in-force", RECORD("m1", "00")) "," RELEASE(
                 "2", "", "in-force", RECORD("m2", "01") "," RECORD("m0", "02")));
static const char other_value[] =
    ENVELOPE("fresh", "4", "c", RELEASE("1", "1.0", "in-force", RECORD("m1", "ff")));
static const char pending[] =
    ENVELOPE("revoked", "5", "d", RELEASE("1", "1.0", "pending", RECORD("m1", "00")));
static const char odd[] = ENVELOPE(
    "fresh", "1", "e", RELEASE("1", "\\u001b[31m", "in-force", RECORD("\\n\xc3\xa4", "00")));

static const struct {
    const char *name, *old, *now, *want;
} lines[] = {
    {"first", NULL, one, "fresh, sequence 2: release 1.0 (#1); added m1"},
    {"more", one, two, "fresh, sequence 3: releases 1.0 (#1), #2; added m0, m2"},
    {"less", two, one, "fresh, sequence 2: release 1.0 (#1); removed m0, m2"},
    {"another value", one, other_value, "fresh, sequence 4: release 1.0 (#1); changed m1"},
    {"only the state", two, two_swr, "stale-while-revalidate, sequence 3: releases 1.0 (#1), #2"},
    {"nothing in force", one, pending, "revoked, sequence 5: nothing is approved; removed m1"},
    {"nothing served", one, EXPIRED, "expired: nothing may be served: too old (stale); removed m1"},
    {"back", EXPIRED, one, "fresh, sequence 2: release 1.0 (#1); added m1"},
    {"what a terminal obeys", NULL, odd, "fresh, sequence 1: release ?[31m (#1); added ???"},
};

static void parse(const char *text, struct view *view)
{
    struct ms_diag diag = {0};

    view_init(view);
    enum ms_err err = view_parse(ms_span_str(text), view, &diag);
    if (err != MS_OK)
        fail_msg("%s: %s", text, ms_diag_text(&diag, err));
}

static void test_lines(void **state)
{
    (void)state;
    for (size_t i = 0; i < MS_ARRAY_LEN(lines); i++) {
        struct ms_buf out = MS_BUF_INIT(65536);
        struct view old, now;
        view_init(&old);
        if (lines[i].old != NULL)
            parse(lines[i].old, &old);
        parse(lines[i].now, &now);
        assert_int_equal(view_line(lines[i].old == NULL ? NULL : &old, &now, &out), MS_OK);
        if (!ms_span_eq_str(ms_buf_span(&out), lines[i].want))
            fail_msg("%s: got %s", lines[i].name, ms_buf_str(&out));
        ms_buf_done(&out);
        view_done(&old);
        view_done(&now);
    }
}

static void test_same(void **state)
{
    static const char *const all[] = {one, two, two_swr, other_value, pending, EXPIRED};
    (void)state;

    for (size_t i = 0; i < MS_ARRAY_LEN(all); i++) {
        for (size_t j = 0; j < MS_ARRAY_LEN(all); j++) {
            struct view a, b;
            parse(all[i], &a);
            parse(all[j], &b);
            bool swr = (all[i] == two && all[j] == two_swr) || (all[i] == two_swr && all[j] == two);
            assert_int_equal(view_same(&a, &b), i == j);
            assert_int_equal(view_same_meaning(&a, &b), i == j || swr);
            view_done(&a);
            view_done(&b);
        }
    }
}

static void test_not_envelopes(void **state)
{
    static const char *const bad[] = {
        "",
        "x",
        "[]",
        "null",
        "{}",
        "{\"state\":\"fresh\"}",
        "{\"state\":1,\"releases\":[]}",
        "{\"state\":\"fresh\",\"releases\":{}}",
    };
    (void)state;

    for (size_t i = 0; i < MS_ARRAY_LEN(bad); i++) {
        struct view view;
        view_init(&view);
        if (view_parse(ms_span_str(bad[i]), &view, NULL) == MS_OK)
            fail_msg("read: %s", bad[i]);
        view_done(&view);
    }
}

static void test_strange_members(void **state)
{
    struct view view;
    (void)state;

    /* other types than ours do no harm */
    parse("{\"state\":\"fresh\",\"sequence\":\"x\",\"fetched_at\":-5,\"releases\":[1,{\"status\":"
          "\"in-force\",\"records\":[7,{}],\"predicates\":[{\"kind\":\"k\",\"value\":\"v\"}]}]}",
          &view);
    assert_false(view.has_sequence);
    assert_int_equal(view.fetched_at_s, 0);
    assert_int_equal(view.n_releases, 1);
    assert_int_equal(view.n_items, 3);
    view_done(&view);
}

static void test_text(void **state)
{
    struct ms_buf out = MS_BUF_INIT(4096);
    struct view view;
    (void)state;

    parse(one, &view);
    assert_int_equal(view_text(&view, 1040, &out), MS_OK);
    assert_string_equal(ms_buf_str(&out),
                        "state      fresh, last confirmed 40 s ago\nsequence   2\ntrust      tls\n"
                        "releases   1.0 (#1)\napproved   m1\nvalid for  9 min\n");
    view_done(&view);
    ms_buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_lines), cmocka_unit_test(test_same),
                                       cmocka_unit_test(test_not_envelopes),
                                       cmocka_unit_test(test_strange_members),
                                       cmocka_unit_test(test_text)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
