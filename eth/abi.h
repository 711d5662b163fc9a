/* eth/abi.h - the Solidity contract ABI ("Contract ABI Specification"), strict and driven by type
 * text.
 *
 * Decoding takes the one canonical encoding only: what does not encode again to the same bytes is
 * refused. Each dynamic part must start just where the one before it ended, so a decoder never
 * reads a byte twice and the work is linear in the input (no amplification by shared offsets).
 * Everything is allocated in the caller's arena, whose cap bounds types and values. Pure;
 * thread-safe on different arenas. */
#ifndef MS_ETH_ABI_H
#define MS_ETH_ABI_H

#include "base/arena.h"
#include "eth/quantity.h"

#define ETH_ABI_DEPTH_MAX 24           /* nesting of tuples and arrays in a type */
#define ETH_ABI_TYPE_MAX_BYTES 4096    /* type text */
#define ETH_ABI_HEAD_MAX_BYTES 1048576 /* static size of one type: bounds T[k] */
#define ETH_ABI_SELECTOR_BYTES 4

enum eth_abi_kind {
    ETH_ABI_NONE = 0,
    ETH_ABI_UINT, /* bits 8..256 */
    ETH_ABI_INT,  /* bits 8..256, two's complement */
    ETH_ABI_ADDRESS,
    ETH_ABI_BOOL,
    ETH_ABI_FIXED_BYTES, /* bytes1..bytes32 */
    ETH_ABI_BYTES,
    ETH_ABI_STRING,      /* valid UTF-8 */
    ETH_ABI_ARRAY,       /* T[] */
    ETH_ABI_FIXED_ARRAY, /* T[k], k at least 1 */
    ETH_ABI_TUPLE,
};

struct eth_abi_type {
    enum eth_abi_kind kind;
    bool dynamic;      /* encoded by offset and tail */
    unsigned bits;     /* UINT, INT; for FIXED_BYTES 8 times their number */
    size_t n;          /* FIXED_ARRAY: k; TUPLE: members */
    unsigned height;   /* 1 for elementary types; at most ETH_ABI_DEPTH_MAX */
    size_t head_bytes; /* of a static type: its size; of a dynamic one: 32, the offset */
    struct eth_abi_type **members; /* TUPLE: n; arrays: one, the element */
};

struct eth_abi_value {
    enum eth_abi_kind kind;
    struct eth_word word; /* elementary kinds of one word, as encoded */
    struct ms_span bytes; /* BYTES, STRING; borrowed from the data */
    size_t n;             /* TUPLE and arrays: items */
    struct eth_abi_value *items;
};

/* Parse one type, such as "uint64", "bytes32[3][]", "(address,string)[]"; "tuple(" may stand for
 * "(". "uint" and "int" mean 256 bits. No names, no white space. Not known: fixed point, function.
 * MS_ERR_SYNTAX, MS_ERR_DEPTH, MS_ERR_LIMIT, MS_ERR_MEMORY (the arena's cap). */
MS_MUST_USE enum ms_err eth_abi_type_parse(struct ms_span text, struct ms_arena *arena,
                                           const struct eth_abi_type **ret_type);
/* The same for a parameter list, "uint64,(address,string)[]"; the empty text is the empty list. The
 * result is a TUPLE, for eth_abi_decode and eth_abi_encode. */
MS_MUST_USE enum ms_err eth_abi_params_parse(struct ms_span text, struct ms_arena *arena,
                                             const struct eth_abi_type **ret_type);

/* Decode all of data as the values of a parameter list: return data, or arguments behind a
 * selector. type       a TUPLE; its members are the parameters ret_value  in the arena but for
 * bytes and strings, which are borrowed from data MS_ERR_ABI not the canonical encoding of any
 * values of these types; MS_ERR_MEMORY */
MS_MUST_USE enum ms_err eth_abi_decode(const struct eth_abi_type *type, struct ms_span data,
                                       struct ms_arena *arena, struct eth_abi_value *ret_value,
                                       struct ms_diag *diag);

/* Encode the values of a parameter list, appending.
 * MS_ERR_ABI a value does not fit its type; MS_ERR_LIMIT, MS_ERR_MEMORY from the buffer. */
MS_MUST_USE enum ms_err eth_abi_encode(const struct eth_abi_type *type,
                                       const struct eth_abi_value *value, struct ms_buf *out);

/* First four bytes of the hash of a canonical signature, "transfer(address,uint256)". */
void eth_abi_selector(const char *signature, uint8_t ret_selector[ETH_ABI_SELECTOR_BYTES]);

/* Words for values of one word. */
struct eth_abi_value eth_abi_uint(const struct eth_word *word);
struct eth_abi_value eth_abi_u64(uint64_t value);
struct eth_abi_value eth_abi_bytes32(const struct eth_word *word);

#endif
