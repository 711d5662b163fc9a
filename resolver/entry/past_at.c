/* resolver/entry/past_at.c - operations applied up to the moment, where their state is kept, and to
 * the end, where it must meet what is proven. */
#include "resolver/entry/past_at.h"

#include "resolver/source/contract.h"

#include <stdio.h>
#include <stdlib.h>

struct past_at {
    uint64_t time_s, behind_gap;
    bool later; /* operations after the moment came: what was there before them is kept */
    struct registry_event first, last, kept_last; /* their data is gone */
    struct history_past kept, now;
    struct ms_arena arena; /* what they borrow */
};

enum ms_err past_at_new(uint64_t time_s, struct past_at **ret_past)
{
    struct past_at *past = calloc(1, sizeof(*past));

    if (past == NULL)
        return MS_ERR_MEMORY;
    past->time_s = time_s;
    past->arena.max = (size_t)HISTORY_OPERATIONS_MAX * 1024;
    *ret_past = past;
    return MS_OK;
}

void past_at_free(struct past_at *past)
{
    if (past == NULL)
        return;
    ms_arena_done(&past->arena);
    free(past);
}

/* After the last operation by the moment. */
static const struct history_past *then(const struct past_at *past)
{
    return past->later ? &past->kept : &past->now;
}

static enum ms_err broken(const struct registry_event *event, struct ms_diag *diag)
{
    char name[HISTORY_NAME_MAX_BYTES];

    history_name(event, name);
    return ms_diag_set(diag, MS_ERR_COMMITMENT, "%s: it does not follow on the one before", name);
}

static enum ms_err apply(struct past_at *past, const struct registry_event *event)
{
    struct history_operation operation;
    struct registry_release gone;

    enum ms_err err = history_operation_read(event, &past->arena, &operation);
    if (err != MS_OK)
        return err;
    if (event->timestamp_s > past->time_s && !past->later) {
        past->later = true;
        past->kept = past->now;
        past->kept_last = past->last;
    }
    (void)history_past_apply(&past->now, &operation, &gone);
    return MS_OK;
}

enum ms_err past_at_add(struct past_at *past, const struct registry_event *event,
                        const struct eth_hash *before, struct ms_diag *diag)
{
    const struct registry_event *last = &past->last; /* of number 0, hash zero, before the first */

    if (past->behind_gap != 0)
        return MS_OK;
    if (event->sequence != last->sequence + 1) {
        past->behind_gap = event->sequence;
        return MS_OK;
    }
    struct eth_hash hash = registry_history_hash(before, event);
    if (!eth_hash_eq(&hash, &event->history_hash) || !eth_hash_eq(before, &last->history_hash) ||
        event->prev_block != last->block || event->block < last->block ||
        event->timestamp_s < last->timestamp_s)
        return broken(event, diag);
    enum ms_err err = apply(past, event);
    if (err != MS_OK)
        return err;
    past->last = *event;
    past->last.data = (struct ms_span){0};
    if (event->sequence == 1)
        past->first = past->last;
    return MS_OK;
}

uint64_t past_at_newest(const struct past_at *past)
{
    return past->last.sequence;
}

uint64_t past_at_behind_gap(const struct past_at *past)
{
    return past->behind_gap;
}

enum ms_err past_at_prove(const struct past_at *past, const struct operations_proof *proof,
                          struct ms_diag *diag)
{
    struct history_past now = past->now;
    struct registry_snapshot snapshot = {
        .state = now.state, .n_releases = now.n_live, .releases = now.live};

    if (past->last.sequence == 0 || past->last.sequence != proof->newest.sequence ||
        !eth_hash_eq(&past->last.history_hash, &proof->newest.hash))
        return ms_diag_set(diag, MS_ERR_COMMITMENT,
                           "operation %llu is not the newest one of the state it was checked "
                           "against",
                           (unsigned long long)past->last.sequence);
    if (now.lost)
        return MS_OK; /* the links are proven all the same */
    struct eth_hash hash = registry_commitment(&snapshot);
    if (memcmp(hash.b, proof->commitment.b, ETH_HASH_BYTES) != 0)
        return ms_diag_set(diag, MS_ERR_COMMITMENT,
                           "the operations lead to another state than the proven one");
    return MS_OK;
}

/* ---- what was the case ---- */

enum past_at_verdict past_at_verdict(const struct past_at *past)
{
    const struct registry_state *state = &then(past)->state;

    if (state->sequence == 0)
        return PAST_AT_NOTHING;
    if (then(past)->lost)
        return PAST_AT_UNKNOWN;
    if (state->valid_until_s != 0 && past->time_s > state->valid_until_s)
        return PAST_AT_LAPSED;
    return PAST_AT_COUNTS;
}

static bool in_force(const struct past_at *past, const struct registry_release *release)
{
    return history_past_in_force(then(past), release, past->time_s) == REGISTRY_IN_FORCE;
}

static size_t n_in_force(const struct past_at *past)
{
    size_t n = 0;

    for (size_t i = 0; i < then(past)->n_live; i++)
        n += in_force(past, &then(past)->live[i]);
    return n;
}

void past_at_why(const struct past_at *past, struct ms_diag *ret_why)
{
    char name[HISTORY_NAME_MAX_BYTES];

    *ret_why = (struct ms_diag){0};
    history_name(past->later ? &past->kept_last : &past->last, name);
    switch (past_at_verdict(past)) {
    case PAST_AT_UNKNOWN:
        (void)ms_diag_set(ret_why, MS_OK,
                          "operation %llu is not understood, so what it led to is not known",
                          (unsigned long long)then(past)->lost_at);
        return;
    case PAST_AT_NOTHING:
        (void)ms_diag_set(ret_why, MS_OK,
                          "nothing was approved: there was no registry before its first operation, "
                          "in block %llu at %llu",
                          (unsigned long long)past->first.block,
                          (unsigned long long)past->first.timestamp_s);
        return;
    case PAST_AT_LAPSED:
        (void)ms_diag_set(ret_why, MS_OK,
                          "governance itself ended the set at %llu; the last was %s",
                          (unsigned long long)then(past)->state.valid_until_s, name);
        return;
    case PAST_AT_COUNTS:
        (void)ms_diag_set(
            ret_why, MS_OK, "%s after %s",
            n_in_force(past) == 0 ? "nothing was in force" : "this was governance's word", name);
        return;
    }
}

/* ---- telling ---- */

static const char *status_of(const struct past_at *past, const struct registry_release *release)
{
    switch (history_past_in_force(then(past), release, past->time_s)) {
    case REGISTRY_ENDED:
    case REGISTRY_LAPSED:
        return "expired";
    case REGISTRY_PENDING:
        return "pending";
    case REGISTRY_IN_FORCE:
        return "in-force";
    }
    return "expired";
}

/* JSON's integers are signed; governance may name any time. */
static json_t *time_json(uint64_t unix_s)
{
    return json_integer((json_int_t)(unix_s > INT64_MAX ? INT64_MAX : unix_s));
}

static json_t *payload_json(const struct ms_sha256 *hash)
{
    char text[7 + 2 * MS_SHA256_BYTES + 1] = "sha256:";

    ms_sha256_hex(hash, text + 7);
    return json_string(text);
}

static int add_document(json_t *out, const struct registry_release *release,
                        past_at_document_fn *document, void *arg)
{
    struct ms_diag diag = {0};
    struct rec_set set;

    rec_set_init(&set);
    enum ms_err err = document(arg, release, &set, &diag);
    const char *word = err == MS_OK ? "known" : err == MS_ERR_NOT_FOUND ? "missing" : "unreadable";
    int bad = json_object_set_new(out, "document", json_string(word)) != 0 || err == MS_ERR_MEMORY;
    if (err == MS_OK) {
        bad |= json_object_set_new(out, "records", rec_records_json(&set));
        bad |= json_object_set_new(out, "predicates", rec_predicates_json(&set));
    } else if (err != MS_ERR_NOT_FOUND) {
        bad |= json_object_set_new(
            out, "error",
            json_pack("{s:s, s:s}", "code", ms_err_code(err), "text", ms_diag_text(&diag, err)));
    }
    rec_set_done(&set);
    return bad;
}

static json_t *release_json(const struct past_at *past, const struct registry_release *r,
                            past_at_document_fn *document, void *arg)
{
    char version[24];

    (void)snprintf(version, sizeof(version), "%llu", (unsigned long long)r->version);
    json_t *out = json_pack("{s:I, s:s, s:o, s:o, s:s, s:i, s:I, s:o, s:o}", "id",
                            (json_int_t)r->id, "version", version, "not_before",
                            time_json(r->not_before_s), "not_after", time_json(r->not_after_s),
                            "status", status_of(past, r), "format", (int)r->payload_format, "size",
                            (json_int_t)r->payload_size, "payload", payload_json(&r->payload_hash),
                            "uri", json_stringn((const char *)r->uri.ptr, r->uri.len));
    if (out != NULL && add_document(out, r, document, arg) != 0) {
        json_decref(out);
        return NULL;
    }
    return out;
}

json_t *past_at_json(const struct past_at *past, past_at_document_fn *document, void *arg)
{
    const struct registry_state *state = &then(past)->state;
    json_t *releases = json_array();

    for (size_t i = 0; releases != NULL && i < then(past)->n_live; i++)
        if (json_array_append_new(releases,
                                  release_json(past, &then(past)->live[i], document, arg)) != 0) {
            json_decref(releases);
            return NULL;
        }
    return json_pack("{s:I, s:I, s:o, s:o, s:o, s:o, s:o}", "operation",
                     (json_int_t)state->sequence, "block", (json_int_t)state->updated_block, "time",
                     time_json(state->updated_at_s), "owner", contract_address_json(&state->owner),
                     "guardian", contract_address_json(&state->guardian), "valid_until",
                     time_json(state->valid_until_s), "releases", releases);
}
