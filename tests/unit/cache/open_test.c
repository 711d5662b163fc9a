/* Opening: files and their modes, migrations, and what is refused instead of being repaired. */
#define _GNU_SOURCE /* mkdtemp, truncate */

#include "tests/unit/cache/cache_test_util.h"

static unsigned mode_of(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0)
        fail_msg("%s is missing", path);
    return st.st_mode & 07777;
}

static void write_file(const char *name, const void *ptr, size_t len, mode_t mode)
{
    FILE *file = fopen(in_dir(name), "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(ptr, 1, len, file), len);
    (void)fclose(file);
    assert_int_equal(chmod(in_dir(name), mode), 0);
}

static void test_files(void **state)
{
    static const mode_t masks[] = {0, 022, 0777};

    for (size_t i = 0; i < MS_ARRAY_LEN(masks); i++) {
        char parent[64];
        (void)snprintf(parent, sizeof(parent), "%s", state_dir);
        (void)snprintf(state_dir, sizeof(state_dir), "%.40s/x", parent);
        mode_t before = umask(masks[i]);
        struct cache *cache = must_open();
        struct cache_entry e = sample();
        must_commit(cache, &e, NULL);
        (void)umask(before);
        assert_int_equal(mode_of(state_dir), 0700);
        assert_int_equal(mode_of(in_dir("measured.db")), 0600);
        assert_int_equal(mode_of(in_dir("measured.db-wal")), 0600);
        assert_int_equal(mode_of(in_dir("measured.db-shm")), 0600);
        assert_int_equal(mode_of(in_dir("measured.hmac")), 0600);
        assert_int_equal(mode_of(in_dir("measured.lock")), 0600);
        cache_close(cache);
        assert_int_equal(drop_dir(state), 0);
        (void)snprintf(state_dir, sizeof(state_dir), "%s", parent);
    }
    write_file("measured.db", "", 0, 0644); /* a loose mode is tightened */
    cache_close(must_open());
    assert_int_equal(mode_of(in_dir("measured.db")), 0600);
}

static void test_parents(void **state)
{
    char parent[64];
    (void)snprintf(parent, sizeof(parent), "%s", state_dir);
    (void)snprintf(state_dir, sizeof(state_dir), "%.40s/a/b/", parent);
    cache_close(must_open());
    assert_int_equal(drop_dir(state), 0);
    (void)snprintf(state_dir, sizeof(state_dir), "%.40s/a", parent);
    assert_int_equal(mode_of(state_dir), 0700);
    assert_int_equal(rmdir(state_dir), 0);
    (void)snprintf(state_dir, sizeof(state_dir), "%s", parent);
}

/* systemd's DynamicUser makes /var/lib/measured a link; the files themselves must not be links. */
static void test_links(void **state)
{
    (void)state;
    char link_path[80], dir[64];
    (void)snprintf(dir, sizeof(dir), "%s", state_dir);
    (void)snprintf(link_path, sizeof(link_path), "%s-link", dir);
    assert_int_equal(symlink(dir, link_path), 0);
    (void)snprintf(state_dir, sizeof(state_dir), "%.60s", link_path);
    struct cache *cache = must_open();
    struct cache_entry e = sample();
    must_commit(cache, &e, NULL);
    cache_close(cache);
    assert_int_equal(unlink(link_path), 0);
    (void)snprintf(state_dir, sizeof(state_dir), "%s", dir);
    assert_int_equal(unlink(in_dir("measured.db")), 0);
    assert_int_equal(symlink("/dev/null", in_dir("measured.db")), 0);
    must_refuse(MS_ERR_IO, "measured.db");
}

static void test_world_writable(void **state)
{
    (void)state;
    assert_int_equal(chmod(state_dir, 0777), 0);
    must_refuse(MS_ERR_IO, "chmod");
}

static void test_key_file(void **state)
{
    (void)state;
    static const char key[] = "0123456789abcdef0123456789abcdefX";

    write_file("measured.hmac", key, 31, 0600);
    must_refuse(MS_ERR_HMAC, "bytes of a key");
    write_file("measured.hmac", key, 33, 0600);
    must_refuse(MS_ERR_HMAC, "bytes of a key");
    write_file("measured.hmac", key, 32, 0640);
    must_refuse(MS_ERR_IO, "chmod 600");
    write_file("measured.hmac", key, 32, 0600);
    cache_close(must_open());
    assert_int_equal(unlink(in_dir("measured.hmac")), 0);
    must_refuse(MS_ERR_HMAC, "is missing");
    assert_int_equal(access(in_dir("measured.hmac"), F_OK), -1); /* and not made anew */
    write_file("measured.hmac.new", key, 5, 0600); /* left by a crash before the first start */
    assert_int_equal(unlink(in_dir("measured.db")), 0);
    cache_close(must_open());
    assert_int_equal(access(in_dir("measured.hmac.new"), F_OK), -1);
}

static void test_second_opener(void **state)
{
    (void)state;
    struct cache *cache = must_open();
    must_refuse(MS_ERR_STORE, "another measured");
    cache_close(cache);
    cache_close(must_open());
}

static void test_settings(void **state)
{
    (void)state;
    cache_close(must_open());
    sqlite3 *db = NULL;
    sqlite3_stmt *stmt = NULL;
    assert_int_equal(sqlite3_open(in_dir("measured.db"), &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, "PRAGMA journal_mode", -1, &stmt, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    assert_string_equal((const char *)sqlite3_column_text(stmt, 0), "wal");
    (void)sqlite3_finalize(stmt);
    (void)sqlite3_close(db);
}

/* What version 1 did not have is taken away. */
#define AS_VERSION_1                                                         \
    "DROP TABLE log_check; DROP TABLE past_document; DROP TABLE past_set;"   \
    "DROP TABLE operation; DROP TABLE contract_log; DROP TABLE log_range;"   \
    "DROP TABLE log_entry; DROP TABLE log_tile; DROP TABLE log_checkpoint;"  \
    "DROP TABLE confirmed; DROP TABLE history; DROP TRIGGER entry_floor;"    \
    "ALTER TABLE entry DROP COLUMN floor_epoch;"                             \
    "CREATE TRIGGER entry_floor BEFORE UPDATE ON entry BEGIN SELECT 1; END;" \
    "PRAGMA user_version = 1;"

static void test_migration(void **state)
{
    (void)state;
    struct cache_entry e = sample();
    struct cache_history h = sample_history();
    struct ms_diag diag = {0};

    struct cache *cache = must_open(); /* from nothing */
    must_commit(cache, &e, NULL);
    cache_close(cache);
    raw(AS_VERSION_1);
    assert_int_equal(cache_open_readonly(in_dir("measured.db"), &cache, &diag), MS_ERR_STORE);
    assert_non_null(strstr(diag.text, "older schema 1"));
    cache = must_open();
    must_commit(cache, &e, &h);
    cache_close(cache);

    /* A step that fails changes nothing: the version stays, the next start tries again. */
    raw(AS_VERSION_1 "CREATE VIEW history AS SELECT 1");
    must_refuse(MS_ERR_STORE, "migration");
    raw("DROP VIEW history");
    cache = must_open();
    must_commit(cache, &e, &h);
    cache_close(cache);
}

static void test_newer_version(void **state)
{
    (void)state;
    struct cache *cache = NULL;
    struct ms_diag diag = {0};
    cache_close(must_open());
    raw("PRAGMA user_version = 99");
    must_refuse(MS_ERR_STORE, "newer measured (schema 99");
    assert_int_equal(cache_open_readonly(in_dir("measured.db"), &cache, &diag), MS_ERR_STORE);
    assert_non_null(strstr(diag.text, "newer measured"));
}

static void test_other_program(void **state)
{
    (void)state;
    static const char key[] = "0123456789abcdef0123456789abcdef";
    write_file("measured.hmac", key, 32, 0600);
    raw("CREATE TABLE t(x)");
    must_refuse(MS_ERR_STORE, "another program");
    raw("PRAGMA application_id = 5; PRAGMA user_version = 1");
    must_refuse(MS_ERR_STORE, "another program");
}

static void test_garbage(void **state)
{
    (void)state;
    char bytes[8192];
    memset(bytes, 'g', sizeof(bytes));
    write_file("measured.hmac", bytes, 32, 0600);
    write_file("measured.db", bytes, sizeof(bytes), 0600);
    must_refuse(MS_ERR_STORE, "not a SQLite database");
    struct stat st;
    assert_int_equal(stat(in_dir("measured.db"), &st), 0);
    assert_int_equal(st.st_size, (off_t)sizeof(bytes)); /* never deleted */
}

static void fill(void)
{
    struct cache *cache = must_open();
    for (int i = 0; i < 200; i++) {
        char text[32];
        struct cache_entry e = sample();
        (void)snprintf(text, sizeof(text), "key %d", i);
        e.key = hash_of(text);
        must_commit(cache, &e, NULL);
    }
    cache_close(cache);
}

static void test_truncated(void **state)
{
    (void)state;
    struct stat st;
    fill();
    assert_int_equal(stat(in_dir("measured.db"), &st), 0);
    assert_true(st.st_size > 65536);
    assert_int_equal(truncate(in_dir("measured.db"), 40960), 0);
    must_refuse(MS_ERR_STORE, "is damaged");
    assert_int_equal(truncate(in_dir("measured.db"), 1000), 0);
    must_refuse(MS_ERR_STORE, "");
}

static void test_corrupt_page(void **state)
{
    (void)state;
    uint8_t bytes[4096];
    memset(bytes, 0xa5, sizeof(bytes));
    fill();
    FILE *file = fopen(in_dir("measured.db"), "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, 12 * 4096, SEEK_SET), 0);
    assert_int_equal(fwrite(bytes, 1, sizeof(bytes), file), sizeof(bytes));
    (void)fclose(file);
    must_refuse(MS_ERR_STORE, "is damaged");
    struct cache *cache = NULL;
    assert_int_equal(cache_open_readonly(in_dir("measured.db"), &cache, NULL), MS_ERR_STORE);
    /* the process looked already, and does not look again */
    assert_int_equal(cache_open_second(in_dir("measured.db"), &cache, NULL), MS_OK);
    cache_close(cache);
}

static void test_disk_full(void **state)
{
    (void)state;
    const struct cache_options options = {.max_pages = 60};
    struct cache *cache = NULL;
    struct cache_entry e = sample();
    struct ms_arena arena = MS_ARENA_INIT(65536);
    struct ms_diag diag = {0};
    enum ms_err err = MS_OK;
    uint32_t done = 0;

    assert_int_equal(cache_open(state_dir, &options, &cache, NULL), MS_OK);
    e.has_sequence = false;
    while (err == MS_OK && done < 10000) {
        e.floor_sequence = done + 1;
        uint8_t bytes[4000];
        for (size_t i = 0; i < sizeof(bytes); i++)
            bytes[i] = (uint8_t)rand();
        struct ms_span blob = ms_span_of(bytes, sizeof(bytes));
        struct cache_change change = {1, &blob, &e, NULL};
        e.bundle = ms_sha256(blob);
        err = cache_commit(cache, &change, &diag);
        if (err == MS_OK)
            done++;
    }
    assert_int_equal(err, MS_ERR_STORE);
    assert_non_null(strstr(diag.text, "full"));
    assert_true(done > 5);
    bool found = false; /* still usable, and at the last change that was acknowledged */
    assert_int_equal(cache_entry_get(cache, &e.key, e.level, &arena, &e, &found, NULL), MS_OK);
    assert_true(found && e.floor_sequence == done);
    ms_arena_done(&arena);
    cache_close(cache);
    cache_close(must_open());
}

static void test_busy(void **state)
{
    (void)state;
    struct cache *cache = must_open();
    struct cache_entry e = sample();
    struct ms_diag diag = {0};
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(in_dir("measured.db"), &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(commit(cache, &e, NULL, &diag), MS_ERR_STORE);
    assert_non_null(strstr(diag.text, "locked"));
    assert_int_equal(sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    (void)sqlite3_close(db);
    must_commit(cache, &e, NULL);
    cache_close(cache);
}

static void test_readonly(void **state)
{
    (void)state;
    struct cache *writer = must_open(), *reader = NULL;
    struct cache_entry e = sample(), got;
    struct ms_arena arena = MS_ARENA_INIT(65536);
    struct ms_diag diag = {0};
    bool found = false;

    must_commit(writer, &e, NULL);
    assert_int_equal(cache_open_readonly(in_dir("measured.db"), &reader, &diag), MS_OK);
    assert_int_equal(cache_entry_get(reader, &e.key, e.level, &arena, &got, &found, NULL), MS_OK);
    assert_true(found);
    assert_int_equal(commit(reader, &e, NULL, &diag), MS_ERR_STORE);
    assert_non_null(strstr(diag.text, "reading only"));
    e.key = hash_of("later");
    must_commit(writer, &e, NULL); /* a reader holds nobody up, and sees what comes after */
    assert_int_equal(cache_entry_get(reader, &e.key, e.level, &arena, &got, &found, NULL), MS_OK);
    assert_true(found);
    cache_close(reader);
    cache_close(writer);
    assert_int_equal(chmod(state_dir, 0500),
                     0); /* without the daemon, in a folder not to write to */
    assert_int_equal(cache_open_readonly(in_dir("measured.db"), &reader, &diag), MS_OK);
    assert_int_equal(cache_entry_get(reader, &e.key, e.level, &arena, &got, &found, NULL), MS_OK);
    cache_close(reader);
    ms_arena_done(&arena);
    assert_int_equal(cache_open_readonly("/nonexistent/measured.db", &reader, NULL), MS_ERR_IO);
}

static void test_readonly_dir(void **state)
{
    (void)state;
    if (geteuid() == 0)
        skip(); /* modes do not bind root */
    assert_int_equal(chmod(state_dir, 0500), 0);
    must_refuse(MS_ERR_IO, "Permission denied");
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, fresh_dir, drop_dir)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_files),         TEST(test_parents),      TEST(test_world_writable),
        TEST(test_links),         TEST(test_key_file),     TEST(test_second_opener),
        TEST(test_settings),      TEST(test_migration),    TEST(test_newer_version),
        TEST(test_other_program), TEST(test_garbage),      TEST(test_truncated),
        TEST(test_corrupt_page),  TEST(test_disk_full),    TEST(test_busy),
        TEST(test_readonly),      TEST(test_readonly_dir),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
