/* resolver/daemon/fetch.h - the one place that talks to the outside: libcurl's multi interface on
 * the core's libuv loop, with the rules of ethereum.md T5, 2.1 and 6.3 for TLS, addresses, sizes,
 * times and numbers.
 *
 * Two kinds of request. GUARDED is a GET of an https location that somebody else chose: its address
 * must be global once DNS has answered, redirects stay within the origin. RPC is a POST to an
 * endpoint of our own configuration: any address, plain http to this machine, no redirects. No
 * cookies, no .netrc, no proxy from the environment, no decompression, no userinfo, HTTP/1.1 only.
 * Not thread-safe: every function and every callback is on the loop's thread. The process ignores
 * SIGPIPE. */
#ifndef MS_FETCH_H
#define MS_FETCH_H

#include "resolver/daemon/fetch_net.h"
#include "resolver/source/source.h"

#include <uv.h>

struct fetch_config { /* pointers are borrowed until fetch_configure replaces them or fetch_free */
    int64_t timeout_ms;         /* from fetch_start to the last byte: queue, redirects and all */
    int64_t connect_timeout_ms; /* DNS, TCP and TLS */
    int64_t low_speed_bytes;    /* GUARDED: bytes a second, over low_speed_s seconds; 0: no rule */
    int64_t low_speed_s;
    size_t header_max_bytes; /* all header lines of one answer */
    uint32_t max_active;     /* transfers at once */
    uint32_t max_per_host;   /* of one host name */
    uint32_t spare;          /* of max_active never one client's */
    uint32_t spare_per_host; /* GUARDED: of max_per_host likewise */
    uint32_t max_queued;     /* that wait beyond max_active */
    uint32_t max_redirects;
    const char *ca_file; /* PEM anchors beside the system's, NULL for none */
    size_t n_permits;
    const struct net_permit *permits; /* hosts and blocks that need not be global */
    size_t n_pins;
    const struct net_pin *pins; /* HOST:PORT with a fixed address, which need not be global */
};

/* 10 s, 4 s, 1 KiB/s over 5 s, 64 KiB of header, 64 at once, 4 a host, 1024 waiting, 3 redirects;
 * one client has at most 48 at once, 3 a host, and 3/4 of the queue; no anchors, permits or pins.
 */
struct fetch_config fetch_config_default(void);

enum fetch_kind { FETCH_NONE = 0, FETCH_GUARDED, FETCH_RPC };

struct fetch_request { /* everything is copied */
    enum fetch_kind kind;
    uint32_t id;               /* comes back in the response */
    uint64_t client;           /* for whom (clients.h); 0: nobody in particular, never held up */
    const char *url;           /* spec_location.url, or config_rpc.url */
    const char *if_none_match; /* GUARDED, NULL when unconditional */
    const char *if_modified_since;
    struct ms_span body;      /* RPC: JSON, unless content_type says another */
    const char *content_type; /* RPC; NULL: application/json */
    size_t max_bytes;         /* cap of the answer's body */
};

/* Outcomes, each request in one of them; they only grow. */
struct fetch_counters {
    uint64_t started, answered, failed, cancelled;
    uint64_t failed_resolve, failed_connect, failed_tls, failed_timeout, failed_too_large,
        failed_blocked, failed_redirect, failed_overload, failed_other; /* add up to failed */
    uint64_t bytes_in;       /* body bytes received, those of failures and redirects included */
    uint32_t active, queued; /* now */
    uint32_t active_peak;
};

/* The response's memory is valid during the call. err is one of
 *   MS_OK              a complete HTTP answer, whatever its status
 *   MS_ERR_ARGUMENT    no such kind, or a control byte in a conditional header
 *   MS_ERR_URL, MS_ERR_SCHEME  not a URL this kind of request may use
 *   MS_ERR_OVERLOAD    too many wait already, or too many of this client
 *   MS_ERR_RESOLVE, MS_ERR_CONNECT, MS_ERR_TLS, MS_ERR_TIMEOUT, MS_ERR_TOO_LARGE, MS_ERR_REDIRECT
 *   MS_ERR_BLOCKED     every address of the host is refused
 *   MS_ERR_HTTP        not HTTP
 *   MS_ERR_TRUNCATED   the connection ended before the answer did
 *   MS_ERR_MEMORY, MS_ERR_INTERNAL
 * and diag says it in a sentence with host and port, never with a path or query. It may call
 * fetch_start and fetch_cancel, not fetch_free. */
typedef void fetch_fn(void *arg, const struct source_response *response);

struct fetch;

/* MS_ERR_CONFIG: ca_file cannot be read or holds no certificate, diag says why. MS_ERR_MEMORY. */
MS_MUST_USE enum ms_err fetch_new(uv_loop_t *loop, const struct fetch_config *config,
                                  struct fetch **ret_fetch, struct ms_diag *diag);
/* Other rules for requests that start from now on (those in flight keep their deadline and limits
 * of size, but the new permits and anchors judge their next connection). On error nothing changes.
 * Errors as fetch_new. */
MS_MUST_USE enum ms_err fetch_configure(struct fetch *fetch, const struct fetch_config *config,
                                        struct ms_diag *diag);

/* Send a request, or queue it. On MS_OK exactly one call of fn follows, not from within this one,
 * unless the request is cancelled; every failure but MS_ERR_MEMORY is told there. */
MS_MUST_USE enum ms_err fetch_start(struct fetch *fetch, const struct fetch_request *request,
                                    fetch_fn *fn, void *arg, uint64_t *ret_id);
/* The request is nobody's in particular from now on: another client wants its answer as well. */
void fetch_share(struct fetch *fetch, uint64_t id);
/* No call of fn follows. An id that is done or unknown is ignored. */
void fetch_cancel(struct fetch *fetch, uint64_t id);

/* Cancels everything; no callback follows. The struct itself goes once the loop has run the close
 * callbacks of its handles: run the loop until it has nothing left before uv_loop_close. NULL is
 * allowed. */
void fetch_free(struct fetch *fetch);

void fetch_count(const struct fetch *fetch, struct fetch_counters *ret_counters);

#endif
