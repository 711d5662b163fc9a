/* eth/receipt.c - receipts from JSON to the bytes that are hashed (Yellow Paper 4.3.1, EIP-2718).
 */
#include "eth/receipt.h"

#include "eth/trie.h"

#define BLOOM_BYTES 256
#define TYPE_LAST 4          /* EIP-7702; those known have all the same members */
#define LOG_EXTRA_BYTES 256u /* of an encoded log: all but its data */
#define ENCODED_MAX_BYTES (ETH_RECEIPTS_BODY_MAX_BYTES)

struct reading {
    const json_t *result;
    struct ms_arena *arena;
    const struct eth_addr *const *addresses;
    size_t n_addresses;
    uint64_t block;
    struct eth_hash block_hash;
    uint64_t n_seen; /* logs so far, of whomever */
    struct eth_receipts receipts;
    struct ms_diag *diag;
};

static enum ms_err shape(const struct reading *r, size_t i, const char *what)
{
    return ms_diag_set(r->diag, MS_ERR_RPC_SHAPE, "JSON-RPC: receipt %zu: %s", i, what);
}

static bool is_wanted(const struct reading *r, const struct eth_log *log)
{
    for (size_t i = 0; i < r->n_addresses; i++)
        if (eth_addr_eq(r->addresses[i], &log->address))
            return true;
    return false;
}

static enum ms_err keep_log(struct reading *r, const struct eth_log *log)
{
    struct eth_receipts *all = &r->receipts;

    if (all->logs == NULL)
        all->logs = ms_arena_alloc(r->arena, ETH_RPC_LOGS_MAX, sizeof(*all->logs));
    if (all->logs == NULL)
        return MS_ERR_MEMORY;
    if (all->n_logs == ETH_RPC_LOGS_MAX)
        return ms_diag_set(r->diag, MS_ERR_LIMIT, "more than %d logs in one block",
                           ETH_RPC_LOGS_MAX);
    all->logs[all->n_logs++] = *log;
    return MS_OK;
}

/* rlp([address, [topics], data]), appended. */
static enum ms_err add_log(const struct eth_log *log, struct ms_buf *out)
{
    struct ms_buf topics = MS_BUF_INIT(LOG_EXTRA_BYTES);
    struct ms_buf members = MS_BUF_INIT(log->data.len + LOG_EXTRA_BYTES);

    for (size_t i = 0; i < log->n_topics; i++)
        (void)eth_rlp_add_string(&topics, eth_hash_span(&log->topics[i]));
    (void)eth_rlp_add_string(&members, ms_span_of(log->address.b, ETH_ADDR_BYTES));
    (void)eth_rlp_add_list(&members, ms_buf_span(&topics));
    (void)eth_rlp_add_string(&members, log->data);
    enum ms_err err = ms_buf_err(&topics) != MS_OK ? ms_buf_err(&topics) : ms_buf_err(&members);
    if (err == MS_OK)
        err = eth_rlp_add_list(out, ms_buf_span(&members));
    ms_buf_done(&topics);
    ms_buf_done(&members);
    return err;
}

static enum ms_err add_logs(struct reading *r, size_t i, const json_t *list, struct ms_buf *out)
{
    struct ms_buf members = MS_BUF_INIT(ENCODED_MAX_BYTES);
    enum ms_err err = json_is_array(list) ? MS_OK : shape(r, i, "logs that are no array");

    for (size_t k = 0; err == MS_OK && k < json_array_size(list); k++) {
        struct eth_log log = {.block = r->block, .block_hash = r->block_hash, .index = r->n_seen++};
        err = eth_rpc_log_content(json_array_get(list, k), r->arena, &log, r->diag);
        if (err == MS_OK)
            err = add_log(&log, &members);
        if (err == MS_OK && is_wanted(r, &log))
            err = keep_log(r, &log);
    }
    if (err == MS_OK)
        err = eth_rlp_add_list(out, ms_buf_span(&members));
    ms_buf_done(&members);
    return err;
}

static bool has_member(const json_t *object, const char *name)
{
    const json_t *member = json_object_get(object, name);
    return member != NULL && !json_is_null(member);
}

/* EIP-658: before it the state after the transaction stood in this place. */
static enum ms_err add_status(struct reading *r, size_t i, const json_t *receipt,
                              struct ms_buf *out)
{
    struct eth_hash root;
    uint64_t status = 0;
    enum ms_err err;

    if (!has_member(receipt, "status") && has_member(receipt, "root")) {
        err = eth_json_fixed(receipt, "root", root.b, sizeof(root.b), r->diag);
        return err == MS_OK ? eth_rlp_add_string(out, eth_hash_span(&root)) : err;
    }
    err = eth_json_u64(receipt, "status", &status, r->diag);
    if (err == MS_OK && status > 1)
        err = shape(r, i, "a status that is neither 0 nor 1");
    return err == MS_OK ? eth_rlp_add_u64(out, status) : err;
}

static enum ms_err add_members(struct reading *r, size_t i, const json_t *receipt,
                               struct ms_buf *out)
{
    uint8_t bloom[BLOOM_BYTES];
    struct eth_word gas;

    enum ms_err err = add_status(r, i, receipt, out);
    if (err == MS_OK)
        err = eth_json_word(receipt, "cumulativeGasUsed", ETH_QUANTITY_STRICT, &gas, r->diag);
    if (err == MS_OK)
        err = eth_rlp_add_word(out, &gas);
    if (err == MS_OK)
        err = eth_json_fixed(receipt, "logsBloom", bloom, sizeof(bloom), r->diag);
    if (err == MS_OK)
        err = eth_rlp_add_string(out, ms_span_of(bloom, sizeof(bloom)));
    return err == MS_OK ? add_logs(r, i, json_object_get(receipt, "logs"), out) : err;
}

static enum ms_err read_type(struct reading *r, size_t i, const json_t *receipt, uint64_t *ret_type)
{
    *ret_type = 0; /* nodes from before there were types do not say it */
    if (!has_member(receipt, "type"))
        return MS_OK;
    enum ms_err err = eth_json_u64(receipt, "type", ret_type, r->diag);
    if (err == MS_OK && *ret_type > TYPE_LAST)
        err = ms_diag_set(r->diag, MS_ERR_UNSUPPORTED, "receipt %zu has the unknown type 0x%llx", i,
                          (unsigned long long)*ret_type);
    return err;
}

/* The value in the trie, in the arena. */
static enum ms_err encode(struct reading *r, size_t i, struct ms_span *ret_value)
{
    const json_t *receipt = json_array_get(r->result, i);
    struct ms_buf members = MS_BUF_INIT(ENCODED_MAX_BYTES), value = MS_BUF_INIT(ENCODED_MAX_BYTES);
    uint64_t type = 0;

    enum ms_err err = json_is_object(receipt) ? MS_OK : shape(r, i, "no object");
    if (err == MS_OK)
        err = read_type(r, i, receipt, &type);
    if (err == MS_OK)
        err = add_members(r, i, receipt, &members);
    if (err == MS_OK && type != 0)
        err = ms_buf_add_byte(&value, (uint8_t)type);
    if (err == MS_OK)
        err = eth_rlp_add_list(&value, ms_buf_span(&members));
    const char *kept = err == MS_OK ? ms_arena_strdup(r->arena, ms_buf_span(&value)) : NULL;
    if (err == MS_OK && kept == NULL)
        err = MS_ERR_MEMORY;
    *ret_value = ms_span_of(kept, value.len);
    ms_buf_done(&members);
    ms_buf_done(&value);
    return err;
}

enum ms_err eth_rpc_result_receipts(const json_t *result, uint64_t block,
                                    const struct eth_hash *block_hash,
                                    const struct eth_addr *const *addresses, size_t n_addresses,
                                    struct ms_arena *arena, struct eth_receipts *ret_receipts,
                                    struct ms_diag *diag)
{
    struct reading r = {.result = result,
                        .arena = arena,
                        .addresses = addresses,
                        .n_addresses = n_addresses,
                        .block = block,
                        .block_hash = *block_hash,
                        .receipts = {.n = json_array_size(result)},
                        .diag = diag};

    if (!json_is_array(result))
        return ms_diag_set(diag, MS_ERR_RPC_SHAPE, "JSON-RPC: receipts that are no array");
    if (r.receipts.n > ETH_RECEIPTS_MAX)
        return ms_diag_set(diag, MS_ERR_LIMIT, "%zu receipts, the limit is %d", r.receipts.n,
                           ETH_RECEIPTS_MAX);
    struct ms_span *values = ms_arena_alloc(arena, r.receipts.n + 1, sizeof(*values));
    enum ms_err err = values == NULL ? MS_ERR_MEMORY : MS_OK;
    for (size_t i = 0; err == MS_OK && i < r.receipts.n; i++)
        err = encode(&r, i, &values[i]);
    if (err == MS_OK)
        err = eth_trie_list_root(values, r.receipts.n, &r.receipts.root);
    if (err == MS_OK)
        *ret_receipts = r.receipts;
    return err;
}
