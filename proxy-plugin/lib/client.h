/* proxy-plugin/lib/client.h - what the files of the client share. All of it belongs to the pump's
 * thread, but for the members that say otherwise. */
#ifndef MEASURED_LIB_CLIENT_H
#define MEASURED_LIB_CLIENT_H

#include "include/measured/measured.h"
#include "proxy-plugin/lib/mapped.h"
#include "proxy-plugin/lib/protocol.h"

#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/un.h>

/* What measured.h declares; all else stays inside the shared library. */
#define PLUG_EXPORT __attribute__((visibility("default")))

#define PLUG_WAIT_FIRST_MS \
    1000 /* before connecting again: uniform in 0 to this, then to twice as much, */
#define PLUG_WAIT_MAX_MS 5000 /* at most this (docs/feed.md, Restart) */
#define PLUG_STANDS_MS 5000   /* a connection that stood so long was no failure: waits begin anew */
#define PLUG_WELCOME_MS 10000 /* for the daemon to answer HELLO */
#define PLUG_CLOCK_SLACK_MS 50 /* docs/feed.md, The clock */
#define PLUG_ASK_AGAIN_MS \
    30000 /* what was refused (a quota, perhaps) is asked again after 1 to 2 of these */
#define PLUG_RECLAIM_MS 50    /* between looks while something is to be freed */
#define PLUG_PUMP_MESSAGES 64 /* taken in by one pump, */
#define PLUG_PUMP_BYTES \
    ((uint64_t)4 << 20) /* or snapshots of so many bytes and the one that exceeds it */
#define PLUG_PUMP_SENDS 256

struct measured {
    struct plug_reclaim reclaim; /* its counters are any thread's */

    struct sockaddr_un address;
    int epoll_fd; /* what callers poll; in it the other two */
    int timer_fd; /* CLOCK_BOOTTIME */
    int sock;     /* -1: down */
    bool welcomed, wants_out;
    int down_errno;                    /* why, while it is down */
    int64_t retry_at_ms;               /* while it is down */
    int64_t wait_max_ms;               /* of the next wait */
    int64_t hello_at_ms;               /* while it is up: when it connected, */
    int64_t welcomed_at_ms;            /* and was welcomed */
    int64_t ask_again_at_ms;           /* FEED_NEVER: nothing was refused */
    char said[MEASURED_ERROR_MAX + 1]; /* by the daemon against the connection */

    /* Those before n_asked have been asked for on this connection, in the order of their numbers.
     * Numbers rise and none is used twice on one connection: what is under way for a set that left
     * cannot reach another. */
    struct measured_set **sets;
    size_t n_sets, cap_sets, n_asked;
    uint32_t last_number;
    struct measured_set *leaving; /* UNSUBSCRIBE is to be sent, then they are freed */
};

struct measured_set {
    struct measured *m;
    struct plug_held *_Atomic current; /* any thread, between enter and leave */
    atomic_bool failed;                /* any thread */

    /* on this connection */
    uint32_t number; /* 0: not asked for yet */
    bool has_snapshot, refused;
    uint64_t generation; /* of the last snapshot */
    uint8_t key[32];

    struct measured_set *next_leaving;
    char error[MEASURED_ERROR_MAX + 1];
    size_t text_bytes;
    char text[];
};

/* CLOCK_BOOTTIME in ms; FEED_NEVER, at which nothing is good any more, when it cannot be read. */
int64_t plug_boot_ms(void);
void plug_set_free(struct measured_set *set);
/* Let the descriptor become readable at once, so that the pump is called. */
void plug_wake(struct measured *m);

/* ---- connection.c ---- */

/* Connect and say HELLO. On failure it is down, with its reason and the time of the next try. */
void plug_connect(struct measured *m);
/* Take the connection down and choose the time of the next try. */
void plug_drop(struct measured *m, int err);
/* Ask for what is to be asked for, as far as the socket takes it. */
void plug_send_waiting(struct measured *m);
/* Sets that were refused are to be asked for again. */
void plug_ask_again(struct measured *m);
/* Take in a bounded part of what has come. */
void plug_receive(struct measured *m);

#endif
