/* cli/status.c - what the daemon holds and how it is doing. */
#include "cli/client.h"
#include "cli/view.h"

#include <inttypes.h>

#define SHOWN_ENTRIES_MAX 40u

static int64_t number(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

static void add_text(struct ms_buf *out, const json_t *object, const char *name)
{
    struct ms_span text = ms_json_member_str(object, name);

    for (size_t i = 0; i < text.len; i++)
        (void)ms_buf_add_byte(out, text.ptr[i] >= 0x20 && text.ptr[i] <= 0x7e ? text.ptr[i] : '?');
}

static void add_row(struct ms_buf *out, const char *title, const json_t *root, const char *name)
{
    (void)ms_buf_addf(out, "%-10s ", title);
    add_text(out, root, name);
    (void)ms_buf_add_byte(out, '\n');
}

static void add_counts(struct ms_buf *out, const json_t *root)
{
    json_t *by_state = json_object_get(root, "entries_by_state");
    const char *name, *sep = ": ";
    int64_t all = 0;
    json_t *value;

    json_object_foreach(by_state, name, value)
    {
        all += json_integer_value(value);
    }
    (void)ms_buf_addf(out, "%-10s %" PRId64, "entries", all);
    json_object_foreach(by_state, name, value)
    {
        if (json_integer_value(value) == 0)
            continue;
        (void)ms_buf_addf(out, "%s%" JSON_INTEGER_FORMAT " %s", sep, json_integer_value(value),
                          name);
        sep = ", ";
    }
    (void)ms_buf_add_byte(out, '\n');
}

static void add_entry(struct ms_buf *out, const json_t *entry, int64_t now_s)
{
    int64_t fetched_s = number(entry, "fetched_at");

    (void)ms_buf_add_str(out, "  ");
    add_text(out, entry, "state");
    if (fetched_s != 0) {
        (void)ms_buf_add_str(out, ", confirmed ");
        (void)view_duration(now_s - fetched_s, out);
        (void)ms_buf_add_str(out, " ago");
    }
    (void)ms_buf_add_str(out, "  ");
    add_text(out, entry, "specifier");
    (void)ms_buf_add_str(out, json_is_true(json_object_get(entry, "refreshing")) ? "  (asking)\n"
                                                                                 : "\n");
}

static void add_provider(struct ms_buf *out, const json_t *rpc)
{
    (void)ms_buf_addf(out, "%-10s ", "provider");
    add_text(out, rpc, "name");
    (void)ms_buf_addf(out, ", chain %" PRId64 ", group ", number(rpc, "chain"));
    add_text(out, rpc, "group");
    (void)ms_buf_add_str(out, ", breaker ");
    add_text(out, rpc, "breaker");
    (void)ms_buf_add_byte(out, '\n');
}

/* Seconds as they are, so that nothing is rounded away; words as they are. */
static void add_time(struct ms_buf *out, const json_t *times, const char *name)
{
    const json_t *value = json_object_get(times, name);

    (void)ms_buf_addf(out, "  %-26s ", name);
    if (json_is_integer(value))
        (void)ms_buf_addf(out, "%" JSON_INTEGER_FORMAT " s", json_integer_value(value));
    else
        add_text(out, times, name);
    (void)ms_buf_add_byte(out, '\n');
}

static void add_times(struct ms_buf *out, const json_t *root)
{
    json_t *times = json_object_get(root, "times"), *value;
    const char *name;

    if (json_object_size(times) == 0)
        return;
    (void)ms_buf_add_str(out, "times\n");
    json_object_foreach(times, name, value)
    {
        add_time(out, times, name);
    }
    if (number(root, "time_floor") > 0)
        (void)ms_buf_addf(out, "  %-26s %" PRId64 " (newest block time verified)\n", "time-floor",
                          number(root, "time_floor"));
}

static void add_status(struct ms_buf *out, const json_t *root)
{
    const json_t *entries = json_object_get(root, "entries"), *rpcs = json_object_get(root, "rpc");
    /* the daemon's own clock: ages are right whatever ours says */
    int64_t now_s = number(root, "started") + number(root, "uptime_s");

    (void)ms_buf_addf(out, "%-10s ", "measured");
    add_text(out, root, "version");
    (void)ms_buf_addf(out, ", process %" PRId64 ", up ", number(root, "pid"));
    (void)view_duration(number(root, "uptime_s"), out);
    (void)ms_buf_add_byte(out, '\n');
    add_row(out, "level", root, "level");
    add_row(out, "state-dir", root, "state_dir");
    for (size_t i = 0; i < json_array_size(rpcs); i++)
        add_provider(out, json_array_get(rpcs, i));
    add_times(out, root);
    add_counts(out, root);
    for (size_t i = 0; i < json_array_size(entries) && i < SHOWN_ENTRIES_MAX; i++)
        add_entry(out, json_array_get(entries, i), now_s);
    if (json_array_size(entries) > SHOWN_ENTRIES_MAX)
        (void)ms_buf_add_str(out, "  ... (all of them with --json)\n");
}

static int print_status(const struct cli *cli, const struct client_reply *reply)
{
    struct ms_buf text = MS_BUF_INIT((size_t)1 << 20);
    struct ms_diag diag = {0};
    json_t *root = NULL;
    int code;

    enum ms_err err = client_json(ms_buf_span(&reply->body), &root, &diag);
    if (err == MS_OK) {
        add_status(&text, root);
        err = ms_buf_err(&text);
    }
    struct ms_span lines = cli->json ? ms_buf_span(&reply->body) : ms_buf_span(&text);
    while (lines.len > 0 && lines.ptr[lines.len - 1] == '\n')
        lines.len--;
    if (err == MS_OK)
        code = cli_print_line(cli, lines, CLI_YES);
    else
        code = client_fail_err(cli, err, &diag);
    json_decref(root);
    ms_buf_done(&text);
    return code;
}

int cli_status(struct cli *cli, int argc, char **argv)
{
    static const struct client_ask ask = {
        .socket = "api.sock", .target = "/v1/status", .timeout_ms = CLIENT_TIMEOUT_MS};
    struct client_reply reply;
    struct ms_diag diag = {0};
    int code;

    if (!cli_args(cli, argc, argv, NULL, 0, "", NULL, 0, 0))
        return CLI_USAGE;
    client_reply_init(&reply);
    enum ms_err err = client_ask(cli, &ask, &reply, &diag);
    if (err != MS_OK)
        code = client_fail_err(cli, err, &diag);
    else if (reply.status != 200)
        code = client_fail_reply(cli, &reply);
    else
        code = print_status(cli, &reply);
    client_reply_done(&reply);
    return code;
}
