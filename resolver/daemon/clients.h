/* resolver/daemon/clients.h - who asks, and how much of what all share each of them holds.
 *
 * A client is a user: everybody who connects to a Unix socket with one uid (SO_PEERCRED) is one
 * client, and all of loopback TCP, which tells no uid, is one more. What a client takes it gives
 * back; at its limit it is refused, so that one client cannot starve another (ethereum.md T12).
 * CLIENT_NONE, the daemon itself and the operator on admin.sock, is counted but never refused.
 * Thread-safe by one lock, which no hit takes. No I/O. */
#ifndef MS_DAEMON_CLIENTS_H
#define MS_DAEMON_CLIENTS_H

#include "base/buf.h"
#include "base/json.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* A client's name: 0, 1 + uid, or CLIENT_TCP. */
#define CLIENT_NONE UINT64_C(0)
#define CLIENT_TCP (UINT64_C(1) << 33)
#define CLIENT_REPLIES_MAX 16u /* pages of the operator that wait for the loop thread */

static inline uint64_t client_of_uid(uid_t uid)
{
    return (uint64_t)(uint32_t)uid + 1;
}

/*      share               name           what it is, for words to a person */
#define CLIENT_SHARE_MAP(X)                                                 \
    X(CLIENT_CONNECTIONS, "connections", "connections open")                \
    X(CLIENT_WAITING, "waiting", "requests waiting")                        \
    X(CLIENT_WATCHERS, "watchers", "watchers connected")                    \
    X(CLIENT_RESOLUTIONS, "resolutions", "specifiers being resolved")       \
    X(CLIENT_REPLIES, "replies", "requests for status and metrics waiting") \
    X(CLIENT_ENTRIES, "entries", "entries in memory") /* unlimited: see clients_largest */

enum client_share {
#define CLIENT_SHARE_ENUM(share, name, text) share,
    CLIENT_SHARE_MAP(CLIENT_SHARE_ENUM)
#undef CLIENT_SHARE_ENUM
        CLIENT_SHARES
};
/* "connections". Static storage. */
const char *client_share_name(enum client_share share);

struct client_limits {
    uint32_t max[CLIENT_SHARES]; /* 0: unlimited */
};

struct clients;

/* NULL: out of memory. */
struct clients *clients_new(const struct client_limits *limits);
void clients_free(struct clients *clients);
/* What is held already beyond a lowered limit stays. */
void clients_set_limits(struct clients *clients, const struct client_limits *limits);

/* One more of this share; MS_ERR_QUOTA, counted and with the limit in diag, when the client holds
 * as many as it may. MS_ERR_MEMORY. Without clients (NULL) everything is granted. */
MS_MUST_USE enum ms_err clients_take(struct clients *clients, uint64_t client,
                                     enum client_share share, struct ms_diag *diag);
/* As often as it was taken. */
void clients_give(struct clients *clients, uint64_t client, enum client_share share);

/* The client that holds the most of a share, and how many (NULL is fine); CLIENT_NONE and 0 when
 * nobody holds any, and without clients. */
uint64_t clients_largest(struct clients *clients, enum client_share share, size_t *ret_held);

/* [{"uid":1000,"connections":3,...}], at most `max`; new reference. */
json_t *clients_json(struct clients *clients, size_t max);
/* Prometheus text, appended: refusals by share, and how many clients there are. */
void clients_metrics_render(struct clients *clients, struct ms_buf *out);

#endif
