/* cache/contract_log.c - logs of contracts that are no registry, the blocks that were asked about,
 * and of which blocks it was shown which logs they have: append-only, as endpoints told them. */
#include "cache/internal.h"

#include <stdlib.h>

#define LOG_TABLE "contract_log"
#define LOG_CELLS 9
#define RANGE_TABLE "log_range"
#define RANGE_CELLS 6
#define CHECK_TABLE "log_check"
#define CHECK_CELLS 10
#define CHECK_TEXT_MAX_BYTES 256u
#define CHECKS_ARENA_MAX_BYTES ((size_t)64 << 20) /* texts of a million blocks */
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

/* ---- what is known of blocks ---- */

static enum ms_err add_check(struct cache *cache, const struct ms_sha256 *key,
                             const struct cache_log_check *check, struct ms_diag *diag)
{
    struct row row = {0};

    if (check->block > INT64_MAX || check->n_logs > INT64_MAX || check->hash_by == NULL ||
        check->provider == NULL || check->why == NULL || check->time_s < 0 ||
        strlen(check->why) > CHECK_TEXT_MAX_BYTES)
        return MS_ERR_ARGUMENT;
    row_add_blob(&row, key->b, sizeof(key->b));
    row_add_int(&row, (int64_t)check->block);
    row_add_int(&row, check->checked);
    if (check->has_hash)
        row_add_blob(&row, check->hash.b, sizeof(check->hash.b));
    else
        row_add_null(&row);
    row_add_int(&row, check->time_s);
    row_add_int(&row, (int64_t)check->n_logs);
    row_add_text(&row, check->hash_by);
    row_add_text(&row, check->provider);
    row_add_text(&row, check->why);
    row_add_int(&row, check->recorded_s);
    return row_insert(cache, CACHE_STMT_LOG_CHECK_INSERT, CHECK_TABLE, &row, diag);
}

struct known { /* of one block */
    struct cache_log_check check;
    enum ms_err err; /* the row is not to be believed */
    uint64_t n_logs; /* stored */
};

struct checks {
    struct ms_arena arena; /* of their texts */
    size_t n, cap;
    struct known *blocks; /* rising */
};

static enum ms_err to_check(const struct row *row, struct ms_arena *arena,
                            struct cache_log_check *ret_check, struct ms_diag *diag)
{
    struct row_reader r = {.row = row, .arena = arena};
    struct cache_log_check c = {0};
    struct ms_sha256 key;

    row_bytes(&r, key.b, sizeof(key.b));
    c.block = (uint64_t)row_int(&r, 0, INT64_MAX);
    c.checked = (enum cache_log_checked)row_int(&r, CACHE_LOGS_UNCHECKED, CACHE_LOGS_WRONG);
    c.has_hash = row_bytes_or_null(&r, c.hash.b, sizeof(c.hash.b));
    c.time_s = row_int(&r, 0, INT64_MAX);
    c.n_logs = (uint64_t)row_int(&r, 0, INT64_MAX);
    c.hash_by = row_text(&r, 0, CHECK_TEXT_MAX_BYTES);
    c.provider = row_text(&r, 0, CACHE_PROVIDER_MAX_BYTES);
    c.why = row_text(&r, 0, CHECK_TEXT_MAX_BYTES);
    c.recorded_s = row_int(&r, INT64_MIN / 4, INT64_MAX / 4);
    enum ms_err err = row_end(&r, CHECK_TABLE, diag);
    if (err == MS_OK)
        *ret_check = c;
    return err;
}

/* Of several rows of a block the last one counts: it was checked in the end. */
static struct known *room_for(struct checks *checks, uint64_t block)
{
    if (checks->n > 0 && checks->blocks[checks->n - 1].check.block == block)
        return &checks->blocks[checks->n - 1];
    if (checks->n == checks->cap) {
        size_t cap = checks->cap == 0 ? 64 : 2 * checks->cap;
        struct known *grown = realloc(checks->blocks, cap * sizeof(*grown));
        if (grown == NULL)
            return NULL;
        checks->blocks = grown;
        checks->cap = cap;
    }
    checks->blocks[checks->n] = (struct known){.check.block = block};
    return &checks->blocks[checks->n++];
}

static enum ms_err take_check(struct cache *cache, struct checks *checks)
{
    const struct cell *block;
    struct cache_log_check check = {0};
    struct ms_sha256 hmac;
    struct row row;

    enum ms_err bad =
        row_read(cache, CACHE_STMT_LOG_CHECK_KEY, CHECK_TABLE, CHECK_CELLS, &row, &hmac, NULL);
    if (bad == MS_OK)
        bad = to_check(&row, &checks->arena, &check, NULL);
    if (bad == MS_ERR_MEMORY)
        return bad;
    block = &row.cell[1];
    if (bad != MS_OK)
        check.block = block->type == CELL_INT ? (uint64_t)block->number : 0;
    struct known *known = room_for(checks, check.block);
    if (known == NULL)
        return MS_ERR_MEMORY;
    *known = (struct known){.check = check, .err = bad};
    return MS_OK;
}

static enum ms_err read_checks(struct cache *cache, const struct ms_sha256 *key,
                               struct checks *checks, struct ms_diag *diag)
{
    sqlite3_stmt *stmt = cache->stmt[CACHE_STMT_LOG_CHECK_KEY];
    int rc = SQLITE_DONE;

    enum ms_err err = row_bind_key(cache, CACHE_STMT_LOG_CHECK_KEY, key, diag);
    while (err == MS_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW)
        err = take_check(cache, checks);
    if (err == MS_OK && rc != SQLITE_DONE)
        err = cache_sql_error(cache, diag, "read checks of logs");
    cache_reset(cache, CACHE_STMT_LOG_CHECK_KEY);
    return err;
}

static int by_block(const void *a, const void *b)
{
    uint64_t x = ((const struct known *)a)->check.block, y = ((const struct known *)b)->check.block;
    return x < y ? -1 : x > y;
}

static struct known *find_check(const struct checks *checks, uint64_t block)
{
    const struct known wanted = {.check.block = block};

    return checks->n == 0 ? NULL
                          : bsearch(&wanted, checks->blocks, checks->n, sizeof(wanted), by_block);
}

/* A log that is gone from a block that was checked shows in the count. */
static enum ms_err count_logs(struct cache *cache, const struct ms_sha256 *key,
                              struct checks *checks, struct ms_diag *diag)
{
    sqlite3_stmt *stmt = cache->stmt[CACHE_STMT_CONTRACT_LOG_KEY];
    int rc = SQLITE_DONE;

    enum ms_err err = row_bind_key(cache, CACHE_STMT_CONTRACT_LOG_KEY, key, diag);
    while (err == MS_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        struct known *known = find_check(checks, (uint64_t)sqlite3_column_int64(stmt, 1));
        if (known != NULL)
            known->n_logs++;
    }
    if (err == MS_OK && rc != SQLITE_DONE)
        err = cache_sql_error(cache, diag, "read logs");
    cache_reset(cache, CACHE_STMT_CONTRACT_LOG_KEY);
    return err;
}

static enum ms_err count_is_wrong(const struct known *known, struct ms_diag *why)
{
    return ms_diag_set(why, MS_ERR_STORE, "block %llu: %llu logs are stored, %llu were checked",
                       (unsigned long long)known->check.block, (unsigned long long)known->n_logs,
                       (unsigned long long)known->check.n_logs);
}

/* Blocks that were checked and of which no log is left. */
static enum ms_err tell_emptied(const struct checks *checks, cache_log_fn *fn, void *arg)
{
    enum ms_err err = MS_OK;

    for (size_t i = 0; err == MS_OK && i < checks->n; i++) {
        const struct known *known = &checks->blocks[i];
        const struct cache_log none = {.block = known->check.block};
        struct ms_diag why = {0};
        if (known->n_logs == 0 && known->err == MS_OK && known->check.n_logs > 0)
            err = fn(arg, count_is_wrong(known, &why), &none, &why);
    }
    return err;
}

static enum ms_err judge(const struct checks *checks, struct cache_log *log, struct ms_diag *why)
{
    const struct known *known = find_check(checks, log->block);

    if (known == NULL)
        return MS_OK;
    if (known->err != MS_OK)
        return ms_diag_set(why, known->err, "block %llu: what was found out of its logs: %s",
                           (unsigned long long)log->block, ms_err_text(known->err));
    if (known->check.checked == CACHE_LOGS_CHECKED && known->check.n_logs != known->n_logs)
        return count_is_wrong(known, why);
    log->check = &known->check;
    return MS_OK;
}

/* ---- writing and reading ---- */

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
                           const struct cache_logs *what, struct ms_diag *diag)
{
    struct row row;

    enum ms_err err = cache_begin(cache, diag);
    if (err != MS_OK)
        return err;
    for (size_t i = 0; err == MS_OK && i < what->n_logs; i++) {
        err = from_log(key, &what->logs[i], &row);
        if (err == MS_OK)
            err = row_insert(cache, CACHE_STMT_CONTRACT_LOG_INSERT, LOG_TABLE, &row, diag);
    }
    for (size_t i = 0; err == MS_OK && i < what->n_checks; i++)
        err = add_check(cache, key, &what->checks[i], diag);
    for (size_t i = 0; err == MS_OK && i < what->n_ranges; i++)
        err = add_range(cache, key, &what->ranges[i], diag);
    return cache_end(cache, err, diag);
}

static enum ms_err tell_row(struct cache *cache, const struct checks *checks, cache_log_fn *fn,
                            void *arg)
{
    struct ms_arena arena = MS_ARENA_INIT(ROW_ARENA_BYTES);
    struct cache_log log = {0};
    struct ms_diag why = {0};
    struct ms_sha256 hmac;
    struct row row;

    enum ms_err bad =
        row_read(cache, CACHE_STMT_CONTRACT_LOG_KEY, LOG_TABLE, LOG_CELLS, &row, &hmac, &why);
    if (bad == MS_OK)
        bad = to_log(&row, &arena, &log, &why);
    if (bad == MS_OK)
        bad = judge(checks, &log, &why);
    enum ms_err err = fn(arg, bad, &log, &why);
    ms_arena_done(&arena);
    return err;
}

static enum ms_err logs_of(struct cache *cache, const struct ms_sha256 *key, cache_log_fn *fn,
                           void *arg, struct ms_diag *diag)
{
    struct checks checks = {.arena = MS_ARENA_INIT(CHECKS_ARENA_MAX_BYTES)};
    int rc = SQLITE_DONE;

    enum ms_err err = read_checks(cache, key, &checks, diag);
    if (err == MS_OK)
        err = count_logs(cache, key, &checks, diag);
    if (err == MS_OK)
        err = row_bind_key(cache, CACHE_STMT_CONTRACT_LOG_KEY, key, diag);
    while (err == MS_OK &&
           (rc = sqlite3_step(cache->stmt[CACHE_STMT_CONTRACT_LOG_KEY])) == SQLITE_ROW)
        err = tell_row(cache, &checks, fn, arg);
    if (err == MS_OK && rc != SQLITE_DONE)
        err = cache_sql_error(cache, diag, "read logs");
    cache_reset(cache, CACHE_STMT_CONTRACT_LOG_KEY);
    if (err == MS_OK)
        err = tell_emptied(&checks, fn, arg);
    ms_arena_done(&checks.arena);
    free(checks.blocks);
    return err;
}

#define KEYS_MAX 65536u

static enum ms_err read_keys(struct cache *cache, struct ms_sha256 *ret_keys, size_t max,
                             size_t *ret_n, struct ms_diag *diag)
{
    sqlite3_stmt *stmt = cache->stmt[CACHE_STMT_LOG_KEYS];
    enum ms_err err = MS_OK;
    size_t n = 0;
    int rc;

    while ((rc = sqlite3_step(stmt)) == SQLITE_ROW && n < max) {
        const void *key = sqlite3_column_blob(stmt, 0);
        if (key != NULL && sqlite3_column_bytes(stmt, 0) == MS_SHA256_BYTES)
            memcpy(ret_keys[n++].b, key, MS_SHA256_BYTES);
    }
    if (rc == SQLITE_ROW)
        err = ms_diag_set(diag, MS_ERR_LIMIT, "logs of more than %zu specifiers", max);
    else if (rc != SQLITE_DONE)
        err = cache_sql_error(cache, diag, "read keys of logs");
    cache_reset(cache, CACHE_STMT_LOG_KEYS);
    *ret_n = n;
    return err;
}

/* Checks are read key by key, so all contracts are, too. */
enum ms_err cache_logs_each(struct cache *cache, const struct ms_sha256 *key, cache_log_fn *fn,
                            void *arg, struct ms_diag *diag)
{
    struct ms_sha256 *keys;
    size_t n = 0;

    if (key != NULL)
        return logs_of(cache, key, fn, arg, diag);
    keys = calloc(KEYS_MAX, sizeof(*keys));
    enum ms_err err = keys == NULL ? MS_ERR_MEMORY : read_keys(cache, keys, KEYS_MAX, &n, diag);
    for (size_t i = 0; err == MS_OK && i < n; i++)
        err = logs_of(cache, &keys[i], fn, arg, diag);
    free(keys);
    return err;
}

enum ms_err cache_log_ranges_each(struct cache *cache, const struct ms_sha256 *key,
                                  cache_log_range_fn *fn, void *arg, struct ms_diag *diag)
{
    enum cache_stmt which = key == NULL ? CACHE_STMT_RANGE_ALL : CACHE_STMT_RANGE_KEY;
    int rc = SQLITE_DONE;

    enum ms_err err = row_bind_key(cache, which, key, diag);
    while (err == MS_OK && (rc = sqlite3_step(cache->stmt[which])) == SQLITE_ROW) {
        struct ms_arena arena = MS_ARENA_INIT(ROW_ARENA_BYTES);
        struct cache_log_range range = {0};
        struct ms_diag why = {0};
        struct ms_sha256 hmac, of;
        struct row row;
        enum ms_err bad = row_read(cache, which, RANGE_TABLE, RANGE_CELLS, &row, &hmac, &why);
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
    cache_reset(cache, which);
    return err;
}
