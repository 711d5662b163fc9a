/* tests/support/play.c - one attempt, answered from a script. */
#include "tests/support/play.h"

#include "base/base64.h"
#include "base/gzip.h"

#include <stdio.h>
#include <stdlib.h>

static void must(bool ok, const char *what, const struct play *p)
{
    if (ok)
        return;
    (void)fprintf(stderr, "play: %s (%s)\n", what, p->spec);
    abort();
}

const char *play_text(const char *text)
{
    static char out[8192];
    struct ms_buf packed = MS_BUF_INIT(4096), base64 = MS_BUF_INIT(8192);
    const char *from = strncmp(text, "sha256:", 7) == 0 ? strstr(text, ";at=") : strchr(text, ':');
    enum ms_err err = MS_OK;

    if (from == NULL)
        return text;
    from += from[0] == ';' ? 4 : 1;
    size_t n = (size_t)(from - text);
    if (strncmp(text, "inline:", 7) == 0)
        err = ms_gzip(ms_span_str(from), &packed);
    else if (strncmp(text, "url:", 4) == 0 || from[-1] == '=')
        (void)ms_buf_add(&packed, ms_span_of(from, strcspn(from, ";")));
    else
        return text;
    if (err != MS_OK || ms_base64_encode(ms_buf_span(&packed), &base64) != MS_OK)
        abort();
    memcpy(out, text, n);
    for (size_t i = 0; i < base64.len && base64.ptr[i] != '='; i++)
        out[n++] = base64.ptr[i] == '+' ? '-' : base64.ptr[i] == '/' ? '_' : (char)base64.ptr[i];
    (void)snprintf(out + n, sizeof(out) - n, "%s",
                   strncmp(text, "inline:", 7) == 0 ? "" : from + strcspn(from, ";"));
    ms_buf_done(&packed);
    ms_buf_done(&base64);
    return out;
}

struct source_policy play_policy(enum spec_level level, uint32_t quorum, size_t n)
{
    static const char *const names[SOURCE_PROVIDERS_MAX] = {"a", "b", "c", "d", "e", "f", "g", "h",
                                                            "i", "j", "k", "l", "m", "n", "o", "p"};
    struct source_policy policy = {.level = level,
                                   .quorum = quorum,
                                   .max_evidence_age_s = 21600,
                                   .poll_s = 60,
                                   .head_poll_s = 12,
                                   .times = source_times_default,
                                   .n_providers = n};
    for (size_t i = 0; i < n; i++)
        policy.providers[i] = (struct source_provider){
            .name = names[i], .group = names[i], .chain = 1, .proofs = SOURCE_PROOFS_FINALIZED};
    return policy;
}

static bool hangs(const struct play *p, const struct source_request *request)
{
    return request->kind == SOURCE_REQUEST_RPC && p->nodes != NULL &&
           request->provider < p->policy.n_providers &&
           node_hangs(&p->nodes[request->provider], request->body);
}

/* The newest wait: it may be over, or all others hang. -1: there is none, or not yet. */
static int over(const struct play *p, const struct source_request *out, size_t n)
{
    int wait = -1;
    bool answers = false;

    for (size_t i = 0; i < n; i++) {
        if (out[i].kind == SOURCE_REQUEST_WAIT)
            wait = (int)i;
        else
            answers = answers || !hangs(p, &out[i]);
    }
    return p->impatient || !answers ? wait : -1;
}

static size_t pick_any(struct play *p, size_t n)
{
    switch (p->order) {
    case PLAY_FIFO:
        return 0;
    case PLAY_LIFO:
        return n - 1;
    case PLAY_RANDOM:
        p->seed = p->seed * 1664525u + 1013904223u;
        return (p->seed >> 8) % n;
    }
    return 0;
}

/* Whoever hangs is last, and waits for less than that. */
static size_t pick(struct play *p, const struct source_request *out, size_t n)
{
    size_t others[SOURCE_ID_MAX], m = 0;
    int wait = over(p, out, n);

    if (wait >= 0)
        return (size_t)wait;
    for (size_t i = 0; i < n; i++)
        if (out[i].kind != SOURCE_REQUEST_WAIT && !hangs(p, &out[i]))
            others[m++] = i;
    return m > 0 ? others[pick_any(p, m)] : pick_any(p, n);
}

static enum source_state answer(struct play *p, struct source *source,
                                const struct source_request *request,
                                struct bundle_transcript *transcript)
{
    struct node_answer from = {0};
    struct source_response r = {0};
    struct ms_now now = p->now;

    if (request->kind == SOURCE_REQUEST_WAIT) {
        r.err = MS_ERR_TIMEOUT;
    } else if (request->kind == SOURCE_REQUEST_RPC) {
        must(request->provider < p->policy.n_providers && p->nodes != NULL, "no such node", p);
        node_answer(&p->nodes[request->provider], request->body, &from);
        r = (struct source_response){
            .err = from.err, .status = from.status, .body = ms_buf_span(&from.body)};
        r.header[SOURCE_HEADER_RETRY_AFTER] = from.retry_after;
    } else {
        must(p->http != NULL, "an HTTP request", p);
        r = p->http(p->arg, request);
    }
    r.id = request->id;
    if (r.time_s == 0)
        r.time_s = p->now.wall_s + (int64_t)(p->n_requests % 3); /* answers take their time */
    now.wall_s = r.time_s;
    must(bundle_transcript_add(transcript, &r) == MS_OK, "transcript", p);
    uint8_t *exact = malloc(r.body.len == 0 ? 1 : r.body.len); /* exact size, for ASan */
    must(exact != NULL, "memory", p);
    if (r.body.len > 0)
        memcpy(exact, r.body.ptr, r.body.len);
    r.body.ptr = exact;
    enum source_state state = source_step(source, &r, now);
    free(exact);
    ms_buf_done(&from.body);
    return state;
}

static bool same_candidates(const struct source_result *a, const struct source_result *b)
{
    if (a->n_candidates != b->n_candidates || a->candidate_kinds != b->candidate_kinds ||
        a->scan.begun != b->scan.begun || a->scan.from != b->scan.from ||
        a->scan.next != b->scan.next || a->scan.window != b->scan.window)
        return false;
    for (size_t i = 0; i < a->n_candidates; i++)
        if (source_candidate_cmp(&a->candidates[i], &b->candidates[i]) != 0 ||
            a->candidates[i].approved != b->candidates[i].approved)
            return false;
    return true;
}

static bool same(const struct source_result *a, const struct source_result *b)
{
    return same_candidates(a, b) && ms_sha256_eq(&a->overlay, &b->overlay) &&
           a->has_identity == b->has_identity && ms_sha256_eq(&a->identity, &b->identity) &&
           a->workload_version == b->workload_version && ms_sha256_eq(&a->set_hash, &b->set_hash) &&
           ms_sha256_eq(&a->commitment, &b->commitment) && a->trust == b->trust &&
           a->trust_k == b->trust_k && a->trust_n == b->trust_n && a->level == b->level &&
           a->has_sequence == b->has_sequence && a->sequence == b->sequence &&
           a->evidence_time_s == b->evidence_time_s && a->valid_until_s == b->valid_until_s &&
           a->life.fresh_s == b->life.fresh_s && a->life.swr_s == b->life.swr_s &&
           a->life.sie_s == b->life.sie_s && a->life.ceiling_s == b->life.ceiling_s &&
           a->life.no_store == b->life.no_store && a->block.number == b->block.number &&
           eth_hash_eq(&a->block.hash, &b->block.hash) && a->n_releases == b->n_releases &&
           a->n_warnings == b->n_warnings && (a->etag == NULL) == (b->etag == NULL) &&
           (a->etag == NULL || strcmp(a->etag, b->etag) == 0);
}

static void check_bundle(struct play *p, const struct spec *spec,
                         const struct bundle_transcript *transcript)
{
    struct ms_buf again = MS_BUF_INIT(BUNDLE_MAX_BYTES);
    struct source_result *result = NULL;
    struct ms_diag diag = {0};
    struct spec read;

    must(bundle_write(spec, &p->policy, &p->previous, p->now, transcript, p->result, MS_OK,
                      &p->bundle) == MS_OK,
         "bundle_write", p);
    must(bundle_write(spec, &p->policy, &p->previous, p->now, transcript, p->result, MS_OK,
                      &again) == MS_OK &&
             ms_span_eq(ms_buf_span(&again), ms_buf_span(&p->bundle)),
         "a bundle is written differently twice", p);
    ms_buf_done(&again);
    if (p->keep_options)
        return;
    spec_init(&read);
    enum ms_err err = bundle_verify(ms_buf_span(&p->bundle), &read, &result, &diag);
    must(err == MS_OK, diag.text, p);
    must(same(p->result, result), "the bundle's verdict differs", p);
    source_result_free(result);
    spec_done(&read);
}

void play_run(struct play *p)
{
    static const struct spec_context context;
    struct source_request out[SOURCE_ID_MAX];
    struct bundle_transcript *transcript = NULL;
    struct source *source = NULL;
    struct spec spec;
    size_t n = 0;

    p->bundle.max = BUNDLE_MAX_BYTES;
    spec_init(&spec);
    must(spec_parse(ms_span_str(play_text(p->spec)), &context, &spec, &p->diag) == MS_OK,
         p->diag.text, p);
    if (!p->keep_options)
        bundle_identity_only(&spec);
    must(bundle_transcript_new(&transcript) == MS_OK, "memory", p);
    p->err = source_new(&spec, &p->policy, &p->previous, p->now, &source, &p->diag);
    if (p->err != MS_OK)
        goto out;
    enum source_state state = source_step(source, NULL, p->now);
    while (state == SOURCE_WANTS) {
        while (source_take_request(source, &out[n])) {
            p->n_requests += out[n].kind != SOURCE_REQUEST_WAIT;
            n++;
        }
        must(n > 0, "wants, but asks nothing", p);
        size_t at = pick(p, out, n);
        struct source_request request = out[at];
        memmove(&out[at], &out[at + 1], (n - at - 1) * sizeof(out[0]));
        n--;
        state = answer(p, source, &request, transcript);
    }
    for (uint32_t i = 0; i < SOURCE_PROVIDERS_MAX; i++) {
        p->conduct[i] = source_conduct(source, i);
        p->learned[i] = source_learned(source, i);
        p->lied[i] = p->conduct[i] == SOURCE_CONDUCT_LIED;
    }
    const struct source_kept *kept = NULL;
    p->n_kept = source_kept(source, &kept);
    for (size_t i = 0; i < p->n_kept; i++) {
        p->kept[i] = kept[i];
        (void)json_incref(kept[i].answers);
    }
    if (state == SOURCE_FAILED) {
        p->err = source_error(source, &p->diag);
        p->negative_s = source_negative_s(source);
        must(source_take_result(source) == NULL, "a failed attempt has a result", p);
    } else {
        p->result = source_take_result(source);
        must(p->result != NULL && source_take_result(source) == NULL, "no result", p);
        if (!p->result->unchanged)
            check_bundle(p, &spec, transcript);
    }
out:
    source_free(source);
    bundle_transcript_free(transcript);
    spec_done(&spec);
}

void play_done(struct play *p)
{
    source_result_free(p->result);
    ms_buf_done(&p->bundle);
    for (size_t i = 0; i < p->n_kept; i++)
        json_decref(p->kept[i].answers);
    p->n_kept = 0;
    p->result = NULL;
    p->bundle = (struct ms_buf)MS_BUF_INIT(BUNDLE_MAX_BYTES);
    p->err = MS_OK;
    p->diag = (struct ms_diag){0};
    p->negative_s = 0;
    p->n_requests = 0;
}
