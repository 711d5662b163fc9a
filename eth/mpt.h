/* eth/mpt.h - Merkle-Patricia proofs (Yellow Paper appendix D, EIP-1186), verified strictly:
 * nothing that the proof does not need, nothing that is not canonical. Pure; thread-safe; no
 * allocation. */
#ifndef MS_ETH_MPT_H
#define MS_ETH_MPT_H

#include "eth/rlp.h"

#define ETH_MPT_NODES_MAX 65        /* 64 nibbles and a root */
#define ETH_MPT_NODE_MAX_BYTES 1024 /* a full branch has 532, a leaf of our tries less */
#define ETH_MPT_PATH_MAX_BYTES 64   /* of the raw variant */

enum eth_mpt_verdict {
    ETH_MPT_REFUSED = 0, /* proves nothing */
    ETH_MPT_VALUE,       /* the trie has this value at the path */
    ETH_MPT_ABSENT,      /* the trie has nothing at the path */
};

/* keccak256 of 0x80: the root of the trie without entries. */
extern const struct eth_hash eth_empty_trie_root;
/* keccak256 of nothing: the code hash of an account without code. */
extern const struct eth_hash eth_empty_code_hash;

/* Verify a proof in a trie whose keys are hashed ("secure").
 *   path       keccak256 of the key (20-byte address, 32-byte slot)
 *   nodes      borrowed, root first
 *   ret_value  borrowed from nodes; written only on ETH_MPT_VALUE, never empty
 *   diag       may be NULL; why the proof is refused */
MS_MUST_USE enum eth_mpt_verdict eth_mpt_verify(const struct eth_hash *root,
                                                const struct eth_hash *path,
                                                const struct ms_span *nodes, size_t n_nodes,
                                                struct ms_span *ret_value, struct ms_diag *diag);

/* The same for a trie with raw keys of 0..64 bytes, where a key may end in a branch and item 16 is
 * then its value (transaction and receipt tries). Never for accounts or storage. */
MS_MUST_USE enum eth_mpt_verdict
eth_mpt_verify_raw(const struct eth_hash *root, struct ms_span path, const struct ms_span *nodes,
                   size_t n_nodes, struct ms_span *ret_value, struct ms_diag *diag);

#endif
