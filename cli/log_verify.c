/* cli/log_verify.c - `measuredctl log verify`: proofs, checkpoints and whole logs, by keys alone.
 */
#include "cli/log.h"

#include "base/base64.h"
#include "cli/client.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct verify {
    const struct cli *cli;
    const char *db, *from, *old, *entry, *evidence;
    struct msig_vkey key;
    struct msig_vkey witnesses[LOG_WITNESSES_MAX];
    size_t n_witnesses;
    uint64_t quorum;
    /* what was found: */
    const char *kind;
    struct msig_note note;
    struct msig_checkpoint checkpoint, before;
    bool has_before, has_index, has_whole;
    uint64_t index;
    struct log_whole whole;
    struct ms_buf line; /* the entry */
    json_t *cosigners;
    size_t n_cosigners;
    struct ms_diag diag;
};

static enum ms_err read_file(const char *path, size_t max, struct ms_buf *out, struct ms_diag *diag)
{
    out->max = max;
    enum ms_err err = cli_read(path, out);

    if (err == MS_ERR_IO)
        return ms_diag_set(diag, err, "%s: %s", path, strerror(errno));
    if (err == MS_ERR_LIMIT)
        return ms_diag_set(diag, err, "%s: larger than %zu bytes", path, max);
    return err;
}

/* ---- the checkpoint and who stands behind it ---- */

static enum ms_err check_witnesses(struct verify *v)
{
    for (size_t i = 0; i < v->n_witnesses; i++) {
        struct ms_diag why = {0};
        int64_t time_s = 0;
        enum ms_err err = msig_note_verify(&v->note, &v->witnesses[i], &time_s, &why);
        if (err == MS_ERR_NOT_FOUND)
            continue;
        if (err != MS_OK)
            return ms_diag_set(&v->diag, err, "%s", ms_diag_text(&why, err));
        v->n_cosigners++;
        (void)json_array_append_new(
            v->cosigners,
            json_pack("{s:s, s:I}", "name", v->witnesses[i].name, "time", (json_int_t)time_s));
    }
    if (v->n_cosigners < v->quorum)
        return ms_diag_set(&v->diag, MS_ERR_QUORUM,
                           "%zu of %zu witnesses have cosigned it, %" PRIu64 " are needed",
                           v->n_cosigners, v->n_witnesses, v->quorum);
    return MS_OK;
}

static enum ms_err check_checkpoint(struct verify *v, struct ms_span note)
{
    enum ms_err err = msig_checkpoint_open(note, &v->key, &v->note, &v->checkpoint, &v->diag);

    if (err == MS_ERR_NOT_FOUND)
        err = MS_ERR_SIGNATURE;
    return err == MS_OK ? check_witnesses(v) : err;
}

static enum ms_err check_old(struct verify *v)
{
    struct ms_buf text = MS_BUF_INIT(0);
    struct msig_note *note = malloc(sizeof(*note));
    enum ms_err err = note == NULL ? MS_ERR_MEMORY : MS_OK;

    if (err == MS_OK)
        err = read_file(v->old, MSIG_NOTE_MAX_BYTES, &text, &v->diag);
    if (err == MS_OK)
        err = msig_checkpoint_open(ms_buf_span(&text), &v->key, note, &v->before, &v->diag);
    if (err == MS_ERR_NOT_FOUND)
        err = MS_ERR_SIGNATURE;
    v->has_before = err == MS_OK;
    free(note);
    ms_buf_done(&text);
    return err;
}

static enum ms_err check_growth(struct verify *v, const struct msig_tlog_path *path)
{
    if (v->before.size > v->checkpoint.size)
        return ms_diag_set(&v->diag, MS_ERR_PROOF,
                           "the older checkpoint has %" PRIu64 " entries, this one %" PRIu64
                           ": the log was cut, or they are the wrong way round",
                           v->before.size, v->checkpoint.size);
    enum ms_err err = msig_tlog_verify_consistency(path, v->before.size, v->checkpoint.size,
                                                   &v->before.root, &v->checkpoint.root);
    if (err == MS_ERR_PROOF)
        (void)ms_diag_set(&v->diag, err,
                          "the checkpoint of %" PRIu64 " entries does not continue that of %" PRIu64
                          ": the log was rewritten, or the proof is another's; keep both",
                          v->checkpoint.size, v->before.size);
    return err;
}

/* ---- the three kinds of files ---- */

static enum ms_err verify_growth_file(struct verify *v, struct ms_span text)
{
    struct msig_tlog_growth growth;

    v->kind = "growth";
    if (v->old == NULL)
        return ms_diag_set(&v->diag, MS_ERR_ARGUMENT,
                           "a proof of growth needs --old, the checkpoint it grows from");
    enum ms_err err = msig_tlog_growth_parse(text, &growth, &v->diag);
    if (err == MS_OK)
        err = check_checkpoint(v, growth.checkpoint);
    if (err == MS_OK)
        err = check_old(v);
    if (err == MS_OK && growth.old_size != v->before.size)
        err = ms_diag_set(&v->diag, MS_ERR_PROOF,
                          "the proof is from %" PRIu64 " entries, --old has %" PRIu64,
                          growth.old_size, v->before.size);
    return err == MS_OK ? check_growth(v, &growth.path) : err;
}

/* The log itself gives the tiles; only the two checkpoints are believed. */
static enum ms_err ask_growth(struct verify *v)
{
    struct msig_tlog_path path = {0};
    struct log_source *source = NULL;
    struct msig_tlog_tree *tree = calloc(1, sizeof(*tree));
    enum ms_err err = tree == NULL ? MS_ERR_MEMORY : MS_OK;

    if (err == MS_OK && v->before.size < v->checkpoint.size && v->before.size > 0) {
        err = log_source_open(v->cli, v->db, v->from, &source, &v->diag);
        if (err == MS_OK) {
            log_tree_init(tree, source, v->checkpoint.size);
            err = msig_tlog_consistency(tree, v->before.size, v->checkpoint.size, &path, &v->diag);
        }
        log_source_close(source);
    }
    free(tree);
    return err == MS_OK ? check_growth(v, &path) : err;
}

static enum ms_err verify_checkpoint_file(struct verify *v, struct ms_span text)
{
    v->kind = "checkpoint";
    enum ms_err err = check_checkpoint(v, text);
    if (err == MS_OK && v->old != NULL)
        err = check_old(v);
    return err == MS_OK && v->old != NULL ? ask_growth(v) : err;
}

static enum ms_err read_entry(struct verify *v, const struct msig_tlog_proof *proof)
{
    if (v->entry != NULL) {
        enum ms_err err = read_file(v->entry, MSIG_TLOG_ENTRY_MAX, &v->line, &v->diag);
        if (err == MS_OK && v->line.len > 0 && v->line.ptr[v->line.len - 1] == '\n')
            v->line.len--; /* a file's last line */
        return err;
    }
    if (!proof->has_extra)
        return ms_diag_set(&v->diag, MS_ERR_ARGUMENT,
                           "the proof does not hold the entry: give it with --entry");
    v->line.max = MSIG_TLOG_ENTRY_MAX;
    return ms_base64_decode(proof->extra, &v->line, NULL, NULL, &v->diag);
}

static enum ms_err check_evidence(struct verify *v)
{
    struct ms_buf text = MS_BUF_INIT(0);
    struct leaf leaf;

    enum ms_err err = leaf_parse(ms_buf_span(&v->line), &leaf);
    if (err != MS_OK)
        return ms_diag_set(&v->diag, err, "the entry is none of measured");
    err = read_file(v->evidence, LOG_EVIDENCE_MAX_BYTES, &text, &v->diag);
    struct ms_sha256 hash = ms_sha256(ms_buf_span(&text));
    if (err == MS_OK && (!leaf.has_evidence || !ms_sha256_eq(&hash, &leaf.evidence)))
        err = ms_diag_set(&v->diag, MS_ERR_HASH, "%s is not the evidence that the entry names",
                          v->evidence);
    ms_buf_done(&text);
    return err;
}

static enum ms_err verify_proof_file(struct verify *v, struct ms_span text)
{
    struct msig_tlog_proof proof;

    v->kind = "inclusion";
    enum ms_err err = msig_tlog_proof_parse(text, &proof, &v->diag);
    if (err == MS_OK)
        err = check_checkpoint(v, proof.checkpoint);
    if (err == MS_OK)
        err = read_entry(v, &proof);
    if (err != MS_OK)
        return err;
    struct ms_sha256 leaf = msig_tlog_leaf(ms_buf_span(&v->line));
    v->index = proof.index;
    v->has_index = true;
    err = msig_tlog_verify_inclusion(&proof.path, proof.index, v->checkpoint.size, &leaf,
                                     &v->checkpoint.root);
    if (err != MS_OK)
        return ms_diag_set(&v->diag, err,
                           "this entry is not leaf %" PRIu64 " of the log that was signed",
                           proof.index);
    if (v->evidence != NULL)
        err = check_evidence(v);
    if (err == MS_OK && v->old != NULL) {
        err = check_old(v);
        if (err == MS_OK)
            err = ask_growth(v);
    }
    return err;
}

/* ---- a whole log ---- */

static enum ms_err check_whole(struct verify *v, struct log_source *source, struct log_head *head)
{
    enum ms_err err = log_head_get(source, NULL, false, head, &v->diag);

    if (err == MS_OK && memcmp(&head->key, &v->key, sizeof(v->key)) != 0)
        err = ms_diag_set(&v->diag, MS_ERR_SIGNATURE, "%s says that its key is another one",
                          log_source_name(source));
    if (err == MS_OK)
        err = check_checkpoint(v, ms_buf_span(&head->text));
    if (err == MS_OK)
        err = log_whole_check(source, &v->checkpoint, &v->whole, &v->diag);
    v->has_whole = err == MS_OK;
    return err;
}

static enum ms_err verify_whole(struct verify *v, const char *from)
{
    struct log_source *source = NULL;
    struct log_head head = {0};

    v->kind = "log";
    if (v->from != NULL || v->db != NULL)
        return ms_diag_set(&v->diag, MS_ERR_ARGUMENT, "%s is a log: no --from and no --db", from);
    v->from = from;
    enum ms_err err = log_source_open(v->cli, NULL, from, &source, &v->diag);
    if (err == MS_OK)
        err = check_whole(v, source, &head);
    if (err == MS_OK && v->old != NULL)
        err = check_old(v);
    if (err == MS_OK && v->old != NULL)
        err = ask_growth(v);
    log_head_done(&head);
    log_source_close(source);
    return err;
}

/* ---- the answer ---- */

/* Whoever signs a log may log any bytes; a terminal obeys some of them. */
static int print_entry(struct verify *v)
{
    for (size_t i = 0; i < v->line.len; i++)
        if (v->line.ptr[i] < 0x20 || v->line.ptr[i] > 0x7e)
            v->line.ptr[i] = '?';
    return cli_print_line(v->cli, ms_buf_span(&v->line), CLI_YES);
}

static int tell(struct verify *v)
{
    const struct cli *cli = v->cli;
    char root[2 * MS_SHA256_BYTES + 1];

    if (!cli->json) {
        cli_say(cli, "%s, %" PRIu64 " entries, signed by %s", v->kind, v->checkpoint.size,
                v->key.name);
        if (v->n_witnesses > 0)
            cli_say(cli, "%zu of %zu witnesses have cosigned it", v->n_cosigners, v->n_witnesses);
        if (v->has_before)
            cli_say(cli, "it continues the checkpoint of %" PRIu64 " entries", v->before.size);
        if (v->has_whole)
            cli_say(cli,
                    "%" PRIu64 " tiles and %" PRIu64 " bundles are what they have to be; %" PRIu64
                    " bundles are not there",
                    v->whole.n_tiles, v->whole.n_bundles, v->whole.n_missing);
        if (v->has_index)
            return print_entry(v);
        return CLI_YES;
    }
    ms_sha256_hex(&v->checkpoint.root, root);
    json_t *out = json_pack("{s:b, s:s, s:s, s:I, s:s, s:O}", "verified", 1, "kind", v->kind,
                            "origin", v->checkpoint.origin, "size", (json_int_t)v->checkpoint.size,
                            "root", root, "witnesses", v->cosigners);
    if (v->has_before)
        (void)json_object_set_new(out, "continues", json_integer((json_int_t)v->before.size));
    if (v->has_whole) {
        (void)json_object_set_new(out, "tiles", json_integer((json_int_t)v->whole.n_tiles));
        (void)json_object_set_new(out, "bundles", json_integer((json_int_t)v->whole.n_bundles));
        (void)json_object_set_new(out, "bundles_missing",
                                  json_integer((json_int_t)v->whole.n_missing));
    }
    if (v->has_index) {
        const char *line = ms_buf_str(&v->line);
        (void)json_object_set_new(out, "index", json_integer((json_int_t)v->index));
        (void)json_object_set_new(out, "entry", json_string(line == NULL ? "" : line));
    }
    return cli_print_json(cli, out, CLI_YES);
}

static enum ms_err verify_file(struct verify *v, const char *path)
{
    struct ms_buf text = MS_BUF_INIT(0);

    enum ms_err err = read_file(path, MSIG_TLOG_TEXT_MAX_BYTES, &text, &v->diag);
    if (err == MS_OK && ms_span_starts(ms_buf_span(&text), "c2sp.org/tlog-proof@"))
        err = verify_proof_file(v, ms_buf_span(&text));
    else if (err == MS_OK && ms_span_starts(ms_buf_span(&text), "old "))
        err = verify_growth_file(v, ms_buf_span(&text));
    else if (err == MS_OK)
        err = verify_checkpoint_file(v, ms_buf_span(&text));
    ms_buf_done(&text);
    return err;
}

static bool read_keys(struct verify *v, const char *key, const char *witnesses, const char *quorum)
{
    enum ms_err err = MS_OK;

    if (key == NULL) {
        cli_say(v->cli, "--key is missing: `measuredctl log key` tells it where the log is kept");
        return false;
    }
    err = msig_vkey_parse(ms_span_str(key), &v->key, &v->diag);
    if (err == MS_OK && v->key.type != MSIG_NOTE_ED25519)
        err = ms_diag_set(&v->diag, MS_ERR_SYNTAX, "--key is the key of a witness, not of a log");
    if (err == MS_OK && witnesses != NULL)
        err = log_witnesses(witnesses, v->witnesses, &v->n_witnesses, &v->diag);
    v->quorum = v->n_witnesses;
    if (err == MS_OK && quorum != NULL &&
        (!ms_span_u64(ms_span_str(quorum), &v->quorum) || v->quorum == 0 ||
         v->quorum > v->n_witnesses))
        err =
            ms_diag_set(&v->diag, MS_ERR_ARGUMENT, "--quorum is not 1 to the number of witnesses");
    if (err != MS_OK)
        cli_say(v->cli, "%s", ms_diag_text(&v->diag, err));
    return err == MS_OK;
}

int log_verify(struct cli *cli, int argc, char **argv)
{
    const char *key = NULL, *witnesses = NULL, *quorum = NULL, *args[1];
    struct verify *v = calloc(1, sizeof(*v));

    if (v == NULL)
        return CLI_UNKNOWN;
    v->cli = cli;
    const struct cli_option options[] = {
        {"key", &key, NULL},    {"witness", &witnesses, NULL}, {"quorum", &quorum, NULL},
        {"old", &v->old, NULL}, {"entry", &v->entry, NULL},    {"evidence", &v->evidence, NULL},
        {"db", &v->db, NULL},   {"from", &v->from, NULL}};
    int code = CLI_USAGE;
    if (cli_args(cli, argc, argv, options, MS_ARRAY_LEN(options), "FILE", args, 1, 1) &&
        read_keys(v, key, witnesses, quorum)) {
        v->cosigners = json_array();
        enum ms_err err = v->cosigners == NULL     ? MS_ERR_MEMORY
                          : log_is_source(args[0]) ? verify_whole(v, args[0])
                                                   : verify_file(v, args[0]);
        if (err == MS_ERR_ARGUMENT)
            cli_say(cli, "%s", ms_diag_text(&v->diag, err));
        else
            code = err == MS_OK ? tell(v) : log_fail(cli, err, &v->diag);
    }
    json_decref(v->cosigners);
    ms_buf_done(&v->line);
    free(v);
    return code;
}
