/* resolver/daemon/upstream.c - requests of the core, sent. */
#define _GNU_SOURCE
#include "resolver/daemon/upstream.h"

#include "resolver/daemon/breaker.h"
#include "resolver/daemon/fetch.h"
#include "resolver/daemon/log.h"
#include "resolver/source/freshness.h"

#include <stdlib.h>
#include <string.h>

#define NO_PROVIDER UINT32_MAX
#define LOCATIONS "https" /* the name under which locations are counted */

struct traffic { /* since the start of the daemon */
    uint64_t requests, bytes;
};

struct op { /* one request that is out */
    struct op *next;
    struct upstream *up;
    uint64_t tag, fetch_id;
    uint32_t provider; /* NO_PROVIDER for a location */
    bool straggler;    /* nobody waits for the answer, but it tells about the provider */
    bool failed;       /* fetch_start could not even begin */
    struct ms_diag diag;
    enum ms_err err;
    uint32_t id;
    struct loop_job job; /* to tell a failure from outside upstream_send */
};

struct upstream {
    struct loop *loop;
    struct fetch *fetch;
    const struct config *config;
    struct breaker breakers[SOURCE_PROVIDERS_MAX]; /* by index of config->rpcs */
    struct source_manners manners[SOURCE_PROVIDERS_MAX];
    struct traffic traffic[SOURCE_PROVIDERS_MAX]; /* likewise */
    struct traffic locations;
    struct op *ops;
    void (*answer)(void *arg, uint64_t tag, const struct source_response *response);
    void *arg;
};

static struct fetch_config fetch_config_of(const struct config *config)
{
    struct fetch_config out = fetch_config_default();
    out.ca_file = config->ca_file;
    out.n_permits = config->n_permits;
    out.permits = config->permits;
    out.n_pins = config->n_pins;
    out.pins = config->pins;
    return out;
}

enum ms_err upstream_new(struct loop *loop, const struct config *config,
                         void (*answer)(void *arg, uint64_t tag,
                                        const struct source_response *response),
                         void *arg, struct upstream **ret_upstream, struct ms_diag *diag)
{
    struct fetch_config fetch_config = fetch_config_of(config);
    struct upstream *up = calloc(1, sizeof(*up));

    if (up == NULL)
        return MS_ERR_MEMORY;
    up->loop = loop;
    up->config = config;
    up->answer = answer;
    up->arg = arg;
    enum ms_err err = fetch_new(loop_uv(loop), &fetch_config, &up->fetch, diag);
    if (err != MS_OK) {
        free(up);
        return err;
    }
    *ret_upstream = up;
    return MS_OK;
}

enum ms_err upstream_configure(struct upstream *up, const struct config *config,
                               struct ms_diag *diag)
{
    struct fetch_config fetch_config = fetch_config_of(config);
    struct breaker kept[SOURCE_PROVIDERS_MAX] = {0};
    struct source_manners manners[SOURCE_PROVIDERS_MAX] = {0};
    struct traffic traffic[SOURCE_PROVIDERS_MAX] = {0};

    enum ms_err err = fetch_configure(up->fetch, &fetch_config, diag);
    if (err != MS_OK)
        return err;
    for (size_t i = 0; i < config->n_rpcs && i < SOURCE_PROVIDERS_MAX; i++) {
        for (size_t j = 0; j < up->config->n_rpcs && j < SOURCE_PROVIDERS_MAX; j++) {
            const struct config_rpc *now = &config->rpcs[i], *before = &up->config->rpcs[j];
            if (strcmp(now->name, before->name) != 0)
                continue;
            kept[i] = up->breakers[j];
            traffic[i] = up->traffic[j];
            if (strcmp(now->url, before->url) == 0)
                manners[i] = up->manners[j];
        }
    }
    memcpy(up->breakers, kept, sizeof(kept));
    memcpy(up->manners, manners, sizeof(manners));
    memcpy(up->traffic, traffic, sizeof(traffic));
    for (struct op *op = up->ops; op != NULL; op = op->next)
        op->provider = NO_PROVIDER; /* an index of the old configuration */
    up->config = config;
    return MS_OK;
}

static void forget(struct upstream *up, struct op *op)
{
    struct op **at = &up->ops;
    while (*at != op)
        at = &(*at)->next;
    *at = op->next;
    free(op);
}

static void judge_straggler(struct upstream *up, uint32_t provider,
                            const struct source_response *response)
{
    bool answered = response->err == MS_OK && response->status == 200;
    if (source_retry_after(response) > 0)
        return;
    upstream_conduct(up, provider, answered ? SOURCE_CONDUCT_GOOD : SOURCE_CONDUCT_FAULT);
}

/* Retry-After is obeyed by whoever asks next, of whatever entry. */
static void note_retry(struct upstream *up, uint32_t provider,
                       const struct source_response *response)
{
    int64_t retry_s = source_retry_after(response);

    if (retry_s == 0 || provider >= SOURCE_PROVIDERS_MAX)
        return;
    breaker_pause(&up->breakers[provider], loop_now(up->loop).boot_ms + retry_s * 1000);
    log_line(LOG_LEVEL_NOTICE, "rpc", "paused", log_str("name", up->config->rpcs[provider].name),
             log_int("retry_after_s", retry_s));
}

static struct traffic *traffic_of(struct upstream *up, uint32_t provider)
{
    return provider < SOURCE_PROVIDERS_MAX ? &up->traffic[provider] : &up->locations;
}

static void on_answer(void *arg, const struct source_response *response)
{
    struct op *op = arg;
    struct upstream *up = op->up;
    uint64_t tag = op->tag;
    uint32_t provider = op->provider;
    bool straggler = op->straggler;

    loop_turn(up->loop);
    traffic_of(up, op->provider)->bytes += response->body.len;
    forget(up, op);
    note_retry(up, provider, response);
    if (straggler)
        judge_straggler(up, provider, response);
    else
        up->answer(up->arg, tag, response);
}

static void tell_failure(struct loop_job *job)
{
    struct op *op = (struct op *)((char *)job - offsetof(struct op, job));
    struct upstream *up = op->up;
    struct source_response response = {
        .id = op->id, .err = op->err, .diag = op->diag, .time_s = loop_now(up->loop).wall_s};
    uint64_t tag = op->tag;
    bool cancelled = op->fetch_id == UINT64_MAX;

    forget(up, op);
    if (!cancelled)
        up->answer(up->arg, tag, &response);
}

static enum ms_err start(struct op *op, const struct source_request *request)
{
    struct upstream *up = op->up;
    struct fetch_request out = {
        .kind = FETCH_GUARDED,
        .id = request->id,
        .client = request->client,
        .if_none_match = request->if_none_match,
        .if_modified_since = request->if_modified_since,
        .body = request->body,
        .max_bytes = request->max_bytes,
    };

    if (request->kind == SOURCE_REQUEST_RPC) {
        if (request->provider >= up->config->n_rpcs || request->provider >= SOURCE_PROVIDERS_MAX)
            return ms_diag_set(&op->diag, MS_ERR_NO_RPC, "the RPC endpoint is configured no more");
        op->provider = request->provider;
        /* while it is being probed only the probing attempt asks it: others see it as benched */
        struct breaker *breaker = &up->breakers[op->provider];
        int64_t now_ms = loop_now(up->loop).boot_ms;
        if (breaker_state(breaker, now_ms) != BREAKER_PROBING && !breaker_allow(breaker, now_ms))
            return ms_diag_set(&op->diag, MS_ERR_UNAVAILABLE,
                               "the RPC endpoint %s is not asked for a while",
                               up->config->rpcs[op->provider].name);
        out.kind = FETCH_RPC;
        out.url = up->config->rpcs[op->provider].url;
    } else {
        out.url = request->location->url;
    }
    traffic_of(up, op->provider)->requests++;
    return fetch_start(up->fetch, &out, on_answer, op, &op->fetch_id);
}

void upstream_send(struct upstream *up, uint64_t tag, const struct source_request *request)
{
    struct op *op = calloc(1, sizeof(*op));
    if (op == NULL)
        abort(); /* as in store.c: nothing could be told any more */
    op->up = up;
    op->tag = tag;
    op->id = request->id;
    op->provider = NO_PROVIDER;
    op->next = up->ops;
    up->ops = op;
    op->err = start(op, request);
    if (op->err == MS_OK)
        return;
    op->failed = true;
    op->job.run = tell_failure;
    loop_post(up->loop, &op->job);
}

void upstream_share(struct upstream *up, uint64_t tag)
{
    for (const struct op *op = up->ops; op != NULL; op = op->next)
        if (op->tag >> 12 == tag >> 12 && !op->failed)
            fetch_share(up->fetch, op->fetch_id);
}

/* One of an entry speaks for its provider; a reload has made it nobody's. */
static bool tells_something(const struct upstream *up, const struct op *op)
{
    for (const struct op *other = up->ops; other != NULL; other = other->next)
        if (other->straggler && other->provider == op->provider && other->tag >> 8 == op->tag >> 8)
            return false;
    return op->provider != NO_PROVIDER;
}

void upstream_cancel(struct upstream *up, uint64_t tag)
{
    for (struct op *op = up->ops; op != NULL; op = op->next) {
        if (op->tag != tag || op->straggler)
            continue;
        if (op->failed) {
            op->fetch_id = UINT64_MAX; /* its job is on the way and frees it */
            op->tag = 0;
        } else if (tells_something(up, op)) {
            op->straggler = true;
        } else {
            fetch_cancel(up->fetch, op->fetch_id);
            forget(up, op);
        }
        return;
    }
}

void upstream_conduct(struct upstream *up, uint32_t provider, enum source_conduct conduct)
{
    if (provider >= SOURCE_PROVIDERS_MAX || provider >= up->config->n_rpcs)
        return;
    struct breaker *breaker = &up->breakers[provider];
    int64_t now_ms = loop_now(up->loop).boot_ms;

    switch (conduct) {
    case SOURCE_CONDUCT_NOT_ASKED:
    case SOURCE_CONDUCT_OWING:
    case SOURCE_CONDUCT_BUSY:
        return;
    case SOURCE_CONDUCT_GOOD:
        breaker_ok(breaker);
        return;
    case SOURCE_CONDUCT_FAULT:
        breaker_fault(breaker, now_ms);
        up->manners[provider] = (struct source_manners){0}; /* may be why, by now */
        return;
    case SOURCE_CONDUCT_LIED:
        breaker_bench(breaker, now_ms);
        log_line(LOG_LEVEL_ERROR, "rpc", "benched",
                 log_str("name", up->config->rpcs[provider].name),
                 log_str("cause", "an answer did not verify"));
        return;
    }
}

void upstream_learned(struct upstream *up, uint32_t provider, struct source_manners learned)
{
    if (provider >= SOURCE_PROVIDERS_MAX || provider >= up->config->n_rpcs)
        return;
    struct source_manners *known = &up->manners[provider], before = *known;

    known->no_batch = known->no_batch || learned.no_batch;
    known->bare_hash = known->bare_hash || learned.bare_hash;
    if (known->no_batch != before.no_batch || known->bare_hash != before.bare_hash)
        log_line(LOG_LEVEL_INFO, "rpc", "learned", log_str("name", up->config->rpcs[provider].name),
                 log_str("batches", known->no_batch ? "no" : "yes"),
                 log_str("eip1898", known->bare_hash ? "no" : "yes"));
}

void upstream_mark_providers(const struct upstream *up, struct source_policy *policy)
{
    for (size_t i = 0; i < policy->n_providers; i++) {
        policy->providers[i].benched =
            !breaker_would_allow(&up->breakers[i], loop_now(up->loop).boot_ms);
        policy->providers[i].manners = up->manners[i];
    }
}

static const char *breaker_name(enum breaker_state state)
{
    switch (state) {
    case BREAKER_BENCHED:
        return "benched";
    case BREAKER_PAUSED:
        return "paused";
    case BREAKER_OPEN:
        return "open";
    case BREAKER_PROBING:
        return "probing";
    case BREAKER_CLOSED:
        return "closed";
    }
    return "closed";
}

json_t *upstream_providers_json(const struct upstream *up)
{
    json_t *list = json_array();

    for (size_t i = 0; list != NULL && i < up->config->n_rpcs && i < SOURCE_PROVIDERS_MAX; i++) {
        const struct config_rpc *rpc = &up->config->rpcs[i];
        (void)json_array_append_new(
            list,
            json_pack("{s:s, s:s, s:I, s:s}", "name", rpc->name, "group", rpc->group, "chain",
                      (json_int_t)rpc->chain, "breaker",
                      breaker_name(breaker_state(&up->breakers[i], loop_now(up->loop).boot_ms))));
    }
    return list;
}

/* An endpoint may have the locations' name; a counter has one line for each name. */
static struct traffic locations_of(const struct upstream *up)
{
    struct traffic sum = up->locations;

    for (size_t i = 0; i < up->config->n_rpcs && i < SOURCE_PROVIDERS_MAX; i++) {
        if (strcmp(up->config->rpcs[i].name, LOCATIONS) != 0)
            continue;
        sum.requests += up->traffic[i].requests;
        sum.bytes += up->traffic[i].bytes;
    }
    return sum;
}

static void render_traffic(const struct upstream *up, bool bytes, const char *name,
                           const char *help, struct ms_buf *out)
{
    struct traffic locations = locations_of(up);

    (void)ms_buf_addf(out, "# HELP %s %s\n# TYPE %s counter\n", name, help, name);
    (void)ms_buf_addf(out, "%s{provider=\"" LOCATIONS "\"} %llu\n", name,
                      (unsigned long long)(bytes ? locations.bytes : locations.requests));
    for (size_t i = 0; i < up->config->n_rpcs && i < SOURCE_PROVIDERS_MAX; i++) {
        const struct traffic *t = &up->traffic[i];
        if (strcmp(up->config->rpcs[i].name, LOCATIONS) != 0)
            (void)ms_buf_addf(out, "%s{provider=\"%s\"} %llu\n", name, up->config->rpcs[i].name,
                              (unsigned long long)(bytes ? t->bytes : t->requests));
    }
}

void upstream_metrics_render(const struct upstream *up, struct ms_buf *out)
{
    render_traffic(up, false, "measured_upstream_requests_total",
                   "requests to sources of governance", out);
    render_traffic(up, true, "measured_upstream_bytes_total", "bytes of upstream bodies received",
                   out);
}

json_t *upstream_counters_json(const struct upstream *up)
{
    struct fetch_counters c;

    fetch_count(up->fetch, &c);
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "started", (json_int_t)c.started,
                     "answered", (json_int_t)c.answered, "failed", (json_int_t)c.failed,
                     "cancelled", (json_int_t)c.cancelled, "bytes_in", (json_int_t)c.bytes_in,
                     "active", (json_int_t)c.active, "queued", (json_int_t)c.queued);
}

struct fetch *upstream_fetch(struct upstream *up)
{
    return up->fetch;
}

void upstream_free(struct upstream *up)
{
    if (up == NULL)
        return;
    fetch_free(up->fetch);
    while (up->ops != NULL)
        forget(up, up->ops);
    free(up);
}
