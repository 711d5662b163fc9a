/* sig/safe_tx.h - a transaction of a Safe, as its owners sign it (EIP-712 `SafeTx`, Safe 1.3.0 and
 * later): its hash, and as typed data for wallets. Pure; thread-safe on different arenas. */
#ifndef MS_SIG_SAFE_TX_H
#define MS_SIG_SAFE_TX_H

#include "base/arena.h"
#include "base/json.h"
#include "sig/eip712.h"

#define MSIG_SAFE_TX_DATA_MAX_BYTES 131072

enum msig_safe_operation {
    MSIG_SAFE_CALL = 0,
    MSIG_SAFE_DELEGATECALL = 1, /* code of another contract, with everything the Safe may do */
};

struct msig_safe_tx {
    uint64_t chain_id;
    struct eth_addr safe; /* both of the domain */
    struct eth_addr to;
    uint64_t value_wei;
    struct ms_span data; /* borrowed */
    enum msig_safe_operation operation;
    uint64_t safe_tx_gas, base_gas, gas_price_wei; /* zero: whoever executes pays for the gas */
    struct eth_addr gas_token, refund_receiver;
    uint64_t nonce; /* of the Safe */
};

/* Struct hash: what a device calls the message hash; the domain hash is msig_safe_domain. */
struct eth_hash msig_safe_tx_struct(const struct msig_safe_tx *tx);
/* The safeTxHash: what an owner signs, or approves with approveHash. */
struct eth_hash msig_safe_tx_digest(const struct msig_safe_tx *tx);

/* Typed data for eth_signTypedData_v4: numbers as decimal strings, chainId as a number when it is
 * at most 2^53. A new reference; NULL when out of memory. */
json_t *msig_safe_tx_json(const struct msig_safe_tx *tx);
/* Read such typed data. What is hashed is what is read: the digest of the members that were read
 * is that of the whole document.
 *   ret_tx  its data in the arena
 * MS_ERR_LIMIT, MS_ERR_JSON..., and what msig_typed_data_hash says; MS_ERR_SYNTAX other typed data
 * than a SafeTx; MS_ERR_RANGE a number above 2^64 - 1, or an operation that is none */
MS_MUST_USE enum ms_err msig_safe_tx_parse(struct ms_span text, struct ms_arena *arena,
                                           struct msig_safe_tx *ret_tx, struct ms_diag *diag);

#endif
