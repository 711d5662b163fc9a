/* cli/quote.h - TDX quotes as people have them in files. Pure. */
#ifndef MS_CLI_QUOTE_H
#define MS_CLI_QUOTE_H

#include "resolver/source/workload.h"

#define QUOTE_FILE_MAX_BYTES 65536u

/* The bytes of a TDX quote from a file of them, of their hex (0x or not) or of their base64, white
 * space in the text of either skipped; appended to ret_bytes, which has room for the file.
 *   ret_input  its measurements; nothing is verified
 * MS_ERR_ARGUMENT none of these, or no TDX quote of a version known here; MS_ERR_MEMORY */
MS_MUST_USE enum ms_err quote_decode(struct ms_span file, struct ms_buf *ret_bytes,
                                     struct workload_input *ret_input, struct ms_diag *diag);

#endif
