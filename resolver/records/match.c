/* resolver/records/match.c - does what a peer showed satisfy a record, and if not, why. */
#include "resolver/records/internal.h"

#include "base/hex.h"

static bool approves(const struct rec_register *reg, struct ms_span value)
{
    for (size_t i = 0; i < reg->n_values; i++)
        if (ms_span_eq(ms_span_of(reg->values[i].b, reg->values[i].len), value))
            return true;
    return false;
}

enum presence { ABSENT = 0, DIFFERENT, APPROVED };

/* Every value presented for the register must be approved, and there must be one. */
static enum presence judge(const struct rec_register *reg, const struct rec_presented *regs,
                           size_t n)
{
    enum presence presence = ABSENT;

    for (size_t i = 0; i < n; i++) {
        if (regs[i].index != reg->index)
            continue;
        if (!approves(reg, regs[i].value))
            return DIFFERENT;
        presence = APPROVED;
    }
    return presence;
}

static size_t approved_registers(const struct rec_record *record, const struct rec_presented *regs,
                                 size_t n)
{
    size_t approved = 0;

    for (size_t i = 0; i < record->n_registers; i++)
        approved += judge(&record->registers[i], regs, n) == APPROVED;
    return approved;
}

/* A record without registers (a portable policy, an unknown type) approves nothing here. */
static bool satisfies(const struct rec_record *record, enum rec_type type,
                      const struct rec_presented *regs, size_t n)
{
    return record->n_registers > 0 && rec_type_comparable(record->type, type) &&
           approved_registers(record, regs, n) == record->n_registers;
}

const struct rec_record *rec_match(const struct rec_set *set, enum rec_type type,
                                   const struct rec_presented *regs, size_t n)
{
    for (size_t i = 0; i < set->n_records; i++)
        if (satisfies(&set->records[i], type, regs, n))
            return &set->records[i];
    return NULL;
}

static const struct rec_record *nearest(const struct rec_set *const *sets, size_t n_sets,
                                        enum rec_type type, const struct rec_presented *regs,
                                        size_t n)
{
    const struct rec_record *best = NULL;
    size_t best_approved = 0;

    for (size_t s = 0; s < n_sets; s++) {
        for (size_t i = 0; i < sets[s]->n_records; i++) {
            const struct rec_record *record = &sets[s]->records[i];
            if (record->n_registers == 0 || !rec_type_comparable(record->type, type))
                continue;
            size_t approved = approved_registers(record, regs, n);
            if (best != NULL && approved <= best_approved)
                continue;
            best = record;
            best_approved = approved;
        }
    }
    return best;
}

void rec_explain_mismatch(const struct rec_set *const *sets, size_t n_sets, enum rec_type type,
                          const struct rec_presented *regs, size_t n, struct ms_diag *diag)
{
    const struct rec_record *record = nearest(sets, n_sets, type, regs, n);

    if (record == NULL) {
        (void)ms_diag_set(diag, MS_OK, "nothing is approved for attestation type %s",
                          rec_type_name(type));
        return;
    }
    for (size_t i = 0; i < record->n_registers; i++) {
        enum presence presence = judge(&record->registers[i], regs, n);
        uint32_t index = record->registers[i].index;
        if (presence == APPROVED)
            continue;
        (void)ms_diag_set(diag, MS_OK, "nearest record \"%.40s\": register %u (%s) %s", record->id,
                          index, rec_register_name(record->type, index),
                          presence == ABSENT ? "was not presented" : "has a value not approved");
        return;
    }
}

/* ---- reading what was presented ---- */

struct presenter {
    enum rec_type type;
    struct ms_arena *arena;
    struct rec_presented *out;
    size_t n;
    struct ms_diag *diag;
};

static enum ms_err add_value(struct presenter *p, uint32_t index, const char *name,
                             const json_t *json)
{
    size_t len = rec_type_value_bytes(p->type);

    if (p->n == REC_REGISTERS_MAX)
        return ms_diag_set(p->diag, MS_ERR_LIMIT, "more than %u register values",
                           REC_REGISTERS_MAX);
    uint8_t *value = ms_arena_alloc(p->arena, len, 1);
    if (value == NULL)
        return MS_ERR_MEMORY;
    if (!json_is_string(json) || ms_hex_decode(rec_json_str(json), value, len) != MS_OK)
        return ms_diag_set(p->diag, MS_ERR_REGISTER,
                           "register \"%.20s\": a value of %s is a string of %zu hex digits", name,
                           rec_type_name(p->type), 2 * len);
    p->out[p->n++] = (struct rec_presented){index, ms_span_of(value, len)};
    return MS_OK;
}

static enum ms_err add_values(struct presenter *p, uint32_t index, const char *name,
                              const json_t *json, bool lists)
{
    if (!lists || !json_is_array(json))
        return add_value(p, index, name, json);
    if (json_array_size(json) == 0)
        return ms_diag_set(p->diag, MS_ERR_REGISTER, "register \"%.20s\": an empty list", name);
    for (size_t i = 0; i < json_array_size(json); i++) {
        enum ms_err err = add_value(p, index, name, json_array_get(json, i));
        if (err != MS_OK)
            return err;
    }
    return MS_OK;
}

static enum ms_err add_registers(struct presenter *p, const json_t *object, bool lists)
{
    uint32_t seen = 0, index = 0;
    const char *name;
    json_t *value;

    json_object_foreach(rec_json_iterable(object), name, value)
    {
        if (!rec_register_index(ms_span_str(name), p->type, REC_NAMING_ANY, &index))
            return ms_diag_set(p->diag, MS_ERR_REGISTER, "%s has no register \"%.40s\"",
                               rec_type_name(p->type), name);
        if ((seen >> index & 1u) != 0)
            return ms_diag_set(p->diag, MS_ERR_REGISTER, "register \"%.20s\" is named twice", name);
        seen |= 1u << index;
        enum ms_err err = add_values(p, index, name, value, lists);
        if (err != MS_OK)
            return err;
    }
    if (p->n == 0)
        return ms_diag_set(p->diag, MS_ERR_REGISTER, "no registers were presented");
    return MS_OK;
}

/* {"type":"dcap"|"azure","measurements":{..}}: what the peer's verifier matched. `image` tells no
 * registers and `no_attestation` no peer, so both are refused. */
static enum ms_err add_matched_policy(struct presenter *p, const json_t *object)
{
    struct ms_span kind = ms_json_member_str(object, "type");
    const json_t *registers = json_object_get(object, "measurements");
    bool fits = p->type == REC_TYPE_AZURE_TDX ? ms_span_eq_str(kind, "azure")
                                              : ms_span_eq_str(kind, "dcap");

    if (!fits)
        return ms_diag_set(p->diag, MS_ERR_TYPE,
                           "a matched policy of another type than %s was presented",
                           rec_type_name(p->type));
    if (!json_is_object(registers) || json_object_size(object) != 2)
        return ms_diag_set(p->diag, MS_ERR_JSON, "a matched policy has type and measurements");
    return add_registers(p, registers, true);
}

enum ms_err rec_presented_parse(const json_t *object, enum rec_type type, struct ms_arena *arena,
                                struct rec_presented *out, size_t *ret_n, struct ms_diag *diag)
{
    struct presenter p = {.type = type, .arena = arena, .out = out, .diag = diag};

    if (rec_type_value_bytes(type) == 0)
        return ms_diag_set(diag, MS_ERR_TYPE, "the attestation type is not known");
    if (!json_is_object(object))
        return ms_diag_set(diag, MS_ERR_JSON, "registers are presented as an object");
    enum ms_err err = json_object_get(object, "type") != NULL ? add_matched_policy(&p, object)
                                                              : add_registers(&p, object, false);
    if (err == MS_OK)
        *ret_n = p.n;
    return err;
}
