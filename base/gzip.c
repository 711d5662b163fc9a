/* base/gzip.c - gzip within limits. */
#include "base/gzip.h"

#include <limits.h>
#include <zlib.h>

#define ZLIB_WINDOW 15
#define GZIP_WINDOW (15 + 16) /* zlib: 15 window bits, +16 for the gzip wrapper only */
#define GZIP_STEP_BYTES 16384

static enum ms_err over_limit(struct ms_diag *diag)
{
    return ms_diag_set(diag, MS_ERR_LIMIT,
                       "gzip: the decompressed document exceeds the size limit");
}

/* Run inflate until the member ends; the output never grows past `cap` bytes. */
static enum ms_err inflate_all(z_stream *z, struct ms_span dictionary, size_t cap,
                               struct ms_buf *out, struct ms_diag *diag)
{
    size_t start = out->len;

    for (;;) {
        size_t left = cap - (out->len - start);
        size_t step = left < GZIP_STEP_BYTES ? left + 1 : GZIP_STEP_BYTES;
        uint8_t piece[GZIP_STEP_BYTES + 1];
        z->next_out = piece;
        z->avail_out = (uInt)step;
        int rc = inflate(z, Z_NO_FLUSH);
        if (rc == Z_NEED_DICT) /* it compares the Adler-32 */
            rc = inflateSetDictionary(z, dictionary.ptr, (uInt)dictionary.len);
        size_t got = step - z->avail_out;
        if (got > left)
            return over_limit(diag);
        if (ms_buf_add(out, ms_span_of(piece, got)) != MS_OK)
            return ms_buf_err(out) == MS_ERR_LIMIT ? over_limit(diag) : ms_buf_err(out);
        if (rc == Z_STREAM_END)
            return MS_OK;
        if (rc == Z_MEM_ERROR)
            return MS_ERR_MEMORY;
        if (rc != Z_OK)
            return ms_diag_set(diag, MS_ERR_GZIP, "gzip: %s",
                               rc == Z_BUF_ERROR ? "truncated"
                               : z->msg != NULL  ? z->msg
                                                 : "broken");
    }
}

/* One stream that fills `in`. */
static enum ms_err unpack(struct ms_span in, int window, struct ms_span dictionary, size_t cap,
                          struct ms_buf *out, struct ms_diag *diag)
{
    if (in.len == 0 || in.len > INT_MAX)
        return ms_diag_set(diag, MS_ERR_GZIP, "gzip: %s", in.len == 0 ? "empty" : "too long");

    z_stream z = {0};
    if (inflateInit2(&z, window) != Z_OK)
        return MS_ERR_MEMORY;
    z.next_in = (Bytef *)(uintptr_t)in.ptr; /* zlib's API is not const-correct by default */
    z.avail_in = (uInt)in.len;
    enum ms_err err = inflate_all(&z, dictionary, cap, out, diag);
    if (err == MS_OK && z.avail_in != 0)
        err = ms_diag_set(diag, MS_ERR_GZIP, "gzip: %u bytes after the first member", z.avail_in);
    (void)inflateEnd(&z);
    return err;
}

enum ms_err ms_gunzip(struct ms_span in, size_t max_ratio, struct ms_buf *out, struct ms_diag *diag)
{
    size_t cap = out->max - out->len;

    if (max_ratio != 0 && in.len < cap / max_ratio)
        cap = in.len * max_ratio;
    return unpack(in, GZIP_WINDOW, ms_span_of(NULL, 0), cap, out, diag);
}

enum ms_err ms_inflate(struct ms_span in, struct ms_span dictionary, struct ms_buf *out)
{
    return unpack(in, ZLIB_WINDOW, dictionary, out->max - out->len, out, NULL);
}

/* All of `in`, by a stream that is set up. */
static enum ms_err deflate_all(z_stream *z, struct ms_span in, struct ms_buf *out)
{
    uLong bound = deflateBound(z, (uLong)in.len);
    uint8_t *room = ms_buf_room(out, bound);

    if (room == NULL)
        return ms_buf_err(out);
    z->next_in = (Bytef *)(uintptr_t)in.ptr;
    z->avail_in = (uInt)in.len;
    z->next_out = room;
    z->avail_out = (uInt)bound;
    if (deflate(z, Z_FINISH) != Z_STREAM_END)
        return MS_ERR_INTERNAL;
    out->len += bound - z->avail_out;
    return MS_OK;
}

enum ms_err ms_gzip(struct ms_span in, struct ms_buf *out)
{
    if (in.len > INT_MAX)
        return MS_ERR_LIMIT;

    z_stream z = {0};
    if (deflateInit2(&z, 9, Z_DEFLATED, GZIP_WINDOW, 9, Z_DEFAULT_STRATEGY) != Z_OK)
        return MS_ERR_MEMORY;
    gz_header header = {.os = 255};
    bool ok = deflateSetHeader(&z, &header) == Z_OK;
    enum ms_err err = ok ? deflate_all(&z, in, out) : MS_ERR_INTERNAL;
    (void)deflateEnd(&z);
    return err;
}

enum ms_err ms_deflate(struct ms_span in, struct ms_span dictionary, struct ms_buf *out)
{
    if (in.len > INT_MAX)
        return MS_ERR_LIMIT;

    z_stream z = {0};
    if (deflateInit2(&z, 6, Z_DEFLATED, ZLIB_WINDOW, 9, Z_DEFAULT_STRATEGY) != Z_OK)
        return MS_ERR_MEMORY;
    bool ok = deflateSetDictionary(&z, dictionary.ptr, (uInt)dictionary.len) == Z_OK;
    enum ms_err err = ok ? deflate_all(&z, in, out) : MS_ERR_INTERNAL;
    (void)deflateEnd(&z);
    return err;
}
