/* resolver/daemon/http.c - connections, routes to handlers, waiting for the core. */
#define _GNU_SOURCE
#include "resolver/daemon/http.h"

#include "resolver/daemon/http_internal.h"
#include "resolver/daemon/metrics.h"
#include "resolver/daemon/query.h"
#include "resolver/daemon/specifier.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HTTP_MEMORY_BYTES \
    ((size_t)32 << 10) /* a connection's pool; MHD zeroes all of it before each request */
#define HTTP_TIMEOUT_S 60u
#define HTTP_REPLY_MAX_BYTES ((size_t)8 << 20)
#define HTTP_NO_LIMIT 100000000u /* connections of one socket */

/* ---- answers ---- */

unsigned http_status_of(enum ms_err err)
{
    if (err == MS_ERR_CONFLICT)
        return MHD_HTTP_CONFLICT;
    if (err == MS_ERR_NOT_FOUND || err == MS_ERR_NO_CODE || err == MS_ERR_KIND)
        return MHD_HTTP_NOT_FOUND;
    if (err == MS_ERR_METHOD)
        return MHD_HTTP_METHOD_NOT_ALLOWED;
    if (err == MS_ERR_QUOTA)
        return MHD_HTTP_TOO_MANY_REQUESTS;
    /* 20 to 64: a document that came, and could not be read */
    if (err == MS_ERR_HTTP || err == MS_ERR_TRUNCATED || err == MS_ERR_TOO_LARGE ||
        err == MS_ERR_CONNECT || err == MS_ERR_RESOLVE || err == MS_ERR_TLS ||
        err == MS_ERR_REDIRECT || err == MS_ERR_HASH || err == MS_ERR_RPC ||
        err == MS_ERR_RPC_SHAPE || err == MS_ERR_PROOF || err == MS_ERR_HEADER ||
        err == MS_ERR_COMMITMENT || err == MS_ERR_REVERT || err == MS_ERR_SIGNATURE ||
        (err >= MS_ERR_HEX && err <= MS_ERR_EXPANSION))
        return MHD_HTTP_BAD_GATEWAY;
    return MHD_HTTP_SERVICE_UNAVAILABLE;
}

static const char *allowed_methods(const struct http_route *route)
{
    return strcmp(route->method, MHD_HTTP_METHOD_GET) == 0 ? "GET, HEAD" : "POST";
}

struct MHD_Response *http_response(const struct http_request *r, struct ms_span text,
                                   const char *type)
{
    union {
        const void *in;
        void *out;
    } bytes = {.in = text.ptr}; /* MUST_COPY does not write to it */
    struct MHD_Response *response =
        MHD_create_response_from_buffer(text.len, bytes.out, MHD_RESPMEM_MUST_COPY);

    if (response == NULL)
        return NULL;
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    (void)MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    if (r->come_again)
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_RETRY_AFTER, "1");
    return response;
}

enum MHD_Result http_queue(struct http_request *r, unsigned status, struct MHD_Response *response)
{
    enum MHD_Result result = MHD_queue_response(r->connection, status, response);

    MHD_destroy_response(response);
    r->stage = HTTP_ANSWERED;
    return result;
}

enum MHD_Result http_send(struct http_request *r, unsigned status, struct ms_span text,
                          const char *type)
{
    struct MHD_Response *response = http_response(r, text, type);

    if (response == NULL)
        return MHD_NO;
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED && r->route != NULL)
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, allowed_methods(r->route));
    if (status >= 400)
        METRIC_INC(http_errors);
    return http_queue(r, status, response);
}

/* No consumer of the list can take this for JSON: it starts with a letter. */
enum MHD_Result http_error_text(struct http_request *r, unsigned status, enum ms_err err,
                                const struct ms_diag *diag)
{
    struct ms_buf text = MS_BUF_INIT(1024);
    (void)ms_buf_addf(&text, "measured: %s: %s\n", ms_err_code(err), ms_diag_text(diag, err));
    enum MHD_Result result = http_send(r, status, ms_buf_span(&text), "text/plain; charset=utf-8");
    ms_buf_done(&text);
    return result;
}

/* RFC 9457. */
enum MHD_Result http_error_problem(struct http_request *r, unsigned status, enum ms_err err,
                                   const struct ms_diag *diag)
{
    struct ms_buf text = MS_BUF_INIT(2048);

    (void)ms_buf_addf(&text, "{\"type\":\"urn:measured:error:%s\",\"title\":", ms_err_code(err));
    (void)ms_json_add_string(&text, ms_span_str(ms_err_text(err)));
    (void)ms_buf_addf(&text, ",\"status\":%u,\"code\":\"%s\",\"detail\":", status,
                      ms_err_code(err));
    (void)ms_json_add_string(&text, ms_span_str(ms_diag_text(diag, err)));
    (void)ms_buf_add_str(&text, "}\n");
    enum MHD_Result result = http_send(r, status, ms_buf_span(&text), "application/problem+json");
    ms_buf_done(&text);
    return result;
}

enum MHD_Result http_fail(struct http_request *r, enum ms_err err, const struct ms_diag *diag)
{
    unsigned status = http_status_of(err);
    r->come_again = err == MS_ERR_QUOTA || err == MS_ERR_OVERLOAD;
    if (r->route == NULL)
        return http_error_problem(r, status, err, diag);
    return r->route->error(r, status, err, diag);
}

/* What the request itself did wrong is 400 whatever the code; only size and method have their own.
 */
static enum MHD_Result fail_request(struct http_request *r, enum ms_err err,
                                    const struct ms_diag *diag)
{
    unsigned status = MHD_HTTP_BAD_REQUEST;
    if (err == MS_ERR_TOO_LARGE)
        status = MHD_HTTP_CONTENT_TOO_LARGE;
    else if (err == MS_ERR_METHOD || err == MS_ERR_MEMORY || err == MS_ERR_SHUTDOWN)
        status = http_status_of(err);
    if (r->route == NULL)
        return http_error_problem(r, status, err, diag);
    return r->route->error(r, status, err, diag);
}

/* ---- waiting ---- */

bool http_suspend(struct http_request *r)
{
    (void)atomic_fetch_add(&r->http->suspended, 1);
    if (atomic_load(&r->http->stopping)) {
        (void)atomic_fetch_sub(&r->http->suspended, 1);
        return false;
    }
    MHD_suspend_connection(r->connection);
    return true;
}

void http_resume(struct http_request *r)
{
    struct http *http = r->http;
    MHD_resume_connection(r->connection);
    (void)atomic_fetch_sub(&http->suspended, 1);
}

static void core_done(struct core_request *core)
{
    struct http_request *r =
        (struct http_request *)((char *)core - offsetof(struct http_request, core));
    http_resume(r);
}

static void run_ask(struct loop_job *job)
{
    struct http_request *r =
        (struct http_request *)((char *)job - offsetof(struct http_request, job));
    core_ask(r->http->env.core, &r->core);
}

/* What the request took of its client's shares while it waited. */
static void end_wait(struct http_request *r)
{
    if (r->waits)
        clients_give(r->http->env.clients, r->client, CLIENT_WAITING);
    if (r->replying)
        clients_give(r->http->env.clients, r->client, CLIENT_REPLIES);
    r->waits = r->replying = false;
}

static enum MHD_Result ask_core(struct http_request *r)
{
    struct ms_diag diag = {0};
    enum ms_err err = clients_take(r->http->env.clients, r->client, CLIENT_WAITING, &diag);

    if (err != MS_OK)
        return http_fail(r, err, &diag);
    r->waits = true;
    METRIC_INC(http_waiters);
    r->core.client = r->client;
    r->core.id = r->id;
    r->core.spec = r->spec;
    r->core.max_age_s = r->max_age_s;
    r->core.done = core_done;
    r->job.run = run_ask;
    r->asked = true;
    r->stage = HTTP_WAITING;
    if (!http_suspend(r))
        return http_fail(r, MS_ERR_SHUTDOWN, NULL);
    r->spec = NULL; /* the core's, until done */
    loop_post(r->http->env.loop, &r->job);
    return MHD_YES;
}

struct refresh_note {
    struct loop_job job;
    struct core *core;
    struct answer_id id;
};

static void run_touch(struct loop_job *job)
{
    struct refresh_note *note = (struct refresh_note *)job;
    core_touch(note->core, &note->id);
    free(note);
}

/* Tell the core once that a due refresh is wanted; the caller does not wait for it. */
static void note_use(struct http_request *r, struct answer *answer, int64_t now_ms)
{
    atomic_store_explicit(&answer->last_used_ms, now_ms, memory_order_relaxed);
    if (!answer->refresh_due ||
        atomic_exchange_explicit(&answer->refresh_posted, true, memory_order_relaxed))
        return;
    struct refresh_note *note = calloc(1, sizeof(*note));
    if (note == NULL)
        return;
    note->job.run = run_touch;
    note->core = r->http->env.core;
    note->id = answer->id;
    loop_post(r->http->env.loop, &note->job);
}

bool http_knows_candidates(const struct http_request *r, const struct answer *a)
{
    for (size_t i = 0; i < r->core.n_candidates; i++)
        if (!source_result_knows(a->shared->result, &r->core.candidates[i]))
            return false;
    return true;
}

/* May this answer be given to this request now? */
static bool usable(const struct http_request *r, const struct answer *a, int64_t now_ms)
{
    if (r->asked)
        return r->core.generation != 0 && a->generation >= r->core.generation;
    if (r->core.force || now_ms >= a->fast_until_ms || (a->serve && !http_knows_candidates(r, a)))
        return false;
    return !a->serve || r->max_age_s == 0 || now_ms - a->checked_boot_ms <= r->max_age_s * 1000;
}

/* There is no set, and the URL names a host that may have it: the core has to hear of it. */
static bool tells_where(const struct http_request *r, const struct answer *a)
{
    return !a->serve && !r->asked && r->spec != NULL && r->spec->kind == SPEC_SIGNERS &&
           r->spec->host != NULL && r->spec->at.url == NULL;
}

/* `sha256:` of it was asked for before, and nobody had it. */
static bool brings_bytes(const struct http_request *r, const struct answer *a)
{
    return !a->serve && !r->asked && r->has_bytes;
}

/* seq= and max-age= of the query, which the shared answer knows nothing of. */
static enum ms_err query_floor(const struct http_request *r, const struct answer *a, int64_t now_ms,
                               struct ms_diag *diag)
{
    if (!a->serve)
        return MS_OK;
    const struct source_result *result = a->shared->result;
    if (r->seq > 0 && (!result->has_sequence || result->sequence < r->seq))
        return ms_diag_set(diag, MS_ERR_ROLLBACK,
                           "the specifier asks for sequence %llu or later, the source has %llu",
                           (unsigned long long)r->seq, (unsigned long long)result->sequence);
    if (r->max_age_s > 0 &&
        now_ms - a->checked_boot_ms > r->max_age_s * 1000 + (r->asked ? 1000 : 0))
        return ms_diag_set(diag, MS_ERR_STALE,
                           "the newest answer is older than the max-age of the specifier");
    return MS_OK;
}

/* With a published answer, or false: there is none that may be used. */
static bool try_answer(struct http_request *r, enum MHD_Result *ret_result)
{
    struct ms_diag diag = {0};
    int64_t now_ms = clocks_now().boot_ms;
    bool done = false;

    answer_read_lock();
    struct answer *a = table_find(r->http->env.table, &r->id);
    if (a != NULL && usable(r, a, now_ms) && !tells_where(r, a) && !brings_bytes(r, a)) {
        note_use(r, a, now_ms);
        enum ms_err err = query_floor(r, a, now_ms, &diag);
        if (!r->asked)
            METRIC_INC(http_hits);
        if (err != MS_OK)
            *ret_result = http_fail(r, err, &diag);
        else
            *ret_result = r->route->answer(r, a);
        r->stage = HTTP_ANSWERED;
        done = true;
    }
    answer_read_unlock();
    return done;
}

static enum MHD_Result serve(struct http_request *r)
{
    enum MHD_Result result = MHD_NO;

    if (try_answer(r, &result))
        return result;
    if (!r->asked) {
        struct ms_diag diag = {0};
        /* a known target: only now is there need of what it says */
        enum ms_err err = r->spec == NULL ? http_parse_spec(r, &diag) : MS_OK;
        return err == MS_OK ? ask_core(r) : fail_request(r, err, &diag);
    }
    enum ms_err err = r->core.err == MS_OK ? MS_ERR_UNAVAILABLE : r->core.err;
    return http_fail(r, err, &r->core.diag);
}

/* ---- what is asked ---- */

/* What this worker's last targets meant: parsing an inline document takes longer than answering for
 * it. An entry holds for one configuration only; those of before are not freed while the daemon
 * runs, so their addresses are never used again. */
#define KNOWN_TARGETS 64u /* a power of two */
#define KNOWN_TARGET_MAX 2048u

struct known_target {
    const struct config *config; /* NULL: empty */
    struct answer_id id;
    int64_t max_age_s;
    uint64_t seq;
    bool has_bytes;
    struct publish_ask list;
    size_t len;
    char text[KNOWN_TARGET_MAX];
};

static pthread_key_t known_key;
static pthread_once_t known_once = PTHREAD_ONCE_INIT;
static _Thread_local struct known_target *known;

static void make_known_key(void)
{
    (void)pthread_key_create(&known_key, free);
}

/* The place for this target; NULL when it is not remembered. */
static struct known_target *known_slot(const char *target, size_t len)
{
    uint64_t hash = len, word;

    if (len < sizeof(word) || len > KNOWN_TARGET_MAX)
        return NULL;
    if (known == NULL) {
        (void)pthread_once(&known_once, make_known_key);
        known = calloc(KNOWN_TARGETS, sizeof(*known));
        (void)pthread_setspecific(known_key, known);
    }
    for (size_t at = 0; at + sizeof(word) <= len; at += sizeof(word)) {
        memcpy(&word, target + at, sizeof(word));
        hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
        hash ^= hash >> 32;
    }
    return known == NULL ? NULL : &known[hash & (KNOWN_TARGETS - 1)];
}

bool http_known_target(struct http_request *r)
{
    size_t len = strlen(r->target);
    const struct known_target *k = known_slot(r->target, len);

    if (k == NULL || k->config == NULL || k->config != atomic_load(&r->http->config) ||
        k->len != len || memcmp(k->text, r->target, len) != 0)
        return false;
    r->id = k->id;
    r->max_age_s = k->max_age_s;
    r->seq = k->seq;
    r->has_bytes = k->has_bytes;
    r->list = k->list;
    return true;
}

void http_remember_target(const struct http_request *r)
{
    size_t len = strlen(r->target);
    struct known_target *k = r->has_spelling ? NULL : known_slot(r->target, len);

    if (k == NULL)
        return;
    k->config = r->config;
    k->id = r->id;
    k->max_age_s = r->max_age_s;
    k->seq = r->seq;
    k->has_bytes = r->has_bytes;
    k->list = r->list;
    k->len = len;
    memcpy(k->text, r->target, len);
}

enum ms_err http_take_spec(struct http_request *r, struct ms_span text, bool is_url,
                           struct ms_diag *diag)
{
    struct spec *spec = NULL;

    answer_read_lock(); /* the configuration may be replaced */
    const struct config *config = atomic_load(&r->http->config);
    enum ms_err err = specifier_read(config, text, is_url, &spec, &r->id, diag);
    r->config = config;
    answer_read_unlock();
    if (err != MS_OK)
        return err;
    r->spec = spec;
    r->max_age_s = specifier_max_age_s(spec);
    r->seq = spec->seq;
    r->has_bytes = spec->kind == SPEC_INLINE;
    if (spec->n_warnings > 0) {
        r->has_spelling = true;
        return envelope_spelling(spec, &r->spelling);
    }
    return MS_OK;
}

enum ms_err http_parse_spec(struct http_request *r, struct ms_diag *diag)
{
    struct ms_span target = ms_span_str(r->target);
    struct ms_buf spec = MS_BUF_INIT(QUERY_TARGET_MAX), url = MS_BUF_INIT(QUERY_TARGET_MAX);
    bool has_spec = false, has_url = false;

    enum ms_err err = query_member(target, "specifier", &spec, &has_spec, diag);
    if (err == MS_OK)
        err = query_member(target, "url", &url, &has_url, diag);
    if (err == MS_OK && has_spec == has_url)
        err = ms_diag_set(diag, MS_ERR_ARGUMENT, "exactly one of ?specifier= and ?url= is needed");
    if (err == MS_OK)
        err = http_take_spec(r, ms_buf_span(has_url ? &url : &spec), has_url, diag);
    ms_buf_done(&spec);
    ms_buf_done(&url);
    return err;
}

/* ---- requests ---- */

static int fd_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    return info->connect_fd;
}

static uint64_t client_of(const struct http *http, struct MHD_Connection *connection)
{
    return acceptor_client(http->env.acceptor, fd_of(connection));
}

/* Allocates the request when its first line is read: MHD's own query parser turns '+' into a space
 * and stops at %00, so the raw target is kept. */
static void *on_target(void *cls, const char *uri, struct MHD_Connection *connection)
{
    struct http_listener *listener = cls;
    struct http_request *r = calloc(1, sizeof(*r));

    http_worker_serves_unix(listener->is_unix);
    if (r == NULL)
        return NULL;
    r->http = listener->http;
    r->listener = listener;
    r->connection = connection;
    r->client = client_of(listener->http, connection);
    r->target = strdup(uri);
    r->body.max = HTTP_BODY_MAX_BYTES;
    r->reply.max = HTTP_REPLY_MAX_BYTES;
    r->spelling.max = 65536;
    r->arena.max = 65536;
    METRIC_INC(http_requests);
    return r;
}

static void on_completed(void *cls, struct MHD_Connection *connection, void **con_cls,
                         enum MHD_RequestTerminationCode code)
{
    struct http_request *r = *con_cls;
    (void)cls;
    (void)connection;
    (void)code;
    if (r == NULL)
        return;
    *con_cls = NULL;
    end_wait(r);
    if (r->holding)
        clients_give(r->http->env.clients, r->client, CLIENT_REPLIES);
    if (r->counted)
        (void)atomic_fetch_sub(&r->http->answering, 1);
    if (r->spec == NULL)
        r->spec = r->core.spec; /* handed back by the core, which did not need it */
    if (r->spec != NULL)
        spec_done(r->spec);
    free(r->spec);
    ms_buf_done(&r->body);
    ms_buf_done(&r->reply);
    ms_buf_done(&r->spelling);
    ms_arena_done(&r->arena);
    free(r->target);
    free(r);
}

static enum MHD_Result start(struct http_request *r)
{
    struct ms_diag diag = {0};
    enum ms_err err = r->body_too_large ? MS_ERR_TOO_LARGE : MS_OK;

    if (!atomic_load(
            &r->http->stopping)) { /* what comes later does not keep the daemon from ending */
        r->counted = true;
        (void)atomic_fetch_add(&r->http->answering, 1);
    }
    if (err == MS_OK && r->route->prepare != NULL)
        err = r->route->prepare(r, &diag);
    if (err != MS_OK)
        return fail_request(r, err, &diag);
    return r->route->direct != NULL ? r->route->direct(r) : serve(r);
}

/* The answer is queued in the last call only: what MHD is given earlier makes it close the
 * connection. */
static enum MHD_Result take_body(struct http_request *r, const char *data, size_t *size)
{
    if (*size == 0)
        return start(r);
    r->body_seen += *size;
    if (r->body_seen > HTTP_BODY_DROP_MAX_BYTES)
        return MHD_NO;
    if (r->route->method != NULL && !r->body_too_large &&
        ms_buf_add(&r->body, ms_span_of(data, *size)) != MS_OK)
        r->body_too_large = true; /* read on and drop, so that the answer arrives */
    *size = 0;
    return MHD_YES;
}

static enum MHD_Result begin(struct http_request *r, const char *method)
{
    struct ms_diag diag = {0};
    const struct http_route *other = NULL;

    if (r->target == NULL)
        return MHD_NO;
    r->stage = HTTP_BODY;
    r->route = http_route_find(query_path(ms_span_str(r->target)), method, &other);
    const struct config *config = atomic_load(&r->http->config);
    if (r->route != NULL && r->route->enabled != NULL && !r->route->enabled(config))
        r->route = NULL;
    if (other != NULL && other->enabled != NULL && !other->enabled(config))
        other = NULL;
    if (strlen(r->target) > QUERY_TARGET_MAX) {
        r->route = r->route != NULL ? r->route : other;
        return (r->route != NULL ? r->route->error : http_error_problem)(r, MHD_HTTP_URI_TOO_LONG,
                                                                         MS_ERR_LIMIT, NULL);
    }
    if (r->route == NULL && other != NULL) {
        r->route = other;
        return fail_request(r, MS_ERR_METHOD, NULL);
    }
    if (r->route == NULL) {
        (void)ms_diag_set(&diag, MS_ERR_NOT_FOUND, "no such path");
        return http_error_problem(r, MHD_HTTP_NOT_FOUND, MS_ERR_NOT_FOUND, &diag);
    }
    /* a proxy that asks about a request may come with that request's Host, as with its method */
    if (!r->listener->is_unix && r->route->method != NULL && http_local_host(r, &diag) != MS_OK)
        return r->route->error(r, MHD_HTTP_FORBIDDEN, MS_ERR_ARGUMENT, &diag);
    if (r->route->admin_only && !r->listener->admin) {
        (void)ms_diag_set(&diag, MS_ERR_METHOD, "this is answered on admin.sock only");
        return http_error_problem(r, MHD_HTTP_FORBIDDEN, MS_ERR_METHOD, &diag);
    }
    return MHD_YES;
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *size, void **con_cls)
{
    struct http_request *r = *con_cls;
    (void)cls;
    (void)connection;
    (void)url;
    (void)version;

    if (r == NULL)
        return MHD_NO;
    switch (r->stage) {
    case HTTP_NEW:
        return begin(r, method);
    case HTTP_BODY:
        return take_body(r, data, size);
    case HTTP_WAITING:
        end_wait(r);
        return r->route->direct != NULL ? r->route->direct(r) : serve(r);
    case HTTP_ANSWERED:
        return MHD_YES;
    }
    return MHD_NO;
}

/* ---- life ---- */

enum ms_err http_new(const struct http_env *env, struct http **ret_http)
{
    struct http *http = calloc(1, sizeof(*http));
    if (http == NULL)
        return MS_ERR_MEMORY;
    http->env = *env;
    http->status.text.max = http->metrics.text.max = HTTP_REPLY_MAX_BYTES;
    *ret_http = http;
    return MS_OK;
}

static void on_connection(void *cls, struct MHD_Connection *connection, void **context,
                          enum MHD_ConnectionNotificationCode code)
{
    struct http_listener *l = cls;
    (void)context;

    if (code == MHD_CONNECTION_NOTIFY_CLOSED)
        acceptor_closed(l->http->env.acceptor, fd_of(connection));
}

/* The acceptor's thread. */
static bool take_connection(void *arg, int fd)
{
    struct http_listener *l = arg;
    struct sockaddr_storage from = {.ss_family = AF_UNIX};
    socklen_t len = sizeof(from);

    if (getpeername(fd, (struct sockaddr *)&from, &len) != 0)
        len = sizeof(from.ss_family); /* gone already: it will be noticed */
    return MHD_add_connection(l->daemon, fd, (const struct sockaddr *)&from, len) == MHD_YES;
}

enum ms_err http_listen(struct http *http, int fd, enum accept_kind kind, unsigned threads)
{
    if (http->n_listeners == HTTP_DAEMONS_MAX)
        return MS_ERR_LIMIT;
    struct http_listener *l = &http->listeners[http->n_listeners];
    *l = (struct http_listener){
        .http = http, .fd = fd, .admin = kind == ACCEPT_ADMIN, .is_unix = kind != ACCEPT_TCP};
    /* how many there may be is the acceptor's business: no limit of MHD's must be met first, for
     * each thread has its own share of that */
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME |
                     MHD_USE_NO_LISTEN_SOCKET | MHD_USE_ITC;
    l->daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, on_request, l, MHD_OPTION_URI_LOG_CALLBACK, on_target, l,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, l, MHD_OPTION_NOTIFY_CONNECTION, on_connection,
        l, MHD_OPTION_CONNECTION_MEMORY_LIMIT, HTTP_MEMORY_BYTES, MHD_OPTION_CONNECTION_LIMIT,
        HTTP_NO_LIMIT, MHD_OPTION_CONNECTION_TIMEOUT, HTTP_TIMEOUT_S,
        threads > 1 ? MHD_OPTION_THREAD_POOL_SIZE : MHD_OPTION_END, threads, MHD_OPTION_END);
    if (l->daemon == NULL)
        return MS_ERR_IO;
    http->n_listeners++;
    return acceptor_listen(http->env.acceptor, fd, kind, take_connection, l);
}

void http_set_config(struct http *http, const struct config *config)
{
    atomic_store(&http->config, config);
}

void http_wait_readers(void)
{
    urcu_memb_synchronize_rcu();
}

void http_set_ready(struct http *http, bool ready)
{
    atomic_store(&http->ready, ready);
}

void http_tick(struct http *http)
{
    atomic_store_explicit(&http->loop_alive_ms, loop_now(http->env.loop).boot_ms,
                          memory_order_relaxed);
    http_streams_tick(http);
}

static void close_sockets(struct http *http)
{
    acceptor_stop(http->env.acceptor);
    for (size_t i = 0; i < http->n_listeners; i++) {
        if (http->listeners[i].fd >= 0)
            (void)close(http->listeners[i].fd);
        http->listeners[i].fd = -1;
    }
}

void http_stop_waiting(struct http *http)
{
    atomic_store(&http->stopping, true);
    close_sockets(http);
    http_streams_end(http);
}

bool http_idle(const struct http *http)
{
    return atomic_load(&http->suspended) == 0 && atomic_load(&http->answering) == 0;
}

bool http_may_close(const struct http *http)
{
    return atomic_load(&http->suspended) == 0;
}

void http_close(struct http *http)
{
    close_sockets(http);
    for (size_t i = 0; i < http->n_listeners; i++) {
        MHD_stop_daemon(http->listeners[i].daemon);
        http->listeners[i].daemon = NULL;
    }
    http->n_listeners = 0;
}

void http_free(struct http *http)
{
    if (http == NULL)
        return;
    ms_buf_done(&http->status.text);
    ms_buf_done(&http->metrics.text);
    free(http);
}
