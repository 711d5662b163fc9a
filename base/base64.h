/* base/base64.h - RFC 4648 base64 and base64url, decoded strictly: one text, one value. Pure. */
#ifndef MS_BASE_BASE64_H
#define MS_BASE_BASE64_H

#include "base/buf.h"

enum ms_base64_alphabet {
    MS_BASE64_NONE = 0, /* text uses neither + / nor - _ */
    MS_BASE64_STD,
    MS_BASE64_URL,
};

/* Decode all of text, appending to `out`. Either alphabet, never both in one text; padding may be
 * left out but is exact where present; unused trailing bits must be zero; no white space.
 *   ret_alphabet  may be NULL; which alphabet the text shows
 *   ret_padded    may be NULL; whether '=' stood at the end (true also when none is needed)
 * MS_ERR_BASE64 with the fault and its column in diag; MS_ERR_LIMIT, MS_ERR_MEMORY from the buffer.
 */
MS_MUST_USE enum ms_err ms_base64_decode(struct ms_span text, struct ms_buf *out,
                                         enum ms_base64_alphabet *ret_alphabet, bool *ret_padded,
                                         struct ms_diag *diag);

/* Standard alphabet with padding, or base64url without. Errors stick in out. */
enum ms_err ms_base64_encode(struct ms_span bytes, struct ms_buf *out);
enum ms_err ms_base64url_encode(struct ms_span bytes, struct ms_buf *out);

#endif
