/* The root of a trie made in one go is that of the builder in tests/support, which was written
 * apart; and lists have their entries under the RLP of their number. */
#include "eth/trie.h"
#include "tests/support/trie.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define MAX 1500

static uint64_t seed;

static uint32_t pick(uint32_t n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % n;
}

static struct ms_span bytes_of(struct ms_arena *arena, size_t len, uint32_t alphabet)
{
    uint8_t *bytes = ms_arena_alloc(arena, len + 1, 1);

    assert_non_null(bytes);
    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)(pick(alphabet) * (alphabet <= 4 ? 0x11 : 1));
    return ms_span_of(bytes, len);
}

static bool is_there(const struct eth_trie_entry *entries, size_t n, struct ms_span path)
{
    for (size_t i = 0; i < n; i++)
        if (ms_span_eq(entries[i].path, path))
            return true;
    return false;
}

/* Few different bytes make long common paths, keys that begin others, and nodes inside others. */
static void test_random(void **state)
{
    (void)state;
    for (int round = 0; round < 300; round++) {
        struct ms_arena arena = MS_ARENA_INIT((size_t)64 << 20);
        struct eth_trie_entry mine[64];
        struct trie_entry theirs[64];
        struct eth_hash got;
        size_t n = 0, want_n = pick(64);
        uint32_t alphabet = round % 3 == 0 ? 2 : round % 3 == 1 ? 4 : 256;
        for (size_t i = 0; i < want_n; i++) {
            struct ms_span path = bytes_of(&arena, pick(7), alphabet);
            if (is_there(mine, n, path))
                continue;
            struct ms_span value = bytes_of(&arena, 1 + pick(round % 2 == 0 ? 4 : 80), 256);
            mine[n] = (struct eth_trie_entry){path, value};
            theirs[n++] = (struct trie_entry){path, value};
        }
        struct eth_hash want = trie_root(theirs, n, &arena, (struct ms_span){NULL, 0}, NULL);
        assert_int_equal(eth_trie_root(mine, n, &got), MS_OK);
        if (!eth_hash_eq(&got, &want))
            fail_msg("round %d, %zu entries", round, n);
        ms_arena_done(&arena);
    }
}

/* Numbers change their RLP at 0, 128, 256; 1,500 of them reach every form below 65,536. */
static void test_list(void **state)
{
    static const size_t lengths[] = {0, 1, 2, 17, 127, 128, 129, 255, 256, 257, MAX};
    static struct ms_span values[MAX];
    static struct trie_entry entries[MAX];
    struct ms_arena arena = MS_ARENA_INIT((size_t)64 << 20);
    (void)state;
    for (size_t i = 0; i < MAX; i++) {
        struct ms_buf key = MS_BUF_INIT(16);
        values[i] = bytes_of(&arena, 1 + pick(300), 256);
        assert_int_equal(eth_rlp_add_u64(&key, i), MS_OK);
        const char *kept = ms_arena_strdup(&arena, ms_buf_span(&key));
        entries[i] = (struct trie_entry){ms_span_of(kept, key.len), values[i]};
        ms_buf_done(&key);
    }
    for (size_t i = 0; i < MS_ARRAY_LEN(lengths); i++) {
        struct trie_entry sorted[MAX];
        struct eth_hash got;
        memcpy(sorted, entries, sizeof(sorted));
        struct eth_hash want =
            trie_root(sorted, lengths[i], &arena, (struct ms_span){NULL, 0}, NULL);
        assert_int_equal(eth_trie_list_root(values, lengths[i], &got), MS_OK);
        if (!eth_hash_eq(&got, &want))
            fail_msg("%zu values", lengths[i]);
    }
    ms_arena_done(&arena);
}

static void test_refused(void **state)
{
    uint8_t long_path[ETH_MPT_PATH_MAX_BYTES + 1] = {0};
    struct eth_trie_entry twice[] = {{ms_span_str("a"), ms_span_str("1")},
                                     {ms_span_str("b"), ms_span_str("2")},
                                     {ms_span_str("a"), ms_span_str("3")}};
    struct eth_trie_entry empty = {ms_span_str("a"), ms_span_str("")};
    struct eth_trie_entry longer = {ms_span_of(long_path, sizeof(long_path)), ms_span_str("1")};
    struct eth_hash root;
    (void)state;
    assert_int_equal(eth_trie_root(twice, 3, &root), MS_ERR_ARGUMENT);
    assert_int_equal(eth_trie_root(&empty, 1, &root), MS_ERR_ARGUMENT);
    assert_int_equal(eth_trie_root(&longer, 1, &root), MS_ERR_ARGUMENT);
    longer.path.len--;
    assert_int_equal(eth_trie_root(&longer, 1, &root), MS_OK);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random), cmocka_unit_test(test_list),
                                       cmocka_unit_test(test_refused)};

    seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 20260303;
    (void)printf("seed %llu\n", (unsigned long long)seed);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
