/* cache/floor.c - measured.floor: how far history once went, in a file of its own.
 *
 * A database of before, put back, is in order by itself: all its codes are right. This file says
 * what was durable here (ethereum.md T11): number and code of the newest history row. A database
 * without that very row is an older one, or another branch of it; so it stays noticed when the
 * database has grown again.
 *
 * Two slots, written in turn, each within one sector: a torn write spoils one of them. No fsync:
 * after a power loss the file may say less than was durable, never more than it says truly, and
 * each change would otherwise wait for a second disk write. */
#define _GNU_SOURCE /* O_CLOEXEC, O_NOFOLLOW, pread */
#include "cache/internal.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define FLOOR_MAGIC "measured.floor/1" /* 16 bytes, without its NUL */
#define FLOOR_SLOT_BYTES 512
#define FLOOR_SLOTS 2
#define FLOOR_SIGNED_BYTES (16 + 8 + 8 + MS_SHA256_BYTES)
#define FLOOR_BYTES (FLOOR_SIGNED_BYTES + MS_SHA256_BYTES)

static void put_be64(uint8_t out[8], uint64_t value)
{
    for (size_t i = 0; i < 8; i++)
        out[i] = (uint8_t)(value >> (56 - 8 * i));
}

static uint64_t get_be64(const uint8_t in[8])
{
    uint64_t value = 0;

    for (size_t i = 0; i < 8; i++)
        value = value << 8 | in[i];
    return value;
}

static struct ms_sha256 slot_code(const struct cache *cache, const uint8_t slot[FLOOR_BYTES])
{
    return ms_hmac_sha256(ms_span_of(cache->hmac_key, sizeof(cache->hmac_key)),
                          ms_span_of(slot, FLOOR_SIGNED_BYTES));
}

/* false: not a slot of ours. Without the key nothing tells, and the slot is taken as it is. */
static bool read_slot(const struct cache *cache, const uint8_t slot[FLOOR_BYTES],
                      struct cache_floor_mark *ret_mark)
{
    struct ms_sha256 code = slot_code(cache, slot);

    if (memcmp(slot, FLOOR_MAGIC, 16) != 0 ||
        (!cache->keyless && !ms_equal_secret(code.b, slot + FLOOR_SIGNED_BYTES, MS_SHA256_BYTES)))
        return false;
    ret_mark->turn = get_be64(slot + 16);
    ret_mark->n = get_be64(slot + 24);
    memcpy(ret_mark->code.b, slot + 32, MS_SHA256_BYTES);
    return true;
}

/* The newest slot; false: there is none, *ret_empty tells whether the file has no content either.
 */
static bool read_marks(const struct cache *cache, int fd, struct cache_floor_mark *ret_mark,
                       bool *ret_empty)
{
    struct stat st;
    bool found = false;

    *ret_empty = fstat(fd, &st) == 0 && st.st_size == 0;
    for (size_t i = 0; i < FLOOR_SLOTS; i++) {
        uint8_t slot[FLOOR_BYTES] = {0};
        struct cache_floor_mark mark;
        if (pread(fd, slot, sizeof(slot), (off_t)(i * FLOOR_SLOT_BYTES)) != (ssize_t)sizeof(slot) ||
            !read_slot(cache, slot, &mark) || (found && mark.turn < ret_mark->turn))
            continue;
        *ret_mark = mark;
        found = true;
    }
    return found;
}

/* The code of row n as it stands in the database; false: there is no such row. */
static enum ms_err stored_code(struct cache *cache, uint64_t n, struct ms_sha256 *ret_code,
                               bool *ret_found, struct ms_diag *diag)
{
    sqlite3_stmt *stmt = cache->stmt[CACHE_STMT_HISTORY_CODE];
    enum ms_err err = MS_OK;

    *ret_found = false;
    int rc = sqlite3_bind_int64(stmt, 1, n > INT64_MAX ? INT64_MAX : (int64_t)n);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW) {
        const void *code = sqlite3_column_blob(stmt, 0);
        *ret_found = code != NULL && sqlite3_column_bytes(stmt, 0) == MS_SHA256_BYTES;
        if (*ret_found)
            memcpy(ret_code->b, code, MS_SHA256_BYTES);
    } else if (rc != SQLITE_DONE) {
        err = cache_sql_error(cache, diag, "read history");
    }
    cache_reset(cache, CACHE_STMT_HISTORY_CODE);
    return err;
}

static enum ms_err compare(struct cache *cache, struct ms_diag *diag)
{
    struct cache_floor_mark *mark = &cache->floor;
    struct ms_sha256 code;
    bool found = false;

    enum ms_err err = stored_code(cache, mark->n, &code, &found, diag);
    if (err != MS_OK)
        return err;
    cache->floor_state = CACHE_FLOOR_OK;
    if (found && ms_sha256_eq(&code, &mark->code))
        return MS_OK;
    cache->floor_state = CACHE_FLOOR_OLDER;
    (void)ms_diag_set(&cache->floor_diag, MS_OK,
                      "history row %llu was once durable here and is %s: an older database was put "
                      "back, or rows were taken out; %s still says so",
                      (unsigned long long)mark->n, found ? "another one now" : "missing",
                      CACHE_FLOOR_NAME);
    return MS_OK;
}

static void bad_file(struct cache *cache, const char *why)
{
    cache->floor_state = CACHE_FLOOR_BAD;
    (void)ms_diag_set(&cache->floor_diag, MS_OK,
                      "%s %s: whether the database is an older one cannot be told",
                      CACHE_FLOOR_NAME, why);
}

enum ms_err cache_floor_open(struct cache *cache, const char *dir, struct ms_diag *diag)
{
    int flags = cache->readonly ? O_RDONLY : O_RDWR | O_CREAT;
    char path[CACHE_PATH_MAX];
    bool empty = false;

    enum ms_err err = cache_files_path(dir, CACHE_FLOOR_NAME, path, diag);
    if (err != MS_OK)
        return err;
    cache->floor_fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (cache->floor_fd < 0) {
        if (access(path, F_OK) == 0 || !cache->readonly)
            bad_file(cache, "cannot be opened");
        return MS_OK;
    }
    if (read_marks(cache, cache->floor_fd, &cache->floor, &empty))
        return compare(cache, diag);
    if (!empty)
        bad_file(cache, "was not written by us");
    return MS_OK;
}

void cache_floor_write(struct cache *cache)
{
    uint8_t slot[FLOOR_BYTES] = {0};

    if (cache->written_n == 0)
        return;
    /* what was noticed stays: somebody has to look at it, and remove the file to go on */
    if (cache->floor_state == CACHE_FLOOR_OLDER || cache->floor_state == CACHE_FLOOR_BAD)
        return;
    cache->floor.turn++;
    cache->floor.n = cache->written_n;
    cache->floor.code = cache->written_code;
    cache->written_n = 0;
    memcpy(slot, FLOOR_MAGIC, 16);
    put_be64(slot + 16, cache->floor.turn);
    put_be64(slot + 24, cache->floor.n);
    memcpy(slot + 32, cache->floor.code.b, MS_SHA256_BYTES);
    struct ms_sha256 code = slot_code(cache, slot);
    memcpy(slot + FLOOR_SIGNED_BYTES, code.b, MS_SHA256_BYTES);
    off_t at = (off_t)(cache->floor.turn % FLOOR_SLOTS) * FLOOR_SLOT_BYTES;
    /* the change is durable already: a floor that stays behind notices less, and does no harm */
    if (pwrite(cache->floor_fd, slot, sizeof(slot), at) != (ssize_t)sizeof(slot)) {
        cache->floor_state = CACHE_FLOOR_UNWRITTEN;
        (void)ms_diag_set(&cache->floor_diag, MS_OK, "%s cannot be written", CACHE_FLOOR_NAME);
        return;
    }
    cache->floor_state = CACHE_FLOOR_OK;
}

enum cache_floor cache_floor(const struct cache *cache, const char **ret_why)
{
    *ret_why = cache->floor_diag.text;
    return cache->floor_state;
}
