/* resolver/daemon/http.h - the HTTP API of interface.md on libmicrohttpd, over listening sockets of
 * ours.
 *
 * Workers answer from published answers without a lock; what is not published is asked of the core
 * while the connection is suspended. */
#ifndef MS_DAEMON_HTTP_H
#define MS_DAEMON_HTTP_H

#include "resolver/daemon/accept.h"
#include "resolver/daemon/clients.h"
#include "resolver/daemon/config.h"
#include "resolver/daemon/identity.h"
#include "resolver/daemon/loop.h"
#include "resolver/daemon/reader.h"

#define HTTP_BODY_MAX_BYTES 65536u
#define HTTP_LOOP_STALL_MS 5000 /* healthz: the loop must have turned within this */

struct http;
struct backfill;

struct http_env {
    struct loop *loop;
    struct core *core;
    struct table *table;
    struct clients *clients;
    struct acceptor *acceptor;
    const struct identity *identity; /* signs decisions; NULL: they are not signed */
    struct reader *reader;
    struct backfill *backfill;
    /* Loop thread: status text (JSON) and metrics text, appended to out. */
    void (*status)(void *arg, struct ms_buf *out);
    void (*metrics)(void *arg, struct ms_buf *out);
    void *arg;
};

MS_MUST_USE enum ms_err http_new(const struct http_env *env, struct http **ret_http);

/* Serve a listening socket (moved) once the acceptor runs. On admin.sock refresh is allowed. */
MS_MUST_USE enum ms_err http_listen(struct http *http, int fd, enum accept_kind kind,
                                    unsigned threads);

/* The configuration in force: alias table, EIP-55, policy level. Borrowed; the caller frees the one
 * it replaces with http_config_retired, after which no worker uses it. */
void http_set_config(struct http *http, const struct config *config);
void http_wait_readers(void);

/* Loop thread, a few times a second: keep-alives of watchers, the sign of life. */
void http_tick(struct http *http);
void http_set_ready(struct http *http, bool ready);

/* Loop thread: end all watchers' streams; clients connect again. */
void http_end_streams(struct http *http);

/* Shutdown, on the loop thread: no new waiting; ends watchers. Then run the loop until http_idle.
 */
void http_stop_waiting(struct http *http);
bool http_idle(const struct http *http);
/* Nobody waits for the loop thread. MHD ends the process when it is stopped with suspended
 * connections. */
bool http_may_close(const struct http *http);
/* Stops the daemons and joins their threads; only when http_may_close. Run loop_run_posted
 * afterwards, then http_free. */
void http_close(struct http *http);
void http_free(struct http *http);

#endif
