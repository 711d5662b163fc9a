/* sig/signatures.h - the signatures under a signed document, and whether they are enough
 * (ethereum.md 5.4, steps 3 and 4). Pure; thread-safe. */
#ifndef MS_SIG_SIGNATURES_H
#define MS_SIG_SIGNATURES_H

#include "base/arena.h"
#include "sig/message.h"

#define MSIG_SIGNATURES_MAX 32

enum msig_scheme {
    MSIG_SCHEME_OTHER = 0, /* not known here: never counted */
    MSIG_SCHEME_EIP712,
    MSIG_SCHEME_EIP1271, /* the signer is a contract, and only its chain can tell */
};

struct msig_signature {
    enum msig_scheme scheme;
    struct eth_addr signer;
    struct ms_span bytes; /* in the arena. EIP1271: empty when the contract keeps its word itself */
    bool malformed;       /* its text was no hex; then `bytes` is empty */
    uint64_t chain;       /* EIP1271: where the contract is said to be; 1 unless "chain" says so */
};

struct msig_signatures {
    size_t n;
    struct msig_signature items[MSIG_SIGNATURES_MAX];
};

/* `array` is the member "signatures"; NULL, as in a document not signed yet, gives none. Members of
 * an entry that are not known are ignored.
 * MS_ERR_SYNTAX no array of objects with signer, scheme and signature, or the chain of a contract
 * is no JSON integer; MS_ERR_RANGE that is not from 1 to 2^53; MS_ERR_LIMIT more than 32;
 * MS_ERR_ADDRESS a signer of a known scheme is no address; MS_ERR_MEMORY */
MS_MUST_USE enum ms_err msig_signatures_read(const json_t *array, struct ms_arena *arena,
                                             struct msig_signatures *ret_signatures,
                                             struct ms_diag *diag);

struct msig_tally {
    size_t n_counted; /* distinct listed signers whose signature of the digest is good */
    bool counted[MSIG_SIGNERS_MAX]; /* by place in the list */
    /* Listed contracts that are said to have signed: not counted. The caller asks each chain
     * (sig/safe.h); whoever says no refuses the document, as a bad signature does, and whoever says
     * yes is counted with msig_count. */
    size_t n_unresolved;
    size_t unresolved[MSIG_SIGNATURES_MAX]; /* places in the signatures */
};

/* Look at every signature. Signers that are not listed, and schemes that are not known, are
 * ignored.
 * MS_ERR_SIGNATURE a listed signer's signature is malformed, has the high s, or is of another key,
 * or a listed signer has two: the whole document is refused; which and why in diag */
MS_MUST_USE enum ms_err msig_tally(const struct eth_hash *digest,
                                   const struct msig_signatures *signatures,
                                   const struct msig_signers *signers, struct msig_tally *ret_tally,
                                   struct ms_diag *diag);

/* The contract behind this unresolved signature has signed. */
void msig_count(struct msig_tally *tally, const struct msig_signature *signature,
                const struct msig_signers *signers);

enum msig_met {
    MSIG_SHORT = 0, /* too few whatever the chains say */
    MSIG_PENDING,   /* enough if the contracts say yes */
    MSIG_MET,
};
/* A threshold of zero is never met. */
enum msig_met msig_met(const struct msig_tally *tally, const struct msig_signers *signers);

#endif
