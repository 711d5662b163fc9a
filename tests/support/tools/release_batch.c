/* tests/support/tools/release_batch.c - many signed sets of another library in one process, for
 * tests. Never installed.
 *
 *   release_batch FLIPS <LINES
 *
 * A line is {"doc": release set, "signers": [address, ..], "key": 64 digits}: the document must be
 * signed by all of the signers. Then FLIPS times a bit of its text is flipped (0: every bit of it,
 * one after the other): whatever still is signed by all of them must be the same message with the
 * same signatures, as another case of a hex digit is. For each line one is printed: {"digest",
 * "signature" with the key, "signer", "typed": typed data}. Exits 1 with words at the first that
 * goes wrong. */
#include "base/hex.h"
#include "sig/message_json.h"
#include "sig/release_set.h"
#include "sig/secp_sign.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MAX_BYTES 524288

static char line[LINE_MAX_BYTES];
static unsigned long lines;
static uint64_t dice = 88172645463325252u; /* xorshift64 */

static uint64_t roll(uint64_t n)
{
    dice ^= dice << 13;
    dice ^= dice >> 7;
    dice ^= dice << 17;
    return dice % n;
}

static void fail(const char *what)
{
    (void)fprintf(stderr, "release_batch: line %lu: %s\n", lines, what);
    exit(1);
}

/* Whether all of the signers have signed; the document is in `arena`. */
static bool valid(struct ms_span text, const struct msig_signers *signers, struct ms_arena *arena,
                  struct msig_set_doc *ret_doc, struct ms_diag *diag)
{
    struct msig_tally tally;

    return msig_set_parse(text, arena, ret_doc, diag) == MS_OK &&
           msig_tally(&ret_doc->digest, &ret_doc->signatures, signers, &tally, diag) == MS_OK &&
           msig_met(&tally, signers) == MSIG_MET;
}

static bool same(const struct msig_set_doc *a, const struct msig_set_doc *b)
{
    if (!eth_hash_eq(&a->digest, &b->digest) || a->signatures.n != b->signatures.n)
        return false;
    for (size_t i = 0; i < a->signatures.n; i++)
        if (!ms_span_eq(a->signatures.items[i].bytes, b->signatures.items[i].bytes))
            return false;
    return true;
}

static void flip(struct ms_span text, size_t bit, const struct msig_signers *signers,
                 const struct msig_set_doc *want)
{
    struct ms_arena arena = MS_ARENA_INIT(MSIG_DOC_ARENA_BYTES);
    uint8_t *copy = malloc(text.len);
    struct msig_set_doc doc;
    char words[80];

    if (copy == NULL)
        fail("out of memory");
    memcpy(copy, text.ptr, text.len);
    copy[bit / 8] = (uint8_t)(copy[bit / 8] ^ 1u << bit % 8);
    if (valid(ms_span_of(copy, text.len), signers, &arena, &doc, NULL) && !same(&doc, want)) {
        (void)snprintf(words, sizeof(words), "verifies with bit %zu flipped", bit);
        fail(words);
    }
    free(copy);
    ms_arena_done(&arena);
}

static void print_answer(const struct msig_set_doc *doc, const char *key_text)
{
    char digest[2 * ETH_HASH_BYTES + 1], sig_text[2 * MSIG_BYTES + 1], addr[ETH_ADDR_TEXT + 1];
    uint8_t key[MSIG_KEY_BYTES], sig[MSIG_BYTES];
    struct ms_buf out = MS_BUF_INIT((size_t)4 * LINE_MAX_BYTES);
    struct eth_addr signer;

    if (key_text == NULL || ms_hex_decode(ms_span_str(key_text), key, sizeof(key)) != MS_OK ||
        msig_sign(&doc->digest, key, sig, &signer, NULL) != MS_OK)
        fail("the key does not sign");
    ms_hex_encode(eth_hash_span(&doc->digest), digest);
    ms_hex_encode(ms_span_of(sig, sizeof(sig)), sig_text);
    eth_addr_text(&signer, addr);
    json_t *answer = json_pack("{s:s+, s:s+, s:s, s:o}", "digest", "0x", digest, "signature", "0x",
                               sig_text, "signer", addr, "typed",
                               msig_typed_json(MSIG_TYPE_SET, msig_set_json(&doc->set)));
    if (answer == NULL || ms_json_print(answer, false, &out) != MS_OK)
        fail("out of memory");
    (void)printf("%.*s\n", (int)out.len, (const char *)out.ptr);
    json_decref(answer);
    ms_buf_done(&out);
}

static void read_signers(const json_t *list, struct msig_signers *out)
{
    enum eth_checksum checksum;

    *out = (struct msig_signers){.threshold = (uint32_t)json_array_size(list)};
    for (size_t i = 0; i < json_array_size(list) && i < MSIG_SIGNERS_MAX; i++) {
        const char *text = json_string_value(json_array_get(list, i));
        if (eth_addr_parse(ms_span_str(text), &out->addrs[out->n++], &checksum, NULL) != MS_OK ||
            checksum != ETH_CHECKSUM_RIGHT)
            fail("a signer is no address");
    }
}

static void take(size_t flips)
{
    static const struct ms_json_limits limits = {LINE_MAX_BYTES, 16, 65536, 0};
    struct ms_arena arena = MS_ARENA_INIT(MSIG_DOC_ARENA_BYTES);
    struct ms_buf text = MS_BUF_INIT(LINE_MAX_BYTES);
    struct ms_diag diag = {0};
    struct msig_signers signers;
    struct msig_set_doc doc;
    json_t *input = NULL;

    enum ms_err err = ms_json_parse(ms_span_str(line), &limits, &input, &diag);
    if (err == MS_OK)
        err = ms_json_print(json_object_get(input, "doc"), false, &text);
    if (err != MS_OK)
        fail(ms_diag_text(&diag, err));
    read_signers(json_object_get(input, "signers"), &signers);
    struct ms_span bytes = ms_buf_span(&text);
    if (signers.n == 0 || !valid(bytes, &signers, &arena, &doc, &diag))
        fail(ms_diag_text(&diag, MS_ERR_SIGNATURE));
    size_t bits = 8 * bytes.len;
    for (size_t i = 0; i < (flips == 0 ? bits : flips); i++)
        flip(bytes, flips == 0 ? i : (size_t)roll(bits), &signers, &doc);
    print_answer(&doc, json_string_value(json_object_get(input, "key")));
    json_decref(input);
    ms_buf_done(&text);
    ms_arena_done(&arena);
}

int main(int argc, char **argv)
{
    uint64_t flips = 0;

    if (argc != 2 || !ms_span_u64(ms_span_str(argv[1]), &flips))
        fail("usage: release_batch FLIPS <LINES");
    while (fgets(line, sizeof(line), stdin) != NULL) {
        lines++;
        line[strcspn(line, "\n")] = '\0';
        take((size_t)flips);
    }
    if (lines == 0)
        fail("nothing on standard input");
    return 0;
}
