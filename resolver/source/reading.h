/* resolver/source/reading.h - one contract, or two that answer one question together, read at one
 * block hash by the rules of a read level: who may be asked, how many must agree, what must be
 * proven. The block is believed already (trusted.h). Private to resolver/source/. */
#ifndef MS_SOURCE_READING_H
#define MS_SOURCE_READING_H

#include "eth/proof.h"
#include "resolver/source/trusted.h"

enum reading_part {
    READING_CALL = 0,
    READING_PROOF,          /* account and storage keys */
    READING_CODE,           /* on request: the code itself */
    READING_IMPLEMENTATION, /* and the EIP-1967 slot, proven */
    READING_PARTS,
};

#define READING_CONTRACTS_MAX 2u

struct reading_plan { /* what is asked of the contract; the arrays live as long as the attempt */
    struct eth_addr address;
    /* A second contract: the calls from other_call on, and the keys from other_key on, are asked of
     * it. Where keys are asked for at all, each of the two has some. */
    bool has_other;
    struct eth_addr other;
    size_t other_call, other_key;
    size_t n_calls;
    const struct ms_span *calls; /* data of each eth_call */
    size_t n_keys;               /* 0: the account alone is proven */
    const struct eth_word *keys;
    bool soft;   /* a call that reverts is an answer: the peer's `reverted` says which */
    bool quorum; /* what no proof can show, at L3 too: groups must agree, as at L2 */
};

struct reading_account { /* what is behind an address, as one peer shows it */
    struct eth_account account;
    bool has_code, has_implementation;
    struct ms_span code;
    struct eth_word implementation;
};

struct reading_peer {
    bool asked, failed; /* failed: for this reading only, the peer may still be good elsewhere */
    bool late;          /* not waited for any more */
    bool no_proof;      /* says that it does not prove; below L3 it may answer all the same */
    size_t calls_in, keys_in; /* all of them: it has answered */
    struct ms_span *calls;    /* by the plan's index, in the attempt's arena */
    bool *reverted;
    enum ms_err err; /* why failed */
    struct ms_diag diag;
    struct reading_account at[READING_CONTRACTS_MAX]; /* the plan's address, and the other one */
    struct eth_word *values;                          /* by the plan's index */
};

struct reading {
    struct trusted *trusted;
    const struct trusted_hash *pin;
    bool head; /* the newest block and not the finalized one: failures are not the peer's end */
    uint32_t what_base; /* rpc_call.what of READING_CALL; the other parts follow */
    struct reading_plan plan;
    /* Whether the answers agree with what is proven beside them; asked before answers are compared.
     * NULL: nothing to hold them against. */
    bool (*agrees)(struct reading *r, const struct reading_peer *peer);
    struct reading_peer peers[SOURCE_PROVIDERS_MAX];
    json_t *record; /* borrowed; each answer is appended: {"peer","what","index","result"}; NULL:
                       not wanted */
    /* when it is done: */
    uint32_t from; /* the peer whose answer is taken */
    bool proven;
};

void reading_init(struct reading *r, struct trusted *trusted, const struct trusted_hash *pin,
                  bool head, uint32_t what_base, const struct reading_plan *plan);

/* Ask as many as the level needs beyond those asked and not failed. false when nobody is left and
 * it is not enough (see reading_why), or the attempt has failed. */
bool reading_ask(struct reading *r);

static inline bool reading_owns(const struct reading *r, const struct rpc_call *call)
{
    return call->what >= r->what_base && call->what < r->what_base + READING_PARTS;
}
void reading_result(struct reading *r, uint32_t peer, const struct rpc_call *call,
                    const json_t *result);
/* As rpcset.failed. */
bool reading_failed(struct reading *r, uint32_t peer, const struct rpc_call *call, enum ms_err err,
                    const struct ms_diag *diag);

enum reading_state {
    READING_FAILED = 0, /* reading_why */
    READING_MORE,       /* another peer was asked */
    READING_DIFFER,     /* groups answer the same call at the same block differently */
    READING_DONE,       /* from, proven are set */
};
/* Whether it can go on without those who have not answered yet: enough have, or can be asked. */
bool reading_can_hurry(const struct reading *r);
/* They are not waited for any more (rpcset_hurry). What they still answer counts. */
void reading_hurry(struct reading *r);

/* When nothing is waited for. */
enum reading_state reading_judge(struct reading *r);
/* The answer taken turned out wrong: that peer is done with this reading, and altogether when it is
 * a proof that is wrong. */
void reading_reject(struct reading *r, enum ms_err err, const struct ms_diag *diag);
/* Ask the peer that gave the answer for the contracts' code and what they may be proxies of. */
bool reading_ask_code(struct reading *r);

/* What the plan asks for, as one hash. */
struct ms_sha256 reading_plan_hash(const struct reading_plan *plan);
/* Answers of an earlier reading of the same plan at the same block, in place of asking: they are
 * taken as if `peer` had just given them, and verified like any. false after source_fail. */
bool reading_feed(struct reading *r, uint32_t peer, const json_t *answers);
/* The recorded answers of the peer that was taken; a new reference, NULL when memory is out. */
json_t *reading_recorded(const struct reading *r);

/* Why it failed, MS_ERR_QUORUM when simply not enough are left. */
enum ms_err reading_why(const struct reading *r, struct ms_diag *ret_diag);
/* Whether as many groups as the level needs say that the call reverts. */
bool reading_reverted(const struct reading *r);

static inline const struct reading_peer *reading_answer(const struct reading *r)
{
    return &r->peers[r->from];
}

static inline size_t reading_contracts(const struct reading_plan *plan)
{
    return plan->has_other ? 2 : 1;
}
/* Which of the two the plan's i-th call goes to. */
static inline const struct eth_addr *reading_call_to(const struct reading_plan *plan, size_t i)
{
    return plan->has_other && i >= plan->other_call ? &plan->other : &plan->address;
}
/* The keys of one of the two: from *ret_first on, so many. */
static inline size_t reading_keys_at(const struct reading_plan *plan, size_t which,
                                     size_t *ret_first)
{
    size_t border = plan->has_other ? plan->other_key : plan->n_keys;
    *ret_first = which == 0 ? 0 : border;
    return which == 0 ? border : plan->n_keys - border;
}

static inline bool reading_has_calls(const struct reading *r, const struct reading_peer *peer)
{
    return peer->calls_in == r->plan.n_calls;
}
/* The accounts and every key of the plan are proven. */
static inline bool reading_has_proof(const struct reading *r, const struct reading_peer *peer)
{
    return peer->keys_in == r->plan.n_keys + reading_contracts(&r->plan);
}

#endif
