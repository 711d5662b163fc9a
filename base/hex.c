/* base/hex.c - hexadecimal. */
#include "base/hex.h"

int ms_hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

enum ms_err ms_hex_decode(struct ms_span text, uint8_t *out, size_t out_len)
{
    if (text.len % 2 != 0 || text.len / 2 != out_len)
        return MS_ERR_LENGTH;
    for (size_t i = 0; i < text.len; i++)
        if (ms_hex_digit(text.ptr[i]) < 0)
            return MS_ERR_HEX;
    for (size_t i = 0; i < out_len; i++)
        out[i] = (uint8_t)(ms_hex_digit(text.ptr[2 * i]) << 4 | ms_hex_digit(text.ptr[2 * i + 1]));
    return MS_OK;
}

void ms_hex_encode(struct ms_span bytes, char *out)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < bytes.len; i++) {
        out[2 * i] = digits[bytes.ptr[i] >> 4];
        out[2 * i + 1] = digits[bytes.ptr[i] & 15];
    }
    out[2 * bytes.len] = '\0';
}
