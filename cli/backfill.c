/* cli/backfill.c - the past of a contract or of signers, fetched by the daemon. */
#define _GNU_SOURCE
#include "cli/backfill.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define LOOK_MS 300
#define IDLE_MAX_MS 600000 /* as long as the daemon waits between two tries, at most */
#define SETTLE_MS 60000    /* for what nobody asked for by name */

static int64_t number(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

static bool is_state(const json_t *status, const char *state)
{
    return ms_span_eq_str(ms_json_member_str(status, "state"), state);
}

/* What the daemon passes on from endpoints goes to a terminal. */
static const char *printable(const json_t *object, const char *name, char *out, size_t size)
{
    struct ms_span text = ms_json_member_str(object, name);
    size_t n = text.len < size - 1 ? text.len : size - 1;

    for (size_t i = 0; i < n; i++)
        out[i] = (char)(text.ptr[i] >= 0x20 && text.ptr[i] <= 0x7e ? text.ptr[i] : '?');
    out[n] = '\0';
    return out;
}

/* ---- one question ---- */

/* Held by out. NULL: it has said why not, with the exit code. */
static const char *target_of(const struct cli *cli, const struct client_subject *subject,
                             struct ms_buf *out, int *ret_code)
{
    enum ms_err err = client_target("/v1/backfill", subject, out);
    const char *text = err == MS_OK ? ms_buf_str(out) : NULL;

    *ret_code = CLI_YES;
    if (text == NULL)
        *ret_code = client_fail_err(cli, err == MS_OK ? MS_ERR_MEMORY : err, NULL);
    return text;
}

static int post(const struct cli *cli, const char *target)
{
    struct client_ask ask = {
        .socket = "admin.sock", .target = target, .post = true, .timeout_ms = CLIENT_TIMEOUT_MS};
    struct client_reply reply;
    struct ms_diag diag = {0};
    int code = CLI_YES;

    client_reply_init(&reply);
    enum ms_err err = client_ask(cli, &ask, &reply, &diag);
    if (err != MS_OK)
        code = client_fail_err(cli, err, &diag);
    else if (reply.status != 202)
        code = client_fail_reply(cli, &reply);
    client_reply_done(&reply);
    return code;
}

static int look(const struct cli *cli, const char *target, json_t **ret_status)
{
    struct client_ask ask = {
        .socket = "api.sock", .target = target, .timeout_ms = CLIENT_TIMEOUT_MS};
    struct client_reply reply;
    struct ms_diag diag = {0};
    int code = CLI_YES;

    client_reply_init(&reply);
    enum ms_err err = client_ask(cli, &ask, &reply, &diag);
    if (err == MS_OK && reply.status != 200)
        code = client_fail_reply(cli, &reply);
    else if (err == MS_OK)
        err = client_json(ms_buf_span(&reply.body), ret_status, &diag);
    if (err != MS_OK)
        code = client_fail_err(cli, err, &diag);
    client_reply_done(&reply);
    return code;
}

/* ---- progress ---- */

static void show_progress(const json_t *status, bool end)
{
    char state[16], provider[64];

    if (isatty(STDERR_FILENO) == 0)
        return;
    (void)printable(status, "state", state, sizeof(state));
    (void)printable(status, "provider", provider, sizeof(provider));
    if (ms_span_eq_str(ms_json_member_str(status, "kind"), "logs"))
        (void)fprintf(stderr, "\r\033[K%s: block %" PRId64 " of %" PRId64 ", %" PRId64 " logs, %s",
                      state, number(status, "next_block"), number(status, "last_block"),
                      number(status, "logs"), provider);
    else if (ms_span_eq_str(ms_json_member_str(status, "kind"), "sets"))
        (void)fprintf(
            stderr, "\r\033[K%s: %" PRId64 " sets below %" PRId64 ", next %" PRId64 ", %s", state,
            number(status, "stored"), number(status, "sets"), number(status, "next"), provider);
    else
        (void)fprintf(stderr,
                      "\r\033[K%s: %" PRId64 " of %" PRId64 " operations, block %" PRId64 ", %s",
                      state, number(status, "stored"), number(status, "operations"),
                      number(status, "block"), provider);
    if (end)
        (void)fputc('\n', stderr);
}

static void say_complaints(const struct cli *cli, const json_t *status)
{
    json_t *list = json_object_get(status, "complaints"), *one;
    char provider[64], text[256];
    size_t i;

    json_array_foreach(list, i, one)
    {
        cli_say(cli, "%s: %s", printable(one, "provider", provider, sizeof(provider)),
                printable(one, "text", text, sizeof(text)));
    }
}

static int say_failure(const struct cli *cli, const json_t *status)
{
    json_t *error = json_object_get(status, "error");
    char code[64], text[512];

    return client_fail(cli, printable(error, "code", code, sizeof(code)),
                       printable(error, "text", text, sizeof(text)), CLI_UNKNOWN);
}

static void rest(void)
{
    struct timespec pause = {.tv_nsec = LOOK_MS * 1000000L};
    (void)nanosleep(&pause, NULL);
}

static int follow(const struct cli *cli, const char *target, json_t **ret_status)
{
    int64_t seen = -1, idle_ms = 0;

    for (;;) {
        json_t *status = NULL;
        int code = look(cli, target, &status);
        if (code != CLI_YES)
            return code;
        bool done = is_state(status, "done"), failed = is_state(status, "failed");
        int64_t now = number(status, "requests") + number(status, "stored");
        show_progress(status, done || failed);
        idle_ms = now == seen ? idle_ms + LOOK_MS : 0;
        seen = now;
        if (is_state(status, "none")) {
            json_decref(status);
            return client_fail(
                cli, ms_err_code(MS_ERR_UNAVAILABLE),
                "the daemon has no answer of it whose evidence is stored, or as many "
                "back-fills as it takes",
                CLI_UNKNOWN);
        }
        if (done) {
            say_complaints(cli, status);
            *ret_status = status;
            return CLI_YES;
        }
        if (failed || idle_ms > IDLE_MAX_MS) {
            say_complaints(cli, status);
            code = failed ? say_failure(cli, status)
                          : client_fail(cli, ms_err_code(MS_ERR_TIMEOUT),
                                        "no progress for ten minutes; the daemon goes on with it",
                                        CLI_UNKNOWN);
            json_decref(status);
            return code;
        }
        json_decref(status);
        rest();
    }
}

int backfill_run(const struct cli *cli, const struct client_subject *subject, json_t **ret_status)
{
    struct ms_buf target = MS_BUF_INIT((size_t)1 << 20);
    int code;

    const char *text = target_of(cli, subject, &target, &code);
    if (code == CLI_YES)
        code = post(cli, text);
    if (code == CLI_YES)
        code = follow(cli, text, ret_status);
    ms_buf_done(&target);
    return code;
}

/* ---- what is under way by itself ---- */

static bool is_under_way(const json_t *status)
{
    if (json_is_true(json_object_get(status, "complete")))
        return false; /* documents are still fetched, maybe */
    return is_state(status, "queued") || is_state(status, "reading") ||
           is_state(status, "walking") || is_state(status, "storing");
}

static void say_unsettled(const struct cli *cli, const json_t *status)
{
    const json_t *error = json_object_get(status, "error");
    char text[512];

    if (is_under_way(status))
        cli_say(cli,
                "%" PRId64 " of %" PRId64 " operations of the past are read back so far: "
                "history --backfill waits for all",
                number(status, "stored"), number(status, "operations"));
    else if (error != NULL)
        cli_say(cli, "the past is not read back to its beginning: %s",
                printable(error, "text", text, sizeof(text)));
}

int backfill_settle(const struct cli *cli, const struct client_subject *subject)
{
    struct ms_buf target = MS_BUF_INIT((size_t)1 << 20);
    json_t *status = NULL;
    bool shown = false;
    int code;

    const char *text = target_of(cli, subject, &target, &code);
    if (code == CLI_YES)
        code = look(cli, text, &status);
    for (int64_t ms = 0; code == CLI_YES && is_under_way(status) && ms < SETTLE_MS; ms += LOOK_MS) {
        show_progress(status, false);
        shown = true;
        rest();
        json_decref(status);
        status = NULL;
        code = look(cli, text, &status);
    }
    if (shown && code == CLI_YES)
        show_progress(status, true);
    if (code == CLI_YES)
        say_unsettled(cli, status);
    json_decref(status);
    ms_buf_done(&target);
    return code;
}

/* ---- the command ---- */

static void say_registry(const struct cli *cli, const json_t *status)
{
    int64_t missing = number(status, "documents_missing");
    char why[512];

    cli_say(cli, "%" PRId64 " operations, proven back to the first; %" PRId64 " documents",
            number(status, "operations"), number(status, "documents"));
    if (missing > 0)
        cli_say(cli, "%" PRId64 " documents could not be had; %s", missing,
                printable(status, "documents_why", why, sizeof(why)));
}

static void say_sets(const struct cli *cli, const json_t *status)
{
    json_t *list = json_object_get(status, "gaps"), *gap;
    size_t i;

    json_array_foreach(list, i, gap)
    {
        cli_say(cli, "missing: sets %" PRId64 " to %" PRId64, number(gap, "from"),
                number(gap, "to"));
    }
    if (json_is_true(json_object_get(status, "complete")))
        cli_say(cli, "%" PRId64 " sets stored, each named by the one after it, back to the first",
                number(status, "stored"));
    else
        cli_say(cli, "%" PRId64 " sets stored, not all there were: %" PRId64 " gaps",
                number(status, "stored"), number(status, "n_gaps"));
}

static int say_result(const struct cli *cli, const json_t *status)
{
    if (ms_span_eq_str(ms_json_member_str(status, "kind"), "sets"))
        say_sets(cli, status);
    else if (is_state(status, "done") &&
             ms_span_eq_str(ms_json_member_str(status, "kind"), "registry"))
        say_registry(cli, status);
    else
        cli_say(cli,
                "%" PRId64 " logs up to block %" PRId64 ", as endpoints tell them: nobody can "
                "prove that these are all",
                number(status, "logs"), number(status, "last_block"));
    return CLI_YES;
}

int cli_backfill(struct cli *cli, int argc, char **argv)
{
    struct client_subject subject;
    json_t *status = NULL;
    const char *arg;

    if (!cli_args(cli, argc, argv, NULL, 0, "SPEC|URL", &arg, 1, 1))
        return CLI_USAGE;
    int code = client_subject(cli, arg, &subject);
    if (code == CLI_YES)
        code = backfill_run(cli, &subject, &status);
    if (code != CLI_YES)
        return code;
    if (cli->json)
        return cli_print_json(cli, status, CLI_YES);
    code = say_result(cli, status);
    json_decref(status);
    return code;
}
