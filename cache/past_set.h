/* cache/past_set.h - the stored sets of one key, with what their bundles prove; shared by
 * past_set_*.c, by nobody else. */
#ifndef MS_CACHE_PAST_SET_H
#define MS_CACHE_PAST_SET_H

#include "cache/report_internal.h"
#include "resolver/entry/past_sets.h"

/* Of those told at once; an audit takes all there are. */
#define PAST_BUNDLES_MAX CACHE_PAST_SETS_MAX

struct past_bundle { /* an accepted set that others were walked back from */
    struct ms_sha256 hash;
    uint64_t sequence;
    struct eth_hash named;  /* the set before it */
    struct set_roots roots; /* in the chain's arena */
};

struct past_chain {
    struct ms_arena arena;
    struct ms_span app; /* of the bundles' specifier; in the arena */
    size_t n, n_bundles;
    struct cache_past_set *rows; /* by falling sequence; texts in the arena */
    struct past_set *sets;       /* of the rows, in their order, linked */
    struct past_bundle *bundles; /* in the order of the rows that name them */
};

/* All rows of a key, and what the bundles of the `max_bundles` highest of them prove.
 * MS_ERR_HMAC, MS_ERR_STORE a row is not ours; MS_ERR_EVIDENCE a bundle is missing or does not
 * verify, or is of another specifier; MS_ERR_LIMIT more rows than are ever stored */
MS_MUST_USE enum ms_err past_chain_load(struct cache *cache, const struct ms_sha256 *key,
                                        size_t max_bundles, struct past_chain *ret_chain,
                                        struct ms_diag *diag);
void past_chain_done(struct past_chain *chain);
/* NULL: it was not among those that were verified. */
const struct past_bundle *past_chain_bundle(const struct past_chain *chain,
                                            const struct ms_sha256 *hash);

struct past_doc { /* one set, as its document says */
    struct ms_arena arena;
    struct msig_set_doc doc;
};
/* The document of a row, read again: it is the set that the row says, of this application.
 * MS_ERR_EVIDENCE */
MS_MUST_USE enum ms_err past_doc_load(struct cache *cache, const struct past_chain *chain,
                                      const struct cache_past_set *row, struct past_doc *ret_doc,
                                      struct ms_diag *diag);
void past_doc_done(struct past_doc *doc);

#endif
