/* resolver/entry/past_sets.c - signed sets of the past. */
#include "resolver/entry/past_sets.h"

#include "base/json.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- how they hang together ---- */

static int by_hash(const void *a, const void *b)
{
    const struct past_set *const *x = a, *const *y = b;
    return memcmp((*x)->hash.b, (*y)->hash.b, ETH_HASH_BYTES);
}

static struct past_set *find(struct past_set **index, size_t n, const struct eth_hash *hash)
{
    const struct past_set want = {.hash = *hash}, *key = &want;
    struct past_set **found = n == 0 ? NULL : bsearch(&key, index, n, sizeof(*index), by_hash);

    return found == NULL ? NULL : *found;
}

/* From the newest down, so that who names a set is judged before it. */
static void link_down(struct past_set *sets, size_t n, struct past_set **index)
{
    for (size_t i = 0; i < n; i++) {
        struct past_set *before = find(index, n, &sets[i].previous);
        if (before == NULL || before->sequence >= sets[i].sequence)
            continue;
        before->named = true;
        before->linked = before->linked || sets[i].linked;
    }
}

static void count_up(struct past_set *sets, size_t n, struct past_set **index)
{
    static const struct eth_hash none;

    for (size_t i = n; i-- > 0;) {
        const struct past_set *before = find(index, n, &sets[i].previous);
        sets[i].whole = eth_hash_eq(&sets[i].previous, &none) ||
                        (before != NULL && before->sequence < sets[i].sequence && before->whole);
    }
}

enum ms_err past_sets_link(struct past_set *sets, size_t n, const struct eth_hash *named,
                           size_t n_named)
{
    struct past_set **index = calloc(n + 1, sizeof(struct past_set *));

    if (index == NULL)
        return MS_ERR_MEMORY;
    for (size_t i = 0; i < n; i++) {
        sets[i].linked = sets[i].named = sets[i].whole = false;
        index[i] = &sets[i];
    }
    qsort(index, n, sizeof(struct past_set *), by_hash);
    for (size_t i = 0; i < n_named; i++) {
        struct past_set *set = find(index, n, &named[i]);
        if (set != NULL)
            set->named = set->linked = true;
    }
    link_down(sets, n, index);
    count_up(sets, n, index);
    free(index);
    return MS_OK;
}

/* ---- telling ---- */

static json_t *number_json(uint64_t value)
{
    return json_integer((json_int_t)(value > INT64_MAX ? INT64_MAX : value));
}

static json_t *hash_json(const struct ms_sha256 *hash)
{
    char text[8 + 2 * MS_SHA256_BYTES] = "sha256:";

    ms_sha256_hex(hash, text + 7);
    return json_string(text);
}

json_t *past_set_release_json(const struct msig_release *release)
{
    char version[24];

    (void)snprintf(version, sizeof(version), "%llu", (unsigned long long)release->version);
    return json_pack(
        "{s:o, s:s, s:o, s:o, s:i, s:o, s:o, s:o, s:s}", "release", number_json(release->id),
        "version", version, "not_before", number_json(release->not_before_s), "not_after",
        number_json(release->not_after_s), "format", (int)release->payload_format, "size",
        number_json(release->payload_size), "payload", hash_json(&release->payload_hash), "uri",
        json_stringn((const char *)release->uri.ptr, release->uri.len), "document",
        release->payload.len > 0 || release->payload_size == 0 ? "known" : "missing");
}

/* The same release is one of the same id and payload; its window may have moved. */
static const struct msig_release *same_in(const struct msig_set_doc *set,
                                          const struct msig_release *release)
{
    for (size_t i = 0; set != NULL && i < set->set.n_releases; i++)
        if (set->set.releases[i].id == release->id &&
            ms_sha256_eq(&set->set.releases[i].payload_hash, &release->payload_hash))
            return &set->set.releases[i];
    return NULL;
}

struct list {
    json_t *items;
    size_t n;
};

static void list_add(struct list *list, json_t *item)
{
    if (list->n++ < PAST_SET_ITEMS_MAX)
        (void)json_array_append_new(list->items, item);
    else
        json_decref(item);
}

/* Those of one set that the other has not. */
static struct list only_in(const struct msig_set_doc *set, const struct msig_set_doc *other)
{
    struct list out = {.items = json_array()};

    for (size_t i = 0; set != NULL && i < set->set.n_releases; i++)
        if (same_in(other, &set->set.releases[i]) == NULL)
            list_add(&out, past_set_release_json(&set->set.releases[i]));
    return out;
}

static void add_moved(struct list *list, const struct msig_release *release, const char *window,
                      uint64_t was, uint64_t is)
{
    char version[24];

    (void)snprintf(version, sizeof(version), "%llu", (unsigned long long)release->version);
    if (was != is)
        list_add(list, json_pack("{s:o, s:s, s:s, s:o, s:o}", "release", number_json(release->id),
                                 "version", version, "window", window, "was", number_json(was),
                                 "is", number_json(is)));
}

static struct list moved(const struct msig_set_doc *set, const struct msig_set_doc *before)
{
    struct list out = {.items = json_array()};

    for (size_t i = 0; i < set->set.n_releases; i++) {
        const struct msig_release *is = &set->set.releases[i], *was = same_in(before, is);
        if (was == NULL)
            continue;
        add_moved(&out, is, "not_before", was->not_before_s, is->not_before_s);
        add_moved(&out, is, "not_after", was->not_after_s, is->not_after_s);
    }
    return out;
}

json_t *past_set_signers_json(const struct msig_set_doc *set, const struct set_roots *roots)
{
    struct set_signers by = set_signers_judge(roots, set);
    const struct msig_signers *list = &roots->roots[by.epoch].signers;
    json_t *addrs = json_array();

    for (size_t i = 0; i < list->n; i++) {
        char text[ETH_ADDR_TEXT + 1];
        eth_addr_text(&list->addrs[i], text);
        if (by.tally.counted[i])
            (void)json_array_append_new(addrs, json_string(text));
    }
    json_t *out =
        json_pack("{s:o, s:I, s:I, s:I, s:I, s:b}", "signed_by", addrs, "counted",
                  (json_int_t)by.tally.n_counted, "threshold", (json_int_t)list->threshold, "of",
                  (json_int_t)list->n, "epoch", (json_int_t)by.epoch, "met", (int)by.met);
    if (out != NULL && by.bad)
        (void)json_object_set_new(out, "bad", json_true());
    if (out != NULL && by.tally.n_unresolved > 0)
        (void)json_object_set_new(out, "contracts",
                                  json_integer((json_int_t)by.tally.n_unresolved));
    return out;
}

static int add_list(json_t *out, const char *name, const char *count, struct list list)
{
    int bad = json_object_set_new(out, name, list.items);
    return bad | json_object_set_new(out, count, json_integer((json_int_t)list.n));
}

/* Against a set that is not known nothing is said to differ. */
static int add_differences(json_t *out, const struct msig_set_doc *set,
                           const struct msig_set_doc *before)
{
    static const struct eth_hash none;
    bool compared = before != NULL || eth_hash_eq(&set->set.previous, &none);
    const struct msig_set_doc *with = compared ? before : set;

    int bad = add_list(out, "added", "n_added", only_in(set, with));
    bad |= add_list(out, "removed", "n_removed", only_in(with == set ? NULL : with, set));
    bad |= add_list(out, "changed", "n_changed", moved(set, with));
    if (!compared)
        bad |= json_object_set_new(out, "compared", json_false());
    return bad;
}

json_t *past_set_json(const struct msig_set_doc *set, const struct msig_set_doc *before,
                      const struct set_roots *roots)
{
    json_t *live = json_array();

    for (size_t i = 0; i < set->set.n_releases; i++)
        (void)json_array_append_new(live, number_json(set->set.releases[i].id));
    json_t *out =
        json_pack("{s:o, s:o, s:s, s:n, s:s, s:s, s:o, s:o, s:o, s:o}", "sequence",
                  number_json(set->set.sequence), "time", number_json(set->set.issued_at_s),
                  "state", set->set.n_releases > 0 ? "good" : "revoked", "block", "kind", "set",
                  "source", "previous", "valid_until", number_json(set->set.valid_until_s), "live",
                  live, "hash", ms_json_hex(eth_hash_span(&set->set_hash)), "previous",
                  ms_json_hex(eth_hash_span(&set->set.previous)));
    int bad = out == NULL ? 1 : add_differences(out, set, before);
    if (bad == 0 && roots != NULL)
        bad = json_object_set_new(out, "signers", past_set_signers_json(set, roots));
    if (bad == 0)
        return out;
    json_decref(out);
    return NULL;
}

json_t *past_set_gap_json(uint64_t from, uint64_t to, int64_t time_s)
{
    return json_pack("{s:o, s:I, s:s, s:n, s:s, s:s, s:o, s:o, s:[], s:[], s:b}", "sequence",
                     number_json(from), "time", (json_int_t)time_s, "state", "unknown", "block",
                     "kind", "gap", "source", "previous", "from", number_json(from), "to",
                     number_json(to), "added", "removed", "complete", 0);
}
