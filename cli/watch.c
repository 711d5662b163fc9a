/* cli/watch.c - follow a specifier: print changes, keep a file current, tell those who read it.
 *
 * Whoever reads the file cannot see how old it is, so the file must not outlive what it says: it
 * gets the form in which the profile says "nothing is approved" when nothing may be served, when
 * the rendering cannot be had, when `valid_until` passes without word from the daemon, and when
 * nobody is left to see to it. What is done when: supervise.h. */
#define _GNU_SOURCE /* getpid */

#include "cli/watch.h"

#include "cli/child.h"

#include <unistd.h>

#define RUN_S 60
#define GRACE_S 5
#define SECONDS_MAX 3600

struct arguments {
    const char *spec, *write, *command, *signal, *pid_file;
    const char *mode, *group, *exec_timeout, *grace, *on_exit, *on_unknown, *on_write_error;
};

/* A word of a list; its place, or -1 after words. NULL is the first. */
static int choice(const struct cli *cli, const char *option, const char *value,
                  const char *const *words, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (value == NULL || strcmp(value, words[i]) == 0)
            return (int)i;
    cli_say(cli, "--%s: '%s' is none of %s, %s%s%s", option, value, words[0], words[1],
            n > 2 ? ", " : "", n > 2 ? words[2] : "");
    return -1;
}

/* NULL leaves *ret_ms as it is. */
static bool seconds(const struct cli *cli, const char *option, const char *text, int64_t *ret_ms)
{
    struct ms_span span = ms_span_str(text);
    uint64_t number;

    if (text == NULL)
        return true;
    if (span.len > 1 && span.ptr[span.len - 1] == 's')
        span.len--;
    if (!ms_span_u64(span, &number) || number < 1 || number > SECONDS_MAX) {
        cli_say(cli, "--%s: '%s' is not a number of seconds from 1 to %d", option, text,
                SECONDS_MAX);
        return false;
    }
    *ret_ms = (int64_t)number * 1000;
    return true;
}

static bool take_policies(struct watch *w, const struct arguments *args)
{
    static const char *const exits[] = {"deny", "keep", "remove"},
                             *const unknowns[] = {"deny", "wait"},
                             *const errors[] = {"stop", "keep"};
    int on_exit = choice(w->cli, "on-exit", args->on_exit, exits, 3);
    int unknown = choice(w->cli, "on-unknown", args->on_unknown, unknowns, 2);
    int on_error = choice(w->cli, "on-write-error", args->on_write_error, errors, 2);

    w->policy.run_ms = RUN_S * 1000;
    w->policy.grace_ms = GRACE_S * 1000;
    w->policy.seed = (uint32_t)getpid();
    if (on_exit < 0 || unknown < 0 || on_error < 0 ||
        !seconds(w->cli, "exec-timeout", args->exec_timeout, &w->policy.run_ms) ||
        !seconds(w->cli, "grace", args->grace, &w->policy.grace_ms))
        return false;
    w->policy.on_exit = (enum supervise_exit)on_exit;
    w->policy.wait = unknown == 1;
    w->policy.keep_on_write_error = on_error == 1;
    return true;
}

static bool take_file(struct watch *w, const struct arguments *args)
{
    struct ms_diag diag = {0};

    w->file.path = args->write;
    w->policy.file = args->write != NULL;
    if (args->mode != NULL && output_mode(args->mode, &w->file.mode, &diag) != MS_OK) {
        cli_say(w->cli, "--mode: %s", diag.text);
        return false;
    }
    if (args->group != NULL && output_group(args->group, &w->file.group, &diag) != MS_OK) {
        cli_say(w->cli, "--group: %s", diag.text);
        return false;
    }
    w->file.has_group = args->group != NULL;
    return true;
}

static bool take_consumers(struct watch *w, const struct arguments *args)
{
    w->command = args->command;
    w->pid_file = args->pid_file;
    w->policy.command = args->command != NULL;
    w->policy.signal = args->signal != NULL;
    w->policy.proxy = w->proxy_argv != NULL;
    w->change_signal = args->signal == NULL ? 0 : child_signal_of(args->signal);
    if (args->signal != NULL && w->change_signal == 0)
        cli_say(w->cli, "--signal: there is no signal %s", args->signal);
    else if (args->signal != NULL && w->proxy_argv == NULL && args->pid_file == NULL)
        cli_say(w->cli, "--signal needs --pid-file, or a program behind --");
    else if (args->pid_file != NULL && (args->signal == NULL || w->proxy_argv != NULL))
        cli_say(w->cli, "--pid-file goes with --signal, and without a program behind --");
    else if (w->proxy_argv != NULL && args->write == NULL)
        cli_say(w->cli, "a program behind -- needs --write: it reads that file");
    else
        return true;
    return false;
}

/* What stands behind `--` is the proxy's; argc is cut there. */
static bool cut_proxy(struct watch *w, int *argc, char **argv)
{
    for (int i = 1; i < *argc; i++) {
        if (strcmp(argv[i], "--") != 0)
            continue;
        if (i + 1 == *argc) {
            cli_say(w->cli, "no program behind --");
            return false;
        }
        w->proxy_argv = argv + i + 1;
        *argc = i;
        break;
    }
    return true;
}

static bool take_arguments(struct watch *w, int argc, char **argv, struct arguments *args)
{
    const struct cli_option options[] = {LIST_OPTIONS(&w->list),
                                         {"write", &args->write, NULL},
                                         {"mode", &args->mode, NULL},
                                         {"group", &args->group, NULL},
                                         {"exec", &args->command, NULL},
                                         {"exec-timeout", &args->exec_timeout, NULL},
                                         {"signal", &args->signal, NULL},
                                         {"pid-file", &args->pid_file, NULL},
                                         {"grace", &args->grace, NULL},
                                         {"on-exit", &args->on_exit, NULL},
                                         {"on-unknown", &args->on_unknown, NULL},
                                         {"on-write-error", &args->on_write_error, NULL}};

    return cut_proxy(w, &argc, argv) &&
           cli_args(w->cli, argc, argv, options, MS_ARRAY_LEN(options), "SPEC|URL", &args->spec, 1,
                    1) &&
           list_ok(w->cli, &w->list) && take_policies(w, args) && take_file(w, args) &&
           take_consumers(w, args);
}

static enum ms_err prepare(struct watch *w, struct ms_diag *diag)
{
    struct rec_options options = {.profile = w->list.profile};
    struct ms_buf deny = MS_BUF_INIT(65536);

    enum ms_err err = rec_render(NULL, 0, &options, &deny, NULL);
    if (err == MS_OK)
        err = supervise_init(&w->super, &w->policy, ms_buf_span(&deny), watch_now_ms());
    ms_buf_done(&deny);
    if (err == MS_OK)
        err = client_target("/v1/watch", &w->subject, &w->feed.target);
    return err == MS_OK ? MS_OK : ms_diag_set(diag, err, "%s", ms_err_text(err));
}

static int follow(struct watch *w)
{
    struct ms_diag diag = {0};

    enum ms_err err = prepare(w, &diag);
    if (err != MS_OK)
        return client_fail_err(w->cli, err, &diag);
    if (w->file.path != NULL && output_open(&w->file, &diag) != MS_OK) {
        cli_say(w->cli, "--write: %s", diag.text);
        return CLI_UNKNOWN;
    }
    return watch_run(w);
}

int cli_watch(struct cli *cli, int argc, char **argv)
{
    struct watch w = {.cli = cli};
    struct arguments args = {.spec = NULL};

    output_init(&w.file);
    watch_feed_init(&w);
    view_init(&w.last);
    int code = CLI_USAGE;
    if (take_arguments(&w, argc, argv, &args)) {
        w.policy.list_ends = w.list.profile == REC_PROFILE_RVPS_LOCALJSON;
        code = client_subject(cli, args.spec, &w.subject);
        if (code == CLI_YES)
            code = follow(&w);
    }
    output_close(&w.file);
    watch_feed_done(&w);
    supervise_done(&w.super);
    view_done(&w.last);
    return code;
}
