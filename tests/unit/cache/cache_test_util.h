/* A temporary state directory, and raw access to the database behind the cache's back. */
#ifndef MS_TESTS_CACHE_UTIL_H
#define MS_TESTS_CACHE_UTIL_H

#include "cache/cache.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#define BOOT_ID "01234567-89ab-cdef-0123-456789abcdef"

static char state_dir[64];
static char path_buf[128];

static inline const char *in_dir(const char *name)
{
    (void)snprintf(path_buf, sizeof(path_buf), "%s/%s", state_dir, name);
    return path_buf;
}

static inline int fresh_dir(void **state)
{
    (void)state;
    (void)snprintf(state_dir, sizeof(state_dir), "/tmp/measured-cache-XXXXXX");
    return mkdtemp(state_dir) == NULL ? -1 : 0;
}

static inline int drop_dir(void **state)
{
    static const char *const names[] = {"measured.db",   "measured.db-wal",   "measured.db-shm",
                                        "measured.hmac", "measured.hmac.new", "measured.lock",
                                        "measured.floor"};
    (void)state;
    (void)chmod(state_dir, 0700);
    for (size_t i = 0; i < MS_ARRAY_LEN(names); i++)
        (void)unlink(in_dir(names[i]));
    return rmdir(state_dir);
}

static inline struct cache *must_open(void)
{
    struct cache *cache = NULL;
    struct ms_diag diag = {0};
    enum ms_err err = cache_open(state_dir, NULL, &cache, &diag);
    if (err != MS_OK)
        fail_msg("cache_open: %s: %s", ms_err_name(err), ms_diag_text(&diag, err));
    return cache;
}

/* Refused with `want` and a sentence that contains `words`. */
static inline void must_refuse(enum ms_err want, const char *words)
{
    struct cache *cache = NULL;
    struct ms_diag diag = {0};
    enum ms_err err = cache_open(state_dir, NULL, &cache, &diag);
    if (err != want || strstr(diag.text, words) == NULL)
        fail_msg("got %s: %s", ms_err_name(err), diag.text);
    assert_null(cache);
}

/* Run SQL on the file with a plain connection; the cache must be closed or idle. */
static inline void raw(const char *sql)
{
    sqlite3 *db = NULL;
    char *why = NULL;
    assert_int_equal(sqlite3_open(in_dir("measured.db"), &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK)
        fail_msg("%s: %s", sql, why);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static inline struct ms_sha256 hash_of(const char *text)
{
    return ms_sha256(ms_span_str(text));
}

/* Every member set, no two alike. */
static inline struct cache_entry sample(void)
{
    return (struct cache_entry){
        .key = hash_of("key"),
        .level = SPEC_LEVEL_L2,
        .canonical = "eip155:1:0x0000000000000000000000000000000000000001",
        .kind = SPEC_CONTRACT,
        .status = CACHE_GOOD,
        .has_bundle = true,
        .bundle = hash_of("evidence"),
        .has_sequence = true,
        .sequence = 0xfffffffffffffff1u,
        .commitment = hash_of("commitment"),
        .set_hash = hash_of("set"),
        .floor_sequence = 0xfffffffffffffff0u,
        .fetched = {1700000001, 1001, BOOT_ID},
        .checked = {1700000002, 1002,
                    "f"
                    "1234567-89ab-cdef-0123-456789abcdef"},
        .evidence_time_s = 1700000003,
        .life = {120, 121, 3600, -1, true},
        .valid_until_s = 1700000004,
        .etag = "\"abc\"",
        .last_modified = "Sat, 05 Nov 1994 08:49:37 GMT",
        .error = MS_ERR_REVERT,
        .error_until_s = 1700000005,
    };
}

static inline struct cache_history sample_history(void)
{
    return (struct cache_history){
        .key = hash_of("key"),
        .level = SPEC_LEVEL_L2,
        .time_s = 1700000001,
        .status = CACHE_GOOD,
        .kind = "set",
        .has_sequence = true,
        .sequence = 17,
        .set_hash = hash_of("set"),
        .has_bundle = true,
        .bundle = hash_of("evidence"),
        .has_block = true,
        .block_number = 19000000,
        .block_hash = {{1, 2, 3}},
    };
}

static inline enum ms_err commit(struct cache *cache, const struct cache_entry *entry,
                                 const struct cache_history *history, struct ms_diag *diag)
{
    struct ms_span blob = ms_span_str("evidence");
    struct cache_change change = {1, &blob, entry, history};
    return cache_commit(cache, &change, diag);
}

static inline void must_commit(struct cache *cache, const struct cache_entry *entry,
                               const struct cache_history *history)
{
    struct ms_diag diag = {0};
    enum ms_err err = commit(cache, entry, history, &diag);
    if (err != MS_OK)
        fail_msg("cache_commit: %s: %s", ms_err_name(err), ms_diag_text(&diag, err));
}

#endif
