/* eth/slot.h - where Solidity puts state variables in storage (Solidity documentation, "Layout of
 * State Variables in Storage"), ERC-7201 and EIP-1967. H is Keccak-256. Pure; thread-safe. */
#ifndef MS_ETH_SLOT_H
#define MS_ETH_SLOT_H

#include "eth/address.h"
#include "eth/quantity.h"

/* m[key] of a mapping at slot p, for keys of value types (an address or integer as a word, bytesN
 * left aligned): H(key || p). For a nested mapping apply again with the result as p. */
struct eth_word eth_slot_mapping(const struct eth_word *key, const struct eth_word *p);
struct eth_word eth_slot_mapping_addr(const struct eth_addr *key, const struct eth_word *p);
/* m[key] for string and bytes keys, which are not padded: H(key || p). */
struct eth_word eth_slot_mapping_bytes(struct ms_span key, const struct eth_word *p);
/* First slot of element `index` of the dynamic array at p whose elements take element_slots slots
 * each: H(p) + index * element_slots, modulo 2^256. The length is in p itself. For elements smaller
 * than a slot, `index` counts slots, with 32 / size elements in each, low order first. */
struct eth_word eth_slot_array(const struct eth_word *p, uint64_t index, uint32_t element_slots);
/* Slot `offset` of the bytes of a long string at p: H(p) + offset. */
struct eth_word eth_slot_string_data(const struct eth_word *p, uint64_t offset);
/* What the slot of a string or bytes holds: *ret_inline true: length at most 31, the data are its
 * first bytes; false: the data are at eth_slot_string_data. MS_ERR_RANGE when it is no such value
 * (a short form above 31, a long form below 32, or more than 2^32 bytes). */
MS_MUST_USE enum ms_err eth_slot_string(const struct eth_word *value, bool *ret_inline,
                                        uint64_t *ret_len);

/* ERC-7201: H(H(name) - 1) with its last byte zero. */
struct eth_word eth_slot_erc7201(const char *name);
/* EIP-1967 and its like: H(name) - 1, with "eip1967.proxy.implementation" and so on. */
struct eth_word eth_slot_eip1967(const char *name);

#endif
