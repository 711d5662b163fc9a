/* cache/entry.c - rows of entries, and the transactions that change them. */
#include "cache/internal.h"

#define ENTRY_TABLE "entry"
#define ENTRY_CELLS 28 /* without the code */
#define ENTRY_ARENA_BYTES ((size_t)CACHE_TEXT_MAX_BYTES + 2 * CACHE_VALIDATOR_MAX_BYTES + 8192)

/* Times stay far from where adding durations overflows. */
#define TIME_MAX (INT64_MAX / 4)

static void add_time(struct row *row, const struct cache_time *time)
{
    row_add_int(row, time->wall_s);
    row_add_int(row, time->boot_ms);
    row_add_text(row, time->boot_id);
}

/* Order as ENTRY_COLUMNS in schema.c; to_entry reads it in the same order. */
static void from_entry(const struct cache_entry *e, struct row *row)
{
    *row = (struct row){0};
    row_add_blob(row, e->key.b, sizeof(e->key.b));
    row_add_int(row, e->level);
    row_add_text(row, e->canonical);
    row_add_int(row, e->kind);
    row_add_int(row, e->status);
    if (e->has_bundle)
        row_add_blob(row, e->bundle.b, sizeof(e->bundle.b));
    else
        row_add_null(row);
    if (e->has_sequence)
        row_add_u64(row, e->sequence);
    else
        row_add_null(row);
    row_add_blob(row, e->commitment.b, sizeof(e->commitment.b));
    row_add_blob(row, e->set_hash.b, sizeof(e->set_hash.b));
    row_add_u64(row, e->floor_sequence);
    add_time(row, &e->fetched);
    add_time(row, &e->checked);
    row_add_int(row, e->evidence_time_s);
    row_add_int(row, e->life.fresh_s);
    row_add_int(row, e->life.swr_s);
    row_add_int(row, e->life.sie_s);
    row_add_int(row, e->life.ceiling_s);
    row_add_int(row, e->life.no_store ? 1 : 0);
    row_add_int(row, e->valid_until_s);
    row_add_text(row, e->etag);
    row_add_text(row, e->last_modified);
    row_add_text(row, e->error == MS_OK ? NULL : ms_err_code(e->error));
    row_add_int(row, e->error_until_s);
    if (e->floor_epoch != 0)
        row_add_u64(row, e->floor_epoch);
    else
        row_add_null(row);
}

static void read_time(struct row_reader *r, struct cache_time *time)
{
    time->wall_s = row_int(r, -TIME_MAX, TIME_MAX);
    time->boot_ms = row_int(r, 0, TIME_MAX);
    const char *id = row_text(r, 0, CACHE_BOOT_ID_LEN);
    size_t len = strlen(id);
    if (len != 0 && len != CACHE_BOOT_ID_LEN)
        r->failed = true;
    else
        memcpy(time->boot_id, id, len + 1);
}

static enum ms_err read_error(struct row_reader *r)
{
    const char *code = row_text_or_null(r, 64);

    if (code == NULL)
        return MS_OK;
    enum ms_err error = ms_err_from_code(code);
    if (error == MS_OK)
        r->failed = true;
    return error;
}

static enum ms_err to_entry(const struct row *row, struct ms_arena *arena,
                            struct cache_entry *ret_entry, struct ms_diag *diag)
{
    struct row_reader r = {.row = row, .arena = arena};
    struct cache_entry e = {0};

    row_bytes(&r, e.key.b, sizeof(e.key.b));
    e.level = (enum spec_level)row_int(&r, SPEC_LEVEL_NONE, SPEC_LEVEL_L4);
    e.canonical = row_text(&r, 1, CACHE_TEXT_MAX_BYTES);
    e.kind = (enum spec_kind)row_int(&r, SPEC_INLINE, SPEC_ALIAS);
    e.status = (enum cache_status)row_int(&r, CACHE_GOOD, CACHE_CONFLICT);
    e.has_bundle = row_bytes_or_null(&r, e.bundle.b, sizeof(e.bundle.b));
    e.has_sequence = row_u64_or_null(&r, &e.sequence);
    row_bytes(&r, e.commitment.b, sizeof(e.commitment.b));
    row_bytes(&r, e.set_hash.b, sizeof(e.set_hash.b));
    e.floor_sequence = row_u64(&r);
    read_time(&r, &e.fetched);
    read_time(&r, &e.checked);
    e.evidence_time_s = row_int(&r, -TIME_MAX, TIME_MAX);
    e.life.fresh_s = row_int(&r, -1, TIME_MAX);
    e.life.swr_s = row_int(&r, -1, TIME_MAX);
    e.life.sie_s = row_int(&r, -1, TIME_MAX);
    e.life.ceiling_s = row_int(&r, -1, TIME_MAX);
    e.life.no_store = row_int(&r, 0, 1) == 1;
    e.valid_until_s = row_int(&r, 0, TIME_MAX);
    e.etag = row_text_or_null(&r, CACHE_VALIDATOR_MAX_BYTES);
    e.last_modified = row_text_or_null(&r, CACHE_VALIDATOR_MAX_BYTES);
    e.error = read_error(&r);
    e.error_until_s = row_int(&r, 0, TIME_MAX);
    if (row_u64_or_null(&r, &e.floor_epoch) && e.floor_epoch == 0)
        r.failed = true;
    enum ms_err err = row_end(&r, ENTRY_TABLE, diag);
    if (err == MS_OK)
        *ret_entry = e;
    return err;
}

static enum ms_err bind_key(struct cache *cache, enum cache_stmt which, const struct ms_sha256 *key,
                            enum spec_level level, struct ms_diag *diag)
{
    if (sqlite3_bind_blob(cache->stmt[which], 1, key->b, sizeof(key->b), SQLITE_STATIC) !=
            SQLITE_OK ||
        sqlite3_bind_int(cache->stmt[which], 2, (int)level) != SQLITE_OK)
        return cache_sql_error(cache, diag, "entry");
    return MS_OK;
}

enum ms_err cache_entry_get(struct cache *cache, const struct ms_sha256 *key, enum spec_level level,
                            struct ms_arena *arena, struct cache_entry *ret_entry, bool *ret_found,
                            struct ms_diag *diag)
{
    struct row row;
    struct ms_sha256 hmac;

    enum ms_err err = bind_key(cache, CACHE_STMT_ENTRY_GET, key, level, diag);
    if (err != MS_OK)
        goto out;
    int rc = sqlite3_step(cache->stmt[CACHE_STMT_ENTRY_GET]);
    if (rc == SQLITE_ROW) {
        err = row_read(cache, CACHE_STMT_ENTRY_GET, ENTRY_TABLE, ENTRY_CELLS, &row, &hmac, diag);
        if (err == MS_OK)
            err = to_entry(&row, arena, ret_entry, diag);
    } else if (rc != SQLITE_DONE) {
        err = cache_sql_error(cache, diag, "read entry");
    }
    if (err == MS_OK)
        *ret_found = rc == SQLITE_ROW;
out:
    cache_reset(cache, CACHE_STMT_ENTRY_GET);
    return err;
}

/* What a bad row says it is, for an alarm and for deleting it. */
static void name_bad_row(const struct row *row, struct cache_entry *ret_entry)
{
    const struct cell *key = &row->cell[0], *level = &row->cell[1];

    *ret_entry = (struct cache_entry){0};
    if (key->type == CELL_BLOB && key->bytes.len == sizeof(ret_entry->key.b))
        memcpy(ret_entry->key.b, key->bytes.ptr, sizeof(ret_entry->key.b));
    if (level->type == CELL_INT && level->number >= SPEC_LEVEL_NONE &&
        level->number <= SPEC_LEVEL_L4)
        ret_entry->level = (enum spec_level)level->number;
}

enum ms_err cache_each_entry(struct cache *cache, cache_entry_fn *fn, void *arg,
                             struct ms_diag *diag)
{
    enum ms_err err = MS_OK;
    int rc = SQLITE_DONE;

    while (err == MS_OK && (rc = sqlite3_step(cache->stmt[CACHE_STMT_ENTRY_EACH])) == SQLITE_ROW) {
        struct ms_arena arena = MS_ARENA_INIT(ENTRY_ARENA_BYTES);
        struct ms_diag why = {0};
        struct cache_entry entry;
        struct ms_sha256 hmac;
        struct row row;
        enum ms_err bad =
            row_read(cache, CACHE_STMT_ENTRY_EACH, ENTRY_TABLE, ENTRY_CELLS, &row, &hmac, &why);
        if (bad == MS_OK)
            bad = to_entry(&row, &arena, &entry, &why);
        if (bad != MS_OK)
            name_bad_row(&row, &entry);
        err = fn(arg, bad, &entry, &why);
        ms_arena_done(&arena);
    }
    if (err == MS_OK && rc != SQLITE_DONE)
        err = cache_sql_error(cache, diag, "read entries");
    cache_reset(cache, CACHE_STMT_ENTRY_EACH);
    return err;
}

/* What is written must be readable again, so it goes through the reader first. */
static enum ms_err check_entry(const struct row *row)
{
    struct ms_arena arena = MS_ARENA_INIT(ENTRY_ARENA_BYTES);
    struct cache_entry again;
    struct ms_diag why = {0};
    enum ms_err err = to_entry(row, &arena, &again, &why);

    ms_arena_done(&arena);
    return err == MS_ERR_STORE ? MS_ERR_ARGUMENT : err;
}

/* Insert or replace within a transaction; `old` is the row that is there, NULL when there is none.
 */
static enum ms_err write_entry(struct cache *cache, const struct cache_entry *entry,
                               const struct cache_entry *old, struct ms_diag *diag)
{
    enum cache_stmt which = old == NULL ? CACHE_STMT_ENTRY_INSERT : CACHE_STMT_ENTRY_UPDATE;
    struct cache_entry e = *entry;
    struct ms_sha256 hmac;
    struct row row;

    if (old != NULL && old->floor_epoch > e.floor_epoch) {
        e.floor_epoch = old->floor_epoch;
        e.floor_sequence = old->floor_sequence;
    } else if (old != NULL && old->floor_epoch == e.floor_epoch &&
               old->floor_sequence > e.floor_sequence) {
        e.floor_sequence = old->floor_sequence;
    }
    if (entry->floor_epoch < e.floor_epoch)
        return ms_diag_set(diag, MS_ERR_ROLLBACK, "epoch %llu is below the floor %llu",
                           (unsigned long long)entry->floor_epoch,
                           (unsigned long long)e.floor_epoch);
    if (e.has_sequence && e.sequence < e.floor_sequence)
        return ms_diag_set(diag, MS_ERR_ROLLBACK, "sequence %llu is below the floor %llu",
                           (unsigned long long)e.sequence, (unsigned long long)e.floor_sequence);
    from_entry(&e, &row);
    enum ms_err err = check_entry(&row);
    if (err != MS_OK)
        return ms_diag_set(diag, err, "an entry cannot be stored: %s", ms_err_text(err));
    err = row_bind(cache, which, ENTRY_TABLE, &row, &hmac, diag);
    if (err == MS_OK)
        return cache_run(cache, which, diag, "write entry");
    cache_reset(cache, which);
    return err;
}

static enum ms_err append(struct cache *cache, const struct cache_change *change,
                          struct ms_diag *diag)
{
    const struct cache_entry *e = change->entry;
    const struct cache_history *h = change->history;
    uint64_t n = 0;

    enum ms_err err = cache_history_append(cache, h, &n, diag);
    if (err == MS_OK && e->has_bundle && h->has_bundle && ms_sha256_eq(&e->bundle, &h->bundle))
        err = cache_confirmed_begin(cache, n, e, h, diag);
    return err;
}

/* What cache_commit does within its transaction. */
static enum ms_err apply(struct cache *cache, const struct cache_change *change,
                         struct ms_diag *diag)
{
    struct ms_arena arena = MS_ARENA_INIT(ENTRY_ARENA_BYTES);
    struct cache_entry old;
    bool found = false;
    enum ms_err err = MS_OK;

    for (size_t i = 0; err == MS_OK && i < change->n_blobs; i++)
        err = cache_blob_put(cache, change->blobs[i], diag);
    if (err == MS_OK)
        err = cache_entry_get(cache, &change->entry->key, change->entry->level, &arena, &old,
                              &found, diag);
    if (err == MS_OK)
        err = write_entry(cache, change->entry, found ? &old : NULL, diag);
    if (err == MS_OK && change->history != NULL)
        err = append(cache, change, diag);
    ms_arena_done(&arena);
    return err;
}

enum ms_err cache_commit(struct cache *cache, const struct cache_change *change,
                         struct ms_diag *diag)
{
    enum ms_err err = cache_begin(cache, diag);
    if (err != MS_OK)
        return err;
    return cache_end(cache, apply(cache, change, diag), diag);
}

static enum ms_err touch(struct cache *cache, const struct ms_sha256 *key, enum spec_level level,
                         const struct cache_freshness *freshness, struct ms_diag *diag)
{
    struct ms_arena arena = MS_ARENA_INIT(ENTRY_ARENA_BYTES);
    struct cache_entry old;
    bool found = false;

    enum ms_err err = cache_entry_get(cache, key, level, &arena, &old, &found, diag);
    if (err == MS_OK && !found)
        err = ms_diag_set(diag, MS_ERR_UNKNOWN, "there is no stored entry to confirm");
    else if (err == MS_OK && !(old.has_bundle && ms_sha256_eq(&old.bundle, &freshness->bundle)))
        err = ms_diag_set(diag, MS_ERR_UNKNOWN, "the stored entry is of another answer");
    if (err == MS_OK) {
        struct cache_entry e = old;
        e.checked = freshness->checked;
        e.evidence_time_s = freshness->evidence_time_s;
        e.life = freshness->life;
        e.valid_until_s = freshness->valid_until_s;
        e.etag = freshness->etag;
        e.last_modified = freshness->last_modified;
        err = write_entry(cache, &e, &old, diag);
        if (err == MS_OK)
            err = cache_confirmed_add(cache, &e, freshness, diag);
    }
    ms_arena_done(&arena);
    return err;
}

enum ms_err cache_touch(struct cache *cache, const struct ms_sha256 *key, enum spec_level level,
                        const struct cache_freshness *freshness, struct ms_diag *diag)
{
    enum ms_err err = cache_begin(cache, diag);
    if (err != MS_OK)
        return err;
    return cache_end(cache, touch(cache, key, level, freshness, diag), diag);
}

static enum ms_err drop_blob(struct cache *cache, const struct ms_sha256 *hash,
                             struct ms_diag *diag)
{
    if (sqlite3_bind_blob(cache->stmt[CACHE_STMT_BLOB_DROP], 1, hash->b, sizeof(hash->b),
                          SQLITE_STATIC) != SQLITE_OK)
        return cache_sql_error(cache, diag, "delete blob");
    return cache_run(cache, CACHE_STMT_BLOB_DROP, diag, "delete blob");
}

static enum ms_err delete_entry(struct cache *cache, const struct ms_sha256 *key,
                                enum spec_level level, struct ms_diag *diag)
{
    struct ms_arena arena = MS_ARENA_INIT(ENTRY_ARENA_BYTES);
    struct cache_entry old = {0};
    bool found = false;

    enum ms_err err = cache_entry_get(cache, key, level, &arena, &old, &found, NULL);
    ms_arena_done(&arena);
    if (err == MS_OK && found && old.floor_sequence != 0)
        return ms_diag_set(diag, MS_ERR_ROLLBACK,
                           "the entry has the floor %llu, which must not be forgotten",
                           (unsigned long long)old.floor_sequence);
    if (err != MS_OK && err != MS_ERR_HMAC)
        return err;
    err = bind_key(cache, CACHE_STMT_ENTRY_DELETE, key, level, diag);
    if (err == MS_OK)
        err = cache_run(cache, CACHE_STMT_ENTRY_DELETE, diag, "delete entry");
    if (err == MS_OK && old.has_bundle)
        err = drop_blob(cache, &old.bundle, diag);
    return err;
}

enum ms_err cache_entry_delete(struct cache *cache, const struct ms_sha256 *key,
                               enum spec_level level, struct ms_diag *diag)
{
    enum ms_err err = cache_begin(cache, diag);
    if (err != MS_OK)
        return err;
    return cache_end(cache, delete_entry(cache, key, level, diag), diag);
}
