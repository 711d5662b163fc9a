/* cache/report_entries.c - which specifiers there is a history of. */
#include "cache/report_internal.h"

#define ENTRY_ARENA_BYTES ((size_t)CACHE_TEXT_MAX_BYTES + 2 * CACHE_VALIDATOR_MAX_BYTES + 8192)
#define TEXTS_MAX_BYTES ((size_t)4 << 20) /* of specifiers in one page */

struct newest { /* numbers first: a statement must not be stepped while another one reads */
    size_t n;
    struct {
        uint64_t n;
        struct ms_sha256 key;
    } rows[REPORT_ROWS_MAX];
};

static enum ms_err note_row(void *arg, enum ms_err bad, const struct cache_history *h,
                            const struct ms_diag *why)
{
    struct newest *l = arg;
    (void)bad; /* read again, and told of, when it is listed */
    (void)why;

    l->rows[l->n].n = h->n;
    l->rows[l->n++].key = h->key;
    return MS_OK;
}

/* What only the entry knows: the text, and when the source last confirmed it. It may be gone, or be
 * of another level than the change. */
static enum ms_err add_entry(struct cache *cache, const struct cache_history *h, json_t *out,
                             size_t *bytes, struct ms_diag *diag)
{
    struct ms_arena arena = MS_ARENA_INIT(ENTRY_ARENA_BYTES);
    struct cache_entry entry;
    bool found = false;
    int bad = 0;

    enum ms_err err = cache_entry_get(cache, &h->key, h->level, &arena, &entry, &found, diag);
    if (err == MS_OK && found) {
        bad |= json_object_set_new(out, "specifier", json_string(entry.canonical));
        bad |= json_object_set_new(out, "kind", json_string(spec_kind_name(entry.kind)));
        bad |= json_object_set_new(out, "checked", json_integer(entry.checked.wall_s));
        *bytes += strlen(entry.canonical);
    }
    ms_arena_done(&arena);
    if (bad != 0)
        return MS_ERR_MEMORY;
    return err == MS_ERR_HMAC ? MS_OK : err; /* listed by its key: audit tells of such rows */
}

static int add_row(const struct cache_history *h, json_t *out)
{
    int bad = json_object_set_new(out, "time", json_integer(h->time_s));

    bad |= json_object_set_new(out, "change", json_string(h->kind));
    bad |= json_object_set_new(out, "sequence",
                               json_integer((json_int_t)(h->has_sequence ? h->sequence : 0)));
    if (h->level != SPEC_LEVEL_NONE)
        bad |= json_object_set_new(out, "level", json_string(spec_level_name(h->level)));
    return bad;
}

static enum ms_err list_entry(struct cache *cache, const struct ms_sha256 *key, uint64_t n,
                              json_t *list, size_t *bytes, struct ms_diag *diag)
{
    char hex[2 * MS_SHA256_BYTES + 1];
    struct report_row row = {0};
    json_t *out;

    enum ms_err err = report_row_get(cache, key, n, &row, diag);
    if (err != MS_OK)
        return err;
    ms_sha256_hex(key, hex);
    out = json_pack("{s:s, s:n, s:I}", "key", hex, "specifier", "n", (json_int_t)n);
    if (out == NULL)
        err = MS_ERR_MEMORY;
    else if (!row.found || row.err != MS_OK)
        err = json_object_set_new(out, "change", json_string("unreadable")) == 0 ? MS_OK
                                                                                 : MS_ERR_MEMORY;
    else if (add_row(&row.h, out) != 0)
        err = MS_ERR_MEMORY;
    else
        err = add_entry(cache, &row.h, out, bytes, diag);
    report_row_done(&row);
    if (err != MS_OK) {
        json_decref(out);
        return err;
    }
    return json_array_append_new(list, out) == 0 ? MS_OK : MS_ERR_MEMORY;
}

enum ms_err report_entries(struct cache *cache, uint64_t before, size_t limit, struct ms_buf *out,
                           struct ms_diag *diag)
{
    json_t *list = json_array();
    struct newest l = {0};
    uint64_t below = 0;
    size_t bytes = 0, i = 0;

    if (limit == 0 || limit > REPORT_ROWS_MAX)
        limit = limit == 0 ? REPORT_ROWS_USUAL : REPORT_ROWS_MAX;
    enum ms_err err = list == NULL ? MS_ERR_MEMORY : MS_OK;
    if (err == MS_OK)
        err = cache_history_newest(cache, before, limit, note_row, &l, &below, diag);
    for (; err == MS_OK && i < l.n && bytes <= TEXTS_MAX_BYTES; i++)
        err = list_entry(cache, &l.rows[i].key, l.rows[i].n, list, &bytes, diag);
    if (i < l.n)
        below = l.rows[i - 1].n;
    if (err == MS_OK) {
        json_t *root = json_pack("{s:i, s:O}", "v", 1, "entries", list);
        if (root != NULL && below != 0 &&
            json_object_set_new(root, "next", json_integer((json_int_t)below)) != 0)
            err = MS_ERR_MEMORY;
        if (err == MS_OK)
            err = report_print(json_incref(root), out);
        json_decref(root);
    }
    json_decref(list);
    return err;
}
