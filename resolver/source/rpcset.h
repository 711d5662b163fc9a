/* resolver/source/rpcset.h - the RPC providers of one chain during one attempt: what was asked of
 * whom, who failed and why, and which operator groups they are (ethereum.md 2.1 to 2.3, T13).
 *
 * It knows the shapes of messages - batches and their refusal, EIP-1898 and its refusal, ids,
 * errors - and nothing of what the answers mean: results go to the owner, call by call. Private to
 * resolver/source/. */
#ifndef MS_SOURCE_RPCSET_H
#define MS_SOURCE_RPCSET_H

#include "eth/jsonrpc.h"
#include "resolver/source/kinds.h"

#define RPCSET_CALLS_MAX ETH_RPC_BATCH_MAX /* in one message of ours */
#define RPCSET_KEYS_MAX 64                 /* storage keys of one eth_getProof */
#define RPCSET_MESSAGE_MAX_BYTES 16384u

enum rpc_method {
    RPC_NONE = 0,
    RPC_CHAIN_ID,
    RPC_BLOCK_BY_NUMBER, /* by tag or number: `block` */
    RPC_BLOCK_BY_HASH,   /* `block.hash` */
    RPC_CALL,            /* eth_call of `data` at `block` */
    RPC_PROOF,           /* eth_getProof of `keys` at `block` */
    RPC_CODE,            /* eth_getCode at `block` */
    RPC_LOGS,            /* eth_getLogs of `logs`, which lives as long as the attempt */
    RPC_RECEIPTS,        /* eth_getBlockReceipts of `block`, a number; alone in its message */
};

struct rpc_call {
    enum rpc_method method;
    uint32_t what, index; /* the owner's: come back with the result */
    struct eth_block_ref
        block; /* a hash is sent as EIP-1898, or bare to peers that do not know it */
    struct eth_addr to;
    struct ms_span data; /* lives as long as the attempt */
    size_t n_keys;
    const struct eth_word *keys; /* live as long as the attempt */
    const struct eth_log_filter *logs;
    bool hint; /* alone in its message: not to answer it is no reason to lose a voter */
};

struct rpc_peer { /* one provider of the policy, by the same index */
    bool usable;  /* serves the chain and is not benched */
    bool dead;    /* failed in this attempt; err and diag say why */
    enum ms_err err;
    struct ms_diag diag;
    struct source_manners manners;
    size_t waiting; /* calls of ours it has not answered */
    size_t late;    /* messages not waited for any more */
};

struct rpc_ask;

struct rpcset {
    struct source *s;
    uint64_t chain;
    uint32_t groups; /* configured for the chain, those of benched peers too */
    struct rpc_peer peers[SOURCE_PROVIDERS_MAX];
    size_t message_max_bytes; /* RPCSET_MESSAGE_MAX_BYTES unless the owner raises it */
    struct rpc_ask *asks;     /* by request id; in the source's arena */
    size_t out;               /* messages whose answer is waited for */
    /* A call was answered. */
    void (*result)(struct rpcset *set, uint32_t peer, const struct rpc_call *call,
                   const json_t *result);
    /* A call failed for good; the default, when NULL, is that its peer is dead. Returns true when
     * it has dealt with it. */
    bool (*failed)(struct rpcset *set, uint32_t peer, const struct rpc_call *call, enum ms_err err,
                   const struct ms_diag *diag);
    void *owner;
};

/* `set` lies in the source's arena and is zeroed. MS_ERR_NO_RPC, MS_ERR_MEMORY. */
MS_MUST_USE enum ms_err rpcset_init(struct rpcset *set, struct source *s, uint64_t chain,
                                    struct ms_diag *diag);

/* One message with these calls, or one each to a peer that refused a batch. false: the attempt has
 * failed (source_fail was called). */
bool rpcset_send(struct rpcset *set, uint32_t peer, const struct rpc_call *calls, size_t n);

/* Whether this response answers one of our messages; results have been told then. */
bool rpcset_take(struct rpcset *set, const struct source_response *response);

/* Some are slower than others.
 *   rpcset_grace   what is there is enough, or somebody else can be asked: the rest have
 *                  SOURCE_GRACE_MS from the last message on
 *   rpcset_hurry   whether this response says that they are over: nobody is waited for any more;
 *                  what they still answer is taken as before
 *   rpcset_await   wait for them after all; false when there is nobody */
void rpcset_grace(struct rpcset *set);
bool rpcset_hurry(struct rpcset *set, const struct source_response *response);
bool rpcset_await(struct rpcset *set);

/* The peer is of no use any more in this attempt; the first cause stays. A proof that does not
 * verify marks it as having lied. */
void rpcset_kill(struct rpcset *set, uint32_t peer, enum ms_err err, const struct ms_diag *diag);
void rpcset_killf(struct rpcset *set, uint32_t peer, enum ms_err err, const char *fmt, ...)
    MS_PRINTF(4, 5);

static inline bool rpcset_alive(const struct rpcset *set, uint32_t peer)
{
    return set->peers[peer].usable && !set->peers[peer].dead;
}

static inline uint32_t rpcset_n(const struct rpcset *set)
{
    return (uint32_t)set->s->policy.n_providers;
}

static inline const struct source_provider *rpcset_provider(const struct rpcset *set, uint32_t peer)
{
    return &set->s->policy.providers[peer];
}

/* Distinct operator groups among the peers for which `counts` holds. */
uint32_t rpcset_groups(const struct rpcset *set, const bool counts[SOURCE_PROVIDERS_MAX]);
bool rpcset_same_group(const struct rpcset *set, uint32_t a, uint32_t b);

/* Wait for those who are slow after all (WANTS), or fail the attempt for want of groups:
 * MS_ERR_QUORUM with the first peer's cause, or, when one would have been enough, that cause
 * itself. */
enum source_state rpcset_fail_quorum(struct rpcset *set, uint32_t have, uint32_t need);

#endif
