/* cache/past_set_audit.h - the part of an audit that looks at signed sets of the past. */
#ifndef MS_CACHE_PAST_SET_AUDIT_H
#define MS_CACHE_PAST_SET_AUDIT_H

#include "cache/audit.h"

/* Findings through audit_tell. MS_ERR_MEMORY: the audit could not be made. */
MS_MUST_USE enum ms_err past_sets_audit(struct cache *cache, const struct audit_sink *sink,
                                        struct audit_counts *counts, struct ms_diag *diag);

#endif
