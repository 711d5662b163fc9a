/* tests/support/sign.h - test keys and their signatures: the key of `fill` is that byte 32 times.
 * Worthless, and known to everybody. */
#ifndef MS_TESTS_SIGN_H
#define MS_TESTS_SIGN_H

#include "eth/address.h"
#include "eth/keccak.h"

struct eth_addr sign_addr(uint8_t fill);
/* r || s || v, v 27 or 28, low s. */
void sign_digest(uint8_t fill, const struct eth_hash *digest, uint8_t out[65]);
/* The other signature of the same key for the same digest: n - s, the other v. */
void sign_malleate(uint8_t sig[65]);

#endif
