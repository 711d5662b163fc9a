/* base/reader.c - the sticky cursor. */
#include "base/reader.h"

struct ms_span ms_reader_take(struct ms_reader *r, size_t n)
{
    if (r->failed || n > r->len) {
        r->failed = true;
        return (struct ms_span){NULL, 0};
    }
    struct ms_span out = {r->ptr, n};
    if (n > 0)
        r->ptr += n;
    r->len -= n;
    return out;
}

void ms_reader_copy(struct ms_reader *r, void *out, size_t n)
{
    struct ms_span got = ms_reader_take(r, n);
    if (n == 0)
        return;
    if (r->failed)
        memset(out, 0, n);
    else
        memcpy(out, got.ptr, n);
}

static uint64_t be(struct ms_reader *r, size_t n)
{
    struct ms_span got = ms_reader_take(r, n);
    uint64_t value = 0;
    for (size_t i = 0; i < got.len; i++)
        value = value << 8 | got.ptr[i];
    return value;
}

uint8_t ms_reader_u8(struct ms_reader *r)
{
    return (uint8_t)be(r, 1);
}

uint16_t ms_reader_be16(struct ms_reader *r)
{
    return (uint16_t)be(r, 2);
}

uint32_t ms_reader_be32(struct ms_reader *r)
{
    return (uint32_t)be(r, 4);
}

uint64_t ms_reader_be64(struct ms_reader *r)
{
    return be(r, 8);
}
