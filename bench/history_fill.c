/* bench/history_fill.c - a database with a long history of real changes, made through the cache.
 *
 *   history_fill DIR KIND ROWS [KEYS]
 *
 * KIND is location (KEYS lists that change in turn), registry (one, at l3 with proofs of three
 * nodes) or signers (one 2 of 3, a new sequence each). Each change has evidence of its own. Prints
 * the specifier of the first key. */
#include "base/base64.h"
#include "base/hex.h"
#include "sig/release_set.h"
#include "tests/support/changes.h"
#include "tests/support/sign.h"

#define GROUP 1000 /* changes of one transaction */
#define T0 (CHAIN_GENESIS_S + 12 * 200)
#define SIGNED_HOST "one.example"

static void must(bool ok, const char *what)
{
    changes_must(ok, what, NULL);
}

static void document(uint64_t i, char text[512])
{
    (void)snprintf(text, 512,
                   "[{\"measurement_id\":\"web-%llu\",\"attestation_type\":\"dcap-tdx\","
                   "\"measurements\":{\"0\":{\"expected\":\"%096llu\"},\"1\":{\"expected\":"
                   "\"%096llu\"}}}]",
                   (unsigned long long)i % 7, (unsigned long long)i, (unsigned long long)i + 1);
}

static void add_location(struct cache *cache, uint64_t i, uint64_t keys)
{
    char spec[64], text[512];

    (void)snprintf(spec, sizeof(spec), "url:https://a.example/%llu.json",
                   (unsigned long long)(i % keys));
    document(i, text);
    changes_location(cache, spec, text, T0 + (int64_t)i, i / keys + 1);
}

/* ---- a signed set ---- */

static json_t *hex_json(const void *bytes, size_t len)
{
    char text[2 + 2 * 65 + 1] = "0x";

    ms_hex_encode(ms_span_of(bytes, len), text + 2);
    return json_string(text);
}

static json_t *signature_json(uint8_t key, const struct eth_hash *digest)
{
    struct eth_addr addr = sign_addr(key);
    uint8_t sig[65];

    sign_digest(key, digest, sig);
    return json_pack("{s:o, s:s, s:o}", "signer", hex_json(addr.b, sizeof(addr.b)), "scheme",
                     "eip712", "signature", hex_json(sig, sizeof(sig)));
}

static json_t *set_json(uint64_t sequence, int64_t now_s)
{
    char text[512], name[67] = "0x";
    struct ms_buf encoded = MS_BUF_INIT(2048);

    document(sequence, text);
    struct msig_release release = {.id = sequence,
                                   .version = sequence,
                                   .approved_seq = sequence,
                                   .payload_format = 1,
                                   .payload_size = (uint32_t)strlen(text),
                                   .payload_hash = ms_sha256(ms_span_str(text))};
    const struct msig_release_set set = {.app = ms_span_str(""),
                                         .sequence = sequence,
                                         .issued_at_s = (uint64_t)now_s,
                                         .valid_until_s = (uint64_t)now_s + 86400,
                                         .n_releases = 1,
                                         .releases = &release};
    struct eth_hash digest = msig_set_digest(&set);
    must(ms_base64_encode(ms_span_str(text), &encoded) == MS_OK, "base64");
    ms_sha256_hex(&release.payload_hash, name + 2);
    json_t *list = json_pack("[{s:I, s:I, s:i, s:i, s:I, s:i, s:I, s:o, s:s}]", "id",
                             (json_int_t)sequence, "version", (json_int_t)sequence, "notBefore", 0,
                             "notAfter", 0, "approvedSeq", (json_int_t)sequence, "payloadFormat", 1,
                             "payloadSize", (json_int_t)release.payload_size, "payloadHash",
                             hex_json(release.payload_hash.b, 32), "uri", "");
    json_t *out = json_pack("{s:s, s:{s:s, s:I, s:I, s:I, s:o, s:o}, s:{s:s}, s:[o, o]}", "type",
                            "measured-release-set/1", "set", "app", "", "sequence",
                            (json_int_t)sequence, "issuedAt", (json_int_t)now_s, "validUntil",
                            (json_int_t)now_s + 86400, "previous", hex_json(set.previous.b, 32),
                            "releases", list, "payloads", name, ms_buf_str(&encoded), "signatures",
                            signature_json(0xa1, &digest), signature_json(0xb2, &digest));
    ms_buf_done(&encoded);
    return out;
}

static struct source_response serve_set(void *arg, const struct source_request *request)
{
    const char *url = request->location->url;
    size_t n = strlen(url);

    if (n < 8 || strstr(url, "set") == NULL)
        return (struct source_response){.status = 404};
    struct source_response r = {.status = 200, .body = ms_span_str(arg)};
    return r;
}

static void add_signed(struct cache *cache, uint64_t i)
{
    char spec[256], addr[3][ETH_ADDR_TEXT + 1];
    const uint8_t keys[3] = {0xa1, 0xb2, 0xc3};
    int64_t now_s = T0 + (int64_t)i;
    struct ms_buf text = MS_BUF_INIT(65536);
    json_t *set = set_json(i + 1, now_s);

    for (size_t k = 0; k < 3; k++) {
        struct eth_addr one = sign_addr(keys[k]);
        eth_addr_text(&one, addr[k]);
    }
    (void)snprintf(spec, sizeof(spec), "2of3:%s,%s,%s", addr[0], addr[1], addr[2]);
    must(ms_json_dump(set, &text) == MS_OK && ms_buf_str(&text) != NULL, "set");
    union {
        const char *in;
        void *out;
    } body = {.in = ms_buf_str(&text)};
    struct play p = {.spec = spec,
                     .policy = play_policy(SPEC_LEVEL_L2, 2, 0),
                     .now = {now_s, 77, 0},
                     .http = serve_set,
                     .arg = body.out};
    p.previous.n_hosts = 1;
    (void)snprintf(p.previous.hosts[0], SOURCE_HOST_MAX_BYTES, SIGNED_HOST);
    play_run(&p);
    changes_commit(cache, &p, now_s, 0);
    play_done(&p);
    json_decref(set);
    ms_buf_done(&text);
}

/* ---- all ---- */

static void add(struct cache *cache, const char *kind, struct chain *chain, uint64_t i,
                uint64_t keys)
{
    if (strcmp(kind, "location") == 0)
        add_location(cache, i, keys);
    else if (strcmp(kind, "signers") == 0)
        add_signed(cache, i);
    else if (i < 20) /* as many releases as a busy registry has; then only the block is another */
        (void)chain_approve(chain, chain_document((uint8_t)(i + 1)), NULL);
    if (strcmp(kind, "registry") == 0)
        changes_registry(cache, chain, 100 + 30 * i, T0 + 400 * (int64_t)i);
}

int main(int argc, char **argv)
{
    static struct chain chain;
    struct cache *cache = NULL;
    struct ms_diag diag = {0};
    uint64_t rows = 0, keys = 1;

    if (argc < 4 || argc > 5 || !ms_span_u64(ms_span_str(argv[3]), &rows) ||
        (argc == 5 && (!ms_span_u64(ms_span_str(argv[4]), &keys) || keys == 0))) {
        (void)fputs("usage: history_fill DIR location|registry|signers ROWS [KEYS]\n", stderr);
        return 2;
    }
    changes_must(cache_open(argv[1], NULL, &cache, &diag) == MS_OK, "open", &diag);
    chain_init(&chain);
    for (uint64_t i = 0; i < rows; i++) {
        if (i % GROUP == 0)
            changes_must(cache_group_begin(cache, &diag) == MS_OK, "begin", &diag);
        add(cache, argv[2], &chain, i, keys);
        if (i % GROUP == GROUP - 1 || i + 1 == rows)
            changes_must(cache_group_end(cache, &diag) == MS_OK, "commit", &diag);
    }
    chain_done(&chain);
    cache_close(cache);
    (void)puts(strcmp(argv[2], "location") == 0  ? play_text("url:https://a.example/0.json")
               : strcmp(argv[2], "signers") == 0 ? "2of3"
                                                 : CHAIN_SPEC);
    return 0;
}
