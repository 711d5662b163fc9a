/* resolver/source/safe_approval.c - asking a contract for its approval, and reading it. */
#include "resolver/source/safe_approval.h"

#include "contracts-abi/safe_abi.h"
#include "eth/abi.h"
#include "eth/slot.h"
#include "resolver/source/safe_view.h"

#define SLOT_SINGLETON 0
#define SLOT_OWNERS 2
#define SLOT_THRESHOLD 4
#define SLOT_SIGNED 7

enum { KEY_SINGLETON = 0, KEY_THRESHOLD, KEY_SIGNED, KEY_OWNERS };
enum { CALL_SIGNED = SAFE_VIEW_CALLS, CALL_VALID, CALLS };

/* ---- what to read ---- */

/* Who is said to have signed; how many count, the threshold at the block will say. */
static struct msig_safe_result judge_blob(const struct safe_approval *a, uint64_t threshold)
{
    struct msig_safe_check check = {.hash = a->message,
                                    .blob = a->blob,
                                    .threshold = threshold,
                                    .owners_unknown = true,
                                    .low_s = true};
    struct msig_safe_result result;
    msig_safe_check(&check, &result);
    return result;
}

static struct eth_word slot_of_word(struct eth_word key, uint64_t slot)
{
    struct eth_word p = eth_word_u64(slot);
    return eth_slot_mapping(&key, &p);
}

/* A Safe without signatures has only what it signed on chain; of others nobody knows. */
static bool asks_valid(const struct safe_approval *a)
{
    return a->blob.len > 0 || (a->any_contract && !a->by_proof);
}

static bool plan_keys(struct source *s, struct safe_approval *a, struct reading_plan *out)
{
    struct eth_word owners = eth_word_u64(SLOT_OWNERS);
    size_t most = a->blob.len / 65;

    if (a->blob.len > 0)
        a->parts = judge_blob(a, most < MSIG_SAFE_PARTS_MAX ? most : MSIG_SAFE_PARTS_MAX);
    size_t n = KEY_OWNERS + a->parts.n_parts;
    struct eth_word *keys = ms_arena_alloc(&s->arena, n, sizeof(*keys));
    if (keys == NULL)
        return false;
    keys[KEY_SINGLETON] = eth_word_u64(SLOT_SINGLETON);
    keys[KEY_THRESHOLD] = eth_word_u64(SLOT_THRESHOLD);
    keys[KEY_SIGNED] = slot_of_word(eth_word_of_hash(&a->message), SLOT_SIGNED);
    for (size_t i = 0; i < a->parts.n_parts; i++)
        keys[KEY_OWNERS + i] = eth_slot_mapping_addr(&a->parts.parts[i].owner, &owners);
    out->keys = keys;
    out->n_keys = n;
    return true;
}

static struct ms_span encode(struct source *s, const uint8_t selector[4], const char *args,
                             struct eth_abi_value *values, size_t n)
{
    const struct eth_abi_type *type = NULL;
    struct eth_abi_value all = {.kind = ETH_ABI_TUPLE, .n = n, .items = values};
    struct ms_buf text = MS_BUF_INIT(16384);
    const char *copy = NULL;

    (void)ms_buf_add(&text, ms_span_of(selector, 4));
    if (eth_abi_params_parse(ms_span_str(args), &s->arena, &type) == MS_OK &&
        eth_abi_encode(type, &all, &text) == MS_OK)
        copy = ms_arena_strdup(&s->arena, ms_buf_span(&text));
    struct ms_span out = ms_span_of(copy, copy == NULL ? 0 : text.len);
    ms_buf_done(&text);
    return out;
}

static bool plan_calls(struct source *s, const struct safe_approval *a, struct reading_plan *out)
{
    static const uint8_t is_signed[4] = SAFE_CALL_SIGNED_MESSAGES;
    static const uint8_t is_valid[4] = SAFE_CALL_IS_VALID_SIGNATURE_BYTES32_BYTES;
    struct ms_span *calls = ms_arena_alloc(&s->arena, CALLS, sizeof(*calls));
    struct eth_word message = eth_word_of_hash(&a->message), digest = eth_word_of_hash(&a->digest);
    struct eth_abi_value args[2] = {eth_abi_bytes32(&message),
                                    {.kind = ETH_ABI_BYTES, .bytes = a->blob}};

    if (calls == NULL)
        return false;
    safe_view_calls(calls);
    calls[CALL_SIGNED] = encode(s, is_signed, SAFE_ARGS_SIGNED_MESSAGES, args, 1);
    args[0] = eth_abi_bytes32(&digest);
    calls[CALL_VALID] = encode(s, is_valid, SAFE_ARGS_IS_VALID_SIGNATURE_BYTES32_BYTES, args, 2);
    out->calls = calls;
    out->n_calls = asks_valid(a) ? CALLS : CALL_VALID;
    out->soft = true;
    return calls[CALL_SIGNED].ptr != NULL && calls[CALL_VALID].ptr != NULL;
}

bool safe_approval_plan(struct source *s, struct safe_approval *a, struct reading_plan *out)
{
    a->message = msig_safe_message(s->spec->chain, &s->spec->address, &a->digest);
    return plan_keys(s, a, out) && plan_calls(s, a, out);
}

/* ---- what an answer says ---- */

static bool said_valid(const struct safe_approval *a, const struct reading_peer *peer)
{
    static const uint8_t magic[4] = SAFE_CALL_IS_VALID_SIGNATURE_BYTES32_BYTES;
    struct eth_word word;
    return asks_valid(a) && eth_word_of_span(peer->calls[CALL_VALID], &word) &&
           memcmp(word.b, magic, sizeof(magic)) == 0;
}

/* Each of the first `threshold` signatures is a key's, of an owner. */
static bool owners_signed(const struct safe_approval *a, const struct reading_peer *peer)
{
    uint64_t threshold = 0;

    if (a->blob.len == 0 || !eth_word_to_u64(&peer->values[KEY_THRESHOLD], &threshold) ||
        threshold == 0 || threshold > a->parts.n_parts)
        return false;
    struct msig_safe_result result = judge_blob(a, threshold);
    if (result.verdict == MSIG_SAFE_INVALID || result.n_parts != threshold)
        return false;
    for (size_t i = 0; i < result.n_parts; i++) {
        const struct msig_safe_part *part = &result.parts[i];
        bool by_key = part->kind == MSIG_SAFE_ECDSA || part->kind == MSIG_SAFE_ETH_SIGN;
        if (!by_key || memcmp(part->owner.b, a->parts.parts[i].owner.b, ETH_ADDR_BYTES) != 0 ||
            eth_word_is_zero(&peer->values[KEY_OWNERS + i]))
            return false;
    }
    return true;
}

/* The list of owners is linked from 0x1, which is nobody's address but has an entry. */
static bool sentinel_signed(const struct safe_approval *a)
{
    static const struct eth_addr sentinel = {{[ETH_ADDR_BYTES - 1] = 1}};
    for (size_t i = 0; i < a->parts.n_parts; i++)
        if (memcmp(a->parts.parts[i].owner.b, sentinel.b, ETH_ADDR_BYTES) == 0)
            return true;
    return false;
}

/* It describes itself as every Safe does. */
static bool is_safe(const struct reading_peer *peer)
{
    json_t *view = safe_view_json(peer, 0);
    bool is = view != NULL;
    json_decref(view);
    return is;
}

enum ms_err safe_approval_read(const struct safe_approval *a, const struct reading_peer *peer,
                               bool proven, struct safe_state *ret, struct ms_diag *diag)
{
    bool other = a->any_contract && !a->by_proof && !is_safe(peer);
    struct eth_word word = {{0}};

    if (!other && !eth_word_of_span(peer->calls[CALL_SIGNED], &word))
        return ms_diag_set(diag, MS_ERR_KIND, "the contract does not say what it signed: no Safe");
    ret->on_chain = !eth_word_is_zero(&word);
    if (!other && proven && ret->on_chain == eth_word_is_zero(&peer->values[KEY_SIGNED]))
        return ms_diag_set(diag, MS_ERR_COMMITMENT,
                           "signedMessages: storage and answer differ; no Safe, or somebody lies");
    ret->by_owners =
        a->by_proof ? owners_signed(a, peer) && !sentinel_signed(a) : said_valid(a, peer);
    return MS_OK;
}

bool safe_approval_unprovable(const struct safe_approval *a)
{
    bool only_chain = false;

    for (size_t i = 0; i < a->parts.n_parts; i++)
        only_chain = only_chain || a->parts.parts[i].kind == MSIG_SAFE_CONTRACT ||
                     a->parts.parts[i].kind == MSIG_SAFE_APPROVED;
    return a->by_proof && only_chain;
}

struct eth_word safe_approval_singleton(const struct reading_peer *peer)
{
    return peer->values[KEY_SINGLETON];
}
