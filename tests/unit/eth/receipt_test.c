/* Receipts of a block that another implementation made have the root that its header says; those of
 * kinds it did not make have the root of bytes put together here by hand; and whatever is changed,
 * left out or added, the root is another. */
#include "eth/receipt.h"
#include "eth/trie.h"
#include "tests/support/trie.h"
#include "tests/support/vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static json_t *block; /* receipts.json */
static struct eth_addr safe;
static const struct eth_hash some_hash = {{1, 2, 3}};

static enum ms_err read_all(const json_t *receipts, struct ms_arena *arena,
                            struct eth_receipts *ret, struct ms_diag *diag)
{
    const struct eth_addr *const addresses[] = {&safe};
    return eth_rpc_result_receipts(receipts, 77, &some_hash, addresses, 1, arena, ret, diag);
}

static bool same_root(const json_t *receipts, const struct eth_hash *want)
{
    struct ms_arena arena = MS_ARENA_INIT((size_t)8 << 20);
    struct eth_receipts got;
    struct ms_diag diag = {0};

    if (read_all(receipts, &arena, &got, &diag) != MS_OK)
        fail_msg("%s", diag.text);
    ms_arena_done(&arena);
    return eth_hash_eq(&got.root, want);
}

static struct eth_hash header_root(void)
{
    struct eth_hash root;
    assert_int_equal(eth_json_fixed(block, "receiptsRoot", root.b, sizeof(root.b), NULL), MS_OK);
    return root;
}

static void test_block(void **state)
{
    struct ms_arena arena = MS_ARENA_INIT((size_t)8 << 20);
    const json_t *receipts = json_object_get(block, "receipts");
    struct eth_hash want = header_root();
    struct eth_receipts got;
    size_t at = 0;
    (void)state;
    assert_int_equal(read_all(receipts, &arena, &got, NULL), MS_OK);
    assert_true(eth_hash_eq(&got.root, &want));
    assert_int_equal(got.n, json_array_size(receipts));
    /* logs of the Safe, with the index the node gave them; those of others are counted only */
    for (size_t i = 0; i < got.n; i++) {
        const json_t *logs = json_object_get(json_array_get(receipts, i), "logs"), *log;
        size_t k;
        json_array_foreach(logs, k, log)
        {
            struct eth_addr address;
            uint64_t index;
            assert_int_equal(eth_json_fixed(log, "address", address.b, 20, NULL), MS_OK);
            assert_int_equal(eth_json_u64(log, "logIndex", &index, NULL), MS_OK);
            if (!eth_addr_eq(&address, &safe))
                continue;
            assert_true(at < got.n_logs);
            const struct eth_log *l = &got.logs[at++];
            assert_int_equal(l->index, index);
            assert_int_equal(l->block, 77);
            assert_true(eth_hash_eq(&l->block_hash, &some_hash));
            assert_int_equal(l->n_topics, json_array_size(json_object_get(log, "topics")));
        }
    }
    assert_int_equal(at, got.n_logs);
    assert_true(at > 3 && got.logs[got.n_logs - 1].index > at - 1); /* one was another's */
    ms_arena_done(&arena);
}

/* Each change to what is hashed is seen; what is not hashed may say anything. */
static void test_changes(void **state)
{
    static const struct {
        const char *name, *member, *value;
        bool same;
    } changes[] = {
        {"type", "type", "0x1", false},
        {"type 0", "type", "0x0", false},
        {"type 4", "type", "0x4", false},
        {"status", "status", "0x0", false},
        {"gas", "cumulativeGasUsed", "0x1", false},
        {"index", "transactionIndex", "0x9", true},
        {"from", "from", "0x00", true},
    };
    struct eth_hash want = header_root();
    (void)state;
    for (size_t i = 0; i < MS_ARRAY_LEN(changes); i++) {
        json_t *copy = json_deep_copy(json_object_get(block, "receipts"));
        json_t *third = json_array_get(copy, 2);
        (void)json_object_set_new(third, changes[i].member, json_string(changes[i].value));
        if (same_root(copy, &want) != changes[i].same)
            fail_msg("%s", changes[i].name);
        json_decref(copy);
    }
    json_t *copy = json_deep_copy(json_object_get(block, "receipts"));
    json_t *log = json_array_get(json_object_get(json_array_get(copy, 0), "logs"), 0);
    (void)json_array_append(json_object_get(json_array_get(copy, 0), "logs"), log);
    assert_false(same_root(copy, &want)); /* a log twice */
    (void)json_array_remove(json_object_get(json_array_get(copy, 0), "logs"), 1);
    assert_true(same_root(copy, &want));
    (void)json_array_remove(json_object_get(log, "topics"), 1);
    assert_false(same_root(copy, &want));
    (void)json_array_remove(copy, 0);
    assert_false(same_root(copy, &want));
    json_decref(copy);
    copy = json_array();
    assert_true(same_root(copy, &eth_empty_trie_root));
    json_decref(copy);
}

/* [status or root, gas, bloom, []] behind the type, as the Yellow Paper and EIP-2718 have it. */
static struct eth_hash by_hand(uint8_t type, struct ms_span status, struct ms_arena *arena)
{
    static const uint8_t bloom[256];
    struct ms_buf list = MS_BUF_INIT(1024), value = MS_BUF_INIT(1024);
    struct trie_entry entry = {ms_span_str("\x80"), {NULL, 0}};

    (void)eth_rlp_add_string(&list, status);
    (void)eth_rlp_add_string(&list, ms_span_str("\x52\x08"));
    (void)eth_rlp_add_string(&list, ms_span_of(bloom, sizeof(bloom)));
    (void)ms_buf_add_byte(&list, 0xc0);
    if (type != 0)
        (void)ms_buf_add_byte(&value, type);
    (void)eth_rlp_add_list(&value, ms_buf_span(&list));
    entry.value = ms_buf_span(&value);
    struct eth_hash root = trie_root(&entry, 1, arena, (struct ms_span){NULL, 0}, NULL);
    ms_buf_done(&list);
    ms_buf_done(&value);
    return root;
}

static json_t *plain(const char *type, const char *member, const char *value)
{
    char bloom[2 + 512 + 1] = "0x";

    memset(bloom + 2, '0', 512);
    json_t *receipt = json_pack("{s:s, s:s, s:s, s:[]}", member, value, "cumulativeGasUsed",
                                "0x5208", "logsBloom", bloom, "logs");
    if (type != NULL)
        (void)json_object_set_new(receipt, "type", json_string(type));
    return json_pack("[o]", receipt);
}

static void test_kinds(void **state)
{
    static const char *const types[] = {"0x0", "0x1", "0x2", "0x3", "0x4"};
    char root_text[2 + 64 + 1] = "0x";
    uint8_t root[32];
    (void)state;
    struct ms_arena arena = MS_ARENA_INIT((size_t)1 << 20);
    for (uint8_t type = 0; type < 5; type++) {
        struct eth_hash want = by_hand(type, ms_span_str("\x01"), &arena);
        json_t *receipts = plain(types[type], "status", "0x1");
        if (!same_root(receipts, &want))
            fail_msg("type %u", type);
        json_decref(receipts);
    }
    struct eth_hash want = by_hand(0, ms_span_str(""), &arena); /* 0 is the empty string */
    json_t *receipts = plain(NULL, "status", "0x0");
    assert_true(same_root(receipts, &want));
    json_decref(receipts);
    memset(root_text + 2, '5', 64);
    memset(root, 0x55, sizeof(root));
    want = by_hand(0, ms_span_of(root, sizeof(root)), &arena);
    receipts = plain("0x0", "root", root_text);
    assert_true(same_root(receipts, &want));
    (void)json_object_set_new(json_array_get(receipts, 0), "status", json_null());
    assert_true(same_root(receipts, &want));
    json_decref(receipts);
    ms_arena_done(&arena);
}

static void test_refused(void **state)
{
    static const struct {
        const char *member, *value;
        enum ms_err want;
    } cases[] = {
        {"type", "0x7e", MS_ERR_UNSUPPORTED},    {"type", "0x5", MS_ERR_UNSUPPORTED},
        {"type", "2", MS_ERR_RPC_SHAPE},         {"status", "0x2", MS_ERR_RPC_SHAPE},
        {"status", "0x01", MS_ERR_RPC_SHAPE},    {"cumulativeGasUsed", "0x", MS_ERR_RPC_SHAPE},
        {"logsBloom", "0x00", MS_ERR_RPC_SHAPE}, {"logs", "none", MS_ERR_RPC_SHAPE},
    };
    struct ms_arena arena = MS_ARENA_INIT((size_t)1 << 20);
    struct eth_receipts got;
    (void)state;
    for (size_t i = 0; i < MS_ARRAY_LEN(cases); i++) {
        struct ms_diag diag = {0};
        json_t *receipts = plain("0x2", "status", "0x1");
        (void)json_object_set_new(json_array_get(receipts, 0), cases[i].member,
                                  json_string(cases[i].value));
        if (read_all(receipts, &arena, &got, &diag) != cases[i].want || diag.text[0] == '\0')
            fail_msg("%s %s: %s", cases[i].member, cases[i].value, diag.text);
        json_decref(receipts);
    }
    json_t *none = json_null();
    assert_int_equal(read_all(none, &arena, &got, NULL), MS_ERR_RPC_SHAPE);
    json_t *numbers = json_pack("[i]", 1);
    assert_int_equal(read_all(numbers, &arena, &got, NULL), MS_ERR_RPC_SHAPE);
    json_decref(numbers);
    struct ms_arena small = MS_ARENA_INIT(1000);
    assert_int_equal(read_all(json_object_get(block, "receipts"), &small, &got, NULL),
                     MS_ERR_MEMORY);
    ms_arena_done(&small);
    ms_arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_block), cmocka_unit_test(test_changes),
                                       cmocka_unit_test(test_kinds),
                                       cmocka_unit_test(test_refused)};
    static const struct ms_json_limits limits = {(size_t)1 << 20, 16, 65536, 0};
    struct ms_buf text = MS_BUF_INIT((size_t)1 << 20);

    if (!vec_read("tests/unit/eth/receipts.json", &text) ||
        ms_json_parse(ms_buf_span(&text), &limits, &block, NULL) != MS_OK ||
        eth_json_fixed(block, "safe", safe.b, sizeof(safe.b), NULL) != MS_OK)
        return 1;
    ms_buf_done(&text);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    json_decref(block);
    return failed;
}
