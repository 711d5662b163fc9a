/* eth/quantity.c - words, QUANTITY and DATA. */
#include "eth/quantity.h"

#include "base/hex.h"

#define QUANTITY_DIGITS_MAX 64

struct eth_word eth_word_u64(uint64_t value)
{
    struct eth_word word = {0};
    for (size_t i = ETH_WORD_BYTES; i > ETH_WORD_BYTES - 8; i--) {
        word.b[i - 1] = (uint8_t)value;
        value >>= 8;
    }
    return word;
}

bool eth_word_to_u64(const struct eth_word *word, uint64_t *ret_value)
{
    uint64_t value = 0;
    for (size_t i = 0; i < ETH_WORD_BYTES; i++) {
        if (value >> 56 != 0)
            return false;
        value = value << 8 | word->b[i];
    }
    *ret_value = value;
    return true;
}

bool eth_word_is_zero(const struct eth_word *word)
{
    static const struct eth_word zero;
    return eth_word_eq(word, &zero);
}

struct eth_word eth_word_add(struct eth_word a, const struct eth_word *b)
{
    unsigned carry = 0;
    for (size_t i = ETH_WORD_BYTES; i > 0; i--) {
        unsigned sum = (unsigned)a.b[i - 1] + b->b[i - 1] + carry;
        a.b[i - 1] = (uint8_t)sum;
        carry = sum >> 8;
    }
    return a;
}

struct eth_word eth_word_add_u64(struct eth_word word, uint64_t addend)
{
    struct eth_word other = eth_word_u64(addend);
    return eth_word_add(word, &other);
}

struct eth_word eth_word_dec(struct eth_word word)
{
    for (size_t i = ETH_WORD_BYTES; i > 0; i--)
        if (word.b[i - 1]-- != 0)
            break;
    return word;
}

struct ms_span eth_word_minimal(const struct eth_word *word)
{
    size_t i = 0;
    while (i < ETH_WORD_BYTES && word->b[i] == 0)
        i++;
    return ms_span_of(word->b + i, ETH_WORD_BYTES - i);
}

enum ms_err eth_quantity_parse(struct ms_span text, enum eth_quantity_form form,
                               struct eth_word *ret_word)
{
    uint8_t padded[QUANTITY_DIGITS_MAX];
    struct eth_word word;

    if (!ms_span_starts(text, "0x"))
        return MS_ERR_HEX;
    text = ms_span_sub(text, 2, text.len);
    if (text.len == 0 || text.len > QUANTITY_DIGITS_MAX)
        return MS_ERR_LENGTH;
    if (form == ETH_QUANTITY_STRICT && text.len > 1 && text.ptr[0] == '0')
        return MS_ERR_NONCANONICAL;
    memset(padded, '0', sizeof(padded));
    memcpy(padded + sizeof(padded) - text.len, text.ptr, text.len);
    enum ms_err err = ms_hex_decode(ms_span_of(padded, sizeof(padded)), word.b, sizeof(word.b));
    if (err == MS_OK)
        *ret_word = word;
    return err;
}

enum ms_err eth_quantity_u64(struct ms_span text, uint64_t *ret_value)
{
    struct eth_word word;
    enum ms_err err = eth_quantity_parse(text, ETH_QUANTITY_STRICT, &word);

    if (err == MS_OK && !eth_word_to_u64(&word, ret_value))
        err = MS_ERR_RANGE;
    return err;
}

enum ms_err eth_data_fixed(struct ms_span text, uint8_t *out, size_t out_len)
{
    if (!ms_span_starts(text, "0x"))
        return MS_ERR_HEX;
    return ms_hex_decode(ms_span_sub(text, 2, text.len), out, out_len);
}

enum ms_err eth_data_parse(struct ms_span text, struct ms_buf *out)
{
    if (!ms_span_starts(text, "0x"))
        return MS_ERR_HEX;
    text = ms_span_sub(text, 2, text.len);
    if (text.len % 2 != 0)
        return MS_ERR_LENGTH;
    if (text.len == 0)
        return MS_OK;
    uint8_t *room = ms_buf_room(out, text.len / 2);
    if (room == NULL)
        return ms_buf_err(out);
    enum ms_err err = ms_hex_decode(text, room, text.len / 2);
    if (err == MS_OK)
        out->len += text.len / 2;
    return err;
}

/* What a person is told about a member that does not read. */
static enum ms_err member_fault(struct ms_diag *diag, const char *name, enum ms_err err)
{
    if (err == MS_OK || err == MS_ERR_LIMIT || err == MS_ERR_MEMORY)
        return err;
    return ms_diag_set(diag, MS_ERR_RPC_SHAPE, "member \"%s\": %s", name, ms_err_text(err));
}

static enum ms_err member_text(const json_t *object, const char *name, struct ms_span *ret_text,
                               struct ms_diag *diag)
{
    struct ms_span text = ms_json_member_str(object, name);
    if (text.ptr == NULL)
        return ms_diag_set(diag, MS_ERR_RPC_SHAPE, "member \"%s\" is missing or no string", name);
    *ret_text = text;
    return MS_OK;
}

enum ms_err eth_json_word(const json_t *object, const char *name, enum eth_quantity_form form,
                          struct eth_word *ret_word, struct ms_diag *diag)
{
    struct ms_span text;
    enum ms_err err = member_text(object, name, &text, diag);
    if (err != MS_OK)
        return err;
    return member_fault(diag, name, eth_quantity_parse(text, form, ret_word));
}

enum ms_err eth_json_u64(const json_t *object, const char *name, uint64_t *ret_value,
                         struct ms_diag *diag)
{
    struct ms_span text;
    enum ms_err err = member_text(object, name, &text, diag);
    if (err != MS_OK)
        return err;
    return member_fault(diag, name, eth_quantity_u64(text, ret_value));
}

enum ms_err eth_json_fixed(const json_t *object, const char *name, uint8_t *out, size_t out_len,
                           struct ms_diag *diag)
{
    struct ms_span text;
    enum ms_err err = member_text(object, name, &text, diag);
    if (err != MS_OK)
        return err;
    return member_fault(diag, name, eth_data_fixed(text, out, out_len));
}

enum ms_err eth_json_data(const json_t *object, const char *name, struct ms_buf *out,
                          struct ms_diag *diag)
{
    struct ms_span text;
    enum ms_err err = member_text(object, name, &text, diag);
    if (err != MS_OK)
        return err;
    return member_fault(diag, name, eth_data_parse(text, out));
}
