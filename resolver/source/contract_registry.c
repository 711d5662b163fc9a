/* resolver/source/contract_registry.c - the adapter of our own registry (ethereum.md 3.1 to 3.5):
 * one call, one storage key; slot 0 commits to everything the call says. */
#include "contracts-abi/registry_abi.h"
#include "resolver/source/contract.h"
#include "resolver/source/documents.h"
#include "resolver/source/registry.h"

#include <stdio.h>

struct own {
    struct registry_snapshot snapshot, head_snapshot;
    struct documents documents;
    bool asked; /* for documents */
};

static struct own *own_of(const struct source *s)
{
    return contract_of(s)->own;
}

/* ---- the data ---- */

static enum source_state prepare(struct source *s)
{
    static const uint8_t selector[4] = REGISTRY_CALL_SNAPSHOT_WITH_PAYLOADS;
    static const struct ms_span call = {selector, sizeof(selector)};
    static const struct eth_word slot0;
    struct contract *c = contract_of(s);

    if (contract_own(s, sizeof(struct own)) == NULL)
        return SOURCE_FAILED;
    c->plan.n_calls = 1;
    c->plan.calls = &call;
    c->plan.n_keys = 1;
    c->plan.keys = &slot0;
    return SOURCE_DONE;
}

/* What one reading says: the snapshot against slot 0. */
static enum ms_err read_snapshot(struct source *s, const struct reading *r,
                                 struct registry_snapshot *ret, struct ms_diag *diag)
{
    const struct reading_peer *answer = reading_answer(r);
    struct ms_span call = answer->calls[0];

    if (r->proven && eth_word_is_zero(&answer->values[0]))
        return ms_diag_set(diag, MS_ERR_KIND, "slot 0 of the contract is empty: no registry");
    if (call.len == 0 && contract_is_reference(r))
        return ms_diag_set(diag, MS_ERR_COMMITMENT,
                           "answers with nothing although slot 0 commits to a state");
    if (call.len == 0 && !r->proven)
        return MS_ERR_NO_CODE;
    if (call.len == 0) /* below L3 that is what the level takes for true */
        return ms_diag_set(diag, contract_of(s)->level < SPEC_LEVEL_L3 ? MS_ERR_KIND : MS_ERR_ABI,
                           "answers the registry's call with nothing");
    return r->proven ? registry_verify(&answer->values[0], call, &s->arena, ret, diag)
                     : registry_decode(call, &s->arena, ret, diag);
}

/* Answers of other contracts may contradict themselves (see reject in contract.c), so only the
 * registry's own count. */
static bool agrees(struct reading *r, const struct reading_peer *peer)
{
    static const struct eth_hash known = REGISTRY_CODE_HASH;
    struct source *s = r->trusted->set->s;
    struct ms_arena scratch = MS_ARENA_INIT(s->arena.max);
    struct registry_snapshot ignored;

    if (!eth_hash_eq(&known, &peer->at[0].account.code_hash))
        return true;
    enum ms_err err = registry_verify(&peer->values[0], peer->calls[0], &scratch, &ignored, NULL);
    ms_arena_done(&scratch);
    if (err == MS_ERR_COMMITMENT || err == MS_ERR_ABI)
        s->lied[peer - r->peers] = true;
    return err != MS_ERR_COMMITMENT && err != MS_ERR_ABI;
}

/* Documents are not part of the commitment: who leaves out one that can be had nowhere else is of
 * no use. */
static enum ms_err check_documents(const struct source *s, const struct registry_snapshot *snapshot,
                                   struct ms_diag *diag)
{
    for (size_t i = 0; i < snapshot->n_releases; i++) {
        const struct registry_release *release = &snapshot->releases[i];
        bool over = release->not_after_s != 0 && release->not_after_s <= (uint64_t)s->started_s;
        if (release->payload.len == 0 && release->uri.len == 0 && !over)
            return ms_diag_set(diag, MS_ERR_HASH, "gives no document for release %llu",
                               (unsigned long long)release->id);
    }
    return MS_OK;
}

static enum ms_err verify(struct source *s, const struct reading *r, struct ms_diag *diag)
{
    struct own *own = own_of(s);

    if (r->head)
        return read_snapshot(s, r, &own->head_snapshot, diag);
    enum ms_err err = read_snapshot(s, r, &own->snapshot, diag);
    return err == MS_OK ? check_documents(s, &own->snapshot, diag) : err;
}

/* ---- what the newest state takes away ---- */

/* What the newest state says of a release of the finalized one: false when it was taken away; its
 * end, when it was brought forward. A newest state that is older than the finalized one says
 * nothing. */
static bool head_keeps(const struct source *s, const struct registry_release *release,
                       uint64_t *ret_not_after_s)
{
    const struct own *own = own_of(s);

    *ret_not_after_s = release->not_after_s;
    if (!contract_of(s)->has_head ||
        own->head_snapshot.state.sequence < own->snapshot.state.sequence)
        return true;
    for (size_t i = 0; i < own->head_snapshot.n_releases; i++) {
        const struct registry_release *newest = &own->head_snapshot.releases[i];
        if (newest->id != release->id)
            continue;
        if (newest->not_after_s != 0 &&
            (release->not_after_s == 0 || newest->not_after_s < release->not_after_s))
            *ret_not_after_s = newest->not_after_s;
        return true;
    }
    return false;
}

static enum source_state add_release(struct source *s, size_t i)
{
    struct own *own = own_of(s);
    const struct registry_release *release = &own->snapshot.releases[i];
    uint64_t not_after_s = 0;
    char version[24];

    if (!head_keeps(s, release, &not_after_s)) {
        source_result_warn(s->result, "revoked-at-head",
                           "release %llu was revoked in block %llu, which is not final yet",
                           (unsigned long long)release->id,
                           (unsigned long long)contract_of(s)->trusted.head.header.number);
        return SOURCE_DONE;
    }
    struct source_release *out = source_result_add_release(s->result);
    if (out == NULL)
        return source_fail(s, MS_ERR_MEMORY, NULL);
    (void)snprintf(version, sizeof(version), "%llu", (unsigned long long)release->version);
    out->id = release->id;
    out->version = ms_arena_strdup(&s->result->arena, ms_span_str(version));
    out->not_before_s = source_clamp_time(release->not_before_s);
    out->not_after_s = source_clamp_time(not_after_s);
    if (out->version == NULL)
        return source_fail(s, MS_ERR_MEMORY, NULL);
    /* without a document its time is over: listed, never in force */
    if (own->documents.payloads[i].len == 0 || documents_read(s, &own->documents, i, out->set))
        return SOURCE_DONE;
    return SOURCE_FAILED;
}

static void hash_u64(struct ms_buf *text, uint64_t value)
{
    for (int shift = 56; shift >= 0; shift -= 8)
        (void)ms_buf_add_byte(text, (uint8_t)(value >> shift));
}

/* What the newest state takes away, as one hash; zero when it takes nothing. */
static enum ms_err hash_overlay(const struct source *s, struct ms_sha256 *ret_overlay)
{
    const struct own *own = own_of(s);
    struct ms_buf text = MS_BUF_INIT(64 + REGISTRY_RELEASES_MAX * 16);

    for (size_t i = 0; i < own->snapshot.n_releases; i++) {
        const struct registry_release *release = &own->snapshot.releases[i];
        uint64_t not_after_s = 0;
        bool kept = head_keeps(s, release, &not_after_s);
        if (kept && not_after_s == release->not_after_s)
            continue;
        hash_u64(&text, release->id);
        hash_u64(&text, kept ? not_after_s : 0);
    }
    enum ms_err err = ms_buf_err(&text);
    if (err == MS_OK && text.len > 0)
        *ret_overlay = ms_sha256(ms_buf_span(&text));
    ms_buf_done(&text);
    return err;
}

static json_t *governance_json(const struct source *s)
{
    const struct registry_state *r = &own_of(s)->snapshot.state;
    json_t *out = contract_governance(s);
    json_t *own = json_pack(
        "{s:o, s:o, s:I, s:I, s:I, s:o}", "owner", contract_address_json(&r->owner), "guardian",
        contract_address_json(&r->guardian), "min_delay", (json_int_t)r->min_delay_s, "updated_at",
        (json_int_t)r->updated_at_s, "updated_block", (json_int_t)r->updated_block, "history_hash",
        contract_hash_json(r->history_hash.b));

    if (out == NULL || own == NULL || json_object_update(out, own) != 0) {
        json_decref(out);
        out = NULL;
    }
    json_decref(own);
    return out;
}

/* `commitment()` returns slot 0, which commits to all there is to know. */
static bool set_probe(const struct source *s, struct source_result *r)
{
    const struct contract *c = contract_of(s);
    const struct own *own = own_of(s);
    static const uint8_t selector[4] = REGISTRY_CALL_COMMITMENT;

    if (c->kept != NULL)
        return true; /* nobody could prove that it still stands */
    struct eth_hash final;
    memcpy(final.b, r->commitment.b, ETH_HASH_BYTES);
    struct eth_hash head = c->has_head ? registry_commitment(&own->head_snapshot) : final;
    struct source_probe_call *call = ms_arena_alloc(&r->arena, 1, sizeof(*call));
    const char *data = ms_arena_strdup(&r->arena, ms_span_of(selector, sizeof(selector)));
    const char *final_copy = ms_arena_strdup(&r->arena, eth_hash_span(&final));
    const char *head_copy = ms_arena_strdup(&r->arena, eth_hash_span(&head));

    if (call == NULL || data == NULL || final_copy == NULL || head_copy == NULL)
        return false;
    *call = (struct source_probe_call){.to = s->spec->address,
                                       .data = ms_span_of(data, sizeof(selector)),
                                       .final = ms_span_of(final_copy, ETH_HASH_BYTES),
                                       .head = ms_span_of(head_copy, ETH_HASH_BYTES)};
    r->probe = (struct source_probe){
        .known_code = contract_is_reference(&c->final), .n_calls = 1, .calls = call};
    return contract_probe_slots(s, r);
}

static enum source_state finish(struct source *s)
{
    const struct own *own = own_of(s);
    struct source_result *r = source_result_begin(s);

    if (r == NULL)
        return source_fail(s, MS_ERR_MEMORY, NULL);
    for (size_t i = 0; i < own->snapshot.n_releases; i++)
        if (add_release(s, i) != SOURCE_DONE)
            return SOURCE_FAILED;
    struct eth_hash commitment = registry_commitment(&own->snapshot);
    memcpy(r->commitment.b, commitment.b, MS_SHA256_BYTES);
    r->has_sequence = true;
    r->sequence = own->snapshot.state.sequence;
    r->valid_until_s = source_clamp_time(own->snapshot.state.valid_until_s);
    r->governance = governance_json(s);
    if (r->governance == NULL || hash_overlay(s, &r->overlay) != MS_OK || !set_probe(s, r))
        return source_fail(s, MS_ERR_MEMORY, NULL);
    contract_facts(s, r);
    return source_finish(s);
}

/* ---- documents ---- */

static bool still_of_use(const struct source *s, const struct registry_release *release)
{
    uint64_t ignored = 0;
    if (!head_keeps(s, release, &ignored))
        return false;
    return release->not_after_s == 0 || release->not_after_s > (uint64_t)s->started_s;
}

static enum source_state after(struct source *s)
{
    struct own *own = own_of(s);

    if (!own->asked) {
        own->asked = true;
        own->documents.n = own->snapshot.n_releases;
        own->documents.releases = own->snapshot.releases;
        for (size_t i = 0; i < own->documents.n; i++)
            own->documents.unneeded[i] = !still_of_use(s, &own->snapshot.releases[i]);
        if (!documents_ask(s, &own->documents))
            return SOURCE_FAILED;
    }
    return own->documents.out > 0 ? SOURCE_WANTS : finish(s);
}

static enum source_state document(struct source *s, const struct source_response *response)
{
    return documents_take(s, &own_of(s)->documents, response) ? after(s) : s->state;
}

static struct eth_addr owner(const struct source *s)
{
    return own_of(s)->snapshot.state.owner;
}

const struct contract_adapter contract_registry = {
    .name = "registry",
    .prepare = prepare,
    .agrees = agrees,
    .verify = verify,
    .after = after,
    .document = document,
    .owner = owner,
};
