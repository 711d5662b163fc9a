/* fuzz_spec.c - any bytes as a bare specifier. What is accepted must keep its promises: an error
 * leaves nothing, the safe text in a URL means the same, and the canonical text is printable. */
#include "resolver/spec/spec.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
    if (!ok)
        abort();
}

static void check_safe(const struct spec *spec)
{
    struct ms_buf text = MS_BUF_INIT((size_t)4 * SPEC_URL_MAX);
    struct spec_url url;
    struct spec again;

    spec_init(&again);
    (void)ms_buf_add_str(&text, "https://");
    enum ms_err err = spec_safe_text(spec, &text);
    require(err == MS_OK || err == MS_ERR_LIMIT);
    if (err == MS_OK && text.len < SPEC_URL_MAX - 2) {
        (void)ms_buf_add_str(&text, "@h");
        require(spec_parse_url(ms_buf_span(&text), NULL, &again, &url, NULL) == MS_OK);
        require(strcmp(again.canonical, spec->canonical) == 0);
        require(ms_sha256_eq(&again.key, &spec->key));
    }
    spec_done(&again);
    ms_buf_done(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ms_diag diag = {0};
    struct spec spec;

    spec_init(&spec);
    enum ms_err err = spec_parse(ms_span_of(data, size), NULL, &spec, &diag);
    if (err == MS_OK) {
        for (const char *c = spec.canonical; *c != '\0'; c++)
            require(*c > 0x20 && *c < 0x7f);
        require(spec.kind != SPEC_NONE && strlen(spec.text) == size);
        check_safe(&spec);
    } else {
        require(spec.kind == SPEC_NONE && spec.arena.used == 0 && diag.text[0] != '\0');
    }
    spec_done(&spec);
    return 0;
}
