/* Nodes that hash right and are still no proof: malformed by hand, each its own root. */
#include "eth/mpt.h"
#include "eth/proof.h"

#include "base/hex.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* The path of every case is 32 bytes of 0x11: nibbles 1 1 1 .. */
static struct ms_span path_nibbles(uint8_t *out, bool leaf, size_t n)
{
    size_t first = n % 2 == 1 ? 1 : 2;

    memset(out, 0x11, 40);
    out[0] = (uint8_t)((leaf ? 0x20 : 0) | (n % 2 == 1 ? 0x11 : 0));
    return ms_span_of(out, (first + n) / 2);
}

struct part {
    const char *hex; /* RLP of the second item */
    size_t nibbles;
    bool leaf;
};

static void short_node(struct ms_buf *out, struct ms_span path, const char *item_hex)
{
    struct ms_buf payload = MS_BUF_INIT(2048);
    uint8_t item[512];
    size_t n = strlen(item_hex) / 2;

    assert_int_equal(ms_hex_decode(ms_span_str(item_hex), item, n), MS_OK);
    (void)eth_rlp_add_string(&payload, path);
    (void)ms_buf_add(&payload, ms_span_of(item, n));
    ms_buf_reset(out);
    assert_int_equal(eth_rlp_add_list(out, ms_buf_span(&payload)), MS_OK);
    ms_buf_done(&payload);
}

static enum eth_mpt_verdict verify(struct ms_span node, struct ms_span *ret_value,
                                   struct ms_diag *diag)
{
    struct eth_hash root = eth_keccak256(node), path;

    memset(path.b, 0x11, sizeof(path.b));
    return eth_mpt_verify(&root, &path, &node, 1, ret_value, diag);
}

static const struct {
    const char *name;
    struct part part;
    enum eth_mpt_verdict want;
} cases[] = {
    {"a leaf", {"05", 64, true}, ETH_MPT_VALUE},
    {"a leaf that is too short", {"05", 63, true}, ETH_MPT_ABSENT},
    {"a leaf with an empty value", {"80", 64, true}, ETH_MPT_REFUSED},
    {"a leaf whose value is a list", {"c105", 64, true}, ETH_MPT_REFUSED},
    {"an extension to nowhere", {"80", 3, false}, ETH_MPT_REFUSED},
    {"an extension without a path", {"c22005", 0, false}, ETH_MPT_REFUSED},
    {"an extension over the whole path, to a leaf without one",
     {"c22005", 64, false},
     ETH_MPT_VALUE},
    {"an extension to a hash of 31 bytes",
     {"9f11111111111111111111111111111111111111111111111111111111111111", 3, false},
     ETH_MPT_REFUSED},
    {"an extension to a node that is missing",
     {"a01111111111111111111111111111111111111111111111111111111111111111", 3, false},
     ETH_MPT_REFUSED},
    {"an embedded leaf elsewhere", {"c22005", 3, false}, ETH_MPT_ABSENT},
    {"an embedded node of one item", {"c105", 3, false}, ETH_MPT_REFUSED},
    {"an embedded node of 32 bytes",
     {"df209d1111111111111111111111111111111111111111111111111111111111", 64, false},
     ETH_MPT_REFUSED},
    {"an embedded node with a byte behind a length it does not need",
     {"c3208105", 64, false},
     ETH_MPT_REFUSED},
};

static void test_short_nodes(void **state)
{
    (void)state;
    for (size_t i = 0; i < MS_ARRAY_LEN(cases); i++) {
        struct ms_buf node = MS_BUF_INIT(2048);
        uint8_t path[40];
        struct ms_span value = {NULL, 0};
        struct ms_diag diag = {0};
        short_node(&node, path_nibbles(path, cases[i].part.leaf, cases[i].part.nibbles),
                   cases[i].part.hex);
        enum eth_mpt_verdict got = verify(ms_buf_span(&node), &value, &diag);
        if (got != cases[i].want)
            fail_msg("%s: got %d %s", cases[i].name, (int)got, diag.text);
        if (got == ETH_MPT_VALUE)
            assert_int_equal(value.ptr[0], 5);
        assert_int_equal(diag.text[0] != '\0', got == ETH_MPT_REFUSED);
        ms_buf_done(&node);
    }
}

static void test_hex_prefix(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint8_t first;
        enum eth_mpt_verdict want;
    } prefixes[] = {
        {"even leaf", 0x20, ETH_MPT_VALUE},
        {"even leaf, pad not zero", 0x21, ETH_MPT_REFUSED},
        {"flag 4", 0x40, ETH_MPT_REFUSED},
        {"flag 8", 0x80, ETH_MPT_REFUSED},
        {"odd leaf of 65 nibbles", 0x31, ETH_MPT_ABSENT},
    };
    for (size_t i = 0; i < MS_ARRAY_LEN(prefixes); i++) {
        struct ms_buf node = MS_BUF_INIT(2048);
        uint8_t path[33];
        struct ms_span value;
        memset(path, 0x11, sizeof(path));
        path[0] = prefixes[i].first;
        short_node(&node, ms_span_of(path, sizeof(path)), "05");
        if (verify(ms_buf_span(&node), &value, NULL) != prefixes[i].want)
            fail_msg("%s", prefixes[i].name);
        ms_buf_done(&node);
    }
}

/* A path that ends in a branch has no value in a trie of hashed keys, whatever item 16 says. */
static void test_branch_value(void **state)
{
    (void)state;
    struct ms_buf node = MS_BUF_INIT(2048);
    uint8_t path[40];
    struct ms_span value = {NULL, 0};
    struct ms_diag diag = {0};
    static const char branch[] = "d18080808080808080808080808080808005";

    short_node(&node, path_nibbles(path, false, 64), branch);
    assert_int_equal(verify(ms_buf_span(&node), &value, &diag), ETH_MPT_REFUSED);
    assert_string_equal(diag.text, "proof: a key that ends in a branch");
    struct ms_span raw = ms_buf_span(&node);
    struct eth_hash root = eth_keccak256(raw), key;
    memset(key.b, 0x11, sizeof(key.b));
    assert_int_equal(eth_mpt_verify_raw(&root, eth_hash_span(&key), &raw, 1, &value, NULL),
                     ETH_MPT_VALUE);
    assert_int_equal(value.ptr[0], 5);
    ms_buf_done(&node);
}

static void test_empty_trie(void **state)
{
    (void)state;
    struct eth_hash path = {0}, computed = eth_keccak256(ms_span_str("\x80"));
    struct ms_span value, nodes[2] = {ms_span_str("\x80"), ms_span_str("\x80")};

    assert_true(eth_hash_eq(&computed, &eth_empty_trie_root));
    computed = eth_keccak256(ms_span_str(""));
    assert_true(eth_hash_eq(&computed, &eth_empty_code_hash));
    assert_int_equal(eth_mpt_verify(&eth_empty_trie_root, &path, NULL, 0, &value, NULL),
                     ETH_MPT_ABSENT);
    assert_int_equal(eth_mpt_verify(&eth_empty_trie_root, &path, nodes, 1, &value, NULL),
                     ETH_MPT_ABSENT);
    assert_int_equal(eth_mpt_verify(&eth_empty_trie_root, &path, nodes, 2, &value, NULL),
                     ETH_MPT_REFUSED);
    nodes[0] = ms_span_str("");
    assert_int_equal(eth_mpt_verify(&eth_empty_trie_root, &path, nodes, 1, &value, NULL),
                     ETH_MPT_REFUSED);
    assert_int_equal(eth_mpt_verify(&eth_empty_code_hash, &path, nodes, 1, &value, NULL),
                     ETH_MPT_REFUSED); /* the empty node does have that hash */
    struct ms_span many[ETH_MPT_NODES_MAX + 1];
    for (size_t i = 0; i < MS_ARRAY_LEN(many); i++)
        many[i] = ms_span_str("\x80");
    assert_int_equal(eth_mpt_verify(&path, &path, many, MS_ARRAY_LEN(many), &value, NULL),
                     ETH_MPT_REFUSED);
}

/* Answers about an account in an empty state: what is said must be nothing. */
static void test_absent_account(void **state)
{
    (void)state;
    static const struct {
        const char *code, *storage, *balance, *nonce, *value;
        enum ms_err want;
    } said[] = {
        {"0x0", "0x0", "0x0", "0x0", "0x0", MS_OK},
        {"0xc5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470",
         "0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421", "0x0", "0x0", "0x00",
         MS_OK},
        {"0x0000000000000000000000000000000000000000000000000000000000000000",
         "0x0000000000000000000000000000000000000000000000000000000000000000", "0x0", "0x0", "0x0",
         MS_OK},
        {"0x1", "0x0", "0x0", "0x0", "0x0", MS_ERR_PROOF},
        {"0x0", "0x1", "0x0", "0x0", "0x0", MS_ERR_PROOF},
        {"0x", "0x0", "0x0", "0x0", "0x0", MS_ERR_PROOF},
        {"0x0", "0x0", "0x1", "0x0", "0x0", MS_ERR_PROOF},
        {"0x0", "0x0", "0x0", "0x1", "0x0", MS_ERR_PROOF},
        {"0x0", "0x0", "0x0", "0x0", "0x1", MS_ERR_PROOF},
        {"0x0", "0x0", "0x00", "0x0", "0x0", MS_ERR_RPC_SHAPE},
    };
    struct eth_addr address;
    struct eth_word key = {0};

    memset(address.b, 0xab, sizeof(address.b));
    for (size_t i = 0; i < MS_ARRAY_LEN(said); i++) {
        struct eth_account account = {.exists = true};
        struct eth_word value = eth_word_u64(7);
        json_t *answer = json_pack(
            "{s:s, s:s, s:s, s:s, s:s, s:[], s:[{s:s, s:s, s:[]}]}", "address",
            "0xABababababababababababababababababababab", "codeHash", said[i].code, "storageHash",
            said[i].storage, "balance", said[i].balance, "nonce", said[i].nonce, "accountProof",
            "storageProof", "key", "0x0", "value", said[i].value, "proof");
        assert_non_null(answer);
        enum ms_err err = eth_proof_verify(answer, &eth_empty_trie_root, &address, &key, 1,
                                           &account, &value, NULL);
        if (err != said[i].want)
            fail_msg("case %zu: got %s", i, ms_err_name(err));
        assert_int_equal(account.exists, err != MS_OK);
        assert_int_equal(eth_word_is_zero(&value), err == MS_OK);
        json_decref(answer);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_short_nodes),    cmocka_unit_test(test_hex_prefix),
        cmocka_unit_test(test_branch_value),   cmocka_unit_test(test_empty_trie),
        cmocka_unit_test(test_absent_account),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
