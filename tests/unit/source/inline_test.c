/* Lists that are the specifier itself: no request, no age, no trust in anybody. */
#include "tests/support/play.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void test_inline(void **state)
{
    (void)state;
    char spec[1024];
    struct ms_sha256 hashes[2];

    for (uint8_t i = 0; i < 2; i++) {
        (void)snprintf(spec, sizeof(spec), "inline:%s", chain_document(i));
        struct play p = {.spec = spec, .now = {1700000000 + i, 5, 0}};
        play_run(&p); /* a policy without providers */
        assert_int_equal(p.err, MS_OK);
        assert_int_equal(p.n_requests, 0);
        assert_int_equal(p.result->trust, SOURCE_TRUST_SELF);
        assert_int_equal(p.result->n_releases, 1);
        assert_int_equal(p.result->releases[0].set->n_records, 1);
        assert_int_equal(p.result->life.fresh_s, -1);
        assert_int_equal(p.result->life.ceiling_s, -1);
        assert_int_equal(p.result->evidence_time_s, 1700000000 + i);
        hashes[i] = p.result->set_hash;
        play_done(&p);
    }
    assert_false(ms_sha256_eq(&hashes[0], &hashes[1]));
}

static void test_sequence(void **state)
{
    (void)state;
    char spec[1024];
    (void)snprintf(spec, sizeof(spec), "inline:%s", chain_document(1));
    struct play p = {.spec = spec, .now = {1700000000, 5, 0}, .previous = {.floor_sequence = 9}};
    play_run(&p); /* it has no sequence: a floor says nothing about it */
    assert_int_equal(p.err, MS_OK);
    play_done(&p);
}

/* What would tighten and is not obeyed yet must not be dropped in silence. */
static void test_options(void **state)
{
    (void)state;
#define CONTRACT "eip155:1:0xde374479ceee0792f9c3fd389e5c28b8574b0a7d"
#define HASH "1111111111111111111111111111111111111111111111111111111111111111"
    static const char *const rows[] = {
        CONTRACT ";type=azure-tdx",
        CONTRACT ";id=a;max-age=5",
        CONTRACT ";sha256=" HASH,
        CONTRACT ";keys=1of1:0xde374479ceee0792f9c3fd389e5c28b8574b0a7d",
        "url:https://example.com/m;type=azure-tdx",
        "sha256:" HASH ";id=a",
    };
    for (size_t i = 0; i < MS_ARRAY_LEN(rows); i++) {
        struct play p = {.spec = rows[i], .now = {1700000000, 5, 0}, .keep_options = true};
        play_run(&p);
        if (p.err != MS_ERR_UNSUPPORTED)
            fail_msg("%s: %s", rows[i], ms_err_text(p.err));
        assert_int_equal(p.n_requests, 0);
        play_done(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_inline),
        cmocka_unit_test(test_sequence),
        cmocka_unit_test(test_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
