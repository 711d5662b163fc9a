/* cli/check.c - is this measurement approved? */
#include "cli/check.h"

#include "cli/client.h"
#include "cli/quote.h"

#include "base/base64.h"
#include "base/hex.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#define BODY_MAX_BYTES 65536u /* what the daemon takes */

enum { COMPOSE_HASH = 0, OS_IMAGE, WORKLOAD_ID, PREDICATES };
static const struct {
    const char *option, *kind;
} predicates[PREDICATES] = {
    [COMPOSE_HASH] = {"compose-hash", "dstack-compose-hash"},
    [OS_IMAGE] = {"os-image", "dstack-os-image"},
    [WORKLOAD_ID] = {"workload-id", "tdx-workload-id"},
};

struct wish {
    const char *type, *registers, *quote, *boot_info, *predicates[PREDICATES];
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

static bool predicates_ok(const struct cli *cli, const struct wish *w)
{
    for (size_t i = 0; i < PREDICATES; i++)
        if (w->predicates[i] != NULL && !hash_ok(cli, predicates[i].option, w->predicates[i]))
            return false;
    return true;
}

static bool wish_ok(const struct cli *cli, const struct wish *w)
{
    size_t ways = (size_t)(w->registers != NULL) + (w->quote != NULL) + (w->boot_info != NULL) +
                  (w->predicates[COMPOSE_HASH] != NULL || w->predicates[OS_IMAGE] != NULL) +
                  (w->predicates[WORKLOAD_ID] != NULL);

    if (ways != 1)
        cli_say(cli,
                "give exactly one of --registers, --quote, --boot-info, --compose-hash, --os-image "
                "and --workload-id; of these, --compose-hash and --os-image may be given together");
    else if (w->registers != NULL && w->type == NULL)
        cli_say(cli, "--registers needs --type (azure-tdx, dcap-tdx, gcp-tdx, qemu-tdx)");
    else if (w->quote != NULL && w->type != NULL)
        cli_say(cli, "--quote takes no --type: a quote tells what it is");
    else
        return predicates_ok(cli, w);
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
    static const struct ms_json_limits limits = {BODY_MAX_BYTES, 8, 4096, 0};
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

enum ms_err check_registers(const json_t *presented, enum rec_type type,
                            struct workload_input *ret_input, struct ms_buf *lacks,
                            struct ms_diag *diag)
{
    struct rec_presented registers[REC_REGISTERS_MAX];
    struct ms_arena arena = MS_ARENA_INIT(65536);
    json_t *copy = json_deep_copy(presented);
    enum ms_err err = copy == NULL ? MS_ERR_MEMORY : MS_OK;
    bool whole = false;
    size_t n = 0;

    if (err == MS_OK && rec_type_comparable(type, REC_TYPE_DCAP_TDX)) {
        workload_missing(copy, lacks);
        err = ms_buf_err(lacks);
        if (err == MS_OK)
            err = workload_from_registers(copy, &whole, ret_input, diag);
    }
    if (err == MS_OK)
        err = rec_presented_parse(copy, type, &arena, registers, &n, diag);
    json_decref(copy);
    ms_arena_done(&arena);
    return err;
}

enum ms_err check_read(const char *option, const char *path, struct ms_buf *ret_text,
                       struct ms_diag *diag)
{
    enum ms_err err = cli_read(path, ret_text);

    if (err == MS_ERR_IO)
        return ms_diag_set(diag, err, "--%s %s: %s", option, path, strerror(errno));
    if (err == MS_ERR_LIMIT)
        return ms_diag_set(diag, err, "--%s %s: more than %zu bytes", option, path, ret_text->max);
    return err;
}

static enum ms_err read_registers(const struct wish *w, json_t **ret_presented,
                                  struct ms_diag *diag)
{
    struct ms_buf text = MS_BUF_INIT(BODY_MAX_BYTES), lacks = MS_BUF_INIT(256);
    enum rec_type type = rec_type_parse(ms_span_str(w->type));
    struct workload_input ignored;
    json_t *presented = NULL;

    enum ms_err err = check_read("registers", w->registers, &text, diag);
    if (err == MS_OK)
        err = check_presented(ms_buf_span(&text), &presented, diag);
    if (err == MS_OK && type != REC_TYPE_UNKNOWN) /* which the daemon refuses */
        err = check_registers(presented, type, &ignored, &lacks, diag);
    ms_buf_done(&lacks);
    ms_buf_done(&text);
    if (err == MS_OK)
        *ret_presented = presented;
    else
        json_decref(presented);
    return err;
}

/* ---- a quote ---- */

static enum ms_err read_quote(const struct wish *w, json_t **ret_quote, struct ms_diag *diag)
{
    struct ms_buf file = MS_BUF_INIT(QUOTE_FILE_MAX_BYTES), bytes = file;
    struct ms_buf text = MS_BUF_INIT(2 * QUOTE_FILE_MAX_BYTES);
    struct workload_input ignored;

    enum ms_err err = check_read("quote", w->quote, &file, diag);
    if (err == MS_OK)
        err = quote_decode(ms_buf_span(&file), &bytes, &ignored, diag);
    if (err == MS_OK)
        err = ms_base64_encode(ms_buf_span(&bytes), &text);
    json_t *quote = err == MS_OK ? json_stringn((const char *)text.ptr, text.len) : NULL;
    if (err == MS_OK && quote == NULL)
        err = MS_ERR_MEMORY;
    if (err == MS_OK)
        *ret_quote = quote;
    ms_buf_done(&file);
    ms_buf_done(&bytes);
    ms_buf_done(&text);
    return err;
}

/* ---- boot info ---- */

enum ms_err check_boot_info(struct ms_span text, json_t **ret_info, struct ms_diag *diag)
{
    static const struct ms_json_limits limits = {BODY_MAX_BYTES, 16, 4096, 0};
    struct ms_arena arena = MS_ARENA_INIT(BODY_MAX_BYTES);
    struct boot_info ignored;
    json_t *root = NULL;

    enum ms_err err = ms_json_parse(text, &limits, &root, diag);
    if (err != MS_OK)
        return err;
    json_t *details = json_object_get(root, "details"), *info = root;
    if (details != NULL) { /* the whole answer of dstack's verifier */
        info = json_object_get(details, "boot_info");
        if (!json_is_true(json_object_get(root, "is_valid")))
            err = ms_diag_set(diag, MS_ERR_SIGNATURE,
                              "the verifier does not say that the guest's evidence is valid");
        else if (info == NULL)
            err = ms_diag_set(diag, MS_ERR_JSON, "details has no boot_info");
    }
    if (err == MS_OK)
        err = boot_info_read(info, &arena, &ignored, diag);
    if (err == MS_OK)
        *ret_info = json_incref(info);
    ms_arena_done(&arena);
    json_decref(root);
    return err;
}

static enum ms_err read_boot_info(const struct wish *w, json_t **ret_info, struct ms_diag *diag)
{
    struct ms_buf text = MS_BUF_INIT(BODY_MAX_BYTES);

    enum ms_err err = check_read("boot-info", w->boot_info, &text, diag);
    if (err == MS_OK)
        err = check_boot_info(ms_buf_span(&text), ret_info, diag);
    ms_buf_done(&text);
    return err;
}

/* ---- asking ---- */

/* One as `predicate`, which every daemon understands; several as `predicates`. */
static enum ms_err add_predicates(const struct wish *w, json_t *root)
{
    json_t *all = json_array();
    int failed = all == NULL;

    for (size_t i = 0; i < PREDICATES; i++)
        if (w->predicates[i] != NULL)
            failed |= json_array_append_new(
                all, json_pack("{s:s,s:s}", "kind", predicates[i].kind, "value", w->predicates[i]));
    if (json_array_size(all) == 1)
        failed |= json_object_set(root, "predicate", json_array_get(all, 0));
    else
        failed |= json_object_set(root, "predicates", all);
    json_decref(all);
    return failed ? MS_ERR_MEMORY : MS_OK;
}

/* What of the body says what is asked about. */
static enum ms_err make_question(const struct wish *w, json_t *root, struct ms_diag *diag)
{
    json_t *value = NULL;

    if (w->registers != NULL) {
        enum ms_err err = read_registers(w, &value, diag);
        if (err != MS_OK)
            return err;
        if (json_object_set_new(root, "measurements", value) != 0)
            return MS_ERR_MEMORY;
        if (json_object_set_new(root, "attestation_type", json_string(w->type)) != 0)
            return ms_diag_set(diag, MS_ERR_TYPE, "--type is no attestation type"); /* no UTF-8 */
        return MS_OK;
    }
    if (w->quote != NULL) {
        enum ms_err err = read_quote(w, &value, diag);
        if (err != MS_OK)
            return err;
        return json_object_set_new(root, "quote", value) == 0 ? MS_OK : MS_ERR_MEMORY;
    }
    if (w->boot_info != NULL) {
        enum ms_err err = read_boot_info(w, &value, diag);
        if (err != MS_OK)
            return err;
        return json_object_set_new(root, "boot_info", value) == 0 ? MS_OK : MS_ERR_MEMORY;
    }
    return add_predicates(w, root);
}

static enum ms_err make_body(const struct wish *w, const struct client_subject *subject,
                             struct ms_buf *out, struct ms_diag *diag)
{
    json_t *root = json_pack("{s:s}", subject->is_url ? "url" : "specifier", subject->text);

    enum ms_err err = root == NULL ? MS_ERR_MEMORY : make_question(w, root, diag);
    if (err == MS_OK)
        err = ms_json_dump(root, out);
    json_decref(root);
    if (err == MS_OK && out->len > BODY_MAX_BYTES)
        err = ms_diag_set(diag, MS_ERR_LIMIT, "%zu bytes to send, the daemon takes %u", out->len,
                          BODY_MAX_BYTES);
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
    struct ms_buf body = MS_BUF_INIT(4 * SPEC_URL_MAX + 2 * BODY_MAX_BYTES);
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
        {"quote", &w.quote, NULL},
        {"boot-info", &w.boot_info, NULL},
        {predicates[0].option, &w.predicates[0], NULL},
        {predicates[1].option, &w.predicates[1], NULL},
        {predicates[2].option, &w.predicates[2], NULL},
    };
    struct client_subject subject;
    const char *arg;

    if (!cli_args(cli, argc, argv, options, MS_ARRAY_LEN(options), "SPEC|URL", &arg, 1, 1) ||
        !wish_ok(cli, &w))
        return CLI_USAGE;
    int code = client_subject(cli, arg, &subject);
    return code == CLI_YES ? run(cli, &w, &subject) : code;
}
