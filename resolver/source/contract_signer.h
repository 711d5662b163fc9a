/* resolver/source/contract_signer.h - one contract among the signers of a document, asked whether
 * it has signed: a contract source of its own inside that of the document (source_child), read by
 * the rules of the policy's level at the finalized and at the newest block. Private to
 * resolver/source/. */
#ifndef MS_SOURCE_CONTRACT_SIGNER_H
#define MS_SOURCE_CONTRACT_SIGNER_H

#include "resolver/source/kinds.h"

#define CONTRACT_SIGNER_BLOB_MAX_BYTES 4096u /* 62 owners; what fits in one message to an RPC */

struct contract_signer_question {
    uint64_t chain;
    struct eth_addr address;
    struct eth_hash digest;
    struct ms_span blob; /* its signature, borrowed as long as the parent lives; may be empty */
};

enum contract_signer_answer {
    CONTRACT_SIGNER_UNKNOWN = 0, /* nobody could tell, or not as the level demands */
    CONTRACT_SIGNER_NOT_YET,     /* in the newest state, which is not final */
    CONTRACT_SIGNER_NO,
    CONTRACT_SIGNER_YES,
};

struct contract_signer_verdict {
    enum contract_signer_answer answer;
    bool gone;       /* YES, and in the newest state no more */
    bool on_chain;   /* YES: the contract keeps its word itself, or else there is a signature */
    enum ms_err err; /* why it is not YES, and in words */
    struct ms_diag diag;
};

/* As source_new. MS_ERR_NO_RPC, MS_ERR_QUORUM, MS_ERR_LEVEL, MS_ERR_LIMIT for a signature that is
 * too long; MS_ERR_MEMORY. */
MS_MUST_USE enum ms_err contract_signer_new(struct source *parent,
                                            const struct contract_signer_question *question,
                                            struct source **ret_child, struct ms_diag *diag);

/* Of a child that has ended. When it is YES, child->result has the facts of the read: block, life,
 * warnings, governance. */
struct contract_signer_verdict contract_signer_verdict(const struct source *child);

#endif
