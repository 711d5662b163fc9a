/* resolver/source/signed_contracts.h - the contracts among the signers of one document: each is
 * asked by an attempt of its own (contract_signer.h), whose requests go out as the parent's, and
 * what they say is counted. Private to resolver/source/. */
#ifndef MS_SOURCE_SIGNED_CONTRACTS_H
#define MS_SOURCE_SIGNED_CONTRACTS_H

#include "resolver/source/contract_signer.h"
#include "sig/signatures.h"

#define SIGNED_CONTRACTS_MAX 8 /* asked about one document */
/* Of the attempt's requests; documents of several hosts may have contracts, and none of them takes
 * away what the others need: each has its share of these. */
#define SIGNED_CONTRACTS_REQUESTS_MAX (SOURCE_REQUESTS_MAX / 4 * 3)

struct signed_contract {
    const struct msig_signature *signature; /* borrowed from the document */
    struct source *child;                   /* NULL: not to be asked, the verdict says why */
    bool ended;
    struct contract_signer_verdict verdict;
};

struct signed_contracts {
    size_t max_requests; /* the caller's */
    size_t n, running, n_requests;
    struct signed_contract items[SIGNED_CONTRACTS_MAX];
};

/* Whose request it was: by the parent's id, SOURCE_REQUESTS_MAX + 1 of them. */
struct signed_route {
    struct signed_contracts *all; /* NULL: not ours */
    struct signed_contract *one;
    uint32_t id; /* the child's */
};

/* Ask every contract that is unresolved. `chain`: where the specifier says they are. false: the
 * attempt has failed. */
bool signed_contracts_start(struct source *s, struct signed_route *routes,
                            struct signed_contracts *all, const struct eth_hash *digest,
                            const struct msig_signatures *signatures,
                            const struct msig_tally *tally, uint64_t chain, struct ms_now now);
/* A response to one of their requests; and one to a wait, which may be any contract's. false: the
 * attempt has failed. */
bool signed_contracts_take(struct source *s, struct signed_route *routes,
                           const struct source_response *response, struct ms_now now);
bool signed_contracts_waited(struct source *s, struct signed_route *routes,
                             struct signed_contracts *all, const struct source_response *response,
                             struct ms_now now);

/* When none is running: count those that have signed. What one of them was seen to have taken back
 * (s->previous.carry) only a block as new gives back.
 *   ret_gone  enough have signed in finalized state, and in the newest not any more
 * MS_ERR_SIGNATURE one has not signed, which refuses the document; else, when they are too few,
 * what kept the first one from being counted */
MS_MUST_USE enum ms_err signed_contracts_count(const struct source *s, struct signed_contracts *all,
                                               const struct msig_signers *signers,
                                               struct msig_tally *tally, bool *ret_gone,
                                               struct ms_diag *diag);

/* What the newest state was seen to take back: for carry, an array of {"signer","chain","block"}.
 * NULL when out of memory. */
json_t *signed_contracts_gone_json(const struct source *s, const struct signed_contracts *all,
                                   const struct msig_signers *signers);
/* The same as bytes, added to what an overlay is the hash of. */
enum ms_err signed_contracts_add_gone(const struct signed_contracts *all, struct ms_buf *out);
/* Those that were counted, for people. */
json_t *signed_contracts_json(const struct signed_contracts *all);
/* Life, evidence time and warnings of a result that rests on them: never more than contracts have.
 */
void signed_contracts_facts(const struct signed_contracts *all, struct source_result *result);

#endif
