/* cli/cli.h - what the subcommands of measuredctl share: exit codes, arguments, reading and
 * printing.
 *
 * A subcommand is a row of the table in main.c and a function of its own file. It prints data on
 * stdout and words on stderr, and returns one of the exit codes below. Single-threaded. */
#ifndef MS_CLI_H
#define MS_CLI_H

#include "base/buf.h"
#include "base/json.h"
#include "resolver/spec/spec.h"

enum cli_exit {
    CLI_YES = 0,     /* yes, or done */
    CLI_NO = 1,      /* no: refused, invalid, different */
    CLI_USAGE = 2,   /* bad usage; the words name the argument */
    CLI_UNKNOWN = 3, /* could not find out */
};

struct cli {
    const char *command;    /* name of the running subcommand, for words */
    bool json;              /* --json */
    const char *socket_dir; /* --socket, else $MEASURED_SOCKET_DIR, else NULL for the default */
};

struct cli_option {   /* one of a subcommand's own options; exactly one of value and flag is set */
    const char *name; /* without its two dashes; of one letter: `-o VALUE` */
    const char **value;
    bool *flag;
};

/* Take argv[1..] apart: options (`--name VALUE`, `--name=VALUE`, flags; --json and --socket
 * everywhere) and positional arguments; `--` ends the options, `-` is positional. Fewer than min or
 * more than max positional arguments are an error; missing ones up to max are NULL. names  of the
 * positional arguments, for words: "SPEC|URL|-" false when it has said what is wrong: return
 * CLI_USAGE. */
bool cli_args(struct cli *cli, int argc, char **argv, const struct cli_option *options,
              size_t n_options, const char *names, const char **ret_args, size_t min, size_t max);

/* "measuredctl COMMAND: ..." on stderr. */
void cli_say(const struct cli *cli, const char *fmt, ...) MS_PRINTF(2, 3);
/* The same as "warning: CODE: TEXT". */
void cli_say_warnings(const struct cli *cli, const struct spec *spec);

/* The whole file, or stdin for "-", any bytes. MS_ERR_LIMIT when it does not fit into buf (stdin is
 * read to its end all the same), MS_ERR_IO with errno set, MS_ERR_MEMORY. */
MS_MUST_USE enum ms_err cli_read(const char *path, struct ms_buf *buf);

/* A JSON text and a newline on stdout, members in their order; takes the reference. Returns `code`,
 * or CLI_UNKNOWN when it could not be written. */
int cli_print_json(const struct cli *cli, json_t *root, int code);
/* {"error":{"code","text"}} on stdout with --json, otherwise words; returns `code`. */
int cli_print_error(const struct cli *cli, enum ms_err err, const struct ms_diag *diag, int code);
/* Bytes and a newline on stdout. */
int cli_print_line(const struct cli *cli, struct ms_span line, int code);

/* Exit code for an error of the pure rooms: CLI_UNKNOWN for want of memory or a bug, else CLI_NO.
 */
int cli_exit_of(enum ms_err err);

/* https://SAFE@HOST[:PORT]PATH, appended; url->host must be set. */
MS_MUST_USE enum ms_err cli_safe_url(const struct spec *spec, const struct spec_url *url,
                                     struct ms_buf *out);

int cli_explain(struct cli *cli, int argc, char **argv);
int cli_url(struct cli *cli, int argc, char **argv);
int cli_lint(struct cli *cli, int argc, char **argv);
int cli_release(struct cli *cli, int argc, char **argv);
int cli_registry(struct cli *cli, int argc, char **argv);
int cli_workload_id(struct cli *cli, int argc, char **argv);
int cli_resolve(struct cli *cli, int argc, char **argv);
int cli_check(struct cli *cli, int argc, char **argv);
int cli_watch(struct cli *cli, int argc, char **argv);
int cli_history(struct cli *cli, int argc, char **argv);
int cli_diff(struct cli *cli, int argc, char **argv);
int cli_at(struct cli *cli, int argc, char **argv);
int cli_evidence(struct cli *cli, int argc, char **argv);
int cli_audit(struct cli *cli, int argc, char **argv);
int cli_compare(struct cli *cli, int argc, char **argv);
int cli_status(struct cli *cli, int argc, char **argv);
int cli_log(struct cli *cli, int argc, char **argv);
int cli_refresh(struct cli *cli, int argc, char **argv);
int cli_backfill(struct cli *cli, int argc, char **argv);

#endif
