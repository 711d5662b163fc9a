/* Contracts at L1 to L3: every kind of lie a node can tell, and what becomes of it. Whatever ends
 * well is also written as a bundle and replayed (tests/support/play.c). */
#include "tests/support/play.h"
#include "tests/support/vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define FINAL 100
#define NODES 4
#define H32 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define NOW_S (CHAIN_GENESIS_S + 12 * 180)

static struct chain honest;

struct row {
    const char *name;
    enum spec_level level;
    enum node_lie lies[NODES]; /* as many nodes as `n` */
    size_t n;
    enum ms_err want;
    const char *lied; /* a letter for each node that must be found lying */
    int64_t negative_s;
    const char *warning; /* code that must be among the warnings */
    const char *spec;    /* NULL: CHAIN_SPEC */
};

#define ONE(lie) {lie}, 1
#define TWO(a, b) {a, b}, 2
#define THREE(a, b, c) {a, b, c}, 3
#define L1 SPEC_LEVEL_L1
#define L2 SPEC_LEVEL_L2
#define L3 SPEC_LEVEL_L3
#define H NODE_HONEST

static const struct row rows[] = {
    {"L1", L1, ONE(H), MS_OK, "", 0, NULL, NULL},
    {"L1: dead", L1, ONE(NODE_DEAD), MS_ERR_TIMEOUT, "", 0, NULL, NULL},
    {"L1: 500", L1, ONE(NODE_500), MS_ERR_RPC, "", 0, NULL, NULL},
    {"L1: no JSON", L1, ONE(NODE_NOT_JSON), MS_ERR_JSON, "", 0, NULL, NULL},
    {"L1: oversize", L1, ONE(NODE_OVERSIZE), MS_ERR_LIMIT, "", 0, NULL, NULL},
    {"L1: batch out of order", L1, ONE(NODE_REVERSED), MS_OK, "", 0, NULL, NULL},
    {"L1: batch refused", L1, ONE(NODE_BATCH_ERROR), MS_OK, "", 0, NULL, NULL},
    {"L1: batch 413", L1, ONE(NODE_BATCH_413), MS_OK, "", 0, NULL, NULL},
    {"L1: one answer to a batch", L1, ONE(NODE_BATCH_ONE), MS_OK, "", 0, NULL, NULL},
    {"L1: batch partly", L1, ONE(NODE_PARTIAL), MS_ERR_RPC_SHAPE, "", 0, NULL, NULL},
    {"L1: ids repeated", L1, ONE(NODE_IDS_REPEATED), MS_ERR_RPC_SHAPE, "", 0, NULL, NULL},
    {"L1: 200 with errors", L1, ONE(NODE_ERRORS), MS_ERR_RPC, "", 0, NULL, NULL},
    {"L1: wrong chain", L1, ONE(NODE_WRONG_CHAIN), MS_ERR_WRONG_CHAIN, "", 0, NULL, NULL},
    {"L1: header field", L1, ONE(NODE_HEADER_FIELD), MS_ERR_HEADER, "", 0, NULL, NULL},
    {"L1: future", L1, ONE(NODE_FUTURE), MS_ERR_HEADER, "", 0, NULL, NULL},
    {"L1: time beyond int64", L1, ONE(NODE_FUTURE_2_63), MS_ERR_HEADER, "", 0, NULL, NULL},
    {"L1: finalized above head", L1, ONE(NODE_FINAL_ABOVE_HEAD), MS_ERR_HEADER, "", 0, NULL, NULL},
    {"L1: null block", L1, ONE(NODE_NULL_BLOCK), MS_ERR_RPC, "", 0, NULL, NULL},
    {"L1: another fork is believed", L1, ONE(NODE_FORK), MS_OK, "", 0, NULL, NULL},
    {"L1: no EIP-1898", L1, ONE(NODE_NO_EIP1898), MS_OK, "", 0, NULL, NULL},
    {"L1: no proofs", L1, ONE(NODE_NO_PROOF), MS_OK, "", 0, "no-proof", NULL},
    {"L1: proof of another account", L1, ONE(NODE_PROOF_ACCOUNT), MS_ERR_PROOF, "a", 0, NULL, NULL},
    {"L1: proof of another key", L1, ONE(NODE_PROOF_KEY), MS_ERR_PROOF, "a", 0, NULL, NULL},
    {"L1: truncated", L1, ONE(NODE_PROOF_TRUNCATED), MS_ERR_PROOF, "a", 0, NULL, NULL},
    {"L1: node doubled", L1, ONE(NODE_PROOF_DOUBLED), MS_ERR_PROOF, "a", 0, NULL, NULL},
    {"L1: claim differs", L1, ONE(NODE_PROOF_VALUE), MS_ERR_PROOF, "a", 0, NULL, NULL},
    {"L1: 0x although slot 0 is proven", L1, ONE(NODE_CALL_EMPTY), MS_ERR_COMMITMENT, "a", 0, NULL,
     NULL},
    {"L1: revert", L1, ONE(NODE_REVERT), MS_ERR_KIND, "", 60, NULL, NULL},
    {"L1: call fails", L1, ONE(NODE_CALL_ERROR), MS_ERR_RPC, "", 0, NULL, NULL},
    {"L1: another state", L1, ONE(NODE_SNAPSHOT), MS_ERR_COMMITMENT, "a", 0, NULL, NULL},
    {"L1: payload byte", L1, ONE(NODE_PAYLOAD), MS_ERR_HASH, "", 0, NULL, NULL},
    {"L1: garbage", L1, ONE(NODE_GARBAGE), MS_ERR_ABI, "", 0, NULL, NULL},
    {"L1: failover, dead", L1, TWO(NODE_DEAD, H), MS_OK, "", 0, NULL, NULL},
    {"L1: failover, liar", L1, TWO(NODE_SNAPSHOT, H), MS_OK, "a", 0, NULL, NULL},
    {"L1: failover, proof", L1, THREE(NODE_PROOF_KEY, NODE_500, H), MS_OK, "a", 0, NULL, NULL},
    {"L1: failover, wrong chain", L1, TWO(NODE_WRONG_CHAIN, H), MS_OK, "", 0, NULL, NULL},
    {"L1: failover, call", L1, TWO(NODE_CALL_ERROR, H), MS_OK, "", 0, NULL, NULL},
    {"L1: nobody left", L1, TWO(NODE_DEAD, NODE_500), MS_ERR_TIMEOUT, "", 0, NULL, NULL},

    {"L2", L2, TWO(H, H), MS_OK, "", 0, NULL, NULL},
    {"L2: three", L2, THREE(H, H, H), MS_OK, "", 0, NULL, NULL},
    {"L2: one dead of three", L2, THREE(NODE_DEAD, H, H), MS_OK, "", 0, NULL, NULL},
    {"L2: one dead of two", L2, TWO(H, NODE_DEAD), MS_ERR_QUORUM, "", 0, NULL, NULL},
    {"L2: one on another chain", L2, TWO(H, NODE_WRONG_CHAIN), MS_ERR_QUORUM, "", 0, NULL, NULL},
    {"L2: dissent about the block", L2, THREE(H, NODE_FORK, H), MS_ERR_DISSENT, "", 0, NULL, NULL},
    {"L2: refuted by its own proof, nobody else", L2, TWO(H, NODE_SNAPSHOT), MS_ERR_COMMITMENT, "b",
     0, NULL, NULL},
    {"L2: refuted by its own proof, the third steps in", L2, THREE(H, NODE_SNAPSHOT, H), MS_OK, "b",
     0, NULL, NULL},
    {"L2: bad proof, the third steps in", L2, THREE(NODE_PROOF_KEY, H, H), MS_OK, "a", 0, NULL,
     NULL},
    {"L2: dead in the data, the third steps in", L2, THREE(NODE_CALL_ERROR, H, H), MS_OK, "", 0,
     NULL, NULL},
    {"L2: revert of one", L2, TWO(NODE_REVERT, H), MS_ERR_REVERT, "", 0, NULL, NULL},
    {"L2: revert of both", L2, TWO(NODE_REVERT, NODE_REVERT), MS_ERR_KIND, "", 60, NULL, NULL},
    {"L2: batches refused", L2, TWO(NODE_BATCH_ERROR, NODE_BATCH_413), MS_OK, "", 0, NULL, NULL},
    {"L2: none proves", L2, TWO(NODE_NO_PROOF, NODE_NO_PROOF), MS_OK, "", 0, "no-proof", NULL},
    {"L2: one proves", L2, TWO(NODE_NO_PROOF, H), MS_OK, "", 0, NULL, NULL},
    {"L2: bare hashes", L2, TWO(NODE_NO_EIP1898, NODE_NO_EIP1898), MS_OK, "", 0, NULL, NULL},
    {"L2: both give another state", L2, TWO(NODE_SNAPSHOT, NODE_SNAPSHOT), MS_ERR_COMMITMENT, "ab",
     0, NULL, NULL},

    {"L3", L3, TWO(H, H), MS_OK, "", 0, NULL, NULL},
    {"L3: quorum about the hash", L3, TWO(H, NODE_DEAD), MS_ERR_QUORUM, "", 0, NULL, NULL},
    {"L3: dissent", L3, TWO(H, NODE_FORK), MS_ERR_DISSENT, "", 0, NULL, NULL},
    {"L3: first does not prove", L3, TWO(NODE_NO_PROOF, H), MS_OK, "", 0, NULL, NULL},
    {"L3: none proves: never a lower level", L3, TWO(NODE_NO_PROOF, NODE_NO_PROOF), MS_ERR_RPC, "",
     0, NULL, NULL},
    {"L3: liar, next", L3, TWO(NODE_SNAPSHOT, H), MS_OK, "a", 0, NULL, NULL},
    {"L3: bad proof, next", L3, TWO(NODE_PROOF_TRUNCATED, H), MS_OK, "a", 0, NULL, NULL},
    {"L3: 0x, next", L3, TWO(NODE_CALL_EMPTY, H), MS_OK, "a", 0, NULL, NULL},
    {"L3: 0x is no proof of anything", L3, TWO(NODE_CALL_EMPTY, NODE_CALL_EMPTY), MS_ERR_COMMITMENT,
     "ab", 0, NULL, NULL},
    {"L3: garbage, next", L3, TWO(NODE_GARBAGE, H), MS_OK, "", 0, NULL, NULL},
    {"L3: payload, next", L3, TWO(NODE_PAYLOAD, H), MS_OK, "", 0, NULL, NULL},
    {"L3: revert of one, next", L3, TWO(NODE_REVERT, H), MS_OK, "", 0, NULL, NULL},
    {"L3: all lie", L3, TWO(NODE_SNAPSHOT, NODE_PROOF_KEY), MS_ERR_COMMITMENT, "ab", 0, NULL, NULL},
    {"L3: batch refused", L3, TWO(NODE_BATCH_ERROR, NODE_BATCH_ERROR), MS_OK, "", 0, NULL, NULL},

    {"seq= met", L1, ONE(H), MS_OK, "", 0, NULL, CHAIN_SPEC ";seq=3"},
    {"seq= not met", L1, ONE(H), MS_ERR_ROLLBACK, "", 0, NULL, CHAIN_SPEC ";seq=4"},
    {"code= met", L1, ONE(H), MS_OK, "", 0, NULL,
     CHAIN_SPEC ";code=0x61be32a64c042403140289050e9b36ad276a6503200208de32eaff6414d1bcd9"},
    {"code= other", L1, ONE(H), MS_ERR_CODE_IDENTITY, "", 0, NULL,
     CHAIN_SPEC ";code=0x61be32a64c042403140289050e9b36ad276a6503200208de32eaff6414d1bcd8"},
    {"code= without proof", L1, ONE(NODE_NO_PROOF), MS_ERR_CODE_IDENTITY, "", 0, NULL,
     CHAIN_SPEC ";code=0x61be32a64c042403140289050e9b36ad276a6503200208de32eaff6414d1bcd9"},
};

static bool warned(const struct source_result *result, const char *code)
{
    for (size_t i = 0; result != NULL && i < result->n_warnings; i++)
        if (strcmp(result->warnings[i].code, code) == 0)
            return true;
    return false;
}

static void fill_nodes(struct node *nodes, const struct chain *chain, const enum node_lie *lies,
                       size_t n)
{
    for (size_t i = 0; i < n; i++)
        nodes[i] = (struct node){
            .chain = chain, .lie = lies[i], .final = FINAL, .head = FINAL + 70, .now_s = NOW_S};
}

static void check_row_with(const struct row *row, enum play_order order, uint32_t seed,
                           bool impatient)
{
    struct node nodes[NODES];
    struct play p = {.spec = row->spec == NULL ? CHAIN_SPEC : row->spec,
                     .policy = play_policy(row->level, row->level == L1 ? 1 : 2, row->n),
                     .now = {NOW_S, 1000, 0},
                     .nodes = nodes,
                     .order = order,
                     .seed = seed,
                     .impatient = impatient,
                     .keep_options = row->spec != NULL};

    fill_nodes(nodes, &honest, row->lies, row->n);
    play_run(&p);
    if (p.err != row->want)
        fail_msg("%s: %s (%s) instead of %s", row->name, ms_err_name(p.err), p.diag.text,
                 ms_err_name(row->want));
    for (size_t i = 0; i < row->n; i++)
        /* who is not waited for may get away with it */
        if (!(impatient && !p.lied[i]) && p.lied[i] != (strchr(row->lied, (int)('a' + i)) != NULL))
            fail_msg("%s: node %zu %s", row->name, i, p.lied[i] ? "benched" : "not benched");
    if (p.negative_s != row->negative_s)
        fail_msg("%s: negative for %lld s", row->name, (long long)p.negative_s);
    if (p.err == MS_OK) {
        if (p.result->level != row->level || p.result->sequence != 3 || p.result->n_releases != 2 ||
            p.result->block.number != FINAL || p.result->evidence_time_s != chain_time(FINAL))
            fail_msg("%s: another result", row->name);
        if (warned(p.result, "no-proof") != (row->warning != NULL))
            fail_msg("%s: warnings", row->name);
    } else if (p.diag.text[0] == '\0') {
        fail_msg("%s: no cause told", row->name);
    }
    play_done(&p);
}

static void check_row(const struct row *row, enum play_order order, uint32_t seed)
{
    check_row_with(row, order, seed, false);
}

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < MS_ARRAY_LEN(rows); i++) {
        check_row(&rows[i], PLAY_FIFO, 0);
        check_row(&rows[i], PLAY_LIFO, 0);
        for (uint32_t seed = 1; seed <= 5; seed++)
            check_row(&rows[i], PLAY_RANDOM, seed);
    }
}

/* ---- one by one ---- */

static void play(struct play *p, struct node *nodes, const struct chain *chain,
                 enum spec_level level, size_t n)
{
    static const enum node_lie none[NODES];

    fill_nodes(nodes, chain, none, n);
    *p = (struct play){.spec = CHAIN_SPEC,
                       .policy = play_policy(level, level == L1 ? 1 : 2, n),
                       .now = {NOW_S, 1000, 0},
                       .nodes = nodes};
}

static void test_trust(void **state)
{
    (void)state;
    static const enum source_trust want[] = {SOURCE_TRUST_SINGLE, SOURCE_TRUST_QUORUM,
                                             SOURCE_TRUST_PROOF};
    for (size_t i = 0; i < 3; i++) {
        struct node nodes[NODES];
        struct play p;
        play(&p, nodes, &honest, (enum spec_level)(SPEC_LEVEL_L1 + i), 3);
        nodes[2].lie = NODE_DEAD;
        play_run(&p);
        assert_int_equal(p.err, MS_OK);
        assert_int_equal(p.result->trust, want[i]);
        assert_string_equal(json_string_value(json_object_get(p.result->governance, "adapter")),
                            "registry");
        if (want[i] == SOURCE_TRUST_QUORUM) { /* two of the three that are configured */
            assert_int_equal(p.result->trust_k, 2);
            assert_int_equal(p.result->trust_n, 3);
        }
        play_done(&p);
    }
}

/* Nobody waits for who hangs longer than it takes to have an answer without it. Each play is
 * written as a bundle and replayed, and the end of a wait is an answer in it. */
static const struct {
    const char *name;
    enum spec_level level;
    enum node_lie lies[NODES];
    size_t n;
    enum ms_err want;
    const char *owing, *faulted; /* a letter for each node of that conduct */
} hurries[] = {
    {"one of three hangs", L2, THREE(NODE_HANGS, H, H), MS_OK, "a", ""},
    {"the last of three hangs", L2, THREE(H, H, NODE_HANGS), MS_OK, "c", ""},
    {"a voter hangs on the data", L2, THREE(NODE_DATA_HANGS, H, H), MS_OK, "a", ""},
    {"no voter is left", L2, TWO(NODE_DATA_HANGS, H), MS_ERR_TIMEOUT, "", "a"},
    {"no quorum without it", L2, TWO(NODE_HANGS, H), MS_ERR_QUORUM, "", "a"},
    {"the rest disagree", L2, THREE(NODE_HANGS, NODE_FORK, H), MS_ERR_DISSENT, "a", ""},
    {"the next cannot give it, the slow one is waited for", L2,
     THREE(NODE_DATA_HANGS, H, NODE_CALL_ERROR), MS_ERR_TIMEOUT, "", "ac"},
    {"l3: one of three hangs", L3, THREE(NODE_HANGS, H, H), MS_OK, "a", ""},
    {"l3: the prover hangs", L3, TWO(NODE_DATA_HANGS, H), MS_OK, "a", ""},
    {"l3: the prover hangs, the next lies", L3, THREE(NODE_DATA_HANGS, NODE_SNAPSHOT, H), MS_OK,
     "a", ""},
    {"l3: both hang", L3, TWO(NODE_DATA_HANGS, NODE_DATA_HANGS), MS_ERR_TIMEOUT, "", "ab"},
    {"l3: the rest disagree", L3, THREE(NODE_HANGS, NODE_FORK, H), MS_ERR_DISSENT, "a", ""},
};

static bool has_conduct(const struct play *p, size_t n, enum source_conduct conduct,
                        const char *letters)
{
    return (p->conduct[n] == conduct) == (strchr(letters, (int)('a' + n)) != NULL);
}

/* What is learned is what led to answers, and what is known already is not tried again. */
static void test_manners(void **state)
{
    (void)state;
    static const struct {
        enum node_lie lie;
        struct source_manners want;
        size_t fewer; /* messages that the knowledge spares */
    } cases[] = {
        {H, {false, false}, 0},
        {NODE_BATCH_ERROR, {true, false}, 1},
        {NODE_BATCH_413, {true, false}, 1},
        {NODE_BATCH_ONE, {true, false}, 1},
        {NODE_NO_EIP1898, {false, true}, 4},
        {NODE_ERRORS, {false, false}, 0},
    };
    for (size_t i = 0; i < MS_ARRAY_LEN(cases); i++) {
        struct node nodes[NODES];
        struct play p;
        play(&p, nodes, &honest, L1, 1);
        nodes[0].lie = cases[i].lie;
        play_run(&p);
        enum ms_err err = p.err;
        size_t n = p.n_requests;
        assert_int_equal(p.learned[0].no_batch, cases[i].want.no_batch);
        assert_int_equal(p.learned[0].bare_hash, cases[i].want.bare_hash);
        p.policy.providers[0].manners = p.learned[0];
        play_done(&p);
        play_run(&p); /* and its bundle is replayed */
        assert_int_equal(p.err, err);
        assert_int_equal(n - p.n_requests, cases[i].fewer);
        play_done(&p);
    }
}

/* Who asks to be left alone is of no use, and not at fault. */
static void test_busy(void **state)
{
    (void)state;
    for (int level = L1; level <= (int)L3; level++) {
        struct node nodes[NODES];
        struct play p;
        play(&p, nodes, &honest, (enum spec_level)level, 3);
        nodes[0].lie = NODE_BUSY;
        nodes[1].lie = level == L1 ? NODE_500 : H;
        play_run(&p);
        assert_int_equal(p.err, MS_OK);
        assert_int_equal(p.conduct[0], SOURCE_CONDUCT_BUSY);
        assert_int_equal(p.conduct[1], level == L1 ? SOURCE_CONDUCT_FAULT : SOURCE_CONDUCT_GOOD);
        play_done(&p);
    }
}

static void test_hurry(void **state)
{
    (void)state;
    for (size_t i = 0; i < MS_ARRAY_LEN(hurries); i++) {
        struct node nodes[NODES];
        struct play p = {.spec = CHAIN_SPEC,
                         .policy = play_policy(hurries[i].level, 2, hurries[i].n),
                         .now = {NOW_S, 1000, 0},
                         .nodes = nodes};
        fill_nodes(nodes, &honest, hurries[i].lies, hurries[i].n);
        play_run(&p);
        if (p.err != hurries[i].want)
            fail_msg("%s: %s (%s)", hurries[i].name, ms_err_name(p.err), p.diag.text);
        for (size_t n = 0; n < hurries[i].n; n++)
            if (!has_conduct(&p, n, SOURCE_CONDUCT_OWING, hurries[i].owing) ||
                !has_conduct(&p, n, SOURCE_CONDUCT_FAULT, hurries[i].faulted))
                fail_msg("%s: conduct of node %zu is %d", hurries[i].name, n, (int)p.conduct[n]);
        if (p.err == MS_OK &&
            strstr(ms_buf_str(&p.bundle), "\"error\":\"timeout\",\"id\":102") == NULL)
            fail_msg("%s: the bundle does not tell of the wait", hurries[i].name);
        play_done(&p);
    }
}

/* However short the patience, slow answers are taken: what ends well or badly still does. */
static void test_impatient(void **state)
{
    (void)state;
    for (size_t i = 0; i < MS_ARRAY_LEN(rows); i++)
        for (uint32_t seed = 1; rows[i].n < 3 && seed <= 5; seed++)
            check_row_with(&rows[i], PLAY_RANDOM, seed, true);
}

/* Two agree, and the third, who was not waited for, contradicts before the end: dissent. */
static void test_late_dissent(void **state)
{
    (void)state;
    for (size_t impatient = 0; impatient < 2; impatient++) {
        struct node nodes[NODES];
        struct play p;
        play(&p, nodes, &honest, L3, 3);
        nodes[2].lie = NODE_FORK;
        p.impatient = impatient == 1;
        play_run(&p);
        assert_int_equal(p.err, MS_ERR_DISSENT);
        play_done(&p);
    }
}

/* Providers of one operator are one voice. */
static void test_same_group(void **state)
{
    (void)state;
    struct node nodes[NODES];
    struct play p;

    play(&p, nodes, &honest, L2, 2);
    p.policy.providers[1].group = "a";
    play_run(&p);
    assert_int_equal(p.err, MS_ERR_QUORUM);
    assert_int_equal(p.n_requests, 0);
    play_done(&p);

    play(&p, nodes, &honest, L2, 3);
    p.policy.providers[1].group = "a";
    nodes[2].lie = NODE_DEAD;
    play_run(&p);
    assert_int_equal(p.err, MS_ERR_QUORUM);
    play_done(&p);

    play(&p, nodes, &honest, L2, 3); /* the group's other endpoint stands in for the dead one */
    p.policy.providers[1].group = "a";
    nodes[0].lie = NODE_DEAD;
    play_run(&p);
    assert_int_equal(p.err, MS_OK);
    play_done(&p);
}

static void test_heights(void **state)
{
    (void)state;
    for (size_t level = L2; level <= L3; level++) {
        struct node nodes[NODES];
        struct play p;

        /* 100, 132, 164: the highest that two have is 132; the third is asked for it */
        play(&p, nodes, &honest, (enum spec_level)level, 3);
        nodes[1].final = 132;
        nodes[2].final = 164;
        play_run(&p);
        assert_int_equal(p.err, MS_OK);
        assert_int_equal(p.result->block.number, 132);
        play_done(&p);

        play(&p, nodes, &honest, (enum spec_level)level, 3); /* forks show at the common height */
        nodes[1].final = 132;
        nodes[2].final = 164;
        nodes[2].lie = NODE_FORK;
        play_run(&p);
        assert_int_equal(p.err, MS_ERR_DISSENT);
        play_done(&p);

        /* asked by number it says another: without it the highest that two have is 100 */
        play(&p, nodes, &honest, (enum spec_level)level, 3);
        nodes[1].final = 132;
        nodes[2].final = 164;
        nodes[2].lie = NODE_OTHER_NUMBER;
        play_run(&p);
        assert_int_equal(p.err, MS_OK);
        assert_int_equal(p.result->block.number, 100);
        play_done(&p);
    }
}

static void test_floor(void **state)
{
    (void)state;
    for (uint64_t floor = 2; floor <= 4; floor++) {
        struct node nodes[NODES];
        struct play p;
        play(&p, nodes, &honest, L3, 2);
        p.previous.floor_sequence = floor;
        play_run(&p);
        assert_int_equal(p.err, floor <= 3 ? MS_OK : MS_ERR_ROLLBACK);
        play_done(&p);
    }
}

static void test_policy(void **state)
{
    (void)state;
    struct node nodes[NODES];
    struct play p;

    play(&p, nodes, &honest, L2, 2);
    p.policy.providers[0].chain = p.policy.providers[1].chain = 5;
    play_run(&p);
    assert_int_equal(p.err, MS_ERR_NO_RPC);
    play(&p, nodes, &honest, L2, 2);
    p.policy.providers[1].benched = true;
    play_run(&p);
    assert_int_equal(p.err, MS_ERR_QUORUM);
    play(&p, nodes, &honest, L1, 2); /* the benched one is not asked */
    p.policy.providers[0].benched = true;
    play_run(&p);
    assert_int_equal(p.err, MS_OK);
    assert_int_equal(nodes[0].asked, 0);
    play_done(&p);
    play(&p, nodes, &honest, SPEC_LEVEL_L4, 2);
    play_run(&p);
    assert_int_equal(p.err, MS_ERR_LEVEL);
    play(&p, nodes, &honest, L3, 2); /* nobody proves finalized state */
    p.policy.providers[0].proofs = SOURCE_PROOFS_NO;
    p.policy.providers[1].proofs = SOURCE_PROOFS_NO;
    play_run(&p);
    assert_int_equal(p.err, MS_ERR_LEVEL);
    play_done(&p);
    play(&p, nodes, &honest, L3, 2); /* one proves the newest: it will be final */
    p.policy.providers[0].proofs = SOURCE_PROOFS_NO;
    p.policy.providers[1].proofs = SOURCE_PROOFS_HEAD;
    play_run(&p);
    assert_int_equal(p.err, MS_ERR_UNAVAILABLE);
    play_done(&p);
}

/* What stands for a quorum: a checkpoint or an endpoint of the operator. Data are proven all the
 * same. */
static void test_trusted(void **state)
{
    (void)state;
    struct node nodes[NODES];
    struct play p;

    play(&p, nodes, &honest, L3, 2);
    play_run(&p);
    assert_int_equal(p.err, MS_OK);
    struct eth_hash hash = p.result->block.hash;
    play_done(&p);
    for (int wrong = 0; wrong < 2; wrong++) {
        play(&p, nodes, &honest, L3, 2);
        p.policy.quorum = 3; /* out of reach */
        p.policy.has_checkpoint = true;
        p.policy.checkpoint_chain = 1;
        p.policy.checkpoint = hash;
        p.policy.checkpoint.b[7] ^= (uint8_t)wrong;
        nodes[0].lie = NODE_SNAPSHOT;
        play_run(&p);
        assert_int_equal(p.err, wrong ? MS_ERR_RPC : MS_OK);
        assert_true(wrong || eth_hash_eq(&p.result->block.hash, &hash));
        play_done(&p);
    }
    play(&p, nodes, &honest, L3, 3);
    p.policy.quorum = 4;
    p.policy.providers[1].trusted = true;
    nodes[0].lie = NODE_FORK; /* nobody asks it about blocks */
    play_run(&p);
    assert_int_equal(p.err, MS_OK);
    assert_true(eth_hash_eq(&p.result->block.hash, &hash));
    play_done(&p);
    play(&p, nodes, &honest, L3, 3); /* it fails: nobody's single word takes its place */
    p.policy.providers[1].trusted = true;
    nodes[1].lie = NODE_500;
    play_run(&p);
    assert_int_equal(p.err, MS_ERR_RPC);
    assert_int_equal(nodes[0].asked + nodes[2].asked, 0);
    play_done(&p);
    play(&p, nodes, &honest, SPEC_LEVEL_L0, 2);
    play_run(&p);
    assert_int_equal(p.err, MS_ERR_LEVEL);
    play_done(&p);
    play(&p, nodes, &honest, SPEC_LEVEL_L0, 2);
    p.policy.providers[1].trusted = true;
    play_run(&p);
    assert_int_equal(p.err, MS_OK);
    assert_true(p.result->block.number == nodes[1].head);
    assert_int_equal(nodes[0].asked, 0);
    play_done(&p);
}

/* ---- other contracts ---- */

static void test_no_code(void **state)
{
    (void)state;
    struct chain none = honest;
    none.no_account = true;
    for (size_t level = L1; level <= L3; level++) {
        struct node nodes[NODES];
        struct play p;
        play(&p, nodes, &none, (enum spec_level)level, 2);
        play_run(&p);
        assert_int_equal(p.err, MS_ERR_NO_CODE);
        assert_int_equal(p.negative_s, 300);
        play_done(&p);
    }
}

/* One key can point its account at any code (EIP-7702): such an address is no registry, however
 * well it answers; and what a proxy stands for is part of its identity. */
static void test_code(void **state)
{
    (void)state;
    struct chain other = honest;
    struct ms_sha256 identity = {0};
    other.strange_code = true;
    for (int delegated = 0; delegated < 3; delegated++) {
        struct node nodes[NODES];
        struct play p;
        other.delegated = delegated == 1;
        other.implementation.b[31] = delegated == 2;
        play(&p, nodes, &other, L3, 2);
        play_run(&p);
        assert_int_equal(p.err, delegated == 1 ? MS_ERR_KIND : MS_OK);
        if (delegated != 1) {
            assert_true(p.result->has_identity);
            assert_false(ms_sha256_eq(&p.result->identity, &identity));
            identity = p.result->identity;
        }
        play_done(&p);
    }
}

/* Anybody can put up a contract that answers other than its slot 0 commits to, and a URL that names
 * it: only the registry's own code makes that a lie of the provider. */
static void test_strange_contract(void **state)
{
    (void)state;
    static const enum node_lie lies[] = {NODE_SNAPSHOT, NODE_CALL_EMPTY, NODE_GARBAGE, NODE_REVERT};
    struct chain strange = honest;

    strange.strange_code = true;
    for (size_t level = L1; level <= L3; level++) {
        for (size_t i = 0; i < MS_ARRAY_LEN(lies); i++) {
            struct node nodes[NODES];
            struct play p;
            play(&p, nodes, &strange, (enum spec_level)level, 2);
            nodes[0].lie = nodes[1].lie = lies[i];
            play_run(&p);
            assert_int_not_equal(p.err, MS_OK);
            if (p.lied[0] || p.lied[1])
                fail_msg("lie %d at l%zu benches honest providers", (int)lies[i],
                         level - SPEC_LEVEL_L0);
            play_done(&p);
        }
        struct node nodes[NODES]; /* an honest one of that kind is read, with a warning */
        struct play p;
        play(&p, nodes, &strange, (enum spec_level)level, 2);
        play_run(&p);
        assert_int_equal(p.err, MS_OK);
        assert_true(warned(p.result, "unknown-code"));
        play_done(&p);
    }
}

static void test_empty_slot(void **state)
{
    (void)state;
    struct chain empty = honest;
    struct node nodes[NODES];
    struct play p;

    empty.empty_slot0 = true;
    play(&p, nodes, &empty, L3, 2);
    play_run(&p);
    assert_int_equal(p.err, MS_ERR_KIND);
    assert_int_equal(p.negative_s, 300);
    assert_false(p.lied[0]);
    play_done(&p);
}

/* ---- payloads elsewhere ---- */

struct origin { /* of documents that are not on chain */
    const char *body;
    uint32_t status;
    enum ms_err err;
    size_t asked, max_bytes;
    char url[256];
};

static struct source_response serve_document(void *arg, const struct source_request *request)
{
    struct origin *o = arg;
    o->asked++;
    o->max_bytes = request->max_bytes;
    (void)snprintf(o->url, sizeof(o->url), "%s", request->location->url);
    return (struct source_response){
        .err = o->err, .status = o->status, .body = ms_span_str(o->body)};
}

static void test_payloads(void **state)
{
    (void)state;
    static const struct {
        const char *name, *body;
        uint32_t status;
        enum ms_err err, want;
    } cases[] = {
        {"right", NULL, 200, MS_OK, MS_OK},
        {"changed", "[]", 200, MS_OK, MS_ERR_HASH},
        {"empty", "", 200, MS_OK, MS_ERR_HASH},
        {"missing", "", 404, MS_OK, MS_ERR_HTTP},
        {"down", "", 0, MS_ERR_CONNECT, MS_ERR_CONNECT},
    };
    for (size_t i = 0; i < MS_ARRAY_LEN(cases); i++) {
        struct chain chain;
        struct node nodes[NODES];
        struct play p;
        chain_init(&chain);
        (void)chain_approve(&chain, chain_document(1), NULL);
        (void)chain_approve(&chain, chain_document(2), "https://a.example/r2.json");
        char right[512];
        (void)snprintf(right, sizeof(right), "%s", chain_document(2));
        struct origin origin = {.body = cases[i].body == NULL ? right : cases[i].body,
                                .status = cases[i].status,
                                .err = cases[i].err};
        play(&p, nodes, &chain, L3, 2);
        p.http = serve_document;
        p.arg = &origin;
        play_run(&p);
        if (p.err != cases[i].want)
            fail_msg("%s: %s", cases[i].name, ms_err_name(p.err));
        assert_int_equal(origin.asked, 1);
        assert_int_equal(origin.max_bytes, strlen(right));
        assert_string_equal(origin.url, "https://a.example/r2.json");
        if (p.err == MS_OK)
            assert_int_equal(p.result->releases[1].set->n_records, 1);
        assert_false(p.lied[0]);
        play_done(&p);
        chain_done(&chain);
    }
}

/* Each format is read by its own rules, into its own release. */
static void test_payload_formats(void **state)
{
    (void)state;
    static const char workload[] = "{\"predicates\":[{\"kind\":\"tdx-workload-id\",\"version\":2,"
                                   "\"value\":\"" H32 "\"}]}",
                      dstack[] =
                          "{\"predicates\":[{\"kind\":\"dstack-compose-hash\",\"value\":"
                          "\"" H32 "\"},{\"kind\":\"dstack-os-image\",\"value\":\"" H32 "\"}]}";
    static const struct {
        const char *name, *document;
        uint16_t format;
        enum ms_err want;
        enum rec_predicate_kind kinds[2];
    } cases[] = {
        {"workload ids", workload, 3, MS_OK, {REC_PREDICATE_TDX_WORKLOAD_ID}},
        {"dstack",
         dstack,
         4,
         MS_OK,
         {REC_PREDICATE_DSTACK_COMPOSE_HASH, REC_PREDICATE_DSTACK_OS_IMAGE}},
        {"dstack as workload ids", dstack, 3, MS_ERR_RECORDS, {0}},
        {"workload ids as dstack", workload, 4, MS_ERR_RECORDS, {0}},
        {"records as dstack", NULL, 4, MS_ERR_RECORDS, {0}},
        {"an unknown format", dstack, 5, MS_ERR_UNSUPPORTED, {0}},
    };
    for (enum spec_level level = L1; level <= L3; level = (enum spec_level)(level + 1)) {
        for (size_t i = 0; i < MS_ARRAY_LEN(cases); i++) {
            const char *document =
                cases[i].document == NULL ? chain_document(2) : cases[i].document;
            size_t n = cases[i].kinds[1] != REC_PREDICATE_NONE ? 2 : 1;
            struct chain chain;
            struct node nodes[NODES];
            struct play p;
            chain_init(&chain);
            struct registry_release *r = chain_approve(&chain, document, NULL);
            r->payload_format = cases[i].format;
            r->not_before_s = 7;
            r->not_after_s = (uint64_t)NOW_S + 1000;
            (void)chain_approve(&chain, chain_document(1), NULL);
            play(&p, nodes, &chain, level, 2);
            play_run(&p);
            if (p.err != cases[i].want)
                fail_msg("%s: %s (%s)", cases[i].name, ms_err_name(p.err), p.diag.text);
            if (p.err != MS_OK)
                assert_non_null(strstr(p.diag.text, "the document of release 1: "));
            if (p.err == MS_OK) {
                const struct source_release *first = &p.result->releases[0];
                assert_int_equal(p.result->n_releases, 2);
                assert_int_equal(first->set->n_records, 0);
                assert_int_equal(first->set->n_predicates, n);
                for (size_t k = 0; k < n; k++)
                    assert_int_equal(first->set->predicates[k].kind, cases[i].kinds[k]);
                assert_int_equal(first->not_before_s, 7);
                assert_int_equal(first->not_after_s, NOW_S + 1000);
                assert_int_equal(p.result->releases[1].set->n_records, 1);
                assert_int_equal(p.result->releases[1].set->n_predicates, 0);
            }
            assert_false(p.lied[0]);
            play_done(&p);
            chain_done(&chain);
        }
    }
}

static void test_payload_limits(void **state)
{
    (void)state;
    struct origin origin = {.body = "", .status = 200};
    struct chain chain;
    struct node nodes[NODES];
    struct play p;

    chain_init(&chain);
    struct registry_release *r = chain_approve(&chain, chain_document(1), "https://a.example/x");
    r->payload_size = UINT32_MAX; /* governance does not tell how much memory we have */
    play(&p, nodes, &chain, L1, 1);
    p.http = serve_document;
    p.arg = &origin;
    play_run(&p);
    assert_int_equal(p.err, MS_ERR_TOO_LARGE);
    assert_int_equal(origin.asked, 0);
    play_done(&p);

    r->payload_size = 10; /* its time is over: nothing is fetched, it is only listed */
    r->not_after_s = (uint64_t)NOW_S;
    play(&p, nodes, &chain, L1, 1);
    p.http = serve_document;
    p.arg = &origin;
    play_run(&p);
    assert_int_equal(p.err, MS_OK);
    assert_int_equal(origin.asked, 0);
    play_done(&p);

    r->not_after_s = 0;
    r->uri = ms_span_str("http://a.example/x");
    play(&p, nodes, &chain, L1, 1);
    play_run(&p);
    assert_int_equal(p.err, MS_ERR_SCHEME);
    play_done(&p);

    r->uri = (struct ms_span){0}; /* neither here nor elsewhere */
    play(&p, nodes, &chain, L1, 1);
    play_run(&p);
    assert_int_equal(p.err, MS_ERR_HASH);
    play_done(&p);
    chain_done(&chain);
}

/* As many releases as a registry may hold, all elsewhere, and no endpoint that takes a batch. */
static void test_many(void **state)
{
    (void)state;
    struct origin origin = {.status = 200};
    struct chain chain;
    struct node nodes[SOURCE_PROVIDERS_MAX] = {0};
    char document[512];

    (void)snprintf(document, sizeof(document), "%s", chain_document(7));
    origin.body = document;
    chain_init(&chain);
    for (size_t i = 0; i < REGISTRY_RELEASES_MAX; i++)
        (void)chain_approve(&chain, document, "https://a.example/x");
    struct play p = {.spec = CHAIN_SPEC,
                     .policy = play_policy(L3, 2, SOURCE_PROVIDERS_MAX),
                     .now = {NOW_S, 1000, 0},
                     .nodes = nodes,
                     .http = serve_document,
                     .arg = &origin};
    for (size_t i = 0; i < SOURCE_PROVIDERS_MAX; i++)
        nodes[i] = (struct node){
            .chain = &chain, .lie = NODE_BATCH_ERROR, .final = FINAL + i, .head = FINAL + 60};
    play_run(&p);
    if (p.err != MS_OK)
        fail_msg("%s", p.diag.text);
    assert_int_equal(p.result->n_releases, REGISTRY_RELEASES_MAX);
    play_done(&p);
    chain_done(&chain);
}

/* ---- numbers at their ends ---- */

static void test_extremes(void **state)
{
    (void)state;
    struct chain chain;
    struct node nodes[NODES];
    struct play p;

    chain_init(&chain);
    struct registry_release *r = chain_approve(&chain, chain_document(1), NULL);
    r->not_before_s = UINT64_MAX;
    r->not_after_s = UINT64_MAX;
    r->version = UINT64_MAX;
    chain.snapshot.state.valid_until_s = UINT64_MAX;
    chain.snapshot.state.sequence = UINT64_MAX;
    chain.snapshot.state.min_delay_s = UINT64_MAX;
    play(&p, nodes, &chain, L3, 2);
    play_run(&p);
    assert_int_equal(p.err, MS_OK);
    assert_int_equal(p.result->valid_until_s, INT64_MAX / 8); /* room to add to it */
    assert_int_equal(p.result->releases[0].not_after_s, INT64_MAX / 8);
    assert_true(p.result->sequence == UINT64_MAX);
    play_done(&p);
    chain_done(&chain);
}

static void test_old_finality(void **state)
{
    (void)state;
    struct node nodes[NODES];
    struct play p;

    play(&p, nodes, &honest, L1, 1);
    p.now.wall_s = chain_time(FINAL) + 1800;
    play_run(&p);
    assert_false(warned(p.result, "old-finality"));
    play_done(&p);
    play(&p, nodes, &honest, L1, 1);
    p.now.wall_s = chain_time(FINAL) + 1801;
    play_run(&p);
    assert_true(warned(p.result, "old-finality"));
    play_done(&p);
}

/* ---- the published vector: independent of our encoders ---- */

static struct source_response no_such_document(void *arg, const struct source_request *request)
{
    (void)request;
    (*(size_t *)arg)++;
    return (struct source_response){.status = 200, .body = ms_span_str("[{\"not\":\"it\"}]")};
}

static const char *rpc_name(const char *ethereumjs)
{
    static const char *const names[][2] = {{"uncleHash", "sha3Uncles"},
                                           {"coinbase", "miner"},
                                           {"transactionsTrie", "transactionsRoot"},
                                           {"receiptTrie", "receiptsRoot"}};
    for (size_t i = 0; i < MS_ARRAY_LEN(names); i++)
        if (strcmp(names[i][0], ethereumjs) == 0)
            return names[i][1];
    return ethereumjs;
}

/* What the vector's node says to one message of ours. */
static void vector_answer(const json_t *root, struct ms_span request, struct ms_buf *out)
{
    static const struct ms_json_limits limits = {1u << 20, 16, 4096, 0};
    json_t *calls = NULL, *replies = json_array(), *block = json_object();
    json_t *proof = json_deep_copy(json_object_get(root, "proof"));
    const char *name;
    json_t *value;

    json_object_foreach(json_object_get(root, "headerJSON"), name, value)(void)
        json_object_set(block, rpc_name(name), value);
    (void)json_object_set(block, "hash", json_object_get(root, "blockHash"));
    (void)json_array_remove(json_object_get(proof, "storageProof"), 1); /* we ask for slot 0 only */
    assert_int_equal(ms_json_parse(request, &limits, &calls, NULL), MS_OK);
    assert_true(json_is_array(calls));
    for (size_t i = 0; i < json_array_size(calls); i++) {
        const json_t *call = json_array_get(calls, i);
        const char *method = json_string_value(json_object_get(call, "method"));
        json_t *result = strcmp(method, "eth_chainId") == 0            ? json_string("0x1")
                         : strcmp(method, "eth_getBlockByNumber") == 0 ? json_incref(block)
                         : strcmp(method, "eth_call") == 0
                             ? json_incref(json_object_get(root, "snapshotWithPayloads"))
                             : json_incref(proof);
        (void)json_array_append_new(replies,
                                    json_pack("{s:s, s:O, s:o}", "jsonrpc", "2.0", "id",
                                              json_object_get(call, "id"), "result", result));
    }
    assert_int_equal(ms_json_dump(replies, out), MS_OK);
    json_decref(calls);
    json_decref(replies);
    json_decref(block);
    json_decref(proof);
}

static void test_vector(void **state)
{
    (void)state;
    static const struct spec_context context;
    struct vec_count count = {.topic = "registry", .file = "l3-vector.json"};
    json_t *root = vec_load(&count, "registry", "l3-vector.json");
    if (root == NULL)
        skip();
    for (size_t later = 0; later < 2; later++) {
        struct source_policy policy = play_policy(L3, 2, 2);
        struct ms_now now = {.wall_s = 0x69800f10 + 900, .boot_ms = 5};
        struct source *source = NULL;
        struct source_request request;
        struct spec spec;
        size_t documents = 0;
        enum ms_err err;

        spec_init(&spec);
        assert_int_equal(spec_parse(ms_span_str(CHAIN_SPEC), &context, &spec, NULL), MS_OK);
        assert_int_equal(source_new(&spec, &policy, NULL, now, &source, NULL), MS_OK);
        enum source_state at = source_step(source, NULL, now);
        while (at == SOURCE_WANTS && source_take_request(source, &request)) {
            struct ms_buf body = MS_BUF_INIT((size_t)1 << 20);
            struct source_response r = {.id = request.id, .status = 200, .time_s = now.wall_s};
            if (request.kind == SOURCE_REQUEST_RPC) {
                vector_answer(root, request.body, &body);
                r.body = ms_buf_span(&body);
            } else {
                r = no_such_document(&documents, &request);
                r.id = request.id;
            }
            at = source_step(source, &r, now);
            ms_buf_done(&body);
        }
        assert_int_equal(at, SOURCE_FAILED);
        struct ms_diag diag;
        err = source_error(source, &diag);
        if (err != MS_ERR_HASH)
            fail_msg("%s: %s", ms_err_name(err), diag.text);
        assert_true(documents >= 1); /* everything before it verified */
        assert_int_not_equal(source_conduct(source, 0), SOURCE_CONDUCT_LIED);
        source_free(source);
        spec_done(&spec);
    }
    json_decref(root);
}

/* Before anything was asked, twice, or after the end: ignored. */
static void test_ids(void **state)
{
    (void)state;
    static const struct spec_context context;
    struct source_policy policy = play_policy(L1, 1, 1);
    struct ms_now now = {.wall_s = NOW_S, .boot_ms = 5};
    struct source *source = NULL;
    struct source_request request;
    struct spec spec;

    spec_init(&spec);
    assert_int_equal(spec_parse(ms_span_str(CHAIN_SPEC), &context, &spec, NULL), MS_OK);
    assert_int_equal(source_new(&spec, &policy, NULL, now, &source, NULL), MS_OK);
    assert_int_equal(source_step(source, NULL, now), SOURCE_WANTS);
    struct source_response r = {.id = 1, .err = MS_ERR_TIMEOUT};
    assert_int_equal(source_step(source, &r, now), SOURCE_WANTS); /* not taken yet */
    assert_true(source_take_request(source, &request));
    assert_false(source_take_request(source, &request));
    for (uint32_t id = 0; id < 300; id++) {
        r.id = id;
        if (id != 1)
            assert_int_equal(source_step(source, &r, now), SOURCE_WANTS);
    }
    r.id = 1;
    assert_int_equal(source_step(source, &r, now), SOURCE_FAILED);
    assert_int_equal(source_step(source, &r, now), SOURCE_FAILED);
    assert_int_equal(source_error(source, NULL), MS_ERR_TIMEOUT);
    source_free(source);
    spec_done(&spec);
}

static int setup(void **state)
{
    (void)state;
    chain_init(&honest);
    (void)chain_approve(&honest, chain_document(0x11), NULL);
    (void)chain_approve(&honest, chain_document(0x22), NULL);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    chain_done(&honest);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_hurry),
        cmocka_unit_test(test_busy),
        cmocka_unit_test(test_manners),
        cmocka_unit_test(test_impatient),
        cmocka_unit_test(test_late_dissent),
        cmocka_unit_test(test_trust),
        cmocka_unit_test(test_same_group),
        cmocka_unit_test(test_heights),
        cmocka_unit_test(test_floor),
        cmocka_unit_test(test_policy),
        cmocka_unit_test(test_trusted),
        cmocka_unit_test(test_no_code),
        cmocka_unit_test(test_code),
        cmocka_unit_test(test_strange_contract),
        cmocka_unit_test(test_empty_slot),
        cmocka_unit_test(test_payloads),
        cmocka_unit_test(test_payload_formats),
        cmocka_unit_test(test_payload_limits),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_extremes),
        cmocka_unit_test(test_old_finality),
        cmocka_unit_test(test_vector),
        cmocka_unit_test(test_ids),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
