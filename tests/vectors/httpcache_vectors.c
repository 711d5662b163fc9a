/* httpcache/cache_tests.json (http-tests/cache-tests): each case is played against the pure
 * freshness rules. The model is what `measured` does with one URL: GET without request headers,
 * serve from the cache while age <= F + W, else fetch; when that fails, serve while age <= F + E.
 *
 * A not_cached expectation is a hard rule under our limits. It may only fail for the two local
 * rules that ethereum.md 6.2 makes on purpose (a default lifetime, and the minimum of 60 s); such a
 * case must then hold under source_freshness_strict, and is counted as skipped. `cached` binds
 * where the suite says MUST; where it only calls it optimal, fetching again is allowed and counts
 * as skipped. */
#include "resolver/source/freshness.h"
#include "tests/support/httpcache.h"
#include "tests/support/vectors.h"

#include <stdio.h>
#include <stdlib.h>

#define TOPIC "httpcache"
#define FILE_NAME "cache_tests.json"
#define START_S INT64_C(1800000000)
#define PAUSE_S 3 /* pause_after, as the suite's README says */

struct answer { /* one response of the origin, with the texts it owns */
    struct source_response response;
    struct ms_arena arena;
};

struct model {
    const struct source_freshness_limits *limits;
    int64_t now_s;
    bool stored;
    int64_t stored_at_s;
    struct source_freshness fresh;
    const char *wrong; /* the first thing that broke an expectation */
    bool wrong_cached; /* it was served from the cache */
    unsigned wrong_flags;
};

static const char *const fields[SOURCE_HEADER_COUNT] = {
    "cache-control", "expires", "date",         "age",        "etag",
    "last-modified", "vary",    "content-type", "retry-after"};

/* Fields of one name are joined by ", ", as the fetcher does. */
static void add_field(struct answer *answer, const char *name, const char *value)
{
    for (size_t i = 0; i < SOURCE_HEADER_COUNT; i++) {
        if (!ms_span_eq_str_nocase(ms_span_str(name), fields[i]))
            continue;
        if (answer->response.header[i] != NULL) {
            char joined[1024];
            (void)snprintf(joined, sizeof(joined), "%s, %s", answer->response.header[i], value);
            value = ms_arena_strdup(&answer->arena, ms_span_str(joined));
        }
        answer->response.header[i] = value;
    }
}

static struct answer play(const json_t *request, int64_t now_s)
{
    struct answer answer = {.response = {.status = 200, .time_s = now_s},
                            .arena = MS_ARENA_INIT(65536)};
    const json_t *status = json_object_get(request, "response_status");
    size_t i;
    const json_t *header;

    if (status != NULL)
        answer.response.status = (uint32_t)json_integer_value(json_array_get(status, 0));
    json_array_foreach(json_object_get(request, "response_headers"), i, header)
    {
        const json_t *value = json_array_get(header, 1);
        const char *text = json_is_integer(value)
                               ? httpcache_date(now_s + json_integer_value(value), &answer.arena)
                               : json_string_value(value);
        add_field(&answer, json_string_value(json_array_get(header, 0)), text);
    }
    return answer;
}

static void store(struct model *model, const json_t *request)
{
    struct answer answer = play(request, model->now_s);

    /* A failing answer never replaces a good one (6.3). */
    bool failed = answer.response.status >= 500;
    if (!failed || !model->stored) {
        model->fresh = source_freshness(&answer.response, model->now_s, model->limits);
        model->stored = !model->fresh.life.no_store;
        model->stored_at_s = model->now_s;
    }
    ms_arena_done(&answer.arena);
}

static void wrong(struct model *model, const char *what, bool cached)
{
    if (model->wrong != NULL)
        return;
    model->wrong = what;
    model->wrong_cached = cached;
    model->wrong_flags = model->fresh.flags;
}

static void expect(struct model *model, const json_t *request, bool cached)
{
    const char *type = vec_str(request, "expected_type");
    bool must_fail = json_is_null(json_object_get(request, "expected_status")) &&
                     json_object_get(request, "disconnect") != NULL;

    if (must_fail && cached)
        wrong(model, "served although the origin is gone", true);
    if (type == NULL)
        return;
    bool want_cached = strcmp(type, "cached") == 0;
    if (want_cached != cached)
        wrong(model, cached ? "served from the cache" : "fetched again", cached);
}

static void step(struct model *model, const json_t *request)
{
    const struct source_lifetime *life = &model->fresh.life;
    int64_t age_s = model->now_s - model->stored_at_s;
    const json_t *status = json_object_get(request, "response_status");
    bool fails = json_is_true(json_object_get(request, "disconnect")) ||
                 (status != NULL && json_integer_value(json_array_get(status, 0)) >= 500);
    bool fresh = model->stored && life->fresh_s > 0 && age_s <= life->fresh_s;
    bool swr = model->stored && life->swr_s > 0 && age_s <= life->fresh_s + life->swr_s;
    bool sie = model->stored && life->sie_s > 0 && age_s <= life->fresh_s + life->sie_s;

    expect(model, request, fresh || swr || (fails && sie));
    if (!fresh && !json_is_true(json_object_get(request, "disconnect")))
        store(model, request); /* at once, or behind the answer when within W */
    if (json_is_true(json_object_get(request, "pause_after")))
        model->now_s += PAUSE_S;
}

static struct model run(const json_t *requests, const struct source_freshness_limits *limits)
{
    struct model model = {.limits = limits, .now_s = START_S};
    size_t i;
    const json_t *request;

    json_array_foreach(requests, i, request) step(&model, request);
    return model;
}

static void run_case(struct vec_count *count, const json_t *c)
{
    const json_t *requests = json_object_get(c, "requests");
    const char *id = vec_str(c, "id"), *kind = vec_str(c, "kind");
    bool must = kind == NULL || strcmp(kind, "required") == 0;
    const char *why = httpcache_not_ours(c);

    if (why != NULL) {
        vec_skip(count, id, why);
        return;
    }
    struct model ours = run(requests, &source_freshness_location);
    if (ours.wrong == NULL) {
        vec_check(count, true, id, "ok");
    } else if (!ours.wrong_cached) {
        if (must)
            vec_check(count, false, id, "%s", ours.wrong);
        else
            vec_skip(count, id, "reuse is optional, we fetch again");
    } else {
        bool local = (ours.wrong_flags & FRESHNESS_EXPLICIT) == 0 ||
                     (ours.wrong_flags & FRESHNESS_RAISED) != 0;
        struct model strict = run(requests, &source_freshness_strict);
        if (local && !(strict.wrong != NULL && strict.wrong_cached))
            vec_skip(count, id,
                     (ours.wrong_flags & FRESHNESS_RAISED) != 0
                         ? "local minimum of 60 s (6.2); holds under the strict limits"
                         : "local default of 300 s (6.2); holds under the strict limits");
        else
            vec_check(count, false, id, "%s%s", ours.wrong, local ? " (strict limits, too)" : "");
    }
}

int main(void)
{
    struct vec_count count;
    json_t *root = vec_load(&count, TOPIC, FILE_NAME);
    size_t i;
    const json_t *c;

    if (root == NULL)
        return count.failed == 0 ? 0 : 1;
    json_array_foreach(vec_cases(root), i, c) run_case(&count, c);
    json_decref(root);
    return vec_end(&count) ? 0 : 1;
}
