/* resolver/entry/summary.c - the lines that are kept of a change. */
#include "resolver/entry/summary.h"

#include "base/hex.h"
#include "resolver/entry/envelope.h"

#include <stdio.h>

#define SUMMARY_VERSION 1
#define CANONICAL_MAX_BYTES ((size_t)1 << 20) /* of one record */
#define ITEM_KEY_BYTES (20 + 1 + 2 * MS_SHA256_BYTES + 1)

/* ---- facts ---- */

static json_t *hex_json(const char *prefix, const uint8_t *bytes, size_t len)
{
    char text[16 + 2 * 32 + 1];
    size_t n = strlen(prefix);

    memcpy(text, prefix, n);
    ms_hex_encode(ms_span_of(bytes, len), text + n);
    return json_string(text);
}

static json_t *text_hash(const struct ms_buf *text)
{
    struct ms_sha256 hash = ms_sha256(ms_buf_span(text));
    return hex_json("", hash.b, sizeof(hash.b));
}

/* Takes item. */
static bool add_item(json_t *items, const struct source_release *release, json_t *item,
                     const struct ms_buf *canonical)
{
    int bad = item == NULL || ms_buf_err(canonical) != MS_OK;

    bad = bad || json_object_set_new(item, "release", json_integer((json_int_t)release->id)) != 0;
    if (!bad && release->version[0] != '\0')
        bad = json_object_set_new(item, "version", json_string(release->version));
    bad = bad || json_object_set_new(item, "sha256", text_hash(canonical)) != 0;
    if (bad) {
        json_decref(item);
        return false;
    }
    return json_array_append_new(items, item) == 0;
}

static bool add_records(json_t *items, const struct source_release *release)
{
    bool ok = true;

    for (size_t i = 0; ok && i < release->set->n_records; i++) {
        const struct rec_record *record = &release->set->records[i];
        struct ms_buf canonical = MS_BUF_INIT(CANONICAL_MAX_BYTES);
        ok = rec_record_canonical(record, &canonical) == MS_OK &&
             add_item(items, release,
                      json_pack("{s:s, s:s}", "id", record->id, "type", record->type_text),
                      &canonical);
        ms_buf_done(&canonical);
    }
    return ok;
}

static bool add_predicates(json_t *items, const struct source_release *release)
{
    bool ok = true;

    for (size_t i = 0; ok && i < release->set->n_predicates; i++) {
        const struct rec_predicate *p = &release->set->predicates[i];
        struct ms_buf canonical = MS_BUF_INIT(CANONICAL_MAX_BYTES);
        ok = rec_predicate_canonical(p, &canonical) == MS_OK &&
             add_item(items, release,
                      json_pack("{s:s, s:o}", "kind", rec_predicate_kind_name(p->kind), "value",
                                hex_json("", p->value, sizeof(p->value))),
                      &canonical);
        ms_buf_done(&canonical);
    }
    return ok;
}

static json_t *items_json(const struct source_result *result)
{
    json_t *items = json_array();
    bool ok = items != NULL;

    for (size_t i = 0; ok && i < result->n_releases; i++)
        ok =
            add_records(items, &result->releases[i]) && add_predicates(items, &result->releases[i]);
    if (ok)
        return items;
    json_decref(items);
    return NULL;
}

static json_t *releases_json(const struct source_result *result)
{
    json_t *out = json_array();

    for (size_t i = 0; out != NULL && i < result->n_releases; i++) {
        const struct source_release *r = &result->releases[i];
        json_t *one = json_pack("{s:I, s:s, s:I, s:I}", "id", (json_int_t)r->id, "version",
                                r->version, "not_before", (json_int_t)r->not_before_s, "not_after",
                                (json_int_t)r->not_after_s);
        if (one == NULL || json_array_append_new(out, one) != 0) {
            json_decref(out);
            return NULL;
        }
    }
    return out;
}

/* What is in force when the change is written: by the block's time and by ours. */
static const char *state_name(const struct source_result *result, int64_t time_s)
{
    int64_t chain_s = result->block.chain != 0 ? result->block.time_s : time_s;

    for (size_t i = 0; i < result->n_releases; i++) {
        const struct source_release *r = &result->releases[i];
        if (entry_release_window(r, chain_s, time_s) == ENTRY_WINDOW_IN_FORCE &&
            r->set->n_records + r->set->n_predicates > 0)
            return entry_state_name(ENTRY_FRESH);
    }
    return entry_state_name(ENTRY_REVOKED);
}

/* Who governs: what stands in one line each, and who signed. The rest (modules, delays and roles of
 * what owns it) is in the bundle, and `diff` shows it. Copies: the facts go to another thread. */
static json_t *governance_json(const struct source_result *result)
{
    json_t *out = json_object();
    const char *name;
    json_t *value;

    json_object_foreach(result->governance, name, value)
    {
        bool plain = !json_is_object(value) && !json_is_array(value);
        if (out != NULL && (plain || strcmp(name, "signed_by") == 0) &&
            json_object_set_new(out, name, json_deep_copy(value)) != 0) {
            json_decref(out);
            return NULL;
        }
    }
    return out;
}

static int add_block(json_t *facts, const struct source_result *result)
{
    static const struct ms_sha256 nothing;
    int bad = json_object_set_new(facts, "chain", json_integer((json_int_t)result->block.chain));

    bad |= json_object_set_new(facts, "block_time", json_integer(result->block.time_s));
    if (result->hash_by != NULL)
        bad |= json_object_set_new(facts, "hash_by", json_string(result->hash_by));
    if (!ms_sha256_eq(&result->overlay, &nothing)) /* the newest state takes something away */
        bad |= json_object_set_new(facts, "head_removes",
                                   json_integer((json_int_t)result->head_number));
    return bad;
}

static int add_result(json_t *facts, const struct source_result *result, int64_t time_s)
{
    char trust[32];
    int bad = 0;

    envelope_trust(result, trust);
    bad |= json_object_set_new(facts, "state", json_string(state_name(result, time_s)));
    bad |= json_object_set_new(facts, "trust", json_string(trust));
    bad |= json_object_set_new(facts, "commitment",
                               hex_json("", result->commitment.b, MS_SHA256_BYTES));
    if (result->block.chain != 0)
        bad |= add_block(facts, result);
    if (result->valid_until_s != 0)
        bad |= json_object_set_new(facts, "valid_until", json_integer(result->valid_until_s));
    if (result->governance != NULL)
        bad |= json_object_set_new(facts, "governance", governance_json(result));
    bad |= json_object_set_new(facts, "releases", releases_json(result));
    bad |= json_object_set_new(facts, "items", items_json(result));
    return bad;
}

enum ms_err summary_facts(const struct spec *spec, const struct source_result *result,
                          enum ms_err error, int64_t time_s, const struct ms_sha256 *policy,
                          json_t **ret_facts)
{
    json_t *facts =
        json_pack("{s:i, s:s, s:o}", "v", SUMMARY_VERSION, "of", spec_kind_name(spec->kind),
                  "policy", hex_json("", policy->b, MS_SHA256_BYTES));
    int bad = facts == NULL;

    if (!bad && result != NULL)
        bad = add_result(facts, result, time_s);
    else if (!bad)
        bad = json_object_set_new(facts, "error", json_string(ms_err_code(error)));
    if (bad) {
        json_decref(facts);
        return MS_ERR_MEMORY;
    }
    *ret_facts = facts;
    return MS_OK;
}

/* ---- what differs ---- */

static void item_key(const json_t *item, char out[ITEM_KEY_BYTES])
{
    (void)snprintf(out, ITEM_KEY_BYTES, "%lld %.64s",
                   (long long)json_integer_value(json_object_get(item, "release")),
                   json_string_value(json_object_get(item, "sha256")));
}

/* Items by their key, so that long lists take no longer than they must. */
static json_t *index_of(const json_t *items)
{
    json_t *index = json_object();
    char key[ITEM_KEY_BYTES];
    size_t i;
    json_t *item;

    json_array_foreach(items, i, item)
    {
        item_key(item, key);
        if (index != NULL && json_object_set(index, key, item) != 0) {
            json_decref(index);
            return NULL;
        }
    }
    return index;
}

static int add_missing(json_t *out, const json_t *items, const json_t *other_index)
{
    char key[ITEM_KEY_BYTES];
    size_t i;
    json_t *item;

    json_array_foreach(items, i, item)
    {
        item_key(item, key);
        if (json_object_get(other_index, key) == NULL && json_array_append(out, item) != 0)
            return -1;
    }
    return 0;
}

static bool same_member(const json_t *a, const json_t *b, const char *name)
{
    return json_equal(json_object_get(a, name), json_object_get(b, name));
}

/* Both are records of one release, one type and one name that is not empty. */
static bool is_successor(const json_t *old, const json_t *item)
{
    const char *id = json_string_value(json_object_get(old, "id"));

    return id != NULL && id[0] != '\0' && same_member(old, item, "id") &&
           same_member(old, item, "type") && same_member(old, item, "release");
}

/* What was removed and added under one name moves to `changed`. */
static int pair_up(json_t *diff)
{
    json_t *added = json_object_get(diff, "added"), *removed = json_object_get(diff, "removed");
    json_t *changed = json_object_get(diff, "changed");

    /* beyond what is ever shown the lists stay as they are: this loop is quadratic */
    if (json_array_size(added) > 16 * SUMMARY_ITEMS_MAX ||
        json_array_size(removed) > 16 * SUMMARY_ITEMS_MAX)
        return 0;
    for (size_t i = 0; i < json_array_size(removed); i++) {
        json_t *old = json_array_get(removed, i);
        for (size_t k = 0; k < json_array_size(added); k++) {
            json_t *item = json_array_get(added, k);
            if (!is_successor(old, item))
                continue;
            json_t *one = json_deep_copy(item);
            if (json_object_set(one, "was", json_object_get(old, "sha256")) != 0 ||
                json_array_append_new(changed, one) != 0)
                return -1;
            (void)json_array_remove(added, k);
            (void)json_array_remove(removed, i--);
            break;
        }
    }
    return 0;
}

static const json_t *release_of(const json_t *facts, const json_t *id)
{
    const json_t *releases = json_object_get(facts, "releases");
    size_t i;
    json_t *release;

    json_array_foreach(releases, i,
                       release) if (json_equal(json_object_get(release, "id"), id)) return release;
    return NULL;
}

static int add_windows(json_t *changed, const json_t *before, const json_t *after)
{
    static const char *const ends[] = {"not_before", "not_after"};
    const json_t *releases = json_object_get(after, "releases");
    size_t i;
    json_t *release;

    json_array_foreach(releases, i, release)
    {
        const json_t *old = release_of(before, json_object_get(release, "id"));
        for (size_t e = 0; old != NULL && e < MS_ARRAY_LEN(ends); e++) {
            if (same_member(old, release, ends[e]))
                continue;
            json_t *one =
                json_pack("{s:O, s:s, s:O, s:O}", "release", json_object_get(release, "id"),
                          "window", ends[e], "was", json_object_get(old, ends[e]), "is",
                          json_object_get(release, ends[e]));
            if (one == NULL || json_array_append_new(changed, one) != 0)
                return -1;
        }
    }
    return 0;
}

json_t *summary_diff(const json_t *before, const json_t *after)
{
    const json_t *old_items = json_object_get(before, "items");
    const json_t *new_items = json_object_get(after, "items");
    json_t *diff = json_pack("{s:[], s:[], s:[]}", "added", "removed", "changed");
    json_t *old_index = index_of(old_items), *new_index = index_of(new_items);
    int bad = diff == NULL || old_index == NULL || new_index == NULL;

    bad = bad || add_missing(json_object_get(diff, "added"), new_items, old_index) != 0;
    bad = bad || add_missing(json_object_get(diff, "removed"), old_items, new_index) != 0;
    bad = bad || pair_up(diff) != 0;
    bad = bad || add_windows(json_object_get(diff, "changed"), before, after) != 0;
    json_decref(old_index);
    json_decref(new_index);
    if (bad) {
        json_decref(diff);
        return NULL;
    }
    return diff;
}

/* ---- the text that is kept ---- */

/* The first of a list, and how many there were. */
static int set_list(json_t *out, const char *name, const json_t *list, size_t max)
{
    char count[32];
    json_t *cut = json_array();
    int bad = cut == NULL;

    (void)snprintf(count, sizeof(count), "n_%s", name);
    for (size_t i = 0; !bad && i < json_array_size(list) && i < max; i++)
        bad = json_array_append(cut, json_array_get(list, i));
    bad = bad || json_object_set(out, name, cut) != 0;
    json_decref(cut);
    return bad ? -1
               : json_object_set_new(out, count, json_integer((json_int_t)json_array_size(list)));
}

/* With at most `max` of each list; items only when they are all there. */
static enum ms_err render(const json_t *facts, const json_t *diff, size_t max, struct ms_buf *out)
{
    static const char *const lists[] = {"added", "removed", "changed"};
    const json_t *items = json_object_get(facts, "items");
    json_t *text = json_copy((json_t *)(uintptr_t)facts); /* not changed */
    int bad = text == NULL;

    for (size_t i = 0; !bad && i < MS_ARRAY_LEN(lists); i++)
        bad = set_list(text, lists[i], json_object_get(diff, lists[i]), max);
    if (!bad && items != NULL)
        bad = set_list(text, "items", items, json_array_size(items) > max ? 0 : max);
    if (!bad && json_array_size(items) > max)
        (void)json_object_del(text, "releases"); /* no use without them */
    if (!bad && max == 0)
        (void)json_object_del(text, "governance");
    enum ms_err err = bad ? MS_ERR_MEMORY : ms_json_dump(text, out);
    json_decref(text);
    return err;
}

enum ms_err summary_render(const json_t *facts, const json_t *before, bool accepted,
                           struct ms_buf *out)
{
    static const size_t rooms[] = {SUMMARY_ITEMS_MAX, SUMMARY_ITEMS_MAX / 8, 0};
    json_t *diff = accepted ? summary_diff(before, facts) : json_object();
    enum ms_err err = diff == NULL ? MS_ERR_MEMORY : MS_ERR_LIMIT;

    for (size_t i = 0; err == MS_ERR_LIMIT && i < MS_ARRAY_LEN(rooms); i++) {
        struct ms_buf text = MS_BUF_INIT(SUMMARY_MAX_BYTES);
        err = render(facts, diff, rooms[i], &text);
        if (err == MS_OK)
            err = ms_buf_add(out, ms_buf_span(&text));
        ms_buf_done(&text);
    }
    json_decref(diff);
    return err;
}

static bool is_item(const json_t *item)
{
    return json_is_integer(json_object_get(item, "release")) &&
           ms_json_member_str(item, "sha256").len == (size_t)2 * MS_SHA256_BYTES;
}

static bool is_release(const json_t *release)
{
    return json_is_integer(json_object_get(release, "id")) &&
           json_is_integer(json_object_get(release, "not_before")) &&
           json_is_integer(json_object_get(release, "not_after"));
}

/* What summary_diff relies on; a list may be missing. */
static bool all_are(const json_t *list, bool (*is_one)(const json_t *one))
{
    size_t i;
    json_t *one;

    if (list != NULL && !json_is_array(list))
        return false;
    json_array_foreach(list, i, one) if (!is_one(one)) return false;
    return true;
}

enum ms_err summary_read(struct ms_span text, json_t **ret_summary, bool *ret_whole,
                         struct ms_diag *diag)
{
    static const struct ms_json_limits limits = {SUMMARY_MAX_BYTES, 8, 8192, 0};
    json_t *summary = NULL;

    enum ms_err err = ms_json_parse(text, &limits, &summary, diag);
    if (err != MS_OK)
        return err;
    const json_t *n = json_object_get(summary, "n_items");
    if (!json_is_object(summary) ||
        json_integer_value(json_object_get(summary, "v")) != SUMMARY_VERSION ||
        !all_are(json_object_get(summary, "items"), is_item) ||
        !all_are(json_object_get(summary, "releases"), is_release)) {
        json_decref(summary);
        return ms_diag_set(diag, MS_ERR_JSON, "not a summary of a change");
    }
    *ret_whole =
        json_is_integer(n) &&
        json_integer_value(n) == (json_int_t)json_array_size(json_object_get(summary, "items"));
    *ret_summary = summary;
    return MS_OK;
}

enum ms_err summary_of_bundle(struct ms_span text, int64_t time_s, struct spec *spec,
                              json_t **ret_facts, struct source_result **ret_result,
                              struct ms_diag *diag)
{
    struct source_result *result = NULL;
    struct bundle_about about;

    enum ms_err err = bundle_read(text, spec, &result, &about, diag);
    if (err == MS_OK)
        err = summary_facts(spec, result, about.error, time_s < 0 ? about.time_s : time_s,
                            &about.policy, ret_facts);
    if (err == MS_OK && ret_result != NULL)
        *ret_result = result;
    else
        source_result_free(result);
    return err;
}
