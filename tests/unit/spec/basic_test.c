/* A specifier out of Basic credentials: what curl sends for userinfo, and what is none. */
#include "resolver/spec/basic.h"
#include "tests/unit/spec/helper.h"

#define SIGNERS "1of1:" ADDRESS

static const struct {
    const char *name, *scheme, *userinfo;
    enum ms_err want;
    const char *text; /* NULL on error */
} cases[] = {
    {"an address", "Basic ", ADDRESS ":", MS_OK, ADDRESS},
    {"the scheme in another case", "bASIC ", ADDRESS ":", MS_OK, ADDRESS},
    {"a colon of its own, cut by the client", "Basic ", SIGNERS, MS_OK, SIGNERS},
    {"a colon of its own and that of the client", "Basic ", SIGNERS ":", MS_OK, SIGNERS},
    {"only one colon is taken off", "Basic ", "a::", MS_OK, "a:"},
    {"no padding is needed", "Basic ", "ab:", MS_OK, "ab"},
    {"no colon", "Basic ", "alias", MS_ERR_ARGUMENT, NULL},
    {"no user", "Basic ", ":", MS_ERR_ARGUMENT, NULL},
    {"a space", "Basic ", "a b:", MS_ERR_ARGUMENT, NULL},
    {"a newline", "Basic ", "ab\n:", MS_ERR_ARGUMENT, NULL},
    {"DEL", "Basic ", "a\x7f:", MS_ERR_ARGUMENT, NULL},
    {"no ASCII", "Basic ", "\xc3\xa9:", MS_ERR_ARGUMENT, NULL},
    {"nothing", "Basic ", "", MS_ERR_ARGUMENT, NULL},
    {"another scheme", "Bearer ", ADDRESS ":", MS_ERR_ARGUMENT, NULL},
    {"no scheme", "", ADDRESS ":", MS_ERR_ARGUMENT, NULL},
    {"two spaces", "Basic  ", ADDRESS ":", MS_ERR_BASE64, NULL},
};

static enum ms_err from_basic(struct ms_span credentials, struct ms_buf *out, struct ms_diag *diag)
{
    struct ms_span copy = heap_copy(credentials);
    enum ms_err err = spec_from_basic(copy, out, diag);
    heap_free(copy);
    return err;
}

static void test_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < MS_ARRAY_LEN(cases); i++) {
        struct ms_buf credentials = MS_BUF_INIT(1024), out = MS_BUF_INIT(1024);
        struct ms_diag diag = {0};

        (void)ms_buf_add_str(&credentials, cases[i].scheme);
        assert_int_equal(ms_base64_encode(ms_span_str(cases[i].userinfo), &credentials), MS_OK);
        enum ms_err err = from_basic(ms_buf_span(&credentials), &out, &diag);
        if (err != cases[i].want ||
            (err == MS_OK ? !ms_span_eq_str(ms_buf_span(&out), cases[i].text) : diag.text[0] == 0))
            fail_msg("%s: %s: %s", cases[i].name, ms_err_name(err), diag.text);
        ms_buf_done(&credentials);
        ms_buf_done(&out);
    }
}

/* Written as base64 already: one text has one spelling. */
static void test_spellings(void **state)
{
    (void)state;
    static const struct {
        const char *credentials;
        enum ms_err want;
    } rows[] = {
        {"Basic YTo=", MS_OK},          {"Basic YTo", MS_ERR_BASE64},
        {"Basic YTo=x", MS_ERR_BASE64}, {"Basic YTp=", MS_ERR_BASE64},
        {"Basic Pz8/Og==", MS_OK},      {"Basic Pz8_Og==", MS_ERR_BASE64},
        {"Basic", MS_ERR_ARGUMENT},     {"Basic YTo= ", MS_ERR_BASE64},
        {"", MS_ERR_ARGUMENT},          {"Basic realm=\"x\"", MS_ERR_BASE64},
        {"Basic =", MS_ERR_BASE64},     {"Basic YTo=, Basic YTo=", MS_ERR_BASE64},
    };

    for (size_t i = 0; i < MS_ARRAY_LEN(rows); i++) {
        struct ms_buf out = MS_BUF_INIT(64);
        enum ms_err err = from_basic(ms_span_str(rows[i].credentials), &out, NULL);
        if (err != rows[i].want)
            fail_msg("%s: %s", rows[i].credentials, ms_err_name(err));
        ms_buf_done(&out);
    }
}

static void test_limit(void **state)
{
    (void)state;
    struct ms_buf out = MS_BUF_INIT(4);

    assert_int_equal(from_basic(ms_span_str("Basic YWFhOg=="), &out, NULL), MS_OK); /* aaa: */
    ms_buf_reset(&out);
    assert_int_equal(from_basic(ms_span_str("Basic YWFhYTo="), &out, NULL), MS_ERR_LIMIT);
    ms_buf_done(&out);
}

/* Somebody's name and password are no specifier, not even where the name is an alias. */
static const char *alias(void *arg, struct ms_span name)
{
    (void)arg;
    return ms_span_eq_str(name, "app") ? ADDRESS : NULL;
}

static void test_password(void **state)
{
    (void)state;
    static const struct {
        const char *credentials; /* app:, app:secret, joe:secret */
        bool ok;
    } rows[] = {{"Basic YXBwOg==", true},
                {"Basic YXBwOnNlY3JldA==", false},
                {"Basic am9lOnNlY3JldA==", false}};
    const struct spec_context context = {.alias = alias};

    for (size_t i = 0; i < MS_ARRAY_LEN(rows); i++) {
        struct ms_buf out = MS_BUF_INIT(64);
        struct spec spec;

        spec_init(&spec);
        assert_int_equal(from_basic(ms_span_str(rows[i].credentials), &out, NULL), MS_OK);
        enum ms_err err = spec_parse(ms_buf_span(&out), &context, &spec, NULL);
        assert_int_equal(err == MS_OK, rows[i].ok);
        spec_done(&spec);
        ms_buf_done(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_spellings),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_password),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
