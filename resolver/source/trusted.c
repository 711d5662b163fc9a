/* resolver/source/trusted.c - a quorum about block hashes. */
#include "resolver/source/trusted.h"

const char *trusted_how_name(enum trusted_how how)
{
    switch (how) {
    case TRUSTED_NOT:
        return "nobody";
    case TRUSTED_SINGLE:
        return "single";
    case TRUSTED_QUORUM:
        return "quorum";
    case TRUSTED_ENDPOINT:
        return "endpoint";
    case TRUSTED_CHECKPOINT:
        return "checkpoint";
    }
    return "nobody";
}

static bool is_trusted_endpoint(const struct trusted *t, uint32_t p)
{
    return rpcset_alive(t->set, p) && rpcset_provider(t->set, p)->trusted;
}

static bool has_trusted_endpoint(const struct trusted *t)
{
    for (uint32_t p = 0; p < rpcset_n(t->set); p++)
        if (is_trusted_endpoint(t, p))
            return true;
    return false;
}

static bool has_checkpoint(const struct trusted *t)
{
    const struct source_policy *policy = &t->set->s->policy;
    return t->level >= SPEC_LEVEL_L3 && policy->has_checkpoint &&
           policy->checkpoint_chain == t->set->chain;
}

/* Decided once: when the operator's own endpoint fails, nobody else's single word takes its place.
 */
static bool may_vote(const struct trusted *t, uint32_t p)
{
    return rpcset_alive(t->set, p) && (!t->own_only || rpcset_provider(t->set, p)->trusted);
}

enum ms_err trusted_init(struct trusted *t, struct rpcset *set, enum spec_level level,
                         struct ms_diag *diag)
{
    bool counts[SOURCE_PROVIDERS_MAX] = {false};

    t->set = set;
    t->level = level;
    bool own = has_trusted_endpoint(t);
    if (level == SPEC_LEVEL_L0 && !own)
        return ms_diag_set(diag, MS_ERR_LEVEL,
                           "level l0 needs an [rpc] section with trusted = yes for chain %llu",
                           (unsigned long long)set->chain);
    t->own_only = level == SPEC_LEVEL_L0 || (level >= SPEC_LEVEL_L3 && own && !has_checkpoint(t));
    t->one_by_one =
        level <= SPEC_LEVEL_L1 || (level >= SPEC_LEVEL_L3 && (own || has_checkpoint(t)));
    t->need = t->one_by_one ? 1 : set->s->policy.quorum;
    for (uint32_t p = 0; p < rpcset_n(set); p++)
        counts[p] = may_vote(t, p);
    uint32_t groups = rpcset_groups(set, counts);
    if (groups < t->need)
        return ms_diag_set(
            diag, MS_ERR_QUORUM,
            "level %s needs %u independent RPC groups for chain %llu, %u can be asked",
            spec_level_name(level), t->need, (unsigned long long)set->chain, groups);
    return MS_OK;
}

/* ---- asking ---- */

static struct rpc_call block_call(uint32_t what, enum eth_block_form form, uint64_t number)
{
    return (struct rpc_call){
        .method = RPC_BLOCK_BY_NUMBER, .what = what, .block = {.form = form, .number = number}};
}

static bool ask_peer(struct trusted *t, uint32_t p)
{
    bool safe = t->set->s->policy.nonfinality == SOURCE_NONFINALITY_SAFE;
    struct rpc_call calls[RPCSET_CALLS_MAX] = {
        {.method = RPC_CHAIN_ID, .what = TRUSTED_WHAT_CHAIN},
        block_call(TRUSTED_WHAT_FINAL, safe ? ETH_BLOCK_SAFE : ETH_BLOCK_FINALIZED, 0),
        block_call(TRUSTED_WHAT_HEAD, ETH_BLOCK_LATEST, 0),
    };
    size_t n = 3;

    if (has_checkpoint(t))
        calls[n++] = (struct rpc_call){
            .method = RPC_BLOCK_BY_HASH,
            .what = TRUSTED_WHAT_CHECKPOINT,
            .block = {.form = ETH_BLOCK_HASH, .hash = t->set->s->policy.checkpoint}};
    else if (t->has_previous)
        calls[n++] = block_call(TRUSTED_WHAT_PREVIOUS, ETH_BLOCK_NUMBER, t->previous_number);
    t->votes[p].asked = true;
    return rpcset_send(t->set, p, calls, n);
}

enum source_state trusted_ask(struct trusted *t)
{
    bool asked = false;

    for (uint32_t p = 0; p < rpcset_n(t->set); p++) {
        if (!may_vote(t, p) || t->votes[p].asked)
            continue;
        if (!ask_peer(t, p))
            return SOURCE_FAILED;
        asked = true;
        t->current = p;
        if (t->one_by_one)
            break;
    }
    return asked ? SOURCE_WANTS : rpcset_fail_quorum(t->set, 0, t->need);
}

/* ---- results ---- */

static void take_chain(struct trusted *t, uint32_t p, const json_t *result)
{
    struct ms_diag diag = {0};
    uint64_t chain = 0;

    enum ms_err err = eth_rpc_result_u64(result, &chain, &diag);
    if (err == MS_OK && chain != t->set->chain)
        err = ms_diag_set(&diag, MS_ERR_WRONG_CHAIN, "serves chain %llu instead of %llu",
                          (unsigned long long)chain, (unsigned long long)t->set->chain);
    if (err != MS_OK)
        rpcset_kill(t->set, p, err, &diag);
    else
        t->votes[p].chain_ok = true;
}

static void take_block(struct trusted *t, uint32_t p, const json_t *result, struct eth_header *ret,
                       bool *ret_has)
{
    int64_t limit_s = t->set->s->started_s + TRUSTED_FUTURE_S;
    struct ms_diag diag = {0};
    struct eth_header header;

    if (json_is_null(result)) {
        rpcset_killf(t->set, p, MS_ERR_RPC, "does not know the block");
        return;
    }
    enum ms_err err = eth_header_verify_json(result, &header, &diag);
    if (err == MS_OK && (header.timestamp_s > INT64_MAX || (int64_t)header.timestamp_s > limit_s))
        err = ms_diag_set(&diag, MS_ERR_HEADER, "says a block from the future");
    if (err != MS_OK) {
        rpcset_kill(t->set, p, err, &diag);
        return;
    }
    *ret = header;
    *ret_has = true;
}

static void take_numbered(struct trusted *t, uint32_t p, const json_t *result, uint64_t number,
                          struct eth_header *ret, bool *ret_has)
{
    take_block(t, p, result, ret, ret_has);
    if (*ret_has && ret->number != number) {
        *ret_has = false;
        rpcset_killf(t->set, p, MS_ERR_HEADER, "answers with a block of another number");
    }
}

static void take_checkpoint(struct trusted *t, uint32_t p, const json_t *result)
{
    struct trusted_vote *v = &t->votes[p];

    take_block(t, p, result, &v->checkpoint, &v->has_checkpoint);
    if (v->has_checkpoint && !eth_hash_eq(&v->checkpoint.hash, &t->set->s->policy.checkpoint)) {
        v->has_checkpoint = false;
        rpcset_killf(t->set, p, MS_ERR_HEADER, "answers with another block than the checkpoint");
    }
}

static void take_result(struct trusted *t, uint32_t p, const struct rpc_call *call,
                        const json_t *result)
{
    struct trusted_vote *v = &t->votes[p];

    switch ((enum trusted_what)call->what) {
    case TRUSTED_WHAT_CHAIN:
        take_chain(t, p, result);
        return;
    case TRUSTED_WHAT_FINAL:
        take_block(t, p, result, &v->final, &v->has_final);
        return;
    case TRUSTED_WHAT_HEAD:
        take_block(t, p, result, &v->head, &v->has_head);
        return;
    case TRUSTED_WHAT_AT_FINAL:
        take_numbered(t, p, result, call->block.number, &v->at_final, &v->has_at_final);
        return;
    case TRUSTED_WHAT_AT_HEAD:
        take_numbered(t, p, result, call->block.number, &v->at_head, &v->has_at_head);
        return;
    case TRUSTED_WHAT_PREVIOUS:
        take_numbered(t, p, result, call->block.number, &v->previous, &v->has_previous);
        return;
    case TRUSTED_WHAT_CHECKPOINT:
        take_checkpoint(t, p, result);
        return;
    case TRUSTED_WHAT_END:
        return;
    }
}

/* ---- deciding ---- */

/* Complete and sensible heads, or of no use. */
static void judge_heads(struct trusted *t)
{
    for (uint32_t p = 0; p < rpcset_n(t->set); p++) {
        const struct trusted_vote *v = &t->votes[p];
        if (!rpcset_alive(t->set, p) || !v->asked || t->set->peers[p].waiting > 0)
            continue;
        if (!v->chain_ok || !v->has_final || !v->has_head)
            rpcset_killf(t->set, p, MS_ERR_RPC_SHAPE, "does not say its chain and its blocks");
        else if (v->final.number > v->head.number || v->final.timestamp_s > v->head.timestamp_s)
            rpcset_killf(t->set, p, MS_ERR_HEADER, "says a finalized block later than its head");
    }
}

static bool voting(const struct trusted *t, uint32_t p)
{
    const struct trusted_vote *v = &t->votes[p];
    return rpcset_alive(t->set, p) && v->chain_ok && v->has_final && v->has_head;
}

/* Votes, and has said all it was asked: one that owes an answer sets no height. */
static bool ready(const struct trusted *t, uint32_t p)
{
    return voting(t, p) && t->set->peers[p].waiting == 0;
}

bool trusted_enough(const struct trusted *t)
{
    bool counts[SOURCE_PROVIDERS_MAX] = {false};

    for (uint32_t p = 0; p < rpcset_n(t->set); p++)
        counts[p] = ready(t, p);
    return !t->one_by_one && rpcset_groups(t->set, counts) >= t->need;
}

static uint64_t height_of(const struct trusted_vote *v, bool head)
{
    return head ? v->head.number : v->final.number;
}

/* The k-th largest number: the highest that `need` groups have reached; false when they are fewer.
 */
static bool common_height(const struct trusted *t, bool head, uint64_t *ret_number)
{
    bool found = false;

    for (uint32_t p = 0; p < rpcset_n(t->set); p++) {
        bool counts[SOURCE_PROVIDERS_MAX] = {false};
        if (!ready(t, p))
            continue;
        uint64_t height = height_of(&t->votes[p], head);
        for (uint32_t q = 0; q < rpcset_n(t->set); q++)
            counts[q] = ready(t, q) && height_of(&t->votes[q], head) >= height;
        if (rpcset_groups(t->set, counts) >= t->need && (!found || height > *ret_number)) {
            *ret_number = height;
            found = true;
        }
    }
    return found;
}

static bool asked_at(struct trusted_vote *v, bool head, uint64_t number)
{
    bool *asked = head ? &v->asked_head : &v->asked_final;
    uint64_t *at = head ? &v->asked_head_at : &v->asked_final_at;
    bool before = *asked && *at == number;

    *asked = true;
    *at = number;
    return before;
}

/* Those ahead of the common heights say what they have there. */
static bool ask_at(struct trusted *t, uint64_t final, uint64_t head)
{
    for (uint32_t p = 0; p < rpcset_n(t->set); p++) {
        struct trusted_vote *v = &t->votes[p];
        struct rpc_call calls[2];
        size_t n = 0;
        if (!ready(t, p))
            continue;
        if (v->final.number > final && !asked_at(v, false, final))
            calls[n++] = block_call(TRUSTED_WHAT_AT_FINAL, ETH_BLOCK_NUMBER, final);
        if (v->head.number > head && !asked_at(v, true, head))
            calls[n++] = block_call(TRUSTED_WHAT_AT_HEAD, ETH_BLOCK_NUMBER, head);
        if (n > 0 && !rpcset_send(t->set, p, calls, n))
            return false;
    }
    return true;
}

/* What the peer has at this height: NULL when it did not say. */
static const struct eth_header *vote_at(const struct trusted *t, uint32_t p, bool head,
                                        uint64_t number)
{
    const struct trusted_vote *v = &t->votes[p];

    if (!voting(t, p))
        return NULL;
    if (height_of(v, head) == number)
        return head ? &v->head : &v->final;
    if (head)
        return v->has_at_head && v->at_head.number == number ? &v->at_head : NULL;
    return v->has_at_final && v->at_final.number == number ? &v->at_final : NULL;
}

/* The hash that voters give for a height. *ret_dissent: they give more than one. */
static struct trusted_hash tally(const struct trusted *t, bool head, uint64_t number,
                                 bool *ret_dissent)
{
    bool counts[SOURCE_PROVIDERS_MAX] = {false};
    const struct eth_header *first = NULL;
    struct trusted_hash out = {0};

    *ret_dissent = false;
    for (uint32_t p = 0; p < rpcset_n(t->set); p++) {
        const struct eth_header *vote = vote_at(t, p, head, number);
        if (vote == NULL)
            continue;
        if (first == NULL)
            first = vote;
        *ret_dissent = *ret_dissent || !eth_hash_eq(&first->hash, &vote->hash);
        counts[p] = true;
    }
    out.groups = rpcset_groups(t->set, counts);
    if (first == NULL || *ret_dissent || out.groups < t->need)
        return out;
    out.header = *first;
    out.how = TRUSTED_QUORUM;
    return out;
}

static enum source_state fail_dissent(struct trusted *t, uint64_t final)
{
    return source_failf(t->set->s, MS_ERR_DISSENT,
                        "RPC groups disagree about finalized block %llu: somebody lies",
                        (unsigned long long) final);
}

/* Who was not waited for may still contradict, as long as the attempt lasts. */
void trusted_result(struct trusted *t, uint32_t p, const struct rpc_call *call,
                    const json_t *result)
{
    bool dissent = false;

    take_result(t, p, call, result);
    if (t->decided)
        (void)tally(t, false, t->final.header.number, &dissent);
    if (dissent)
        (void)fail_dissent(t, t->final.header.number);
}

/* The block believed before must still be part of what is called finalized now (6.3, Continuity).
 */
static enum source_state judge_continuity(struct trusted *t)
{
    bool same[SOURCE_PROVIDERS_MAX] = {false}, other[SOURCE_PROVIDERS_MAX] = {false};

    if (!t->has_previous || has_checkpoint(t))
        return SOURCE_DONE;
    for (uint32_t p = 0; p < rpcset_n(t->set); p++) {
        if (!voting(t, p) || !t->votes[p].has_previous)
            continue;
        bool equal = eth_hash_eq(&t->votes[p].previous.hash, &t->previous_hash);
        same[p] = equal;
        other[p] = !equal;
    }
    if (rpcset_groups(t->set, other) >= t->need)
        return source_failf(
            t->set->s, MS_ERR_CONFLICT,
            "finalized block %llu, verified before, is not part of the chain any more",
            (unsigned long long)t->previous_number);
    uint32_t groups = rpcset_groups(t->set, same);
    if (groups < t->need)
        return rpcset_fail_quorum(t->set, groups, t->need);
    return SOURCE_DONE;
}

static enum source_state decide(struct trusted *t, uint64_t final, bool has_head, uint64_t head)
{
    bool dissent = false, head_dissent = false;

    t->final = tally(t, false, final, &dissent);
    if (dissent)
        return fail_dissent(t, final);
    if (t->final.how == TRUSTED_NOT)
        return rpcset_fail_quorum(t->set, t->final.groups, t->need);
    if (has_head) /* two heads at one height are an everyday reorg, not a lie */
        t->head = tally(t, true, head, &head_dissent);
    enum source_state state = judge_continuity(t);
    t->decided = state == SOURCE_DONE;
    return state;
}

/* One peer's word. */
static enum source_state decide_one(struct trusted *t)
{
    uint32_t p = t->current;
    const struct trusted_vote *v = &t->votes[p];

    if (!rpcset_alive(t->set, p))
        return trusted_ask(t);
    if (has_checkpoint(t)) {
        if (!v->has_checkpoint) {
            rpcset_killf(t->set, p, MS_ERR_RPC, "does not know the checkpoint");
            return trusted_ask(t);
        }
        t->final = (struct trusted_hash){TRUSTED_CHECKPOINT, 1, v->checkpoint};
        return SOURCE_DONE;
    }
    bool own = rpcset_provider(t->set, p)->trusted;
    enum trusted_how how = own && t->level != SPEC_LEVEL_L1 ? TRUSTED_ENDPOINT : TRUSTED_SINGLE;
    /* L0 reads the head as it is; there is nothing else to be had from such an endpoint */
    t->final = (struct trusted_hash){how, 1, t->level == SPEC_LEVEL_L0 ? v->head : v->final};
    t->head = (struct trusted_hash){how, 1, v->head};
    if (t->level == SPEC_LEVEL_L0)
        return SOURCE_DONE;
    /* One provider's word proves no reorganisation of finalized blocks: it is the one that is
     * wrong. */
    if (how == TRUSTED_SINGLE && t->has_previous && v->has_previous &&
        !eth_hash_eq(&v->previous.hash, &t->previous_hash)) {
        rpcset_killf(t->set, p, MS_ERR_ROLLBACK,
                     "says that finalized block %llu, seen before, is another one",
                     (unsigned long long)t->previous_number);
        return trusted_ask(t);
    }
    return judge_continuity(t);
}

enum source_state trusted_next(struct trusted *t)
{
    uint64_t final = 0, head = 0;
    bool counts[SOURCE_PROVIDERS_MAX] = {false};

    judge_heads(t);
    if (t->one_by_one)
        return decide_one(t);
    if (!common_height(t, false, &final)) {
        for (uint32_t p = 0; p < rpcset_n(t->set); p++)
            counts[p] = voting(t, p);
        return rpcset_fail_quorum(t->set, rpcset_groups(t->set, counts), t->need);
    }
    bool has_head = common_height(t, true, &head);
    if (!ask_at(t, final, has_head ? head : UINT64_MAX))
        return SOURCE_FAILED;
    return t->set->out > 0 ? SOURCE_WANTS : decide(t, final, has_head, head);
}

/* ---- who said it ---- */

bool trusted_voted_final(const struct trusted *t, uint32_t p)
{
    if (t->one_by_one)
        return rpcset_alive(t->set, p) && p == t->current;
    const struct eth_header *vote = vote_at(t, p, false, t->final.header.number);
    return vote != NULL && eth_hash_eq(&vote->hash, &t->final.header.hash);
}

bool trusted_voted_head(const struct trusted *t, uint32_t p)
{
    if (t->one_by_one)
        return rpcset_alive(t->set, p) && p == t->current;
    const struct eth_header *vote = vote_at(t, p, true, t->head.header.number);
    return vote != NULL && eth_hash_eq(&vote->hash, &t->head.header.hash);
}
