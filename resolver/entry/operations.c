/* resolver/entry/operations.c - stored operations, checked and told. */
#include "resolver/entry/operations.h"

#include "base/hex.h"
#include "resolver/source/contract.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- what a bundle proves ---- */

enum ms_err operations_proof_of(const struct source_result *result,
                                struct operations_proof *ret_proof, struct ms_diag *diag)
{
    struct ms_span hash = ms_json_member_str(result->governance, "history_hash");
    json_int_t block = json_integer_value(json_object_get(result->governance, "updated_block"));
    struct operations_proof proof = {.newest = {.sequence = result->sequence},
                                     .commitment = result->commitment};

    if (result->adapter == NULL || strcmp(result->adapter, "registry") != 0 ||
        !result->has_sequence || !ms_span_starts(hash, "0x") || block < 0 ||
        ms_hex_decode(ms_span_sub(hash, 2, hash.len), proof.newest.hash.b, ETH_HASH_BYTES) != MS_OK)
        return ms_diag_set(diag, MS_ERR_KIND, "only a measurement registry has a history chain");
    proof.newest.block = (uint64_t)block;
    *ret_proof = proof;
    return MS_OK;
}

/* ---- checking ---- */

struct bundle_seen {
    struct ms_sha256 hash;
    struct operations_proof proof;
};

struct operations_check {
    enum ms_err (*prove)(void *arg, const struct ms_sha256 *bundle,
                         struct operations_proof *ret_proof, struct ms_diag *diag);
    void *arg;
    struct operations_verdict verdict;
    struct registry_event last; /* its data is gone */
    struct history_past past;
    struct ms_arena arena; /* what `past` borrows */
    size_t
        n_bundles; /* on which a row of this run rests, and whose newest operation has not come */
    struct bundle_seen bundles[OPERATIONS_BUNDLES_MAX];
};

enum ms_err operations_check_new(enum ms_err (*prove)(void *arg, const struct ms_sha256 *bundle,
                                                      struct operations_proof *ret_proof,
                                                      struct ms_diag *diag),
                                 void *arg, struct operations_check **ret_check)
{
    struct operations_check *check = calloc(1, sizeof(*check));

    if (check == NULL)
        return MS_ERR_MEMORY;
    check->prove = prove;
    check->arg = arg;
    check->arena.max = (size_t)HISTORY_OPERATIONS_MAX * 1024;
    *ret_check = check;
    return MS_OK;
}

void operations_check_free(struct operations_check *check)
{
    if (check == NULL)
        return;
    ms_arena_done(&check->arena);
    free(check);
}

static enum ms_err wrong(struct ms_diag *diag, const struct registry_event *event, const char *what)
{
    char name[HISTORY_NAME_MAX_BYTES];

    history_name(event, name);
    return ms_diag_set(diag, MS_ERR_COMMITMENT, "%s: %s", name, what);
}

/* Where rows are missing, what is below them must not rest on a state above them. */
static enum ms_err end_run(const struct operations_check *check, struct ms_diag *diag)
{
    if (check->n_bundles > 0)
        return wrong(diag, &check->last,
                     "nothing leads from the state it was checked against back to it");
    return MS_OK;
}

static enum ms_err check_place(struct operations_check *check, const struct operations_row *row,
                               struct ms_diag *diag)
{
    static const struct eth_hash none;
    const struct registry_event *event = &row->event, *last = &check->last;
    bool follows = event->sequence == last->sequence + 1;

    if (event->sequence <= last->sequence)
        return wrong(diag, event, "rows are not in order");
    struct eth_hash hash = registry_history_hash(&row->before, event);
    if (!eth_hash_eq(&hash, &event->history_hash))
        return wrong(diag, event, "its hash does not follow from what is stored");
    if (!follows) {
        check->verdict.missing = event->sequence - 1;
        return end_run(check, diag);
    }
    const struct eth_hash *before = event->sequence == 1 ? &none : &last->history_hash;
    uint64_t block = event->sequence == 1 ? 0 : last->block;
    if (!eth_hash_eq(&row->before, before) || event->prev_block != block ||
        event->block < last->block || event->timestamp_s < last->timestamp_s)
        return wrong(diag, event, "it does not follow on the one before");
    return MS_OK;
}

static struct bundle_seen *find(struct operations_check *check, const struct ms_sha256 *hash)
{
    for (size_t i = check->n_bundles; i-- > 0;)
        if (ms_sha256_eq(&check->bundles[i].hash, hash))
            return &check->bundles[i];
    return NULL;
}

static enum ms_err open_bundle(struct operations_check *check, const struct operations_row *row,
                               struct ms_diag *diag)
{
    struct bundle_seen *b = find(check, &row->bundle);

    if (b == NULL && check->n_bundles == OPERATIONS_BUNDLES_MAX)
        return ms_diag_set(diag, MS_ERR_LIMIT,
                           "operations that rest on more than %u states at once",
                           OPERATIONS_BUNDLES_MAX);
    if (b == NULL) {
        b = &check->bundles[check->n_bundles];
        enum ms_err err = check->prove(check->arg, &row->bundle, &b->proof, diag);
        if (err != MS_OK)
            return err;
        b->hash = row->bundle;
        check->n_bundles++;
    }
    if (row->event.sequence > b->proof.newest.sequence)
        return wrong(diag, &row->event, "it is newer than the state it was checked against");
    return MS_OK;
}

/* Operations from the first on lead to what the contract commits to. */
static enum ms_err check_commitment(const struct operations_check *check,
                                    const struct registry_event *event,
                                    const struct ms_sha256 *commitment, struct ms_diag *diag)
{
    struct history_past past = check->past;
    struct registry_snapshot snapshot = {
        .state = past.state, .n_releases = past.n_live, .releases = past.live};

    if (past.state.sequence != event->sequence || past.lost)
        return MS_OK; /* not known: some are missing, or not understood */
    struct eth_hash hash = registry_commitment(&snapshot);
    if (memcmp(hash.b, commitment->b, ETH_HASH_BYTES) != 0)
        return wrong(diag, event,
                     "the operations up to it lead to another state than the proven one");
    return MS_OK;
}

/* A state that is met is done with: rows rise, and none behind it can rest on it. So however many
 * states a long history was checked against, few are remembered. */
static enum ms_err meet_states(struct operations_check *check, const struct registry_event *event,
                               struct ms_diag *diag)
{
    enum ms_err err = MS_OK;
    size_t kept = 0;

    for (size_t i = 0; err == MS_OK && i < check->n_bundles; i++) {
        const struct bundle_seen *b = &check->bundles[i];
        const struct history_at *newest = &b->proof.newest;
        if (newest->sequence != event->sequence) {
            check->bundles[kept++] = *b;
            continue;
        }
        if (!eth_hash_eq(&newest->hash, &event->history_hash) || newest->block != event->block)
            return wrong(diag, event, "it is not the one that its bundle proves");
        err = check_commitment(check, event, &b->proof.commitment, diag);
    }
    check->n_bundles = kept;
    return err;
}

static enum ms_err advance(struct operations_check *check, const struct registry_event *event)
{
    struct history_operation operation;
    struct registry_release gone;

    if (check->past.state.sequence + 1 != event->sequence)
        return MS_OK; /* behind a gap */
    enum ms_err err = history_operation_read(event, &check->arena, &operation);
    if (err != MS_OK)
        return err;
    (void)history_past_apply(&check->past, &operation, &gone);
    if (!check->past.lost)
        check->verdict.recomputed = event->sequence;
    return MS_OK;
}

enum ms_err operations_check_add(struct operations_check *check, const struct operations_row *row,
                                 struct ms_diag *diag)
{
    enum ms_err err = check_place(check, row, diag);
    if (err == MS_OK)
        err = open_bundle(check, row, diag);
    if (err == MS_OK)
        err = advance(check, &row->event);
    if (err == MS_OK)
        err = meet_states(check, &row->event, diag);
    if (err != MS_OK)
        return err;
    check->last = row->event;
    check->last.data = (struct ms_span){0};
    check->verdict.n++;
    check->verdict.newest = row->event.sequence;
    return MS_OK;
}

enum ms_err operations_check_end(struct operations_check *check,
                                 struct operations_verdict *ret_verdict, struct ms_diag *diag)
{
    enum ms_err err = end_run(check, diag);
    if (err != MS_OK)
        return err;
    check->verdict.whole = check->verdict.n > 0 && check->verdict.n == check->verdict.newest;
    *ret_verdict = check->verdict;
    return MS_OK;
}

/* ---- telling ---- */

static json_t *sha256_json(const struct ms_sha256 *hash)
{
    char text[8 + 2 * MS_SHA256_BYTES] = "sha256:";

    ms_sha256_hex(hash, text + 7);
    return json_string(text);
}

/* Times of governance may be any number; JSON's integers are signed. */
static json_t *number_json(uint64_t value)
{
    return json_integer((json_int_t)(value > INT64_MAX ? INT64_MAX : value));
}

static json_t *release_json(const struct registry_release *release,
                            const struct operation_facts *facts)
{
    char version[24];

    (void)snprintf(version, sizeof(version), "%llu", (unsigned long long)release->version);
    json_t *out = json_pack(
        "{s:o, s:s, s:o, s:o, s:i, s:o, s:o, s:o}", "release", number_json(release->id), "version",
        version, "not_before", number_json(release->not_before_s), "not_after",
        number_json(release->not_after_s), "format", (int)release->payload_format, "size",
        number_json(release->payload_size), "payload", sha256_json(&release->payload_hash), "uri",
        json_stringn((const char *)release->uri.ptr, release->uri.len));
    if (out != NULL && facts->has_document != NULL)
        (void)json_object_set_new(
            out, "document",
            json_string(facts->has_document(facts->arg, release) ? "known" : "missing"));
    return out;
}

/* The members that only this kind has. */
static void add_own(json_t *out, const struct history_operation *op)
{
    switch ((enum registry_kind)op->event.kind) {
    case REGISTRY_INIT:
        (void)json_object_set_new(out, "owner", contract_address_json(&op->owner));
        (void)json_object_set_new(out, "guardian", contract_address_json(&op->guardian));
        (void)json_object_set_new(out, "min_delay", number_json(op->min_delay_s));
        return;
    case REGISTRY_REVOKE:
        (void)json_object_set_new(out, "reason", number_json(op->reason));
        return;
    case REGISTRY_HEARTBEAT:
        (void)json_object_set_new(out, "valid_until", number_json(op->valid_until_s));
        return;
    case REGISTRY_RAISE_MIN_DELAY:
        (void)json_object_set_new(out, "min_delay", number_json(op->min_delay_s));
        return;
    case REGISTRY_SET_GUARDIAN:
        (void)json_object_set_new(out, "guardian", contract_address_json(&op->guardian));
        return;
    case REGISTRY_TRANSFER_STARTED:
        (void)json_object_set_new(out, "pending_owner", contract_address_json(&op->owner));
        return;
    case REGISTRY_TRANSFER_ACCEPTED:
        (void)json_object_set_new(out, "owner", contract_address_json(&op->owner));
        return;
    case REGISTRY_APPROVE:
    case REGISTRY_SHORTEN:
    case REGISTRY_PRUNE:
        return;
    }
}

static const struct registry_release *live_of(const struct history_past *past, uint64_t id)
{
    for (size_t i = 0; i < past->n_live; i++)
        if (past->live[i].id == id)
            return &past->live[i];
    return NULL;
}

static void add_live(json_t *out, const struct history_past *past)
{
    json_t *live = json_array();

    for (size_t i = 0; live != NULL && i < past->n_live; i++)
        (void)json_array_append_new(live, number_json(past->live[i].id));
    (void)json_object_set_new(out, "live", live);
}

/* Who governs after it, and so could make the next one. */
static void add_governance(json_t *out, const struct history_past *past)
{
    (void)json_object_set_new(out, "governance",
                              json_pack("{s:o, s:o}", "owner",
                                        contract_address_json(&past->state.owner), "guardian",
                                        contract_address_json(&past->state.guardian)));
}

json_t *operation_json(const struct history_operation *operation, struct history_past *past,
                       const struct operation_facts *facts)
{
    const struct registry_event *event = &operation->event;
    json_t *added = json_array(), *removed = json_array();
    struct registry_release gone;

    bool took = history_past_apply(past, operation, &gone);
    const struct registry_release *now = live_of(past, event->id);
    bool gave = event->kind == REGISTRY_APPROVE || event->kind == REGISTRY_SHORTEN;
    if (took)
        (void)json_array_append_new(removed, release_json(&gone, facts));
    if (gave && now != NULL)
        (void)json_array_append_new(added, release_json(now, facts));
    const char *state = past->lost ? "unknown" : past->n_live > 0 ? "good" : "revoked";
    json_t *out = json_pack(
        "{s:o, s:o, s:s, s:o, s:s, s:o, s:o, s:b, s:o}", "sequence", number_json(event->sequence),
        "time", number_json(event->timestamp_s), "state", state, "block", number_json(event->block),
        "kind", history_kind_name(event->kind), "added", added, "removed", removed, "complete", 1,
        "hash", ms_json_hex(eth_hash_span(&event->history_hash)));
    if (out == NULL)
        return NULL;
    if (event->id != 0)
        (void)json_object_set_new(out, "release", number_json(event->id));
    if (operation->known)
        add_own(out, operation);
    else
        (void)json_object_set_new(out, "data", ms_json_hex(event->data));
    if (!past->lost) {
        add_live(out, past);
        add_governance(out, past);
    }
    if (facts->evidence != NULL)
        (void)json_object_set_new(out, "evidence", sha256_json(facts->evidence));
    if (facts->provider != NULL)
        (void)json_object_set_new(out, "provider", json_string(facts->provider));
    return out;
}
