/* resolver/records/render.c - sets in the form a consumer reads (consumers.md 3.4). */
#include "resolver/records/internal.h"

#include "base/hex.h"

#include <stdio.h>

static const char *const profile_names[] = {
    [REC_PROFILE_NONE] = "none",     [REC_PROFILE_SEED] = "seed", [REC_PROFILE_ATLS_1] = "atls-1",
    [REC_PROFILE_ATLS_2] = "atls-2", [REC_PROFILE_CVM] = "cvm",
};

enum rec_profile rec_profile_parse(struct ms_span name)
{
    for (size_t i = REC_PROFILE_NONE + 1; i < MS_ARRAY_LEN(profile_names); i++)
        if (ms_span_eq_str(name, profile_names[i]))
            return (enum rec_profile)i;
    return REC_PROFILE_NONE;
}

const char *rec_profile_name(enum rec_profile profile)
{
    return profile_names[profile];
}

/* attested-tls-proxy 1.x takes a record without `measurements` for "any machine of the type", so a
 * portable policy must not reach it; an unknown type makes every consumer refuse the whole
 * document. */
bool rec_expressible(const struct rec_record *record, enum rec_profile profile)
{
    switch (profile) {
    case REC_PROFILE_NONE:
        return false;
    case REC_PROFILE_SEED:
    case REC_PROFILE_ATLS_1:
    case REC_PROFILE_CVM:
        return record->type != REC_TYPE_UNKNOWN && record->n_registers > 0;
    case REC_PROFILE_ATLS_2:
        return record->type != REC_TYPE_UNKNOWN &&
               (record->n_registers > 0 || record->image.hashes != NULL);
    }
    return false;
}

/* ---- writing ---- */

struct writer {
    struct ms_buf *out;
    enum rec_profile profile;
    size_t n_records; /* written so far */
    enum ms_err err;  /* beside that of out */
};

/* The seed document's examples are indented by four; programs get one line. */
static void line(struct writer *w, unsigned depth)
{
    if (w->profile == REC_PROFILE_SEED)
        (void)ms_buf_addf(w->out, "\n%*s", (int)(4 * depth), "");
}

static void member(struct writer *w, unsigned depth, const char *name)
{
    line(w, depth);
    (void)ms_buf_addf(w->out, w->profile == REC_PROFILE_SEED ? "\"%s\": " : "\"%s\":", name);
}

static void put_value(struct writer *w, const struct rec_value *value)
{
    (void)ms_buf_add_byte(w->out, '"');
    (void)ms_buf_add_hex(w->out, ms_span_of(value->b, value->len));
    (void)ms_buf_add_byte(w->out, '"');
}

static void put_constraint(struct writer *w, const struct rec_value *values, size_t n)
{
    (void)ms_buf_add_byte(w->out, '{');
    member(w, 4, n == 1 ? "expected" : "expected_any");
    if (n == 1) {
        put_value(w, values);
    } else {
        for (size_t i = 0; i < n; i++) {
            (void)ms_buf_add_byte(w->out, i == 0 ? '[' : ',');
            line(w, 5);
            put_value(w, &values[i]);
        }
        line(w, 4);
        (void)ms_buf_add_byte(w->out, ']');
    }
    line(w, 3);
    (void)ms_buf_add_byte(w->out, '}');
}

static void open_record(struct writer *w, const char *id, const char *type)
{
    (void)ms_buf_add_byte(w->out, w->n_records++ == 0 ? '[' : ',');
    line(w, 1);
    (void)ms_buf_add_byte(w->out, '{');
    member(w, 2, "measurement_id");
    (void)ms_json_add_string(w->out, ms_span_str(id));
    (void)ms_buf_add_byte(w->out, ',');
    member(w, 2, "attestation_type");
    (void)ms_json_add_string(w->out, ms_span_str(type));
    (void)ms_buf_add_byte(w->out, ',');
}

static void close_record(struct writer *w)
{
    line(w, 1);
    (void)ms_buf_add_byte(w->out, '}');
}

static void close_list(struct writer *w)
{
    if (w->n_records == 0)
        (void)ms_buf_add_byte(w->out, '[');
    else
        line(w, 0);
    (void)ms_buf_add_str(w->out, "]\n");
}

static void put_register(struct writer *w, const struct rec_record *record, size_t i,
                         const struct rec_value *values, size_t n)
{
    char number[16];
    uint32_t index = record->registers[i].index;

    (void)snprintf(number, sizeof(number), "%u", index);
    (void)ms_buf_add_str(w->out, i == 0 ? "" : ",");
    member(w, 3,
           w->profile == REC_PROFILE_ATLS_2 ? rec_register_name(record->type, index) : number);
    put_constraint(w, values, n);
}

/* choice[i] is the alternative to write for register i; NULL writes all of them. */
static void put_record(struct writer *w, const struct rec_record *record, const char *type,
                       const size_t *choice)
{
    open_record(w, record->id, type);
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

/* ---- seed, atls-1, atls-2 ---- */

/* Left out and said so: an approval that is missing lets fewer machines pass, never more. */
static void tell_omitted(size_t records, size_t predicates, enum rec_profile profile,
                         struct ms_diag *diag)
{
    if (records + predicates > 0)
        (void)ms_diag_set(diag, MS_OK,
                          "%zu records and %zu predicates cannot be written in profile %s and were "
                          "left out",
                          records, predicates, rec_profile_name(profile));
}

static void render_lists(struct writer *w, const struct rec_set *const *sets, size_t n_sets,
                         struct ms_diag *diag)
{
    size_t records = 0, predicates = 0;

    for (size_t s = 0; s < n_sets; s++) {
        predicates += sets[s]->n_predicates;
        for (size_t i = 0; i < sets[s]->n_records; i++) {
            const struct rec_record *record = &sets[s]->records[i];
            if (rec_expressible(record, w->profile))
                put_record(w, record, record->type_text, NULL);
            else
                records++;
        }
    }
    tell_omitted(records, predicates, w->profile, diag);
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

static enum ms_err check_cvm(const struct rec_set *const *sets, size_t n_sets, struct ms_diag *diag)
{
    size_t total = 0;

    for (size_t s = 0; s < n_sets; s++) {
        if (sets[s]->n_predicates > 0)
            return ms_diag_set(diag, MS_ERR_PROFILE, "profile cvm cannot express the predicate %s",
                               rec_predicate_kind_name(sets[s]->predicates[0].kind));
        for (size_t i = 0; i < sets[s]->n_records; i++) {
            const struct rec_record *record = &sets[s]->records[i];
            if (!rec_expressible(record, REC_PROFILE_CVM))
                return ms_diag_set(diag, MS_ERR_PROFILE,
                                   "profile cvm cannot express record %zu (id \"%.40s\", type "
                                   "%.40s%s)",
                                   i + 1, record->id, record->type_text,
                                   record->image.hashes != NULL ? ", portable policy" : "");
            total += expansion(record);
            if (total > REC_CVM_EXPANSION_MAX)
                return ms_diag_set(diag, MS_ERR_EXPANSION,
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

static void expand(struct writer *w, const struct rec_record *record)
{
    size_t choice[REC_REGISTERS_MAX] = {0};
    const char *type = record->type == REC_TYPE_AZURE_TDX ? rec_type_name(REC_TYPE_AZURE_TDX)
                                                          : rec_type_name(REC_TYPE_DCAP_TDX);
    do
        put_record(w, record, type, choice);
    while (next_choice(record, choice));
}

/* cvm-reverse-proxy takes an empty list for "no attestation needed", so "nothing is approved" is
 * written as values no machine has: MRTD and PCR 4 of all ones (consumers.md 2.2, C3). */
static void deny_all(struct writer *w)
{
    static const struct {
        enum rec_type type;
        uint32_t index;
    } walls[] = {{REC_TYPE_DCAP_TDX, 0}, {REC_TYPE_AZURE_TDX, 4}};

    for (size_t i = 0; i < MS_ARRAY_LEN(walls); i++) {
        struct rec_value ones = {.len = (uint8_t)rec_type_value_bytes(walls[i].type)};
        struct rec_register reg = {.index = walls[i].index, .n_values = 1, .values = &ones};
        struct rec_record record = {.id = "deny-all",
                                    .type = walls[i].type,
                                    .type_text = rec_type_name(walls[i].type),
                                    .n_registers = 1,
                                    .registers = &reg};
        memset(ones.b, 0xff, ones.len);
        put_record(w, &record, record.type_text, NULL);
    }
}

static enum ms_err render_cvm(struct writer *w, const struct rec_set *const *sets, size_t n_sets,
                              struct ms_diag *diag)
{
    enum ms_err err = check_cvm(sets, n_sets, diag);

    if (err != MS_OK)
        return err;
    for (size_t s = 0; s < n_sets; s++)
        for (size_t i = 0; i < sets[s]->n_records; i++)
            expand(w, &sets[s]->records[i]);
    if (w->n_records == 0)
        deny_all(w);
    return MS_OK;
}

enum ms_err rec_render(const struct rec_set *const *sets, size_t n_sets, enum rec_profile profile,
                       struct ms_buf *out, struct ms_diag *diag)
{
    struct writer w = {.out = out, .profile = profile};
    enum ms_err err = MS_OK;

    switch (profile) {
    case REC_PROFILE_NONE:
        return ms_diag_set(diag, MS_ERR_ARGUMENT, "no such profile");
    case REC_PROFILE_SEED:
    case REC_PROFILE_ATLS_1:
    case REC_PROFILE_ATLS_2:
        render_lists(&w, sets, n_sets, diag);
        break;
    case REC_PROFILE_CVM:
        err = render_cvm(&w, sets, n_sets, diag);
        break;
    }
    if (err != MS_OK)
        return err;
    close_list(&w);
    return w.err != MS_OK ? w.err : ms_buf_err(out);
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
