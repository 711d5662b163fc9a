/* sig/safe.h - Safe multisigs: the message its owners sign for a 32-byte value, and what its
 * contract would say of a blob of signatures (checkSignatures of Safe 1.3.0 to 1.5.0, and
 * isValidSignature of its fallback handler), as far as that can be said without the chain.
 * Pure; no allocation; thread-safe. */
#ifndef MS_SIG_SAFE_H
#define MS_SIG_SAFE_H

#include "sig/eip712.h"

#define MSIG_SAFE_PARTS_MAX 64 /* owners that must sign; a higher threshold is refused */
#define MSIG_SAFE_BLOB_MAX_BYTES 65536

/* Domain separator of a Safe: EIP712Domain(uint256 chainId,address verifyingContract). */
struct eth_hash msig_safe_domain(uint64_t chain_id, const struct eth_addr *safe);
/* Struct hash of SafeMessage(bytes message) where message is the 32 bytes of `value`: what
 * isValidSignature(bytes32,bytes) makes of its argument. */
struct eth_hash msig_safe_message_struct(const struct eth_hash *value);
/* The digest owners sign, and the key of signedMessages (slot 7), for `value`. */
struct eth_hash msig_safe_message(uint64_t chain_id, const struct eth_addr *safe,
                                  const struct eth_hash *value);

enum msig_safe_verdict {
    MSIG_SAFE_INVALID = 0,
    MSIG_SAFE_NEEDS_CHAIN, /* nothing wrong so far; `ask` of some parts is set */
    MSIG_SAFE_VALID,
};

/* Why INVALID. The GS codes are the contract's own. */
#define MSIG_SAFE_REASON_MAP(X)                                                                 \
    X(MSIG_SAFE_NO_REASON, "", "nothing is wrong")                                              \
    X(MSIG_SAFE_GS001, "GS001", "the threshold is zero: the Safe is not set up")                \
    X(MSIG_SAFE_GS020, "GS020", "fewer signatures than the threshold")                          \
    X(MSIG_SAFE_GS021, "GS021", "the data of a contract signature lie inside the fixed part")   \
    X(MSIG_SAFE_GS022, "GS022", "the data of a contract signature lie behind the end")          \
    X(MSIG_SAFE_GS023, "GS023", "the data of a contract signature end behind the end")          \
    X(MSIG_SAFE_GS024, "GS024", "a contract does not take its signature")                       \
    X(MSIG_SAFE_GS025, "GS025", "an owner has not approved the hash")                           \
    X(MSIG_SAFE_GS026, "GS026", "a signer is no owner, twice there or out of order")            \
    X(MSIG_SAFE_NOT_SIGNED, "Hash not approved", "no signatures, and no signed message either") \
    X(MSIG_SAFE_REVERT, "revert", "the check reverts without a reason")                         \
    X(MSIG_SAFE_HIGH_S, "high-s", "a signature has the high s; valid on chain, refused here")   \
    X(MSIG_SAFE_LIMIT, "limit", "more owners or more bytes than we look at")

enum msig_safe_reason {
#define MSIG_SAFE_REASON_ENUM(name, code, text) name,
    MSIG_SAFE_REASON_MAP(MSIG_SAFE_REASON_ENUM)
#undef MSIG_SAFE_REASON_ENUM
};

/* "GS026" and "a signer is no owner, ..."; static storage. */
const char *msig_safe_reason_code(enum msig_safe_reason reason);
const char *msig_safe_reason_text(enum msig_safe_reason reason);

enum msig_safe_kind {
    MSIG_SAFE_NONE = 0,
    MSIG_SAFE_ECDSA,    /* v 27, 28: a signature of the hash */
    MSIG_SAFE_ETH_SIGN, /* v 31, 32: a signature of the hash as an EIP-191 message */
    MSIG_SAFE_APPROVED, /* v 1: the owner called approveHash */
    MSIG_SAFE_CONTRACT, /* v 0: the owner is a contract and is asked */
};

/* What only the chain knows of a part. */
enum msig_safe_answer {
    MSIG_SAFE_UNKNOWN = 0,
    MSIG_SAFE_YES,    /* approvedHashes[owner][hash] != 0; the magic value; signedMessages != 0 */
    MSIG_SAFE_NO,     /* zero; another value */
    MSIG_SAFE_FAILED, /* the call reverted, or its answer was empty or short, or there is no code */
};

struct msig_safe_part {
    enum msig_safe_kind kind;
    bool ask;              /* the verdict depends on an answer that was not given */
    struct eth_addr owner; /* recovered or claimed */
    struct ms_span data;   /* CONTRACT: the contract's own signature; borrowed from the blob */
};

struct msig_safe_check {
    struct eth_hash hash; /* what was signed: msig_safe_message, or a transaction's hash */
    struct ms_span blob;  /* borrowed */
    uint64_t threshold;   /* of the Safe */
    const struct eth_addr *owners;
    size_t n_owners;
    /* The caller proves of every part's owner, from the Safe's storage, that it is one; `owners` is
     * not looked at. Then the best verdict on a blob is NEEDS_CHAIN. */
    bool owners_unknown;
    /* Refuse a high s, as everywhere off chain. The contract takes it, so without this the verdict
     * is the contract's; with it nobody can make a second blob out of a published one. */
    bool low_s;
    /* An empty blob asks whether the message was signed on chain (signedMessages), as
     * isValidSignature of the fallback handler does; checkSignatures itself says GS020. */
    bool message;
    enum msig_safe_answer signed_message; /* the answer to that */
    /* what the chain answered for each part: NULL for nothing yet, else `threshold` of them */
    const enum msig_safe_answer *answers;
};

struct msig_safe_result {
    enum msig_safe_verdict verdict;
    enum msig_safe_reason reason; /* of INVALID */
    bool ask_signed_message;
    size_t n_parts; /* looked at: up to and with the one that fails */
    struct msig_safe_part parts[MSIG_SAFE_PARTS_MAX];
};

/* The contract's walk: the first `threshold` parts in order, each with its kind's own check, then
 * that its owner is one and higher than the one before; the first fault ends it. Parts that need an
 * answer are taken as good for the time being. So INVALID is final whatever the chain would answer;
 * its reason is the contract's own once no part before it has `ask`. VALID needs nothing more.
 * How to ask for a CONTRACT part depends on the version: up to 1.4.1 isValidSignature(bytes,bytes)
 * with the preimage of the hash (magic value 0x20c13b0b), from 1.5.0
 * isValidSignature(bytes32,bytes) with the hash (0x1626ba7e). */
void msig_safe_check(const struct msig_safe_check *check, struct msig_safe_result *ret_result);

#endif
