/* cli/supervise.h - what `watch` has to do next: a file kept no longer than it is true, and those
 * who read it told.
 *
 * A state machine: it is told what happened and what time it is, and says one thing at a time that
 * is to be done. It does nothing itself, so every wait, deadline and failure runs in a unit test.
 * Times are milliseconds of a clock that only goes forward and does not stop in suspend
 * (CLOCK_BOOTTIME). Pure but for memory; single-threaded.
 *
 * The caller's loop: until supervise_next says SUPERVISE_NOTHING, do what it says and report how it
 * went; then wait for something to report, at most until supervise_wake. */
#ifndef MS_CLI_SUPERVISE_H
#define MS_CLI_SUPERVISE_H

#include "base/buf.h"

#define SUPERVISE_NEVER INT64_MAX
#define SUPERVISE_FIRST_MS 1000     /* an earlier run's file stands this long without an answer */
#define SUPERVISE_FETCH_MS 10000    /* the old list, while the new one cannot be had */
#define SUPERVISE_ASK_MIN_MS 500    /* between questions */
#define SUPERVISE_ASK_MAX_MS 8000   /* ... the more of them fail */
#define SUPERVISE_ASK_AHEAD_MS 2000 /* before a deadline, whether it has moved */
#define SUPERVISE_ASK_LEAST_MS 200  /* too little time for an answer */
#define SUPERVISE_REWRITE_MS 2000   /* after a file could not be written */
#define SUPERVISE_AGAIN_MIN_MS 1000 /* after a command or signal failed */
#define SUPERVISE_AGAIN_MAX_MS 60000
#define SUPERVISE_RESTART_MIN_MS 500 /* after the proxy died */
#define SUPERVISE_RESTART_MAX_MS 60000
#define SUPERVISE_STABLE_MS 60000 /* a proxy that ran so long did not die of its start */
#define SUPERVISE_KILL_AGAIN_MS 1000
#define SUPERVISE_EXIT_RUN_MS 10000 /* for a command, when told to stop */

enum supervise_exit { /* what the file holds when we are gone */
                      SUPERVISE_EXIT_DENY = 0,
                      SUPERVISE_EXIT_KEEP,
                      SUPERVISE_EXIT_REMOVE,
};

struct supervise_policy {
    bool file;      /* there is one; otherwise only changes of meaning are told */
    bool command;   /* is run after a change */
    bool signal;    /* is sent after a change, to the proxy when there is one */
    bool proxy;     /* is ours; needs `file` */
    bool list_ends; /* the list holds its own end, which moves when the set is confirmed; nobody
                       need be told of that */
    bool wait;      /* for a daemon that is not there at the start */
    bool keep_on_write_error;
    enum supervise_exit on_exit;
    int64_t run_ms;   /* a command has */
    int64_t grace_ms; /* from asking the proxy to end to killing it */
    uint32_t seed;    /* of the jitter, any */
};

struct supervise_words { /* what a command is told; NUL-terminated */
    char state[32], sequence[24], reason[200];
};

enum supervise_act {
    SUPERVISE_NOTHING = 0,
    SUPERVISE_ASK_STATE,    /* -> supervise_event, or supervise_asked when there is no answer */
    SUPERVISE_ASK_LIST,     /* -> supervise_list or supervise_no_list */
    SUPERVISE_WRITE,        /* `want`, over the file -> supervise_wrote */
    SUPERVISE_REMOVE,       /* the file -> supervise_removed */
    SUPERVISE_RUN,          /* the command -> supervise_ran, and supervise_run_ended */
    SUPERVISE_RUN_KILL,     /* the command and its children */
    SUPERVISE_SIGNAL,       /* to whom --pid-file names -> supervise_signalled */
    SUPERVISE_PROXY_START,  /* -> supervise_proxy_started, and supervise_proxy_ended */
    SUPERVISE_PROXY_SIGNAL, /* the one for changes -> supervise_signalled */
    SUPERVISE_PROXY_TERM,   /* with the signal that ends us, or SIGTERM */
    SUPERVISE_PROXY_KILL,
    SUPERVISE_READY, /* the first list is in place */
    SUPERVISE_END,   /* with `code` */
};

enum supervise_content {                         /* what the file has to hold */
                         SUPERVISE_AS_IT_IS = 0, /* nothing is known yet */
                         SUPERVISE_DENY,         /* nothing is approved */
                         SUPERVISE_LIST,
                         SUPERVISE_GONE, /* no file */
};

struct supervise_told { /* somebody who is told of changes */
    bool due, busy;
    unsigned fails;
    int64_t at_ms; /* when due */
};

struct supervise {
    struct supervise_policy policy;
    struct ms_buf deny, list; /* texts */
    struct ms_buf disk;       /* what the file holds, when on_disk */
    bool on_disk, absent;

    /* the file */
    enum supervise_content want;
    bool dirty;             /* the file is not yet as it has to be */
    bool failed;            /* the last attempt to make it so did */
    bool remove;            /* it has to go, because it cannot be replaced */
    int64_t again_ms;       /* when dirty */
    int64_t deadline_ms;    /* from here on what it holds must not stand */
    bool approved;          /* a list was written */
    bool told_ready, begun; /* SUPERVISE_READY was said; somebody was told of the first content */
    struct supervise_words words, disk_words; /* of `want`; of what was told last */

    /* the daemon */
    bool connected;     /* its stream is there */
    bool lapsed;        /* denied by us and not by it: it may tell no more, so we ask */
    bool fetching;      /* an event came whose list we do not have */
    bool quiet, untold; /* it is the same but for its end; nobody was told of what is in place */
    int64_t fetch_until_ms; /* then the old list goes */
    int64_t next_deadline_ms;
    struct supervise_words next_words;
    int64_t asked_ms;
    unsigned ask_fails;

    /* who is told */
    struct supervise_told command, signal;
    int64_t kill_ms; /* of a command */

    /* the proxy */
    enum { SUPERVISE_PROXY_OFF = 0, SUPERVISE_PROXY_ON, SUPERVISE_PROXY_ENDING } proxy;
    bool proxy_old; /* runs with what was in the file before */
    bool proxy_ever;
    int64_t proxy_ms; /* off: start then; on: since; ending: kill then */
    unsigned proxy_fails;
    uint32_t random;

    bool stopping, hurry;
    int code;
};

/* deny  the profile's form of "nothing is approved"; copied. now_ms  the start. MS_ERR_MEMORY,
 * MS_ERR_LIMIT; supervise_done all the same. */
MS_MUST_USE enum ms_err supervise_init(struct supervise *s, const struct supervise_policy *policy,
                                       struct ms_span deny, int64_t now_ms);
void supervise_done(struct supervise *s);

/* What there is to be done now; SUPERVISE_END comes last and stays. */
enum supervise_act supervise_next(struct supervise *s, int64_t now_ms);
/* When supervise_next may say more without anything having been reported; SUPERVISE_NEVER. */
int64_t supervise_wake(const struct supervise *s, int64_t now_ms);
/* What SUPERVISE_WRITE has to write. */
struct ms_span supervise_text(const struct supervise *s);
/* How long a question may take, so that what else is due is not late. */
int64_t supervise_ask_ms(const struct supervise *s, int64_t now_ms, int64_t most_ms);
/* The delay before the attempt after `fails` failures: doubles from min_ms up to max_ms. */
int64_t supervise_backoff(int64_t min_ms, int64_t max_ms, unsigned fails);

/* ---- what happened ---- */
/* At the start: the file holds this already, with the mode it has to have. */
void supervise_found(struct supervise *s, struct ms_span text);
/* The stream of the daemon began, or ended. */
void supervise_connected(struct supervise *s, bool connected);
/* The daemon cannot be asked, and what the file holds is not of this run: it goes. reason  words */
void supervise_unknown(struct supervise *s, int64_t now_ms, const char *reason);
/* The daemon tells its state. served  it has a list, which holds until deadline_ms; otherwise
 * nothing may be served. change  of meaning: without a file this is what is told. */
void supervise_event(struct supervise *s, int64_t now_ms, bool served, bool change,
                     int64_t deadline_ms, const struct supervise_words *words);
/* A question about the state was answered: what is in the file holds until deadline_ms. When it is
 * denied the answer counts as an event. */
void supervise_confirmed(struct supervise *s, int64_t now_ms, int64_t deadline_ms,
                         const struct supervise_words *words);
/* A question about the state has no answer. */
void supervise_asked(struct supervise *s, int64_t now_ms);
/* The list of the last event. */
void supervise_list(struct supervise *s, int64_t now_ms, struct ms_span text);
/* It cannot be had. final  the daemon said why, so asking soon again is of no use */
void supervise_no_list(struct supervise *s, int64_t now_ms, bool final, const char *reason);
void supervise_wrote(struct supervise *s, int64_t now_ms, bool ok, const char *reason);
void supervise_removed(struct supervise *s, int64_t now_ms, bool ok);
void supervise_ran(struct supervise *s, int64_t now_ms, bool started);
void supervise_run_ended(struct supervise *s, int64_t now_ms, bool ok);
void supervise_signalled(struct supervise *s, int64_t now_ms, bool ok);
/* !ok  it cannot be executed; when it never could, that ends us with failed_code */
void supervise_proxy_started(struct supervise *s, int64_t now_ms, bool ok, int failed_code);
void supervise_proxy_ended(struct supervise *s, int64_t now_ms);
/* End, with what on_exit says in the file; a second time: at once. */
void supervise_stop(struct supervise *s, int64_t now_ms);
/* End because nothing can be found out: the file approves nothing, whatever on_exit says. */
void supervise_give_up(struct supervise *s, int64_t now_ms, int code, const char *reason);

#endif
