/* Signed sets of the past: what is stored, told and audited of them. */
#define _GNU_SOURCE /* mkdtemp */

#include "cache/past_set_report.h"
#include "tests/unit/cache/past_set_util.h"

static char findings[4096];

static void on_finding(void *arg, const struct audit_finding *f)
{
    (void)arg;
    (void)snprintf(findings + strlen(findings), sizeof(findings) - strlen(findings), "%s: %s\n",
                   f->what, f->why);
}

/* What is found says this; "": nothing is found. */
static void must_audit(const char *want)
{
    const struct audit_sink sink = {.finding = on_finding};
    struct audit_counts counts = {0};
    struct ms_diag diag = {0};

    findings[0] = '\0';
    if (audit_db(in_dir("measured.db"), &sink, &counts, &diag) != MS_OK)
        fail_msg("audit: %s", diag.text);
    if ((want[0] == '\0') != (counts.found == 0) || strstr(findings, want) == NULL)
        fail_msg("wanted '%s', found '%s'", want, findings);
}

/* ---- storing ---- */

static enum ms_err count(void *arg, enum ms_err row, const struct cache_past_set *set,
                         const struct ms_diag *why)
{
    uint64_t *last = arg;

    (void)why;
    assert_int_equal(row, MS_OK);
    assert_true(*last == 0 || set->sequence < *last); /* falling */
    assert_string_equal(set->provider, "one.example");
    *last = set->sequence;
    return MS_OK;
}

static void test_stored(void **state)
{
    struct past past;
    uint64_t last = 0;

    (void)state;
    struct cache *cache = must_open();
    past_make(&past, cache, 5);
    assert_int_equal(past_add(&past, cache, 4, 1), MS_OK);
    assert_int_equal(past_add(&past, cache, 4, 1), MS_OK); /* again: nothing changes */
    assert_int_equal(cache_past_sets_each(cache, &past.key, count, &last, NULL), MS_OK);
    assert_int_equal(last, 1);
    past.bundle = hash_of("not stored");
    ms_buf_done(&past.sets[3].text);
    past.sets[3] = sets_make("", 4, &past.sets[0].hash, PAST_SIGNERS);
    assert_int_equal(past_add(&past, cache, 4, 4), MS_ERR_EVIDENCE);
    past_done(&past);
    cache_close(cache);
}

/* ---- telling ---- */

/* "1 2 gap3-3 4": what a history is told to have, '!' behind what rests on signatures alone. */
static const char *told(struct cache *cache, const struct past *past)
{
    static char text[1024];
    json_t *rows = NULL, *row;
    size_t i, n = 0;

    assert_int_equal(past_sets_report(cache, &past->key, &rows, NULL), MS_OK);
    text[0] = '\0';
    json_array_foreach(rows, i, row)
    {
        const char *proof = json_string_value(json_object_get(row, "proof"));
        long long sequence = json_integer_value(json_object_get(row, "sequence"));
        if (proof == NULL)
            n += (size_t)snprintf(text + n, sizeof(text) - n, "gap%lld-%lld ", sequence,
                                  (long long)json_integer_value(json_object_get(row, "to")));
        else
            n += (size_t)snprintf(text + n, sizeof(text) - n, "%lld%s%s ", sequence,
                                  strcmp(proof, "chain") == 0 ? "" : "!",
                                  json_is_true(json_object_get(row, "complete")) ? "" : "?");
    }
    json_decref(rows);
    return text;
}

static void must_tell(struct cache *cache, const struct past *past, const char *want)
{
    const char *got = told(cache, past);
    if (strcmp(got, want) != 0)
        fail_msg("told '%s', not '%s'", got, want);
}

static void test_told(void **state)
{
    struct past past;
    json_t *rows = NULL;

    (void)state;
    struct cache *cache = must_open();
    past_make(&past, cache, 9);
    assert_int_equal(past_sets_report(cache, &past.key, &rows, NULL), MS_OK);
    assert_null(rows);
    assert_int_equal(past_add(&past, cache, 8, 7), MS_OK);
    must_tell(cache, &past, "gap1-6 7? 8? ");
    assert_int_equal(past_add(&past, cache, 4, 3), MS_OK);
    must_tell(cache, &past, "gap1-2 3!? 4!? gap5-6 7? 8? ");
    assert_int_equal(past_add(&past, cache, 2, 1), MS_OK);
    must_tell(cache, &past, "1! 2! 3! 4! gap5-6 7? 8? ");
    assert_int_equal(past_add(&past, cache, 6, 5), MS_OK);
    must_tell(cache, &past, "1 2 3 4 5 6 7 8 ");
    /* one that was accepted since, and what lies between: told once */
    past_accept(&past, cache, 11);
    assert_int_equal(past_add(&past, cache, 10, 9), MS_OK);
    must_tell(cache, &past, "1 2 3 4 5 6 7 8 10 ");
    past_done(&past);
    cache_close(cache);
}

/* The set that the lowest of a later back-fill names was accepted here: no gap. */
static void test_told_across_seen(void **state)
{
    struct past past;

    (void)state;
    struct cache *cache = must_open();
    past_make(&past, cache, 5);
    assert_int_equal(past_add(&past, cache, 4, 1), MS_OK);
    past_accept(&past, cache, 7);
    assert_int_equal(past_add(&past, cache, 6, 6), MS_OK); /* 5 was not to be had */
    must_tell(cache, &past, "1 2 3 4 6? ");
    past_done(&past);
    cache_close(cache);
}

static void test_top_gap(void **state)
{
    struct past past;

    (void)state;
    struct cache *cache = must_open();
    past_make(&past, cache, 5);
    assert_int_equal(past_add(&past, cache, 2, 1), MS_OK);
    must_tell(cache, &past, "1! 2! gap3-4 ");
    past_done(&past);
    cache_close(cache);
}

static void must_be_at(struct cache *cache, const struct past *past, int64_t time_s,
                       long long sequence, int gap, int valid)
{
    json_t *set = NULL;

    assert_int_equal(past_sets_at(cache, &past->key, time_s, &set, NULL), MS_OK);
    if (sequence == 0) {
        assert_null(set);
        return;
    }
    assert_int_equal(json_integer_value(json_object_get(set, "sequence")), sequence);
    assert_int_equal(json_is_true(json_object_get(set, "gap")), gap);
    assert_int_equal(json_is_true(json_object_get(set, "valid")), valid);
    json_decref(set);
}

static void test_at(void **state)
{
    struct past past;

    (void)state;
    struct cache *cache = must_open();
    past_make(&past, cache, 9);
    assert_int_equal(past_add(&past, cache, 8, 6), MS_OK);
    assert_int_equal(past_add(&past, cache, 4, 2), MS_OK);
    must_be_at(cache, &past, past_issued_s(2) - 1, 0, 0, 0);
    must_be_at(cache, &past, past_issued_s(2), 2, 0, 1);
    must_be_at(cache, &past, past_issued_s(4) + 500, 4, 1, 1); /* 5 may have been signed by then */
    must_be_at(cache, &past, past_issued_s(8) + 999, 8, 0, 1);
    /* the accepted one had been signed by then as well */
    must_be_at(cache, &past, past_issued_s(9), 9, 0, 0);
    past_done(&past);
    cache_close(cache);
}

/* ---- auditing ---- */

static void test_audited(void **state)
{
    struct past past;

    (void)state;
    struct cache *cache = must_open();
    past_make(&past, cache, 9);
    assert_int_equal(past_add(&past, cache, 8, 1), MS_OK);
    cache_close(cache);
    must_audit("");
    past_done(&past);
}

/* Below a gap, and signed by the specifier's list or a later root: clean. */
static void test_audited_gap(void **state)
{
    struct past past;

    (void)state;
    struct cache *cache = must_open();
    past_make(&past, cache, 9);
    assert_int_equal(past_add(&past, cache, 8, 7), MS_OK);
    assert_int_equal(past_add(&past, cache, 4, 1), MS_OK);
    cache_close(cache);
    must_audit("");
    past_done(&past);
}

/* The codes are right: the writer wrote what its evidence does not say. */
static const struct {
    const char *name, *want;
} lies[] = {
    {"another hash", "its document is another set"},
    {"another sequence", "its document has another sequence"},
    {"another previous", "names another set before it"},
    {"another application", "of another application"},
    {"no document", "past set 3"},
    {"another key's bundle", "of another answer"},
    {"nobody names it, and one signed it", "no set names it, and too few signed it"},
};

static void test_lies(void **state)
{
    for (size_t i = 0; i < MS_ARRAY_LEN(lies); i++) {
        struct past past;
        struct cache *cache = must_open();
        past_make(&past, cache, 5);
        assert_int_equal(past_add(&past, cache, 4, i == 6 ? 4 : 1), MS_OK);
        struct sets_made lie =
            sets_make(i == 3 ? "other" : "", 3, &past.sets[0].hash, i == 6 ? "\xa1" : PAST_SIGNERS);
        if (i == 0)
            lie.hash = past.sets[4].hash;
        if (i == 1)
            lie.sequence = 2;
        if (i == 2)
            lie.previous = past.sets[1].hash;
        if (i == 4)
            lie.text.len--;
        ms_buf_done(&past.sets[2].text);
        past.sets[2] = lie;
        if (i == 5)
            past.key = hash_of("another key");
        assert_int_equal(past_add(&past, cache, 3, 3), MS_OK);
        cache_close(cache);
        must_audit(lies[i].want);
        past_done(&past);
        assert_int_equal(drop_dir(state), 0);
        assert_int_equal(fresh_dir(state), 0);
    }
}

static const struct {
    const char *name, *sql;
} tampered[] = {
    {"previous", "UPDATE past_set SET previous = zeroblob(32) WHERE rowid = 2"},
    {"sequence", "UPDATE past_set SET sequence = x'0000000000000009' WHERE rowid = 2"},
    {"host", "UPDATE past_set SET provider = 'x' WHERE rowid = 2"},
    {"document", "UPDATE past_set SET document = (SELECT document FROM past_set WHERE rowid = 3)"
                 " WHERE rowid = 2"},
    {"bytes", "UPDATE blob SET data = zeroblob(length(data)) WHERE hash ="
              " (SELECT document FROM past_set WHERE rowid = 2)"},
};

static void test_tampered(void **state)
{
    for (size_t i = 0; i < MS_ARRAY_LEN(tampered); i++) {
        struct past past;
        char sql[1024];
        struct cache *cache = must_open();
        past_make(&past, cache, 5);
        assert_int_equal(past_add(&past, cache, 4, 1), MS_OK);
        cache_close(cache);
        (void)snprintf(sql, sizeof(sql),
                       "DROP TRIGGER past_set_no_update; %s;"
                       "CREATE TRIGGER past_set_no_update BEFORE UPDATE ON past_set"
                       " BEGIN SELECT RAISE(ABORT, 'the past is append-only'); END;",
                       tampered[i].sql);
        raw(sql);
        must_audit("past-set");
        past_done(&past);
        assert_int_equal(drop_dir(state), 0);
        assert_int_equal(fresh_dir(state), 0);
    }
}

static void test_append_only(void **state)
{
    struct past past;

    (void)state;
    struct cache *cache = must_open();
    past_make(&past, cache, 3);
    assert_int_equal(past_add(&past, cache, 2, 1), MS_OK);
    cache_close(cache);
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(in_dir("measured.db"), &db), SQLITE_OK);
    assert_int_not_equal(sqlite3_exec(db, "DELETE FROM past_set", NULL, NULL, NULL), SQLITE_OK);
    assert_int_not_equal(sqlite3_exec(db, "UPDATE past_set SET provider = 'x'", NULL, NULL, NULL),
                         SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    past_done(&past);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, fresh_dir, drop_dir)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_stored),   T(test_told),        T(test_told_across_seen), T(test_top_gap),
        T(test_at),       T(test_audited),     T(test_audited_gap),      T(test_lies),
        T(test_tampered), T(test_append_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
