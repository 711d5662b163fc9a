/* resolver/daemon/backfill_job.h - one contract, or set of signers, whose past is fetched; shared
 * by backfill*.c. */
#ifndef MS_DAEMON_BACKFILL_JOB_H
#define MS_DAEMON_BACKFILL_JOB_H

#include "resolver/daemon/backfill.h"
#include "resolver/entry/operations.h"
#include "resolver/source/history_walk.h"
#include "resolver/source/log_walk.h"

#define BACKFILL_COMPLAINTS_MAX 8u
#define BACKFILL_RUNS_MAX 256u
#define BACKFILL_UNCHECKED_MAX 512u

enum job_state {
    JOB_QUEUED = 0,
    JOB_READING, /* what is stored already */
    JOB_WALKING,
    JOB_FETCHING, /* documents, when the operations are stored */
    JOB_STORING,
    JOB_WAITING, /* for an endpoint that can be asked */
    JOB_DONE,
    JOB_FAILED,
};

/* Operations that are stored, without a gap: down from `high`. */
struct job_run {
    struct history_at high;
    struct history_at below; /* the one that the lowest follows on; sequence 0: there is none */
};

struct job_complaint {
    char provider[128]; /* or a host */
    char text[256];
};

struct backfill_job {
    struct backfill_job *next;
    struct backfill *owner;
    struct answer_id id;
    struct spec spec; /* ours: the entry may go */
    bool logs;        /* no registry: what endpoints say, never complete */
    enum job_state state;
    struct ms_sha256 evidence; /* of what it goes back from */
    /* registries */
    struct operations_proof proof;
    size_t n_runs; /* highest first */
    struct job_run runs[BACKFILL_RUNS_MAX];
    struct history_at at;    /* the newest that is still missing; sequence 0: none is */
    struct history_at until; /* of the walk under way */
    bool walked;             /* all operations are stored */
    bool known_code;
    struct job_documents *documents; /* NULL until the operations are stored */
    struct sets_job *sets;           /* signed sets, backfill_sets.c; NULL: a contract */
    /* other contracts */
    uint64_t first_block, next_block, last_block, window;
    bool seek;               /* where the contract appeared is not known yet */
    uint32_t first_provider; /* served last */
    /* blocks whose logs are stored and not checked, to be tried again behind all windows */
    size_t n_unchecked, next_unchecked;
    uint64_t unchecked[BACKFILL_UNCHECKED_MAX];
    bool asked;   /* by somebody, not by configuration */
    bool goes_on; /* queued in the middle, behind the others: what is stored was read already */
    /* how it goes */
    uint64_t total, stored; /* operations; or blocks, and logs */
    uint64_t n_requests;
    int64_t documents_again_ms; /* those that could not be had are asked for again, unasked */
    enum ms_err err;
    struct ms_diag diag;
    int64_t started_s, ended_s, retry_ms;
    unsigned tries;
    const char *provider; /* asked last */
    size_t n_complaints;
    struct job_complaint complaints[BACKFILL_COMPLAINTS_MAX];
    /* one attempt */
    struct source *source;
    bool failing; /* it failed after it had found something, which is being stored */
    struct source_policy policy;
    uint64_t serial;
    struct store_job work; /* reading or writing; what it found: */
    enum ms_err work_err;
    struct ms_diag work_diag;
};

/* Told to the log and to who asks how it goes; provider is copied. */
void job_complain(struct backfill_job *job, const char *provider, const char *event,
                  const char *text);

/* ---- backfill_store.c: on the store's thread, with nobody else looking at the job ---- */
void job_read(struct store_job *work, struct cache *cache);
void job_write(struct store_job *work, struct cache *cache);

/* Of other contracts: the windows are searched, and the rest is blocks to be checked. */
static inline bool job_rechecks(const struct backfill_job *job)
{
    return job->logs && job->next_block > job->last_block;
}
/* ---- backfill_documents.c ---- */
struct past_complaint;
/* On the store's thread: those that are missing, into job->documents; those that live releases have
 * are kept. And what a fetch has found. */
void job_documents_list(struct store_job *work, struct cache *cache);
void job_documents_write(struct store_job *work, struct cache *cache);
bool job_documents_lacks(const struct backfill_job *job); /* one could not be had */
bool job_documents_ended(const struct backfill_job *job);
/* job->source gets the next of them. Errors as source_past_documents_new. */
MS_MUST_USE enum ms_err job_documents_fetch(struct backfill_job *job, struct ms_now now,
                                            struct ms_diag *diag);
/* Complaint i of the fetch, NULL: there are no more. */
const struct past_complaint *job_documents_complaint(const struct backfill_job *job, size_t i);
/* Whether the fetch has come to an end with any of them. */
bool job_documents_any(const struct backfill_job *job);
/* Those count as asked for. */
void job_documents_take(struct backfill_job *job);
/* All that are left cannot be had now. */
void job_documents_give_up(struct backfill_job *job, const struct ms_diag *why);
/* No more is fetched: what there is to be told stays, and not the list, which may be long. */
void job_documents_end(struct backfill_job *job);
/* `documents`, `documents_missing` and why. */
void job_documents_json(const struct backfill_job *job, json_t *out);
void job_documents_free(struct backfill_job *job); /* without any is fine */

static inline struct backfill_job *job_of(struct store_job *work)
{
    return (struct backfill_job *)((char *)work - offsetof(struct backfill_job, work));
}

#endif
