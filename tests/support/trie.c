/* tests/support/trie.c - a trie from its sorted entries, by recursion over nibbles. */
#include "tests/support/trie.h"

#include <stdlib.h>

#define NODE_MAX_BYTES ((size_t)1 << 20)

struct builder {
    struct ms_arena *arena;
    struct ms_span path; /* wanted; ptr NULL for none */
    struct trie_proof *proof;
};

static uint8_t nibble(struct ms_span path, size_t i)
{
    return i % 2 == 0 ? path.ptr[i / 2] >> 4 : path.ptr[i / 2] & 15;
}

static int by_path(const void *a, const void *b)
{
    return ms_span_cmp(((const struct trie_entry *)a)->path, ((const struct trie_entry *)b)->path);
}

static struct ms_span keep(struct builder *b, struct ms_buf *buf)
{
    uint8_t *copy = ms_arena_alloc(b->arena, buf->len, 1);
    if (copy == NULL || ms_buf_err(buf) != MS_OK)
        abort();
    memcpy(copy, buf->ptr, buf->len);
    struct ms_span kept = ms_span_of(copy, buf->len);
    ms_buf_done(buf);
    return kept;
}

/* Hex-prefix encoding of nibbles from..to. */
static void add_path(struct ms_buf *out, struct ms_span path, size_t from, size_t to, bool leaf)
{
    uint8_t bytes[128] = {0};
    size_t n = to - from, first = n % 2 == 1 ? 1 : 2;

    bytes[0] = (uint8_t)((leaf ? 0x20 : 0) | (n % 2 == 1 ? 0x10 : 0));
    for (size_t i = 0; i < n; i++) {
        size_t at = first + i;
        uint8_t value = nibble(path, from + i);
        bytes[at / 2] = (uint8_t)(bytes[at / 2] | (at % 2 == 0 ? value << 4 : value));
    }
    (void)eth_rlp_add_string(out, ms_span_of(bytes, (first + n) / 2));
}

static struct ms_span as_list(struct builder *b, struct ms_buf *payload)
{
    struct ms_buf node = MS_BUF_INIT(NODE_MAX_BYTES);
    (void)eth_rlp_add_list(&node, ms_buf_span(payload));
    ms_buf_done(payload);
    return keep(b, &node);
}

static void add_reference(struct ms_buf *out, struct ms_span node)
{
    if (node.len < ETH_HASH_BYTES) {
        (void)ms_buf_add(out, node);
        return;
    }
    struct eth_hash hash = eth_keccak256(node);
    (void)eth_rlp_add_string(out, eth_hash_span(&hash));
}

/* Nibbles of the wanted path agree with `path` up to `to`. */
static bool wanted(const struct builder *b, struct ms_span path, size_t to)
{
    if (b->path.ptr == NULL || 2 * b->path.len < to)
        return false;
    for (size_t i = 0; i < to; i++)
        if (nibble(b->path, i) != nibble(path, i))
            return false;
    return true;
}

static struct ms_span build(struct builder *b, const struct trie_entry *entries, size_t n,
                            size_t at);

static struct ms_span build_branch(struct builder *b, const struct trie_entry *entries, size_t n,
                                   size_t at)
{
    struct ms_buf payload = MS_BUF_INIT(NODE_MAX_BYTES);
    struct ms_span value = {NULL, 0};
    size_t i = 0;

    if (2 * entries[0].path.len == at)
        value = entries[i++].value;
    for (uint8_t digit = 0; digit < 16; digit++) {
        size_t start = i;
        while (i < n && nibble(entries[i].path, at) == digit)
            i++;
        if (i == start)
            (void)eth_rlp_add_string(&payload, (struct ms_span){NULL, 0});
        else
            add_reference(&payload, build(b, entries + start, i - start, at + 1));
    }
    (void)eth_rlp_add_string(&payload, value);
    return as_list(b, &payload);
}

static struct ms_span build(struct builder *b, const struct trie_entry *entries, size_t n,
                            size_t at)
{
    struct ms_buf payload = MS_BUF_INIT(NODE_MAX_BYTES);
    struct ms_span first = entries[0].path, last = entries[n - 1].path, node;
    size_t slot = b->proof == NULL ? 0 : b->proof->n;
    bool mine = wanted(b, first, at);

    if (mine && b->proof != NULL)
        b->proof->n++; /* parents come first */
    if (n == 1) {
        add_path(&payload, first, at, 2 * first.len, true);
        (void)eth_rlp_add_string(&payload, entries[0].value);
        node = as_list(b, &payload);
    } else {
        size_t to = at;
        while (to < 2 * first.len && nibble(first, to) == nibble(last, to))
            to++;
        if (to == at) {
            node = build_branch(b, entries, n, at);
        } else {
            add_path(&payload, first, at, to, false);
            bool down = wanted(b, first, to);
            size_t child = b->proof == NULL ? 0 : b->proof->n;
            if (down && b->proof != NULL)
                b->proof->n++;
            struct ms_span branch = build_branch(b, entries, n, to);
            if (down && b->proof != NULL)
                b->proof->nodes[child] = branch;
            add_reference(&payload, branch);
            node = as_list(b, &payload);
        }
    }
    if (mine && b->proof != NULL)
        b->proof->nodes[slot] = node;
    return node;
}

struct eth_hash trie_root(struct trie_entry *entries, size_t n, struct ms_arena *arena,
                          struct ms_span path, struct trie_proof *ret_proof)
{
    struct builder b = {.arena = arena, .path = path, .proof = ret_proof};
    size_t kept = 1;

    if (ret_proof != NULL)
        ret_proof->n = 0;
    if (n == 0)
        return eth_keccak256(ms_span_str("\x80"));
    qsort(entries, n, sizeof(entries[0]), by_path);
    struct ms_span root = build(&b, entries, n, 0);
    if (ret_proof == NULL || ret_proof->n == 0)
        return eth_keccak256(root);
    for (size_t i = 1; i < ret_proof->n; i++) /* embedded nodes are in their parents already */
        if (ret_proof->nodes[i].len >= ETH_HASH_BYTES)
            ret_proof->nodes[kept++] = ret_proof->nodes[i];
    ret_proof->n = kept;
    return eth_keccak256(root);
}
