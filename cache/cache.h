/* cache/cache.h - what survives a restart: entries, evidence blobs and history in one SQLite
 * database. The only room that knows SQL.
 *
 * state-dir holds measured.db (WAL), measured.hmac (the 32-byte key of the row codes),
 * measured.floor (how far history once went) and measured.lock (held by the one writer). Everything
 * read back is untrusted: each row carries HMAC-SHA-256 over all its columns, each blob is
 * addressed by its SHA-256, and lengths, types and ranges are checked again. A row that fails is
 * reported, never returned. Rows deleted at the end of a history, and an older database put back,
 * show in cache_floor. What nothing here finds: an older database and an older measured.floor put
 * back together (ethereum.md T11: the evidence ceiling bounds that).
 *
 * A function that writes has made its change durable when it returns MS_OK (synchronous=FULL; in a
 * group when the group has ended), and has changed nothing when it returns anything else.
 *
 * Errors common to all functions: MS_ERR_STORE with SQLite's words in diag (full disk, I/O error,
 * busy, damaged page, a value out of range under a good code); MS_ERR_MEMORY.
 *
 * Not thread-safe: one struct cache belongs to one thread (the daemon's store thread). Every string
 * handed in is borrowed for the call. diag may be NULL everywhere. */
#ifndef MS_CACHE_H
#define MS_CACHE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/digest.h"
#include "eth/keccak.h"
#include "resolver/entry/operations.h"
#include "resolver/source/history_chain.h"
#include "resolver/source/source.h"

#define CACHE_DB_NAME "measured.db"
#define CACHE_KEY_NAME "measured.hmac"
#define CACHE_LOCK_NAME "measured.lock"
#define CACHE_FLOOR_NAME "measured.floor"
#define CACHE_BOOT_ID_LEN 36u /* characters of /proc/sys/kernel/random/boot_id */
#define CACHE_TEXT_MAX_BYTES                                            \
    32768u /* canonical text; SPEC_URL_MAX bounds what people can write \
            */
#define CACHE_VALIDATOR_MAX_BYTES 8192u /* etag, last_modified; a source drops longer ones */
#define CACHE_KIND_MAX_BYTES 64u        /* change kind of a history row */
#define CACHE_SUMMARY_MAX_BYTES 16384u  /* of a history row */
#define CACHE_BUILD_MAX_BYTES 256u      /* likewise */
#define CACHE_CONFIRMED_KEEP_S (INT64_C(90) * 86400) /* ended runs of confirmations */
#define CACHE_BLOB_MAX_BYTES ((size_t)16 << 20)

struct cache;

/* ---- opening ---- */
struct cache_options {
    uint32_t max_pages; /* largest database in pages of 4096 bytes; 0: SQLite's own limit */
};

/* Open for reading and writing, creating what is missing: state_dir (0700, parents too), the key,
 * the database (both 0600 whatever the umask). Older schemas are migrated, each step in its
 * transaction. options  NULL for the defaults MS_ERR_IO     state_dir or a file in it cannot be
 * created, read, locked, or is open to others MS_ERR_STORE  another daemon holds the directory; the
 * database is no database of ours, is damaged (PRAGMA quick_check; of a large one only its rows,
 * for evidence is checked when it is read) or was written by a newer measured. Nothing is ever
 * deleted. MS_ERR_HMAC   the key file has not 32 bytes, or is missing beside a database that has
 * content */
MS_MUST_USE enum ms_err cache_open(const char *state_dir, const struct cache_options *options,
                                   struct cache **ret_cache, struct ms_diag *diag);

/* Open a database file for tools, also while a daemon runs: creates, migrates and locks nothing.
 * The key is measured.hmac beside db_path. Writing functions give MS_ERR_STORE. Errors as above. */
MS_MUST_USE enum ms_err cache_open_readonly(const char *db_path, struct cache **ret_cache,
                                            struct ms_diag *diag);

/* The same for a second connection of the process whose cache_open has just looked for damage: this
 * does not read the whole file again. */
MS_MUST_USE enum ms_err cache_open_second(const char *db_path, struct cache **ret_cache,
                                          struct ms_diag *diag);

/* Open a database file to audit it: as cache_open_readonly, but a missing key is no error
 * (*ret_has_key false: no code of a row is compared), and whether pages are damaged is left to the
 * caller, audit_db. */
MS_MUST_USE enum ms_err cache_open_audit(const char *db_path, struct cache **ret_cache,
                                         bool *ret_has_key, struct ms_diag *diag);

/* What measured.floor beside the database says of it, found when it was opened; a sentence in
 * *ret_why unless NONE or OK. Nothing noticed here stops anything: evidence is verified all the
 * same, and the operator is told. It stays noticed until somebody removes the file. */
enum cache_floor {
    CACHE_FLOOR_NONE = 0,  /* there is no such file, or nothing in it yet */
    CACHE_FLOOR_OK,        /* the newest row that it knows of is there */
    CACHE_FLOOR_OLDER,     /* that row is missing, or another one */
    CACHE_FLOOR_BAD,       /* the file is not ours or cannot be read */
    CACHE_FLOOR_UNWRITTEN, /* it could not be written: from now on less is noticed */
};
enum cache_floor cache_floor(const struct cache *cache, const char **ret_why);

/* NULL is fine. Wipes the key, releases the lock. */
void cache_close(struct cache *cache);

/* ---- entries: one row for each (key, level) ---- */
enum cache_status { /* numbers are stored: append only */
                    CACHE_STATUS_NONE = 0,
                    CACHE_GOOD = 1,
                    CACHE_NEGATIVE = 2, /* proven "no such thing", until error_until_s */
                    CACHE_REVOKED = 3,
                    CACHE_HOLD = 4,
                    CACHE_CONFLICT = 5,
};
/* "good"; "none" for a number that is none. Static storage. */
const char *cache_status_name(enum cache_status status);

struct cache_time { /* a moment on both clocks, so that ages survive a reboot (6.3 Clock) */
    int64_t wall_s;
    int64_t boot_ms;
    char boot_id[CACHE_BOOT_ID_LEN + 1]; /* "" or exactly CACHE_BOOT_ID_LEN characters */
};

struct cache_entry {
    struct ms_sha256 key;
    enum spec_level level;
    const char *canonical;
    enum spec_kind kind;
    enum cache_status status;
    bool has_bundle;
    struct ms_sha256 bundle; /* blob of the evidence of the last good answer */
    bool has_sequence;
    uint64_t sequence;
    struct ms_sha256 commitment, set_hash;
    uint64_t floor_epoch;      /* of a signed set's root; a higher one begins a new count */
    uint64_t floor_sequence;   /* stored as the maximum of itself and what was stored before */
    struct cache_time fetched; /* the evidence */
    struct cache_time checked; /* when the source last confirmed it */
    int64_t evidence_time_s;
    struct source_lifetime life;      /* seconds; -1 for ever */
    int64_t valid_until_s;            /* 0: none */
    const char *etag, *last_modified; /* NULL: none */
    enum ms_err error;                /* why it is negative, held or in conflict; MS_OK: none */
    int64_t error_until_s;
};

/* Strings of ret_entry go to arena.
 *   ret_found  false: no such row; ret_entry is then untouched
 * MS_ERR_HMAC  the row is not ours or was changed
 * MS_ERR_LIMIT the arena is too small (CACHE_TEXT_MAX_BYTES + 2 * CACHE_VALIDATOR_MAX_BYTES
 * suffice, and some slack) */
MS_MUST_USE enum ms_err cache_entry_get(struct cache *cache, const struct ms_sha256 *key,
                                        enum spec_level level, struct ms_arena *arena,
                                        struct cache_entry *ret_entry, bool *ret_found,
                                        struct ms_diag *diag);

/* Call fn for every row, in no particular order. A bad row comes with row != MS_OK, the cause in
 * why, and an entry of which only key and level mean anything (what the row says they are; zero
 * when unreadable). entry and its strings live for the call only. fn must not call this cache;
 * anything but MS_OK from it stops the walk and is returned. */
typedef enum ms_err cache_entry_fn(void *arg, enum ms_err row, const struct cache_entry *entry,
                                   const struct ms_diag *why);
MS_MUST_USE enum ms_err cache_each_entry(struct cache *cache, cache_entry_fn *fn, void *arg,
                                         struct ms_diag *diag);

/* Remove the row, bad or good, and its bundle unless something else refers to it: for no_store
 * answers and for rows that fail their code. No row: MS_OK. MS_ERR_ROLLBACK  the row is intact and
 * has a floor, which must not be forgotten */
MS_MUST_USE enum ms_err cache_entry_delete(struct cache *cache, const struct ms_sha256 *key,
                                           enum spec_level level, struct ms_diag *diag);

/* ---- history: append-only, a chain for each key; each row is an entry of the log (log.h) ---- */
struct cache_leaf {    /* what the log's entry says beside the row */
    bool has_sequence; /* the source's own, not our count of changes */
    uint64_t sequence;
    bool has_commitment;
    struct ms_sha256 commitment;
    bool has_policy;
    struct ms_sha256 policy; /* bundle_policy_hash */
};

struct cache_history {
    uint64_t n; /* of the row, increasing over all keys; ignored when appending */
    struct ms_sha256 key;
    enum spec_level level;
    int64_t time_s; /* wall clock of the change */
    enum cache_status status;
    const char *kind; /* what kind of change, 1..CACHE_KIND_MAX_BYTES characters */
    bool has_sequence;
    uint64_t sequence;
    struct ms_sha256 set_hash;
    bool has_bundle;
    struct ms_sha256 bundle;
    bool has_block;
    uint64_t block_number; /* at most INT64_MAX */
    struct eth_hash block_hash;
    const char *summary; /* resolver/entry/summary.h; NULL: written before there were any */
    const char *build;   /* of the daemon that wrote it; NULL: likewise */
    const struct cache_leaf *leaf; /* NULL: not known; always so when a row is read */
};

/* Rows of one key, oldest first; of all keys, grouped by key, when key is NULL. A row with a bad
 * code, or whose predecessor is missing, comes with row == MS_ERR_HMAC and only n and key set. Else
 * as cache_each_entry. */
typedef enum ms_err cache_history_fn(void *arg, enum ms_err row,
                                     const struct cache_history *history,
                                     const struct ms_diag *why);
MS_MUST_USE enum ms_err cache_history_each(struct cache *cache, const struct ms_sha256 *key,
                                           cache_history_fn *fn, void *arg, struct ms_diag *diag);

/* At most `max` rows of one key: those after row `after`, oldest first; or with newest_first those
 * before row `before` (0: from the newest on), newest first. Cheap however long the history is.
 * Codes are checked; that no row is missing between two only cache_history_each finds. */
struct cache_range {
    bool newest_first;
    uint64_t after, before;
    size_t max;
};
MS_MUST_USE enum ms_err cache_history_range(struct cache *cache, const struct ms_sha256 *key,
                                            const struct cache_range *range, cache_history_fn *fn,
                                            void *arg, struct ms_diag *diag);

/* Of all keys: the newest row of each, the newest first. A walk looks at no more than
 * CACHE_WALK_ROWS rows, however many changes one key had.
 *   before     rows before this one; 0: all
 *   max        rows at most
 *   ret_below  where to go on, as `before`; 0: these are all */
#define CACHE_WALK_ROWS 50000u
MS_MUST_USE enum ms_err cache_history_newest(struct cache *cache, uint64_t before, size_t max,
                                             cache_history_fn *fn, void *arg, uint64_t *ret_below,
                                             struct ms_diag *diag);

/* The number of the newest row of a key that is all of what is asked for; 0: there is none. Whether
 * that row is ours shows when it is read (cache_history_range after n - 1). */
struct cache_wanted {
    enum spec_level level; /* with has_level */
    bool has_level, has_sequence, has_time, has_hash;
    const char *kind; /* NULL: any */
    uint64_t sequence;
    int64_t time_s;        /* at or before */
    struct ms_sha256 hash; /* of its set or its bundle */
    uint64_t before;       /* rows before this one; 0: all */
};
MS_MUST_USE enum ms_err cache_history_find(struct cache *cache, const struct ms_sha256 *key,
                                           const struct cache_wanted *wanted, uint64_t *ret_n,
                                           struct ms_diag *diag);

/* Confirmations without change, kept short: a run is unbroken while each comes before the answer
 * that the one before it confirmed could not be served any more. */
struct cache_confirmed {
    uint64_t id;
    uint64_t n; /* the history row whose answer was confirmed */
    int64_t from_s, until_s;
    uint64_t times;  /* the change itself included */
    int64_t gap_s;   /* the longest time between two of them */
    int64_t limit_s; /* after each of them the answer might be served so long; -1: for ever */
    bool has_block;  /* of the last one */
    uint64_t block_number;
    struct eth_hash block_hash;
    struct ms_sha256 commitment;
};
/* Runs of one history row, oldest first; a bad one comes as in cache_each_entry. */
typedef enum ms_err cache_confirmed_fn(void *arg, enum ms_err row,
                                       const struct cache_confirmed *run,
                                       const struct ms_diag *why);
MS_MUST_USE enum ms_err cache_confirmed_each(struct cache *cache, uint64_t n,
                                             cache_confirmed_fn *fn, void *arg,
                                             struct ms_diag *diag);

/* ---- operations of registries: append-only, each proven before it is stored ---- */
#define CACHE_OPERATION_DATA_MAX_BYTES HISTORY_DATA_MAX_BYTES
#define CACHE_PROVIDER_MAX_BYTES 64u

struct cache_operation {
    struct ms_sha256 key;
    struct registry_event event; /* block, prev_block and timestamp_s at most INT64_MAX */
    struct eth_hash before;      /* hash of the operation before it, zero for the first */
    struct ms_sha256 bundle;     /* the evidence whose state it was checked against; is stored */
    const char *provider;        /* who gave the log: of interest, not of trust */
    int64_t recorded_s;          /* wall clock */
};

/* All of them or none, in one transaction. One that is stored already is left as it is.
 * MS_ERR_CONFLICT another one is stored under its number; MS_ERR_EVIDENCE its bundle is not stored;
 * MS_ERR_ARGUMENT a member is out of range. */
MS_MUST_USE enum ms_err cache_operations_add(struct cache *cache,
                                             const struct cache_operation *operations, size_t n,
                                             struct ms_diag *diag);
/* Operations of one key by rising sequence; of all keys, grouped by key, when key is NULL. There
 * may be gaps. A bad row comes with row != MS_OK and only key and sequence set. Else as
 * cache_each_entry. */
typedef enum ms_err cache_operation_fn(void *arg, enum ms_err row,
                                       const struct cache_operation *operation,
                                       const struct ms_diag *why);
MS_MUST_USE enum ms_err cache_operations_each(struct cache *cache, const struct ms_sha256 *key,
                                              cache_operation_fn *fn, void *arg,
                                              struct ms_diag *diag);

/* For auditors, offline: every stored operation of a registry has our code, is a link that leads
 * back from the state which its bundle proves, and all of them add up to what that state commits
 * to; each bundle is verified on the way. No operations: a verdict of none. MS_ERR_HMAC,
 * MS_ERR_COMMITMENT with the operation's name, MS_ERR_EVIDENCE a bundle is missing or does not
 * verify, MS_ERR_UNAVAILABLE operations were added meanwhile. */
MS_MUST_USE enum ms_err cache_operations_verify(struct cache *cache, const struct ms_sha256 *key,
                                                struct operations_verdict *ret_verdict,
                                                struct ms_diag *diag);

/* ---- documents that operations name: append-only, kept for good whoever gave them ---- */
struct cache_past_document {
    struct ms_sha256 hash; /* ignored when adding: it follows from the bytes */
    struct ms_span bytes;  /* when adding; empty when read, the blob has them */
    const char *provider;  /* who gave it: of interest, not of trust */
    int64_t recorded_s;
};

/* All of them or none, in one transaction, each with its blob. One that is stored already stays as
 * it is. MS_ERR_ARGUMENT a member is out of range; MS_ERR_LIMIT as cache_commit. */
MS_MUST_USE enum ms_err cache_past_documents_add(struct cache *cache,
                                                 const struct cache_past_document *documents,
                                                 size_t n, struct ms_diag *diag);
/* By rising hash. A bad row comes with row != MS_OK and only the hash set. Else as
 * cache_each_entry. */
typedef enum ms_err cache_past_document_fn(void *arg, enum ms_err row,
                                           const struct cache_past_document *document,
                                           const struct ms_diag *why);
MS_MUST_USE enum ms_err cache_past_documents_each(struct cache *cache, cache_past_document_fn *fn,
                                                  void *arg, struct ms_diag *diag);
/* Whether a document of this name is stored, whatever refers to it: cache_blob_get gives it. The
 * one function here that may be called while something else is walked over. */
MS_MUST_USE enum ms_err cache_document_known(struct cache *cache, const struct ms_sha256 *hash,
                                             bool *ret_known, struct ms_diag *diag);

/* ---- signed sets of the past: append-only, each named by the one after it, or signed ---- */
#define CACHE_PAST_SETS_MAX 4096u /* of one key; docs/back-fill.md */

struct cache_past_set {
    struct ms_sha256 key;
    struct eth_hash set_hash, previous; /* previous: zero for the first */
    uint64_t sequence;
    struct ms_sha256
        document;            /* the signed document as it was served: a blob. Ignored when adding */
    struct ms_sha256 bundle; /* of the accepted set that it was walked back from; is stored */
    const char *provider;    /* the host that gave it: of interest, not of trust */
    int64_t recorded_s;      /* wall clock */
};

/* With their documents, one each; all of them or none, in one transaction. One that is stored
 * already is left as it is. MS_ERR_EVIDENCE its bundle is not stored; MS_ERR_ARGUMENT a member is
 * out of range. */
MS_MUST_USE enum ms_err cache_past_sets_add(struct cache *cache, const struct cache_past_set *sets,
                                            const struct ms_span *documents, size_t n,
                                            struct ms_diag *diag);
/* Those of one key by falling sequence; of all keys, grouped by key, when key is NULL. A bad row
 * comes with row != MS_OK and only key and sequence set. Else as cache_each_entry. */
typedef enum ms_err cache_past_set_fn(void *arg, enum ms_err row, const struct cache_past_set *set,
                                      const struct ms_diag *why);
MS_MUST_USE enum ms_err cache_past_sets_each(struct cache *cache, const struct ms_sha256 *key,
                                             cache_past_set_fn *fn, void *arg,
                                             struct ms_diag *diag);

/* ---- logs of other contracts: what endpoints said, never known to be complete ---- */
#define CACHE_LOG_TOPICS_MAX 4u
#define CACHE_LOG_DATA_MAX_BYTES 8192u

/* Whether the logs of a block, as they are stored, are those of its receipts, whose root stands in
 * its header. */
enum cache_log_checked { /* stored */
                         CACHE_LOGS_UNCHECKED = 0,
                         CACHE_LOGS_CHECKED = 1, /* they are, all of them and no others */
                         CACHE_LOGS_WRONG = 2, /* found out after they had been stored unchecked */
};

struct cache_log_check {
    uint64_t block;
    enum cache_log_checked checked;
    bool has_hash;        /* of the block, as a quorum or an endpoint of the operator's said it: */
    struct eth_hash hash; /* then time_s is known too */
    int64_t time_s;       /* of the block, 0: not known */
    uint64_t n_logs;
    const char *hash_by;  /* "quorum" or "endpoint" */
    const char *provider; /* who gave the receipts; "" when nobody */
    const char *why;      /* not checked, or wrong; else "" */
    int64_t recorded_s;
};

struct cache_log {
    uint64_t block, index; /* of the log in its block */
    struct eth_addr address;
    size_t n_topics;
    struct eth_hash topics[CACHE_LOG_TOPICS_MAX];
    struct ms_span data;
    const char *provider; /* whose word it is */
    int64_t recorded_s;
    const struct cache_log_check *check; /* of its block, when read; NULL: it was never tried */
};

struct cache_log_range { /* blocks that somebody was asked about */
    uint64_t from, to;   /* inclusive */
    uint64_t n_logs;
    const char *provider;
    int64_t recorded_s;
};

struct cache_logs {
    size_t n_logs, n_ranges, n_checks;
    const struct cache_log *logs;
    const struct cache_log_range *ranges;
    const struct cache_log_check *checks;
};

/* Logs, the ranges they were found in, and what is known of their blocks, in one transaction; what
 * is stored already stays as it is. MS_ERR_ARGUMENT as above. */
MS_MUST_USE enum ms_err cache_logs_add(struct cache *cache, const struct ms_sha256 *key,
                                       const struct cache_logs *what, struct ms_diag *diag);
/* By rising block; key NULL: of all contracts, one after the other. A bad row comes with row !=
 * MS_OK and nothing set; one whose check is bad, or counts other logs than are stored of its block,
 * likewise. Else as cache_each_entry. */
typedef enum ms_err cache_log_fn(void *arg, enum ms_err row, const struct cache_log *log,
                                 const struct ms_diag *why);
MS_MUST_USE enum ms_err cache_logs_each(struct cache *cache, const struct ms_sha256 *key,
                                        cache_log_fn *fn, void *arg, struct ms_diag *diag);
typedef enum ms_err cache_log_range_fn(void *arg, enum ms_err row,
                                       const struct cache_log_range *range,
                                       const struct ms_diag *why);
MS_MUST_USE enum ms_err cache_log_ranges_each(struct cache *cache, const struct ms_sha256 *key,
                                              cache_log_range_fn *fn, void *arg,
                                              struct ms_diag *diag);

/* ---- writing ---- */
struct cache_change {
    size_t n_blobs;
    const struct ms_span *blobs;         /* evidence; each is stored under its SHA-256 once */
    const struct cache_entry *entry;     /* inserted, or replaces the row of its (key, level) */
    const struct cache_history *history; /* NULL: nothing changed that an auditor would ask about */
};

/* Blobs, row and history in one transaction.
 * MS_ERR_ARGUMENT  a member is out of range or has no text where there must be one
 * MS_ERR_LIMIT     a blob exceeds CACHE_BLOB_MAX_BYTES
 * MS_ERR_EVIDENCE  a bundle is neither among the blobs nor stored already
 * MS_ERR_ROLLBACK  entry->sequence lies below the floor (the stored or its own)
 * MS_ERR_HMAC      the row to be replaced is not ours, so its floor is unknown: an alarm, and
 *                  cache_entry_delete before the next try */
MS_MUST_USE enum ms_err cache_commit(struct cache *cache, const struct cache_change *change,
                                     struct ms_diag *diag);

/* Many changes for the price of one: between these two, each function that writes makes its change
 * durable only when cache_group_end returns MS_OK; all of them, or none. One that fails is undone
 * alone and leaves the others as they are, unless the database itself failed (disk full, I/O
 * error): then the whole group is undone, what follows in it fails too, and so does
 * cache_group_end. Each may then be tried again alone. Groups do not nest. */
MS_MUST_USE enum ms_err cache_group_begin(struct cache *cache, struct ms_diag *diag);
MS_MUST_USE enum ms_err cache_group_end(struct cache *cache, struct ms_diag *diag);

struct cache_freshness { /* what a confirmation without new evidence changes (304, same commitment)
                          */
    struct ms_sha256 bundle; /* evidence of the answer that was confirmed */
    struct cache_time checked;
    int64_t evidence_time_s;
    struct source_lifetime life;
    int64_t valid_until_s;
    const char *etag, *last_modified;
    bool has_block; /* as of which */
    uint64_t block_number;
    struct eth_hash block_hash;
};

/* MS_ERR_UNKNOWN there is no such row, or it is of another answer than the one that was confirmed
 * (whose own change could not be stored): an old set must not look young. Else as cache_commit. */
MS_MUST_USE enum ms_err cache_touch(struct cache *cache, const struct ms_sha256 *key,
                                    enum spec_level level, const struct cache_freshness *freshness,
                                    struct ms_diag *diag);

/* ---- blobs ---- */
/* Append the bytes with this hash to out.
 *   ret_found  false: not stored; out untouched
 * MS_ERR_EVIDENCE  what is stored does not have this hash; nothing is appended
 * MS_ERR_LIMIT     larger than out may become */
MS_MUST_USE enum ms_err cache_blob_get(struct cache *cache, const struct ms_sha256 *hash,
                                       struct ms_buf *out, bool *ret_found, struct ms_diag *diag);

#endif
