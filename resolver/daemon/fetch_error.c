/* resolver/daemon/fetch_error.c - curl's codes as ours, each with a sentence a person can act on:
 * host, port and cause, never a path or query. */
#define _GNU_SOURCE
#include "resolver/daemon/fetch_internal.h"

#include <string.h>

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
        return ms_diag_set(diag, MS_ERR_TOO_LARGE, "%s port %u: the header exceeds %zu bytes",
                           t->host, t->port, t->fetch->config.header_max_bytes);
    if (t->body_overflow)
        return ms_diag_set(diag, MS_ERR_TOO_LARGE, "%s port %u: the answer exceeds %zu bytes",
                           t->host, t->port, t->body.max);
    return t->no_memory ? MS_ERR_MEMORY : MS_ERR_INTERNAL;
}

static enum ms_err connect_error(struct transfer *t, CURLcode code)
{
    struct ms_diag *diag = &t->response.diag;
    long number = 0;

    if (t->refused[0] != '\0' && !t->opened && t->kind == FETCH_GUARDED)
        return ms_diag_set(
            diag, MS_ERR_BLOCKED,
            "%s port %u has the address %s, which is not global; if that is meant, list it "
            "in allow-private",
            t->host, t->port, t->refused);
    if (t->refused[0] != '\0' && !t->opened)
        return ms_diag_set(diag, MS_ERR_BLOCKED,
                           "%s port %u has the address %s: http:// is only for this machine",
                           t->host, t->port, t->refused);
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
        return ms_diag_set(diag, MS_ERR_TIMEOUT, "%s port %u: not connected in time", t->host,
                           t->port);
    if (t->body.len > 0)
        return ms_diag_set(diag, MS_ERR_TIMEOUT,
                           "%s port %u: the answer came too slowly (%zu bytes)", t->host, t->port,
                           t->body.len);
    return ms_diag_set(diag, MS_ERR_TIMEOUT, "%s port %u: connected, but no answer in time",
                       t->host, t->port);
}

enum ms_err transfer_error(struct transfer *t, CURLcode code)
{
    struct ms_diag *diag = &t->response.diag;

    if (t->header_overflow || t->body_overflow || t->no_memory)
        return write_error(t);
/* The codes are many and grow with curl: those without a row of their own are a fault of the peer.
 */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wswitch-enum"
    switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
        return ms_diag_set(diag, MS_ERR_RESOLVE, "%s: the name could not be resolved", t->host);
    case CURLE_COULDNT_CONNECT:
        return connect_error(t, code);
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
        return ms_diag_set(diag, MS_ERR_CONNECT, "%s port %u: the connection broke", t->host,
                           t->port);
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
        return ms_diag_set(diag, MS_ERR_TRUNCATED,
                           "%s port %u: the connection ended before the answer did", t->host,
                           t->port);
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
