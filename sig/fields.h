/* sig/fields.h - values out of the JSON that carries signed messages (ethereum.md 5.4, step 1).
 * Verifiers hash parsed values, so each has few spellings and the object no surprises. For the
 * parsers of this room. Pure. */
#ifndef MS_SIG_FIELDS_H
#define MS_SIG_FIELDS_H

#include "base/arena.h"
#include "sig/message.h"

#define MSIG_FIELDS_MAX 12 /* members of the largest message */

/* One object, its members read in any order. The first fault sticks: later reads give zero values
 * and change nothing. */
struct msig_fields {
    const json_t *object;
    const char *where; /* "set", for messages */
    struct ms_diag *diag;
    enum ms_err err;
    size_t n_names;
    const char *names[MSIG_FIELDS_MAX]; /* asked for so far */
};

/* MS_ERR_SYNTAX when it is no object; missing and ill-typed members are MS_ERR_SYNTAX everywhere */
void msig_fields_init(struct msig_fields *f, const json_t *object, const char *where,
                      struct ms_diag *diag);
/* A JSON integer up to 2^53, or a decimal string without leading zeros; MS_ERR_RANGE above max. */
uint64_t msig_fields_u64(struct msig_fields *f, const char *name, uint64_t max);
/* "0x" and 64 digits of either case. MS_ERR_HEX, MS_ERR_LENGTH */
void msig_fields_bytes32(struct msig_fields *f, const char *name, uint8_t out[32]);
/* A string of at most max bytes, copied to the arena. MS_ERR_LIMIT, MS_ERR_MEMORY */
struct ms_span msig_fields_text(struct msig_fields *f, const char *name, size_t max,
                                struct ms_arena *arena);
/* An array of distinct addresses, none of them zero. MS_ERR_ADDRESS, MS_ERR_LIMIT, MS_ERR_SIGNERS
 */
void msig_fields_addrs(struct msig_fields *f, const char *name, struct msig_signers *out);
/* An array, as it is; NULL after a fault. */
const json_t *msig_fields_array(struct msig_fields *f, const char *name);
/* The first fault, or MS_ERR_UNKNOWN when the object has a member that was not asked for. */
MS_MUST_USE enum ms_err msig_fields_end(struct msig_fields *f);

#endif
