/* sig/secp_sign.h - signing a digest with a secp256k1 key, for tests and for CI: people sign with a
 * wallet. In a file of its own, so that a program which never signs does not hold the code that
 * does (tests/lint/purity_test.sh looks at the daemon). Pure; thread-safe. */
#ifndef MS_SIG_SECP_SIGN_H
#define MS_SIG_SECP_SIGN_H

#include "sig/secp.h"

#define MSIG_KEY_BYTES 32

/* r || s || v, v 27 or 28, s the low one, the nonce by RFC 6979: one key and one digest give one
 * signature. It has been recovered again before it is given out. The caller wipes the key.
 *   ret_signer  the key's address; may be NULL
 * MS_ERR_RANGE the key is zero or not below the order; MS_ERR_MEMORY; MS_ERR_INTERNAL what was made
 * does not verify */
MS_MUST_USE enum ms_err msig_sign(const struct eth_hash *digest, const uint8_t key[MSIG_KEY_BYTES],
                                  uint8_t ret_sig[MSIG_BYTES], struct eth_addr *ret_signer,
                                  struct ms_diag *diag);

#endif
