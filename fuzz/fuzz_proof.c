/* Proofs: {"stateRoot":"0x..","keys":["0x.."],"result":{eth_getProof answer}}. The address asked
 * for is the answer's own. A change of the input may not turn one proven account into another.
 * Bytes that are no JSON are taken as one node that is its own root. */
#include "eth/proof.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void one_node(struct ms_span node)
{
    struct eth_hash root = eth_keccak256(node), path = {0};
    struct ms_span value = {NULL, 0};

    for (unsigned i = 0; i < 16; i++) {
        path.b[0] = (uint8_t)(i << 4);
        if (eth_mpt_verify(&root, &path, &node, 1, &value, NULL) == ETH_MPT_VALUE &&
            (value.len == 0 || value.ptr < node.ptr || value.ptr + value.len > node.ptr + node.len))
            abort();
        if (eth_mpt_verify_raw(&root, ms_span_of(path.b, i), &node, 1, &value, NULL) ==
                ETH_MPT_VALUE &&
            value.len == 0)
            abort();
    }
}

static void answer(const json_t *root)
{
    const json_t *keys = json_object_get(root, "keys"), *result = json_object_get(root, "result");
    struct eth_word words[8], values[8];
    struct eth_account account;
    struct eth_addr address;
    struct eth_hash state_root;
    size_t n = json_array_size(keys);

    if (n > MS_ARRAY_LEN(words) ||
        eth_json_fixed(root, "stateRoot", state_root.b, sizeof(state_root.b), NULL) != MS_OK ||
        eth_json_fixed(result, "address", address.b, sizeof(address.b), NULL) != MS_OK)
        return;
    for (size_t i = 0; i < n; i++) {
        const json_t *key = json_array_get(keys, i);
        if (!json_is_string(key) ||
            eth_quantity_parse(ms_span_of(json_string_value(key), json_string_length(key)),
                               ETH_QUANTITY_LAX, &words[i]) != MS_OK)
            return;
    }
    struct ms_diag diag = {0};
    enum ms_err err =
        eth_proof_verify(result, &state_root, &address, words, n, &account, values, &diag);
    if (err == MS_OK && !account.exists && !eth_hash_eq(&account.code_hash, &eth_empty_code_hash))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct ms_json_limits limits = {262144, 16, 4096, MS_JSON_ALLOW_NUL};
    json_t *root = NULL;

    if (ms_json_parse(ms_span_of(data, size), &limits, &root, NULL) == MS_OK) {
        answer(root);
        json_decref(root);
    } else if (size > 0) {
        one_node(ms_span_of(data, size));
    }
    return 0;
}
