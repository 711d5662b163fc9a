/* resolver/spec/basic.h - a specifier that came as HTTP Basic credentials (RFC 7617): how stock
 * clients hand a forward proxy the userinfo of a URL (docs/proxies.md). Pure. */
#ifndef MS_SPEC_BASIC_H
#define MS_SPEC_BASIC_H

#include "base/buf.h"

/* The specifier in `credentials`, the value of an Authorization or Proxy-Authorization header, to
 * be read by spec_parse; appended to out, which is to be dropped on an error. Clients cut userinfo
 * at its first ':' and join it again, so the border between user and password means nothing and
 * only the one ':' at the end, which they add, is taken off. What is a password of somebody is no
 * specifier, so spec_parse refuses it.
 * MS_ERR_ARGUMENT  another scheme, no ':', nothing before it, a byte outside 0x21..0x7e
 * MS_ERR_BASE64    not standard base64 with its padding
 * MS_ERR_LIMIT, MS_ERR_MEMORY from out */
MS_MUST_USE enum ms_err spec_from_basic(struct ms_span credentials, struct ms_buf *out,
                                        struct ms_diag *diag);

#endif
