/* Safe blobs: what needs the chain, and what no chain can make good. The contract's own verdicts
 * are in tests/vectors/safe_vectors.c. */
#include "sig/safe.h"
#include "tests/support/sign.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define OWNERS 3
#define ETH_SIGN_V 4

static const uint8_t keys[OWNERS] = {0xa1, 0xb2, 0xc3};

struct rig {
    uint8_t sorted[OWNERS]; /* keys by rising address, as the contract wants signatures */
    struct eth_addr owners[OWNERS];
    uint8_t blob[65 * OWNERS + 64];
    struct msig_safe_check check;
    struct msig_safe_result result;
};

static int by_addr(const void *a, const void *b)
{
    struct eth_addr x = sign_addr(*(const uint8_t *)a), y = sign_addr(*(const uint8_t *)b);
    return memcmp(x.b, y.b, ETH_ADDR_BYTES);
}

/* Two of three, two plain signatures. */
static void set_up(struct rig *r)
{
    *r = (struct rig){.check = {.threshold = 2, .n_owners = OWNERS}};
    memcpy(r->sorted, keys, sizeof(keys));
    qsort(r->sorted, OWNERS, 1, by_addr);
    r->check.hash = eth_keccak256(ms_span_str("a message"));
    for (size_t i = 0; i < OWNERS; i++)
        r->owners[i] = sign_addr(r->sorted[i]);
    for (size_t i = 0; i < 2; i++)
        sign_digest(r->sorted[i], &r->check.hash, r->blob + 65 * i);
    r->check.owners = r->owners;
    r->check.blob = ms_span_of(r->blob, (size_t)65 * 2);
}

static enum msig_safe_verdict verdict(struct rig *r)
{
    msig_safe_check(&r->check, &r->result);
    return r->result.verdict;
}

/* Part i says that owner i approved the hash on chain, or, v 0, that it is a contract. */
static void claim(struct rig *r, size_t i, uint8_t v, uint8_t offset)
{
    uint8_t *part = r->blob + 65 * i;
    memset(part, 0, 65);
    memcpy(part + 12, r->owners[i].b, ETH_ADDR_BYTES);
    part[63] = offset;
    part[64] = v;
}

static void test_enough(void **state)
{
    (void)state;
    struct rig r;

    set_up(&r);
    assert_int_equal(verdict(&r), MSIG_SAFE_VALID);
    assert_int_equal(r.result.n_parts, 2);
    assert_int_equal(r.result.parts[1].kind, MSIG_SAFE_ECDSA);
    r.check.n_owners = 1; /* the second is no owner any more */
    assert_int_equal(verdict(&r), MSIG_SAFE_INVALID);
    assert_int_equal(r.result.reason, MSIG_SAFE_GS026);
}

static void test_owners_to_be_proven(void **state)
{
    (void)state;
    struct rig r;

    set_up(&r);
    r.check.owners_unknown = true;
    r.check.n_owners = 0;
    assert_int_equal(verdict(&r), MSIG_SAFE_NEEDS_CHAIN);
    assert_true(eth_addr_eq(&r.result.parts[0].owner, &r.owners[0]));
    assert_true(eth_addr_eq(&r.result.parts[1].owner, &r.owners[1]));
    claim(&r, 0, 1, 0); /* the sentinel is in every Safe's list, and no owner */
    memset(r.blob, 0, 64);
    r.blob[31] = 1;
    assert_int_equal(verdict(&r), MSIG_SAFE_INVALID);
    assert_int_equal(r.result.reason, MSIG_SAFE_GS026);
}

static void test_approved_hash(void **state)
{
    (void)state;
    enum msig_safe_answer answers[2] = {MSIG_SAFE_UNKNOWN, MSIG_SAFE_UNKNOWN};
    struct rig r;

    set_up(&r);
    claim(&r, 1, 1, 0);
    assert_int_equal(verdict(&r), MSIG_SAFE_NEEDS_CHAIN);
    assert_false(r.result.parts[0].ask);
    assert_true(r.result.parts[1].ask);
    assert_int_equal(r.result.parts[1].kind, MSIG_SAFE_APPROVED);
    r.check.answers = answers;
    answers[1] = MSIG_SAFE_YES;
    assert_int_equal(verdict(&r), MSIG_SAFE_VALID);
    answers[1] = MSIG_SAFE_NO;
    assert_int_equal(verdict(&r), MSIG_SAFE_INVALID);
    assert_int_equal(r.result.reason, MSIG_SAFE_GS025);
}

static void test_contract_data(void **state)
{
    (void)state;
    struct rig r;

    set_up(&r);
    claim(&r, 1, 0, 130);
    r.blob[130 + 31] = 3; /* three bytes behind their length */
    memcpy(r.blob + 130 + 32, "abc", 3);
    r.check.blob.len = 130 + 32 + 3;
    assert_int_equal(verdict(&r), MSIG_SAFE_NEEDS_CHAIN);
    assert_true(ms_span_eq_str(r.result.parts[1].data, "abc"));
    r.check.blob.len--;
    assert_int_equal(verdict(&r), MSIG_SAFE_INVALID);
    assert_int_equal(r.result.reason, MSIG_SAFE_GS023);
    r.check.blob.len = 130 + 31; /* no room for the length */
    assert_int_equal(verdict(&r), MSIG_SAFE_INVALID);
    assert_int_equal(r.result.reason, MSIG_SAFE_GS022);
    memset(r.blob + 130, 0xff, 32); /* a length that wraps around 2^256 */
    r.check.blob.len = 130 + 32;
    assert_int_equal(verdict(&r), MSIG_SAFE_INVALID);
    assert_int_equal(r.result.reason, MSIG_SAFE_REVERT);
    claim(&r, 1, 0, 129); /* inside the signatures themselves */
    assert_int_equal(verdict(&r), MSIG_SAFE_INVALID);
    assert_int_equal(r.result.reason, MSIG_SAFE_GS021);
}

/* A fault that no answer can mend is told at once, whatever stands open before it. */
static void test_refused_without_asking(void **state)
{
    (void)state;
    struct rig r;

    set_up(&r);
    claim(&r, 0, 1, 0);
    memcpy(r.blob + 65, r.blob, 65);
    assert_int_equal(verdict(&r), MSIG_SAFE_INVALID);
    assert_int_equal(r.result.reason, MSIG_SAFE_GS026);
    assert_true(r.result.parts[0].ask);
}

static void test_low_s(void **state)
{
    (void)state;
    struct rig r;

    set_up(&r);
    sign_malleate(r.blob);
    assert_int_equal(verdict(&r), MSIG_SAFE_VALID); /* as on chain */
    r.check.low_s = true;
    assert_int_equal(verdict(&r), MSIG_SAFE_INVALID);
    assert_int_equal(r.result.reason, MSIG_SAFE_HIGH_S);
}

static void test_eth_sign(void **state)
{
    (void)state;
    struct rig r;

    set_up(&r);
    struct eth_hash message = msig_personal_hash(eth_hash_span(&r.check.hash));
    sign_digest(r.sorted[0], &message, r.blob);
    assert_int_equal(verdict(&r), MSIG_SAFE_INVALID); /* not what v 27 and 28 sign */
    r.blob[64] = (uint8_t)(r.blob[64] + ETH_SIGN_V);
    assert_int_equal(verdict(&r), MSIG_SAFE_VALID);
    assert_int_equal(r.result.parts[0].kind, MSIG_SAFE_ETH_SIGN);
}

static void test_message_signed_on_chain(void **state)
{
    (void)state;
    struct rig r;

    set_up(&r);
    r.check.blob.len = 0;
    assert_int_equal(verdict(&r), MSIG_SAFE_INVALID);
    assert_int_equal(r.result.reason, MSIG_SAFE_GS020);
    r.check.message = true;
    assert_int_equal(verdict(&r), MSIG_SAFE_NEEDS_CHAIN);
    assert_true(r.result.ask_signed_message);
    r.check.signed_message = MSIG_SAFE_YES;
    assert_int_equal(verdict(&r), MSIG_SAFE_VALID);
    r.check.signed_message = MSIG_SAFE_NO;
    assert_int_equal(verdict(&r), MSIG_SAFE_INVALID);
    assert_int_equal(r.result.reason, MSIG_SAFE_NOT_SIGNED);
}

static void test_thresholds(void **state)
{
    (void)state;
    struct rig r;

    set_up(&r);
    r.check.threshold = 0; /* must not read as "nobody needs to sign" */
    assert_int_equal(verdict(&r), MSIG_SAFE_INVALID);
    assert_int_equal(r.result.reason, MSIG_SAFE_GS001);
    r.check.threshold = 3;
    assert_int_equal(verdict(&r), MSIG_SAFE_INVALID);
    assert_int_equal(r.result.reason, MSIG_SAFE_GS020);
    r.check.threshold = UINT64_MAX;
    assert_int_equal(verdict(&r), MSIG_SAFE_INVALID);
    assert_int_equal(r.result.reason, MSIG_SAFE_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_enough),
        cmocka_unit_test(test_owners_to_be_proven),
        cmocka_unit_test(test_approved_hash),
        cmocka_unit_test(test_contract_data),
        cmocka_unit_test(test_refused_without_asking),
        cmocka_unit_test(test_low_s),
        cmocka_unit_test(test_eth_sign),
        cmocka_unit_test(test_message_signed_on_chain),
        cmocka_unit_test(test_thresholds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
