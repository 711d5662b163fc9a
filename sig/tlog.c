/* sig/tlog.c - the Merkle tree of a log. */
#include "sig/tlog.h"

#include <inttypes.h>

#define TILE_HEIGHT 8u
#define BAD_BITS 64u

struct ms_sha256 msig_tlog_leaf(struct ms_span entry)
{
    static const uint8_t zero = 0;
    struct ms_span parts[] = {{&zero, 1}, entry};
    return ms_sha256_parts(parts, MS_ARRAY_LEN(parts));
}

struct ms_sha256 msig_tlog_node(const struct ms_sha256 *left, const struct ms_sha256 *right)
{
    uint8_t both[1 + 2 * MS_SHA256_BYTES] = {1};

    memcpy(both + 1, left->b, MS_SHA256_BYTES);
    memcpy(both + 1 + MS_SHA256_BYTES, right->b, MS_SHA256_BYTES);
    return ms_sha256(ms_span_of(both, sizeof(both)));
}

static unsigned count_bits(uint64_t value)
{
    unsigned n = 0;

    for (; value != 0; value &= value - 1)
        n++;
    return n;
}

/* ---- the edge ---- */

enum ms_err msig_tlog_edge_add(struct msig_tlog_edge *edge, unsigned height,
                               const struct ms_sha256 *hash)
{
    uint64_t leaves;
    struct ms_sha256 node = *hash;
    unsigned n = count_bits(edge->size);

    if (height >= BAD_BITS - 1)
        return MS_ERR_LIMIT;
    leaves = (uint64_t)1 << height;
    if ((edge->size & (leaves - 1)) != 0)
        return MS_ERR_ARGUMENT;
    if (leaves > MSIG_TLOG_SIZE_MAX - edge->size)
        return MS_ERR_LIMIT;
    /* each subtree of equal size to the left becomes one with the new one */
    for (uint64_t at = leaves; (edge->size & at) != 0; at <<= 1)
        node = msig_tlog_node(&edge->hash[--n], &node);
    edge->hash[n] = node;
    edge->size += leaves;
    return MS_OK;
}

struct ms_sha256 msig_tlog_edge_root(const struct msig_tlog_edge *edge)
{
    unsigned n = count_bits(edge->size);

    if (n == 0)
        return ms_sha256((struct ms_span){0});
    struct ms_sha256 root = edge->hash[n - 1];
    for (unsigned i = n - 1; i-- > 0;)
        root = msig_tlog_node(&edge->hash[i], &root);
    return root;
}

/* ---- tiles ---- */

unsigned msig_tlog_tile_width(uint64_t size, unsigned level, uint64_t index)
{
    uint64_t hashes = level >= MSIG_TLOG_TILE_LEVELS ? 0 : size >> (TILE_HEIGHT * level);
    uint64_t full = hashes / MSIG_TLOG_TILE_WIDTH;

    if (index < full)
        return MSIG_TLOG_TILE_WIDTH;
    return index == full ? (unsigned)(hashes % MSIG_TLOG_TILE_WIDTH) : 0;
}

enum ms_err msig_tlog_tile_path(const struct msig_tlog_tile *tile, struct ms_buf *out)
{
    uint64_t unit = 1;

    if (tile->level == MSIG_TLOG_ENTRIES)
        (void)ms_buf_add_str(out, "tile/entries");
    else
        (void)ms_buf_addf(out, "tile/%u", tile->level);
    while (tile->index / unit >= 1000)
        unit *= 1000;
    for (; unit > 1; unit /= 1000)
        (void)ms_buf_addf(out, "/x%03u", (unsigned)(tile->index / unit % 1000));
    (void)ms_buf_addf(out, "/%03u", (unsigned)(tile->index % 1000));
    if (tile->width < MSIG_TLOG_TILE_WIDTH)
        (void)ms_buf_addf(out, ".p/%u", tile->width);
    return ms_buf_err(out);
}

/* Exactly three digits. */
static bool read_group(struct ms_span text, uint64_t *value)
{
    uint64_t group = 0;

    if (text.len != 3)
        return false;
    for (size_t i = 0; i < 3; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
        group = group * 10 + (uint64_t)(text.ptr[i] - '0');
    }
    if (*value > ((UINT64_MAX >> TILE_HEIGHT) - group) / 1000)
        return false;
    *value = *value * 1000 + group;
    return true;
}

/* "x001/x234/067": no group may be left out, none be put in front. */
static bool read_index(struct ms_span text, uint64_t *ret_index)
{
    uint64_t value = 0;
    struct ms_span group, rest = text;

    while (ms_span_cut(rest, '/', &group, &rest)) {
        if (group.len != 4 || group.ptr[0] != 'x' || !read_group(ms_span_sub(group, 1, 3), &value))
            return false;
        if (value == 0)
            return false; /* "x000/067" would be a second name of "067" */
    }
    if (!read_group(rest, &value))
        return false;
    *ret_index = value;
    return true;
}

/* "N" or "N.p/W" behind the level. */
static bool read_place(struct ms_span text, struct msig_tlog_tile *tile)
{
    struct ms_span index = text, width;
    uint64_t value = MSIG_TLOG_TILE_WIDTH;

    if (ms_span_cut(text, '.', &index, &width)) {
        if (!ms_span_starts(width, "p/") ||
            !ms_span_u64(ms_span_sub(width, 2, width.len), &value) || value == 0 ||
            value >= MSIG_TLOG_TILE_WIDTH)
            return false;
    }
    tile->width = (unsigned)value;
    return read_index(index, &tile->index);
}

enum ms_err msig_tlog_tile_parse(struct ms_span path, struct msig_tlog_tile *ret_tile)
{
    struct msig_tlog_tile tile = {0};
    struct ms_span level, place;
    uint64_t number = 0;

    if (!ms_span_starts(path, "tile/") ||
        !ms_span_cut(ms_span_sub(path, 5, path.len), '/', &level, &place))
        return MS_ERR_SYNTAX;
    if (ms_span_eq_str(level, "entries"))
        tile.level = MSIG_TLOG_ENTRIES;
    else if (ms_span_u64(level, &number) && number < 64)
        tile.level = (unsigned)number;
    else
        return MS_ERR_SYNTAX;
    if (!read_place(place, &tile))
        return MS_ERR_SYNTAX;
    *ret_tile = tile;
    return MS_OK;
}

/* ---- reading the tree ---- */

static struct ms_sha256 hash_at(const uint8_t *bytes, uint64_t i)
{
    struct ms_sha256 hash;
    memcpy(hash.b, bytes + i * MS_SHA256_BYTES, sizeof(hash.b));
    return hash;
}

struct ms_sha256 msig_tlog_fold(const uint8_t *hashes, unsigned height)
{
    struct msig_tlog_edge edge = {0};

    for (uint64_t i = 0; i < (uint64_t)1 << height; i++) {
        struct ms_sha256 hash = hash_at(hashes, i);
        enum ms_err err = msig_tlog_edge_add(&edge, 0, &hash);
        (void)err; /* at most 256 of them */
    }
    return msig_tlog_edge_root(&edge);
}

/* The hash of the perfect subtree of 2^height leaves that begins at leaf index << height. */
static enum ms_err read_subtree(struct msig_tlog_tree *tree, unsigned height, uint64_t index,
                                struct ms_sha256 *ret_hash, struct ms_diag *diag)
{
    unsigned level = height / TILE_HEIGHT, within = height % TILE_HEIGHT;
    uint64_t first = index << within, tile = first / MSIG_TLOG_TILE_WIDTH;

    if (level >= MSIG_TLOG_TILE_LEVELS)
        return MS_ERR_RANGE;
    if (!tree->last[level].used || tree->last[level].index != tile) {
        unsigned width = msig_tlog_tile_width(tree->size, level, tile);
        tree->last[level].used = false;
        enum ms_err err = tree->read(tree->arg, level, tile, width, tree->last[level].bytes, diag);
        if (err != MS_OK)
            return err;
        tree->last[level].used = true;
        tree->last[level].index = tile;
    }
    const uint8_t *bytes = tree->last[level].bytes;
    *ret_hash = msig_tlog_fold(bytes + first % MSIG_TLOG_TILE_WIDTH * MS_SHA256_BYTES, within);
    return MS_OK;
}

static unsigned height_of(uint64_t leaves)
{
    unsigned height = 0;

    while (leaves >> height > 1)
        height++;
    return height;
}

/* MTH(D[from : from + leaves]), leaves > 0: the perfect subtrees from left to right, then joined
 * from the right. `from` is a multiple of the largest of them, as in every range RFC 6962 names. */
static enum ms_err range_hash(struct msig_tlog_tree *tree, uint64_t from, uint64_t leaves,
                              struct ms_sha256 *ret_hash, struct ms_diag *diag)
{
    struct msig_tlog_edge edge = {0};

    while (leaves > 0) {
        unsigned height = height_of(leaves);
        struct ms_sha256 hash;
        enum ms_err err = read_subtree(tree, height, from >> height, &hash, diag);
        if (err == MS_OK)
            err = msig_tlog_edge_add(&edge, height, &hash);
        if (err != MS_OK)
            return err;
        from += (uint64_t)1 << height;
        leaves -= (uint64_t)1 << height;
    }
    *ret_hash = msig_tlog_edge_root(&edge);
    return MS_OK;
}

static enum ms_err too_few(struct ms_diag *diag, uint64_t size, uint64_t has)
{
    return ms_diag_set(diag, MS_ERR_RANGE,
                       "the log has %" PRIu64 " entries, %" PRIu64 " were asked about", has, size);
}

enum ms_err msig_tlog_root(struct msig_tlog_tree *tree, uint64_t size, struct ms_sha256 *ret_root,
                           struct ms_diag *diag)
{
    if (size > tree->size)
        return too_few(diag, size, tree->size);
    if (size == 0) {
        *ret_root = ms_sha256((struct ms_span){0});
        return MS_OK;
    }
    return range_hash(tree, 0, size, ret_root, diag);
}

/* ---- proofs ---- */

/* Largest power of two below n; n > 1. */
static uint64_t split(uint64_t n)
{
    return (uint64_t)1 << height_of(n - 1);
}

struct step { /* a half of the tree that a proof does not go into */
    uint64_t from, leaves;
};

/* The halves that were not gone into, root's side first, become the path, leaf's side first. */
static enum ms_err hash_steps(struct msig_tlog_tree *tree, const struct step *steps, size_t n,
                              struct msig_tlog_path *path, struct ms_diag *diag)
{
    for (size_t i = n; i-- > 0;) {
        enum ms_err err =
            range_hash(tree, steps[i].from, steps[i].leaves, &path->hash[path->n], diag);
        if (err != MS_OK)
            return err;
        path->n++;
    }
    return MS_OK;
}

enum ms_err msig_tlog_inclusion(struct msig_tlog_tree *tree, uint64_t index, uint64_t size,
                                struct msig_tlog_path *ret_path, struct ms_diag *diag)
{
    struct step steps[MSIG_TLOG_DEPTH_MAX];
    uint64_t from = 0, leaves = size;
    size_t n = 0;

    if (size > tree->size || index >= size)
        return too_few(diag, size > tree->size ? size : index + 1, tree->size);
    while (leaves > 1) {
        uint64_t k = split(leaves);
        if (index - from < k) {
            steps[n++] = (struct step){from + k, leaves - k};
            leaves = k;
        } else {
            steps[n++] = (struct step){from, k};
            from += k;
            leaves -= k;
        }
    }
    ret_path->n = 0;
    return hash_steps(tree, steps, n, ret_path, diag);
}

/* SUBPROOF of RFC 6962, 2.1.2: go where the old tree ends; when that is a whole subtree that is not
 * the old tree itself, its hash begins the proof. */
enum ms_err msig_tlog_consistency(struct msig_tlog_tree *tree, uint64_t old, uint64_t size,
                                  struct msig_tlog_path *ret_path, struct ms_diag *diag)
{
    struct step steps[MSIG_TLOG_DEPTH_MAX + 1];
    uint64_t from = 0, leaves = size;
    size_t n = 0;

    if (size > tree->size || old > size)
        return too_few(diag, size > tree->size ? size : old, tree->size);
    ret_path->n = 0;
    if (old == 0 || old == size)
        return MS_OK;
    while (from + leaves != old) {
        uint64_t k = split(leaves);
        if (old - from <= k) {
            steps[n++] = (struct step){from + k, leaves - k};
            leaves = k;
        } else {
            steps[n++] = (struct step){from, k};
            from += k;
            leaves -= k;
        }
    }
    if (from != 0)
        steps[n++] = (struct step){from, leaves};
    return hash_steps(tree, steps, n, ret_path, diag);
}

enum ms_err msig_tlog_verify_inclusion(const struct msig_tlog_path *path, uint64_t index,
                                       uint64_t size, const struct ms_sha256 *leaf,
                                       const struct ms_sha256 *root)
{
    if (index >= size || path->n > MSIG_TLOG_DEPTH_MAX)
        return MS_ERR_PROOF;
    uint64_t fn = index, sn = size - 1;
    struct ms_sha256 r = *leaf;
    for (size_t i = 0; i < path->n; i++) {
        if (sn == 0)
            return MS_ERR_PROOF;
        if ((fn & 1) != 0 || fn == sn) {
            r = msig_tlog_node(&path->hash[i], &r);
            for (; (fn & 1) == 0 && fn != 0; fn >>= 1)
                sn >>= 1;
        } else {
            r = msig_tlog_node(&r, &path->hash[i]);
        }
        fn >>= 1;
        sn >>= 1;
    }
    return sn == 0 && ms_sha256_eq(&r, root) ? MS_OK : MS_ERR_PROOF;
}

enum ms_err msig_tlog_verify_consistency(const struct msig_tlog_path *path, uint64_t old,
                                         uint64_t size, const struct ms_sha256 *old_root,
                                         const struct ms_sha256 *root)
{
    size_t at = 0;

    if (old > size || path->n > MSIG_TLOG_DEPTH_MAX)
        return MS_ERR_PROOF;
    if (old == 0) {
        struct ms_sha256 empty = ms_sha256((struct ms_span){0});
        return path->n == 0 && ms_sha256_eq(old_root, &empty) ? MS_OK : MS_ERR_PROOF;
    }
    if (old == size)
        return path->n == 0 && ms_sha256_eq(old_root, root) ? MS_OK : MS_ERR_PROOF;
    uint64_t fn = old - 1, sn = size - 1;
    for (; (fn & 1) != 0; fn >>= 1)
        sn >>= 1;
    /* a power of two: the old root itself begins the proof, and is left out */
    if (fn != 0 && path->n == 0)
        return MS_ERR_PROOF;
    struct ms_sha256 fr = fn == 0 ? *old_root : path->hash[at++], sr = fr;
    for (; at < path->n; at++) {
        const struct ms_sha256 *c = &path->hash[at];
        if (sn == 0)
            return MS_ERR_PROOF;
        if ((fn & 1) != 0 || fn == sn) {
            fr = msig_tlog_node(c, &fr);
            sr = msig_tlog_node(c, &sr);
            for (; (fn & 1) == 0 && fn != 0; fn >>= 1)
                sn >>= 1;
        } else {
            sr = msig_tlog_node(&sr, c);
        }
        fn >>= 1;
        sn >>= 1;
    }
    return sn == 0 && ms_sha256_eq(&fr, old_root) && ms_sha256_eq(&sr, root) ? MS_OK : MS_ERR_PROOF;
}

/* ---- entries ---- */

bool msig_tlog_next_entry(struct ms_span bundle, size_t *at, struct ms_span *ret_entry)
{
    size_t left = bundle.len - *at;

    if (left < 2)
        return false;
    size_t len = (size_t)bundle.ptr[*at] << 8 | bundle.ptr[*at + 1];
    if (len > left - 2)
        return false;
    *ret_entry = ms_span_of(bundle.ptr + *at + 2, len);
    *at += 2 + len;
    return true;
}

enum ms_err msig_tlog_add_entry(struct ms_buf *bundle, struct ms_span entry)
{
    if (entry.len > MSIG_TLOG_ENTRY_MAX)
        return MS_ERR_LIMIT;
    (void)ms_buf_add_byte(bundle, (uint8_t)(entry.len >> 8));
    (void)ms_buf_add_byte(bundle, (uint8_t)entry.len);
    return ms_buf_add(bundle, entry);
}
