/* JSON-RPC: what we send, and which answers are taken for answers. */
#include "eth/jsonrpc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define R(id) "{\"jsonrpc\":\"2.0\",\"id\":" id ",\"result\":\"0x1\"}"
#define E(id, code, message)                                                                       \
    "{\"jsonrpc\":\"2.0\",\"id\":" id ",\"error\":{\"code\":" code ",\"message\":\"" message "\"}" \
    "}"
#define DEEP8 "[[[[[[[["
#define END8 "]]]]]]]]"

static const struct {
    const char *name, *body;
    size_t n; /* calls, ids 5, 6, ... */
    bool batch;
    enum ms_err want;
    enum eth_rpc_class class; /* of the first answer, when it is an error */
    bool failed;              /* the first answer is an error */
} cases[] = {
    {"one result", R("5"), 1, false, MS_OK, ETH_RPC_FAULT, false},
    {"null result", "{\"jsonrpc\":\"2.0\",\"id\":5,\"result\":null}", 1, false, MS_OK,
     ETH_RPC_FAULT, false},
    {"another id", R("6"), 1, false, MS_ERR_RPC_SHAPE, ETH_RPC_FAULT, false},
    {"id as text", R("\"5\""), 1, false, MS_ERR_RPC_SHAPE, ETH_RPC_FAULT, false},
    {"id as a fraction", R("5.0"), 1, false, MS_ERR_RPC_SHAPE, ETH_RPC_FAULT, false},
    {"id null with a result", R("null"), 1, false, MS_ERR_RPC_SHAPE, ETH_RPC_FAULT, false},
    {"id null with an error", E("null", "-32700", "parse error"), 1, false, MS_OK, ETH_RPC_FAULT,
     true},
    {"no id", "{\"jsonrpc\":\"2.0\",\"result\":1}", 1, false, MS_ERR_RPC_SHAPE, ETH_RPC_FAULT,
     false},
    {"version 1", "{\"jsonrpc\":\"1.0\",\"id\":5,\"result\":1}", 1, false, MS_ERR_RPC_SHAPE,
     ETH_RPC_FAULT, false},
    {"no version", "{\"id\":5,\"result\":1}", 1, false, MS_ERR_RPC_SHAPE, ETH_RPC_FAULT, false},
    {"both", "{\"jsonrpc\":\"2.0\",\"id\":5,\"result\":1,\"error\":{\"code\":1,\"message\":\"\"}}",
     1, false, MS_ERR_RPC_SHAPE, ETH_RPC_FAULT, false},
    {"neither", "{\"jsonrpc\":\"2.0\",\"id\":5}", 1, false, MS_ERR_RPC_SHAPE, ETH_RPC_FAULT, false},
    {"twice the result", "{\"jsonrpc\":\"2.0\",\"id\":5,\"result\":1,\"result\":2}", 1, false,
     MS_ERR_JSON_DUPLICATE, ETH_RPC_FAULT, false},
    {"array for a single call", "[" R("5") "]", 1, false, MS_ERR_RPC_SHAPE, ETH_RPC_FAULT, false},
    {"trailing bytes", R("5") "x", 1, false, MS_ERR_JSON, ETH_RPC_FAULT, false},
    {"empty", "", 1, false, MS_ERR_JSON, ETH_RPC_FAULT, false},
    {"a web page", "<html>", 1, false, MS_ERR_JSON, ETH_RPC_FAULT, false},
    {"15 deep", "{\"jsonrpc\":\"2.0\",\"id\":5,\"result\":" DEEP8 "[[[[[[[" END8 "]]]]]]]}", 1,
     false, MS_OK, ETH_RPC_FAULT, false},
    {"17 deep", "{\"jsonrpc\":\"2.0\",\"id\":5,\"result\":" DEEP8 DEEP8 END8 END8 "}", 1, false,
     MS_ERR_DEPTH, ETH_RPC_FAULT, false},
    {"batch in order", "[" R("5") "," R("6") "]", 2, true, MS_OK, ETH_RPC_FAULT, false},
    {"batch in another order", "[" R("6") "," R("5") "]", 2, true, MS_OK, ETH_RPC_FAULT, false},
    {"one missing", "[" R("5") "]", 2, true, MS_ERR_RPC_SHAPE, ETH_RPC_FAULT, false},
    {"one too many", "[" R("5") "," R("6") "," R("7") "]", 2, true, MS_ERR_RPC_SHAPE, ETH_RPC_FAULT,
     false},
    {"one twice", "[" R("5") "," R("5") "]", 2, true, MS_ERR_RPC_SHAPE, ETH_RPC_FAULT, false},
    {"a stranger", "[" R("5") "," R("7") "]", 2, true, MS_ERR_RPC_SHAPE, ETH_RPC_FAULT, false},
    {"a stranger below", "[" R("5") "," R("4") "]", 2, true, MS_ERR_RPC_SHAPE, ETH_RPC_FAULT,
     false},
    {"a number in a batch", "[" R("5") ",6]", 2, true, MS_ERR_RPC_SHAPE, ETH_RPC_FAULT, false},
    {"null id in a batch", "[" R("5") "," E("null", "1", "") "]", 2, true, MS_ERR_RPC_SHAPE,
     ETH_RPC_FAULT, false},
    {"one result for a batch", R("5"), 2, true, MS_ERR_RPC_SHAPE, ETH_RPC_FAULT, false},
    {"whole batch refused", E("null", "-32600", "batch too large"), 2, true, MS_OK, ETH_RPC_BATCH,
     true},
    {"whole batch limited", E("null", "-32005", "slow down"), 2, true, MS_OK, ETH_RPC_LIMITED,
     true},
    {"an error in a batch", "[" R("6") "," E("5", "3", "execution reverted") "]", 2, true, MS_OK,
     ETH_RPC_REVERT, true},
    {"params", E("5", "-32602", "invalid argument"), 1, false, MS_OK, ETH_RPC_PARAMS, true},
    {"unknown block", E("5", "-32001", "Resource not found"), 1, false, MS_OK,
     ETH_RPC_UNKNOWN_BLOCK, true},
    {"unknown block, Engine code", E("5", "-39001", "x"), 1, false, MS_OK, ETH_RPC_UNKNOWN_BLOCK,
     true},
    {"unknown block, geth", E("5", "-32000", "header not found"), 1, false, MS_OK,
     ETH_RPC_UNKNOWN_BLOCK, true},
    {"not canonical, geth", E("5", "-32000", "hash is not currently canonical"), 1, false, MS_OK,
     ETH_RPC_UNKNOWN_BLOCK, true},
    {"not canonical, Erigon", E("5", "-32603", "hash 0x1 is not currently canonical"), 1, false,
     MS_OK, ETH_RPC_UNKNOWN_BLOCK, true},
    {"not found, Erigon", E("5", "-32603", "header not found"), 1, false, MS_OK,
     ETH_RPC_UNKNOWN_BLOCK, true},
    {"internal", E("5", "-32603", "oops"), 1, false, MS_OK, ETH_RPC_FAULT, true},
    {"pruned", E("5", "4444", "pruned history unavailable"), 1, false, MS_OK, ETH_RPC_PRUNED, true},
    {"no method", E("5", "-32601", "x"), 1, false, MS_OK, ETH_RPC_NO_METHOD, true},
    {"not supported", E("5", "-32004", "x"), 1, false, MS_OK, ETH_RPC_NO_METHOD, true},
    {"code as text", E("5", "\"3\"", "x"), 1, false, MS_ERR_RPC_SHAPE, ETH_RPC_FAULT, false},
    {"error as text", "{\"jsonrpc\":\"2.0\",\"id\":5,\"error\":\"no\"}", 1, false, MS_ERR_RPC_SHAPE,
     ETH_RPC_FAULT, false},
};

static enum ms_err read_heap_copy(const char *body, size_t max, size_t n, bool batch,
                                  struct eth_rpc_reply *ret_reply)
{
    size_t len = strlen(body);
    uint8_t *copy = malloc(len == 0 ? 1 : len); /* exact size, for ASan */
    assert_non_null(copy);
    memcpy(copy, body, len);
    enum ms_err err = eth_rpc_read(ms_span_of(copy, len), max, 5, n, batch, ret_reply, NULL);
    free(copy);
    return err;
}

static void test_answers(void **state)
{
    (void)state;
    for (size_t i = 0; i < MS_ARRAY_LEN(cases); i++) {
        struct eth_rpc_reply reply = {0};
        enum ms_err err = read_heap_copy(cases[i].body, ETH_RPC_BODY_MAX_BYTES, cases[i].n,
                                         cases[i].batch, &reply);
        if (err != cases[i].want)
            fail_msg("%s: got %s", cases[i].name, ms_err_name(err));
        for (size_t k = 0; err == MS_OK && k < reply.n; k++)
            assert_int_equal(reply.answers[k].id, 5 + k);
        if (err == MS_OK && ((reply.answers[0].result == NULL) != cases[i].failed ||
                             (cases[i].failed && reply.answers[0].error.class != cases[i].class)))
            fail_msg("%s: class %s", cases[i].name,
                     eth_rpc_class_name(reply.answers[0].error.class));
        eth_rpc_reply_done(&reply);
    }
}

static void test_limit(void **state)
{
    (void)state;
    struct eth_rpc_reply reply = {0};
    const char *body = R("5");
    assert_int_equal(read_heap_copy(body, strlen(body) - 1, 1, false, &reply), MS_ERR_LIMIT);
    assert_int_equal(read_heap_copy(body, strlen(body), 1, false, &reply), MS_OK);
    eth_rpc_reply_done(&reply);
    eth_rpc_reply_done(&reply);
}

static void test_error_text(void **state)
{
    (void)state;
    struct eth_rpc_reply reply = {0};
    struct ms_diag diag = {0};
    const json_t *result = NULL;
    assert_int_equal(
        read_heap_copy(E("5", "3", "execution reverted: \\u0001no"), 4096, 1, false, &reply),
        MS_OK);
    assert_int_equal(eth_rpc_result(&reply.answers[0], &result, &diag), MS_ERR_REVERT);
    assert_string_equal(diag.text, "JSON-RPC error 3 (revert): execution reverted: \\x01no");
    eth_rpc_reply_done(&reply);
}

/* The two batches of ethereum.md 2.4, L1. */
static void test_requests(void **state)
{
    (void)state;
    struct ms_buf out = MS_BUF_INIT(4096);
    struct eth_rpc_writer w;
    struct eth_addr addr;
    struct eth_block_ref block = {.form = ETH_BLOCK_FINALIZED};
    static const uint8_t data[] = {0xc8, 0x20, 0xda, 0x22};
    struct eth_word key = {0};

    memset(addr.b, 0xab, sizeof(addr.b));
    memset(block.hash.b, 0xcd, sizeof(block.hash.b));
    eth_rpc_begin(&w, &out, 1, true);
    assert_int_equal(eth_rpc_chain_id(&w), 1);
    assert_int_equal(eth_rpc_block_by_number(&w, &block), 2);
    block.form = ETH_BLOCK_LATEST;
    assert_int_equal(eth_rpc_block_by_number(&w, &block), 3);
    assert_int_equal(eth_rpc_end(&w), MS_OK);
    assert_string_equal(ms_buf_str(&out),
                        "[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"eth_chainId\",\"params\":[]},"
                        "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"eth_getBlockByNumber\","
                        "\"params\":[\"finalized\",false]},"
                        "{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"eth_getBlockByNumber\","
                        "\"params\":[\"latest\",false]}]");

    ms_buf_reset(&out);
    eth_rpc_begin(&w, &out, 4, true);
    block.form = ETH_BLOCK_HASH_CANONICAL;
    (void)eth_rpc_call(&w, &addr, ms_span_of(data, sizeof(data)), &block);
    block.form = ETH_BLOCK_HASH;
    (void)eth_rpc_get_proof(&w, &addr, &key, 1, &block);
    assert_int_equal(eth_rpc_end(&w), MS_OK);
    assert_string_equal(
        ms_buf_str(&out),
        "[{\"jsonrpc\":\"2.0\",\"id\":4,\"method\":\"eth_call\",\"params\":[{\"to\":"
        "\"0xabababababababababababababababababababab\",\"data\":\"0xc820da22\"},{\"blockHash\":"
        "\"0xcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd\","
        "\"requireCanonical\":true}]},"
        "{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"eth_getProof\",\"params\":["
        "\"0xabababababababababababababababababababab\","
        "[\"0x0000000000000000000000000000000000000000000000000000000000000000\"],{\"blockHash\":"
        "\"0xcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd\"}]}]");
    ms_buf_done(&out);
}

static void test_misuse(void **state)
{
    (void)state;
    struct ms_buf out = MS_BUF_INIT(4096);
    struct eth_rpc_writer w;
    struct eth_block_ref block = {.form = ETH_BLOCK_HASH};

    eth_rpc_begin(&w, &out, 1, false);
    (void)eth_rpc_block_by_number(&w, &block);
    assert_int_equal(eth_rpc_end(&w), MS_ERR_ARGUMENT);
    ms_buf_reset(&out);
    eth_rpc_begin(&w, &out, 1, true);
    assert_int_equal(eth_rpc_end(&w), MS_ERR_ARGUMENT);
    ms_buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),    cmocka_unit_test(test_limit),
        cmocka_unit_test(test_error_text), cmocka_unit_test(test_requests),
        cmocka_unit_test(test_misuse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
