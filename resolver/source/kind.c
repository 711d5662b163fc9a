/* resolver/source/kind.c - kinds of contracts by their answers. */
#include "resolver/source/kind.h"

#include "contracts-abi/common_abi.h"
#include "contracts-abi/dstack_abi.h"
#include "contracts-abi/flashtestations_abi.h"
#include "contracts-abi/registry_abi.h"
#include "contracts-abi/safe_abi.h"
#include "contracts-abi/timelock_abi.h"
#include "eth/abi.h"
#include "resolver/source/workload.h"

enum question {
    ASK_ERC165 = 0,
    ASK_NO_INTERFACE, /* 0xffffffff, which ERC-165 says nobody has */
    ASK_REGISTRY,
    ASK_APP_AUTH,
    ASK_APP_MANAGEMENT,
    ASK_GATEWAY_APP_ID,
    ASK_APP_IMPLEMENTATION,
    ASK_WORKLOAD_REGISTRY,
    ASK_PROOF_TYPEHASH,
    ASK_SAFE_VERSION,
    ASK_SAFE_THRESHOLD,
    ASK_MIN_DELAY,
    ASK_WORKLOAD_ID,
    ASK_COUNT,
    ASK_KMS_GATEWAY_APP_ID = ASK_COUNT, /* of the contract that kms= names */
    ASK_KMS_APP_IMPLEMENTATION,
    ASK_COUNT_WITH_KMS,
};

#define SELECTOR_BYTES 4
#define INTERFACE_CALL_BYTES (SELECTOR_BYTES + ETH_WORD_BYTES)

static const uint8_t supports[SELECTOR_BYTES] = COMMON_CALL_SUPPORTS_INTERFACE;
static const struct {
    enum question question;
    uint8_t id[4];
} interfaces[] = {
    {ASK_ERC165, COMMON_INTERFACE_ERC165},
    {ASK_NO_INTERFACE, {0xff, 0xff, 0xff, 0xff}},
    {ASK_REGISTRY, REGISTRY_INTERFACE_ID},
    {ASK_APP_AUTH, DSTACK_INTERFACE_APP_AUTH},
    {ASK_APP_MANAGEMENT, DSTACK_INTERFACE_APP_AUTH_BASIC_MANAGEMENT},
};
static const struct {
    enum question question;
    uint8_t selector[SELECTOR_BYTES];
} getters[] = {
    {ASK_GATEWAY_APP_ID, DSTACK_CALL_GATEWAY_APP_ID},
    {ASK_APP_IMPLEMENTATION, DSTACK_CALL_APP_IMPLEMENTATION},
    {ASK_WORKLOAD_REGISTRY, FLASHTESTATIONS_CALL_REGISTRY},
    {ASK_PROOF_TYPEHASH, FLASHTESTATIONS_CALL_VERIFY_BLOCK_BUILDER_PROOF_TYPEHASH},
    {ASK_SAFE_VERSION, SAFE_CALL_VERSION},
    {ASK_SAFE_THRESHOLD, SAFE_CALL_GET_THRESHOLD},
    {ASK_MIN_DELAY, TIMELOCK_CALL_GET_MIN_DELAY},
    {ASK_KMS_GATEWAY_APP_ID, DSTACK_CALL_GATEWAY_APP_ID},
    {ASK_KMS_APP_IMPLEMENTATION, DSTACK_CALL_APP_IMPLEMENTATION},
};

/* ---- a made-up guest, to see by which formula its id is computed ---- */

/* Every byte differs from its neighbours, and the bytes that the first formula changes are not
 * zero. */
static void synthetic(struct workload_input *out)
{
    uint8_t *bytes = (uint8_t *)out;
    for (size_t i = 0; i < sizeof(*out); i++)
        bytes[i] = (uint8_t)(i * 7 + 0x5a);
}

static struct eth_abi_value bytes_value(const uint8_t *bytes, size_t len)
{
    return (struct eth_abi_value){.kind = ETH_ABI_BYTES, .bytes = ms_span_of(bytes, len)};
}

static struct eth_abi_value fixed_value(const uint8_t *bytes, size_t len)
{
    struct eth_abi_value value = {.kind = ETH_ABI_FIXED_BYTES};
    memcpy(value.word.b, bytes, len);
    return value;
}

/* RegisteredTEE(bool, bytes, TD10ReportBody, bytes, bytes32); of the report only what goes into an
 * id counts. */
static enum ms_err write_registration(struct source *s, struct ms_buf *out)
{
    static const uint8_t selector[SELECTOR_BYTES] =
        FLASHTESTATIONS_CALL_WORKLOAD_ID_FOR_TD_REGISTRATION;
    static const uint8_t zeros[64];
    const struct eth_abi_type *type = NULL;
    struct workload_input in;

    synthetic(&in);
    struct eth_abi_value report[] = {
        fixed_value(zeros, 16), /* teeTcbSvn */
        bytes_value(zeros, WORKLOAD_REGISTER_BYTES),
        bytes_value(zeros, WORKLOAD_REGISTER_BYTES),
        fixed_value(zeros, 8), /* seamAttributes */
        fixed_value(in.td_attributes, sizeof(in.td_attributes)),
        fixed_value(in.xfam, sizeof(in.xfam)),
        bytes_value(in.mr_td, sizeof(in.mr_td)),
        bytes_value(in.mr_config_id, sizeof(in.mr_config_id)),
        bytes_value(zeros, WORKLOAD_REGISTER_BYTES),
        bytes_value(zeros, WORKLOAD_REGISTER_BYTES),
        bytes_value(in.rtmr[0], WORKLOAD_REGISTER_BYTES),
        bytes_value(in.rtmr[1], WORKLOAD_REGISTER_BYTES),
        bytes_value(in.rtmr[2], WORKLOAD_REGISTER_BYTES),
        bytes_value(in.rtmr[3], WORKLOAD_REGISTER_BYTES),
        bytes_value(zeros, sizeof(zeros)), /* reportData */
    };
    struct eth_abi_value registration[] = {
        {.kind = ETH_ABI_BOOL},
        bytes_value(zeros, 0),
        {.kind = ETH_ABI_TUPLE, .n = MS_ARRAY_LEN(report), .items = report},
        bytes_value(zeros, 0),
        fixed_value(zeros, ETH_WORD_BYTES),
    };
    registration[0].word.b[ETH_WORD_BYTES - 1] = 1;
    struct eth_abi_value tuple = {
        .kind = ETH_ABI_TUPLE, .n = MS_ARRAY_LEN(registration), .items = registration};
    struct eth_abi_value args = {.kind = ETH_ABI_TUPLE, .n = 1, .items = &tuple};

    enum ms_err err = eth_abi_params_parse(
        ms_span_str(FLASHTESTATIONS_ARGS_WORKLOAD_ID_FOR_TD_REGISTRATION), &s->arena, &type);
    (void)ms_buf_add(out, ms_span_of(selector, sizeof(selector)));
    return err == MS_OK ? eth_abi_encode(type, &args, out) : err;
}

/* ---- asking ---- */

enum ms_err kind_plan(struct source *s, struct reading_plan *ret_plan)
{
    struct ms_span *calls = ms_arena_alloc(&s->arena, ASK_COUNT_WITH_KMS, sizeof(*calls));
    uint8_t *text = ms_arena_alloc(&s->arena, MS_ARRAY_LEN(interfaces) * INTERFACE_CALL_BYTES, 1);
    struct ms_buf registration = MS_BUF_INIT(4096);

    if (calls == NULL || text == NULL)
        return MS_ERR_MEMORY;
    for (size_t i = 0; i < MS_ARRAY_LEN(interfaces); i++, text += INTERFACE_CALL_BYTES) {
        memcpy(text, supports, SELECTOR_BYTES);
        memcpy(text + SELECTOR_BYTES, interfaces[i].id, sizeof(interfaces[i].id));
        calls[interfaces[i].question] = ms_span_of(text, INTERFACE_CALL_BYTES);
    }
    for (size_t i = 0; i < MS_ARRAY_LEN(getters); i++)
        calls[getters[i].question] = ms_span_of(getters[i].selector, SELECTOR_BYTES);
    enum ms_err err = write_registration(s, &registration);
    const char *copy = err == MS_OK ? ms_arena_strdup(&s->arena, ms_buf_span(&registration)) : NULL;
    if (err == MS_OK && copy == NULL)
        err = MS_ERR_MEMORY;
    calls[ASK_WORKLOAD_ID] = ms_span_of(copy, copy == NULL ? 0 : registration.len);
    ms_buf_done(&registration);
    *ret_plan = (struct reading_plan){.address = s->spec->address,
                                      .has_other = s->spec->has_kms,
                                      .other = s->spec->kms,
                                      .other_call = ASK_COUNT,
                                      .n_calls = s->spec->has_kms ? ASK_COUNT_WITH_KMS : ASK_COUNT,
                                      .calls = calls,
                                      .soft = true,
                                      .quorum = true};
    return err;
}

/* ---- judging ---- */

static struct ms_span said(const struct reading *r, enum question question)
{
    return reading_answer(r)->calls[question];
}

/* One word; false for anything else, a revert too. */
static bool word(const struct reading *r, enum question question, struct eth_word *ret)
{
    return eth_word_of_span(said(r, question), ret);
}

static bool yes(const struct reading *r, enum question question, uint64_t expected)
{
    struct eth_word answer;
    uint64_t value = 0;
    return word(r, question, &answer) && eth_word_to_u64(&answer, &value) && value == expected;
}

static bool address(const struct reading *r, enum question question)
{
    static const uint8_t zeros[ETH_WORD_BYTES - ETH_ADDR_BYTES];
    struct eth_word answer;
    return word(r, question, &answer) && memcmp(answer.b, zeros, sizeof(zeros)) == 0;
}

static bool string(const struct reading *r, enum question question)
{
    struct ms_arena arena = MS_ARENA_INIT(65536);
    const struct eth_abi_type *type = NULL;
    struct eth_abi_value value;

    bool ok = said(r, question).len > 0 &&
              eth_abi_params_parse(ms_span_str("string"), &arena, &type) == MS_OK &&
              eth_abi_decode(type, said(r, question), &arena, &value, NULL) == MS_OK;
    ms_arena_done(&arena);
    return ok;
}

static bool has_interface(const struct reading *r, enum question question)
{
    return yes(r, ASK_ERC165, 1) && yes(r, ASK_NO_INTERFACE, 0) && yes(r, question, 1);
}

static bool is_kms(const struct reading *r)
{
    return string(r, ASK_GATEWAY_APP_ID) && address(r, ASK_APP_IMPLEMENTATION);
}

static bool other_is_kms(const struct reading *r)
{
    return string(r, ASK_KMS_GATEWAY_APP_ID) && address(r, ASK_KMS_APP_IMPLEMENTATION);
}

static bool is_workload_policy(const struct reading *r)
{
    static const struct eth_hash typehash = FLASHTESTATIONS_HASH_VERIFY_BLOCK_BUILDER_PROOF_TYPE;
    struct eth_word answer;
    return address(r, ASK_WORKLOAD_REGISTRY) && word(r, ASK_PROOF_TYPEHASH, &answer) &&
           memcmp(answer.b, typehash.b, ETH_WORD_BYTES) == 0;
}

static bool is_safe(const struct reading *r)
{
    struct eth_word answer;
    uint64_t threshold = 0;
    return string(r, ASK_SAFE_VERSION) && word(r, ASK_SAFE_THRESHOLD, &answer) &&
           eth_word_to_u64(&answer, &threshold) && threshold > 0;
}

static bool is_timelock(const struct reading *r)
{
    struct eth_word answer;
    return word(r, ASK_MIN_DELAY, &answer);
}

const char *kind_judge(const struct reading *r, const char *pinned, struct ms_diag *diag)
{
    const struct {
        const char *name;
        bool is;
    } kinds[] = {
        {"registry", has_interface(r, ASK_REGISTRY)},
        {"dstack-app", has_interface(r, ASK_APP_AUTH) && !is_kms(r) &&
                           (pinned != NULL || has_interface(r, ASK_APP_MANAGEMENT))},
        {"dstack-kms", is_kms(r)},
        {"flashtestations", is_workload_policy(r)},
        {"safe", is_safe(r)},
        {"timelock", is_timelock(r)},
    };
    const char *found = NULL;
    char other[ETH_ADDR_TEXT + 1];

    for (size_t i = 0; i < MS_ARRAY_LEN(kinds); i++) {
        if (!kinds[i].is || (pinned != NULL && strcmp(pinned, kinds[i].name) != 0))
            continue;
        if (found != NULL) {
            (void)ms_diag_set(diag, MS_ERR_KIND,
                              "the contract answers as a %s and as a %s: say which with kind=",
                              found, kinds[i].name);
            return NULL;
        }
        found = kinds[i].name;
    }
    if (found == NULL && pinned != NULL)
        (void)ms_diag_set(diag, MS_ERR_KIND, "the contract does not answer as a %s", pinned);
    else if (found == NULL)
        (void)ms_diag_set(
            diag, MS_ERR_KIND,
            "the contract is no measurement registry, nor of another kind known here");
    if (found == NULL || !r->plan.has_other || other_is_kms(r))
        return found;
    eth_addr_text(&r->plan.other, other);
    (void)ms_diag_set(diag, MS_ERR_KIND, "kms=: the contract at %s does not answer as a dstack-kms",
                      other);
    return NULL;
}

uint32_t kind_workload_version(const struct reading *r)
{
    struct workload_input in;
    struct eth_word answer;

    synthetic(&in);
    if (!word(r, ASK_WORKLOAD_ID, &answer))
        return 0;
    struct eth_hash v1 = workload_id_v1(&in), v2 = workload_id_v2(&in);
    if (memcmp(answer.b, v2.b, ETH_WORD_BYTES) == 0)
        return 2;
    return memcmp(answer.b, v1.b, ETH_WORD_BYTES) == 0 ? 1 : 0;
}

const struct contract_adapter *kind_adapter(struct ms_span name)
{
    static const struct contract_adapter *const all[] = {
        &contract_registry,        &contract_dstack_app, &contract_dstack_kms,
        &contract_flashtestations, &contract_safe,
    };

    for (size_t i = 0; i < MS_ARRAY_LEN(all); i++)
        if (ms_span_eq_str(name, all[i]->name))
            return all[i];
    return NULL;
}
