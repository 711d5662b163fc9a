/* cli/registry_call.h - what a MeasurementRegistry and the Safe that owns it are told: call data,
 * creation code, and why a registry refuses (contracts-abi/MeasurementRegistry.sol). Pure;
 * thread-safe. */
#ifndef MS_CLI_REGISTRY_CALL_H
#define MS_CLI_REGISTRY_CALL_H

#include "base/digest.h"
#include "sig/safe_tx.h"

#define CALL_ON_CHAIN_MAX_BYTES 24575 /* of a payload kept as contract code (EIP-170, less one) */
#define CALL_MAX_BYTES ((size_t)65536)
#define CALL_DELAY_MAX_S (30 * 86400) /* MAX_DELAY of the contract */

enum call_op {
    CALL_NONE = 0,
    CALL_APPROVE,
    CALL_REVOKE,
    CALL_SHORTEN,
    CALL_PRUNE,
    CALL_HEARTBEAT,
    CALL_RAISE_MIN_DELAY,
    CALL_SET_GUARDIAN,
    CALL_TRANSFER_OWNERSHIP,
    CALL_ACCEPT_OWNERSHIP,
};

struct call { /* one operation; the members that its function has */
    enum call_op op;
    uint64_t id;           /* REVOKE, SHORTEN, PRUNE */
    uint64_t version;      /* APPROVE, and these: */
    uint64_t not_before_s; /* */
    uint64_t not_after_s;  /* SHORTEN as well; 0 no end */
    uint16_t payload_format;
    struct ms_span payload; /* its size and SHA-256 are told; itself when on_chain */
    bool on_chain;
    struct ms_span uri;
    uint32_t reason;      /* REVOKE */
    uint64_t seconds;     /* HEARTBEAT: validUntil; RAISE_MIN_DELAY */
    struct eth_addr addr; /* SET_GUARDIAN, TRANSFER_OWNERSHIP */
};

/* "approve", "setGuardian": the contract's own name */
const char *call_name(enum call_op op);
/* Selector and arguments, appended. MS_ERR_LIMIT, MS_ERR_MEMORY; MS_ERR_INTERNAL for CALL_NONE */
MS_MUST_USE enum ms_err call_encode(const struct call *call, struct ms_buf *out);
/* Creation code of a registry, appended. */
MS_MUST_USE enum ms_err call_deploy(const struct eth_addr *owner, const struct eth_addr *guardian,
                                    uint64_t min_delay_s, struct ms_buf *out);
/* execTransaction of the Safe, appended.
 *   signatures  of its owners, one behind the other, by rising address */
MS_MUST_USE enum ms_err call_safe_exec(const struct msig_safe_tx *tx, struct ms_span signatures,
                                       struct ms_buf *out);

#define CALL_ERROR_TEXT 384
/* Why a call reverted, from its data: the registry's errors in words, the Safe's codes (GS026), the
 * reason of a require. false for data that is none of these. */
bool call_error(struct ms_span data, char out[CALL_ERROR_TEXT]);

/* Reasons of a revocation: "vulnerability", ...; a number is one as well. */
bool call_reason_parse(const char *text, uint32_t *ret_reason);
/* NULL for one of the operator's own. */
const char *call_reason_name(uint32_t reason);

#endif
