/* resolver/daemon/feed.h - the feed: sealed snapshots pushed to subscribers (docs/feed.md).
 *
 * A thread of its own reads what subscribers say, builds snapshots and sends them, so that neither
 * many of them nor hostile ones hold up the core. What it needs of the core goes through jobs on
 * the loop thread; what the core publishes comes back through a mailbox that keeps the newest. */
#ifndef MS_DAEMON_FEED_H
#define MS_DAEMON_FEED_H

#include "resolver/daemon/accept.h"
#include "resolver/daemon/clients.h"
#include "resolver/daemon/config.h"
#include "resolver/daemon/loop.h"

struct feed;

struct feed_env {
    struct loop *loop;
    struct core *core;
    struct clients *clients;
    struct acceptor *acceptor;
    const struct config *config; /* borrowed until feed_free, as those of feed_set_config */
};

/* MS_ERR_MEMORY; MS_ERR_IO: no thread, or no descriptor for it. */
MS_MUST_USE enum ms_err feed_new(const struct feed_env *env, struct feed **ret_feed);
/* Serve a listening SOCK_SEQPACKET socket (moved) once the acceptor runs. */
MS_MUST_USE enum ms_err feed_listen(struct feed *feed, int fd);

/* Loop thread. New subscriptions are read by this configuration, and everybody is told to come
 * again. */
void feed_set_config(struct feed *feed, const struct config *config);
/* Loop thread: everybody is told to come again, and nobody is let in. */
void feed_stop(struct feed *feed);
/* Joins the thread and closes everything. The acceptor must not run any more. Run loop_run_posted
 * afterwards, then feed_free before core_free. NULL is fine for both. */
void feed_close(struct feed *feed);
void feed_free(struct feed *feed);

struct feed_counts {
    uint32_t connections, subscriptions, topics;
};
void feed_count(const struct feed *feed, struct feed_counts *ret_counts);

#endif
