/* The real core under a fake clock: fetches are recorded and answered by the test, the store can be
 * slow or fail, the disk can have rows. */
#include "resolver/daemon/publish.h"
#include "tests/support/core/world.h"

#include <stdio.h>
#include <stdlib.h>

#define URL_SPEC "url:https://a.example/list.json"

static char document_a[512], document_b[512];

static int make_documents(void **state)
{
    (void)state;
    (void)snprintf(document_a, sizeof(document_a), "%s", chain_document(0xaa));
    (void)snprintf(document_b, sizeof(document_b), "%s", chain_document(0xbb));
    return 0;
}

/* A location with F = 100, W = 60, E = 3600, answered. */
static void have_location(void)
{
    struct caller *c = ask(URL_SPEC);
    reply(document_a);
    expect_served(c, ENTRY_FRESH);
}

/* ---- flights and waiters ---- */

static void test_single_flight(void **state)
{
    (void)state;
    struct caller *callers[50];

    for (size_t i = 0; i < 50; i++)
        callers[i] = ask(URL_SPEC);
    assert_int_equal(w.n_fetches, 1);
    reply(document_a);
    for (size_t i = 0; i < 50; i++)
        expect_served(callers[i], ENTRY_FRESH);
    assert_int_equal(w.n_fetches, 1);
    assert_true(fast_serves(URL_SPEC));
}

static void test_waiters_max(void **state)
{
    (void)state;
    static struct caller *callers[CORE_WAITERS_MAX];

    for (size_t i = 0; i < CORE_WAITERS_MAX; i++)
        callers[i] = ask(URL_SPEC);
    expect_refused(ask(URL_SPEC), MS_ERR_OVERLOAD);
    reply(document_a);
    for (size_t i = 0; i < CORE_WAITERS_MAX; i++)
        expect_served(callers[i], ENTRY_FRESH);
}

static void test_not_before_stored(void **state)
{
    (void)state;
    w.store_slow = true;
    struct caller *c = ask(URL_SPEC);
    reply(document_a);
    assert_false(c->done);
    assert_int_equal(w.n_bundles, 1);
    struct caller *d = ask(URL_SPEC);
    tick_at(1000);
    assert_false(c->done || d->done);
    assert_false(fast_serves(URL_SPEC));
    settle_stores();
    expect_served(c, ENTRY_FRESH);
    expect_served(d, ENTRY_FRESH);
    assert_int_equal(w.n_fetches, 1);
}

static void test_store_fails(void **state)
{
    (void)state;
    w.store_err = MS_ERR_STORE;
    struct caller *c = ask(URL_SPEC);
    reply(document_a);
    expect_refused(c, MS_ERR_STORE);
    assert_false(fast_serves(URL_SPEC));

    w.store_err = MS_OK; /* a good one, then a change that cannot be stored: the old one stays */
    c = ask(URL_SPEC);
    reply(document_a);
    expect_served(c, ENTRY_FRESH);
    w.store_err = MS_ERR_STORE;
    c = ask_with(URL_SPEC, true, 0);
    reply(document_b);
    assert_int_equal(c->r.err, MS_ERR_STORE);
    assert_non_null(strstr(c->envelope, "aaaa"));
    assert_null(strstr(c->envelope, "bbbb"));
    expect_served(c, ENTRY_FRESH);
}

static void test_store_fails_best_effort(void **state)
{
    (void)state;
    w.options.audit_require = false;
    core_set_options(w.core, &w.options);
    w.store_err = MS_ERR_STORE;
    struct caller *c = ask(URL_SPEC);
    reply(document_a);
    assert_non_null(strstr(c->envelope, "\"audit\""));
    expect_served(c, ENTRY_FRESH);
}

static void test_deadlines(void **state)
{
    (void)state;
    struct caller *c = ask(URL_SPEC);
    tick_at(ENTRY_FIRST_WAIT_MS - 1);
    assert_false(c->done);
    tick_at(1);
    expect_refused(c, MS_ERR_TIMEOUT);
    assert_int_equal(w.n_out, 1); /* a caller's deadline never cancels the fetch */
    struct caller *d = ask_with(URL_SPEC, true, 0);
    tick_at(CORE_REFRESH_WAIT_MS - 1);
    assert_false(d->done);
    assert_int_equal(w.n_fetches, 1);
    reply(document_a); /* it was asked for before the refresh, which waits for one of its own */
    assert_false(d->done);
    tick_at(0);
    assert_int_equal(w.n_fetches, 2);
    reply(document_a);
    expect_served(d, ENTRY_FRESH);
}

/* ---- time ---- */

static void test_states_by_time(void **state)
{
    (void)state;
    have_location();
    int64_t start_ms = w.now.boot_ms;

    tick_at(100000 - 1);
    assert_true(fast_serves(URL_SPEC));
    assert_int_equal(w.n_fetches, 1);
    tick_at(1); /* F over: SWR, exactly */
    struct caller *c = ask(URL_SPEC);
    expect_served(c, ENTRY_SWR);
    assert_int_equal(w.n_fetches, 2); /* served at once, one refresh */
    expect_served(ask(URL_SPEC), ENTRY_SWR);
    assert_int_equal(w.n_fetches, 2);
    w.random = UINT32_MAX; /* the full backoff: no refresh is due when it fails */
    reply_error(MS_ERR_CONNECT);
    expect_served(ask(URL_SPEC), ENTRY_SWR);
    assert_int_equal(w.n_fetches, 2);

    tick_at(60000 - 1);
    assert_int_equal(w.now.boot_ms, start_ms + 159999);
    c = ask(URL_SPEC);
    expect_served(c, ENTRY_SWR);
    assert_int_equal(w.n_fetches, 3);
    tick_at(1); /* F + W over: SIE; a caller waits for the try that is out */
    c = ask(URL_SPEC);
    assert_false(c->done);
    tick_at(ENTRY_SIE_WAIT_MS - 1);
    assert_false(c->done);
    tick_at(1);
    assert_non_null(strstr(c->envelope, "\"stale-if-error\",\"text\""));
    expect_served(c, ENTRY_SIE);
    c = ask(URL_SPEC); /* and when it fails */
    reply_error(MS_ERR_CONNECT);
    assert_non_null(strstr(c->envelope, "could not connect"));
    expect_served(c, ENTRY_SIE);

    tick_at(start_ms + 3700000 - 1 - w.now.boot_ms); /* F + E */
    c = ask(URL_SPEC);
    if (!c->done)
        reply_error(MS_ERR_CONNECT);
    expect_served(c, ENTRY_SIE);
    tick_at(1);
    assert_false(fast_serves(URL_SPEC));
    c = ask(URL_SPEC);
    if (!c->done)
        reply_error(MS_ERR_CONNECT);
    expect_refused(c, MS_ERR_STALE);
}

/* A worker that never asks the core must see every boundary too. */
static void test_fast_until(void **state)
{
    (void)state;
    have_location();
    w.random = UINT32_MAX;
    int64_t end_ms = w.now.boot_ms + 3700000;
    while (w.now.boot_ms < end_ms + 5000) {
        bool serve = false;
        if (fast(URL_SPEC, &serve) && serve)
            assert_true(w.now.boot_ms < end_ms);
        struct answer_id id = id_of(URL_SPEC);
        answer_read_lock();
        struct answer *a = table_find(w.table, &id);
        assert_true(a == NULL || !a->serve || a->fast_until_ms <= end_ms);
        answer_read_unlock();
        w.now.boot_ms += 250; /* no tick: only asks bring the table forward */
        w.now.wall_s = WALL_S + (w.now.boot_ms - BOOT_MS) / 1000;
        w.now.wall_ms = (int32_t)((w.now.boot_ms - BOOT_MS) % 1000);
        if (w.now.boot_ms % 50000 == 0) {
            struct caller *c = ask(URL_SPEC);
            while (w.n_out > 0)
                reply_error(MS_ERR_CONNECT);
            (void)end(c);
        }
    }
}

/* The deadline of a waiter and the end of the set at one moment: nothing may be served then. */
static void test_expires_while_waiting(void **state)
{
    (void)state;
    have_location();
    tick_at(3700000 - 500);
    struct caller *c = ask(URL_SPEC);
    assert_false(c->done);
    tick_at(1000);
    assert_true(c->done);
    expect_refused(c, MS_ERR_STALE);
}

static void test_refresh_success(void **state)
{
    (void)state;
    have_location();
    tick_at(120000);
    expect_served(ask(URL_SPEC), ENTRY_SWR);
    reply(document_a);
    assert_int_equal(w.n_bundles, 1); /* the same set: no new evidence */
    expect_served(ask(URL_SPEC), ENTRY_FRESH);
    tick_at(120000);
    expect_served(ask(URL_SPEC), ENTRY_SWR);
    reply(document_b);
    assert_int_equal(w.n_bundles, 2);
    struct caller *c = ask(URL_SPEC);
    assert_non_null(strstr(c->envelope, "bbbb"));
    expect_served(c, ENTRY_FRESH);
}

static void test_not_found(void **state)
{
    (void)state;
    struct caller *c = ask(URL_SPEC);
    reply_status(404);
    expect_refused(c, MS_ERR_NOT_FOUND);
    expect_refused(ask(URL_SPEC), MS_ERR_NOT_FOUND); /* at once */
    assert_int_equal(w.n_fetches, 1);
    tick_at(59999);
    expect_refused(ask(URL_SPEC), MS_ERR_NOT_FOUND);
    assert_int_equal(w.n_fetches, 1);
    tick_at(1);
    c = ask(URL_SPEC);
    assert_int_equal(w.n_fetches, 2);
    reply_status(404);
    expect_refused(c, MS_ERR_NOT_FOUND);
    c = ask_with(URL_SPEC, true, 0); /* refresh: whatever is remembered */
    assert_int_equal(w.n_fetches, 3);
    reply(document_a);
    expect_served(c, ENTRY_FRESH);
}

static void test_not_found_after_good(void **state)
{
    (void)state;
    have_location();
    tick_at(165000);
    struct caller *c = ask(URL_SPEC);
    reply_status(404);
    expect_served(c, ENTRY_SIE); /* E protects the set */
    tick_at(3600000 - 65000 - 1);
    c = ask(URL_SPEC);
    reply_status(410);
    expect_served(c, ENTRY_SIE);
    tick_at(1);
    expect_refused(ask(URL_SPEC), MS_ERR_NOT_FOUND);
    struct answer_id id = id_of(URL_SPEC);
    answer_read_lock();
    assert_int_equal(table_find(w.table, &id)->state, ENTRY_NEGATIVE);
    answer_read_unlock();
}

/* Retry-After of a location: not asked before, however small the back-off is. */
static void test_retry_after(void **state)
{
    (void)state;
    static const uint32_t statuses[] = {429, 503};
    for (size_t i = 0; i < MS_ARRAY_LEN(statuses); i++) {
        struct source_response r = {.status = statuses[i], .body = ms_span_str("no")};
        struct caller *c = ask_with(URL_SPEC, true, 0);
        r.header[SOURCE_HEADER_RETRY_AFTER] = "120";
        respond(0, r);
        expect_refused(c, MS_ERR_HTTP);
        tick_at(119999);
        expect_refused(ask(URL_SPEC), MS_ERR_HTTP);
        assert_int_equal(w.n_out, 0);
        tick_at(1);
        c = ask(URL_SPEC);
        assert_int_equal(w.n_out, 1);
        reply_status(500);
        end(c);
    }
    struct caller *c = ask(URL_SPEC); /* a failure without it has the back-off of 0 s */
    reply(document_a);
    expect_served(c, ENTRY_FRESH);
}

static void test_backoff_and_force(void **state)
{
    (void)state;
    w.random = UINT32_MAX;
    struct caller *c = ask(URL_SPEC);
    reply_error(MS_ERR_CONNECT);
    expect_refused(c, MS_ERR_CONNECT);
    expect_refused(ask(URL_SPEC), MS_ERR_CONNECT);
    assert_int_equal(w.n_fetches, 1);
    c = ask_with(URL_SPEC, true, 0);
    assert_int_equal(w.n_fetches, 2);
    reply(document_a);
    expect_served(c, ENTRY_FRESH);
}

static void test_not_modified(void **state)
{
    (void)state;
    struct caller *c = ask(URL_SPEC);
    assert_null(w.out[0].request.if_none_match);
    reply_with(document_a, "max-age=100", "\"v1\"");
    expect_served(c, ENTRY_FRESH);
    tick_at(110000);
    expect_served(ask(URL_SPEC), ENTRY_SWR);
    assert_string_equal(w.out[0].request.if_none_match, "\"v1\"");
    struct source_response r = {.status = 304};
    r.header[SOURCE_HEADER_CACHE_CONTROL] = "max-age=200";
    r.header[SOURCE_HEADER_ETAG] = "\"v1\"";
    respond(0, r);
    assert_int_equal(w.n_bundles, 1);
    tick_at(199999);
    c = ask(URL_SPEC);
    assert_non_null(strstr(c->envelope, "aaaa"));
    expect_served(c, ENTRY_FRESH);
    tick_at(1);
    expect_served(ask(URL_SPEC), ENTRY_SWR);
    assert_string_equal(w.out[0].request.if_none_match, "\"v1\"");
    reply_error(MS_ERR_CONNECT);
}

/* A 304 that nobody asked for says nothing. */
static void test_not_modified_unasked(void **state)
{
    (void)state;
    struct caller *c = ask(URL_SPEC);
    reply_status(304);
    expect_refused(c, MS_ERR_HTTP);
}

static void test_no_store(void **state)
{
    (void)state;
    struct caller *c = ask(URL_SPEC), *d = ask(URL_SPEC);
    reply_with(document_a, "no-store", NULL);
    expect_served(c, ENTRY_FRESH);
    expect_served(d, ENTRY_FRESH);
    assert_false(fast_serves(URL_SPEC));
    c = ask(URL_SPEC); /* the next one has to wait for its own */
    assert_false(c->done);
    assert_int_equal(w.n_fetches, 2);
    reply_with(document_b, "no-store", NULL);
    assert_non_null(strstr(c->envelope, "bbbb"));
    expect_served(c, ENTRY_FRESH);
    c = ask(URL_SPEC); /* and gets nothing when that does not come */
    tick_at(ENTRY_FIRST_WAIT_MS);
    expect_refused(c, MS_ERR_STALE);
    reply_error(MS_ERR_CONNECT);
    c = ask(URL_SPEC);
    reply_error(MS_ERR_CONNECT);
    expect_refused(c, MS_ERR_STALE);
}

/* max-age=0: who waited for the answer has a fresh one. */
static void test_max_age_zero(void **state)
{
    (void)state;
    struct caller *c = ask(URL_SPEC);
    reply_with(document_a, "max-age=0", NULL);
    expect_served(c, ENTRY_FRESH);
    assert_false(fast_serves(URL_SPEC));
    c = ask(URL_SPEC);
    assert_false(c->done);
    reply_error(MS_ERR_CONNECT);
    expect_served(c, ENTRY_SIE);
}

static void test_must_revalidate(void **state)
{
    (void)state;
    struct caller *c = ask(URL_SPEC);
    reply_with(document_a, "max-age=100, must-revalidate", NULL);
    expect_served(c, ENTRY_FRESH);
    w.now.boot_ms += 99999; /* no tick: the fast path alone */
    assert_true(fast_serves(URL_SPEC));
    w.now.boot_ms += 1;
    assert_false(fast_serves(URL_SPEC));
    c = ask(URL_SPEC);
    reply_error(MS_ERR_CONNECT);
    expect_refused(c, MS_ERR_STALE);
}

static void test_max_age_of_query(void **state)
{
    (void)state;
    have_location();
    tick_at(20000);
    expect_served(ask_with(URL_SPEC, false, 20), ENTRY_FRESH);
    assert_int_equal(w.n_fetches, 1);
    struct caller *c = ask_with(URL_SPEC, false, 19);
    assert_false(c->done);
    assert_int_equal(w.n_fetches, 2);
    reply(document_b);
    assert_non_null(strstr(c->envelope, "bbbb"));
    expect_served(c, ENTRY_FRESH);
    (void)end(ask_with(URL_SPEC, false, INT64_MAX));
}

/* ---- contracts ---- */

static void test_contract(void **state)
{
    (void)state;
    struct chain chain;

    chain_init(&chain);
    (void)chain_approve(&chain, document_a, NULL);
    use_chain(&chain);
    struct caller *c = ask(CHAIN_SPEC);
    chain_replies();
    assert_non_null(strstr(c->envelope, "\"trust\":\"proof\""));
    expect_served(c, ENTRY_FRESH);
    size_t fetches = w.n_fetches;
    tick_at(12000 - 1); /* polled every 12 + U(0,4) s, for revocations in the newest state */
    assert_int_equal(w.n_fetches, fetches);
    tick_at(1);
    assert_true(w.n_fetches > fetches);
    use_chain(&chain);
    chain_replies();
    assert_int_equal(w.n_bundles, 1);

    (void)chain_approve(&chain, document_b, NULL);
    tick_at(60000);
    use_chain(&chain);
    chain_replies();
    assert_int_equal(w.n_bundles, 2);
    c = ask(CHAIN_SPEC);
    assert_non_null(strstr(c->envelope, "bbbb"));
    expect_served(c, ENTRY_FRESH);

    chain_revoke_all(&chain); /* nothing approved is an answer */
    tick_at(60000);
    use_chain(&chain);
    chain_replies();
    c = ask(CHAIN_SPEC);
    assert_non_null(strstr(c->envelope, "\"releases\":[]"));
    expect_served(c, ENTRY_REVOKED);
    struct answer_id id = id_of(CHAIN_SPEC);
    answer_read_lock();
    struct answer *a = table_find(w.table, &id);
    struct MHD_Response *response = NULL;
    struct ms_diag diag = {0};
    bool once = true;
    assert_int_equal(a->n_sets, 0);
    for (size_t p = REC_PROFILE_SEED; p < ANSWER_PROFILES; p++)
        assert_int_equal(publish_records(a, &(struct publish_ask){.profile = (enum rec_profile)p},
                                         &response, &once, &diag),
                         MS_OK);
    assert_false(once);
    answer_read_unlock();
    world_stop();
    chain_done(&chain);
}

/* Fetches succeed, but the chain stands still: it ages out at X all the same. */
static void test_frozen_chain(void **state)
{
    (void)state;
    struct chain chain;

    chain_init(&chain);
    (void)chain_approve(&chain, document_a, NULL);
    use_chain(&chain);
    int64_t block_s = chain_time(w.nodes[0].final);
    struct caller *c = ask(CHAIN_SPEC);
    chain_replies();
    expect_served(c, ENTRY_FRESH);
    int64_t left_ms = (block_s + 21600 - w.now.wall_s) * 1000;
    while (left_ms > 60000) {
        tick_at(59000);
        chain_replies();
        left_ms -= 59000;
        assert_true(fast_serves(CHAIN_SPEC));
    }
    tick_at(left_ms - 1);
    chain_replies();
    assert_true(fast_serves(CHAIN_SPEC));
    w.now.boot_ms += 1; /* without a tick */
    w.now.wall_s = WALL_S + (w.now.boot_ms - BOOT_MS) / 1000;
    w.now.wall_ms = (int32_t)((w.now.boot_ms - BOOT_MS) % 1000);
    assert_false(fast_serves(CHAIN_SPEC));
    c = ask(CHAIN_SPEC);
    chain_replies();
    expect_refused(c, MS_ERR_STALE);
    world_stop();
    chain_done(&chain);
}

/* An older block of the same state, by a node that lags, does not turn back the time of the chain.
 */
static void test_older_block(void **state)
{
    (void)state;
    struct chain chain;

    chain_init(&chain);
    struct registry_release *r = chain_approve(&chain, document_a, NULL);
    use_chain(&chain);
    r->not_before_s = (uint64_t)chain_time(w.nodes[0].final);
    struct caller *c = ask(CHAIN_SPEC);
    chain_replies();
    expect_served(c, ENTRY_FRESH);
    tick_at(60000);
    for (size_t i = 0; i < 4; i++)
        w.nodes[i].final -= 5;
    chain_replies();
    expect_served(ask(CHAIN_SPEC), ENTRY_FRESH); /* not revoked: the release stays in force */
    world_stop();
    chain_done(&chain);
}

static void test_conflict(void **state)
{
    (void)state;
    struct chain chain, other;

    chain_init(&chain);
    (void)chain_approve(&chain, document_a, NULL);
    chain_init(&other);
    (void)chain_approve(&other, document_b, NULL);
    use_chain(&chain);
    struct caller *c = ask(CHAIN_SPEC);
    chain_replies();
    expect_served(c, ENTRY_FRESH);

    use_chain(&other);
    c = ask_with(CHAIN_SPEC, true, 0);
    chain_replies();
    expect_refused(c, MS_ERR_CONFLICT);
    assert_int_equal(w.n_bundles, 2); /* both documents are kept */
    assert_false(fast_serves(CHAIN_SPEC));
    use_chain(&chain); /* the good one again does not clear it */
    c = ask_with(CHAIN_SPEC, true, 0);
    chain_replies();
    expect_refused(c, MS_ERR_CONFLICT);
    tick_at(3600000);
    use_chain(&chain);
    chain_replies();
    c = ask(CHAIN_SPEC);
    chain_replies();
    expect_refused(c, MS_ERR_CONFLICT);
    (void)chain_approve(&chain, document_b, NULL); /* a higher sequence does, at L3 */
    use_chain(&chain);
    c = ask_with(CHAIN_SPEC, true, 0);
    chain_replies();
    expect_served(c, ENTRY_FRESH);
    world_stop();
    chain_done(&chain);
    chain_done(&other);
}

/* A contradiction whose evidence cannot be stored is one all the same. */
static void test_conflict_not_stored(void **state)
{
    (void)state;
    struct chain chain, other;

    chain_init(&chain);
    (void)chain_approve(&chain, document_a, NULL);
    chain_init(&other);
    (void)chain_approve(&other, document_b, NULL);
    use_chain(&chain);
    struct caller *c = ask(CHAIN_SPEC);
    chain_replies();
    expect_served(c, ENTRY_FRESH);
    w.store_err = MS_ERR_STORE;
    use_chain(&other);
    c = ask_with(CHAIN_SPEC, true, 0);
    chain_replies();
    assert_false(c->serve);
    free(c);
    assert_false(fast_serves(CHAIN_SPEC));
    world_stop();
    chain_done(&chain);
    chain_done(&other);
}

static void test_conflict_at_l2(void **state)
{
    (void)state;
    struct chain chain, other;

    w.options.policy.level = SPEC_LEVEL_L2;
    core_set_options(w.core, &w.options);
    chain_init(&chain);
    (void)chain_approve(&chain, document_a, NULL);
    chain_init(&other);
    (void)chain_approve(&other, document_b, NULL);
    use_chain(&chain);
    struct caller *c = ask(CHAIN_SPEC);
    chain_replies();
    expect_served(c, ENTRY_FRESH);
    use_chain(&other);
    c = ask_with(CHAIN_SPEC, true, 0);
    chain_replies();
    expect_refused(c, MS_ERR_CONFLICT);
    (void)chain_approve(&chain, document_b, NULL);
    use_chain(&chain);
    c = ask_with(CHAIN_SPEC, true, 0);
    chain_replies();
    expect_refused(c, MS_ERR_CONFLICT); /* L2 is not enough to clear it */
    world_stop();
    chain_done(&chain);
    chain_done(&other);
}

/* A lower sequence in a later block: at L2 an answer to be thrown away, at L3, where it is proven,
 * a contradiction (6.3, Regression). In an older block, of nodes that lag, it is neither. */
static void rollback_at(enum spec_level level, bool lags, enum ms_err want)
{
    struct chain chain;

    w.options.policy.level = level;
    core_set_options(w.core, &w.options);
    chain_init(&chain);
    (void)chain_approve(&chain, document_a, NULL);
    chain_touch(&chain);
    use_chain(&chain);
    struct caller *c = ask(CHAIN_SPEC);
    chain_replies();
    expect_served(c, ENTRY_FRESH);
    chain.snapshot.state.sequence--;
    chain.snapshot.n_releases = 0;
    c = ask_with(CHAIN_SPEC, true, 0);
    use_chain(&chain);
    for (size_t i = 0; lags && i < MS_ARRAY_LEN(w.nodes); i++)
        w.nodes[i].final -= 2;
    chain_replies();
    if (want == MS_ERR_CONFLICT) {
        expect_refused(c, want);
    } else {
        assert_int_equal(c->r.err, want);
        assert_non_null(strstr(c->envelope, "aaaa"));
        expect_served(c, ENTRY_FRESH);
    }
    world_stop();
    chain_done(&chain);
    world_start();
    memset(w.nodes, 0, sizeof(w.nodes));
}

static void test_rollback(void **state)
{
    (void)state;
    rollback_at(SPEC_LEVEL_L2, false, MS_ERR_ROLLBACK);
    rollback_at(SPEC_LEVEL_L3, false, MS_ERR_CONFLICT);
    rollback_at(SPEC_LEVEL_L3, true, MS_ERR_ROLLBACK);
}

static void test_liar_is_benched(void **state)
{
    (void)state;
    struct chain chain;

    chain_init(&chain);
    (void)chain_approve(&chain, document_a, NULL);
    w.options.policy = play_policy(SPEC_LEVEL_L3, 2, 3);
    core_set_options(w.core, &w.options);
    w.nodes[0].lie = NODE_SNAPSHOT;
    use_chain(&chain);
    struct caller *c = ask(CHAIN_SPEC);
    chain_replies();
    expect_served(c, ENTRY_FRESH);
    assert_int_equal(w.n_benched, 1);
    assert_true(w.benched[0]);
    size_t asked = w.nodes[0].asked;
    c = ask_with(CHAIN_SPEC, true, 0);
    chain_replies();
    expect_served(c, ENTRY_FRESH);
    assert_int_equal(w.nodes[0].asked, asked); /* not again */
    world_stop();
    chain_done(&chain);
}

/* What the last bundle says again. */
static enum ms_err replay_last(void)
{
    struct source_result *result = NULL;
    struct ms_diag diag = {0};
    struct spec spec;

    spec_init(&spec);
    enum ms_err err = bundle_verify(ms_buf_span(&w.last_bundle), &spec, &result, &diag);
    if (err == MS_OK)
        spec_done(&spec);
    source_result_free(result);
    return err;
}

static void three_nodes(const struct chain *chain, enum spec_level level)
{
    w.options.policy = play_policy(level, 2, 3);
    core_set_options(w.core, &w.options);
    use_chain(chain);
}

/* What an endpoint refused once it is not asked again; the bundle knows, so that it replays. */
static void test_manners(void **state)
{
    (void)state;
    static const enum node_lie lies[] = {NODE_BATCH_ERROR, NODE_NO_EIP1898};
    static const size_t messages[] = {13, 4}; /* none of which is refused */
    struct chain chain;

    chain_init(&chain);
    for (size_t i = 0; i < MS_ARRAY_LEN(lies); i++) {
        (void)chain_approve(&chain, document_a, NULL);
        w.nodes[0].lie = w.nodes[1].lie = lies[i];
        use_chain(&chain);
        struct caller *c = ask_with(CHAIN_SPEC, true, 0);
        chain_replies();
        expect_served(c, ENTRY_FRESH);
        assert_int_equal(w.manners[0].no_batch, lies[i] == NODE_BATCH_ERROR);
        assert_int_equal(w.manners[0].bare_hash, lies[i] == NODE_NO_EIP1898);
        (void)chain_approve(&chain, document_b, NULL);
        use_chain(&chain);
        c = ask_with(CHAIN_SPEC, true, 0);
        chain_replies();
        size_t asked = w.nodes[0].asked;
        expect_served(c, ENTRY_FRESH);
        assert_int_equal(asked, messages[i]);
        assert_int_equal(replay_last(), MS_OK);
        w.manners[0] = w.manners[1] = (struct source_manners){0};
    }
    w.nodes[0].lie = w.nodes[1].lie = NODE_HONEST;
    world_stop();
    chain_done(&chain);
}

/* Two agree and the third says nothing: it has a second, whatever the ten it may take, and no one
 * is told that it was good. */
static void test_straggler(void **state)
{
    (void)state;
    struct chain chain;

    chain_init(&chain);
    (void)chain_approve(&chain, document_a, NULL);
    for (int level = SPEC_LEVEL_L2; level <= SPEC_LEVEL_L3; level++) {
        w.nodes[0].lie = NODE_HANGS;
        three_nodes(&chain, (enum spec_level)level);
        struct caller *c = ask(CHAIN_SPEC);
        chain_replies();
        assert_int_equal(w.n_out, 1);
        tick_at(SOURCE_GRACE_MS - 1);
        assert_int_equal(w.n_out, 1);
        assert_false(c->done);
        size_t cancels = w.n_cancels;
        tick_at(1);
        chain_replies();
        expect_served(c, ENTRY_FRESH);
        assert_int_equal(w.n_cancels, cancels + 1);
        assert_int_equal(w.conduct[0], SOURCE_CONDUCT_OWING);
        assert_int_equal(w.conduct[1], SOURCE_CONDUCT_GOOD);
        assert_int_equal(replay_last(), MS_OK);
    }
    world_stop();
    chain_done(&chain);
}

/* Who proves hangs: another one is asked after a second. Its answer counts when it comes first. */
static void test_slow_prover(void **state)
{
    (void)state;
    struct chain chain;

    chain_init(&chain);
    (void)chain_approve(&chain, document_a, NULL);
    w.nodes[0].lie = NODE_DATA_HANGS;
    three_nodes(&chain, SPEC_LEVEL_L3);
    struct caller *c = ask(CHAIN_SPEC);
    chain_replies();
    size_t fetches = w.n_fetches;
    tick_at(SOURCE_GRACE_MS);
    assert_true(w.n_fetches > fetches);
    chain_replies();
    expect_served(c, ENTRY_FRESH);
    assert_int_equal(w.conduct[0], SOURCE_CONDUCT_OWING);
    assert_int_equal(replay_last(), MS_OK);

    c = ask_with(CHAIN_SPEC, true, 0);
    chain_replies();
    w.nodes[1].lie = w.nodes[2].lie = NODE_DATA_HANGS; /* all are slow, the first wakes up */
    tick_at(SOURCE_GRACE_MS);
    w.nodes[0].lie = NODE_HONEST;
    chain_replies();
    tick_at(SOURCE_GRACE_MS);
    chain_replies();
    tick_at(SOURCE_GRACE_MS); /* who owns it is not waited for longer */
    expect_served(c, ENTRY_FRESH);
    assert_int_equal(w.conduct[0], SOURCE_CONDUCT_GOOD);
    assert_int_equal(w.conduct[1], SOURCE_CONDUCT_OWING);
    world_stop();
    chain_done(&chain);
}

/* Two agree and the third contradicts within its second, or later while the answer is still being
 * made: dissent, with its evidence. */
static void test_dissent_in_grace(void **state)
{
    (void)state;
    struct chain chain;

    chain_init(&chain);
    (void)chain_approve(&chain, document_a, NULL);
    for (int late = 0; late < 2; late++) {
        w.nodes[0].lie = NODE_HANGS;
        three_nodes(&chain, SPEC_LEVEL_L3);
        w.random = UINT32_MAX;
        struct caller *c = ask_with(CHAIN_SPEC, true, 0);
        chain_replies();
        tick_at(SOURCE_GRACE_MS - 1);
        if (late == 1)
            tick_at(1);
        w.nodes[0].lie = NODE_FORK;
        w.last_bundle.len = 0;
        node_replies(0);
        w.nodes[0].lie = NODE_HONEST;
        expect_refused(c, MS_ERR_DISSENT);
        if (late == 0) /* it is kept once for each time it begins */
            assert_int_equal(replay_last(), MS_OK);
        w.random = 0;
    }
    world_stop();
    chain_done(&chain);
}

/* One release ends in the very second in which the other begins, and nobody is asked. */
static void test_release_windows(void **state)
{
    (void)state;
    struct chain chain;

    chain_init(&chain);
    struct registry_release *a = chain_approve(&chain, document_a, NULL);
    struct registry_release *b = chain_approve(&chain, document_b, NULL);
    use_chain(&chain);
    a->not_after_s = (uint64_t)w.now.wall_s + 50;
    b->not_before_s = (uint64_t)w.now.wall_s + 50;
    struct caller *c = ask(CHAIN_SPEC);
    chain_replies();
    assert_non_null(strstr(c->envelope, "\"status\":\"pending\""));
    expect_served(c, ENTRY_FRESH);
    struct answer_id id = id_of(CHAIN_SPEC);
    size_t fetches = w.n_fetches;

    w.now.boot_ms += 50000 - 1; /* no tick: the fast path must end by itself */
    w.now.wall_s += 49;
    w.now.wall_ms = 999;
    assert_true(fast_serves(CHAIN_SPEC));
    answer_read_lock();
    assert_int_equal(table_find(w.table, &id)->set_release[0], 0);
    answer_read_unlock();
    w.now.boot_ms += 1;
    w.now.wall_s += 1;
    w.now.wall_ms = 0;
    assert_false(fast_serves(CHAIN_SPEC));
    c = ask(CHAIN_SPEC);
    assert_non_null(strstr(c->envelope, "\"status\":\"expired\""));
    assert_null(strstr(c->envelope, "\"status\":\"pending\""));
    expect_served(c, ENTRY_FRESH);
    answer_read_lock();
    assert_int_equal(table_find(w.table, &id)->n_sets, 1);
    assert_int_equal(table_find(w.table, &id)->set_release[0], 1);
    answer_read_unlock();
    assert_int_equal(w.n_fetches, fetches);
    world_stop();
    chain_done(&chain);
}

/* A clock that is ahead puts nothing in force; what ends, ends. Then the chain's own time counts.
 */
static void test_release_windows_fast_clock(void **state)
{
    (void)state;
    struct chain chain;

    chain_init(&chain);
    struct registry_release *a = chain_approve(&chain, document_a, NULL);
    struct registry_release *b = chain_approve(&chain, document_b, NULL);
    use_chain(&chain);
    int64_t chain_s = chain_time(w.nodes[0].final);
    a->not_after_s = (uint64_t)w.now.wall_s + 3600;
    b->not_before_s = (uint64_t)w.now.wall_s + 3600;
    struct caller *c = ask(CHAIN_SPEC);
    chain_replies();
    expect_served(c, ENTRY_FRESH);
    struct answer_id id = id_of(CHAIN_SPEC);
    w.wall_offset_s = 3600;
    tick_at(0);
    answer_read_lock();
    assert_int_equal(table_find(w.table, &id)->n_sets, 0);
    answer_read_unlock();
    uint64_t blocks = (b->not_before_s - (uint64_t)chain_s + 11) / 12;
    for (size_t i = 0; i < MS_ARRAY_LEN(w.nodes); i++) {
        w.nodes[i].final += blocks - 1;
        w.nodes[i].head = w.nodes[i].final;
    }
    w.wall_offset_s = 8000; /* still far from what the newest block says */
    tick_at(0);
    c = ask_with(CHAIN_SPEC, true, 0);
    chain_replies();
    expect_served(c, ENTRY_REVOKED); /* one block too early */
    for (size_t i = 0; i < MS_ARRAY_LEN(w.nodes); i++)
        w.nodes[i].head = w.nodes[i].final += 1;
    c = ask_with(CHAIN_SPEC, true, 0);
    chain_replies();
    expect_served(c, ENTRY_FRESH);
    answer_read_lock();
    assert_int_equal(table_find(w.table, &id)->set_release[0], 1);
    answer_read_unlock();
    world_stop();
    chain_done(&chain);
}

static void test_valid_until(void **state)
{
    (void)state;
    struct chain chain;

    chain_init(&chain);
    (void)chain_approve(&chain, document_a, NULL);
    chain.snapshot.state.valid_until_s = (uint64_t)w.now.wall_s + 30;
    use_chain(&chain);
    struct caller *c = ask(CHAIN_SPEC);
    chain_replies();
    expect_served(c, ENTRY_FRESH);
    tick_at(31000 - 1); /* inclusive */
    assert_true(fast_serves(CHAIN_SPEC));
    tick_at(1);
    assert_false(fast_serves(CHAIN_SPEC));
    c = ask(CHAIN_SPEC);
    chain_replies();
    expect_refused(c, MS_ERR_STALE);
    world_stop();
    chain_done(&chain);
}

/* Numbers that a governance may well write: the end of time. */
static void test_extremes(void **state)
{
    (void)state;
    struct chain chain;

    chain_init(&chain);
    struct registry_release *r = chain_approve(&chain, document_a, NULL);
    r->not_after_s = UINT64_MAX;
    chain.snapshot.state.valid_until_s = UINT64_MAX;
    chain.snapshot.state.sequence = UINT64_MAX;
    use_chain(&chain);
    struct caller *c = ask(CHAIN_SPEC);
    chain_replies();
    expect_served(c, ENTRY_FRESH);
    tick_at(30000);
    assert_true(fast_serves(CHAIN_SPEC));
    world_stop();
    chain_done(&chain);
}

/* The wall clock is set forward: what ends by it ends, although no time has passed. */
static void test_wall_clock_jumps(void **state)
{
    (void)state;
    struct chain chain;

    chain_init(&chain);
    struct registry_release *r = chain_approve(&chain, document_a, NULL);
    r->not_after_s = (uint64_t)w.now.wall_s + 1000;
    use_chain(&chain);
    struct caller *c = ask(CHAIN_SPEC);
    chain_replies();
    expect_served(c, ENTRY_FRESH);
    w.now.wall_s += 1000;
    core_tick(w.core);
    struct answer_id id = id_of(CHAIN_SPEC);
    answer_read_lock();
    assert_int_equal(table_find(w.table, &id)->n_sets, 0);
    answer_read_unlock();
    w.now.wall_s -= 4000; /* and far back: nothing signed can be judged by it */
    core_tick(w.core);
    assert_false(fast_serves(CHAIN_SPEC));
    c = ask(CHAIN_SPEC);
    assert_false(c->serve);
    chain_replies();
    expect_refused(c, MS_ERR_CLOCK);
    world_stop();
    chain_done(&chain);
}

/* A location's times are our own clock's: when that is put right, the next answer is believed
 * again. */
static void test_clock_put_right(void **state)
{
    (void)state;
    have_location();
    w.now.wall_s -= 86400;
    core_tick(w.core);
    assert_false(fast_serves(URL_SPEC));
    struct caller *c = ask(URL_SPEC);
    assert_false(c->done);
    reply(document_a);
    expect_served(c, ENTRY_FRESH);
}

static void test_options_reload(void **state)
{
    (void)state;
    struct chain chain;

    chain_init(&chain);
    (void)chain_approve(&chain, document_a, NULL);
    use_chain(&chain);
    struct caller *c = ask(CHAIN_SPEC);
    size_t out = w.n_out;
    assert_true(out > 0);
    struct sent old = w.out[0];
    core_set_options(w.core, &w.options);
    assert_int_equal(w.n_cancels, out);
    assert_int_equal(w.n_out, out); /* asked again */
    (void)old;
    assert_false(c->done);
    chain_replies();
    expect_served(c, ENTRY_FRESH);

    c = ask_with(CHAIN_SPEC, true, 0);
    struct source_policy none = {.level = SPEC_LEVEL_L3, .quorum = 2};
    w.options.policy = none;
    core_set_options(w.core, &w.options); /* restarts, and fails at once */
    assert_true(c->done);
    assert_int_equal(c->r.err, MS_ERR_NO_RPC);
    free(c);
    world_stop();
    chain_done(&chain);
}

/* ---- watchers ---- */

struct watcher {
    struct core_watcher watcher;
    size_t n;
    char state[32];
};

static void on_event(struct core_watcher *watcher, const char *envelope, size_t len)
{
    struct watcher *me = (struct watcher *)((char *)watcher - offsetof(struct watcher, watcher));
    const char *at = strstr(envelope, "\"state\":\"");

    me->n++;
    assert_non_null(at);
    assert_int_equal(strlen(envelope), len);
    (void)snprintf(me->state, sizeof(me->state), "%.*s", (int)strcspn(at + 9, "\""), at + 9);
}

static void watch(struct watcher *me, const char *text)
{
    *me = (struct watcher){.watcher = {.id = id_of(text), .event = on_event}};
    assert_int_equal(core_watch(w.core, &me->watcher, spec_of(text), NULL), MS_OK);
    settle();
}

static void test_watch(void **state)
{
    (void)state;
    struct watcher one, two;

    watch(&one, URL_SPEC);
    assert_int_equal(one.n, 0);
    assert_int_equal(w.n_fetches, 1);
    reply(document_a);
    assert_int_equal(one.n, 1);
    assert_string_equal(one.state, "fresh");
    watch(&two, URL_SPEC);
    assert_int_equal(two.n, 1); /* at once */
    assert_int_equal(w.n_fetches, 1);
    for (size_t i = 0; i < 99; i++)
        tick_at(1000);
    assert_int_equal(one.n, 1);
    tick_at(1000); /* SWR: the state changed; a watched entry is refreshed by itself */
    assert_int_equal(one.n, 2);
    assert_string_equal(one.state, "stale-while-revalidate");
    assert_int_equal(w.n_fetches, 2);
    reply(document_a);
    assert_int_equal(one.n, 3);
    assert_string_equal(one.state, "fresh");
    (void)end(ask_with(URL_SPEC, false, 0));
    struct caller *c = ask_with(URL_SPEC, true, 0);
    reply(document_a); /* the same again: no event */
    (void)end(c);
    assert_int_equal(one.n, 3);
    c = ask_with(URL_SPEC, true, 0);
    reply(document_b);
    (void)end(c);
    assert_int_equal(one.n, 4);
    assert_int_equal(two.n, 4);
    core_unwatch(w.core, &one.watcher);
    core_unwatch(w.core, &one.watcher); /* twice does no harm */
    c = ask_with(URL_SPEC, true, 0);
    reply(document_a);
    (void)end(c);
    assert_int_equal(one.n, 4);
    assert_int_equal(two.n, 5);
    core_unwatch(w.core, &two.watcher);
}

static void test_watch_error(void **state)
{
    (void)state;
    struct watcher one;

    watch(&one, URL_SPEC);
    reply_status(404);
    assert_int_equal(one.n, 1);
    assert_string_equal(one.state, "negative");
    tick_at(60000);
    assert_int_equal(w.n_fetches, 2); /* tried again by itself */
    reply(document_a);
    assert_string_equal(one.state, "fresh");
    core_unwatch(w.core, &one.watcher);
}

/* Who watches a list that may not be kept does not make us fetch it several times a second. */
static void test_watch_no_store(void **state)
{
    (void)state;
    struct watcher one;

    watch(&one, URL_SPEC);
    reply_with(document_a, "no-store", NULL);
    assert_int_equal(one.n, 1);
    for (size_t i = 0; i < 40; i++) { /* 10 s */
        tick_at(250);
        if (w.n_out > 0)
            reply_with(document_a, "no-store", NULL);
    }
    assert_true(w.n_fetches <= 2);
    for (size_t i = 0; i < 240; i++) { /* but it is asked again within a minute or so */
        tick_at(250);
        if (w.n_out > 0)
            reply_with(document_b, "no-store", NULL);
    }
    assert_in_range(w.n_fetches, 2, 3);
    core_unwatch(w.core, &one.watcher);
}

/* Whose specifier takes nothing older than max-age= has a confirmation before that, and a failing
 * source is not asked more often for it; the others, whom the set's own lifetime is enough, change
 * nothing. */
static void test_watch_max_age(void **state)
{
    (void)state;
    struct watcher one, young;

    watch(&one, URL_SPEC);
    reply(document_a); /* for 100 s */
    watch(&young, URL_SPEC);
    young.watcher.max_age_s = 30;
    for (size_t i = 0; i < 23; i++)
        tick_at(1000);
    assert_int_equal(w.n_out, 0);
    for (size_t i = 0; i < 2; i++)
        tick_at(1000);
    assert_int_equal(w.n_out, 1);
    reply(document_a);
    assert_int_equal(w.n_fetches, 2);
    assert_int_equal(one.n, 1); /* the same set: no event */
    for (size_t i = 0; i < 24; i++)
        tick_at(1000);
    assert_int_equal(w.n_out, 1);
    w.random = UINT32_MAX; /* the full backoff */
    reply_status(503);
    size_t asked = w.n_fetches;
    for (size_t i = 0; i < 40; i++) { /* 10 s: each attempt rests longer */
        tick_at(250);
        if (w.n_out > 0)
            reply_status(503);
    }
    assert_in_range(w.n_fetches, asked + 1, asked + 5);
    core_unwatch(w.core, &young.watcher);
    core_unwatch(w.core, &one.watcher);
}

/* ---- values that somebody asks about ---- */

static struct chain app_chain;
static struct chain_contract app;

/* A contract that approves value 1, read once; the rest after that attempt is over. */
static void have_app(void)
{
    struct source_candidate one = mapping_candidate(SOURCE_CANDIDATE_COMPOSE_HASH, 1);

    chain_init(&app_chain);
    mapping_app(&app);
    mapping_set(&app, &one, true);
    app_chain.contract = &app;
    use_chain(&app_chain);
    struct caller *c = ask_about(CHAIN_SPEC, 1);
    chain_replies();
    expect_served(c, ENTRY_FRESH);
    assert_int_equal(w.n_attempts, 1);
    tick_at(CORE_CANDIDATE_REST_MS);
}

static void drop_app(void)
{
    world_stop();
    chain_done(&app_chain);
}

/* What the published answer knows of a value: 1 approved, 0 not, -1 nothing. */
static int known(uint8_t byte)
{
    struct source_candidate c = mapping_candidate(SOURCE_CANDIDATE_COMPOSE_HASH, byte);
    struct answer_id id = id_of(CHAIN_SPEC);
    int found = -1;

    answer_read_lock();
    struct answer *a = table_find(w.table, &id);
    assert_non_null(a);
    for (size_t i = 0; a->serve && i < a->shared->result->n_candidates; i++)
        if (source_candidate_cmp(&a->shared->result->candidates[i], &c) == 0)
            found = a->shared->result->candidates[i].approved;
    answer_read_unlock();
    return found;
}

static void test_asked_together(void **state)
{
    (void)state;
    have_app();
    /* the first begins an attempt; who comes while it is under way gets the next one */
    struct caller *a = ask_about(CHAIN_SPEC, 2), *b = ask_about(CHAIN_SPEC, 3),
                  *c = ask_about(CHAIN_SPEC, 4), *known_already = ask_about(CHAIN_SPEC, 1);
    expect_served(known_already, ENTRY_FRESH);
    assert_int_equal(w.n_attempts, 2);
    use_chain(&app_chain);
    chain_replies();
    assert_int_equal(known(2), 0);
    assert_int_equal(known(3), -1);
    expect_served(a, ENTRY_FRESH);
    assert_false(b->done || c->done);
    tick_at(CORE_CANDIDATE_REST_MS); /* and they share it */
    assert_int_equal(w.n_attempts, 3);
    use_chain(&app_chain);
    chain_replies();
    assert_true(known(3) == 0 && known(4) == 0 && known(1) == 1);
    expect_served(b, ENTRY_FRESH);
    expect_served(c, ENTRY_FRESH);

    a = ask_about(CHAIN_SPEC, 5); /* within the rest: the tick begins it */
    assert_int_equal(w.n_attempts, 3);
    assert_false(a->done);
    tick_at(CORE_CANDIDATE_REST_MS);
    assert_int_equal(w.n_attempts, 4);
    use_chain(&app_chain);
    chain_replies();
    expect_served(a, ENTRY_FRESH);
    drop_app();
}

/* One of the values is known, and not approved: the attempt that the other one begins asks about
 * both, or its answer would not know the first any more. */
static void test_asked_both(void **state)
{
    (void)state;
    have_app();
    struct caller *a = ask_about(CHAIN_SPEC, 2);
    use_chain(&app_chain);
    chain_replies();
    expect_served(a, ENTRY_FRESH);
    assert_int_equal(known(2), 0);
    tick_at(CORE_CANDIDATE_REST_MS);
    a = ask_about_both(CHAIN_SPEC, 2, 3, 0);
    assert_int_equal(w.n_attempts, 3);
    use_chain(&app_chain);
    chain_replies();
    expect_served(a, ENTRY_FRESH);
    assert_true(known(1) == 1 && known(2) == 0 && known(3) == 0);
    expect_served(ask_about_both(CHAIN_SPEC, 3, 2, 0), ENTRY_FRESH); /* both known: at once */
    assert_int_equal(w.n_attempts, 3);
    drop_app();
}

/* Who says how long to wait waits no longer, and not longer than others either. */
static void test_asked_for_a_while(void **state)
{
    (void)state;
    have_app();
    struct caller *a = ask_about_both(CHAIN_SPEC, 2, 3, 2000),
                  *b = ask_about_both(CHAIN_SPEC, 4, 5, 10 * ENTRY_FIRST_WAIT_MS);
    tick_at(1900);
    assert_false(a->done || b->done);
    tick_at(200);
    expect_served(a, ENTRY_FRESH); /* the old answer, which knows nothing of them */
    assert_true(known(2) == -1 && !b->done);
    tick_at(ENTRY_FIRST_WAIT_MS - 2100);
    expect_served(b, ENTRY_FRESH);
    drop_app();
}

static void test_asked_unanswered(void **state)
{
    (void)state;
    have_app();
    struct caller *a = ask_about(CHAIN_SPEC, 2), *b = ask_about(CHAIN_SPEC, 3);
    for (size_t i = 0; i < 10 && !(a->done && b->done); i++)
        tick_at(CORE_REFRESH_WAIT_MS / 10); /* nobody answers: they do not wait for ever */
    expect_served(a, ENTRY_FRESH);
    expect_served(b, ENTRY_FRESH);
    assert_int_equal(known(2), -1); /* which check calls unknown */
    drop_app();
}

/* What is not approved is asked about once, what is approved at each poll. */
static void test_asked_once(void **state)
{
    (void)state;
    have_app();
    struct caller *a = ask_about(CHAIN_SPEC, 0x77);
    w.needle = "777777777777";
    use_chain(&app_chain);
    chain_replies();
    expect_served(a, ENTRY_FRESH);
    assert_true(w.n_needles > 0);
    w.n_needles = 0;
    tick_at(17000);
    use_chain(&app_chain);
    chain_replies();
    assert_int_equal(w.n_attempts, 3);
    assert_int_equal(w.n_needles, 0);
    assert_true(known(1) == 1 && known(0x77) == -1);
    drop_app();
}

/* Checks of random values are no way to make many attempts: one a second while the source answers,
 * as the backoff allows while it does not, none while there is a definite no. */
static void ask_for_a_minute(const struct chain *chain)
{
    static struct caller *callers[2000];
    size_t n = 0;

    w.n_attempts = 0;
    use_chain(chain);
    for (size_t i = 0; i < 600; i++) {
        callers[n++] = ask_about(CHAIN_SPEC, (uint8_t)(2 + i % 250));
        if (w.n_out > 0) /* while it is under way, too */
            callers[n++] = ask_about(CHAIN_SPEC, (uint8_t)(2 + (i + 100) % 250));
        chain_replies();
        tick_at(100);
    }
    chain_replies();
    tick_at(ENTRY_FIRST_WAIT_MS);
    chain_replies();
    for (size_t i = 0; i < n; i++)
        (void)end(callers[i]);
}

static void test_asked_often(void **state)
{
    (void)state;
    have_app();
    w.random = UINT32_MAX;
    ask_for_a_minute(&app_chain);
    assert_in_range(w.n_attempts, 10, 66);

    for (size_t i = 0; i < MS_ARRAY_LEN(w.nodes); i++)
        w.nodes[i].lie = NODE_DEAD;
    ask_for_a_minute(&app_chain);
    assert_in_range(w.n_attempts, 1, 8);
    drop_app();

    world_start(); /* nothing there: 300 s */
    chain_init(&app_chain);
    app_chain.no_account = true;
    for (size_t i = 0; i < MS_ARRAY_LEN(w.nodes); i++)
        w.nodes[i].lie = NODE_HONEST;
    ask_for_a_minute(&app_chain);
    assert_int_equal(w.n_attempts, 1);
    drop_app();
}

/* A registry's answer tells all: nobody's value begins an attempt. */
static void test_asked_of_a_registry(void **state)
{
    (void)state;
    struct chain chain;

    chain_init(&chain);
    (void)chain_approve(&chain, document_a, NULL);
    use_chain(&chain);
    struct caller *a = ask(CHAIN_SPEC), *b = ask_about(CHAIN_SPEC, 2);
    chain_replies();
    expect_served(a, ENTRY_FRESH);
    expect_served(b, ENTRY_FRESH);
    tick_at(CORE_CANDIDATE_REST_MS);
    expect_served(ask_about(CHAIN_SPEC, 3), ENTRY_FRESH);
    tick_at(CORE_CANDIDATE_REST_MS);
    assert_int_equal(w.n_attempts, 1);
    world_stop();
    chain_done(&chain);
}

/* Questions do not push out what is listed. */
static void test_asked_of_many(void **state)
{
    (void)state;
    static struct chain_log logs[SOURCE_CANDIDATES_MAX];
    struct caller *callers[CORE_ASKED_MAX];

    chain_init(&app_chain);
    mapping_app(&app);
    for (size_t i = 0; i < SOURCE_CANDIDATES_MAX; i++) {
        struct source_candidate c =
            mapping_candidate(SOURCE_CANDIDATE_COMPOSE_HASH, (uint8_t)(i + 1));
        mapping_set(&app, &c, true);
        logs[i] = mapping_log(&app_chain, &c, 10);
    }
    app.logs = logs;
    app.n_logs = SOURCE_CANDIDATES_MAX;
    app_chain.contract = &app;
    use_chain(&app_chain);
    struct caller *a = ask(CHAIN_SPEC);
    chain_replies();
    free(a);
    assert_int_equal(known(SOURCE_CANDIDATES_MAX), 1);
    for (size_t i = 0; i < CORE_ASKED_MAX; i++)
        callers[i] = ask_about(CHAIN_SPEC, (uint8_t)(0xff - i));
    tick_at(CORE_CANDIDATE_REST_MS);
    use_chain(&app_chain);
    chain_replies();
    for (size_t i = 0; i < CORE_ASKED_MAX; i++)
        free(callers[i]);
    assert_int_equal(known(0xff), 0);
    for (size_t i = 1; i <= SOURCE_CANDIDATES_MAX - CORE_ASKED_PLACES; i++)
        assert_int_equal(known((uint8_t)i), 1);
    drop_app();
}

static struct entry stored_facts(const struct source_result *result);
static void row_from_last(struct core_loaded *row, struct entry facts, bool other_boot,
                          int64_t age_ms);

static void test_asked_before_restart(void **state)
{
    (void)state;
    struct core_loaded row;

    have_app();
    world_stop();
    world_start();
    w.random = UINT32_MAX; /* the read in full after a restart is not due within this test */
    row_from_last(&row, (struct entry){0}, false, 1000);
    row.entry = stored_facts(row.result);
    row.entry.checked_boot_ms = w.now.boot_ms - 1000;
    w.row = &row;
    w.n_attempts = 0;
    for (size_t i = 0; i < MS_ARRAY_LEN(w.nodes); i++)
        w.nodes[i].log_calls = 0;
    expect_served(ask_about(CHAIN_SPEC, 1), ENTRY_FRESH);
    assert_int_equal(w.n_attempts, 0); /* what was known is known */
    assert_int_equal(known(1), 1);
    tick_at(CORE_CANDIDATE_REST_MS);
    uint64_t searched = w.nodes[0].final;
    struct caller *a = ask_about(CHAIN_SPEC, 2);
    use_chain(&app_chain);
    w.nodes[0].log_from = 0;
    chain_replies();
    expect_served(a, ENTRY_FRESH);
    assert_true(known(1) == 1 && known(2) == 0);
    assert_int_equal(w.nodes[0].log_from, searched + 1); /* the search goes on where it was */
    drop_app();
}

/* ---- the disk ---- */

/* A row as store.c makes it from what was stored last. */
static void row_from_last(struct core_loaded *row, struct entry facts, bool other_boot,
                          int64_t age_ms)
{
    struct ms_diag diag = {0};
    struct spec spec;

    *row = (struct core_loaded){.found = true, .entry = facts};
    spec_init(&spec);
    enum ms_err err = bundle_verify(ms_buf_span(&w.last_bundle), &spec, &row->result, &diag);
    if (err != MS_OK)
        fail_msg("%s", diag.text);
    row->set_hash = row->result->set_hash;
    row->evidence = ms_sha256(ms_buf_span(&w.last_bundle));
    row->entry.recheck = other_boot;
    row->entry.checked_boot_ms = w.now.boot_ms - age_ms;
    spec_done(&spec);
}

static struct entry stored_facts(const struct source_result *result)
{
    struct entry e = {0};
    entry_accept(&e, result, ENTRY_CHANGED, w.now);
    return e;
}

/* Store a location's answer, throw the core away, start another. */
static void restart(struct core_loaded *row, bool other_boot, int64_t age_ms)
{
    have_location();
    world_stop();
    w.n_fetches = 0;
    world_start();
    row_from_last(row, (struct entry){0}, other_boot, age_ms);
    struct entry facts = stored_facts(row->result);
    facts.recheck = other_boot;
    facts.checked_boot_ms = w.now.boot_ms - age_ms;
    row->entry = facts;
    w.row = row;
}

static void test_restart_fresh(void **state)
{
    (void)state;
    struct core_loaded row;

    restart(&row, false, 50000);
    struct caller *c = ask(URL_SPEC);
    assert_non_null(strstr(c->envelope, "aaaa"));
    expect_served(c, ENTRY_FRESH);
    assert_int_equal(w.n_fetches, 0);
}

static void test_restart_other_boot(void **state)
{
    (void)state;
    struct core_loaded row;

    restart(&row, true, 50000);
    expect_served(ask(URL_SPEC), ENTRY_SWR);
    assert_int_equal(w.n_fetches, 1);
    reply(document_a);
    expect_served(ask(URL_SPEC), ENTRY_FRESH);
}

static void test_restart_stale(void **state)
{
    (void)state;
    struct core_loaded row;

    restart(&row, false, 1000000); /* SIE: one try of at most a second */
    struct caller *c = ask(URL_SPEC);
    assert_false(c->done);
    tick_at(ENTRY_SIE_WAIT_MS - 1);
    assert_false(c->done);
    tick_at(1);
    expect_served(c, ENTRY_SIE);
    reply(document_b);
    expect_served(ask(URL_SPEC), ENTRY_FRESH);
}

static void test_restart_slow_disk(void **state)
{
    (void)state;
    struct core_loaded row;

    restart(&row, false, 1000000);
    w.load_slow = true;
    struct caller *c = ask(URL_SPEC);
    tick_at(500);
    settle_loads();
    w.load_slow = false;
    tick_at(ENTRY_SIE_WAIT_MS);
    expect_served(c, ENTRY_SIE);
    reply_error(MS_ERR_CONNECT);
}

static void test_restart_bad_evidence(void **state)
{
    (void)state;
    struct core_loaded row = {.found = true,
                              .err = MS_ERR_EVIDENCE,
                              .entry = {.has_sequence = true, .floor_sequence = 9}};
    struct chain chain;

    chain_init(&chain);
    (void)chain_approve(&chain, document_a, NULL); /* sequence 2 */
    use_chain(&chain);
    w.row = &row;
    struct caller *c = ask(CHAIN_SPEC);
    assert_false(c->done);
    assert_string_equal(w.last_event, "stored-entry-refused");
    chain_replies();
    expect_refused(c, MS_ERR_ROLLBACK); /* the floor outlives the evidence */
    chain.snapshot.state.sequence = 9;
    c = ask_with(CHAIN_SPEC, true, 0);
    chain_replies();
    expect_served(c, ENTRY_FRESH);
    world_stop();
    chain_done(&chain);
}

static void test_restart_conflict(void **state)
{
    (void)state;
    struct core_loaded row = {.found = true,
                              .entry = {.has_sequence = true,
                                        .floor_sequence = 2,
                                        .conflict = true,
                                        .conflict_err = MS_ERR_CONFLICT}};
    struct chain chain;

    chain_init(&chain);
    (void)chain_approve(&chain, document_a, NULL);
    use_chain(&chain);
    w.row = &row;
    struct caller *c = ask(CHAIN_SPEC);
    chain_replies();
    expect_refused(c, MS_ERR_CONFLICT);
    world_stop();
    chain_done(&chain);
}

/* ---- kinds without a fetch ---- */

static void test_inline(void **state)
{
    (void)state;
    char text[1024];

    (void)snprintf(text, sizeof(text), "inline:%s", document_a);
    expect_served(ask(text), ENTRY_FRESH);
    assert_int_equal(w.n_fetches, 0);
    assert_int_equal(w.n_bundles, 1);
    tick_at(INT64_C(400) * 86400 * 1000);
    assert_true(fast_serves(text));
    world_stop();
    w.load_slow = true; /* the disk answers while the daemon stops: nothing new is begun */
    world_start();
    struct caller *c = ask(text);
    core_stop(w.core);
    settle_loads();
    assert_int_equal(w.n_stores, 0);
    expect_refused(c, MS_ERR_SHUTDOWN);
}

static void test_not_resolvable(void **state)
{
    (void)state;
    w.random = UINT32_MAX;
    expect_refused(ask("eip155:5:" CHAIN_ADDRESS), MS_ERR_NO_RPC);
    expect_refused(ask("eip155:5:" CHAIN_ADDRESS), MS_ERR_NO_RPC);
    assert_int_equal(w.n_fetches, 0);
}

/* ---- eviction and the end ---- */

static void spec_number(char *out, size_t size, unsigned i)
{
    (void)snprintf(out, size, "url:https://h%u.example/x", i);
}

static void test_eviction(void **state)
{
    (void)state;
    char text[64];
    struct watcher kept;
    size_t counts[ENTRY_CLOCK_SUSPECT + 1], sum = 0;

    watch(&kept, URL_SPEC); /* the oldest, but watched */
    reply_status(404);
    for (unsigned i = 0; i < ENTRIES_MAX + 20; i++) {
        spec_number(text, sizeof(text), i);
        w.now.boot_ms += 1;
        struct caller *c = ask(text);
        reply_status(404);
        expect_refused(c, MS_ERR_NOT_FOUND);
    }
    core_count(w.core, counts);
    for (size_t s = 0; s <= ENTRY_CLOCK_SUSPECT; s++)
        sum += counts[s];
    assert_int_equal(sum, ENTRIES_MAX);
    bool serve;
    spec_number(text, sizeof(text), 5);
    assert_false(fast(text, &serve)); /* gone, and out of the table */
    spec_number(text, sizeof(text), 100);
    assert_true(fast(text, &serve));
    core_unwatch(w.core, &kept.watcher);
    assert_int_equal(kept.n, 1);
}

/* A touch is stored while its entry goes. */
static void test_evicted_while_touching(void **state)
{
    (void)state;
    char text[64];

    have_location();
    w.store_slow = true;
    struct caller *c = ask_with(URL_SPEC, true, 0);
    reply(document_a);
    expect_served(c, ENTRY_FRESH);
    assert_int_equal(w.n_stores, 1);
    for (unsigned i = 0; i < ENTRIES_MAX; i++) {
        spec_number(text, sizeof(text), i);
        w.now.boot_ms += 1;
        c = ask(text);
        reply_status(404);
        (void)end(c);
    }
    bool serve;
    assert_false(fast(URL_SPEC, &serve));
    settle_stores();
}

/* Workers note uses in the answer and tell nobody. */
static void test_evicts_least_used(void **state)
{
    (void)state;
    char text[64];
    bool serve;

    for (unsigned i = 0; i < ENTRIES_MAX; i++) {
        spec_number(text, sizeof(text), i);
        w.now.boot_ms += 1;
        struct caller *c = ask(text);
        reply_status(404);
        (void)end(c);
    }
    for (unsigned i = 0; i < 10; i += 2) { /* the oldest, every other of them */
        spec_number(text, sizeof(text), i);
        struct answer_id id = id_of(text);
        w.now.boot_ms += 1;
        answer_read_lock();
        atomic_store(&table_find(w.table, &id)->last_used_ms, w.now.boot_ms);
        answer_read_unlock();
    }
    for (unsigned i = 0; i < 5; i++) {
        spec_number(text, sizeof(text), ENTRIES_MAX + i);
        w.now.boot_ms += 1;
        struct caller *c = ask(text);
        reply_status(404);
        (void)end(c);
    }
    for (unsigned i = 0; i < ENTRIES_MAX + 5; i++) {
        spec_number(text, sizeof(text), i);
        assert_int_equal(fast(text, &serve), i >= 10 || i % 2 == 0);
    }
}

static void fill_up(void)
{
    char text[64];

    for (unsigned i = 0; i < 2 * ENTRIES_MAX; i++) {
        spec_number(text, sizeof(text), i);
        w.now.boot_ms += 1;
        struct caller *c = ask(text);
        reply_status(404);
        (void)end(c);
    }
}

/* The only place that knows its floor is memory: it stays there until the disk takes it. */
static void test_unstored_stays(void **state)
{
    (void)state;
    bool serve;

    w.options.audit_require = false;
    core_set_options(w.core, &w.options);
    w.store_err = MS_ERR_STORE;
    struct caller *c = ask(URL_SPEC);
    reply(document_a);
    assert_non_null(strstr(c->envelope, "\"audit\""));
    expect_served(c, ENTRY_FRESH);
    fill_up();
    assert_true(fast(URL_SPEC, &serve));

    tick_at(2 * 30000); /* tried again, in full; and again without success */
    assert_int_equal(w.n_out, 1);
    assert_null(w.out[0].request.if_none_match);
    assert_int_equal(w.n_bundles, 1);
    reply(document_a);
    assert_int_equal(w.n_bundles, 2);
    c = ask(URL_SPEC);
    assert_non_null(strstr(c->envelope, "\"audit\""));
    expect_served(c, ENTRY_FRESH);

    w.store_err = MS_OK;
    tick_at(2 * 30000);
    reply(document_a);
    assert_int_equal(w.n_bundles, 3);
    c = ask(URL_SPEC);
    assert_null(strstr(c->envelope, "\"audit\""));
    expect_served(c, ENTRY_FRESH);
    tick_at(2 * 30000);
    assert_int_equal(w.n_out, 0);
    fill_up();
    assert_false(fast(URL_SPEC, &serve));
}

/* What the disk knows to be older is not served, however the evidence is to be kept. */
static void test_store_knows_better(void **state)
{
    (void)state;
    w.options.audit_require = false;
    core_set_options(w.core, &w.options);
    w.store_err = MS_ERR_ROLLBACK;
    struct caller *c = ask(URL_SPEC);
    reply(document_a);
    expect_refused(c, MS_ERR_STORE);
    assert_false(fast_serves(URL_SPEC));
}

/* The disk cannot be read: there may be a floor, so nothing is fetched until it can. */
static void test_load_fails(void **state)
{
    (void)state;
    struct core_loaded broken = {.err = MS_ERR_STORE};

    w.random = UINT32_MAX;
    w.row = &broken;
    expect_refused(ask(URL_SPEC), MS_ERR_STORE);
    expect_refused(ask(URL_SPEC), MS_ERR_STORE); /* in its backoff: not even asked */
    assert_int_equal(w.n_loads_ever, 1);
    tick_at(60000);
    struct watcher one;
    watch(&one, URL_SPEC); /* comes with the end of the fault */
    assert_int_equal(w.n_loads_ever, 2);
    assert_int_equal(w.n_fetches, 1);
    reply(document_a);
    expect_served(ask(URL_SPEC), ENTRY_FRESH);
    core_unwatch(w.core, &one.watcher);
}

static void test_full(void **state)
{
    (void)state;
    static struct caller *callers[ENTRIES_MAX];
    char text[64];

    w.load_slow = true; /* every entry waits for the disk: none may go */
    for (unsigned i = 0; i < ENTRIES_MAX; i++) {
        spec_number(text, sizeof(text), i);
        w.n_loads = 0;
        callers[i] = ask(text);
    }
    expect_refused(ask(URL_SPEC), MS_ERR_OVERLOAD);
    struct watcher one = {.watcher = {.id = id_of(URL_SPEC), .event = on_event}};
    assert_int_equal(core_watch(w.core, &one.watcher, spec_of(URL_SPEC), NULL), MS_ERR_OVERLOAD);
    w.n_loads = 0;
    world_stop();
    for (unsigned i = 0; i < ENTRIES_MAX; i++)
        expect_refused(callers[i], MS_ERR_SHUTDOWN);
}

/* ---- one client cannot starve another ---- */

#define GREEDY 1001u
#define OTHER 1002u

static void limit(enum client_share share, uint32_t max)
{
    w.limits.max[share] = max;
    clients_set_limits(w.clients, &w.limits);
}

/* The list of one entry is full of one client's: it makes room for others, as far as is fair. */
static void test_waiters_of_two(void **state)
{
    (void)state;
    static struct caller *greedy[CORE_WAITERS_MAX], *other[CORE_WAITERS_MAX];

    for (size_t i = 0; i < CORE_WAITERS_MAX; i++)
        greedy[i] = ask_as(URL_SPEC, GREEDY);
    expect_refused(ask_as(URL_SPEC, GREEDY), MS_ERR_OVERLOAD);
    for (size_t i = 0; i < CORE_WAITERS_MAX / 2; i++) {
        other[i] = ask_as(URL_SPEC, OTHER);
        assert_false(other[i]->done);
        expect_refused(greedy[CORE_WAITERS_MAX - 1 - i], MS_ERR_QUOTA); /* the newest of the many */
    }
    expect_refused(ask_as(URL_SPEC, OTHER), MS_ERR_OVERLOAD);
    expect_refused(ask_as(URL_SPEC, GREEDY), MS_ERR_OVERLOAD);
    struct caller *third = ask_as(URL_SPEC, 1003);
    assert_false(third->done);
    assert_int_equal(w.n_fetches, 1);
    reply(document_a);
    expect_served(third, ENTRY_FRESH);
    size_t served = 1;
    for (size_t i = 0; i < CORE_WAITERS_MAX / 2; i++) {
        served += end(greedy[i]).serve;
        served += end(other[i]).serve;
    }
    assert_int_equal(served, CORE_WAITERS_MAX);
}

/* Resolutions of one client are limited, those of others are not touched, and hits never are. */
static void test_resolutions_of_one(void **state)
{
    (void)state;
    struct caller *first[3];
    char text[64];

    have_location();
    limit(CLIENT_RESOLUTIONS, 3);
    for (unsigned i = 0; i < 3; i++) {
        spec_number(text, sizeof(text), i);
        first[i] = ask_as(text, GREEDY);
        assert_int_equal(w.out[i].request.client, GREEDY);
    }
    expect_refused(ask_as("url:https://one-more.example/x", GREEDY), MS_ERR_QUOTA);
    struct watcher one = {
        .watcher = {.id = id_of("url:https://w.example/x"), .client = GREEDY, .event = on_event}};
    assert_int_equal(core_watch(w.core, &one.watcher, spec_of("url:https://w.example/x"), NULL),
                     MS_ERR_QUOTA);
    spec_number(text, sizeof(text), 0);
    struct caller *joins = ask_as(text, GREEDY); /* nothing more is resolved for it */
    assert_false(joins->done);
    expect_served(ask_as(URL_SPEC, GREEDY), ENTRY_FRESH);
    struct caller *other = ask_as("url:https://other.example/x", OTHER);
    assert_false(other->done);
    /* one ends: there is room for one */
    respond(1, (struct source_response){.status = 404});
    expect_refused(first[1], MS_ERR_NOT_FOUND);
    struct caller *again = ask_as("url:https://one-more.example/x", GREEDY);
    assert_false(again->done);
    while (w.n_out > 0)
        respond(0, (struct source_response){.status = 404});
    expect_refused(joins, MS_ERR_NOT_FOUND);
    expect_refused(again, MS_ERR_NOT_FOUND);
    expect_refused(other, MS_ERR_NOT_FOUND);
    expect_refused(first[0], MS_ERR_NOT_FOUND);
    expect_refused(first[2], MS_ERR_NOT_FOUND);
}

/* What one client's fetch is waited for by another is fetched for nobody in particular. */
static void test_shared_flight(void **state)
{
    (void)state;
    struct caller *greedy = ask_as(URL_SPEC, GREEDY);
    struct caller *more = ask_as(URL_SPEC, GREEDY);
    assert_int_equal(w.out[0].request.client, GREEDY);
    assert_int_equal(w.shared_tag, 0);
    struct caller *other = ask_as(URL_SPEC, OTHER);
    assert_int_equal(w.shared_tag >> 12, w.out[0].tag >> 12);
    reply(document_a);
    expect_served(greedy, ENTRY_FRESH);
    expect_served(more, ENTRY_FRESH);
    expect_served(other, ENTRY_FRESH);
}

/* One client asks for more than there is room for: it loses its own, however old another's is. */
static void test_eviction_of_the_largest(void **state)
{
    (void)state;
    char text[64];
    bool serve;

    struct caller *c = ask_as(URL_SPEC, OTHER);
    reply_status(404);
    expect_refused(c, MS_ERR_NOT_FOUND);
    for (unsigned i = 0; i < ENTRIES_MAX + 5; i++) {
        spec_number(text, sizeof(text), i);
        w.now.boot_ms += 1;
        c = ask_as(text, GREEDY);
        reply_status(404);
        expect_refused(c, MS_ERR_NOT_FOUND);
    }
    assert_true(fast(URL_SPEC, &serve));
    spec_number(text, sizeof(text), 5);
    assert_false(fast(text, &serve));
    spec_number(text, sizeof(text), 6);
    assert_true(fast(text, &serve));
}

/* The revocations and roots of a signed set went with its evidence: the floor alone does not make
 * up for them. A list that nobody signs loses nothing that way. */
static void test_signed_evidence_lost(void **state)
{
    (void)state;
    static const char signers[] = /* at= is https://a.example/x/ */
        "1of1:0xae519fc2ba8e6ffe6473195c092bf1bae986ff90;at=aHR0cHM6Ly9hLmV4YW1wbGUveC8";
    struct core_loaded lost = {.found = true,
                               .err = MS_ERR_EVIDENCE,
                               .entry = {.has_sequence = true, .floor_sequence = 5}};

    w.row = &lost;
    struct caller *c = ask(signers);
    reply_status(500);
    struct outcome o = end(c);
    assert_false(o.serve);
    assert_int_equal(o.state, ENTRY_CONFLICT);
    assert_int_equal(o.err, MS_ERR_EVIDENCE);

    w.row = &lost;
    c = ask(URL_SPEC);
    reply(document_a);
    expect_served(c, ENTRY_FRESH);
}

static void test_draining(void **state)
{
    (void)state;
    have_location();
    struct caller *c = ask("url:https://b.example/x");
    assert_false(core_drain(w.core));
    expect_refused(ask(URL_SPEC), MS_ERR_SHUTDOWN);
    reply(document_a);
    expect_served(c, ENTRY_FRESH); /* in flight: finished */
    assert_true(core_drain(w.core));
    size_t fetches = w.n_fetches;
    tick_at(600000);
    struct answer_id id = id_of(URL_SPEC);
    core_touch(w.core, &id);
    assert_int_equal(w.n_fetches, fetches); /* nothing new is begun */
}

static void test_shutdown(void **state)
{
    (void)state;
    struct watcher one;
    struct caller *fetching = ask(URL_SPEC);
    w.store_slow = true;
    struct caller *storing = ask("url:https://b.example/x");
    respond(1, (struct source_response){.status = 200, .body = ms_span_str(document_a)});
    w.load_slow = true;
    struct caller *loading = ask("url:https://c.example/x");
    watch(&one, "url:https://d.example/x");
    assert_int_equal(w.n_stores, 1);
    assert_int_equal(w.n_loads, 2);
    world_stop();
    expect_refused(fetching, MS_ERR_SHUTDOWN);
    expect_refused(storing, MS_ERR_SHUTDOWN);
    expect_refused(loading, MS_ERR_SHUTDOWN);
}

/* Answers that come for an attempt that is over, or for nobody. */
static void test_late_answers(void **state)
{
    (void)state;
    struct source_response r = {
        .id = 1, .status = 200, .body = ms_span_str(document_b), .time_s = w.now.wall_s};
    struct caller *c = ask(URL_SPEC);
    uint64_t tag = w.out[0].tag;
    reply(document_a);
    expect_served(c, ENTRY_FRESH);
    core_response(w.core, tag, &r);
    core_response(w.core, 0, &r);
    core_response(w.core, UINT64_MAX, &r);
    w.store_slow = true;
    c = ask_with(URL_SPEC, true, 0);
    reply(document_b);
    core_response(w.core, tag, &r);
    settle_stores();
    expect_served(c, ENTRY_FRESH);
}

/* Every transcript the core writes replays, header bytes of any kind included. */
static void test_odd_headers(void **state)
{
    (void)state;
    struct source_result *result = NULL;
    struct ms_diag diag = {0};
    struct spec spec;
    struct caller *c = ask(URL_SPEC);

    reply_with(document_a, "max-age=100, x=\"\xff\xfe\"", "\"caf\xe9\"");
    expect_served(c, ENTRY_FRESH);
    spec_init(&spec);
    enum ms_err err = bundle_verify(ms_buf_span(&w.last_bundle), &spec, &result, &diag);
    if (err != MS_OK)
        fail_msg("%s", diag.text);
    assert_string_equal(result->etag, "\"caf\xe9\"");
    assert_int_equal(result->life.fresh_s, 100);
    source_result_free(result);
    spec_done(&spec);
    c = ask_with(URL_SPEC, true, 0);
    assert_string_equal(w.out[0].request.if_none_match, "\"caf\xe9\"");
    reply_with(document_b, "max-age=100", "\"caf\xe9 2\"");
    expect_served(c, ENTRY_FRESH);
    err = bundle_verify(ms_buf_span(&w.last_bundle), &spec, &result, &diag);
    if (err != MS_OK)
        fail_msg("%s", diag.text);
    source_result_free(result);
    spec_done(&spec);
}

/* ---- several contracts of one chain ---- */

#define TOWN_MAX 6

struct town {
    struct chain chains[TOWN_MAX]; /* [0] is the chain, and has the others */
    size_t n;
    char specs[TOWN_MAX][64];
};

static struct town town;

static void now_at(enum spec_level level, size_t providers)
{
    w.options.policy = play_policy(level, level == SPEC_LEVEL_L1 ? 1 : 2, providers);
    core_set_options(w.core, &w.options);
}

/* n registries, each read once, and polled at the same moment from then on. */
static void have_town(enum spec_level level, size_t providers, size_t n)
{
    town.n = n;
    now_at(level, providers);
    chain_init(&town.chains[0]);
    for (size_t i = 0; i < n; i++) {
        char address[ETH_ADDR_TEXT + 1];
        if (i > 0)
            chain_init_more(&town.chains[0], &town.chains[i], (uint8_t)(0x10 * i));
        (void)chain_approve(&town.chains[i], document_a, NULL);
        eth_addr_text(&town.chains[i].registry, address);
        (void)snprintf(town.specs[i], sizeof(town.specs[i]), "eip155:1:%s", address);
    }
    use_chain(&town.chains[0]);
    for (size_t i = 0; i < n; i++) {
        struct caller *c = ask(town.specs[i]);
        chain_replies();
        expect_served(c, ENTRY_FRESH);
    }
    w.n_fetches = 0;
}

static void town_done(void)
{
    world_stop();
    for (size_t i = 0; i < town.n; i++)
        chain_done(&town.chains[i]);
}

static size_t snapshots(void)
{
    size_t n = 0;
    for (size_t i = 0; i < MS_ARRAY_LEN(w.nodes); i++)
        n += w.nodes[i].snapshots;
    return n;
}

static size_t proofs(void)
{
    size_t n = 0;
    for (size_t i = 0; i < MS_ARRAY_LEN(w.nodes); i++)
        n += w.nodes[i].proofs;
    return n;
}

/* Time passes, the chain grows, nodes answer. Returns how many requests that took. */
static size_t pass(int64_t ms)
{
    size_t before = w.n_fetches;

    tick_at(ms);
    use_chain(&town.chains[0]);
    chain_replies();
    return w.n_fetches - before;
}

/* Until whoever is to be read by itself has been. */
static size_t pass_and_read(int64_t ms)
{
    size_t n = pass(ms);
    tick_at(200);
    chain_replies();
    return n;
}

static bool shows(const char *spec, const char *text)
{
    struct caller *c = ask(spec);
    bool found = strstr(c->envelope, text) != NULL;
    assert_true(c->done);
    free(c);
    return found;
}

static bool shows_block(const char *spec, uint64_t number)
{
    char text[40];
    (void)snprintf(text, sizeof(text), "\"block\":%llu,\"block_hash\"", (unsigned long long)number);
    return shows(spec, text);
}

/* One poll for all, and it renews what each of them says. */
static void test_poll_together(void **state)
{
    (void)state;
    have_town(SPEC_LEVEL_L2, 2, 5);
    tick_at(12000 - 1);
    assert_int_equal(w.n_fetches, 0);
    tick_at(1);
    assert_int_equal(w.n_out, 2); /* each provider once, not once for each contract */
    use_chain(&town.chains[0]);
    chain_replies();
    assert_int_equal(w.n_fetches, 4);
    for (size_t t = 12; t < 460; t += 12) {
        assert_int_equal(snapshots(), 0); /* since use_chain */
        for (size_t i = 0; i < town.n; i++) {
            expect_served(ask(town.specs[i]), ENTRY_FRESH);
            assert_true(shows_block(town.specs[i], w.nodes[0].final));
        }
        assert_int_equal(pass(12000), 4);
    }
    assert_int_equal(w.n_bundles, 5);
    town_done();
}

/* All are read in full at least every ten minutes. */
static void test_poll_full_read(void **state)
{
    (void)state;
    size_t read[2] = {0};

    have_town(SPEC_LEVEL_L2, 2, 3);
    w.random = UINT32_MAX;
    (void)pass(600000 - 20000); /* long asleep: everything is due */
    for (int64_t t = 0; t < 1240000; t += 12000) {
        (void)pass(12000);
        read[t / 620000] += snapshots();
    }
    assert_true(read[0] >= 3 * 2 * 2 && read[1] >= 3 * 2 * 2); /* two providers, two blocks */
    assert_true(read[0] + read[1] < 60);                       /* and not much more often */
    town_done();
}

/* What changed is read, the others are not. */
static void test_poll_one_changed(void **state)
{
    (void)state;
    have_town(SPEC_LEVEL_L2, 2, 5);
    (void)chain_approve(&town.chains[3], document_b, NULL);
    assert_int_equal(pass(12000), 4);
    uint64_t block = w.nodes[0].final;
    assert_int_equal(snapshots(), 0);
    tick_at(200);
    assert_int_equal(w.n_out, 2);
    chain_replies();
    assert_int_equal(snapshots(), 2 * 2);
    for (size_t i = 0; i < town.n; i++) {
        assert_int_equal(shows(town.specs[i], "bbbbbbbb"), i == 3);
        assert_true(shows_block(town.specs[i], block));
    }
    assert_int_equal(w.n_bundles, 6);
    assert_int_equal(pass(12200), 4); /* and it is one of them again */
    assert_int_equal(snapshots(), 0);
    town_done();
}

/* A revocation in the newest block counts within a poll; a reorganisation undoes it. */
static void test_poll_revoked_at_head(void **state)
{
    (void)state;
    for (enum spec_level level = SPEC_LEVEL_L1; level <= SPEC_LEVEL_L3; level++) {
        have_town(level, 2, 4);
        struct chain newest = town.chains[2];
        chain_revoke_all(&newest);
        town.chains[2].newest = &newest;
        (void)pass_and_read(12000);
        for (size_t i = 0; i < town.n; i++)
            assert_int_equal(shows(town.specs[i], "\"releases\":[]"), i == 2);
        assert_true(shows(town.specs[2], "revoked-at-head"));
        size_t bundles = w.n_bundles;
        for (int k = 0; k < 8; k++) { /* it stays, and it is no news at each poll */
            (void)pass_and_read(12000);
            assert_int_equal(snapshots(), 0);
            expect_served(ask(town.specs[2]), ENTRY_REVOKED);
        }
        assert_int_equal(w.n_bundles, bundles);
        assert_true(shows_block(town.specs[2], w.nodes[0].final) || level == SPEC_LEVEL_L3);
        town.chains[2].newest = NULL;
        (void)pass_and_read(12000);
        assert_true(shows(town.specs[2], "aaaaaaaa"));
        expect_served(ask(town.specs[2]), ENTRY_FRESH);
        town_done();
        world_start();
    }
}

/* While nobody agrees on a newest block, what it took away stays away and is not confirmed. */
static void test_poll_no_newest(void **state)
{
    (void)state;
    have_town(SPEC_LEVEL_L2, 2, 3);
    struct chain newest = town.chains[1];
    chain_revoke_all(&newest);
    town.chains[1].newest = &newest;
    (void)pass_and_read(12000);
    expect_served(ask(town.specs[1]), ENTRY_REVOKED);
    for (int k = 0; k < 4; k++) {
        tick_at(12200);
        use_chain(&town.chains[0]);
        w.nodes[0].lie = w.nodes[1].lie = NODE_NO_HEAD;
        chain_replies();
        tick_at(200);
        chain_replies();
        expect_served(ask(town.specs[1]), ENTRY_REVOKED);
        expect_served(ask(town.specs[0]), ENTRY_FRESH);
    }
    town_done();
}

/* The same while there are two newest blocks: the others are confirmed, it ages. */
static void test_poll_two_newest(void **state)
{
    (void)state;
    have_town(SPEC_LEVEL_L2, 2, 4);
    struct chain newest = town.chains[1];
    chain_revoke_all(&newest);
    town.chains[1].newest = &newest;
    (void)pass_and_read(12000);
    expect_served(ask(town.specs[1]), ENTRY_REVOKED);
    uint64_t seen = w.nodes[0].final;
    w.nodes[1].lie = NODE_FORK_HEAD;
    for (int k = 0; k < 4; k++) {
        (void)pass_and_read(12200);
        expect_served(ask(town.specs[1]), ENTRY_REVOKED);
        assert_true(shows_block(town.specs[1], seen));
        assert_true(shows_block(town.specs[2], w.nodes[0].final));
    }
    w.nodes[1].lie = NODE_HONEST;
    (void)pass_and_read(12200);
    assert_true(shows_block(town.specs[1], w.nodes[0].final));
    town_done();
}

/* One endpoint answers from the state before; the others tell of the revocation. */
static void test_poll_liar(void **state)
{
    (void)state;
    for (enum spec_level level = SPEC_LEVEL_L2; level <= SPEC_LEVEL_L3; level++) {
        for (size_t liar = 0; liar < 3; liar++) {
            have_town(level, 3, 3);
            struct chain then = town.chains[0], then_2 = town.chains[2];
            then.more[1] = &then_2;
            chain_revoke_all(&town.chains[2]);
            tick_at(12000);
            use_chain(&town.chains[0]);
            w.nodes[liar].says = &then;
            chain_replies();
            tick_at(200);
            chain_replies();
            expect_served(ask(town.specs[2]), ENTRY_REVOKED);
            expect_served(ask(town.specs[0]), ENTRY_FRESH);
            memset(w.benched, 0, sizeof(w.benched));
            town_done();
            world_start();
        }
    }
}

/* Contradicting blocks: each entry says so itself, with its evidence; afterwards they are together
 * again. */
static void test_poll_dissent(void **state)
{
    (void)state;
    have_town(SPEC_LEVEL_L2, 2, 3);
    w.nodes[1].lie = NODE_FORK;
    (void)pass_and_read(12000);
    assert_int_equal(w.n_bundles, 3 + 3);
    for (size_t i = 0; i < town.n; i++)
        expect_served(ask(town.specs[i]), ENTRY_HOLD);
    w.nodes[1].lie = NODE_HONEST;
    (void)pass(1000);
    chain_replies();
    for (size_t i = 0; i < town.n; i++)
        expect_served(ask(town.specs[i]), ENTRY_FRESH);
    assert_int_equal(pass(12000), 4);
    assert_int_equal(w.n_bundles, 6);
    town_done();
}

/* A finalized block is replaced: none of them is served any more. */
static void test_poll_conflict(void **state)
{
    (void)state;
    have_town(SPEC_LEVEL_L2, 2, 3);
    assert_int_equal(pass(12000), 4);
    w.nodes[0].lie = w.nodes[1].lie = NODE_FORK;
    (void)pass_and_read(12000);
    for (size_t i = 0; i < town.n; i++) {
        struct caller *c = ask(town.specs[i]);
        chain_replies();
        expect_refused(c, MS_ERR_CONFLICT);
    }
    town_done();
}

/* No quorum: nobody is asked once for each contract; all age, and are there again when it is. */
static void test_poll_no_quorum(void **state)
{
    (void)state;
    have_town(SPEC_LEVEL_L2, 2, 5);
    w.random = UINT32_MAX;
    w.nodes[1].lie = NODE_DEAD;
    for (int64_t t = 0; t < 100; t++) {
        tick_at(1000);
        chain_replies();
    }
    assert_true(w.n_fetches >= 2 && w.n_fetches <= 2 * 12); /* 1, 2, 4, .. 60 s apart */
    for (size_t i = 0; i < town.n; i++)
        expect_served(ask(town.specs[i]), ENTRY_FRESH);
    tick_at(100000);
    chain_replies();
    struct caller *c = ask(town.specs[1]);
    chain_replies();
    expect_served(c, ENTRY_SWR);
    tick_at(100000);
    chain_replies();
    for (int k = 0; k < 8; k++) {
        tick_at(60000);
        chain_replies();
    }
    assert_true(shows(town.specs[0], "stale-if-error"));
    w.nodes[1].lie = NODE_HONEST;
    (void)pass(61000);
    for (size_t i = 0; i < town.n; i++)
        expect_served(ask(town.specs[i]), ENTRY_FRESH);
    town_done();
}

/* Without Multicall3 calls go in batches, and that is remembered for an hour. */
static void test_poll_no_multicall(void **state)
{
    (void)state;
    have_town(SPEC_LEVEL_L2, 2, 5);
    town.chains[0].no_multicall = true;
    assert_int_equal(pass(12000), 2 + 2 + 2 * 2); /* blocks, Multicall3, a batch for each block */
    assert_int_equal(pass(12000), 2 + 2 * 2);
    for (size_t i = 0; i < town.n; i++)
        assert_true(shows_block(town.specs[i], w.nodes[0].final));
    town.chains[0].no_multicall = false;
    assert_int_equal(pass(12000), 2 + 2 * 2);
    tick_at(3600000);
    use_chain(&town.chains[0]);
    chain_replies();
    (void)pass_and_read(12200);
    assert_int_equal(pass(16000), 4);
    town_done();
}

/* One of two endpoints dies after the blocks are agreed on: each is read by itself. */
static void test_poll_dies(void **state)
{
    (void)state;
    have_town(SPEC_LEVEL_L2, 2, 3);
    tick_at(12000);
    use_chain(&town.chains[0]);
    for (int k = 0; k < 2; k++) { /* the blocks */
        struct node_answer from;
        node_answer(&w.nodes[w.out[0].request.provider], w.out[0].request.body, &from);
        respond(0, (struct source_response){
                       .err = from.err, .status = from.status, .body = ms_buf_span(&from.body)});
        ms_buf_done(&from.body);
    }
    w.nodes[1].lie = NODE_DEAD;
    chain_replies();
    assert_int_equal(snapshots(), 0);
    w.nodes[1].lie = NODE_HONEST;
    tick_at(200);
    chain_replies();
    assert_int_equal(snapshots(), 3 * 2 * 2);
    for (size_t i = 0; i < town.n; i++) {
        expect_served(ask(town.specs[i]), ENTRY_FRESH);
        assert_true(shows_block(town.specs[i], w.nodes[0].final));
    }
    town_done();
}

/* L3: what is not proven is not confirmed. Proofs are asked for once a minute. */
static void test_poll_l3(void **state)
{
    (void)state;
    have_town(SPEC_LEVEL_L3, 2, 3);
    uint64_t first = w.nodes[0].final;
    for (int k = 0; k < 4; k++) {
        assert_int_equal(pass(12000), 4);
        assert_int_equal(proofs(), 0);
        assert_true(shows_block(town.specs[1], first));
    }
    assert_int_equal(pass(12000), 5);
    assert_int_equal(proofs(), 3);
    for (size_t i = 0; i < town.n; i++)
        assert_true(shows_block(town.specs[i], w.nodes[0].final));
    assert_int_equal(pass(12000), 4);
    town_done();
}

static void test_poll_l3_unproven(void **state)
{
    (void)state;
    have_town(SPEC_LEVEL_L3, 2, 3);
    uint64_t first = w.nodes[0].final;
    w.nodes[0].lie = w.nodes[1].lie = NODE_NO_PROOF;
    for (int k = 0; k < 9; k++) {
        (void)pass(12000);
        expect_served(ask(town.specs[1]), ENTRY_FRESH);
    }
    (void)pass(13000); /* 121 s after it was read */
    assert_int_equal(snapshots(), 0);
    struct caller *c = ask(town.specs[1]);
    assert_non_null(strstr(c->envelope, "stale-while-revalidate"));
    expect_served(c, ENTRY_SWR);
    chain_replies();
    assert_true(shows_block(town.specs[1], first));
    for (int k = 0; k < 64; k++)
        (void)pass(60000);
    c = ask(town.specs[1]);
    chain_replies();
    expect_refused(c, MS_ERR_STALE);
    w.nodes[0].lie = NODE_HONEST;
    c = ask(town.specs[1]);
    chain_replies();
    expect_served(c, ENTRY_FRESH);
    town_done();
}

/* A false proof benches, the other one's is taken. */
static void test_poll_l3_false_proof(void **state)
{
    (void)state;
    have_town(SPEC_LEVEL_L3, 3, 3);
    for (int k = 0; k < 4; k++)
        (void)pass(12000);
    w.nodes[0].lie = NODE_PROOF_VALUE;
    (void)pass(12000);
    assert_int_equal(w.n_benched, 1);
    assert_true(w.benched[0]);
    for (size_t i = 0; i < town.n; i++)
        assert_true(shows_block(town.specs[i], w.nodes[0].final));
    town_done();
}

/* Its commitment() says what is not so: it is read by itself, and costs the others nothing. */
static void test_poll_cries_wolf(void **state)
{
    (void)state;
    have_town(SPEC_LEVEL_L2, 2, 4);
    town.chains[2].wrong_commitment = true;
    assert_int_equal(pass(12000), 4);
    tick_at(200);
    chain_replies();
    size_t alone = 0;
    for (int k = 0; k < 10; k++) {
        assert_true(pass(12200) >= 4);
        alone += snapshots();
        expect_served(ask(town.specs[2]), ENTRY_FRESH);
    }
    assert_int_equal(alone, 10 * 2 * 2); /* only that one, as if there were no others */
    town_done();
}

/* Other levels and other chains have polls of their own; one alone has none. */
static void test_poll_groups(void **state)
{
    (void)state;
    char spec[96];

    have_town(SPEC_LEVEL_L2, 2, 4);
    (void)snprintf(spec, sizeof(spec), "%s;level=l3", town.specs[0]);
    struct caller *c = ask(spec);
    chain_replies();
    expect_served(c, ENTRY_FRESH);
    size_t n = w.n_fetches;
    assert_true(n >= 4);
    assert_int_equal(pass(12000), 4 + n); /* as much as a first read */
    assert_true(snapshots() > 0);
    (void)snprintf(spec, sizeof(spec), "%s;level=l3", town.specs[1]);
    c = ask(spec);
    chain_replies();
    expect_served(c, ENTRY_FRESH);
    assert_int_equal(pass(12000), 4 + 4);
    assert_int_equal(snapshots(), 0);
    town_done();
}

/* An attempt that somebody forces in the middle of a poll knows better than the poll. */
static void test_poll_overtaken(void **state)
{
    (void)state;
    have_town(SPEC_LEVEL_L2, 2, 3);
    tick_at(12000);
    assert_int_equal(w.n_out, 2);
    (void)chain_approve(&town.chains[1], document_b, NULL);
    use_chain(&town.chains[0]);
    struct caller *c = ask_with(town.specs[1], true, 0);
    struct sent poll[2] = {w.out[0], w.out[1]};
    w.n_out -= 2;
    memmove(w.out, w.out + 2, w.n_out * sizeof(w.out[0]));
    chain_replies();
    expect_served(c, ENTRY_FRESH);
    assert_true(shows(town.specs[1], "bbbbbbbb"));
    w.out[0] = poll[0];
    w.out[1] = poll[1];
    w.n_out = 2;
    w.n_bundles = 0;
    chain_replies();
    tick_at(200);
    assert_int_equal(w.n_out, 0);
    assert_true(shows(town.specs[1], "bbbbbbbb"));
    town_done();
}

/* New options, and the end, while a poll is out. */
static void test_poll_interrupted(void **state)
{
    (void)state;
    have_town(SPEC_LEVEL_L2, 2, 3);
    tick_at(12000);
    assert_int_equal(w.n_out, 2);
    now_at(SPEC_LEVEL_L2, 2);
    assert_int_equal(w.n_out, 0);
    assert_int_equal(w.n_cancels, 2);
    assert_int_equal(pass(200), 4);
    tick_at(12000);
    assert_int_equal(w.n_out, 2);
    town_done(); /* checks that nothing is out */
}

/* Entries from disk are polled together like those read just now. */
static void test_poll_restart(void **state)
{
    (void)state;
    struct core_loaded rows[2];

    have_town(SPEC_LEVEL_L2, 2, 2);
    for (size_t i = 0; i < 2; i++) {
        (void)chain_approve(&town.chains[i], document_b, NULL);
        use_chain(&town.chains[0]);
        struct caller *c = ask_with(town.specs[i], true, 0);
        chain_replies();
        expect_served(c, ENTRY_FRESH);
        row_from_last(&rows[i], (struct entry){0}, false, 0);
        rows[i].entry = stored_facts(rows[i].result);
    }
    uint64_t stored = w.nodes[0].final;
    world_stop();
    world_start();
    w.n_fetches = 0;
    for (size_t i = 0; i < 2; i++) {
        w.row = &rows[i];
        expect_served(ask(town.specs[i]), ENTRY_FRESH);
    }
    assert_int_equal(w.n_fetches, 0);
    w.random = UINT32_MAX;
    assert_true(shows_block(town.specs[1], stored));
    tick_at(0);
    w.random = 0;
    (void)pass_and_read(12000);
    size_t n = pass(12200);
    assert_int_equal(n, 4);
    for (size_t i = 0; i < 2; i++)
        assert_true(shows_block(town.specs[i], w.nodes[0].final));
    town_done();
}

/* Pending releases come into force in their second, between polls that saw no change. */
static void test_poll_windows(void **state)
{
    (void)state;
    have_town(SPEC_LEVEL_L2, 2, 3);
    struct registry_release *r = chain_approve(&town.chains[1], document_b, NULL);
    r->not_before_s = (uint64_t)w.now.wall_s + 60;
    (void)pass_and_read(12000);
    assert_true(shows(town.specs[1], "pending"));
    bool in_force = false;
    for (int k = 0; k < 10 && !in_force; k++) {
        (void)pass(12200);
        assert_int_equal(snapshots(), 0);
        in_force = !shows(town.specs[1], "pending");
        assert_int_equal(in_force, w.now.wall_s >= (int64_t)r->not_before_s);
    }
    assert_true(in_force);
    town_done();
}

/* The chain stands still: polls succeed, and the evidence ages all the same. */
static void test_poll_frozen(void **state)
{
    (void)state;
    have_town(SPEC_LEVEL_L2, 2, 3);
    int64_t block_s = chain_time(w.nodes[0].final);
    while (w.now.wall_s < block_s + 21600 - 60) {
        tick_at(59000);
        chain_replies();
        assert_true(fast_serves(town.specs[0]));
        if (w.now.wall_s > block_s + 1860)
            assert_true(shows(town.specs[0], "old-finality"));
    }
    tick_at(61000);
    chain_replies();
    tick_at(200);
    chain_replies();
    struct caller *c = ask(town.specs[0]);
    chain_replies();
    expect_refused(c, MS_ERR_STALE);
    town_done();
}

#define T(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_single_flight),
        T(test_waiters_max),
        T(test_not_before_stored),
        T(test_store_fails),
        T(test_store_fails_best_effort),
        T(test_deadlines),
        T(test_states_by_time),
        T(test_fast_until),
        T(test_expires_while_waiting),
        T(test_refresh_success),
        T(test_not_found),
        T(test_not_found_after_good),
        T(test_backoff_and_force),
        T(test_retry_after),
        T(test_not_modified),
        T(test_not_modified_unasked),
        T(test_no_store),
        T(test_max_age_zero),
        T(test_must_revalidate),
        T(test_max_age_of_query),
        T(test_contract),
        T(test_frozen_chain),
        T(test_older_block),
        T(test_conflict),
        T(test_conflict_not_stored),
        T(test_conflict_at_l2),
        T(test_rollback),
        T(test_liar_is_benched),
        T(test_manners),
        T(test_straggler),
        T(test_slow_prover),
        T(test_dissent_in_grace),
        T(test_release_windows),
        T(test_release_windows_fast_clock),
        T(test_valid_until),
        T(test_extremes),
        T(test_wall_clock_jumps),
        T(test_clock_put_right),
        T(test_options_reload),
        T(test_watch),
        T(test_watch_error),
        T(test_watch_max_age),
        T(test_watch_no_store),
        T(test_asked_together),
        T(test_asked_unanswered),
        T(test_asked_both),
        T(test_asked_for_a_while),
        T(test_asked_once),
        T(test_asked_often),
        T(test_asked_of_a_registry),
        T(test_asked_of_many),
        T(test_asked_before_restart),
        T(test_restart_fresh),
        T(test_restart_other_boot),
        T(test_restart_stale),
        T(test_restart_slow_disk),
        T(test_restart_bad_evidence),
        T(test_restart_conflict),
        T(test_inline),
        T(test_not_resolvable),
        T(test_eviction),
        T(test_evicted_while_touching),
        T(test_evicts_least_used),
        T(test_unstored_stays),
        T(test_store_knows_better),
        T(test_load_fails),
        T(test_full),
        T(test_waiters_of_two),
        T(test_resolutions_of_one),
        T(test_shared_flight),
        T(test_eviction_of_the_largest),
        T(test_signed_evidence_lost),
        T(test_draining),
        T(test_shutdown),
        T(test_late_answers),
        T(test_odd_headers),
        T(test_poll_together),
        T(test_poll_full_read),
        T(test_poll_one_changed),
        T(test_poll_revoked_at_head),
        T(test_poll_no_newest),
        T(test_poll_two_newest),
        T(test_poll_liar),
        T(test_poll_dissent),
        T(test_poll_conflict),
        T(test_poll_no_quorum),
        T(test_poll_no_multicall),
        T(test_poll_dies),
        T(test_poll_l3),
        T(test_poll_l3_unproven),
        T(test_poll_l3_false_proof),
        T(test_poll_cries_wolf),
        T(test_poll_groups),
        T(test_poll_overtaken),
        T(test_poll_interrupted),
        T(test_poll_restart),
        T(test_poll_windows),
        T(test_poll_frozen),
    };
    return cmocka_run_group_tests(tests, make_documents, NULL);
}
