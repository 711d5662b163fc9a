/* cache/past_set_report.h - signed sets of the past, told beside a history. */
#ifndef MS_CACHE_PAST_SET_REPORT_H
#define MS_CACHE_PAST_SET_REPORT_H

#include "cache/cache.h"

/* Rows for a history, oldest first: sets that were fetched, without those that the history itself
 * has, and gaps between them (docs/back-fill.md). *ret_rows NULL: none was ever fetched. New
 * reference. Errors as past_chain_load. */
MS_MUST_USE enum ms_err past_sets_report(struct cache *cache, const struct ms_sha256 *key,
                                         json_t **ret_rows, struct ms_diag *diag);

/* What had been signed by a moment before the first answer was accepted here. *ret_signed NULL:
 * nothing is known of that. New reference. */
MS_MUST_USE enum ms_err past_sets_at(struct cache *cache, const struct ms_sha256 *key,
                                     int64_t time_s, json_t **ret_signed, struct ms_diag *diag);

#endif
