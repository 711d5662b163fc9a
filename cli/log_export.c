/* cli/log_export.c - `measuredctl log export`: the log as files under the names that the daemon
 * answers to, so that any web server can serve it. */
#define _POSIX_C_SOURCE 200809L /* mkdir */

#include "cli/log.h"

#include "cli/client.h"
#include "cli/output.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_MAX_BYTES 4096
#define FOLDER_MODE 0755

struct export
{
    struct log_source *source;
    const char *dir;
    uint64_t n_files;
    struct ms_diag diag;
};

/* The folders of a path, as far as they are missing. */
static enum ms_err make_folders(struct export *x, char *path)
{
    for (char *c = path + 1; *c != '\0'; c++) {
        if (*c != '/')
            continue;
        *c = '\0';
        bool ok = mkdir(path, FOLDER_MODE) == 0 || errno == EEXIST;
        if (!ok)
            (void)ms_diag_set(&x->diag, MS_ERR_IO, "%s: %s", path, strerror(errno));
        *c = '/';
        if (!ok)
            return MS_ERR_IO;
    }
    return MS_OK;
}

static enum ms_err write_file(struct export *x, const char *name, struct ms_span text)
{
    char path[PATH_MAX_BYTES];

    int n = snprintf(path, sizeof(path), "%s/%s", x->dir, name);
    if (n < 0 || n >= PATH_MAX_BYTES)
        return ms_diag_set(&x->diag, MS_ERR_ARGUMENT, "the name of the folder is too long");
    enum ms_err err = make_folders(x, path);
    if (err == MS_OK)
        err = output_write(path, text, &x->diag);
    x->n_files += err == MS_OK;
    return err;
}

static bool is_there(const struct export *x, const char *name)
{
    char path[PATH_MAX_BYTES];

    int n = snprintf(path, sizeof(path), "%s/%s", x->dir, name);
    return n > 0 && n < PATH_MAX_BYTES && access(path, F_OK) == 0;
}

/* Named by what it is, so what is there need not be written again. */
static enum ms_err copy(struct export *x, const char *name, size_t max)
{
    struct ms_buf text = MS_BUF_INIT(max);
    enum ms_err err = MS_OK;

    if (!is_there(x, name)) {
        err = log_source_get(x->source, name, &text, &x->diag);
        if (err == MS_OK)
            err = write_file(x, name, ms_buf_span(&text));
    }
    ms_buf_done(&text);
    return err;
}

static enum ms_err copy_tile(struct export *x, unsigned level, uint64_t index, unsigned width)
{
    struct msig_tlog_tile tile = {.level = level, .index = index, .width = width};
    struct ms_buf name = MS_BUF_INIT(128);

    (void)ms_buf_add_str(&name, "v1/log/");
    (void)msig_tlog_tile_path(&tile, &name);
    const char *text = ms_buf_str(&name);
    enum ms_err err = text == NULL
                          ? MS_ERR_MEMORY
                          : copy(x, text, MSIG_TLOG_TILE_WIDTH * (2 + (size_t)LEAF_MAX_BYTES));
    ms_buf_done(&name);
    return err;
}

static enum ms_err copy_tiles(struct export *x, uint64_t size)
{
    enum ms_err err = MS_OK;

    for (unsigned level = 0; err == MS_OK && level < MSIG_TLOG_TILE_LEVELS; level++)
        for (uint64_t i = 0; err == MS_OK && msig_tlog_tile_width(size, level, i) > 0; i++) {
            unsigned width = msig_tlog_tile_width(size, level, i);
            err = copy_tile(x, level, i, width);
            if (err == MS_OK && level == 0)
                err = copy_tile(x, MSIG_TLOG_ENTRIES, i, width);
        }
    return err;
}

static enum ms_err copy_evidence(struct export *x, const struct msig_checkpoint *checkpoint)
{
    struct log_entries entries = {0};

    enum ms_err err = log_entries_get(x->source, checkpoint, &entries, &x->diag);
    for (size_t i = 0; err == MS_OK && i < entries.n; i++) {
        char name[128], hex[2 * MS_SHA256_BYTES + 1];
        if (!entries.leaves[i].has_evidence)
            continue;
        ms_sha256_hex(&entries.leaves[i].evidence, hex);
        (void)snprintf(name, sizeof(name), "v1/evidence/%s", hex);
        err = copy(x, name, LOG_EVIDENCE_MAX_BYTES);
    }
    log_entries_done(&entries);
    return err;
}

/* The checkpoint last: whoever reads it finds what it needs. */
static enum ms_err export(struct export *x, const struct log_head *head, bool evidence) {
    struct ms_buf key = MS_BUF_INIT(MSIG_NOTE_TEXT_KEY_MAX + 1);

    enum ms_err err = copy_tiles(x, head->checkpoint.size);
    if (err == MS_OK && evidence) err = copy_evidence(x, &head->checkpoint);
    (void)msig_vkey_print(&head->key, &key);
    (void)ms_buf_add_byte(&key, '\n');
    if (err == MS_OK) err = ms_buf_err(&key);
    if (err == MS_OK) err = write_file(x, "v1/log/key", ms_buf_span(&key));
    if (err == MS_OK) err = write_file(x, "v1/log/checkpoint", ms_buf_span(&head->text));
    ms_buf_done(&key);
    return err;
}

int log_export(struct cli *cli, int argc, char **argv)
{
    const char *db = NULL, *args[1];
    bool evidence = false;
    const struct cli_option options[] = {{"db", &db, NULL}, {"evidence", NULL, &evidence}};
    struct export x = {0};
    struct log_head head = {0};

    if (!cli_args(cli, argc, argv, options, MS_ARRAY_LEN(options), "DIR", args, 1, 1))
        return CLI_USAGE;
    x.dir = args[0];
    enum ms_err err = log_source_open(cli, db, NULL, &x.source, &x.diag);
    if (err == MS_OK)
        err = log_head_get(x.source, NULL, false, &head, &x.diag);
    if (err == MS_OK)
        err = export(&x, &head, evidence);
    int code = err == MS_OK ? CLI_YES : log_fail(cli, err, &x.diag);
    if (err == MS_OK && cli->json)
        code = cli_print_json(cli,
                              json_pack("{s:I, s:I}", "size", (json_int_t)head.checkpoint.size,
                                        "files", (json_int_t)x.n_files),
                              code);
    else if (err == MS_OK)
        cli_say(cli, "%" PRIu64 " entries, %" PRIu64 " files written", head.checkpoint.size,
                x.n_files);
    log_head_done(&head);
    log_source_close(x.source);
    return code;
}
