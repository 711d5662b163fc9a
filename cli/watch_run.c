/* cli/watch_run.c - the loop of `watch`: what the state machine says is done here. */
#define _GNU_SOURCE /* signalfd, timerfd, epoll, setenv */

#include "cli/child.h"
#include "cli/watch.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WAIT_MAX_MS 60000

/* ---- words ---- */

/* One line for `systemctl status`, when it is another than the last. */
static void status(struct watch *w)
{
    const struct supervise_words *words = &w->super.words;
    char text[sizeof(w->status)];

    (void)snprintf(text, sizeof(text), "STATUS=%s%s%s%s%s",
                   w->super.failed ? "the file cannot be written; " : "",
                   words->state[0] == '\0' ? "no answer yet" : words->state,
                   words->sequence[0] == '\0' ? "" : ", sequence ", words->sequence,
                   w->super.want == SUPERVISE_DENY ? ": nothing is approved" : "");
    if (strcmp(text, w->status) == 0)
        return;
    memcpy(w->status, text, sizeof(text));
    notify_send(&w->notify, text);
}

static bool set_env(const struct watch *w)
{
    const struct supervise_words *words = &w->super.disk_words;

    return setenv("MEASURED_STATE", words->state, 1) == 0 &&
           setenv("MEASURED_REASON", words->reason, 1) == 0 &&
           setenv("MEASURED_SEQUENCE", words->sequence, 1) == 0 &&
           setenv("MEASURED_PROFILE", rec_profile_name(w->list.profile), 1) == 0 &&
           setenv("MEASURED_FILE", w->file.path == NULL ? "" : w->file.path, 1) == 0;
}

/* ---- the file ---- */

static void write_file(struct watch *w)
{
    struct ms_diag diag = {0};
    bool failed = w->super.failed;

    enum ms_err err = output_replace(&w->file, supervise_text(&w->super), &diag);
    if (err == MS_OK && failed)
        cli_say(w->cli, "--write: %s is written again", w->file.path);
    if (err == MS_OK && strcmp(w->super.words.state, "expired") == 0)
        cli_say(w->cli, "no word from the daemon in time, so nothing is approved in %s any more",
                w->file.path);
    if (err != MS_OK && !failed)
        cli_say(w->cli, "--write: %s; trying again every %d s", diag.text,
                SUPERVISE_REWRITE_MS / 1000);
    supervise_wrote(&w->super, watch_now_ms(), err == MS_OK, ms_diag_text(&diag, err));
}

static void remove_file(struct watch *w)
{
    struct ms_diag diag = {0};

    enum ms_err err = output_remove(&w->file, &diag);
    if (err != MS_OK)
        cli_say(w->cli, "--write: what may no longer be true stays in %s: it cannot be removed: %s",
                w->file.path, diag.text);
    else if (w->super.want != SUPERVISE_GONE)
        cli_say(w->cli, "--write: %s is removed, because it may no longer be true", w->file.path);
    supervise_removed(&w->super, watch_now_ms(), err == MS_OK);
}

/* ---- those who are told ---- */

static void start_command(struct watch *w)
{
    char shell[] = "/bin/sh", flag[] = "-c";
    char *copy = strdup(w->command);
    char *argv[] = {shell, flag, copy, NULL};
    /* with --json our standard output has nothing but envelopes */
    struct child_plan plan = {.argv = argv, .words_only = w->cli->json};
    struct ms_diag diag = {0};

    enum ms_err err =
        copy == NULL || !set_env(w) ? MS_ERR_MEMORY : child_start(&plan, &w->command_pid, &diag);
    if (err != MS_OK) {
        w->command_pid = 0;
        cli_say(w->cli, "--exec: %s", ms_diag_text(&diag, err));
    }
    free(copy);
    supervise_ran(&w->super, watch_now_ms(), err == MS_OK);
}

static void kill_command(struct watch *w)
{
    if (w->command_pid == 0)
        return;
    cli_say(w->cli, "--exec: the command takes too long and is killed");
    child_signal(w->command_pid, SIGKILL);
}

static void reap_command(struct watch *w)
{
    char how[40];
    int end = 0;

    if (!child_ended(w->command_pid, false, &end))
        return;
    bool ok = WIFEXITED(end) && WEXITSTATUS(end) == 0;
    w->command_pid = 0;
    supervise_run_ended(&w->super, watch_now_ms(), ok);
    child_end_text(end, how, sizeof(how));
    if (!ok && !w->command_failed)
        cli_say(w->cli, "--exec: the command failed with %s%s", how,
                w->super.command.due ? "; trying again" : "");
    if (ok && w->command_failed)
        cli_say(w->cli, "--exec: the command succeeded");
    w->command_failed = !ok;
}

static void signal_consumer(struct watch *w)
{
    struct ms_diag diag = {0};

    enum ms_err err = child_signal_file(w->pid_file, w->change_signal, &diag);
    if (err != MS_OK && !w->pid_failed)
        cli_say(w->cli, "--pid-file: %s; trying again", diag.text);
    if (err == MS_OK && w->pid_failed)
        cli_say(w->cli, "--pid-file: the signal is sent");
    w->pid_failed = err != MS_OK;
    supervise_signalled(&w->super, watch_now_ms(), err == MS_OK);
}

/* ---- the proxy ---- */

static void start_proxy(struct watch *w)
{
    struct child_plan plan = {.argv = w->proxy_argv,
                              .words_only = w->cli->json,
                              .bound = w->policy.on_exit != SUPERVISE_EXIT_KEEP};
    struct ms_diag diag = {0};

    enum ms_err err = !set_env(w) ? MS_ERR_MEMORY : child_start(&plan, &w->proxy_pid, &diag);
    if (err != MS_OK) {
        w->proxy_pid = 0;
        cli_say(w->cli, "the proxy cannot be started: %s", ms_diag_text(&diag, err));
    }
    supervise_proxy_started(&w->super, watch_now_ms(), err == MS_OK, CLI_UNKNOWN);
}

static void reap_proxy(struct watch *w)
{
    bool asked = w->super.proxy == SUPERVISE_PROXY_ENDING;
    char how[40];
    int end = 0;

    /* what it left would hold its port */
    if (!child_ended(w->proxy_pid, true, &end))
        return;
    w->proxy_pid = 0;
    int64_t now_ms = watch_now_ms();
    supervise_proxy_ended(&w->super, now_ms);
    child_end_text(end, how, sizeof(how));
    if (!asked)
        cli_say(w->cli, "the proxy ended with %s; starting it again in %lld ms", how,
                (long long)(w->super.proxy_ms - now_ms));
}

static void kill_proxy(struct watch *w)
{
    cli_say(w->cli, "the proxy does not end and is killed");
    child_signal(w->proxy_pid, SIGKILL);
}

/* ---- the loop ---- */

static void perform(struct watch *w, enum supervise_act act)
{
    switch (act) {
    case SUPERVISE_NOTHING:
    case SUPERVISE_END:
        break;
    case SUPERVISE_ASK_STATE:
        watch_feed_ask_state(w);
        break;
    case SUPERVISE_ASK_LIST:
        watch_feed_ask_list(w);
        break;
    case SUPERVISE_WRITE:
        write_file(w);
        break;
    case SUPERVISE_REMOVE:
        remove_file(w);
        break;
    case SUPERVISE_RUN:
        start_command(w);
        break;
    case SUPERVISE_RUN_KILL:
        kill_command(w);
        break;
    case SUPERVISE_SIGNAL:
        signal_consumer(w);
        break;
    case SUPERVISE_PROXY_START:
        start_proxy(w);
        break;
    case SUPERVISE_PROXY_SIGNAL:
        child_signal(w->proxy_pid, w->change_signal);
        break;
    case SUPERVISE_PROXY_TERM:
        child_signal(w->proxy_pid, w->end_signal);
        break;
    case SUPERVISE_PROXY_KILL:
        kill_proxy(w);
        break;
    case SUPERVISE_READY:
        notify_send(&w->notify, "READY=1");
        break;
    }
}

static void take_signals(struct watch *w)
{
    struct signalfd_siginfo info;
    uint64_t expired;

    /* only to make it silent: what is due shows by the clock */
    (void)!read(w->timer, &expired, sizeof(expired));
    while (read(w->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo == SIGCHLD)
            continue;
        if (!w->super.stopping)
            notify_send(&w->notify, "STOPPING=1");
        w->end_signal = info.ssi_signo == SIGINT ? SIGINT : SIGTERM;
        supervise_stop(&w->super, watch_now_ms());
    }
    reap_command(w);
    reap_proxy(w);
}

/* A timer of the clock that counts: poll's own stands still in suspend. */
static void set_timer(const struct watch *w, int64_t at_ms)
{
    struct itimerspec spec = {.it_value = {.tv_nsec = 0}};

    if (at_ms != SUPERVISE_NEVER) {
        at_ms = at_ms < 1 ? 1 : at_ms; /* zero would disarm it */
        spec.it_value.tv_sec = (time_t)(at_ms / 1000);
        spec.it_value.tv_nsec = (long)(at_ms % 1000) * 1000000;
    }
    (void)timerfd_settime(w->timer, TFD_TIMER_ABSTIME, &spec, NULL);
}

static int64_t earlier(int64_t a_ms, int64_t b_ms)
{
    return a_ms < b_ms ? a_ms : b_ms;
}

/* Everything that is due now; false at the end. */
static bool act(struct watch *w)
{
    for (;;) {
        enum supervise_act next = supervise_next(&w->super, watch_now_ms());
        if (next == SUPERVISE_END)
            return false;
        if (next == SUPERVISE_NOTHING)
            return true;
        perform(w, next);
        (void)notify_alive(&w->notify, watch_now_ms());
    }
}

static bool one_turn(struct watch *w)
{
    watch_feed_connect(w);
    if (!act(w))
        return false;
    status(w);
    int64_t now_ms = watch_now_ms();
    int64_t at_ms = earlier(supervise_wake(&w->super, now_ms), watch_feed_wake(w));
    set_timer(w, earlier(at_ms, notify_alive(&w->notify, now_ms)));
    watch_feed_wait(w, WAIT_MAX_MS);
    take_signals(w);
    return true;
}

static bool add_event(int events, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data = {.fd = fd}};

    return fd >= 0 && epoll_ctl(events, EPOLL_CTL_ADD, fd, &event) == 0;
}

static bool open_events(struct watch *w)
{
    struct sigaction hangup;
    sigset_t set;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGCHLD);
    /* nohup(1) means it */
    if (sigaction(SIGHUP, NULL, &hangup) == 0 && hangup.sa_handler != SIG_IGN)
        (void)sigaddset(&set, SIGHUP);
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0 || signal(SIGPIPE, SIG_IGN) == SIG_ERR ||
        signal(SIGCHLD, SIG_DFL) == SIG_ERR)
        return false;
    w->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    w->timer = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    w->events = epoll_create1(EPOLL_CLOEXEC);
    return w->events >= 0 && add_event(w->events, w->signals) && add_event(w->events, w->timer);
}

static void close_events(struct watch *w)
{
    int fds[] = {w->signals, w->timer, w->events};

    for (size_t i = 0; i < MS_ARRAY_LEN(fds); i++)
        if (fds[i] >= 0)
            (void)close(fds[i]);
}

/* The file that an earlier run left, so that it is not written for nothing. */
static void look_at_file(struct watch *w)
{
    struct ms_buf text = MS_BUF_INIT(2 * CLIENT_BODY_MAX_BYTES);

    if (w->file.path != NULL && output_load(&w->file, &text))
        supervise_found(&w->super, ms_buf_span(&text));
    ms_buf_done(&text);
}

int watch_run(struct watch *w)
{
    w->signals = w->timer = w->events = -1;
    w->end_signal = SIGTERM;
    if (!open_events(w)) {
        cli_say(w->cli, "cannot take signals: %s", strerror(errno));
        close_events(w);
        return CLI_UNKNOWN;
    }
    notify_init(&w->notify);
    look_at_file(w);
    while (one_turn(w))
        continue;
    close_events(w);
    return w->super.code;
}
