/* cache/report_after.c - what a registry had approved right after one of its operations, as a
 * result that can be compared like one that was accepted. Proven as `at` is: by all operations,
 * which lead to the state of a bundle. */
#include "cache/report_internal.h"

#include "resolver/entry/past_at.h"
#include "resolver/source/contract.h"

#include <stdio.h>
#include <stdlib.h>

#define ARENA_MAX_BYTES ((size_t)HISTORY_OPERATIONS_MAX * 1024)

struct after {
    uint64_t sequence;
    bool reached;
    struct registry_event event; /* of that number; its data is gone */
    struct history_past past;
    struct ms_arena arena; /* what `past` borrows */
};

static enum ms_err take_operation(void *arg, enum ms_err row, const struct cache_operation *o,
                                  const struct ms_diag *why)
{
    struct registry_event event = o->event;
    struct history_operation operation;
    struct registry_release gone;
    struct after *after = arg;
    (void)why; /* a bad row is told by report_chain_at, which reads them all */

    if (row != MS_OK || after->reached)
        return MS_OK;
    const char *data = ms_arena_strdup(&after->arena, event.data);
    if (data == NULL)
        return MS_ERR_MEMORY;
    event.data = ms_span_of(data, event.data.len);
    enum ms_err err = history_operation_read(&event, &after->arena, &operation);
    if (err != MS_OK)
        return err;
    (void)history_past_apply(&after->past, &operation, &gone);
    if (event.sequence == after->sequence) {
        after->reached = true;
        after->event = event;
        after->event.data = (struct ms_span){0};
    }
    return MS_OK;
}

/* ---- as a result ---- */

static enum ms_err read_set(struct cache *cache, const struct registry_release *release,
                            struct rec_set *set, struct ms_diag *diag)
{
    enum ms_err err = report_document(cache, release, set, diag);

    if (err == MS_ERR_NOT_FOUND)
        (void)ms_diag_set(diag, err,
                          "the document of release %llu is missing: what it approved cannot be "
                          "compared",
                          (unsigned long long)release->id);
    return err;
}

static enum ms_err add_release(struct cache *cache, const struct registry_release *release,
                               struct source_result *result, struct ms_diag *diag)
{
    struct source_release *r = &result->releases[result->n_releases];
    char version[24];

    (void)snprintf(version, sizeof(version), "%llu", (unsigned long long)release->version);
    r->id = release->id;
    r->version = ms_arena_strdup(&result->arena, ms_span_str(version));
    r->not_before_s =
        (int64_t)(release->not_before_s > INT64_MAX ? INT64_MAX : release->not_before_s);
    r->not_after_s = (int64_t)(release->not_after_s > INT64_MAX ? INT64_MAX : release->not_after_s);
    r->set = calloc(1, sizeof(*r->set));
    if (r->version == NULL || r->set == NULL) {
        free(r->set);
        return MS_ERR_MEMORY;
    }
    rec_set_init(r->set);
    result->n_releases++;
    return read_set(cache, release, r->set, diag);
}

static json_t *governance_of(const struct registry_state *state)
{
    return json_pack("{s:o, s:o, s:I, s:I}", "owner", contract_address_json(&state->owner),
                     "guardian", contract_address_json(&state->guardian), "min_delay",
                     (json_int_t)state->min_delay_s, "updated_block",
                     (json_int_t)state->updated_block);
}

static enum ms_err result_of(struct cache *cache, const struct after *after,
                             struct source_result **ret_result, struct ms_diag *diag)
{
    struct source_result *result = calloc(1, sizeof(*result));
    enum ms_err err = MS_OK;

    if (result == NULL)
        return MS_ERR_MEMORY;
    result->arena.max = (size_t)1 << 20;
    result->has_sequence = true;
    result->sequence = after->sequence;
    result->releases = calloc(after->past.n_live + 1, sizeof(*result->releases));
    result->governance = governance_of(&after->past.state);
    if (result->releases == NULL || result->governance == NULL)
        err = MS_ERR_MEMORY;
    for (size_t i = 0; err == MS_OK && i < after->past.n_live; i++)
        err = add_release(cache, &after->past.live[i], result, diag);
    if (err == MS_OK)
        *ret_result = result;
    else
        source_result_free(result);
    return err;
}

/* ---- proof ---- */

/* That all operations lead to a proven state; the moment plays no part. */
static enum ms_err prove(struct cache *cache, const struct ms_sha256 *key,
                         struct ms_sha256 *ret_evidence, struct ms_diag *diag)
{
    struct report_chain chain = {.key = key};

    enum ms_err err = report_chain_at(cache, &chain, diag);
    if (err == MS_OK && (chain.json == NULL || !chain.complete))
        err = ms_diag_set(diag, MS_ERR_NOT_FOUND, "there is no such row, and its operations: %s",
                          chain.json == NULL ? "none are stored" : chain.why.text);
    *ret_evidence = chain.evidence;
    json_decref(chain.json);
    return err;
}

enum ms_err report_after(struct cache *cache, const struct spec *spec, uint64_t sequence,
                         struct report_after *ret, struct ms_diag *diag)
{
    struct after *after = calloc(1, sizeof(*after)); /* a past state is large */

    if (after == NULL)
        return MS_ERR_MEMORY;
    after->sequence = sequence;
    after->arena.max = ARENA_MAX_BYTES;
    enum ms_err err = prove(cache, &spec->key, &ret->evidence, diag);
    if (err == MS_OK)
        err = cache_operations_each(cache, &spec->key, take_operation, after, diag);
    if (err == MS_OK && (!after->reached || after->past.lost))
        err = ms_diag_set(diag, MS_ERR_NOT_FOUND, "there is no operation %llu that is understood",
                          (unsigned long long)sequence);
    if (err == MS_OK)
        err = result_of(cache, after, &ret->result, diag);
    if (err == MS_OK) {
        static const struct ms_sha256 no_policy;
        ret->event = after->event;
        err = summary_facts(spec, ret->result, MS_OK, (int64_t)after->event.timestamp_s, &no_policy,
                            &ret->facts);
    }
    ms_arena_done(&after->arena);
    free(after);
    return err;
}
