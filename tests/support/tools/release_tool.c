/* tests/support/tools/release_tool.c - signed sets for tests of what reads them. Never installed.
 *
 *   release_tool digest FILE                      what is signed, 0x..
 *   release_tool owner KEY                        address of a test key: one byte, two hex digits
 * (tests/support/sign.h) release_tool safe FILE CHAIN SAFE KEY...      the document with the Safe's
 * signature: those of these owners over the Safe's message for the digest, by ascending address
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

static void sign_as_safe(const char *file, const char *chain, const char *safe_text, char **keys,
                         size_t n)
{
    struct ms_arena arena = MS_ARENA_INIT(MSIG_DOC_ARENA_BYTES);
    struct ms_diag diag = {0};
    struct msig_set_doc doc;
    struct owner owners[OWNERS_MAX];
    struct eth_addr safe;

    struct ms_span json = read_file(file);
    enum ms_err err = msig_set_parse(json, &arena, &doc, &diag);
    if (err != MS_OK)
        fail(ms_diag_text(&diag, err));
    if (ms_hex_decode(ms_span_str(safe_text + 2), safe.b, ETH_ADDR_BYTES) != MS_OK ||
        n > OWNERS_MAX)
        fail("CHAIN SAFE KEY...");
    for (size_t i = 0; i < n; i++)
        owners[i] = (struct owner){key_of(keys[i]), sign_addr(key_of(keys[i]))};
    qsort(owners, n, sizeof(owners[0]), by_addr);
    struct eth_hash message = msig_safe_message(strtoull(chain, NULL, 10), &safe, &doc.digest);
    const char *end = strrchr(text, '}');
    (void)fwrite(text, 1, (size_t)(end - text), stdout);
    (void)printf(",\"signatures\":[{\"signer\":\"%s\",\"scheme\":\"eip1271\",\"signature\":\"0x",
                 safe_text);
    for (size_t i = 0; i < n; i++) {
        uint8_t sig[65];
        sign_digest(owners[i].key, &message, sig);
        print_hex(ms_span_of(sig, sizeof(sig)));
    }
    (void)puts("\"}]}");
    ms_arena_done(&arena);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "digest") == 0) {
        struct ms_arena arena = MS_ARENA_INIT(MSIG_DOC_ARENA_BYTES);
        struct ms_diag diag = {0};
        struct msig_set_doc doc;
        enum ms_err err = msig_set_parse(read_file(argv[2]), &arena, &doc, &diag);
        if (err != MS_OK)
            fail(ms_diag_text(&diag, err));
        (void)fputs("0x", stdout);
        print_hex(eth_hash_span(&doc.digest));
        (void)putchar('\n');
        ms_arena_done(&arena);
    } else if (argc == 3 && strcmp(argv[1], "owner") == 0) {
        struct eth_addr addr = sign_addr(key_of(argv[2]));
        (void)fputs("0x", stdout);
        print_hex(ms_span_of(addr.b, ETH_ADDR_BYTES));
        (void)putchar('\n');
    } else if (argc > 5 && strcmp(argv[1], "safe") == 0) {
        sign_as_safe(argv[2], argv[3], argv[4], argv + 5, (size_t)argc - 5);
    } else {
        fail("digest FILE | owner KEY | safe FILE CHAIN SAFE KEY...");
    }
    return 0;
}
