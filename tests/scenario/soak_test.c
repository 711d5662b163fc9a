/* Hours of simulated time in the real core, with whatever can go wrong going wrong at random:
 * endpoints that are dead, slow, late or lie, an origin that fails, a store that fails,
 * revocations, other code, clocks that jump, suspends, restarts, reboots. After every step the
 * answers in the table are held against what is true, and in the end nothing may have been kept for
 * good. The seed is printed; the argument sets it. Short: one hour. MS_SOAK=1: 24 hours of many
 * seeds.
 *
 * And every state under every jump of the clocks. */
#include "tests/support/core/world.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define LOCATION "url:https://a.example/list.json"
#define HOUR_MS INT64_C(3600000)
#define YEARS_10_S (INT64_C(3650) * 86400)
#define CEILING_S 21600
#define GROWTH_MAX_BYTES ((size_t)2 << 20)

extern size_t __sanitizer_get_current_allocated_bytes(void) __attribute__((weak));

static size_t allocated(void)
{
    if (__sanitizer_get_current_allocated_bytes != NULL)
        return __sanitizer_get_current_allocated_bytes();
    return mallinfo2().uordblks;
}

/* ---- what is true ---- */

struct truth {
    struct chain chain, newest;
    bool approved[16];      /* lists that were ever approved on the chain, by their digit */
    uint64_t floor;         /* highest sequence served since the core's row began */
    int64_t wrong_s;        /* how far the wall clock is ahead of what it should be */
    int64_t stopped_blocks; /* how many it is behind */
    size_t n_served, n_refused, by_state[ENTRY_CLOCK_SUSPECT + 1];
    uint64_t seed;
};

static struct truth t;

static uint32_t roll(uint32_t n)
{
    t.seed = t.seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(t.seed >> 33) % n;
}

static void show_chain(void)
{
    /* true time: the wall clock as it would be without jumps */
    int64_t true_s = w.now.wall_s - t.wrong_s;
    int64_t blocks = (true_s - CHAIN_GENESIS_S) / 12 - t.stopped_blocks;

    for (size_t i = 0; i < MS_ARRAY_LEN(w.nodes); i++) {
        struct node *n = &w.nodes[i];
        n->chain = &t.chain;
        if (n->head < (uint64_t)blocks)
            n->head = (uint64_t)blocks;
        if (n->final < n->head - 64)
            n->final = n->head - 64;
    }
}

static void finalize(void)
{
    uint64_t final = w.nodes[0].final + 1;

    for (size_t i = 0; i < MS_ARRAY_LEN(w.nodes); i++) {
        w.nodes[i].final = final;
        if (w.nodes[i].head < final)
            w.nodes[i].head = final;
    }
}

static void set_wrong(int64_t wrong_s)
{
    w.wall_offset_s += wrong_s - t.wrong_s;
    t.wrong_s = wrong_s;
    tick_at(0);
}

/* Less what the test's own chain remembers: each block that it told of. */
static size_t allocated_by_core(void)
{
    size_t before = allocated();
    json_t *copy =
        json_pack("[o, o]", json_deep_copy(t.chain.told), json_deep_copy(t.chain.told_hashes));
    size_t told = allocated() - before;

    assert_non_null(copy);
    json_decref(copy);
    return before - told;
}

static void approve(uint8_t digit)
{
    if (t.chain.snapshot.n_releases >= 8)
        chain_revoke_all(&t.chain);
    (void)chain_approve(&t.chain, chain_document((uint8_t)(0x11 * digit)), NULL);
    t.approved[digit] = true;
    t.chain.newest = NULL;
    finalize();
}

/* ---- what must hold of what is published ---- */

static int64_t number_in(const char *envelope, const char *name)
{
    const char *at = strstr(envelope, name);
    return at == NULL ? -1 : strtoll(at + strlen(name), NULL, 10);
}

static void check_lists(const char *envelope)
{
    for (unsigned digit = 0; digit < 16; digit++) {
        char text[17];
        (void)snprintf(text, sizeof(text), "%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x", digit, digit, digit,
                       digit, digit, digit, digit, digit, digit, digit, digit, digit, digit, digit,
                       digit, digit);
        char mrtd[120];
        (void)snprintf(mrtd, sizeof(mrtd), "\"%s%s%s%s", text, text, text, text);
        if (strstr(envelope, mrtd) != NULL && !t.approved[digit])
            fail_msg("list %x was never approved: %s", digit, envelope);
    }
}

static void check_contract(const char *envelope)
{
    /* "head" of governance has one, too */
    int64_t block_s = number_in(strstr(envelope, "\"source\":"), "\"block_time\":");
    int64_t sequence = number_in(envelope, "\"sequence\":");

    check_lists(envelope);
    if (w.now.wall_s - block_s >= CEILING_S)
        fail_msg("served %lld s after its block: %s", (long long)(w.now.wall_s - block_s),
                 envelope);
    if (w.now.wall_s < block_s - ENTRY_CLOCK_SLACK_S)
        fail_msg("served by a clock before its block: wall %lld, block %lld (floor %lld), %s",
                 (long long)w.now.wall_s, (long long)block_s, (long long)core_time_floor(w.core),
                 w.last_event);
    if (sequence < (int64_t)t.floor)
        fail_msg("sequence %lld after %llu", (long long)sequence, (unsigned long long)t.floor);
    t.floor = (uint64_t)sequence;
}

static void check_location(const char *envelope)
{
    int64_t age_s = w.now.wall_s - number_in(envelope, "\"fetched_at\":");

    if (age_s > 3600 + 3600 + 1)
        fail_msg("served %lld s after it was confirmed: %s", (long long)age_s, envelope);
}

static void check_one(const char *text)
{
    struct answer_id id = id_of(text);

    answer_read_lock();
    struct answer *a = table_find(w.table, &id);
    if (a != NULL && w.now.boot_ms < a->fast_until_ms) { /* what a worker would give out */
        assert_true(a->state <= ENTRY_CLOCK_SUSPECT);
        t.by_state[a->state]++;
        bool refuses = a->state == ENTRY_CONFLICT || a->state == ENTRY_CLOCK_SUSPECT ||
                       a->state == ENTRY_EXPIRED || a->state == ENTRY_NEGATIVE;
        assert_false(refuses && a->serve);
        assert_int_equal(a->serve, a->err == MS_OK);
        t.n_served += a->serve;
        t.n_refused += !a->serve;
        if (a->serve && strcmp(text, LOCATION) == 0)
            check_location(a->envelope);
        else if (a->serve)
            check_contract(a->envelope);
    }
    answer_read_unlock();
}

static void check(void)
{
    check_one(CHAIN_SPEC);
    check_one(LOCATION);
}

/* ---- upstream ---- */

static void reply_location(size_t i)
{
    static const char *const controls[] = {
        "max-age=100",     "max-age=0",   "no-store", "max-age=600, must-revalidate",
        "max-age=9999999", "max-age=\"x", NULL};
    static const uint32_t statuses[] = {200, 200, 200, 200, 304, 404, 410, 500, 503, 429, 301};
    static const enum ms_err errs[] = {MS_ERR_CONNECT, MS_ERR_TIMEOUT, MS_ERR_TLS, MS_ERR_RESOLVE};
    struct source_response r = {.status = statuses[roll(MS_ARRAY_LEN(statuses))]};

    if (roll(6) == 0) {
        respond(i, (struct source_response){.err = errs[roll(MS_ARRAY_LEN(errs))]});
        return;
    }
    r.body = ms_span_str(roll(20) == 0 ? "{" : chain_document((uint8_t)(0x11 * (1 + roll(5)))));
    r.header[SOURCE_HEADER_CACHE_CONTROL] = controls[roll(MS_ARRAY_LEN(controls))];
    r.header[SOURCE_HEADER_ETAG] = roll(2) == 0 ? "\"e\"" : NULL;
    r.header[SOURCE_HEADER_RETRY_AFTER] = roll(4) == 0 ? "30" : NULL;
    respond(i, r);
}

/* Some of what is out is answered, in any order. */
static void answer_some(void)
{
    for (uint32_t tries = roll(60); tries > 0 && w.n_out > 0; tries--) {
        size_t i = roll((uint32_t)w.n_out);
        const struct source_request *r = &w.out[i].request;
        if (r->kind == SOURCE_REQUEST_HTTP)
            reply_location(i);
        else if (!node_hangs(&w.nodes[r->provider], r->body))
            node_replies(i);
    }
}

/* A fetch has a deadline of its own: what is not answered fails. */
static void time_out_all(void)
{
    while (w.n_out > 0)
        respond(0, (struct source_response){.err = MS_ERR_TIMEOUT});
}

/* ---- what happens ---- */

static void ask_one(const char *text)
{
    struct caller *c = ask_with(text, roll(8) == 0, roll(8) == 0 ? 5 : 0);
    if (roll(6) == 0)
        c->r.accept = true;
    for (int k = 0; !c->done && k < 200; k++) {
        show_chain();
        answer_some();
        if (!c->done)
            tick_at(200);
    }
    if (!c->done)
        fail_msg("a question without an answer after 40 s");
    free(c);
}

static void change_chain(void)
{
    switch (roll(9)) {
    case 0:
    case 1:
    case 2:
        approve((uint8_t)(1 + roll(5)));
        break;
    case 3:
        chain_revoke_all(&t.chain);
        t.chain.newest = NULL;
        finalize();
        break;
    case 4:
        t.newest = t.chain;
        chain_revoke_all(&t.newest);
        t.chain.newest = &t.newest;
        break;
    case 5:
        t.chain.newest = NULL;
        break;
    case 6:
        t.chain.strange_code = !t.chain.strange_code;
        finalize();
        break;
    case 7:
        chain_touch(&t.chain);
        t.chain.snapshot.state.valid_until_s =
            roll(3) == 0 ? (uint64_t)(w.now.wall_s + roll(7200)) : 0;
        finalize();
        break;
    case 8:
        t.chain.no_account = roll(3) == 0;
        finalize();
        break;
    }
}

static void set_clock(void)
{
    static const int64_t jumps_s[] = {3600, -3600, YEARS_10_S, -YEARS_10_S, 100, -100, 3, -3};

    set_wrong(roll(2) == 0 ? 0 : t.wrong_s + jumps_s[roll(MS_ARRAY_LEN(jumps_s))]);
}

static void lie(void)
{
    static const enum node_lie lies[] = {
        NODE_HONEST, NODE_HONEST,  NODE_HONEST,   NODE_HONEST,  NODE_DEAD,     NODE_HANGS,
        NODE_500,    NODE_BUSY,    NODE_NOT_JSON, NODE_PARTIAL, NODE_SNAPSHOT, NODE_PROOF_VALUE,
        NODE_REVERT, NODE_GARBAGE, NODE_NO_HEAD,  NODE_NO_PROOF};
    /* one of three lies at a time: two that agree bend any quorum (docs/threats.md) */
    for (size_t i = 0; i < 3; i++)
        w.nodes[i].lie = NODE_HONEST;
    w.nodes[roll(3)].lie = lies[roll(MS_ARRAY_LEN(lies))];
    memset(w.benched, 0, sizeof(w.benched)); /* an hour has passed, or an operator came */
}

static void go_down(void)
{
    struct answer_id id = id_of(CHAIN_SPEC);
    if (!w.saved || !ms_sha256_eq(&w.saved_id.key, &id.key) || w.store_err != MS_OK)
        return;
    time_out_all();
    world_restart(roll(2) == 0, (int64_t)roll(3600) * 1000);
    /* one row is kept, that of the contract: the location begins anew */
    show_chain();
}

static void happen(void)
{
    switch (roll(40)) {
    case 0:
    case 1:
        change_chain();
        return;
    case 2:
        set_clock();
        return;
    case 3:
        tick_at((int64_t)roll(8 * 3600) * 1000 / (roll(8) == 0 ? 1 : 120)); /* a suspend */
        return;
    case 4:
    case 5:
        lie();
        return;
    case 6:
        w.store_err = roll(3) == 0 ? MS_ERR_STORE : MS_OK;
        return;
    case 7:
        w.random = (uint32_t)t.seed;
        return;
    case 8:
        t.stopped_blocks += roll(4) == 0 ? (int64_t)roll(900) : 0; /* finality stood still */
        return;
    case 9:
        if (roll(20) == 0)
            go_down();
        return;
    case 10:
    case 11:
    case 12:
    case 13:
        ask_one(CHAIN_SPEC);
        return;
    case 14:
    case 15:
    case 16:
    case 17:
        ask_one(LOCATION);
        return;
    case 18:
        time_out_all();
        return;
    default:
        answer_some();
        return;
    }
}

static void soak(uint64_t seed, int64_t ms)
{
    size_t base = 0;
    int64_t passed_ms = 0;

    memset(&t, 0, sizeof(t));
    t.seed = seed;
    assert_int_equal(world_setup(NULL), 0);
    w.options.policy = play_policy(SPEC_LEVEL_L3, 2, 3);
    core_set_options(w.core, &w.options);
    chain_init(&t.chain);
    show_chain();
    approve(1);
    ask_one(CHAIN_SPEC); /* its row is the one on disk */
    while (passed_ms < ms) {
        int64_t step_ms = roll(10000);
        show_chain();
        happen();
        check();
        tick_at(step_ms);
        check();
        if (w.n_out > OUT_MAX / 2)
            time_out_all();
        passed_ms += step_ms; /* and suspends on top */
        if (base == 0 && passed_ms > ms / 4)
            base = allocated_by_core();
    }
    size_t end = allocated_by_core();
    print_message("seed %llu: %lld h, %zu fetches, %zu served, %zu not;", (unsigned long long)seed,
                  (long long)(passed_ms / HOUR_MS), w.n_fetches, t.n_served, t.n_refused);
    for (size_t s = 0; s < MS_ARRAY_LEN(t.by_state); s++)
        print_message(" %s %zu", entry_state_name((enum entry_state)s), t.by_state[s]);
    print_message("; %zu KiB, a quarter in %zu KiB\n", end / 1024, base / 1024);
    if (end > base + GROWTH_MAX_BYTES)
        fail_msg("memory grew from %zu to %zu bytes", base, end);
    if (t.n_served == 0 || t.n_refused == 0)
        fail_msg("nothing was tried");
    time_out_all();
    world_stop();
    chain_done(&t.chain);
    (void)world_teardown(NULL);
}

static uint64_t first_seed;

static void test_soak(void **state)
{
    (void)state;
    bool more = getenv("MS_SOAK") != NULL;
    uint64_t seed = first_seed != 0 ? first_seed : (uint64_t)time(NULL);

    for (uint64_t k = 0; k < (more ? 20 : 1); k++)
        soak(seed + k, more ? 24 * HOUR_MS : HOUR_MS);
}

/* ---- every state, every jump ---- */

static void answer_honestly(void)
{
    for (size_t i = 0; i < MS_ARRAY_LEN(w.nodes); i++)
        w.nodes[i].lie = NODE_HONEST;
    show_chain();
    chain_replies();
}

static void refresh(bool accept)
{
    struct caller *c = new_caller(CHAIN_SPEC);
    c->r.force = true;
    c->r.accept = accept;
    core_ask(w.core, &c->r);
    settle();
    for (int k = 0; !c->done && k < 50; k++) {
        answer_honestly();
        if (!c->done)
            tick_at(200); /* what was out before is no answer; the next attempt is */
    }
    assert_true(c->done);
    free(c);
}

static void quiet(int64_t ms)
{
    tick_at(ms);
    time_out_all();
}

static void into_state(enum entry_state state)
{
    if (state == ENTRY_NEGATIVE)
        t.chain.no_account = true;
    refresh(false);
    switch (state) {
    case ENTRY_EMPTY:
    case ENTRY_FRESH:
    case ENTRY_NEGATIVE:
        break;
    case ENTRY_SWR:
        quiet(130000);
        break;
    case ENTRY_SIE:
        quiet(300000);
        break;
    case ENTRY_EXPIRED:
        quiet(4 * HOUR_MS);
        break;
    case ENTRY_REVOKED:
        chain_revoke_all(&t.chain);
        finalize();
        refresh(false);
        break;
    case ENTRY_HOLD:
        t.chain.strange_code = true;
        finalize();
        refresh(false);
        break;
    case ENTRY_CONFLICT: {
        uint64_t sequence = t.chain.snapshot.state.sequence;
        (void)chain_approve(&t.chain, chain_document(0x22), NULL);
        t.chain.snapshot.state.sequence = sequence;
        finalize();
        refresh(false);
        break;
    }
    case ENTRY_CLOCK_SUSPECT:
        set_wrong(-2000);
        time_out_all();
        break;
    }
}

static enum entry_state state_now(bool *ret_serve)
{
    struct caller *c = ask(CHAIN_SPEC);

    for (int k = 0; !c->done && k < 60; k++) {
        time_out_all();
        if (!c->done)
            tick_at(200);
    }
    struct outcome o = (end)(c);
    *ret_serve = o.serve;
    return o.state;
}

static const struct {
    const char *name;
    int64_t wall_s;     /* the wall clock is set */
    int64_t suspend_ms; /* boot clock and wall clock go on, nothing runs */
    bool reboot;        /* the boot clock begins anew, and its id is another */
} jumps[] = {
    {"+1 h", 3600, 0, false},
    {"-1 h", -3600, 0, false},
    {"+10 y", YEARS_10_S, 0, false},
    {"-10 y", -YEARS_10_S, 0, false},
    {"suspend 8 h", 0, 8 * HOUR_MS, false},
    {"suspend 50 s", 0, 50000, false},
    {"reboot", 0, 60000, true},
    {"reboot with a clock 10 y back", -YEARS_10_S, 60000, true},
    {"reboot with a clock 10 y ahead", YEARS_10_S, 60000, true},
};

static void jump(size_t j)
{
    t.wrong_s += jumps[j].wall_s;
    w.wall_offset_s += jumps[j].wall_s;
    if (jumps[j].reboot) { /* nothing sees the clock before it is down */
        w.now.wall_s += jumps[j].wall_s;
        world_restart(true, jumps[j].suspend_ms);
    } else {
        tick_at(jumps[j].suspend_ms);
    }
}

static void try_jump(enum entry_state state, size_t j)
{
    bool serve = false;

    memset(&t, 0, sizeof(t));
    t.seed = 1;
    assert_int_equal(world_setup(NULL), 0);
    w.random = 1;
    chain_init(&t.chain);
    show_chain();
    approve(1);
    into_state(state);
    if (state != ENTRY_EMPTY && state_now(&serve) != state)
        fail_msg("%s was not reached", entry_state_name(state));
    uint64_t floor = t.floor;
    jump(j);
    enum entry_state after = state_now(&serve);
    check();
    bool sticks = state == ENTRY_CONFLICT;
    if (sticks && (serve || after != state))
        fail_msg("%s after %s: %s", entry_state_name(state), jumps[j].name,
                 entry_state_name(after));
    if (state == ENTRY_REVOKED && serve && after != ENTRY_REVOKED)
        fail_msg("revoked, and after %s %s", jumps[j].name, entry_state_name(after));
    if (state == ENTRY_HOLD && serve && after != ENTRY_HOLD)
        fail_msg("hold, and after %s %s", jumps[j].name, entry_state_name(after));
    if (serve && (state == ENTRY_EXPIRED || state == ENTRY_NEGATIVE))
        fail_msg("%s, and served after %s", entry_state_name(state), jumps[j].name);
    if (serve && (jumps[j].wall_s > CEILING_S || jumps[j].wall_s < -ENTRY_CLOCK_SLACK_S))
        fail_msg("%s is served after %s", entry_state_name(after), jumps[j].name);
    assert_true(t.floor >= floor);

    /* the clock is put right, and governance moves on: fresh, from wherever it was */
    set_wrong(0);
    t.chain.no_account = t.chain.strange_code = false;
    approve(3);
    refresh(state == ENTRY_HOLD);
    after = state_now(&serve);
    if (!serve || after != ENTRY_FRESH)
        fail_msg("%s, %s: no way back, it is %s", entry_state_name(state), jumps[j].name,
                 entry_state_name(after));
    world_stop();
    chain_done(&t.chain);
    (void)world_teardown(NULL);
}

static void test_jumps(void **state)
{
    (void)state;
    for (enum entry_state s = ENTRY_EMPTY; s <= ENTRY_CLOCK_SUSPECT; s++)
        for (size_t j = 0; j < MS_ARRAY_LEN(jumps); j++)
            try_jump(s, j);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_jumps), cmocka_unit_test(test_soak)};

    first_seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 0;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
