/* sig/message.h - the messages that signers of release sets sign (EIP-712; ethereum.md 5.1), their
 * struct hashes and digests. The types are frozen: a new field would be a new type. Pure; no
 * allocation; thread-safe. */
#ifndef MS_SIG_MESSAGE_H
#define MS_SIG_MESSAGE_H

#include "base/digest.h"
#include "sig/eip712.h"

#define MSIG_RELEASES_MAX 64
#define MSIG_SIGNERS_MAX 32 /* a specifier names at most 16, a root may name more */

struct msig_release { /* EIP-712 `Release`, in its member order */
    uint64_t id;
    uint64_t version;
    uint64_t not_before_s;
    uint64_t not_after_s; /* exclusive; 0 no end */
    uint64_t approved_seq;
    uint16_t payload_format; /* as in the registry: 1 measurement JSON, 2 its gzip, ... */
    uint32_t payload_size;
    struct ms_sha256 payload_hash;
    struct ms_span uri; /* printable ASCII */
    /* Not signed itself. Empty: the document does not carry it; else its size and hash are those
     * above. */
    struct ms_span payload;
};

struct msig_release_set { /* `ReleaseSet` */
    struct ms_span app;
    uint64_t sequence;
    uint64_t issued_at_s;
    uint64_t valid_until_s;   /* exclusive */
    struct eth_hash previous; /* set hash of the set before; 0 for the first */
    size_t n_releases;
    struct msig_release *releases;
};

struct msig_signers { /* who may sign, and how many must */
    uint32_t threshold;
    size_t n;
    struct eth_addr addrs[MSIG_SIGNERS_MAX];
};

struct msig_root { /* `Root` */
    struct ms_span app;
    uint64_t epoch;
    struct msig_signers signers;  /* of sets, and of the next root */
    struct msig_signers fresh;    /* of freshness statements; n 0: there are none */
    struct msig_signers revokers; /* any one may revoke: threshold is 1; n 0: nobody */
    uint64_t valid_until_s;
    struct eth_hash previous;
};

struct msig_freshness { /* `Freshness` */
    struct ms_span app;
    uint64_t sequence;
    struct eth_hash set_hash;
    uint64_t issued_at_s;
    uint64_t valid_until_s;
};

struct msig_revocation { /* `Revocation` */
    struct ms_span app;
    uint64_t release_id;
    struct ms_sha256 payload_hash;
    uint32_t reason;
    uint64_t issued_at_s;
};

/* The type strings as they are hashed, with NUL; static storage. */
enum msig_type {
    MSIG_TYPE_RELEASE,
    MSIG_TYPE_SET,
    MSIG_TYPE_ROOT,
    MSIG_TYPE_FRESHNESS,
    MSIG_TYPE_REVOCATION,
    MSIG_TYPE_DOMAIN
};
const char *msig_type_string(enum msig_type type);
struct eth_hash msig_type_hash(enum msig_type type);

/* Name, version, and salt = keccak256(app): signers of two applications can use the same keys. */
#define MSIG_DOMAIN_NAME "measured release set"
#define MSIG_DOMAIN_VERSION "1"
struct eth_hash msig_domain(struct ms_span app);

/* Struct hashes. That of a set is what `previous` and `setHash` name. */
struct eth_hash msig_release_hash(const struct msig_release *release);
struct eth_hash msig_set_hash(const struct msig_release_set *set);
struct eth_hash msig_root_hash(const struct msig_root *root);
struct eth_hash msig_freshness_hash(const struct msig_freshness *freshness);
struct eth_hash msig_revocation_hash(const struct msig_revocation *revocation);

/* What is signed: the struct hash in the domain of the message's own app. */
struct eth_hash msig_set_digest(const struct msig_release_set *set);
struct eth_hash msig_root_digest(const struct msig_root *root);
struct eth_hash msig_freshness_digest(const struct msig_freshness *freshness);
struct eth_hash msig_revocation_digest(const struct msig_revocation *revocation);

#endif
