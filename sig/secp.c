/* sig/secp.c - recovery over libsecp256k1. */
#include "sig/secp.h"

#include "sig/pubkey.h"

#include <secp256k1_recovery.h>

/* Not `secp256k1_context_create`: recovery and verification need no secrets, and the constant
 * context can be used by all threads at once. */
#define CTX secp256k1_context_static

struct recovered {
    secp256k1_pubkey key;
    secp256k1_ecdsa_signature sig;
    struct eth_addr signer;
    bool high_s;
};

/* recovery_id 0 or 1: 2 and 3 mean an r that was reduced, which Ethereum does not have. */
static bool recover(const struct eth_hash *digest, const uint8_t rs[64], int recovery_id,
                    struct recovered *out)
{
    secp256k1_ecdsa_recoverable_signature sig;
    uint8_t full[MSIG_PUBKEY_FULL_BYTES];
    size_t len = sizeof(full);

    if (secp256k1_ecdsa_recoverable_signature_parse_compact(CTX, &sig, rs, recovery_id) != 1 ||
        secp256k1_ecdsa_recover(CTX, &out->key, &sig, digest->b) != 1 ||
        secp256k1_ecdsa_recoverable_signature_convert(CTX, &out->sig, &sig) != 1 ||
        secp256k1_ec_pubkey_serialize(CTX, full, &len, &out->key, SECP256K1_EC_UNCOMPRESSED) != 1)
        return false;
    out->high_s = secp256k1_ecdsa_signature_normalize(CTX, NULL, &out->sig) != 0;
    return msig_pubkey_addr(ms_span_of(full, len), &out->signer) == MS_OK;
}

static bool is_zero(const uint8_t scalar[32])
{
    static const uint8_t zero[32];
    return memcmp(scalar, zero, sizeof(zero)) == 0;
}

/* The library parses only r and s below n. */
static bool in_range(const uint8_t rs[64])
{
    secp256k1_ecdsa_signature sig;
    return !is_zero(rs) && !is_zero(rs + 32) &&
           secp256k1_ecdsa_signature_parse_compact(CTX, &sig, rs) == 1;
}

enum ms_err msig_recover(const struct eth_hash *digest, struct ms_span sig,
                         struct eth_addr *ret_signer, struct ms_diag *diag)
{
    struct recovered found;

    if (sig.len == MSIG_BYTES - 1)
        return ms_diag_set(diag, MS_ERR_LENGTH,
                           "signature: 64 bytes, the compact form (EIP-2098) is not taken");
    if (sig.len != MSIG_BYTES)
        return ms_diag_set(diag, MS_ERR_LENGTH, "signature: %zu bytes instead of 65", sig.len);
    uint8_t v = sig.ptr[64];
    if (v != 0 && v != 1 && v != 27 && v != 28)
        return ms_diag_set(diag, MS_ERR_RANGE, "signature: v is %u, not 27, 28, 0 or 1", v);
    if (!in_range(sig.ptr))
        return ms_diag_set(diag, MS_ERR_RANGE, "signature: r or s is zero or not below the order");
    if (!recover(digest, sig.ptr, v >= 27 ? v - 27 : v, &found))
        return ms_diag_set(diag, MS_ERR_SIGNATURE, "signature: no key can have made it");
    if (found.high_s)
        return ms_diag_set(diag, MS_ERR_NONCANONICAL,
                           "signature: s is above half the order; only the low form is taken");
    /* recovery takes what verification refuses: both must agree */
    if (secp256k1_ecdsa_verify(CTX, &found.sig, digest->b, &found.key) != 1)
        return ms_diag_set(diag, MS_ERR_SIGNATURE, "signature: it does not verify");
    *ret_signer = found.signer;
    return MS_OK;
}

bool msig_ecrecover(const struct eth_hash *digest, const uint8_t rs[64], uint8_t v,
                    struct eth_addr *ret_signer, bool *ret_high_s)
{
    struct recovered found;

    if ((v != 27 && v != 28) || !in_range(rs) || !recover(digest, rs, v - 27, &found))
        return false;
    *ret_signer = found.signer;
    if (ret_high_s != NULL)
        *ret_high_s = found.high_s;
    return true;
}
