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
/* Values in order, each once; returns how many are left. */
size_t rec_sort_values(struct rec_value *values, size_t n);
int rec_value_cmp(const void *a, const void *b);

/* The next code point of valid UTF-8, and whether it reorders or hides what stands beside it. */
uint32_t rec_next_char(struct ms_span text, size_t *at);
bool rec_char_misleads(uint32_t c);

/* ---- renderings ---- */

/* One rendering; `records` and `predicates` count what was left out, for rec_tell_omitted. */
struct rec_rendering {
    const struct rec_set *const *sets;
    size_t n_sets;
    const struct rec_options *options;
    struct ms_buf *out;
    struct ms_diag *diag;
    size_t records, predicates; /* left out */
    size_t written;             /* records of a list so far */
    enum ms_err err;            /* beside that of out */
};

/* One record of a list under a name of its own; choice[i] is the alternative to write for register
 * i, NULL writes all of them. */
void rec_put_record(struct rec_rendering *w, const struct rec_record *record, const char *id,
                    const char *type, const size_t *choice);
void rec_put_value(struct ms_buf *out, const struct rec_value *value);
/* Left out and said so: an approval that is missing lets fewer machines pass, never more. */
void rec_tell_omitted(const struct rec_rendering *w);

MS_MUST_USE enum ms_err rec_render_builderhub(struct rec_rendering *w);
MS_MUST_USE enum ms_err rec_render_dstack(struct rec_rendering *w);
MS_MUST_USE enum ms_err rec_render_rvps(struct rec_rendering *w);
MS_MUST_USE enum ms_err rec_render_table(struct rec_rendering *w);

/* What one release approves, by name of the value: every combination of its values. */
struct rec_box {
    size_t n_registers;
    const struct rec_register *registers; /* sorted by index; their values sorted, each once */
};

enum rec_mixing {
    REC_MIXING_UNSURE = 0,
    REC_MIXING_NONE,      /* the lists approve what the boxes approve */
    REC_MIXING_REGISTERS, /* the boxes have different registers */
    REC_MIXING_VALUES,    /* the lists approve a combination that no box approves */
};

/* All values of several boxes, register by register, and whether that approves more: who looks at
 * each register by itself takes the value of one box beside that of another.
 *   boxes     at least one
 *   arena     holds the values
 *   ret_axes  room for REC_REGISTERS_MAX
 * MS_ERR_EXPANSION, MS_ERR_MEMORY */
MS_MUST_USE enum ms_err rec_flatten(const struct rec_box *boxes, size_t n, struct ms_arena *arena,
                                    struct rec_register *ret_axes, size_t *ret_n_axes,
                                    enum rec_mixing *ret_mixing);

#endif
