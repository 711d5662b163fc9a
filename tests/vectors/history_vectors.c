/* The history of a registry out of its logs, against the state that the L3 vector proves: every
 * link holds, every past state follows, and whatever is done to a log is told by its operation. */
#include "resolver/source/history_chain.h"
#include "tests/support/vectors.h"

#include <stdlib.h>

#define DATA_MAX_BYTES ((size_t)1 << 20)
#define ARENA_MAX_BYTES ((size_t)8 << 20)
#define LOGS_MAX 512

static struct vec_count count;

struct logs {
    struct eth_log log[LOGS_MAX + 1];
    size_t n;
    struct eth_addr registry;
    struct registry_state state;
};

static bool read_log(const json_t *c, struct ms_arena *arena, struct eth_log *log)
{
    const json_t *topics = json_object_get(c, "topics");
    struct ms_buf data = MS_BUF_INIT(DATA_MAX_BYTES);
    uint64_t block = 0;

    *log = (struct eth_log){.n_topics = json_array_size(topics)};
    bool ok = ms_span_u64(ms_json_member_str(c, "block"), &block) && log->n_topics <= 4 &&
              eth_data_fixed(ms_json_member_str(c, "address"), log->address.b, 20) == MS_OK &&
              vec_hex(vec_str(c, "data"), &data);
    for (size_t i = 0; ok && i < log->n_topics; i++)
        ok = eth_data_fixed(ms_span_str(json_string_value(json_array_get(topics, i))),
                            log->topics[i].b, 32) == MS_OK;
    const char *copy = ms_arena_strdup(arena, ms_buf_span(&data));
    log->block = block;
    log->data = ms_span_of(copy, data.len);
    ms_buf_done(&data);
    return ok && copy != NULL;
}

/* The L3 vector's, which registry_vectors.c proves. */
static bool read_state(struct logs *logs, struct ms_arena *arena)
{
    struct vec_count ignored = {0};
    struct ms_buf answer = MS_BUF_INIT(DATA_MAX_BYTES);
    struct registry_snapshot snapshot = {0};
    json_t *root = vec_load(&ignored, "registry", "l3-vector.json");

    if (root == NULL)
        return false;
    bool ok = vec_hex(vec_str(root, "snapshot"), &answer) &&
              eth_data_fixed(ms_json_member_str(root, "registry"), logs->registry.b, 20) == MS_OK;
    const char *copy = ok ? ms_arena_strdup(arena, ms_buf_span(&answer)) : NULL;
    ok = copy != NULL &&
         registry_decode_bare(ms_span_of(copy, answer.len), arena, &snapshot, NULL) == MS_OK;
    logs->state = snapshot.state;
    ms_buf_done(&answer);
    json_decref(root);
    return ok;
}

static struct history_break break_of(const struct logs *logs, struct ms_diag *diag)
{
    struct ms_arena arena = MS_ARENA_INIT(ARENA_MAX_BYTES);
    struct history_break found = {0};
    struct registry_event *events;
    size_t n;

    enum ms_err err = history_verify(logs->log, logs->n, &logs->registry, &logs->state, &arena,
                                     &events, &n, &found, diag);
    if ((err == MS_OK) != (found.fault == HISTORY_FAULT_NONE))
        abort();
    ms_arena_done(&arena);
    return found;
}

/* The break must be told, by this operation, in words that name it. */
static bool told(const struct logs *logs, uint64_t sequence, enum history_fault fault)
{
    struct ms_diag diag = {0};
    char name[32];
    struct history_break found = break_of(logs, &diag);

    (void)snprintf(name, sizeof(name), "peration %llu", (unsigned long long)sequence);
    bool ok = found.sequence == sequence && strstr(diag.text, name) != NULL &&
              (fault == HISTORY_FAULT_NONE || found.fault == fault);
    if (!ok)
        fprintf(stderr, "operation %llu: found %u at %llu: %s\n", (unsigned long long)sequence,
                (unsigned)found.fault, (unsigned long long)found.sequence, diag.text);
    return ok;
}

static bool every_bit(struct logs *logs, struct eth_log *log, uint64_t sequence)
{
    struct ms_span data = log->data;
    uint8_t *copy = malloc(data.len);
    bool ok = copy != NULL;

    for (size_t t = 0; t < log->n_topics; t++)
        for (size_t bit = 0; ok && bit < 256; bit++) {
            log->topics[t].b[bit / 8] ^= (uint8_t)(1u << (bit % 8));
            ok = told(logs, sequence, HISTORY_FAULT_NONE);
            log->topics[t].b[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        }
    if (copy != NULL)
        memcpy(copy, data.ptr, data.len);
    log->data = ms_span_of(copy, data.len);
    for (size_t bit = 0; ok && bit < 8 * data.len; bit++) {
        copy[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        ok = told(logs, sequence, HISTORY_FAULT_NONE);
        copy[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    log->data = data;
    free(copy);
    return ok;
}

/* What can be done to one log, of operation `sequence`. */
static void check_changes(struct logs *logs, size_t i, uint64_t sequence)
{
    static struct logs c;
    char what[64];

    (void)snprintf(what, sizeof(what), "operation %llu", (unsigned long long)sequence);
    c = *logs;
    memmove(&c.log[i], &c.log[i + 1], (c.n - i - 1) * sizeof(c.log[0]));
    c.n--;
    vec_check(&count, told(&c, sequence, HISTORY_FAULT_MISSING), what, "left out: not told");
    c = *logs;
    memmove(&c.log[i + 1], &c.log[i], (c.n - i) * sizeof(c.log[0]));
    c.n++;
    vec_check(&count, told(&c, sequence, HISTORY_FAULT_TWICE), what, "doubled: not told");
    c = *logs;
    c.log[i].block++;
    vec_check(&count, told(&c, sequence, HISTORY_FAULT_ALTERED), what, "another block: not told");
    c = *logs;
    vec_check(&count, every_bit(&c, &c.log[i], sequence), what, "one bit: not told");
    if (i + 1 == logs->n)
        return;
    c.n = logs->n - i - 1; /* to the end of the list */
    struct eth_log moved = c.log[i];
    memmove(&c.log[i], &c.log[i + 1], c.n * sizeof(c.log[0]));
    c.log[logs->n - 1] = moved;
    c.n = logs->n;
    if (sequence < logs->state.sequence)
        vec_check(&count, told(&c, logs->state.sequence, HISTORY_FAULT_PLACE), what,
                  "moved to the end: not told");
}

/* The operations lead to the proven state, the live releases included. */
static void check_past(const struct logs *logs, const struct registry_event *events, size_t n,
                       struct ms_arena *arena)
{
    struct history_past past = {0};
    struct ms_diag diag = {0};

    for (size_t i = 0; i < n; i++) {
        struct history_operation op;
        struct registry_release gone;
        enum ms_err err = history_operation_read(&events[i], arena, &op);
        vec_check(&count, err == MS_OK && op.known, "an operation is understood", "number %zu",
                  i + 1);
        (void)history_past_apply(&past, &op, &gone);
    }
    enum ms_err err = history_past_verify(&past, &logs->state, &diag);
    vec_check(&count, err == MS_OK, "the past leads to the proven state", "%s", diag.text);
}

static void check_logs(struct logs *logs, struct ms_arena *arena)
{
    struct registry_event *events = NULL;
    struct history_break found;
    struct ms_diag diag = {0};
    size_t n = 0;

    enum ms_err err = history_verify(logs->log, logs->n, &logs->registry, &logs->state, arena,
                                     &events, &n, &found, &diag);
    vec_check(&count, err == MS_OK, "the history is complete", "%s", ms_diag_text(&diag, err));
    if (err != MS_OK)
        return;
    check_past(logs, events, n, arena);
    uint64_t sequence = 0;
    for (size_t i = 0; i < logs->n; i++)
        if (registry_is_history(&logs->log[i]) &&
            eth_addr_eq(&logs->log[i].address, &logs->registry))
            check_changes(logs, i, ++sequence);
}

int main(void)
{
    static struct logs logs;
    struct ms_arena arena = MS_ARENA_INIT(ARENA_MAX_BYTES);
    bool has_state = read_state(&logs, &arena);
    json_t *root = vec_load(&count, "registry", "history-logs.json"), *c;
    size_t i;

    if (root == NULL)
        return count.failed == 0 ? 0 : 1;
    json_array_foreach(vec_cases(root), i, c)
    {
        bool ok = logs.n < LOGS_MAX && read_log(c, &arena, &logs.log[logs.n]);
        vec_check(&count, ok, "a log reads", "number %zu", i + 1);
        logs.n += ok;
    }
    if (has_state)
        check_logs(&logs, &arena);
    else
        vec_skip(&count, "history", "there is no l3-vector.json, whose state it leads to");
    json_decref(root);
    ms_arena_done(&arena);
    return vec_end(&count) ? 0 : 1;
}
