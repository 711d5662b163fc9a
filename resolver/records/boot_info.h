/* resolver/records/boot_info.h - what dstack's KMS says of a guest that boots (consumers.md 1.6):
 * the JSON of its webhook, which is also details.boot_info of dstack's verifier. Pure; thread-safe.
 */
#ifndef MS_BOOT_INFO_H
#define MS_BOOT_INFO_H

#include "base/arena.h"
#include "base/json.h"

#define BOOT_INFO_MAX_BYTES 65536u
#define BOOT_APP_ID_BYTES 20u
#define BOOT_HASH_BYTES 32u
#define BOOT_TEXT_MAX 64u       /* bytes of tcbStatus, teeVariant and one advisory id */
#define BOOT_ADVISORIES_MAX 64u /* distinct or not */

struct boot_info {
    uint8_t app_id[BOOT_APP_ID_BYTES];
    uint8_t compose_hash[BOOT_HASH_BYTES];
    bool has_instance_id;
    uint8_t instance_id[BOOT_APP_ID_BYTES];
    uint8_t device_id[BOOT_HASH_BYTES];
    uint8_t mr_aggregated[BOOT_HASH_BYTES];
    bool has_mr_system;
    uint8_t mr_system[BOOT_HASH_BYTES];
    uint8_t os_image_hash[BOOT_HASH_BYTES];
    const char *tcb_status;  /* printable ASCII, in the arena; "" is allowed, and no status */
    const char *tee_variant; /* likewise; "" where it is not said */
    bool has_advisories;     /* false: the list was not given, which is not the empty list */
    size_t n_advisories;
    const char *const *advisories; /* likewise */
};

/* One JSON object, all of `text`.
 *   arena     owns the strings of *ret_info
 *   ret_info  written only on MS_OK
 * Hash members are hex of either case, with or without one "0x", and of exactly their length: a
 * back-end that pads short ones approves a hash of 31 bytes that it was never told (dstack#1310).
 * Members that are not known are ignored, given twice they are refused.
 * MS_ERR_JSON, MS_ERR_JSON_DUPLICATE, MS_ERR_UTF8, MS_ERR_DEPTH, MS_ERR_LIMIT  as ms_json_parse
 * MS_ERR_ARGUMENT  a member is missing, of another type, no hex, or too long
 * MS_ERR_LENGTH    a hash of another length
 * MS_ERR_MEMORY    the arena's cap
 * The sentence in diag names the member. */
MS_MUST_USE enum ms_err boot_info_parse(struct ms_span text, struct ms_arena *arena,
                                        struct boot_info *ret_info, struct ms_diag *diag);
/* The same from a tree. */
MS_MUST_USE enum ms_err boot_info_read(const json_t *root, struct ms_arena *arena,
                                       struct boot_info *ret_info, struct ms_diag *diag);

/* One value of `len` bytes as a member holds it: hex of either case, "0x" allowed. MS_ERR_HEX,
 * MS_ERR_LENGTH. */
MS_MUST_USE enum ms_err boot_hex(struct ms_span text, uint8_t *out, size_t len);

#endif
