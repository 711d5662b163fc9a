/* eth/proof.h - eth_getProof answers (EIP-1186) against a state root that is already believed.
 * Pure; thread-safe. */
#ifndef MS_ETH_PROOF_H
#define MS_ETH_PROOF_H

#include "eth/address.h"
#include "eth/mpt.h"

#define ETH_PROOF_KEYS_MAX 64 /* storage keys of one answer */

struct eth_account {
    bool exists; /* false: proven that there is no such account; the rest is as of an empty one */
    uint64_t nonce;
    struct eth_word balance_wei;
    struct eth_hash storage_root; /* eth_empty_trie_root without storage */
    struct eth_hash code_hash;    /* eth_empty_code_hash without code, also when !exists */
};

/* Verify a whole answer: the account's proof against state_root, each storage proof against the
 * proven storage root. The members balance, nonce, codeHash, storageHash, key and value are claims:
 * each is compared with what is proven, and a difference refuses the answer. For an account that is
 * proven absent, codeHash and storageHash may be zero or the hashes of nothing: clients differ.
 *   answer      borrowed, the `result` of the call
 *   address     the one asked for; the answer's own is only compared
 *   keys        the storage keys asked for, in the order asked; the answer must have just these
 *   ret_values  caller's, n_keys of them; zero where proven absent; written only on MS_OK
 * MS_ERR_RPC_SHAPE  not of the form of an answer
 * MS_ERR_PROOF      a proof does not verify, a claim differs from what it proves, or the storage
 *                   proofs are not those of the keys
 * MS_ERR_LIMIT      more than 65 nodes in a proof or 1 KiB in a node, or more than
 * ETH_PROOF_KEYS_MAX keys MS_ERR_MEMORY */
MS_MUST_USE enum ms_err eth_proof_verify(const json_t *answer, const struct eth_hash *state_root,
                                         const struct eth_addr *address,
                                         const struct eth_word *keys, size_t n_keys,
                                         struct eth_account *ret_account,
                                         struct eth_word *ret_values, struct ms_diag *diag);

#endif
