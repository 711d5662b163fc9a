/* Entries, blobs and history: what goes in comes out, and what was changed in between does not. */
#define _GNU_SOURCE /* mkdtemp */

#include "tests/unit/cache/cache_test_util.h"

#define ARENA_BYTES 65536

static void same_text(const char *a, const char *b)
{
    assert_true((a == NULL) == (b == NULL));
    if (a != NULL)
        assert_string_equal(a, b);
}

static void same_time(const struct cache_time *a, const struct cache_time *b)
{
    assert_int_equal(a->wall_s, b->wall_s);
    assert_int_equal(a->boot_ms, b->boot_ms);
    assert_string_equal(a->boot_id, b->boot_id);
}

static void same_entry(const struct cache_entry *a, const struct cache_entry *b)
{
    assert_true(ms_sha256_eq(&a->key, &b->key));
    assert_int_equal(a->level, b->level);
    same_text(a->canonical, b->canonical);
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->status, b->status);
    assert_int_equal(a->has_bundle, b->has_bundle);
    assert_true(ms_sha256_eq(&a->bundle, &b->bundle));
    assert_int_equal(a->has_sequence, b->has_sequence);
    assert_true(a->sequence == b->sequence);
    assert_true(ms_sha256_eq(&a->commitment, &b->commitment));
    assert_true(ms_sha256_eq(&a->set_hash, &b->set_hash));
    assert_true(a->floor_epoch == b->floor_epoch);
    assert_true(a->floor_sequence == b->floor_sequence);
    same_time(&a->fetched, &b->fetched);
    same_time(&a->checked, &b->checked);
    assert_int_equal(a->evidence_time_s, b->evidence_time_s);
    assert_int_equal(a->life.fresh_s, b->life.fresh_s);
    assert_int_equal(a->life.swr_s, b->life.swr_s);
    assert_int_equal(a->life.sie_s, b->life.sie_s);
    assert_int_equal(a->life.ceiling_s, b->life.ceiling_s);
    assert_int_equal(a->life.no_store, b->life.no_store);
    assert_int_equal(a->valid_until_s, b->valid_until_s);
    same_text(a->etag, b->etag);
    same_text(a->last_modified, b->last_modified);
    assert_int_equal(a->error, b->error);
    assert_int_equal(a->error_until_s, b->error_until_s);
}

static void must_hold(struct cache *cache, const struct cache_entry *want)
{
    struct ms_arena arena = MS_ARENA_INIT(ARENA_BYTES);
    struct cache_entry got;
    bool found = false;
    assert_int_equal(cache_entry_get(cache, &want->key, want->level, &arena, &got, &found, NULL),
                     MS_OK);
    assert_true(found);
    same_entry(&got, want);
    ms_arena_done(&arena);
}

static enum ms_err get_err(struct cache *cache, const struct cache_entry *e, bool *ret_found)
{
    struct ms_arena arena = MS_ARENA_INIT(ARENA_BYTES);
    struct cache_entry got;
    enum ms_err err = cache_entry_get(cache, &e->key, e->level, &arena, &got, ret_found, NULL);
    ms_arena_done(&arena);
    return err;
}

static void test_round_trip(void **state)
{
    (void)state;
    struct cache_entry full = sample(), bare = sample();
    bare.key = hash_of("another key");
    bare.kind = SPEC_LOCATION;
    bare.status = CACHE_NEGATIVE;
    bare.has_bundle = bare.has_sequence = false;
    bare.bundle = (struct ms_sha256){0};
    bare.sequence = bare.floor_sequence = 0;
    bare.fetched = (struct cache_time){0};
    bare.etag = bare.last_modified = NULL;
    bare.error = MS_OK;
    bare.life = (struct source_lifetime){-1, 0, 0, -1, false};

    struct cache *cache = must_open();
    must_commit(cache, &full, NULL);
    must_commit(cache, &bare, NULL);
    must_hold(cache, &full);
    must_hold(cache, &bare);
    full.level = SPEC_LEVEL_L3; /* another row */
    bool found = true;
    assert_int_equal(get_err(cache, &full, &found), MS_OK);
    assert_false(found);
    full.level = SPEC_LEVEL_L2;
    cache_close(cache);

    cache = must_open();
    must_hold(cache, &full);
    must_hold(cache, &bare);
    cache_close(cache);
}

/* Nothing of it is there for others. */
static void must_not_see(const struct cache_entry *e)
{
    struct cache *reader = NULL;
    struct ms_arena arena = MS_ARENA_INIT(65536);
    struct cache_entry got;
    bool found = true;

    assert_int_equal(cache_open_readonly(in_dir("measured.db"), &reader, NULL), MS_OK);
    assert_int_equal(cache_entry_get(reader, &e->key, e->level, &arena, &got, &found, NULL), MS_OK);
    assert_false(found);
    cache_close(reader);
    ms_arena_done(&arena);
}

static void test_replace_and_touch(void **state)
{
    (void)state;
    struct cache_entry e = sample();
    struct cache *cache = must_open();
    struct cache_freshness fresh = {.bundle = e.bundle,
                                    .checked = {1700009999, 77, ""},
                                    .evidence_time_s = 1700009998,
                                    .life = {60, 0, 0, 86400, false},
                                    .etag = "W/\"2\""};

    assert_int_equal(cache_touch(cache, &e.key, e.level, &fresh, NULL), MS_ERR_UNKNOWN);
    must_commit(cache, &e, NULL);
    e.status = CACHE_CONFLICT;
    e.canonical = "changed";
    must_commit(cache, &e, NULL);
    must_hold(cache, &e);
    assert_int_equal(cache_touch(cache, &e.key, e.level, &fresh, NULL), MS_OK);
    e.checked = fresh.checked;
    e.evidence_time_s = fresh.evidence_time_s;
    e.life = fresh.life;
    e.valid_until_s = 0;
    e.etag = fresh.etag;
    e.last_modified = NULL;
    must_hold(cache, &e);
    /* an answer that is not stored is confirmed: the stored one must not look young */
    fresh.bundle = hash_of("evidence that could not be stored");
    fresh.checked.wall_s++;
    assert_int_equal(cache_touch(cache, &e.key, e.level, &fresh, NULL), MS_ERR_UNKNOWN);
    must_hold(cache, &e);
    cache_close(cache);
}

/* One transaction for many: what is refused is undone alone, whatever it had done already. */
static void test_group(void **state)
{
    (void)state;
    struct cache_entry e = sample(), bad = sample(), other = sample();
    struct cache_history h = sample_history();
    struct cache *cache = must_open();

    other.key = hash_of("other");
    bad.key = hash_of("bad");
    bad.bundle = hash_of("evidence nobody has"); /* fails after its blob was written */
    assert_int_equal(cache_group_begin(cache, NULL), MS_OK);
    must_commit(cache, &e, &h);
    assert_int_equal(commit(cache, &bad, &h, NULL), MS_ERR_EVIDENCE);
    must_commit(cache, &other, &h);
    assert_int_equal(cache_entry_delete(cache, &e.key, e.level, NULL), MS_ERR_ROLLBACK);
    must_not_see(&e);
    assert_int_equal(cache_group_end(cache, NULL), MS_OK);
    must_hold(cache, &e);
    must_hold(cache, &other);
    struct ms_arena arena = MS_ARENA_INIT(65536);
    struct cache_entry got;
    bool found = true;
    assert_int_equal(cache_entry_get(cache, &bad.key, bad.level, &arena, &got, &found, NULL),
                     MS_OK);
    assert_false(found);
    ms_arena_done(&arena);
    must_commit(cache, &e, &h); /* and alone again */
    cache_close(cache);
}

static void test_floor(void **state)
{
    (void)state;
    struct cache_entry e = sample();
    struct cache *cache = must_open();

    e.sequence = 9;
    e.floor_sequence = 9;
    must_commit(cache, &e, NULL);
    e.floor_sequence = 3; /* kept at 9 */
    must_commit(cache, &e, NULL);
    e.floor_sequence = 9;
    must_hold(cache, &e);
    struct cache_entry older = e;
    older.sequence = 8;
    older.floor_sequence = 0;
    older.canonical = "must not be seen";
    struct ms_diag diag = {0};
    assert_int_equal(commit(cache, &older, NULL, &diag), MS_ERR_ROLLBACK);
    assert_non_null(strstr(diag.text, "floor 9"));
    must_hold(cache, &e);
    assert_int_equal(cache_entry_delete(cache, &e.key, e.level, NULL), MS_ERR_ROLLBACK);
    must_hold(cache, &e);
    cache_close(cache);

    /* SQL refuses it too, also above 2^63 where a signed number would be negative. */
    cache = must_open();
    e.sequence = e.floor_sequence = 0x8000000000000001u;
    must_commit(cache, &e, NULL);
    cache_close(cache);
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(in_dir("measured.db"), &db), SQLITE_OK);
    assert_int_equal(
        sqlite3_exec(db, "UPDATE entry SET floor_sequence = x'7fffffffffffffff'", NULL, NULL, NULL),
        SQLITE_CONSTRAINT);
    (void)sqlite3_close(db);
}

/* A new root's epoch begins a new count, and there is no way back to the old one. */
static void test_epoch(void **state)
{
    (void)state;
    struct cache_entry e = sample();
    struct ms_diag diag = {0};
    struct cache *cache = must_open();

    e.floor_epoch = 1;
    e.sequence = e.floor_sequence = 9;
    must_commit(cache, &e, NULL);
    must_hold(cache, &e);
    e.floor_epoch = 2;
    e.sequence = e.floor_sequence = 3;
    must_commit(cache, &e, NULL);
    must_hold(cache, &e);
    struct cache_entry older = e;
    older.floor_epoch = 1;
    older.sequence = older.floor_sequence = 10;
    assert_int_equal(commit(cache, &older, NULL, &diag), MS_ERR_ROLLBACK);
    assert_non_null(strstr(diag.text, "epoch 1 is below the floor 2"));
    older.floor_epoch = 2;
    older.sequence = older.floor_sequence = 2;
    assert_int_equal(commit(cache, &older, NULL, NULL), MS_ERR_ROLLBACK);
    must_hold(cache, &e);
    cache_close(cache);

    /* SQL refuses it too */
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(in_dir("measured.db"), &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "UPDATE entry SET floor_epoch = NULL", NULL, NULL, NULL),
                     SQLITE_CONSTRAINT);
    assert_int_equal(
        sqlite3_exec(db, "UPDATE entry SET floor_sequence = x'0000000000000002'", NULL, NULL, NULL),
        SQLITE_CONSTRAINT);
    (void)sqlite3_close(db);
}

static const struct {
    const char *name, *set;
} tampers[] = {
    {"key", "key = zeroblob(32)"},
    {"level", "level = 4"},
    {"canonical", "canonical = canonical || 'x'"},
    {"kind", "kind = 3"},
    {"status", "status = 2"},
    {"bundle", "bundle = NULL"},
    {"sequence", "sequence = x'0000000000000001'"},
    {"sequence to NULL", "sequence = NULL"},
    {"commitment", "commitment = set_hash"},
    {"set_hash", "set_hash = commitment"},
    {"floor_sequence", "floor_sequence = x'fffffffffffffff1'"},
    {"floor_epoch", "floor_epoch = x'0000000000000001'"},
    {"floor_epoch of zero", "floor_epoch = x'0000000000000000'"},
    {"fetched_wall_s", "fetched_wall_s = fetched_wall_s + 1"},
    {"fetched_boot_ms", "fetched_boot_ms = 0"},
    {"fetched_boot_id", "fetched_boot_id = checked_boot_id"},
    {"checked_wall_s", "checked_wall_s = checked_wall_s + 1000000"},
    {"checked_boot_ms", "checked_boot_ms = checked_boot_ms + 1"},
    {"checked_boot_id", "checked_boot_id = ''"},
    {"evidence_time_s", "evidence_time_s = evidence_time_s + 1"},
    {"fresh_s", "fresh_s = -1"},
    {"swr_s", "swr_s = fresh_s"},
    {"sie_s", "sie_s = 3601"},
    {"ceiling_s", "ceiling_s = 1"},
    {"no_store", "no_store = 0"},
    {"valid_until_s", "valid_until_s = 0"},
    {"etag", "etag = NULL"},
    {"last_modified", "last_modified = ''"},
    {"error", "error = NULL"},
    {"error_until_s", "error_until_s = 0"},
    {"hmac", "hmac = zeroblob(32)"},
    /* Without lengths both would serialise as ... 't' etag 't' 'S' 'a' 't' ',' ... */
    {"two texts, same bytes in a row",
     "etag = etag || 'tSa', last_modified = substr(last_modified, 4)"},
};

static enum ms_err count_rows(void *arg, enum ms_err row, const struct cache_entry *entry,
                              const struct ms_diag *why)
{
    size_t *n = arg;
    if (row == MS_OK)
        n[0]++;
    else if (row == MS_ERR_HMAC && why->text[0] != '\0' && entry->canonical == NULL)
        n[1]++;
    return MS_OK;
}

/* Every column of the table occurs in `tampers`: a new one must get its row. */
static int column_is_covered(void *arg, int n, char **value, char **name)
{
    (void)arg;
    (void)n;
    (void)name;
    for (size_t i = 0; i < MS_ARRAY_LEN(tampers); i++)
        if (strcmp(tampers[i].name, value[1]) == 0)
            return 0;
    fail_msg("no test changes column %s", value[1]);
    return 1;
}

static void test_tampered_column(void **state)
{
    (void)state;
    struct cache_entry e = sample();
    char sql[256];

    struct cache *cache = must_open();
    must_commit(cache, &e, NULL);
    cache_close(cache);
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(in_dir("measured.db"), &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "PRAGMA table_info(entry)", column_is_covered, NULL, NULL),
                     SQLITE_OK);
    (void)sqlite3_close(db);
    raw("CREATE TABLE good AS SELECT * FROM entry");
    for (size_t i = 0; i < MS_ARRAY_LEN(tampers); i++) {
        (void)snprintf(sql, sizeof(sql), "UPDATE entry SET %s", tampers[i].set);
        raw(sql);
        cache = must_open();
        struct cache_entry named = e;
        if (strcmp(tampers[i].name, "key") == 0)
            named.key = (struct ms_sha256){0};
        if (strcmp(tampers[i].name, "level") == 0)
            named.level = SPEC_LEVEL_L3;
        bool found = false;
        size_t n[2] = {0, 0};
        enum ms_err err = get_err(cache, &named, &found);
        if (err != MS_ERR_HMAC || found)
            fail_msg("%s: got %s", tampers[i].name, ms_err_name(err));
        assert_int_equal(cache_each_entry(cache, count_rows, n, NULL), MS_OK);
        assert_int_equal(n[0], 0);
        assert_int_equal(n[1], 1);
        named.canonical = "new";
        assert_int_equal(commit(cache, &named, NULL, NULL), MS_ERR_HMAC); /* the floor is unknown */
        assert_int_equal(cache_entry_delete(cache, &named.key, named.level, NULL), MS_OK);
        assert_int_equal(get_err(cache, &named, &found), MS_OK);
        assert_false(found);
        cache_close(cache);
        raw("DELETE FROM entry; INSERT INTO entry SELECT * FROM good");
    }
    cache = must_open(); /* and the untouched row is still good */
    must_hold(cache, &e);
    cache_close(cache);
}

static void test_row_of_another_key_file(void **state)
{
    (void)state;
    struct cache_entry e = sample();
    struct cache *cache = must_open();
    must_commit(cache, &e, NULL);
    cache_close(cache);
    FILE *file = fopen(in_dir(CACHE_KEY_NAME), "wb");
    assert_non_null(file);
    assert_int_equal(fwrite("0123456789abcdef0123456789abcdef", 1, 32, file), 32);
    (void)fclose(file);
    cache = must_open();
    bool found = false;
    assert_int_equal(get_err(cache, &e, &found), MS_ERR_HMAC);
    cache_close(cache);
}

static void test_bad_arguments(void **state)
{
    (void)state;
    struct cache *cache = must_open();
    struct cache_entry e = sample();
    struct cache_history h = sample_history();
    bool found = true;

    e.canonical = NULL;
    assert_int_equal(commit(cache, &e, NULL, NULL), MS_ERR_ARGUMENT);
    e = sample();
    e.status = CACHE_STATUS_NONE;
    assert_int_equal(commit(cache, &e, NULL, NULL), MS_ERR_ARGUMENT);
    e = sample();
    e.life.fresh_s = -2;
    assert_int_equal(commit(cache, &e, NULL, NULL), MS_ERR_ARGUMENT);
    e = sample();
    e.checked.boot_id[5] = '\0';
    assert_int_equal(commit(cache, &e, NULL, NULL), MS_ERR_ARGUMENT);
    e = sample();
    e.bundle = hash_of("never stored");
    assert_int_equal(commit(cache, &e, NULL, NULL), MS_ERR_EVIDENCE);
    e = sample();
    h.kind = "";
    assert_int_equal(commit(cache, &e, &h, NULL), MS_ERR_ARGUMENT);
    h = sample_history();
    h.block_number = UINT64_MAX;
    assert_int_equal(commit(cache, &e, &h, NULL), MS_ERR_ARGUMENT);
    /* All of it was rolled back, the blob included. */
    assert_int_equal(get_err(cache, &e, &found), MS_OK);
    assert_false(found);
    struct ms_buf out = MS_BUF_INIT(64);
    found = true;
    assert_int_equal(cache_blob_get(cache, &e.bundle, &out, &found, NULL), MS_OK);
    assert_false(found);
    ms_buf_done(&out);
    cache_close(cache);
}

static void test_delete(void **state)
{
    (void)state;
    struct cache *cache = must_open();
    struct cache_entry e = sample(), other = sample();
    struct ms_buf out = MS_BUF_INIT(64);
    bool found = false;

    e.has_sequence = other.has_sequence = false;
    e.sequence = other.sequence = e.floor_sequence = other.floor_sequence = 0;
    other.key = hash_of("other");
    must_commit(cache, &e, NULL);
    must_commit(cache, &other, NULL);
    assert_int_equal(cache_entry_delete(cache, &e.key, e.level, NULL), MS_OK);
    assert_int_equal(cache_entry_delete(cache, &e.key, e.level, NULL), MS_OK);
    assert_int_equal(get_err(cache, &e, &found), MS_OK);
    assert_false(found);
    must_hold(cache, &other);
    assert_int_equal(cache_blob_get(cache, &e.bundle, &out, &found, NULL), MS_OK);
    assert_true(found); /* the other entry still needs it */
    assert_int_equal(cache_entry_delete(cache, &other.key, other.level, NULL), MS_OK);
    assert_int_equal(cache_blob_get(cache, &e.bundle, &out, &found, NULL), MS_OK);
    assert_false(found);
    ms_buf_done(&out);
    cache_close(cache);
}

/* ---- blobs ---- */
static void put_blob(struct cache *cache, struct ms_span bytes)
{
    struct cache_entry e = sample();
    e.has_bundle = false;
    struct cache_change change = {1, &bytes, &e, NULL};
    assert_int_equal(cache_commit(cache, &change, NULL), MS_OK);
}

static enum ms_err get_blob(struct cache *cache, struct ms_span want)
{
    struct ms_buf out = MS_BUF_INIT(CACHE_BLOB_MAX_BYTES);
    struct ms_sha256 hash = ms_sha256(want);
    bool found = false;
    enum ms_err err = cache_blob_get(cache, &hash, &out, &found, NULL);
    if (err == MS_OK)
        assert_true(found && ms_span_eq(ms_buf_span(&out), want));
    else
        assert_int_equal(out.len, 0);
    ms_buf_done(&out);
    return err;
}

static void test_blobs(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 16383, 16384, 100000};
    static uint8_t bytes[100000];
    struct cache *cache = must_open();

    for (int random = 0; random < 2; random++) {
        for (size_t i = 0; random != 0 && i < sizeof(bytes); i++)
            bytes[i] = (uint8_t)rand();
        for (size_t i = 0; i < MS_ARRAY_LEN(sizes); i++) {
            put_blob(cache, ms_span_of(bytes, sizes[i]));
            put_blob(cache, ms_span_of(bytes, sizes[i]));
            assert_int_equal(get_blob(cache, ms_span_of(bytes, sizes[i])), MS_OK);
        }
    }
    struct ms_buf small = MS_BUF_INIT(10);
    struct ms_sha256 hash = ms_sha256(ms_span_of(bytes, 16383));
    bool found = false;
    assert_int_equal(cache_blob_get(cache, &hash, &small, &found, NULL), MS_ERR_LIMIT);
    ms_buf_done(&small);

    struct cache_entry e = sample();
    struct ms_span huge = {bytes, CACHE_BLOB_MAX_BYTES + 1}; /* refused before it is read */
    struct cache_change change = {1, &huge, &e, NULL};
    assert_int_equal(cache_commit(cache, &change, NULL), MS_ERR_LIMIT);
    cache_close(cache);
}

static void test_tampered_blob(void **state)
{
    (void)state;
    static const char *const changes[] = {
        "UPDATE blob SET data = x'00'",
        "UPDATE blob SET data = zeroblob(length(data))",
        "UPDATE blob SET data = substr(data, 1, length(data) - 1)",
        "UPDATE blob SET size = size - 1",
        "UPDATE blob SET encoding = 1 - encoding",
        "UPDATE blob SET data = x''",
    };
    uint8_t large[20000] = {7};
    const struct ms_span blobs[] = {ms_span_str("evidence"), ms_span_of(large, sizeof(large))};

    for (size_t b = 0; b < MS_ARRAY_LEN(blobs); b++) {
        for (size_t i = 0; i < MS_ARRAY_LEN(changes); i++) {
            struct cache *cache = must_open();
            put_blob(cache, blobs[b]);
            assert_int_equal(get_blob(cache, blobs[b]), MS_OK);
            raw(changes[i]);
            if (get_blob(cache, blobs[b]) != MS_ERR_EVIDENCE)
                fail_msg("%s was not noticed", changes[i]);
            put_blob(cache, blobs[b]); /* the same evidence again mends it */
            assert_int_equal(get_blob(cache, blobs[b]), MS_OK);
            cache_close(cache);
        }
        raw("DELETE FROM entry; DELETE FROM blob");
    }
}

/* ---- history ---- */
struct seen {
    size_t good, bad;
    uint64_t last_n;
    enum ms_err stop;
};

static enum ms_err see_history(void *arg, enum ms_err row, const struct cache_history *h,
                               const struct ms_diag *why)
{
    struct seen *seen = arg;
    if (row == MS_OK) {
        seen->good++;
        assert_true(h->n > seen->last_n);
        seen->last_n = h->n;
        assert_int_equal(h->block_number, 19000000);
        assert_string_equal(h->kind, "set");
    } else {
        assert_int_equal(row, MS_ERR_HMAC);
        assert_true(why->text[0] != '\0');
        seen->bad++;
    }
    return seen->stop;
}

static struct seen walk(struct cache *cache, const struct ms_sha256 *key)
{
    struct seen seen = {0};
    assert_int_equal(cache_history_each(cache, key, see_history, &seen, NULL), MS_OK);
    return seen;
}

static void test_history(void **state)
{
    (void)state;
    static const char insert_below[] =
        "INSERT INTO history(n, key, level, time_s, status, kind, set_hash, prev, hmac)"
        " VALUES(0, zeroblob(32), 1, 1, 1, 'x', zeroblob(32), zeroblob(32), zeroblob(32))";
    const char *const refused[] = {
        "UPDATE history SET kind = 'x'",
        "DELETE FROM history WHERE n = 2",
        "INSERT OR REPLACE INTO history SELECT * FROM history WHERE n = 2",
        insert_below,
    };
    struct cache *cache = must_open();
    struct cache_entry e = sample();
    struct cache_history h = sample_history(), other = sample_history();
    other.key = hash_of("other");

    must_commit(cache, &e, &h);
    must_commit(cache, &e, &other);
    must_commit(cache, &e, &h);
    must_commit(cache, &e, &h);
    struct seen seen = walk(cache, &h.key);
    assert_int_equal(seen.good, 3);
    assert_int_equal(seen.last_n, 4);
    assert_int_equal(walk(cache, &other.key).good, 1);
    struct seen stopped = {.stop = MS_ERR_SHUTDOWN};
    assert_int_equal(cache_history_each(cache, &h.key, see_history, &stopped, NULL),
                     MS_ERR_SHUTDOWN);
    assert_int_equal(stopped.good, 1);
    cache_close(cache);

    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(in_dir("measured.db"), &db), SQLITE_OK);
    for (size_t i = 0; i < MS_ARRAY_LEN(refused); i++)
        if (sqlite3_exec(db, refused[i], NULL, NULL, NULL) != SQLITE_CONSTRAINT)
            fail_msg("%s was not refused", refused[i]);
    (void)sqlite3_close(db);
}

static void test_tampered_history(void **state)
{
    (void)state;
    static const struct {
        const char *sql;
        size_t good, bad;
    } rows[] = {
        {"UPDATE history SET level = 1 WHERE n = 2", 3, 1},
        {"UPDATE history SET time_s = time_s + 1 WHERE n = 2", 3, 1},
        {"UPDATE history SET status = 2 WHERE n = 2", 3, 1},
        {"UPDATE history SET kind = 'x' WHERE n = 2", 3, 1},
        {"UPDATE history SET sequence = NULL WHERE n = 2", 3, 1},
        {"UPDATE history SET set_hash = zeroblob(32) WHERE n = 2", 3, 1},
        {"UPDATE history SET bundle = NULL WHERE n = 2", 3, 1},
        {"UPDATE history SET block_number = 1 WHERE n = 2", 3, 1},
        {"UPDATE history SET block_hash = zeroblob(32) WHERE n = 2", 3, 1},
        {"UPDATE history SET prev = zeroblob(32) WHERE n = 2", 3, 1},
        {"UPDATE history SET hmac = zeroblob(32) WHERE n = 4", 3, 1},
        {"UPDATE history SET n = 9 WHERE n = 4", 3, 1},
        {"DELETE FROM history WHERE n = 2", 2, 1}, /* row 3 lost its predecessor */
        {"DELETE FROM history WHERE n = 1", 2, 1},
    };

    for (size_t i = 0; i < MS_ARRAY_LEN(rows); i++) {
        struct cache *cache = must_open();
        struct cache_entry e = sample();
        struct cache_history h = sample_history();
        for (int k = 0; k < 4; k++)
            must_commit(cache, &e, &h);
        cache_close(cache);
        raw("DROP TRIGGER history_no_update; DROP TRIGGER history_no_delete");
        raw(rows[i].sql);
        cache = must_open();
        struct seen seen = walk(cache, NULL);
        if (seen.good != rows[i].good || seen.bad != rows[i].bad)
            fail_msg("%s: %zu good, %zu bad", rows[i].sql, seen.good, seen.bad);
        cache_close(cache);
        assert_int_equal(drop_dir(state), 0);
        assert_int_equal(fresh_dir(state), 0);
    }
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, fresh_dir, drop_dir)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_round_trip),
        TEST(test_replace_and_touch),
        TEST(test_group),
        TEST(test_floor),
        TEST(test_epoch),
        TEST(test_tampered_column),
        TEST(test_row_of_another_key_file),
        TEST(test_bad_arguments),
        TEST(test_delete),
        TEST(test_blobs),
        TEST(test_tampered_blob),
        TEST(test_history),
        TEST(test_tampered_history),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
