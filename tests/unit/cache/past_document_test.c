/* Documents of the past: written once with their bytes, read back as they were, never changed; what
 * an audit says of one that was, or that nothing approved, stands in audit_test.c. */
#define _GNU_SOURCE /* mkdtemp */

#include "tests/unit/cache/cache_test_util.h"

struct seen {
    size_t n, bad;
    char providers[64];
};

static enum ms_err see(void *arg, enum ms_err row, const struct cache_past_document *d,
                       const struct ms_diag *why)
{
    struct seen *seen = arg;

    if (row != MS_OK) {
        assert_int_equal(row, MS_ERR_HMAC);
        assert_true(why->text[0] != '\0');
        struct ms_sha256 want = hash_of("one");
        assert_true(ms_sha256_eq(&d->hash, &want));
        seen->bad++;
        return MS_OK;
    }
    assert_int_equal(d->recorded_s, 1700000000);
    assert_int_equal(d->bytes.len, 0);
    (void)strncat(seen->providers, d->provider, 16);
    seen->n++;
    return MS_OK;
}

static struct seen look(struct cache *cache)
{
    struct seen seen = {0};
    assert_int_equal(cache_past_documents_each(cache, see, &seen, NULL), MS_OK);
    return seen;
}

static struct cache_past_document document(const char *text, const char *provider)
{
    return (struct cache_past_document){
        .bytes = ms_span_str(text), .provider = provider, .recorded_s = 1700000000};
}

static bool known(struct cache *cache, const char *text)
{
    struct ms_sha256 hash = hash_of(text);
    bool is = !strcmp(text, "never");
    assert_int_equal(cache_document_known(cache, &hash, &is, NULL), MS_OK);
    return is;
}

/* Once each, by whoever gave it first; with its bytes, and for readers too. */
static void test_round(void **state)
{
    const struct cache_past_document first[] = {document("one", "a"), document("two", "b")};
    const struct cache_past_document again[] = {document("two", "c"), document("one", "c"),
                                                document("", "b")};
    struct ms_sha256 hash = hash_of("two");
    struct ms_buf out = MS_BUF_INIT(64);
    bool found = false;
    (void)state;
    struct cache *cache = must_open();
    assert_int_equal(cache_past_documents_add(cache, first, 2, NULL), MS_OK);
    assert_int_equal(cache_past_documents_add(cache, again, 3, NULL), MS_OK);
    cache_close(cache);
    cache = NULL;
    assert_int_equal(cache_open_readonly(in_dir("measured.db"), &cache, NULL), MS_OK);
    struct seen seen = look(cache);
    assert_int_equal(seen.n, 3);
    assert_null(strchr(seen.providers, 'c'));
    assert_true(known(cache, "one") && known(cache, "two") && known(cache, ""));
    assert_false(known(cache, "never"));
    assert_int_equal(cache_blob_get(cache, &hash, &out, &found, NULL), MS_OK);
    assert_true(found && ms_span_eq_str(ms_buf_span(&out), "two"));
    ms_buf_done(&out);
    assert_int_equal(cache_past_documents_add(cache, first, 1, NULL), MS_ERR_STORE);
    cache_close(cache);
}

/* One that is refused takes those beside it along, bytes and all. */
static void test_refused(void **state)
{
    struct cache_past_document both[] = {document("one", "a"), document("two", "")};
    (void)state;
    struct cache *cache = must_open();
    assert_int_equal(cache_past_documents_add(cache, both, 2, NULL), MS_ERR_ARGUMENT);
    both[1] = document("two", "b");
    both[1].recorded_s = INT64_MAX;
    assert_int_equal(cache_past_documents_add(cache, both, 2, NULL), MS_ERR_ARGUMENT);
    assert_int_equal(look(cache).n, 0);
    assert_false(known(cache, "one"));
    cache_close(cache);
}

static void must_abort(const char *sql)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(in_dir("measured.db"), &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK)
        fail_msg("done: %s", sql);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void test_append_only(void **state)
{
    const struct cache_past_document both[] = {document("one", "a"), document("two", "b")};
    (void)state;
    struct cache *cache = must_open();
    assert_int_equal(cache_past_documents_add(cache, both, 2, NULL), MS_OK);
    cache_close(cache);
    must_abort("UPDATE past_document SET provider = 'x'");
    must_abort("DELETE FROM past_document");
    must_abort("INSERT OR REPLACE INTO past_document SELECT hash, 'x', 1, hmac FROM past_document");
    /* with the trigger gone, the code over the row tells */
    char hex[65], sql[256];
    struct ms_sha256 hash = hash_of("one");
    ms_sha256_hex(&hash, hex);
    (void)snprintf(sql, sizeof(sql),
                   "DROP TRIGGER past_document_no_update;"
                   "UPDATE past_document SET provider = 'x' WHERE hash = x'%s'",
                   hex);
    raw(sql);
    cache = must_open();
    struct seen seen = look(cache);
    assert_int_equal(seen.n, 1);
    assert_int_equal(seen.bad, 1);
    cache_close(cache);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, fresh_dir, drop_dir)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_round), TEST(test_refused),
                                       TEST(test_append_only)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
