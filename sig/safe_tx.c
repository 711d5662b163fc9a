/* sig/safe_tx.c - transactions of a Safe. */
#include "sig/safe_tx.h"

#include "base/hex.h"
#include "contracts-abi/safe_abi.h"
#include "sig/safe.h"
#include "sig/typed_data.h"

#include <inttypes.h>
#include <stdio.h>

#define INTEGER_MAX ((UINT64_C(1) << 53) - 1) /* Number.MAX_SAFE_INTEGER of ECMAScript */
#define DEPTH_MAX 8
#define VALUES_MAX 512

struct eth_hash msig_safe_tx_struct(const struct msig_safe_tx *tx)
{
    static const struct eth_hash type = SAFE_HASH_TX_TYPE;
    struct eth_keccak k;

    eth_keccak_init(&k);
    msig_enc_hash(&k, &type);
    msig_enc_addr(&k, &tx->to);
    msig_enc_u64(&k, tx->value_wei);
    msig_enc_bytes(&k, tx->data);
    msig_enc_u64(&k, (uint64_t)tx->operation);
    msig_enc_u64(&k, tx->safe_tx_gas);
    msig_enc_u64(&k, tx->base_gas);
    msig_enc_u64(&k, tx->gas_price_wei);
    msig_enc_addr(&k, &tx->gas_token);
    msig_enc_addr(&k, &tx->refund_receiver);
    msig_enc_u64(&k, tx->nonce);
    return eth_keccak_end(&k);
}

struct eth_hash msig_safe_tx_digest(const struct msig_safe_tx *tx)
{
    struct eth_hash domain = msig_safe_domain(tx->chain_id, &tx->safe);
    struct eth_hash message = msig_safe_tx_struct(tx);
    return msig_typed_digest(&domain, &message);
}

/* ---- JSON ---- */
static const struct {
    const char *type, *name;
} members[] = {
    {"address", "to"},       {"uint256", "value"},     {"bytes", "data"},
    {"uint8", "operation"},  {"uint256", "safeTxGas"}, {"uint256", "baseGas"},
    {"uint256", "gasPrice"}, {"address", "gasToken"},  {"address", "refundReceiver"},
    {"uint256", "nonce"},
};

static json_t *decimal(uint64_t value)
{
    char text[24];

    (void)snprintf(text, sizeof(text), "%" PRIu64, value);
    return json_string(text);
}

static json_t *address(const struct eth_addr *addr)
{
    char text[ETH_ADDR_TEXT + 1];

    eth_addr_text(addr, text);
    return json_string(text);
}

static json_t *types_json(void)
{
    json_t *list = json_array();

    for (size_t i = 0; i < MS_ARRAY_LEN(members); i++)
        if (json_array_append_new(list, json_pack("{s:s, s:s}", "name", members[i].name, "type",
                                                  members[i].type)) != 0) {
            json_decref(list);
            return NULL;
        }
    return json_pack("{s:[{s:s, s:s}, {s:s, s:s}], s:o}", "EIP712Domain", "name", "chainId", "type",
                     "uint256", "name", "verifyingContract", "type", "address", "SafeTx", list);
}

json_t *msig_safe_tx_json(const struct msig_safe_tx *tx)
{
    json_t *chain = tx->chain_id <= INTEGER_MAX ? json_integer((json_int_t)tx->chain_id)
                                                : decimal(tx->chain_id);
    json_t *domain =
        json_pack("{s:o, s:o}", "chainId", chain, "verifyingContract", address(&tx->safe));
    json_t *message = json_pack(
        "{s:o, s:o, s:o, s:i, s:o, s:o, s:o, s:o, s:o, s:o}", "to", address(&tx->to), "value",
        decimal(tx->value_wei), "data", ms_json_hex(tx->data), "operation", (int)tx->operation,
        "safeTxGas", decimal(tx->safe_tx_gas), "baseGas", decimal(tx->base_gas), "gasPrice",
        decimal(tx->gas_price_wei), "gasToken", address(&tx->gas_token), "refundReceiver",
        address(&tx->refund_receiver), "nonce", decimal(tx->nonce));

    /* a NULL among the values makes json_pack fail and free the others */
    return json_pack("{s:o, s:o, s:s, s:o}", "types", types_json(), "domain", domain, "primaryType",
                     "SafeTx", "message", message);
}

/* Members of one object; the first fault sticks. What these readers let pass and should not gives
 * another digest than the document's. */
struct reading {
    const json_t *object;
    struct ms_diag *diag;
    enum ms_err err;
};

static void fault(struct reading *r, enum ms_err err, const char *name)
{
    if (r->err == MS_OK)
        r->err =
            ms_diag_set(r->diag, err, "not a Safe transaction we can read: its member %s", name);
}

static uint64_t read_u64(struct reading *r, const char *name, uint64_t max)
{
    const json_t *value = json_object_get(r->object, name);
    struct eth_word word;
    uint64_t number = 0;

    if (json_is_integer(value) && json_integer_value(value) >= 0)
        number = (uint64_t)json_integer_value(value);
    else if (!ms_span_u64(ms_json_member_str(r->object, name), &number) &&
             (eth_quantity_parse(ms_json_member_str(r->object, name), ETH_QUANTITY_LAX, &word) !=
                  MS_OK ||
              !eth_word_to_u64(&word, &number)))
        fault(r, MS_ERR_RANGE, name);
    if (number > max)
        fault(r, MS_ERR_RANGE, name);
    return number;
}

static void read_addr(struct reading *r, const char *name, struct eth_addr *out)
{
    enum eth_checksum checksum;

    if (eth_addr_parse(ms_json_member_str(r->object, name), out, &checksum, NULL) != MS_OK)
        fault(r, MS_ERR_ADDRESS, name);
}

static void read_data(struct reading *r, struct ms_arena *arena, struct ms_span *out)
{
    struct ms_buf bytes = MS_BUF_INIT(MSIG_SAFE_TX_DATA_MAX_BYTES);

    if (r->err == MS_OK) {
        enum ms_err err = eth_data_parse(ms_json_member_str(r->object, "data"), &bytes);
        uint8_t *copy = err == MS_OK ? ms_arena_alloc(arena, bytes.len + 1, 1) : NULL;
        if (err == MS_OK && copy == NULL)
            err = MS_ERR_MEMORY;
        if (err != MS_OK)
            fault(r, err, "data");
        if (copy != NULL && bytes.len > 0)
            memcpy(copy, bytes.ptr, bytes.len);
        *out = ms_span_of(copy, copy == NULL ? 0 : bytes.len);
    }
    ms_buf_done(&bytes);
}

static enum ms_err read_members(const json_t *root, struct ms_arena *arena,
                                struct msig_safe_tx *ret_tx, struct ms_diag *diag)
{
    struct reading r = {.object = json_object_get(root, "domain"), .diag = diag};

    if (!ms_span_eq_str(ms_json_member_str(root, "primaryType"), "SafeTx"))
        fault(&r, MS_ERR_SYNTAX, "primaryType, which is not SafeTx");
    ret_tx->chain_id = read_u64(&r, "chainId", UINT64_MAX);
    read_addr(&r, "verifyingContract", &ret_tx->safe);
    r.object = json_object_get(root, "message");
    read_addr(&r, "to", &ret_tx->to);
    ret_tx->value_wei = read_u64(&r, "value", UINT64_MAX);
    read_data(&r, arena, &ret_tx->data);
    ret_tx->operation = (enum msig_safe_operation)read_u64(&r, "operation", MSIG_SAFE_DELEGATECALL);
    ret_tx->safe_tx_gas = read_u64(&r, "safeTxGas", UINT64_MAX);
    ret_tx->base_gas = read_u64(&r, "baseGas", UINT64_MAX);
    ret_tx->gas_price_wei = read_u64(&r, "gasPrice", UINT64_MAX);
    read_addr(&r, "gasToken", &ret_tx->gas_token);
    read_addr(&r, "refundReceiver", &ret_tx->refund_receiver);
    ret_tx->nonce = read_u64(&r, "nonce", UINT64_MAX);
    return r.err;
}

enum ms_err msig_safe_tx_parse(struct ms_span text, struct ms_arena *arena,
                               struct msig_safe_tx *ret_tx, struct ms_diag *diag)
{
    static const struct ms_json_limits limits = {MSIG_TYPED_MAX_BYTES, DEPTH_MAX, VALUES_MAX, 0};
    struct msig_typed_data typed;
    struct msig_safe_tx tx = {0};
    json_t *root = NULL;

    enum ms_err err = ms_json_parse(text, &limits, &root, diag);
    if (err == MS_OK)
        err = msig_typed_data_hash(root, arena, &typed, diag);
    if (err == MS_OK)
        err = read_members(root, arena, &tx, diag);
    json_decref(root);
    if (err != MS_OK)
        return err;
    struct eth_hash digest = msig_safe_tx_digest(&tx);
    if (!eth_hash_eq(&digest, &typed.digest))
        return ms_diag_set(
            diag, MS_ERR_SYNTAX,
            "other typed data than a SafeTx in the domain of a Safe (1.3.0 and later)");
    *ret_tx = tx;
    return MS_OK;
}
