/* Tries built from their entries have the published root, whoever builds them, and the verifier
 * takes each entry's proof and the absence of other keys. The builder of the proofs is test
 * support; what is proven is that both sides agree. */
#include "eth/trie.h"
#include "tests/support/trie.h"
#include "tests/support/vectors.h"

#include <stdlib.h>

#define ENTRIES_MAX 4096

struct entries {
    struct trie_entry at[ENTRIES_MAX];
    size_t n;
};

static struct ms_span text_bytes(const json_t *value, struct ms_arena *arena)
{
    struct ms_span text = ms_span_of(json_string_value(value), json_string_length(value));
    struct ms_buf bytes = MS_BUF_INIT((size_t)1 << 20);

    if (ms_span_starts(text, "0x")) {
        if (!vec_hex(json_string_value(value), &bytes))
            abort();
    } else {
        (void)ms_buf_add(&bytes, text);
    }
    uint8_t *copy = ms_arena_alloc(arena, bytes.len, 1);
    if (copy == NULL)
        abort();
    if (bytes.len > 0)
        memcpy(copy, bytes.ptr, bytes.len);
    struct ms_span out = ms_span_of(copy, bytes.len);
    ms_buf_done(&bytes);
    return out;
}

/* Later pairs win; null or the empty string takes a key away. */
static void put(struct entries *e, struct ms_span path, const json_t *value, struct ms_arena *arena)
{
    size_t i = 0;

    while (i < e->n && !ms_span_eq(e->at[i].path, path))
        i++;
    if (json_string_length(value) == 0) {
        if (i < e->n)
            e->at[i] = e->at[--e->n];
        return;
    }
    if (i == ENTRIES_MAX)
        abort();
    e->at[i] = (struct trie_entry){path, text_bytes(value, arena)};
    if (i == e->n)
        e->n++;
}

static struct ms_span path_of(const json_t *key, bool secure, struct ms_arena *arena)
{
    struct ms_span bytes = text_bytes(key, arena);

    if (!secure)
        return bytes;
    struct eth_hash *hash = ms_arena_alloc(arena, 1, sizeof(*hash));
    if (hash == NULL)
        abort();
    *hash = eth_keccak256(bytes);
    return eth_hash_span(hash);
}

static void read_entries(const json_t *in, bool secure, struct entries *e, struct ms_arena *arena)
{
    e->n = 0;
    if (json_is_array(in)) {
        for (size_t i = 0; i < json_array_size(in); i++) {
            const json_t *pair = json_array_get(in, i);
            put(e, path_of(json_array_get(pair, 0), secure, arena), json_array_get(pair, 1), arena);
        }
        return;
    }
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)in, name, value)
    {
        json_t *key = json_string(name);
        put(e, path_of(key, secure, arena), value, arena);
        json_decref(key);
    }
}

static enum eth_mpt_verdict verify(const struct eth_hash *root, struct ms_span path, bool secure,
                                   const struct trie_proof *proof, struct ms_span *ret_value)
{
    struct eth_hash hash;

    if (!secure)
        return eth_mpt_verify_raw(root, path, proof->nodes, proof->n, ret_value, NULL);
    memcpy(hash.b, path.ptr, sizeof(hash.b));
    return eth_mpt_verify(root, &hash, proof->nodes, proof->n, ret_value, NULL);
}

static bool proofs_hold(struct entries *e, bool secure, struct ms_arena *arena)
{
    struct trie_entry *copy = ms_arena_alloc(arena, e->n, sizeof(*copy));

    for (size_t i = 0; i < e->n; i++) {
        struct trie_proof proof;
        struct ms_span value = {NULL, 0};
        memcpy(copy, e->at, e->n * sizeof(*copy));
        struct eth_hash root = trie_root(copy, e->n, arena, e->at[i].path, &proof);
        if (verify(&root, e->at[i].path, secure, &proof, &value) != ETH_MPT_VALUE ||
            !ms_span_eq(value, e->at[i].value))
            return false;
        /* its absence, in the trie without it */
        copy[0] = e->at[i];
        memcpy(copy, e->at, i * sizeof(*copy));
        if (i + 1 < e->n)
            memcpy(copy + i, e->at + i + 1, (e->n - i - 1) * sizeof(*copy));
        root = trie_root(copy, e->n - 1, arena, e->at[i].path, &proof);
        if (verify(&root, e->at[i].path, secure, &proof, &value) != ETH_MPT_ABSENT)
            return false;
    }
    return true;
}

static bool root_is(const struct entries *e, const struct eth_hash *want, struct ms_arena *arena)
{
    struct eth_trie_entry *copy = ms_arena_alloc(arena, e->n + 1, sizeof(*copy));
    struct eth_hash got;

    for (size_t i = 0; i < e->n; i++)
        copy[i] = (struct eth_trie_entry){e->at[i].path, e->at[i].value};
    return eth_trie_root(copy, e->n, &got) == MS_OK && eth_hash_eq(&got, want);
}

static bool run(const char *file, bool secure)
{
    static struct entries e;
    struct vec_count count;
    json_t *root = vec_load(&count, "trie", file);
    size_t i;
    json_t *c;

    if (root == NULL)
        return count.failed == 0;
    json_array_foreach(vec_cases(root), i, c)
    {
        struct ms_arena arena = MS_ARENA_INIT((size_t)256 << 20);
        struct eth_hash want = {0};
        read_entries(json_object_get(c, "in"), secure, &e, &arena);
        bool ok = eth_json_fixed(c, "root", want.b, sizeof(want.b), NULL) == MS_OK;
        struct eth_hash got = trie_root(e.at, e.n, &arena, (struct ms_span){NULL, 0}, NULL);
        bool same = ok && eth_hash_eq(&got, &want) && root_is(&e, &want, &arena);
        vec_check(&count, same && proofs_hold(&e, secure, &arena), vec_str(c, "id"), "%s",
                  same ? "a proof is refused" : "the root differs");
        ms_arena_done(&arena);
    }
    json_decref(root);
    return vec_end(&count);
}

int main(void)
{
    bool ok = run("trietest.json", false);
    ok &= run("trieanyorder.json", false);
    ok &= run("trietest_secureTrie.json", true);
    ok &= run("trieanyorder_secureTrie.json", true);
    ok &= run("hex_encoded_securetrie_test.json", true);
    return ok ? 0 : 1;
}
