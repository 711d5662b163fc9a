/* cli/log_whole.c - every file of a log under one checkpoint: its entries, its tiles, and the
 * evidence that is there. */
#include "cli/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* The tiles of one level against the hashes of that level. */
static enum ms_err check_level(struct msig_tlog_tree *tree, unsigned level,
                               const struct ms_sha256 *hashes, uint64_t *n_tiles,
                               struct ms_diag *diag)
{
    uint8_t bytes[MSIG_TLOG_TILE_BYTES];
    enum ms_err err = MS_OK;
    unsigned width;

    for (uint64_t i = 0; err == MS_OK && (width = msig_tlog_tile_width(tree->size, level, i)) > 0;
         i++) {
        err = tree->read(tree->arg, level, i, width, bytes, diag);
        if (err == MS_OK &&
            memcmp(bytes, hashes[i * MSIG_TLOG_TILE_WIDTH].b, width * MS_SHA256_BYTES) != 0)
            err = ms_diag_set(
                diag, MS_ERR_PROOF,
                "tile %" PRIu64 " of level %u does not have the hashes of the entries", i, level);
        *n_tiles += err == MS_OK;
    }
    return err;
}

/* `hashes` is overwritten with those of each level in turn. */
static enum ms_err check_tiles(struct log_source *source, uint64_t size, struct ms_sha256 *hashes,
                               uint64_t *n_tiles, struct ms_diag *diag)
{
    struct msig_tlog_tree *tree = calloc(1, sizeof(*tree));
    enum ms_err err = tree == NULL ? MS_ERR_MEMORY : MS_OK;

    if (err == MS_OK)
        log_tree_init(tree, source, size);
    for (unsigned level = 0; err == MS_OK && level < MSIG_TLOG_TILE_LEVELS; level++) {
        err = check_level(tree, level, hashes, n_tiles, diag);
        for (uint64_t i = 0; msig_tlog_tile_width(size, level, i) == MSIG_TLOG_TILE_WIDTH; i++)
            hashes[i] = msig_tlog_fold(hashes[i * MSIG_TLOG_TILE_WIDTH].b, 8);
    }
    free(tree);
    return err;
}

static enum ms_err check_evidence(struct log_source *source, const struct leaf *leaf,
                                  struct log_whole *whole, struct ms_diag *diag)
{
    struct ms_buf text = MS_BUF_INIT(LOG_EVIDENCE_MAX_BYTES);
    char name[128], hex[2 * MS_SHA256_BYTES + 1];

    ms_sha256_hex(&leaf->evidence, hex);
    (void)snprintf(name, sizeof(name), "v1/evidence/%s", hex);
    enum ms_err err = log_source_get(source, name, &text, diag);
    struct ms_sha256 hash = ms_sha256(ms_buf_span(&text));
    if (err == MS_ERR_NOT_FOUND) {
        err = MS_OK;
        whole->n_missing++;
    } else if (err == MS_OK && !ms_sha256_eq(&hash, &leaf->evidence)) {
        err = ms_diag_set(diag, MS_ERR_HASH, "%s does not have the bytes that it is named after",
                          name);
    } else if (err == MS_OK) {
        whole->n_bundles++;
    }
    ms_buf_done(&text);
    return err;
}

enum ms_err log_whole_check(struct log_source *source, const struct msig_checkpoint *checkpoint,
                            struct log_whole *ret_whole, struct ms_diag *diag)
{
    struct log_entries entries = {0};
    struct log_whole whole = {0};

    enum ms_err err = log_entries_get(source, checkpoint, &entries, diag);
    if (err == MS_OK)
        err = check_tiles(source, checkpoint->size, entries.hashes, &whole.n_tiles, diag);
    for (size_t i = 0; err == MS_OK && i < entries.n; i++)
        if (entries.leaves[i].has_evidence)
            err = check_evidence(source, &entries.leaves[i], &whole, diag);
    log_entries_done(&entries);
    if (err == MS_OK)
        *ret_whole = whole;
    return err;
}
