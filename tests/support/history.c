#include "tests/support/history.h"

#include "contracts-abi/registry_abi.h"
#include "eth/abi.h"

#include <stdio.h>
#include <stdlib.h>

#define START_S FAKE_HISTORY_START_S

void fake_history_init(struct fake_history *fake)
{
    *fake = (struct fake_history){.arena = MS_ARENA_INIT((size_t)8 << 20)};
    memset(fake->registry.b, 0x52, sizeof(fake->registry.b));
}

void fake_history_done(struct fake_history *fake)
{
    ms_arena_done(&fake->arena);
}

static struct eth_abi_value addr_value(uint64_t n)
{
    struct eth_abi_value v = eth_abi_u64(n);
    v.kind = ETH_ABI_ADDRESS;
    return v;
}

/* The encoding of these values, in the arena. */
static struct ms_span encode(struct fake_history *fake, const char *types, struct eth_abi_value *v,
                             size_t n)
{
    struct eth_abi_value all = {.kind = ETH_ABI_TUPLE, .n = n, .items = v};
    const struct eth_abi_type *type;
    struct ms_buf out = MS_BUF_INIT(65536);

    if (eth_abi_params_parse(ms_span_str(types), &fake->arena, &type) != MS_OK ||
        eth_abi_encode(type, &all, &out) != MS_OK)
        abort();
    struct ms_span copy = ms_span_of(ms_arena_strdup(&fake->arena, ms_buf_span(&out)), out.len);
    ms_buf_done(&out);
    return copy;
}

static void topic(struct eth_hash *out, uint64_t value)
{
    struct eth_word word = eth_word_u64(value);
    memcpy(out->b, word.b, sizeof(out->b));
}

static void append(struct fake_history *fake, uint64_t block, uint8_t kind, uint64_t id,
                   struct ms_span data)
{
    static const struct eth_hash history = REGISTRY_EVENT_HISTORY_APPENDED;
    struct registry_event *e = &fake->event[fake->n];
    struct eth_log *log = &fake->log[fake->n];

    if (fake->n == FAKE_OPERATIONS_MAX)
        abort();
    *e = (struct registry_event){.sequence = fake->n + 1,
                                 .kind = kind,
                                 .id = id,
                                 .block = block,
                                 .prev_block = fake->state.updated_block,
                                 .timestamp_s = START_S + block,
                                 .data = data};
    e->history_hash = registry_history_hash(&fake->state.history_hash, e);
    *log = (struct eth_log){.address = fake->registry, .n_topics = 4, .block = block};
    log->topics[0] = history;
    topic(&log->topics[1], e->sequence);
    topic(&log->topics[2], kind);
    topic(&log->topics[3], id);
    struct eth_abi_value v[4] = {eth_abi_u64(e->prev_block),
                                 eth_abi_u64(e->timestamp_s),
                                 {.kind = ETH_ABI_BYTES, .bytes = data},
                                 {.kind = ETH_ABI_FIXED_BYTES}};
    memcpy(v[3].word.b, e->history_hash.b, sizeof(v[3].word.b));
    log->data = encode(fake, REGISTRY_LOG_DATA_HISTORY_APPENDED, v, 4);
    fake->n++;
    fake->state.sequence = e->sequence;
    fake->state.updated_at_s = e->timestamp_s;
    fake->state.updated_block = block;
    fake->state.history_hash = e->history_hash;
    struct registry_snapshot snapshot = {.n_releases = fake->n_live, .releases = fake->live};
    fake->state.releases_hash = registry_releases_hash(&snapshot);
}

/* What the caller has not set is set here. */
static void approve_release(struct fake_history *fake, uint64_t block,
                            const struct registry_release *release, uint64_t pointer)
{
    struct registry_release *r = &fake->live[fake->n_live++];

    *r = *release;
    r->id = ++fake->n_releases;
    r->version = r->id * 10;
    r->approved_seq = fake->n + 1;
    r->payload_format = 1;
    r->uri = ms_span_of(ms_arena_strdup(&fake->arena, release->uri), release->uri.len);
    struct eth_abi_value m[9] = {eth_abi_u64(r->id),
                                 eth_abi_u64(r->version),
                                 eth_abi_u64(r->not_before_s),
                                 eth_abi_u64(r->not_after_s),
                                 eth_abi_u64(r->approved_seq),
                                 eth_abi_u64(r->payload_format),
                                 eth_abi_u64(r->payload_size),
                                 {.kind = ETH_ABI_FIXED_BYTES},
                                 {.kind = ETH_ABI_STRING, .bytes = r->uri}};
    memcpy(m[7].word.b, r->payload_hash.b, sizeof(m[7].word.b));
    struct eth_abi_value v[2] = {{.kind = ETH_ABI_TUPLE, .n = 9, .items = m}, addr_value(pointer)};
    append(fake, block, REGISTRY_APPROVE, r->id,
           encode(fake, "(uint64,uint64,uint64,uint64,uint64,uint16,uint32,bytes32,string),address",
                  v, 2));
}

static void approve(struct fake_history *fake, uint64_t block, uint64_t pick)
{
    char uri[64];

    (void)snprintf(uri, sizeof(uri), "https://a.example/%llu", (unsigned long long)pick);
    const struct registry_release release = {.not_before_s = START_S + block + 10,
                                             .not_after_s =
                                                 pick % 2 == 0 ? 0 : START_S + block + 1000,
                                             .payload_size = (uint32_t)(pick % 1000 + 1),
                                             .payload_hash = ms_sha256(ms_span_str(uri)),
                                             .uri = ms_span_str(uri)};
    approve_release(fake, block, &release, pick % 3);
}

void fake_history_approve(struct fake_history *fake, uint64_t block, const char *document,
                          uint64_t not_before_s, uint64_t not_after_s)
{
    const struct ms_span bytes = ms_span_str(document);
    const struct registry_release release = {.not_before_s = not_before_s,
                                             .not_after_s = not_after_s,
                                             .payload_size = (uint32_t)bytes.len,
                                             .payload_hash = ms_sha256(bytes)};
    approve_release(fake, block, &release, 1);
}

void fake_history_approve_wrong(struct fake_history *fake, uint64_t block, const char *document)
{
    const struct ms_span bytes = ms_span_str(document);
    const struct registry_release release = {.not_before_s = START_S + block,
                                             .payload_size = (uint32_t)bytes.len - 1,
                                             .payload_hash = ms_sha256(bytes)};
    approve_release(fake, block, &release, 1);
}

static void take_away(struct fake_history *fake, uint64_t block, uint64_t pick, bool prune)
{
    size_t i = pick % fake->n_live;
    uint64_t id = fake->live[i].id;
    struct eth_abi_value reason = eth_abi_u64(pick % 6);

    memmove(&fake->live[i], &fake->live[i + 1], (fake->n_live - i - 1) * sizeof(fake->live[0]));
    fake->n_live--;
    append(fake, block, prune ? REGISTRY_PRUNE : REGISTRY_REVOKE, id,
           prune ? (struct ms_span){0} : encode(fake, "uint32", &reason, 1));
}

static void shorten(struct fake_history *fake, uint64_t block, uint64_t pick)
{
    struct registry_release *r = &fake->live[pick % fake->n_live];
    struct eth_abi_value end;

    r->not_after_s = r->not_before_s + 1 + pick % 100;
    end = eth_abi_u64(r->not_after_s);
    append(fake, block, REGISTRY_SHORTEN, r->id, encode(fake, "uint64", &end, 1));
}

static void set_addr(struct fake_history *fake, uint64_t block, uint8_t kind, uint64_t n,
                     struct eth_addr *where)
{
    struct eth_abi_value v = addr_value(n);

    if (where != NULL)
        memcpy(where->b, v.word.b + 12, sizeof(where->b));
    append(fake, block, kind, 0, encode(fake, "address", &v, 1));
}

static void set_number(struct fake_history *fake, uint64_t block, uint8_t kind, uint64_t n,
                       uint64_t *where)
{
    struct eth_abi_value v = eth_abi_u64(n);

    *where = n;
    append(fake, block, kind, 0, encode(fake, "uint64", &v, 1));
}

static void init(struct fake_history *fake, uint64_t block)
{
    struct eth_abi_value v[3] = {addr_value(7), addr_value(8), eth_abi_u64(60)};

    fake->state.owner.b[19] = 7;
    fake->state.guardian.b[19] = 8;
    fake->state.min_delay_s = 60;
    append(fake, block, REGISTRY_INIT, 0, encode(fake, "address,address,uint64", v, 3));
}

void fake_history_add(struct fake_history *fake, uint64_t block, uint64_t pick)
{
    uint64_t kind = 1 + pick % 9;

    if (fake->n == 0) {
        init(fake, block);
        return;
    }
    if (fake->n_live == 0 && kind >= REGISTRY_REVOKE && kind <= REGISTRY_PRUNE)
        kind = REGISTRY_APPROVE;
    if (fake->n_live == 32 && kind == REGISTRY_APPROVE)
        kind = REGISTRY_REVOKE;
    pick /= 9;
    if (kind == REGISTRY_APPROVE)
        approve(fake, block, pick);
    else if (kind == REGISTRY_REVOKE || kind == REGISTRY_PRUNE)
        take_away(fake, block, pick, kind == REGISTRY_PRUNE);
    else if (kind == REGISTRY_SHORTEN)
        shorten(fake, block, pick);
    else if (kind == REGISTRY_HEARTBEAT)
        set_number(fake, block, (uint8_t)kind, START_S + pick % 1000000,
                   &fake->state.valid_until_s);
    else if (kind == REGISTRY_RAISE_MIN_DELAY)
        set_number(fake, block, (uint8_t)kind, fake->state.min_delay_s + 1,
                   &fake->state.min_delay_s);
    else if (kind == REGISTRY_SET_GUARDIAN)
        set_addr(fake, block, (uint8_t)kind, pick % 1000, &fake->state.guardian);
    else
        set_addr(fake, block, (uint8_t)kind, pick % 1000,
                 kind == REGISTRY_TRANSFER_ACCEPTED ? &fake->state.owner : NULL);
}

void fake_history_revoke(struct fake_history *fake, uint64_t block, size_t i)
{
    take_away(fake, block, i, false);
}

void fake_history_heartbeat(struct fake_history *fake, uint64_t block, uint64_t valid_until_s)
{
    set_number(fake, block, REGISTRY_HEARTBEAT, valid_until_s, &fake->state.valid_until_s);
}

json_t *fake_log_json(const struct eth_log *log, size_t index)
{
    json_t *topics = json_array();
    char block[24], at[24];

    for (size_t i = 0; i < log->n_topics; i++)
        (void)json_array_append_new(topics, ms_json_hex(eth_hash_span(&log->topics[i])));
    (void)snprintf(block, sizeof(block), "0x%llx", (unsigned long long)log->block);
    (void)snprintf(at, sizeof(at), "0x%zx", index);
    struct eth_word number = eth_word_u64(log->block);
    return json_pack("{s:o, s:o, s:o, s:s, s:o, s:s, s:o, s:s, s:b}", "address",
                     ms_json_hex(ms_span_of(log->address.b, sizeof(log->address.b))), "topics",
                     topics, "data", ms_json_hex(log->data), "blockNumber", block, "blockHash",
                     ms_json_hex(eth_word_span(&number)), "transactionIndex", "0x0",
                     "transactionHash", ms_json_hex(eth_word_span(&number)), "logIndex", at,
                     "removed", 0);
}
