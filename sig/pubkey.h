/* sig/pubkey.h - secp256k1 public keys and the addresses they have. Pure; thread-safe. */
#ifndef MS_SIG_PUBKEY_H
#define MS_SIG_PUBKEY_H

#include "eth/address.h"

#define MSIG_PUBKEY_COMPRESSED_BYTES 33
#define MSIG_PUBKEY_FULL_BYTES 65

/* SEC1 point: 33 bytes (02/03) or 65 bytes (04); hybrid forms (06/07) are refused although the
 * library takes them. Its address is the last 20 bytes of keccak256(x || y). MS_ERR_PUBKEY wrong
 * length or prefix, or not on the curve. */
MS_MUST_USE enum ms_err msig_pubkey_addr(struct ms_span key, struct eth_addr *ret_addr);

#endif
