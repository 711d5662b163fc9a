/* The transparency log in the database: one entry for each history row, in its transaction; its
 * tiles are those of its entries; what changes behind its back is found. */
#define _GNU_SOURCE /* mkdtemp */

#include "cache/log.h"

#include "resolver/entry/leaf.h"
#include "tests/unit/cache/cache_test_util.h"

#include <inttypes.h>

static struct msig_tlog_tree tree;

/* ---- what is written ---- */

static struct cache_leaf some_leaf(uint64_t sequence)
{
    return (struct cache_leaf){.has_sequence = true,
                               .sequence = sequence,
                               .has_commitment = true,
                               .commitment = hash_of("commitment"),
                               .has_policy = true,
                               .policy = hash_of("policy")};
}

/* One change of key "k<number>", in its own set. */
static enum ms_err change(struct cache *cache, unsigned key, unsigned set, struct ms_diag *diag)
{
    char name[32], text[32];
    struct cache_entry e = sample();
    struct cache_history h = sample_history();
    struct cache_leaf leaf = some_leaf(set);

    (void)snprintf(name, sizeof(name), "key %u", key);
    (void)snprintf(text, sizeof(text), "set %u", set);
    e.key = h.key = hash_of(name);
    e.sequence = h.sequence = set;
    e.floor_sequence = 0;
    h.set_hash = hash_of(text);
    h.leaf = &leaf;
    return commit(cache, &e, &h, diag);
}

static void must_change(struct cache *cache, unsigned key, unsigned set)
{
    struct ms_diag diag = {0};
    if (change(cache, key, set, &diag) != MS_OK)
        fail_msg("change %u of key %u: %s", set, key, diag.text);
}

static void fill(struct cache *cache, unsigned n)
{
    assert_int_equal(cache_group_begin(cache, NULL), MS_OK);
    for (unsigned i = 1; i <= n; i++)
        must_change(cache, i % 7, i);
    assert_int_equal(cache_group_end(cache, NULL), MS_OK);
}

static struct cache_log_head head_of(struct cache *cache)
{
    struct cache_log_head head;
    struct ms_diag diag = {0};
    if (cache_log_head(cache, &head, &diag) != MS_OK)
        fail_msg("head: %s", diag.text);
    return head;
}

static struct leaf entry_of(struct cache *cache, uint64_t n)
{
    struct ms_buf text = MS_BUF_INIT(LEAF_MAX_BYTES);
    struct leaf leaf;
    bool found = false;

    assert_int_equal(cache_log_entry(cache, n, &text, &found, NULL), MS_OK);
    assert_true(found);
    assert_int_equal(leaf_parse(ms_buf_span(&text), &leaf), MS_OK);
    ms_buf_done(&text);
    return leaf;
}

struct faults {
    size_t n;
    char first[400];
};

static void see_fault(void *arg, const char *text)
{
    struct faults *faults = arg;
    if (faults->n++ == 0)
        (void)snprintf(faults->first, sizeof(faults->first), "%s", text);
}

static struct cache_log_report audit(struct cache *cache, struct faults *faults)
{
    struct cache_log_report report;
    struct ms_diag diag = {0};

    *faults = (struct faults){0};
    if (cache_log_audit(cache, NULL, 0, see_fault, faults, &report, &diag) != MS_OK)
        fail_msg("audit: %s", diag.text);
    assert_int_equal(report.faults, faults->n);
    return report;
}

static void must_be_clean(struct cache *cache, uint64_t entries)
{
    struct faults faults;
    struct cache_log_report report = audit(cache, &faults);

    if (report.faults != 0)
        fail_msg("%s", faults.first);
    assert_int_equal(report.entries, entries);
    struct cache_log_head head = head_of(cache);
    assert_true(report.head.size == head.size && ms_sha256_eq(&report.head.root, &head.root));
}

static void must_find(struct cache *cache, const char *words)
{
    struct faults faults;

    (void)audit(cache, &faults);
    if (faults.n == 0 || strstr(faults.first, words) == NULL)
        fail_msg("wanted '%s', got %zu: '%s'", words, faults.n, faults.first);
}

static void test_an_entry(void **state)
{
    (void)state;
    struct cache *cache = must_open();
    struct ms_buf text = MS_BUF_INIT(LEAF_MAX_BYTES), again = MS_BUF_INIT(LEAF_MAX_BYTES);
    bool found = true;

    assert_int_equal(head_of(cache).size, 0);
    must_change(cache, 1, 1);
    must_change(cache, 2, 1);
    must_change(cache, 1, 2);
    struct leaf one = entry_of(cache, 1), three = entry_of(cache, 3);
    assert_true(one.n == 1 && !one.has_prev && one.has_policy && one.sequence == 1);
    assert_true(one.has_evidence && one.time_s == 1700000001 && one.level == SPEC_LEVEL_L2);
    assert_string_equal(one.state, "good");
    struct ms_sha256 key = hash_of("key 1"), set = hash_of("set 2");
    assert_true(ms_sha256_eq(&three.spec, &key) && ms_sha256_eq(&three.result, &set));
    /* the entry before it of the same specifier is entry 1 */
    assert_int_equal(leaf_print(&one, &text), MS_OK);
    struct ms_sha256 prev = ms_sha256(ms_buf_span(&text));
    assert_true(three.has_prev && ms_sha256_eq(&three.prev, &prev));
    assert_int_equal(cache_log_entry(cache, 4, &again, &found, NULL), MS_OK);
    assert_false(found);
    must_be_clean(cache, 3);
    cache_close(cache);
    ms_buf_done(&text);
    ms_buf_done(&again);
}

/* Roots, tiles and proofs out of the database are those of its entries, also after a restart, and
 * for a reader beside the writer. */
static void test_tree(void **state)
{
    (void)state;
    static const unsigned sizes[] = {1, 2, 255, 256, 257, 600, 1024};
    struct cache *cache = must_open(), *reader = NULL;
    struct msig_tlog_edge edge = {0};
    struct msig_tlog_path path;
    unsigned done = 0;

    for (size_t s = 0; s < MS_ARRAY_LEN(sizes); s++) {
        struct cache_log_head before = head_of(cache);
        fill(cache, sizes[s] - done);
        done = sizes[s];
        struct cache_log_head now = head_of(cache), read;
        assert_int_equal(cache_log_tree(cache, &tree, NULL), MS_OK);
        assert_int_equal(msig_tlog_root(&tree, done, &read.root, NULL), MS_OK);
        assert_true(now.size == done && ms_sha256_eq(&now.root, &read.root));
        assert_int_equal(msig_tlog_consistency(&tree, before.size, done, &path, NULL), MS_OK);
        assert_int_equal(
            msig_tlog_verify_consistency(&path, before.size, done, &before.root, &now.root), MS_OK);
        if (done > 1) { /* a database of one user, opened by another process */
            assert_int_equal(cache_open_readonly(in_dir("measured.db"), &reader, NULL), MS_OK);
            struct cache_log_head other = head_of(reader);
            assert_true(other.size == done && ms_sha256_eq(&now.root, &other.root));
            cache_close(reader);
        }
        cache_close(cache);
        cache = must_open();
        struct cache_log_head after = head_of(cache);
        assert_true(after.size == done && ms_sha256_eq(&now.root, &after.root));
        must_be_clean(cache, done);
    }
    for (uint64_t n = 1; n <= done; n++) { /* and of the entries as they are served */
        struct ms_buf text = MS_BUF_INIT(LEAF_MAX_BYTES);
        bool found = false;
        assert_int_equal(cache_log_entry(cache, n, &text, &found, NULL), MS_OK);
        struct ms_sha256 leaf = msig_tlog_leaf(ms_buf_span(&text));
        assert_int_equal(msig_tlog_edge_add(&edge, 0, &leaf), MS_OK);
        ms_buf_done(&text);
    }
    struct ms_sha256 root = msig_tlog_edge_root(&edge);
    struct cache_log_head head = head_of(cache);
    assert_true(ms_sha256_eq(&root, &head.root));
    cache_close(cache);
}

static void must_have_tile(struct cache *cache, struct msig_tlog_tile tile, size_t bytes)
{
    struct ms_buf out = MS_BUF_INIT(1 << 20);
    bool found = false;

    assert_int_equal(cache_log_tile(cache, &tile, &out, &found, NULL), MS_OK);
    if (found != (bytes > 0) || (tile.level != MSIG_TLOG_ENTRIES && out.len != bytes))
        fail_msg("tile %u/%" PRIu64 "/%u: %zu bytes", tile.level, tile.index, tile.width, out.len);
    ms_buf_done(&out);
}

static void test_tiles(void **state)
{
    (void)state;
    struct cache *cache = must_open();

    fill(cache, 600);
    must_have_tile(cache, (struct msig_tlog_tile){0, 0, 256}, 8192);
    must_have_tile(cache, (struct msig_tlog_tile){0, 0, 255}, 8160); /* of an older tree */
    must_have_tile(cache, (struct msig_tlog_tile){0, 2, 88}, 2816);
    must_have_tile(cache, (struct msig_tlog_tile){0, 2, 89}, 0);
    must_have_tile(cache, (struct msig_tlog_tile){0, 2, 256}, 0);
    must_have_tile(cache, (struct msig_tlog_tile){1, 0, 2}, 64);
    must_have_tile(cache, (struct msig_tlog_tile){1, 0, 1}, 32);
    must_have_tile(cache, (struct msig_tlog_tile){1, 0, 3}, 0);
    must_have_tile(cache, (struct msig_tlog_tile){2, 0, 1}, 0);
    must_have_tile(cache, (struct msig_tlog_tile){63, 0, 1}, 0);
    must_have_tile(cache, (struct msig_tlog_tile){0, UINT64_MAX >> 8, 256}, 0);
    must_have_tile(cache, (struct msig_tlog_tile){MSIG_TLOG_ENTRIES, 2, 88}, 1);
    must_have_tile(cache, (struct msig_tlog_tile){MSIG_TLOG_ENTRIES, 2, 89}, 0);
    must_have_tile(cache, (struct msig_tlog_tile){MSIG_TLOG_ENTRIES, 3, 1}, 0);
    cache_close(cache);
}

/* What is undone was never in the log: a refused change of a group, a whole group, a change alone.
 */
static void test_undone(void **state)
{
    (void)state;
    struct cache *cache = must_open();
    struct cache_entry bad = sample();
    struct cache_history h = sample_history();

    fill(cache, 254);
    assert_int_equal(cache_group_begin(cache, NULL), MS_OK);
    must_change(cache, 1, 1000);
    h.key = bad.key = hash_of("other");
    h.kind = ""; /* history refuses it, after its entry was written */
    assert_int_equal(commit(cache, &bad, &h, NULL), MS_ERR_ARGUMENT);
    h.kind = "set";
    h.status = (enum cache_status)99;
    assert_int_equal(commit(cache, &bad, &h, NULL), MS_ERR_ARGUMENT);
    must_change(cache, 2, 1001); /* fills the tile */
    must_change(cache, 3, 1002);
    assert_int_equal(cache_group_end(cache, NULL), MS_OK);
    must_be_clean(cache, 257);
    /* a group that is undone at its end, in the middle of a tile and at its edge */
    raw("CREATE TRIGGER stop BEFORE INSERT ON log_entry WHEN NEW.n = 300 "
        "BEGIN SELECT RAISE(ROLLBACK, 'stop'); END;");
    cache_close(cache);
    cache = must_open();
    assert_int_equal(cache_group_begin(cache, NULL), MS_OK);
    unsigned i = 0;
    while (i < 100 && change(cache, i % 7, 2000 + i, NULL) == MS_OK)
        i++;
    assert_int_equal(i, 42);
    assert_int_equal(cache_group_end(cache, NULL), MS_ERR_STORE);
    assert_int_equal(head_of(cache).size, 257);
    must_change(cache, 1, 3000);
    must_be_clean(cache, 258);
    cache_close(cache);
}

/* A database from before the log: its history gets entries, once. */
static void test_heal(void **state)
{
    (void)state;
    struct cache *cache = must_open();

    fill(cache, 300);
    cache_close(cache);
    raw("DROP TRIGGER log_entry_no_delete; DROP TRIGGER log_tile_no_delete;"
        "DELETE FROM log_entry; DELETE FROM log_tile;");
    cache = must_open();
    assert_int_equal(head_of(cache).size, 300);
    struct leaf leaf = entry_of(cache, 300);
    assert_false(leaf.has_policy || leaf.has_commitment ||
                 leaf.has_sequence); /* not known any more */
    assert_true(leaf.has_prev);
    must_change(cache, 1, 3000);
    must_be_clean(cache, 301);
    cache_close(cache);
    /* rows that are gone or not ours get an entry that says so */
    raw("DROP TRIGGER history_no_delete; DROP TRIGGER history_no_update;"
        "DELETE FROM history WHERE n = 5; UPDATE history SET time_s = 1 WHERE n = 6;"
        "DELETE FROM log_entry; DELETE FROM log_tile;");
    cache = must_open();
    assert_int_equal(head_of(cache).size, 301);
    assert_string_equal(entry_of(cache, 5).state, "none");
    assert_string_equal(entry_of(cache, 6).state, "none");
    assert_string_equal(entry_of(cache, 7).state, "good");
    must_find(cache, "history row 5 was missing or not ours when the log began");
    cache_close(cache);
}

/* A change of many releases has a long summary: its row is as good as any, with its entry and when
 * the log is made anew. */
static void test_long_summary(void **state)
{
    static char summary[CACHE_SUMMARY_MAX_BYTES + 1];
    struct cache_entry e = sample();
    struct cache_history h = sample_history();
    struct cache_leaf leaf = some_leaf((unsigned)h.sequence);

    (void)state;
    memset(summary, 'x', CACHE_SUMMARY_MAX_BYTES);
    h.summary = summary;
    h.leaf = &leaf;
    struct cache *cache = must_open();
    assert_int_equal(commit(cache, &e, &h, NULL), MS_OK);
    must_be_clean(cache, 1);
    cache_close(cache);
    raw("DROP TRIGGER log_entry_no_delete; DROP TRIGGER log_tile_no_delete;"
        "DELETE FROM log_entry; DELETE FROM log_tile;");
    cache = must_open();
    assert_string_equal(entry_of(cache, 1).state, "good");
    must_be_clean(cache, 1);
    cache_close(cache);
}

/* ---- checkpoints ---- */

static struct msig_skey log_key(uint8_t fill)
{
    struct msig_skey skey;
    uint8_t seed[MSIG_NOTE_KEY_BYTES];

    memset(seed, fill, sizeof(seed));
    assert_int_equal(msig_skey_make(ms_span_str("log.example/1"), MSIG_NOTE_ED25519, seed, &skey),
                     MS_OK);
    return skey;
}

static void put_checkpoint(struct cache *cache, const struct cache_log_head *head, uint8_t fill,
                           uint32_t cosignatures)
{
    struct msig_skey skey = log_key(fill);
    struct msig_checkpoint c = {.origin = "log.example/1", .size = head->size, .root = head->root};
    struct ms_buf body = MS_BUF_INIT(1000), note = MS_BUF_INIT(2000), vkey = MS_BUF_INIT(500);
    struct ms_diag diag = {0};

    (void)msig_checkpoint_print(&c, &body);
    (void)ms_buf_add(&note, ms_buf_span(&body));
    (void)ms_buf_add_byte(&note, '\n');
    assert_int_equal(msig_note_sign(&skey, ms_buf_span(&body), 0, &note), MS_OK);
    (void)msig_vkey_print(&skey.public, &vkey);
    struct cache_checkpoint row = {.size = head->size,
                                   .time_s = 1700000000,
                                   .vkey = ms_buf_str(&vkey),
                                   .note = ms_buf_str(&note),
                                   .cosignatures = cosignatures};
    if (cache_checkpoint_put(cache, &row, &diag) != MS_OK)
        fail_msg("%s", diag.text);
    ms_buf_done(&body);
    ms_buf_done(&note);
    ms_buf_done(&vkey);
}

static void test_checkpoints(void **state)
{
    (void)state;
    struct cache *cache = must_open();
    struct cache_log_head heads[4];
    struct cache_checkpoint c;
    bool found = true;

    struct ms_arena arena = MS_ARENA_INIT(2 * MSIG_NOTE_MAX_BYTES);
    assert_int_equal(cache_checkpoint_last(cache, &arena, &c, &found, NULL), MS_OK);
    assert_false(found);
    for (unsigned i = 0; i < 4; i++) {
        heads[i] = head_of(cache);
        put_checkpoint(cache, &heads[i], 1, i == 1);
        fill(cache, 10);
    }
    /* the newest, and those that somebody cosigned */
    assert_int_equal(cache_checkpoint_last(cache, &arena, &c, &found, NULL), MS_OK);
    assert_true(found && c.size == 30);
    assert_int_equal(cache_checkpoint_next(cache, 0, &arena, &c, &found, NULL), MS_OK);
    assert_true(found && c.size == 10 && c.cosignatures == 1);
    assert_int_equal(cache_checkpoint_next(cache, 11, &arena, &c, &found, NULL), MS_OK);
    assert_true(found && c.size == 30);
    assert_int_equal(cache_checkpoint_next(cache, 31, &arena, &c, &found, NULL), MS_OK);
    assert_false(found);
    ms_arena_done(&arena);
    must_be_clean(cache, 40);
    for (unsigned i = 0; i < 4; i++) {
        struct msig_checkpoint kept = {.size = heads[i].size, .root = heads[i].root};
        struct ms_diag diag = {0};
        assert_int_equal(cache_log_continues(cache, &kept, &diag), MS_OK);
        kept.root.b[0] ^= 1;
        assert_int_equal(cache_log_continues(cache, &kept, &diag), MS_ERR_CONFLICT);
        assert_non_null(strstr(diag.text, "rewritten"));
        diag = (struct ms_diag){0};
        kept.size = 41;
        assert_int_equal(cache_log_continues(cache, &kept, &diag), MS_ERR_CONFLICT);
        assert_non_null(strstr(diag.text, "cut"));
    }
    put_checkpoint(cache, &heads[1], 1, 1);
    heads[2].root.b[5] ^= 1; /* what was signed is not what is there */
    put_checkpoint(cache, &heads[2], 1, 1);
    must_find(cache, "the checkpoint of 20 entries was signed over other entries");
    cache_close(cache);
}

/* ---- what happens behind its back ---- */

static void tampered(const char *sql, const char *words)
{
    struct cache *cache = must_open();
    struct cache_log_head head;

    fill(cache, 520);
    head = head_of(cache);
    put_checkpoint(cache, &head, 1, 0);
    must_be_clean(cache, 520);
    cache_close(cache);
    raw("DROP TRIGGER log_entry_no_delete; DROP TRIGGER log_entry_no_update;"
        "DROP TRIGGER log_entry_in_order; DROP TRIGGER log_tile_no_delete;"
        "DROP TRIGGER log_tile_grows; DROP TRIGGER history_no_delete;"
        "DROP TRIGGER history_no_update;");
    raw(sql);
    cache = must_open();
    must_find(cache, words);
    cache_close(cache);
}

#define TAMPER(name, sql, words)                 \
    static void test_tamper_##name(void **state) \
    {                                            \
        (void)state;                             \
        tampered(sql, words);                    \
    }

TAMPER(entry_changed,
       "UPDATE log_entry SET entry = CAST(replace(entry, 'good', 'hold') AS BLOB) WHERE n = 77;",
       "entry 77 of the log was changed")
TAMPER(entry_gone, "DELETE FROM log_entry WHERE n = 78;", "entry 78 of the log is missing")
TAMPER(entries_swapped,
       "UPDATE log_entry SET n = -1 WHERE n = 5; UPDATE log_entry SET n = 5 WHERE n = 6;"
       "UPDATE log_entry SET n = 6 WHERE n = -1;",
       "entry 5 of the log was changed")
TAMPER(tile_changed, "UPDATE log_tile SET data = zeroblob(8192) WHERE level = 0 AND idx = 1;",
       "tile 1 of level 0 was changed")
TAMPER(tile_gone, "DELETE FROM log_tile WHERE level = 0 AND idx = 1;",
       "tile 1 of level 0 has 0 hashes")
TAMPER(tile_of_level_1, "DELETE FROM log_tile WHERE level = 1;", "tile 0 of level 1 has 0 hashes")
TAMPER(tile_of_another, "UPDATE log_tile SET idx = 7 WHERE level = 0 AND idx = 1;",
       "tile 1 of level 0 has 0 hashes")
TAMPER(history_changed, "UPDATE history SET status = 3 WHERE n = 9;", "history row 9 was changed")
TAMPER(history_gone, "DELETE FROM history WHERE n = 520;",
       "history row 520 is missing, the log has it")
TAMPER(checkpoint_changed, "UPDATE log_checkpoint SET size = 519;",
       "a checkpoint of 0 entries or more was changed")

/* Cut at its end together with its history: only what was signed tells. */
static void test_tamper_cut(void **state)
{
    (void)state;
    tampered("DELETE FROM log_entry WHERE n > 515; DELETE FROM history WHERE n > 515;",
             "the log has 515 entries, but one of 520 was signed: it was cut");
}

/* Rows taken away at the end of the history: the log goes on behind them, and tells. */
static void test_goes_on(void **state)
{
    (void)state;
    struct cache *cache = must_open();

    fill(cache, 20);
    cache_close(cache);
    raw("DROP TRIGGER history_no_delete; DELETE FROM history WHERE n > 18;");
    cache = must_open();
    must_change(cache, 1, 2000);
    assert_int_equal(head_of(cache).size, 21);
    must_find(cache, "history row 19 is missing");
    cache_close(cache);
}

/* Who has the key of this machine can write what is consistent in itself; whoever holds an older
 * checkpoint sees it. Here another log with the same key is put in its place. */
static void test_rewritten(void **state)
{
    (void)state;
    struct cache *cache = must_open();

    fill(cache, 300);
    struct cache_log_head honest = head_of(cache);
    cache_close(cache);
    for (int i = 0; i < 3; i++) {
        static const char *const files[] = {"measured.db", "measured.db-wal", "measured.db-shm"};
        (void)unlink(in_dir(files[i]));
    }
    FILE *empty = fopen(in_dir("measured.db"), "wb"); /* the key stays */
    assert_non_null(empty);
    (void)fclose(empty);
    cache = must_open();
    assert_int_equal(cache_group_begin(cache, NULL), MS_OK);
    for (unsigned i = 1; i <= 400; i++)
        must_change(cache, i % 7, i == 200 ? 9999 : i);
    assert_int_equal(cache_group_end(cache, NULL), MS_OK);
    must_be_clean(cache, 400);
    struct msig_checkpoint kept = {.size = honest.size, .root = honest.root};
    struct ms_diag diag = {0};
    assert_int_equal(cache_log_continues(cache, &kept, &diag), MS_ERR_CONFLICT);
    assert_non_null(strstr(diag.text, "it was rewritten"));
    cache_close(cache);
}

/* SQLite itself does not let the log be changed. */
static void test_append_only(void **state)
{
    (void)state;
    static const char *const refused[] = {
        "UPDATE log_entry SET entry = x'00' WHERE n = 1",
        "DELETE FROM log_entry WHERE n = 3",
        "INSERT INTO log_entry(n, entry, hmac) VALUES(9, x'00', zeroblob(32))",
        "UPDATE log_tile SET data = zeroblob(64)",
        "DELETE FROM log_tile",
    };
    struct cache *cache = must_open();

    fill(cache, 260);
    cache_close(cache);
    for (size_t i = 0; i < MS_ARRAY_LEN(refused); i++) {
        sqlite3 *db = NULL;
        assert_int_equal(sqlite3_open(in_dir("measured.db"), &db), SQLITE_OK);
        if (sqlite3_exec(db, refused[i], NULL, NULL, NULL) != SQLITE_CONSTRAINT)
            fail_msg("%s", refused[i]);
        assert_int_equal(sqlite3_close(db), SQLITE_OK);
    }
}

#define T(f) cmocka_unit_test_setup_teardown(f, fresh_dir, drop_dir)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_an_entry),
        T(test_tree),
        T(test_tiles),
        T(test_undone),
        T(test_heal),
        T(test_long_summary),
        T(test_checkpoints),
        T(test_tamper_entry_changed),
        T(test_tamper_entry_gone),
        T(test_tamper_entries_swapped),
        T(test_tamper_tile_changed),
        T(test_tamper_tile_gone),
        T(test_tamper_tile_of_level_1),
        T(test_tamper_tile_of_another),
        T(test_tamper_history_changed),
        T(test_tamper_history_gone),
        T(test_tamper_checkpoint_changed),
        T(test_tamper_cut),
        T(test_goes_on),
        T(test_rewritten),
        T(test_append_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
