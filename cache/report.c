/* cache/report.c - rows of a history: finding, summarising, listing. */
#include "cache/report_internal.h"

#include "base/hex.h"

#include <stdio.h>
#include <stdlib.h>

#define REPLAYS_MAX 50u                  /* of one page; then the page ends */
#define PAGE_MAX_BYTES ((size_t)4 << 20) /* of summaries; likewise */
#define ROW_ARENA_BYTES ((size_t)64 << 10)

/* ---- small things ---- */

json_t *report_hash(const struct ms_sha256 *hash)
{
    char text[7 + 2 * MS_SHA256_BYTES + 1] = "sha256:";

    ms_sha256_hex(hash, text + 7);
    return json_string(text);
}

json_t *report_head(const struct spec *spec)
{
    char key[2 * MS_SHA256_BYTES + 1];

    ms_sha256_hex(&spec->key, key);
    return json_pack("{s:i, s:s, s:s}", "v", 1, "specifier", spec->canonical, "key", key);
}

enum ms_err report_print(json_t *root, struct ms_buf *out)
{
    enum ms_err err = root == NULL ? MS_ERR_MEMORY : ms_json_print(root, false, out);

    json_decref(root);
    return err;
}

/* ---- one row ---- */

void report_row_done(struct report_row *row)
{
    ms_arena_done(&row->arena);
    *row = (struct report_row){0};
}

static bool keep_text(struct ms_arena *arena, const char **text)
{
    if (*text == NULL)
        return true;
    *text = ms_arena_strdup(arena, ms_span_str(*text));
    return *text != NULL;
}

static enum ms_err take_row(void *arg, enum ms_err bad, const struct cache_history *h,
                            const struct ms_diag *why)
{
    struct report_row *row = arg;

    row->h = *h;
    row->err = bad;
    row->found = true;
    if (bad != MS_OK) {
        row->diag = *why;
        return MS_OK;
    }
    return keep_text(&row->arena, &row->h.kind) && keep_text(&row->arena, &row->h.summary) &&
                   keep_text(&row->arena, &row->h.build)
               ? MS_OK
               : MS_ERR_MEMORY;
}

enum ms_err report_row_get(struct cache *cache, const struct ms_sha256 *key, uint64_t n,
                           struct report_row *ret_row, struct ms_diag *diag)
{
    const struct cache_range range = {.after = n - 1, .max = 1};

    *ret_row = (struct report_row){.arena = MS_ARENA_INIT(ROW_ARENA_BYTES)};
    enum ms_err err = cache_history_range(cache, key, &range, take_row, ret_row, diag);
    if (err == MS_OK && ret_row->found && ret_row->h.n != n)
        ret_row->found = false;
    if (err != MS_OK)
        report_row_done(ret_row);
    return err;
}

static enum ms_err bad_point(struct ms_diag *diag, struct ms_span point)
{
    return ms_diag_set(diag, MS_ERR_ARGUMENT,
                       "'%.*s' is no point of a history: a sequence (17), row:N, sha256:HEX, or "
                       "@ and a Unix time",
                       (int)(point.len > 80 ? 80 : point.len), (const char *)point.ptr);
}

static bool read_wanted(struct ms_span point, struct cache_wanted *w)
{
    uint64_t number = 0;

    if (ms_span_starts(point, "sha256:")) {
        w->has_hash = true;
        return ms_hex_decode(ms_span_sub(point, 7, point.len), w->hash.b, MS_SHA256_BYTES) == MS_OK;
    }
    if (ms_span_starts(point, "@")) {
        w->has_time = true;
        if (!ms_span_u64(ms_span_sub(point, 1, point.len), &number) || number > INT64_MAX / 4)
            return false;
        w->time_s = (int64_t)number;
        return true;
    }
    w->has_sequence = true;
    return ms_span_u64(point, &w->sequence);
}

/* The number of the row; a set is preferred to what changed none. */
static enum ms_err find_point(struct cache *cache, const struct ms_sha256 *key,
                              struct ms_span point, uint64_t *ret_n, struct ms_diag *diag)
{
    struct cache_wanted wanted = {.kind = REPORT_KIND_SET};

    if (point.len == 0 || point.len > REPORT_POINT_MAX)
        return bad_point(diag, ms_span_sub(point, 0, 80));
    if (ms_span_starts(point, "row:")) {
        if (!ms_span_u64(ms_span_sub(point, 4, point.len), ret_n) || *ret_n == 0 ||
            *ret_n > INT64_MAX)
            return bad_point(diag, point);
        return MS_OK;
    }
    if (!read_wanted(point, &wanted))
        return bad_point(diag, point);
    enum ms_err err = cache_history_find(cache, key, &wanted, ret_n, diag);
    if (err == MS_OK && *ret_n == 0 && !wanted.has_time) {
        wanted.kind = NULL;
        err = cache_history_find(cache, key, &wanted, ret_n, diag);
    }
    return err;
}

static enum ms_err no_such_row(struct ms_diag *diag, struct ms_span point)
{
    return ms_diag_set(diag, MS_ERR_NOT_FOUND, "there is no row %.*s in this history",
                       (int)point.len, (const char *)point.ptr);
}

enum ms_err report_row_at(struct cache *cache, const struct ms_sha256 *key, struct ms_span point,
                          struct report_row *ret_row, struct ms_diag *diag)
{
    uint64_t n = 0;

    enum ms_err err = find_point(cache, key, point, &n, diag);
    if (err != MS_OK)
        return err;
    *ret_row = (struct report_row){0};
    if (n != 0)
        err = report_row_get(cache, key, n, ret_row, diag);
    if (err == MS_OK && !ret_row->found)
        err = no_such_row(diag, point);
    else if (err == MS_OK && ret_row->err != MS_OK)
        err = ms_diag_set(diag, ret_row->err, "row %llu: %s", (unsigned long long)n,
                          ms_diag_text(&ret_row->diag, ret_row->err));
    if (err != MS_OK)
        report_row_done(ret_row);
    return err;
}

/* ---- evidence of a row ---- */

enum ms_err report_bundle(struct cache *cache, const struct cache_history *h, struct ms_buf *out,
                          struct ms_diag *diag)
{
    bool found = false;

    if (!h->has_bundle)
        return ms_diag_set(diag, MS_ERR_EVIDENCE, "row %llu has no evidence",
                           (unsigned long long)h->n);
    enum ms_err err = cache_blob_get(cache, &h->bundle, out, &found, diag);
    if (err == MS_OK && !found)
        err = ms_diag_set(diag, MS_ERR_EVIDENCE, "the evidence of row %llu is missing",
                          (unsigned long long)h->n);
    return err;
}

enum ms_err report_replay_text(const struct cache_history *h, struct ms_span text,
                               struct spec *spec, json_t **ret_facts,
                               struct source_result **ret_result, struct ms_diag *diag)
{
    struct source_result *result = NULL;
    json_t *facts = NULL;

    enum ms_err err = summary_of_bundle(text, h->time_s, spec, &facts, &result, diag);
    if (err != MS_OK)
        return err;
    bool of_set = strcmp(h->kind, REPORT_KIND_SET) == 0;
    if (!ms_sha256_eq(&spec->key, &h->key))
        err = ms_diag_set(diag, MS_ERR_EVIDENCE, "its evidence is of another specifier");
    else if (of_set && result == NULL)
        err = ms_diag_set(diag, MS_ERR_EVIDENCE, "its evidence is that of a failure");
    else if (result != NULL && !ms_sha256_eq(&result->set_hash, &h->set_hash))
        err = ms_diag_set(diag, MS_ERR_EVIDENCE, "its evidence leads to another set");
    if (err == MS_OK) {
        *ret_facts = facts;
        *ret_result = result;
        return MS_OK;
    }
    json_decref(facts);
    source_result_free(result);
    return err;
}

enum ms_err report_replay(struct cache *cache, const struct cache_history *h, struct spec *spec,
                          json_t **ret_facts, struct source_result **ret_result,
                          struct ms_diag *diag)
{
    struct ms_buf text = MS_BUF_INIT(BUNDLE_MAX_BYTES);

    enum ms_err err = report_bundle(cache, h, &text, diag);
    if (err == MS_OK)
        err = report_replay_text(h, ms_buf_span(&text), spec, ret_facts, ret_result, diag);
    ms_buf_done(&text);
    return err;
}

/* ---- summaries ---- */

/* With all its items, from the summary or else from the evidence; NULL: neither can be read. */
static json_t *whole_facts(struct cache *cache, const struct cache_history *h, bool replay)
{
    struct source_result *result = NULL;
    json_t *facts = NULL;
    bool whole = false;
    struct spec spec;

    if (!replay && h->summary != NULL &&
        summary_read(ms_span_str(h->summary), &facts, &whole, NULL) == MS_OK && whole)
        return facts;
    json_decref(facts);
    facts = NULL;
    spec_init(&spec);
    if (report_replay(cache, h, &spec, &facts, &result, NULL) != MS_OK)
        facts = NULL;
    source_result_free(result);
    spec_done(&spec);
    return facts;
}

enum ms_err report_before(struct cache *cache, const struct ms_sha256 *key, enum spec_level level,
                          uint64_t before_n, bool replay, json_t **ret_facts, json_t **ret_previous,
                          bool *ret_compared, struct ms_diag *diag)
{
    const struct cache_wanted wanted = {
        .level = level, .has_level = true, .kind = REPORT_KIND_SET, .before = before_n};
    struct report_row row = {0};
    uint64_t n = 0;

    *ret_facts = *ret_previous = NULL;
    *ret_compared = true;
    enum ms_err err = cache_history_find(cache, key, &wanted, &n, diag);
    if (err == MS_OK && n != 0)
        err = report_row_get(cache, key, n, &row, diag);
    if (err != MS_OK || n == 0)
        return err;
    *ret_compared = false;
    if (row.found && row.err == MS_OK) {
        *ret_previous = report_hash(&row.h.set_hash);
        *ret_facts = whole_facts(cache, &row.h, replay);
        *ret_compared = *ret_facts != NULL;
    }
    report_row_done(&row);
    return MS_OK;
}

enum ms_err report_summary_with(json_t *facts, const json_t *before, const json_t *previous,
                                bool compared, bool accepted, struct ms_buf *out)
{
    int bad = 0;

    (void)json_object_del(facts, "previous"); /* of a try before this one */
    (void)json_object_del(facts, "compared");
    if (accepted && previous != NULL)
        bad |= json_object_set(facts, "previous", (json_t *)(uintptr_t)previous);
    if (accepted && !compared)
        bad |= json_object_set_new(facts, "compared", json_false());
    return bad ? MS_ERR_MEMORY : summary_render(facts, before, accepted && compared, out);
}

enum ms_err report_summary(struct cache *cache, const struct ms_sha256 *key, enum spec_level level,
                           uint64_t before_n, json_t *facts, bool accepted, struct ms_buf *out,
                           struct ms_diag *diag)
{
    json_t *before = NULL, *previous = NULL;
    bool compared = true;
    enum ms_err err = MS_OK;

    if (accepted)
        err =
            report_before(cache, key, level, before_n, false, &before, &previous, &compared, diag);
    if (err == MS_OK)
        err = report_summary_with(facts, before, previous, compared, accepted, out);
    json_decref(before);
    json_decref(previous);
    return err;
}

/* Of a row from before there were summaries: from its evidence. */
static enum ms_err make_summary(struct cache *cache, const struct cache_history *h,
                                json_t **ret_summary, struct ms_diag *diag)
{
    struct ms_buf text = MS_BUF_INIT(SUMMARY_MAX_BYTES);
    struct source_result *result = NULL;
    json_t *facts = NULL;
    bool whole;
    struct spec spec;

    spec_init(&spec);
    enum ms_err err = report_replay(cache, h, &spec, &facts, &result, diag);
    if (err == MS_OK)
        err = report_summary(cache, &h->key, h->level, h->n, facts,
                             strcmp(h->kind, REPORT_KIND_SET) == 0, &text, diag);
    if (err == MS_OK)
        err = summary_read(ms_buf_span(&text), ret_summary, &whole, diag);
    source_result_free(result);
    json_decref(facts);
    spec_done(&spec);
    ms_buf_done(&text);
    return err;
}

enum ms_err report_row_summary(struct cache *cache, const struct cache_history *h,
                               json_t **ret_summary, bool *ret_replayed, struct ms_diag *diag)
{
    bool whole;

    *ret_replayed = h->summary == NULL;
    return h->summary != NULL ? summary_read(ms_span_str(h->summary), ret_summary, &whole, diag)
                              : make_summary(cache, h, ret_summary, diag);
}

/* ---- listing ---- */

static enum ms_err take_run(void *arg, enum ms_err bad, const struct cache_confirmed *run,
                            const struct ms_diag *why)
{
    struct cache_confirmed *all = arg;
    (void)why;

    if (bad != MS_OK)
        return MS_OK; /* audit tells of it */
    if (all->times == 0) {
        *all = *run;
        return MS_OK;
    }
    all->until_s = run->until_s > all->until_s ? run->until_s : all->until_s;
    all->times += run->times;
    return MS_OK;
}

/* From the first to the last time its answer was confirmed. */
static int add_confirmed(struct cache *cache, json_t *row, uint64_t n)
{
    struct cache_confirmed all = {0};

    if (cache_confirmed_each(cache, n, take_run, &all, NULL) != MS_OK || all.times == 0)
        return 0;
    return json_object_set_new(row, "confirmed",
                               json_pack("{s:I, s:I, s:I}", "from", (json_int_t)all.from_s, "until",
                                         (json_int_t)all.until_s, "times", (json_int_t)all.times));
}

/* What an envelope's state would have been called then. */
static const char *row_state(const struct cache_history *h, const json_t *summary)
{
    const char *state = json_string_value(json_object_get(summary, "state"));

    if (h->status == CACHE_CONFLICT || h->status == CACHE_HOLD)
        return cache_status_name(h->status);
    return state != NULL ? state : cache_status_name(h->status);
}

static json_t *block_hash_json(const struct eth_hash *hash)
{
    return ms_json_hex(eth_hash_span(hash));
}

/* Members in this order: what a person reads first comes first. */
json_t *report_row_json(struct cache *cache, const struct cache_history *h, json_t *summary)
{
    static const char *const plain[] = {
        "added",       "removed",      "changed",  "n_items",  "n_added",    "n_removed",
        "n_changed",   "governance",   "trust",    "chain",    "block_time", "hash_by",
        "valid_until", "head_removes", "previous", "compared", "error"};
    json_t *row =
        json_pack("{s:I, s:I, s:I, s:s, s:s, s:s}", "n", (json_int_t)h->n, "sequence",
                  (json_int_t)(h->has_sequence ? h->sequence : 0), "time", (json_int_t)h->time_s,
                  "state", row_state(h, summary), "kind", h->kind, "source", "seen");
    int bad = row == NULL;

    if (!bad && h->level != SPEC_LEVEL_NONE)
        bad |= json_object_set_new(row, "level", json_string(spec_level_name(h->level)));
    if (!bad)
        bad |= json_object_set_new(
            row, "block", h->has_block ? json_integer((json_int_t)h->block_number) : json_null());
    if (!bad && h->has_block)
        bad |= json_object_set_new(row, "block_hash", block_hash_json(&h->block_hash));
    for (size_t i = 0; !bad && i < MS_ARRAY_LEN(plain); i++) {
        json_t *value = json_object_get(summary, plain[i]);
        if (value != NULL)
            bad |= json_object_set(row, plain[i], value);
    }
    if (!bad)
        bad |= json_object_set_new(row, "set_hash", report_hash(&h->set_hash));
    if (!bad && h->has_bundle)
        bad |= json_object_set_new(row, "evidence", report_hash(&h->bundle));
    if (!bad && json_object_get(summary, "policy") != NULL)
        bad |= json_object_set(row, "policy", json_object_get(summary, "policy"));
    if (!bad && h->build != NULL)
        bad |= json_object_set_new(row, "build", json_string(h->build));
    if (!bad)
        bad |= add_confirmed(cache, row, h->n);
    if (bad) {
        json_decref(row);
        return NULL;
    }
    return row;
}

struct listing { /* read first: a statement must not be stepped while rows are rendered */
    size_t n, max;
    struct report_row *rows;
};

static enum ms_err note_row(void *arg, enum ms_err bad, const struct cache_history *h,
                            const struct ms_diag *why)
{
    struct listing *l = arg;

    if (l->n == l->max)
        return MS_OK;
    struct report_row *row = &l->rows[l->n++];
    *row = (struct report_row){.arena = MS_ARENA_INIT(ROW_ARENA_BYTES)};
    return take_row(row, bad, h, why);
}

static void listing_done(struct listing *l)
{
    for (size_t i = 0; i < l->n; i++)
        report_row_done(&l->rows[i]);
    free(l->rows);
}

static json_t *bad_row_json(uint64_t n, enum ms_err err, const struct ms_diag *why)
{
    return json_pack("{s:I, s:I, s:I, s:s, s:s, s:n, s:[], s:[], s:{s:s, s:s}}", "n", (json_int_t)n,
                     "sequence", (json_int_t)0, "time", (json_int_t)0, "state", "unknown", "kind",
                     "unreadable", "block", "added", "removed", "error", "code", ms_err_code(err),
                     "text", ms_diag_text(why, err));
}

/* What is not to be believed is listed as that, and hides nothing else. */
static enum ms_err list_row(struct cache *cache, struct report_row *row, size_t *replays,
                            json_t **ret_row)
{
    json_t *summary = NULL;
    bool replayed = false;

    if (row->err == MS_OK)
        row->err = report_row_summary(cache, &row->h, &summary, &replayed, &row->diag);
    *replays += replayed;
    *ret_row = row->err == MS_OK ? report_row_json(cache, &row->h, summary)
                                 : bad_row_json(row->h.n, row->err, &row->diag);
    json_decref(summary);
    return *ret_row == NULL ? MS_ERR_MEMORY : MS_OK;
}

/* Rows in the order of the query, as many as the page may hold; *ret_more: there are others. */
static enum ms_err list_rows(struct cache *cache, const struct listing *l, size_t limit,
                             bool newest_first, json_t *rows, bool *ret_more)
{
    size_t replays = 0, bytes = 0, i = 0;

    for (; i < l->n && i < limit; i++) {
        struct report_row *one = &l->rows[i];
        json_t *row = NULL;
        if (i > 0 && (replays >= REPLAYS_MAX || bytes > PAGE_MAX_BYTES))
            break;
        enum ms_err err = list_row(cache, one, &replays, &row);
        if (err != MS_OK)
            return err;
        bytes += one->h.summary == NULL ? SUMMARY_MAX_BYTES : strlen(one->h.summary);
        int bad =
            newest_first ? json_array_insert_new(rows, 0, row) : json_array_append_new(rows, row);
        if (bad != 0)
            return MS_ERR_MEMORY;
    }
    *ret_more = i < l->n;
    return MS_OK;
}

static json_int_t row_number(const json_t *rows, size_t i)
{
    return json_integer_value(json_object_get(json_array_get(rows, i), "n"));
}

/* Where the next page begins, in the direction of this one. */
static int add_next(json_t *root, const json_t *rows, bool newest_first, bool more)
{
    if (!more || json_array_size(rows) == 0)
        return 0;
    return newest_first
               ? json_object_set_new(root, "previous", json_integer(row_number(rows, 0)))
               : json_object_set_new(root, "next",
                                     json_integer(row_number(rows, json_array_size(rows) - 1)));
}

/* The one row of a point; a bad one is listed as that. */
static enum ms_err read_point(struct cache *cache, const struct ms_sha256 *key,
                              struct ms_span point, struct listing *l, struct ms_diag *diag)
{
    uint64_t n = 0;

    enum ms_err err = find_point(cache, key, point, &n, diag);
    if (err == MS_OK && n != 0)
        err = report_row_get(cache, key, n, &l->rows[0], diag);
    if (err == MS_OK && !l->rows[0].found)
        err = no_such_row(diag, point);
    l->n = 1;
    return err;
}

static enum ms_err add_past(struct cache *cache, const struct spec *spec,
                            report_operations_fn *tell, const char *name, json_t *root,
                            struct ms_diag *diag)
{
    json_t *list = NULL;

    enum ms_err err = tell == NULL ? MS_OK : tell(cache, &spec->key, &list, diag);
    if (err != MS_OK || list == NULL)
        return err;
    return json_object_set_new(root, name, list) == 0 ? MS_OK : MS_ERR_MEMORY;
}

static bool is_first(const struct report_page *page)
{
    return page->point.len == 0 && (page->has_before ? page->before : page->after) == 0;
}

enum ms_err report_history(struct cache *cache, const struct spec *spec,
                           const struct report_page *page, struct ms_buf *out, struct ms_diag *diag)
{
    size_t limit = page->limit == 0                ? REPORT_ROWS_USUAL
                   : page->limit > REPORT_ROWS_MAX ? REPORT_ROWS_MAX
                                                   : page->limit;
    const struct cache_range range = {.newest_first = page->has_before,
                                      .after = page->after,
                                      .before = page->before,
                                      .max = limit + 1};
    json_t *root = report_head(spec), *rows = json_array();
    struct listing l = {.max = limit + 1, .rows = calloc(limit + 1, sizeof(struct report_row))};
    bool more = false;

    enum ms_err err = root == NULL || rows == NULL || l.rows == NULL ? MS_ERR_MEMORY : MS_OK;
    if (err == MS_OK && page->point.len > 0)
        err = read_point(cache, &spec->key, page->point, &l, diag);
    else if (err == MS_OK)
        err = cache_history_range(cache, &spec->key, &range, note_row, &l, diag);
    if (err == MS_OK)
        err = list_rows(cache, &l, limit, page->has_before, rows, &more);
    if (err == MS_OK && is_first(page))
        err = add_past(cache, spec, report_operations, "operations", root, diag);
    if (err == MS_OK && is_first(page))
        err = add_past(cache, spec, report_logs, "logs", root, diag);
    if (err == MS_OK && (json_object_set(root, "rows", rows) != 0 ||
                         add_next(root, rows, page->has_before, more) != 0))
        err = MS_ERR_MEMORY;
    if (err == MS_OK)
        err = report_print(json_incref(root), out);
    listing_done(&l);
    json_decref(rows);
    json_decref(root);
    return err;
}

enum ms_err report_evidence(struct cache *cache, const struct spec *spec, struct ms_span point,
                            struct ms_buf *out, struct ms_diag *diag)
{
    struct report_row row;

    enum ms_err err = report_row_at(cache, &spec->key, point, &row, diag);
    if (err != MS_OK)
        return err;
    err = report_bundle(cache, &row.h, out, diag);
    report_row_done(&row);
    return err;
}
