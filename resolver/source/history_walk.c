/* resolver/source/history_walk.c - back, block by block.
 *
 * The lowest operation of a block is open until the one before it is known: only then can its hash
 * be computed. Both come from the same endpoint, so that a link that does not hold is that
 * endpoint's doing; whoever takes over begins with the open one again. */
#include "resolver/source/history_walk.h"

#include "contracts-abi/registry_abi.h"
#include "resolver/source/rpcset.h"

#include <stdlib.h>

#define WALK_ARENA_MAX_BYTES ((size_t)16 << 20)
#define WALK_SCRATCH_MAX_BYTES ((size_t)8 << 20) /* of one answer, decoded */
/* Room for one more answer is always left: each has ETH_RPC_LOGS_MAX logs at most. */
#define WALK_FOUND_MAX (2u * ETH_RPC_LOGS_MAX)

enum { WHAT_LOGS = 1 };

static const struct eth_hash topic = REGISTRY_EVENT_HISTORY_APPENDED;

struct complaint {
    bool is;
    enum history_fault fault;
    struct ms_diag diag;
};

struct walk {
    struct history_walk in;
    struct rpcset set;
    struct history_at at; /* the newest that is not found yet; its hash is proven */
    bool has_open;        /* its log is at hand, and the block before is asked for */
    struct registry_event open;
    uint32_t peer;
    bool has_peer, answered;
    bool done[SOURCE_PROVIDERS_MAX]; /* of no use for this walk */
    struct complaint complaints[SOURCE_PROVIDERS_MAX];
    size_t n_blocks, n_found, bytes;
    struct history_found *found; /* WALK_FOUND_MAX */
    struct eth_log_filter filter;
};

static struct walk *walk_of(const struct source *s)
{
    return s->kind_state;
}

/* ---- asking ---- */

/* The operation that must come next, and its block. */
static struct history_at wanted(const struct walk *w)
{
    if (!w->has_open)
        return w->at;
    return (struct history_at){.sequence = w->open.sequence - 1, .block = w->open.prev_block};
}

static bool can_ask(const struct walk *w, uint32_t peer)
{
    return rpcset_alive(&w->set, peer) && !w->done[peer];
}

/* The one that was asked before, as long as it is of use. */
static bool pick_peer(struct walk *w)
{
    uint32_t n = rpcset_n(&w->set), first = w->has_peer ? w->peer : w->in.first_provider % n;

    for (uint32_t i = 0; i < n; i++) {
        uint32_t peer = (first + i) % n;
        if (!can_ask(w, peer))
            continue;
        if (w->has_peer && peer != w->peer)
            w->has_open = false;
        w->peer = peer;
        w->has_peer = true;
        return true;
    }
    return false;
}

static enum source_state ask(struct source *s)
{
    struct walk *w = walk_of(s);
    struct eth_block_ref block = {.form = ETH_BLOCK_NUMBER, .number = wanted(w).block};

    w->filter = (struct eth_log_filter){.has_address = true,
                                        .address = s->spec->address,
                                        .from = block,
                                        .to = block,
                                        .any = &topic,
                                        .n_any = 1};
    struct rpc_call call = {
        .method = RPC_LOGS, .what = WHAT_LOGS, .hint = true, .logs = &w->filter};
    w->answered = false;
    w->n_blocks++;
    return rpcset_send(&w->set, w->peer, &call, 1) ? SOURCE_WANTS : SOURCE_FAILED;
}

/* ---- the end ---- */

static enum ms_err first_complaint(const struct walk *w, enum ms_err err, struct ms_diag *ret)
{
    for (uint32_t p = 0; p < rpcset_n(&w->set); p++) {
        const struct complaint *c = &w->complaints[p];
        const struct rpc_peer *peer = &w->set.peers[p];
        if (!c->is && !peer->dead)
            continue;
        return ms_diag_set(ret, err, "no endpoint gives the logs of block %llu; %s: %s",
                           (unsigned long long)wanted(w).block, rpcset_provider(&w->set, p)->name,
                           c->is ? c->diag.text : peer->diag.text);
    }
    return ms_diag_set(ret, err, "no endpoint can be asked for the logs of block %llu now",
                       (unsigned long long)wanted(w).block);
}

/* What was found is of use whatever happens now. */
static enum source_state give_up(struct source *s)
{
    struct walk *w = walk_of(s);
    struct ms_diag diag = {0};

    if (w->n_found > 0)
        return SOURCE_DONE;
    enum ms_err err = first_complaint(w, MS_ERR_UNAVAILABLE, &diag);
    return source_fail(s, err, &diag);
}

static enum source_state next(struct source *s)
{
    struct walk *w = walk_of(s);

    if (s->err != MS_OK)
        return SOURCE_FAILED;
    if (w->at.sequence == 0)
        return SOURCE_DONE;
    if (w->n_found > 0 && (w->n_blocks >= w->in.max_blocks || w->bytes >= HISTORY_WALK_BYTES_MAX ||
                           w->n_found >= WALK_FOUND_MAX - ETH_RPC_LOGS_MAX - 1))
        return SOURCE_DONE;
    return pick_peer(w) ? ask(s) : give_up(s);
}

/* ---- answers ---- */

/* An endpoint that has no logs of a block may have dropped them; one whose logs are wrong lies, if
 * the contract cannot have logged them so. */
static void complain(struct source *s, enum history_fault fault, const struct ms_diag *diag)
{
    struct walk *w = walk_of(s);

    w->done[w->peer] = true;
    w->complaints[w->peer] = (struct complaint){.is = true, .fault = fault, .diag = *diag};
    if (w->in.known_code && fault != HISTORY_FAULT_NONE && fault != HISTORY_FAULT_MISSING)
        s->lied[w->peer] = true;
}

/* In the arena; false when it is full. */
static bool keep(struct source *s, const struct registry_event *event,
                 struct registry_event *ret_event)
{
    const char *data = ms_arena_strdup(&s->arena, event->data);

    if (data == NULL)
        return false;
    *ret_event = *event;
    ret_event->data = ms_span_of(data, event->data.len);
    walk_of(s)->bytes += sizeof(struct history_found) + event->data.len;
    return true;
}

static bool add_found(struct source *s, const struct registry_event *event,
                      const struct eth_hash *before)
{
    struct walk *w = walk_of(s);
    struct history_found *found = &w->found[w->n_found];

    if (w->n_found == WALK_FOUND_MAX || !keep(s, event, &found->event)) {
        (void)source_fail(s, MS_ERR_LIMIT, NULL);
        return false;
    }
    found->before = *before;
    found->provider = w->peer;
    w->n_found++;
    return true;
}

/* All of the block that was asked for, and none that lies before it. */
static enum ms_err check_block(const struct registry_event *events, size_t n, uint64_t block,
                               struct history_break *ret_break, struct ms_diag *diag)
{
    char name[HISTORY_NAME_MAX_BYTES];

    for (size_t i = 0; i < n; i++) {
        if (events[i].block == block)
            continue;
        *ret_break = (struct history_break){HISTORY_FAULT_ALTERED, events[i].sequence};
        history_name(&events[i], name);
        return ms_diag_set(diag, MS_ERR_COMMITMENT, "%s: logs of block %llu were asked for", name,
                           (unsigned long long)block);
    }
    if (n == 0 || events[0].sequence == 1 || events[0].prev_block < block)
        return MS_OK;
    bool same = events[0].prev_block == block; /* then it must be among these */
    *ret_break = (struct history_break){same ? HISTORY_FAULT_MISSING : HISTORY_FAULT_ALTERED,
                                        events[0].sequence - same};
    history_name(&events[0], name);
    return ms_diag_set(
        diag, MS_ERR_COMMITMENT,
        "operation %llu (block %llu): its log is missing; %s names block %llu as that "
        "of the one before",
        (unsigned long long)events[0].sequence - 1, (unsigned long long)events[0].prev_block, name,
        (unsigned long long)events[0].prev_block);
}

/* The events of the answer, and behind them the open one, which they close. */
struct answer {
    struct ms_arena arena;
    struct registry_event *events; /* n, and the open one */
    size_t n;
};

/* Of a block that was asked for before, or in an earlier walk, the upper ones are proven already.
 */
static size_t without_known(const struct walk *w, const struct registry_event *events, size_t n)
{
    while (!w->has_open && n > 0 && events[n - 1].sequence > w->at.sequence &&
           events[n - 1].sequence <= w->in.newest)
        n--;
    return n;
}

static enum ms_err read_answer(struct source *s, const json_t *result, struct answer *a,
                               struct history_break *ret_break, struct ms_diag *diag)
{
    struct walk *w = walk_of(s);
    struct history_at last = wanted(w);
    struct registry_event *events = NULL;
    struct eth_log *logs = NULL;
    size_t n_logs = 0, n = 0;

    enum ms_err err = eth_rpc_result_logs(result, &a->arena, &logs, &n_logs, diag);
    if (err != MS_OK) { /* not even logs */
        ret_break->fault = HISTORY_FAULT_NONE;
        return err;
    }
    err = history_events(logs, n_logs, &s->spec->address, &last, &a->arena, &events, &n, ret_break,
                         diag);
    if (err == MS_OK)
        n = without_known(w, events, n);
    if (err == MS_OK && n == 0)
        err = history_links(NULL, 0, &last, false, ret_break, diag);
    if (err == MS_OK)
        err = check_block(events, n, last.block, ret_break, diag);
    if (err != MS_OK)
        return err;
    a->events = ms_arena_alloc(&a->arena, n + 1, sizeof(*a->events));
    if (a->events == NULL)
        return MS_ERR_MEMORY;
    memcpy(a->events, events, n * sizeof(*events));
    a->n = n;
    if (!w->has_open)
        return history_links(a->events, n, &last, false, ret_break, diag);
    a->events[n] = w->open;
    return history_links(a->events, n + 1, &w->at, false, ret_break, diag);
}

static bool is_until(const struct walk *w, const struct registry_event *event)
{
    return w->in.until.sequence != 0 && event->sequence == w->in.until.sequence;
}

static void stored_otherwise(struct source *s, uint64_t sequence)
{
    (void)source_failf(s, MS_ERR_CONFLICT, "operation %llu: another one is stored under its number",
                       (unsigned long long)sequence);
}

/* From the top down; the lowest stays open, unless it is the first of all. */
static void take_events(struct source *s, const struct registry_event *events, size_t n)
{
    struct walk *w = walk_of(s);
    static const struct eth_hash none;

    for (size_t i = n; i-- > 1;) {
        const struct registry_event *below = &events[i - 1];
        if (!add_found(s, &events[i], &below->history_hash))
            return;
        w->at = (struct history_at){below->sequence, below->block, below->history_hash};
        if (!is_until(w, below))
            continue;
        if (eth_hash_eq(&below->history_hash, &w->in.until.hash))
            w->at = (struct history_at){0};
        else
            stored_otherwise(s, below->sequence);
        w->has_open = false;
        return;
    }
    w->has_open = events[0].sequence > 1;
    if (w->has_open) {
        if (!keep(s, &events[0], &w->open))
            (void)source_fail(s, MS_ERR_LIMIT, NULL);
        return;
    }
    if (add_found(s, &events[0], &none))
        w->at = (struct history_at){0};
}

/* The open operation may follow on the one that is known: then its block need not be asked for. */
static void meet_known(struct source *s)
{
    struct walk *w = walk_of(s);

    if (!w->has_open || w->open.sequence != w->in.until.sequence + 1 || w->in.until.sequence == 0)
        return;
    struct eth_hash hash = registry_history_hash(&w->in.until.hash, &w->open);
    if (!eth_hash_eq(&hash, &w->at.hash))
        return; /* the log is wrong, or what is known: the block before will tell */
    if (add_found(s, &w->open, &w->in.until.hash))
        w->at = (struct history_at){0};
    w->has_open = false;
}

static void on_result(struct rpcset *set, uint32_t peer, const struct rpc_call *call,
                      const json_t *result)
{
    struct source *s = set->s;
    struct walk *w = walk_of(s);
    struct answer a = {.arena = MS_ARENA_INIT(WALK_SCRATCH_MAX_BYTES)};
    struct history_break found = {0};
    struct ms_diag diag = {0};

    (void)peer;
    (void)call;
    w->answered = true;
    enum ms_err err = read_answer(s, result, &a, &found, &diag);
    if (err == MS_ERR_MEMORY)
        (void)source_fail(s, err, NULL);
    else if (err != MS_OK && found.fault == HISTORY_FAULT_ORDER)
        (void)source_fail(s, err, &diag); /* the contract's own words: nobody has others */
    else if (err != MS_OK)
        complain(s, found.fault, &diag);
    else
        take_events(s, a.events, a.n + w->has_open);
    if (err == MS_OK && s->err == MS_OK)
        meet_known(s);
    ms_arena_done(&a.arena);
}

/* An error of its own to this question is no reason not to ask it others. */
static bool on_failed(struct rpcset *set, uint32_t peer, const struct rpc_call *call,
                      enum ms_err err, const struct ms_diag *diag)
{
    struct walk *w = walk_of(set->s);

    (void)peer;
    (void)call;
    if (err != MS_ERR_RPC)
        return false;
    w->answered = true;
    complain(set->s, HISTORY_FAULT_NONE, diag);
    return true;
}

static enum source_state step(struct source *s, const struct source_response *response,
                              struct ms_now now)
{
    struct walk *w = walk_of(s);

    (void)now;
    if (response != NULL && !rpcset_take(&w->set, response))
        return SOURCE_WANTS;
    return response != NULL && w->set.out > 0 ? SOURCE_WANTS : next(s);
}

/* ---- beginning ---- */

/* There block.number is that of the chain below (ethereum.md 3.5). */
static bool foreign_numbers(uint64_t chain)
{
    static const uint64_t arbitrum[] = {42161, 42170, 421614};

    for (size_t i = 0; i < MS_ARRAY_LEN(arbitrum); i++)
        if (chain == arbitrum[i])
            return true;
    return false;
}

static enum ms_err init(struct source *s, const struct history_walk *in, struct ms_diag *diag)
{
    struct walk *w = ms_arena_alloc(&s->arena, 1, sizeof(*w));

    if (foreign_numbers(s->spec->chain))
        return ms_diag_set(diag, MS_ERR_UNSUPPORTED,
                           "on chain %llu a contract sees other block numbers than its logs have: "
                           "its history cannot be walked",
                           (unsigned long long)s->spec->chain);
    if (in->from.sequence > HISTORY_OPERATIONS_MAX)
        return ms_diag_set(diag, MS_ERR_LIMIT, "%llu operations, the limit is %u",
                           (unsigned long long)in->from.sequence, HISTORY_OPERATIONS_MAX);
    if (in->until.sequence >= in->from.sequence)
        return ms_diag_set(
            diag, MS_ERR_CONFLICT, "operation %llu is stored, the proven state has only %llu",
            (unsigned long long)in->until.sequence, (unsigned long long)in->from.sequence);
    if (w == NULL)
        return MS_ERR_MEMORY;
    w->found = ms_arena_alloc(&s->arena, WALK_FOUND_MAX, sizeof(*w->found));
    if (w->found == NULL)
        return MS_ERR_MEMORY;
    w->in = *in;
    if (w->in.max_blocks == 0)
        w->in.max_blocks = HISTORY_WALK_BLOCKS_MAX;
    if (w->in.newest < in->from.sequence)
        w->in.newest = in->from.sequence;
    w->at = in->from;
    s->kind_state = w;
    s->step = step;
    w->set.owner = w;
    w->set.result = on_result;
    w->set.failed = on_failed;
    return rpcset_init(&w->set, s, s->spec->chain, diag);
}

enum ms_err source_walk_new(const struct spec *spec, const struct source_policy *policy,
                            const struct history_walk *walk, struct ms_now now,
                            struct source **ret_walk, struct ms_diag *diag)
{
    struct source *s = source_begin(spec, policy, WALK_ARENA_MAX_BYTES, now.wall_s);

    if (s == NULL)
        return MS_ERR_MEMORY;
    return source_made(s, init(s, walk, diag), ret_walk);
}

/* ---- the outcome ---- */

size_t source_walk_found(const struct source *s, const struct history_found **ret_found)
{
    *ret_found = walk_of(s)->found;
    return walk_of(s)->n_found;
}

struct history_at source_walk_next(const struct source *s)
{
    return walk_of(s)->at;
}

bool source_walk_complaint(const struct source *s, uint32_t provider, enum history_fault *ret_fault,
                           struct ms_diag *ret_diag)
{
    const struct walk *w = walk_of(s);

    if (provider >= SOURCE_PROVIDERS_MAX || !w->complaints[provider].is)
        return false;
    *ret_fault = w->complaints[provider].fault;
    *ret_diag = w->complaints[provider].diag;
    return true;
}
