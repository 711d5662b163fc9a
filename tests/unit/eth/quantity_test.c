/* QUANTITY and DATA: one value, one text, but for storage keys and values. */
#include "eth/quantity.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define HEX16 "123456789abcdef0"
#define HEX64 HEX16 HEX16 HEX16 HEX16

static const struct {
    const char *name, *text;
    enum ms_err strict, lax, u64;
    uint64_t value; /* when it fits */
} quantities[] = {
    {"zero", "0x0", MS_OK, MS_OK, MS_OK, 0},
    {"one", "0x1", MS_OK, MS_OK, MS_OK, 1},
    {"upper case digits", "0xAbC", MS_OK, MS_OK, MS_OK, 0xabc},
    {"64 bits", "0xffffffffffffffff", MS_OK, MS_OK, MS_OK, UINT64_MAX},
    {"65 bits", "0x10000000000000000", MS_OK, MS_OK, MS_ERR_RANGE, 0},
    {"256 bits", "0x" HEX64, MS_OK, MS_OK, MS_ERR_RANGE, 0},
    {"260 bits", "0x1" HEX64, MS_ERR_LENGTH, MS_ERR_LENGTH, MS_ERR_LENGTH, 0},
    {"two zeros", "0x00", MS_ERR_NONCANONICAL, MS_OK, MS_ERR_NONCANONICAL, 0},
    {"a leading zero", "0x01", MS_ERR_NONCANONICAL, MS_OK, MS_ERR_NONCANONICAL, 1},
    {"no digits", "0x", MS_ERR_LENGTH, MS_ERR_LENGTH, MS_ERR_LENGTH, 0},
    {"empty", "", MS_ERR_HEX, MS_ERR_HEX, MS_ERR_HEX, 0},
    {"no prefix", "10", MS_ERR_HEX, MS_ERR_HEX, MS_ERR_HEX, 0},
    {"0X", "0X1", MS_ERR_HEX, MS_ERR_HEX, MS_ERR_HEX, 0},
    {"minus", "-0x1", MS_ERR_HEX, MS_ERR_HEX, MS_ERR_HEX, 0},
    {"space behind", "0x1 ", MS_ERR_HEX, MS_ERR_HEX, MS_ERR_HEX, 0},
    {"no digit", "0xg", MS_ERR_HEX, MS_ERR_HEX, MS_ERR_HEX, 0},
};

static void test_quantities(void **state)
{
    (void)state;
    for (size_t i = 0; i < MS_ARRAY_LEN(quantities); i++) {
        struct ms_span text = ms_span_str(quantities[i].text);
        struct eth_word strict = {0}, lax = {0}, want = eth_word_u64(quantities[i].value);
        uint64_t value = 0;
        enum ms_err s = eth_quantity_parse(text, ETH_QUANTITY_STRICT, &strict);
        enum ms_err l = eth_quantity_parse(text, ETH_QUANTITY_LAX, &lax);
        enum ms_err u = eth_quantity_u64(text, &value);
        if (s != quantities[i].strict || l != quantities[i].lax || u != quantities[i].u64)
            fail_msg("%s: %s %s %s", quantities[i].name, ms_err_name(s), ms_err_name(l),
                     ms_err_name(u));
        if (u == MS_OK && value != quantities[i].value)
            fail_msg("%s: value %llu", quantities[i].name, (unsigned long long)value);
        if (l == MS_OK && u != MS_ERR_RANGE)
            assert_true(eth_word_eq(&lax, &want));
    }
}

static void test_data(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum ms_err want, fixed2;
    } cases[] = {
        {"0x", MS_OK, MS_ERR_LENGTH},
        {"0x00ff", MS_OK, MS_OK},
        {"0x0ff", MS_ERR_LENGTH, MS_ERR_LENGTH},
        {"00ff", MS_ERR_HEX, MS_ERR_HEX},
        {"0x00fg", MS_ERR_HEX, MS_ERR_HEX},
        {"0x00ff00", MS_OK, MS_ERR_LENGTH},
        {"0x00ff0000", MS_ERR_LIMIT, MS_ERR_LENGTH},
    };
    for (size_t i = 0; i < MS_ARRAY_LEN(cases); i++) {
        struct ms_buf out = MS_BUF_INIT(3);
        uint8_t two[2] = {0};
        assert_int_equal(eth_data_parse(ms_span_str(cases[i].text), &out), cases[i].want);
        assert_int_equal(eth_data_fixed(ms_span_str(cases[i].text), two, 2), cases[i].fixed2);
        if (cases[i].fixed2 == MS_OK)
            assert_int_equal(two[1], 0xff);
        else
            assert_int_equal(out.len == 2, false);
        ms_buf_done(&out);
    }
}

static void test_words(void **state)
{
    (void)state;
    struct eth_word zero = {0}, ones, one = eth_word_u64(1), x = eth_word_u64(0x0102030405060708);
    uint64_t value = 0;

    memset(ones.b, 0xff, sizeof(ones.b));
    assert_true(eth_word_is_zero(&zero));
    assert_false(eth_word_is_zero(&one));
    struct eth_word sum = eth_word_add_u64(ones, 1), diff = eth_word_dec(zero);
    assert_true(eth_word_eq(&sum, &zero));
    assert_true(eth_word_eq(&diff, &ones));
    assert_true(eth_word_to_u64(&x, &value));
    assert_true(value == 0x0102030405060708);
    assert_false(eth_word_to_u64(&ones, &value));
    assert_int_equal(eth_word_minimal(&x).len, 8);
    assert_int_equal(eth_word_minimal(&zero).len, 0);
}

static void test_members(void **state)
{
    (void)state;
    json_t *object = json_pack("{s:s, s:i, s:s}", "a", "0x1f", "n", 5, "bad", "1f");
    struct ms_diag diag = {0};
    uint64_t value = 0;
    assert_int_equal(eth_json_u64(object, "a", &value, &diag), MS_OK);
    assert_true(value == 0x1f);
    assert_int_equal(eth_json_u64(object, "n", &value, &diag), MS_ERR_RPC_SHAPE);
    assert_non_null(strstr(diag.text, "\"n\""));
    assert_int_equal(eth_json_u64(object, "bad", &value, NULL), MS_ERR_RPC_SHAPE);
    assert_int_equal(eth_json_u64(object, "none", &value, NULL), MS_ERR_RPC_SHAPE);
    assert_int_equal(eth_json_u64(NULL, "none", &value, NULL), MS_ERR_RPC_SHAPE);
    json_decref(object);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quantities),
        cmocka_unit_test(test_data),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_members),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
