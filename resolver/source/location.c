/* resolver/source/location.c - a document at an https location: a plain `url:` list, whose only
 * warrant is TLS to that host, or the bytes behind a `sha256:`, which warrant themselves (T5, RFC
 * 9111). */
#include "base/gzip.h"
#include "base/hex.h"
#include "resolver/source/freshness.h"
#include "resolver/source/kinds.h"

#define LOCATION_GZIP_RATIO 256u

static bool copy_validators(struct source_result *result, const struct source_response *response)
{
    const char *etag = response->header[SOURCE_HEADER_ETAG];
    const char *modified = response->header[SOURCE_HEADER_LAST_MODIFIED];

    if (etag != NULL && (result->etag = ms_arena_strdup(&result->arena, ms_span_str(etag))) == NULL)
        return false;
    if (modified != NULL &&
        (result->last_modified = ms_arena_strdup(&result->arena, ms_span_str(modified))) == NULL)
        return false;
    return true;
}

static enum source_state bad_status(struct source *s, const struct source_response *response)
{
    const char *host = s->requests[0].location->host;

    if (response->status == 404 || response->status == 410)
        return source_fail_negative(s, MS_ERR_NOT_FOUND, s->policy.times.location_not_found,
                                    "%s answered %u: there is no such document", host,
                                    response->status);
    return source_failf(s, MS_ERR_HTTP, "%s answered with HTTP status %u instead of 200", host,
                        response->status);
}

/* The bytes of a sha256: document may be compressed on their way; the hash is over what they say.
 */
static enum source_state read_content(struct source *s, struct ms_span body)
{
    struct ms_buf plain = MS_BUF_INIT(SPEC_INLINE_MAX_BYTES);
    struct ms_diag diag = {0};
    enum source_state state = SOURCE_FAILED;

    if (body.len >= 2 && body.ptr[0] == 0x1f && body.ptr[1] == 0x8b) {
        enum ms_err err = ms_gunzip(body, LOCATION_GZIP_RATIO, &plain, &diag);
        if (err != MS_OK) {
            state = source_fail(s, err, &diag);
            goto out;
        }
        body = ms_buf_span(&plain);
    }
    struct ms_sha256 got = ms_sha256(body);
    if (!ms_sha256_eq(&got, &s->spec->content)) {
        char hex[2 * MS_SHA256_BYTES + 1];
        ms_sha256_hex(&got, hex);
        state = source_failf(s, MS_ERR_HASH, "the document hashes to %s, not to what was asked for",
                             hex);
        goto out;
    }
    if (!source_read_document(s, body, REC_MODE_STRICT))
        goto out;
    s->result->trust = SOURCE_TRUST_SELF;
    state = SOURCE_DONE;
out:
    ms_buf_done(&plain);
    return state;
}

/* `sha256=` in the options pins the exact bytes of a location: any one of a comma list. */
static bool pinned(const struct spec *spec, struct ms_span body)
{
    for (size_t i = 0; i < spec->n_options; i++) {
        if (strcmp(spec->options[i].name, "sha256") != 0)
            continue;
        struct ms_sha256 got = ms_sha256(body);
        struct ms_span rest = ms_span_str(spec->options[i].value), one, next;
        for (bool more = true; more; rest = next) {
            uint8_t want[MS_SHA256_BYTES];
            more = ms_span_cut(rest, ',', &one, &next);
            if (!more)
                one = rest;
            if (ms_hex_decode(one, want, sizeof(want)) == MS_OK &&
                memcmp(want, got.b, sizeof(want)) == 0)
                return true;
        }
        return false;
    }
    return true;
}

static enum source_state read_list(struct source *s, struct ms_span body)
{
    if (!pinned(s->spec, body))
        return source_failf(s, MS_ERR_HASH, "the document is none of those pinned by sha256=");
    if (!source_read_document(s, body, REC_MODE_DIALECTS))
        return SOURCE_FAILED;
    s->result->trust = SOURCE_TRUST_TLS;
    return SOURCE_DONE;
}

static enum source_state take_answer(struct source *s, const struct source_response *response)
{
    struct source_result *result = source_result_begin(s);
    if (result == NULL)
        return source_fail(s, MS_ERR_MEMORY, NULL);

    struct source_freshness_limits limits = source_freshness_limits_of(&s->policy.times);
    struct source_freshness fresh = source_freshness(response, s->started_s, &limits);
    result->life = fresh.life;
    result->evidence_time_s = fresh.evidence_time_s;
    bool conditional =
        s->requests[0].if_none_match != NULL || s->requests[0].if_modified_since != NULL;
    if (response->status == 304 && conditional) {
        result->unchanged = true;
        s->state = SOURCE_DONE;
        return copy_validators(result, response) ? SOURCE_DONE
                                                 : source_fail(s, MS_ERR_MEMORY, NULL);
    }
    if (response->status != 200)
        return bad_status(s, response);
    enum source_state state = s->spec->kind == SPEC_SHA256 ? read_content(s, response->body)
                                                           : read_list(s, response->body);
    if (state != SOURCE_DONE)
        return state;
    if (s->spec->kind == SPEC_SHA256)
        result->life = (struct source_lifetime){.fresh_s = -1, .ceiling_s = -1};
    else if (!copy_validators(result, response))
        return source_fail(s, MS_ERR_MEMORY, NULL);
    return source_finish(s);
}

/* Nobody is there: remembered for a moment, so that many who ask do not knock as often (6.2). */
static enum source_state no_answer(struct source *s, const struct source_response *response)
{
    bool unreachable = response->err == MS_ERR_CONNECT || response->err == MS_ERR_RESOLVE;

    if (unreachable && s->policy.times.location_no_answer > 0)
        return source_fail_negative(s, response->err, s->policy.times.location_no_answer, "%s",
                                    ms_diag_text(&response->diag, response->err));
    return source_fail(s, response->err, &response->diag);
}

static enum source_state location_step(struct source *s, const struct source_response *response,
                                       struct ms_now now)
{
    (void)now; /* times come from the answer, so that a replay sees the same */
    if (response == NULL) {
        struct source_request request = {
            .kind = SOURCE_REQUEST_HTTP,
            .location = s->spec->kind == SPEC_SHA256 ? &s->spec->at : &s->spec->location,
            .max_bytes = SOURCE_BODY_MAX_BYTES,
        };
        if (s->spec->kind == SPEC_LOCATION) {
            request.if_none_match = s->previous.etag;
            request.if_modified_since = s->previous.last_modified;
        }
        return source_want(s, &request) == NULL ? SOURCE_FAILED : SOURCE_WANTS;
    }
    if (response->err != MS_OK)
        return no_answer(s, response);
    return take_answer(s, response);
}

enum ms_err source_location_init(struct source *s, struct ms_now now, struct ms_diag *diag)
{
    (void)now;
    if (s->spec->kind == SPEC_SHA256 && s->spec->at.url == NULL)
        return ms_diag_set(diag, MS_ERR_UNAVAILABLE,
                           "sha256: names a document but not where it is; add ;at=<base64url of an "
                           "https URL>");
    s->step = location_step;
    return MS_OK;
}
