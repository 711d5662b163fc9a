/* sig/message_json.c - documents and typed data. */
#include "sig/message_json.h"

#include "base/hex.h"

#include <inttypes.h>
#include <stdio.h>

#define INTEGER_MAX ((UINT64_C(1) << 53) - 1) /* Number.MAX_SAFE_INTEGER of ECMAScript */
#define NAME_MAX_BYTES 64

static json_t *number(uint64_t value)
{
    char text[24];

    if (value <= INTEGER_MAX)
        return json_integer((json_int_t)value);
    (void)snprintf(text, sizeof(text), "%" PRIu64, value);
    return json_string(text);
}

static json_t *text(struct ms_span bytes)
{
    return json_stringn(bytes.len == 0 ? "" : (const char *)bytes.ptr, bytes.len);
}

static json_t *bytes32(const uint8_t bytes[32])
{
    char out[2 + 64 + 1] = "0x";

    ms_hex_encode(ms_span_of(bytes, 32), out + 2);
    return json_string(out);
}

static json_t *address(const struct eth_addr *addr)
{
    char out[ETH_ADDR_TEXT + 1];

    eth_addr_text(addr, out);
    return json_string(out);
}

static json_t *addresses(const struct msig_signers *signers)
{
    json_t *list = json_array();

    for (size_t i = 0; i < signers->n; i++)
        if (json_array_append_new(list, address(&signers->addrs[i])) != 0) {
            json_decref(list);
            return NULL;
        }
    return list;
}

/* A NULL among the values makes json_pack fail and free the others. */
static json_t *release_json(const struct msig_release *r)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "id", number(r->id),
                     "version", number(r->version), "notBefore", number(r->not_before_s),
                     "notAfter", number(r->not_after_s), "approvedSeq", number(r->approved_seq),
                     "payloadFormat", number(r->payload_format), "payloadSize",
                     number(r->payload_size), "payloadHash", bytes32(r->payload_hash.b), "uri",
                     text(r->uri));
}

json_t *msig_set_json(const struct msig_release_set *set)
{
    json_t *releases = json_array();

    for (size_t i = 0; i < set->n_releases; i++)
        if (json_array_append_new(releases, release_json(&set->releases[i])) != 0) {
            json_decref(releases);
            return NULL;
        }
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "app", text(set->app), "sequence",
                     number(set->sequence), "issuedAt", number(set->issued_at_s), "validUntil",
                     number(set->valid_until_s), "previous", bytes32(set->previous.b), "releases",
                     releases);
}

json_t *msig_root_json(const struct msig_root *root)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "app", text(root->app),
                     "epoch", number(root->epoch), "threshold", number(root->signers.threshold),
                     "signers", addresses(&root->signers), "freshThreshold",
                     number(root->fresh.threshold), "freshSigners", addresses(&root->fresh),
                     "revokers", addresses(&root->revokers), "validUntil",
                     number(root->valid_until_s), "previous", bytes32(root->previous.b));
}

json_t *msig_freshness_json(const struct msig_freshness *freshness)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o}", "app", text(freshness->app), "sequence",
                     number(freshness->sequence), "setHash", bytes32(freshness->set_hash.b),
                     "issuedAt", number(freshness->issued_at_s), "validUntil",
                     number(freshness->valid_until_s));
}

json_t *msig_revocation_json(const struct msig_revocation *revocation)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o}", "app", text(revocation->app), "releaseId",
                     number(revocation->release_id), "payloadHash",
                     bytes32(revocation->payload_hash.b), "reason", number(revocation->reason),
                     "issuedAt", number(revocation->issued_at_s));
}

/* ---- types, from the strings that are hashed ---- */
/* "uint64 id,string uri" to [{"name":"id","type":"uint64"}, ..] */
static json_t *members_json(struct ms_span members)
{
    json_t *list = json_array();

    while (members.len > 0) {
        struct ms_span one = members, rest = {0}, type, name;
        (void)ms_span_cut(members, ',', &one, &rest);
        members = rest;
        if (!ms_span_cut(one, ' ', &type, &name) ||
            json_array_append_new(
                list, json_pack("{s:o, s:o}", "name", text(name), "type", text(type))) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

/* Each struct of an encoded type, "Set(..)Release(..)", into `types`. */
static bool add_types(json_t *types, struct ms_span encoded)
{
    struct ms_span name, rest, members;
    char key[NAME_MAX_BYTES];

    while (encoded.len > 0) {
        if (!ms_span_cut(encoded, '(', &name, &rest) || !ms_span_cut(rest, ')', &members, &encoded))
            return false;
        (void)snprintf(key, sizeof(key), "%.*s", (int)name.len, (const char *)name.ptr);
        if (json_object_set_new(types, key, members_json(members)) != 0)
            return false;
    }
    return true;
}

static json_t *types_json(const char *domain, const char *encoded)
{
    json_t *types = json_object();

    if (types != NULL && add_types(types, ms_span_str(domain)) &&
        add_types(types, ms_span_str(encoded)))
        return types;
    json_decref(types);
    return NULL;
}

json_t *msig_typed_json(enum msig_type type, json_t *message)
{
    static const char *const names[] = {[MSIG_TYPE_SET] = "ReleaseSet",
                                        [MSIG_TYPE_ROOT] = "Root",
                                        [MSIG_TYPE_FRESHNESS] = "Freshness",
                                        [MSIG_TYPE_REVOCATION] = "Revocation",
                                        [MSIG_TYPE_DOMAIN] = NULL};
    const char *name = names[type];

    if (message == NULL || name == NULL) {
        json_decref(message);
        return NULL;
    }
    struct eth_hash salt = eth_keccak256(ms_json_member_str(message, "app"));
    return json_pack("{s:o, s:{s:s, s:s, s:o}, s:s, s:o}", "types",
                     types_json(msig_type_string(MSIG_TYPE_DOMAIN), msig_type_string(type)),
                     "domain", "name", MSIG_DOMAIN_NAME, "version", MSIG_DOMAIN_VERSION, "salt",
                     bytes32(salt.b), "primaryType", name, "message", message);
}

json_t *msig_safe_typed_json(uint64_t chain_id, const struct eth_addr *safe,
                             const struct eth_hash *value)
{
    return json_pack("{s:o, s:{s:o, s:o}, s:s, s:{s:o}}", "types",
                     types_json("EIP712Domain(uint256 chainId,address verifyingContract)",
                                "SafeMessage(bytes message)"),
                     "domain", "chainId", number(chain_id), "verifyingContract", address(safe),
                     "primaryType", "SafeMessage", "message", "message", bytes32(value->b));
}
