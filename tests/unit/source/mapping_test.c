/* Contracts that approve by mappings (ethereum.md 3.7 to 3.9), rule by rule, at L1 to L3. Whatever
 * ends well is also written as a bundle and replayed (tests/support/play.c). */
#include "contracts-abi/dstack_abi.h"
#include "contracts-abi/timelock_abi.h"
#include "resolver/entry/entry.h"
#include "tests/support/mapping.h"
#include "tests/support/play.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define FINAL 100
#define HEAD 170
#define NODES 3
#define LOGS_MAX 5000
#define NOW_S (CHAIN_GENESIS_S + 12 * 180)
#define KIND_APP ";kind=dstack-app"
#define COMPOSE SOURCE_CANDIDATE_COMPOSE_HASH
#define DEVICE SOURCE_CANDIDATE_DEVICE
#define WORKLOAD SOURCE_CANDIDATE_WORKLOAD_ID

/* One contract, in its finalized and in its newest state, and who tells of it. */
struct scene {
    struct chain chain, head, liar; /* the contract is old; newest; lie */
    struct chain_contract old, newest, lie;
    struct chain_log logs[LOGS_MAX];
    struct node nodes[NODES];
    struct play p;
};

static struct scene s;

static void add_log(const struct source_candidate *candidate, uint64_t block)
{
    assert_true(s.old.n_logs < LOGS_MAX);
    s.logs[s.old.n_logs] = mapping_log(&s.chain, candidate, block);
    s.newest.n_logs = ++s.old.n_logs;
}

/* Nothing is approved yet; `play` is ready to run. */
static void begin(enum spec_level level, size_t n, void (*make)(struct chain_contract *))
{
    chain_init(&s.chain);
    make(&s.old);
    make(&s.newest);
    s.old.logs = s.newest.logs = s.logs;
    s.chain.contract = &s.old;
    s.head = s.liar = s.chain;
    s.head.contract = &s.newest;
    s.liar.contract = &s.lie;
    s.chain.newest = &s.head;
    for (size_t i = 0; i < NODES; i++)
        s.nodes[i] = (struct node){.chain = &s.chain, .final = FINAL, .head = HEAD, .now_s = NOW_S};
    s.p = (struct play){.spec = CHAIN_SPEC,
                        .policy = play_policy(level, level == SPEC_LEVEL_L1 ? 1 : 2, n),
                        .now = {NOW_S, 1000, 0},
                        .nodes = s.nodes};
}

static void end(void)
{
    play_done(&s.p);
    chain_done(&s.chain);
}

/* The same again, at the same or at later blocks. */
static void again(void)
{
    struct play p = s.p;
    play_done(&s.p);
    s.p = (struct play){
        .spec = p.spec, .policy = p.policy, .previous = p.previous, .now = p.now, .nodes = s.nodes};
}

static void approve(enum source_candidate_kind kind, uint8_t byte, bool finally, bool at_head)
{
    struct source_candidate c = mapping_candidate(kind, byte);
    mapping_set(&s.old, &c, finally);
    mapping_set(&s.newest, &c, at_head);
}

/* Approved at both blocks, and told of in a log. */
static void approved(enum source_candidate_kind kind, uint8_t byte)
{
    struct source_candidate c = mapping_candidate(kind, byte);
    approve(kind, byte, true, true);
    add_log(&c, 10);
}

static void ask_about(enum source_candidate_kind kind, uint8_t byte)
{
    s.p.previous.candidates[s.p.previous.n_candidates++] = mapping_candidate(kind, byte);
}

static void run_ok(const char *what)
{
    play_run(&s.p);
    if (s.p.err != MS_OK)
        fail_msg("%s, %s: %s (%s)", what, spec_level_name(s.p.policy.level), ms_err_name(s.p.err),
                 s.p.diag.text);
}

static void run_fails(const char *what, enum ms_err want)
{
    play_run(&s.p);
    if (s.p.err != want)
        fail_msg("%s, %s: %s (%s) and not %s", what, spec_level_name(s.p.policy.level),
                 ms_err_name(s.p.err), s.p.diag.text, ms_err_name(want));
}

static bool listed(uint8_t byte)
{
    const struct rec_set *set = s.p.result->releases[0].set;
    struct source_candidate c = mapping_candidate(COMPOSE, byte);

    for (size_t i = 0; i < set->n_predicates; i++)
        if (memcmp(set->predicates[i].value, c.value, sizeof(c.value)) == 0)
            return true;
    return false;
}

/* What the result says of a candidate: 1 approved in finalized state, 0 not, -1 not asked. */
static int known(enum source_candidate_kind kind, uint8_t byte)
{
    struct source_candidate c = mapping_candidate(kind, byte);

    for (size_t i = 0; i < s.p.result->n_candidates; i++)
        if (source_candidate_cmp(&s.p.result->candidates[i], &c) == 0)
            return s.p.result->candidates[i].approved;
    return -1;
}

static bool warned(const char *code)
{
    for (size_t i = 0; i < s.p.result->n_warnings; i++)
        if (strcmp(s.p.result->warnings[i].code, code) == 0)
            return true;
    return false;
}

static bool governs(const char *name)
{
    return json_is_true(json_object_get(s.p.result->governance, name));
}

static bool nothing_taken(void)
{
    static const struct ms_sha256 nothing;
    return ms_sha256_eq(&s.p.result->overlay, &nothing);
}

static void nobody_lied(const char *what)
{
    for (size_t i = 0; i < NODES; i++)
        if (s.p.lied[i])
            fail_msg("%s: node %zu is called a liar", what, i);
}

#define EACH_LEVEL(level)                                               \
    for (enum spec_level level = SPEC_LEVEL_L1; level <= SPEC_LEVEL_L3; \
         level = (enum spec_level)(level + 1))

/* ---- approved by finality, removed at sight ---- */

static void test_only_final_approves(void **state)
{
    (void)state;
    EACH_LEVEL(level)
    {
        begin(level, 2, mapping_app);
        approved(COMPOSE, 1);
        approve(COMPOSE, 2, false, true);
        ask_about(COMPOSE, 2);
        run_ok("approved at the head only");
        assert_true(listed(1) && !listed(2));
        assert_int_equal(known(COMPOSE, 1), 1);
        assert_int_equal(known(COMPOSE, 2), 0);
        assert_true(s.p.result->has_head && nothing_taken());
        assert_int_equal(s.p.result->n_releases, 1);
        assert_string_equal(s.p.result->adapter, "dstack-app");
        end();
    }
}

static struct entry entry_of(const struct source_result *result)
{
    struct entry e = {0};
    struct ms_now now = {NOW_S, 1000, 0};
    entry_accept(&e, result, ENTRY_CHANGED, now);
    return e;
}

static enum entry_verdict judge(const struct entry *e)
{
    struct ms_now now = {NOW_S + 60, 61000, 0};
    enum ms_err why = MS_OK;
    return entry_judge(e, s.p.result, now, &why);
}

static void test_head_removes(void **state)
{
    (void)state;
    EACH_LEVEL(level)
    {
        begin(level, 2, mapping_app);
        approved(COMPOSE, 1);
        approved(COMPOSE, 2);
        approve(COMPOSE, 2, true, false);
        run_ok("removed at the head");
        assert_true(listed(1) && !listed(2));
        assert_int_equal(known(COMPOSE, 2), 1); /* finality still says so: it is asked again */
        assert_true(warned("revoked-at-head"));
        assert_false(nothing_taken());
        assert_int_equal(s.p.result->head_number, HEAD);
        struct entry e = entry_of(s.p.result);

        /* a removal that was seen stands while the newest block cannot be read */
        again();
        for (size_t i = 0; i < NODES; i++)
            s.nodes[i].lie = NODE_NO_HEAD;
        run_ok("the head cannot be read");
        assert_false(s.p.result->has_head);
        assert_true(listed(2)); /* which is why the entry refuses it */
        assert_int_equal(judge(&e), ENTRY_REFUSED);
        nobody_lied("no head");

        /* a reorganised chain no longer says it: only a block as new gives it back */
        again();
        approve(COMPOSE, 2, true, true);
        for (size_t i = 0; i < NODES; i++) {
            s.nodes[i].lie = NODE_HONEST;
            s.nodes[i].head = HEAD - 1;
        }
        run_ok("an older head");
        assert_true(listed(2) && nothing_taken());
        assert_int_equal(judge(&e), ENTRY_REFUSED);
        again();
        for (size_t i = 0; i < NODES; i++)
            s.nodes[i].head = HEAD + 1;
        run_ok("a newer head");
        assert_true(listed(2) && nothing_taken());
        assert_int_equal(judge(&e), ENTRY_CHANGED);
        end();
    }
}

/* At L3 the newest state counts by proof alone: who cannot prove it adds nothing to what is known,
 * and who says "removed" without the slot being absent is not believed. */
static void test_head_by_proof(void **state)
{
    (void)state;
    begin(SPEC_LEVEL_L3, 2, mapping_app);
    approved(COMPOSE, 1);
    s.lie = s.old;
    struct source_candidate c = mapping_candidate(COMPOSE, 1);
    mapping_set(&s.lie, &c, false);
    s.nodes[0].says = &s.liar;
    run_ok("a removal that is none");
    assert_true(listed(1) && nothing_taken());
    end();
}

/* ---- what storage and getter say must be one thing ---- */

static void test_refuted(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool stored, flag;
    } cases[] = {
        {"a getter says yes, storage says no", false, false},
        {"a getter says no, storage says yes", true, false},
        {"a flag is said to be on", false, true},
        {"a flag is said to be off", true, true},
    };
    EACH_LEVEL(level)
    {
        for (size_t i = 0; i < MS_ARRAY_LEN(cases); i++) {
            struct source_candidate c = mapping_candidate(COMPOSE, 2);
            for (size_t all = 0; all < 2; all++) {
                begin(level, 3, mapping_app);
                approved(COMPOSE, 1);
                approve(COMPOSE, 2, cases[i].stored && !cases[i].flag,
                        cases[i].stored && !cases[i].flag);
                ask_about(COMPOSE, 2);
                if (cases[i].flag && cases[i].stored) {
                    mapping_require_tcb(&s.old, true);
                    mapping_require_tcb(&s.newest, true);
                }
                s.lie = s.old;
                if (cases[i].flag)
                    mapping_require_tcb(&s.lie, !cases[i].stored);
                else
                    mapping_set(&s.lie, &c, !cases[i].stored);
                s.nodes[0].says = &s.liar;
                s.nodes[1].says = s.nodes[2].says = all ? &s.liar : NULL;
                if (all) {
                    run_fails(cases[i].name, MS_ERR_COMMITMENT);
                } else {
                    run_ok(cases[i].name);
                    assert_true(listed(1));
                    assert_int_equal(listed(2), cases[i].stored && !cases[i].flag);
                    assert_int_equal(governs("require_tcb_up_to_date"),
                                     cases[i].stored && cases[i].flag);
                }
                /* the contract may be a stranger's that contradicts itself */
                nobody_lied(cases[i].name);
                assert_int_equal(s.p.negative_s, 0);
                end();
            }
        }
    }
}

/* Without proofs a level has its own means: words of as many groups as it wants. */
static void test_words(void **state)
{
    (void)state;
    for (enum spec_level level = SPEC_LEVEL_L1; level <= SPEC_LEVEL_L2;
         level = (enum spec_level)(level + 1)) {
        begin(level, 2, mapping_app);
        approved(COMPOSE, 1);
        s.nodes[0].lie = s.nodes[1].lie = NODE_NO_PROOF;
        run_ok("no proofs");
        assert_true(listed(1) && warned("no-proof") && !s.p.result->has_identity);
        assert_null(json_object_get(s.p.result->governance, "owner"));
        end();
    }
    begin(SPEC_LEVEL_L2, 2, mapping_app);
    approved(COMPOSE, 1);
    s.lie = s.old;
    struct source_candidate c = mapping_candidate(COMPOSE, 1);
    mapping_set(&s.lie, &c, false);
    s.nodes[0].lie = s.nodes[1].lie = NODE_NO_PROOF;
    s.nodes[1].says = &s.liar;
    run_fails("two words", MS_ERR_DISSENT);
    assert_int_equal(s.p.negative_s, 0);
    end();
    begin(SPEC_LEVEL_L3, 2, mapping_app);
    approved(COMPOSE, 1);
    s.nodes[0].lie = s.nodes[1].lie = NODE_NO_PROOF;
    play_run(&s.p);
    assert_int_not_equal(s.p.err, MS_OK);
    end();
}

/* ---- flags ---- */

static void test_flags(void **state)
{
    (void)state;
    EACH_LEVEL(level)
    {
        for (unsigned bits = 0; bits < 16; bits++) {
            bool any = bits & 1, any_head = bits & 2, tcb = bits & 4, tcb_head = bits & 8;
            begin(level, 2, mapping_app);
            mapping_any_device(&s.old, any);
            mapping_any_device(&s.newest, any_head);
            mapping_require_tcb(&s.old, tcb);
            mapping_require_tcb(&s.newest, tcb_head);
            run_ok("flags");
            /* the newest state may only make it stricter */
            assert_int_equal(governs("allow_any_device"), any && any_head);
            assert_int_equal(governs("require_tcb_up_to_date"), tcb || tcb_head);
            assert_int_equal(nothing_taken(), !(any && !any_head) && !(!tcb && tcb_head));
            end();
        }
    }
}

static void test_flag_without_getter(void **state)
{
    (void)state;
    static const uint8_t tcb[4] = DSTACK_CALL_REQUIRE_TCB_UP_TO_DATE;
    EACH_LEVEL(level)
    {
        begin(level, 2, mapping_app);
        approved(COMPOSE, 1);
        mapping_answer(&s.old, tcb, NULL);
        mapping_answer(&s.newest, tcb, NULL);
        run_ok("a version without the flag");
        assert_false(governs("require_tcb_up_to_date"));
        assert_true(listed(1));
        end();

        /* "I have no such flag" is no way to hide one that is set */
        begin(level, 3, mapping_app);
        approved(COMPOSE, 1);
        mapping_require_tcb(&s.old, true);
        mapping_require_tcb(&s.newest, true);
        s.lie = s.old;
        mapping_answer(&s.lie, tcb, NULL);
        s.nodes[0].says = &s.liar;
        run_ok("a flag is hidden");
        assert_true(governs("require_tcb_up_to_date"));
        end();
    }
}

static void test_member_reverts(void **state)
{
    (void)state;
    static const uint8_t getter[4] = DSTACK_CALL_ALLOWED_COMPOSE_HASHES;
    EACH_LEVEL(level)
    {
        for (size_t all = 0; all < 2; all++) {
            begin(level, 2, mapping_app);
            approved(COMPOSE, 1);
            s.lie = s.old;
            mapping_answer(&s.lie, getter, NULL);
            s.nodes[0].says = &s.liar;
            s.nodes[1].says = all ? &s.liar : NULL;
            play_run(&s.p);
            /* a definite answer from those whom the level believes without a proof only */
            if (level == SPEC_LEVEL_L1 || (level == SPEC_LEVEL_L2 && all)) {
                assert_int_equal(s.p.err, MS_ERR_KIND);
                assert_true(s.p.negative_s > 0);
            } else if (level == SPEC_LEVEL_L2) {
                assert_int_equal(s.p.err, MS_ERR_DISSENT);
                assert_int_equal(s.p.negative_s, 0);
            } else if (all) {
                assert_int_equal(s.p.err, MS_ERR_ABI);
                assert_int_equal(s.p.negative_s, 0);
            } else {
                assert_int_equal(s.p.err, MS_OK);
                assert_true(listed(1));
            }
            nobody_lied("a getter reverts");
            end();
        }
    }
}

/* ---- lists that are no predicates, and the other kinds ---- */

static void test_lists(void **state)
{
    (void)state;
    begin(SPEC_LEVEL_L3, 2, mapping_app);
    approved(COMPOSE, 1);
    approved(DEVICE, 2);
    approved(DEVICE, 3);
    approve(DEVICE, 3, true, false);
    run_ok("devices");
    const json_t *devices = json_object_get(s.p.result->governance, "devices");
    assert_int_equal(json_array_size(devices), 1);
    assert_true(!listed(2));
    assert_int_equal(known(DEVICE, 2), 1);
    assert_int_equal(known(COMPOSE, 2), -1); /* the same value in another list is another one */
    end();

    begin(SPEC_LEVEL_L3, 2, mapping_kms);
    approved(SOURCE_CANDIDATE_OS_IMAGE, 1);
    approved(SOURCE_CANDIDATE_AGGREGATED_MR, 2);
    approved(SOURCE_CANDIDATE_DEVICE, 3); /* told of by the app's event, which is not the KMS's */
    s.p.previous.candidates[0] = mapping_candidate(COMPOSE, 1); /* it has no such list */
    s.p.previous.n_candidates = 1;
    run_ok("kms");
    assert_true(listed(1) && !listed(2));
    assert_int_equal(known(SOURCE_CANDIDATE_AGGREGATED_MR, 2), 1);
    assert_int_equal(known(SOURCE_CANDIDATE_DEVICE, 3), -1);
    assert_int_equal(known(COMPOSE, 1), -1);
    assert_int_equal(s.p.result->releases[0].set->predicates[0].kind,
                     REC_PREDICATE_DSTACK_OS_IMAGE);
    struct source_candidate compose = mapping_candidate(COMPOSE, 9);
    assert_true(source_result_knows(s.p.result, &compose)); /* what it cannot have is known */
    end();
}

static void make_v0(struct chain_contract *c)
{
    mapping_policy(c, 0);
}

static void make_v1(struct chain_contract *c)
{
    mapping_policy(c, 1);
}

static void make_v2(struct chain_contract *c)
{
    mapping_policy(c, 2);
}

static void test_workloads(void **state)
{
    (void)state;
    static void (*const make[])(struct chain_contract *) = {make_v0, make_v1, make_v2};
    EACH_LEVEL(level)
    {
        for (uint32_t version = 0; version < 3; version++) {
            begin(level, 2, make[version]);
            approved(WORKLOAD, 1);
            approved(WORKLOAD, 2);
            approve(WORKLOAD, 2, true, false);
            ask_about(WORKLOAD, 3);
            run_ok("workloads");
            const struct rec_set *set = s.p.result->releases[0].set;
            assert_true(listed(1) && !listed(2) && !listed(3));
            assert_int_equal(set->predicates[0].kind, REC_PREDICATE_TDX_WORKLOAD_ID);
            assert_int_equal(set->predicates[0].version, version);
            assert_int_equal(s.p.result->workload_version, version);
            assert_int_equal(warned("workload-id"), version == 0);
            const json_t *commits = json_object_get(s.p.result->governance, "commits");
            assert_int_equal(json_object_size(commits), 1);
            assert_int_equal(known(WORKLOAD, 3), 0);
            end();
        }
    }
}

/* ---- the search of logs ---- */

static void test_scan_whole(void **state)
{
    (void)state;
    EACH_LEVEL(level)
    {
        begin(level, 2, mapping_app);
        approved(COMPOSE, 1);
        run_ok("whole range");
        assert_int_equal(s.nodes[0].log_calls, 1);
        assert_int_equal(s.nodes[0].log_from, 0);
        assert_int_equal(s.nodes[0].log_to, FINAL); /* a log that is not final approves nothing */
        assert_int_equal(s.nodes[0].code_calls, 0);
        assert_int_equal(s.p.result->scan.next, FINAL + 1);
        assert_false(warned("incomplete"));
        end();
    }
}

/* Blocks 100000 with a contract born in block 70000. */
static void begin_old(enum spec_level level, size_t n)
{
    begin(level, n, mapping_app);
    s.old.born = s.newest.born = 70000;
    for (size_t i = 0; i < NODES; i++) {
        s.nodes[i].final = 100000;
        s.nodes[i].head = 100070;
    }
    s.p.now.wall_s = chain_time(100080);
}

static void approved_at(uint8_t byte, uint64_t block)
{
    struct source_candidate c = mapping_candidate(COMPOSE, byte);
    approve(COMPOSE, byte, true, true);
    add_log(&c, block);
}

static void test_scan_windows(void **state)
{
    (void)state;
    begin_old(SPEC_LEVEL_L3, 2);
    approved_at(1, 70000);
    approved_at(2, 99999);
    s.nodes[0].max_blocks = s.nodes[1].max_blocks = 2000;
    run_ok("windows");
    assert_true(listed(1));
    assert_int_equal(s.p.result->scan.from, 70000); /* found by whether there was code */
    assert_int_equal(s.p.result->scan.window, 2000);
    assert_true(s.nodes[0].code_calls >= 16 && s.nodes[0].code_calls <= 18);
    /* 15 windows are within the budget of one attempt only without the search for the birth */
    if (s.p.result->scan.next <= 100000) {
        assert_true(warned("incomplete") && !listed(2));
        struct source_result *before = s.p.result;
        uint64_t next = before->scan.next;
        s.p.previous.scan = before->scan;
        again();
        s.nodes[0].log_calls = s.nodes[0].code_calls = 0;
        ask_about(COMPOSE, 1);
        run_ok("the next attempt goes on");
        assert_int_equal(s.nodes[0].code_calls, 0);
        assert_true(s.p.result->scan.next > next);
        assert_int_equal(s.p.result->scan.from, 70000);
    }
    assert_true(listed(1) && listed(2));
    assert_false(warned("incomplete"));
    assert_int_equal(s.p.result->scan.next, 100001);
    end();
}

static void test_scan_halves(void **state)
{
    (void)state;
    begin_old(SPEC_LEVEL_L3, 2);
    approved_at(1, 70001);
    s.nodes[0].max_blocks = s.nodes[1].max_blocks = 500;
    run_ok("halving");
    assert_int_equal(s.p.result->scan.window, 500);
    assert_true(listed(1));
    assert_true(warned("incomplete"));
    end();
    begin_old(SPEC_LEVEL_L3, 2); /* nothing but refusals: it ends */
    s.nodes[0].refuses = s.nodes[1].refuses = "eth_getLogs";
    run_ok("no logs at all");
    assert_true(warned("incomplete"));
    assert_true(s.p.n_requests < 120);
    end();
}

/* Without old states nobody knows when the contract was made: the search begins late rather than
 * not at all, and says from where. */
static void test_scan_no_old_code(void **state)
{
    (void)state;
    begin_old(SPEC_LEVEL_L3, 2);
    approved_at(1, 99999);
    s.nodes[0].max_blocks = s.nodes[1].max_blocks = 2000;
    s.nodes[0].no_old_code = s.nodes[1].no_old_code = true;
    run_ok("pruned");
    assert_true(s.p.result->scan.from > 70000);
    end();
}

/* One endpoint that knows nothing of the past, or gives no logs, does not stand in for the others.
 */
static void test_scan_others(void **state)
{
    (void)state;
    begin_old(SPEC_LEVEL_L3, 2);
    approved_at(1, 70000);
    s.nodes[0].max_blocks = s.nodes[1].max_blocks = 2000;
    s.nodes[0].no_old_code = true;
    run_ok("the first is pruned");
    assert_int_equal(s.p.result->scan.from, 70000);
    assert_int_equal(s.nodes[0].code_calls, 0);
    end();
    begin_old(SPEC_LEVEL_L3, 2);
    approved_at(1, 99999);
    s.p.previous.scan =
        (struct source_scan){.begun = true, .from = 80000, .next = 80000, .window = 2000};
    s.nodes[0].refuses = "eth_getLogs";
    s.nodes[1].max_blocks = 2000;
    run_ok("the first gives no logs");
    assert_true(listed(1));
    assert_int_equal(s.p.result->scan.window, 2000);
    end();
}

/* Evidence has a size: a provider that pads its answers slows the search down and stops nothing. */
static void test_scan_bytes(void **state)
{
    (void)state;
    begin_old(SPEC_LEVEL_L3, 2);
    approve(COMPOSE, 1, true, true);
    ask_about(COMPOSE, 1);
    s.nodes[0].logs_padding = 1000000;
    s.nodes[0].max_blocks = 2000;
    run_ok("padded answers");
    assert_true(listed(1) && warned("incomplete"));
    assert_true(s.nodes[0].log_calls <= 5);
    end();
}

static void test_scan_provider_dies(void **state)
{
    (void)state;
    EACH_LEVEL(level)
    {
        begin(level, 2, mapping_app);
        approved(COMPOSE, 1);
        s.nodes[0].dead_on = "eth_getLogs"; /* is no reason to lose its voice */
        run_ok("dead in the search");
        assert_true(listed(1));
        assert_int_equal(s.nodes[1].log_calls, 1);
        end();

        begin(level, 2, mapping_app);
        approve(COMPOSE, 1, true, true);
        ask_about(COMPOSE, 1);
        s.nodes[0].dead_on = s.nodes[1].dead_on = "eth_getLogs";
        run_ok("all dead in the search");
        assert_true(listed(1) && warned("incomplete"));
        end();

        begin_old(level, 2); /* nor is that it does not answer about an old block */
        approved_at(1, 99999);
        s.nodes[0].max_blocks = s.nodes[1].max_blocks = 2000;
        s.nodes[0].dead_on_old_code = s.nodes[1].dead_on_old_code = true;
        run_ok("dead when asked about old code");
        assert_true(s.p.n_requests < 120);
        end();
    }
}

static void test_scan_lies(void **state)
{
    (void)state;
    struct chain_log told[6];
    EACH_LEVEL(level)
    {
        begin(level, 2, mapping_app);
        approved(COMPOSE, 1);
        for (uint8_t i = 2; i < 6; i++)
            approve(COMPOSE, i, true, true);
        struct source_candidate c[8];
        for (uint8_t i = 0; i < 8; i++)
            c[i] = mapping_candidate(COMPOSE, i);
        told[0] = mapping_log(&s.chain, &c[7], 10); /* invented: nobody approved it */
        told[1] = mapping_log(&s.chain, &c[2], 10); /* of another contract */
        told[1].address.b[0] ^= 1;
        told[2] = mapping_log(&s.chain, &c[3], 10); /* another event */
        told[2].topics[0].b[0] ^= 1;
        told[3] = mapping_log(&s.chain, &c[4], 10); /* another shape */
        told[3].n_data = 33;
        told[4] = mapping_log(&s.chain, &c[5], 10); /* a third topic */
        told[4].n_topics = 3;
        told[4].n_data = 64;
        told[5] = mapping_log(&s.chain, &c[6], 10); /* no topic at all */
        told[5].n_topics = 0;
        s.nodes[0].logs = s.nodes[1].logs = told;
        s.nodes[0].n_logs = s.nodes[1].n_logs = 6;
        run_ok("lies");
        assert_int_equal(known(COMPOSE, 7), 0);
        assert_false(listed(7));
        for (uint8_t i = 1; i < 7; i++) /* 1 was left out: hidden, no more */
            assert_int_equal(known(COMPOSE, i), -1);
        assert_int_equal(s.p.result->releases[0].set->n_predicates, 0);
        end();

        begin(level, 2, mapping_app); /* no logs but garbage */
        approved(COMPOSE, 1);
        s.nodes[0].garbles = "eth_getLogs";
        run_ok("garbage");
        assert_true(listed(1));
        end();
    }
}

static void test_scan_sizes(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        size_t n, padding;
        bool whole;
    } cases[] = {
        {"2000 logs", 2000, 0, true},
        {"more logs than we take", 4097, 0, false},
        {"more than a mebibyte", 1, (size_t)1 << 20, false},
    };
    for (size_t i = 0; i < MS_ARRAY_LEN(cases); i++) {
        struct source_candidate c = mapping_candidate(COMPOSE, 1);
        begin(SPEC_LEVEL_L3, 2, mapping_app);
        approve(COMPOSE, 1, true, true);
        for (size_t k = 0; k < cases[i].n; k++)
            add_log(&c, 7 + k % 90);
        s.nodes[0].logs_padding = s.nodes[1].logs_padding = cases[i].padding;
        ask_about(COMPOSE, 1);
        run_ok(cases[i].name);
        assert_true(listed(1));
        assert_int_equal(s.nodes[0].log_calls == 1, cases[i].whole);
        nobody_lied(cases[i].name);
        end();
    }
}

static void test_scan_from(void **state)
{
    (void)state;
    begin(SPEC_LEVEL_L3, 2, mapping_app);
    approved_at(1, 49);
    approved_at(2, 50);
    s.p.previous.scan =
        (struct source_scan){.begun = true, .from = 50, .next = 50, .window = UINT64_MAX};
    run_ok("from=50");
    assert_true(!listed(1) && listed(2));
    assert_int_equal(s.nodes[0].log_from, 50);
    assert_int_equal(s.p.result->scan.from, 50);
    end();
    begin(SPEC_LEVEL_L3, 2, mapping_app); /* beyond what is final: nothing to ask */
    s.p.previous.scan = (struct source_scan){
        .begun = true, .from = INT64_MAX, .next = INT64_MAX, .window = UINT64_MAX};
    run_ok("from= the end of time");
    assert_int_equal(s.nodes[0].log_calls, 0);
    end();
}

/* ---- candidates ---- */

static void test_many(void **state)
{
    (void)state;
    EACH_LEVEL(level)
    {
        begin(level, 2, mapping_app);
        for (unsigned i = 1; i <= 130; i++)
            approved(COMPOSE, (uint8_t)i);
        run_ok("130 values");
        assert_int_equal(s.p.result->n_candidates, SOURCE_CANDIDATES_MAX);
        assert_int_equal(s.p.result->releases[0].set->n_predicates, SOURCE_CANDIDATES_MAX);
        assert_true(warned("incomplete"));
        end();
    }
}

/* As many as there may be, of endpoints that take no batches. */
static void test_many_singly(void **state)
{
    (void)state;
    EACH_LEVEL(level)
    {
        begin(level, 2, mapping_app);
        s.nodes[0].lie = s.nodes[1].lie = NODE_BATCH_ERROR;
        for (unsigned i = 1; i <= SOURCE_CANDIDATES_MAX; i++)
            approved(COMPOSE, (uint8_t)i);
        run_ok("no batches");
        assert_int_equal(s.p.result->n_candidates, SOURCE_CANDIDATES_MAX);
        end();
    }
}

static void test_order(void **state)
{
    (void)state;
    struct ms_sha256 set = {{0}}, commitment = {{0}};
    for (size_t order = 0; order < 4; order++) {
        begin(SPEC_LEVEL_L3, 2, mapping_app);
        for (unsigned k = 0; k < 20; k++) {
            unsigned byte = 1 + (order == 1 ? 19 - k : (k * 7) % 20);
            approve(COMPOSE, (uint8_t)byte, true, true);
            struct source_candidate c = mapping_candidate(COMPOSE, (uint8_t)byte);
            if (order < 2 || k % 2 == 0)
                add_log(&c, 10);
            if (order >= 2)
                ask_about(COMPOSE, (uint8_t)byte);
        }
        if (order == 3) /* those that are not approved are no part of it */
            ask_about(COMPOSE, 99);
        run_ok("order");
        assert_int_equal(s.p.result->releases[0].set->n_predicates, 20);
        if (order > 0) {
            assert_true(ms_sha256_eq(&set, &s.p.result->set_hash));
            assert_true(ms_sha256_eq(&commitment, &s.p.result->commitment));
        }
        set = s.p.result->set_hash;
        commitment = s.p.result->commitment;
        end();
    }
}

static void test_asked(void **state)
{
    (void)state;
    EACH_LEVEL(level)
    {
        begin(level, 2, mapping_app);
        approve(COMPOSE, 1, true, true);
        ask_about(COMPOSE, 1);
        ask_about(COMPOSE, 2);
        run_ok("asked about");
        assert_int_equal(known(COMPOSE, 1), 1);
        assert_int_equal(known(COMPOSE, 2), 0);
        assert_int_equal(known(COMPOSE, 3), -1);
        struct source_candidate two = mapping_candidate(COMPOSE, 2),
                                three = mapping_candidate(COMPOSE, 3);
        assert_true(source_result_knows(s.p.result, &two));
        assert_false(source_result_knows(s.p.result, &three));
        end();
    }
}

static void test_rollback(void **state)
{
    (void)state;
    EACH_LEVEL(level)
    {
        begin(level, 2, mapping_app);
        approved(COMPOSE, 1);
        run_ok("first");
        s.p.previous.has_final = true;
        s.p.previous.final_number = s.p.result->block.number;
        s.p.previous.final_hash = s.p.result->block.hash;
        again();
        run_ok("the same block");
        again();
        for (size_t i = 0; i < NODES; i++)
            s.nodes[i].final = FINAL - 1;
        run_fails("an older block", MS_ERR_ROLLBACK);
        nobody_lied("an older block");
        end();
    }
}

/* ---- kinds ---- */

static void test_kinds(void **state)
{
    (void)state;
    static const struct {
        const char *name, *spec;
        void (*make)(struct chain_contract *);
        const char *adapter; /* NULL: of no kind */
    } cases[] = {
        {"app", CHAIN_SPEC, mapping_app, "dstack-app"},
        {"kms", CHAIN_SPEC, mapping_kms, "dstack-kms"},
        {"policy", CHAIN_SPEC, make_v2, "flashtestations"},
        {"app, pinned", CHAIN_SPEC KIND_APP, mapping_app, "dstack-app"},
        {"a kms is no app", CHAIN_SPEC KIND_APP, mapping_kms, NULL},
        {"a policy is no app", CHAIN_SPEC KIND_APP, make_v2, NULL},
        {"an app is no policy", CHAIN_SPEC ";kind=flashtestations", mapping_app, NULL},
        {"an app is no registry", CHAIN_SPEC ";kind=registry", mapping_app, NULL},
    };
    EACH_LEVEL(level)
    {
        for (size_t i = 0; i < MS_ARRAY_LEN(cases); i++) {
            begin(level, 2, cases[i].make);
            s.p.spec = cases[i].spec;
            play_run(&s.p);
            if (cases[i].adapter == NULL) {
                /* a registry is not asked what it is, and at L3 a revert is one provider's word */
                bool word = level == SPEC_LEVEL_L3 && strstr(s.p.spec, "registry") != NULL;
                if (s.p.err != (word ? MS_ERR_REVERT : MS_ERR_KIND))
                    fail_msg("%s: %s (%s)", cases[i].name, ms_err_name(s.p.err), s.p.diag.text);
                assert_int_equal(s.p.negative_s > 0, !word);
            } else {
                if (s.p.err != MS_OK)
                    fail_msg("%s: %s (%s)", cases[i].name, ms_err_name(s.p.err), s.p.diag.text);
                assert_string_equal(s.p.result->adapter, cases[i].adapter);
            }
            end();
        }
    }
}

static void make_both(struct chain_contract *c)
{
    static const struct eth_word delay = {{[31] = 5}};
    static const uint8_t selector[4] = TIMELOCK_CALL_GET_MIN_DELAY;
    mapping_app(c);
    mapping_answer(c, selector, &delay);
}

static void test_two_kinds(void **state)
{
    (void)state;
    EACH_LEVEL(level)
    {
        begin(level, 2, make_both);
        run_fails("two kinds", MS_ERR_KIND);
        assert_non_null(strstr(s.p.diag.text, "dstack-app"));
        assert_non_null(strstr(s.p.diag.text, "timelock"));
        end();
        begin(level, 2, make_both);
        s.p.spec = CHAIN_SPEC KIND_APP;
        approved(COMPOSE, 1);
        run_ok("said which");
        assert_true(listed(1));
        end();
    }
}

/* No proof shows a kind, so a quorum says it, at L3 too. */
static void test_kind_liar(void **state)
{
    (void)state;
    static const uint8_t timelock[4] = TIMELOCK_CALL_GET_MIN_DELAY,
                         supports[4] = DSTACK_CALL_SUPPORTS_INTERFACE;
    static const struct eth_word delay = {{[31] = 5}};
    for (enum spec_level level = SPEC_LEVEL_L2; level <= SPEC_LEVEL_L3;
         level = (enum spec_level)(level + 1)) {
        for (size_t pinned = 0; pinned < 2; pinned++) {
            for (size_t how = 0; how < 2; how++) {
                begin(level, 2, mapping_app);
                approved(COMPOSE, 1);
                s.p.spec = pinned ? CHAIN_SPEC KIND_APP : CHAIN_SPEC;
                s.lie = s.old;
                if (how == 0)
                    mapping_answer(&s.lie, timelock, &delay);
                else
                    mapping_answer(&s.lie, supports, NULL);
                s.nodes[1].says = &s.liar;
                run_fails("somebody lies about the kind", MS_ERR_DISSENT);
                assert_int_equal(s.p.negative_s, 0);
                end();
            }
        }
    }
    begin(SPEC_LEVEL_L3, 2, mapping_app); /* one voice is none */
    s.p.policy.providers[1].group = "a";
    play_run(&s.p);
    assert_int_not_equal(s.p.err, MS_OK);
    end();
}

/* L1 is the word of one, but of one at a time: what the last one said of the kind died with it. */
static void test_kind_of_the_dead(void **state)
{
    (void)state;
    begin(SPEC_LEVEL_L1, 2, mapping_app);
    approved(COMPOSE, 1);
    make_v2(&s.lie);
    s.nodes[0].says = &s.liar;
    s.nodes[0].lie = NODE_PROOF_VALUE;
    run_ok("the first one lies");
    assert_string_equal(s.p.result->adapter, "dstack-app");
    assert_true(listed(1));
    assert_true(s.p.lied[0] && !s.p.lied[1]);
    end();
}

/* ---- code ---- */

static void test_code(void **state)
{
    (void)state;
    EACH_LEVEL(level)
    {
        begin(level, 2, mapping_app);
        approved(COMPOSE, 1);
        run_ok("code");
        assert_true(s.p.result->has_identity);
        struct entry e = entry_of(s.p.result);
        e.good = true;
        assert_int_equal(judge(&e), ENTRY_SAME);

        again(); /* upgraded behind its proxy */
        s.chain.implementation = s.head.implementation = eth_word_u64(0x42);
        for (size_t i = 0; i < NODES; i++)
            s.nodes[i].final = FINAL + 1;
        run_ok("an upgrade");
        assert_true(warned("proxy"));
        assert_int_equal(judge(&e), ENTRY_HELD);
        s.chain.implementation = s.head.implementation = (struct eth_word){{0}};

        again(); /* or made anew */
        s.old.code = s.newest.code = ms_span_str("another app");
        for (size_t i = 0; i < NODES; i++)
            s.nodes[i].final = FINAL + 2;
        run_ok("other code");
        assert_int_equal(judge(&e), ENTRY_HELD);

        again(); /* an account with delegated code is turned by its one key (EIP-7702) */
        s.chain.delegated = s.head.delegated = true;
        for (size_t i = 0; i < NODES; i++)
            s.nodes[i].final = FINAL + 3;
        run_fails("delegated", MS_ERR_KIND);
        assert_true(s.p.negative_s > 0);
        end();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_final_approves),
        cmocka_unit_test(test_head_removes),
        cmocka_unit_test(test_head_by_proof),
        cmocka_unit_test(test_refuted),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_flags),
        cmocka_unit_test(test_flag_without_getter),
        cmocka_unit_test(test_member_reverts),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_workloads),
        cmocka_unit_test(test_scan_whole),
        cmocka_unit_test(test_scan_windows),
        cmocka_unit_test(test_scan_halves),
        cmocka_unit_test(test_scan_no_old_code),
        cmocka_unit_test(test_scan_provider_dies),
        cmocka_unit_test(test_scan_others),
        cmocka_unit_test(test_scan_bytes),
        cmocka_unit_test(test_scan_lies),
        cmocka_unit_test(test_scan_sizes),
        cmocka_unit_test(test_scan_from),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_many_singly),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_asked),
        cmocka_unit_test(test_rollback),
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_two_kinds),
        cmocka_unit_test(test_kind_liar),
        cmocka_unit_test(test_kind_of_the_dead),
        cmocka_unit_test(test_code),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
