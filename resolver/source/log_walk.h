/* resolver/source/log_walk.h - the logs of a contract that has no hash chain, as one endpoint after
 * the other tells them, in windows of blocks (ethereum.md 7.3). Nothing shows what is left out, so
 * what is found is never complete; who said it is kept with it.
 *
 * As history_walk.h a struct source that has no result but what it found; the next one goes on
 * where it ended. Pure; not thread-safe. */
#ifndef MS_SOURCE_LOG_WALK_H
#define MS_SOURCE_LOG_WALK_H

#include "eth/jsonrpc.h"
#include "resolver/source/source.h"

#define LOG_WALK_REQUESTS_MAX 32u /* of one walk */
#define LOG_WALK_WINDOW 2000u     /* blocks; halved where an endpoint refuses so many */
#define LOG_WALK_FOUND_MAX 8192u

struct log_walk {
    uint64_t from, to; /* blocks, inclusive */
    uint64_t window;   /* 0: LOG_WALK_WINDOW */
    uint32_t first_provider;
};

struct log_walk_found {
    struct eth_log log; /* data lives as long as the walk */
    uint32_t provider;
};

struct log_walk_range {
    uint64_t from, to, n_logs;
    uint32_t provider;
};

/* `spec` is a contract's, with its KMS or without, and outlives the walk. MS_ERR_ARGUMENT to lies
 * before from; MS_ERR_NO_RPC; MS_ERR_MEMORY. */
MS_MUST_USE enum ms_err source_log_walk_new(const struct spec *spec,
                                            const struct source_policy *policy,
                                            const struct log_walk *walk, struct ms_now now,
                                            struct source **ret_walk, struct ms_diag *diag);
/* Also when it failed. Logs by rising block, ranges rising and without a gap. */
size_t source_log_walk_found(const struct source *walk, const struct log_walk_found **ret_found);
size_t source_log_walk_ranges(const struct source *walk, const struct log_walk_range **ret_ranges);
/* The first block that was not searched, above `to` when it is done; and the window to go on with.
 */
uint64_t source_log_walk_next(const struct source *walk, uint64_t *ret_window);

/* "ComposeHashAdded(bytes32)" for the first topic of an event of a contract known here, else NULL.
 * Static storage. */
const char *log_event_name(const struct eth_hash *topic);

#endif
