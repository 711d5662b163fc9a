/* eth/tx.h - transactions with a priority fee (EIP-1559, type 2, no access list): what is signed,
 * and what is sent. Pure; thread-safe. */
#ifndef MS_ETH_TX_H
#define MS_ETH_TX_H

#include "base/buf.h"
#include "eth/address.h"
#include "eth/keccak.h"

struct eth_tx {
    uint64_t chain_id;
    uint64_t nonce; /* of the sender */
    uint64_t max_priority_fee_wei;
    uint64_t max_fee_wei; /* a unit of gas */
    uint64_t gas;         /* limit */
    bool creates;         /* a contract: `to` is not looked at */
    struct eth_addr to;
    uint64_t value_wei;
    struct ms_span data; /* borrowed */
};

/* keccak256(0x02 || rlp([..])): what the sender signs. MS_ERR_LIMIT, MS_ERR_MEMORY */
MS_MUST_USE enum ms_err eth_tx_digest(const struct eth_tx *tx, struct eth_hash *ret_digest);
/* 0x02 || rlp([.., yParity, r, s]) for eth_sendRawTransaction, appended.
 *   sig  r || s || v, v 27 or 28 */
MS_MUST_USE enum ms_err eth_tx_signed(const struct eth_tx *tx, const uint8_t sig[65],
                                      struct ms_buf *out);

/* Where a contract will be that `sender` creates with the transaction of this nonce. */
struct eth_addr eth_tx_created(const struct eth_addr *sender, uint64_t nonce);

#endif
