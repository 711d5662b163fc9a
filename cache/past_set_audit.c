/* cache/past_set_audit.c - stored sets of the past, all of them: their rows, documents and bundles,
 * and that each is named by the one after it or signed by those who may. */
#include "cache/audit.h"
#include "cache/past_set.h"
#include "cache/past_set_audit.h"

#include <stdlib.h>

struct auditing {
    const struct audit_sink *sink;
    struct audit_counts *counts;
    struct audit_keys keys;
};

static enum ms_err note_key(void *arg, enum ms_err row, const struct cache_past_set *set,
                            const struct ms_diag *why)
{
    struct auditing *a = arg;

    (void)row; /* a bad one is found when its key is checked */
    (void)why;
    return audit_keys_add(&a->keys, &set->key);
}

static void tell(const struct auditing *a, const struct ms_sha256 *key, const char *why)
{
    const struct audit_finding finding = {
        .what = "past-set", .has_key = true, .key = *key, .why = why};

    audit_tell(a->sink, a->counts, &finding);
}

static bool is_finding(enum ms_err err)
{
    return err == MS_ERR_HMAC || err == MS_ERR_EVIDENCE || err == MS_ERR_STORE ||
           err == MS_ERR_SIGNATURE || err == MS_ERR_SIGNERS || err == MS_ERR_LIMIT;
}

/* A set that another one names rests on that one; else its signers must do. */
static enum ms_err check_row(struct cache *cache, const struct past_chain *chain, size_t i,
                             struct ms_diag *diag)
{
    const struct cache_past_set *row = &chain->rows[i];
    const struct past_bundle *bundle = past_chain_bundle(chain, &row->bundle);
    struct past_doc doc = {0};

    enum ms_err err = past_doc_load(cache, chain, row, &doc, diag);
    if (err == MS_OK && !chain->sets[i].named && bundle != NULL &&
        !set_signers_judge(&bundle->roots, &doc.doc).met)
        err = ms_diag_set(diag, MS_ERR_SIGNATURE,
                          "past set %llu: no set names it, and too few signed it",
                          (unsigned long long)row->sequence);
    past_doc_done(&doc);
    return err;
}

static enum ms_err check_key(struct cache *cache, const struct auditing *a,
                             const struct ms_sha256 *key, struct ms_diag *diag)
{
    struct past_chain chain = {0};
    struct ms_diag why = {0};

    enum ms_err err = past_chain_load(cache, key, CACHE_PAST_SETS_MAX, &chain, &why);
    for (size_t i = 0; err == MS_OK && i < chain.n; i++)
        err = check_row(cache, &chain, i, &why);
    past_chain_done(&chain);
    if (!is_finding(err))
        return err == MS_OK ? MS_OK : ms_diag_set(diag, err, "%s", ms_diag_text(&why, err));
    tell(a, key, ms_diag_text(&why, err));
    return MS_OK;
}

enum ms_err past_sets_audit(struct cache *cache, const struct audit_sink *sink,
                            struct audit_counts *counts, struct ms_diag *diag)
{
    struct auditing a = {.sink = sink, .counts = counts};
    struct ms_diag why = {0};

    enum ms_err err = cache_past_sets_each(cache, NULL, note_key, &a, &why);
    if (err == MS_ERR_STORE) { /* a damaged page */
        const struct audit_finding finding = {.what = "past-set", .why = ms_diag_text(&why, err)};
        audit_tell(sink, counts, &finding);
        err = MS_OK;
    } else if (err != MS_OK) {
        err = ms_diag_set(diag, err, "%s", ms_diag_text(&why, err));
    }
    for (size_t i = 0; err == MS_OK && i < a.keys.n; i++)
        err = check_key(cache, &a, &a.keys.items[i], diag);
    free(a.keys.items);
    return err;
}
