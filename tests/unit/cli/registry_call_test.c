/* Calls of a registry and of its Safe, transactions and Builder files: as ethers writes them
 * (tests/vectors/registry/calls.json); and what is refused. */
#include "cli/registry_call.h"
#include "cli/safe_builder.h"
#include "cli/version.h"
#include "eth/tx.h"
#include "sig/safe.h"
#include "sig/secp_sign.h"
#include "tests/support/vectors.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define HEX_MAX_BYTES ((size_t)1 << 17)

static uint64_t number(const json_t *c, const char *name)
{
    uint64_t value = 0;

    if (!ms_span_u64(ms_json_member_str(c, name), &value))
        value = (uint64_t)json_integer_value(json_object_get(c, name));
    return value;
}

static struct eth_addr addr(const char *text)
{
    struct eth_addr out = {{0}};
    enum eth_checksum checksum;

    if (text != NULL)
        assert_int_equal(eth_addr_parse(ms_span_str(text), &out, &checksum, NULL), MS_OK);
    return out;
}

static void same_hex(struct vec_count *count, const char *id, struct ms_span got, const char *want)
{
    struct ms_buf hex = MS_BUF_INIT(HEX_MAX_BYTES);

    (void)ms_buf_addf(&hex, "0x");
    (void)ms_buf_add_hex(&hex, got);
    bool ok = want != NULL && ms_buf_str(&hex) != NULL && strcmp(ms_buf_str(&hex), want) == 0;
    vec_check(count, ok, id, "got %.200s, want %.200s", ms_buf_str(&hex), want);
    ms_buf_done(&hex);
}

static void deploy_case(struct vec_count *count, const json_t *c)
{
    struct eth_addr owner = addr(vec_str(c, "owner")), guardian = addr(vec_str(c, "guardian"));
    struct ms_buf code = MS_BUF_INIT(CALL_MAX_BYTES);

    assert_int_equal(call_deploy(&owner, &guardian, number(c, "minDelay"), &code), MS_OK);
    struct eth_hash hash = eth_keccak256(ms_buf_span(&code));
    same_hex(count, "deploy", eth_hash_span(&hash), vec_str(c, "keccak"));
    ms_buf_done(&code);
}

/* The operation of this name, its arguments in the order of the contract. */
static struct call operation(const char *name, const json_t *args)
{
    struct call call = {.op = CALL_NONE};
    uint64_t value[2] = {0};

    for (int op = CALL_APPROVE; op <= CALL_ACCEPT_OWNERSHIP; op++)
        if (strcmp(call_name((enum call_op)op), name) == 0)
            call.op = (enum call_op)op;
    for (size_t i = 0; i < json_array_size(args); i++) {
        const char *text = json_string_value(json_array_get(args, i));
        if (!ms_span_u64(ms_span_str(text), &value[i]))
            call.addr = addr(text);
    }
    call.id = value[0];
    call.seconds = value[0];
    call.reason = (uint32_t)value[1];
    call.not_after_s = value[1];
    return call;
}

static void encoded_case(struct vec_count *count, const json_t *c, const struct call *call)
{
    struct ms_buf data = MS_BUF_INIT(CALL_MAX_BYTES);

    assert_int_equal(call_encode(call, &data), MS_OK);
    same_hex(count, call_name(call->op), ms_buf_span(&data), vec_str(c, "data"));
    ms_buf_done(&data);
}

static void approve_case(struct vec_count *count, const json_t *c)
{
    struct ms_buf payload = MS_BUF_INIT(CALL_MAX_BYTES);

    assert_true(vec_hex(vec_str(c, "payload"), &payload));
    const struct call call = {.op = CALL_APPROVE,
                              .version = number(c, "version"),
                              .not_before_s = number(c, "notBefore"),
                              .not_after_s = number(c, "notAfter"),
                              .payload_format = (uint16_t)number(c, "format"),
                              .payload = ms_buf_span(&payload),
                              .on_chain = json_is_true(json_object_get(c, "onChain")),
                              .uri = ms_span_str(vec_str(c, "uri"))};
    encoded_case(count, c, &call);
    ms_buf_done(&payload);
}

/* Dates stand for Unix times; every other number of an error is in its words. */
static void error_case(struct vec_count *count, const json_t *c)
{
    struct ms_buf data = MS_BUF_INIT(CALL_MAX_BYTES);
    char words[CALL_ERROR_TEXT] = "";
    const char *name = vec_str(c, "name"), *want = vec_str(c, "words");

    assert_true(vec_hex(vec_str(c, "data"), &data));
    bool ok = call_error(ms_buf_span(&data), words) && strncmp(words, name, strlen(name)) == 0;
    if (strcmp(name, "BadWindow") == 0)
        want = "2026-02-02T02:40:24Z to no end, bound 2026-02-02T02:41:39Z";
    else if (strcmp(name, "BadPayloadHash") == 0 || strcmp(name, "BadPayload") == 0)
        want = "";
    else if (strchr(want, ' ') != NULL)
        want = "version 5, this one 4";
    vec_check(count, ok && strstr(words, want) != NULL, name, "%s", words);
    /* no prefix and nothing longer is an error we know */
    for (size_t n = 0; n < data.len; n++)
        assert_false(call_error(ms_span_of(data.ptr, n), words));
    assert_int_equal(ms_buf_add_byte(&data, 0), MS_OK);
    assert_false(call_error(ms_buf_span(&data), words));
    ms_buf_done(&data);
}

static void safe_case(struct vec_count *count, const json_t *c)
{
    const json_t *t = json_object_get(c, "tx"), *signatures = json_object_get(c, "signatures");
    struct ms_buf data = MS_BUF_INIT(CALL_MAX_BYTES), blob = MS_BUF_INIT(1024);
    struct ms_buf exec = MS_BUF_INIT(CALL_MAX_BYTES), text = MS_BUF_INIT(HEX_MAX_BYTES);
    struct ms_arena arena = MS_ARENA_INIT((size_t)2 << 20);
    struct msig_safe_tx again = {0};

    assert_true(vec_hex(vec_str(t, "data"), &data));
    const struct msig_safe_tx tx = {.chain_id = number(c, "chainId"),
                                    .safe = addr(vec_str(c, "safe")),
                                    .to = addr(vec_str(t, "to")),
                                    .value_wei = number(t, "value"),
                                    .data = ms_buf_span(&data),
                                    .operation = (enum msig_safe_operation)number(t, "operation"),
                                    .safe_tx_gas = number(t, "safeTxGas"),
                                    .base_gas = number(t, "baseGas"),
                                    .gas_price_wei = number(t, "gasPrice"),
                                    .gas_token = addr(vec_str(t, "gasToken")),
                                    .refund_receiver = addr(vec_str(t, "refundReceiver")),
                                    .nonce = number(t, "nonce")};
    struct eth_hash digest = msig_safe_tx_digest(&tx);
    same_hex(count, "safeTxHash", eth_hash_span(&digest), vec_str(c, "hash"));
    for (size_t i = 0; i < json_array_size(signatures); i++) {
        struct ms_buf one = MS_BUF_INIT(128);
        assert_true(vec_hex(json_string_value(json_array_get(signatures, i)), &one));
        (void)ms_buf_add(&blob, ms_buf_span(&one));
        ms_buf_done(&one);
    }
    assert_int_equal(call_safe_exec(&tx, ms_buf_span(&blob), &exec), MS_OK);
    same_hex(count, "execTransaction", ms_buf_span(&exec), vec_str(c, "exec"));

    /* through its typed data and back */
    json_t *json = msig_safe_tx_json(&tx);
    assert_int_equal(ms_json_print(json, true, &text), MS_OK);
    json_decref(json);
    assert_int_equal(msig_safe_tx_parse(ms_buf_span(&text), &arena, &again, NULL), MS_OK);
    struct eth_hash second = msig_safe_tx_digest(&again);
    vec_check(count, eth_hash_eq(&digest, &second), "typed data", "another transaction");
    assert_true(ms_span_eq(again.data, tx.data));
    ms_arena_done(&arena);
    ms_buf_done(&data);
    ms_buf_done(&blob);
    ms_buf_done(&exec);
    ms_buf_done(&text);
}

static void transaction_case(struct vec_count *count, const json_t *c)
{
    struct ms_buf data = MS_BUF_INIT(CALL_MAX_BYTES), raw = MS_BUF_INIT(CALL_MAX_BYTES);
    uint8_t key[MSIG_KEY_BYTES], sig[MSIG_BYTES];
    struct eth_hash digest;
    struct eth_addr sender;

    memset(key, 0xa1, sizeof(key));
    assert_true(vec_hex(vec_str(c, "data"), &data));
    const struct eth_tx tx = {.chain_id = number(c, "chainId"),
                              .nonce = number(c, "nonce"),
                              .max_priority_fee_wei = number(c, "maxPriorityFee"),
                              .max_fee_wei = number(c, "maxFee"),
                              .gas = number(c, "gas"),
                              .creates = vec_str(c, "to") == NULL,
                              .to = addr(vec_str(c, "to")),
                              .value_wei = number(c, "value"),
                              .data = ms_buf_span(&data)};
    assert_int_equal(eth_tx_digest(&tx, &digest), MS_OK);
    same_hex(count, "digest", eth_hash_span(&digest), vec_str(c, "digest"));
    assert_int_equal(msig_sign(&digest, key, sig, &sender, NULL), MS_OK);
    assert_int_equal(eth_tx_signed(&tx, sig, &raw), MS_OK);
    same_hex(count, "raw", ms_buf_span(&raw), vec_str(c, "raw"));
    struct eth_addr created = eth_tx_created(&sender, tx.nonce), want = addr(vec_str(c, "created"));
    vec_check(count, eth_addr_eq(&created, &want), "created", "another address");
    sig[64] = 26;
    assert_int_equal(eth_tx_signed(&tx, sig, &raw), MS_ERR_RANGE);
    ms_buf_done(&data);
    ms_buf_done(&raw);
}

static void builder_case(struct vec_count *count, const json_t *c)
{
    json_t *file = json_object_get(c, "file"), *meta = json_object_get(file, "meta");
    struct ms_buf text = MS_BUF_INIT(HEX_MAX_BYTES);
    char checksum[BUILDER_CHECKSUM_TEXT];
    json_t *transactions = NULL;
    uint64_t chain = 0;

    assert_int_equal(builder_checksum(file, checksum), MS_OK);
    vec_check(count, strcmp(checksum, vec_str(meta, "checksum")) == 0, "checksum", "%s", checksum);
    assert_int_equal(ms_json_print(file, false, &text), MS_OK);
    assert_int_equal(builder_parse(ms_buf_span(&text), &chain, &transactions, NULL), MS_OK);
    json_decref(transactions);
    assert_true(chain == 1 || chain == 11155111);

    /* another name is no change, another address is */
    json_object_set_new(meta, "name", json_string("another"));
    assert_int_equal(builder_checksum(file, checksum), MS_OK);
    assert_string_equal(checksum, vec_str(meta, "checksum"));
    json_object_set_new(json_array_get(json_object_get(file, "transactions"), 0), "to",
                        json_string("0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"));
    ms_buf_reset(&text);
    assert_int_equal(ms_json_print(file, false, &text), MS_OK);
    assert_int_equal(builder_parse(ms_buf_span(&text), &chain, &transactions, NULL), MS_ERR_HASH);
    ms_buf_done(&text);
}

static void one_case(struct vec_count *count, const json_t *c)
{
    const char *kind = vec_str(c, "kind");

    if (strcmp(kind, "deploy") == 0) {
        deploy_case(count, c);
    } else if (strcmp(kind, "call") == 0) {
        const struct call call = operation(vec_str(c, "name"), json_object_get(c, "args"));
        encoded_case(count, c, &call);
    } else if (strcmp(kind, "approve") == 0) {
        approve_case(count, c);
    } else if (strcmp(kind, "error") == 0) {
        error_case(count, c);
    } else if (strcmp(kind, "safe-tx") == 0) {
        safe_case(count, c);
    } else if (strcmp(kind, "transaction") == 0) {
        transaction_case(count, c);
    } else if (strcmp(kind, "builder") == 0) {
        builder_case(count, c);
    } else {
        vec_check(count, false, kind, "no such kind");
    }
}

/* Ours, so always there. */
static void test_calls(void **state)
{
    (void)state;
    static const struct ms_json_limits limits = {(size_t)1 << 20, 32, 100000, 0};
    struct vec_count count = {.topic = "registry", .file = "calls.json"};
    struct ms_buf text = MS_BUF_INIT((size_t)1 << 20);
    json_t *root = NULL;

    assert_true(vec_read("tests/vectors/registry/calls.json", &text));
    assert_int_equal(ms_json_parse(ms_buf_span(&text), &limits, &root, NULL), MS_OK);
    const json_t *cases = vec_cases(root);
    assert_int_equal(json_array_size(cases), number(root, "count"));
    for (size_t i = 0; i < json_array_size(cases); i++)
        one_case(&count, json_array_get(cases, i));
    assert_true(vec_end(&count));
    json_decref(root);
    ms_buf_done(&text);
}

static void test_nothing(void **state)
{
    (void)state;
    const struct call none = {0};
    struct ms_buf out = MS_BUF_INIT(64);

    assert_int_equal(call_encode(&none, &out), MS_ERR_INTERNAL);
    ms_buf_done(&out);
}

/* ---- typed data that is not a Safe's transaction ---- */
#define A1 "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
#define FIELDS                                                                                   \
    "{\"name\":\"to\",\"type\":\"address\"},{\"name\":\"value\",\"type\":\"uint256\"},"          \
    "{\"name\":\"data\",\"type\":\"bytes\"},{\"name\":\"operation\",\"type\":\"uint8\"},"        \
    "{\"name\":\"safeTxGas\",\"type\":\"uint256\"},{\"name\":\"baseGas\",\"type\":\"uint256\"}," \
    "{\"name\":\"gasPrice\",\"type\":\"uint256\"},{\"name\":\"gasToken\",\"type\":\"address\"}," \
    "{\"name\":\"refundReceiver\",\"type\":\"address\"},{\"name\":\"nonce\",\"type\":\"uint256\"}"
#define DOMAIN_TYPE                                                                         \
    "{\"name\":\"chainId\",\"type\":\"uint256\"},{\"name\":\"verifyingContract\",\"type\":" \
    "\"address\"}"
#define TX(domain_type, fields, domain, value, operation)                                         \
    "{\"types\":{\"EIP712Domain\":[" domain_type "],\"SafeTx\":[" fields "]},\"domain\":{" domain \
    "},\"primaryType\":\"SafeTx\",\"message\":{\"to\":\"" A1 "\",\"value\":" value                \
    ",\"data\":\"0x79ba5097\",\"operation\":" operation ",\"safeTxGas\":0,\"baseGas\":\"0\","     \
    "\"gasPrice\":\"0x0\",\"gasToken\":\"" A1 "\",\"refundReceiver\":\"" A1 "\",\"nonce\":7}}"
#define DOMAIN "\"chainId\":1,\"verifyingContract\":\"" A1 "\""

static const struct {
    const char *name, *text;
    enum ms_err want;
} typed[] = {
    {"as it should be", TX(DOMAIN_TYPE, FIELDS, DOMAIN, "0", "0"), MS_OK},
    {"numbers in other forms", TX(DOMAIN_TYPE, FIELDS, DOMAIN, "\"0x10\"", "\"1\""), MS_OK},
    {"a domain with a name",
     TX("{\"name\":\"name\",\"type\":\"string\"}," DOMAIN_TYPE, FIELDS, "\"name\":\"x\"," DOMAIN,
        "0", "0"),
     MS_ERR_SYNTAX},
    {"an operation that is none", TX(DOMAIN_TYPE, FIELDS, DOMAIN, "0", "2"), MS_ERR_RANGE},
    {"more than 64 bits", TX(DOMAIN_TYPE, FIELDS, DOMAIN, "\"18446744073709551616\"", "0"),
     MS_ERR_RANGE},
    {"a negative value", TX(DOMAIN_TYPE, FIELDS, DOMAIN, "-1", "0"), MS_ERR_RANGE},
    {"no JSON", "{", MS_ERR_JSON},
    {"another type",
     "{\"types\":{\"A\":[{\"name\":\"a\",\"type\":\"bool\"}]},\"domain\":{},"
     "\"primaryType\":\"A\",\"message\":{\"a\":true}}",
     MS_ERR_SYNTAX},
};

static void test_typed(void **state)
{
    (void)state;
    for (size_t i = 0; i < MS_ARRAY_LEN(typed); i++) {
        struct ms_arena arena = MS_ARENA_INIT((size_t)2 << 20);
        struct msig_safe_tx tx = {0};
        struct ms_diag diag = {0};
        enum ms_err err = msig_safe_tx_parse(ms_span_str(typed[i].text), &arena, &tx, &diag);
        if (err != typed[i].want)
            fail_msg("%s: %s, %s", typed[i].name, ms_err_name(err), diag.text);
        if (err != MS_OK)
            assert_int_equal(tx.nonce, 0);
        ms_arena_done(&arena);
    }
}

/* ---- small things ---- */
static const struct {
    const char *text;
    bool ok;
    uint64_t version;
} versions[] = {
    {"7", true, 7},
    {"1.0.0", true, UINT64_C(281474976710656)},
    {"2.3.1", true, (UINT64_C(2) << 48) + (UINT64_C(3) << 32) + 1},
    {"65535.65535.4294967295", true, UINT64_MAX},
    {"65536.0.0", false, 0},
    {"1.65536.0", false, 0},
    {"1.0.4294967296", false, 0},
    {"1.0", false, 0},
    {"1.0.0.0", false, 0},
    {"v1.0.0", false, 0},
    {"1..0", false, 0},
    {"", false, 0},
};

static void test_versions(void **state)
{
    (void)state;
    char text[VERSION_TEXT];

    for (size_t i = 0; i < MS_ARRAY_LEN(versions); i++) {
        uint64_t got = 0;
        if (version_parse(ms_span_str(versions[i].text), &got) != versions[i].ok ||
            got != versions[i].version)
            fail_msg("%s: %llu", versions[i].text, (unsigned long long)got);
    }
    version_text(UINT64_MAX, text);
    assert_string_equal(text, "18446744073709551615 (65535.65535.4294967295)");
    version_text(7, text);
    assert_string_equal(text, "7");
}

static void test_reasons(void **state)
{
    (void)state;
    uint32_t reason = 99;

    assert_true(call_reason_parse("compromise", &reason));
    assert_int_equal(reason, 2); /* IMeasurementRegistry.sol, ReleaseRevoked */
    assert_true(call_reason_parse("4294967295", &reason));
    assert_int_equal(reason, UINT32_MAX);
    assert_false(call_reason_parse("4294967296", &reason));
    assert_false(call_reason_parse("because", &reason));
    assert_string_equal(call_reason_name(1), "vulnerability");
    assert_null(call_reason_name(6));
}

/* What a Safe says, and what nobody here knows. */
static void test_require(void **state)
{
    (void)state;
    static const char gs026[] = "08c379a0"
                                "0000000000000000000000000000000000000000000000000000000000000020"
                                "0000000000000000000000000000000000000000000000000000000000000005"
                                "4753303236000000000000000000000000000000000000000000000000000000";
    struct ms_buf data = MS_BUF_INIT(256);
    char words[CALL_ERROR_TEXT];

    assert_true(vec_hex(gs026, &data));
    assert_true(call_error(ms_buf_span(&data), words));
    assert_non_null(strstr(words, "GS026: a signer is no owner"));
    data.ptr[0] = 0xff;
    assert_false(call_error(ms_buf_span(&data), words));
    assert_false(call_error((struct ms_span){0}, words));
    ms_buf_done(&data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_calls),   cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_typed),   cmocka_unit_test(test_versions),
        cmocka_unit_test(test_reasons), cmocka_unit_test(test_require),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
