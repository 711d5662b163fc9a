/* cache/past_set_report.c - signed sets of the past, told. Documents are read one by one, so that
 * memory grows with what is told and not with what is stored. */
#include "cache/past_set_report.h"

#include "base/hex.h"
#include "cache/past_set.h"

#include <stdlib.h>

#define TOLD_BUNDLES_MAX 32u /* verified for one report; of others only the rows are told */
#define TOLD_SETS_MAX 1000u  /* the newest ones */
#define TOLD_ITEMS_MAX 8000u /* of all of them: then the oldest are left out */

/* ---- what the history itself has ---- */

struct seen { /* sets that were accepted here */
    struct eth_hash hash;
    int64_t issued_s;
    uint64_t n, sequence;
};

struct seen_list {
    size_t n, cap;
    struct seen *items; /* oldest first */
};

static enum ms_err take_seen(void *arg, enum ms_err row, const struct cache_history *h,
                             const struct ms_diag *why)
{
    struct seen_list *list = arg;
    json_t *summary = NULL;
    struct seen seen = {.n = h->n, .sequence = h->sequence};
    bool whole = false;

    (void)why;
    if (row != MS_OK || h->summary == NULL ||
        summary_read(ms_span_str(h->summary), &summary, &whole, NULL) != MS_OK)
        return MS_OK; /* listed as what it is */
    const json_t *governance = json_object_get(summary, "governance");
    struct ms_span hash = ms_json_member_str(governance, "signed_set_hash");
    bool ok = hash.len > 2 && ms_hex_decode(ms_span_of(hash.ptr + 2, hash.len - 2), seen.hash.b,
                                            sizeof(seen.hash.b)) == MS_OK;
    seen.issued_s = json_integer_value(json_object_get(governance, "issued_at"));
    json_decref(summary);
    if (!ok)
        return MS_OK;
    if (list->n == list->cap) {
        size_t cap = list->cap == 0 ? 64 : 2 * list->cap;
        struct seen *grown = realloc(list->items, cap * sizeof(*grown));
        if (grown == NULL)
            return MS_ERR_MEMORY;
        list->items = grown;
        list->cap = cap;
    }
    list->items[list->n++] = seen;
    return MS_OK;
}

static bool was_seen(const struct seen_list *list, const struct eth_hash *hash)
{
    for (size_t i = list->n; i-- > 0;)
        if (eth_hash_eq(&list->items[i].hash, hash))
            return true;
    return false;
}

/* ---- rows ---- */

struct telling {
    struct cache *cache;
    struct past_chain chain;
    struct seen_list seen;
    struct past_doc before; /* the set of the row below, when the next one follows on it */
    bool has_before;
    json_t *rows;
    size_t items;
};

static void telling_done(struct telling *t)
{
    past_doc_done(&t->before);
    past_chain_done(&t->chain);
    free(t->seen.items);
    json_decref(t->rows);
}

static enum ms_err telling_load(struct telling *t, struct cache *cache, const struct ms_sha256 *key,
                                struct ms_diag *diag)
{
    t->cache = cache;
    enum ms_err err = past_chain_load(cache, key, TOLD_BUNDLES_MAX, &t->chain, diag);
    if (err == MS_OK && t->chain.n > 0)
        err = cache_history_each(cache, key, take_seen, &t->seen, diag);
    return err;
}

/* The newest bundle has all roots that the others have. */
static const struct set_roots *roots_of(const struct telling *t)
{
    return t->chain.n_bundles > 0 ? &t->chain.bundles[0].roots : NULL;
}

static int add_row_facts(json_t *out, const struct telling *t, size_t i)
{
    const struct cache_past_set *row = &t->chain.rows[i];
    const struct past_set *set = &t->chain.sets[i];

    int bad = json_object_set_new(out, "proof", json_string(set->linked ? "chain" : "signatures"));
    bad |= json_object_set_new(out, "complete", json_boolean(set->whole));
    bad |= json_object_set_new(out, "document", report_hash(&row->document));
    bad |= json_object_set_new(out, "evidence", report_hash(&row->bundle));
    return bad | json_object_set_new(out, "provider", json_string(row->provider));
}

static enum ms_err append(struct telling *t, json_t *row)
{
    if (row == NULL || json_array_append_new(t->rows, row) != 0)
        return MS_ERR_MEMORY;
    t->items += 1 + json_array_size(json_object_get(row, "added")) +
                json_array_size(json_object_get(row, "removed")) +
                json_array_size(json_object_get(row, "changed"));
    return MS_OK;
}

/* Between row i and what stands above it: another row, or an accepted set. */
static enum ms_err tell_gap_above(struct telling *t, size_t i, int64_t time_s)
{
    const struct past_set *set = &t->chain.sets[i];
    uint64_t above;

    if (i == 0)
        above = t->chain.n_bundles > 0 ? t->chain.bundles[0].sequence : set->sequence + 1;
    else
        above = t->chain.sets[i - 1].sequence;
    bool joined = i == 0 ? set->linked
                         : eth_hash_eq(&t->chain.sets[i - 1].previous, &set->hash) ||
                               was_seen(&t->seen, &t->chain.sets[i - 1].previous);
    if (joined || above <= set->sequence + 1)
        return MS_OK;
    return append(t, past_set_gap_json(set->sequence + 1, above - 1, time_s));
}

static enum ms_err tell_gap_below(struct telling *t, const struct past_set *lowest, int64_t time_s)
{
    static const struct eth_hash none;

    if (eth_hash_eq(&lowest->previous, &none) || lowest->sequence <= 1)
        return MS_OK;
    return append(t, past_set_gap_json(1, lowest->sequence - 1, time_s));
}

/* Row i, and what is missing above it. */
static enum ms_err tell_row(struct telling *t, size_t i, struct ms_diag *diag)
{
    const struct cache_past_set *row = &t->chain.rows[i];
    struct past_doc doc = {0};

    enum ms_err err = past_doc_load(t->cache, &t->chain, row, &doc, diag);
    if (err != MS_OK)
        return err;
    int64_t time_s = (int64_t)(doc.doc.set.issued_at_s & INT64_MAX);
    bool follows = t->has_before && eth_hash_eq(&doc.doc.set.previous, &t->before.doc.set_hash);
    if (i + 1 == t->chain.n)
        err = tell_gap_below(t, &t->chain.sets[i], time_s);
    if (err == MS_OK && !was_seen(&t->seen, &row->set_hash)) {
        json_t *one = past_set_json(&doc.doc, follows ? &t->before.doc : NULL, roots_of(t));
        err = one == NULL || add_row_facts(one, t, i) != 0 ? MS_ERR_MEMORY : append(t, one);
    }
    if (err == MS_OK)
        err = tell_gap_above(t, i, time_s);
    past_doc_done(&t->before);
    t->before = doc; /* moved */
    t->has_before = true;
    return err;
}

/* Of too many the oldest go; what is left says so. */
static enum ms_err cut(struct telling *t)
{
    size_t n = json_array_size(t->rows);
    bool dropped = false;

    while (n > 1 && (n > TOLD_SETS_MAX || t->items > TOLD_ITEMS_MAX)) {
        const json_t *row = json_array_get(t->rows, 0);
        t->items -= 1 + json_array_size(json_object_get(row, "added")) +
                    json_array_size(json_object_get(row, "removed")) +
                    json_array_size(json_object_get(row, "changed"));
        if (json_array_remove(t->rows, 0) != 0)
            return MS_ERR_MEMORY;
        dropped = true;
        n--;
    }
    if (!dropped)
        return MS_OK;
    return json_object_set_new(json_array_get(t->rows, 0), "older", json_true()) == 0
               ? MS_OK
               : MS_ERR_MEMORY;
}

enum ms_err past_sets_report(struct cache *cache, const struct ms_sha256 *key, json_t **ret_rows,
                             struct ms_diag *diag)
{
    struct telling t = {.rows = json_array()};

    enum ms_err err = t.rows == NULL ? MS_ERR_MEMORY : telling_load(&t, cache, key, diag);
    for (size_t i = t.chain.n; err == MS_OK && i-- > 0;)
        err = tell_row(&t, i, diag);
    if (err == MS_OK)
        err = cut(&t);
    if (err == MS_OK)
        *ret_rows = json_array_size(t.rows) == 0 ? NULL : json_incref(t.rows);
    telling_done(&t);
    return err;
}

/* ---- at a moment ---- */

static json_t *releases_json(const struct msig_set_doc *doc)
{
    json_t *out = json_array();

    for (size_t i = 0; i < doc->set.n_releases; i++)
        (void)json_array_append_new(out, past_set_release_json(&doc->set.releases[i]));
    return out;
}

/* Row i as what had been signed by then. */
static json_t *signed_json(const struct telling *t, size_t i, const struct msig_set_doc *doc,
                           int64_t time_s)
{
    static const char *const not_here[] = {"added",   "removed",   "changed",   "kind",    "state",
                                           "n_added", "n_removed", "n_changed", "compared"};
    const struct past_set *set = &t->chain.sets[i];
    bool gap = i == 0 ? !set->linked : !set->named;
    json_t *out = past_set_json(doc, NULL, roots_of(t));
    int bad = out == NULL || add_row_facts(out, t, i) != 0;

    for (size_t k = 0; !bad && k < MS_ARRAY_LEN(not_here); k++)
        (void)json_object_del(out, not_here[k]);
    bad = bad || json_object_set_new(out, "releases", releases_json(doc)) != 0;
    bad = bad || json_object_set_new(out, "valid",
                                     json_boolean((uint64_t)time_s < doc->set.valid_until_s)) != 0;
    bad = bad || json_object_set_new(out, "gap", json_boolean(gap)) != 0;
    if (!bad)
        return out;
    json_decref(out);
    return NULL;
}

/* The newest row that had been issued by then: the chain orders them, not their times. */
static enum ms_err at_row(struct telling *t, int64_t time_s, json_t **ret_signed,
                          struct ms_diag *diag)
{
    enum ms_err err = MS_OK;

    for (size_t i = 0; err == MS_OK && *ret_signed == NULL && i < t->chain.n; i++) {
        struct past_doc doc = {0};
        err = past_doc_load(t->cache, &t->chain, &t->chain.rows[i], &doc, diag);
        if (err == MS_OK && doc.doc.set.issued_at_s <= (uint64_t)time_s) {
            *ret_signed = signed_json(t, i, &doc.doc, time_s);
            err = *ret_signed == NULL ? MS_ERR_MEMORY : MS_OK;
        }
        past_doc_done(&doc);
    }
    return err;
}

/* A set that was accepted here later had been signed by then, too: it counts before all others. */
static const struct seen *seen_by(const struct seen_list *list, int64_t time_s)
{
    for (size_t i = list->n; i-- > 0;)
        if (list->items[i].issued_s <= time_s)
            return &list->items[i];
    return NULL;
}

enum ms_err past_sets_at(struct cache *cache, const struct ms_sha256 *key, int64_t time_s,
                         json_t **ret_signed, struct ms_diag *diag)
{
    struct telling t = {0};

    *ret_signed = NULL;
    enum ms_err err = time_s < 0 ? MS_OK : telling_load(&t, cache, key, diag);
    const struct seen *seen = err == MS_OK ? seen_by(&t.seen, time_s) : NULL;
    if (seen != NULL) {
        *ret_signed =
            json_pack("{s:I, s:I, s:s, s:I, s:o}", "sequence", (json_int_t)seen->sequence, "time",
                      (json_int_t)seen->issued_s, "source", "seen", "n", (json_int_t)seen->n,
                      "hash", ms_json_hex(eth_hash_span(&seen->hash)));
        err = *ret_signed == NULL ? MS_ERR_MEMORY : MS_OK;
    } else if (err == MS_OK) {
        err = at_row(&t, time_s, ret_signed, diag);
    }
    telling_done(&t);
    return err;
}
