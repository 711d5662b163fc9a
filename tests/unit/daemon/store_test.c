/* The store thread: changes that wait share a transaction, one that is refused takes no other with
 * it, a database that is locked fails them all in a bounded time, and the next change works. */
#define _GNU_SOURCE /* mkdtemp */
#include "resolver/daemon/store.h"

#include "resolver/daemon/metrics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#define CHANGES 200

static struct {
    char dir[64], db[96];
    struct loop *loop;
    struct store *store;
    sqlite3 *other; /* somebody's tool */
    size_t n_stored, n_failed;
    enum ms_err err[CHANGES + 8];
    size_t n_loaded, n_found;
    int64_t loaded_ms, stored_ms; /* when the last of them came */
} w;

static void on_stored(void *arg, struct core_change *change, enum ms_err err,
                      const struct ms_diag *diag)
{
    (void)arg;
    (void)diag;
    w.err[change->sequence] = err;
    w.n_stored++;
    w.n_failed += err != MS_OK;
    w.stored_ms = clocks_now().boot_ms;
    ms_buf_done(&change->bundle);
    free(change->canonical);
    free(change);
}

static void on_loaded(void *arg, struct core_loaded *loaded)
{
    (void)arg;
    w.n_loaded++;
    w.n_found += loaded->found;
    w.loaded_ms = clocks_now().boot_ms;
    source_result_free(loaded->result);
}

static struct answer_id id_at(unsigned i)
{
    char text[32];
    (void)snprintf(text, sizeof(text), "key %u", i);
    return (struct answer_id){.key = ms_sha256(ms_span_str(text))};
}

/* A change of entry i; `floor` is what a later one must not fall below. */
static void change(unsigned i, uint64_t floor)
{
    struct core_change *c = calloc(1, sizeof(*c));
    char text[32];

    assert_non_null(c);
    (void)snprintf(text, sizeof(text), "evidence %u", i);
    c->change = CORE_CHANGE_SET;
    c->id = id_at(i);
    c->canonical = strdup("url:https://a.example/");
    c->kind = SPEC_LOCATION;
    c->now = clocks_now();
    c->entry = (struct entry){.good = true, .has_sequence = true, .floor_sequence = floor};
    c->bundle.max = 64;
    assert_int_equal(ms_buf_add_str(&c->bundle, text), MS_OK);
    c->bundle_hash = c->evidence = ms_sha256(ms_buf_span(&c->bundle));
    c->has_sequence = true;
    c->sequence = i; /* where the outcome is noted */
    store_commit(w.store, c);
}

static void run_until(const size_t *counter, size_t n)
{
    int64_t end_ms = clocks_now().boot_ms + 20000;
    while (*counter < n && clocks_now().boot_ms < end_ms) {
        loop_run_posted(w.loop);
        (void)nanosleep(&(struct timespec){0, 1000000}, NULL);
    }
    assert_int_equal(*counter, n);
}

static void lock_database(void)
{
    assert_int_equal(sqlite3_exec(w.other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
}

static void unlock_database(void)
{
    assert_int_equal(sqlite3_exec(w.other, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
}

static unsigned long long transactions(void)
{
    return atomic_load(&metrics.store_transactions);
}

static int setup(void **state)
{
    (void)state;
    struct cache *cache = NULL;
    struct store_events events = {.stored = on_stored, .loaded = on_loaded};

    memset(&w, 0, sizeof(w));
    (void)snprintf(w.dir, sizeof(w.dir), "/tmp/measured-store-XXXXXX");
    assert_non_null(mkdtemp(w.dir));
    (void)snprintf(w.db, sizeof(w.db), "%s/" CACHE_DB_NAME, w.dir);
    assert_int_equal(cache_open(w.dir, NULL, &cache, NULL), MS_OK);
    w.loop = loop_new();
    assert_non_null(w.loop);
    assert_int_equal(store_new(w.loop, cache, &events, &w.store), MS_OK);
    assert_int_equal(sqlite3_open(w.db, &w.other), SQLITE_OK);
    return 0;
}

static int teardown(void **state)
{
    static const char *const names[] = {CACHE_DB_NAME,  CACHE_DB_NAME "-wal", CACHE_DB_NAME "-shm",
                                        CACHE_KEY_NAME, CACHE_LOCK_NAME,      CACHE_FLOOR_NAME};
    (void)state;
    (void)sqlite3_close(w.other);
    store_free(w.store);
    loop_run_posted(w.loop);
    loop_free(w.loop);
    for (size_t i = 0; i < MS_ARRAY_LEN(names); i++) {
        char path[128];
        (void)snprintf(path, sizeof(path), "%s/%s", w.dir, names[i]);
        (void)unlink(path);
    }
    return rmdir(w.dir);
}

/* The store is held up by the first, so that the others wait together. */
static void test_group(void **state)
{
    (void)state;
    unsigned long long before = transactions();

    lock_database();
    for (unsigned i = 0; i < CHANGES; i++)
        change(i, 1);
    (void)nanosleep(&(struct timespec){0, 200000000}, NULL);
    assert_int_equal(w.n_stored, 0);
    unlock_database();
    run_until(&w.n_stored, CHANGES);
    assert_int_equal(w.n_failed, 0);
    assert_in_range(transactions() - before, 1, 8);
    for (unsigned i = 0; i < CHANGES; i++) {
        struct answer_id id = id_at(i);
        store_load(w.store, &id);
    }
    run_until(&w.n_loaded, CHANGES);
    assert_int_equal(w.n_found, CHANGES);
}

static void test_one_bad(void **state)
{
    (void)state;
    unsigned long long before = transactions();

    change(3, 7);
    run_until(&w.n_stored, 1);
    lock_database();
    for (unsigned i = 0; i < 50; i++)
        change(i, i == 3 ? 6 : 1); /* its sequence is below the floor */
    (void)nanosleep(&(struct timespec){0, 100000000}, NULL);
    unlock_database();
    run_until(&w.n_stored, 51);
    assert_int_equal(w.n_failed, 1);
    assert_int_equal(w.err[3], MS_ERR_ROLLBACK);
    assert_in_range(transactions() - before, 2, 4);
}

/* Nobody waits for each of them, questions not at all, and then it works again. */
static void test_locked(void **state)
{
    (void)state;
    struct answer_id id = id_at(100);

    change(100, 1);
    run_until(&w.n_stored, 1);
    lock_database();
    int64_t start_ms = clocks_now().boot_ms;
    change(0, 1);
    (void)nanosleep(&(struct timespec){0, 50000000}, NULL);
    for (unsigned i = 1; i < 40; i++)
        change(i, 1);
    store_load(w.store, &id);
    run_until(&w.n_loaded, 1);
    assert_int_equal(w.n_found, 1);
    run_until(&w.n_stored, 41);
    assert_int_equal(w.n_failed, 40);
    assert_true(w.loaded_ms < w.stored_ms); /* it did not wait for what came before it */
    assert_in_range(w.stored_ms - start_ms, 500, 8000);
    unlock_database();
    change(0, 1);
    run_until(&w.n_stored, 42);
    assert_int_equal(w.err[0], MS_OK);
}

/* The change of an entry, then a question about it: in that order. */
static void test_order(void **state)
{
    (void)state;
    struct answer_id id = id_at(1);

    lock_database();
    change(0, 1);
    change(1, 1);
    store_load(w.store, &id);
    (void)nanosleep(&(struct timespec){0, 100000000}, NULL);
    unlock_database();
    run_until(&w.n_loaded, 1);
    assert_int_equal(w.n_found, 1);
}

/* What was handed in is stored, and told although the store is gone. */
static void test_end(void **state)
{
    (void)state;
    for (unsigned i = 0; i < CHANGES; i++)
        change(i, 1);
    store_free(w.store);
    w.store = NULL;
    loop_run_posted(w.loop);
    assert_int_equal(w.n_stored, CHANGES);
    assert_int_equal(w.n_failed, 0);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_group), TEST(test_one_bad), TEST(test_locked),
                                       TEST(test_order), TEST(test_end)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
