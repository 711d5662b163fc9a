/* A walk back over endpoints that are honest or not: what is right is found with one request a
 * block, whoever drops or alters something is told by name and left, and nothing unproven is found.
 */
#include "resolver/source/history_walk.h"
#include "tests/support/history.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define REGISTRY "0x5252525252525252525252525252525252525252"
#define NODES 2

enum lie {
    HONEST = 0,
    DROP,       /* the log of an operation */
    DROP_BLOCK, /* all logs of its block */
    TWICE,
    SWAP, /* with the one before it in its block, or, alone there, the log before it instead */
    NUMBER,
    KIND,
    ID,
    PREV_BLOCK,
    TIME,
    DATA,
    HASH,
    BLOCK,
    MALFORMED,
    RPC_ERROR,
    HTTP_ERROR,
    NO_JSON,
    BUSY,
    DEAD,
    LIES,
};

struct node {
    enum lie lie;
    uint64_t about; /* operation; 0: every one */
    size_t asked;
};

static struct fake_history fake;
static struct node nodes[NODES];
static struct spec spec;
static struct source_policy policy;
static const struct ms_now now = {.wall_s = 1800000000};

/* ---- nodes ---- */

static struct eth_log twisted(const struct node *node, size_t i, uint8_t *data)
{
    struct eth_log log = fake.log[i];

    memcpy(data, log.data.ptr, log.data.len);
    log.data.ptr = data;
    switch (node->lie) {
    case NUMBER:
        log.topics[1].b[31] ^= 0x40;
        break;
    case KIND:
        log.topics[2].b[31] ^= 1;
        break;
    case ID:
        log.topics[3].b[31] ^= 1;
        break;
    case PREV_BLOCK:
        data[31] ^= 1;
        break;
    case TIME:
        data[63] ^= 1;
        break;
    case HASH:
        data[127] ^= 1;
        break;
    case DATA:
        data[log.data.len - 1] ^= 1;
        break;
    case BLOCK:
        log.block ^= 1;
        break;
    case MALFORMED:
        log.data.len -= 32;
        break;
    case HONEST:
    case DROP:
    case DROP_BLOCK:
    case TWICE:
    case SWAP:
    case RPC_ERROR:
    case HTTP_ERROR:
    case NO_JSON:
    case BUSY:
    case DEAD:
    case LIES:
        break;
    }
    return log;
}

static bool concerns(const struct node *node, size_t i)
{
    return node->about == 0 || node->about == i + 1;
}

static json_t *logs_of(const struct node *node, uint64_t block)
{
    json_t *list = json_array();
    uint8_t data[2048];

    for (size_t i = 0; i < fake.n; i++) {
        if (fake.log[i].block != block)
            continue;
        struct eth_log log = twisted(node, i, data);
        if (!concerns(node, i))
            log = fake.log[i];
        else if (node->lie == DROP)
            continue;
        else if (node->lie == DROP_BLOCK) {
            json_array_clear(list);
            break;
        } else if (node->lie == SWAP && i > 0 && json_array_size(list) > 0) {
            (void)json_array_insert_new(list, json_array_size(list) - 1, fake_log_json(&log, i));
            continue;
        } else if (node->lie == SWAP && i > 0)
            log = fake.log[i - 1];
        (void)json_array_append_new(list, fake_log_json(&log, i));
        if (concerns(node, i) && node->lie == TWICE)
            (void)json_array_append_new(list, fake_log_json(&log, i));
    }
    return list;
}

static bool block_has(uint64_t block, uint64_t about)
{
    return about == 0 || (about <= fake.n && fake.log[about - 1].block == block);
}

static void answer(const struct source_request *request, struct ms_buf *body,
                   struct source_response *ret)
{
    struct node *node = &nodes[request->provider];
    char text[2048];
    (void)snprintf(text, sizeof(text), "%.*s", (int)request->body.len,
                   (const char *)request->body.ptr);
    const char *from = strstr(text, "\"fromBlock\":\"0x");
    assert_non_null(from);
    assert_non_null(strstr(text, "eth_getLogs"));
    uint64_t block = strtoull(from + 15, NULL, 16);
    node->asked++;
    *ret = (struct source_response){.id = request->id, .status = 200, .time_s = now.wall_s};
    bool hit = block_has(block, node->about);
    ms_buf_reset(body);
    if (hit && node->lie == DEAD) {
        ret->err = MS_ERR_CONNECT;
        return;
    }
    if (hit && node->lie == BUSY) {
        ret->status = 429;
        ret->header[SOURCE_HEADER_RETRY_AFTER] = "30";
    } else if (hit && node->lie == HTTP_ERROR) {
        ret->status = 500;
    } else if (hit && node->lie == NO_JSON) {
        (void)ms_buf_add_str(body, "<html>");
    } else if (hit && node->lie == RPC_ERROR) {
        (void)ms_buf_add_str(body, "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":4444,"
                                   "\"message\":\"pruned history unavailable\"}}");
    } else {
        json_t *root =
            json_pack("{s:s, s:i, s:o}", "jsonrpc", "2.0", "id", 1, "result", logs_of(node, block));
        assert_int_equal(ms_json_dump(root, body), MS_OK);
        json_decref(root);
    }
    ret->body = ms_buf_span(body);
}

/* ---- walks ---- */

static struct source *run(struct history_walk *in, enum source_state *ret_state)
{
    struct ms_buf body = MS_BUF_INIT((size_t)4 << 20);
    struct source_request request;
    struct source *s = NULL;
    struct ms_diag diag = {0};

    enum ms_err err = source_walk_new(&spec, &policy, in, now, &s, &diag);
    if (err != MS_OK)
        fail_msg("%s", diag.text);
    enum source_state state = source_step(s, NULL, now);
    while (state == SOURCE_WANTS) {
        struct source_response response;
        assert_true(source_take_request(s, &request));
        answer(&request, &body, &response);
        state = source_step(s, &response, now);
    }
    assert_false(source_take_request(s, &request));
    ms_buf_done(&body);
    *ret_state = state;
    return s;
}

/* All that was found is what really was, without a gap from `top` down. Returns the lowest. */
static uint64_t check_found(const struct source *s, uint64_t top)
{
    const struct history_found *found;
    size_t n = source_walk_found(s, &found);

    for (size_t i = 0; i < n; i++) {
        const struct registry_event *want = &fake.event[top - i - 1];
        static const struct eth_hash none;
        const struct eth_hash *before = want->sequence == 1 ? &none : &want[-1].history_hash;
        assert_int_equal(found[i].event.sequence, top - i);
        assert_true(eth_hash_eq(&found[i].event.history_hash, &want->history_hash));
        assert_true(eth_hash_eq(&found[i].before, before));
        assert_true(found[i].event.data.len == want->data.len);
        if (want->data.len > 0)
            assert_memory_equal(found[i].event.data.ptr, want->data.ptr, want->data.len);
    }
    return top - n + 1;
}

static size_t n_blocks(void)
{
    size_t n = 0;
    for (size_t i = 0; i < fake.n; i++)
        n += i == 0 || fake.log[i].block != fake.log[i - 1].block;
    return n;
}

static void set_up(size_t n)
{
    uint64_t block = 1000, pick = 7;

    fake_history_init(&fake);
    for (size_t i = 0; i < n; i++) {
        block += i % 5 == 3 || i % 7 == 2 ? 0 : 1 + i % 3; /* some share a block */
        pick = pick * 6364136223846793005u + 1442695040888963407u;
        fake_history_add(&fake, block, pick >> 20);
    }
    memset(nodes, 0, sizeof(nodes));
    policy = (struct source_policy){.level = SPEC_LEVEL_L2, .n_providers = NODES};
    for (size_t i = 0; i < NODES; i++)
        policy.providers[i] = (struct source_provider){
            .name = i == 0 ? "first" : "second", .group = i == 0 ? "a" : "b", .chain = 1};
}

static void test_honest(void **state)
{
    enum source_state end;
    (void)state;
    set_up(60);
    struct history_walk in = {
        .from = history_newest(&fake.state), .max_blocks = 1000, .known_code = true};
    struct source *s = run(&in, &end);
    assert_int_equal(end, SOURCE_DONE);
    assert_int_equal(check_found(s, 60), 1);
    assert_int_equal(source_walk_next(s).sequence, 0);
    assert_int_equal(nodes[0].asked, n_blocks());
    assert_int_equal(nodes[1].asked, 0);
    assert_int_equal(source_conduct(s, 0), SOURCE_CONDUCT_GOOD);
    source_free(s);
    fake_history_done(&fake);
}

/* A long one takes several walks, each with a bounded number of requests. */
static void test_batches(void **state)
{
    enum source_state end;
    unsigned walks = 0;
    (void)state;
    set_up(400);
    struct history_walk in = {.from = history_newest(&fake.state)};
    while (in.from.sequence > 0) {
        size_t before = nodes[0].asked;
        struct source *s = run(&in, &end);
        assert_int_equal(end, SOURCE_DONE);
        assert_true(nodes[0].asked - before <= HISTORY_WALK_BLOCKS_MAX);
        uint64_t low = check_found(s, in.from.sequence);
        in.newest = fake.n;
        in.from = source_walk_next(s);
        assert_int_equal(in.from.sequence, low - 1);
        source_free(s);
        walks++;
    }
    assert_true(walks >= 4);
    fake_history_done(&fake);
}

/* From any newer state down to what is known: only what is new is found. */
static void test_until(void **state)
{
    enum source_state end;
    (void)state;
    set_up(40);
    for (uint64_t known = 1; known < 40; known++) {
        const struct registry_event *e = &fake.event[known - 1];
        struct history_walk in = {.from = history_newest(&fake.state),
                                  .max_blocks = 1000,
                                  .until = {e->sequence, e->block, e->history_hash}};
        struct source *s = run(&in, &end);
        assert_int_equal(end, SOURCE_DONE);
        assert_int_equal(check_found(s, 40), known + 1);
        assert_int_equal(source_walk_next(s).sequence, 0);
        source_free(s);
        /* what is known is something else */
        in.until.hash.b[3] ^= 1;
        s = run(&in, &end);
        assert_int_equal(end, SOURCE_FAILED);
        struct ms_diag diag;
        assert_int_equal(source_error(s, &diag), MS_ERR_CONFLICT);
        assert_int_equal(source_conduct(s, 0), SOURCE_CONDUCT_GOOD);
        (void)check_found(s, 40);
        source_free(s);
    }
    fake_history_done(&fake);
}

static const struct {
    enum lie lie;
    const char *name;
    enum source_conduct conduct;
} lies[] = {
    {DROP, "drop", SOURCE_CONDUCT_GOOD}, /* a node may have lost it */
    {DROP_BLOCK, "drop the block", SOURCE_CONDUCT_GOOD},
    {TWICE, "twice", SOURCE_CONDUCT_LIED},
    {SWAP, "swap", SOURCE_CONDUCT_LIED},
    {NUMBER, "number", SOURCE_CONDUCT_LIED},
    {KIND, "kind", SOURCE_CONDUCT_LIED},
    {ID, "id", SOURCE_CONDUCT_LIED},
    {PREV_BLOCK, "prev block", SOURCE_CONDUCT_LIED},
    {TIME, "time", SOURCE_CONDUCT_LIED},
    {DATA, "data", SOURCE_CONDUCT_LIED},
    {HASH, "hash", SOURCE_CONDUCT_LIED},
    {BLOCK, "block", SOURCE_CONDUCT_LIED},
    {MALFORMED, "malformed", SOURCE_CONDUCT_LIED},
    {RPC_ERROR, "rpc error", SOURCE_CONDUCT_GOOD},
    {HTTP_ERROR, "http error",
     SOURCE_CONDUCT_GOOD}, /* to this question; others tell of its health */
    {NO_JSON, "no json", SOURCE_CONDUCT_FAULT},
    {BUSY, "busy", SOURCE_CONDUCT_BUSY},
    {DEAD, "dead", SOURCE_CONDUCT_FAULT},
};

/* Whether the words name the operation; what a walk cannot know is told by a neighbour: a wrong
 * pointer leads to a block without logs, and a number that is not the next one's to a gap. */
static bool names(const char *text, enum lie lie, uint64_t about)
{
    char name[48];
    bool ok = false;
    uint64_t low = lie == PREV_BLOCK || lie == SWAP || lie == BLOCK ? about - 1 : about;

    while (lie == DROP_BLOCK && about < fake.n &&
           fake.log[about].block == fake.log[about - 1].block)
        low = ++about; /* the newest of the block is the first that is missed */
    for (uint64_t n = low; n <= about; n++) {
        (void)snprintf(name, sizeof(name), "peration %llu", (unsigned long long)n);
        for (const char *at = text; !ok && (at = strstr(at, name)) != NULL; at++)
            ok = at[strlen(name)] < '0' || at[strlen(name)] > '9';
    }
    return ok;
}

/* Every lie about every operation, told by the endpoint that is asked first. */
static void test_lies(void **state)
{
    enum source_state end;
    (void)state;
    set_up(24);
    for (size_t i = 0; i < MS_ARRAY_LEN(lies); i++) {
        for (uint64_t about = 1; about <= 24; about++) {
            if (lies[i].lie == DATA && fake.event[about - 1].data.len == 0)
                continue; /* there the last byte is that of the length */
            if (lies[i].lie == SWAP && about == 1)
                continue;
            memset(nodes, 0, sizeof(nodes));
            nodes[0] = (struct node){.lie = lies[i].lie, .about = about};
            struct history_walk in = {
                .from = history_newest(&fake.state), .max_blocks = 1000, .known_code = true};
            struct source *s = run(&in, &end);
            enum history_fault fault;
            struct ms_diag diag = {0};
            if (end != SOURCE_DONE || check_found(s, 24) != 1)
                fail_msg("%s of %llu: not all was found", lies[i].name, (unsigned long long)about);
            bool told = source_walk_complaint(s, 0, &fault, &diag);
            enum source_conduct conduct = source_conduct(s, 0);
            bool mute = lies[i].lie >= RPC_ERROR;
            /* alone in its block a log that is not the right one may as well be missing */
            bool missing = told && fault == HISTORY_FAULT_MISSING;
            if (conduct != lies[i].conduct && !(missing && conduct == SOURCE_CONDUCT_GOOD))
                fail_msg("%s of %llu: conduct %d: %s", lies[i].name, (unsigned long long)about,
                         (int)conduct, diag.text);
            if (!mute && (!told || !names(diag.text, lies[i].lie, about)))
                fail_msg("%s of %llu: told as: %s", lies[i].name, (unsigned long long)about,
                         diag.text);
            assert_true(nodes[1].asked > 0);
            assert_false(source_walk_complaint(s, 1, &fault, &diag));
            source_free(s);
        }
    }
    fake_history_done(&fake);
}

/* When all of them lie the walk says so; what was proven before counts. */
static void test_all_lie(void **state)
{
    enum source_state end;
    (void)state;
    set_up(24);
    for (size_t i = 0; i < MS_ARRAY_LEN(lies); i++) {
        for (uint64_t about = 2; about <= 24; about++) {
            if (lies[i].lie == DATA && fake.event[about - 1].data.len == 0)
                continue;
            nodes[0] = nodes[1] = (struct node){.lie = lies[i].lie, .about = about};
            struct history_walk in = {
                .from = history_newest(&fake.state), .max_blocks = 1000, .known_code = true};
            struct source *s = run(&in, &end);
            uint64_t low = check_found(s, 24);
            struct history_at next = source_walk_next(s);
            assert_int_equal(next.sequence, low - 1);
            if (low <= about || next.sequence == 0)
                fail_msg("%s of %llu: found down to %llu", lies[i].name, (unsigned long long)about,
                         (unsigned long long)low);
            assert_int_equal(end, low <= 24 ? SOURCE_DONE : SOURCE_FAILED);
            if (end == SOURCE_FAILED)
                assert_int_equal(source_error(s, NULL), MS_ERR_UNAVAILABLE);
            source_free(s);
        }
    }
    fake_history_done(&fake);
}

/* Whoever writes a registry of his own can have it log beside its chain what does not hold, and all
 * endpoints tell so truly: nobody may be kept from using them for other contracts by that. */
static void test_unknown_code(void **state)
{
    enum source_state end;
    enum history_fault fault;
    struct ms_diag diag;
    (void)state;
    set_up(24);
    for (size_t i = 0; i < MS_ARRAY_LEN(lies); i++) {
        if (lies[i].conduct != SOURCE_CONDUCT_LIED)
            continue;
        nodes[0] = nodes[1] = (struct node){.lie = lies[i].lie, .about = 12};
        struct history_walk in = {.from = history_newest(&fake.state), .max_blocks = 1000};
        struct source *s = run(&in, &end);
        assert_true(check_found(s, 24) > 12);
        for (uint32_t p = 0; p < NODES; p++) {
            assert_true(source_walk_complaint(s, p, &fault, &diag));
            assert_int_equal(source_conduct(s, p), SOURCE_CONDUCT_GOOD);
        }
        source_free(s);
    }
    fake_history_done(&fake);
}

static void test_refused(void **state)
{
    struct source *s = NULL;
    struct history_walk in = {.from = {.sequence = 5}, .until = {.sequence = 5}};
    (void)state;
    set_up(1);
    assert_int_equal(source_walk_new(&spec, &policy, &in, now, &s, NULL), MS_ERR_CONFLICT);
    in.from.sequence = HISTORY_OPERATIONS_MAX + 1;
    assert_int_equal(source_walk_new(&spec, &policy, &in, now, &s, NULL), MS_ERR_LIMIT);
    policy.n_providers = 0;
    in = (struct history_walk){.from = {.sequence = 5}};
    assert_int_equal(source_walk_new(&spec, &policy, &in, now, &s, NULL), MS_ERR_NO_RPC);
    spec.chain = 42161;
    assert_int_equal(source_walk_new(&spec, &policy, &in, now, &s, NULL), MS_ERR_UNSUPPORTED);
    spec.chain = 1;
    fake_history_done(&fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_honest),  cmocka_unit_test(test_batches),
        cmocka_unit_test(test_until),   cmocka_unit_test(test_lies),
        cmocka_unit_test(test_all_lie), cmocka_unit_test(test_unknown_code),
        cmocka_unit_test(test_refused),
    };
    static const struct spec_context context;

    spec_init(&spec);
    if (spec_parse(ms_span_str("eip155:1:" REGISTRY), &context, &spec, NULL) != MS_OK)
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    spec_done(&spec);
    return failed;
}
