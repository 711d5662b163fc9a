/* Which keys there is a history of, the last changed first; a walk looks at a bounded number of
 * rows, and goes on where it stopped. */
#define _GNU_SOURCE
#include "tests/unit/cache/cache_test_util.h"

struct seen {
    size_t n, n_bad;
    uint64_t rows[8];
    struct ms_sha256 keys[8];
};

static enum ms_err see(void *arg, enum ms_err row, const struct cache_history *h,
                       const struct ms_diag *why)
{
    struct seen *seen = arg;
    (void)why;

    assert_true(seen->n < MS_ARRAY_LEN(seen->rows));
    seen->n_bad += row != MS_OK;
    seen->keys[seen->n] = h->key;
    seen->rows[seen->n++] = h->n;
    return MS_OK;
}

static void change_of(struct cache *cache, const char *name)
{
    struct cache_entry e = sample();
    struct cache_history h = sample_history();

    e.key = h.key = hash_of(name);
    assert_int_equal(commit(cache, &e, &h, NULL), MS_OK);
}

static struct seen walk(struct cache *cache, uint64_t before, size_t max, uint64_t want_below)
{
    struct seen seen = {0};
    uint64_t below = 99;

    assert_int_equal(cache_history_newest(cache, before, max, see, &seen, &below, NULL), MS_OK);
    assert_int_equal(below, want_below);
    return seen;
}

static void test_order(void **state)
{
    static const char *const changes[] = {"a", "b", "a", "c", "b", "b"}; /* rows 1 to 6 */
    struct cache *cache = must_open();
    struct seen seen;
    (void)state;

    seen = walk(cache, 0, 8, 0);
    assert_int_equal(seen.n, 0);
    for (size_t i = 0; i < MS_ARRAY_LEN(changes); i++)
        change_of(cache, changes[i]);
    seen = walk(cache, 0, 8, 0);
    assert_int_equal(seen.n, 3);
    assert_int_equal(seen.n_bad, 0);
    assert_int_equal(seen.rows[0], 6);
    assert_int_equal(seen.rows[1], 4);
    assert_int_equal(seen.rows[2], 3);
    struct ms_sha256 b = hash_of("b"), a = hash_of("a");
    assert_true(ms_sha256_eq(&seen.keys[0], &b));
    assert_true(ms_sha256_eq(&seen.keys[2], &a));

    /* page by page; an older row of a key that changed later is none of its own */
    assert_int_equal(walk(cache, 0, 2, 4).n, 2);
    seen = walk(cache, 4, 2, 0);
    assert_int_equal(seen.n, 1);
    assert_int_equal(seen.rows[0], 3);
    assert_int_equal(walk(cache, 3, 2, 0).n, 0);
    assert_int_equal(walk(cache, UINT64_MAX, 8, 0).n, 3);
    cache_close(cache);
}

/* A row far behind the last one, put there by somebody else. */
static void test_bounds(void **state)
{
    struct cache *cache = must_open();
    struct seen seen;
    (void)state;

    change_of(cache, "a");
    cache_close(cache);
    raw("INSERT INTO history(n, key, level, time_s, status, kind, set_hash, prev, hmac)"
        " VALUES(60000, zeroblob(32), 1, 1, 1, 'x', zeroblob(32), zeroblob(32), zeroblob(32))");
    cache = must_open();
    change_of(cache, "b");
    seen = walk(cache, 0, 8, 60002 - CACHE_WALK_ROWS);
    assert_int_equal(seen.n, 2);
    assert_int_equal(seen.rows[0], 60001);
    assert_int_equal(seen.rows[1], 60000);
    assert_int_equal(seen.n_bad, 1); /* told, not hidden */
    seen = walk(cache, 60002 - CACHE_WALK_ROWS, 8, 0);
    assert_int_equal(seen.n, 1);
    assert_int_equal(seen.rows[0], 1);
    cache_close(cache);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, fresh_dir, drop_dir)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_order),
        TEST(test_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
