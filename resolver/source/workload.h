/* resolver/source/workload.h - flashtestations workload ids: one hash for the code of a TDX guest
 * (ethereum.md 3.9). An id cannot be turned back into registers, so a proxy that has a quote
 * computes the id and compares. Pure; quotes are parsed, never verified: that is the proxy's. */
#ifndef MS_SOURCE_WORKLOAD_H
#define MS_SOURCE_WORKLOAD_H

#include "base/err.h"
#include "base/json.h"
#include "eth/keccak.h"

#define WORKLOAD_REGISTER_BYTES 48
#define WORKLOAD_RTMRS 4

/* What of a TD report body goes into an id, as the quote has it (little-endian fields as they lie).
 */
struct workload_input {
    uint8_t mr_td[WORKLOAD_REGISTER_BYTES];
    uint8_t rtmr[WORKLOAD_RTMRS][WORKLOAD_REGISTER_BYTES];
    uint8_t mr_config_id[WORKLOAD_REGISTER_BYTES];
    uint8_t xfam[8];
    uint8_t td_attributes[8];
};

/* A TDX quote, version 4 (48-byte header, 584-byte body) or version 5 (a 6-byte descriptor between
 * them; body type 2 or 3), Intel TDX DCAP Quoting Library API, appendix 3. What follows the body is
 * not looked at. MS_ERR_LENGTH too short; MS_ERR_UNKNOWN another version, TEE or body. */
MS_MUST_USE enum ms_err workload_from_quote(struct ms_span quote, struct workload_input *ret_input);

/* The same from registers as people write them: {"0" or "mrtd": hex of MRTD, "1".."4" or
 * "rtmr0".."rtmr3", "mrconfigid": 48 bytes, "xfam": 8 bytes, "tdattributes": 8 bytes}, names in any
 * case, fields as they lie in the report. The last three, which are no registers, are taken out of
 * the object; *ret_whole says whether all eight were there. MS_ERR_REGISTER one of the three is
 * malformed, or stands there twice. */
MS_MUST_USE enum ms_err workload_from_registers(json_t *registers, bool *ret_whole,
                                                struct workload_input *ret_input,
                                                struct ms_diag *diag);
/* Which of the eight are not there as hex of their length, "mrconfigid, xfam", appended for words;
 * nothing when all are. To be asked before those three are taken out. Errors stick in out. */
void workload_missing(json_t *registers, struct ms_buf *out);

/* Current formula (BlockBuilderPolicy): keccak256 of the 304 bytes in the order of the struct. */
struct eth_hash workload_id_v2(const struct workload_input *input);
/* First formula (V1BlockBuilderPolicy): xfam ^ 0x0000000000000003 and td_attributes &
 * ~0x00000000d0000000 as bytes8 constants over little-endian bytes, so they hit byte 7 and byte 4
 * and not the bits they mean. Ids of old deployments have it so. */
struct eth_hash workload_id_v1(const struct workload_input *input);

#endif
