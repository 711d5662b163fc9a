/* cache/past_set_load.c - rows of past_set, their bundles and documents, each verified again. */
#include "cache/internal.h"
#include "cache/past_set.h"

#include <stdlib.h>

#define CHAIN_ARENA_MAX_BYTES ((size_t)64 << 20)

/* ---- rows ---- */

struct loading {
    struct past_chain *chain;
    size_t cap;
    struct ms_diag *diag;
};

static enum ms_err take_row(void *arg, enum ms_err row, const struct cache_past_set *set,
                            const struct ms_diag *why)
{
    struct loading *l = arg;
    struct past_chain *chain = l->chain;

    if (row != MS_OK)
        return ms_diag_set(l->diag, row, "past set %llu: %s", (unsigned long long)set->sequence,
                           why->text);
    if (chain->n == CACHE_PAST_SETS_MAX)
        return ms_diag_set(l->diag, MS_ERR_LIMIT, "more than %u past sets", CACHE_PAST_SETS_MAX);
    if (chain->n == l->cap) {
        size_t cap = l->cap == 0 ? 64 : 2 * l->cap;
        struct cache_past_set *grown = realloc(chain->rows, cap * sizeof(*grown));
        if (grown == NULL)
            return MS_ERR_MEMORY;
        chain->rows = grown;
        l->cap = cap;
    }
    struct cache_past_set *mine = &chain->rows[chain->n++];
    *mine = *set;
    mine->provider = ms_arena_strdup(&chain->arena, ms_span_str(set->provider));
    return mine->provider == NULL ? MS_ERR_MEMORY : MS_OK;
}

/* ---- bundles ---- */

const struct past_bundle *past_chain_bundle(const struct past_chain *chain,
                                            const struct ms_sha256 *hash)
{
    for (size_t i = chain->n_bundles; i-- > 0;) /* most likely that of the row before */
        if (ms_sha256_eq(&chain->bundles[i].hash, hash))
            return &chain->bundles[i];
    return NULL;
}

static enum ms_err read_bundle(const struct spec *spec, const struct source_result *result,
                               struct past_chain *chain, struct past_bundle *bundle,
                               struct ms_diag *diag)
{
    struct ms_span app = set_app(spec);

    if (chain->app.ptr == NULL) /* the key's, so that of all of them */
        chain->app = ms_span_of(ms_arena_strdup(&chain->arena, app), app.len);
    if (chain->app.ptr == NULL)
        return MS_ERR_MEMORY;
    bundle->sequence = result->sequence;
    bundle->named = result->previous_set;
    return set_roots_read(spec, result->carry, &chain->arena, &bundle->roots, diag);
}

static enum ms_err prove_bundle(struct cache *cache, const struct ms_sha256 *key,
                                struct past_chain *chain, struct past_bundle *bundle,
                                struct ms_diag *diag)
{
    struct source_result *result = NULL;
    struct spec spec;

    spec_init(&spec);
    enum ms_err err = cache_bundle_replay(cache, &bundle->hash, key, &spec, &result, diag);
    if (err == MS_OK && spec.kind != SPEC_SIGNERS)
        err = ms_diag_set(diag, MS_ERR_EVIDENCE, "the evidence of past sets is not of signers");
    if (err == MS_OK)
        err = read_bundle(&spec, result, chain, bundle, diag);
    source_result_free(result);
    spec_done(&spec);
    return err;
}

static enum ms_err prove_bundles(struct cache *cache, const struct ms_sha256 *key, size_t max,
                                 struct past_chain *chain, struct ms_diag *diag)
{
    enum ms_err err = MS_OK;

    chain->bundles = calloc(max + 1, sizeof(*chain->bundles));
    if (chain->bundles == NULL)
        return MS_ERR_MEMORY;
    for (size_t i = 0; err == MS_OK && i < chain->n && chain->n_bundles < max; i++) {
        if (past_chain_bundle(chain, &chain->rows[i].bundle) != NULL)
            continue;
        struct past_bundle *bundle = &chain->bundles[chain->n_bundles];
        bundle->hash = chain->rows[i].bundle;
        err = prove_bundle(cache, key, chain, bundle, diag);
        chain->n_bundles += err == MS_OK;
    }
    return err;
}

/* ---- the chain ---- */

static enum ms_err link_rows(struct past_chain *chain)
{
    struct eth_hash *named = calloc(chain->n_bundles + 1, sizeof(*named));

    chain->sets = calloc(chain->n + 1, sizeof(*chain->sets));
    enum ms_err err = named == NULL || chain->sets == NULL ? MS_ERR_MEMORY : MS_OK;
    for (size_t i = 0; err == MS_OK && i < chain->n; i++) {
        const struct cache_past_set *row = &chain->rows[i];
        chain->sets[i] = (struct past_set){
            .sequence = row->sequence, .hash = row->set_hash, .previous = row->previous};
    }
    for (size_t i = 0; err == MS_OK && i < chain->n_bundles; i++)
        named[i] = chain->bundles[i].named;
    if (err == MS_OK)
        err = past_sets_link(chain->sets, chain->n, named, chain->n_bundles);
    free(named);
    return err;
}

enum ms_err past_chain_load(struct cache *cache, const struct ms_sha256 *key, size_t max_bundles,
                            struct past_chain *ret_chain, struct ms_diag *diag)
{
    struct past_chain chain = {.arena = MS_ARENA_INIT(CHAIN_ARENA_MAX_BYTES)};
    struct ms_diag why = {0};
    struct loading l = {.chain = &chain, .diag = &why};

    enum ms_err err = cache_past_sets_each(cache, key, take_row, &l, &why);
    if (err == MS_OK)
        err = prove_bundles(cache, key, max_bundles, &chain, &why);
    if (err == MS_OK)
        err = link_rows(&chain);
    if (err == MS_OK) {
        *ret_chain = chain; /* moved */
        return MS_OK;
    }
    past_chain_done(&chain);
    return ms_diag_set(diag, err, "%s", ms_diag_text(&why, err));
}

void past_chain_done(struct past_chain *chain)
{
    free(chain->rows);
    free(chain->sets);
    free(chain->bundles);
    ms_arena_done(&chain->arena);
    *chain = (struct past_chain){0};
}

/* ---- documents ---- */

void past_doc_done(struct past_doc *doc)
{
    ms_arena_done(&doc->arena);
    *doc = (struct past_doc){0};
}

static const char *wrong_document(const struct past_chain *chain, const struct cache_past_set *row,
                                  const struct msig_set_doc *doc)
{
    if (!eth_hash_eq(&doc->set_hash, &row->set_hash))
        return "its document is another set";
    if (doc->set.sequence != row->sequence)
        return "its document has another sequence";
    if (!eth_hash_eq(&doc->set.previous, &row->previous))
        return "its document names another set before it";
    if (!ms_span_eq(doc->set.app, chain->app))
        return "its document is of another application";
    return NULL;
}

enum ms_err past_doc_load(struct cache *cache, const struct past_chain *chain,
                          const struct cache_past_set *row, struct past_doc *ret_doc,
                          struct ms_diag *diag)
{
    struct past_doc doc = {.arena = MS_ARENA_INIT(MSIG_DOC_ARENA_BYTES)};
    struct ms_buf text = MS_BUF_INIT(MSIG_DOC_MAX_BYTES);
    struct ms_diag why = {0};
    bool found = false;

    enum ms_err err = cache_blob_get(cache, &row->document, &text, &found, &why);
    if (err == MS_OK && !found)
        err = ms_diag_set(&why, MS_ERR_EVIDENCE, "its document is missing");
    if (err == MS_OK && msig_set_parse(ms_buf_span(&text), &doc.arena, &doc.doc, &why) != MS_OK)
        err = MS_ERR_EVIDENCE;
    const char *wrong = err == MS_OK ? wrong_document(chain, row, &doc.doc) : NULL;
    if (wrong != NULL)
        err = ms_diag_set(&why, MS_ERR_EVIDENCE, "%s", wrong);
    ms_buf_done(&text);
    if (err == MS_OK) {
        *ret_doc = doc; /* moved */
        return MS_OK;
    }
    past_doc_done(&doc);
    return ms_diag_set(diag, err, "past set %llu: %s", (unsigned long long)row->sequence,
                       ms_diag_text(&why, err));
}
