/* base/utf8.h - well-formed UTF-8 (Unicode 3.9, table 3-7): no overlong forms, no surrogates,
 * nothing above U+10FFFF. Pure. */
#ifndef MS_BASE_UTF8_H
#define MS_BASE_UTF8_H

#include "base/span.h"

/* Bytes of the well-formed character at the front of text; 0 when there is none. */
size_t ms_utf8_char(struct ms_span text);
bool ms_utf8_valid(struct ms_span text);
/* Write the form of a code point up to U+10FFFF, surrogates excluded, and give its length, 1..4. */
size_t ms_utf8_encode(uint32_t code_point, uint8_t ret_bytes[4]);

#endif
