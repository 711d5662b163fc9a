/* resolver/source/block_check.h - whether the logs that an endpoint tells of one block are those of
 * the block: not one left out, none invented (ethereum.md 7.3).
 *
 * The block's header is asked for by its number, one endpoint after the other, until as many groups
 * as the quorum say the same hash (from level L3 on an endpoint of the operator's own is enough, as
 * for states). Its receiptsRoot then decides which receipts are the block's, whoever gives them,
 * and these which logs are. What cannot be had is no fault: the block is not checked then.
 *
 * For a walk with an rpcset of its own, one request at a time. Private to resolver/source/. */
#ifndef MS_SOURCE_BLOCK_CHECK_H
#define MS_SOURCE_BLOCK_CHECK_H

#include "eth/header.h"
#include "eth/receipt.h"
#include "resolver/source/log_walk.h"
#include "resolver/source/rpcset.h"

/* `what` of its calls begin here. */
#define BLOCK_CHECK_WHAT 16u

enum block_check_end {
    BLOCK_CHECK_FAILED = 0, /* the attempt has */
    BLOCK_CHECK_WANTS,
    BLOCK_CHECK_LATER,     /* so many endpoints are out of reach that no quorum can be had now */
    BLOCK_CHECK_UNCHECKED, /* `why` */
    BLOCK_CHECK_SAME,
    BLOCK_CHECK_DIFFERS, /* the teller's logs are not the block's: `fault` and `why` */
};

struct block_check {
    struct rpcset *set;
    const struct spec *spec;
    uint32_t need; /* groups */
    bool own_only; /* the operator's own endpoints are believed, and nobody else */
    bool no_receipts[SOURCE_PROVIDERS_MAX]; /* of any block */
    /* the block under way */
    uint64_t block;
    uint32_t teller;
    const struct eth_log *logs; /* the contract's, in order; borrowed */
    size_t n_logs;
    uint32_t peer; /* asked last */
    bool asked[SOURCE_PROVIDERS_MAX], voted[SOURCE_PROVIDERS_MAX];
    bool tried[SOURCE_PROVIDERS_MAX]; /* for receipts */
    struct eth_header votes[SOURCE_PROVIDERS_MAX];
    struct ms_diag told[SOURCE_PROVIDERS_MAX]; /* why what it gave is of no use; "" when nothing is
                                                  to be said */
    bool wrong[SOURCE_PROVIDERS_MAX];          /* it contradicts what is agreed, or itself */
    bool has_header;
    struct eth_header header; /* agreed on */
    enum block_check_end end; /* WANTS until it is known */
    enum log_fault fault;
    struct ms_diag why;
    uint32_t receipts_by;
};

/* `check` lies in the source's arena and is zeroed. */
void block_check_init(struct block_check *check, struct rpcset *set, enum spec_level level);
void block_check_begin(struct block_check *check, uint32_t teller, const struct eth_log *logs,
                       size_t n_logs);
/* What is to be done now; WANTS: one request is out. */
enum block_check_end block_check_next(struct block_check *check);
/* Answers to its calls, as rpcset gives them to its owner. */
void block_check_result(struct block_check *check, uint32_t peer, const struct rpc_call *call,
                        const json_t *result);
bool block_check_failed(struct block_check *check, uint32_t peer, const struct rpc_call *call,
                        enum ms_err err, const struct ms_diag *diag);
/* "quorum" or "endpoint": who is believed about the hash. */
const char *block_check_hash_by(const struct block_check *check);

#endif
