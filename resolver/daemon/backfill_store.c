/* resolver/daemon/backfill_store.c - what a back-fill reads from the database and writes to it. */
#define _GNU_SOURCE
#include "cache/report.h"
#include "resolver/daemon/backfill_sets.h"

#include <stdlib.h>

/* ---- what is stored already ---- */

struct reader {
    struct backfill_job *job;
    struct registry_event last; /* its data is gone */
    uint64_t n;
};

/* A row that follows on nothing begins a run. Runs come lowest first, and are turned round at the
 * end. */
static enum ms_err add_row(struct reader *reader, const struct cache_operation *o,
                           struct ms_diag *diag)
{
    struct backfill_job *job = reader->job;
    const struct registry_event *event = &o->event;
    bool follows = reader->n > 0 && event->sequence == reader->last.sequence + 1 &&
                   eth_hash_eq(&o->before, &reader->last.history_hash);

    if (!follows && job->n_runs == BACKFILL_RUNS_MAX)
        return ms_diag_set(diag, MS_ERR_LIMIT, "what is stored has more than %u gaps",
                           BACKFILL_RUNS_MAX);
    if (!follows)
        job->runs[job->n_runs++].below = (struct history_at){
            .sequence = event->sequence - 1, .block = event->prev_block, .hash = o->before};
    job->runs[job->n_runs - 1].high =
        (struct history_at){event->sequence, event->block, event->history_hash};
    reader->last = *event;
    reader->n++;
    return MS_OK;
}

/* Each row has our code, and is a link: what the walk rests on is looked at again. */
static enum ms_err read_row(void *arg, enum ms_err row, const struct cache_operation *o,
                            const struct ms_diag *why)
{
    struct reader *reader = arg;
    struct ms_diag *diag = &reader->job->work_diag;

    if (row != MS_OK)
        return ms_diag_set(diag, row, "stored operation %llu: %s",
                           (unsigned long long)o->event.sequence, why->text);
    struct eth_hash hash = registry_history_hash(&o->before, &o->event);
    if (!eth_hash_eq(&hash, &o->event.history_hash))
        return ms_diag_set(diag, MS_ERR_COMMITMENT,
                           "stored operation %llu: its hash does not follow from what is stored",
                           (unsigned long long)o->event.sequence);
    return add_row(reader, o, diag);
}

static enum ms_err read_range(void *arg, enum ms_err row, const struct cache_log_range *range,
                              const struct ms_diag *why)
{
    struct backfill_job *job = arg;

    if (row != MS_OK)
        return ms_diag_set(&job->work_diag, row, "a stored range of blocks: %s", why->text);
    if (job->next_block == 0 && range->from <= job->first_block)
        job->first_block = range->from;
    if (range->from <= job->next_block || job->next_block == 0)
        job->next_block = range->to + 1;
    job->stored += range->n_logs;
    return MS_OK;
}

/* Whoever asks again wants to know what could not be found out before. */
static enum ms_err note_unchecked(void *arg, enum ms_err row, const struct cache_log *log,
                                  const struct ms_diag *why)
{
    struct backfill_job *job = arg;

    (void)why;
    if (row != MS_OK || job->n_unchecked == BACKFILL_UNCHECKED_MAX ||
        (log->check != NULL && log->check->checked != CACHE_LOGS_UNCHECKED) ||
        (job->n_unchecked > 0 && job->unchecked[job->n_unchecked - 1] == log->block))
        return MS_OK; /* a row that is not to be believed is told when logs are listed */
    job->unchecked[job->n_unchecked++] = log->block;
    return MS_OK;
}

void job_read(struct store_job *work, struct cache *cache)
{
    struct backfill_job *job = job_of(work);
    struct reader reader = {.job = job};

    job->work_diag = (struct ms_diag){0};
    job->stored = 0;
    if (job->sets != NULL) {
        sets_read(job, cache);
        return;
    }
    if (job->logs) {
        job->next_block = 0;
        job->work_err =
            cache_log_ranges_each(cache, &job->id.key, read_range, job, &job->work_diag);
        job->n_unchecked = job->next_unchecked = 0;
        if (job->work_err == MS_OK && job->asked)
            job->work_err =
                cache_logs_each(cache, &job->id.key, note_unchecked, job, &job->work_diag);
        return;
    }
    job->n_runs = 0;
    job->work_err = cache_operations_each(cache, &job->id.key, read_row, &reader, &job->work_diag);
    for (size_t i = 0; i < job->n_runs / 2; i++) {
        struct job_run run = job->runs[i];
        job->runs[i] = job->runs[job->n_runs - 1 - i];
        job->runs[job->n_runs - 1 - i] = run;
    }
    job->stored = reader.n;
}

/* ---- what was found ---- */

static const char *provider_name(const struct backfill_job *job, uint32_t provider)
{
    return provider < job->policy.n_providers ? job->policy.providers[provider].name : "?";
}

static enum ms_err write_operations(struct backfill_job *job, struct cache *cache)
{
    const struct history_found *found;
    size_t n = source_walk_found(job->source, &found);
    struct cache_operation *rows = calloc(n == 0 ? 1 : n, sizeof(*rows));

    if (rows == NULL)
        return MS_ERR_MEMORY;
    for (size_t i = 0; i < n; i++)
        rows[i] = (struct cache_operation){.key = job->id.key,
                                           .event = found[i].event,
                                           .before = found[i].before,
                                           .bundle = job->evidence,
                                           .provider = provider_name(job, found[i].provider),
                                           .recorded_s = clocks_now().wall_s};
    enum ms_err err = cache_operations_add(cache, rows, n, &job->work_diag);
    free(rows);
    return err;
}

static int64_t clamp(uint64_t time_s)
{
    return time_s > INT64_MAX ? INT64_MAX : (int64_t)time_s;
}

static uint64_t logs_of(const struct backfill_job *job, uint64_t block)
{
    const struct log_walk_found *found;
    size_t n = source_log_walk_found(job->source, &found);
    uint64_t count = 0;

    for (size_t i = 0; i < n; i++)
        count += found[i].log.block == block;
    return count;
}

/* What the walk found out of blocks. NULL without memory. */
static struct cache_log_check *new_checks(const struct backfill_job *job, size_t *ret_n)
{
    const struct log_walk_check *found;
    size_t n = source_log_walk_checks(job->source, &found);
    struct cache_log_check *checks = calloc(n + 1, sizeof(*checks));

    for (size_t i = 0; checks != NULL && i < n; i++)
        checks[i] = (struct cache_log_check){
            .block = found[i].block,
            .checked = found[i].checked ? CACHE_LOGS_CHECKED : CACHE_LOGS_UNCHECKED,
            .has_hash = found[i].has_header,
            .hash = found[i].hash,
            .time_s = found[i].has_header ? clamp(found[i].time_s) : 0,
            .n_logs = logs_of(job, found[i].block),
            .hash_by = found[i].hash_by,
            .provider = found[i].checked ? provider_name(job, found[i].provider) : "",
            .why = found[i].why,
            .recorded_s = clocks_now().wall_s};
    *ret_n = n;
    return checks;
}

static enum ms_err write_logs(struct backfill_job *job, struct cache *cache)
{
    const struct log_walk_found *found;
    const struct log_walk_range *seen;
    size_t n = source_log_walk_found(job->source, &found);
    size_t n_seen = source_log_walk_ranges(job->source, &seen);
    size_t n_checks = 0;
    struct cache_log *logs = calloc(n + 1, sizeof(*logs));
    struct cache_log_range *ranges = calloc(n_seen + 1, sizeof(*ranges));
    struct cache_log_check *checks = new_checks(job, &n_checks);
    int64_t now_s = clocks_now().wall_s;
    enum ms_err err = logs == NULL || ranges == NULL || checks == NULL ? MS_ERR_MEMORY : MS_OK;

    for (size_t i = 0; err == MS_OK && i < n; i++) {
        const struct eth_log *log = &found[i].log;
        logs[i] = (struct cache_log){.block = log->block,
                                     .index = log->index,
                                     .address = log->address,
                                     .n_topics = log->n_topics,
                                     .data = log->data,
                                     .provider = provider_name(job, found[i].provider),
                                     .recorded_s = now_s};
        memcpy(logs[i].topics, log->topics, sizeof(log->topics));
    }
    for (size_t i = 0; err == MS_OK && i < n_seen; i++)
        ranges[i] = (struct cache_log_range){.from = seen[i].from,
                                             .to = seen[i].to,
                                             .n_logs = seen[i].n_logs,
                                             .provider = provider_name(job, seen[i].provider),
                                             .recorded_s = now_s};
    const struct cache_logs all = {n, n_seen, n_checks, logs, ranges, checks};
    if (err == MS_OK)
        err = cache_logs_add(cache, &job->id.key, &all, &job->work_diag);
    free(logs);
    free(ranges);
    free(checks);
    return err;
}

struct comparison { /* of what is stored of a block with what its receipts have */
    uint64_t block;
    const struct log_walk_found *found;
    size_t n, n_stored;
    bool differs;
};

static enum ms_err compare_log(void *arg, enum ms_err row, const struct cache_log *log,
                               const struct ms_diag *why)
{
    struct comparison *c = arg;

    (void)why;
    if (row != MS_OK || log->block != c->block)
        return MS_OK;
    const struct eth_log *is = c->n_stored < c->n ? &c->found[c->n_stored].log : NULL;
    c->n_stored++;
    c->differs = c->differs || is == NULL || is->index != log->index ||
                 !eth_addr_eq(&is->address, &log->address) || is->n_topics != log->n_topics ||
                 memcmp(is->topics, log->topics, log->n_topics * sizeof(log->topics[0])) != 0 ||
                 !ms_span_eq(is->data, log->data);
    return MS_OK;
}

/* Logs are append-only: one that was stored wrong stays, and is told as that. */
static enum ms_err write_recheck(struct backfill_job *job, struct cache *cache)
{
    struct comparison c = {.block = job->unchecked[job->next_unchecked]};
    size_t n_checks = 0;
    struct cache_log_check *check = new_checks(job, &n_checks);

    c.n = source_log_walk_found(job->source, &c.found);
    if (check == NULL)
        return MS_ERR_MEMORY;
    enum ms_err err = MS_OK;
    if (n_checks == 1 && check->checked == CACHE_LOGS_CHECKED) {
        const struct cache_logs all = {.n_checks = 1, .checks = check};
        err = cache_logs_each(cache, &job->id.key, compare_log, &c, &job->work_diag);
        if (c.differs || c.n_stored != c.n) {
            check->checked = CACHE_LOGS_WRONG;
            check->why = "the block's receipts have other logs than were stored";
        }
        check->n_logs = c.n_stored;
        if (err == MS_OK)
            err = cache_logs_add(cache, &job->id.key, &all, &job->work_diag);
    }
    free(check);
    return err;
}

void job_write(struct store_job *work, struct cache *cache)
{
    struct backfill_job *job = job_of(work);

    job->work_diag = (struct ms_diag){0};
    if (job->sets != NULL)
        sets_write(job, cache);
    else
        job->work_err = job_rechecks(job) ? write_recheck(job, cache)
                        : job->logs       ? write_logs(job, cache)
                                          : write_operations(job, cache);
}

/* ---- telling what is stored ---- */

struct teller {
    struct cache *cache;
    uint64_t from;      /* first sequence, or block, that is told */
    struct ms_buf *out; /* borrowed */
    struct ms_diag *diag;
    struct history_past past;
    struct ms_arena arena;  /* what `past` borrows */
    uint64_t n, last, next; /* next: the first that did not fit, 0: all did */
    bool gap;
    size_t told;
};

#define LIST_OPERATIONS_MAX 5000u /* or logs */
#define LIST_ARENA_MAX_BYTES ((size_t)HISTORY_OPERATIONS_MAX * 1024)

static bool has_document(void *arg, const struct registry_release *release)
{
    bool known = false;

    return cache_document_known(arg, &release->payload_hash, &known, NULL) == MS_OK && known;
}

static enum ms_err tell(struct teller *t, const struct cache_operation *o,
                        const struct history_operation *operation)
{
    struct operation_facts facts = {&o->bundle, o->provider, has_document, t->cache};
    struct registry_release gone;

    if (o->event.sequence >= t->from && t->told == LIST_OPERATIONS_MAX && t->next == 0)
        t->next = o->event.sequence;
    if (o->event.sequence < t->from || t->told == LIST_OPERATIONS_MAX) {
        (void)history_past_apply(&t->past, operation, &gone);
        return MS_OK;
    }
    json_t *json = operation_json(operation, &t->past, &facts);
    if (json == NULL)
        return MS_ERR_MEMORY;
    (void)ms_buf_add_str(t->out, t->told++ == 0 ? "\n" : ",\n");
    enum ms_err err = ms_json_print(json, false, t->out);
    json_decref(json);
    return err;
}

/* Past states are known from the first operation on; behind a gap they are not. */
static enum ms_err tell_row(void *arg, enum ms_err row, const struct cache_operation *o,
                            const struct ms_diag *why)
{
    struct teller *t = arg;
    struct history_operation operation;

    if (row != MS_OK)
        return ms_diag_set(t->diag, row, "stored operation %llu: %s",
                           (unsigned long long)o->event.sequence, why->text);
    t->gap = t->gap || o->event.sequence != t->last + 1;
    t->last = o->event.sequence;
    t->n++;
    enum ms_err err = history_operation_read(&o->event, &t->arena, &operation);
    return err == MS_OK ? tell(t, o, &operation) : err;
}

/* ---- logs and the blocks they were searched in ---- */

static enum ms_err tell_log(void *arg, enum ms_err row, const struct cache_log *log,
                            const struct ms_diag *why)
{
    struct teller *t = arg;

    if (row != MS_OK)
        return ms_diag_set(t->diag, row, "a stored log: %s", why->text);
    json_t *json = report_log_json(row, log, why);
    enum ms_err err = json == NULL ? MS_ERR_MEMORY : MS_OK;
    if (err == MS_OK && log->block >= t->from && t->told >= LIST_OPERATIONS_MAX && t->next == 0 &&
        log->block != t->last)
        t->next = log->block; /* a block's logs are not torn apart */
    if (err == MS_OK && log->block >= t->from && t->next == 0) {
        (void)ms_buf_add_str(t->out, t->told++ == 0 ? "\n" : ",\n");
        err = ms_json_print(json, false, t->out);
    }
    t->last = log->block;
    t->n++;
    json_decref(json);
    return err;
}

static enum ms_err tell_range(void *arg, enum ms_err row, const struct cache_log_range *range,
                              const struct ms_diag *why)
{
    struct teller *t = arg;

    if (row != MS_OK)
        return ms_diag_set(t->diag, row, "a stored range of blocks: %s", why->text);
    (void)ms_buf_addf(t->out, "%s\n{\"from\":%llu,\"to\":%llu,\"logs\":%llu,\"provider\":",
                      t->told++ == 0 ? "" : ",", (unsigned long long)range->from,
                      (unsigned long long)range->to, (unsigned long long)range->n_logs);
    (void)ms_json_add_string(t->out, ms_span_str(range->provider));
    return ms_buf_add_str(t->out, "}");
}

static enum ms_err list_logs(struct teller *t, const struct ms_sha256 *key)
{
    t->told = 0;
    t->n = t->last = 0;
    (void)ms_buf_add_str(t->out, ",\"logs\":[");
    enum ms_err err = cache_logs_each(t->cache, key, tell_log, t, t->diag);
    t->told = 0;
    (void)ms_buf_add_str(t->out, "\n],\"ranges\":[");
    if (err == MS_OK)
        err = cache_log_ranges_each(t->cache, key, tell_range, t, t->diag);
    (void)ms_buf_add_str(t->out, "\n]");
    return err;
}

enum ms_err backfill_list(struct cache *cache, const struct ms_sha256 *key, uint64_t from,
                          struct ms_buf *out, struct ms_diag *diag)
{
    struct teller *t = calloc(1, sizeof(*t)); /* a past state is large */

    if (t == NULL)
        return MS_ERR_MEMORY;
    *t = (struct teller){.cache = cache, .from = from, .out = out, .diag = diag};
    t->arena.max = LIST_ARENA_MAX_BYTES;
    (void)ms_buf_add_str(out, "{\"operations\":[");
    enum ms_err err = cache_operations_each(cache, key, tell_row, t, diag);
    (void)ms_buf_addf(out, "\n],\"stored\":%llu,\"newest\":%llu,\"complete\":%s",
                      (unsigned long long)t->n, (unsigned long long)t->last,
                      t->n > 0 && !t->gap ? "true" : "false");
    if (err == MS_OK && t->n == 0)
        err = list_logs(t, key);
    if (t->next != 0)
        (void)ms_buf_addf(out, ",\"next\":%llu", (unsigned long long)t->next);
    (void)ms_buf_add_str(out, "}\n");
    if (err == MS_OK)
        err = ms_buf_err(out);
    ms_arena_done(&t->arena);
    free(t);
    return err;
}
