/* Signing: the known nonce, the reference's signatures, and keys that are none. */
#include "base/digest.h"
#include "base/hex.h"
#include "sig/secp_sign.h"
#include "tests/support/sign.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void assert_hex(const uint8_t *bytes, size_t len, const char *want)
{
    char text[2 * MSIG_BYTES + 1];
    ms_hex_encode(ms_span_of(bytes, len), text);
    assert_string_equal(text, want);
}

/* ethereum.md 5.3, made with another library */
static const struct {
    uint8_t fill;
    const char *sig;
} samples[] = {
    {0xa1, "a848109343aa95f66a2df4890eb656f622203301d36fba8209e94f130ec59ce9"
           "6eb50635d2f5fb1c00c78ccc5e9ee803051617ff581c8fc9fe9724d8eda5cae61b"},
    {0xb2, "253e9e73c231b64c7c256e109b76513400cff8e044f7ab206803dd1e6b77f37c"
           "3085cd200fa0acf29193152d5714577c2cdcb757c93920e113a0d00aeada53111c"},
};
#define SAMPLE_DIGEST "344878589ed774a7bb7438015f035623070c9d33ec80a56d6c2fa95db774d048"

static void test_reference(void **state)
{
    (void)state;
    struct eth_hash digest;

    assert_int_equal(ms_hex_decode(ms_span_str(SAMPLE_DIGEST), digest.b, sizeof(digest.b)), MS_OK);
    for (size_t i = 0; i < MS_ARRAY_LEN(samples); i++) {
        uint8_t key[MSIG_KEY_BYTES], sig[MSIG_BYTES];
        struct eth_addr signer, want = sign_addr(samples[i].fill);
        memset(key, samples[i].fill, sizeof(key));
        assert_int_equal(msig_sign(&digest, key, sig, &signer, NULL), MS_OK);
        assert_hex(sig, sizeof(sig), samples[i].sig);
        assert_true(eth_addr_eq(&signer, &want));
    }
}

/* The widely published RFC 6979 case of this curve: key 1, SHA-256 of "Satoshi Nakamoto". */
static void test_nonce(void **state)
{
    (void)state;
    struct ms_sha256 hash = ms_sha256(ms_span_str("Satoshi Nakamoto"));
    uint8_t key[MSIG_KEY_BYTES] = {0}, sig[MSIG_BYTES];
    struct eth_hash digest;

    key[MSIG_KEY_BYTES - 1] = 1;
    memcpy(digest.b, hash.b, sizeof(digest.b));
    assert_int_equal(msig_sign(&digest, key, sig, NULL, NULL), MS_OK);
    assert_hex(sig, 64,
               "934b1ea10a4b3c1757e2b0c017d0b6143ce3c9a7e6a4a49860d7a6ab210ee3d8"
               "2442ce9d2b916064108014783e923ec36b49743e2ffa1c4496f01a512aafd9e5");
}

#define ORDER "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141"

static void test_no_key(void **state)
{
    (void)state;
    static const char *const keys[] = {
        "0000000000000000000000000000000000000000000000000000000000000000", ORDER,
        "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"};
    struct eth_hash digest = eth_keccak256(ms_span_str("a digest"));

    for (size_t i = 0; i < MS_ARRAY_LEN(keys); i++) {
        uint8_t key[MSIG_KEY_BYTES], sig[MSIG_BYTES] = {0}, zero[MSIG_BYTES] = {0};
        struct ms_diag diag = {0};
        assert_int_equal(ms_hex_decode(ms_span_str(keys[i]), key, sizeof(key)), MS_OK);
        assert_int_equal(msig_sign(&digest, key, sig, NULL, &diag), MS_ERR_RANGE);
        assert_non_null(strstr(diag.text, "order"));
        assert_memory_equal(sig, zero, sizeof(sig));
    }
}

/* What is signed is recovered, whatever the key; any other digest gives somebody else. */
static void test_round_trip(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 64; i++) {
        uint8_t key[MSIG_KEY_BYTES], sig[MSIG_BYTES];
        struct eth_hash digest = eth_keccak256(ms_span_of(&i, sizeof(i)));
        struct eth_hash seed = eth_keccak256(eth_hash_span(&digest));
        struct eth_addr signer, got;
        memcpy(key, seed.b, sizeof(key));
        assert_int_equal(msig_sign(&digest, key, sig, &signer, NULL), MS_OK);
        assert_int_equal(msig_recover(&digest, ms_span_of(sig, sizeof(sig)), &got, NULL), MS_OK);
        assert_true(eth_addr_eq(&signer, &got));
        digest.b[i % 32] ^= 1;
        if (msig_recover(&digest, ms_span_of(sig, sizeof(sig)), &got, NULL) == MS_OK)
            assert_false(eth_addr_eq(&signer, &got));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reference),
        cmocka_unit_test(test_nonce),
        cmocka_unit_test(test_no_key),
        cmocka_unit_test(test_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
