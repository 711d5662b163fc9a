/* resolver/daemon/backfill.h - fetches the past in the background: operations of registries, proven
 * back to the first, logs of other contracts, which nobody can prove complete, and the sets that
 * signers signed before the accepted one, each named by the one after it.
 *
 * One specifier at a time and one request at a time, at most so many a second, and only while
 * nothing is being resolved. What is found is stored in parts, so that whoever ends it loses a
 * minute's work at most: the next one goes on from what is stored. Only finalized states are walked
 * back from, so what a reorganisation undoes is never stored. Loop thread only. */
#ifndef MS_DAEMON_BACKFILL_H
#define MS_DAEMON_BACKFILL_H

#include "resolver/daemon/store.h"
#include "resolver/daemon/upstream.h"

#define BACKFILL_TAG (UINT64_C(1) << 62) /* in tags of requests: ours */
#define BACKFILL_JOBS_MAX 256u           /* told of; those that have ended make room */

struct backfill;

struct backfill_env {
    struct loop *loop;
    struct core *core;
    struct store *store;
    struct upstream *upstream;
};

MS_MUST_USE enum ms_err backfill_new(const struct backfill_env *env, const struct config *config,
                                     struct backfill **ret_backfill);
/* A reload: what is under way begins again from what is stored. The old configuration's strings
 * live on. */
void backfill_set_config(struct backfill *backfill, const struct config *config);
/* Somebody asks for the past of this entry, which has an answer. */
void backfill_ask(struct backfill *backfill, const struct answer_id *id);
void backfill_response(struct backfill *backfill, uint64_t tag,
                       const struct source_response *response);
/* A few times a second. */
void backfill_tick(struct backfill *backfill);

/* How it stands with an entry, docs/back-fill.md (new reference, NULL when memory is out). Begins
 * what configuration wants. */
json_t *backfill_status(struct backfill *backfill, const struct answer_id *id);

/* The stored operations, or logs, of a key as JSON text (docs/back-fill.md), from a number or block
 * on. Reads only: on any thread that owns the cache. MS_ERR_STORE and the like with the row. */
MS_MUST_USE enum ms_err backfill_list(struct cache *cache, const struct ms_sha256 *key,
                                      uint64_t from, struct ms_buf *out, struct ms_diag *diag);

/* Nothing is begun any more; what is with the store comes back. NULL is fine. */
void backfill_stop(struct backfill *backfill);
/* After the loop is freed. */
void backfill_free(struct backfill *backfill);

#endif
