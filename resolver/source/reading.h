/* resolver/source/reading.h - one contract read at one block hash, by the rules of a read level:
 * who may be asked, how many must agree, what must be proven. The block is believed already
 * (trusted.h). Private to resolver/source/. */
#ifndef MS_SOURCE_READING_H
#define MS_SOURCE_READING_H

#include "eth/proof.h"
#include "resolver/source/trusted.h"

enum reading_part {
    READING_CALL = 0,
    READING_PROOF,          /* account and slot 0 */
    READING_CODE,           /* on request: the code itself */
    READING_IMPLEMENTATION, /* and the EIP-1967 slot, proven */
    READING_PARTS,
};

struct reading_peer {
    bool asked, failed; /* failed: for this reading only, the peer may still be good elsewhere */
    bool has_call, has_proof, has_code, has_implementation;
    struct ms_span call, code; /* in the attempt's arena */
    enum ms_err err;           /* why failed */
    struct ms_diag diag;
    struct eth_account account;
    struct eth_word slot0, implementation;
};

struct reading {
    struct trusted *trusted;
    const struct trusted_hash *pin;
    bool head; /* the newest block and not the finalized one: failures are not the peer's end */
    uint32_t what_base; /* rpc_call.what of READING_CALL; the other parts follow */
    struct eth_addr address;
    struct ms_span data; /* of the eth_call */
    /* Whether an answer agrees with the slot 0 proven beside it; asked before answers are compared.
     */
    bool (*agrees)(struct reading *r, const struct reading_peer *peer);
    struct reading_peer peers[SOURCE_PROVIDERS_MAX];
    /* when it is done: */
    uint32_t from; /* the peer whose answer is taken */
    bool proven;
};

void reading_init(struct reading *r, struct trusted *trusted, const struct trusted_hash *pin,
                  bool head, uint32_t what_base, const struct eth_addr *address,
                  struct ms_span data);

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
/* When nothing is out. */
enum reading_state reading_judge(struct reading *r);
/* The answer taken turned out wrong: that peer is done with this reading, and altogether when it is
 * a proof that is wrong. */
void reading_reject(struct reading *r, enum ms_err err, const struct ms_diag *diag);
/* Ask the peer that gave the answer for the contract's code and what it may be a proxy of. */
bool reading_ask_code(struct reading *r);

/* Why it failed, MS_ERR_QUORUM when simply not enough are left. */
enum ms_err reading_why(const struct reading *r, struct ms_diag *ret_diag);
/* Whether as many groups as the level needs say that the call reverts. */
bool reading_reverted(const struct reading *r);

static inline const struct reading_peer *reading_answer(const struct reading *r)
{
    return &r->peers[r->from];
}

#endif
