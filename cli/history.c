/* cli/history.c - what auditors ask of one specifier: history, diff, at, evidence. */
#include "cli/auditor.h"
#include "cli/backfill.h"
#include "cli/output.h"
#include "cli/when.h"
#include "resolver/entry/past_file.h"

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
    /* Of a contract whose past was fetched; else NULL, and rows are shown as they come. */
    json_t *operations; /* by rising sequence; each takes in the rows of the set it made */
    bool logs;          /* or logs, by rising block, which take in nothing */
    json_t *others;     /* rows of no operation */
};

static enum ms_err show_row(struct listing *l, const json_t *row, struct ms_buf *out)
{
    return auditor_form_row(l->form, l->n++ == 0, row, out);
}

static json_int_t number_of(const json_t *row, const char *name)
{
    return json_integer_value(json_object_get(row, name));
}

/* The operation that made the set of this row, or NULL. */
static json_t *operation_of(const struct listing *l, const json_t *row)
{
    const char *kind = json_string_value(json_object_get(row, "kind"));
    json_int_t sequence = number_of(row, "sequence");
    size_t low = 0, high = json_array_size(l->operations);

    if (l->logs || kind == NULL || strcmp(kind, REPORT_KIND_SET) != 0)
        return NULL;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        json_t *operation = json_array_get(l->operations, middle);
        if (number_of(operation, "sequence") == sequence)
            return operation;
        if (number_of(operation, "sequence") < sequence)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

/* What the contract's own history tells is told once, with what was seen of it here. */
static enum ms_err take_row(struct listing *l, json_t *row)
{
    json_t *operation = operation_of(l, row);
    json_t *accepted = json_object_get(operation, "accepted");

    if (operation == NULL)
        return json_array_append(l->others, row) == 0 ? MS_OK : MS_ERR_MEMORY;
    if (accepted == NULL && json_object_set_new(operation, "accepted", json_array()) == 0)
        accepted = json_object_get(operation, "accepted");
    return json_array_append(accepted, row) == 0 ? MS_OK : MS_ERR_MEMORY;
}

/* Both by time. */
static enum ms_err show_taken(struct listing *l, struct ms_buf *out)
{
    size_t a = 0, b = 0;
    enum ms_err err = MS_OK;

    while (err == MS_OK) {
        const json_t *operation = json_array_get(l->operations, a);
        const json_t *other = json_array_get(l->others, b);
        if (operation == NULL && other == NULL)
            break;
        bool first = other == NULL || (operation != NULL &&
                                       number_of(operation, "time") <= number_of(other, "time"));
        a += first;
        b += !first;
        err = show_row(l, first ? operation : other, out);
    }
    return err;
}

/* Those whose time is not known have 0, and come with the ones before them. */
static enum ms_err begin_logs(struct listing *l, const json_t *root)
{
    size_t i;
    json_t *log;

    l->operations = json_incref(json_object_get(root, "logs"));
    l->logs = l->operations != NULL;
    json_array_foreach(l->operations, i, log)
    {
        l->n_bad += json_is_object(json_object_get(log, "error"));
    }
    l->others = l->logs ? json_array() : NULL;
    return l->logs && l->others == NULL ? MS_ERR_MEMORY : MS_OK;
}

static enum ms_err begin_operations(struct listing *l, const struct cli *cli, const json_t *root)
{
    l->operations = json_incref(json_object_get(root, "operations"));
    if (l->operations == NULL)
        return begin_logs(l, root);
    json_int_t first = number_of(json_array_get(l->operations, 0), "sequence");
    if (first > 1)
        cli_say(cli,
                "operations before %lld are not listed: they are not read back, or too many "
                "(/v1/operations pages through what is)",
                (long long)first);
    l->others = json_array();
    return l->others == NULL ? MS_ERR_MEMORY : MS_OK;
}

static int show_page(const struct cli *cli, struct listing *l, bool first, const json_t *root)
{
    struct ms_buf out = MS_BUF_INIT(4 * REPORT_MAX_BYTES);
    size_t i;
    json_t *row;

    enum ms_err err = first ? begin_operations(l, cli, root) : MS_OK;
    json_array_foreach(json_object_get(root, "rows"), i, row)
    {
        l->n_bad += json_is_object(json_object_get(row, "error"));
        if (err == MS_OK)
            err = l->operations != NULL ? take_row(l, row) : show_row(l, row, &out);
    }
    int code = err == MS_OK ? write_out(cli, &out) : client_fail_err(cli, err, NULL);
    ms_buf_done(&out);
    return code;
}

static int show_operations(const struct cli *cli, struct listing *l)
{
    struct ms_buf out = MS_BUF_INIT(64 * REPORT_MAX_BYTES);

    enum ms_err err = show_taken(l, &out);
    int code = err == MS_OK ? write_out(cli, &out) : client_fail_err(cli, err, NULL);
    ms_buf_done(&out);
    return code;
}

/* Page after page, so that memory does not grow with the history, but where rows are taken in. */
static int show_all(struct auditor *a, struct listing *l)
{
    struct report_page page = {.limit = REPORT_ROWS_MAX};
    bool more = true, first = true;
    int code = CLI_YES;

    while (code == CLI_YES && more) {
        json_t *root = NULL;
        code = auditor_history(a, &page, &root);
        if (code == CLI_YES)
            code = show_page(a->cli, l, first, root);
        first = false;
        uint64_t next = (uint64_t)json_integer_value(json_object_get(root, "next"));
        more = next > page.after;
        page.after = next;
        json_decref(root);
    }
    return code == CLI_YES && l->operations != NULL ? show_operations(a->cli, l) : code;
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
    json_decref(l.operations);
    json_decref(l.others);
    ms_buf_done(&edge);
    return code;
}

/* The past is read back by the daemon, or it was when the database was copied. */
static int read_back(const struct auditor *a, bool all)
{
    json_t *status = NULL;

    if (a->cache != NULL)
        return CLI_YES;
    if (!all)
        return backfill_settle(a->cli, &a->subject);
    int code = backfill_run(a->cli, &a->subject, &status);
    json_decref(status);
    return code;
}

int cli_history(struct cli *cli, int argc, char **argv)
{
    bool jsonl = false, csv = false, md = false, backfill = false;
    const char *arg, *db = NULL;
    const struct cli_option options[] = {{"db", &db, NULL},
                                         {"jsonl", NULL, &jsonl},
                                         {"csv", NULL, &csv},
                                         {"md", NULL, &md},
                                         {"backfill", NULL, &backfill}};
    struct auditor a;

    if (!cli_args(cli, argc, argv, options, MS_ARRAY_LEN(options), "SPEC|URL", &arg, 1, 1))
        return CLI_USAGE;
    if (cli->json + jsonl + csv + md > 1) {
        cli_say(cli, "only one of --json, --jsonl, --csv and --md is possible");
        return CLI_USAGE;
    }
    if (backfill && db != NULL) {
        cli_say(cli, "a database cannot fetch anything: --backfill is for a daemon");
        return CLI_USAGE;
    }
    int code = auditor_open(cli, arg, db, &a);
    if (code == CLI_YES)
        code = read_back(&a, backfill);
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
    struct ms_buf text = MS_BUF_INIT(PAST_FILE_MAX_BYTES);
    const char *args[2], *db = NULL, *path = NULL;
    const struct cli_option options[] = {{"db", &db, NULL}, {"o", &path, NULL}};
    char point[AUDITOR_POINT_MAX], name[2 * MS_SHA256_BYTES + 1];
    struct ms_diag diag = {0};
    struct auditor a;

    if (!cli_args(cli, argc, argv, options, MS_ARRAY_LEN(options), "SPEC|URL N|past", args, 2, 2))
        return CLI_USAGE;
    if (strcmp(args[1], AUDITOR_PAST) == 0)
        (void)snprintf(point, sizeof(point), "%s", AUDITOR_PAST);
    else if (!auditor_point(cli, args[1], point))
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
