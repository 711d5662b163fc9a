/* resolver/source/log_walk.h - the logs of a contract that has no hash chain, as one endpoint after
 * the other tells them, in windows of blocks (ethereum.md 7.3). Nothing shows what is left out, so
 * what is found is never complete; who said it is kept with it. Of each block that has logs can be
 * shown which they are (block_check.h): an endpoint whose logs are not those of the block is told
 * by name, what it said of the whole window is dropped, and another is asked.
 *
 * As history_walk.h a struct source that has no result but what it found; the next one goes on
 * where it ended. Pure; not thread-safe. */
#ifndef MS_SOURCE_LOG_WALK_H
#define MS_SOURCE_LOG_WALK_H

#include "eth/jsonrpc.h"
#include "resolver/source/source.h"

#define LOG_WALK_WINDOWS_MAX 32u   /* of one walk */
#define LOG_WALK_REQUESTS_MAX 200u /* then no more blocks are begun with: what a crash may lose */
#define LOG_WALK_WINDOW 2000u      /* blocks; halved where an endpoint refuses so many */
#define LOG_WALK_FOUND_MAX 8192u

struct log_walk {
    uint64_t from, to; /* blocks, inclusive */
    bool seek;         /* not before the contract was there, when that can be found out */
    uint64_t window;   /* 0: LOG_WALK_WINDOW */
    enum spec_level
        level; /* of the answer whose past it is: who is believed about a block's hash */
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

enum log_fault { /* of a provider; a later one is worse */
                 LOG_FAULT_NONE = 0,
                 LOG_FAULT_REFUSED, /* it gives no logs */
                 LOG_FAULT_BLOCK,   /* its header or its receipts are not those of the block */
                 LOG_FAULT_MISSING, /* a log of a block that it told others of */
                 LOG_FAULT_WRONG,   /* a log that is not, or not so, in its block */
};

/* Of a block that has logs. Not checked: `why` says so, and header may be known all the same. */
struct log_walk_check {
    uint64_t block;
    bool checked;    /* by its receipts: its logs of the contract are those found, none else */
    bool has_header; /* agreed on: */
    struct eth_hash hash;
    uint64_t time_s;
    const char *hash_by; /* "quorum" or "endpoint"; static */
    uint32_t provider;   /* of the receipts */
    char why[256];
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
/* One for each block that has logs, rising. */
size_t source_log_walk_checks(const struct source *walk, const struct log_walk_check **ret_checks);
/* The worst of what is to be said of a provider. false: nothing. */
bool source_log_walk_complaint(const struct source *walk, uint32_t provider,
                               enum log_fault *ret_fault, struct ms_diag *ret_diag);
/* The first block that was not searched, above `to` when it is done; and the window to go on with:
 * twice as large where nothing was refused. */
uint64_t source_log_walk_next(const struct source *walk, uint64_t *ret_window);

#endif
