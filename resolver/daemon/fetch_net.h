/* resolver/daemon/fetch_net.h - network addresses as policy sees them: which are global, which the
 * operator permits, which HOST:PORT is pinned, and what a URL in the configuration may look like.
 * Pure: text and sockaddrs in, verdicts out; no look-ups. Thread-safe. */
#ifndef MS_FETCH_NET_H
#define MS_FETCH_NET_H

#include "base/arena.h"
#include "base/err.h"
#include "base/span.h"

#include <netinet/in.h>
#include <sys/socket.h>

#define NET_HOST_MAX 253u     /* characters of a name, RFC 1035 3.1 without the final dot */
#define NET_ADDR_TEXT_MAX 80u /* "[IPv6%zone]:port" and a NUL */

/* An IPv4 or IPv6 address with a port (host order; 0 when none was given). */
struct net_addr {
    bool v6;
    uint8_t b[16]; /* the first 4 when not v6; network order */
    uint16_t port;
};

/* One item of [fetch] allow-private: a block or a host name. */
struct net_permit {
    const char *host; /* lower case; NULL for a block */
    struct net_addr block;
    unsigned prefix; /* bits of block that count */
};

/* One item of [fetch] resolve. */
struct net_pin {
    const char *host; /* lower case */
    uint16_t port;
    struct net_addr addr; /* its port is `port` */
};

/* What a configured URL says, taken apart. */
struct net_url {
    bool tls;            /* https */
    struct ms_span host; /* as written, IPv6 without brackets; points into the URL */
    uint16_t port;
};

/* Whether the whole internet can be at this address: false for everything in IANA's special-purpose
 * registries (RFC 6890), for IPv6 outside 2000::/3, and for families other than AF_INET and
 * AF_INET6. An IPv4 address inside NAT64's 64:ff9b::/96 (RFC 6052) is judged by itself, since that
 * is where the packet goes; all other embeddings (mapped, compatible, 6to4, Teredo) are refused. */
bool net_addr_is_global(const struct sockaddr *addr);
/* Whether it is this machine: 127.0.0.0/8 or ::1. */
bool net_addr_is_loopback(const struct sockaddr *addr);

/* False when the family is neither AF_INET nor AF_INET6. IPv4-mapped IPv6 gives IPv4. */
bool net_addr_from_sockaddr(const struct sockaddr *addr, struct net_addr *ret_addr);
/* The length of the sockaddr written. */
socklen_t net_addr_to_sockaddr(const struct net_addr *addr, struct sockaddr_storage *ret_addr);
/* "192.0.2.1" or "2001:db8::1", without the port. */
void net_addr_text(const struct net_addr *addr, char out[NET_ADDR_TEXT_MAX]);

/* An IPv4 or IPv6 literal, the latter with or without brackets; no zone. port is 0.
 * MS_ERR_SYNTAX otherwise. */
MS_MUST_USE enum ms_err net_addr_parse(struct ms_span text, struct net_addr *ret_addr);
/* LITERAL:PORT, IPv6 in brackets; loopback only.
 * MS_ERR_SYNTAX no such literal; MS_ERR_RANGE the port; MS_ERR_BLOCKED not a loopback address. */
MS_MUST_USE enum ms_err net_listen_parse(struct ms_span text, struct net_addr *ret_addr,
                                         struct ms_diag *diag);
/* A CIDR block (its host bits must be zero), an address, or a host name, copied to arena.
 * MS_ERR_SYNTAX, MS_ERR_RANGE the prefix, MS_ERR_NONCANONICAL bits behind the prefix,
 * MS_ERR_MEMORY. */
MS_MUST_USE enum ms_err net_permit_parse(struct ms_span text, struct ms_arena *arena,
                                         struct net_permit *ret_permit, struct ms_diag *diag);
/* HOST:PORT:ADDRESS. MS_ERR_SYNTAX, MS_ERR_RANGE the port, MS_ERR_MEMORY. */
MS_MUST_USE enum ms_err net_pin_parse(struct ms_span text, struct ms_arena *arena,
                                      struct net_pin *ret_pin, struct ms_diag *diag);
/* An RPC endpoint: https, or http when the host is 127.0.0.0/8, [::1] or localhost; no userinfo, no
 * fragment, printable ASCII. The diag never quotes the URL: it may hold a key.
 * MS_ERR_SCHEME, MS_ERR_URL. */
MS_MUST_USE enum ms_err net_rpc_url_parse(struct ms_span text, struct net_url *ret_url,
                                          struct ms_diag *diag);

/* Whether `host` (any case) or the address is listed. */
bool net_permits(const struct net_permit *permits, size_t n, const char *host,
                 const struct net_addr *addr);
/* The pin of host (any case) and port, or NULL. */
const struct net_pin *net_pin_find(const struct net_pin *pins, size_t n, const char *host,
                                   uint16_t port);

#endif
