/* cli/history.c - what auditors ask of one specifier: history, diff, at, evidence. */
#include "cli/auditor.h"
#include "cli/output.h"
#include "cli/when.h"

#include <errno.h>
#include <stdio.h>

static int write_out(const struct cli *cli, struct ms_buf *text)
{
    bool ok = ms_buf_err(text) == MS_OK &&
              (text->len == 0 || fwrite(text->ptr, 1, text->len, stdout) == text->len) &&
              fflush(stdout) == 0;

    if (!ok)
        cli_say(cli, "cannot write to stdout: %s",
                ms_buf_err(text) != MS_OK ? ms_err_text(ms_buf_err(text)) : strerror(errno));
    ms_buf_reset(text);
    return ok ? CLI_YES : CLI_UNKNOWN;
}

/* ---- history ---- */

struct listing {
    enum auditor_form form;
    size_t n;     /* rows shown */
    size_t n_bad; /* that are not to be believed */
    json_t *past; /* the contract's own operations or logs, from the first page; by rising time */
    size_t next;  /* of them */
};

static enum ms_err show_row(struct listing *l, const json_t *row, struct ms_buf *out)
{
    l->n_bad += json_is_object(json_object_get(row, "error"));
    return auditor_form_row(l->form, l->n++ == 0, row, out);
}

static json_int_t time_of(const json_t *row)
{
    return json_integer_value(json_object_get(row, "time"));
}

/* What the contract did up to this time; all that is left with last. Logs whose time is not known
 * have 0, and come with those before them. */
static enum ms_err show_past(struct listing *l, json_int_t until_s, bool last, struct ms_buf *out)
{
    enum ms_err err = MS_OK;

    for (; err == MS_OK && l->next < json_array_size(l->past); l->next++) {
        const json_t *row = json_array_get(l->past, l->next);
        if (!last && time_of(row) > until_s)
            break;
        err = show_row(l, row, out);
    }
    return err;
}

static int show_page(const struct cli *cli, struct listing *l, const json_t *root)
{
    struct ms_buf out = MS_BUF_INIT(4 * REPORT_MAX_BYTES);
    size_t i;
    json_t *row;
    enum ms_err err = MS_OK;

    json_t *operations = json_object_get(root, "operations");
    if (l->past == NULL)
        l->past = json_incref(operations != NULL ? operations : json_object_get(root, "logs"));
    json_array_foreach(json_object_get(root, "rows"), i, row)
    {
        if (err == MS_OK)
            err = show_past(l, time_of(row), false, &out);
        if (err == MS_OK)
            err = show_row(l, row, &out);
    }
    if (err == MS_OK && json_object_get(root, "next") == NULL)
        err = show_past(l, 0, true, &out);
    int code = err == MS_OK ? write_out(cli, &out) : client_fail_err(cli, err, NULL);
    ms_buf_done(&out);
    return code;
}

/* Page after page, so that memory does not grow with the history. */
static int show_all(struct auditor *a, struct listing *l)
{
    struct report_page page = {.limit = REPORT_ROWS_MAX};
    bool more = true;
    int code = CLI_YES;

    while (code == CLI_YES && more) {
        json_t *root = NULL;
        code = auditor_history(a, &page, &root);
        if (code == CLI_YES)
            code = show_page(a->cli, l, root);
        uint64_t next = (uint64_t)json_integer_value(json_object_get(root, "next"));
        more = next > page.after;
        page.after = next;
        json_decref(root);
    }
    return code;
}

static int list_history(struct auditor *a, enum auditor_form form)
{
    struct listing l = {.form = form};
    struct ms_buf edge = MS_BUF_INIT(1024);

    auditor_form_begin(form, &edge);
    int code = write_out(a->cli, &edge);
    if (code == CLI_YES)
        code = show_all(a, &l);
    auditor_form_end(form, &edge);
    if (code == CLI_YES)
        code = write_out(a->cli, &edge);
    if (code == CLI_YES && l.n == 0)
        cli_say(a->cli, "nothing was ever accepted for this specifier here");
    if (code == CLI_YES && l.n_bad > 0) {
        cli_say(a->cli, "%zu rows are not to be believed: measuredctl audit says more", l.n_bad);
        code = CLI_NO;
    }
    json_decref(l.past);
    ms_buf_done(&edge);
    return code;
}

int cli_history(struct cli *cli, int argc, char **argv)
{
    bool jsonl = false, csv = false, md = false;
    const char *arg, *db = NULL;
    const struct cli_option options[] = {
        {"db", &db, NULL}, {"jsonl", NULL, &jsonl}, {"csv", NULL, &csv}, {"md", NULL, &md}};
    struct auditor a;

    if (!cli_args(cli, argc, argv, options, MS_ARRAY_LEN(options), "SPEC|URL", &arg, 1, 1))
        return CLI_USAGE;
    if (cli->json + jsonl + csv + md > 1) {
        cli_say(cli, "only one of --json, --jsonl, --csv and --md is possible");
        return CLI_USAGE;
    }
    int code = auditor_open(cli, arg, db, &a);
    if (code == CLI_YES)
        code = list_history(&a, cli->json ? AUDITOR_JSON
                                : jsonl   ? AUDITOR_JSONL
                                : csv     ? AUDITOR_CSV
                                : md      ? AUDITOR_MD
                                          : AUDITOR_TEXT);
    auditor_close(&a);
    return code;
}

/* ---- diff and at ---- */

/* Takes root; returns `yes` when it could be printed. */
static int show_one(struct cli *cli, int yes, json_t *root,
                    enum ms_err (*render)(const json_t *root, struct ms_buf *out))
{
    struct ms_buf text = MS_BUF_INIT(4 * REPORT_MAX_BYTES);

    if (cli->json)
        return cli_print_json(cli, root, yes);
    enum ms_err err = render(root, &text);
    int code = err == MS_OK ? write_out(cli, &text) : client_fail_err(cli, err, NULL);
    ms_buf_done(&text);
    json_decref(root);
    return code == CLI_YES ? yes : code;
}

int cli_diff(struct cli *cli, int argc, char **argv)
{
    char from[AUDITOR_POINT_MAX], to[AUDITOR_POINT_MAX];
    const char *args[3], *db = NULL;
    const struct cli_option options[] = {{"db", &db, NULL}};
    struct auditor a;
    json_t *root = NULL;

    if (!cli_args(cli, argc, argv, options, MS_ARRAY_LEN(options), "SPEC|URL A B", args, 3, 3) ||
        !auditor_point(cli, args[1], from) || !auditor_point(cli, args[2], to))
        return CLI_USAGE;
    int code = auditor_open(cli, args[0], db, &a);
    if (code == CLI_YES)
        code = auditor_diff(&a, from, to, &root);
    auditor_close(&a);
    return code == CLI_YES ? show_one(cli, CLI_YES, root, auditor_diff_text) : code;
}

int cli_at(struct cli *cli, int argc, char **argv)
{
    const char *args[2], *db = NULL;
    const struct cli_option options[] = {{"db", &db, NULL}};
    struct auditor a;
    json_t *root = NULL;
    uint64_t time_s = 0;

    if (!cli_args(cli, argc, argv, options, MS_ARRAY_LEN(options), "SPEC|URL TIME", args, 2, 2))
        return CLI_USAGE;
    if (when_parse(ms_span_str(args[1] + (args[1][0] == '@')), &time_s) != MS_OK ||
        time_s > INT64_MAX / 4) {
        cli_say(cli, "%.80s is no time such as 2026-03-03, 2026-03-03T12:00:00Z or Unix seconds",
                args[1]);
        return CLI_USAGE;
    }
    int code = auditor_open(cli, args[0], db, &a);
    if (code == CLI_YES)
        code = auditor_at(&a, (int64_t)time_s, &root);
    auditor_close(&a);
    if (code != CLI_YES)
        return code;
    bool in_force = json_is_true(json_object_get(root, "in_force"));
    return show_one(cli, in_force ? CLI_YES : CLI_NO, root, auditor_at_text);
}

/* ---- evidence ---- */

int cli_evidence(struct cli *cli, int argc, char **argv)
{
    struct ms_buf text = MS_BUF_INIT(CACHE_BLOB_MAX_BYTES);
    const char *args[2], *db = NULL, *path = NULL;
    const struct cli_option options[] = {{"db", &db, NULL}, {"o", &path, NULL}};
    char point[AUDITOR_POINT_MAX], name[2 * MS_SHA256_BYTES + 1];
    struct ms_diag diag = {0};
    struct auditor a;

    if (!cli_args(cli, argc, argv, options, MS_ARRAY_LEN(options), "SPEC|URL N", args, 2, 2) ||
        !auditor_point(cli, args[1], point))
        return CLI_USAGE;
    int code = auditor_open(cli, args[0], db, &a);
    if (code == CLI_YES)
        code = auditor_evidence(&a, point, &text);
    auditor_close(&a);
    struct ms_sha256 hash = ms_sha256(ms_buf_span(&text));
    ms_sha256_hex(&hash, name);
    if (code == CLI_YES && path != NULL) {
        enum ms_err err = output_write(path, ms_buf_span(&text), &diag);
        code = err == MS_OK ? CLI_YES : client_fail_err(cli, err, &diag);
    } else if (code == CLI_YES) {
        code = write_out(cli, &text); /* the very bytes: they hash to the name */
    }
    if (code == CLI_YES)
        cli_say(cli, "sha256:%s", name);
    ms_buf_done(&text);
    return code;
}
