/* resolver/source/owner.c - owners of contracts. */
#include "resolver/source/owner.h"

#include "contracts-abi/registry_abi.h"
#include "contracts-abi/timelock_abi.h"
#include "eth/abi.h"
#include "resolver/source/safe_view.h"

#define OWNER_LOG_BLOCKS 216000 /* 30 days of slots: no longer than most delays */
#define OWNER_LOG_BLOCKS_NARROW 2000

enum { CALL_MIN_DELAY = SAFE_VIEW_CALLS, VIEW_CALLS };

/* ---- what it says of itself ---- */

static enum source_state ask_view(struct source *s, struct owner *o)
{
    static const uint8_t min_delay[4] = TIMELOCK_CALL_GET_MIN_DELAY;
    struct contract *c = contract_of(s);
    struct ms_span *calls = ms_arena_alloc(&s->arena, VIEW_CALLS, sizeof(*calls));

    if (calls == NULL)
        return source_fail(s, MS_ERR_MEMORY, NULL);
    safe_view_calls(calls);
    calls[CALL_MIN_DELAY] = ms_span_of(min_delay, sizeof(min_delay));
    struct reading_plan plan = {
        .address = o->address, .n_calls = VIEW_CALLS, .calls = calls, .soft = true, .quorum = true};
    reading_init(&o->view, &c->trusted, &c->trusted.final, false, CONTRACT_WHAT_OWNER, &plan);
    if (reading_ask(&o->view))
        return SOURCE_WANTS;
    o->phase = OWNER_DONE;
    return s->err == MS_OK ? SOURCE_DONE : SOURCE_FAILED;
}

static bool read_u64(struct ms_span answer, uint64_t *ret)
{
    struct eth_word word;
    return eth_word_of_span(answer, &word) && eth_word_to_u64(&word, ret) && *ret <= INT64_MAX;
}

static bool silent(const struct reading_peer *peer)
{
    for (size_t i = 0; i < VIEW_CALLS; i++)
        if (peer->reverted[i] || peer->calls[i].len > 0)
            return false;
    return true;
}

static void describe(struct owner *o)
{
    const struct reading_peer *peer = reading_answer(&o->view);
    uint64_t delay = 0;

    o->description = safe_view_json(peer, 0);
    if (o->description != NULL) {
        (void)json_object_set_new(o->description, "owner_kind", json_string("safe"));
        (void)json_object_set(o->description, "owner_version",
                              json_object_get(o->description, "version"));
        (void)json_object_del(o->description, "version");
    } else if (read_u64(peer->calls[CALL_MIN_DELAY], &delay)) {
        o->description =
            json_pack("{s:s, s:I}", "owner_kind", "timelock", "timelock_delay", (json_int_t)delay);
        o->phase = OWNER_LOGS;
        return;
    } else {
        /* an account answers nothing; so does a contract that takes whatever it is told */
        o->description = json_pack("{s:s}", "owner_kind", silent(peer) ? "account" : "contract");
    }
    o->phase = OWNER_DONE;
}

/* ---- what a timelock is about to do ---- */

static bool ask_logs(struct source *s, struct owner *o)
{
    static const struct eth_hash scheduled = TIMELOCK_EVENT_CALL_SCHEDULED;
    const struct contract *c = contract_of(s);
    uint64_t last = c->trusted.final.header.number;
    uint64_t blocks = o->logs_narrow ? OWNER_LOG_BLOCKS_NARROW : OWNER_LOG_BLOCKS;

    o->filter = (struct eth_log_filter){
        .has_address = true,
        .address = o->address,
        .from = {.form = ETH_BLOCK_NUMBER, .number = last > blocks ? last - blocks : 0},
        .to = {.form = ETH_BLOCK_NUMBER, .number = last},
        .any = &scheduled,
        .n_any = 1,
    };
    struct rpc_call call = {
        .method = RPC_LOGS, .what = CONTRACT_WHAT_OWNER_LOGS, .logs = &o->filter};
    for (uint32_t p = 0; p < rpcset_n(&c->set); p++)
        if (rpcset_alive(&c->set, p))
            return rpcset_send(&contract_of(s)->set, p, &call, 1);
    return false;
}

static void take_operation(struct source *s, struct owner *o, const struct eth_log *log)
{
    const struct eth_abi_type *type = NULL;
    struct eth_abi_value value;
    struct owner_operation op = {0};

    if (log->n_topics != 3 || memcmp(log->address.b, o->address.b, ETH_ADDR_BYTES) != 0 ||
        eth_abi_params_parse(ms_span_str(TIMELOCK_LOG_DATA_CALL_SCHEDULED), &s->arena, &type) !=
            MS_OK ||
        eth_abi_decode(type, log->data, &s->arena, &value, NULL) != MS_OK)
        return;
    const uint8_t *target = value.items[0].word.b + ETH_WORD_BYTES - ETH_ADDR_BYTES;
    struct ms_span data = value.items[2].bytes;
    if (memcmp(target, s->spec->address.b, ETH_ADDR_BYTES) != 0)
        return;
    op.id = log->topics[1];
    if (data.len >= sizeof(op.selector))
        memcpy(op.selector, data.ptr, sizeof(op.selector));
    if (o->n_operations == OWNER_OPERATIONS_MAX) { /* the oldest goes */
        memmove(o->operations, o->operations + 1, sizeof(o->operations) - sizeof(op));
        o->n_operations--;
    }
    o->operations[o->n_operations++] = op;
}

static void take_logs(struct source *s, struct owner *o, const json_t *result)
{
    struct eth_log *logs = NULL;
    size_t n = 0;

    if (eth_rpc_result_logs(result, &s->arena, &logs, &n, NULL) != MS_OK)
        return;
    for (size_t i = 0; i < n; i++)
        take_operation(s, o, &logs[i]);
    o->has_logs = true;
}

/* Logs are only hints: of each operation the timelock itself is asked when it may be executed. */
static enum source_state ask_times(struct source *s, struct owner *o)
{
    static const uint8_t selector[4] = TIMELOCK_CALL_GET_TIMESTAMP;
    struct contract *c = contract_of(s);
    struct ms_span *calls = ms_arena_alloc(&s->arena, o->n_operations + 1, sizeof(*calls));
    uint8_t *text = ms_arena_alloc(&s->arena, o->n_operations + 1, 4 + ETH_WORD_BYTES);

    if (calls == NULL || text == NULL)
        return source_fail(s, MS_ERR_MEMORY, NULL);
    for (size_t i = 0; i < o->n_operations; i++) {
        uint8_t *data = text + i * (4 + ETH_WORD_BYTES);
        memcpy(data, selector, sizeof(selector));
        memcpy(data + 4, o->operations[i].id.b, ETH_WORD_BYTES);
        calls[i] = ms_span_of(data, 4 + ETH_WORD_BYTES);
    }
    struct reading_plan plan = {.address = o->address,
                                .n_calls = o->n_operations,
                                .calls = calls,
                                .soft = true,
                                .quorum = true};
    reading_init(&o->times, &c->trusted, &c->trusted.final, false, CONTRACT_WHAT_OWNER_TIMES,
                 &plan);
    if (reading_ask(&o->times))
        return SOURCE_WANTS;
    return s->err == MS_OK ? SOURCE_DONE : SOURCE_FAILED;
}

/* "approve" for the selector of approve((...)); "?" for none of the registry's. */
static json_t *call_name(const uint8_t selector[4])
{
#define CALL_ROW(NAME) {REGISTRY_CALL_##NAME, REGISTRY_CALL_TEXT_##NAME},
    static const struct {
        uint8_t selector[4];
        const char *text;
    } calls[] = {REGISTRY_CALL_ALL(CALL_ROW)};
#undef CALL_ROW

    for (size_t i = 0; i < MS_ARRAY_LEN(calls); i++)
        if (memcmp(calls[i].selector, selector, 4) == 0)
            return json_stringn(calls[i].text, strcspn(calls[i].text, "("));
    return json_string("?");
}

/* 0 unknown or cancelled, 1 executed, else the time from which it may be. */
static void list_pending(struct owner *o)
{
    const struct reading_peer *peer = reading_answer(&o->times);
    json_t *list = json_array();

    for (size_t i = 0; i < o->n_operations; i++) {
        uint64_t eta = 0;
        if (peer->reverted[i] || !read_u64(peer->calls[i], &eta) || eta <= 1)
            continue;
        (void)json_array_append_new(list, json_pack("{s:o, s:o, s:I}", "operation",
                                                    contract_hash_json(o->operations[i].id.b),
                                                    "call", call_name(o->operations[i].selector),
                                                    "eta", (json_int_t)eta));
    }
    (void)json_object_set_new(o->description, "pending", list);
    (void)json_object_set_new(o->description, "pending_complete", json_false());
}

/* ---- the steps ---- */

static enum source_state step_view(struct source *s, struct owner *o)
{
    enum reading_state state = reading_judge(&o->view);

    if (s->err != MS_OK)
        return SOURCE_FAILED;
    if (state == READING_MORE)
        return SOURCE_WANTS;
    o->phase = OWNER_DONE;
    if (state == READING_DONE)
        describe(o);
    s->scratch = o->description; /* and so freed, whatever becomes of the attempt */
    if (o->phase == OWNER_LOGS && !ask_logs(s, o))
        o->phase = OWNER_DONE;
    if (s->err != MS_OK)
        return SOURCE_FAILED;
    return o->phase == OWNER_LOGS ? SOURCE_WANTS : SOURCE_DONE;
}

static enum source_state step_logs(struct source *s, struct owner *o)
{
    if (!o->has_logs && !o->logs_narrow) {
        o->logs_narrow = true;
        if (ask_logs(s, o))
            return SOURCE_WANTS;
    }
    if (s->err != MS_OK)
        return SOURCE_FAILED;
    o->phase = o->n_operations > 0 ? OWNER_TIMES : OWNER_DONE;
    return o->phase == OWNER_TIMES ? ask_times(s, o) : SOURCE_DONE;
}

static enum source_state step_times(struct source *s, struct owner *o)
{
    enum reading_state state = reading_judge(&o->times);

    if (s->err != MS_OK)
        return SOURCE_FAILED;
    if (state == READING_MORE)
        return SOURCE_WANTS;
    o->phase = OWNER_DONE;
    if (state == READING_DONE)
        list_pending(o);
    return SOURCE_DONE;
}

enum source_state owner_step(struct source *s, struct owner *o, const struct eth_addr *address)
{
    if (!o->begun) {
        o->begun = true;
        o->address = *address;
        return ask_view(s, o);
    }
    switch (o->phase) {
    case OWNER_VIEW:
        return step_view(s, o);
    case OWNER_LOGS:
        return step_logs(s, o);
    case OWNER_TIMES:
        return step_times(s, o);
    case OWNER_DONE:
        return SOURCE_DONE;
    }
    return SOURCE_DONE;
}

/* The reading that is out; NULL: none. */
static struct reading *waiting_for(struct owner *o)
{
    if (o->phase == OWNER_VIEW)
        return &o->view;
    return o->phase == OWNER_TIMES ? &o->times : NULL;
}

void owner_hurry(struct owner *o)
{
    struct reading *r = waiting_for(o);

    if (r == NULL || !reading_can_hurry(r)) { /* nobody waits longer for a description */
        o->phase = OWNER_DONE;
        return;
    }
    reading_hurry(r);
    (void)reading_ask(r);
}

bool owner_result(struct source *s, struct owner *o, uint32_t peer, const struct rpc_call *call,
                  const json_t *result)
{
    if (reading_owns(&o->view, call))
        reading_result(&o->view, peer, call, result);
    else if (reading_owns(&o->times, call))
        reading_result(&o->times, peer, call, result);
    else if (call->what == CONTRACT_WHAT_OWNER_LOGS)
        take_logs(s, o, result);
    else
        return false;
    return true;
}

bool owner_failed(struct source *s, struct owner *o, uint32_t peer, const struct rpc_call *call,
                  enum ms_err err, const struct ms_diag *diag)
{
    (void)s;
    if (reading_owns(&o->view, call))
        return reading_failed(&o->view, peer, call, err, diag);
    if (reading_owns(&o->times, call))
        return reading_failed(&o->times, peer, call, err, diag);
    return call->what == CONTRACT_WHAT_OWNER_LOGS;
}
