/* Signed messages: type hashes from their strings, and the samples of ethereum.md 5.3. */
#include "base/hex.h"
#include "sig/message.h"
#include "sig/safe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define APP "buildernet"
#define PAYLOAD_HASH "1fc8be1466481ec3eee0559adb645c0462c4e7410d0626b5d3e39266c76c741b"
#define SET_HASH "d4daad0958bc5412af2ac8791b30a3d20699fa804f3a6cffd9e1720bd682e82c"
#define SET_DIGEST "344878589ed774a7bb7438015f035623070c9d33ec80a56d6c2fa95db774d048"

static void assert_hash(struct eth_hash got, const char *want)
{
    char text[2 * ETH_HASH_BYTES + 1];
    ms_hex_encode(eth_hash_span(&got), text);
    assert_string_equal(text, want);
}

static void bytes(const char *hex, uint8_t *out, size_t len)
{
    assert_int_equal(ms_hex_decode(ms_span_str(hex), out, len), MS_OK);
}

static struct eth_addr addr(const char *hex)
{
    struct eth_addr out;
    bytes(hex, out.b, sizeof(out.b));
    return out;
}

static void test_type_hashes(void **state)
{
    (void)state;
    static const char *const starts[] = {[MSIG_TYPE_RELEASE] = "Release(",
                                         [MSIG_TYPE_SET] = "ReleaseSet(",
                                         [MSIG_TYPE_ROOT] = "Root(",
                                         [MSIG_TYPE_FRESHNESS] = "Freshness(",
                                         [MSIG_TYPE_REVOCATION] = "Revocation(",
                                         [MSIG_TYPE_DOMAIN] = "EIP712Domain("};

    for (size_t i = 0; i < MS_ARRAY_LEN(starts); i++) {
        struct ms_span text = ms_span_str(msig_type_string((enum msig_type)i));
        struct eth_hash hash = eth_keccak256(text), kept = msig_type_hash((enum msig_type)i);
        assert_true(ms_span_starts(text, starts[i]));
        assert_true(eth_hash_eq(&hash, &kept));
    }
}

static void sample_set(struct msig_release_set *set, struct msig_release *release)
{
    *release = (struct msig_release){
        .id = 1,
        .version = UINT64_C(281474976710656),
        .not_before_s = 1770000000,
        .not_after_s = 1785552000,
        .approved_seq = 1,
        .payload_format = 1,
        .payload_size = 351,
        .uri = ms_span_str("https://measurements.buildernet.example/v1.0.0.json")};
    bytes(PAYLOAD_HASH, release->payload_hash.b, 32);
    *set = (struct msig_release_set){.app = ms_span_str(APP),
                                     .sequence = 1,
                                     .issued_at_s = 1770000000,
                                     .valid_until_s = 1772592000,
                                     .n_releases = 1,
                                     .releases = release};
}

static void test_set(void **state)
{
    (void)state;
    struct msig_release release;
    struct msig_release_set set;

    sample_set(&set, &release);
    assert_hash(msig_domain(ms_span_str(APP)),
                "833e11cad829b2b19fd8538960a12bcfe8d16f8d89bddbb6b41d612c7c19c26f");
    assert_hash(msig_release_hash(&release),
                "edc4e32edde739ec083fda8d37f26c6dec3232dc93593d4d68332df87e28fa2e");
    assert_hash(msig_set_hash(&set), SET_HASH);
    assert_hash(msig_set_digest(&set), SET_DIGEST);
}

static void test_root(void **state)
{
    (void)state;
    struct msig_root root = {.app = ms_span_str(APP),
                             .epoch = 1,
                             .signers = {2,
                                         3,
                                         {addr("3c524fd949d601790ac741dfb5b07414f3dacf1d"),
                                          addr("5d5c99edf529335160ff180fa141dd4967fc00d2"),
                                          addr("75e0de31eca89159a26b09cc3b5ef4736a4f8969")}},
                             .valid_until_s = 1801536000};
    root.fresh = (struct msig_signers){1, 1, {root.signers.addrs[0]}};
    root.revokers = (struct msig_signers){1, 1, {root.signers.addrs[1]}};

    assert_hash(msig_root_hash(&root),
                "821f60ae4b936778d71481ccdc75170a0c34c58cbce83b9e31da48a670e977ec");
    assert_hash(msig_root_digest(&root),
                "b853d001331a9b174f1b31c06e20efb899d08b3ef50b39d2d9c6f81f0253eff3");
}

static void test_freshness_and_revocation(void **state)
{
    (void)state;
    struct msig_freshness fresh = {.app = ms_span_str(APP),
                                   .sequence = 1,
                                   .issued_at_s = 1770000000,
                                   .valid_until_s = 1770086400};
    struct msig_revocation revocation = {
        .app = ms_span_str(APP), .release_id = 1, .reason = 1, .issued_at_s = 1770000000};

    bytes(SET_HASH, fresh.set_hash.b, 32);
    bytes(PAYLOAD_HASH, revocation.payload_hash.b, 32);
    assert_hash(msig_freshness_digest(&fresh),
                "245b0488f05b8453b6948ad92ef0f620b084d4e137ea279202024a29f8ef5418");
    assert_hash(msig_revocation_digest(&revocation),
                "02aeb2d61b11c69bc68a563ff0dab90400601940d8f75c66f08806187794ab90");
}

/* The sample set as a message of a Safe. */
static void test_safe_message(void **state)
{
    (void)state;
    struct eth_addr safe = addr("1c8b9b78e3085866521fe206fa4c1a67f49f153a");
    struct eth_hash digest;

    bytes(SET_DIGEST, digest.b, 32);
    assert_hash(msig_safe_message(1, &safe, &digest),
                "eddb526e6bcacfa6152a740536488d021e6a03cca7ef6846ad972358646d2abb");
}

/* Every field is in the hash. */
static void test_every_field(void **state)
{
    (void)state;
    struct msig_release release, changed_release;
    struct msig_release_set set, changed;

    sample_set(&set, &release);
    struct eth_hash hash = msig_set_digest(&set);
#define DIFFERS(statement)                                     \
    do {                                                       \
        changed = set;                                         \
        changed_release = release;                             \
        changed.releases = &changed_release;                   \
        statement;                                             \
        struct eth_hash got = msig_set_digest(&changed);       \
        if (eth_hash_eq(&got, &hash))                          \
            fail_msg("the hash does not know of " #statement); \
    } while (0)
    DIFFERS(changed.app = ms_span_str("buildernet2"));
    DIFFERS(changed.sequence++);
    DIFFERS(changed.issued_at_s++);
    DIFFERS(changed.valid_until_s++);
    DIFFERS(changed.previous.b[31] ^= 1);
    DIFFERS(changed.n_releases = 0);
    DIFFERS(changed_release.id++);
    DIFFERS(changed_release.version++);
    DIFFERS(changed_release.not_before_s++);
    DIFFERS(changed_release.not_after_s++);
    DIFFERS(changed_release.approved_seq++);
    DIFFERS(changed_release.payload_format++);
    DIFFERS(changed_release.payload_size++);
    DIFFERS(changed_release.payload_hash.b[0] ^= 1);
    DIFFERS(changed_release.uri = ms_span_str(""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_type_hashes),  cmocka_unit_test(test_set),
        cmocka_unit_test(test_root),         cmocka_unit_test(test_freshness_and_revocation),
        cmocka_unit_test(test_safe_message), cmocka_unit_test(test_every_field),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
