/* resolver/entry/entry.h - the state machine of a cached entry: what may be served, until when, and
 * when to ask again (ethereum.md section 6). It holds facts and times, no sets; `now` is always an
 * argument. Pure; not thread-safe (the core thread owns every entry). */
#ifndef MS_ENTRY_H
#define MS_ENTRY_H

#include "resolver/source/source.h"

enum entry_state {
    ENTRY_EMPTY = 0, /* never resolved: callers wait or get an error; never shown */
    ENTRY_FRESH,
    ENTRY_SWR,
    ENTRY_SIE,
    ENTRY_EXPIRED,
    ENTRY_NEGATIVE,
    ENTRY_REVOKED, /* servable, and the set in force is empty */
    ENTRY_HOLD,
    ENTRY_CONFLICT,
    ENTRY_CLOCK_SUSPECT,
};

/* "stale-while-revalidate" and the like, as in answers. */
const char *entry_state_name(enum entry_state state);

#define ENTRY_NEVER INT64_MAX
#define ENTRY_FIRST_WAIT_MS 5000 /* a caller of an entry without an answer */
#define ENTRY_SIE_WAIT_MS 1000   /* a caller of a stale-if-error entry */
#define ENTRY_CLOCK_SLACK_S 120  /* T10 */

#define ENTRY_CODE_HOLD (-1)

/* What holds for every entry: an operator's choices, and what all of them have seen together. */
struct entry_rules {
    int64_t sie_max_s; /* E is never longer */
    int64_t warn_s;    /* a finalized block this old is worth a warning; 0: never */
    int64_t stale_s;   /* and makes the answer a stale one (T2); 0: never */
    int64_t
        code_delay_s; /* other code is taken after this long; ENTRY_CODE_HOLD: never by itself */
    int64_t time_floor_s; /* highest block time ever verified: no clock is right before it (T10) */
};

/* As without a configuration. */
extern const struct entry_rules entry_rules_default;

struct entry {
    const struct entry_rules *rules; /* borrowed; NULL: none */
    bool chain;                      /* evidence_time_s is the time of a block */

    /* the last verified answer */
    bool good;
    int64_t checked_boot_ms; /* when the source last confirmed it, on this boot's clock; may be
                                negative */
    int64_t evidence_time_s;
    struct source_lifetime life;
    int64_t valid_until_s; /* governance heartbeat, 0 none */
    bool has_sequence;
    uint64_t floor_epoch;    /* of a signed set's root: a higher one begins a new count */
    uint64_t floor_sequence; /* never falls within an epoch; for sources that do not count: changes
                                accepted here */
    struct ms_sha256 commitment;
    int64_t cleared_floor_s; /* an answer has come although the clock is before this time floor */
    int64_t head_time_s;     /* chains: of the newest block told of, 0 unknown; */
    int64_t head_boot_ms;    /* when that was */
    bool recheck;            /* from disk after a reboot: FRESH is shown as SWR until confirmed */

    uint64_t overlay_head;    /* the block that said so */
    struct ms_sha256 overlay; /* what the newest chain state takes away; zero: nothing */
    bool has_identity;        /* the code behind a contract, as accepted */
    struct ms_sha256 identity;

    bool conflict;
    enum ms_err conflict_err;
    bool hold; /* the code changed: the old set until its ceiling, until it is accepted */
    struct ms_sha256 held_identity;
    int64_t held_boot_ms; /* since when it is this one, on this boot's clock */
    bool dissent;         /* the last attempt found providers contradicting each other */

    /* a definite no */
    int64_t negative_until_ms; /* boot clock; 0 none */
    enum ms_err negative_err;

    /* trying */
    uint32_t fails;
    int64_t next_try_ms; /* boot clock */
    enum ms_err last_err;
    struct ms_diag last_diag;
};

/* What the entry is worth at one moment. */
struct entry_view {
    enum entry_state state; /* REVOKED is the caller's to add: it knows the set */
    bool serve;             /* the good set may be given out */
    bool refresh;           /* a refresh is due (and backoff allows it) */
    bool wait_first;        /* callers wait for one try, at most wait_ms, before getting the set */
    int64_t wait_ms;
    int64_t next_change_ms; /* boot clock: when state or serve may change by time alone */
    int64_t serve_until_ms; /* boot clock: the set must not be given out from here on */
    int64_t soft_until_ms;  /* boot clock: end of FRESH */
    enum ms_err err;        /* why nothing is served; MS_OK when serve */
};

struct entry_view entry_view(const struct entry *entry, struct ms_now now);

/* Boot-clock moment after which neither the evidence ceiling nor governance's validUntil lets the
 * set be served; ENTRY_NEVER without either. */
int64_t entry_hard_end_ms(const struct entry *entry, struct ms_now now);

/* Whether the finalized block is old enough to make the answer a stale one, or to be told. */
bool entry_evidence_stale(const struct entry *entry, struct ms_now now);
bool entry_evidence_old(const struct entry *entry, struct ms_now now);

/* The time of the chain, which decides when a release comes into force: what its newest block said,
 * plus what has passed since, agrees with our clock within ENTRY_CLOCK_SLACK_S: then it is our
 * clock's, to the second and without asking. Else, or when the newest block is not known, that of
 * the last finalized block seen: our clock alone puts nothing in force.
 *   block_s  of the block that the answer was read at; 0: not a chain, and our clock is all there
 * is
 */
int64_t entry_chain_time(const struct entry *entry, int64_t block_s, struct ms_now now);

/* Boot-clock moment of a Unix time; those beyond the clock's ends are its ends, ENTRY_NEVER above.
 */
int64_t entry_boot_ms(int64_t wall_s, struct ms_now now);
/* Unix time of a boot-clock moment, for answers; 0 for never. */
int64_t entry_wall_s(int64_t boot_ms, struct ms_now now);

enum entry_verdict {
    ENTRY_REFUSED = 0, /* rollback or clock: keep what there was */
    ENTRY_SAME,        /* the same set: times are updated */
    ENTRY_CHANGED,     /* a new set: make it durable, then publish */
    ENTRY_CONTRADICTS, /* same sequence, other commitment: CONFLICT, nothing is served */
    ENTRY_HELD, /* other code behind the contract, and not its time: HOLD, the old set ages to its
                   ceiling */
};

/* What a verified result would mean; changes nothing. At L0 and L1 nothing is verified that could
 * contradict, so one endpoint's word ends no entry for good and binds nobody for ever: what
 * contradicts is refused while the old set may be served, and taken afterwards. ret_why  set when
 * REFUSED: MS_ERR_ROLLBACK, MS_ERR_CONFLICT (it does not clear one), or MS_ERR_UNAVAILABLE (a
 * revocation seen in the newest state stands, and that state was not read this time), or
 * MS_ERR_CODE_IDENTITY (something new, and no endpoint proved whose code says it) */
enum entry_verdict entry_judge(const struct entry *entry, const struct source_result *result,
                               struct ms_now now, enum ms_err *ret_why);
/* The floor that an attempt may be held to: 0 at L0 and L1 when the old set may not be served any
 * more. */
uint64_t entry_floor(const struct entry *entry, enum spec_level level, struct ms_now now);

/* Take it (after it is durable): times, floor, lifetime; clears failures. `now` is when the answer
 * was complete. A contradiction sets `conflict`. */
void entry_accept(struct entry *entry, const struct source_result *result,
                  enum entry_verdict verdict, struct ms_now now);

/* A poll (resolver/source/poll.h) found that the answer at hand still stands in a block of this
 * time: as entry_accept of the same set. */
void entry_confirm(struct entry *entry, int64_t evidence_time_s, int64_t head_time_s,
                   struct ms_now now);
/* Whether a poll may speak for it: it is served, nothing is held against it, and if the newest
 * state takes something away, that state was read as of this block or a later one. */
bool entry_may_confirm(const struct entry *entry, bool has_head, uint64_t head_number,
                       struct ms_now now);

/* A failed attempt. negative_s > 0: a definite no, or (MS_ERR_CONNECT, MS_ERR_RESOLVE) nobody
 * there, which only an entry without an answer remembers. random is uniform in [0, 2^32): full
 * jitter. */
void entry_fail(struct entry *entry, enum ms_err err, const struct ms_diag *diag,
                int64_t negative_s, int64_t backoff_cap_ms, uint32_t random, struct ms_now now);

/* Release windows (3.4): in force at chain time c and wall time w, pessimistic both ways. */
enum entry_window { ENTRY_WINDOW_EXPIRED = 0, ENTRY_WINDOW_PENDING, ENTRY_WINDOW_IN_FORCE };
enum entry_window entry_release_window(const struct source_release *release, int64_t chain_s,
                                       int64_t wall_s);

#endif
