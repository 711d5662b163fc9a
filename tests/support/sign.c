/* tests/support/sign.c - signing, which no room of ours does. */
#include "tests/support/sign.h"

#include "sig/pubkey.h"

#include <secp256k1_recovery.h>
#include <stdlib.h>

static void must(int ok)
{
    if (ok != 1)
        abort();
}

struct eth_addr sign_addr(uint8_t fill)
{
    secp256k1_context *ctx = secp256k1_context_create(SECP256K1_CONTEXT_NONE);
    uint8_t key[32], full[MSIG_PUBKEY_FULL_BYTES];
    size_t len = sizeof(full);
    secp256k1_pubkey point;
    struct eth_addr addr = {{0}};

    memset(key, fill, sizeof(key));
    must(secp256k1_ec_pubkey_create(ctx, &point, key));
    must(secp256k1_ec_pubkey_serialize(ctx, full, &len, &point, SECP256K1_EC_UNCOMPRESSED));
    must(msig_pubkey_addr(ms_span_of(full, len), &addr) == MS_OK);
    secp256k1_context_destroy(ctx);
    return addr;
}

void sign_digest(uint8_t fill, const struct eth_hash *digest, uint8_t out[65])
{
    secp256k1_context *ctx = secp256k1_context_create(SECP256K1_CONTEXT_NONE);
    secp256k1_ecdsa_recoverable_signature sig;
    uint8_t key[32];
    int id = 0;

    memset(key, fill, sizeof(key));
    must(secp256k1_ecdsa_sign_recoverable(ctx, &sig, digest->b, key, NULL, NULL));
    must(secp256k1_ecdsa_recoverable_signature_serialize_compact(ctx, out, &id, &sig));
    out[64] = (uint8_t)(27 + id);
    secp256k1_context_destroy(ctx);
}

void sign_malleate(uint8_t sig[65])
{
    must(secp256k1_ec_seckey_negate(secp256k1_context_static, sig + 32)); /* any scalar: n - s */
    sig[64] ^= 27 ^ 28;
}
