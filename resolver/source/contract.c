/* resolver/source/contract.c - a registry read from a chain (ethereum.md sections 2 and 3).
 *
 *   BLOCK    which finalized block is believed, and which newest one (trusted.h)
 *   DATA     the registry at both (reading.h): finalized state approves, the newest may only take
 * away CODE     the contract's code, when its hash is not that of the reference contract PAYLOAD
 * documents of releases that are not on chain, from anywhere, by their SHA-256
 *
 * A level is never lowered: what cannot be reached fails, and the entry ages. */
#include "base/gzip.h"
#include "base/hex.h"
#include "contracts-abi/registry_abi.h"
#include "eth/mpt.h"
#include "resolver/source/reading.h"
#include "resolver/source/registry.h"

#include <stdio.h>

#define CONTRACT_WARN_AGE_S 1800 /* finality this old is worth a warning (T2) */
#define CONTRACT_FRESH_S 120     /* F and W, ethereum.md 6.2 */
#define CONTRACT_SIE_S 3600      /* E */
#define CONTRACT_NO_CODE_S 300   /* N: no code, or no contract we know */
#define CONTRACT_REVERT_S 60     /* N: revert */
#define CONTRACT_GZIP_RATIO 256u
#define CONTRACT_WHAT_FINAL (TRUSTED_WHAT_END)
#define CONTRACT_WHAT_HEAD (TRUSTED_WHAT_END + READING_PARTS)

enum phase { PHASE_BLOCK = 0, PHASE_DATA, PHASE_CODE, PHASE_PAYLOAD };

struct contract {
    enum phase phase;
    enum spec_level level;
    struct rpcset set;
    struct trusted trusted;
    struct reading final, head;
    bool reads_head; /* the newest block is another one and may be asked for */
    struct registry_snapshot snapshot, head_snapshot;
    bool has_head;                              /* head_snapshot is verified */
    size_t payload_of[SOURCE_REQUESTS_MAX + 1]; /* by request id: index of the release, plus one */
    size_t payloads_out;
    struct ms_span payloads[REGISTRY_RELEASES_MAX];
};

static struct contract *state_of(struct source *s)
{
    return s->kind_state;
}

/* ---- results of calls ---- */

static void on_result(struct rpcset *set, uint32_t peer, const struct rpc_call *call,
                      const json_t *result)
{
    struct contract *c = set->owner;

    if (call->what < TRUSTED_WHAT_END)
        trusted_result(&c->trusted, peer, call, result);
    else if (reading_owns(&c->final, call))
        reading_result(&c->final, peer, call, result);
    else
        reading_result(&c->head, peer, call, result);
}

static bool on_failed(struct rpcset *set, uint32_t peer, const struct rpc_call *call,
                      enum ms_err err, const struct ms_diag *diag)
{
    struct contract *c = set->owner;

    if (call->what < TRUSTED_WHAT_END)
        return false;
    return reading_failed(reading_owns(&c->final, call) ? &c->final : &c->head, peer, call, err,
                          diag);
}

/* ---- the data ---- */

static enum source_state no_code(struct source *s)
{
    char text[ETH_ADDR_TEXT + 1];
    eth_addr_text(&s->spec->address, text);
    return source_fail_negative(s, MS_ERR_NO_CODE, CONTRACT_NO_CODE_S,
                                "there is no contract at %s on chain %llu", text,
                                (unsigned long long)s->spec->chain);
}

static bool has_code(const struct eth_account *account)
{
    return account->exists && !eth_hash_eq(&account->code_hash, &eth_empty_code_hash);
}

/* Whether the account proof says that the code is the reference registry's. */
static bool reference_code(const struct reading *r)
{
    static const struct eth_hash known = REGISTRY_CODE_HASH;
    return r->proven && eth_hash_eq(&known, &reading_answer(r)->account.code_hash);
}

/* An answer that slot 0 does not commit to is the provider's lie only where the registry's own code
 * gave it: any other contract, which a stranger may deploy and name in a URL, may contradict itself
 * and must not cost honest providers their place. */
static void reject(struct source *s, struct reading *r, enum ms_err err, const struct ms_diag *diag)
{
    if (err == MS_ERR_COMMITMENT && reference_code(r))
        s->lied[r->from] = true;
    reading_reject(r, err, diag);
}

/* What one reading says: proof, code, then the snapshot against slot 0. */
static enum ms_err read_snapshot(struct source *s, const struct reading *r,
                                 struct registry_snapshot *ret, struct ms_diag *diag)
{
    const struct reading_peer *answer = reading_answer(r);

    if (r->proven && !has_code(&answer->account))
        return MS_ERR_NO_CODE;
    if (r->proven && eth_word_is_zero(&answer->slot0))
        return ms_diag_set(diag, MS_ERR_KIND, "slot 0 of the contract is empty: no registry");
    if (answer->call.len == 0 && reference_code(r))
        return ms_diag_set(diag, MS_ERR_COMMITMENT,
                           "answers with nothing although slot 0 commits to a state");
    if (answer->call.len == 0)
        return r->proven
                   ? ms_diag_set(diag, MS_ERR_KIND, "answers the registry's call with nothing")
                   : MS_ERR_NO_CODE;
    return r->proven ? registry_verify(&answer->slot0, answer->call, &s->arena, ret, diag)
                     : registry_decode(answer->call, &s->arena, ret, diag);
}

static enum source_state restart_with_next(struct source *s);
static enum source_state after_data(struct source *s);

static enum source_state data_failed(struct source *s)
{
    struct contract *c = state_of(s);
    struct ms_diag diag = {0};

    if (s->err != MS_OK)
        return SOURCE_FAILED;
    if (reading_reverted(&c->final))
        return source_fail_negative(s, MS_ERR_KIND, CONTRACT_REVERT_S,
                                    "the contract reverts: it is no measurement registry");
    if (c->trusted.one_by_one && c->level < SPEC_LEVEL_L3)
        return restart_with_next(s);
    enum ms_err err = reading_why(&c->final, &diag);
    return source_fail(s, err, &diag);
}

/* Answers of other contracts may contradict themselves (see reject), so only the registry's own
 * count. */
static bool agrees(struct reading *r, const struct reading_peer *peer)
{
    static const struct eth_hash known = REGISTRY_CODE_HASH;
    struct source *s = r->trusted->set->s;
    struct ms_arena scratch = MS_ARENA_INIT(s->arena.max);
    struct registry_snapshot ignored;

    if (!eth_hash_eq(&known, &peer->account.code_hash))
        return true;
    enum ms_err err = registry_verify(&peer->slot0, peer->call, &scratch, &ignored, NULL);
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

/* The finalized state: it must be had, or the attempt fails. */
static enum source_state judge_final(struct source *s)
{
    struct contract *c = state_of(s);

    for (;;) {
        struct ms_diag diag = {0};
        switch (reading_judge(&c->final)) {
        case READING_FAILED:
            return data_failed(s);
        case READING_MORE:
            return SOURCE_WANTS;
        case READING_DIFFER:
            return source_failf(s, MS_ERR_DISSENT,
                                "RPC groups answer the same call at the same block differently");
        case READING_DONE:
            break;
        }
        enum ms_err err = read_snapshot(s, &c->final, &c->snapshot, &diag);
        if (err == MS_OK)
            err = check_documents(s, &c->snapshot, &diag);
        if (err == MS_OK)
            return SOURCE_DONE;
        if (err == MS_ERR_NO_CODE)
            return no_code(s);
        /* at L3 an empty answer is one provider's word, an empty slot 0 is proven */
        if (err == MS_ERR_KIND &&
            (c->level < SPEC_LEVEL_L3 || eth_word_is_zero(&reading_answer(&c->final)->slot0)))
            return source_fail_negative(s, err, CONTRACT_NO_CODE_S,
                                        "the contract is no measurement registry");
        if (c->level == SPEC_LEVEL_L2)
            return source_fail(s, err, &diag); /* a quorum said it: nobody is left to say better */
        reject(s, &c->final, err, &diag);
    }
}

/* The newest state can only take away, so failing to have it is no failure. */
static enum source_state judge_head(struct source *s)
{
    struct contract *c = state_of(s);

    while (c->reads_head) {
        struct ms_diag diag = {0};
        enum reading_state state = reading_judge(&c->head);
        if (s->err != MS_OK)
            return SOURCE_FAILED;
        if (state == READING_MORE)
            return SOURCE_WANTS;
        if (state != READING_DONE)
            return SOURCE_DONE;
        enum ms_err err = read_snapshot(s, &c->head, &c->head_snapshot, &diag);
        if (err == MS_OK) {
            c->has_head = true;
            return SOURCE_DONE;
        }
        reject(s, &c->head, err, &diag);
    }
    return SOURCE_DONE;
}

static enum source_state judge_data(struct source *s)
{
    enum source_state state = judge_final(s);

    if (state == SOURCE_DONE)
        state = judge_head(s);
    return state == SOURCE_DONE ? after_data(s) : state;
}

static enum source_state start_data(struct source *s)
{
    static const uint8_t selector[4] = REGISTRY_CALL_SNAPSHOT_WITH_PAYLOADS;
    struct contract *c = state_of(s);
    const struct trusted *t = &c->trusted;
    struct ms_span data = ms_span_of(selector, sizeof(selector));

    c->phase = PHASE_DATA;
    reading_init(&c->final, &c->trusted, &t->final, false, CONTRACT_WHAT_FINAL, &s->spec->address,
                 data);
    reading_init(&c->head, &c->trusted, &t->head, true, CONTRACT_WHAT_HEAD, &s->spec->address,
                 data);
    c->final.agrees = c->head.agrees = agrees;
    c->reads_head = t->head.how != TRUSTED_NOT && t->head.header.number > t->final.header.number;
    if (!reading_ask(&c->final))
        return data_failed(s);
    if (c->reads_head)
        c->reads_head = reading_ask(&c->head);
    return s->err == MS_OK ? SOURCE_WANTS : SOURCE_FAILED;
}

/* L0, L1: the one that was asked is of no use; the next one is asked from the start. */
static enum source_state restart_with_next(struct source *s)
{
    struct contract *c = state_of(s);
    struct ms_diag diag = {0};

    enum ms_err err = reading_why(&c->final, &diag);
    rpcset_kill(&c->set, c->trusted.current, err, &diag);
    c->phase = PHASE_BLOCK;
    return trusted_ask(&c->trusted);
}

/* ---- code ---- */

/* `code=` pins what the account proof says. */
static enum source_state check_code_pin(struct source *s)
{
    struct contract *c = state_of(s);
    const struct reading_peer *answer = reading_answer(&c->final);

    if (!s->spec->has_code)
        return SOURCE_DONE;
    if (!c->final.proven)
        return source_failf(s, MS_ERR_CODE_IDENTITY,
                            "code= needs an endpoint that proves finalized state");
    if (memcmp(s->spec->code, answer->account.code_hash.b, ETH_HASH_BYTES) != 0)
        return source_failf(s, MS_ERR_CODE_IDENTITY,
                            "the contract's code is not the one pinned by code=");
    return SOURCE_DONE;
}

static enum source_state want_payloads(struct source *s);

static enum source_state after_data(struct source *s)
{
    struct contract *c = state_of(s);

    if (check_code_pin(s) != SOURCE_DONE)
        return SOURCE_FAILED;
    if (!c->final.proven || reference_code(&c->final))
        return want_payloads(s);
    c->phase = PHASE_CODE;
    return reading_ask_code(&c->final) ? SOURCE_WANTS : SOURCE_FAILED;
}

/* An account whose code is a pointer to other code (EIP-7702) can be turned by one key: no registry
 * (T4). */
static enum source_state judge_code(struct source *s)
{
    static const uint8_t delegation[3] = {0xef, 0x01, 0x00};
    struct contract *c = state_of(s);
    const struct reading_peer *answer = reading_answer(&c->final);
    struct ms_diag diag = {0};

    if (!answer->has_code || !answer->has_implementation || answer->failed)
        return source_fail(s, answer->err == MS_OK ? MS_ERR_RPC : answer->err, &answer->diag);
    struct eth_hash hash = eth_keccak256(answer->code);
    if (!eth_hash_eq(&hash, &answer->account.code_hash)) {
        (void)ms_diag_set(&diag, MS_ERR_PROOF, "gives code that is not what its proof says");
        reading_reject(&c->final, MS_ERR_PROOF, &diag);
        return source_fail(s, MS_ERR_PROOF, &answer->diag);
    }
    if (answer->code.len == 23 && memcmp(answer->code.ptr, delegation, sizeof(delegation)) == 0)
        return source_fail_negative(s, MS_ERR_KIND, CONTRACT_NO_CODE_S,
                                    "the address is an account with delegated code (EIP-7702): its "
                                    "one key can change what it says");
    return want_payloads(s);
}

/* ---- payloads ---- */

/* What the newest state says of a release of the finalized one: false when it was taken away; its
 * end, when it was brought forward. A newest state that is older than the finalized one says
 * nothing. */
static bool head_keeps(const struct contract *c, const struct registry_release *release,
                       uint64_t *ret_not_after_s)
{
    *ret_not_after_s = release->not_after_s;
    if (!c->has_head || c->head_snapshot.state.sequence < c->snapshot.state.sequence)
        return true;
    for (size_t i = 0; i < c->head_snapshot.n_releases; i++) {
        const struct registry_release *newest = &c->head_snapshot.releases[i];
        if (newest->id != release->id)
            continue;
        if (newest->not_after_s != 0 &&
            (release->not_after_s == 0 || newest->not_after_s < release->not_after_s))
            *ret_not_after_s = newest->not_after_s;
        return true;
    }
    return false;
}

static bool still_of_use(const struct source *s, const struct registry_release *release)
{
    uint64_t ignored = 0;
    if (!head_keeps(s->kind_state, release, &ignored))
        return false;
    return release->not_after_s == 0 || release->not_after_s > (uint64_t)s->started_s;
}

static enum source_state finish(struct source *s);

/* Ask for documents that are not on chain. Their warrant is the hash in the proven state, so any
 * https location will do. A release whose time is over needs none. */
static enum source_state want_payloads(struct source *s)
{
    struct contract *c = state_of(s);

    c->phase = PHASE_PAYLOAD;
    for (size_t i = 0; i < c->snapshot.n_releases; i++) {
        const struct registry_release *release = &c->snapshot.releases[i];
        struct ms_diag diag = {0};
        c->payloads[i] = release->payload;
        if (release->payload.len > 0 || !still_of_use(s, release))
            continue;
        if (release->payload_size > SOURCE_BODY_MAX_BYTES)
            return source_failf(
                s, MS_ERR_TOO_LARGE,
                "release %llu has no document on chain and one of %u bytes elsewhere",
                (unsigned long long)release->id, release->payload_size);
        struct spec_location *location = ms_arena_alloc(&s->arena, 1, sizeof(*location));
        if (location == NULL)
            return source_fail(s, MS_ERR_MEMORY, NULL);
        enum ms_err err = spec_location_parse(release->uri, &s->arena, location, &diag);
        if (err != MS_OK)
            return source_failf(s, err, "release %llu has no document on chain and its uri: %s",
                                (unsigned long long)release->id, ms_diag_text(&diag, err));
        struct source_request request = {.kind = SOURCE_REQUEST_HTTP,
                                         .location = location,
                                         .max_bytes = release->payload_size,
                                         .sha256 = &release->payload_hash};
        struct source_request *sent = source_want(s, &request);
        if (sent == NULL)
            return SOURCE_FAILED;
        c->payload_of[sent->id] = i + 1;
        c->payloads_out++;
    }
    return c->payloads_out > 0 ? SOURCE_WANTS : finish(s);
}

static enum source_state take_payload(struct source *s, const struct source_response *response)
{
    struct contract *c = state_of(s);
    size_t index = c->payload_of[response->id];
    if (index-- == 0)
        return SOURCE_WANTS;
    const struct registry_release *release = &c->snapshot.releases[index];
    unsigned long long id = release->id;

    c->payloads_out--;
    if (response->err != MS_OK)
        return source_failf(s, response->err, "the document of release %llu: %s", id,
                            ms_diag_text(&response->diag, response->err));
    if (response->status != 200)
        return source_failf(s, MS_ERR_HTTP, "the document of release %llu: HTTP status %u", id,
                            response->status);
    struct ms_sha256 got = ms_sha256(response->body);
    if (response->body.len != release->payload_size || !ms_sha256_eq(&got, &release->payload_hash))
        return source_failf(s, MS_ERR_HASH,
                            "the document of release %llu is not the one approved on chain", id);
    const char *copy = ms_arena_strdup(&s->arena, response->body);
    if (copy == NULL)
        return source_fail(s, MS_ERR_MEMORY, NULL);
    c->payloads[index] = ms_span_of(copy, response->body.len);
    return c->payloads_out > 0 ? SOURCE_WANTS : finish(s);
}

/* ---- the result ---- */

/* Payload formats of 3.2: 1 JSON, 2 gzip of it. */
static enum ms_err read_payload(const struct registry_release *release, struct ms_span payload,
                                struct rec_set *set, struct ms_diag *diag)
{
    struct ms_buf plain = MS_BUF_INIT(REC_DOC_MAX_BYTES);
    enum ms_err err = MS_OK;

    if (release->payload_format == 2) {
        err = ms_gunzip(payload, CONTRACT_GZIP_RATIO, &plain, diag);
        payload = ms_buf_span(&plain);
    } else if (release->payload_format != 1) {
        err = ms_diag_set(diag, MS_ERR_UNSUPPORTED, "payload format %u is not readable yet",
                          (unsigned)release->payload_format);
    }
    if (err == MS_OK)
        err = rec_parse(payload, REC_MODE_DIALECTS, set, diag);
    ms_buf_done(&plain);
    return err;
}

static int64_t clamp_time(uint64_t unix_s)
{
    const int64_t far = INT64_MAX / 8; /* within what the database takes; "no end" means as much */
    return unix_s > (uint64_t)far ? far : (int64_t)unix_s;
}

/* Records and warnings of one release that counts. */
static enum source_state read_release(struct source *s, size_t i, struct rec_set *set)
{
    struct contract *c = state_of(s);
    const struct registry_release *release = &c->snapshot.releases[i];
    unsigned long long id = release->id;
    struct ms_diag diag = {0};

    enum ms_err err = read_payload(release, c->payloads[i], set, &diag);
    if (err != MS_OK)
        return source_failf(s, err, "the document of release %llu: %s", id,
                            ms_diag_text(&diag, err));
    for (size_t w = 0; w < set->n_warnings; w++)
        source_result_warn(s->result, set->warnings[w].code, "release %llu: %s", id,
                           set->warnings[w].text);
    return SOURCE_DONE;
}

static enum source_state add_release(struct source *s, size_t i)
{
    struct contract *c = state_of(s);
    const struct registry_release *release = &c->snapshot.releases[i];
    uint64_t not_after_s = 0;
    char version[24];

    if (!head_keeps(c, release, &not_after_s)) {
        source_result_warn(s->result, "revoked-at-head",
                           "release %llu was revoked in block %llu, which is not final yet",
                           (unsigned long long)release->id,
                           (unsigned long long)c->trusted.head.header.number);
        return SOURCE_DONE;
    }
    struct source_release *out = source_result_add_release(s->result);
    if (out == NULL)
        return source_fail(s, MS_ERR_MEMORY, NULL);
    (void)snprintf(version, sizeof(version), "%llu", (unsigned long long)release->version);
    out->id = release->id;
    out->version = ms_arena_strdup(&s->result->arena, ms_span_str(version));
    out->not_before_s = clamp_time(release->not_before_s);
    out->not_after_s = clamp_time(not_after_s);
    if (out->version == NULL)
        return source_fail(s, MS_ERR_MEMORY, NULL);
    /* without a document its time is over: listed, never in force */
    return c->payloads[i].len == 0 ? SOURCE_DONE : read_release(s, i, out->set);
}

static void hash_u64(struct ms_buf *text, uint64_t value)
{
    for (int shift = 56; shift >= 0; shift -= 8)
        (void)ms_buf_add_byte(text, (uint8_t)(value >> shift));
}

/* What the newest state takes away, as one hash; zero when it takes nothing. */
static enum ms_err hash_overlay(const struct contract *c, struct ms_sha256 *ret_overlay)
{
    struct ms_buf text = MS_BUF_INIT(64 + REGISTRY_RELEASES_MAX * 16);

    for (size_t i = 0; i < c->snapshot.n_releases; i++) {
        const struct registry_release *release = &c->snapshot.releases[i];
        uint64_t not_after_s = 0;
        bool kept = head_keeps(c, release, &not_after_s);
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

static json_t *address_json(const struct eth_addr *addr)
{
    char text[ETH_ADDR_TEXT + 1];
    if (eth_addr_is_zero(addr))
        return json_null();
    eth_addr_text(addr, text);
    return json_string(text);
}

static json_t *hash_json(const uint8_t *bytes)
{
    char text[2 + 2 * ETH_HASH_BYTES + 1] = "0x";
    ms_hex_encode(ms_span_of(bytes, ETH_HASH_BYTES), text + 2);
    return json_string(text);
}

static json_t *block_json(const struct eth_header *header)
{
    return json_pack("{s:I, s:o, s:I}", "block", (json_int_t)header->number, "block_hash",
                     hash_json(header->hash.b), "block_time", (json_int_t)header->timestamp_s);
}

static json_t *governance_json(const struct source *s, const struct contract *c)
{
    const struct registry_state *r = &c->snapshot.state;
    json_t *out = json_pack(
        "{s:s, s:I, s:o, s:o, s:o, s:I, s:I, s:I, s:o}", "adapter", "registry", "chain",
        (json_int_t)s->spec->chain, "address", address_json(&s->spec->address), "owner",
        address_json(&r->owner), "guardian", address_json(&r->guardian), "min_delay",
        (json_int_t)r->min_delay_s, "updated_at", (json_int_t)r->updated_at_s, "updated_block",
        (json_int_t)r->updated_block, "history_hash", hash_json(r->history_hash.b));

    if (out == NULL)
        return NULL;
    if (c->final.proven)
        (void)json_object_set_new(out, "code_hash",
                                  hash_json(reading_answer(&c->final)->account.code_hash.b));
    if (c->has_head)
        (void)json_object_set_new(out, "head", block_json(&c->trusted.head.header));
    return out;
}

static void add_warnings(struct source *s, const struct contract *c)
{
    int64_t age_s = s->started_s - (int64_t)c->trusted.final.header.timestamp_s;

    if (age_s > CONTRACT_WARN_AGE_S)
        source_result_warn(s->result, "old-finality", "the finalized block is %lld minutes old",
                           (long long)(age_s / 60));
    if (!c->final.proven)
        source_result_warn(s->result, "no-proof",
                           "the endpoint gave no proof: the answer rests on its word alone");
    else if (!reference_code(&c->final))
        source_result_warn(s->result, "unknown-code",
                           "the registry's code is not that of the reference contract");
    if (c->final.proven && !eth_word_is_zero(&reading_answer(&c->final)->implementation))
        source_result_warn(s->result, "proxy",
                           "the registry is a proxy: who may upgrade it may change its rules");
}

/* What is behind the address: hash of its code and, behind a proxy, the implementation (T4). */
static void set_identity(struct source_result *r, const struct contract *c)
{
    const struct reading_peer *answer = reading_answer(&c->final);
    struct ms_span parts[2] = {eth_hash_span(&answer->account.code_hash),
                               eth_word_span(&answer->implementation)};

    if (!c->final.proven)
        return;
    r->has_identity = true;
    r->identity = ms_sha256_parts(parts, MS_ARRAY_LEN(parts));
}

static enum source_trust trust_of(const struct contract *c)
{
    if (c->level >= SPEC_LEVEL_L3)
        return SOURCE_TRUST_PROOF;
    return c->level == SPEC_LEVEL_L2 ? SOURCE_TRUST_QUORUM : SOURCE_TRUST_SINGLE;
}

static void set_facts(const struct source *s, const struct contract *c, struct source_result *r)
{
    const struct eth_header *pin = &c->trusted.final.header;
    struct eth_hash commitment = registry_commitment(&c->snapshot);

    r->adapter = "registry";
    r->level = c->level;
    r->trust = trust_of(c);
    r->trust_k = c->trusted.final.groups;
    r->trust_n = c->set.groups;
    r->block = (struct source_block){.chain = s->spec->chain,
                                     .number = pin->number,
                                     .hash = pin->hash,
                                     .time_s = (int64_t)pin->timestamp_s};
    r->hash_by = trusted_how_name(c->trusted.final.how);
    r->has_sequence = true;
    r->sequence = c->snapshot.state.sequence;
    memcpy(r->commitment.b, commitment.b, MS_SHA256_BYTES);
    /* the newest block was read, or it is the finalized one; no agreement about it is neither */
    const struct trusted_hash *head = &c->trusted.head;
    bool is_final = head->how != TRUSTED_NOT && head->header.number <= pin->number;
    r->has_head = c->has_head || is_final;
    r->head_number = r->has_head ? head->header.number : 0;
    r->valid_until_s = clamp_time(c->snapshot.state.valid_until_s);
    r->evidence_time_s = (int64_t)pin->timestamp_s;
    r->life = (struct source_lifetime){.fresh_s = CONTRACT_FRESH_S,
                                       .swr_s = CONTRACT_FRESH_S,
                                       .sie_s = CONTRACT_SIE_S,
                                       .ceiling_s = s->policy.max_evidence_age_s};
    set_identity(r, c);
}

static enum source_state finish(struct source *s)
{
    struct contract *c = state_of(s);
    struct source_result *r = source_result_begin(s);

    if (r == NULL)
        return source_fail(s, MS_ERR_MEMORY, NULL);
    for (size_t i = 0; i < c->snapshot.n_releases; i++)
        if (add_release(s, i) != SOURCE_DONE)
            return SOURCE_FAILED;
    set_facts(s, c, r);
    r->governance = governance_json(s, c);
    if (r->governance == NULL || hash_overlay(c, &r->overlay) != MS_OK)
        return source_fail(s, MS_ERR_MEMORY, NULL);
    add_warnings(s, c);
    return source_finish(s);
}

/* ---- the machine ---- */

static enum source_state advance(struct source *s)
{
    struct contract *c = state_of(s);
    enum source_state state;

    switch (c->phase) {
    case PHASE_BLOCK:
        state = trusted_next(&c->trusted);
        return state == SOURCE_DONE ? start_data(s) : state;
    case PHASE_DATA:
        return judge_data(s);
    case PHASE_CODE:
        return judge_code(s);
    case PHASE_PAYLOAD:
        return SOURCE_WANTS;
    }
    return SOURCE_FAILED;
}

static enum source_state contract_step(struct source *s, const struct source_response *response,
                                       struct ms_now now)
{
    struct contract *c = state_of(s);
    (void)now; /* ages are counted from the start, so that a replay sees the same */

    if (response == NULL)
        return trusted_ask(&c->trusted);
    if (!rpcset_take(&c->set, response))
        return take_payload(s, response);
    if (s->err != MS_OK)
        return SOURCE_FAILED;
    return c->set.out > 0 ? SOURCE_WANTS : advance(s);
}

static enum ms_err check_kind(const struct spec *spec, struct ms_diag *diag)
{
    if (spec->adapter == NULL || strcmp(spec->adapter, "registry") == 0)
        return MS_OK;
    return ms_diag_set(diag, MS_ERR_UNSUPPORTED, "contracts of kind=%s are not yet resolvable",
                       spec->adapter);
}

enum ms_err source_contract_init(struct source *s, struct ms_now now, struct ms_diag *diag)
{
    (void)now;
    enum ms_err err = check_kind(s->spec, diag);
    if (err != MS_OK)
        return err;
    struct contract *c = ms_arena_alloc(&s->arena, 1, sizeof(*c));
    if (c == NULL)
        return MS_ERR_MEMORY;
    s->kind_state = c;
    s->step = contract_step;
    c->level = s->policy.level;
    if (c->level < SPEC_LEVEL_L0 || c->level > SPEC_LEVEL_L3)
        return ms_diag_set(diag, MS_ERR_LEVEL, "read level %s is not available",
                           spec_level_name(c->level));
    c->set.result = on_result;
    c->set.failed = on_failed;
    c->set.owner = c;
    err = rpcset_init(&c->set, s, s->spec->chain, diag);
    if (err != MS_OK)
        return err;
    c->trusted.has_previous = s->previous.has_final;
    c->trusted.previous_number = s->previous.final_number;
    c->trusted.previous_hash = s->previous.final_hash;
    return trusted_init(&c->trusted, &c->set, c->level, diag);
}
