/* eth/header.c - one table of header fields drives both directions. */
#include "eth/header.h"

enum field_shape {
    FIELD_UINT = 0, /* minimal big-endian */
    FIELD_FIXED,    /* exactly `bytes` bytes */
    FIELD_BYTES,    /* at most `bytes` bytes */
};

/* Yellow Paper 4.3, then the EIPs named. */
static const struct {
    const char *name;
    enum field_shape shape;
    size_t bytes;
} fields[ETH_HEADER_ITEMS_KNOWN] = {
    {"parentHash", FIELD_FIXED, 32},
    {"sha3Uncles", FIELD_FIXED, 32},
    {"miner", FIELD_FIXED, 20},
    {"stateRoot", FIELD_FIXED, 32},
    {"transactionsRoot", FIELD_FIXED, 32},
    {"receiptsRoot", FIELD_FIXED, 32},
    {"logsBloom", FIELD_FIXED, 256},
    {"difficulty", FIELD_UINT, 32},
    {"number", FIELD_UINT, 8},
    {"gasLimit", FIELD_UINT, 32},
    {"gasUsed", FIELD_UINT, 32},
    {"timestamp", FIELD_UINT, 8},
    {"extraData", FIELD_BYTES, 1024},
    {"mixHash", FIELD_FIXED, 32},
    {"nonce", FIELD_FIXED, 8},
    {"baseFeePerGas", FIELD_UINT, 32},          /* London, EIP-1559 */
    {"withdrawalsRoot", FIELD_FIXED, 32},       /* Shanghai, EIP-4895 */
    {"blobGasUsed", FIELD_UINT, 32},            /* Cancun, EIP-4844 */
    {"excessBlobGas", FIELD_UINT, 32},          /* Cancun, EIP-4844 */
    {"parentBeaconBlockRoot", FIELD_FIXED, 32}, /* Cancun, EIP-4788 */
    {"requestsHash", FIELD_FIXED, 32},          /* Prague, EIP-7685 */
    {"blockAccessListHash", FIELD_FIXED, 32},   /* Amsterdam, EIP-7928 */
};

enum {
    ITEM_PARENT_HASH = 0,
    ITEM_STATE_ROOT = 3,
    ITEM_RECEIPTS_ROOT = 5,
    ITEM_NUMBER = 8,
    ITEM_TIMESTAMP = 11,
};

static bool item_has_shape(const struct eth_rlp *item, size_t i)
{
    struct eth_word word;

    if (item->kind != ETH_RLP_STRING)
        return false;
    if (i >= ETH_HEADER_ITEMS_KNOWN)
        return true;
    switch (fields[i].shape) {
    case FIELD_UINT:
        return item->payload.len <= fields[i].bytes && eth_rlp_word(item, &word) == MS_OK;
    case FIELD_FIXED:
        return item->payload.len == fields[i].bytes;
    case FIELD_BYTES:
        return item->payload.len <= fields[i].bytes;
    }
    return false;
}

enum ms_err eth_header_parse(struct ms_span rlp, struct eth_header *ret_header,
                             struct ms_diag *diag)
{
    struct eth_rlp items[ETH_HEADER_ITEMS_MAX];
    struct eth_header header = {0};

    if (rlp.len > ETH_HEADER_RLP_MAX_BYTES)
        return ms_diag_set(diag, MS_ERR_LIMIT, "block header of %zu bytes, the limit is %d",
                           rlp.len, ETH_HEADER_RLP_MAX_BYTES);
    enum ms_err err = eth_rlp_list(rlp, items, ETH_HEADER_ITEMS_MAX, &header.n_items);
    if (err != MS_OK)
        return ms_diag_set(diag, err, "block header: %s", ms_err_text(err));
    if (header.n_items < ETH_HEADER_ITEMS_MIN)
        return ms_diag_set(diag, MS_ERR_HEADER, "block header of %zu items", header.n_items);
    for (size_t i = 0; i < header.n_items; i++)
        if (!item_has_shape(&items[i], i))
            return ms_diag_set(diag, MS_ERR_HEADER, "block header: item %zu (%s) is malformed", i,
                               i < ETH_HEADER_ITEMS_KNOWN ? fields[i].name : "unknown");

    header.hash = eth_keccak256(rlp);
    memcpy(header.parent_hash.b, items[ITEM_PARENT_HASH].payload.ptr, ETH_HASH_BYTES);
    memcpy(header.state_root.b, items[ITEM_STATE_ROOT].payload.ptr, ETH_HASH_BYTES);
    memcpy(header.receipts_root.b, items[ITEM_RECEIPTS_ROOT].payload.ptr, ETH_HASH_BYTES);
    if (eth_rlp_u64(&items[ITEM_NUMBER], &header.number) != MS_OK ||
        eth_rlp_u64(&items[ITEM_TIMESTAMP], &header.timestamp_s) != MS_OK)
        return ms_diag_set(diag, MS_ERR_HEADER, "block header: number or timestamp is malformed");
    *ret_header = header;
    return MS_OK;
}

enum ms_err eth_header_verify(struct ms_span rlp, const struct eth_hash *hash,
                              struct eth_header *ret_header, struct ms_diag *diag)
{
    struct eth_header header;
    enum ms_err err = eth_header_parse(rlp, &header, diag);

    if (err != MS_OK)
        return err;
    if (!eth_hash_eq(&header.hash, hash))
        return ms_diag_set(diag, MS_ERR_HEADER,
                           "block header %llu does not hash to the expected hash",
                           (unsigned long long)header.number);
    *ret_header = header;
    return MS_OK;
}

/* Whether a member is there; JSON null counts as missing. */
static bool has_member(const json_t *block, size_t i)
{
    const json_t *member = json_object_get(block, fields[i].name);
    return member != NULL && !json_is_null(member);
}

static enum ms_err add_uint(const json_t *block, size_t i, struct ms_buf *out, struct ms_diag *diag)
{
    struct eth_word word;
    enum ms_err err = eth_json_word(block, fields[i].name, ETH_QUANTITY_STRICT, &word, diag);

    return err != MS_OK ? err : eth_rlp_add_word(out, &word);
}

static enum ms_err add_bytes(const json_t *block, size_t i, struct ms_buf *out,
                             struct ms_diag *diag)
{
    struct ms_buf bytes = MS_BUF_INIT(fields[i].bytes);
    enum ms_err err = eth_json_data(block, fields[i].name, &bytes, diag);

    if (err == MS_OK && fields[i].shape == FIELD_FIXED && bytes.len != fields[i].bytes)
        err = ms_diag_set(diag, MS_ERR_RPC_SHAPE, "member \"%s\": %zu bytes instead of %zu",
                          fields[i].name, bytes.len, fields[i].bytes);
    if (err == MS_OK)
        err = eth_rlp_add_string(out, ms_buf_span(&bytes));
    ms_buf_done(&bytes);
    return err;
}

static enum ms_err add_field(const json_t *block, size_t i, struct ms_buf *out,
                             struct ms_diag *diag)
{
    switch (fields[i].shape) {
    case FIELD_UINT:
        return add_uint(block, i, out, diag);
    case FIELD_FIXED:
    case FIELD_BYTES:
        return add_bytes(block, i, out, diag);
    }
    return MS_ERR_INTERNAL;
}

enum ms_err eth_header_encode_json(const json_t *block, struct ms_buf *out, struct ms_diag *diag)
{
    struct ms_buf payload = MS_BUF_INIT(ETH_HEADER_RLP_MAX_BYTES);
    size_t n = ETH_HEADER_ITEMS_MIN;
    enum ms_err err = MS_OK;

    if (!json_is_object(block))
        return ms_diag_set(diag, MS_ERR_RPC_SHAPE, "the block is no object");
    while (n < ETH_HEADER_ITEMS_KNOWN && has_member(block, n))
        n++;
    for (size_t i = n; i < ETH_HEADER_ITEMS_KNOWN; i++)
        if (has_member(block, i))
            return ms_diag_set(diag, MS_ERR_HEADER, "block header has \"%s\" but no \"%s\"",
                               fields[i].name, fields[n].name);
    for (size_t i = 0; i < n && err == MS_OK; i++)
        err = add_field(block, i, &payload, diag);
    if (err == MS_OK)
        err = eth_rlp_add_list(out, ms_buf_span(&payload));
    ms_buf_done(&payload);
    return err;
}

enum ms_err eth_header_verify_json(const json_t *block, struct eth_header *ret_header,
                                   struct ms_diag *diag)
{
    struct ms_buf rlp = MS_BUF_INIT(ETH_HEADER_RLP_MAX_BYTES);
    struct eth_hash hash;

    enum ms_err err = eth_header_encode_json(block, &rlp, diag);
    if (err == MS_OK)
        err = eth_json_fixed(block, "hash", hash.b, sizeof(hash.b), diag);
    if (err == MS_OK)
        err = eth_header_verify(ms_buf_span(&rlp), &hash, ret_header, diag);
    ms_buf_done(&rlp);
    return err;
}
