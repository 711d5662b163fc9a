/* resolver/records/builderhub.c - what is posted to BuilderHub's admin API, one call a record.
 *
 * A name is for ever there: UNIQUE over all types, and what stands under it can be switched on and
 * off, but neither changed nor deleted (consumers.md 1.4, 2.2 C12). So two records of one id get
 * names that say which is which by what they approve, and the same record has the same name again
 * whoever else is in the list with it. */
#include "resolver/records/internal.h"

#include <stdio.h>
#include <stdlib.h>

#define SUFFIX_BYTES 8 /* of a SHA-256; two that agree are refused by the hub */
#define HUB_NAME_MAX (REC_ID_MAX_BYTES + 1 + 2 * SUFFIX_BYTES + 1)
#define NAMELESS "unnamed"

struct entry {
    const struct rec_record *record;
    size_t order;
    bool again;  /* the same record stands before it */
    bool shared; /* its id is another record's too, or empty */
};

static int registers_cmp(const struct rec_record *a, const struct rec_record *b)
{
    if (a->n_registers != b->n_registers)
        return a->n_registers < b->n_registers ? -1 : 1;
    for (size_t i = 0; i < a->n_registers; i++) {
        const struct rec_register *x = &a->registers[i], *y = &b->registers[i];
        if (x->index != y->index)
            return x->index < y->index ? -1 : 1;
        if (x->n_values != y->n_values)
            return x->n_values < y->n_values ? -1 : 1;
        for (size_t k = 0; k < x->n_values; k++) {
            int cmp = rec_value_cmp(&x->values[k], &y->values[k]);
            if (cmp != 0)
                return cmp;
        }
    }
    return 0;
}

/* The hub compares types as texts: dcap-tdx and qemu-tdx of one id are two records. */
static int record_cmp(const struct rec_record *a, const struct rec_record *b)
{
    int cmp = strcmp(a->id, b->id);

    if (cmp == 0)
        cmp = strcmp(a->type_text, b->type_text);
    return cmp == 0 ? registers_cmp(a, b) : cmp;
}

static int entry_cmp(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    int cmp = record_cmp(x->record, y->record);

    return cmp != 0 ? cmp : (x->order > y->order) - (x->order < y->order);
}

static int order_cmp(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;

    return (x->order > y->order) - (x->order < y->order);
}

static int id_cmp(const void *key, const void *entry)
{
    return strcmp(key, ((const struct entry *)entry)->record->id);
}

/* POST .../activation/NAME: a slash, or a path that means another one, reaches no record, which
 * would stay off for ever. */
static bool can_be_activated(const char *id)
{
    return strchr(id, '/') == NULL && strcmp(id, ".") != 0 && strcmp(id, "..") != 0;
}

static size_t collect(struct rec_rendering *w, struct entry *entries)
{
    size_t n = 0;

    for (size_t s = 0; s < w->n_sets; s++) {
        for (size_t i = 0; i < w->sets[s]->n_records; i++) {
            const struct rec_record *record = &w->sets[s]->records[i];
            if (rec_expressible(record, REC_PROFILE_BUILDERHUB) && can_be_activated(record->id)) {
                entries[n] = (struct entry){.record = record, .order = n};
                n++;
            } else {
                w->records++;
            }
        }
    }
    return n;
}

/* Of sorted entries: those of one id stand together, and the same record twice too. */
static void find_shared(struct entry *entries, size_t n)
{
    for (size_t from = 0, to; from < n; from = to) {
        bool shared = entries[from].record->id[0] == '\0';
        for (to = from + 1; to < n; to++) {
            if (strcmp(entries[to].record->id, entries[from].record->id) != 0)
                break;
            entries[to].again = record_cmp(entries[to - 1].record, entries[to].record) == 0;
            shared = shared || !entries[to].again;
        }
        for (size_t i = from; i < to; i++)
            entries[i].shared = shared;
    }
}

static enum ms_err name_of(const struct entry *entry, char out[HUB_NAME_MAX])
{
    const struct rec_record *record = entry->record;
    struct ms_buf text = MS_BUF_INIT(REC_ARENA_MAX_BYTES);
    char hex[2 * MS_SHA256_BYTES + 1];

    if (!entry->shared) {
        (void)snprintf(out, HUB_NAME_MAX, "%s", record->id);
        return MS_OK;
    }
    enum ms_err err = rec_record_canonical(record, &text);
    if (err == MS_OK)
        err = ms_buf_add_str(&text, record->type_text); /* which the canonical form unifies */
    struct ms_sha256 hash = ms_sha256(ms_buf_span(&text));
    ms_buf_done(&text);
    if (err != MS_OK)
        return err;
    ms_sha256_hex(&hash, hex);
    (void)snprintf(out, HUB_NAME_MAX, "%s.%.*s", record->id[0] == '\0' ? NAMELESS : record->id,
                   2 * SUFFIX_BYTES, hex);
    return MS_OK;
}

/* A name made here may be the id of somebody else. */
static enum ms_err check_names(struct rec_rendering *w, const struct entry *sorted, size_t n)
{
    char name[HUB_NAME_MAX];

    for (size_t i = 0; i < n; i++) {
        if (!sorted[i].shared || sorted[i].again)
            continue;
        enum ms_err err = name_of(&sorted[i], name);
        if (err != MS_OK)
            return err;
        if (bsearch(name, sorted, n, sizeof(*sorted), id_cmp) != NULL)
            return ms_diag_set(w->diag, MS_ERR_PROFILE,
                               "profile builderhub: several records have the id \"%.40s\", and the "
                               "name %.80s that one of them would get is taken: give them ids of "
                               "their own",
                               sorted[i].record->id, name);
    }
    return MS_OK;
}

enum ms_err rec_render_builderhub(struct rec_rendering *w)
{
    char name[HUB_NAME_MAX];
    size_t n = 0;

    for (size_t s = 0; s < w->n_sets; s++) {
        n += w->sets[s]->n_records;
        w->predicates += w->sets[s]->n_predicates;
    }
    struct entry *entries = calloc(n + 1, sizeof(*entries));
    if (entries == NULL)
        return MS_ERR_MEMORY;
    n = collect(w, entries);
    qsort(entries, n, sizeof(*entries), entry_cmp);
    find_shared(entries, n);
    enum ms_err err = check_names(w, entries, n);
    qsort(entries, n, sizeof(*entries), order_cmp);
    for (size_t i = 0; err == MS_OK && i < n; i++) {
        if (entries[i].again)
            continue;
        err = name_of(&entries[i], name);
        if (err == MS_OK)
            rec_put_record(w, entries[i].record, name, entries[i].record->type_text, NULL);
    }
    free(entries);
    return err;
}
