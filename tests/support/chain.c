/* tests/support/chain.c - a synthetic chain and its nodes. */
#include "tests/support/chain.h"

#include "eth/slot.h"

#include "contracts-abi/registry_abi.h"
#include "eth/abi.h"
#include "eth/header.h"
#include "eth/mpt.h"
#include "tests/support/trie.h"

#include <stdio.h>
#include <stdlib.h>

#define TEXT_MAX_BYTES ((size_t)4 << 20)

static void must(bool ok)
{
    if (!ok)
        abort();
}

static struct ms_span keep(struct ms_arena *arena, struct ms_span bytes)
{
    char *copy = ms_arena_strdup(arena, bytes);
    must(copy != NULL);
    return ms_span_of(copy, bytes.len);
}

/* ---- the registry ---- */

int64_t chain_time(uint64_t number)
{
    return CHAIN_GENESIS_S + 12 * (int64_t)number;
}

void chain_init(struct chain *c)
{
    struct ms_buf address = MS_BUF_INIT(ETH_ADDR_BYTES);

    *c = (struct chain){.arena = MS_ARENA_INIT((size_t)64 << 20),
                        .id = 1,
                        .told = json_object(),
                        .told_hashes = json_object()};
    must(c->told != NULL && c->told_hashes != NULL);
    must(eth_data_parse(ms_span_str(CHAIN_ADDRESS), &address) == MS_OK);
    memcpy(c->registry.b, address.ptr, ETH_ADDR_BYTES);
    ms_buf_done(&address);
    c->snapshot.releases = c->releases;
    c->snapshot.state = (struct registry_state){
        .sequence = 1, .updated_block = 1, .updated_at_s = (uint64_t)chain_time(1)};
    memset(c->snapshot.state.owner.b, 0x0e, ETH_ADDR_BYTES);
}

void chain_init_more(struct chain *c, struct chain *more, uint8_t at)
{
    chain_init(more);
    more->registry.b[0] = at;
    must(c->n_more < CHAIN_MORE_MAX);
    c->more[c->n_more++] = more;
}

void chain_done(struct chain *c)
{
    json_decref(c->told);
    json_decref(c->told_hashes);
    ms_arena_done(&c->arena);
}

void chain_touch(struct chain *c)
{
    c->snapshot.state.sequence++;
}

struct registry_release *chain_approve(struct chain *c, const char *document, const char *uri)
{
    size_t n = c->snapshot.n_releases++;
    struct registry_release *r = &c->releases[n];

    chain_touch(c);
    must(n < REGISTRY_RELEASES_MAX);
    c->documents[n] = keep(&c->arena, ms_span_str(document));
    *r = (struct registry_release){
        .id = (n > 0 ? c->releases[n - 1].id : 0) + 1,
        .version = n + 1,
        .approved_seq = c->snapshot.state.sequence,
        .payload_format = 1,
        .payload_size = (uint32_t)strlen(document),
        .payload_hash = ms_sha256(ms_span_str(document)),
        .uri = keep(&c->arena, ms_span_str(uri == NULL ? "" : uri)),
    };
    if (uri == NULL)
        r->payload = c->documents[n];
    return r;
}

void chain_revoke_all(struct chain *c)
{
    chain_touch(c);
    c->snapshot.n_releases = 0;
}

const char *chain_document(uint8_t byte)
{
    static char text[512];
    char hex[97];

    for (size_t i = 0; i < 48; i++)
        (void)snprintf(hex + 2 * i, 3, "%02x", byte);
    (void)snprintf(text, sizeof(text),
                   "[{\"measurement_id\":\"m%02x\",\"attestation_type\":\"dcap-tdx\","
                   "\"measurements\":{\"0\":{\"expected\":\"%s\"}}}]",
                   byte, hex);
    return text;
}

/* ---- the call's answer ---- */

static struct eth_abi_value addr_value(const struct eth_addr *addr)
{
    struct eth_abi_value value = {.kind = ETH_ABI_ADDRESS};
    memcpy(value.word.b + ETH_WORD_BYTES - ETH_ADDR_BYTES, addr->b, ETH_ADDR_BYTES);
    return value;
}

static struct eth_abi_value word_value(const uint8_t *bytes)
{
    struct eth_word word;
    memcpy(word.b, bytes, ETH_WORD_BYTES);
    return eth_abi_bytes32(&word);
}

static struct eth_abi_value *items(struct ms_arena *arena, size_t n)
{
    struct eth_abi_value *out = ms_arena_alloc(arena, n + 1, sizeof(*out));
    must(out != NULL);
    return out;
}

static void encode_snapshot(const struct registry_snapshot *s, struct ms_buf *out)
{
    struct ms_arena arena = MS_ARENA_INIT((size_t)8 << 20);
    const struct eth_abi_type *type = NULL;
    const struct registry_state *t = &s->state;
    struct eth_hash releases_hash = registry_releases_hash(s);
    struct eth_abi_value state[] = {
        eth_abi_u64(t->sequence),      eth_abi_u64(t->updated_at_s),  eth_abi_u64(t->updated_block),
        eth_abi_u64(t->valid_until_s), eth_abi_u64(t->min_delay_s),   addr_value(&t->owner),
        addr_value(&t->guardian),      word_value(t->history_hash.b), word_value(releases_hash.b)};
    struct eth_abi_value *releases = items(&arena, s->n_releases);
    struct eth_abi_value *payloads = items(&arena, s->n_releases);

    for (size_t i = 0; i < s->n_releases; i++) {
        const struct registry_release *r = &s->releases[i];
        struct eth_abi_value *of = items(&arena, 9);
        of[0] = eth_abi_u64(r->id);
        of[1] = eth_abi_u64(r->version);
        of[2] = eth_abi_u64(r->not_before_s);
        of[3] = eth_abi_u64(r->not_after_s);
        of[4] = eth_abi_u64(r->approved_seq);
        of[5] = eth_abi_u64(r->payload_format);
        of[6] = eth_abi_u64(r->payload_size);
        of[7] = word_value(r->payload_hash.b);
        of[8] = (struct eth_abi_value){.kind = ETH_ABI_STRING, .bytes = r->uri};
        releases[i] = (struct eth_abi_value){.kind = ETH_ABI_TUPLE, .n = 9, .items = of};
        payloads[i] = (struct eth_abi_value){.kind = ETH_ABI_BYTES, .bytes = r->payload};
    }
    struct eth_abi_value all[] = {{.kind = ETH_ABI_TUPLE, .n = MS_ARRAY_LEN(state), .items = state},
                                  {.kind = ETH_ABI_ARRAY, .n = s->n_releases, .items = releases},
                                  {.kind = ETH_ABI_ARRAY, .n = s->n_releases, .items = payloads}};
    struct eth_abi_value value = {.kind = ETH_ABI_TUPLE, .n = 3, .items = all};
    must(eth_abi_params_parse(ms_span_str(REGISTRY_RETURNS_SNAPSHOT_WITH_PAYLOADS), &arena,
                              &type) == MS_OK &&
         eth_abi_encode(type, &value, out) == MS_OK);
    ms_arena_done(&arena);
}

static json_t *hex_json(struct ms_span bytes)
{
    struct ms_buf text = MS_BUF_INIT(TEXT_MAX_BYTES);

    (void)ms_buf_add_str(&text, "0x");
    (void)ms_buf_add_hex(&text, bytes);
    must(ms_buf_err(&text) == MS_OK);
    json_t *out = json_stringn((const char *)text.ptr, text.len);
    ms_buf_done(&text);
    return out;
}

/* ---- a contract with getters ---- */

void chain_store(struct chain_contract *contract, const struct eth_word *slot,
                 const struct eth_word *value)
{
    size_t i = 0;

    while (i < contract->n_slots && memcmp(contract->slots[i].b, slot->b, ETH_WORD_BYTES) != 0)
        i++;
    must(i < CHAIN_SLOTS_MAX);
    contract->slots[i] = *slot;
    contract->values[i] = *value;
    if (i == contract->n_slots)
        contract->n_slots++;
}

static struct eth_word contract_word(const struct chain_contract *contract,
                                     const struct eth_word *slot)
{
    for (size_t i = 0; i < contract->n_slots; i++)
        if (memcmp(contract->slots[i].b, slot->b, ETH_WORD_BYTES) == 0)
            return contract->values[i];
    return (struct eth_word){0};
}

static void encode_metadata(bool approved, struct ms_buf *out)
{
    struct ms_arena arena = MS_ARENA_INIT(65536);
    const struct eth_abi_type *type = NULL;
    struct eth_abi_value members[] = {
        {.kind = ETH_ABI_STRING, .bytes = ms_span_str(approved ? CHAIN_COMMIT : "")},
        {.kind = ETH_ABI_ARRAY}};
    struct eth_abi_value tuple = {.kind = ETH_ABI_TUPLE, .n = 2, .items = members};
    struct eth_abi_value all = {.kind = ETH_ABI_TUPLE, .n = 1, .items = &tuple};

    must(eth_abi_params_parse(ms_span_str("(string,string[])"), &arena, &type) == MS_OK &&
         eth_abi_encode(type, &all, out) == MS_OK);
    ms_arena_done(&arena);
}

static json_t *getter_json(const struct chain_contract *contract, const struct chain_getter *getter,
                           struct ms_span data)
{
    struct eth_word slot = eth_word_u64(getter->slot), key, answer = {0};
    struct ms_buf out = MS_BUF_INIT(4096);

    if (getter->form != CHAIN_FLAG) {
        must(data.len == 4 + ETH_WORD_BYTES);
        memcpy(key.b, data.ptr + 4, ETH_WORD_BYTES);
        slot = eth_slot_mapping(&key, &slot);
    }
    struct eth_word word = contract_word(contract, &slot);
    answer.b[ETH_WORD_BYTES - 1] = getter->form == CHAIN_FLAG
                                       ? word.b[ETH_WORD_BYTES - 1 - getter->byte]
                                       : !eth_word_is_zero(&word);
    if (getter->form == CHAIN_MAP_METADATA)
        encode_metadata(!eth_word_is_zero(&word), &out);
    else
        must(ms_buf_add(&out, eth_word_span(&answer)) == MS_OK);
    json_t *json = hex_json(ms_buf_span(&out));
    ms_buf_done(&out);
    return json;
}

/* NULL: it reverts. */
static json_t *contract_json(const struct chain_contract *contract, struct ms_span data)
{
    for (size_t i = 0; i < contract->n_calls; i++) {
        const struct chain_call *call = &contract->calls[i];
        if (data.len >= call->data.len &&
            ms_span_eq(ms_span_sub(data, 0, call->data.len), call->data))
            return call->reverts ? NULL : hex_json(call->answer);
    }
    for (size_t i = 0; i < contract->n_getters && data.len >= 4; i++)
        if (memcmp(contract->getters[i].selector, data.ptr, 4) == 0)
            return getter_json(contract, &contract->getters[i], data);
    return NULL;
}

/* NULL: it reverts. Who is no contract of this chain answers nothing: so do owners. */
static json_t *call_json(const struct node *node, const struct chain *c, struct ms_span data)
{
    static const uint8_t commit[4] = REGISTRY_CALL_COMMITMENT;
    struct ms_buf out = MS_BUF_INIT(TEXT_MAX_BYTES);

    if (node->lie == NODE_CALL_EMPTY || c == NULL || c->no_account)
        return json_string("0x");
    if (c->contract != NULL)
        return contract_json(c->contract, data);
    if (ms_span_eq(data, ms_span_of(commit, sizeof(commit)))) {
        struct eth_hash commitment = registry_commitment(&c->snapshot);
        commitment.b[0] ^= c->wrong_commitment;
        return hex_json(eth_hash_span(&commitment));
    }
    struct registry_snapshot lie = c->snapshot;
    if (node->lie == NODE_GARBAGE)
        return json_string("0x00112233");
    if (node->lie == NODE_SNAPSHOT)
        lie.state.min_delay_s ^= 1;
    encode_snapshot(&lie, &out);
    if (node->lie ==
        NODE_PAYLOAD) /* the last byte of the last payload is padding: go back to text */
        for (size_t i = out.len; i-- > 0;)
            if (out.ptr[i] == ']') {
                out.ptr[i] = ' ';
                break;
            }
    json_t *json = hex_json(ms_buf_span(&out));
    ms_buf_done(&out);
    return json;
}

/* ---- state ---- */

struct state { /* one account, and the state it is part of */
    struct ms_arena arena;
    struct eth_hash root, storage_root, code_hash;
    size_t n_slots;
    struct eth_word *keys, *values;
    struct trie_entry *entries; /* of the storage trie */
    struct trie_proof account;
    struct ms_span code;    /* empty for the reference registry's: nobody asks for it */
    const struct chain *of; /* what is there; NULL: nothing at this address */
};

/* What is at an address in the newest blocks or in final ones. */
static const struct chain *place_at(const struct chain *c, const struct eth_addr *address,
                                    bool newest)
{
    const struct chain *found = NULL;

    if (eth_addr_eq(&c->registry, address))
        found = c;
    for (size_t i = 0; found == NULL && i < c->n_more; i++)
        if (eth_addr_eq(&c->more[i]->registry, address))
            found = c->more[i];
    return found != NULL && newest && found->newest != NULL ? found->newest : found;
}

static struct ms_span add_account(struct ms_arena *arena, uint64_t nonce,
                                  const struct eth_hash *storage, const struct eth_hash *code)
{
    struct ms_buf payload = MS_BUF_INIT(256), list = MS_BUF_INIT(256);
    struct eth_word n = eth_word_u64(nonce), zero = {0};

    (void)eth_rlp_add_word(&payload, &n);
    (void)eth_rlp_add_word(&payload, &zero);
    (void)eth_rlp_add_string(&payload, eth_hash_span(storage));
    (void)eth_rlp_add_string(&payload, eth_hash_span(code));
    must(eth_rlp_add_list(&list, ms_buf_span(&payload)) == MS_OK);
    struct ms_span out = keep(arena, ms_buf_span(&list));
    ms_buf_done(&payload);
    ms_buf_done(&list);
    return out;
}

static struct ms_span path_of(struct ms_arena *arena, struct ms_span key)
{
    struct eth_hash hash = eth_keccak256(key);
    return keep(arena, eth_hash_span(&hash));
}

static void state_store(struct state *s, const struct eth_word *key, const struct eth_word *value)
{
    struct ms_buf rlp = MS_BUF_INIT(64);

    if (eth_word_is_zero(value))
        return;
    must(eth_rlp_add_word(&rlp, value) == MS_OK);
    s->entries[s->n_slots] = (struct trie_entry){path_of(&s->arena, eth_word_span(key)),
                                                 keep(&s->arena, ms_buf_span(&rlp))};
    ms_buf_done(&rlp);
    s->keys[s->n_slots] = *key;
    s->values[s->n_slots++] = *value;
}

/* The storage trie's root, and the proof of one key. */
static struct eth_hash storage_of(struct state *s, const struct eth_word *key,
                                  struct trie_proof *ret_proof)
{
    return trie_root(s->entries, s->n_slots, &s->arena, path_of(&s->arena, eth_word_span(key)),
                     ret_proof);
}

static void store_registry(const struct chain *c, struct state *s)
{
    static const struct eth_word key0;
    struct eth_word key1 = eth_word_u64(1), seven = eth_word_u64(7), slot0;
    struct eth_hash commitment = registry_commitment(&c->snapshot);

    memcpy(slot0.b, commitment.b, ETH_WORD_BYTES);
    if (!c->empty_slot0)
        state_store(s, &key0, &slot0);
    state_store(s, &key1, &seven);
}

static struct ms_span code_of(const struct chain *c)
{
    static const uint8_t pointer[23] = {0xef, 0x01, 0x00, 0x42};

    if (c->delegated)
        return ms_span_of(pointer, sizeof(pointer));
    if (c->contract != NULL)
        return c->contract->code;
    return c->strange_code ? ms_span_str("strange") : (struct ms_span){NULL, 0};
}

/* One account's storage, code and hashes. */
static void account_build(const struct chain *c, struct state *s)
{
    static const struct eth_hash known = REGISTRY_CODE_HASH;
    struct eth_word impl_key = eth_slot_eip1967("eip1967.proxy.implementation");
    size_t max = (c->contract != NULL ? c->contract->n_slots : 2) + 1;

    s->of = c;
    s->keys = ms_arena_alloc(&s->arena, max, sizeof(*s->keys));
    s->values = ms_arena_alloc(&s->arena, max, sizeof(*s->values));
    s->entries = ms_arena_alloc(&s->arena, max, sizeof(*s->entries));
    must(s->keys != NULL && s->values != NULL && s->entries != NULL);
    for (size_t i = 0; c->contract != NULL && i < c->contract->n_slots; i++)
        state_store(s, &c->contract->slots[i], &c->contract->values[i]);
    if (c->contract == NULL)
        store_registry(c, s);
    state_store(s, &impl_key, &c->implementation);
    s->storage_root = storage_of(s, &impl_key, NULL);
    s->code = code_of(c);
    s->code_hash = s->code.len > 0 ? eth_keccak256(s->code) : known;
}

/* All accounts; what is told of the one at `address` is left in s. */
static void state_build(const struct chain *c, const struct eth_addr *address, bool newest,
                        struct state *s)
{
    static const uint8_t others[3][ETH_ADDR_BYTES] = {{1}, {2}, {3}};
    struct trie_entry accounts[4 + CHAIN_MORE_MAX];
    size_t n = 0;

    *s = (struct state){.arena = MS_ARENA_INIT((size_t)64 << 20)};
    for (size_t i = 0; i < MS_ARRAY_LEN(others); i++)
        accounts[n++] = (struct trie_entry){
            path_of(&s->arena, ms_span_of(others[i], ETH_ADDR_BYTES)),
            add_account(&s->arena, i + 1, &eth_empty_trie_root, &eth_empty_code_hash)};
    for (size_t i = 0; i <= c->n_more; i++) {
        const struct eth_addr *at = i == 0 ? &c->registry : &c->more[i - 1]->registry;
        const struct chain *r = place_at(c, at, newest);
        struct state one = {.arena = s->arena};
        account_build(r, &one);
        s->arena = one.arena;
        if (!r->no_account)
            accounts[n++] =
                (struct trie_entry){path_of(&s->arena, ms_span_of(at->b, ETH_ADDR_BYTES)),
                                    add_account(&s->arena, 1, &one.storage_root, &one.code_hash)};
        one.arena = s->arena; /* it has grown */
        if (eth_addr_eq(at, address))
            *s = one;
    }
    struct ms_span path = path_of(&s->arena, ms_span_of(address->b, ETH_ADDR_BYTES));
    s->root = trie_root(accounts, n, &s->arena, path, &s->account);
}

static json_t *nodes_json(const struct trie_proof *proof)
{
    json_t *out = json_array();
    for (size_t i = 0; i < proof->n; i++)
        must(json_array_append_new(out, hex_json(proof->nodes[i])) == 0);
    return out;
}

static struct eth_word stored_at(const struct state *s, const struct eth_word *key)
{
    for (size_t i = 0; i < s->n_slots; i++)
        if (memcmp(s->keys[i].b, key->b, ETH_WORD_BYTES) == 0)
            return s->values[i];
    return (struct eth_word){0};
}

static json_t *slot_json(const struct node *node, struct state *s, struct eth_word key)
{
    struct trie_proof proof = {0};
    struct eth_word value = {0};

    if (!s->of->no_account) {
        (void)storage_of(s, &key, &proof);
        value = stored_at(s, &key);
        value.b[31] ^= node->lie == NODE_PROOF_VALUE && !eth_word_is_zero(&value);
    }
    key.b[31] ^= node->lie == NODE_PROOF_KEY;
    return json_pack("{s:o, s:o, s:o}", "key", hex_json(eth_word_span(&key)), "value",
                     hex_json(eth_word_span(&value)), "proof", nodes_json(&proof));
}

static struct eth_word word_of(const json_t *text)
{
    struct eth_word word;
    must(eth_data_fixed(ms_span_str(json_string_value(text)), word.b, ETH_WORD_BYTES) == MS_OK);
    return word;
}

static json_t *proof_json(const struct node *node, struct state *s, const json_t *keys)
{
    const struct chain *c = s->of;
    struct trie_proof account = s->account;
    struct eth_addr address = c->registry;
    json_t *slots = json_array();

    if (node->lie == NODE_PROOF_ACCOUNT)
        address.b[0] ^= 1;
    if (node->lie == NODE_PROOF_TRUNCATED)
        account.n--;
    if (node->lie == NODE_PROOF_DOUBLED) {
        account.nodes[account.n] = account.nodes[account.n - 1];
        account.n++;
    }
    json_t *code = c->no_account ? hex_json(eth_hash_span(&eth_empty_code_hash))
                                 : hex_json(eth_hash_span(&s->code_hash));
    json_t *root = c->no_account ? hex_json(eth_hash_span(&eth_empty_trie_root))
                                 : hex_json(eth_hash_span(&s->storage_root));
    for (size_t i = 0; i < json_array_size(keys); i++) {
        struct eth_word key = word_of(json_array_get(keys, i));
        must(json_array_append_new(slots, slot_json(node, s, key)) == 0);
    }
    json_t *out = json_pack("{s:o, s:s, s:s, s:o, s:o, s:o, s:o}", "address",
                            hex_json(ms_span_of(address.b, ETH_ADDR_BYTES)), "balance", "0x0",
                            "nonce", c->no_account ? "0x0" : "0x1", "codeHash", code, "storageHash",
                            root, "accountProof", nodes_json(&account), "storageProof", slots);
    must(out != NULL);
    return out;
}

/* ---- blocks ---- */

static void set_quantity(json_t *block, const char *name, uint64_t value)
{
    char text[24];
    (void)snprintf(text, sizeof(text), "0x%llx", (unsigned long long)value);
    must(json_object_set_new(block, name, json_string(text)) == 0);
}

static void set_zeros(json_t *block, const char *name, size_t n)
{
    static const uint8_t zeros[256];
    must(json_object_set_new(block, name, hex_json(ms_span_of(zeros, n))) == 0);
}

static json_t *block_json(const struct node *node, uint64_t number, bool latest)
{
    static const char *const words[] = {
        "parentHash", "sha3Uncles",      "transactionsRoot",      "receiptsRoot",
        "mixHash",    "withdrawalsRoot", "parentBeaconBlockRoot", "requestsHash"};
    struct ms_buf rlp = MS_BUF_INIT(ETH_HEADER_RLP_MAX_BYTES);
    json_t *block = json_object();
    uint64_t time_s = (uint64_t)chain_time(number);
    bool forked = node->lie == NODE_FORK || (node->lie == NODE_FORK_HEAD && number > node->final);

    if (node->lie == NODE_NULL_BLOCK) {
        json_decref(block);
        return json_null();
    }
    if (node->lie == NODE_FUTURE)
        time_s = (uint64_t)node->now_s + 16;
    if (node->lie == NODE_FUTURE_2_63)
        time_s = UINT64_C(1) << 63;
    for (size_t i = 0; i < MS_ARRAY_LEN(words); i++)
        set_zeros(block, words[i], 32);
    set_zeros(block, "miner", 20);
    set_zeros(block, "logsBloom", 256);
    set_zeros(block, "nonce", 8);
    set_quantity(block, "difficulty", 0);
    set_quantity(block, "number", number);
    set_quantity(block, "gasLimit", 30000000);
    set_quantity(block, "gasUsed", 0);
    set_quantity(block, "timestamp", time_s);
    set_quantity(block, "baseFeePerGas", 7);
    set_quantity(block, "blobGasUsed", 0);
    set_quantity(block, "excessBlobGas", 0);
    struct state s;
    state_build(node->chain, &node->chain->registry, number > node->final, &s);
    must(json_object_set_new(block, "stateRoot", hex_json(eth_hash_span(&s.root))) == 0);
    ms_arena_done(&s.arena);
    must(json_object_set_new(block, "extraData", json_string(forked ? "0x66" : "0x")) == 0);
    must(eth_header_encode_json(block, &rlp, NULL) == MS_OK);
    struct eth_hash hash = eth_keccak256(ms_buf_span(&rlp));
    ms_buf_done(&rlp);
    must(json_object_set_new(block, "hash", hex_json(eth_hash_span(&hash))) == 0);
    if (node->lie == NODE_HEADER_FIELD && !latest)
        set_quantity(block, "gasUsed", 1);
    return block;
}

/* ---- nodes ---- */

static json_t *error_json(int code, const char *message)
{
    return json_pack("{s:{s:i, s:s}}", "error", "code", code, "message", message);
}

static json_t *result_json(json_t *result)
{
    return json_pack("{s:o}", "result", result);
}

static json_t *answer_block(const struct node *node, const char *name)
{
    uint64_t number = 0;

    if (strcmp(name, "finalized") == 0)
        number = node->lie == NODE_FINAL_ABOVE_HEAD ? node->head + 1 : node->final;
    else if (strcmp(name, "safe") == 0)
        number = node->final + 32 < node->head ? node->final + 32 : node->head;
    else if (strcmp(name, "latest") == 0)
        number = node->head;
    else
        number = strtoull(name, NULL, 16);
    if (name[0] == '0' && node->lie == NODE_OTHER_NUMBER)
        number = node->final;
    if (number > node->head && node->lie != NODE_FINAL_ABOVE_HEAD)
        return result_json(json_null());
    bool honest = node->lie < NODE_WRONG_CHAIN || node->lie > NODE_OTHER_NUMBER;
    char key[24];
    (void)snprintf(key, sizeof(key), "%llu", (unsigned long long)number);
    json_t *old = honest ? json_object_get(node->chain->told, key) : NULL;
    if (old != NULL && name[0] == '0')
        return result_json(json_incref(old));
    json_t *block = block_json(node, number, strcmp(name, "latest") == 0);
    if (honest && name[0] != '0')
        must(json_object_set(node->chain->told, key, block) == 0 &&
             json_object_set_new(node->chain->told_hashes,
                                 json_string_value(json_object_get(block, "hash")),
                                 json_string(key)) == 0);
    return result_json(block);
}

static json_t *block_by_hash(const struct node *node, const char *hash)
{
    const char *number = json_string_value(json_object_get(node->chain->told_hashes, hash));
    json_t *block = number == NULL ? NULL : json_object_get(node->chain->told, number);

    /* another block may have been told of at that height since */
    bool same =
        block != NULL && strcmp(json_string_value(json_object_get(block, "hash")), hash) == 0;
    return same ? json_incref(block) : json_null();
}

static bool is_number(const json_t *block)
{
    return json_is_string(block) && json_string_length(block) < 2 + 2 * ETH_HASH_BYTES;
}

/* Of {"blockHash": ...}, a hash or a number; blocks never told of count as finalized. */
static uint64_t number_of(const struct node *node, const json_t *block)
{
    const char *text =
        json_string_value(json_is_object(block) ? json_object_get(block, "blockHash") : block);
    uint64_t number = node->final;

    must(text != NULL);
    if (is_number(block))
        return strtoull(text, NULL, 16);
    json_t *told = block_by_hash(node, text);
    if (json_is_object(told))
        number = strtoull(json_string_value(json_object_get(told, "number")), NULL, 16);
    json_decref(told);
    return number;
}

static bool is_newest(const struct node *node, const json_t *block)
{
    return number_of(node, block) > node->final;
}

static struct ms_span hex_bytes(struct ms_arena *arena, const json_t *text)
{
    struct ms_buf bytes = MS_BUF_INIT(TEXT_MAX_BYTES);

    must(json_is_string(text) &&
         eth_data_parse(ms_span_str(json_string_value(text)), &bytes) == MS_OK);
    struct ms_span out = keep(arena, ms_buf_span(&bytes));
    ms_buf_done(&bytes);
    return out;
}

static struct eth_addr addr_of(struct ms_span bytes)
{
    struct eth_addr addr;
    must(bytes.len == ETH_ADDR_BYTES);
    memcpy(addr.b, bytes.ptr, ETH_ADDR_BYTES);
    return addr;
}

static const struct eth_abi_type *type_of(struct ms_arena *arena, const char *text)
{
    const struct eth_abi_type *type = NULL;
    must(eth_abi_params_parse(ms_span_str(text), arena, &type) == MS_OK);
    return type;
}

/* Multicall3.aggregate3, every call allowed to fail. */
static json_t *multicall_json(const struct node *node, const struct chain *c, bool newest,
                              struct ms_span data)
{
    struct ms_arena arena = MS_ARENA_INIT((size_t)16 << 20);
    struct ms_buf out = MS_BUF_INIT(TEXT_MAX_BYTES);
    struct eth_abi_value in, results = {.kind = ETH_ABI_ARRAY},
                             all = {.kind = ETH_ABI_TUPLE, .n = 1, .items = &results};

    must(eth_abi_decode(type_of(&arena, "(address,bool,bytes)[]"), ms_span_sub(data, 4, data.len),
                        &arena, &in, NULL) == MS_OK);
    results.n = in.items[0].n - (node->lie == NODE_MULTICALL_FEWER ? 1 : 0);
    results.items = items(&arena, results.n);
    for (size_t i = 0; i < results.n; i++) {
        const struct eth_abi_value *call = in.items[0].items[i].items;
        struct eth_addr to = addr_of(ms_span_of(call[0].word.b + 12, ETH_ADDR_BYTES));
        json_t *answer = call_json(node, place_at(c, &to, newest), call[2].bytes);
        struct eth_abi_value *of = items(&arena, 2);
        of[0].kind = ETH_ABI_BOOL;
        of[0].word = eth_word_u64(answer != NULL);
        of[1].kind = ETH_ABI_BYTES;
        if (answer != NULL)
            of[1].bytes = hex_bytes(&arena, answer);
        results.items[i] = (struct eth_abi_value){.kind = ETH_ABI_TUPLE, .n = 2, .items = of};
        json_decref(answer);
    }
    must(eth_abi_encode(type_of(&arena, "(bool,bytes)[]"), &all, &out) == MS_OK);
    json_t *json = hex_json(ms_buf_span(&out));
    ms_buf_done(&out);
    ms_arena_done(&arena);
    return json;
}

static json_t *answer_plain_call(const struct node *node, const struct chain *at,
                                 struct ms_span data)
{
    json_t *answer = call_json(node, at, data);
    return answer == NULL ? error_json(3, "execution reverted") : result_json(answer);
}

static json_t *answer_eth_call(struct node *node, const json_t *params)
{
    static const uint8_t aggregate3[4] = {0x82, 0xad, 0x56, 0xcb};
    static const uint8_t snapshot[4] = REGISTRY_CALL_SNAPSHOT_WITH_PAYLOADS;
    const struct chain *c = node->says != NULL ? node->says : node->chain;
    struct ms_arena arena = MS_ARENA_INIT((size_t)8 << 20);
    const json_t *call = json_array_get(params, 0);
    struct ms_span data = hex_bytes(&arena, json_object_get(call, "data"));
    struct eth_addr to = addr_of(hex_bytes(&arena, json_object_get(call, "to")));
    bool newest = is_newest(node, json_array_get(params, 1));
    json_t *out;

    node->calls++;
    if (newest && node->lie == NODE_NO_HEAD) {
        out = error_json(-32001, "unknown block");
    } else if (!ms_span_eq(ms_span_sub(data, 0, 4), ms_span_of(aggregate3, 4))) {
        node->snapshots += ms_span_eq(data, ms_span_of(snapshot, 4));
        out = answer_plain_call(node, place_at(c, &to, newest), data);
    } else if (c->no_multicall || node->lie == NODE_NO_MULTICALL) {
        out = result_json(json_string("0x"));
    } else if (node->lie == NODE_MULTICALL_ERROR) {
        out = error_json(-32000, "out of gas");
    } else if (node->lie == NODE_MULTICALL_GARBAGE) {
        out = result_json(json_string("0x00112233"));
    } else {
        node->multicalls++;
        out = result_json(multicall_json(node, c, newest, data));
    }
    ms_arena_done(&arena);
    return out;
}

static json_t *answer_proof(struct node *node, const json_t *params)
{
    struct ms_arena arena = MS_ARENA_INIT(4096);
    struct eth_addr address = addr_of(hex_bytes(&arena, json_array_get(params, 0)));
    bool newest = is_newest(node, json_array_get(params, 2));
    struct state s;

    ms_arena_done(&arena);
    node->proofs++;
    if (newest && node->lie == NODE_NO_HEAD)
        return error_json(-32001, "unknown block");
    state_build(node->chain, &address, newest, &s);
    must(s.of != NULL);
    json_t *out = proof_json(node, &s, json_array_get(params, 1));
    ms_arena_done(&s.arena);
    return result_json(out);
}

static json_t *answer_code(struct node *node, const json_t *params)
{
    struct ms_arena arena = MS_ARENA_INIT(4096);
    struct eth_addr address = addr_of(hex_bytes(&arena, json_array_get(params, 0)));
    const json_t *block = json_array_get(params, 1);
    const struct chain *at = place_at(node->chain, &address, is_newest(node, block));

    ms_arena_done(&arena);
    must(at != NULL);
    if (is_number(block) && node->no_old_code)
        return error_json(-32000, "missing trie node");
    node->code_calls += is_number(block);
    if (at->contract != NULL && number_of(node, block) < at->contract->born)
        return result_json(json_string("0x"));
    return result_json(hex_json(code_of(at)));
}

/* ---- logs ---- */

static json_t *log_json(const struct chain_log *log)
{
    char number[24];
    json_t *topics = json_array();

    for (size_t i = 0; i < log->n_topics; i++)
        must(json_array_append_new(topics, hex_json(eth_hash_span(&log->topics[i]))) == 0);
    (void)snprintf(number, sizeof(number), "0x%llx", (unsigned long long)log->block);
    return json_pack("{s:o, s:o, s:o, s:s, s:o, s:s}", "address",
                     hex_json(ms_span_of(log->address.b, ETH_ADDR_BYTES)), "topics", topics, "data",
                     hex_json(ms_span_of(log->data, log->n_data)), "blockNumber", number,
                     "blockHash", hex_json(eth_hash_span(&eth_empty_trie_root)), "logIndex", "0x0");
}

static uint64_t quantity_of(const json_t *filter, const char *name)
{
    return strtoull(json_string_value(json_object_get(filter, name)), NULL, 16);
}

static void add_logs(const struct node *node, const struct chain_log *logs, size_t n, json_t *out)
{
    for (size_t i = 0; i < n; i++)
        if (logs[i].block >= node->log_from && logs[i].block <= node->log_to)
            must(json_array_append_new(out, log_json(&logs[i])) == 0);
}

static void add_logs_of(const struct node *node, const json_t *text, json_t *out)
{
    struct ms_arena arena = MS_ARENA_INIT(4096);
    struct eth_addr address = addr_of(hex_bytes(&arena, text));
    const struct chain *at = place_at(node->chain, &address, false);

    ms_arena_done(&arena);
    if (at != NULL && at->contract != NULL)
        add_logs(node, at->contract->logs, at->contract->n_logs, out);
}

/* Whatever the filter says of topics: who asks has to look. */
static json_t *answer_logs(struct node *node, const json_t *filter)
{
    const json_t *addresses = json_object_get(filter, "address");
    json_t *out = json_array();

    node->log_calls++;
    node->log_from = quantity_of(filter, "fromBlock");
    node->log_to = quantity_of(filter, "toBlock");
    if (node->max_blocks > 0 && node->log_to - node->log_from >= node->max_blocks) {
        json_decref(out);
        return error_json(-32005, "query exceeds max block range");
    }
    if (node->logs != NULL)
        add_logs(node, node->logs, node->n_logs, out);
    else if (json_is_string(addresses))
        add_logs_of(node, addresses, out);
    for (size_t i = 0; node->logs == NULL && i < json_array_size(addresses); i++)
        add_logs_of(node, json_array_get(addresses, i), out);
    return result_json(out);
}

static json_t *chain_id_json(const struct node *node)
{
    char text[24];
    uint64_t id = node->lie == NODE_WRONG_CHAIN ? node->chain->id + 4 : node->chain->id;
    (void)snprintf(text, sizeof(text), "0x%llx", (unsigned long long)id);
    return json_string(text);
}

static json_t *answer_call(struct node *node, const json_t *call)
{
    const char *method = json_string_value(json_object_get(call, "method"));
    const json_t *params = json_object_get(call, "params");

    if (node->lie == NODE_ERRORS)
        return error_json(-32000, "out of order");
    if (node->refuses != NULL && strcmp(node->refuses, method) == 0)
        return error_json(-32000, "missing trie node");
    if (node->garbles != NULL && strcmp(node->garbles, method) == 0)
        return result_json(json_true());
    if (strcmp(method, "eth_chainId") == 0)
        return result_json(chain_id_json(node));
    if (strcmp(method, "eth_getBlockByNumber") == 0)
        return answer_block(node, json_string_value(json_array_get(params, 0)));
    if (strcmp(method, "eth_getBlockByHash") == 0)
        return result_json(block_by_hash(node, json_string_value(json_array_get(params, 0))));
    if (strcmp(method, "eth_getCode") == 0)
        return answer_code(node, params);
    if (strcmp(method, "eth_getLogs") == 0)
        return answer_logs(node, json_array_get(params, 0));
    bool is_call = strcmp(method, "eth_call") == 0;
    const json_t *block = json_array_get(params, is_call ? 1 : 2);
    must(json_is_string(block) || json_is_object(block));
    if (node->lie == NODE_NO_EIP1898 && json_is_object(block))
        return error_json(-32602, "invalid argument: hex string expected");
    if (is_call && node->lie == NODE_REVERT)
        return error_json(3, "execution reverted");
    if (is_call && node->lie == NODE_CALL_ERROR)
        return error_json(-32000, "header not found");
    if (!is_call && node->lie == NODE_NO_PROOF)
        return error_json(-32601, "the method eth_getProof does not exist");
    return is_call ? answer_eth_call(node, params) : answer_proof(node, params);
}

static json_t *with_id(json_t *answer, json_t *id)
{
    must(json_object_set_new(answer, "jsonrpc", json_string("2.0")) == 0 &&
         json_object_set(answer, "id", id) == 0);
    return answer;
}

static json_t *answer_batch(struct node *node, const json_t *calls)
{
    json_t *out = json_array();

    for (size_t i = 0; i < json_array_size(calls); i++) {
        const json_t *call = json_array_get(calls, i);
        size_t id_of = node->lie == NODE_IDS_REPEATED ? 0 : i;
        json_t *answer =
            with_id(answer_call(node, call), json_object_get(json_array_get(calls, id_of), "id"));
        must((node->lie == NODE_REVERSED ? json_array_insert_new(out, 0, answer)
                                         : json_array_append_new(out, answer)) == 0);
    }
    if (node->lie == NODE_PARTIAL)
        must(json_array_remove(out, 0) == 0);
    return out;
}

/* Whether the message has a call of this method. */
static bool asks_for(const json_t *root, const char *method)
{
    size_t n = json_is_array(root) ? json_array_size(root) : 1;

    for (size_t i = 0; method != NULL && i < n; i++) {
        const json_t *call = json_is_array(root) ? json_array_get(root, i) : root;
        if (strcmp(json_string_value(json_object_get(call, "method")), method) == 0)
            return true;
    }
    return false;
}

static bool asks_for_old_code(const json_t *root)
{
    return json_is_object(root) && asks_for(root, "eth_getCode") &&
           is_number(json_array_get(json_object_get(root, "params"), 1));
}

static bool is_dead(const struct node *node, const json_t *root)
{
    return node->lie == NODE_DEAD || asks_for(root, node->dead_on) ||
           (node->dead_on_old_code && asks_for_old_code(root));
}

bool node_hangs(const struct node *node, struct ms_span request)
{
    bool data = false;

    for (size_t i = 0; i < request.len; i++) {
        struct ms_span rest = ms_span_sub(request, i, request.len);
        data = data || ms_span_starts(rest, "eth_call") || ms_span_starts(rest, "eth_getProof");
    }
    return node->lie == NODE_HANGS || (node->lie == NODE_DATA_HANGS && data);
}

void node_answer(struct node *node, struct ms_span request, struct node_answer *ret)
{
    static const struct ms_json_limits limits = {1u << 20, 16, 4096, 0};
    json_t *root = NULL, *out = NULL;

    *ret = (struct node_answer){.status = 200, .body = MS_BUF_INIT(TEXT_MAX_BYTES)};
    node->asked++;
    must(ms_json_parse(request, &limits, &root, NULL) == MS_OK);
    bool batch = json_is_array(root);
    if (is_dead(node, root) || node_hangs(node, request)) {
        ret->err = MS_ERR_TIMEOUT;
    } else if (node->lie == NODE_500 || (batch && node->lie == NODE_BATCH_413)) {
        ret->status = node->lie == NODE_500 ? 500 : 413;
        (void)ms_buf_add_str(&ret->body, "<html>no</html>");
    } else if (node->lie == NODE_BUSY) {
        ret->status = 429;
        ret->retry_after = "7";
        out = with_id(error_json(-32005, "limit exceeded"), json_null());
    } else if (node->lie == NODE_NOT_JSON) {
        (void)ms_buf_add_str(&ret->body, "{\"jsonrpc\"");
    } else if (node->lie == NODE_OVERSIZE) {
        while (ret->body.len <= (size_t)1 << 20)
            (void)ms_buf_add_str(&ret->body, "                ");
    } else if (batch && node->lie == NODE_BATCH_ONE) {
        out = with_id(answer_call(node, json_array_get(root, 0)),
                      json_object_get(json_array_get(root, 0), "id"));
    } else if (batch && node->lie == NODE_BATCH_ERROR) {
        out = with_id(error_json(-32600, "batch too large"), json_null());
    } else {
        out = batch ? answer_batch(node, root)
                    : with_id(answer_call(node, root), json_object_get(root, "id"));
    }
    if (out != NULL)
        must(ms_json_dump(out, &ret->body) == MS_OK);
    for (size_t i = 0; asks_for(root, "eth_getLogs") && i < node->logs_padding; i++)
        must(ms_buf_add_byte(&ret->body, ' ') == MS_OK);
    if (asks_for(root, "eth_getLogs") && ret->body.len > (size_t)1 << 20) {
        ms_buf_reset(&ret->body); /* as a fetcher with this cap says it */
        ret->err = MS_ERR_TOO_LARGE;
    }
    json_decref(out);
    json_decref(root);
}
