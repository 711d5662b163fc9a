/* base/span.h - borrowed bytes: a pointer and a length, passed by value.
 * A span never owns; it must not outlive what it points into. Not NUL-terminated. Pure. */
#ifndef MS_BASE_SPAN_H
#define MS_BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct ms_span {
    const uint8_t *ptr; /* may be NULL only when len is 0 */
    size_t len;         /* bytes */
};

/* The bytes of a C string without its NUL; NULL gives the empty span. */
static inline struct ms_span ms_span_str(const char *text)
{
    return (struct ms_span){(const uint8_t *)text, text == NULL ? 0 : strlen(text)};
}

static inline struct ms_span ms_span_of(const void *ptr, size_t len)
{
    return (struct ms_span){ptr, len};
}

bool ms_span_eq(struct ms_span a, struct ms_span b);
bool ms_span_eq_str(struct ms_span a, const char *text);
/* ASCII letters compare without case; everything else exactly. */
bool ms_span_eq_str_nocase(struct ms_span a, const char *text);
bool ms_span_starts(struct ms_span a, const char *prefix);
bool ms_span_starts_nocase(struct ms_span a, const char *prefix);
/* Index of the first `byte`, or a.len. */
size_t ms_span_find(struct ms_span a, uint8_t byte);
/* Part from `from` (clamped) of at most `len` bytes (clamped). */
struct ms_span ms_span_sub(struct ms_span a, size_t from, size_t len);
/* Split at the first `byte`: false when there is none (outputs untouched). */
bool ms_span_cut(struct ms_span a, uint8_t byte, struct ms_span *ret_before,
                 struct ms_span *ret_after);
/* memcmp order, shorter first when one is a prefix. */
int ms_span_cmp(struct ms_span a, struct ms_span b);

/* Strict decimal: 1..20 digits, no leading zero unless "0", fits uint64. false otherwise. */
bool ms_span_u64(struct ms_span a, uint64_t *ret_value);

#endif
