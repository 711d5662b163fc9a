/* resolver/source/block_check.c - header, receipts, comparison. */
#include "resolver/source/block_check.h"

#include "resolver/source/trusted.h"

#include <stdio.h>

#define RECEIPTS_ARENA_MAX_BYTES ((size_t)24 << 20) /* receipts of one answer, as bytes */

enum { WHAT_HEADER = BLOCK_CHECK_WHAT, WHAT_RECEIPTS };

/* ---- beginning ---- */

static bool is_own(const struct block_check *c, uint32_t p)
{
    return rpcset_alive(c->set, p) && rpcset_provider(c->set, p)->trusted;
}

void block_check_init(struct block_check *c, struct rpcset *set, enum spec_level level)
{
    c->set = set;
    c->spec = set->s->spec;
    for (uint32_t p = 0; p < rpcset_n(set) && level >= SPEC_LEVEL_L3; p++)
        c->own_only = c->own_only || is_own(c, p);
    c->need = c->own_only ? 1 : set->s->policy.quorum;
    c->end = BLOCK_CHECK_FAILED;
}

void block_check_begin(struct block_check *c, uint32_t teller, const struct eth_log *logs,
                       size_t n_logs)
{
    c->block = logs[0].block;
    c->teller = teller;
    c->logs = logs;
    c->n_logs = n_logs;
    c->has_header = false;
    c->end = BLOCK_CHECK_WANTS;
    c->fault = LOG_FAULT_NONE;
    c->why = (struct ms_diag){0};
    for (uint32_t p = 0; p < rpcset_n(c->set); p++) {
        c->asked[p] = c->voted[p] = c->tried[p] = c->wrong[p] = false;
        c->told[p] = (struct ms_diag){0};
    }
}

static enum block_check_end send(struct block_check *c, uint32_t p, enum rpc_method method,
                                 uint32_t what)
{
    struct rpc_call call = {.method = method,
                            .what = what,
                            .hint = true,
                            .block = {.form = ETH_BLOCK_NUMBER, .number = c->block}};
    c->peer = p;
    return rpcset_send(c->set, p, &call, 1) ? BLOCK_CHECK_WANTS : BLOCK_CHECK_FAILED;
}

static void say(struct block_check *c, uint32_t p, bool wrong, enum ms_err err, const char *what)
{
    c->wrong[p] = wrong;
    c->told[p] = (struct ms_diag){0};
    (void)ms_diag_set(&c->told[p], err, "block %llu: %s", (unsigned long long)c->block, what);
}

static enum block_check_end unchecked(struct block_check *c, const char *what)
{
    c->why = (struct ms_diag){0};
    for (uint32_t p = 0; p < rpcset_n(c->set); p++)
        if (c->told[p].text[0] != '\0') /* the first that is set stays */
            (void)ms_diag_set(&c->why, MS_ERR_UNAVAILABLE, "%s; %s: %s", what,
                              rpcset_provider(c->set, p)->name, c->told[p].text);
    (void)ms_diag_set(&c->why, MS_ERR_UNAVAILABLE, "%s", what);
    return c->end = BLOCK_CHECK_UNCHECKED;
}

/* ---- the header ---- */

static bool may_vote(const struct block_check *c, uint32_t p)
{
    return rpcset_alive(c->set, p) && (!c->own_only || rpcset_provider(c->set, p)->trusted);
}

static uint32_t groups_for(const struct block_check *c, const struct eth_hash *hash)
{
    bool counts[SOURCE_PROVIDERS_MAX] = {false};

    for (uint32_t p = 0; p < rpcset_n(c->set); p++)
        counts[p] = c->voted[p] && eth_hash_eq(&c->votes[p].hash, hash);
    return rpcset_groups(c->set, counts);
}

static bool agree(struct block_check *c)
{
    for (uint32_t p = 0; !c->has_header && p < rpcset_n(c->set); p++) {
        if (!c->voted[p] || groups_for(c, &c->votes[p].hash) < c->need)
            continue;
        c->header = c->votes[p];
        c->has_header = true;
    }
    for (uint32_t p = 0; c->has_header && p < rpcset_n(c->set); p++)
        if (c->voted[p] && !eth_hash_eq(&c->votes[p].hash, &c->header.hash))
            say(c, p, true, MS_ERR_HEADER, "it says another block than the quorum");
    return c->has_header;
}

static bool group_voted(const struct block_check *c, uint32_t peer)
{
    for (uint32_t p = 0; p < rpcset_n(c->set); p++)
        if (c->voted[p] && rpcset_same_group(c->set, p, peer))
            return true;
    return false;
}

/* Groups that can still be heard, or were. */
static bool quorum_possible(const struct block_check *c)
{
    bool counts[SOURCE_PROVIDERS_MAX] = {false};

    for (uint32_t p = 0; p < rpcset_n(c->set); p++)
        counts[p] = c->voted[p] || may_vote(c, p);
    return rpcset_groups(c->set, counts) >= c->need;
}

/* The teller first, it is known to answer; then one of each other group, then the rest. */
static bool pick_voter(const struct block_check *c, uint32_t *ret_peer)
{
    if (may_vote(c, c->teller) && !c->asked[c->teller]) {
        *ret_peer = c->teller;
        return true;
    }
    for (int any = 0; any < 2; any++)
        for (uint32_t p = 0; p < rpcset_n(c->set); p++) {
            if (!may_vote(c, p) || c->asked[p] || (any == 0 && group_voted(c, p)))
                continue;
            *ret_peer = p;
            return true;
        }
    return false;
}

static enum block_check_end next_vote(struct block_check *c)
{
    char words[96];
    uint32_t peer, most = 0;

    if (!quorum_possible(c))
        return c->end = BLOCK_CHECK_LATER;
    if (pick_voter(c, &peer)) {
        c->asked[peer] = true;
        return send(c, peer, RPC_BLOCK_BY_NUMBER, WHAT_HEADER);
    }
    for (uint32_t p = 0; p < rpcset_n(c->set); p++) {
        uint32_t n = c->voted[p] ? groups_for(c, &c->votes[p].hash) : 0;
        most = n > most ? n : most;
    }
    (void)snprintf(words, sizeof(words), "%u of the %u RPC groups needed say one hash of the block",
                   most, c->need);
    return unchecked(c, words);
}

static void take_header(struct block_check *c, uint32_t p, const json_t *result)
{
    struct ms_diag diag = {0};
    struct eth_header header;

    if (json_is_null(result)) {
        say(c, p, false, MS_ERR_RPC, "it does not know the block");
        return;
    }
    enum ms_err err = eth_header_verify_json(result, &header, &diag);
    if (err == MS_OK && header.number != c->block)
        err = ms_diag_set(&diag, MS_ERR_HEADER, "it answers with a block of another number");
    if (err != MS_OK) {
        say(c, p, true, err, ms_diag_text(&diag, err));
        return;
    }
    c->voted[p] = true;
    c->votes[p] = header;
}

/* ---- the receipts ---- */

static bool pick_giver(const struct block_check *c, uint32_t *ret_peer)
{
    for (uint32_t i = 0; i < rpcset_n(c->set); i++) {
        uint32_t p = (c->teller + i) % rpcset_n(c->set);
        if (!rpcset_alive(c->set, p) || c->tried[p] || c->no_receipts[p])
            continue;
        *ret_peer = p;
        return true;
    }
    return false;
}

static enum block_check_end next_receipts(struct block_check *c)
{
    uint32_t peer;

    if (!pick_giver(c, &peer))
        return unchecked(c, "no endpoint gives receipts that are those of the block");
    c->tried[peer] = true;
    return send(c, peer, RPC_RECEIPTS, WHAT_RECEIPTS);
}

static void differs(struct block_check *c, enum log_fault fault, uint64_t index, const char *what)
{
    if (c->end == BLOCK_CHECK_DIFFERS && c->fault >= fault)
        return; /* the first of the worst is told */
    c->end = BLOCK_CHECK_DIFFERS;
    c->fault = fault;
    c->why = (struct ms_diag){0};
    (void)ms_diag_set(&c->why, MS_ERR_COMMITMENT, "block %llu: log %llu %s",
                      (unsigned long long)c->block, (unsigned long long)index, what);
}

static const char *difference(const struct eth_log *told, const struct eth_log *is)
{
    if (!eth_hash_eq(&told->block_hash, &is->block_hash))
        return "is said to be of another block";
    if (!eth_addr_eq(&told->address, &is->address))
        return "is of another contract than the block has it";
    if (told->n_topics != is->n_topics ||
        memcmp(told->topics, is->topics, is->n_topics * sizeof(is->topics[0])) != 0)
        return "has other topics than in the block";
    if (!ms_span_eq(told->data, is->data))
        return "has other data than in the block";
    return NULL;
}

/* Both by rising index. */
static void compare(struct block_check *c, const struct eth_receipts *receipts)
{
    size_t i = 0, k = 0;

    c->end = BLOCK_CHECK_SAME;
    while (i < c->n_logs || k < receipts->n_logs) {
        const struct eth_log *told = i < c->n_logs ? &c->logs[i] : NULL;
        const struct eth_log *is = k < receipts->n_logs ? &receipts->logs[k] : NULL;
        if (is == NULL || (told != NULL && told->index < is->index)) {
            differs(c, LOG_FAULT_WRONG, told->index, "is not in the block");
            i++;
        } else if (told == NULL || is->index < told->index) {
            differs(c, LOG_FAULT_MISSING, is->index, "is missing");
            k++;
        } else {
            const char *what = difference(told, is);
            if (what != NULL)
                differs(c, LOG_FAULT_WRONG, is->index, what);
            i++;
            k++;
        }
    }
}

static void take_receipts(struct block_check *c, uint32_t p, const json_t *result)
{
    const struct eth_addr *const addresses[] = {&c->spec->address, &c->spec->kms};
    struct ms_arena arena = MS_ARENA_INIT(RECEIPTS_ARENA_MAX_BYTES);
    struct ms_diag diag = {0};
    struct eth_receipts receipts;

    if (json_is_null(result)) {
        say(c, p, false, MS_ERR_RPC, "it has no receipts of the block");
        return;
    }
    enum ms_err err = eth_rpc_result_receipts(result, c->block, &c->header.hash, addresses,
                                              c->spec->has_kms ? 2 : 1, &arena, &receipts, &diag);
    if (err != MS_OK) {
        say(c, p, err == MS_ERR_RPC_SHAPE, err, ms_diag_text(&diag, err));
    } else if (!eth_hash_eq(&receipts.root, &c->header.receipts_root)) {
        c->no_receipts[p] = true;
        say(c, p, true, MS_ERR_COMMITMENT,
            "the receipts it gives are not those of the block, whose header names another root");
    } else {
        c->receipts_by = p;
        compare(c, &receipts);
    }
    ms_arena_done(&arena);
}

/* ---- the steps ---- */

enum block_check_end block_check_next(struct block_check *c)
{
    if (c->set->s->err != MS_OK)
        return BLOCK_CHECK_FAILED;
    if (c->end != BLOCK_CHECK_WANTS)
        return c->end;
    return c->has_header || agree(c) ? next_receipts(c) : next_vote(c);
}

void block_check_result(struct block_check *c, uint32_t peer, const struct rpc_call *call,
                        const json_t *result)
{
    if (call->what == WHAT_HEADER)
        take_header(c, peer, result);
    else
        take_receipts(c, peer, result);
}

/* An error of its own to such a question is no reason not to ask it others. */
bool block_check_failed(struct block_check *c, uint32_t peer, const struct rpc_call *call,
                        enum ms_err err, const struct ms_diag *diag)
{
    if (err != MS_ERR_RPC && err != MS_ERR_TOO_LARGE && err != MS_ERR_LIMIT)
        return false;
    say(c, peer, false, err, ms_diag_text(diag, err));
    if (call->what == WHAT_RECEIPTS && err == MS_ERR_RPC)
        c->no_receipts[peer] = true;
    return true;
}

const char *block_check_hash_by(const struct block_check *c)
{
    return trusted_how_name(c->own_only ? TRUSTED_ENDPOINT : TRUSTED_QUORUM);
}
