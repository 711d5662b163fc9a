/* resolver/source/log_walk.c - forward, window by window. */
#include "resolver/source/log_walk.h"

#include "contracts-abi/common_abi.h"
#include "contracts-abi/dstack_abi.h"
#include "contracts-abi/flashtestations_abi.h"
#include "contracts-abi/safe_abi.h"
#include "contracts-abi/timelock_abi.h"
#include "resolver/source/rpcset.h"

#include <stdlib.h>

#define WALK_ARENA_MAX_BYTES ((size_t)16 << 20)
#define WALK_SCRATCH_MAX_BYTES ((size_t)8 << 20)
#define WALK_BYTES_MAX ((size_t)4 << 20) /* of what one walk has found */

enum { WHAT_LOGS = 1 };

struct walk {
    struct log_walk in;
    struct rpcset set;
    uint64_t next, end; /* the window that is asked for */
    uint64_t window;
    uint32_t peer;
    bool has_peer;
    bool done[SOURCE_PROVIDERS_MAX]; /* of no use for this walk */
    struct ms_diag why[SOURCE_PROVIDERS_MAX];
    size_t n_requests, n_found, n_ranges, bytes;
    struct log_walk_found *found; /* LOG_WALK_FOUND_MAX */
    struct log_walk_range ranges[LOG_WALK_REQUESTS_MAX];
    struct eth_log_filter filter;
};

static struct walk *walk_of(const struct source *s)
{
    return s->kind_state;
}

/* ---- asking ---- */

static bool pick_peer(struct walk *w)
{
    uint32_t n = rpcset_n(&w->set), first = w->has_peer ? w->peer : w->in.first_provider % n;

    for (uint32_t i = 0; i < n; i++) {
        uint32_t peer = (first + i) % n;
        if (!rpcset_alive(&w->set, peer) || w->done[peer])
            continue;
        if (!w->has_peer || peer != w->peer) /* what it would not take another one may */
            w->window = w->in.window;
        w->peer = peer;
        w->has_peer = true;
        return true;
    }
    return false;
}

static enum source_state ask(struct source *s)
{
    struct walk *w = walk_of(s);
    uint64_t left = w->in.to - w->next;

    w->end = w->window - 1 < left ? w->next + w->window - 1 : w->in.to;
    w->filter = (struct eth_log_filter){
        .has_address = true,
        .address = s->spec->address,
        .other = s->spec->has_kms ? &s->spec->kms : NULL,
        .from = {.form = ETH_BLOCK_NUMBER, .number = w->next},
        .to = {.form = ETH_BLOCK_NUMBER, .number = w->end},
    };
    struct rpc_call call = {
        .method = RPC_LOGS, .what = WHAT_LOGS, .hint = true, .logs = &w->filter};
    w->n_requests++;
    return rpcset_send(&w->set, w->peer, &call, 1) ? SOURCE_WANTS : SOURCE_FAILED;
}

static enum source_state give_up(struct source *s)
{
    struct walk *w = walk_of(s);

    if (w->n_ranges > 0)
        return SOURCE_DONE;
    for (uint32_t p = 0; p < rpcset_n(&w->set); p++) {
        const char *why = w->done[p] ? w->why[p].text : w->set.peers[p].diag.text;
        if (w->done[p] || w->set.peers[p].dead)
            return source_failf(
                s, MS_ERR_UNAVAILABLE, "no endpoint gives the logs of block %llu; %s: %s",
                (unsigned long long)w->next, rpcset_provider(&w->set, p)->name, why);
    }
    return source_failf(s, MS_ERR_UNAVAILABLE, "no endpoint can be asked for logs now");
}

static enum source_state next(struct source *s)
{
    struct walk *w = walk_of(s);

    if (s->err != MS_OK)
        return SOURCE_FAILED;
    if (w->next > w->in.to)
        return SOURCE_DONE;
    if (w->n_ranges > 0 && (w->n_requests >= LOG_WALK_REQUESTS_MAX || w->bytes >= WALK_BYTES_MAX ||
                            w->n_found >= LOG_WALK_FOUND_MAX - ETH_RPC_LOGS_MAX))
        return SOURCE_DONE;
    return pick_peer(w) && w->n_requests < SOURCE_REQUESTS_MAX / 2 ? ask(s) : give_up(s);
}

/* ---- answers ---- */

static void peer_done(struct walk *w, const struct ms_diag *why)
{
    w->done[w->peer] = true;
    w->why[w->peer] = *why;
}

/* A smaller window may do where a large one was refused, or has too much in it. */
static void narrow(struct walk *w, const struct ms_diag *why)
{
    if (w->window > 1)
        w->window /= 2;
    else
        peer_done(w, why);
}

static bool is_ours(const struct source *s, const struct eth_log *log)
{
    return eth_addr_eq(&log->address, &s->spec->address) ||
           (s->spec->has_kms && eth_addr_eq(&log->address, &s->spec->kms));
}

/* In its window, in order: what is not is no answer to the question. */
static bool in_order(const struct source *s, const struct eth_log *logs, size_t n)
{
    const struct walk *w = walk_of(s);

    for (size_t i = 0; i < n; i++) {
        const struct eth_log *log = &logs[i], *before = i == 0 ? NULL : log - 1;
        if (log->block < w->next || log->block > w->end || !is_ours(s, log))
            return false;
        if (before != NULL && (before->block > log->block ||
                               (before->block == log->block && before->index >= log->index)))
            return false;
    }
    return true;
}

static bool keep(struct source *s, const struct eth_log *log)
{
    struct walk *w = walk_of(s);
    const char *data = ms_arena_strdup(&s->arena, log->data);

    if (data == NULL || w->n_found == LOG_WALK_FOUND_MAX)
        return false;
    struct log_walk_found *found = &w->found[w->n_found++];
    *found = (struct log_walk_found){.log = *log, .provider = w->peer};
    found->log.data = ms_span_of(data, log->data.len);
    w->bytes += sizeof(*found) + log->data.len;
    return true;
}

static void take_logs(struct source *s, const struct eth_log *logs, size_t n)
{
    struct walk *w = walk_of(s);

    for (size_t i = 0; i < n; i++) {
        if (keep(s, &logs[i]))
            continue;
        (void)source_fail(s, MS_ERR_LIMIT, NULL);
        return;
    }
    w->ranges[w->n_ranges++] = (struct log_walk_range){w->next, w->end, n, w->peer};
    w->next = w->end + 1;
}

static void on_result(struct rpcset *set, uint32_t peer, const struct rpc_call *call,
                      const json_t *result)
{
    struct source *s = set->s;
    struct walk *w = walk_of(s);
    struct ms_arena scratch = MS_ARENA_INIT(WALK_SCRATCH_MAX_BYTES);
    struct ms_diag diag = {0};
    struct eth_log *logs = NULL;
    size_t n = 0;

    (void)peer;
    (void)call;
    enum ms_err err = eth_rpc_result_logs(result, &scratch, &logs, &n, &diag);
    if (err == MS_ERR_LIMIT || err == MS_ERR_MEMORY) {
        narrow(w, &diag);
    } else if (err != MS_OK) {
        peer_done(w, &diag);
    } else if (!in_order(s, logs, n)) {
        (void)ms_diag_set(&diag, MS_ERR_RPC_SHAPE,
                          "logs that were not asked for, or not in their order");
        peer_done(w, &diag);
    } else if (w->n_ranges < LOG_WALK_REQUESTS_MAX) {
        take_logs(s, logs, n);
    }
    ms_arena_done(&scratch);
}

static bool on_failed(struct rpcset *set, uint32_t peer, const struct rpc_call *call,
                      enum ms_err err, const struct ms_diag *diag)
{
    (void)peer;
    (void)call;
    if (err != MS_ERR_RPC && err != MS_ERR_TOO_LARGE && err != MS_ERR_LIMIT)
        return false;
    narrow(walk_of(set->s), diag);
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

/* ---- life ---- */

static enum ms_err init(struct source *s, const struct log_walk *in, struct ms_diag *diag)
{
    struct walk *w = ms_arena_alloc(&s->arena, 1, sizeof(*w));

    if (in->to < in->from)
        return ms_diag_set(diag, MS_ERR_ARGUMENT, "no blocks to search");
    if (w == NULL)
        return MS_ERR_MEMORY;
    w->found = ms_arena_alloc(&s->arena, LOG_WALK_FOUND_MAX, sizeof(*w->found));
    if (w->found == NULL)
        return MS_ERR_MEMORY;
    w->in = *in;
    if (w->in.window == 0)
        w->in.window = LOG_WALK_WINDOW;
    w->window = w->in.window;
    w->next = in->from;
    s->kind_state = w;
    s->step = step;
    w->set.owner = w;
    w->set.result = on_result;
    w->set.failed = on_failed;
    return rpcset_init(&w->set, s, s->spec->chain, diag);
}

enum ms_err source_log_walk_new(const struct spec *spec, const struct source_policy *policy,
                                const struct log_walk *walk, struct ms_now now,
                                struct source **ret_walk, struct ms_diag *diag)
{
    struct source *s = source_begin(spec, policy, WALK_ARENA_MAX_BYTES, now.wall_s);

    if (s == NULL)
        return MS_ERR_MEMORY;
    enum ms_err err = init(s, walk, diag);
    if (err != MS_OK) {
        source_free(s);
        return err;
    }
    *ret_walk = s;
    return MS_OK;
}

size_t source_log_walk_found(const struct source *s, const struct log_walk_found **ret_found)
{
    *ret_found = walk_of(s)->found;
    return walk_of(s)->n_found;
}

size_t source_log_walk_ranges(const struct source *s, const struct log_walk_range **ret_ranges)
{
    *ret_ranges = walk_of(s)->ranges;
    return walk_of(s)->n_ranges;
}

uint64_t source_log_walk_next(const struct source *s, uint64_t *ret_window)
{
    *ret_window = walk_of(s)->window;
    return walk_of(s)->next;
}

/* ---- names ---- */

#define COMMON_ROW(name) {COMMON_EVENT_##name, COMMON_EVENT_TEXT_##name},
#define DSTACK_ROW(name) {DSTACK_EVENT_##name, DSTACK_EVENT_TEXT_##name},
#define FLASHTESTATIONS_ROW(name) {FLASHTESTATIONS_EVENT_##name, FLASHTESTATIONS_EVENT_TEXT_##name},
#define SAFE_ROW(name) {SAFE_EVENT_##name, SAFE_EVENT_TEXT_##name},
#define TIMELOCK_ROW(name) {TIMELOCK_EVENT_##name, TIMELOCK_EVENT_TEXT_##name},

const char *log_event_name(const struct eth_hash *topic)
{
    static const struct {
        struct eth_hash topic;
        const char *text;
    } all[] = {COMMON_EVENT_ALL(COMMON_ROW) DSTACK_EVENT_ALL(DSTACK_ROW) FLASHTESTATIONS_EVENT_ALL(
        FLASHTESTATIONS_ROW) SAFE_EVENT_ALL(SAFE_ROW) TIMELOCK_EVENT_ALL(TIMELOCK_ROW)};

    for (size_t i = 0; i < MS_ARRAY_LEN(all); i++)
        if (eth_hash_eq(&all[i].topic, topic))
            return all[i].text;
    return NULL;
}
