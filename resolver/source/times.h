/* resolver/source/times.h - the numbers of ethereum.md 6.2, which an operator may change: how long
 * an answer of each kind of source is fresh (F), served while a refresh runs (W), served while
 * refreshes fail (E), how old its evidence may become (X), and how long a definite no is remembered
 * (N). One table names them for the configuration, the status and bundles. Pure; thread-safe. */
#ifndef MS_SOURCE_TIMES_H
#define MS_SOURCE_TIMES_H

#include <stddef.h>
#include <stdint.h>

struct source_times { /* seconds */
    int64_t contract_fresh, contract_swr, contract_sie;
    int64_t contract_no_code, contract_revert; /* N */
    int64_t location_min, location_max;        /* F of an explicit lifetime lies between them */
    int64_t location_default;                  /* F without one */
    int64_t location_swr, location_sie, location_max_evidence_age;
    int64_t location_not_found, location_no_answer; /* N */
    int64_t finality_warn;                 /* a finalized block this old is worth a warning (T2) */
    int64_t finality_stale;                /* and makes the answer a stale one */
    int64_t backoff_rpc, backoff_location; /* the longest wait between two tries */
};

struct source_time_row {
    const char *name; /* as configured, "contract-fresh" */
    size_t offset;    /* into struct source_times */
    int64_t fallback_s;
};

#define SOURCE_TIMES_N 17u
extern const struct source_time_row source_time_rows[SOURCE_TIMES_N];

/* All as in 6.2. */
extern const struct source_times source_times_default;

int64_t source_time_get(const struct source_times *times, const struct source_time_row *row);
void source_time_set(struct source_times *times, const struct source_time_row *row,
                     int64_t seconds);

#endif
