/* resolver/source/history_chain.h - the whole past of a registry, out of its logs.
 *
 * Every operation is a link of a hash chain whose newest hash stands in the proven State, and names
 * the block of the one before it (ethereum.md 3.5). So logs need no trust: going back from the
 * State, each operation is proven by its hash, and the hash of the one before is proven with it,
 * until the first, which follows on nothing. What is missing, altered, doubled or out of place
 * breaks a link, and the break is told by the operation's number.
 *
 * From the operations follow all states of the past: who owned the registry, and which releases
 * were in force at any time. Their documents do not: an operation names them by hash only.
 *
 * Pure; thread-safe. Spans of what is returned are borrowed from the logs. */
#ifndef MS_SOURCE_HISTORY_CHAIN_H
#define MS_SOURCE_HISTORY_CHAIN_H

#include "resolver/source/registry.h"

#define HISTORY_OPERATIONS_MAX 65536u /* of one registry: 7 a day for 25 years */
#define HISTORY_DATA_MAX_BYTES \
    4096u                          /* of one operation; an approval with the longest uri has 736 */
#define HISTORY_NAME_MAX_BYTES 96u /* of an operation in words */

/* ---- links ---- */

struct history_at {    /* an operation of which the hash is proven, and the block it lies in */
    uint64_t sequence; /* 0: before the first */
    uint64_t block;
    struct eth_hash hash;
};
/* The newest one, by a proven state. */
struct history_at history_newest(const struct registry_state *state);

enum history_fault {
    HISTORY_FAULT_NONE = 0,
    HISTORY_FAULT_MISSING, /* no log of this operation where it must be */
    HISTORY_FAULT_MALFORMED,
    HISTORY_FAULT_NUMBER, /* it carries another operation's number */
    HISTORY_FAULT_TWICE,
    HISTORY_FAULT_PLACE,   /* it is there, but not in its place */
    HISTORY_FAULT_ALTERED, /* its hash does not follow from what it says */
    HISTORY_FAULT_ORDER,   /* block or time do not follow on the operation before: the contract is
                              to blame, for the hashes are right */
};

struct history_break {
    enum history_fault fault;
    uint64_t sequence; /* of the operation it is about */
};

/* "operation 7 (revoke of release 3, block 1234)". */
void history_name(const struct registry_event *event, char ret_name[HISTORY_NAME_MAX_BYTES]);
/* "init", "approve", ...; "unknown" for a kind of later contracts. Static storage. */
const char *history_kind_name(uint8_t kind);

/* Links out of logs, in their order. Logs of other contracts and other events are passed over.
 *   last  what the last of them must be: says which operation a log that cannot be read is
 * MS_ERR_ABI malformed, MS_ERR_LIMIT too many of them or too long; with the break. MS_ERR_MEMORY.
 */
MS_MUST_USE enum ms_err history_events(const struct eth_log *logs, size_t n,
                                       const struct eth_addr *registry,
                                       const struct history_at *last, struct ms_arena *arena,
                                       struct registry_event **ret_events, size_t *ret_n,
                                       struct history_break *ret_break, struct ms_diag *diag);

/* Require that the events, oldest first, end with `last` and follow on one another without a gap,
 * each link checked. What the first of them says is proven only when it is operation 1: of any
 * other just its hash is (the operation before it is not there). whole  the first must be operation
 * 1 MS_ERR_COMMITMENT with the break, told by the operation nearest to `last`. */
MS_MUST_USE enum ms_err history_links(const struct registry_event *events, size_t n,
                                      const struct history_at *last, bool whole,
                                      struct history_break *ret_break, struct ms_diag *diag);

/* All operations ever made: from the first to the one that made the state. Errors as above. */
MS_MUST_USE enum ms_err history_whole(const struct registry_event *events, size_t n,
                                      const struct registry_state *state,
                                      struct history_break *ret_break, struct ms_diag *diag);
/* The same, from all logs of the contract. */
MS_MUST_USE enum ms_err history_verify(const struct eth_log *logs, size_t n,
                                       const struct eth_addr *registry,
                                       const struct registry_state *state, struct ms_arena *arena,
                                       struct registry_event **ret_events, size_t *ret_n,
                                       struct history_break *ret_break, struct ms_diag *diag);

/* ---- what operations say ---- */

struct history_operation {
    struct registry_event event;
    bool known; /* of a kind known here, and its data is of its form; else nothing below counts */
    struct registry_release release; /* approve */
    struct eth_addr pointer;  /* approve: the document as contract code; zero: it is not on chain */
    uint32_t reason;          /* revoke */
    uint64_t not_after_s;     /* shorten */
    uint64_t valid_until_s;   /* heartbeat */
    uint64_t min_delay_s;     /* init, raiseMinDelay */
    struct eth_addr owner;    /* init; the new one of transfers */
    struct eth_addr guardian; /* init, setGuardian */
};

/* The event's data is borrowed from the event; a release's uri is copied to the arena, and nothing
 * else. MS_ERR_MEMORY; what is not understood is `known` = false. */
MS_MUST_USE enum ms_err history_operation_read(const struct registry_event *event,
                                               struct ms_arena *arena,
                                               struct history_operation *ret_operation);

/* ---- the states of the past ---- */

struct history_past { /* after an operation; zeroed: before the first */
    struct registry_state
        state; /* all but commitments: history_hash is set, releases_hash is not */
    struct eth_addr pending_owner;
    bool lost; /* an operation was not understood, or cannot have been: nothing is known any more */
    uint64_t lost_at;
    size_t n_live;
    struct registry_release live[REGISTRY_RELEASES_MAX]; /* ids rising */
};

/* Go on by one operation, in order. What is taken away, or changed, stands in *ret_gone as it was
 * before; false when nothing is. */
bool history_past_apply(struct history_past *past, const struct history_operation *operation,
                        struct registry_release *ret_gone);
/* Require that it is the proven state, releases and all. MS_ERR_COMMITMENT. */
MS_MUST_USE enum ms_err history_past_verify(const struct history_past *past,
                                            const struct registry_state *state,
                                            struct ms_diag *diag);
/* Whether a live release was in force at this time, by the chain's own clock. */
enum registry_force history_past_in_force(const struct history_past *past,
                                          const struct registry_release *release, uint64_t time_s);

#endif
