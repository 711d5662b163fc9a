/* cache/report_parts.c - the one place where other parts of the cache join in what is reported and
 * audited: operations and logs that were fetched from a contract's past, signed sets of the past,
 * and the transparency log. */
#include "cache/audit.h"
#include "cache/internal.h"
#include "cache/log.h"
#include "cache/past_set_audit.h"
#include "cache/past_set_report.h"
#include "cache/report.h"
#include "resolver/entry/operations.h"

#include <stdlib.h>

/* ---- operations, told ---- */

#define ARENA_MAX_BYTES ((size_t)HISTORY_OPERATIONS_MAX * 1024)
#define TOLD_MAX 5000u /* the newest ones; /v1/operations pages through all */
#define TOLD_ROOM (2 * TOLD_MAX)

struct teller {
    struct cache *cache;
    json_t *rows;
    struct history_past past;
    struct ms_arena arena; /* what `past` borrows */
    struct ms_diag *diag;
};

/* Without the oldest. false: no memory. */
static bool keep_newest(json_t **rows)
{
    size_t n = json_array_size(*rows);
    json_t *newest = json_array();
    bool ok = newest != NULL;

    for (size_t i = n < TOLD_MAX ? 0 : n - TOLD_MAX; ok && i < n; i++)
        ok = json_array_append(newest, json_array_get(*rows, i)) == 0;
    json_decref(*rows);
    *rows = newest;
    return ok;
}

/* As `at` would find it. */
static bool has_document(void *arg, const struct registry_release *release)
{
    const struct teller *t = arg;
    bool known = false;

    return cache_document_known(t->cache, &release->payload_hash, &known, NULL) == MS_OK && known;
}

static enum ms_err tell_operation(void *arg, enum ms_err row, const struct cache_operation *o,
                                  const struct ms_diag *why)
{
    struct teller *t = arg;
    const struct operation_facts facts = {&o->bundle, o->provider, has_document, t};
    struct history_operation operation;

    if (row != MS_OK)
        return ms_diag_set(t->diag, row, "stored operation %llu: %s",
                           (unsigned long long)o->event.sequence, why->text);
    enum ms_err err = history_operation_read(&o->event, &t->arena, &operation);
    json_t *json = err == MS_OK ? operation_json(&operation, &t->past, &facts) : NULL;
    if (err != MS_OK || json == NULL ||
        json_object_set_new(json, "source", json_string("chain")) != 0 ||
        (json_array_size(t->rows) == TOLD_ROOM && !keep_newest(&t->rows))) {
        json_decref(json);
        return err != MS_OK ? err : MS_ERR_MEMORY;
    }
    return json_array_append_new(t->rows, json) == 0 ? MS_OK : MS_ERR_MEMORY;
}

static enum ms_err tell_operations(struct cache *cache, const struct ms_sha256 *key,
                                   json_t **ret_rows, struct ms_diag *diag)
{
    struct teller *t = calloc(1, sizeof(*t)); /* a past state is large */
    enum ms_err err = MS_ERR_MEMORY;

    if (t == NULL)
        return err;
    t->cache = cache;
    t->rows = json_array();
    t->arena.max = ARENA_MAX_BYTES;
    t->diag = diag;
    if (t->rows != NULL)
        err = cache_operations_each(cache, key, tell_operation, t, diag);
    if (err == MS_OK && !keep_newest(&t->rows))
        err = MS_ERR_MEMORY;
    if (err == MS_OK && json_array_size(t->rows) > 0)
        *ret_rows = json_incref(t->rows);
    ms_arena_done(&t->arena);
    json_decref(t->rows);
    free(t);
    return err;
}

/* A key is a contract's or that of signers. */
static enum ms_err tell_past(struct cache *cache, const struct ms_sha256 *key, json_t **ret_rows,
                             struct ms_diag *diag)
{
    enum ms_err err = tell_operations(cache, key, ret_rows, diag);

    return err == MS_OK && *ret_rows == NULL ? past_sets_report(cache, key, ret_rows, diag) : err;
}

report_operations_fn *const report_operations = tell_past;

/* ---- logs, told ---- */

#define LOGS_MAX_BYTES ((size_t)2 << 20) /* of one answer: the newest ones */
#define LOG_BYTES 900u                   /* of a row, but its data */

struct log_teller {
    json_t *rows;
    size_t bytes;
};

static size_t log_bytes(const json_t *row)
{
    return LOG_BYTES + json_string_length(json_object_get(row, "data"));
}

static enum ms_err tell_log(void *arg, enum ms_err bad, const struct cache_log *log,
                            const struct ms_diag *why)
{
    struct log_teller *t = arg;
    json_t *row = report_log_json(bad, log, why);

    if (row == NULL)
        return MS_ERR_MEMORY;
    t->bytes += log_bytes(row);
    if (json_array_append_new(t->rows, row) != 0)
        return MS_ERR_MEMORY;
    while (json_array_size(t->rows) > TOLD_MAX || t->bytes > LOGS_MAX_BYTES) {
        t->bytes -= log_bytes(json_array_get(t->rows, 0));
        if (json_array_remove(t->rows, 0) != 0)
            return MS_ERR_INTERNAL;
    }
    return MS_OK;
}

static enum ms_err tell_logs(struct cache *cache, const struct ms_sha256 *key, json_t **ret_rows,
                             struct ms_diag *diag)
{
    struct log_teller t = {.rows = json_array()};

    enum ms_err err =
        t.rows == NULL ? MS_ERR_MEMORY : cache_logs_each(cache, key, tell_log, &t, diag);
    if (err == MS_OK && json_array_size(t.rows) > 0)
        *ret_rows = json_incref(t.rows);
    json_decref(t.rows);
    return err;
}

report_operations_fn *const report_logs = tell_logs;

/* ---- operations and the log, audited ---- */

struct auditing {
    const struct audit_sink *sink;
    struct audit_counts *counts;
    struct audit_keys keys;
};

static void found(void *arg, const char *text)
{
    struct auditing *a = arg;
    const struct audit_finding finding = {.what = "log", .why = text};

    audit_tell(a->sink, a->counts, &finding);
}

static enum ms_err note_key(void *arg, enum ms_err row, const struct cache_operation *o,
                            const struct ms_diag *why)
{
    struct auditing *a = arg;

    (void)row; /* a bad one is found when its key is checked */
    (void)why;
    return audit_keys_add(&a->keys, &o->key);
}

static bool is_finding(enum ms_err err)
{
    return err == MS_ERR_HMAC || err == MS_ERR_COMMITMENT || err == MS_ERR_EVIDENCE ||
           err == MS_ERR_STORE;
}

static enum ms_err audit_operations(struct cache *cache, struct auditing *a, struct ms_diag *diag)
{
    enum ms_err err = cache_operations_each(cache, NULL, note_key, a, diag);

    for (size_t i = 0; err == MS_OK && i < a->keys.n; i++) {
        struct operations_verdict verdict;
        struct ms_diag why = {0};
        enum ms_err one = cache_operations_verify(cache, &a->keys.items[i], &verdict, &why);
        struct audit_finding finding = {.what = "operation",
                                        .has_key = true,
                                        .key = a->keys.items[i],
                                        .why = ms_diag_text(&why, one)};
        if (is_finding(one))
            audit_tell(a->sink, a->counts, &finding);
        else
            err = one == MS_OK ? MS_OK : ms_diag_set(diag, one, "%s", finding.why);
    }
    return err;
}

/* Nothing proves what endpoints told; that a row is as we wrote it, its code does. */
static void bad_row(struct auditing *a, enum ms_err row, const struct ms_diag *why)
{
    const struct audit_finding finding = {.what = "contract-log", .why = ms_diag_text(why, row)};

    if (row != MS_OK)
        audit_tell(a->sink, a->counts, &finding);
}

static enum ms_err audit_log_row(void *arg, enum ms_err row, const struct cache_log *log,
                                 const struct ms_diag *why)
{
    (void)log;
    bad_row(arg, row, why);
    return MS_OK;
}

static enum ms_err audit_range(void *arg, enum ms_err row, const struct cache_log_range *range,
                               const struct ms_diag *why)
{
    (void)range;
    bad_row(arg, row, why);
    return MS_OK;
}

static enum ms_err audit_parts(struct cache *cache, const struct audit_sink *sink,
                               struct audit_counts *counts, struct ms_diag *diag)
{
    struct auditing a = {.sink = sink, .counts = counts};
    struct cache_log_report report;

    enum ms_err err = audit_operations(cache, &a, diag);
    if (err == MS_OK)
        err = audit_past_documents(cache, sink, counts, diag);
    if (err == MS_OK)
        err = cache_logs_each(cache, NULL, audit_log_row, &a, diag);
    if (err == MS_OK)
        err = cache_log_ranges_each(cache, NULL, audit_range, &a, diag);
    if (err == MS_OK)
        err = past_sets_audit(cache, sink, counts, diag);
    if (err == MS_OK)
        err = cache_log_audit(cache, NULL, 0, found, &a, &report, diag);
    free(a.keys.items);
    return err;
}

audit_log_fn *const audit_log = audit_parts;
