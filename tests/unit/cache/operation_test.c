/* Operations of registries and logs of other contracts: written once, read back as they were,
 * refused under another's number, and never changed. */
#define _GNU_SOURCE /* mkdtemp */

#include "tests/unit/cache/cache_test_util.h"

static uint8_t bytes[CACHE_OPERATION_DATA_MAX_BYTES + 1];

/* Every member set, no two alike. */
static struct cache_operation operation(uint64_t sequence)
{
    struct cache_operation o = {
        .key = hash_of("key"),
        .event = {.sequence = sequence,
                  .kind = 200,
                  .id = 0xfffffffffffffff3u,
                  .block = 1000 + sequence,
                  .prev_block = 900 + sequence,
                  .timestamp_s = 1700000000 + sequence,
                  .data = ms_span_of(bytes, sequence)},
        .bundle = hash_of("evidence"),
        .provider = "first",
        .recorded_s = 1700000009,
    };
    memset(o.event.history_hash.b, (int)sequence, ETH_HASH_BYTES);
    memset(o.before.b, (int)sequence - 1, ETH_HASH_BYTES);
    return o;
}

struct seen {
    size_t n, bad;
    uint64_t sequence[16], bad_sequence;
};

static enum ms_err see(void *arg, enum ms_err row, const struct cache_operation *o,
                       const struct ms_diag *why)
{
    struct seen *seen = arg;

    if (row != MS_OK) {
        assert_int_equal(row, MS_ERR_HMAC);
        assert_true(why->text[0] != '\0');
        seen->bad_sequence = o->event.sequence;
        seen->bad++;
        return MS_OK;
    }
    struct cache_operation want = operation(o->event.sequence);
    assert_true(ms_sha256_eq(&o->bundle, &want.bundle));
    assert_true(eth_hash_eq(&o->event.history_hash, &want.event.history_hash));
    assert_true(eth_hash_eq(&o->before, &want.before));
    assert_int_equal(o->event.kind, want.event.kind);
    assert_true(o->event.id == want.event.id && o->event.block == want.event.block &&
                o->event.prev_block == want.event.prev_block &&
                o->event.timestamp_s == want.event.timestamp_s);
    assert_int_equal(o->event.data.len, want.event.data.len);
    if (o->event.data.len > 0)
        assert_memory_equal(o->event.data.ptr, want.event.data.ptr, want.event.data.len);
    assert_string_equal(o->provider, "first");
    assert_int_equal(o->recorded_s, want.recorded_s);
    seen->sequence[seen->n++] = o->event.sequence;
    return MS_OK;
}

static struct seen look(struct cache *cache)
{
    struct ms_sha256 key = hash_of("key");
    struct seen seen = {0}, all = {0};

    assert_int_equal(cache_operations_each(cache, &key, see, &seen, NULL), MS_OK);
    assert_int_equal(cache_operations_each(cache, NULL, see, &all, NULL), MS_OK);
    assert_int_equal(all.n, seen.n);
    return seen;
}

static struct cache *with_evidence(void)
{
    struct cache_entry e = sample();
    struct cache *cache = must_open();
    must_commit(cache, &e, NULL);
    return cache;
}

static void add(struct cache *cache, const struct cache_operation *o, size_t n)
{
    struct ms_diag diag = {0};
    if (cache_operations_add(cache, o, n, &diag) != MS_OK)
        fail_msg("%s", diag.text);
}

/* Written from the newest back, in parts, and again: read in order, once each. */
static void test_round(void **state)
{
    struct cache_operation o[] = {operation(9), operation(8), operation(7)};
    struct cache_operation more[] = {operation(8), operation(7), operation(2), operation(1)};
    (void)state;
    struct cache *cache = with_evidence();
    add(cache, o, 3);
    add(cache, more, 4);
    cache_close(cache);
    cache = must_open();
    add(cache, o, 3);
    struct seen seen = look(cache);
    static const uint64_t want[] = {1, 2, 7, 8, 9};
    assert_int_equal(seen.n, 5);
    assert_memory_equal(seen.sequence, want, sizeof(want));
    cache_close(cache);
    struct cache *readonly = NULL;
    assert_int_equal(cache_open_readonly(in_dir("measured.db"), &readonly, NULL), MS_OK);
    assert_int_equal(look(readonly).n, 5);
    assert_int_equal(cache_operations_add(readonly, o, 1, NULL), MS_ERR_STORE);
    cache_close(readonly);
}

/* One that is refused takes those beside it along. */
static void test_refused(void **state)
{
    struct cache_operation o[2] = {operation(3), operation(4)};
    struct ms_diag diag = {0};
    (void)state;
    struct cache *cache = with_evidence();
    add(cache, &o[1], 1);
    o[1].event.history_hash.b[0] ^= 1;
    assert_int_equal(cache_operations_add(cache, o, 2, &diag), MS_ERR_CONFLICT);
    assert_non_null(strstr(diag.text, "operation 4"));
    assert_int_equal(look(cache).n, 1);
    o[1] = operation(5);
    o[1].bundle = hash_of("never stored");
    assert_int_equal(cache_operations_add(cache, o, 2, &diag), MS_ERR_EVIDENCE);
    static const uint64_t huge = UINT64_C(1) << 63;
    for (int i = 0; i < 6; i++) {
        o[1] = operation(5);
        uint64_t *const numbers[] = {&o[1].event.sequence, &o[1].event.block,
                                     &o[1].event.prev_block, &o[1].event.timestamp_s};
        if (i < 4)
            *numbers[i] = huge;
        else if (i == 4)
            o[1].event.data = ms_span_of(bytes, sizeof(bytes));
        else
            o[1].provider = "";
        if (cache_operations_add(cache, o, 2, &diag) != MS_ERR_ARGUMENT)
            fail_msg("member %d: %s", i, diag.text);
    }
    assert_int_equal(look(cache).n, 1);
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
    struct cache_operation o[] = {operation(1), operation(2)};
    struct ms_sha256 key = hash_of("key");
    struct cache_log log = {.block = 5, .provider = "first"};
    struct cache_log_range range = {.from = 1, .to = 5, .provider = "first"};
    (void)state;
    struct cache *cache = with_evidence();
    add(cache, o, 2);
    struct cache_log_check check = {.block = 5, .hash_by = "", .provider = "", .why = "no"};
    const struct cache_logs all = {1, 1, 1, &log, &range, &check};
    assert_int_equal(cache_logs_add(cache, &key, &all, NULL), MS_OK);
    cache_close(cache);
    must_abort("UPDATE log_check SET checked = 1");
    must_abort("DELETE FROM log_check");
    must_abort("UPDATE operation SET time_s = 1 WHERE sequence = 1");
    must_abort("DELETE FROM operation WHERE sequence = 1");
    must_abort(
        "INSERT OR REPLACE INTO operation SELECT key, sequence, kind, id, block, prev_block, "
        "time_s, data, zeroblob(32), before, bundle, provider, recorded_s, complete, hmac "
        "FROM operation WHERE sequence = 1");
    must_abort("UPDATE contract_log SET data = x'00'");
    must_abort("DELETE FROM contract_log");
    must_abort("UPDATE log_range SET n_logs = 7");
    must_abort("DELETE FROM log_range");
    /* with the triggers gone, the code over the row tells */
    raw("DROP TRIGGER operation_no_update; UPDATE operation SET time_s = 1 WHERE sequence = 2");
    cache = must_open();
    struct seen seen = {0};
    assert_int_equal(cache_operations_each(cache, &key, see, &seen, NULL), MS_OK);
    assert_int_equal(seen.n, 1);
    assert_int_equal(seen.bad, 1);
    assert_int_equal(seen.bad_sequence, 2);
    cache_close(cache);
}

/* The state they were checked against can be looked at as long as they are there. */
static void test_keeps_evidence(void **state)
{
    struct cache_operation o = operation(1);
    struct cache_entry e = sample();
    struct ms_buf out = MS_BUF_INIT(64);
    struct ms_sha256 evidence = hash_of("evidence");
    bool found = false;
    (void)state;
    e.floor_sequence = 0;
    e.has_sequence = false;
    e.sequence = 0;
    struct cache *cache = must_open();
    must_commit(cache, &e, NULL);
    add(cache, &o, 1);
    assert_int_equal(cache_entry_delete(cache, &e.key, e.level, NULL), MS_OK);
    assert_int_equal(cache_blob_get(cache, &evidence, &out, &found, NULL), MS_OK);
    assert_true(found);
    ms_buf_done(&out);
    cache_close(cache);
}

#define STATES 1500u

/* A registry that was read back after every change rests on a state for each: the audit looks at
 * all of them, however many there are. (These prove nothing, which is what it must come to say: an
 * error that is no finding would end the audit of everything else.) */
static void test_many_states(void **state)
{
    static struct cache_operation o[STATES];
    struct ms_sha256 key = hash_of("key");
    struct operations_verdict verdict;
    struct ms_diag diag = {0};
    (void)state;
    struct cache *cache = with_evidence();
    for (uint64_t i = 0; i < STATES; i++) {
        char text[32];
        (void)snprintf(text, sizeof(text), "state %u", (unsigned)i);
        const struct cache_past_document blob = {.bytes = ms_span_str(text), .provider = "first"};
        assert_int_equal(cache_past_documents_add(cache, &blob, 1, NULL), MS_OK);
        o[i] = operation(i + 1);
        o[i].event.data.len = 0;
        o[i].bundle = hash_of(text);
    }
    add(cache, o, STATES);
    assert_int_equal(cache_operations_verify(cache, &key, &verdict, &diag), MS_ERR_EVIDENCE);
    assert_non_null(strstr(diag.text, "malformed"));
    cache_close(cache);
}

struct logs_seen {
    size_t n, bad;
    struct ms_diag why;
};

static enum ms_err see_log(void *arg, enum ms_err row, const struct cache_log *l,
                           const struct ms_diag *why)
{
    struct logs_seen *seen = arg;

    if (row != MS_OK) {
        seen->bad++;
        seen->why = *why;
        return MS_OK;
    }
    assert_int_equal(l->block, 7 + seen->n);
    assert_int_equal(l->index, 3);
    assert_int_equal(l->n_topics, 2);
    assert_int_equal(l->topics[1].b[31], 9);
    assert_int_equal(l->data.len, 40);
    assert_string_equal(l->provider, "first");
    assert_int_equal(l->address.b[0], 0xaa);
    assert_int_equal(l->check == NULL, l->block == 9);
    if (l->block == 7) {
        assert_true(l->check->checked == CACHE_LOGS_CHECKED && l->check->has_hash &&
                    l->check->hash.b[31] == 5);
        assert_int_equal(l->check->time_s, 1700000000);
        assert_string_equal(l->check->hash_by, "quorum");
        assert_string_equal(l->check->provider, "third");
    } else if (l->block == 8) {
        assert_true(l->check->checked == CACHE_LOGS_UNCHECKED && !l->check->has_hash);
        assert_string_equal(l->check->why, "nobody knows");
    }
    seen->n++;
    return MS_OK;
}

static enum ms_err see_range(void *arg, enum ms_err row, const struct cache_log_range *r,
                             const struct ms_diag *why)
{
    uint64_t *next = arg;
    assert_int_equal(row, MS_OK);
    (void)why;
    assert_int_equal(r->from, *next);
    *next = r->to + 1;
    return MS_OK;
}

static struct logs_seen look_at_logs(void)
{
    struct ms_sha256 key = hash_of("key");
    struct logs_seen seen = {0};
    struct cache *cache = must_open();

    assert_int_equal(cache_logs_each(cache, &key, see_log, &seen, NULL), MS_OK);
    cache_close(cache);
    return seen;
}

static void test_logs(void **state)
{
    struct ms_sha256 key = hash_of("key");
    struct cache_log logs[3] = {{.block = 7, .index = 3, .n_topics = 2, .provider = "first"}};
    struct cache_log_range ranges[] = {{.from = 1, .to = 10, .n_logs = 2, .provider = "first"},
                                       {.from = 11, .to = 20, .n_logs = 0, .provider = "second"}};
    struct cache_log_check checks[] = {
        {.block = 7, .n_logs = 1, .hash_by = "", .provider = "", .why = "not at first"},
        {.block = 7,
         .checked = CACHE_LOGS_CHECKED,
         .has_hash = true,
         .hash.b[31] = 5,
         .time_s = 1700000000,
         .n_logs = 1,
         .hash_by = "quorum",
         .provider = "third",
         .why = ""},
        {.block = 8, .n_logs = 1, .hash_by = "", .provider = "", .why = "nobody knows"}};
    struct cache_logs all = {3, 2, 3, logs, ranges, checks};
    uint64_t next = 1;
    (void)state;
    logs[0].data = ms_span_of(bytes, 40);
    logs[0].topics[1].b[31] = 9;
    logs[0].address.b[0] = 0xaa;
    logs[1] = logs[2] = logs[0];
    logs[1].block = 8;
    logs[2].block = 9;
    struct cache *cache = must_open();
    assert_int_equal(cache_logs_add(cache, &key, &all, NULL), MS_OK);
    logs[0].provider = "somebody else"; /* who said it first counts */
    assert_int_equal(cache_logs_add(cache, &key, &all, NULL), MS_OK);
    assert_int_equal(cache_log_ranges_each(cache, &key, see_range, &next, NULL), MS_OK);
    assert_int_equal(next, 21);
    ranges[0].from = 30;
    assert_int_equal(cache_logs_add(cache, &key, &all, NULL), MS_ERR_ARGUMENT);
    ranges[0].from = 1;
    checks[2].why = NULL;
    assert_int_equal(cache_logs_add(cache, &key, &all, NULL), MS_ERR_ARGUMENT);
    cache_close(cache);
    struct logs_seen seen = look_at_logs();
    assert_int_equal(seen.n, 3);
    assert_int_equal(seen.bad, 0);
}

/* What somebody else wrote, or took away, is not told as what was checked. */
static void test_tampered_logs(void **state)
{
    static const struct {
        const char *sql, *words;
    } cases[] = {
        {"DROP TRIGGER log_check_no_update; UPDATE log_check SET time_s = 5 WHERE block = 7",
         "block 7: what was found out"},
        {"DROP TRIGGER contract_log_no_delete; DELETE FROM contract_log WHERE log_index = 4",
         "block 7: 1 logs are stored, 2 were checked"},
        {"DROP TRIGGER contract_log_no_delete; DELETE FROM contract_log",
         "block 7: 0 logs are stored, 2 were checked"},
        {"DROP TRIGGER contract_log_no_update; UPDATE contract_log SET data = x'00'", ""},
    };
    struct ms_sha256 key = hash_of("key");
    struct cache_log logs[2] = {{.block = 7, .index = 3, .provider = "first"},
                                {.block = 7, .index = 4, .provider = "first"}};
    struct cache_log_check check = {.block = 7,
                                    .checked = CACHE_LOGS_CHECKED,
                                    .n_logs = 2,
                                    .hash_by = "",
                                    .provider = "",
                                    .why = ""};
    const struct cache_logs all = {2, 0, 1, logs, NULL, &check};
    for (size_t i = 0; i < MS_ARRAY_LEN(cases); i++) {
        struct cache *cache = must_open();
        assert_int_equal(cache_logs_add(cache, &key, &all, NULL), MS_OK);
        cache_close(cache);
        raw(cases[i].sql);
        struct logs_seen seen = look_at_logs();
        assert_int_equal(seen.n, 0);
        assert_true(seen.bad > 0);
        if (strstr(seen.why.text, cases[i].words) == NULL)
            fail_msg("%s: %s", cases[i].sql, seen.why.text);
        assert_int_equal(drop_dir(state), 0);
        assert_int_equal(fresh_dir(state), 0);
    }
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, fresh_dir, drop_dir)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_round),        TEST(test_refused),
                                       TEST(test_append_only),  TEST(test_keeps_evidence),
                                       TEST(test_many_states),  TEST(test_logs),
                                       TEST(test_tampered_logs)};
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 7 + 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
