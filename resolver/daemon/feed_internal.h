/* resolver/daemon/feed_internal.h - what the files of the feed share. */
#ifndef MS_DAEMON_FEED_INTERNAL_H
#define MS_DAEMON_FEED_INTERNAL_H

#include "resolver/daemon/feed.h"
#include "resolver/daemon/feed_message.h"

#include <pthread.h>

#define FEED_BUCKETS 16384u /* of topics and of subscriptions, chained */
#define FEED_OPEN_MAX                                                                             \
    128u                         /* snapshots whose descriptor stays open between sendings; twice \
                                    as many when subscribers do not read */
#define FEED_SEND_AT_ONCE 64u    /* packets to one connection before the others have their turn */
#define FEED_READ_AT_ONCE 4u     /* packets of one connection, likewise */
#define FEED_ERRORS_MAX 64u      /* waiting to be sent on one connection */
#define FEED_HELLO_MS 10000      /* a connection that has not said HELLO is closed */
#define FEED_STUCK_MS 60000      /* as is one that does not read what waits for it */
#define FEED_WINDOW_SLACK_MS 100 /* the two clocks are not read at the same instant */
#define FEED_BURST 32768         /* messages of one client, weighed */
#define FEED_REFILL_PER_S 16384
#define FEED_UNREAD_MAX 4096u /* snapshots that lie unread, of one client */
#define FEED_PATIENCE_MS \
    250 /* with a snapshot that cannot be sent, before the old one is withdrawn */
#define FEED_WEIGHT_BYTES 64u /* of text cost as much as a message */

struct feed_conn;

/* What the core has published of one entry; made on the loop thread, then the feed thread's. */
struct feed_publication {
    struct shared_result *shared; /* NULL: nothing may be served */
    struct snapshot_window *windows;
    enum entry_state state;
    uint64_t sequence;
    int64_t fresh_until_ms, serve_until_ms, checked_boot_ms, published_ms;
    enum ms_err err; /* the entry could not be followed; nothing else is set then */
    struct ms_diag diag;
};

/* One entry as some subscribers see it: those with the same seq= and max-age=, and where it matters
 * the same host, or the same bytes. */
struct feed_topic {
    struct feed *feed;
    struct answer_id id;
    uint64_t min_sequence;
    int64_t max_age_s;
    bool has_bytes; /* an inline list; `sha256:` of it is the same entry, and needs these */
    char *host;     /* of a signer set: one more place where it may be found; or NULL */
    /* the loop thread's */
    struct core_watcher watcher;
    struct spec *spec;              /* until `begin` gave it to the core */
    struct feed_publication *spare; /* for when there is no memory */
    struct loop_job begin, end;
    /* guarded by feed->lock */
    struct feed_publication *mail; /* the newest, not yet taken; NULL: none */
    struct feed_topic *next_mail;
    bool in_mail, ended; /* in the list of those with mail; nobody watches any more */
    struct feed_topic *next_all, *prev_all;
    /* the feed thread's */
    struct feed_topic *next_bucket;
    struct feed_publication *now;   /* NULL: nothing heard yet */
    int fd;                         /* sealed snapshot of `now`; -1: none at hand */
    uint64_t generation, bytes;     /* of that snapshot, or of the last one */
    struct feed_renew built, times; /* state and both ends: in that snapshot, and now */
    struct feed_sub *subs;
    size_t n_unsent; /* of them */
};

struct feed_sub {
    struct feed_conn *conn;
    uint32_t number;
    struct feed_topic *topic;
    struct feed_sub *next_bucket;
    struct feed_sub *next_topic, *prev_topic;
    struct feed_sub *next_conn, *prev_conn;
    struct feed_sub *next_unsent, *prev_unsent;
    bool unsent;            /* in the connection's list */
    bool again;             /* once more after this */
    int64_t resting_ms;     /* since when it could not be sent its snapshot; 0: it could */
    bool outdated;          /* it has no snapshot, or one of another set */
    uint64_t generation;    /* of the snapshot that it has; 0: none */
    struct feed_renew sent; /* the times that it was told */
};

struct feed_error_out {
    struct feed_error_out *next;
    size_t bytes;
    uint8_t packet[FEED_ERROR_PACKET_BYTES];
};

/* What a user may still say; shared by all its connections. */
struct feed_purse {
    struct feed_purse *next;
    uint64_t client;
    int64_t tokens, filled_ms, eased_ms;
    size_t conns;
    size_t unread, seen; /* snapshots sent and perhaps not received; on connections that are open */
};

struct feed_conn {
    int fd;
    uint64_t client, serial;
    struct feed_purse *purse;
    bool welcomed, closing; /* closing: what is left to say is said, then it is closed */
    bool paced, blocked;    /* not read for want of tokens; not writable */
    bool resting;           /* not sent to before the next tick */
    int64_t since_ms; /* when it came, later: when something was last sent or nothing waited */
    size_t n_subs, n_errors, unread; /* as the purse's */
    struct feed_sub *subs;
    struct feed_sub *unsent, *unsent_last; /* in the order in which they are served */
    struct feed_error_out *errors, **errors_tail;
    struct feed_conn *next, *prev;
    struct feed_conn *next_flush;
    bool in_flush;
};

struct feed_arrival {
    struct feed_arrival *next;
    int fd;
    uint64_t client;
};

struct feed {
    struct feed_env env;
    _Atomic(const struct config *) config;
    pthread_t thread;
    int epoll, wake, listener;
    bool running;  /* whoever made it */
    uint64_t seed; /* random: where subscriptions lie in their table, and of hash tables */
    atomic_uint n_connections, n_subscriptions, n_topics;
    atomic_bool has_mail, come_again, stopping, quit;

    pthread_mutex_t lock;
    struct feed_topic *mail, **mail_tail; /* topics with mail, in order */
    struct feed_topic *topics;            /* all of them */
    struct feed_arrival *arrivals;

    /* the feed thread's */
    int64_t now_ms;
    uint64_t generation, serial;
    bool resting;  /* somebody is not sent to before the next tick */
    size_t n_open; /* snapshots with a descriptor */
    struct feed_topic *topic_buckets[FEED_BUCKETS];
    struct feed_sub *sub_buckets[FEED_BUCKETS];
    struct feed_conn *conns, *flush;
    struct feed_purse *purses;
    uint8_t packet[FEED_MESSAGE_MAX_BYTES + 1];
};

/* ---- feed_topic.c ---- */

/* Feed thread. The topic of a specifier, made and watched if there is none; takes spec. NULL: out
 * of memory. */
struct feed_topic *feed_topic_get(struct feed *feed, const struct answer_id *id, struct spec *spec,
                                  uint64_t client);
void feed_topic_add(struct feed_topic *topic, struct feed_sub *sub);
/* The last one to leave ends the topic. */
void feed_topic_remove(struct feed_topic *topic, struct feed_sub *sub);
/* Take in what the core has published, and note who is to be told of it. */
void feed_topics_take_mail(struct feed *feed);
/* The snapshot to send, made if it is not at hand; -1: it can't be made now. */
int feed_topic_snapshot(struct feed_topic *topic);
/* One was sent. */
void feed_topic_rest(struct feed_topic *topic);
void feed_topics_free(struct feed *feed);
/* Whether a reader that was told the ones is to be told the others. */
bool feed_times_moved(const struct feed_renew *sent, const struct feed_renew *now, int64_t now_ms);

/* ---- feed.c ---- */

/* Something is to be sent to a subscriber. */
void feed_sub_mark(struct feed_sub *sub);
/* Say why there is no such subscription (any more), and forget it. */
void feed_sub_fail(struct feed_sub *sub, enum ms_err err, const struct ms_diag *diag);
void feed_wake(struct feed *feed);

#endif
