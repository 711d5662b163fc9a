/* base/utf8.c - well-formed UTF-8. */
#include "base/utf8.h"

size_t ms_utf8_char(struct ms_span s)
{
    if (s.len == 0)
        return 0;
    uint8_t c = s.ptr[0], low = 0x80, high = 0xbf;
    size_t n = 0;

    if (c < 0x80)
        return 1;
    if (c >= 0xc2 && c <= 0xdf) {
        n = 2;
    } else if (c >= 0xe0 && c <= 0xef) {
        n = 3;
        low = c == 0xe0 ? 0xa0 : low;   /* not shorter */
        high = c == 0xed ? 0x9f : high; /* no surrogates */
    } else if (c >= 0xf0 && c <= 0xf4) {
        n = 4;
        low = c == 0xf0 ? 0x90 : low;
        high = c == 0xf4 ? 0x8f : high; /* U+10FFFF is the last */
    }
    if (n == 0 || n > s.len || s.ptr[1] < low || s.ptr[1] > high)
        return 0;
    for (size_t i = 2; i < n; i++)
        if ((s.ptr[i] & 0xc0) != 0x80)
            return 0;
    return n;
}

bool ms_utf8_valid(struct ms_span s)
{
    while (s.len > 0) {
        size_t n = ms_utf8_char(s);
        if (n == 0)
            return false;
        s = ms_span_sub(s, n, s.len);
    }
    return true;
}

size_t ms_utf8_encode(uint32_t code_point, uint8_t ret_bytes[4])
{
    static const uint8_t lead[5] = {0, 0, 0xc0, 0xe0, 0xf0};
    size_t n = code_point < 0x80 ? 1 : code_point < 0x800 ? 2 : code_point < 0x10000 ? 3 : 4;

    for (size_t i = n; i-- > 1; code_point >>= 6)
        ret_bytes[i] = (uint8_t)(0x80 | (code_point & 0x3f));
    ret_bytes[0] = (uint8_t)(lead[n] | code_point);
    return n;
}
