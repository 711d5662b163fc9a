/* cache/audit.h - a database checked from its evidence alone: no daemon, no network.
 *
 * Every change is replayed by the code that accepted it, and everything else in the file is
 * compared with what comes out: rows, their codes and chains, summaries, floors, blobs,
 * confirmations, the schema. What is wrong is told and the audit goes on to the end. Changes
 * nothing.
 *
 * Not thread-safe. */
#ifndef MS_AUDIT_H
#define MS_AUDIT_H

#include "cache/cache.h"

struct audit_finding {
    const char *what; /* "history", "entry", "blob", "confirmed", "schema", "database", "floor",
                     "operation", "document", "past-set", "contract-log", "log" */
    uint64_t n;       /* history row, 0: of none */
    bool has_key;
    struct ms_sha256 key; /* of the specifier; of a blob or document its name */
    const char *why;      /* one sentence, printable */
};

struct audit_sink {
    void *arg;
    void (*finding)(void *arg, const struct audit_finding *finding);
    void (*progress)(void *arg, uint64_t done,
                     uint64_t total); /* rows and blobs; NULL: not wanted */
};

struct audit_counts {
    bool has_key;   /* codes of rows were compared */
    bool has_floor; /* so was the newest row with measured.floor */
    bool log_checked;
    uint64_t entries, history, blobs, confirmed;
    uint64_t documents; /* of the past, that operations approved */
    uint64_t replayed;  /* bundles that led again to what their row says */
    uint64_t summaries; /* that say what the evidence says */
    uint64_t bare;      /* rows from before there were summaries */
    uint64_t found;     /* findings */
};

/* MS_OK, whatever is found: ret_counts->found tells. MS_ERR_IO, MS_ERR_STORE, MS_ERR_HMAC (a key
 * that cannot be used), MS_ERR_MEMORY: the audit could not be made. */
MS_MUST_USE enum ms_err audit_db(const char *db_path, const struct audit_sink *sink,
                                 struct audit_counts *ret_counts, struct ms_diag *diag);

/* Keys of rows that come grouped by key, each once. For parts of the audit. */
struct audit_keys {
    size_t n, cap;
    struct ms_sha256 *items; /* free() */
};
/* MS_ERR_MEMORY */
MS_MUST_USE enum ms_err audit_keys_add(struct audit_keys *keys, const struct ms_sha256 *key);

/* Tell and count. For parts of the audit. */
void audit_tell(const struct audit_sink *sink, struct audit_counts *counts,
                const struct audit_finding *finding);

/* The log, checked by its own room: findings through audit_tell. NULL while there is none, and then
 * nothing is claimed of it. Set in report_parts.c. */
typedef enum ms_err audit_log_fn(struct cache *cache, const struct audit_sink *sink,
                                 struct audit_counts *counts, struct ms_diag *diag);
extern audit_log_fn *const audit_log;

#endif
