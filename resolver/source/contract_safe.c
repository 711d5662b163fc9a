/* resolver/source/contract_safe.c - the adapter of Safe multisigs (ethereum.md 3.10): a signed
 * release set, kept anywhere, counts if the Safe approved its digest - on chain, in signedMessages,
 * or by its owners' signatures.
 *
 * By proof: signedMessages[m] is set, or each of the first `threshold` signatures is of an address
 * that the proven list of owners holds. What only a contract can say (contract owners, approved
 * hashes) is asked of the Safe, by quorum, so not at l3. */
#include "contracts-abi/safe_abi.h"
#include "eth/abi.h"
#include "eth/slot.h"
#include "resolver/source/contract.h"
#include "resolver/source/documents.h"
#include "resolver/source/safe_view.h"
#include "sig/release_set.h"
#include "sig/safe.h"

#define SET_NAME "set.json"
#define SLOT_SINGLETON 0
#define SLOT_OWNERS 2
#define SLOT_THRESHOLD 4
#define SLOT_SIGNED 7

enum { KEY_SINGLETON = 0, KEY_THRESHOLD, KEY_SIGNED, KEY_OWNERS };
enum { CALL_SIGNED = SAFE_VIEW_CALLS, CALL_VALID, CALLS };

struct approval { /* at one block */
    bool on_chain, by_owners;
};

struct own {
    uint32_t set_request; /* id, 0 before it was asked for */
    bool has_set;
    struct msig_set_doc doc;
    struct eth_hash message; /* what the owners sign, and the key of signedMessages */
    struct ms_span blob;     /* signatures of the owners in the document; empty: none */
    struct msig_safe_result parts;
    struct approval final, head;
    bool asked; /* for documents */
    struct documents documents;
};

static struct own *own_of(const struct source *s)
{
    return contract_of(s)->own;
}

/* ---- the document ---- */

/* at= names a folder when it ends in a slash. */
static enum ms_err locate(struct source *s, struct spec_location *ret, struct ms_diag *diag)
{
    const char *at = s->spec->at.url;
    size_t len = strlen(at);
    struct ms_buf url = MS_BUF_INIT(4096);

    if (at[len - 1] != '/') {
        *ret = s->spec->at;
        return MS_OK;
    }
    (void)ms_buf_add_str(&url, at);
    (void)ms_buf_add_str(&url, SET_NAME);
    enum ms_err err = ms_buf_err(&url);
    if (err == MS_OK)
        err = spec_location_parse(ms_buf_span(&url), &s->arena, ret, diag);
    ms_buf_done(&url);
    return err;
}

static enum source_state ask_set(struct source *s, struct own *own)
{
    struct spec_location *location = ms_arena_alloc(&s->arena, 1, sizeof(*location));
    struct ms_diag diag = {0};

    if (s->spec->at.url == NULL)
        return source_fail_negative(
            s, MS_ERR_KIND, s->policy.times.contract_no_code,
            "a Safe approves documents only: say with kind=safe and at= where the signed set is");
    enum ms_err err = location == NULL ? MS_ERR_MEMORY : locate(s, location, &diag);
    if (err != MS_OK)
        return source_fail(s, err, &diag);
    struct source_request request = {
        .kind = SOURCE_REQUEST_HTTP, .location = location, .max_bytes = SOURCE_BODY_MAX_BYTES};
    const struct source_request *sent = source_want(s, &request);
    if (sent == NULL)
        return SOURCE_FAILED;
    own->set_request = sent->id;
    return SOURCE_WANTS;
}

/* Without app= the set is for no application by name. */
static enum ms_err check_app(const struct source *s, const struct msig_release_set *set,
                             struct ms_diag *diag)
{
    const char *app = "";
    for (size_t i = 0; i < s->spec->n_options; i++)
        if (strcmp(s->spec->options[i].name, "app") == 0)
            app = s->spec->options[i].value;
    if (ms_span_eq_str(set->app, app))
        return MS_OK;
    return ms_diag_set(diag, MS_ERR_SIGNERS, "the set is for another application than app=%s", app);
}

/* The Safe's own signature in the document, if there is one. */
static enum ms_err find_blob(const struct source *s, struct own *own, struct ms_diag *diag)
{
    const struct msig_signatures *all = &own->doc.signatures;

    for (size_t i = 0; i < all->n; i++) {
        const struct msig_signature *one = &all->items[i];
        if (one->scheme != MSIG_SCHEME_EIP1271 ||
            memcmp(one->signer.b, s->spec->address.b, ETH_ADDR_BYTES) != 0)
            continue;
        if (own->blob.len > 0 || one->bytes.len == 0)
            return ms_diag_set(diag, MS_ERR_SIGNATURE,
                               "the Safe's signature is malformed, or stands there twice");
        own->blob = one->bytes;
    }
    return MS_OK;
}

/* The order of sets: the next one names the one before it. */
static enum ms_err check_order(const struct source *s, const struct own *own, struct ms_diag *diag)
{
    const struct msig_floor floor = {.sequence = s->previous.floor_sequence,
                                     .set_hash = s->previous.set_hash,
                                     .known = s->previous.has_set};

    if (msig_set_order(&own->doc, 0, &floor) != MSIG_ORDER_BROKEN)
        return MS_OK; /* rollback and conflict are the entry's to judge, gaps are warned of */
    return ms_diag_set(diag, MS_ERR_ROLLBACK,
                       "set %llu does not name the set before it, which was verified",
                       (unsigned long long)own->doc.set.sequence);
}

static enum ms_err read_set(struct source *s, struct own *own, struct ms_span body,
                            struct ms_diag *diag)
{
    enum ms_err err = msig_set_parse(body, &s->arena, &own->doc, diag);

    if (err == MS_OK)
        err = check_app(s, &own->doc.set, diag);
    if (err == MS_OK)
        err = msig_set_time(&own->doc.set, s->started_s, diag);
    if (err == MS_OK)
        err = check_order(s, own, diag);
    if (err == MS_OK)
        err = find_blob(s, own, diag);
    return err;
}

static enum source_state take_set(struct source *s, const struct source_response *response)
{
    struct own *own = own_of(s);
    struct ms_diag diag = {0};
    enum ms_err err = response->err;

    if (err != MS_OK)
        return source_fail(s, err, &response->diag);
    if (response->status != 200)
        return source_failf(s, MS_ERR_HTTP, "the signed set: HTTP status %u", response->status);
    err = read_set(s, own, response->body, &diag);
    if (err != MS_OK)
        return source_failf(s, err, "the signed set: %s", ms_diag_text(&diag, err));
    own->has_set = true;
    own->message = msig_safe_message(s->spec->chain, &s->spec->address, &own->doc.digest);
    return contract_continue(s);
}

/* ---- what to read ---- */

/* Who is said to have signed; how many count, the threshold at the block will say. */
static struct msig_safe_result judge_blob(const struct own *own, uint64_t threshold)
{
    struct msig_safe_check check = {.hash = own->message,
                                    .blob = own->blob,
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

static bool plan_keys(struct source *s, struct own *own)
{
    struct reading_plan *out = &contract_of(s)->plan;
    struct eth_word owners = eth_word_u64(SLOT_OWNERS);
    size_t most = own->blob.len / 65;

    if (own->blob.len > 0)
        own->parts = judge_blob(own, most < MSIG_SAFE_PARTS_MAX ? most : MSIG_SAFE_PARTS_MAX);
    size_t n = KEY_OWNERS + own->parts.n_parts;
    struct eth_word *keys = ms_arena_alloc(&s->arena, n, sizeof(*keys));
    if (keys == NULL)
        return false;
    keys[KEY_SINGLETON] = eth_word_u64(SLOT_SINGLETON);
    keys[KEY_THRESHOLD] = eth_word_u64(SLOT_THRESHOLD);
    keys[KEY_SIGNED] = slot_of_word(eth_word_of_hash(&own->message), SLOT_SIGNED);
    for (size_t i = 0; i < own->parts.n_parts; i++)
        keys[KEY_OWNERS + i] = eth_slot_mapping_addr(&own->parts.parts[i].owner, &owners);
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

static bool plan_calls(struct source *s, struct own *own)
{
    static const uint8_t is_signed[4] = SAFE_CALL_SIGNED_MESSAGES;
    static const uint8_t is_valid[4] = SAFE_CALL_IS_VALID_SIGNATURE_BYTES32_BYTES;
    struct reading_plan *out = &contract_of(s)->plan;
    struct ms_span *calls = ms_arena_alloc(&s->arena, CALLS, sizeof(*calls));
    struct eth_word message = eth_word_of_hash(&own->message),
                    digest = eth_word_of_hash(&own->doc.digest);
    struct eth_abi_value args[2] = {eth_abi_bytes32(&message),
                                    {.kind = ETH_ABI_BYTES, .bytes = own->blob}};

    if (calls == NULL)
        return false;
    safe_view_calls(calls);
    calls[CALL_SIGNED] = encode(s, is_signed, SAFE_ARGS_SIGNED_MESSAGES, args, 1);
    args[0] = eth_abi_bytes32(&digest);
    calls[CALL_VALID] = encode(s, is_valid, SAFE_ARGS_IS_VALID_SIGNATURE_BYTES32_BYTES, args, 2);
    out->calls = calls;
    out->n_calls = own->blob.len > 0 ? CALLS : CALL_VALID;
    out->soft = true;
    return calls[CALL_SIGNED].ptr != NULL && calls[CALL_VALID].ptr != NULL;
}

static enum source_state prepare(struct source *s)
{
    struct own *own = contract_own(s, sizeof(*own));

    if (own == NULL)
        return SOURCE_FAILED;
    if (own->set_request == 0)
        return ask_set(s, own);
    if (!own->has_set)
        return SOURCE_WANTS;
    return plan_keys(s, own) && plan_calls(s, own) ? SOURCE_DONE
                                                   : source_fail(s, MS_ERR_MEMORY, NULL);
}

/* ---- what an answer says ---- */

static bool said_valid(const struct own *own, const struct reading_peer *peer)
{
    static const uint8_t magic[4] = SAFE_CALL_IS_VALID_SIGNATURE_BYTES32_BYTES;
    struct eth_word word;
    return own->blob.len > 0 && eth_word_of_span(peer->calls[CALL_VALID], &word) &&
           memcmp(word.b, magic, sizeof(magic)) == 0;
}

/* Each of the first `threshold` signatures is a key's, of an owner. */
static bool owners_signed(const struct own *own, const struct reading_peer *peer)
{
    uint64_t threshold = 0;

    if (own->blob.len == 0 || !eth_word_to_u64(&peer->values[KEY_THRESHOLD], &threshold) ||
        threshold == 0 || threshold > own->parts.n_parts)
        return false;
    struct msig_safe_result result = judge_blob(own, threshold);
    if (result.verdict == MSIG_SAFE_INVALID || result.n_parts != threshold)
        return false;
    for (size_t i = 0; i < result.n_parts; i++) {
        const struct msig_safe_part *part = &result.parts[i];
        bool by_key = part->kind == MSIG_SAFE_ECDSA || part->kind == MSIG_SAFE_ETH_SIGN;
        if (!by_key || memcmp(part->owner.b, own->parts.parts[i].owner.b, ETH_ADDR_BYTES) != 0 ||
            eth_word_is_zero(&peer->values[KEY_OWNERS + i]))
            return false;
    }
    return true;
}

/* The list of owners is linked from 0x1, which is nobody's address but has an entry. */
static bool sentinel_signed(const struct own *own)
{
    static const struct eth_addr sentinel = {{[ETH_ADDR_BYTES - 1] = 1}};
    for (size_t i = 0; i < own->parts.n_parts; i++)
        if (memcmp(own->parts.parts[i].owner.b, sentinel.b, ETH_ADDR_BYTES) == 0)
            return true;
    return false;
}

static enum ms_err read_approval(struct own *own, const struct reading_peer *peer, bool proven,
                                 bool by_proof, struct approval *ret, struct ms_diag *diag)
{
    struct eth_word word;

    if (!eth_word_of_span(peer->calls[CALL_SIGNED], &word))
        return ms_diag_set(diag, MS_ERR_KIND, "the contract does not say what it signed: no Safe");
    ret->on_chain = !eth_word_is_zero(&word);
    if (proven && ret->on_chain == eth_word_is_zero(&peer->values[KEY_SIGNED]))
        return ms_diag_set(diag, MS_ERR_COMMITMENT,
                           "signedMessages: storage and answer differ; no Safe, or somebody lies");
    ret->by_owners =
        by_proof ? owners_signed(own, peer) && !sentinel_signed(own) : said_valid(own, peer);
    return MS_OK;
}

static bool by_proof(const struct source *s)
{
    return contract_of(s)->level >= SPEC_LEVEL_L3;
}

static enum ms_err verify(struct source *s, const struct reading *r, struct ms_diag *diag)
{
    struct own *own = own_of(s);
    return read_approval(own, reading_answer(r), r->proven, by_proof(s),
                         r->head ? &own->head : &own->final, diag);
}

static bool agrees(struct reading *r, const struct reading_peer *peer)
{
    struct source *s = r->trusted->set->s;
    struct approval ignored;
    return read_approval(own_of(s), peer, true, by_proof(s), &ignored, NULL) != MS_ERR_COMMITMENT;
}

/* ---- the result ---- */

static bool approves(const struct approval *a)
{
    return a->on_chain || a->by_owners;
}

/* Owners who left take their signatures with them: the newest state may take everything away. */
static bool withdrawn(const struct source *s)
{
    return contract_of(s)->has_head && !approves(&own_of(s)->head);
}

static enum source_state refuse(struct source *s)
{
    const struct own *own = own_of(s);
    bool only_chain = false;

    for (size_t i = 0; i < own->parts.n_parts; i++)
        only_chain = only_chain || own->parts.parts[i].kind == MSIG_SAFE_CONTRACT ||
                     own->parts.parts[i].kind == MSIG_SAFE_APPROVED;
    if (by_proof(s) && only_chain)
        return source_failf(
            s, MS_ERR_LEVEL,
            "owners of the Safe that are contracts, or approved by transaction, cannot be "
            "proven: let the Safe sign on chain, or read at l2");
    return source_failf(s, MS_ERR_SIGNATURE, "the Safe has not approved set %llu%s",
                        (unsigned long long)own->doc.set.sequence,
                        own->blob.len > 0 ? ": too few of its signatures are good"
                                          : ", and the document has no signature of it");
}

static json_t *governance_json(const struct source *s)
{
    const struct own *own = own_of(s);
    const struct reading_peer *answer = reading_answer(&contract_of(s)->final);
    json_t *out = contract_governance(s);
    json_t *view = safe_view_json(answer, 0);

    if (out != NULL && view != NULL)
        (void)json_object_update(out, view);
    json_decref(view);
    if (out == NULL)
        return NULL;
    (void)json_object_set_new(out, "approved_by",
                              json_string(own->final.on_chain ? "signed-message" : "owners"));
    (void)json_object_set_new(out, "message", contract_hash_json(own->message.b));
    (void)json_object_set_new(out, "issued_at", json_integer((json_int_t)own->doc.set.issued_at_s));
    return out;
}

static void add_warnings(struct source *s)
{
    const struct own *own = own_of(s);
    const struct contract *c = contract_of(s);
    uint64_t floor = s->previous.floor_sequence;

    if (safe_view_has_modules(s->result->governance))
        source_result_warn(s->result, "modules", "modules of the Safe act without its owners");
    if (withdrawn(s))
        source_result_warn(s->result, "revoked-at-head",
                           "the approval is gone in block %llu, which is not final yet",
                           (unsigned long long)c->trusted.head.header.number);
    if (s->previous.has_set && own->doc.set.sequence > floor + 1)
        source_result_warn(s->result, "gap", "sets %llu to %llu were never seen",
                           (unsigned long long)floor + 1,
                           (unsigned long long)own->doc.set.sequence - 1);
}

static enum source_state finish(struct source *s)
{
    struct own *own = own_of(s);
    struct source_result *r = source_result_begin(s);

    if (r == NULL)
        return source_fail(s, MS_ERR_MEMORY, NULL);
    for (size_t i = 0; !withdrawn(s) && i < own->documents.n; i++)
        if (!documents_add_release(s, &own->documents, i))
            return SOURCE_FAILED;
    r->document_elsewhere = true;
    r->has_sequence = true;
    r->sequence = own->doc.set.sequence;
    memcpy(r->commitment.b, own->doc.set_hash.b, MS_SHA256_BYTES);
    if (withdrawn(s))
        r->overlay = ms_sha256(eth_hash_span(&own->doc.set_hash));
    r->valid_until_s = source_clamp_time(own->doc.set.valid_until_s - 1); /* ours is inclusive */
    r->governance = governance_json(s);
    if (r->governance == NULL)
        return source_fail(s, MS_ERR_MEMORY, NULL);
    contract_facts(s, r);
    add_warnings(s);
    return source_finish(s);
}

/* ---- documents ---- */

static bool ask_documents(struct source *s, struct own *own)
{
    if (!documents_of_set(s, &own->documents, &own->doc.set))
        return false;
    for (size_t i = 0; withdrawn(s) && i < own->documents.n; i++)
        own->documents.unneeded[i] = true;
    return documents_ask(s, &own->documents);
}

static enum source_state after(struct source *s)
{
    struct own *own = own_of(s);

    if (!approves(&own->final))
        return refuse(s);
    if (!own->asked) {
        own->asked = true;
        if (!ask_documents(s, own))
            return SOURCE_FAILED;
    }
    return own->documents.out > 0 ? SOURCE_WANTS : finish(s);
}

static enum source_state document(struct source *s, const struct source_response *response)
{
    struct own *own = own_of(s);

    if (own != NULL && response->id == own->set_request)
        return take_set(s, response);
    return documents_take(s, &own->documents, response) ? after(s) : s->state;
}

/* The code of a Safe is that of its singleton. */
static struct eth_word runs(const struct source *s)
{
    return reading_answer(&contract_of(s)->final)->values[KEY_SINGLETON];
}

const struct contract_adapter contract_safe = {
    .name = "safe",
    .prepare = prepare,
    .agrees = agrees,
    .verify = verify,
    .after = after,
    .document = document,
    .runs = runs,
};
