/* cache/history.c - the append-only table of accepted changes.
 *
 * `prev` of a row is the code of the key's row before it: a row taken out of the middle, or two
 * that changed places, show. n is part of the code too. */
#include "cache/internal.h"

#define HISTORY_TABLE "history"
#define HISTORY_CELLS 14 /* without the code */

/* Order as HISTORY_COLUMNS in schema.c; to_history reads it in the same order. */
static void from_history(const struct cache_history *h, const struct ms_sha256 *prev,
                         struct row *row)
{
    *row = (struct row){0};
    row_add_int(row, (int64_t)h->n);
    row_add_blob(row, h->key.b, sizeof(h->key.b));
    row_add_int(row, h->level);
    row_add_int(row, h->time_s);
    row_add_int(row, h->status);
    row_add_text(row, h->kind);
    if (h->has_sequence)
        row_add_u64(row, h->sequence);
    else
        row_add_null(row);
    row_add_blob(row, h->set_hash.b, sizeof(h->set_hash.b));
    if (h->has_bundle)
        row_add_blob(row, h->bundle.b, sizeof(h->bundle.b));
    else
        row_add_null(row);
    if (h->has_block) {
        row_add_int(row, (int64_t)h->block_number);
        row_add_blob(row, h->block_hash.b, sizeof(h->block_hash.b));
    } else {
        row_add_null(row);
        row_add_null(row);
    }
    row_add_blob(row, prev->b, sizeof(prev->b));
    row_add_text(row, h->summary);
    row_add_text(row, h->build);
}

static void read_block(struct row_reader *r, struct cache_history *h)
{
    /* Both or neither: a row with only one of them fails in one of the two reads. */
    h->has_block = !r->failed && r->i < r->row->n && r->row->cell[r->i].type != CELL_NULL;
    if (h->has_block) {
        h->block_number = (uint64_t)row_int(r, 0, INT64_MAX);
        row_bytes(r, h->block_hash.b, sizeof(h->block_hash.b));
        return;
    }
    r->i++;
    if (row_bytes_or_null(r, h->block_hash.b, sizeof(h->block_hash.b)))
        r->failed = true;
}

static enum ms_err to_history(const struct row *row, struct ms_arena *arena,
                              struct cache_history *ret_history, struct ms_sha256 *ret_prev,
                              struct ms_diag *diag)
{
    struct row_reader r = {.row = row, .arena = arena};
    struct cache_history h = {0};
    struct ms_sha256 prev;

    h.n = (uint64_t)row_int(&r, 1, INT64_MAX);
    row_bytes(&r, h.key.b, sizeof(h.key.b));
    h.level = (enum spec_level)row_int(&r, SPEC_LEVEL_NONE, SPEC_LEVEL_L4);
    h.time_s = row_int(&r, INT64_MIN / 4, INT64_MAX / 4);
    h.status = (enum cache_status)row_int(&r, CACHE_GOOD, CACHE_CONFLICT);
    h.kind = row_text(&r, 1, CACHE_KIND_MAX_BYTES);
    h.has_sequence = row_u64_or_null(&r, &h.sequence);
    row_bytes(&r, h.set_hash.b, sizeof(h.set_hash.b));
    h.has_bundle = row_bytes_or_null(&r, h.bundle.b, sizeof(h.bundle.b));
    read_block(&r, &h);
    row_bytes(&r, prev.b, sizeof(prev.b));
    h.summary = row_text_or_null(&r, CACHE_SUMMARY_MAX_BYTES);
    h.build = row_text_or_null(&r, CACHE_BUILD_MAX_BYTES);
    enum ms_err err = row_end(&r, HISTORY_TABLE, diag);
    if (err == MS_OK) {
        *ret_history = h;
        *ret_prev = prev;
    }
    return err;
}

/* The code of the key's newest row, zeros when it has none. */
static enum ms_err last_code(struct cache *cache, const struct ms_sha256 *key,
                             struct ms_sha256 *ret_code, struct ms_diag *diag)
{
    sqlite3_stmt *stmt = cache->stmt[CACHE_STMT_HISTORY_LAST];
    enum ms_err err = MS_OK;

    *ret_code = (struct ms_sha256){0};
    int rc = sqlite3_bind_blob(stmt, 1, key->b, sizeof(key->b), SQLITE_STATIC);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW) {
        const void *code = sqlite3_column_blob(stmt, 0);
        if (code == NULL || sqlite3_column_bytes(stmt, 0) != (int)sizeof(ret_code->b))
            err = ms_diag_set(diag, MS_ERR_HMAC, "the newest history row has no code");
        else
            memcpy(ret_code->b, code, sizeof(ret_code->b));
    } else if (rc != SQLITE_DONE) {
        err = cache_sql_error(cache, diag, "read history");
    }
    cache_reset(cache, CACHE_STMT_HISTORY_LAST);
    return err;
}

enum ms_err cache_history_last(struct cache *cache, int64_t *ret_n, struct ms_diag *diag)
{
    sqlite3_stmt *stmt = cache->stmt[CACHE_STMT_HISTORY_N];
    enum ms_err err = MS_OK;

    if (sqlite3_step(stmt) == SQLITE_ROW)
        *ret_n = sqlite3_column_int64(stmt, 0);
    else
        err = cache_sql_error(cache, diag, "read history");
    cache_reset(cache, CACHE_STMT_HISTORY_N);
    if (err == MS_OK && (*ret_n < 0 || *ret_n == INT64_MAX))
        err = ms_diag_set(diag, MS_ERR_STORE, "the numbers of history rows are used up");
    return err;
}

static enum ms_err check_history(const struct row *row)
{
    struct ms_arena arena = MS_ARENA_INIT(CACHE_HISTORY_ARENA_BYTES);
    struct cache_history again;
    struct ms_sha256 prev;
    struct ms_diag why = {0};
    enum ms_err err = to_history(row, &arena, &again, &prev, &why);

    ms_arena_done(&arena);
    return err == MS_ERR_STORE ? MS_ERR_ARGUMENT : err;
}

enum ms_err cache_history_append(struct cache *cache, const struct cache_history *history,
                                 uint64_t *ret_n, struct ms_diag *diag)
{
    struct cache_history h = *history;
    struct ms_sha256 prev, hmac;
    struct row row;
    int64_t n = 0, logged = 0;

    enum ms_err err = cache_history_last(cache, &n, diag);
    if (err == MS_OK)
        err = cache_log_count(cache, &logged, diag);
    if (err == MS_OK)
        err = last_code(cache, &h.key, &prev, diag);
    if (err != MS_OK)
        return err;
    /* rows that were taken away leave a gap for ever: the log goes on behind what it has */
    h.n = (uint64_t)(n > logged ? n : logged) + 1;
    from_history(&h, &prev, &row);
    err = check_history(&row);
    if (err != MS_OK)
        return ms_diag_set(diag, err, "a history row cannot be stored: %s", ms_err_text(err));
    err = row_bind(cache, CACHE_STMT_HISTORY_INSERT, HISTORY_TABLE, &row, &hmac, diag);
    if (err != MS_OK) {
        cache_reset(cache, CACHE_STMT_HISTORY_INSERT);
        return err;
    }
    err = cache_run(cache, CACHE_STMT_HISTORY_INSERT, diag, "write history");
    if (err != MS_OK)
        return err;
    cache->written_n = h.n;
    cache->written_code = hmac;
    err = cache_log_append(cache, &h, diag);
    if (err == MS_OK)
        *ret_n = h.n;
    return err;
}

static void name_bad_row(const struct row *row, struct cache_history *ret_history)
{
    const struct cell *n = &row->cell[0], *key = &row->cell[1];

    *ret_history = (struct cache_history){0};
    if (n->type == CELL_INT && n->number > 0)
        ret_history->n = (uint64_t)n->number;
    if (key->type == CELL_BLOB && key->bytes.len == sizeof(ret_history->key.b))
        memcpy(ret_history->key.b, key->bytes.ptr, sizeof(ret_history->key.b));
}

struct chain { /* where a walk stands */
    bool started;
    struct ms_sha256 key;  /* of the row before */
    struct ms_sha256 code; /* of the row before, as stored */
};

/* Read and check the current row against its code and its predecessor, then move on. After a bad
 * row its key's chain goes on from the code that is stored, so that one bad row is one report. */
static enum ms_err next_row(struct cache *cache, enum cache_stmt which, struct chain *chain,
                            struct ms_arena *arena, struct cache_history *ret_history,
                            struct ms_diag *why)
{
    struct ms_sha256 hmac, prev;
    struct row row;

    enum ms_err err = row_read(cache, which, HISTORY_TABLE, HISTORY_CELLS, &row, &hmac, why);
    if (err == MS_OK)
        err = to_history(&row, arena, ret_history, &prev, why);
    if (err != MS_OK)
        name_bad_row(&row, ret_history);
    if (!chain->started || !ms_sha256_eq(&chain->key, &ret_history->key))
        chain->code = (struct ms_sha256){0};
    if (err == MS_OK && !ms_sha256_eq(&prev, &chain->code)) {
        err = ms_diag_set(why, MS_ERR_HMAC, "the history row before row %llu is missing",
                          (unsigned long long)ret_history->n);
        name_bad_row(&row, ret_history);
    }
    const void *code = sqlite3_column_blob(cache->stmt[which], HISTORY_CELLS);
    chain->started = true;
    chain->key = ret_history->key;
    chain->code = (struct ms_sha256){0};
    if (code != NULL &&
        sqlite3_column_bytes(cache->stmt[which], HISTORY_CELLS) == (int)sizeof(chain->code.b))
        memcpy(chain->code.b, code, sizeof(chain->code.b));
    return err;
}

enum ms_err cache_history_each(struct cache *cache, const struct ms_sha256 *key,
                               cache_history_fn *fn, void *arg, struct ms_diag *diag)
{
    enum cache_stmt which = key == NULL ? CACHE_STMT_HISTORY_ALL : CACHE_STMT_HISTORY_KEY;
    sqlite3_stmt *stmt = cache->stmt[which];
    struct chain chain = {0};
    enum ms_err err = MS_OK;
    int rc = SQLITE_DONE;

    if (key != NULL &&
        sqlite3_bind_blob(stmt, 1, key->b, sizeof(key->b), SQLITE_STATIC) != SQLITE_OK)
        err = cache_sql_error(cache, diag, "read history");
    while (err == MS_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        struct ms_arena arena = MS_ARENA_INIT(CACHE_HISTORY_ARENA_BYTES);
        struct ms_diag why = {0};
        struct cache_history h;
        enum ms_err bad = next_row(cache, which, &chain, &arena, &h, &why);
        err = fn(arg, bad, &h, &why);
        ms_arena_done(&arena);
    }
    if (err == MS_OK && rc != SQLITE_DONE)
        err = cache_sql_error(cache, diag, "read history");
    cache_reset(cache, which);
    return err;
}

/* Rows of a bound statement; that none is missing between two is not looked at. */
static enum ms_err each_row(struct cache *cache, enum cache_stmt which, cache_history_fn *fn,
                            void *arg, struct ms_diag *diag)
{
    sqlite3_stmt *stmt = cache->stmt[which];
    enum ms_err err = MS_OK;
    int rc = SQLITE_DONE;

    while (err == MS_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        struct ms_arena arena = MS_ARENA_INIT(CACHE_HISTORY_ARENA_BYTES);
        struct ms_sha256 hmac, prev;
        struct ms_diag why = {0};
        struct cache_history h;
        struct row row;
        enum ms_err bad = row_read(cache, which, HISTORY_TABLE, HISTORY_CELLS, &row, &hmac, &why);
        if (bad == MS_OK)
            bad = to_history(&row, &arena, &h, &prev, &why);
        if (bad != MS_OK)
            name_bad_row(&row, &h);
        err = fn(arg, bad, &h, &why);
        ms_arena_done(&arena);
    }
    if (err == MS_OK && rc != SQLITE_DONE)
        err = cache_sql_error(cache, diag, "read history");
    return err;
}

enum ms_err cache_history_range(struct cache *cache, const struct ms_sha256 *key,
                                const struct cache_range *range, cache_history_fn *fn, void *arg,
                                struct ms_diag *diag)
{
    enum cache_stmt which =
        range->newest_first ? CACHE_STMT_HISTORY_BEFORE : CACHE_STMT_HISTORY_AFTER;
    sqlite3_stmt *stmt = cache->stmt[which];
    uint64_t edge =
        range->newest_first ? range->before == 0 ? INT64_MAX : range->before : range->after;
    enum ms_err err = MS_OK;

    if (edge > INT64_MAX)
        edge = INT64_MAX;
    if (sqlite3_bind_blob(stmt, 1, key->b, sizeof(key->b), SQLITE_STATIC) != SQLITE_OK ||
        sqlite3_bind_int64(stmt, 2, (int64_t)edge) != SQLITE_OK ||
        sqlite3_bind_int64(stmt, 3, range->max > INT32_MAX ? INT32_MAX : (int64_t)range->max) !=
            SQLITE_OK)
        err = cache_sql_error(cache, diag, "read history");
    if (err == MS_OK)
        err = each_row(cache, which, fn, arg, diag);
    cache_reset(cache, which);
    return err;
}

/* The newest row of all; 0: there is none. */
static enum ms_err newest_n(struct cache *cache, uint64_t *ret_n, struct ms_diag *diag)
{
    sqlite3_stmt *stmt = cache->stmt[CACHE_STMT_HISTORY_N];
    enum ms_err err = MS_OK;

    if (sqlite3_step(stmt) != SQLITE_ROW)
        err = cache_sql_error(cache, diag, "read history");
    else
        *ret_n = (uint64_t)sqlite3_column_int64(stmt, 0);
    cache_reset(cache, CACHE_STMT_HISTORY_N);
    return err;
}

struct walk { /* cache_history_newest: passes on, and notes how far it came */
    cache_history_fn *fn;
    void *arg;
    size_t n;
    uint64_t last;
};

static enum ms_err walk_row(void *arg, enum ms_err bad, const struct cache_history *h,
                            const struct ms_diag *why)
{
    struct walk *walk = arg;

    walk->n++;
    walk->last = h->n;
    return walk->fn(walk->arg, bad, h, why);
}

enum ms_err cache_history_newest(struct cache *cache, uint64_t before, size_t max,
                                 cache_history_fn *fn, void *arg, uint64_t *ret_below,
                                 struct ms_diag *diag)
{
    enum cache_stmt which = CACHE_STMT_HISTORY_NEWEST;
    sqlite3_stmt *stmt = cache->stmt[which];
    struct walk walk = {.fn = fn, .arg = arg};
    uint64_t newest = 0;

    enum ms_err err = newest_n(cache, &newest, diag);
    if (err != MS_OK)
        return err;
    uint64_t edge = before == 0 || before > newest ? newest + 1 : before;
    uint64_t least = edge > CACHE_WALK_ROWS ? edge - CACHE_WALK_ROWS : 1;
    if (sqlite3_bind_int64(stmt, 1, (int64_t)edge) != SQLITE_OK ||
        sqlite3_bind_int64(stmt, 2, (int64_t)least) != SQLITE_OK ||
        sqlite3_bind_int64(stmt, 3, max > INT32_MAX ? INT32_MAX : (int64_t)max) != SQLITE_OK)
        err = cache_sql_error(cache, diag, "read history");
    if (err == MS_OK)
        err = each_row(cache, which, walk_row, &walk, diag);
    cache_reset(cache, which);
    if (err == MS_OK) {
        uint64_t below = walk.n == max ? walk.last : least;
        *ret_below = below > 1 ? below : 0;
    }
    return err;
}

/* What is not bound is NULL: anything will do. */
static bool bind_wanted(sqlite3_stmt *stmt, const struct cache_wanted *w, const uint8_t sequence[8])
{
    bool ok = true;

    if (w->has_level)
        ok = ok && sqlite3_bind_int(stmt, 2, (int)w->level) == SQLITE_OK;
    if (w->kind != NULL)
        ok = ok && sqlite3_bind_text(stmt, 3, w->kind, -1, SQLITE_STATIC) == SQLITE_OK;
    if (w->has_sequence)
        ok = ok && sqlite3_bind_blob(stmt, 4, sequence, 8, SQLITE_STATIC) == SQLITE_OK;
    if (w->has_time)
        ok = ok && sqlite3_bind_int64(stmt, 5, w->time_s) == SQLITE_OK;
    if (w->has_hash)
        ok = ok &&
             sqlite3_bind_blob(stmt, 6, w->hash.b, MS_SHA256_BYTES, SQLITE_STATIC) == SQLITE_OK;
    if (w->before != 0)
        ok = ok &&
             sqlite3_bind_int64(stmt, 7, w->before > INT64_MAX ? INT64_MAX : (int64_t)w->before) ==
                 SQLITE_OK;
    return ok;
}

enum ms_err cache_history_find(struct cache *cache, const struct ms_sha256 *key,
                               const struct cache_wanted *wanted, uint64_t *ret_n,
                               struct ms_diag *diag)
{
    sqlite3_stmt *stmt = cache->stmt[CACHE_STMT_HISTORY_FIND];
    enum ms_err err = MS_OK;
    uint8_t sequence[8];

    for (size_t i = 0; i < sizeof(sequence); i++) /* as row_add_u64 writes it */
        sequence[i] = (uint8_t)(wanted->sequence >> (56 - 8 * i));
    if (sqlite3_bind_blob(stmt, 1, key->b, sizeof(key->b), SQLITE_STATIC) != SQLITE_OK ||
        !bind_wanted(stmt, wanted, sequence) || sqlite3_step(stmt) != SQLITE_ROW)
        err = cache_sql_error(cache, diag, "read history");
    else
        *ret_n = (uint64_t)sqlite3_column_int64(stmt, 0);
    cache_reset(cache, CACHE_STMT_HISTORY_FIND);
    return err;
}

enum ms_err cache_history_at(struct cache *cache, uint64_t n, struct ms_arena *arena,
                             struct cache_history *ret_history, bool *ret_found,
                             struct ms_diag *diag)
{
    sqlite3_stmt *stmt = cache->stmt[CACHE_STMT_HISTORY_AT];
    struct ms_sha256 hmac, prev;
    struct row row;
    enum ms_err err = MS_OK;

    int rc = sqlite3_bind_int64(stmt, 1, (int64_t)n);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    *ret_found = rc == SQLITE_ROW;
    if (rc == SQLITE_ROW) {
        err =
            row_read(cache, CACHE_STMT_HISTORY_AT, HISTORY_TABLE, HISTORY_CELLS, &row, &hmac, diag);
        if (err == MS_OK)
            err = to_history(&row, arena, ret_history, &prev, diag);
        if (err != MS_OK)
            name_bad_row(&row, ret_history);
    } else if (rc != SQLITE_DONE) {
        err = cache_sql_error(cache, diag, "read history");
    }
    cache_reset(cache, CACHE_STMT_HISTORY_AT);
    return err;
}
