/* resolver/entry/past_sets.h - signed sets of the past that are stored: which of them lead back
 * from a set that was accepted, and each told as JSON (docs/back-fill.md). Pure. */
#ifndef MS_PAST_SETS_H
#define MS_PAST_SETS_H

#include "resolver/source/set_chain.h"

/* ---- how they hang together ---- */
struct past_set {
    uint64_t sequence;
    struct eth_hash hash, previous; /* previous: zero for the first */
    /* what past_sets_link finds: */
    bool linked; /* an accepted set leads back to it without a gap */
    bool named;  /* a stored set, or an accepted one, names it as the one before it */
    bool whole;  /* from the first set to this one none is missing */
};
/* Sets by falling sequence, each hash once.
 *   named  what accepted sets name as the one before them
 * MS_ERR_MEMORY */
MS_MUST_USE enum ms_err past_sets_link(struct past_set *sets, size_t n,
                                       const struct eth_hash *named, size_t n_named);

/* ---- telling ---- */
#define PAST_SET_ITEMS_MAX 16u /* of each list of what differs */

/* A set and what differs from the one before it, as a row of a history:
 * {"sequence","time","state","block","kind":"set","source":"previous","added","removed",..}.
 *   before  NULL: there was none, or (set->previous not zero) it is not known
 *   roots   NULL: nothing is said of signers
 * A new reference; NULL when memory is out. */
json_t *past_set_json(const struct msig_set_doc *set, const struct msig_set_doc *before,
                      const struct set_roots *roots);
/* {"signed_by","counted","threshold","of","epoch","met",..} */
json_t *past_set_signers_json(const struct msig_set_doc *set, const struct set_roots *roots);
/* {"release","version","not_before","not_after","format","size","payload","uri","document"} */
json_t *past_set_release_json(const struct msig_release *release);
/* What is missing between two sets, by the numbers; a row of kind "gap". */
json_t *past_set_gap_json(uint64_t from, uint64_t to, int64_t time_s);

#endif
