/* resolver/daemon/store.h - the store thread: the only one that touches the database. Work goes in
 * from the loop thread and its outcome comes back there. Re-verification of stored evidence, which
 * is pure but not free, runs here too.
 *
 * Changes that wait are made durable in one transaction, each undone alone when it is refused; when
 * that transaction fails each is tried in one of its own. */
#ifndef MS_DAEMON_STORE_H
#define MS_DAEMON_STORE_H

#include "cache/cache.h"
#include "resolver/daemon/loop.h"

struct store;

/* Any work with the database; the owner keeps it alive until `done`. */
struct store_job {
    void (*run)(struct store_job *job, struct cache *cache); /* store thread */
    void (*done)(struct store_job *job);                     /* loop thread */
};

struct store_events { /* called on the loop thread */
    void *arg;
    void (*stored)(void *arg, struct core_change *change, enum ms_err err,
                   const struct ms_diag *diag);
    void (*loaded)(void *arg, struct core_loaded *loaded); /* loaded is freed afterwards */
};

/* The highest block time that a row verified by a quorum names: no clock is right before it (T10).
 * Rows that are not ours say nothing. 0 without any. */
int64_t store_time_floor(struct cache *cache);

/* Takes the cache. MS_ERR_MEMORY, MS_ERR_IO when no thread can be started. */
MS_MUST_USE enum ms_err store_new(struct loop *loop, struct cache *cache,
                                  const struct store_events *events, struct store **ret_store);
void store_commit(struct store *store, struct core_change *change);
void store_load(struct store *store, const struct answer_id *id);
/* The transparency log, signed on this thread between transactions (tlog.h); borrowed until
 * store_free. Once, before anything is handed in. */
struct tlog;
void store_set_log(struct store *store, struct tlog *tlog);
/* Any thread: the log has something to do. */
void store_wake(struct store *store);
/* In order with questions; a change that waits is made durable before or after it. */
void store_run(struct store *store, struct store_job *job);
/* Finish what was handed in, join the thread, close the database. Outcomes still posted to the loop
 * must be run (loop_run_posted) before the core is freed. */
void store_free(struct store *store);

#endif
