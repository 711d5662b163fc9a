/* resolver/daemon/accept.h - connections come in: one thread accepts for all listening sockets,
 * asks the kernel who connects, and hands the connection on while its user and the daemon have
 * room.
 *
 * Descriptors that the database and the fetcher need are never given to clients: connections are
 * counted, and at the most there may be the sockets are not looked at until one is closed. When
 * accept(2) itself finds none left (EMFILE, ENFILE), it is tried again after a rest, ten times a
 * second, without a busy loop. Who has too many open is told so (429, Retry-After) and closed.
 * acceptor_closed may be called from any thread, the rest from one. */
#ifndef MS_DAEMON_ACCEPT_H
#define MS_DAEMON_ACCEPT_H

#include "resolver/daemon/clients.h"

#define ACCEPT_LISTENERS_MAX 4u
#define ACCEPT_ADMIN_MAX 64u /* connections on admin.sock: beside those of all others */

enum accept_kind { ACCEPT_UNIX = 0, ACCEPT_TCP, ACCEPT_ADMIN, ACCEPT_FEED };

struct acceptor;

/* `max` connections beside admin.sock's, descriptors below `max_fd`. `take` gets a connection
 * (moved) on the acceptor's thread; false: it could not, and has closed it.
 * MS_ERR_MEMORY, MS_ERR_IO: no thread or no eventfd. */
MS_MUST_USE enum ms_err acceptor_new(struct clients *clients, uint32_t max, uint32_t max_fd,
                                     struct acceptor **ret_acceptor);
/* Accept on a listening socket (borrowed until acceptor_stop). Before acceptor_start. Those of
 * ACCEPT_FEED are told in the feed's own words that they have too many open. MS_ERR_LIMIT. */
MS_MUST_USE enum ms_err acceptor_listen(struct acceptor *acceptor, int fd, enum accept_kind kind,
                                        bool (*take)(void *arg, int fd), void *arg);
MS_MUST_USE enum ms_err acceptor_start(struct acceptor *acceptor);
/* Accepts no more and joins the thread; harmless twice. */
void acceptor_stop(struct acceptor *acceptor);
/* After the last acceptor_closed. NULL is fine. */
void acceptor_free(struct acceptor *acceptor);

/* Whose connection this is. */
uint64_t acceptor_client(const struct acceptor *acceptor, int fd);
/* It is about to be closed; once for each connection taken. */
void acceptor_closed(struct acceptor *acceptor, int fd);

struct accept_counts {
    uint32_t open, max;
};
void acceptor_count(struct acceptor *acceptor, struct accept_counts *ret_counts);

#endif
