/* resolver/source/poll.c - one poll of many contracts.
 *
 *   BLOCK  which finalized block is believed, and which newest one (trusted.h)
 *   CALLS  the probes' calls at both; and blocks believed before, of items that are not as far
 *   PROOF  at L3: accounts and slots of what seems the same
 *
 * Work is queued for each endpoint and sent a few messages at a time, so that a poll of a thousand
 * contracts does not take the fetcher's queue. An answer is compared when it arrives; nothing of it
 * is kept. */
#include "resolver/source/poll.h"

#include "contracts-abi/multicall_abi.h"
#include "eth/abi.h"
#include "eth/proof.h"
#include "resolver/source/trusted.h"

#include <stdlib.h>

#define POLL_ARENA_MAX_BYTES ((size_t)48 << 20)
#define POLL_MESSAGE_MAX_BYTES ((size_t)1 << 20)
/* One eth_call's data: at two blocks, in hex, they fill a message; so do the answers. */
#define POLL_CHUNK_MAX_BYTES ((size_t)240 << 10)
#define POLL_ANSWER_MAX_BYTES ((size_t)200 << 10)
#define POLL_WINDOW_CALLS 32   /* without an answer, of one endpoint */
#define POLL_PROOF_BYTES 12288 /* an account's proof in JSON, and a slot's: 2.4, generously */
#define POLL_SLOT_BYTES 8192
#define POLL_LINKS_MAX 8u
#define POLL_LINK_NONE UINT32_MAX       /* its block is the one that trusted.h asks about */
#define POLL_LINK_MANY (UINT32_MAX - 1) /* too many different blocks */
#define POLL_REQUESTS_SPARE 24u         /* left for batches that are refused */
#define POLL_BLOCK_TRIES 2u             /* a newest block that is gone a moment later */

/* Multicall3, at the same address on every chain that has it (github.com/mds1/multicall3) */
static const struct eth_addr multicall = {{0xca, 0x11, 0xbd, 0xe0, 0x59, 0x77, 0xb3,
                                           0x63, 0x11, 0x67, 0x02, 0x88, 0x62, 0xbe,
                                           0x2a, 0x17, 0x39, 0x76, 0xca, 0x11}};
static const uint8_t aggregate3[ETH_ABI_SELECTOR_BYTES] = MULTICALL_CALL_AGGREGATE3;

enum phase { PHASE_BLOCK = 0, PHASE_CALLS, PHASE_PROOF, PHASE_END };
enum part { PART_FINAL = 0, PART_HEAD, PARTS };
enum said { SAID_NOTHING = 0, SAID_EXPECTED, SAID_OTHER };

/* rpc_call.what: kind, part, index; TRUSTED_WHAT_END is below them all. */
enum kind { KIND_TRUSTED = 0, KIND_MULTI, KIND_CALL, KIND_LINK, KIND_PROOF };
#define WHAT_KIND_SHIFT 28
#define WHAT_PART_SHIFT 27
#define WHAT_INDEX_MASK ((1u << WHAT_PART_SHIFT) - 1)

struct ask { /* one call of a probe */
    const struct source_probe_call *call;
    uint32_t item;
};

struct chunk { /* of the asks, for one eth_call */
    size_t from, n;
    struct ms_span data;
};

struct work { /* one message */
    enum kind kind;
    bool parts[PARTS];
    size_t index, n; /* of the chunk; of the first ask and how many */
};

struct peer {
    bool asked[PARTS], failed[PARTS];
    uint8_t *said[PARTS]; /* by ask: enum said */
    bool link_ok[POLL_LINKS_MAX];
    struct work *work; /* queued; those before next_work are sent */
    size_t n_work, max_work, next_work;
    bool cannot_prove;
};

enum proof_state { PROOF_OPEN = 0, PROOF_OUT, PROOF_SAME, PROOF_OTHER };

struct proof {
    uint32_t item, peer; /* peer: who was asked, when OUT */
    enum proof_state state;
    const struct source_probe_account *account;
    struct eth_word *keys;
};

struct link {
    uint64_t number;
    struct eth_hash hash;
};

struct item {
    struct source_poll_item in;
    size_t first_ask;
    uint32_t link;
    enum source_poll_verdict verdict;
};

struct poll {
    enum phase phase;
    enum spec_level level;
    struct rpcset set;
    struct trusted trusted;
    struct source_poll_hints hints;
    unsigned tries;
    bool head_read, short_of_answers;
    bool has_multicall, lacks_multicall; /* by somebody's word */
    size_t n_items, n_asks, n_chunks, n_links, n_proofs;
    struct item *items;
    struct ask *asks;
    struct chunk *chunks;
    struct link links[POLL_LINKS_MAX];
    struct proof *proofs;
    struct peer peers[SOURCE_PROVIDERS_MAX];
    const struct eth_abi_type *args, *returns;
    enum ms_err proof_err; /* why somebody did not prove */
    struct ms_diag proof_diag;
};

static struct poll *poll_of(const struct source *s)
{
    return s->kind_state;
}

/* ---- the data of calls ---- */

static size_t padded(size_t n)
{
    return (n + ETH_WORD_BYTES - 1) / ETH_WORD_BYTES * ETH_WORD_BYTES;
}

/* Offset, target, flag, offset, length. */
static size_t call_bytes(const struct source_probe_call *call)
{
    return 5 * ETH_WORD_BYTES + padded(call->data.len);
}

/* Offset, flag, offset, length. */
static size_t answer_bytes(const struct source_probe_call *call)
{
    size_t len = call->final.len > call->head.len ? call->final.len : call->head.len;
    return 4 * ETH_WORD_BYTES + padded(len);
}

static enum ms_err encode_chunk(struct source *s, struct chunk *chunk)
{
    struct poll *p = poll_of(s);
    struct ms_arena scratch = MS_ARENA_INIT((size_t)8 << 20);
    struct ms_buf data = MS_BUF_INIT(POLL_CHUNK_MAX_BYTES + 1024);
    struct eth_abi_value *tuples = ms_arena_alloc(&scratch, chunk->n, sizeof(*tuples));
    struct eth_abi_value *members = ms_arena_alloc(&scratch, chunk->n, 3 * sizeof(*members));
    struct eth_abi_value array = {.kind = ETH_ABI_ARRAY, .n = chunk->n, .items = tuples};
    struct eth_abi_value all = {.kind = ETH_ABI_TUPLE, .n = 1, .items = &array};
    enum ms_err err = tuples == NULL || members == NULL ? MS_ERR_MEMORY : MS_OK;

    for (size_t i = 0; err == MS_OK && i < chunk->n; i++) {
        const struct source_probe_call *call = p->asks[chunk->from + i].call;
        struct eth_abi_value *of = &members[3 * i];
        of[0].kind = ETH_ABI_ADDRESS;
        memcpy(of[0].word.b + ETH_WORD_BYTES - ETH_ADDR_BYTES, call->to.b, ETH_ADDR_BYTES);
        of[1].kind = ETH_ABI_BOOL;
        of[1].word = eth_word_u64(1); /* one that reverts does not spoil the others */
        of[2] = (struct eth_abi_value){.kind = ETH_ABI_BYTES, .bytes = call->data};
        tuples[i] = (struct eth_abi_value){.kind = ETH_ABI_TUPLE, .n = 3, .items = of};
    }
    (void)ms_buf_add(&data, ms_span_of(aggregate3, sizeof(aggregate3)));
    if (err == MS_OK)
        err = eth_abi_encode(p->args, &all, &data);
    const char *copy = err == MS_OK ? ms_arena_strdup(&s->arena, ms_buf_span(&data)) : NULL;
    if (err == MS_OK && copy == NULL)
        err = MS_ERR_MEMORY;
    chunk->data = ms_span_of(copy, copy == NULL ? 0 : data.len);
    ms_buf_done(&data);
    ms_arena_done(&scratch);
    return err;
}

static enum ms_err make_chunks(struct source *s)
{
    struct poll *p = poll_of(s);
    size_t bytes = 0, answer = 0;

    p->chunks = ms_arena_alloc(&s->arena, p->n_asks, sizeof(*p->chunks));
    if (p->chunks == NULL)
        return MS_ERR_MEMORY;
    for (size_t i = 0; i < p->n_asks; i++) {
        struct chunk *last = p->n_chunks == 0 ? NULL : &p->chunks[p->n_chunks - 1];
        bytes += call_bytes(p->asks[i].call);
        answer += answer_bytes(p->asks[i].call);
        if (last == NULL || last->n >= p->hints.chunk_calls || bytes > POLL_CHUNK_MAX_BYTES ||
            answer > POLL_ANSWER_MAX_BYTES) {
            last = &p->chunks[p->n_chunks++];
            *last = (struct chunk){.from = i};
            bytes = call_bytes(p->asks[i].call);
            answer = answer_bytes(p->asks[i].call);
        }
        last->n++;
    }
    for (size_t i = 0; i < p->n_chunks; i++) {
        enum ms_err err = encode_chunk(s, &p->chunks[i]);
        if (err != MS_OK)
            return err;
    }
    return MS_OK;
}

/* ---- queueing ---- */

static bool add_work(struct source *s, struct peer *peer, struct work work)
{
    if (peer->n_work == peer->max_work) {
        size_t max = peer->max_work == 0 ? 16 : 2 * peer->max_work;
        struct work *more = ms_arena_alloc(&s->arena, max, sizeof(*more));
        if (more == NULL) {
            (void)source_fail(s, MS_ERR_MEMORY, NULL);
            return false;
        }
        if (peer->n_work > 0)
            memcpy(more, peer->work, peer->n_work * sizeof(*more));
        peer->work = more;
        peer->max_work = max;
    }
    peer->work[peer->n_work++] = work;
    return true;
}

static bool add_batches(struct source *s, struct peer *peer, enum part part,
                        const struct chunk *chunk)
{
    for (size_t i = 0; i < chunk->n; i += RPCSET_CALLS_MAX) {
        size_t n = chunk->n - i < RPCSET_CALLS_MAX ? chunk->n - i : RPCSET_CALLS_MAX;
        struct work work = {.kind = KIND_CALL, .index = chunk->from + i, .n = n};
        work.parts[part] = true;
        if (!add_work(s, peer, work))
            return false;
    }
    return true;
}

/* Everything for the parts that this peer is asked for now. */
static bool add_peer(struct source *s, uint32_t q, const bool parts[PARTS])
{
    struct poll *p = poll_of(s);
    struct peer *peer = &p->peers[q];
    bool ok = true;

    for (int part = 0; part < PARTS; part++) {
        if (!parts[part])
            continue;
        peer->asked[part] = true;
        peer->said[part] = ms_arena_alloc(&s->arena, p->n_asks, 1);
        if (peer->said[part] == NULL) {
            (void)source_fail(s, MS_ERR_MEMORY, NULL);
            return false;
        }
    }
    if (parts[PART_FINAL] && p->n_links > 0)
        ok = add_work(s, peer, (struct work){.kind = KIND_LINK});
    for (size_t i = 0; ok && i < p->n_chunks; i++) {
        struct work multi = {.kind = KIND_MULTI, .index = i};
        memcpy(multi.parts, parts, sizeof(multi.parts));
        if (!p->hints.no_multicall)
            ok = add_work(s, peer, multi);
        for (int part = 0; ok && p->hints.no_multicall && part < PARTS; part++)
            ok = !parts[part] || add_batches(s, peer, (enum part)part, &p->chunks[i]);
    }
    return ok;
}

static const struct trusted_hash *pin_of(const struct poll *p, enum part part)
{
    return part == PART_FINAL ? &p->trusted.final : &p->trusted.head;
}

static bool wanted(const struct poll *p, enum part part)
{
    const struct trusted *t = &p->trusted;
    return part == PART_FINAL ||
           (t->head.how != TRUSTED_NOT && t->head.header.number > t->final.header.number);
}

static uint32_t groups_of(const struct poll *p, enum part part)
{
    bool counts[SOURCE_PROVIDERS_MAX] = {false};

    for (uint32_t q = 0; q < rpcset_n(&p->set); q++)
        counts[q] =
            rpcset_alive(&p->set, q) && p->peers[q].asked[part] && !p->peers[q].failed[part];
    return rpcset_groups(&p->set, counts);
}

static bool group_asked(const struct poll *p, enum part part, uint32_t peer)
{
    for (uint32_t q = 0; q < rpcset_n(&p->set); q++)
        if (rpcset_alive(&p->set, q) && p->peers[q].asked[part] && !p->peers[q].failed[part] &&
            rpcset_same_group(&p->set, peer, q))
            return true;
    return false;
}

static bool may_ask(const struct poll *p, enum part part, uint32_t q)
{
    if (!wanted(p, part) || !rpcset_alive(&p->set, q) || p->peers[q].asked[part] ||
        group_asked(p, part, q) || groups_of(p, part) >= p->trusted.need)
        return false;
    return part == PART_FINAL ? trusted_voted_final(&p->trusted, q)
                              : trusted_voted_head(&p->trusted, q);
}

/* As many groups as the level needs, in place of those that failed; those who vouch for a block. */
static bool ask_peers(struct source *s)
{
    struct poll *p = poll_of(s);

    for (uint32_t q = 0; q < rpcset_n(&p->set); q++) {
        bool parts[PARTS] = {may_ask(p, PART_FINAL, q), may_ask(p, PART_HEAD, q)};
        if ((parts[PART_FINAL] || parts[PART_HEAD]) && !add_peer(s, q, parts))
            return false;
    }
    return true;
}

/* ---- sending ---- */

static struct rpc_call call_of(const struct poll *p, enum kind kind, enum part part, size_t index)
{
    return (struct rpc_call){
        .method = RPC_CALL,
        .what =
            (uint32_t)kind << WHAT_KIND_SHIFT | (uint32_t)part << WHAT_PART_SHIFT | (uint32_t)index,
        .block = {.form = ETH_BLOCK_HASH_CANONICAL, .hash = pin_of(p, part)->header.hash},
    };
}

static size_t write_multi(const struct poll *p, const struct work *work, struct rpc_call *calls)
{
    size_t n = 0;

    for (int part = 0; part < PARTS; part++) {
        if (!work->parts[part])
            continue;
        calls[n] = call_of(p, KIND_MULTI, (enum part)part, work->index);
        calls[n].to = multicall;
        calls[n++].data = p->chunks[work->index].data;
    }
    return n;
}

static size_t write_batch(const struct poll *p, const struct work *work, struct rpc_call *calls)
{
    enum part part = work->parts[PART_HEAD] ? PART_HEAD : PART_FINAL;

    for (size_t i = 0; i < work->n; i++) {
        const struct source_probe_call *call = p->asks[work->index + i].call;
        calls[i] = call_of(p, KIND_CALL, part, work->index + i);
        calls[i].to = call->to;
        calls[i].data = call->data;
    }
    return work->n;
}

static size_t write_links(const struct poll *p, struct rpc_call *calls)
{
    for (size_t i = 0; i < p->n_links; i++) {
        calls[i] = call_of(p, KIND_LINK, PART_FINAL, i);
        calls[i].method = RPC_BLOCK_BY_NUMBER;
        calls[i].block =
            (struct eth_block_ref){.form = ETH_BLOCK_NUMBER, .number = p->links[i].number};
    }
    return p->n_links;
}

static bool room_for(const struct poll *p, uint32_t q, size_t calls)
{
    size_t messages = p->set.peers[q].manners.no_batch ? calls : 1;
    return p->set.s->n_requests + messages + POLL_REQUESTS_SPARE <= SOURCE_REQUESTS_MAX;
}

/* What the peer was to be asked and is not: it counts as not having answered. */
static void drop_work(struct poll *p, uint32_t q)
{
    struct peer *peer = &p->peers[q];

    for (; peer->next_work < peer->n_work; peer->next_work++)
        for (int part = 0; part < PARTS; part++)
            peer->failed[part] = peer->failed[part] || peer->work[peer->next_work].parts[part];
    p->short_of_answers = true;
}

static bool send_work(struct source *s, uint32_t q)
{
    struct poll *p = poll_of(s);
    struct peer *peer = &p->peers[q];
    struct rpc_call calls[RPCSET_CALLS_MAX];
    size_t n = 0;

    while (peer->next_work < peer->n_work && rpcset_alive(&p->set, q) &&
           p->set.peers[q].waiting < POLL_WINDOW_CALLS) {
        const struct work *work = &peer->work[peer->next_work];
        n = work->kind == KIND_MULTI  ? write_multi(p, work, calls)
            : work->kind == KIND_LINK ? write_links(p, calls)
                                      : write_batch(p, work, calls);
        if (!room_for(p, q, n)) {
            drop_work(p, q);
            return true;
        }
        peer->next_work++;
        if (!rpcset_send(&p->set, q, calls, n))
            return false;
    }
    if (!rpcset_alive(&p->set, q))
        peer->next_work = peer->n_work;
    return true;
}

static bool send_all(struct source *s)
{
    struct poll *p = poll_of(s);

    for (uint32_t q = 0; q < rpcset_n(&p->set); q++)
        if (!send_work(s, q))
            return false;
    return true;
}

/* ---- answers ---- */

static void take_said(struct poll *p, uint32_t q, enum part part, size_t index, bool success,
                      struct ms_span data)
{
    const struct source_probe_call *call = p->asks[index].call;
    bool same = success && ms_span_eq(data, part == PART_FINAL ? call->final : call->head);

    if (p->peers[q].said[part] != NULL)
        p->peers[q].said[part][index] = same ? SAID_EXPECTED : SAID_OTHER;
}

static bool decode_multi(struct poll *p, uint32_t q, enum part part, const struct chunk *chunk,
                         struct ms_span data)
{
    struct ms_arena scratch = MS_ARENA_INIT((size_t)8 << 20);
    struct eth_abi_value all;
    bool ok = eth_abi_decode(p->returns, data, &scratch, &all, NULL) == MS_OK &&
              all.items[0].n == chunk->n;

    for (size_t i = 0; ok && i < chunk->n; i++) {
        const struct eth_abi_value *of = all.items[0].items[i].items;
        take_said(p, q, part, chunk->from + i, !eth_word_is_zero(&of[0].word), of[1].bytes);
    }
    ms_arena_done(&scratch);
    return ok;
}

/* An answer that is none of Multicall3's: this endpoint's chain has none, or it says so. */
static void take_multi(struct poll *p, uint32_t q, enum part part, size_t index,
                       const json_t *result)
{
    struct ms_buf data = MS_BUF_INIT(SOURCE_RPC_BODY_MAX_BYTES);
    const struct chunk *chunk = &p->chunks[index];

    if (eth_rpc_result_data(result, &data, NULL) != MS_OK ||
        !decode_multi(p, q, part, chunk, ms_buf_span(&data))) {
        p->lacks_multicall = true;
        (void)add_batches(p->set.s, &p->peers[q], part, chunk);
    } else {
        p->has_multicall = true;
    }
    ms_buf_done(&data);
}

static void take_call(struct poll *p, uint32_t q, enum part part, size_t index,
                      const json_t *result)
{
    struct ms_buf data = MS_BUF_INIT(SOURCE_RPC_BODY_MAX_BYTES);

    if (eth_rpc_result_data(result, &data, NULL) == MS_OK)
        take_said(p, q, part, index, true, ms_buf_span(&data));
    else
        p->peers[q].failed[part] = true;
    ms_buf_done(&data);
}

static void take_link(struct poll *p, uint32_t q, size_t index, const json_t *result)
{
    struct eth_header header;

    p->peers[q].link_ok[index] = eth_header_verify_json(result, &header, NULL) == MS_OK &&
                                 header.number == p->links[index].number &&
                                 eth_hash_eq(&header.hash, &p->links[index].hash);
}

static void cannot_prove(struct poll *p, uint32_t q, enum ms_err err, const struct ms_diag *diag)
{
    p->peers[q].cannot_prove = true;
    p->proof_err = err;
    (void)ms_diag_set(&p->proof_diag, err, "%s: %s", rpcset_provider(&p->set, q)->name,
                      ms_diag_text(diag, err));
}

static void take_proof(struct poll *p, uint32_t q, size_t index, const json_t *result)
{
    struct proof *proof = &p->proofs[index];
    const struct source_probe_account *want = proof->account;
    struct eth_word values[SOURCE_PROBE_SLOTS_MAX];
    struct eth_account account;
    struct ms_diag diag = {0};

    enum ms_err err = eth_proof_verify(result, &p->trusted.final.header.state_root, &want->address,
                                       proof->keys, want->n_slots, &account, values, &diag);
    if (err != MS_OK) {
        cannot_prove(p, q, err, &diag);
        if (err == MS_ERR_PROOF)
            rpcset_kill(&p->set, q, err, &diag); /* a lie ends it everywhere */
        return;
    }
    bool same = eth_hash_eq(&account.code_hash, &want->code_hash);
    for (size_t i = 0; i < want->n_slots; i++)
        same = same && eth_word_eq(&values[i], &want->slots[i].value);
    proof->state = same ? PROOF_SAME : PROOF_OTHER;
}

static void on_result(struct rpcset *set, uint32_t peer, const struct rpc_call *call,
                      const json_t *result)
{
    struct poll *p = set->owner;
    enum part part = (enum part)(call->what >> WHAT_PART_SHIFT & 1);
    size_t index = call->what & WHAT_INDEX_MASK;

    switch ((enum kind)(call->what >> WHAT_KIND_SHIFT)) {
    case KIND_TRUSTED:
        trusted_result(&p->trusted, peer, call, result);
        return;
    case KIND_MULTI:
        take_multi(p, peer, part, index, result);
        return;
    case KIND_CALL:
        take_call(p, peer, part, index, result);
        return;
    case KIND_LINK:
        take_link(p, peer, index, result);
        return;
    case KIND_PROOF:
        take_proof(p, peer, index, result);
        return;
    }
}

static bool on_failed(struct rpcset *set, uint32_t peer, const struct rpc_call *call,
                      enum ms_err err, const struct ms_diag *diag)
{
    struct poll *p = set->owner;
    enum part part = (enum part)(call->what >> WHAT_PART_SHIFT & 1);
    size_t index = call->what & WHAT_INDEX_MASK;

    switch ((enum kind)(call->what >> WHAT_KIND_SHIFT)) {
    case KIND_TRUSTED:
        return false;
    case KIND_MULTI: /* it never reverts when there is gas enough */
        p->peers[peer].failed[part] = true;
        return true;
    case KIND_CALL:
        if (err == MS_ERR_REVERT)
            take_said(p, peer, part, index, false, ms_span_of(NULL, 0));
        else
            p->peers[peer].failed[part] = true;
        return true;
    case KIND_LINK:
        return true;
    case KIND_PROOF:
        cannot_prove(p, peer, err, diag);
        return true;
    }
    return false;
}

/* ---- judging the calls ---- */

static uint32_t groups_saying(const struct poll *p, enum part part, size_t ask, enum said said)
{
    bool counts[SOURCE_PROVIDERS_MAX] = {false};

    for (uint32_t q = 0; q < rpcset_n(&p->set); q++)
        counts[q] = p->peers[q].said[part] != NULL && p->peers[q].said[part][ask] == (uint8_t)said;
    return rpcset_groups(&p->set, counts);
}

/* One call at one block: who fails to answer is not heard, but what was said before counts. */
static enum source_poll_verdict judge_ask(const struct poll *p, enum part part, size_t ask)
{
    uint32_t expected = groups_saying(p, part, ask, SAID_EXPECTED);
    uint32_t other = groups_saying(p, part, ask, SAID_OTHER);

    if (other > 0 && (p->level >= SPEC_LEVEL_L3 || (other >= p->trusted.need && expected == 0)))
        return SOURCE_POLL_CHANGED;
    return other == 0 && expected >= p->trusted.need ? SOURCE_POLL_SAME : SOURCE_POLL_UNKNOWN;
}

static bool linked(const struct poll *p, const struct item *item)
{
    bool counts[SOURCE_PROVIDERS_MAX] = {false};

    if (item->link == POLL_LINK_NONE || item->link == POLL_LINK_MANY)
        return item->link == POLL_LINK_NONE;
    for (uint32_t q = 0; q < rpcset_n(&p->set); q++)
        counts[q] = p->peers[q].link_ok[item->link];
    return rpcset_groups(&p->set, counts) >= p->trusted.need;
}

static enum source_poll_verdict judge_item(const struct poll *p, const struct item *item)
{
    enum source_poll_verdict worst = linked(p, item) ? SOURCE_POLL_SAME : SOURCE_POLL_UNKNOWN;

    for (size_t i = 0; i < item->in.probe->n_calls; i++) {
        for (int part = 0; part < PARTS; part++) {
            if (!wanted(p, (enum part)part))
                continue;
            enum source_poll_verdict v = judge_ask(p, (enum part)part, item->first_ask + i);
            if (v == SOURCE_POLL_CHANGED)
                return v;
            if (v == SOURCE_POLL_UNKNOWN)
                worst = v;
        }
    }
    return worst;
}

static bool unanswered(const struct poll *p, enum part part)
{
    return wanted(p, part) && groups_of(p, part) < p->trusted.need;
}

/* ---- proofs ---- */

static enum ms_err add_proof(struct source *s, uint32_t item,
                             const struct source_probe_account *account)
{
    struct poll *p = poll_of(s);
    struct proof *proof = &p->proofs[p->n_proofs++];

    *proof = (struct proof){.item = item, .account = account};
    proof->keys = ms_arena_alloc(&s->arena, account->n_slots + 1, sizeof(*proof->keys));
    if (proof->keys == NULL)
        return MS_ERR_MEMORY;
    for (size_t i = 0; i < account->n_slots; i++)
        proof->keys[i] = account->slots[i].key;
    return MS_OK;
}

/* A result that was read at L3 has accounts; one without could never be confirmed. */
static enum ms_err list_proofs(struct source *s)
{
    struct poll *p = poll_of(s);
    size_t n = 0;

    for (size_t i = 0; i < p->n_items; i++)
        n += p->items[i].in.probe->n_accounts;
    p->proofs = ms_arena_alloc(&s->arena, n + 1, sizeof(*p->proofs));
    if (p->proofs == NULL)
        return MS_ERR_MEMORY;
    for (uint32_t i = 0; i < p->n_items; i++) {
        const struct source_probe *probe = p->items[i].in.probe;
        if (p->items[i].verdict != SOURCE_POLL_SAME || !p->items[i].in.prove)
            continue;
        for (size_t k = 0; k < probe->n_accounts; k++) {
            enum ms_err err = add_proof(s, i, &probe->accounts[k]);
            if (err != MS_OK)
                return err;
        }
    }
    return MS_OK;
}

static bool can_prove(const struct poll *p, uint32_t q)
{
    return rpcset_alive(&p->set, q) && !p->peers[q].cannot_prove &&
           rpcset_provider(&p->set, q)->proofs == SOURCE_PROOFS_FINALIZED;
}

/* The one that has the least to do; -1 when nobody proves. */
static int next_prover(const struct poll *p)
{
    int best = -1;

    for (uint32_t q = 0; q < rpcset_n(&p->set); q++)
        if (can_prove(p, q) && (best < 0 || p->set.peers[q].waiting < p->set.peers[best].waiting))
            best = (int)q;
    return best;
}

static bool is_open(const struct poll *p, const struct proof *proof)
{
    return proof->state == PROOF_OPEN || (proof->state == PROOF_OUT && !can_prove(p, proof->peer));
}

/* One message of as many proofs as its answer has room for. */
static bool send_proofs(struct source *s, uint32_t q, size_t *next)
{
    struct poll *p = poll_of(s);
    struct rpc_call calls[RPCSET_CALLS_MAX];
    size_t n = 0, bytes = 0;

    for (; *next < p->n_proofs && n < RPCSET_CALLS_MAX; (*next)++) {
        struct proof *proof = &p->proofs[*next];
        if (!is_open(p, proof))
            continue;
        bytes += POLL_PROOF_BYTES + proof->account->n_slots * POLL_SLOT_BYTES;
        if (n > 0 && bytes > SOURCE_RPC_BODY_MAX_BYTES)
            break;
        calls[n] = call_of(p, KIND_PROOF, PART_FINAL, *next);
        calls[n].method = RPC_PROOF;
        calls[n].to = proof->account->address;
        calls[n].n_keys = proof->account->n_slots;
        calls[n++].keys = proof->keys;
        proof->state = PROOF_OUT;
        proof->peer = q;
    }
    return n == 0 || rpcset_send(&p->set, q, calls, n);
}

/* What no request is left for is proven by the next poll. */
static bool send_open_proofs(struct source *s)
{
    struct poll *p = poll_of(s);
    size_t next = 0;

    while (next < p->n_proofs) {
        int q = next_prover(p);
        if (q < 0 || p->set.peers[q].waiting >= POLL_WINDOW_CALLS ||
            !room_for(p, (uint32_t)q, RPCSET_CALLS_MAX))
            return true;
        if (!send_proofs(s, (uint32_t)q, &next))
            return false;
    }
    return true;
}

static void worsen(struct item *item, enum source_poll_verdict verdict)
{
    if (verdict < item->verdict)
        item->verdict = verdict;
}

static void judge_proofs(struct poll *p)
{
    bool nobody = next_prover(p) < 0;

    for (size_t i = 0; i < p->n_items; i++)
        if (!p->items[i].in.prove)
            worsen(&p->items[i], SOURCE_POLL_STANDS);
        else if (p->items[i].in.probe->n_accounts == 0)
            worsen(&p->items[i], SOURCE_POLL_UNPROVEN);
    for (size_t i = 0; i < p->n_proofs; i++) {
        struct item *item = &p->items[p->proofs[i].item];
        if (p->proofs[i].state == PROOF_OTHER)
            worsen(item, SOURCE_POLL_CHANGED);
        else if (p->proofs[i].state != PROOF_SAME)
            worsen(item, nobody ? SOURCE_POLL_UNPROVEN : SOURCE_POLL_STANDS);
    }
}

/* ---- the machine ---- */

static enum source_state start_block(struct source *s)
{
    struct poll *p = poll_of(s);
    struct ms_diag diag = {0};

    p->phase = PHASE_BLOCK;
    p->tries++;
    memset(p->peers, 0, sizeof(p->peers));
    struct trusted fresh = {.has_previous = p->trusted.has_previous,
                            .previous_number = p->trusted.previous_number,
                            .previous_hash = p->trusted.previous_hash};
    p->trusted = fresh;
    enum ms_err err = trusted_init(&p->trusted, &p->set, p->level, &diag);
    if (err != MS_OK)
        return source_fail(s, err, &diag);
    return trusted_ask(&p->trusted);
}

/* What was too much for somebody is asked for in smaller pieces next time. */
static void shrink(struct poll *p)
{
    if (p->hints.chunk_calls > SOURCE_POLL_CHUNK_MIN)
        p->hints.chunk_calls /= 2;
}

static bool others_alive(const struct poll *p)
{
    for (uint32_t q = 0; q < rpcset_n(&p->set); q++)
        if (q != p->trusted.current && rpcset_alive(&p->set, q))
            return true;
    return false;
}

/* L1: the one that was asked is of no use; the next one is asked from the start. */
static enum source_state restart_with_next(struct source *s)
{
    struct poll *p = poll_of(s);

    shrink(p);
    rpcset_killf(&p->set, p->trusted.current, MS_ERR_RPC, "does not answer the poll's calls");
    return start_block(s);
}

static enum source_state end(struct source *s)
{
    struct poll *p = poll_of(s);

    if (p->short_of_answers)
        shrink(p);
    else if (p->tries == 1 && p->hints.chunk_calls < SOURCE_POLL_CHUNK_MAX)
        p->hints.chunk_calls *= 2;
    p->hints.no_multicall = !p->has_multicall && (p->hints.no_multicall || p->lacks_multicall);
    p->phase = PHASE_END;
    s->state = SOURCE_DONE;
    return SOURCE_DONE;
}

static enum source_state after_proofs(struct source *s)
{
    struct poll *p = poll_of(s);

    if (!send_open_proofs(s))
        return SOURCE_FAILED;
    if (p->set.out > 0)
        return SOURCE_WANTS;
    judge_proofs(p);
    return end(s);
}

static enum source_state after_calls(struct source *s)
{
    struct poll *p = poll_of(s);

    if (!ask_peers(s) || !send_all(s))
        return SOURCE_FAILED;
    if (p->set.out > 0)
        return SOURCE_WANTS;
    if (p->level == SPEC_LEVEL_L1 && unanswered(p, PART_FINAL) && others_alive(p))
        return restart_with_next(s);
    /* the newest block may have been replaced in this moment, or not have reached every back end */
    bool no_head = unanswered(p, PART_HEAD) && !unanswered(p, PART_FINAL);
    if (no_head && p->tries < POLL_BLOCK_TRIES)
        return start_block(s);
    p->short_of_answers = p->short_of_answers || no_head || unanswered(p, PART_FINAL);
    p->head_read = p->trusted.head.how != TRUSTED_NOT && !no_head;
    for (size_t i = 0; i < p->n_items; i++)
        p->items[i].verdict = judge_item(p, &p->items[i]);
    if (p->level < SPEC_LEVEL_L3)
        return end(s);
    p->phase = PHASE_PROOF;
    enum ms_err err = list_proofs(s);
    return err == MS_OK ? after_proofs(s) : source_fail(s, err, NULL);
}

/* The block is believed: contracts are asked about it. */
static enum source_state start_calls(struct source *s)
{
    struct poll *p = poll_of(s);

    p->phase = PHASE_CALLS;
    if (!ask_peers(s) || !send_all(s))
        return SOURCE_FAILED;
    /* in a second try there may be no requests left to ask with */
    return p->set.out > 0 ? SOURCE_WANTS : after_calls(s);
}

static enum source_state poll_step(struct source *s, const struct source_response *response,
                                   struct ms_now now)
{
    struct poll *p = poll_of(s);
    (void)now; /* ages are counted from the start */

    if (response == NULL)
        return start_block(s);
    if (!rpcset_hurry(&p->set, response) && !rpcset_take(&p->set, response))
        return SOURCE_WANTS;
    if (s->err != MS_OK)
        return SOURCE_FAILED;
    switch (p->phase) {
    case PHASE_BLOCK:
        if (p->set.out > 0) { /* who says nothing about the blocks is not asked for more */
            if (trusted_enough(&p->trusted))
                rpcset_grace(&p->set);
            return SOURCE_WANTS;
        }
        enum source_state state = trusted_next(&p->trusted);
        return state == SOURCE_DONE ? start_calls(s) : state;
    case PHASE_CALLS:
        if (!send_all(s))
            return SOURCE_FAILED;
        return p->set.out > 0 ? SOURCE_WANTS : after_calls(s);
    case PHASE_PROOF:
        return after_proofs(s);
    case PHASE_END:
        break;
    }
    return SOURCE_FAILED;
}

/* ---- setting up ---- */

static void choose_previous(struct poll *p)
{
    for (size_t i = 0; i < p->n_items; i++) {
        const struct source_poll_item *in = &p->items[i].in;
        if (!in->has_final ||
            (p->trusted.has_previous && in->final_number <= p->trusted.previous_number))
            continue;
        p->trusted.has_previous = true;
        p->trusted.previous_number = in->final_number;
        p->trusted.previous_hash = in->final_hash;
    }
}

/* Items that are not as far have a block of their own that must be in the chain. */
static uint32_t link_of(struct poll *p, const struct source_poll_item *in)
{
    if (!in->has_final || (in->final_number == p->trusted.previous_number &&
                           eth_hash_eq(&in->final_hash, &p->trusted.previous_hash)))
        return POLL_LINK_NONE;
    for (uint32_t i = 0; i < p->n_links; i++)
        if (in->final_number == p->links[i].number &&
            eth_hash_eq(&in->final_hash, &p->links[i].hash))
            return i;
    if (p->n_links == POLL_LINKS_MAX)
        return POLL_LINK_MANY;
    p->links[p->n_links] = (struct link){in->final_number, in->final_hash};
    return (uint32_t)p->n_links++;
}

static enum ms_err take_items(struct source *s, const struct source_poll_item *items, size_t n)
{
    struct poll *p = poll_of(s);
    size_t calls = 0;

    for (size_t i = 0; i < n; i++) {
        if (items[i].probe->n_calls == 0 || items[i].probe->n_calls > SOURCE_PROBE_CALLS_MAX)
            return MS_ERR_ARGUMENT;
        calls += items[i].probe->n_calls;
    }
    if (n == 0 || calls > SOURCE_POLL_CALLS_MAX)
        return MS_ERR_ARGUMENT;
    p->items = ms_arena_alloc(&s->arena, n, sizeof(*p->items));
    p->asks = ms_arena_alloc(&s->arena, calls, sizeof(*p->asks));
    if (p->items == NULL || p->asks == NULL)
        return MS_ERR_MEMORY;
    for (uint32_t i = 0; i < n; i++) {
        p->items[i] = (struct item){.in = items[i], .first_ask = p->n_asks};
        for (size_t k = 0; k < items[i].probe->n_calls; k++)
            p->asks[p->n_asks++] = (struct ask){&items[i].probe->calls[k], i};
    }
    p->n_items = n;
    choose_previous(p);
    for (size_t i = 0; i < n; i++)
        p->items[i].link = link_of(p, &p->items[i].in);
    return MS_OK;
}

static enum ms_err parse_types(struct source *s)
{
    struct poll *p = poll_of(s);

    enum ms_err err =
        eth_abi_params_parse(ms_span_str(MULTICALL_ARGS_AGGREGATE3), &s->arena, &p->args);
    if (err == MS_OK)
        err =
            eth_abi_params_parse(ms_span_str(MULTICALL_RETURNS_AGGREGATE3), &s->arena, &p->returns);
    return err;
}

static enum ms_err init(struct source *s, uint64_t chain, const struct source_poll_item *items,
                        size_t n, const struct source_poll_hints *hints, struct ms_diag *diag)
{
    struct poll *p = ms_arena_alloc(&s->arena, 1, sizeof(*p));
    struct trusted probe = {0};

    if (p == NULL)
        return MS_ERR_MEMORY;
    s->kind_state = p;
    s->step = poll_step;
    p->level = s->policy.level;
    p->hints = *hints;
    if (p->hints.chunk_calls < SOURCE_POLL_CHUNK_MIN ||
        p->hints.chunk_calls > SOURCE_POLL_CHUNK_MAX)
        p->hints.chunk_calls = SOURCE_POLL_CHUNK_MAX;
    if (p->level < SPEC_LEVEL_L1 || p->level > SPEC_LEVEL_L3)
        return ms_diag_set(diag, MS_ERR_LEVEL, "read level %s is not available",
                           spec_level_name(p->level));
    p->set.result = on_result;
    p->set.failed = on_failed;
    p->set.owner = p;
    enum ms_err err = rpcset_init(&p->set, s, chain, diag);
    p->set.message_max_bytes = POLL_MESSAGE_MAX_BYTES;
    if (err == MS_OK)
        err = trusted_init(&probe, &p->set, p->level, diag);
    if (err == MS_OK)
        err = parse_types(s);
    if (err == MS_OK)
        err = take_items(s, items, n);
    return err == MS_OK ? make_chunks(s) : err;
}

enum ms_err source_poll_new(uint64_t chain, const struct source_policy *policy,
                            const struct source_poll_item *items, size_t n,
                            const struct source_poll_hints *hints, struct ms_now now,
                            struct source **ret_poll, struct ms_diag *diag)
{
    struct source *s = source_begin(NULL, policy, POLL_ARENA_MAX_BYTES, now.wall_s);
    if (s == NULL)
        return MS_ERR_MEMORY;
    return source_made(s, init(s, chain, items, n, hints, diag), ret_poll);
}

/* ---- the outcome ---- */

bool source_poll_no_block(const struct source *s)
{
    const struct poll *p = poll_of(s);
    return s->state == SOURCE_FAILED && p->phase == PHASE_BLOCK && p->tries == 1;
}

enum source_poll_verdict source_poll_verdict(const struct source *s, size_t item,
                                             enum ms_err *ret_err, struct ms_diag *ret_diag)
{
    const struct poll *p = poll_of(s);

    if (s->state != SOURCE_DONE || item >= p->n_items)
        return SOURCE_POLL_UNKNOWN;
    if (p->items[item].verdict == SOURCE_POLL_UNPROVEN) {
        *ret_err = p->proof_err;
        *ret_diag = p->proof_diag;
        if (p->proof_err == MS_OK)
            *ret_err = ms_diag_set(ret_diag, MS_ERR_LEVEL,
                                   "level l3 needs an endpoint that proves finalized state (proofs "
                                   "= finalized)");
    }
    return p->items[item].verdict;
}

struct source_block source_poll_final(const struct source *s)
{
    const struct poll *p = poll_of(s);
    const struct eth_header *header = &p->trusted.final.header;

    return (struct source_block){.chain = p->set.chain,
                                 .number = header->number,
                                 .hash = header->hash,
                                 .time_s = (int64_t)header->timestamp_s};
}

bool source_poll_head(const struct source *s, uint64_t *ret_number)
{
    const struct poll *p = poll_of(s);

    if (p->head_read)
        *ret_number = p->trusted.head.header.number;
    return p->head_read;
}

int64_t source_poll_head_time(const struct source *s)
{
    const struct trusted *t = &poll_of(s)->trusted;
    int64_t final_s = (int64_t)t->final.header.timestamp_s;
    int64_t head_s = t->head.how != TRUSTED_NOT ? (int64_t)t->head.header.timestamp_s : 0;
    return head_s > final_s ? head_s : final_s;
}

struct source_poll_hints source_poll_hints(const struct source *s)
{
    return poll_of(s)->hints;
}
