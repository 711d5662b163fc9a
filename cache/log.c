/* cache/log.c - the transparency log in the database. */
#include "cache/log.h"

#include "cache/internal.h"
#include "resolver/entry/leaf.h"

#include <inttypes.h>

#define ENTRY_TABLE "log_entry"
#define ENTRY_CELLS 2
#define TILE_TABLE "log_tile"
#define TILE_CELLS 3
#define CHECKPOINT_TABLE "log_checkpoint"
#define CHECKPOINT_CELLS 5
#define HEAL_AT_ONCE 1000 /* entries of one transaction */
#define TILE_HEIGHT 8u

/* ---- entries ---- */

enum ms_err cache_log_count(struct cache *cache, int64_t *ret_size, struct ms_diag *diag)
{
    enum ms_err err = MS_OK;

    if (sqlite3_step(cache->stmt[CACHE_STMT_LOG_SIZE]) == SQLITE_ROW)
        *ret_size = sqlite3_column_int64(cache->stmt[CACHE_STMT_LOG_SIZE], 0);
    else
        err = cache_sql_error(cache, diag, "read log");
    cache_reset(cache, CACHE_STMT_LOG_SIZE);
    if (err == MS_OK && (*ret_size < 0 || *ret_size == INT64_MAX))
        err = ms_diag_set(diag, MS_ERR_STORE, "the numbers of log entries are used up");
    return err;
}

static enum ms_err missing_entry(struct ms_diag *diag, uint64_t n)
{
    return ms_diag_set(diag, MS_ERR_EVIDENCE, "entry %" PRIu64 " of the log is missing", n);
}

/* The current row of LOG_RANGE, which must be entry n. */
static enum ms_err read_entry(struct cache *cache, uint64_t n, struct ms_span *ret_entry,
                              struct ms_diag *diag)
{
    struct ms_sha256 hmac;
    struct row row;

    if (sqlite3_column_int64(cache->stmt[CACHE_STMT_LOG_RANGE], 0) != (int64_t)n)
        return missing_entry(diag, n);
    enum ms_err err =
        row_read(cache, CACHE_STMT_LOG_RANGE, ENTRY_TABLE, ENTRY_CELLS, &row, &hmac, NULL);
    if (err == MS_ERR_HMAC)
        return ms_diag_set(diag, err, "entry %" PRIu64 " of the log was changed", n);
    if (err == MS_OK)
        *ret_entry = row.cell[1].bytes;
    return err;
}

enum ms_err cache_log_each(struct cache *cache, uint64_t n, uint64_t count, cache_log_entry_fn *fn,
                           void *arg, struct ms_diag *diag)
{
    sqlite3_stmt *stmt = cache->stmt[CACHE_STMT_LOG_RANGE];
    uint64_t end = n + count;
    enum ms_err err = MS_OK;
    struct ms_span entry;
    int rc = SQLITE_DONE;

    if (count == 0)
        return MS_OK;
    if (sqlite3_bind_int64(stmt, 1, (int64_t)n) != SQLITE_OK ||
        sqlite3_bind_int64(stmt, 2, (int64_t)(end - 1)) != SQLITE_OK)
        err = cache_sql_error(cache, diag, "read log");
    while (err == MS_OK && n < end && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        err = read_entry(cache, n, &entry, diag);
        if (err == MS_OK)
            err = fn(arg, n++, entry);
    }
    if (err == MS_OK && n < end)
        err = rc == SQLITE_DONE ? missing_entry(diag, n) : cache_sql_error(cache, diag, "read log");
    cache_reset(cache, CACHE_STMT_LOG_RANGE);
    return err;
}

enum ms_err cache_log_prev(struct cache *cache, const struct ms_sha256 *key, uint64_t n,
                           struct ms_sha256 *ret_prev, bool *ret_found, struct ms_diag *diag)
{
    sqlite3_stmt *stmt = cache->stmt[CACHE_STMT_LOG_PREV];
    enum ms_err err = MS_OK;

    *ret_prev = (struct ms_sha256){0};
    int rc = sqlite3_bind_blob(stmt, 1, key->b, sizeof(key->b), SQLITE_STATIC);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int64(stmt, 2, (int64_t)n);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    *ret_found = rc == SQLITE_ROW;
    if (rc == SQLITE_ROW) {
        /* its code is not looked at: of a changed entry this is another hash, as it should be */
        const void *ptr = sqlite3_column_blob(stmt, 0);
        *ret_prev = ms_sha256(ms_span_of(ptr, (size_t)sqlite3_column_bytes(stmt, 0)));
    } else if (rc != SQLITE_DONE) {
        err = cache_sql_error(cache, diag, "read log");
    }
    cache_reset(cache, CACHE_STMT_LOG_PREV);
    return err;
}

/* ---- tiles ---- */

enum ms_err cache_log_stored_tile(struct cache *cache, unsigned level, uint64_t index,
                                  uint8_t out[MSIG_TLOG_TILE_BYTES], unsigned *ret_width,
                                  struct ms_diag *diag)
{
    sqlite3_stmt *stmt = cache->stmt[CACHE_STMT_TILE_GET];
    enum ms_err err = MS_OK;
    struct ms_sha256 hmac;
    struct row row;

    *ret_width = 0;
    int rc = sqlite3_bind_int64(stmt, 1, (int64_t)level);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int64(stmt, 2, (int64_t)index);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW) {
        err = row_read(cache, CACHE_STMT_TILE_GET, TILE_TABLE, TILE_CELLS, &row, &hmac, NULL);
        struct ms_span data = row.cell[2].bytes;
        if (err == MS_ERR_HMAC || (err == MS_OK && data.len > MSIG_TLOG_TILE_BYTES)) {
            err = ms_diag_set(diag, MS_ERR_HMAC,
                              "tile %" PRIu64 " of level %u of the log was changed", index, level);
        } else if (err == MS_OK) {
            memcpy(out, data.ptr, data.len);
            *ret_width = (unsigned)(data.len / MS_SHA256_BYTES);
        }
    } else if (rc != SQLITE_DONE) {
        err = cache_sql_error(cache, diag, "read log");
    }
    cache_reset(cache, CACHE_STMT_TILE_GET);
    return err;
}

static enum ms_err put_tile(struct cache *cache, unsigned level, uint64_t index,
                            const uint8_t *bytes, unsigned width, struct ms_diag *diag)
{
    struct row row = {0};
    struct ms_sha256 hmac;

    row_add_int(&row, (int64_t)level);
    row_add_int(&row, (int64_t)index);
    row_add_blob(&row, bytes, (size_t)width * MS_SHA256_BYTES);
    enum ms_err err = row_bind(cache, CACHE_STMT_TILE_PUT, TILE_TABLE, &row, &hmac, diag);
    if (err == MS_OK)
        return cache_run(cache, CACHE_STMT_TILE_PUT, diag, "write log");
    cache_reset(cache, CACHE_STMT_TILE_PUT);
    return err;
}

struct hashes {
    uint8_t *at;
};

static enum ms_err add_leaf_hash(void *arg, uint64_t n, struct ms_span entry)
{
    struct hashes *hashes = arg;
    struct ms_sha256 leaf = msig_tlog_leaf(entry);

    (void)n;
    memcpy(hashes->at, leaf.b, sizeof(leaf.b));
    hashes->at += sizeof(leaf.b);
    return MS_OK;
}

/* The first `width` hashes of a tile. Full tiles of level 0 are stored; of another one the hashes
 * follow from its entries. */
static enum ms_err read_tile(void *arg, unsigned level, uint64_t index, unsigned width,
                             uint8_t *out, struct ms_diag *diag)
{
    struct cache *cache = arg;
    uint8_t stored[MSIG_TLOG_TILE_BYTES];
    unsigned has = 0;

    enum ms_err err = cache_log_stored_tile(cache, level, index, stored, &has, diag);
    if (err != MS_OK)
        return err;
    if (has >= width) {
        memcpy(out, stored, (size_t)width * MS_SHA256_BYTES);
        return MS_OK;
    }
    if (level > 0)
        return ms_diag_set(diag, MS_ERR_STORE,
                           "tile %" PRIu64 " of level %u of the log is missing or too short", index,
                           level);
    struct hashes hashes = {out};
    return cache_log_each(cache, index * MSIG_TLOG_TILE_WIDTH + 1, width, add_leaf_hash, &hashes,
                          diag);
}

/* ---- the right edge ---- */

/* The last, not full tile of a level, into the edge. */
static enum ms_err load_level(struct cache *cache, struct log_edge *log, uint64_t size,
                              unsigned level, struct ms_diag *diag)
{
    uint64_t index = size >> (TILE_HEIGHT * level) >> TILE_HEIGHT;
    unsigned width = msig_tlog_tile_width(size, level, index);
    uint8_t bytes[MSIG_TLOG_TILE_BYTES];
    uint8_t *at = level == 0 ? log->leaves : bytes;

    enum ms_err err = width == 0 ? MS_OK : read_tile(cache, level, index, width, at, diag);
    for (unsigned i = 0; err == MS_OK && i < width; i++) {
        struct ms_sha256 hash;
        memcpy(hash.b, at + (size_t)i * MS_SHA256_BYTES, sizeof(hash.b));
        err = msig_tlog_edge_add(&log->edge, TILE_HEIGHT * level, &hash);
    }
    return err;
}

/* Make cache->log what the database has. */
static enum ms_err load_edge(struct cache *cache, struct ms_diag *diag)
{
    struct log_edge *log = &cache->log;
    int64_t size = 0;

    enum ms_err err = cache_log_count(cache, &size, diag);
    if (err != MS_OK || (log->loaded && log->edge.size == (uint64_t)size))
        return err;
    log->loaded = false;
    log->edge.size = 0;
    for (unsigned level = MSIG_TLOG_TILE_LEVELS; err == MS_OK && level-- > 0;)
        err = load_level(cache, log, (uint64_t)size, level, diag);
    log->loaded = err == MS_OK;
    return err;
}

/* A tile of `level` is full: its root goes to the tile above, and so on. */
static enum ms_err lift(struct cache *cache, uint64_t size, const uint8_t *full,
                        struct ms_diag *diag)
{
    uint8_t bytes[MSIG_TLOG_TILE_BYTES];
    unsigned width = 0;

    memcpy(bytes, full, sizeof(bytes));
    for (unsigned level = 1; level < MSIG_TLOG_TILE_LEVELS; level++) {
        struct ms_sha256 hash = msig_tlog_fold(bytes, TILE_HEIGHT);
        uint64_t at = (size >> (TILE_HEIGHT * level)) - 1;
        enum ms_err err =
            cache_log_stored_tile(cache, level, at / MSIG_TLOG_TILE_WIDTH, bytes, &width, diag);
        if (err == MS_OK && width != at % MSIG_TLOG_TILE_WIDTH)
            err = ms_diag_set(diag, MS_ERR_STORE, "a tile of level %u of the log is not complete",
                              level);
        if (err != MS_OK)
            return err;
        memcpy(bytes + (size_t)width * MS_SHA256_BYTES, hash.b, sizeof(hash.b));
        width++;
        err = put_tile(cache, level, at / MSIG_TLOG_TILE_WIDTH, bytes, width, diag);
        if (err != MS_OK || width < MSIG_TLOG_TILE_WIDTH)
            return err;
    }
    return MS_OK;
}

static enum ms_err add_leaf(struct cache *cache, struct ms_span entry, struct ms_diag *diag)
{
    struct log_edge *log = &cache->log;
    struct ms_sha256 leaf = msig_tlog_leaf(entry);
    uint64_t at = log->edge.size % MSIG_TLOG_TILE_WIDTH;

    memcpy(log->leaves + at * MS_SHA256_BYTES, leaf.b, sizeof(leaf.b));
    enum ms_err err = msig_tlog_edge_add(&log->edge, 0, &leaf);
    if (err != MS_OK || at + 1 < MSIG_TLOG_TILE_WIDTH)
        return err;
    err = put_tile(cache, 0, log->edge.size / MSIG_TLOG_TILE_WIDTH - 1, log->leaves,
                   MSIG_TLOG_TILE_WIDTH, diag);
    return err == MS_OK ? lift(cache, log->edge.size, log->leaves, diag) : err;
}

static enum ms_err insert_entry(struct cache *cache, uint64_t n, struct ms_span entry,
                                struct ms_diag *diag)
{
    struct row row = {0};
    struct ms_sha256 hmac;

    row_add_int(&row, (int64_t)n);
    row_add_blob(&row, entry.ptr, entry.len);
    enum ms_err err = row_bind(cache, CACHE_STMT_LOG_INSERT, ENTRY_TABLE, &row, &hmac, diag);
    if (err == MS_OK)
        err = cache_run(cache, CACHE_STMT_LOG_INSERT, diag, "write log");
    else
        cache_reset(cache, CACHE_STMT_LOG_INSERT);
    return err == MS_OK ? add_leaf(cache, entry, diag) : err;
}

static enum ms_err append_leaf(struct cache *cache, const struct leaf *leaf, struct ms_diag *diag)
{
    struct ms_buf text = MS_BUF_INIT(LEAF_MAX_BYTES);

    enum ms_err err = load_edge(cache, diag);
    if (err == MS_OK && cache->log.edge.size != leaf->n - 1)
        err = ms_diag_set(diag, MS_ERR_STORE,
                          "the log has %" PRIu64 " entries, so entry %" PRIu64 " cannot follow",
                          cache->log.edge.size, leaf->n);
    if (err == MS_OK)
        err = leaf_print(leaf, &text);
    if (err == MS_OK)
        err = insert_entry(cache, leaf->n, ms_buf_span(&text), diag);
    cache->log.loaded = cache->log.loaded && err == MS_OK;
    ms_buf_done(&text);
    return err;
}

static void set_state(struct leaf *leaf, enum cache_status status)
{
    (void)snprintf(leaf->state, sizeof(leaf->state), "%s", cache_status_name(status));
}

static enum ms_err leaf_of(struct cache *cache, const struct cache_history *h,
                           struct leaf *ret_leaf, struct ms_diag *diag)
{
    struct leaf leaf = {
        .n = h->n,
        .time_s = h->time_s < 0 ? 0 : h->time_s, /* a clock before 1970 */
        .spec = h->key,
        .level = h->level,
        .result = h->set_hash,
        .has_evidence = h->has_bundle,
        .evidence = h->bundle,
    };

    set_state(&leaf, h->status);
    if (h->leaf != NULL) {
        leaf.has_sequence = h->leaf->has_sequence;
        leaf.sequence = h->leaf->sequence;
        leaf.has_commitment = h->leaf->has_commitment;
        leaf.commitment = h->leaf->commitment;
        leaf.has_policy = h->leaf->has_policy;
        leaf.policy = h->leaf->policy;
    }
    enum ms_err err = cache_log_prev(cache, &h->key, h->n, &leaf.prev, &leaf.has_prev, diag);
    if (err == MS_OK)
        *ret_leaf = leaf;
    return err;
}

enum ms_err cache_log_append(struct cache *cache, const struct cache_history *history,
                             struct ms_diag *diag)
{
    struct leaf leaf;

    enum ms_err err = leaf_of(cache, history, &leaf, diag);
    return err == MS_OK ? append_leaf(cache, &leaf, diag) : err;
}

/* The entry for a history row of before the log. One that is missing or not ours gets an entry that
 * says no more than that: the log counts it, and the audit names it. */
static enum ms_err heal_row(struct cache *cache, uint64_t n, struct ms_diag *diag)
{
    struct ms_arena arena = MS_ARENA_INIT(CACHE_HISTORY_ARENA_BYTES);
    struct cache_history h = {0};
    struct leaf leaf = {0};
    bool found = false;

    enum ms_err err = cache_history_at(cache, n, &arena, &h, &found, NULL);
    if (err == MS_OK && found) {
        err = leaf_of(cache, &h, &leaf, diag);
    } else if (err == MS_OK || err == MS_ERR_HMAC || err == MS_ERR_LIMIT) {
        err = MS_OK;
        leaf = (struct leaf){.n = n, .spec = h.key};
        set_state(&leaf, CACHE_STATUS_NONE);
    }
    ms_arena_done(&arena);
    return err == MS_OK ? append_leaf(cache, &leaf, diag) : err;
}

enum ms_err cache_log_heal(struct cache *cache, struct ms_diag *diag)
{
    int64_t size = 0, last = 0;

    enum ms_err err = cache_log_count(cache, &size, diag);
    if (err == MS_OK)
        err = cache_history_last(cache, &last, diag);
    while (err == MS_OK && size < last) {
        int64_t end = last - size < HEAL_AT_ONCE ? last : size + HEAL_AT_ONCE;
        err = cache_begin(cache, diag);
        if (err != MS_OK)
            break;
        while (err == MS_OK && size < end)
            err = heal_row(cache, (uint64_t)++size, diag);
        err = cache_end(cache, err, diag);
    }
    return err;
}

/* ---- reading ---- */

enum ms_err cache_log_head(struct cache *cache, struct cache_log_head *ret_head,
                           struct ms_diag *diag)
{
    enum ms_err err = load_edge(cache, diag);
    if (err == MS_OK)
        *ret_head = (struct cache_log_head){.size = cache->log.edge.size,
                                            .root = msig_tlog_edge_root(&cache->log.edge)};
    return err;
}

enum ms_err cache_log_tree(struct cache *cache, struct msig_tlog_tree *ret_tree,
                           struct ms_diag *diag)
{
    int64_t size = 0;
    enum ms_err err = cache_log_count(cache, &size, diag);

    if (err != MS_OK)
        return err;
    ret_tree->size = (uint64_t)size;
    ret_tree->read = read_tile;
    ret_tree->arg = cache;
    for (unsigned level = 0; level < MSIG_TLOG_TILE_LEVELS; level++)
        ret_tree->last[level].used = false;
    return MS_OK;
}

static enum ms_err add_entry(void *arg, uint64_t n, struct ms_span entry)
{
    (void)n;
    return msig_tlog_add_entry(arg, entry);
}

static enum ms_err add_plain(void *arg, uint64_t n, struct ms_span entry)
{
    (void)n;
    return ms_buf_add(arg, entry);
}

enum ms_err cache_log_entry(struct cache *cache, uint64_t n, struct ms_buf *out, bool *ret_found,
                            struct ms_diag *diag)
{
    int64_t size = 0;
    enum ms_err err = cache_log_count(cache, &size, diag);

    if (err != MS_OK)
        return err;
    *ret_found = n > 0 && n <= (uint64_t)size;
    return *ret_found ? cache_log_each(cache, n, 1, add_plain, out, diag) : MS_OK;
}

enum ms_err cache_log_tile(struct cache *cache, const struct msig_tlog_tile *tile,
                           struct ms_buf *out, bool *ret_found, struct ms_diag *diag)
{
    bool entries = tile->level == MSIG_TLOG_ENTRIES;
    uint8_t bytes[MSIG_TLOG_TILE_BYTES];
    int64_t size = 0;

    enum ms_err err = cache_log_count(cache, &size, diag);
    if (err != MS_OK)
        return err;
    unsigned has = msig_tlog_tile_width((uint64_t)size, entries ? 0 : tile->level, tile->index);
    *ret_found = tile->width > 0 && tile->width <= has;
    if (!*ret_found)
        return MS_OK;
    if (entries)
        return cache_log_each(cache, tile->index * MSIG_TLOG_TILE_WIDTH + 1, tile->width, add_entry,
                              out, diag);
    err = read_tile(cache, tile->level, tile->index, tile->width, bytes, diag);
    return err == MS_OK ? ms_buf_add(out, ms_span_of(bytes, (size_t)tile->width * MS_SHA256_BYTES))
                        : err;
}

/* ---- checkpoints ---- */

static enum ms_err to_checkpoint(const struct row *row, struct ms_arena *arena,
                                 struct cache_checkpoint *ret_checkpoint, struct ms_diag *diag)
{
    struct row_reader r = {.row = row, .arena = arena};
    struct cache_checkpoint c = {0};

    c.size = (uint64_t)row_int(&r, 0, INT64_MAX);
    c.time_s = row_int(&r, 0, INT64_MAX / 4);
    c.vkey = row_text(&r, 1, MSIG_NOTE_TEXT_KEY_MAX);
    c.note = row_text(&r, 1, MSIG_NOTE_MAX_BYTES);
    c.cosignatures = (uint32_t)row_int(&r, 0, MSIG_NOTE_LINES_MAX);
    enum ms_err err = row_end(&r, CHECKPOINT_TABLE, diag);
    if (err == MS_OK)
        *ret_checkpoint = c;
    return err;
}

static enum ms_err read_checkpoint(struct cache *cache, enum cache_stmt which,
                                   struct ms_arena *arena, struct cache_checkpoint *ret_checkpoint,
                                   bool *ret_found, struct ms_diag *diag)
{
    enum ms_err err = MS_OK;
    struct ms_sha256 hmac;
    struct row row;

    int rc = sqlite3_step(cache->stmt[which]);
    *ret_found = rc == SQLITE_ROW;
    if (rc == SQLITE_ROW) {
        err = row_read(cache, which, CHECKPOINT_TABLE, CHECKPOINT_CELLS, &row, &hmac, diag);
        if (err == MS_OK)
            err = to_checkpoint(&row, arena, ret_checkpoint, diag);
    } else if (rc != SQLITE_DONE) {
        err = cache_sql_error(cache, diag, "read checkpoints");
    }
    cache_reset(cache, which);
    return err;
}

enum ms_err cache_checkpoint_last(struct cache *cache, struct ms_arena *arena,
                                  struct cache_checkpoint *ret_checkpoint, bool *ret_found,
                                  struct ms_diag *diag)
{
    return read_checkpoint(cache, CACHE_STMT_CHECKPOINT_LAST, arena, ret_checkpoint, ret_found,
                           diag);
}

enum ms_err cache_checkpoint_cosigned(struct cache *cache, struct ms_arena *arena,
                                      struct cache_checkpoint *ret_checkpoint, bool *ret_found,
                                      struct ms_diag *diag)
{
    return read_checkpoint(cache, CACHE_STMT_CHECKPOINT_COSIGNED, arena, ret_checkpoint, ret_found,
                           diag);
}

enum ms_err cache_checkpoint_next(struct cache *cache, uint64_t size, struct ms_arena *arena,
                                  struct cache_checkpoint *ret_checkpoint, bool *ret_found,
                                  struct ms_diag *diag)
{
    if (size > INT64_MAX ||
        sqlite3_bind_int64(cache->stmt[CACHE_STMT_CHECKPOINT_NEXT], 1, (int64_t)size) != SQLITE_OK)
        return MS_ERR_ARGUMENT;
    return read_checkpoint(cache, CACHE_STMT_CHECKPOINT_NEXT, arena, ret_checkpoint, ret_found,
                           diag);
}

static enum ms_err put_checkpoint(struct cache *cache, const struct cache_checkpoint *c,
                                  struct ms_diag *diag)
{
    struct row row = {0};
    struct ms_sha256 hmac;

    row_add_int(&row, (int64_t)c->size);
    row_add_int(&row, c->time_s);
    row_add_text(&row, c->vkey);
    row_add_text(&row, c->note);
    row_add_int(&row, c->cosignatures);
    enum ms_err err =
        row_bind(cache, CACHE_STMT_CHECKPOINT_PUT, CHECKPOINT_TABLE, &row, &hmac, diag);
    if (err != MS_OK) {
        cache_reset(cache, CACHE_STMT_CHECKPOINT_PUT);
        return err;
    }
    err = cache_run(cache, CACHE_STMT_CHECKPOINT_PUT, diag, "write checkpoint");
    if (err != MS_OK)
        return err;
    if (sqlite3_bind_int64(cache->stmt[CACHE_STMT_CHECKPOINT_DROP], 1, (int64_t)c->size) !=
        SQLITE_OK)
        return cache_sql_error(cache, diag, "write checkpoint");
    return cache_run(cache, CACHE_STMT_CHECKPOINT_DROP, diag, "write checkpoint");
}

enum ms_err cache_checkpoint_put(struct cache *cache, const struct cache_checkpoint *checkpoint,
                                 struct ms_diag *diag)
{
    enum ms_err err = cache_begin(cache, diag);
    if (err != MS_OK)
        return err;
    return cache_end(cache, put_checkpoint(cache, checkpoint, diag), diag);
}
