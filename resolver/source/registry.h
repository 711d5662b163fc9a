/* resolver/source/registry.h - the measurement registry contract
 * (contracts-abi/MeasurementRegistry.sol): its state out of an eth_call answer, bound to the
 * commitment that storage slot 0 proves; what is in force; and the logs of its history, of which
 * history_chain.h makes the chain.
 * ethereum.md 3.1 to 3.5. Pure; nothing here knows of requests. */
#ifndef MS_SOURCE_REGISTRY_H
#define MS_SOURCE_REGISTRY_H

#include "base/arena.h"
#include "base/digest.h"
#include "eth/address.h"
#include "eth/jsonrpc.h"

#define REGISTRY_RELEASES_MAX 64
#define REGISTRY_URI_MAX_BYTES 256
#define REGISTRY_COMMITMENT_SLOT 0 /* the storage key to prove */

struct registry_state { /* EIP-712 `State`, in its member order */
    uint64_t sequence;
    uint64_t updated_at_s; /* block.timestamp of the last operation */
    uint64_t updated_block;
    uint64_t valid_until_s; /* governance heartbeat, inclusive; 0 none */
    uint64_t min_delay_s;
    struct eth_addr owner;
    struct eth_addr guardian; /* zero for none */
    struct eth_hash history_hash;
    struct eth_hash releases_hash;
};

struct registry_release { /* EIP-712 `Release`, in its member order */
    uint64_t id;
    uint64_t version;
    uint64_t not_before_s;
    uint64_t not_after_s; /* exclusive; 0 no end */
    uint64_t approved_seq;
    uint16_t payload_format; /* 1 measurement JSON, 2 its gzip, 3 workload ids, 4 dstack hashes */
    uint32_t payload_size;
    struct ms_sha256 payload_hash;
    struct ms_span uri; /* printable ASCII; borrowed from the answer */
    struct ms_span
        payload; /* empty: not on chain, or not asked for; else its size and hash are checked */
};

struct registry_snapshot {
    struct registry_state state;
    size_t n_releases;
    struct registry_release *releases; /* live ones, ids strictly rising; in the arena */
};

/* Decode the answer of snapshotWithPayloads(). Strict: canonical ABI, at most 64 releases, ids
 * strictly rising, uri at most 256 bytes of printable ASCII, one payload a release. Nothing is
 * proven yet. answer  borrowed by the result MS_ERR_ABI not of this form; MS_ERR_HASH a payload
 * that is present has another size or SHA-256 than its release says; MS_ERR_MEMORY the arena */
MS_MUST_USE enum ms_err registry_decode(struct ms_span answer, struct ms_arena *arena,
                                        struct registry_snapshot *ret_snapshot,
                                        struct ms_diag *diag);
/* The same for the answer of snapshot(), which has no payloads. */
MS_MUST_USE enum ms_err registry_decode_bare(struct ms_span answer, struct ms_arena *arena,
                                             struct registry_snapshot *ret_snapshot,
                                             struct ms_diag *diag);

/* A decoded tuple `Release`. MS_ERR_ABI its uri is too long or not printable ASCII. */
struct eth_abi_value;
MS_MUST_USE enum ms_err registry_release_of(const struct eth_abi_value *tuple,
                                            struct registry_release *ret_release,
                                            struct ms_diag *diag);

/* keccak256 over the struct hashes of the releases, in order. */
struct eth_hash registry_releases_hash(const struct registry_snapshot *snapshot);
/* EIP-712 struct hash of the state, with the releases' hash recomputed: the value of slot 0 when
 * the snapshot is what the contract says. */
struct eth_hash registry_commitment(const struct registry_snapshot *snapshot);

/* Decode and require that the commitment is the proven value of slot 0, and that the state's own
 * releasesHash is that of the releases.
 * As registry_decode, and MS_ERR_COMMITMENT. */
MS_MUST_USE enum ms_err registry_verify(const struct eth_word *slot0, struct ms_span answer,
                                        struct ms_arena *arena,
                                        struct registry_snapshot *ret_snapshot,
                                        struct ms_diag *diag);

/* Pessimistic both ways: nothing begins before the chain says so, and everything ends when either
 * the chain's or our own clock says so. */
enum registry_force {
    REGISTRY_ENDED = 0, /* past notAfter */
    REGISTRY_LAPSED,    /* past validUntil: nothing of this state is in force */
    REGISTRY_PENDING,   /* before notBefore */
    REGISTRY_IN_FORCE,
};
enum registry_force registry_in_force(const struct registry_state *state,
                                      const struct registry_release *release, uint64_t chain_time_s,
                                      int64_t wall_time_s);

/* ---- history ---- */
enum registry_kind { /* of operations; as in the contract's events */
                     REGISTRY_INIT = 0,
                     REGISTRY_APPROVE,
                     REGISTRY_REVOKE,
                     REGISTRY_SHORTEN,
                     REGISTRY_PRUNE,
                     REGISTRY_HEARTBEAT,
                     REGISTRY_RAISE_MIN_DELAY,
                     REGISTRY_SET_GUARDIAN,
                     REGISTRY_TRANSFER_STARTED,
                     REGISTRY_TRANSFER_ACCEPTED,
};

struct registry_event { /* one HistoryAppended log */
    uint64_t sequence;
    uint8_t kind; /* enum registry_kind, or a later one */
    uint64_t id;  /* of the release, 0 for operations without one */
    uint64_t block, prev_block;
    uint64_t timestamp_s;
    struct ms_span data; /* ABI encoding of the operation's fields; borrowed from the log */
    struct eth_hash history_hash;
};

/* Whether a log of this contract is a link of its history. */
bool registry_is_history(const struct eth_log *log);
/* MS_ERR_ABI no HistoryAppended log, or malformed; MS_ERR_MEMORY */
MS_MUST_USE enum ms_err registry_event_decode(const struct eth_log *log, struct ms_arena *arena,
                                              struct registry_event *ret_event,
                                              struct ms_diag *diag);
/* Hash of a link: over the hash before it (zero for the first) and the event's own fields. */
struct eth_hash registry_history_hash(const struct eth_hash *before,
                                      const struct registry_event *event);

#endif
