/* eth/keccak.h - Keccak-256 (Ethereum's: padding 0x01, not SHA3-256), one-shot and streaming.
 * nettle's sha3_permute under our sponge: rate 136 bytes, 32 bytes out (FIPS 202 before its padding
 * change). Pure; no allocation. */
#ifndef MS_ETH_KECCAK_H
#define MS_ETH_KECCAK_H

#include "base/span.h"

#define ETH_HASH_BYTES 32

struct eth_hash {
    uint8_t b[ETH_HASH_BYTES];
};

struct eth_keccak {
    uint64_t lanes[25];
    size_t pos; /* bytes absorbed of the current block, < 136 */
};

void eth_keccak_init(struct eth_keccak *k);
void eth_keccak_add(struct eth_keccak *k, struct ms_span bytes);
/* k is used up afterwards. */
struct eth_hash eth_keccak_end(struct eth_keccak *k);
struct eth_hash eth_keccak256(struct ms_span bytes);

static inline bool eth_hash_eq(const struct eth_hash *a, const struct eth_hash *b)
{
    return memcmp(a->b, b->b, ETH_HASH_BYTES) == 0;
}

static inline struct ms_span eth_hash_span(const struct eth_hash *hash)
{
    return ms_span_of(hash->b, ETH_HASH_BYTES);
}

#endif
