/* Polls of several registries: what each kind of endpoint can make of them, and how many requests
 * they take. */
#include "resolver/source/poll.h"
#include "tests/support/play.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define FINAL 100
#define NODES 4
#define TOWN 4 /* registries; the last is the one that changes */
#define NOW_S (CHAIN_GENESIS_S + 12 * 180)
#define L1 SPEC_LEVEL_L1
#define L2 SPEC_LEVEL_L2
#define L3 SPEC_LEVEL_L3
#define H NODE_HONEST
#define ONE(lie) {lie}, 1
#define TWO(a, b) {a, b}, 2
#define THREE(a, b, c) {a, b, c}, 3

/* ---- a chain of several registries, each read in full once ---- */

struct town {
    struct chain chain, more[TOWN - 1];
    struct source_result *results[TOWN];
};

static struct town town;

static struct chain *last(struct town *t)
{
    return &t->more[TOWN - 2];
}

static struct source_result *read_one(const struct chain *chain, const struct eth_addr *address,
                                      enum spec_level level)
{
    struct node nodes[2];
    char spec[64] = "eip155:1:", text[ETH_ADDR_TEXT + 1];
    struct play p = {.spec = spec,
                     .policy = play_policy(level, level == L1 ? 1 : 2, 2),
                     .now = {NOW_S, 1000, 0},
                     .nodes = nodes};

    eth_addr_text(address, text);
    (void)snprintf(spec + 9, sizeof(spec) - 9, "%s", text);
    for (size_t i = 0; i < 2; i++)
        nodes[i] = (struct node){.chain = chain, .final = FINAL - 1, .head = FINAL + 60};
    play_run(&p);
    if (p.err != MS_OK)
        fail_msg("%s: %s", spec, p.diag.text);
    struct source_result *result = p.result;
    p.result = NULL;
    play_done(&p);
    return result;
}

static void town_init(struct town *t, enum spec_level level)
{
    chain_init(&t->chain);
    (void)chain_approve(&t->chain, chain_document(1), NULL);
    for (uint8_t i = 0; i < TOWN - 1; i++) {
        chain_init_more(&t->chain, &t->more[i], (uint8_t)(0x10 + i));
        (void)chain_approve(&t->more[i], chain_document((uint8_t)(2 + i)), NULL);
    }
    for (size_t i = 0; i < TOWN; i++)
        t->results[i] =
            read_one(&t->chain, i == 0 ? &t->chain.registry : &t->more[i - 1].registry, level);
}

static void town_done(struct town *t)
{
    for (size_t i = 0; i < TOWN; i++)
        source_result_free(t->results[i]);
    chain_done(&t->chain);
    for (size_t i = 0; i < TOWN - 1; i++)
        chain_done(&t->more[i]);
}

/* ---- one poll ---- */

struct game {
    enum spec_level level;
    size_t n_nodes, n_items;
    struct node nodes[NODES];
    size_t dies_after[NODES]; /* messages; 0: it lives */
    struct source_policy policy;
    struct source_poll_item items[SOURCE_POLL_CALLS_MAX];
    struct source_poll_hints hints;
    enum play_order order;
    uint32_t seed;
    /* outcome */
    enum ms_err err;
    struct ms_diag diag;
    bool no_block, lied[NODES];
    size_t n_requests, largest, largest_answer;
    bool waited; /* somebody was not waited for any longer */
    enum source_poll_verdict verdicts[SOURCE_POLL_CALLS_MAX];
    enum ms_err why;
    struct source_block final;
    bool has_head;
    uint64_t head;
};

static void game_init(struct game *g, enum spec_level level, const enum node_lie *lies, size_t n)
{
    *g = (struct game){.level = level,
                       .n_nodes = n,
                       .n_items = TOWN,
                       .policy = play_policy(level, level == L1 ? 1 : 2, n)};
    for (size_t i = 0; i < n; i++)
        g->nodes[i] = (struct node){.chain = &town.chain,
                                    .lie = lies[i],
                                    .final = FINAL,
                                    .head = FINAL + 64,
                                    .now_s = NOW_S};
    for (size_t i = 0; i < TOWN; i++)
        g->items[i] = (struct source_poll_item){.probe = &town.results[i]->probe, .prove = true};
}

static size_t pick(struct game *g, size_t n)
{
    g->seed = g->seed * 1664525u + 1013904223u;
    return g->order == PLAY_FIFO ? 0 : g->order == PLAY_LIFO ? n - 1 : (g->seed >> 8) % n;
}

static enum source_state answer(struct game *g, struct source *poll,
                                const struct source_request *request)
{
    struct node *node = &g->nodes[request->provider];
    struct node_answer from;

    if (g->dies_after[request->provider] > 0 && node->asked >= g->dies_after[request->provider])
        node->lie = NODE_DEAD;
    node_answer(node, request->body, &from);
    if (request->body.len > g->largest)
        g->largest = request->body.len;
    if (from.body.len > g->largest_answer)
        g->largest_answer = from.body.len;
    uint8_t *exact = malloc(from.body.len + 1); /* exact size but one, for ASan */
    assert_non_null(exact);
    if (from.body.len > 0)
        memcpy(exact + 1, from.body.ptr, from.body.len);
    struct source_response r = {.id = request->id,
                                .err = from.err,
                                .status = from.status,
                                .time_s = NOW_S,
                                .body = ms_span_of(exact + 1, from.body.len)};
    enum source_state state = source_step(poll, &r, (struct ms_now){NOW_S, 1000, 0});
    free(exact);
    ms_buf_done(&from.body);
    return state;
}

static void take_outcome(struct game *g, const struct source *poll, enum source_state state)
{
    struct ms_diag diag;

    g->err = state == SOURCE_FAILED ? source_error(poll, &g->diag) : MS_OK;
    g->no_block = source_poll_no_block(poll);
    for (uint32_t i = 0; i < g->n_nodes; i++)
        g->lied[i] = source_conduct(poll, i) == SOURCE_CONDUCT_LIED;
    for (size_t i = 0; i < g->n_items; i++)
        g->verdicts[i] = source_poll_verdict(poll, i, &g->why, &diag);
    g->final = source_poll_final(poll);
    g->has_head = source_poll_head(poll, &g->head);
    g->hints = source_poll_hints(poll);
}

/* Whether nothing is out but what endpoints that hang will not answer before the wait is over. */
static bool all_hang(const struct game *g, const struct source_request *out, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!node_hangs(&g->nodes[out[i].provider], out[i].body))
            return false;
    return true;
}

static enum source_state end_wait(struct source *poll, uint32_t *wait_id)
{
    struct source_response over = {.id = *wait_id, .err = MS_ERR_TIMEOUT, .time_s = NOW_S};
    *wait_id = 0;
    return source_step(poll, &over, (struct ms_now){NOW_S, 1000, 0});
}

static void game_run(struct game *g)
{
    struct source_request out[SOURCE_REQUESTS_MAX];
    uint32_t wait_id = 0;
    struct ms_now now = {NOW_S, 1000, 0};
    struct source *poll = NULL;
    size_t n = 0;

    g->n_requests = 0;
    g->waited = false;
    g->err = source_poll_new(1, &g->policy, g->items, g->n_items, &g->hints, now, &poll, &g->diag);
    if (g->err != MS_OK)
        return;
    enum source_state state = source_step(poll, NULL, now);
    while (state == SOURCE_WANTS) {
        while (source_take_request(poll, &out[n])) {
            if (out[n].kind == SOURCE_REQUEST_WAIT) {
                wait_id = out[n].id;
                continue;
            }
            n++;
            g->n_requests++;
        }
        if (wait_id != 0 && all_hang(g, out, n)) {
            state = end_wait(poll, &wait_id);
            g->waited = true;
            continue;
        }
        if (n == 0)
            fail_msg("wants, but asks nothing");
        size_t at = pick(g, n);
        for (size_t i = 0; i < n && node_hangs(&g->nodes[out[at].provider], out[at].body); i++)
            at = (at + 1) % n; /* who hangs answers last */
        struct source_request request = out[at];
        memmove(&out[at], &out[at + 1], (n - at - 1) * sizeof(out[0]));
        n--;
        state = answer(g, poll, &request);
    }
    take_outcome(g, poll, state);
    source_free(poll);
}

static const char *verdict_name(enum source_poll_verdict verdict)
{
    static const char *const names[] = {"unknown", "changed", "unproven", "stands", "same"};
    return names[verdict];
}

/* All but the last, and the last. */
static void expect(const char *name, const struct game *g, enum source_poll_verdict others,
                   enum source_poll_verdict the_last)
{
    for (size_t i = 0; i < g->n_items; i++) {
        enum source_poll_verdict want = i + 1 == g->n_items ? the_last : others;
        if (g->verdicts[i] != want)
            fail_msg("%s: item %zu is %s instead of %s (%s)", name, i, verdict_name(g->verdicts[i]),
                     verdict_name(want), g->diag.text);
    }
}

#define expect_all(name, g, want) expect(name, g, want, want)

/* ---- what an endpoint can do ---- */

static const struct row {
    const char *name;
    enum spec_level level;
    enum node_lie lies[NODES];
    size_t n;
    enum source_poll_verdict want; /* of all */
    enum ms_err err;               /* no block was agreed on */
    const char *lied;
} rows[] = {
    {"L1", L1, ONE(H), SOURCE_POLL_SAME, MS_OK, ""},
    {"L1: dead", L1, ONE(NODE_DEAD), SOURCE_POLL_UNKNOWN, MS_ERR_TIMEOUT, ""},
    {"L1: failover", L1, TWO(NODE_DEAD, H), SOURCE_POLL_SAME, MS_OK, ""},
    {"L1: failover in the calls", L1, TWO(NODE_CALL_ERROR, H), SOURCE_POLL_SAME, MS_OK, ""},
    {"L1: no calls", L1, ONE(NODE_CALL_ERROR), SOURCE_POLL_UNKNOWN, MS_OK, ""},
    {"L1: wrong chain", L1, ONE(NODE_WRONG_CHAIN), SOURCE_POLL_UNKNOWN, MS_ERR_WRONG_CHAIN, ""},
    {"L1: no multicall", L1, ONE(NODE_NO_MULTICALL), SOURCE_POLL_SAME, MS_OK, ""},
    {"L1: multicall that is none", L1, ONE(NODE_MULTICALL_GARBAGE), SOURCE_POLL_SAME, MS_OK, ""},
    {"L1: a result is missing", L1, ONE(NODE_MULTICALL_FEWER), SOURCE_POLL_SAME, MS_OK, ""},
    {"L1: not JSON", L1, ONE(NODE_NOT_JSON), SOURCE_POLL_UNKNOWN, MS_ERR_JSON, ""},
    {"L1: batches refused", L1, ONE(NODE_BATCH_ERROR), SOURCE_POLL_SAME, MS_OK, ""},
    {"L1: batches 413", L1, ONE(NODE_BATCH_413), SOURCE_POLL_SAME, MS_OK, ""},
    {"L1: out of order", L1, ONE(NODE_REVERSED), SOURCE_POLL_SAME, MS_OK, ""},
    {"L1: bare hashes", L1, ONE(NODE_NO_EIP1898), SOURCE_POLL_SAME, MS_OK, ""},
    {"L1: a revert", L1, ONE(NODE_REVERT), SOURCE_POLL_UNKNOWN, MS_OK, ""},
    {"L1: nothing at the addresses", L1, ONE(NODE_CALL_EMPTY), SOURCE_POLL_CHANGED, MS_OK, ""},
    {"L1: the newest block is gone", L1, ONE(NODE_NO_HEAD), SOURCE_POLL_UNKNOWN, MS_OK, ""},

    {"L2", L2, TWO(H, H), SOURCE_POLL_SAME, MS_OK, ""},
    {"L2: three", L2, THREE(H, H, H), SOURCE_POLL_SAME, MS_OK, ""},
    {"L2: one dead of three", L2, THREE(NODE_DEAD, H, H), SOURCE_POLL_SAME, MS_OK, ""},
    {"L2: one dead of two", L2, TWO(H, NODE_DEAD), SOURCE_POLL_UNKNOWN, MS_ERR_QUORUM, ""},
    {"L2: dissent", L2, THREE(H, NODE_FORK, H), SOURCE_POLL_UNKNOWN, MS_ERR_DISSENT, ""},
    {"L2: the third steps in", L2, THREE(NODE_CALL_ERROR, H, H), SOURCE_POLL_SAME, MS_OK, ""},
    {"L2: nobody steps in", L2, TWO(NODE_CALL_ERROR, H), SOURCE_POLL_UNKNOWN, MS_OK, ""},
    {"L2: one without multicall", L2, TWO(H, NODE_NO_MULTICALL), SOURCE_POLL_SAME, MS_OK, ""},
    {"L2: multicall fails, the third steps in", L2, THREE(H, NODE_MULTICALL_ERROR, H),
     SOURCE_POLL_SAME, MS_OK, ""},
    {"L2: one says there is nothing", L2, TWO(H, NODE_CALL_EMPTY), SOURCE_POLL_UNKNOWN, MS_OK, ""},
    {"L2: both say there is nothing", L2, TWO(NODE_CALL_EMPTY, NODE_CALL_EMPTY),
     SOURCE_POLL_CHANGED, MS_OK, ""},
    {"L2: the newest block is not everywhere", L2, TWO(H, NODE_NO_HEAD), SOURCE_POLL_UNKNOWN, MS_OK,
     ""},
    {"L2: it is with enough", L2, THREE(H, NODE_NO_HEAD, H), SOURCE_POLL_SAME, MS_OK, ""},
    {"L2: batches refused", L2, TWO(NODE_BATCH_ERROR, NODE_BATCH_413), SOURCE_POLL_SAME, MS_OK, ""},
    {"L2: proofs are not asked for", L2, TWO(NODE_NO_PROOF, NODE_PROOF_VALUE), SOURCE_POLL_SAME,
     MS_OK, ""},

    {"L2: one of three hangs", L2, THREE(NODE_HANGS, H, H), SOURCE_POLL_SAME, MS_OK, ""},
    {"L2: no quorum without the one that hangs", L2, TWO(H, NODE_HANGS), SOURCE_POLL_UNKNOWN,
     MS_ERR_QUORUM, ""},
    {"L3: one of three hangs", L3, THREE(H, NODE_HANGS, H), SOURCE_POLL_SAME, MS_OK, ""},
    {"L3", L3, TWO(H, H), SOURCE_POLL_SAME, MS_OK, ""},
    {"L3: quorum about the hash", L3, TWO(H, NODE_DEAD), SOURCE_POLL_UNKNOWN, MS_ERR_QUORUM, ""},
    {"L3: dissent", L3, TWO(H, NODE_FORK), SOURCE_POLL_UNKNOWN, MS_ERR_DISSENT, ""},
    {"L3: the first does not prove", L3, TWO(NODE_NO_PROOF, H), SOURCE_POLL_SAME, MS_OK, ""},
    {"L3: nobody proves", L3, TWO(NODE_NO_PROOF, NODE_NO_PROOF), SOURCE_POLL_UNPROVEN, MS_OK, ""},
    {"L3: false proof, then a true one", L3, TWO(NODE_PROOF_VALUE, H), SOURCE_POLL_SAME, MS_OK,
     "a"},
    {"L3: proofs of another key", L3, TWO(NODE_PROOF_KEY, H), SOURCE_POLL_SAME, MS_OK, "a"},
    {"L3: only false proofs", L3, TWO(NODE_PROOF_ACCOUNT, NODE_PROOF_TRUNCATED),
     SOURCE_POLL_UNPROVEN, MS_OK, "ab"},
    {"L3: one says there is nothing", L3, TWO(H, NODE_CALL_EMPTY), SOURCE_POLL_CHANGED, MS_OK, ""},
    {"L3: one does not say", L3, TWO(H, NODE_CALL_ERROR), SOURCE_POLL_UNKNOWN, MS_OK, ""},
    {"L3: batches refused", L3, TWO(NODE_BATCH_ERROR, NODE_BATCH_ERROR), SOURCE_POLL_SAME, MS_OK,
     ""},
};

static void check_row(const struct row *row, enum play_order order, uint32_t seed)
{
    static struct game g;

    game_init(&g, row->level, row->lies, row->n);
    g.order = order;
    g.seed = seed;
    game_run(&g);
    if (g.err != row->err || g.no_block != (row->err != MS_OK))
        fail_msg("%s: %s (%s)", row->name, ms_err_name(g.err), g.diag.text);
    expect_all(row->name, &g, row->want);
    for (size_t i = 0; i < row->n; i++)
        if (g.lied[i] != (strchr(row->lied, (int)('a' + i)) != NULL))
            fail_msg("%s: node %zu %s", row->name, i, g.lied[i] ? "benched" : "not benched");
    if (row->err == MS_OK && (g.final.number != FINAL || g.final.time_s != chain_time(FINAL)))
        fail_msg("%s: another block", row->name);
    if (row->want == SOURCE_POLL_SAME && (!g.has_head || g.head != FINAL + 64))
        fail_msg("%s: the newest block was not read", row->name);
    if (row->want == SOURCE_POLL_SAME && strstr(row->name, "hangs") != NULL && !g.waited)
        fail_msg("%s: waited for it", row->name);
    if (row->want == SOURCE_POLL_UNPROVEN && g.why == MS_OK)
        fail_msg("%s: no cause told", row->name);
}

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < MS_ARRAY_LEN(rows); i++) {
        check_row(&rows[i], PLAY_FIFO, 0);
        check_row(&rows[i], PLAY_LIFO, 0);
        for (uint32_t seed = 1; seed <= 3; seed++)
            check_row(&rows[i], PLAY_RANDOM, seed);
    }
}

/* ---- what has changed ---- */

static const enum node_lie honest[NODES];

/* One registry changes; the others are as they were. */
static void test_changed(void **state)
{
    (void)state;
    static struct game g;

    for (enum spec_level level = L1; level <= L3; level++) {
        struct registry_snapshot before = last(&town)->snapshot;
        chain_touch(last(&town));
        game_init(&g, level, honest, 3);
        game_run(&g);
        expect("a new state", &g, SOURCE_POLL_SAME, SOURCE_POLL_CHANGED);
        last(&town)->snapshot = before;
    }
}

/* A revocation in the newest block, which is not final. */
static void test_changed_at_head(void **state)
{
    (void)state;
    static struct game g;
    struct chain newest = *last(&town);

    chain_revoke_all(&newest);
    for (enum spec_level level = L1; level <= L3; level++) {
        last(&town)->newest = &newest;
        game_init(&g, level, honest, 3);
        game_run(&g);
        expect("revoked at head", &g, SOURCE_POLL_SAME, SOURCE_POLL_CHANGED);
        for (size_t i = 0; i < TOWN; i++)
            g.items[i].prove = false;
        game_run(&g);
        expect("revoked at head, nothing proven", &g,
               level == L3 ? SOURCE_POLL_STANDS : SOURCE_POLL_SAME, SOURCE_POLL_CHANGED);
        last(&town)->newest = NULL;
    }
}

/* What the newest block takes away is known: that it still does is no change, that it does no more
 * is one. */
static void test_known_at_head(void **state)
{
    (void)state;
    static struct game g;
    struct chain newest = *last(&town);

    chain_revoke_all(&newest);
    last(&town)->newest = &newest;
    for (enum spec_level level = L1; level <= L3; level++) {
        struct source_result *result = read_one(&town.chain, &last(&town)->registry, level);
        game_init(&g, level, honest, 2);
        g.items[TOWN - 1].probe = &result->probe;
        game_run(&g);
        expect_all("still revoked at head", &g, SOURCE_POLL_SAME);
        last(&town)->newest = NULL;
        game_run(&g);
        expect("revoked no more", &g, SOURCE_POLL_SAME, SOURCE_POLL_CHANGED);
        last(&town)->newest = &newest;
        source_result_free(result);
    }
    last(&town)->newest = NULL;
}

/* Who contradicted before it died has contradicted, although enough others agree. */
static void test_contradicted(void **state)
{
    (void)state;
    static struct game g;
    struct chain other = town.chain, other_last = *last(&town);

    other.more[TOWN - 2] = &other_last;
    chain_touch(&other_last);
    game_init(&g, L2, honest, 3);
    g.hints.no_multicall = true;
    g.n_items = 16;
    for (size_t i = 0; i < g.n_items; i++)
        g.items[i] = g.items[TOWN - 1];
    g.nodes[1].says = &other;
    g.dies_after[1] = 2; /* the blocks, and one batch */
    game_run(&g);
    assert_int_equal(g.verdicts[0], SOURCE_POLL_UNKNOWN);
    assert_int_equal(g.verdicts[15], SOURCE_POLL_SAME);
}

/* Somebody tells of the state of before: at L2 they differ, at L3 any one that says so is enough.
 */
static void test_liar(void **state)
{
    (void)state;
    static struct game g;
    struct chain then = town.chain, then_last = *last(&town);

    then.more[TOWN - 2] = &then_last;
    chain_touch(last(&town));
    for (size_t liar = 0; liar < 2; liar++) {
        game_init(&g, L2, honest, 2);
        g.nodes[liar].says = &then;
        game_run(&g);
        expect("L2: one lies", &g, SOURCE_POLL_SAME, SOURCE_POLL_UNKNOWN);
        game_init(&g, L3, honest, 2);
        g.nodes[liar].says = &then;
        game_run(&g);
        expect("L3: one lies", &g, SOURCE_POLL_SAME, SOURCE_POLL_CHANGED);
    }
    /* when all lie, at L3 the proof still tells */
    game_init(&g, L3, honest, 2);
    g.nodes[0].says = g.nodes[1].says = &then;
    game_run(&g);
    expect("L3: all lie", &g, SOURCE_POLL_SAME, SOURCE_POLL_CHANGED);
    last(&town)->snapshot = then_last.snapshot;
}

/* Other code with the same state: proofs see it. */
static void test_code(void **state)
{
    (void)state;
    static struct game g;

    last(&town)->strange_code = true;
    game_init(&g, L3, honest, 2);
    game_run(&g);
    expect("L3: other code", &g, SOURCE_POLL_SAME, SOURCE_POLL_CHANGED);
    game_init(&g, L2, honest, 2);
    game_run(&g);
    expect_all("L2: other code is for the full read", &g, SOURCE_POLL_SAME);
    last(&town)->strange_code = false;
}

/* Behind a proxy the implementation slot is proven too. */
static void test_proxy(void **state)
{
    (void)state;
    static struct game g;
    struct chain *proxy = last(&town);

    proxy->strange_code = true;
    proxy->implementation = eth_word_u64(7);
    struct source_result *result = read_one(&town.chain, &proxy->registry, L3);
    assert_int_equal(result->probe.accounts[0].n_slots, 2);
    assert_false(result->probe.known_code);
    assert_true(town.results[0]->probe.known_code);
    game_init(&g, L3, honest, 2);
    g.items[TOWN - 1].probe = &result->probe;
    game_run(&g);
    expect_all("the same implementation", &g, SOURCE_POLL_SAME);
    proxy->implementation = eth_word_u64(8);
    game_run(&g);
    expect("another implementation", &g, SOURCE_POLL_SAME, SOURCE_POLL_CHANGED);
    source_result_free(result);
    proxy->strange_code = false;
    proxy->implementation = (struct eth_word){0};
}

/* Read without proofs, it has nothing that could be proven. */
static void test_nothing_to_prove(void **state)
{
    (void)state;
    static struct game g;
    struct source_probe bare = town.results[0]->probe;

    bare.n_accounts = 0;
    game_init(&g, L3, honest, 2);
    g.items[TOWN - 1].probe = &bare;
    game_run(&g);
    expect("no accounts", &g, SOURCE_POLL_SAME, SOURCE_POLL_UNPROVEN);
    assert_int_equal(g.why, MS_ERR_LEVEL);
}

/* ---- continuity ---- */

static struct eth_hash hash_of(uint64_t number)
{
    json_t *block;
    char key[24];
    struct eth_hash hash;

    (void)snprintf(key, sizeof(key), "%llu", (unsigned long long)number);
    block = json_object_get(town.chain.told, key);
    assert_non_null(block);
    assert_int_equal(eth_data_fixed(ms_span_str(json_string_value(json_object_get(block, "hash"))),
                                    hash.b, sizeof(hash.b)),
                     MS_OK);
    return hash;
}

static void believed(struct source_poll_item *item, uint64_t number)
{
    item->has_final = true;
    item->final_number = number;
    item->final_hash = hash_of(number);
}

/* Blocks believed before are all still in the chain; items need not have the same. */
static void test_links(void **state)
{
    (void)state;
    static struct game g;

    for (uint64_t number = FINAL - 20; number < FINAL; number++) {
        struct node tells = {.chain = &town.chain, .final = number, .head = number};
        struct node_answer a;
        node_answer(&tells,
                    ms_span_str("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"eth_getBlockByNumber\","
                                "\"params\":[\"finalized\",false]}"),
                    &a);
        ms_buf_done(&a.body);
    }
    for (enum spec_level level = L1; level <= L3; level++) {
        game_init(&g, level, honest, 2);
        for (size_t i = 0; i < TOWN; i++)
            believed(&g.items[i], FINAL - 10 + i);
        g.items[1].has_final = false;
        game_run(&g);
        expect_all("older blocks", &g, SOURCE_POLL_SAME);
        g.items[0].final_hash.b[5] ^= 1; /* not the highest */
        game_run(&g);
        assert_int_equal(g.verdicts[0], SOURCE_POLL_UNKNOWN);
        assert_int_equal(g.verdicts[2], SOURCE_POLL_SAME);
        believed(&g.items[0], FINAL - 10);
        g.items[TOWN - 1].final_hash.b[5] ^= 1; /* the highest */
        game_run(&g);
        assert_int_equal(g.err, level == L1 ? MS_ERR_ROLLBACK : MS_ERR_CONFLICT);
        assert_true(g.no_block);
    }
    /* more different blocks than are asked for */
    game_init(&g, L2, honest, 2);
    g.n_items = 11;
    for (size_t i = 0; i < g.n_items; i++) {
        g.items[i] = g.items[0];
        believed(&g.items[i], FINAL - 1 - i);
    }
    game_run(&g);
    for (size_t i = 0; i < g.n_items; i++)
        assert_int_equal(g.verdicts[i], i < 9 ? SOURCE_POLL_SAME : SOURCE_POLL_UNKNOWN);
}

/* ---- endings ---- */

/* The one asked answers no calls and the next is gone: a full read may still do with the first. */
static void test_next_is_gone(void **state)
{
    (void)state;
    static struct game g;
    static const enum node_lie lies[NODES] = {NODE_CALL_ERROR, NODE_DEAD};

    game_init(&g, L1, lies, 2);
    game_run(&g);
    assert_int_equal(g.err, MS_ERR_RPC);
    assert_false(g.no_block);
    expect_all("no answers", &g, SOURCE_POLL_UNKNOWN);
}

/* An endpoint that dies in the middle is replaced; without anybody else nothing is found out. */
static void test_dies(void **state)
{
    (void)state;
    static struct game g;

    for (size_t n = 2; n <= 3; n++) {
        game_init(&g, L2, honest, n);
        g.dies_after[1] = 1;
        game_run(&g);
        assert_int_equal(g.err, MS_OK);
        expect_all("dies after the blocks", &g, n == 2 ? SOURCE_POLL_UNKNOWN : SOURCE_POLL_SAME);
        assert_int_equal(g.hints.chunk_calls,
                         n == 2 ? SOURCE_POLL_CHUNK_MAX / 2 : SOURCE_POLL_CHUNK_MAX);
    }
    game_init(&g, L3, honest, 2); /* one of them still proves */
    g.dies_after[0] = 2;
    game_run(&g);
    expect_all("dies after the calls", &g, SOURCE_POLL_SAME);
    g = (struct game){0};
    game_init(&g, L3, honest, 2);
    g.dies_after[0] = g.dies_after[1] = 2;
    game_run(&g);
    expect_all("both die after the calls", &g, SOURCE_POLL_UNPROVEN);
}

static void test_hints(void **state)
{
    (void)state;
    static struct game g;
    static const enum node_lie lacks[NODES] = {NODE_NO_MULTICALL},
                               both[NODES] = {NODE_NO_MULTICALL, NODE_NO_MULTICALL};

    game_init(&g, L2, lacks, 2); /* one endpoint's word is not remembered */
    game_run(&g);
    assert_false(g.hints.no_multicall);
    game_init(&g, L2, both, 2);
    game_run(&g);
    assert_true(g.hints.no_multicall);
    size_t asked = g.nodes[0].calls;
    game_init(&g, L2, honest, 2);
    g.hints.no_multicall = true;
    game_run(&g);
    expect_all("no multicall, known", &g, SOURCE_POLL_SAME);
    assert_int_equal(g.nodes[0].multicalls, 0);
    assert_int_equal(g.nodes[0].calls, asked - 2);
    assert_true(g.hints.no_multicall);
}

static void test_refused(void **state)
{
    (void)state;
    static struct game g;
    static const struct source_probe none;

    game_init(&g, L2, honest, 1);
    game_run(&g);
    assert_int_equal(g.err, MS_ERR_QUORUM);
    game_init(&g, L2, honest, 2);
    g.n_items = 0;
    game_run(&g);
    assert_int_equal(g.err, MS_ERR_ARGUMENT);
    game_init(&g, L2, honest, 2);
    g.items[1].probe = &none;
    game_run(&g);
    assert_int_equal(g.err, MS_ERR_ARGUMENT);
    game_init(&g, SPEC_LEVEL_L0, honest, 2);
    g.policy.providers[0].trusted = true;
    game_run(&g);
    assert_int_equal(g.err, MS_ERR_LEVEL);
    game_init(&g, L2, honest, 2);
    g.policy.providers[0].chain = g.policy.providers[1].chain = 5;
    game_run(&g);
    assert_int_equal(g.err, MS_ERR_NO_RPC);
}

/* ---- cost ---- */

static size_t requests_for(enum spec_level level, size_t n, bool no_multicall)
{
    static struct game g;

    game_init(&g, level, honest, 2);
    g.n_items = n;
    for (size_t i = 0; i < n; i++)
        g.items[i] =
            (struct source_poll_item){.probe = &town.results[i % TOWN]->probe, .prove = true};
    g.hints.no_multicall = no_multicall;
    game_run(&g);
    assert_int_equal(g.err, MS_OK);
    expect_all("many", &g, SOURCE_POLL_SAME);
    assert_true(g.largest <= (size_t)1 << 20);
    assert_true(g.largest_answer <= SOURCE_RPC_BODY_MAX_BYTES);
    return g.n_requests;
}

/* The same number of requests for one contract and for a thousand; proofs take one message for
 * eight; so do calls without Multicall3. */
static void test_cost(void **state)
{
    (void)state;
    static const size_t counts[] = {1, 10, 100, 1000};

    for (size_t i = 0; i < MS_ARRAY_LEN(counts); i++) {
        size_t n = counts[i];
        assert_int_equal(requests_for(L1, n, false), 2);
        assert_int_equal(requests_for(L2, n, false), 4);
        assert_int_equal(requests_for(L3, n, false), 4 + (n + 7) / 8);
    }
    assert_int_equal(requests_for(L2, SOURCE_POLL_CALLS_MAX, false), 6);
    assert_int_equal(requests_for(L2, 100, true), 2 + 2 * 2 * 13);
    assert_int_equal(requests_for(L2, SOURCE_POLL_SINGLES_MAX, true), 2 + 2 * 2 * 32);
}

/* More than the requests of one attempt have room for: what is not asked is not confirmed. */
static void test_too_many(void **state)
{
    (void)state;
    static const enum node_lie singly[] = {NODE_BATCH_ERROR, NODE_BATCH_ERROR};
    static struct game g;
    size_t same = 0;

    game_init(&g, L3, singly, 2); /* a message for each proof */
    g.n_items = SOURCE_POLL_CALLS_MAX;
    for (size_t i = 0; i < g.n_items; i++)
        g.items[i] = g.items[0];
    game_run(&g);
    assert_int_equal(g.err, MS_OK);
    for (size_t i = 0; i < g.n_items; i++) {
        assert_true(g.verdicts[i] == SOURCE_POLL_SAME || g.verdicts[i] == SOURCE_POLL_STANDS);
        same += g.verdicts[i] == SOURCE_POLL_SAME;
    }
    assert_true(same >= 900 && same < SOURCE_REQUESTS_MAX);
    game_init(&g, L2, honest, 2);
    g.n_items = SOURCE_POLL_CALLS_MAX;
    for (size_t i = 0; i < g.n_items; i++)
        g.items[i] = g.items[0];
    g.hints.no_multicall = true;
    game_run(&g);
    assert_int_equal(g.err, MS_OK);
    expect("without multicall", &g, g.verdicts[0], SOURCE_POLL_UNKNOWN);
    assert_int_equal(g.hints.chunk_calls, SOURCE_POLL_CHUNK_MAX / 2);
}

static int setup(void **state)
{
    (void)state;
    town_init(&town, L3);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    town_done(&town);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_changed),
        cmocka_unit_test(test_changed_at_head),
        cmocka_unit_test(test_known_at_head),
        cmocka_unit_test(test_contradicted),
        cmocka_unit_test(test_liar),
        cmocka_unit_test(test_code),
        cmocka_unit_test(test_proxy),
        cmocka_unit_test(test_nothing_to_prove),
        cmocka_unit_test(test_links),
        cmocka_unit_test(test_next_is_gone),
        cmocka_unit_test(test_dies),
        cmocka_unit_test(test_hints),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_cost),
        cmocka_unit_test(test_too_many),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
