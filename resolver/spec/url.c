/* resolver/spec/url.c - whole URLs: rules E1 to E5 of ethereum.md 4.1. */
#include "resolver/spec/internal.h"

#include <stdio.h>

static const char https[] = "https://";

/* E1. */
static enum ms_err check_text(struct ms_span url, struct ms_diag *diag)
{
    if (url.len > SPEC_URL_MAX)
        return ms_diag_set(diag, MS_ERR_LIMIT, "the URL has %zu characters, at most %u are allowed",
                           url.len, SPEC_URL_MAX);
    for (size_t i = 0; i < url.len; i++) {
        uint8_t c = url.ptr[i];
        if (c > 0x20 && c < 0x7f && c != '\\')
            continue;
        if (diag != NULL && diag->text[0] == '\0')
            diag->column = i + 1;
        return ms_diag_set(diag, MS_ERR_URL, "the URL has %s at character %zu",
                           c == '\\' ? "a backslash" : "a control, space or non-ASCII character",
                           i + 1);
    }
    return MS_OK;
}

/* E3: every character allowed, percent-decoded once. */
static enum ms_err decode_userinfo(struct ms_span text, struct ms_buf *out, struct ms_diag *diag)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        if (c == '%') {
            int value = spec_pct_value(text, i);
            if (value < 0)
                return ms_diag_set(diag, MS_ERR_PCT, "broken percent-encoding before the '@'");
            (void)ms_buf_add_byte(out, (uint8_t)value);
            i += 2;
        } else if (spec_is_unreserved(c) || spec_is_subdelim(c) || c == ':') {
            (void)ms_buf_add_byte(out, c);
        } else {
            return ms_diag_set(diag, MS_ERR_URL,
                               "the character '%c' must be percent-encoded before the '@'", c);
        }
    }
    return ms_buf_err(out);
}

/* The look of E4: standard base64 with its padding, of a gzip member, a list or an object. */
static bool looks_like_seed(struct ms_span text)
{
    size_t n = text.len;

    if (text.len == 0 || text.len % 4 != 0 ||
        !(ms_span_starts(text, "H4sI") || text.ptr[0] == 'W' || text.ptr[0] == 'e'))
        return false;
    while (n > 0 && text.len - n < 2 && text.ptr[n - 1] == '=')
        n--;
    for (size_t i = 0; i < n; i++)
        if (!spec_is_alnum(text.ptr[i]) && text.ptr[i] != '+' && text.ptr[i] != '/')
            return false;
    return true;
}

/* E4: the raw form of an inline URL, whose base64 holds slashes. Only a text that decodes to a
 * valid document is one; whatever else is wrong, the URL has no specifier. */
static enum ms_err parse_seed(struct spec_builder *b, struct ms_span rest, struct ms_span *ret_rest)
{
    struct ms_diag why = {0};
    struct ms_diag *diag = b->diag;
    struct ms_span text, after;

    if (!ms_span_cut(rest, '@', &text, &after) || !looks_like_seed(text))
        return ms_diag_set(diag, MS_ERR_NO_SPEC,
                           "the URL has no '@' before its path, so no specifier");
    b->raw = true;
    b->diag = &why;
    enum ms_err err = spec_build(b, text);
    b->diag = diag;
    if (err == MS_ERR_MEMORY || err == MS_ERR_INTERNAL)
        return err;
    if (err != MS_OK)
        return ms_diag_set(
            diag, MS_ERR_NO_SPEC,
            "the text before the '@' is no inline list (%s), so the URL has no specifier",
            ms_diag_text(&why, err));
    *ret_rest = after;
    return MS_OK;
}

/* E2, E3: userinfo in the authority. */
static enum ms_err parse_userinfo(struct spec_builder *b, struct ms_span userinfo)
{
    struct ms_buf text = MS_BUF_INIT(SPEC_URL_MAX);

    if (userinfo.len == 0)
        return ms_diag_set(b->diag, MS_ERR_NO_SPEC, "nothing stands before the '@'");
    enum ms_err err = decode_userinfo(userinfo, &text, b->diag);
    if (err == MS_OK)
        err = spec_build(b, ms_buf_span(&text));
    ms_buf_done(&text);
    return err;
}

/* Host, port and path behind the '@'. */
static enum ms_err parse_target(struct spec_builder *b, struct ms_span rest, struct spec_url *ret)
{
    struct spec_authority authority;
    struct spec_url url = {0};
    char host[SPEC_NAME_MAX + 3];
    size_t end = spec_find_any(rest, "/?#");
    struct ms_span text = ms_span_sub(rest, 0, end);

    if (ms_span_find(text, '@') != text.len)
        return ms_diag_set(b->diag, MS_ERR_URL, "the URL has two '@' before its path");
    enum ms_err err = spec_authority_parse(text, &authority, b->diag);
    if (err != MS_OK)
        return err;
    (void)snprintf(host, sizeof(host), authority.is_ip6 ? "[%s]" : "%s", authority.host);
    url.port = authority.port;
    err = spec_keep(b, ms_span_str(host), &url.host);
    if (err == MS_OK)
        err = spec_keep(b, ms_span_sub(rest, end, rest.len), &url.path);
    if (err == MS_OK)
        *ret = url;
    return err;
}

static enum ms_err parse_parts(struct spec_builder *b, struct ms_span url, struct spec_url *ret_url)
{
    struct ms_span rest = ms_span_sub(url, strlen(https), url.len), userinfo = {0}, after = {0};
    struct ms_span authority = ms_span_sub(rest, 0, spec_find_any(rest, "/?#"));
    enum ms_err err;

    if (ms_span_cut(authority, '@', &userinfo, &after)) {
        if (ms_span_find(after, '@') != after.len)
            return ms_diag_set(b->diag, MS_ERR_URL, "the URL has two '@' before its path");
        err = parse_userinfo(b, userinfo);
        rest = ms_span_sub(rest, userinfo.len + 1, rest.len);
    } else {
        err = parse_seed(b, rest, &rest);
    }
    if (err != MS_OK)
        return err;
    return parse_target(b, rest, ret_url);
}

static enum ms_err keep_host(struct spec_builder *b, const struct spec_url *url)
{
    struct ms_buf text = MS_BUF_INIT(SPEC_URL_MAX);

    (void)ms_buf_add_str(&text, url->host);
    if (url->port != 0 && url->port != 443)
        (void)ms_buf_addf(&text, ":%u", url->port);
    enum ms_err err = ms_buf_err(&text);
    if (err == MS_OK)
        err = spec_keep(b, ms_buf_span(&text), &b->spec->host);
    ms_buf_done(&text);
    return err;
}

enum ms_err spec_parse_url(struct ms_span url, const struct spec_context *context,
                           struct spec *spec, struct spec_url *ret_url, struct ms_diag *diag)
{
    static const struct spec_context defaults;
    struct spec_builder b = {.spec = spec,
                             .context = context == NULL ? &defaults : context,
                             .diag = diag,
                             .given_len = url.len};

    spec_done(spec);
    enum ms_err err = check_text(url, diag);
    if (err != MS_OK)
        return err;
    if (ms_span_starts_nocase(url, "http://"))
        return ms_diag_set(diag, MS_ERR_SCHEME, "the URL's scheme is http, only https is accepted");
    if (!ms_span_starts_nocase(url, https))
        return ms_diag_set(diag, MS_ERR_URL, "the URL does not start with https://");
    err = parse_parts(&b, url, ret_url);
    if (err == MS_OK)
        err = keep_host(&b, ret_url);
    if (err != MS_OK)
        spec_done(spec);
    return err;
}

static bool is_url(struct ms_span text)
{
    for (size_t i = 0; i < text.len && i < SPEC_URL_MAX; i++)
        if (ms_span_starts(ms_span_sub(text, i, text.len), "://"))
            return true;
    return false;
}

enum ms_err spec_parse_any(struct ms_span text, const struct spec_context *context,
                           struct spec *spec, struct spec_url *ret_url, struct ms_diag *diag)
{
    if (is_url(text))
        return spec_parse_url(text, context, spec, ret_url, diag);
    enum ms_err err = spec_parse(text, context, spec, diag);
    if (err == MS_OK)
        *ret_url = (struct spec_url){.path = ""};
    return err;
}
