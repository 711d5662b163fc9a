/* eth/trie.h - the root of a Merkle-Patricia trie (Yellow Paper, appendix D) made from all its
 * entries: what a block's header says of its receipts. Pure; thread-safe. */
#ifndef MS_ETH_TRIE_H
#define MS_ETH_TRIE_H

#include "eth/mpt.h"

struct eth_trie_entry {
    struct ms_span path;  /* the key, or its hash; at most ETH_MPT_PATH_MAX_BYTES */
    struct ms_span value; /* not empty */
};

/* Sorts the entries. MS_ERR_ARGUMENT a path twice or too long, or an empty value; MS_ERR_LIMIT a
 * value of 4 GiB or more; MS_ERR_MEMORY. */
MS_MUST_USE enum ms_err eth_trie_root(struct eth_trie_entry *entries, size_t n,
                                      struct eth_hash *ret_root);

/* Of a list: each value under the RLP of its number, from 0 on (transactions, receipts). */
MS_MUST_USE enum ms_err eth_trie_list_root(const struct ms_span *values, size_t n,
                                           struct eth_hash *ret_root);

#endif
