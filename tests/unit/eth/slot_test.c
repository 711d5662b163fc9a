/* Storage slots, against the table of ethereum.md 2.11 and appendix A.5 (made by the compiler). */
#include "eth/slot.h"

#include "base/hex.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void assert_word(const char *name, struct eth_word got, const char *want)
{
    char text[2 * ETH_WORD_BYTES + 1];

    ms_hex_encode(eth_word_span(&got), text);
    if (strcmp(text, want) != 0)
        fail_msg("%s: got %s", name, text);
}

static const struct {
    const char *name;
    uint8_t key; /* repeated 32 times; 1 stands for the number 1 */
    uint64_t slot;
    const char *want;
} mappings[] = {
    {"dstack allowedComposeHashes", 0x11, 0,
     "5c75bb376affa44a4f06c8a768453c2f7945122a65eb322a0dd3cc2edcbd6f0a"},
    {"dstack KMS allowedOsImages", 0x22, 8,
     "a106fe104d2402da20fc5ea27aa38cd5bb8f1c8c8004a7af1ed9e0d3a1894b51"},
    {"flashtestations approvedWorkloads", 0x33, 0,
     "a2198913505ba0684e7b9125ca79002c1058535fa2266e5471bd84ae2a18dbf5"},
    {"Safe signedMessages", 0x44, 7,
     "24597913804a270af9f1c36212d428351b5da882653771a5462b13127fb2a975"},
    {"timelock _timestamps", 0x55, 1,
     "eb737d991d2488afddcac27c82e43a27440e26900635e1d74b04305f78d4304b"},
    {"Safe owners[sentinel]", 1, 2,
     "e90b7bceb6e7df5418fb78d8ee546e97c83a08bbccc01a0644d599ccd2a7c2e0"},
};

static void test_mappings(void **state)
{
    (void)state;
    for (size_t i = 0; i < MS_ARRAY_LEN(mappings); i++) {
        struct eth_word key = eth_word_u64(1), p = eth_word_u64(mappings[i].slot);
        if (mappings[i].key != 1)
            memset(key.b, mappings[i].key, sizeof(key.b));
        assert_word(mappings[i].name, eth_slot_mapping(&key, &p), mappings[i].want);
    }
    struct eth_addr one = {.b = {[19] = 1}};
    struct eth_word two = eth_word_u64(2);
    assert_word("by address", eth_slot_mapping_addr(&one, &two), mappings[5].want);
}

static const struct {
    const char *name, *want;
    bool erc7201;
} named[] = {
    {"eip1967.proxy.implementation",
     "360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc", false},
    {"eip1967.proxy.beacon", "a3f0ad74e5423aebfd80d3ef4346578335a9a72aeaee59ff6cb3582b35133d50",
     false},
    {"eip1967.proxy.admin", "b53127684a568b3173ae13b9f8a6016e243e63b6e8ee1178d6a717850b5d6103",
     false},
    {"openzeppelin.storage.Ownable",
     "9016d09d72d40fdae2fd8ceac6b6234c7706214fd39c1cd1e609a0528c199300", true},
    {"openzeppelin.storage.Initializable",
     "f0c57e16840df040f15088dc2f81fe391c3923bec73e23a9662efc9c229c6a00", true},
    {"openzeppelin.storage.TimelockController",
     "9a37c2aa9d186a0969ff8a8267bf4e07e864c2f2768f5040949e28a624fb3600", true},
    {"openzeppelin.storage.Governor",
     "7c712897014dbe49c045ef1299aa2d5f9e67e48eea4403efa21f1e0f3ac0cb00", true},
};

static void test_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < MS_ARRAY_LEN(named); i++)
        assert_word(named[i].name,
                    named[i].erc7201 ? eth_slot_erc7201(named[i].name)
                                     : eth_slot_eip1967(named[i].name),
                    named[i].want);
}

/* H(Z(0)) is 290decd9..e563, the first element of an array at slot 0. */
static void test_arrays(void **state)
{
    (void)state;
    struct eth_word p = eth_word_u64(0);
    assert_word("a[0]", eth_slot_array(&p, 0, 5),
                "290decd9548b62a8d60345a988386fc84ba6bc95484008f6362f93160ef3e563");
    assert_word("a[3] of 5 slots", eth_slot_array(&p, 3, 5),
                "290decd9548b62a8d60345a988386fc84ba6bc95484008f6362f93160ef3e572");
    /* python3: hex(0x290d..e563 + (2**64 - 1) * (2**32 - 1)) */
    assert_word("a[2^64-1] of 2^32-1 slots", eth_slot_array(&p, UINT64_MAX, UINT32_MAX),
                "290decd9548b62a8d60345a988386fc84ba6bc96484008f5362f93150ef3e564");
    assert_word("data of a string", eth_slot_string_data(&p, 1),
                "290decd9548b62a8d60345a988386fc84ba6bc95484008f6362f93160ef3e564");
}

/* A nested mapping is the rule applied twice; a string key is not padded. */
static void test_nested(void **state)
{
    (void)state;
    struct eth_word p = eth_word_u64(3), k1 = eth_word_u64(1), k2 = eth_word_u64(2);
    struct eth_word inner = eth_slot_mapping(&k1, &p), outer = eth_slot_mapping(&k2, &inner);
    uint8_t bytes[64];

    memcpy(bytes, k2.b, 32);
    memcpy(bytes + 32, inner.b, 32);
    struct eth_hash want = eth_keccak256(ms_span_of(bytes, sizeof(bytes)));
    assert_memory_equal(outer.b, want.b, sizeof(want.b));

    struct eth_word text = eth_slot_mapping_bytes(ms_span_str("abc"), &p);
    memcpy(bytes, "abc", 3);
    memcpy(bytes + 3, p.b, 32);
    want = eth_keccak256(ms_span_of(bytes, 35));
    assert_memory_equal(text.b, want.b, sizeof(want.b));
}

static void test_strings(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint64_t low; /* of the slot */
        enum ms_err want;
        bool is_inline;
        uint64_t len;
    } cases[] = {
        {"empty", 0, MS_OK, true, 0},
        {"31 bytes", 62, MS_OK, true, 31},
        {"short form of 32", 64, MS_ERR_RANGE, false, 0},
        {"long form of 31", 63, MS_ERR_RANGE, false, 0},
        {"long form of 32", 65, MS_OK, false, 32},
        {"4 GiB", (uint64_t)UINT32_MAX * 2 + 1, MS_OK, false, UINT32_MAX},
        {"more", (uint64_t)UINT32_MAX * 2 + 3, MS_ERR_RANGE, false, 0},
    };
    for (size_t i = 0; i < MS_ARRAY_LEN(cases); i++) {
        struct eth_word value = eth_word_u64(cases[i].low);
        bool is_inline = false;
        uint64_t len = 0;
        enum ms_err err = eth_slot_string(&value, &is_inline, &len);
        if (err != cases[i].want || is_inline != cases[i].is_inline || len != cases[i].len)
            fail_msg("%s: %s, %llu", cases[i].name, ms_err_name(err), (unsigned long long)len);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mappings), cmocka_unit_test(test_named),
        cmocka_unit_test(test_arrays),   cmocka_unit_test(test_nested),
        cmocka_unit_test(test_strings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
