/* resolver/spec/canonical.c - the text a specifier is keyed by, and the one safe way to write it
 * (ethereum.md 4.7, consumers.md 3.2). */
#include "resolver/spec/internal.h"

#include "base/base64.h"
#include "base/gzip.h"

enum ms_err spec_canonical_body(const struct spec *spec, struct ms_buf *out)
{
    char address[ETH_ADDR_TEXT + 1];
    char hash[2 * MS_SHA256_BYTES + 1];

    switch (spec->kind) {
    case SPEC_NONE:
        return MS_ERR_INTERNAL;
    case SPEC_INLINE:
    case SPEC_SHA256:
        ms_sha256_hex(&spec->content, hash);
        return ms_buf_addf(out, "sha256:%s", hash);
    case SPEC_LOCATION:
        return ms_buf_addf(out, "url:%s", spec->location.url);
    case SPEC_SIGNERS:
        return spec_signers_text(&spec->signers, false, out);
    case SPEC_CONTRACT:
        eth_addr_text(&spec->address, address);
        return ms_buf_addf(out, "eip155:%llu:%s", (unsigned long long)spec->chain, address);
    case SPEC_ENS:
        return ms_buf_addf(out, "ens:eip155:%llu:%s", (unsigned long long)spec->chain, spec->name);
    case SPEC_GITHUB:
        return ms_buf_addf(out, "github:%s", spec->name);
    case SPEC_ALIAS:
        return ms_buf_addf(out, "alias:%s", spec->name);
    }
    return MS_ERR_INTERNAL;
}

static enum ms_err safe_inline(const struct spec *spec, struct ms_buf *out)
{
    struct ms_buf packed = MS_BUF_INIT(SPEC_INLINE_MAX_BYTES + 4096);

    enum ms_err err = ms_gzip(spec->document, &packed);
    if (err == MS_OK && spec->document.len / SPEC_INLINE_MAX_RATIO >= packed.len)
        err = MS_ERR_LIMIT; /* would be refused as a bomb when read again */
    if (err == MS_OK)
        err = ms_base64url_encode(ms_buf_span(&packed), out);
    ms_buf_done(&packed);
    return err;
}

static enum ms_err safe_body(const struct spec *spec, struct ms_buf *out)
{
    switch (spec->kind) {
    case SPEC_INLINE:
        return safe_inline(spec, out);
    case SPEC_LOCATION:
        return ms_base64url_encode(ms_span_str(spec->location.url), out);
    case SPEC_SIGNERS:
        return spec_signers_text(&spec->signers, true, out);
    case SPEC_ENS:
        return ms_buf_addf(out, "eip155:%llu:%s", (unsigned long long)spec->chain, spec->name);
    case SPEC_NONE:
    case SPEC_SHA256:
    case SPEC_CONTRACT:
    case SPEC_GITHUB:
    case SPEC_ALIAS:
        break;
    }
    return spec_canonical_body(spec, out);
}

/* As userinfo may hold it (RFC 3986 3.2.1). */
static void add_userinfo(const char *text, struct ms_buf *out)
{
    for (; *text != '\0'; text++) {
        uint8_t c = (uint8_t)*text;
        if (spec_is_unreserved(c) || spec_is_subdelim(c) || c == ':')
            (void)ms_buf_add_byte(out, c);
        else
            (void)ms_buf_addf(out, "%%%02X", c);
    }
}

enum ms_err spec_safe_text(const struct spec *spec, struct ms_buf *out)
{
    struct ms_buf text = MS_BUF_INIT(SPEC_URL_MAX);
    size_t decoded_len;

    enum ms_err err = safe_body(spec, &text);
    decoded_len = text.len;
    for (size_t i = 0; err == MS_OK && i < spec->n_options; i++) {
        const struct spec_option *option = &spec->options[i];
        bool has_value = option->value[0] != '\0';
        (void)ms_buf_addf(&text, ";%s%s", option->name, has_value ? "=" : "");
        add_userinfo(option->value, &text);
        decoded_len += 1 + strlen(option->name) + has_value + strlen(option->value);
        err = ms_buf_err(&text);
    }
    if (err == MS_OK && decoded_len > SPEC_TEXT_MAX)
        err = MS_ERR_LIMIT;
    if (err == MS_OK)
        err = ms_buf_add(out, ms_buf_span(&text));
    ms_buf_done(&text);
    return err;
}
