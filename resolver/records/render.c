/* resolver/records/render.c - sets in the form a consumer reads (consumers.md 3.4). */
#include "resolver/records/internal.h"

#include "base/hex.h"

#include <stdio.h>

static const struct {
    const char *name, *media_type;
} profiles[REC_PROFILES] = {
    [REC_PROFILE_NONE] = {"none", "text/plain"},
    [REC_PROFILE_SEED] = {"seed", "application/json"},
    [REC_PROFILE_ATLS_1] = {"atls-1", "application/json"},
    [REC_PROFILE_ATLS_2] = {"atls-2", "application/json"},
    [REC_PROFILE_CVM] = {"cvm", "application/json"},
    [REC_PROFILE_BUILDERHUB] = {"builderhub", "application/json"},
    [REC_PROFILE_DSTACK_AUTH] = {"dstack-auth", "application/json"},
    [REC_PROFILE_AUTH_SIMPLE] = {"auth-simple", "application/json"},
    [REC_PROFILE_RVPS_LOCALJSON] = {"rvps-localjson", "application/json"},
    [REC_PROFILE_RVPS_SAMPLE] = {"rvps-sample", "application/json"},
    [REC_PROFILE_CSV] = {"csv", "text/csv; charset=utf-8"},
    [REC_PROFILE_MD] = {"md", "text/markdown; charset=utf-8"},
};

enum rec_profile rec_profile_parse(struct ms_span name)
{
    for (size_t i = REC_PROFILE_NONE + 1; i < REC_PROFILES; i++)
        if (ms_span_eq_str(name, profiles[i].name))
            return (enum rec_profile)i;
    /* of trustee's two forms the one that needs nobody to push it */
    return ms_span_eq_str(name, "rvps") ? REC_PROFILE_RVPS_LOCALJSON : REC_PROFILE_NONE;
}

const char *rec_profile_name(enum rec_profile profile)
{
    return profiles[profile].name;
}

const char *rec_profile_names(void)
{
    return "seed, atls-1, atls-2, cvm, builderhub, dstack-auth, auth-simple, rvps-localjson (or "
           "rvps), rvps-sample, csv and md";
}

const char *rec_profile_media_type(enum rec_profile profile)
{
    return profiles[profile].media_type;
}

bool rec_profile_of_dstack(enum rec_profile profile)
{
    return profile == REC_PROFILE_DSTACK_AUTH || profile == REC_PROFILE_AUTH_SIMPLE;
}

/* attested-tls-proxy 1.x takes a record without `measurements` for "any machine of the type", and
 * so does BuilderHub, so a portable policy must not reach them; an unknown type makes every
 * consumer refuse the whole document. */
bool rec_expressible(const struct rec_record *record, enum rec_profile profile)
{
    bool known = record->type != REC_TYPE_UNKNOWN;

    switch (profile) {
    case REC_PROFILE_NONE:
    case REC_PROFILE_DSTACK_AUTH: /* hashes of files, no registers */
    case REC_PROFILE_AUTH_SIMPLE:
        return false;
    case REC_PROFILE_SEED:
    case REC_PROFILE_ATLS_1:
    case REC_PROFILE_CVM:
    case REC_PROFILE_BUILDERHUB:
        return known && record->n_registers > 0;
    case REC_PROFILE_ATLS_2:
        return known && (record->n_registers > 0 || record->image.hashes != NULL);
    case REC_PROFILE_RVPS_LOCALJSON: /* trustee has names for the registers of DCAP only */
    case REC_PROFILE_RVPS_SAMPLE:
        return rec_type_comparable(record->type, REC_TYPE_DCAP_TDX) && record->n_registers > 0;
    case REC_PROFILE_CSV:
    case REC_PROFILE_MD:
        return true;
    }
    return false;
}

/* ---- writing ---- */

/* The seed document's examples are indented by four; programs get one line. */
static void line(struct rec_rendering *w, unsigned depth)
{
    if (w->options->profile == REC_PROFILE_SEED)
        (void)ms_buf_addf(w->out, "\n%*s", (int)(4 * depth), "");
}

static void member(struct rec_rendering *w, unsigned depth, const char *name)
{
    line(w, depth);
    (void)ms_buf_addf(w->out,
                      w->options->profile == REC_PROFILE_SEED ? "\"%s\": " : "\"%s\":", name);
}

void rec_put_value(struct ms_buf *out, const struct rec_value *value)
{
    (void)ms_buf_add_byte(out, '"');
    (void)ms_buf_add_hex(out, ms_span_of(value->b, value->len));
    (void)ms_buf_add_byte(out, '"');
}

static void put_constraint(struct rec_rendering *w, const struct rec_value *values, size_t n)
{
    (void)ms_buf_add_byte(w->out, '{');
    member(w, 4, n == 1 ? "expected" : "expected_any");
    if (n == 1) {
        rec_put_value(w->out, values);
    } else {
        for (size_t i = 0; i < n; i++) {
            (void)ms_buf_add_byte(w->out, i == 0 ? '[' : ',');
            line(w, 5);
            rec_put_value(w->out, &values[i]);
        }
        line(w, 4);
        (void)ms_buf_add_byte(w->out, ']');
    }
    line(w, 3);
    (void)ms_buf_add_byte(w->out, '}');
}

static void open_record(struct rec_rendering *w, const char *id, const char *type)
{
    (void)ms_buf_add_byte(w->out, w->written++ == 0 ? '[' : ',');
    line(w, 1);
    (void)ms_buf_add_byte(w->out, '{');
    member(w, 2, "measurement_id");
    (void)ms_json_add_string(w->out, ms_span_str(id));
    (void)ms_buf_add_byte(w->out, ',');
    member(w, 2, "attestation_type");
    (void)ms_json_add_string(w->out, ms_span_str(type));
    (void)ms_buf_add_byte(w->out, ',');
}

static void close_record(struct rec_rendering *w)
{
    line(w, 1);
    (void)ms_buf_add_byte(w->out, '}');
}

static void close_list(struct rec_rendering *w)
{
    if (w->written == 0)
        (void)ms_buf_add_byte(w->out, '[');
    else
        line(w, 0);
    (void)ms_buf_add_str(w->out, "]\n");
}

static void put_register(struct rec_rendering *w, const struct rec_record *record, size_t i,
                         const struct rec_value *values, size_t n)
{
    char number[16];
    uint32_t index = record->registers[i].index;

    (void)snprintf(number, sizeof(number), "%u", index);
    (void)ms_buf_add_str(w->out, i == 0 ? "" : ",");
    member(w, 3,
           w->options->profile == REC_PROFILE_ATLS_2 ? rec_register_name(record->type, index)
                                                     : number);
    put_constraint(w, values, n);
}

void rec_put_record(struct rec_rendering *w, const struct rec_record *record, const char *id,
                    const char *type, const size_t *choice)
{
    open_record(w, id, type);
    if (record->image.hashes != NULL) {
        member(w, 2, "dcap_image_hashes");
        enum ms_err err = ms_json_print(record->image.hashes, false, w->out);
        w->err = w->err != MS_OK ? w->err : err;
        close_record(w);
        return;
    }
    member(w, 2, "measurements");
    (void)ms_buf_add_byte(w->out, '{');
    for (size_t i = 0; i < record->n_registers; i++) {
        const struct rec_register *reg = &record->registers[i];
        if (choice == NULL)
            put_register(w, record, i, reg->values, reg->n_values);
        else
            put_register(w, record, i, &reg->values[choice[i]], 1);
    }
    line(w, 2);
    (void)ms_buf_add_byte(w->out, '}');
    close_record(w);
}

void rec_tell_omitted(const struct rec_rendering *w)
{
    if (w->records + w->predicates > 0)
        (void)ms_diag_set(w->diag, MS_OK,
                          "%zu records and %zu predicates cannot be written in profile %s and were "
                          "left out",
                          w->records, w->predicates, rec_profile_name(w->options->profile));
}

/* ---- seed, atls-1, atls-2 ---- */

static void render_lists(struct rec_rendering *w)
{
    for (size_t s = 0; s < w->n_sets; s++) {
        w->predicates += w->sets[s]->n_predicates;
        for (size_t i = 0; i < w->sets[s]->n_records; i++) {
            const struct rec_record *record = &w->sets[s]->records[i];
            if (rec_expressible(record, w->options->profile))
                rec_put_record(w, record, record->id, record->type_text, NULL);
            else
                w->records++;
        }
    }
}

/* ---- cvm ---- */

/* Records one record expands to, or one more than the cap. */
static size_t expansion(const struct rec_record *record)
{
    size_t product = 1;

    for (size_t i = 0; i < record->n_registers; i++) {
        product *= record->registers[i].n_values; /* at most 4096 * 64 */
        if (product > REC_CVM_EXPANSION_MAX)
            return REC_CVM_EXPANSION_MAX + 1;
    }
    return product;
}

/* What cannot be expressed fails the rendering or, where the caller said so, is counted as left
 * out. */
static enum ms_err check_cvm(struct rec_rendering *w)
{
    size_t total = 0;

    for (size_t s = 0; s < w->n_sets; s++) {
        const struct rec_set *set = w->sets[s];
        w->predicates += set->n_predicates;
        if (set->n_predicates > 0 && !w->options->skip_unsupported)
            return ms_diag_set(w->diag, MS_ERR_PROFILE,
                               "profile cvm cannot express the predicate %s",
                               rec_predicate_kind_name(set->predicates[0].kind));
        for (size_t i = 0; i < set->n_records; i++) {
            const struct rec_record *record = &set->records[i];
            bool expressible = rec_expressible(record, REC_PROFILE_CVM);
            if (!expressible && !w->options->skip_unsupported)
                return ms_diag_set(w->diag, MS_ERR_PROFILE,
                                   "profile cvm cannot express record %zu (id \"%.40s\", type "
                                   "%.40s%s)",
                                   i + 1, record->id, record->type_text,
                                   record->image.hashes != NULL ? ", portable policy" : "");
            w->records += !expressible;
            total += expressible ? expansion(record) : 0;
            if (total > REC_CVM_EXPANSION_MAX)
                return ms_diag_set(w->diag, MS_ERR_EXPANSION,
                                   "profile cvm: more than %u records at record %zu (id \"%.40s\")",
                                   REC_CVM_EXPANSION_MAX, i + 1, record->id);
        }
    }
    return MS_OK;
}

/* Counts the choices through like an odometer, the last register fastest. */
static bool next_choice(const struct rec_record *record, size_t *choice)
{
    for (size_t i = record->n_registers; i-- > 0;) {
        if (++choice[i] < record->registers[i].n_values)
            return true;
        choice[i] = 0;
    }
    return false;
}

static void expand(struct rec_rendering *w, const struct rec_record *record)
{
    size_t choice[REC_REGISTERS_MAX] = {0};
    const char *type = record->type == REC_TYPE_AZURE_TDX ? rec_type_name(REC_TYPE_AZURE_TDX)
                                                          : rec_type_name(REC_TYPE_DCAP_TDX);
    do
        rec_put_record(w, record, record->id, type, choice);
    while (next_choice(record, choice));
}

/* cvm-reverse-proxy takes an empty list for "no attestation needed", so "nothing is approved" is
 * written as values no machine has: MRTD and PCR 4 of all ones (consumers.md 2.2, C3). */
static void deny_all(struct rec_rendering *w)
{
    static const struct {
        enum rec_type type;
        uint32_t index;
    } walls[] = {{REC_TYPE_DCAP_TDX, 0}, {REC_TYPE_AZURE_TDX, 4}};

    for (size_t i = 0; i < MS_ARRAY_LEN(walls); i++) {
        struct rec_value ones = {.len = (uint8_t)rec_type_value_bytes(walls[i].type)};
        struct rec_register reg = {.index = walls[i].index, .n_values = 1, .values = &ones};
        struct rec_record record = {.type = walls[i].type, .n_registers = 1, .registers = &reg};
        memset(ones.b, 0xff, ones.len);
        rec_put_record(w, &record, "deny-all", rec_type_name(record.type), NULL);
    }
}

static enum ms_err render_cvm(struct rec_rendering *w)
{
    enum ms_err err = check_cvm(w);

    if (err != MS_OK)
        return err;
    for (size_t s = 0; s < w->n_sets; s++)
        for (size_t i = 0; i < w->sets[s]->n_records; i++)
            if (rec_expressible(&w->sets[s]->records[i], REC_PROFILE_CVM))
                expand(w, &w->sets[s]->records[i]);
    if (w->written == 0)
        deny_all(w);
    return MS_OK;
}

/* ---- all ---- */

static enum ms_err render(struct rec_rendering *w)
{
    enum ms_err err = MS_OK;

    switch (w->options->profile) {
    case REC_PROFILE_NONE:
        return ms_diag_set(w->diag, MS_ERR_ARGUMENT, "no such profile");
    case REC_PROFILE_SEED:
    case REC_PROFILE_ATLS_1:
    case REC_PROFILE_ATLS_2:
        render_lists(w);
        break;
    case REC_PROFILE_CVM:
        err = render_cvm(w);
        break;
    case REC_PROFILE_BUILDERHUB:
        err = rec_render_builderhub(w);
        break;
    case REC_PROFILE_DSTACK_AUTH:
    case REC_PROFILE_AUTH_SIMPLE:
        return rec_render_dstack(w);
    case REC_PROFILE_RVPS_LOCALJSON:
    case REC_PROFILE_RVPS_SAMPLE:
        return rec_render_rvps(w);
    case REC_PROFILE_CSV:
    case REC_PROFILE_MD:
        return rec_render_table(w);
    }
    if (err == MS_OK)
        close_list(w);
    return err;
}

enum ms_err rec_render(const struct rec_set *const *sets, size_t n_sets,
                       const struct rec_options *options, struct ms_buf *out, struct ms_diag *diag)
{
    struct rec_rendering w = {
        .sets = sets, .n_sets = n_sets, .options = options, .out = out, .diag = diag};

    enum ms_err err = render(&w);
    if (err == MS_OK)
        err = w.err != MS_OK ? w.err : ms_buf_err(out);
    if (err == MS_OK)
        rec_tell_omitted(&w);
    return err;
}

/* ---- members of the envelope ---- */

static json_t *value_json(const struct rec_value *value)
{
    char hex[2 * REC_VALUE_MAX_BYTES + 1];

    ms_hex_encode(ms_span_of(value->b, value->len), hex);
    return json_string(hex);
}

static json_t *register_json(const struct rec_register *reg)
{
    if (reg->n_values == 1)
        return json_pack("{s:o}", "expected", value_json(&reg->values[0]));
    json_t *any = json_array();
    for (size_t i = 0; i < reg->n_values; i++)
        if (json_array_append_new(any, value_json(&reg->values[i])) != 0) {
            json_decref(any);
            return NULL;
        }
    return json_pack("{s:o}", "expected_any", any);
}

static json_t *registers_json(const struct rec_record *record)
{
    json_t *out = json_object();
    char number[16];

    for (size_t i = 0; i < record->n_registers; i++) {
        (void)snprintf(number, sizeof(number), "%u", record->registers[i].index);
        if (json_object_set_new(out, number, register_json(&record->registers[i])) != 0) {
            json_decref(out);
            return NULL;
        }
    }
    return out;
}

/* Copies, never references: a set is read from many threads and reference counts are not for that.
 */
static json_t *record_json(const struct rec_record *record)
{
    const char *name = record->image.hashes != NULL ? "dcap_image_hashes" : "measurements";
    json_t *content = record->image.hashes != NULL ? json_deep_copy(record->image.hashes)
                      : record->raw != NULL        ? json_deep_copy(record->raw)
                                                   : registers_json(record);

    return json_pack("{s:s,s:s,s:o}", "measurement_id", record->id, "attestation_type",
                     record->type_text, name, content);
}

static json_t *predicate_json(const struct rec_predicate *predicate)
{
    char hex[2 * sizeof(predicate->value) + 1];
    json_t *out;

    ms_hex_encode(ms_span_of(predicate->value, sizeof(predicate->value)), hex);
    out = json_pack("{s:s,s:s}", "kind", rec_predicate_kind_name(predicate->kind), "value", hex);
    if (predicate->version != 0 &&
        json_object_set_new(out, "version", json_integer(predicate->version)) != 0) {
        json_decref(out);
        return NULL;
    }
    return out;
}

json_t *rec_records_json(const struct rec_set *set)
{
    json_t *out = json_array();

    for (size_t i = 0; out != NULL && i < set->n_records; i++)
        if (json_array_append_new(out, record_json(&set->records[i])) != 0) {
            json_decref(out);
            return NULL;
        }
    return out;
}

json_t *rec_predicates_json(const struct rec_set *set)
{
    json_t *out = json_array();

    for (size_t i = 0; out != NULL && i < set->n_predicates; i++)
        if (json_array_append_new(out, predicate_json(&set->predicates[i])) != 0) {
            json_decref(out);
            return NULL;
        }
    return out;
}
