/* cache/past_document.c - documents that operations of the past name by SHA-256, append-only.
 *
 * The blob is the proof and is all that a reader needs; the row keeps it and says who gave it. */
#include "cache/internal.h"

#define DOCUMENT_TABLE "past_document"
#define DOCUMENT_CELLS 3 /* without the code */
#define ROW_ARENA_BYTES 4096u

static enum ms_err to_document(const struct row *row, struct ms_arena *arena,
                               struct cache_past_document *ret_document, struct ms_diag *diag)
{
    struct row_reader r = {.row = row, .arena = arena};
    struct cache_past_document d = {0};

    row_bytes(&r, d.hash.b, sizeof(d.hash.b));
    d.provider = row_text(&r, 1, CACHE_PROVIDER_MAX_BYTES);
    d.recorded_s = row_int(&r, INT64_MIN / 4, INT64_MAX / 4);
    enum ms_err err = row_end(&r, DOCUMENT_TABLE, diag);
    if (err == MS_OK)
        *ret_document = d;
    return err;
}

/* Whether there is a row of this hash. */
static enum ms_err has(struct cache *cache, enum cache_stmt which, const struct ms_sha256 *hash,
                       bool *ret_has, struct ms_diag *diag)
{
    sqlite3_stmt *stmt = cache->stmt[which];
    enum ms_err err = MS_OK;

    int rc = sqlite3_bind_blob(stmt, 1, hash->b, sizeof(hash->b), SQLITE_STATIC);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        err = cache_sql_error(cache, diag, "look for a document");
    else
        *ret_has = rc == SQLITE_ROW;
    cache_reset(cache, which);
    return err;
}

enum ms_err cache_document_known(struct cache *cache, const struct ms_sha256 *hash, bool *ret_known,
                                 struct ms_diag *diag)
{
    return has(cache, CACHE_STMT_BLOB_HAS, hash, ret_known, diag);
}

static enum ms_err add_document(struct cache *cache, const struct cache_past_document *d,
                                struct ms_diag *diag)
{
    struct ms_sha256 hash = ms_sha256(d->bytes);
    struct ms_arena arena = MS_ARENA_INIT(ROW_ARENA_BYTES);
    struct cache_past_document again;
    struct row row = {0};
    bool there = false;

    row_add_blob(&row, hash.b, sizeof(hash.b));
    row_add_text(&row, d->provider);
    row_add_int(&row, d->recorded_s);
    enum ms_err err = to_document(&row, &arena, &again, NULL); /* or it could not be read back */
    ms_arena_done(&arena);
    if (err != MS_OK)
        return ms_diag_set(diag, err == MS_ERR_STORE ? MS_ERR_ARGUMENT : err,
                           "a document of the past cannot be stored: %s", ms_err_text(err));
    err = cache_blob_put(cache, d->bytes, diag);
    if (err == MS_OK)
        err = has(cache, CACHE_STMT_DOCUMENT_HAS, &hash, &there, diag);
    return err != MS_OK || there
               ? err
               : row_insert(cache, CACHE_STMT_DOCUMENT_INSERT, DOCUMENT_TABLE, &row, diag);
}

enum ms_err cache_past_documents_add(struct cache *cache,
                                     const struct cache_past_document *documents, size_t n,
                                     struct ms_diag *diag)
{
    enum ms_err err = cache_begin(cache, diag);
    if (err != MS_OK)
        return err;
    for (size_t i = 0; err == MS_OK && i < n; i++)
        err = add_document(cache, &documents[i], diag);
    return cache_end(cache, err, diag);
}

/* Of a row that is not ours: the name it has. */
static void name_bad(const struct row *row, struct cache_past_document *ret)
{
    const struct cell *hash = &row->cell[0];

    *ret = (struct cache_past_document){0};
    if (hash->type == CELL_BLOB && hash->bytes.len == sizeof(ret->hash.b))
        memcpy(ret->hash.b, hash->bytes.ptr, sizeof(ret->hash.b));
}

enum ms_err cache_past_documents_each(struct cache *cache, cache_past_document_fn *fn, void *arg,
                                      struct ms_diag *diag)
{
    sqlite3_stmt *stmt = cache->stmt[CACHE_STMT_DOCUMENT_ALL];
    enum ms_err err = MS_OK;
    int rc = SQLITE_DONE;

    while (err == MS_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        struct ms_arena arena = MS_ARENA_INIT(ROW_ARENA_BYTES);
        struct cache_past_document document = {0};
        struct ms_diag why = {0};
        struct ms_sha256 hmac;
        struct row row;
        enum ms_err bad = row_read(cache, CACHE_STMT_DOCUMENT_ALL, DOCUMENT_TABLE, DOCUMENT_CELLS,
                                   &row, &hmac, &why);
        if (bad == MS_OK)
            bad = to_document(&row, &arena, &document, &why);
        if (bad != MS_OK)
            name_bad(&row, &document);
        err = fn(arg, bad, &document, &why);
        ms_arena_done(&arena);
    }
    if (err == MS_OK && rc != SQLITE_DONE)
        err = cache_sql_error(cache, diag, "read documents of the past");
    cache_reset(cache, CACHE_STMT_DOCUMENT_ALL);
    return err;
}
