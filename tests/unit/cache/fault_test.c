/* Every call of the file system under the database fails once, and once for good: what was
 * acknowledged is there, what was not has changed nothing, and when the fault is gone the next
 * change works, without opening the database again. */
#define _GNU_SOURCE /* mkdtemp */

#include "tests/unit/cache/cache_test_util.h"
#include "tests/unit/cache/fault_vfs.h"

#include <time.h>

#define KEYS 6
#define BLOB_BYTES 5000 /* more than a page */

static const struct {
    const char *name;
    enum fault_op op;
    int code;
    bool rare; /* the work may do without it */
} faults[] = {
    {"ENOSPC at a write", FAULT_WRITE, SQLITE_FULL, false},
    {"EIO at a write", FAULT_WRITE, SQLITE_IOERR_WRITE, false},
    {"half a write", FAULT_HALF_WRITE, SQLITE_FULL, false},
    {"EROFS at a write", FAULT_WRITE, SQLITE_READONLY, false},
    {"EIO at a sync", FAULT_SYNC, SQLITE_IOERR_FSYNC, false},
    {"EIO at a truncation", FAULT_TRUNCATE, SQLITE_IOERR_TRUNCATE, true},
    {"EIO at a read", FAULT_READ, SQLITE_IOERR_READ, false},
    {"locked", FAULT_LOCK, SQLITE_BUSY, false},
    {"EIO at a lock", FAULT_LOCK, SQLITE_IOERR_LOCK, false},
    {"no memory to map", FAULT_SHM, SQLITE_IOERR_SHMMAP, true},
    {"no file descriptor", FAULT_OPEN, SQLITE_CANTOPEN, true},
};

/* What must be there. */
struct model {
    bool there[KEYS];
    uint64_t sequence[KEYS];
    int64_t checked_s[KEYS];
    uint64_t n_history[KEYS];
};

static void fill_blob(uint32_t key, uint64_t sequence, uint8_t out[BLOB_BYTES])
{
    uint32_t x = (uint32_t)sequence * 2654435761u + key;
    for (size_t i = 0; i < BLOB_BYTES; i++) {
        x = x * 1664525u + 1013904223u;
        out[i] = (uint8_t)(x >> 24);
    }
}

static struct cache_entry entry_at(uint32_t key, uint64_t sequence)
{
    char text[32];
    uint8_t bytes[BLOB_BYTES];
    struct cache_entry e = sample();

    (void)snprintf(text, sizeof(text), "key %u", key);
    e.key = hash_of(text);
    e.sequence = e.floor_sequence = sequence;
    fill_blob(key, sequence, bytes);
    e.bundle = ms_sha256(ms_span_of(bytes, sizeof(bytes)));
    return e;
}

static enum ms_err put(struct cache *cache, uint32_t key, uint64_t sequence)
{
    uint8_t bytes[BLOB_BYTES];
    struct cache_entry e = entry_at(key, sequence);
    struct cache_history h = sample_history();
    struct ms_span blob = ms_span_of(bytes, sizeof(bytes));
    struct cache_change change = {1, &blob, &e, &h};

    fill_blob(key, sequence, bytes);
    h.key = e.key;
    h.sequence = sequence;
    h.bundle = e.bundle;
    return cache_commit(cache, &change, NULL);
}

static void note_put(struct model *m, uint32_t key, uint64_t sequence)
{
    m->there[key] = true;
    m->sequence[key] = sequence;
    m->checked_s[key] = sample().checked.wall_s;
    m->n_history[key]++;
}

static void put_alone(struct cache *cache, struct model *m, uint32_t key, uint64_t sequence)
{
    if (put(cache, key, sequence) == MS_OK)
        note_put(m, key, sequence);
}

/* Three good changes and one that is refused, in one transaction. */
static void put_group(struct cache *cache, struct model *m, uint64_t sequence)
{
    struct model with = *m;

    if (cache_group_begin(cache, NULL) != MS_OK)
        return;
    for (uint32_t key = 1; key < 4; key++) {
        if (put(cache, key, sequence) == MS_OK)
            note_put(&with, key, sequence);
        if (key == 2)
            assert_int_not_equal(put(cache, 0, 1), MS_OK); /* below its floor */
    }
    if (cache_group_end(cache, NULL) == MS_OK)
        *m = with;
}

static void touch(struct cache *cache, struct model *m, uint32_t key, int64_t checked_s)
{
    struct cache_entry e = entry_at(key, m->sequence[key]);
    struct cache_freshness fresh = {.bundle = e.bundle,
                                    .checked = {checked_s, 5, BOOT_ID},
                                    .evidence_time_s = 5,
                                    .life = e.life};

    if (cache_touch(cache, &e.key, e.level, &fresh, NULL) == MS_OK)
        m->checked_s[key] = checked_s;
}

static void work(struct cache *cache, struct model *m, uint64_t sequence)
{
    put_alone(cache, m, 0, sequence);
    put_group(cache, m, sequence);
    touch(cache, m, 0, (int64_t)sequence);
    put_alone(cache, m, 4, sequence);
}

static enum ms_err count_row(void *arg, enum ms_err row, const struct cache_history *h,
                             const struct ms_diag *why)
{
    (void)h;
    (void)why;
    assert_int_equal(row, MS_OK);
    ++*(uint64_t *)arg;
    return MS_OK;
}

static void must_match(struct cache *cache, const struct model *m, const char *what, int nth)
{
    for (uint32_t key = 0; key < KEYS; key++) {
        struct ms_arena arena = MS_ARENA_INIT(65536);
        struct ms_buf out = MS_BUF_INIT(BLOB_BYTES);
        struct cache_entry want = entry_at(key, m->sequence[key]), got = {0};
        bool found = false;
        struct ms_diag diag = {0};
        enum ms_err err =
            cache_entry_get(cache, &want.key, want.level, &arena, &got, &found, &diag);
        if (err != MS_OK || found != m->there[key] ||
            (found &&
             (got.sequence != m->sequence[key] || !ms_sha256_eq(&got.bundle, &want.bundle) ||
              got.checked.wall_s != m->checked_s[key])))
            fail_msg("%s, call %d, key %u: %s, %s, sequence %llu instead of %llu", what, nth, key,
                     diag.text, found ? "there" : "not there", (unsigned long long)got.sequence,
                     (unsigned long long)m->sequence[key]);
        if (found && (cache_blob_get(cache, &want.bundle, &out, &found, &diag) != MS_OK || !found))
            fail_msg("%s, call %d, key %u: evidence: %s", what, nth, key, diag.text);
        ms_buf_done(&out);
        ms_arena_done(&arena);
    }
    /* the history of one key at a time: it is long */
    uint32_t key = (uint32_t)nth % KEYS;
    struct cache_entry e = entry_at(key, 1);
    uint64_t n = 0;
    assert_int_equal(cache_history_each(cache, &e.key, count_row, &n, NULL), MS_OK);
    if (n != m->n_history[key])
        fail_msg("%s, call %d: %llu rows of history instead of %llu", what, nth,
                 (unsigned long long)n, (unsigned long long)m->n_history[key]);
}

/* Changes that work, with no fault. */
static void must_work(struct cache *cache, struct model *m, uint64_t sequence, const char *what,
                      int nth)
{
    struct model want = *m;

    for (uint32_t key = 0; key < 5; key++)
        note_put(&want, key, sequence);
    want.checked_s[0] = (int64_t)sequence;
    work(cache, m, sequence);
    if (memcmp(&want, m, sizeof(want)) != 0)
        fail_msg("%s, call %d: changes fail although the fault is gone", what, nth);
    must_match(cache, m, what, nth);
}

/* Work with a fault at the n-th call. false: there was no such call any more. */
static bool fail_nth(struct cache *cache, struct model *m, size_t i, int nth, bool lasting)
{
    uint64_t sequence = m->sequence[4]; /* the last one that is sure to be used up */

    fault_set(faults[i].op, faults[i].code, nth, lasting);
    work(cache, m, sequence + 1);
    fault_clear();
    must_match(cache, m, faults[i].name, nth);
    must_work(cache, m, sequence + 2, faults[i].name, nth);
    return fault.hits > 0;
}

/* Until a round has fewer calls than that. */
static int fail_each(size_t i, bool lasting, int step)
{
    struct model m;
    struct cache *cache = must_open();
    bool cold =
        faults[i].op == FAULT_READ || faults[i].op == FAULT_SHM || faults[i].op == FAULT_OPEN;
    bool hit = true;
    int n = 0;

    memset(&m, 0, sizeof(m));
    must_work(cache, &m, 10, faults[i].name, 0);
    for (int nth = 1; hit; nth += step) {
        if (nth % 16 == 0) { /* quick_check */
            cache_close(cache);
            cache = must_open();
            must_match(cache, &m, faults[i].name, nth);
        }
        if (cold) /* somebody else wrote: what SQLite holds in memory is void */
            raw("PRAGMA application_id = 1836282468"); /* as it is */
        hit = fail_nth(cache, &m, i, nth, lasting);
        n += hit;
    }
    cache_close(cache);
    return n;
}

static void test_every_call(void **state)
{
    const bool soak = getenv("MS_SOAK") != NULL;

    for (size_t i = 0; i < MS_ARRAY_LEN(faults); i++) {
        /* of faults that stay; each change waits a second for a lock */
        int step = faults[i].code == SQLITE_BUSY ? 100 : soak ? 1 : 9;
        int once = fail_each(i, false, soak || i < 2 || faults[i].rare ? 1 : 3);
        assert_int_equal(drop_dir(state), 0);
        assert_int_equal(fresh_dir(state), 0);
        int lasting = fail_each(i, true, step);
        assert_int_equal(drop_dir(state), 0);
        assert_int_equal(fresh_dir(state), 0);
        print_message("%s: %d calls\n", faults[i].name, once);
        assert_true(faults[i].rare || (once > 0 && lasting > 0));
    }
}

/* While it is opened: an error that says so, or it is open; and afterwards everything is there. */
static void test_open(void **state)
{
    for (size_t i = 0; i < MS_ARRAY_LEN(faults); i++) {
        bool hit = true;
        for (int nth = 1; hit; nth++) {
            struct model m;
            struct ms_diag diag = {0};
            memset(&m, 0, sizeof(m));
            struct cache *cache = must_open();
            must_work(cache, &m, 10, faults[i].name, 0);
            cache_close(cache);
            fault_set(faults[i].op, faults[i].code, nth, 0);
            enum ms_err err = cache_open(state_dir, NULL, &cache, &diag);
            hit = fault.hits > 0;
            fault_clear();
            if (err != MS_OK) {
                assert_true(diag.text[0] != '\0');
                cache = must_open();
            }
            must_match(cache, &m, faults[i].name, nth);
            cache_close(cache);
            assert_int_equal(drop_dir(state), 0);
            assert_int_equal(fresh_dir(state), 0);
        }
    }
}

/* So much that SQLite writes before the commit, and fails in the middle of a group: what came
 * before is gone with it, what comes after must not become durable by itself. */
static void test_broken_group(void **state)
{
    (void)state;
    const size_t len = (size_t)6 << 20;
    uint8_t *bytes = malloc(len);
    struct cache_entry e = entry_at(5, 1);
    struct model m;
    struct cache *cache = must_open();

    assert_non_null(bytes);
    memset(&m, 0, sizeof(m));
    must_work(cache, &m, 10, "group", 0);
    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)rand(); /* does not become smaller by compression */
    struct ms_span blob = ms_span_of(bytes, len);
    struct cache_change big = {1, &blob, &e, NULL};
    e.bundle = ms_sha256(blob);
    assert_int_equal(cache_group_begin(cache, NULL), MS_OK);
    assert_int_equal(put(cache, 1, 20), MS_OK);
    fault_set(FAULT_WRITE, SQLITE_IOERR_WRITE, 1, 0);
    assert_int_equal(cache_commit(cache, &big, NULL), MS_ERR_STORE);
    assert_true(fault.hits == 1);
    fault_clear();
    assert_int_equal(put(cache, 2, 20), MS_ERR_STORE);
    assert_int_equal(cache_group_end(cache, NULL), MS_ERR_STORE);
    must_match(cache, &m, "group", 0);
    must_work(cache, &m, 30, "group", 0);
    cache_close(cache);
    free(bytes);
}

/* Faults that come and go at random, one after the other; the long form takes its time. */
static void test_random(void **state)
{
    (void)state;
    unsigned seed = (unsigned)time(NULL);
    uint64_t sequence = 10;
    struct model m;
    const int rounds = getenv("MS_SOAK") != NULL ? 20000 : 100;
    struct cache *cache = must_open();

    print_message("seed %u\n", seed);
    srand(seed);
    memset(&m, 0, sizeof(m));
    must_work(cache, &m, sequence, "random", 0);
    for (int round = 1; round <= rounds; round++) {
        size_t i = (size_t)rand() % MS_ARRAY_LEN(faults);
        /* a database that is locked for good is waited for: not here */
        bool lasting = rand() % 4 == 0 && faults[i].code != SQLITE_BUSY;
        fault_set(faults[i].op, faults[i].code, 1 + rand() % 40, lasting);
        work(cache, &m, ++sequence);
        fault_clear();
        must_match(cache, &m, faults[i].name, round);
        if (round % 50 == 0) {
            cache_close(cache);
            cache = must_open();
        }
    }
    must_work(cache, &m, ++sequence, "random", rounds);
    cache_close(cache);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, fresh_dir, drop_dir)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_every_call), TEST(test_open),
                                       TEST(test_broken_group), TEST(test_random)};
    fault_install();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
