/* sig/message_json.h - messages as JSON: in a document, and as the typed data of
 * eth_signTypedData_v4 that wallets and Safes take. Pure; new references; NULL when out of memory,
 * or for text that is no UTF-8. */
#ifndef MS_SIG_MESSAGE_JSON_H
#define MS_SIG_MESSAGE_JSON_H

#include "base/json.h"
#include "sig/message.h"

/* The members of the struct in their order: an integer up to 2^53 - 1 as a number, which every
 * JSON reader keeps exactly, a larger one as a decimal string; hashes in hex, addresses with their
 * checksum. What msig_set_parse and the others read as the same message. */
json_t *msig_set_json(const struct msig_release_set *set);
json_t *msig_root_json(const struct msig_root *root);
json_t *msig_freshness_json(const struct msig_freshness *freshness);
json_t *msig_revocation_json(const struct msig_revocation *revocation);

/* {"types","domain","primaryType","message"}, EIP712Domain among the types: some devices refuse
 * data without it.
 *   type     not MSIG_TYPE_RELEASE and not MSIG_TYPE_DOMAIN
 *   message  of that type, its reference is taken; NULL gives NULL */
json_t *msig_typed_json(enum msig_type type, json_t *message);

/* What the owners of a Safe sign for `value`: SafeMessage in the Safe's own domain (sig/safe.h). */
json_t *msig_safe_typed_json(uint64_t chain_id, const struct eth_addr *safe,
                             const struct eth_hash *value);

#endif
