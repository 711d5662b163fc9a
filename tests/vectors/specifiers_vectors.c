/* specifiers/specifiers.json: inline documents as a bare specifier and as a whole URL. Cases of
 * verdict `policy` follow the table of docs/specifiers.md, which is repeated here by the words of
 * the case. */
#include "base/digest.h"
#include "resolver/spec/spec.h"
#include "tests/support/vectors.h"

#include <stdio.h>

#define TEXT_MAX ((size_t)1 << 20)

/* What we decided where both verdicts are defensible. */
static const struct {
    const char *what;
    bool accept;
} policies[] = {
    {"URL-safe alphabet", true},
    {"padding left out", true},
    {"FHCRC wrong", false},
    {"two members splitting the text", false},
    {"valid JSON followed by spaces to 65536 bytes", true},
    {"valid JSON followed by spaces to 1048576 bytes", false},
    {"long file name in the gzip header (100 kB)", false},
    {"UTF-8 BOM", false},
    {"escaped NUL in measurement_id", false},
    {"lone surrogate escape", false},
    {"legacy v1: {id: {index: {expected}}}", false},
    {"id missing", false},
    {"id empty", false},
    {"id of 10,000 letters", false},
    {"id with CR LF (header injection)", false},
    {"capital hex", true},
    {"named register mrtd", false},
    {"unknown extra field in a record", true},
    {"same id twice", true},
};

enum want { WANT_ANY, WANT_ACCEPT, WANT_REJECT };

static enum want want_of(const json_t *c)
{
    const char *expect = vec_str(c, "expect"), *what = vec_str(c, "what");

    if (expect == NULL || what == NULL)
        return WANT_ANY;
    if (strcmp(expect, "policy") != 0)
        return strcmp(expect, "accept") == 0 ? WANT_ACCEPT : WANT_REJECT;
    for (size_t i = 0; i < MS_ARRAY_LEN(policies); i++)
        if (strcmp(policies[i].what, what) == 0)
            return policies[i].accept ? WANT_ACCEPT : WANT_REJECT;
    return WANT_ANY;
}

/* The document must be the one the case speaks of. */
static bool same_document(const json_t *c, const struct spec *spec)
{
    const char *sha256 = vec_str(c, "sha256");
    const json_t *size = json_object_get(c, "size");
    char hash[2 * MS_SHA256_BYTES + 1];

    ms_sha256_hex(&spec->content, hash);
    return spec->kind == SPEC_INLINE && (sha256 == NULL || strcmp(hash, sha256) == 0) &&
           (size == NULL || (json_int_t)spec->document.len == json_integer_value(size));
}

/* As a browser or a library writes it into userinfo. */
static void add_percent(struct ms_span text, struct ms_buf *out)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        (void)ms_buf_addf(out, plain ? "%c" : "%%%02x", c);
    }
}

/* Parse one form; false, after counting the failure, when the verdict is not the one wanted. */
static bool run_form(struct vec_count *count, const json_t *c, bool in_url, struct ms_span text)
{
    enum want want = want_of(c);
    struct ms_diag diag = {0};
    struct spec_url url;
    struct spec spec;

    spec_init(&spec);
    enum ms_err err = in_url ? spec_parse_url(text, NULL, &spec, &url, &diag)
                             : spec_parse(text, NULL, &spec, &diag);
    bool ok = want == WANT_ANY || (want == WANT_REJECT && err != MS_OK) ||
              (want == WANT_ACCEPT && err == MS_OK && same_document(c, &spec));
    if (!ok)
        vec_check(count, false, vec_str(c, "id"), "%s (%s): %s: %s", vec_str(c, "what"),
                  in_url ? "in a URL" : "bare", ms_err_name(err), ms_diag_text(&diag, err));
    spec_done(&spec);
    return ok;
}

static void run_case(struct vec_count *count, const json_t *c)
{
    const json_t *text = json_object_get(c, "specifier");
    struct ms_buf url = MS_BUF_INIT(TEXT_MAX);

    if (!json_is_string(text)) {
        vec_skip(count, vec_str(c, "id"), "no member specifier");
        return;
    }
    struct ms_span specifier = ms_span_of(json_string_value(text), json_string_length(text));
    (void)ms_buf_add_str(&url, "https://");
    add_percent(specifier, &url);
    (void)ms_buf_add_str(&url, "@host.domain/path");
    if (run_form(count, c, false, specifier) && run_form(count, c, true, ms_buf_span(&url)))
        vec_check(count, true, NULL, " ");
    ms_buf_done(&url);
}

int main(void)
{
    return !vec_run("specifiers", "specifiers.json", run_case);
}
