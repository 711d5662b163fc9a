/* eth/proof.c - accounts and storage by proof. */
#include "eth/proof.h"

#define ACCOUNT_ITEMS 4 /* nonce, balance, storageRoot, codeHash */

struct nodes {
    struct ms_buf bytes; /* the nodes, one behind the other */
    struct ms_span at[ETH_MPT_NODES_MAX];
    size_t n;
};

static enum ms_err fault(struct ms_diag *diag, enum ms_err err, const char *what)
{
    return ms_diag_set(diag, err, "eth_getProof: %s", what);
}

/* Decode an array of DATA. The buffer has its full size from the start, so spans stay valid. */
static enum ms_err nodes_read(const json_t *array, struct nodes *nodes, struct ms_diag *diag)
{
    size_t n = json_array_size(array), total = 0;

    nodes->n = 0;
    ms_buf_reset(&nodes->bytes);
    if (!json_is_array(array))
        return fault(diag, MS_ERR_RPC_SHAPE, "a proof is no array");
    if (n > ETH_MPT_NODES_MAX)
        return fault(diag, MS_ERR_LIMIT, "more than 65 nodes");
    for (size_t i = 0; i < n; i++)
        total += json_string_length(json_array_get(array, i)) / 2;
    if (ms_buf_room(&nodes->bytes, total) == NULL)
        return ms_buf_err(&nodes->bytes);
    for (size_t i = 0; i < n; i++) {
        const json_t *item = json_array_get(array, i);
        size_t start = nodes->bytes.len;
        if (!json_is_string(item))
            return fault(diag, MS_ERR_RPC_SHAPE, "a node is no string");
        if (json_string_length(item) > 2 + 2 * (size_t)ETH_MPT_NODE_MAX_BYTES)
            return fault(diag, MS_ERR_LIMIT, "a node larger than 1 KiB");
        enum ms_err err = eth_data_parse(
            ms_span_of(json_string_value(item), json_string_length(item)), &nodes->bytes);
        if (err == MS_ERR_LIMIT || err == MS_ERR_MEMORY)
            return err;
        if (err != MS_OK)
            return fault(diag, MS_ERR_RPC_SHAPE, "a node is not hexadecimal");
        nodes->at[nodes->n++] = ms_span_of(nodes->bytes.ptr + start, nodes->bytes.len - start);
    }
    return MS_OK;
}

static enum ms_err account_decode(struct ms_span leaf, struct eth_account *ret_account)
{
    struct eth_rlp items[ACCOUNT_ITEMS];
    size_t n = 0;

    if (eth_rlp_list(leaf, items, ACCOUNT_ITEMS, &n) != MS_OK || n != ACCOUNT_ITEMS ||
        eth_rlp_u64(&items[0], &ret_account->nonce) != MS_OK ||
        eth_rlp_word(&items[1], &ret_account->balance_wei) != MS_OK ||
        eth_rlp_fixed(&items[2], ret_account->storage_root.b, ETH_HASH_BYTES) != MS_OK ||
        eth_rlp_fixed(&items[3], ret_account->code_hash.b, ETH_HASH_BYTES) != MS_OK)
        return MS_ERR_PROOF;
    ret_account->exists = true;
    return MS_OK;
}

/* Where no account is, some clients say zero and some the hash of nothing. "0x0" is a zero hash
 * too. */
static bool hash_of_nothing(const json_t *answer, const char *name, const struct eth_hash *empty)
{
    struct eth_word word, want = eth_word_of_hash(empty);

    if (eth_quantity_parse(ms_json_member_str(answer, name), ETH_QUANTITY_LAX, &word) != MS_OK)
        return false;
    return eth_word_is_zero(&word) || eth_word_eq(&word, &want);
}

static enum ms_err compare_hashes(const json_t *answer, const struct eth_account *account,
                                  struct ms_diag *diag)
{
    struct eth_hash hash;

    if (!account->exists) {
        if (!hash_of_nothing(answer, "codeHash", &eth_empty_code_hash) ||
            !hash_of_nothing(answer, "storageHash", &eth_empty_trie_root))
            return fault(diag, MS_ERR_PROOF, "a hash for an account that does not exist");
        return MS_OK;
    }
    enum ms_err err = eth_json_fixed(answer, "codeHash", hash.b, sizeof(hash.b), diag);
    if (err != MS_OK)
        return err;
    if (!eth_hash_eq(&hash, &account->code_hash))
        return fault(diag, MS_ERR_PROOF, "codeHash is not the proven one");
    err = eth_json_fixed(answer, "storageHash", hash.b, sizeof(hash.b), diag);
    if (err != MS_OK)
        return err;
    if (!eth_hash_eq(&hash, &account->storage_root))
        return fault(diag, MS_ERR_PROOF, "storageHash is not the proven one");
    return MS_OK;
}

static enum ms_err compare_account(const json_t *answer, const struct eth_addr *address,
                                   const struct eth_account *account, struct ms_diag *diag)
{
    struct eth_addr said;
    struct eth_word balance;
    uint64_t nonce = 0;

    enum ms_err err = eth_json_fixed(answer, "address", said.b, sizeof(said.b), diag);
    if (err != MS_OK)
        return err;
    if (!eth_addr_eq(&said, address))
        return fault(diag, MS_ERR_PROOF, "the answer is about another address");
    err = eth_json_word(answer, "balance", ETH_QUANTITY_STRICT, &balance, diag);
    if (err != MS_OK)
        return err;
    err = eth_json_u64(answer, "nonce", &nonce, diag);
    if (err != MS_OK)
        return err;
    if (!eth_word_eq(&balance, &account->balance_wei))
        return fault(diag, MS_ERR_PROOF, "balance is not the proven one");
    if (nonce != account->nonce)
        return fault(diag, MS_ERR_PROOF, "nonce is not the proven one");
    return compare_hashes(answer, account, diag);
}

static enum ms_err verify_account(const json_t *answer, const struct eth_hash *state_root,
                                  const struct eth_addr *address, struct nodes *nodes,
                                  struct eth_account *ret_account, struct ms_diag *diag)
{
    struct eth_hash path = eth_keccak256(ms_span_of(address->b, ETH_ADDR_BYTES));
    struct ms_span leaf;

    *ret_account =
        (struct eth_account){.storage_root = eth_empty_trie_root, .code_hash = eth_empty_code_hash};
    enum ms_err err = nodes_read(json_object_get(answer, "accountProof"), nodes, diag);
    if (err != MS_OK)
        return err;
    switch (eth_mpt_verify(state_root, &path, nodes->at, nodes->n, &leaf, diag)) {
    case ETH_MPT_REFUSED:
        return MS_ERR_PROOF;
    case ETH_MPT_VALUE:
        if (account_decode(leaf, ret_account) != MS_OK)
            return fault(diag, MS_ERR_PROOF, "the proven account is malformed");
        break;
    case ETH_MPT_ABSENT:
        break;
    }
    return compare_account(answer, address, ret_account, diag);
}

/* A slot's leaf is an RLP string of 1 to 32 bytes without leading zeros; zero is never stored. */
static enum ms_err slot_decode(struct ms_span leaf, struct eth_word *ret_value)
{
    struct eth_rlp item;

    if (eth_rlp_one(leaf, &item) != MS_OK || eth_rlp_word(&item, ret_value) != MS_OK ||
        eth_word_is_zero(ret_value))
        return MS_ERR_PROOF;
    return MS_OK;
}

static enum ms_err verify_slot(const json_t *item, const struct eth_hash *storage_root,
                               const struct eth_word *key, struct nodes *nodes,
                               struct eth_word *ret_value, struct ms_diag *diag)
{
    struct eth_hash path = eth_keccak256(eth_word_span(key));
    struct eth_word said_key, said_value;
    struct ms_span leaf;

    enum ms_err err = eth_json_word(item, "key", ETH_QUANTITY_LAX, &said_key, diag);
    if (err != MS_OK)
        return err;
    err = eth_json_word(item, "value", ETH_QUANTITY_LAX, &said_value, diag);
    if (err != MS_OK)
        return err;
    if (!eth_word_eq(&said_key, key))
        return fault(diag, MS_ERR_PROOF, "the answer is about another storage key");
    err = nodes_read(json_object_get(item, "proof"), nodes, diag);
    if (err != MS_OK)
        return err;
    *ret_value = (struct eth_word){0};
    switch (eth_mpt_verify(storage_root, &path, nodes->at, nodes->n, &leaf, diag)) {
    case ETH_MPT_REFUSED:
        return MS_ERR_PROOF;
    case ETH_MPT_VALUE:
        if (slot_decode(leaf, ret_value) != MS_OK)
            return fault(diag, MS_ERR_PROOF, "the proven storage value is malformed");
        break;
    case ETH_MPT_ABSENT:
        break;
    }
    if (!eth_word_eq(&said_value, ret_value))
        return fault(diag, MS_ERR_PROOF, "a storage value is not the proven one");
    return MS_OK;
}

enum ms_err eth_proof_verify(const json_t *answer, const struct eth_hash *state_root,
                             const struct eth_addr *address, const struct eth_word *keys,
                             size_t n_keys, struct eth_account *ret_account,
                             struct eth_word *ret_values, struct ms_diag *diag)
{
    struct nodes nodes = {
        .bytes = MS_BUF_INIT((size_t)ETH_MPT_NODES_MAX * (ETH_MPT_NODE_MAX_BYTES + 1))};
    const json_t *slots = json_object_get(answer, "storageProof");
    struct eth_word values[ETH_PROOF_KEYS_MAX];
    struct eth_account account;

    if (n_keys > ETH_PROOF_KEYS_MAX)
        return fault(diag, MS_ERR_LIMIT, "too many storage keys");
    if (!json_is_array(slots))
        return fault(diag, MS_ERR_RPC_SHAPE, "no array of storage proofs");
    if (json_array_size(slots) != n_keys)
        return fault(diag, MS_ERR_PROOF, "not one storage proof for each key");
    enum ms_err err = verify_account(answer, state_root, address, &nodes, &account, diag);
    for (size_t i = 0; i < n_keys && err == MS_OK; i++)
        err = verify_slot(json_array_get(slots, i), &account.storage_root, &keys[i], &nodes,
                          &values[i], diag);
    ms_buf_done(&nodes.bytes);
    if (err != MS_OK)
        return err;
    *ret_account = account;
    if (n_keys > 0)
        memcpy(ret_values, values, n_keys * sizeof(values[0]));
    return MS_OK;
}
