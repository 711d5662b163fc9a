/* fuzz_url.c - any bytes as a URL with a specifier, and as a location. */
#include "resolver/spec/spec.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
    if (!ok)
        abort();
}

/* A host we name is lower case and has nothing that another reader could take for a delimiter. */
static void check_host(const char *host)
{
    require(host != NULL && host[0] != '\0');
    for (const char *c = host; *c != '\0'; c++)
        require(strchr("abcdefghijklmnopqrstuvwxyz0123456789-_.:[]", *c) != NULL);
}

static void check_location(struct ms_span text)
{
    struct ms_arena arena = MS_ARENA_INIT(65536);
    struct spec_location location, again;

    if (spec_location_parse(text, &arena, &location, NULL) == MS_OK) {
        check_host(location.host);
        require(location.port == 443 || location.port >= 1024);
        require(spec_location_parse(ms_span_str(location.url), &arena, &again, NULL) == MS_OK);
        require(strcmp(location.url, again.url) == 0); /* normal form is normal */
    }
    ms_arena_done(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct spec_url url = {0};
    struct ms_diag diag = {0};
    struct spec spec;

    spec_init(&spec);
    enum ms_err err = spec_parse_any(ms_span_of(data, size), NULL, &spec, &url, &diag);
    if (err == MS_OK && url.host != NULL) {
        check_host(url.host);
        require(url.path[0] == '\0' || strchr("/?#", url.path[0]) != NULL);
    }
    require(err == MS_OK || (spec.kind == SPEC_NONE && diag.text[0] != '\0'));
    spec_done(&spec);
    check_location(ms_span_of(data, size));
    return 0;
}
