/* cli/check.c - is this measurement approved? */
#include "cli/check.h"

#include "cli/client.h"

#include "base/hex.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#define REGISTERS_MAX_BYTES 65536u /* of a body the daemon takes */

struct wish {
    const char *type, *registers, *compose_hash, *workload_id;
};

static bool hash_ok(const struct cli *cli, const char *name, const char *text)
{
    uint8_t hash[32];
    struct ms_span digits = ms_span_str(text);

    if (ms_span_starts(digits, "0x"))
        digits = ms_span_sub(digits, 2, digits.len);
    if (ms_hex_decode(digits, hash, sizeof(hash)) == MS_OK)
        return true;
    cli_say(cli, "--%s: not 64 hex digits", name);
    return false;
}

static bool wish_ok(const struct cli *cli, const struct wish *w)
{
    size_t kinds =
        (size_t)(w->registers != NULL) + (w->compose_hash != NULL) + (w->workload_id != NULL);

    if (kinds != 1)
        cli_say(cli, "give exactly one of --registers, --compose-hash and --workload-id");
    else if (w->registers != NULL && w->type == NULL)
        cli_say(cli, "--registers needs --type (azure-tdx, dcap-tdx, gcp-tdx, qemu-tdx)");
    else if (w->compose_hash != NULL)
        return hash_ok(cli, "compose-hash", w->compose_hash);
    else if (w->workload_id != NULL)
        return hash_ok(cli, "workload-id", w->workload_id);
    else
        return true;
    return false;
}

/* ---- registers ---- */

/* {"expected":"hex"} and {"expected_any":["hex"]} of one value tell what a register is. */
static json_t *plain_value(json_t *value)
{
    json_t *expected = json_object_get(value, "expected");
    json_t *any = json_object_get(value, "expected_any");

    if (json_is_object(value) && any == NULL && expected != NULL)
        return expected;
    if (json_is_object(value) && expected == NULL && json_array_size(any) == 1)
        return json_array_get(any, 0);
    return value;
}

enum ms_err check_presented(struct ms_span text, json_t **ret_presented, struct ms_diag *diag)
{
    static const struct ms_json_limits limits = {REGISTERS_MAX_BYTES, 8, 4096, 0};
    json_t *root = NULL, *flat, *value;
    const char *name;

    enum ms_err err = ms_json_parse(text, &limits, &root, diag);
    if (err != MS_OK)
        return err;
    json_t *inner = json_object_get(root, "measurements");
    bool matched_policy = inner != NULL && json_object_get(root, "type") != NULL;
    if (!json_is_object(root) || (inner != NULL && !json_is_object(inner))) {
        json_decref(root);
        return ms_diag_set(diag, MS_ERR_JSON, "not an object of registers");
    }
    if (matched_policy) { /* its lists mean something else; the daemon reads it as it is */
        *ret_presented = root;
        return MS_OK;
    }
    flat = json_object();
    json_object_foreach(inner != NULL ? inner : root, name, value)
    {
        if (json_object_set(flat, name, plain_value(value)) != 0)
            err = MS_ERR_MEMORY;
    }
    json_decref(root);
    if (flat == NULL || err != MS_OK) {
        json_decref(flat);
        return MS_ERR_MEMORY;
    }
    *ret_presented = flat;
    return MS_OK;
}

/* The daemon judges it again; here it is refused without one. */
static enum ms_err check_registers(const json_t *presented, const char *type, struct ms_diag *diag)
{
    struct rec_presented registers[REC_REGISTERS_MAX];
    struct ms_arena arena = MS_ARENA_INIT(65536);
    enum rec_type parsed = rec_type_parse(ms_span_str(type));
    enum ms_err err = MS_OK;
    size_t n = 0;

    if (parsed != REC_TYPE_UNKNOWN)
        err = rec_presented_parse(presented, parsed, &arena, registers, &n, diag);
    ms_arena_done(&arena);
    return err;
}

static enum ms_err read_registers(const struct wish *w, json_t **ret_presented,
                                  struct ms_diag *diag)
{
    struct ms_buf text = MS_BUF_INIT(REGISTERS_MAX_BYTES);
    json_t *presented = NULL;

    enum ms_err err = cli_read(w->registers, &text);
    if (err == MS_ERR_IO)
        (void)ms_diag_set(diag, err, "--registers %s: %s", w->registers, strerror(errno));
    if (err == MS_OK)
        err = check_presented(ms_buf_span(&text), &presented, diag);
    if (err == MS_OK)
        err = check_registers(presented, w->type, diag);
    ms_buf_done(&text);
    if (err == MS_OK)
        *ret_presented = presented;
    else
        json_decref(presented);
    return err;
}

/* ---- asking ---- */

static enum ms_err make_body(const struct wish *w, const struct client_subject *subject,
                             struct ms_buf *out, struct ms_diag *diag)
{
    const char *member = subject->is_url ? "url" : "specifier";
    json_t *root = NULL, *presented = NULL;
    enum ms_err err = MS_OK;

    if (w->registers != NULL) {
        err = read_registers(w, &presented, diag);
        if (err != MS_OK)
            return err;
        root = json_pack("{s:s,s:s,s:o}", member, subject->text, "attestation_type", w->type,
                         "measurements", presented);
    } else {
        bool compose = w->compose_hash != NULL;
        root = json_pack("{s:s,s:{s:s,s:s}}", member, subject->text, "predicate", "kind",
                         compose ? "dstack-compose-hash" : "tdx-workload-id", "value",
                         compose ? w->compose_hash : w->workload_id);
    }
    if (root == NULL) /* the arguments were checked: no UTF-8 in --type is what is left */
        return ms_diag_set(diag, MS_ERR_TYPE, "--type is no attestation type");
    err = ms_json_dump(root, out);
    json_decref(root);
    if (err == MS_OK && ms_buf_str(out) == NULL)
        err = MS_ERR_MEMORY;
    return err;
}

static void print_row(const char *name, struct ms_span value)
{
    if (value.len == 0)
        return;
    printf("%-12s ", name);
    for (size_t i = 0; i < value.len; i++)
        (void)putchar(value.ptr[i] >= 0x20 && value.ptr[i] <= 0x7e ? value.ptr[i] : '?');
    (void)putchar('\n');
}

static int print_verdict(const struct cli *cli, const json_t *answer, int code)
{
    const json_t *release = json_object_get(answer, "release");
    const json_t *id = json_object_get(release, "id");

    print_row("verdict", ms_json_member_str(answer, "verdict"));
    print_row("measurement", ms_json_member_str(answer, "measurement_id"));
    if (json_is_integer(id))
        printf("%-12s #%" JSON_INTEGER_FORMAT "\n", "release", json_integer_value(id));
    print_row("version", ms_json_member_str(release, "version"));
    print_row("state", ms_json_member_str(answer, "state"));
    print_row("reason", ms_json_member_str(answer, "reason"));
    if (fflush(stdout) == 0)
        return code;
    cli_say(cli, "cannot write to stdout: %s", strerror(errno));
    return CLI_UNKNOWN;
}

/* Whatever stands in the way of an answer is the verdict "unknown", also for who reads JSON. */
static int unknown(const struct cli *cli, enum ms_err err, const struct ms_diag *diag)
{
    struct ms_buf reason = MS_BUF_INIT(1024);
    const char *text = ms_diag_text(diag, err);

    cli_say(cli, "%s (%s)", text, ms_err_code(err));
    (void)ms_buf_addf(&reason, "%s: %s", ms_err_code(err), text);
    const char *line = ms_buf_str(&reason);
    json_t *answer = json_pack("{s:s,s:s,s:n,s:s,s:s}", "verdict", "unknown", "measurement_id", "",
                               "release", "state", "unknown", "reason", line == NULL ? "" : line);
    ms_buf_done(&reason);
    if (cli->json)
        return cli_print_json(cli, answer, CLI_UNKNOWN);
    int code = print_verdict(cli, answer, CLI_UNKNOWN);
    json_decref(answer);
    return code;
}

static int exit_of_verdict(long status, struct ms_span verdict)
{
    if (status == 200 && ms_span_eq_str(verdict, "approved"))
        return CLI_YES;
    if (status == 200 && ms_span_eq_str(verdict, "refused"))
        return CLI_NO;
    return CLI_UNKNOWN;
}

static int print_answer(const struct cli *cli, const struct client_reply *reply)
{
    struct ms_diag diag = {0};
    json_t *answer = NULL;

    enum ms_err err = client_json(ms_buf_span(&reply->body), &answer, &diag);
    struct ms_span verdict = ms_json_member_str(answer, "verdict");
    if (err != MS_OK || verdict.len == 0) {
        json_decref(answer);
        return reply->status == 200 ? unknown(cli, err == MS_OK ? MS_ERR_JSON : err, &diag)
                                    : client_fail_reply(cli, reply);
    }
    int code = exit_of_verdict(reply->status, verdict);
    if (cli->json)
        return cli_print_json(cli, answer, code);
    code = print_verdict(cli, answer, code);
    json_decref(answer);
    return code;
}

static int run(const struct cli *cli, const struct wish *w, const struct client_subject *subject)
{
    struct ms_buf body = MS_BUF_INIT(4 * SPEC_URL_MAX + 2 * REGISTERS_MAX_BYTES);
    struct client_reply reply;
    struct ms_diag diag = {0};
    int code;

    client_reply_init(&reply);
    enum ms_err err = make_body(w, subject, &body, &diag);
    struct client_ask ask = {.socket = "api.sock",
                             .target = "/v1/check",
                             .body = ms_buf_str(&body),
                             .post = true,
                             .timeout_ms = CLIENT_TIMEOUT_MS};
    if (err != MS_OK) {
        code = client_fail(cli, ms_err_code(err), ms_diag_text(&diag, err), cli_exit_of(err));
    } else {
        err = client_ask(cli, &ask, &reply, &diag);
        code = err != MS_OK ? unknown(cli, err, &diag) : print_answer(cli, &reply);
    }
    client_reply_done(&reply);
    ms_buf_done(&body);
    return code;
}

int cli_check(struct cli *cli, int argc, char **argv)
{
    struct wish w = {0};
    const struct cli_option options[] = {
        {"type", &w.type, NULL},
        {"registers", &w.registers, NULL},
        {"compose-hash", &w.compose_hash, NULL},
        {"workload-id", &w.workload_id, NULL},
    };
    struct client_subject subject;
    const char *arg;

    if (!cli_args(cli, argc, argv, options, MS_ARRAY_LEN(options), "SPEC|URL", &arg, 1, 1) ||
        !wish_ok(cli, &w))
        return CLI_USAGE;
    int code = client_subject(cli, arg, &subject);
    return code == CLI_YES ? run(cli, &w, &subject) : code;
}
