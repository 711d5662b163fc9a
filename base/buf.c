/* base/buf.c - growing bytes with a maximum. */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define BUF_FIRST_BYTES 64

void ms_buf_done(struct ms_buf *buf)
{
    free(buf->ptr);
    *buf = (struct ms_buf)MS_BUF_INIT(buf->max);
}

void ms_buf_reset(struct ms_buf *buf)
{
    buf->len = 0;
    buf->err = MS_OK;
}

/* Make cap at least `need`; max is already checked. */
static enum ms_err grow(struct ms_buf *buf, size_t need)
{
    size_t cap = buf->cap == 0 ? BUF_FIRST_BYTES : buf->cap;

    while (cap < need)
        cap = cap > SIZE_MAX / 2 ? need : cap * 2;
    uint8_t *ptr = realloc(buf->ptr, cap);
    if (ptr == NULL)
        return MS_ERR_MEMORY;
    buf->ptr = ptr;
    buf->cap = cap;
    return MS_OK;
}

uint8_t *ms_buf_room(struct ms_buf *buf, size_t n)
{
    if (buf->err != MS_OK)
        return NULL;
    if (n > buf->max - buf->len) {
        buf->err = MS_ERR_LIMIT;
        return NULL;
    }
    if (n > buf->cap - buf->len || buf->ptr == NULL) {
        buf->err = grow(buf, buf->len + n);
        if (buf->err != MS_OK)
            return NULL;
    }
    return buf->ptr + buf->len;
}

enum ms_err ms_buf_add(struct ms_buf *buf, struct ms_span bytes)
{
    uint8_t *room = ms_buf_room(buf, bytes.len);
    if (room == NULL)
        return buf->err;
    if (bytes.len > 0)
        memcpy(room, bytes.ptr, bytes.len);
    buf->len += bytes.len;
    return MS_OK;
}

enum ms_err ms_buf_add_str(struct ms_buf *buf, const char *text)
{
    return ms_buf_add(buf, ms_span_str(text));
}

enum ms_err ms_buf_add_byte(struct ms_buf *buf, uint8_t byte)
{
    return ms_buf_add(buf, (struct ms_span){&byte, 1});
}

enum ms_err ms_buf_add_hex(struct ms_buf *buf, struct ms_span bytes)
{
    static const char digits[] = "0123456789abcdef";

    if (bytes.len > SIZE_MAX / 2) {
        buf->err = MS_ERR_LIMIT;
        return buf->err;
    }
    uint8_t *room = ms_buf_room(buf, bytes.len * 2);
    if (room == NULL)
        return buf->err;
    for (size_t i = 0; i < bytes.len; i++) {
        room[2 * i] = (uint8_t)digits[bytes.ptr[i] >> 4];
        room[2 * i + 1] = (uint8_t)digits[bytes.ptr[i] & 15];
    }
    buf->len += bytes.len * 2;
    return MS_OK;
}

enum ms_err ms_buf_addf(struct ms_buf *buf, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (n < 0) {
        buf->err = MS_ERR_INTERNAL;
        return buf->err;
    }
    /* one more for vsnprintf's NUL, which is not kept */
    if (ms_buf_room(buf, (size_t)n) == NULL)
        return buf->err;
    if (buf->cap - buf->len < (size_t)n + 1) {
        buf->err = grow(buf, buf->len + (size_t)n + 1);
        if (buf->err != MS_OK)
            return buf->err;
    }
    va_start(args, fmt);
    (void)vsnprintf((char *)buf->ptr + buf->len, (size_t)n + 1, fmt, args);
    va_end(args);
    buf->len += (size_t)n;
    return MS_OK;
}

const char *ms_buf_str(struct ms_buf *buf)
{
    if (buf->err != MS_OK)
        return NULL;
    if (buf->len == buf->cap) {
        enum ms_err err = grow(buf, buf->len + 1);
        if (err != MS_OK) {
            buf->err = err;
            return NULL;
        }
    }
    buf->ptr[buf->len] = '\0';
    return (const char *)buf->ptr;
}
