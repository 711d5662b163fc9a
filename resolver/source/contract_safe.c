/* resolver/source/contract_safe.c - the adapter of Safe multisigs (ethereum.md 3.10): a signed
 * release set, kept anywhere, counts if the Safe approved its digest - on chain, in signedMessages,
 * or by its owners' signatures.
 *
 * By proof: signedMessages[m] is set, or each of the first `threshold` signatures is of an address
 * that the proven list of owners holds. What only a contract can say (contract owners, approved
 * hashes) is asked of the Safe, by quorum, so not at l3. */
#include "resolver/source/contract.h"
#include "resolver/source/documents.h"
#include "resolver/source/safe_approval.h"
#include "resolver/source/safe_view.h"
#include "sig/release_set.h"

#define SET_NAME "set.json"
struct own {
    uint32_t set_request; /* id, 0 before it was asked for */
    bool has_set;
    struct msig_set_doc doc;
    struct safe_approval approval;
    struct safe_state final, head;
    bool asked; /* for documents */
    struct documents documents;
};

static struct own *own_of(const struct source *s)
{
    return contract_of(s)->own;
}

/* ---- the document ---- */

/* at= names a folder when it ends in a slash. */
static enum ms_err locate(struct source *s, struct spec_location *ret, struct ms_diag *diag)
{
    const char *at = s->spec->at.url;
    size_t len = strlen(at);
    struct ms_buf url = MS_BUF_INIT(4096);

    if (at[len - 1] != '/') {
        *ret = s->spec->at;
        return MS_OK;
    }
    (void)ms_buf_add_str(&url, at);
    (void)ms_buf_add_str(&url, SET_NAME);
    enum ms_err err = ms_buf_err(&url);
    if (err == MS_OK)
        err = spec_location_parse(ms_buf_span(&url), &s->arena, ret, diag);
    ms_buf_done(&url);
    return err;
}

static enum source_state ask_set(struct source *s, struct own *own)
{
    struct spec_location *location = ms_arena_alloc(&s->arena, 1, sizeof(*location));
    struct ms_diag diag = {0};

    if (s->spec->at.url == NULL)
        return source_fail_negative(
            s, MS_ERR_KIND, s->policy.times.contract_no_code,
            "a Safe approves documents only: say with kind=safe and at= where the signed set is");
    enum ms_err err = location == NULL ? MS_ERR_MEMORY : locate(s, location, &diag);
    if (err != MS_OK)
        return source_fail(s, err, &diag);
    struct source_request request = {
        .kind = SOURCE_REQUEST_HTTP, .location = location, .max_bytes = SOURCE_BODY_MAX_BYTES};
    const struct source_request *sent = source_want(s, &request);
    if (sent == NULL)
        return SOURCE_FAILED;
    own->set_request = sent->id;
    return SOURCE_WANTS;
}

/* Without app= the set is for no application by name. */
static enum ms_err check_app(const struct source *s, const struct msig_release_set *set,
                             struct ms_diag *diag)
{
    const char *app = spec_option_value(s->spec, "app");
    if (app == NULL)
        app = "";
    if (ms_span_eq_str(set->app, app))
        return MS_OK;
    return ms_diag_set(diag, MS_ERR_SIGNERS, "the set is for another application than app=%s", app);
}

/* The Safe's own signature in the document, if there is one. */
static enum ms_err find_blob(const struct source *s, struct own *own, struct ms_diag *diag)
{
    const struct msig_signatures *all = &own->doc.signatures;
    bool found = false;

    for (size_t i = 0; i < all->n; i++) {
        const struct msig_signature *one = &all->items[i];
        if (one->scheme != MSIG_SCHEME_EIP1271 ||
            memcmp(one->signer.b, s->spec->address.b, ETH_ADDR_BYTES) != 0)
            continue;
        if (found || one->malformed)
            return ms_diag_set(diag, MS_ERR_SIGNATURE,
                               "the Safe's signature is malformed, or stands there twice");
        found = true;
        own->approval.blob = one->bytes;
    }
    return MS_OK;
}

/* The order of sets: the next one names the one before it. */
static enum ms_err check_order(const struct source *s, const struct own *own, struct ms_diag *diag)
{
    const struct msig_floor floor = {.sequence = s->previous.floor_sequence,
                                     .set_hash = s->previous.set_hash,
                                     .known = s->previous.has_set};

    if (msig_set_order(&own->doc, 0, &floor) != MSIG_ORDER_BROKEN)
        return MS_OK; /* rollback and conflict are the entry's to judge, gaps are warned of */
    return ms_diag_set(diag, MS_ERR_ROLLBACK,
                       "set %llu does not name the set before it, which was verified",
                       (unsigned long long)own->doc.set.sequence);
}

static enum ms_err read_set(struct source *s, struct own *own, struct ms_span body,
                            struct ms_diag *diag)
{
    enum ms_err err = msig_set_parse(body, &s->arena, &own->doc, diag);

    if (err == MS_OK)
        err = check_app(s, &own->doc.set, diag);
    if (err == MS_OK)
        err = msig_set_time(&own->doc.set, s->started_s, diag);
    if (err == MS_OK)
        err = check_order(s, own, diag);
    if (err == MS_OK)
        err = find_blob(s, own, diag);
    return err;
}

static enum source_state take_set(struct source *s, const struct source_response *response)
{
    struct own *own = own_of(s);
    struct ms_diag diag = {0};
    enum ms_err err = response->err;

    if (err != MS_OK)
        return source_fail(s, err, &response->diag);
    if (response->status != 200)
        return source_failf(s, MS_ERR_HTTP, "the signed set: HTTP status %u", response->status);
    err = read_set(s, own, response->body, &diag);
    if (err != MS_OK)
        return source_failf(s, err, "the signed set: %s", ms_diag_text(&diag, err));
    own->has_set = true;
    own->approval.digest = own->doc.digest;
    return contract_continue(s);
}

/* ---- what to read ---- */

static enum source_state prepare(struct source *s)
{
    struct own *own = contract_own(s, sizeof(*own));

    if (own == NULL)
        return SOURCE_FAILED;
    if (own->set_request == 0)
        return ask_set(s, own);
    if (!own->has_set)
        return SOURCE_WANTS;
    own->approval.by_proof = contract_of(s)->level >= SPEC_LEVEL_L3;
    return safe_approval_plan(s, &own->approval, &contract_of(s)->plan)
               ? SOURCE_DONE
               : source_fail(s, MS_ERR_MEMORY, NULL);
}

/* ---- what the answers say ---- */

static enum ms_err verify(struct source *s, const struct reading *r, struct ms_diag *diag)
{
    struct own *own = own_of(s);
    return safe_approval_read(&own->approval, reading_answer(r), r->proven,
                              r->head ? &own->head : &own->final, diag);
}

static bool agrees(struct reading *r, const struct reading_peer *peer)
{
    struct source *s = r->trusted->set->s;
    struct safe_state ignored;
    return safe_approval_read(&own_of(s)->approval, peer, true, &ignored, NULL) !=
           MS_ERR_COMMITMENT;
}

/* ---- the result ---- */

/* Owners who left take their signatures with them: the newest state may take everything away. */
static bool withdrawn(const struct source *s)
{
    return contract_of(s)->has_head && !safe_approves(&own_of(s)->head);
}

static enum source_state refuse(struct source *s)
{
    const struct own *own = own_of(s);

    if (safe_approval_unprovable(&own->approval))
        return source_failf(
            s, MS_ERR_LEVEL,
            "owners of the Safe that are contracts, or approved by transaction, cannot be "
            "proven: let the Safe sign on chain, or read at l2");
    return source_failf(s, MS_ERR_SIGNATURE, "the Safe has not approved set %llu%s",
                        (unsigned long long)own->doc.set.sequence,
                        own->approval.blob.len > 0 ? ": too few of its signatures are good"
                                                   : ", and the document has no signature of it");
}

static json_t *governance_json(const struct source *s)
{
    const struct own *own = own_of(s);
    const struct reading_peer *answer = reading_answer(&contract_of(s)->final);
    json_t *out = contract_governance(s);
    json_t *view = safe_view_json(answer, 0);

    if (out != NULL && view != NULL)
        (void)json_object_update(out, view);
    json_decref(view);
    if (out == NULL)
        return NULL;
    (void)json_object_set_new(out, "approved_by",
                              json_string(own->final.on_chain ? "signed-message" : "owners"));
    (void)json_object_set_new(out, "message", contract_hash_json(own->approval.message.b));
    (void)json_object_set_new(out, "issued_at", json_integer((json_int_t)own->doc.set.issued_at_s));
    return out;
}

static void add_warnings(struct source *s)
{
    const struct own *own = own_of(s);
    const struct contract *c = contract_of(s);
    uint64_t floor = s->previous.floor_sequence;

    if (safe_view_has_modules(s->result->governance))
        source_result_warn(s->result, "modules", "modules of the Safe act without its owners");
    if (withdrawn(s))
        source_result_warn(s->result, "revoked-at-head",
                           "the approval is gone in block %llu, which is not final yet",
                           (unsigned long long)c->trusted.head.header.number);
    if (s->previous.has_set && own->doc.set.sequence > floor + 1)
        source_result_warn(s->result, "gap", "sets %llu to %llu were never seen",
                           (unsigned long long)floor + 1,
                           (unsigned long long)own->doc.set.sequence - 1);
}

static enum source_state finish(struct source *s)
{
    struct own *own = own_of(s);
    struct source_result *r = source_result_begin(s);

    if (r == NULL)
        return source_fail(s, MS_ERR_MEMORY, NULL);
    for (size_t i = 0; !withdrawn(s) && i < own->documents.n; i++)
        if (!documents_add_release(s, &own->documents, i))
            return SOURCE_FAILED;
    r->document_elsewhere = true;
    r->has_sequence = true;
    r->sequence = own->doc.set.sequence;
    memcpy(r->commitment.b, own->doc.set_hash.b, MS_SHA256_BYTES);
    if (withdrawn(s))
        r->overlay = ms_sha256(eth_hash_span(&own->doc.set_hash));
    r->valid_until_s = source_clamp_time(own->doc.set.valid_until_s - 1); /* ours is inclusive */
    r->governance = governance_json(s);
    if (r->governance == NULL)
        return source_fail(s, MS_ERR_MEMORY, NULL);
    contract_facts(s, r);
    add_warnings(s);
    return source_finish(s);
}

/* ---- documents ---- */

static bool ask_documents(struct source *s, struct own *own)
{
    if (!documents_of_set(s, &own->documents, &own->doc.set))
        return false;
    for (size_t i = 0; withdrawn(s) && i < own->documents.n; i++)
        own->documents.unneeded[i] = true;
    return documents_ask(s, &own->documents);
}

static enum source_state after(struct source *s)
{
    struct own *own = own_of(s);

    if (!safe_approves(&own->final))
        return refuse(s);
    if (!own->asked) {
        own->asked = true;
        if (!ask_documents(s, own))
            return SOURCE_FAILED;
    }
    return own->documents.out > 0 ? SOURCE_WANTS : finish(s);
}

static enum source_state document(struct source *s, const struct source_response *response)
{
    struct own *own = own_of(s);

    if (own != NULL && response->id == own->set_request)
        return take_set(s, response);
    return documents_take(s, &own->documents, response) ? after(s) : s->state;
}

/* The code of a Safe is that of its singleton. */
static struct eth_word runs(const struct source *s)
{
    return safe_approval_singleton(reading_answer(&contract_of(s)->final));
}

const struct contract_adapter contract_safe = {
    .name = "safe",
    .prepare = prepare,
    .agrees = agrees,
    .verify = verify,
    .after = after,
    .document = document,
    .runs = runs,
};
