/* Headers of every fork, made up: field order, gaps, unknown later members. */
#include "eth/header.h"

#include "base/hex.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct {
    const char *name;
    size_t bytes; /* 0: a quantity */
} members[] = {
    {"parentHash", 32},
    {"sha3Uncles", 32},
    {"miner", 20},
    {"stateRoot", 32},
    {"transactionsRoot", 32},
    {"receiptsRoot", 32},
    {"logsBloom", 256},
    {"difficulty", 0},
    {"number", 0},
    {"gasLimit", 0},
    {"gasUsed", 0},
    {"timestamp", 0},
    {"extraData", 3},
    {"mixHash", 32},
    {"nonce", 8},
    {"baseFeePerGas", 0},
    {"withdrawalsRoot", 32},
    {"blobGasUsed", 0},
    {"excessBlobGas", 0},
    {"parentBeaconBlockRoot", 32},
    {"requestsHash", 32},
    {"blockAccessListHash", 32},
};

/* The first n members, each filled with its own number. */
static json_t *block_of(size_t n)
{
    json_t *block = json_object();

    for (size_t i = 0; i < n; i++) {
        uint8_t bytes[256];
        char text[2 * sizeof(bytes) + 3] = "0x";
        memset(bytes, (int)(i + 0x11), sizeof(bytes));
        if (members[i].bytes == 0)
            (void)snprintf(text, sizeof(text), "0x%zx", i);
        else
            ms_hex_encode(ms_span_of(bytes, members[i].bytes), text + 2);
        (void)json_object_set_new(block, members[i].name, json_string(text));
    }
    return block;
}

static void set_hash(json_t *block)
{
    struct ms_buf rlp = MS_BUF_INIT(ETH_HEADER_RLP_MAX_BYTES);
    char text[67] = "0x";

    assert_int_equal(eth_header_encode_json(block, &rlp, NULL), MS_OK);
    struct eth_hash hash = eth_keccak256(ms_buf_span(&rlp));
    ms_hex_encode(eth_hash_span(&hash), text + 2);
    (void)json_object_set_new(block, "hash", json_string(text));
    ms_buf_done(&rlp);
}

/* What n members encode to, by hand. */
static struct eth_hash hash_by_hand(size_t n)
{
    struct ms_buf payload = MS_BUF_INIT(4096), rlp = MS_BUF_INIT(4096);

    for (size_t i = 0; i < n; i++) {
        uint8_t bytes[256];
        memset(bytes, (int)(i + 0x11), sizeof(bytes));
        if (members[i].bytes == 0)
            (void)eth_rlp_add_u64(&payload, i);
        else
            (void)eth_rlp_add_string(&payload, ms_span_of(bytes, members[i].bytes));
    }
    assert_int_equal(eth_rlp_add_list(&rlp, ms_buf_span(&payload)), MS_OK);
    struct eth_hash hash = eth_keccak256(ms_buf_span(&rlp));
    ms_buf_done(&payload);
    ms_buf_done(&rlp);
    return hash;
}

static void test_forks(void **state)
{
    (void)state;
    for (size_t n = ETH_HEADER_ITEMS_MIN; n <= ETH_HEADER_ITEMS_KNOWN; n++) {
        json_t *block = block_of(n);
        struct eth_header header = {0};
        struct ms_diag diag = {0};
        struct eth_hash want = hash_by_hand(n);
        set_hash(block);
        if (eth_header_verify_json(block, &header, &diag) != MS_OK)
            fail_msg("%zu items: %s", n, diag.text);
        assert_int_equal(header.n_items, n);
        assert_true(eth_hash_eq(&header.hash, &want));
        assert_int_equal(header.number, 8);
        assert_int_equal(header.timestamp_s, 11);
        assert_int_equal(header.state_root.b[31], 0x11 + 3);
        assert_int_equal(header.receipts_root.b[0], 0x11 + 5);
        json_decref(block);
    }
}

static void test_gaps(void **state)
{
    (void)state;
    struct eth_header header;
    for (size_t gap = 0; gap < ETH_HEADER_ITEMS_KNOWN - 1; gap++) {
        json_t *block = block_of(ETH_HEADER_ITEMS_KNOWN);
        set_hash(block);
        (void)json_object_set_new(block, members[gap].name, json_null());
        enum ms_err err = eth_header_verify_json(block, &header, NULL);
        assert_int_equal(err, gap < ETH_HEADER_ITEMS_MIN ? MS_ERR_RPC_SHAPE : MS_ERR_HEADER);
        (void)json_object_del(block, members[gap].name);
        assert_int_equal(eth_header_verify_json(block, &header, NULL), err);
        json_decref(block);
    }
}

/* A fork that appends a member unknown to us: never wrong, only unusable as JSON; raw it reads. */
static void test_unknown_fork(void **state)
{
    (void)state;
    struct ms_buf rlp = MS_BUF_INIT(4096), longer = MS_BUF_INIT(4096);
    json_t *block = block_of(ETH_HEADER_ITEMS_KNOWN);
    struct eth_header header;
    struct eth_rlp list;
    char text[67] = "0x";

    assert_int_equal(eth_header_encode_json(block, &rlp, NULL), MS_OK);
    assert_int_equal(eth_rlp_one(ms_buf_span(&rlp), &list), MS_OK);
    struct ms_buf payload = MS_BUF_INIT(4096);
    (void)ms_buf_add(&payload, list.payload);
    (void)eth_rlp_add_u64(&payload, 23);
    assert_int_equal(eth_rlp_add_list(&longer, ms_buf_span(&payload)), MS_OK);
    struct eth_hash hash = eth_keccak256(ms_buf_span(&longer));
    ms_hex_encode(eth_hash_span(&hash), text + 2);
    (void)json_object_set_new(block, "hash", json_string(text));
    (void)json_object_set_new(block, "slotNumber", json_string("0x17"));
    assert_int_equal(eth_header_verify_json(block, &header, NULL), MS_ERR_HEADER);
    assert_int_equal(eth_header_verify(ms_buf_span(&longer), &hash, &header, NULL), MS_OK);
    assert_int_equal(header.n_items, ETH_HEADER_ITEMS_KNOWN + 1);
    ms_buf_done(&payload);
    ms_buf_done(&longer);
    ms_buf_done(&rlp);
    json_decref(block);
}

static void test_shapes(void **state)
{
    (void)state;
    static const struct {
        const char *member, *value;
        enum ms_err want;
    } cases[] = {
        {"number", "0x08", MS_ERR_RPC_SHAPE},
        {"number", "8", MS_ERR_RPC_SHAPE},
        {"number", "0x10000000000000000", MS_ERR_HEADER},
        {"miner", "0x00", MS_ERR_RPC_SHAPE},
        {"nonce", "0x0", MS_ERR_RPC_SHAPE},
        {"extraData", "0x", MS_ERR_HEADER},
        {"hash", "0x00", MS_ERR_RPC_SHAPE},
    };
    for (size_t i = 0; i < MS_ARRAY_LEN(cases); i++) {
        json_t *block = block_of(ETH_HEADER_ITEMS_KNOWN);
        struct eth_header header;
        set_hash(block);
        (void)json_object_set_new(block, cases[i].member, json_string(cases[i].value));
        enum ms_err err = eth_header_verify_json(block, &header, NULL);
        if (err != cases[i].want)
            fail_msg("%s %s: got %s", cases[i].member, cases[i].value, ms_err_name(err));
        json_decref(block);
    }
    struct eth_header header;
    assert_int_equal(eth_header_verify_json(NULL, &header, NULL), MS_ERR_RPC_SHAPE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forks),
        cmocka_unit_test(test_gaps),
        cmocka_unit_test(test_unknown_fork),
        cmocka_unit_test(test_shapes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
