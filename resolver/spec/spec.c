/* resolver/spec/spec.c - one specifier, from its text to key and warnings. */
#include "resolver/spec/internal.h"

#include <stdarg.h>

static const char *const kind_names[] = {
    [SPEC_NONE] = "none",         [SPEC_INLINE] = "inline",   [SPEC_SHA256] = "sha256",
    [SPEC_LOCATION] = "location", [SPEC_SIGNERS] = "signers", [SPEC_CONTRACT] = "contract",
    [SPEC_ENS] = "ens",           [SPEC_GITHUB] = "github",   [SPEC_ALIAS] = "alias",
};

const char *spec_kind_name(enum spec_kind kind)
{
    return (size_t)kind < MS_ARRAY_LEN(kind_names) ? kind_names[kind] : "none";
}

static const char *const level_names[] = {
    [SPEC_LEVEL_NONE] = "none", [SPEC_LEVEL_L0] = "l0", [SPEC_LEVEL_L1] = "l1",
    [SPEC_LEVEL_L2] = "l2",     [SPEC_LEVEL_L3] = "l3", [SPEC_LEVEL_L4] = "l4",
};

const char *spec_level_name(enum spec_level level)
{
    return (size_t)level < MS_ARRAY_LEN(level_names) ? level_names[level] : "none";
}

enum spec_level spec_level_parse(struct ms_span text)
{
    for (size_t i = SPEC_LEVEL_L0; i < MS_ARRAY_LEN(level_names); i++)
        if (ms_span_eq_str(text, level_names[i]))
            return (enum spec_level)i;
    return SPEC_LEVEL_NONE;
}

void spec_init(struct spec *spec)
{
    *spec = (struct spec){.arena = MS_ARENA_INIT(SPEC_ARENA_MAX_BYTES)};
}

void spec_done(struct spec *spec)
{
    ms_arena_done(&spec->arena);
    spec_init(spec);
}

const char *spec_option_value(const struct spec *spec, const char *name)
{
    for (size_t i = 0; i < spec->n_options; i++)
        if (strcmp(spec->options[i].name, name) == 0)
            return spec->options[i].value;
    return NULL;
}

enum ms_err spec_no_room(const struct ms_arena *arena, size_t bytes, struct ms_diag *diag)
{
    if (bytes < arena->max - arena->used)
        return MS_ERR_MEMORY;
    return ms_diag_set(diag, MS_ERR_LIMIT, "the specifier needs too much memory");
}

enum ms_err spec_keep(struct spec_builder *b, struct ms_span text, const char **ret_text)
{
    const char *copy = ms_arena_strdup(&b->spec->arena, text);
    if (copy == NULL)
        return spec_no_room(&b->spec->arena, text.len, b->diag);
    *ret_text = copy;
    return MS_OK;
}

enum ms_err spec_warn(struct spec_builder *b, const char *code, const char *fmt, ...)
{
    struct ms_diag escaped = {0};
    struct rec_warning *warning = &b->warnings[b->n_warnings];
    va_list args;

    if (b->n_warnings == SPEC_WARNINGS_MAX)
        return MS_OK;
    va_start(args, fmt);
    (void)ms_diag_setv(&escaped, MS_OK, fmt, args);
    va_end(args);
    enum ms_err err = spec_keep(b, ms_span_str(code), &warning->code);
    if (err == MS_OK)
        err = spec_keep(b, ms_span_str(escaped.text), &warning->text);
    if (err == MS_OK)
        b->n_warnings++;
    return err;
}

/* What stands in D before any grammar (E3). */
static enum ms_err check_text(struct spec_builder *b, struct ms_span text)
{
    if (text.len == 0)
        return ms_diag_set(b->diag, MS_ERR_SPEC, "the specifier is empty");
    if (text.len > SPEC_TEXT_MAX)
        return ms_diag_set(b->diag, MS_ERR_LIMIT,
                           "the specifier has %zu characters, at most %u are allowed", text.len,
                           SPEC_TEXT_MAX);
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        if (c > 0x20 && c < 0x7f && c != '%')
            continue;
        if (b->diag != NULL && b->diag->text[0] == '\0')
            b->diag->column = i + 1;
        return ms_diag_set(b->diag, MS_ERR_PCT,
                           c == '%' ? "the specifier has a %% at character %zu%s"
                                    : "the specifier has a control, space or non-ASCII character "
                                      "at character %zu%s",
                           i + 1,
                           c == '%' && b->raw ? " (percent-encoding belongs into a URL)" : "");
    }
    return MS_OK;
}

static enum ms_err warn_form(struct spec_builder *b, struct ms_span text)
{
    enum ms_err err = MS_OK;

    if (b->raw && ms_span_find(text, '/') != text.len)
        err = spec_warn(b, "raw-slash",
                        "a '/' in the specifier: other programs end the host of a URL there and "
                        "would contact another one; use the safe form");
    if (err == MS_OK && b->given_len > SPEC_LONG_CHARS)
        err = spec_warn(b, "long", "%zu characters: mail, chat and proxies break texts above %u",
                        b->given_len, SPEC_LONG_CHARS);
    return err;
}

static enum ms_err finish(struct spec_builder *b)
{
    static const char prefix[] = "measured/spec/1\n";
    struct spec *spec = b->spec;
    struct ms_buf canonical = MS_BUF_INIT((size_t)4 * SPEC_TEXT_MAX);

    enum ms_err err = spec_canonical_body(spec, &canonical);
    if (err == MS_OK)
        err = spec_options_apply(b, &canonical);
    if (err == MS_OK)
        err = spec_keep(b, ms_buf_span(&canonical), &spec->canonical);
    ms_buf_done(&canonical);
    if (err != MS_OK)
        return err;
    const struct ms_span parts[] = {ms_span_str(prefix), ms_span_str(spec->canonical)};
    spec->key = ms_sha256_parts(parts, MS_ARRAY_LEN(parts));
    if (b->n_warnings == 0)
        return MS_OK;
    spec->warnings = ms_arena_alloc(&spec->arena, b->n_warnings, sizeof(spec->warnings[0]));
    if (spec->warnings == NULL)
        return spec_no_room(&spec->arena, sizeof(b->warnings), b->diag);
    memcpy(spec->warnings, b->warnings, b->n_warnings * sizeof(spec->warnings[0]));
    spec->n_warnings = b->n_warnings;
    return MS_OK;
}

enum ms_err spec_build(struct spec_builder *b, struct ms_span text)
{
    size_t body_len = ms_span_find(text, ';');

    spec_done(b->spec);
    enum ms_err err = check_text(b, text);
    if (err == MS_OK)
        err = spec_keep(b, text, &b->spec->text);
    if (err == MS_OK)
        err = warn_form(b, text);
    if (err == MS_OK)
        err = spec_body_parse(b, ms_span_sub(text, 0, body_len));
    if (err == MS_OK && body_len < text.len)
        err = spec_options_read(b, ms_span_sub(text, body_len + 1, text.len));
    if (err == MS_OK)
        err = finish(b);
    if (err != MS_OK)
        spec_done(b->spec);
    return err;
}

enum ms_err spec_parse(struct ms_span text, const struct spec_context *context, struct spec *spec,
                       struct ms_diag *diag)
{
    static const struct spec_context defaults;
    struct spec_builder b = {.spec = spec,
                             .context = context == NULL ? &defaults : context,
                             .diag = diag,
                             .given_len = text.len,
                             .raw = true};

    return spec_build(&b, text);
}
