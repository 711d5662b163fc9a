/* base/buf.h - owned, growing bytes with a maximum given at init (as curl's dynbuf).
 * Errors stick: after a failed append every later append fails with the same error and ms_buf_err
 * tells it, so a renderer needs one check at its end. Zero bytes of slack are promised: ptr is not
 * NUL-terminated unless ms_buf_str is called. Not thread-safe; no globals. */
#ifndef MS_BASE_BUF_H
#define MS_BASE_BUF_H

#include "base/err.h"
#include "base/span.h"

struct ms_buf {
    uint8_t *ptr;    /* owned; NULL while cap is 0 */
    size_t len;      /* bytes in use */
    size_t cap;      /* bytes allocated */
    size_t max;      /* len may never exceed it */
    enum ms_err err; /* MS_OK, or why an append failed: MS_ERR_LIMIT, MS_ERR_MEMORY */
};

#define MS_BUF_INIT(max_bytes)                                            \
    {                                                                     \
        .ptr = NULL, .len = 0, .cap = 0, .max = (max_bytes), .err = MS_OK \
    }

void ms_buf_done(struct ms_buf *buf);
/* Forget content and error, keep the memory. */
void ms_buf_reset(struct ms_buf *buf);

/* Appends. MS_ERR_LIMIT beyond max, MS_ERR_MEMORY; nothing is appended on error. The result may be
 * ignored when ms_buf_err is asked at the end. */
enum ms_err ms_buf_add(struct ms_buf *buf, struct ms_span bytes);
enum ms_err ms_buf_add_str(struct ms_buf *buf, const char *text);
enum ms_err ms_buf_add_byte(struct ms_buf *buf, uint8_t byte);
enum ms_err ms_buf_add_hex(struct ms_buf *buf, struct ms_span bytes); /* lower case */
enum ms_err ms_buf_addf(struct ms_buf *buf, const char *fmt, ...) MS_PRINTF(2, 3);
/* Room for n more bytes, to be written by the caller at ptr+len, then len += used. NULL on error.
 */
uint8_t *ms_buf_room(struct ms_buf *buf, size_t n);

static inline enum ms_err ms_buf_err(const struct ms_buf *buf)
{
    return buf->err;
}

static inline struct ms_span ms_buf_span(const struct ms_buf *buf)
{
    return (struct ms_span){buf->ptr, buf->len};
}

/* Content as a C string: a NUL is put behind it (not counted in len). NULL when that fails or an
 * earlier append failed. Valid until the next append. */
const char *ms_buf_str(struct ms_buf *buf);

#endif
