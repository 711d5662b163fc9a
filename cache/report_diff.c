/* cache/report_diff.c - two points of a history compared, down to registers; what was in force at
 * one. Both from evidence: nothing here is taken from a summary. */
#include "cache/past_set_report.h"
#include "cache/report_internal.h"

#include "base/hex.h"
#include "resolver/entry/envelope.h"

#include <stdio.h>

#define PATH_MAX_BYTES 256u
#define METADATA_DEPTH_MAX 8u

/* ---- registers ---- */

static json_t *values_json(const struct rec_register *reg)
{
    json_t *out = json_array();

    for (size_t i = 0; out != NULL && i < reg->n_values; i++) {
        char hex[2 * REC_VALUE_MAX_BYTES + 1];
        ms_hex_encode(ms_span_of(reg->values[i].b, reg->values[i].len), hex);
        if (json_array_append_new(out, json_string(hex)) != 0) {
            json_decref(out);
            return NULL;
        }
    }
    return out;
}

static const struct rec_register *register_of(const struct rec_record *record, uint32_t index)
{
    for (size_t i = 0; i < record->n_registers; i++)
        if (record->registers[i].index == index)
            return &record->registers[i];
    return NULL;
}

static int add_register(json_t *out, const struct rec_record *of, const struct rec_register *was,
                        const struct rec_register *is)
{
    uint32_t index = was != NULL ? was->index : is->index;
    json_t *one =
        json_pack("{s:s, s:I, s:o, s:o}", "register", rec_register_name(of->type, index), "index",
                  (json_int_t)index, "was", was != NULL ? values_json(was) : json_array(), "is",
                  is != NULL ? values_json(is) : json_array());

    if (one != NULL && json_equal(json_object_get(one, "was"), json_object_get(one, "is"))) {
        json_decref(one);
        return 0;
    }
    return one == NULL ? -1 : json_array_append_new(out, one);
}

/* Registers that have other values, or stand in one of the two only. */
static json_t *registers_json(const struct rec_record *was, const struct rec_record *is)
{
    json_t *out = json_array();
    int bad = out == NULL;

    for (uint32_t index = 0; !bad && index < REC_REGISTERS_MAX; index++) {
        const struct rec_register *a = was == NULL ? NULL : register_of(was, index);
        const struct rec_register *b = is == NULL ? NULL : register_of(is, index);
        if (a != NULL || b != NULL)
            bad = add_register(out, is != NULL ? is : was, a, b);
    }
    if (bad) {
        json_decref(out);
        return NULL;
    }
    return out;
}

static bool has_hash(const struct rec_record *record, const char *hex)
{
    struct ms_buf text = MS_BUF_INIT((size_t)1 << 20);
    char got[2 * MS_SHA256_BYTES + 1] = "";

    if (rec_record_canonical(record, &text) == MS_OK) {
        struct ms_sha256 hash = ms_sha256(ms_buf_span(&text));
        ms_sha256_hex(&hash, got);
    }
    ms_buf_done(&text);
    return hex != NULL && strcmp(got, hex) == 0;
}

/* The record an item of a difference stands for; NULL: a predicate, or none. */
static const struct rec_record *record_of(const struct source_result *result, const json_t *item,
                                          const char *hash_member)
{
    const char *id = json_string_value(json_object_get(item, "id"));
    const char *hash = json_string_value(json_object_get(item, hash_member));
    uint64_t release = (uint64_t)json_integer_value(json_object_get(item, "release"));

    for (size_t i = 0; id != NULL && i < result->n_releases; i++) {
        const struct source_release *r = &result->releases[i];
        for (size_t k = 0; r->id == release && k < r->set->n_records; k++)
            if (strcmp(r->set->records[k].id, id) == 0 && has_hash(&r->set->records[k], hash))
                return &r->set->records[k];
    }
    return NULL;
}

static int add_registers(json_t *items, const struct source_result *was, const char *was_hash,
                         const struct source_result *is)
{
    size_t i;
    json_t *item;

    json_array_foreach(items, i, item)
    {
        const struct rec_record *a = was == NULL ? NULL : record_of(was, item, was_hash);
        const struct rec_record *b = is == NULL ? NULL : record_of(is, item, "sha256");
        if ((a != NULL || b != NULL) &&
            json_object_set_new(item, "registers", registers_json(a, b)) != 0)
            return -1;
    }
    return 0;
}

/* ---- metadata ---- */

static int add_metadata(json_t *out, const char *path, const json_t *was, const json_t *is,
                        unsigned depth);

static int add_member(json_t *out, const char *path, const char *name, const json_t *was,
                      const json_t *is, unsigned depth)
{
    char below[PATH_MAX_BYTES];

    (void)snprintf(below, sizeof(below), "%s%s%s", path, path[0] == '\0' ? "" : ".", name);
    return add_metadata(out, below, json_object_get(was, name), json_object_get(is, name),
                        depth + 1);
}

/* Members of objects singly, everything else as it is. */
static int add_metadata(json_t *out, const char *path, const json_t *was, const json_t *is,
                        unsigned depth)
{
    const char *name;
    json_t *value;
    int bad = 0;

    if (json_equal(was, is))
        return 0;
    if (depth < METADATA_DEPTH_MAX && json_is_object(was) && json_is_object(is)) {
        json_object_foreach((json_t *)(uintptr_t)was, name, value) bad |=
            add_member(out, path, name, was, is, depth);
        json_object_foreach((json_t *)(uintptr_t)is, name,
                            value) if (json_object_get(was, name) == NULL) bad |=
            add_member(out, path, name, was, is, depth);
        return bad;
    }
    json_t *one = json_pack("{s:s, s:O?, s:O?}", "what", path, "was", was, "is", is);
    return one == NULL ? -1 : json_array_append_new(out, one);
}

/* Who governs and how it was read, of one side. */
static json_t *metadata_of(const struct cache_history *h, const struct source_result *result,
                           const json_t *facts)
{
    static const char *const names[] = {"trust", "policy", "hash_by", "chain", "valid_until"};
    json_t *out = json_object();
    int bad = out == NULL;

    for (size_t i = 0; !bad && i < MS_ARRAY_LEN(names); i++)
        if (json_object_get(facts, names[i]) != NULL)
            bad = json_object_set(out, names[i], json_object_get(facts, names[i]));
    if (!bad && h->level != SPEC_LEVEL_NONE)
        bad = json_object_set_new(out, "level", json_string(spec_level_name(h->level)));
    if (!bad && result != NULL && result->governance != NULL)
        bad = json_object_set(out, "governance", result->governance);
    if (bad) {
        json_decref(out);
        return NULL;
    }
    return out;
}

/* ---- diff ---- */

struct side { /* one of the two points */
    struct report_row row;
    struct spec spec;
    json_t *facts;
    struct source_result *result;
    bool by_chain; /* no row: it stands after an operation, `after` */
    struct report_after after;
};

/* Of a sequence of which nothing was seen here the contract's own history may tell. */
static enum ms_err side_read(struct cache *cache, const struct spec *spec, struct ms_span point,
                             struct side *side, struct ms_diag *diag)
{
    struct ms_diag unseen = {0};
    uint64_t sequence = 0;

    enum ms_err err = report_row_at(cache, &spec->key, point, &side->row, &unseen);
    if (err == MS_OK)
        return report_replay(cache, &side->row.h, &side->spec, &side->facts, &side->result, diag);
    if (err != MS_ERR_NOT_FOUND || !ms_span_u64(point, &sequence)) {
        *diag = unseen;
        return err;
    }
    side->by_chain = true;
    err = report_after(cache, spec, sequence, &side->after, diag);
    side->facts = side->after.facts;
    side->result = side->after.result;
    return err;
}

static void side_done(struct side *side)
{
    report_row_done(&side->row);
    json_decref(side->facts);
    source_result_free(side->result);
    spec_done(&side->spec);
}

static json_t *side_json(const struct side *side)
{
    const struct cache_history *h = &side->row.h;

    if (side->by_chain)
        return json_pack(
            "{s:I, s:I, s:s, s:o, s:I}", "sequence", (json_int_t)side->after.event.sequence, "time",
            (json_int_t)side->after.event.timestamp_s, "kind",
            history_kind_name(side->after.event.kind), "evidence",
            report_hash(&side->after.evidence), "block", (json_int_t)side->after.event.block);
    json_t *out = json_pack("{s:I, s:I, s:I, s:s, s:o, s:o}", "n", (json_int_t)h->n, "sequence",
                            (json_int_t)(h->has_sequence ? h->sequence : 0), "time",
                            (json_int_t)h->time_s, "kind", h->kind, "set_hash",
                            report_hash(&h->set_hash), "evidence", report_hash(&h->bundle));

    if (out != NULL && h->has_block)
        (void)json_object_set_new(out, "block", json_integer((json_int_t)h->block_number));
    return out;
}

/* The chain tells less than an answer that was accepted: only what both have is compared. */
static json_t *metadata_beside(const struct side *side, const struct side *other)
{
    json_t *out = metadata_of(&side->row.h, side->result, side->facts);
    const json_t *theirs = other->result->governance;
    const char *name;
    json_t *value;

    if (out == NULL || (!side->by_chain && !other->by_chain))
        return out;
    json_t *common = json_object();
    json_object_foreach(side->result->governance, name, value)
    {
        if (json_object_get(theirs, name) != NULL)
            (void)json_object_set(common, name, value);
    }
    (void)json_object_clear(out);
    (void)json_object_set_new(out, "governance", common);
    return out;
}

static bool same_set(const struct side *from, const struct side *to, const json_t *diff)
{
    if (!from->by_chain && !to->by_chain)
        return ms_sha256_eq(&from->row.h.set_hash, &to->row.h.set_hash);
    return json_array_size(json_object_get(diff, "added")) +
               json_array_size(json_object_get(diff, "removed")) +
               json_array_size(json_object_get(diff, "changed")) ==
           0;
}

static json_t *diff_json(const struct spec *spec, const struct side *from, const struct side *to)
{
    json_t *root = report_head(spec), *metadata = json_array();
    json_t *diff = summary_diff(from->facts, to->facts);
    json_t *was = metadata_beside(from, to);
    json_t *is = metadata_beside(to, from);
    int bad = root == NULL || metadata == NULL || diff == NULL || was == NULL || is == NULL;

    bad = bad || add_registers(json_object_get(diff, "added"), NULL, NULL, to->result) != 0;
    bad = bad || add_registers(json_object_get(diff, "removed"), from->result, "sha256", NULL) != 0;
    bad = bad ||
          add_registers(json_object_get(diff, "changed"), from->result, "was", to->result) != 0;
    bad = bad || add_metadata(metadata, "", was, is, 0) != 0;
    bad = bad || json_object_set_new(root, "from", side_json(from)) != 0;
    bad = bad || json_object_set_new(root, "to", side_json(to)) != 0;
    bad = bad || json_object_set_new(root, "same", json_boolean(same_set(from, to, diff))) != 0;
    bad = bad || json_object_update(root, diff) != 0;
    bad = bad || json_object_set(root, "metadata", metadata) != 0;
    json_decref(metadata);
    json_decref(diff);
    json_decref(was);
    json_decref(is);
    if (bad) {
        json_decref(root);
        return NULL;
    }
    return root;
}

enum ms_err report_diff(struct cache *cache, const struct spec *spec, struct ms_span from,
                        struct ms_span to, struct ms_buf *out, struct ms_diag *diag)
{
    struct side a = {0}, b = {0};

    spec_init(&a.spec);
    spec_init(&b.spec);
    enum ms_err err = side_read(cache, spec, from, &a, diag);
    if (err == MS_OK)
        err = side_read(cache, spec, to, &b, diag);
    if (err == MS_OK && (a.result == NULL || b.result == NULL))
        err = ms_diag_set(diag, MS_ERR_ARGUMENT,
                          "row %llu is evidence of a failure (%s): it has no set to compare",
                          (unsigned long long)(a.result == NULL ? a.row.h.n : b.row.h.n),
                          a.result == NULL ? a.row.h.kind : b.row.h.kind);
    if (err == MS_OK)
        err = report_print(diff_json(spec, &a, &b), out);
    side_done(&a);
    side_done(&b);
    return err;
}

/* ---- at ---- */

struct watch { /* what is known of confirmations around a moment */
    int64_t time_s, now_s;
    struct cache_confirmed before; /* the last run that began by then; times 0: none */
    struct cache_confirmed after;  /* the first one that began later; times 0: none */
};

static enum ms_err take_run(void *arg, enum ms_err bad, const struct cache_confirmed *run,
                            const struct ms_diag *why)
{
    struct watch *watch = arg;
    (void)why;

    if (bad != MS_OK)
        return MS_OK; /* as if nobody had looked: the safe side */
    if (run->from_s <= watch->time_s)
        watch->before = *run;
    else if (watch->after.times == 0)
        watch->after = *run;
    return MS_OK;
}

/* Whether the answer might be served at that moment, after what was known by then. */
static bool covered(const struct cache_confirmed *run, int64_t time_s)
{
    return run->times > 0 &&
           (time_s <= run->until_s || run->limit_s < 0 || time_s - run->until_s < run->limit_s);
}

/* Whether it was the end that the set itself has which was reached. Signers of freshness move the
 * end of a set that stays the same: where it was confirmed later, the run's limit tells. */
static bool ended(const struct cache_confirmed *run, int64_t time_s, int64_t valid_until_s)
{
    bool until_then = run->limit_s < 0 || run->limit_s > valid_until_s - run->until_s;

    return valid_until_s > 0 && time_s > valid_until_s && run->until_s <= valid_until_s &&
           until_then;
}

/* When the source had last been looked at by then. Within a run only its ends are kept: it was at
 * most the longest gap before. */
static int64_t last_look(const struct watch *watch)
{
    const struct cache_confirmed *run = &watch->before;

    if (watch->time_s >= run->until_s)
        return run->until_s;
    return watch->time_s - run->gap_s > run->from_s ? watch->time_s - run->gap_s : run->from_s;
}

static json_t *confirmed_json(const struct watch *watch)
{
    const struct cache_confirmed *run = &watch->before;
    bool within = watch->time_s < run->until_s;
    json_t *out;

    if (run->times == 0)
        return json_null();
    out = json_pack("{s:I, s:I, s:I, s:I, s:I}", "from", (json_int_t)run->from_s, "until",
                    (json_int_t)run->until_s, "times", (json_int_t)run->times, "longest_gap",
                    (json_int_t)run->gap_s, "limit", (json_int_t)run->limit_s);
    if (out == NULL)
        return NULL;
    int64_t at_s = last_look(watch);
    (void)json_object_set_new(out, "last", json_integer(at_s));
    (void)json_object_set_new(out, "exact", json_boolean(!within || at_s == run->from_s));
    if (watch->after.times > 0)
        (void)json_object_set_new(out, "next", json_integer(watch->after.from_s));
    return out;
}

static const char *window_name(const struct source_release *release, int64_t time_s)
{
    switch (entry_release_window(release, time_s, time_s)) {
    case ENTRY_WINDOW_EXPIRED:
        return "expired";
    case ENTRY_WINDOW_PENDING:
        return "pending";
    case ENTRY_WINDOW_IN_FORCE:
        return "in-force";
    }
    return "expired";
}

static json_t *releases_json(const struct source_result *result, int64_t time_s,
                             size_t *ret_in_force)
{
    json_t *list = json_array();

    *ret_in_force = 0;
    for (size_t i = 0; list != NULL && i < result->n_releases; i++) {
        const struct source_release *r = &result->releases[i];
        const char *status = window_name(r, time_s);
        json_t *one =
            json_pack("{s:I, s:s, s:I, s:I, s:s, s:o, s:o}", "id", (json_int_t)r->id, "version",
                      r->version, "not_before", (json_int_t)r->not_before_s, "not_after",
                      (json_int_t)r->not_after_s, "status", status, "records",
                      rec_records_json(r->set), "predicates", rec_predicates_json(r->set));
        if (one == NULL || json_array_append_new(list, one) != 0) {
            json_decref(list);
            return NULL;
        }
        *ret_in_force += strcmp(status, "in-force") == 0;
    }
    return list;
}

/* What is known of one level by then: levels are kept apart, and served each by itself. */
struct level_at {
    struct report_row set;  /* newest that brought a set */
    struct report_row last; /* newest of any kind */
    struct watch watch;
};

static void level_done(struct level_at *at)
{
    report_row_done(&at->set);
    report_row_done(&at->last);
}

static enum ms_err level_at(struct cache *cache, const struct ms_sha256 *key, enum spec_level level,
                            struct level_at *at, struct ms_diag *diag)
{
    struct cache_wanted wanted = {.kind = REPORT_KIND_SET,
                                  .has_time = true,
                                  .time_s = at->watch.time_s,
                                  .has_level = true,
                                  .level = level};
    uint64_t n = 0;

    enum ms_err err = cache_history_find(cache, key, &wanted, &n, diag);
    if (err == MS_OK && n != 0)
        err = report_row_get(cache, key, n, &at->set, diag);
    if (err != MS_OK || n == 0)
        return err;
    if (at->set.err != MS_OK)
        return ms_diag_set(diag, at->set.err, "row %llu: %s", (unsigned long long)n,
                           ms_diag_text(&at->set.diag, at->set.err));
    wanted.kind = NULL;
    err = cache_history_find(cache, key, &wanted, &n, diag);
    if (err == MS_OK)
        err = report_row_get(cache, key, n, &at->last, diag);
    return err == MS_OK ? cache_confirmed_each(cache, at->set.h.n, take_run, &at->watch, diag)
                        : err;
}

/* Somebody who asks once at another level does not end what is known of the one that is asked for
 * all the time: the level counts that was looked at last. */
static bool is_better(const struct level_at *a, const struct level_at *b)
{
    if (!a->set.found || !b->set.found)
        return a->set.found;
    int64_t seen_a = last_look(&a->watch), seen_b = last_look(&b->watch);
    return seen_a != seen_b ? seen_a > seen_b : a->set.h.n > b->set.h.n;
}

/* ret->set.found is false when nothing had been accepted. */
static enum ms_err find_at(struct cache *cache, const struct ms_sha256 *key, int64_t time_s,
                           int64_t now_s, struct level_at *ret, struct ms_diag *diag)
{
    enum ms_err err = MS_OK;

    *ret = (struct level_at){0};
    for (int level = SPEC_LEVEL_NONE; err == MS_OK && level <= SPEC_LEVEL_L4; level++) {
        struct level_at one = {.watch = {.time_s = time_s, .now_s = now_s}};
        err = level_at(cache, key, (enum spec_level)level, &one, diag);
        if (err == MS_OK && is_better(&one, ret)) {
            struct level_at worse = *ret;
            *ret = one;
            one = worse;
        }
        level_done(&one);
    }
    return err;
}

/* First row of all: from when on anything is known. 0: nothing ever. */
static enum ms_err take_time(void *arg, enum ms_err bad, const struct cache_history *h,
                             const struct ms_diag *why)
{
    int64_t *first_s = arg;
    (void)why;
    if (bad == MS_OK)
        *first_s = h->time_s;
    return MS_OK;
}

static void why_nothing(struct cache *cache, const struct ms_sha256 *key, struct ms_diag *why)
{
    const struct cache_range first = {.max = 1};
    int64_t first_s = 0;

    if (cache_history_range(cache, key, &first, take_time, &first_s, NULL) == MS_OK && first_s != 0)
        (void)ms_diag_set(why, MS_OK,
                          "nothing was known of this specifier then: the first answer was accepted "
                          "at %lld",
                          (long long)first_s);
    else
        (void)ms_diag_set(why, MS_OK, "nothing was ever accepted for this specifier");
}

/* What was found after the last look and changed no set: the old one was held. */
static bool held(const struct report_row *set, const struct report_row *last,
                 const struct watch *watch, struct ms_diag *why)
{
    if (!last->found || last->err != MS_OK || last->h.n <= set->h.n ||
        last->h.time_s < last_look(watch))
        return false;
    bool code = strcmp(last->h.kind, "hold") == 0;
    if (!code && strcmp(last->h.kind, "dissent") != 0)
        return false;
    (void)ms_diag_set(why, MS_OK, "accepted, and held: %s at %lld (row %llu)",
                      code ? "other code was found behind the contract"
                           : "endpoints contradicted each other",
                      (long long)last->h.time_s, (unsigned long long)last->h.n);
    return true;
}

/* Whether the set counted then, and one sentence why, or why not. */
static bool judge(const struct report_row *set, const struct report_row *last,
                  const struct watch *watch, const struct source_result *result, size_t in_force,
                  struct ms_diag *why)
{
    const struct cache_confirmed *run = &watch->before;

    if (watch->time_s > watch->now_s) {
        (void)ms_diag_set(why, MS_OK, "that moment has not come: nobody can have looked");
        return false;
    }
    if (last->found && last->err == MS_OK && last->h.n > set->h.n &&
        last->h.status == CACHE_CONFLICT) {
        (void)ms_diag_set(why, MS_OK,
                          "two verified answers contradicted each other since %lld (row %llu): "
                          "nothing was served",
                          (long long)last->h.time_s, (unsigned long long)last->h.n);
        return false;
    }
    if (run->times == 0) {
        (void)ms_diag_set(why, MS_OK,
                          "the set was accepted by then, but when it was confirmed is not kept "
                          "(it is from before that was noted)");
        return false;
    }
    if (ended(run, watch->time_s, result->valid_until_s)) {
        (void)ms_diag_set(why, MS_OK, "governance itself ended the set after %lld",
                          (long long)result->valid_until_s);
        return false;
    }
    if (!covered(run, watch->time_s)) {
        (void)ms_diag_set(
            why, MS_OK,
            "nobody had looked: the set was last confirmed at %lld and might be served "
            "until %lld",
            (long long)run->until_s, (long long)(run->until_s + run->limit_s));
        return false;
    }
    /* put off by signers without another set: from the look on that shows it */
    if (result->valid_until_s != 0 && watch->time_s > result->valid_until_s &&
        watch->time_s < run->until_s && last_look(watch) <= result->valid_until_s) {
        (void)ms_diag_set(why, MS_OK,
                          "governance itself ended the set after %lld, and nobody is known to have "
                          "seen it put off by then",
                          (long long)result->valid_until_s);
        return false;
    }
    if (in_force > 0 && held(set, last, watch, why))
        return true;
    (void)ms_diag_set(why, MS_OK,
                      in_force == 0 ? "nothing was approved" : "accepted and confirmed");
    return true;
}

static int add_chain(json_t *root, const struct report_chain *chain)
{
    return chain->json == NULL ? 0 : json_object_set(root, "chain", chain->json);
}

static enum ms_err print_at(struct cache *cache, const struct spec *spec, const struct level_at *at,
                            const struct report_chain *chain, struct ms_buf *out,
                            struct ms_diag *diag)
{
    const struct report_row *set = &at->set;
    int64_t time_s = chain->time_s;
    json_t *root = report_head(spec), *facts = NULL, *releases = NULL;
    struct source_result *result = NULL;
    struct ms_diag why = {0};
    size_t in_force = 0;
    struct spec of_bundle;

    spec_init(&of_bundle);
    enum ms_err err = report_replay(cache, &set->h, &of_bundle, &facts, &result, diag);
    if (err == MS_OK) {
        releases = releases_json(result, time_s, &in_force);
        bool counted = judge(set, &at->last, &at->watch, result, in_force, &why);
        json_t *row = report_row_json(cache, &set->h, facts);
        (void)json_object_del(row, "items");
        int bad = json_object_set_new(root, "time", json_integer(time_s));
        bad |= json_object_set_new(root, "known", json_true());
        bad |= json_object_set_new(root, "by", json_string("seen"));
        bad |= json_object_set_new(root, "in_force", json_boolean(counted));
        bad |= json_object_set_new(root, "why", json_string(why.text));
        bad |= json_object_set_new(root, "confirmed", confirmed_json(&at->watch));
        bad |= json_object_set_new(root, "row", row);
        bad |= json_object_set(root, "releases", releases);
        if (result->governance != NULL)
            bad |= json_object_set(root, "governance", result->governance);
        bad |= add_chain(root, chain);
        err = bad != 0 ? MS_ERR_MEMORY : report_print(json_incref(root), out);
    }
    json_decref(releases);
    json_decref(facts);
    json_decref(root);
    source_result_free(result);
    spec_done(&of_bundle);
    return err;
}

/* Nothing had been accepted by then: only the contract's own history can tell. */
static enum ms_err print_unseen(struct cache *cache, const struct spec *spec,
                                const struct report_chain *chain, struct ms_buf *out,
                                struct ms_diag *diag)
{
    struct ms_diag nothing = {0}, why = {0};
    json_t *signed_by_then = NULL;
    enum ms_err err = past_sets_at(cache, &spec->key, chain->time_s, &signed_by_then, diag);
    if (err != MS_OK)
        return err;
    json_t *releases = chain->complete ? json_object_get(chain->json, "releases") : NULL;
    json_t *root = report_head(spec);

    why_nothing(cache, &spec->key, &nothing);
    if (chain->complete)
        (void)ms_diag_set(&why, MS_OK,
                          "nobody had looked here by then, but the registry's own history proves "
                          "it: %s",
                          chain->why.text);
    else
        why = nothing;
    int bad = json_object_set_new(root, "time", json_integer(chain->time_s));
    bad |= json_object_set_new(root, "known", json_boolean(chain->complete));
    if (chain->complete)
        bad |= json_object_set_new(root, "by", json_string("chain"));
    bad |= json_object_set_new(root, "in_force", json_boolean(chain->counts));
    bad |= json_object_set_new(root, "why", json_string(why.text));
    bad |= releases == NULL ? json_object_set_new(root, "releases", json_array())
                            : json_object_set(root, "releases", releases);
    if (signed_by_then != NULL)
        bad |= json_object_set_new(root, "signed", signed_by_then);
    bad |= add_chain(root, chain);
    if (bad != 0) {
        json_decref(root);
        root = NULL;
    }
    return report_print(root, out);
}

enum ms_err report_at(struct cache *cache, const struct spec *spec, int64_t time_s, int64_t now_s,
                      struct ms_buf *out, struct ms_diag *diag)
{
    struct report_chain chain = {.key = &spec->key, .time_s = time_s};
    struct level_at at;

    enum ms_err err = find_at(cache, &spec->key, time_s, now_s, &at, diag);
    if (err == MS_OK)
        err = report_chain_at(cache, &chain, diag);
    if (err == MS_OK)
        err = at.set.found ? print_at(cache, spec, &at, &chain, out, diag)
                           : print_unseen(cache, spec, &chain, out, diag);
    json_decref(chain.json);
    level_done(&at);
    return err;
}
