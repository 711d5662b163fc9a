/* cache/audit_db.c - what is asked of SQLite itself, of a database that is not trusted. */
#include "cache/internal.h"

#include <stdio.h>

struct asked { /* one query whose rows are texts */
    const char *what, *sql;
    const char *good; /* the text that is no finding, or NULL */
};

static const struct asked questions[] = {
    {"database", "PRAGMA integrity_check(100)", "ok"},
    {"database",
     "SELECT 'table ' || \"table\" || ' refers to a row of ' || parent || ' that is missing'"
     " FROM pragma_foreign_key_check LIMIT 100",
     NULL},
    /* rows are numbered without gaps, and never deleted */
    {"history",
     "SELECT 'rows are missing: ' || count(*) || ' of ' || max(n) FROM history"
     " HAVING count(*) <> coalesce(max(n), 0)",
     NULL},
    {"history",
     "SELECT 'rows were deleted at the end: ' || seq || ' were written' FROM sqlite_sequence"
     " WHERE name = 'history' AND seq <> (SELECT coalesce(max(n), 0) FROM history)",
     NULL},
    {"database",
     "SELECT 'sqlite_sequence counts another table' FROM sqlite_sequence"
     " WHERE name <> 'history'",
     NULL},
    {"confirmed",
     "SELECT 'run ' || id || ' is of a row that brought no set' FROM confirmed c WHERE NOT EXISTS"
     " (SELECT 1 FROM history h WHERE h.n = c.n AND h.bundle IS NOT NULL) LIMIT 100",
     NULL},
};

static bool is_damage(const struct cache *cache)
{
    int code = sqlite3_errcode(cache->db) & 0xff;
    return code == SQLITE_CORRUPT || code == SQLITE_NOTADB || code == SQLITE_ERROR;
}

static enum ms_err ask(struct cache *cache, const struct asked *asked, audit_words_fn *fn,
                       void *arg, struct ms_diag *diag)
{
    sqlite3_stmt *stmt = NULL;
    enum ms_err err = MS_OK;
    int rc = sqlite3_prepare_v2(cache->db, asked->sql, -1, &stmt, NULL);

    while (rc == SQLITE_OK || rc == SQLITE_ROW) {
        rc = sqlite3_step(stmt);
        const char *words = rc == SQLITE_ROW ? (const char *)sqlite3_column_text(stmt, 0) : NULL;
        if (rc == SQLITE_ROW &&
            (words == NULL || asked->good == NULL || strcmp(words, asked->good) != 0))
            fn(arg, asked->what, words == NULL ? "unreadable" : words);
    }
    if (rc != SQLITE_DONE && is_damage(cache))
        fn(arg, asked->what, sqlite3_errmsg(cache->db));
    else if (rc != SQLITE_DONE)
        err = cache_sql_error(cache, diag, "audit");
    (void)sqlite3_finalize(stmt);
    return err;
}

/* ---- the schema ---- */

/* With the types of what stands there: a text and a blob of the same bytes are not the same. */
#define SCHEMA_SQL                                                                     \
    "SELECT type || ' ' || name || ' ' || tbl_name || ' ' || typeof(type) || ' ' || "  \
    "typeof(name) || ' ' || typeof(tbl_name) || ' ' || typeof(sql), coalesce(sql, '')" \
    " FROM sqlite_schema ORDER BY type, name"

/* Both at their next row; false: one has an error. */
static bool same_row(sqlite3_stmt *ours, sqlite3_stmt *theirs)
{
    for (int i = 0; i < 2; i++) {
        const void *a = sqlite3_column_blob(ours, i), *b = sqlite3_column_blob(theirs, i);
        int n = sqlite3_column_bytes(ours, i);
        if (n != sqlite3_column_bytes(theirs, i) || (n > 0 && (a == NULL || b == NULL)) ||
            (n > 0 && memcmp(a, b, (size_t)n) != 0))
            return false;
    }
    return true;
}

static enum ms_err compare_schema(sqlite3 *db, struct cache *cache, audit_words_fn *fn, void *arg)
{
    sqlite3_stmt *ours = NULL, *theirs = NULL;
    bool same = true;
    int a = SQLITE_ROW, b = SQLITE_ROW;

    if (sqlite3_prepare_v2(db, SCHEMA_SQL, -1, &ours, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(cache->db, SCHEMA_SQL, -1, &theirs, NULL) != SQLITE_OK)
        a = b = SQLITE_ERROR;
    while (same && a == SQLITE_ROW && b == SQLITE_ROW) {
        a = sqlite3_step(ours);
        b = sqlite3_step(theirs);
        same = a == b && (a != SQLITE_ROW || same_row(ours, theirs));
    }
    if (!same || a != SQLITE_DONE) {
        char words[256];
        const char *name = ours == NULL ? NULL : (const char *)sqlite3_column_text(ours, 0);
        (void)snprintf(words, sizeof(words), "tables or triggers are not ours, near %.100s",
                       name == NULL ? "the end" : name);
        fn(arg, "schema", words);
    }
    (void)sqlite3_finalize(ours);
    (void)sqlite3_finalize(theirs);
    return MS_OK;
}

/* With one that the migrations make now. */
static enum ms_err check_schema(struct cache *cache, audit_words_fn *fn, void *arg)
{
    sqlite3 *db = NULL;
    enum ms_err err = sqlite3_open(":memory:", &db) == SQLITE_OK ? MS_OK : MS_ERR_MEMORY;

    if (err == MS_OK)
        err = cache_schema_make(db);
    if (err == MS_OK)
        err = compare_schema(db, cache, fn, arg);
    (void)sqlite3_close(db);
    return err;
}

enum ms_err audit_pages(struct cache *cache, audit_words_fn *fn, void *arg, struct ms_diag *diag)
{
    enum ms_err err = MS_OK;

    for (size_t i = 0; err == MS_OK && i < MS_ARRAY_LEN(questions); i++)
        err = ask(cache, &questions[i], fn, arg, diag);
    return err == MS_OK ? check_schema(cache, fn, arg) : err;
}

/* ---- blobs ---- */

/* Of the blob that the statement stands at. */
static enum ms_err check_blob(sqlite3_stmt *stmt, audit_known_fn *known, void *arg,
                              struct ms_sha256 *ret_hash)
{
    const void *name = sqlite3_column_blob(stmt, 0);

    *ret_hash = (struct ms_sha256){0};
    if (name == NULL || sqlite3_column_bytes(stmt, 0) != MS_SHA256_BYTES)
        return MS_ERR_EVIDENCE;
    memcpy(ret_hash->b, name, MS_SHA256_BYTES);
    return known(arg, ret_hash) ? MS_OK : cache_blob_check(stmt, 1, ret_hash);
}

enum ms_err audit_blobs(struct cache *cache, audit_known_fn *known, audit_blob_fn *fn, void *arg,
                        struct ms_diag *diag)
{
    static const char sql[] = "SELECT hash, encoding, size, data,"
                              " EXISTS(SELECT 1 FROM history h WHERE h.bundle = b.hash)"
                              " OR EXISTS(SELECT 1 FROM entry e WHERE e.bundle = b.hash)"
                              " OR EXISTS(SELECT 1 FROM operation o WHERE o.bundle = b.hash)"
                              " OR EXISTS(SELECT 1 FROM past_document d WHERE d.hash = b.hash)"
                              " OR EXISTS(SELECT 1 FROM past_set p WHERE p.document = b.hash OR"
                              " p.bundle = b.hash)"
                              " FROM blob b";
    sqlite3_stmt *stmt = NULL;
    enum ms_err err = MS_OK;

    int rc = sqlite3_prepare_v2(cache->db, sql, -1, &stmt, NULL);
    while (rc == SQLITE_OK || rc == SQLITE_ROW) {
        rc = sqlite3_step(stmt);
        if (rc != SQLITE_ROW)
            break;
        struct ms_sha256 hash;
        enum ms_err bad = check_blob(stmt, known, arg, &hash);
        fn(arg, bad, &hash, sqlite3_column_int(stmt, 4) == 1);
    }
    if (rc != SQLITE_DONE)
        err = cache_sql_error(cache, diag, "read blobs");
    (void)sqlite3_finalize(stmt);
    return err;
}
