/* cache/blob.c - evidence, addressed by its SHA-256. */
#include "cache/internal.h"

#include "base/gzip.h"
#include "resolver/entry/pack.h"

/* Packed: pack_text; a gzip member in databases from before it. The first byte says which. */
enum { BLOB_AS_IS = 0, BLOB_PACKED = 1 };

static enum ms_err bad_blob(struct ms_diag *diag, const struct ms_sha256 *hash)
{
    char hex[2 * MS_SHA256_BYTES + 1];
    ms_sha256_hex(hash, hex);
    return ms_diag_set(diag, MS_ERR_EVIDENCE, "the stored evidence sha256:%s was changed", hex);
}

static enum ms_err unpack(struct ms_span data, size_t size, struct ms_buf *out)
{
    return data.len > 0 && data.ptr[0] == PACK_FIRST_BYTE ? unpack_text(data, size, out)
                                                          : ms_gunzip(data, 0, out, NULL);
}

/* The current row's bytes, decoded but not yet compared with their hash. They are out's, or
 * borrowed from the statement. */
static enum ms_err decode(sqlite3_stmt *stmt, int at, struct ms_buf *scratch,
                          struct ms_span *ret_bytes)
{
    if (sqlite3_column_type(stmt, at) != SQLITE_INTEGER ||
        sqlite3_column_type(stmt, at + 1) != SQLITE_INTEGER ||
        sqlite3_column_type(stmt, at + 2) != SQLITE_BLOB)
        return MS_ERR_EVIDENCE;
    int64_t encoding = sqlite3_column_int64(stmt, at), size = sqlite3_column_int64(stmt, at + 1);
    const void *ptr = sqlite3_column_blob(stmt, at + 2);
    struct ms_span data = ms_span_of(ptr, (size_t)sqlite3_column_bytes(stmt, at + 2));

    if (size < 0 || size > (int64_t)CACHE_BLOB_MAX_BYTES || (ptr == NULL && data.len > 0))
        return MS_ERR_EVIDENCE;
    if (encoding == BLOB_PACKED) {
        *scratch = (struct ms_buf)MS_BUF_INIT((size_t)size);
        enum ms_err err = unpack(data, (size_t)size, scratch);
        if (err != MS_OK)
            return err == MS_ERR_MEMORY ? err : MS_ERR_EVIDENCE;
        data = ms_buf_span(scratch);
    } else if (encoding != BLOB_AS_IS) {
        return MS_ERR_EVIDENCE;
    }
    if (data.len != (size_t)size)
        return MS_ERR_EVIDENCE;
    *ret_bytes = data;
    return MS_OK;
}

enum ms_err cache_blob_check(sqlite3_stmt *stmt, int at, const struct ms_sha256 *hash)
{
    struct ms_buf scratch = MS_BUF_INIT(0);
    struct ms_span bytes = {0};

    enum ms_err err = decode(stmt, at, &scratch, &bytes);
    struct ms_sha256 got = ms_sha256(bytes);
    if (err == MS_OK && !ms_sha256_eq(&got, hash))
        err = MS_ERR_EVIDENCE;
    ms_buf_done(&scratch);
    return err;
}

/* As cache_blob_get; out may be NULL to only look whether it is there and right. */
static enum ms_err load(struct cache *cache, const struct ms_sha256 *hash, struct ms_buf *out,
                        bool *ret_found, struct ms_diag *diag)
{
    sqlite3_stmt *stmt = cache->stmt[CACHE_STMT_BLOB_GET];
    struct ms_buf scratch = MS_BUF_INIT(0);
    struct ms_span bytes = {0};
    enum ms_err err = MS_OK;

    int rc = sqlite3_bind_blob(stmt, 1, hash->b, sizeof(hash->b), SQLITE_STATIC);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW) {
        err = decode(stmt, 0, &scratch, &bytes);
        struct ms_sha256 got = ms_sha256(bytes);
        if (err == MS_OK && !ms_sha256_eq(&got, hash))
            err = MS_ERR_EVIDENCE;
        if (err == MS_ERR_EVIDENCE)
            err = bad_blob(diag, hash);
        if (err == MS_OK && out != NULL)
            err = ms_buf_add(out, bytes);
    } else if (rc != SQLITE_DONE) {
        err = cache_sql_error(cache, diag, "read blob");
    }
    if (err == MS_OK)
        *ret_found = rc == SQLITE_ROW;
    cache_reset(cache, CACHE_STMT_BLOB_GET);
    ms_buf_done(&scratch);
    return err;
}

enum ms_err cache_blob_get(struct cache *cache, const struct ms_sha256 *hash, struct ms_buf *out,
                           bool *ret_found, struct ms_diag *diag)
{
    return load(cache, hash, out, ret_found, diag);
}

static enum ms_err write_blob(struct cache *cache, const struct ms_sha256 *hash,
                              struct ms_span bytes, struct ms_diag *diag)
{
    sqlite3_stmt *stmt = cache->stmt[CACHE_STMT_BLOB_PUT];
    struct ms_buf packed = MS_BUF_INIT(CACHE_BLOB_MAX_BYTES);
    struct ms_span data = bytes;
    int encoding = BLOB_AS_IS;

    if (pack_text(bytes, &packed) == MS_OK && packed.len < bytes.len) {
        data = ms_buf_span(&packed);
        encoding = BLOB_PACKED;
    }
    const void *ptr = data.len == 0 ? "" : (const void *)data.ptr;
    enum ms_err err;
    if (sqlite3_bind_blob(stmt, 1, hash->b, sizeof(hash->b), SQLITE_STATIC) != SQLITE_OK ||
        sqlite3_bind_int(stmt, 2, encoding) != SQLITE_OK ||
        sqlite3_bind_int64(stmt, 3, (int64_t)bytes.len) != SQLITE_OK ||
        sqlite3_bind_blob64(stmt, 4, ptr, data.len, SQLITE_STATIC) != SQLITE_OK) {
        err = cache_sql_error(cache, diag, "write blob");
        cache_reset(cache, CACHE_STMT_BLOB_PUT);
    } else {
        err = cache_run(cache, CACHE_STMT_BLOB_PUT, diag, "write blob");
    }
    ms_buf_done(&packed);
    return err;
}

enum ms_err cache_blob_put(struct cache *cache, struct ms_span bytes, struct ms_diag *diag)
{
    bool found = false;

    if (bytes.len > CACHE_BLOB_MAX_BYTES)
        return ms_diag_set(diag, MS_ERR_LIMIT, "evidence of %zu bytes exceeds the limit of %zu",
                           bytes.len, CACHE_BLOB_MAX_BYTES);
    struct ms_sha256 hash = ms_sha256(bytes);
    /* What is there already must be right, or this change would rest on evidence that does not
     * verify: a changed blob is written anew. */
    enum ms_err err = load(cache, &hash, NULL, &found, NULL);
    if (err == MS_OK && found)
        return MS_OK;
    if (err != MS_OK && err != MS_ERR_EVIDENCE)
        return ms_diag_set(diag, err, "database: read blob: %s", ms_err_text(err));
    return write_blob(cache, &hash, bytes, diag);
}
