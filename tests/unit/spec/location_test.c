/* https locations: what is taken, and what it becomes (RFC 3986 6.2.2). */
#include "tests/unit/spec/helper.h"

#define LABEL63 "a23456789012345678901234567890123456789012345678901234567890123"

static const struct {
    const char *name, *text;
    enum ms_err want;
    const char *url, *host; /* NULL on error */
    unsigned port;
} cases[] = {
    {"plain", "https://x.example/a", MS_OK, "https://x.example/a", "x.example", 443},
    {"no path", "https://x.example", MS_OK, "https://x.example/", "x.example", 443},
    {"only a query", "https://x.example?q", MS_OK, "https://x.example/?q", "x.example", 443},
    {"empty query stays", "https://x.example/?", MS_OK, "https://x.example/?", "x.example", 443},
    {"case", "HTTPS://X.Example/A", MS_OK, "https://x.example/A", "x.example", 443},
    {"default port", "https://x.example:443/", MS_OK, "https://x.example/", "x.example", 443},
    {"other port", "https://x.example:1024/", MS_OK, "https://x.example:1024/", "x.example", 1024},
    {"low port", "https://x.example:1023/", MS_ERR_URL, NULL, NULL, 0},
    {"http's port", "https://x.example:80/", MS_ERR_URL, NULL, NULL, 0},
    {"dot segments", "https://x.example/a/./b/../c", MS_OK, "https://x.example/a/c", "x.example",
     443},
    {"dots above the root", "https://x.example/../../a", MS_OK, "https://x.example/a", "x.example",
     443},
    {"dots at the end", "https://x.example/a/b/..", MS_OK, "https://x.example/a/", "x.example",
     443},
    {"one dot at the end", "https://x.example/a/.", MS_OK, "https://x.example/a/", "x.example",
     443},
    {"escaped dots", "https://x.example/a/%2e%2E/c", MS_OK, "https://x.example/c", "x.example",
     443},
    {"three dots", "https://x.example/.../a", MS_OK, "https://x.example/.../a", "x.example", 443},
    {"empty segments stay", "https://x.example//a//", MS_OK, "https://x.example//a//", "x.example",
     443},
    {"dots in the query stay", "https://x.example/?a/../b", MS_OK, "https://x.example/?a/../b",
     "x.example", 443},
    {"escapes", "https://x.example/%7e%41%2f%c3%a9?%7E%20", MS_OK,
     "https://x.example/~A%2F%C3%A9?~%20", "x.example", 443},
    {"escaped percent stays", "https://x.example/%2541", MS_OK, "https://x.example/%2541",
     "x.example", 443},
    {"IPv4", "https://10.0.0.1/", MS_OK, "https://10.0.0.1/", "10.0.0.1", 443},
    {"IPv6", "https://[2001:DB8::0:1]:8443/", MS_OK, "https://[2001:db8::1]:8443/", "2001:db8::1",
     8443},
    {"@ in the path", "https://x.example/a@b", MS_OK, "https://x.example/a@b", "x.example", 443},
    {"label of 63", "https://" LABEL63 ".example/", MS_OK, "https://" LABEL63 ".example/",
     LABEL63 ".example", 443},
    {"label of 64", "https://" LABEL63 "x.example/", MS_ERR_URL, NULL, NULL, 0},
    {"no dot", "https://localhost/", MS_ERR_URL, NULL, NULL, 0},
    {"userinfo", "https://u@x.example/", MS_ERR_URL, NULL, NULL, 0},
    {"empty userinfo", "https://@x.example/", MS_ERR_URL, NULL, NULL, 0},
    {"fragment", "https://x.example/#f", MS_ERR_URL, NULL, NULL, 0},
    {"empty fragment", "https://x.example/#", MS_ERR_URL, NULL, NULL, 0},
    {"http", "http://x.example/", MS_ERR_SCHEME, NULL, NULL, 0},
    {"http, capitals", "HTTP://x.example/", MS_ERR_SCHEME, NULL, NULL, 0},
    {"file", "file:///etc/passwd", MS_ERR_SCHEME, NULL, NULL, 0},
    {"javascript", "javascript:alert(1)", MS_ERR_SCHEME, NULL, NULL, 0},
    {"one slash", "https:/x.example/", MS_ERR_URL, NULL, NULL, 0},
    {"no scheme", "x.example/", MS_ERR_URL, NULL, NULL, 0},
    {"empty", "", MS_ERR_URL, NULL, NULL, 0},
    {"no host", "https:///path", MS_ERR_URL, NULL, NULL, 0},
    {"dot at the end", "https://x.example./", MS_ERR_URL, NULL, NULL, 0},
    {"hyphen at an end", "https://-x.example/", MS_ERR_URL, NULL, NULL, 0},
    {"bracket in the path", "https://x.example/[", MS_ERR_URL, NULL, NULL, 0},
    {"quote", "https://x.example/\"", MS_ERR_URL, NULL, NULL, 0},
    {"space", "https://x.example/a b", MS_ERR_URL, NULL, NULL, 0},
    {"space before", " https://x.example/", MS_ERR_URL, NULL, NULL, 0},
    {"newline", "https://x.example/\n", MS_ERR_URL, NULL, NULL, 0},
    {"backslash", "https://x.example\\@evil.example/", MS_ERR_URL, NULL, NULL, 0},
    {"broken escape", "https://x.example/%4", MS_ERR_URL, NULL, NULL, 0},
    {"escape in the host", "https://x%2eexample/", MS_ERR_URL, NULL, NULL, 0},
    {"non-ASCII", "https://x.example/\xc3\xa9", MS_ERR_URL, NULL, NULL, 0},
};

static enum ms_err parse(struct ms_span text, struct ms_arena *arena, struct spec_location *ret,
                         struct ms_diag *diag)
{
    struct ms_span copy = heap_copy(text);
    enum ms_err err = spec_location_parse(copy, arena, ret, diag);
    heap_free(copy);
    return err;
}

static void test_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < MS_ARRAY_LEN(cases); i++) {
        struct ms_arena arena = MS_ARENA_INIT(65536);
        struct spec_location got = {0}, again = {0};
        struct ms_diag diag = {0};
        enum ms_err err = parse(ms_span_str(cases[i].text), &arena, &got, &diag);
        if (err != cases[i].want || (err != MS_OK && (got.url != NULL || diag.text[0] == '\0')))
            fail_msg("%s: got %s: %s", cases[i].name, ms_err_name(err), diag.text);
        if (err == MS_OK && (strcmp(got.url, cases[i].url) != 0 ||
                             strcmp(got.host, cases[i].host) != 0 || got.port != cases[i].port))
            fail_msg("%s: %s, host %s, port %u", cases[i].name, got.url, got.host, got.port);
        /* normal form is normal */
        if (err == MS_OK && (parse(ms_span_str(got.url), &arena, &again, NULL) != MS_OK ||
                             strcmp(again.url, got.url) != 0))
            fail_msg("%s: %s becomes %s", cases[i].name, got.url, again.url);
        ms_arena_done(&arena);
    }
}

static void test_lengths(void **state)
{
    (void)state;
    struct ms_arena arena = MS_ARENA_INIT(65536);
    struct ms_buf text = MS_BUF_INIT(2 * SPEC_LOCATION_MAX);
    struct spec_location got;

    (void)ms_buf_add_str(&text, "https://x.example/");
    while (text.len < SPEC_LOCATION_MAX)
        (void)ms_buf_add_byte(&text, 'p');
    assert_int_equal(parse(ms_buf_span(&text), &arena, &got, NULL), MS_OK);
    (void)ms_buf_add_byte(&text, 'p');
    assert_int_equal(parse(ms_buf_span(&text), &arena, &got, NULL), MS_ERR_URL);

    /* a name of 253 characters, and of 255; neither ends in a number */
    for (size_t labels = 126; labels <= 127; labels++) {
        ms_buf_reset(&text);
        (void)ms_buf_add_str(&text, "https://");
        for (size_t i = 0; i < labels; i++)
            (void)ms_buf_add_str(&text, "a.");
        (void)ms_buf_add_str(&text, "a/");
        assert_int_equal(parse(ms_buf_span(&text), &arena, &got, NULL),
                         labels == 126 ? MS_OK : MS_ERR_URL);
    }

    /* the '/' that normalising adds counts */
    ms_buf_reset(&text);
    (void)ms_buf_add_str(&text, "https://x.example?");
    while (text.len < SPEC_LOCATION_MAX)
        (void)ms_buf_add_byte(&text, 'q');
    assert_int_equal(parse(ms_buf_span(&text), &arena, &got, NULL), MS_ERR_URL);
    ms_arena_done(&arena);
    ms_buf_done(&text);
}

static void test_ip_flag(void **state)
{
    (void)state;
    struct ms_arena arena = MS_ARENA_INIT(65536);
    struct spec_location got;

    assert_int_equal(parse(ms_span_str("https://x.example/"), &arena, &got, NULL), MS_OK);
    assert_false(got.host_is_ip);
    assert_int_equal(parse(ms_span_str("https://1.2.3.4/"), &arena, &got, NULL), MS_OK);
    assert_true(got.host_is_ip);
    assert_int_equal(parse(ms_span_str("https://[::1]/"), &arena, &got, NULL), MS_OK);
    assert_true(got.host_is_ip);
    ms_arena_done(&arena);
}

static void test_no_memory(void **state)
{
    (void)state;
    struct ms_arena arena = MS_ARENA_INIT(16);
    struct spec_location got = {0};

    assert_int_equal(
        parse(ms_span_str("https://x.example/aaaaaaaaaaaaaaaaaaa"), &arena, &got, NULL),
        MS_ERR_LIMIT);
    assert_null(got.url);
    ms_arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_ip_flag),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
