/* resolver/daemon/backfill_sets.h - the past of signed sets, as one kind of back-fill; shared by
 * backfill*.c. Loop thread, but for what is said to run on the store's. */
#ifndef MS_DAEMON_BACKFILL_SETS_H
#define MS_DAEMON_BACKFILL_SETS_H

#include "resolver/daemon/backfill_job.h"

bool sets_are(const struct core_good *good);
/* From an accepted set. MS_ERR_MEMORY. */
MS_MUST_USE enum ms_err sets_start(struct backfill_job *job, const struct core_good *good);
void sets_free(struct backfill_job *job);
/* Over what is stored; true: nothing is left to be asked for. */
bool sets_skip(struct backfill_job *job);
MS_MUST_USE enum ms_err sets_walk(struct backfill_job *job, struct ms_now now,
                                  struct ms_diag *diag);
/* A request of the walk: who is asked. */
void sets_asking(struct backfill_job *job);
/* What hosts did, through job_complain; and whether the walk found anything or got further. */
bool sets_walked(struct backfill_job *job);
/* After sets_write. */
void sets_written(struct backfill_job *job);
/* Every set from the first to the accepted one is stored. */
bool sets_complete(const struct backfill_job *job);
void sets_status(const struct backfill_job *job, json_t *out);

/* On the store's thread. */
void sets_read(struct backfill_job *job, struct cache *cache);
void sets_write(struct backfill_job *job, struct cache *cache);

#endif
