/* resolver/source/history_walk.h - the operations of a registry fetched from the newest back, one
 * eth_getLogs for each block that has some (ethereum.md 3.5, 7.3). Any one endpoint serves, because
 * every log is checked against a hash that is proven; one whose logs do not hold is told by name,
 * and another is asked.
 *
 * A walk is a struct source: source_step, source_take_request, source_error, source_conduct and
 * source_free work on it. It has no result, but what it found. One walk takes a number of blocks;
 * the next begins where it ended. Pure; not thread-safe. */
#ifndef MS_SOURCE_HISTORY_WALK_H
#define MS_SOURCE_HISTORY_WALK_H

#include "resolver/source/history_chain.h"
#include "resolver/source/source.h"

#define HISTORY_WALK_BLOCKS_MAX 16u /* of one walk: one request each, what a crash may lose */
#define HISTORY_WALK_BYTES_MAX ((size_t)4 << 20) /* of what one walk has found */

struct history_walk {
    struct history_at from;  /* the newest that is wanted; its hash is proven */
    struct history_at until; /* one below that is known already; sequence 0: walk to the first */
    uint64_t newest;         /* operations up to this one are known to be: one above `from` may lie
                                in its block; 0: that of from */
    uint32_t max_blocks;     /* 0: HISTORY_WALK_BLOCKS_MAX */
    uint32_t first_provider; /* asked before the others */
    bool known_code; /* the registry's code is known: it logs nothing but its operations. Any
                        other may log what contradicts its own hashes, and an endpoint that
                        tells so has not lied: it is named and left, no more */
};

struct history_found {
    struct registry_event event; /* proven; data lives as long as the walk */
    struct eth_hash before;      /* hash of the operation before it; zero for the first */
    uint32_t provider;           /* gave the log */
};

/* `spec` is a contract's and outlives the walk. MS_ERR_UNSUPPORTED a chain on which a contract's
 * block numbers are not those of its logs; MS_ERR_CONFLICT until is above from; MS_ERR_NO_RPC;
 * MS_ERR_MEMORY. */
MS_MUST_USE enum ms_err source_walk_new(const struct spec *spec, const struct source_policy *policy,
                                        const struct history_walk *walk, struct ms_now now,
                                        struct source **ret_walk, struct ms_diag *diag);

/* What is proven so far, newest first, without a gap from `from` on; also when it failed. */
size_t source_walk_found(const struct source *walk, const struct history_found **ret_found);
/* Where the next walk begins; sequence 0 when `until` or the first operation was reached. */
struct history_at source_walk_next(const struct source *walk);
/* Why a provider's logs were of no use. false: nothing to be said. ret_fault NONE: it gave none. */
bool source_walk_complaint(const struct source *walk, uint32_t provider,
                           enum history_fault *ret_fault, struct ms_diag *ret_diag);

#endif
