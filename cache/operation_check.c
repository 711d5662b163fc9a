/* cache/operation_check.c - stored operations against the states their bundles prove. In three
 * passes, for a walk over rows does not read anything else: which bundles there are, what each
 * proves, and the rows. */
#include "cache/internal.h"

#include <stdlib.h>

struct proven {
    struct ms_sha256 bundle;
    struct operations_proof proof;
};

struct pass {
    const struct ms_sha256 *key;
    struct operations_check *check;
    size_t n, cap;
    struct proven *bundles; /* behind the first pass sorted, each once */
    struct ms_diag diag;
};

static int by_bundle(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct ms_sha256)); /* it stands first */
}

static const struct proven *find(const struct pass *pass, const struct ms_sha256 *bundle)
{
    return pass->n == 0
               ? NULL
               : bsearch(bundle, pass->bundles, pass->n, sizeof(pass->bundles[0]), by_bundle);
}

static void sort(struct pass *pass)
{
    size_t n = 0;

    if (pass->n > 0)
        qsort(pass->bundles, pass->n, sizeof(pass->bundles[0]), by_bundle);
    for (size_t i = 0; i < pass->n; i++)
        if (n == 0 || !ms_sha256_eq(&pass->bundles[n - 1].bundle, &pass->bundles[i].bundle))
            pass->bundles[n++] = pass->bundles[i];
    pass->n = n;
}

static enum ms_err bad_row(struct pass *pass, enum ms_err err, const struct cache_operation *o,
                           const struct ms_diag *why)
{
    return ms_diag_set(&pass->diag, err, "operation %llu: %s",
                       (unsigned long long)o->event.sequence, ms_diag_text(why, err));
}

static enum ms_err note_bundle(void *arg, enum ms_err row, const struct cache_operation *o,
                               const struct ms_diag *why)
{
    struct pass *pass = arg;

    if (row != MS_OK)
        return bad_row(pass, row, o, why);
    if (pass->n > 0 && ms_sha256_eq(&pass->bundles[pass->n - 1].bundle, &o->bundle))
        return MS_OK; /* most rest on that of their neighbour */
    if (pass->n == pass->cap) {
        size_t cap = pass->cap == 0 ? 64 : 2 * pass->cap;
        struct proven *grown = realloc(pass->bundles, cap * sizeof(*grown));
        if (grown == NULL)
            return MS_ERR_MEMORY;
        pass->bundles = grown;
        pass->cap = cap;
    }
    pass->bundles[pass->n++].bundle = o->bundle;
    return MS_OK;
}

/* The bundle leads to its verdict again, and is of this registry. */
static enum ms_err prove_bundle(struct cache *cache, const struct pass *pass, struct proven *proven,
                                struct ms_diag *diag)
{
    struct source_result *result = NULL;
    struct spec spec;

    spec_init(&spec);
    enum ms_err err = cache_bundle_replay(cache, &proven->bundle, pass->key, &spec, &result, diag);
    if (err == MS_OK)
        err = operations_proof_of(result, &proven->proof, diag);
    source_result_free(result);
    spec_done(&spec);
    return err;
}

static enum ms_err prove(void *arg, const struct ms_sha256 *bundle,
                         struct operations_proof *ret_proof, struct ms_diag *diag)
{
    const struct proven *proven = find(arg, bundle);

    if (proven == NULL) /* written between the passes */
        return ms_diag_set(diag, MS_ERR_UNAVAILABLE, "operations are being added: try again");
    *ret_proof = proven->proof;
    return MS_OK;
}

static enum ms_err check_row(void *arg, enum ms_err row, const struct cache_operation *o,
                             const struct ms_diag *why)
{
    struct pass *pass = arg;
    struct operations_row in = {.event = o->event, .before = o->before, .bundle = o->bundle};

    if (row != MS_OK)
        return bad_row(pass, row, o, why);
    return operations_check_add(pass->check, &in, &pass->diag);
}

static enum ms_err run(struct cache *cache, struct pass *pass,
                       struct operations_verdict *ret_verdict)
{
    enum ms_err err = cache_operations_each(cache, pass->key, note_bundle, pass, &pass->diag);
    sort(pass);
    for (size_t i = 0; err == MS_OK && i < pass->n; i++)
        err = prove_bundle(cache, pass, &pass->bundles[i], &pass->diag);
    if (err == MS_OK)
        err = operations_check_new(prove, pass, &pass->check);
    if (err == MS_OK)
        err = cache_operations_each(cache, pass->key, check_row, pass, &pass->diag);
    if (err == MS_OK)
        err = operations_check_end(pass->check, ret_verdict, &pass->diag);
    operations_check_free(pass->check);
    return err;
}

enum ms_err cache_operations_verify(struct cache *cache, const struct ms_sha256 *key,
                                    struct operations_verdict *ret_verdict, struct ms_diag *diag)
{
    struct pass *pass = calloc(1, sizeof(*pass));

    if (pass == NULL)
        return MS_ERR_MEMORY;
    pass->key = key;
    enum ms_err err = run(cache, pass, ret_verdict);
    if (err != MS_OK && diag != NULL)
        *diag = pass->diag;
    free(pass->bundles);
    free(pass);
    return err;
}
