/* resolver/source/trusted.h - which block of a chain is believed: the one place that turns what
 * providers say, or what an operator vouches for, into a block hash.
 *
 *     trusted_hash(chain) -> (hash, number, how)
 *
 * Today a quorum of operator groups, one provider (L1), an endpoint or a checkpoint of the operator
 * stand behind it; a light client will (ethereum.md section 8). Private to resolver/source/. */
#ifndef MS_SOURCE_TRUSTED_H
#define MS_SOURCE_TRUSTED_H

#include "eth/header.h"
#include "resolver/source/rpcset.h"

#define TRUSTED_FUTURE_S 15 /* a block this far ahead of our clock is not believed (2.4) */

enum trusted_how {
    TRUSTED_NOT = 0,
    TRUSTED_SINGLE,     /* one provider's word */
    TRUSTED_QUORUM,     /* `groups` operator groups say the same */
    TRUSTED_ENDPOINT,   /* an endpoint with trusted = yes */
    TRUSTED_CHECKPOINT, /* a hash in the configuration */
};

/* "quorum" and the like; static storage. */
const char *trusted_how_name(enum trusted_how how);

struct trusted_hash {
    enum trusted_how how; /* TRUSTED_NOT: there is none */
    uint32_t groups;      /* that agree */
    struct eth_header header;
};

/* rpc_call.what of the calls made here. */
enum trusted_what {
    TRUSTED_WHAT_CHAIN = 1,
    TRUSTED_WHAT_FINAL,
    TRUSTED_WHAT_HEAD,
    TRUSTED_WHAT_AT_FINAL,
    TRUSTED_WHAT_AT_HEAD,
    TRUSTED_WHAT_PREVIOUS,
    TRUSTED_WHAT_CHECKPOINT,
    TRUSTED_WHAT_END, /* others use numbers from here on */
};

struct trusted_vote { /* what one peer says */
    bool asked, chain_ok;
    bool asked_final, asked_head; /* what it has at a number: */
    uint64_t asked_final_at, asked_head_at;
    bool has_final, has_head, has_at_final, has_at_head, has_previous, has_checkpoint;
    struct eth_header final, head, at_final, at_head, previous, checkpoint;
};

struct trusted {
    struct rpcset *set;
    enum spec_level level;
    uint32_t need;     /* groups that must agree */
    bool own_only;     /* only endpoints with trusted = yes may say which block it is */
    bool one_by_one;   /* L0, L1: ask the next peer only when this one failed */
    uint32_t current;  /* of one_by_one */
    bool has_previous; /* the last finalized block believed before: the chain must still hold it */
    uint64_t previous_number;
    struct eth_hash previous_hash;
    struct trusted_vote votes[SOURCE_PROVIDERS_MAX];
    bool decided; /* by a quorum: what contradicts it from now on is dissent */
    struct trusted_hash final,
        head; /* head.how is TRUSTED_NOT when there is no agreement about it */
};

/* MS_ERR_QUORUM, MS_ERR_LEVEL when the policy's endpoints cannot do it. */
MS_MUST_USE enum ms_err trusted_init(struct trusted *t, struct rpcset *set, enum spec_level level,
                                     struct ms_diag *diag);
/* Ask (again, at L1, when a peer has been killed). WANTS, or FAILED when nobody is left. */
enum source_state trusted_ask(struct trusted *t);
/* A result whose `what` is below TRUSTED_WHAT_END. */
void trusted_result(struct trusted *t, uint32_t peer, const struct rpc_call *call,
                    const json_t *result);
/* Whether those who have answered are enough groups to go on with. */
bool trusted_enough(const struct trusted *t);
/* When nothing is waited for: WANTS more, DONE (final and perhaps head are set), FAILED. Dissent
 * about a finalized block is MS_ERR_DISSENT; a finalized chain without the block believed before is
 * MS_ERR_CONFLICT. */
enum source_state trusted_next(struct trusted *t);

/* Whether this peer said the final (or head) hash that is believed. */
bool trusted_voted_final(const struct trusted *t, uint32_t peer);
bool trusted_voted_head(const struct trusted *t, uint32_t peer);

#endif
