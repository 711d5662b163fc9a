/* cache/past_set.c - signed sets of the past, append-only, with the documents as they were served.
 *
 * A set is known by its hash, so the same one found again changes nothing, and rows may be written
 * from the newest back. */
#include "cache/internal.h"

#define PAST_SET_TABLE "past_set"
#define PAST_SET_CELLS 8 /* without the code */
#define ROW_ARENA_BYTES (SOURCE_HOST_MAX_BYTES + 1024u)

/* Order as PAST_SET_COLUMNS in schema.c; to_set reads it in the same order. */
static void from_set(const struct cache_past_set *set, struct row *row)
{
    *row = (struct row){0};
    row_add_blob(row, set->key.b, sizeof(set->key.b));
    row_add_blob(row, set->set_hash.b, sizeof(set->set_hash.b));
    row_add_u64(row, set->sequence);
    row_add_blob(row, set->previous.b, sizeof(set->previous.b));
    row_add_blob(row, set->document.b, sizeof(set->document.b));
    row_add_blob(row, set->bundle.b, sizeof(set->bundle.b));
    row_add_text(row, set->provider);
    row_add_int(row, set->recorded_s);
}

static enum ms_err to_set(const struct row *row, struct ms_arena *arena,
                          struct cache_past_set *ret_set, struct ms_diag *diag)
{
    struct row_reader r = {.row = row, .arena = arena};
    struct cache_past_set set = {0};

    row_bytes(&r, set.key.b, sizeof(set.key.b));
    row_bytes(&r, set.set_hash.b, sizeof(set.set_hash.b));
    set.sequence = row_u64(&r);
    row_bytes(&r, set.previous.b, sizeof(set.previous.b));
    row_bytes(&r, set.document.b, sizeof(set.document.b));
    row_bytes(&r, set.bundle.b, sizeof(set.bundle.b));
    set.provider = row_text(&r, 1, SOURCE_HOST_MAX_BYTES);
    set.recorded_s = row_int(&r, INT64_MIN / 4, INT64_MAX / 4);
    enum ms_err err = row_end(&r, PAST_SET_TABLE, diag);
    if (err == MS_OK)
        *ret_set = set;
    return err;
}

/* What would not be read back is not written. */
static enum ms_err check_set(const struct row *row)
{
    struct ms_arena arena = MS_ARENA_INIT(ROW_ARENA_BYTES);
    struct cache_past_set again;
    enum ms_err err = to_set(row, &arena, &again, NULL);

    ms_arena_done(&arena);
    return err == MS_ERR_STORE ? MS_ERR_ARGUMENT : err;
}

static enum ms_err look_up(struct cache *cache, const struct cache_past_set *set, bool *ret_there,
                           struct ms_diag *diag)
{
    sqlite3_stmt *stmt = cache->stmt[CACHE_STMT_PAST_SET_HAS];

    enum ms_err err = row_bind_key(cache, CACHE_STMT_PAST_SET_HAS, &set->key, diag);
    if (err == MS_OK && sqlite3_bind_blob(stmt, 2, set->set_hash.b, sizeof(set->set_hash.b),
                                          SQLITE_STATIC) != SQLITE_OK)
        err = cache_sql_error(cache, diag, "read past sets");
    int rc = err == MS_OK ? sqlite3_step(stmt) : SQLITE_DONE;
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        err = cache_sql_error(cache, diag, "read past sets");
    *ret_there = rc == SQLITE_ROW;
    cache_reset(cache, CACHE_STMT_PAST_SET_HAS);
    return err;
}

static enum ms_err add_set(struct cache *cache, const struct cache_past_set *in,
                           struct ms_span document, struct ms_diag *diag)
{
    struct cache_past_set set = *in;
    bool there = false;
    struct row row;

    set.document = ms_sha256(document);
    from_set(&set, &row);
    enum ms_err err = check_set(&row);
    if (err != MS_OK)
        return ms_diag_set(diag, err, "set %llu cannot be stored: %s",
                           (unsigned long long)set.sequence, ms_err_text(err));
    err = look_up(cache, &set, &there, diag);
    if (err != MS_OK || there)
        return err;
    err = cache_blob_put(cache, document, diag);
    return err == MS_OK ? row_insert(cache, CACHE_STMT_PAST_SET_INSERT, PAST_SET_TABLE, &row, diag)
                        : err;
}

enum ms_err cache_past_sets_add(struct cache *cache, const struct cache_past_set *sets,
                                const struct ms_span *documents, size_t n, struct ms_diag *diag)
{
    enum ms_err err = cache_begin(cache, diag);
    if (err != MS_OK)
        return err;
    for (size_t i = 0; err == MS_OK && i < n; i++)
        err = add_set(cache, &sets[i], documents[i], diag);
    return cache_end(cache, err, diag);
}

/* Of a row that is not ours: what it says it is. */
static void name_bad_set(const struct row *row, struct cache_past_set *ret)
{
    struct row_reader r = {.row = row};
    struct eth_hash hash;

    *ret = (struct cache_past_set){0};
    row_bytes(&r, ret->key.b, sizeof(ret->key.b));
    row_bytes(&r, hash.b, sizeof(hash.b));
    ret->sequence = row_u64(&r);
}

enum ms_err cache_past_sets_each(struct cache *cache, const struct ms_sha256 *key,
                                 cache_past_set_fn *fn, void *arg, struct ms_diag *diag)
{
    enum cache_stmt which = key == NULL ? CACHE_STMT_PAST_SET_ALL : CACHE_STMT_PAST_SET_KEY;
    int rc = SQLITE_DONE;

    enum ms_err err = row_bind_key(cache, which, key, diag);
    while (err == MS_OK && (rc = sqlite3_step(cache->stmt[which])) == SQLITE_ROW) {
        struct ms_arena arena = MS_ARENA_INIT(ROW_ARENA_BYTES);
        struct cache_past_set set = {0};
        struct ms_diag why = {0};
        struct ms_sha256 hmac;
        struct row row;
        enum ms_err bad = row_read(cache, which, PAST_SET_TABLE, PAST_SET_CELLS, &row, &hmac, &why);
        if (bad == MS_OK)
            bad = to_set(&row, &arena, &set, &why);
        if (bad != MS_OK)
            name_bad_set(&row, &set);
        err = fn(arg, bad, &set, &why);
        ms_arena_done(&arena);
    }
    if (err == MS_OK && rc != SQLITE_DONE)
        err = cache_sql_error(cache, diag, "read past sets");
    cache_reset(cache, which);
    return err;
}
