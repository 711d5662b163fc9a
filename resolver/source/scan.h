/* resolver/source/scan.h - candidates out of logs, of the contract and of its KMS. Whoever leaves
 * out a log hides an approval, whoever invents one names a value that nobody approved: neither adds
 * anything, as each candidate is asked about afterwards. So one provider's word will do, and
 * failing is no failure (ethereum.md 3.8, 3.9). Private to resolver/source/. */
#ifndef MS_SOURCE_SCAN_H
#define MS_SOURCE_SCAN_H

#include "resolver/source/contract.h"

/* Of one attempt; the next one goes on. The bytes are a part of what its evidence may hold. */
#define SCAN_REQUESTS_MAX 24 /* for each contract */
#define SCAN_MAX_BYTES ((size_t)2 << 20)
#define SCAN_LOGS_MAX_BYTES ((size_t)4 << 20) /* of one answer, as structs */

struct scan {
    const struct eth_hash *topics; /* topic 0 is one of these */
    size_t n_topics;
    void (*found)(struct source *s, const struct eth_log *log);
    struct source_scan at;
    bool done;       /* for this attempt */
    const char *why; /* it ended early; NULL: it did not */
    bool out;        /* a request is */
    bool answered;   /* it was */
    bool peers_done[SOURCE_PROVIDERS_MAX];
    uint32_t peer;
    bool codeless[SOURCE_PROVIDERS_MAX]; /* do not say what code there was */
    size_t requests, bytes_before;
    uint64_t first_window; /* of this attempt */
    uint64_t end;          /* last block of the request that is out */
    bool seeking;          /* the block in which a contract appeared, in [low, high] */
    bool seeking_other;    /* with kms=: the app's is high; the KMS may have been there before */
    bool sought;
    uint64_t low, high;
    struct eth_log_filter filter;
};

/* WANTS while something is out, DONE when this attempt's part is over. Blocks up to the finalized
 * one are searched. */
enum source_state scan_step(struct source *s, struct scan *scan);
void scan_result(struct source *s, struct scan *scan, const struct rpc_call *call,
                 const json_t *result);
void scan_failed(struct source *s, struct scan *scan, enum ms_err err);

#endif
