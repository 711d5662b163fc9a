/* sig/eip712.c - prefixes and words. */
#include "sig/eip712.h"

#include <stdio.h>

struct eth_hash msig_personal_hash(struct ms_span message)
{
    static const char prefix[] = "\x19"
                                 "Ethereum Signed Message:\n";
    char len[24];
    struct eth_keccak k;

    (void)snprintf(len, sizeof(len), "%zu", message.len);
    eth_keccak_init(&k);
    eth_keccak_add(&k, ms_span_str(prefix));
    eth_keccak_add(&k, ms_span_str(len));
    eth_keccak_add(&k, message);
    return eth_keccak_end(&k);
}

struct eth_hash msig_validator_hash(const struct eth_addr *validator, struct ms_span data)
{
    static const uint8_t prefix[2] = {0x19, 0x00};
    struct eth_keccak k;

    eth_keccak_init(&k);
    eth_keccak_add(&k, ms_span_of(prefix, sizeof(prefix)));
    eth_keccak_add(&k, ms_span_of(validator->b, ETH_ADDR_BYTES));
    eth_keccak_add(&k, data);
    return eth_keccak_end(&k);
}

void msig_typed_preimage(const struct eth_hash *domain, const struct eth_hash *message,
                         uint8_t out[MSIG_PREIMAGE_BYTES])
{
    out[0] = 0x19;
    out[1] = 0x01;
    memcpy(out + 2, domain->b, ETH_HASH_BYTES);
    memcpy(out + 2 + ETH_HASH_BYTES, message->b, ETH_HASH_BYTES);
}

struct eth_hash msig_typed_digest(const struct eth_hash *domain, const struct eth_hash *message)
{
    uint8_t preimage[MSIG_PREIMAGE_BYTES];

    msig_typed_preimage(domain, message, preimage);
    return eth_keccak256(ms_span_of(preimage, sizeof(preimage)));
}

void msig_enc_hash(struct eth_keccak *k, const struct eth_hash *hash)
{
    eth_keccak_add(k, eth_hash_span(hash));
}

void msig_enc_u64(struct eth_keccak *k, uint64_t value)
{
    struct eth_word word = eth_word_u64(value);
    eth_keccak_add(k, eth_word_span(&word));
}

void msig_enc_addr(struct eth_keccak *k, const struct eth_addr *addr)
{
    static const uint8_t pad[ETH_WORD_BYTES - ETH_ADDR_BYTES];

    eth_keccak_add(k, ms_span_of(pad, sizeof(pad)));
    eth_keccak_add(k, ms_span_of(addr->b, ETH_ADDR_BYTES));
}

void msig_enc_bytes(struct eth_keccak *k, struct ms_span bytes)
{
    struct eth_hash hash = eth_keccak256(bytes);
    msig_enc_hash(k, &hash);
}

void msig_enc_addrs(struct eth_keccak *k, const struct eth_addr *addrs, size_t n)
{
    struct eth_keccak inner;

    eth_keccak_init(&inner);
    for (size_t i = 0; i < n; i++)
        msig_enc_addr(&inner, &addrs[i]);
    struct eth_hash hash = eth_keccak_end(&inner);
    msig_enc_hash(k, &hash);
}
