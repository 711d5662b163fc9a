/* cache/cache.c - opening, transactions, errors. */
#define _GNU_SOURCE /* access, strdup */

#include "cache/internal.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* The lock file keeps other daemons out, and readers hold nobody up: who locks the database is
 * somebody's tool. Questions wait behind this. */
#define CACHE_BUSY_MS 1000
#define CACHE_CHECK_PAGES 16384 /* 64 MiB are checked in a fifth of a second */
#define CACHE_ROW_LIMIT_BYTES \
    ((int)CACHE_BLOB_MAX_BYTES + (1 << 20)) /* largest value SQLite may build */

const char *cache_status_name(enum cache_status status)
{
    switch (status) {
    case CACHE_STATUS_NONE:
        break;
    case CACHE_GOOD:
        return "good";
    case CACHE_NEGATIVE:
        return "negative";
    case CACHE_REVOKED:
        return "revoked";
    case CACHE_HOLD:
        return "hold";
    case CACHE_CONFLICT:
        return "conflict";
    }
    return "none";
}

enum ms_err cache_sql_error(struct cache *cache, struct ms_diag *diag, const char *what)
{
    int code = sqlite3_extended_errcode(cache->db);

    if ((code & 0xff) == SQLITE_NOMEM)
        return MS_ERR_MEMORY;
    return ms_diag_set(diag, MS_ERR_STORE, "database: %s: %s (SQLite %d)", what,
                       sqlite3_errmsg(cache->db), code);
}

void cache_reset(struct cache *cache, enum cache_stmt which)
{
    (void)sqlite3_reset(cache->stmt[which]); /* repeats the error of the last step */
    (void)sqlite3_clear_bindings(cache->stmt[which]);
}

enum ms_err cache_run(struct cache *cache, enum cache_stmt which, struct ms_diag *diag,
                      const char *what)
{
    enum ms_err err = MS_OK;

    if (sqlite3_step(cache->stmt[which]) != SQLITE_DONE) {
        if (sqlite3_extended_errcode(cache->db) == SQLITE_CONSTRAINT_FOREIGNKEY)
            err = ms_diag_set(diag, MS_ERR_EVIDENCE, "%s: its evidence is not stored", what);
        else
            err = cache_sql_error(cache, diag, what);
    }
    cache_reset(cache, which);
    return err;
}

/* SQLite ends a transaction by itself after some errors (full disk, I/O, memory). */
static bool in_transaction(const struct cache *cache)
{
    return sqlite3_get_autocommit(cache->db) == 0;
}

static enum ms_err roll_back(struct cache *cache, struct ms_diag *diag)
{
    if (!in_transaction(cache))
        return MS_OK;
    cache->log.loaded = false; /* it may have grown by what is undone */
    return cache_run(cache, CACHE_STMT_ROLLBACK, diag, "rollback");
}

static enum ms_err begin_transaction(struct cache *cache, struct ms_diag *diag)
{
    if (cache->readonly)
        return ms_diag_set(diag, MS_ERR_STORE, "database: opened for reading only");
    enum ms_err err = roll_back(cache, diag);
    return err != MS_OK ? err : cache_run(cache, CACHE_STMT_BEGIN, diag, "begin");
}

static enum ms_err end_transaction(struct cache *cache, enum ms_err err, struct ms_diag *diag)
{
    if (err == MS_OK)
        err = cache_run(cache, CACHE_STMT_COMMIT, diag, "commit");
    if (err == MS_OK)
        cache_floor_write(cache);
    cache->written_n = 0;
    /* A ROLLBACK that fails is tried again before the next transaction. */
    if (err != MS_OK)
        (void)roll_back(cache, NULL);
    cache->log.loaded = cache->log.loaded && err == MS_OK; /* SQLite may have undone it itself */
    return err;
}

/* Outside of a transaction a savepoint would begin one, and its release commit it. */
static enum ms_err check_group(struct cache *cache, struct ms_diag *diag)
{
    if (in_transaction(cache))
        return MS_OK;
    cache->log.loaded = false;
    return ms_diag_set(diag, MS_ERR_STORE,
                       "database: a change before this one ended their transaction");
}

enum ms_err cache_begin(struct cache *cache, struct ms_diag *diag)
{
    if (cache->readonly)
        return ms_diag_set(diag, MS_ERR_STORE, "the database is open for reading only");
    cache->written_n_before = cache->grouped ? cache->written_n : 0;
    cache->written_code_before = cache->written_code;
    if (!cache->grouped)
        return begin_transaction(cache, diag);
    enum ms_err err = check_group(cache, diag);
    return err != MS_OK ? err : cache_run(cache, CACHE_STMT_SAVEPOINT, diag, "savepoint");
}

enum ms_err cache_end(struct cache *cache, enum ms_err err, struct ms_diag *diag)
{
    if (!cache->grouped)
        return end_transaction(cache, err, diag);
    if (!in_transaction(cache))
        return err != MS_OK ? err : check_group(cache, diag);
    if (err != MS_OK) { /* no row of this change counts */
        cache->written_n = cache->written_n_before;
        cache->written_code = cache->written_code_before;
    }
    cache->log.loaded = cache->log.loaded && err == MS_OK;
    /* When the change cannot be undone alone, nothing of the group may stay. */
    if (err != MS_OK && cache_run(cache, CACHE_STMT_ROLLBACK_TO, NULL, "undo") != MS_OK) {
        (void)roll_back(cache, NULL);
        return err;
    }
    enum ms_err released = cache_run(cache, CACHE_STMT_RELEASE, diag, "release");
    if (released != MS_OK)
        (void)roll_back(cache, NULL);
    return err != MS_OK ? err : released;
}

enum ms_err cache_group_begin(struct cache *cache, struct ms_diag *diag)
{
    assert(!cache->grouped);
    cache->written_n = 0;
    enum ms_err err = begin_transaction(cache, diag);
    cache->grouped = err == MS_OK;
    return err;
}

enum ms_err cache_group_end(struct cache *cache, struct ms_diag *diag)
{
    assert(cache->grouped);
    cache->grouped = false;
    enum ms_err err = check_group(cache, diag);
    return err != MS_OK ? err : end_transaction(cache, MS_OK, diag);
}

/* Run one PRAGMA that gives a text in its first row, or none. */
static enum ms_err pragma(struct cache *cache, const char *sql, const char *want,
                          struct ms_diag *diag)
{
    sqlite3_stmt *stmt = NULL;
    enum ms_err err = MS_OK;

    int rc = sqlite3_prepare_v2(cache->db, sql, -1, &stmt, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE) {
        err = cache_sql_error(cache, diag, sql);
    } else if (want != NULL) {
        const char *got = rc == SQLITE_ROW ? (const char *)sqlite3_column_text(stmt, 0) : NULL;
        if (got == NULL || strcmp(got, want) != 0)
            err = ms_diag_set(diag, MS_ERR_STORE, "database: %s: %s", sql, got == NULL ? "?" : got);
    }
    (void)sqlite3_finalize(stmt);
    return err;
}

/* Refuse what is no database, or a damaged one, in words that say what to do. */
static enum ms_err check_intact(struct cache *cache, const char *path, struct ms_diag *diag)
{
    static const char *const all[] = {"PRAGMA quick_check(1)"};
    /* of a large one the rows alone: evidence, most of it, shows its damage when it is read */
    static const char *const rows[] = {"PRAGMA quick_check('entry')",
                                       "PRAGMA quick_check('history')"};
    struct ms_diag why = {0};
    int64_t pages = 0;
    enum ms_err err = cache_number(cache, "PRAGMA page_count", &pages, &why);
    const char *const *checks = pages <= CACHE_CHECK_PAGES ? all : rows;
    size_t n = pages <= CACHE_CHECK_PAGES ? MS_ARRAY_LEN(all) : MS_ARRAY_LEN(rows);

    for (size_t i = 0; err == MS_OK && i < n; i++)
        err = pragma(cache, checks[i], "ok", &why);
    int code = sqlite3_errcode(cache->db) & 0xff;

    if (err == MS_OK || err == MS_ERR_MEMORY)
        return err;
    if (code == SQLITE_NOTADB)
        return ms_diag_set(
            diag, MS_ERR_STORE,
            "%s is not a SQLite database; it is left as it is: move it away to start anew", path);
    if (code == SQLITE_OK || code == SQLITE_ROW || code == SQLITE_DONE || code == SQLITE_CORRUPT)
        return ms_diag_set(
            diag, MS_ERR_STORE,
            "%s is damaged; it is left as it is: restore it or move it away (%.100s)", path,
            why.text);
    return ms_diag_set(diag, err, "%s: %.100s", path, why.text);
}

static enum ms_err set_up(struct cache *cache, const char *path,
                          const struct cache_options *options, struct ms_diag *diag)
{
    static const char *const before[] = {
        "PRAGMA trusted_schema = OFF",
        "PRAGMA cell_size_check = ON",
    };
    static const char *const after[] = {
        /* these read the file already */
        "PRAGMA foreign_keys = ON",
        "PRAGMA synchronous = FULL",
        "PRAGMA temp_store = MEMORY",
    };

    (void)sqlite3_extended_result_codes(cache->db, 1);
    (void)sqlite3_busy_timeout(cache->db, CACHE_BUSY_MS);
    (void)sqlite3_limit(cache->db, SQLITE_LIMIT_LENGTH, CACHE_ROW_LIMIT_BYTES);
    if (sqlite3_db_config(cache->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL) != SQLITE_OK)
        return cache_sql_error(cache, diag, "defensive mode");
    enum ms_err err = MS_OK;
    for (size_t i = 0; err == MS_OK && i < MS_ARRAY_LEN(before); i++)
        err = pragma(cache, before[i], NULL, diag);
    if (err == MS_OK && !cache->unchecked)
        err = check_intact(cache, path, diag);
    for (size_t i = 0; err == MS_OK && i < MS_ARRAY_LEN(after); i++)
        err = pragma(cache, after[i], NULL, diag);
    if (err == MS_OK && !cache->readonly)
        err = pragma(cache, "PRAGMA journal_mode = WAL", "wal", diag);
    if (err == MS_OK && options != NULL && options->max_pages != 0) {
        char sql[64];
        (void)snprintf(sql, sizeof(sql), "PRAGMA max_page_count = %lu",
                       (unsigned long)options->max_pages);
        err = pragma(cache, sql, NULL, diag);
    }
    if (err == MS_OK)
        err = cache_schema(cache, path, diag);
    for (size_t i = 0; err == MS_OK && i < CACHE_STMT_COUNT; i++)
        if (sqlite3_prepare_v3(cache->db, cache_sql[i], -1, SQLITE_PREPARE_PERSISTENT,
                               &cache->stmt[i], NULL) != SQLITE_OK)
            err = cache_sql_error(cache, diag, cache_sql[i]);
    return err;
}

static enum ms_err open_db(struct cache *cache, const char *name, int flags, struct ms_diag *diag)
{
    /* NOMUTEX: one thread uses this connection. */
    if (sqlite3_open_v2(name, &cache->db, flags | SQLITE_OPEN_NOMUTEX, NULL) == SQLITE_OK)
        return MS_OK;
    if (cache->db == NULL)
        return MS_ERR_MEMORY;
    return cache_sql_error(cache, diag, name);
}

static struct cache *new_cache(bool readonly)
{
    struct cache *cache = calloc(1, sizeof(*cache));
    if (cache != NULL) {
        cache->lock_fd = cache->floor_fd = -1;
        cache->readonly = readonly;
    }
    return cache;
}

enum ms_err cache_open(const char *state_dir, const struct cache_options *options,
                       struct cache **ret_cache, struct ms_diag *diag)
{
    char path[CACHE_PATH_MAX];
    bool has_content = false;
    struct cache *cache = new_cache(false);

    if (cache == NULL)
        return MS_ERR_MEMORY;
    enum ms_err err = cache_files_dir(state_dir, diag);
    if (err == MS_OK)
        err = cache_files_path(state_dir, CACHE_DB_NAME, path, diag);
    if (err == MS_OK)
        err = cache_files_lock(state_dir, &cache->lock_fd, diag);
    if (err == MS_OK)
        err = cache_files_db(path, &has_content, diag);
    if (err == MS_OK)
        err = cache_files_key(state_dir, !has_content, cache->hmac_key, diag);
    if (err == MS_OK)
        err = open_db(cache, path, SQLITE_OPEN_READWRITE, diag);
    if (err == MS_OK)
        err = set_up(cache, path, options, diag);
    if (err == MS_OK)
        err = cache_floor_open(cache, state_dir, diag);
    if (err == MS_OK)
        err = cache_log_heal(cache, diag);
    if (err != MS_OK) {
        cache_close(cache);
        return err;
    }
    *ret_cache = cache;
    return MS_OK;
}

/* A "file:" URI that says no one changes the file: SQLite cannot open a WAL database in a folder it
 * may not write to in any other way. Only right while there is no -wal file beside it. */
static enum ms_err immutable_uri(const char *path, struct ms_buf *out)
{
    (void)ms_buf_add_str(out, "file:");
    for (const char *c = path; *c != '\0'; c++) {
        bool plain = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
                     (*c >= '0' && *c <= '9') || *c == '/' || *c == '-' || *c == '_' || *c == '.';
        if (plain)
            (void)ms_buf_add_byte(out, (uint8_t)*c);
        else
            (void)ms_buf_addf(out, "%%%02X", (unsigned)(uint8_t)*c);
    }
    return ms_buf_add_str(out, "?immutable=1");
}

/* The folder of path: "." when it names none. */
static enum ms_err dir_of(const char *path, char ret_dir[CACHE_PATH_MAX], struct ms_diag *diag)
{
    const char *slash = strrchr(path, '/');
    const char *from = slash == NULL ? "." : slash == path ? "/" : path;
    size_t len = slash == NULL || slash == path ? 1 : (size_t)(slash - path);

    if (len >= CACHE_PATH_MAX || strlen(path) + sizeof("-wal") > CACHE_PATH_MAX)
        return ms_diag_set(diag, MS_ERR_ARGUMENT, "the path of the database is too long");
    memcpy(ret_dir, from, len);
    ret_dir[len] = '\0';
    return MS_OK;
}

static enum ms_err open_readonly_db(struct cache *cache, const char *dir, const char *path,
                                    struct ms_diag *diag)
{
    char wal[CACHE_PATH_MAX];
    struct ms_buf uri = MS_BUF_INIT(3 * CACHE_PATH_MAX + 64);
    enum ms_err err;

    (void)snprintf(wal, sizeof(wal), "%s-wal", path);
    if (access(path, R_OK) != 0) {
        err = ms_diag_set(diag, MS_ERR_IO, "cannot read %s", path);
    } else if (access(dir, W_OK) != 0 && access(wal, F_OK) != 0) {
        err = immutable_uri(path, &uri);
        if (err == MS_OK && ms_buf_str(&uri) == NULL)
            err = MS_ERR_MEMORY;
        if (err == MS_OK)
            err = open_db(cache, ms_buf_str(&uri), SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, diag);
    } else {
        err = open_db(cache, path, SQLITE_OPEN_READONLY, diag);
    }
    ms_buf_done(&uri);
    return err;
}

enum reading {
    FOR_TOOLS = 0,
    FOR_AUDIT, /* no key is no error, and damage is looked for later */
    FOR_DAEMON /* damage was looked for */
};

static enum ms_err open_to_read(const char *db_path, enum reading reading, struct cache **ret_cache,
                                struct ms_diag *diag)
{
    char dir[CACHE_PATH_MAX], key[CACHE_PATH_MAX];
    struct cache *cache = new_cache(true);

    if (cache == NULL)
        return MS_ERR_MEMORY;
    enum ms_err err = dir_of(db_path, dir, diag);
    if (err == MS_OK)
        err = open_readonly_db(cache, dir, db_path, diag);
    if (err == MS_OK)
        err = cache_files_path(dir, CACHE_KEY_NAME, key, diag);
    cache->keyless = err == MS_OK && reading == FOR_AUDIT && access(key, F_OK) != 0;
    if (err == MS_OK && !cache->keyless)
        err = cache_files_key(dir, false, cache->hmac_key, diag);
    cache->unchecked = reading != FOR_TOOLS;
    if (err == MS_OK)
        err = set_up(cache, db_path, NULL, diag);
    if (err == MS_OK)
        err = cache_floor_open(cache, dir, diag);
    if (err != MS_OK) {
        cache_close(cache);
        return err;
    }
    *ret_cache = cache;
    return MS_OK;
}

enum ms_err cache_open_readonly(const char *db_path, struct cache **ret_cache, struct ms_diag *diag)
{
    return open_to_read(db_path, FOR_TOOLS, ret_cache, diag);
}

enum ms_err cache_open_second(const char *db_path, struct cache **ret_cache, struct ms_diag *diag)
{
    return open_to_read(db_path, FOR_DAEMON, ret_cache, diag);
}

enum ms_err cache_open_audit(const char *db_path, struct cache **ret_cache, bool *ret_has_key,
                             struct ms_diag *diag)
{
    enum ms_err err = open_to_read(db_path, FOR_AUDIT, ret_cache, diag);

    if (err == MS_OK)
        *ret_has_key = !(*ret_cache)->keyless;
    return err;
}

void cache_close(struct cache *cache)
{
    if (cache == NULL)
        return;
    for (size_t i = 0; i < CACHE_STMT_COUNT; i++)
        (void)sqlite3_finalize(cache->stmt[i]);
    int rc = sqlite3_close(cache->db);
    assert(rc == SQLITE_OK);
    (void)rc;
    ms_wipe(cache->hmac_key, sizeof(cache->hmac_key));
    if (cache->lock_fd >= 0)
        (void)close(cache->lock_fd);
    if (cache->floor_fd >= 0)
        (void)close(cache->floor_fd);
    free(cache);
}
