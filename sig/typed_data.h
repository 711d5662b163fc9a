/* sig/typed_data.h - EIP-712 typed data of any kind, as wallets take it: a JSON object of types,
 * domain, primaryType and message. Pure; thread-safe on different arenas.
 *
 * Strict, so that what is hashed is what a person sees: every value is of the form its type has,
 * numbers fit their type, objects have just the members of their type, and a name that is used is
 * declared. Our own messages have their own code in sig/message.h. */
#ifndef MS_SIG_TYPED_DATA_H
#define MS_SIG_TYPED_DATA_H

#include "base/arena.h"
#include "sig/eip712.h"

#define MSIG_TYPED_MAX_BYTES 262144
#define MSIG_TYPED_DEPTH_MAX 32 /* of the JSON: nesting of structs and arrays in a message */
#define MSIG_TYPED_TYPES_MAX 64
#define MSIG_TYPED_MEMBERS_MAX 64 /* of one struct */
#define MSIG_TYPED_ARENA_BYTES ((size_t)1 << 20)

struct msig_typed_data {
    struct eth_hash domain;  /* separator */
    struct eth_hash message; /* struct hash */
    struct eth_hash digest;
    struct ms_span encoded_type; /* of primaryType, "Mail(..)Person(..)"; in the arena */
};

/* Values: integers as JSON integers up to 2^53, decimal strings, or "0x" and hex digits; bytes and
 * addresses as "0x" and hex digits of either case, an address in mixed case with the right EIP-55
 * checksum; true and false; strings. Types: address, bool, string, bytes, bytes1..32, uint8..256,
 * int8..256, structs, and arrays T[] and T[n] of all of them. Without EIP712Domain among the types
 * it is made of the domain's members in their standard order (some libraries leave it out).
 * MS_ERR_LIMIT, MS_ERR_JSON, MS_ERR_JSON_DUPLICATE, MS_ERR_UTF8, MS_ERR_DEPTH not strict JSON of
 * this size; MS_ERR_SYNTAX a member is missing or of another kind than its type; MS_ERR_UNKNOWN an
 * undeclared type or member; MS_ERR_RANGE a number does not fit its type; MS_ERR_LENGTH, MS_ERR_HEX
 * bytes; MS_ERR_ADDRESS, MS_ERR_EIP55; MS_ERR_MEMORY. Where and why in diag. */
MS_MUST_USE enum ms_err msig_typed_data_parse(struct ms_span text, struct ms_arena *arena,
                                              struct msig_typed_data *ret_data,
                                              struct ms_diag *diag);
/* The same for a tree that was parsed strictly already. */
MS_MUST_USE enum ms_err msig_typed_data_hash(const json_t *document, struct ms_arena *arena,
                                             struct msig_typed_data *ret_data,
                                             struct ms_diag *diag);

#endif
