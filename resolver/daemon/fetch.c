/* resolver/daemon/fetch.c - transfers: queue, limits, rules, outcomes. */
#define _GNU_SOURCE
#include "resolver/daemon/fetch.h"

#include "base/buf.h"
#include "base/digest.h"
#include "resolver/daemon/fetch_trust.h"

#include <assert.h>
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

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
    bool opened;                       /* a socket was allowed */
    char refused[NET_ADDR_TEXT_MAX];   /* the last address that was not */
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

/* Lower case, as in source_header_name. */
static const char *const field_names[SOURCE_HEADER_COUNT] = {
    [SOURCE_HEADER_CACHE_CONTROL] = "cache-control",
    [SOURCE_HEADER_EXPIRES] = "expires",
    [SOURCE_HEADER_DATE] = "date",
    [SOURCE_HEADER_AGE] = "age",
    [SOURCE_HEADER_ETAG] = "etag",
    [SOURCE_HEADER_LAST_MODIFIED] = "last-modified",
    [SOURCE_HEADER_VARY] = "vary",
    [SOURCE_HEADER_CONTENT_TYPE] = "content-type",
    [SOURCE_HEADER_RETRY_AFTER] = "retry-after",
};

struct fetch_config fetch_config_default(void)
{
    return (struct fetch_config){
        .timeout_ms = 10000,
        .connect_timeout_ms = 4000,
        .low_speed_bytes = 1024,
        .low_speed_s = 5,
        .header_max_bytes = 65536,
        .max_active = 64,
        .max_per_host = 4,
        .max_queued = 1024,
        .max_redirects = 3,
    };
}

/* ---- lists ---- */
static void list_add(struct list *list, struct transfer *t)
{
    t->in = list;
    t->next = NULL;
    t->prev = list->tail;
    if (list->tail != NULL)
        list->tail->next = t;
    else
        list->head = t;
    list->tail = t;
    list->n++;
}

static void list_remove(struct transfer *t)
{
    struct list *list = t->in;

    if (list == NULL)
        return;
    if (t->prev != NULL)
        t->prev->next = t->next;
    else
        list->head = t->next;
    if (t->next != NULL)
        t->next->prev = t->prev;
    else
        list->tail = t->prev;
    list->n--;
    t->in = NULL;
}

/* ---- one transfer's life ---- */
static void reset_answer(struct transfer *t)
{
    ms_buf_reset(&t->body);
    ms_buf_reset(&t->location);
    for (size_t i = 0; i < SOURCE_HEADER_COUNT; i++)
        ms_buf_reset(&t->fields[i]);
    t->header_bytes = 0;
    t->header_done = false;
}

static void transfer_free(struct transfer *t)
{
    if (t == NULL)
        return;
    if (t->easy != NULL) {
        if (t->in == &t->fetch->active)
            (void)curl_multi_remove_handle(t->fetch->multi, t->easy);
        curl_easy_cleanup(t->easy);
    }
    list_remove(t);
    curl_url_cleanup(t->url);
    curl_slist_free_all(t->headers);
    curl_slist_free_all(t->connect_to);
    free(t->host);
    ms_buf_done(&t->request_body);
    ms_buf_done(&t->body);
    ms_buf_done(&t->location);
    for (size_t i = 0; i < SOURCE_HEADER_COUNT; i++)
        ms_buf_done(&t->fields[i]);
    free(t);
}

static void count_outcome(struct fetch_counters *c, enum ms_err err)
{
    uint64_t *outcome = &c->failed_other;

    if (err == MS_OK) {
        c->answered++;
        return;
    }
    c->failed++;
    if (err == MS_ERR_RESOLVE)
        outcome = &c->failed_resolve;
    else if (err == MS_ERR_CONNECT)
        outcome = &c->failed_connect;
    else if (err == MS_ERR_TLS)
        outcome = &c->failed_tls;
    else if (err == MS_ERR_TIMEOUT)
        outcome = &c->failed_timeout;
    else if (err == MS_ERR_TOO_LARGE)
        outcome = &c->failed_too_large;
    else if (err == MS_ERR_BLOCKED)
        outcome = &c->failed_blocked;
    else if (err == MS_ERR_REDIRECT)
        outcome = &c->failed_redirect;
    else if (err == MS_ERR_OVERLOAD)
        outcome = &c->failed_overload;
    ++*outcome;
}

/* Tell the outcome and free. response.diag is filled when err is set. */
static void complete(struct transfer *t, enum ms_err err)
{
    struct fetch *fetch = t->fetch;
    struct source_response *response = &t->response;
    struct timespec now = {0};

    response->err = err;
    if (err == MS_OK) {
        for (size_t i = 0; i < SOURCE_HEADER_COUNT; i++)
            if (t->fields[i].ptr != NULL && t->fields[i].len > 0)
                response->header[i] = ms_buf_str(&t->fields[i]);
        response->body = ms_buf_span(&t->body);
    } else {
        (void)ms_diag_set(&response->diag, err, "%s", ms_err_text(err));
        response->status = 0;
    }
    (void)clock_gettime(CLOCK_REALTIME, &now);
    response->time_s = now.tv_sec;
    count_outcome(&fetch->counters, err);
    if (t->in == &fetch->active)
        (void)curl_multi_remove_handle(fetch->multi, t->easy);
    list_remove(t); /* so that the callback cannot cancel what is being told */
    fetch->in_callback = true;
    t->fn(t->arg, response);
    fetch->in_callback = false;
    transfer_free(t);
}

/* ---- what curl calls while it reads ---- */
static size_t on_body(char *bytes, size_t size, size_t n, void *arg)
{
    struct transfer *t = arg;
    size_t len = size * n; /* size is 1, says CURLOPT_WRITEFUNCTION */

    t->header_done = true;
    t->fetch->counters.bytes_in += len;
    enum ms_err err = ms_buf_add(&t->body, ms_span_of(bytes, len));
    t->body_overflow = err == MS_ERR_LIMIT;
    t->no_memory = err == MS_ERR_MEMORY;
    return err == MS_OK ? len : CURL_WRITEFUNC_ERROR;
}

static struct ms_span trim(struct ms_span text)
{
    while (text.len > 0 && (text.ptr[0] == ' ' || text.ptr[0] == '\t'))
        text = ms_span_sub(text, 1, text.len);
    while (text.len > 0 && strchr(" \t\r\n", text.ptr[text.len - 1]) != NULL)
        text.len--;
    return text;
}

/* Keep a field we know; a field too long for its buffer is dropped whole, which is what an absent validator
 * or lifetime means too. */
static void keep_field(struct transfer *t, struct ms_span name, struct ms_span value)
{
    if (memchr(value.ptr, '\0', value.len) != NULL)
        return;
    if (ms_span_eq_str_nocase(name, "location") && t->location.len == 0)
        (void)ms_buf_add(&t->location, value);
    for (size_t i = 0; i < SOURCE_HEADER_COUNT; i++) {
        if (!ms_span_eq_str_nocase(name, field_names[i]))
            continue;
        if (t->fields[i].len > 0)
            (void)ms_buf_add_str(&t->fields[i], ", "); /* RFC 9110 5.3 */
        if (ms_buf_add(&t->fields[i], value) == MS_ERR_LIMIT)
            t->fields[i].len = 0;
    }
}

/* The certificate this answer comes under; also right on a connection that is used again. */
static void note_peer(struct transfer *t)
{
    const struct curl_tlssessioninfo *session = NULL;
    struct ms_sha256 hash;

    t->response.peer_sha256[0] = '\0';
    if (!t->tls || curl_easy_getinfo(t->easy, CURLINFO_TLS_SSL_PTR, &session) != CURLE_OK ||
        session == NULL || session->backend != CURLSSLBACKEND_OPENSSL)
        return;
    if (fetch_trust_peer(session->internals, &hash))
        ms_sha256_hex(&hash, t->response.peer_sha256);
}

static size_t on_header(char *bytes, size_t size, size_t n, void *arg)
{
    struct transfer *t = arg;
    struct ms_span line = ms_span_of(bytes, size * n), name, value;

    size_t max = t->fetch->config.header_max_bytes;
    if (t->header_bytes > max || line.len > max - t->header_bytes) {
        t->header_overflow = true;
        return 0;
    }
    t->header_bytes += line.len;
    if (t->header_done) /* a trailer */
        return line.len;
    if (ms_span_starts(line, "HTTP/")) {
        /* A new status line: forget what a 1xx before it said, but keep counting its bytes. */
        size_t before = t->header_bytes;
        reset_answer(t);
        t->header_bytes = before;
        note_peer(t);
    } else if (ms_span_cut(line, ':', &name, &value)) {
        keep_field(t, name, trim(value));
    }
    return line.len;
}

/* The guard: after DNS, with the address that would be connected to, so that neither rebinding nor odd
 * spellings of an address get past it (T5). */
static bool may_connect(const struct transfer *t, const struct sockaddr *sockaddr)
{
    const struct fetch_config *config = &t->fetch->config;
    struct net_addr addr;

    if (!net_addr_from_sockaddr(sockaddr, &addr))
        return false;
    if (t->kind == FETCH_RPC)
        return t->tls || net_addr_is_loopback(sockaddr);
    return t->pinned || net_addr_is_global(sockaddr) ||
           net_permits(config->permits, config->n_permits, t->host, &addr);
}

static curl_socket_t on_open(void *arg, curlsocktype purpose, struct curl_sockaddr *curl_addr)
{
    struct transfer *t = arg;
    struct net_addr addr;

    (void)purpose;
    if (may_connect(t, &curl_addr->addr)) {
        t->opened = true;
        return socket(curl_addr->family, curl_addr->socktype | SOCK_CLOEXEC, curl_addr->protocol);
    }
    if (net_addr_from_sockaddr(&curl_addr->addr, &addr))
        net_addr_text(&addr, t->refused);
    else
        (void)snprintf(t->refused, sizeof(t->refused), "no IP address");
    return CURL_SOCKET_BAD;
}

static CURLcode on_ssl_ctx(CURL *easy, void *ctx, void *arg)
{
    struct transfer *t = arg;

    (void)easy;
    fetch_trust_apply(t->fetch->trust, ctx);
    return CURLE_OK;
}

/* ---- setting up ---- */
/* Read what curl makes of the URL, so that what is judged is what is requested. */
static enum ms_err read_url(struct transfer *t, CURLU *url)
{
    char *scheme = NULL, *host = NULL, *port = NULL, *fragment = NULL;
    enum ms_err err = MS_ERR_URL;
    uint64_t number;

    if (curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
        curl_url_get(url, CURLUPART_HOST, &host, 0) != CURLUE_OK ||
        curl_url_get(url, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) != CURLUE_OK ||
        curl_url_get(url, CURLUPART_FRAGMENT, &fragment, 0) != CURLUE_NO_FRAGMENT ||
        !ms_span_u64(ms_span_str(port), &number) || number == 0 || number > 65535)
        goto out;
    t->tls = strcmp(scheme, "https") == 0;
    t->port = (uint16_t)number;
    size_t len = strlen(host);
    free(t->host);
    t->host = len > 2 && host[0] == '[' ? strndup(host + 1, len - 2) : strdup(host);
    for (char *c = t->host; c != NULL && *c != '\0'; c++)
        if (*c >= 'A' && *c <= 'Z')
            *c = (char)(*c + ('a' - 'A'));
    err = t->host == NULL ? MS_ERR_MEMORY : MS_OK;
out:
    curl_free(scheme);
    curl_free(host);
    curl_free(port);
    curl_free(fragment);
    return err;
}

static enum ms_err take_url(struct transfer *t, const struct fetch_request *request)
{
    struct net_url checked;
    struct ms_diag *diag = &t->response.diag;

    if (request->kind == FETCH_RPC) {
        enum ms_err err = net_rpc_url_parse(ms_span_str(request->url), &checked, diag);
        if (err != MS_OK)
            return err;
    }
    t->url = curl_url();
    if (t->url == NULL)
        return MS_ERR_MEMORY;
    if (curl_url_set(t->url, CURLUPART_URL, request->url, CURLU_DISALLOW_USER | CURLU_PATH_AS_IS) !=
            CURLUE_OK ||
        read_url(t, t->url) != MS_OK)
        return ms_diag_set(diag, MS_ERR_URL, "the URL is not one that can be requested");
    if (request->kind == FETCH_RPC)
        return MS_OK;
    if (!t->tls)
        return ms_diag_set(diag, MS_ERR_SCHEME, "only https locations are fetched");
    if (t->port != 443 && t->port < 1024)
        return ms_diag_set(diag, MS_ERR_URL,
                           "%s port %u: only port 443 and ports from 1024 up are allowed", t->host,
                           t->port);
    return MS_OK;
}

/* "NAME: VALUE" to the request's header; false when out of memory. */
static bool add_header(struct transfer *t, const char *name, const char *value)
{
    struct ms_buf line = MS_BUF_INIT(2 * HEADER_VALUE_MAX);
    struct curl_slist *longer = NULL;

    ms_buf_addf(&line, "%s:%s%s", name, value[0] == '\0' ? "" : " ", value);
    const char *text = ms_buf_str(&line);
    if (text != NULL)
        longer = curl_slist_append(t->headers, text);
    ms_buf_done(&line);
    if (longer == NULL)
        return false;
    t->headers = longer;
    return true;
}

/* A value from an earlier answer goes out again: it must not start a line of its own. */
static bool is_field_value(const char *value)
{
    for (const char *c = value; *c != '\0'; c++)
        if ((unsigned char)*c < 0x20 && *c != '\t')
            return false;
    return strchr(value, 0x7f) == NULL && strlen(value) <= HEADER_VALUE_MAX;
}

static enum ms_err take_headers(struct transfer *t, const struct fetch_request *request)
{
    const char *etag = request->if_none_match, *since = request->if_modified_since;

    if ((etag != NULL && !is_field_value(etag)) || (since != NULL && !is_field_value(since)))
        return ms_diag_set(&t->response.diag, MS_ERR_ARGUMENT,
                           "a conditional header holds a control byte or is too long");
    bool ok = add_header(t, "Accept", request->kind == FETCH_RPC ? "application/json" : "*/*");
    if (request->kind == FETCH_RPC) {
        ok = ok && add_header(t, "Content-Type", "application/json");
        ok = ok && add_header(t, "Expect", ""); /* no 100-continue round trip */
        ok = ok && ms_buf_add(&t->request_body, request->body) == MS_OK;
    }
    if (request->kind == FETCH_GUARDED && etag != NULL)
        ok = ok && add_header(t, "If-None-Match", etag);
    if (request->kind == FETCH_GUARDED && since != NULL)
        ok = ok && add_header(t, "If-Modified-Since", since);
    return ok ? MS_OK : MS_ERR_MEMORY;
}

/* HOST:PORT:ADDRESS of the configuration, by CURLOPT_CONNECT_TO: unlike CURLOPT_RESOLVE it leaves nothing in
 * a cache that would outlive a reload. TLS still names the host. */
static enum ms_err take_pin(struct transfer *t)
{
    const struct fetch_config *config = &t->fetch->config;
    const struct net_pin *pin = net_pin_find(config->pins, config->n_pins, t->host, t->port);
    char addr[NET_ADDR_TEXT_MAX], text[NET_ADDR_TEXT_MAX + 16];

    if (pin == NULL)
        return MS_OK;
    net_addr_text(&pin->addr, addr);
    /* An empty HOST:PORT matches the transfer's own, however curl spells it. */
    (void)snprintf(text, sizeof(text), pin->addr.v6 ? "::[%s]:%u" : "::%s:%u", addr, pin->port);
    t->connect_to = curl_slist_append(NULL, text);
    t->pinned = true;
    return t->connect_to == NULL ? MS_ERR_MEMORY : MS_OK;
}

#define SET(option, value) (ok = ok && curl_easy_setopt(t->easy, option, value) == CURLE_OK)

static bool set_common(struct transfer *t)
{
    bool ok = true;

    SET(CURLOPT_PRIVATE, t);
    SET(CURLOPT_ERRORBUFFER, t->curl_error);
    SET(CURLOPT_CURLU, t->url);
    SET(CURLOPT_PROTOCOLS_STR, t->tls ? "https" : "http");
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
    SET(CURLOPT_PATH_AS_IS, 1L);
    SET(CURLOPT_PROXY, "");
    SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_QUICK_EXIT, 1L); /* do not wait for a DNS thread when a transfer is given up */
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_HTTP09_ALLOWED, 0L);
    SET(CURLOPT_USERAGENT, "measured");
    SET(CURLOPT_HTTPHEADER, t->headers);
    SET(CURLOPT_CONNECT_TO, t->connect_to);
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(CURLOPT_SSL_VERIFYPEER, 1L);
    SET(CURLOPT_SSL_VERIFYHOST, 2L);
    /* Anchors come from fetch_trust alone: without its callback nothing verifies. */
    SET(CURLOPT_CAINFO, NULL);
    SET(CURLOPT_CAPATH, NULL);
    SET(CURLOPT_SSL_CTX_FUNCTION, on_ssl_ctx);
    SET(CURLOPT_SSL_CTX_DATA, t);
#if CURL_AT_LEAST_VERSION(7, 87, 0)
    SET(CURLOPT_CA_CACHE_TIMEOUT, 0L); /* curl would put the store before a reload back over ours */
#endif
    SET(CURLOPT_OPENSOCKETFUNCTION, on_open);
    SET(CURLOPT_OPENSOCKETDATA, t);
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_HEADERDATA, t);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, t);
    SET(CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)t->body.max);
    return ok;
}

static bool set_kind(struct transfer *t)
{
    const struct fetch_config *config = &t->fetch->config;
    bool ok = true;

    if (t->kind == FETCH_RPC) {
        SET(CURLOPT_POST, 1L);
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)t->request_body.len);
        SET(CURLOPT_POSTFIELDS, t->request_body.ptr == NULL ? "" : (char *)t->request_body.ptr);
        return ok;
    }
    SET(CURLOPT_HTTPGET, 1L);
    /* A connection somebody else opened has not passed the guard for this request. */
    SET(CURLOPT_FRESH_CONNECT, 1L);
    SET(CURLOPT_FORBID_REUSE, 1L);
    SET(CURLOPT_LOW_SPEED_LIMIT, (long)config->low_speed_bytes);
    SET(CURLOPT_LOW_SPEED_TIME, (long)config->low_speed_s);
    return ok;
}

/* Not uv_now: the loop's time is that of the turn's beginning, and a request must not lose what the turn took
 * before it. */
static int64_t now_ms(void)
{
    return (int64_t)(uv_hrtime() / 1000000);
}

/* Hand the transfer to curl, for the first time or after a redirect. */
static enum ms_err launch(struct transfer *t)
{
    struct fetch *fetch = t->fetch;
    int64_t left_ms = t->deadline_ms - now_ms();
    bool ok = true;

    if (left_ms <= 0)
        return ms_diag_set(&t->response.diag, MS_ERR_TIMEOUT, "%s port %u: no answer within %lld ms",
                           t->host, t->port, (long long)fetch->config.timeout_ms);
    if (t->easy == NULL) {
        t->easy = curl_easy_init();
        if (t->easy == NULL || !set_common(t) || !set_kind(t))
            return MS_ERR_MEMORY;
    }
    int64_t connect_ms = fetch->config.connect_timeout_ms;
    SET(CURLOPT_TIMEOUT_MS, (long)left_ms);
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)(connect_ms < left_ms ? connect_ms : left_ms));
    SET(CURLOPT_CURLU, t->url);
    if (!ok || curl_multi_add_handle(fetch->multi, t->easy) != CURLM_OK)
        return MS_ERR_MEMORY;
    return MS_OK;
}

/* ---- the queue ---- */
static uint32_t active_of_host(const struct fetch *fetch, const char *host)
{
    uint32_t n = 0;

    for (const struct transfer *t = fetch->active.head; t != NULL; t = t->next)
        n += strcmp(t->host, host) == 0;
    return n;
}

/* The oldest that waits and may start; a busy host holds nobody else up. */
static struct transfer *find_startable(const struct fetch *fetch)
{
    if (fetch->active.n >= fetch->config.max_active)
        return NULL;
    for (struct transfer *t = fetch->waiting.head; t != NULL; t = t->next)
        if (active_of_host(fetch, t->host) < fetch->config.max_per_host)
            return t;
    return NULL;
}

static void on_queue_timer(uv_timer_t *timer);

/* Wake at the first deadline in the queue; all wait equally long, so that is the head's. */
static void arm_queue_timer(struct fetch *fetch)
{
    int64_t wait_ms = 0;

    if (fetch->closing)
        return;
    if (fetch->refused.n == 0 && fetch->waiting.n == 0) {
        (void)uv_timer_stop(&fetch->queue_timer);
        return;
    }
    if (fetch->refused.n == 0 && find_startable(fetch) == NULL)
        wait_ms = fetch->waiting.head->deadline_ms - now_ms();
    (void)uv_timer_start(&fetch->queue_timer, on_queue_timer,
                         (uint64_t)(wait_ms < 0 ? 0 : wait_ms), 0);
}

static void start_waiting(struct fetch *fetch)
{
    for (struct transfer *t = find_startable(fetch); t != NULL; t = find_startable(fetch)) {
        list_remove(t);
        enum ms_err err = launch(t);
        if (err != MS_OK) {
            complete(t, err);
            continue;
        }
        list_add(&fetch->active, t);
        if (fetch->active.n > fetch->counters.active_peak)
            fetch->counters.active_peak = fetch->active.n;
    }
}

/* Tell what never started, drop what waited too long, start what may. Always from the loop, never from
 * within fetch_start. */
static void on_queue_timer(uv_timer_t *timer)
{
    struct fetch *fetch = timer->data;

    while (fetch->refused.head != NULL)
        complete(fetch->refused.head, fetch->refused.head->refusal);
    while (fetch->waiting.head != NULL && fetch->waiting.head->deadline_ms <= now_ms()) {
        struct transfer *t = fetch->waiting.head;
        complete(t, ms_diag_set(&t->response.diag, MS_ERR_TIMEOUT,
                                "%s port %u: waited too long for other requests to finish", t->host,
                                t->port));
    }
    start_waiting(fetch);
    arm_queue_timer(fetch);
}

/* ---- outcomes ---- */
/* A redirect of a GUARDED request to its own origin: go there. MS_ERR_REDIRECT with the reason otherwise. */
static enum ms_err follow(struct transfer *t)
{
    struct ms_diag *diag = &t->response.diag;
    char *old_host = NULL;
    const char *target = ms_buf_str(&t->location);
    uint16_t old_port = t->port;
    enum ms_err err;

    if (t->kind != FETCH_GUARDED)
        return ms_diag_set(diag, MS_ERR_REDIRECT, "%s port %u redirects, which an RPC endpoint must not",
                           t->host, t->port);
    if (t->redirects >= t->fetch->config.max_redirects)
        return ms_diag_set(diag, MS_ERR_REDIRECT, "%s port %u redirects more than %u times", t->host,
                           t->port, t->fetch->config.max_redirects);
    t->redirects++;
    old_host = strdup(t->host);
    if (target == NULL || old_host == NULL) {
        err = MS_ERR_MEMORY;
        goto out;
    }
    /* The fragment is the reader's business, not the server's; curl_url_set drops none by itself. */
    err = MS_ERR_REDIRECT;
    if (curl_url_set(t->url, CURLUPART_URL, target, CURLU_DISALLOW_USER | CURLU_PATH_AS_IS) ==
            CURLUE_OK &&
        curl_url_set(t->url, CURLUPART_FRAGMENT, NULL, 0) == CURLUE_OK)
        err = read_url(t, t->url);
    if (err != MS_OK || !t->tls || t->port != old_port || strcmp(t->host, old_host) != 0)
        err = ms_diag_set(diag, MS_ERR_REDIRECT,
                          "%s port %u redirects to another origin (%s port %u%s); name that one instead",
                          old_host, old_port, err == MS_OK ? t->host : "not a URL",
                          err == MS_OK ? t->port : 0, err == MS_OK && !t->tls ? ", not https" : "");
    if (err != MS_OK)
        goto out;
    (void)curl_multi_remove_handle(t->fetch->multi, t->easy);
    reset_answer(t);
    t->opened = false;
    t->refused[0] = '\0';
    err = launch(t);
out:
    free(old_host);
    return err;
}

static bool is_redirect(uint32_t status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/* What an unverified or broken TLS connection means to a person. */
static enum ms_err tls_error(struct transfer *t, CURLcode code)
{
    const char *cause = t->curl_error[0] != '\0' ? t->curl_error : curl_easy_strerror(code);

    return ms_diag_set(&t->response.diag, MS_ERR_TLS, "%s port %u: %s", t->host, t->port, cause);
}

static enum ms_err write_error(struct transfer *t)
{
    struct ms_diag *diag = &t->response.diag;

    if (t->header_overflow)
        return ms_diag_set(diag, MS_ERR_TOO_LARGE, "%s port %u: the header exceeds %zu bytes", t->host,
                           t->port, t->fetch->config.header_max_bytes);
    if (t->body_overflow)
        return ms_diag_set(diag, MS_ERR_TOO_LARGE, "%s port %u: the answer exceeds %zu bytes", t->host,
                           t->port, t->body.max);
    return t->no_memory ? MS_ERR_MEMORY : MS_ERR_INTERNAL;
}

static enum ms_err connect_error(struct transfer *t, CURLcode code)
{
    struct ms_diag *diag = &t->response.diag;
    long number = 0;

    if (t->refused[0] != '\0' && !t->opened && t->kind == FETCH_GUARDED)
        return ms_diag_set(diag, MS_ERR_BLOCKED,
                           "%s port %u has the address %s, which is not global; if that is meant, list it "
                           "in allow-private",
                           t->host, t->port, t->refused);
    if (t->refused[0] != '\0' && !t->opened)
        return ms_diag_set(diag, MS_ERR_BLOCKED,
                           "%s port %u has the address %s: http:// is only for this machine", t->host,
                           t->port, t->refused);
    (void)curl_easy_getinfo(t->easy, CURLINFO_OS_ERRNO, &number);
    return ms_diag_set(diag, MS_ERR_CONNECT, "%s port %u: %s", t->host, t->port,
                       number > 0 ? strerror((int)number) : curl_easy_strerror(code));
}

static enum ms_err timeout_error(struct transfer *t)
{
    struct ms_diag *diag = &t->response.diag;
    curl_off_t connected_us = 0;

    (void)curl_easy_getinfo(t->easy, CURLINFO_PRETRANSFER_TIME_T, &connected_us);
    if (connected_us == 0)
        return ms_diag_set(diag, MS_ERR_TIMEOUT, "%s port %u: not connected in time", t->host, t->port);
    if (t->body.len > 0)
        return ms_diag_set(diag, MS_ERR_TIMEOUT, "%s port %u: the answer came too slowly (%zu bytes)",
                           t->host, t->port, t->body.len);
    return ms_diag_set(diag, MS_ERR_TIMEOUT, "%s port %u: connected, but no answer in time", t->host,
                       t->port);
}

/* curl's code as ours, with its sentence. */
static enum ms_err map_error(struct transfer *t, CURLcode code)
{
    struct ms_diag *diag = &t->response.diag;

    if (t->header_overflow || t->body_overflow || t->no_memory)
        return write_error(t);
/* The codes are many and grow with curl: those without a row of their own are a fault of the peer. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wswitch-enum"
    switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
        return ms_diag_set(diag, MS_ERR_RESOLVE, "%s: the name could not be resolved", t->host);
    case CURLE_COULDNT_CONNECT:
        return connect_error(t, code);
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
        return ms_diag_set(diag, MS_ERR_CONNECT, "%s port %u: the connection broke", t->host, t->port);
    case CURLE_OPERATION_TIMEDOUT:
        return timeout_error(t);
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
        return tls_error(t, code);
    case CURLE_FILESIZE_EXCEEDED:
        t->body_overflow = true;
        return write_error(t);
    case CURLE_PARTIAL_FILE:
    case CURLE_GOT_NOTHING:
        return ms_diag_set(diag, MS_ERR_HTTP,
                           "%s port %u: the connection ended before the answer did", t->host, t->port);
    case CURLE_OUT_OF_MEMORY:
        return MS_ERR_MEMORY;
    case CURLE_UNSUPPORTED_PROTOCOL: /* so curl calls HTTP/0.9; schemes were checked before */
        return ms_diag_set(diag, MS_ERR_HTTP, "%s port %u: not an HTTP answer", t->host, t->port);
    case CURLE_URL_MALFORMAT:
        return ms_diag_set(diag, MS_ERR_URL, "%s port %u: the URL cannot be requested", t->host,
                           t->port);
    default:
        return ms_diag_set(diag, MS_ERR_HTTP, "%s port %u: broken HTTP (%s)", t->host, t->port,
                           curl_easy_strerror(code));
    }
#pragma GCC diagnostic pop
}

static void finish(struct transfer *t, CURLcode code)
{
    enum ms_err err;
    long status = 0;

    if (code != CURLE_OK) {
        err = map_error(t, code);
    } else {
        (void)curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
        t->response.status = (uint32_t)status;
        err = MS_OK;
        if (is_redirect(t->response.status) && t->location.len > 0) {
            err = follow(t);
            if (err == MS_OK)
                return; /* on its way again */
        }
    }
    complete(t, err);
}

static void reap(struct fetch *fetch)
{
    int left;

    for (CURLMsg *msg = curl_multi_info_read(fetch->multi, &left); msg != NULL;
         msg = curl_multi_info_read(fetch->multi, &left)) {
        struct transfer *t = NULL;
        CURLcode code = msg->data.result;
        if (msg->msg != CURLMSG_DONE)
            continue;
        (void)curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, (char **)&t);
        finish(t, code); /* msg is gone after this */
    }
    start_waiting(fetch);
    arm_queue_timer(fetch);
}

/* ---- curl on libuv ---- */
static void on_handle_closed(struct fetch *fetch)
{
    if (--fetch->handles > 0 || !fetch->closing)
        return;
    free(fetch);
    curl_global_cleanup();
}

static void on_poll_closed(uv_handle_t *handle)
{
    struct poll *poll = handle->data;
    struct fetch *fetch = poll->fetch;

    free(poll);
    on_handle_closed(fetch);
}

static void on_timer_closed(uv_handle_t *handle)
{
    on_handle_closed(handle->data);
}

static void drive(struct fetch *fetch, curl_socket_t socket, int flags)
{
    int running;

    (void)curl_multi_socket_action(fetch->multi, socket, flags, &running);
    reap(fetch);
}

static void on_poll(uv_poll_t *handle, int status, int events)
{
    struct poll *poll = handle->data;
    int flags = status < 0 ? CURL_CSELECT_ERR : 0;

    if ((events & UV_READABLE) != 0)
        flags |= CURL_CSELECT_IN;
    if ((events & UV_WRITABLE) != 0)
        flags |= CURL_CSELECT_OUT;
    drive(poll->fetch, poll->socket, flags);
}

static void on_curl_timer(uv_timer_t *timer)
{
    drive(timer->data, CURL_SOCKET_TIMEOUT, 0);
}

static int on_timer_wanted(CURLM *multi, long timeout_ms, void *arg)
{
    struct fetch *fetch = arg;

    (void)multi;
    if (fetch->closing)
        return 0;
    if (timeout_ms < 0)
        (void)uv_timer_stop(&fetch->curl_timer);
    else /* 0 too: curl must not be called from within its own callback */
        (void)uv_timer_start(&fetch->curl_timer, on_curl_timer, (uint64_t)timeout_ms, 0);
    return 0;
}

static void poll_close(struct poll *poll)
{
    if (poll->prev != NULL)
        poll->prev->next = poll->next;
    else
        poll->fetch->polls = poll->next;
    if (poll->next != NULL)
        poll->next->prev = poll->prev;
    uv_close((uv_handle_t *)&poll->uv, on_poll_closed);
}

static struct poll *poll_new(struct fetch *fetch, curl_socket_t socket)
{
    struct poll *poll = calloc(1, sizeof(*poll));

    if (poll == NULL)
        return NULL;
    if (uv_poll_init_socket(fetch->loop, &poll->uv, socket) != 0) {
        free(poll);
        return NULL;
    }
    poll->fetch = fetch;
    poll->socket = socket;
    poll->uv.data = poll;
    poll->next = fetch->polls;
    if (poll->next != NULL)
        poll->next->prev = poll;
    fetch->polls = poll;
    fetch->handles++;
    (void)curl_multi_assign(fetch->multi, socket, poll);
    return poll;
}

static int on_socket_wanted(CURL *easy, curl_socket_t socket, int what, void *arg, void *socket_arg)
{
    struct fetch *fetch = arg;
    struct poll *poll = socket_arg;
    int events = 0;

    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (poll != NULL)
            poll_close(poll);
        (void)curl_multi_assign(fetch->multi, socket, NULL);
        return 0;
    }
    if (poll == NULL)
        poll = poll_new(fetch, socket);
    if (poll == NULL)
        return -1; /* curl gives the transfers up */
    if (what == CURL_POLL_IN || what == CURL_POLL_INOUT)
        events |= UV_READABLE;
    if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT)
        events |= UV_WRITABLE;
    return uv_poll_start(&poll->uv, events, on_poll) == 0 ? 0 : -1;
}

/* ---- public ---- */
enum ms_err fetch_new(uv_loop_t *loop, const struct fetch_config *config, struct fetch **ret_fetch,
                      struct ms_diag *diag)
{
    struct fetch *fetch = calloc(1, sizeof(*fetch));
    enum ms_err err = MS_ERR_MEMORY;

    if (fetch == NULL)
        return MS_ERR_MEMORY;
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        free(fetch);
        return MS_ERR_MEMORY;
    }
    fetch->loop = loop;
    fetch->config = *config;
    err = fetch_trust_new(config->ca_file, &fetch->trust, diag);
    if (err != MS_OK)
        goto out;
    fetch->multi = curl_multi_init();
    if (fetch->multi == NULL) {
        err = MS_ERR_MEMORY;
        goto out;
    }
    (void)curl_multi_setopt(fetch->multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
    (void)curl_multi_setopt(fetch->multi, CURLMOPT_SOCKETFUNCTION, on_socket_wanted);
    (void)curl_multi_setopt(fetch->multi, CURLMOPT_SOCKETDATA, fetch);
    (void)curl_multi_setopt(fetch->multi, CURLMOPT_TIMERFUNCTION, on_timer_wanted);
    (void)curl_multi_setopt(fetch->multi, CURLMOPT_TIMERDATA, fetch);
    (void)uv_timer_init(loop, &fetch->curl_timer);
    (void)uv_timer_init(loop, &fetch->queue_timer);
    fetch->curl_timer.data = fetch;
    fetch->queue_timer.data = fetch;
    fetch->handles = 2;
    *ret_fetch = fetch;
    return MS_OK;
out:
    fetch_trust_free(fetch->trust);
    free(fetch);
    curl_global_cleanup();
    return err;
}

enum ms_err fetch_configure(struct fetch *fetch, const struct fetch_config *config,
                            struct ms_diag *diag)
{
    struct fetch_trust *trust = NULL;
    enum ms_err err = fetch_trust_new(config->ca_file, &trust, diag);

    if (err != MS_OK)
        return err;
    fetch_trust_free(fetch->trust);
    fetch->trust = trust;
    fetch->config = *config;
    arm_queue_timer(fetch);
    return MS_OK;
}

static enum ms_err prepare(struct transfer *t, const struct fetch_request *request)
{
    struct fetch *fetch = t->fetch;

    if (request->kind != FETCH_GUARDED && request->kind != FETCH_RPC)
        return MS_ERR_ARGUMENT;
    if (request->url == NULL)
        return MS_ERR_URL;
    enum ms_err err = take_url(t, request);
    if (err == MS_OK)
        err = take_headers(t, request);
    if (err == MS_OK)
        err = take_pin(t);
    if (err == MS_OK && (uint64_t)fetch->active.n + fetch->waiting.n >=
                            (uint64_t)fetch->config.max_active + fetch->config.max_queued)
        err = ms_diag_set(&t->response.diag, MS_ERR_OVERLOAD, "%u requests are waiting already",
                          fetch->waiting.n);
    return err;
}

enum ms_err fetch_start(struct fetch *fetch, const struct fetch_request *request, fetch_fn *fn,
                        void *arg, uint64_t *ret_id)
{
    struct transfer *t = calloc(1, sizeof(*t));

    if (t == NULL)
        return MS_ERR_MEMORY;
    t->fetch = fetch;
    t->kind = request->kind;
    t->fn = fn;
    t->arg = arg;
    t->id = ++fetch->last_id;
    t->deadline_ms = now_ms() + fetch->config.timeout_ms;
    t->response.id = request->id;
    t->request_body = (struct ms_buf)MS_BUF_INIT(SOURCE_RPC_BODY_MAX_BYTES);
    t->body = (struct ms_buf)MS_BUF_INIT(request->max_bytes);
    t->location = (struct ms_buf)MS_BUF_INIT(HEADER_VALUE_MAX);
    for (size_t i = 0; i < SOURCE_HEADER_COUNT; i++)
        t->fields[i] = (struct ms_buf)MS_BUF_INIT(HEADER_VALUE_MAX);
    t->refusal = prepare(t, request);
    if (t->refusal == MS_ERR_MEMORY) {
        transfer_free(t);
        return MS_ERR_MEMORY;
    }
    fetch->counters.started++;
    list_add(t->refusal == MS_OK ? &fetch->waiting : &fetch->refused, t);
    arm_queue_timer(fetch);
    *ret_id = t->id;
    return MS_OK;
}

void fetch_cancel(struct fetch *fetch, uint64_t id)
{
    struct list *const lists[] = {&fetch->active, &fetch->waiting, &fetch->refused};

    for (size_t i = 0; i < MS_ARRAY_LEN(lists); i++)
        for (struct transfer *t = lists[i]->head; t != NULL; t = t->next) {
            if (t->id != id)
                continue;
            fetch->counters.cancelled++;
            transfer_free(t);
            arm_queue_timer(fetch);
            return;
        }
}

static void drop_all(struct fetch *fetch, struct list *list)
{
    while (list->head != NULL) {
        fetch->counters.cancelled++;
        transfer_free(list->head);
    }
}

void fetch_free(struct fetch *fetch)
{
    if (fetch == NULL)
        return;
    assert(!fetch->in_callback);
    fetch->closing = true;
    drop_all(fetch, &fetch->active);
    drop_all(fetch, &fetch->waiting);
    drop_all(fetch, &fetch->refused);
    (void)curl_multi_cleanup(fetch->multi); /* closes kept connections, may still ask to unwatch sockets */
    while (fetch->polls != NULL)
        poll_close(fetch->polls);
    fetch_trust_free(fetch->trust);
    uv_close((uv_handle_t *)&fetch->curl_timer, on_timer_closed);
    uv_close((uv_handle_t *)&fetch->queue_timer, on_timer_closed);
}

void fetch_count(const struct fetch *fetch, struct fetch_counters *ret_counters)
{
    *ret_counters = fetch->counters;
    ret_counters->active = fetch->active.n;
    ret_counters->queued = fetch->waiting.n;
}
