/* eth/quantity.h - 256-bit words, and the hexadecimal forms of Ethereum's JSON-RPC: QUANTITY
 * ("0x1f", no leading zeros) and DATA ("0x00ff", whole bytes). Pure; thread-safe.
 * https://ethereum.github.io/execution-apis, "Hex value encoding". */
#ifndef MS_ETH_QUANTITY_H
#define MS_ETH_QUANTITY_H

#include "base/json.h"
#include "eth/keccak.h"

#define ETH_WORD_BYTES 32

/* An EVM word: an unsigned 256-bit number, big-endian. A storage key or value, an ABI word, a
 * balance. */
struct eth_word {
    uint8_t b[ETH_WORD_BYTES];
};

struct eth_word eth_word_u64(uint64_t value);
/* false when it does not fit (ret_value untouched). */
bool eth_word_to_u64(const struct eth_word *word, uint64_t *ret_value);
bool eth_word_is_zero(const struct eth_word *word);
/* Modulo 2^256, as the EVM adds. */
struct eth_word eth_word_add(struct eth_word a, const struct eth_word *b);
struct eth_word eth_word_add_u64(struct eth_word word, uint64_t addend);
/* Minus one, modulo 2^256. */
struct eth_word eth_word_dec(struct eth_word word);
/* The bytes without leading zeros; the empty span for zero. Borrowed from word. */
struct ms_span eth_word_minimal(const struct eth_word *word);

static inline bool eth_word_eq(const struct eth_word *a, const struct eth_word *b)
{
    return memcmp(a->b, b->b, ETH_WORD_BYTES) == 0;
}

static inline struct ms_span eth_word_span(const struct eth_word *word)
{
    return ms_span_of(word->b, ETH_WORD_BYTES);
}

/* A word as it was answered; false when it is not one word (ret_word untouched). */
static inline bool eth_word_of_span(struct ms_span bytes, struct eth_word *ret_word)
{
    if (bytes.len != ETH_WORD_BYTES)
        return false;
    memcpy(ret_word->b, bytes.ptr, ETH_WORD_BYTES);
    return true;
}

static inline struct eth_word eth_word_of_hash(const struct eth_hash *hash)
{
    struct eth_word word;
    memcpy(word.b, hash->b, ETH_WORD_BYTES);
    return word;
}

enum eth_quantity_form {
    ETH_QUANTITY_STRICT = 0, /* no leading zero unless "0x0" */
    ETH_QUANTITY_LAX, /* leading zeros allowed: storage keys and values, where clients differ */
};

/* "0x" and 1..64 digits of either case.
 * MS_ERR_HEX no "0x" or a byte that is no digit; MS_ERR_LENGTH no digits or more than 64;
 * MS_ERR_NONCANONICAL a leading zero in the strict form. */
MS_MUST_USE enum ms_err eth_quantity_parse(struct ms_span text, enum eth_quantity_form form,
                                           struct eth_word *ret_word);
/* The strict form; as above, and MS_ERR_RANGE beyond 64 bits. */
MS_MUST_USE enum ms_err eth_quantity_u64(struct ms_span text, uint64_t *ret_value);

/* "0x" and exactly 2*out_len digits. MS_ERR_HEX, MS_ERR_LENGTH; out is written only on MS_OK. */
MS_MUST_USE enum ms_err eth_data_fixed(struct ms_span text, uint8_t *out, size_t out_len);
/* "0x" and an even number of digits, decoded and appended to out.
 * MS_ERR_HEX, MS_ERR_LENGTH odd; MS_ERR_LIMIT, MS_ERR_MEMORY from the buffer. On error out keeps
 * what it had. */
MS_MUST_USE enum ms_err eth_data_parse(struct ms_span text, struct ms_buf *out);

/* The same for the member `name` of a JSON object. A missing member, one that is no string, and one
 * that is malformed are MS_ERR_RPC_SHAPE with the name in diag; MS_ERR_LIMIT and MS_ERR_MEMORY
 * pass. */
MS_MUST_USE enum ms_err eth_json_word(const json_t *object, const char *name,
                                      enum eth_quantity_form form, struct eth_word *ret_word,
                                      struct ms_diag *diag);
MS_MUST_USE enum ms_err eth_json_u64(const json_t *object, const char *name, uint64_t *ret_value,
                                     struct ms_diag *diag);
MS_MUST_USE enum ms_err eth_json_fixed(const json_t *object, const char *name, uint8_t *out,
                                       size_t out_len, struct ms_diag *diag);
MS_MUST_USE enum ms_err eth_json_data(const json_t *object, const char *name, struct ms_buf *out,
                                      struct ms_diag *diag);

#endif
