/* cli/resolve.c - resolve and refresh: what is approved, according to the daemon. */
#define _POSIX_C_SOURCE 200809L /* clock_gettime */

#include "cli/list.h"
#include "cli/view.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

#define REFRESH_TIMEOUT_MS 35000 /* the daemon waits 30 s */

static int64_t wall_now_s(void)
{
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec;
}

/* The daemon's text, which ends in a newline or gets one. */
static int print_body(const struct cli *cli, struct ms_span text)
{
    while (text.len > 0 && text.ptr[text.len - 1] == '\n')
        text.len--;
    return cli_print_line(cli, text, CLI_YES);
}

/* Ask for an envelope; CLI_YES, or the exit code after the words. */
static int ask_envelope(const struct cli *cli, const struct client_subject *subject,
                        const char *path, bool accept, struct client_reply *reply,
                        struct view *view)
{
    struct ms_buf target = MS_BUF_INIT(4 * SPEC_URL_MAX);
    bool refresh = strcmp(path, "/v1/refresh") == 0;
    struct ms_diag diag = {0};
    int code = CLI_YES;

    enum ms_err err = client_target(path, subject, &target);
    if (accept)
        (void)ms_buf_add_str(&target, "&accept=1");
    struct client_ask ask = {.socket = refresh ? "admin.sock" : "api.sock",
                             .target = ms_buf_str(&target),
                             .post = refresh,
                             .timeout_ms = refresh ? REFRESH_TIMEOUT_MS : CLIENT_TIMEOUT_MS};
    if (err == MS_OK)
        err = client_ask(cli, &ask, reply, &diag);
    if (err == MS_OK && reply->status == 200)
        err = view_parse(ms_buf_span(&reply->body), view, &diag);
    if (err != MS_OK)
        code = client_fail_err(cli, err, &diag);
    else if (reply->status != 200)
        code = client_fail_reply(cli, reply);
    ms_buf_done(&target);
    return code;
}

static void say_age(const struct cli *cli, const struct view *view)
{
    struct ms_buf text = MS_BUF_INIT(2048);

    (void)view_age(view, wall_now_s(), &text);
    const char *line = ms_buf_str(&text);
    if (line != NULL)
        cli_say(cli, "%s", line);
    ms_buf_done(&text);
}

/* The records carry the state but not when it was confirmed. */
static void say_state(struct cli *cli, const struct client_subject *subject, const char *state)
{
    struct cli quiet = {.command = cli->command, .socket_dir = cli->socket_dir};
    struct client_reply reply;
    struct view view;

    if (state[0] == '\0' || strcmp(state, "fresh") == 0)
        return;
    if (strcmp(state, "revoked") == 0) {
        cli_say(cli, "revoked: nothing is approved");
        return;
    }
    client_reply_init(&reply);
    view_init(&view);
    if (ask_envelope(&quiet, subject, "/v1/resolve", false, &reply, &view) == CLI_YES)
        say_age(cli, &view);
    view_done(&view);
    client_reply_done(&reply);
}

static int resolve_records(struct cli *cli, const struct client_subject *subject,
                           const struct list *list)
{
    struct ms_buf target = MS_BUF_INIT(4 * SPEC_URL_MAX);
    struct client_reply reply;
    struct ms_diag diag = {0};
    int code;

    client_reply_init(&reply);
    enum ms_err err = list_target(list, subject, &target);
    struct client_ask ask = {
        .socket = "api.sock", .target = ms_buf_str(&target), .timeout_ms = CLIENT_TIMEOUT_MS};
    if (err == MS_OK)
        err = client_ask(cli, &ask, &reply, &diag);
    if (err == MS_OK && reply.status == 200)
        err = list_judge(list, &reply, &diag);
    if (err != MS_OK) {
        code = client_fail_err(cli, err, &diag);
    } else if (reply.status != 200) {
        code = client_fail_reply(cli, &reply);
    } else {
        say_state(cli, subject, reply.state);
        if (reply.warning[0] != '\0')
            cli_say(cli, "warning: %s", reply.warning);
        code = print_body(cli, ms_buf_span(&reply.body));
    }
    client_reply_done(&reply);
    ms_buf_done(&target);
    return code;
}

static int print_view(const struct cli *cli, const struct view *view)
{
    struct ms_buf text = MS_BUF_INIT(65536);
    int code = CLI_UNKNOWN;

    if (view_text(view, wall_now_s(), &text) == MS_OK)
        code = print_body(cli, ms_buf_span(&text));
    ms_buf_done(&text);
    return code;
}

static int show_envelope(struct cli *cli, const struct client_subject *subject, const char *path,
                         bool accept)
{
    struct client_reply reply;
    struct view view;

    client_reply_init(&reply);
    view_init(&view);
    int code = ask_envelope(cli, subject, path, accept, &reply, &view);
    if (code == CLI_YES && cli->json) {
        if (strcmp(view.state, "fresh") != 0)
            say_age(cli, &view);
        code = print_body(cli, ms_buf_span(&reply.body));
    } else if (code == CLI_YES) {
        code = print_view(cli, &view);
    }
    view_done(&view);
    client_reply_done(&reply);
    return code;
}

int cli_resolve(struct cli *cli, int argc, char **argv)
{
    struct list list = {0};
    const struct cli_option options[] = {LIST_OPTIONS(&list)};
    struct client_subject subject;
    const char *arg;

    if (!cli_args(cli, argc, argv, options, MS_ARRAY_LEN(options), "SPEC|URL", &arg, 1, 1) ||
        !list_ok(cli, &list))
        return CLI_USAGE;
    int code = client_subject(cli, arg, &subject);
    if (code != CLI_YES)
        return code;
    return cli->json ? show_envelope(cli, &subject, "/v1/resolve", false)
                     : resolve_records(cli, &subject, &list);
}

int cli_refresh(struct cli *cli, int argc, char **argv)
{
    bool accept = false;
    const struct cli_option options[] = {{.name = "accept", .flag = &accept}};
    struct client_subject subject;
    const char *arg;

    if (!cli_args(cli, argc, argv, options, MS_ARRAY_LEN(options), "SPEC|URL", &arg, 1, 1))
        return CLI_USAGE;
    int code = client_subject(cli, arg, &subject);
    return code == CLI_YES ? show_envelope(cli, &subject, "/v1/refresh", accept) : code;
}
