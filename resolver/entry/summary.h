/* resolver/entry/summary.h - what a change says to an auditor, in a few lines: who governs, how it
 * was read, what is approved, and what of that is new, gone or other than before.
 *
 * A summary is written beside a change so that a long history can be listed without replaying it.
 * It is never the truth: that is the bundle, from which summary_facts makes the same text again
 * (docs/audit.md). Pure. */
#ifndef MS_SUMMARY_H
#define MS_SUMMARY_H

#include "resolver/entry/bundle.h"
#include "resolver/entry/entry.h"

#define SUMMARY_MAX_BYTES ((size_t)16 << 10) /* of a stored one */
#define SUMMARY_ITEMS_MAX 64u                /* items, and of each list of what differs */

/* All that a result says, as a new object. `items` are its records and predicates, each with the
 * SHA-256 of its canonical text; `releases` their windows.
 *   result  NULL: evidence of a failure, with the code `error`
 *   time_s  of the change: what is in force then decides `state`
 *   policy  SHA-256 of the policy in the bundle, bundle_policy_hash
 * MS_ERR_MEMORY, MS_ERR_LIMIT */
MS_MUST_USE enum ms_err summary_facts(const struct spec *spec, const struct source_result *result,
                                      enum ms_err error, int64_t time_s,
                                      const struct ms_sha256 *policy, json_t **ret_facts);

/* {"added","removed","changed"} between the `items` and `releases` of two facts, as a new object;
 * `before` NULL: all of it is new. An item is the same when its release and its canonical text are.
 * A record that differs and keeps release, name and type is one of `changed`, as is a release whose
 * window moved. NULL without memory. */
json_t *summary_diff(const json_t *before, const json_t *after);

/* The text that is kept: the facts and what differs from `before`, cut to fit; what was cut shows
 * in the counts `n_items`, `n_added`, `n_removed`, `n_changed`. Deterministic.
 *   accepted  false: a contradiction or other code, which changed no set: nothing differs
 * MS_ERR_MEMORY, MS_ERR_LIMIT */
MS_MUST_USE enum ms_err summary_render(const json_t *facts, const json_t *before, bool accepted,
                                       struct ms_buf *out);

/* Read one back.
 *   ret_whole  its `items` are all there are, so that the next one may be compared with it
 * MS_ERR_JSON and the like when it is none. */
MS_MUST_USE enum ms_err summary_read(struct ms_span text, json_t **ret_summary, bool *ret_whole,
                                     struct ms_diag *diag);

/* Reach a bundle's verdict again, and the facts of it.
 *   time_s      of the change; negative: of the bundle
 *   spec        initialised by spec_init; the caller's
 *   ret_result  may be NULL; else as bundle_verify
 * Errors as bundle_verify. */
MS_MUST_USE enum ms_err summary_of_bundle(struct ms_span text, int64_t time_s, struct spec *spec,
                                          json_t **ret_facts, struct source_result **ret_result,
                                          struct ms_diag *diag);

#endif
