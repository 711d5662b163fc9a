/* cli/lint.c - mistakes in a measurement document (rules L001.. of docs/measurements.md). */
#include "cli/cli.h"
#include "cli/lint_gate.h"

#include <errno.h>
#include <stdio.h>

struct report {
    const struct cli *cli;
    json_t *findings; /* with --json */
    size_t errors, others;
};

static void add_finding(const struct rec_finding *finding, void *arg)
{
    struct report *report = arg;
    const char *grade = lint_grade_name(finding->grade);

    if (finding->grade == REC_GRADE_ERROR)
        report->errors++;
    else
        report->others++;
    if (report->findings != NULL)
        (void)json_array_append_new(
            report->findings, json_pack("{s:s,s:s,s:s,s:s}", "rule", finding->rule, "grade", grade,
                                        "record", finding->record, "text", finding->text));
    else if (finding->record[0] != '\0')
        printf("%s %s: %s: %s\n", finding->rule, grade, finding->record, finding->text);
    else
        printf("%s %s: %s\n", finding->rule, grade, finding->text);
}

static int lint_document(const struct cli *cli, struct ms_span document)
{
    struct report report = {.cli = cli, .findings = cli->json ? json_array() : NULL};

    bool failed = rec_lint(document, add_finding, &report);
    int code = failed ? CLI_NO : CLI_YES;
    if (cli->json)
        return cli_print_json(cli,
                              json_pack("{s:o,s:I}", "findings", report.findings, "errors",
                                        (json_int_t)report.errors),
                              code);
    cli_say(cli, "%zu errors, %zu other findings", report.errors, report.others);
    return fflush(stdout) == 0 ? code : CLI_UNKNOWN;
}

/* No such file: a specifier, whose document is in it or out of reach. */
static int lint_specifier(const struct cli *cli, const char *text)
{
    static const struct spec_context unread = {.inline_unread = true};
    struct ms_diag diag = {0};
    struct spec_url url;
    struct spec spec;
    int code;

    spec_init(&spec);
    enum ms_err err = spec_parse_any(ms_span_str(text), &unread, &spec, &url, &diag);
    if (err != MS_OK) {
        cli_say(cli, "'%.64s' is neither a file that is there nor a specifier", text);
        code = cli_print_error(cli, err, &diag, cli_exit_of(err));
    } else if (spec.kind == SPEC_INLINE) {
        cli_say_warnings(cli, &spec);
        code = lint_document(cli, spec.document);
    } else {
        (void)ms_diag_set(&diag, MS_ERR_UNAVAILABLE,
                          "the document of a specifier of kind %s is elsewhere; lint what "
                          "`measuredctl resolve` prints",
                          spec_kind_name(spec.kind));
        code = cli_print_error(cli, MS_ERR_UNAVAILABLE, &diag, CLI_UNKNOWN);
    }
    spec_done(&spec);
    return code;
}

int cli_lint(struct cli *cli, int argc, char **argv)
{
    struct ms_buf document =
        MS_BUF_INIT(REC_DOC_MAX_BYTES + 1); /* what is too large, rec_lint says */
    struct ms_diag diag = {0};
    const char *arg;
    int code;

    if (!cli_args(cli, argc, argv, NULL, 0, "FILE|SPEC|URL|-", &arg, 1, 1))
        return CLI_USAGE;
    errno = 0;
    enum ms_err err = cli_read(arg, &document);
    if (err == MS_OK) {
        code = lint_document(cli, ms_buf_span(&document));
    } else if (err == MS_ERR_IO && (errno == ENOENT || errno == ENAMETOOLONG || errno == ENOTDIR)) {
        code = lint_specifier(cli, arg);
    } else {
        (void)ms_diag_set(&diag, err, "%s: %s", arg,
                          err == MS_ERR_IO ? strerror(errno) : ms_err_text(err));
        code = cli_print_error(cli, err, &diag, err == MS_ERR_LIMIT ? CLI_NO : CLI_UNKNOWN);
    }
    ms_buf_done(&document);
    return code;
}
