/* resolver/source/documents.c - documents of releases. */
#include "resolver/source/documents.h"

#include "base/gzip.h"
#include "resolver/source/past_documents.h"

#include <stdio.h>

#define DOCUMENT_GZIP_RATIO 256u

bool documents_of_set(struct source *s, struct documents *d, const struct msig_release_set *set)
{
    struct registry_release *all = ms_arena_alloc(&s->arena, set->n_releases + 1, sizeof(*all));

    if (all == NULL) {
        (void)source_fail(s, MS_ERR_MEMORY, NULL);
        return false;
    }
    for (size_t i = 0; i < set->n_releases; i++) {
        const struct msig_release *in = &set->releases[i];
        all[i] = (struct registry_release){.id = in->id,
                                           .version = in->version,
                                           .not_before_s = in->not_before_s,
                                           .not_after_s = in->not_after_s,
                                           .approved_seq = in->approved_seq,
                                           .payload_format = in->payload_format,
                                           .payload_size = in->payload_size,
                                           .payload_hash = in->payload_hash,
                                           .uri = in->uri,
                                           .payload = in->payload};
        d->unneeded[i] = in->not_after_s != 0 && in->not_after_s <= (uint64_t)s->started_s;
    }
    d->n = set->n_releases;
    d->releases = all;
    return true;
}

bool documents_add_release(struct source *s, const struct documents *d, size_t i)
{
    const struct registry_release *release = &d->releases[i];
    struct source_release *out = source_result_add_release(s->result);
    char version[24];

    (void)snprintf(version, sizeof(version), "%llu", (unsigned long long)release->version);
    const char *copy = ms_arena_strdup(&s->result->arena, ms_span_str(version));
    if (out == NULL || copy == NULL) {
        (void)source_fail(s, MS_ERR_MEMORY, NULL);
        return false;
    }
    out->id = release->id;
    out->version = copy;
    out->not_before_s = source_clamp_time(release->not_before_s);
    out->not_after_s = source_clamp_time(release->not_after_s);
    return d->payloads[i].len == 0 || documents_read(s, d, i, out->set);
}

/* Their warrant is the hash in what was approved, so any https location will do. */
static bool ask_one(struct source *s, struct documents *d, size_t i)
{
    const struct registry_release *release = &d->releases[i];
    unsigned long long id = release->id;
    struct ms_diag diag = {0};

    if (release->payload_size > SOURCE_BODY_MAX_BYTES) {
        (void)source_failf(s, MS_ERR_TOO_LARGE,
                           "release %llu has no document at hand and one of %u bytes elsewhere", id,
                           release->payload_size);
        return false;
    }
    struct spec_location *location = ms_arena_alloc(&s->arena, 1, sizeof(*location));
    enum ms_err err = location == NULL
                          ? MS_ERR_MEMORY
                          : spec_location_parse(release->uri, &s->arena, location, &diag);
    if (err != MS_OK) {
        (void)source_failf(s, err, "release %llu has no document at hand and its uri: %s", id,
                           ms_diag_text(&diag, err));
        return false;
    }
    struct source_request request = {.kind = SOURCE_REQUEST_HTTP,
                                     .location = location,
                                     .max_bytes = release->payload_size,
                                     .sha256 = &release->payload_hash};
    const struct source_request *sent = source_want(s, &request);
    if (sent == NULL)
        return false;
    d->release_of[sent->id] = i + 1;
    d->out++;
    return true;
}

bool documents_ask(struct source *s, struct documents *d)
{
    s->documents = d;
    for (size_t i = 0; i < d->n; i++) {
        d->payloads[i] = d->releases[i].payload;
        if (d->payloads[i].len == 0 && !d->unneeded[i] && !ask_one(s, d, i))
            return false;
    }
    return true;
}

bool documents_take(struct source *s, struct documents *d, const struct source_response *response)
{
    size_t index = d->release_of[response->id];
    if (index-- == 0)
        return false;
    const struct registry_release *release = &d->releases[index];
    unsigned long long id = release->id;
    struct ms_sha256 got = ms_sha256(response->body);
    enum ms_err err = MS_OK;
    struct ms_diag diag = {0};

    d->out--;
    if (response->err != MS_OK)
        err = ms_diag_set(&diag, response->err, "%s", ms_diag_text(&response->diag, response->err));
    else if (response->status != 200)
        err = ms_diag_set(&diag, MS_ERR_HTTP, "HTTP status %u", response->status);
    else if (response->body.len != release->payload_size ||
             !ms_sha256_eq(&got, &release->payload_hash))
        err = ms_diag_set(&diag, MS_ERR_HASH, "it is not the one that was approved");
    const char *copy = err == MS_OK ? ms_arena_strdup(&s->arena, response->body) : NULL;
    if (err == MS_OK && copy == NULL)
        err = MS_ERR_MEMORY;
    if (err != MS_OK) {
        (void)source_failf(s, err, "the document of release %llu: %s", id,
                           ms_diag_text(&diag, err));
        return false;
    }
    d->payloads[index] = ms_span_of(copy, response->body.len);
    return true;
}

enum ms_err source_documents_each(const struct source *s, source_document_fn *fn, void *arg)
{
    const struct documents *d = s->documents;
    enum ms_err err = MS_OK;

    for (size_t i = 0; d != NULL && err == MS_OK && i < d->n; i++)
        if (d->payloads[i].len > 0)
            err = fn(arg, &d->releases[i].payload_hash, d->payloads[i]);
    return err;
}

static enum ms_err read_gzip(struct ms_span payload, struct rec_set *set, struct ms_diag *diag)
{
    struct ms_buf plain = MS_BUF_INIT(REC_DOC_MAX_BYTES);

    enum ms_err err = ms_gunzip(payload, DOCUMENT_GZIP_RATIO, &plain, diag);
    if (err == MS_OK)
        err = rec_parse(ms_buf_span(&plain), REC_MODE_DIALECTS, set, diag);
    ms_buf_done(&plain);
    return err;
}

/* Payload formats of 3.2; 3 and 4 are defined in docs/measurements.md. */
enum ms_err past_document_read(uint16_t format, struct ms_span document, struct rec_set *set,
                               struct ms_diag *diag)
{
    switch (format) {
    case 1: /* measurement JSON */
        return rec_parse(document, REC_MODE_DIALECTS, set, diag);
    case 2: /* gzip of it */
        return read_gzip(document, set, diag);
    case 3: /* workload ids of flashtestations */
        return rec_parse(document, REC_MODE_WORKLOAD_IDS, set, diag);
    case 4: /* hashes of dstack */
        return rec_parse(document, REC_MODE_DSTACK, set, diag);
    default:
        return ms_diag_set(diag, MS_ERR_UNSUPPORTED, "payload format %u is not known here",
                           (unsigned)format);
    }
}

bool documents_read(struct source *s, const struct documents *d, size_t i, struct rec_set *set)
{
    unsigned long long id = d->releases[i].id;
    struct ms_diag diag = {0};

    enum ms_err err = past_document_read(d->releases[i].payload_format, d->payloads[i], set, &diag);
    if (err != MS_OK) {
        (void)source_failf(s, err, "the document of release %llu: %s", id,
                           ms_diag_text(&diag, err));
        return false;
    }
    for (size_t w = 0; w < set->n_warnings; w++)
        source_result_warn(s->result, set->warnings[w].code, "release %llu: %s", id,
                           set->warnings[w].text);
    return true;
}
