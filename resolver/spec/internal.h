/* resolver/spec/internal.h - what the files of this room share; nobody else includes it. */
#ifndef MS_SPEC_INTERNAL_H
#define MS_SPEC_INTERNAL_H

#include "resolver/spec/spec.h"

#define SPEC_WARNINGS_MAX 64u
#define SPEC_LONG_CHARS 2000u /* chat and mail tools break near there (ethereum.md 4.6) */
#define SPEC_NAME_MAX 253u    /* octets of a DNS name, RFC 1035 2.3.4 in text form */
#define SPEC_LABEL_MAX 63u

/* One parse under way. */
struct spec_builder {
    struct spec *spec;
    const struct spec_context *context; /* never NULL */
    struct ms_diag *diag;
    size_t given_len; /* characters of what was given: the URL, or D */
    bool raw;         /* D is as typed: a '/' in it was not percent-encoded */
    size_t n_warnings;
    struct rec_warning warnings[SPEC_WARNINGS_MAX];
};

/* spec.c: all of D, from its first byte to the warnings. */
enum ms_err spec_build(struct spec_builder *b, struct ms_span text);
/* A warning; the text is copied, unprintable bytes escaped. Beyond SPEC_WARNINGS_MAX they are
 * dropped. */
enum ms_err spec_warn(struct spec_builder *b, const char *code, const char *fmt, ...)
    MS_PRINTF(3, 4);
enum ms_err spec_keep(struct spec_builder *b, struct ms_span text, const char **ret_text);
/* MS_ERR_LIMIT at the cap, otherwise MS_ERR_MEMORY. */
enum ms_err spec_no_room(const struct ms_arena *arena, size_t bytes, struct ms_diag *diag);

/* grammar.c: the part before the first ';'. */
enum ms_err spec_body_parse(struct spec_builder *b, struct ms_span body);
/* An address under the EIP-55 policy: warns or refuses. `what` names it in texts. */
enum ms_err spec_address_read(struct spec_builder *b, struct ms_span text, const char *what,
                              struct eth_addr *ret_addr);

/* signers.c */
enum ms_err spec_signers_read(struct spec_builder *b, struct ms_span text,
                              struct spec_signers *ret_signers);
enum ms_err spec_signers_text(const struct spec_signers *signers, bool eip55, struct ms_buf *out);

/* content.c: base64 of a document or of a URL. */
enum spec_content_form { SPEC_CONTENT_LEGACY = 0, SPEC_CONTENT_INLINE, SPEC_CONTENT_URL };
enum ms_err spec_content_parse(struct spec_builder *b, enum spec_content_form form,
                               struct ms_span text);
/* base64url, padding optional: the value of `at=` and what follows `inline:` and `url:`. */
enum ms_err spec_b64u_decode(struct spec_builder *b, const char *what, struct ms_span text,
                             struct ms_buf *out);

/* options.c: behind the first ';'. _read keeps them sorted and distinct; _apply judges each and
 * appends those that belong to the identity to the canonical text. */
enum ms_err spec_options_read(struct spec_builder *b, struct ms_span text);
enum ms_err spec_options_apply(struct spec_builder *b, struct ms_buf *canonical);

/* canonical.c: the canonical text without options. */
enum ms_err spec_canonical_body(const struct spec *spec, struct ms_buf *out);

/* host.c */
struct spec_authority {
    char host[SPEC_NAME_MAX +
              1]; /* lower case; an IPv6 literal without brackets, as WHATWG writes it */
    bool is_ip4, is_ip6;
    uint16_t port; /* 0 when there is none */
};
/* host [":" port]: a name of letters, digits, '-' and '_', an IPv4 address in four plain numbers,
 * or an IPv6 address in brackets. Port 1..65535 without leading zero; an empty one, a trailing dot,
 * a zone and percent-encoding are refused. MS_ERR_URL. */
enum ms_err spec_authority_parse(struct ms_span text, struct spec_authority *ret_authority,
                                 struct ms_diag *diag);

/* chars.c: classes of RFC 3986 2.2 and 2.3. */
bool spec_is_alnum(uint8_t c);
bool spec_is_unreserved(uint8_t c);
bool spec_is_subdelim(uint8_t c);
/* Two hex digits at text[at+1..at+2]; -1 otherwise. */
int spec_pct_value(struct ms_span text, size_t at);
/* Index of the first byte that is one of `stops`, or text.len. */
size_t spec_find_any(struct ms_span text, const char *stops);

#endif
