/*
 * proxy-plugin/nginx/measured_header.h - what an attested hop says of its
 * peer: X-Flashbots-Attestation-Type and X-Flashbots-Measurement.
 *
 * Both shapes of the latter: actual values, {"0":"hex",..}, and a matched
 * policy, {"type":"dcap"|"azure","measurements":{"0":["hex",..],..}}.  It
 * accepts what the daemon's /v1/authorize accepts (a test compares the two)
 * and nothing else.
 *
 * Pure: bytes in, a structure out; no allocation, no recursion, nothing of
 * nginx.  Safe to call from any thread.
 */

#ifndef MEASURED_HEADER_H
#define MEASURED_HEADER_H

#include "include/measured/measured.h"

#define MEASURED_HEADER_MAX_BYTES      16384 /* as /v1/authorize */
#define MEASURED_HEADER_REGISTERS_MAX  24    /* values, of all registers */
#define MEASURED_HEADER_VALUE_BYTES    48    /* of the longest */

enum measured_header_type {
    MEASURED_HEADER_UNKNOWN = 0,
    MEASURED_HEADER_DCAP_TDX,
    MEASURED_HEADER_GCP_TDX,
    MEASURED_HEADER_QEMU_TDX,
    MEASURED_HEADER_AZURE_TDX
};

struct measured_presented {
    size_t                    n;
    struct measured_register  regs[MEASURED_HEADER_REGISTERS_MAX];
    unsigned char             values[MEASURED_HEADER_REGISTERS_MAX]
                                    [MEASURED_HEADER_VALUE_BYTES];
};

/* The exact spelling, or MEASURED_HEADER_UNKNOWN. */
enum measured_header_type measured_header_type(const char *text, size_t len);

/* "dcap-tdx" and so on, as measured_check wants it; NULL for unknown. */
const char *measured_header_type_name(enum measured_header_type type);

/*
 * Read the registers of a peer of this type.  NULL, and what was presented in
 * *presented, whose pointers go into itself: it must not be moved.  Otherwise
 * why not, a clause without bytes of the header, in static storage, and
 * presented->n is 0.
 */
const char *measured_header_read(enum measured_header_type type,
    const char *text, size_t len, struct measured_presented *presented);

#endif
