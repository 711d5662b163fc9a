/* cache/operation.c - operations of registries, append-only.
 *
 * An operation is stored once it is proven, whichever way and however often it was found: the same
 * one again changes nothing, another one under its number is refused. Rows stand for themselves, so
 * they may be written from the newest back; what is missing shows in the numbers, and what was put
 * in another's place shows in the hashes, which run through all of them. */
#include "cache/internal.h"

#define OPERATION_TABLE "operation"
#define OPERATION_CELLS 14 /* without the code */
#define ROW_ARENA_BYTES (CACHE_OPERATION_DATA_MAX_BYTES + 4096u)

/* Order as OPERATION_COLUMNS in schema.c; to_operation reads it in the same order. */
static void from_operation(const struct cache_operation *o, struct row *row)
{
    *row = (struct row){0};
    row_add_blob(row, o->key.b, sizeof(o->key.b));
    row_add_int(row, (int64_t)o->event.sequence);
    row_add_int(row, o->event.kind);
    row_add_u64(row, o->event.id);
    row_add_int(row, (int64_t)o->event.block);
    row_add_int(row, (int64_t)o->event.prev_block);
    row_add_int(row, (int64_t)o->event.timestamp_s);
    row_add_blob(row, o->event.data.ptr, o->event.data.len);
    row_add_blob(row, o->event.history_hash.b, sizeof(o->event.history_hash.b));
    row_add_blob(row, o->before.b, sizeof(o->before.b));
    row_add_blob(row, o->bundle.b, sizeof(o->bundle.b));
    row_add_text(row, o->provider);
    row_add_int(row, o->recorded_s);
    row_add_int(row, 1); /* complete: a link of a proven chain */
}

static enum ms_err to_operation(const struct row *row, struct ms_arena *arena,
                                struct cache_operation *ret_operation, struct ms_diag *diag)
{
    struct row_reader r = {.row = row, .arena = arena};
    struct cache_operation o = {0};

    row_bytes(&r, o.key.b, sizeof(o.key.b));
    o.event.sequence = (uint64_t)row_int(&r, 1, INT64_MAX);
    o.event.kind = (uint8_t)row_int(&r, 0, UINT8_MAX);
    o.event.id = row_u64(&r);
    o.event.block = (uint64_t)row_int(&r, 0, INT64_MAX);
    o.event.prev_block = (uint64_t)row_int(&r, 0, INT64_MAX);
    o.event.timestamp_s = (uint64_t)row_int(&r, 0, INT64_MAX);
    o.event.data = row_blob(&r, CACHE_OPERATION_DATA_MAX_BYTES);
    row_bytes(&r, o.event.history_hash.b, sizeof(o.event.history_hash.b));
    row_bytes(&r, o.before.b, sizeof(o.before.b));
    row_bytes(&r, o.bundle.b, sizeof(o.bundle.b));
    o.provider = row_text(&r, 1, CACHE_PROVIDER_MAX_BYTES);
    o.recorded_s = row_int(&r, INT64_MIN / 4, INT64_MAX / 4);
    (void)row_int(&r, 1, 1);
    enum ms_err err = row_end(&r, OPERATION_TABLE, diag);
    if (err == MS_OK)
        *ret_operation = o;
    return err;
}

/* What would not be read back is not written. */
static enum ms_err check_operation(const struct row *row)
{
    struct ms_arena arena = MS_ARENA_INIT(ROW_ARENA_BYTES);
    struct cache_operation again;
    enum ms_err err = to_operation(row, &arena, &again, NULL);

    ms_arena_done(&arena);
    return err == MS_ERR_STORE ? MS_ERR_ARGUMENT : err;
}

/* Whether it is there already. */
static enum ms_err look_up(struct cache *cache, const struct cache_operation *o, bool *ret_there,
                           struct ms_diag *diag)
{
    sqlite3_stmt *stmt = cache->stmt[CACHE_STMT_OPERATION_HASH];
    enum ms_err err = MS_OK;

    *ret_there = false;
    if (sqlite3_bind_blob(stmt, 1, o->key.b, sizeof(o->key.b), SQLITE_STATIC) != SQLITE_OK ||
        sqlite3_bind_int64(stmt, 2, (int64_t)o->event.sequence) != SQLITE_OK)
        return cache_sql_error(cache, diag, "read operation");
    int rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW) {
        const void *hash = sqlite3_column_blob(stmt, 0);
        *ret_there = hash != NULL && sqlite3_column_bytes(stmt, 0) == ETH_HASH_BYTES &&
                     memcmp(hash, o->event.history_hash.b, ETH_HASH_BYTES) == 0;
        if (!*ret_there)
            err = ms_diag_set(diag, MS_ERR_CONFLICT,
                              "operation %llu: another one is stored under its number",
                              (unsigned long long)o->event.sequence);
    } else if (rc != SQLITE_DONE) {
        err = cache_sql_error(cache, diag, "read operation");
    }
    cache_reset(cache, CACHE_STMT_OPERATION_HASH);
    return err;
}

static enum ms_err add_operation(struct cache *cache, const struct cache_operation *o,
                                 struct ms_diag *diag)
{
    struct row row;
    bool there = false;

    from_operation(o, &row);
    enum ms_err err = check_operation(&row);
    if (err != MS_OK)
        return ms_diag_set(diag, err, "operation %llu cannot be stored: %s",
                           (unsigned long long)o->event.sequence, ms_err_text(err));
    err = look_up(cache, o, &there, diag);
    if (err != MS_OK || there)
        return err;
    return row_insert(cache, CACHE_STMT_OPERATION_INSERT, OPERATION_TABLE, &row, diag);
}

enum ms_err cache_operations_add(struct cache *cache, const struct cache_operation *operations,
                                 size_t n, struct ms_diag *diag)
{
    enum ms_err err = cache_begin(cache, diag);
    if (err != MS_OK)
        return err;
    for (size_t i = 0; err == MS_OK && i < n; i++)
        err = add_operation(cache, &operations[i], diag);
    return cache_end(cache, err, diag);
}

/* Of a row that is not ours: what it says it is. */
static void name_bad_operation(const struct row *row, struct cache_operation *ret)
{
    const struct cell *key = &row->cell[0], *sequence = &row->cell[1];

    *ret = (struct cache_operation){0};
    if (key->type == CELL_BLOB && key->bytes.len == sizeof(ret->key.b))
        memcpy(ret->key.b, key->bytes.ptr, sizeof(ret->key.b));
    if (sequence->type == CELL_INT && sequence->number > 0)
        ret->event.sequence = (uint64_t)sequence->number;
}

enum ms_err cache_operations_each(struct cache *cache, const struct ms_sha256 *key,
                                  cache_operation_fn *fn, void *arg, struct ms_diag *diag)
{
    enum cache_stmt which = key == NULL ? CACHE_STMT_OPERATION_ALL : CACHE_STMT_OPERATION_KEY;
    int rc = SQLITE_DONE;

    enum ms_err err = row_bind_key(cache, which, key, diag);
    while (err == MS_OK && (rc = sqlite3_step(cache->stmt[which])) == SQLITE_ROW) {
        struct ms_arena arena = MS_ARENA_INIT(ROW_ARENA_BYTES);
        struct cache_operation operation = {0};
        struct ms_diag why = {0};
        struct ms_sha256 hmac;
        struct row row;
        enum ms_err bad =
            row_read(cache, which, OPERATION_TABLE, OPERATION_CELLS, &row, &hmac, &why);
        if (bad == MS_OK)
            bad = to_operation(&row, &arena, &operation, &why);
        if (bad != MS_OK)
            name_bad_operation(&row, &operation);
        err = fn(arg, bad, &operation, &why);
        ms_arena_done(&arena);
    }
    if (err == MS_OK && rc != SQLITE_DONE)
        err = cache_sql_error(cache, diag, "read operations");
    cache_reset(cache, which);
    return err;
}
