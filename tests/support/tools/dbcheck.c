/* tests/support/tools/dbcheck.c - opens a database of measured for reading and walks all of it: the
 * code of every row, the chain of every key's history, and every bundle, which must lead again to
 * what its row says. Never installed.
 *
 *   dbcheck DIR/measured.db [LIST]
 *
 * Prints `entries N history N verified N`, and for each registry with operations `operations N
 * WHOLE`, checked against the states their bundles prove; each fault is a line on stderr. LIST gets
 * one line for each entry and each change in history: `entry KEY SET_HASH` or `history KEY
 * SET_HASH`. Exits 0 clean, 1 not, 2 when it cannot be opened. */
#include "cache/cache.h"
#include "resolver/entry/bundle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct item { /* a bundle to verify, after the walk */
    char what[32];
    struct ms_sha256 key, set_hash, bundle;
    bool of_set; /* its verdict is the set of the row */
};

static struct {
    struct cache *cache;
    FILE *list;
    struct item *items;
    size_t n_items, max_items, n_entries, n_history, n_verified, n_bad;
} w;

static void bad(const char *what, const struct ms_sha256 *key, const char *why)
{
    char hex[2 * MS_SHA256_BYTES + 1];
    ms_sha256_hex(key, hex);
    (void)fprintf(stderr, "dbcheck: %s of %s: %s\n", what, hex, why);
    w.n_bad++;
}

static void list(const char *what, const struct ms_sha256 *key, const struct ms_sha256 *set_hash)
{
    char hex[2][2 * MS_SHA256_BYTES + 1];

    if (w.list == NULL)
        return;
    ms_sha256_hex(key, hex[0]);
    ms_sha256_hex(set_hash, hex[1]);
    (void)fprintf(w.list, "%s %s %s\n", what, hex[0], hex[1]);
}

static enum ms_err add_item(const struct item *item)
{
    if (w.n_items == w.max_items) {
        size_t max = w.max_items == 0 ? 1024 : 2 * w.max_items;
        struct item *more = realloc(w.items, max * sizeof(*more));
        if (more == NULL)
            return MS_ERR_MEMORY;
        w.items = more;
        w.max_items = max;
    }
    w.items[w.n_items++] = *item;
    return MS_OK;
}

static enum ms_err on_entry(void *arg, enum ms_err row, const struct cache_entry *e,
                            const struct ms_diag *why)
{
    (void)arg;
    w.n_entries++;
    if (row != MS_OK) {
        bad("entry", &e->key, ms_diag_text(why, row));
        return MS_OK;
    }
    if (!e->has_bundle)
        return MS_OK;
    list("entry", &e->key, &e->set_hash);
    struct item item = {"entry", e->key, e->set_hash, e->bundle, true};
    return add_item(&item);
}

static enum ms_err on_history(void *arg, enum ms_err row, const struct cache_history *h,
                              const struct ms_diag *why)
{
    (void)arg;
    w.n_history++;
    if (row != MS_OK) {
        bad("history", &h->key, ms_diag_text(why, row));
        return MS_OK;
    }
    if (!h->has_bundle)
        return MS_OK;
    list("history", &h->key, &h->set_hash);
    struct item item = {"history", h->key, h->set_hash, h->bundle, strcmp(h->kind, "change") == 0};
    return add_item(&item);
}

static void verify(const struct item *item)
{
    struct ms_buf text = MS_BUF_INIT(BUNDLE_MAX_BYTES);
    struct source_result *result = NULL;
    struct ms_diag diag = {0};
    struct spec spec;
    bool found = false;

    spec_init(&spec);
    enum ms_err err = cache_blob_get(w.cache, &item->bundle, &text, &found, &diag);
    if (err == MS_OK && !found)
        err = ms_diag_set(&diag, MS_ERR_EVIDENCE, "its evidence is missing");
    if (err == MS_OK)
        err = bundle_verify(ms_buf_span(&text), &spec, &result, &diag);
    if (err != MS_OK)
        bad(item->what, &item->key, ms_diag_text(&diag, err));
    else if (!ms_sha256_eq(&spec.key, &item->key))
        bad(item->what, &item->key, "its evidence is of another specifier");
    else if (item->of_set && (result == NULL || !ms_sha256_eq(&result->set_hash, &item->set_hash)))
        bad(item->what, &item->key, "its evidence leads to another set");
    else
        w.n_verified++;
    source_result_free(result);
    spec_done(&spec);
    ms_buf_done(&text);
}

/* ---- operations ---- */

#define REGISTRIES_MAX 64

struct registries {
    size_t n;
    struct ms_sha256 keys[REGISTRIES_MAX];
};

static enum ms_err on_operation(void *arg, enum ms_err row, const struct cache_operation *o,
                                const struct ms_diag *why)
{
    struct registries *r = arg;
    (void)row; /* told by the check */
    (void)why;
    if (r->n > 0 && ms_sha256_eq(&r->keys[r->n - 1], &o->key))
        return MS_OK;
    if (r->n == REGISTRIES_MAX)
        return MS_ERR_LIMIT;
    r->keys[r->n++] = o->key;
    return MS_OK;
}

static void verify_operations(void)
{
    struct registries r = {0};

    if (cache_operations_each(w.cache, NULL, on_operation, &r, NULL) != MS_OK)
        w.n_bad++;
    for (size_t i = 0; i < r.n; i++) {
        struct operations_verdict verdict = {0};
        struct ms_diag diag = {0};
        enum ms_err err = cache_operations_verify(w.cache, &r.keys[i], &verdict, &diag);
        if (err != MS_OK)
            bad("operations", &r.keys[i], ms_diag_text(&diag, err));
        else
            (void)printf("operations %llu %s\n", (unsigned long long)verdict.n,
                         verdict.whole && verdict.recomputed == verdict.n ? "whole" : "part");
    }
}

static int by_bundle(const void *a, const void *b)
{
    const struct item *x = a, *y = b;
    int c = memcmp(&x->bundle, &y->bundle, sizeof(x->bundle));
    return c != 0 ? c : memcmp(&x->set_hash, &y->set_hash, sizeof(x->set_hash));
}

static bool same_item(const struct item *a, const struct item *b)
{
    return by_bundle(a, b) == 0 && ms_sha256_eq(&a->key, &b->key) && a->of_set == b->of_set;
}

int main(int argc, char **argv)
{
    struct ms_diag diag = {0};

    if (argc != 2 && argc != 3) {
        (void)fputs("usage: dbcheck FILE [LIST]\n", stderr);
        return 2;
    }
    w.list = argc == 3 ? fopen(argv[2], "w") : NULL;
    enum ms_err err = cache_open_readonly(argv[1], &w.cache, &diag);
    if (err != MS_OK || (argc == 3 && w.list == NULL)) {
        (void)fprintf(stderr, "dbcheck: %s\n", ms_diag_text(&diag, err));
        return 2;
    }
    err = cache_each_entry(w.cache, on_entry, NULL, &diag);
    if (err == MS_OK)
        err = cache_history_each(w.cache, NULL, on_history, NULL, &diag);
    if (err != MS_OK) {
        (void)fprintf(stderr, "dbcheck: %s\n", ms_diag_text(&diag, err));
        w.n_bad++;
    }
    if (w.n_items > 0)
        qsort(w.items, w.n_items, sizeof(w.items[0]), by_bundle);
    for (size_t i = 0; i < w.n_items; i++)
        if (i == 0 || !same_item(&w.items[i - 1], &w.items[i]))
            verify(&w.items[i]);
    verify_operations();
    (void)printf("entries %zu history %zu verified %zu\n", w.n_entries, w.n_history, w.n_verified);
    if (w.list != NULL && fclose(w.list) != 0)
        w.n_bad++;
    free(w.items);
    cache_close(w.cache);
    return w.n_bad == 0 ? 0 : 1;
}
