/* resolver/daemon/specifier.c - from text to specifier. */
#include "resolver/daemon/specifier.h"

#include "resolver/daemon/core.h"

#include <stdlib.h>

/* What the alias names takes its place; the host of the URL stays. */
static enum ms_err expand(struct spec *spec, const struct spec_context *context,
                          struct ms_diag *diag)
{
    const char *value = context->alias(context->alias_arg, ms_span_str(spec->name));
    struct spec_context plain = {.eip55_strict = context->eip55_strict};
    char host[SOURCE_HOST_MAX_BYTES] = "";

    if (value == NULL)
        return ms_diag_set(diag, MS_ERR_ALIAS, "no such alias in the configuration");
    if (spec->host != NULL && strlen(spec->host) < sizeof(host))
        memcpy(host, spec->host, strlen(spec->host) + 1);
    spec_done(spec);
    spec_init(spec);
    enum ms_err err = spec_parse(ms_span_str(value), &plain, spec, diag);
    if (err == MS_OK && host[0] != '\0')
        spec->host = ms_arena_strdup(&spec->arena, ms_span_str(host));
    return err;
}

enum ms_err specifier_read(const struct config *config, struct ms_span text, bool is_url,
                           struct spec **ret_spec, struct answer_id *ret_id, struct ms_diag *diag)
{
    union {
        const void *in;
        void *out;
    } arg = {.in = config}; /* config_alias only reads */
    struct spec_context context = {.eip55_strict = config->eip55 == CONFIG_EIP55_STRICT,
                                   .alias = config_alias,
                                   .alias_arg = arg.out};
    struct spec_url url;
    struct spec *spec = calloc(1, sizeof(*spec));

    if (spec == NULL)
        return MS_ERR_MEMORY;
    spec_init(spec);
    enum ms_err err = is_url ? spec_parse_url(text, &context, spec, &url, diag)
                             : spec_parse(text, &context, spec, diag);
    if (err == MS_OK && spec->kind == SPEC_ALIAS)
        err = expand(spec, &context, diag);
    if (err != MS_OK) {
        spec_done(spec);
        free(spec);
        return err;
    }
    *ret_id = core_id(spec, config->level);
    *ret_spec = spec;
    return MS_OK;
}

int64_t specifier_max_age_s(const struct spec *spec)
{
    return (int64_t)(spec->max_age_s > INT32_MAX ? INT32_MAX : spec->max_age_s);
}
