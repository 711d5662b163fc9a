/* cli/when.h - points in time as people write them. UTC only; seconds. Pure. */
#ifndef MS_CLI_WHEN_H
#define MS_CLI_WHEN_H

#include "base/err.h"
#include "base/span.h"

/* "1770000000" (Unix time), "2026-02-02T02:40:00Z", "2026-02-02 02:40:00Z", an offset "+01:00"
 * instead of the Z (RFC 3339), or "2026-02-02", the midnight it begins with. MS_ERR_SYNTAX none of
 * these; MS_ERR_RANGE no such day or time, or before 1970. */
MS_MUST_USE enum ms_err when_parse(struct ms_span text, uint64_t *ret_s);

#define WHEN_TEXT 32 /* bytes with NUL */
/* "2026-02-02T02:40:00Z"; "after the year 9999" beyond. */
void when_text(uint64_t unix_s, char out[WHEN_TEXT]);

#endif
