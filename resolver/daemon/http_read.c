/* resolver/daemon/http_read.c - answers that are read from the database: on the reader's thread,
 * while the connection is suspended. */
#define _GNU_SOURCE
#include "resolver/daemon/http_internal.h"

static void run_read(struct reader_job *job, struct cache *cache, enum ms_err err,
                     const struct ms_diag *diag)
{
    struct http_request *r =
        (struct http_request *)((char *)job - offsetof(struct http_request, read.job));

    r->read.err = err;
    r->read.diag = *diag;
    if (err == MS_OK)
        r->read.err = r->read.fn(r, cache, &r->read.diag);
    http_resume(r);
}

enum MHD_Result http_read(struct http_request *r, http_read_fn *fn)
{
    struct ms_diag diag = {0};

    enum ms_err err = clients_take(r->http->env.clients, r->client, CLIENT_REPLIES, &diag);
    if (err != MS_OK)
        return http_fail(r, err, &diag);
    r->holding = true; /* until the client has taken it: these can be long */
    r->asked = true;
    r->stage = HTTP_WAITING;
    r->read.fn = fn;
    r->read.job.run = run_read;
    if (!http_suspend(r))
        return http_fail(r, MS_ERR_SHUTDOWN, NULL);
    err = reader_post(r->http->env.reader, &r->read.job);
    if (err != MS_OK) { /* the worker itself wakes it up, and then tells it why */
        r->read.err = err;
        http_resume(r);
    }
    return MHD_YES;
}

enum MHD_Result http_send_read(struct http_request *r, const char *type, bool immutable)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(r->reply.len, r->reply.ptr, MHD_RESPMEM_MUST_FREE);

    if (response == NULL)
        return MHD_NO;
    r->reply = (struct ms_buf)MS_BUF_INIT(0); /* moved */
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    (void)MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL,
                                  immutable ? "max-age=31536000, immutable" : "no-store");
    return http_queue(r, MHD_HTTP_OK, response);
}
