/* base/gzip.h - RFC 1952 gzip within limits, over zlib. Pure; memory is the output buffer plus
 * zlib's window (about 44 KiB). */
#ifndef MS_BASE_GZIP_H
#define MS_BASE_GZIP_H

#include "base/buf.h"

/* Inflate exactly one gzip member that fills `in` to its last byte, appending to `out` (whose max
 * is the size limit). Header CRC, CRC-32 and ISIZE are checked by zlib. max_ratio  output may be at
 * most max_ratio times the input; 0 for no such limit MS_ERR_GZIP   broken, truncated, a second
 * member or trailing bytes MS_ERR_LIMIT  larger than out's max or than the ratio On error the
 * content of out is unspecified. */
MS_MUST_USE enum ms_err ms_gunzip(struct ms_span in, size_t max_ratio, struct ms_buf *out,
                                  struct ms_diag *diag);

/* Level 9, mtime 0, OS byte 255 ("unknown"): the same bytes on every machine. */
MS_MUST_USE enum ms_err ms_gzip(struct ms_span in, struct ms_buf *out);

/* A zlib stream (RFC 1950, level 6) whose start may refer to the dictionary, so that short texts of
 * one kind become small. Reading takes just that dictionary, or none at all, and checks the
 * Adler-32 of both; limits and errors of ms_inflate as ms_gunzip without a ratio. */
MS_MUST_USE enum ms_err ms_deflate(struct ms_span in, struct ms_span dictionary,
                                   struct ms_buf *out);
MS_MUST_USE enum ms_err ms_inflate(struct ms_span in, struct ms_span dictionary,
                                   struct ms_buf *out);

#endif
