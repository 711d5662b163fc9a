/* resolver/source/log_walk.c - forward, window by window. */
#include "resolver/source/log_walk.h"

#include "resolver/source/block_check.h"
#include "resolver/source/first_code.h"

#include <stdio.h>

#define WALK_ARENA_MAX_BYTES ((size_t)24 << 20)
#define WALK_SCRATCH_MAX_BYTES ((size_t)8 << 20)
#define WALK_BYTES_MAX ((size_t)4 << 20) /* of what one walk has found */
#define REQUESTS_MAX (SOURCE_REQUESTS_MAX / 2)
/* Each has taken one request at least, and REQUESTS_MAX holds for all. */
#define CHECKS_MAX REQUESTS_MAX

enum { WHAT_LOGS = 1 };

struct complaint {
    enum log_fault fault;
    struct ms_diag diag;
};

struct walk {
    struct log_walk in;
    struct rpcset set;
    uint64_t next, end; /* the window that is asked for */
    uint64_t window;
    bool narrowed; /* somebody would not take as many blocks, or has too much in them */
    uint32_t peer;
    bool has_peer;
    bool done[SOURCE_PROVIDERS_MAX]; /* of no use for this walk */
    struct complaint complaints[SOURCE_PROVIDERS_MAX];
    size_t n_requests, n_found, n_ranges, n_checks, bytes;
    struct log_walk_found *found; /* LOG_WALK_FOUND_MAX */
    struct log_walk_range ranges[LOG_WALK_WINDOWS_MAX];
    struct log_walk_check *checks; /* CHECKS_MAX */
    struct eth_log_filter filter;
    /* the window that was answered, its logs behind those found: */
    bool checking;
    struct eth_log *told;
    size_t n_told, at; /* at: the first of the block under way */
    size_t n_block;    /* logs of that block; 0: it is not begun */
    size_t n_checked;  /* checks of this window */
    struct block_check check;
    /* where it begins */
    bool seeking, seeking_other;
    struct first_code search;
};

static struct walk *walk_of(const struct source *s)
{
    return s->kind_state;
}

/* ---- endpoints ---- */

static void complain(struct source *s, uint32_t peer, enum log_fault fault,
                     const struct ms_diag *diag)
{
    struct complaint *c = &walk_of(s)->complaints[peer];

    s->lied[peer] = s->lied[peer] || fault == LOG_FAULT_WRONG;
    if (fault > c->fault)
        *c = (struct complaint){fault, *diag};
}

static void peer_done(struct source *s, enum log_fault fault, const struct ms_diag *why)
{
    struct walk *w = walk_of(s);

    w->done[w->peer] = true;
    complain(s, w->peer, fault, why);
}

/* A smaller window may do where a large one was refused, or has too much in it. */
static void narrow(struct source *s, const struct ms_diag *why)
{
    struct walk *w = walk_of(s);

    w->narrowed = true;
    if (w->window > 1)
        w->window /= 2;
    else
        peer_done(s, LOG_FAULT_REFUSED, why);
}

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

static enum source_state give_up(struct source *s)
{
    struct walk *w = walk_of(s);

    if (w->n_ranges > 0)
        return SOURCE_DONE;
    for (uint32_t p = 0; p < rpcset_n(&w->set); p++) {
        const char *why = w->done[p] ? w->complaints[p].diag.text : w->set.peers[p].diag.text;
        if (w->done[p] || w->set.peers[p].dead)
            return source_failf(
                s, MS_ERR_UNAVAILABLE, "no endpoint gives the logs of block %llu; %s: %s",
                (unsigned long long)w->next, rpcset_provider(&w->set, p)->name, why);
    }
    return source_failf(s, MS_ERR_UNAVAILABLE, "no endpoint can be asked for logs now");
}

/* ---- windows ---- */

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

static enum source_state next_window(struct source *s)
{
    struct walk *w = walk_of(s);

    if (w->next > w->in.to)
        return SOURCE_DONE;
    if (w->n_ranges > 0 &&
        (w->n_ranges == LOG_WALK_WINDOWS_MAX || w->n_requests >= LOG_WALK_REQUESTS_MAX ||
         w->bytes >= WALK_BYTES_MAX || w->n_found >= LOG_WALK_FOUND_MAX - ETH_RPC_LOGS_MAX))
        return SOURCE_DONE;
    return pick_peer(w) && w->n_requests < REQUESTS_MAX ? ask(s) : give_up(s);
}

/* Logs before `n` of the window that was answered are found, and its blocks up to this one
 * searched. */
static void commit(struct walk *w, uint64_t to, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        w->found[w->n_found++] = (struct log_walk_found){.log = w->told[i], .provider = w->peer};
        w->bytes += sizeof(w->found[0]) + w->told[i].data.len;
    }
    w->ranges[w->n_ranges++] = (struct log_walk_range){w->next, to, n, w->peer};
    w->n_checks += w->n_checked;
    w->n_checked = 0;
    w->next = to + 1;
    w->checking = false;
}

static void drop_window(struct walk *w)
{
    w->n_checked = 0;
    w->checking = false;
}

/* ---- the blocks of a window ---- */

static void begin_block(struct walk *w)
{
    const struct eth_log *first = &w->told[w->at];

    w->n_block = 0;
    while (w->at + w->n_block < w->n_told && first[w->n_block].block == first->block)
        w->n_block++;
    block_check_begin(&w->check, w->peer, first, w->n_block);
}

static void end_block(struct source *s, enum block_check_end end)
{
    struct walk *w = walk_of(s);
    const struct block_check *c = &w->check;
    struct log_walk_check *check = &w->checks[w->n_checks + w->n_checked++];

    *check = (struct log_walk_check){.block = c->block,
                                     .checked = end == BLOCK_CHECK_SAME,
                                     .has_header = c->has_header,
                                     .hash_by = block_check_hash_by(c),
                                     .provider = c->receipts_by};
    if (c->has_header) {
        check->hash = c->header.hash;
        check->time_s = c->header.timestamp_s;
    }
    (void)snprintf(check->why, sizeof(check->why), "%s", check->checked ? "" : c->why.text);
    w->at += w->n_block;
    w->n_block = 0;
}

static void note_wrong(struct source *s)
{
    const struct block_check *c = &walk_of(s)->check;

    for (uint32_t p = 0; p < rpcset_n(c->set); p++)
        if (c->wrong[p])
            complain(s, p, LOG_FAULT_BLOCK, &c->told[p]);
}

/* What is searched so far is kept; the rest another walk asks for again. */
static enum source_state stop_here(struct source *s)
{
    struct walk *w = walk_of(s);
    uint64_t block = w->told[w->at].block;

    if (block > w->next)
        commit(w, block - 1, w->at);
    drop_window(w);
    return give_up(s);
}

/* The blocks of the window, one after the other; WANTS also when the next window is to be asked
 * for. */
static enum source_state check_on(struct source *s)
{
    struct walk *w = walk_of(s);

    while (w->at < w->n_told) {
        bool has_some = w->n_ranges > 0 || w->told[w->at].block > w->next;
        if (w->n_block == 0 && w->n_requests >= LOG_WALK_REQUESTS_MAX && has_some)
            return stop_here(s);
        if (w->n_requests >= REQUESTS_MAX)
            return stop_here(s);
        if (w->n_block == 0)
            begin_block(w);
        enum block_check_end end = block_check_next(&w->check);
        switch (end) {
        case BLOCK_CHECK_FAILED:
            return SOURCE_FAILED;
        case BLOCK_CHECK_WANTS:
            w->n_requests++;
            return SOURCE_WANTS;
        case BLOCK_CHECK_LATER:
            return stop_here(s);
        case BLOCK_CHECK_DIFFERS:
            note_wrong(s);
            peer_done(s, w->check.fault, &w->check.why);
            drop_window(w);
            return next_window(s);
        case BLOCK_CHECK_UNCHECKED:
        case BLOCK_CHECK_SAME:
            note_wrong(s);
            end_block(s, end);
            break;
        }
    }
    commit(w, w->end, w->n_told);
    return next_window(s);
}

/* ---- answers ---- */

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

    if (data == NULL || w->n_found + w->n_told == LOG_WALK_FOUND_MAX)
        return false;
    struct eth_log *told = &w->told[w->n_told++];
    *told = *log;
    told->data = ms_span_of(data, log->data.len);
    return true;
}

static void take_logs(struct source *s, const struct eth_log *logs, size_t n)
{
    struct walk *w = walk_of(s);

    w->n_told = w->at = w->n_block = 0;
    for (size_t i = 0; i < n; i++) {
        if (keep(s, &logs[i]))
            continue;
        (void)source_fail(s, MS_ERR_LIMIT, NULL);
        return;
    }
    w->checking = true;
}

static void on_logs(struct source *s, const json_t *result)
{
    struct ms_arena scratch = MS_ARENA_INIT(WALK_SCRATCH_MAX_BYTES);
    struct ms_diag diag = {0};
    struct eth_log *logs = NULL;
    size_t n = 0;

    enum ms_err err = eth_rpc_result_logs(result, &scratch, &logs, &n, &diag);
    if (err == MS_ERR_LIMIT || err == MS_ERR_MEMORY) {
        narrow(s, &diag);
    } else if (err != MS_OK) {
        peer_done(s, LOG_FAULT_REFUSED, &diag);
    } else if (!in_order(s, logs, n)) {
        (void)ms_diag_set(&diag, MS_ERR_RPC_SHAPE,
                          "logs that were not asked for, or not in their order");
        peer_done(s, LOG_FAULT_REFUSED, &diag);
    } else {
        take_logs(s, logs, n);
    }
    ms_arena_done(&scratch);
}

static void on_result(struct rpcset *set, uint32_t peer, const struct rpc_call *call,
                      const json_t *result)
{
    struct walk *w = walk_of(set->s);

    if (call->what == WHAT_LOGS)
        on_logs(set->s, result);
    else if (call->what == FIRST_CODE_WHAT)
        first_code_result(&w->search, peer, call, result);
    else
        block_check_result(&w->check, peer, call, result);
}

static bool on_failed(struct rpcset *set, uint32_t peer, const struct rpc_call *call,
                      enum ms_err err, const struct ms_diag *diag)
{
    struct walk *w = walk_of(set->s);

    if (call->what == FIRST_CODE_WHAT)
        return first_code_failed(&w->search, peer, err);
    if (call->what != WHAT_LOGS)
        return block_check_failed(&w->check, peer, call, err, diag);
    if (err != MS_ERR_RPC && err != MS_ERR_TOO_LARGE && err != MS_ERR_LIMIT)
        return false;
    narrow(set->s, diag);
    return true;
}

/* ---- the steps ---- */

/* The earlier of the two: a KMS was there before its app. */
static enum source_state seek(struct source *s)
{
    struct walk *w = walk_of(s);

    enum source_state state = first_code_next(&w->search);
    if (state != SOURCE_DONE)
        return state;
    uint64_t block = first_code_block(&w->search);
    if (s->spec->has_kms && !w->seeking_other && block > 0) {
        w->seeking_other = true;
        first_code_begin(&w->search, &w->set, &s->spec->kms, block);
        return seek(s);
    }
    w->seeking = false;
    w->next = block > w->in.from ? block : w->in.from;
    return next_window(s);
}

static enum source_state step(struct source *s, const struct source_response *response,
                              struct ms_now now)
{
    struct walk *w = walk_of(s);

    (void)now;
    if (response != NULL && !rpcset_take(&w->set, response))
        return SOURCE_WANTS;
    if (response != NULL && w->set.out > 0)
        return SOURCE_WANTS;
    if (s->err != MS_OK)
        return SOURCE_FAILED;
    return w->seeking ? seek(s) : w->checking ? check_on(s) : next_window(s);
}

/* ---- life ---- */

static bool alloc(struct source *s, struct walk *w)
{
    w->found = ms_arena_alloc(&s->arena, LOG_WALK_FOUND_MAX, sizeof(*w->found));
    w->told = ms_arena_alloc(&s->arena, LOG_WALK_FOUND_MAX, sizeof(*w->told));
    w->checks = ms_arena_alloc(&s->arena, CHECKS_MAX, sizeof(*w->checks));
    return w->found != NULL && w->told != NULL && w->checks != NULL;
}

static enum ms_err init(struct source *s, const struct log_walk *in, struct ms_diag *diag)
{
    struct walk *w = ms_arena_alloc(&s->arena, 1, sizeof(*w));

    if (in->to < in->from)
        return ms_diag_set(diag, MS_ERR_ARGUMENT, "no blocks to search");
    if (w == NULL || !alloc(s, w))
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
    enum ms_err err = rpcset_init(&w->set, s, s->spec->chain, diag);
    if (err != MS_OK)
        return err;
    block_check_init(&w->check, &w->set, in->level);
    w->seeking = in->seek && in->to > in->from;
    first_code_begin(&w->search, &w->set, &s->spec->address, in->to);
    return MS_OK;
}

enum ms_err source_log_walk_new(const struct spec *spec, const struct source_policy *policy,
                                const struct log_walk *walk, struct ms_now now,
                                struct source **ret_walk, struct ms_diag *diag)
{
    struct source *s = source_begin(spec, policy, WALK_ARENA_MAX_BYTES, now.wall_s);

    if (s == NULL)
        return MS_ERR_MEMORY;
    return source_made(s, init(s, walk, diag), ret_walk);
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

size_t source_log_walk_checks(const struct source *s, const struct log_walk_check **ret_checks)
{
    *ret_checks = walk_of(s)->checks;
    return walk_of(s)->n_checks;
}

bool source_log_walk_complaint(const struct source *s, uint32_t provider, enum log_fault *ret_fault,
                               struct ms_diag *ret_diag)
{
    const struct walk *w = walk_of(s);

    if (provider >= SOURCE_PROVIDERS_MAX || w->complaints[provider].fault == LOG_FAULT_NONE)
        return false;
    *ret_fault = w->complaints[provider].fault;
    *ret_diag = w->complaints[provider].diag;
    return true;
}

uint64_t source_log_walk_next(const struct source *s, uint64_t *ret_window)
{
    const struct walk *w = walk_of(s);
    bool may_grow = !w->narrowed && w->window < LOG_WALK_WINDOW;
    uint64_t wider = w->window < LOG_WALK_WINDOW / 2 ? 2 * w->window : LOG_WALK_WINDOW;

    *ret_window = may_grow ? wider : w->window;
    return w->next;
}
