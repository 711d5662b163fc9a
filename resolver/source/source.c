/* resolver/source/source.c - what all kinds of sources share. */
#include "resolver/source/source.h"

#include "base/hex.h"
#include "resolver/source/freshness.h"
#include "resolver/source/kinds.h"

#include <stdarg.h>
#include <stdlib.h>

#define SOURCE_RESULT_ARENA_MAX ((size_t)4 << 20)

const char *source_header_name(enum source_header header)
{
    static const char *const names[SOURCE_HEADER_COUNT] = {
        [SOURCE_HEADER_CACHE_CONTROL] = "cache-control",
        [SOURCE_HEADER_EXPIRES] = "expires",
        [SOURCE_HEADER_DATE] = "date",
        [SOURCE_HEADER_AGE] = "age",
        [SOURCE_HEADER_ETAG] = "etag",
        [SOURCE_HEADER_LAST_MODIFIED] = "last-modified",
        [SOURCE_HEADER_VARY] = "vary",
        [SOURCE_HEADER_CONTENT_TYPE] = "content-type",
        [SOURCE_HEADER_RETRY_AFTER] = "retry-after",
    };
    return header < SOURCE_HEADER_COUNT ? names[header] : "";
}

int source_candidate_cmp(const struct source_candidate *a, const struct source_candidate *b)
{
    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    return memcmp(a->value, b->value, sizeof(a->value));
}

bool source_result_knows(const struct source_result *result,
                         const struct source_candidate *candidate)
{
    if ((result->candidate_kinds & 1u << candidate->kind) == 0)
        return true;
    for (size_t i = 0; i < result->n_candidates; i++)
        if (source_candidate_cmp(&result->candidates[i], candidate) == 0)
            return true;
    return false;
}

/* ---- failing ---- */

enum source_state source_fail(struct source *s, enum ms_err err, const struct ms_diag *diag)
{
    if (s->err == MS_OK) {
        s->err = err;
        if (diag != NULL)
            s->diag = *diag;
    }
    s->state = SOURCE_FAILED;
    return SOURCE_FAILED;
}

enum source_state source_failf(struct source *s, enum ms_err err, const char *fmt, ...)
{
    struct ms_diag diag = {0};
    va_list args;

    va_start(args, fmt);
    (void)ms_diag_setv(&diag, err, fmt, args);
    va_end(args);
    return source_fail(s, err, &diag);
}

enum source_state source_fail_negative(struct source *s, enum ms_err err, int64_t negative_s,
                                       const char *fmt, ...)
{
    struct ms_diag diag = {0};
    va_list args;

    va_start(args, fmt);
    (void)ms_diag_setv(&diag, err, fmt, args);
    va_end(args);
    if (s->err == MS_OK)
        s->negative_s = negative_s;
    return source_fail(s, err, &diag);
}

/* ---- requests ---- */

struct source_request *source_want(struct source *s, const struct source_request *request)
{
    if (s->n_requests == SOURCE_REQUESTS_MAX) {
        (void)source_failf(s, MS_ERR_LIMIT, "more than %u requests for one answer",
                           SOURCE_REQUESTS_MAX);
        return NULL;
    }
    struct source_request *slot = &s->requests[s->n_requests++];
    *slot = *request;
    slot->id = (uint32_t)s->n_requests;
    return slot;
}

bool source_want_wait(struct source *s, int64_t ms)
{
    if (s->n_waits == SOURCE_WAITS_MAX)
        return false;
    s->wait_id = SOURCE_REQUESTS_MAX + ++s->n_waits;
    s->wait_ms = ms;
    s->wait_taken = false;
    return true;
}

static bool take_wait(struct source *s, struct source_request *ret_request)
{
    if (s->wait_id == 0 || s->wait_taken)
        return false;
    s->wait_taken = true;
    *ret_request = (struct source_request){
        .kind = SOURCE_REQUEST_WAIT, .id = s->wait_id, .wait_ms = s->wait_ms};
    return true;
}

bool source_take_request(struct source *s, struct source_request *ret_request)
{
    if (s->state != SOURCE_WANTS)
        return false;
    if (s->n_taken == s->n_requests)
        return take_wait(s, ret_request);
    *ret_request = s->requests[s->n_taken++];
    return true;
}

/* ---- results ---- */

struct source_result *source_result_begin(struct source *s)
{
    if (s->result == NULL) {
        s->result = calloc(1, sizeof(*s->result));
        if (s->result != NULL)
            s->result->arena.max = SOURCE_RESULT_ARENA_MAX;
    }
    return s->result;
}

void source_result_free(struct source_result *result)
{
    if (result == NULL)
        return;
    for (size_t i = 0; i < result->n_releases; i++) {
        rec_set_done(result->releases[i].set);
        free(result->releases[i].set);
    }
    free(result->releases);
    json_decref(result->governance);
    json_decref(result->carry);
    ms_arena_done(&result->arena);
    free(result);
}

struct source_release *source_result_add_release(struct source_result *result)
{
    if (result->n_releases == SOURCE_RELEASES_MAX)
        return NULL;
    if (result->releases == NULL)
        result->releases = calloc(SOURCE_RELEASES_MAX, sizeof(*result->releases));
    struct rec_set *set = calloc(1, sizeof(*set));
    if (result->releases == NULL || set == NULL) {
        free(set);
        return NULL;
    }
    rec_set_init(set);
    struct source_release *release = &result->releases[result->n_releases++];
    *release = (struct source_release){.version = "", .set = set};
    return release;
}

void source_result_warn(struct source_result *result, const char *code, const char *fmt, ...)
{
    struct ms_diag text = {0};
    va_list args;

    if (result->n_warnings == MS_ARRAY_LEN(result->warnings))
        return;
    va_start(args, fmt);
    (void)ms_diag_setv(&text, MS_OK, fmt, args);
    va_end(args);
    const char *copy = ms_arena_strdup(&result->arena, ms_span_str(text.text));
    const char *code_copy = ms_arena_strdup(&result->arena, ms_span_str(code));
    if (copy != NULL && code_copy != NULL)
        result->warnings[result->n_warnings++] = (struct rec_warning){code_copy, copy};
}

int64_t source_clamp_time(uint64_t unix_s)
{
    const int64_t far = INT64_MAX / 8; /* within what the database takes; "no end" means as much */
    return unix_s > (uint64_t)far ? far : (int64_t)unix_s;
}

static void add_u64(struct ms_buf *buf, uint64_t value)
{
    for (int shift = 56; shift >= 0; shift -= 8)
        (void)ms_buf_add_byte(buf, (uint8_t)(value >> shift));
}

/* set_hash = SHA-256("measured/set/1" LF, then for each release: id, not_before, not_after as 8
 * bytes big-endian, length of version as 8 bytes, version, canonical hash of the records). */
static enum ms_err hash_releases(struct source_result *result)
{
    struct ms_buf text = MS_BUF_INIT((size_t)1 << 20);

    (void)ms_buf_add_str(&text, "measured/set/1\n");
    enum ms_err err = MS_OK;
    for (size_t i = 0; i < result->n_releases && err == MS_OK; i++) {
        const struct source_release *release = &result->releases[i];
        struct ms_sha256 records;
        err = rec_set_hash(release->set, &records);
        if (err != MS_OK)
            break;
        add_u64(&text, release->id);
        add_u64(&text, (uint64_t)release->not_before_s);
        add_u64(&text, (uint64_t)release->not_after_s);
        add_u64(&text, strlen(release->version));
        (void)ms_buf_add_str(&text, release->version);
        err = ms_buf_add(&text, ms_span_of(records.b, sizeof(records.b)));
    }
    if (err == MS_OK)
        err = ms_buf_err(&text);
    if (err == MS_OK)
        result->set_hash = ms_sha256(ms_buf_span(&text));
    ms_buf_done(&text);
    return err;
}

/* A lower sequence, proven in a block after the one that had the higher: no honest chain has both
 * (6.3, Regression). Below L3, or in an older block, it is an answer to be thrown away. */
static bool went_back(const struct source *s)
{
    return s->result->level >= SPEC_LEVEL_L3 && s->previous.has_final &&
           s->result->block.number > s->previous.final_number;
}

enum source_state source_finish(struct source *s)
{
    struct source_result *result = s->result;

    enum ms_err err = hash_releases(result);
    if (err != MS_OK)
        return source_fail(s, err, NULL);
    static const struct ms_sha256 none;
    if (!result->has_sequence && ms_sha256_eq(&result->commitment, &none))
        result->commitment = result->set_hash;
    bool below =
        result->epoch < s->previous.floor_epoch ||
        (result->epoch == s->previous.floor_epoch && result->sequence < s->previous.floor_sequence);
    if (result->has_sequence && below)
        return source_failf(s, went_back(s) ? MS_ERR_CONFLICT : MS_ERR_ROLLBACK,
                            "the source says sequence %llu, but %llu was already verified",
                            (unsigned long long)result->sequence,
                            (unsigned long long)s->previous.floor_sequence);
    if (s->spec->seq > 0 && (!result->has_sequence || result->sequence < s->spec->seq))
        return source_failf(s, MS_ERR_ROLLBACK,
                            "the specifier asks for sequence %llu or later, the source has %llu",
                            (unsigned long long)s->spec->seq, (unsigned long long)result->sequence);
    s->state = SOURCE_DONE;
    return SOURCE_DONE;
}

bool source_read_document(struct source *s, struct ms_span body, enum rec_mode mode)
{
    struct ms_diag diag = {0};

    struct source_result *result = source_result_begin(s);
    struct source_release *release = result == NULL ? NULL : source_result_add_release(result);
    if (release == NULL) {
        (void)source_fail(s, MS_ERR_MEMORY, NULL);
        return false;
    }
    release->id = 1;
    enum ms_err err = rec_parse(body, mode, release->set, &diag);
    if (err != MS_OK) {
        (void)source_fail(s, err, &diag);
        return false;
    }
    for (size_t i = 0; i < release->set->n_warnings; i++)
        source_result_warn(result, release->set->warnings[i].code, "%s",
                           release->set->warnings[i].text);
    return true;
}

/* ---- the machine ---- */

/* Options only tighten. One that a kind cannot obey yet is refused: ignored, it would loosen. */
static enum ms_err check_options(const struct spec *spec, struct ms_diag *diag)
{
    static const struct {
        enum spec_kind kind;
        const char *name; /* part of the identity, and obeyed */
    } obeyed[] = {
        {SPEC_CONTRACT, "kind"},   {SPEC_CONTRACT, "code"},
        {SPEC_CONTRACT, "kms"},    {SPEC_CONTRACT, "at"}, /* and further judged there */
        {SPEC_LOCATION, "sha256"}, {SPEC_SHA256, "at"},
        {SPEC_SIGNERS, "at"},      {SPEC_SIGNERS, "chain"},
    };
    /* about the query, and app: a name that signers sign for, nothing without them */
    static const char *const always[] = {"level", "max-age", "seq", "tag", "from", "app"};

    for (size_t i = 0; i < spec->n_options; i++) {
        const char *name = spec->options[i].name;
        bool ok = strncmp(name, "x-", 2) == 0;
        for (size_t k = 0; !ok && k < MS_ARRAY_LEN(always); k++)
            ok = strcmp(name, always[k]) == 0;
        for (size_t k = 0; !ok && k < MS_ARRAY_LEN(obeyed); k++)
            ok = obeyed[k].kind == spec->kind && strcmp(name, obeyed[k].name) == 0;
        if (!ok)
            return ms_diag_set(
                diag, MS_ERR_UNSUPPORTED,
                "the option %s= is understood but not yet obeyed for this kind, so the "
                "specifier is not resolved",
                name);
    }
    return MS_OK;
}

struct source *source_begin(const struct spec *spec, const struct source_policy *policy,
                            size_t arena_max, int64_t started_s)
{
    struct source *s = calloc(1, sizeof(*s));

    if (s == NULL)
        return NULL;
    s->spec = spec;
    s->policy = *policy;
    s->arena.max = arena_max;
    s->state = SOURCE_WANTS;
    s->started_s = started_s;
    return s;
}

enum ms_err source_made(struct source *s, enum ms_err err, struct source **ret_source)
{
    if (err == MS_OK)
        *ret_source = s;
    else
        source_free(s);
    return err;
}

enum ms_err source_new(const struct spec *spec, const struct source_policy *policy,
                       const struct source_previous *previous, struct ms_now now,
                       struct source **ret_source, struct ms_diag *diag)
{
    struct source *s = source_begin(spec, policy, SOURCE_ARENA_MAX_BYTES, now.wall_s);
    if (s == NULL)
        return MS_ERR_MEMORY;
    if (previous != NULL) {
        s->previous = *previous;
        s->previous.etag = s->previous.last_modified = NULL; /* copied below */
        if (previous->etag != NULL)
            s->previous.etag = ms_arena_strdup(&s->arena, ms_span_str(previous->etag));
        if (previous->last_modified != NULL)
            s->previous.last_modified =
                ms_arena_strdup(&s->arena, ms_span_str(previous->last_modified));
    }

    s->n_kept = s->previous.n_kept;
    for (size_t i = 0; i < s->n_kept; i++) {
        s->kept[i] = s->previous.kept[i];
        (void)json_incref(s->kept[i].answers);
    }

    enum ms_err err = check_options(spec, diag);
    if (err != MS_OK)
        return source_made(s, err, ret_source);
    err = MS_ERR_UNSUPPORTED;
    switch (spec->kind) {
    case SPEC_INLINE:
        err = source_inline_init(s, now, diag);
        break;
    case SPEC_SHA256:
    case SPEC_LOCATION:
        err = source_location_init(s, now, diag);
        break;
    case SPEC_CONTRACT:
        err = source_contract_init(s, now, diag);
        break;
    case SPEC_SIGNERS:
        err = source_signed_init(s, now, diag);
        break;
    case SPEC_ENS:
    case SPEC_GITHUB:
        err = ms_diag_set(diag, MS_ERR_UNSUPPORTED,
                          "specifiers of kind %s are understood but not yet resolvable",
                          spec_kind_name(spec->kind));
        break;
    case SPEC_ALIAS:
    case SPEC_NONE:
        err = ms_diag_set(diag, MS_ERR_INTERNAL, "an unresolved alias reached a source");
        break;
    }
    return source_made(s, err, ret_source);
}

struct source *source_child(struct source *parent, const struct spec *spec, size_t arena_max)
{
    struct source *s = source_begin(spec, &parent->policy, arena_max, parent->started_s);

    if (s == NULL)
        return NULL;
    s->next_child = parent->children;
    parent->children = s;
    return s;
}

void source_merge_conduct(struct source *parent)
{
    for (size_t p = 0; p < SOURCE_PROVIDERS_MAX; p++) {
        parent->owing[p] = 0; /* of a parent that asks by its children only */
        for (const struct source *s = parent->children; s != NULL; s = s->next_child) {
            parent->asked[p] = parent->asked[p] || s->asked[p];
            parent->faulted[p] = parent->faulted[p] || s->faulted[p];
            parent->lied[p] = parent->lied[p] || s->lied[p];
            parent->busy[p] = parent->busy[p] || s->busy[p];
            parent->owing[p] += s->owing[p];
            parent->learned[p].no_batch = parent->learned[p].no_batch || s->learned[p].no_batch;
            parent->learned[p].bare_hash = parent->learned[p].bare_hash || s->learned[p].bare_hash;
        }
    }
}

void source_free(struct source *s)
{
    if (s == NULL)
        return;
    for (struct source *child = s->children, *next; child != NULL; child = next) {
        next = child->next_child;
        source_free(child);
    }
    source_result_free(s->result);
    json_decref(s->scratch);
    json_decref(s->record);
    json_decref(s->carry);
    for (size_t i = 0; i < s->n_kept; i++)
        json_decref(s->kept[i].answers);
    ms_arena_done(&s->arena);
    free(s);
}

/* Whether it answers something that is still open. */
static bool take_response(struct source *s, uint32_t id)
{
    if (id > SOURCE_REQUESTS_MAX) {
        bool counts = id == s->wait_id && s->wait_taken;
        if (counts)
            s->wait_id = 0;
        return counts;
    }
    if (id == 0 || id > s->n_taken || s->answered[id - 1])
        return false;
    s->answered[id - 1] = true;
    return true;
}

static void note_retry(struct source *s, const struct source_response *response)
{
    int64_t retry_s = source_retry_after(response);
    bool location = response->id <= SOURCE_REQUESTS_MAX &&
                    s->requests[response->id - 1].kind == SOURCE_REQUEST_HTTP;

    if (location && retry_s > s->retry_s)
        s->retry_s = retry_s;
}

enum source_state source_step(struct source *s, const struct source_response *response,
                              struct ms_now now)
{
    if (s->state != SOURCE_WANTS)
        return s->state;
    if (response != NULL && !take_response(s, response->id))
        return s->state;
    if (response != NULL) {
        note_retry(s, response);
        s->bytes += response->body.len;
    }
    s->state = s->step(s, response, now);
    return s->state;
}

struct source_result *source_take_result(struct source *s)
{
    if (s->state != SOURCE_DONE)
        return NULL;
    struct source_result *result = s->result;
    s->result = NULL;
    if (result != NULL && result->n_releases > 0) { /* most have few, and are kept for long */
        struct source_release *fewer =
            realloc(result->releases, result->n_releases * sizeof(*result->releases));
        if (fewer != NULL)
            result->releases = fewer;
    }
    return result;
}

enum ms_err source_error(const struct source *s, struct ms_diag *ret_diag)
{
    if (ret_diag != NULL)
        *ret_diag = s->diag;
    return s->err == MS_OK ? MS_ERR_INTERNAL : s->err;
}

size_t source_kept(const struct source *s, const struct source_kept **ret_kept)
{
    *ret_kept = s->kept;
    return s->n_kept;
}

json_t *source_carry(const struct source *s)
{
    return s == NULL ? NULL : s->carry;
}

bool source_fork(const struct source *s, uint64_t *ret_epoch, uint64_t *ret_sequence)
{
    *ret_epoch = s->fork_epoch;
    *ret_sequence = s->fork_sequence;
    return s->has_fork;
}

int64_t source_negative_s(const struct source *s)
{
    return s->state == SOURCE_FAILED ? s->negative_s : 0;
}

int64_t source_retry_s(const struct source *s)
{
    return s == NULL ? 0 : s->retry_s;
}

enum source_conduct source_conduct(const struct source *s, uint32_t provider)
{
    if (provider >= SOURCE_PROVIDERS_MAX || !s->asked[provider])
        return SOURCE_CONDUCT_NOT_ASKED;
    if (s->lied[provider])
        return SOURCE_CONDUCT_LIED;
    if (s->faulted[provider])
        return SOURCE_CONDUCT_FAULT;
    if (s->busy[provider])
        return SOURCE_CONDUCT_BUSY;
    return s->owing[provider] > 0 ? SOURCE_CONDUCT_OWING : SOURCE_CONDUCT_GOOD;
}

struct source_manners source_learned(const struct source *s, uint32_t provider)
{
    return provider < SOURCE_PROVIDERS_MAX ? s->learned[provider] : (struct source_manners){0};
}

bool source_wants_hash(const struct source *s, uint32_t id, struct ms_sha256 *ret_hash)
{
    if (id == 0 || id > s->n_requests || s->requests[id - 1].sha256 == NULL)
        return false;
    *ret_hash = *s->requests[id - 1].sha256;
    return true;
}
