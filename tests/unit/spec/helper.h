/* tests/unit/spec/helper.h - what the tests of this room share. */
#ifndef MS_TESTS_SPEC_HELPER_H
#define MS_TESTS_SPEC_HELPER_H

#include "base/base64.h"
#include "base/gzip.h"
#include "resolver/spec/spec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define HEX8 "0123456789abcdef"
#define HEX32 HEX8 HEX8 HEX8 HEX8 /* 64 digits, 32 bytes */
#define HEX48 HEX32 HEX8 HEX8     /* 96 digits, 48 bytes */
#define ADDRESS "0xde374479cEE0792f9c3fd389E5C28b8574b0a7dD"
#define DOCUMENT                                                      \
    "[{\"measurement_id\":\"one\",\"attestation_type\":\"dcap-tdx\"," \
    "\"measurements\":{\"0\":{\"expected\":\"" HEX48 "\"}}}]"

/* The parsers on a heap copy of exactly the text's size, so that ASan sees a step beyond. */
static inline struct ms_span heap_copy(struct ms_span text)
{
    uint8_t *copy = malloc(text.len == 0 ? 1 : text.len);
    assert_non_null(copy);
    if (text.len > 0)
        memcpy(copy, text.ptr, text.len);
    return ms_span_of(copy, text.len);
}

static inline void heap_free(struct ms_span text)
{
    free((void *)(uintptr_t)text.ptr);
}

static inline enum ms_err parse_bytes(struct ms_span text, const struct spec_context *context,
                                      struct spec *spec, struct ms_diag *diag)
{
    struct ms_span copy = heap_copy(text);
    enum ms_err err = spec_parse(copy, context, spec, diag);
    heap_free(copy);
    return err;
}

static inline enum ms_err parse_text(const char *text, struct spec *spec, struct ms_diag *diag)
{
    return parse_bytes(ms_span_str(text), NULL, spec, diag);
}

static inline enum ms_err parse_url(const char *text, struct spec *spec, struct spec_url *url,
                                    struct ms_diag *diag)
{
    struct ms_span copy = heap_copy(ms_span_str(text));
    enum ms_err err = spec_parse_url(copy, NULL, spec, url, diag);
    heap_free(copy);
    return err;
}

static inline bool warns(const struct spec *spec, const char *code)
{
    for (size_t i = 0; i < spec->n_warnings; i++)
        if (strcmp(spec->warnings[i].code, code) == 0)
            return true;
    return false;
}

/* prefix + base64 of the bytes, gzipped first when asked; free() it. */
static inline char *encoded(const char *prefix, struct ms_span bytes, bool gzip, bool url_alphabet)
{
    struct ms_buf packed = MS_BUF_INIT((size_t)1 << 20), text = MS_BUF_INIT((size_t)1 << 20);

    if (gzip)
        assert_int_equal(ms_gzip(bytes, &packed), MS_OK);
    else
        assert_int_equal(ms_buf_add(&packed, bytes), MS_OK);
    (void)ms_buf_add_str(&text, prefix);
    (void)(url_alphabet ? ms_base64url_encode(ms_buf_span(&packed), &text)
                        : ms_base64_encode(ms_buf_span(&packed), &text));
    assert_non_null(ms_buf_str(&text));
    ms_buf_done(&packed);
    return (char *)text.ptr;
}

#endif
