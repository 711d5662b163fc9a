/* The logs of a registry. The first byte says how the rest is read: 1, the data of one
 * HistoryAppended log; 2 to 11, the data of an operation of kind 0 to 9; else the result of
 * eth_getLogs as JSON. What is taken for a history hashes to the state's hash, and no state of the
 * past has more than it can. */
#include "contracts-abi/registry_abi.h"
#include "resolver/source/history_chain.h"

#include <stdlib.h>

#define ARENA_MAX_BYTES ((size_t)8 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void walk(const struct registry_event *events, size_t n, struct ms_arena *arena)
{
    static struct history_past past;
    struct registry_release gone;

    past = (struct history_past){0};
    for (size_t i = 0; i < n; i++) {
        struct history_operation op;
        char name[HISTORY_NAME_MAX_BYTES];
        if (history_operation_read(&events[i], arena, &op) != MS_OK)
            return;
        history_name(&events[i], name);
        if (strlen(name) >= sizeof(name) - 1)
            abort();
        (void)history_past_apply(&past, &op, &gone);
        if (past.n_live > REGISTRY_RELEASES_MAX)
            abort();
        for (size_t k = 1; k < past.n_live; k++)
            if (past.live[k].id <= past.live[k - 1].id)
                abort();
    }
}

static void one_log(struct ms_span bytes, struct ms_arena *arena)
{
    static const struct eth_hash topic = REGISTRY_EVENT_HISTORY_APPENDED;
    struct eth_log log = {.n_topics = 4, .data = bytes, .block = 1};
    struct registry_state state = {.sequence = 1, .updated_block = 1};
    struct registry_event event, *events;
    struct history_break found = {0};
    size_t n;

    log.topics[0] = topic;
    log.topics[1].b[31] = 1;
    if (registry_event_decode(&log, arena, &event, NULL) != MS_OK)
        return;
    static const struct eth_hash none;
    state.history_hash = registry_history_hash(&none, &event);
    state.updated_at_s = event.timestamp_s;
    bool honest = eth_hash_eq(&state.history_hash, &event.history_hash) && event.prev_block == 0 &&
                  event.data.len <= HISTORY_DATA_MAX_BYTES;
    enum ms_err err =
        history_verify(&log, 1, &log.address, &state, arena, &events, &n, &found, NULL);
    if (err != MS_ERR_MEMORY && (err == MS_OK) != honest)
        abort();
    if (err == MS_OK)
        walk(events, n, arena);
}

static void one_operation(uint8_t kind, struct ms_span bytes, struct ms_arena *arena)
{
    struct registry_event event = {.sequence = 1, .kind = kind, .data = bytes};
    walk(&event, 1, arena);
}

static void many_logs(struct ms_span text, struct ms_arena *arena)
{
    static const struct ms_json_limits limits = {ETH_RPC_BODY_MAX_BYTES, ETH_RPC_DEPTH_MAX,
                                                 ETH_RPC_VALUES_MAX, 0};
    struct registry_event *events = NULL;
    struct eth_log *logs = NULL;
    struct history_break found = {0};
    json_t *root = NULL;
    size_t n = 0;

    if (ms_json_parse(text, &limits, &root, NULL) != MS_OK)
        return;
    if (eth_rpc_result_logs(root, arena, &logs, &n, NULL) == MS_OK && n > 0) {
        struct history_at last = {.sequence = n, .block = logs[n - 1].block};
        if (history_events(logs, n, &logs[0].address, &last, arena, &events, &n, &found, NULL) ==
                MS_OK &&
            n > 0) {
            last = (struct history_at){events[n - 1].sequence, events[n - 1].block,
                                       events[n - 1].history_hash};
            if (history_links(events, n, &last, false, &found, NULL) == MS_OK)
                walk(events, n, arena);
            else if (found.fault == HISTORY_FAULT_NONE)
                abort();
        }
    }
    json_decref(root);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ms_arena arena = MS_ARENA_INIT(ARENA_MAX_BYTES);

    if (size > 0 && data[0] == 1)
        one_log(ms_span_of(data + 1, size - 1), &arena);
    else if (size > 0 && data[0] >= 2 && data[0] <= 11)
        one_operation((uint8_t)(data[0] - 2), ms_span_of(data + 1, size - 1), &arena);
    else
        many_logs(ms_span_of(data, size), &arena);
    ms_arena_done(&arena);
    return 0;
}
