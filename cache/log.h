/* cache/log.h - the transparency log: one entry for each row of the history, written in the same
 * transaction, its Merkle tree in tiles, and the checkpoints that were signed.
 *
 * Entry n (from 1) is leaf n - 1 and tells of history row n. Of the tree only full tiles of level 0
 * and the tiles above are stored; the last tile of level 0 follows from its entries. What is signed
 * is never more than what was committed, for whoever signs reads the head between transactions.
 * Rows carry codes like all others, so whoever changes them without the key is seen when they are
 * read; whoever has the key is seen by those who have an older checkpoint (cache_log_audit).
 *
 * Errors common to all functions: MS_ERR_STORE, MS_ERR_MEMORY, MS_ERR_HMAC for a row that is not
 * ours, MS_ERR_EVIDENCE for an entry that is missing. For threads and `diag` as cache.h. */
#ifndef MS_CACHE_LOG_H
#define MS_CACHE_LOG_H

#include "cache/cache.h"
#include "sig/tlog_text.h"

struct cache_log_head {
    uint64_t size;
    struct ms_sha256 root;
};
MS_MUST_USE enum ms_err cache_log_head(struct cache *cache, struct cache_log_head *ret_head,
                                       struct ms_diag *diag);

/* The tree as it is now, for roots and proofs; `tree` borrows the cache. */
MS_MUST_USE enum ms_err cache_log_tree(struct cache *cache, struct msig_tlog_tree *ret_tree,
                                       struct ms_diag *diag);
/* The first `width` hashes of a tile, or the first `width` entries under a tile of level 0 as a
 * bundle, appended. ret_found false: the log has not so many. */
MS_MUST_USE enum ms_err cache_log_tile(struct cache *cache, const struct msig_tlog_tile *tile,
                                       struct ms_buf *out, bool *ret_found, struct ms_diag *diag);
/* Entry n, appended. */
MS_MUST_USE enum ms_err cache_log_entry(struct cache *cache, uint64_t n, struct ms_buf *out,
                                        bool *ret_found, struct ms_diag *diag);

/* ---- checkpoints ---- */
struct cache_checkpoint {
    uint64_t size;
    int64_t time_s;   /* when it was signed */
    const char *vkey; /* of the log */
    const char *note; /* with its signatures */
    uint32_t cosignatures;
};
/* The newest; strings go to arena (MSIG_NOTE_MAX_BYTES and some slack suffice). */
MS_MUST_USE enum ms_err cache_checkpoint_last(struct cache *cache, struct ms_arena *arena,
                                              struct cache_checkpoint *ret_checkpoint,
                                              bool *ret_found, struct ms_diag *diag);
/* The newest that a witness has cosigned. */
MS_MUST_USE enum ms_err cache_checkpoint_cosigned(struct cache *cache, struct ms_arena *arena,
                                                  struct cache_checkpoint *ret_checkpoint,
                                                  bool *ret_found, struct ms_diag *diag);
/* The first of at least `size`. */
MS_MUST_USE enum ms_err cache_checkpoint_next(struct cache *cache, uint64_t size,
                                              struct ms_arena *arena,
                                              struct cache_checkpoint *ret_checkpoint,
                                              bool *ret_found, struct ms_diag *diag);
/* Store, or replace the one of the same size. Older ones that nobody cosigned are dropped: the
 * newest implies them. */
MS_MUST_USE enum ms_err cache_checkpoint_put(struct cache *cache,
                                             const struct cache_checkpoint *checkpoint,
                                             struct ms_diag *diag);

/* ---- checking ---- */
/* Whether the log still continues this tree head. MS_ERR_CONFLICT with the reason in diag: it is
 * shorter, or has another root at that size - it was rewritten, or an older database was put back.
 */
MS_MUST_USE enum ms_err cache_log_continues(struct cache *cache,
                                            const struct msig_checkpoint *checkpoint,
                                            struct ms_diag *diag);

struct cache_log_report {
    uint64_t entries, tiles, checkpoints, cosignatures; /* looked at */
    uint64_t faults;
    struct cache_log_head head; /* recomputed from the entries */
};
/* A fault, as a sentence. */
typedef void cache_log_fault_fn(void *arg, const char *text);

/* Recompute the whole tree from its entries and compare: each entry with its history row, with its
 * predecessor and its place; each stored tile; each stored checkpoint with the tree, its signature,
 * and the cosignatures of the witnesses whose keys are given. Reads everything once.
 *   fn  NULL: only count
 * Faults are no errors: MS_OK with ret_report->faults > 0. An error means that it could not be
 * found out. */
MS_MUST_USE enum ms_err cache_log_audit(struct cache *cache, const struct msig_vkey *witnesses,
                                        size_t n_witnesses, cache_log_fault_fn *fn, void *arg,
                                        struct cache_log_report *ret_report, struct ms_diag *diag);

#endif
