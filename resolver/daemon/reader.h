/* resolver/daemon/reader.h - the thread that reads the database for auditors, on a connection of
 * its own that cannot write. A long history read here delays neither the loop nor the store.
 *
 * Jobs run one after the other in the order they were posted, on the reader's thread. */
#ifndef MS_DAEMON_READER_H
#define MS_DAEMON_READER_H

#include "cache/cache.h"

#define READER_JOBS_MAX 256u /* that wait */

struct reader;

struct reader_job { /* embedded in what it works for */
    struct reader_job *next;
    /* cache  NULL: the database cannot be opened, err and diag say why */
    void (*run)(struct reader_job *job, struct cache *cache, enum ms_err err,
                const struct ms_diag *diag);
};

/* The database is opened when it is first read. MS_ERR_MEMORY, MS_ERR_IO without a thread,
 * MS_ERR_ARGUMENT when the path is too long. */
MS_MUST_USE enum ms_err reader_new(const char *state_dir, struct reader **ret_reader);
/* Any thread. MS_ERR_OVERLOAD: too many wait, the job was not taken. */
MS_MUST_USE enum ms_err reader_post(struct reader *reader, struct reader_job *job);
/* Runs what was posted, then joins the thread. NULL is fine. */
void reader_free(struct reader *reader);

#endif
