/* Safe blobs: what the contract said of each, which codes it gave, and the same said of them here.
 *
 * The chain is played from the case: approved_by called approveHash, contract_owners names what
 * each contract does when it is asked. */
#include "sig/safe.h"
#include "sig/safe_tx.h"
#include "sig/secp.h"
#include "tests/support/vectors.h"

#define OWNERS_MAX 256

/* What the case hands to the check, and what the chain would answer. */
struct game {
    const json_t *c;
    struct ms_buf blob;
    struct eth_addr owners[OWNERS_MAX];
    struct msig_safe_check check;
    enum msig_safe_answer answers[MSIG_SAFE_PARTS_MAX];
};

static bool read_addr(const char *text, struct eth_addr *out)
{
    enum eth_checksum checksum;
    return eth_addr_parse(ms_span_str(text), out, &checksum, NULL) == MS_OK;
}

static bool text_is(const char *text, const struct eth_addr *addr)
{
    struct eth_addr other;
    return text != NULL && read_addr(text, &other) && eth_addr_eq(addr, &other);
}

static bool read_hash(const json_t *c, const char *name, struct eth_hash *out)
{
    struct ms_buf hash = MS_BUF_INIT(64);
    bool ok = vec_hex(vec_str(c, name), &hash) && hash.len == ETH_HASH_BYTES;
    if (ok)
        memcpy(out->b, hash.ptr, ETH_HASH_BYTES);
    ms_buf_done(&hash);
    return ok;
}

static bool approved(const json_t *c, const struct eth_addr *owner)
{
    size_t i;
    const json_t *text;

    json_array_foreach(json_object_get(c, "approved_by"), i,
                       text) if (text_is(json_string_value(text), owner)) return true;
    return false;
}

/* The contract that checks a key: it takes one signature of the hash, by that key. */
static enum msig_safe_answer ask_key(const struct game *g, const struct msig_safe_part *part)
{
    struct eth_addr signer;

    if (part->data.len != MSIG_BYTES ||
        !msig_ecrecover(&g->check.hash, part->data.ptr, part->data.ptr[64], &signer, NULL))
        return MSIG_SAFE_NO;
    return text_is(vec_str(g->c, "key_contract_signer"), &signer) ? MSIG_SAFE_YES : MSIG_SAFE_NO;
}

static enum msig_safe_answer ask_contract(const struct game *g, const struct msig_safe_part *part)
{
    const json_t *contracts = json_object_get(g->c, "contract_owners");

    if (text_is(vec_str(contracts, "accepts"), &part->owner))
        return MSIG_SAFE_YES;
    if (text_is(vec_str(contracts, "refuses"), &part->owner))
        return MSIG_SAFE_NO;
    if (text_is(vec_str(contracts, "checks a key"), &part->owner))
        return ask_key(g, part);
    if (text_is(vec_str(contracts, "reverts"), &part->owner) ||
        text_is(vec_str(contracts, "answers nothing"), &part->owner) ||
        text_is(vec_str(contracts, "no code"), &part->owner))
        return MSIG_SAFE_FAILED;
    return MSIG_SAFE_YES; /* the stranger of "contract that accepts but is no owner" */
}

static enum msig_safe_answer ask(const struct game *g, const struct msig_safe_part *part)
{
    switch (part->kind) {
    case MSIG_SAFE_APPROVED:
        return approved(g->c, &part->owner) ? MSIG_SAFE_YES : MSIG_SAFE_NO;
    case MSIG_SAFE_CONTRACT:
        return ask_contract(g, part);
    case MSIG_SAFE_NONE:
    case MSIG_SAFE_ECDSA:
    case MSIG_SAFE_ETH_SIGN:
        break;
    }
    return MSIG_SAFE_UNKNOWN;
}

static bool read_owners(struct game *g)
{
    size_t i;
    const json_t *text;

    json_array_foreach(json_object_get(g->c, "owners"), i, text)
    {
        if (i >= OWNERS_MAX || !read_addr(json_string_value(text), &g->owners[i]))
            return false;
        g->check.n_owners = i + 1;
    }
    g->check.owners = g->owners;
    return true;
}

/* The hash that the owners signed. For isValidSignature the Safe makes it of its argument; where
 * the case tells it, ours must be the same. */
static bool read_signed_hash(struct game *g)
{
    struct eth_hash value, want;
    struct eth_addr safe;

    if (strcmp(vec_str(g->c, "kind"), "eip1271") != 0)
        return read_hash(g->c, "dataHash", &g->check.hash);
    if (!read_hash(g->c, "messageHash", &value) || !read_addr(vec_str(g->c, "safe"), &safe))
        return false;
    uint64_t chain = (uint64_t)json_integer_value(json_object_get(g->c, "chain_id"));
    g->check.hash = msig_safe_message(chain, &safe, &value);
    g->check.message = true;
    g->check.signed_message = MSIG_SAFE_NO; /* nobody signed one on chain */
    return json_object_get(g->c, "safe_message_hash") == NULL ||
           (read_hash(g->c, "safe_message_hash", &want) && eth_hash_eq(&want, &g->check.hash));
}

/* A transaction's hash is that of its preimage: 0x19 0x01, the Safe's domain, the struct. The rows
 * that hand another hash to the check have no preimage. */
static bool preimage_fits(const struct game *g)
{
    struct ms_buf preimage = MS_BUF_INIT(128);
    struct eth_addr safe;
    bool ok =
        json_object_get(g->c, "preimage") == NULL || vec_hex(vec_str(g->c, "preimage"), &preimage);

    if (ok && preimage.len > 0) {
        uint64_t chain = (uint64_t)json_integer_value(json_object_get(g->c, "chain_id"));
        struct eth_hash hash = eth_keccak256(ms_buf_span(&preimage));
        ok = preimage.len == MSIG_PREIMAGE_BYTES && read_addr(vec_str(g->c, "safe"), &safe) &&
             eth_hash_eq(&hash, &g->check.hash);
        struct eth_hash domain = msig_safe_domain(chain, &safe);
        ok = ok && memcmp(domain.b, preimage.ptr + 2, ETH_HASH_BYTES) == 0;
    }
    ms_buf_done(&preimage);
    return ok;
}

static bool read_number(const json_t *tx, const char *name, uint64_t *out)
{
    const json_t *value = json_object_get(tx, name);

    *out = (uint64_t)json_integer_value(value);
    return json_is_integer(value) || ms_span_u64(ms_json_member_str(tx, name), out);
}

/* The hash that the contract made of a transaction is the one that we make of its members. */
static bool tx_fits(const struct game *g)
{
    const json_t *t = json_object_get(g->c, "tx");
    struct ms_buf data = MS_BUF_INIT(65536);
    struct msig_safe_tx tx = {0};
    uint64_t operation = 0;

    const char *preimage = vec_str(g->c, "preimage");
    if (t == NULL || preimage == NULL || strcmp(preimage, "0x") == 0)
        return true; /* the row hands another hash to the check */
    bool ok =
        vec_hex(vec_str(t, "data"), &data) && read_addr(vec_str(g->c, "safe"), &tx.safe) &&
        read_addr(vec_str(t, "to"), &tx.to) && read_addr(vec_str(t, "gasToken"), &tx.gas_token) &&
        read_addr(vec_str(t, "refundReceiver"), &tx.refund_receiver) &&
        read_number(g->c, "chain_id", &tx.chain_id) && read_number(t, "value", &tx.value_wei) &&
        read_number(t, "operation", &operation) && read_number(t, "safeTxGas", &tx.safe_tx_gas) &&
        read_number(t, "baseGas", &tx.base_gas) && read_number(t, "gasPrice", &tx.gas_price_wei) &&
        read_number(t, "nonce", &tx.nonce);
    tx.operation = (enum msig_safe_operation)operation;
    tx.data = ms_buf_span(&data);
    struct eth_hash hash = msig_safe_tx_digest(&tx);
    ms_buf_done(&data);
    return ok && eth_hash_eq(&hash, &g->check.hash);
}

/* All that the chain would be asked, whether the verdict came to need it or not. */
static void play_chain(struct game *g, const struct msig_safe_result *result)
{
    for (size_t i = 0; i < result->n_parts; i++)
        g->answers[i] = ask(g, &result->parts[i]);
    g->check.answers = g->answers;
}

static bool reason_is(const char *want, enum msig_safe_reason reason)
{
    if (strcmp(want, "boom") == 0) /* the text with which a contract of the case reverts */
        want = "revert";
    return strcmp(want, msig_safe_reason_code(reason)) == 0;
}

static bool malleated(const json_t *c)
{
    return strstr(vec_str(c, "what"), "high s") != NULL;
}

static void judge(struct vec_count *count, struct game *g)
{
    bool valid = strcmp(vec_str(g->c, "result"), "valid") == 0;
    const char *revert = vec_str(g->c, "revert"), *id = vec_str(g->c, "id");
    struct msig_safe_result early, result, strict;

    msig_safe_check(&g->check, &early);
    play_chain(g, &early);
    msig_safe_check(&g->check, &result);
    g->check.low_s = true;
    msig_safe_check(&g->check, &strict);

    /* a refusal without the chain is final; a yes may not come before the chain's */
    bool ok = early.verdict != MSIG_SAFE_INVALID || !valid;
    ok = ok && (early.verdict != MSIG_SAFE_VALID || valid);
    ok = ok && result.verdict == (valid ? MSIG_SAFE_VALID : MSIG_SAFE_INVALID);
    ok = ok && (valid || revert == NULL || reason_is(revert, result.reason));
    if (malleated(g->c))
        ok = ok && strict.verdict == MSIG_SAFE_INVALID && strict.reason == MSIG_SAFE_HIGH_S;
    else
        ok = ok && strict.verdict == result.verdict && strict.reason == result.reason;
    vec_check(count, ok, id,
              "%s: want %s %s; got %d without the chain, %d %s with it, %d %s strict",
              vec_str(g->c, "what"), vec_str(g->c, "result"), revert == NULL ? "" : revert,
              (int)early.verdict, (int)result.verdict, msig_safe_reason_code(result.reason),
              (int)strict.verdict, msig_safe_reason_code(strict.reason));
}

static void blob_case(struct vec_count *count, const json_t *c)
{
    struct game g = {.c = c, .blob = MS_BUF_INIT(MSIG_SAFE_BLOB_MAX_BYTES)};

    g.check.threshold = (uint64_t)json_integer_value(json_object_get(c, "threshold"));
    if (!vec_hex(vec_str(c, "signatures"), &g.blob) || !read_owners(&g) || !read_signed_hash(&g)) {
        vec_check(count, false, vec_str(c, "id"), "cannot read the case, or another message hash");
    } else if (!preimage_fits(&g)) {
        vec_check(count, false, vec_str(c, "id"), "preimage: another domain or hash");
    } else if (!tx_fits(&g)) {
        vec_check(count, false, vec_str(c, "id"), "transaction: another hash");
    } else {
        g.check.blob = ms_buf_span(&g.blob);
        judge(count, &g);
    }
    ms_buf_done(&g.blob);
}

int main(void)
{
    return vec_run("safe", "safe_signatures.json", blob_case) ? 0 : 1;
}
