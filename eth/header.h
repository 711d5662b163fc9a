/* eth/header.h - block headers of the execution layer: JSON to RLP to hash, and back to the few
 * fields we use. A header is believed only because it hashes to a hash that is believed; so every
 * function here computes the hash itself. Pure; thread-safe. */
#ifndef MS_ETH_HEADER_H
#define MS_ETH_HEADER_H

#include "eth/rlp.h"

#define ETH_HEADER_ITEMS_MIN 15       /* up to Berlin */
#define ETH_HEADER_ITEMS_KNOWN 22     /* Amsterdam's blockAccessListHash, EIP-7928 */
#define ETH_HEADER_ITEMS_MAX 64       /* of a raw header of some future fork */
#define ETH_HEADER_RLP_MAX_BYTES 4096 /* Prague: 600 to 650; extraData is 32 at most on mainnet */

struct eth_header {
    struct eth_hash hash; /* keccak256 of the RLP */
    struct eth_hash parent_hash;
    struct eth_hash state_root;
    struct eth_hash receipts_root;
    uint64_t number;
    uint64_t timestamp_s;
    size_t n_items; /* tells the fork: 15, 16 London, 17 Shanghai, 20 Cancun, 21 Prague, 22
                       Amsterdam */
};

/* A raw header (debug_getRawHeader). Items known to us must have their shape, later ones must be
 * strings. MS_ERR_RLP not canonical; MS_ERR_HEADER canonical but no header; MS_ERR_LIMIT. */
MS_MUST_USE enum ms_err eth_header_parse(struct ms_span rlp, struct eth_header *ret_header,
                                         struct ms_diag *diag);
/* The same, and it must hash to `hash`: MS_ERR_HEADER otherwise. */
MS_MUST_USE enum ms_err eth_header_verify(struct ms_span rlp, const struct eth_hash *hash,
                                          struct eth_header *ret_header, struct ms_diag *diag);

/* The RLP of a block object with JSON-RPC's member names, appended to out. Members of later forks
 * are taken as long as none before them is missing; null is missing. Unknown members are ignored,
 * so a header of a fork unknown to us encodes to something that does not hash to its hash.
 * MS_ERR_RPC_SHAPE a member is missing or malformed; MS_ERR_HEADER a gap; MS_ERR_LIMIT,
 * MS_ERR_MEMORY. */
MS_MUST_USE enum ms_err eth_header_encode_json(const json_t *block, struct ms_buf *out,
                                               struct ms_diag *diag);
/* Recompute the hash of a block object and require that its member `hash` says the same.
 * As above; MS_ERR_HEADER when the hashes differ. */
MS_MUST_USE enum ms_err eth_header_verify_json(const json_t *block, struct eth_header *ret_header,
                                               struct ms_diag *diag);

#endif
