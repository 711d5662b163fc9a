/* The registry from end to end: header, proofs, snapshot, commitment, payloads; and that one
 * changed bit anywhere is noticed. history-logs.json is history_vectors.c's, signed-set.json is
 * sig's. */
#include "contracts-abi/registry_abi.h"
#include "eth/header.h"
#include "eth/proof.h"
#include "resolver/source/registry.h"
#include "tests/support/vectors.h"

#include <stdlib.h>

#define ANSWER_MAX_BYTES ((size_t)1 << 20)
#define ARENA_MAX_BYTES ((size_t)4 << 20)

static struct vec_count count;

static void check(bool ok, const char *what)
{
    vec_check(&count, ok, what, "does not hold");
}

static struct eth_hash hash_of(const json_t *object, const char *name)
{
    struct eth_hash hash = {0};
    if (eth_json_fixed(object, name, hash.b, sizeof(hash.b), NULL) != MS_OK)
        abort();
    return hash;
}

static bool header_bits_refused(struct ms_buf *rlp, const struct eth_hash *hash)
{
    bool ok = true;
    for (size_t bit = 0; bit < 8 * rlp->len; bit++) {
        struct eth_header header;
        rlp->ptr[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        ok &= eth_header_verify(ms_buf_span(rlp), hash, &header, NULL) != MS_OK;
        rlp->ptr[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    return ok;
}

static bool check_header(const json_t *root, struct eth_header *ret_header)
{
    struct ms_buf rlp = MS_BUF_INIT(ETH_HEADER_RLP_MAX_BYTES);
    struct eth_hash hash = hash_of(root, "blockHash");
    bool ok = vec_hex(vec_str(root, "header"), &rlp) &&
              eth_header_verify(ms_buf_span(&rlp), &hash, ret_header, NULL) == MS_OK;
    struct eth_hash state_root = hash_of(json_object_get(root, "headerJSON"), "stateRoot");

    check(ok && eth_hash_eq(&state_root, &ret_header->state_root), "the header hashes to its hash");
    check(ok && header_bits_refused(&rlp, &hash), "every flipped bit of the header is refused");
    ms_buf_done(&rlp);
    return ok;
}

/* ---- proofs ---- */
struct question {
    struct eth_hash state_root;
    struct eth_addr address;
    struct eth_word keys[8];
    size_t n_keys;
};

static enum ms_err ask(const json_t *proof, const struct question *q,
                       struct eth_account *ret_account, struct eth_word *ret_values)
{
    return eth_proof_verify(proof, &q->state_root, &q->address, q->keys, q->n_keys, ret_account,
                            ret_values, NULL);
}

/* Flip every bit of one node of the JSON by rewriting its text. */
static bool node_bits_refused(json_t *array, size_t i, const json_t *proof,
                              const struct question *q)
{
    struct ms_buf node = MS_BUF_INIT(4096), text = MS_BUF_INIT(16384);
    struct eth_account account;
    struct eth_word values[8];
    bool ok = vec_hex(json_string_value(json_array_get(array, i)), &node);

    for (size_t bit = 0; bit < 8 * node.len; bit++) {
        node.ptr[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        ms_buf_reset(&text);
        (void)ms_buf_add_str(&text, "0x");
        (void)ms_buf_add_hex(&text, ms_buf_span(&node));
        node.ptr[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        (void)json_array_set_new(array, i, json_string(ms_buf_str(&text)));
        ok &= ask(proof, q, &account, values) == MS_ERR_PROOF;
    }
    ms_buf_reset(&text);
    (void)ms_buf_add_str(&text, "0x");
    (void)ms_buf_add_hex(&text, ms_buf_span(&node));
    (void)json_array_set_new(array, i, json_string(ms_buf_str(&text)));
    ms_buf_done(&node);
    ms_buf_done(&text);
    return ok && ask(proof, q, &account, values) == MS_OK;
}

static bool check_proof(json_t *root, const struct eth_hash *state_root, struct eth_word *ret_slot0)
{
    json_t *proof = json_object_get(root, "proof");
    json_t *slots = json_object_get(proof, "storageProof");
    struct question q = {.state_root = *state_root, .n_keys = json_array_size(slots)};
    struct eth_account account;
    struct eth_word values[8];

    if (q.n_keys > MS_ARRAY_LEN(q.keys) || q.n_keys < 2 ||
        eth_json_fixed(root, "registry", q.address.b, ETH_ADDR_BYTES, NULL) != MS_OK)
        return false;
    for (size_t i = 0; i < q.n_keys; i++)
        if (eth_json_word(json_array_get(slots, i), "key", ETH_QUANTITY_LAX, &q.keys[i], NULL) !=
            MS_OK)
            return false;
    bool ok = ask(proof, &q, &account, values) == MS_OK && account.exists;
    struct eth_hash code = hash_of(root, "codeHash"), known = REGISTRY_CODE_HASH;
    struct eth_hash commitment = hash_of(root, "commitment");
    check(ok && eth_hash_eq(&account.code_hash, &code) && eth_hash_eq(&code, &known),
          "the account is proven, with the registry's code");
    check(ok && memcmp(values[0].b, commitment.b, 32) == 0, "slot 0 is proven");
    check(ok && eth_word_is_zero(&values[1]), "slot 0x99 is proven absent");
    if (!ok)
        return false;
    json_t *nodes = json_object_get(proof, "accountProof");
    for (size_t i = 0; i < json_array_size(nodes); i++)
        check(node_bits_refused(nodes, i, proof, &q),
              "every flipped bit of an account node is refused");
    for (size_t s = 0; s < q.n_keys; s++) {
        nodes = json_object_get(json_array_get(slots, s), "proof");
        for (size_t i = 0; i < json_array_size(nodes); i++)
            check(node_bits_refused(nodes, i, proof, &q),
                  "every flipped bit of a storage node is refused");
    }
    q.address.b[0] ^= 1;
    check(ask(proof, &q, &account, values) == MS_ERR_PROOF, "another address is refused");
    q.address.b[0] ^= 1;
    q.keys[0].b[31] ^= 1;
    check(ask(proof, &q, &account, values) == MS_ERR_PROOF, "another key is refused");
    *ret_slot0 = values[0];
    return true;
}

/* ---- snapshot ---- */
static enum ms_err verify(const struct eth_word *slot0, struct ms_span answer)
{
    struct ms_arena arena = MS_ARENA_INIT(ARENA_MAX_BYTES);
    struct registry_snapshot snapshot;
    uint8_t *copy = malloc(answer.len == 0 ? 1 : answer.len); /* exact size, for ASan */

    if (copy == NULL)
        abort();
    if (answer.len > 0)
        memcpy(copy, answer.ptr, answer.len);
    enum ms_err err = registry_verify(slot0, ms_span_of(copy, answer.len), &arena, &snapshot, NULL);
    free(copy);
    ms_arena_done(&arena);
    return err;
}

static bool answer_bits_refused(const struct eth_word *slot0, struct ms_buf *answer)
{
    bool ok = true;
    for (size_t bit = 0; bit < 8 * answer->len; bit++) {
        answer->ptr[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        ok &= verify(slot0, ms_buf_span(answer)) != MS_OK;
        answer->ptr[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    return ok;
}

static void check_snapshot(const json_t *root, const struct eth_word *slot0,
                           const struct eth_header *header)
{
    struct ms_arena arena = MS_ARENA_INIT(ARENA_MAX_BYTES);
    struct ms_buf full = MS_BUF_INIT(ANSWER_MAX_BYTES), bare = MS_BUF_INIT(ANSWER_MAX_BYTES);
    struct registry_snapshot s = {0}, b = {0};
    struct ms_diag diag = {0};
    bool prefixes = true;

    bool ok = vec_hex(vec_str(root, "snapshotWithPayloads"), &full) &&
              vec_hex(vec_str(root, "snapshot"), &bare);
    enum ms_err err = registry_verify(slot0, ms_buf_span(&full), &arena, &s, &diag);
    vec_check(&count, ok && err == MS_OK, "the snapshot verifies", "%s", ms_diag_text(&diag, err));
    ok = ok && registry_decode_bare(ms_buf_span(&bare), &arena, &b, NULL) == MS_OK;
    struct eth_hash commitment = registry_commitment(&b);
    check(ok && memcmp(commitment.b, slot0->b, 32) == 0, "snapshot() has the same commitment");
    check(answer_bits_refused(slot0, &full), "every flipped bit of the answer is refused");
    for (size_t n = 0; n < full.len; n++)
        prefixes &= verify(slot0, ms_span_of(full.ptr, n)) == MS_ERR_ABI;
    check(prefixes, "no prefix of the answer decodes");
    check(verify(slot0, ms_buf_span(&bare)) == MS_ERR_ABI,
          "snapshot() is not snapshotWithPayloads()");
    check(s.n_releases == 3 && s.state.sequence == 9 && s.releases[0].id == 1 &&
              s.releases[2].id == 3 && s.releases[0].payload.len == 351 &&
              s.releases[1].payload.len == 0 &&
              ms_span_eq_str(s.releases[2].uri, "https://a.example/r2.json"),
          "the values that README tells");
    if (s.n_releases == 3) {
        uint64_t t = header->timestamp_s;
        check(registry_in_force(&s.state, &s.releases[0], t, (int64_t)t) == REGISTRY_IN_FORCE &&
                  registry_in_force(&s.state, &s.releases[1], t, (int64_t)t) == REGISTRY_PENDING &&
                  registry_in_force(&s.state, &s.releases[2], t, (int64_t)t) == REGISTRY_PENDING,
              "at the block's time release 1 is in force, 2 and 3 are pending");
    }
    ms_buf_done(&full);
    ms_buf_done(&bare);
    ms_arena_done(&arena);
}

int main(void)
{
    struct eth_header header = {0};
    struct eth_word slot0;
    json_t *root = vec_load(&count, "registry", "l3-vector.json");
    bool ok = count.failed == 0;

    if (root == NULL)
        return ok ? 0 : 1;
    if (check_header(root, &header) && check_proof(root, &header.state_root, &slot0))
        check_snapshot(root, &slot0, &header);
    json_decref(root);
    ok &= vec_end(&count);
    return ok ? 0 : 1;
}
