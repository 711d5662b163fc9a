/* resolver/daemon/backfill_documents.c - the documents that a registry's operations name, when the
 * operations are stored: which are missing, and the fetches that get them. One that cannot be had
 * is told of and tried again by the next back-fill. */
#define _GNU_SOURCE
#include "resolver/daemon/backfill_job.h"

#include "resolver/entry/bundle.h"
#include "resolver/source/past_documents.h"

#include <stdio.h>
#include <stdlib.h>

#define LIST_ARENA_MAX_BYTES ((size_t)HISTORY_OPERATIONS_MAX * 1024)
#define BYTES_MAX ((uint64_t)256 << 20) /* of all documents of one registry */
#define UNASKED_BYTES_MAX ((uint64_t)16 << 20)

struct job_documents {
    struct ms_arena arena; /* uris */
    size_t n, cap, next;   /* wanted; the first that was not asked for */
    struct past_document *wanted;
    uint64_t bytes;          /* of all that operations name */
    uint64_t total, missing; /* approvals whose document is, or is not, at hand */
    uint64_t left;           /* that were not asked for when it ended */
    struct past_hosts hosts;
    struct ms_diag why; /* of the last one that could not be had */
    uint64_t why_release;
};

void job_documents_free(struct backfill_job *job)
{
    if (job->documents == NULL)
        return;
    ms_arena_done(&job->documents->arena);
    free(job->documents->wanted);
    free(job->documents);
    job->documents = NULL;
}

/* ---- which are missing: on the store's thread ---- */

struct lister {
    struct backfill_job *job;
    struct cache *cache;
};

static enum ms_err grow(struct job_documents *d)
{
    if (d->n < d->cap)
        return MS_OK;
    size_t cap = d->cap == 0 ? 64 : 2 * d->cap;
    struct past_document *grown = realloc(d->wanted, cap * sizeof(*grown));
    if (grown == NULL)
        return MS_ERR_MEMORY;
    d->wanted = grown;
    d->cap = cap;
    return MS_OK;
}

static void cannot(struct job_documents *d, uint64_t release, const struct ms_diag *why)
{
    d->missing++;
    d->why = *why;
    d->why_release = release;
}

static enum ms_err want(struct job_documents *d, const struct history_operation *op, bool asked)
{
    const struct registry_release *r = &op->release;
    struct ms_diag why = {0};

    uint64_t max = asked ? BYTES_MAX : UNASKED_BYTES_MAX;
    if (d->bytes > max) {
        (void)ms_diag_set(&why, MS_ERR_LIMIT, "the documents of a registry may have %llu bytes%s",
                          (unsigned long long)max, asked ? "" : " when nobody asks for them");
        cannot(d, r->id, &why);
        return MS_OK;
    }
    enum ms_err err = grow(d);
    const char *uri = err == MS_OK ? ms_arena_strdup(&d->arena, r->uri) : NULL;
    if (uri == NULL)
        return MS_ERR_MEMORY;
    d->wanted[d->n++] = (struct past_document){.hash = r->payload_hash,
                                               .size = r->payload_size,
                                               .release = r->id,
                                               .pointer = op->pointer,
                                               .uri = uri};
    return MS_OK;
}

static enum ms_err list_operation(void *arg, enum ms_err row, const struct cache_operation *o,
                                  const struct ms_diag *why)
{
    struct ms_arena scratch = MS_ARENA_INIT((size_t)1 << 20);
    struct lister *lister = arg;
    struct job_documents *d = lister->job->documents;
    struct ms_diag *diag = &lister->job->work_diag;
    struct history_operation op;
    bool known = false;

    if (row != MS_OK)
        return ms_diag_set(diag, row, "stored operation %llu: %s",
                           (unsigned long long)o->event.sequence, why->text);
    if (o->event.kind != REGISTRY_APPROVE)
        return MS_OK;
    enum ms_err err = history_operation_read(&o->event, &scratch, &op);
    if (err == MS_OK && op.known)
        err = cache_document_known(lister->cache, &op.release.payload_hash, &known, diag);
    if (err == MS_OK && op.known) {
        d->total++;
        if (op.release.payload_size <= SOURCE_BODY_MAX_BYTES) /* larger ones are never had */
            d->bytes += op.release.payload_size;
        err = known ? MS_OK : want(d, &op, lister->job->asked);
    }
    ms_arena_done(&scratch);
    return err;
}

static enum ms_err keep_document(void *arg, const struct ms_sha256 *hash, struct ms_span bytes)
{
    const struct lister *lister = arg;
    const struct cache_past_document document = {
        .bytes = bytes, .provider = "evidence", .recorded_s = clocks_now().wall_s};

    (void)hash;
    return cache_past_documents_add(lister->cache, &document, 1, &lister->job->work_diag);
}

/* Those of releases that are live stand in the evidence, and will be looked for when they are not
 * live any more. */
static enum ms_err keep_live(struct lister *lister)
{
    struct backfill_job *job = lister->job;
    struct ms_buf text = MS_BUF_INIT(BUNDLE_MAX_BYTES);
    struct source_result *result = NULL;
    bool found = false;
    struct spec spec;

    spec_init(&spec);
    enum ms_err err = cache_blob_get(lister->cache, &job->evidence, &text, &found, &job->work_diag);
    if (err == MS_OK && !found)
        err = ms_diag_set(&job->work_diag, MS_ERR_EVIDENCE, "its evidence is not stored any more");
    if (err == MS_OK)
        err = bundle_verify_documents(ms_buf_span(&text), &spec, keep_document, lister, &result,
                                      &job->work_diag);
    source_result_free(result);
    spec_done(&spec);
    ms_buf_done(&text);
    return err;
}

void job_documents_list(struct store_job *work, struct cache *cache)
{
    struct backfill_job *job = job_of(work);
    struct lister lister = {.job = job, .cache = cache};
    struct job_documents *d = calloc(1, sizeof(*d));

    job->work_diag = (struct ms_diag){0};
    job->work_err = d == NULL ? MS_ERR_MEMORY : MS_OK;
    if (d == NULL)
        return;
    d->arena.max = LIST_ARENA_MAX_BYTES;
    job->documents = d;
    job->work_err = keep_live(&lister);
    if (job->work_err == MS_OK)
        job->work_err =
            cache_operations_each(cache, &job->id.key, list_operation, &lister, &job->work_diag);
}

/* ---- fetching ---- */

bool job_documents_lacks(const struct backfill_job *job)
{
    return job->documents != NULL && job->documents->missing > 0;
}

bool job_documents_ended(const struct backfill_job *job)
{
    return job->documents->next == job->documents->n;
}

enum ms_err job_documents_fetch(struct backfill_job *job, struct ms_now now, struct ms_diag *diag)
{
    struct job_documents *d = job->documents;
    size_t left = d->n - d->next;
    const struct past_documents in = {.n = left < PAST_DOCUMENTS_MAX ? left : PAST_DOCUMENTS_MAX,
                                      .wanted = d->wanted + d->next,
                                      .known_code = job->known_code,
                                      .hosts = &d->hosts};

    return source_past_documents_new(&job->spec, &job->policy, &in, now, &job->source, diag);
}

const struct past_complaint *job_documents_complaint(const struct backfill_job *job, size_t i)
{
    const struct past_complaint *complaints;

    return i < source_past_complaints(job->source, &complaints) ? &complaints[i] : NULL;
}

/* Outcomes come in the order of what was wanted, up to the first that has not ended. */
static const struct past_document_outcome *outcome(const struct backfill_job *job, size_t i)
{
    const struct job_documents *d = job->documents;

    if (i == PAST_DOCUMENTS_MAX || d->next + i == d->n)
        return NULL;
    const struct past_document_outcome *o = source_past_document(job->source, i);
    return o->ended ? o : NULL;
}

bool job_documents_any(const struct backfill_job *job)
{
    return outcome(job, 0) != NULL;
}

void job_documents_write(struct store_job *work, struct cache *cache)
{
    struct cache_past_document found[PAST_DOCUMENTS_MAX];
    struct backfill_job *job = job_of(work);
    const struct past_document_outcome *o;
    size_t n = 0;

    for (size_t i = 0; (o = outcome(job, i)) != NULL; i++)
        if (o->found)
            found[n++] = (struct cache_past_document){
                .bytes = o->bytes, .provider = o->from, .recorded_s = clocks_now().wall_s};
    job->work_diag = (struct ms_diag){0};
    job->work_err = cache_past_documents_add(cache, found, n, &job->work_diag);
}

void job_documents_take(struct backfill_job *job)
{
    struct job_documents *d = job->documents;
    const struct past_document_outcome *o;
    size_t n = 0;

    for (; (o = outcome(job, n)) != NULL; n++)
        if (!o->found)
            cannot(d, d->wanted[d->next + n].release, &o->why);
    d->next += n;
}

void job_documents_give_up(struct backfill_job *job, const struct ms_diag *why)
{
    struct job_documents *d = job->documents;

    for (; d->next < d->n; d->next++)
        cannot(d, d->wanted[d->next].release, why);
}

void job_documents_end(struct backfill_job *job)
{
    struct job_documents *d = job->documents;

    if (d == NULL)
        return;
    d->left = d->n - d->next;
    d->n = d->cap = d->next = 0;
    free(d->wanted);
    d->wanted = NULL;
    ms_arena_done(&d->arena);
}

/* ---- telling ---- */

void job_documents_json(const struct backfill_job *job, json_t *out)
{
    const struct job_documents *d = job->documents;
    char text[320];

    if (job->state == JOB_READING || d == NULL) /* the store's thread has it */
        return;
    uint64_t missing = d->missing + d->left + (d->n - d->next);
    (void)json_object_set_new(out, "documents", json_integer((json_int_t)(d->total - missing)));
    (void)json_object_set_new(out, "documents_missing", json_integer((json_int_t)missing));
    if (d->missing == 0)
        return;
    (void)snprintf(text, sizeof(text), "release %llu: %s", (unsigned long long)d->why_release,
                   d->why.text);
    (void)json_object_set_new(out, "documents_why", json_string(text));
}
