/* resolver/daemon/fetch_net.c - addresses, blocks, pins and endpoint URLs. */
#define _GNU_SOURCE
#include "resolver/daemon/fetch_net.h"

#include <arpa/inet.h>
#include <strings.h>

struct block {
    uint8_t b[16];
    unsigned prefix;
};

/* IANA IPv4 Special-Purpose Address Registry (2024-10), every block that is not globally reachable,
 * plus multicast (RFC 5771). 192.0.0.0/24 and 192.88.99.0/24 are refused whole: the anycast
 * addresses in them that may be reached (192.0.0.9, 192.0.0.10, the retired 6to4 relay) serve no
 * documents. */
static const struct block special4[] = {
    {{0}, 8},             /* this network, RFC 791 */
    {{10}, 8},            /* private use, RFC 1918 */
    {{100, 64}, 10},      /* shared address space, RFC 6598 */
    {{127}, 8},           /* loopback, RFC 1122 */
    {{169, 254}, 16},     /* link local, RFC 3927 (cloud metadata lives here) */
    {{172, 16}, 12},      /* private use */
    {{192, 0, 0}, 24},    /* IETF protocol assignments, RFC 6890 */
    {{192, 0, 2}, 24},    /* documentation, RFC 5737 */
    {{192, 88, 99}, 24},  /* 6to4 relay anycast, RFC 7526 */
    {{192, 168}, 16},     /* private use */
    {{198, 18}, 15},      /* benchmarking, RFC 2544 */
    {{198, 51, 100}, 24}, /* documentation */
    {{203, 0, 113}, 24},  /* documentation */
    {{224}, 4},           /* multicast */
    {{240}, 4},           /* reserved and limited broadcast, RFC 1112, RFC 919 */
};

/* IANA IPv6 Special-Purpose Address Registry (2024-10): what is special inside 2000::/3, the only
 * space from which global unicast is assigned. ::/128, ::1, ::ffff:0:0/96, 64:ff9b:1::/48,
 * 100::/64, 5f00::/16, fc00::/7, fe80::/10 and ff00::/8 lie outside it and need no row. */
static const struct block special6[] = {
    {{0x20, 0x01, 0x00}, 23},       /* IETF protocol assignments, Teredo among them, RFC 2928 */
    {{0x20, 0x01, 0x0d, 0xb8}, 32}, /* documentation, RFC 3849 */
    {{0x20, 0x02}, 16},             /* 6to4, RFC 3056 */
    {{0x3f, 0xff, 0x00}, 20},       /* documentation, RFC 9637 */
};
static const struct block global6 = {{0x20}, 3};                     /* RFC 4291 */
static const struct block nat64 = {{0x00, 0x64, 0xff, 0x9b}, 96};    /* RFC 6052 */
static const struct block mapped = {{[10] = 0xff, [11] = 0xff}, 96}; /* RFC 4291 2.5.5.2 */

static bool in_block(const uint8_t *addr, const uint8_t *block, unsigned prefix)
{
    size_t whole = prefix / 8;
    unsigned bits = prefix % 8;

    if (memcmp(addr, block, whole) != 0)
        return false;
    return bits == 0 || ((unsigned)(addr[whole] ^ block[whole]) >> (8 - bits)) == 0;
}

static bool in_any(const uint8_t *addr, const struct block *blocks, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (in_block(addr, blocks[i].b, blocks[i].prefix))
            return true;
    return false;
}

static bool v4_is_global(const uint8_t addr[4])
{
    return !in_any(addr, special4, MS_ARRAY_LEN(special4));
}

static bool v6_is_global(const uint8_t addr[16])
{
    if (in_block(addr, nat64.b, nat64.prefix))
        return v4_is_global(addr + 12);
    return in_block(addr, global6.b, global6.prefix) &&
           !in_any(addr, special6, MS_ARRAY_LEN(special6));
}

bool net_addr_is_global(const struct sockaddr *addr)
{
    if (addr->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, addr, sizeof(in));
        return v4_is_global((const uint8_t *)&in.sin_addr);
    }
    if (addr->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, addr, sizeof(in6));
        return v6_is_global(in6.sin6_addr.s6_addr);
    }
    return false;
}

static bool is_loopback(const struct net_addr *addr)
{
    static const uint8_t one[16] = {[15] = 1};

    return addr->v6 ? memcmp(addr->b, one, sizeof(one)) == 0 : addr->b[0] == 127;
}

bool net_addr_is_loopback(const struct sockaddr *addr)
{
    struct net_addr a;

    return net_addr_from_sockaddr(addr, &a) && is_loopback(&a);
}

bool net_addr_from_sockaddr(const struct sockaddr *addr, struct net_addr *ret_addr)
{
    struct net_addr a = {0};

    if (addr->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, addr, sizeof(in));
        memcpy(a.b, &in.sin_addr, 4);
        a.port = ntohs(in.sin_port);
    } else if (addr->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, addr, sizeof(in6));
        a.port = ntohs(in6.sin6_port);
        a.v6 = !in_block(in6.sin6_addr.s6_addr, mapped.b, mapped.prefix);
        if (a.v6)
            memcpy(a.b, in6.sin6_addr.s6_addr, 16);
        else
            memcpy(a.b, in6.sin6_addr.s6_addr + 12, 4);
    } else {
        return false;
    }
    *ret_addr = a;
    return true;
}

socklen_t net_addr_to_sockaddr(const struct net_addr *addr, struct sockaddr_storage *ret_addr)
{
    memset(ret_addr, 0, sizeof(*ret_addr));
    if (addr->v6) {
        struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(addr->port)};
        memcpy(&in6.sin6_addr, addr->b, 16);
        memcpy(ret_addr, &in6, sizeof(in6));
        return (socklen_t)sizeof(in6);
    }
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(addr->port)};
    memcpy(&in.sin_addr, addr->b, 4);
    memcpy(ret_addr, &in, sizeof(in));
    return (socklen_t)sizeof(in);
}

void net_addr_text(const struct net_addr *addr, char out[NET_ADDR_TEXT_MAX])
{
    if (inet_ntop(addr->v6 ? AF_INET6 : AF_INET, addr->b, out, NET_ADDR_TEXT_MAX) == NULL)
        out[0] = '\0';
}

enum ms_err net_addr_parse(struct ms_span text, struct net_addr *ret_addr)
{
    struct net_addr a = {0};
    char copy[INET6_ADDRSTRLEN];

    if (text.len >= 2 && text.ptr[0] == '[' && text.ptr[text.len - 1] == ']') {
        text = ms_span_sub(text, 1, text.len - 2);
        if (ms_span_find(text, ':') == text.len)
            return MS_ERR_SYNTAX; /* brackets are for IPv6 */
    }
    if (text.len == 0 || text.len >= sizeof(copy) || memchr(text.ptr, '\0', text.len) != NULL)
        return MS_ERR_SYNTAX;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    a.v6 = strchr(copy, ':') != NULL;
    if (inet_pton(a.v6 ? AF_INET6 : AF_INET, copy, a.b) != 1)
        return MS_ERR_SYNTAX;
    *ret_addr = a;
    return MS_OK;
}

static bool parse_port(struct ms_span text, uint16_t *ret_port)
{
    uint64_t port;

    if (!ms_span_u64(text, &port) || port == 0 || port > 65535)
        return false;
    *ret_port = (uint16_t)port;
    return true;
}

/* Split HOST:PORT at its last colon; the host keeps its brackets. */
static bool cut_port(struct ms_span text, struct ms_span *ret_host, struct ms_span *ret_port)
{
    const uint8_t *colon = text.len == 0 ? NULL : memrchr(text.ptr, ':', text.len);

    if (colon == NULL)
        return false;
    size_t at = (size_t)(colon - text.ptr);
    *ret_host = ms_span_sub(text, 0, at);
    *ret_port = ms_span_sub(text, at + 1, text.len);
    return true;
}

enum ms_err net_listen_parse(struct ms_span text, struct net_addr *ret_addr, struct ms_diag *diag)
{
    struct ms_span host, port;
    struct net_addr addr;

    if (!cut_port(text, &host, &port))
        return ms_diag_set(diag, MS_ERR_SYNTAX, "must be ADDRESS:PORT, such as 127.0.0.1:7747");
    bool bracketed = host.len > 0 && host.ptr[0] == '[';
    if (net_addr_parse(host, &addr) != MS_OK || addr.v6 != bracketed)
        return ms_diag_set(diag, MS_ERR_SYNTAX,
                           "must be an IPv4 or [IPv6] literal and a port, such as 127.0.0.1:7747");
    if (!parse_port(port, &addr.port))
        return ms_diag_set(diag, MS_ERR_RANGE, "the port must be a number from 1 to 65535");
    if (!is_loopback(&addr))
        return ms_diag_set(diag, MS_ERR_BLOCKED,
                           "only loopback addresses (127.0.0.0/8 or [::1]) may be listened on");
    *ret_addr = addr;
    return MS_OK;
}

/* A name of letters, digits, '-', '_' and single dots. */
static bool is_host_name(struct ms_span text)
{
    uint8_t before = '.';

    if (text.len == 0 || text.len > NET_HOST_MAX)
        return false;
    for (size_t i = 0; i < text.len; before = text.ptr[i++]) {
        uint8_t c = text.ptr[i];
        bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    c == '-' || c == '_';
        if (!word && (c != '.' || before == '.'))
            return false;
    }
    return true;
}

/* A lower-case copy, or NULL. */
static char *copy_host(struct ms_span host, struct ms_arena *arena)
{
    char *copy = ms_arena_strdup(arena, host);

    for (char *c = copy; c != NULL && *c != '\0'; c++)
        if (*c >= 'A' && *c <= 'Z')
            *c = (char)(*c + ('a' - 'A'));
    return copy;
}

static enum ms_err parse_block(struct ms_span text, struct net_permit *ret_permit,
                               struct ms_diag *diag)
{
    struct net_permit permit = {0};
    struct ms_span addr, bits;
    uint64_t prefix;

    bool cut = ms_span_cut(text, '/', &addr, &bits);
    if (net_addr_parse(cut ? addr : text, &permit.block) != MS_OK)
        return ms_diag_set(diag, MS_ERR_SYNTAX, "is neither a CIDR block nor a host name");
    unsigned max = permit.block.v6 ? 128 : 32;
    if (!cut)
        prefix = max;
    else if (!ms_span_u64(bits, &prefix) || prefix > max)
        return ms_diag_set(diag, MS_ERR_RANGE, "the prefix length must be 0 to %u", max);
    permit.prefix = (unsigned)prefix;
    for (unsigned bit = permit.prefix; bit < max; bit++)
        if ((permit.block.b[bit / 8] >> (7 - bit % 8) & 1) != 0)
            return ms_diag_set(diag, MS_ERR_NONCANONICAL,
                               "has bits set behind its prefix length of %u", permit.prefix);
    *ret_permit = permit;
    return MS_OK;
}

enum ms_err net_permit_parse(struct ms_span text, struct ms_arena *arena,
                             struct net_permit *ret_permit, struct ms_diag *diag)
{
    struct net_addr literal;
    bool block = ms_span_find(text, '/') < text.len || net_addr_parse(text, &literal) == MS_OK;

    if (block || !is_host_name(text))
        return parse_block(text, ret_permit, diag);
    struct net_permit permit = {.host = copy_host(text, arena)};
    if (permit.host == NULL)
        return MS_ERR_MEMORY;
    *ret_permit = permit;
    return MS_OK;
}

enum ms_err net_pin_parse(struct ms_span text, struct ms_arena *arena, struct net_pin *ret_pin,
                          struct ms_diag *diag)
{
    struct net_pin pin = {0};
    struct ms_span host, rest, port, addr;

    if (!ms_span_cut(text, ':', &host, &rest) || !ms_span_cut(rest, ':', &port, &addr) ||
        !is_host_name(host))
        return ms_diag_set(diag, MS_ERR_SYNTAX,
                           "must be HOST:PORT:ADDRESS, such as example.org:443:10.0.0.7");
    if (!parse_port(port, &pin.port))
        return ms_diag_set(diag, MS_ERR_RANGE, "the port must be a number from 1 to 65535");
    if (net_addr_parse(addr, &pin.addr) != MS_OK)
        return ms_diag_set(diag, MS_ERR_SYNTAX, "the address must be an IPv4 or IPv6 literal");
    pin.addr.port = pin.port;
    pin.host = copy_host(host, arena);
    if (pin.host == NULL)
        return MS_ERR_MEMORY;
    *ret_pin = pin;
    return MS_OK;
}

static bool host_is_loopback(struct ms_span host)
{
    struct net_addr addr;

    if (net_addr_parse(host, &addr) == MS_OK)
        return is_loopback(&addr);
    return ms_span_eq_str_nocase(host, "localhost");
}

/* host[:port] with IPv6 in brackets. */
static enum ms_err parse_authority(struct ms_span text, struct net_url *url, struct ms_diag *diag)
{
    struct net_addr addr;
    size_t close = ms_span_find(text, ']');
    size_t host_len = ms_span_find(text, ':');

    if (text.len > 0 && text.ptr[0] == '[') {
        url->host = ms_span_sub(text, 1, close - 1);
        host_len = close + 1;
        if (close == text.len || net_addr_parse(url->host, &addr) != MS_OK || !addr.v6)
            return ms_diag_set(diag, MS_ERR_URL, "the URL has no valid [IPv6] address");
    } else {
        url->host = ms_span_sub(text, 0, host_len);
        if (!is_host_name(url->host))
            return ms_diag_set(diag, MS_ERR_URL, "the URL has no valid host name");
    }
    if (host_len == text.len)
        return MS_OK;
    if (text.ptr[host_len] != ':' ||
        !parse_port(ms_span_sub(text, host_len + 1, text.len), &url->port))
        return ms_diag_set(diag, MS_ERR_URL,
                           "the port of the URL must be a number from 1 to 65535");
    return MS_OK;
}

enum ms_err net_rpc_url_parse(struct ms_span text, struct net_url *ret_url, struct ms_diag *diag)
{
    struct net_url url = {0};
    size_t skip;

    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] < 0x21 || text.ptr[i] > 0x7e || text.ptr[i] == '\\' || text.ptr[i] == '#')
            return ms_diag_set(diag, MS_ERR_URL,
                               "the URL must be printable ASCII without spaces, '\\' and '#'");
    if (ms_span_starts_nocase(text, "https://")) {
        url.tls = true;
        url.port = 443;
        skip = 8;
    } else if (ms_span_starts_nocase(text, "http://")) {
        url.port = 80;
        skip = 7;
    } else {
        return ms_diag_set(diag, MS_ERR_SCHEME, "the URL must start with https://");
    }
    text = ms_span_sub(text, skip, text.len);
    size_t slash = ms_span_find(text, '/'), query = ms_span_find(text, '?');
    struct ms_span authority = ms_span_sub(text, 0, slash < query ? slash : query);
    if (ms_span_find(authority, '@') < authority.len)
        return ms_diag_set(diag, MS_ERR_URL,
                           "the URL must not carry a user name or password before the host");
    enum ms_err err = parse_authority(authority, &url, diag);
    if (err != MS_OK)
        return err;
    if (!url.tls && !host_is_loopback(url.host))
        return ms_diag_set(
            diag, MS_ERR_SCHEME,
            "http:// is only for this machine (127.0.0.1, [::1], localhost); use https://");
    *ret_url = url;
    return MS_OK;
}

bool net_permits(const struct net_permit *permits, size_t n, const char *host,
                 const struct net_addr *addr)
{
    for (size_t i = 0; i < n; i++) {
        const struct net_permit *permit = &permits[i];
        if (permit->host != NULL) {
            if (strcasecmp(permit->host, host) == 0)
                return true;
        } else if (permit->block.v6 == addr->v6 &&
                   in_block(addr->b, permit->block.b, permit->prefix)) {
            return true;
        }
    }
    return false;
}

const struct net_pin *net_pin_find(const struct net_pin *pins, size_t n, const char *host,
                                   uint16_t port)
{
    for (size_t i = 0; i < n; i++)
        if (pins[i].port == port && strcasecmp(pins[i].host, host) == 0)
            return &pins[i];
    return NULL;
}
