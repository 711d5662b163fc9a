/* The registry's rules beyond the ABI: limits, order, payloads, commitment, and what is in force
 * when. */
#include "resolver/source/history_chain.h"

#include "contracts-abi/registry_abi.h"
#include "eth/abi.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define ARENA_BYTES ((size_t)1 << 20)

/* One release as the contract would give it. */
static struct eth_abi_value release_value(struct ms_arena *arena, uint64_t id, const char *uri,
                                          struct ms_span payload)
{
    struct ms_sha256 sum = ms_sha256(payload);
    struct eth_word hash;
    struct eth_abi_value *items = ms_arena_alloc(arena, 9, sizeof(*items));

    assert_non_null(items);
    memcpy(hash.b, sum.b, sizeof(hash.b));
    for (size_t i = 0; i < 7; i++)
        items[i] = eth_abi_u64(i == 0 ? id : 1);
    items[6] = eth_abi_u64(payload.len);
    items[7] = eth_abi_bytes32(&hash);
    items[8] = (struct eth_abi_value){.kind = ETH_ABI_STRING, .bytes = ms_span_str(uri)};
    return (struct eth_abi_value){.kind = ETH_ABI_TUPLE, .n = 9, .items = items};
}

static struct eth_abi_value state_value(struct ms_arena *arena)
{
    struct eth_abi_value *items = ms_arena_alloc(arena, 9, sizeof(*items));
    struct eth_word zero = {0};

    assert_non_null(items);
    for (size_t i = 0; i < 5; i++)
        items[i] = eth_abi_u64(1);
    for (size_t i = 5; i < 7; i++)
        items[i] = (struct eth_abi_value){.kind = ETH_ABI_ADDRESS, .word = eth_word_u64(1)};
    for (size_t i = 7; i < 9; i++)
        items[i] = eth_abi_bytes32(&zero);
    return (struct eth_abi_value){.kind = ETH_ABI_TUPLE, .n = 9, .items = items};
}

struct given {
    size_t n_releases, n_payloads;
    uint64_t first_id, step;
    const char *uri, *payload, *said_payload; /* what is hashed, and what is sent */
};

static enum ms_err decode(const struct given *g, struct ms_arena *arena,
                          struct registry_snapshot *ret_snapshot)
{
    const struct eth_abi_type *type = NULL;
    struct ms_buf answer = MS_BUF_INIT(ARENA_BYTES);
    struct eth_abi_value releases[80], payloads[80], top[3];

    for (size_t i = 0; i < g->n_releases; i++)
        releases[i] =
            release_value(arena, g->first_id + i * g->step, g->uri, ms_span_str(g->payload));
    for (size_t i = 0; i < g->n_payloads; i++)
        payloads[i] =
            (struct eth_abi_value){.kind = ETH_ABI_BYTES, .bytes = ms_span_str(g->said_payload)};
    top[0] = state_value(arena);
    top[1] = (struct eth_abi_value){.kind = ETH_ABI_ARRAY, .n = g->n_releases, .items = releases};
    top[2] = (struct eth_abi_value){.kind = ETH_ABI_ARRAY, .n = g->n_payloads, .items = payloads};
    struct eth_abi_value all = {.kind = ETH_ABI_TUPLE, .n = 3, .items = top};
    assert_int_equal(
        eth_abi_params_parse(ms_span_str(REGISTRY_RETURNS_SNAPSHOT_WITH_PAYLOADS), arena, &type),
        MS_OK);
    assert_int_equal(eth_abi_encode(type, &all, &answer), MS_OK);
    enum ms_err err = registry_decode(ms_buf_span(&answer), arena, ret_snapshot, NULL);
    if (err ==
        MS_OK) { /* the encoding of the same values must verify against their own commitment */
        struct eth_hash releases_hash = registry_releases_hash(ret_snapshot);
        struct eth_word as_word = eth_word_of_hash(&releases_hash);
        struct registry_snapshot again;
        top[0].items[8] = eth_abi_bytes32(&as_word);
        ms_buf_reset(&answer);
        assert_int_equal(eth_abi_encode(type, &all, &answer), MS_OK);
        struct eth_hash commitment = registry_commitment(ret_snapshot);
        struct eth_word slot0 = eth_word_of_hash(&commitment);
        assert_int_equal(registry_verify(&slot0, ms_buf_span(&answer), arena, &again, NULL), MS_OK);
        slot0.b[0] ^= 1;
        assert_int_equal(registry_verify(&slot0, ms_buf_span(&answer), arena, &again, NULL),
                         MS_ERR_COMMITMENT);
    }
    ms_buf_done(&answer);
    return err;
}

#define URI64 "https://a.example/0123456789012345678901234567890123456789012345"
#define URI256 URI64 URI64 URI64 URI64

static const struct {
    const char *name;
    struct given given;
    enum ms_err want;
} cases[] = {
    {"none", {0, 0, 1, 1, "", "", ""}, MS_OK},
    {"one, payload on chain", {1, 1, 1, 1, "", "abc", "abc"}, MS_OK},
    {"one, payload elsewhere", {1, 1, 1, 1, "https://a.example/", "abc", ""}, MS_OK},
    {"64 releases", {64, 64, 1, 1, "", "abc", "abc"}, MS_OK},
    {"65 releases", {65, 65, 1, 1, "", "abc", "abc"}, MS_ERR_ABI},
    {"ids with gaps", {3, 3, 7, 5, "", "abc", ""}, MS_OK},
    {"an id twice", {2, 2, 7, 0, "", "abc", ""}, MS_ERR_ABI},
    {"id 0", {1, 1, 0, 1, "", "abc", ""}, MS_ERR_ABI},
    {"falling ids", {2, 2, 7, UINT64_MAX, "", "abc", ""}, MS_ERR_ABI},
    {"a payload missing", {2, 1, 1, 1, "", "abc", "abc"}, MS_ERR_ABI},
    {"a payload too many", {1, 2, 1, 1, "", "abc", "abc"}, MS_ERR_ABI},
    {"payload of another size", {1, 1, 1, 1, "", "abc", "abcd"}, MS_ERR_HASH},
    {"payload of another hash", {1, 1, 1, 1, "", "abc", "abd"}, MS_ERR_HASH},
    {"uri of 256", {1, 1, 1, 1, URI256, "abc", ""}, MS_OK},
    {"uri of 257", {1, 1, 1, 1, URI256 "x", "abc", ""}, MS_ERR_ABI},
    {"uri with a control character", {1, 1, 1, 1, "https://a\n", "abc", ""}, MS_ERR_ABI},
    {"uri not ASCII", {1, 1, 1, 1, "https://\xc3\xa9/", "abc", ""}, MS_ERR_ABI},
};

static void test_decode(void **state)
{
    (void)state;
    for (size_t i = 0; i < MS_ARRAY_LEN(cases); i++) {
        struct ms_arena arena = MS_ARENA_INIT(ARENA_BYTES);
        struct registry_snapshot snapshot = {0};
        enum ms_err err = decode(&cases[i].given, &arena, &snapshot);
        if (err != cases[i].want ||
            (err == MS_OK && snapshot.n_releases != cases[i].given.n_releases))
            fail_msg("%s: got %s", cases[i].name, ms_err_name(err));
        ms_arena_done(&arena);
    }
}

/* Without releases the hash is that of nothing (3.4, 2). */
static void test_empty(void **state)
{
    (void)state;
    struct registry_snapshot none = {0};
    struct eth_hash got = registry_releases_hash(&none), want = eth_keccak256(ms_span_str(""));
    assert_true(eth_hash_eq(&got, &want));
}

static const struct {
    const char *name;
    uint64_t not_before, not_after, valid_until, chain;
    int64_t wall;
    enum registry_force want;
} times[] = {
    {"in its window", 100, 200, 0, 150, 150, REGISTRY_IN_FORCE},
    {"first second", 100, 200, 0, 100, 0, REGISTRY_IN_FORCE},
    {"a second early", 100, 200, 0, 99, 99, REGISTRY_PENDING},
    {"our clock alone does not begin it", 100, 200, 0, 99, 150, REGISTRY_PENDING},
    {"last second", 100, 200, 0, 199, 199, REGISTRY_IN_FORCE},
    {"chain ends it", 100, 200, 0, 200, 150, REGISTRY_ENDED},
    {"our clock ends it", 100, 200, 0, 150, 200, REGISTRY_ENDED},
    {"no end", 100, 0, 0, UINT64_MAX, INT64_MAX, REGISTRY_IN_FORCE},
    {"heartbeat, last second", 100, 0, 300, 300, 300, REGISTRY_IN_FORCE},
    {"heartbeat missed, chain", 100, 0, 300, 301, 0, REGISTRY_LAPSED},
    {"heartbeat missed, our clock", 100, 0, 300, 299, 301, REGISTRY_LAPSED},
    {"a clock before 1970 changes nothing", 100, 200, 300, 150, INT64_MIN, REGISTRY_IN_FORCE},
};

static void test_in_force(void **state)
{
    (void)state;
    for (size_t i = 0; i < MS_ARRAY_LEN(times); i++) {
        struct registry_state s = {.valid_until_s = times[i].valid_until};
        struct registry_release r = {.not_before_s = times[i].not_before,
                                     .not_after_s = times[i].not_after};
        enum registry_force got = registry_in_force(&s, &r, times[i].chain, times[i].wall);
        if (got != times[i].want)
            fail_msg("%s: got %d", times[i].name, (int)got);
    }
}

/* Histories whose hashes are all right and that a contract which keeps its rules cannot have. */
static const struct {
    const char *name;
    uint64_t block[3], prev[3], time[3], sequence[3];
    uint64_t state_block, state_time, state_sequence;
    enum ms_err want;
} histories[] = {
    {"three operations", {5, 6, 9}, {0, 5, 6}, {1, 2, 3}, {1, 2, 3}, 9, 3, 3, MS_OK},
    {"two in one block", {5, 5, 9}, {0, 5, 5}, {1, 1, 3}, {1, 2, 3}, 9, 3, 3, MS_OK},
    {"prevBlock elsewhere", {5, 6, 9}, {0, 4, 6}, {1, 2, 3}, {1, 2, 3}, 9, 3, 3, MS_ERR_COMMITMENT},
    {"first has a prevBlock",
     {5, 6, 9},
     {4, 5, 6},
     {1, 2, 3},
     {1, 2, 3},
     9,
     3,
     3,
     MS_ERR_COMMITMENT},
    {"blocks fall", {5, 4, 9}, {0, 5, 4}, {1, 2, 3}, {1, 2, 3}, 9, 3, 3, MS_ERR_COMMITMENT},
    {"time falls", {5, 6, 9}, {0, 5, 6}, {2, 1, 3}, {1, 2, 3}, 9, 3, 3, MS_ERR_COMMITMENT},
    {"a sequence left out", {5, 6, 9}, {0, 5, 6}, {1, 2, 3}, {1, 3, 4}, 9, 3, 4, MS_ERR_COMMITMENT},
    {"begins at 0", {5, 6, 9}, {0, 5, 6}, {1, 2, 3}, {0, 1, 2}, 9, 3, 2, MS_ERR_COMMITMENT},
    {"state is further", {5, 6, 9}, {0, 5, 6}, {1, 2, 3}, {1, 2, 3}, 9, 3, 4, MS_ERR_COMMITMENT},
    {"state's block", {5, 6, 9}, {0, 5, 6}, {1, 2, 3}, {1, 2, 3}, 10, 3, 3, MS_ERR_COMMITMENT},
    {"state's time", {5, 6, 9}, {0, 5, 6}, {1, 2, 3}, {1, 2, 3}, 9, 4, 3, MS_ERR_COMMITMENT},
};

static void test_history(void **state)
{
    (void)state;
    for (size_t i = 0; i < MS_ARRAY_LEN(histories); i++) {
        struct registry_event events[3] = {0};
        struct eth_hash hash = {0};
        for (size_t k = 0; k < 3; k++) {
            events[k].block = histories[i].block[k];
            events[k].prev_block = histories[i].prev[k];
            events[k].timestamp_s = histories[i].time[k];
            events[k].sequence = histories[i].sequence[k];
            hash = registry_history_hash(&hash, &events[k]);
            events[k].history_hash = hash;
        }
        struct registry_state s = {.sequence = histories[i].state_sequence,
                                   .updated_block = histories[i].state_block,
                                   .updated_at_s = histories[i].state_time,
                                   .history_hash = hash};
        enum ms_err err = history_whole(events, 3, &s, NULL, NULL);
        if (err != histories[i].want)
            fail_msg("%s: got %s", histories[i].name, ms_err_name(err));
    }
    struct registry_state never = {0};
    assert_int_equal(history_whole(NULL, 0, &never, NULL, NULL), MS_OK);
    never.sequence = 1;
    assert_int_equal(history_whole(NULL, 0, &never, NULL, NULL), MS_ERR_COMMITMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decode),
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_in_force),
        cmocka_unit_test(test_history),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
