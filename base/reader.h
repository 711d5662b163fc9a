/* base/reader.h - a cursor over borrowed bytes that stays failed: after one read beyond the end
 * every later read gives zeros and ms_reader_ok is false, so many reads need one check. Pure. */
#ifndef MS_BASE_READER_H
#define MS_BASE_READER_H

#include "base/span.h"

struct ms_reader {
    const uint8_t *ptr;
    size_t len; /* bytes that remain */
    bool failed;
};

static inline struct ms_reader ms_reader_of(struct ms_span bytes)
{
    return (struct ms_reader){bytes.ptr, bytes.len, false};
}

static inline bool ms_reader_ok(const struct ms_reader *r)
{
    return !r->failed;
}

/* Nothing failed and nothing is left. */
static inline bool ms_reader_at_end(const struct ms_reader *r)
{
    return !r->failed && r->len == 0;
}

/* The next n bytes, borrowed; the empty span once failed. */
struct ms_span ms_reader_take(struct ms_reader *r, size_t n);
/* Copies n bytes to out; fills it with zeros once failed. */
void ms_reader_copy(struct ms_reader *r, void *out, size_t n);
uint8_t ms_reader_u8(struct ms_reader *r);
uint16_t ms_reader_be16(struct ms_reader *r);
uint32_t ms_reader_be32(struct ms_reader *r);
uint64_t ms_reader_be64(struct ms_reader *r);

#endif
