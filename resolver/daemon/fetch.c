/* resolver/daemon/fetch.c - the queue, its limits, outcomes and counters. */
#define _GNU_SOURCE
#include "resolver/daemon/fetch_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <time.h>

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
        .spare = 16,
        .spare_per_host = 1,
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

/* ---- the queue ---- */
static bool is_below(uint32_t n, uint32_t max, uint32_t spare)
{
    return n < (max > spare ? max - spare : 1);
}

/* One client's many, or its slow ones at a host that others use too, leave room for others. */
static bool may_start(const struct fetch *fetch, const struct transfer *t)
{
    const struct fetch_config *config = &fetch->config;
    uint32_t of_host = 0, of_client = 0, of_both = 0;

    for (const struct transfer *a = fetch->active.head; a != NULL; a = a->next) {
        bool host = strcmp(a->host, t->host) == 0;
        bool client = t->client != 0 && a->client == t->client;
        of_host += host;
        of_client += client;
        of_both += host && client;
    }
    if (of_host >= config->max_per_host)
        return false;
    if (t->client == 0)
        return true;
    return is_below(of_client, config->max_active, config->spare) &&
           (t->kind != FETCH_GUARDED ||
            is_below(of_both, config->max_per_host, config->spare_per_host));
}

/* The oldest that waits and may start; a busy host or client holds nobody else up. */
static struct transfer *find_startable(const struct fetch *fetch)
{
    if (fetch->active.n >= fetch->config.max_active)
        return NULL;
    for (struct transfer *t = fetch->waiting.head; t != NULL; t = t->next)
        if (may_start(fetch, t))
            return t;
    return NULL;
}

static bool queue_is_full(const struct fetch *fetch, uint64_t client)
{
    const struct fetch_config *config = &fetch->config;
    uint32_t of_client = 0;

    if ((uint64_t)fetch->active.n + fetch->waiting.n >=
        (uint64_t)config->max_active + config->max_queued)
        return true;
    if (client == 0 || fetch->waiting.n < config->max_queued / 4 * 3)
        return false;
    for (const struct transfer *t = fetch->waiting.head; t != NULL; t = t->next)
        of_client += t->client == client;
    return of_client >= config->max_queued / 4 * 3;
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
        wait_ms = fetch->waiting.head->deadline_ms - fetch_now_ms();
    (void)uv_timer_start(&fetch->queue_timer, on_queue_timer, (uint64_t)(wait_ms < 0 ? 0 : wait_ms),
                         0);
}

static void start_waiting(struct fetch *fetch)
{
    for (struct transfer *t = find_startable(fetch); t != NULL; t = find_startable(fetch)) {
        list_remove(t);
        enum ms_err err = transfer_launch(t);
        if (err != MS_OK) {
            complete(t, err);
            continue;
        }
        list_add(&fetch->active, t);
        if (fetch->active.n > fetch->counters.active_peak)
            fetch->counters.active_peak = fetch->active.n;
    }
}

/* Tell what never started, drop what waited too long, start what may. Always from the loop, never
 * from within fetch_start. */
static void on_queue_timer(uv_timer_t *timer)
{
    struct fetch *fetch = timer->data;

    while (fetch->refused.head != NULL)
        complete(fetch->refused.head, fetch->refused.head->refusal);
    while (fetch->waiting.head != NULL && fetch->waiting.head->deadline_ms <= fetch_now_ms()) {
        struct transfer *t = fetch->waiting.head;
        complete(t, ms_diag_set(&t->response.diag, MS_ERR_TIMEOUT,
                                "%s port %u: waited too long for other requests to finish", t->host,
                                t->port));
    }
    start_waiting(fetch);
    arm_queue_timer(fetch);
}

/* ---- outcomes ---- */
static bool is_redirect(uint32_t status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

static void finish(struct transfer *t, CURLcode code)
{
    enum ms_err err;
    long status = 0;

    if (code != CURLE_OK) {
        err = transfer_error(t, code);
    } else {
        (void)curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
        t->response.status = (uint32_t)status;
        err = MS_OK;
        if (is_redirect(t->response.status) && t->location.len > 0) {
            err = transfer_follow(t);
            if (err == MS_OK)
                return; /* on its way again */
        }
    }
    complete(t, err);
}

void fetch_reap(struct fetch *fetch)
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
    fetch_loop_init(fetch);
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

enum ms_err fetch_start(struct fetch *fetch, const struct fetch_request *request, fetch_fn *fn,
                        void *arg, uint64_t *ret_id)
{
    struct transfer *t = calloc(1, sizeof(*t));

    if (t == NULL)
        return MS_ERR_MEMORY;
    t->fetch = fetch;
    t->kind = request->kind;
    t->client = request->client;
    t->fn = fn;
    t->arg = arg;
    t->id = ++fetch->last_id;
    t->deadline_ms = fetch_now_ms() + fetch->config.timeout_ms;
    t->response.id = request->id;
    t->request_body = (struct ms_buf)MS_BUF_INIT(SOURCE_RPC_BODY_MAX_BYTES);
    t->body = (struct ms_buf)MS_BUF_INIT(request->max_bytes);
    t->location = (struct ms_buf)MS_BUF_INIT(HEADER_VALUE_MAX);
    for (size_t i = 0; i < SOURCE_HEADER_COUNT; i++)
        t->fields[i] = (struct ms_buf)MS_BUF_INIT(HEADER_VALUE_MAX);
    t->refusal = transfer_prepare(t, request);
    if (t->refusal == MS_OK && queue_is_full(fetch, t->client))
        t->refusal = ms_diag_set(&t->response.diag, MS_ERR_OVERLOAD,
                                 "%u requests are waiting already", fetch->waiting.n);
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

void fetch_share(struct fetch *fetch, uint64_t id)
{
    struct list *const lists[] = {&fetch->active, &fetch->waiting};

    for (size_t i = 0; i < MS_ARRAY_LEN(lists); i++)
        for (struct transfer *t = lists[i]->head; t != NULL; t = t->next)
            if (t->id == id)
                t->client = 0;
    arm_queue_timer(fetch); /* it may start now */
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
    (void)curl_multi_cleanup(
        fetch->multi); /* closes kept connections, may still ask to unwatch sockets */
    fetch_trust_free(fetch->trust);
    fetch_loop_close(fetch);
}

void fetch_count(const struct fetch *fetch, struct fetch_counters *ret_counters)
{
    *ret_counters = fetch->counters;
    ret_counters->active = fetch->active.n;
    ret_counters->queued = fetch->waiting.n;
}
