/* eth/keccak.c - the sponge over nettle's permutation. */
#include "eth/keccak.h"

#include <nettle/sha3.h>

#define KECCAK_RATE_BYTES 136 /* 1600 - 2*256 bits */

void eth_keccak_init(struct eth_keccak *k)
{
    *k = (struct eth_keccak){0};
}

static void permute(struct eth_keccak *k)
{
    struct sha3_state state;
    memcpy(state.a, k->lanes, sizeof(state.a));
    sha3_permute(&state);
    memcpy(k->lanes, state.a, sizeof(state.a));
}

static void absorb_byte(struct eth_keccak *k, size_t at, uint8_t byte)
{
    k->lanes[at / 8] ^= (uint64_t)byte << (8 * (at % 8));
}

/* Eight bytes little-endian. */
static uint64_t load_lane(const uint8_t *p)
{
    uint64_t lane = 0;
    for (size_t i = 8; i > 0; i--)
        lane = lane << 8 | p[i - 1];
    return lane;
}

void eth_keccak_add(struct eth_keccak *k, struct ms_span bytes)
{
    size_t i = 0;

    while (i < bytes.len) {
        if (k->pos % 8 == 0 && bytes.len - i >= 8) {
            k->lanes[k->pos / 8] ^= load_lane(bytes.ptr + i);
            k->pos += 8;
            i += 8;
        } else {
            absorb_byte(k, k->pos++, bytes.ptr[i++]);
        }
        if (k->pos == KECCAK_RATE_BYTES) {
            permute(k);
            k->pos = 0;
        }
    }
}

struct eth_hash eth_keccak_end(struct eth_keccak *k)
{
    struct eth_hash out;

    absorb_byte(k, k->pos, 0x01);
    absorb_byte(k, KECCAK_RATE_BYTES - 1, 0x80);
    permute(k);
    for (size_t i = 0; i < ETH_HASH_BYTES; i++)
        out.b[i] = (uint8_t)(k->lanes[i / 8] >> (8 * (i % 8)));
    return out;
}

struct eth_hash eth_keccak256(struct ms_span bytes)
{
    struct eth_keccak k;
    eth_keccak_init(&k);
    eth_keccak_add(&k, bytes);
    return eth_keccak_end(&k);
}
