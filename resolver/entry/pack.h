/* resolver/entry/pack.h - the text of a bundle in a quarter of its bytes or less, for a database
 * that keeps it for ever: bodies of answers as the bytes they are, not in base64, and then deflated
 * with a dictionary of what bundles are made of. Any other bytes come back unchanged too.
 *
 * Pure. The name of a bundle stays the SHA-256 of its text: whoever unpacks compares. */
#ifndef MS_PACK_H
#define MS_PACK_H

#include "base/buf.h"

/* First byte of what pack_text writes: a zlib stream (RFC 1950), where a gzip member has 1f. */
#define PACK_FIRST_BYTE 0x78

/* Appends to out. MS_ERR_MEMORY, MS_ERR_LIMIT. */
MS_MUST_USE enum ms_err pack_text(struct ms_span text, struct ms_buf *out);

/* Appends the text, which is `size` bytes long, to out.
 * MS_ERR_GZIP   broken or truncated, bytes behind it, or a text of another length
 * MS_ERR_LIMIT  more than pack_text can have put in; MS_ERR_MEMORY
 * On error the content of out is unspecified. */
MS_MUST_USE enum ms_err unpack_text(struct ms_span packed, size_t size, struct ms_buf *out);

#endif
