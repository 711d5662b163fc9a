/* Logs by windows: each block is asked about once, windows shrink where an endpoint refuses them,
 * who tells what was not asked for is left, and who said what is kept. Logs of a block are those
 * that its receipts have, or they are another endpoint's to tell; what cannot be checked is said.
 */
#include "eth/header.h"
#include "eth/receipt.h"
#include "resolver/source/log_walk.h"
#include "tests/support/history.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define ADDRESS "0x5252525252525252525252525252525252525252"
#define NODES 3u
#define TIME_S 1700000000u

enum lie { /* about the block `lie_at`, or all when it is 0 */
           HONEST = 0,
           DROPS,      /* the second log of a block, in eth_getLogs */
           DROPS_BOTH, /* in its receipts too */
           INVENTS,
           ALTERS_DATA,
           ALTERS_TOPIC,
           OTHER_HASH,  /* its logs are said to be of another block */
           OTHER_BLOCK, /* its header is another block's, with a hash that is right */
           BAD_HEADER,
           NO_HEADER,
           NO_RECEIPTS, /* -32601 */
           NULL_RECEIPTS,
           LARGE_RECEIPTS,
           STRANGE_RECEIPTS, /* of a type that nobody knows */
           GONE,             /* no answer to anything but eth_getLogs */
           NO_OLD_STATES,
           LATE_AND_MUTE, /* the same, and then nothing more */
           BORN_LATER,    /* says that there was no code yet, long after there was */
};

struct node {
    uint64_t max_range; /* blocks it takes at once; 0: any */
    bool dead, outside, disorder, foreign, too_many;
    enum lie lie;
    uint64_t lie_at;
    size_t asked, asked_blocks, asked_receipts, asked_code;
};

static struct node nodes[NODES];
static uint64_t every =
    7;                /* a log in each block that is a multiple of it, and two in every third */
static uint64_t born; /* when the contract appeared */
static struct spec spec;
static struct source_policy policy;
static const struct ms_now now = {.wall_s = 1800000000};

static bool lies(const struct node *node, uint64_t block, enum lie lie)
{
    return node->lie == lie && (node->lie_at == 0 || node->lie_at == block);
}

static struct eth_log log_at(uint64_t block, uint64_t index)
{
    struct eth_log log = {.block = block, .index = index, .n_topics = 1};
    memset(log.address.b, 0x52, sizeof(log.address.b));
    log.topics[0].b[0] = (uint8_t)(7 + index);
    log.data = ms_span_str("0123456789012345678901234567890");
    return log;
}

/* ---- a block: another's log, ours, another's, and in every third ours again ---- */

static void add_receipt(json_t *receipts, const struct eth_log *log, size_t index)
{
    char bloom[2 + 512 + 1] = "0x";

    memset(bloom + 2, '0', 512);
    (void)json_array_append_new(receipts, json_pack("{s:s, s:s, s:s, s:s, s:[o]}", "type",
                                                    index % 2 == 0 ? "0x2" : "0x0", "status", "0x1",
                                                    "cumulativeGasUsed", "0x5208", "logsBloom",
                                                    bloom, "logs", fake_log_json(log, index)));
}

static bool has_two(uint64_t block)
{
    return block % (3 * every) == 0;
}

static json_t *receipts_of(uint64_t block)
{
    json_t *receipts = json_array();

    for (uint64_t i = 0; i < (has_two(block) ? 4 : 3); i++) {
        struct eth_log log = log_at(block, i);
        if (i % 2 == 0)
            log.address.b[3] = 9;
        add_receipt(receipts, &log, (size_t)i);
    }
    return receipts;
}

static json_t *header_of(uint64_t block, bool other)
{
    static const char *const words[] = {"parentHash", "sha3Uncles", "transactionsRoot", "stateRoot",
                                        "mixHash"};
    static const uint8_t zeros[256];
    const struct eth_hash hash = {{0}};
    struct ms_arena arena = MS_ARENA_INIT((size_t)1 << 20);
    struct ms_buf rlp = MS_BUF_INIT(ETH_HEADER_RLP_MAX_BYTES);
    struct eth_receipts receipts;
    char number[24], time[24];

    json_t *told = receipts_of(block), *out = json_object();
    assert_int_equal(eth_rpc_result_receipts(told, block, &hash, NULL, 0, &arena, &receipts, NULL),
                     MS_OK);
    (void)snprintf(number, sizeof(number), "0x%llx", (unsigned long long)block);
    (void)snprintf(time, sizeof(time), "0x%llx", (unsigned long long)(TIME_S + block));
    for (size_t i = 0; i < MS_ARRAY_LEN(words); i++)
        (void)json_object_set_new(out, words[i], ms_json_hex(ms_span_of(zeros, 32)));
    (void)json_object_set_new(out, "receiptsRoot", ms_json_hex(eth_hash_span(&receipts.root)));
    (void)json_object_set_new(out, "miner", ms_json_hex(ms_span_of(zeros, 20)));
    (void)json_object_set_new(out, "logsBloom", ms_json_hex(ms_span_of(zeros, 256)));
    (void)json_object_set_new(out, "nonce", ms_json_hex(ms_span_of(zeros, 8)));
    (void)json_object_set_new(out, "difficulty", json_string("0x0"));
    (void)json_object_set_new(out, "number", json_string(number));
    (void)json_object_set_new(out, "gasLimit", json_string("0x1"));
    (void)json_object_set_new(out, "gasUsed", json_string("0x1"));
    (void)json_object_set_new(out, "timestamp", json_string(time));
    (void)json_object_set_new(out, "extraData", json_string(other ? "0x66" : "0x"));
    assert_int_equal(eth_header_encode_json(out, &rlp, NULL), MS_OK);
    struct eth_hash own = eth_keccak256(ms_buf_span(&rlp));
    (void)json_object_set_new(out, "hash", ms_json_hex(eth_hash_span(&own)));
    ms_buf_done(&rlp);
    ms_arena_done(&arena);
    json_decref(told);
    return out;
}

/* ---- nodes ---- */

static void tell(const struct node *node, struct eth_log log, json_t *list)
{
    uint64_t block = log.block;

    if (node->foreign)
        log.address.b[0] = 0;
    if (lies(node, block, ALTERS_DATA))
        log.data.len--;
    if (lies(node, block, ALTERS_TOPIC))
        log.topics[0].b[31] ^= 1;
    json_t *json = fake_log_json(&log, (size_t)log.index);
    json_t *header = header_of(block, lies(node, block, OTHER_HASH));
    (void)json_object_set(json, "blockHash", json_object_get(header, "hash"));
    json_decref(header);
    if (node->disorder)
        (void)json_array_insert_new(list, 0, json);
    else
        (void)json_array_append_new(list, json);
}

static json_t *logs_of(const struct node *node, uint64_t from, uint64_t to)
{
    json_t *list = json_array();

    if (from < born)
        from = born;
    for (uint64_t block = (from + every - 1) / every * every; block <= to; block += every) {
        tell(node, log_at(block, 1), list);
        if (has_two(block) && !lies(node, block, DROPS) && !lies(node, block, DROPS_BOTH))
            tell(node, log_at(block, 3), list);
        if (lies(node, block, INVENTS))
            tell(node, log_at(block, 5), list);
    }
    if (node->outside)
        tell(node, log_at(to + 1, 0), list);
    for (size_t i = 0; node->too_many && i <= ETH_RPC_LOGS_MAX && to - from > 50; i++)
        (void)json_array_append_new(list, json_object());
    return list;
}

static json_t *answer_logs(struct node *node, const char *text, bool *ret_refused)
{
    const char *from_text = strstr(text, "\"fromBlock\":\"0x"),
               *to_text = strstr(text, "\"toBlock\":\"0x");

    assert_true(from_text != NULL && to_text != NULL);
    uint64_t from = strtoull(from_text + 15, NULL, 16), to = strtoull(to_text + 13, NULL, 16);
    node->asked++;
    *ret_refused = node->max_range != 0 && to - from + 1 > node->max_range;
    return *ret_refused ? NULL : logs_of(node, from, to);
}

static json_t *answer_header(struct node *node, uint64_t block)
{
    node->asked_blocks++;
    if (lies(node, block, NO_HEADER))
        return json_null();
    json_t *header = header_of(block, lies(node, block, OTHER_BLOCK));
    if (lies(node, block, BAD_HEADER))
        (void)json_object_set_new(header, "gasUsed", json_string("0x2"));
    return header;
}

static json_t *answer_receipts(struct node *node, uint64_t block, bool *ret_refused)
{
    node->asked_receipts++;
    *ret_refused = lies(node, block, NO_RECEIPTS);
    if (*ret_refused)
        return NULL;
    if (lies(node, block, NULL_RECEIPTS))
        return json_null();
    json_t *receipts = receipts_of(block);
    if (lies(node, block, DROPS_BOTH) && has_two(block))
        (void)json_array_remove(receipts, 3);
    if (lies(node, block, STRANGE_RECEIPTS))
        (void)json_object_set_new(json_array_get(receipts, 0), "type", json_string("0x7e"));
    return receipts;
}

static void answer(const struct source_request *request, struct ms_buf *body,
                   struct source_response *ret)
{
    struct node *node = &nodes[request->provider];
    char text[2048];
    bool refused = false;
    json_t *result = NULL;

    (void)snprintf(text, sizeof(text), "%.*s", (int)request->body.len,
                   (const char *)request->body.ptr);
    const char *number = strstr(text, "\"params\":[\"0x");
    uint64_t block = number == NULL ? 0 : strtoull(number + 13, NULL, 16);
    ms_buf_reset(body);
    *ret = (struct source_response){.id = request->id, .status = 200, .time_s = now.wall_s};
    bool is_logs = strstr(text, "eth_getLogs") != NULL;
    if (node->dead || (!is_logs && lies(node, block, GONE))) {
        ret->err = MS_ERR_CONNECT;
        return;
    }
    if (is_logs) {
        result = answer_logs(node, text, &refused);
    } else if (strstr(text, "eth_getBlockByNumber") != NULL) {
        result = answer_header(node, block);
    } else if (strstr(text, "eth_getBlockReceipts") != NULL) {
        if (lies(node, block, LARGE_RECEIPTS)) {
            ret->err = MS_ERR_TOO_LARGE;
            return;
        }
        assert_true(request->max_bytes > SOURCE_RPC_BODY_MAX_BYTES);
        result = answer_receipts(node, block, &refused);
    } else {
        assert_non_null(strstr(text, "eth_getCode"));
        node->asked_code++;
        block = strtoull(strrchr(text, ',') + 4, NULL, 16);
        refused = node->lie == NO_OLD_STATES && block < 99000;
        refused = refused || (node->lie == LATE_AND_MUTE && block > 90000);
        bool there = block >= born + (node->lie == LATE_AND_MUTE ? 50000 : 0) +
                                  (node->lie == BORN_LATER ? 5000 : 0);
        result = refused ? NULL : json_string(there ? "0x60" : "0x");
    }
    if (refused) {
        (void)ms_buf_add_str(body, "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-32602,"
                                   "\"message\":\"block range too large\"}}");
    } else {
        json_t *root = json_pack("{s:s, s:i, s:o}", "jsonrpc", "2.0", "id", 1, "result", result);
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
        assert_true(n < 600);
        assert_true(source_take_request(s, &request));
        answer(&request, &body, &response);
        state = source_step(s, &response, now);
    }
    ms_buf_done(&body);
    *ret_state = state;
    return s;
}

/* Ranges without a gap, just the logs that are there, and each block with logs checked or not.
 * Returns the block after them. */
static uint64_t check(const struct source *s, uint64_t from, uint32_t provider, bool checked)
{
    const struct log_walk_found *found;
    const struct log_walk_range *ranges;
    const struct log_walk_check *checks;
    size_t n = source_log_walk_found(s, &found), n_ranges = source_log_walk_ranges(s, &ranges);
    size_t n_checks = source_log_walk_checks(s, &checks), at = 0, c = 0;
    uint64_t window, next = from, logs = 0;

    for (size_t i = 0; i < n_ranges; i++) {
        assert_int_equal(ranges[i].from, next);
        assert_int_equal(ranges[i].provider, provider);
        next = ranges[i].to + 1;
        logs += ranges[i].n_logs;
    }
    assert_int_equal(logs, n);
    assert_int_equal(source_log_walk_next(s, &window), next);
    for (uint64_t block = (from + every - 1) / every * every; block < next; block += every) {
        if (block < born)
            continue;
        for (uint64_t index = 1; index <= (has_two(block) ? 3 : 1); index += 2, at++) {
            assert_true(at < n);
            assert_int_equal(found[at].log.block, block);
            assert_int_equal(found[at].log.index, index);
            assert_int_equal(found[at].log.data.len, 31);
        }
        assert_true(c < n_checks);
        if (checks[c].block != block || checks[c].checked != checked)
            fail_msg("block %d: %d %s", (int)block, checks[c].checked, checks[c].why);
        assert_int_equal(checks[c].why[0] == '\0', checked);
        assert_true(!checks[c].has_header || checks[c].time_s == TIME_S + block);
        assert_true(checks[c].has_header || !checked);
        c++;
    }
    assert_int_equal(at, n);
    assert_int_equal(c, n_checks);
    return next;
}

static void set_up(void)
{
    memset(nodes, 0, sizeof(nodes));
    every = 7;
    born = 0;
    policy = (struct source_policy){.level = SPEC_LEVEL_L2, .quorum = 2, .n_providers = NODES};
    for (size_t i = 0; i < NODES; i++)
        policy.providers[i] = (struct source_provider){.name = i == 0   ? "first"
                                                               : i == 1 ? "second"
                                                                        : "third",
                                                       .group = i == 0   ? "a"
                                                                : i == 1 ? "b"
                                                                         : "c",
                                                       .chain = 1};
}

static void test_whole(void **state)
{
    struct log_walk in = {.from = 100, .to = 9099};
    enum source_state end;
    (void)state;
    set_up();
    every = 500;
    struct source *s = run(&in, &end);
    assert_int_equal(end, SOURCE_DONE);
    assert_int_equal(check(s, 100, 0, true), 9100);
    assert_int_equal(nodes[0].asked, 5); /* 9000 blocks by 2000 */
    /* a quorum about each header, one endpoint's receipts, nothing twice */
    assert_int_equal(nodes[0].asked_blocks, 18);
    assert_int_equal(nodes[1].asked_blocks, 18);
    assert_int_equal(nodes[2].asked_blocks, 0);
    assert_int_equal(nodes[0].asked_receipts, 18);
    assert_int_equal(nodes[1].asked_receipts + nodes[2].asked_receipts, 0);
    const struct log_walk_check *checks;
    (void)source_log_walk_checks(s, &checks);
    assert_string_equal(checks[0].hash_by, "quorum");
    source_free(s);
}

/* A long one is cut, and goes on with the window that was taken. */
static void test_narrow(void **state)
{
    struct log_walk in = {.from = 1, .to = 20000};
    enum source_state end;
    (void)state;
    set_up();
    every = 400;
    nodes[0].max_range = 130;
    size_t walks = 0;
    while (in.from <= in.to) {
        struct source *s = run(&in, &end);
        assert_int_equal(end, SOURCE_DONE);
        uint64_t next = check(s, in.from, 0, true);
        assert_true(next > in.from);
        in.from = source_log_walk_next(s, &in.window);
        assert_true(in.window == 125 || in.window == 250); /* more is tried once a walk */
        source_free(s);
        walks++;
    }
    assert_true(walks > 4 && walks < 8);
    assert_true(nodes[0].asked < 20000 / 125 + 10);
    assert_int_equal(nodes[1].asked, 0);
}

/* What a stretch full of logs, or an endpoint that would take nothing else, has made small grows
 * again: the rest of a chain is not asked for block by block. */
static void test_widen(void **state)
{
    struct log_walk in = {.from = 1, .to = 200000, .window = 1};
    enum source_state end;
    (void)state;
    set_up();
    every = 40000;
    while (in.from <= in.to) {
        struct source *s = run(&in, &end);
        assert_int_equal(end, SOURCE_DONE);
        in.from = source_log_walk_next(s, &in.window);
        assert_true(in.window <= LOG_WALK_WINDOW);
        source_free(s);
    }
    assert_int_equal(in.window, LOG_WALK_WINDOW);
    assert_true(nodes[0].asked < 600);
}

/* More blocks with logs in a window than one walk checks: it ends between two of them. */
static void test_dense(void **state)
{
    struct log_walk in = {.from = 1, .to = 1500};
    enum source_state end;
    size_t walks = 0;
    (void)state;
    set_up();
    while (in.from <= in.to) {
        struct source *s = run(&in, &end);
        assert_int_equal(end, SOURCE_DONE);
        in.from = check(s, in.from, 0, true);
        source_free(s);
        walks++;
    }
    assert_int_equal(nodes[0].asked_receipts, 1500 / 7); /* each block once */
    assert_true(walks >= 3 && walks <= 5);
}

static void test_bad(void **state)
{
    struct log_walk in = {.from = 1, .to = 100};
    enum source_state end;
    (void)state;
    for (int i = 0; i < 4; i++) {
        set_up();
        policy.quorum = 1;
        policy.n_providers = 2;
        bool *const faults[] = {&nodes[0].dead, &nodes[0].outside, &nodes[0].disorder,
                                &nodes[0].foreign};
        *faults[i] = true;
        struct source *s = run(&in, &end);
        assert_int_equal(end, SOURCE_DONE);
        assert_int_equal(check(s, 1, 1, true), 101);
        source_free(s);
        nodes[1] = nodes[0];
        s = run(&in, &end);
        assert_int_equal(end, SOURCE_FAILED);
        assert_int_equal(source_error(s, NULL), MS_ERR_UNAVAILABLE);
        assert_int_equal(check(s, 1, 1, true), 1);
        source_free(s);
    }
    /* more logs in one answer than we take: smaller windows have fewer */
    set_up();
    nodes[0].too_many = true;
    struct source *s = run(&in, &end);
    assert_int_equal(end, SOURCE_DONE);
    (void)check(s, 1, 0, true);
    source_free(s);
    in = (struct log_walk){.from = 5, .to = 4};
    struct source *none = NULL;
    assert_int_equal(source_log_walk_new(&spec, &policy, &in, now, &none, NULL), MS_ERR_ARGUMENT);
}

/* Whose logs are not those of the block is told, and another is asked. */
static void test_lies(void **state)
{
    static const struct {
        enum lie lie;
        enum log_fault fault;
        const char *words;
        bool lied;
    } cases[] = {
        {DROPS, LOG_FAULT_MISSING, "block 42: log 3 is missing", false},
        {DROPS_BOTH, LOG_FAULT_MISSING, "block 42: log 3 is missing", false},
        {INVENTS, LOG_FAULT_WRONG, "block 42: log 5 is not in the block", true},
        {ALTERS_DATA, LOG_FAULT_WRONG, "block 42: log 1 has other data", true},
        {ALTERS_TOPIC, LOG_FAULT_WRONG, "block 42: log 1 has other topics", true},
        {OTHER_HASH, LOG_FAULT_WRONG, "block 42: log 1 is said to be of another block", true},
    };
    struct log_walk in = {.from = 1, .to = 100};
    enum source_state end;
    (void)state;
    for (size_t i = 0; i < MS_ARRAY_LEN(cases); i++) {
        enum log_fault fault;
        struct ms_diag diag = {0};
        set_up();
        nodes[0].lie = cases[i].lie;
        nodes[0].lie_at = 42;
        struct source *s = run(&in, &end);
        assert_int_equal(end, SOURCE_DONE);
        assert_int_equal(check(s, 1, 1, true), 101);
        assert_true(source_log_walk_complaint(s, 0, &fault, &diag));
        if (fault != cases[i].fault || strstr(diag.text, cases[i].words) == NULL)
            fail_msg("%zu: %d %s", i, (int)fault, diag.text);
        assert_int_equal(source_conduct(s, 0) == SOURCE_CONDUCT_LIED, cases[i].lied);
        assert_int_equal(source_conduct(s, 1), SOURCE_CONDUCT_GOOD);
        assert_false(source_log_walk_complaint(s, 1, &fault, &diag));
        source_free(s);
        /* nobody else: nothing of the window is believed, and it is said why */
        nodes[1].dead = true;
        nodes[2] = nodes[0];
        policy.quorum = 1;
        policy.providers[0].trusted = policy.providers[2].trusted = true;
        in.level = SPEC_LEVEL_L3;
        s = run(&in, &end);
        in.level = SPEC_LEVEL_L2;
        if (cases[i].lie == DROPS_BOTH) { /* there is nobody's receipts to tell it by */
            assert_int_equal(end, SOURCE_DONE);
            source_free(s);
            continue;
        }
        assert_int_equal(end, SOURCE_FAILED);
        assert_int_equal(source_error(s, &diag), MS_ERR_UNAVAILABLE);
        if (strstr(diag.text, cases[i].words) == NULL)
            fail_msg("%zu: %s", i, diag.text);
        (void)check(s, 1, 0, true);
        source_free(s);
    }
}

/* What is no proof of the block is somebody else's to give; without any the logs are kept as not
 * checked, and it is said why. */
static void test_unchecked(void **state)
{
    static const struct {
        enum lie lie;
        const char *words; /* when nobody gives it */
        enum log_fault fault;
        bool header;
    } cases[] = {
        {NO_RECEIPTS, "block 42: JSON-RPC error -32602", LOG_FAULT_NONE, true},
        {NULL_RECEIPTS, "it has no receipts", LOG_FAULT_NONE, true},
        {LARGE_RECEIPTS, "first: block 42: ", LOG_FAULT_NONE, true},
        {STRANGE_RECEIPTS, "unknown type 0x7e", LOG_FAULT_NONE, true},
        {NO_HEADER,
         "0 of the 2 RPC groups needed say one hash of the block; first: block 42: it "
         "does not know the block",
         LOG_FAULT_NONE, false},
        {BAD_HEADER, "0 of the 2 RPC groups needed", LOG_FAULT_BLOCK, false},
        {OTHER_BLOCK, NULL, LOG_FAULT_BLOCK, false},
    };
    struct log_walk in = {.from = 42, .to = 48};
    const struct log_walk_check *checks;
    enum source_state end;
    (void)state;
    for (size_t i = 0; i < MS_ARRAY_LEN(cases); i++) {
        enum log_fault fault = LOG_FAULT_NONE;
        struct ms_diag diag;
        set_up();
        nodes[0].lie = cases[i].lie;
        struct source *s = run(&in, &end);
        assert_int_equal(end, SOURCE_DONE);
        (void)check(s, 42, 0, true);
        (void)source_log_walk_checks(s, &checks);
        assert_int_equal(checks[0].provider, cases[i].header ? 1 : 0);
        (void)source_log_walk_complaint(s, 0, &fault, &diag);
        assert_int_equal(fault, cases[i].fault);
        assert_int_not_equal(source_conduct(s, 0), SOURCE_CONDUCT_LIED);
        source_free(s);
        if (cases[i].words == NULL)
            continue;
        nodes[1].lie = nodes[2].lie = cases[i].lie;
        s = run(&in, &end);
        assert_int_equal(end, SOURCE_DONE);
        assert_int_equal(check(s, 42, 0, false), 49);
        (void)source_log_walk_checks(s, &checks);
        if (strstr(checks[0].why, cases[i].words) == NULL)
            fail_msg("%zu: %s", i, checks[0].why);
        assert_int_equal(checks[0].has_header, cases[i].header);
        source_free(s);
    }
    /* receipts without the log that was left out do not pass for the block's */
    set_up();
    policy.quorum = 1;
    policy.n_providers = 1;
    nodes[0].lie = DROPS_BOTH;
    struct source *s = run(&in, &end);
    assert_int_equal(end, SOURCE_DONE);
    (void)source_log_walk_checks(s, &checks);
    assert_false(checks[0].checked);
    assert_non_null(strstr(checks[0].why, "another root"));
    source_free(s);
}

/* Two of three groups that agree are a quorum; two of one group are not; and who is out of reach is
 * waited for. */
static void test_quorum(void **state)
{
    struct log_walk in = {.from = 42, .to = 48, .level = SPEC_LEVEL_L3};
    const struct log_walk_check *checks;
    struct ms_diag diag = {0};
    enum source_state end;
    (void)state;
    set_up();
    nodes[1].lie = OTHER_BLOCK;
    policy.providers[2].group = "b";
    nodes[2].lie = OTHER_BLOCK;
    struct source *s = run(&in, &end);
    assert_int_equal(check(s, 42, 0, false), 49);
    (void)source_log_walk_checks(s, &checks);
    assert_non_null(strstr(checks[0].why, "1 of the 2 RPC groups needed"));
    source_free(s);
    set_up();
    nodes[1].lie = nodes[2].lie = GONE;
    s = run(&in, &end);
    assert_int_equal(end, SOURCE_FAILED);
    assert_int_equal(source_error(s, &diag), MS_ERR_UNAVAILABLE);
    source_free(s);
    nodes[2].lie = HONEST;
    s = run(&in, &end);
    assert_int_equal(check(s, 42, 0, true), 49);
    source_free(s);
    /* the operator's own is enough from l3 on, and nobody else's word counts then */
    policy.providers[2].trusted = true;
    nodes[0].lie = OTHER_BLOCK;
    nodes[0].asked_blocks = 0;
    s = run(&in, &end);
    assert_int_equal(check(s, 42, 0, true), 49);
    (void)source_log_walk_checks(s, &checks);
    assert_string_equal(checks[0].hash_by, "endpoint");
    assert_int_equal(nodes[0].asked_blocks, 0);
    source_free(s);
}

/* Where a contract appeared is what a quorum says, and then nothing is searched before it. */
static void test_seek(void **state)
{
    static const struct {
        enum lie lies[NODES];
        uint64_t from;
    } cases[] = {
        {{HONEST, HONEST, HONEST}, 77777},
        {{NO_OLD_STATES, HONEST, HONEST}, 77777},
        {{NO_OLD_STATES, NO_OLD_STATES, HONEST}, 1000},
        {{NO_OLD_STATES, NO_OLD_STATES, NO_OLD_STATES}, 1000},
        {{BORN_LATER, HONEST, HONEST}, 77777},
        {{HONEST, BORN_LATER, HONEST}, 77777},
        {{BORN_LATER, NO_OLD_STATES, NO_OLD_STATES}, 1000},
    };
    struct log_walk in = {.from = 1000, .to = 100000, .seek = true};
    const struct log_walk_range *ranges;
    enum source_state end;
    (void)state;
    for (size_t i = 0; i < MS_ARRAY_LEN(cases); i++) {
        set_up();
        every = 10000;
        born = 77777;
        for (size_t k = 0; k < NODES; k++)
            nodes[k].lie = cases[i].lies[k];
        struct source *s = run(&in, &end);
        assert_int_equal(end, SOURCE_DONE);
        assert_true(source_log_walk_ranges(s, &ranges) > 0);
        if (ranges[0].from != cases[i].from)
            fail_msg("%zu: from %d", i, (int)ranges[0].from);
        (void)check(s, ranges[0].from, 0, true);
        assert_true(nodes[0].asked_code + nodes[1].asked_code + nodes[2].asked_code < 60);
        source_free(s);
    }
    /* what somebody said who then falls silent is not built upon */
    set_up();
    born = 77777;
    every = 10000;
    policy.quorum = 1;
    nodes[0].lie = LATE_AND_MUTE;
    struct source *mute = run(&in, &end);
    assert_true(source_log_walk_ranges(mute, &ranges) > 0);
    assert_int_equal(ranges[0].from, 77777);
    source_free(mute);
    set_up(); /* not when it is known */
    in.seek = false;
    struct source *s = run(&in, &end);
    assert_int_equal(nodes[0].asked_code, 0);
    source_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole),     cmocka_unit_test(test_narrow),
        cmocka_unit_test(test_widen),     cmocka_unit_test(test_dense),
        cmocka_unit_test(test_bad),       cmocka_unit_test(test_lies),
        cmocka_unit_test(test_unchecked), cmocka_unit_test(test_quorum),
        cmocka_unit_test(test_seek)};
    static const struct spec_context context;

    spec_init(&spec);
    if (spec_parse(ms_span_str("eip155:1:" ADDRESS), &context, &spec, NULL) != MS_OK)
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    spec_done(&spec);
    return failed;
}
