/* resolver/source/kind.h - what kind of contract an address is, by what it answers to a fixed list
 * of questions (ethereum.md 3.7). No proof can show it, so a quorum has to say it at every level
 * but L1. Private to resolver/source/. */
#ifndef MS_SOURCE_KIND_H
#define MS_SOURCE_KIND_H

#include "resolver/source/contract.h"

/* The questions, in the attempt's arena; with kms= also those that show a KMS, asked of that one.
 * MS_ERR_MEMORY. */
MS_MUST_USE enum ms_err kind_plan(struct source *s, struct reading_plan *ret_plan);

/* The kind that the answers show: "registry", "dstack-app", "dstack-kms", "flashtestations", "safe"
 * or "timelock". `pinned` (kind=, or NULL) must be it. NULL: none, several, or another one than
 * pinned, or the other contract is no KMS; diag says which. */
const char *kind_judge(const struct reading *r, const char *pinned, struct ms_diag *diag);

/* Which formula of workload ids the contract computes by (workload.h): 1 or 2; 0 when it is
 * neither. */
uint32_t kind_workload_version(const struct reading *r);

/* By name; NULL for a kind that is not resolvable. */
const struct contract_adapter *kind_adapter(struct ms_span name);

#endif
