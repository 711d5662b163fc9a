/* tests/support/tools/release_tool.c - signed sets for tests of what reads them. Never installed.
 *
 *   release_tool digest FILE                      what is signed, 0x..
 *   release_tool owner KEY                        address of a test key: one byte, two hex digits
 *                                               (tests/support/sign.h)
 *   release_tool safe FILE CHAIN SAFE KEY...      the document with the Safe's signature: those of
 *                                               these owners over the Safe's message for the
 * digest, by ascending address release_tool list FILE SIGNER...              the document with
 * several: SIGNER is KEY, or CHAIN:SAFE:KEY.. of a Safe, KEYs side by side; without KEYs the Safe
 * keeps its word itself
 */
#include "base/hex.h"
#include "sig/release_set.h"
#include "sig/safe.h"
#include "tests/support/sign.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OWNERS_MAX 16

struct owner {
    uint8_t key;
    struct eth_addr addr;
};

static int by_addr(const void *a, const void *b)
{
    const struct owner *x = a, *y = b;
    return memcmp(x->addr.b, y->addr.b, ETH_ADDR_BYTES);
}

static void fail(const char *what)
{
    (void)fprintf(stderr, "release_tool: %s\n", what);
    exit(1);
}

static char text[262145];

static struct ms_span read_file(const char *name)
{
    FILE *file = fopen(name, "r");
    if (file == NULL)
        fail(name);
    size_t len = fread(text, 1, sizeof(text) - 1, file);
    (void)fclose(file);
    return ms_span_of(text, len);
}

static void print_hex(struct ms_span bytes)
{
    char hex[2 * 65 + 1];
    ms_hex_encode(bytes, hex);
    (void)fputs(hex, stdout);
}

static uint8_t key_of(const char *arg)
{
    return (uint8_t)strtoul(arg, NULL, 16);
}

static struct eth_addr addr_of(const char *addr_text, size_t len)
{
    struct eth_addr addr = {{0}};
    if (len != ETH_ADDR_TEXT ||
        ms_hex_decode(ms_span_of(addr_text + 2, len - 2), addr.b, ETH_ADDR_BYTES) != MS_OK)
        fail("no address");
    return addr;
}

static void sign_by_key(const struct eth_hash *digest, uint8_t key)
{
    struct eth_addr addr = sign_addr(key);
    uint8_t sig[65];

    sign_digest(key, digest, sig);
    (void)fputs("{\"signer\":\"0x", stdout);
    print_hex(ms_span_of(addr.b, ETH_ADDR_BYTES));
    (void)fputs("\",\"scheme\":\"eip712\",\"signature\":\"0x", stdout);
    print_hex(ms_span_of(sig, sizeof(sig)));
    (void)fputs("\"}", stdout);
}

static void sign_as_safe(const struct eth_hash *digest, uint64_t chain, const struct eth_addr *safe,
                         const uint8_t *keys, size_t n)
{
    struct owner owners[OWNERS_MAX];

    if (n > OWNERS_MAX)
        fail("too many owners");
    for (size_t i = 0; i < n; i++)
        owners[i] = (struct owner){keys[i], sign_addr(keys[i])};
    qsort(owners, n, sizeof(owners[0]), by_addr);
    struct eth_hash message = msig_safe_message(chain, safe, digest);
    (void)fputs("{\"signer\":\"0x", stdout);
    print_hex(ms_span_of(safe->b, ETH_ADDR_BYTES));
    (void)printf("\",\"scheme\":\"eip1271\",\"chain\":%llu,\"signature\":\"0x",
                 (unsigned long long)chain);
    for (size_t i = 0; i < n; i++) {
        uint8_t sig[65];
        sign_digest(owners[i].key, &message, sig);
        print_hex(ms_span_of(sig, sizeof(sig)));
    }
    (void)fputs("\"}", stdout);
}

/* KEY, or CHAIN:SAFE:KEY.. */
static void sign_one(const struct eth_hash *digest, const char *signer)
{
    uint8_t keys[OWNERS_MAX];
    size_t n = 0;
    char *end = NULL;

    if (strchr(signer, ':') == NULL) {
        sign_by_key(digest, key_of(signer));
        return;
    }
    uint64_t chain = strtoull(signer, &end, 10);
    const char *owners = strchr(end + 1, ':');
    if (owners == NULL)
        fail(signer);
    struct eth_addr safe = addr_of(end + 1, (size_t)(owners - end - 1));
    for (owners++; owners[0] != '\0' && owners[1] != '\0' && n < OWNERS_MAX; owners += 2)
        keys[n++] = key_of((char[]){owners[0], owners[1], '\0'});
    sign_as_safe(digest, chain, &safe, keys, n);
}

static struct eth_hash digest_of(const char *file)
{
    struct ms_arena arena = MS_ARENA_INIT(MSIG_DOC_ARENA_BYTES);
    struct ms_diag diag = {0};
    struct msig_set_doc doc;

    enum ms_err err = msig_set_parse(read_file(file), &arena, &doc, &diag);
    if (err != MS_OK)
        fail(ms_diag_text(&diag, err));
    ms_arena_done(&arena);
    return doc.digest;
}

/* The document that was read last, up to where its signatures begin. */
static void print_unsigned(void)
{
    (void)fwrite(text, 1, (size_t)(strrchr(text, '}') - text), stdout);
    (void)fputs(",\"signatures\":[", stdout);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "digest") == 0) {
        struct eth_hash digest = digest_of(argv[2]);
        (void)fputs("0x", stdout);
        print_hex(eth_hash_span(&digest));
        (void)putchar('\n');
    } else if (argc == 3 && strcmp(argv[1], "owner") == 0) {
        struct eth_addr addr = sign_addr(key_of(argv[2]));
        (void)fputs("0x", stdout);
        print_hex(ms_span_of(addr.b, ETH_ADDR_BYTES));
        (void)putchar('\n');
    } else if (argc > 5 && strcmp(argv[1], "safe") == 0) {
        struct eth_hash digest = digest_of(argv[2]);
        struct eth_addr safe = addr_of(argv[4], strlen(argv[4]));
        uint8_t keys[OWNERS_MAX];
        for (int i = 5; i < argc && i - 5 < OWNERS_MAX; i++)
            keys[i - 5] = key_of(argv[i]);
        print_unsigned();
        sign_as_safe(&digest, strtoull(argv[3], NULL, 10), &safe, keys, (size_t)argc - 5);
        (void)puts("]}");
    } else if (argc > 3 && strcmp(argv[1], "list") == 0) {
        struct eth_hash digest = digest_of(argv[2]);
        print_unsigned();
        for (int i = 3; i < argc; i++) {
            if (i > 3)
                (void)putchar(',');
            sign_one(&digest, argv[i]);
        }
        (void)puts("]}");
    } else {
        fail("digest FILE | owner KEY | safe FILE CHAIN SAFE KEY... | list FILE SIGNER...");
    }
    return 0;
}
