/* resolver/source/past_documents.c - one document after the other, one place after the other. */
#include "resolver/source/past_documents.h"

#include "resolver/source/documents.h"
#include "resolver/source/rpcset.h"

#include <stdio.h>

#define FETCH_ARENA_MAX_BYTES ((size_t)PAST_DOCUMENTS_MAX * (SOURCE_BODY_MAX_BYTES + 65536u))

struct fetch {
    struct past_documents in;
    struct rpcset set;
    size_t i; /* the one that is asked for */
    uint32_t peer;
    bool tried[SOURCE_PROVIDERS_MAX]; /* for the one that is asked for */
    bool asked_uri;
    uint32_t http_id; /* of the request that is out, 0: none */
    const char *host;
    struct ms_diag why; /* the last cause */
    struct past_document_outcome outcomes[PAST_DOCUMENTS_MAX];
    size_t n_complaints;
    struct past_complaint complaints[PAST_COMPLAINTS_MAX];
};

static struct fetch *fetch_of(const struct source *s)
{
    return s->kind_state;
}

static const struct past_document *wanted(const struct fetch *f)
{
    return &f->in.wanted[f->i];
}

/* ---- the end of one ---- */

static void next_document(struct fetch *f)
{
    f->i++;
    f->asked_uri = false;
    memset(f->tried, 0, sizeof(f->tried));
    f->why = (struct ms_diag){0};
}

static void not_found(struct fetch *f)
{
    struct past_document_outcome *o = &f->outcomes[f->i];

    o->ended = true;
    o->why = f->why;
    if (o->why.text[0] == '\0')
        (void)ms_diag_set(&o->why, MS_ERR_NOT_FOUND, "it is neither on chain nor has it a uri");
    next_document(f);
}

static bool is_wanted(const struct fetch *f, struct ms_span bytes)
{
    const struct past_document *w = wanted(f);
    struct ms_sha256 got = ms_sha256(bytes);

    return bytes.len == w->size && ms_sha256_eq(&got, &w->hash);
}

static void found(struct source *s, struct ms_span bytes, const char *from)
{
    struct fetch *f = fetch_of(s);
    const char *copy = ms_arena_strdup(&s->arena, bytes);

    if (copy == NULL) {
        (void)source_fail(s, MS_ERR_LIMIT, NULL);
        return;
    }
    f->outcomes[f->i] = (struct past_document_outcome){
        .ended = true, .found = true, .bytes = ms_span_of(copy, bytes.len), .from = from};
    next_document(f);
}

static void complain(struct fetch *f, const char *name)
{
    if (f->n_complaints == PAST_COMPLAINTS_MAX)
        return;
    struct past_complaint *c = &f->complaints[f->n_complaints++];
    (void)snprintf(c->name, sizeof(c->name), "%s", name);
    c->diag = f->why;
}

/* An old document may be approved again, as a new version. */
static bool found_before(struct fetch *f)
{
    for (size_t i = 0; i < f->i; i++) {
        if (!f->outcomes[i].found || !ms_sha256_eq(&f->in.wanted[i].hash, &wanted(f)->hash) ||
            f->in.wanted[i].size != wanted(f)->size)
            continue;
        f->outcomes[f->i] = f->outcomes[i];
        next_document(f);
        return true;
    }
    return false;
}

/* ---- on chain ---- */

static bool pick_peer(const struct source *s)
{
    struct fetch *f = fetch_of(s);
    uint32_t n = rpcset_n(&f->set);

    if (eth_addr_is_zero(&wanted(f)->pointer))
        return false;
    for (uint32_t k = 0; k < n; k++) {
        uint32_t peer = (f->in.first_provider + k) % n;
        if (!rpcset_alive(&f->set, peer) || f->tried[peer] || s->lied[peer])
            continue;
        f->peer = peer;
        return true;
    }
    return false;
}

/* Code does not change, and what is final stands in the newest state too: which every endpoint has,
 * while many have dropped that of the block the operation was proven in. */
static enum source_state ask_code(struct source *s)
{
    struct fetch *f = fetch_of(s);
    struct rpc_call call = {.method = RPC_CODE,
                            .hint = true,
                            .to = wanted(f)->pointer,
                            .block = {.form = ETH_BLOCK_LATEST}};

    f->tried[f->peer] = true;
    return rpcset_send(&f->set, f->peer, &call, 1) ? SOURCE_WANTS : SOURCE_FAILED;
}

static void take_code(struct source *s, struct ms_span code)
{
    struct fetch *f = fetch_of(s);
    const char *name = rpcset_provider(&f->set, f->peer)->name;
    char pointer[ETH_ADDR_TEXT + 1];

    eth_addr_text(&wanted(f)->pointer, pointer);
    if (code.len == 0) { /* it may be far behind */
        (void)ms_diag_set(&f->why, MS_ERR_NO_CODE, "%s: there is no code at %s", name, pointer);
    } else if (code.ptr[0] == 0 && is_wanted(f, ms_span_sub(code, 1, code.len))) {
        found(s, ms_span_sub(code, 1, code.len), name);
    } else {
        (void)ms_diag_set(&f->why, MS_ERR_HASH,
                          "the document of release %llu: the code at %s is not the document that "
                          "was approved",
                          (unsigned long long)wanted(f)->release, pointer);
        complain(f, name);
        s->lied[f->peer] = s->lied[f->peer] || f->in.known_code;
    }
}

static void on_result(struct rpcset *set, uint32_t peer, const struct rpc_call *call,
                      const json_t *result)
{
    struct ms_buf code = MS_BUF_INIT(SOURCE_RPC_BODY_MAX_BYTES / 2);
    struct source *s = set->s;
    struct fetch *f = fetch_of(s);
    struct ms_diag diag = {0};

    (void)peer;
    (void)call;
    f->why = (struct ms_diag){0};
    enum ms_err err = eth_rpc_result_data(result, &code, &diag);
    if (err == MS_OK)
        take_code(s, ms_buf_span(&code));
    else
        f->why = diag;
    ms_buf_done(&code);
}

/* An error of its own to this question is no reason not to ask it others. */
static bool on_failed(struct rpcset *set, uint32_t peer, const struct rpc_call *call,
                      enum ms_err err, const struct ms_diag *diag)
{
    struct fetch *f = fetch_of(set->s);

    (void)call;
    f->why = (struct ms_diag){0};
    (void)ms_diag_set(&f->why, err, "%s: %s", rpcset_provider(set, peer)->name,
                      ms_diag_text(diag, err));
    return err == MS_ERR_RPC;
}

/* ---- elsewhere ---- */

static unsigned *points_of(struct past_hosts *hosts, const char *name, bool add)
{
    for (size_t i = 0; i < hosts->n; i++)
        if (strcmp(hosts->host[i].name, name) == 0)
            return &hosts->host[i].points;
    if (!add || hosts->n == PAST_HOSTS_MAX)
        return NULL;
    (void)snprintf(hosts->host[hosts->n].name, PAST_HOST_MAX_BYTES, "%s", name);
    hosts->host[hosts->n].points = 0;
    return &hosts->host[hosts->n++].points;
}

static bool may_ask(const struct fetch *f, const char *host)
{
    const unsigned *points = points_of(f->in.hosts, host, false);

    return strlen(host) < PAST_HOST_MAX_BYTES &&
           (points != NULL ? *points < PAST_HOST_POINTS_MAX : f->in.hosts->n < PAST_HOSTS_MAX);
}

/* false: no document is so large, or so small. */
static bool size_is_fine(struct fetch *f)
{
    uint32_t size = wanted(f)->size;

    if (size > 0 && size <= SOURCE_BODY_MAX_BYTES)
        return true;
    (void)ms_diag_set(&f->why, MS_ERR_TOO_LARGE, "it has %u bytes, which is not 1 to %u", size,
                      SOURCE_BODY_MAX_BYTES);
    return false;
}

/* WANTS when it is asked for; DONE when it cannot be. */
static enum source_state ask_uri(struct source *s)
{
    struct fetch *f = fetch_of(s);
    const struct past_document *w = wanted(f);
    struct ms_diag diag = {0};

    f->asked_uri = true;
    if (w->uri[0] == '\0')
        return SOURCE_DONE;
    struct spec_location *location = ms_arena_alloc(&s->arena, 1, sizeof(*location));
    enum ms_err err = location == NULL
                          ? MS_ERR_MEMORY
                          : spec_location_parse(ms_span_str(w->uri), &s->arena, location, &diag);
    if (location == NULL || err == MS_ERR_MEMORY)
        return source_fail(s, MS_ERR_MEMORY, NULL);
    if (err != MS_OK) {
        (void)ms_diag_set(&f->why, err, "its uri: %s", ms_diag_text(&diag, err));
        return SOURCE_DONE;
    }
    if (!may_ask(f, location->host)) {
        (void)ms_diag_set(&f->why, MS_ERR_UNAVAILABLE,
                          "%.100s or other hosts failed too often: it is not asked any more now",
                          location->host);
        return SOURCE_DONE;
    }
    struct source_request request = {.kind = SOURCE_REQUEST_HTTP,
                                     .location = location,
                                     .max_bytes = w->size,
                                     .sha256 = &w->hash};
    const struct source_request *sent = source_want(s, &request);
    if (sent == NULL)
        return SOURCE_FAILED;
    f->http_id = sent->id;
    f->host = location->host;
    return SOURCE_WANTS;
}

static void host_failed(const struct fetch *f, unsigned points)
{
    unsigned *all = points_of(f->in.hosts, f->host, true);
    if (all != NULL)
        *all += points;
}

static void take_http(struct source *s, const struct source_response *response)
{
    struct fetch *f = fetch_of(s);
    bool silent = (response->err != MS_OK && response->err != MS_ERR_TOO_LARGE) ||
                  response->status == 429 || response->status >= 500;

    f->http_id = 0;
    f->why = (struct ms_diag){0};
    if (response->err != MS_OK && response->err != MS_ERR_TOO_LARGE) {
        (void)ms_diag_set(&f->why, response->err, "%.100s: %s", f->host,
                          ms_diag_text(&response->diag, response->err));
    } else if (response->err == MS_OK && response->status != 200) {
        (void)ms_diag_set(&f->why, MS_ERR_HTTP, "%.100s: HTTP status %u", f->host,
                          response->status);
    } else if (response->err == MS_OK && is_wanted(f, response->body)) {
        found(s, response->body, "https");
        return;
    } else {
        (void)ms_diag_set(
            &f->why, MS_ERR_HASH,
            "the document of release %llu: %.100s gives another document than the one "
            "that was approved",
            (unsigned long long)wanted(f)->release, f->host);
        complain(f, f->host);
    }
    host_failed(f, silent ? PAST_HOST_SILENT_POINTS : 1);
}

/* ---- the machine ---- */

/* Nobody could be asked for what is on chain: others can be, later. */
static bool nobody_asked(const struct fetch *f)
{
    bool any = false;

    for (uint32_t p = 0; p < rpcset_n(&f->set); p++)
        any = any || (f->tried[p] && rpcset_alive(&f->set, p));
    return !eth_addr_is_zero(&wanted(f)->pointer) && !any;
}

static enum source_state give_up(struct source *s)
{
    struct fetch *f = fetch_of(s);

    if (f->i > 0) /* what was found is of use */
        return SOURCE_DONE;
    return source_failf(
        s, MS_ERR_UNAVAILABLE, "no endpoint can be asked for the document of release %llu%s%s",
        (unsigned long long)wanted(f)->release, f->why.text[0] == '\0' ? "" : ": ", f->why.text);
}

static enum source_state next(struct source *s)
{
    struct fetch *f = fetch_of(s);

    while (s->err == MS_OK && f->i < f->in.n) {
        if (found_before(f))
            continue;
        if (!size_is_fine(f)) {
            not_found(f);
            continue;
        }
        if (pick_peer(s))
            return ask_code(s);
        if (!f->asked_uri) {
            enum source_state state = ask_uri(s); /* what the chain said stays the cause */
            if (state != SOURCE_DONE)
                return state;
        }
        if (nobody_asked(f))
            return give_up(s);
        not_found(f);
    }
    return s->err == MS_OK ? SOURCE_DONE : SOURCE_FAILED;
}

static enum source_state step(struct source *s, const struct source_response *response,
                              struct ms_now now)
{
    struct fetch *f = fetch_of(s);

    (void)now;
    if (response == NULL)
        return next(s);
    if (f->http_id != 0 && response->id == f->http_id)
        take_http(s, response);
    else if (!rpcset_take(&f->set, response) || f->set.out > 0)
        return SOURCE_WANTS;
    return next(s);
}

static enum ms_err init(struct source *s, const struct past_documents *in, struct ms_diag *diag)
{
    struct fetch *f = ms_arena_alloc(&s->arena, 1, sizeof(*f));

    if (f == NULL)
        return MS_ERR_MEMORY;
    f->in = *in;
    s->kind_state = f;
    s->step = step;
    f->set.owner = f;
    f->set.result = on_result;
    f->set.failed = on_failed;
    return rpcset_init(&f->set, s, s->spec->chain, diag);
}

enum ms_err source_past_documents_new(const struct spec *spec, const struct source_policy *policy,
                                      const struct past_documents *in, struct ms_now now,
                                      struct source **ret_source, struct ms_diag *diag)
{
    struct source *s = source_begin(spec, policy, FETCH_ARENA_MAX_BYTES, now.wall_s);

    if (s == NULL)
        return MS_ERR_MEMORY;
    return source_made(s, init(s, in, diag), ret_source);
}

/* ---- the outcome ---- */

const struct past_document_outcome *source_past_document(const struct source *s, size_t i)
{
    return &fetch_of(s)->outcomes[i];
}

size_t source_past_complaints(const struct source *s, const struct past_complaint **ret)
{
    *ret = fetch_of(s)->complaints;
    return fetch_of(s)->n_complaints;
}
