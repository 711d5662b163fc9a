/* resolver/source/registry.c - decode, recompute the commitment, compare. */
#include "resolver/source/registry.h"

#include "contracts-abi/registry_abi.h"
#include "eth/abi.h"

/* Positions in the answer's parameter list and in its tuples; the ABI decoder made sure they are
 * there. */
enum { ANSWER_STATE = 0, ANSWER_RELEASES, ANSWER_PAYLOADS };
enum {
    STATE_SEQUENCE = 0,
    STATE_UPDATED_AT,
    STATE_UPDATED_BLOCK,
    STATE_VALID_UNTIL,
    STATE_MIN_DELAY,
    STATE_OWNER,
    STATE_GUARDIAN,
    STATE_HISTORY_HASH,
    STATE_RELEASES_HASH,
    STATE_WORDS,
};
enum {
    RELEASE_ID = 0,
    RELEASE_VERSION,
    RELEASE_NOT_BEFORE,
    RELEASE_NOT_AFTER,
    RELEASE_APPROVED_SEQ,
    RELEASE_FORMAT,
    RELEASE_SIZE,
    RELEASE_HASH,
    RELEASE_URI,
    RELEASE_WORDS,
};
enum { EVENT_PREV_BLOCK = 0, EVENT_TIMESTAMP, EVENT_DATA, EVENT_HISTORY_HASH };

/* ---- decoding ---- */
/* A number whose type is at most 64 bits wide, so that it always fits. */
static uint64_t number(const struct eth_abi_value *tuple, size_t i)
{
    uint64_t value = 0;

    if (!eth_word_to_u64(&tuple->items[i].word, &value))
        return 0; /* not reached */
    return value;
}

static void copy_addr(const struct eth_abi_value *tuple, size_t i, struct eth_addr *out)
{
    memcpy(out->b, tuple->items[i].word.b + ETH_WORD_BYTES - ETH_ADDR_BYTES, ETH_ADDR_BYTES);
}

static void copy_hash(const struct eth_abi_value *tuple, size_t i, struct eth_hash *out)
{
    memcpy(out->b, tuple->items[i].word.b, ETH_HASH_BYTES);
}

static void read_state(const struct eth_abi_value *tuple, struct registry_state *out)
{
    out->sequence = number(tuple, STATE_SEQUENCE);
    out->updated_at_s = number(tuple, STATE_UPDATED_AT);
    out->updated_block = number(tuple, STATE_UPDATED_BLOCK);
    out->valid_until_s = number(tuple, STATE_VALID_UNTIL);
    out->min_delay_s = number(tuple, STATE_MIN_DELAY);
    copy_addr(tuple, STATE_OWNER, &out->owner);
    copy_addr(tuple, STATE_GUARDIAN, &out->guardian);
    copy_hash(tuple, STATE_HISTORY_HASH, &out->history_hash);
    copy_hash(tuple, STATE_RELEASES_HASH, &out->releases_hash);
}

static bool uri_is_fine(struct ms_span uri)
{
    if (uri.len > REGISTRY_URI_MAX_BYTES)
        return false;
    for (size_t i = 0; i < uri.len; i++)
        if (uri.ptr[i] < 0x20 || uri.ptr[i] > 0x7e)
            return false;
    return true;
}

static enum ms_err fault(struct ms_diag *diag, enum ms_err err, uint64_t id, const char *what)
{
    return ms_diag_set(diag, err, "registry: release %llu: %s", (unsigned long long)id, what);
}

enum ms_err registry_release_of(const struct eth_abi_value *tuple, struct registry_release *out,
                                struct ms_diag *diag)
{
    out->id = number(tuple, RELEASE_ID);
    out->version = number(tuple, RELEASE_VERSION);
    out->not_before_s = number(tuple, RELEASE_NOT_BEFORE);
    out->not_after_s = number(tuple, RELEASE_NOT_AFTER);
    out->approved_seq = number(tuple, RELEASE_APPROVED_SEQ);
    out->payload_format = (uint16_t)number(tuple, RELEASE_FORMAT);
    out->payload_size = (uint32_t)number(tuple, RELEASE_SIZE);
    memcpy(out->payload_hash.b, tuple->items[RELEASE_HASH].word.b, sizeof(out->payload_hash.b));
    out->uri = tuple->items[RELEASE_URI].bytes;
    if (!uri_is_fine(out->uri))
        return fault(diag, MS_ERR_ABI, out->id, "uri is too long or not printable ASCII");
    return MS_OK;
}

static enum ms_err read_payload(struct ms_span payload, struct registry_release *out,
                                struct ms_diag *diag)
{
    if (payload.len == 0)
        return MS_OK;
    if (payload.len != out->payload_size)
        return fault(diag, MS_ERR_HASH, out->id, "its payload has another size");
    struct ms_sha256 hash = ms_sha256(payload);
    if (!ms_sha256_eq(&hash, &out->payload_hash))
        return fault(diag, MS_ERR_HASH, out->id, "its payload has another SHA-256");
    out->payload = payload;
    return MS_OK;
}

/* payloads is NULL for snapshot(). */
static enum ms_err read_releases(const struct eth_abi_value *live,
                                 const struct eth_abi_value *payloads, struct ms_arena *arena,
                                 struct registry_snapshot *out, struct ms_diag *diag)
{
    uint64_t last_id = 0; /* ids begin at 1 */

    if (live->n > REGISTRY_RELEASES_MAX)
        return ms_diag_set(diag, MS_ERR_ABI, "registry: %zu releases, the limit is %d", live->n,
                           REGISTRY_RELEASES_MAX);
    if (payloads != NULL && payloads->n != live->n)
        return ms_diag_set(diag, MS_ERR_ABI, "registry: not one payload for each release");
    out->n_releases = live->n;
    out->releases = ms_arena_alloc(arena, live->n, sizeof(*out->releases));
    if (out->releases == NULL)
        return MS_ERR_MEMORY;
    for (size_t i = 0; i < live->n; i++) {
        struct registry_release *release = &out->releases[i];
        enum ms_err err = registry_release_of(&live->items[i], release, diag);
        if (err == MS_OK && release->id <= last_id)
            err = fault(diag, MS_ERR_ABI, release->id, "ids do not rise");
        if (err == MS_OK && payloads != NULL)
            err = read_payload(payloads->items[i].bytes, release, diag);
        if (err != MS_OK)
            return err;
        last_id = release->id;
    }
    return MS_OK;
}

static enum ms_err decode(struct ms_span answer, const char *returns, bool with_payloads,
                          struct ms_arena *arena, struct registry_snapshot *ret_snapshot,
                          struct ms_diag *diag)
{
    const struct eth_abi_type *type = NULL;
    struct registry_snapshot snapshot = {0};
    struct eth_abi_value value;

    enum ms_err err = eth_abi_params_parse(ms_span_str(returns), arena, &type);
    if (err == MS_OK)
        err = eth_abi_decode(type, answer, arena, &value, diag);
    if (err != MS_OK)
        return err;
    read_state(&value.items[ANSWER_STATE], &snapshot.state);
    err =
        read_releases(&value.items[ANSWER_RELEASES],
                      with_payloads ? &value.items[ANSWER_PAYLOADS] : NULL, arena, &snapshot, diag);
    if (err == MS_OK)
        *ret_snapshot = snapshot;
    return err;
}

enum ms_err registry_decode(struct ms_span answer, struct ms_arena *arena,
                            struct registry_snapshot *ret_snapshot, struct ms_diag *diag)
{
    return decode(answer, REGISTRY_RETURNS_SNAPSHOT_WITH_PAYLOADS, true, arena, ret_snapshot, diag);
}

enum ms_err registry_decode_bare(struct ms_span answer, struct ms_arena *arena,
                                 struct registry_snapshot *ret_snapshot, struct ms_diag *diag)
{
    return decode(answer, REGISTRY_RETURNS_SNAPSHOT, false, arena, ret_snapshot, diag);
}

/* ---- commitment ---- */
static void add_u64(struct eth_keccak *k, uint64_t value)
{
    struct eth_word word = eth_word_u64(value);
    eth_keccak_add(k, eth_word_span(&word));
}

static void add_addr(struct eth_keccak *k, const struct eth_addr *addr)
{
    struct eth_word word = {0};
    memcpy(word.b + ETH_WORD_BYTES - ETH_ADDR_BYTES, addr->b, ETH_ADDR_BYTES);
    eth_keccak_add(k, eth_word_span(&word));
}

static struct eth_hash release_hash(const struct registry_release *release)
{
    static const struct eth_hash type = REGISTRY_TYPE_RELEASE;
    struct eth_hash uri = eth_keccak256(release->uri);
    struct eth_keccak k;

    eth_keccak_init(&k);
    eth_keccak_add(&k, eth_hash_span(&type));
    add_u64(&k, release->id);
    add_u64(&k, release->version);
    add_u64(&k, release->not_before_s);
    add_u64(&k, release->not_after_s);
    add_u64(&k, release->approved_seq);
    add_u64(&k, release->payload_format);
    add_u64(&k, release->payload_size);
    eth_keccak_add(&k, ms_span_of(release->payload_hash.b, sizeof(release->payload_hash.b)));
    eth_keccak_add(&k, eth_hash_span(&uri));
    return eth_keccak_end(&k);
}

struct eth_hash registry_releases_hash(const struct registry_snapshot *snapshot)
{
    struct eth_keccak k;

    eth_keccak_init(&k);
    for (size_t i = 0; i < snapshot->n_releases; i++) {
        struct eth_hash leaf = release_hash(&snapshot->releases[i]);
        eth_keccak_add(&k, eth_hash_span(&leaf));
    }
    return eth_keccak_end(&k);
}

/* With the hash of its releases. */
static struct eth_hash state_hash(const struct registry_state *state,
                                  const struct eth_hash *releases)
{
    static const struct eth_hash type = REGISTRY_TYPE_STATE;
    struct eth_keccak k;

    eth_keccak_init(&k);
    eth_keccak_add(&k, eth_hash_span(&type));
    add_u64(&k, state->sequence);
    add_u64(&k, state->updated_at_s);
    add_u64(&k, state->updated_block);
    add_u64(&k, state->valid_until_s);
    add_u64(&k, state->min_delay_s);
    add_addr(&k, &state->owner);
    add_addr(&k, &state->guardian);
    eth_keccak_add(&k, eth_hash_span(&state->history_hash));
    eth_keccak_add(&k, eth_hash_span(releases));
    return eth_keccak_end(&k);
}

struct eth_hash registry_commitment(const struct registry_snapshot *snapshot)
{
    struct eth_hash releases = registry_releases_hash(snapshot);

    return state_hash(&snapshot->state, &releases);
}

enum ms_err registry_verify(const struct eth_word *slot0, struct ms_span answer,
                            struct ms_arena *arena, struct registry_snapshot *ret_snapshot,
                            struct ms_diag *diag)
{
    struct registry_snapshot snapshot;
    enum ms_err err = registry_decode(answer, arena, &snapshot, diag);

    if (err != MS_OK)
        return err;
    struct eth_hash releases = registry_releases_hash(&snapshot);
    if (!eth_hash_eq(&releases, &snapshot.state.releases_hash))
        return ms_diag_set(diag, MS_ERR_COMMITMENT,
                           "registry: releasesHash is not that of the releases");
    struct eth_hash commitment = state_hash(&snapshot.state, &releases);
    if (memcmp(commitment.b, slot0->b, ETH_HASH_BYTES) != 0)
        return ms_diag_set(diag, MS_ERR_COMMITMENT,
                           "registry: the snapshot is not the one that slot 0 commits to");
    *ret_snapshot = snapshot;
    return MS_OK;
}

enum registry_force registry_in_force(const struct registry_state *state,
                                      const struct registry_release *release, uint64_t chain_time_s,
                                      int64_t wall_time_s)
{
    uint64_t later_s = chain_time_s;

    if (wall_time_s > 0 && (uint64_t)wall_time_s > later_s)
        later_s = (uint64_t)wall_time_s;
    if (release->not_after_s != 0 && later_s >= release->not_after_s)
        return REGISTRY_ENDED;
    if (state->valid_until_s != 0 && later_s > state->valid_until_s)
        return REGISTRY_LAPSED;
    if (release->not_before_s > chain_time_s)
        return REGISTRY_PENDING;
    return REGISTRY_IN_FORCE;
}

/* ---- history ---- */
static const struct eth_hash history_topic = REGISTRY_EVENT_HISTORY_APPENDED;

bool registry_is_history(const struct eth_log *log)
{
    return log->n_topics > 0 && eth_hash_eq(&log->topics[0], &history_topic);
}

/* An indexed number; false when it does not fit its type. */
static bool topic_u64(const struct eth_hash *topic, uint64_t max, uint64_t *ret_value)
{
    struct eth_word word = eth_word_of_hash(topic);
    return eth_word_to_u64(&word, ret_value) && *ret_value <= max;
}

enum ms_err registry_event_decode(const struct eth_log *log, struct ms_arena *arena,
                                  struct registry_event *ret_event, struct ms_diag *diag)
{
    const struct eth_abi_type *type = NULL;
    struct registry_event event = {.block = log->block};
    struct eth_abi_value value;
    uint64_t kind = 0;

    if (log->n_topics != 4 || !registry_is_history(log) ||
        !topic_u64(&log->topics[1], UINT64_MAX, &event.sequence) ||
        !topic_u64(&log->topics[2], UINT8_MAX, &kind) ||
        !topic_u64(&log->topics[3], UINT64_MAX, &event.id))
        return ms_diag_set(diag, MS_ERR_ABI, "registry: not a HistoryAppended log");
    enum ms_err err =
        eth_abi_params_parse(ms_span_str(REGISTRY_LOG_DATA_HISTORY_APPENDED), arena, &type);
    if (err == MS_OK)
        err = eth_abi_decode(type, log->data, arena, &value, diag);
    if (err != MS_OK)
        return err;
    event.kind = (uint8_t)kind;
    event.prev_block = number(&value, EVENT_PREV_BLOCK);
    event.timestamp_s = number(&value, EVENT_TIMESTAMP);
    event.data = value.items[EVENT_DATA].bytes;
    copy_hash(&value, EVENT_HISTORY_HASH, &event.history_hash);
    *ret_event = event;
    return MS_OK;
}

struct eth_hash registry_history_hash(const struct eth_hash *before,
                                      const struct registry_event *event)
{
    struct eth_hash data = eth_keccak256(event->data);
    struct eth_keccak k;

    eth_keccak_init(&k);
    eth_keccak_add(&k, eth_hash_span(before));
    add_u64(&k, event->sequence);
    add_u64(&k, event->kind);
    add_u64(&k, event->id);
    add_u64(&k, event->block);
    add_u64(&k, event->timestamp_s);
    add_u64(&k, event->prev_block);
    eth_keccak_add(&k, eth_hash_span(&data));
    return eth_keccak_end(&k);
}
