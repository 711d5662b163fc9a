/* Messages as JSON: typed data hash to what we sign, and documents read back as the same message.
 */
#include "sig/message_json.h"

#include "sig/release_set.h"
#include "sig/safe.h"
#include "sig/typed_data.h"
#include "tests/support/sign.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SAFE_INTEGER ((UINT64_C(1) << 53) - 1)

static struct msig_release releases[2];
static struct msig_release_set set;
static struct msig_root root;
static struct msig_freshness freshness;
static struct msig_revocation revocation;

static int make(void **state)
{
    (void)state;
    releases[0] = (struct msig_release){.id = 1,
                                        .version = SAFE_INTEGER,
                                        .approved_seq = 3,
                                        .payload_format = 1,
                                        .payload_size = 351,
                                        .payload_hash = ms_sha256(ms_span_str("a"))};
    releases[1] = (struct msig_release){.id = SAFE_INTEGER + 1,
                                        .version = UINT64_MAX,
                                        .not_before_s = 1770000000,
                                        .not_after_s = UINT64_MAX,
                                        .approved_seq = 4,
                                        .payload_format = UINT16_MAX,
                                        .payload_size = UINT32_MAX,
                                        .payload_hash = ms_sha256(ms_span_str("b")),
                                        .uri = ms_span_str("https://a.example/\"x\"")};
    set = (struct msig_release_set){.app = ms_span_str("b\xc3\xa4r \"\\\n"),
                                    .sequence = 4,
                                    .issued_at_s = 1770000000,
                                    .valid_until_s = 1770086400,
                                    .previous = eth_keccak256(ms_span_str("c")),
                                    .n_releases = 2,
                                    .releases = releases};
    root = (struct msig_root){.app = ms_span_str("a"),
                              .epoch = 2,
                              .signers = {2, 3, {sign_addr(1), sign_addr(2), sign_addr(3)}},
                              .fresh = {1, 1, {sign_addr(4)}},
                              .revokers = {1, 2, {sign_addr(5), sign_addr(6)}},
                              .valid_until_s = UINT64_MAX,
                              .previous = eth_keccak256(ms_span_str("d"))};
    freshness = (struct msig_freshness){.app = ms_span_str(""),
                                        .sequence = UINT64_MAX,
                                        .set_hash = eth_keccak256(ms_span_str("e")),
                                        .issued_at_s = 1,
                                        .valid_until_s = 2};
    revocation = (struct msig_revocation){.app = ms_span_str("a"),
                                          .release_id = 9,
                                          .payload_hash = ms_sha256(ms_span_str("f")),
                                          .reason = UINT32_MAX,
                                          .issued_at_s = 77};
    return 0;
}

/* As a wallet hashes it. */
static struct eth_hash hash_typed(json_t *typed)
{
    struct ms_arena arena = MS_ARENA_INIT(MSIG_TYPED_ARENA_BYTES);
    struct msig_typed_data data;
    struct ms_diag diag = {0};

    assert_non_null(typed);
    if (msig_typed_data_hash(typed, &arena, &data, &diag) != MS_OK)
        fail_msg("%s", diag.text);
    json_decref(typed);
    ms_arena_done(&arena);
    return data.digest;
}

static void assert_same(struct eth_hash got, struct eth_hash want)
{
    assert_memory_equal(got.b, want.b, sizeof(want.b));
}

static void test_typed_data(void **state)
{
    (void)state;
    struct eth_addr safe = sign_addr(7);
    struct eth_hash digest = msig_set_digest(&set);

    assert_same(hash_typed(msig_typed_json(MSIG_TYPE_SET, msig_set_json(&set))), digest);
    assert_same(hash_typed(msig_typed_json(MSIG_TYPE_ROOT, msig_root_json(&root))),
                msig_root_digest(&root));
    assert_same(hash_typed(msig_typed_json(MSIG_TYPE_FRESHNESS, msig_freshness_json(&freshness))),
                msig_freshness_digest(&freshness));
    assert_same(
        hash_typed(msig_typed_json(MSIG_TYPE_REVOCATION, msig_revocation_json(&revocation))),
        msig_revocation_digest(&revocation));
    assert_same(hash_typed(msig_safe_typed_json(11155111, &safe, &digest)),
                msig_safe_message(11155111, &safe, &digest));
}

/* The domain's own type is among them: a device may not know it otherwise. */
static void test_shape(void **state)
{
    (void)state;
    json_t *typed = msig_typed_json(MSIG_TYPE_SET, msig_set_json(&set));
    json_t *types = json_object_get(typed, "types");

    assert_int_equal(json_object_size(typed), 4);
    assert_int_equal(json_object_size(types), 3);
    assert_int_equal(json_array_size(json_object_get(types, "EIP712Domain")), 3);
    assert_int_equal(json_array_size(json_object_get(types, "ReleaseSet")), 6);
    assert_int_equal(json_array_size(json_object_get(types, "Release")), 9);
    assert_string_equal(json_string_value(json_object_get(typed, "primaryType")), "ReleaseSet");
    json_decref(typed);
    assert_null(msig_typed_json(MSIG_TYPE_RELEASE, json_object()));
    assert_null(msig_typed_json(MSIG_TYPE_SET, NULL));
}

/* Numbers that readers round are strings, and only they. */
static void test_numbers(void **state)
{
    (void)state;
    json_t *json = msig_set_json(&set), *list = json_object_get(json, "releases");

    assert_true(json_is_integer(json_object_get(json_array_get(list, 0), "version")));
    assert_true(json_is_string(json_object_get(json_array_get(list, 1), "id")));
    assert_string_equal(json_string_value(json_object_get(json_array_get(list, 1), "version")),
                        "18446744073709551615");
    json_decref(json);
}

static struct ms_span document(const char *type, const char *member, json_t *message,
                               struct ms_buf *out)
{
    json_t *json = json_pack("{s:s, s:o}", "type", type, member, message);

    assert_non_null(json);
    assert_int_equal(ms_json_print(json, true, out), MS_OK);
    json_decref(json);
    return ms_buf_span(out);
}

static void test_documents(void **state)
{
    (void)state;
    struct ms_arena arena = MS_ARENA_INIT(2 * MSIG_DOC_ARENA_BYTES);
    struct ms_buf a = MS_BUF_INIT(65536), b = MS_BUF_INIT(65536), c = MS_BUF_INIT(65536);
    struct msig_set_doc set_doc;
    struct msig_root_doc root_doc;
    struct msig_freshness_doc freshness_doc;

    assert_int_equal(
        msig_set_parse(document("measured-release-set/1", "set", msig_set_json(&set), &a), &arena,
                       &set_doc, NULL),
        MS_OK);
    assert_same(set_doc.digest, msig_set_digest(&set));
    assert_int_equal(msig_root_parse(document("measured-root/1", "root", msig_root_json(&root), &b),
                                     &arena, &root_doc, NULL),
                     MS_OK);
    assert_same(root_doc.digest, msig_root_digest(&root));
    assert_int_equal(msig_freshness_parse(document("measured-freshness/1", "freshness",
                                                   msig_freshness_json(&freshness), &c),
                                          &arena, &freshness_doc, NULL),
                     MS_OK);
    assert_same(freshness_doc.digest, msig_freshness_digest(&freshness));
    ms_buf_done(&a);
    ms_buf_done(&b);
    ms_buf_done(&c);
    ms_arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_typed_data),
        cmocka_unit_test(test_shape),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_documents),
    };
    return cmocka_run_group_tests(tests, make, NULL);
}
