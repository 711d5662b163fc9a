/* eth/trie.c - from the leaves up: a node is hashed, and forgotten, as soon as it is whole. */
#include "eth/trie.h"

#include <stdlib.h>

#define DIGITS 16
#define NODE_EXTRA_BYTES 128u /* of a leaf or extension: path, prefixes, reference */
#define BRANCH_MAX_BYTES (DIGITS * (ETH_HASH_BYTES + 1u))
#define INDEX_KEY_BYTES 9u /* RLP of a number of 64 bits */

/* How a node stands in its parent: its hash as a string, or, when it is shorter than one, itself.
 */
struct reference {
    uint8_t b[ETH_HASH_BYTES + 1];
    size_t len;
};

static uint8_t nibble(struct ms_span path, size_t i)
{
    return i % 2 == 0 ? path.ptr[i / 2] >> 4 : path.ptr[i / 2] & 15;
}

static size_t nibbles(const struct eth_trie_entry *entry)
{
    return 2 * entry->path.len;
}

static int by_path(const void *a, const void *b)
{
    return ms_span_cmp(((const struct eth_trie_entry *)a)->path,
                       ((const struct eth_trie_entry *)b)->path);
}

/* Hex-prefix encoding of the nibbles from..to (Yellow Paper, appendix C). */
static void add_path(struct ms_buf *out, struct ms_span path, size_t from, size_t to, bool leaf)
{
    uint8_t bytes[1 + ETH_MPT_PATH_MAX_BYTES];
    size_t n = 1, i = from;
    uint8_t flags = leaf ? 2 : 0;

    bytes[0] = (uint8_t)(flags << 4);
    if ((to - from) % 2 == 1)
        bytes[0] = (uint8_t)((flags | 1) << 4 | nibble(path, i++));
    for (; i < to; i += 2)
        bytes[n++] = (uint8_t)(nibble(path, i) << 4 | nibble(path, i + 1));
    (void)eth_rlp_add_string(out, ms_span_of(bytes, n));
}

/* The node with these members; `whole`: its hash, however short it is, as for a root. */
static enum ms_err refer(struct ms_buf *members, bool whole, struct reference *ret)
{
    struct ms_buf node = MS_BUF_INIT(members->len + 16), text = MS_BUF_INIT(sizeof(ret->b));

    enum ms_err err = ms_buf_err(members);
    if (err == MS_OK)
        err = eth_rlp_add_list(&node, ms_buf_span(members));
    if (err == MS_OK && node.len < ETH_HASH_BYTES && !whole) {
        err = ms_buf_add(&text, ms_buf_span(&node));
    } else if (err == MS_OK) {
        struct eth_hash hash = eth_keccak256(ms_buf_span(&node));
        err = eth_rlp_add_string(&text, eth_hash_span(&hash));
    }
    if (err == MS_OK) {
        memcpy(ret->b, text.ptr, text.len);
        ret->len = text.len;
    }
    ms_buf_done(&node);
    ms_buf_done(&text);
    ms_buf_done(members);
    return err;
}

static enum ms_err node_of(const struct eth_trie_entry *entries, size_t n, size_t at, bool whole,
                           struct reference *ret);

/* All entries agree on the nibbles before `at`, and not all of them on that one. */
static enum ms_err branch_of(const struct eth_trie_entry *entries, size_t n, size_t at, bool whole,
                             struct reference *ret)
{
    const struct ms_span nothing = {0};
    struct ms_span value = nothing;
    enum ms_err err = MS_OK;
    size_t i = 0;

    if (nibbles(&entries[0]) == at)
        value = entries[i++].value;
    struct ms_buf members = MS_BUF_INIT(BRANCH_MAX_BYTES + value.len + 16);
    for (uint8_t digit = 0; err == MS_OK && digit < DIGITS; digit++) {
        struct reference child;
        size_t start = i;
        while (i < n && nibble(entries[i].path, at) == digit)
            i++;
        if (i == start) {
            err = eth_rlp_add_string(&members, nothing);
            continue;
        }
        err = node_of(entries + start, i - start, at + 1, false, &child);
        if (err == MS_OK)
            err = ms_buf_add(&members, ms_span_of(child.b, child.len));
    }
    if (err == MS_OK)
        err = eth_rlp_add_string(&members, value);
    if (err == MS_OK)
        return refer(&members, whole, ret);
    ms_buf_done(&members);
    return err;
}

static enum ms_err leaf_of(const struct eth_trie_entry *entry, size_t at, bool whole,
                           struct reference *ret)
{
    struct ms_buf members = MS_BUF_INIT(entry->value.len + NODE_EXTRA_BYTES);

    add_path(&members, entry->path, at, nibbles(entry), true);
    (void)eth_rlp_add_string(&members, entry->value);
    return refer(&members, whole, ret);
}

static enum ms_err node_of(const struct eth_trie_entry *entries, size_t n, size_t at, bool whole,
                           struct reference *ret)
{
    const struct eth_trie_entry *first = &entries[0], *last = &entries[n - 1];
    struct ms_buf members = MS_BUF_INIT(NODE_EXTRA_BYTES);
    struct reference branch;
    size_t to = at;

    if (n == 1)
        return leaf_of(first, at, whole, ret);
    while (to < nibbles(first) && nibble(first->path, to) == nibble(last->path, to))
        to++;
    if (to == at)
        return branch_of(entries, n, at, whole, ret);
    enum ms_err err = branch_of(entries, n, to, false, &branch);
    if (err != MS_OK)
        return err;
    add_path(&members, first->path, at, to, false);
    (void)ms_buf_add(&members, ms_span_of(branch.b, branch.len));
    return refer(&members, whole, ret);
}

static enum ms_err check(const struct eth_trie_entry *entries, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (entries[i].path.len > ETH_MPT_PATH_MAX_BYTES || entries[i].value.len == 0 ||
            (i > 0 && by_path(&entries[i - 1], &entries[i]) == 0))
            return MS_ERR_ARGUMENT;
        if (entries[i].value.len > UINT32_MAX)
            return MS_ERR_LIMIT;
    }
    return MS_OK;
}

enum ms_err eth_trie_root(struct eth_trie_entry *entries, size_t n, struct eth_hash *ret_root)
{
    struct reference root;

    if (n == 0) {
        *ret_root = eth_empty_trie_root;
        return MS_OK;
    }
    qsort(entries, n, sizeof(entries[0]), by_path);
    enum ms_err err = check(entries, n);
    if (err == MS_OK)
        err = node_of(entries, n, 0, true, &root);
    if (err == MS_OK)
        memcpy(ret_root->b, root.b + 1, ETH_HASH_BYTES); /* behind its prefix */
    return err;
}

enum ms_err eth_trie_list_root(const struct ms_span *values, size_t n, struct eth_hash *ret_root)
{
    struct eth_trie_entry *entries = calloc(n + 1, sizeof(*entries));
    uint8_t *keys = calloc(n + 1, INDEX_KEY_BYTES);
    enum ms_err err = entries == NULL || keys == NULL ? MS_ERR_MEMORY : MS_OK;

    for (size_t i = 0; err == MS_OK && i < n; i++) {
        struct ms_buf key = MS_BUF_INIT(INDEX_KEY_BYTES);
        err = eth_rlp_add_u64(&key, i);
        if (err == MS_OK)
            memcpy(keys + i * INDEX_KEY_BYTES, key.ptr, key.len);
        entries[i] =
            (struct eth_trie_entry){ms_span_of(keys + i * INDEX_KEY_BYTES, key.len), values[i]};
        ms_buf_done(&key);
    }
    if (err == MS_OK)
        err = eth_trie_root(entries, n, ret_root);
    free(entries);
    free(keys);
    return err;
}
