/* eth/rlp.c - strict RLP. */
#include "eth/rlp.h"

#define RLP_STRING 0x80      /* prefixes: short string, */
#define RLP_STRING_LONG 0xb7 /* string whose length has (prefix - 0xb7) bytes, */
#define RLP_LIST 0xc0        /* short list, */
#define RLP_LIST_LONG 0xf7   /* list whose length has (prefix - 0xf7) bytes */
#define RLP_SHORT_MAX 55     /* longest payload of a short form */

/* The n-byte big-endian length at the front of bytes: minimal, and long enough to need this form.
 */
static bool long_length(struct ms_span bytes, size_t n, size_t *ret_len)
{
    uint64_t len = 0;

    if (n > bytes.len || bytes.ptr[0] == 0)
        return false;
    for (size_t i = 0; i < n; i++)
        len = len << 8 | bytes.ptr[i]; /* n is at most 8: the prefix has no room for more */
    if (len <= RLP_SHORT_MAX || len > bytes.len - n)
        return false;
    *ret_len = (size_t)len;
    return true;
}

enum ms_err eth_rlp_next(struct ms_span *rest, struct eth_rlp *ret_item)
{
    if (rest->len == 0)
        return MS_ERR_RLP;

    uint8_t prefix = rest->ptr[0];
    enum eth_rlp_kind kind = prefix < RLP_LIST ? ETH_RLP_STRING : ETH_RLP_LIST;
    struct ms_span after = ms_span_sub(*rest, 1, rest->len);
    size_t head = 1, len = 0;

    if (prefix < RLP_STRING) {
        head = 0;
        len = 1;
    } else if (prefix <= RLP_STRING_LONG) {
        len = (size_t)prefix - RLP_STRING;
    } else if (prefix < RLP_LIST) {
        head += (size_t)prefix - RLP_STRING_LONG;
        if (!long_length(after, head - 1, &len))
            return MS_ERR_RLP;
    } else if (prefix <= RLP_LIST_LONG) {
        len = (size_t)prefix - RLP_LIST;
    } else {
        head += (size_t)prefix - RLP_LIST_LONG;
        if (!long_length(after, head - 1, &len))
            return MS_ERR_RLP;
    }
    if (len > rest->len - head)
        return MS_ERR_RLP;
    if (prefix == RLP_STRING + 1 && after.ptr[0] < RLP_STRING)
        return MS_ERR_RLP; /* this byte is its own encoding */

    ret_item->kind = kind;
    ret_item->payload = ms_span_sub(*rest, head, len);
    ret_item->raw = ms_span_sub(*rest, 0, head + len);
    *rest = ms_span_sub(*rest, head + len, rest->len);
    return MS_OK;
}

enum ms_err eth_rlp_one(struct ms_span bytes, struct eth_rlp *ret_item)
{
    struct eth_rlp item;
    enum ms_err err = eth_rlp_next(&bytes, &item);

    if (err == MS_OK && bytes.len != 0)
        err = MS_ERR_RLP;
    if (err == MS_OK)
        *ret_item = item;
    return err;
}

enum ms_err eth_rlp_list(struct ms_span bytes, struct eth_rlp *items, size_t max, size_t *ret_n)
{
    struct eth_rlp list;
    size_t n = 0;

    enum ms_err err = eth_rlp_one(bytes, &list);
    if (err != MS_OK)
        return err;
    if (list.kind != ETH_RLP_LIST)
        return MS_ERR_RLP;
    for (struct ms_span rest = list.payload; rest.len > 0; n++) {
        if (n == max)
            return MS_ERR_RLP;
        err = eth_rlp_next(&rest, &items[n]);
        if (err != MS_OK)
            return err;
    }
    *ret_n = n;
    return MS_OK;
}

enum ms_err eth_rlp_check(struct ms_span bytes, size_t max_depth)
{
    struct ms_span open[ETH_RLP_DEPTH_MAX]; /* what is left behind each list we are inside of */
    struct eth_rlp item;
    size_t depth = 0;

    if (max_depth > ETH_RLP_DEPTH_MAX)
        max_depth = ETH_RLP_DEPTH_MAX;
    enum ms_err err = eth_rlp_one(bytes, &item);
    if (err != MS_OK)
        return err;
    struct ms_span rest = bytes;
    while (rest.len > 0) {
        err = eth_rlp_next(&rest, &item);
        if (err != MS_OK)
            return err;
        if (item.kind == ETH_RLP_LIST) {
            if (depth == max_depth)
                return MS_ERR_DEPTH;
            open[depth++] = rest;
            rest = item.payload;
        }
        while (rest.len == 0 && depth > 0)
            rest = open[--depth];
    }
    return MS_OK;
}

enum ms_err eth_rlp_word(const struct eth_rlp *item, struct eth_word *ret_word)
{
    struct ms_span bytes = item->payload;

    if (item->kind != ETH_RLP_STRING || bytes.len > ETH_WORD_BYTES)
        return MS_ERR_RLP;
    if (bytes.len > 0 && bytes.ptr[0] == 0)
        return MS_ERR_RLP;
    *ret_word = (struct eth_word){0};
    if (bytes.len > 0)
        memcpy(ret_word->b + ETH_WORD_BYTES - bytes.len, bytes.ptr, bytes.len);
    return MS_OK;
}

enum ms_err eth_rlp_u64(const struct eth_rlp *item, uint64_t *ret_value)
{
    struct eth_word word;
    enum ms_err err = eth_rlp_word(item, &word);

    if (err == MS_OK && !eth_word_to_u64(&word, ret_value))
        err = MS_ERR_RLP;
    return err;
}

enum ms_err eth_rlp_fixed(const struct eth_rlp *item, uint8_t *out, size_t len)
{
    if (item->kind != ETH_RLP_STRING || item->payload.len != len)
        return MS_ERR_RLP;
    memcpy(out, item->payload.ptr, len);
    return MS_OK;
}

static void add_prefix(struct ms_buf *out, uint8_t short_base, uint8_t long_base, size_t len)
{
    if (len <= RLP_SHORT_MAX) {
        (void)ms_buf_add_byte(out, (uint8_t)(short_base + len));
        return;
    }
    struct eth_word word = eth_word_u64(len);
    struct ms_span bytes = eth_word_minimal(&word);
    (void)ms_buf_add_byte(out, (uint8_t)(long_base + bytes.len));
    (void)ms_buf_add(out, bytes);
}

enum ms_err eth_rlp_add_string(struct ms_buf *out, struct ms_span bytes)
{
    if (bytes.len != 1 || bytes.ptr[0] >= RLP_STRING)
        add_prefix(out, RLP_STRING, RLP_STRING_LONG, bytes.len);
    return ms_buf_add(out, bytes);
}

enum ms_err eth_rlp_add_list(struct ms_buf *out, struct ms_span payload)
{
    add_prefix(out, RLP_LIST, RLP_LIST_LONG, payload.len);
    return ms_buf_add(out, payload);
}

enum ms_err eth_rlp_add_word(struct ms_buf *out, const struct eth_word *word)
{
    return eth_rlp_add_string(out, eth_word_minimal(word));
}

enum ms_err eth_rlp_add_u64(struct ms_buf *out, uint64_t value)
{
    struct eth_word word = eth_word_u64(value);
    return eth_rlp_add_word(out, &word);
}
