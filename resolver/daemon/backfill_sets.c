/* resolver/daemon/backfill_sets.c - sets that signers signed before the accepted one. */
#define _GNU_SOURCE
#include "resolver/daemon/backfill_sets.h"

#include "resolver/source/set_walk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GAPS_MAX 32u /* told of */

struct stored_set {
    struct eth_hash hash, previous;
    uint64_t sequence;
};

struct gap { /* sets that are not to be had, by their numbers */
    uint64_t from, to;
};

struct sets_job {
    struct set_at at;
    json_t *carry;                    /* ours: roots of the accepted set */
    char host[SOURCE_HOST_MAX_BYTES]; /* asked last */
    size_t n_hosts;
    char hosts[SOURCE_HOSTS_MAX][SOURCE_HOST_MAX_BYTES];
    size_t n_stored, cap_stored;
    struct stored_set *stored; /* by falling sequence as they were read, then what was found */
    size_t n_gaps;
    struct gap gaps[GAPS_MAX];
};

bool sets_are(const struct core_good *good)
{
    return good->spec->kind == SPEC_SIGNERS;
}

/* ---- beginning ---- */

static void take_hosts(struct sets_job *sets)
{
    const json_t *hosts = json_object_get(sets->carry, "hosts");

    for (size_t i = 0; i < json_array_size(hosts) && sets->n_hosts < SOURCE_HOSTS_MAX; i++) {
        const char *name = json_string_value(json_array_get(hosts, i));
        if (name != NULL && strlen(name) < SOURCE_HOST_MAX_BYTES)
            memcpy(sets->hosts[sets->n_hosts++], name, strlen(name) + 1);
    }
}

enum ms_err sets_start(struct backfill_job *job, const struct core_good *good)
{
    struct sets_job *sets = calloc(1, sizeof(*sets));

    if (sets == NULL)
        return MS_ERR_MEMORY;
    sets_free(job); /* of a try before this one */
    job->sets = sets;
    sets->at = set_at_below(good->result->sequence, &good->result->previous_set);
    job->total = good->result->sequence;
    if (good->result->carry != NULL) /* a copy: the answer is other threads' too */
        sets->carry = json_deep_copy(good->result->carry);
    if (good->result->carry != NULL && sets->carry == NULL)
        return MS_ERR_MEMORY;
    take_hosts(sets);
    return MS_OK;
}

void sets_free(struct backfill_job *job)
{
    if (job->sets == NULL)
        return;
    job->provider = NULL; /* stood in there */
    json_decref(job->sets->carry);
    free(job->sets->stored);
    free(job->sets);
    job->sets = NULL;
}

/* ---- what is stored ---- */

static enum ms_err keep(struct sets_job *sets, const struct stored_set *set)
{
    if (sets->n_stored == CACHE_PAST_SETS_MAX)
        return MS_ERR_LIMIT;
    if (sets->n_stored == sets->cap_stored) {
        size_t cap = sets->cap_stored == 0 ? 64 : 2 * sets->cap_stored;
        struct stored_set *grown = realloc(sets->stored, cap * sizeof(*grown));
        if (grown == NULL)
            return MS_ERR_MEMORY;
        sets->stored = grown;
        sets->cap_stored = cap;
    }
    sets->stored[sets->n_stored++] = *set;
    return MS_OK;
}

static enum ms_err read_row(void *arg, enum ms_err row, const struct cache_past_set *set,
                            const struct ms_diag *why)
{
    struct backfill_job *job = arg;
    const struct stored_set mine = {set->set_hash, set->previous, set->sequence};

    if (row != MS_OK)
        return ms_diag_set(&job->work_diag, row, "stored set %llu: %s",
                           (unsigned long long)set->sequence, why->text);
    return keep(job->sets, &mine);
}

void sets_read(struct backfill_job *job, struct cache *cache)
{
    job->sets->n_stored = 0;
    job->work_err = cache_past_sets_each(cache, &job->id.key, read_row, job, &job->work_diag);
    job->stored = job->sets->n_stored;
}

static void note_gap(struct sets_job *sets, uint64_t from, uint64_t to)
{
    if (to < from)
        return;
    if (sets->n_gaps < GAPS_MAX)
        sets->gaps[sets->n_gaps] = (struct gap){from, to};
    sets->n_gaps++;
}

/* Down to a set: one that is named follows without a gap, whatever its number. */
static void step_to(struct sets_job *sets, const struct stored_set *set)
{
    if (!eth_hash_eq(&set->hash, &sets->at.named))
        note_gap(sets, set->sequence + 1, sets->at.sequence - 1);
    sets->at = set_at_below(set->sequence, &set->previous);
}

/* The one that is named; or below a gap that of the number that is next: its signers prove it. */
static const struct stored_set *next_stored(const struct sets_job *sets)
{
    const struct stored_set *signed_one = NULL;
    bool gap = sets->at.number + 1 < sets->at.sequence;

    for (size_t i = 0; i < sets->n_stored; i++) {
        const struct stored_set *set = &sets->stored[i];
        if (set->sequence < sets->at.sequence && eth_hash_eq(&set->hash, &sets->at.named))
            return set;
        if (gap && set->sequence == sets->at.number)
            signed_one = set;
    }
    return signed_one;
}

bool sets_skip(struct backfill_job *job)
{
    static const struct eth_hash none;
    struct sets_job *sets = job->sets;
    const struct stored_set *set;

    while (!set_at_ended(&sets->at) && (set = next_stored(sets)) != NULL)
        step_to(sets, set);
    if (!set_at_ended(&sets->at))
        return false;
    if (!eth_hash_eq(&sets->at.named, &none)) { /* none of those below is to be had */
        note_gap(sets, 1, sets->at.sequence - 1);
        sets->at.named = none;
        sets->at.number = 0;
    }
    return true;
}

bool sets_complete(const struct backfill_job *job)
{
    return job->state == JOB_DONE && job->sets->n_gaps == 0;
}

/* ---- walking ---- */

/* The highest that is stored below what is asked for next. */
static uint64_t until_of(const struct sets_job *sets)
{
    uint64_t until = 0;

    for (size_t i = 0; i < sets->n_stored; i++)
        if (sets->stored[i].sequence < sets->at.number && sets->stored[i].sequence > until)
            until = sets->stored[i].sequence;
    return until;
}

enum ms_err sets_walk(struct backfill_job *job, struct ms_now now, struct ms_diag *diag)
{
    struct sets_job *sets = job->sets;
    const char *hosts[SOURCE_HOSTS_MAX];

    if (sets->n_stored > CACHE_PAST_SETS_MAX - SET_WALK_SETS_MAX) /* room for a walk's */
        return ms_diag_set(diag, MS_ERR_LIMIT, "%zu sets are stored, no more are fetched",
                           sets->n_stored);
    for (size_t i = 0; i < sets->n_hosts; i++)
        hosts[i] = sets->hosts[i];
    const struct set_walk in = {.from = sets->at,
                                .until = until_of(sets),
                                .carry = sets->carry,
                                .n_hosts = sets->n_hosts,
                                .hosts = hosts};
    return set_walk_new(&job->spec, &job->policy, &in, now, &job->source, diag);
}

void sets_asking(struct backfill_job *job)
{
    (void)snprintf(job->sets->host, sizeof(job->sets->host), "%s",
                   set_walk_host(job->source, UINT32_MAX));
    job->provider = job->sets->host;
}

bool sets_walked(struct backfill_job *job)
{
    const struct set_complaint *complaints;
    struct set_at at = set_walk_next(job->source);
    size_t n = set_walk_complaints(job->source, &complaints);

    for (size_t i = 0; i < n; i++)
        job_complain(job, set_walk_host(job->source, complaints[i].host), "set-not-taken",
                     complaints[i].diag.text);
    return at.sequence != job->sets->at.sequence || at.number != job->sets->at.number;
}

void sets_write(struct backfill_job *job, struct cache *cache)
{
    const struct set_found *found;
    size_t n = set_walk_found(job->source, &found);
    struct cache_past_set rows[SET_WALK_SETS_MAX];
    struct ms_span documents[SET_WALK_SETS_MAX];

    for (size_t i = 0; i < n; i++) {
        rows[i] = (struct cache_past_set){.key = job->id.key,
                                          .set_hash = found[i].hash,
                                          .previous = found[i].previous,
                                          .sequence = found[i].sequence,
                                          .bundle = job->evidence,
                                          .provider = set_walk_host(job->source, found[i].host),
                                          .recorded_s = clocks_now().wall_s};
        documents[i] = found[i].text;
    }
    job->work_err =
        n == 0 ? MS_OK : cache_past_sets_add(cache, rows, documents, n, &job->work_diag);
}

void sets_written(struct backfill_job *job)
{
    const struct set_found *found;
    size_t n = set_walk_found(job->source, &found);

    for (size_t i = 0; i < n; i++) {
        const struct stored_set set = {found[i].hash, found[i].previous, found[i].sequence};
        step_to(job->sets, &set);
        if (keep(job->sets, &set) == MS_OK)
            job->stored++;
    }
    job->sets->at = set_walk_next(job->source);
}

/* ---- telling ---- */

void sets_status(const struct backfill_job *job, json_t *out)
{
    const struct sets_job *sets = job->sets;
    json_t *gaps = json_array();

    for (size_t i = 0; i < sets->n_gaps && i < GAPS_MAX; i++)
        (void)json_array_append_new(gaps,
                                    json_pack("{s:I, s:I}", "from", (json_int_t)sets->gaps[i].from,
                                              "to", (json_int_t)sets->gaps[i].to));
    (void)json_object_set_new(out, "sets", json_integer((json_int_t)job->total));
    (void)json_object_set_new(out, "stored", json_integer((json_int_t)job->stored));
    (void)json_object_set_new(out, "gaps", gaps);
    (void)json_object_set_new(out, "n_gaps", json_integer((json_int_t)sets->n_gaps));
    if (!set_at_ended(&sets->at))
        (void)json_object_set_new(out, "next", json_integer((json_int_t)sets->at.number));
}
