/* sig/pubkey.c - public key to address. */
#include "sig/pubkey.h"

#include "eth/keccak.h"

#include <secp256k1.h>

static bool known_form(struct ms_span key)
{
    if (key.len == MSIG_PUBKEY_COMPRESSED_BYTES)
        return key.ptr[0] == 0x02 || key.ptr[0] == 0x03;
    return key.len == MSIG_PUBKEY_FULL_BYTES && key.ptr[0] == 0x04;
}

enum ms_err msig_pubkey_addr(struct ms_span key, struct eth_addr *ret_addr)
{
    uint8_t full[MSIG_PUBKEY_FULL_BYTES];
    size_t full_len = sizeof(full);
    secp256k1_pubkey point;

    /* the static context suffices to parse and serialise; it has no state to race on */
    if (!known_form(key) ||
        secp256k1_ec_pubkey_parse(secp256k1_context_static, &point, key.ptr, key.len) != 1 ||
        secp256k1_ec_pubkey_serialize(secp256k1_context_static, full, &full_len, &point,
                                      SECP256K1_EC_UNCOMPRESSED) != 1)
        return MS_ERR_PUBKEY;
    struct eth_hash hash = eth_keccak256(ms_span_of(full + 1, 64));
    memcpy(ret_addr->b, hash.b + 12, ETH_ADDR_BYTES);
    return MS_OK;
}
