/* sig/tlog.h - the Merkle tree of a transparency log (RFC 6962 section 2.1, RFC 9162 section 2.1):
 * growing, roots, proofs of inclusion and of consistency, and the tiles in which a log is kept and
 * served (c2sp.org/tlog-tiles).
 *
 * A tree of `size` leaves is read as tiles: level L holds the hashes of the perfect subtrees of
 * 256^L leaves, 256 a tile. Proofs are made from tiles and verified by the iterative algorithms of
 * RFC 9162, which know nothing of tiles. Pure; thread-safe. */
#ifndef MS_SIG_TLOG_H
#define MS_SIG_TLOG_H

#include "base/buf.h"
#include "base/digest.h"

#define MSIG_TLOG_DEPTH_MAX 64u   /* bits of a size */
#define MSIG_TLOG_TILE_WIDTH 256u /* hashes of a full tile */
#define MSIG_TLOG_TILE_BYTES (MSIG_TLOG_TILE_WIDTH * MS_SHA256_BYTES)
#define MSIG_TLOG_TILE_LEVELS 8u     /* levels that can hold something: 256^8 is 2^64 */
#define MSIG_TLOG_SIZE_MAX INT64_MAX /* leaves; SQLite's integers end there */
#define MSIG_TLOG_PATH_MAX 64u

/* SHA-256(0x00 || entry); SHA-256(0x01 || left || right). */
struct ms_sha256 msig_tlog_leaf(struct ms_span entry);
struct ms_sha256 msig_tlog_node(const struct ms_sha256 *left, const struct ms_sha256 *right);

/* The right edge of a growing tree: the roots of its perfect subtrees, largest first; as many as
 * its size has bits set. A zeroed one is the empty tree. */
struct msig_tlog_edge {
    uint64_t size;
    struct ms_sha256 hash[MSIG_TLOG_DEPTH_MAX];
};

/* Append a perfect subtree of 2^height leaves by its root; height 0 is a leaf's hash.
 * MS_ERR_ARGUMENT the size is no multiple of 2^height; MS_ERR_LIMIT beyond MSIG_TLOG_SIZE_MAX. */
MS_MUST_USE enum ms_err msig_tlog_edge_add(struct msig_tlog_edge *edge, unsigned height,
                                           const struct ms_sha256 *hash);
/* Of the empty tree: SHA-256 of nothing. */
struct ms_sha256 msig_tlog_edge_root(const struct msig_tlog_edge *edge);

/* ---- tiles ---- */
/* Hashes of tile `index` of `level` in a tree of `size` leaves: 0 (there is no such tile) to 256.
 */
unsigned msig_tlog_tile_width(uint64_t size, unsigned level, uint64_t index);

/* Root over 2^height hashes that stand in a row, of equal subtrees; height at most 8. */
struct ms_sha256 msig_tlog_fold(const uint8_t *hashes, unsigned height);

#define MSIG_TLOG_ENTRIES UINT32_MAX /* as level: the entries under tile `index` of level 0 */
struct msig_tlog_tile {
    unsigned level; /* or MSIG_TLOG_ENTRIES */
    uint64_t index;
    unsigned width; /* 1..256 */
};
/* "tile/0/x001/234.p/5", "tile/entries/067". */
enum ms_err msig_tlog_tile_path(const struct msig_tlog_tile *tile, struct ms_buf *out);
/* Exactly such a path. MS_ERR_SYNTAX. */
MS_MUST_USE enum ms_err msig_tlog_tile_parse(struct ms_span path, struct msig_tlog_tile *ret_tile);

/* Where tiles come from. What it gives is believed: a proof that comes out is right when it
 * verifies, and msig_tlog_root when it is the root that somebody signed.
 *   out  room for width * 32 bytes; all of them must be written on MS_OK */
typedef enum ms_err msig_tlog_read(void *arg, unsigned level, uint64_t index, unsigned width,
                                   uint8_t *out, struct ms_diag *diag);

struct msig_tlog_tree { /* zero the rest */
    uint64_t size;
    msig_tlog_read *read;
    void *arg;
    /* the tile of each level that was read last */
    struct {
        bool used;
        uint64_t index;
        uint8_t bytes[MSIG_TLOG_TILE_BYTES];
    } last[MSIG_TLOG_TILE_LEVELS];
};

/* Root of the first `size` leaves. MS_ERR_RANGE more than the tree has; errors of read. */
MS_MUST_USE enum ms_err msig_tlog_root(struct msig_tlog_tree *tree, uint64_t size,
                                       struct ms_sha256 *ret_root, struct ms_diag *diag);

/* ---- proofs ---- */
struct msig_tlog_path {
    size_t n;
    struct ms_sha256 hash[MSIG_TLOG_DEPTH_MAX]; /* from the leaf's side to the root's */
};

/* Of leaf `index` in the tree of the first `size` leaves. MS_ERR_RANGE unless index < size <=
 * tree->size; errors of read. */
MS_MUST_USE enum ms_err msig_tlog_inclusion(struct msig_tlog_tree *tree, uint64_t index,
                                            uint64_t size, struct msig_tlog_path *ret_path,
                                            struct ms_diag *diag);
/* Between the trees of the first `old` and the first `size` leaves; empty when old is 0 or size.
 * MS_ERR_RANGE unless old <= size <= tree->size. */
MS_MUST_USE enum ms_err msig_tlog_consistency(struct msig_tlog_tree *tree, uint64_t old,
                                              uint64_t size, struct msig_tlog_path *ret_path,
                                              struct ms_diag *diag);

/* RFC 9162, 2.1.3.2. MS_ERR_PROOF. */
MS_MUST_USE enum ms_err msig_tlog_verify_inclusion(const struct msig_tlog_path *path,
                                                   uint64_t index, uint64_t size,
                                                   const struct ms_sha256 *leaf,
                                                   const struct ms_sha256 *root);
/* RFC 9162, 2.1.4.2; an old tree of no leaves is consistent with every tree, and its root must be
 * that of the empty tree. MS_ERR_PROOF. */
MS_MUST_USE enum ms_err msig_tlog_verify_consistency(const struct msig_tlog_path *path,
                                                     uint64_t old, uint64_t size,
                                                     const struct ms_sha256 *old_root,
                                                     const struct ms_sha256 *root);

/* ---- entries ---- */
#define MSIG_TLOG_ENTRY_MAX 65535u /* a bundle's lengths have 16 bits */
/* The next entry of a bundle of entries, from *at on. false at its end, or (then *at is not the
 * length) when it is malformed. */
bool msig_tlog_next_entry(struct ms_span bundle, size_t *at, struct ms_span *ret_entry);
/* MS_ERR_LIMIT longer than MSIG_TLOG_ENTRY_MAX. */
enum ms_err msig_tlog_add_entry(struct ms_buf *bundle, struct ms_span entry);

#endif
