/* cli/sse.c - the event stream parser. */
#include "cli/sse.h"

#define TYPE_MAX_BYTES 256u

void sse_init(struct sse *sse, size_t max_bytes)
{
    *sse = (struct sse){.line = MS_BUF_INIT(max_bytes),
                        .type = MS_BUF_INIT(TYPE_MAX_BYTES),
                        .data = MS_BUF_INIT(max_bytes)};
}

void sse_done(struct sse *sse)
{
    ms_buf_done(&sse->line);
    ms_buf_done(&sse->type);
    ms_buf_done(&sse->data);
}

/* An empty line: the event is complete. Without data there is none. */
static void dispatch(struct sse *sse, void (*fn)(const struct sse_event *event, void *arg),
                     void *arg)
{
    if (sse->data.len > 0) {
        struct sse_event event = {
            .type = sse->type.len == 0 ? ms_span_str("message") : ms_buf_span(&sse->type),
            .data = ms_span_sub(ms_buf_span(&sse->data), 0, sse->data.len - 1)};
        if (event.data.len > 0)
            fn(&event, arg);
    }
    ms_buf_reset(&sse->type);
    ms_buf_reset(&sse->data);
}

static enum ms_err take_field(struct sse *sse, struct ms_span name, struct ms_span value)
{
    if (ms_span_eq_str(name, "event")) {
        ms_buf_reset(&sse->type);
        return ms_buf_add(&sse->type, value);
    }
    if (!ms_span_eq_str(name, "data"))
        return MS_OK;
    (void)ms_buf_add(&sse->data, value);
    return ms_buf_add_byte(&sse->data, '\n');
}

static enum ms_err take_line(struct sse *sse, void (*fn)(const struct sse_event *event, void *arg),
                             void *arg)
{
    struct ms_span line = ms_buf_span(&sse->line), name = line, value = {NULL, 0};
    enum ms_err err = MS_OK;

    if (!sse->begun && ms_span_starts(line, "\xef\xbb\xbf"))
        name = line = ms_span_sub(line, 3, line.len);
    sse->begun = true;
    if (line.len == 0) {
        dispatch(sse, fn, arg);
    } else if (line.ptr[0] != ':') { /* a comment otherwise */
        if (ms_span_cut(line, ':', &name, &value) && value.len > 0 && value.ptr[0] == ' ')
            value = ms_span_sub(value, 1, value.len);
        err = take_field(sse, name, value);
    }
    ms_buf_reset(&sse->line);
    return err;
}

/* Bytes up to the next end of line. */
static size_t line_part(struct ms_span bytes)
{
    size_t n = 0;

    while (n < bytes.len && bytes.ptr[n] != '\n' && bytes.ptr[n] != '\r')
        n++;
    return n;
}

enum ms_err sse_feed(struct sse *sse, struct ms_span bytes,
                     void (*fn)(const struct sse_event *event, void *arg), void *arg)
{
    while (sse->err == MS_OK && bytes.len > 0) {
        if (sse->after_cr && bytes.ptr[0] == '\n') {
            sse->after_cr = false;
            bytes = ms_span_sub(bytes, 1, bytes.len);
            continue;
        }
        sse->after_cr = false;
        size_t n = line_part(bytes);
        sse->err = ms_buf_add(&sse->line, ms_span_sub(bytes, 0, n));
        if (n < bytes.len && sse->err == MS_OK) {
            sse->after_cr = bytes.ptr[n] == '\r';
            sse->err = take_line(sse, fn, arg);
            n++;
        }
        bytes = ms_span_sub(bytes, n, bytes.len);
    }
    return sse->err;
}
