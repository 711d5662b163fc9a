/* resolver/records/parse.c - a list of records in the ordinary form, read strictly. */
#include "resolver/records/internal.h"

#include "base/hex.h"

#include <stdlib.h>

/* Members that narrow what a record approves. Dropping one would approve more than was meant, so a
 * record that carries one is refused until it can be enforced. */
static const char *const narrowing[] = {"claims", "image", "not_before", "not_after"};

/* Members without a say in what is approved. */
static const char *const informative[] = {"provenance", "kind"};

static const char *const ordinary[] = {"measurement_id", "attestation_type", "measurements",
                                       "platform"};

static bool listed(const char *name, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(name, list[i]) == 0)
            return true;
    return false;
}

static enum ms_err check_members(struct rec_ctx *ctx, json_t *object)
{
    const char *name;
    json_t *value;

    json_object_foreach(object, name, value)
    {
        if (listed(name, ordinary, MS_ARRAY_LEN(ordinary)) ||
            listed(name, informative, MS_ARRAY_LEN(informative)))
            continue;
        if (strcmp(name, "dcap_image_hashes") == 0 && ctx->mode == REC_MODE_DIALECTS)
            continue;
        if (strcmp(name, "dcap_image_hashes") == 0)
            return rec_refuse(ctx, MS_ERR_RECORDS, "L000",
                              "dcap_image_hashes is not accepted inside a specifier");
        if (listed(name, narrowing, MS_ARRAY_LEN(narrowing)))
            return rec_refuse(ctx, MS_ERR_RECORDS, "L000",
                              "member \"%s\" narrows the record and cannot be enforced", name);
        rec_warn(ctx, "member", "member \"%.40s\" is not understood and was ignored", name);
    }
    return MS_OK;
}

/* {"debug":false} is what every verifier demands anyway; anything else cannot be enforced. */
static enum ms_err check_platform(struct rec_ctx *ctx, const json_t *platform)
{
    if (platform == NULL ||
        (json_object_size(platform) == 1 && json_is_false(json_object_get(platform, "debug"))))
        return MS_OK;
    return rec_refuse(ctx, MS_ERR_RECORDS, "L000",
                      "platform may only be {\"debug\":false}, nothing else can be enforced");
}

static enum ms_err read_id(struct rec_ctx *ctx, const json_t *json, const char **ret_id)
{
    struct ms_span text = {(const uint8_t *)"", 0};

    if (json != NULL && !json_is_string(json))
        return rec_refuse(ctx, MS_ERR_RECORDS, "L000", "measurement_id is no string");
    if (json != NULL)
        text = rec_json_str(json);
    if (text.len == 0 && ctx->mode == REC_MODE_STRICT)
        return rec_refuse(ctx, MS_ERR_RECORDS, "L000",
                          "measurement_id is missing or empty: answers could not name the record");
    const char *fault = rec_text_fault(text);
    if (fault != NULL)
        return rec_refuse(ctx, MS_ERR_RECORDS, "L000", "measurement_id %s", fault);
    *ret_id = ms_arena_strdup(&ctx->set->arena, text);
    return *ret_id == NULL ? MS_ERR_MEMORY : MS_OK;
}

static void warn_of_id(struct rec_ctx *ctx)
{
    if (ctx->id[0] == '\0')
        rec_warn(ctx, "no-id", "no measurement_id: answers cannot name this record");
    else if (rec_text_misleads(ms_span_str(ctx->id)))
        rec_warn(ctx, "misleading-id",
                 "measurement_id holds invisible or direction-changing characters");
}

static enum ms_err read_type(struct rec_ctx *ctx, const json_t *json, struct rec_record *rec)
{
    if (!json_is_string(json))
        return rec_refuse(ctx, MS_ERR_TYPE, "L000", "attestation_type is missing or no string");
    struct ms_span text = rec_json_str(json);
    if (ms_span_eq_str_nocase(text, "none"))
        return rec_refuse(ctx, MS_ERR_TYPE, "L000",
                          "attestation_type none would approve a peer without attestation");
    const char *fault = text.len == 0 ? "is empty" : rec_text_fault(text);
    if (fault != NULL)
        return rec_refuse(ctx, MS_ERR_TYPE, "L000", "attestation_type %s", fault);
    rec->type = rec_type_parse(text);
    rec->type_text = ms_arena_strdup(&ctx->set->arena, text);
    if (rec->type_text == NULL)
        return MS_ERR_MEMORY;
    if (rec->type == REC_TYPE_UNKNOWN)
        rec_warn(ctx, "unknown-type",
                 "attestation type \"%.40s\" is unknown: kept, but nothing will match it",
                 rec->type_text);
    return MS_OK;
}

/* Registers, a portable policy, or the untouched measurements of an unknown type: exactly one of
 * them. */
static enum ms_err read_content(struct rec_ctx *ctx, json_t *object, struct rec_record *rec)
{
    json_t *measurements = json_object_get(object, "measurements");
    json_t *hashes = json_object_get(object, "dcap_image_hashes");

    if (hashes != NULL && measurements != NULL)
        return rec_refuse(ctx, MS_ERR_RECORDS, "L000", "both measurements and dcap_image_hashes");
    if (hashes != NULL && rec->type != REC_TYPE_GCP_TDX)
        return rec_refuse(ctx, MS_ERR_RECORDS, "L000", "dcap_image_hashes belongs to gcp-tdx only");
    if (hashes != NULL)
        return rec_read_image(ctx, hashes, &rec->image.hashes);
    if (rec->type != REC_TYPE_UNKNOWN)
        return rec_read_registers(ctx, measurements, rec);
    enum ms_err err = rec_check_unknown(ctx, measurements);
    if (err == MS_OK)
        rec->raw = json_incref(measurements);
    return err;
}

static enum ms_err read_record(struct rec_ctx *ctx, json_t *object)
{
    struct rec_record rec = {0};

    enum ms_err err = read_id(ctx, json_object_get(object, "measurement_id"), &rec.id);
    if (err != MS_OK)
        return err;
    ctx->id = rec.id;
    err = read_type(ctx, json_object_get(object, "attestation_type"), &rec);
    if (err == MS_OK)
        err = check_members(ctx, object);
    if (err == MS_OK)
        err = check_platform(ctx, json_object_get(object, "platform"));
    if (err == MS_OK)
        err = read_content(ctx, object, &rec);
    if (err != MS_OK)
        return err;
    warn_of_id(ctx);
    ctx->set->records[ctx->set->n_records++] = rec;
    return MS_OK;
}

/* {"predicate":{"kind":"dstack-compose-hash","value":"hex"}}, our own canonical form. */
static enum ms_err read_predicate(struct rec_ctx *ctx, const json_t *object)
{
    const json_t *body = json_object_get(object, "predicate");
    const json_t *version = json_object_get(body, "version");
    struct rec_predicate p = {.kind = rec_predicate_kind_parse(ms_json_member_str(body, "kind"))};
    size_t members = version == NULL ? 2 : 3;

    if (json_object_size(object) != 1 || json_object_size(body) != members)
        return rec_refuse(ctx, MS_ERR_RECORDS, "L000", "malformed predicate");
    if (p.kind == REC_PREDICATE_NONE)
        return rec_refuse(ctx, MS_ERR_RECORDS, "L000", "unknown kind of predicate");
    if (ms_hex_decode(ms_json_member_str(body, "value"), p.value, sizeof(p.value)) != MS_OK)
        return rec_refuse(ctx, MS_ERR_RECORDS, "L000", "a predicate's value is no 64 hex digits");
    if (version != NULL && json_integer_value(version) != 1 && json_integer_value(version) != 2)
        return rec_refuse(ctx, MS_ERR_RECORDS, "L000", "a predicate's version is neither 1 nor 2");
    if ((version != NULL) != (p.kind == REC_PREDICATE_TDX_WORKLOAD_ID))
        return rec_refuse(ctx, MS_ERR_RECORDS, "L000",
                          "version belongs to tdx-workload-id, which must have it");
    p.version = (uint32_t)json_integer_value(version);
    return rec_set_add_predicate(ctx->set, &p);
}

static enum ms_err read_entry(struct rec_ctx *ctx, json_t *entry)
{
    if (!json_is_object(entry))
        return rec_refuse(ctx, MS_ERR_RECORDS, "L000", "not an object");
    if (ctx->mode != REC_MODE_STRICT && json_object_get(entry, "predicate") != NULL)
        return read_predicate(ctx, entry);
    return read_record(ctx, entry);
}

static void sort_predicates(struct rec_set *set)
{
    size_t n = 0;

    if (set->n_predicates == 0)
        return;
    qsort(set->predicates, set->n_predicates, sizeof(set->predicates[0]), rec_predicate_cmp);
    for (size_t i = 0; i < set->n_predicates; i++)
        if (n == 0 || rec_predicate_cmp(&set->predicates[n - 1], &set->predicates[i]) != 0)
            set->predicates[n++] = set->predicates[i];
    set->n_predicates = n;
}

static int by_id(const void *a, const void *b)
{
    const struct rec_record *const *x = a, *const *y = b;

    return strcmp((*x)->id, (*y)->id);
}

/* One id for several records is legal (alternatives written out) and still worth a word. */
static enum ms_err warn_of_same_ids(struct rec_ctx *ctx)
{
    struct rec_set *set = ctx->set;
    if (set->n_records < 2)
        return MS_OK;
    const struct rec_record **sorted =
        ms_arena_alloc(&set->arena, set->n_records, sizeof(struct rec_record *));
    if (sorted == NULL)
        return MS_ERR_MEMORY;
    for (size_t i = 0; i < set->n_records; i++)
        sorted[i] = &set->records[i];
    qsort(sorted, set->n_records, sizeof(sorted[0]), by_id);
    for (size_t i = 1; i < set->n_records; i++) {
        bool same = strcmp(sorted[i]->id, sorted[i - 1]->id) == 0;
        bool first = i == 1 || strcmp(sorted[i]->id, sorted[i - 2]->id) != 0;
        if (same && first && sorted[i]->id[0] != '\0')
            rec_warn(ctx, "same-id", "several records have the id \"%.40s\"", sorted[i]->id);
    }
    return MS_OK;
}

static bool any_usable(const struct rec_set *set)
{
    for (size_t i = 0; i < set->n_records; i++)
        if (set->records[i].type != REC_TYPE_UNKNOWN)
            return true;
    return set->n_predicates > 0;
}

static enum ms_err read_list(struct rec_ctx *ctx, const json_t *list)
{
    size_t n = json_array_size(list);

    if (n > REC_RECORDS_MAX)
        return rec_refuse(ctx, MS_ERR_RECORDS, "L000", "%zu records, the limit is %u", n,
                          REC_RECORDS_MAX);
    if (n == 0)
        return MS_OK;
    ctx->set->records = ms_arena_alloc(&ctx->set->arena, n, sizeof(ctx->set->records[0]));
    if (ctx->set->records == NULL)
        return MS_ERR_MEMORY;
    for (size_t i = 0; i < n; i++) {
        ctx->at = i + 1;
        ctx->id = NULL;
        enum ms_err err = read_entry(ctx, json_array_get(list, i));
        if (err != MS_OK)
            return err;
    }
    ctx->at = 0;
    ctx->id = NULL;
    if (!any_usable(ctx->set))
        return rec_refuse(ctx, MS_ERR_TYPE, "L000",
                          "nothing here can match: \"%.40s\" is no attestation type that is known",
                          ctx->set->records[0].type_text);
    sort_predicates(ctx->set);
    return warn_of_same_ids(ctx);
}

static enum ms_err read_root(struct rec_ctx *ctx, json_t *root)
{
    json_t *list = NULL;

    if (ctx->mode != REC_MODE_STRICT) {
        enum ms_err err = ctx->mode == REC_MODE_DIALECTS ? rec_dialect_list(ctx, root, &list)
                                                         : rec_predicates_list(ctx, root, &list);
        if (err == MS_OK)
            err = read_list(ctx, list);
        json_decref(list);
        return err;
    }
    if (!json_is_array(root))
        return rec_refuse(ctx, MS_ERR_RECORDS, "L000",
                          "inside a specifier the document must be a list of records");
    if (json_array_size(root) == 0)
        return rec_refuse(ctx, MS_ERR_RECORDS, "L001",
                          "an empty list inside a specifier approves nothing");
    return read_list(ctx, root);
}

enum ms_err rec_parse_ctx(struct rec_ctx *ctx, struct ms_span text)
{
    static const struct ms_json_limits limits = {
        .max_bytes = REC_DOC_MAX_BYTES,
        .max_depth = REC_DOC_DEPTH_MAX,
        .max_values = REC_DOC_VALUES_MAX,
    };
    json_t *root = NULL;

    enum ms_err err = ms_json_parse(text, &limits, &root, ctx->diag);
    if (err == MS_OK)
        err = read_root(ctx, root);
    json_decref(root);
    if (err != MS_OK)
        rec_set_done(ctx->set);
    return err;
}

enum ms_err rec_parse(struct ms_span text, enum rec_mode mode, struct rec_set *set,
                      struct ms_diag *diag)
{
    struct rec_ctx ctx = {.mode = mode, .set = set, .diag = diag};

    return rec_parse_ctx(&ctx, text);
}

static bool reads_as(struct ms_span document, enum rec_mode mode)
{
    struct rec_set set;

    rec_set_init(&set);
    bool ok = rec_parse(document, mode, &set, NULL) == MS_OK;
    rec_set_done(&set);
    return ok;
}

uint16_t rec_payload_format(struct ms_span document)
{
    if (reads_as(document, REC_MODE_WORKLOAD_IDS))
        return 3;
    return reads_as(document, REC_MODE_DSTACK) ? 4 : 1;
}

const char *rec_payload_format_name(uint16_t format)
{
    static const char *const names[] = {"", "measurement JSON", "gzip of measurement JSON",
                                        "workload ids", "dstack hashes"};
    return format < MS_ARRAY_LEN(names) ? names[format] : "";
}
