/* eth/rlp.h - Recursive Length Prefix (Ethereum Yellow Paper, appendix B): a strict decoder and an
 * encoder.
 *
 * Strict: one value has one encoding. Refused are lengths not in their shortest form, lengths with
 * leading zeros, a single byte below 0x80 behind a length, items that reach beyond what holds them,
 * lists that do not end exactly at the end of their last member, and trailing bytes. Items are
 * borrowed from the input; nothing is allocated but the encoder's buffer. Pure; thread-safe. */
#ifndef MS_ETH_RLP_H
#define MS_ETH_RLP_H

#include "eth/quantity.h"

#define ETH_RLP_DEPTH_MAX 128 /* nesting that eth_rlp_check may be asked for */

enum eth_rlp_kind { ETH_RLP_NONE = 0, ETH_RLP_STRING, ETH_RLP_LIST };

struct eth_rlp {
    enum eth_rlp_kind kind;
    struct ms_span payload; /* a string's bytes, a list's members one behind the other */
    struct ms_span raw;     /* the whole encoding, prefix included */
};

/* Take one item from the front of *rest. The members of a list are not looked at: use this function
 * on its payload until that is empty. MS_ERR_RLP; *rest and *ret_item are untouched then. */
MS_MUST_USE enum ms_err eth_rlp_next(struct ms_span *rest, struct eth_rlp *ret_item);
/* All of bytes as one item. MS_ERR_RLP. */
MS_MUST_USE enum ms_err eth_rlp_one(struct ms_span bytes, struct eth_rlp *ret_item);
/* All of bytes as one list and its members (not their members).
 *   items   caller's, room for max; may be written in part on error
 * MS_ERR_RLP no list, malformed, or more than max members. */
MS_MUST_USE enum ms_err eth_rlp_list(struct ms_span bytes, struct eth_rlp *items, size_t max,
                                     size_t *ret_n);
/* All of bytes as one item, canonical to its last leaf. MS_ERR_RLP; MS_ERR_DEPTH when lists nest
 * deeper than max_depth (itself cut to ETH_RLP_DEPTH_MAX; 0 allows only a string). */
MS_MUST_USE enum ms_err eth_rlp_check(struct ms_span bytes, size_t max_depth);

/* A string as a number: big-endian without leading zeros, the empty string is 0. MS_ERR_RLP
 * otherwise. */
MS_MUST_USE enum ms_err eth_rlp_word(const struct eth_rlp *item, struct eth_word *ret_word);
MS_MUST_USE enum ms_err eth_rlp_u64(const struct eth_rlp *item, uint64_t *ret_value);
/* A string of exactly len bytes, copied to out. MS_ERR_RLP otherwise. */
MS_MUST_USE enum ms_err eth_rlp_fixed(const struct eth_rlp *item, uint8_t *out, size_t len);

/* Encoders, appending; errors stick in out. A list is made from the encodings of its members. */
enum ms_err eth_rlp_add_string(struct ms_buf *out, struct ms_span bytes);
enum ms_err eth_rlp_add_list(struct ms_buf *out, struct ms_span payload);
enum ms_err eth_rlp_add_word(struct ms_buf *out, const struct eth_word *word);
enum ms_err eth_rlp_add_u64(struct ms_buf *out, uint64_t value);

#endif
