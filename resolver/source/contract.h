/* resolver/source/contract.h - what all contract sources share: the blocks that are believed, the
 * contract read at both of them, whose code it is; and what an adapter - one kind of contract -
 * adds to that (ethereum.md 3.7). Private to resolver/source/. */
#ifndef MS_SOURCE_CONTRACT_H
#define MS_SOURCE_CONTRACT_H

#include "resolver/source/reading.h"

/* rpc_call.what of the readings; an adapter's own calls use numbers from CONTRACT_WHAT_OWN on. */
enum contract_what {
    CONTRACT_WHAT_FINAL = TRUSTED_WHAT_END,
    CONTRACT_WHAT_HEAD = CONTRACT_WHAT_FINAL + READING_PARTS,
    CONTRACT_WHAT_KIND = CONTRACT_WHAT_HEAD + READING_PARTS,
    CONTRACT_WHAT_OWNER = CONTRACT_WHAT_KIND + READING_PARTS,
    CONTRACT_WHAT_OWNER_TIMES = CONTRACT_WHAT_OWNER + READING_PARTS,
    CONTRACT_WHAT_OWNER_LOGS = CONTRACT_WHAT_OWNER_TIMES + READING_PARTS,
    CONTRACT_WHAT_KEPT,
    CONTRACT_WHAT_OWN,
};

struct contract_adapter {
    const char *name; /* of kind=, and in governance.adapter */
    /* One of several signers, asked for one answer: below L3 it may be of any kind, and nothing is
     * kept for a next attempt. */
    bool signer;
    /* Called when the blocks are believed, and again whenever everything asked for is answered:
     * WANTS more; DONE: contract.plan is what to read; FAILED. */
    enum source_state (*prepare)(struct source *s);
    /* As reading.agrees. */
    bool (*agrees)(struct reading *r, const struct reading_peer *peer);
    /* What a reading's answer says: kept by the adapter when it is MS_OK. MS_ERR_NO_CODE and
     * MS_ERR_KIND are definite answers; any other error is that provider's, and another one is
     * asked. */
    enum ms_err (*verify)(struct source *s, const struct reading *r, struct ms_diag *diag);
    /* Both states are verified, and the code is known: the documents, then source_finish. */
    enum source_state (*after)(struct source *s);
    /* The adapter's own calls, and https answers; NULL when it has none. */
    void (*result)(struct source *s, uint32_t peer, const struct rpc_call *call,
                   const json_t *result);
    void (*failed)(struct source *s, uint32_t peer, const struct rpc_call *call, enum ms_err err);
    enum source_state (*document)(struct source *s, const struct source_response *response);
    /* What the contract runs besides its own code and EIP-1967's, of the proven finalized state;
     * NULL: nothing. */
    struct eth_word (*runs)(const struct source *s);
    /* Who owns it, zero for nobody or unknown; NULL: it has no owner. */
    struct eth_addr (*owner)(const struct source *s);
};

enum contract_phase {
    CONTRACT_BLOCK = 0, /* which blocks are believed (trusted.h) */
    CONTRACT_KIND,      /* what kind of contract it is, unless kind= says so */
    CONTRACT_PREPARE,   /* what to ask it */
    CONTRACT_KEPT,      /* where endpoints prove only the newest state (contract_kept.c) */
    CONTRACT_DATA,  /* asked at both blocks: finalized state approves, the newest only takes away */
    CONTRACT_CODE,  /* whose code it is, when its hash alone does not tell */
    CONTRACT_OWNER, /* who owns it, for the envelope */
    CONTRACT_AFTER, /* documents */
};

struct owner;
struct kept;
struct contract {
    enum contract_phase phase;
    enum spec_level level;
    struct rpcset set;
    struct trusted trusted;
    const struct contract_adapter *adapter;
    bool guessed;       /* nobody said that it is a registry; it is only the likeliest */
    int64_t negative_s; /* how long to remember that it is no such thing */
    void *own;          /* the adapter's state, in the arena */
    struct reading_plan plan;
    struct reading final, head, kind;
    bool reads_head;     /* the newest block is another one and may be asked for */
    bool has_head;       /* and what it says is verified */
    struct kept *kept;   /* in the arena; NULL: the finalized state is proven itself */
    struct owner *owner; /* in the arena; NULL: not asked about */
};

static inline struct contract *contract_of(const struct source *s)
{
    return s->kind_state;
}

/* The newest state, when reads_head: DONE with has_head set when it was had and verified. */
enum source_state contract_judge_head(struct source *s);

/* When a document that prepare asked for has come: go on, unless providers are still to answer. */
enum source_state contract_continue(struct source *s);

/* Zeroed, as contract.own, once. NULL after source_fail. */
void *contract_own(struct source *s, size_t size);

/* Whether the account proof says that the code is the reference registry's. */
bool contract_is_reference(const struct reading *r);

/* Facts of the result that do not depend on the kind: level, trust, block, identity, how long it
 * may be used; and warnings. sequence and commitment are the adapter's. */
void contract_facts(struct source *s, struct source_result *result);
/* Code hash and, behind a proxy, the implementation of the plan's address or of its other one, as
 * members of `out`; nothing where nothing is proven. */
void contract_add_code(const struct source *s, size_t which, json_t *out);
/* result.probe for a contract whose answers and slots, as the plan has them, are all there is to
 * know: what was answered has to be answered again, and what was proven has to be so. What reverted
 * is left out. false when out of memory; nothing is set when it is too much for a probe. */
bool contract_probe(const struct source *s, struct source_result *result);
/* The proven part of it alone, for an adapter that has a shorter question than its plan's. */
bool contract_probe_slots(const struct source *s, struct source_result *result);
/* What the envelope tells of any contract: adapter, chain, address, code, implementation, head.
 * NULL when out of memory. */
json_t *contract_governance(const struct source *s);

/* JSON of an address (null for zero) and of 32 bytes. */
json_t *contract_address_json(const struct eth_addr *addr);
json_t *contract_hash_json(const uint8_t *bytes);

extern const struct contract_adapter contract_registry; /* contract_registry.c */
extern const struct contract_adapter contract_dstack_app, contract_dstack_kms,
    contract_flashtestations;                       /* contract_mapping.c */
extern const struct contract_adapter contract_safe; /* contract_safe.c */

/* As source_contract_init, for a contract that is read by `adapter` - of another name only where
 * the specifier does not say what kind it is. */
MS_MUST_USE enum ms_err contract_start(struct source *s, const struct contract_adapter *adapter,
                                       struct ms_diag *diag);

#endif
