/* cache/log_audit.c - the whole log recomputed and compared. */
#include "cache/internal.h"
#include "cache/log.h"
#include "resolver/entry/leaf.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define SENTENCE_MAX 400

enum ms_err cache_log_continues(struct cache *cache, const struct msig_checkpoint *checkpoint,
                                struct ms_diag *diag)
{
    struct msig_tlog_tree *tree = calloc(1, sizeof(*tree));
    struct ms_sha256 root;

    if (tree == NULL)
        return MS_ERR_MEMORY;
    enum ms_err err = cache_log_tree(cache, tree, diag);
    if (err == MS_OK && checkpoint->size > tree->size)
        err = ms_diag_set(diag, MS_ERR_CONFLICT,
                          "the log has %" PRIu64 " entries, but one of %" PRIu64
                          " was signed: it was cut, or an older database was put back",
                          tree->size, checkpoint->size);
    if (err == MS_OK)
        err = msig_tlog_root(tree, checkpoint->size, &root, diag);
    if (err == MS_OK && !ms_sha256_eq(&root, &checkpoint->root))
        err =
            ms_diag_set(diag, MS_ERR_CONFLICT,
                        "the first %" PRIu64 " entries of the log are not those that were signed: "
                        "it was rewritten",
                        checkpoint->size);
    free(tree);
    return err;
}

struct audit {
    struct cache *cache;
    const struct msig_vkey *witnesses;
    size_t n_witnesses;
    cache_log_fault_fn *fn;
    void *arg;
    struct cache_log_report report;
    struct msig_tlog_edge edge;
    struct { /* the tile that is being filled, of each level */
        unsigned width;
        uint8_t bytes[MSIG_TLOG_TILE_BYTES];
    } tile[MSIG_TLOG_TILE_LEVELS];
    /* the next checkpoint that the tree grows towards */
    bool more;
    struct cache_checkpoint checkpoint;
    struct ms_arena arena;
    struct ms_diag *diag;
};

static void fault(struct audit *a, const char *fmt, ...) MS_PRINTF(2, 3);
static void fault(struct audit *a, const char *fmt, ...)
{
    char text[SENTENCE_MAX];
    va_list args;

    a->report.faults++;
    if (a->fn == NULL)
        return;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    a->fn(a->arg, text);
}

/* ---- entries ---- */

static bool same_facts(const struct leaf *leaf, const struct cache_history *h)
{
    return ms_sha256_eq(&leaf->spec, &h->key) && leaf->level == h->level &&
           leaf->time_s == (h->time_s < 0 ? 0 : h->time_s) &&
           strcmp(leaf->state, cache_status_name(h->status)) == 0 &&
           ms_sha256_eq(&leaf->result, &h->set_hash) && leaf->has_evidence == h->has_bundle &&
           (!h->has_bundle || ms_sha256_eq(&leaf->evidence, &h->bundle)) &&
           (!leaf->has_sequence || (h->has_sequence && h->sequence == leaf->sequence));
}

static enum ms_err check_row(struct audit *a, const struct leaf *leaf)
{
    struct ms_arena arena = MS_ARENA_INIT(CACHE_HISTORY_ARENA_BYTES);
    struct cache_history h = {0};
    bool found = false;

    enum ms_err err = cache_history_at(a->cache, leaf->n, &arena, &h, &found, a->diag);
    if (err == MS_ERR_HMAC || err == MS_ERR_LIMIT) {
        fault(a, "history row %" PRIu64 " was changed", leaf->n);
        *a->diag = (struct ms_diag){0}; /* it is told */
        err = MS_OK;
    } else if (err == MS_OK && !found) {
        fault(a, "history row %" PRIu64 " is missing, the log has it", leaf->n);
    } else if (err == MS_OK && !same_facts(leaf, &h)) {
        fault(a, "history row %" PRIu64 " and its log entry tell different things", leaf->n);
    }
    ms_arena_done(&arena);
    return err;
}

static enum ms_err check_prev(struct audit *a, const struct leaf *leaf)
{
    struct ms_sha256 prev;
    bool found = false;

    enum ms_err err = cache_log_prev(a->cache, &leaf->spec, leaf->n, &prev, &found, a->diag);
    if (err == MS_OK && (found != leaf->has_prev || (found && !ms_sha256_eq(&prev, &leaf->prev))))
        fault(a, "log entry %" PRIu64 " does not follow the entry before it of its specifier",
              leaf->n);
    return err;
}

static enum ms_err check_entry(struct audit *a, uint64_t n, struct ms_span entry)
{
    struct leaf leaf;

    if (leaf_parse(entry, &leaf) != MS_OK) {
        fault(a, "log entry %" PRIu64 " is malformed", n);
        return MS_OK;
    }
    if (leaf.n != n) {
        fault(a, "log entry %" PRIu64 " says that it is number %" PRIu64, n, leaf.n);
        return MS_OK;
    }
    /* a row that could not be read when the log began (log.c) */
    if (strcmp(leaf.state, cache_status_name(CACHE_STATUS_NONE)) == 0) {
        fault(a, "history row %" PRIu64 " was missing or not ours when the log began", n);
        return MS_OK;
    }
    enum ms_err err = check_row(a, &leaf);
    return err == MS_OK ? check_prev(a, &leaf) : err;
}

/* ---- tiles ---- */

/* Compare what is stored of the tile of this level that ends before leaf `size`. */
static enum ms_err check_tile(struct audit *a, unsigned level, uint64_t index, unsigned width)
{
    uint8_t bytes[MSIG_TLOG_TILE_BYTES];
    unsigned has = 0;

    enum ms_err err = cache_log_stored_tile(a->cache, level, index, bytes, &has, a->diag);
    if (err == MS_ERR_HMAC) {
        fault(a, "tile %" PRIu64 " of level %u was changed", index, level);
        *a->diag = (struct ms_diag){0}; /* it is told */
        return MS_OK;
    }
    if (err != MS_OK)
        return err;
    a->report.tiles++;
    if (has != width)
        fault(a, "tile %" PRIu64 " of level %u has %u hashes instead of %u", index, level, has,
              width);
    else if (memcmp(bytes, a->tile[level].bytes, (size_t)width * MS_SHA256_BYTES) != 0)
        fault(a, "tile %" PRIu64 " of level %u is not that of the entries", index, level);
    return MS_OK;
}

static enum ms_err add_hash(struct audit *a, struct ms_sha256 hash)
{
    enum ms_err err = MS_OK;

    for (unsigned level = 0; err == MS_OK && level < MSIG_TLOG_TILE_LEVELS; level++) {
        unsigned at = a->tile[level].width++;
        memcpy(a->tile[level].bytes + (size_t)at * MS_SHA256_BYTES, hash.b, sizeof(hash.b));
        if (a->tile[level].width < MSIG_TLOG_TILE_WIDTH)
            break;
        err = check_tile(a, level, (a->edge.size >> (8 * level) >> 8) - 1, MSIG_TLOG_TILE_WIDTH);
        hash = msig_tlog_fold(a->tile[level].bytes, 8);
        a->tile[level].width = 0;
    }
    return err;
}

/* The last tiles of the levels above 0 are stored although they are not full. */
static enum ms_err check_edge(struct audit *a)
{
    enum ms_err err = MS_OK;

    for (unsigned level = 1; err == MS_OK && level < MSIG_TLOG_TILE_LEVELS; level++)
        if (a->tile[level].width > 0)
            err = check_tile(a, level, a->edge.size >> (8 * level) >> 8, a->tile[level].width);
    return err;
}

/* ---- checkpoints ---- */

static void check_cosignatures(struct audit *a, const struct msig_note *note)
{
    for (size_t i = 0; i < a->n_witnesses; i++) {
        struct ms_diag why = {0};
        enum ms_err err = msig_note_verify(note, &a->witnesses[i], NULL, &why);
        if (err == MS_OK)
            a->report.cosignatures++;
        else if (err != MS_ERR_NOT_FOUND)
            fault(a, "the checkpoint of %" PRIu64 " entries: %.200s", a->checkpoint.size, why.text);
    }
}

/* The tree has as many leaves as the checkpoint says. */
static void check_checkpoint(struct audit *a)
{
    struct ms_sha256 root = msig_tlog_edge_root(&a->edge);
    struct msig_checkpoint c;
    struct msig_vkey key;
    struct ms_diag why = {0};
    struct msig_note *note = calloc(1, sizeof(*note));

    a->report.checkpoints++;
    enum ms_err err =
        note == NULL ? MS_ERR_MEMORY : msig_vkey_parse(ms_span_str(a->checkpoint.vkey), &key, &why);
    if (err == MS_OK)
        err = msig_checkpoint_open(ms_span_str(a->checkpoint.note), &key, note, &c, &why);
    if (err != MS_OK)
        fault(a, "the checkpoint of %" PRIu64 " entries: %.200s", a->checkpoint.size,
              ms_diag_text(&why, err));
    else if (c.size != a->edge.size || !ms_sha256_eq(&c.root, &root))
        fault(a,
              "the checkpoint of %" PRIu64
              " entries was signed over other entries: the log was rewritten",
              a->checkpoint.size);
    else
        check_cosignatures(a, note);
    free(note);
}

static enum ms_err next_checkpoint(struct audit *a, uint64_t from)
{
    struct ms_diag why = {0};

    ms_arena_done(&a->arena);
    a->arena = (struct ms_arena)MS_ARENA_INIT((size_t)2 * MSIG_NOTE_MAX_BYTES);
    enum ms_err err =
        cache_checkpoint_next(a->cache, from, &a->arena, &a->checkpoint, &a->more, &why);
    if (err == MS_ERR_HMAC || err == MS_ERR_LIMIT) {
        fault(a, "a checkpoint of %" PRIu64 " entries or more was changed", from);
        a->more = false; /* what stands behind it cannot be named */
        return MS_OK;
    }
    if (err != MS_OK && a->diag != NULL)
        *a->diag = why;
    return err;
}

static enum ms_err pass_checkpoints(struct audit *a)
{
    enum ms_err err = MS_OK;

    while (err == MS_OK && a->more && a->checkpoint.size == a->edge.size) {
        check_checkpoint(a);
        err = next_checkpoint(a, a->checkpoint.size + 1);
    }
    return err;
}

/* ---- the walk ---- */

static enum ms_err take_entry(void *arg, uint64_t n, struct ms_span entry)
{
    struct audit *a = arg;
    struct ms_sha256 leaf = msig_tlog_leaf(entry);

    a->report.entries++;
    enum ms_err err = check_entry(a, n, entry);
    if (err == MS_OK)
        err = msig_tlog_edge_add(&a->edge, 0, &leaf);
    if (err == MS_OK)
        err = add_hash(a, leaf);
    return err == MS_OK ? pass_checkpoints(a) : err;
}

/* What stands behind the end of the log. */
static enum ms_err check_end(struct audit *a)
{
    int64_t rows = 0;
    enum ms_err err = check_edge(a);

    if (err == MS_OK)
        err = cache_history_last(a->cache, &rows, a->diag);
    if (err == MS_OK && (uint64_t)rows > a->edge.size)
        fault(a, "history row %" PRIu64 " is not in the log", a->edge.size + 1);
    while (err == MS_OK && a->more) {
        fault(a,
              "the log has %" PRIu64 " entries, but one of %" PRIu64
              " was signed: it was cut, or an older database was put back",
              a->edge.size, a->checkpoint.size);
        err = next_checkpoint(a, a->checkpoint.size + 1);
    }
    return err;
}

static enum ms_err walk(struct audit *a)
{
    int64_t size = 0;
    enum ms_err err = cache_log_count(a->cache, &size, a->diag);

    if (err == MS_OK)
        err = next_checkpoint(a, 0);
    if (err == MS_OK)
        err = pass_checkpoints(a);
    if (err == MS_OK)
        err = cache_log_each(a->cache, 1, (uint64_t)size, take_entry, a, a->diag);
    if (err == MS_ERR_HMAC || err == MS_ERR_EVIDENCE) {
        /* the tree cannot be computed any further, and what was signed of it cannot be right */
        fault(a, "%.200s", a->diag->text);
        *a->diag = (struct ms_diag){0};
        return MS_OK;
    }
    return err == MS_OK ? check_end(a) : err;
}

enum ms_err cache_log_audit(struct cache *cache, const struct msig_vkey *witnesses,
                            size_t n_witnesses, cache_log_fault_fn *fn, void *arg,
                            struct cache_log_report *ret_report, struct ms_diag *diag)
{
    struct ms_diag own = {0};
    struct audit *a = calloc(1, sizeof(*a));

    if (a == NULL)
        return MS_ERR_MEMORY;
    a->cache = cache;
    a->witnesses = witnesses;
    a->n_witnesses = n_witnesses;
    a->fn = fn;
    a->arg = arg;
    a->diag = diag != NULL ? diag : &own;
    enum ms_err err = walk(a);
    if (err == MS_OK) {
        a->report.head.size = a->edge.size;
        a->report.head.root = msig_tlog_edge_root(&a->edge);
        *ret_report = a->report;
    }
    ms_arena_done(&a->arena);
    free(a);
    return err;
}
