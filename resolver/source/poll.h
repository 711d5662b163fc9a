/* resolver/source/poll.h - many contracts of one chain asked at once whether anything has changed,
 * in a number of requests that does not grow with theirs (ethereum.md 6.3, "Cheap poll").
 *
 * It agrees on the finalized and the newest block as every read does (trusted.h) and asks
 * Multicall3 at both for what the probes name. An endpoint whose chain has no Multicall3 gets
 * batches of eth_call. At L1 one endpoint answers, at L2 and L3 as many groups as the quorum. At L3
 * answers only tell of changes, and any one endpoint may; what they confirm is proven against the
 * finalized state root before it counts. A poll never says what a contract's state is: whatever is
 * not the same is to be read in full.
 *
 * A poll is a struct source: source_step, source_take_request, source_error, source_conduct and
 * source_free work on it. It has no result. Pure; not thread-safe. */
#ifndef MS_SOURCE_POLL_H
#define MS_SOURCE_POLL_H

#include "resolver/source/source.h"

#define SOURCE_POLL_CALLS_MAX 2048u /* of all items; an item has at least one */
#define SOURCE_POLL_CHUNK_MAX 1024u /* calls in one eth_call */
#define SOURCE_POLL_CHUNK_MIN 16u
/* Items of which a batch for each call still fits the requests of one attempt. */
#define SOURCE_POLL_SINGLES_MAX 256u

struct source_poll_item {
    const struct source_probe *probe; /* has calls; outlives the poll */
    bool has_final; /* the last finalized block believed must still be in the chain */
    uint64_t final_number;
    struct eth_hash final_hash;
    bool prove; /* L3: prove it this time */
};

/* What earlier polls of the chain found out; a poll corrects it. */
struct source_poll_hints {
    bool no_multicall;
    uint32_t chunk_calls; /* calls in one eth_call that have been answered; 0: not known */
};

enum source_poll_verdict {
    SOURCE_POLL_UNKNOWN = 0, /* not found out, or providers differ: read it in full */
    SOURCE_POLL_CHANGED,     /* read it in full */
    SOURCE_POLL_UNPROVEN,    /* L3: nobody says it changed, and nobody proves that it did not */
    SOURCE_POLL_STANDS,      /* L3: nobody says it changed; that confirms nothing */
    SOURCE_POLL_SAME,        /* confirmed as of source_poll_final */
};

/* Items are copied, at most SOURCE_POLL_CALLS_MAX calls among them.
 * MS_ERR_ARGUMENT no items, or more calls; MS_ERR_NO_RPC, MS_ERR_QUORUM, MS_ERR_LEVEL when the
 * policy cannot be met; MS_ERR_MEMORY. */
MS_MUST_USE enum ms_err source_poll_new(uint64_t chain, const struct source_policy *policy,
                                        const struct source_poll_item *items, size_t n,
                                        const struct source_poll_hints *hints, struct ms_now now,
                                        struct source **ret_poll, struct ms_diag *diag);

/* Whether the poll ended before any block was agreed on; then its error is that of every item.
 * Later failures leave items UNKNOWN. */
bool source_poll_no_block(const struct source *poll);
/* When it has ended. ret_diag: why it is UNPROVEN. */
enum source_poll_verdict source_poll_verdict(const struct source *poll, size_t item,
                                             enum ms_err *ret_err, struct ms_diag *ret_diag);
struct source_block source_poll_final(const struct source *poll);
/* Whether the newest block was read too, or is the finalized one; and which. */
bool source_poll_head(const struct source *poll, uint64_t *ret_number);
/* Time of the newest block told of, read or not; that of the finalized one when there is none. */
int64_t source_poll_head_time(const struct source *poll);
struct source_poll_hints source_poll_hints(const struct source *poll);

#endif
