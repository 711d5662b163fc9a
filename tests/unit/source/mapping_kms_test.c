/* An app and its KMS as one thing to ask (`kms=`, ethereum.md 3.8): both answer, at one block and
 * level, or there is no answer. Whatever ends well is also written as a bundle and replayed
 * (tests/support/play.c). */
#include "contracts-abi/dstack_abi.h"
#include "resolver/entry/entry.h"
#include "resolver/source/poll.h"
#include "tests/support/mapping.h"
#include "tests/support/play.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define FINAL 100
#define HEAD 170
#define NODES 3
#define LOGS_MAX 200
#define NOW_S (CHAIN_GENESIS_S + 12 * 180)
#define KMS_AT 0x11
#define KMS "0x11519fc2ba8e6ffe6473195c092bf1bae986ff90"
#define SPEC CHAIN_SPEC ";kind=dstack-app;kms=" KMS
#define COMPOSE SOURCE_CANDIDATE_COMPOSE_HASH
#define IMAGE SOURCE_CANDIDATE_OS_IMAGE
#define DEVICE SOURCE_CANDIDATE_DEVICE

/* An app and a KMS, each in its finalized and in its newest state, and who tells of them. */
struct place {
    struct chain chain, head;
    struct chain_contract old, newest;
    struct chain_log logs[LOGS_MAX];
};

struct scene {
    struct place app, kms;
    struct chain liar, liar_kms; /* of both, for who says otherwise */
    struct chain_contract lie, lie_kms;
    struct node nodes[NODES];
    struct play p;
};

static struct scene s;

static void place_init(struct place *place, void (*make)(struct chain_contract *))
{
    make(&place->old);
    place->old.logs = place->logs;
    place->newest = place->old;
    place->chain.contract = &place->old;
    place->head = place->chain;
    place->head.contract = &place->newest;
    place->chain.newest = &place->head;
}

static struct place *place_of(enum source_candidate_kind kind)
{
    return kind == IMAGE ? &s.kms : &s.app;
}

static void registers(bool finally, bool at_head)
{
    mapping_register(&s.kms.old, &s.app.chain.registry, finally);
    mapping_register(&s.kms.newest, &s.app.chain.registry, at_head);
}

static void approve(enum source_candidate_kind kind, uint8_t byte, bool finally, bool at_head)
{
    struct source_candidate c = mapping_candidate(kind, byte);
    mapping_set(&place_of(kind)->old, &c, finally);
    mapping_set(&place_of(kind)->newest, &c, at_head);
}

static void add_log(struct place *place, const struct source_candidate *candidate, uint64_t block)
{
    assert_true(place->old.n_logs < LOGS_MAX);
    place->logs[place->old.n_logs] = mapping_log(&place->chain, candidate, block);
    place->newest.n_logs = ++place->old.n_logs;
}

static void approved(enum source_candidate_kind kind, uint8_t byte)
{
    struct source_candidate c = mapping_candidate(kind, byte);
    approve(kind, byte, true, true);
    add_log(place_of(kind), &c, 10);
}

/* A registered app, and one value approved by each: compose hash 1, image 2. */
static void begin(enum spec_level level, size_t n)
{
    chain_init(&s.app.chain);
    chain_init_more(&s.app.chain, &s.kms.chain, KMS_AT);
    place_init(&s.app, mapping_app);
    place_init(&s.kms, mapping_kms);
    for (size_t i = 0; i < NODES; i++)
        s.nodes[i] =
            (struct node){.chain = &s.app.chain, .final = FINAL, .head = HEAD, .now_s = NOW_S};
    s.p = (struct play){.spec = SPEC,
                        .policy = play_policy(level, level == SPEC_LEVEL_L1 ? 1 : 2, n),
                        .now = {NOW_S, 1000, 0},
                        .nodes = s.nodes};
    approved(COMPOSE, 1);
    approved(IMAGE, 2);
    registers(true, true);
}

/* What a liar says begins as the truth. */
static void begin_lie(void)
{
    s.lie = s.app.old;
    s.lie_kms = s.kms.old;
    s.liar = s.app.chain;
    s.liar_kms = s.kms.chain;
    s.liar.contract = &s.lie;
    s.liar_kms.contract = &s.lie_kms;
    s.liar.newest = s.liar_kms.newest = NULL;
    s.liar.more[0] = &s.liar_kms;
}

static void end(void)
{
    play_done(&s.p);
    chain_done(&s.app.chain);
    chain_done(&s.kms.chain);
}

/* The same again, at the same or at later blocks. */
static void again(void)
{
    struct play p = s.p;
    play_done(&s.p);
    s.p = (struct play){
        .spec = p.spec, .policy = p.policy, .previous = p.previous, .now = p.now, .nodes = s.nodes};
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

static bool listed(enum source_candidate_kind kind, uint8_t byte)
{
    const struct rec_set *set = s.p.result->releases[0].set;
    struct source_candidate c = mapping_candidate(kind, byte);

    for (size_t i = 0; i < set->n_predicates; i++)
        if (set->predicates[i].kind == (enum rec_predicate_kind)kind &&
            memcmp(set->predicates[i].value, c.value, sizeof(c.value)) == 0)
            return true;
    return false;
}

static bool both_listed(void)
{
    return listed(COMPOSE, 1) && listed(IMAGE, 2) && s.p.result->releases[0].set->n_predicates == 2;
}

static bool none_listed(void)
{
    return s.p.result->n_releases == 1 && s.p.result->releases[0].set->n_predicates == 0;
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

static const json_t *governs_kms(const char *name)
{
    return json_object_get(json_object_get(s.p.result->governance, "kms"), name);
}

static bool nothing_taken(void)
{
    static const struct ms_sha256 nothing;
    return ms_sha256_eq(&s.p.result->overlay, &nothing);
}

#define EACH_LEVEL(level)                                               \
    for (enum spec_level level = SPEC_LEVEL_L1; level <= SPEC_LEVEL_L3; \
         level = (enum spec_level)(level + 1))

/* ---- both answer ---- */

static void test_both(void **state)
{
    (void)state;
    EACH_LEVEL(level)
    {
        begin(level, 2);
        approved(DEVICE, 3);
        approve(IMAGE, 4, false, true); /* not final */
        s.p.previous.candidates[s.p.previous.n_candidates++] = mapping_candidate(IMAGE, 4);
        s.p.previous.candidates[s.p.previous.n_candidates++] = mapping_candidate(IMAGE, 1);
        run_ok("both");
        assert_true(both_listed());
        assert_int_equal(known(IMAGE, 4), 0);
        assert_int_equal(known(IMAGE, 1), 0); /* approved by the other contract, as another thing */
        assert_int_equal(known(DEVICE, 3), 1);
        assert_true(nothing_taken() && s.p.result->has_head && s.p.result->has_identity);
        assert_string_equal(s.p.result->adapter, "dstack-app");
        assert_true(json_is_true(governs_kms("registered")));
        assert_string_equal(json_string_value(governs_kms("address")),
                            "0x11519fc2ba8E6fFe6473195c092BF1bae986Ff90");
        assert_non_null(governs_kms("code_hash"));
        assert_non_null(governs_kms("owner"));
        struct source_candidate asked = mapping_candidate(IMAGE, 9);
        assert_false(source_result_knows(s.p.result, &asked)); /* it can be asked about both */
        end();

        begin(level, 2); /* kms= says that it is an app */
        s.p.spec = CHAIN_SPEC ";kms=" KMS;
        run_ok("without kind=");
        assert_true(both_listed());
        end();
    }
}

/* ---- registration ---- */

static struct entry entry_of(const struct source_result *result)
{
    struct entry e = {0};
    struct ms_now now = {NOW_S, 1000, 0};
    entry_accept(&e, result, ENTRY_CHANGED, now);
    e.good = true;
    return e;
}

static enum entry_verdict judge(const struct entry *e)
{
    struct ms_now now = {NOW_S + 60, 61000, 0};
    enum ms_err why = MS_OK;
    return entry_judge(e, s.p.result, now, &why);
}

/* Finality takes the app in, the newest block only out. */
static void test_registration(void **state)
{
    (void)state;
    EACH_LEVEL(level)
    {
        for (unsigned bits = 0; bits < 4; bits++) {
            bool finally = bits & 1, at_head = bits & 2;
            begin(level, 2);
            registers(finally, at_head);
            run_ok("registration");
            assert_int_equal(both_listed(), finally && at_head);
            assert_int_equal(none_listed(), !(finally && at_head));
            assert_int_equal(json_is_true(governs_kms("registered")), finally && at_head);
            assert_int_equal(warned("not-registered"), !finally);
            assert_int_equal(warned("revoked-at-head"), finally && !at_head);
            assert_int_equal(nothing_taken(), !(finally && !at_head));
            assert_int_equal(known(COMPOSE, 1), 1); /* asked about again, for when it is */
            assert_int_equal(known(IMAGE, 2), 1);
            end();
        }
    }
}

static void test_registration_comes_and_goes(void **state)
{
    (void)state;
    EACH_LEVEL(level)
    {
        begin(level, 2);
        registers(true, false);
        run_ok("gone at the head");
        struct entry e = entry_of(s.p.result);
        again();
        registers(true, true);
        for (size_t i = 0; i < NODES; i++)
            s.nodes[i].lie = NODE_NO_HEAD;
        run_ok("the head cannot be read");
        assert_true(both_listed());
        assert_int_equal(judge(&e), ENTRY_REFUSED); /* what was seen gone stays so */
        again();
        for (size_t i = 0; i < NODES; i++) {
            s.nodes[i].lie = NODE_HONEST;
            s.nodes[i].head = HEAD + 1;
        }
        run_ok("back in a newer head");
        assert_true(both_listed());
        assert_int_equal(judge(&e), ENTRY_CHANGED);
        end();
    }
}

static void test_image_removed_at_head(void **state)
{
    (void)state;
    EACH_LEVEL(level)
    {
        begin(level, 2);
        approved(IMAGE, 3);
        approve(IMAGE, 3, true, false);
        run_ok("an image removed at the head");
        assert_true(both_listed() && warned("revoked-at-head") && !nothing_taken());
        end();
    }
}

/* ---- the gateway ---- */

#define LONG_ID "0x2f83172a49584c017f2b256f0fb2dca14126ba9c" /* more than a slot holds */

static void gateway(const char *finally, const char *at_head)
{
    mapping_gateway(&s.kms.old, finally);
    mapping_gateway(&s.kms.newest, at_head);
}

/* What both blocks say is told; what only one of them says is not. */
static void test_gateway(void **state)
{
    (void)state;
    static const struct {
        const char *finally, *at_head, *told;
    } cases[] = {
        {"short", "short", "short"},
        {LONG_ID, LONG_ID, LONG_ID},
        {LONG_ID, "0x2f83172a49584c017f2b256f0fb2dca14126ba9d", NULL},
        {"short", "", NULL},
        {"", "short", NULL},
        {"", "", NULL},
        {"bell\a", "bell\a", NULL},
        {LONG_ID "0123456789abcdef012345", LONG_ID "0123456789abcdef012345",
         LONG_ID "0123456789abcdef012345"}, /* 64 bytes, and one more */
        {LONG_ID "0123456789abcdef0123456", LONG_ID "0123456789abcdef0123456", NULL},
    };
    EACH_LEVEL(level)
    {
        for (size_t i = 0; i < MS_ARRAY_LEN(cases); i++) {
            bool same = strcmp(cases[i].finally, cases[i].at_head) == 0;
            begin(level, 2);
            gateway(cases[i].finally, cases[i].at_head);
            run_ok("a gateway");
            assert_true(both_listed());
            assert_non_null(governs_kms("gateway_app_id"));
            const char *told = json_string_value(governs_kms("gateway_app_id"));
            if (cases[i].told == NULL ? told != NULL
                                      : told == NULL || strcmp(told, cases[i].told) != 0)
                fail_msg("%s, then %s: told %s", cases[i].finally, cases[i].at_head, told);
            assert_int_equal(warned("revoked-at-head"), !same);
            assert_int_equal(nothing_taken(), same);
            end();
        }
    }
}

/* Every byte of the id is proven, wherever it lies; another id is another state. */
static void test_gateway_lies(void **state)
{
    (void)state;
    static const char *const truth[] = {LONG_ID, LONG_ID, "short", "", LONG_ID};
    static const char *const lies[] = {"0x2f83172a49584c017f2b256f0fb2dca14126ba9d", "", "shore",
                                       "short", "0x3f83172a49584c017f2b256f0fb2dca14126ba9c"};
    static const uint8_t getter[4] = DSTACK_CALL_GATEWAY_APP_ID;

    for (size_t i = 0; i < MS_ARRAY_LEN(lies); i++) {
        begin(SPEC_LEVEL_L3, 2);
        gateway(lies[i], lies[i]);
        struct chain_call says = s.kms.old.calls[0];
        gateway(truth[i], truth[i]);
        s.kms.old.calls[0] = s.kms.newest.calls[0] = says;
        run_fails(lies[i], MS_ERR_COMMITMENT);
        end();
    }
    begin(SPEC_LEVEL_L3, 2); /* the getter is left out, the id is there */
    mapping_answer(&s.kms.old, getter, NULL);
    mapping_answer(&s.kms.newest, getter, NULL);
    play_run(&s.p);
    assert_int_not_equal(s.p.err, MS_OK);
    end();

    begin(SPEC_LEVEL_L2, 2);
    gateway("one", "one");
    run_ok("one gateway");
    struct ms_sha256 first = s.p.result->commitment;
    again();
    gateway("two", "two");
    run_ok("another gateway");
    assert_false(ms_sha256_eq(&first, &s.p.result->commitment));
    end();
}

/* ---- lies ---- */

static void test_lies(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool of_image, truth;
    } cases[] = {
        {"registered, says the getter", false, false},
        {"not registered, says the getter", false, true},
        {"an image, says the getter", true, false},
        {"no image, says the getter", true, true},
    };
    EACH_LEVEL(level)
    {
        for (size_t i = 0; i < MS_ARRAY_LEN(cases); i++) {
            for (size_t all = 0; all < 2; all++) {
                struct source_candidate image = mapping_candidate(IMAGE, 2);
                bool truth = cases[i].truth;
                begin(level, 3);
                registers(cases[i].of_image || truth, cases[i].of_image || truth);
                approve(IMAGE, 2, !cases[i].of_image || truth, !cases[i].of_image || truth);
                begin_lie();
                if (cases[i].of_image)
                    mapping_set(&s.lie_kms, &image, !truth);
                else
                    mapping_register(&s.lie_kms, &s.app.chain.registry, !truth);
                s.nodes[0].says = &s.liar;
                s.nodes[1].says = s.nodes[2].says = all ? &s.liar : NULL;
                if (all) {
                    run_fails(cases[i].name, MS_ERR_COMMITMENT);
                } else {
                    run_ok(cases[i].name);
                    assert_int_equal(listed(COMPOSE, 1), cases[i].of_image || truth);
                    assert_int_equal(listed(IMAGE, 2), truth);
                }
                assert_false(s.p.lied[0]); /* a stranger's contract may contradict itself */
                end();
            }
        }
    }
}

/* Without proofs a level has its own means: one that differs about the KMS is dissent. */
static void test_words(void **state)
{
    (void)state;
    begin(SPEC_LEVEL_L2, 2);
    begin_lie();
    mapping_register(&s.lie_kms, &s.app.chain.registry, false);
    s.nodes[0].lie = s.nodes[1].lie = NODE_NO_PROOF;
    s.nodes[1].says = &s.liar;
    run_fails("two words about the KMS", MS_ERR_DISSENT);
    end();
    begin(SPEC_LEVEL_L2, 2);
    s.nodes[0].lie = s.nodes[1].lie = NODE_NO_PROOF;
    run_ok("no proofs");
    assert_true(both_listed() && warned("no-proof") && !s.p.result->has_identity);
    assert_null(governs_kms("code_hash"));
    end();
    begin(SPEC_LEVEL_L3, 2);
    s.nodes[0].lie = s.nodes[1].lie = NODE_PROOF_VALUE;
    run_fails("false proofs", MS_ERR_PROOF);
    end();
}

/* "I do not say" is neither yes nor no. */
static void test_no_registration_getter(void **state)
{
    (void)state;
    static const uint8_t getter[4] = DSTACK_CALL_REGISTERED_APPS;
    EACH_LEVEL(level)
    {
        begin(level, 2);
        registers(false, false);
        mapping_answer(&s.kms.old, getter, NULL);
        mapping_answer(&s.kms.newest, getter, NULL);
        run_fails("a KMS without registrations", level == SPEC_LEVEL_L3 ? MS_ERR_ABI : MS_ERR_KIND);
        end();
    }
}

/* ---- kinds ---- */

static void test_kinds(void **state)
{
    (void)state;
    static const struct {
        const char *name, *spec;
        void (*app)(struct chain_contract *), (*kms)(struct chain_contract *);
        enum ms_err want;
        const char *says;
    } cases[] = {
        {"two apps", SPEC, mapping_app, mapping_app, MS_ERR_KIND, "kms="},
        {"a KMS and its KMS", SPEC, mapping_kms, mapping_kms, MS_ERR_KIND, "dstack-app"},
        {"kms= of a KMS", CHAIN_SPEC ";kind=dstack-kms;kms=" KMS, mapping_kms, mapping_kms,
         MS_ERR_UNSUPPORTED, "kind=dstack-app only"},
        {"kms= of a registry", CHAIN_SPEC ";kind=registry;kms=" KMS, mapping_app, mapping_kms,
         MS_ERR_UNSUPPORTED, "kind=dstack-app only"},
        {"kms= of no kind", CHAIN_SPEC ";kind=governor;kms=" KMS, mapping_app, mapping_kms,
         MS_ERR_UNSUPPORTED, "kind=dstack-app only"},
        {"its own KMS", CHAIN_SPEC ";kms=" CHAIN_ADDRESS, mapping_app, mapping_kms,
         MS_ERR_UNSUPPORTED, "no contract is both"},
    };
    EACH_LEVEL(level)
    {
        for (size_t i = 0; i < MS_ARRAY_LEN(cases); i++) {
            begin(level, 2);
            place_init(&s.app, cases[i].app);
            place_init(&s.kms, cases[i].kms);
            s.p.spec = cases[i].spec;
            run_fails(cases[i].name, cases[i].want);
            if (strstr(s.p.diag.text, cases[i].says) == NULL)
                fail_msg("%s: %s", cases[i].name, s.p.diag.text);
            end();
        }
        begin(level, 2); /* nothing there answers nothing */
        s.kms.chain.no_account = s.kms.head.no_account = true;
        run_fails("no KMS", MS_ERR_KIND);
        end();
    }
    for (enum spec_level level = SPEC_LEVEL_L2; level <= SPEC_LEVEL_L3;
         level = (enum spec_level)(level + 1)) { /* a quorum says that it is a KMS */
        begin(level, 2);
        begin_lie();
        mapping_app(&s.lie_kms);
        s.nodes[1].says = &s.liar;
        run_fails("somebody lies about the KMS's kind", MS_ERR_DISSENT);
        end();
    }
}

/* ---- code ---- */

static void test_code(void **state)
{
    (void)state;
    EACH_LEVEL(level)
    {
        struct place *places[] = {&s.app, &s.kms};
        for (size_t i = 0; i < MS_ARRAY_LEN(places); i++) {
            struct place *place = places[i];
            begin(level, 2);
            run_ok("code");
            assert_true(s.p.result->has_identity);
            struct entry e = entry_of(s.p.result);
            assert_int_equal(judge(&e), ENTRY_SAME);

            again(); /* upgraded behind its proxy */
            place->chain.implementation = place->head.implementation = eth_word_u64(0x42);
            for (size_t k = 0; k < NODES; k++)
                s.nodes[k].final = FINAL + 1;
            run_ok("an upgrade");
            assert_true(warned("proxy"));
            assert_int_equal(judge(&e), ENTRY_HELD);
            place->chain.implementation = place->head.implementation = (struct eth_word){{0}};

            again(); /* or made anew */
            place->old.code = place->newest.code = ms_span_str("another");
            for (size_t k = 0; k < NODES; k++)
                s.nodes[k].final = FINAL + 2;
            run_ok("other code");
            assert_int_equal(judge(&e), ENTRY_HELD);

            again(); /* an account with delegated code is turned by its one key (EIP-7702) */
            place->chain.delegated = place->head.delegated = true;
            for (size_t k = 0; k < NODES; k++)
                s.nodes[k].final = FINAL + 3;
            run_fails("delegated", MS_ERR_KIND);
            assert_true(s.p.negative_s > 0);
            end();
        }
    }
}

/* ---- the search of logs ---- */

static void test_scan_of_both(void **state)
{
    (void)state;
    EACH_LEVEL(level)
    {
        struct source_candidate three = mapping_candidate(IMAGE, 3),
                                four = mapping_candidate(COMPOSE, 4);
        begin(level, 2);
        approve(IMAGE, 3, true, true);
        add_log(&s.app, &three, 11); /* an event of the KMS by the app, and the other way round */
        approve(COMPOSE, 4, true, true);
        add_log(&s.kms, &four, 11);
        run_ok("logs of both");
        assert_int_equal(s.nodes[0].log_calls, 1); /* in one question */
        assert_true(both_listed());
        assert_int_equal(known(IMAGE, 3), -1);
        assert_int_equal(known(COMPOSE, 4), -1);
        assert_false(warned("incomplete"));
        end();
    }
}

/* Where nodes refuse the whole chain the search begins with the older of the two: a KMS has
 * approved images before there was the app. */
static void test_scan_begins_with_the_older(void **state)
{
    (void)state;
    static const uint64_t births[][2] = {{90000, 80000}, {80000, 90000}, {80000, 80000}};
    for (size_t i = 0; i < MS_ARRAY_LEN(births); i++) {
        uint64_t app = births[i][0], kms = births[i][1], older = app < kms ? app : kms;
        begin(SPEC_LEVEL_L3, 2);
        s.app.old.born = s.app.newest.born = app;
        s.kms.old.born = s.kms.newest.born = kms;
        s.app.logs[0].block = app;
        s.kms.logs[0].block = kms;
        for (size_t k = 0; k < NODES; k++) {
            s.nodes[k].final = 100000;
            s.nodes[k].head = 100070;
            s.nodes[k].max_blocks = 2000;
        }
        s.p.now.wall_s = chain_time(100080);
        run_ok("births");
        assert_int_equal(s.p.result->scan.from, older);
        assert_true(app == older ? listed(COMPOSE, 1) : listed(IMAGE, 2));
        struct source_result *before = s.p.result;
        s.p.previous.scan = before->scan;
        for (size_t k = 0; k < before->n_candidates; k++)
            s.p.previous.candidates[s.p.previous.n_candidates++] = before->candidates[k];
        again();
        run_ok("the next attempt goes on");
        assert_true(both_listed());
        end();
    }
}

/* ---- sizes, and what a poll is told to ask ---- */

static void fill(void)
{
    for (unsigned i = 0; i < 70; i++) { /* more than one proof holds, of each */
        approved(COMPOSE, (uint8_t)(10 + i));
        if (i < 56)
            approved(IMAGE, (uint8_t)(100 + i));
    }
}

static bool same_address(const struct eth_addr *a, const struct chain *chain)
{
    return eth_addr_eq(a, &chain->registry);
}

static void test_many(void **state)
{
    (void)state;
    begin(SPEC_LEVEL_L3, 2);
    fill();
    run_ok("many");
    assert_int_equal(s.p.result->n_candidates, SOURCE_CANDIDATES_MAX);
    assert_int_equal(s.p.result->releases[0].set->n_predicates, SOURCE_CANDIDATES_MAX);
    assert_true(listed(COMPOSE, 10) && listed(COMPOSE, 79) && listed(IMAGE, 155));
    const struct source_probe *probe = &s.p.result->probe;
    size_t of_app = 0, of_kms = 0, slots = 0;
    assert_int_equal(probe->n_calls, SOURCE_CANDIDATES_MAX + 4);
    for (size_t i = 0; i < probe->n_calls; i++) {
        of_app += same_address(&probe->calls[i].to, &s.app.chain);
        of_kms += same_address(&probe->calls[i].to, &s.kms.chain);
    }
    assert_int_equal(of_app, 71 + 2);
    assert_int_equal(of_kms, 57 + 2);
    of_app = of_kms = 0;
    for (size_t i = 0; i < probe->n_accounts; i++) {
        of_app += same_address(&probe->accounts[i].address, &s.app.chain);
        of_kms += same_address(&probe->accounts[i].address, &s.kms.chain);
        slots += probe->accounts[i].n_slots;
    }
    assert_int_equal(of_app, 2);
    assert_int_equal(of_kms, 1);
    /* flags, owners, implementations, the gateway */
    assert_int_equal(slots, SOURCE_CANDIDATES_MAX + 3 + 2 + 2 + 3);
    end();
}

/* Of endpoints that take no batches, and refuse to search more than a few blocks. */
static void test_many_singly(void **state)
{
    (void)state;
    begin(SPEC_LEVEL_L2, 3);
    s.p.policy.quorum = 3;
    fill();
    for (size_t i = 0; i < NODES; i++) {
        s.p.policy.providers[i].proofs = SOURCE_PROOFS_NO; /* which would only take long */
        s.nodes[i].lie = NODE_BATCH_ERROR;
        s.nodes[i].max_blocks = 4;
    }
    s.app.old.born = s.app.newest.born = 90;
    s.kms.old.born = s.kms.newest.born = 60;
    for (size_t i = 0; i < SOURCE_CANDIDATES_MAX; i++)
        s.p.previous.candidates[i] =
            mapping_candidate(i < 64 ? COMPOSE : IMAGE, (uint8_t)(i < 64 ? 10 + i : 36 + i));
    s.p.previous.n_candidates = SOURCE_CANDIDATES_MAX;
    run_ok("no batches");
    assert_int_equal(s.p.result->n_candidates, SOURCE_CANDIDATES_MAX);
    assert_true(s.p.n_requests > 800 && s.p.n_requests < SOURCE_REQUESTS_MAX);
    end();
}

/* One poll of what was read before, by honest nodes. */
static enum source_poll_verdict poll_again(const struct source_result *result)
{
    struct source_poll_item item = {.probe = &result->probe, .prove = true};
    struct source_poll_hints hints = {0};
    struct source *poll = NULL;
    struct source_request request;
    struct ms_diag diag = {0};
    struct ms_now now = s.p.now;
    enum ms_err why = MS_OK;

    assert_int_equal(source_poll_new(1, &s.p.policy, &item, 1, &hints, now, &poll, &diag), MS_OK);
    enum source_state at = source_step(poll, NULL, now);
    while (at == SOURCE_WANTS && source_take_request(poll, &request)) {
        struct source_response r = {.id = request.id, .status = 200, .time_s = now.wall_s};
        struct node_answer from = {0};
        if (request.kind == SOURCE_REQUEST_WAIT)
            continue;
        node_answer(&s.nodes[request.provider], request.body, &from);
        r.body = ms_buf_span(&from.body);
        at = source_step(poll, &r, now);
        ms_buf_done(&from.body);
    }
    enum source_poll_verdict verdict = source_poll_verdict(poll, 0, &why, &diag);
    source_free(poll);
    return verdict;
}

/* Asked with others whether anything changed: a change of either contract is one. */
static void test_poll(void **state)
{
    (void)state;
    EACH_LEVEL(level)
    {
        for (unsigned change = 0; change < 5; change++) {
            struct source_candidate image = mapping_candidate(IMAGE, 2),
                                    compose = mapping_candidate(COMPOSE, 1);
            begin(level, 2);
            run_ok("poll");
            struct source_result *result = s.p.result;
            s.p.result = NULL;
            for (size_t i = 0; i < NODES; i++) {
                s.nodes[i].final = FINAL + 1;
                s.nodes[i].head = HEAD + 1;
            }
            if (change == 1)
                mapping_set(&s.kms.newest, &image, false);
            if (change == 2)
                mapping_register(&s.kms.newest, &s.app.chain.registry, false);
            if (change == 3)
                mapping_set(&s.app.newest, &compose, false);
            if (change == 4) /* no getter shows it */
                s.kms.chain.implementation = s.kms.head.implementation = eth_word_u64(0x42);
            enum source_poll_verdict want = change == 0 ? SOURCE_POLL_SAME : SOURCE_POLL_CHANGED;
            if (change == 4 && level < SPEC_LEVEL_L3)
                want = SOURCE_POLL_SAME; /* noticed by the next full read */
            assert_int_equal(poll_again(result), want);
            source_result_free(result);
            end();
        }
    }
}

/* ---- endpoints that prove only the newest state ---- */

static void test_kept(void **state)
{
    (void)state;
    begin(SPEC_LEVEL_L3, 2);
    fill();
    for (size_t i = 0; i < 2; i++)
        s.p.policy.providers[i].proofs = SOURCE_PROOFS_HEAD;
    run_fails("nothing was proven before", MS_ERR_UNAVAILABLE);
    assert_int_equal(s.p.n_kept, 1);
    struct play before = s.p;
    s.p.previous.n_kept = 1;
    s.p.previous.kept[0] = before.kept[0];
    (void)json_incref(before.kept[0].answers);
    s.p.previous.scan = (struct source_scan){.begun = true, .whole = true, .window = UINT64_MAX};
    again();
    for (size_t i = 0; i < NODES; i++) {
        s.nodes[i].final = HEAD;
        s.nodes[i].head = HEAD + 70;
    }
    s.p.now.wall_s = chain_time(HEAD + 75);
    run_ok("what was proven is final");
    assert_true(listed(COMPOSE, 1) && listed(IMAGE, 2) && s.p.result->has_identity);
    assert_int_equal(s.p.result->block.number, HEAD);
    assert_true(json_is_true(governs_kms("registered")));
    json_decref(s.p.previous.kept[0].answers);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both),
        cmocka_unit_test(test_registration),
        cmocka_unit_test(test_registration_comes_and_goes),
        cmocka_unit_test(test_image_removed_at_head),
        cmocka_unit_test(test_gateway),
        cmocka_unit_test(test_gateway_lies),
        cmocka_unit_test(test_lies),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_no_registration_getter),
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_code),
        cmocka_unit_test(test_scan_of_both),
        cmocka_unit_test(test_scan_begins_with_the_older),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_many_singly),
        cmocka_unit_test(test_poll),
        cmocka_unit_test(test_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
