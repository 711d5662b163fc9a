/* resolver/daemon/http_host.c - under which names requests over TCP are answered. */
#define _GNU_SOURCE
#include "resolver/daemon/http_internal.h"

#include <string.h>

static bool is_digits(struct ms_span text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
    return text.len > 0;
}

/* An IPv4 address as browsers write it: in a name at least one byte is no digit. */
static bool is_address(struct ms_span host)
{
    struct ms_span part, rest = host;
    size_t n = 1;

    while (ms_span_cut(rest, '.', &part, &rest)) {
        if (!is_digits(part))
            return false;
        n++;
    }
    return n == 4 && is_digits(rest);
}

static bool is_local_name(struct ms_span host)
{
    static const char suffix[] = ".localhost"; /* RFC 6761 6.3: resolvers keep it on this machine */
    size_t len = sizeof(suffix) - 1;

    return ms_span_eq_str_nocase(host, "localhost") ||
           (host.len > len && memcmp(host.ptr + host.len - len, suffix, len) == 0);
}

enum ms_err http_local_host(const struct http_request *r, struct ms_diag *diag)
{
    const char *value =
        MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_HOST);
    struct ms_span host = ms_span_str(value == NULL ? "" : value), name = host, port;

    if (host.len == 0) /* every browser sends one */
        return MS_OK;
    if (ms_span_starts(host, "[")) /* IPv6, and nothing else is written so */
        return MS_OK;
    (void)ms_span_cut(host, ':', &name, &port);
    if (is_address(name) || is_local_name(name))
        return MS_OK;
    return ms_diag_set(diag, MS_ERR_ARGUMENT,
                       "this is answered under localhost or an address only, not under a name that "
                       "others could point here: open it by 127.0.0.1");
}
