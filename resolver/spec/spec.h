/* resolver/spec/spec.h - measurement specifiers: what stands in the userinfo of
 * `https://<specifier>@host`, its grammar, canonical form and cache key (docs/specifiers.md;
 * ethereum.md section 4). One parser for everything: nobody re-parses the URL after it.
 * Pure; thread-safe. A struct spec is immutable once parsed. */
#ifndef MS_SPEC_H
#define MS_SPEC_H

#include "base/arena.h"
#include "base/digest.h"
#include "base/err.h"
#include "base/json.h"
#include "eth/address.h"
#include "resolver/records/records.h"

#define SPEC_URL_MAX 32768u     /* characters of a whole URL (E1) */
#define SPEC_TEXT_MAX 16384u    /* characters of a decoded specifier (E3) */
#define SPEC_LOCATION_MAX 2048u /* characters of a location's URL (4.4) */
#define SPEC_SIGNERS_MAX 16u
#define SPEC_INLINE_MAX_BYTES 262144u /* decompressed document */
#define SPEC_INLINE_MAX_RATIO 256u
#define SPEC_ARENA_MAX_BYTES ((size_t)2 << 20)

enum spec_kind {
    SPEC_NONE = 0,
    SPEC_INLINE,
    SPEC_SHA256,
    SPEC_LOCATION,
    SPEC_SIGNERS,
    SPEC_CONTRACT,
    SPEC_ENS,
    SPEC_GITHUB,
    SPEC_ALIAS,
};

enum spec_level {
    SPEC_LEVEL_NONE = 0,
    SPEC_LEVEL_L0,
    SPEC_LEVEL_L1,
    SPEC_LEVEL_L2,
    SPEC_LEVEL_L3,
    SPEC_LEVEL_L4
};
enum spec_tag { SPEC_TAG_NONE = 0, SPEC_TAG_FINALIZED, SPEC_TAG_SAFE };

struct spec_option { /* as written, NUL-terminated; value "" when there is no '=' */
    const char *name;
    const char *value;
};

/* An https location taken apart and normalised (RFC 3986 6.2.2: case, percent-encoding, dot
 * segments). */
struct spec_location {
    const char *url;  /* the whole, as it is requested and keyed */
    const char *host; /* lower case; IPv6 literal without brackets */
    uint16_t port;
    bool host_is_ip;
};

struct spec_signers {
    uint32_t m, n;                          /* 1 <= m <= n <= 16 */
    struct eth_addr addr[SPEC_SIGNERS_MAX]; /* n of them, sorted, distinct */
};

struct spec {
    struct ms_arena arena; /* owns every pointer below */
    enum spec_kind kind;
    const char *text;      /* D: the specifier as given (percent-decoded), NUL-terminated */
    const char *canonical; /* NUL-terminated; ethereum.md 4.7 */
    struct ms_sha256 key;  /* SHA-256("measured/spec/1" LF canonical) */

    struct ms_span document;       /* INLINE: the decompressed bytes */
    struct ms_sha256 content;      /* INLINE, SHA256: hash of the document */
    struct spec_location location; /* LOCATION */
    struct spec_signers signers;   /* SIGNERS */
    uint64_t chain;                /* CONTRACT, ENS; SIGNERS: of the contracts among them */
    struct eth_addr address;       /* CONTRACT */
    const char *name;              /* ENS name, "owner~repo", alias name */

    size_t n_options;
    struct spec_option *options; /* sorted by name, distinct */
    enum spec_level level;       /* level=, NONE when absent */
    enum spec_tag tag;           /* tag= */
    uint64_t max_age_s;          /* max-age=, 0 when absent */
    uint64_t seq;                /* seq= floor, 0 when absent */
    uint64_t from;               /* from= block, 0 when absent: where a log scan begins */
    bool has_code;
    uint8_t code[32];    /* code= */
    const char *adapter; /* kind=, NULL when absent */
    bool has_kms;
    struct eth_addr kms;     /* kms= */
    struct spec_location at; /* at=, url NULL when absent */
    /* "host" or "host:port" of the URL it stood in, NULL for a bare one; no part of the identity */
    const char *host;

    size_t n_warnings;
    struct rec_warning *warnings; /* codes: eip55, raw-slash, long, no-padding, ... */
};

struct spec_context { /* local policy; zero gives the defaults */
    bool eip55_strict;
    uint64_t default_chain; /* 0 means 1 */
    /* Value of an alias, NULL when there is none; may itself be NULL. The text is borrowed for the
     * call. */
    const char *(*alias)(void *arg, struct ms_span name);
    void *alias_arg;
    /* For the linter only: an inline document is decoded but not read, so it may be anything. */
    bool inline_unread;
};

struct spec_url {     /* the parts of the URL beside the specifier; in the spec's arena */
    const char *host; /* lower case, IPv6 in brackets; NULL for a bare specifier */
    uint16_t port;    /* 0 when the URL has none */
    const char *path; /* path, query and fragment as written, "" when there is none */
};

void spec_init(struct spec *spec);
void spec_done(struct spec *spec);

/* Parse a bare specifier D (nothing is percent-decoded).
 * A bare word that spec_context.alias knows is an alias (kind ALIAS, name set; the caller resolves
 * it with spec_parse on the alias's value); `alias:NAME` always is. Errors are those of
 * base/err.h 40..60 and what rec_parse says of an inline document; diag names what is wrong. On
 * error spec is empty again. */
MS_MUST_USE enum ms_err spec_parse(struct ms_span text, const struct spec_context *context,
                                   struct spec *spec, struct ms_diag *diag);

/* Take a whole URL apart (E1..E5, the seed rule E4 included) and parse its specifier.
 * MS_ERR_NO_SPEC when it has none; MS_ERR_URL, MS_ERR_PCT; else as spec_parse. */
MS_MUST_USE enum ms_err spec_parse_url(struct ms_span url, const struct spec_context *context,
                                       struct spec *spec, struct spec_url *ret_url,
                                       struct ms_diag *diag);

/* A text a person typed: a URL when it starts with "https://" (any case) or contains "://", else a
 * specifier. ret_url->host is NULL for a bare one. */
MS_MUST_USE enum ms_err spec_parse_any(struct ms_span text, const struct spec_context *context,
                                       struct spec *spec, struct spec_url *ret_url,
                                       struct ms_diag *diag);

const char *spec_kind_name(enum spec_kind kind);
const char *spec_level_name(enum spec_level level); /* "l1" */
enum spec_level spec_level_parse(struct ms_span text);

/* Value of an option as written ("" without '='), NULL when the specifier has none of that name. */
const char *spec_option_value(const struct spec *spec, const char *name);

/* "2of3:0x..,0x..,02.." as in a specifier and in the options keys= and auditors=: public keys
 * become addresses, which are sorted and distinct. EIP-55 is not judged here (spec_parse did).
 * MS_ERR_SIGNERS, MS_ERR_ADDRESS, MS_ERR_PUBKEY */
MS_MUST_USE enum ms_err spec_signers_parse(struct ms_span text, struct spec_signers *ret_signers,
                                           struct ms_diag *diag);

/* 1..64 of a-z 0-9 - _: what may stand behind `alias:` and in a section [alias NAME]. Base64 of a
 * document or of a URL always has capitals, so an alias cannot shadow one. */
bool spec_alias_name_ok(struct ms_span name);

/* The one safe userinfo text for this specifier: base64url without padding (inline: re-compressed
 * with ms_gzip), the chain named, EIP-55, `~` in github; appended. Options are kept, sorted, and
 * percent-encoded where userinfo needs it, so the text belongs into a URL.
 * MS_ERR_LIMIT when it would exceed SPEC_TEXT_MAX or decompress beyond SPEC_INLINE_MAX_RATIO. */
MS_MUST_USE enum ms_err spec_safe_text(const struct spec *spec, struct ms_buf *out);

/* An https location: scheme https (any case), host a name with a dot or an IP literal, port 443 or
 * 1024+, no userinfo, no fragment, <= SPEC_LOCATION_MAX. Strings go to arena. MS_ERR_SCHEME,
 * MS_ERR_URL. */
MS_MUST_USE enum ms_err spec_location_parse(struct ms_span url, struct ms_arena *arena,
                                            struct spec_location *ret_location,
                                            struct ms_diag *diag);

/* Chain id of a short name compiled in (eth, sep, hoe, oeth, unichain, base, arb1); 0 when unknown.
 */
uint64_t spec_chain_by_name(struct ms_span name);
const char *spec_chain_name(uint64_t chain); /* NULL when unknown */

#endif
