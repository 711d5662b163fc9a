/* The generated constants of contracts-abi/registry_abi.h are the hashes of their own texts, and
 * the code hash is that of the code in the JSON file. */
#include "contracts-abi/registry_abi.h"
#include "eth/abi.h"
#include "eth/quantity.h"
#include "tests/support/vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define JSON_MAX_BYTES ((size_t)4 << 20)

struct selector {
    const char *text;
    uint8_t want[ETH_ABI_SELECTOR_BYTES];
};

struct hashed {
    const char *text;
    struct eth_hash want;
};

#define CALL_ROW(name) {REGISTRY_CALL_TEXT_##name, REGISTRY_CALL_##name},
#define ERROR_ROW(name) {REGISTRY_ERROR_TEXT_##name, REGISTRY_ERROR_##name},
#define EVENT_ROW(name) {REGISTRY_EVENT_TEXT_##name, REGISTRY_EVENT_##name},
#define TYPE_ROW(name) {REGISTRY_TYPE_TEXT_##name, REGISTRY_TYPE_##name},

static const struct selector selectors[] = {REGISTRY_CALL_ALL(CALL_ROW)
                                                REGISTRY_ERROR_ALL(ERROR_ROW)};
static const struct hashed hashes[] = {REGISTRY_EVENT_ALL(EVENT_ROW) REGISTRY_TYPE_ALL(TYPE_ROW)};

static void test_selectors(void **state)
{
    (void)state;
    for (size_t i = 0; i < MS_ARRAY_LEN(selectors); i++) {
        uint8_t got[ETH_ABI_SELECTOR_BYTES];
        eth_abi_selector(selectors[i].text, got);
        if (memcmp(got, selectors[i].want, sizeof(got)) != 0)
            fail_msg("%s", selectors[i].text);
    }
}

static void test_hashes(void **state)
{
    (void)state;
    for (size_t i = 0; i < MS_ARRAY_LEN(hashes); i++) {
        struct eth_hash got = eth_keccak256(ms_span_str(hashes[i].text));
        if (!eth_hash_eq(&got, &hashes[i].want))
            fail_msg("%s", hashes[i].text);
    }
}

static json_t *contract(void)
{
    static const struct ms_json_limits limits = {JSON_MAX_BYTES, 32, 100000, 0};
    struct ms_buf text = MS_BUF_INIT(JSON_MAX_BYTES);
    json_t *root = NULL;

    assert_true(vec_read("contracts-abi/MeasurementRegistry.json", &text));
    assert_int_equal(ms_json_parse(ms_buf_span(&text), &limits, &root, NULL), MS_OK);
    ms_buf_done(&text);
    return root;
}

static void test_code_hash(void **state)
{
    (void)state;
    static const struct eth_hash want = REGISTRY_CODE_HASH;
    json_t *root = contract();
    struct ms_buf code = MS_BUF_INIT(JSON_MAX_BYTES);

    assert_int_equal(eth_json_data(root, "deployedBytecode", &code, NULL), MS_OK);
    struct eth_hash got = eth_keccak256(ms_buf_span(&code));
    assert_true(eth_hash_eq(&got, &want));
    ms_buf_done(&code);
    json_decref(root);
}

/* Canonical type of a parameter of the ABI JSON, appended. */
static void add_type(struct ms_buf *out, const json_t *param)
{
    const char *type = vec_str(param, "type");
    const json_t *components = json_object_get(param, "components");

    if (strncmp(type, "tuple", 5) != 0) {
        (void)ms_buf_add_str(out, type);
        return;
    }
    (void)ms_buf_add_byte(out, '(');
    for (size_t i = 0; i < json_array_size(components); i++) {
        (void)ms_buf_add_str(out, i > 0 ? "," : "");
        add_type(out, json_array_get(components, i));
    }
    (void)ms_buf_add_byte(out, ')');
    (void)ms_buf_add_str(out, type + 5);
}

static bool listed(const char *text)
{
    for (size_t i = 0; i < MS_ARRAY_LEN(selectors); i++)
        if (strcmp(selectors[i].text, text) == 0)
            return true;
    for (size_t i = 0; i < MS_ARRAY_LEN(hashes); i++)
        if (strcmp(hashes[i].text, text) == 0)
            return true;
    return false;
}

/* Every function, event and error of the ABI has its constant. */
static void test_complete(void **state)
{
    (void)state;
    json_t *root = contract();
    size_t i, n = 0;
    json_t *entry;

    json_array_foreach(json_object_get(root, "abi"), i, entry)
    {
        struct ms_buf text = MS_BUF_INIT(4096);
        const json_t *inputs = json_object_get(entry, "inputs");
        if (vec_str(entry, "name") == NULL)
            continue; /* the constructor */
        (void)ms_buf_addf(&text, "%s(", vec_str(entry, "name"));
        for (size_t k = 0; k < json_array_size(inputs); k++) {
            (void)ms_buf_add_str(&text, k > 0 ? "," : "");
            add_type(&text, json_array_get(inputs, k));
        }
        (void)ms_buf_add_byte(&text, ')');
        if (!listed(ms_buf_str(&text)))
            fail_msg("%s has no constant", ms_buf_str(&text));
        ms_buf_done(&text);
        n++;
    }
    assert_int_equal(n + 2,
                     MS_ARRAY_LEN(selectors) + MS_ARRAY_LEN(hashes)); /* and two EIP-712 types */
    json_decref(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_selectors),
        cmocka_unit_test(test_hashes),
        cmocka_unit_test(test_code_hash),
        cmocka_unit_test(test_complete),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
