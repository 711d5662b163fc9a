/* Logs by windows: each block is asked about once, windows shrink where an endpoint refuses them,
 * who tells what was not asked for is left, and who said what is kept. */
#include "resolver/source/log_walk.h"
#include "tests/support/history.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define ADDRESS "0x5252525252525252525252525252525252525252"
#define EVERY 7u /* a log in each block that is a multiple of it */

struct node {
    uint64_t max_range; /* blocks it takes at once; 0: any */
    bool dead, outside, disorder, foreign, too_many;
    size_t asked;
};

static struct node nodes[2];
static struct spec spec;
static struct source_policy policy;
static const struct ms_now now = {.wall_s = 1800000000};

static struct eth_log log_at(uint64_t block)
{
    struct eth_log log = {.block = block, .n_topics = 1};
    memset(log.address.b, 0x52, sizeof(log.address.b));
    log.topics[0].b[0] = 7;
    log.data = ms_span_str("0123456789012345678901234567890");
    return log;
}

static json_t *logs_of(const struct node *node, uint64_t from, uint64_t to)
{
    json_t *list = json_array();

    for (uint64_t block = (from + EVERY - 1) / EVERY * EVERY; block <= to; block += EVERY) {
        struct eth_log log = log_at(block);
        if (node->foreign)
            log.address.b[0] = 0;
        json_t *json = fake_log_json(&log, 0);
        if (node->disorder)
            (void)json_array_insert_new(list, 0, json);
        else
            (void)json_array_append_new(list, json);
    }
    if (node->outside) {
        struct eth_log log = log_at(to + 1);
        (void)json_array_append_new(list, fake_log_json(&log, 0));
    }
    for (size_t i = 0; node->too_many && i <= ETH_RPC_LOGS_MAX && to - from > 50; i++)
        (void)json_array_append_new(list, json_object());
    return list;
}

static void answer(const struct source_request *request, struct ms_buf *body,
                   struct source_response *ret)
{
    struct node *node = &nodes[request->provider];
    char text[2048];
    (void)snprintf(text, sizeof(text), "%.*s", (int)request->body.len,
                   (const char *)request->body.ptr);
    const char *from_text = strstr(text, "\"fromBlock\":\"0x"),
               *to_text = strstr(text, "\"toBlock\":\"0x");
    assert_true(from_text != NULL && to_text != NULL);
    uint64_t from = strtoull(from_text + 15, NULL, 16), to = strtoull(to_text + 13, NULL, 16);
    node->asked++;
    ms_buf_reset(body);
    *ret = (struct source_response){.id = request->id, .status = 200, .time_s = now.wall_s};
    if (node->dead) {
        ret->err = MS_ERR_CONNECT;
        return;
    }
    if (node->max_range != 0 && to - from + 1 > node->max_range) {
        (void)ms_buf_add_str(body, "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-32602,"
                                   "\"message\":\"block range too large\"}}");
    } else {
        json_t *root = json_pack("{s:s, s:i, s:o}", "jsonrpc", "2.0", "id", 1, "result",
                                 logs_of(node, from, to));
        assert_int_equal(ms_json_dump(root, body), MS_OK);
        json_decref(root);
    }
    ret->body = ms_buf_span(body);
}

static struct source *run(const struct log_walk *in, enum source_state *ret_state)
{
    struct ms_buf body = MS_BUF_INIT((size_t)4 << 20);
    struct source_request request;
    struct source *s = NULL;
    struct ms_diag diag = {0};

    enum ms_err err = source_log_walk_new(&spec, &policy, in, now, &s, &diag);
    if (err != MS_OK)
        fail_msg("%s", diag.text);
    enum source_state state = source_step(s, NULL, now);
    for (size_t n = 0; state == SOURCE_WANTS; n++) {
        struct source_response response;
        assert_true(n < 200);
        assert_true(source_take_request(s, &request));
        answer(&request, &body, &response);
        state = source_step(s, &response, now);
    }
    ms_buf_done(&body);
    *ret_state = state;
    return s;
}

/* Ranges without a gap, and just the logs that are there. Returns the block after them. */
static uint64_t check(const struct source *s, uint64_t from, uint32_t provider)
{
    const struct log_walk_found *found;
    const struct log_walk_range *ranges;
    size_t n = source_log_walk_found(s, &found), n_ranges = source_log_walk_ranges(s, &ranges);
    uint64_t window, next = from, logs = 0;

    for (size_t i = 0; i < n_ranges; i++) {
        assert_int_equal(ranges[i].from, next);
        assert_int_equal(ranges[i].provider, provider);
        next = ranges[i].to + 1;
        logs += ranges[i].n_logs;
    }
    assert_int_equal(logs, n);
    assert_int_equal(source_log_walk_next(s, &window), next);
    uint64_t block = (from + EVERY - 1) / EVERY * EVERY;
    for (size_t i = 0; i < n; i++, block += EVERY) {
        assert_int_equal(found[i].log.block, block);
        assert_int_equal(found[i].log.data.len, 31);
    }
    assert_true(next == from || block >= next);
    return next;
}

static void set_up(void)
{
    memset(nodes, 0, sizeof(nodes));
    policy = (struct source_policy){.level = SPEC_LEVEL_L2, .n_providers = 2};
    for (size_t i = 0; i < 2; i++)
        policy.providers[i] = (struct source_provider){
            .name = i == 0 ? "first" : "second", .group = i == 0 ? "a" : "b", .chain = 1};
}

static void test_whole(void **state)
{
    struct log_walk in = {.from = 100, .to = 9099};
    enum source_state end;
    (void)state;
    set_up();
    struct source *s = run(&in, &end);
    assert_int_equal(end, SOURCE_DONE);
    assert_int_equal(check(s, 100, 0), 9100);
    assert_int_equal(nodes[0].asked, 5); /* 9000 blocks by 2000 */
    source_free(s);
}

/* A long one is cut, and goes on with the window that was taken. */
static void test_narrow(void **state)
{
    struct log_walk in = {.from = 1, .to = 20000};
    enum source_state end;
    (void)state;
    set_up();
    nodes[0].max_range = 130;
    size_t walks = 0;
    while (in.from <= in.to) {
        struct source *s = run(&in, &end);
        assert_int_equal(end, SOURCE_DONE);
        uint64_t next = check(s, in.from, 0);
        assert_true(next > in.from);
        in.from = source_log_walk_next(s, &in.window);
        assert_int_equal(in.window, 125);
        source_free(s);
        walks++;
    }
    assert_true(walks > 4 && walks < 8);
    assert_true(nodes[0].asked < 20000 / 125 + 10);
    assert_int_equal(nodes[1].asked, 0);
}

static void test_bad(void **state)
{
    struct log_walk in = {.from = 1, .to = 1000};
    enum source_state end;
    (void)state;
    for (int i = 0; i < 4; i++) {
        set_up();
        bool *const faults[] = {&nodes[0].dead, &nodes[0].outside, &nodes[0].disorder,
                                &nodes[0].foreign};
        *faults[i] = true;
        struct source *s = run(&in, &end);
        assert_int_equal(end, SOURCE_DONE);
        assert_int_equal(check(s, 1, 1), 1001);
        source_free(s);
        nodes[1] = nodes[0];
        s = run(&in, &end);
        assert_int_equal(end, SOURCE_FAILED);
        assert_int_equal(source_error(s, NULL), MS_ERR_UNAVAILABLE);
        assert_int_equal(check(s, 1, 1), 1);
        source_free(s);
    }
    /* more logs in one answer than we take: smaller windows have fewer */
    set_up();
    nodes[0].too_many = true;
    struct source *s = run(&in, &end);
    assert_int_equal(end, SOURCE_DONE);
    (void)check(s, 1, 0);
    source_free(s);
    /* not even one block: another is asked */
    set_up();
    nodes[0].max_range = UINT64_MAX;
    nodes[0].dead = false;
    in = (struct log_walk){.from = 5, .to = 4};
    struct source *none = NULL;
    assert_int_equal(source_log_walk_new(&spec, &policy, &in, now, &none, NULL), MS_ERR_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_whole), cmocka_unit_test(test_narrow),
                                       cmocka_unit_test(test_bad)};
    static const struct spec_context context;

    spec_init(&spec);
    if (spec_parse(ms_span_str("eip155:1:" ADDRESS), &context, &spec, NULL) != MS_OK)
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    spec_done(&spec);
    return failed;
}
