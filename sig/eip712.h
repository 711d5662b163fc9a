/* sig/eip712.h - EIP-191 and EIP-712: prefixes, and the words a struct hash is made of. What a
 * message means is in sig/message.h; typed data of any kind in sig/typed_data.h. Pure;
 * thread-safe. */
#ifndef MS_SIG_EIP712_H
#define MS_SIG_EIP712_H

#include "eth/address.h"
#include "eth/quantity.h"

/* EIP-191 version 0x45, what wallets call personal_sign: the prefix, the length in decimal, the
 * message. */
struct eth_hash msig_personal_hash(struct ms_span message);
/* EIP-191 version 0x00: data for one validating contract. */
struct eth_hash msig_validator_hash(const struct eth_addr *validator, struct ms_span data);
/* EIP-191 version 0x01, EIP-712: keccak256(0x19 0x01 || domain separator || struct hash). */
#define MSIG_PREIMAGE_BYTES 66
void msig_typed_preimage(const struct eth_hash *domain, const struct eth_hash *message,
                         uint8_t out[MSIG_PREIMAGE_BYTES]);
struct eth_hash msig_typed_digest(const struct eth_hash *domain, const struct eth_hash *message);

/* encodeData, a member at a time into a running hash. Begin with the type hash (msig_enc_hash), or
 * with nothing for an array; end with eth_keccak_end. */
void msig_enc_hash(struct eth_keccak *k,
                   const struct eth_hash *hash);         /* bytes32, structs, arrays */
void msig_enc_u64(struct eth_keccak *k, uint64_t value); /* any uintN up to 64 */
void msig_enc_addr(struct eth_keccak *k, const struct eth_addr *addr);
void msig_enc_bytes(struct eth_keccak *k, struct ms_span bytes); /* string, bytes: their hash */
/* address[]: the hash over one word each. */
void msig_enc_addrs(struct eth_keccak *k, const struct eth_addr *addrs, size_t n);

#endif
