/* resolver/entry/bundle.c - writing bundles and replaying them. */
#include "resolver/entry/bundle.h"

#include "base/base64.h"
#include "base/hex.h"

#include <stdio.h>
#include <stdlib.h>

#define BUNDLE_TYPE "measured-bundle/1"
#define TRANSCRIPT_MAX_BYTES ((size_t)12 << 20)

struct bundle_transcript {
    json_t *answers;                     /* array, in order of arrival, without the bodies */
    struct ms_buf bodies[SOURCE_ID_MAX]; /* by position: raw, as most attempts change nothing and
                                            are never written */
    size_t bytes;
};

/* ---- transcript ---- */

enum ms_err bundle_transcript_new(struct bundle_transcript **ret_transcript)
{
    struct bundle_transcript *t = calloc(1, sizeof(*t));
    if (t == NULL)
        return MS_ERR_MEMORY;
    t->answers = json_array();
    if (t->answers == NULL) {
        free(t);
        return MS_ERR_MEMORY;
    }
    *ret_transcript = t;
    return MS_OK;
}

void bundle_transcript_free(struct bundle_transcript *transcript)
{
    if (transcript == NULL)
        return;
    for (size_t i = 0; i < json_array_size(transcript->answers); i++)
        ms_buf_done(&transcript->bodies[i]);
    json_decref(transcript->answers);
    free(transcript);
}

static json_t *base64_string(struct ms_span bytes)
{
    struct ms_buf text = MS_BUF_INIT(TRANSCRIPT_MAX_BYTES * 2);
    json_t *out = NULL;

    if (ms_base64_encode(bytes, &text) == MS_OK) /* which is ASCII */
        out = json_stringn_nocheck(text.len == 0 ? "" : (const char *)text.ptr, text.len);
    ms_buf_done(&text);
    return out;
}

/* Header values are bytes of any kind (RFC 9110 5.5, obs-text); JSON strings are not. Each byte is
 * kept as the character of its number, as in ISO 8859-1. NULL in, NULL out. */
static json_t *bytes_json(const char *bytes)
{
    struct ms_buf text = MS_BUF_INIT(TRANSCRIPT_MAX_BYTES);
    json_t *out = NULL;

    for (const char *c = bytes; c != NULL && *c != '\0'; c++) {
        uint8_t byte = (uint8_t)*c;
        if (byte >= 0x80)
            (void)ms_buf_add_byte(&text, (uint8_t)(0xc0 | byte >> 6));
        (void)ms_buf_add_byte(&text, byte < 0x80 ? byte : (uint8_t)(0x80 | (byte & 0x3f)));
    }
    if (bytes != NULL && ms_buf_err(&text) == MS_OK)
        out = json_stringn(text.len == 0 ? "" : (const char *)text.ptr, text.len);
    ms_buf_done(&text);
    return out;
}

/* The other way. false when a character has no such byte; *ret is NULL for what is no string. */
static bool json_bytes(const json_t *string, struct ms_arena *arena, const char **ret)
{
    struct ms_span in = ms_span_str(json_string_value(string));
    struct ms_buf bytes = MS_BUF_INIT(TRANSCRIPT_MAX_BYTES);

    *ret = NULL;
    if (!json_is_string(string))
        return true;
    for (size_t i = 0; i < in.len; i++) {
        uint8_t c = in.ptr[i];
        if (c >= 0x80) { /* jansson made sure that it is UTF-8 */
            if (c > 0xc3 || i + 1 == in.len)
                goto out;
            c = (uint8_t)(c << 6 | (in.ptr[++i] & 0x3f));
        }
        (void)ms_buf_add_byte(&bytes, c);
    }
    if (ms_buf_err(&bytes) == MS_OK)
        *ret = ms_arena_strdup(arena, ms_buf_span(&bytes));
out:
    ms_buf_done(&bytes);
    return *ret != NULL;
}

static json_t *headers_json(const struct source_response *response)
{
    json_t *out = json_object();
    for (enum source_header h = 0; out != NULL && h < SOURCE_HEADER_COUNT; h++) {
        if (response->header[h] == NULL)
            continue;
        if (json_object_set_new(out, source_header_name(h), bytes_json(response->header[h])) != 0) {
            json_decref(out);
            return NULL;
        }
    }
    return out;
}

enum ms_err bundle_transcript_add(struct bundle_transcript *t, const struct source_response *r)
{
    size_t n = json_array_size(t->answers);

    if (n == SOURCE_ID_MAX || r->body.len > TRANSCRIPT_MAX_BYTES - t->bytes)
        return MS_ERR_LIMIT;
    t->bytes += r->body.len;
    t->bodies[n] = (struct ms_buf)MS_BUF_INIT(TRANSCRIPT_MAX_BYTES);
    json_t *answer = json_object();
    int bad = answer == NULL;
    bad = bad || json_object_set_new(answer, "id", json_integer(r->id)) != 0;
    bad = bad || json_object_set_new(answer, "time", json_integer(r->time_s)) != 0;
    if (r->err != MS_OK) {
        bad = bad || json_object_set_new(answer, "error", json_string(ms_err_code(r->err))) != 0;
    } else {
        bad = bad || json_object_set_new(answer, "status", json_integer(r->status)) != 0;
        bad = bad || json_object_set_new(answer, "headers", headers_json(r)) != 0;
        bad = bad || ms_buf_add(&t->bodies[n], r->body) != MS_OK;
        if (r->peer_sha256[0] != '\0')
            bad = bad || json_object_set_new(answer, "peer", json_string(r->peer_sha256)) != 0;
    }
    if (bad || json_array_append(t->answers, answer) != 0) {
        ms_buf_done(&t->bodies[n]);
        json_decref(answer);
        return MS_ERR_MEMORY;
    }
    json_decref(answer);
    return MS_OK;
}

/* The answers with their bodies; NULL when memory is short. */
static json_t *answers_json(const struct bundle_transcript *t)
{
    json_t *out = json_array();

    for (size_t i = 0; out != NULL && i < json_array_size(t->answers); i++) {
        json_t *answer = json_copy(json_array_get(t->answers, i));
        int bad = json_array_append_new(out, answer);
        if (bad == 0 && json_object_get(answer, "error") == NULL)
            bad = json_object_set_new(answer, "body", base64_string(ms_buf_span(&t->bodies[i])));
        if (bad != 0) {
            json_decref(out);
            return NULL;
        }
    }
    return out;
}

/* ---- writing ---- */

static json_t *hex_string(struct ms_span bytes)
{
    char hex[2 * 64 + 1];
    if (bytes.len > 64)
        return NULL;
    ms_hex_encode(bytes, hex);
    return json_string(hex);
}

/* Those that were not the usual ones. */
static void add_times(json_t *policy, const struct source_times *times)
{
    json_t *out = json_object();

    for (size_t i = 0; i < SOURCE_TIMES_N; i++) {
        const struct source_time_row *row = &source_time_rows[i];
        int64_t value_s = source_time_get(times, row);
        if (value_s != row->fallback_s)
            (void)json_object_set_new(out, row->name, json_integer((json_int_t)value_s));
    }
    if (json_object_size(out) > 0)
        (void)json_object_set(policy, "times", out);
    json_decref(out);
}

static void read_times(const json_t *policy, struct source_times *ret_times)
{
    const json_t *times = json_object_get(policy, "times");

    *ret_times = source_times_default;
    for (size_t i = 0; i < SOURCE_TIMES_N; i++) {
        const struct source_time_row *row = &source_time_rows[i];
        const json_t *value = json_object_get(times, row->name);
        if (json_is_integer(value) && json_integer_value(value) >= 0)
            source_time_set(ret_times, row, json_integer_value(value));
    }
}

static json_t *policy_json(const struct source_policy *policy)
{
    json_t *providers = json_array();
    for (size_t i = 0; i < policy->n_providers; i++) {
        const struct source_provider *p = &policy->providers[i];
        json_t *one = json_pack("{s:s, s:s, s:I, s:i, s:b, s:b}", "name", p->name, "group",
                                p->group, "chain", (json_int_t)p->chain, "proofs", (int)p->proofs,
                                "trusted", (int)p->trusted, "benched", (int)p->benched);
        if (one != NULL && p->manners.no_batch)
            (void)json_object_set_new(one, "no_batch", json_true());
        if (one != NULL && p->manners.bare_hash)
            (void)json_object_set_new(one, "bare_hash", json_true());
        if (one == NULL || json_array_append_new(providers, one) != 0) {
            json_decref(providers);
            return NULL;
        }
    }
    json_t *out = json_pack("{s:s, s:I, s:I, s:o}", "level", spec_level_name(policy->level),
                            "quorum", (json_int_t)policy->quorum, "max-evidence-age",
                            (json_int_t)policy->max_evidence_age_s, "providers", providers);
    add_times(out, &policy->times);
    if (out != NULL && policy->nonfinality == SOURCE_NONFINALITY_SAFE)
        (void)json_object_set_new(out, "nonfinality", json_string("safe"));
    if (out != NULL && policy->has_checkpoint)
        (void)json_object_set_new(out, "checkpoint",
                                  json_pack("{s:I, s:o}", "chain",
                                            (json_int_t)policy->checkpoint_chain, "hash",
                                            hex_string(eth_hash_span(&policy->checkpoint))));
    return out;
}

static json_t *candidates_json(const struct source_previous *previous)
{
    json_t *out = json_array();
    for (size_t i = 0; out != NULL && i < previous->n_candidates; i++) {
        const struct source_candidate *c = &previous->candidates[i];
        json_t *one = json_pack("{s:i, s:o}", "kind", (int)c->kind, "value",
                                hex_string(ms_span_of(c->value, sizeof(c->value))));
        if (one == NULL || json_array_append_new(out, one) != 0) {
            json_decref(out);
            return NULL;
        }
    }
    return out;
}

static json_t *kept_json(const struct source_previous *previous)
{
    json_t *out = json_array();
    for (size_t i = 0; out != NULL && i < previous->n_kept; i++) {
        const struct source_kept *k = &previous->kept[i];
        json_t *one =
            json_pack("{s:I, s:o, s:I, s:o, s:O}", "number", (json_int_t)k->number, "hash",
                      hex_string(eth_hash_span(&k->hash)), "time", (json_int_t)k->time_s, "plan",
                      hex_string(ms_span_of(k->plan.b, MS_SHA256_BYTES)), "answers", k->answers);
        if (one == NULL || json_array_append_new(out, one) != 0) {
            json_decref(out);
            return NULL;
        }
    }
    return out;
}

/* A window of all blocks does not fit an integer of JSON: 0 means that. */
static json_t *scan_json(const struct source_scan *scan)
{
    bool all = scan->window > INT64_MAX;
    return json_pack("{s:I, s:I, s:I, s:b}", "from", (json_int_t)scan->from, "next",
                     (json_int_t)scan->next, "window", all ? 0 : (json_int_t)scan->window, "whole",
                     (int)scan->whole);
}

static json_t *hosts_json(const struct source_previous *previous)
{
    json_t *out = json_array();
    for (size_t i = 0; out != NULL && i < previous->n_hosts; i++) {
        if (json_array_append_new(out, json_string(previous->hosts[i])) != 0) {
            json_decref(out);
            return NULL;
        }
    }
    return out;
}

static json_t *previous_json(const struct source_previous *previous)
{
    json_t *out = json_pack("{s:o*, s:o*, s:I}", "etag", bytes_json(previous->etag),
                            "last-modified", bytes_json(previous->last_modified), "floor",
                            (json_int_t)previous->floor_sequence);
    if (out != NULL && previous->has_final)
        (void)json_object_set_new(out, "final",
                                  json_pack("{s:I, s:o}", "number",
                                            (json_int_t)previous->final_number, "hash",
                                            hex_string(eth_hash_span(&previous->final_hash))));
    if (out != NULL && previous->has_set)
        (void)json_object_set_new(out, "set", hex_string(eth_hash_span(&previous->set_hash)));
    if (out != NULL && previous->floor_epoch > 0)
        (void)json_object_set_new(out, "epoch", json_integer((json_int_t)previous->floor_epoch));
    if (out != NULL && previous->carry != NULL)
        (void)json_object_set(out, "carry", (json_t *)(uintptr_t)previous->carry);
    if (out != NULL && previous->n_hosts > 0)
        (void)json_object_set_new(out, "hosts", hosts_json(previous));
    if (out != NULL && previous->n_kept > 0)
        (void)json_object_set_new(out, "kept", kept_json(previous));
    if (out != NULL && previous->n_candidates > 0)
        (void)json_object_set_new(out, "candidates", candidates_json(previous));
    if (out != NULL && previous->scan.begun)
        (void)json_object_set_new(out, "scan", scan_json(&previous->scan));
    return out;
}

static json_t *verdict_json(const struct source_result *result, enum ms_err err)
{
    if (result == NULL)
        return json_pack("{s:s}", "error", ms_err_code(err));
    json_t *verdict = json_pack(
        "{s:o, s:o, s:o, s:i, s:s, s:I, s:I}", "set_hash",
        hex_string(ms_span_of(result->set_hash.b, MS_SHA256_BYTES)), "commitment",
        hex_string(ms_span_of(result->commitment.b, MS_SHA256_BYTES)), "overlay",
        hex_string(ms_span_of(result->overlay.b, MS_SHA256_BYTES)), "trust", (int)result->trust,
        "level", spec_level_name(result->level), "releases", (json_int_t)result->n_releases,
        "evidence_time", (json_int_t)result->evidence_time_s);
    if (verdict != NULL && result->has_sequence)
        (void)json_object_set_new(verdict, "sequence", json_integer((json_int_t)result->sequence));
    if (verdict != NULL && result->epoch > 0)
        (void)json_object_set_new(verdict, "epoch", json_integer((json_int_t)result->epoch));
    return verdict;
}

enum ms_err bundle_write(const struct spec *spec, const struct source_policy *policy,
                         const struct source_previous *previous, struct ms_now started,
                         const struct bundle_transcript *transcript,
                         const struct source_result *result, enum ms_err err, struct ms_buf *out)
{
    static const struct source_previous nothing;

    json_t *root = json_pack("{s:s, s:s, s:s, s:o, s:I, s:I, s:o, s:o, s:o, s:o}", "type",
                             BUNDLE_TYPE, "specifier", spec->canonical, "text", spec->text, "key",
                             hex_string(ms_span_of(spec->key.b, MS_SHA256_BYTES)), "time",
                             (json_int_t)started.wall_s, "boot_ms", (json_int_t)started.boot_ms,
                             "policy", policy_json(policy), "previous",
                             previous_json(previous == NULL ? &nothing : previous), "answers",
                             answers_json(transcript), "verdict", verdict_json(result, err));
    if (root == NULL)
        return MS_ERR_MEMORY;
    err = ms_json_dump(root, out);
    json_decref(root);
    return err;
}

/* ---- reading ---- */

static enum ms_err malformed(struct ms_diag *diag, const char *what)
{
    return ms_diag_set(diag, MS_ERR_EVIDENCE, "the stored evidence is malformed: %s", what);
}

static bool read_hash(const json_t *json, const char *name, struct eth_hash *ret_hash)
{
    return ms_hex_decode(ms_json_member_str(json, name), ret_hash->b, ETH_HASH_BYTES) == MS_OK;
}

static bool read_policy(const json_t *json, struct source_policy *ret_policy)
{
    struct source_policy policy = {0};
    const json_t *providers = json_object_get(json, "providers");
    json_int_t quorum = json_integer_value(json_object_get(json, "quorum"));

    if (!json_is_object(json))
        return false;
    policy.level = spec_level_parse(ms_json_member_str(json, "level"));
    policy.max_evidence_age_s = json_integer_value(json_object_get(json, "max-evidence-age"));
    policy.n_providers = json_array_size(providers);
    read_times(json, &policy.times);
    if (ms_span_eq_str(ms_json_member_str(json, "nonfinality"), "safe"))
        policy.nonfinality = SOURCE_NONFINALITY_SAFE;
    if (quorum < 0 || quorum > SOURCE_PROVIDERS_MAX || policy.n_providers > SOURCE_PROVIDERS_MAX)
        return false;
    policy.quorum = (uint32_t)quorum;
    for (size_t i = 0; i < policy.n_providers; i++) {
        const json_t *one = json_array_get(providers, i);
        struct source_provider *p = &policy.providers[i];
        json_int_t proofs = json_integer_value(json_object_get(one, "proofs"));
        p->name = json_string_value(json_object_get(one, "name"));
        p->group = json_string_value(json_object_get(one, "group"));
        p->chain = (uint64_t)json_integer_value(json_object_get(one, "chain"));
        p->trusted = json_is_true(json_object_get(one, "trusted"));
        p->benched = json_is_true(json_object_get(one, "benched"));
        p->manners.no_batch = json_is_true(json_object_get(one, "no_batch"));
        p->manners.bare_hash = json_is_true(json_object_get(one, "bare_hash"));
        if (p->name == NULL || p->group == NULL || proofs < SOURCE_PROOFS_NO ||
            proofs > SOURCE_PROOFS_FINALIZED)
            return false;
        /* whose word it was must be told (bundle_about): none may be too long for that */
        if (p->group[0] == '\0' || strlen(p->group) > BUNDLE_GROUP_MAX)
            return false;
        p->proofs = (enum source_proofs)proofs;
    }
    const json_t *checkpoint = json_object_get(json, "checkpoint");
    policy.has_checkpoint = checkpoint != NULL;
    policy.checkpoint_chain = (uint64_t)json_integer_value(json_object_get(checkpoint, "chain"));
    if (checkpoint != NULL && !read_hash(checkpoint, "hash", &policy.checkpoint))
        return false;
    *ret_policy = policy;
    return true;
}

/* What was known before the attempt. */
static bool read_candidates(const json_t *json, struct source_previous *previous)
{
    if (json != NULL && !json_is_array(json))
        return false;
    previous->n_candidates = json_array_size(json);
    if (previous->n_candidates > SOURCE_CANDIDATES_MAX)
        return false;
    for (size_t i = 0; i < previous->n_candidates; i++) {
        const json_t *one = json_array_get(json, i);
        struct source_candidate *c = &previous->candidates[i];
        json_int_t kind = json_integer_value(json_object_get(one, "kind"));
        if (kind <= SOURCE_CANDIDATE_NONE || kind > SOURCE_CANDIDATE_AGGREGATED_MR ||
            ms_hex_decode(ms_json_member_str(one, "value"), c->value, sizeof(c->value)) != MS_OK)
            return false;
        c->kind = (enum source_candidate_kind)kind;
    }
    return true;
}

/* The answers are borrowed from the document. */
static bool read_kept(const json_t *json, struct source_previous *previous)
{
    previous->n_kept = json_array_size(json);
    if (previous->n_kept > SOURCE_KEPT_MAX)
        return false;
    for (size_t i = 0; i < previous->n_kept; i++) {
        const json_t *one = json_array_get(json, i);
        struct source_kept *k = &previous->kept[i];
        json_int_t number = json_integer_value(json_object_get(one, "number"));
        k->number = (uint64_t)number;
        k->time_s = json_integer_value(json_object_get(one, "time"));
        k->answers = json_object_get(one, "answers");
        if (number < 0 || !json_is_array(k->answers) || !read_hash(one, "hash", &k->hash) ||
            ms_hex_decode(ms_json_member_str(one, "plan"), k->plan.b, MS_SHA256_BYTES) != MS_OK)
            return false;
    }
    return true;
}

static bool read_integer(const json_t *json, const char *name, json_int_t *ret)
{
    const json_t *value = json_object_get(json, name);
    *ret = json_integer_value(value);
    return json_is_integer(value);
}

static bool read_scan(const json_t *json, struct source_scan *scan)
{
    json_int_t from = 0, next = 0, window = 0;

    if (json == NULL)
        return true;
    if (!read_integer(json, "from", &from) || !read_integer(json, "next", &next) ||
        !read_integer(json, "window", &window))
        return false;
    scan->begun = true;
    scan->whole = json_is_true(json_object_get(json, "whole"));
    scan->from = (uint64_t)from;
    scan->next = (uint64_t)next;
    scan->window = window == 0 ? UINT64_MAX : (uint64_t)window;
    return from >= 0 && next >= from && window >= 0;
}

static bool read_hosts(const json_t *json, struct source_previous *previous)
{
    previous->n_hosts = json_array_size(json);
    if (previous->n_hosts > SOURCE_HOSTS_MAX)
        return false;
    for (size_t i = 0; i < previous->n_hosts; i++) {
        const char *host = json_string_value(json_array_get(json, i));
        if (host == NULL || strlen(host) >= SOURCE_HOST_MAX_BYTES)
            return false;
        (void)snprintf(previous->hosts[i], SOURCE_HOST_MAX_BYTES, "%s", host);
    }
    return true;
}

static bool read_previous(const json_t *json, struct ms_arena *arena,
                          struct source_previous *ret_previous)
{
    const json_t *final = json_object_get(json, "final");
    struct source_previous previous = {
        .floor_epoch = (uint64_t)json_integer_value(json_object_get(json, "epoch")),
        .floor_sequence = (uint64_t)json_integer_value(json_object_get(json, "floor")),
        .carry = json_object_get(json, "carry"),
        .has_final = final != NULL,
        .final_number = (uint64_t)json_integer_value(json_object_get(final, "number")),
    };
    if (!json_bytes(json_object_get(json, "etag"), arena, &previous.etag) ||
        !json_bytes(json_object_get(json, "last-modified"), arena, &previous.last_modified))
        return false;
    if (final != NULL && !read_hash(final, "hash", &previous.final_hash))
        return false;
    previous.has_set = json_object_get(json, "set") != NULL;
    if (previous.has_set && !read_hash(json, "set", &previous.set_hash))
        return false;
    if (!read_kept(json_object_get(json, "kept"), &previous) ||
        !read_candidates(json_object_get(json, "candidates"), &previous) ||
        !read_scan(json_object_get(json, "scan"), &previous.scan) ||
        !read_hosts(json_object_get(json, "hosts"), &previous))
        return false;
    *ret_previous = previous;
    return true;
}

static bool read_headers(const json_t *json, struct ms_arena *arena,
                         struct source_response *response)
{
    bool ok = true;
    for (enum source_header h = 0; ok && h < SOURCE_HEADER_COUNT; h++)
        ok = json_bytes(json_object_get(json, source_header_name(h)), arena, &response->header[h]);
    return ok;
}

/* One stored answer; its body goes to `body`, its header values to the arena. */
static bool read_answer(const json_t *json, struct ms_arena *arena, struct ms_buf *body,
                        struct source_response *ret)
{
    struct source_response r = {0};
    json_int_t id = json_integer_value(json_object_get(json, "id"));
    json_int_t status = json_integer_value(json_object_get(json, "status"));
    const char *error = json_string_value(json_object_get(json, "error"));
    struct ms_span peer = ms_json_member_str(json, "peer");

    if (id < 1 || id > SOURCE_ID_MAX || status < 0 || status > 999 ||
        peer.len >= sizeof(r.peer_sha256))
        return false;
    r.id = (uint32_t)id;
    r.status = (uint32_t)status;
    r.time_s = json_integer_value(json_object_get(json, "time"));
    if (peer.len > 0)
        memcpy(r.peer_sha256, peer.ptr, peer.len);
    if (error != NULL)
        r.err = ms_err_from_code(error);
    if (!read_headers(json_object_get(json, "headers"), arena, &r))
        return false;
    ms_buf_reset(body);
    if (error == NULL &&
        ms_base64_decode(ms_json_member_str(json, "body"), body, NULL, NULL, NULL) != MS_OK)
        return false;
    r.body = ms_buf_span(body);
    *ret = r;
    return true;
}

/* Requests are remade by the source; nothing is sent. */
static void discard_requests(struct source *source)
{
    struct source_request request;
    while (source_take_request(source, &request))
        continue;
}

static enum ms_err replay(struct source *source, const json_t *answers, struct ms_arena *arena,
                          struct ms_now now, struct ms_diag *diag)
{
    struct ms_buf body = MS_BUF_INIT(TRANSCRIPT_MAX_BYTES);
    enum source_state state = source_step(source, NULL, now);
    enum ms_err err = MS_OK;

    for (size_t i = 0; state == SOURCE_WANTS && i < json_array_size(answers); i++) {
        struct source_response response;
        discard_requests(source);
        if (!read_answer(json_array_get(answers, i), arena, &body, &response)) {
            err = malformed(diag, "an answer");
            break;
        }
        now.wall_s = response.time_s;
        state = source_step(source, &response, now);
    }
    ms_buf_done(&body);
    if (err == MS_OK && state == SOURCE_FAILED) {
        struct ms_diag cause = {0};
        enum ms_err why = source_error(source, &cause);
        err = ms_diag_set(diag, MS_ERR_EVIDENCE, "the stored evidence does not verify: %s",
                          ms_diag_text(&cause, why));
    } else if (err == MS_OK && state == SOURCE_WANTS) {
        err = malformed(diag, "answers are missing");
    }
    return err;
}

static bool same_hex(const json_t *object, const char *name, const uint8_t *want, size_t len)
{
    uint8_t got[64];
    return len <= sizeof(got) &&
           ms_hex_decode(ms_json_member_str(object, name), got, len) == MS_OK &&
           memcmp(got, want, len) == 0;
}

static bool same_verdict(const json_t *verdict, const struct source_result *result)
{
    const json_t *sequence = json_object_get(verdict, "sequence");

    return same_hex(verdict, "set_hash", result->set_hash.b, MS_SHA256_BYTES) &&
           same_hex(verdict, "commitment", result->commitment.b, MS_SHA256_BYTES) &&
           same_hex(verdict, "overlay", result->overlay.b, MS_SHA256_BYTES) &&
           json_integer_value(json_object_get(verdict, "trust")) == (json_int_t)result->trust &&
           ms_span_eq_str(ms_json_member_str(verdict, "level"), spec_level_name(result->level)) &&
           json_integer_value(json_object_get(verdict, "evidence_time")) ==
               result->evidence_time_s &&
           json_integer_value(json_object_get(verdict, "releases")) ==
               (json_int_t)result->n_releases &&
           json_integer_value(json_object_get(verdict, "epoch")) == (json_int_t)result->epoch &&
           (sequence != NULL) == result->has_sequence &&
           json_integer_value(sequence) ==
               (result->has_sequence ? (json_int_t)result->sequence : 0);
}

void bundle_identity_only(struct spec *spec)
{
    spec->level = SPEC_LEVEL_NONE;
    spec->tag = SPEC_TAG_NONE;
    spec->max_age_s = 0;
    spec->seq = 0;
    spec->from = 0;
}

static enum ms_err read_spec(const json_t *root, struct spec *spec, struct ms_diag *diag)
{
    static const struct spec_context lax; /* eip55 = warn: it was accepted when it was stored */

    if (!ms_span_eq_str(ms_json_member_str(root, "type"), BUNDLE_TYPE))
        return malformed(diag, "not a " BUNDLE_TYPE);
    if (spec_parse(ms_json_member_str(root, "text"), &lax, spec, NULL) != MS_OK)
        return malformed(diag, "its specifier");
    if (!ms_span_eq_str(ms_json_member_str(root, "specifier"), spec->canonical) ||
        !same_hex(root, "key", spec->key.b, MS_SHA256_BYTES))
        return malformed(diag, "the specifier has another canonical form");
    bundle_identity_only(spec);
    return MS_OK;
}

struct document_sink { /* fn NULL: nobody wants them */
    source_document_fn *fn;
    void *arg;
};

/* The answers, given to the source that asked for them. */
static enum ms_err verify_answers(const json_t *root, struct source *source, struct ms_arena *arena,
                                  struct ms_now now, const struct document_sink *sink,
                                  struct source_result **ret_result, struct ms_diag *diag)
{
    enum ms_err err = replay(source, json_object_get(root, "answers"), arena, now, diag);
    if (err != MS_OK)
        return err;
    struct source_result *result = source_take_result(source);
    if (result->unchanged || !same_verdict(json_object_get(root, "verdict"), result)) {
        source_result_free(result);
        return ms_diag_set(diag, MS_ERR_EVIDENCE,
                           "the stored evidence leads to another verdict than the stored one");
    }
    if (sink->fn != NULL)
        err = source_documents_each(source, sink->fn, sink->arg);
    if (err == MS_OK)
        *ret_result = result;
    else
        source_result_free(result);
    return err;
}

/* Evidence of a failure: it must fail again, and so. */
static enum ms_err verify_failure(const json_t *root, struct source *source, struct ms_arena *arena,
                                  struct ms_now now, const char *expected,
                                  struct source_result **ret_result, struct ms_diag *diag)
{
    enum ms_err err = replay(source, json_object_get(root, "answers"), arena, now, NULL);

    if (err != MS_ERR_EVIDENCE || strcmp(ms_err_code(source_error(source, NULL)), expected) != 0)
        return ms_diag_set(diag, MS_ERR_EVIDENCE,
                           "the stored evidence does not fail as it is said to");
    *ret_result = NULL;
    return MS_OK;
}

static enum ms_err verify_root(const json_t *root, struct spec *spec, struct ms_arena *arena,
                               const struct document_sink *sink, struct source_result **ret_result,
                               struct ms_diag *diag)
{
    const json_t *verdict = json_object_get(root, "verdict");
    const char *expected = json_string_value(json_object_get(verdict, "error"));
    struct source_policy policy;
    struct source_previous previous;
    struct source *source = NULL;
    struct ms_diag cause = {0};

    enum ms_err err = read_spec(root, spec, diag);
    if (err != MS_OK)
        return err;
    if (!read_policy(json_object_get(root, "policy"), &policy))
        return malformed(diag, "its policy");
    if (!read_previous(json_object_get(root, "previous"), arena, &previous))
        return malformed(diag, "what was known before");
    struct ms_now now = {
        .wall_s = json_integer_value(json_object_get(root, "time")),
        .boot_ms = json_integer_value(json_object_get(root, "boot_ms")),
    };
    err = source_new(spec, &policy, &previous, now, &source, &cause);
    if (err != MS_OK)
        return ms_diag_set(diag, MS_ERR_EVIDENCE, "the stored evidence cannot be replayed: %s",
                           ms_diag_text(&cause, err));
    err = expected != NULL ? verify_failure(root, source, arena, now, expected, ret_result, diag)
                           : verify_answers(root, source, arena, now, sink, ret_result, diag);
    source_free(source);
    return err;
}

/* ---- about a bundle ---- */

static enum ms_err json_hash(const json_t *json, struct ms_sha256 *ret_hash)
{
    struct ms_buf text = MS_BUF_INIT(BUNDLE_MAX_BYTES);

    enum ms_err err = json == NULL ? MS_ERR_MEMORY : ms_json_dump(json, &text);
    if (err == MS_OK)
        *ret_hash = ms_sha256(ms_buf_span(&text));
    ms_buf_done(&text);
    return err;
}

enum ms_err bundle_policy_hash(const struct source_policy *policy, struct ms_sha256 *ret_hash)
{
    json_t *json = policy_json(policy);
    enum ms_err err = json_hash(json, ret_hash);

    json_decref(json);
    return err;
}

/* Each text once; what finds no room is left out. */
static void note(char *texts, size_t size, size_t max, size_t *n, const char *text)
{
    for (size_t i = 0; i < *n; i++)
        if (strcmp(texts + i * size, text) == 0)
            return;
    if (*n < max && strlen(text) < size)
        (void)snprintf(texts + (*n)++ * size, size, "%s", text);
}

static void about_root(const json_t *root, const struct source_policy *policy, uint64_t chain,
                       struct bundle_about *about)
{
    const char *error =
        json_string_value(json_object_get(json_object_get(root, "verdict"), "error"));
    size_t i;
    json_t *answer;

    about->time_s = json_integer_value(json_object_get(root, "time"));
    about->error = error == NULL ? MS_OK : ms_err_from_code(error);
    about->level = policy->level;
    about->quorum = policy->quorum;
    about->has_checkpoint = policy->has_checkpoint;
    about->safe = policy->nonfinality == SOURCE_NONFINALITY_SAFE;
    for (size_t p = 0; p < policy->n_providers; p++)
        if (chain == 0 || policy->providers[p].chain == chain)
            note(about->groups[0], sizeof(about->groups[0]), MS_ARRAY_LEN(about->groups),
                 &about->n_groups, policy->providers[p].group);
    json_array_foreach(json_object_get(root, "answers"), i, answer)
    {
        const char *peer = json_string_value(json_object_get(answer, "peer"));
        if (peer != NULL)
            note(about->peers[0], sizeof(about->peers[0]), MS_ARRAY_LEN(about->peers),
                 &about->n_peers, peer);
    }
}

/* Behind verify_root, which looked at the specifier and the policy. */
static enum ms_err read_about(const json_t *root, const struct spec *spec,
                              struct bundle_about *ret_about, struct ms_diag *diag)
{
    const json_t *policy_json = json_object_get(root, "policy");
    struct bundle_about about = {0};
    struct source_policy policy;

    if (!read_policy(policy_json, &policy))
        return malformed(diag, "its policy");
    enum ms_err err = json_hash(policy_json, &about.policy);
    if (err != MS_OK)
        return err;
    about_root(root, &policy, spec->kind == SPEC_CONTRACT ? spec->chain : 0, &about);
    *ret_about = about;
    return MS_OK;
}

/* ---- a whole bundle ---- */

static const struct ms_json_limits limits = {BUNDLE_MAX_BYTES, 16, 65536, 0};

static enum ms_err read_all(struct ms_span text, struct spec *spec,
                            const struct document_sink *sink, struct source_result **ret_result,
                            struct bundle_about *ret_about, struct ms_diag *diag)
{
    struct ms_arena arena = MS_ARENA_INIT(BUNDLE_MAX_BYTES); /* header values */
    struct source_result *result = NULL;
    json_t *root = NULL;

    enum ms_err err = ms_json_parse(text, &limits, &root, NULL);
    if (err != MS_OK)
        return malformed(diag, "not JSON");
    err = verify_root(root, spec, &arena, sink, &result, diag);
    if (err == MS_OK && ret_about != NULL)
        err = read_about(root, spec, ret_about, diag);
    if (err == MS_OK) {
        *ret_result = result;
    } else {
        source_result_free(result);
        spec_done(spec);
    }
    ms_arena_done(&arena);
    json_decref(root);
    return err;
}

enum ms_err bundle_read(struct ms_span text, struct spec *spec, struct source_result **ret_result,
                        struct bundle_about *ret_about, struct ms_diag *diag)
{
    const struct document_sink nobody = {0};

    return read_all(text, spec, &nobody, ret_result, ret_about, diag);
}

enum ms_err bundle_verify(struct ms_span text, struct spec *spec, struct source_result **ret_result,
                          struct ms_diag *diag)
{
    return bundle_read(text, spec, ret_result, NULL, diag);
}

enum ms_err bundle_verify_documents(struct ms_span text, struct spec *spec, source_document_fn *fn,
                                    void *arg, struct source_result **ret_result,
                                    struct ms_diag *diag)
{
    const struct document_sink sink = {fn, arg};

    return read_all(text, spec, &sink, ret_result, NULL, diag);
}
