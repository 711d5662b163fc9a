/* resolver/spec/location.c - https locations, checked and normalised (RFC 3986 6.2.2, 6.2.3). */
#include "resolver/spec/internal.h"

/* Length of the scheme with its ':' (RFC 3986 3.1), 0 when there is none. */
static size_t scheme_len(struct ms_span url)
{
    for (size_t i = 0; i < url.len; i++) {
        uint8_t c = url.ptr[i];
        if (c == ':')
            return i + (i > 0);
        if (!spec_is_alnum(c) && (i == 0 || (c != '+' && c != '-' && c != '.')))
            return 0;
    }
    return 0;
}

static enum ms_err check_text(struct ms_span url, struct ms_diag *diag)
{
    if (url.len > SPEC_LOCATION_MAX)
        return ms_diag_set(diag, MS_ERR_URL,
                           "the location has %zu characters, at most %u are allowed", url.len,
                           SPEC_LOCATION_MAX);
    for (size_t i = 0; i < url.len; i++) {
        uint8_t c = url.ptr[i];
        if (c == '%' && spec_pct_value(url, i) < 0)
            return ms_diag_set(diag, MS_ERR_URL, "the location has a broken percent-encoding");
        if (c != '%' && !spec_is_unreserved(c) && !spec_is_subdelim(c) &&
            (c == '\0' || strchr(":/?#[]@", c) == NULL))
            return ms_diag_set(diag, MS_ERR_URL,
                               "the location has a character that a URL may not have (0x%02x)", c);
    }
    return MS_OK;
}

static enum ms_err check_scheme(struct ms_span url, struct ms_diag *diag)
{
    size_t n = scheme_len(url);

    if (ms_span_starts_nocase(url, "https://"))
        return MS_OK;
    if (n == 0 || ms_span_starts_nocase(url, "https:"))
        return ms_diag_set(diag, MS_ERR_URL, "the location does not start with https://");
    return ms_diag_set(diag, MS_ERR_SCHEME, "the location's scheme is %.*s, only https is accepted",
                       n > 16 ? 16 : (int)n - 1, (const char *)url.ptr);
}

static enum ms_err check_authority(struct ms_span text, struct spec_authority *ret,
                                   struct ms_diag *diag)
{
    if (ms_span_find(text, '@') != text.len)
        return ms_diag_set(diag, MS_ERR_URL, "the location carries user information");
    enum ms_err err = spec_authority_parse(text, ret, diag);
    if (err != MS_OK)
        return err;
    if (!ret->is_ip4 && !ret->is_ip6 && strchr(ret->host, '.') == NULL)
        return ms_diag_set(diag, MS_ERR_URL, "the location's host is a name without a dot");
    if (ret->port != 0 && ret->port != 443 && ret->port < 1024)
        return ms_diag_set(diag, MS_ERR_URL,
                           "the location's port is neither 443 nor 1024 and above");
    return MS_OK;
}

/* Escaped unreserved characters become plain, other escapes upper case. */
static void add_normal_pct(struct ms_span text, struct ms_buf *out)
{
    for (size_t i = 0; i < text.len; i++) {
        int value = text.ptr[i] == '%' ? spec_pct_value(text, i) : -1;
        if (value < 0) {
            (void)ms_buf_add_byte(out, text.ptr[i]);
            continue;
        }
        if (spec_is_unreserved((uint8_t)value))
            (void)ms_buf_add_byte(out, (uint8_t)value);
        else
            (void)ms_buf_addf(out, "%%%02X", (unsigned)value);
        i += 2;
    }
}

/* RFC 3986 5.2.4 in place over a path that is empty or starts with '/'; returns its new length. */
static size_t remove_dot_segments(uint8_t *path, size_t len)
{
    size_t w = 0;

    for (size_t r = 0, end; r < len; r = end) {
        for (end = r + 1; end < len && path[end] != '/';)
            end++;
        struct ms_span segment = {path + r + 1, end - r - 1};
        bool up = ms_span_eq_str(segment, "..");
        if (!up && !ms_span_eq_str(segment, ".")) {
            memmove(path + w, path + r, end - r);
            w += end - r;
            continue;
        }
        while (up && w > 0)
            up = path[--w] != '/';
        if (end == len)
            path[w++] = '/';
    }
    return w;
}

static enum ms_err normal_text(const struct spec_authority *authority, struct ms_span path,
                               struct ms_span query, struct ms_buf *out)
{
    (void)ms_buf_addf(out, authority->is_ip6 ? "https://[%s]" : "https://%s", authority->host);
    if (authority->port != 0 && authority->port != 443)
        (void)ms_buf_addf(out, ":%u", authority->port);
    size_t start = out->len;
    add_normal_pct(path, out);
    if (ms_buf_err(out) != MS_OK)
        return ms_buf_err(out);
    out->len = start + remove_dot_segments(out->ptr + start, out->len - start);
    if (out->len == start)
        (void)ms_buf_add_byte(out, '/');
    add_normal_pct(query, out);
    return ms_buf_err(out);
}

static enum ms_err keep(const struct spec_authority *authority, const struct ms_buf *text,
                        struct ms_arena *arena, struct spec_location *ret, struct ms_diag *diag)
{
    struct spec_location location = {
        .url = ms_arena_strdup(arena, ms_buf_span(text)),
        .host = ms_arena_strdup(arena, ms_span_str(authority->host)),
        .port = authority->port == 0 ? 443 : authority->port,
        .host_is_ip = authority->is_ip4 || authority->is_ip6,
    };
    if (location.url == NULL || location.host == NULL)
        return spec_no_room(arena, text->len + SPEC_NAME_MAX, diag);
    *ret = location;
    return MS_OK;
}

enum ms_err spec_location_parse(struct ms_span url, struct ms_arena *arena,
                                struct spec_location *ret_location, struct ms_diag *diag)
{
    struct spec_authority authority;
    enum ms_err err = check_text(url, diag);
    if (err == MS_OK)
        err = check_scheme(url, diag);
    if (err != MS_OK)
        return err;
    if (ms_span_find(url, '#') != url.len)
        return ms_diag_set(diag, MS_ERR_URL, "the location has a fragment (#)");

    struct ms_span rest = ms_span_sub(url, strlen("https://"), url.len);
    size_t path_at = spec_find_any(rest, "/?");
    struct ms_span tail = ms_span_sub(rest, path_at, rest.len);
    size_t query_at = ms_span_find(tail, '?');
    struct ms_span path = ms_span_sub(tail, 0, query_at);
    if (spec_find_any(tail, "[]") != tail.len)
        return ms_diag_set(diag, MS_ERR_URL, "the location has a bracket outside of its host");
    err = check_authority(ms_span_sub(rest, 0, path_at), &authority, diag);
    if (err != MS_OK)
        return err;

    struct ms_buf text = MS_BUF_INIT(SPEC_LOCATION_MAX);
    err = normal_text(&authority, path, ms_span_sub(tail, query_at, tail.len), &text);
    if (err == MS_ERR_LIMIT)
        err = ms_diag_set(diag, MS_ERR_URL, "the normalised location exceeds %u characters",
                          SPEC_LOCATION_MAX);
    if (err == MS_OK)
        err = keep(&authority, &text, arena, ret_location, diag);
    ms_buf_done(&text);
    return err;
}
