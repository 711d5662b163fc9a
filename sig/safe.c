/* sig/safe.c - Safe messages and blobs. The checks and their order are those of Safe.sol,
 * checkNSignatures; the numbers are ethereum.md's appendix A.3. */
#include "sig/safe.h"

#include "sig/secp.h"

#define PART_BYTES 65
#define V_OFFSET_ETH_SIGN 4

/* keccak256("EIP712Domain(uint256 chainId,address verifyingContract)") */
static const struct eth_hash domain_type = {{0x47, 0xe7, 0x95, 0x34, 0xa2, 0x45, 0x95, 0x2e,
                                             0x8b, 0x16, 0x89, 0x3a, 0x33, 0x6b, 0x85, 0xa3,
                                             0xd9, 0xea, 0x9f, 0xa8, 0xc5, 0x73, 0xf3, 0xd8,
                                             0x03, 0xaf, 0xb9, 0x2a, 0x79, 0x46, 0x92, 0x18}};
/* keccak256("SafeMessage(bytes message)") */
static const struct eth_hash message_type = {{0x60, 0xb3, 0xcb, 0xf8, 0xb4, 0xa2, 0x23, 0xd6,
                                              0x8d, 0x64, 0x1b, 0x3b, 0x6d, 0xdf, 0x9a, 0x29,
                                              0x8e, 0x7f, 0x33, 0x71, 0x0c, 0xf3, 0xd3, 0xa9,
                                              0xd1, 0x14, 0x6b, 0x5a, 0x61, 0x50, 0xfb, 0xca}};

struct eth_hash msig_safe_domain(uint64_t chain_id, const struct eth_addr *safe)
{
    struct eth_keccak k;

    eth_keccak_init(&k);
    msig_enc_hash(&k, &domain_type);
    msig_enc_u64(&k, chain_id);
    msig_enc_addr(&k, safe);
    return eth_keccak_end(&k);
}

struct eth_hash msig_safe_message_struct(const struct eth_hash *value)
{
    struct eth_keccak k;

    eth_keccak_init(&k);
    msig_enc_hash(&k, &message_type);
    msig_enc_bytes(&k, eth_hash_span(value));
    return eth_keccak_end(&k);
}

struct eth_hash msig_safe_message(uint64_t chain_id, const struct eth_addr *safe,
                                  const struct eth_hash *value)
{
    struct eth_hash domain = msig_safe_domain(chain_id, safe);
    struct eth_hash message = msig_safe_message_struct(value);
    return msig_typed_digest(&domain, &message);
}

static const struct {
    const char *code, *text;
} reasons[] = {
#define REASON_ROW(name, code, text) {code, text},
    MSIG_SAFE_REASON_MAP(REASON_ROW)
#undef REASON_ROW
};

const char *msig_safe_reason_code(enum msig_safe_reason reason)
{
    return (size_t)reason < MS_ARRAY_LEN(reasons) ? reasons[reason].code : "?";
}

const char *msig_safe_reason_text(enum msig_safe_reason reason)
{
    return (size_t)reason < MS_ARRAY_LEN(reasons) ? reasons[reason].text : "?";
}

/* ---- one part ---- */
/* What the chain answered, or would have to. */
static enum msig_safe_reason answered(struct msig_safe_part *part, enum msig_safe_answer answer,
                                      enum msig_safe_reason no)
{
    switch (answer) {
    case MSIG_SAFE_UNKNOWN:
        part->ask = true;
        return MSIG_SAFE_NO_REASON;
    case MSIG_SAFE_YES:
        return MSIG_SAFE_NO_REASON;
    case MSIG_SAFE_NO:
        return no;
    case MSIG_SAFE_FAILED:
        return MSIG_SAFE_REVERT;
    }
    return MSIG_SAFE_REVERT;
}

/* The owner is the low 20 bytes of the first word: the contract does not look at the others. */
static void claimed_owner(const uint8_t *bytes, struct msig_safe_part *part)
{
    memcpy(part->owner.b, bytes + ETH_WORD_BYTES - ETH_ADDR_BYTES, ETH_ADDR_BYTES);
}

/* Where position + 32 + length wraps around 2^256 the contract's checked addition reverts. A word
 * whose upper 24 bytes are all ones may do so; a lesser one is merely behind the end. */
static bool wraps(const struct eth_word *word, uint64_t addend)
{
    struct eth_word sum = eth_word_add_u64(*word, addend);
    return memcmp(sum.b, word->b, ETH_WORD_BYTES) < 0;
}

/* The dynamic part at the offset that the second word gives: a length word and that many bytes. */
static enum msig_safe_reason contract_data(const struct msig_safe_check *check,
                                           const uint8_t *bytes, struct msig_safe_part *part)
{
    struct ms_span blob = check->blob;
    struct eth_word word;
    uint64_t at, len;

    memcpy(word.b, bytes + ETH_WORD_BYTES, ETH_WORD_BYTES);
    if (wraps(&word, ETH_WORD_BYTES))
        return MSIG_SAFE_REVERT;
    if (!eth_word_to_u64(&word, &at))
        return MSIG_SAFE_GS022;
    if (at < check->threshold * PART_BYTES)
        return MSIG_SAFE_GS021;
    if (at > blob.len || blob.len - at < ETH_WORD_BYTES)
        return MSIG_SAFE_GS022;
    memcpy(word.b, blob.ptr + at, ETH_WORD_BYTES);
    if (wraps(&word, at + ETH_WORD_BYTES))
        return MSIG_SAFE_REVERT;
    if (!eth_word_to_u64(&word, &len) || len > blob.len - at - ETH_WORD_BYTES)
        return MSIG_SAFE_GS023;
    part->data = ms_span_of(blob.ptr + at + ETH_WORD_BYTES, (size_t)len);
    return MSIG_SAFE_NO_REASON;
}

/* A signature of the hash; one that recovers to nobody leaves the zero address, which is never an
 * owner. */
static enum msig_safe_reason recovered_owner(const struct msig_safe_check *check,
                                             const struct eth_hash *hash, const uint8_t *bytes,
                                             uint8_t v, struct msig_safe_part *part)
{
    bool high_s = false;

    if (!msig_ecrecover(hash, bytes, v, &part->owner, &high_s))
        return MSIG_SAFE_NO_REASON;
    return high_s && check->low_s ? MSIG_SAFE_HIGH_S : MSIG_SAFE_NO_REASON;
}

static enum msig_safe_reason read_part(const struct msig_safe_check *check, size_t i,
                                       struct msig_safe_part *part)
{
    const uint8_t *bytes = check->blob.ptr + i * PART_BYTES;
    enum msig_safe_answer answer = check->answers == NULL ? MSIG_SAFE_UNKNOWN : check->answers[i];
    enum msig_safe_reason reason;
    uint8_t v = bytes[64];

    if (v == 0) {
        part->kind = MSIG_SAFE_CONTRACT;
        claimed_owner(bytes, part);
        reason = contract_data(check, bytes, part);
        return reason != MSIG_SAFE_NO_REASON ? reason : answered(part, answer, MSIG_SAFE_GS024);
    }
    if (v == 1) {
        part->kind = MSIG_SAFE_APPROVED;
        claimed_owner(bytes, part);
        return answered(part, answer, MSIG_SAFE_GS025);
    }
    if (v > 30) {
        struct eth_hash message = msig_personal_hash(eth_hash_span(&check->hash));
        part->kind = MSIG_SAFE_ETH_SIGN;
        return recovered_owner(check, &message, bytes, (uint8_t)(v - V_OFFSET_ETH_SIGN), part);
    }
    part->kind = MSIG_SAFE_ECDSA;
    return recovered_owner(check, &check->hash, bytes, v, part);
}

static bool is_owner(const struct msig_safe_check *check, const struct eth_addr *addr)
{
    /* the head of the Safe's linked list of owners, in which it is its own kind of entry */
    static const struct eth_addr sentinel = {{[ETH_ADDR_BYTES - 1] = 1}};

    if (eth_addr_is_zero(addr) || eth_addr_eq(addr, &sentinel))
        return false;
    if (check->owners_unknown)
        return true;
    for (size_t i = 0; i < check->n_owners; i++)
        if (eth_addr_eq(addr, &check->owners[i]))
            return true;
    return false;
}

/* ---- the blob ---- */
static enum msig_safe_reason walk(const struct msig_safe_check *check, struct msig_safe_result *out)
{
    struct eth_addr last = {{0}};

    for (size_t i = 0; i < check->threshold; i++) {
        struct msig_safe_part *part = &out->parts[i];
        enum msig_safe_reason reason = read_part(check, i, part);
        out->n_parts = i + 1;
        if (reason != MSIG_SAFE_NO_REASON)
            return reason;
        if (memcmp(part->owner.b, last.b, ETH_ADDR_BYTES) <= 0 || !is_owner(check, &part->owner))
            return MSIG_SAFE_GS026;
        last = part->owner;
    }
    return MSIG_SAFE_NO_REASON;
}

static enum msig_safe_reason evaluate(const struct msig_safe_check *check,
                                      struct msig_safe_result *out)
{
    if (check->message && check->blob.len == 0) {
        struct msig_safe_part part = {0};
        enum msig_safe_reason reason = answered(&part, check->signed_message, MSIG_SAFE_NOT_SIGNED);
        out->ask_signed_message = part.ask;
        return reason;
    }
    if (check->threshold == 0)
        return MSIG_SAFE_GS001;
    if (check->threshold > MSIG_SAFE_PARTS_MAX || check->blob.len > MSIG_SAFE_BLOB_MAX_BYTES)
        return MSIG_SAFE_LIMIT;
    if (check->blob.len < check->threshold * PART_BYTES)
        return MSIG_SAFE_GS020;
    return walk(check, out);
}

static bool must_ask(const struct msig_safe_check *check, const struct msig_safe_result *result)
{
    if (result->ask_signed_message)
        return true;
    for (size_t i = 0; i < result->n_parts; i++)
        if (result->parts[i].ask || check->owners_unknown)
            return true;
    return false;
}

void msig_safe_check(const struct msig_safe_check *check, struct msig_safe_result *ret_result)
{
    struct msig_safe_result result = {0};

    result.reason = evaluate(check, &result);
    if (result.reason == MSIG_SAFE_NO_REASON)
        result.verdict = must_ask(check, &result) ? MSIG_SAFE_NEEDS_CHAIN : MSIG_SAFE_VALID;
    *ret_result = result;
}
