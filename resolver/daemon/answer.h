/* resolver/daemon/answer.h - published answers: immutable objects that HTTP workers read without a
 * lock.
 *
 * The core thread makes an answer, puts it in the table and never touches it again; replacing it
 * retires the old one through RCU. Workers look it up inside a read section (answer_read_lock) and
 * may use everything in it until answer_read_unlock; the MHD responses in it count their own
 * references, so a queued one outlives the answer.
 *
 * Threads: table_publish and table_remove from the core thread only; table_find from any registered
 * thread. */
#ifndef MS_DAEMON_ANSWER_H
#define MS_DAEMON_ANSWER_H

#define _LGPL_SOURCE 1
#include <urcu/urcu-memb.h>
#include <urcu/rculfhash.h>

#include "resolver/entry/entry.h"
#include "resolver/entry/snapshot.h"

#include <stdatomic.h>

struct MHD_Response;

#define ANSWER_PROFILES REC_PROFILES /* indexed by enum rec_profile */

struct answer_id {
    struct ms_sha256 key;
    enum spec_level level; /* of a contract read; NONE for everything else */
};

/* A result shared between the core's entry and the answers made from it; freed with the last. */
struct shared_result {
    atomic_uint refs;
    struct source_result *result;
};
struct shared_result *
shared_result_new(struct source_result *result); /* takes it; NULL: freed it */
struct shared_result *shared_result_ref(struct shared_result *shared);
void shared_result_unref(struct shared_result *shared);

struct answer {
    struct cds_lfht_node node;
    struct rcu_head rcu;
    struct answer_id id;
    uint64_t generation;    /* grows with every publication of this id */
    enum entry_state state; /* as shown, REVOKED included */
    bool serve;
    enum ms_err err;         /* when !serve */
    struct ms_diag *diag;    /* what the last failure said; NULL: nothing */
    int64_t fast_until_ms;   /* boot clock: from here on the core must be asked */
    int64_t checked_boot_ms; /* for max-age */
    bool refresh_due;        /* serve, but tell the core somebody wants it */
    atomic_bool refresh_posted;
    atomic_llong last_used_ms;

    struct shared_result *shared; /* when serve */
    size_t n_sets;
    const struct rec_set **sets; /* in force; into shared */
    size_t *set_release;         /* index of each set's release */
    /* when each release of the result is in force, and until when all of it may be used; boot clock
     */
    struct snapshot_window *windows;
    int64_t fresh_until_ms, serve_until_ms;

    char *envelope; /* JSON text, always there */
    size_t envelope_len;
    char trust[32];
    char etag[2 * MS_SHA256_BYTES + 3]; /* quoted; of the set in force, and of a dstack app's own
                                         * demands */
    char evidence_hex[2 * MS_SHA256_BYTES + 1];
    uint64_t sequence;
    int64_t expires_s;
    int64_t valid_until_s; /* as in the envelope; 0: no end */

    /* 200, when serve: made with the answer where the one before it was asked for them, else by the
     * first who asks (publish.h). NULL: not yet. Only of profiles without options of a request. */
    _Atomic(struct MHD_Response *) envelope_response;
    _Atomic(struct MHD_Response *) records_response[ANSWER_PROFILES];
};

void answer_free(struct answer *answer);

struct table;
struct table *table_new(void);
void table_free(struct table *table); /* no reader may be left */
/* Put answer in place of what was there; the old one is freed after a grace period. */
void table_publish(struct table *table, struct answer *answer);
void table_remove(struct table *table, const struct answer_id *id);
/* Inside a read section. NULL when there is none. */
struct answer *table_find(struct table *table, const struct answer_id *id);

/* Read sections; the calling thread is registered with RCU on its first use and unregistered when
 * it ends. */
void answer_read_lock(void);
void answer_read_unlock(void);

#endif
