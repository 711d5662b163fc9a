/* fuzz_sse.c - any bytes as an event stream: what comes out does not depend on how they are cut. */
#include "cli/sse.h"

#include <stdlib.h>

#define SMALL_MAX 512 /* so that the limit is met */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
    if (!ok)
        abort();
}

static void note(const struct sse_event *event, void *arg)
{
    struct ms_buf *seen = arg;

    require(event->type.len > 0 && event->data.len > 0);
    require(ms_span_find(event->type, '\n') == event->type.len);
    require(ms_span_find(event->data, '\r') == event->data.len);
    (void)ms_buf_add(seen, event->type);
    (void)ms_buf_add_byte(seen, 0);
    (void)ms_buf_add(seen, event->data);
    (void)ms_buf_add_byte(seen, 0);
}

static enum ms_err run(struct ms_span bytes, size_t max, size_t step, struct ms_buf *seen)
{
    enum ms_err err = MS_OK;
    struct sse sse;

    sse_init(&sse, max);
    for (size_t at = 0; at < bytes.len && err == MS_OK; at += step)
        err = sse_feed(&sse, ms_span_sub(bytes, at, step), note, seen);
    sse_done(&sse);
    return err;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t maxima[] = {SMALL_MAX, (size_t)1 << 20};
    struct ms_span bytes = ms_span_of(data, size);

    for (size_t i = 0; i < MS_ARRAY_LEN(maxima); i++) {
        struct ms_buf whole = MS_BUF_INIT(2 * size + 4096), cut = MS_BUF_INIT(2 * size + 4096);
        enum ms_err a = run(bytes, maxima[i], size + 1, &whole);
        enum ms_err b = run(bytes, maxima[i], 1, &cut);
        require(a == b);
        require(ms_span_eq(ms_buf_span(&whole), ms_buf_span(&cut)));
        ms_buf_done(&whole);
        ms_buf_done(&cut);
    }
    return 0;
}
