/* The Merkle tree of a log against a naive one that is RFC 6962 section 2.1 word by word: all sizes
 * up to some hundred, random larger ones, tiles, and that nothing else verifies. */
#include "base/hex.h"
#include "sig/tlog.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#define ALL_SIZES 600u
#define BIG 70000u /* three levels of tiles; the size of the specification's example */

static struct ms_sha256 *leaves; /* of BIG entries "entry N" */

/* ---- the naive tree ---- */

static uint64_t naive_split(uint64_t n)
{
    uint64_t k = 1;
    while (k * 2 < n)
        k *= 2;
    return k;
}

static struct ms_sha256 naive_root(uint64_t from, uint64_t n)
{
    if (n == 0)
        return ms_sha256((struct ms_span){0});
    if (n == 1)
        return leaves[from];
    uint64_t k = naive_split(n);
    struct ms_sha256 l = naive_root(from, k), r = naive_root(from + k, n - k);
    struct ms_span parts[] = {{(const uint8_t *)"\x01", 1}, {l.b, 32}, {r.b, 32}};
    return ms_sha256_parts(parts, 3);
}

/* PATH(m, D[n]) */
static void naive_path(uint64_t m, uint64_t from, uint64_t n, struct msig_tlog_path *path)
{
    if (n <= 1)
        return;
    uint64_t k = naive_split(n);
    naive_path(m < k ? m : m - k, m < k ? from : from + k, m < k ? k : n - k, path);
    path->hash[path->n++] = m < k ? naive_root(from + k, n - k) : naive_root(from, k);
}

/* SUBPROOF(m, D[n], b) */
static void naive_growth(uint64_t m, uint64_t from, uint64_t n, bool whole,
                         struct msig_tlog_path *path)
{
    if (m == n) {
        if (!whole)
            path->hash[path->n++] = naive_root(from, n);
        return;
    }
    uint64_t k = naive_split(n);
    if (m <= k) {
        naive_growth(m, from, k, whole, path);
        path->hash[path->n++] = naive_root(from + k, n - k);
    } else {
        naive_growth(m - k, from + k, n - k, false, path);
        path->hash[path->n++] = naive_root(from, k);
    }
}

/* ---- tiles of it ---- */

struct store { /* what a log would keep: full tiles of level 0, and the levels above */
    uint64_t reads;
};

static uint64_t power_256(unsigned level)
{
    return (uint64_t)1 << (8 * level);
}

static enum ms_err read_tile(void *arg, unsigned level, uint64_t index, unsigned width,
                             uint8_t *out, struct ms_diag *diag)
{
    struct store *store = arg;

    (void)diag;
    store->reads++;
    assert_true(width >= 1 && width <= 256);
    for (uint64_t i = 0; i < width; i++) {
        struct ms_sha256 hash = naive_root((index * 256 + i) * power_256(level), power_256(level));
        memcpy(out + 32 * i, hash.b, 32);
    }
    return MS_OK;
}

static void tree_init(struct msig_tlog_tree *tree, struct store *store, uint64_t size)
{
    *store = (struct store){0};
    tree->size = size;
    tree->read = read_tile;
    tree->arg = store;
    for (size_t i = 0; i < MS_ARRAY_LEN(tree->last); i++)
        tree->last[i].used = false;
}

static struct msig_tlog_tree tree;

static bool same_path(const struct msig_tlog_path *a, const struct msig_tlog_path *b)
{
    bool same = a->n == b->n;
    for (size_t i = 0; same && i < a->n; i++)
        same = ms_sha256_eq(&a->hash[i], &b->hash[i]);
    return same;
}

static int make_leaves(void **state)
{
    (void)state;
    leaves = calloc(BIG, sizeof(*leaves));
    for (unsigned i = 0; leaves != NULL && i < BIG; i++) {
        char text[32];
        int n = snprintf(text, sizeof(text), "entry %u", i);
        leaves[i] = msig_tlog_leaf(ms_span_of(text, (size_t)n));
    }
    return leaves == NULL ? -1 : 0;
}

static int free_leaves(void **state)
{
    (void)state;
    free(leaves);
    return 0;
}

/* ---- published values ---- */

static struct ms_sha256 hex32(const char *text)
{
    struct ms_sha256 hash;
    assert_int_equal(ms_hex_decode(ms_span_str(text), hash.b, sizeof(hash.b)), MS_OK);
    return hash;
}

/* The eight entries and roots of the reference tests of Certificate Transparency
 * (google/certificate-transparency, merkletree tests; also in transparency-dev/merkle). */
static void test_published(void **state)
{
    (void)state;
    static const char *const inputs[8] = {"",
                                          "00",
                                          "10",
                                          "2021",
                                          "3031",
                                          "40414243",
                                          "5051525354555657",
                                          "606162636465666768696a6b6c6d6e6f"};
    static const char *const roots[9] = {
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"};
    struct msig_tlog_edge edge = {0};

    for (size_t i = 0; i <= 8; i++) {
        struct ms_sha256 root = msig_tlog_edge_root(&edge), want = hex32(roots[i]);
        if (!ms_sha256_eq(&root, &want))
            fail_msg("root of %zu entries", i);
        if (i == 8)
            break;
        uint8_t entry[16];
        size_t len = strlen(inputs[i]) / 2;
        assert_int_equal(ms_hex_decode(ms_span_str(inputs[i]), entry, len), MS_OK);
        struct ms_sha256 leaf = msig_tlog_leaf(ms_span_of(entry, len));
        assert_int_equal(msig_tlog_edge_add(&edge, 0, &leaf), MS_OK);
    }
}

/* ---- all sizes ---- */

static void test_roots(void **state)
{
    (void)state;
    struct msig_tlog_edge edge = {0};
    struct store store;

    for (uint64_t n = 0; n <= ALL_SIZES; n++) {
        struct ms_sha256 want = naive_root(0, n), got = msig_tlog_edge_root(&edge), read;
        tree_init(&tree, &store, ALL_SIZES);
        assert_int_equal(msig_tlog_root(&tree, n, &read, NULL), MS_OK);
        if (edge.size != n || !ms_sha256_eq(&want, &got) || !ms_sha256_eq(&want, &read))
            fail_msg("root of %llu", (unsigned long long)n);
        assert_int_equal(msig_tlog_edge_add(&edge, 0, &leaves[n]), MS_OK);
    }
    struct ms_sha256 root;
    tree_init(&tree, &store, 5);
    assert_int_equal(msig_tlog_root(&tree, 6, &root, NULL), MS_ERR_RANGE);
}

/* One byte of anything else, and it does not verify. */
static void must_not_verify(struct msig_tlog_path *path, uint64_t index, uint64_t size,
                            struct ms_sha256 leaf, struct ms_sha256 root)
{
    for (size_t i = 0; i < path->n; i++) {
        path->hash[i].b[i % 32] ^= 1;
        assert_int_equal(msig_tlog_verify_inclusion(path, index, size, &leaf, &root), MS_ERR_PROOF);
        path->hash[i].b[i % 32] ^= 1;
    }
    path->n++;
    assert_int_equal(msig_tlog_verify_inclusion(path, index, size, &leaf, &root), MS_ERR_PROOF);
    path->n--;
    if (path->n > 0) {
        path->n--;
        assert_int_equal(msig_tlog_verify_inclusion(path, index, size, &leaf, &root), MS_ERR_PROOF);
        path->n++;
    }
    /* the same hashes do not place the leaf elsewhere */
    if (size > 1)
        assert_int_equal(msig_tlog_verify_inclusion(path, index ^ 1, size, &leaf, &root),
                         MS_ERR_PROOF);
    assert_int_equal(msig_tlog_verify_inclusion(path, size, size, &leaf, &root), MS_ERR_PROOF);
    leaf.b[31] ^= 0x80;
    assert_int_equal(msig_tlog_verify_inclusion(path, index, size, &leaf, &root), MS_ERR_PROOF);
    leaf.b[31] ^= 0x80;
    root.b[0] ^= 1;
    assert_int_equal(msig_tlog_verify_inclusion(path, index, size, &leaf, &root), MS_ERR_PROOF);
}

static void test_inclusion(void **state)
{
    (void)state;
    struct msig_tlog_path path = {0};
    struct store store;

    for (uint64_t size = 1; size <= ALL_SIZES; size += size < 70 ? 1 : 37) {
        struct ms_sha256 root = naive_root(0, size);
        tree_init(&tree, &store, ALL_SIZES);
        for (uint64_t i = 0; i < size; i += size < 70 ? 1 : 13) {
            struct msig_tlog_path want = {0};
            naive_path(i, 0, size, &want);
            assert_int_equal(msig_tlog_inclusion(&tree, i, size, &path, NULL), MS_OK);
            if (!same_path(&path, &want) ||
                msig_tlog_verify_inclusion(&path, i, size, &leaves[i], &root) != MS_OK)
                fail_msg("leaf %llu of %llu", (unsigned long long)i, (unsigned long long)size);
            must_not_verify(&path, i, size, leaves[i], root);
        }
        assert_int_equal(msig_tlog_inclusion(&tree, size, size, &path, NULL), MS_ERR_RANGE);
        assert_int_equal(msig_tlog_inclusion(&tree, 0, ALL_SIZES + 1, &path, NULL), MS_ERR_RANGE);
    }
}

static void must_not_grow(struct msig_tlog_path *path, uint64_t old, uint64_t size,
                          struct ms_sha256 old_root, struct ms_sha256 root)
{
    for (size_t i = 0; i < path->n; i++) {
        path->hash[i].b[7] ^= 4;
        assert_int_equal(msig_tlog_verify_consistency(path, old, size, &old_root, &root),
                         MS_ERR_PROOF);
        path->hash[i].b[7] ^= 4;
    }
    path->n++;
    assert_int_equal(msig_tlog_verify_consistency(path, old, size, &old_root, &root), MS_ERR_PROOF);
    path->n--;
    if (path->n > 0) {
        path->n--;
        assert_int_equal(msig_tlog_verify_consistency(path, old, size, &old_root, &root),
                         MS_ERR_PROOF);
        path->n++;
    }
    old_root.b[3] ^= 1;
    assert_int_equal(msig_tlog_verify_consistency(path, old, size, &old_root, &root), MS_ERR_PROOF);
    old_root.b[3] ^= 1;
    root.b[3] ^= 1;
    /* an empty tree is the beginning of any: only there the new root does not matter */
    if (old > 0)
        assert_int_equal(msig_tlog_verify_consistency(path, old, size, &old_root, &root),
                         MS_ERR_PROOF);
    root.b[3] ^= 1;
    assert_int_equal(msig_tlog_verify_consistency(path, size + 1, size, &old_root, &root),
                     MS_ERR_PROOF);
}

static void check_growth(uint64_t old, uint64_t size)
{
    struct ms_sha256 old_root = naive_root(0, old), root = naive_root(0, size);
    struct msig_tlog_path path = {0}, want = {0};

    if (old > 0)
        naive_growth(old, 0, size, true, &want);
    assert_int_equal(msig_tlog_consistency(&tree, old, size, &path, NULL), MS_OK);
    if (!same_path(&path, &want) ||
        msig_tlog_verify_consistency(&path, old, size, &old_root, &root) != MS_OK)
        fail_msg("from %llu to %llu", (unsigned long long)old, (unsigned long long)size);
    must_not_grow(&path, old, size, old_root, root);
}

static void test_consistency(void **state)
{
    (void)state;
    struct msig_tlog_path path;
    struct store store;

    tree_init(&tree, &store, ALL_SIZES);
    for (uint64_t size = 0; size <= ALL_SIZES; size += size < 40 ? 1 : 41)
        for (uint64_t old = 0; old <= size; old += size < 40 ? 1 : 17)
            check_growth(old, size);
    assert_int_equal(msig_tlog_consistency(&tree, 3, 2, &path, NULL), MS_ERR_RANGE);
    assert_int_equal(msig_tlog_consistency(&tree, 3, ALL_SIZES + 1, &path, NULL), MS_ERR_RANGE);
}

/* ---- large ones ---- */

static void test_random(void **state)
{
    (void)state;
    unsigned seed = (unsigned)time(NULL);
    struct store store;

    print_message("seed %u\n", seed);
    srand(seed);
    for (int round = 0; round < 3; round++) {
        uint64_t size = 60000 + (uint64_t)rand() % (BIG - 60000) + 1;
        uint64_t i = (uint64_t)rand() % size;
        struct ms_sha256 root = naive_root(0, size);
        struct msig_tlog_path path;
        tree_init(&tree, &store, size);
        assert_int_equal(msig_tlog_inclusion(&tree, i, size, &path, NULL), MS_OK);
        assert_int_equal(msig_tlog_verify_inclusion(&path, i, size, &leaves[i], &root), MS_OK);
        /* a proof needs few tiles: each of 8 levels of the tree, left and right of the way */
        assert_in_range(store.reads, 1, 3 * 3);
        check_growth((uint64_t)rand() % size, size);
    }
}

/* Subtrees of any height go to the edge as they come from tiles. */
static void test_edge_of_subtrees(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {1, 255, 256, 257, 511, 512, 65535, 65536, 65793, BIG};

    for (size_t s = 0; s < MS_ARRAY_LEN(sizes); s++) {
        struct msig_tlog_edge edge = {0};
        for (unsigned level = 3; level-- > 0;) {
            uint64_t index = sizes[s] >> (8 * level) >> 8;
            unsigned width = msig_tlog_tile_width(sizes[s], level, index);
            for (uint64_t i = 0; i < width; i++) {
                struct ms_sha256 hash =
                    naive_root((index * 256 + i) * power_256(level), power_256(level));
                assert_int_equal(msig_tlog_edge_add(&edge, 8 * level, &hash), MS_OK);
            }
        }
        struct ms_sha256 want = naive_root(0, sizes[s]), got = msig_tlog_edge_root(&edge);
        assert_int_equal(edge.size, sizes[s]);
        assert_true(ms_sha256_eq(&want, &got));
    }
    struct msig_tlog_edge odd = {.size = 3};
    assert_int_equal(msig_tlog_edge_add(&odd, 1, &leaves[0]), MS_ERR_ARGUMENT);
    odd.size = MSIG_TLOG_SIZE_MAX;
    assert_int_equal(msig_tlog_edge_add(&odd, 0, &leaves[0]), MS_ERR_LIMIT);
    assert_int_equal(msig_tlog_edge_add(&odd, 63, &leaves[0]), MS_ERR_LIMIT);
}

/* ---- names of tiles ---- */

static void test_widths(void **state)
{
    (void)state;
    /* the example of c2sp.org/tlog-tiles: 70,000 entries */
    assert_int_equal(msig_tlog_tile_width(70000, 0, 272), 256);
    assert_int_equal(msig_tlog_tile_width(70000, 0, 273), 112);
    assert_int_equal(msig_tlog_tile_width(70000, 0, 274), 0);
    assert_int_equal(msig_tlog_tile_width(70000, 1, 0), 256);
    assert_int_equal(msig_tlog_tile_width(70000, 1, 1), 17);
    assert_int_equal(msig_tlog_tile_width(70000, 2, 0), 1);
    assert_int_equal(msig_tlog_tile_width(70000, 3, 0), 0);
    assert_int_equal(msig_tlog_tile_width(256, 0, 0), 256);
    assert_int_equal(msig_tlog_tile_width(256, 1, 0), 1);
    assert_int_equal(msig_tlog_tile_width(UINT64_MAX, 63, 0), 0);
}

static void test_paths(void **state)
{
    (void)state;
    static const struct {
        struct msig_tlog_tile tile;
        const char *path;
    } good[] = {
        {{0, 0, 256}, "tile/0/000"},
        {{0, 5, 3}, "tile/0/005.p/3"},
        {{1, 1234067, 256}, "tile/1/x001/x234/067"},
        {{MSIG_TLOG_ENTRIES, 1000, 255}, "tile/entries/x001/000.p/255"},
        {{63, 999, 256}, "tile/63/999"},
        {{7, 0xffffffffffffff, 256}, "tile/7/x072/x057/x594/x037/x927/935"},
    };
    static const char *const bad[] = {
        "",
        "tile",
        "tile/",
        "tile/0",
        "tile/0/",
        "tile/0/0",
        "tile/0/0000",
        "tile/0/x001",
        "tile/0/x000/001",
        "tile/0/001/002",
        "tile/00/001",
        "tile/64/001",
        "tile/-1/001",
        "tile/0/001.p/0",
        "tile/0/001.p/256",
        "tile/0/001.p/",
        "tile/0/001.p/01",
        "tile/0/001.p",
        "tile/0/001.q/1",
        "tile/0/001/",
        "tile/entry/001",
        "tile/entries/1",
        "tile/0/x999/x999/x999/x999/x999/x999/999",
        "tile/0/x01/001",
        "tile/0/001.p/1/",
        "Tile/0/001",
        "tile/0/00a",
        "tile/0/001 ",
    };

    for (size_t i = 0; i < MS_ARRAY_LEN(good); i++) {
        struct ms_buf out = MS_BUF_INIT(100);
        struct msig_tlog_tile tile;
        assert_int_equal(msig_tlog_tile_path(&good[i].tile, &out), MS_OK);
        assert_string_equal(ms_buf_str(&out), good[i].path);
        assert_int_equal(msig_tlog_tile_parse(ms_buf_span(&out), &tile), MS_OK);
        assert_true(tile.level == good[i].tile.level && tile.index == good[i].tile.index &&
                    tile.width == good[i].tile.width);
        ms_buf_done(&out);
    }
    for (size_t i = 0; i < MS_ARRAY_LEN(bad); i++) {
        struct msig_tlog_tile tile;
        if (msig_tlog_tile_parse(ms_span_str(bad[i]), &tile) == MS_OK)
            fail_msg("%s was taken", bad[i]);
    }
}

static void test_entries(void **state)
{
    (void)state;
    struct ms_buf bundle = MS_BUF_INIT(1 << 20), large = MS_BUF_INIT(1 << 20);
    struct ms_span entry;
    size_t at = 0;

    assert_int_equal(msig_tlog_add_entry(&bundle, ms_span_str("one")), MS_OK);
    assert_int_equal(msig_tlog_add_entry(&bundle, (struct ms_span){0}), MS_OK);
    assert_memory_equal(bundle.ptr, "\0\3one\0\0", 7);
    (void)ms_buf_room(&large, 65536);
    assert_int_equal(msig_tlog_add_entry(&bundle, ms_span_of(large.ptr, 65536)), MS_ERR_LIMIT);
    assert_true(msig_tlog_next_entry(ms_buf_span(&bundle), &at, &entry) && entry.len == 3);
    assert_true(msig_tlog_next_entry(ms_buf_span(&bundle), &at, &entry) && entry.len == 0);
    assert_false(msig_tlog_next_entry(ms_buf_span(&bundle), &at, &entry));
    assert_int_equal(at, bundle.len);
    for (size_t cut = 1; cut < 5; cut++) { /* no part of an entry is one */
        at = 0;
        assert_false(msig_tlog_next_entry(ms_span_of(bundle.ptr, cut), &at, &entry));
        assert_int_equal(at, 0);
    }
    ms_buf_done(&bundle);
    ms_buf_done(&large);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published), cmocka_unit_test(test_roots),
        cmocka_unit_test(test_inclusion), cmocka_unit_test(test_consistency),
        cmocka_unit_test(test_random),    cmocka_unit_test(test_edge_of_subtrees),
        cmocka_unit_test(test_widths),    cmocka_unit_test(test_paths),
        cmocka_unit_test(test_entries),
    };
    return cmocka_run_group_tests(tests, make_leaves, free_leaves);
}
