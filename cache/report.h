/* cache/report.h - what an auditor is told, as JSON texts: the history of a specifier, the
 * difference between two of its sets, what was in force at a moment. The same for the daemon's
 * HTTP API and for measuredctl over a copied database (docs/http-api.md has the members).
 *
 * Reads through struct cache, changes nothing, bounded in memory by the pages asked for. What is
 * listed comes from the summaries of rows; where there is none, from replaying their evidence.
 * Whether the summaries are right is for audit.h.
 *
 * Not thread-safe, as the cache it reads. */
#ifndef MS_REPORT_H
#define MS_REPORT_H

#include "cache/cache.h"

#define REPORT_MAX_BYTES ((size_t)8 << 20)
#define REPORT_ROWS_MAX 500u     /* of one page */
#define REPORT_ROWS_USUAL 100u   /* when nothing is said */
#define REPORT_POINT_MAX 96u     /* characters of one point in a history */
#define REPORT_KIND_SET "change" /* kind of the rows that brought a set */

/* ---- for the writer ---- */

/* The summary that is stored with a change: its facts (resolver/entry/summary.h; `previous` is
 * added to them), and what differs from the set that was accepted before it for the same key and
 * level.
 *   accepted  it brings a set; false: evidence of a contradiction or of other code
 *   before_n  0: it comes after all rows; else it is this one
 * Evidence of the set before that cannot be read does not stop it: `compared` is then false. */
MS_MUST_USE enum ms_err report_summary(struct cache *cache, const struct ms_sha256 *key,
                                       enum spec_level level, uint64_t before_n, json_t *facts,
                                       bool accepted, struct ms_buf *out, struct ms_diag *diag);

/* ---- for the reader ---- */
struct report_page {
    bool has_before; /* the newest rows before `before` (0: of all), else those after `after` */
    uint64_t after, before; /* row numbers, `n` */
    size_t limit;           /* at most REPORT_ROWS_MAX */
    struct ms_span point;   /* not empty: the one row of this point (report_diff), or none */
};

/* One page of the history of spec->key, rows oldest first. A specifier of which nothing is known
 * has an empty one. */
MS_MUST_USE enum ms_err report_history(struct cache *cache, const struct spec *spec,
                                       const struct report_page *page, struct ms_buf *out,
                                       struct ms_diag *diag);

/* What differs between two points: releases, records and their registers, and governance.
 * A point is "17" (governance's sequence), "row:12" (`n`), "sha256:HEX" (set or evidence) or
 * "@1772496000" (what had been accepted by that Unix time).
 * MS_ERR_ARGUMENT   a point is none of these
 * MS_ERR_NOT_FOUND  there is no such row
 * MS_ERR_EVIDENCE, MS_ERR_HMAC  a row or its evidence does not verify */
MS_MUST_USE enum ms_err report_diff(struct cache *cache, const struct spec *spec,
                                    struct ms_span from, struct ms_span to, struct ms_buf *out,
                                    struct ms_diag *diag);

/* What was in force at a moment, and when that had last been looked at; of one after `now_s`
 * nothing is said to be. Errors as report_diff. */
MS_MUST_USE enum ms_err report_at(struct cache *cache, const struct spec *spec, int64_t time_s,
                                  int64_t now_s, struct ms_buf *out, struct ms_diag *diag);

/* The evidence of one point of a history: the bundle, whose name is its SHA-256. */
MS_MUST_USE enum ms_err report_evidence(struct cache *cache, const struct spec *spec,
                                        struct ms_span point, struct ms_buf *out,
                                        struct ms_diag *diag);

/* The whole past of a registry in one file that verifies elsewhere (resolver/entry/past_file.h).
 * MS_ERR_NOT_FOUND its operations are not stored from the first on. */
MS_MUST_USE enum ms_err report_past(struct cache *cache, const struct spec *spec,
                                    struct ms_buf *out, struct ms_diag *diag);

/* Specifiers that this database has a history of, the last changed first: `entries`, each with its
 * newest change, and `next`, what to give as `before` (0: of all) for those changed earlier. A page
 * may be shorter than its limit, even empty. */
MS_MUST_USE enum ms_err report_entries(struct cache *cache, uint64_t before, size_t limit,
                                       struct ms_buf *out, struct ms_diag *diag);

/* ---- what others know of a history ---- */

/* Every operation of a contract's own history chain, as far as it was read back, or the sets that
 * signers signed before: an array, oldest first, each with `sequence`, `time`, `block`, `kind`, ..;
 * NULL when there is nothing. New reference. */
typedef enum ms_err report_operations_fn(struct cache *cache, const struct ms_sha256 *key,
                                         json_t **ret_rows, struct ms_diag *diag);
/* report_parts.c: NULL while there is no such source. Logs are of contracts without such a chain,
 * as endpoints told them, oldest first. */
extern report_operations_fn *const report_operations, *const report_logs;

/* One log as a row of such a list; `row` not MS_OK: it is not to be believed, because of `why`. A
 * new reference; NULL when memory is out. */
json_t *report_log_json(enum ms_err row, const struct cache_log *log, const struct ms_diag *why);

#endif
