/* cli/io.c - arguments, reading and printing. */
#define _POSIX_C_SOURCE 200809L /* open, read, O_CLOEXEC */

#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#define READ_STEP_BYTES 65536u

void cli_say(const struct cli *cli, const char *fmt, ...)
{
    char raw[1024];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(raw, sizeof(raw), fmt, args);
    va_end(args);
    /* arguments are untrusted bytes, and a terminal obeys some of them */
    for (char *c = raw; *c != '\0'; c++)
        if ((unsigned char)*c < 0x20 || (unsigned char)*c > 0x7e)
            *c = '?';
    if (cli->command == NULL)
        (void)fprintf(stderr, "measuredctl: %s\n", raw);
    else
        (void)fprintf(stderr, "measuredctl %s: %s\n", cli->command, raw);
}

void cli_say_warnings(const struct cli *cli, const struct spec *spec)
{
    for (size_t i = 0; i < spec->n_warnings; i++)
        cli_say(cli, "warning: %s: %s", spec->warnings[i].code, spec->warnings[i].text);
}

/* Match argv[*at] as option `name`; *ret_value is NULL when it stands alone. */
static bool option_is(const char *arg, const char *name, const char **ret_value)
{
    size_t n = strlen(name);

    *ret_value = NULL;
    if (n == 1)
        return arg[0] == '-' && arg[1] == name[0] && arg[2] == '\0';
    if (strncmp(arg, "--", 2) != 0 || strncmp(arg + 2, name, n) != 0)
        return false;
    if (arg[2 + n] != '\0' && arg[2 + n] != '=')
        return false;
    *ret_value = arg[2 + n] == '=' ? arg + 3 + n : NULL;
    return true;
}

/* Take one option at argv[*at], moving *at to its last word. */
static bool take_option(struct cli *cli, int argc, char **argv, int *at,
                        const struct cli_option *options, size_t n_options)
{
    const struct cli_option common[] = {{"json", NULL, &cli->json},
                                        {"socket", &cli->socket_dir, NULL}};

    for (size_t i = 0; i < n_options + MS_ARRAY_LEN(common); i++) {
        const struct cli_option *option = i < n_options ? &options[i] : &common[i - n_options];
        const char *value = NULL, *dashes = option->name[1] == '\0' ? "-" : "--";
        if (!option_is(argv[*at], option->name, &value))
            continue;
        if (option->flag != NULL && value == NULL) {
            *option->flag = true;
            return true;
        }
        if (option->flag != NULL) {
            cli_say(cli, "--%s takes no value", option->name);
            return false;
        }
        if (value == NULL && *at + 1 < argc)
            value = argv[++*at];
        if (value == NULL) {
            cli_say(cli, "%s%s needs a value", dashes, option->name);
            return false;
        }
        if (*option->value != NULL && option->value != &cli->socket_dir) {
            cli_say(cli, "%s%s is given twice", dashes, option->name);
            return false;
        }
        *option->value = value;
        return true;
    }
    cli_say(cli, "unknown option %s", argv[*at]);
    return false;
}

bool cli_args(struct cli *cli, int argc, char **argv, const struct cli_option *options,
              size_t n_options, const char *names, const char **ret_args, size_t min, size_t max)
{
    bool more_options = true;
    size_t n = 0;

    for (size_t i = 0; i < max; i++)
        ret_args[i] = NULL;
    for (int at = 1; at < argc; at++) {
        bool is_option = more_options && argv[at][0] == '-' && argv[at][1] != '\0';
        if (is_option && strcmp(argv[at], "--") == 0) {
            more_options = false;
        } else if (is_option) {
            if (!take_option(cli, argc, argv, &at, options, n_options))
                return false;
        } else if (n == max) {
            cli_say(cli, "one argument too many: '%s'", argv[at]);
            return false;
        } else {
            ret_args[n++] = argv[at];
        }
    }
    if (n >= min)
        return true;
    cli_say(cli, "missing argument: %s", names);
    return false;
}

static enum ms_err read_all(int fd, bool to_the_end, struct ms_buf *buf)
{
    uint8_t piece[READ_STEP_BYTES];
    enum ms_err err = MS_OK;

    for (;;) {
        ssize_t n = read(fd, piece, sizeof(piece));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return MS_ERR_IO;
        if (n == 0)
            return err;
        if (err == MS_OK)
            err = ms_buf_add(buf, ms_span_of(piece, (size_t)n));
        if (err != MS_OK && !to_the_end)
            return err;
    }
}

enum ms_err cli_read(const char *path, struct ms_buf *buf)
{
    /* the writer of a pipe must not die of our refusal */
    if (strcmp(path, "-") == 0)
        return read_all(STDIN_FILENO, true, buf);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return MS_ERR_IO;
    enum ms_err err = read_all(fd, false, buf);
    int saved = errno;
    (void)close(fd);
    errno = saved;
    return err;
}

int cli_print_line(const struct cli *cli, struct ms_span line, int code)
{
    if (fwrite(line.ptr, 1, line.len, stdout) == line.len && fputc('\n', stdout) != EOF &&
        fflush(stdout) == 0)
        return code;
    cli_say(cli, "cannot write to stdout: %s", strerror(errno));
    return CLI_UNKNOWN;
}

int cli_print_json(const struct cli *cli, json_t *root, int code)
{
    struct ms_buf text = MS_BUF_INIT((size_t)16 << 20);

    if (root == NULL || ms_json_print(root, false, &text) != MS_OK) {
        cli_say(cli, "%s", ms_err_text(MS_ERR_MEMORY));
        code = CLI_UNKNOWN;
    } else {
        code = cli_print_line(cli, ms_buf_span(&text), code);
    }
    json_decref(root);
    ms_buf_done(&text);
    return code;
}

int cli_print_error(const struct cli *cli, enum ms_err err, const struct ms_diag *diag, int code)
{
    const char *text = ms_diag_text(diag, err);

    if (cli->json)
        return cli_print_json(
            cli, json_pack("{s:{s:s,s:s}}", "error", "code", ms_err_code(err), "text", text), code);
    cli_say(cli, "%s (%s)", text, ms_err_code(err));
    return code;
}

int cli_exit_of(enum ms_err err)
{
    return err == MS_ERR_MEMORY || err == MS_ERR_INTERNAL || err == MS_ERR_IO ? CLI_UNKNOWN
                                                                              : CLI_NO;
}

enum ms_err cli_safe_url(const struct spec *spec, const struct spec_url *url, struct ms_buf *out)
{
    (void)ms_buf_add_str(out, "https://");
    enum ms_err err = spec_safe_text(spec, out);
    if (err != MS_OK)
        return err;
    (void)ms_buf_addf(out, "@%s", url->host);
    if (url->port != 0)
        (void)ms_buf_addf(out, ":%u", url->port);
    return ms_buf_add_str(out, url->path);
}
