/* EIP-712 typed data: the EIP's own example, how values are written, and what is refused. Digests
 * of many other types are in tests/vectors/signatures_vectors.c. */
#include "base/hex.h"
#include "sig/typed_data.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define TEXT_MAX_BYTES 8192

static enum ms_err parse(const char *text, struct msig_typed_data *ret_data, struct ms_diag *diag)
{
    struct ms_arena arena = MS_ARENA_INIT(MSIG_TYPED_ARENA_BYTES);
    enum ms_err err = msig_typed_data_parse(ms_span_str(text), &arena, ret_data, diag);
    if (err == MS_OK)
        ret_data->encoded_type = (struct ms_span){0}; /* goes with the arena */
    ms_arena_done(&arena);
    return err;
}

static void test_example_of_the_eip(void **state)
{
    (void)state;
    static const char mail[] =
        "{\"types\":{\"EIP712Domain\":[{\"name\":\"name\",\"type\":\"string\"},"
        "{\"name\":\"version\",\"type\":\"string\"},{\"name\":\"chainId\",\"type\":\"uint256\"},"
        "{\"name\":\"verifyingContract\",\"type\":\"address\"}],"
        "\"Person\":[{\"name\":\"name\",\"type\":\"string\"},"
        "{\"name\":\"wallet\",\"type\":\"address\"}],"
        "\"Mail\":[{\"name\":\"from\",\"type\":\"Person\"},{\"name\":\"to\",\"type\":\"Person\"},"
        "{\"name\":\"contents\",\"type\":\"string\"}]},\"primaryType\":\"Mail\","
        "\"domain\":{\"name\":\"Ether Mail\",\"version\":\"1\",\"chainId\":1,"
        "\"verifyingContract\":\"0xCcCCccccCCCCcCCCCCCcCcCccCcCCCcCcccccccC\"},"
        "\"message\":{\"from\":{\"name\":\"Cow\","
        "\"wallet\":\"0xCD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826\"},\"to\":{\"name\":\"Bob\","
        "\"wallet\":\"0xbBbBBBBbbBBBbbbBbbBbbbbBBbBbbbbBbBbbBBbB\"},"
        "\"contents\":\"Hello, Bob!\"}}";
    struct msig_typed_data data;
    char hex[2 * ETH_HASH_BYTES + 1];

    assert_int_equal(parse(mail, &data, NULL), MS_OK);
    ms_hex_encode(eth_hash_span(&data.digest), hex);
    /* EIP-712, the script of its test cases */
    assert_string_equal(hex, "be609aee343fb3c4b28e1df9e632fca64fcfaede20f02e86244efddf30957bd2");
}

/* A message of one member of this type and value. */
static enum ms_err one(const char *type, const char *value, struct msig_typed_data *ret_data,
                       struct ms_diag *diag)
{
    char text[TEXT_MAX_BYTES];

    (void)snprintf(text, sizeof(text),
                   "{\"types\":{\"T\":[{\"name\":\"x\",\"type\":\"%s\"}],"
                   "\"S\":[{\"name\":\"a\",\"type\":\"bool\"}]},"
                   "\"primaryType\":\"T\",\"domain\":{},\"message\":{\"x\":%s}}",
                   type, value);
    return parse(text, ret_data, diag);
}

static void test_words(void **state)
{
    (void)state;
#define F60 "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
#define Z60 "000000000000000000000000000000000000000000000000000000000000"
    static const struct {
        const char *type, *value, *word;
    } rows[] = {
        {"uint8", "255", Z60 "00ff"},
        {"uint8", "\"255\"", Z60 "00ff"},
        {"uint8", "\"0xff\"", Z60 "00ff"},
        {"uint8", "\"0x00ff\"", Z60 "00ff"},
        {"uint256",
         "\"115792089237316195423570985008687907853269984665640564039457584007913129639935\"",
         F60 "ffff"},
        {"int8", "127", Z60 "007f"},
        {"int8", "-128", F60 "ff80"},
        {"int16", "\"-1\"", F60 "ffff"},
        {"int256",
         "\"-57896044618658097711785492504343953926634992332820282019728792003956564819968\"",
         "8000" Z60},
        {"bool", "true", Z60 "0001"},
        {"bool", "false", Z60 "0000"},
        {"bytes2", "\"0xABcd\"", "abcd" Z60},
        {"address", "\"0x000000000000000000000000000000000000abcd\"", Z60 "abcd"},
    };

    for (size_t i = 0; i < MS_ARRAY_LEN(rows); i++) {
        struct msig_typed_data data;
        struct ms_diag diag = {0};
        struct eth_keccak k;
        struct eth_word word;
        char type[64];
        enum ms_err err = one(rows[i].type, rows[i].value, &data, &diag);
        if (err != MS_OK)
            fail_msg("%s %s: %s, %s", rows[i].type, rows[i].value, ms_err_name(err), diag.text);
        (void)snprintf(type, sizeof(type), "T(%s x)", rows[i].type);
        struct eth_hash hash = eth_keccak256(ms_span_str(type));
        assert_int_equal(ms_hex_decode(ms_span_str(rows[i].word), word.b, sizeof(word.b)), MS_OK);
        eth_keccak_init(&k);
        msig_enc_hash(&k, &hash);
        eth_keccak_add(&k, eth_word_span(&word));
        hash = eth_keccak_end(&k);
        if (!eth_hash_eq(&hash, &data.message))
            fail_msg("%s %s: another word", rows[i].type, rows[i].value);
    }
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *type, *value;
        enum ms_err want;
    } rows[] = {
        {"uint8", "256", MS_ERR_RANGE},
        {"uint8", "-1", MS_ERR_RANGE},
        {"uint8", "\"-0\"", MS_ERR_RANGE},
        {"uint8", "1.0", MS_ERR_SYNTAX},
        {"uint8", "\"01\"", MS_ERR_SYNTAX},
        {"uint8", "\"\"", MS_ERR_SYNTAX},
        {"uint8", "\"1 \"", MS_ERR_SYNTAX},
        {"uint8", "true", MS_ERR_SYNTAX},
        {"uint8", "null", MS_ERR_SYNTAX},
        {"uint64", "9007199254740993", MS_ERR_RANGE},
        {"uint256",
         "\"115792089237316195423570985008687907853269984665640564039457584007913129639936\"",
         MS_ERR_RANGE},
        {"int8", "128", MS_ERR_RANGE},
        {"int8", "-129", MS_ERR_RANGE},
        {"uint", "1", MS_ERR_UNKNOWN},
        {"uint7", "1", MS_ERR_UNKNOWN},
        {"uint264", "1", MS_ERR_UNKNOWN},
        {"uint08", "1", MS_ERR_UNKNOWN},
        {"bytes33", "\"0x\"", MS_ERR_UNKNOWN},
        {"bytes0", "\"0x\"", MS_ERR_UNKNOWN},
        {"Nobody", "{}", MS_ERR_UNKNOWN},
        {"bool[0]", "[]", MS_ERR_UNKNOWN},
        {"bool]", "true", MS_ERR_UNKNOWN},
        {"bool", "1", MS_ERR_SYNTAX},
        {"bytes2", "\"0xabcdef\"", MS_ERR_LENGTH},
        {"bytes2", "\"abcd\"", MS_ERR_HEX},
        {"bytes", "\"0xabc\"", MS_ERR_LENGTH},
        {"bytes", "5", MS_ERR_HEX},
        {"string", "5", MS_ERR_SYNTAX},
        {"address", "\"0xCD2a3d9F938E13CD947Ec05AbC7FE734Df8DD827\"", MS_ERR_EIP55},
        {"address", "\"0xCD2a\"", MS_ERR_ADDRESS},
        {"bool[2]", "[true]", MS_ERR_LENGTH},
        {"bool[2]", "[true,true]", MS_OK},
        {"bool[]", "true", MS_ERR_SYNTAX},
        {"bool[][2]", "[[],[true]]", MS_OK},
        {"S", "{\"a\":true}", MS_OK},
        {"S", "{\"a\":true,\"b\":1}", MS_ERR_UNKNOWN}, /* nobody would sign b */
        {"S", "{}", MS_ERR_SYNTAX},
        {"S", "null", MS_ERR_SYNTAX},
        {"S[]", "[{\"a\":1}]", MS_ERR_SYNTAX},
    };

    for (size_t i = 0; i < MS_ARRAY_LEN(rows); i++) {
        struct msig_typed_data data;
        struct ms_diag diag = {0};
        enum ms_err err = one(rows[i].type, rows[i].value, &data, &diag);
        if (err != rows[i].want)
            fail_msg("%s %s: got %s, %s", rows[i].type, rows[i].value, ms_err_name(err), diag.text);
        assert_true(err == MS_OK || diag.text[0] != '\0');
    }
}

static void test_documents(void **state)
{
    (void)state;
#define BOOL_X "[{\"name\":\"x\",\"type\":\"bool\"}]"
#define REST "\"domain\":{},\"message\":{\"x\":true}}"
    static const struct {
        const char *name, *text;
        enum ms_err want;
    } rows[] = {
        {"fine", "{\"types\":{\"T\":" BOOL_X "},\"primaryType\":\"T\"," REST, MS_OK},
        {"no object", "[]", MS_ERR_SYNTAX},
        {"no types", "{\"primaryType\":\"T\"," REST, MS_ERR_SYNTAX},
        {"no primary type", "{\"types\":{\"T\":" BOOL_X "}," REST, MS_ERR_UNKNOWN},
        {"another primary type", "{\"types\":{\"T\":" BOOL_X "},\"primaryType\":\"U\"," REST,
         MS_ERR_UNKNOWN},
        {"a type twice",
         "{\"types\":{\"T\":" BOOL_X ",\"T\":" BOOL_X "},\"primaryType\":\"T\"," REST,
         MS_ERR_JSON_DUPLICATE},
        {"a type with the name of another",
         "{\"types\":{\"uint8\":" BOOL_X "},\"primaryType\":"
         "\"uint8\"," REST,
         MS_ERR_SYNTAX},
        {"a type's name with a bracket",
         "{\"types\":{\"T(\":" BOOL_X "},\"primaryType\":\"T(\"," REST, MS_ERR_SYNTAX},
        {"a member twice",
         "{\"types\":{\"T\":[{\"name\":\"x\",\"type\":\"bool\"},{\"name\":\"x\",\"type\":\"bool\"}]"
         "},"
         "\"primaryType\":\"T\"," REST,
         MS_ERR_SYNTAX},
        {"a member's name with a comma",
         "{\"types\":{\"T\":[{\"name\":\"x,bool y\",\"type\":\"bool\"}]},\"primaryType\":\"T\","
         "\"domain\":{},\"message\":{\"x,bool y\":true}}",
         MS_ERR_SYNTAX},
        {"no domain",
         "{\"types\":{\"T\":" BOOL_X "},\"primaryType\":\"T\",\"message\":{\"x\":true}}",
         MS_ERR_SYNTAX},
        {"a domain member nobody knows",
         "{\"types\":{\"T\":" BOOL_X "},\"primaryType\":\"T\",\"domain\":{\"app\":\"a\"},"
         "\"message\":{\"x\":true}}",
         MS_ERR_UNKNOWN},
        {"the domain as message",
         "{\"types\":{\"EIP712Domain\":" BOOL_X "},\"primaryType\":\"EIP712Domain\","
         "\"domain\":{\"x\":true},\"message\":{\"x\":true}}",
         MS_ERR_UNKNOWN},
        {"a type that holds itself",
         "{\"types\":{\"T\":[{\"name\":\"t\",\"type\":\"T[]\"}]},\"primaryType\":\"T\","
         "\"domain\":{},\"message\":{\"t\":[{\"t\":[]},{\"t\":[{\"t\":[]}]}]}}",
         MS_OK},
    };

    for (size_t i = 0; i < MS_ARRAY_LEN(rows); i++) {
        struct msig_typed_data data;
        struct ms_diag diag = {0};
        enum ms_err err = parse(rows[i].text, &data, &diag);
        if (err != rows[i].want)
            fail_msg("%s: got %s, %s", rows[i].name, ms_err_name(err), diag.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_example_of_the_eip),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_documents),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
