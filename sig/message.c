/* sig/message.c - struct hashes. */
#include "sig/message.h"

#define RELEASE_TYPE                                                                        \
    "Release(uint64 id,uint64 version,uint64 notBefore,uint64 notAfter,uint64 approvedSeq," \
    "uint16 payloadFormat,uint32 payloadSize,bytes32 payloadHash,string uri)"

/* ethereum.md 3.3 and 5.1; a unit test recomputes each hash from its string */
static const struct {
    const char *string;
    struct eth_hash hash;
} types[] = {
    [MSIG_TYPE_RELEASE] = {RELEASE_TYPE,
                           {{0x0c, 0x61, 0x88, 0xf5, 0x46, 0xdf, 0x4d, 0x69, 0xd9, 0x62, 0x57,
                             0x53, 0xef, 0x43, 0x80, 0x29, 0x8a, 0x64, 0xec, 0xac, 0xde, 0x62,
                             0xb0, 0x3b, 0xf6, 0xe3, 0x50, 0xb6, 0x88, 0x77, 0x74, 0x28}}},
    [MSIG_TYPE_SET] =
        {"ReleaseSet(string app,uint64 sequence,uint64 issuedAt,uint64 validUntil,bytes32 previous,"
         "Release[] releases)" RELEASE_TYPE,
         {{0xc2, 0x06, 0x3a, 0x11, 0x49, 0xc1, 0x99, 0x10, 0x90, 0x55, 0x90,
           0x5d, 0x41, 0xee, 0x95, 0xd5, 0x75, 0x49, 0xce, 0x1f, 0xa0, 0x70,
           0xca, 0x7d, 0x04, 0x7a, 0x6f, 0x0f, 0x84, 0x3c, 0xe9, 0x56}}},
    [MSIG_TYPE_ROOT] =
        {"Root(string app,uint64 epoch,uint32 threshold,address[] signers,uint32 freshThreshold,"
         "address[] freshSigners,address[] revokers,uint64 validUntil,bytes32 previous)",
         {{0x7e, 0x04, 0x22, 0x5d, 0xf5, 0xa9, 0x24, 0x76, 0xd2, 0xf6, 0x2a,
           0x90, 0x37, 0x63, 0x5b, 0x6c, 0xef, 0x41, 0xbc, 0x5f, 0x0b, 0x03,
           0x73, 0x75, 0x4d, 0x93, 0x59, 0xa3, 0x2d, 0x4b, 0x9b, 0x84}}},
    [MSIG_TYPE_FRESHNESS] =
        {"Freshness(string app,uint64 sequence,bytes32 setHash,uint64 issuedAt,uint64 validUntil)",
         {{0xff, 0x87, 0x7e, 0x07, 0x67, 0x2d, 0xa0, 0x62, 0xcc, 0x55, 0xa2,
           0x5f, 0xa0, 0xf5, 0x19, 0xf0, 0x9c, 0xff, 0xc6, 0xc1, 0x64, 0xe0,
           0xd8, 0xd6, 0xf3, 0x8a, 0xf9, 0x8b, 0xb9, 0x99, 0x10, 0x1b}}},
    [MSIG_TYPE_REVOCATION] = {"Revocation(string app,uint64 releaseId,bytes32 payloadHash,uint32 "
                              "reason,uint64 issuedAt)",
                              {{0x97, 0xb5, 0x1a, 0xfe, 0xb7, 0xf0, 0xfc, 0x32, 0x1e, 0x57, 0xb9,
                                0x5a, 0xc8, 0xb9, 0x72, 0xca, 0xe5, 0xb4, 0x43, 0x90, 0x9b, 0x66,
                                0x61, 0x03, 0x3a, 0x7c, 0x3e, 0xdb, 0x02, 0x66, 0x97, 0x74}}},
    [MSIG_TYPE_DOMAIN] = {"EIP712Domain(string name,string version,bytes32 salt)",
                          {{0x59, 0x9a, 0x80, 0xfc, 0xaa, 0x47, 0xb9, 0x5e, 0x23, 0x23, 0xab,
                            0x4d, 0x34, 0xd3, 0x4e, 0x0c, 0xc9, 0xfe, 0xda, 0x4b, 0x84, 0x3e,
                            0xda, 0xfc, 0xc3, 0x0c, 0x7b, 0xdf, 0x60, 0xea, 0x15, 0xbf}}},
};

const char *msig_type_string(enum msig_type type)
{
    return types[type].string;
}

struct eth_hash msig_type_hash(enum msig_type type)
{
    return types[type].hash;
}

static void begin(struct eth_keccak *k, enum msig_type type)
{
    eth_keccak_init(k);
    msig_enc_hash(k, &types[type].hash);
}

static void enc_sha256(struct eth_keccak *k, const struct ms_sha256 *hash)
{
    eth_keccak_add(k, ms_span_of(hash->b, sizeof(hash->b)));
}

struct eth_hash msig_domain(struct ms_span app)
{
    struct eth_keccak k;

    begin(&k, MSIG_TYPE_DOMAIN);
    msig_enc_bytes(&k, ms_span_str(MSIG_DOMAIN_NAME));
    msig_enc_bytes(&k, ms_span_str(MSIG_DOMAIN_VERSION));
    msig_enc_bytes(&k, app); /* the salt: bytes32 of the hash itself */
    return eth_keccak_end(&k);
}

struct eth_hash msig_release_hash(const struct msig_release *release)
{
    struct eth_keccak k;

    begin(&k, MSIG_TYPE_RELEASE);
    msig_enc_u64(&k, release->id);
    msig_enc_u64(&k, release->version);
    msig_enc_u64(&k, release->not_before_s);
    msig_enc_u64(&k, release->not_after_s);
    msig_enc_u64(&k, release->approved_seq);
    msig_enc_u64(&k, release->payload_format);
    msig_enc_u64(&k, release->payload_size);
    enc_sha256(&k, &release->payload_hash);
    msig_enc_bytes(&k, release->uri);
    return eth_keccak_end(&k);
}

static struct eth_hash releases_hash(const struct msig_release_set *set)
{
    struct eth_keccak k;

    eth_keccak_init(&k);
    for (size_t i = 0; i < set->n_releases; i++) {
        struct eth_hash hash = msig_release_hash(&set->releases[i]);
        msig_enc_hash(&k, &hash);
    }
    return eth_keccak_end(&k);
}

struct eth_hash msig_set_hash(const struct msig_release_set *set)
{
    struct eth_hash releases = releases_hash(set);
    struct eth_keccak k;

    begin(&k, MSIG_TYPE_SET);
    msig_enc_bytes(&k, set->app);
    msig_enc_u64(&k, set->sequence);
    msig_enc_u64(&k, set->issued_at_s);
    msig_enc_u64(&k, set->valid_until_s);
    msig_enc_hash(&k, &set->previous);
    msig_enc_hash(&k, &releases);
    return eth_keccak_end(&k);
}

struct eth_hash msig_root_hash(const struct msig_root *root)
{
    struct eth_keccak k;

    begin(&k, MSIG_TYPE_ROOT);
    msig_enc_bytes(&k, root->app);
    msig_enc_u64(&k, root->epoch);
    msig_enc_u64(&k, root->signers.threshold);
    msig_enc_addrs(&k, root->signers.addrs, root->signers.n);
    msig_enc_u64(&k, root->fresh.threshold);
    msig_enc_addrs(&k, root->fresh.addrs, root->fresh.n);
    msig_enc_addrs(&k, root->revokers.addrs, root->revokers.n);
    msig_enc_u64(&k, root->valid_until_s);
    msig_enc_hash(&k, &root->previous);
    return eth_keccak_end(&k);
}

struct eth_hash msig_freshness_hash(const struct msig_freshness *freshness)
{
    struct eth_keccak k;

    begin(&k, MSIG_TYPE_FRESHNESS);
    msig_enc_bytes(&k, freshness->app);
    msig_enc_u64(&k, freshness->sequence);
    msig_enc_hash(&k, &freshness->set_hash);
    msig_enc_u64(&k, freshness->issued_at_s);
    msig_enc_u64(&k, freshness->valid_until_s);
    return eth_keccak_end(&k);
}

struct eth_hash msig_revocation_hash(const struct msig_revocation *revocation)
{
    struct eth_keccak k;

    begin(&k, MSIG_TYPE_REVOCATION);
    msig_enc_bytes(&k, revocation->app);
    msig_enc_u64(&k, revocation->release_id);
    enc_sha256(&k, &revocation->payload_hash);
    msig_enc_u64(&k, revocation->reason);
    msig_enc_u64(&k, revocation->issued_at_s);
    return eth_keccak_end(&k);
}

static struct eth_hash digest(struct ms_span app, struct eth_hash message)
{
    struct eth_hash domain = msig_domain(app);
    return msig_typed_digest(&domain, &message);
}

struct eth_hash msig_set_digest(const struct msig_release_set *set)
{
    return digest(set->app, msig_set_hash(set));
}

struct eth_hash msig_root_digest(const struct msig_root *root)
{
    return digest(root->app, msig_root_hash(root));
}

struct eth_hash msig_freshness_digest(const struct msig_freshness *freshness)
{
    return digest(freshness->app, msig_freshness_hash(freshness));
}

struct eth_hash msig_revocation_digest(const struct msig_revocation *revocation)
{
    return digest(revocation->app, msig_revocation_hash(revocation));
}
