/* base/span.c - operations on borrowed bytes. */
#include "base/span.h"

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c;
}

bool ms_span_eq(struct ms_span a, struct ms_span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

bool ms_span_eq_str(struct ms_span a, const char *text)
{
    return ms_span_eq(a, ms_span_str(text));
}

bool ms_span_starts(struct ms_span a, const char *prefix)
{
    size_t n = strlen(prefix);
    return a.len >= n && ms_span_eq_str(ms_span_sub(a, 0, n), prefix);
}

bool ms_span_starts_nocase(struct ms_span a, const char *prefix)
{
    size_t n = strlen(prefix);
    return a.len >= n && ms_span_eq_str_nocase(ms_span_sub(a, 0, n), prefix);
}

bool ms_span_eq_str_nocase(struct ms_span a, const char *text)
{
    if (a.len != strlen(text))
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (lower(a.ptr[i]) != lower((uint8_t)text[i]))
            return false;
    return true;
}

size_t ms_span_find(struct ms_span a, uint8_t byte)
{
    if (a.len == 0)
        return 0;
    const uint8_t *hit = memchr(a.ptr, byte, a.len);
    return hit == NULL ? a.len : (size_t)(hit - a.ptr);
}

struct ms_span ms_span_sub(struct ms_span a, size_t from, size_t len)
{
    if (from >= a.len)
        return (struct ms_span){a.ptr, 0};
    size_t rest = a.len - from;
    return (struct ms_span){a.ptr + from, len < rest ? len : rest};
}

bool ms_span_cut(struct ms_span a, uint8_t byte, struct ms_span *ret_before,
                 struct ms_span *ret_after)
{
    size_t at = ms_span_find(a, byte);
    if (at == a.len)
        return false;
    *ret_before = ms_span_sub(a, 0, at);
    *ret_after = ms_span_sub(a, at + 1, a.len);
    return true;
}

int ms_span_cmp(struct ms_span a, struct ms_span b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    int order = n == 0 ? 0 : memcmp(a.ptr, b.ptr, n);
    if (order != 0)
        return order;
    return (a.len > b.len) - (a.len < b.len);
}

bool ms_span_u64(struct ms_span a, uint64_t *ret_value)
{
    uint64_t value = 0;

    if (a.len == 0 || a.len > 20 || (a.len > 1 && a.ptr[0] == '0'))
        return false;
    for (size_t i = 0; i < a.len; i++) {
        if (a.ptr[i] < '0' || a.ptr[i] > '9')
            return false;
        uint64_t digit = (uint64_t)(a.ptr[i] - '0');
        if (value > (UINT64_MAX - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *ret_value = value;
    return true;
}
