/* cache/confirmed.c - when answers were confirmed without change, as runs.
 *
 * A row for each poll would be most of the database and say little: what counts is from when until
 * when an answer was in force without a gap in which nobody had looked. One row a run: the first
 * and the last moment, how many, and the longest time between two. */
#include "cache/internal.h"

#define CONFIRMED_TABLE "confirmed"
#define CONFIRMED_CELLS 10 /* without the code */
#define LIMIT_MAX_S (INT64_MAX / 16)

/* Order as CONFIRMED_COLUMNS in schema.c; to_run reads it in the same order. */
static void from_run(const struct cache_confirmed *run, struct row *row)
{
    *row = (struct row){0};
    row_add_int(row, (int64_t)run->id);
    row_add_int(row, (int64_t)run->n);
    row_add_int(row, run->from_s);
    row_add_int(row, run->until_s);
    row_add_int(row, (int64_t)run->times);
    row_add_int(row, run->gap_s);
    row_add_int(row, run->limit_s);
    if (run->has_block) {
        row_add_int(row, (int64_t)run->block_number);
        row_add_blob(row, run->block_hash.b, sizeof(run->block_hash.b));
    } else {
        row_add_null(row);
        row_add_null(row);
    }
    row_add_blob(row, run->commitment.b, sizeof(run->commitment.b));
}

static enum ms_err to_run(const struct row *row, struct cache_confirmed *ret_run,
                          struct ms_diag *diag)
{
    struct row_reader r = {.row = row};
    struct cache_confirmed run = {0};

    run.id = (uint64_t)row_int(&r, 1, INT64_MAX);
    run.n = (uint64_t)row_int(&r, 1, INT64_MAX);
    run.from_s = row_int(&r, INT64_MIN / 4, INT64_MAX / 4);
    run.until_s = row_int(&r, run.from_s, INT64_MAX / 4);
    run.times = (uint64_t)row_int(&r, 1, INT64_MAX);
    run.gap_s = row_int(&r, 0, INT64_MAX / 4);
    run.limit_s = row_int(&r, -1, INT64_MAX / 4);
    run.has_block = !r.failed && row->cell[r.i].type != CELL_NULL;
    if (run.has_block) {
        run.block_number = (uint64_t)row_int(&r, 0, INT64_MAX);
        row_bytes(&r, run.block_hash.b, sizeof(run.block_hash.b));
    } else {
        r.i++;
        if (row_bytes_or_null(&r, run.block_hash.b, sizeof(run.block_hash.b)))
            r.failed = true;
    }
    row_bytes(&r, run.commitment.b, sizeof(run.commitment.b));
    enum ms_err err = row_end(&r, CONFIRMED_TABLE, diag);
    if (err == MS_OK)
        *ret_run = run;
    return err;
}

static enum ms_err put(struct cache *cache, const struct cache_confirmed *run, struct ms_diag *diag)
{
    struct ms_sha256 hmac;
    struct row row;

    from_run(run, &row);
    enum ms_err err = row_bind(cache, CACHE_STMT_CONFIRMED_PUT, CONFIRMED_TABLE, &row, &hmac, diag);
    if (err == MS_OK)
        return cache_run(cache, CACHE_STMT_CONFIRMED_PUT, diag, "write a confirmation");
    cache_reset(cache, CACHE_STMT_CONFIRMED_PUT);
    return err;
}

/* A statement that gives one number, its parameters bound by the caller. NULL is 0. */
static enum ms_err one_number(struct cache *cache, enum cache_stmt which, uint64_t *ret_value,
                              struct ms_diag *diag)
{
    sqlite3_stmt *stmt = cache->stmt[which];
    enum ms_err err = MS_OK;

    if (sqlite3_step(stmt) != SQLITE_ROW)
        err = cache_sql_error(cache, diag, "read confirmations");
    else
        *ret_value = (uint64_t)sqlite3_column_int64(stmt, 0);
    cache_reset(cache, which);
    return err;
}

/* The row that brought the answer an entry has; 0: none, it is older than history. */
static enum ms_err history_of(struct cache *cache, const struct cache_entry *e, uint64_t *ret_n,
                              struct ms_diag *diag)
{
    sqlite3_stmt *stmt = cache->stmt[CACHE_STMT_HISTORY_OF];

    if (sqlite3_bind_blob(stmt, 1, e->bundle.b, sizeof(e->bundle.b), SQLITE_STATIC) != SQLITE_OK ||
        sqlite3_bind_blob(stmt, 2, e->key.b, sizeof(e->key.b), SQLITE_STATIC) != SQLITE_OK ||
        sqlite3_bind_int(stmt, 3, (int)e->level) != SQLITE_OK)
        return cache_sql_error(cache, diag, "read history");
    return one_number(cache, CACHE_STMT_HISTORY_OF, ret_n, diag);
}

static enum ms_err read_row(struct cache *cache, enum cache_stmt which,
                            struct cache_confirmed *ret_run, struct ms_diag *diag)
{
    struct ms_sha256 hmac;
    struct row row;

    enum ms_err err = row_read(cache, which, CONFIRMED_TABLE, CONFIRMED_CELLS, &row, &hmac, diag);
    if (err == MS_OK)
        err = to_run(&row, ret_run, diag);
    if (err != MS_OK) {
        *ret_run = (struct cache_confirmed){0};
        if (row.cell[0].type == CELL_INT && row.cell[0].number > 0)
            ret_run->id = (uint64_t)row.cell[0].number;
        if (row.cell[1].type == CELL_INT && row.cell[1].number > 0)
            ret_run->n = (uint64_t)row.cell[1].number;
    }
    return err;
}

/* The newest run of a history row. One that is not ours counts as none: a new one begins. */
static enum ms_err last_run(struct cache *cache, uint64_t n, struct cache_confirmed *ret_run,
                            bool *ret_found, struct ms_diag *diag)
{
    sqlite3_stmt *stmt = cache->stmt[CACHE_STMT_CONFIRMED_LAST];
    enum ms_err err = MS_OK;
    struct ms_diag why = {0};

    *ret_found = false;
    int rc = sqlite3_bind_int64(stmt, 1, (int64_t)n);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW)
        *ret_found = read_row(cache, CACHE_STMT_CONFIRMED_LAST, ret_run, &why) == MS_OK;
    else if (rc != SQLITE_DONE)
        err = cache_sql_error(cache, diag, "read confirmations");
    cache_reset(cache, CACHE_STMT_CONFIRMED_LAST);
    return err;
}

static int64_t sooner(int64_t limit_s, int64_t other_s)
{
    int64_t other = other_s < 0 ? 0 : other_s;
    return limit_s < 0 || other < limit_s ? other : limit_s;
}

/* How long an answer may be served after it was confirmed, as entry_view has it: fresh, then stale
 * for the longer of two times, and never beyond what its evidence and governance allow. */
static int64_t limit_of(const struct source_lifetime *life, int64_t evidence_time_s,
                        int64_t valid_until_s, int64_t now_s)
{
    int64_t stale_s = life->sie_s > life->swr_s ? life->sie_s : life->swr_s;
    int64_t limit_s = -1;

    if (life->fresh_s >= 0)
        limit_s = life->fresh_s > LIMIT_MAX_S || stale_s > LIMIT_MAX_S
                      ? LIMIT_MAX_S
                      : life->fresh_s + (stale_s < 0 ? 0 : stale_s);
    if (life->ceiling_s >= 0 && life->ceiling_s < LIMIT_MAX_S)
        limit_s = sooner(limit_s, evidence_time_s + life->ceiling_s - now_s);
    if (valid_until_s > 0) /* served while now <= validUntil */
        limit_s = sooner(limit_s, valid_until_s + 1 - now_s);
    return limit_s;
}

/* Begin a run; ended ones of the same answer are forgotten when they are old. */
static enum ms_err begin(struct cache *cache, struct cache_confirmed *run, struct ms_diag *diag)
{
    sqlite3_stmt *drop = cache->stmt[CACHE_STMT_CONFIRMED_DROP];
    uint64_t id = 0;

    enum ms_err err = one_number(cache, CACHE_STMT_CONFIRMED_ID, &id, diag);
    if (err != MS_OK)
        return err;
    run->id = id + 1;
    err = put(cache, run, diag);
    if (err != MS_OK)
        return err;
    if (sqlite3_bind_int64(drop, 1, (int64_t)run->n) != SQLITE_OK ||
        sqlite3_bind_int64(drop, 2, (int64_t)run->id) != SQLITE_OK ||
        sqlite3_bind_int64(drop, 3, run->from_s - CACHE_CONFIRMED_KEEP_S) != SQLITE_OK)
        return cache_sql_error(cache, diag, "forget confirmations");
    return cache_run(cache, CACHE_STMT_CONFIRMED_DROP, diag, "forget confirmations");
}

enum ms_err cache_confirmed_begin(struct cache *cache, uint64_t n, const struct cache_entry *entry,
                                  const struct cache_history *history, struct ms_diag *diag)
{
    struct cache_confirmed run = {.n = n,
                                  .from_s = history->time_s,
                                  .until_s = history->time_s,
                                  .times = 1,
                                  .limit_s = limit_of(&entry->life, entry->evidence_time_s,
                                                      entry->valid_until_s, history->time_s),
                                  .has_block = history->has_block,
                                  .block_number = history->block_number,
                                  .block_hash = history->block_hash,
                                  .commitment = entry->commitment};
    return begin(cache, &run, diag);
}

enum ms_err cache_confirmed_add(struct cache *cache, const struct cache_entry *entry,
                                const struct cache_freshness *freshness, struct ms_diag *diag)
{
    int64_t now_s = freshness->checked.wall_s;
    struct cache_confirmed run = {0};
    bool found = false;
    uint64_t n = 0;

    enum ms_err err = history_of(cache, entry, &n, diag);
    if (err != MS_OK || n == 0)
        return err;
    err = last_run(cache, n, &run, &found, diag);
    if (err != MS_OK)
        return err;
    bool goes_on =
        found && now_s >= run.until_s && (run.limit_s < 0 || now_s - run.until_s <= run.limit_s);
    if (!goes_on)
        run = (struct cache_confirmed){.n = n, .from_s = now_s, .until_s = now_s};
    if (now_s - run.until_s > run.gap_s)
        run.gap_s = now_s - run.until_s;
    run.until_s = now_s;
    run.times++;
    run.limit_s =
        limit_of(&freshness->life, freshness->evidence_time_s, freshness->valid_until_s, now_s);
    run.has_block = freshness->has_block;
    run.block_number = freshness->block_number;
    run.block_hash = freshness->block_hash;
    run.commitment = entry->commitment;
    return goes_on ? put(cache, &run, diag) : begin(cache, &run, diag);
}

enum ms_err cache_confirmed_each(struct cache *cache, uint64_t n, cache_confirmed_fn *fn, void *arg,
                                 struct ms_diag *diag)
{
    sqlite3_stmt *stmt = cache->stmt[CACHE_STMT_CONFIRMED_EACH];
    enum ms_err err = MS_OK;
    int rc = SQLITE_DONE;

    if (sqlite3_bind_int64(stmt, 1, (int64_t)n) != SQLITE_OK)
        err = cache_sql_error(cache, diag, "read confirmations");
    while (err == MS_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        struct ms_diag why = {0};
        struct cache_confirmed run;
        enum ms_err bad = read_row(cache, CACHE_STMT_CONFIRMED_EACH, &run, &why);
        err = fn(arg, bad, &run, &why);
    }
    if (err == MS_OK && rc != SQLITE_DONE)
        err = cache_sql_error(cache, diag, "read confirmations");
    cache_reset(cache, CACHE_STMT_CONFIRMED_EACH);
    return err;
}
