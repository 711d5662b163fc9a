/* sig/secp_sign.c - deterministic signatures over libsecp256k1. */
#include "sig/secp_sign.h"

#include "base/digest.h"
#include "sig/pubkey.h"

#include <secp256k1_recovery.h>

static bool addr_of(const secp256k1_context *ctx, const uint8_t *key, struct eth_addr *ret_addr)
{
    uint8_t full[MSIG_PUBKEY_FULL_BYTES];
    size_t len = sizeof(full);
    secp256k1_pubkey point;

    return secp256k1_ec_pubkey_create(ctx, &point, key) == 1 &&
           secp256k1_ec_pubkey_serialize(ctx, full, &len, &point, SECP256K1_EC_UNCOMPRESSED) == 1 &&
           msig_pubkey_addr(ms_span_of(full, len), ret_addr) == MS_OK;
}

/* The library's default nonce is that of RFC 6979, and its s is always the low one. */
static enum ms_err sign(const secp256k1_context *ctx, const struct eth_hash *digest,
                        const uint8_t *key, uint8_t *sig, struct eth_addr *ret_signer,
                        struct ms_diag *diag)
{
    secp256k1_ecdsa_recoverable_signature made;
    struct eth_addr recovered;
    int id = 0;

    if (secp256k1_ec_seckey_verify(ctx, key) != 1)
        return ms_diag_set(diag, MS_ERR_RANGE, "the key is zero or not below the curve's order");
    if (!addr_of(ctx, key, ret_signer) ||
        secp256k1_ecdsa_sign_recoverable(ctx, &made, digest->b, key, NULL, NULL) != 1 ||
        secp256k1_ecdsa_recoverable_signature_serialize_compact(ctx, sig, &id, &made) != 1)
        return MS_ERR_INTERNAL;
    sig[MSIG_BYTES - 1] = (uint8_t)(27 + id);
    /* a bit that flipped while signing could betray the key: such a signature never leaves here */
    if (msig_recover(digest, ms_span_of(sig, MSIG_BYTES), &recovered, NULL) != MS_OK ||
        !eth_addr_eq(&recovered, ret_signer))
        return ms_diag_set(diag, MS_ERR_INTERNAL, "the signature just made does not verify");
    return MS_OK;
}

enum ms_err msig_sign(const struct eth_hash *digest, const uint8_t key[MSIG_KEY_BYTES],
                      uint8_t ret_sig[MSIG_BYTES], struct eth_addr *ret_signer,
                      struct ms_diag *diag)
{
    uint8_t sig[MSIG_BYTES];
    struct eth_addr signer;

    /* the constant context cannot sign */
    secp256k1_context *ctx = secp256k1_context_create(SECP256K1_CONTEXT_SIGN);
    if (ctx == NULL)
        return MS_ERR_MEMORY;
    enum ms_err err = sign(ctx, digest, key, sig, &signer, diag);
    secp256k1_context_destroy(ctx);
    if (err == MS_OK) {
        memcpy(ret_sig, sig, sizeof(sig));
        if (ret_signer != NULL)
            *ret_signer = signer;
    }
    ms_wipe(sig, sizeof(sig));
    return err;
}
