/* resolver/records/canonical.c - one text for equal sets, and its hash. */
#include "resolver/records/internal.h"

#include <stdlib.h>

#define CANONICAL_MAX_BYTES REC_ARENA_MAX_BYTES

/* Decimal register names in the order of their bytes, as sorted keys want them. */
static const uint8_t by_name[REC_REGISTERS_MAX] = {0, 1,  10, 11, 12, 13, 14, 15, 16, 17, 18, 19,
                                                   2, 20, 21, 22, 23, 3,  4,  5,  6,  7,  8,  9};

static void add_values(const struct rec_register *reg, struct ms_buf *out)
{
    (void)ms_buf_addf(out, "\"%u\":{\"expected_any\":[", reg->index);
    for (size_t i = 0; i < reg->n_values; i++) {
        (void)ms_buf_add_str(out, i == 0 ? "\"" : ",\"");
        (void)ms_buf_add_hex(out, ms_span_of(reg->values[i].b, reg->values[i].len));
        (void)ms_buf_add_byte(out, '"');
    }
    (void)ms_buf_add_str(out, "]}");
}

static void add_registers(const struct rec_record *record, struct ms_buf *out)
{
    const char *comma = "";

    (void)ms_buf_add_str(out, ",\"measurements\":{");
    for (size_t i = 0; i < MS_ARRAY_LEN(by_name); i++) {
        for (size_t k = 0; k < record->n_registers; k++) {
            if (record->registers[k].index != by_name[i])
                continue;
            (void)ms_buf_add_str(out, comma);
            add_values(&record->registers[k], out);
            comma = ",";
        }
    }
    (void)ms_buf_add_byte(out, '}');
}

/* qemu-tdx is another spelling of dcap-tdx; every other type is itself. */
static const char *canonical_type(const struct rec_record *record)
{
    return record->type == REC_TYPE_QEMU_TDX ? rec_type_name(REC_TYPE_DCAP_TDX) : record->type_text;
}

enum ms_err rec_record_canonical(const struct rec_record *record, struct ms_buf *out)
{
    enum ms_err err = MS_OK;

    (void)ms_buf_add_str(out, "{\"attestation_type\":");
    (void)ms_json_add_string(out, ms_span_str(canonical_type(record)));
    if (record->image.hashes != NULL) {
        (void)ms_buf_add_str(out, ",\"dcap_image_hashes\":");
        err = ms_json_dump(record->image.hashes, out);
    }
    (void)ms_buf_add_str(out, ",\"measurement_id\":");
    (void)ms_json_add_string(out, ms_span_str(record->id));
    if (record->raw != NULL) {
        (void)ms_buf_add_str(out, ",\"measurements\":");
        err = ms_json_dump(record->raw, out);
    } else if (record->n_registers > 0) {
        add_registers(record, out);
    }
    (void)ms_buf_add_byte(out, '}');
    return err != MS_OK ? err : ms_buf_err(out);
}

enum ms_err rec_predicate_canonical(const struct rec_predicate *predicate, struct ms_buf *out)
{
    (void)ms_buf_addf(out, "{\"predicate\":{\"kind\":\"%s\",\"value\":\"",
                      rec_predicate_kind_name(predicate->kind));
    (void)ms_buf_add_hex(out, ms_span_of(predicate->value, sizeof(predicate->value)));
    (void)ms_buf_add_byte(out, '"');
    if (predicate->version != 0)
        (void)ms_buf_addf(out, ",\"version\":%u", predicate->version);
    return ms_buf_add_str(out, "}}");
}

static int span_cmp(const void *a, const void *b)
{
    const struct ms_span *x = a, *y = b;

    return ms_span_cmp(*x, *y);
}

/* The texts of all entries one after another; ends[i] is where the i-th ends. */
static enum ms_err write_entries(const struct rec_set *set, struct ms_buf *texts, size_t *ends)
{
    enum ms_err err = MS_OK;
    size_t n = 0;

    for (size_t i = 0; err == MS_OK && i < set->n_records; i++) {
        err = rec_record_canonical(&set->records[i], texts);
        ends[n++] = texts->len;
    }
    for (size_t i = 0; err == MS_OK && i < set->n_predicates; i++) {
        err = rec_predicate_canonical(&set->predicates[i], texts);
        ends[n++] = texts->len;
    }
    return err;
}

static enum ms_err join(struct ms_span *entries, size_t n, struct ms_buf *out)
{
    qsort(entries, n, sizeof(entries[0]), span_cmp);
    (void)ms_buf_add_byte(out, '[');
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && ms_span_eq(entries[i], entries[i - 1]))
            continue; /* said twice is said once */
        if (i > 0)
            (void)ms_buf_add_byte(out, ',');
        (void)ms_buf_add(out, entries[i]);
    }
    return ms_buf_add_byte(out, ']');
}

enum ms_err rec_set_canonical(const struct rec_set *set, struct ms_buf *out)
{
    size_t n = set->n_records + set->n_predicates;
    struct ms_buf texts = MS_BUF_INIT(CANONICAL_MAX_BYTES);
    size_t *ends = calloc(n + 1, sizeof(*ends));
    struct ms_span *entries = calloc(n + 1, sizeof(*entries));

    enum ms_err err =
        ends == NULL || entries == NULL ? MS_ERR_MEMORY : write_entries(set, &texts, ends);
    if (err != MS_OK)
        goto out;
    for (size_t i = 0, start = 0; i < n; start = ends[i++])
        entries[i] = ms_span_sub(ms_buf_span(&texts), start, ends[i] - start);
    err = join(entries, n, out);
out:
    free(entries);
    free(ends);
    ms_buf_done(&texts);
    return err;
}

enum ms_err rec_set_hash(const struct rec_set *set, struct ms_sha256 *ret_hash)
{
    struct ms_buf text = MS_BUF_INIT(CANONICAL_MAX_BYTES);

    enum ms_err err = rec_set_canonical(set, &text);
    if (err == MS_OK)
        *ret_hash = ms_sha256(ms_buf_span(&text));
    ms_buf_done(&text);
    return err;
}
