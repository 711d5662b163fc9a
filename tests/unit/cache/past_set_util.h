/* A chain of signed sets, some of which are accepted by a cache, and others found in its past. */
#ifndef MS_TESTS_PAST_SET_UTIL_H
#define MS_TESTS_PAST_SET_UTIL_H

#include "cache/audit.h"
#include "tests/support/changes.h"
#include "tests/support/sets.h"
#include "tests/unit/cache/cache_test_util.h"

#define PAST_SETS 12u
#define PAST_SIGNERS "\xa1\xb2"
#define PAST_HOST "one.example"

struct past {
    struct ms_sha256 key, bundle;     /* of the set accepted last */
    struct sets_made sets[PAST_SETS]; /* set n at n - 1 */
};

static inline int64_t past_issued_s(uint64_t sequence)
{
    return SETS_NOW_S - 100000 + 1000 * (int64_t)sequence;
}

static inline struct source_response past_serve(void *arg, const struct source_request *request)
{
    const struct sets_made *set = arg;
    bool is_set = strstr(request->location->url, "/set.json") != NULL;

    return (struct source_response){.status = is_set ? 200 : 404,
                                    .time_s = SETS_NOW_S,
                                    .body = is_set ? ms_buf_span(&set->text) : ms_span_str("")};
}

/* This set is what the host has now. */
static inline void past_accept(struct past *past, struct cache *cache, uint64_t sequence)
{
    struct play p = {.spec = sets_spec(""),
                     .policy = play_policy(SPEC_LEVEL_L2, 2, 0),
                     .now = {SETS_NOW_S + (int64_t)sequence, 77, 0},
                     .http = past_serve,
                     .arg = &past->sets[sequence - 1]};

    p.previous.n_hosts = 1;
    (void)snprintf(p.previous.hosts[0], sizeof(p.previous.hosts[0]), PAST_HOST);
    play_run(&p);
    changes_commit(cache, &p, p.now.wall_s, 0);
    past->bundle = ms_sha256(ms_buf_span(&p.bundle));
    play_done(&p);
}

static inline void past_make(struct past *past, struct cache *cache, uint64_t accepted)
{
    static const struct spec_context lax;
    struct eth_hash previous = {{0}};
    struct spec spec;

    spec_init(&spec);
    assert_int_equal(spec_parse(ms_span_str(sets_spec("")), &lax, &spec, NULL), MS_OK);
    *past = (struct past){.key = spec.key};
    spec_done(&spec);
    for (size_t i = 0; i < PAST_SETS; i++) {
        past->sets[i] = sets_make("", i + 1, &previous, PAST_SIGNERS);
        previous = past->sets[i].hash;
    }
    past_accept(past, cache, accepted);
}

static inline void past_done(struct past *past)
{
    for (size_t i = 0; i < PAST_SETS; i++)
        ms_buf_done(&past->sets[i].text);
}

/* Found in the past, from set `high` down to set `low`. */
static inline enum ms_err past_add(const struct past *past, struct cache *cache, size_t high,
                                   size_t low)
{
    struct cache_past_set rows[PAST_SETS];
    struct ms_span documents[PAST_SETS];
    size_t n = 0;

    for (size_t i = high; i >= low; i--) {
        const struct sets_made *set = &past->sets[i - 1];
        documents[n] = ms_buf_span(&set->text);
        rows[n++] = (struct cache_past_set){.key = past->key,
                                            .set_hash = set->hash,
                                            .previous = set->previous,
                                            .sequence = set->sequence,
                                            .bundle = past->bundle,
                                            .provider = PAST_HOST,
                                            .recorded_s = SETS_NOW_S};
    }
    return cache_past_sets_add(cache, rows, documents, n, NULL);
}

#endif
