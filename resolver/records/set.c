/* resolver/records/set.c - sets, the names of types, registers and predicates. */
#include "resolver/records/internal.h"

#include <stdarg.h>
#include <stdio.h>

void rec_set_init(struct rec_set *set)
{
    *set = (struct rec_set){.arena = MS_ARENA_INIT(REC_ARENA_MAX_BYTES)};
}

void rec_set_done(struct rec_set *set)
{
    for (size_t i = 0; i < set->n_records; i++) {
        json_decref(set->records[i].image.hashes);
        json_decref(set->records[i].raw);
    }
    ms_arena_done(&set->arena);
    rec_set_init(set);
}

/* The array grows when its length is a power of two, so no capacity need be kept. */
enum ms_err rec_set_add_predicate(struct rec_set *set, const struct rec_predicate *predicate)
{
    size_t n = set->n_predicates;

    if ((n & (n - 1)) == 0) {
        struct rec_predicate *grown =
            ms_arena_alloc(&set->arena, n == 0 ? 1 : 2 * n, sizeof(*grown));
        if (grown == NULL)
            return MS_ERR_MEMORY;
        if (n > 0)
            memcpy(grown, set->predicates, n * sizeof(*grown));
        set->predicates = grown;
    }
    set->predicates[n] = *predicate;
    set->n_predicates = n + 1;
    return MS_OK;
}

static void add_warning(struct rec_set *set, const char *code, const char *text)
{
    struct ms_diag escaped = {0};

    if (set->warnings == NULL)
        set->warnings = ms_arena_alloc(&set->arena, REC_WARNINGS_MAX, sizeof(*set->warnings));
    if (set->warnings == NULL || set->n_warnings == REC_WARNINGS_MAX)
        return;
    if (set->n_warnings == REC_WARNINGS_MAX - 1) {
        code = "more";
        text = "there are more warnings than are kept";
    }
    (void)ms_diag_set(&escaped, MS_OK, "%s", text);
    const char *kept = ms_arena_strdup(&set->arena, ms_span_str(escaped.text));
    if (kept != NULL)
        set->warnings[set->n_warnings++] = (struct rec_warning){code, kept};
}

void rec_set_warn(struct rec_set *set, const char *code, const char *fmt, ...)
{
    char text[MS_DIAG_TEXT_MAX];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    add_warning(set, code, text);
}

/* "record 2 (id "x"): " before the sentence; a long id is cut, so that the sentence survives. */
static void tell(const struct rec_ctx *ctx, const char *fmt, va_list args, char *out, size_t size)
    MS_PRINTF(2, 0);

static void tell(const struct rec_ctx *ctx, const char *fmt, va_list args, char *out, size_t size)
{
    int n = 0;

    out[0] = '\0';
    if (ctx->at > 0 && ctx->id != NULL && ctx->id[0] != '\0')
        n = snprintf(out, size, "record %zu (id \"%.40s\"): ", ctx->at, ctx->id);
    else if (ctx->at > 0)
        n = snprintf(out, size, "record %zu: ", ctx->at);
    if (n >= 0 && (size_t)n < size)
        (void)vsnprintf(out + n, size - (size_t)n, fmt, args);
}

enum ms_err rec_refuse(struct rec_ctx *ctx, enum ms_err err, const char *rule, const char *fmt, ...)
{
    char text[MS_DIAG_TEXT_MAX];
    va_list args;

    va_start(args, fmt);
    tell(ctx, fmt, args, text, sizeof(text));
    va_end(args);
    if (ctx->rule == NULL) {
        ctx->rule = rule;
        (void)snprintf(ctx->refused_id, sizeof(ctx->refused_id), "%s",
                       ctx->id == NULL ? "" : ctx->id);
    }
    return ms_diag_set(ctx->diag, err, "%s", text);
}

void rec_warn(struct rec_ctx *ctx, const char *code, const char *fmt, ...)
{
    char text[MS_DIAG_TEXT_MAX];
    va_list args;

    va_start(args, fmt);
    tell(ctx, fmt, args, text, sizeof(text));
    va_end(args);
    add_warning(ctx->set, code, text);
}

/* ---- names ---- */

static const char *const type_names[] = {
    [REC_TYPE_UNKNOWN] = "unknown",   [REC_TYPE_AZURE_TDX] = "azure-tdx",
    [REC_TYPE_DCAP_TDX] = "dcap-tdx", [REC_TYPE_GCP_TDX] = "gcp-tdx",
    [REC_TYPE_QEMU_TDX] = "qemu-tdx",
};

enum rec_type rec_type_parse(struct ms_span text)
{
    for (size_t i = REC_TYPE_AZURE_TDX; i < MS_ARRAY_LEN(type_names); i++)
        if (ms_span_eq_str(text, type_names[i]))
            return (enum rec_type)i;
    return REC_TYPE_UNKNOWN;
}

const char *rec_type_name(enum rec_type type)
{
    return type_names[type];
}

static bool is_dcap(enum rec_type type)
{
    return type == REC_TYPE_DCAP_TDX || type == REC_TYPE_GCP_TDX || type == REC_TYPE_QEMU_TDX;
}

bool rec_type_comparable(enum rec_type a, enum rec_type b)
{
    return (is_dcap(a) && is_dcap(b)) || (a == REC_TYPE_AZURE_TDX && b == REC_TYPE_AZURE_TDX);
}

size_t rec_type_value_bytes(enum rec_type type)
{
    if (type == REC_TYPE_AZURE_TDX)
        return 32; /* SHA-256 bank of the vTPM */
    return is_dcap(type) ? 48 : 0;
}

static const char *const dcap_names[] = {"mrtd", "rtmr0", "rtmr1", "rtmr2", "rtmr3"};
static const char *const pcr_names[REC_REGISTERS_MAX] = {
    "pcr0",  "pcr1",  "pcr2",  "pcr3",  "pcr4",  "pcr5",  "pcr6",  "pcr7",
    "pcr8",  "pcr9",  "pcr10", "pcr11", "pcr12", "pcr13", "pcr14", "pcr15",
    "pcr16", "pcr17", "pcr18", "pcr19", "pcr20", "pcr21", "pcr22", "pcr23"};

const char *rec_register_name(enum rec_type type, uint32_t index)
{
    if (type == REC_TYPE_AZURE_TDX && index < MS_ARRAY_LEN(pcr_names))
        return pcr_names[index];
    if (is_dcap(type) && index < MS_ARRAY_LEN(dcap_names))
        return dcap_names[index];
    return "?";
}

bool rec_register_index(struct ms_span name, enum rec_type type, enum rec_naming naming,
                        uint32_t *ret_index)
{
    const char *const *names = type == REC_TYPE_AZURE_TDX ? pcr_names : dcap_names;
    size_t n = type == REC_TYPE_AZURE_TDX ? MS_ARRAY_LEN(pcr_names)
               : is_dcap(type)            ? MS_ARRAY_LEN(dcap_names)
                                          : 0;
    uint64_t number;

    if (ms_span_u64(name, &number)) {
        if (number >= n)
            return false;
        *ret_index = (uint32_t)number;
        return true;
    }
    for (size_t i = 0; naming == REC_NAMING_ANY && i < n; i++) {
        if (!ms_span_eq_str_nocase(name, names[i]))
            continue;
        *ret_index = (uint32_t)i;
        return true;
    }
    return false;
}

static const char *const predicate_names[] = {
    [REC_PREDICATE_NONE] = "none",
    [REC_PREDICATE_DSTACK_COMPOSE_HASH] = "dstack-compose-hash",
    [REC_PREDICATE_DSTACK_OS_IMAGE] = "dstack-os-image",
    [REC_PREDICATE_TDX_WORKLOAD_ID] = "tdx-workload-id",
};

enum rec_predicate_kind rec_predicate_kind_parse(struct ms_span text)
{
    for (size_t i = REC_PREDICATE_NONE + 1; i < MS_ARRAY_LEN(predicate_names); i++)
        if (ms_span_eq_str(text, predicate_names[i]))
            return (enum rec_predicate_kind)i;
    return REC_PREDICATE_NONE;
}

const char *rec_predicate_kind_name(enum rec_predicate_kind kind)
{
    return predicate_names[kind];
}

int rec_predicate_cmp(const void *a, const void *b)
{
    const struct rec_predicate *x = a, *y = b;

    if (x->kind != y->kind)
        return x->kind < y->kind ? -1 : 1;
    if (x->version != y->version)
        return x->version < y->version ? -1 : 1;
    return memcmp(x->value, y->value, sizeof(x->value));
}

/* ---- text for people ---- */

uint32_t rec_next_char(struct ms_span text, size_t *at)
{
    uint8_t lead = text.ptr[(*at)++];
    uint32_t c = lead;
    size_t more = 0;

    if (lead >= 0xf0) {
        c = lead & 0x07u;
        more = 3;
    } else if (lead >= 0xe0) {
        c = lead & 0x0fu;
        more = 2;
    } else if (lead >= 0xc0) {
        c = lead & 0x1fu;
        more = 1;
    }
    for (; more > 0 && *at < text.len; more--)
        c = c << 6 | (text.ptr[(*at)++] & 0x3fu);
    return c;
}

const char *rec_text_fault(struct ms_span text)
{
    if (text.len > REC_ID_MAX_BYTES)
        return "is longer than 256 bytes";
    for (size_t i = 0; i < text.len;) {
        uint32_t c = rec_next_char(text, &i);
        if (c < 0x20 || (c >= 0x7f && c <= 0x9f))
            return "holds a control character";
        if (c == 0x2028 || c == 0x2029)
            return "holds a line separator";
    }
    return NULL;
}

/* Unicode 15, UAX #9: the explicit directional formatting characters, the marks, and the zero-width
 * kin. */
bool rec_char_misleads(uint32_t c)
{
    return (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) ||
           (c >= 0x200b && c <= 0x200f) || c == 0x061c || c == 0xfeff;
}

bool rec_text_misleads(struct ms_span text)
{
    for (size_t i = 0; i < text.len;)
        if (rec_char_misleads(rec_next_char(text, &i)))
            return true;
    return false;
}
