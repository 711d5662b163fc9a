/* resolver/source/reading.c - reading a contract at a believed block. */
#include "resolver/source/reading.h"

#include "eth/slot.h"

static struct source *source_of(const struct reading *r)
{
    return r->trusted->set->s;
}

static struct rpcset *set_of(const struct reading *r)
{
    return r->trusted->set;
}

void reading_init(struct reading *r, struct trusted *trusted, const struct trusted_hash *pin,
                  bool head, uint32_t what_base, const struct reading_plan *plan)
{
    *r = (struct reading){
        .trusted = trusted, .pin = pin, .head = head, .what_base = what_base, .plan = *plan};
}

/* ---- asking ---- */

static bool good(const struct reading *r, uint32_t p)
{
    return rpcset_alive(set_of(r), p) && !r->peers[p].failed;
}

/* L3 takes a proof from anybody. */
static bool by_proof(const struct reading *r)
{
    return r->trusted->level >= SPEC_LEVEL_L3 && !r->plan.quorum;
}

static bool can_prove(const struct reading *r, uint32_t p)
{
    if (r->plan.quorum)
        return false;
    enum source_proofs proofs = rpcset_provider(set_of(r), p)->proofs;
    return proofs == SOURCE_PROOFS_FINALIZED || (r->head && proofs == SOURCE_PROOFS_HEAD);
}

/* Without a proof only those who vouch for the block may speak. */
static bool may_give(const struct reading *r, uint32_t p)
{
    if (!good(r, p) || r->peers[p].asked)
        return false;
    if (by_proof(r))
        return can_prove(r, p);
    return r->head ? trusted_voted_head(r->trusted, p) : trusted_voted_final(r->trusted, p);
}

/* Has answered in a way that can be used. */
static bool told(const struct reading *r, uint32_t p)
{
    const struct reading_peer *peer = &r->peers[p];
    return good(r, p) && peer->asked && reading_has_calls(r, peer) &&
           (reading_has_proof(r, peer) || peer->no_proof || !can_prove(r, p));
}

/* Has answered, or is waited for. */
static bool in_play(const struct reading *r, uint32_t p)
{
    return good(r, p) && r->peers[p].asked && (!r->peers[p].late || told(r, p));
}

static bool group_asked(const struct reading *r, uint32_t p)
{
    for (uint32_t q = 0; q < rpcset_n(set_of(r)); q++)
        if (in_play(r, q) && rpcset_same_group(set_of(r), p, q))
            return true;
    return false;
}

static uint32_t groups_asked(const struct reading *r)
{
    bool counts[SOURCE_PROVIDERS_MAX] = {false};
    for (uint32_t p = 0; p < rpcset_n(set_of(r)); p++)
        counts[p] = in_play(r, p);
    return rpcset_groups(set_of(r), counts);
}

static uint32_t need_of(const struct reading *r)
{
    return r->trusted->level == SPEC_LEVEL_L2 || r->plan.quorum ? r->trusted->need : 1;
}

static struct rpc_call call_at(const struct reading *r, enum rpc_method method,
                               enum reading_part part, const struct eth_addr *to)
{
    return (struct rpc_call){
        .method = method,
        .what = r->what_base + (uint32_t)part,
        .block = {.form = ETH_BLOCK_HASH_CANONICAL, .hash = r->pin->header.hash},
        .to = *to,
    };
}

static const struct eth_addr *address_of(const struct reading *r, size_t which)
{
    return which == 0 ? &r->plan.address : &r->plan.other;
}

static size_t proofs_at(const struct reading *r, size_t which)
{
    size_t ignored, n = reading_keys_at(&r->plan, which, &ignored);
    n = (n + RPCSET_KEYS_MAX - 1) / RPCSET_KEYS_MAX;
    return n == 0 ? 1 : n; /* the account is worth one */
}

static size_t proofs_of(const struct reading *r)
{
    return proofs_at(r, 0) + (r->plan.has_other ? proofs_at(r, 1) : 0);
}

/* The i-th proof asked of a peer; its index is that of its first key in the plan. */
static struct rpc_call nth_proof(const struct reading *r, size_t i)
{
    size_t which = r->plan.has_other && i >= proofs_at(r, 0) ? 1 : 0, begin;
    size_t n = reading_keys_at(&r->plan, which, &begin);
    size_t done = (which == 0 ? i : i - proofs_at(r, 0)) * RPCSET_KEYS_MAX;
    struct rpc_call proof = call_at(r, RPC_PROOF, READING_PROOF, address_of(r, which));

    proof.index = (uint32_t)(begin + done);
    proof.keys = r->plan.keys + proof.index;
    proof.n_keys = n - done < RPCSET_KEYS_MAX ? n - done : RPCSET_KEYS_MAX;
    return proof;
}

/* The i-th thing asked of a peer: the calls, then the proofs. */
static struct rpc_call nth_call(const struct reading *r, size_t i)
{
    if (i < r->plan.n_calls) {
        struct rpc_call call = call_at(r, RPC_CALL, READING_CALL, reading_call_to(&r->plan, i));
        call.index = (uint32_t)i;
        call.data = r->plan.calls[i];
        return call;
    }
    return nth_proof(r, i - r->plan.n_calls);
}

static bool make_room(struct reading *r, struct reading_peer *peer)
{
    struct ms_arena *arena = &source_of(r)->arena;

    peer->calls = ms_arena_alloc(arena, r->plan.n_calls + 1, sizeof(*peer->calls));
    peer->reverted = ms_arena_alloc(arena, r->plan.n_calls + 1, sizeof(*peer->reverted));
    peer->values = ms_arena_alloc(arena, r->plan.n_keys + 1, sizeof(*peer->values));
    if (peer->calls != NULL && peer->reverted != NULL && peer->values != NULL)
        return true;
    (void)source_fail(source_of(r), MS_ERR_MEMORY, NULL);
    return false;
}

static bool ask_peer(struct reading *r, uint32_t p)
{
    size_t n = r->plan.n_calls + (can_prove(r, p) ? proofs_of(r) : 0);

    r->peers[p].asked = true;
    if (!make_room(r, &r->peers[p]))
        return false;
    for (size_t i = 0; i < n;) {
        struct rpc_call calls[RPCSET_CALLS_MAX];
        size_t k = 0;
        while (i < n && k < RPCSET_CALLS_MAX)
            calls[k++] = nth_call(r, i++);
        if (!rpcset_send(set_of(r), p, calls, k))
            return false;
    }
    return true;
}

/* Others did not wait for it: asked last. */
static bool slow(const struct reading *r, uint32_t p)
{
    return set_of(r)->peers[p].late > 0;
}

static bool ask_those(struct reading *r, bool prove, bool are_slow)
{
    for (uint32_t p = 0; p < rpcset_n(set_of(r)) && groups_asked(r) < need_of(r); p++)
        if (can_prove(r, p) == prove && slow(r, p) == are_slow && may_give(r, p) &&
            !group_asked(r, p) && !ask_peer(r, p))
            return false;
    return true;
}

bool reading_ask(struct reading *r)
{
    /* those that prove first: the code behind the address is known only by a proof */
    return ask_those(r, true, false) && ask_those(r, false, false) && ask_those(r, true, true) &&
           ask_those(r, false, true) && groups_asked(r) >= need_of(r);
}

/* ---- patience ---- */

bool reading_can_hurry(const struct reading *r)
{
    bool counts[SOURCE_PROVIDERS_MAX] = {false};

    for (uint32_t p = 0; p < rpcset_n(set_of(r)); p++)
        counts[p] = told(r, p) || (may_give(r, p) && !slow(r, p));
    return rpcset_groups(set_of(r), counts) >= need_of(r);
}

void reading_hurry(struct reading *r)
{
    for (uint32_t p = 0; p < rpcset_n(set_of(r)); p++)
        r->peers[p].late = r->peers[p].asked && slow(r, p);
}

/* Nobody else is left: those who are slow are waited for after all. */
static bool wait_after_all(struct reading *r)
{
    bool any = false;

    for (uint32_t p = 0; p < rpcset_n(set_of(r)); p++) {
        any = any || (good(r, p) && r->peers[p].late && slow(r, p));
        r->peers[p].late = r->peers[p].late && !slow(r, p);
    }
    return any && rpcset_await(set_of(r));
}

bool reading_ask_code(struct reading *r)
{
    struct rpc_call calls[2 * READING_CONTRACTS_MAX];
    struct eth_word *key = ms_arena_alloc(&source_of(r)->arena, 1, sizeof(*key));
    size_t n = 0;

    if (key == NULL) {
        (void)source_fail(source_of(r), MS_ERR_MEMORY, NULL);
        return false;
    }
    *key = eth_slot_eip1967("eip1967.proxy.implementation");
    for (uint32_t i = 0; i < reading_contracts(&r->plan); i++) {
        calls[n] = call_at(r, RPC_CODE, READING_CODE, address_of(r, i));
        calls[n++].index = i;
        calls[n] = call_at(r, RPC_PROOF, READING_IMPLEMENTATION, address_of(r, i));
        calls[n].n_keys = 1;
        calls[n].keys = key;
        calls[n++].index = i;
    }
    return rpcset_send(set_of(r), r->from, calls, n);
}

/* ---- results ---- */

/* This peer is of no use for this reading; at the finalized block for nothing else either. */
static void fail_peer(struct reading *r, uint32_t p, enum ms_err err, const struct ms_diag *diag)
{
    struct reading_peer *peer = &r->peers[p];

    if (!peer->failed) {
        peer->failed = true;
        peer->err = err;
        (void)ms_diag_set(&peer->diag, err, "%s: %s", rpcset_provider(set_of(r), p)->name,
                          ms_diag_text(diag, err));
        /* what the contract says, and the newest state, which may be gone by now, are not its
         * failing */
        if (!r->head && !r->plan.soft && err != MS_ERR_REVERT && err != MS_ERR_KIND &&
            err != MS_ERR_COMMITMENT && err != MS_ERR_ABI && err != MS_ERR_LEVEL)
            source_of(r)->faulted[p] = true;
    }
    if (err == MS_ERR_PROOF)
        rpcset_kill(set_of(r), p, err, diag); /* a lie ends it everywhere */
}

static bool take_data(struct reading *r, uint32_t p, const json_t *result, struct ms_span *ret)
{
    struct ms_buf data = MS_BUF_INIT(SOURCE_RPC_BODY_MAX_BYTES);
    struct ms_diag diag = {0};

    enum ms_err err = eth_rpc_result_data(result, &data, &diag);
    if (err == MS_OK) {
        const char *copy = ms_arena_strdup(&source_of(r)->arena, ms_buf_span(&data));
        if (copy == NULL)
            err = MS_ERR_MEMORY;
        else
            *ret = ms_span_of(copy, data.len);
    }
    ms_buf_done(&data);
    if (err != MS_OK)
        fail_peer(r, p, err, &diag);
    return err == MS_OK;
}

static bool take_proof(struct reading *r, uint32_t p, const struct rpc_call *call,
                       const json_t *result, struct eth_account *ret_account,
                       struct eth_word *ret_values)
{
    struct ms_diag diag = {0};

    enum ms_err err = eth_proof_verify(result, &r->pin->header.state_root, &call->to, call->keys,
                                       call->n_keys, ret_account, ret_values, &diag);
    if (err != MS_OK)
        fail_peer(r, p, err, &diag);
    return err == MS_OK;
}

static void keep_record(struct reading *r, uint32_t p, const struct rpc_call *call,
                        const json_t *result)
{
    json_t *copy = json_deep_copy(result);

    if (json_array_append_new(r->record, json_pack("{s:i, s:i, s:i, s:o}", "peer", (int)p, "what",
                                                   (int)(call->what - r->what_base), "index",
                                                   (int)call->index, "result", copy)) != 0)
        r->record = NULL; /* memory is out: nothing is kept */
}

void reading_result(struct reading *r, uint32_t p, const struct rpc_call *call,
                    const json_t *result)
{
    struct reading_peer *peer = &r->peers[p];
    bool other = r->plan.has_other && call->index >= r->plan.other_key; /* of a proof */
    size_t first;

    if (r->record != NULL)
        keep_record(r, p, call, result);
    switch ((enum reading_part)(call->what - r->what_base)) {
    case READING_CALL:
        peer->calls_in += take_data(r, p, result, &peer->calls[call->index]);
        return;
    case READING_PROOF:
        (void)reading_keys_at(&r->plan, other, &first);
        if (take_proof(r, p, call, result, &peer->at[other].account, peer->values + call->index))
            peer->keys_in += call->n_keys + (call->index == first);
        return;
    case READING_IMPLEMENTATION:
        peer->at[call->index].has_implementation =
            take_proof(r, p, call, result, &peer->at[call->index].account,
                       &peer->at[call->index].implementation);
        return;
    case READING_CODE:
        peer->at[call->index].has_code = take_data(r, p, result, &peer->at[call->index].code);
        return;
    case READING_PARTS:
        return;
    }
}

bool reading_failed(struct reading *r, uint32_t p, const struct rpc_call *call, enum ms_err err,
                    const struct ms_diag *diag)
{
    enum reading_part part = (enum reading_part)(call->what - r->what_base);

    if (part == READING_CALL && err == MS_ERR_REVERT && r->plan.soft) {
        r->peers[p].reverted[call->index] = true;
        r->peers[p].calls_in++;
        return true;
    }
    /* one that does not prove may still answer; below L3 that is enough */
    if (part != READING_PROOF || r->trusted->level >= SPEC_LEVEL_L3)
        fail_peer(r, p, err, diag);
    else
        r->peers[p].no_proof = true;
    return true;
}

/* ---- kept answers ---- */

struct ms_sha256 reading_plan_hash(const struct reading_plan *plan)
{
    struct ms_buf text = MS_BUF_INIT((size_t)1 << 20);

    (void)ms_buf_add(&text, ms_span_of(plan->address.b, ETH_ADDR_BYTES));
    for (size_t i = 0; i < plan->n_calls; i++) {
        struct ms_sha256 hash = ms_sha256(plan->calls[i]);
        (void)ms_buf_add(&text, ms_span_of(hash.b, sizeof(hash.b)));
    }
    (void)ms_buf_add_str(&text, "keys");
    for (size_t i = 0; i < plan->n_keys; i++)
        (void)ms_buf_add(&text, eth_word_span(&plan->keys[i]));
    if (plan->has_other) {
        (void)ms_buf_addf(&text, "other%zu,%zu", plan->other_call, plan->other_key);
        (void)ms_buf_add(&text, ms_span_of(plan->other.b, ETH_ADDR_BYTES));
    }
    struct ms_sha256 out = ms_sha256(ms_buf_span(&text));
    ms_buf_done(&text);
    return out;
}

json_t *reading_recorded(const struct reading *r)
{
    json_t *out = json_array(), *one;
    size_t i;

    json_array_foreach(r->record, i, one)
    {
        if (json_integer_value(json_object_get(one, "peer")) == (json_int_t)r->from &&
            json_array_append(out, one) != 0) {
            json_decref(out);
            return NULL;
        }
    }
    return out;
}

/* What was asked for, of this place in a plan. false: a plan has no such place. */
static bool asked_for(const struct reading *r, const json_t *one, struct rpc_call *ret_call,
                      const struct eth_word *implementation)
{
    json_int_t what = json_integer_value(json_object_get(one, "what"));
    json_int_t index = json_integer_value(json_object_get(one, "index"));

    if (what == READING_CALL && index >= 0 && (size_t)index < r->plan.n_calls) {
        *ret_call = nth_call(r, (size_t)index);
        return true;
    }
    for (size_t i = 0; what == READING_PROOF && i < proofs_of(r); i++) {
        *ret_call = nth_proof(r, i);
        if (ret_call->index == index)
            return true;
    }
    if ((what != READING_CODE && what != READING_IMPLEMENTATION) || index < 0 ||
        (size_t)index >= reading_contracts(&r->plan))
        return false;
    *ret_call = call_at(r, what == READING_CODE ? RPC_CODE : RPC_PROOF, (enum reading_part)what,
                        address_of(r, (size_t)index));
    ret_call->index = (uint32_t)index;
    ret_call->keys = implementation;
    ret_call->n_keys = what == READING_CODE ? 0 : 1;
    return true;
}

bool reading_feed(struct reading *r, uint32_t p, const json_t *answers)
{
    struct eth_word implementation = eth_slot_eip1967("eip1967.proxy.implementation");
    const json_t *one;
    size_t i;

    r->peers[p].asked = true;
    if (!make_room(r, &r->peers[p]))
        return false;
    json_array_foreach(answers, i, one)
    {
        const json_t *result = json_object_get(one, "result");
        struct rpc_call call;
        if (result != NULL && asked_for(r, one, &call, &implementation))
            reading_result(r, p, &call, result);
    }
    return true;
}

/* ---- judging ---- */

/* An answer that its own proof refutes counts for nothing, so that one such endpoint makes no
 * dissent. */
static void drop_refuted(struct reading *r)
{
    for (uint32_t p = 0; p < rpcset_n(set_of(r)); p++) {
        struct reading_peer *peer = &r->peers[p];
        struct ms_diag diag = {0};
        if (!good(r, p) || !peer->asked || !reading_has_calls(r, peer) ||
            !reading_has_proof(r, peer) || r->agrees == NULL || r->agrees(r, peer))
            continue;
        fail_peer(r, p, ms_diag_set(&diag, MS_ERR_COMMITMENT, "its own proof refutes its answer"),
                  &diag);
    }
}

static bool same_calls(const struct reading *r, const struct reading_peer *a,
                       const struct reading_peer *b)
{
    for (size_t i = 0; i < r->plan.n_calls; i++)
        if (a->reverted[i] != b->reverted[i] || !ms_span_eq(a->calls[i], b->calls[i]))
            return false;
    return true;
}

/* The answers taken are equal byte for byte, or a proof will tell; the one with a proof is
 * preferred. -1 none, -2 they differ. */
static int agreeing(const struct reading *r)
{
    int first = -1;

    for (uint32_t p = 0; p < rpcset_n(set_of(r)); p++) {
        const struct reading_peer *peer = &r->peers[p];
        if (!in_play(r, p) || !reading_has_calls(r, peer))
            continue;
        if (!by_proof(r) && first >= 0 && !same_calls(r, &r->peers[first], peer))
            return -2;
        if (first < 0 || (!reading_has_proof(r, &r->peers[first]) && reading_has_proof(r, peer)))
            first = (int)p;
    }
    return first;
}

enum reading_state reading_judge(struct reading *r)
{
    for (;;) {
        if (!reading_ask(r)) /* in place of those that failed meanwhile */
            return source_of(r)->err == MS_OK && wait_after_all(r) ? READING_MORE : READING_FAILED;
        if (set_of(r)->out > 0)
            return READING_MORE;
        if (r->trusted->level == SPEC_LEVEL_L2 && !r->plan.quorum) {
            drop_refuted(r);
            if (groups_asked(r) < need_of(r))
                continue; /* somebody else is asked */
        }
        int first = agreeing(r);
        if (first == -2)
            return READING_DIFFER;
        if (first < 0)
            return READING_FAILED;
        r->from = (uint32_t)first;
        r->proven = reading_has_proof(r, &r->peers[first]);
        if (r->proven || !by_proof(r))
            return READING_DONE;
        struct ms_diag diag = {0};
        fail_peer(r, r->from, ms_diag_set(&diag, MS_ERR_LEVEL, "gives no proof"), &diag);
    }
}

void reading_reject(struct reading *r, enum ms_err err, const struct ms_diag *diag)
{
    fail_peer(r, r->from, err, diag);
}

enum ms_err reading_why(const struct reading *r, struct ms_diag *ret_diag)
{
    for (uint32_t p = 0; p < rpcset_n(set_of(r)); p++) {
        const struct rpc_peer *peer = &set_of(r)->peers[p];
        if (!r->peers[p].asked || (!r->peers[p].failed && !peer->dead))
            continue;
        *ret_diag = r->peers[p].failed ? r->peers[p].diag : peer->diag;
        return r->peers[p].failed ? r->peers[p].err : peer->err;
    }
    if (by_proof(r))
        return ms_diag_set(ret_diag, MS_ERR_LEVEL,
                           "level l3 needs an endpoint that proves finalized state (proofs = "
                           "finalized)");
    return ms_diag_set(ret_diag, MS_ERR_QUORUM, "%u of the %u RPC groups needed can give the data",
                       groups_asked(r), need_of(r));
}

bool reading_reverted(const struct reading *r)
{
    bool counts[SOURCE_PROVIDERS_MAX] = {false};

    for (uint32_t p = 0; p < rpcset_n(set_of(r)); p++)
        counts[p] = r->peers[p].asked && r->peers[p].failed && r->peers[p].err == MS_ERR_REVERT;
    return r->trusted->level <= SPEC_LEVEL_L2 && rpcset_groups(set_of(r), counts) >= need_of(r);
}
