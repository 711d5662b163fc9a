/* tests/support/trie.h - builds a Merkle-Patricia trie (Yellow Paper, appendix D): its root and the
 * proof of any key, for tests and fake nodes. Written from the definition, not from the verifier.
 */
#ifndef MS_TESTS_TRIE_H
#define MS_TESTS_TRIE_H

#include "base/arena.h"
#include "eth/rlp.h"

struct trie_entry {
    struct ms_span path;  /* bytes: the key, or its hash for a secure trie */
    struct ms_span value; /* not empty */
};

struct trie_proof {
    struct ms_span nodes[128];
    size_t n;
};

/* Sorts entries; paths must differ. Nodes are made in the arena.
 *   path       whose proof is wanted; ptr NULL for none
 *   ret_proof  may be NULL
 * Aborts when memory is short. */
struct eth_hash trie_root(struct trie_entry *entries, size_t n, struct ms_arena *arena,
                          struct ms_span path, struct trie_proof *ret_proof);

#endif
