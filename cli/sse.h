/* cli/sse.h - Server-Sent Events: bytes as they arrive to events (HTML Living Standard, 9.2.6).
 *
 * `id` and `retry` are read over: the daemon sends neither. An event that the end of the stream
 * cuts off is lost, as the standard wants. Pure but for memory; one stream, one thread. */
#ifndef MS_CLI_SSE_H
#define MS_CLI_SSE_H

#include "base/buf.h"

struct sse {
    struct ms_buf line; /* begun, its end has not come yet */
    struct ms_buf type; /* of the event being read */
    struct ms_buf data; /* its data lines, each with a LF behind it */
    bool after_cr;      /* the last byte was a CR: a LF now belongs to it */
    bool begun;         /* a byte order mark is no longer one */
    enum ms_err err;    /* once it failed it stays so */
};

struct sse_event {       /* borrowed, until the callback returns */
    struct ms_span type; /* "message" when the stream names none */
    struct ms_span data; /* lines joined by LF; not empty */
};

/* max_bytes  of one line, and of one event's data */
void sse_init(struct sse *sse, size_t max_bytes);
void sse_done(struct sse *sse);

/* Take bytes; calls fn for each event they complete. MS_ERR_LIMIT, MS_ERR_MEMORY: the stream is of
 * no use any more, and nothing of what follows is read. */
MS_MUST_USE enum ms_err sse_feed(struct sse *sse, struct ms_span bytes,
                                 void (*fn)(const struct sse_event *event, void *arg), void *arg);

#endif
