/* Recovery: the one accepted form of a signature, and why others are refused. */
#include "sig/secp.h"
#include "tests/support/sign.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define KEY 0xa1

static struct eth_hash some_digest(void)
{
    return eth_keccak256(ms_span_str("a digest"));
}

static enum ms_err recover(struct ms_span sig, struct eth_addr *ret_signer, struct ms_diag *diag)
{
    struct eth_hash digest = some_digest();
    return msig_recover(&digest, sig, ret_signer, diag);
}

static void test_v_of_both_kinds(void **state)
{
    (void)state;
    struct eth_hash digest = some_digest();
    struct eth_addr want = sign_addr(KEY), got;
    uint8_t sig[MSIG_BYTES];

    sign_digest(KEY, &digest, sig);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(recover(ms_span_of(sig, sizeof(sig)), &got, NULL), MS_OK);
        assert_true(eth_addr_eq(&got, &want));
        sig[64] = (uint8_t)(sig[64] - 27); /* 0 or 1, the second time round */
    }
}

static void test_high_s(void **state)
{
    (void)state;
    struct eth_hash digest = some_digest();
    struct eth_addr want = sign_addr(KEY), got = {{0}};
    uint8_t sig[MSIG_BYTES];
    bool high_s = true;

    sign_digest(KEY, &digest, sig);
    assert_true(msig_ecrecover(&digest, sig, sig[64], &got, &high_s));
    assert_false(high_s);
    sign_malleate(sig);
    assert_true(msig_ecrecover(&digest, sig, sig[64], &got, &high_s));
    assert_true(high_s);
    assert_true(eth_addr_eq(&got, &want)); /* the chain takes it */
    assert_int_equal(recover(ms_span_of(sig, sizeof(sig)), &got, NULL), MS_ERR_NONCANONICAL);
}

static void test_malformed(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        size_t len, at;
        int with; /* -1: r becomes zero; -2: s; -3: r is all ones; -4: s */
        enum ms_err want;
        const char *text;
    } rows[] = {
        {"compact form", 64, 0, 0, MS_ERR_LENGTH, "EIP-2098"},
        {"one byte more", 66, 0, 0, MS_ERR_LENGTH, "66 bytes"},
        {"nothing", 0, 0, 0, MS_ERR_LENGTH, "0 bytes"},
        {"v 2", 65, 64, 2, MS_ERR_RANGE, "v is 2"},
        {"v 29", 65, 64, 29, MS_ERR_RANGE, "v is 29"},
        {"v with a chain id", 65, 64, 37, MS_ERR_RANGE, "v is 37"},
        {"r zero", 65, 0, -1, MS_ERR_RANGE, "r or s"},
        {"s zero", 65, 0, -2, MS_ERR_RANGE, "r or s"},
        {"r too large", 65, 0, -3, MS_ERR_RANGE, "r or s"},
        {"s too large", 65, 0, -4, MS_ERR_RANGE, "r or s"},
    };
    struct eth_hash digest = some_digest();

    for (size_t i = 0; i < MS_ARRAY_LEN(rows); i++) {
        uint8_t sig[66] = {0};
        struct eth_addr got = {{0}};
        struct ms_diag diag = {0};
        sign_digest(KEY, &digest, sig);
        if (rows[i].with >= 0)
            sig[rows[i].at] = (uint8_t)(rows[i].with == 0 ? sig[rows[i].at] : rows[i].with);
        else
            memset(sig + (rows[i].with % 2 == 0 ? 32 : 0), rows[i].with < -2 ? 0xff : 0, 32);
        enum ms_err err = recover(ms_span_of(sig, rows[i].len), &got, &diag);
        if (err != rows[i].want || strstr(diag.text, rows[i].text) == NULL ||
            !eth_addr_is_zero(&got))
            fail_msg("%s: got %s, %s", rows[i].name, ms_err_name(err), diag.text);
    }
}

/* No other digest and no other signature is of the same key. */
static void test_one_bit(void **state)
{
    (void)state;
    struct eth_hash digest = some_digest();
    struct eth_addr want = sign_addr(KEY), got;
    uint8_t sig[MSIG_BYTES];

    sign_digest(KEY, &digest, sig);
    for (size_t bit = 0; bit < 8 * 64; bit++) {
        sig[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (msig_recover(&digest, ms_span_of(sig, sizeof(sig)), &got, NULL) == MS_OK)
            assert_false(eth_addr_eq(&got, &want));
        sig[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t bit = 0; bit < 8 * ETH_HASH_BYTES; bit++) {
        digest.b[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (msig_recover(&digest, ms_span_of(sig, sizeof(sig)), &got, NULL) == MS_OK)
            assert_false(eth_addr_eq(&got, &want));
        digest.b[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_v_of_both_kinds),
        cmocka_unit_test(test_high_s),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_one_bit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
