/* resolver/daemon/backfill.c - jobs, in turns, and their requests, one after the other. */
#define _GNU_SOURCE
#include "resolver/daemon/backfill.h"

#include "resolver/daemon/backfill_sets.h"
#include "resolver/daemon/log.h"
#include "resolver/source/past_documents.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUSY_MS 50       /* while something is resolved, look again */
#define BUSY_MAX_MS 2000 /* a daemon that is never idle gets on with it all the same */
#define LOOK_MS 5000     /* how often entries are looked at, when configured */
#define RETRY_MS 10000   /* doubled with each failure */
#define RETRY_MAX_MS 600000
#define TRIES_MAX 8u
#define UNASKED_OPERATIONS_MAX 10000u
#define AGAIN_MS 3600000 /* an entry whose job failed is not begun again by itself before */

struct backfill {
    struct backfill_env env;
    const struct config *config;
    struct backfill_job *jobs; /* oldest first */
    struct backfill_job *active;
    uint64_t last_serial;
    bool stopped;
    int64_t look_ms;
    uv_timer_t timer;
    /* the request that is held back, or out */
    bool has_request, is_out;
    struct source_request request;
    int64_t wanted_ms, last_sent_ms;
};

static struct ms_now now_of(const struct backfill *b)
{
    return loop_now(b->env.loop);
}

static void note(const struct backfill_job *job, enum log_level level, const char *event,
                 const char *detail)
{
    log_line(level, "backfill", event, log_str("specifier", job->spec.canonical),
             log_str("detail", detail));
}

/* ---- jobs ---- */

static struct backfill_job *find(const struct backfill *b, const struct answer_id *id)
{
    for (struct backfill_job *job = b->jobs; job != NULL; job = job->next)
        if (job->id.level == id->level && ms_sha256_eq(&job->id.key, &id->key))
            return job;
    return NULL;
}

static bool has_ended(const struct backfill_job *job)
{
    return job->state == JOB_DONE || job->state == JOB_FAILED;
}

static void job_free(struct backfill_job *job)
{
    source_free(job->source);
    job_documents_free(job);
    sets_free(job);
    spec_done(&job->spec);
    free(job);
}

static void append(struct backfill *b, struct backfill_job *job)
{
    struct backfill_job **end = &b->jobs;

    while (*end != NULL)
        end = &(*end)->next;
    *end = job;
    job->next = NULL;
}

static void take_out(struct backfill *b, struct backfill_job *job)
{
    struct backfill_job **at = &b->jobs;

    while (*at != job)
        at = &(*at)->next;
    *at = job->next;
}

static void forget(struct backfill *b, struct backfill_job *job)
{
    take_out(b, job);
    job_free(job);
}

/* Those that have ended make room, the oldest first. */
static bool make_room(struct backfill *b, bool asked)
{
    struct backfill_job *unasked = NULL; /* the newest that has not begun */
    size_t n = 0;

    for (struct backfill_job *job = b->jobs; job != NULL; job = job->next)
        n++;
    for (struct backfill_job *job = b->jobs, *next; job != NULL && n >= BACKFILL_JOBS_MAX;
         job = next) {
        next = job->next;
        if (!has_ended(job))
            continue;
        forget(b, job);
        n--;
    }
    for (struct backfill_job *job = b->jobs; job != NULL && asked; job = job->next)
        if (job->state == JOB_QUEUED && !job->asked && !job->goes_on && job->started_s != 0)
            unasked = job;
    if (n < BACKFILL_JOBS_MAX || unasked == NULL)
        return n < BACKFILL_JOBS_MAX;
    forget(b, unasked); /* it is looked at again by itself */
    return true;
}

static struct backfill_job *new_job(struct backfill *b, const struct core_good *good, bool asked)
{
    static const struct spec_context lax; /* it was accepted when it was first asked for */
    struct backfill_job *job = make_room(b, asked) ? calloc(1, sizeof(*job)) : NULL;

    if (job == NULL)
        return NULL;
    job->owner = b;
    job->id = good->id;
    spec_init(&job->spec);
    if (spec_parse(ms_span_str(good->spec->canonical), &lax, &job->spec, NULL) != MS_OK) {
        free(job);
        return NULL;
    }
    append(b, job);
    return job;
}

/* ---- the end of one ---- */

static void drop_attempt(struct backfill *b)
{
    struct backfill_job *job = b->active;

    (void)uv_timer_stop(&b->timer);
    if (b->is_out)
        upstream_cancel(b->env.upstream, BACKFILL_TAG | job->serial << 12 | b->request.id);
    b->has_request = b->is_out = false;
    source_free(job->source);
    job->source = NULL;
}

static void mark(struct backfill *b, const struct backfill_job *job, int64_t after_ms)
{
    struct core_good good;

    if (!core_good(b->env.core, &job->id, &good))
        return;
    good.mark->sequence = after_ms == 0 ? (job->logs ? job->last_block : job->total) : 0;
    good.mark->after_ms = after_ms;
}

static void finish(struct backfill *b, enum ms_err err, const struct ms_diag *diag)
{
    struct backfill_job *job = b->active;
    struct ms_diag why = diag == NULL ? (struct ms_diag){0} : *diag;

    drop_attempt(b);
    if (job_documents_lacks(job) && now_of(b).boot_ms >= job->documents_again_ms)
        job->documents_again_ms = now_of(b).boot_ms + AGAIN_MS;
    job_documents_end(job);
    b->active = NULL;
    job->err = err;
    job->diag = why;
    job->ended_s = now_of(b).wall_s;
    job->state = err == MS_OK ? JOB_DONE : JOB_FAILED;
    mark(b, job, err == MS_OK ? 0 : now_of(b).boot_ms + AGAIN_MS);
    if (err == MS_OK)
        note(job, LOG_LEVEL_NOTICE, "complete",
             job->sets != NULL ? sets_complete(job) ? "sets, named back to the first"
                                                    : "sets, some are not to be had"
             : job->logs       ? "logs, as endpoints tell them"
                               : "proven back to the first operation");
    else
        note(job, LOG_LEVEL_WARNING, "failed", ms_diag_text(&why, err));
}

/* Somebody may answer later. */
static void wait_or_fail(struct backfill *b, enum ms_err err, const struct ms_diag *diag)
{
    struct backfill_job *job = b->active;
    int64_t wait_ms = RETRY_MS << (job->tries < 6 ? job->tries : 6);
    int64_t told_ms = source_retry_s(job->source) * 1000; /* Retry-After of a host */

    if (++job->tries >= TRIES_MAX) {
        finish(b, err, diag);
        return;
    }
    drop_attempt(b);
    b->active = NULL;
    job->state = JOB_WAITING;
    job->err = err;
    job->diag = diag == NULL ? (struct ms_diag){0} : *diag;
    wait_ms = wait_ms < RETRY_MAX_MS ? wait_ms : RETRY_MAX_MS;
    job->retry_ms = now_of(b).boot_ms + (told_ms > wait_ms ? told_ms : wait_ms);
    note(job, LOG_LEVEL_NOTICE, "waiting", ms_diag_text(&job->diag, err));
}

/* ---- what endpoints did ---- */

void job_complain(struct backfill_job *job, const char *provider, const char *event,
                  const char *text)
{
    log_line(LOG_LEVEL_WARNING, "backfill", event, log_str("name", provider),
             log_str("specifier", job->spec.canonical), log_str("cause", text));
    if (job->n_complaints == BACKFILL_COMPLAINTS_MAX) { /* the oldest goes */
        memmove(job->complaints, job->complaints + 1,
                (BACKFILL_COMPLAINTS_MAX - 1) * sizeof(job->complaints[0]));
        job->n_complaints--;
    }
    struct job_complaint *c = &job->complaints[job->n_complaints++];
    (void)snprintf(c->provider, sizeof(c->provider), "%s", provider);
    (void)snprintf(c->text, sizeof(c->text), "%s", text);
}

static void complain_of_documents(struct backfill_job *job)
{
    const struct past_complaint *c;

    for (size_t i = 0; (c = job_documents_complaint(job, i)) != NULL; i++)
        job_complain(job, c->name, "document-wrong", c->diag.text);
}

/* What is to be said of a provider's logs: the event, NULL for nothing. */
static const char *complaint(const struct backfill_job *job, uint32_t p, struct ms_diag *diag)
{
    static const char *const of_logs[] = {[LOG_FAULT_NONE] = NULL,
                                          [LOG_FAULT_REFUSED] = "no-logs",
                                          [LOG_FAULT_BLOCK] = "block-wrong",
                                          [LOG_FAULT_MISSING] = "logs-missing",
                                          [LOG_FAULT_WRONG] = "logs-wrong"};
    enum history_fault fault = HISTORY_FAULT_NONE;
    enum log_fault logs = LOG_FAULT_NONE;

    if (job->documents != NULL)
        return NULL; /* complain_of_documents has its own */
    if (job->logs)
        return source_log_walk_complaint(job->source, p, &logs, diag) ? of_logs[logs] : NULL;
    if (!source_walk_complaint(job->source, p, &fault, diag))
        return NULL;
    return fault == HISTORY_FAULT_NONE      ? "no-logs"
           : fault == HISTORY_FAULT_MISSING ? "logs-missing"
                                            : "logs-wrong";
}

static void note_conduct(struct backfill *b)
{
    struct backfill_job *job = b->active;

    for (uint32_t p = 0; job->sets == NULL && p < job->policy.n_providers; p++) {
        struct ms_diag diag = {0};
        upstream_conduct(b->env.upstream, p, source_conduct(job->source, p));
        upstream_learned(b->env.upstream, p, source_learned(job->source, p));
        const char *event = complaint(job, p, &diag);
        if (event != NULL)
            job_complain(job, job->policy.providers[p].name, event, diag.text);
    }
    if (job->documents != NULL)
        complain_of_documents(job);
}

/* ---- requests ---- */

static void send_later(struct backfill *b);

static void send_now(struct backfill *b)
{
    struct backfill_job *job = b->active;

    b->is_out = true;
    b->last_sent_ms = now_of(b).boot_ms;
    job->n_requests++;
    if (job->sets != NULL)
        sets_asking(job);
    else
        job->provider = b->request.kind == SOURCE_REQUEST_HTTP
                            ? "https"
                            : job->policy.providers[b->request.provider].name;
    upstream_send(b->env.upstream, BACKFILL_TAG | job->serial << 12 | b->request.id, &b->request);
}

static void on_timer(uv_timer_t *timer)
{
    struct backfill *b = timer->data;

    loop_turn(b->env.loop);
    if (b->has_request && !b->is_out)
        send_later(b);
}

/* At its time, and while nobody else needs the endpoints. */
static void send_later(struct backfill *b)
{
    int64_t now_ms = now_of(b).boot_ms;
    int64_t due_ms = b->last_sent_ms + 1000 / (int64_t)b->config->backfill_rate;
    bool busy = !core_quiet(b->env.core) && now_ms - b->wanted_ms < BUSY_MAX_MS;

    if (now_ms < due_ms)
        (void)uv_timer_start(&b->timer, on_timer, (uint64_t)(due_ms - now_ms), 0);
    else if (busy)
        (void)uv_timer_start(&b->timer, on_timer, BUSY_MS, 0);
    else
        send_now(b);
}

static void step(struct backfill *b, const struct source_response *response);

/* ---- attempts ---- */

static void begin_walk(struct backfill *b);
static void begin_fetch(struct backfill *b);
static void begin_next(struct backfill *b);

static bool is_ready(const struct backfill *b, const struct backfill_job *job)
{
    return job->state == JOB_QUEUED ||
           (job->state == JOB_WAITING && now_of(b).boot_ms >= job->retry_ms);
}

static bool others_are_ready(const struct backfill *b)
{
    const struct backfill_job *job = b->jobs;

    while (job != NULL && (job == b->active || !is_ready(b, job)))
        job = job->next;
    return job != NULL;
}

static void continue_job(struct backfill *b)
{
    b->active->goes_on = false;
    if (b->active->documents != NULL)
        begin_fetch(b);
    else
        begin_walk(b);
}

/* With what it found stored. A long past, which its contract's owner may have made long, holds up
 * nobody else's. */
static void go_on(struct backfill *b)
{
    struct backfill_job *job = b->active;

    if (!others_are_ready(b)) {
        continue_job(b);
        return;
    }
    take_out(b, job);
    append(b, job);
    job->state = JOB_QUEUED;
    job->goes_on = true;
    b->active = NULL;
    begin_next(b);
}

/* The store is done with it. false: nothing goes on, we are ending or the job has failed. */
static bool work_is_good(struct backfill *b, const struct backfill_job *job)
{
    if (!b->stopped && job->work_err != MS_OK)
        finish(b, job->work_err, &job->work_diag);
    return !b->stopped && job->work_err == MS_OK;
}

static void documents_written(struct store_job *work)
{
    struct backfill_job *job = job_of(work);
    struct backfill *b = job->owner;

    if (!work_is_good(b, job))
        return;
    job_documents_take(job);
    source_free(job->source);
    job->source = NULL;
    job->tries = 0;
    go_on(b);
}

/* When nobody could be asked: later, and in the end without them. */
static void fetch_ended(struct backfill *b)
{
    struct backfill_job *job = b->active;
    struct ms_diag diag = {0};

    note_conduct(b);
    if (job_documents_any(job)) {
        job->state = JOB_STORING;
        job->work = (struct store_job){.run = job_documents_write, .done = documents_written};
        store_run(b->env.store, &job->work);
        return;
    }
    enum ms_err err = source_error(job->source, &diag);
    if (err == MS_ERR_UNAVAILABLE && job->tries + 1 < TRIES_MAX) {
        wait_or_fail(b, err, &diag);
        return;
    }
    (void)ms_diag_set(&diag, err, "%s", ms_err_text(err));
    job_documents_give_up(job, &diag);
    finish(b, MS_OK, NULL);
}

static enum ms_err new_attempt(struct backfill *b, struct ms_diag *diag);

static void begin_attempt(struct backfill *b, enum job_state state)
{
    struct backfill_job *job = b->active;
    struct ms_diag diag = {0};

    config_policy(b->config, &job->policy);
    upstream_mark_providers(b->env.upstream, &job->policy);
    enum ms_err err =
        state == JOB_FETCHING ? job_documents_fetch(job, now_of(b), &diag) : new_attempt(b, &diag);
    if (err != MS_OK) {
        finish(b, err, &diag);
        return;
    }
    job->serial = ++b->last_serial;
    job->state = state;
    step(b, NULL);
}

static void begin_fetch(struct backfill *b)
{
    const struct backfill_job *job = b->active;

    if (job_documents_ended(job)) {
        finish(b, MS_OK, NULL);
        return;
    }
    begin_attempt(b, JOB_FETCHING);
}

static void documents_listed(struct store_job *work)
{
    struct backfill_job *job = job_of(work);
    struct backfill *b = job->owner;

    if (!work_is_good(b, job))
        return;
    /* each change of the registry begins a job: nobody is asked again for the same at each */
    if (!job->asked && now_of(b).boot_ms < job->documents_again_ms) {
        const struct ms_diag why = {.text = "it was asked for less than an hour ago"};
        job_documents_give_up(job, &why);
    }
    begin_fetch(b);
}

/* All operations are stored: now what they name. */
static void operations_done(struct backfill *b)
{
    struct backfill_job *job = b->active;

    job_documents_free(job);
    job->walked = true;
    job->state = JOB_READING;
    job->work = (struct store_job){.run = job_documents_list, .done = documents_listed};
    store_run(b->env.store, &job->work);
}

/* Where it began, and who is asked first from now on. */
static void note_ranges(struct backfill_job *job)
{
    const struct log_walk_range *ranges;
    size_t n = source_log_walk_ranges(job->source, &ranges);

    if (n > 0 && job->seek)
        job->first_block = ranges[0].from;
    if (n > 0)
        job->first_provider = ranges[n - 1].provider;
    job->seek = job->seek && n == 0;
}

static void written(struct store_job *work)
{
    struct backfill_job *job = job_of(work);
    struct backfill *b = job->owner;
    uint64_t window;

    if (!work_is_good(b, job))
        return;
    const struct history_found *found;
    const struct log_walk_found *logs;
    if (job->sets != NULL) {
        sets_written(job);
    } else if (job_rechecks(job)) {
        job->next_unchecked++;
    } else if (job->logs) {
        job->stored += source_log_walk_found(job->source, &logs);
        job->next_block = source_log_walk_next(job->source, &window);
        job->window = window;
        note_ranges(job);
    } else {
        job->stored += source_walk_found(job->source, &found);
        job->at = source_walk_next(job->source);
        if (job->at.sequence == 0 && job->until.sequence != 0)
            job->at = job->until;
    }
    struct ms_diag diag = {0};
    enum ms_err err = job->failing ? source_error(job->source, &diag) : MS_OK;
    source_free(job->source);
    job->source = NULL;
    job->tries = 0;
    if (err == MS_OK)
        go_on(b);
    else
        finish(b, err, &diag);
}

/* What it found is stored, be it that it failed afterwards. */
static void attempt_ended(struct backfill *b, enum source_state state)
{
    struct backfill_job *job = b->active;
    const struct history_found *found;
    const struct log_walk_range *ranges;
    struct ms_diag diag = {0};

    note_conduct(b);
    bool got_on = job->sets != NULL ? sets_walked(job)
                  : job->logs       ? source_log_walk_ranges(job->source, &ranges) > 0
                                    : source_walk_found(job->source, &found) > 0;
    if (!got_on) {
        enum ms_err err = source_error(job->source, &diag);
        if (err == MS_ERR_UNAVAILABLE)
            wait_or_fail(b, err, &diag);
        else
            finish(b, err, &diag);
        return;
    }
    job->failing = state == SOURCE_FAILED;
    job->state = JOB_STORING;
    job->work = (struct store_job){.run = job_write, .done = written};
    store_run(b->env.store, &job->work);
}

static void step(struct backfill *b, const struct source_response *response)
{
    struct backfill_job *job = b->active;
    enum source_state state = source_step(job->source, response, now_of(b));

    if (state != SOURCE_WANTS && job->documents != NULL) {
        fetch_ended(b);
        return;
    }
    if (state != SOURCE_WANTS) {
        attempt_ended(b, state);
        return;
    }
    b->has_request = source_take_request(job->source, &b->request);
    b->wanted_ms = now_of(b).boot_ms;
    if (b->has_request)
        send_later(b);
}

/* Over what is stored already; false: it does not fit to what is proven. */
static bool skip_stored(struct backfill_job *job, struct ms_diag *diag)
{
    job->until = (struct history_at){0};
    for (size_t i = 0; i < job->n_runs; i++) {
        const struct job_run *run = &job->runs[i];
        if (job->at.sequence == 0)
            return true;
        if (run->high.sequence < job->at.sequence) {
            job->until = run->high;
            return true;
        }
        if (run->below.sequence >= job->at.sequence)
            continue; /* all of it lies above */
        if (run->high.sequence == job->at.sequence &&
            !eth_hash_eq(&run->high.hash, &job->at.hash)) {
            (void)ms_diag_set(diag, MS_ERR_CONFLICT,
                              "operation %llu: another one is stored under its number",
                              (unsigned long long)job->at.sequence);
            return false;
        }
        job->at = run->below;
    }
    return true;
}

static enum ms_err new_attempt(struct backfill *b, struct ms_diag *diag)
{
    struct backfill_job *job = b->active;

    if (job->sets != NULL)
        return sets_walk(job, now_of(b), diag);
    if (job_rechecks(job)) {
        uint64_t block = job->unchecked[job->next_unchecked];
        struct log_walk in = {.from = block, .to = block, .level = job->id.level};
        return source_log_walk_new(&job->spec, &job->policy, &in, now_of(b), &job->source, diag);
    }
    if (job->logs) {
        struct log_walk in = {.from = job->next_block,
                              .to = job->last_block,
                              .seek = job->seek,
                              .window = job->window,
                              .level = job->id.level,
                              .first_provider = job->first_provider};
        return source_log_walk_new(&job->spec, &job->policy, &in, now_of(b), &job->source, diag);
    }
    struct history_walk in = {
        .from = job->at, .until = job->until, .newest = job->total, .known_code = job->known_code};
    return source_walk_new(&job->spec, &job->policy, &in, now_of(b), &job->source, diag);
}

static void begin_walk(struct backfill *b)
{
    struct backfill_job *job = b->active;
    struct ms_diag diag = {0};

    if (job->sets == NULL && !job->logs && !skip_stored(job, &diag)) {
        finish(b, MS_ERR_CONFLICT, &diag);
        return;
    }
    if (job->sets == NULL && !job->logs && job->at.sequence == 0) {
        operations_done(b);
        return;
    }
    if (job->sets != NULL ? sets_skip(job)
                          : job_rechecks(job) && job->next_unchecked >= job->n_unchecked) {
        finish(b, MS_OK, NULL);
        return;
    }
    begin_attempt(b, JOB_WALKING);
}

static void was_read(struct store_job *work)
{
    struct backfill_job *job = job_of(work);
    struct backfill *b = job->owner;

    if (!work_is_good(b, job))
        return;
    job->seek = job->logs && job->next_block == 0 && job->first_block == 0;
    if (job->logs && job->next_block < job->first_block)
        job->next_block = job->first_block;
    begin_walk(b);
}

/* ---- beginning ---- */

static bool is_registry(const struct core_good *good)
{
    return good->result->adapter != NULL && strcmp(good->result->adapter, "registry") == 0;
}

/* Why the past of this entry is not fetched; MS_OK: it can be. */
static enum ms_err refusal(const struct backfill *b, const struct core_good *good,
                           struct ms_diag *diag)
{
    if (sets_are(good))
        return MS_OK;                    /* proven by hash, whoever has them */
    if (good->id.level == SPEC_LEVEL_L1) /* l0 is a node of the operator's own */
        return ms_diag_set(diag, MS_ERR_LEVEL,
                           "at level l1 the state is one endpoint's word: a history is walked back "
                           "from level l2 on, or with an endpoint that is trusted = yes");
    if (b->config->nonfinality == CONFIG_NONFINALITY_SAFE)
        return ms_diag_set(diag, MS_ERR_LEVEL,
                           "with nonfinality = safe states are read that may be undone: a history "
                           "is walked back from finalized ones only");
    return MS_OK;
}

static enum ms_err start(struct backfill *b, struct backfill_job *job, struct ms_diag *diag)
{
    struct core_good good;

    if (!core_good(b->env.core, &job->id, &good))
        return ms_diag_set(diag, MS_ERR_UNAVAILABLE, "there is no answer whose evidence is stored");
    enum ms_err err = refusal(b, &good, diag);
    if (err != MS_OK)
        return err;
    job->evidence = good.evidence;
    if (sets_are(&good))
        return sets_start(job, &good);
    job->logs = !is_registry(&good);
    job->known_code = good.result->probe.known_code;
    if (job->logs) {
        job->first_block = good.result->scan.begun ? good.result->scan.from : good.spec->from;
        job->last_block = good.result->block.number;
        job->total = job->last_block;
        return MS_OK;
    }
    err = operations_proof_of(good.result, &job->proof, diag);
    job->at = job->proof.newest;
    job->total = job->proof.newest.sequence;
    return err;
}

static void begin(struct backfill *b, struct backfill_job *job)
{
    struct ms_diag diag = {0};

    b->active = job;
    if (job->goes_on) {
        continue_job(b);
        return;
    }
    job_documents_free(job);
    job->walked = false;
    enum ms_err err = start(b, job, &diag);
    if (err != MS_OK) {
        finish(b, err, &diag);
        return;
    }
    job->state = JOB_READING;
    job->work = (struct store_job){.run = job_read, .done = was_read};
    store_run(b->env.store, &job->work);
}

static void begin_next(struct backfill *b)
{
    for (struct backfill_job *job = b->jobs, *next; job != NULL && b->active == NULL; job = next) {
        next = job->next;
        if (is_ready(b, job))
            begin(b, job);
    }
}

static void requeue(const struct backfill *b, struct backfill_job *job)
{
    job->state = JOB_QUEUED;
    job->err = MS_OK;
    job->diag = (struct ms_diag){0};
    job->tries = 0;
    job->retry_ms = 0;
    job->n_requests = 0;
    job->n_complaints = 0;
    job->asked = false;
    job->goes_on = false;
    job->walked = false;
    job->ended_s = 0;
    job->started_s = now_of(b).wall_s;
}

void backfill_ask(struct backfill *b, const struct answer_id *id)
{
    struct backfill_job *job = find(b, id);
    struct core_good good;

    if (b->stopped)
        return;
    if (job == NULL && core_good(b->env.core, id, &good))
        job = new_job(b, &good, true);
    if (job == NULL)
        return;
    if (!has_ended(job) && job->state != JOB_WAITING && job->started_s != 0)
        return;
    requeue(b, job);
    job->asked = true;
}

/* A registry that anybody may have made, and anybody may ask for, does not fill our disk unasked.
 */
static bool is_too_long(const struct core_good *good)
{
    return is_registry(good) && good->result->sequence > UNASKED_OPERATIONS_MAX;
}

/* By configuration: it has more operations, or blocks, than when it was last looked at. */
static bool is_due(const struct backfill *b, const struct core_good *good)
{
    bool sets = sets_are(good);
    bool registry = is_registry(good);
    uint64_t now = registry || sets ? good->result->sequence : good->result->block.number;
    struct ms_diag diag;

    if (b->config->backfill == CONFIG_BACKFILL_NO ||
        (!registry && b->config->backfill != CONFIG_BACKFILL_ALL) || is_too_long(good) ||
        good->mark->sequence >= now || good->mark->after_ms > now_of(b).boot_ms ||
        refusal(b, good, &diag) != MS_OK)
        return false;
    /* logs: a window at a time */
    return registry || sets || good->mark->sequence == 0 ||
           now - good->mark->sequence >= LOG_WALK_WINDOW;
}

/* False: there is no room. */
static bool look_at(void *arg, const struct core_good *good)
{
    struct backfill *b = arg;

    if (!is_due(b, good))
        return true;
    struct backfill_job *job = find(b, &good->id);
    if (job == NULL)
        job = new_job(b, good, false);
    if (job != NULL && (has_ended(job) || job->started_s == 0))
        requeue(b, job);
    return job != NULL;
}

void backfill_tick(struct backfill *b)
{
    int64_t now_ms = now_of(b).boot_ms;

    if (b->stopped || b->active != NULL)
        return;
    if (now_ms >= b->look_ms) {
        b->look_ms = now_ms + LOOK_MS;
        core_each_good(b->env.core, look_at, b);
    }
    begin_next(b);
}

void backfill_response(struct backfill *b, uint64_t tag, const struct source_response *response)
{
    struct backfill_job *job = b->active;

    if (b->stopped || job == NULL || job->source == NULL || !b->is_out ||
        (tag & ~BACKFILL_TAG) >> 12 != job->serial)
        return;
    b->has_request = b->is_out = false;
    step(b, response);
}

/* ---- telling ---- */

static const char *state_name(enum job_state state)
{
    switch (state) {
    case JOB_QUEUED:
        return "queued";
    case JOB_READING:
        return "reading";
    case JOB_WALKING:
        return "walking";
    case JOB_FETCHING:
        return "fetching";
    case JOB_STORING:
        return "storing";
    case JOB_WAITING:
        return "waiting";
    case JOB_DONE:
        return "done";
    case JOB_FAILED:
        return "failed";
    }
    return "failed";
}

static json_t *complaints_json(const struct backfill_job *job)
{
    json_t *list = json_array();

    for (size_t i = 0; list != NULL && i < job->n_complaints; i++)
        (void)json_array_append_new(list,
                                    json_pack("{s:s, s:s}", "provider", job->complaints[i].provider,
                                              "text", job->complaints[i].text));
    return list;
}

static void add_kind(const struct backfill_job *job, json_t *out)
{
    if (job->sets != NULL) {
        sets_status(job, out);
        return;
    }
    if (job->logs) {
        (void)json_object_set_new(out, "first_block", json_integer((json_int_t)job->first_block));
        (void)json_object_set_new(out, "next_block", json_integer((json_int_t)job->next_block));
        (void)json_object_set_new(out, "last_block", json_integer((json_int_t)job->last_block));
        (void)json_object_set_new(out, "logs", json_integer((json_int_t)job->stored));
        return;
    }
    (void)json_object_set_new(out, "operations", json_integer((json_int_t)job->total));
    (void)json_object_set_new(out, "stored", json_integer((json_int_t)job->stored));
    job_documents_json(job, out);
    if (job->at.sequence != 0)
        (void)json_object_set_new(out, "block", json_integer((json_int_t)job->at.block));
}

/* Nobody asked, and configuration does not either. */
static json_t *no_job(const struct backfill *b, const struct answer_id *id)
{
    json_t *out = json_pack("{s:s}", "state", "none");
    struct core_good good;
    struct ms_diag diag = {0};

    if (out == NULL || !core_good(b->env.core, id, &good))
        return out;
    enum ms_err err = refusal(b, &good, &diag);
    if (err == MS_OK && is_too_long(&good))
        err = ms_diag_set(&diag, MS_ERR_LIMIT,
                          "more than %u operations are read back only when they are asked for: "
                          "measuredctl backfill",
                          UNASKED_OPERATIONS_MAX);
    if (err != MS_OK)
        (void)json_object_set_new(
            out, "error",
            json_pack("{s:s, s:s}", "code", ms_err_code(err), "text", ms_diag_text(&diag, err)));
    return out;
}

json_t *backfill_status(struct backfill *b, const struct answer_id *id)
{
    struct core_good good;
    char code[32];

    if (!b->stopped && core_good(b->env.core, id, &good))
        (void)look_at(b, &good); /* not only at its next turn: somebody waits for it */
    const struct backfill_job *job = find(b, id);
    if (job == NULL)
        return no_job(b, id);
    const char *kind = job->sets != NULL ? "sets" : job->logs ? "logs" : "registry";
    bool complete = job->sets != NULL ? sets_complete(job) : !job->logs && job->walked;
    json_t *out =
        json_pack("{s:s, s:s, s:s, s:b, s:I, s:I, s:I, s:o}", "specifier", job->spec.canonical,
                  "state", state_name(job->state), "kind", kind, "complete", (int)complete,
                  "requests", (json_int_t)job->n_requests, "started", (json_int_t)job->started_s,
                  "ended", (json_int_t)job->ended_s, "complaints", complaints_json(job));
    if (out == NULL)
        return NULL;
    add_kind(job, out);
    if (job->provider != NULL)
        (void)json_object_set_new(out, "provider", json_string(job->provider));
    (void)snprintf(code, sizeof(code), "%s", ms_err_code(job->err));
    if (job->err != MS_OK)
        (void)json_object_set_new(
            out, "error",
            json_pack("{s:s, s:s}", "code", code, "text", ms_diag_text(&job->diag, job->err)));
    return out;
}

/* ---- life ---- */

enum ms_err backfill_new(const struct backfill_env *env, const struct config *config,
                         struct backfill **ret_backfill)
{
    struct backfill *b = calloc(1, sizeof(*b));

    if (b == NULL)
        return MS_ERR_MEMORY;
    b->env = *env;
    b->config = config;
    (void)uv_timer_init(loop_uv(env->loop), &b->timer);
    b->timer.data = b;
    *ret_backfill = b;
    return MS_OK;
}

/* Providers are known by their index in the configuration. */
void backfill_set_config(struct backfill *b, const struct config *config)
{
    struct backfill_job *job = b->active;

    b->config = config;
    b->look_ms = 0;
    for (struct backfill_job *other = b->jobs; other != NULL; other = other->next)
        other->goes_on = false; /* whether it may is looked at anew */
    if (job == NULL || (job->state != JOB_WALKING && job->state != JOB_FETCHING))
        return;
    drop_attempt(b);
    b->active = NULL;
    job->state = JOB_QUEUED;
}

void backfill_stop(struct backfill *b)
{
    if (b == NULL || b->stopped)
        return;
    b->stopped = true;
    (void)uv_timer_stop(&b->timer);
    uv_close((uv_handle_t *)&b->timer, NULL);
}

void backfill_free(struct backfill *b)
{
    if (b == NULL)
        return;
    while (b->jobs != NULL)
        forget(b, b->jobs);
    free(b);
}
