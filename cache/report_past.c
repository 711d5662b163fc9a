/* cache/report_past.c - the past of a registry as one file that an auditor takes with him. */
#include "cache/report.h"

#include "resolver/entry/past_file.h"

struct past {
    struct cache *cache;
    uint64_t newest; /* number of the last operation without a gap before it */
    struct ms_sha256 bundle;
    struct ms_buf *out;
    json_t *seen; /* documents that are written already, by hash */
    struct ms_diag *diag;
};

static enum ms_err bad_row(struct past *p, enum ms_err row, const struct cache_operation *o,
                           const struct ms_diag *why)
{
    return ms_diag_set(p->diag, row, "stored operation %llu: %s",
                       (unsigned long long)o->event.sequence, ms_diag_text(why, row));
}

/* The state that the last of them was checked against is the one that all of them lead to. */
static enum ms_err find_newest(void *arg, enum ms_err row, const struct cache_operation *o,
                               const struct ms_diag *why)
{
    struct past *p = arg;

    if (row != MS_OK)
        return bad_row(p, row, o, why);
    if (o->event.sequence != p->newest + 1)
        return MS_OK;
    p->newest = o->event.sequence;
    p->bundle = o->bundle;
    return MS_OK;
}

static enum ms_err write_operation(void *arg, enum ms_err row, const struct cache_operation *o,
                                   const struct ms_diag *why)
{
    struct past *p = arg;

    if (row != MS_OK)
        return bad_row(p, row, o, why);
    if (o->event.sequence <= p->newest)
        past_file_operation(&o->event, o->event.sequence == 1, p->out);
    return ms_buf_err(p->out);
}

static enum ms_err write_named(struct past *p, const struct ms_sha256 *hash)
{
    struct ms_buf bytes = MS_BUF_INIT(CACHE_BLOB_MAX_BYTES);
    char name[2 * MS_SHA256_BYTES + 1];
    bool found = false;

    ms_sha256_hex(hash, name);
    if (json_object_get(p->seen, name) != NULL)
        return MS_OK;
    enum ms_err err = cache_blob_get(p->cache, hash, &bytes, &found, p->diag);
    if (err == MS_OK && found) {
        past_file_document(hash, ms_buf_span(&bytes), json_object_size(p->seen) == 0, p->out);
        err = json_object_set_new(p->seen, name, json_true()) == 0 ? ms_buf_err(p->out)
                                                                   : MS_ERR_MEMORY;
    }
    ms_buf_done(&bytes);
    return err;
}

static enum ms_err write_document(void *arg, enum ms_err row, const struct cache_operation *o,
                                  const struct ms_diag *why)
{
    struct past *p = arg;
    struct ms_arena arena = MS_ARENA_INIT(4096);
    struct history_operation operation;

    if (row != MS_OK)
        return bad_row(p, row, o, why);
    if (o->event.kind != REGISTRY_APPROVE || o->event.sequence > p->newest)
        return MS_OK;
    enum ms_err err = history_operation_read(&o->event, &arena, &operation);
    if (err == MS_OK && operation.known)
        err = write_named(p, &operation.release.payload_hash);
    ms_arena_done(&arena);
    return err;
}

static enum ms_err write_past(struct past *p, const struct spec *spec)
{
    struct ms_buf bundle = MS_BUF_INIT(BUNDLE_MAX_BYTES);
    bool found = false;

    enum ms_err err = cache_blob_get(p->cache, &p->bundle, &bundle, &found, p->diag);
    if (err == MS_OK && !found)
        err = ms_diag_set(p->diag, MS_ERR_EVIDENCE, "the evidence of its operations is missing");
    past_file_begin(ms_buf_span(&bundle), p->out);
    ms_buf_done(&bundle);
    if (err == MS_OK)
        err = cache_operations_each(p->cache, &spec->key, write_operation, p, p->diag);
    past_file_documents(p->out);
    if (err == MS_OK)
        err = cache_operations_each(p->cache, &spec->key, write_document, p, p->diag);
    past_file_end(p->out);
    return err == MS_OK ? ms_buf_err(p->out) : err;
}

enum ms_err report_past(struct cache *cache, const struct spec *spec, struct ms_buf *out,
                        struct ms_diag *diag)
{
    struct past p = {.cache = cache, .out = out, .seen = json_object(), .diag = diag};

    enum ms_err err = p.seen == NULL
                          ? MS_ERR_MEMORY
                          : cache_operations_each(cache, &spec->key, find_newest, &p, diag);
    if (err == MS_OK && p.newest == 0)
        err = ms_diag_set(diag, MS_ERR_NOT_FOUND,
                          "there is no history of operations back to the first: only a registry "
                          "has one, when it was read back");
    if (err == MS_OK)
        err = write_past(&p, spec);
    json_decref(p.seen);
    return err;
}
