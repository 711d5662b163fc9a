/* resolver/spec/content.c - base64 in a specifier: a document, compressed or plain, or the URL of
 * one (ethereum.md 4.4). */
#include "resolver/spec/internal.h"

#include "base/base64.h"
#include "base/gzip.h"

enum ms_err spec_b64u_decode(struct spec_builder *b, const char *what, struct ms_span text,
                             struct ms_buf *out)
{
    enum ms_base64_alphabet alphabet = MS_BASE64_NONE;

    if (text.len == 0)
        return ms_diag_set(b->diag, MS_ERR_BASE64, "%s is empty", what);
    enum ms_err err = ms_base64_decode(text, out, &alphabet, NULL, b->diag);
    if (err == MS_OK && alphabet == MS_BASE64_STD)
        err = ms_diag_set(b->diag, MS_ERR_BASE64,
                          "%s takes base64url ('-' and '_', not '+' and '/')", what);
    return err;
}

/* The first characters of base64 follow from the first bytes: gzip, '[', '{', "https://", white
 * space. */
static bool looks_encoded(struct ms_span text)
{
    return ms_span_starts(text, "H4sI") || ms_span_starts_nocase(text, "aHR0cHM6") ||
           (text.len > 4 && strchr("WeICD", text.ptr[0]) != NULL);
}

static enum ms_err legacy_decode(struct spec_builder *b, struct ms_span text, struct ms_buf *out)
{
    enum ms_base64_alphabet alphabet = MS_BASE64_NONE;
    struct ms_diag why = {0};
    bool padded = false;

    enum ms_err err = ms_base64_decode(text, out, &alphabet, &padded, &why);
    if (err == MS_ERR_BASE64 && !looks_encoded(text))
        return ms_diag_set(b->diag, MS_ERR_SPEC, "not a specifier, nor an alias known here");
    if (err != MS_OK)
        return ms_diag_set(b->diag, err, "%s", ms_diag_text(&why, err));
    if (alphabet == MS_BASE64_STD && !padded)
        return spec_warn(b, "no-padding", "standard base64 without its padding");
    return MS_OK;
}

/* Judge the document, strictly; what the reader warns of is warned of here. */
static enum ms_err judge(struct spec_builder *b, struct ms_span document)
{
    struct rec_set set;

    if (b->context->inline_unread)
        return MS_OK;
    rec_set_init(&set);
    enum ms_err err = rec_parse(document, REC_MODE_STRICT, &set, b->diag);
    for (size_t i = 0; err == MS_OK && i < set.n_warnings; i++)
        err = spec_warn(b, set.warnings[i].code, "%s", set.warnings[i].text);
    rec_set_done(&set);
    return err;
}

static enum ms_err keep_document(struct spec_builder *b, struct ms_span document)
{
    struct spec *spec = b->spec;

    enum ms_err err = judge(b, document);
    if (err != MS_OK)
        return err;
    const char *copy = NULL;
    err = spec_keep(b, document, &copy);
    if (err != MS_OK)
        return err;
    spec->kind = SPEC_INLINE;
    spec->document = ms_span_of(copy, document.len);
    spec->content = ms_sha256(document);
    return MS_OK;
}

static enum ms_err gzip_parse(struct spec_builder *b, struct ms_span bytes)
{
    struct ms_buf document = MS_BUF_INIT(SPEC_INLINE_MAX_BYTES);

    enum ms_err err = ms_gunzip(bytes, SPEC_INLINE_MAX_RATIO, &document, b->diag);
    if (err == MS_OK)
        err = keep_document(b, ms_buf_span(&document));
    ms_buf_done(&document);
    return err;
}

static enum ms_err location_parse(struct spec_builder *b, struct ms_span url)
{
    /* the published example ends in a newline: one is taken off, never two */
    if (url.len > 0 && url.ptr[url.len - 1] == '\n')
        url.len -= url.len > 1 && url.ptr[url.len - 2] == '\r' ? 2 : 1;
    b->spec->kind = SPEC_LOCATION;
    return spec_location_parse(url, &b->spec->arena, &b->spec->location, b->diag);
}

static bool is_gzip(struct ms_span bytes)
{
    return bytes.len >= 2 && bytes.ptr[0] == 0x1f && bytes.ptr[1] == 0x8b;
}

static bool is_json(struct ms_span bytes)
{
    return bytes.len > 0 && bytes.ptr[0] != '\0' && strchr("[{ \t\r\n", bytes.ptr[0]) != NULL;
}

/* "javascript:", "ftp://": a scheme, whatever follows. */
static bool has_scheme(struct ms_span bytes)
{
    size_t n = ms_span_find(bytes, ':');

    if (n == 0 || n == bytes.len || n > 16)
        return false;
    for (size_t i = 0; i < n; i++)
        if (!spec_is_alnum(bytes.ptr[i]))
            return false;
    return true;
}

static enum ms_err sniff(struct spec_builder *b, enum spec_content_form form, struct ms_span bytes)
{
    if (form == SPEC_CONTENT_URL)
        return location_parse(b, bytes);
    if (is_gzip(bytes))
        return gzip_parse(b, bytes);
    if (is_json(bytes))
        return keep_document(b, bytes);
    if (form == SPEC_CONTENT_INLINE)
        return ms_diag_set(b->diag, MS_ERR_SPEC, "inline: holds neither gzip nor a JSON list");
    if (has_scheme(bytes))
        return location_parse(b, bytes);
    return ms_diag_set(b->diag, MS_ERR_SPEC,
                       "not a specifier: as base64 it holds neither gzip, nor a JSON list, nor an "
                       "https URL");
}

enum ms_err spec_content_parse(struct spec_builder *b, enum spec_content_form form,
                               struct ms_span text)
{
    struct ms_buf bytes = MS_BUF_INIT(SPEC_TEXT_MAX);
    enum ms_err err = MS_ERR_INTERNAL;

    switch (form) {
    case SPEC_CONTENT_LEGACY:
        err = legacy_decode(b, text, &bytes);
        break;
    case SPEC_CONTENT_INLINE:
        err = spec_b64u_decode(b, "inline:", text, &bytes);
        break;
    case SPEC_CONTENT_URL:
        err = spec_b64u_decode(b, "url:", text, &bytes);
        break;
    }
    if (err == MS_OK)
        err = sniff(b, form, ms_buf_span(&bytes));
    ms_buf_done(&bytes);
    return err;
}
