/* eth/slot.c - storage slots. */
#include "eth/slot.h"

static struct eth_word hash_of(struct ms_span a, struct ms_span b)
{
    struct eth_keccak k;

    eth_keccak_init(&k);
    eth_keccak_add(&k, a);
    eth_keccak_add(&k, b);
    struct eth_hash hash = eth_keccak_end(&k);
    return eth_word_of_hash(&hash);
}

struct eth_word eth_slot_mapping(const struct eth_word *key, const struct eth_word *p)
{
    return hash_of(eth_word_span(key), eth_word_span(p));
}

struct eth_word eth_slot_mapping_addr(const struct eth_addr *key, const struct eth_word *p)
{
    struct eth_word word = {0};

    memcpy(word.b + ETH_WORD_BYTES - ETH_ADDR_BYTES, key->b, ETH_ADDR_BYTES);
    return eth_slot_mapping(&word, p);
}

struct eth_word eth_slot_mapping_bytes(struct ms_span key, const struct eth_word *p)
{
    return hash_of(key, eth_word_span(p));
}

struct eth_word eth_slot_array(const struct eth_word *p, uint64_t index, uint32_t element_slots)
{
    struct eth_word slot = hash_of(eth_word_span(p), (struct ms_span){NULL, 0});
    uint64_t high = (index >> 32) * element_slots, low = (index & UINT32_MAX) * element_slots;
    struct eth_word shifted = eth_word_u64(high); /* high * 2^32: four bytes to the left */

    memmove(shifted.b, shifted.b + 4, ETH_WORD_BYTES - 4);
    memset(shifted.b + ETH_WORD_BYTES - 4, 0, 4);
    slot = eth_word_add_u64(slot, low);
    return eth_word_add(slot, &shifted);
}

struct eth_word eth_slot_string_data(const struct eth_word *p, uint64_t offset)
{
    return eth_slot_array(p, offset, 1);
}

enum ms_err eth_slot_string(const struct eth_word *value, bool *ret_inline, uint64_t *ret_len)
{
    uint8_t low = value->b[ETH_WORD_BYTES - 1];
    uint64_t twice = 0;

    if (low % 2 == 0) {
        if (low / 2 > 31)
            return MS_ERR_RANGE;
        *ret_inline = true;
        *ret_len = low / 2;
        return MS_OK;
    }
    if (!eth_word_to_u64(value, &twice) || (twice - 1) / 2 < 32 || (twice - 1) / 2 > UINT32_MAX)
        return MS_ERR_RANGE;
    *ret_inline = false;
    *ret_len = (twice - 1) / 2;
    return MS_OK;
}

struct eth_word eth_slot_erc7201(const char *name)
{
    struct eth_word slot = eth_slot_eip1967(name);

    slot = hash_of(eth_word_span(&slot), (struct ms_span){NULL, 0});
    slot.b[ETH_WORD_BYTES - 1] = 0;
    return slot;
}

struct eth_word eth_slot_eip1967(const char *name)
{
    return eth_word_dec(hash_of(ms_span_str(name), (struct ms_span){NULL, 0}));
}
