/* eth/receipt.h - the receipts of a whole block, as eth_getBlockReceipts tells them: the root of
 * their trie, which the block's header names, and the logs in them. Receipts whose root is that of
 * a header that is believed are those of the block, all of them, and so are their logs.
 * Pure; thread-safe. */
#ifndef MS_ETH_RECEIPT_H
#define MS_ETH_RECEIPT_H

#include "eth/jsonrpc.h"

#define ETH_RECEIPTS_MAX 16384u
/* A block of mainnet has 1 to 2 MB of them as JSON. */
#define ETH_RECEIPTS_BODY_MAX_BYTES ((size_t)4 << 20)

struct eth_receipts {
    struct eth_hash root; /* computed */
    size_t n;
    size_t n_logs; /* of the addresses asked for; in the arena, by rising index */
    struct eth_log *logs;
};

/* Types 0 to 4 (EIP-2718, 2930, 1559, 4844, 7702), and those from before Byzantium, which have a
 * state root instead of a status (EIP-658).
 *   block      number and hash to be put into the logs: what the answer says of them is not looked
 *              at, nor any index
 *   addresses  whose logs are wanted
 *   arena      holds the logs and, until it is done with, all receipts
 * MS_ERR_RPC_SHAPE, MS_ERR_UNSUPPORTED a receipt of another type, MS_ERR_LIMIT, MS_ERR_MEMORY. */
MS_MUST_USE enum ms_err eth_rpc_result_receipts(const json_t *result, uint64_t block,
                                                const struct eth_hash *block_hash,
                                                const struct eth_addr *const *addresses,
                                                size_t n_addresses, struct ms_arena *arena,
                                                struct eth_receipts *ret_receipts,
                                                struct ms_diag *diag);

#endif
