/* resolver/daemon/http_ui.c - the page for auditors, as files. */
#define _GNU_SOURCE
#include "resolver/daemon/http_ui.h"

#include "resolver/daemon/query.h"
#include "resolver/daemon/ui_files.h"

#include <string.h>

#define UI_PATH "/ui/"

/* Nothing from elsewhere, nothing inline, in nobody's frame; forms are read by the script and never
 * sent. */
static const char *const headers[][2] = {
    {"Content-Security-Policy",
     "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
     "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"},
    {"X-Content-Type-Options", "nosniff"},
    {"Referrer-Policy", "no-referrer"},
    {"Cross-Origin-Opener-Policy", "same-origin"},
    {"Cross-Origin-Resource-Policy", "same-origin"},
};

/* ---- files ---- */

static const struct ui_file *find_file(struct ms_span path)
{
    for (size_t i = 0; i < ui_n_files; i++)
        if (ms_span_eq_str(path, ui_files[i].path))
            return &ui_files[i];
    return NULL;
}

static bool has_it(const struct http_request *r, const struct ui_file *file)
{
    const char *known =
        MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_IF_NONE_MATCH);
    return known != NULL && (strcmp(known, "*") == 0 || strstr(known, file->etag) != NULL);
}

static enum MHD_Result send_file(struct http_request *r, const struct ui_file *file)
{
    bool same = has_it(r, file);
    union {
        const void *in;
        void *out;
    } bytes = {.in = file->bytes}; /* PERSISTENT does not write to it */
    struct MHD_Response *response =
        MHD_create_response_from_buffer(same ? 0 : file->len, bytes.out, MHD_RESPMEM_PERSISTENT);

    if (response == NULL)
        return MHD_NO;
    for (size_t i = 0; i < MS_ARRAY_LEN(headers); i++)
        (void)MHD_add_response_header(response, headers[i][0], headers[i][1]);
    if (!same)
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, file->type);
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_ETAG, file->etag);
    /* the page names the others by what they are; it itself is asked for again */
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL,
                                  file->path[0] == '\0' ? "no-cache"
                                                        : "max-age=31536000, immutable");
    return http_queue(r, same ? MHD_HTTP_NOT_MODIFIED : MHD_HTTP_OK, response);
}

static enum MHD_Result redirect(struct http_request *r)
{
    struct MHD_Response *response = http_response(r, ms_span_str(""), "text/plain; charset=utf-8");

    if (response == NULL)
        return MHD_NO;
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_LOCATION, UI_PATH);
    return http_queue(r, MHD_HTTP_PERMANENT_REDIRECT, response);
}

enum MHD_Result http_ui(struct http_request *r)
{
    struct ms_span path = query_path(ms_span_str(r->target));
    struct ms_diag diag = {0};

    if (!ms_span_starts(path, UI_PATH))
        return redirect(r);
    const struct ui_file *file = find_file(ms_span_sub(path, strlen(UI_PATH), path.len));
    if (file != NULL)
        return send_file(r, file);
    (void)ms_diag_set(&diag, MS_ERR_NOT_FOUND, "no such file; the page is " UI_PATH);
    return http_fail(r, MS_ERR_NOT_FOUND, &diag);
}
