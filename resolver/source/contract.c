/* resolver/source/contract.c - a registry read from a chain: whose hash of the block is believed, and who
 * may then give the data (ethereum.md section 2).
 *
 *   HASH     which finalized block: L1 one provider; L2 and L3 `quorum` operator groups that agree
 *   AT       providers ahead of the common height say their hash there
 *   DATA     eth_call and eth_getProof at that hash: L1 the same provider, L2 `quorum` groups whose bytes
 *            must be equal, L3 anybody whose proof verifies
 *   PAYLOAD  documents of releases that are not on chain, from anywhere, by their SHA-256
 *
 * A level is never lowered: what cannot be reached fails, and the entry ages. */
#include "base/gzip.h"
#include "base/hex.h"
#include "contracts-abi/registry_abi.h"
#include "eth/header.h"
#include "eth/jsonrpc.h"
#include "eth/proof.h"
#include "resolver/source/kinds.h"
#include "resolver/source/registry.h"

#include <stdio.h>

#define CONTRACT_FUTURE_S 15          /* a block this far ahead of our clock is dropped (2.4) */
#define CONTRACT_WARN_AGE_S 1800      /* finality this old is worth a warning (T2) */
#define CONTRACT_FRESH_S 120          /* F and W, ethereum.md 6.2 */
#define CONTRACT_SIE_S 3600           /* E */
#define CONTRACT_NO_CODE_S 300        /* N: no code, or no contract we know */
#define CONTRACT_REVERT_S 60          /* N: revert */
#define CONTRACT_CALLS_MAX 3          /* in one message of ours */
#define CONTRACT_GZIP_RATIO 256u

enum call { /* what one JSON-RPC call asks */
    CALL_NONE = 0,
    CALL_CHAIN,
    CALL_FINALIZED,
    CALL_LATEST,
    CALL_AT,
    CALL_SNAPSHOT,
    CALL_PROOF,
};

struct ask { /* a message that is out; index: id of the request */
    enum call calls[CONTRACT_CALLS_MAX];
    size_t n_calls;
    uint32_t provider;
    size_t release; /* payload requests */
    bool batch;
    bool bare; /* the block was named by its bare hash */
};

struct voter { /* one provider of the chain during this attempt */
    bool usable;      /* on this chain, not benched */
    bool asked_heads, asked_at, asked_data;
    bool dead;        /* failed; err and diag say why */
    enum ms_err err;
    struct ms_diag diag;
    bool bare_hash;   /* does not know EIP-1898 */
    size_t parts;     /* calls of the current phase still without an answer */
    bool chain_ok, has_final, has_head, has_at;
    struct eth_header final, head, at;
    /* data */
    bool has_call;
    struct ms_span call; /* answer of snapshotWithPayloads, in the arena */
    bool has_proof;
    enum ms_err proof_err; /* why not, when the provider does not prove */
    struct eth_account account;
    struct eth_word slot0;
};

enum phase { PHASE_HASH = 0, PHASE_AT, PHASE_DATA, PHASE_PAYLOAD };

struct contract {
    enum phase phase;
    enum spec_level level;
    uint32_t need;   /* groups */
    uint32_t groups; /* configured for the chain, benched ones too */
    struct voter voters[SOURCE_PROVIDERS_MAX];
    struct ask asks[SOURCE_REQUESTS_MAX + 1];
    size_t out;      /* messages without an answer */
    uint32_t agreed; /* groups that agree about the pin */
    struct eth_header pin;
    struct registry_snapshot snapshot;
    struct ms_span payloads[REGISTRY_RELEASES_MAX];
    bool proven;     /* slot 0 was proven against the pin */
    struct eth_account account;
    struct eth_word slot0;
};

static struct contract *state_of(struct source *s)
{
    return s->kind_state;
}

static const char *provider_name(const struct source *s, uint32_t p)
{
    return s->policy.providers[p].name;
}

/* ---- asking ---- */

static struct eth_block_ref pin_ref(const struct contract *c, const struct voter *v)
{
    return (struct eth_block_ref){
        .form = v->bare_hash ? ETH_BLOCK_HASH_BARE : ETH_BLOCK_HASH_CANONICAL, .hash = c->pin.hash};
}

static void write_call(struct source *s, struct eth_rpc_writer *w, enum call call, uint32_t p)
{
    static const uint8_t selector[4] = REGISTRY_CALL_SNAPSHOT_WITH_PAYLOADS;
    static const struct eth_word slot0;
    struct contract *c = state_of(s);
    struct eth_block_ref pin = pin_ref(c, &c->voters[p]);
    struct eth_block_ref final = {.form = ETH_BLOCK_FINALIZED}, latest = {.form = ETH_BLOCK_LATEST};
    struct eth_block_ref at = {.form = ETH_BLOCK_NUMBER, .number = c->pin.number};

    switch (call) {
    case CALL_NONE:
        return;
    case CALL_CHAIN:
        (void)eth_rpc_chain_id(w);
        return;
    case CALL_FINALIZED:
        (void)eth_rpc_block_by_number(w, &final);
        return;
    case CALL_LATEST:
        (void)eth_rpc_block_by_number(w, &latest);
        return;
    case CALL_AT:
        (void)eth_rpc_block_by_number(w, &at);
        return;
    case CALL_SNAPSHOT:
        (void)eth_rpc_call(w, &s->spec->address, ms_span_of(selector, sizeof(selector)), &pin);
        return;
    case CALL_PROOF:
        (void)eth_rpc_get_proof(w, &s->spec->address, &slot0, 1, &pin);
        return;
    }
}

/* One message with these calls; ids are 1, 2, ... within it. false: the attempt has failed. */
static bool send_calls(struct source *s, uint32_t p, const enum call *calls, size_t n)
{
    struct contract *c = state_of(s);
    struct ms_buf text = MS_BUF_INIT(4096);
    struct eth_rpc_writer w;
    bool batch = n > 1;

    eth_rpc_begin(&w, &text, 1, batch);
    for (size_t i = 0; i < n; i++)
        write_call(s, &w, calls[i], p);
    enum ms_err err = eth_rpc_end(&w);
    const char *body = err == MS_OK ? ms_arena_strdup(&s->arena, ms_buf_span(&text)) : NULL;
    size_t len = text.len;
    ms_buf_done(&text);
    if (body == NULL) {
        (void)source_fail(s, err == MS_OK ? MS_ERR_MEMORY : err, NULL);
        return false;
    }
    struct source_request request = {.kind = SOURCE_REQUEST_RPC, .provider = p,
                                     .body = ms_span_of(body, len),
                                     .max_bytes = SOURCE_RPC_BODY_MAX_BYTES};
    struct source_request *sent = source_want(s, &request);
    if (sent == NULL)
        return false;
    struct ask *ask = &c->asks[sent->id];
    *ask = (struct ask){.n_calls = n, .provider = p, .batch = batch,
                         .bare = c->voters[p].bare_hash};
    memcpy(ask->calls, calls, n * sizeof(calls[0]));
    c->out++;
    return true;
}

static void ask_phase(struct source *s, uint32_t p, const enum call *calls, size_t n)
{
    struct contract *c = state_of(s);
    if (send_calls(s, p, calls, n))
        c->voters[p].parts = n;
}

static void ask_heads(struct source *s, uint32_t p)
{
    static const enum call calls[] = {CALL_CHAIN, CALL_FINALIZED, CALL_LATEST};
    state_of(s)->voters[p].asked_heads = true;
    ask_phase(s, p, calls, MS_ARRAY_LEN(calls));
}

static void ask_at(struct source *s, uint32_t p)
{
    static const enum call calls[] = {CALL_AT};
    state_of(s)->voters[p].asked_at = true;
    ask_phase(s, p, calls, MS_ARRAY_LEN(calls));
}

static void ask_data(struct source *s, uint32_t p)
{
    static const enum call calls[] = {CALL_SNAPSHOT, CALL_PROOF};
    bool proofs = s->policy.providers[p].proofs == SOURCE_PROOFS_FINALIZED;
    state_of(s)->voters[p].asked_data = true;
    ask_phase(s, p, calls, proofs ? 2 : 1);
}

/* ---- reading answers ---- */

/* Whether the account proof says that the code is the reference registry's. */
static bool known_code(const struct voter *v)
{
    static const struct eth_hash known = REGISTRY_CODE_HASH;
    return v->has_proof && eth_hash_eq(&known, &v->account.code_hash);
}

/* A bad proof is the provider's lie. An answer that slot 0 does not commit to is one only where the
 * registry's own code gave it: any other contract, which a stranger may deploy and name in a URL, may
 * contradict itself and must not cost honest providers their place. */
static void kill_voter(struct source *s, uint32_t p, enum ms_err err, const struct ms_diag *diag)
{
    struct voter *v = &state_of(s)->voters[p];

    if (v->dead)
        return;
    v->dead = true;
    v->err = err;
    s->lied[p] = s->lied[p] || err == MS_ERR_PROOF || (err == MS_ERR_COMMITMENT && known_code(v));
    (void)ms_diag_set(&v->diag, err, "%s: %s", provider_name(s, p), ms_diag_text(diag, err));
}

static void kill_text(struct source *s, uint32_t p, enum ms_err err, const char *text)
{
    struct ms_diag diag = {0};
    (void)ms_diag_set(&diag, err, "%s", text);
    kill_voter(s, p, err, &diag);
}

static void take_chain(struct source *s, uint32_t p, const json_t *result)
{
    struct voter *v = &state_of(s)->voters[p];
    struct ms_diag diag = {0};
    uint64_t chain = 0;

    enum ms_err err = eth_rpc_result_u64(result, &chain, &diag);
    if (err == MS_OK && chain != s->spec->chain)
        err = ms_diag_set(&diag, MS_ERR_WRONG_CHAIN, "serves chain %llu instead of %llu",
                          (unsigned long long)chain, (unsigned long long)s->spec->chain);
    if (err != MS_OK)
        kill_voter(s, p, err, &diag);
    else
        v->chain_ok = true;
}

static void take_block(struct source *s, uint32_t p, const json_t *result, struct eth_header *ret,
                       bool *ret_has)
{
    struct ms_diag diag = {0};
    struct eth_header header;

    if (json_is_null(result)) {
        kill_text(s, p, MS_ERR_RPC, "does not know the block");
        return;
    }
    enum ms_err err = eth_header_verify_json(result, &header, &diag);
    uint64_t now_s = s->started_s > 0 ? (uint64_t)s->started_s : 0;
    if (err == MS_OK && header.timestamp_s > now_s && header.timestamp_s - now_s > CONTRACT_FUTURE_S)
        err = ms_diag_set(&diag, MS_ERR_HEADER, "says a block of the future (%llu s ahead)",
                          (unsigned long long)(header.timestamp_s - now_s));
    if (err != MS_OK) {
        kill_voter(s, p, err, &diag);
        return;
    }
    *ret = header;
    *ret_has = true;
}

static void take_snapshot(struct source *s, uint32_t p, const json_t *result)
{
    struct voter *v = &state_of(s)->voters[p];
    struct ms_buf data = MS_BUF_INIT(SOURCE_RPC_BODY_MAX_BYTES);
    struct ms_diag diag = {0};

    enum ms_err err = eth_rpc_result_data(result, &data, &diag);
    if (err == MS_OK) {
        uint8_t *copy = ms_arena_alloc(&s->arena, data.len + 1, 1);
        if (copy == NULL) {
            err = MS_ERR_MEMORY;
        } else {
            if (data.len > 0)
                memcpy(copy, data.ptr, data.len);
            v->call = ms_span_of(copy, data.len);
            v->has_call = true;
        }
    }
    ms_buf_done(&data);
    if (err != MS_OK)
        kill_voter(s, p, err, &diag);
}

static void take_proof(struct source *s, uint32_t p, const json_t *result)
{
    static const struct eth_word slot0;
    struct contract *c = state_of(s);
    struct voter *v = &c->voters[p];
    struct ms_diag diag = {0};

    enum ms_err err = eth_proof_verify(result, &c->pin.state_root, &s->spec->address, &slot0, 1,
                                       &v->account, &v->slot0, &diag);
    if (err != MS_OK)
        kill_voter(s, p, err, &diag);
    else
        v->has_proof = true;
}

static void take_result(struct source *s, uint32_t p, enum call call, const json_t *result)
{
    struct voter *v = &state_of(s)->voters[p];

    switch (call) {
    case CALL_NONE:
        return;
    case CALL_CHAIN:
        take_chain(s, p, result);
        return;
    case CALL_FINALIZED:
        take_block(s, p, result, &v->final, &v->has_final);
        return;
    case CALL_LATEST:
        take_block(s, p, result, &v->head, &v->has_head);
        return;
    case CALL_AT:
        take_block(s, p, result, &v->at, &v->has_at);
        if (v->has_at && v->at.number != state_of(s)->pin.number)
            kill_text(s, p, MS_ERR_HEADER, "answered with a block of another number");
        return;
    case CALL_SNAPSHOT:
        take_snapshot(s, p, result);
        return;
    case CALL_PROOF:
        take_proof(s, p, result);
        return;
    }
}

/* A call that failed. Where another shape may work it is asked again; true then. */
static bool take_error(struct source *s, const struct ask *ask, enum call call,
                       const struct eth_rpc_answer *answer)
{
    uint32_t p = ask->provider;
    struct voter *v = &state_of(s)->voters[p];
    struct ms_diag diag = {0};
    const json_t *ignored = NULL;

    if ((call == CALL_SNAPSHOT || call == CALL_PROOF) && answer->error.class == ETH_RPC_PARAMS &&
        !ask->bare) {
        v->bare_hash = true; /* execution-apis #713: the bare hash instead of EIP-1898 */
        return send_calls(s, p, &call, 1);
    }
    enum ms_err err = eth_rpc_result(answer, &ignored, &diag);
    if (call == CALL_PROOF && answer->error.class != ETH_RPC_REVERT) {
        v->proof_err = err; /* this provider does not prove; the level decides what that means */
        return false;
    }
    kill_voter(s, p, err, &diag);
    return false;
}

static void take_answers(struct source *s, const struct ask *ask, const struct eth_rpc_reply *reply)
{
    struct voter *v = &state_of(s)->voters[ask->provider];

    for (size_t i = 0; i < ask->n_calls; i++) {
        const struct eth_rpc_answer *answer = &reply->answers[i];
        if (answer->result == NULL && take_error(s, ask, ask->calls[i], answer))
            continue; /* its part is still to come */
        if (answer->result != NULL)
            take_result(s, ask->provider, ask->calls[i], answer->result);
        v->parts--;
    }
}

/* The endpoint does not take batches: the calls go singly (2.1). */
static void send_singly(struct source *s, const struct ask *ask)
{
    for (size_t i = 0; i < ask->n_calls; i++)
        if (!send_calls(s, ask->provider, &ask->calls[i], 1))
            return;
}

static void take_rpc(struct source *s, const struct ask *ask, const struct source_response *response)
{
    struct voter *v = &state_of(s)->voters[ask->provider];
    struct eth_rpc_reply reply;
    struct ms_diag diag = {0};

    if (response->err != MS_OK) {
        kill_voter(s, ask->provider, response->err, &response->diag);
        v->parts = 0;
        return;
    }
    if (ask->batch && response->status == 413) {
        send_singly(s, ask);
        return;
    }
    enum ms_err err = eth_rpc_read(response->body, SOURCE_RPC_BODY_MAX_BYTES, 1, ask->n_calls,
                                   ask->batch, &reply, &diag);
    if (err != MS_OK) {
        if (response->status != 200) {
            diag = (struct ms_diag){0};
            err = ms_diag_set(&diag, MS_ERR_RPC, "HTTP status %u", response->status);
        }
        kill_voter(s, ask->provider, err, &diag);
        v->parts = 0;
        return;
    }
    if (reply.whole_failed && reply.answers[0].error.class == ETH_RPC_BATCH)
        send_singly(s, ask);
    else
        take_answers(s, ask, &reply);
    eth_rpc_reply_done(&reply);
}

/* ---- groups ---- */

static bool alive(const struct voter *v)
{
    return v->usable && !v->dead;
}

/* Distinct groups among the providers for which `counts` holds. */
static uint32_t count_groups(const struct source *s, const bool counts[SOURCE_PROVIDERS_MAX])
{
    uint32_t n = 0;

    for (size_t i = 0; i < s->policy.n_providers; i++) {
        bool first = counts[i];
        for (size_t j = 0; first && j < i; j++)
            first = !(counts[j] &&
                      strcmp(s->policy.providers[i].group, s->policy.providers[j].group) == 0);
        n += first;
    }
    return n;
}

/* Why not enough providers are left: the first cause, and how many groups there are. */
static enum source_state fail_quorum(struct source *s, uint32_t have)
{
    struct contract *c = state_of(s);

    for (size_t p = 0; p < s->policy.n_providers; p++) {
        const struct voter *v = &c->voters[p];
        if (!v->dead)
            continue;
        if (c->need == 1)
            return source_fail(s, v->err, &v->diag);
        return source_failf(s, MS_ERR_QUORUM, "%u of the %u RPC groups needed answered; %s", have,
                            c->need, v->diag.text);
    }
    return source_failf(s, MS_ERR_QUORUM, "%u of the %u RPC groups needed answered", have, c->need);
}

/* ---- which block ---- */

/* Complete and sensible heads, or dead. */
static void judge_heads(struct source *s)
{
    struct contract *c = state_of(s);

    for (uint32_t p = 0; p < s->policy.n_providers; p++) {
        struct voter *v = &c->voters[p];
        if (!alive(v) || !v->asked_heads)
            continue;
        if (!v->chain_ok || !v->has_final || !v->has_head)
            kill_text(s, p, MS_ERR_RPC_SHAPE, "did not say its chain and its blocks");
        else if (v->final.number > v->head.number || v->final.timestamp_s > v->head.timestamp_s)
            kill_text(s, p, MS_ERR_HEADER, "says a finalized block later than its head");
    }
}

/* The highest number that providers of `need` groups have finalized; false when there are not so many. */
static bool common_height(const struct source *s, const struct contract *c, uint64_t *ret_number)
{
    bool found = false;
    uint64_t best = 0;

    for (size_t p = 0; p < s->policy.n_providers; p++) {
        bool counts[SOURCE_PROVIDERS_MAX] = {false};
        if (!alive(&c->voters[p]) || !c->voters[p].has_final)
            continue;
        uint64_t height = c->voters[p].final.number;
        for (size_t q = 0; q < s->policy.n_providers; q++)
            counts[q] = alive(&c->voters[q]) && c->voters[q].has_final &&
                        c->voters[q].final.number >= height;
        if (count_groups(s, counts) >= c->need && (!found || height > best)) {
            best = height;
            found = true;
        }
    }
    *ret_number = best;
    return found;
}

static uint32_t alive_groups(const struct source *s, const struct contract *c)
{
    bool counts[SOURCE_PROVIDERS_MAX] = {false};
    for (size_t p = 0; p < s->policy.n_providers; p++)
        counts[p] = alive(&c->voters[p]) && c->voters[p].has_final;
    return count_groups(s, counts);
}

/* What a provider says about the common height: NULL when it did not say. */
static const struct eth_header *vote_of(const struct contract *c, const struct voter *v)
{
    if (!alive(v) || !v->has_final)
        return NULL;
    if (v->final.number == c->pin.number)
        return &v->final;
    return v->has_at ? &v->at : NULL;
}

static enum source_state ask_first_data(struct source *s);

/* All votes at one height are in: they agree, or somebody lies (T13). */
static enum source_state tally(struct source *s)
{
    struct contract *c = state_of(s);
    bool counts[SOURCE_PROVIDERS_MAX] = {false};
    const struct eth_header *first = NULL;

    for (size_t p = 0; p < s->policy.n_providers; p++) {
        const struct eth_header *vote = vote_of(c, &c->voters[p]);
        if (vote == NULL)
            continue;
        if (first != NULL && !eth_hash_eq(&first->hash, &vote->hash))
            return source_failf(s, MS_ERR_DISSENT,
                                "RPC groups disagree about finalized block %llu: somebody lies",
                                (unsigned long long)c->pin.number);
        if (first == NULL)
            first = vote;
        counts[p] = true;
    }
    c->agreed = count_groups(s, counts);
    if (first == NULL || c->agreed < c->need)
        return fail_quorum(s, c->agreed);
    c->pin = *first;
    return ask_first_data(s);
}

static enum source_state pin_by_quorum(struct source *s)
{
    struct contract *c = state_of(s);
    uint64_t number = 0;

    judge_heads(s);
    if (!common_height(s, c, &number))
        return fail_quorum(s, alive_groups(s, c));
    c->pin.number = number;
    c->phase = PHASE_AT;
    for (uint32_t p = 0; p < s->policy.n_providers; p++)
        if (alive(&c->voters[p]) && c->voters[p].has_final && c->voters[p].final.number > number)
            ask_at(s, p);
    return c->out > 0 ? SOURCE_WANTS : tally(s);
}

/* L1: the first provider that answers; the next one when it does not. */
static enum source_state pin_by_one(struct source *s)
{
    struct contract *c = state_of(s);

    judge_heads(s);
    for (uint32_t p = 0; p < s->policy.n_providers; p++) {
        struct voter *v = &c->voters[p];
        if (!alive(v))
            continue;
        if (v->asked_heads) {
            c->pin = v->final;
            c->agreed = 1;
            return ask_first_data(s);
        }
        ask_heads(s, p);
        return c->out > 0 ? SOURCE_WANTS : SOURCE_FAILED;
    }
    return fail_quorum(s, 0);
}

/* ---- the data ---- */

/* May this provider be asked for data: it is alive and voted for the pin (L3: anybody alive that proves). */
static bool may_give_data(const struct source *s, const struct contract *c, uint32_t p)
{
    const struct voter *v = &c->voters[p];
    const struct eth_header *vote = vote_of(c, v);

    if (!alive(v) || v->asked_data)
        return false;
    if (c->level >= SPEC_LEVEL_L3)
        return s->policy.providers[p].proofs == SOURCE_PROOFS_FINALIZED;
    return vote != NULL && eth_hash_eq(&vote->hash, &c->pin.hash);
}

/* Whether another provider of the group has given its data already. */
static bool group_gave(const struct source *s, const struct contract *c, uint32_t p)
{
    for (size_t q = 0; q < s->policy.n_providers; q++)
        if (alive(&c->voters[q]) && c->voters[q].asked_data &&
            strcmp(s->policy.providers[p].group, s->policy.providers[q].group) == 0)
            return true;
    return false;
}

/* Groups that gave or were asked and are alive. */
static uint32_t data_groups(const struct source *s, const struct contract *c)
{
    bool counts[SOURCE_PROVIDERS_MAX] = {false};
    for (size_t p = 0; p < s->policy.n_providers; p++)
        counts[p] = alive(&c->voters[p]) && c->voters[p].asked_data;
    return count_groups(s, counts);
}

/* Ask as many as the level needs; false when there is nobody left to ask and it is not enough. */
static bool ask_more_data(struct source *s)
{
    struct contract *c = state_of(s);
    uint32_t need = c->level == SPEC_LEVEL_L2 ? c->need : 1;

    for (uint32_t p = 0; p < s->policy.n_providers && data_groups(s, c) < need; p++)
        if (may_give_data(s, c, p) && !group_gave(s, c, p))
            ask_data(s, p);
    return s->err == MS_OK && data_groups(s, c) >= need;
}

static enum source_state fail_data(struct source *s)
{
    struct contract *c = state_of(s);

    if (s->err != MS_OK)
        return SOURCE_FAILED;
    for (uint32_t p = 0; p < s->policy.n_providers; p++)
        if (c->voters[p].dead && c->voters[p].asked_data)
            return source_fail(s, c->voters[p].err, &c->voters[p].diag);
    if (c->level >= SPEC_LEVEL_L3)
        return source_failf(s, MS_ERR_LEVEL,
                            "level l3 needs an endpoint that proves finalized state (proofs = "
                            "finalized)");
    return fail_quorum(s, data_groups(s, c));
}

static enum source_state ask_first_data(struct source *s)
{
    state_of(s)->phase = PHASE_DATA;
    return ask_more_data(s) ? SOURCE_WANTS : fail_data(s);
}

static enum source_state no_code(struct source *s)
{
    char text[ETH_ADDR_TEXT + 1];
    eth_addr_text(&s->spec->address, text);
    return source_fail_negative(s, MS_ERR_NO_CODE, CONTRACT_NO_CODE_S,
                                "there is no contract at %s on chain %llu", text,
                                (unsigned long long)s->spec->chain);
}

static bool has_code(const struct eth_account *account)
{
    static const struct ms_span nothing = {NULL, 0};
    struct eth_hash empty = eth_keccak256(nothing);
    return account->exists && !eth_hash_eq(&account->code_hash, &empty);
}

/* The call data of the providers asked, equal byte for byte; dead ones do not count. */
static const struct voter *agreeing_data(struct source *s, bool *ret_differ)
{
    struct contract *c = state_of(s);
    const struct voter *first = NULL;

    *ret_differ = false;
    for (uint32_t p = 0; p < s->policy.n_providers; p++) {
        const struct voter *v = &c->voters[p];
        if (!alive(v) || !v->asked_data || !v->has_call)
            continue;
        if (first != NULL && !ms_span_eq(first->call, v->call))
            *ret_differ = true;
        if (first == NULL || (!first->has_proof && v->has_proof))
            first = v;
    }
    return first;
}

/* `code=` pins what the account proof says. */
static bool code_pinned(const struct source *s, const struct contract *c)
{
    return !s->spec->has_code ||
           (c->proven && memcmp(s->spec->code, c->account.code_hash.b, ETH_HASH_BYTES) == 0);
}

static enum source_state want_payloads(struct source *s);

/* One provider's data: proof, code, then the snapshot against slot 0. */
static enum ms_err read_data(struct source *s, const struct voter *v, struct ms_diag *diag)
{
    struct contract *c = state_of(s);

    c->proven = v->has_proof;
    c->account = v->account;
    c->slot0 = v->slot0;
    if (v->has_proof && !has_code(&v->account))
        return MS_ERR_NO_CODE;
    if (c->proven && eth_word_is_zero(&c->slot0))
        return ms_diag_set(diag, MS_ERR_KIND, "slot 0 of the contract is empty: no registry");
    if (v->call.len == 0 && known_code(v))
        return ms_diag_set(diag, MS_ERR_COMMITMENT,
                           "answers with nothing although slot 0 commits to a state");
    if (v->call.len == 0)
        return v->has_proof ? ms_diag_set(diag, MS_ERR_KIND, "answers the registry's call with nothing")
                            : MS_ERR_NO_CODE;
    return c->proven ? registry_verify(&c->slot0, v->call, &s->arena, &c->snapshot, diag)
                     : registry_decode(v->call, &s->arena, &c->snapshot, diag);
}

/* At L1 the next provider is asked from the start; else there is nobody left. */
static enum source_state next_or_fail(struct source *s)
{
    struct contract *c = state_of(s);

    for (uint32_t p = 0; c->level == SPEC_LEVEL_L1 && p < s->policy.n_providers; p++) {
        if (alive(&c->voters[p]) && !c->voters[p].asked_heads) {
            c->phase = PHASE_HASH;
            return pin_by_one(s);
        }
    }
    return fail_data(s);
}

static enum source_state judge_data(struct source *s)
{
    struct contract *c = state_of(s);
    struct ms_diag diag = {0};
    bool differ = false;

    if (!ask_more_data(s)) /* replaces those that died meanwhile */
        return next_or_fail(s);
    if (c->out > 0)
        return SOURCE_WANTS;
    const struct voter *v = agreeing_data(s, &differ);
    if (v == NULL)
        return next_or_fail(s);
    if (differ)
        return source_failf(s, MS_ERR_DISSENT,
                            "RPC groups answer the same call at the same block differently");
    uint32_t p = (uint32_t)(v - c->voters);
    if (c->level >= SPEC_LEVEL_L3 && !v->has_proof) {
        kill_text(s, p, v->proof_err == MS_OK ? MS_ERR_PROOF : v->proof_err, "gives no proof");
        return judge_data(s);
    }
    enum ms_err err = read_data(s, v, &diag);
    if (err == MS_ERR_NO_CODE)
        return no_code(s);
    /* at L3 an empty answer is one provider's word, an empty slot 0 is proven */
    if (err == MS_ERR_KIND && (c->level != SPEC_LEVEL_L3 || eth_word_is_zero(&c->slot0)))
        return source_fail_negative(s, err, CONTRACT_NO_CODE_S,
                                    "the contract is no measurement registry");
    if (err != MS_OK && c->level != SPEC_LEVEL_L2) {
        kill_voter(s, p, err, &diag); /* a lie or a fault: the next one */
        return judge_data(s);
    }
    if (err != MS_OK)
        return source_fail(s, err, &diag);
    if (!code_pinned(s, c))
        return source_failf(s, MS_ERR_CODE_IDENTITY, c->proven
                                ? "the contract's code is not the one pinned by code="
                                : "code= needs an endpoint that proves finalized state");
    return want_payloads(s);
}

/* A revert is the contract's own answer, deterministic at this block: as good as data when as many groups
 * say it. It cannot be proven. */
static bool reverted(struct source *s)
{
    struct contract *c = state_of(s);
    bool counts[SOURCE_PROVIDERS_MAX] = {false};

    for (uint32_t p = 0; p < s->policy.n_providers; p++)
        counts[p] = c->voters[p].asked_data && c->voters[p].err == MS_ERR_REVERT;
    return c->level <= SPEC_LEVEL_L2 && count_groups(s, counts) >= c->need;
}

/* ---- payloads ---- */

static bool still_of_use(const struct source *s, const struct registry_release *release)
{
    return release->not_after_s == 0 || release->not_after_s > (uint64_t)s->started_s;
}

static enum source_state finish(struct source *s);

/* Ask for documents that are not on chain. Their warrant is the hash in the proven state, so any https
 * location will do. A release whose time is over needs none. */
static enum source_state want_payloads(struct source *s)
{
    struct contract *c = state_of(s);

    c->phase = PHASE_PAYLOAD;
    for (size_t i = 0; i < c->snapshot.n_releases; i++) {
        const struct registry_release *release = &c->snapshot.releases[i];
        struct ms_diag diag = {0};
        c->payloads[i] = release->payload;
        if (release->payload.len > 0 || !still_of_use(s, release))
            continue;
        if (release->payload_size > SOURCE_BODY_MAX_BYTES)
            return source_failf(s, MS_ERR_TOO_LARGE,
                                "release %llu has no document on chain and one of %u bytes elsewhere",
                                (unsigned long long)release->id, release->payload_size);
        struct spec_location *location = ms_arena_alloc(&s->arena, 1, sizeof(*location));
        if (location == NULL)
            return source_fail(s, MS_ERR_MEMORY, NULL);
        enum ms_err err = spec_location_parse(release->uri, &s->arena, location, &diag);
        if (err != MS_OK)
            return source_failf(s, err, "release %llu has no document on chain and its uri: %s",
                                (unsigned long long)release->id, ms_diag_text(&diag, err));
        struct source_request request = {.kind = SOURCE_REQUEST_HTTP, .location = location,
                                         .max_bytes = release->payload_size};
        struct source_request *sent = source_want(s, &request);
        if (sent == NULL)
            return SOURCE_FAILED;
        c->asks[sent->id] = (struct ask){.release = i};
        c->out++;
    }
    return c->out > 0 ? SOURCE_WANTS : finish(s);
}

static enum source_state take_payload(struct source *s, const struct ask *ask,
                                      const struct source_response *response)
{
    struct contract *c = state_of(s);
    const struct registry_release *release = &c->snapshot.releases[ask->release];
    unsigned long long id = release->id;

    if (response->err != MS_OK)
        return source_failf(s, response->err, "the document of release %llu: %s", id,
                            ms_diag_text(&response->diag, response->err));
    if (response->status != 200)
        return source_failf(s, MS_ERR_HTTP, "the document of release %llu: HTTP status %u", id,
                            response->status);
    struct ms_sha256 got = ms_sha256(response->body);
    if (response->body.len != release->payload_size ||
        !ms_sha256_eq(&got, &release->payload_hash))
        return source_failf(s, MS_ERR_HASH,
                            "the document of release %llu is not the one approved on chain", id);
    const char *copy = ms_arena_strdup(&s->arena, response->body);
    if (copy == NULL)
        return source_fail(s, MS_ERR_MEMORY, NULL);
    c->payloads[ask->release] = ms_span_of(copy, response->body.len);
    return c->out > 0 ? SOURCE_WANTS : finish(s);
}

/* ---- the result ---- */

/* Payload formats of 3.2: 1 JSON, 2 gzip of it. */
static enum ms_err read_payload(const struct registry_release *release, struct ms_span payload,
                                struct rec_set *set, struct ms_diag *diag)
{
    struct ms_buf plain = MS_BUF_INIT(REC_DOC_MAX_BYTES);
    enum ms_err err = MS_OK;

    if (release->payload_format == 2) {
        err = ms_gunzip(payload, CONTRACT_GZIP_RATIO, &plain, diag);
        payload = ms_buf_span(&plain);
    } else if (release->payload_format != 1) {
        err = ms_diag_set(diag, MS_ERR_UNSUPPORTED, "payload format %u is not readable yet",
                          (unsigned)release->payload_format);
    }
    if (err == MS_OK)
        err = rec_parse(payload, REC_MODE_DIALECTS, set, diag);
    ms_buf_done(&plain);
    return err;
}

static int64_t clamp_time(uint64_t unix_s)
{
    return unix_s > INT64_MAX ? INT64_MAX : (int64_t)unix_s;
}

static enum source_state add_release(struct source *s, size_t i)
{
    struct contract *c = state_of(s);
    const struct registry_release *release = &c->snapshot.releases[i];
    struct ms_diag diag = {0};
    char version[24];

    struct source_release *out = source_result_add_release(s->result);
    if (out == NULL)
        return source_fail(s, MS_ERR_MEMORY, NULL);
    (void)snprintf(version, sizeof(version), "%llu", (unsigned long long)release->version);
    out->id = release->id;
    out->version = ms_arena_strdup(&s->result->arena, ms_span_str(version));
    out->not_before_s = clamp_time(release->not_before_s);
    out->not_after_s = clamp_time(release->not_after_s);
    if (out->version == NULL)
        return source_fail(s, MS_ERR_MEMORY, NULL);
    if (c->payloads[i].len == 0)
        return SOURCE_DONE; /* its time is over: listed, never in force */
    enum ms_err err = read_payload(release, c->payloads[i], out->set, &diag);
    if (err != MS_OK)
        return source_failf(s, err, "the document of release %llu: %s",
                            (unsigned long long)release->id, ms_diag_text(&diag, err));
    for (size_t w = 0; w < out->set->n_warnings; w++)
        source_result_warn(s->result, out->set->warnings[w].code, "release %llu: %s",
                           (unsigned long long)release->id, out->set->warnings[w].text);
    return SOURCE_DONE;
}

static json_t *address_json(const struct eth_addr *addr)
{
    char text[ETH_ADDR_TEXT + 1];
    if (eth_addr_is_zero(addr))
        return json_null();
    eth_addr_text(addr, text);
    return json_string(text);
}

static json_t *hash_json(const uint8_t *bytes)
{
    char text[2 + 2 * ETH_HASH_BYTES + 1] = "0x";
    ms_hex_encode(ms_span_of(bytes, ETH_HASH_BYTES), text + 2);
    return json_string(text);
}

static json_t *governance_json(const struct source *s, const struct contract *c)
{
    const struct registry_state *r = &c->snapshot.state;
    json_t *out = json_pack(
        "{s:s, s:I, s:o, s:o, s:o, s:I, s:I, s:I, s:o}", "adapter", "registry", "chain",
        (json_int_t)s->spec->chain, "address", address_json(&s->spec->address), "owner",
        address_json(&r->owner), "guardian", address_json(&r->guardian), "min_delay",
        (json_int_t)r->min_delay_s, "updated_at", (json_int_t)r->updated_at_s, "updated_block",
        (json_int_t)r->updated_block, "history_hash", hash_json(r->history_hash.b));

    if (out != NULL && c->proven)
        (void)json_object_set_new(out, "code_hash", hash_json(c->account.code_hash.b));
    return out;
}

static void add_warnings(struct source *s, const struct contract *c)
{
    static const struct eth_hash known = REGISTRY_CODE_HASH;
    int64_t age_s = s->started_s - (int64_t)c->pin.timestamp_s;

    if (age_s > CONTRACT_WARN_AGE_S)
        source_result_warn(s->result, "old-finality", "the finalized block is %lld minutes old",
                           (long long)(age_s / 60));
    if (!c->proven)
        source_result_warn(s->result, "no-proof",
                           "the endpoint gave no proof: the answer rests on its word alone");
    else if (!eth_hash_eq(&known, &c->account.code_hash))
        source_result_warn(s->result, "unknown-code",
                           "the registry's code is not that of the reference contract");
}

static enum source_state finish(struct source *s)
{
    struct contract *c = state_of(s);
    struct source_result *r = source_result_begin(s);

    if (r == NULL)
        return source_fail(s, MS_ERR_MEMORY, NULL);
    for (size_t i = 0; i < c->snapshot.n_releases; i++)
        if (add_release(s, i) != SOURCE_DONE)
            return SOURCE_FAILED;
    r->level = c->level;
    r->trust = c->level >= SPEC_LEVEL_L3   ? SOURCE_TRUST_PROOF
               : c->level == SPEC_LEVEL_L2 ? SOURCE_TRUST_QUORUM
                                           : SOURCE_TRUST_SINGLE;
    r->trust_k = c->agreed;
    r->trust_n = c->groups;
    r->block = (struct source_block){.chain = s->spec->chain, .number = c->pin.number,
                                     .hash = c->pin.hash, .time_s = (int64_t)c->pin.timestamp_s};
    r->has_sequence = true;
    r->sequence = c->snapshot.state.sequence;
    struct eth_hash commitment = registry_commitment(&c->snapshot);
    memcpy(r->commitment.b, commitment.b, MS_SHA256_BYTES);
    r->valid_until_s = clamp_time(c->snapshot.state.valid_until_s);
    r->evidence_time_s = (int64_t)c->pin.timestamp_s;
    r->life = (struct source_lifetime){.fresh_s = CONTRACT_FRESH_S, .swr_s = CONTRACT_FRESH_S,
                                       .sie_s = CONTRACT_SIE_S,
                                       .ceiling_s = s->policy.max_evidence_age_s};
    r->adapter = "registry";
    r->governance = governance_json(s, c);
    if (r->governance == NULL)
        return source_fail(s, MS_ERR_MEMORY, NULL);
    add_warnings(s, c);
    return source_finish(s);
}

/* ---- the machine ---- */

static enum source_state start(struct source *s)
{
    struct contract *c = state_of(s);

    if (c->level == SPEC_LEVEL_L1)
        return pin_by_one(s);
    for (uint32_t p = 0; p < s->policy.n_providers; p++)
        if (c->voters[p].usable)
            ask_heads(s, p);
    return s->err == MS_OK && c->out > 0 ? SOURCE_WANTS : fail_quorum(s, 0);
}

static enum source_state contract_step(struct source *s, const struct source_response *response,
                                       struct ms_now now)
{
    struct contract *c = state_of(s);
    (void)now; /* ages are counted from the start, so that a replay sees the same */

    if (response == NULL)
        return start(s);
    const struct ask *ask = &c->asks[response->id];
    c->out--;
    if (c->phase == PHASE_PAYLOAD)
        return take_payload(s, ask, response);
    take_rpc(s, ask, response);
    if (s->err != MS_OK)
        return SOURCE_FAILED;
    if (c->out > 0)
        return SOURCE_WANTS;
    switch (c->phase) {
    case PHASE_HASH:
        return c->level == SPEC_LEVEL_L1 ? pin_by_one(s) : pin_by_quorum(s);
    case PHASE_AT:
        return tally(s);
    case PHASE_DATA:
        if (reverted(s))
            return source_fail_negative(s, MS_ERR_KIND, CONTRACT_REVERT_S,
                                        "the contract reverts: it is no measurement registry");
        return judge_data(s);
    case PHASE_PAYLOAD:
        break;
    }
    return source_failf(s, MS_ERR_INTERNAL, "contract source lost its way");
}

/* Providers of the chain that may be asked; how many groups they are. */
static uint32_t choose_voters(struct source *s, struct contract *c, bool *ret_configured)
{
    bool ours[SOURCE_PROVIDERS_MAX] = {false}, usable[SOURCE_PROVIDERS_MAX] = {false};

    for (size_t p = 0; p < s->policy.n_providers; p++) {
        ours[p] = s->policy.providers[p].chain == s->spec->chain;
        usable[p] = ours[p] && !s->policy.providers[p].benched;
        c->voters[p].usable = usable[p];
    }
    c->groups = count_groups(s, ours);
    *ret_configured = c->groups > 0;
    return count_groups(s, usable);
}

static enum ms_err check_kind(const struct spec *spec, struct ms_diag *diag)
{
    if (spec->adapter == NULL || strcmp(spec->adapter, "registry") == 0)
        return MS_OK;
    return ms_diag_set(diag, MS_ERR_UNSUPPORTED, "contracts of kind=%s are not yet resolvable",
                       spec->adapter);
}

enum ms_err source_contract_init(struct source *s, struct ms_now now, struct ms_diag *diag)
{
    unsigned long long chain = s->spec->chain;
    bool configured = false;
    (void)now;

    enum ms_err err = check_kind(s->spec, diag);
    if (err != MS_OK)
        return err;
    struct contract *c = ms_arena_alloc(&s->arena, 1, sizeof(*c));
    if (c == NULL)
        return MS_ERR_MEMORY;
    s->kind_state = c;
    s->step = contract_step;
    c->level = s->policy.level;
    if (c->level < SPEC_LEVEL_L1 || c->level > SPEC_LEVEL_L3)
        return ms_diag_set(diag, MS_ERR_LEVEL, "read level %s is not available",
                           spec_level_name(c->level));
    c->need = c->level == SPEC_LEVEL_L1 ? 1 : s->policy.quorum;
    uint32_t groups = choose_voters(s, c, &configured);
    if (!configured)
        return ms_diag_set(diag, MS_ERR_NO_RPC,
                           "no [rpc] section of the configuration serves chain %llu", chain);
    if (groups < c->need)
        return ms_diag_set(diag, MS_ERR_QUORUM,
                           "level %s needs %u independent RPC groups for chain %llu, %u can be "
                           "asked",
                           spec_level_name(c->level), c->need, chain, groups);
    return MS_OK;
}
