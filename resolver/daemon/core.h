/* resolver/daemon/core.h - the core: sole owner of all mutable entries.
 *
 * It runs on one thread and does no I/O of its own: time, randomness, fetching, storing and
 * publishing come through `struct core_env`, so scenario tests drive the real core with a fake
 * clock and scripted replies. Single flight per entry; nothing is published before its evidence is
 * durable. */
#ifndef MS_DAEMON_CORE_H
#define MS_DAEMON_CORE_H

#include "cache/cache.h"
#include "resolver/daemon/answer.h"
#include "resolver/daemon/clients.h"
#include "resolver/entry/bundle.h"
#include "resolver/entry/envelope.h"

#define CORE_WAITERS_MAX 1024u      /* of one entry (ethereum.md 6.3) */
#define CORE_IDLE_MS 86400000       /* an entry nobody asked for this long is not polled any more */
#define CORE_REFRESH_WAIT_MS 30000  /* `refresh SPEC` (interface.md) */
#define CORE_ASKED_MAX 64u          /* values to be asked about in the next attempt of one entry */
#define CORE_ASKED_PLACES 8u        /* that are theirs even where the contract approves many */
#define CORE_CANDIDATE_REST_MS 1000 /* questions about new values begin no attempt more often */

struct core;

/* A question to the core. The asker owns it and keeps it alive until `done` was called, exactly
 * once, on the core's thread, maybe within core_ask. `done` must not call the core: it may be in
 * the middle of an entry. */
struct core_request {
    struct answer_id id;
    uint64_t client;   /* who asks (clients.h) */
    struct spec *spec; /* heap; the core takes it when it has no such entry yet, and sets NULL */
    bool force;        /* `refresh`: fetch now, whatever age, negative state or backoff */
    bool accept; /* an operator accepts what is found: other code, another branch of governance */
    int64_t max_age_s; /* 0: any */
    int64_t wait_ms;   /* wait no longer than this; 0: as long as it is worth */
    /* a contract with mappings is to be asked about these values, unless its answer at hand knows
     * of them */
    size_t n_candidates;
    struct source_candidate candidates[3];
    void (*done)(struct core_request *request);
    /* set before done: */
    enum ms_err err; /* MS_OK: look in the table; else why there is nothing to look at */
    struct ms_diag diag;
    uint64_t generation; /* an answer of this generation may be used whatever its fast_until_ms */
    /* the core's own: */
    struct core_request *next;
    int64_t deadline_ms;
    uint64_t flight; /* `force` waits for this one */
};

/* Follows one entry. The core calls on its thread, and is not to be called from there:
 *   event      at once and at each change of set or state; NULL: not wanted
 *   published  at once and at each new answer, be it that only its times have moved; NULL: not
 * wanted. `answer` is good during the call; NULL: there is none any more (out of memory). */
struct core_watcher {
    struct answer_id id;
    uint64_t client;
    int64_t max_age_s; /* it takes nothing older; 0: any age */
    void (*event)(struct core_watcher *watcher, const char *envelope, size_t len);
    void (*published)(struct core_watcher *watcher, const struct answer *answer);
    /* the core's own: */
    struct core_watcher *next;
    struct ms_sha256 last_set;
    enum entry_state last_state;
    bool sent;
};

enum core_change_kind {
    CORE_CHANGE_TOUCH = 0, /* only times; nothing goes to history, and nobody waits for it */
    CORE_CHANGE_SET,       /* a new set */
    CORE_CHANGE_CONFLICT,  /* a contradiction: its evidence, and the state */
    CORE_CHANGE_HOLD,      /* other code behind a contract: likewise */
    CORE_CHANGE_DISSENT, /* providers contradict each other: evidence only, and nobody waits for it
                          */
};

/* What is to become durable. Owned by the core until core_stored. */
struct core_change {
    enum core_change_kind change;
    struct answer_id id;
    char *canonical;
    enum spec_kind kind;
    struct entry entry;                  /* as it will be once this is durable */
    struct ms_now now;                   /* when the source confirmed it */
    struct ms_sha256 set_hash, evidence; /* of the good set; zero when there is none */
    struct ms_buf bundle;                /* empty for TOUCH */
    struct ms_sha256 bundle_hash;
    struct source_block block;
    bool has_sequence;
    uint64_t sequence;          /* of the result in the bundle */
    struct ms_sha256 found_set; /* set hash of the result in the bundle */
    json_t *facts;              /* what it says (resolver/entry/summary.h); NULL for TOUCH */
    struct cache_leaf leaf;     /* what the log says beside that */
    struct core_entry *owner;   /* only while it is not TOUCH or DISSENT: it may be gone then */
};

/* What was found on disk for an id. */
struct core_loaded {
    struct answer_id id;
    bool found;
    enum ms_err err; /* MS_ERR_EVIDENCE, MS_ERR_HMAC, MS_ERR_STORE: not usable, diag says why */
    struct ms_diag diag;
    struct entry entry; /* on this boot's clock; good only when result is set */
    struct ms_sha256 set_hash, evidence;
    struct source_result *result; /* verified from evidence; moved to the core */
};

struct core_env {
    void *arg;
    struct clients *clients; /* borrowed; NULL: nobody is limited */
    struct ms_now (*now)(void *arg);
    uint32_t (*random)(void *arg);
    /* Send a request, HTTP or RPC; exactly one core_response(tag) follows, not from within this
     * call. */
    void (*fetch)(void *arg, uint64_t tag, const struct source_request *request);
    /* Nobody wants the answer any more: no core_response(tag) follows. What it says about its
     * provider may still be taken for its breaker. */
    void (*cancel)(void *arg, uint64_t tag);
    /* What was fetched for one client (source_request.client) is waited for by another now, all
     * with the high bits of this tag: it counts as nobody's. NULL: of no interest. */
    void (*share)(void *arg, uint64_t tag);
    /* Make durable; exactly one core_stored(change) follows, not from within this call. */
    void (*store)(void *arg, struct core_change *change);
    /* Look an id up on disk and verify it; exactly one core_loaded_entry follows. */
    void (*load)(void *arg, const struct answer_id *id);
    /* How a provider behaved in an attempt that ended: for its breaker, and to bench liars; and
     * what showed about the ways it can be asked. */
    void (*conduct)(void *arg, uint32_t provider, enum source_conduct conduct,
                    struct source_manners learned);
    /* Mark the providers that are not to be asked now (breaker open, benched), and what is known of
     * the ways the others can be asked. */
    void (*mark_providers)(void *arg, struct source_policy *policy);
    void (*log)(void *arg, int level, const char *event, const struct answer_id *id,
                const char *detail);
};

struct core_options {
    struct source_policy policy;
    struct entry_rules rules; /* time_floor_s: what earlier runs have verified */
    bool audit_require;       /* audit = require: what cannot be stored is not served */
    uint32_t max_entries;     /* in memory, at least 1; the least recently used make room */
};

MS_MUST_USE enum ms_err core_new(const struct core_env *env, const struct core_options *options,
                                 struct table *table, struct core **ret_core);
/* Fails every waiting request with MS_ERR_SHUTDOWN, cancels fetches and begins nothing any more;
 * what is with the store still comes back through core_stored and core_loaded_entry. NULL is fine.
 */
void core_stop(struct core *core);
/* core_stop, and everything is freed: nothing may be with the store. */
void core_free(struct core *core);
/* Answers in flight finish; new requests get MS_ERR_SHUTDOWN. True when nothing waits any more. */
bool core_drain(struct core *core);
/* The time for that is over: whoever still waits gets MS_ERR_SHUTDOWN now. */
void core_abandon(struct core *core);
/* A reload: new attempts use the new options; entries stay. */
void core_set_options(struct core *core, const struct core_options *options);

/* MS_ERR_QUOTA: as much is being resolved for this client as may be at once, or others want a place
 * in a full list of one entry where it has the most. MS_ERR_OVERLOAD: the list is full. */
void core_ask(struct core *core, struct core_request *request);
/* Takes spec. MS_ERR_OVERLOAD, and the watcher hears nothing, when there is no room; MS_ERR_QUOTA
 * as core_ask. */
MS_MUST_USE enum ms_err core_watch(struct core *core, struct core_watcher *watcher,
                                   struct spec *spec, struct ms_diag *diag);
void core_unwatch(struct core *core, struct core_watcher *watcher);
/* Somebody was served an answer whose refresh is due. */
void core_touch(struct core *core, const struct answer_id *id);

void core_response(struct core *core, uint64_t tag, const struct source_response *response);
void core_stored(struct core *core, struct core_change *change, enum ms_err err,
                 const struct ms_diag *diag);
void core_loaded_entry(struct core *core, struct core_loaded *loaded);
/* Call a few times a second: deadlines, transitions by time, polling. */
void core_tick(struct core *core);

/* The highest block time verified by a quorum, 0 for none: no clock is right before it (T10). */
int64_t core_time_floor(const struct core *core);
/* Entries by state, and a JSON list of entries for `status` (new reference). */
void core_count(const struct core *core, size_t counts[ENTRY_CLOCK_SUSPECT + 1]);
json_t *core_entries_json(const struct core *core, size_t max);

/* ---- for what looks into the past of contracts (backfill.h) ---- */
struct core_mark { /* kept with the entry for the one who looks; zero at first */
    uint64_t sequence;
    int64_t after_ms;
};
/* A good answer of a contract, or of signers, whose evidence is durable; borrowed for the call. */
struct core_good {
    struct answer_id id;
    const struct spec *spec;
    const struct source_result *result;
    struct ms_sha256 evidence;
    struct core_mark *mark;
};
/* False: there is no such answer. */
bool core_good(struct core *core, const struct answer_id *id, struct core_good *ret_good);
/* Each of them until fn says false; fn must not call the core. */
void core_each_good(struct core *core, bool (*fn)(void *arg, const struct core_good *good),
                    void *arg);
/* Nothing is being resolved or polled. */
bool core_quiet(const struct core *core);

/* The id under which a specifier is kept: its key, and for contracts the level it is read at. */
struct answer_id core_id(const struct spec *spec, enum spec_level policy_level);

#endif
