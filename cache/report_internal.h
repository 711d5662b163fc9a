/* cache/report_internal.h - shared by report*.c and audit*.c, by nobody else. */
#ifndef MS_REPORT_INTERNAL_H
#define MS_REPORT_INTERNAL_H

#include "cache/report.h"
#include "resolver/entry/summary.h"

struct report_row { /* one history row, with its texts */
    struct cache_history h;
    struct ms_arena arena; /* of its texts */
    bool found;
    enum ms_err err; /* why it is not to be believed; then only n and key of h are set */
    struct ms_diag diag;
};

void report_row_done(struct report_row *row);
/* Read row n of a key. A row that is not ours comes with row->err. */
MS_MUST_USE enum ms_err report_row_get(struct cache *cache, const struct ms_sha256 *key, uint64_t n,
                                       struct report_row *ret_row, struct ms_diag *diag);
/* The row a point names. MS_ERR_ARGUMENT, MS_ERR_NOT_FOUND, or why it is not to be believed. */
MS_MUST_USE enum ms_err report_row_at(struct cache *cache, const struct ms_sha256 *key,
                                      struct ms_span point, struct report_row *ret_row,
                                      struct ms_diag *diag);

/* A row's evidence, with the SHA-256 that names it. MS_ERR_EVIDENCE: missing, or changed. */
MS_MUST_USE enum ms_err report_bundle(struct cache *cache, const struct cache_history *h,
                                      struct ms_buf *out, struct ms_diag *diag);

/* Replay a row's evidence. It must be of the row's specifier, and of the row's set where it brought
 * one. ret_result as bundle_verify; spec is initialised and the caller's. */
MS_MUST_USE enum ms_err report_replay(struct cache *cache, const struct cache_history *h,
                                      struct spec *spec, json_t **ret_facts,
                                      struct source_result **ret_result, struct ms_diag *diag);
/* The same of evidence that was read. Pure. */
MS_MUST_USE enum ms_err report_replay_text(const struct cache_history *h, struct ms_span text,
                                           struct spec *spec, json_t **ret_facts,
                                           struct source_result **ret_result, struct ms_diag *diag);

/* Facts of the set accepted before row `before_n` (0: of the newest) with all its items, and its
 * hash. *ret_facts NULL: there was none, or (ret_compared false) it cannot be read.
 *   replay  from the evidence, whatever the summary says */
MS_MUST_USE enum ms_err report_before(struct cache *cache, const struct ms_sha256 *key,
                                      enum spec_level level, uint64_t before_n, bool replay,
                                      json_t **ret_facts, json_t **ret_previous, bool *ret_compared,
                                      struct ms_diag *diag);
/* report_summary over such facts. */
MS_MUST_USE enum ms_err report_summary_with(json_t *facts, const json_t *before,
                                            const json_t *previous, bool compared, bool accepted,
                                            struct ms_buf *out);

/* Members of one row as history lists it. NULL without memory. */
json_t *report_row_json(struct cache *cache, const struct cache_history *h, json_t *summary);
/* Its summary, made from evidence where none is stored. *ret_replayed tells. */
MS_MUST_USE enum ms_err report_row_summary(struct cache *cache, const struct cache_history *h,
                                           json_t **ret_summary, bool *ret_replayed,
                                           struct ms_diag *diag);

/* ---- report_chain.c ---- */
struct report_chain {
    const struct ms_sha256 *key;
    int64_t time_s;
    /* the answer */
    json_t *json;          /* NULL: no operation is stored; the caller's */
    bool complete;         /* it is known what governance had approved then */
    bool counts;           /* and that counted, be it that nothing was approved */
    enum spec_level level; /* at which the state was read that the operations lead to */
    int64_t until_s;       /* block time up to which that can be said; 0: of no time */
    struct ms_sha256 evidence;
    struct ms_diag why;
};
/* What the contract's own history proves of a moment: the member `chain` of docs/http-api.md. What
 * is wrong with rows or evidence stands in the answer and is no error. */
MS_MUST_USE enum ms_err report_chain_at(struct cache *cache, struct report_chain *chain,
                                        struct ms_diag *diag);

/* What a release's stored document says, `set` being initialised. MS_ERR_NOT_FOUND without words:
 * it is not stored; another error: it cannot be read. */
MS_MUST_USE enum ms_err report_document(struct cache *cache, const struct registry_release *release,
                                        struct rec_set *set, struct ms_diag *diag);

/* ---- report_after.c ---- */
struct report_after {             /* both the caller's, also after an error */
    struct source_result *result; /* releases and a few words of governance only */
    json_t *facts;
    struct registry_event event; /* its data is gone */
    struct ms_sha256 evidence;
};
/* What was approved right after this operation. MS_ERR_NOT_FOUND, also when a document is. */
MS_MUST_USE enum ms_err report_after(struct cache *cache, const struct spec *spec,
                                     uint64_t sequence, struct report_after *ret,
                                     struct ms_diag *diag);

/* "sha256:HEX" */
json_t *report_hash(const struct ms_sha256 *hash);
/* {"v":1,"specifier","key"} */
json_t *report_head(const struct spec *spec);
/* Print to out; takes root, which may be NULL for want of memory. */
MS_MUST_USE enum ms_err report_print(json_t *root, struct ms_buf *out);

#endif
