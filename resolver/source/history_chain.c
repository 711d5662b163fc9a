/* resolver/source/history_chain.c - links, from the newest to the first; and what they add up to.
 */
#include "resolver/source/history_chain.h"

#include "contracts-abi/registry_abi.h"
#include "eth/abi.h"

#include <stdarg.h>
#include <stdio.h>

#define VALUES_MAX_BYTES ((size_t)64 << 10) /* of one operation, decoded */

struct history_at history_newest(const struct registry_state *state)
{
    return (struct history_at){
        .sequence = state->sequence, .block = state->updated_block, .hash = state->history_hash};
}

const char *history_kind_name(uint8_t kind)
{
    static const char *const names[] = {
        [REGISTRY_INIT] = "init",
        [REGISTRY_APPROVE] = "approve",
        [REGISTRY_REVOKE] = "revoke",
        [REGISTRY_SHORTEN] = "shorten",
        [REGISTRY_PRUNE] = "prune",
        [REGISTRY_HEARTBEAT] = "heartbeat",
        [REGISTRY_RAISE_MIN_DELAY] = "raise-min-delay",
        [REGISTRY_SET_GUARDIAN] = "set-guardian",
        [REGISTRY_TRANSFER_STARTED] = "transfer-started",
        [REGISTRY_TRANSFER_ACCEPTED] = "transfer-accepted",
    };
    return kind < MS_ARRAY_LEN(names) ? names[kind] : "unknown";
}

void history_name(const struct registry_event *event, char ret_name[HISTORY_NAME_MAX_BYTES])
{
    char release[40] = "";

    if (event->id != 0)
        (void)snprintf(release, sizeof(release), " of release %llu", (unsigned long long)event->id);
    (void)snprintf(ret_name, HISTORY_NAME_MAX_BYTES, "operation %llu (%s%s, block %llu)",
                   (unsigned long long)event->sequence, history_kind_name(event->kind), release,
                   (unsigned long long)event->block);
}

/* ---- faults ---- */

struct fault_sink {
    struct history_break *ret_break;
    struct ms_diag *diag;
};

static enum ms_err broken(const struct fault_sink *sink, enum ms_err err, enum history_fault fault,
                          uint64_t sequence, const char *fmt, ...) MS_PRINTF(5, 6);
static enum ms_err broken(const struct fault_sink *sink, enum ms_err err, enum history_fault fault,
                          uint64_t sequence, const char *fmt, ...)
{
    va_list args;

    if (sink->ret_break != NULL)
        *sink->ret_break = (struct history_break){.fault = fault, .sequence = sequence};
    va_start(args, fmt);
    enum ms_err told = ms_diag_setv(sink->diag, err, fmt, args);
    va_end(args);
    return told;
}

static enum ms_err missing(const struct fault_sink *sink, uint64_t sequence, uint64_t block)
{
    return broken(sink, MS_ERR_COMMITMENT, HISTORY_FAULT_MISSING, sequence,
                  "operation %llu (block %llu): its log is missing", (unsigned long long)sequence,
                  (unsigned long long)block);
}

/* ---- reading ---- */

static bool is_link(const struct eth_log *log, const struct eth_addr *registry)
{
    return eth_addr_eq(&log->address, registry) && registry_is_history(log);
}

/* A log that cannot be read has no number of its own to be told by: its place gives it one. */
static enum ms_err read_event(const struct eth_log *log, uint64_t place, struct ms_arena *arena,
                              struct registry_event *ret_event, const struct fault_sink *sink)
{
    struct ms_diag why = {0};
    enum ms_err err = registry_event_decode(log, arena, ret_event, &why);

    if (err == MS_ERR_MEMORY)
        return err;
    if (err != MS_OK)
        return broken(sink, MS_ERR_ABI, HISTORY_FAULT_MALFORMED, place,
                      "operation %llu (block %llu): its log is malformed: %s",
                      (unsigned long long)place, (unsigned long long)log->block, why.text);
    if (ret_event->data.len > HISTORY_DATA_MAX_BYTES)
        return broken(sink, MS_ERR_LIMIT, HISTORY_FAULT_MALFORMED, place,
                      "operation %llu (block %llu): it has %zu bytes of data, the limit is %u",
                      (unsigned long long)place, (unsigned long long)log->block,
                      ret_event->data.len, HISTORY_DATA_MAX_BYTES);
    return MS_OK;
}

enum ms_err history_events(const struct eth_log *logs, size_t n, const struct eth_addr *registry,
                           const struct history_at *last, struct ms_arena *arena,
                           struct registry_event **ret_events, size_t *ret_n,
                           struct history_break *ret_break, struct ms_diag *diag)
{
    struct fault_sink sink = {ret_break, diag};
    struct registry_event *events = NULL;
    size_t n_events = 0, at = 0;

    for (size_t i = 0; i < n; i++)
        n_events += is_link(&logs[i], registry);
    if (n_events > HISTORY_OPERATIONS_MAX)
        return broken(&sink, MS_ERR_LIMIT, HISTORY_FAULT_MALFORMED, last->sequence,
                      "%zu operations, the limit is %u", n_events, HISTORY_OPERATIONS_MAX);
    events = ms_arena_alloc(arena, n_events, sizeof(*events));
    if (events == NULL)
        return MS_ERR_MEMORY;
    for (size_t i = 0; i < n; i++) {
        if (!is_link(&logs[i], registry))
            continue;
        uint64_t after = n_events - at - 1;
        uint64_t place = last->sequence > after ? last->sequence - after : 0;
        enum ms_err err = read_event(&logs[i], place, arena, &events[at++], &sink);
        if (err != MS_OK)
            return err;
    }
    *ret_events = events;
    *ret_n = n_events;
    return MS_OK;
}

/* ---- links ---- */

/* One place of the list, seen from the end. */
struct place {
    const struct registry_event *events;
    size_t n, i;
    uint64_t sequence;    /* that must be here */
    struct eth_hash hash; /* proven to be its */
};

/* The hash of the operation before events[i], as the list has it; false when the list does not go
 * so far back. */
static bool hash_before(const struct place *at, size_t i, uint64_t sequence, struct eth_hash *ret)
{
    *ret = (struct eth_hash){0};
    if (i > 0)
        *ret = at->events[i - 1].history_hash;
    return i > 0 || sequence == 1;
}

/* Whether all is right but the number. */
static bool only_number_differs(const struct place *at)
{
    struct registry_event event = at->events[at->i];
    struct eth_hash before;

    event.sequence = at->sequence;
    if (!hash_before(at, at->i, at->sequence, &before))
        return false;
    struct eth_hash hash = registry_history_hash(&before, &event);
    return eth_hash_eq(&hash, &at->hash);
}

/* In another place than this one. */
static bool is_elsewhere(const struct place *at, uint64_t sequence)
{
    for (size_t i = 0; i < at->n; i++)
        if (i != at->i && at->events[i].sequence == sequence)
            return true;
    return false;
}

/* Another number than must be here. */
static enum ms_err misplaced(const struct place *at, uint64_t block, const struct fault_sink *sink)
{
    const struct registry_event *event = &at->events[at->i];
    char name[HISTORY_NAME_MAX_BYTES];

    history_name(event, name);
    if (only_number_differs(at))
        return broken(sink, MS_ERR_COMMITMENT, HISTORY_FAULT_NUMBER, at->sequence,
                      "%s: it is operation %llu, its number was altered", name,
                      (unsigned long long)at->sequence);
    if (is_elsewhere(at, event->sequence))
        return broken(sink, MS_ERR_COMMITMENT, HISTORY_FAULT_TWICE, event->sequence,
                      "%s: its log is there twice", name);
    if (is_elsewhere(at, at->sequence))
        return broken(sink, MS_ERR_COMMITMENT, HISTORY_FAULT_PLACE, at->sequence,
                      "operation %llu is not in its place: operation %llu is there",
                      (unsigned long long)at->sequence, (unsigned long long)event->sequence);
    return missing(sink, at->sequence, block);
}

/* Whether the hash that the operation before this one carries is all that is wrong. */
static bool hash_before_was_altered(const struct place *at)
{
    struct eth_hash before;

    if (at->i == 0 || !hash_before(at, at->i - 1, at->sequence - 1, &before))
        return false;
    struct eth_hash right = registry_history_hash(&before, &at->events[at->i - 1]);
    struct eth_hash hash = registry_history_hash(&right, &at->events[at->i]);
    return eth_hash_eq(&hash, &at->hash);
}

static enum ms_err altered(const struct place *at, const struct fault_sink *sink)
{
    char name[HISTORY_NAME_MAX_BYTES];

    if (hash_before_was_altered(at)) {
        history_name(&at->events[at->i - 1], name);
        return broken(sink, MS_ERR_COMMITMENT, HISTORY_FAULT_ALTERED, at->sequence - 1,
                      "%s: its hash was altered", name);
    }
    history_name(&at->events[at->i], name);
    return broken(sink, MS_ERR_COMMITMENT, HISTORY_FAULT_ALTERED, at->sequence,
                  "%s: its hash does not follow from operation %llu and what its log says", name,
                  (unsigned long long)at->sequence - 1);
}

/* Both operations are proven, so these are the contract's own words, and another walk finds no
 * others. */
static enum ms_err check_order(const struct place *at, const struct fault_sink *sink)
{
    const struct registry_event *event = &at->events[at->i];
    const struct registry_event *after = at->i + 1 < at->n ? event + 1 : NULL;
    char name[HISTORY_NAME_MAX_BYTES];

    bool first_ok = at->sequence > 1 || event->prev_block == 0;
    if (first_ok &&
        (after == NULL || (after->prev_block == event->block && after->block >= event->block &&
                           after->timestamp_s >= event->timestamp_s)))
        return MS_OK;
    uint64_t told = first_ok ? at->sequence + 1 : at->sequence;
    history_name(first_ok ? after : event, name);
    return broken(sink, MS_ERR_COMMITMENT, HISTORY_FAULT_ORDER, told,
                  "%s: by its block or time it does not follow on operation %llu", name,
                  (unsigned long long)told - 1);
}

/* The operation here, and that the one before it is the one it follows on. */
static enum ms_err check_link(const struct place *at, const struct fault_sink *sink)
{
    const struct registry_event *event = &at->events[at->i];
    struct eth_hash before;

    if (!hash_before(at, at->i, at->sequence, &before))
        return MS_OK; /* the list ends here */
    if (at->i > 0 && at->sequence > 1 && event[-1].sequence != at->sequence - 1) {
        struct place lower = {at->events, at->n, at->i - 1, at->sequence - 1,
                              event[-1].history_hash};
        return misplaced(&lower, event->prev_block, sink);
    }
    struct eth_hash hash = registry_history_hash(&before, event);
    return eth_hash_eq(&hash, &at->hash) ? check_order(at, sink) : altered(at, sink);
}

enum ms_err history_links(const struct registry_event *events, size_t n,
                          const struct history_at *last, bool whole,
                          struct history_break *ret_break, struct ms_diag *diag)
{
    struct fault_sink sink = {ret_break, diag};
    struct place at = {.events = events, .n = n, .sequence = last->sequence, .hash = last->hash};
    static const struct eth_hash none;
    char name[HISTORY_NAME_MAX_BYTES];

    if (n == 0 && last->sequence == 0 && eth_hash_eq(&last->hash, &none))
        return MS_OK; /* nothing was ever done */
    if (n == 0)
        return missing(&sink, last->sequence, last->block);
    at.i = n - 1;
    if (events[at.i].sequence != last->sequence)
        return misplaced(&at, last->block, &sink);
    if (events[at.i].block != last->block ||
        !eth_hash_eq(&events[at.i].history_hash, &last->hash)) {
        history_name(&events[at.i], name);
        return broken(&sink, MS_ERR_COMMITMENT, HISTORY_FAULT_ALTERED, last->sequence,
                      "%s: it is not the one that is proven", name);
    }
    for (;; at.i--, at.sequence--, at.hash = events[at.i].history_hash) {
        if (at.sequence == 1 && at.i > 0) {
            history_name(&events[at.i - 1], name);
            return broken(&sink, MS_ERR_COMMITMENT, HISTORY_FAULT_TWICE, events[at.i - 1].sequence,
                          "%s: it stands before the first operation", name);
        }
        enum ms_err err = check_link(&at, &sink);
        if (err != MS_OK)
            return err;
        if (at.i == 0)
            break;
    }
    if (whole && at.sequence != 1)
        return missing(&sink, at.sequence - 1, events[0].prev_block);
    return MS_OK;
}

enum ms_err history_whole(const struct registry_event *events, size_t n,
                          const struct registry_state *state, struct history_break *ret_break,
                          struct ms_diag *diag)
{
    struct fault_sink sink = {ret_break, diag};
    struct history_at last = history_newest(state);

    enum ms_err err = history_links(events, n, &last, true, ret_break, diag);
    if (err == MS_OK && n > 0 && events[n - 1].timestamp_s != state->updated_at_s)
        err = broken(&sink, MS_ERR_COMMITMENT, HISTORY_FAULT_ORDER, last.sequence,
                     "operation %llu: its time is not that of the state",
                     (unsigned long long)last.sequence);
    return err;
}

enum ms_err history_verify(const struct eth_log *logs, size_t n, const struct eth_addr *registry,
                           const struct registry_state *state, struct ms_arena *arena,
                           struct registry_event **ret_events, size_t *ret_n,
                           struct history_break *ret_break, struct ms_diag *diag)
{
    struct history_at last = history_newest(state);
    struct registry_event *events = NULL;
    size_t n_events = 0;

    enum ms_err err =
        history_events(logs, n, registry, &last, arena, &events, &n_events, ret_break, diag);
    if (err == MS_OK)
        err = history_whole(events, n_events, state, ret_break, diag);
    if (err != MS_OK)
        return err;
    *ret_events = events;
    *ret_n = n_events;
    return MS_OK;
}

/* ---- what operations say ---- */

/* The ABI of `data`, by kind: what the contract gives to _commit. Only the reference contract's
 * source says so; the interface leaves it to "by kind". */
static const char *const data_types[] = {
    [REGISTRY_INIT] = "address,address,uint64",
    [REGISTRY_APPROVE] =
        "(uint64,uint64,uint64,uint64,uint64,uint16,uint32,bytes32,string),address",
    [REGISTRY_REVOKE] = "uint32",
    [REGISTRY_SHORTEN] = "uint64",
    [REGISTRY_PRUNE] = "",
    [REGISTRY_HEARTBEAT] = "uint64",
    [REGISTRY_RAISE_MIN_DELAY] = "uint64",
    [REGISTRY_SET_GUARDIAN] = "address",
    [REGISTRY_TRANSFER_STARTED] = "address",
    [REGISTRY_TRANSFER_ACCEPTED] = "address",
};

static uint64_t number_at(const struct eth_abi_value *tuple, size_t i)
{
    uint64_t value = 0;
    (void)eth_word_to_u64(&tuple->items[i].word, &value); /* its type is narrow enough */
    return value;
}

static struct eth_addr addr_at(const struct eth_abi_value *tuple, size_t i)
{
    struct eth_addr addr;
    memcpy(addr.b, tuple->items[i].word.b + ETH_WORD_BYTES - ETH_ADDR_BYTES, ETH_ADDR_BYTES);
    return addr;
}

static bool read_values(struct history_operation *op, const struct eth_abi_value *v)
{
    switch ((enum registry_kind)op->event.kind) {
    case REGISTRY_INIT:
        op->owner = addr_at(v, 0);
        op->guardian = addr_at(v, 1);
        op->min_delay_s = number_at(v, 2);
        return true;
    case REGISTRY_APPROVE:
        op->pointer = addr_at(v, 1);
        return registry_release_of(&v->items[0], &op->release, NULL) == MS_OK &&
               op->release.id == op->event.id && op->release.approved_seq == op->event.sequence;
    case REGISTRY_REVOKE:
        op->reason = (uint32_t)number_at(v, 0);
        return true;
    case REGISTRY_SHORTEN:
        op->not_after_s = number_at(v, 0);
        return true;
    case REGISTRY_PRUNE:
        return true;
    case REGISTRY_HEARTBEAT:
        op->valid_until_s = number_at(v, 0);
        return true;
    case REGISTRY_RAISE_MIN_DELAY:
        op->min_delay_s = number_at(v, 0);
        return true;
    case REGISTRY_SET_GUARDIAN:
        op->guardian = addr_at(v, 0);
        return true;
    case REGISTRY_TRANSFER_STARTED:
    case REGISTRY_TRANSFER_ACCEPTED:
        op->owner = addr_at(v, 0);
        return true;
    }
    return false;
}

/* The values are of use only here: a history has many operations, and a reader keeps what they
 * say. */
static enum ms_err decode_values(struct history_operation *op, struct ms_arena *scratch)
{
    const struct eth_abi_type *type = NULL;
    struct eth_abi_value value;

    enum ms_err err = eth_abi_params_parse(ms_span_str(data_types[op->event.kind]), scratch, &type);
    if (err == MS_OK)
        err = eth_abi_decode(type, op->event.data, scratch, &value, NULL);
    op->known = err == MS_OK && read_values(op, &value);
    return err == MS_ERR_ABI ? MS_OK : err;
}

enum ms_err history_operation_read(const struct registry_event *event, struct ms_arena *arena,
                                   struct history_operation *ret_operation)
{
    struct ms_arena scratch = MS_ARENA_INIT(VALUES_MAX_BYTES);
    struct history_operation op = {.event = *event};
    struct ms_span *uri = &op.release.uri; /* of all that was read only this borrows */
    enum ms_err err = MS_OK;

    if (event->kind < MS_ARRAY_LEN(data_types))
        err = decode_values(&op, &scratch);
    if (err == MS_OK && op.known && uri->len > 0) {
        const char *copy = ms_arena_strdup(arena, *uri);
        err = copy == NULL ? MS_ERR_MEMORY : MS_OK;
        *uri = ms_span_of(copy, uri->len);
    }
    ms_arena_done(&scratch);
    if (err == MS_OK)
        *ret_operation = op;
    return err;
}

/* ---- the states of the past ---- */

static struct registry_release *live_of(struct history_past *past, uint64_t id)
{
    for (size_t i = 0; i < past->n_live; i++)
        if (past->live[i].id == id)
            return &past->live[i];
    return NULL;
}

static bool add_live(struct history_past *past, const struct registry_release *release)
{
    if (past->n_live == REGISTRY_RELEASES_MAX ||
        (past->n_live > 0 && past->live[past->n_live - 1].id >= release->id))
        return false;
    past->live[past->n_live++] = *release;
    return true;
}

static bool take_live(struct history_past *past, uint64_t id, struct registry_release *ret_gone)
{
    struct registry_release *release = live_of(past, id);

    if (release == NULL)
        return false;
    *ret_gone = *release;
    past->n_live--;
    memmove(release, release + 1, (size_t)(past->live + past->n_live - release) * sizeof(*release));
    return true;
}

/* false: the contract cannot have done this. */
static bool apply(struct history_past *past, const struct history_operation *op,
                  struct registry_release *ret_gone, bool *ret_has_gone)
{
    struct registry_release *release;

    switch ((enum registry_kind)op->event.kind) {
    case REGISTRY_INIT:
        past->state.owner = op->owner;
        past->state.guardian = op->guardian;
        past->state.min_delay_s = op->min_delay_s;
        return op->event.sequence == 1;
    case REGISTRY_APPROVE:
        return add_live(past, &op->release);
    case REGISTRY_REVOKE:
    case REGISTRY_PRUNE:
        *ret_has_gone = take_live(past, op->event.id, ret_gone);
        return *ret_has_gone;
    case REGISTRY_SHORTEN:
        release = live_of(past, op->event.id);
        if (release == NULL)
            return false;
        *ret_gone = *release;
        *ret_has_gone = true;
        release->not_after_s = op->not_after_s;
        return true;
    case REGISTRY_HEARTBEAT:
        past->state.valid_until_s = op->valid_until_s;
        return true;
    case REGISTRY_RAISE_MIN_DELAY:
        past->state.min_delay_s = op->min_delay_s;
        return true;
    case REGISTRY_SET_GUARDIAN:
        past->state.guardian = op->guardian;
        return true;
    case REGISTRY_TRANSFER_STARTED:
        past->pending_owner = op->owner;
        return true;
    case REGISTRY_TRANSFER_ACCEPTED:
        past->state.owner = op->owner;
        past->pending_owner = (struct eth_addr){0};
        return true;
    }
    return false;
}

bool history_past_apply(struct history_past *past, const struct history_operation *operation,
                        struct registry_release *ret_gone)
{
    const struct registry_event *event = &operation->event;
    bool gone = false;

    bool follows = event->sequence == past->state.sequence + 1;
    past->state.sequence = event->sequence;
    past->state.updated_at_s = event->timestamp_s;
    past->state.updated_block = event->block;
    past->state.history_hash = event->history_hash;
    if (past->lost)
        return false;
    if (!follows || !operation->known || !apply(past, operation, ret_gone, &gone)) {
        past->lost = true;
        past->lost_at = event->sequence;
        past->n_live = 0;
        return false;
    }
    return gone;
}

static bool same_state(const struct registry_state *a, const struct registry_state *b)
{
    return a->sequence == b->sequence && a->updated_at_s == b->updated_at_s &&
           a->updated_block == b->updated_block && a->valid_until_s == b->valid_until_s &&
           a->min_delay_s == b->min_delay_s && eth_addr_eq(&a->owner, &b->owner) &&
           eth_addr_eq(&a->guardian, &b->guardian) &&
           eth_hash_eq(&a->history_hash, &b->history_hash);
}

enum ms_err history_past_verify(const struct history_past *past, const struct registry_state *state,
                                struct ms_diag *diag)
{
    struct history_past copy = *past;
    struct registry_snapshot snapshot = {.n_releases = copy.n_live, .releases = copy.live};

    if (past->lost)
        return ms_diag_set(diag, MS_ERR_COMMITMENT,
                           "operation %llu is not understood, so what it led to is not known",
                           (unsigned long long)past->lost_at);
    struct eth_hash releases = registry_releases_hash(&snapshot);
    if (!same_state(&past->state, state) || !eth_hash_eq(&releases, &state->releases_hash))
        return ms_diag_set(diag, MS_ERR_COMMITMENT,
                           "the operations lead to another state than the proven one");
    return MS_OK;
}

enum registry_force history_past_in_force(const struct history_past *past,
                                          const struct registry_release *release, uint64_t time_s)
{
    return registry_in_force(&past->state, release, time_s, 0);
}
