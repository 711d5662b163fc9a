/* resolver/entry/past_file.c - the past of a registry, to be carried elsewhere. */
#include "resolver/entry/past_file.h"

#include "base/base64.h"
#include "base/hex.h"
#include "resolver/entry/past_at.h"
#include "resolver/source/past_documents.h"

#include <stdio.h>
#include <string.h>

/* ---- writing ---- */

void past_file_begin(struct ms_span bundle, struct ms_buf *out)
{
    (void)ms_buf_add_str(out, "{\"type\":\"" PAST_FILE_TYPE "\",\n\"bundle\":");
    (void)ms_json_add_string(out, bundle);
    (void)ms_buf_add_str(out, ",\n\"operations\":[");
}

static void add_hex(struct ms_buf *out, const char *name, struct ms_span bytes)
{
    char text[2 * HISTORY_DATA_MAX_BYTES + 1] = "";

    if (bytes.len > HISTORY_DATA_MAX_BYTES && out->err == MS_OK)
        out->err = MS_ERR_LIMIT;
    else
        ms_hex_encode(bytes, text);
    (void)ms_buf_addf(out, ",\"%s\":\"0x%s\"", name, text);
}

void past_file_operation(const struct registry_event *event, bool first, struct ms_buf *out)
{
    if (event->id > INT64_MAX && out->err == MS_OK)
        out->err = MS_ERR_LIMIT; /* no contract of ours counts so far, and JSON does not */
    (void)ms_buf_addf(out,
                      "%s\n{\"sequence\":%llu,\"kind\":%u,\"id\":%llu,\"block\":%llu,"
                      "\"prev_block\":%llu,\"time\":%llu",
                      first ? "" : ",", (unsigned long long)event->sequence, (unsigned)event->kind,
                      (unsigned long long)event->id, (unsigned long long)event->block,
                      (unsigned long long)event->prev_block,
                      (unsigned long long)event->timestamp_s);
    add_hex(out, "data", event->data);
    add_hex(out, "hash", eth_hash_span(&event->history_hash));
    (void)ms_buf_add_byte(out, '}');
}

void past_file_documents(struct ms_buf *out)
{
    (void)ms_buf_add_str(out, "],\n\"documents\":{");
}

void past_file_document(const struct ms_sha256 *hash, struct ms_span bytes, bool first,
                        struct ms_buf *out)
{
    char name[2 * MS_SHA256_BYTES + 1];

    ms_sha256_hex(hash, name);
    (void)ms_buf_addf(out, "%s\n\"%s\":\"", first ? "" : ",", name);
    (void)ms_base64_encode(bytes, out);
    (void)ms_buf_add_byte(out, '"');
}

void past_file_end(struct ms_buf *out)
{
    (void)ms_buf_add_str(out, "}}\n");
}

/* ---- reading ---- */

#define VALUES_MAX ((size_t)HISTORY_OPERATIONS_MAX * 20)
#define ARENA_MAX_BYTES ((size_t)128 << 20)

void past_file_init(struct past_file *file)
{
    *file = (struct past_file){.arena = MS_ARENA_INIT(ARENA_MAX_BYTES)};
    spec_init(&file->spec);
}

void past_file_done(struct past_file *file)
{
    source_result_free(file->result);
    spec_done(&file->spec);
    ms_arena_done(&file->arena);
    json_decref(file->documents);
    past_file_init(file);
}

bool past_file_is(struct ms_span text)
{
    return ms_span_starts(text, "{\"type\":\"" PAST_FILE_TYPE "\"");
}

static enum ms_err malformed(struct ms_diag *diag, const char *what)
{
    return ms_diag_set(diag, MS_ERR_EVIDENCE, "malformed: %s", what);
}

/* Every member of it is one that is known, and is there. */
static bool has_only(const json_t *object, const char *const *names, size_t n)
{
    bool ok = json_is_object(object) && json_object_size(object) == n;

    for (size_t i = 0; ok && i < n; i++)
        ok = json_object_get(object, names[i]) != NULL;
    return ok;
}

static bool take_number(const json_t *object, const char *name, uint64_t max, uint64_t *ret_value)
{
    const json_t *value = json_object_get(object, name);

    if (!json_is_integer(value) || json_integer_value(value) < 0 ||
        (uint64_t)json_integer_value(value) > max)
        return false;
    *ret_value = (uint64_t)json_integer_value(value);
    return true;
}

static bool take_data(const json_t *object, struct ms_arena *arena, struct ms_span *ret_data)
{
    struct ms_span text = ms_json_member_str(object, "data");

    if (!ms_span_starts(text, "0x") || text.len % 2 != 0 ||
        text.len > 2 + 2 * HISTORY_DATA_MAX_BYTES)
        return false;
    size_t len = text.len / 2 - 1;
    uint8_t *bytes = ms_arena_alloc(arena, len + 1, 1);
    if (bytes == NULL || ms_hex_decode(ms_span_sub(text, 2, text.len), bytes, len) != MS_OK)
        return false;
    *ret_data = ms_span_of(bytes, len);
    return true;
}

static bool take_event(const json_t *object, struct ms_arena *arena, struct registry_event *ret)
{
    static const char *const names[] = {"sequence",   "kind", "id",   "block",
                                        "prev_block", "time", "data", "hash"};
    struct ms_span hash = ms_json_member_str(object, "hash");
    uint64_t kind = 0;

    bool ok =
        has_only(object, names, MS_ARRAY_LEN(names)) &&
        take_number(object, "sequence", INT64_MAX, &ret->sequence) &&
        take_number(object, "kind", UINT8_MAX, &kind) &&
        take_number(object, "id", INT64_MAX, &ret->id) &&
        take_number(object, "block", INT64_MAX, &ret->block) &&
        take_number(object, "prev_block", INT64_MAX, &ret->prev_block) &&
        take_number(object, "time", INT64_MAX, &ret->timestamp_s) &&
        take_data(object, arena, &ret->data) && ms_span_starts(hash, "0x") &&
        ms_hex_decode(ms_span_sub(hash, 2, hash.len), ret->history_hash.b, ETH_HASH_BYTES) == MS_OK;
    ret->kind = (uint8_t)kind;
    return ok;
}

static enum ms_err take_events(const json_t *list, struct past_file *file, struct ms_diag *diag)
{
    file->n = json_array_size(list);
    if (!json_is_array(list) || file->n == 0)
        return malformed(diag, "there are no operations");
    if (file->n > HISTORY_OPERATIONS_MAX)
        return ms_diag_set(diag, MS_ERR_LIMIT, "more than %u operations", HISTORY_OPERATIONS_MAX);
    file->events = ms_arena_alloc(&file->arena, file->n, sizeof(*file->events));
    if (file->events == NULL)
        return MS_ERR_MEMORY;
    for (size_t i = 0; i < file->n; i++) {
        file->events[i] = (struct registry_event){0};
        if (!take_event(json_array_get(list, i), &file->arena, &file->events[i]))
            return ms_diag_set(diag, MS_ERR_EVIDENCE, "malformed: operation %zu of the list",
                               i + 1);
    }
    return MS_OK;
}

static enum ms_err take_bundle(struct ms_span text, struct past_file *file, struct ms_diag *diag)
{
    if (text.ptr == NULL || text.len > BUNDLE_MAX_BYTES)
        return malformed(diag, "there is no bundle");
    file->bundle = ms_sha256(text);
    enum ms_err err = bundle_read(text, &file->spec, &file->result, &file->about, diag);
    if (err == MS_OK && file->result == NULL)
        err = ms_diag_set(diag, MS_ERR_EVIDENCE, "the bundle proves no state: it tells a failure");
    return err;
}

/* ---- verifying ---- */

static enum ms_err prove(void *arg, const struct ms_sha256 *bundle,
                         struct operations_proof *ret_proof, struct ms_diag *diag)
{
    const struct past_file *file = arg;

    (void)bundle; /* there is one */
    return operations_proof_of(file->result, ret_proof, diag);
}

static enum ms_err add_links(struct operations_check *check, const struct past_file *file,
                             struct ms_diag *diag)
{
    struct operations_row row = {.bundle = file->bundle};
    enum ms_err err = MS_OK;

    for (size_t i = 0; err == MS_OK && i < file->n; i++) {
        row.event = file->events[i];
        err = operations_check_add(check, &row, diag);
        row.before = row.event.history_hash;
    }
    return err;
}

static enum ms_err check_links(struct past_file *file, struct ms_diag *diag)
{
    struct operations_check *check = NULL;
    struct operations_verdict verdict = {0};

    enum ms_err err = operations_check_new(prove, file, &check);
    if (err == MS_OK)
        err = add_links(check, file, diag);
    if (err == MS_OK)
        err = operations_check_end(check, &verdict, diag);
    operations_check_free(check);
    if (err == MS_OK &&
        (!verdict.whole || verdict.n != verdict.newest || verdict.newest != file->result->sequence))
        err =
            ms_diag_set(diag, MS_ERR_COMMITMENT,
                        "operation %llu is missing: the bundle proves a state after operation "
                        "%llu",
                        (unsigned long long)(verdict.whole ? verdict.newest + 1 : verdict.missing),
                        (unsigned long long)file->result->sequence);
    return err;
}

bool past_file_has(const struct past_file *file, const struct ms_sha256 *hash)
{
    char name[2 * MS_SHA256_BYTES + 1];

    ms_sha256_hex(hash, name);
    return json_object_get(file->documents, name) != NULL;
}

enum ms_err past_file_find(const struct past_file *file, const struct ms_sha256 *hash,
                           struct ms_buf *out, bool *ret_found)
{
    char name[2 * MS_SHA256_BYTES + 1];

    ms_sha256_hex(hash, name);
    struct ms_span text = ms_json_member_str(file->documents, name);
    *ret_found = text.ptr != NULL;
    return *ret_found ? ms_base64_decode(text, out, NULL, NULL, NULL) : MS_OK;
}

/* Once for each document, however often it was approved. An approval may have named another size:
 * then it approved no document at all, which is told with its release. */
static enum ms_err check_document(const struct past_file *file,
                                  const struct registry_release *release, json_t *seen,
                                  struct ms_diag *diag)
{
    struct ms_buf bytes = MS_BUF_INIT(PAST_FILE_MAX_BYTES);
    char name[2 * MS_SHA256_BYTES + 1];
    bool found = false;

    ms_sha256_hex(&release->payload_hash, name);
    if (json_object_get(seen, name) != NULL)
        return MS_OK;
    enum ms_err err = past_file_find(file, &release->payload_hash, &bytes, &found);
    struct ms_sha256 hash = ms_sha256(ms_buf_span(&bytes));
    if (err != MS_OK && err != MS_ERR_MEMORY)
        err = malformed(diag, "a document is not base64");
    if (err == MS_OK && found && !ms_sha256_eq(&hash, &release->payload_hash))
        err = ms_diag_set(diag, MS_ERR_COMMITMENT,
                          "the document of release %llu is not the one that was approved, "
                          "sha256:%s",
                          (unsigned long long)release->id, name);
    if (err == MS_OK && found && json_object_set_new(seen, name, json_true()) != 0)
        err = MS_ERR_MEMORY;
    ms_buf_done(&bytes);
    return err;
}

/* Each is one that an operation approved, and nothing else is carried along. */
static enum ms_err check_documents(struct past_file *file, struct ms_diag *diag)
{
    json_t *seen = json_object();
    enum ms_err err = seen == NULL ? MS_ERR_MEMORY : MS_OK;

    for (size_t i = 0; err == MS_OK && i < file->n; i++) {
        struct history_operation operation;
        if (file->events[i].kind != REGISTRY_APPROVE)
            continue;
        err = history_operation_read(&file->events[i], &file->arena, &operation);
        if (err == MS_OK && operation.known)
            err = check_document(file, &operation.release, seen, diag);
    }
    if (err == MS_OK && json_object_size(seen) != json_object_size(file->documents))
        err = malformed(diag, "there is a document that no operation approved");
    json_decref(seen);
    return err;
}

static enum ms_err read_root(const json_t *root, struct past_file *file, struct ms_diag *diag)
{
    static const char *const names[] = {"type", "bundle", "operations", "documents"};

    if (!has_only(root, names, MS_ARRAY_LEN(names)) ||
        !ms_span_eq_str(ms_json_member_str(root, "type"), PAST_FILE_TYPE))
        return malformed(diag, "it is no " PAST_FILE_TYPE);
    file->documents = json_incref(json_object_get(root, "documents"));
    if (!json_is_object(file->documents))
        return malformed(diag, "documents");
    enum ms_err err = take_bundle(ms_json_member_str(root, "bundle"), file, diag);
    if (err == MS_OK)
        err = take_events(json_object_get(root, "operations"), file, diag);
    if (err == MS_OK)
        err = check_links(file, diag);
    return err == MS_OK ? check_documents(file, diag) : err;
}

enum ms_err past_file_read(struct ms_span text, struct past_file *file, struct ms_diag *diag)
{
    const struct ms_json_limits limits = {
        .max_bytes = PAST_FILE_MAX_BYTES, .max_depth = 4, .max_values = VALUES_MAX};
    json_t *root = NULL;

    enum ms_err err = ms_json_parse(text, &limits, &root, diag);
    if (err != MS_OK && err != MS_ERR_MEMORY && err != MS_ERR_LIMIT)
        err = MS_ERR_EVIDENCE;
    if (err == MS_OK)
        err = read_root(root, file, diag);
    json_decref(root);
    if (err != MS_OK)
        past_file_done(file);
    return err;
}

/* ---- a moment of it ---- */

struct reading {
    const struct past_file *file;
};

static enum ms_err read_document(void *arg, const struct registry_release *release,
                                 struct rec_set *set, struct ms_diag *diag)
{
    struct ms_buf text = MS_BUF_INIT(release->payload_size);
    const struct reading *reading = arg;
    bool found = false;

    enum ms_err err = past_file_find(reading->file, &release->payload_hash, &text, &found);
    if (err == MS_OK && !found)
        err = MS_ERR_NOT_FOUND;
    if (err == MS_ERR_LIMIT || (err == MS_OK && text.len != release->payload_size))
        err = ms_diag_set(diag, MS_ERR_HASH, "it has another size than was approved");
    if (err == MS_OK)
        err = past_document_read(release->payload_format, ms_buf_span(&text), set, diag);
    ms_buf_done(&text);
    return err;
}

static enum ms_err replay(const struct past_file *file, struct past_at *past, struct ms_diag *diag)
{
    struct eth_hash before = {0};
    enum ms_err err = MS_OK;

    for (size_t i = 0; err == MS_OK && i < file->n; i++) {
        err = past_at_add(past, &file->events[i], &before, diag);
        before = file->events[i].history_hash;
    }
    return err;
}

static json_t *told(const struct past_file *file, const struct past_at *past, int64_t time_s)
{
    enum past_at_verdict verdict = past_at_verdict(past);
    int64_t until_s = file->result->evidence_time_s;
    struct reading reading = {.file = file};
    struct ms_diag why = {0};

    if (time_s > until_s)
        (void)ms_diag_set(&why, MS_OK,
                          "not known: the state that the bundle proves is that of %lld",
                          (long long)until_s);
    else
        past_at_why(past, &why);
    bool known = time_s <= until_s && verdict != PAST_AT_UNKNOWN;
    json_t *out = known ? past_at_json(past, read_document, &reading) : json_object();
    int bad = json_object_set_new(out, "known", json_boolean(known));
    bad |= json_object_set_new(out, "in_force", json_boolean(known && verdict == PAST_AT_COUNTS));
    bad |= json_object_set_new(out, "why", json_string(why.text));
    bad |= json_object_set_new(out, "at", json_integer(time_s));
    if (bad == 0)
        return out;
    json_decref(out);
    return NULL;
}

json_t *past_file_at(const struct past_file *file, int64_t time_s)
{
    struct past_at *past = NULL;
    json_t *out = NULL;

    if (past_at_new(time_s < 0 ? 0 : (uint64_t)time_s, &past) == MS_OK &&
        replay(file, past, NULL) == MS_OK)
        out = told(file, past, time_s);
    past_at_free(past);
    return out;
}
