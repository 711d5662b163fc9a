/* resolver/records/internal.h - what the files of this room share and nobody else includes. */
#ifndef MS_RECORDS_INTERNAL_H
#define MS_RECORDS_INTERNAL_H

#include "resolver/records/records.h"

#define REC_DOC_DEPTH_MAX 16u
/* A register costs two values and 85 bytes, an alternative one value and 67 bytes: 262,144 bytes of
 * real records stay far below this, and the tree of a document made of `{}` stays below 3 MiB. */
#define REC_DOC_VALUES_MAX 16384u

/* One reading of one document. */
struct rec_ctx {
    enum rec_mode mode;
    struct rec_set *set;
    struct ms_diag *diag;
    const char *rule; /* lint rule behind the first refusal: "L006"; "L000" when none says it */
    size_t at;        /* number of the record being read, from 1; 0 outside of records */
    const char *id;   /* its measurement_id, or NULL */
    char refused_id[REC_ID_MAX_BYTES + 1]; /* id of the record that was refused; outlives the set */
};

/* Note the rule, fill diag with the sentence behind the record's number and id, return err. */
enum ms_err rec_refuse(struct rec_ctx *ctx, enum ms_err err, const char *rule, const char *fmt, ...)
    MS_PRINTF(4, 5);
/* A warning of the set, with the same prefix. */
void rec_warn(struct rec_ctx *ctx, const char *code, const char *fmt, ...) MS_PRINTF(3, 4);

/* rec_parse with a context that outlives it: the linter asks it for the rule. */
MS_MUST_USE enum ms_err rec_parse_ctx(struct rec_ctx *ctx, struct ms_span text);

/* Turn any accepted input form into a new list of records in the ordinary form, which the one
 * parser of parse.c then reads; nothing is judged twice. */
MS_MUST_USE enum ms_err rec_dialect_list(struct rec_ctx *ctx, json_t *root, json_t **ret_list);

/* {"predicates": [...]}, of the kinds that the mode has, into a new list of predicates in the
 * ordinary form. */
MS_MUST_USE enum ms_err rec_predicates_list(struct rec_ctx *ctx, json_t *root, json_t **ret_list);

/* jansson's iterators take a non-const object and do not change it. */
static inline json_t *rec_json_iterable(const json_t *json)
{
    return (json_t *)(uintptr_t)json;
}

static inline struct ms_span rec_json_str(const json_t *string)
{
    return ms_span_of(json_string_value(string), json_string_length(string));
}

/* Why an id or a type may not be kept, or NULL: too long, control characters, line separators. */
const char *rec_text_fault(struct ms_span text);
/* Whether text holds characters that reorder or hide what stands beside them (bidi controls and
 * kin). */
bool rec_text_misleads(struct ms_span text);

enum rec_naming {
    REC_NAMING_NUMBERS = 0, /* "0", "11" */
    REC_NAMING_ANY,         /* also mrtd, rtmr0, pcr4 in any case */
};
/* false when the type has no such register. */
bool rec_register_index(struct ms_span name, enum rec_type type, enum rec_naming naming,
                        uint32_t *ret_index);

/* `measurements` of a record of known type into rec->registers: sorted, unique, in the set's arena.
 */
MS_MUST_USE enum ms_err rec_read_registers(struct rec_ctx *ctx, json_t *measurements,
                                           struct rec_record *rec);
/* Only what can be said of registers nobody here understands: none is empty or a mere warning. */
MS_MUST_USE enum ms_err rec_check_unknown(struct rec_ctx *ctx, json_t *measurements);
/* `dcap_image_hashes` into a new normalised object. */
MS_MUST_USE enum ms_err rec_read_image(struct rec_ctx *ctx, json_t *hashes, json_t **ret_hashes);

int rec_predicate_cmp(const void *a, const void *b);

#endif
