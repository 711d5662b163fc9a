/* cache/schema.c - the SQL: migrations and statements. */
#include "cache/internal.h"

#include <assert.h>

#define SCHEMA_APPLICATION_ID 0x6d737264 /* "msrd": tells our files from other databases */

/* Enumerations of other rooms stand in rows as numbers; whoever renumbers them must write a
 * migration. */
_Static_assert(SPEC_INLINE == 1 && SPEC_CONTRACT == 5 && SPEC_ALIAS == 8,
               "numbers of stored kinds");
_Static_assert(SPEC_LEVEL_L0 == 1 && SPEC_LEVEL_L4 == 5, "numbers of stored levels");

/* Append only: entry i brings version i to i+1. A released one is never edited.
 * STRICT: SQLite itself refuses a value of another type. The codes in `hmac` cover the columns in
 * the order of ENTRY_COLUMNS and HISTORY_COLUMNS. */
static const char *const migrations[] = {
    "PRAGMA application_id = 1836282468;"
    "CREATE TABLE blob("
    " hash BLOB NOT NULL PRIMARY KEY CHECK(length(hash) = 32),"
    " encoding INTEGER NOT NULL CHECK(encoding IN (0, 1)),"      /* 0 as is, 1 packed: blob.c */
    " size INTEGER NOT NULL CHECK(size BETWEEN 0 AND 16777216)," /* before encoding */
    " data BLOB NOT NULL"
    ") STRICT;"
    "CREATE TABLE entry("
    " key BLOB NOT NULL CHECK(length(key) = 32),"
    " level INTEGER NOT NULL,"
    " canonical TEXT NOT NULL,"
    " kind INTEGER NOT NULL,"
    " status INTEGER NOT NULL,"
    " bundle BLOB REFERENCES blob(hash),"
    " sequence BLOB CHECK(length(sequence) = 8),"
    " commitment BLOB NOT NULL CHECK(length(commitment) = 32),"
    " set_hash BLOB NOT NULL CHECK(length(set_hash) = 32),"
    " floor_sequence BLOB NOT NULL CHECK(length(floor_sequence) = 8),"
    " fetched_wall_s INTEGER NOT NULL,"
    " fetched_boot_ms INTEGER NOT NULL,"
    " fetched_boot_id TEXT NOT NULL,"
    " checked_wall_s INTEGER NOT NULL,"
    " checked_boot_ms INTEGER NOT NULL,"
    " checked_boot_id TEXT NOT NULL,"
    " evidence_time_s INTEGER NOT NULL,"
    " fresh_s INTEGER NOT NULL,"
    " swr_s INTEGER NOT NULL,"
    " sie_s INTEGER NOT NULL,"
    " ceiling_s INTEGER NOT NULL,"
    " no_store INTEGER NOT NULL,"
    " valid_until_s INTEGER NOT NULL,"
    " etag TEXT,"
    " last_modified TEXT,"
    " error TEXT,"
    " error_until_s INTEGER NOT NULL,"
    " hmac BLOB NOT NULL CHECK(length(hmac) = 32),"
    " PRIMARY KEY(key, level)"
    ") STRICT;"
    "CREATE INDEX entry_bundle ON entry(bundle);"
    /* Blobs of one length compare as numbers do. */
    "CREATE TRIGGER entry_floor BEFORE UPDATE ON entry"
    " WHEN NEW.floor_sequence < OLD.floor_sequence"
    " BEGIN SELECT RAISE(ABORT, 'the floor of an entry never decreases'); END;",

    "CREATE TABLE history("
    " n INTEGER PRIMARY KEY AUTOINCREMENT,"
    " key BLOB NOT NULL CHECK(length(key) = 32),"
    " level INTEGER NOT NULL,"
    " time_s INTEGER NOT NULL,"
    " status INTEGER NOT NULL,"
    " kind TEXT NOT NULL,"
    " sequence BLOB CHECK(length(sequence) = 8),"
    " set_hash BLOB NOT NULL CHECK(length(set_hash) = 32),"
    " bundle BLOB REFERENCES blob(hash),"
    " block_number INTEGER,"
    " block_hash BLOB CHECK(length(block_hash) = 32),"
    " prev BLOB NOT NULL CHECK(length(prev) = 32)," /* hmac of the key's row before, or zeros */
    " hmac BLOB NOT NULL CHECK(length(hmac) = 32)"
    ") STRICT;"
    "CREATE INDEX history_key ON history(key, n);"
    "CREATE INDEX history_bundle ON history(bundle);"
    "CREATE TRIGGER history_no_update BEFORE UPDATE ON history"
    " BEGIN SELECT RAISE(ABORT, 'history is append-only'); END;"
    "CREATE TRIGGER history_no_delete BEFORE DELETE ON history"
    " BEGIN SELECT RAISE(ABORT, 'history is append-only'); END;"
    /* INSERT OR REPLACE would delete without the trigger above. */
    "CREATE TRIGGER history_in_order BEFORE INSERT ON history"
    " WHEN EXISTS (SELECT 1 FROM history WHERE n >= NEW.n)"
    " BEGIN SELECT RAISE(ABORT, 'history is append-only'); END;",

    /* NULL is 0, so that the codes of older rows stay right (row.c). */
    "ALTER TABLE entry ADD COLUMN floor_epoch BLOB CHECK(length(floor_epoch) = 8);"
    "DROP TRIGGER entry_floor;"
    "CREATE TRIGGER entry_floor BEFORE UPDATE ON entry"
    " WHEN coalesce(NEW.floor_epoch, x'') < coalesce(OLD.floor_epoch, x'')"
    " OR (NEW.floor_epoch IS OLD.floor_epoch AND NEW.floor_sequence < OLD.floor_sequence)"
    " BEGIN SELECT RAISE(ABORT, 'the floor of an entry never decreases'); END;",

    /* NULL in the rows of before, whose codes stay right. A run of confirmations of the answer that
     * history row n brought: first, last, how many, the longest time between two, and for how long
     * after each of them the answer might still be served (-1: for ever). */
    "ALTER TABLE history ADD COLUMN summary TEXT;"
    "ALTER TABLE history ADD COLUMN build TEXT;"
    "CREATE TABLE confirmed("
    " id INTEGER PRIMARY KEY,"
    " n INTEGER NOT NULL REFERENCES history(n),"
    " from_s INTEGER NOT NULL,"
    " until_s INTEGER NOT NULL,"
    " times INTEGER NOT NULL,"
    " gap_s INTEGER NOT NULL,"
    " limit_s INTEGER NOT NULL,"
    " block_number INTEGER,"
    " block_hash BLOB CHECK(length(block_hash) = 32),"
    " commitment BLOB NOT NULL CHECK(length(commitment) = 32),"
    " hmac BLOB NOT NULL CHECK(length(hmac) = 32)"
    ") STRICT;"
    "CREATE INDEX confirmed_n ON confirmed(n, id);",
    /* The transparency log (log.c): entry n is leaf n - 1 and belongs to history row n. */
    "CREATE TABLE log_entry("
    " n INTEGER PRIMARY KEY,"
    " entry BLOB NOT NULL CHECK(length(entry) BETWEEN 1 AND 65535),"
    " hmac BLOB NOT NULL CHECK(length(hmac) = 32)"
    ") STRICT;"
    "CREATE TRIGGER log_entry_no_update BEFORE UPDATE ON log_entry"
    " BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;"
    "CREATE TRIGGER log_entry_no_delete BEFORE DELETE ON log_entry"
    " BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;"
    "CREATE TRIGGER log_entry_in_order BEFORE INSERT ON log_entry"
    " WHEN NEW.n <> (SELECT coalesce(max(n), 0) + 1 FROM log_entry)"
    " BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;"
    "CREATE TABLE log_tile("
    " level INTEGER NOT NULL CHECK(level BETWEEN 0 AND 7),"
    " idx INTEGER NOT NULL CHECK(idx >= 0),"
    " data BLOB NOT NULL CHECK(length(data) BETWEEN 32 AND 8192 AND length(data) % 32 = 0),"
    " hmac BLOB NOT NULL CHECK(length(hmac) = 32),"
    " PRIMARY KEY(level, idx)"
    ") STRICT;"
    "CREATE TRIGGER log_tile_grows BEFORE UPDATE ON log_tile"
    " WHEN NEW.level <> OLD.level OR NEW.idx <> OLD.idx"
    " OR substr(NEW.data, 1, length(OLD.data)) <> OLD.data"
    " BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;"
    "CREATE TRIGGER log_tile_no_delete BEFORE DELETE ON log_tile"
    " BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;"
    "CREATE TABLE log_checkpoint("
    " size INTEGER PRIMARY KEY CHECK(size >= 0),"
    " time_s INTEGER NOT NULL,"
    " vkey TEXT NOT NULL,"
    " note TEXT NOT NULL,"
    " cosignatures INTEGER NOT NULL,"
    " hmac BLOB NOT NULL CHECK(length(hmac) = 32)"
    ") STRICT;",
    /* operation: of registries, each proven (operation.c). contract_log, log_range: what endpoints
     * said of other contracts, and which blocks they were asked about: never known to be complete.
     */
    "CREATE TABLE operation("
    " key BLOB NOT NULL CHECK(length(key) = 32),"
    " sequence INTEGER NOT NULL CHECK(sequence > 0),"
    " kind INTEGER NOT NULL,"
    " id BLOB NOT NULL CHECK(length(id) = 8),"
    " block INTEGER NOT NULL,"
    " prev_block INTEGER NOT NULL,"
    " time_s INTEGER NOT NULL,"
    " data BLOB NOT NULL,"
    " hash BLOB NOT NULL CHECK(length(hash) = 32),"
    " before BLOB NOT NULL CHECK(length(before) = 32)," /* hash of the operation before, or zeros */
    " bundle BLOB NOT NULL REFERENCES blob(hash),"      /* whose state it was checked against */
    " provider TEXT NOT NULL,"
    " recorded_s INTEGER NOT NULL,"
    " complete INTEGER NOT NULL CHECK(complete = 1),"
    " hmac BLOB NOT NULL CHECK(length(hmac) = 32),"
    " PRIMARY KEY(key, sequence)"
    ") STRICT;"
    "CREATE INDEX operation_bundle ON operation(bundle);"
    "CREATE TABLE contract_log("
    " key BLOB NOT NULL CHECK(length(key) = 32),"
    " block INTEGER NOT NULL,"
    " log_index INTEGER NOT NULL,"
    " address BLOB NOT NULL CHECK(length(address) = 20),"
    " topics BLOB NOT NULL CHECK(length(topics) % 32 = 0),"
    " data BLOB NOT NULL,"
    " provider TEXT NOT NULL,"
    " recorded_s INTEGER NOT NULL,"
    " complete INTEGER NOT NULL CHECK(complete = 0),"
    " hmac BLOB NOT NULL CHECK(length(hmac) = 32),"
    " PRIMARY KEY(key, block, log_index)"
    ") STRICT;"
    "CREATE TABLE log_range("
    " key BLOB NOT NULL CHECK(length(key) = 32),"
    " from_block INTEGER NOT NULL,"
    " to_block INTEGER NOT NULL CHECK(to_block >= from_block),"
    " n_logs INTEGER NOT NULL,"
    " provider TEXT NOT NULL,"
    " recorded_s INTEGER NOT NULL,"
    " hmac BLOB NOT NULL CHECK(length(hmac) = 32),"
    " PRIMARY KEY(key, from_block)"
    ") STRICT;"
    /* INSERT OR REPLACE deletes without a trigger, so what is there already is refused first. */
    "CREATE TRIGGER operation_once BEFORE INSERT ON operation"
    " WHEN EXISTS (SELECT 1 FROM operation WHERE key = NEW.key AND sequence = NEW.sequence)"
    " BEGIN SELECT RAISE(ABORT, 'operations are append-only'); END;"
    "CREATE TRIGGER operation_no_update BEFORE UPDATE ON operation"
    " BEGIN SELECT RAISE(ABORT, 'operations are append-only'); END;"
    "CREATE TRIGGER operation_no_delete BEFORE DELETE ON operation"
    " BEGIN SELECT RAISE(ABORT, 'operations are append-only'); END;"
    "CREATE TRIGGER contract_log_no_update BEFORE UPDATE ON contract_log"
    " BEGIN SELECT RAISE(ABORT, 'logs are append-only'); END;"
    "CREATE TRIGGER contract_log_no_delete BEFORE DELETE ON contract_log"
    " BEGIN SELECT RAISE(ABORT, 'logs are append-only'); END;"
    "CREATE TRIGGER log_range_no_update BEFORE UPDATE ON log_range"
    " BEGIN SELECT RAISE(ABORT, 'logs are append-only'); END;"
    "CREATE TRIGGER log_range_no_delete BEFORE DELETE ON log_range"
    " BEGIN SELECT RAISE(ABORT, 'logs are append-only'); END;",
    /* past_document: documents that operations of the past name by SHA-256; the blob is the proof.
     * past_set: signed sets of the past, each named by the one after it as `previous`, back from
     * the set of `bundle`; document is the signed document as it was served. */
    "CREATE TABLE past_document("
    " hash BLOB NOT NULL PRIMARY KEY CHECK(length(hash) = 32) REFERENCES blob(hash),"
    " provider TEXT NOT NULL,"
    " recorded_s INTEGER NOT NULL,"
    " hmac BLOB NOT NULL CHECK(length(hmac) = 32)"
    ") STRICT;"
    "CREATE TABLE past_set("
    " key BLOB NOT NULL CHECK(length(key) = 32),"
    " set_hash BLOB NOT NULL CHECK(length(set_hash) = 32),"
    " sequence BLOB NOT NULL CHECK(length(sequence) = 8),"
    " previous BLOB NOT NULL CHECK(length(previous) = 32)," /* zeros: it was the first */
    " document BLOB NOT NULL REFERENCES blob(hash),"
    " bundle BLOB NOT NULL REFERENCES blob(hash),"
    " provider TEXT NOT NULL,"
    " recorded_s INTEGER NOT NULL,"
    " hmac BLOB NOT NULL CHECK(length(hmac) = 32),"
    " PRIMARY KEY(key, set_hash)"
    ") STRICT;"
    "CREATE INDEX past_set_document ON past_set(document);"
    "CREATE INDEX past_set_bundle ON past_set(bundle);"
    "CREATE TRIGGER past_document_once BEFORE INSERT ON past_document"
    " WHEN EXISTS (SELECT 1 FROM past_document WHERE hash = NEW.hash)"
    " BEGIN SELECT RAISE(ABORT, 'the past is append-only'); END;"
    "CREATE TRIGGER past_document_no_update BEFORE UPDATE ON past_document"
    " BEGIN SELECT RAISE(ABORT, 'the past is append-only'); END;"
    "CREATE TRIGGER past_document_no_delete BEFORE DELETE ON past_document"
    " BEGIN SELECT RAISE(ABORT, 'the past is append-only'); END;"
    "CREATE TRIGGER past_set_once BEFORE INSERT ON past_set"
    " WHEN EXISTS (SELECT 1 FROM past_set WHERE key = NEW.key AND set_hash = NEW.set_hash)"
    " BEGIN SELECT RAISE(ABORT, 'the past is append-only'); END;"
    "CREATE TRIGGER past_set_no_update BEFORE UPDATE ON past_set"
    " BEGIN SELECT RAISE(ABORT, 'the past is append-only'); END;"
    "CREATE TRIGGER past_set_no_delete BEFORE DELETE ON past_set"
    " BEGIN SELECT RAISE(ABORT, 'the past is append-only'); END;",
    /* Whether the logs that are stored of a block are those of its receipts (contract_log.c): 0, it
     * could not be found out; 1, they are; 2, they are not. A block may get one row of each. */
    "CREATE TABLE log_check("
    " key BLOB NOT NULL CHECK(length(key) = 32),"
    " block INTEGER NOT NULL,"
    " checked INTEGER NOT NULL CHECK(checked IN (0, 1, 2)),"
    " block_hash BLOB CHECK(length(block_hash) = 32),"
    " time_s INTEGER NOT NULL," /* of the block, 0: not known */
    " n_logs INTEGER NOT NULL,"
    " hash_by TEXT NOT NULL,"
    " provider TEXT NOT NULL," /* of the receipts */
    " why TEXT NOT NULL,"
    " recorded_s INTEGER NOT NULL,"
    " hmac BLOB NOT NULL CHECK(length(hmac) = 32),"
    " PRIMARY KEY(key, block, checked)"
    ") STRICT;"
    "CREATE TRIGGER log_check_no_update BEFORE UPDATE ON log_check"
    " BEGIN SELECT RAISE(ABORT, 'logs are append-only'); END;"
    "CREATE TRIGGER log_check_no_delete BEFORE DELETE ON log_check"
    " BEGIN SELECT RAISE(ABORT, 'logs are append-only'); END;",
};
_Static_assert(SCHEMA_APPLICATION_ID == 1836282468, "the number in the first migration");

#define SCHEMA_VERSION ((int)MS_ARRAY_LEN(migrations))

#define ENTRY_COLUMNS                                                                     \
    "key, level, canonical, kind, status, bundle, sequence, commitment, set_hash, "       \
    "floor_sequence, "                                                                    \
    "fetched_wall_s, fetched_boot_ms, fetched_boot_id, checked_wall_s, checked_boot_ms, " \
    "checked_boot_id, evidence_time_s, fresh_s, swr_s, sie_s, ceiling_s, no_store, "      \
    "valid_until_s, etag, last_modified, error, error_until_s, floor_epoch, hmac"
#define ENTRY_VALUES                                                                               \
    "(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, " \
    "?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28, ?29)"
#define HISTORY_COLUMNS                                                                           \
    "n, key, level, time_s, status, kind, sequence, set_hash, bundle, block_number, block_hash, " \
    "prev, summary, build, hmac"
#define CONFIRMED_COLUMNS \
    "id, n, from_s, until_s, times, gap_s, limit_s, block_number, block_hash, commitment, hmac"

#define CHECKPOINT_COLUMNS "size, time_s, vkey, note, cosignatures, hmac"
#define OPERATION_COLUMNS                                                                        \
    "key, sequence, kind, id, block, prev_block, time_s, data, hash, before, bundle, provider, " \
    "recorded_s, complete, hmac"
#define CONTRACT_LOG_COLUMNS \
    "key, block, log_index, address, topics, data, provider, recorded_s, complete, hmac"
#define LOG_CHECK_COLUMNS \
    "key, block, checked, block_hash, time_s, n_logs, hash_by, provider, why, recorded_s, hmac"
#define RANGE_COLUMNS "key, from_block, to_block, n_logs, provider, recorded_s, hmac"
#define DOCUMENT_COLUMNS "hash, provider, recorded_s, hmac"
#define PAST_SET_COLUMNS \
    "key, set_hash, sequence, previous, document, bundle, provider, recorded_s, hmac"

const char *const cache_sql[CACHE_STMT_COUNT] = {
    [CACHE_STMT_BEGIN] = "BEGIN IMMEDIATE",
    [CACHE_STMT_COMMIT] = "COMMIT",
    [CACHE_STMT_ROLLBACK] = "ROLLBACK",
    [CACHE_STMT_SAVEPOINT] = "SAVEPOINT change",
    [CACHE_STMT_RELEASE] = "RELEASE change",
    [CACHE_STMT_ROLLBACK_TO] = "ROLLBACK TO change",
    [CACHE_STMT_ENTRY_GET] = "SELECT " ENTRY_COLUMNS " FROM entry WHERE key = ?1 AND level = ?2",
    [CACHE_STMT_ENTRY_EACH] = "SELECT " ENTRY_COLUMNS " FROM entry",
    [CACHE_STMT_ENTRY_INSERT] = "INSERT INTO entry(" ENTRY_COLUMNS ") VALUES" ENTRY_VALUES,
    [CACHE_STMT_ENTRY_UPDATE] =
        "UPDATE entry SET (" ENTRY_COLUMNS ") = " ENTRY_VALUES " WHERE key = ?1 AND level = ?2",
    [CACHE_STMT_ENTRY_DELETE] = "DELETE FROM entry WHERE key = ?1 AND level = ?2",
    [CACHE_STMT_BLOB_GET] = "SELECT encoding, size, data FROM blob WHERE hash = ?1",
    [CACHE_STMT_BLOB_PUT] =
        "INSERT INTO blob(hash, encoding, size, data) VALUES(?1, ?2, ?3, ?4) ON CONFLICT(hash)"
        " DO UPDATE SET encoding = excluded.encoding, size = excluded.size, data = excluded.data",
    [CACHE_STMT_BLOB_DROP] = "DELETE FROM blob WHERE hash = ?1"
                             " AND NOT EXISTS (SELECT 1 FROM entry WHERE bundle = ?1)"
                             " AND NOT EXISTS (SELECT 1 FROM history WHERE bundle = ?1)"
                             " AND NOT EXISTS (SELECT 1 FROM operation WHERE bundle = ?1)"
                             " AND NOT EXISTS (SELECT 1 FROM past_document WHERE hash = ?1)"
                             " AND NOT EXISTS (SELECT 1 FROM past_set WHERE document = ?1 OR"
                             " bundle = ?1)",
    [CACHE_STMT_HISTORY_LAST] = "SELECT hmac FROM history WHERE key = ?1 ORDER BY n DESC LIMIT 1",
    [CACHE_STMT_HISTORY_N] = "SELECT coalesce(max(n), 0) FROM history",
    [CACHE_STMT_HISTORY_CODE] = "SELECT hmac FROM history WHERE n = ?1",
    [CACHE_STMT_HISTORY_INSERT] = "INSERT INTO history(" HISTORY_COLUMNS ") VALUES"
                                  "(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14,"
                                  " ?15)",
    [CACHE_STMT_HISTORY_KEY] = "SELECT " HISTORY_COLUMNS " FROM history WHERE key = ?1 ORDER BY n",
    [CACHE_STMT_HISTORY_AFTER] = "SELECT " HISTORY_COLUMNS " FROM history WHERE key = ?1 AND n > ?2"
                                 " ORDER BY n LIMIT ?3",
    [CACHE_STMT_HISTORY_BEFORE] = "SELECT " HISTORY_COLUMNS " FROM history WHERE key = ?1"
                                  " AND n < ?2 ORDER BY n DESC LIMIT ?3",
    [CACHE_STMT_HISTORY_FIND] =
        "SELECT max(n) FROM history WHERE key = ?1 AND (?2 IS NULL OR level = ?2)"
        " AND (?3 IS NULL OR kind = ?3) AND (?4 IS NULL OR sequence = ?4)"
        " AND (?5 IS NULL OR time_s <= ?5) AND (?6 IS NULL OR set_hash = ?6 OR bundle = ?6)"
        " AND (?7 IS NULL OR n < ?7)",
    [CACHE_STMT_HISTORY_OF] = "SELECT max(n) FROM history WHERE bundle = ?1 AND key = ?2"
                              " AND level = ?3",
    [CACHE_STMT_HISTORY_NEWEST] =
        "SELECT " HISTORY_COLUMNS " FROM history AS h WHERE n < ?1 AND n >= ?2"
        " AND NOT EXISTS (SELECT 1 FROM history AS l WHERE l.key = h.key AND l.n > h.n)"
        " ORDER BY n DESC LIMIT ?3",
    [CACHE_STMT_CONFIRMED_LAST] = "SELECT " CONFIRMED_COLUMNS " FROM confirmed WHERE n = ?1"
                                  " ORDER BY id DESC LIMIT 1",
    [CACHE_STMT_CONFIRMED_EACH] = "SELECT " CONFIRMED_COLUMNS " FROM confirmed WHERE n = ?1"
                                  " ORDER BY id",
    [CACHE_STMT_CONFIRMED_PUT] = "INSERT OR REPLACE INTO confirmed(" CONFIRMED_COLUMNS ") VALUES"
                                 "(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    [CACHE_STMT_CONFIRMED_ID] = "SELECT coalesce(max(id), 0) FROM confirmed",
    /* the first run tells of the change itself, and stays */
    [CACHE_STMT_CONFIRMED_DROP] = "DELETE FROM confirmed WHERE n = ?1 AND id < ?2 AND until_s < ?3"
                                  " AND id <> (SELECT min(id) FROM confirmed WHERE n = ?1)",
    [CACHE_STMT_HISTORY_AT] = "SELECT " HISTORY_COLUMNS " FROM history WHERE n = ?1",
    [CACHE_STMT_LOG_SIZE] = "SELECT coalesce(max(n), 0) FROM log_entry",
    [CACHE_STMT_LOG_INSERT] = "INSERT INTO log_entry(n, entry, hmac) VALUES(?1, ?2, ?3)",
    [CACHE_STMT_LOG_RANGE] =
        "SELECT n, entry, hmac FROM log_entry WHERE n BETWEEN ?1 AND ?2 ORDER BY n",
    [CACHE_STMT_LOG_PREV] = "SELECT entry FROM log_entry WHERE n ="
                            " (SELECT max(n) FROM history WHERE key = ?1 AND n < ?2)",
    [CACHE_STMT_TILE_GET] =
        "SELECT level, idx, data, hmac FROM log_tile WHERE level = ?1 AND idx = ?2",
    [CACHE_STMT_TILE_PUT] =
        "INSERT INTO log_tile(level, idx, data, hmac) VALUES(?1, ?2, ?3, ?4)"
        " ON CONFLICT(level, idx) DO UPDATE SET data = excluded.data, hmac = excluded.hmac",
    [CACHE_STMT_CHECKPOINT_NEXT] =
        "SELECT " CHECKPOINT_COLUMNS " FROM log_checkpoint WHERE size >= ?1 ORDER BY size LIMIT 1",
    [CACHE_STMT_CHECKPOINT_LAST] =
        "SELECT " CHECKPOINT_COLUMNS " FROM log_checkpoint ORDER BY size DESC LIMIT 1",
    [CACHE_STMT_CHECKPOINT_COSIGNED] =
        "SELECT " CHECKPOINT_COLUMNS
        " FROM log_checkpoint WHERE cosignatures > 0 ORDER BY size DESC LIMIT 1",
    [CACHE_STMT_CHECKPOINT_PUT] =
        "INSERT OR REPLACE INTO log_checkpoint(" CHECKPOINT_COLUMNS ") VALUES"
        "(?1, ?2, ?3, ?4, ?5, ?6)",
    [CACHE_STMT_CHECKPOINT_DROP] =
        "DELETE FROM log_checkpoint WHERE size < ?1 AND cosignatures = 0",
    [CACHE_STMT_HISTORY_ALL] = "SELECT " HISTORY_COLUMNS " FROM history ORDER BY key, n",
    [CACHE_STMT_OPERATION_HASH] = "SELECT hash FROM operation WHERE key = ?1 AND sequence = ?2",
    [CACHE_STMT_OPERATION_INSERT] = "INSERT INTO operation(" OPERATION_COLUMNS ") VALUES"
                                    "(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, "
                                    "?15)",
    [CACHE_STMT_OPERATION_KEY] =
        "SELECT " OPERATION_COLUMNS " FROM operation WHERE key = ?1 ORDER BY sequence",
    [CACHE_STMT_OPERATION_ALL] =
        "SELECT " OPERATION_COLUMNS " FROM operation ORDER BY key, sequence",
    /* a log that is known already stays as it was first told */
    [CACHE_STMT_CONTRACT_LOG_INSERT] = "INSERT INTO contract_log(" CONTRACT_LOG_COLUMNS ") VALUES"
                                       "(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"
                                       " ON CONFLICT(key, block, log_index) DO NOTHING",
    [CACHE_STMT_CONTRACT_LOG_KEY] = "SELECT " CONTRACT_LOG_COLUMNS
                                    " FROM contract_log WHERE key = ?1 ORDER BY block, log_index",
    [CACHE_STMT_LOG_KEYS] = "SELECT key FROM contract_log UNION SELECT key FROM log_range"
                            " UNION SELECT key FROM log_check",
    [CACHE_STMT_LOG_CHECK_INSERT] = "INSERT INTO log_check(" LOG_CHECK_COLUMNS ") VALUES"
                                    "(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"
                                    " ON CONFLICT(key, block, checked) DO NOTHING",
    [CACHE_STMT_LOG_CHECK_KEY] =
        "SELECT " LOG_CHECK_COLUMNS " FROM log_check WHERE key = ?1 ORDER BY block, checked",
    [CACHE_STMT_RANGE_INSERT] = "INSERT INTO log_range(" RANGE_COLUMNS ") VALUES"
                                "(?1, ?2, ?3, ?4, ?5, ?6, ?7)"
                                " ON CONFLICT(key, from_block) DO NOTHING",
    [CACHE_STMT_RANGE_KEY] =
        "SELECT " RANGE_COLUMNS " FROM log_range WHERE key = ?1 ORDER BY from_block",
    [CACHE_STMT_DOCUMENT_INSERT] =
        "INSERT INTO past_document(" DOCUMENT_COLUMNS ") VALUES(?1, ?2, ?3, ?4)",
    [CACHE_STMT_DOCUMENT_ALL] = "SELECT " DOCUMENT_COLUMNS " FROM past_document ORDER BY hash",
    [CACHE_STMT_DOCUMENT_HAS] = "SELECT 1 FROM past_document WHERE hash = ?1",
    [CACHE_STMT_BLOB_HAS] = "SELECT 1 FROM blob WHERE hash = ?1",
    [CACHE_STMT_RANGE_ALL] = "SELECT " RANGE_COLUMNS " FROM log_range ORDER BY key, from_block",
    [CACHE_STMT_PAST_SET_HAS] = "SELECT 1 FROM past_set WHERE key = ?1 AND set_hash = ?2",
    [CACHE_STMT_PAST_SET_INSERT] = "INSERT INTO past_set(" PAST_SET_COLUMNS ") VALUES"
                                   "(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    [CACHE_STMT_PAST_SET_KEY] = "SELECT " PAST_SET_COLUMNS " FROM past_set WHERE key = ?1"
                                " ORDER BY sequence DESC, set_hash",
    [CACHE_STMT_PAST_SET_ALL] =
        "SELECT " PAST_SET_COLUMNS " FROM past_set ORDER BY key, sequence DESC, set_hash",
};

enum ms_err cache_number(struct cache *cache, const char *sql, int64_t *ret_value,
                         struct ms_diag *diag)
{
    sqlite3_stmt *stmt = NULL;
    enum ms_err err = MS_OK;

    if (sqlite3_prepare_v2(cache->db, sql, -1, &stmt, NULL) != SQLITE_OK ||
        sqlite3_step(stmt) != SQLITE_ROW)
        err = cache_sql_error(cache, diag, sql);
    else
        *ret_value = sqlite3_column_int64(stmt, 0);
    (void)sqlite3_finalize(stmt);
    return err;
}

static enum ms_err exec(struct cache *cache, const char *sql, struct ms_diag *diag,
                        const char *what)
{
    return sqlite3_exec(cache->db, sql, NULL, NULL, NULL) == SQLITE_OK
               ? MS_OK
               : cache_sql_error(cache, diag, what);
}

static enum ms_err migrate(struct cache *cache, int64_t from, struct ms_diag *diag)
{
    for (int64_t v = from; v < SCHEMA_VERSION; v++) {
        char set_version[64];
        (void)snprintf(set_version, sizeof(set_version), "PRAGMA user_version = %d", (int)v + 1);
        enum ms_err err = exec(cache, "BEGIN IMMEDIATE", diag, "migration");
        if (err != MS_OK)
            return err;
        err = exec(cache, migrations[v], diag, "migration");
        if (err == MS_OK)
            err = exec(cache, set_version, diag, "migration");
        if (err == MS_OK)
            err = exec(cache, "COMMIT", diag, "migration");
        if (err != MS_OK) {
            if (sqlite3_get_autocommit(cache->db) == 0)
                (void)sqlite3_exec(cache->db, "ROLLBACK", NULL, NULL, NULL);
            return err;
        }
    }
    return MS_OK;
}

enum ms_err cache_schema_make(sqlite3 *db)
{
    for (size_t i = 0; i < MS_ARRAY_LEN(migrations); i++)
        if (sqlite3_exec(db, migrations[i], NULL, NULL, NULL) != SQLITE_OK)
            return MS_ERR_STORE;
    return MS_OK;
}

enum ms_err cache_schema(struct cache *cache, const char *path, struct ms_diag *diag)
{
    int64_t version = 0, id = 0, tables = 0;

    enum ms_err err = cache_number(cache, "PRAGMA user_version", &version, diag);
    if (err == MS_OK)
        err = cache_number(cache, "PRAGMA application_id", &id, diag);
    if (err == MS_OK)
        err = cache_number(cache, "SELECT count(*) FROM sqlite_schema", &tables, diag);
    if (err != MS_OK)
        return err;
    bool empty = version == 0 && id == 0 && tables == 0;
    if (!empty && (id != SCHEMA_APPLICATION_ID || version < 1))
        return ms_diag_set(diag, MS_ERR_STORE, "%s is a database of another program", path);
    if (version > SCHEMA_VERSION)
        return ms_diag_set(
            diag, MS_ERR_STORE,
            "%s was written by a newer measured (schema %lld, this program knows %d); "
            "use that program or another state-dir",
            path, (long long)version, SCHEMA_VERSION);
    if (cache->readonly && version < SCHEMA_VERSION)
        return ms_diag_set(diag, MS_ERR_STORE,
                           "%s has the older schema %lld, and this program reads %d: start this "
                           "version of the daemon once with its folder, or a copy of that with all "
                           "its files, as state-dir",
                           path, (long long)version, SCHEMA_VERSION);
    return migrate(cache, version, diag);
}
