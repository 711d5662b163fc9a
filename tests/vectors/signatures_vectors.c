/* Signatures: recovery by our rule and by the chain's, EIP-191, typed data, ECDSA's corner
 * cases, signed transactions. */
#include "base/digest.h"
#include "eth/rlp.h"
#include "sig/eip712.h"
#include "sig/pubkey.h"
#include "sig/secp.h"
#include "sig/typed_data.h"
#include "tests/support/vectors.h"

#include <stdio.h>

#include <secp256k1_recovery.h>

#define CASE_MAX_BYTES 65536

static bool addr_is(const char *text, const struct eth_addr *addr)
{
    struct eth_addr want;
    enum eth_checksum checksum;
    return text != NULL && eth_addr_parse(ms_span_str(text), &want, &checksum, NULL) == MS_OK &&
           eth_addr_eq(&want, addr);
}

static bool read_hash(const json_t *c, const char *name, struct eth_hash *out)
{
    struct ms_buf hash = MS_BUF_INIT(64);
    bool ok = vec_hex(vec_str(c, name), &hash) && hash.len == ETH_HASH_BYTES;
    if (ok)
        memcpy(out->b, hash.ptr, ETH_HASH_BYTES);
    ms_buf_done(&hash);
    return ok;
}

static bool hash_is(const json_t *c, const char *name, const struct eth_hash *got)
{
    struct eth_hash want;
    return read_hash(c, name, &want) && eth_hash_eq(&want, got);
}

static bool key_addr(const json_t *c, struct eth_addr *out)
{
    secp256k1_context *ctx = secp256k1_context_create(SECP256K1_CONTEXT_NONE);
    struct ms_buf secret = MS_BUF_INIT(32);
    uint8_t full[MSIG_PUBKEY_FULL_BYTES];
    size_t len = sizeof(full);
    secp256k1_pubkey key;

    bool ok =
        vec_hex(vec_str(c, "privateKey"), &secret) && secret.len == 32 &&
        secp256k1_ec_pubkey_create(ctx, &key, secret.ptr) == 1 &&
        secp256k1_ec_pubkey_serialize(ctx, full, &len, &key, SECP256K1_EC_UNCOMPRESSED) == 1 &&
        msig_pubkey_addr(ms_span_of(full, len), out) == MS_OK;
    ms_buf_done(&secret);
    secp256k1_context_destroy(ctx);
    return ok;
}

/* ---- sig_good ---- */
static bool text_is(const json_t *c, const char *name, struct ms_span got)
{
    const char *want = vec_str(c, name);
    return want != NULL && ms_span_eq_str(got, want);
}

static bool typed_hash(const json_t *c, struct eth_hash *out)
{
    struct ms_arena arena = MS_ARENA_INIT(MSIG_TYPED_ARENA_BYTES);
    struct msig_typed_data data;
    struct ms_diag diag = {0};

    bool ok = msig_typed_data_hash(json_object_get(c, "typed_data"), &arena, &data, &diag) == MS_OK;
    if (!ok)
        printf("%s\n", diag.text);
    ok = ok && text_is(c, "encode_type", data.encoded_type) &&
         hash_is(c, "domain_separator", &data.domain) && hash_is(c, "struct_hash", &data.message);
    if (ok)
        *out = data.digest;
    ms_arena_done(&arena);
    return ok;
}

static bool own_hash(const json_t *c, struct eth_hash *out)
{
    const char *scheme = vec_str(c, "scheme");
    struct ms_buf message = MS_BUF_INIT(CASE_MAX_BYTES);
    bool ok = false;

    if (strcmp(scheme, "eip191-personal") == 0) {
        ok = vec_hex(vec_str(c, "message"), &message);
        *out = msig_personal_hash(ms_buf_span(&message));
    } else if (strcmp(scheme, "eip191-validator") == 0) {
        struct eth_addr validator = {{0}};
        enum eth_checksum checksum;
        ok = vec_hex(vec_str(c, "message"), &message) &&
             eth_addr_parse(ms_json_member_str(c, "validator"), &validator, &checksum, NULL) ==
                 MS_OK;
        *out = msig_validator_hash(&validator, ms_buf_span(&message));
    } else if (strcmp(scheme, "eip712") == 0) {
        ok = typed_hash(c, out);
    }
    ms_buf_done(&message);
    return ok;
}

static void good_case(struct vec_count *count, const json_t *c)
{
    struct ms_buf sig = MS_BUF_INIT(256);
    struct ms_diag diag = {0};
    struct eth_addr signer = {{0}};
    struct eth_hash hash;

    if (!own_hash(c, &hash) || !hash_is(c, "hash", &hash)) {
        vec_check(count, false, vec_str(c, "id"), "%s: another hash", vec_str(c, "scheme"));
        return;
    }
    bool ok = vec_hex(vec_str(c, "sig"), &sig) &&
              msig_recover(&hash, ms_buf_span(&sig), &signer, &diag) == MS_OK &&
              addr_is(vec_str(c, "address"), &signer);
    vec_check(count, ok, vec_str(c, "id"), "another signer; %s", diag.text);
    ms_buf_done(&sig);
}

/* ---- sig_bad ---- */
/* The file's rule takes v 27 and 28 only; ours 0 and 1 as well, as documents may carry them. Rows
 * about nothing else must then recover to their signer. */
static bool want_accept(const json_t *c)
{
    return strcmp(vec_str(c, "strict"), "accept") == 0 ||
           strncmp(vec_str(c, "what"), "v 0/1", 5) == 0;
}

static bool precompile_agrees(const json_t *c, const struct eth_hash *hash, struct ms_span sig)
{
    const char *want = vec_str(c, "evm_ecrecover");
    struct eth_addr signer;

    if (sig.len != MSIG_BYTES)
        return want == NULL;
    bool got = msig_ecrecover(hash, sig.ptr, sig.ptr[64], &signer, NULL);
    return want == NULL ? !got : got && addr_is(want, &signer);
}

static void bad_case(struct vec_count *count, const json_t *c)
{
    struct ms_buf sig = MS_BUF_INIT(256);
    struct ms_diag diag = {0};
    struct eth_addr signer = {{0}};
    struct eth_hash hash;

    if (!vec_hex(vec_str(c, "sig"), &sig) || !read_hash(c, "hash", &hash)) {
        vec_check(count, false, vec_str(c, "id"), "cannot read the case");
        ms_buf_done(&sig);
        return;
    }
    bool got = msig_recover(&hash, ms_buf_span(&sig), &signer, &diag) == MS_OK &&
               addr_is(vec_str(c, "claimed"), &signer);
    bool evm = precompile_agrees(c, &hash, ms_buf_span(&sig));
    vec_check(count, evm && got == want_accept(c), vec_str(c, "id"), "%s: %s%s; %s",
              vec_str(c, "what"), got ? "accepted" : "refused",
              evm ? "" : ", ecrecover gives something else", diag.text);
    ms_buf_done(&sig);
}

/* ---- wycheproof ---- */
/* r || s of the case; DER is read by the library, strictly. */
static bool read_rs(const json_t *c, bool der, uint8_t rs[64])
{
    struct ms_buf sig = MS_BUF_INIT(1024);
    secp256k1_ecdsa_signature parsed;
    bool ok = vec_hex(vec_str(c, "sig"), &sig) && sig.len > 0;

    if (ok && der) {
        ok = secp256k1_ecdsa_signature_parse_der(secp256k1_context_static, &parsed, sig.ptr,
                                                 sig.len) == 1;
        if (ok)
            (void)secp256k1_ecdsa_signature_serialize_compact(secp256k1_context_static, rs,
                                                              &parsed);
    } else if (ok) {
        ok = sig.len == 64;
        if (ok)
            memcpy(rs, sig.ptr, 64);
    }
    ms_buf_done(&sig);
    return ok;
}

/* A valid signature whose point has an x above the order: only recovery ids 2 and 3 find its key,
 * and Ethereum has no v for them. */
static bool beyond_ethereum(const uint8_t rs[64], const struct eth_hash *hash,
                            const struct eth_addr *want)
{
    for (int id = 2; id < 4; id++) {
        secp256k1_ecdsa_recoverable_signature sig;
        secp256k1_pubkey key;
        uint8_t full[MSIG_PUBKEY_FULL_BYTES];
        size_t len = sizeof(full);
        struct eth_addr addr;
        if (secp256k1_ecdsa_recoverable_signature_parse_compact(secp256k1_context_static, &sig, rs,
                                                                id) == 1 &&
            secp256k1_ecdsa_recover(secp256k1_context_static, &key, &sig, hash->b) == 1 &&
            secp256k1_ec_pubkey_serialize(secp256k1_context_static, full, &len, &key,
                                          SECP256K1_EC_UNCOMPRESSED) == 1 &&
            msig_pubkey_addr(ms_span_of(full, len), &addr) == MS_OK && eth_addr_eq(&addr, want))
            return true;
    }
    return false;
}

/* Whether r || s with either v recovers to the key: by our rule, or by the chain's. */
static bool recovers_to(const uint8_t rs[64], bool low_s, const struct eth_hash *hash,
                        const struct eth_addr *want)
{
    for (uint8_t v = 27; v <= 28; v++) {
        uint8_t sig[MSIG_BYTES];
        struct eth_addr signer;
        memcpy(sig, rs, 64);
        sig[64] = v;
        bool got = low_s ? msig_recover(hash, ms_span_of(sig, sizeof(sig)), &signer, NULL) == MS_OK
                         : msig_ecrecover(hash, rs, v, &signer, NULL);
        if (got && eth_addr_eq(&signer, want))
            return true;
    }
    return false;
}

static void wycheproof_case(struct vec_count *count, const json_t *c, bool der, bool low_s)
{
    struct ms_buf key = MS_BUF_INIT(256), msg = MS_BUF_INIT(CASE_MAX_BYTES);
    const char *result = vec_str(c, "result");
    struct eth_addr want;
    struct eth_hash hash;
    uint8_t rs[64];

    if (!vec_hex(vec_str(c, "publicKey"), &key) || !vec_hex(vec_str(c, "msg"), &msg) ||
        msig_pubkey_addr(ms_buf_span(&key), &want) != MS_OK ||
        strcmp(vec_str(c, "sha"), "SHA-256") != 0) {
        vec_check(count, false, vec_str(c, "id"), "cannot read the case");
    } else {
        struct ms_sha256 sum = ms_sha256(ms_buf_span(&msg));
        memcpy(hash.b, sum.b, sizeof(hash.b));
        bool read = read_rs(c, der, rs);
        bool got = read && recovers_to(rs, low_s, &hash, &want);
        /* then it is right that neither v finds the key */
        bool beyond = !got && read && beyond_ethereum(rs, &hash, &want);
        vec_check(count, (got || beyond) == (strcmp(result, "valid") == 0), vec_str(c, "id"),
                  "%s: want %s, got %s", vec_str(c, "comment"), result, got ? "valid" : "invalid");
    }
    ms_buf_done(&key);
    ms_buf_done(&msg);
}

static void der_case(struct vec_count *count, const json_t *c)
{
    wycheproof_case(count, c, true, false);
}

static void bitcoin_case(struct vec_count *count, const json_t *c)
{
    wycheproof_case(count, c, true, true);
}

static void p1363_case(struct vec_count *count, const json_t *c)
{
    wycheproof_case(count, c, false, false);
}

/* ---- typed data ---- */
/* The file's members have other names, and no EIP712Domain among the types. */
static json_t *document_of(const json_t *c)
{
    json_t *document = json_object();

    (void)json_object_set(document, "types", json_object_get(c, "types"));
    (void)json_object_set(document, "domain", json_object_get(c, "domain"));
    (void)json_object_set(document, "primaryType", json_object_get(c, "primaryType"));
    (void)json_object_set(document, "message", json_object_get(c, "data"));
    return document;
}

/* A row may have a signature, as one text of 65 bytes. */
static bool key_has_signed(const json_t *c, const struct eth_hash *digest)
{
    struct ms_buf sig = MS_BUF_INIT(256);
    struct eth_addr want, signer;
    bool ok = json_object_get(c, "signature") == NULL;

    if (!ok)
        ok = key_addr(c, &want) && vec_hex(vec_str(c, "signature"), &sig) &&
             msig_recover(digest, ms_buf_span(&sig), &signer, NULL) == MS_OK &&
             eth_addr_eq(&want, &signer);
    ms_buf_done(&sig);
    return ok;
}

static void typed_case(struct vec_count *count, const json_t *c)
{
    struct ms_arena arena = MS_ARENA_INIT(MSIG_TYPED_ARENA_BYTES);
    struct ms_buf text = MS_BUF_INIT(MSIG_TYPED_MAX_BYTES), encoded = MS_BUF_INIT(CASE_MAX_BYTES);
    json_t *document = document_of(c);
    struct msig_typed_data data = {0};
    struct ms_diag diag = {0};

    bool ok = ms_json_dump(document, &text) == MS_OK &&
              msig_typed_data_parse(ms_buf_span(&text), &arena, &data, &diag) == MS_OK &&
              hash_is(c, "digest", &data.digest) && key_has_signed(c, &data.digest) &&
              vec_hex(vec_str(c, "encoded"), &encoded);
    struct eth_hash message = eth_keccak256(ms_buf_span(&encoded)); /* type hash and words */
    vec_check(count, ok && eth_hash_eq(&message, &data.message), vec_str(c, "id"), "%s", diag.text);
    json_decref(document);
    ms_buf_done(&text);
    ms_buf_done(&encoded);
    ms_arena_done(&arena);
}

/* ---- signed transactions ---- */
#define TX_ITEMS_MAX 16

/* v is 0 or 1, 27 or 28, or 35 and more with the chain id in it (EIP-155): the parity. */
static uint8_t parity(const struct eth_word *v)
{
    uint64_t low = 0;
    if (eth_word_to_u64(v, &low) && low <= 1)
        return (uint8_t)low;
    return (uint8_t)((v->b[ETH_WORD_BYTES - 1] & 1) ^ 1);
}

/* The last three items are v, r and s. */
static bool tx_sig(struct ms_span list, uint8_t sig[MSIG_BYTES])
{
    struct eth_rlp items[TX_ITEMS_MAX];
    struct eth_word v, r, s;
    size_t n = 0;

    if (eth_rlp_list(list, items, MS_ARRAY_LEN(items), &n) != MS_OK || n < 9 ||
        eth_rlp_word(&items[n - 3], &v) != MS_OK || eth_rlp_word(&items[n - 2], &r) != MS_OK ||
        eth_rlp_word(&items[n - 1], &s) != MS_OK)
        return false;
    memcpy(sig, r.b, 32);
    memcpy(sig + 32, s.b, 32);
    sig[64] = parity(&v);
    return true;
}

/* `envelope`: bytes before the list, the type of the transaction. */
static bool tx_signer_is(const json_t *c, const char *bare, const char *with_sig, size_t envelope,
                         const struct eth_addr *want)
{
    struct ms_buf tx = MS_BUF_INIT(CASE_MAX_BYTES), hashed = MS_BUF_INIT(CASE_MAX_BYTES);
    struct eth_addr signer;
    uint8_t sig[MSIG_BYTES];

    bool ok = vec_hex(vec_str(c, bare), &hashed) && vec_hex(vec_str(c, with_sig), &tx) &&
              tx_sig(ms_span_sub(ms_buf_span(&tx), envelope, tx.len), sig);
    struct eth_hash hash = eth_keccak256(ms_buf_span(&hashed));
    ok = ok && msig_recover(&hash, ms_span_of(sig, sizeof(sig)), &signer, NULL) == MS_OK &&
         eth_addr_eq(&signer, want);
    ms_buf_done(&tx);
    ms_buf_done(&hashed);
    return ok;
}

static void transaction_case(struct vec_count *count, const json_t *c)
{
    const char *legacy = vec_str(c, "signedEip155");
    struct eth_addr want;
    bool ok = key_addr(c, &want);

    ok = ok && tx_signer_is(c, "unsignedLondon", "signedLondon", 1, &want);
    if (ok && legacy != NULL && *legacy != '\0') /* not every row can be of the older kind */
        ok = tx_signer_is(c, "unsignedEip155", "signedEip155", 0, &want);
    vec_check(count, ok, vec_str(c, "id"), "another signer");
}

int main(void)
{
    bool ok = vec_run("signatures", "sig_good.json", good_case);
    ok &= vec_run("signatures", "sig_bad.json", bad_case);
    ok &= vec_run("signatures", "wycheproof_ecdsa_secp256k1_sha256_test.json", der_case);
    ok &=
        vec_run("signatures", "wycheproof_ecdsa_secp256k1_sha256_bitcoin_test.json", bitcoin_case);
    ok &= vec_run("signatures", "wycheproof_ecdsa_secp256k1_sha256_p1363_test.json", p1363_case);
    ok &= vec_run("signatures", "ethers_typed_data.json", typed_case);
    ok &= vec_run("signatures", "ethers_transactions.json", transaction_case);
    return ok ? 0 : 1;
}
