/* cli/watch.h - the parts of `watch`: arguments (watch.c), the daemon's stream and the questions
 * beside it (watch_feed.c), the loop that does what the state machine says (watch_run.c).
 * Single-threaded. */
#ifndef MS_CLI_WATCH_H
#define MS_CLI_WATCH_H

#include "cli/list.h"
#include "cli/notify.h"
#include "cli/output.h"
#include "cli/sse.h"
#include "cli/supervise.h"
#include "cli/view.h"

struct watch_feed {
    struct ms_buf target;
    struct client_stream *stream;
    struct sse sse;
    struct ms_buf refusal; /* body of an answer that is not 200 */
    bool connected;        /* the stream has begun */
    bool ever, broken;     /* connected once; the stream makes no sense */
    bool said;             /* that the list cannot be had */
    char warning[256];     /* of the last list, said already */
    int64_t heard_ms, retry_ms;
    unsigned fails;
};

struct watch {
    struct cli *cli;
    struct client_subject subject;
    struct list list;
    struct supervise_policy policy;
    struct supervise super;
    struct view last; /* what the daemon told last */
    bool told;
    struct watch_feed feed;

    struct output_file file;         /* path NULL without --write */
    const char *command, *pid_file;  /* NULL without */
    int change_signal, end_signal;   /* of --signal; that ends us */
    char *const *proxy_argv;         /* NULL without */
    pid_t command_pid, proxy_pid;    /* 0: does not run */
    bool command_failed, pid_failed; /* which was said */
    struct notify notify;
    char status[256];           /* told last */
    int signals, timer, events; /* signalfd, timerfd, and the epoll of both */
};

/* Milliseconds of CLOCK_BOOTTIME. */
int64_t watch_now_ms(void);

/* ---- watch_feed.c ---- */
void watch_feed_init(struct watch *w);
void watch_feed_done(struct watch *w);
/* Connect when it is time to. */
void watch_feed_connect(struct watch *w);
/* Wait for the daemon, for `events`, or for wait_ms; tell the state machine what came. */
void watch_feed_wait(struct watch *w, int wait_ms);
/* When it has to be looked at without anything having come. */
int64_t watch_feed_wake(const struct watch *w);
void watch_feed_ask_state(struct watch *w);
void watch_feed_ask_list(struct watch *w);

/* ---- watch_run.c ---- */
/* Until the end; the exit code. */
int watch_run(struct watch *w);

#endif
