/* resolver/daemon/http_watch.c - Server-Sent Events: a connection that stays suspended between
 * events.
 *
 * A stream is shared by an HTTP worker, which reads `out`, and the loop thread, which appends
 * events; `lock` guards what both touch. It ends by a job of the worker's free callback on the loop
 * thread, after which nobody knows it any more. */
#define _GNU_SOURCE
#include "resolver/daemon/http_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WATCH_EVENT_MAX_BYTES ((size_t)9 << 20)
#define WATCH_BLOCK_BYTES 16384u

struct http_stream {
    struct http_stream *next, *prev; /* loop thread only */
    struct http *http;
    struct MHD_Connection *connection;
    struct core_watcher watcher;
    struct spec *spec; /* moved to the core by the start job */
    struct ms_buf spelling;
    struct loop_job start, end;
    int64_t spoke_ms; /* loop thread only */
    pthread_mutex_t lock;
    struct ms_buf out;        /* the event the worker is sending */
    size_t read;              /* of out */
    struct ms_buf next_event; /* the newest one after it: who reads slowly misses those between */
    bool suspended, closed;
};

enum say { SAY_EVENT, SAY_COMMENT /* only to who has read everything */, SAY_LAST };

/* Loop thread: leave text for the worker, and wake it. */
static void say(struct http_stream *s, enum say what, struct ms_span text)
{
    bool wake;

    (void)pthread_mutex_lock(&s->lock);
    bool idle = s->read == s->out.len;
    struct ms_buf *into = idle ? &s->out : &s->next_event;
    if (idle)
        s->read = 0;
    if (idle || what == SAY_EVENT) {
        ms_buf_reset(into);
        s->closed = s->closed || ms_buf_add(into, text) != MS_OK;
    }
    s->closed = s->closed || what == SAY_LAST;
    wake = s->suspended;
    s->suspended = false;
    (void)pthread_mutex_unlock(&s->lock);
    s->spoke_ms = loop_now(s->http->env.loop).boot_ms;
    if (wake) {
        MHD_resume_connection(s->connection);
        (void)atomic_fetch_sub(&s->http->suspended, 1);
    }
}

static void on_event(struct core_watcher *watcher, const char *envelope, size_t len)
{
    struct http_stream *s =
        (struct http_stream *)((char *)watcher - offsetof(struct http_stream, watcher));
    struct ms_buf text = MS_BUF_INIT(WATCH_EVENT_MAX_BYTES);

    (void)ms_buf_add_str(&text, "event: set\ndata: ");
    if (envelope_add_spelling(ms_span_of(envelope, len), ms_buf_span(&s->spelling), &text) ==
            MS_OK &&
        ms_buf_add_str(&text, "\n\n") == MS_OK)
        say(s, SAY_EVENT, ms_buf_span(&text));
    ms_buf_done(&text);
}

static void run_start(struct loop_job *job)
{
    struct http_stream *s =
        (struct http_stream *)((char *)job - offsetof(struct http_stream, start));
    struct http *http = s->http;

    s->next = http->streams;
    if (s->next != NULL)
        s->next->prev = s;
    http->streams = s;
    if (atomic_load(&http->stopping)) {
        say(s, SAY_LAST, ms_span_str(": the daemon stops\n\n"));
        return;
    }
    say(s, SAY_COMMENT, ms_span_str(": measured\n\n"));
    struct spec *spec = s->spec;
    s->spec = NULL;
    struct ms_diag diag = {0};
    enum ms_err err = core_watch(http->env.core, &s->watcher, spec, &diag);
    if (err != MS_OK) {
        char why[MS_DIAG_TEXT_MAX + 64];
        (void)snprintf(why, sizeof(why), ": %s: %s\n\n", ms_err_code(err),
                       ms_diag_text(&diag, err));
        say(s, SAY_LAST, ms_span_str(why));
    }
}

static void run_end(struct loop_job *job)
{
    struct http_stream *s = (struct http_stream *)((char *)job - offsetof(struct http_stream, end));

    core_unwatch(s->http->env.core, &s->watcher);
    if (s->prev != NULL)
        s->prev->next = s->next;
    else
        s->http->streams = s->next;
    if (s->next != NULL)
        s->next->prev = s->prev;
    if (s->spec != NULL)
        spec_done(s->spec);
    free(s->spec);
    ms_buf_done(&s->spelling);
    ms_buf_done(&s->out);
    ms_buf_done(&s->next_event);
    (void)pthread_mutex_destroy(&s->lock);
    clients_give(s->http->env.clients, s->watcher.client, CLIENT_WATCHERS);
    free(s);
}

/* MHD worker: give what there is, or suspend until there is more. */
static ssize_t read_stream(void *cls, uint64_t pos, char *buf, size_t max)
{
    struct http_stream *s = cls;
    ssize_t n = 0;
    (void)pos;

    (void)pthread_mutex_lock(&s->lock);
    if (s->read == s->out.len && s->next_event.len > 0) {
        struct ms_buf sent = s->out;
        s->out = s->next_event;
        s->next_event = sent;
        ms_buf_reset(&s->next_event);
        s->read = 0;
    }
    size_t ready = s->out.len - s->read;
    if (ready > 0) {
        n = (ssize_t)(ready < max ? ready : max);
        memcpy(buf, s->out.ptr + s->read, (size_t)n);
        s->read += (size_t)n;
    } else if (s->closed || atomic_load(&s->http->stopping)) {
        n = MHD_CONTENT_READER_END_OF_STREAM;
    } else {
        s->suspended = true;
        (void)atomic_fetch_add(&s->http->suspended, 1);
        MHD_suspend_connection(s->connection);
    }
    (void)pthread_mutex_unlock(&s->lock);
    return n;
}

static void end_stream(void *cls)
{
    struct http_stream *s = cls;
    s->end.run = run_end;
    loop_post(s->http->env.loop, &s->end);
}

static struct http_stream *new_stream(struct http_request *r)
{
    struct http_stream *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return NULL;
    s->http = r->http;
    s->connection = r->connection;
    s->watcher.id = r->id;
    s->watcher.client = r->client;
    s->watcher.event = on_event;
    s->spec = r->spec;
    r->spec = NULL;
    s->spelling = r->spelling;
    r->spelling = (struct ms_buf)MS_BUF_INIT(0);
    s->out.max = WATCH_EVENT_MAX_BYTES;
    s->next_event.max = WATCH_EVENT_MAX_BYTES;
    (void)pthread_mutex_init(&s->lock, NULL);
    s->start.run = run_start;
    return s;
}

enum MHD_Result http_watch(struct http_request *r)
{
    if (atomic_load(&r->http->stopping))
        return http_fail(r, MS_ERR_SHUTDOWN, NULL);
    struct ms_diag diag = {0};
    enum ms_err err = clients_take(r->http->env.clients, r->client, CLIENT_WATCHERS, &diag);
    if (err != MS_OK)
        return http_fail(r, err, &diag);
    struct http_stream *s = new_stream(r); /* gives it back in the end */
    if (s == NULL) {
        clients_give(r->http->env.clients, r->client, CLIENT_WATCHERS);
        return MHD_NO;
    }
    /* from here on the response's free callback ends the stream; its job comes after the start job
     */
    loop_post(r->http->env.loop, &s->start);
    struct MHD_Response *response = MHD_create_response_from_callback(
        MHD_SIZE_UNKNOWN, WATCH_BLOCK_BYTES, read_stream, s, end_stream);
    if (response == NULL) {
        end_stream(s);
        return MHD_NO;
    }
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "text/event-stream");
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    enum MHD_Result result = MHD_queue_response(r->connection, MHD_HTTP_OK, response);
    MHD_destroy_response(response);
    r->stage = HTTP_ANSWERED;
    if (r->counted) /* a stream ends when the daemon says so */
        (void)atomic_fetch_sub(&r->http->answering, 1);
    r->counted = false;
    return result;
}

void http_streams_tick(struct http *http)
{
    int64_t now_ms = loop_now(http->env.loop).boot_ms;

    /* a comment finds out whether the other side is still there */
    for (struct http_stream *s = http->streams; s != NULL; s = s->next)
        if (now_ms - s->spoke_ms >= HTTP_KEEPALIVE_MS)
            say(s, SAY_COMMENT, ms_span_str(": still here\n\n"));
}

void http_end_streams(struct http *http)
{
    for (struct http_stream *s = http->streams; s != NULL; s = s->next)
        say(s, SAY_LAST, ms_span_str(": the configuration changed\n\n"));
}

void http_streams_end(struct http *http)
{
    for (struct http_stream *s = http->streams; s != NULL; s = s->next)
        say(s, SAY_LAST, ms_span_str(": the daemon stops\n\n"));
}
