/* Addresses: EIP-55 text, and the addresses of private and public keys. */
#include "eth/address.h"
#include "sig/pubkey.h"
#include "tests/support/vectors.h"

#include <secp256k1.h>

/* accept: the checksum is right, or, where the file does not tell checksum_valid, at least not
 * wrong (ERC-55 prints an address in lower case among its examples); accept-unchecked: there is
 * none; reject: malformed, or a wrong checksum (what `eip55=strict` refuses). */
static bool verdict_is(enum ms_err err, enum eth_checksum checksum, const json_t *c)
{
    const char *expect = vec_str(c, "expect");
    bool told = json_object_get(c, "checksum_valid") != NULL;

    if (strcmp(expect, "accept") == 0)
        return err == MS_OK &&
               (told ? checksum == ETH_CHECKSUM_RIGHT : checksum != ETH_CHECKSUM_WRONG);
    if (strcmp(expect, "accept-unchecked") == 0)
        return err == MS_OK && checksum == ETH_CHECKSUM_NONE;
    return err != MS_OK || checksum == ETH_CHECKSUM_WRONG;
}

static bool eip55(const char *file)
{
    struct vec_count count;
    json_t *root = vec_load(&count, "address", file);
    size_t i;
    json_t *c;

    if (root == NULL)
        return count.failed == 0;
    json_array_foreach(vec_cases(root), i, c)
    {
        enum eth_checksum checksum = ETH_CHECKSUM_WRONG;
        struct eth_addr addr;
        const char *want = vec_str(c, "checksummed"), *expect = vec_str(c, "expect");
        char text[ETH_ADDR_TEXT + 1] = "";
        enum ms_err err = eth_addr_parse(ms_json_member_str(c, "input"), &addr, &checksum, NULL);
        bool ok = verdict_is(err, checksum, c);
        if (err == MS_OK)
            eth_addr_text(&addr, text);
        if (ok && err == MS_OK && want != NULL)
            ok = strcmp(text, want) == 0;
        vec_check(&count, ok, vec_str(c, "id"), "%s: got %s, checksum %d, %s", expect,
                  ms_err_name(err), (int)checksum, text);
    }
    json_decref(root);
    return vec_end(&count);
}

static bool accounts(const char *file)
{
    struct vec_count count;
    json_t *root = vec_load(&count, "address", file);
    secp256k1_context *ctx = secp256k1_context_create(SECP256K1_CONTEXT_NONE);
    size_t i;
    json_t *c;

    if (root == NULL) {
        secp256k1_context_destroy(ctx);
        return count.failed == 0;
    }
    json_array_foreach(vec_cases(root), i, c)
    {
        struct ms_buf key = MS_BUF_INIT(32);
        secp256k1_pubkey point;
        char text[ETH_ADDR_TEXT + 1] = "";
        bool ok = vec_hex(vec_str(c, "privateKey"), &key) && key.len == 32 &&
                  secp256k1_ec_pubkey_create(ctx, &point, key.ptr) == 1;
        for (int full = 0; full < 2 && ok; full++) {
            uint8_t bytes[MSIG_PUBKEY_FULL_BYTES];
            size_t len = sizeof(bytes);
            struct eth_addr addr;
            ok = secp256k1_ec_pubkey_serialize(ctx, bytes, &len, &point,
                                               full != 0 ? SECP256K1_EC_UNCOMPRESSED
                                                         : SECP256K1_EC_COMPRESSED) == 1 &&
                 msig_pubkey_addr(ms_span_of(bytes, len), &addr) == MS_OK;
            if (ok)
                eth_addr_text(&addr, text);
            ok = ok && strcmp(text, vec_str(c, "address")) == 0;
        }
        vec_check(&count, ok, vec_str(c, "id"), "got %s", text);
        ms_buf_done(&key);
    }
    secp256k1_context_destroy(ctx);
    json_decref(root);
    return vec_end(&count);
}

static bool pubkeys(const char *file)
{
    struct vec_count count;
    json_t *root = vec_load(&count, "address", file);
    size_t i;
    json_t *c;

    if (root == NULL)
        return count.failed == 0;
    json_array_foreach(vec_cases(root), i, c)
    {
        struct ms_buf key = MS_BUF_INIT(256);
        struct eth_addr addr;
        char text[ETH_ADDR_TEXT + 1] = "";
        bool accept = strcmp(vec_str(c, "strict"), "accept") == 0;
        bool read = vec_hex(vec_str(c, "key"), &key);
        bool got = read && msig_pubkey_addr(ms_buf_span(&key), &addr) == MS_OK;
        if (got)
            eth_addr_text(&addr, text);
        vec_check(&count, got == accept && (!accept || strcmp(text, vec_str(c, "address")) == 0),
                  vec_str(c, "id"), "%s: %s %s", vec_str(c, "what"), got ? "accepted" : "refused",
                  text);
        ms_buf_done(&key);
    }
    json_decref(root);
    return vec_end(&count);
}

int main(void)
{
    bool ok = eip55("eip55_generated.json");
    ok &= eip55("erc55_examples.json");
    ok &= accounts("ethers_accounts.json");
    ok &= pubkeys("pubkeys.json");
    return ok ? 0 : 1;
}
