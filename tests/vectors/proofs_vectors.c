/* Merkle-Patricia proofs and eth_getProof answers. `policy` cases carry nodes that are not needed,
 * or zero hashes for an account that is not there: we refuse the first and accept the second. */
#include "eth/header.h"
#include "eth/proof.h"
#include "tests/support/vectors.h"

#include <stdlib.h>

#define PROOF_MAX_BYTES ((size_t)1 << 20)
#define NODES_MAX 256
#define FLIPPED_ANSWERS 2 /* accepted answers of a file in which every byte is changed */
#define FLIPPED_PROOFS 24 /* accepted proofs in which every bit is flipped */

struct proof {
    struct ms_buf bytes[NODES_MAX];
    struct ms_span nodes[NODES_MAX];
    size_t n;
};

static bool proof_read(const json_t *array, struct proof *proof)
{
    *proof = (struct proof){0};
    for (size_t i = 0; i < json_array_size(array) && i < NODES_MAX; i++) {
        proof->bytes[i].max = PROOF_MAX_BYTES;
        proof->n++;
        if (!vec_hex(json_string_value(json_array_get(array, i)), &proof->bytes[i]))
            return false;
        proof->nodes[i] = ms_buf_span(&proof->bytes[i]);
    }
    return json_array_size(array) <= NODES_MAX;
}

static void proof_done(struct proof *proof)
{
    for (size_t i = 0; i < proof->n; i++)
        ms_buf_done(&proof->bytes[i]);
}

static enum eth_mpt_verdict verify(const struct eth_hash *root, struct ms_span path,
                                   const struct proof *proof, struct ms_span *ret_value)
{
    struct eth_hash hash;

    if (path.len != ETH_HASH_BYTES)
        return eth_mpt_verify_raw(root, path, proof->nodes, proof->n, ret_value, NULL);
    memcpy(hash.b, path.ptr, sizeof(hash.b));
    return eth_mpt_verify(root, &hash, proof->nodes, proof->n, ret_value, NULL);
}

/* No flipped bit of a good proof may keep its verdict. */
static bool flips_refused(const struct eth_hash *root, struct ms_span path, struct proof *proof)
{
    for (size_t i = 0; i < proof->n; i++)
        for (size_t bit = 0; bit < 8 * proof->bytes[i].len; bit++) {
            struct ms_span value;
            uint8_t mask = (uint8_t)(1u << (bit % 8));
            proof->bytes[i].ptr[bit / 8] ^= mask;
            enum eth_mpt_verdict verdict = verify(root, path, proof, &value);
            proof->bytes[i].ptr[bit / 8] ^= mask;
            if (verdict != ETH_MPT_REFUSED)
                return false;
        }
    return true;
}

static bool mpt(const char *file)
{
    struct vec_count count;
    struct ms_buf path = MS_BUF_INIT(256), want = MS_BUF_INIT(PROOF_MAX_BYTES);
    json_t *root = vec_load(&count, "proofs", file);
    size_t i, flipped = 0;
    json_t *c;

    if (root == NULL)
        return count.failed == 0;
    json_array_foreach(vec_cases(root), i, c)
    {
        const char *expect = vec_str(c, "expect");
        struct eth_hash trie_root;
        struct proof proof;
        struct ms_span value = {NULL, 0};
        enum eth_mpt_verdict verdict = ETH_MPT_REFUSED, wanted = ETH_MPT_REFUSED;
        bool ok = proof_read(json_object_get(c, "proof"), &proof) &&
                  vec_hex(vec_str(c, "path"), &path) &&
                  eth_json_fixed(c, "root", trie_root.b, ETH_HASH_BYTES, NULL) == MS_OK;
        if (ok)
            verdict = verify(&trie_root, ms_buf_span(&path), &proof, &value);
        if (strcmp(expect, "value") == 0)
            wanted = ETH_MPT_VALUE;
        else if (strcmp(expect, "absent") == 0)
            wanted = ETH_MPT_ABSENT;
        ok &= verdict == wanted;
        if (ok && verdict == ETH_MPT_VALUE)
            ok = vec_hex(vec_str(c, "value"), &want) && ms_span_eq(value, ms_buf_span(&want));
        if (ok && verdict != ETH_MPT_REFUSED && flipped++ < FLIPPED_PROOFS)
            ok = flips_refused(&trie_root, ms_buf_span(&path), &proof);
        vec_check(&count, ok, vec_str(c, "id"), "%s: got verdict %d", expect, (int)verdict);
        proof_done(&proof);
    }
    ms_buf_done(&path);
    ms_buf_done(&want);
    json_decref(root);
    return vec_end(&count);
}

/* ---- whole answers ---- */
struct asked {
    struct eth_addr address;
    struct eth_word keys[ETH_PROOF_KEYS_MAX];
    size_t n_keys;
};

static bool asked_from(const json_t *answer, struct asked *ret_asked)
{
    const json_t *slots = json_object_get(answer, "storageProof");

    ret_asked->n_keys = json_array_size(slots);
    if (eth_json_fixed(answer, "address", ret_asked->address.b, ETH_ADDR_BYTES, NULL) != MS_OK)
        return false;
    for (size_t i = 0; i < ret_asked->n_keys && i < ETH_PROOF_KEYS_MAX; i++)
        if (eth_json_word(json_array_get(slots, i), "key", ETH_QUANTITY_LAX, &ret_asked->keys[i],
                          NULL) != MS_OK)
            return false;
    return ret_asked->n_keys <= ETH_PROOF_KEYS_MAX;
}

static enum ms_err verify_answer(const json_t *answer, const struct eth_hash *state_root,
                                 const struct asked *asked, struct ms_diag *diag)
{
    struct eth_account account;
    struct eth_word values[ETH_PROOF_KEYS_MAX];

    return eth_proof_verify(answer, state_root, &asked->address, asked->keys, asked->n_keys,
                            &account, values, diag);
}

/* Change one digit of a node; the answer must be refused. */
static bool digit_refused(json_t *array, size_t i, size_t at, const json_t *answer,
                          const struct eth_hash *state_root, const struct asked *asked)
{
    const json_t *node = json_array_get(array, i);
    size_t len = json_string_length(node);
    char *text = malloc(len + 1);

    if (text == NULL)
        abort();
    memcpy(text, json_string_value(node), len + 1);
    text[at] = text[at] == '0' ? '1' : '0';
    json_t *old = json_incref(json_array_get(array, i));
    (void)json_array_set_new(array, i, json_string(text));
    bool refused = verify_answer(answer, state_root, asked, NULL) == MS_ERR_PROOF;
    (void)json_array_set_new(array, i, old);
    free(text);
    return refused;
}

static bool digits_refused(json_t *array, const json_t *answer, const struct eth_hash *state_root,
                           const struct asked *asked)
{
    bool ok = true;
    for (size_t i = 0; i < json_array_size(array); i++) {
        size_t len = json_string_length(json_array_get(array, i));
        for (size_t at = 2; at < len; at += 2) /* high and low digits by turns */
            ok &= digit_refused(array, i, at + at / 2 % 2, answer, state_root, asked);
    }
    return ok;
}

static bool answer_digits_refused(const json_t *answer, const struct eth_hash *state_root,
                                  const struct asked *asked)
{
    json_t *copy = json_deep_copy(answer);
    json_t *slots = json_object_get(copy, "storageProof");
    bool ok = digits_refused(json_object_get(copy, "accountProof"), copy, state_root, asked);

    for (size_t i = 0; i < json_array_size(slots); i++)
        ok &= digits_refused(json_object_get(json_array_get(slots, i), "proof"), copy, state_root,
                             asked);
    json_decref(copy);
    return ok;
}

/* What was asked is not in the file: it is what the unchanged answer of the same group says. */
static bool find_asked(const json_t *cases, const json_t *c, struct asked *ret_asked)
{
    const char *group = vec_str(c, "group");
    size_t i;
    json_t *other;

    if (group == NULL)
        return asked_from(json_object_get(c, "result"), ret_asked);
    json_array_foreach(cases, i, other)
    {
        const char *g = vec_str(other, "group");
        if (g != NULL && strcmp(g, group) == 0 && strcmp(vec_str(other, "expect"), "accept") == 0)
            return asked_from(json_object_get(other, "result"), ret_asked);
    }
    return asked_from(json_object_get(c, "result"), ret_asked);
}

/* The header, where given, must hash to the block's hash and carry the state root. */
static bool block_binds(const json_t *c, const struct eth_hash *state_root)
{
    const json_t *block = json_object_get(c, "block");
    struct ms_buf rlp = MS_BUF_INIT(ETH_HEADER_RLP_MAX_BYTES);
    struct eth_header header;
    struct eth_hash hash;

    if (vec_str(block, "header_rlp") == NULL)
        return true;
    bool ok = vec_hex(vec_str(block, "header_rlp"), &rlp) &&
              eth_json_fixed(block, "hash", hash.b, sizeof(hash.b), NULL) == MS_OK &&
              eth_header_verify(ms_buf_span(&rlp), &hash, &header, NULL) == MS_OK &&
              eth_hash_eq(&header.state_root, state_root);
    ms_buf_done(&rlp);
    return ok;
}

static bool answers(const char *file)
{
    struct vec_count count;
    json_t *root = vec_load(&count, "proofs", file);
    size_t i, flipped = 0;
    json_t *c;

    if (root == NULL)
        return count.failed == 0;
    json_array_foreach(vec_cases(root), i, c)
    {
        const json_t *answer = json_object_get(c, "result");
        bool accept = strcmp(vec_str(c, "expect"), "reject") != 0;
        struct eth_hash state_root = {0};
        struct asked asked;
        struct ms_diag diag = {0};
        bool ok = eth_json_fixed(c, "stateRoot", state_root.b, ETH_HASH_BYTES, NULL) == MS_OK &&
                  find_asked(vec_cases(root), c, &asked) && block_binds(c, &state_root);
        enum ms_err err = ok ? verify_answer(answer, &state_root, &asked, &diag) : MS_ERR_SYNTAX;
        ok &= accept ? err == MS_OK : err == MS_ERR_PROOF;
        if (ok && accept && flipped < FLIPPED_ANSWERS) {
            flipped++;
            ok = answer_digits_refused(answer, &state_root, &asked);
        }
        vec_check(&count, ok, vec_str(c, "id"), "%s (%s): %s", vec_str(c, "expect"),
                  vec_str(c, "what") == NULL ? "" : vec_str(c, "what"), ms_diag_text(&diag, err));
    }
    json_decref(root);
    return vec_end(&count);
}

int main(void)
{
    bool ok = mpt("mpt_generated.json");
    ok &= answers("eip1186_generated.json");
    ok &= answers("eip1186_real.json");
    return ok ? 0 : 1;
}
