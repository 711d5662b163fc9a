/* resolver/spec/host.c - host and port of a URL, read more strictly than RFC 3986 and WHATWG do:
 * what one of them would rewrite into another host is refused. */
#include "resolver/spec/internal.h"

#include "base/hex.h"

#include <stdio.h>

static bool ip4_parse(struct ms_span text, uint8_t out[4])
{
    for (size_t i = 0; i < 4; i++) {
        struct ms_span part = text;
        uint64_t value = 0;
        if (i < 3 && !ms_span_cut(text, '.', &part, &text))
            return false;
        if (!ms_span_u64(part, &value) || value > 255)
            return false;
        out[i] = (uint8_t)value;
    }
    return true;
}

/* The pieces of an IPv6 address read so far; gap is where "::" stood, or -1. */
struct ip6 {
    uint16_t piece[8];
    size_t n;
    int gap;
};

/* One to four digits at *at, or a dotted IPv4 tail that ends the text. */
static bool ip6_piece(struct ms_span text, size_t *at, struct ip6 *ip)
{
    size_t end = *at;
    unsigned value = 0;

    while (end < text.len && end - *at < 4 && ms_hex_digit(text.ptr[end]) >= 0)
        value = value * 16 + (unsigned)ms_hex_digit(text.ptr[end++]);
    if (end < text.len && text.ptr[end] == '.') {
        uint8_t four[4];
        if (ip->n > 6 || !ip4_parse(ms_span_sub(text, *at, text.len), four))
            return false;
        ip->piece[ip->n++] = (uint16_t)(four[0] << 8 | four[1]);
        ip->piece[ip->n++] = (uint16_t)(four[2] << 8 | four[3]);
        *at = text.len;
        return true;
    }
    if (end == *at || ip->n == 8)
        return false;
    ip->piece[ip->n++] = (uint16_t)value;
    *at = end;
    return true;
}

/* RFC 4291 2.2, without zone. */
static bool ip6_parse(struct ms_span text, struct ip6 *ip)
{
    size_t at = 0;

    *ip = (struct ip6){.gap = -1};
    if (ms_span_starts(text, "::")) {
        ip->gap = 0;
        at = 2;
    }
    while (at < text.len) {
        if (!ip6_piece(text, &at, ip))
            return false;
        if (at == text.len)
            break;
        if (text.ptr[at++] != ':' || at == text.len)
            return false;
        if (text.ptr[at] == ':') {
            if (ip->gap >= 0)
                return false;
            ip->gap = (int)ip->n;
            at++;
        }
    }
    if (ip->gap < 0)
        return ip->n == 8;
    if (ip->n == 8)
        return false;
    size_t tail = ip->n - (size_t)ip->gap;
    memmove(ip->piece + 8 - tail, ip->piece + ip->gap, tail * sizeof(ip->piece[0]));
    memset(ip->piece + ip->gap, 0, (8 - ip->n) * sizeof(ip->piece[0]));
    return true;
}

/* Lower case, the first longest run of at least two zero pieces as "::" (RFC 5952; like WHATWG, an
 * embedded IPv4 address is not written with dots). */
static void ip6_text(const struct ip6 *ip, char out[SPEC_NAME_MAX + 1])
{
    size_t best = 8, best_len = 1, w = 0;

    for (size_t i = 0; i < 8; i++) {
        size_t len = 0;
        while (i + len < 8 && ip->piece[i + len] == 0)
            len++;
        if (len > best_len) {
            best = i;
            best_len = len;
        }
    }
    for (size_t i = 0; i < 8; i++) {
        if (i == best) {
            out[w++] = ':';
            out[w++] = ':';
            i += best_len - 1;
            continue;
        }
        if (w > 0 && out[w - 1] != ':')
            out[w++] = ':';
        w += (size_t)snprintf(out + w, SPEC_NAME_MAX + 1 - w, "%x", ip->piece[i]);
    }
    out[w] = '\0';
}

static enum ms_err check_label(struct ms_span label, struct ms_diag *diag)
{
    if (label.len == 0)
        return ms_diag_set(diag, MS_ERR_URL,
                           "the host has an empty label (two dots, or one at an end)");
    if (label.len > SPEC_LABEL_MAX)
        return ms_diag_set(diag, MS_ERR_URL, "a label of the host exceeds 63 characters");
    if (label.ptr[0] == '-' || label.ptr[label.len - 1] == '-')
        return ms_diag_set(diag, MS_ERR_URL, "a label of the host starts or ends with '-'");
    for (size_t i = 0; i < label.len; i++)
        if (!spec_is_alnum(label.ptr[i]) && label.ptr[i] != '-' && label.ptr[i] != '_')
            return ms_diag_set(diag, MS_ERR_URL, "the host has the character '%c'", label.ptr[i]);
    return MS_OK;
}

/* WHATWG reads a name whose last label is a number as an IPv4 address ("0x7f.1", "127.1"). */
static bool is_number(struct ms_span label)
{
    bool hex = ms_span_starts_nocase(label, "0x");

    for (size_t i = hex ? 2 : 0; i < label.len; i++)
        if (hex ? ms_hex_digit(label.ptr[i]) < 0 : label.ptr[i] < '0' || label.ptr[i] > '9')
            return false;
    return true;
}

static enum ms_err name_parse(struct ms_span text, struct spec_authority *ret, struct ms_diag *diag)
{
    struct ms_span rest = text, label = text;
    uint8_t four[4];

    if (text.len == 0)
        return ms_diag_set(diag, MS_ERR_URL, "the URL has no host");
    if (text.len > SPEC_NAME_MAX)
        return ms_diag_set(diag, MS_ERR_URL, "the host exceeds 253 characters");
    ret->is_ip4 = ip4_parse(text, four);
    for (bool more = true; more;) {
        more = ms_span_cut(rest, '.', &label, &rest);
        enum ms_err err = check_label(more ? label : rest, diag);
        if (err != MS_OK)
            return err;
    }
    if (!ret->is_ip4 && is_number(rest))
        return ms_diag_set(diag, MS_ERR_URL,
                           "the host ends in a number but is no plain IPv4 address");
    for (size_t i = 0; i < text.len; i++)
        ret->host[i] =
            (char)(text.ptr[i] >= 'A' && text.ptr[i] <= 'Z' ? text.ptr[i] + 32 : text.ptr[i]);
    return MS_OK;
}

static enum ms_err port_parse(struct ms_span text, uint16_t *ret_port, struct ms_diag *diag)
{
    uint64_t port = 0;

    if (text.len == 0)
        return ms_diag_set(diag, MS_ERR_URL, "the port is empty");
    if (!ms_span_u64(text, &port) || port == 0 || port > 65535)
        return ms_diag_set(diag, MS_ERR_URL, "the port is not a number from 1 to 65535");
    *ret_port = (uint16_t)port;
    return MS_OK;
}

enum ms_err spec_authority_parse(struct ms_span text, struct spec_authority *ret_authority,
                                 struct ms_diag *diag)
{
    struct spec_authority authority = {0};
    struct ms_span host = text, after = {0};
    enum ms_err err;

    if (text.len > 0 && text.ptr[0] == '[') {
        struct ip6 ip;
        if (!ms_span_cut(ms_span_sub(text, 1, text.len), ']', &host, &after) ||
            !ip6_parse(host, &ip))
            return ms_diag_set(diag, MS_ERR_URL, "the host is not an IPv6 address in brackets");
        authority.is_ip6 = true;
        ip6_text(&ip, authority.host);
    } else {
        size_t end = ms_span_find(text, ':');
        host = ms_span_sub(text, 0, end);
        after = ms_span_sub(text, end, text.len);
        err = name_parse(host, &authority, diag);
        if (err != MS_OK)
            return err;
    }
    if (after.len > 0 && after.ptr[0] != ':')
        return ms_diag_set(diag, MS_ERR_URL, "characters behind the host's bracket");
    if (after.len > 0) {
        err = port_parse(ms_span_sub(after, 1, after.len), &authority.port, diag);
        if (err != MS_OK)
            return err;
    }
    *ret_authority = authority;
    return MS_OK;
}
