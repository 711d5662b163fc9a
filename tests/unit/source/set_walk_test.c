/* Sets of the past, back from an accepted one: what is named by the set after it is taken whoever
 * has it, what is not is taken below a gap only, when enough of a root's signers signed it. */
#include "resolver/source/set_walk.h"
#include "tests/support/sets.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define NOW_S SETS_NOW_S
#define SETS_MAX 120
#define OLD "\xa1\xb2" /* enough of the specifier's list */
#define NEW "\xc3\xd4" /* enough of root 1's, and too few of the specifier's */
#define ONE "https://one.example/.well-known/measured/"

static struct world {
    struct sets_made sets[SETS_MAX];
    unsigned status[SETS_MAX]; /* of each; 0: 200 */
    size_t n;
    const char *empty; /* a host that has none */
    const char *down;  /* one that cannot be reached */
    size_t n_asked;
    char asked[400][128];
} world;

/* Numbers 1 to n, but for those left out, each named by the next; signed by OLD up to `turn`. */
static void make_sets(size_t n, uint64_t left_out, uint64_t turn)
{
    struct eth_hash previous = {{0}};

    world = (struct world){0};
    for (uint64_t i = 1; i <= n; i++) {
        if (i == left_out)
            continue;
        world.sets[world.n] = sets_make("", i, &previous, i <= turn ? OLD : NEW);
        previous = world.sets[world.n++].hash;
    }
}

static struct sets_made *set_of(uint64_t sequence)
{
    for (size_t i = 0; i < world.n; i++)
        if (world.sets[i].sequence == sequence)
            return &world.sets[i];
    return NULL;
}

static void status_of(uint64_t sequence, unsigned status)
{
    world.status[set_of(sequence) - world.sets] = status;
}

static void replace(uint64_t sequence, struct sets_made with)
{
    struct sets_made *m = set_of(sequence);

    ms_buf_done(&m->text);
    *m = with;
}

static void world_done(void)
{
    for (size_t i = 0; i < world.n; i++)
        ms_buf_done(&world.sets[i].text);
    world = (struct world){0};
}

static struct source_response serve(const struct source_request *request)
{
    const char *url = request->location->url, *name = strrchr(url, '/') + 1;
    char *end = NULL;
    unsigned long long number = strtoull(name, &end, 10);

    assert_int_equal(request->kind, SOURCE_REQUEST_HTTP);
    assert_int_equal(request->max_bytes, MSIG_DOC_MAX_BYTES);
    assert_string_equal(end, ".set.json");
    assert_true(world.n_asked < MS_ARRAY_LEN(world.asked));
    (void)snprintf(world.asked[world.n_asked++], sizeof(world.asked[0]), "%s", url);
    if (world.down != NULL && strstr(url, world.down) != NULL)
        return (struct source_response){.err = MS_ERR_CONNECT};
    const struct sets_made *m = set_of(number);
    if (m == NULL || (world.empty != NULL && strstr(url, world.empty) != NULL))
        return (struct source_response){.status = 404};
    unsigned status = world.status[m - world.sets];
    return (struct source_response){.status = status == 0 ? 200 : status,
                                    .body = ms_buf_span(&m->text)};
}

/* ---- one whole past, walk after walk as the daemon does ---- */

struct past {
    const char *spec;
    json_t *carry;
    const char *hosts[SOURCE_HOSTS_MAX];
    size_t n_hosts;
    struct set_at at;
    /* outcome */
    enum ms_err err;
    struct ms_diag diag;
    size_t n, n_walks;
    struct set_found found[SETS_MAX];
    char complaints[4096];
};

static void take_found(struct past *p, const struct source *s)
{
    const struct set_found *found;
    const struct set_complaint *complaints;
    size_t n = set_walk_found(s, &found), k = set_walk_complaints(s, &complaints);

    assert_true(n <= SET_WALK_SETS_MAX);
    for (size_t i = 0; i < n; i++) {
        const struct sets_made *m = set_of(found[i].sequence);
        assert_true(p->n < SETS_MAX);
        p->found[p->n] = found[i];
        p->found[p->n++].text = (struct ms_span){0};
        assert_non_null(m);
        assert_true(ms_span_eq(found[i].text, ms_buf_span(&m->text))); /* as served */
    }
    for (size_t i = 0; i < k; i++)
        (void)snprintf(p->complaints + strlen(p->complaints),
                       sizeof(p->complaints) - strlen(p->complaints), "%s: %s\n",
                       set_walk_host(s, complaints[i].host), complaints[i].diag.text);
}

/* false: it failed. */
static bool walk_once(struct past *p, const struct spec *spec, uint64_t until)
{
    static const struct source_policy policy;
    const struct ms_now now = {NOW_S, 1, 0};
    const struct set_walk in = {
        .from = p->at, .until = until, .carry = p->carry, .n_hosts = p->n_hosts, .hosts = p->hosts};
    struct source *s = NULL;
    struct source_request request;

    p->err = set_walk_new(spec, &policy, &in, now, &s, &p->diag);
    if (p->err != MS_OK)
        return false;
    enum source_state state = source_step(s, NULL, now);
    while (state == SOURCE_WANTS) {
        assert_true(source_take_request(s, &request)); /* one at a time */
        struct source_response response = serve(&request);
        response.id = request.id;
        state = source_step(s, &response, now);
    }
    take_found(p, s);
    p->at = set_walk_next(s);
    p->n_walks++;
    if (state == SOURCE_FAILED)
        p->err = source_error(s, &p->diag);
    source_free(s);
    return state == SOURCE_DONE;
}

static void walk_all(struct past *p)
{
    static const struct spec_context context;
    struct spec spec;

    spec_init(&spec);
    assert_int_equal(spec_parse(ms_span_str(p->spec), &context, &spec, NULL), MS_OK);
    for (bool ok = true; ok && !set_at_ended(&p->at);) {
        assert_true(p->n_walks < 100);
        ok = walk_once(p, &spec, 0);
    }
    spec_done(&spec);
}

static struct past past_of(uint64_t accepted)
{
    const struct sets_made *m = set_of(accepted);
    return (struct past){.spec = sets_spec(""),
                         .hosts = {"one.example"},
                         .n_hosts = 1,
                         .at = set_at_below(accepted, &m->previous)};
}

/* "39c 38c 36s": what was found, by the chain or by signatures. */
static const char *told(const struct past *p)
{
    static char text[2048];
    size_t n = 0;

    text[0] = '\0';
    for (size_t i = 0; i < p->n; i++)
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%llu%s", i == 0 ? "" : " ",
                              (unsigned long long)p->found[i].sequence,
                              p->found[i].linked ? "c" : "s");
    return text;
}

static bool reached_first(const struct past *p)
{
    static const struct eth_hash none;
    return eth_hash_eq(&p->at.named, &none);
}

/* ---- the rules ---- */

static void test_complete(void **state)
{
    (void)state;
    make_sets(20, 0, 20);
    struct past p = past_of(20);
    walk_all(&p);
    assert_int_equal(p.err, MS_OK);
    assert_string_equal(told(&p), "19c 18c 17c 16c 15c 14c 13c 12c 11c 10c 9c 8c 7c 6c 5c 4c 3c 2c "
                                  "1c");
    assert_true(reached_first(&p));
    assert_int_equal(p.n_walks, 2); /* in parts */
    assert_int_equal(world.n_asked, 19);
    assert_string_equal(world.asked[0], ONE "19.set.json");
    assert_string_equal(p.complaints, "");
    world_done();
}

static void test_first(void **state)
{
    (void)state;
    make_sets(1, 0, 1);
    struct past p = past_of(1);
    assert_true(set_at_ended(&p.at) && reached_first(&p));
    world_done();
}

/* A number that signers left out is no gap: the set above names the one below it. */
static void test_jump(void **state)
{
    (void)state;
    make_sets(6, 4, 6);
    struct past p = past_of(6);
    walk_all(&p);
    assert_string_equal(told(&p), "5c 3c 2c 1c");
    assert_true(reached_first(&p));
    assert_int_equal(world.n_asked, 5);
    world_done();
}

/* Chains by hash need no signatures: two of them have too few. */
static void test_named_needs_no_signers(void **state)
{
    struct eth_hash none = {{0}};

    (void)state;
    make_sets(0, 0, 0);
    world.sets[0] = sets_make("", 1, &none, "\xa1");
    world.sets[1] = sets_make("", 2, &world.sets[0].hash, "");
    world.sets[2] = sets_make("", 3, &world.sets[1].hash, OLD);
    world.n = 3;
    struct past p = past_of(3);
    walk_all(&p);
    assert_string_equal(told(&p), "2c 1c");
    world_done();
}

static const struct {
    const char *name, *app, *by;
    uint64_t as; /* the number in the document that is served for set 4 */
    bool garbage;
    const char *complaint, *want;
} altered[] = {
    {"another set", "", OLD, 4, false, "4.set.json: it is not the set that the one after it names",
     "5c 3s 2c 1c"},
    {"another application", "other", OLD, 4, false, "another application", "5c 3s 2c 1c"},
    {"another number", "", OLD, 2, false, "the set of another number", "5c 3s 2c 1c"},
    {"no document", "", OLD, 4, true, "4.set.json: ", "5c 3s 2c 1c"},
};

/* What is not named is never taken for it; those below are taken, for their signers say so. */
static void test_altered(void **state)
{
    (void)state;
    for (size_t i = 0; i < MS_ARRAY_LEN(altered); i++) {
        make_sets(6, 0, 6);
        struct eth_hash other = {{9}};
        struct sets_made m = sets_make(altered[i].app, altered[i].as, &other, altered[i].by);
        m.sequence = 4;
        if (altered[i].garbage) {
            ms_buf_reset(&m.text);
            (void)ms_buf_add_str(&m.text, "{\"type\":\"measured-release-set/1\"");
        }
        replace(4, m);
        struct past p = past_of(6);
        walk_all(&p);
        if (strcmp(told(&p), altered[i].want) != 0 ||
            strstr(p.complaints, altered[i].complaint) == NULL)
            fail_msg("%s: %s; %s", altered[i].name, told(&p), p.complaints);
        world_done();
    }
}

/* Below a gap nothing but signatures counts, of the specifier's list or of a root known. */
static void test_below_gap(void **state)
{
    (void)state;
    make_sets(8, 0, 4);
    status_of(6, 404);
    struct past p = past_of(8);
    p.carry = sets_carry("\xb2\xc3");
    walk_all(&p);
    assert_string_equal(told(&p), "7c 5s 4c 3c 2c 1c");
    assert_true(reached_first(&p));
    json_decref(p.carry);

    p = past_of(8); /* root 1 is not known: c3 alone is not enough, and 4 is signed by the old */
    walk_all(&p);
    assert_string_equal(told(&p), "7c 4s 3c 2c 1c");
    assert_non_null(strstr(p.complaints, "5.set.json: the set after it is missing, and too few"));
    world_done();
}

static void test_below_gap_unsigned(void **state)
{
    struct eth_hash previous;

    (void)state;
    make_sets(5, 0, 5);
    previous = set_of(3)->previous;
    replace(3, sets_make("", 3, &previous, "\xa1\xd4")); /* one of the list, and a stranger */
    previous = set_of(2)->previous;
    replace(2, sets_make("", 2, &previous, "\xa1\xb2\xb2")); /* one twice: nothing counts */
    status_of(4, 410);
    struct past p = past_of(5);
    walk_all(&p);
    assert_string_equal(told(&p), "1s");
    world_done();
}

/* Roots that do not follow from the specifier's list are no roots. */
static void test_roots(void **state)
{
    (void)state;
    make_sets(3, 0, 3);
    struct past p = past_of(3);
    p.carry = sets_carry("\xc3\xd4"); /* one of the list before */
    walk_all(&p);
    assert_int_equal(p.err, MS_ERR_SIGNATURE);
    assert_int_equal(p.n, 0);
    json_decref(p.carry);
    world_done();
}

/* Too many missing in a row: those below are not looked for. */
static void test_limit(void **state)
{
    struct eth_hash none = {{0}}, away = {{7}};

    (void)state;
    world = (struct world){0};
    world.sets[world.n++] = sets_make("", 10, &none, OLD);
    world.sets[world.n++] = sets_make("", 200, &away, OLD);
    struct past p = past_of(200);
    walk_all(&p);
    assert_int_equal(p.err, MS_OK);
    assert_int_equal(p.n, 0);
    assert_false(reached_first(&p));
    assert_int_equal(world.n_asked, SET_WALK_MISSING_MAX);
    assert_int_equal(p.n_walks, SET_WALK_MISSING_MAX / SET_WALK_NUMBERS_MAX);
    world_done();
}

/* It goes on where the one before ended, and stops above what is stored. */
static void test_resume(void **state)
{
    static const struct spec_context context;
    struct spec spec;

    (void)state;
    make_sets(30, 0, 30);
    struct past p = past_of(30);
    spec_init(&spec);
    assert_int_equal(spec_parse(ms_span_str(p.spec), &context, &spec, NULL), MS_OK);
    assert_true(walk_once(&p, &spec, 0));
    assert_int_equal(p.n, SET_WALK_SETS_MAX);
    assert_int_equal(p.at.number, 29 - SET_WALK_SETS_MAX);
    assert_true(walk_once(&p, &spec, 5));
    assert_int_equal(p.at.number, 5);
    assert_true(eth_hash_eq(&p.at.named, &set_of(5)->hash));
    assert_int_equal(world.n_asked, 24);
    spec_done(&spec);
    world_done();
}

static void test_hosts(void **state)
{
    (void)state;
    make_sets(4, 0, 4);
    struct past p = past_of(4);
    p.hosts[0] = "none.example";
    p.hosts[1] = "down.example";
    p.hosts[2] = "one.example";
    p.n_hosts = 3;
    world.empty = "none.example";
    world.down = "down.example";
    walk_all(&p);
    assert_string_equal(told(&p), "3c 2c 1c");
    assert_int_equal(p.found[0].host, 2);
    assert_int_equal(world.n_asked, 3 * 2 + 1); /* who is down is asked once a walk */
    assert_non_null(strstr(p.complaints, "down.example: 3.set.json: "));

    p = past_of(4); /* who has the one that is named is asked, and nobody else */
    p.hosts[1] = "two.example";
    p.n_hosts = 2;
    world.n_asked = 0;
    walk_all(&p);
    assert_string_equal(told(&p), "3c 2c 1c");
    assert_int_equal(world.n_asked, 3);

    p = past_of(4); /* nobody can be asked: that is no gap */
    world.down = ".example";
    walk_all(&p);
    assert_int_equal(p.err, MS_ERR_UNAVAILABLE);
    assert_int_equal(p.at.number, 3);
    world_done();
    make_sets(4, 0, 4);
    status_of(3, 503);
    p = past_of(4);
    walk_all(&p);
    assert_int_equal(p.err, MS_ERR_UNAVAILABLE);
    world_done();
}

/* at= names the folder, or the set in it. */
static void test_at(void **state)
{
    static const char *const at[] = {";at=aHR0cHM6Ly9hdC5leGFtcGxlL2RvY3Mv",
                                     ";at=aHR0cHM6Ly9hdC5leGFtcGxlL2RvY3MvbmV3ZXN0Lmpzb24"};

    (void)state;
    for (size_t i = 0; i < MS_ARRAY_LEN(at); i++) {
        make_sets(2, 0, 2);
        struct past p = past_of(2);
        p.spec = sets_spec(at[i]);
        walk_all(&p);
        assert_string_equal(told(&p), "1c");
        assert_string_equal(world.asked[0], "https://at.example/docs/1.set.json");
        world_done();
    }
    make_sets(2, 0, 2);
    struct past p = past_of(2);
    p.n_hosts = 0;
    walk_all(&p);
    assert_int_equal(p.err, MS_ERR_UNAVAILABLE);
    world_done();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_complete),
        cmocka_unit_test(test_first),
        cmocka_unit_test(test_jump),
        cmocka_unit_test(test_named_needs_no_signers),
        cmocka_unit_test(test_altered),
        cmocka_unit_test(test_below_gap),
        cmocka_unit_test(test_below_gap_unsigned),
        cmocka_unit_test(test_roots),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_resume),
        cmocka_unit_test(test_hosts),
        cmocka_unit_test(test_at),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
