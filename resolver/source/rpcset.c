/* resolver/source/rpcset.c - messages to providers and their answers. */
#include "resolver/source/rpcset.h"

#include "eth/receipt.h"
#include "resolver/source/freshness.h"

#include <stdarg.h>

struct rpc_ask { /* one message that is out */
    bool used, batch;
    bool bare; /* blocks were named by their bare hash */
    bool late; /* not waited for any more */
    uint32_t peer;
    size_t n;
    struct rpc_call *calls; /* in the source's arena */
};

enum ms_err rpcset_init(struct rpcset *set, struct source *s, uint64_t chain, struct ms_diag *diag)
{
    bool ours[SOURCE_PROVIDERS_MAX] = {false};

    set->s = s;
    set->chain = chain;
    set->message_max_bytes = RPCSET_MESSAGE_MAX_BYTES;
    set->asks = ms_arena_alloc(&s->arena, SOURCE_REQUESTS_MAX + 1, sizeof(*set->asks));
    if (set->asks == NULL)
        return MS_ERR_MEMORY;
    for (uint32_t p = 0; p < rpcset_n(set); p++) {
        ours[p] = s->policy.providers[p].chain == chain;
        set->peers[p].usable = ours[p] && !s->policy.providers[p].benched;
        set->peers[p].manners = s->policy.providers[p].manners;
    }
    set->groups = rpcset_groups(set, ours);
    if (set->groups == 0)
        return ms_diag_set(diag, MS_ERR_NO_RPC,
                           "no [rpc] section of the configuration serves chain %llu",
                           (unsigned long long)chain);
    return MS_OK;
}

/* ---- asking ---- */

static void write_call(struct eth_rpc_writer *w, const struct rpc_call *call, bool bare)
{
    struct eth_block_ref block = call->block;

    if (block.form == ETH_BLOCK_HASH_CANONICAL && bare)
        block.form = ETH_BLOCK_HASH_BARE;
    switch (call->method) {
    case RPC_NONE:
        return;
    case RPC_CHAIN_ID:
        (void)eth_rpc_chain_id(w);
        return;
    case RPC_BLOCK_BY_NUMBER:
        (void)eth_rpc_block_by_number(w, &block);
        return;
    case RPC_BLOCK_BY_HASH:
        (void)eth_rpc_block_by_hash(w, &block.hash);
        return;
    case RPC_CALL:
        (void)eth_rpc_call(w, &call->to, call->data, &block);
        return;
    case RPC_PROOF:
        (void)eth_rpc_get_proof(w, &call->to, call->keys, call->n_keys, &block);
        return;
    case RPC_CODE:
        (void)eth_rpc_get_code(w, &call->to, &block);
        return;
    case RPC_LOGS:
        (void)eth_rpc_get_logs(w, call->logs);
        return;
    case RPC_RECEIPTS:
        (void)eth_rpc_get_receipts(w, &block);
        return;
    }
}

static size_t body_max(const struct rpc_call *first)
{
    return first->method == RPC_RECEIPTS ? ETH_RECEIPTS_BODY_MAX_BYTES : SOURCE_RPC_BODY_MAX_BYTES;
}

static bool send_singly(struct rpcset *set, uint32_t peer, const struct rpc_call *calls, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!rpcset_send(set, peer, &calls[i], 1))
            return false;
    return true;
}

bool rpcset_send(struct rpcset *set, uint32_t peer, const struct rpc_call *calls, size_t n)
{
    if (n > 1 && set->peers[peer].manners.no_batch)
        return send_singly(set, peer, calls, n);
    struct source *s = set->s;
    struct ms_buf text = MS_BUF_INIT(set->message_max_bytes);
    struct eth_rpc_writer w;
    bool batch = n > 1, bare = set->peers[peer].manners.bare_hash;

    eth_rpc_begin(&w, &text, 1, batch);
    for (size_t i = 0; i < n; i++)
        write_call(&w, &calls[i], bare);
    enum ms_err err = eth_rpc_end(&w);
    const char *body = err == MS_OK ? ms_arena_strdup(&s->arena, ms_buf_span(&text)) : NULL;
    size_t len = text.len;
    struct rpc_call *kept = ms_arena_alloc(&s->arena, n, sizeof(*kept));
    ms_buf_done(&text);
    if (body == NULL || kept == NULL) {
        (void)source_fail(s, err == MS_OK ? MS_ERR_MEMORY : err, NULL);
        return false;
    }
    memcpy(kept, calls, n * sizeof(calls[0]));
    struct source_request request = {.kind = SOURCE_REQUEST_RPC,
                                     .provider = peer,
                                     .body = ms_span_of(body, len),
                                     .max_bytes = body_max(&calls[0])};
    struct source_request *sent = source_want(s, &request);
    if (sent == NULL)
        return false;
    struct rpc_ask *ask = &set->asks[sent->id];
    *ask = (struct rpc_ask){
        .used = true, .batch = batch, .bare = bare, .peer = peer, .n = n, .calls = kept};
    set->peers[peer].waiting += n;
    s->asked[peer] = true;
    s->owing[peer]++;
    set->out++;
    s->wait_id = 0; /* a grace that ran is void */
    return true;
}

/* ---- patience ---- */

void rpcset_grace(struct rpcset *set)
{
    if (set->s->wait_id == 0)
        (void)source_want_wait(set->s, SOURCE_GRACE_MS); /* without it they are waited for */
}

bool rpcset_hurry(struct rpcset *set, const struct source_response *response)
{
    if (response->id <= SOURCE_REQUESTS_MAX)
        return false;
    for (size_t i = 1; i <= set->s->n_requests; i++) {
        if (!set->asks[i].used || set->asks[i].late)
            continue;
        set->asks[i].late = true;
        set->peers[set->asks[i].peer].late++;
    }
    set->out = 0;
    return true;
}

bool rpcset_await(struct rpcset *set)
{
    for (size_t i = 1; i <= set->s->n_requests; i++) {
        struct rpc_ask *ask = &set->asks[i];
        if (!ask->used || !ask->late || set->peers[ask->peer].dead)
            continue;
        ask->late = false;
        set->peers[ask->peer].late--;
        set->out++;
    }
    return set->out > 0;
}

/* ---- failures ---- */

void rpcset_kill(struct rpcset *set, uint32_t peer, enum ms_err err, const struct ms_diag *diag)
{
    struct rpc_peer *p = &set->peers[peer];

    if (p->dead)
        return;
    p->dead = true;
    p->err = err;
    (void)ms_diag_set(&p->diag, err, "%s: %s", rpcset_provider(set, peer)->name,
                      ms_diag_text(diag, err));
    set->s->lied[peer] = set->s->lied[peer] || err == MS_ERR_PROOF;
    set->s->faulted[peer] = true;
}

void rpcset_killf(struct rpcset *set, uint32_t peer, enum ms_err err, const char *fmt, ...)
{
    struct ms_diag diag = {0};
    va_list args;

    va_start(args, fmt);
    (void)ms_diag_setv(&diag, err, fmt, args);
    va_end(args);
    rpcset_kill(set, peer, err, &diag);
}

static void call_failed(struct rpcset *set, uint32_t peer, const struct rpc_call *call,
                        enum ms_err err, const struct ms_diag *diag)
{
    if (set->failed == NULL || !set->failed(set, peer, call, err, diag))
        rpcset_kill(set, peer, err, diag);
}

/* Every call of the message has the same fate. */
static void all_failed(struct rpcset *set, const struct rpc_ask *ask, enum ms_err err,
                       const struct ms_diag *diag)
{
    if (ask->n == 1 && ask->calls[0].hint)
        call_failed(set, ask->peer, &ask->calls[0], err, diag);
    else
        rpcset_kill(set, ask->peer, err, diag);
}

/* ---- answers ---- */

/* The other shape of a block, for those who do not know EIP-1898 (execution-apis #713). */
static bool ask_bare(struct rpcset *set, const struct rpc_ask *ask, const struct rpc_call *call,
                     const struct eth_rpc_answer *answer)
{
    if (answer->error.class != ETH_RPC_PARAMS || ask->bare ||
        call->block.form != ETH_BLOCK_HASH_CANONICAL)
        return false;
    set->peers[ask->peer].manners.bare_hash = true;
    return rpcset_send(set, ask->peer, call, 1);
}

/* Asked in another way it does answer. */
static void learn(struct rpcset *set, const struct rpc_ask *ask, const struct rpc_call *call)
{
    struct source_manners *learned = &set->s->learned[ask->peer];

    learned->no_batch =
        learned->no_batch || (!ask->batch && set->peers[ask->peer].manners.no_batch);
    learned->bare_hash =
        learned->bare_hash || (ask->bare && call->block.form == ETH_BLOCK_HASH_CANONICAL);
}

static void take_answers(struct rpcset *set, const struct rpc_ask *ask,
                         const struct eth_rpc_reply *reply)
{
    for (size_t i = 0; i < ask->n; i++) {
        const struct eth_rpc_answer *answer = &reply->answers[i];
        const json_t *ignored = NULL;
        struct ms_diag diag = {0};
        if (answer->result != NULL) {
            learn(set, ask, &ask->calls[i]);
            set->result(set, ask->peer, &ask->calls[i], answer->result);
        } else if (!ask_bare(set, ask, &ask->calls[i], answer)) {
            enum ms_err err = eth_rpc_result(answer, &ignored, &diag);
            call_failed(set, ask->peer, &ask->calls[i], err, &diag);
        }
    }
}

/* The endpoint takes no batches: the calls go singly, from now on (2.1). */
static void batch_refused(struct rpcset *set, const struct rpc_ask *ask)
{
    set->peers[ask->peer].manners.no_batch = true;
    (void)rpcset_send(set, ask->peer, ask->calls, ask->n);
}

/* One answer, or something else that is no array, to many calls: it does not know what a batch is.
 */
static bool no_array(struct ms_span body)
{
    size_t i = 0;
    while (i < body.len && strchr(" \t\r\n", body.ptr[i]) != NULL && body.ptr[i] != '\0')
        i++;
    return i < body.len && body.ptr[i] != '[';
}

/* It asks to be left alone for a while: nothing can be had from it, which is not its fault. */
static bool is_busy(struct rpcset *set, uint32_t peer, const struct source_response *response)
{
    bool *faulted = &set->s->faulted[peer], before = *faulted;

    if (source_retry_after(response) == 0)
        return false;
    set->s->busy[peer] = true;
    rpcset_killf(set, peer, MS_ERR_RPC, "HTTP status %u, and asks to be left alone for a while",
                 response->status);
    *faulted = before;
    return true;
}

static void take_reply(struct rpcset *set, const struct rpc_ask *ask,
                       const struct source_response *response)
{
    struct eth_rpc_reply reply;
    struct ms_diag diag = {0};

    if (response->err != MS_OK) {
        all_failed(set, ask, response->err, &response->diag);
        return;
    }
    if (is_busy(set, ask->peer, response))
        return;
    if (ask->batch && response->status == 413) {
        batch_refused(set, ask);
        return;
    }
    enum ms_err err = eth_rpc_read(response->body, body_max(&ask->calls[0]), 1, ask->n, ask->batch,
                                   &reply, &diag);
    if (err == MS_ERR_RPC_SHAPE && ask->batch && response->status == 200 &&
        no_array(response->body)) {
        batch_refused(set, ask);
        return;
    }
    if (err != MS_OK && response->status != 200) {
        diag = (struct ms_diag){0};
        err = ms_diag_set(&diag, MS_ERR_RPC, "HTTP status %u", response->status);
    }
    if (err != MS_OK) {
        all_failed(set, ask, err, &diag);
        return;
    }
    if (reply.whole_failed && reply.answers[0].error.class == ETH_RPC_BATCH)
        batch_refused(set, ask);
    else
        take_answers(set, ask, &reply);
    eth_rpc_reply_done(&reply);
}

bool rpcset_take(struct rpcset *set, const struct source_response *response)
{
    struct rpc_ask *ask = &set->asks[response->id];

    if (!ask->used)
        return false;
    ask->used = false;
    if (ask->late)
        set->peers[ask->peer].late--;
    else
        set->out--;
    set->s->owing[ask->peer]--;
    set->peers[ask->peer].waiting -= ask->n;
    take_reply(set, ask, response);
    return true;
}

/* ---- groups ---- */

bool rpcset_same_group(const struct rpcset *set, uint32_t a, uint32_t b)
{
    return strcmp(rpcset_provider(set, a)->group, rpcset_provider(set, b)->group) == 0;
}

uint32_t rpcset_groups(const struct rpcset *set, const bool counts[SOURCE_PROVIDERS_MAX])
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < rpcset_n(set); i++) {
        bool first = counts[i];
        for (uint32_t j = 0; first && j < i; j++)
            first = !(counts[j] && rpcset_same_group(set, i, j));
        n += first;
    }
    return n;
}

enum source_state rpcset_fail_quorum(struct rpcset *set, uint32_t have, uint32_t need)
{
    if (rpcset_await(set))
        return SOURCE_WANTS;
    for (uint32_t p = 0; p < rpcset_n(set); p++) {
        const struct rpc_peer *peer = &set->peers[p];
        if (!peer->dead)
            continue;
        if (need == 1)
            return source_fail(set->s, peer->err, &peer->diag);
        return source_failf(set->s, MS_ERR_QUORUM, "%u of the %u RPC groups needed answered; %s",
                            have, need, peer->diag.text);
    }
    return source_failf(set->s, MS_ERR_QUORUM, "%u of the %u RPC groups needed answered", have,
                        need);
}
