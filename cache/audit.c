/* cache/audit.c - everything in a database compared with what its evidence says. */
#include "cache/audit.h"

#include "cache/internal.h"
#include "cache/replays.h"

#include <stdio.h>
#include <stdlib.h>

#define LEVELS (SPEC_LEVEL_L4 + 1)

struct item {   /* a row, looked at after the walk: a statement must not be stepped meanwhile */
    uint64_t n; /* history */
    struct ms_sha256 key;
};

struct read_ahead { /* rows that were read, and are replayed meanwhile */
    struct replays *replays;
    size_t n;        /* items that were read */
    enum ms_err err; /* why the next one could not be */
    struct ms_diag diag;
};

struct last {         /* of one key and level: the newest set, as its evidence says */
    bool any, broken; /* broken: its evidence is, so what comes after cannot be compared with it */
    json_t *facts;    /* with all its items */
    struct ms_sha256 bundle, set_hash, commitment;
    uint64_t n, epoch, sequence;
    bool has_sequence;
};

struct audit {
    struct cache *cache;
    const struct audit_sink *sink;
    struct audit_counts counts;
    struct item *items; /* history, by key and n */
    size_t n_items, max_items;
    struct cache_entry *entries; /* by key; without their texts */
    size_t n_entries, max_entries;
    struct ms_sha256 *had; /* names of the evidence that was replayed, and so had its bytes */
    size_t n_had, max_had;
    uint64_t done, total;
    struct last last[LEVELS]; /* of the key that is looked at */
};

/* ---- telling ---- */

void audit_tell(const struct audit_sink *sink, struct audit_counts *counts,
                const struct audit_finding *finding)
{
    counts->found++;
    sink->finding(sink->arg, finding);
}

enum ms_err audit_keys_add(struct audit_keys *keys, const struct ms_sha256 *key)
{
    if (keys->n > 0 && ms_sha256_eq(&keys->items[keys->n - 1], key))
        return MS_OK;
    if (keys->n == keys->cap) {
        size_t cap = keys->cap == 0 ? 16 : 2 * keys->cap;
        struct ms_sha256 *grown = realloc(keys->items, cap * sizeof(*grown));
        if (grown == NULL)
            return MS_ERR_MEMORY;
        keys->items = grown;
        keys->cap = cap;
    }
    keys->items[keys->n++] = *key;
    return MS_OK;
}

static void tell(struct audit *a, const char *what, uint64_t n, const struct ms_sha256 *key,
                 const char *why)
{
    struct audit_finding f = {.what = what, .n = n, .has_key = key != NULL, .why = why};

    if (key != NULL)
        f.key = *key;
    audit_tell(a->sink, &a->counts, &f);
}

static void tell_words(void *arg, const char *what, const char *words)
{
    struct ms_diag safe = {0}; /* SQLite quotes what stands in the file */

    (void)ms_diag_set(&safe, MS_OK, "%s", words);
    tell(arg, what, 0, NULL, safe.text);
}

static void step(struct audit *a)
{
    a->done++;
    if (a->sink->progress != NULL && (a->done % 64 == 0 || a->done == a->total))
        a->sink->progress(a->sink->arg, a->done, a->total);
}

/* Damage that ends a walk is a finding, and the audit goes on; everything else ends it. */
static enum ms_err walked(struct audit *a, const char *what, enum ms_err err,
                          const struct ms_diag *diag)
{
    if (err != MS_ERR_STORE)
        return err;
    tell(a, what, 0, NULL, ms_diag_text(diag, err));
    return MS_OK;
}

/* ---- the walks ---- */

static bool grow(void **items, size_t *max, size_t n, size_t size)
{
    if (n < *max)
        return true;
    size_t more = *max == 0 ? 1024 : 2 * *max;
    void *grown = realloc(*items, more * size);
    if (grown == NULL)
        return false;
    *items = grown;
    *max = more;
    return true;
}

static enum ms_err take_entry(void *arg, enum ms_err row, const struct cache_entry *e,
                              const struct ms_diag *why)
{
    struct audit *a = arg;
    void *entries = a->entries;

    a->counts.entries++;
    if (row != MS_OK) {
        tell(a, "entry", 0, &e->key, ms_diag_text(why, row));
        return MS_OK;
    }
    if (!grow(&entries, &a->max_entries, a->n_entries, sizeof(*e)))
        return MS_ERR_MEMORY;
    a->entries = entries;
    struct cache_entry *mine = &a->entries[a->n_entries++];
    *mine = *e;
    mine->canonical = mine->etag = mine->last_modified = NULL; /* theirs */
    return MS_OK;
}

static enum ms_err take_history(void *arg, enum ms_err row, const struct cache_history *h,
                                const struct ms_diag *why)
{
    struct audit *a = arg;
    void *items = a->items;

    a->counts.history++;
    if (row != MS_OK) {
        tell(a, "history", h->n, &h->key, ms_diag_text(why, row));
        return MS_OK;
    }
    if (!grow(&items, &a->max_items, a->n_items, sizeof(struct item)))
        return MS_ERR_MEMORY;
    a->items = items;
    a->items[a->n_items++] = (struct item){.n = h->n, .key = h->key};
    return MS_OK;
}

static int by_key(const void *a, const void *b)
{
    const struct cache_entry *x = a, *y = b;
    return memcmp(&x->key, &y->key, sizeof(x->key));
}

static enum ms_err walk(struct audit *a, struct ms_diag *diag)
{
    struct ms_diag why = {0};
    int64_t blobs = 0;

    enum ms_err err = walked(a, "entry", cache_each_entry(a->cache, take_entry, a, &why), &why);
    why = (struct ms_diag){0};
    if (err == MS_OK)
        err = walked(a, "history", cache_history_each(a->cache, NULL, take_history, a, &why), &why);
    if (err == MS_OK)
        err = walked(a, "blob", cache_number(a->cache, "SELECT count(*) FROM blob", &blobs, diag),
                     diag);
    if (a->n_entries > 0)
        qsort(a->entries, a->n_entries, sizeof(a->entries[0]), by_key);
    a->total = a->n_items + (uint64_t)blobs;
    return err;
}

/* ---- a history row ---- */

static void forget(struct last *last)
{
    json_decref(last->facts);
    *last = (struct last){0};
}

static void check_summary(struct audit *a, const struct cache_history *h, json_t *facts,
                          const struct last *before)
{
    bool accepted = strcmp(h->kind, REPORT_KIND_SET) == 0;
    struct ms_buf text = MS_BUF_INIT(CACHE_SUMMARY_MAX_BYTES);
    json_t *previous = before->any ? report_hash(&before->set_hash) : NULL;

    if (h->summary == NULL) {
        a->counts.bare++;
    } else if (accepted && before->broken) {
        tell(
            a, "history", h->n, &h->key,
            "what differs from the set before cannot be checked: the evidence of that one does not "
            "verify");
    } else if (report_summary_with(facts, before->facts, previous, true, accepted, &text) !=
                   MS_OK ||
               !ms_span_eq_str(ms_buf_span(&text), h->summary)) {
        tell(a, "history", h->n, &h->key, "its summary is not what its evidence says");
    } else {
        a->counts.summaries++;
    }
    json_decref(previous);
    ms_buf_done(&text);
}

/* Columns that the evidence decides. */
static const char *wrong_column(const struct cache_history *h, const struct source_result *result)
{
    bool dissent = strcmp(h->kind, "dissent") == 0;

    if (result == NULL)
        return dissent || strcmp(h->kind, "conflict") == 0 ? NULL
                                                           : "its evidence is that of a failure";
    if (h->level != SPEC_LEVEL_NONE && result->level != h->level)
        return "its evidence was read at another level";
    if (result->has_sequence && (!h->has_sequence || h->sequence != result->sequence))
        return "its evidence has another sequence";
    if (h->has_block != (result->block.chain != 0) ||
        (h->has_block && (h->block_number != result->block.number ||
                          memcmp(h->block_hash.b, result->block.hash.b, ETH_HASH_BYTES) != 0)))
        return "its evidence was read at another block";
    return NULL;
}

/* A counter of governance never falls, but with a new root of signers. What one endpoint says at L0
 * and L1 binds nobody. */
static bool falls(const struct cache_history *h, const struct source_result *result,
                  const struct last *before)
{
    bool one_word = h->level != SPEC_LEVEL_NONE && h->level <= SPEC_LEVEL_L1;

    return !one_word && before->any && !before->broken && before->has_sequence &&
           result->has_sequence &&
           (result->epoch < before->epoch ||
            (result->epoch == before->epoch && result->sequence < before->sequence));
}

struct runs {
    struct audit *audit;
    const struct ms_sha256 *key, *commitment; /* NULL: unknown */
    size_t n;
};

static enum ms_err take_run(void *arg, enum ms_err row, const struct cache_confirmed *run,
                            const struct ms_diag *why)
{
    struct runs *runs = arg;
    struct audit *a = runs->audit;

    a->counts.confirmed++;
    runs->n++;
    if (row != MS_OK)
        tell(a, "confirmed", run->n, runs->key, ms_diag_text(why, row));
    else if (runs->commitment != NULL && !ms_sha256_eq(&run->commitment, runs->commitment))
        tell(a, "confirmed", run->n, runs->key, "a confirmation is of another answer");
    return MS_OK;
}

/* The set of this row is what the next one is compared with. */
static void take_set(struct last *last, const struct cache_history *h, json_t *facts,
                     const struct source_result *result)
{
    forget(last);
    *last = (struct last){.any = true,
                          .broken = result == NULL,
                          .facts = json_incref(facts),
                          .bundle = h->bundle,
                          .set_hash = h->set_hash,
                          .n = h->n};
    if (result == NULL)
        return;
    last->commitment = result->commitment;
    last->has_sequence = result->has_sequence;
    last->sequence = result->sequence;
    last->epoch = result->epoch;
}

static enum ms_err check_runs(struct audit *a, const struct cache_history *h,
                              const struct source_result *result)
{
    struct runs runs = {
        .audit = a, .key = &h->key, .commitment = result == NULL ? NULL : &result->commitment};
    struct ms_diag why = {0};

    enum ms_err err =
        walked(a, "confirmed", cache_confirmed_each(a->cache, h->n, take_run, &runs, &why), &why);
    /* the first one is written with the row and stays; older rows have neither it nor a summary */
    if (err == MS_OK && runs.n == 0 && h->summary != NULL && strcmp(h->kind, REPORT_KIND_SET) == 0)
        tell(a, "confirmed", h->n, &h->key, "its first confirmation is missing");
    return err;
}

static enum ms_err note_had(struct audit *a, const struct ms_sha256 *bundle)
{
    void *had = a->had;

    if (!grow(&had, &a->max_had, a->n_had, sizeof(*bundle)))
        return MS_ERR_MEMORY;
    a->had = had;
    a->had[a->n_had++] = *bundle;
    return MS_OK;
}

static enum ms_err check_row(struct audit *a, const struct replay *replay)
{
    const struct cache_history *h = &replay->row.h;
    const struct source_result *result = replay->err == MS_OK ? replay->result : NULL;
    struct last *last = &a->last[h->level];
    const char *wrong = NULL;
    enum ms_err err = MS_OK;

    if (replay->err == MS_ERR_MEMORY)
        return MS_ERR_MEMORY;
    if (replay->err != MS_OK) {
        tell(a, "history", h->n, &h->key, ms_diag_text(&replay->diag, replay->err));
    } else {
        a->counts.replayed++;
        err = note_had(a, &h->bundle);
        wrong = wrong_column(h, result);
        if (wrong != NULL)
            tell(a, "history", h->n, &h->key, wrong);
        if (result != NULL && falls(h, result, last))
            tell(a, "history", h->n, &h->key,
                 "its sequence is below that of the set before: governance never counts back");
        check_summary(a, h, replay->facts, last);
    }
    if (err == MS_OK)
        err = check_runs(a, h, result);
    if (strcmp(h->kind, REPORT_KIND_SET) == 0)
        take_set(last, h, replay->facts, result);
    return err;
}

/* ---- an entry and its history ---- */

static const char *wrong_entry(const struct cache_entry *e, const struct last *last)
{
    bool one_word = e->level != SPEC_LEVEL_NONE && e->level <= SPEC_LEVEL_L1;

    if (!last->any)
        return e->has_bundle ? "history does not tell where its answer comes from" : NULL;
    if (!e->has_bundle)
        return "history has an answer, and the entry has lost it";
    if (!ms_sha256_eq(&e->bundle, &last->bundle))
        return "its answer is not the newest of history";
    if (last->broken)
        return NULL; /* told already */
    if (!ms_sha256_eq(&e->set_hash, &last->set_hash) ||
        !ms_sha256_eq(&e->commitment, &last->commitment))
        return "its answer is another one than its evidence leads to";
    if (!one_word && last->has_sequence &&
        (e->floor_epoch < last->epoch ||
         (e->floor_epoch == last->epoch && e->floor_sequence < last->sequence)))
        return "its floor lies below the newest set of history: floors never fall";
    return NULL;
}

/* Entries of this key, at the end of its history; those without any are looked at by themselves. */
static void check_entries(struct audit *a, const struct ms_sha256 *key)
{
    bool seen[LEVELS] = {false};
    const struct cache_entry want = {.key = *key};
    const struct cache_entry *e =
        a->n_entries == 0 ? NULL : bsearch(&want, a->entries, a->n_entries, sizeof(want), by_key);

    while (e != NULL && e > a->entries && by_key(e - 1, &want) == 0)
        e--;
    for (; e != NULL && e < a->entries + a->n_entries && by_key(e, &want) == 0; e++) {
        const char *wrong = wrong_entry(e, &a->last[e->level]);
        seen[e->level] = true;
        if (wrong != NULL)
            tell(a, "entry", 0, key, wrong);
    }
    for (size_t i = 0; i < LEVELS; i++) {
        if (a->last[i].any && !seen[i])
            tell(a, "entry", 0, key, "the entry of its newest answer is missing, and its floor");
        forget(&a->last[i]);
    }
}

/* Those whose key has no history at all. */
static void check_strays(struct audit *a)
{
    size_t at = 0;

    for (size_t i = 0; i < a->n_entries; i++) {
        const struct cache_entry *e = &a->entries[i];
        while (at < a->n_items && memcmp(&a->items[at].key, &e->key, MS_SHA256_BYTES) < 0)
            at++;
        bool has_history =
            at < a->n_items && memcmp(&a->items[at].key, &e->key, MS_SHA256_BYTES) == 0;
        if (!has_history && e->has_bundle)
            tell(a, "entry", 0, &e->key, "history does not tell where its answer comes from");
    }
}

/* Read rows and their evidence while there is room. A row that cannot be read is found when its
 * turn comes. */
static void read_ahead(struct audit *a, struct read_ahead *ahead)
{
    struct replay *next = NULL;

    while (ahead->err == MS_OK && ahead->n < a->n_items &&
           (next = replays_room(ahead->replays)) != NULL) {
        const struct item *item = &a->items[ahead->n];
        ahead->err = report_row_get(a->cache, &item->key, item->n, &next->row, &ahead->diag);
        if (ahead->err != MS_OK)
            return;
        if (next->row.found && next->row.err == MS_OK)
            next->err = report_bundle(a->cache, &next->row.h, &next->text, &next->diag);
        else
            next->err = MS_ERR_NOT_FOUND; /* told by the walk */
        replays_push(ahead->replays);
        ahead->n++;
    }
}

static enum ms_err check_item(struct audit *a, struct read_ahead *ahead, size_t i)
{
    enum ms_err err = MS_OK;

    read_ahead(a, ahead);
    if (i == ahead->n) { /* its turn, and it could not be read */
        err = walked(a, "history", ahead->err, &ahead->diag);
        if (err != MS_OK)
            return err;
        ahead->err = MS_OK;
        ahead->diag = (struct ms_diag){0};
        ahead->n++;
        return MS_OK;
    }
    const struct replay *replay = replays_take(ahead->replays);
    if (replay->row.found && replay->row.err == MS_OK)
        err = check_row(a, replay);
    replays_drop(ahead->replays);
    return err;
}

static enum ms_err check_history(struct audit *a, struct ms_diag *diag)
{
    struct read_ahead ahead = {0};

    enum ms_err err = replays_new(&ahead.replays);
    for (size_t i = 0; err == MS_OK && i < a->n_items; i++) {
        const struct item *item = &a->items[i];
        err = check_item(a, &ahead, i);
        step(a);
        bool key_ends = i + 1 == a->n_items || !ms_sha256_eq(&a->items[i + 1].key, &item->key);
        if (err == MS_OK && key_ends)
            check_entries(a, &item->key);
    }
    for (size_t i = 0; i < LEVELS; i++)
        forget(&a->last[i]);
    replays_free(ahead.replays);
    if (err != MS_OK && ahead.diag.text[0] != '\0' && diag != NULL)
        *diag = ahead.diag;
    return err;
}

/* ---- the rest ---- */

static int by_name(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct ms_sha256));
}

static bool is_known(void *arg, const struct ms_sha256 *hash)
{
    const struct audit *a = arg;

    return a->n_had > 0 && bsearch(hash, a->had, a->n_had, sizeof(*hash), by_name) != NULL;
}

static void take_blob(void *arg, enum ms_err bad, const struct ms_sha256 *hash, bool referred)
{
    struct audit *a = arg;

    a->counts.blobs++;
    if (bad != MS_OK)
        tell(a, "blob", 0, hash, "it does not have the bytes that it is named after");
    else if (!referred)
        tell(a, "blob", 0, hash, "nothing refers to it");
    step(a);
}

static void check_floor(struct audit *a)
{
    const char *why = NULL;

    switch (cache_floor(a->cache, &why)) {
    case CACHE_FLOOR_NONE:
        return;
    case CACHE_FLOOR_OK:
        a->counts.has_floor = true;
        return;
    case CACHE_FLOOR_OLDER:
    case CACHE_FLOOR_BAD:
    case CACHE_FLOOR_UNWRITTEN:
        a->counts.has_floor = true;
        tell(a, "floor", 0, NULL, why);
        return;
    }
}

static enum ms_err check_confirmed(struct audit *a, struct ms_diag *diag)
{
    int64_t n = 0;

    enum ms_err err = walked(
        a, "confirmed", cache_number(a->cache, "SELECT count(*) FROM confirmed", &n, diag), diag);
    if (err == MS_OK && (uint64_t)n != a->counts.confirmed)
        tell(a, "confirmed", 0, NULL, "there are confirmations of rows that cannot be read");
    return err;
}

static enum ms_err check_all(struct audit *a, struct ms_diag *diag)
{
    struct ms_diag why = {0};

    enum ms_err err = audit_pages(a->cache, tell_words, a, diag);
    if (err == MS_OK)
        err = walk(a, diag);
    if (err == MS_OK)
        err = check_history(a, diag);
    if (err != MS_OK)
        return err;
    check_strays(a);
    if (a->n_had > 0)
        qsort(a->had, a->n_had, sizeof(a->had[0]), by_name);
    err = walked(a, "blob", audit_blobs(a->cache, is_known, take_blob, a, &why), &why);
    if (err == MS_OK)
        err = check_confirmed(a, diag);
    if (err == MS_OK)
        check_floor(a);
    if (err == MS_OK && audit_log != NULL) {
        err = audit_log(a->cache, a->sink, &a->counts, diag);
        a->counts.log_checked = true;
    }
    return err;
}

enum ms_err audit_db(const char *db_path, const struct audit_sink *sink,
                     struct audit_counts *ret_counts, struct ms_diag *diag)
{
    struct audit a = {.sink = sink};

    enum ms_err err = cache_open_audit(db_path, &a.cache, &a.counts.has_key, diag);
    if (err == MS_OK)
        err = check_all(&a, diag);
    cache_close(a.cache);
    free(a.items);
    free(a.entries);
    free(a.had);
    if (err == MS_OK)
        *ret_counts = a.counts;
    return err;
}
