/* sig/tlog_text.c - checkpoints, proofs and requests to witnesses as text. */
#include "sig/tlog_text.h"

#include "base/base64.h"

#include <inttypes.h>

#define PROOF_LINE "c2sp.org/tlog-proof@v1"

/* The first line of rest, without its newline; false when there is none. */
static bool next_line(struct ms_span *rest, struct ms_span *ret_line)
{
    return ms_span_cut(*rest, '\n', ret_line, rest);
}

/* One hash as base64, padded. */
static bool read_hash(struct ms_span line, struct ms_sha256 *ret_hash)
{
    struct ms_buf bytes = MS_BUF_INIT(MS_SHA256_BYTES);
    enum ms_base64_alphabet alphabet = MS_BASE64_NONE;
    bool padded = false;

    bool ok = ms_base64_decode(line, &bytes, &alphabet, &padded, NULL) == MS_OK && padded &&
              alphabet != MS_BASE64_URL && bytes.len == MS_SHA256_BYTES;
    if (ok)
        memcpy(ret_hash->b, bytes.ptr, MS_SHA256_BYTES);
    ms_buf_done(&bytes);
    return ok;
}

static void add_hash(const struct ms_sha256 *hash, struct ms_buf *out)
{
    (void)ms_base64_encode(ms_span_of(hash->b, sizeof(hash->b)), out);
    (void)ms_buf_add_byte(out, '\n');
}

/* ---- checkpoints ---- */

static enum ms_err bad_checkpoint(struct ms_diag *diag, const char *what)
{
    return ms_diag_set(diag, MS_ERR_SYNTAX, "not a checkpoint: %s", what);
}

enum ms_err msig_checkpoint_parse(struct ms_span text, struct msig_checkpoint *ret_checkpoint,
                                  struct ms_diag *diag)
{
    struct msig_checkpoint c = {0};
    struct ms_span line, rest = text;

    if (!next_line(&rest, &line) || line.len == 0 || line.len > MSIG_NOTE_NAME_MAX ||
        ms_span_find(line, 0) != line.len)
        return bad_checkpoint(diag, "its origin, the first line");
    memcpy(c.origin, line.ptr, line.len);
    if (!next_line(&rest, &line) || !ms_span_u64(line, &c.size) || c.size > MSIG_TLOG_SIZE_MAX)
        return bad_checkpoint(diag, "its size, the second line");
    if (!next_line(&rest, &line) || !read_hash(line, &c.root))
        return bad_checkpoint(diag, "its root, the third line");
    while (rest.len > 0)
        if (!next_line(&rest, &line) || line.len == 0)
            return bad_checkpoint(diag, "an empty line, or one that does not end");
    *ret_checkpoint = c;
    return MS_OK;
}

enum ms_err msig_checkpoint_print(const struct msig_checkpoint *checkpoint, struct ms_buf *out)
{
    (void)ms_buf_addf(out, "%s\n%" PRIu64 "\n", checkpoint->origin, checkpoint->size);
    add_hash(&checkpoint->root, out);
    return ms_buf_err(out);
}

enum ms_err msig_checkpoint_open(struct ms_span note, const struct msig_vkey *key,
                                 struct msig_note *ret_note, struct msig_checkpoint *ret_checkpoint,
                                 struct ms_diag *diag)
{
    struct msig_checkpoint c;

    enum ms_err err = msig_note_parse(note, ret_note, diag);
    if (err == MS_OK)
        err = msig_note_verify(ret_note, key, NULL, diag);
    if (err == MS_OK)
        err = msig_checkpoint_parse(ret_note->text, &c, diag);
    if (err == MS_OK && strcmp(c.origin, key->name) != 0)
        err = ms_diag_set(diag, MS_ERR_SIGNATURE, "a checkpoint of %.100s, signed by %.100s",
                          c.origin, key->name);
    if (err == MS_OK)
        *ret_checkpoint = c;
    return err;
}

/* ---- proofs ---- */

static enum ms_err bad_proof(struct ms_diag *diag, const char *what)
{
    return ms_diag_set(diag, MS_ERR_SYNTAX, "not a proof: %s", what);
}

/* Hashes up to an empty line. */
static enum ms_err read_path(struct ms_span *rest, struct msig_tlog_path *path,
                             struct ms_diag *diag)
{
    struct ms_span line;

    path->n = 0;
    while (next_line(rest, &line)) {
        if (line.len == 0)
            return MS_OK;
        if (path->n == MSIG_TLOG_DEPTH_MAX - 1)
            return bad_proof(diag, "more than 63 hashes");
        if (!read_hash(line, &path->hash[path->n]))
            return bad_proof(diag, "a line that is no hash");
        path->n++;
    }
    return bad_proof(diag, "no empty line before the checkpoint");
}

static enum ms_err read_rest(struct ms_span rest, struct msig_tlog_path *path,
                             struct ms_span *ret_checkpoint, struct ms_diag *diag)
{
    enum ms_err err = read_path(&rest, path, diag);

    if (err == MS_OK && rest.len == 0)
        err = bad_proof(diag, "no checkpoint");
    if (err == MS_OK)
        *ret_checkpoint = rest;
    return err;
}

/* "NAME VALUE" */
static bool read_member(struct ms_span line, const char *name, struct ms_span *ret_value)
{
    struct ms_span word, value;

    if (!ms_span_cut(line, ' ', &word, &value) || !ms_span_eq_str(word, name))
        return false;
    *ret_value = value;
    return true;
}

static bool is_base64(struct ms_span text)
{
    struct ms_buf bytes = MS_BUF_INIT(MSIG_TLOG_TEXT_MAX_BYTES);
    enum ms_base64_alphabet alphabet = MS_BASE64_NONE;
    bool padded = false;

    bool ok = ms_base64_decode(text, &bytes, &alphabet, &padded, NULL) == MS_OK && padded &&
              alphabet != MS_BASE64_URL;
    ms_buf_done(&bytes);
    return ok;
}

enum ms_err msig_tlog_proof_parse(struct ms_span text, struct msig_tlog_proof *ret_proof,
                                  struct ms_diag *diag)
{
    struct ms_span line, value, rest = text;

    ret_proof->has_extra = false;
    if (text.len > MSIG_TLOG_TEXT_MAX_BYTES)
        return ms_diag_set(diag, MS_ERR_LIMIT, "a proof of more than %zu bytes",
                           MSIG_TLOG_TEXT_MAX_BYTES);
    if (!next_line(&rest, &line) || !ms_span_eq_str(line, PROOF_LINE))
        return bad_proof(diag, "its first line is not " PROOF_LINE);
    if (!next_line(&rest, &line))
        return bad_proof(diag, "no index");
    if (read_member(line, "extra", &value)) {
        if (!is_base64(value))
            return bad_proof(diag, "its extra line is not base64");
        ret_proof->has_extra = true;
        ret_proof->extra = value;
        if (!next_line(&rest, &line))
            return bad_proof(diag, "no index");
    }
    if (!read_member(line, "index", &value) || !ms_span_u64(value, &ret_proof->index) ||
        ret_proof->index >= MSIG_TLOG_SIZE_MAX)
        return bad_proof(diag, "its index");
    return read_rest(rest, &ret_proof->path, &ret_proof->checkpoint, diag);
}

static enum ms_err add_path(const struct msig_tlog_path *path, struct ms_span checkpoint,
                            struct ms_buf *out)
{
    for (size_t i = 0; i < path->n; i++)
        add_hash(&path->hash[i], out);
    (void)ms_buf_add_byte(out, '\n');
    return ms_buf_add(out, checkpoint);
}

enum ms_err msig_tlog_proof_print(const struct msig_tlog_proof *proof, struct ms_buf *out)
{
    (void)ms_buf_add_str(out, PROOF_LINE "\n");
    if (proof->has_extra) {
        (void)ms_buf_add_str(out, "extra ");
        (void)ms_base64_encode(proof->extra, out);
        (void)ms_buf_add_byte(out, '\n');
    }
    (void)ms_buf_addf(out, "index %" PRIu64 "\n", proof->index);
    return add_path(&proof->path, proof->checkpoint, out);
}

enum ms_err msig_tlog_growth_parse(struct ms_span text, struct msig_tlog_growth *ret_growth,
                                   struct ms_diag *diag)
{
    struct ms_span line, value, rest = text;

    if (text.len > MSIG_TLOG_TEXT_MAX_BYTES)
        return ms_diag_set(diag, MS_ERR_LIMIT, "a proof of more than %zu bytes",
                           MSIG_TLOG_TEXT_MAX_BYTES);
    if (!next_line(&rest, &line) || !read_member(line, "old", &value) ||
        !ms_span_u64(value, &ret_growth->old_size) || ret_growth->old_size > MSIG_TLOG_SIZE_MAX)
        return bad_proof(diag, "its first line is not `old` and a size");
    return read_rest(rest, &ret_growth->path, &ret_growth->checkpoint, diag);
}

enum ms_err msig_tlog_growth_print(const struct msig_tlog_growth *growth, struct ms_buf *out)
{
    (void)ms_buf_addf(out, "old %" PRIu64 "\n", growth->old_size);
    return add_path(&growth->path, growth->checkpoint, out);
}
