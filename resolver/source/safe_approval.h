/* resolver/source/safe_approval.h - whether a contract has approved 32 bytes, of a reading of that
 * contract (ethereum.md 3.10): the one reading of a Safe's approval, for a Safe that governs
 * (contract_safe.c) and for one among other signers (contract_signer.c).
 *
 * A Safe approves on chain, in signedMessages, or by its owners' signatures. By proof that is a
 * slot, or the list of owners and the threshold; what only the contract can say (contract owners,
 * approved hashes) it is asked: isValidSignature, EIP-1271. That is also all there is to ask of a
 * contract that is no Safe. Pure; private to resolver/source/. */
#ifndef MS_SOURCE_SAFE_APPROVAL_H
#define MS_SOURCE_SAFE_APPROVAL_H

#include "resolver/source/reading.h"
#include "sig/safe.h"

struct safe_state { /* at one block */
    bool on_chain, by_owners;
};

struct safe_approval {
    /* the caller's, before the plan: */
    struct eth_hash digest;
    struct ms_span blob; /* the contract's signature; empty: none at hand */
    bool any_contract;   /* below L3 a contract that is no Safe may approve as well */
    bool by_proof;
    /* filled by the plan: */
    struct eth_hash message; /* what the owners sign, and the key of signedMessages */
    struct msig_safe_result parts;
};

/* What to ask of the contract of s->spec: keys and calls, soft. The view of safe_view.h stands at
 * call 0. false when out of memory. */
bool safe_approval_plan(struct source *s, struct safe_approval *a, struct reading_plan *out);

/* What an answer says. MS_ERR_KIND: it does not answer as such a contract does;
 * MS_ERR_COMMITMENT: storage and answer differ. */
MS_MUST_USE enum ms_err safe_approval_read(const struct safe_approval *a,
                                           const struct reading_peer *peer, bool proven,
                                           struct safe_state *ret, struct ms_diag *diag);

static inline bool safe_approves(const struct safe_state *state)
{
    return state->on_chain || state->by_owners;
}

/* Whether the signatures are of a kind that no proof can show. */
bool safe_approval_unprovable(const struct safe_approval *a);

/* What the contract runs: its singleton, as the plan's proof has it. */
struct eth_word safe_approval_singleton(const struct reading_peer *peer);

#endif
