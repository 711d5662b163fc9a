/* cli/compare.c - what people who rebuild an artifact measured, against what is approved. */
#define _POSIX_C_SOURCE 200809L /* access */
#include "base/hex.h"
#include "cli/check.h"
#include "cli/client.h"
#include "resolver/records/records.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct side { /* one of the two */
    struct rec_set set;
    json_t *raw;        /* the document as read, for what is informative in it; NULL: none */
    json_t *governance; /* of an envelope, or NULL */
};

static void side_init(struct side *side)
{
    *side = (struct side){0};
    rec_set_init(&side->set);
}

static void side_done(struct side *side)
{
    rec_set_done(&side->set);
    json_decref(side->raw);
    json_decref(side->governance);
}

static enum ms_err take_document(struct ms_span text, struct side *side, struct ms_diag *diag)
{
    enum ms_err err = rec_parse(text, REC_MODE_DIALECTS, &side->set, diag);

    if (err == MS_OK)
        side->raw = json_loadb((const char *)text.ptr, text.len, 0, NULL);
    return err;
}

static enum ms_err take_json(const json_t *document, struct side *side, struct ms_diag *diag)
{
    struct ms_buf text = MS_BUF_INIT(CLIENT_BODY_MAX_BYTES);

    enum ms_err err = ms_json_dump(document, &text);
    if (err == MS_OK)
        err = take_document(ms_buf_span(&text), side, diag);
    ms_buf_done(&text);
    return err;
}

/* {"0":"hex",..} of one image, as `check` takes it, to a document of one record. */
static enum ms_err take_registers(struct ms_span text, const char *type, struct side *side,
                                  struct ms_diag *diag)
{
    json_t *flat = NULL, *measurements = json_object();
    const char *name;
    json_t *value;

    enum ms_err err = check_presented(text, &flat, diag);
    if (err == MS_OK && json_object_get(flat, "measurements") != NULL)
        err = ms_diag_set(diag, MS_ERR_JSON, "the matched policy of a proxy is no rebuilt image");
    if (err == MS_OK)
        json_object_foreach(flat, name, value)(void)
            json_object_set_new(measurements, name, json_pack("{s:O}", "expected", value));
    json_t *document = json_pack("[{s:s, s:s, s:o}]", "measurement_id", "rebuilt",
                                 "attestation_type", type, "measurements", measurements);
    if (err == MS_OK)
        err = document == NULL ? MS_ERR_MEMORY : take_json(document, side, diag);
    json_decref(document);
    json_decref(flat);
    return err;
}

static int read_rebuilt(const struct cli *cli, const char *path, const char *type,
                        struct side *side)
{
    struct ms_buf text = MS_BUF_INIT(REC_DOC_MAX_BYTES);
    struct ms_diag diag = {0};

    enum ms_err err = check_read("--against", path, &text, &diag);
    if (err == MS_OK)
        err = type == NULL ? take_document(ms_buf_span(&text), side, &diag)
                           : take_registers(ms_buf_span(&text), type, side, &diag);
    ms_buf_done(&text);
    if (err == MS_OK)
        return CLI_YES;
    return client_fail(cli, ms_err_code(err), ms_diag_text(&diag, err), CLI_UNKNOWN);
}

/* ---- what is approved ---- */

static json_t *records_in_force(const json_t *envelope)
{
    json_t *all = json_array();
    size_t i;
    json_t *release;

    json_array_foreach(json_object_get(envelope, "releases"), i, release)
    {
        const char *status = json_string_value(json_object_get(release, "status"));
        if (status != NULL && strcmp(status, "in-force") == 0)
            (void)json_array_extend(all, json_object_get(release, "records"));
    }
    return all;
}

static int ask_approved(const struct cli *cli, const char *arg, struct side *side)
{
    struct ms_buf target = MS_BUF_INIT(4 * SPEC_URL_MAX);
    struct client_subject subject;
    struct client_reply reply;
    struct ms_diag diag = {0};
    json_t *envelope = NULL;

    int code = client_subject(cli, arg, &subject);
    if (code != CLI_YES)
        return code;
    client_reply_init(&reply);
    enum ms_err err = client_target("/v1/resolve", &subject, &target);
    const struct client_ask ask = {
        .socket = "api.sock", .target = ms_buf_str(&target), .timeout_ms = CLIENT_TIMEOUT_MS};
    if (err == MS_OK)
        err = client_ask(cli, &ask, &reply, &diag);
    if (err == MS_OK && reply.status == 200)
        err = client_json(ms_buf_span(&reply.body), &envelope, &diag);
    if (err == MS_OK && reply.status == 200) {
        json_t *records = records_in_force(envelope);
        side->governance = json_incref(json_object_get(envelope, "governance"));
        err = take_json(records, side, &diag);
        json_decref(records);
    }
    code = err != MS_OK          ? client_fail_err(cli, err, &diag)
           : reply.status != 200 ? client_fail_reply(cli, &reply)
                                 : CLI_YES;
    json_decref(envelope);
    client_reply_done(&reply);
    ms_buf_done(&target);
    return code;
}

/* A file when there is one of that name, else a specifier. */
static int read_approved(const struct cli *cli, const char *arg, struct side *side)
{
    struct ms_buf text = MS_BUF_INIT(REC_DOC_MAX_BYTES);
    struct ms_diag diag = {0};

    if (access(arg, F_OK) != 0)
        return ask_approved(cli, arg, side);
    enum ms_err err = check_read("approved", arg, &text, &diag);
    if (err == MS_OK)
        err = take_document(ms_buf_span(&text), side, &diag);
    ms_buf_done(&text);
    if (err == MS_OK)
        return CLI_YES;
    return client_fail(cli, ms_err_code(err), ms_diag_text(&diag, err), CLI_UNKNOWN);
}

/* ---- comparing ---- */

static const struct rec_register *register_of(const struct rec_record *record, uint32_t index)
{
    for (size_t i = 0; i < record->n_registers; i++)
        if (record->registers[i].index == index)
            return &record->registers[i];
    return NULL;
}

static bool has_value(const struct rec_register *reg, const struct rec_value *value)
{
    for (size_t i = 0; i < reg->n_values; i++)
        if (reg->values[i].len == value->len && memcmp(reg->values[i].b, value->b, value->len) == 0)
            return true;
    return false;
}

/* Each value that was rebuilt is an approved one; a register that was not rebuilt shows nothing. */
static bool register_equal(const struct rec_register *approved, const struct rec_register *rebuilt)
{
    bool equal = rebuilt != NULL;

    for (size_t i = 0; equal && i < rebuilt->n_values; i++)
        equal = has_value(approved, &rebuilt->values[i]);
    return equal;
}

static size_t differing(const struct rec_record *approved, const struct rec_record *rebuilt)
{
    size_t n = 0;

    for (size_t i = 0; i < approved->n_registers; i++)
        n += !register_equal(&approved->registers[i],
                             register_of(rebuilt, approved->registers[i].index));
    return n;
}

static bool same_id(const struct rec_record *a, const struct rec_record *b)
{
    return a->id[0] != '\0' && strcmp(a->id, b->id) == 0;
}

/* An equal one; else that of the same name; else the nearest. NULL: none is of this type. */
static const struct rec_record *nearest(const struct rec_set *approved,
                                        const struct rec_record *rebuilt)
{
    const struct rec_record *best = NULL;
    size_t best_n = 0;

    for (size_t i = 0; i < approved->n_records; i++) {
        const struct rec_record *one = &approved->records[i];
        if (one->n_registers == 0 || !rec_type_comparable(one->type, rebuilt->type))
            continue;
        size_t n = differing(one, rebuilt);
        bool named = best != NULL && same_id(best, rebuilt) && best_n > 0;
        if (best == NULL || (n == 0 && best_n > 0) || (same_id(one, rebuilt) && best_n > 0) ||
            (n < best_n && !named)) {
            best = one;
            best_n = n;
        }
    }
    return best;
}

static json_t *values_json(const struct rec_register *reg)
{
    json_t *out = json_array();

    for (size_t i = 0; reg != NULL && i < reg->n_values; i++) {
        char hex[2 * REC_VALUE_MAX_BYTES + 1];
        ms_hex_encode(ms_span_of(reg->values[i].b, reg->values[i].len), hex);
        (void)json_array_append_new(out, json_string(hex));
    }
    return out;
}

static json_t *registers_json(const struct rec_record *approved, const struct rec_record *rebuilt)
{
    json_t *out = json_array();

    for (size_t i = 0; i < approved->n_registers; i++) {
        const struct rec_register *a = &approved->registers[i];
        const struct rec_register *b = register_of(rebuilt, a->index);
        if (!register_equal(a, b))
            (void)json_array_append_new(out, json_pack("{s:s, s:I, s:o, s:o}", "register",
                                                       rec_register_name(approved->type, a->index),
                                                       "index", (json_int_t)a->index, "approved",
                                                       values_json(a), "rebuilt", values_json(b)));
    }
    return out;
}

/* What a document says of where a record comes from (commit, sources); NULL: nothing. */
static json_t *provenance_of(const struct side *side, const char *id)
{
    const json_t *list =
        json_is_array(side->raw) ? side->raw : json_object_get(side->raw, "measurements");
    size_t i;
    json_t *one;

    json_array_foreach(list, i, one)
    {
        const char *name = json_string_value(json_object_get(one, "measurement_id"));
        if (name != NULL && id[0] != '\0' && strcmp(name, id) == 0)
            return json_object_get(one, "provenance");
    }
    return NULL;
}

static json_t *record_json(const struct side *approved, const struct rec_record *rebuilt,
                           const struct rec_record **ret_nearest)
{
    const struct rec_record *near = nearest(&approved->set, rebuilt);
    bool equal = near != NULL && differing(near, rebuilt) == 0;
    json_t *out = json_pack("{s:s, s:s, s:s}", "id", rebuilt->id, "type", rebuilt->type_text,
                            "verdict", equal ? "equal" : "differs");

    *ret_nearest = equal ? near : NULL;
    if (out != NULL && near != NULL) {
        (void)json_object_set_new(out, "approved", json_string(near->id));
        (void)json_object_set_new(out, "registers", registers_json(near, rebuilt));
        json_t *provenance = provenance_of(approved, near->id);
        if (provenance != NULL)
            (void)json_object_set(out, "provenance", provenance);
    }
    return out;
}

static json_t *compare(const struct side *approved, const struct side *rebuilt, bool all,
                       bool *ret_equal)
{
    bool *seen = calloc(approved->set.n_records + 1, sizeof(*seen));
    json_t *records = json_array(), *missing = json_array();

    *ret_equal = rebuilt->set.n_records > 0 && seen != NULL;
    for (size_t i = 0; i < rebuilt->set.n_records; i++) {
        const struct rec_record *found = NULL;
        (void)json_array_append_new(records,
                                    record_json(approved, &rebuilt->set.records[i], &found));
        *ret_equal = *ret_equal && found != NULL;
        if (found != NULL && seen != NULL)
            seen[found - approved->set.records] = true;
    }
    for (size_t i = 0; i < approved->set.n_records; i++)
        if (seen == NULL || !seen[i])
            (void)json_array_append_new(missing, json_string(approved->set.records[i].id));
    free(seen);
    if (all && json_array_size(missing) > 0)
        *ret_equal = false;
    json_t *out =
        json_pack("{s:i, s:s, s:o, s:o}", "v", 1, "verdict", *ret_equal ? "equal" : "differs",
                  "records", records, "not_rebuilt", missing);
    const json_t *commits = json_object_get(approved->governance, "commits");
    if (out != NULL && commits != NULL)
        (void)json_object_set(out, "commits", (json_t *)(uintptr_t)commits);
    return out;
}

/* ---- telling ---- */

static void print_text(const char *text)
{
    for (const char *c = text == NULL ? "" : text; *c != '\0'; c++)
        (void)putchar((unsigned char)*c < 0x20 || (unsigned char)*c > 0x7e ? '?' : *c);
}

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text == NULL ? "" : text;
}

static void print_values(const char *what, const json_t *values)
{
    size_t i;
    json_t *value;

    printf("      %-9s", what);
    if (json_array_size(values) == 0)
        printf("not measured");
    json_array_foreach(values, i, value)
        printf("%s%s", i > 0 ? " or " : "", json_string_value(value));
    printf("\n");
}

static void print_record(const json_t *record)
{
    bool equal = strcmp(text_of(record, "verdict"), "equal") == 0;
    size_t i;
    json_t *reg;

    printf("%s ", equal ? "equal  " : "DIFFERS");
    print_text(text_of(record, "id"));
    if (json_object_get(record, "approved") == NULL) {
        printf(": nothing of this type is approved\n");
        return;
    }
    printf(equal ? " is approved as " : " from approved ");
    print_text(text_of(record, "approved"));
    printf("\n");
    json_array_foreach(json_object_get(record, "registers"), i, reg)
    {
        printf("    %s\n", text_of(reg, "register"));
        print_values("approved", json_object_get(reg, "approved"));
        print_values("rebuilt", json_object_get(reg, "rebuilt"));
    }
    if (json_object_get(record, "provenance") != NULL) {
        char *text =
            json_dumps(json_object_get(record, "provenance"), JSON_COMPACT | JSON_ENCODE_ANY);
        printf("    said to be built from ");
        print_text(text);
        printf("\n");
        free(text);
    }
}

static int print_all(const json_t *root, int code)
{
    size_t i;
    json_t *one;
    const char *id;

    json_array_foreach(json_object_get(root, "records"), i, one) print_record(one);
    json_array_foreach(json_object_get(root, "not_rebuilt"), i, one)
    {
        printf("not rebuilt: ");
        print_text(json_string_value(one));
        printf("\n");
    }
    json_object_foreach(json_object_get(root, "commits"), id, one)
    {
        printf("workload %s: commit ", id);
        print_text(json_string_value(one));
        printf("\n");
    }
    return fflush(stdout) == 0 ? code : CLI_UNKNOWN;
}

int cli_compare(struct cli *cli, int argc, char **argv)
{
    const char *arg, *against = NULL, *type = NULL;
    bool all = false, equal = false;
    const struct cli_option options[] = {
        {"against", &against, NULL}, {"type", &type, NULL}, {"all", NULL, &all}};
    struct side approved, rebuilt;

    if (!cli_args(cli, argc, argv, options, MS_ARRAY_LEN(options), "SPEC|FILE", &arg, 1, 1))
        return CLI_USAGE;
    if (against == NULL) {
        cli_say(cli, "--against FILE is missing: what was measured of the rebuilt artifact");
        return CLI_USAGE;
    }
    if (type != NULL && rec_type_parse(ms_span_str(type)) == REC_TYPE_UNKNOWN) {
        cli_say(cli, "--type %.40s: there are azure-tdx, dcap-tdx, gcp-tdx and qemu-tdx", type);
        return CLI_USAGE;
    }
    side_init(&approved);
    side_init(&rebuilt);
    int code = read_rebuilt(cli, against, type, &rebuilt);
    if (code == CLI_YES)
        code = read_approved(cli, arg, &approved);
    if (code == CLI_YES) {
        json_t *root = compare(&approved, &rebuilt, all, &equal);
        code = equal ? CLI_YES : CLI_NO;
        if (cli->json) {
            code = cli_print_json(cli, root, code);
        } else {
            code = print_all(root, code);
            json_decref(root);
        }
    }
    side_done(&approved);
    side_done(&rebuilt);
    return code;
}
