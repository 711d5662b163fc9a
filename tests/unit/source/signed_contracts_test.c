/* Contracts among the signers of a set (EIP-1271): what their chain says counts as a signature
 * does, at each level. Whatever ends well is also written as a bundle and replayed
 * (tests/support/play.c).
 */
#include "base/base64.h"
#include "base/hex.h"
#include "base/json.h"
#include "contracts-abi/safe_abi.h"
#include "eth/abi.h"
#include "eth/slot.h"
#include "resolver/entry/entry.h"
#include "sig/release_set.h"
#include "sig/safe.h"
#include "tests/support/play.h"
#include "tests/support/sign.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define FINAL 100
#define HEAD 170
#define NODES 3
#define NODES_MAX 16
#define NOW_S (CHAIN_GENESIS_S + 12 * 180)
#define DAY_S 86400
#define A 0xa1
#define B 0xb2
#define OWNERS "\x11\x22\x33" /* of the Safe: two of them are enough */

#define EACH_LEVEL(level)                                               \
    for (enum spec_level level = SPEC_LEVEL_L1; level <= SPEC_LEVEL_L3; \
         level = (enum spec_level)(level + 1))

/* Two contracts, in their finalized and in their newest state; nodes; and one web server. */
struct place {
    struct chain chain, head;
    struct chain_contract old, newest;
};

static struct scene {
    struct place safe, other;
    struct ms_arena arena;
    struct node nodes[NODES_MAX];
    struct ms_buf set; /* the document; empty: 404 */
    size_t fetched;
    struct msig_set_doc doc;
    char spec[512];
    struct play p;
} s;

/* ---- contracts ---- */

static struct ms_span encoded(const char *types, struct eth_abi_value *values, size_t n)
{
    const struct eth_abi_type *type = NULL;
    struct eth_abi_value all = {.kind = ETH_ABI_TUPLE, .n = n, .items = values};
    struct ms_buf text = MS_BUF_INIT(4096);

    assert_int_equal(eth_abi_params_parse(ms_span_str(types), &s.arena, &type), MS_OK);
    assert_int_equal(eth_abi_encode(type, &all, &text), MS_OK);
    const char *copy = ms_arena_strdup(&s.arena, ms_buf_span(&text));
    assert_non_null(copy);
    struct ms_span out = ms_span_of(copy, text.len);
    ms_buf_done(&text);
    return out;
}

static struct eth_abi_value address(const struct eth_addr *addr)
{
    struct eth_abi_value value = {.kind = ETH_ABI_ADDRESS};
    memcpy(value.word.b + ETH_WORD_BYTES - ETH_ADDR_BYTES, addr->b, ETH_ADDR_BYTES);
    return value;
}

static struct ms_span word(uint64_t value)
{
    struct eth_abi_value one = eth_abi_u64(value);
    return encoded("uint256", &one, 1);
}

/* The answer to data that begins with the selector; NULL: it reverts. */
static void answer(struct chain_contract *c, const uint8_t selector[4], const struct ms_span *with)
{
    size_t i = 0;

    while (i < c->n_calls && memcmp(c->calls[i].data.ptr, selector, 4) != 0)
        i++;
    assert_true(i < CHAIN_CALLS_MAX);
    if (i == c->n_calls)
        c->n_calls++;
    c->calls[i] = (struct chain_call){.data = ms_span_of(selector, 4), .reverts = with == NULL};
    if (with != NULL)
        c->calls[i].answer = *with;
}

static const uint8_t say_version[4] = SAFE_CALL_VERSION, say_threshold[4] = SAFE_CALL_GET_THRESHOLD,
                     say_owners[4] = SAFE_CALL_GET_OWNERS,
                     say_modules[4] = SAFE_CALL_GET_MODULES_PAGINATED,
                     say_signed[4] = SAFE_CALL_SIGNED_MESSAGES,
                     say_valid[4] = SAFE_CALL_IS_VALID_SIGNATURE_BYTES32_BYTES;

static void store(struct chain_contract *c, uint64_t slot, const struct eth_word *key,
                  uint64_t value)
{
    struct eth_word at = eth_word_u64(slot), number = eth_word_u64(value);
    if (key != NULL)
        at = eth_slot_mapping(key, &at);
    chain_store(c, &at, &number);
}

static void set_threshold(struct chain_contract *c, uint64_t threshold)
{
    struct ms_span said = word(threshold);
    store(c, 4, NULL, threshold);
    answer(c, say_threshold, &said);
}

/* A Safe that has signed nothing, and takes no signature. */
static void make_safe(struct chain_contract *c)
{
    struct eth_abi_value version = {.kind = ETH_ABI_STRING, .bytes = ms_span_str("1.4.1")};
    struct eth_abi_value owners[8], none[2] = {{.kind = ETH_ABI_ARRAY}, {.kind = ETH_ABI_ADDRESS}};
    size_t n = 0;

    *c = (struct chain_contract){.code = ms_span_str("a proxy")};
    store(c, 0, NULL, 0x51);
    for (const char *key = OWNERS; *key != '\0'; key++) {
        struct eth_addr addr = sign_addr((uint8_t)*key);
        owners[n] = address(&addr);
        store(c, 2, &owners[n++].word, 1);
    }
    struct eth_abi_value list = {.kind = ETH_ABI_ARRAY, .n = n, .items = owners};
    struct ms_span said[] = {encoded("string", &version, 1), encoded("address[]", &list, 1),
                             encoded("address[],address", none, 2), word(0)};
    answer(c, say_version, &said[0]);
    answer(c, say_owners, &said[1]);
    answer(c, say_modules, &said[2]);
    answer(c, say_signed, &said[3]);
    answer(c, say_valid, NULL);
    set_threshold(c, 2);
}

/* Any other contract that signs. */
static void make_wallet(struct chain_contract *c)
{
    *c = (struct chain_contract){.code = ms_span_str("a wallet")};
    answer(c, say_valid, NULL);
}

static void takes(struct chain_contract *c, bool valid)
{
    uint8_t magic[ETH_WORD_BYTES] = SAFE_CALL_IS_VALID_SIGNATURE_BYTES32_BYTES;
    const char *copy = ms_arena_strdup(&s.arena, ms_span_of(magic, sizeof(magic)));
    struct ms_span said = ms_span_of(copy, sizeof(magic));
    answer(c, say_valid, valid ? &said : NULL);
}

static struct eth_hash message(const struct place *place)
{
    return msig_safe_message(s.safe.chain.id, &place->chain.registry, &s.doc.digest);
}

/* As signMessage does. */
static void signs(const struct place *place, struct chain_contract *c)
{
    struct eth_hash m = message(place);
    struct eth_word key = eth_word_of_hash(&m);
    struct ms_span said = word(1);

    store(c, 7, &key, 1);
    answer(c, say_signed, &said);
}

static void begin_place(struct place *place, void (*make)(struct chain_contract *))
{
    make(&place->old);
    make(&place->newest);
    place->chain.contract = &place->old;
    place->head = place->chain;
    place->head.contract = &place->newest;
    place->chain.newest = &place->head;
}

/* ---- documents ---- */

static json_t *hex_json(struct ms_span bytes)
{
    struct ms_buf text = MS_BUF_INIT(16384);
    (void)ms_buf_add_str(&text, "0x");
    (void)ms_buf_add_hex(&text, bytes);
    json_t *out = json_string(ms_buf_str(&text));
    ms_buf_done(&text);
    return out;
}

static const char record[] =
    "[{\"measurement_id\":\"a\",\"attestation_type\":\"dcap-tdx\","
    "\"measurements\":{\"0\":{\"expected\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}}}]";

static void dump(const json_t *tree)
{
    ms_buf_reset(&s.set);
    assert_int_equal(ms_json_dump(tree, &s.set), MS_OK);
}

/* A set of one release, not signed yet. */
static void write_set(int64_t valid_until_s)
{
    struct ms_sha256 hash = ms_sha256(ms_span_str(record));
    struct ms_span zeros = ms_span_of((uint8_t[32]){0}, 32);
    struct ms_buf payload = MS_BUF_INIT(4096);
    char name[67] = "0x";

    ms_sha256_hex(&hash, name + 2);
    assert_int_equal(ms_base64_encode(ms_span_str(record), &payload), MS_OK);
    json_t *release =
        json_pack("{s:i, s:i, s:i, s:i, s:i, s:i, s:I, s:s, s:s}", "id", 1, "version", 1,
                  "notBefore", 0, "notAfter", 0, "approvedSeq", 1, "payloadFormat", 1,
                  "payloadSize", (json_int_t)strlen(record), "payloadHash", name, "uri", "");
    json_t *doc = json_pack("{s:s, s:{s:s, s:i, s:I, s:I, s:o, s:[o]}, s:{s:s}, s:[]}", "type",
                            "measured-release-set/1", "set", "app", "", "sequence", 1, "issuedAt",
                            (json_int_t)NOW_S - 60, "validUntil", (json_int_t)valid_until_s,
                            "previous", hex_json(zeros), "releases", release, "payloads", name,
                            ms_buf_str(&payload), "signatures");
    ms_buf_done(&payload);
    dump(doc);
    json_decref(doc);
    assert_int_equal(msig_set_parse(ms_buf_span(&s.set), &s.arena, &s.doc, NULL), MS_OK);
}

static void add_entry(json_t *entry)
{
    static const struct ms_json_limits limits = {262144, 16, 65536, 0};
    json_t *doc = NULL;

    assert_int_equal(ms_json_parse(ms_buf_span(&s.set), &limits, &doc, NULL), MS_OK);
    (void)json_array_append_new(json_object_get(doc, "signatures"), entry);
    dump(doc);
    json_decref(doc);
}

static json_t *entry_of(const struct eth_addr *signer, const char *scheme, struct ms_span bytes)
{
    return json_pack("{s:o, s:s, s:o}", "signer", hex_json(ms_span_of(signer->b, ETH_ADDR_BYTES)),
                     "scheme", scheme, "signature", hex_json(bytes));
}

static void by_key(uint8_t key)
{
    struct eth_addr addr = sign_addr(key);
    uint8_t sig[65];

    sign_digest(key, &s.doc.digest, sig);
    add_entry(entry_of(&addr, "eip712", ms_span_of(sig, sizeof(sig))));
}

static int by_addr(const void *a, const void *b)
{
    struct eth_addr x = sign_addr(*(const uint8_t *)a), y = sign_addr(*(const uint8_t *)b);
    return memcmp(x.b, y.b, ETH_ADDR_BYTES);
}

/* The contract's signature: of these owners, by rising address. */
static json_t *owners_entry(const struct place *place, const char *owners)
{
    struct eth_hash m = message(place);
    uint8_t keys[64], sigs[64 * 65];
    size_t n = strlen(owners);

    memcpy(keys, owners, n);
    qsort(keys, n, 1, by_addr);
    for (size_t i = 0; i < n; i++)
        sign_digest(keys[i], &m, sigs + 65 * i);
    return entry_of(&place->chain.registry, "eip1271", ms_span_of(sigs, 65 * n));
}

static void by_owners(const struct place *place, const char *owners)
{
    add_entry(owners_entry(place, owners));
}

/* ---- playing ---- */

static struct source_response serve(void *arg, const struct source_request *request)
{
    (void)arg;
    s.fetched++;
    if (strstr(request->location->url, "/set.json") == NULL)
        return (struct source_response){.status = 404, .time_s = NOW_S};
    return (struct source_response){.status = 200, .body = ms_buf_span(&s.set), .time_s = NOW_S};
}

/* `2ofN:` the keys A and B, the Safe and, when there is one, the other contract. */
static void begin(enum spec_level level, void (*other)(struct chain_contract *))
{
    char addr[4][ETH_ADDR_TEXT + 1];
    struct eth_addr keys[2] = {sign_addr(A), sign_addr(B)};

    s = (struct scene){.arena = MS_ARENA_INIT((size_t)16 << 20),
                       .set = MS_BUF_INIT((size_t)1 << 18)};
    chain_init(&s.safe.chain);
    begin_place(&s.safe, make_safe);
    chain_init_more(&s.safe.chain, &s.other.chain, 0x77);
    if (other != NULL)
        begin_place(&s.other, other);
    s.safe.head.n_more = 0;
    for (size_t i = 0; i < NODES_MAX; i++)
        s.nodes[i] =
            (struct node){.chain = &s.safe.chain, .final = FINAL, .head = HEAD, .now_s = NOW_S};
    eth_addr_text(&keys[0], addr[0]);
    eth_addr_text(&keys[1], addr[1]);
    eth_addr_text(&s.safe.chain.registry, addr[2]);
    eth_addr_text(&s.other.chain.registry, addr[3]);
    (void)snprintf(s.spec, sizeof(s.spec), "2of%d:%s,%s,%s%s%s", other == NULL ? 3 : 4, addr[0],
                   addr[1], addr[2], other == NULL ? "" : ",", other == NULL ? "" : addr[3]);
    s.p = (struct play){.spec = s.spec,
                        .policy = play_policy(level, level == SPEC_LEVEL_L1 ? 1 : 2, NODES),
                        .now = {NOW_S, 1000, 0},
                        .nodes = s.nodes,
                        .http = serve};
    s.p.previous.n_hosts = 1;
    (void)snprintf(s.p.previous.hosts[0], SOURCE_HOST_MAX_BYTES, "one.example");
    write_set(NOW_S + 30 * DAY_S);
}

static void end(void)
{
    play_done(&s.p);
    ms_buf_done(&s.set);
    chain_done(&s.other.chain);
    chain_done(&s.safe.chain);
    ms_arena_done(&s.arena);
}

/* The same again; with what the attempt before left, when there was one. */
static json_t *carried;
static void again(void)
{
    struct play p = s.p;

    if (p.result != NULL) {
        json_decref(carried);
        carried = json_incref(p.result->carry);
        p.previous.carry = carried;
    }
    play_done(&s.p);
    s.p = (struct play){.spec = p.spec,
                        .policy = p.policy,
                        .previous = p.previous,
                        .now = p.now,
                        .nodes = s.nodes,
                        .http = serve};
}

static void run_ok(const char *what, size_t releases)
{
    play_run(&s.p);
    if (s.p.err != MS_OK)
        fail_msg("%s, %s: %s (%s)", what, spec_level_name(s.p.policy.level), ms_err_name(s.p.err),
                 s.p.diag.text);
    if (s.p.result->n_releases != releases)
        fail_msg("%s, %s: %zu releases", what, spec_level_name(s.p.policy.level),
                 s.p.result->n_releases);
}

static void run_fails(const char *what, enum ms_err want, const char *says)
{
    play_run(&s.p);
    if (s.p.err != want || strstr(s.p.diag.text, says) == NULL)
        fail_msg("%s, %s: %s (%s) and not %s (%s)", what, spec_level_name(s.p.policy.level),
                 ms_err_name(s.p.err), s.p.diag.text, ms_err_name(want), says);
}

static size_t asked(void)
{
    size_t n = 0;
    for (size_t i = 0; i < NODES; i++)
        n += s.nodes[i].asked;
    return n;
}

static bool warned(const char *code)
{
    for (size_t i = 0; i < s.p.result->n_warnings; i++)
        if (strcmp(s.p.result->warnings[i].code, code) == 0)
            return true;
    return false;
}

static const json_t *about(size_t i)
{
    return json_array_get(json_object_get(s.p.result->governance, "contracts"), i);
}

static bool nothing_taken(void)
{
    static const struct ms_sha256 nothing;
    return ms_sha256_eq(&s.p.result->overlay, &nothing);
}

/* ---- who signs ---- */

static void test_owners_sign(void **state)
{
    (void)state;
    EACH_LEVEL(level)
    {
        begin(level, NULL);
        by_key(A);
        by_owners(&s.safe, "\x11\x33");
        takes(&s.safe.old, true);
        takes(&s.safe.newest, true);
        run_ok("two owners of the Safe", 1);
        assert_int_equal(s.p.result->trust, SOURCE_TRUST_SIGNERS);
        assert_int_equal(s.p.result->trust_k, 2);
        assert_int_equal(s.p.result->trust_n, 3);
        assert_true(nothing_taken());
        assert_string_equal(json_string_value(json_object_get(about(0), "approved_by")),
                            "signature");
        assert_string_equal(json_string_value(json_object_get(about(0), "level")),
                            spec_level_name(level));
        assert_int_equal(json_integer_value(json_object_get(about(0), "block")), FINAL);
        assert_int_equal(json_array_size(json_object_get(s.p.result->governance, "signed_by")), 2);
        /* a contract's word does not last as long as a key's */
        assert_int_equal(s.p.result->life.fresh_s, 120);
        assert_int_equal(s.p.result->life.sie_s, 3600);
        assert_int_equal(s.p.result->life.ceiling_s, s.p.policy.max_evidence_age_s);
        assert_int_equal(s.p.result->evidence_time_s, chain_time(FINAL));
        assert_int_equal(s.p.result->valid_until_s, NOW_S + 30 * DAY_S - 1);
        end();
    }
}

static void test_signed_on_chain(void **state)
{
    (void)state;
    EACH_LEVEL(level)
    {
        begin(level, NULL);
        by_key(A);
        by_owners(&s.safe, "");
        signs(&s.safe, &s.safe.old);
        signs(&s.safe, &s.safe.newest);
        run_ok("signed on chain", 1);
        assert_string_equal(json_string_value(json_object_get(about(0), "approved_by")),
                            "signed-message");
        end();
    }
}

/* Whoever says no refuses the document, whatever the others say. */
static void test_no(void **state)
{
    static const char *const few[] = {"\x11", "\x11\x44", ""};

    (void)state;
    EACH_LEVEL(level)
    {
        for (size_t i = 0; i < MS_ARRAY_LEN(few); i++) {
            begin(level, make_safe);
            by_key(A);
            by_owners(&s.safe, few[i]);
            by_owners(&s.other, "");
            signs(&s.other, &s.other.old);
            signs(&s.other, &s.other.newest);
            run_fails("one of two contracts", MS_ERR_SIGNATURE,
                      "0xAE519FC2Ba8e6fFE6473195c092bF1BAe986ff90, a contract on chain 1: the "
                      "contract has not signed this document");
            end();
        }
    }
}

static void test_nobody_there(void **state)
{
    (void)state;
    EACH_LEVEL(level)
    {
        begin(level, NULL);
        by_key(A);
        by_owners(&s.safe, "\x11\x33");
        s.safe.chain.no_account = s.safe.head.no_account = true;
        run_fails("no contract", level == SPEC_LEVEL_L3 ? MS_ERR_LEVEL : MS_ERR_SIGNATURE,
                  level == SPEC_LEVEL_L3 ? "it is no Safe" : "there is no contract");
        end();
    }
}

/* Chains are asked last, and only when something hangs on them. */
static void test_not_asked(void **state)
{
    (void)state;
    begin(SPEC_LEVEL_L2, NULL);
    by_key(A);
    by_key(B);
    by_owners(&s.safe, "\x44");
    run_ok("enough keys", 1);
    assert_int_equal(asked(), 0);
    assert_int_equal(s.p.result->life.fresh_s, 300);
    end();

    begin(SPEC_LEVEL_L2, NULL);
    by_owners(&s.safe, "\x11\x33");
    run_fails("too few whatever it says", MS_ERR_SIGNATURE, "0 of the 2");
    assert_int_equal(asked(), 0);
    end();

    begin(SPEC_LEVEL_L2, NULL);
    write_set(NOW_S);
    by_key(A);
    by_owners(&s.safe, "\x11\x33");
    run_fails("an old set", MS_ERR_STALE, "");
    assert_int_equal(asked(), 0);
    end();

    begin(SPEC_LEVEL_L2, NULL); /* no hex */
    by_key(A);
    json_t *entry = owners_entry(&s.safe, "\x11\x33");
    (void)json_object_set_new(entry, "signature", json_string("0x1"));
    add_entry(entry);
    run_fails("no hex", MS_ERR_SIGNATURE, "no hex");
    assert_int_equal(asked(), 0);
    end();
}

/* EIP-1271 is for any contract; what only its code can tell no proof shows. */
static void test_any_contract(void **state)
{
    (void)state;
    EACH_LEVEL(level)
    {
        for (int valid = 0; valid < 2; valid++) {
            begin(level, make_wallet);
            by_key(A);
            by_owners(&s.other, "\x11");
            takes(&s.other.old, valid);
            takes(&s.other.newest, valid);
            if (level == SPEC_LEVEL_L3)
                run_fails("a wallet", MS_ERR_LEVEL, "cannot be proven: read at l2");
            else if (valid)
                run_ok("a wallet", 1);
            else
                run_fails("a wallet that says no", MS_ERR_SIGNATURE, "has not signed");
            end();
        }
    }
    /* its other answers are no Safe's and mean nothing */
    begin(SPEC_LEVEL_L2, make_wallet);
    by_key(A);
    by_owners(&s.other, "");
    signs(&s.other, &s.other.old);
    signs(&s.other, &s.other.newest);
    run_fails("a wallet with another signedMessages", MS_ERR_SIGNATURE, "has not signed");
    end();
}

/* ---- who cannot be asked ---- */

static void test_unknown_is_not_no(void **state)
{
    (void)state;
    begin(SPEC_LEVEL_L3, make_wallet); /* nobody can prove what the wallet says */
    by_key(A);
    by_owners(&s.other, "\x11");
    by_owners(&s.safe, "\x11\x22");
    run_ok("enough without it", 1);
    assert_int_equal(s.p.result->trust_k, 2);
    assert_int_equal(json_array_size(json_object_get(s.p.result->governance, "contracts")), 1);
    end();

    begin(SPEC_LEVEL_L2, NULL);
    by_key(A);
    by_owners(&s.safe, "\x11\x22");
    s.p.policy.n_providers = 0;
    run_fails("no RPC", MS_ERR_NO_RPC, "1 of the 2 signatures needed count; signer 0xAE519F");
    assert_int_equal(s.p.n_requests, 2);
    end();

    begin(SPEC_LEVEL_L2, NULL);
    by_key(A);
    by_owners(&s.safe, "\x11\x22");
    s.nodes[0].lie = s.nodes[1].lie = NODE_DEAD;
    run_fails("no quorum", MS_ERR_QUORUM, "signer 0xAE519F");
    assert_int_equal(s.p.conduct[0], SOURCE_CONDUCT_FAULT);
    assert_int_equal(s.p.conduct[2], SOURCE_CONDUCT_GOOD);
    end();

    begin(SPEC_LEVEL_L3, NULL); /* kept proofs are for contracts that are polled */
    by_key(A);
    by_owners(&s.safe, "\x11\x22");
    for (size_t i = 0; i < NODES; i++)
        s.p.policy.providers[i].proofs = SOURCE_PROOFS_HEAD;
    run_fails("proofs of the newest state only", MS_ERR_LEVEL, "proofs = finalized");
    end();
}

/* The same address may be somebody else's on another chain. */
static void test_chain(void **state)
{
    char spec[600];

    (void)state;
    begin(SPEC_LEVEL_L2, NULL); /* the document cannot choose */
    by_key(A);
    json_t *entry = owners_entry(&s.safe, "\x11\x22");
    (void)json_object_set_new(entry, "chain", json_integer(10));
    add_entry(entry);
    takes(&s.safe.old, true);
    takes(&s.safe.newest, true);
    run_fails("another chain", MS_ERR_SIGNERS, "the specifier says 1 (chain=)");
    assert_int_equal(asked(), 0);
    end();

    for (int agree = 0; agree < 2; agree++) {
        begin(SPEC_LEVEL_L3, NULL); /* the specifier can */
        s.safe.chain.id = s.safe.head.id = 10;
        (void)snprintf(spec, sizeof(spec), "%s;chain=10", s.spec);
        s.p.spec = spec;
        for (size_t i = 0; i < NODES; i++)
            s.p.policy.providers[i].chain = 10;
        by_key(A);
        entry = owners_entry(&s.safe, "\x11\x22");
        if (agree)
            (void)json_object_set_new(entry, "chain", json_integer(10));
        add_entry(entry);
        if (agree)
            run_ok("chain 10", 1);
        else
            run_fails("chain 1 in the document", MS_ERR_SIGNERS, "the specifier says 10 (chain=)");
        end();
    }
}

/* ---- the two states ---- */

static void test_not_final_yet(void **state)
{
    (void)state;
    EACH_LEVEL(level)
    {
        begin(level, NULL);
        by_key(A);
        by_owners(&s.safe, "");
        signs(&s.safe, &s.safe.newest);
        run_fails("signed at the head", MS_ERR_SIGNATURE, "not final yet");
        end();

        begin(level, make_safe); /* which is no reason to refuse what others have signed */
        by_key(A);
        by_owners(&s.safe, "");
        signs(&s.safe, &s.safe.newest);
        by_owners(&s.other, "");
        signs(&s.other, &s.other.old);
        signs(&s.other, &s.other.newest);
        run_ok("another one has", 1);
        end();
    }
}

static void test_taken_back(void **state)
{
    struct ms_sha256 before;

    (void)state;
    EACH_LEVEL(level)
    {
        begin(level, NULL);
        by_key(A);
        by_owners(&s.safe, "\x11\x22");
        takes(&s.safe.old, true);
        set_threshold(&s.safe.newest, 3);
        run_ok("a higher threshold at the head", 0);
        assert_true(warned("revoked-at-head"));
        assert_false(nothing_taken());
        assert_int_equal(s.p.result->sequence, 1);
        before = s.p.result->overlay;

        again(); /* what was seen stands while the newest block cannot be read */
        for (size_t i = 0; i < NODES; i++)
            s.nodes[i].lie = NODE_NO_HEAD;
        run_fails("no head", MS_ERR_UNAVAILABLE, "block 170 was seen to take its signature away");

        again(); /* an older block does not know of it */
        for (size_t i = 0; i < NODES; i++) {
            s.nodes[i].lie = NODE_HONEST;
            s.nodes[i].head = HEAD - 1;
        }
        set_threshold(&s.safe.newest, 2);
        takes(&s.safe.newest, true);
        run_fails("an older head", MS_ERR_UNAVAILABLE, "block 170");

        again();
        for (size_t i = 0; i < NODES; i++)
            s.nodes[i].head = HEAD + 1;
        run_ok("a newer head", 1);
        assert_true(nothing_taken());
        assert_false(ms_sha256_eq(&before, &s.p.result->overlay));
        assert_null(json_object_get(s.p.result->carry, "gone"));
        end();
    }
}

/* What one contract took back is remembered even where others are enough. */
static void test_one_of_two_taken_back(void **state)
{
    (void)state;
    begin(SPEC_LEVEL_L3, make_safe);
    by_key(A);
    by_owners(&s.safe, "\x11\x22");
    by_owners(&s.other, "\x11\x22");
    set_threshold(&s.safe.newest, 3);
    run_ok("enough without it", 1);
    assert_true(warned("revoked-at-head"));
    assert_false(nothing_taken());
    again();
    for (size_t i = 0; i < NODES; i++)
        s.nodes[i].lie = NODE_NO_HEAD;
    run_ok("the other one is still enough", 1);
    assert_int_equal(s.p.result->trust_k, 2);
    assert_int_equal(json_array_size(json_object_get(s.p.result->carry, "gone")), 1);
    end();
}

/* ---- providers ---- */

static void test_orders(void **state)
{
    (void)state;
    EACH_LEVEL(level)
    {
        for (uint32_t seed = 0; seed < 12; seed++) {
            begin(level, make_safe);
            s.p.order = seed == 0 ? PLAY_LIFO : PLAY_RANDOM;
            s.p.seed = seed;
            s.p.impatient = seed % 2 == 1;
            if (seed % 3 == 0)
                s.nodes[seed / 3 % NODES].lie = NODE_DATA_HANGS;
            by_owners(&s.safe, "\x11\x22");
            by_owners(&s.other, "\x22\x33");
            takes(&s.safe.old, true);
            takes(&s.safe.newest, true);
            takes(&s.other.old, true);
            takes(&s.other.newest, true);
            run_ok("two contracts", 1);
            assert_int_equal(s.p.result->trust_k, 2);
            end();
        }
    }
}

/* Nobody waits for one endpoint that hangs, nor calls that a fault before its time is over. */
static void test_patience(void **state)
{
    (void)state;
    begin(SPEC_LEVEL_L2, make_wallet);
    by_owners(&s.safe, "\x11\x22");
    by_owners(&s.other, "\x11");
    takes(&s.safe.old, true);
    takes(&s.safe.newest, true);
    takes(&s.other.old, true);
    takes(&s.other.newest, true);
    s.nodes[1].lie = NODE_HANGS;
    run_ok("one of three hangs", 1);
    assert_int_equal(s.p.conduct[0], SOURCE_CONDUCT_GOOD);
    assert_int_equal(s.p.conduct[1], SOURCE_CONDUCT_OWING);
    end();
}

static void test_liar(void **state)
{
    (void)state;
    begin(SPEC_LEVEL_L3, NULL);
    by_key(A);
    by_owners(&s.safe, "\x11\x22");
    s.nodes[0].lie = NODE_PROOF_VALUE;
    run_ok("one of three lies", 1);
    assert_true(s.p.lied[0]);
    assert_false(s.p.lied[1]);
    end();

    begin(SPEC_LEVEL_L2, NULL); /* without proofs a quorum must say it */
    by_key(A);
    by_owners(&s.safe, "\x11\x22");
    struct chain liar = s.safe.chain;
    struct chain_contract lie = s.safe.old;
    takes(&lie, true);
    liar.contract = &lie;
    liar.newest = NULL;
    s.nodes[0].says = &liar;
    for (size_t i = 0; i < NODES; i++)
        s.p.policy.providers[i].proofs = SOURCE_PROOFS_NO;
    run_fails("one says yes, one says no", MS_ERR_DISSENT, "differently");
    end();
}

/* ---- limits ---- */

/* The longest signature that is looked at fits in what is asked, with all its owners to be proven.
 */
static void test_long(void **state)
{
    (void)state;
    EACH_LEVEL(level)
    {
        for (uint8_t n = 62; n <= 64; n += 2) {
            char owners[65] = "";
            begin(level, NULL);
            for (uint8_t i = 0; i < n; i++) {
                struct eth_addr addr = sign_addr(i + 1);
                struct eth_abi_value key = address(&addr);
                owners[i] = (char)(i + 1);
                store(&s.safe.old, 2, &key.word, 1);
                store(&s.safe.newest, 2, &key.word, 1);
            }
            set_threshold(&s.safe.old, n);
            set_threshold(&s.safe.newest, n);
            takes(&s.safe.old, true);
            takes(&s.safe.newest, true);
            by_key(A);
            by_owners(&s.safe, owners);
            if (n == 62)
                run_ok("62 owners", 1);
            else
                run_fails("64 owners", MS_ERR_LIMIT, "its signature has 4160 bytes");
            end();
        }
    }
}

/* 9of9: contracts that all have signed; only so many are asked. */
static void test_many(void **state)
{
    static struct chain more[8];
    struct chain_contract wallet;
    struct ms_buf spec = MS_BUF_INIT(1024);
    char addr[ETH_ADDR_TEXT + 1];

    (void)state;
    for (int singly = 0; singly < 2; singly++) {
        begin(SPEC_LEVEL_L2, make_wallet);
        make_wallet(&wallet);
        takes(&wallet, true);
        s.safe.chain.contract = s.other.chain.contract = &wallet;
        s.safe.chain.newest = s.other.chain.newest = NULL;
        eth_addr_text(&s.safe.chain.registry, addr);
        ms_buf_reset(&spec);
        (void)ms_buf_addf(&spec, "9of9:%s", addr);
        by_owners(&s.safe, "\x11");
        for (uint8_t i = 0; i < 8; i++) {
            struct place place;
            chain_init_more(&s.safe.chain, &more[i], (uint8_t)(0x10 + i));
            more[i].contract = &wallet;
            place.chain = more[i];
            by_owners(&place, "\x11");
            eth_addr_text(&more[i].registry, addr);
            (void)ms_buf_addf(&spec, ",%s", addr);
        }
        s.p.spec = ms_buf_str(&spec);
        if (singly) {
            s.p.policy = play_policy(SPEC_LEVEL_L2, 2, NODES_MAX);
            for (size_t i = 0; i < NODES_MAX; i++)
                s.p.policy.providers[i].manners.no_batch = true;
            for (s.p.previous.n_hosts = 1; s.p.previous.n_hosts < SOURCE_HOSTS_MAX;
                 s.p.previous.n_hosts++)
                (void)snprintf(s.p.previous.hosts[s.p.previous.n_hosts], SOURCE_HOST_MAX_BYTES,
                               "host%zu.example", s.p.previous.n_hosts);
            run_fails("too many requests", MS_ERR_LIMIT, "more than 192 requests");
            for (size_t i = 0; i < NODES_MAX; i++)
                assert_int_equal(s.p.conduct[i], SOURCE_CONDUCT_GOOD);
        } else {
            run_fails("too many contracts", MS_ERR_LIMIT,
                      "8 of the 9 signatures needed are there "
                      "or can be had: more than 8 contracts");
        }
        for (size_t i = 0; i < 8; i++)
            chain_done(&more[i]);
        end();
    }
    ms_buf_done(&spec);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_owners_sign),
        cmocka_unit_test(test_signed_on_chain),
        cmocka_unit_test(test_no),
        cmocka_unit_test(test_nobody_there),
        cmocka_unit_test(test_not_asked),
        cmocka_unit_test(test_any_contract),
        cmocka_unit_test(test_unknown_is_not_no),
        cmocka_unit_test(test_chain),
        cmocka_unit_test(test_not_final_yet),
        cmocka_unit_test(test_taken_back),
        cmocka_unit_test(test_one_of_two_taken_back),
        cmocka_unit_test(test_orders),
        cmocka_unit_test(test_patience),
        cmocka_unit_test(test_liar),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_long),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    json_decref(carried);
    return failed;
}
