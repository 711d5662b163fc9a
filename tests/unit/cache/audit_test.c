/* Histories: what is listed, compared and said of a moment is what the evidence says; and audits: a
 * database as it was written is clean, and one with a byte changed is not, or says all the same. */
#define _GNU_SOURCE /* mkdtemp */

#include "cache/audit.h"
#include "base/gzip.h"
#include "cache/report.h"
#include "resolver/entry/past_file.h"
#include "tests/unit/cache/past_set_util.h"

#include <fcntl.h>
#include <time.h>

#define SITE "url:https://a.example/list.json"
#define T0 (CHAIN_GENESIS_S + 12 * 200)
#define FLIPS 250
#define LATER (T0 + 100000000)

static struct chain chain;

/* A document with records named by the letters, their registers filled with these bytes. */
static char *document(const char *ids, const char *fills)
{
    static char text[4096];
    size_t n = 0;

    text[n++] = '[';
    for (size_t i = 0; ids[i] != '\0'; i++)
        n += (size_t)snprintf(text + n, sizeof(text) - n,
                              "%s{\"measurement_id\":\"%c\",\"attestation_type\":\"dcap-tdx\","
                              "\"measurements\":{\"0\":{\"expected\":\"%096d\"}}}",
                              i == 0 ? "" : ",", ids[i], fills[i]);
    (void)snprintf(text + n, sizeof(text) - n, "]");
    return text;
}

/* A registry that was first read long after its operations: 100 init; 200 approve 1; 300 approve 2,
 * whose document nobody has; 400 revoke both; 500 approve 3. */
#define PAST(block) (FAKE_HISTORY_START_S + (block))
#define PAST_READ (CHAIN_GENESIS_S + 12 * 2000)
#define PAST_ACCEPTED (PAST_READ + 300)

static const char *const *past_documents(void)
{
    static char texts[3][512];
    static const char *const documents[3] = {texts[0], texts[1], texts[2]};

    for (size_t i = 0; i < 3; i++)
        (void)snprintf(texts[i], sizeof(texts[i]), "%s", chain_document((uint8_t)(0x51 + i)));
    return documents;
}

static void past_history(struct fake_history *fake)
{
    const char *const *documents = past_documents();

    fake_history_init(fake);
    fake_history_add(fake, 100, 0);
    fake_history_approve(fake, 200, documents[0], PAST(200), 0);
    fake_history_approve(fake, 300, documents[1], PAST(300), 0);
    fake_history_revoke(fake, 400, 0);
    fake_history_revoke(fake, 400, 0);
    fake_history_approve(fake, 500, documents[2], PAST(500), 0);
}

static void fill_past(struct cache *cache)
{
    static struct fake_history fake;
    const char *const *documents = past_documents();

    past_history(&fake);
    (void)changes_history(cache, &fake, documents, 2000, PAST_ACCEPTED);
    const struct cache_past_document known[] = {
        {.bytes = ms_span_str(documents[0]), .provider = "a", .recorded_s = PAST_READ},
        {.bytes = ms_span_str(documents[2]), .provider = "evidence", .recorded_s = PAST_READ}};
    assert_int_equal(cache_past_documents_add(cache, known, 2, NULL), MS_OK);
    fake_history_done(&fake);
}

/* Three sets of a location with confirmations between them, three of a registry, and the past. */
static void fill(void)
{
    struct cache *cache = must_open();

    changes_location(cache, SITE, document("a", "1"), T0, 1);
    changes_touch(cache, SITE, SPEC_LEVEL_NONE, T0 + 60);
    changes_touch(cache, SITE, SPEC_LEVEL_NONE, T0 + 90);
    changes_location(cache, SITE, document("ab", "11"), T0 + 100, 2);
    changes_touch(cache, SITE, SPEC_LEVEL_NONE, T0 + 10000000); /* long after it was too old */
    changes_location(cache, SITE, document("b", "2"), T0 + 10000100, 3);
    chain_init(&chain);
    (void)chain_approve(&chain, chain_document(0x11), NULL);
    changes_registry(cache, &chain, 100, T0);
    (void)chain_approve(&chain, chain_document(0x22), NULL);
    changes_registry(cache, &chain, 130, T0 + 300);
    chain_revoke_all(&chain);
    changes_registry(cache, &chain, 160, T0 + 600);
    chain_done(&chain);
    fill_past(cache);
    const struct ms_sha256 key = hash_of("a contract");
    const struct cache_log log = {.block = 5, .data = ms_span_str("words"), .provider = "a"};
    const struct cache_log_range range = {.from = 1, .to = 9, .n_logs = 1, .provider = "a"};
    const struct cache_log_check check = {.block = 5,
                                          .checked = CACHE_LOGS_CHECKED,
                                          .n_logs = 1,
                                          .hash_by = "",
                                          .provider = "a",
                                          .why = ""};
    const struct cache_logs past = {1, 1, 1, &log, &range, &check};
    assert_int_equal(cache_logs_add(cache, &key, &past, NULL), MS_OK);
    cache_close(cache);
}

static struct spec spec_of(const char *text)
{
    static const struct spec_context context = {0};
    struct spec spec;

    spec_init(&spec);
    assert_int_equal(spec_parse(ms_span_str(play_text(text)), &context, &spec, NULL), MS_OK);
    return spec;
}

static json_t *json_of(struct ms_buf *text)
{
    json_t *root = json_loadb((const char *)text->ptr, text->len, 0, NULL);

    assert_non_null(root);
    ms_buf_done(text);
    return root;
}

static struct cache *must_read(void)
{
    struct cache *cache = NULL;
    struct ms_diag diag = {0};

    if (cache_open_readonly(in_dir("measured.db"), &cache, &diag) != MS_OK)
        fail_msg("open: %s", diag.text);
    return cache;
}

static json_t *history_of(struct cache *cache, const char *text, struct report_page page)
{
    struct ms_buf out = MS_BUF_INIT(REPORT_MAX_BYTES);
    struct spec spec = spec_of(text);
    struct ms_diag diag = {0};

    if (report_history(cache, &spec, &page, &out, &diag) != MS_OK)
        fail_msg("history: %s", diag.text);
    spec_done(&spec);
    return json_of(&out);
}

static json_int_t number(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

static const char *text(const json_t *object, const char *name)
{
    const char *value = json_string_value(json_object_get(object, name));
    return value == NULL ? "" : value;
}

static const json_t *row_at(const json_t *root, size_t i)
{
    return json_array_get(json_object_get(root, "rows"), i);
}

/* "+a ~b -c": what a row says that differs, by the names of records. */
static void must_differ(const json_t *row, const char *want)
{
    static const struct {
        const char *list;
        char sign;
    } lists[] = {{"added", '+'}, {"removed", '-'}, {"changed", '~'}};
    char got[64] = "";
    size_t n = 0;

    for (size_t i = 0; i < MS_ARRAY_LEN(lists); i++) {
        const json_t *list = json_object_get(row, lists[i].list);
        for (size_t k = 0; k < json_array_size(list); k++)
            n += (size_t)snprintf(got + n, sizeof(got) - n, "%s%c%.8s", n == 0 ? "" : " ",
                                  lists[i].sign, text(json_array_get(list, k), "id"));
    }
    assert_string_equal(got, want);
}

static void test_listed(void **state)
{
    (void)state;
    fill();
    struct cache *cache = must_read();
    json_t *root = history_of(cache, SITE, (struct report_page){0});

    assert_int_equal(json_array_size(json_object_get(root, "rows")), 3);
    must_differ(row_at(root, 0), "+a");
    must_differ(row_at(root, 1), "+b");
    must_differ(row_at(root, 2), "-a ~b");
    assert_int_equal(number(json_object_get(row_at(root, 0), "confirmed"), "until"), T0 + 90);
    assert_int_equal(number(json_object_get(row_at(root, 0), "confirmed"), "times"), 3);
    assert_true(json_is_null(json_object_get(row_at(root, 0), "block")));
    assert_string_equal(text(row_at(root, 1), "previous"), text(row_at(root, 0), "set_hash"));
    json_decref(root);

    root = history_of(cache, CHAIN_SPEC, (struct report_page){0});
    assert_int_equal(json_array_size(json_object_get(root, "rows")), 3);
    assert_int_equal(number(row_at(root, 1), "block"), 130);
    assert_int_equal(number(row_at(root, 1), "sequence"), 3);
    assert_string_equal(text(row_at(root, 1), "state"), "fresh");
    assert_string_equal(text(row_at(root, 2), "state"), "revoked");
    assert_int_equal(json_array_size(json_object_get(row_at(root, 2), "removed")), 2);
    assert_string_equal(text(json_object_get(row_at(root, 0), "governance"), "adapter"),
                        "registry");
    json_decref(root);
    root = history_of(cache, "url:https://nobody.example/", (struct report_page){0});
    assert_int_equal(json_array_size(json_object_get(root, "rows")), 0);
    json_decref(root);
    cache_close(cache);
}

/* Pages, both ways, give each row once; a point gives its own. */
static void test_pages(void **state)
{
    (void)state;
    fill();
    struct cache *cache = must_read();
    json_t *first = history_of(cache, SITE, (struct report_page){.limit = 2});
    json_t *rest = history_of(
        cache, SITE, (struct report_page){.after = (uint64_t)number(first, "next"), .limit = 2});
    json_t *newest = history_of(cache, SITE, (struct report_page){.has_before = true, .limit = 1});
    json_t *older = history_of(cache, SITE,
                               (struct report_page){.has_before = true,
                                                    .before = (uint64_t)number(newest, "previous"),
                                                    .limit = 2});
    json_t *point = history_of(cache, SITE, (struct report_page){.point = ms_span_str("2")});

    assert_int_equal(json_array_size(json_object_get(first, "rows")), 2);
    assert_int_equal(json_array_size(json_object_get(rest, "rows")), 1);
    assert_null(json_object_get(rest, "next"));
    assert_true(json_equal(row_at(rest, 0), row_at(newest, 0)));
    assert_true(json_equal(row_at(first, 0), row_at(older, 0)));
    assert_true(json_equal(row_at(first, 1), row_at(older, 1)));
    assert_null(json_object_get(older, "previous"));
    assert_true(json_equal(row_at(first, 1), row_at(point, 0)));
    json_decref(first);
    json_decref(rest);
    json_decref(newest);
    json_decref(older);
    json_decref(point);
    cache_close(cache);
}

static enum ms_err diff_of(struct cache *cache, const char *of, const char *from, const char *to,
                           json_t **ret_root)
{
    struct ms_buf out = MS_BUF_INIT(REPORT_MAX_BYTES);
    struct spec spec = spec_of(of);
    struct ms_diag diag = {0};

    enum ms_err err = report_diff(cache, &spec, ms_span_str(from), ms_span_str(to), &out, &diag);
    spec_done(&spec);
    if (err == MS_OK)
        *ret_root = json_of(&out);
    else
        ms_buf_done(&out);
    return err;
}

static void test_diff(void **state)
{
    char hash[128], late[32];
    json_t *root = NULL, *same = NULL;

    (void)state;
    fill();
    struct cache *cache = must_read();
    assert_int_equal(diff_of(cache, SITE, "1", "3", &root), MS_OK);
    must_differ(root, "+b -a");
    const json_t *added = json_array_get(json_object_get(root, "added"), 0);
    const json_t *reg = json_array_get(json_object_get(added, "registers"), 0);
    assert_string_equal(text(reg, "register"), "mrtd");
    assert_int_equal(strspn(json_string_value(json_array_get(json_object_get(reg, "is"), 0)), "0"),
                     94);
    (void)snprintf(hash, sizeof(hash), "%s", text(json_object_get(root, "to"), "evidence"));
    (void)snprintf(late, sizeof(late), "@%lld", (long long)T0 + 20000000);
    assert_int_equal(diff_of(cache, SITE, "row:1", hash, &same), MS_OK);
    assert_true(json_equal(root, same));
    json_decref(same);
    assert_int_equal(diff_of(cache, SITE, "1", late, &same), MS_OK);
    assert_true(json_equal(root, same));
    json_decref(same);
    json_decref(root);
    assert_int_equal(diff_of(cache, SITE, "2", "3", &root), MS_OK);
    must_differ(root, "-a ~b");
    json_decref(root);
    /* the chain's rows are 4 to 6 */
    assert_int_equal(diff_of(cache, CHAIN_SPEC, "row:4", "row:6", &root), MS_OK);
    bool told = false;
    const json_t *metadata = json_object_get(root, "metadata");
    for (size_t i = 0; i < json_array_size(metadata); i++)
        told =
            told || strcmp(text(json_array_get(metadata, i), "what"), "governance.head.block") == 0;
    assert_true(told);
    json_decref(root);
    assert_int_equal(diff_of(cache, SITE, "9", "1", &root), MS_ERR_NOT_FOUND);
    assert_int_equal(diff_of(cache, SITE, "row:4", "1", &root), MS_ERR_NOT_FOUND); /* another's */
    assert_int_equal(diff_of(cache, SITE, "yesterday", "1", &root), MS_ERR_ARGUMENT);
    cache_close(cache);
}

static const struct {
    const char *name, *of;
    int64_t time_s;
    bool known, in_force;
    const char *why;
    const char *ids; /* of the set */
    int64_t last_s;  /* confirmed; 0: not looked at */
} moments[] = {
    {"before all", SITE, T0 - 1, false, false, "nothing was known", "", 0},
    {"at the change", SITE, T0, true, true, "accepted", "a", T0},
    {"between two looks", SITE, T0 + 30, true, true, "accepted", "a", T0},
    {"after the last look", SITE, T0 + 95, true, true, "accepted", "a", T0 + 90},
    {"the second", SITE, T0 + 100, true, true, "accepted", "ab", T0 + 100},
    {"nobody looked", SITE, T0 + 5000000, true, false, "nobody had looked", "ab", T0 + 100},
    {"somebody looked again", SITE, T0 + 10000001, true, true, "accepted", "ab", T0 + 10000000},
    {"the third", SITE, T0 + 10000100, true, true, "accepted", "b", T0 + 10000100},
    {"long after", SITE, T0 + 90000000, true, false, "nobody had looked", "b", T0 + 10000100},
    {"nothing approved", CHAIN_SPEC, T0 + 600, true, true, "nothing was approved", "", T0 + 600},
};

static void test_at(void **state)
{
    (void)state;
    fill();
    struct cache *cache = must_read();
    for (size_t i = 0; i < MS_ARRAY_LEN(moments); i++) {
        struct ms_buf out = MS_BUF_INIT(REPORT_MAX_BYTES);
        struct spec spec = spec_of(moments[i].of);
        assert_int_equal(report_at(cache, &spec, moments[i].time_s, LATER, &out, NULL), MS_OK);
        json_t *root = json_of(&out);
        const json_t *release = json_array_get(json_object_get(root, "releases"), 0);
        const json_t *records = json_object_get(release, "records");
        char ids[16] = "";
        for (size_t k = 0; k < json_array_size(records) && k < 8; k++)
            ids[k] = text(json_array_get(records, k), "measurement_id")[0];
        if (json_is_true(json_object_get(root, "known")) != moments[i].known ||
            json_is_true(json_object_get(root, "in_force")) != moments[i].in_force ||
            strstr(text(root, "why"), moments[i].why) == NULL || strcmp(ids, moments[i].ids) != 0 ||
            number(json_object_get(root, "confirmed"), "last") != moments[i].last_s)
            fail_msg("%s: %s", moments[i].name, json_dumps(root, JSON_INDENT(1)));
        json_decref(root);
        spec_done(&spec);
    }
    cache_close(cache);
}

static const struct {
    const char *name;
    int64_t time_s;
    const char *by; /* "": nothing is known */
    bool in_force, complete;
    int operation;
    const char *releases; /* of the chain: id, status, document, the record's name */
} past_moments[] = {
    {"before it was there", PAST(99), "chain", false, true, 0, ""},
    {"the first second", PAST(100), "chain", true, true, 1, ""},
    {"before the first approval", PAST(199), "chain", true, true, 1, ""},
    {"the first approval", PAST(200), "chain", true, true, 2, "1 in-force known m51"},
    {"the second", PAST(300), "chain", true, true, 3, "1 in-force known m51, 2 in-force missing -"},
    {"the last second of both", PAST(399), "chain", true, true, 3,
     "1 in-force known m51, 2 in-force missing -"},
    {"after a block that took both", PAST(400), "chain", true, true, 5, ""},
    {"the third", PAST(500), "chain", true, true, 6, "3 in-force known m53"},
    {"the block it was read in", PAST_READ, "chain", true, true, 6, "3 in-force known m53"},
    {"a second later", PAST_READ + 1, "", false, false, 0, ""},
    {"when it was accepted", PAST_ACCEPTED, "seen", true, false, 0, ""},
};

static void list_releases(const json_t *releases, char *out, size_t size)
{
    size_t i, n = 0;
    json_t *one;

    out[0] = '\0';
    json_array_foreach(releases, i, one)
    {
        const json_t *record = json_array_get(json_object_get(one, "records"), 0);
        n += (size_t)snprintf(out + n, size - n, "%s%lld %s %s %s", i == 0 ? "" : ", ",
                              (long long)number(one, "id"), text(one, "status"),
                              text(one, "document"),
                              record == NULL ? "-" : text(record, "measurement_id"));
    }
}

/* What is said of a moment: "yes", "no", and why. */
static void must_be(const char *of, int64_t time_s, int64_t now_s, bool in_force, const char *why)
{
    struct ms_buf out = MS_BUF_INIT(REPORT_MAX_BYTES);
    struct spec spec = spec_of(of);
    struct cache *cache = must_read();

    assert_int_equal(report_at(cache, &spec, time_s, now_s, &out, NULL), MS_OK);
    json_t *root = json_of(&out);
    if (json_is_true(json_object_get(root, "in_force")) != in_force ||
        strstr(text(root, "why"), why) == NULL)
        fail_msg("%lld: %s", (long long)time_s, text(root, "why"));
    json_decref(root);
    spec_done(&spec);
    cache_close(cache);
}

/* No longer than the daemon served: the longer of both times in which stale is good enough, within
 * what evidence and governance allow, and nothing before it has come. */
static void test_at_limits(void **state)
{
    struct cache *cache = must_open();

    (void)state;
    changes_location(cache, SITE, document("a", "1"), T0,
                     1); /* 99 s are left fresh, stale 60 or 3600 */
    cache_close(cache);
    must_be(SITE, T0 + 3698, LATER, true, "accepted");
    must_be(SITE, T0 + 3699, LATER, false, "nobody had looked");
    must_be(SITE, T0 + 10, T0 + 10, true, "accepted");
    must_be(SITE, T0 + 11, T0 + 10, false, "has not come");
    cache = must_open();
    changes_confirm(cache, SITE, SPEC_LEVEL_NONE, T0 + 100, T0 - 86400 + 300, 0);
    cache_close(cache);
    must_be(SITE, T0 + 299, LATER, true, "accepted");
    must_be(SITE, T0 + 300, LATER, false, "nobody had looked"); /* the evidence was a day old */
}

/* A set ends when governance says so; those who sign freshness may move that. */
static void test_at_end(void **state)
{
    struct cache *cache = must_open();
    int64_t end_s = T0 + 1000;

    (void)state;
    chain_init(&chain);
    (void)chain_approve(&chain, chain_document(0x11), NULL);
    chain.snapshot.state.valid_until_s = (uint64_t)end_s;
    chain_touch(&chain);
    changes_registry(cache, &chain, 100, T0);
    chain_done(&chain);
    changes_confirm(cache, CHAIN_SPEC, SPEC_LEVEL_L3, T0 + 500, T0 + 400, end_s);
    cache_close(cache);
    must_be(CHAIN_SPEC, end_s, LATER, true, "accepted");
    must_be(CHAIN_SPEC, end_s + 1, LATER, false, "governance itself ended");
    cache = must_open();
    changes_confirm(cache, CHAIN_SPEC, SPEC_LEVEL_L3, T0 + 900, T0 + 800, end_s + 1000);
    changes_confirm(cache, CHAIN_SPEC, SPEC_LEVEL_L3, T0 + 1500, T0 + 1400, end_s + 1000);
    cache_close(cache);
    must_be(CHAIN_SPEC, end_s + 1, LATER, false, "nobody is known to have seen it put off");
    must_be(CHAIN_SPEC, T0 + 1500, LATER, true, "accepted");
    must_be(CHAIN_SPEC, end_s + 1000, LATER, true, "accepted");
    must_be(CHAIN_SPEC, end_s + 1001, LATER, false, "nobody had looked");
}

/* ---- at: what is neither a set nor a confirmation, and what ends by itself ---- */

static json_t *at(struct cache *cache, const char *of, int64_t time_s)
{
    struct ms_buf out = MS_BUF_INIT(REPORT_MAX_BYTES);
    struct spec spec = spec_of(of);

    assert_int_equal(report_at(cache, &spec, time_s, LATER, &out, NULL), MS_OK);
    spec_done(&spec);
    return json_of(&out);
}

struct moment {
    const char *name;
    int64_t time_s;
    bool in_force;
    const char *why;
    const char *status; /* of each release a letter: in-force, pending, expired */
};

static void must_say(struct cache *cache, const char *of, const struct moment *m)
{
    json_t *root = at(cache, of, m->time_s);
    const json_t *releases = json_object_get(root, "releases");
    char status[8] = "";

    for (size_t i = 0; i < json_array_size(releases) && i < sizeof(status) - 1; i++)
        status[i] = text(json_array_get(releases, i), "status")[0];
    if (json_is_true(json_object_get(root, "in_force")) != m->in_force ||
        strstr(text(root, "why"), m->why) == NULL || strcmp(status, m->status) != 0)
        fail_msg("%s: releases '%s': %s", m->name, status, json_dumps(root, JSON_INDENT(1)));
    json_decref(root);
}

/* What the store writes when evidence changed no set: the entry as it is but for its status. */
static void trouble(struct cache *cache, const char *of, enum spec_level level, const char *kind,
                    enum cache_status status, int64_t time_s)
{
    struct ms_arena arena = MS_ARENA_INIT(65536);
    struct ms_span evidence = ms_span_str(kind); /* of no interest here */
    struct cache_entry e = {0};
    struct spec spec = spec_of(of);
    bool has = false;

    assert_int_equal(cache_entry_get(cache, &spec.key, level, &arena, &e, &has, NULL), MS_OK);
    assert_true(has);
    e.status = status;
    const struct cache_history h = {.key = spec.key,
                                    .level = level,
                                    .time_s = time_s,
                                    .status = status,
                                    .kind = kind,
                                    .set_hash = e.set_hash,
                                    .has_bundle = true,
                                    .bundle = ms_sha256(evidence)};
    const struct cache_change change = {1, &evidence, &e, &h};
    assert_int_equal(cache_commit(cache, &change, NULL), MS_OK);
    spec_done(&spec);
    ms_arena_done(&arena);
}

static void test_at_trouble(void **state)
{
    static const struct moment of_list[] = {
        {"before the contradiction", T0 + 49, true, "accepted and confirmed", "i"},
        {"two answers", T0 + 50, false, "contradicted each other since", "i"},
        {"and still", T0 + 99, false, "nothing was served", "i"},
        {"a new set", T0 + 100, true, "accepted and confirmed", "i"},
    };
    static const struct moment of_chain[] = {
        {"before", T0 + 19, true, "accepted and confirmed", "i"},
        {"endpoints disagree", T0 + 20, true, "held: endpoints contradicted each other", "i"},
        {"confirmed again", T0 + 30, true, "accepted and confirmed", "i"},
        {"other code", T0 + 40, true, "held: other code was found", "i"},
        {"held no longer than that", T0 + 10000000, false, "nobody had looked", "i"},
    };

    (void)state;
    struct cache *cache = must_open();
    changes_location(cache, SITE, document("a", "1"), T0, 1);
    trouble(cache, SITE, SPEC_LEVEL_NONE, "conflict", CACHE_CONFLICT, T0 + 50);
    trouble(cache, SITE, SPEC_LEVEL_NONE, "dissent", CACHE_CONFLICT, T0 + 60); /* changes nothing */
    changes_location(cache, SITE, document("b", "1"), T0 + 100, 2);
    chain_init(&chain);
    (void)chain_approve(&chain, chain_document(0x11), NULL);
    changes_registry(cache, &chain, 100, T0);
    trouble(cache, CHAIN_SPEC, SPEC_LEVEL_L3, "dissent", CACHE_GOOD, T0 + 20);
    changes_touch(cache, CHAIN_SPEC, SPEC_LEVEL_L3, T0 + 30);
    trouble(cache, CHAIN_SPEC, SPEC_LEVEL_L3, "hold", CACHE_HOLD, T0 + 40);
    for (size_t i = 0; i < MS_ARRAY_LEN(of_list); i++)
        must_say(cache, SITE, &of_list[i]);
    for (size_t i = 0; i < MS_ARRAY_LEN(of_chain); i++)
        must_say(cache, CHAIN_SPEC, &of_chain[i]);
    chain_done(&chain);
    cache_close(cache);
}

/* One question at another level does not end what is known of the level that is asked for all the
 * time. */
static void test_at_levels(void **state)
{
    static const struct moment moments_of[] = {
        {"both", T0 + 500, true, "accepted and confirmed", "i"},
        {"the one that is watched", T0 + 40000, true, "accepted and confirmed", "i"},
    };

    (void)state;
    struct cache *cache = must_open();
    chain_init(&chain);
    (void)chain_approve(&chain, chain_document(0x11), NULL);
    changes_registry(cache, &chain, 100, T0);
    changes_registry_at(cache, &chain, SPEC_LEVEL_L2, 100, T0 + 1);
    for (int64_t t = T0 + 60; t <= T0 + 40000; t += 600)
        changes_touch(cache, CHAIN_SPEC, SPEC_LEVEL_L3, t);
    for (size_t i = 0; i < MS_ARRAY_LEN(moments_of); i++)
        must_say(cache, CHAIN_SPEC, &moments_of[i]);
    json_t *root = at(cache, CHAIN_SPEC, T0 + 40000);
    assert_string_equal(text(json_object_get(root, "row"), "level"), "l3");
    json_decref(root);
    chain_done(&chain);
    cache_close(cache);
}

#define WINDOW (T0 + 1000)

/* Windows of releases as of then, and the end that governance itself gave. */
static void test_at_windows(void **state)
{
    static const struct moment moments_of[] = {
        {"one of three", T0, true, "accepted", "ipi"},
        {"before the second", WINDOW - 1, true, "accepted", "ipi"},
        {"it begins", WINDOW, true, "accepted", "iii"},
        {"before the third ends", WINDOW + 9, true, "accepted", "iii"},
        {"its first second without", WINDOW + 10, true, "accepted", "iie"},
        {"governance's last second", WINDOW + 500, true, "accepted", "iie"},
        {"and then", WINDOW + 501, false, "ended the set after", "iie"},
    };

    (void)state;
    struct cache *cache = must_open();
    chain_init(&chain);
    (void)chain_approve(&chain, chain_document(0x11), NULL);
    chain_approve(&chain, chain_document(0x22), NULL)->not_before_s = WINDOW;
    chain_approve(&chain, chain_document(0x33), NULL)->not_after_s = WINDOW + 10;
    chain.snapshot.state.valid_until_s = WINDOW + 500;
    changes_registry(cache, &chain, 100, T0);
    for (int64_t t = T0 + 100; t <= WINDOW + 400; t += 100)
        changes_touch(cache, CHAIN_SPEC, SPEC_LEVEL_L3, t);
    for (size_t i = 0; i < MS_ARRAY_LEN(moments_of); i++)
        must_say(cache, CHAIN_SPEC, &moments_of[i]);
    /* confirmed later all the same: it was put off, from that look on */
    static const struct moment put_off[] = {
        {"still its last second", WINDOW + 500, true, "accepted", "iie"},
        {"not seen yet", WINDOW + 599, false, "nobody is known to have seen it put off", "iie"},
        {"seen", WINDOW + 650, true, "accepted and confirmed", "iie"},
    };
    changes_touch(cache, CHAIN_SPEC, SPEC_LEVEL_L3, WINDOW + 550);
    changes_touch(cache, CHAIN_SPEC, SPEC_LEVEL_L3, WINDOW + 600);
    for (size_t i = 0; i < MS_ARRAY_LEN(put_off); i++)
        must_say(cache, CHAIN_SPEC, &put_off[i]);
    chain_done(&chain);
    cache_close(cache);
}

static void test_at_all_over(void **state)
{
    static const struct moment moments_of[] = {
        {"not begun", WINDOW - 1, true, "nothing was approved", "p"},
        {"begun", WINDOW, true, "accepted and confirmed", "i"},
        {"over", WINDOW + 1, true, "nothing was approved", "e"},
    };

    (void)state;
    struct cache *cache = must_open();
    chain_init(&chain);
    struct registry_release *only = chain_approve(&chain, chain_document(0x11), NULL);
    only->not_before_s = WINDOW;
    only->not_after_s = WINDOW + 1;
    changes_registry(cache, &chain, 100, T0);
    changes_touch(cache, CHAIN_SPEC, SPEC_LEVEL_L3, WINDOW);
    for (size_t i = 0; i < MS_ARRAY_LEN(moments_of); i++)
        must_say(cache, CHAIN_SPEC, &moments_of[i]);
    chain_done(&chain);
    cache_close(cache);
}

/* What was approved before anybody looked, from the registry's own history. */
static void test_at_past(void **state)
{
    (void)state;
    fill();
    struct cache *cache = must_read();
    for (size_t i = 0; i < MS_ARRAY_LEN(past_moments); i++) {
        json_t *root = at(cache, CHANGES_PAST_SPEC, past_moments[i].time_s);
        const json_t *chain_part = json_object_get(root, "chain");
        char got[256], top[256];
        bool alone = strcmp(past_moments[i].by, "chain") == 0;
        list_releases(json_object_get(chain_part, "releases"), got, sizeof(got));
        list_releases(json_object_get(root, "releases"), top, sizeof(top));
        if (strcmp(text(root, "by"), past_moments[i].by) != 0 ||
            json_is_true(json_object_get(root, "known")) != (past_moments[i].by[0] != '\0') ||
            json_is_true(json_object_get(root, "in_force")) != past_moments[i].in_force ||
            json_is_true(json_object_get(chain_part, "complete")) != past_moments[i].complete ||
            number(chain_part, "operation") != past_moments[i].operation ||
            strcmp(got, past_moments[i].releases) != 0 || (alone && strcmp(top, got) != 0) ||
            number(chain_part, "until") != PAST_READ)
            fail_msg("%s: %s", past_moments[i].name, json_dumps(root, JSON_INDENT(1)));
        json_decref(root);
    }
    cache_close(cache);
}

/* The same state confirmed in a later block is proof of the time up to then. */
static void test_at_confirmed(void **state)
{
    (void)state;
    fill();
    struct cache *cache = must_open();
    struct cache_entry e = {0};
    struct spec spec = spec_of(CHANGES_PAST_SPEC);
    struct ms_arena arena = MS_ARENA_INIT(65536);
    bool found = false;
    assert_int_equal(cache_entry_get(cache, &spec.key, SPEC_LEVEL_L3, &arena, &e, &found, NULL),
                     MS_OK);
    const struct cache_freshness fresh = {.bundle = e.bundle,
                                          .checked = {.wall_s = PAST_READ + 500},
                                          .evidence_time_s = PAST_READ + 400,
                                          .life = e.life};
    assert_int_equal(cache_touch(cache, &spec.key, SPEC_LEVEL_L3, &fresh, NULL), MS_OK);
    spec_done(&spec);
    ms_arena_done(&arena);
    for (int64_t after = 0; after < 2; after++) {
        json_t *root = at(cache, CHANGES_PAST_SPEC, PAST_READ + 400 + after);
        const json_t *chain_part = json_object_get(root, "chain");
        assert_string_equal(text(root, "by"), "seen");
        assert_true(json_is_true(json_object_get(chain_part, "complete")) == (after == 0));
        assert_int_equal(number(chain_part, "until"), PAST_READ + 400);
        json_decref(root);
    }
    cache_close(cache);
}

static const char *document_at(const struct past_file *file, int64_t time_s)
{
    static char word[32];
    json_t *at = past_file_at(file, time_s);
    const json_t *one = json_array_get(json_object_get(at, "releases"), 0);

    (void)snprintf(word, sizeof(word), "%s", json_string_value(json_object_get(one, "document")));
    json_decref(at);
    return word;
}

/* A registry whose owner once named a wrong size, took it back and approved the same document
 * again: its past can be carried elsewhere, and says of each moment what was so. */
static void test_past_size(void **state)
{
    static struct fake_history fake;
    const char *const documents[] = {past_documents()[0], past_documents()[0]};
    struct ms_buf text = MS_BUF_INIT(PAST_FILE_MAX_BYTES);
    struct past_file file;
    struct ms_diag diag = {0};
    (void)state;

    fake_history_init(&fake);
    fake_history_add(&fake, 100, 0);
    fake_history_approve_wrong(&fake, 200, documents[0]);
    fake_history_revoke(&fake, 300, 0);
    fake_history_approve(&fake, 400, documents[1], PAST(400), 0);
    struct cache *cache = must_open();
    (void)changes_history(cache, &fake, documents, 2000, PAST_ACCEPTED);
    const struct cache_past_document known = {
        .bytes = ms_span_str(documents[0]), .provider = "a", .recorded_s = PAST_READ};
    assert_int_equal(cache_past_documents_add(cache, &known, 1, NULL), MS_OK);
    struct spec spec = spec_of(CHANGES_PAST_SPEC);
    assert_int_equal(report_past(cache, &spec, &text, &diag), MS_OK);
    past_file_init(&file);
    if (past_file_read(ms_buf_span(&text), &file, &diag) != MS_OK)
        fail_msg("%s", diag.text);
    assert_string_equal(document_at(&file, PAST(250)), "unreadable");
    assert_string_equal(document_at(&file, PAST(450)), "known");
    past_file_done(&file);
    ms_buf_done(&text);
    spec_done(&spec);
    cache_close(cache);
    fake_history_done(&fake);
}

/* A later state with another operation, which was accepted and whose operation was not fetched yet,
 * proves nothing of the time in between. */
static void test_at_newer(void **state)
{
    static struct fake_history fake;
    (void)state;
    fill();
    struct cache *cache = must_open();
    past_history(&fake);
    fake_history_revoke(&fake, 30000, 0);
    fake.n = 0; /* the state, and no operations */
    (void)changes_history(cache, &fake, past_documents(), 3000, PAST_READ + 12 * 1000 + 300);
    json_t *root = at(cache, CHANGES_PAST_SPEC, PAST_READ + 1);
    assert_int_equal(number(json_object_get(root, "chain"), "until"), PAST_READ);
    assert_true(json_is_false(json_object_get(root, "known")));
    json_decref(root);
    fake_history_done(&fake);
    cache_close(cache);
}

static const struct {
    const char *name, *sql, *why;
} doubtful[] = {
    {"an operation that was changed", "UPDATE operation SET time_s = time_s + 1 WHERE sequence = 2",
     "operation 2"},
    {"one that is missing", "DELETE FROM operation WHERE sequence = 2",
     "operation 1 is not the newest"},
    {"the newest is missing", "DELETE FROM operation WHERE sequence = 6",
     "operation 5 is not the newest"},
    {"the first are missing", "DELETE FROM operation WHERE sequence < 3",
     "operations 1 to 2 are not stored"},
};

/* Of a history that is not whole nothing is said, and what was accepted is told all the same. */
static void test_at_doubtful(void **state)
{
    for (size_t i = 0; i < MS_ARRAY_LEN(doubtful); i++) {
        char sql[512];
        fill();
        (void)snprintf(sql, sizeof(sql),
                       "DROP TRIGGER operation_no_update; DROP TRIGGER operation_no_delete; %s",
                       doubtful[i].sql);
        raw(sql);
        struct cache *cache = must_read();
        for (int seen = 0; seen < 2; seen++) {
            json_t *root = at(cache, CHANGES_PAST_SPEC, seen ? PAST_ACCEPTED : PAST(250));
            const json_t *chain_part = json_object_get(root, "chain");
            if (json_is_true(json_object_get(root, "known")) != seen ||
                json_is_true(json_object_get(root, "in_force")) != seen ||
                json_array_size(json_object_get(root, "releases")) != (size_t)seen ||
                !json_is_false(json_object_get(chain_part, "complete")) ||
                json_object_get(chain_part, "releases") != NULL ||
                strstr(text(chain_part, "why"), doubtful[i].why) == NULL)
                fail_msg("%s: %s", doubtful[i].name, json_dumps(root, JSON_INDENT(1)));
            json_decref(root);
        }
        cache_close(cache);
        assert_int_equal(drop_dir(state), 0);
        assert_int_equal(fresh_dir(state), 0);
    }
}

/* A row from before there were summaries is listed from its evidence, with the same words. */
static void test_no_summary(void **state)
{
    (void)state;
    fill();
    struct cache *cache = must_read();
    json_t *with = history_of(cache, SITE, (struct report_page){0});
    cache_close(cache);
    raw("DROP TRIGGER history_no_update; UPDATE history SET summary = NULL, build = NULL");
    cache = NULL;
    bool has_key = false;
    assert_int_equal(unlink(in_dir("measured.hmac")), 0);
    /* codes are of no use now: as an audit without the key */
    assert_int_equal(cache_open_audit(in_dir("measured.db"), &cache, &has_key, NULL), MS_OK);
    assert_false(has_key);
    json_t *without = history_of(cache, SITE, (struct report_page){0});
    for (size_t i = 0; i < 3; i++)
        (void)json_object_del((json_t *)(uintptr_t)row_at(with, i), "build");
    if (!json_equal(with, without))
        fail_msg("%s\n%s", json_dumps(with, 0), json_dumps(without, 0));
    json_decref(with);
    json_decref(without);
    cache_close(cache);
}

/* ---- audits ---- */

static struct {
    size_t n, len;
    char all[8192]; /* "WHAT ROW: WHY" lines */
} found;

static void on_finding(void *arg, const struct audit_finding *f)
{
    (void)arg;
    found.n++;
    if (found.len < sizeof(found.all) - 1)
        found.len += (size_t)snprintf(found.all + found.len, sizeof(found.all) - found.len,
                                      "%s %llu: %s\n", f->what, (unsigned long long)f->n, f->why);
}

/* false: the file cannot even be read. */
static bool audit(struct audit_counts *counts)
{
    const struct audit_sink sink = {.finding = on_finding};

    memset(&found, 0, sizeof(found));
    memset(counts, 0, sizeof(*counts));
    return audit_db(in_dir("measured.db"), &sink, counts, NULL) == MS_OK;
}

static void must_be_clean(void)
{
    struct audit_counts counts;

    if (!audit(&counts) || counts.found != 0)
        fail_msg("not clean: %s", found.all);
    assert_true(counts.has_key && counts.has_floor);
    assert_int_equal(counts.history, 7);
    assert_int_equal(counts.replayed, 7);
    assert_int_equal(counts.summaries, 7);
    assert_int_equal(counts.entries, 3);
    assert_int_equal(counts.blobs, 9);
    assert_int_equal(counts.confirmed, 8);
    assert_int_equal(counts.documents, 2);
}

static enum ms_err take_bundle(void *arg, enum ms_err row, const struct cache_history *h,
                               const struct ms_diag *why)
{
    struct ms_sha256 *names = arg;
    (void)why;
    if (row == MS_OK && h->n <= 7)
        names[h->n - 1] = h->bundle;
    return MS_OK;
}

/* Databases from before resolver/entry/pack.h have evidence as gzip members, or as it is. */
static void test_gzip_members(void **state)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *stmt = NULL;
    struct ms_sha256 names[7] = {0};

    (void)state;
    fill();
    struct cache *cache = must_read();
    assert_int_equal(cache_history_each(cache, NULL, take_bundle, names, NULL), MS_OK);
    assert_int_equal(sqlite3_open(in_dir("measured.db"), &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db,
                                        "UPDATE blob SET data = ?2, encoding = ?3 WHERE hash = ?1",
                                        -1, &stmt, NULL),
                     SQLITE_OK);
    for (size_t i = 0; i < MS_ARRAY_LEN(names); i++) {
        struct ms_buf text = MS_BUF_INIT(BUNDLE_MAX_BYTES), packed = MS_BUF_INIT(BUNDLE_MAX_BYTES);
        bool has = false;
        assert_int_equal(cache_blob_get(cache, &names[i], &text, &has, NULL), MS_OK);
        assert_true(has);
        assert_int_equal(ms_gzip(ms_buf_span(&text), &packed), MS_OK);
        const struct ms_buf *data = i == 0 ? &text : &packed;
        (void)sqlite3_bind_blob(stmt, 1, names[i].b, MS_SHA256_BYTES, SQLITE_STATIC);
        (void)sqlite3_bind_blob64(stmt, 2, data->ptr, data->len, SQLITE_STATIC);
        (void)sqlite3_bind_int(stmt, 3, i == 0 ? 0 : 1);
        assert_int_equal(sqlite3_step(stmt), SQLITE_DONE);
        (void)sqlite3_reset(stmt);
        ms_buf_done(&text);
        ms_buf_done(&packed);
    }
    (void)sqlite3_finalize(stmt);
    (void)sqlite3_close(db);
    cache_close(cache);
    must_be_clean();
}

#define DOCUMENTS_OPEN "DROP TRIGGER past_document_no_update; DROP TRIGGER past_document_no_delete;"
#define DOCUMENTS_SHUT                                                      \
    "CREATE TRIGGER past_document_no_update BEFORE UPDATE ON past_document" \
    " BEGIN SELECT RAISE(ABORT, 'the past is append-only'); END;"           \
    "CREATE TRIGGER past_document_no_delete BEFORE DELETE ON past_document" \
    " BEGIN SELECT RAISE(ABORT, 'the past is append-only'); END;"

static const struct {
    const char *name, *sql, *want;
} tampered[] = {
    {"a summary", "UPDATE history SET summary = replace(summary, 'fresh', 'hold') WHERE n = 1",
     "code"},
    {"a row taken out", "DELETE FROM history WHERE n = 2", ""},
    {"the last row taken out", "DELETE FROM history WHERE n = 7", "deleted at the end"},
    {"the last row and the counter",
     "DELETE FROM history WHERE n = 7; UPDATE sqlite_sequence SET seq = 6; DELETE FROM confirmed"
     " WHERE n = 7",
     ""},
    {"a document's giver",
     DOCUMENTS_OPEN "UPDATE past_document SET provider = 'b' WHERE provider = 'a';" DOCUMENTS_SHUT,
     "document 0: "},
    {"a document that nobody approved",
     DOCUMENTS_OPEN "DROP TRIGGER operation_no_delete; DELETE FROM operation WHERE kind = 1;"
                    "CREATE TRIGGER operation_no_delete BEFORE DELETE ON operation"
                    " BEGIN SELECT RAISE(ABORT, 'operations are append-only'); END;" DOCUMENTS_SHUT,
     "no operation approved"},
    {"a document without its row",
     DOCUMENTS_OPEN "DELETE FROM past_document WHERE provider = 'a';" DOCUMENTS_SHUT,
     "nothing refers to it"},
    {"a row without its document",
     "DELETE FROM blob WHERE hash = (SELECT hash FROM past_document WHERE provider = 'a')",
     "the document itself is missing"},
    {"other bytes of a document",
     "UPDATE blob SET encoding = 0, size = 2, data = x'5b5d' WHERE hash ="
     " (SELECT hash FROM past_document WHERE provider = 'a')",
     "bytes that it is named after"},
    {"a confirmation", "UPDATE confirmed SET until_s = until_s + 5 WHERE id = 1", "code"},
    {"confirmations taken out", "DELETE FROM confirmed WHERE n = 5",
     "confirmed 5: its first confirmation is missing"},
    {"an entry taken out", "DELETE FROM entry WHERE level = 0", "its floor"},
    {"evidence that nothing needs",
     "INSERT INTO blob SELECT x'0000000000000000000000000000000000000000000000000000000000000001',"
     " 0, 0, x''",
     "bytes that it is named after"},
    {"what an endpoint told of a contract",
     "DROP TRIGGER contract_log_no_update; UPDATE contract_log SET data = x'00';"
     "CREATE TRIGGER contract_log_no_update BEFORE UPDATE ON contract_log"
     " BEGIN SELECT RAISE(ABORT, 'logs are append-only'); END",
     "contract-log 0: a row of table contract_log"},
    {"the blocks an endpoint was asked about",
     "INSERT INTO log_range SELECT zeroblob(32), 0, to_block, n_logs, provider, recorded_s, hmac"
     " FROM log_range",
     "contract-log 0: a row of table log_range"},
    {"another table", "CREATE TABLE more(x)", "not ours"},
    {"an index whose text is a blob now",
     "PRAGMA writable_schema = 1; UPDATE sqlite_schema SET sql = CAST(sql AS BLOB)"
     " WHERE name = 'confirmed_n'",
     "not ours, near index confirmed_n"},
    {"a trigger", "DROP TRIGGER entry_floor", "not ours"},
};

static void test_tampered(void **state)
{
    struct audit_counts counts;

    for (size_t i = 0; i < MS_ARRAY_LEN(tampered); i++) {
        char sql[2048];
        fill();
        must_be_clean();
        (void)snprintf(sql, sizeof(sql),
                       "DROP TRIGGER history_no_update; DROP TRIGGER history_no_delete; %s;"
                       "CREATE TRIGGER history_no_update BEFORE UPDATE ON history"
                       " BEGIN SELECT RAISE(ABORT, 'history is append-only'); END;"
                       "CREATE TRIGGER history_no_delete BEFORE DELETE ON history"
                       " BEGIN SELECT RAISE(ABORT, 'history is append-only'); END;",
                       tampered[i].sql);
        raw(sql);
        bool read = audit(&counts);
        if (!read || counts.found == 0 || strstr(found.all, tampered[i].want) == NULL)
            fail_msg("%s: %zu findings: %s", tampered[i].name, found.n, found.all);
        assert_int_equal(drop_dir(state), 0);
        assert_int_equal(fresh_dir(state), 0);
    }
}

/* More rows than are replayed at a time: all of them are, each compared with the one before it. */
static void test_many(void **state)
{
    struct audit_counts counts;
    const uint64_t n = 150;

    (void)state;
    struct cache *cache = must_open();
    for (uint64_t i = 0; i < n; i++) {
        const char fill[] = {(char)('1' + i / 3 % 5), '\0'};
        changes_location(cache, i % 3 == 0 ? SITE : SITE "?b", document("a", fill), T0 + (int64_t)i,
                         i + 1);
    }
    cache_close(cache);
    assert_true(audit(&counts));
    if (counts.found != 0)
        fail_msg("%s", found.all);
    assert_int_equal(counts.replayed, n);
    assert_int_equal(counts.summaries, n);
    assert_int_equal(counts.blobs, n);
    raw("UPDATE blob SET data = x'00' WHERE hash = (SELECT bundle FROM history WHERE n = 100)");
    assert_true(audit(&counts));
    assert_int_equal(counts.replayed, n - 1);
    assert_non_null(strstr(found.all, "history 100: the stored evidence"));
    /* the one after it, in the history of the same list */
    assert_non_null(strstr(found.all, "history 103: what differs from the set before cannot"));
}

/* The codes are right, for the writer itself wrote what its evidence does not say. */
static void test_lies(void **state)
{
    struct audit_counts counts;

    (void)state;
    fill();
    struct cache *cache = must_open();
    struct ms_buf text = MS_BUF_INIT(BUNDLE_MAX_BYTES);
    struct cache_entry e = {0};
    struct spec spec = spec_of(SITE);
    struct ms_arena arena = MS_ARENA_INIT(65536);
    bool has = false;
    assert_int_equal(cache_entry_get(cache, &spec.key, SPEC_LEVEL_NONE, &arena, &e, &has, NULL),
                     MS_OK);
    struct cache_history h = {.key = spec.key,
                              .time_s = T0 + 20000000,
                              .status = CACHE_GOOD,
                              .kind = REPORT_KIND_SET,
                              .has_sequence = true,
                              .sequence = 4,
                              .set_hash = e.set_hash,
                              .has_bundle = true,
                              .bundle = e.bundle,
                              .summary = "{\"added\":[],\"v\":1}"};
    struct cache_change change = {0, NULL, &e, &h};
    assert_int_equal(cache_commit(cache, &change, NULL), MS_OK);
    h.set_hash = hash_of("another set");
    h.summary = NULL;
    assert_int_equal(cache_commit(cache, &change, NULL), MS_OK);
    cache_close(cache);
    assert_true(audit(&counts));
    assert_int_equal(counts.found, 2);
    assert_non_null(strstr(found.all, "history 8: its summary"));
    spec_done(&spec);
    ms_arena_done(&arena);
    ms_buf_done(&text);
}

static void copy(const char *from, const char *to)
{
    char command[512];
    char a[128];

    (void)snprintf(a, sizeof(a), "%s", in_dir(from));
    (void)snprintf(command, sizeof(command), "cp %s %s", a, in_dir(to));
    assert_int_equal(system(command), 0); /* NOLINT: the test's own names */
}

/* A database of before, put back, is noticed; so it is when it has grown again; not when the second
 * file is as old. */
static void test_restored(void **state)
{
    struct audit_counts counts;
    const char *why = NULL;

    (void)state;
    struct cache *cache = must_open();
    changes_location(cache, SITE, document("a", "1"), T0, 1);
    cache_close(cache);
    copy("measured.db", "measured.db-old");
    copy("measured.floor", "measured.floor-old");
    cache = must_open();
    changes_location(cache, SITE, document("b", "1"), T0 + 1, 2);
    assert_int_equal(cache_floor(cache, &why), CACHE_FLOOR_OK);
    cache_close(cache);
    copy("measured.floor", "measured.floor-new");
    copy("measured.db-old", "measured.db");
    cache = must_open();
    assert_int_equal(cache_floor(cache, &why), CACHE_FLOOR_OLDER);
    assert_non_null(strstr(why, "row 2"));
    changes_location(cache, SITE, document("c", "1"), T0 + 2, 2); /* another row 2 */
    cache_close(cache);
    cache = must_open();
    assert_int_equal(cache_floor(cache, &why), CACHE_FLOOR_OLDER);
    cache_close(cache);
    assert_true(audit(&counts));
    assert_int_equal(counts.found, 1);
    assert_non_null(strstr(found.all, "floor"));

    copy("measured.db-old", "measured.db");
    copy("measured.floor-old", "measured.floor");
    assert_true(audit(&counts));
    assert_int_equal(counts.found, 0);
    for (size_t i = 0; i < 2; i++) { /* a torn slot leaves the other */
        copy("measured.floor-new", "measured.floor");
        int fd = open(in_dir("measured.floor"), O_WRONLY);
        assert_int_equal(pwrite(fd, "x", 1, (off_t)(512 * i + 20)), 1);
        (void)close(fd);
        cache = must_open();
        assert_int_not_equal(cache_floor(cache, &why), CACHE_FLOOR_BAD);
        cache_close(cache);
    }
    (void)unlink(in_dir("measured.db-old"));
    (void)unlink(in_dir("measured.floor-old"));
    (void)unlink(in_dir("measured.floor-new"));
}

/* Signed sets of the past beside all the rest. */
static void fill_past_sets(void)
{
    struct cache *cache = must_open();
    struct past past;

    past_make(&past, cache, 6);
    assert_int_equal(past_add(&past, cache, 5, 4), MS_OK);
    assert_int_equal(past_add(&past, cache, 2, 1), MS_OK);
    past_done(&past);
    cache_close(cache);
}

struct names { /* of blobs */
    size_t n;
    struct ms_sha256 items[32];
};

static enum ms_err note_bundle(void *arg, enum ms_err row, const struct cache_history *h,
                               const struct ms_diag *why)
{
    struct names *names = arg;
    (void)why;
    if (row == MS_OK && names->n < MS_ARRAY_LEN(names->items))
        names->items[names->n++] = h->bundle;
    return MS_OK;
}

static enum ms_err note_set(void *arg, enum ms_err row, const struct cache_past_set *set,
                            const struct ms_diag *why)
{
    struct names *names = arg;
    (void)why;
    if (row == MS_OK && names->n < MS_ARRAY_LEN(names->items))
        names->items[names->n++] = set->document;
    return MS_OK;
}

static enum ms_err note_document(void *arg, enum ms_err row, const struct cache_past_document *d,
                                 const struct ms_diag *why)
{
    struct names *names = arg;
    (void)why;
    if (row == MS_OK && names->n < MS_ARRAY_LEN(names->items))
        names->items[names->n++] = d->hash;
    return MS_OK;
}

/* Evidence as it is read: two compressed texts may be of the same bytes (MTIME, XFL and OS of the
 * header; another distance to the same bytes). */
static bool dump_blobs(struct ms_buf *out)
{
    struct names names = {0};
    struct cache *cache = NULL;
    bool has_key, all = true;

    if (cache_open_audit(in_dir("measured.db"), &cache, &has_key, NULL) != MS_OK)
        return false;
    all = cache_history_each(cache, NULL, note_bundle, &names, NULL) == MS_OK &&
          cache_past_sets_each(cache, NULL, note_set, &names, NULL) == MS_OK &&
          cache_past_documents_each(cache, note_document, &names, NULL) == MS_OK &&
          names.n == 8 + 4 + 2;
    for (size_t i = 0; all && i < names.n; i++) {
        bool one = false;
        all = cache_blob_get(cache, &names.items[i], out, &one, NULL) == MS_OK && one;
    }
    cache_close(cache);
    return all;
}

/* All that the database says, as one text; false: it cannot be read. */
static bool dump(struct ms_buf *out)
{
    static const char *const queries[] = {"SELECT * FROM entry ORDER BY key, level",
                                          "SELECT * FROM history ORDER BY n",
                                          "SELECT hash, size FROM blob ORDER BY hash",
                                          "SELECT * FROM confirmed ORDER BY id",
                                          "SELECT * FROM log_entry ORDER BY n",
                                          "SELECT * FROM log_tile ORDER BY level, idx",
                                          "SELECT * FROM log_checkpoint ORDER BY size",
                                          "SELECT * FROM operation ORDER BY key, sequence",
                                          "SELECT * FROM contract_log ORDER BY key, block",
                                          "SELECT * FROM log_range ORDER BY key, from_block",
                                          "SELECT * FROM past_document ORDER BY hash",
                                          "SELECT * FROM past_set ORDER BY key, set_hash",
                                          "SELECT * FROM sqlite_sequence",
                                          "SELECT type, name, tbl_name, sql FROM sqlite_schema",
                                          "PRAGMA user_version",
                                          "PRAGMA application_id",
                                          "PRAGMA encoding"};
    sqlite3 *db = NULL;
    bool ok = sqlite3_open_v2(in_dir("measured.db"), &db, SQLITE_OPEN_READONLY, NULL) == SQLITE_OK;

    for (size_t i = 0; ok && i < MS_ARRAY_LEN(queries); i++) {
        sqlite3_stmt *stmt = NULL;
        ok = sqlite3_prepare_v2(db, queries[i], -1, &stmt, NULL) == SQLITE_OK;
        int rc = SQLITE_DONE;
        while (ok && (rc = sqlite3_step(stmt)) == SQLITE_ROW)
            for (int c = 0; c < sqlite3_column_count(stmt); c++) {
                const void *bytes = sqlite3_column_blob(stmt, c);
                size_t n = (size_t)sqlite3_column_bytes(stmt, c);
                (void)ms_buf_addf(out, "%d:%zu:", sqlite3_column_type(stmt, c), n);
                if (bytes != NULL)
                    (void)ms_buf_add(out, ms_span_of(bytes, n));
            }
        ok = ok && rc == SQLITE_DONE;
        (void)sqlite3_finalize(stmt);
    }
    (void)sqlite3_close(db);
    return ok && dump_blobs(out);
}

static void flip(int fd, off_t at, uint8_t with)
{
    uint8_t byte;

    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= with;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
}

/* One byte of the file changed: found, or the database says the same as before. */
static void test_flips(void **state)
{
    unsigned seed = getenv("MS_SEED") != NULL ? (unsigned)strtoul(getenv("MS_SEED"), NULL, 10)
                                              : (unsigned)time(NULL);
    struct ms_buf before = MS_BUF_INIT((size_t)8 << 20);
    size_t n_found = 0, n_same = 0;
    struct stat st;

    (void)state;
    (void)printf("seed %u\n", seed);
    srandom(seed);
    struct audit_counts clean;
    fill();
    fill_past_sets();
    raw("PRAGMA journal_mode = DELETE"); /* the whole of it in one file */
    assert_true(audit(&clean) && clean.found == 0 && clean.history == 8);
    assert_true(dump(&before));
    assert_int_equal(stat(in_dir("measured.db"), &st), 0);
    int fd = open(in_dir("measured.db"), O_RDWR);
    assert_true(fd >= 0);
    for (size_t i = 0; i < FLIPS; i++) {
        struct audit_counts counts;
        /* the header and the first page hold what is easiest to overlook */
        off_t size = i % 4 == 0 ? 200 : (off_t)st.st_size, at = (off_t)random() % size;
        uint8_t with = (uint8_t)(1u << (random() % 8));
        flip(fd, at, with);
        bool read = audit(&counts);
        if (read && counts.found == 0) {
            struct ms_buf after = MS_BUF_INIT((size_t)8 << 20);
            if (!dump(&after) || !ms_span_eq(ms_buf_span(&before), ms_buf_span(&after)))
                fail_msg("byte %lld with %02x: not found, and the database says something else",
                         (long long)at, with);
            ms_buf_done(&after);
            n_same++;
        } else {
            n_found++;
        }
        flip(fd, at, with);
    }
    (void)close(fd);
    assert_true(audit(&clean) && clean.found == 0);
    (void)printf("%zu flips found, %zu change nothing\n", n_found, n_same);
    assert_true(n_found > FLIPS / 8); /* each of the tables that are empty here has its pages too */
    ms_buf_done(&before);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, fresh_dir, drop_dir)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_listed),      TEST(test_pages),        TEST(test_diff),
        TEST(test_at),          TEST(test_no_summary),   TEST(test_gzip_members),
        TEST(test_tampered),    TEST(test_at_limits),    TEST(test_at_end),
        TEST(test_at_trouble),  TEST(test_at_levels),    TEST(test_at_windows),
        TEST(test_at_all_over), TEST(test_lies),         TEST(test_restored),
        TEST(test_flips),       TEST(test_many),         TEST(test_at_past),
        TEST(test_past_size),   TEST(test_at_confirmed), TEST(test_at_newer),
        TEST(test_at_doubtful),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
