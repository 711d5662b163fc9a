/* sig/release_set.h - signed documents as they travel (ethereum.md 5.2, 5.4): release sets, roots,
 * freshness statements and revocations. Parsing is strict inside the message and lax beside it;
 * nothing is trusted until msig_tally has counted enough signers of the document's digest, and the
 * time rules hold. Everything is allocated in the caller's arena and borrows nothing from the text.
 * Pure; thread-safe on different arenas. */
#ifndef MS_SIG_RELEASE_SET_H
#define MS_SIG_RELEASE_SET_H

#include "sig/signatures.h"

#define MSIG_DOC_MAX_BYTES 262144
#define MSIG_ROOT_MAX_BYTES 65536
#define MSIG_DOC_ARENA_BYTES ((size_t)1 << 20) /* an arena of this size holds any document */
#define MSIG_APP_MAX_BYTES 256
#define MSIG_URI_MAX_BYTES 256
#define MSIG_REVOCATIONS_MAX 256

struct msig_set_doc {
    struct msig_release_set set;
    struct eth_hash set_hash, digest;
    struct msig_signatures signatures;
};

struct msig_root_doc {
    struct msig_root root;
    struct eth_hash root_hash, digest;
    struct msig_signatures signatures;
};

struct msig_freshness_doc {
    struct msig_freshness freshness;
    struct eth_hash digest;
    struct msig_signatures signatures;
};

struct msig_revocation_doc {
    struct msig_revocation revocation;
    struct eth_hash digest;
    struct msig_signatures signatures;
};

/* {"type":"measured-release-set/1","set":{..},"payloads":{HASH:BASE64},"signatures":[..]}; payloads
 * and signatures may be missing. A payload under a hash that no release has is not looked at.
 * MS_ERR_LIMIT more than 256 KiB, 64 releases, 32 signatures, or a text too long;
 * MS_ERR_JSON, MS_ERR_JSON_DUPLICATE, MS_ERR_UTF8, MS_ERR_DEPTH not strict JSON of depth 8;
 * MS_ERR_SYNTAX another type, or a member missing or of another kind; MS_ERR_UNKNOWN a member of
 * the set that is not known; MS_ERR_RANGE a number too large for its type; MS_ERR_HEX,
 * MS_ERR_LENGTH; MS_ERR_NONCANONICAL ids or versions that do not rise, a window that ends before it
 * begins, one payload hash twice; MS_ERR_BASE64, MS_ERR_HASH a payload of another size or hash;
 * MS_ERR_ADDRESS a signer; MS_ERR_MEMORY */
MS_MUST_USE enum ms_err msig_set_parse(struct ms_span text, struct ms_arena *arena,
                                       struct msig_set_doc *ret_doc, struct ms_diag *diag);

/* {"type":"measured-root/1","root":{..},"signatures":[..]}, at most 64 KiB. As above, and
 * MS_ERR_SIGNERS: a threshold that its list cannot meet or that is zero, an address twice, epoch 0
 * (that is the specifier's own list). */
MS_MUST_USE enum ms_err msig_root_parse(struct ms_span text, struct ms_arena *arena,
                                        struct msig_root_doc *ret_doc, struct ms_diag *diag);

/* Whether the document is the root that follows `before`: the same app, its epoch plus one, its
 * hash as `previous`, and signed by the threshold of both lists. The list of a specifier stands for
 * a root of epoch 0, with zero as its hash. Expiry is not looked at: only the last root's counts.
 * MS_ERR_SIGNERS another app, epoch or previous; MS_ERR_SIGNATURE as msig_tally, or too few: a
 * contract's signature is not counted here. */
MS_MUST_USE enum ms_err msig_root_follows(const struct msig_root_doc *doc,
                                          const struct msig_root *before, struct ms_diag *diag);

/* {"type":"measured-freshness/1","freshness":{..},"signatures":[..]} */
MS_MUST_USE enum ms_err msig_freshness_parse(struct ms_span text, struct ms_arena *arena,
                                             struct msig_freshness_doc *ret_doc,
                                             struct ms_diag *diag);

/* {"type":"measured-revocations/1","revocations":[{"revocation":{..},"signatures":[..]}]}; each
 * stands for itself: the caller tallies each. */
MS_MUST_USE enum ms_err msig_revocations_parse(struct ms_span text, struct ms_arena *arena,
                                               struct msig_revocation_doc **ret_docs, size_t *ret_n,
                                               struct ms_diag *diag);

/* ---- time; Unix seconds ---- */
#define MSIG_CLOCK_SKEW_S 300
#define MSIG_SET_LIFE_MAX_S (90 * 86400)
#define MSIG_FRESHNESS_LIFE_MAX_S (7 * 86400)

/* MS_ERR_CLOCK issued more than 300 s after now; MS_ERR_STALE now is validUntil or later;
 * MS_ERR_RANGE it would be valid for longer than 90 days (a freshness statement: 7). */
MS_MUST_USE enum ms_err msig_set_time(const struct msig_release_set *set, int64_t now_s,
                                      struct ms_diag *diag);
MS_MUST_USE enum ms_err msig_freshness_time(const struct msig_freshness *freshness, int64_t now_s,
                                            struct ms_diag *diag);
/* Of the last root only. MS_ERR_STALE */
MS_MUST_USE enum ms_err msig_root_time(const struct msig_root *root, int64_t now_s,
                                       struct ms_diag *diag);

/* ---- order (ethereum.md 5.4, step 5) ---- */
struct msig_floor { /* the last set that was accepted; zero for none */
    uint64_t epoch; /* of the root that it was checked against */
    uint64_t sequence;
    struct eth_hash set_hash;
    bool known;
};

enum msig_order {
    MSIG_ORDER_ROLLBACK = 0, /* below the floor */
    MSIG_ORDER_CONFLICT,     /* the floor's sequence with another hash */
    MSIG_ORDER_BROKEN,       /* the next sequence, but `previous` is not the floor's hash */
    MSIG_ORDER_SAME,
    MSIG_ORDER_FIRST, /* nothing to compare with: no floor, or a new epoch */
    MSIG_ORDER_NEXT,
    MSIG_ORDER_GAP, /* sets between are missing: fetch them, or accept by policy */
};
enum msig_order msig_set_order(const struct msig_set_doc *doc, uint64_t epoch,
                               const struct msig_floor *floor);

#endif
