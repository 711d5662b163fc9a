/* cli/watch_feed.c - what the daemon tells, and what it is asked beside that. */
#define _GNU_SOURCE /* CLOCK_BOOTTIME */

#include "cli/watch.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <time.h>

#define SILENCE_MS 60000 /* the daemon says something every 15 s */
#define RETRY_MIN_MS 500
#define RETRY_MAX_MS 30000
/* Nothing else is done meanwhile; the daemon answers these from memory. */
#define ASK_TIMEOUT_MS 2000

static int64_t clock_ms(clockid_t id)
{
    struct timespec now = {0};
    (void)clock_gettime(id, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t watch_now_ms(void)
{
    return clock_ms(CLOCK_BOOTTIME);
}

/* valid_until is wall time; what counts here does not jump with it. */
static int64_t deadline_of(const struct view *view)
{
    if (view->valid_until_s == 0)
        return SUPERVISE_NEVER;
    return watch_now_ms() + view->valid_until_s * 1000 - clock_ms(CLOCK_REALTIME);
}

static struct supervise_words words_of(const struct view *view)
{
    struct supervise_words words = {.sequence = ""};

    (void)snprintf(words.state, sizeof(words.state), "%s", view->state);
    (void)snprintf(words.reason, sizeof(words.reason), "%s",
                   view->error_text == NULL ? "" : view->error_text);
    if (view->has_sequence)
        (void)snprintf(words.sequence, sizeof(words.sequence), "%" PRIu64, view->sequence);
    return words;
}

/* ---- asking beside the stream ---- */

/* The list, or the envelope. */
static enum ms_err ask(const struct watch *w, bool list, struct client_reply *reply,
                       struct ms_diag *diag)
{
    struct ms_buf target = MS_BUF_INIT(4 * SPEC_URL_MAX);

    enum ms_err err = list ? list_target(&w->list, &w->subject, &target)
                           : client_target("/v1/resolve", &w->subject, &target);
    struct client_ask question = {
        .socket = "api.sock",
        .target = ms_buf_str(&target),
        .timeout_ms = (long)supervise_ask_ms(&w->super, watch_now_ms(), ASK_TIMEOUT_MS)};
    if (err == MS_OK)
        err = client_ask(w->cli, &question, reply, diag);
    ms_buf_done(&target);
    return err;
}

/* A list that belongs to the last event: a consumer reads it without any doubt. */
static enum ms_err judge_rendering(const struct watch *w, const struct client_reply *reply,
                                   struct ms_diag *diag)
{
    const struct view *event = &w->last;
    struct client_error error;

    if (reply->status != 200) {
        client_error_of(reply->status, ms_buf_span(&reply->body), &error);
        return ms_diag_set(diag, MS_ERR_UNAVAILABLE, "%s (%s)", error.text, error.code);
    }
    enum ms_err err = list_judge(&w->list, reply, diag);
    if (err == MS_OK && event->has_sequence &&
        (!reply->has_sequence || reply->sequence < event->sequence))
        err = ms_diag_set(diag, MS_ERR_ROLLBACK, "the daemon's list is older than its event");
    return err;
}

void watch_feed_ask_list(struct watch *w)
{
    struct client_reply reply;
    struct ms_diag diag = {0};

    client_reply_init(&reply);
    enum ms_err err = ask(w, true, &reply, &diag);
    bool answered = err == MS_OK;
    if (err == MS_OK)
        err = judge_rendering(w, &reply, &diag);
    if (err == MS_OK) {
        w->feed.said = false;
        if (strcmp(reply.warning, w->feed.warning) != 0) {
            (void)snprintf(w->feed.warning, sizeof(w->feed.warning), "%s", reply.warning);
            if (reply.warning[0] != '\0')
                cli_say(w->cli, "--write: warning: %s", reply.warning);
        }
        supervise_list(&w->super, watch_now_ms(), ms_buf_span(&reply.body));
    } else {
        const char *why = ms_diag_text(&diag, err);
        if (answered && !w->feed.said)
            cli_say(w->cli, "--write: the list cannot be had, so nothing is approved in %s: %s",
                    w->file.path, why);
        w->feed.said = w->feed.said || answered;
        supervise_no_list(&w->super, watch_now_ms(), answered, why);
    }
    client_reply_done(&reply);
}

/* The daemon confirms a set without an event, so what we know of its end may be old. */
void watch_feed_ask_state(struct watch *w)
{
    struct client_reply reply;
    struct ms_diag diag = {0};
    struct view view;

    client_reply_init(&reply);
    view_init(&view);
    bool served = ask(w, false, &reply, &diag) == MS_OK && reply.status == 200 &&
                  view_parse(ms_buf_span(&reply.body), &view, &diag) == MS_OK && view_served(&view);
    int64_t now_ms = watch_now_ms(), deadline_ms = served ? deadline_of(&view) : 0;
    struct supervise_words words = {.state = ""};
    if (served)
        words = words_of(&view);
    if (!served)
        supervise_asked(&w->super, now_ms);
    else if (w->told && strcmp(view.set_hash, w->last.set_hash) == 0)
        supervise_confirmed(&w->super, now_ms, deadline_ms, &words);
    else /* another set than ours: its end is not ours, and its event may be stuck */
        supervise_event(&w->super, now_ms, true, true, deadline_ms, &words);
    view_done(&view);
    client_reply_done(&reply);
}

/* ---- events ---- */

static void print_change(struct watch *w, const struct view *now, struct ms_span envelope)
{
    struct ms_buf text = MS_BUF_INIT(65536);
    time_t wall = time(NULL);
    struct tm tm = {0};
    char stamp[32] = "";

    if (!w->cli->json) {
        (void)gmtime_r(&wall, &tm);
        (void)strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%SZ ", &tm);
        (void)ms_buf_add_str(&text, stamp);
        (void)view_line(w->told ? &w->last : NULL, now, &text);
        envelope = ms_buf_span(&text);
    }
    if (cli_print_line(w->cli, envelope, CLI_YES) != CLI_YES) {
        w->super.code = CLI_UNKNOWN;
        supervise_stop(&w->super, watch_now_ms());
    }
    ms_buf_done(&text);
}

static void take_envelope(struct watch *w, struct view *now, struct ms_span envelope)
{
    bool same = w->told && view_same(&w->last, now);
    bool change = !w->told || !view_same_meaning(&w->last, now);
    struct supervise_words words = words_of(now);

    supervise_event(&w->super, watch_now_ms(), view_served(now), change, deadline_of(now), &words);
    if (!same)
        print_change(w, now, envelope);
    view_done(&w->last);
    w->last = *now; /* moved */
    view_init(now);
    w->told = true;
}

static void on_event(const struct sse_event *event, void *arg)
{
    struct watch *w = arg;
    struct ms_diag diag = {0};
    struct view now;

    if (!ms_span_eq_str(event->type, "set") || w->feed.broken)
        return;
    view_init(&now);
    enum ms_err err = view_parse(event->data, &now, &diag);
    if (err == MS_OK) {
        take_envelope(w, &now, event->data);
        w->feed.fails = 0;
    } else {
        cli_say(w->cli, "the daemon's event makes no sense: %s", ms_diag_text(&diag, err));
        w->feed.broken = true;
    }
    view_done(&now);
}

/* ---- the connection ---- */

static void disconnect(struct watch *w)
{
    client_stream_free(w->feed.stream);
    w->feed.stream = NULL;
    w->feed.connected = false;
    supervise_connected(&w->super, false);
    sse_done(&w->feed.sse);
    ms_buf_reset(&w->feed.refusal);
}

void watch_feed_init(struct watch *w)
{
    w->feed =
        (struct watch_feed){.target = MS_BUF_INIT(4 * SPEC_URL_MAX), .refusal = MS_BUF_INIT(65536)};
    sse_init(&w->feed.sse, CLIENT_BODY_MAX_BYTES);
}

void watch_feed_done(struct watch *w)
{
    disconnect(w);
    ms_buf_done(&w->feed.target);
    ms_buf_done(&w->feed.refusal);
}

static void try_again(struct watch *w, const char *why)
{
    if (w->feed.broken || !w->feed.ever)
        supervise_unknown(&w->super, watch_now_ms(), why);
    w->feed.broken = false;
    if (w->feed.fails == 0)
        cli_say(w->cli, "lost the daemon: %s; trying again", why);
    w->feed.retry_ms =
        watch_now_ms() + supervise_backoff(RETRY_MIN_MS, RETRY_MAX_MS, w->feed.fails);
    w->feed.fails++;
}

/* Try again later; give up when there never was a daemon, or when it says the question is wrong. */
static void lost(struct watch *w, const char *why)
{
    long status = w->feed.stream == NULL ? 0 : client_stream_status(w->feed.stream);
    struct client_error error = {.code = "connect"};
    bool refused = status != 0 && status != 200;

    (void)snprintf(error.text, sizeof(error.text), "%s", why);
    if (refused)
        client_error_of(status, ms_buf_span(&w->feed.refusal), &error);
    disconnect(w);
    if ((refused && client_exit_of(status) == CLI_NO) || (!w->feed.ever && !w->policy.wait))
        supervise_give_up(&w->super, watch_now_ms(),
                          client_fail(w->cli, error.code, error.text,
                                      refused ? client_exit_of(status) : CLI_UNKNOWN),
                          error.text);
    else
        try_again(w, error.text);
}

void watch_feed_connect(struct watch *w)
{
    struct ms_diag diag = {0};

    if (w->feed.stream != NULL || w->super.stopping || watch_now_ms() < w->feed.retry_ms)
        return;
    sse_init(&w->feed.sse, CLIENT_BODY_MAX_BYTES);
    w->feed.heard_ms = watch_now_ms();
    enum ms_err err =
        client_stream_new(w->cli, ms_buf_str(&w->feed.target), &w->feed.stream, &diag);
    if (err != MS_OK)
        lost(w, ms_diag_text(&diag, err));
}

static void take_bytes(struct watch *w, struct ms_span bytes)
{
    if (bytes.len == 0)
        return;
    w->feed.heard_ms = watch_now_ms();
    if (client_stream_status(w->feed.stream) != 200) {
        (void)ms_buf_add(&w->feed.refusal, bytes);
        return;
    }
    if (!w->feed.connected && w->feed.fails > 0)
        cli_say(w->cli, "the daemon answers again");
    w->feed.connected = w->feed.ever = true;
    supervise_connected(&w->super, true);
    if (sse_feed(&w->feed.sse, bytes, on_event, w) != MS_OK)
        w->feed.broken = true;
}

static void wait_stream(struct watch *w, int wait_ms)
{
    struct ms_span bytes = {NULL, 0};
    struct ms_diag diag = {0};
    bool ended = false;

    enum ms_err err = client_stream_wait(w->feed.stream, w->events, wait_ms, &bytes, &ended, &diag);
    if (err == MS_OK)
        take_bytes(w, bytes);
    if (err != MS_OK || ended)
        lost(w, ms_diag_text(&diag, err == MS_OK ? MS_ERR_IO : err));
    else if (w->feed.broken)
        lost(w, "its stream makes no sense");
    else if (watch_now_ms() - w->feed.heard_ms >= SILENCE_MS)
        lost(w, "it has been silent for too long");
}

void watch_feed_wait(struct watch *w, int wait_ms)
{
    struct pollfd events = {.fd = w->events, .events = POLLIN};

    if (w->super.stopping && w->feed.stream != NULL)
        disconnect(w);
    if (w->feed.stream != NULL)
        wait_stream(w, wait_ms);
    else
        (void)poll(&events, 1, wait_ms);
}

int64_t watch_feed_wake(const struct watch *w)
{
    if (w->super.stopping)
        return SUPERVISE_NEVER;
    return w->feed.stream == NULL ? w->feed.retry_ms : w->feed.heard_ms + SILENCE_MS;
}
