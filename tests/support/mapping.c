/* tests/support/mapping.c - contracts that approve by mappings. */
#include "tests/support/mapping.h"

#include "contracts-abi/common_abi.h"
#include "contracts-abi/dstack_abi.h"
#include "contracts-abi/flashtestations_abi.h"
#include "eth/slot.h"
#include "resolver/source/workload.h"

#include <stdlib.h>

#define INTERFACE_CALL_BYTES 36

static const struct eth_word yes = {{[31] = 1}}, no, somebody = {{[31] = 0x42}};

static void answer(struct chain_contract *c, struct ms_span data, struct ms_span with, bool reverts)
{
    if (c->n_calls == CHAIN_CALLS_MAX)
        abort();
    memmove(&c->calls[1], &c->calls[0], c->n_calls * sizeof(c->calls[0])); /* the last one counts */
    c->calls[0] = (struct chain_call){data, with, reverts};
    c->n_calls++;
}

void mapping_answer(struct chain_contract *contract, const uint8_t selector[4],
                    const struct eth_word *word)
{
    answer(contract, ms_span_of(selector, 4),
           word == NULL ? (struct ms_span){NULL, 0} : eth_word_span(word), word == NULL);
}

/* supportsInterface: true for these, ERC-165 among them, false for 0xffffffff. */
static void add_interfaces(struct chain_contract *c, const uint8_t (*ids)[4], size_t n)
{
    static const uint8_t selector[4] = COMMON_CALL_SUPPORTS_INTERFACE;
    static uint8_t calls[8][INTERFACE_CALL_BYTES]; /* the same ones whoever asks */

    mapping_answer(c, selector, &no);
    for (size_t i = 0; i < n; i++) {
        size_t k = 0;
        while (k < 8 && calls[k][0] != 0 && memcmp(calls[k] + 4, ids[i], 4) != 0)
            k++;
        if (k == 8)
            abort();
        memcpy(calls[k], selector, 4);
        memcpy(calls[k] + 4, ids[i], 4);
        answer(c, ms_span_of(calls[k], INTERFACE_CALL_BYTES), eth_word_span(&yes), false);
    }
}

static void begin(struct chain_contract *c, const char *code)
{
    struct eth_word owner_slot = eth_slot_erc7201("openzeppelin.storage.Ownable");
    struct eth_word owner = {{0}};

    *c = (struct chain_contract){.code = ms_span_str(code), .born = 7};
    memset(owner.b + 12, 0x0e, ETH_ADDR_BYTES);
    chain_store(c, &owner_slot, &owner);
}

static void add_getter(struct chain_contract *c, struct chain_getter getter)
{
    c->getters[c->n_getters++] = getter;
}

void mapping_app(struct chain_contract *c)
{
    static const uint8_t ids[][4] = {COMMON_INTERFACE_ERC165, DSTACK_INTERFACE_APP_AUTH,
                                     DSTACK_INTERFACE_APP_AUTH_BASIC_MANAGEMENT};
    begin(c, "an app");
    add_interfaces(c, ids, MS_ARRAY_LEN(ids));
    add_getter(c, (struct chain_getter){CHAIN_MAP_BOOL, DSTACK_CALL_ALLOWED_COMPOSE_HASHES, 0, 0});
    add_getter(c, (struct chain_getter){CHAIN_MAP_BOOL, DSTACK_CALL_ALLOWED_DEVICE_IDS, 2, 0});
    add_getter(c, (struct chain_getter){CHAIN_FLAG, DSTACK_CALL_ALLOW_ANY_DEVICE, 1, 1});
    add_getter(c, (struct chain_getter){CHAIN_FLAG, DSTACK_CALL_REQUIRE_TCB_UP_TO_DATE, 3, 0});
}

#define TEXT_WORDS 3

/* As Solidity keeps a string, and as its getter answers; `text` has at most 96 bytes. */
static struct ms_span store_text(struct chain_contract *c, uint64_t slot, const char *text,
                                 uint8_t answer[(2 + TEXT_WORDS) * ETH_WORD_BYTES])
{
    struct eth_word at = eth_word_u64(slot), head = {{0}}, data[TEXT_WORDS] = {{{0}}};
    size_t len = strlen(text), n_words = (len + ETH_WORD_BYTES - 1) / ETH_WORD_BYTES;
    bool fits = len < ETH_WORD_BYTES;

    if (len > sizeof(data))
        abort();
    memcpy(data, text, len);
    head = fits ? data[0] : head;
    head.b[ETH_WORD_BYTES - 1] = (uint8_t)(fits ? 2 * len : 2 * len + 1);
    chain_store(c, &at, &head);
    for (size_t i = 0; i < TEXT_WORDS; i++) {
        struct eth_word part = eth_slot_string_data(&at, i);
        chain_store(c, &part, fits || i >= n_words ? &no : &data[i]);
    }
    memset(answer, 0, (2 + TEXT_WORDS) * ETH_WORD_BYTES);
    answer[ETH_WORD_BYTES - 1] = ETH_WORD_BYTES;
    answer[2 * ETH_WORD_BYTES - 1] = (uint8_t)len;
    memcpy(answer + 2 * ETH_WORD_BYTES, text, len);
    return ms_span_of(answer, (2 + n_words) * ETH_WORD_BYTES);
}

void mapping_gateway(struct chain_contract *kms, const char *id)
{
    static const uint8_t gateway[4] = DSTACK_CALL_GATEWAY_APP_ID;
    static uint8_t
        answers[32][(2 + TEXT_WORDS) * ETH_WORD_BYTES]; /* what a contract answers has to stay */
    static size_t n;

    uint8_t *place = answers[n++ % MS_ARRAY_LEN(answers)];
    answer(kms, ms_span_of(gateway, 4), store_text(kms, 4, id, place), false);
}

void mapping_kms(struct chain_contract *c)
{
    static const uint8_t ids[][4] = {COMMON_INTERFACE_ERC165, DSTACK_INTERFACE_APP_AUTH};
    static const uint8_t implementation[4] = DSTACK_CALL_APP_IMPLEMENTATION;
    static const struct eth_word slot = {{[31] = 9}};

    begin(c, "a KMS");
    add_interfaces(c, ids, MS_ARRAY_LEN(ids));
    mapping_gateway(c, "id");
    mapping_answer(c, implementation, &somebody);
    chain_store(c, &slot, &somebody);
    add_getter(c, (struct chain_getter){CHAIN_MAP_BOOL, DSTACK_CALL_ALLOWED_OS_IMAGES, 8, 0});
    add_getter(c,
               (struct chain_getter){CHAIN_MAP_BOOL, DSTACK_CALL_KMS_ALLOWED_AGGREGATED_MRS, 6, 0});
    add_getter(c, (struct chain_getter){CHAIN_MAP_BOOL, DSTACK_CALL_KMS_ALLOWED_DEVICE_IDS, 7, 0});
    add_getter(c, (struct chain_getter){CHAIN_MAP_BOOL, DSTACK_CALL_REGISTERED_APPS, 5, 0});
}

/* The id of the guest that kind.c asks about, as a contract with this formula computes it. */
static const struct eth_word *workload_id(uint32_t version)
{
    static struct eth_word ids[3];
    struct workload_input in;
    uint8_t *bytes = (uint8_t *)&in;

    for (size_t i = 0; i < sizeof(in); i++)
        bytes[i] = (uint8_t)(i * 7 + 0x5a);
    struct eth_hash v1 = workload_id_v1(&in), v2 = workload_id_v2(&in);
    memcpy(ids[1].b, v1.b, ETH_WORD_BYTES);
    memcpy(ids[2].b, v2.b, ETH_WORD_BYTES);
    return &ids[version];
}

void mapping_policy(struct chain_contract *c, uint32_t version)
{
    static const struct eth_hash typehash = FLASHTESTATIONS_HASH_VERIFY_BLOCK_BUILDER_PROOF_TYPE;
    static const uint8_t registry[4] = FLASHTESTATIONS_CALL_REGISTRY,
                         proof[4] = FLASHTESTATIONS_CALL_VERIFY_BLOCK_BUILDER_PROOF_TYPEHASH,
                         id[4] = FLASHTESTATIONS_CALL_WORKLOAD_ID_FOR_TD_REGISTRATION;

    begin(c, "a policy");
    mapping_answer(c, registry, &somebody);
    answer(c, ms_span_of(proof, 4), eth_hash_span(&typehash), false);
    mapping_answer(c, id, workload_id(version));
    add_getter(c, (struct chain_getter){CHAIN_MAP_METADATA,
                                        FLASHTESTATIONS_CALL_GET_WORKLOAD_METADATA, 0, 0});
}

struct source_candidate mapping_candidate(enum source_candidate_kind kind, uint8_t byte)
{
    struct source_candidate out = {.kind = kind};
    memset(out.value, byte, sizeof(out.value));
    return out;
}

static uint8_t slot_of(const struct chain_contract *c, enum source_candidate_kind kind)
{
    bool kms = c->getters[0].slot == 8;

    switch (kind) {
    case SOURCE_CANDIDATE_NONE:
    case SOURCE_CANDIDATE_COMPOSE_HASH:
    case SOURCE_CANDIDATE_WORKLOAD_ID:
        return 0;
    case SOURCE_CANDIDATE_OS_IMAGE:
        return 8;
    case SOURCE_CANDIDATE_DEVICE:
        return kms ? 7 : 2;
    case SOURCE_CANDIDATE_AGGREGATED_MR:
        return 6;
    }
    return 0;
}

void mapping_set(struct chain_contract *c, const struct source_candidate *candidate, bool approved)
{
    /* a string of 40 bytes leaves twice its length and one in its slot */
    static const struct eth_word long_string = {{[31] = 0x51}};
    struct eth_word key, p = eth_word_u64(slot_of(c, candidate->kind));
    bool metadata = candidate->kind == SOURCE_CANDIDATE_WORKLOAD_ID;

    memcpy(key.b, candidate->value, ETH_WORD_BYTES);
    struct eth_word slot = eth_slot_mapping(&key, &p);
    chain_store(c, &slot, !approved ? &no : metadata ? &long_string : &yes);
}

void mapping_register(struct chain_contract *kms, const struct eth_addr *app, bool registered)
{
    struct eth_word key = {{0}}, p = eth_word_u64(5);

    memcpy(key.b + ETH_WORD_BYTES - ETH_ADDR_BYTES, app->b, ETH_ADDR_BYTES);
    struct eth_word slot = eth_slot_mapping(&key, &p);
    chain_store(kms, &slot, registered ? &yes : &no);
}

static void set_flag(struct chain_contract *app, uint64_t slot, size_t byte, bool on)
{
    struct eth_word at = eth_word_u64(slot), value = {{0}};
    value.b[ETH_WORD_BYTES - 1 - byte] = on;
    chain_store(app, &at, &value);
}

void mapping_any_device(struct chain_contract *app, bool on)
{
    set_flag(app, 1, 1, on);
}

void mapping_require_tcb(struct chain_contract *app, bool on)
{
    set_flag(app, 3, 0, on);
}

struct chain_log mapping_log(const struct chain *chain, const struct source_candidate *candidate,
                             uint64_t block)
{
    static const struct eth_hash topics[] = {
        [SOURCE_CANDIDATE_COMPOSE_HASH] = DSTACK_EVENT_COMPOSE_HASH_ADDED,
        [SOURCE_CANDIDATE_OS_IMAGE] = DSTACK_EVENT_OS_IMAGE_HASH_ADDED,
        [SOURCE_CANDIDATE_WORKLOAD_ID] = FLASHTESTATIONS_EVENT_WORKLOAD_ADDED_TO_POLICY,
        [SOURCE_CANDIDATE_DEVICE] = DSTACK_EVENT_DEVICE_ADDED,
        [SOURCE_CANDIDATE_AGGREGATED_MR] = DSTACK_EVENT_KMS_AGGREGATED_MR_ADDED,
    };
    struct chain_log log = {.address = chain->registry, .n_topics = 1, .block = block};

    log.topics[0] = topics[candidate->kind];
    if (candidate->kind == SOURCE_CANDIDATE_WORKLOAD_ID) { /* indexed */
        memcpy(log.topics[log.n_topics++].b, candidate->value, ETH_WORD_BYTES);
        return log;
    }
    memcpy(log.data, candidate->value, ETH_WORD_BYTES);
    log.n_data = ETH_WORD_BYTES;
    return log;
}
