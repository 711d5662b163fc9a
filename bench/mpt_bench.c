/* bench/mpt_bench.c - what one verification of a registry's account and slot costs:
 * eth_proof_verify over the parsed JSON of the published vector, as the contract source does it.
 *
 *   mpt_bench VECTOR.json SECONDS      prints nanoseconds of processor time a verification */
#define _POSIX_C_SOURCE 200809L

#include "base/hex.h"
#include "eth/proof.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static _Noreturn void die(const char *what)
{
    (void)fprintf(stderr, "mpt_bench: %s\n", what);
    exit(1);
}

static double now_s(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void hex_member(const json_t *object, const char *name, uint8_t *out, size_t len)
{
    struct ms_span text = ms_json_member_str(object, name);
    if (text.len != 2 + 2 * len || ms_hex_decode(ms_span_sub(text, 2, 2 * len), out, len) != MS_OK)
        die(name);
}

static bool verify(const json_t *proof, const struct eth_hash *root, const struct eth_addr *address,
                   const struct eth_word *want)
{
    static const struct eth_word key;
    struct eth_account account;
    struct eth_word value;

    return eth_proof_verify(proof, root, address, &key, 1, &account, &value, NULL) == MS_OK &&
           eth_word_eq(&value, want);
}

int main(int argc, char **argv)
{
    struct eth_hash root;
    struct eth_addr address;
    struct eth_word commitment, other = {{1}};
    uint64_t seconds = 0, n = 0;

    if (argc != 3 || !ms_span_u64(ms_span_str(argv[2]), &seconds))
        die("usage: mpt_bench VECTOR.json SECONDS");
    json_t *vector = json_load_file(argv[1], 0, NULL);
    json_t *proof = json_object_get(vector, "proof");
    /* The vector also proves the absence of a second key; a read asks for slot 0 only. */
    (void)json_array_remove(json_object_get(proof, "storageProof"), 1);
    hex_member(json_object_get(vector, "headerJSON"), "stateRoot", root.b, sizeof(root.b));
    hex_member(vector, "registry", address.b, sizeof(address.b));
    hex_member(vector, "commitment", commitment.b, sizeof(commitment.b));
    if (!verify(proof, &root, &address, &commitment) || verify(proof, &root, &address, &other))
        die("the vector does not verify");
    double start = now_s(), end = start;
    while (end - start < (double)seconds) {
        for (int i = 0; i < 1000; i++)
            if (!verify(proof, &root, &address, &commitment))
                die("verified once, then no more");
        n += 1000;
        end = now_s();
    }
    (void)printf("%.0f\n", (end - start) * 1e9 / (double)n);
    json_decref(vector);
    return 0;
}
