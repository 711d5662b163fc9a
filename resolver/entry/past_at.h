/* resolver/entry/past_at.h - what a registry had approved at a moment of the past, recomputed from
 * its operations from the first on (ethereum.md 7.3). Pure; a caller who reads rows of a database
 * gives them one by one.
 *
 * At time T counts what every operation up to T has led to, those of T itself included, and the
 * windows of releases as the contract judges them at T. */
#ifndef MS_PAST_AT_H
#define MS_PAST_AT_H

#include "resolver/entry/operations.h"

struct past_at;

MS_MUST_USE enum ms_err past_at_new(uint64_t time_s, struct past_at **ret_past);
void past_at_free(struct past_at *past);

/* The next stored operation, by rising number; its data need not outlive the call. Behind a gap
 * nothing counts any more. MS_ERR_COMMITMENT it is no link of the chain; MS_ERR_MEMORY. */
MS_MUST_USE enum ms_err past_at_add(struct past_at *past, const struct registry_event *event,
                                    const struct eth_hash *before, struct ms_diag *diag);

/* Number of the newest operation that the first leads to without a gap; 0: not even the first. */
uint64_t past_at_newest(const struct past_at *past);
/* The number of the first that is stored behind a gap; 0: there is none. */
uint64_t past_at_behind_gap(const struct past_at *past);

/* Require that these operations are all that the proven state knows of, and lead to it: then so is
 * what they say of any time until it was read. MS_ERR_COMMITMENT. */
MS_MUST_USE enum ms_err past_at_prove(const struct past_at *past,
                                      const struct operations_proof *proof, struct ms_diag *diag);

enum past_at_verdict {
    PAST_AT_UNKNOWN = 0, /* an operation up to then is not understood */
    PAST_AT_NOTHING,     /* before the first operation: there was no registry */
    PAST_AT_LAPSED,      /* governance's own end was over: nothing counted */
    PAST_AT_COUNTS,      /* this was governance's word, be it that nothing was approved */
};
enum past_at_verdict past_at_verdict(const struct past_at *past);

/* One sentence, beginning in lower case: how the verdict comes about. */
void past_at_why(const struct past_at *past, struct ms_diag *ret_why);

/* What a release's document says, `set` being initialised. MS_ERR_NOT_FOUND: it is not at hand;
 * another error: it cannot be read, as *diag says. */
typedef enum ms_err past_at_document_fn(void *arg, const struct registry_release *release,
                                        struct rec_set *set, struct ms_diag *diag);

/* {"operation","block","time","owner","guardian","valid_until","releases":[{"id","version",
 * "not_before","not_after","status","format","size","payload","uri","document","records",
 * "predicates"}]}: every release that was live, in the order of their ids. `document` is known,
 * missing or unreadable; only a known one has `records` and `predicates`. A new reference; NULL
 * when memory is out. */
json_t *past_at_json(const struct past_at *past, past_at_document_fn *document, void *arg);

#endif
