/* cli/log_prove.c - `measuredctl log prove`. */
#include "cli/log.h"

#include "cli/client.h"
#include "cli/output.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct wanted {
    bool has_spec, has_row;
    struct ms_sha256 spec;
    uint64_t n; /* sequence or count; with has_row the entry's number */
};

static enum ms_err key_of(const struct cli *cli, const char *text, struct ms_sha256 *ret_key,
                          struct ms_diag *diag)
{
    static const struct spec_context context = {0};
    struct spec_url url = {0};
    struct spec spec;

    spec_init(&spec);
    enum ms_err err = spec_parse_any(ms_span_str(text), &context, &spec, &url, diag);
    if (err == MS_OK) {
        cli_say_warnings(cli, &spec);
        *ret_key = spec.key;
    }
    spec_done(&spec);
    return err;
}

static bool fits(const struct leaf *leaf, const struct wanted *w, uint64_t count)
{
    if (!ms_sha256_eq(&leaf->spec, &w->spec))
        return false;
    if (w->has_row)
        return leaf->n == w->n;
    return leaf->has_sequence ? leaf->sequence == w->n : count == w->n;
}

/* The newest entry that fits. */
static enum ms_err find(const struct log_entries *entries, const struct wanted *w,
                        uint64_t *ret_index, struct ms_diag *diag)
{
    uint64_t count = 0, newest = 0;
    bool found = false;

    for (size_t i = 0; i < entries->n; i++) {
        if (ms_sha256_eq(&entries->leaves[i].spec, &w->spec))
            count++;
        if (!fits(&entries->leaves[i], w, count))
            continue;
        newest = i;
        found = true;
    }
    if (!found)
        return ms_diag_set(diag, MS_ERR_NOT_FOUND,
                           "the log has %" PRIu64
                           " entries of this specifier, and none is %s%" PRIu64,
                           count, w->has_row ? "row:" : "number or sequence ", w->n);
    *ret_index = newest;
    return MS_OK;
}

static enum ms_err prove(struct log_source *source, const struct log_head *head, uint64_t index,
                         struct ms_span entry, struct ms_buf *out, struct ms_diag *diag)
{
    struct msig_tlog_tree *tree = calloc(1, sizeof(*tree));
    struct msig_tlog_proof proof = {
        .has_extra = true, .extra = entry, .index = index, .checkpoint = ms_buf_span(&head->text)};
    struct ms_sha256 leaf = msig_tlog_leaf(entry);
    enum ms_err err = tree == NULL ? MS_ERR_MEMORY : MS_OK;

    if (err == MS_OK) {
        log_tree_init(tree, source, head->checkpoint.size);
        err = msig_tlog_inclusion(tree, index, head->checkpoint.size, &proof.path, diag);
    }
    if (err == MS_OK)
        err = msig_tlog_verify_inclusion(&proof.path, index, head->checkpoint.size, &leaf,
                                         &head->checkpoint.root);
    if (err == MS_ERR_PROOF)
        (void)ms_diag_set(diag, err, "the tiles of the log are not those that were signed");
    if (err == MS_OK)
        err = msig_tlog_proof_print(&proof, out);
    free(tree);
    return err;
}

/* Leaf `index` alone: its entry, and the tiles on its way. */
static enum ms_err get_entry(struct log_source *source, const struct log_head *head, uint64_t index,
                             struct ms_buf *out, struct ms_diag *diag)
{
    struct msig_tlog_tile tile = {.level = MSIG_TLOG_ENTRIES,
                                  .index = index / MSIG_TLOG_TILE_WIDTH};
    struct ms_buf path = MS_BUF_INIT(128),
                  bundle = MS_BUF_INIT(MSIG_TLOG_TILE_WIDTH * (2 + (size_t)MSIG_TLOG_ENTRY_MAX));
    struct ms_span entry = {0};
    size_t at = 0;

    tile.width = msig_tlog_tile_width(head->checkpoint.size, 0, tile.index);
    (void)ms_buf_add_str(&path, "v1/log/");
    (void)msig_tlog_tile_path(&tile, &path);
    const char *name = ms_buf_str(&path);
    enum ms_err err = name == NULL ? MS_ERR_MEMORY : log_source_get(source, name, &bundle, diag);
    for (uint64_t i = 0; err == MS_OK && i <= index % MSIG_TLOG_TILE_WIDTH; i++)
        if (!msig_tlog_next_entry(ms_buf_span(&bundle), &at, &entry))
            err = ms_diag_set(diag, MS_ERR_PROOF, "a bundle of entries is too short");
    if (err == MS_OK)
        err = ms_buf_add(out, entry);
    ms_buf_done(&path);
    ms_buf_done(&bundle);
    return err;
}

static enum ms_err prove_leaf(struct log_source *source, const struct log_head *head,
                              uint64_t index, struct ms_buf *out, struct ms_diag *diag)
{
    struct ms_buf entry = MS_BUF_INIT(MSIG_TLOG_ENTRY_MAX);
    enum ms_err err = MS_OK;

    if (index >= head->checkpoint.size)
        err = ms_diag_set(diag, MS_ERR_NOT_FOUND, "the log has %" PRIu64 " entries",
                          head->checkpoint.size);
    if (err == MS_OK)
        err = get_entry(source, head, index, &entry, diag);
    if (err == MS_OK)
        err = prove(source, head, index, ms_buf_span(&entry), out, diag);
    ms_buf_done(&entry);
    return err;
}

static enum ms_err prove_change(struct log_source *source, const struct log_head *head,
                                const struct wanted *w, struct ms_buf *out, struct ms_diag *diag)
{
    struct log_entries entries = {0};
    uint64_t index = 0;

    enum ms_err err = log_entries_get(source, &head->checkpoint, &entries, diag);
    if (err == MS_OK)
        err = find(&entries, w, &index, diag);
    if (err == MS_OK)
        err = prove(source, head, index, log_entries_line(&entries, (size_t)index), out, diag);
    log_entries_done(&entries);
    return err;
}

static int hand_over(const struct cli *cli, const char *path, struct ms_buf *text)
{
    struct ms_diag diag = {0};

    if (path != NULL) {
        enum ms_err err = output_write(path, ms_buf_span(text), &diag);
        return err == MS_OK ? CLI_YES : client_fail_err(cli, err, &diag);
    }
    if (cli->json) {
        const char *proof = ms_buf_str(text);
        return cli_print_json(cli, json_pack("{s:s}", "proof", proof == NULL ? "" : proof),
                              CLI_YES);
    }
    bool ok = fwrite(text->ptr, 1, text->len, stdout) == text->len;
    return fflush(stdout) == 0 && ok ? CLI_YES : CLI_UNKNOWN;
}

/* SPEC N, or --leaf I. */
static bool read_wanted(struct cli *cli, const char *const args[2], const char *leaf,
                        struct wanted *w, int *ret_code)
{
    struct ms_diag diag = {0};
    const char *number = leaf != NULL ? leaf : args[1];

    *ret_code = CLI_USAGE;
    if ((leaf != NULL) == (args[0] != NULL) || number == NULL) {
        cli_say(cli, "either SPEC and N, or --leaf I");
        return false;
    }
    w->has_spec = leaf == NULL;
    w->has_row = w->has_spec && strncmp(number, "row:", 4) == 0;
    if (!ms_span_u64(ms_span_str(number + (w->has_row ? 4 : 0)), &w->n)) {
        cli_say(cli, "'%s' is no number", number);
        return false;
    }
    if (!w->has_spec)
        return true;
    enum ms_err err = key_of(cli, args[0], &w->spec, &diag);
    if (err != MS_OK)
        *ret_code = client_fail(cli, ms_err_code(err), ms_diag_text(&diag, err), cli_exit_of(err));
    return err == MS_OK;
}

int log_prove(struct cli *cli, int argc, char **argv)
{
    const char *db = NULL, *from = NULL, *key = NULL, *leaf = NULL, *path = NULL, *args[2];
    bool cosigned = false;
    const struct cli_option options[] = {{"db", &db, NULL},   {"from", &from, NULL},
                                         {"key", &key, NULL}, {"leaf", &leaf, NULL},
                                         {"o", &path, NULL},  {"cosigned", NULL, &cosigned}};
    struct log_source *source = NULL;
    struct log_head head = {0};
    struct ms_buf text = MS_BUF_INIT(MSIG_TLOG_TEXT_MAX_BYTES);
    struct ms_diag diag = {0};
    struct wanted w = {0};
    int code = CLI_USAGE;

    if (!cli_args(cli, argc, argv, options, MS_ARRAY_LEN(options), "SPEC N", args, 0, 2) ||
        !read_wanted(cli, args, leaf, &w, &code))
        return code;
    enum ms_err err = log_source_open(cli, db, from, &source, &diag);
    if (err == MS_OK)
        err = log_head_get(source, key, cosigned, &head, &diag);
    if (err == MS_OK)
        err = w.has_spec ? prove_change(source, &head, &w, &text, &diag)
                         : prove_leaf(source, &head, w.n, &text, &diag);
    code = err == MS_OK ? hand_over(cli, path, &text) : log_fail(cli, err, &diag);
    log_head_done(&head);
    log_source_close(source);
    ms_buf_done(&text);
    return code;
}
