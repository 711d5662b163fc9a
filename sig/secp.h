/* sig/secp.h - the signer of a 32-byte digest from a recoverable secp256k1 signature, by our own
 * strict rule and by the chain's. Pure; thread-safe: only the library's constant context is used,
 * which has no state. */
#ifndef MS_SIG_SECP_H
#define MS_SIG_SECP_H

#include "eth/address.h"
#include "eth/keccak.h"

#define MSIG_BYTES 65 /* r, s, v */

/* The address that signed `digest`, by the rule for documents off chain: r || s || v with v 27, 28
 * (or 0, 1, as some hardware wallets send it), 0 < r, s < n, and s at most n/2, so that each
 * signature has one form only. The 64-byte form of EIP-2098 is refused.
 * MS_ERR_LENGTH not 65 bytes; MS_ERR_RANGE v is none of the four, or r or s is zero or not below n;
 * MS_ERR_NONCANONICAL s is the high one of its two values; MS_ERR_SIGNATURE no key has made it. */
MS_MUST_USE enum ms_err msig_recover(const struct eth_hash *digest, struct ms_span sig,
                                     struct eth_addr *ret_signer, struct ms_diag *diag);

/* What the ecrecover precompile of the chain gives: v is 27 or 28, a high s is fine. false (output
 * untouched) where the precompile gives nothing.
 *   ret_high_s  may be NULL; whether msig_recover would refuse it for its s */
bool msig_ecrecover(const struct eth_hash *digest, const uint8_t rs[64], uint8_t v,
                    struct eth_addr *ret_signer, bool *ret_high_s);

#endif
