/* base/base64.c - strict base64. */
#include "base/base64.h"

/* Values of the ASCII characters, of both alphabets; -1 is none. */
static const int8_t digits_of[128] = {
    -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
    -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 62,
    -1, 62, -1, 63, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, -1, -1, -1, -1, -1, -1, -1, 0,
    1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22,
    23, 24, 25, -1, -1, -1, -1, 63, -1, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38,
    39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, -1, -1, -1, -1, -1,
};

static int digit_value(uint8_t c)
{
    return c < sizeof(digits_of) ? digits_of[c] : -1;
}

/* Which alphabet alone has this digit. */
static enum ms_base64_alphabet shown_by(uint8_t c)
{
    if (c == '+' || c == '/')
        return MS_BASE64_STD;
    return c == '-' || c == '_' ? MS_BASE64_URL : MS_BASE64_NONE;
}

static enum ms_err fault(struct ms_diag *diag, size_t at, const char *what)
{
    if (diag != NULL && diag->text[0] == '\0')
        diag->column = at + 1;
    return ms_diag_set(diag, MS_ERR_BASE64, "base64: %s at character %zu", what, at + 1);
}

/* Check every character and find the alphabet; `n` digits without padding. */
static enum ms_err scan(struct ms_span text, size_t n, enum ms_base64_alphabet *ret_alphabet,
                        struct ms_diag *diag)
{
    enum ms_base64_alphabet seen = MS_BASE64_NONE;

    for (size_t i = 0; i < n; i++) {
        int value = digit_value(text.ptr[i]);
        if (value >= 0 && value < 62)
            continue;
        if (text.ptr[i] == '=')
            return fault(diag, i, "padding in the middle");
        if (value < 0)
            return fault(diag, i, "a character of no alphabet");
        enum ms_base64_alphabet shown = shown_by(text.ptr[i]);
        if (seen != MS_BASE64_NONE && shown != seen)
            return fault(diag, i, "both alphabets mixed");
        seen = shown;
    }
    *ret_alphabet = seen;
    return MS_OK;
}

/* Of a digit. */
static uint32_t six_bits(uint8_t c)
{
    return (uint8_t)digits_of[c];
}

/* Of digits that scan() has seen. false: bits of the last one are left over. */
static bool write_bytes(const uint8_t *text, size_t n, uint8_t *to)
{
    size_t whole = n - n % 4;
    uint32_t bits = 0;

    for (size_t i = 0; i < whole; i += 4) {
        uint32_t v = six_bits(text[i]) << 18 | six_bits(text[i + 1]) << 12 |
                     six_bits(text[i + 2]) << 6 | six_bits(text[i + 3]);
        *to++ = (uint8_t)(v >> 16);
        *to++ = (uint8_t)(v >> 8);
        *to++ = (uint8_t)v;
    }
    for (size_t i = whole; i < n; i++) {
        bits = bits << 6 | six_bits(text[i]);
        if (i > whole)
            *to++ = (uint8_t)(bits >> (6 - 2 * (i % 4)));
    }
    return (n % 4 == 2 ? bits & 15u : n % 4 == 3 ? bits & 3u : 0) == 0;
}

enum ms_err ms_base64_decode(struct ms_span text, struct ms_buf *out,
                             enum ms_base64_alphabet *ret_alphabet, bool *ret_padded,
                             struct ms_diag *diag)
{
    enum ms_base64_alphabet alphabet = MS_BASE64_NONE;
    size_t pad = 0, n = text.len;

    while (pad < 2 && n > 0 && text.ptr[n - 1] == '=') {
        pad++;
        n--;
    }
    enum ms_err err = scan(text, n, &alphabet, diag);
    if (err != MS_OK)
        return err;
    if (n % 4 == 1)
        return fault(diag, n - 1, "impossible length, one character too many");
    size_t want_pad = n % 4 == 0 ? 0 : 4 - n % 4;
    if (pad != 0 && pad != want_pad)
        return fault(diag, n, "wrong padding");

    size_t out_len = n / 4 * 3 + (n % 4 == 0 ? 0 : n % 4 - 1);
    uint8_t *room = ms_buf_room(out, out_len);
    if (room == NULL)
        return ms_buf_err(out);
    if (!write_bytes(text.ptr, n, room))
        return fault(diag, n - 1, "unused bits are not zero");
    out->len += out_len;
    if (ret_alphabet != NULL)
        *ret_alphabet = alphabet;
    if (ret_padded != NULL)
        *ret_padded = pad == want_pad;
    return MS_OK;
}

static const char std_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static enum ms_err encode(struct ms_span in, struct ms_buf *out, const char *digits, bool padded)
{
    size_t rest = in.len % 3, whole = in.len - rest;
    size_t len = whole / 3 * 4 + (rest == 0 ? 0 : padded ? 4 : rest + 1);
    uint8_t *to = ms_buf_room(out, len);

    if (to == NULL)
        return ms_buf_err(out);
    for (size_t i = 0; i < whole; i += 3) {
        uint32_t v =
            (uint32_t)in.ptr[i] << 16 | (uint32_t)in.ptr[i + 1] << 8 | (uint32_t)in.ptr[i + 2];
        *to++ = (uint8_t)digits[v >> 18];
        *to++ = (uint8_t)digits[v >> 12 & 63];
        *to++ = (uint8_t)digits[v >> 6 & 63];
        *to++ = (uint8_t)digits[v & 63];
    }
    if (rest > 0) {
        uint32_t v =
            (uint32_t)in.ptr[whole] << 16 | (rest > 1 ? (uint32_t)in.ptr[whole + 1] << 8 : 0);
        *to++ = (uint8_t)digits[v >> 18];
        *to++ = (uint8_t)digits[v >> 12 & 63];
        if (rest > 1 || padded)
            *to++ = rest > 1 ? (uint8_t)digits[v >> 6 & 63] : '=';
        if (padded)
            *to++ = '=';
    }
    out->len += len;
    return MS_OK;
}

enum ms_err ms_base64_encode(struct ms_span bytes, struct ms_buf *out)
{
    return encode(bytes, out, std_digits, true);
}

enum ms_err ms_base64url_encode(struct ms_span bytes, struct ms_buf *out)
{
    return encode(bytes, out, url_digits, false);
}
