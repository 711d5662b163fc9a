/* cache/internal.h - shared by the files of cache/, by nobody else. */
#ifndef MS_CACHE_INTERNAL_H
#define MS_CACHE_INTERNAL_H

#include "cache/cache.h"
#include "sig/tlog.h"

#include <sqlite3.h>

#define CACHE_HMAC_KEY_BYTES 32
#define CACHE_PATH_MAX 4096

enum cache_stmt {
    CACHE_STMT_BEGIN = 0,
    CACHE_STMT_COMMIT,
    CACHE_STMT_ROLLBACK,
    CACHE_STMT_SAVEPOINT,
    CACHE_STMT_RELEASE,
    CACHE_STMT_ROLLBACK_TO,
    CACHE_STMT_ENTRY_GET,
    CACHE_STMT_ENTRY_EACH,
    CACHE_STMT_ENTRY_INSERT,
    CACHE_STMT_ENTRY_UPDATE,
    CACHE_STMT_ENTRY_DELETE,
    CACHE_STMT_BLOB_GET,
    CACHE_STMT_BLOB_PUT,
    CACHE_STMT_BLOB_DROP,
    CACHE_STMT_HISTORY_LAST,
    CACHE_STMT_HISTORY_N,
    CACHE_STMT_HISTORY_CODE,
    CACHE_STMT_HISTORY_INSERT,
    CACHE_STMT_HISTORY_KEY,
    CACHE_STMT_HISTORY_AFTER,
    CACHE_STMT_HISTORY_BEFORE,
    CACHE_STMT_HISTORY_FIND,
    CACHE_STMT_HISTORY_OF,
    CACHE_STMT_HISTORY_NEWEST,
    CACHE_STMT_CONFIRMED_LAST,
    CACHE_STMT_CONFIRMED_EACH,
    CACHE_STMT_CONFIRMED_PUT,
    CACHE_STMT_CONFIRMED_ID,
    CACHE_STMT_CONFIRMED_DROP,
    CACHE_STMT_HISTORY_ALL,
    CACHE_STMT_HISTORY_AT,
    CACHE_STMT_LOG_SIZE,
    CACHE_STMT_LOG_INSERT,
    CACHE_STMT_LOG_RANGE,
    CACHE_STMT_LOG_PREV,
    CACHE_STMT_TILE_GET,
    CACHE_STMT_TILE_PUT,
    CACHE_STMT_CHECKPOINT_NEXT,
    CACHE_STMT_CHECKPOINT_LAST,
    CACHE_STMT_CHECKPOINT_COSIGNED,
    CACHE_STMT_CHECKPOINT_PUT,
    CACHE_STMT_CHECKPOINT_DROP,
    CACHE_STMT_OPERATION_HASH,
    CACHE_STMT_OPERATION_INSERT,
    CACHE_STMT_OPERATION_KEY,
    CACHE_STMT_OPERATION_ALL,
    CACHE_STMT_CONTRACT_LOG_INSERT,
    CACHE_STMT_CONTRACT_LOG_KEY,
    CACHE_STMT_LOG_KEYS,
    CACHE_STMT_LOG_CHECK_INSERT,
    CACHE_STMT_LOG_CHECK_KEY,
    CACHE_STMT_RANGE_INSERT,
    CACHE_STMT_RANGE_KEY,
    CACHE_STMT_DOCUMENT_INSERT,
    CACHE_STMT_DOCUMENT_ALL,
    CACHE_STMT_DOCUMENT_HAS,
    CACHE_STMT_BLOB_HAS,
    CACHE_STMT_RANGE_ALL,
    CACHE_STMT_PAST_SET_HAS,
    CACHE_STMT_PAST_SET_INSERT,
    CACHE_STMT_PAST_SET_KEY,
    CACHE_STMT_PAST_SET_ALL,
    CACHE_STMT_COUNT,
};

struct log_edge { /* the right end of the log, in memory; what a transaction undoes is read again */
    bool loaded;
    struct msig_tlog_edge edge;
    uint8_t leaves[MSIG_TLOG_TILE_BYTES]; /* hashes of the last tile of level 0, when not full */
};

struct cache {
    sqlite3 *db;
    sqlite3_stmt *stmt[CACHE_STMT_COUNT];
    uint8_t hmac_key[CACHE_HMAC_KEY_BYTES];
    int lock_fd; /* -1 when read-only */
    bool readonly;
    struct log_edge log;
    bool grouped;   /* between cache_group_begin and cache_group_end */
    bool unchecked; /* pages are looked at later: audit_db */
    bool keyless;   /* for audits without the key: codes are not compared */
    /* measured.floor */
    int floor_fd; /* -1: none */
    enum cache_floor floor_state;
    struct ms_diag floor_diag;
    struct cache_floor_mark { /* what it says */
        uint64_t turn, n;     /* written so often; the row */
        struct ms_sha256 code;
    } floor;
    /* the newest history row of the transaction; 0: none. With its like when a change began. */
    uint64_t written_n, written_n_before;
    struct ms_sha256 written_code, written_code_before;
};

/* ---- cache.c ---- */
/* The error of the last call on cache->db, told as "what: SQLite's words". */
enum ms_err cache_sql_error(struct cache *cache, struct ms_diag *diag, const char *what);
/* A transaction of its own, or within a group a savepoint: what fails is undone alone. */
MS_MUST_USE enum ms_err cache_begin(struct cache *cache, struct ms_diag *diag);
/* COMMIT when err is MS_OK, else (or when that fails) ROLLBACK; gives the error that counts. Within
 * a group likewise to the savepoint. */
MS_MUST_USE enum ms_err cache_end(struct cache *cache, enum ms_err err, struct ms_diag *diag);
/* Back to the start, nothing bound: after this the statement pins neither memory nor a snapshot. */
void cache_reset(struct cache *cache, enum cache_stmt which);
/* Run a statement that gives no row. MS_ERR_EVIDENCE when a foreign key says the blob is missing.
 */
MS_MUST_USE enum ms_err cache_run(struct cache *cache, enum cache_stmt which, struct ms_diag *diag,
                                  const char *what);

/* ---- schema.c ---- */
extern const char *const cache_sql[CACHE_STMT_COUNT];
/* The SQL of all migrations, in their order: what makes a database of the newest schema. */
MS_MUST_USE enum ms_err cache_schema_make(sqlite3 *db);
/* Bring an empty or older database to the newest schema; readonly only looks. */
MS_MUST_USE enum ms_err cache_schema(struct cache *cache, const char *path, struct ms_diag *diag);

/* The one number a query gives. */
MS_MUST_USE enum ms_err cache_number(struct cache *cache, const char *sql, int64_t *ret_value,
                                     struct ms_diag *diag);

/* ---- files.c ---- */
/* Create dir and its missing parents, 0700. */
MS_MUST_USE enum ms_err cache_files_dir(const char *dir, struct ms_diag *diag);
/* Take the writer's lock. */
MS_MUST_USE enum ms_err cache_files_lock(const char *dir, int *ret_fd, struct ms_diag *diag);
/* Read the key; create it first when it is missing and `create`. */
MS_MUST_USE enum ms_err cache_files_key(const char *dir, bool create,
                                        uint8_t ret_key[CACHE_HMAC_KEY_BYTES],
                                        struct ms_diag *diag);
/* Make sure path exists with mode 0600; tell whether it has content. */
MS_MUST_USE enum ms_err cache_files_db(const char *path, bool *ret_has_content,
                                       struct ms_diag *diag);
/* dir + "/" + name. MS_ERR_ARGUMENT when too long. */
MS_MUST_USE enum ms_err cache_files_path(const char *dir, const char *name,
                                         char ret_path[CACHE_PATH_MAX], struct ms_diag *diag);

/* ---- row.c: rows as typed cells; the code is computed over the cells, the same way in and out
 * ---- */
enum cell_type { CELL_NULL = 0, CELL_INT, CELL_TEXT, CELL_BLOB, CELL_OTHER };

struct cell {
    enum cell_type type;
    int64_t number;
    struct ms_span bytes;
};

#define ROW_CELLS_MAX 32
#define ROW_NUMBERS_MAX 4

struct row {
    size_t n;
    struct cell cell[ROW_CELLS_MAX];
    size_t n_numbers;
    uint8_t number[ROW_NUMBERS_MAX][8]; /* uint64 as big-endian blobs: SQL compares them rightly */
};

void row_add_null(struct row *row);
void row_add_int(struct row *row, int64_t value);
void row_add_text(struct row *row, const char *text); /* NULL gives NULL */
void row_add_blob(struct row *row, const void *ptr, size_t len);
void row_add_u64(struct row *row, uint64_t value);
/* cell i as parameter i+1, the code as the one after the last. MS_ERR_LIMIT, MS_ERR_STORE. */
MS_MUST_USE enum ms_err row_bind(struct cache *cache, enum cache_stmt which, const char *table,
                                 const struct row *row, struct ms_sha256 *ret_hmac,
                                 struct ms_diag *diag);
/* Bind and run a statement that inserts it. */
MS_MUST_USE enum ms_err row_insert(struct cache *cache, enum cache_stmt which, const char *table,
                                   const struct row *row, struct ms_diag *diag);
/* The key as parameter 1; NULL: the statement has none. */
MS_MUST_USE enum ms_err row_bind_key(struct cache *cache, enum cache_stmt which,
                                     const struct ms_sha256 *key, struct ms_diag *diag);
/* Columns 0..n-1 and the code in column n of the current row. MS_ERR_HMAC when the code is wrong;
 * the cells are filled all the same and borrow from the statement until its next step. */
MS_MUST_USE enum ms_err row_read(struct cache *cache, enum cache_stmt which, const char *table,
                                 size_t n, struct row *ret_row, struct ms_sha256 *ret_hmac,
                                 struct ms_diag *diag);

struct row_reader { /* a cursor over cells that stays failed */
    const struct row *row;
    size_t i;
    struct ms_arena *arena; /* for texts */
    bool failed;            /* a cell of the wrong type, length or range */
    bool no_memory;         /* the arena is exhausted */
};

int64_t row_int(struct row_reader *r, int64_t min, int64_t max);
void row_bytes(struct row_reader *r, void *out, size_t len);
/* false for NULL, out then zero. */
bool row_bytes_or_null(struct row_reader *r, void *out, size_t len);
uint64_t row_u64(struct row_reader *r);
bool row_u64_or_null(struct row_reader *r, uint64_t *out);
/* A copy in the arena; "" once failed. Texts with NUL bytes fail. */
const char *row_text(struct row_reader *r, size_t min, size_t max);
const char *row_text_or_null(struct row_reader *r, size_t max); /* NULL for NULL */
/* A copy in the arena, of any length up to max; empty once failed. */
struct ms_span row_blob(struct row_reader *r, size_t max);
/* All cells taken and none failed. */
MS_MUST_USE enum ms_err row_end(const struct row_reader *r, const char *table,
                                struct ms_diag *diag);

/* The bytes of a row `encoding, size, data` from column `at` on, compared with their hash. */
MS_MUST_USE enum ms_err cache_blob_check(sqlite3_stmt *stmt, int at, const struct ms_sha256 *hash);

/* ---- bundle.c ---- */
/* Replay the evidence that rows of a key were checked against. *ret_result is never NULL.
 *   spec  initialised by spec_init; the caller's
 * MS_ERR_EVIDENCE it is missing, does not verify, or is of another answer */
MS_MUST_USE enum ms_err cache_bundle_replay(struct cache *cache, const struct ms_sha256 *bundle,
                                            const struct ms_sha256 *key, struct spec *spec,
                                            struct source_result **ret_result,
                                            struct ms_diag *diag);

/* ---- blob.c, entry.c, history.c: parts of the transactions ---- */
MS_MUST_USE enum ms_err cache_blob_put(struct cache *cache, struct ms_span bytes,
                                       struct ms_diag *diag);
MS_MUST_USE enum ms_err cache_history_append(struct cache *cache,
                                             const struct cache_history *history, uint64_t *ret_n,
                                             struct ms_diag *diag);
/* Of an arena that holds the strings of any row. */
#define CACHE_HISTORY_ARENA_BYTES \
    ((size_t)CACHE_SUMMARY_MAX_BYTES + CACHE_BUILD_MAX_BYTES + CACHE_KIND_MAX_BYTES + 8192)
/* Row n. ret_found false: there is none. Errors as cache_history_each's `row`, but a missing
 * predecessor is not looked for. Strings go to arena. */
MS_MUST_USE enum ms_err cache_history_at(struct cache *cache, uint64_t n, struct ms_arena *arena,
                                         struct cache_history *ret_history, bool *ret_found,
                                         struct ms_diag *diag);
/* The highest n of the history. */
MS_MUST_USE enum ms_err cache_history_last(struct cache *cache, int64_t *ret_n,
                                           struct ms_diag *diag);

/* ---- log.c ---- */
/* The entry of the history row that was just written, within its transaction. */
MS_MUST_USE enum ms_err cache_log_append(struct cache *cache, const struct cache_history *history,
                                         struct ms_diag *diag);
/* Entries for history rows that have none: of databases from before the log. */
MS_MUST_USE enum ms_err cache_log_heal(struct cache *cache, struct ms_diag *diag);
/* Entries of the database, committed or not. */
MS_MUST_USE enum ms_err cache_log_count(struct cache *cache, int64_t *ret_size,
                                        struct ms_diag *diag);
/* Entry n (from 1) to n + count - 1, in order, each as fn(arg, n, entry).
 * MS_ERR_EVIDENCE one is missing; MS_ERR_HMAC one was changed. */
typedef enum ms_err cache_log_entry_fn(void *arg, uint64_t n, struct ms_span entry);
MS_MUST_USE enum ms_err cache_log_each(struct cache *cache, uint64_t n, uint64_t count,
                                       cache_log_entry_fn *fn, void *arg, struct ms_diag *diag);
/* SHA-256 of the entry before history row n of the same key; ret_found false when there is none. */
MS_MUST_USE enum ms_err cache_log_prev(struct cache *cache, const struct ms_sha256 *key, uint64_t n,
                                       struct ms_sha256 *ret_prev, bool *ret_found,
                                       struct ms_diag *diag);
/* The stored hashes of a tile; *ret_width 0 when it is not stored. MS_ERR_HMAC. */
MS_MUST_USE enum ms_err cache_log_stored_tile(struct cache *cache, unsigned level, uint64_t index,
                                              uint8_t out[MSIG_TLOG_TILE_BYTES],
                                              unsigned *ret_width, struct ms_diag *diag);

/* ---- audit_db.c: what is asked of SQLite itself ---- */
typedef void audit_words_fn(void *arg, const char *what, const char *words);
/* Damaged pages, indexes that do not match, missing evidence, gaps in the numbers of history, a
 * schema that is not ours. */
MS_MUST_USE enum ms_err audit_pages(struct cache *cache, audit_words_fn *fn, void *arg,
                                    struct ms_diag *diag);
/* Every blob, and whether anything refers to it. bad is MS_OK or why it is not what it is named.
 *   known  whether this audit has already had the bytes of this name, which are not read again */
typedef void audit_blob_fn(void *arg, enum ms_err bad, const struct ms_sha256 *hash, bool referred);
typedef bool audit_known_fn(void *arg, const struct ms_sha256 *hash);
MS_MUST_USE enum ms_err audit_blobs(struct cache *cache, audit_known_fn *known, audit_blob_fn *fn,
                                    void *arg, struct ms_diag *diag);

/* ---- past_document_audit.c ---- */
struct audit_sink;
struct audit_counts;
/* Each row has our code, and some operation approved a document of this name. */
MS_MUST_USE enum ms_err audit_past_documents(struct cache *cache, const struct audit_sink *sink,
                                             struct audit_counts *counts, struct ms_diag *diag);

/* ---- floor.c ---- */
/* Compare the database with the file in dir; what is found stands in cache->floor_state. */
MS_MUST_USE enum ms_err cache_floor_open(struct cache *cache, const char *dir,
                                         struct ms_diag *diag);
/* A transaction is durable: so is its newest history row. */
void cache_floor_write(struct cache *cache);

/* ---- confirmed.c ---- */
/* The change is of this row: the first run of confirmations begins with it. */
MS_MUST_USE enum ms_err cache_confirmed_begin(struct cache *cache, uint64_t n,
                                              const struct cache_entry *entry,
                                              const struct cache_history *history,
                                              struct ms_diag *diag);
/* The answer of `entry` was confirmed as `freshness` says. */
MS_MUST_USE enum ms_err cache_confirmed_add(struct cache *cache, const struct cache_entry *entry,
                                            const struct cache_freshness *freshness,
                                            struct ms_diag *diag);

#endif
