/* resolver/source/contract_signer.c - the adapter of a contract that signs documents (EIP-1271;
 * ethereum.md 5.4 step 3): a Safe by proof, at l3 and nothing else there; any contract by its word,
 * at l1 and l2. */
#include "resolver/source/contract_signer.h"

#include "resolver/source/contract.h"
#include "resolver/source/safe_approval.h"
#include "resolver/source/safe_view.h"

#define CHILD_ARENA_MAX_BYTES ((size_t)4 << 20)

static const struct contract_adapter contract_signer;

struct own {
    struct safe_approval approval;
    struct safe_state final, head;
};

static struct own *own_of(const struct source *s)
{
    return contract_of(s)->own;
}

static enum source_state prepare(struct source *s)
{
    return safe_approval_plan(s, &own_of(s)->approval, &contract_of(s)->plan)
               ? SOURCE_DONE
               : source_fail(s, MS_ERR_MEMORY, NULL);
}

static enum ms_err verify(struct source *s, const struct reading *r, struct ms_diag *diag)
{
    struct own *own = own_of(s);
    return safe_approval_read(&own->approval, reading_answer(r), r->proven,
                              r->head ? &own->head : &own->final, diag);
}

static bool agrees(struct reading *r, const struct reading_peer *peer)
{
    struct safe_state ignored;
    return safe_approval_read(&own_of(r->trusted->set->s)->approval, peer, true, &ignored, NULL) !=
           MS_ERR_COMMITMENT;
}

/* ---- the end ---- */

static json_t *governance_json(const struct source *s)
{
    json_t *out = contract_governance(s);
    json_t *view = safe_view_json(reading_answer(&contract_of(s)->final), 0);

    if (out != NULL && view != NULL)
        (void)json_object_update(out, view);
    if (out != NULL && view == NULL)
        (void)json_object_set_new(out, "adapter", json_string("eip1271"));
    json_decref(view);
    return out;
}

static enum source_state after(struct source *s)
{
    struct source_result *r = source_result_begin(s);

    if (r == NULL)
        return source_fail(s, MS_ERR_MEMORY, NULL);
    r->governance = governance_json(s);
    if (r->governance == NULL)
        return source_fail(s, MS_ERR_MEMORY, NULL);
    contract_facts(s, r);
    if (safe_view_has_modules(r->governance))
        source_result_warn(r, "modules", "modules of the Safe act without its owners");
    return SOURCE_DONE;
}

static struct eth_word runs(const struct source *s)
{
    return safe_approval_singleton(reading_answer(&contract_of(s)->final));
}

static const struct contract_adapter contract_signer = {
    .name = "safe",
    .signer = true,
    .prepare = prepare,
    .agrees = agrees,
    .verify = verify,
    .after = after,
    .runs = runs,
};

/* ---- asking ---- */

enum ms_err contract_signer_new(struct source *parent,
                                const struct contract_signer_question *question,
                                struct source **ret_child, struct ms_diag *diag)
{
    struct spec *spec = ms_arena_alloc(&parent->arena, 1, sizeof(*spec));

    if (question->blob.len > CONTRACT_SIGNER_BLOB_MAX_BYTES)
        return ms_diag_set(diag, MS_ERR_LIMIT, "its signature has %zu bytes, the limit is %u",
                           question->blob.len, CONTRACT_SIGNER_BLOB_MAX_BYTES);
    if (spec == NULL)
        return MS_ERR_MEMORY;
    spec->kind = SPEC_CONTRACT;
    spec->adapter = contract_signer.name;
    spec->chain = question->chain;
    spec->address = question->address;
    struct source *s = source_child(parent, spec, CHILD_ARENA_MAX_BYTES);
    struct own *own = s == NULL ? NULL : ms_arena_alloc(&s->arena, 1, sizeof(*own));
    if (own == NULL)
        return MS_ERR_MEMORY;
    enum ms_err err = contract_start(s, &contract_signer, diag);
    if (err != MS_OK)
        return err;
    contract_of(s)->own = own;
    own->approval = (struct safe_approval){.digest = question->digest,
                                           .blob = question->blob,
                                           .any_contract = true,
                                           .by_proof = contract_of(s)->level >= SPEC_LEVEL_L3};
    *ret_child = s;
    return MS_OK;
}

static void no(struct contract_signer_verdict *v, enum contract_signer_answer answer,
               enum ms_err err, const char *why)
{
    v->answer = answer;
    v->diag = (struct ms_diag){0};
    v->err = ms_diag_set(&v->diag, err, "%s", why);
}

/* The attempt failed: only "there is no contract" is an answer. */
static struct contract_signer_verdict failed(const struct source *s)
{
    struct contract_signer_verdict v = {.err = s->err, .diag = s->diag};

    if (s->err == MS_ERR_NO_CODE)
        v.answer = CONTRACT_SIGNER_NO;
    else if (s->err == MS_ERR_KIND && contract_of(s)->phase == CONTRACT_KIND)
        no(&v, CONTRACT_SIGNER_UNKNOWN, MS_ERR_LEVEL,
           "it is no Safe, and what other contracts sign cannot be proven: read at l2");
    return v;
}

struct contract_signer_verdict contract_signer_verdict(const struct source *s)
{
    const struct own *own = own_of(s);
    const struct contract *c = contract_of(s);
    struct contract_signer_verdict v = {.answer = CONTRACT_SIGNER_YES};

    if (s->state != SOURCE_DONE)
        return failed(s);
    v.on_chain = own->final.on_chain;
    v.gone = c->has_head && !safe_approves(&own->head);
    if (safe_approves(&own->final))
        return v;
    if (c->has_head && safe_approves(&own->head))
        no(&v, CONTRACT_SIGNER_NOT_YET, MS_ERR_SIGNATURE,
           "it has signed in a block that is not final yet");
    else if (safe_approval_unprovable(&own->approval))
        no(&v, CONTRACT_SIGNER_UNKNOWN, MS_ERR_LEVEL,
           "owners of the Safe that are contracts, or approved by transaction, cannot be proven: "
           "let "
           "the Safe sign on chain, or read at l2");
    else
        no(&v, CONTRACT_SIGNER_NO, MS_ERR_SIGNATURE, "the contract has not signed this document");
    return v;
}
