/* resolver/daemon/main.c - the command line of `measured`. */
#define _GNU_SOURCE
#include "resolver/daemon/daemon.h"
#include "resolver/daemon/log.h"
#include "resolver/spec/spec.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_CONFIG "/etc/measured/measured.conf"

static const char usage[] =
    "usage: measured [-c FILE] [-n] [--version] [--help]\n"
    "\n"
    "Resolves measurement specifiers for attested TLS and serves them on local sockets.\n"
    "  -c FILE    read this configuration (default " DEFAULT_CONFIG ", else built-in defaults)\n"
    "  -n         only check the configuration\n"
    "  --version  print the version\n"
    "  --help     print this\n";

static const char *lookup_env(void *arg, const char *name)
{
    (void)arg;
    return getenv(name);
}

/* What an alias stands for must be a specifier and no alias itself. */
static enum ms_err check_specifier(void *arg, struct ms_span text, struct ms_diag *diag)
{
    static const struct spec_context context;
    struct spec spec;
    (void)arg;

    spec_init(&spec);
    enum ms_err err = spec_parse(text, &context, &spec, diag);
    if (err == MS_OK && spec.kind == SPEC_ALIAS)
        err = ms_diag_set(diag, MS_ERR_ALIAS, "an alias may not stand for another alias");
    spec_done(&spec);
    return err;
}

struct arguments {
    const char *config_path;
    bool check_only;
};

/* -1: go on; else the exit status. */
static int parse(int argc, char **argv, struct arguments *args)
{
    static const struct option longs[] = {
        {"version", no_argument, NULL, 'V'}, {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
    int c;

    while ((c = getopt_long(argc, argv, "c:n", longs, NULL)) != -1) {
        switch (c) {
        case 'c':
            args->config_path = optarg;
            break;
        case 'n':
            args->check_only = true;
            break;
        case 'V':
            printf("measured %s\n", MS_VERSION);
            return 0;
        case 'h':
            (void)fputs(usage, stdout);
            return 0;
        default:
            (void)fputs("measured: try --help\n", stderr);
            return 2;
        }
    }
    if (optind != argc) {
        (void)fprintf(stderr, "measured: unexpected argument: %s\n", argv[optind]);
        return 2;
    }
    return -1;
}

static void print_warning(void *arg, const char *text)
{
    (void)arg;
    log_line(LOG_LEVEL_WARNING, "config", "warning", log_str("text", text));
}

static struct config *load(const char *path, const struct config_context *context)
{
    struct ms_diag diag = {0};
    struct config *config = NULL;
    enum ms_err err = path == NULL ? config_default(context, &config)
                                   : config_load_file(path, context, &config, &diag);

    if (err != MS_OK) {
        struct ms_buf text = MS_BUF_INIT(4096);
        (void)config_error_text(path == NULL ? "defaults" : path, err, &diag, &text);
        const char *line = ms_buf_str(&text);
        (void)fprintf(stderr, "%s\n", line == NULL ? "out of memory" : line);
        ms_buf_done(&text);
        return NULL;
    }
    return config;
}

int main(int argc, char **argv)
{
    struct arguments args = {0};
    struct config_context context = {
        .env = lookup_env, .uid = (uint32_t)geteuid(), .check_specifier = check_specifier};

    int status = parse(argc, argv, &args);
    if (status >= 0)
        return status;
    if (args.config_path == NULL && access(DEFAULT_CONFIG, F_OK) == 0)
        args.config_path = DEFAULT_CONFIG;
    struct log_config log = log_config_default(getenv("JOURNAL_STREAM"));
    log_init(&log);
    struct config *config = load(args.config_path, &context);
    if (config == NULL)
        return 2;
    config_each_warning(config, print_warning, NULL);
    if (args.check_only) {
        config_free(config);
        return 0;
    }
    struct daemon_options options = {.config_path = args.config_path,
                                     .version = MS_VERSION,
                                     .context = context,
                                     .notify_socket = getenv("NOTIFY_SOCKET")};
    return daemon_run(config, &options);
}
