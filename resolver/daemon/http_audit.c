/* resolver/daemon/http_audit.c - what auditors ask: history, differences, what was in force, and
 * the evidence itself. Read and rendered on the reader's thread, while the connection is suspended:
 * hits do not wait for a long history. */
#define _GNU_SOURCE
#include "resolver/daemon/http_audit.h"

#include "base/hex.h"
#include "cache/report.h"
#include "resolver/daemon/query.h"
#include "resolver/entry/past_file.h"

#define EVIDENCE_PATH "/v1/evidence/"

/* ---- what is asked ---- */

/* A number of the query; *ret_found false when it is not there. */
static enum ms_err query_number(const struct http_request *r, const char *name, uint64_t *ret_value,
                                bool *ret_found, struct ms_diag *diag)
{
    struct ms_buf text = MS_BUF_INIT(32);

    enum ms_err err = query_member(ms_span_str(r->target), name, &text, ret_found, diag);
    if (err == MS_ERR_LIMIT ||
        (err == MS_OK && *ret_found && !ms_span_u64(ms_buf_span(&text), ret_value)))
        err = ms_diag_set(diag, MS_ERR_ARGUMENT, "%s is not a number", name);
    ms_buf_done(&text);
    return err;
}

/* *ret_point stays NULL when it is not there. */
static enum ms_err take_point(struct http_request *r, const char *name, const char **ret_point,
                              struct ms_diag *diag)
{
    struct ms_buf text = MS_BUF_INIT(REPORT_POINT_MAX);
    bool found = false;

    enum ms_err err = query_member(ms_span_str(r->target), name, &text, &found, diag);
    if (err == MS_ERR_LIMIT)
        err = ms_diag_set(diag, MS_ERR_ARGUMENT, "%s= is too long", name);
    if (err == MS_OK && found) {
        *ret_point = ms_arena_strdup(&r->arena, ms_buf_span(&text));
        err = *ret_point == NULL ? MS_ERR_MEMORY : MS_OK;
    }
    ms_buf_done(&text);
    return err;
}

enum ms_err http_prepare_history(struct http_request *r, struct ms_diag *diag)
{
    struct report_page *page = &r->audit.page;
    bool has_after = false, has_limit = false;
    uint64_t limit = 0;

    enum ms_err err = query_number(r, "after", &page->after, &has_after, diag);
    if (err == MS_OK)
        err = query_number(r, "before", &page->before, &page->has_before, diag);
    if (err == MS_OK)
        err = query_number(r, "limit", &limit, &has_limit, diag);
    if (err == MS_OK && has_after && page->has_before)
        err = ms_diag_set(diag, MS_ERR_ARGUMENT, "only one of after and before is possible");
    if (err == MS_OK && has_limit && (limit == 0 || limit > REPORT_ROWS_MAX))
        err = ms_diag_set(diag, MS_ERR_ARGUMENT, "limit is not 1 to %u", REPORT_ROWS_MAX);
    page->limit = (size_t)limit;
    if (err == MS_OK)
        err = take_point(r, "point", &r->audit.from, diag);
    page->point = ms_span_str(r->audit.from);
    return err == MS_OK ? http_parse_spec(r, diag) : err;
}

enum ms_err http_prepare_diff(struct http_request *r, struct ms_diag *diag)
{
    enum ms_err err = take_point(r, "from", &r->audit.from, diag);
    if (err == MS_OK)
        err = take_point(r, "to", &r->audit.to, diag);
    if (err == MS_OK && (r->audit.from == NULL || r->audit.to == NULL))
        err = ms_diag_set(diag, MS_ERR_ARGUMENT, "from= and to= are both needed");
    return err == MS_OK ? http_parse_spec(r, diag) : err;
}

enum ms_err http_prepare_at(struct http_request *r, struct ms_diag *diag)
{
    uint64_t time_s = 0;
    bool found = false;

    enum ms_err err = query_number(r, "time", &time_s, &found, diag);
    if (err == MS_OK && (!found || time_s > INT64_MAX / 4))
        err = ms_diag_set(diag, MS_ERR_ARGUMENT, "time= is missing or no Unix time");
    r->audit.time_s = (int64_t)time_s;
    return err == MS_OK ? http_parse_spec(r, diag) : err;
}

enum ms_err http_prepare_evidence(struct http_request *r, struct ms_diag *diag)
{
    struct ms_span path = query_path(ms_span_str(r->target));
    struct ms_span name = ms_span_sub(path, strlen(EVIDENCE_PATH), path.len);

    if (ms_span_starts(name, "sha256:"))
        name = ms_span_sub(name, 7, name.len);
    if (ms_hex_decode(name, r->audit.hash.b, MS_SHA256_BYTES) != MS_OK)
        return ms_diag_set(diag, MS_ERR_ARGUMENT,
                           "evidence is named by its SHA-256: " EVIDENCE_PATH "<64 hex digits>");
    r->reply.max = CACHE_BLOB_MAX_BYTES;
    return MS_OK;
}

enum ms_err http_prepare_past(struct http_request *r, struct ms_diag *diag)
{
    r->reply.max = PAST_FILE_MAX_BYTES;
    return http_parse_spec(r, diag);
}

enum ms_err http_prepare_entries(struct http_request *r, struct ms_diag *diag)
{
    struct report_page *page = &r->audit.page;
    bool has_limit = false;
    uint64_t limit = 0;

    enum ms_err err = query_number(r, "before", &page->before, &page->has_before, diag);
    if (err == MS_OK)
        err = query_number(r, "limit", &limit, &has_limit, diag);
    if (err == MS_OK && has_limit && (limit == 0 || limit > REPORT_ROWS_MAX))
        err = ms_diag_set(diag, MS_ERR_ARGUMENT, "limit is not 1 to %u", REPORT_ROWS_MAX);
    page->limit = (size_t)limit;
    return err;
}

/* ---- on the reader's thread ---- */

static enum ms_err read_evidence(struct http_request *r, struct cache *cache, struct ms_diag *diag)
{
    bool found = false;

    enum ms_err err = cache_blob_get(cache, &r->audit.hash, &r->reply, &found, diag);
    if (err == MS_OK && !found)
        err = ms_diag_set(diag, MS_ERR_NOT_FOUND, "there is no evidence of this name");
    return err;
}

static enum ms_err read_for(struct http_request *r, struct cache *cache, struct ms_diag *diag)
{
    const char *path = r->route->path;

    if (strcmp(path, "/v1/history") == 0)
        return report_history(cache, r->spec, &r->audit.page, &r->reply, diag);
    if (strcmp(path, "/v1/diff") == 0)
        return report_diff(cache, r->spec, ms_span_str(r->audit.from), ms_span_str(r->audit.to),
                           &r->reply, diag);
    if (strcmp(path, "/v1/at") == 0)
        return report_at(cache, r->spec, r->audit.time_s, clocks_now().wall_s, &r->reply, diag);
    if (strcmp(path, "/v1/past") == 0)
        return report_past(cache, r->spec, &r->reply, diag);
    if (strcmp(path, "/v1/entries") == 0)
        return report_entries(cache, r->audit.page.before, r->audit.page.limit, &r->reply, diag);
    return read_evidence(r, cache, diag);
}

/* ---- the answer ---- */

static enum MHD_Result fail_read(struct http_request *r, enum ms_err err)
{
    if (err == MS_ERR_ARGUMENT) /* a point that is none */
        return http_error_problem(r, MHD_HTTP_BAD_REQUEST, err, &r->read.diag);
    return http_fail(r, err, &r->read.diag);
}

enum MHD_Result http_audit(struct http_request *r)
{
    if (!r->asked)
        return http_read(r, read_for);
    if (r->read.err != MS_OK)
        return fail_read(r, r->read.err);
    return http_send_read(r, "application/json", strcmp(r->route->path, EVIDENCE_PATH) == 0);
}
