/* resolver/daemon/http_log.c - the transparency log as c2sp.org/tlog-tiles serves it, and proofs
 * ready made:
 *
 *   /v1/log/checkpoint[?cosigned=1]    the newest checkpoint, or the newest that has cosignatures
 *   /v1/log/key                        the key of the last checkpoint
 *   /v1/log/tile/...                   tiles and entries; they never change
 *   /v1/log/proof?leaf=I [&cosigned=1] the entry and the proof that it is in the log (tlog-proof)
 *   /v1/log/growth?old=N               that the newest checkpoint continues the tree of N entries
 *
 * Read on the reader's thread while the connection is suspended. */
#define _GNU_SOURCE
#include "resolver/daemon/http_internal.h"
#include "resolver/daemon/query.h"

#include <stdlib.h>
#include <string.h>

#define LOG_PATH "/v1/log/"
#define TEXT_TYPE "text/plain; charset=utf-8"
#define ARENA_BYTES ((size_t)2 * MSIG_NOTE_MAX_BYTES)

/* ---- what is asked ---- */

static struct ms_span path_of(const struct http_request *r)
{
    struct ms_span path = query_path(ms_span_str(r->target));
    return ms_span_sub(path, strlen(LOG_PATH), path.len);
}

static enum ms_err query_u64(const struct http_request *r, const char *name, uint64_t *ret_value,
                             bool *ret_found, struct ms_diag *diag)
{
    struct ms_buf text = MS_BUF_INIT(32);

    enum ms_err err = query_member(ms_span_str(r->target), name, &text, ret_found, diag);
    if (err == MS_ERR_LIMIT ||
        (err == MS_OK && *ret_found && !ms_span_u64(ms_buf_span(&text), ret_value)))
        err = ms_diag_set(diag, MS_ERR_ARGUMENT, "%s is not a number", name);
    ms_buf_done(&text);
    return err;
}

static enum ms_err need(bool found, const char *name, struct ms_diag *diag)
{
    return found ? MS_OK : ms_diag_set(diag, MS_ERR_ARGUMENT, "%s= is missing", name);
}

enum ms_err http_prepare_log(struct http_request *r, struct ms_diag *diag)
{
    struct ms_span path = path_of(r);
    bool found = false, has_cosigned = false;
    uint64_t cosigned = 0;

    r->log.is_tile = msig_tlog_tile_parse(path, &r->log.tile) == MS_OK;
    enum ms_err err = query_u64(r, "cosigned", &cosigned, &has_cosigned, diag);
    if (err == MS_OK && has_cosigned && cosigned != 1)
        err = ms_diag_set(diag, MS_ERR_ARGUMENT, "cosigned may only be 1");
    r->log.cosigned = has_cosigned;
    if (err == MS_OK && ms_span_eq_str(path, "proof")) {
        err = query_u64(r, "leaf", &r->log.leaf, &found, diag);
        if (err == MS_OK)
            err = need(found, "leaf", diag);
    } else if (err == MS_OK && ms_span_eq_str(path, "growth")) {
        err = query_u64(r, "old", &r->log.old_size, &found, diag);
        if (err == MS_OK)
            err = need(found, "old", diag);
    }
    return err;
}

/* ---- on the reader's thread ---- */

static enum ms_err not_there(struct ms_diag *diag, const char *what)
{
    return ms_diag_set(diag, MS_ERR_NOT_FOUND, "%s", what);
}

static enum ms_err read_head(const struct http_request *r, struct cache *cache,
                             struct ms_arena *arena, struct cache_checkpoint *ret_row,
                             struct ms_diag *diag)
{
    bool found = false;
    enum ms_err err = r->log.cosigned
                          ? cache_checkpoint_cosigned(cache, arena, ret_row, &found, diag)
                          : cache_checkpoint_last(cache, arena, ret_row, &found, diag);

    if (err == MS_OK && !found)
        err = not_there(diag, r->log.cosigned ? "no checkpoint has cosignatures"
                                              : "no checkpoint is signed yet");
    return err;
}

static enum ms_err write_proof(struct http_request *r, struct cache *cache,
                               const struct cache_checkpoint *head, struct msig_tlog_tree *tree,
                               struct ms_diag *diag)
{
    struct ms_buf entry = MS_BUF_INIT(MSIG_TLOG_ENTRY_MAX);
    struct msig_tlog_proof proof = {
        .has_extra = true, .index = r->log.leaf, .checkpoint = ms_span_str(head->note)};
    bool found = false;
    enum ms_err err = MS_OK;

    if (r->log.leaf >= head->size)
        return not_there(diag, "the checkpoint has fewer entries");
    err = cache_log_entry(cache, r->log.leaf + 1, &entry, &found, diag);
    if (err == MS_OK && !found)
        err = not_there(diag, "there is no such entry");
    if (err == MS_OK)
        err = msig_tlog_inclusion(tree, r->log.leaf, head->size, &proof.path, diag);
    proof.extra = ms_buf_span(&entry);
    if (err == MS_OK)
        err = msig_tlog_proof_print(&proof, &r->reply);
    ms_buf_done(&entry);
    return err;
}

static enum ms_err write_growth(struct http_request *r, const struct cache_checkpoint *head,
                                struct msig_tlog_tree *tree, struct ms_diag *diag)
{
    struct msig_tlog_growth growth = {.old_size = r->log.old_size,
                                      .checkpoint = ms_span_str(head->note)};

    if (r->log.old_size > head->size)
        return not_there(diag, "the checkpoint has fewer entries");
    enum ms_err err = msig_tlog_consistency(tree, r->log.old_size, head->size, &growth.path, diag);
    return err == MS_OK ? msig_tlog_growth_print(&growth, &r->reply) : err;
}

static enum ms_err read_proof(struct http_request *r, struct cache *cache, bool growth,
                              struct ms_diag *diag)
{
    struct ms_arena arena = MS_ARENA_INIT(ARENA_BYTES);
    struct msig_tlog_tree *tree = calloc(1, sizeof(*tree));
    struct cache_checkpoint head = {0};

    enum ms_err err = tree == NULL ? MS_ERR_MEMORY : read_head(r, cache, &arena, &head, diag);
    if (err == MS_OK)
        err = cache_log_tree(cache, tree, diag);
    if (err == MS_OK)
        err =
            growth ? write_growth(r, &head, tree, diag) : write_proof(r, cache, &head, tree, diag);
    free(tree);
    ms_arena_done(&arena);
    return err;
}

static enum ms_err read_text(struct http_request *r, struct cache *cache, bool key,
                             struct ms_diag *diag)
{
    struct ms_arena arena = MS_ARENA_INIT(ARENA_BYTES);
    struct cache_checkpoint head = {0};

    enum ms_err err = read_head(r, cache, &arena, &head, diag);
    if (err == MS_OK)
        err = ms_buf_add_str(&r->reply, key ? head.vkey : head.note);
    if (err == MS_OK && key)
        err = ms_buf_add_byte(&r->reply, '\n');
    ms_arena_done(&arena);
    return err;
}

static enum ms_err read_for(struct http_request *r, struct cache *cache, struct ms_diag *diag)
{
    struct ms_span path = path_of(r);
    bool found = false;

    if (ms_span_eq_str(path, "checkpoint"))
        return read_text(r, cache, false, diag);
    if (ms_span_eq_str(path, "key"))
        return read_text(r, cache, true, diag);
    if (ms_span_eq_str(path, "proof"))
        return read_proof(r, cache, false, diag);
    if (ms_span_eq_str(path, "growth"))
        return read_proof(r, cache, true, diag);
    enum ms_err err =
        r->log.is_tile ? cache_log_tile(cache, &r->log.tile, &r->reply, &found, diag) : MS_OK;
    if (err == MS_OK && !found)
        err = not_there(diag, r->log.is_tile ? "the log has no such tile yet" : "no such path");
    return err;
}

/* ---- the answer ---- */

/* What is under its name once is there for ever; checkpoint and proofs are of the moment. */
enum MHD_Result http_log(struct http_request *r)
{
    if (!r->asked)
        return http_read(r, read_for);
    if (r->read.err != MS_OK)
        return http_fail(r, r->read.err, &r->read.diag);
    return http_send_read(r, r->log.is_tile ? "application/octet-stream" : TEXT_TYPE,
                          r->log.is_tile);
}
