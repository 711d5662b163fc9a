/* tests/support/changes.h - real changes for a database, made without a daemon: an attempt is
 * played with scripted answers, and what it ends with is committed as the daemon would. For tests
 * and benches that link ms_cache and ms_test_support. Aborts when something does not work. */
#ifndef MS_TESTS_CHANGES_H
#define MS_TESTS_CHANGES_H

#include "cache/report.h"
#include "resolver/entry/summary.h"
#include "tests/support/history.h"
#include "tests/support/play.h"

#include <stdio.h>
#include <stdlib.h>

static inline void changes_must(bool ok, const char *what, const struct ms_diag *diag)
{
    if (ok)
        return;
    (void)fprintf(stderr, "changes: %s: %s\n", what, diag == NULL ? "" : diag->text);
    abort();
}

/* What the play ended with, accepted at time_s. `count` stands for the sequence of sources that
 * have none. The play's bundle stays. */
static inline void changes_commit(struct cache *cache, struct play *p, int64_t time_s,
                                  uint64_t count)
{
    struct ms_span bundle = ms_buf_span(&p->bundle);
    struct ms_buf summary = MS_BUF_INIT(CACHE_SUMMARY_MAX_BYTES);
    struct source_result *r = NULL;
    struct ms_diag diag = {0};
    json_t *facts = NULL;
    struct spec spec;

    spec_init(&spec);
    changes_must(p->err == MS_OK, "play", &p->diag);
    changes_must(summary_of_bundle(bundle, time_s, &spec, &facts, &r, &diag) == MS_OK, "replay",
                 &diag);
    changes_must(report_summary(cache, &spec.key, r->level, 0, facts, true, &summary, &diag) ==
                     MS_OK,
                 "summary", &diag);
    uint64_t sequence = r->has_sequence ? r->sequence : count;
    bool one_word = r->level != SPEC_LEVEL_NONE && r->level <= SPEC_LEVEL_L1;
    struct ms_sha256 name = ms_sha256(bundle);
    const struct cache_entry entry = {.key = spec.key,
                                      .level = r->level,
                                      .canonical = spec.canonical,
                                      .kind = spec.kind,
                                      .status = CACHE_GOOD,
                                      .has_bundle = true,
                                      .bundle = name,
                                      .has_sequence = true,
                                      .sequence = sequence,
                                      .commitment = r->commitment,
                                      .set_hash = r->set_hash,
                                      .floor_epoch = r->epoch,
                                      .floor_sequence = one_word ? 0 : sequence,
                                      .fetched = {.wall_s = time_s},
                                      .checked = {.wall_s = time_s},
                                      .evidence_time_s = r->evidence_time_s,
                                      .life = r->life,
                                      .valid_until_s = r->valid_until_s};
    const struct cache_history history = {.key = spec.key,
                                          .level = r->level,
                                          .time_s = time_s,
                                          .status = CACHE_GOOD,
                                          .kind = REPORT_KIND_SET,
                                          .has_sequence = true,
                                          .sequence = sequence,
                                          .set_hash = r->set_hash,
                                          .has_bundle = true,
                                          .bundle = name,
                                          .has_block = r->block.chain != 0,
                                          .block_number = r->block.number,
                                          .block_hash = r->block.hash,
                                          .summary = ms_buf_str(&summary),
                                          .build = "a test"};
    const struct cache_change change = {1, &bundle, &entry, &history};
    changes_must(cache_commit(cache, &change, &diag) == MS_OK, "commit", &diag);
    source_result_free(r);
    json_decref(facts);
    spec_done(&spec);
    ms_buf_done(&summary);
}

static inline struct source_response changes_serve(void *arg, const struct source_request *request)
{
    struct source_response r = {.status = 200, .body = ms_span_str(arg)};
    (void)request;
    r.header[SOURCE_HEADER_CACHE_CONTROL] = "max-age=100";
    r.header[SOURCE_HEADER_CONTENT_TYPE] = "application/json";
    (void)snprintf(r.peer_sha256, sizeof(r.peer_sha256), "%064d", 7);
    return r;
}

/* A location ("url:https://...") that gives this document. */
static inline void changes_location(struct cache *cache, const char *spec, char *document,
                                    int64_t time_s, uint64_t count)
{
    struct play p = {.spec = spec,
                     .policy = play_policy(SPEC_LEVEL_L2, 2, 0),
                     .now = {time_s, 77, 0},
                     .http = changes_serve,
                     .arg = document};

    play_run(&p);
    changes_commit(cache, &p, time_s, count);
    play_done(&p);
}

/* The registry of a chain at this finalized block, with proofs from three nodes. */
static inline void changes_registry_like(struct cache *cache, struct chain *chain, const char *spec,
                                         enum spec_level level, uint64_t final, int64_t time_s)
{
    struct node nodes[3];

    for (size_t i = 0; i < 3; i++)
        nodes[i] = (struct node){.chain = chain, .final = final, .head = final + 20};
    struct play p = {
        .spec = spec, .policy = play_policy(level, 2, 3), .now = {time_s, 77, 0}, .nodes = nodes};
    play_run(&p);
    changes_commit(cache, &p, time_s, 0);
    play_done(&p);
}

static inline void changes_registry_of(struct cache *cache, struct chain *chain, const char *spec,
                                       uint64_t final, int64_t time_s)
{
    changes_registry_like(cache, chain, spec, SPEC_LEVEL_L3, final, time_s);
}

static inline void changes_registry_at(struct cache *cache, struct chain *chain,
                                       enum spec_level level, uint64_t final, int64_t time_s)
{
    changes_registry_like(cache, chain, CHAIN_SPEC, level, final, time_s);
}

static inline void changes_registry(struct cache *cache, struct chain *chain, uint64_t final,
                                    int64_t time_s)
{
    changes_registry_of(cache, chain, CHAIN_SPEC, final, time_s);
}

/* A registry with this history, which began long before it was first read, and is stored whole. Its
 * live releases have their documents on chain.
 *   documents  of all releases by id, the first is that of release 1; NULL: of no live one */
#define CHANGES_PAST_SPEC "eip155:1:0x5252525252525252525252525252525252525252"
static inline struct ms_sha256 changes_history(struct cache *cache, const struct fake_history *fake,
                                               const char *const *documents, uint64_t final,
                                               int64_t time_s)
{
    static const struct spec_context context = {0};
    struct ms_arena arena = MS_ARENA_INIT((size_t)128 << 10);
    struct cache_entry e = {0};
    struct ms_diag diag = {0};
    struct chain chain;
    struct spec spec;
    bool found = false;

    chain_init(&chain);
    chain.registry = fake->registry;
    chain.snapshot.state = fake->state;
    chain.snapshot.n_releases = fake->n_live;
    for (size_t i = 0; i < fake->n_live; i++) {
        chain.releases[i] = fake->live[i];
        chain.documents[i] = ms_span_str(documents[fake->live[i].id - 1]);
        chain.releases[i].payload = chain.documents[i];
    }
    changes_registry_of(cache, &chain, CHANGES_PAST_SPEC, final, time_s);
    chain_done(&chain);
    spec_init(&spec);
    changes_must(spec_parse(ms_span_str(CHANGES_PAST_SPEC), &context, &spec, &diag) == MS_OK &&
                     cache_entry_get(cache, &spec.key, SPEC_LEVEL_L3, &arena, &e, &found, &diag) ==
                         MS_OK &&
                     found,
                 "entry", &diag);
    for (size_t i = fake->n; i-- > 0;) {
        struct cache_operation o = {.key = spec.key,
                                    .event = fake->event[i],
                                    .bundle = e.bundle,
                                    .provider = "a",
                                    .recorded_s = time_s};
        if (i > 0)
            o.before = fake->event[i - 1].history_hash;
        changes_must(cache_operations_add(cache, &o, 1, &diag) == MS_OK, "operation", &diag);
    }
    struct ms_sha256 key = spec.key;
    spec_done(&spec);
    ms_arena_done(&arena);
    return key;
}

/* The source confirms the answer that a key has at a level, as of evidence_time_s and to be served
 * until valid_until_s. */
static inline void changes_confirm(struct cache *cache, const char *spec_text,
                                   enum spec_level level, int64_t time_s, int64_t evidence_time_s,
                                   int64_t valid_until_s)
{
    static const struct spec_context context = {0};
    struct ms_arena arena = MS_ARENA_INIT((size_t)128 << 10);
    struct cache_entry e = {0};
    struct ms_diag diag = {0};
    struct spec spec;
    bool found = false;

    spec_init(&spec);
    changes_must(spec_parse(ms_span_str(play_text(spec_text)), &context, &spec, &diag) == MS_OK,
                 "specifier", &diag);
    changes_must(cache_entry_get(cache, &spec.key, level, &arena, &e, &found, &diag) == MS_OK &&
                     found,
                 "entry", &diag);
    const struct cache_freshness fresh = {.bundle = e.bundle,
                                          .checked = {.wall_s = time_s},
                                          .evidence_time_s = evidence_time_s,
                                          .life = e.life,
                                          .valid_until_s = valid_until_s};
    changes_must(cache_touch(cache, &spec.key, level, &fresh, &diag) == MS_OK, "touch", &diag);
    ms_arena_done(&arena);
    spec_done(&spec);
}

static inline void changes_touch(struct cache *cache, const char *spec_text, enum spec_level level,
                                 int64_t time_s)
{
    changes_confirm(cache, spec_text, level, time_s, time_s, 0);
}

#endif
