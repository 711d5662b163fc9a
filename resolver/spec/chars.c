/* resolver/spec/chars.c - character classes of RFC 3986. */
#include "resolver/spec/internal.h"

#include "base/hex.h"

bool spec_is_alnum(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool spec_is_unreserved(uint8_t c)
{
    return spec_is_alnum(c) || c == '-' || c == '.' || c == '_' || c == '~';
}

bool spec_is_subdelim(uint8_t c)
{
    return c != '\0' && strchr("!$&'()*+,;=", c) != NULL;
}

int spec_pct_value(struct ms_span text, size_t at)
{
    if (text.len - at < 3)
        return -1;
    int high = ms_hex_digit(text.ptr[at + 1]);
    int low = ms_hex_digit(text.ptr[at + 2]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

size_t spec_find_any(struct ms_span text, const char *stops)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] != '\0' && strchr(stops, text.ptr[i]) != NULL)
            return i;
    return text.len;
}
