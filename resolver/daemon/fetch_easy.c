/* resolver/daemon/fetch_easy.c - one transfer in curl's hands: what it is told, and what it calls.
 */
#define _GNU_SOURCE
#include "resolver/daemon/fetch_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

static void reset_answer(struct transfer *t)
{
    ms_buf_reset(&t->body);
    ms_buf_reset(&t->location);
    for (size_t i = 0; i < SOURCE_HEADER_COUNT; i++)
        ms_buf_reset(&t->fields[i]);
    t->header_bytes = 0;
    t->header_done = false;
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

/* Keep a field we know; a field too long for its buffer is dropped whole, which is what an absent
 * validator or lifetime means too. */
static void keep_field(struct transfer *t, struct ms_span name, struct ms_span value)
{
    if (memchr(value.ptr, '\0', value.len) != NULL)
        return;
    if (ms_span_eq_str_nocase(name, "location") && t->location.len == 0)
        (void)ms_buf_add(&t->location, value);
    for (size_t i = 0; i < SOURCE_HEADER_COUNT; i++) {
        if (!ms_span_eq_str_nocase(name, source_header_name((enum source_header)i)))
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

/* The guard: after DNS, with the address that would be connected to, so that neither rebinding nor
 * odd spellings of an address get past it (T5). */
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
    const char *type = request->content_type == NULL ? "application/json" : request->content_type;
    bool json = request->kind == FETCH_RPC && request->content_type == NULL;
    bool ok = add_header(t, "Accept", json ? type : "*/*");
    if (request->kind == FETCH_RPC) {
        ok = ok && add_header(t, "Content-Type", type);
        ok = ok && add_header(t, "Expect", ""); /* no 100-continue round trip */
        ok = ok && ms_buf_add(&t->request_body, request->body) == MS_OK;
    }
    if (request->kind == FETCH_GUARDED && etag != NULL)
        ok = ok && add_header(t, "If-None-Match", etag);
    if (request->kind == FETCH_GUARDED && since != NULL)
        ok = ok && add_header(t, "If-Modified-Since", since);
    return ok ? MS_OK : MS_ERR_MEMORY;
}

/* HOST:PORT:ADDRESS of the configuration, by CURLOPT_CONNECT_TO: unlike CURLOPT_RESOLVE it leaves
 * nothing in a cache that would outlive a reload. TLS still names the host. */
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

enum ms_err transfer_launch(struct transfer *t)
{
    struct fetch *fetch = t->fetch;
    int64_t left_ms = t->deadline_ms - fetch_now_ms();
    bool ok = true;

    if (left_ms <= 0)
        return ms_diag_set(&t->response.diag, MS_ERR_TIMEOUT,
                           "%s port %u: no answer within %lld ms", t->host, t->port,
                           (long long)fetch->config.timeout_ms);
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

enum ms_err transfer_prepare(struct transfer *t, const struct fetch_request *request)
{
    if (request->kind != FETCH_GUARDED && request->kind != FETCH_RPC)
        return MS_ERR_ARGUMENT;
    if (request->url == NULL)
        return MS_ERR_URL;
    enum ms_err err = take_url(t, request);
    if (err == MS_OK)
        err = take_headers(t, request);
    if (err == MS_OK)
        err = take_pin(t);
    return err;
}

enum ms_err transfer_follow(struct transfer *t)
{
    struct ms_diag *diag = &t->response.diag;
    char *old_host = NULL;
    const char *target = ms_buf_str(&t->location);
    uint16_t old_port = t->port;
    enum ms_err err;

    if (t->kind != FETCH_GUARDED)
        return ms_diag_set(diag, MS_ERR_REDIRECT,
                           "%s port %u redirects, which an RPC endpoint must not", t->host,
                           t->port);
    if (t->redirects >= t->fetch->config.max_redirects)
        return ms_diag_set(diag, MS_ERR_REDIRECT, "%s port %u redirects more than %u times",
                           t->host, t->port, t->fetch->config.max_redirects);
    t->redirects++;
    old_host = strdup(t->host);
    if (target == NULL || old_host == NULL) {
        err = MS_ERR_MEMORY;
        goto out;
    }
    /* The fragment is the reader's business, not the server's; curl_url_set drops none by itself.
     */
    err = MS_ERR_REDIRECT;
    if (curl_url_set(t->url, CURLUPART_URL, target, CURLU_DISALLOW_USER | CURLU_PATH_AS_IS) ==
            CURLUE_OK &&
        curl_url_set(t->url, CURLUPART_FRAGMENT, NULL, 0) == CURLUE_OK)
        err = read_url(t, t->url);
    if (err != MS_OK || !t->tls || t->port != old_port || strcmp(t->host, old_host) != 0)
        err = ms_diag_set(
            diag, MS_ERR_REDIRECT,
            "%s port %u redirects to another origin (%s port %u%s); name that one instead",
            old_host, old_port, err == MS_OK ? t->host : "not a URL", err == MS_OK ? t->port : 0,
            err == MS_OK && !t->tls ? ", not https" : "");
    if (err != MS_OK)
        goto out;
    (void)curl_multi_remove_handle(t->fetch->multi, t->easy);
    reset_answer(t);
    t->opened = false;
    t->refused[0] = '\0';
    err = transfer_launch(t);
out:
    free(old_host);
    return err;
}
