/* tests/support/sets.c - signed sets. */
#include "tests/support/sets.h"

#include "base/hex.h"
#include "base/json.h"
#include "sig/release_set.h"
#include "tests/support/sign.h"

#include <stdio.h>
#include <stdlib.h>

#define WEEK_S (7 * 86400)

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    (void)fprintf(stderr, "sets: %s\n", what);
    abort();
}

static json_t *hex_json(const void *bytes, size_t len)
{
    char text[2 + 2 * 65 + 1] = "0x";
    ms_hex_encode(ms_span_of(bytes, len), text + 2);
    return json_string(text);
}

static json_t *addr_json(uint8_t key)
{
    struct eth_addr addr = sign_addr(key);
    return hex_json(addr.b, sizeof(addr.b));
}

/* Takes doc. */
static void sign_text(json_t *doc, const struct eth_hash *digest, const char *by,
                      struct ms_buf *out)
{
    json_t *list = json_array();

    for (; *by != '\0'; by++) {
        uint8_t sig[65];
        sign_digest((uint8_t)*by, digest, sig);
        (void)json_array_append_new(list, json_pack("{s:o, s:s, s:o}", "signer",
                                                    addr_json((uint8_t)*by), "scheme", "eip712",
                                                    "signature", hex_json(sig, sizeof(sig))));
    }
    (void)json_object_set_new(doc, "signatures", list);
    must(ms_json_dump(doc, out) == MS_OK, "dump");
    json_decref(doc);
}

struct sets_made sets_make(const char *app, uint64_t sequence, const struct eth_hash *previous,
                           const char *by)
{
    struct sets_made made = {
        .sequence = sequence, .previous = *previous, .text = MS_BUF_INIT(MSIG_DOC_MAX_BYTES)};
    struct ms_buf bare = MS_BUF_INIT(MSIG_DOC_MAX_BYTES);
    struct ms_arena arena = MS_ARENA_INIT(MSIG_DOC_ARENA_BYTES);
    json_int_t issued_s = SETS_NOW_S - 100000 + 1000 * (json_int_t)sequence;
    struct msig_set_doc doc;
    json_t *tree = json_pack(
        "{s:s, s:{s:s, s:I, s:I, s:I, s:o, s:[]}}", "type", "measured-release-set/1", "set", "app",
        app, "sequence", (json_int_t)sequence, "issuedAt", issued_s, "validUntil",
        issued_s + WEEK_S, "previous", hex_json(previous->b, sizeof(previous->b)), "releases");

    must(ms_json_dump(tree, &bare) == MS_OK, "dump");
    must(msig_set_parse(ms_buf_span(&bare), &arena, &doc, NULL) == MS_OK, "a set");
    made.hash = doc.set_hash;
    sign_text(tree, &doc.digest, by, &made.text);
    ms_arena_done(&arena);
    ms_buf_done(&bare);
    return made;
}

json_t *sets_carry(const char *by)
{
    static const struct eth_hash none;
    struct ms_buf bare = MS_BUF_INIT(MSIG_ROOT_MAX_BYTES), text = MS_BUF_INIT(MSIG_ROOT_MAX_BYTES);
    struct ms_arena arena = MS_ARENA_INIT(MSIG_DOC_ARENA_BYTES);
    struct msig_root_doc doc;
    json_t *tree = json_pack(
        "{s:s, s:{s:s, s:i, s:i, s:[o,o,o], s:i, s:[], s:[], s:I, s:o}}", "type", "measured-root/1",
        "root", "app", "", "epoch", 1, "threshold", 2, "signers", addr_json(0xb2), addr_json(0xc3),
        addr_json(0xd4), "freshThreshold", 0, "freshSigners", "revokers", "validUntil",
        (json_int_t)(SETS_NOW_S + WEEK_S), "previous", hex_json(none.b, sizeof(none.b)));

    must(ms_json_dump(tree, &bare) == MS_OK, "dump");
    must(msig_root_parse(ms_buf_span(&bare), &arena, &doc, NULL) == MS_OK, "a root");
    sign_text(tree, &doc.digest, by, &text);
    json_t *root = json_loadb((const char *)text.ptr, text.len, 0, NULL);
    ms_arena_done(&arena);
    ms_buf_done(&bare);
    ms_buf_done(&text);
    return json_pack("{s:[o]}", "roots", root);
}

const char *sets_spec(const char *options)
{
    static const uint8_t keys[3] = {0xa1, 0xb2, 0xc3};
    static char out[512];
    char text[3][ETH_ADDR_TEXT + 1];

    for (size_t i = 0; i < 3; i++) {
        struct eth_addr addr = sign_addr(keys[i]);
        eth_addr_text(&addr, text[i]);
    }
    (void)snprintf(out, sizeof(out), "2of3:%s,%s,%s%s", text[0], text[1], text[2], options);
    return out;
}
