/* resolver/spec/options.c - what stands behind the ';' (ethereum.md 4.3). An option only tightens,
 * so one that is unknown, malformed or without effect on its kind of specifier is refused, never
 * ignored. */
#include "resolver/spec/internal.h"

#include "base/base64.h"
#include "base/hex.h"

#include <stdlib.h>

#define MAX_AGE_MAX_S 4294967295u
#define NUMBER_MAX ((uint64_t)INT64_MAX)
#define APP_MAX 128u
#define ADAPTER_MAX 32u
#define HASHES_MAX 64u
#define CHAIN_MAX (UINT64_C(1) << 53) /* as in signatures: what JSON numbers hold exactly */

#define KIND(kind) (1u << (kind))
#define ON_CHAIN (KIND(SPEC_CONTRACT) | KIND(SPEC_ENS))
#define FETCHED (ON_CHAIN | KIND(SPEC_SHA256) | KIND(SPEC_SIGNERS) | KIND(SPEC_GITHUB))
#define SIGNABLE (FETCHED | KIND(SPEC_LOCATION))
#define ALL (SIGNABLE | KIND(SPEC_INLINE))

static enum ms_err bad(struct spec_builder *b, const char *text)
{
    return ms_diag_set(b->diag, MS_ERR_OPT, "%s", text);
}

static bool name_ok(struct ms_span name)
{
    if (name.len == 0)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.ptr[i];
        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-')
            return false;
    }
    return true;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct spec_option *)a)->name, ((const struct spec_option *)b)->name);
}

static enum ms_err read_one(struct spec_builder *b, struct ms_span text, struct spec_option *ret)
{
    struct ms_span name = text, value = {0};
    struct spec_option option = {.value = ""};
    bool has_value = ms_span_cut(text, '=', &name, &value);

    if (text.len == 0)
        return bad(b, "an empty option: ';;', or a ';' at the end");
    if (!name_ok(name))
        return bad(b, "the name of an option has a-z 0-9 - only");
    enum ms_err err = spec_keep(b, name, &option.name);
    if (err != MS_OK)
        return err;
    if (has_value && value.len == 0)
        return ms_diag_set(b->diag, MS_ERR_OPT, "the option %s= is empty", option.name);
    if (has_value)
        err = spec_keep(b, value, &option.value);
    if (err == MS_OK)
        *ret = option;
    return err;
}

enum ms_err spec_options_read(struct spec_builder *b, struct ms_span text)
{
    struct spec *spec = b->spec;
    size_t n = 1;

    for (size_t i = 0; i < text.len; i++)
        n += text.ptr[i] == ';';
    spec->options = ms_arena_alloc(&spec->arena, n, sizeof(spec->options[0]));
    if (spec->options == NULL)
        return spec_no_room(&spec->arena, n * sizeof(spec->options[0]), b->diag);
    for (size_t i = 0; i < n; i++) {
        struct ms_span one = text;
        if (!ms_span_cut(text, ';', &one, &text))
            one = text;
        enum ms_err err = read_one(b, one, &spec->options[i]);
        if (err != MS_OK)
            return err;
    }
    qsort(spec->options, n, sizeof(spec->options[0]), by_name);
    for (size_t i = 1; i < n; i++)
        if (by_name(&spec->options[i - 1], &spec->options[i]) == 0)
            return ms_diag_set(b->diag, MS_ERR_OPT, "the option %.64s is repeated",
                               spec->options[i].name);
    spec->n_options = n;
    return MS_OK;
}

/* The readers: each judges one value, keeps what it means and appends its normal text to `out`. */

static enum ms_err read_text(struct spec_builder *b, const char *value, size_t max,
                             struct ms_buf *out)
{
    if (strlen(value) > max)
        return bad(b, "the value of app= or id= is too long");
    return ms_buf_add_str(out, value);
}

static enum ms_err read_app(struct spec_builder *b, const char *value, struct ms_buf *out)
{
    return read_text(b, value, APP_MAX, out);
}

static enum ms_err read_id(struct spec_builder *b, const char *value, struct ms_buf *out)
{
    return read_text(b, value, REC_ID_MAX_BYTES, out);
}

static enum ms_err read_at(struct spec_builder *b, const char *value, struct ms_buf *out)
{
    struct spec *spec = b->spec;
    struct ms_buf url = MS_BUF_INIT(SPEC_TEXT_MAX);

    enum ms_err err = spec_b64u_decode(b, "at=", ms_span_str(value), &url);
    if (err == MS_OK)
        err = spec_location_parse(ms_buf_span(&url), &spec->arena, &spec->at, b->diag);
    ms_buf_done(&url);
    if (err != MS_OK)
        return err == MS_ERR_MEMORY ? err : MS_ERR_OPT;
    return ms_base64url_encode(ms_span_str(spec->at.url), out);
}

static enum ms_err read_signers(struct spec_builder *b, const char *value, struct ms_buf *out)
{
    struct spec_signers signers;

    enum ms_err err = spec_signers_read(b, ms_span_str(value), &signers);
    if (err != MS_OK)
        return err == MS_ERR_EIP55 || err == MS_ERR_MEMORY ? err : MS_ERR_OPT;
    return spec_signers_text(&signers, false, out);
}

static enum ms_err read_kms(struct spec_builder *b, const char *value, struct ms_buf *out)
{
    struct eth_addr addr;
    char text[ETH_ADDR_TEXT + 1];

    enum ms_err err = spec_address_read(b, ms_span_str(value), "address in kms=", &addr);
    if (err != MS_OK)
        return err == MS_ERR_EIP55 || err == MS_ERR_MEMORY ? err : MS_ERR_OPT;
    b->spec->has_kms = true;
    b->spec->kms = addr;
    eth_addr_text(&addr, text);
    return ms_buf_add_str(out, text);
}

static enum ms_err read_code(struct spec_builder *b, const char *value, struct ms_buf *out)
{
    struct spec *spec = b->spec;
    struct ms_span text = ms_span_str(value);

    if (!ms_span_starts(text, "0x") ||
        ms_hex_decode(ms_span_sub(text, 2, text.len), spec->code, sizeof(spec->code)) != MS_OK)
        return bad(b, "code= takes 0x and 64 hex digits");
    spec->has_code = true;
    (void)ms_buf_add_str(out, "0x");
    return ms_buf_add_hex(out, ms_span_of(spec->code, sizeof(spec->code)));
}

/* The name alone is judged here; whether there is such an adapter, the source knows. */
static enum ms_err read_kind(struct spec_builder *b, const char *value, struct ms_buf *out)
{
    if (!name_ok(ms_span_str(value)) || strlen(value) > ADAPTER_MAX)
        return bad(b, "kind= takes the name of an adapter: 1 to 32 of a-z 0-9 -");
    b->spec->adapter = value;
    return ms_buf_add_str(out, value);
}

static enum ms_err read_level(struct spec_builder *b, const char *value, struct ms_buf *out)
{
    b->spec->level = spec_level_parse(ms_span_str(value));
    if (b->spec->level < SPEC_LEVEL_L1)
        return bad(b, "level= takes l1, l2, l3 or l4");
    return ms_buf_err(out);
}

static enum ms_err read_tag(struct spec_builder *b, const char *value, struct ms_buf *out)
{
    if (strcmp(value, "finalized") != 0 && strcmp(value, "safe") != 0)
        return bad(b, "tag= takes finalized or safe");
    b->spec->tag = value[0] == 'f' ? SPEC_TAG_FINALIZED : SPEC_TAG_SAFE;
    return ms_buf_err(out);
}

static enum ms_err read_max_age(struct spec_builder *b, const char *value, struct ms_buf *out)
{
    uint64_t *age = &b->spec->max_age_s;

    if (!ms_span_u64(ms_span_str(value), age) || *age == 0 || *age > MAX_AGE_MAX_S)
        return bad(b, "max-age= takes seconds, from 1 to 4294967295");
    return ms_buf_err(out);
}

static enum ms_err read_seq(struct spec_builder *b, const char *value, struct ms_buf *out)
{
    if (!ms_span_u64(ms_span_str(value), &b->spec->seq) || b->spec->seq > NUMBER_MAX)
        return bad(b, "seq= takes a number below 2^63");
    return ms_buf_err(out);
}

static enum ms_err read_from(struct spec_builder *b, const char *value, struct ms_buf *out)
{
    uint64_t block = 0;

    if (!ms_span_u64(ms_span_str(value), &block) || block > NUMBER_MAX)
        return bad(b, "from= takes a block number below 2^63");
    b->spec->from = block;
    return ms_buf_err(out);
}

/* Contracts among signers are on chain 1 unless it says otherwise; saying 1 says nothing. */
static enum ms_err read_chain(struct spec_builder *b, const char *value, struct ms_buf *out)
{
    uint64_t chain = 0;

    if (!ms_span_u64(ms_span_str(value), &chain) || chain == 0 || chain > CHAIN_MAX)
        return bad(b, "chain= takes the number of a chain, from 1 to 2^53");
    b->spec->chain = chain;
    return chain == 1 ? MS_OK : ms_buf_addf(out, "%llu", (unsigned long long)chain);
}

static int by_hash(const void *a, const void *b)
{
    return memcmp(a, b, MS_SHA256_BYTES);
}

static enum ms_err read_hashes(struct spec_builder *b, const char *value, struct ms_buf *out)
{
    struct ms_sha256 hashes[HASHES_MAX];
    struct ms_span rest = ms_span_str(value), one;
    size_t n = 0;

    for (bool more = true; more; n++) {
        more = ms_span_cut(rest, ',', &one, &rest);
        if (n == HASHES_MAX ||
            ms_hex_decode(more ? one : rest, hashes[n].b, MS_SHA256_BYTES) != MS_OK)
            return bad(b, "sha256= takes up to 64 hashes of 64 hex digits, with commas between");
    }
    qsort(hashes, n, sizeof(hashes[0]), by_hash);
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && ms_sha256_eq(&hashes[i - 1], &hashes[i]))
            return bad(b, "sha256= names a hash twice");
        if (i > 0)
            (void)ms_buf_add_byte(out, ',');
        (void)ms_buf_add_hex(out, ms_span_of(hashes[i].b, MS_SHA256_BYTES));
    }
    return ms_buf_err(out);
}

static enum ms_err read_types(struct spec_builder *b, const char *value, struct ms_buf *out)
{
    /* sorted by name */
    static const enum rec_type types[] = {REC_TYPE_AZURE_TDX, REC_TYPE_DCAP_TDX, REC_TYPE_GCP_TDX,
                                          REC_TYPE_QEMU_TDX};
    struct ms_span rest = ms_span_str(value), one;
    unsigned seen = 0;

    for (bool more = true; more;) {
        more = ms_span_cut(rest, ',', &one, &rest);
        enum rec_type type = rec_type_parse(more ? one : rest);
        if (type == REC_TYPE_UNKNOWN || (seen & 1u << type) != 0)
            return bad(b, "type= takes known attestation types, each once, with commas between");
        seen |= 1u << type;
    }
    const char *comma = "";
    for (size_t i = 0; i < MS_ARRAY_LEN(types); i++) {
        if ((seen & 1u << types[i]) == 0)
            continue;
        (void)ms_buf_addf(out, "%s%s", comma, rec_type_name(types[i]));
        comma = ",";
    }
    return ms_buf_err(out);
}

static const struct row {
    const char *name;
    unsigned kinds; /* of specifiers it has an effect on */
    bool identity;  /* changes what is trusted, so it is part of the key (4.7) */
    enum ms_err (*read)(struct spec_builder *b, const char *value, struct ms_buf *out);
} rows[] = {
    {"app", SIGNABLE, true, read_app},
    {"at", FETCHED, true, read_at},
    {"auditors", SIGNABLE, true, read_signers},
    {"chain", KIND(SPEC_SIGNERS), true, read_chain},
    {"code", ON_CHAIN, true, read_code},
    {"from", ON_CHAIN, false, read_from},
    {"id", ALL, true, read_id},
    {"keys", SIGNABLE, true, read_signers},
    {"kind", ON_CHAIN, true, read_kind},
    {"kms", ON_CHAIN, true, read_kms},
    {"level", ON_CHAIN, false, read_level},
    {"max-age", ALL, false, read_max_age},
    {"seq", SIGNABLE, false, read_seq},
    {"sha256", ALL, true, read_hashes},
    {"tag", ON_CHAIN, false, read_tag},
    {"type", ALL, true, read_types},
};

static const struct row *row_of(const char *name)
{
    for (size_t i = 0; i < MS_ARRAY_LEN(rows); i++)
        if (strcmp(rows[i].name, name) == 0)
            return &rows[i];
    return NULL;
}

static enum ms_err apply_one(struct spec_builder *b, const struct spec_option *option,
                             struct ms_buf *canonical)
{
    const struct row *row = row_of(option->name);
    struct ms_buf text = MS_BUF_INIT(SPEC_TEXT_MAX);

    if (b->spec->kind == SPEC_ALIAS)
        return bad(b, "an alias takes no options; they belong into its definition");
    if (row == NULL)
        return strncmp(option->name, "x-", 2) == 0
                   ? MS_OK
                   : ms_diag_set(b->diag, MS_ERR_OPT, "unknown option %.64s", option->name);
    if ((row->kinds & KIND(b->spec->kind)) == 0)
        return ms_diag_set(b->diag, MS_ERR_OPT,
                           "the option %s has no effect on a specifier of kind %s", row->name,
                           spec_kind_name(b->spec->kind));
    if (option->value[0] == '\0')
        return ms_diag_set(b->diag, MS_ERR_OPT, "the option %s needs a value", row->name);
    enum ms_err err = row->read(b, option->value, &text);
    if (err == MS_OK && row->identity && text.len > 0)
        err = ms_buf_addf(canonical, ";%s=%.*s", row->name, (int)text.len, (const char *)text.ptr);
    ms_buf_done(&text);
    return err;
}

enum ms_err spec_options_apply(struct spec_builder *b, struct ms_buf *canonical)
{
    enum ms_err err = MS_OK;

    for (size_t i = 0; err == MS_OK && i < b->spec->n_options; i++)
        err = apply_one(b, &b->spec->options[i], canonical);
    return err;
}
