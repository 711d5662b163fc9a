/* resolver/daemon/http_past.c - the past of contracts and signed sets: having it fetched, and
 * telling it. */
#define _GNU_SOURCE
#include "resolver/daemon/http_internal.h"

#include "resolver/daemon/query.h"

#include <stdlib.h>
#include <string.h>

static struct http_request *request_of(struct loop_job *job)
{
    return (struct http_request *)((char *)job - offsetof(struct http_request, job));
}

/* Something that only the loop thread knows; `run` resumes the request when it has filled reply. */
static enum MHD_Result ask_loop(struct http_request *r, void (*run)(struct loop_job *job))
{
    struct ms_diag diag = {0};
    enum ms_err err = clients_take(r->http->env.clients, r->client, CLIENT_REPLIES, &diag);

    if (err != MS_OK)
        return http_fail(r, err, &diag);
    r->replying = true;
    r->asked = true;
    r->stage = HTTP_WAITING;
    r->job.run = run;
    if (!http_suspend(r))
        return http_fail(r, MS_ERR_SHUTDOWN, NULL);
    loop_post(r->http->env.loop, &r->job);
    return MHD_YES;
}

/* ---- asking for it ---- */

struct ask_note {
    struct loop_job job;
    struct backfill *backfill;
    struct answer_id id;
};

static void run_ask(struct loop_job *job)
{
    struct ask_note *note = (struct ask_note *)job;
    backfill_ask(note->backfill, &note->id);
    free(note);
}

/* It takes its time in the background: GET tells how it goes. */
enum MHD_Result http_backfill_ask(struct http_request *r, struct answer *a)
{
    static const char text[] = "{\"state\":\"queued\"}\n";
    struct ms_diag diag = {0};

    if (!a->serve)
        return http_fail(r, a->err, a->diag);
    if (a->shared->result->adapter == NULL && a->shared->result->trust != SOURCE_TRUST_SIGNERS) {
        (void)ms_diag_set(&diag, MS_ERR_KIND,
                          "only contracts and signed sets have a past that can be fetched");
        return http_fail(r, MS_ERR_ARGUMENT, &diag);
    }
    struct ask_note *note = calloc(1, sizeof(*note));
    if (note == NULL)
        return http_fail(r, MS_ERR_MEMORY, NULL);
    note->job.run = run_ask;
    note->backfill = r->http->env.backfill;
    note->id = a->id;
    loop_post(r->http->env.loop, &note->job);
    return http_send(r, MHD_HTTP_ACCEPTED, ms_span_str(text), "application/json");
}

/* ---- how it goes ---- */

static void run_status(struct loop_job *job)
{
    struct http_request *r = request_of(job);
    json_t *root = backfill_status(r->http->env.backfill, &r->id);

    if (root == NULL || ms_json_print(root, false, &r->reply) != MS_OK)
        ms_buf_reset(&r->reply);
    (void)ms_buf_add_byte(&r->reply, '\n');
    json_decref(root);
    http_resume(r);
}

enum MHD_Result http_backfill_status(struct http_request *r)
{
    if (!r->asked)
        return ask_loop(r, run_status);
    return http_send(r, MHD_HTTP_OK, ms_buf_span(&r->reply), "application/json");
}

/* ---- what is stored ---- */

enum ms_err http_prepare_operations(struct http_request *r, struct ms_diag *diag)
{
    struct ms_buf value = MS_BUF_INIT(24);
    bool found = false;

    r->operations_from = 1;
    enum ms_err err = query_member(ms_span_str(r->target), "from", &value, &found, diag);
    if (err == MS_ERR_LIMIT ||
        (err == MS_OK && found && !ms_span_u64(ms_buf_span(&value), &r->operations_from)))
        err = ms_diag_set(diag, MS_ERR_ARGUMENT, "from is no number of an operation");
    ms_buf_done(&value);
    return err == MS_OK ? http_parse_spec(r, diag) : err;
}

static enum ms_err read_operations(struct http_request *r, struct cache *cache,
                                   struct ms_diag *diag)
{
    return backfill_list(cache, &r->id.key, r->operations_from, &r->reply, diag);
}

enum MHD_Result http_operations(struct http_request *r)
{
    if (!r->asked)
        return http_read(r, read_operations);
    if (r->read.err != MS_OK)
        return http_fail(r, r->read.err, &r->read.diag);
    return http_send_read(r, "application/json", false);
}
