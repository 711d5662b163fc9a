/* Databases as every schema so far was written (schema_N.sql): they are brought to the newest one,
 * and every row, history and bundle in them is still read and verifies. */
#define _GNU_SOURCE /* mkdtemp */

#include "cache/log.h"
#include "resolver/entry/bundle.h"
#include "tests/unit/cache/cache_test_util.h"

#define SCHEMAS 16 /* looked for */

static bool read_file(const char *path, struct ms_buf *out)
{
    FILE *file = fopen(path, "rb");
    char bytes[4096];
    size_t n;

    if (file == NULL)
        return false;
    while ((n = fread(bytes, 1, sizeof(bytes), file)) > 0)
        assert_int_equal(ms_buf_add(out, ms_span_of(bytes, n)), MS_OK);
    (void)fclose(file);
    return true;
}

/* False: there is no such schema. */
static bool restore(int schema)
{
    static const char key[] = "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk";
    struct ms_buf sql = MS_BUF_INIT(1 << 20);
    char path[64];

    (void)snprintf(path, sizeof(path), "tests/unit/cache/schema_%d.sql", schema);
    if (!read_file(path, &sql))
        return false;
    FILE *file = fopen(in_dir("measured.hmac"), "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(key, 1, 32, file), 32);
    (void)fclose(file);
    assert_int_equal(chmod(in_dir("measured.hmac"), 0600), 0);
    raw(ms_buf_str(&sql));
    ms_buf_done(&sql);
    return true;
}

struct seen {
    size_t n;
    struct ms_sha256 keys[8], sets[8], bundles[8];
};

static enum ms_err see_entry(void *arg, enum ms_err row, const struct cache_entry *e,
                             const struct ms_diag *why)
{
    struct seen *seen = arg;
    if (row != MS_OK || seen->n == MS_ARRAY_LEN(seen->keys))
        fail_msg("row %zu: %s", seen->n, why->text);
    assert_true(e->has_bundle && e->floor_sequence == 1);
    seen->keys[seen->n] = e->key;
    seen->sets[seen->n] = e->set_hash;
    seen->bundles[seen->n++] = e->bundle;
    return MS_OK;
}

static enum ms_err see_history(void *arg, enum ms_err row, const struct cache_history *h,
                               const struct ms_diag *why)
{
    struct seen *seen = arg;
    if (row != MS_OK)
        fail_msg("history %zu: %s", seen->n, why->text);
    assert_true(h->has_bundle);
    seen->n++;
    return MS_OK;
}

static void must_verify(struct cache *cache, const struct seen *seen, size_t i)
{
    struct ms_buf text = MS_BUF_INIT(BUNDLE_MAX_BYTES);
    struct source_result *result = NULL;
    struct ms_diag diag = {0};
    struct spec spec;
    bool found = false;

    spec_init(&spec);
    assert_int_equal(cache_blob_get(cache, &seen->bundles[i], &text, &found, &diag), MS_OK);
    assert_true(found);
    if (bundle_verify(ms_buf_span(&text), &spec, &result, &diag) != MS_OK)
        fail_msg("bundle %zu: %s", i, diag.text);
    assert_true(ms_sha256_eq(&spec.key, &seen->keys[i]));
    assert_true(ms_sha256_eq(&result->set_hash, &seen->sets[i]));
    source_result_free(result);
    spec_done(&spec);
    ms_buf_done(&text);
}

static int version(void)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *stmt = NULL;
    assert_int_equal(sqlite3_open(in_dir("measured.db"), &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, "PRAGMA user_version", -1, &stmt, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    int got = sqlite3_column_int(stmt, 0);
    (void)sqlite3_finalize(stmt);
    (void)sqlite3_close(db);
    return got;
}

static void check_schema(int schema)
{
    struct cache_entry e = sample();
    struct cache_history h = sample_history();

    for (int opened = 0; opened < 2; opened++) { /* migrated now, and before */
        struct seen entries = {0}, history = {0};
        struct cache *cache = must_open();
        assert_int_equal(cache_each_entry(cache, see_entry, &entries, NULL), MS_OK);
        assert_int_equal(entries.n, 2);
        for (size_t i = 0; i < entries.n; i++)
            must_verify(cache, &entries, i);
        assert_int_equal(cache_history_each(cache, NULL, see_history, &history, NULL), MS_OK);
        assert_int_equal(history.n, schema < 2 ? 0 : 2); /* version 1 had none */
        struct cache_log_report log;                     /* older ones get their entries */
        assert_int_equal(cache_log_audit(cache, NULL, 0, NULL, NULL, &log, NULL), MS_OK);
        assert_true(log.entries == history.n && log.faults == 0);
        cache_close(cache);
    }
    struct cache *cache = must_open();
    must_commit(cache, &e, &h);
    cache_close(cache);
}

static void test_schemas(void **state)
{
    int newest = 0;

    for (int schema = 1; schema <= SCHEMAS; schema++) {
        if (!restore(schema))
            break;
        newest = schema;
        check_schema(schema);
        assert_int_equal(drop_dir(state), 0);
        assert_int_equal(fresh_dir(state), 0);
    }
    cache_close(must_open());
    if (version() != newest)
        fail_msg("schema %d has no schema_%d.sql: what is written today must be read for ever",
                 version(), version());
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, fresh_dir, drop_dir)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_schemas)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
