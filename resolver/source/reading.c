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
                  bool head, uint32_t what_base, const struct eth_addr *address,
                  struct ms_span data)
{
    *r = (struct reading){.trusted = trusted,
                          .pin = pin,
                          .head = head,
                          .what_base = what_base,
                          .address = *address,
                          .data = data};
}

/* ---- asking ---- */

static bool good(const struct reading *r, uint32_t p)
{
    return rpcset_alive(set_of(r), p) && !r->peers[p].failed;
}

static bool can_prove(const struct reading *r, uint32_t p)
{
    enum source_proofs proofs = rpcset_provider(set_of(r), p)->proofs;
    return proofs == SOURCE_PROOFS_FINALIZED || (r->head && proofs == SOURCE_PROOFS_HEAD);
}

/* L3 believes a proof from anybody; below it only those who vouch for the block may speak. */
static bool may_give(const struct reading *r, uint32_t p)
{
    if (!good(r, p) || r->peers[p].asked)
        return false;
    if (r->trusted->level >= SPEC_LEVEL_L3)
        return can_prove(r, p);
    return r->head ? trusted_voted_head(r->trusted, p) : trusted_voted_final(r->trusted, p);
}

static bool group_asked(const struct reading *r, uint32_t p)
{
    for (uint32_t q = 0; q < rpcset_n(set_of(r)); q++)
        if (good(r, q) && r->peers[q].asked && rpcset_same_group(set_of(r), p, q))
            return true;
    return false;
}

static uint32_t groups_asked(const struct reading *r)
{
    bool counts[SOURCE_PROVIDERS_MAX] = {false};
    for (uint32_t p = 0; p < rpcset_n(set_of(r)); p++)
        counts[p] = good(r, p) && r->peers[p].asked;
    return rpcset_groups(set_of(r), counts);
}

static uint32_t need_of(const struct reading *r)
{
    return r->trusted->level == SPEC_LEVEL_L2 ? r->trusted->need : 1;
}

static struct rpc_call call_at(const struct reading *r, enum rpc_method method,
                               enum reading_part part)
{
    return (struct rpc_call){
        .method = method,
        .what = r->what_base + (uint32_t)part,
        .block = {.form = ETH_BLOCK_HASH_CANONICAL, .hash = r->pin->header.hash},
        .to = r->address,
        .data = r->data,
    };
}

static bool ask_peer(struct reading *r, uint32_t p)
{
    struct rpc_call calls[2] = {call_at(r, RPC_CALL, READING_CALL),
                                call_at(r, RPC_PROOF, READING_PROOF)};

    calls[1].n_keys = 1; /* keys[0] is zero: slot 0 */
    r->peers[p].asked = true;
    return rpcset_send(set_of(r), p, calls, can_prove(r, p) ? 2 : 1);
}

bool reading_ask(struct reading *r)
{
    /* those that prove first: the code behind the address is known only by a proof */
    for (int prove = 1; prove >= 0; prove--)
        for (uint32_t p = 0; p < rpcset_n(set_of(r)) && groups_asked(r) < need_of(r); p++)
            if (can_prove(r, p) == (prove == 1) && may_give(r, p) && !group_asked(r, p) &&
                !ask_peer(r, p))
                return false;
    return groups_asked(r) >= need_of(r);
}

bool reading_ask_code(struct reading *r)
{
    struct rpc_call calls[2] = {call_at(r, RPC_CODE, READING_CODE),
                                call_at(r, RPC_PROOF, READING_IMPLEMENTATION)};

    calls[1].n_keys = 1;
    calls[1].keys[0] = eth_slot_eip1967("eip1967.proxy.implementation");
    return rpcset_send(set_of(r), r->from, calls, 2);
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
        if (!r->head && err != MS_ERR_REVERT && err != MS_ERR_KIND && err != MS_ERR_COMMITMENT &&
            err != MS_ERR_ABI && err != MS_ERR_LEVEL)
            source_of(r)->faulted[p] = true;
    }
    if (err == MS_ERR_PROOF)
        rpcset_kill(set_of(r), p, err, diag); /* a lie ends it everywhere */
}

static void take_data(struct reading *r, uint32_t p, const json_t *result, struct ms_span *ret,
                      bool *ret_has)
{
    struct ms_buf data = MS_BUF_INIT(SOURCE_RPC_BODY_MAX_BYTES);
    struct ms_diag diag = {0};

    enum ms_err err = eth_rpc_result_data(result, &data, &diag);
    if (err == MS_OK) {
        const char *copy = ms_arena_strdup(&source_of(r)->arena, ms_buf_span(&data));
        if (copy == NULL) {
            err = MS_ERR_MEMORY;
        } else {
            *ret = ms_span_of(copy, data.len);
            *ret_has = true;
        }
    }
    ms_buf_done(&data);
    if (err != MS_OK)
        fail_peer(r, p, err, &diag);
}

static void take_proof(struct reading *r, uint32_t p, const struct rpc_call *call,
                       const json_t *result, struct eth_word *ret_value, bool *ret_has)
{
    struct ms_diag diag = {0};

    enum ms_err err = eth_proof_verify(result, &r->pin->header.state_root, &r->address, call->keys,
                                       call->n_keys, &r->peers[p].account, ret_value, &diag);
    if (err != MS_OK)
        fail_peer(r, p, err, &diag);
    else
        *ret_has = true;
}

void reading_result(struct reading *r, uint32_t p, const struct rpc_call *call,
                    const json_t *result)
{
    struct reading_peer *peer = &r->peers[p];

    switch ((enum reading_part)(call->what - r->what_base)) {
    case READING_CALL:
        take_data(r, p, result, &peer->call, &peer->has_call);
        return;
    case READING_PROOF:
        take_proof(r, p, call, result, &peer->slot0, &peer->has_proof);
        return;
    case READING_IMPLEMENTATION:
        take_proof(r, p, call, result, &peer->implementation, &peer->has_implementation);
        return;
    case READING_CODE:
        take_data(r, p, result, &peer->code, &peer->has_code);
        return;
    case READING_PARTS:
        return;
    }
}

bool reading_failed(struct reading *r, uint32_t p, const struct rpc_call *call, enum ms_err err,
                    const struct ms_diag *diag)
{
    enum reading_part part = (enum reading_part)(call->what - r->what_base);

    /* one that does not prove may still answer; below L3 that is enough */
    if (part != READING_PROOF || r->trusted->level >= SPEC_LEVEL_L3)
        fail_peer(r, p, err, diag);
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
        if (!good(r, p) || !peer->has_call || !peer->has_proof || r->agrees == NULL ||
            r->agrees(r, peer))
            continue;
        fail_peer(r, p, ms_diag_set(&diag, MS_ERR_COMMITMENT, "its own proof refutes its answer"),
                  &diag);
    }
}

/* The answers taken are equal byte for byte; the one with a proof is preferred. -1 none, -2 they
 * differ. */
static int agreeing(const struct reading *r)
{
    int first = -1;

    for (uint32_t p = 0; p < rpcset_n(set_of(r)); p++) {
        const struct reading_peer *peer = &r->peers[p];
        if (!good(r, p) || !peer->asked || !peer->has_call)
            continue;
        if (first >= 0 && !ms_span_eq(r->peers[first].call, peer->call))
            return -2;
        if (first < 0 || (!r->peers[first].has_proof && peer->has_proof))
            first = (int)p;
    }
    return first;
}

enum reading_state reading_judge(struct reading *r)
{
    for (;;) {
        if (!reading_ask(r)) /* in place of those that failed meanwhile */
            return READING_FAILED;
        if (set_of(r)->out > 0)
            return READING_MORE;
        if (r->trusted->level == SPEC_LEVEL_L2) {
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
        r->proven = r->peers[first].has_proof;
        if (r->proven || r->trusted->level < SPEC_LEVEL_L3)
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
    if (r->trusted->level >= SPEC_LEVEL_L3)
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
