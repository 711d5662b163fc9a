/* base/hex.c - hexadecimal. */
#include "base/hex.h"

/* Value of each digit plus one; 0 is no digit. A proof is mostly hexadecimal, so this is looked up.
 */
static const uint8_t digit_plus_one[256] = {
    ['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
    ['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
    ['A'] = 11, ['B'] = 12, ['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16,
};

int ms_hex_digit(uint8_t c)
{
    return digit_plus_one[c] - 1;
}

enum ms_err ms_hex_decode(struct ms_span text, uint8_t *out, size_t out_len)
{
    unsigned bad = 0;

    if (text.len % 2 != 0 || text.len / 2 != out_len)
        return MS_ERR_LENGTH;
    for (size_t i = 0; i < text.len; i++)
        bad |= digit_plus_one[text.ptr[i]] == 0;
    if (bad != 0)
        return MS_ERR_HEX;
    for (size_t i = 0; i < out_len; i++)
        out[i] = (uint8_t)((digit_plus_one[text.ptr[2 * i]] - 1) << 4 |
                           (digit_plus_one[text.ptr[2 * i + 1]] - 1));
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
