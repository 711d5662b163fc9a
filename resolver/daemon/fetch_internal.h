/* resolver/daemon/fetch_internal.h - what the files of the fetcher share: fetch.c (queue and
 * outcomes), fetch_easy.c (one transfer in curl's hands), fetch_error.c (sentences), fetch_loop.c
 * (curl on libuv). */
#ifndef MS_FETCH_INTERNAL_H
#define MS_FETCH_INTERNAL_H

#include "base/buf.h"
#include "resolver/daemon/fetch.h"
#include "resolver/daemon/fetch_trust.h"

#include <curl/curl.h>

#define HEADER_VALUE_MAX 8192u /* of one field, joined */

struct list {
    struct transfer *head, *tail;
    uint32_t n;
};

struct transfer {
    struct transfer *prev, *next;
    struct list *in; /* the fetch's waiting, active or refused list */
    struct fetch *fetch;
    uint64_t id;
    enum fetch_kind kind;
    uint64_t client;
    fetch_fn *fn;
    void *arg;
    int64_t deadline_ms;
    enum ms_err refusal; /* set: never sent */

    CURL *easy;
    CURLU *url;
    bool tls;
    char *host; /* as curl sees it, lower case, IPv6 without brackets */
    uint16_t port;
    struct curl_slist *headers, *connect_to;
    struct ms_buf request_body;
    bool pinned;
    uint32_t redirects;

    /* of the answer that is coming in */
    struct ms_buf body;
    struct ms_buf fields[SOURCE_HEADER_COUNT];
    struct ms_buf location;
    size_t header_bytes;
    bool header_done, header_overflow, body_overflow, no_memory;
    bool opened;                     /* a socket was allowed */
    char refused[NET_ADDR_TEXT_MAX]; /* the last address that was not */
    char curl_error[CURL_ERROR_SIZE];

    struct source_response response;
};

struct poll { /* one socket of curl's on the loop; freed by its close callback */
    struct poll *prev, *next;
    struct fetch *fetch;
    uv_poll_t uv;
    curl_socket_t socket;
};

struct fetch {
    uv_loop_t *loop;
    struct fetch_config config;
    struct fetch_trust *trust;
    CURLM *multi;
    uv_timer_t curl_timer;  /* when curl wants to be called */
    uv_timer_t queue_timer; /* refusals to tell, and the first deadline in the queue */
    uint32_t handles;       /* uv handles that are not closed yet */
    bool closing, in_callback;
    struct poll *polls;
    struct list waiting, active, refused;
    uint64_t last_id;
    struct fetch_counters counters;
};

/* Not uv_now: the loop's time is that of the turn's beginning, and a request must not lose what the
 * turn took before it. */
static inline int64_t fetch_now_ms(void)
{
    return (int64_t)(uv_hrtime() / 1000000);
}

/* fetch.c: curl has worked; tell what is done and start what may. */
void fetch_reap(struct fetch *fetch);

/* fetch_easy.c: read and judge a request's URL, headers and pin; diag in the response. */
enum ms_err transfer_prepare(struct transfer *t, const struct fetch_request *request);
/* Hand the transfer to curl, for the first time or after a redirect. MS_ERR_TIMEOUT when no time is
 * left. */
enum ms_err transfer_launch(struct transfer *t);
/* Go where the answer redirects to, within the origin; MS_ERR_REDIRECT with the reason otherwise.
 */
enum ms_err transfer_follow(struct transfer *t);

/* fetch_error.c: curl's code as ours, with its sentence. */
enum ms_err transfer_error(struct transfer *t, CURLcode code);

/* fetch_loop.c: let curl use the loop; close all handles, the last of which frees the struct. */
void fetch_loop_init(struct fetch *fetch);
void fetch_loop_close(struct fetch *fetch);

#endif
