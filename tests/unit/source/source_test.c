/* What all kinds share: kinds without a source, warnings, headers, the order of hashing. */
#include "resolver/source/kinds.h"
#include "tests/support/play.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void test_unsupported(void **state)
{
    (void)state;
    static const char *const specs[] = {
        "github:owner~repo",
        "app.example.eth",
        CHAIN_SPEC ";kind=timelock",
    };
    for (size_t i = 0; i < MS_ARRAY_LEN(specs); i++) {
        struct play p = {.spec = specs[i], .policy = play_policy(SPEC_LEVEL_L1, 1, 1)};
        play_run(&p);
        if (p.err != MS_ERR_UNSUPPORTED || p.diag.text[0] == '\0')
            fail_msg("%s: %s", specs[i], ms_err_name(p.err));
        play_done(&p);
    }
}

static void test_warnings(void **state)
{
    (void)state;
    struct source s = {0};
    struct source_result *r = source_result_begin(&s);

    assert_non_null(r);
    assert_ptr_equal(source_result_begin(&s), r);
    for (int i = 0; i < 100; i++)
        source_result_warn(r, "code", "number %d \x01 %s", i, "\xff");
    assert_int_equal(r->n_warnings, MS_ARRAY_LEN(r->warnings));
    assert_string_equal(r->warnings[0].text, "number 0 \\x01 \\xff");
    source_result_free(r);
    source_result_free(NULL);
}

static void test_releases_max(void **state)
{
    (void)state;
    struct source s = {0};
    struct source_result *r = source_result_begin(&s);

    for (size_t i = 0; i < SOURCE_RELEASES_MAX; i++)
        assert_non_null(source_result_add_release(r));
    assert_null(source_result_add_release(r));
    source_result_free(r);
}

/* Every member of a release counts in the set's hash. */
static void test_set_hash(void **state)
{
    (void)state;
    struct ms_sha256 seen[6];

    for (size_t i = 0; i < MS_ARRAY_LEN(seen); i++) {
        struct spec spec = {0};
        struct source s = {.spec = &spec};
        struct source_release *r = source_result_add_release(source_result_begin(&s));
        assert_non_null(r);
        r->id = i == 1 ? 2 : 1;
        r->not_before_s = i == 2 ? 5 : 0;
        r->not_after_s = i == 3 ? 5 : 0;
        r->version = i == 4 ? "1" : "";
        if (i == 5)
            assert_non_null(source_result_add_release(s.result));
        assert_int_equal(source_finish(&s), SOURCE_DONE);
        seen[i] = s.result->set_hash;
        for (size_t k = 0; k < i; k++)
            assert_false(ms_sha256_eq(&seen[i], &seen[k]));
        source_result_free(s.result);
    }
}

static void test_requests_max(void **state)
{
    (void)state;
    struct source *s = calloc(1, sizeof(*s));
    struct source_request request = {.kind = SOURCE_REQUEST_RPC};

    assert_non_null(s);
    for (size_t i = 0; i < SOURCE_REQUESTS_MAX; i++)
        assert_int_equal(source_want(s, &request)->id, i + 1);
    assert_null(source_want(s, &request));
    assert_int_equal(source_error(s, NULL), MS_ERR_LIMIT);
    free(s);
}

static void test_first_cause(void **state)
{
    (void)state;
    struct source s = {0};
    struct ms_diag diag = {0};

    assert_int_equal(source_fail_negative(&s, MS_ERR_NO_CODE, 300, "no %s", "code"), SOURCE_FAILED);
    assert_int_equal(source_failf(&s, MS_ERR_TIMEOUT, "later"), SOURCE_FAILED);
    (void)source_fail_negative(&s, MS_ERR_KIND, 5, "later still");
    assert_int_equal(source_error(&s, &diag), MS_ERR_NO_CODE);
    assert_string_equal(diag.text, "no code");
    assert_int_equal(source_negative_s(&s), 300);
}

static void test_headers(void **state)
{
    (void)state;
    for (enum source_header h = 0; h < SOURCE_HEADER_COUNT; h++) {
        assert_int_not_equal(source_header_name(h)[0], '\0');
        for (enum source_header k = 0; k < h; k++)
            assert_string_not_equal(source_header_name(h), source_header_name(k));
    }
    assert_string_equal(source_header_name(SOURCE_HEADER_COUNT), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unsupported),  cmocka_unit_test(test_warnings),
        cmocka_unit_test(test_releases_max), cmocka_unit_test(test_set_hash),
        cmocka_unit_test(test_requests_max), cmocka_unit_test(test_first_cause),
        cmocka_unit_test(test_headers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
