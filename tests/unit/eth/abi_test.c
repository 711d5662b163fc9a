/* ABI types: what parses, what is dynamic, what is capped. */
#include "eth/abi.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct {
    const char *text;
    enum ms_err want;
    enum eth_abi_kind kind;
    bool dynamic;
    size_t head_bytes;
} types[] = {
    {"uint256", MS_OK, ETH_ABI_UINT, false, 32},
    {"uint", MS_OK, ETH_ABI_UINT, false, 32},
    {"int8", MS_OK, ETH_ABI_INT, false, 32},
    {"bytes32", MS_OK, ETH_ABI_FIXED_BYTES, false, 32},
    {"bytes", MS_OK, ETH_ABI_BYTES, true, 32},
    {"string[2]", MS_OK, ETH_ABI_FIXED_ARRAY, true, 32},
    {"uint8[3][2]", MS_OK, ETH_ABI_FIXED_ARRAY, false, 192},
    {"uint8[3][]", MS_OK, ETH_ABI_ARRAY, true, 32},
    {"(uint8,bool)", MS_OK, ETH_ABI_TUPLE, false, 64},
    {"tuple(uint8,string)[]", MS_OK, ETH_ABI_ARRAY, true, 32},
    {"uint7", MS_ERR_SYNTAX, ETH_ABI_NONE, false, 0},
    {"uint0", MS_ERR_SYNTAX, ETH_ABI_NONE, false, 0},
    {"uint08", MS_ERR_SYNTAX, ETH_ABI_NONE, false, 0},
    {"uint264", MS_ERR_SYNTAX, ETH_ABI_NONE, false, 0},
    {"bytes0", MS_ERR_SYNTAX, ETH_ABI_NONE, false, 0},
    {"bytes33", MS_ERR_SYNTAX, ETH_ABI_NONE, false, 0},
    {"uint8[0]", MS_ERR_SYNTAX, ETH_ABI_NONE, false, 0},
    {"uint8[", MS_ERR_SYNTAX, ETH_ABI_NONE, false, 0},
    {"uint8[-1]", MS_ERR_SYNTAX, ETH_ABI_NONE, false, 0},
    {"uint8]", MS_ERR_SYNTAX, ETH_ABI_NONE, false, 0},
    {"()", MS_ERR_SYNTAX, ETH_ABI_NONE, false, 0},
    {"(uint8,)", MS_ERR_SYNTAX, ETH_ABI_NONE, false, 0},
    {"(uint8", MS_ERR_SYNTAX, ETH_ABI_NONE, false, 0},
    {"uint8 ", MS_ERR_SYNTAX, ETH_ABI_NONE, false, 0},
    {"", MS_ERR_SYNTAX, ETH_ABI_NONE, false, 0},
    {"uint8[99999999999]", MS_ERR_LIMIT, ETH_ABI_NONE, false, 0},
    {"uint8[1024][1024]", MS_ERR_LIMIT, ETH_ABI_NONE, false, 0},
    {"uint8[1][1][1][1][1][1][1][1][1][1][1][1][1][1][1][1][1][1][1][1][1][1][1]", MS_OK,
     ETH_ABI_FIXED_ARRAY, false, 32},
    {"uint8[1][1][1][1][1][1][1][1][1][1][1][1][1][1][1][1][1][1][1][1][1][1][1][1]", MS_ERR_DEPTH,
     ETH_ABI_NONE, false, 0},
    {"(((((((((((((((((((((((((uint8)))))))))))))))))))))))))", MS_ERR_DEPTH, ETH_ABI_NONE, false,
     0},
    {"((((((((uint8[][][])[][])[])[])[])[][][][])[][][][][])[][][])", MS_ERR_DEPTH, ETH_ABI_NONE,
     false, 0},
};

static void test_types(void **state)
{
    (void)state;
    for (size_t i = 0; i < MS_ARRAY_LEN(types); i++) {
        struct ms_arena arena = MS_ARENA_INIT(65536);
        const struct eth_abi_type *type = NULL;
        enum ms_err err = eth_abi_type_parse(ms_span_str(types[i].text), &arena, &type);
        if (err != types[i].want)
            fail_msg("%s: got %s", types[i].text, ms_err_name(err));
        if (err == MS_OK && (type->kind != types[i].kind || type->dynamic != types[i].dynamic ||
                             type->head_bytes != types[i].head_bytes))
            fail_msg("%s: head of %zu bytes", types[i].text, type->head_bytes);
        ms_arena_done(&arena);
    }
}

/* A small arena stops a large value. */
static void test_memory(void **state)
{
    (void)state;
    struct ms_arena types_arena = MS_ARENA_INIT(4096), arena = MS_ARENA_INIT(4096);
    const struct eth_abi_type *type = NULL;
    struct eth_abi_value value;
    uint8_t data[32 * 102] = {[31] = 32, [63] = 100};

    assert_int_equal(eth_abi_params_parse(ms_span_str("uint8[]"), &types_arena, &type), MS_OK);
    assert_int_equal(eth_abi_decode(type, ms_span_of(data, sizeof(data)), &arena, &value, NULL),
                     MS_ERR_MEMORY);
    ms_arena_done(&arena);
    arena.max = 65536;
    assert_int_equal(eth_abi_decode(type, ms_span_of(data, sizeof(data)), &arena, &value, NULL),
                     MS_OK);
    assert_int_equal(value.items[0].n, 100);
    ms_arena_done(&arena);
    ms_arena_done(&types_arena);
}

/* Values out of the range of their type do not encode. */
static void test_range(void **state)
{
    (void)state;
    struct ms_arena arena = MS_ARENA_INIT(4096);
    struct ms_buf out = MS_BUF_INIT(64);
    const struct eth_abi_type *type = NULL;
    struct eth_abi_value item = eth_abi_u64(256);
    struct eth_abi_value value = {.kind = ETH_ABI_TUPLE, .n = 1, .items = &item};

    assert_int_equal(eth_abi_params_parse(ms_span_str("uint8"), &arena, &type), MS_OK);
    assert_int_equal(eth_abi_encode(type, &value, &out), MS_ERR_ABI);
    item = eth_abi_u64(255);
    assert_int_equal(eth_abi_encode(type, &value, &out), MS_OK);
    assert_int_equal(out.len, 32);
    value.n = 0;
    assert_int_equal(eth_abi_encode(type, &value, &out), MS_ERR_ABI);
    ms_buf_done(&out);
    ms_arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
