/* cache/past_document_audit.c - rows of documents against the operations that approved them. That
 * their bytes have the SHA-256 they are named by is looked at with all other blobs. */
#include "cache/audit.h"
#include "cache/internal.h"

#include <stdlib.h>

#define DATA_ARENA_BYTES ((size_t)1 << 20)

struct pass {
    struct cache *cache;
    const struct audit_sink *sink;
    struct audit_counts *counts;
    size_t n, cap;
    struct ms_sha256 *approved;
};

static int by_hash(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct ms_sha256));
}

static enum ms_err add(struct pass *pass, const struct ms_sha256 *hash)
{
    if (pass->n == pass->cap) {
        size_t cap = pass->cap == 0 ? 64 : 2 * pass->cap;
        struct ms_sha256 *grown = realloc(pass->approved, cap * sizeof(*grown));
        if (grown == NULL)
            return MS_ERR_MEMORY;
        pass->approved = grown;
        pass->cap = cap;
    }
    pass->approved[pass->n++] = *hash;
    return MS_OK;
}

static enum ms_err take_operation(void *arg, enum ms_err row, const struct cache_operation *o,
                                  const struct ms_diag *why)
{
    struct ms_arena arena = MS_ARENA_INIT(DATA_ARENA_BYTES);
    struct history_operation op;
    enum ms_err err = MS_OK;
    (void)why;

    if (row != MS_OK || o->event.kind != REGISTRY_APPROVE)
        return MS_OK; /* a bad row is told where operations are checked */
    err = history_operation_read(&o->event, &arena, &op);
    if (err == MS_OK && op.known)
        err = add(arg, &op.release.payload_hash);
    ms_arena_done(&arena);
    return err;
}

static void tell(struct pass *pass, const struct ms_sha256 *hash, const char *why)
{
    const struct audit_finding finding = {
        .what = "document", .has_key = true, .key = *hash, .why = why};

    audit_tell(pass->sink, pass->counts, &finding);
}

static enum ms_err take_document(void *arg, enum ms_err row, const struct cache_past_document *d,
                                 const struct ms_diag *why)
{
    struct pass *pass = arg;
    bool known = false;

    pass->counts->documents++;
    if (row != MS_OK) {
        tell(pass, &d->hash, ms_diag_text(why, row));
        return MS_OK;
    }
    if (pass->n == 0 ||
        bsearch(&d->hash, pass->approved, pass->n, sizeof(d->hash), by_hash) == NULL)
        tell(pass, &d->hash, "no operation approved a document of this name");
    enum ms_err err = cache_document_known(pass->cache, &d->hash, &known, NULL);
    if (err == MS_OK && !known)
        tell(pass, &d->hash, "the document itself is missing");
    return err;
}

enum ms_err audit_past_documents(struct cache *cache, const struct audit_sink *sink,
                                 struct audit_counts *counts, struct ms_diag *diag)
{
    struct pass pass = {.cache = cache, .sink = sink, .counts = counts};
    struct ms_diag why = {0};

    enum ms_err err = cache_operations_each(cache, NULL, take_operation, &pass, &why);
    if (err == MS_OK && pass.n > 0)
        qsort(pass.approved, pass.n, sizeof(pass.approved[0]), by_hash);
    if (err == MS_OK)
        err = cache_past_documents_each(cache, take_document, &pass, &why);
    free(pass.approved);
    if (err != MS_ERR_STORE)
        return err == MS_OK ? err : ms_diag_set(diag, err, "%s", ms_diag_text(&why, err));
    const struct audit_finding damage = {.what = "document", .why = ms_diag_text(&why, err)};
    audit_tell(sink, counts, &damage);
    return MS_OK;
}
