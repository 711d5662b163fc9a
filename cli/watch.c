/* cli/watch.c - follow a specifier: print changes, keep a file current, run a command.
 *
 * Whoever reads the file cannot see how old it is, so the file must not outlive what it says: it
 * gets the form in which the profile says "nothing is approved" when nothing may be served, when
 * the rendering cannot be had, and when `valid_until` passes without word from the daemon. */
#define _GNU_SOURCE /* CLOCK_BOOTTIME, signalfd */

#include "cli/client.h"
#include "cli/output.h"
#include "cli/sse.h"
#include "cli/view.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NEVER_MS INT64_MAX
#define FIRST_ANSWER_MS 20000 /* the daemon's own first wait is 5 s */
#define SILENCE_MS 60000      /* the daemon says something every 15 s */
#define RETRY_MIN_MS 500
#define RETRY_MAX_MS 30000
#define REWRITE_MS 2000   /* after a file could not be written */
#define ASK_AHEAD_MS 2000 /* before a deadline, whether it has moved */
#define ASK_EVERY_MS 500
#define ASK_TIMEOUT_MS 10000L
#define ASK_LAPSED_MS 2000L
#define ASK_LEAST_MS 200L
#define HOOK_PATIENCE_MS 10000 /* for a running command, when told to stop */
#define WAIT_MAX_MS 10000

struct file {         /* of --write */
    const char *path; /* NULL without --write */
    enum rec_profile profile;
    struct ms_buf want;  /* what it has to hold */
    bool any, dirty;     /* want is set; it is not yet on disk */
    bool failed;         /* the last write did, which was said */
    bool lapsed;         /* denied by us, not by the daemon, who may tell no more: we ask again */
    int64_t again_ms;    /* when dirty */
    int64_t deadline_ms; /* from here on an approval must not stand in it; NEVER_MS for none */
    int64_t asked_ms;
};

struct hook {            /* of --exec */
    const char *command; /* NULL without --exec */
    pid_t pid;           /* 0: none runs */
    bool due;
    char state[32], sequence[24];
};

struct watch {
    struct cli *cli;
    struct client_subject subject;
    struct ms_buf target;
    struct view last; /* what was told last */
    bool told;
    struct file file;
    struct hook hook;
    struct client_stream *stream;
    struct sse sse;
    struct ms_buf refusal; /* body of an answer that is not 200 */
    bool connected;        /* the stream has begun */
    bool ever, broken;     /* connected once; the stream makes no sense */
    int64_t heard_ms, retry_ms;
    unsigned fails;
    int signals;
    bool stop;
    int code;
};

static int64_t clock_ms(clockid_t id)
{
    struct timespec now = {0};
    (void)clock_gettime(id, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int64_t boot_ms(void)
{
    return clock_ms(CLOCK_BOOTTIME);
}

/* ---- the command ---- */

static void hook_start(struct watch *w)
{
    struct hook *h = &w->hook;
    const struct output_env env = {.state = h->state,
                                   .sequence = h->sequence,
                                   .file = w->file.path == NULL ? "" : w->file.path};
    struct ms_diag diag = {0};

    /* with --json our standard output has nothing but envelopes */
    if (output_run(h->command, &env, w->cli->json, &h->pid, &diag) != MS_OK) {
        h->pid = 0;
        cli_say(w->cli, "%s", diag.text);
    }
    h->due = false;
}

static void hook_reap(struct watch *w)
{
    int status = 0;

    if (w->hook.pid == 0 || waitpid(w->hook.pid, &status, WNOHANG) != w->hook.pid)
        return;
    w->hook.pid = 0;
    if (WIFSIGNALED(status))
        cli_say(w->cli, "--exec: the command was ended by signal %d", WTERMSIG(status));
    else if (WEXITSTATUS(status) != 0)
        cli_say(w->cli, "--exec: the command failed with exit status %d", WEXITSTATUS(status));
}

static void hook_want(struct watch *w, const char *state, bool has_sequence, uint64_t sequence)
{
    struct hook *h = &w->hook;

    if (h->command == NULL)
        return;
    h->due = true;
    (void)snprintf(h->state, sizeof(h->state), "%s", state);
    h->sequence[0] = '\0';
    if (has_sequence)
        (void)snprintf(h->sequence, sizeof(h->sequence), "%" PRIu64, sequence);
}

/* ---- the file ---- */

/* What the file has to hold from now on. True when that is something else than before. */
static bool file_want(struct file *f, struct ms_span text)
{
    if (f->any && ms_span_eq(ms_buf_span(&f->want), text))
        return false;
    ms_buf_reset(&f->want);
    if (ms_buf_add(&f->want, text) != MS_OK)
        return false;
    f->any = f->dirty = true;
    f->again_ms = 0;
    return true;
}

static bool file_deny(struct watch *w)
{
    struct ms_buf text = MS_BUF_INIT(65536);
    bool other = false;

    if (rec_render(NULL, 0, w->file.profile, &text, NULL) == MS_OK)
        other = file_want(&w->file, ms_buf_span(&text));
    ms_buf_done(&text);
    w->file.deadline_ms = NEVER_MS;
    w->file.lapsed = false;
    return other;
}

static void file_flush(struct watch *w)
{
    struct file *f = &w->file;
    struct ms_diag diag = {0};

    if (!f->dirty || boot_ms() < f->again_ms)
        return;
    if (output_write(f->path, ms_buf_span(&f->want), &diag) == MS_OK) {
        if (f->failed)
            cli_say(w->cli, "--write: %s is written again", f->path);
        f->dirty = f->failed = false;
        return;
    }
    if (!f->failed)
        cli_say(w->cli, "--write: %s; trying again every %d s", diag.text, REWRITE_MS / 1000);
    f->failed = true;
    f->again_ms = boot_ms() + REWRITE_MS;
}

/* valid_until is wall time; what counts here does not jump with it. */
static void set_deadline(struct watch *w, const struct view *view)
{
    w->file.deadline_ms = view->valid_until_s == 0
                              ? NEVER_MS
                              : boot_ms() + view->valid_until_s * 1000 - clock_ms(CLOCK_REALTIME);
}

/* ---- asking beside the stream ---- */

/* A daemon that hangs must not keep an approval in the file. */
static long ask_timeout(const struct watch *w)
{
    int64_t left_ms =
        w->file.deadline_ms == NEVER_MS ? ASK_TIMEOUT_MS : w->file.deadline_ms - boot_ms();

    if (w->file.lapsed || left_ms > ASK_TIMEOUT_MS)
        left_ms = w->file.lapsed ? ASK_LAPSED_MS : ASK_TIMEOUT_MS;
    return left_ms < ASK_LEAST_MS ? ASK_LEAST_MS : (long)left_ms;
}

static enum ms_err ask(const struct watch *w, const char *path, const char *profile,
                       struct client_reply *reply, struct ms_diag *diag)
{
    struct ms_buf target = MS_BUF_INIT(4 * SPEC_URL_MAX);

    enum ms_err err = client_target(path, &w->subject, profile, &target);
    struct client_ask question = {
        .socket = "api.sock", .target = ms_buf_str(&target), .timeout_ms = ask_timeout(w)};
    if (err == MS_OK)
        err = client_ask(w->cli, &question, reply, diag);
    ms_buf_done(&target);
    return err;
}

/* A list that belongs to the event: a consumer reads it without any doubt. */
static enum ms_err judge_rendering(const struct watch *w, const struct view *event,
                                   const struct client_reply *reply, struct ms_diag *diag)
{
    struct client_error error;
    json_t *root = NULL;

    if (reply->status != 200) {
        client_error_of(reply->status, ms_buf_span(&reply->body), &error);
        return ms_diag_set(diag, MS_ERR_UNAVAILABLE, "%s (%s)", error.text, error.code);
    }
    enum ms_err err = client_json(ms_buf_span(&reply->body), &root, diag);
    if (err == MS_OK && (!json_is_array(root) || !reply->is_json))
        err = ms_diag_set(diag, MS_ERR_RECORDS, "the daemon's list is no list");
    if (err == MS_OK && w->file.profile == REC_PROFILE_CVM && json_array_size(root) == 0)
        err = ms_diag_set(diag, MS_ERR_RECORDS, "an empty list would approve everything in cvm");
    if (err == MS_OK && event->has_sequence &&
        (!reply->has_sequence || reply->sequence < event->sequence))
        err = ms_diag_set(diag, MS_ERR_ROLLBACK, "the daemon's list is older than its event");
    json_decref(root);
    return err;
}

/* Bring the file up to an event. True when its content changes. */
static bool file_follow(struct watch *w, const struct view *event)
{
    struct client_reply reply;
    struct ms_diag diag = {0};
    bool other;

    if (!view_served(event))
        return file_deny(w);
    client_reply_init(&reply);
    enum ms_err err = ask(w, "/v1/measurements", rec_profile_name(w->file.profile), &reply, &diag);
    if (err == MS_OK)
        err = judge_rendering(w, event, &reply, &diag);
    if (err == MS_OK) {
        other = file_want(&w->file, ms_buf_span(&reply.body));
        w->file.lapsed = false;
        set_deadline(w, event);
    } else {
        bool known = w->file.lapsed;
        other = file_deny(w);
        w->file.lapsed = true; /* no event may come that says it can be had again */
        if (other || !known)
            cli_say(w->cli, "--write: the list cannot be had, so nothing is approved in %s: %s",
                    w->file.path, ms_diag_text(&diag, err));
    }
    client_reply_done(&reply);
    return other;
}

/* The daemon confirms a set without an event, so what we know of its end may be old. */
static void ask_deadline(struct watch *w)
{
    struct client_reply reply;
    struct ms_diag diag = {0};
    struct view view;

    w->file.asked_ms = boot_ms();
    client_reply_init(&reply);
    view_init(&view);
    if (ask(w, "/v1/resolve", NULL, &reply, &diag) == MS_OK && reply.status == 200 &&
        view_parse(ms_buf_span(&reply.body), &view, &diag) == MS_OK && view_served(&view)) {
        if (!w->file.lapsed)
            set_deadline(w, &view);
        else if (file_follow(w, &view))
            hook_want(w, view.state, view.has_sequence, view.sequence);
    }
    view_done(&view);
    client_reply_done(&reply);
}

/* When to ask whether the deadline has moved; NEVER_MS: not at all. */
static int64_t ask_at(const struct watch *w)
{
    const struct file *f = &w->file;

    if (f->path == NULL || !w->connected || (f->deadline_ms == NEVER_MS && !f->lapsed))
        return NEVER_MS;
    int64_t at_ms = f->lapsed ? 0 : f->deadline_ms - ASK_AHEAD_MS;
    return at_ms > f->asked_ms + ASK_EVERY_MS ? at_ms : f->asked_ms + ASK_EVERY_MS;
}

static void check_deadline(struct watch *w)
{
    struct file *f = &w->file;

    if (boot_ms() >= ask_at(w))
        ask_deadline(w);
    if (f->path == NULL || boot_ms() < f->deadline_ms)
        return;
    cli_say(w->cli, "no word from the daemon in time, so nothing is approved in %s any more",
            f->path);
    if (file_deny(w))
        hook_want(w, "expired", w->told && w->last.has_sequence, w->last.sequence);
    f->lapsed = true;
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
        w->code = CLI_UNKNOWN;
        w->stop = true;
    }
    ms_buf_done(&text);
}

static void take_envelope(struct watch *w, struct view *now, struct ms_span envelope)
{
    bool same = w->told && view_same(&w->last, now);
    bool act = !w->told || !view_same_meaning(&w->last, now);

    if (w->file.path != NULL && file_follow(w, now))
        act = true;
    if (!same)
        print_change(w, now, envelope);
    if (act)
        hook_want(w, now->state, now->has_sequence, now->sequence);
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

    if (!ms_span_eq_str(event->type, "set") || w->broken)
        return;
    view_init(&now);
    enum ms_err err = view_parse(event->data, &now, &diag);
    if (err == MS_OK) {
        take_envelope(w, &now, event->data);
        w->fails = 0;
    } else {
        cli_say(w->cli, "the daemon's event makes no sense: %s", ms_diag_text(&diag, err));
        w->broken = true;
    }
    view_done(&now);
}

/* ---- the connection ---- */

static void disconnect(struct watch *w)
{
    client_stream_free(w->stream);
    w->stream = NULL;
    w->connected = false;
    sse_done(&w->sse);
    ms_buf_reset(&w->refusal);
}

static void give_up(struct watch *w, int code)
{
    w->code = code;
    w->stop = true;
    if (w->file.path != NULL && file_deny(w))
        hook_want(w, "expired", false, 0);
}

/* Try again later; give up when there never was a daemon, or when it says the question is wrong. */
static void lost(struct watch *w, const char *why)
{
    long status = w->stream == NULL ? 0 : client_stream_status(w->stream);
    struct client_error error = {.code = "connect"};
    bool refused = status != 0 && status != 200;

    (void)snprintf(error.text, sizeof(error.text), "%s", why);
    if (refused)
        client_error_of(status, ms_buf_span(&w->refusal), &error);
    disconnect(w);
    if ((refused && client_exit_of(status) == CLI_NO) || !w->ever) {
        give_up(w, client_fail(w->cli, error.code, error.text,
                               refused ? client_exit_of(status) : CLI_UNKNOWN));
        return;
    }
    if (w->broken)
        (void)(w->file.path != NULL && file_deny(w));
    w->broken = false;
    int64_t delay_ms = RETRY_MIN_MS;
    for (unsigned i = 0; i < w->fails && delay_ms < RETRY_MAX_MS; i++)
        delay_ms *= 2;
    delay_ms = delay_ms > RETRY_MAX_MS ? RETRY_MAX_MS : delay_ms;
    if (w->fails++ == 0)
        cli_say(w->cli, "lost the daemon: %s; trying again", error.text);
    w->retry_ms = boot_ms() + delay_ms;
}

static void connect_stream(struct watch *w)
{
    struct ms_diag diag = {0};

    sse_init(&w->sse, CLIENT_BODY_MAX_BYTES);
    w->heard_ms = boot_ms();
    enum ms_err err = client_stream_new(w->cli, ms_buf_str(&w->target), &w->stream, &diag);
    if (err != MS_OK)
        lost(w, ms_diag_text(&diag, err));
}

static void take_bytes(struct watch *w, struct ms_span bytes)
{
    if (bytes.len == 0)
        return;
    w->heard_ms = boot_ms();
    if (client_stream_status(w->stream) != 200) {
        (void)ms_buf_add(&w->refusal, bytes);
        return;
    }
    if (!w->connected && w->ever)
        cli_say(w->cli, "the daemon answers again");
    w->connected = w->ever = true;
    if (sse_feed(&w->sse, bytes, on_event, w) != MS_OK)
        w->broken = true;
}

static void wait_stream(struct watch *w, int wait_ms)
{
    struct ms_span bytes = {NULL, 0};
    struct ms_diag diag = {0};
    bool ended = false;

    enum ms_err err = client_stream_wait(w->stream, w->signals, wait_ms, &bytes, &ended, &diag);
    if (err == MS_OK)
        take_bytes(w, bytes);
    if (err != MS_OK || ended)
        lost(w, ms_diag_text(&diag, err == MS_OK ? MS_ERR_IO : err));
    else if (w->broken)
        lost(w, "its stream makes no sense");
    else if (boot_ms() - w->heard_ms >= SILENCE_MS)
        lost(w, "it has been silent for too long");
}

/* ---- the loop ---- */

static void take_signals(struct watch *w)
{
    struct signalfd_siginfo info;

    while (read(w->signals, &info, sizeof(info)) == (ssize_t)sizeof(info))
        if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT)
            w->stop = true;
    hook_reap(w);
}

static void sooner(int64_t *next_ms, int64_t at_ms)
{
    if (at_ms < *next_ms)
        *next_ms = at_ms;
}

static int wait_time(const struct watch *w)
{
    int64_t now_ms = boot_ms(), next_ms = now_ms + WAIT_MAX_MS;

    if (w->stream == NULL)
        sooner(&next_ms, w->retry_ms);
    else
        sooner(&next_ms, w->heard_ms + SILENCE_MS);
    if (w->file.dirty)
        sooner(&next_ms, w->file.again_ms);
    sooner(&next_ms, w->file.deadline_ms);
    sooner(&next_ms, ask_at(w));
    return next_ms <= now_ms ? 0 : (int)(next_ms - now_ms);
}

static void one_turn(struct watch *w)
{
    struct pollfd signals = {.fd = w->signals, .events = POLLIN};

    if (w->stream == NULL && boot_ms() >= w->retry_ms)
        connect_stream(w);
    if (w->stop)
        return;
    if (w->stream != NULL)
        wait_stream(w, wait_time(w));
    else
        (void)poll(&signals, 1, wait_time(w));
    take_signals(w);
    check_deadline(w);
}

/* The file before the command, and never two commands at once. */
static void act(struct watch *w)
{
    file_flush(w);
    if (w->hook.due && w->hook.pid == 0 && !w->file.dirty)
        hook_start(w);
}

/* A command that runs may end by itself; one that was due when we gave up still runs. */
static void finish_hook(struct watch *w)
{
    struct pollfd signals = {.fd = w->signals, .events = POLLIN};
    int64_t until_ms = boot_ms() + HOOK_PATIENCE_MS;

    while ((w->hook.pid != 0 || (w->hook.due && w->code != CLI_YES && !w->file.dirty)) &&
           boot_ms() < until_ms) {
        act(w);
        if (w->hook.pid == 0)
            continue;
        (void)poll(&signals, 1, 100);
        take_signals(w);
    }
}

static bool block_signals(int *ret_fd)
{
    sigset_t set;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGCHLD);
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0 || signal(SIGPIPE, SIG_IGN) == SIG_ERR)
        return false;
    *ret_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return *ret_fd >= 0;
}

static int follow(struct watch *w)
{
    struct ms_diag diag = {0};

    enum ms_err err = client_target("/v1/watch", &w->subject, NULL, &w->target);
    if (err != MS_OK)
        return client_fail_err(w->cli, err, &diag);
    if (!block_signals(&w->signals)) {
        cli_say(w->cli, "cannot take signals: %s", strerror(errno));
        return CLI_UNKNOWN;
    }
    /* whoever wrote what is in the file now, it is not for ever */
    w->file.deadline_ms = w->file.path == NULL ? NEVER_MS : boot_ms() + FIRST_ANSWER_MS;
    while (!w->stop) {
        one_turn(w);
        act(w);
    }
    finish_hook(w);
    disconnect(w);
    (void)close(w->signals);
    return w->code;
}

int cli_watch(struct cli *cli, int argc, char **argv)
{
    struct watch w = {.cli = cli,
                      .target = MS_BUF_INIT(4 * SPEC_URL_MAX),
                      .refusal = MS_BUF_INIT(65536),
                      .file = {.want = MS_BUF_INIT(CLIENT_BODY_MAX_BYTES)},
                      .code = CLI_YES};
    const char *arg, *profile = NULL;
    const struct cli_option options[] = {{"profile", &profile, NULL},
                                         {"write", &w.file.path, NULL},
                                         {"exec", &w.hook.command, NULL}};

    if (!cli_args(cli, argc, argv, options, MS_ARRAY_LEN(options), "SPEC|URL", &arg, 1, 1) ||
        !cli_profile_ok(cli, profile))
        return CLI_USAGE;
    w.file.profile = rec_profile_parse(ms_span_str(profile == NULL ? "atls-1" : profile));
    view_init(&w.last);
    int code = client_subject(cli, arg, &w.subject);
    if (code == CLI_YES)
        code = follow(&w);
    view_done(&w.last);
    ms_buf_done(&w.file.want);
    ms_buf_done(&w.target);
    ms_buf_done(&w.refusal);
    return code;
}
