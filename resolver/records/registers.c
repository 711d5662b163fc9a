/* resolver/records/registers.c - `measurements` of one record: names, alternatives, values. */
#include "resolver/records/internal.h"

#include "base/hex.h"

#include <stdlib.h>

int rec_value_cmp(const void *a, const void *b)
{
    const struct rec_value *x = a, *y = b;

    return ms_span_cmp(ms_span_of(x->b, x->len), ms_span_of(y->b, y->len));
}

size_t rec_sort_values(struct rec_value *values, size_t n)
{
    size_t kept = 0;

    if (n > 0)
        qsort(values, n, sizeof(values[0]), rec_value_cmp);
    for (size_t i = 0; i < n; i++)
        if (kept == 0 || rec_value_cmp(&values[kept - 1], &values[i]) != 0)
            values[kept++] = values[i];
    return kept;
}

static enum ms_err read_value(struct rec_ctx *ctx, const char *name, enum rec_type type,
                              const json_t *json, struct rec_value *ret_value)
{
    struct rec_value value = {.len = (uint8_t)rec_type_value_bytes(type)};

    if (!json_is_string(json))
        return rec_refuse(ctx, MS_ERR_REGISTER, "L000", "register \"%.20s\": a value is no string",
                          name);
    enum ms_err err = ms_hex_decode(rec_json_str(json), value.b, value.len);
    if (err == MS_ERR_LENGTH)
        return rec_refuse(ctx, MS_ERR_REGISTER, "L000",
                          "register \"%.20s\": %zu characters where %s has %d hex digits", name,
                          json_string_length(json), rec_type_name(type), 2 * value.len);
    if (err != MS_OK)
        return rec_refuse(ctx, MS_ERR_REGISTER, "L000",
                          "register \"%.20s\": a value is not hexadecimal", name);
    *ret_value = value;
    return MS_OK;
}

/* One value or a list of them. */
static enum ms_err read_values(struct rec_ctx *ctx, const char *name, enum rec_type type,
                               const json_t *json, struct rec_register *reg)
{
    size_t n = json_is_array(json) ? json_array_size(json) : 1;

    if (n == 0)
        return rec_refuse(ctx, MS_ERR_RECORDS, "L000",
                          "register \"%.20s\": an empty list of alternatives", name);
    if (n > REC_ALTERNATIVES_MAX)
        return rec_refuse(ctx, MS_ERR_RECORDS, "L000",
                          "register \"%.20s\": %zu alternatives, the limit is %u", name, n,
                          REC_ALTERNATIVES_MAX);
    reg->values = ms_arena_alloc(&ctx->set->arena, n, sizeof(reg->values[0]));
    if (reg->values == NULL)
        return MS_ERR_MEMORY;
    for (size_t i = 0; i < n; i++) {
        const json_t *one = json_is_array(json) ? json_array_get(json, i) : json;
        enum ms_err err = read_value(ctx, name, type, one, &reg->values[i]);
        if (err != MS_OK)
            return err;
    }
    reg->n_values = rec_sort_values(reg->values, n);
    return MS_OK;
}

static enum ms_err check_warn_only(struct rec_ctx *ctx, const char *name, const json_t *value)
{
    if (value == NULL || json_is_false(value))
        return MS_OK;
    return rec_refuse(ctx, MS_ERR_RECORDS, "L006",
                      "register \"%.20s\": warnOnly makes it a register nobody enforces", name);
}

/* {"expected":"hex"} or {"expected_any":["hex",..]}. A modifier that is not understood may change
 * what the constraint means, so it is refused here, not ignored. */
static enum ms_err read_constraint(struct rec_ctx *ctx, const char *name, enum rec_type type,
                                   json_t *object, struct rec_register *reg)
{
    const json_t *one = json_object_get(object, "expected");
    const json_t *any = json_object_get(object, "expected_any");
    const char *member;
    json_t *value;

    enum ms_err err = check_warn_only(ctx, name, json_object_get(object, "warnOnly"));
    if (err != MS_OK)
        return err;
    json_object_foreach(object, member, value)
    {
        if (strcmp(member, "expected") != 0 && strcmp(member, "expected_any") != 0 &&
            strcmp(member, "warnOnly") != 0)
            return rec_refuse(ctx, MS_ERR_RECORDS, "L000",
                              "register \"%.20s\": member \"%.40s\" is not understood", name,
                              member);
    }
    if (one != NULL && any != NULL)
        return rec_refuse(ctx, MS_ERR_RECORDS, "L007",
                          "register \"%.20s\": both expected and expected_any", name);
    if (one == NULL && any == NULL)
        return rec_refuse(ctx, MS_ERR_RECORDS, "L000",
                          "register \"%.20s\": neither expected nor expected_any", name);
    if (one != NULL && !json_is_string(one))
        return rec_refuse(ctx, MS_ERR_REGISTER, "L000", "register \"%.20s\": expected is no string",
                          name);
    if (any != NULL && !json_is_array(any))
        return rec_refuse(ctx, MS_ERR_RECORDS, "L000",
                          "register \"%.20s\": expected_any is no list", name);
    return read_values(ctx, name, type, one != NULL ? one : any, reg);
}

static enum ms_err read_register(struct rec_ctx *ctx, const char *name, enum rec_type type,
                                 json_t *json, struct rec_register *reg)
{
    if (json_is_object(json))
        return read_constraint(ctx, name, type, json, reg);
    if (ctx->mode == REC_MODE_DIALECTS && (json_is_string(json) || json_is_array(json)))
        return read_values(ctx, name, type, json, reg);
    return rec_refuse(ctx, MS_ERR_RECORDS, "L000",
                      "register \"%.20s\": no object with expected or expected_any", name);
}

static int register_cmp(const void *a, const void *b)
{
    const struct rec_register *x = a, *y = b;

    return (x->index > y->index) - (x->index < y->index);
}

static enum ms_err name_register(struct rec_ctx *ctx, const char *name, enum rec_type type,
                                 uint32_t *seen, uint32_t *ret_index)
{
    enum rec_naming naming = ctx->mode == REC_MODE_DIALECTS ? REC_NAMING_ANY : REC_NAMING_NUMBERS;
    uint32_t index;

    if (!rec_register_index(ms_span_str(name), type, naming, &index))
        return rec_refuse(ctx, MS_ERR_REGISTER, "L002", "%s has no register \"%.40s\"",
                          rec_type_name(type), name);
    if ((*seen >> index & 1u) != 0)
        return rec_refuse(ctx, MS_ERR_REGISTER, "L000", "\"%.20s\" names register %u a second time",
                          name, index);
    *seen |= 1u << index;
    *ret_index = index;
    return MS_OK;
}

enum ms_err rec_read_registers(struct rec_ctx *ctx, json_t *measurements, struct rec_record *rec)
{
    size_t n = json_object_size(measurements);
    uint32_t seen = 0;
    const char *name;
    json_t *value;

    if (!json_is_object(measurements))
        return rec_refuse(ctx, MS_ERR_RECORDS, "L001", "measurements is missing or no object");
    if (n == 0)
        return rec_refuse(ctx, MS_ERR_RECORDS, "L001",
                          "empty measurements: peers read this as any machine of the type");
    /* Names are distinct registers or refused, so n is bounded by the type's registers soon enough;
     * the allocation must not trust it. */
    rec->registers = ms_arena_alloc(&ctx->set->arena, n < REC_REGISTERS_MAX ? n : REC_REGISTERS_MAX,
                                    sizeof(rec->registers[0]));
    if (rec->registers == NULL)
        return MS_ERR_MEMORY;
    json_object_foreach(measurements, name, value)
    {
        struct rec_register reg = {0};
        enum ms_err err = name_register(ctx, name, rec->type, &seen, &reg.index);
        if (err == MS_OK)
            err = read_register(ctx, name, rec->type, value, &reg);
        if (err != MS_OK)
            return err;
        rec->registers[rec->n_registers++] = reg;
    }
    qsort(rec->registers, rec->n_registers, sizeof(rec->registers[0]), register_cmp);
    return MS_OK;
}

static bool is_empty(const json_t *json)
{
    return json_is_null(json) || (json_is_object(json) && json_object_size(json) == 0) ||
           (json_is_array(json) && json_array_size(json) == 0) ||
           (json_is_string(json) && json_string_length(json) == 0);
}

enum ms_err rec_check_unknown(struct rec_ctx *ctx, json_t *measurements)
{
    const char *name;
    json_t *value;

    if (!json_is_object(measurements) || json_object_size(measurements) == 0)
        return rec_refuse(ctx, MS_ERR_RECORDS, "L001",
                          "measurements is missing, empty or no object");
    json_object_foreach(measurements, name, value)
    {
        if (is_empty(value))
            return rec_refuse(ctx, MS_ERR_RECORDS, "L001", "register \"%.20s\": nothing expected",
                              name);
        enum ms_err err = check_warn_only(ctx, name, json_object_get(value, "warnOnly"));
        if (err != MS_OK)
            return err;
    }
    return MS_OK;
}

/* ---- portable policies ---- */

static const struct {
    const char *name;
    bool optional;
} image_hashes[] = {
    {"uki_authenticode", false}, {"kernel_authenticode", false}, {"cmdline_hash", false},
    {"initrd_hash", false},      {"gpt_disk_guid_hash", false},  {"pe_sections", true},
};

static enum ms_err read_image_hash(struct rec_ctx *ctx, const char *name, const json_t *json,
                                   json_t *out)
{
    struct rec_value value = {0};
    char hex[2 * REC_VALUE_MAX_BYTES + 1];

    enum ms_err err = read_value(ctx, name, REC_TYPE_GCP_TDX, json, &value);
    if (err != MS_OK)
        return err;
    ms_hex_encode(ms_span_of(value.b, value.len), hex);
    return json_object_set_new(out, name, json_string(hex)) == 0 ? MS_OK : MS_ERR_MEMORY;
}

enum ms_err rec_read_image(struct rec_ctx *ctx, json_t *hashes, json_t **ret_hashes)
{
    size_t known = 0;

    if (!json_is_object(hashes))
        return rec_refuse(ctx, MS_ERR_RECORDS, "L000", "dcap_image_hashes is no object");
    json_t *out = json_object();
    enum ms_err err = out == NULL ? MS_ERR_MEMORY : MS_OK;
    for (size_t i = 0; err == MS_OK && i < MS_ARRAY_LEN(image_hashes); i++) {
        const json_t *one = json_object_get(hashes, image_hashes[i].name);
        known += one != NULL;
        if (one != NULL)
            err = read_image_hash(ctx, image_hashes[i].name, one, out);
        else if (!image_hashes[i].optional)
            err = rec_refuse(ctx, MS_ERR_RECORDS, "L000", "dcap_image_hashes lacks %s",
                             image_hashes[i].name);
    }
    if (err == MS_OK && known != json_object_size(hashes))
        err = rec_refuse(ctx, MS_ERR_RECORDS, "L000", "dcap_image_hashes has an unknown member");
    if (err == MS_OK)
        *ret_hashes = out;
    else
        json_decref(out);
    return err;
}
