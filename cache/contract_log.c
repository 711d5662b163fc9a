/* cache/contract_log.c - logs of contracts that are no registry, and the blocks that were asked
 * about: append-only, as endpoints told them. */
#include "cache/internal.h"

#define LOG_TABLE "contract_log"
#define LOG_CELLS 9
#define RANGE_TABLE "log_range"
#define RANGE_CELLS 6
#define ROW_ARENA_BYTES (CACHE_LOG_DATA_MAX_BYTES + 4096u)

static enum ms_err from_log(const struct ms_sha256 *key, const struct cache_log *l, struct row *row)
{
    *row = (struct row){0};
    if (l->n_topics > CACHE_LOG_TOPICS_MAX || l->data.len > CACHE_LOG_DATA_MAX_BYTES ||
        l->block > INT64_MAX || l->index > INT64_MAX || l->provider == NULL)
        return MS_ERR_ARGUMENT;
    row_add_blob(row, key->b, sizeof(key->b));
    row_add_int(row, (int64_t)l->block);
    row_add_int(row, (int64_t)l->index);
    row_add_blob(row, l->address.b, sizeof(l->address.b));
    row_add_blob(row, l->topics, l->n_topics * sizeof(l->topics[0]));
    row_add_blob(row, l->data.ptr, l->data.len);
    row_add_text(row, l->provider);
    row_add_int(row, l->recorded_s);
    row_add_int(row, 0); /* complete: nobody can know */
    return MS_OK;
}

static enum ms_err to_log(const struct row *row, struct ms_arena *arena, struct cache_log *ret_log,
                          struct ms_diag *diag)
{
    struct row_reader r = {.row = row, .arena = arena};
    struct cache_log l = {0};
    struct ms_sha256 key;

    row_bytes(&r, key.b, sizeof(key.b));
    l.block = (uint64_t)row_int(&r, 0, INT64_MAX);
    l.index = (uint64_t)row_int(&r, 0, INT64_MAX);
    row_bytes(&r, l.address.b, sizeof(l.address.b));
    struct ms_span topics = row_blob(&r, sizeof(l.topics));
    r.failed = r.failed || topics.len % sizeof(l.topics[0]) != 0;
    l.data = row_blob(&r, CACHE_LOG_DATA_MAX_BYTES);
    l.provider = row_text(&r, 1, CACHE_PROVIDER_MAX_BYTES);
    l.recorded_s = row_int(&r, INT64_MIN / 4, INT64_MAX / 4);
    (void)row_int(&r, 0, 0);
    enum ms_err err = row_end(&r, LOG_TABLE, diag);
    if (err != MS_OK)
        return err;
    l.n_topics = topics.len / sizeof(l.topics[0]);
    if (topics.len > 0)
        memcpy(l.topics, topics.ptr, topics.len);
    *ret_log = l;
    return MS_OK;
}

static enum ms_err add_range(struct cache *cache, const struct ms_sha256 *key,
                             const struct cache_log_range *range, struct ms_diag *diag)
{
    struct row row = {0};

    if (range->from > range->to || range->to > INT64_MAX || range->provider == NULL)
        return MS_ERR_ARGUMENT;
    row_add_blob(&row, key->b, sizeof(key->b));
    row_add_int(&row, (int64_t)range->from);
    row_add_int(&row, (int64_t)range->to);
    row_add_int(&row, (int64_t)range->n_logs);
    row_add_text(&row, range->provider);
    row_add_int(&row, range->recorded_s);
    return row_insert(cache, CACHE_STMT_RANGE_INSERT, RANGE_TABLE, &row, diag);
}

enum ms_err cache_logs_add(struct cache *cache, const struct ms_sha256 *key,
                           const struct cache_log *logs, size_t n_logs,
                           const struct cache_log_range *ranges, size_t n_ranges,
                           struct ms_diag *diag)
{
    struct row row;

    if (cache->readonly)
        return ms_diag_set(diag, MS_ERR_STORE, "the database is open for reading only");
    enum ms_err err = cache_begin(cache, diag);
    if (err != MS_OK)
        return err;
    for (size_t i = 0; err == MS_OK && i < n_logs; i++) {
        err = from_log(key, &logs[i], &row);
        if (err == MS_OK)
            err = row_insert(cache, CACHE_STMT_CONTRACT_LOG_INSERT, LOG_TABLE, &row, diag);
    }
    for (size_t i = 0; err == MS_OK && i < n_ranges; i++)
        err = add_range(cache, key, &ranges[i], diag);
    return cache_end(cache, err, diag);
}

enum ms_err cache_logs_each(struct cache *cache, const struct ms_sha256 *key, cache_log_fn *fn,
                            void *arg, struct ms_diag *diag)
{
    int rc = SQLITE_DONE;

    enum ms_err err = row_bind_key(cache, CACHE_STMT_CONTRACT_LOG_KEY, key, diag);
    while (err == MS_OK &&
           (rc = sqlite3_step(cache->stmt[CACHE_STMT_CONTRACT_LOG_KEY])) == SQLITE_ROW) {
        struct ms_arena arena = MS_ARENA_INIT(ROW_ARENA_BYTES);
        struct cache_log log = {0};
        struct ms_diag why = {0};
        struct ms_sha256 hmac;
        struct row row;
        enum ms_err bad =
            row_read(cache, CACHE_STMT_CONTRACT_LOG_KEY, LOG_TABLE, LOG_CELLS, &row, &hmac, &why);
        if (bad == MS_OK)
            bad = to_log(&row, &arena, &log, &why);
        err = fn(arg, bad, &log, &why);
        ms_arena_done(&arena);
    }
    if (err == MS_OK && rc != SQLITE_DONE)
        err = cache_sql_error(cache, diag, "read logs");
    cache_reset(cache, CACHE_STMT_CONTRACT_LOG_KEY);
    return err;
}

enum ms_err cache_log_ranges_each(struct cache *cache, const struct ms_sha256 *key,
                                  cache_log_range_fn *fn, void *arg, struct ms_diag *diag)
{
    int rc = SQLITE_DONE;

    enum ms_err err = row_bind_key(cache, CACHE_STMT_RANGE_KEY, key, diag);
    while (err == MS_OK && (rc = sqlite3_step(cache->stmt[CACHE_STMT_RANGE_KEY])) == SQLITE_ROW) {
        struct ms_arena arena = MS_ARENA_INIT(ROW_ARENA_BYTES);
        struct cache_log_range range = {0};
        struct ms_diag why = {0};
        struct ms_sha256 hmac, of;
        struct row row;
        enum ms_err bad =
            row_read(cache, CACHE_STMT_RANGE_KEY, RANGE_TABLE, RANGE_CELLS, &row, &hmac, &why);
        if (bad == MS_OK) {
            struct row_reader r = {.row = &row, .arena = &arena};
            row_bytes(&r, of.b, sizeof(of.b));
            range.from = (uint64_t)row_int(&r, 0, INT64_MAX);
            range.to = (uint64_t)row_int(&r, (int64_t)range.from, INT64_MAX);
            range.n_logs = (uint64_t)row_int(&r, 0, INT64_MAX);
            range.provider = row_text(&r, 1, CACHE_PROVIDER_MAX_BYTES);
            range.recorded_s = row_int(&r, INT64_MIN / 4, INT64_MAX / 4);
            bad = row_end(&r, RANGE_TABLE, &why);
        }
        err = fn(arg, bad, &range, &why);
        ms_arena_done(&arena);
    }
    if (err == MS_OK && rc != SQLITE_DONE)
        err = cache_sql_error(cache, diag, "read ranges of logs");
    cache_reset(cache, CACHE_STMT_RANGE_KEY);
    return err;
}
