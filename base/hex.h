/* base/hex.h - hexadecimal. Pure. */
#ifndef MS_BASE_HEX_H
#define MS_BASE_HEX_H

#include "base/err.h"
#include "base/span.h"

/* Value of one digit of either case, or -1. */
int ms_hex_digit(uint8_t c);
/* Exactly 2*out_len digits of either case, no prefix, into out.
 * MS_ERR_LENGTH wrong number of digits; MS_ERR_HEX a byte that is no digit. out is written only on
 * MS_OK. */
MS_MUST_USE enum ms_err ms_hex_decode(struct ms_span text, uint8_t *out, size_t out_len);
/* Lower case, 2*bytes.len characters and a NUL. */
void ms_hex_encode(struct ms_span bytes, char *out);

#endif
