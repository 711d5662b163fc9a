/* resolver/source/signed_contracts.c - asking the contracts among signers, and counting them. */
#include "resolver/source/signed_contracts.h"

#include "base/hex.h"

#include <stdio.h>

static bool counts(const struct signed_contract *one)
{
    return one->verdict.answer == CONTRACT_SIGNER_YES;
}

static bool is_gone(const struct signed_contract *one)
{
    return counts(one) && one->verdict.gone;
}

/* ---- requests ---- */

static void end(struct signed_contracts *all, struct signed_contract *one)
{
    one->ended = true;
    one->verdict = contract_signer_verdict(one->child);
    all->running--;
}

/* What it still wants is not asked for, so nobody owes it. */
static void out_of_requests(struct signed_contracts *all, struct signed_contract *one,
                            struct source_request *request)
{
    struct contract_signer_verdict *v = &one->verdict;

    do {
        if (request->kind == SOURCE_REQUEST_RPC)
            one->child->owing[request->provider]--;
    } while (source_take_request(one->child, request));
    one->ended = true;
    v->err = ms_diag_set(&v->diag, MS_ERR_LIMIT,
                         "more than %zu requests for one document's signers", all->max_requests);
    all->running--;
}

/* The child's new requests become the parent's. */
static bool pass_on(struct source *s, struct signed_route *routes, struct signed_contracts *all,
                    struct signed_contract *one)
{
    struct source_request request;

    while (source_take_request(one->child, &request)) {
        uint32_t id = request.id;
        if (request.kind == SOURCE_REQUEST_WAIT) {
            (void)source_want_wait(s, request.wait_ms); /* without it they are waited for */
            continue;
        }
        if (all->n_requests == all->max_requests) {
            out_of_requests(all, one, &request);
            return true;
        }
        const struct source_request *sent = source_want(s, &request);
        if (sent == NULL)
            return false;
        all->n_requests++;
        routes[sent->id] = (struct signed_route){all, one, id};
    }
    return true;
}

static bool step(struct source *s, struct signed_route *routes, struct signed_contracts *all,
                 struct signed_contract *one, const struct source_response *response,
                 struct ms_now now)
{
    bool ok = true;

    if (source_step(one->child, response, now) != SOURCE_WANTS)
        end(all, one);
    else
        ok = pass_on(s, routes, all, one);
    source_merge_conduct(s);
    return ok;
}

/* Which chain a contract is on, its address does not say: on another one somebody else may have it.
 * So the document, which anybody may have written, cannot choose. */
static enum ms_err begin(struct source *s, struct signed_contract *one,
                         const struct eth_hash *digest, uint64_t chain, struct ms_diag *diag)
{
    const struct contract_signer_question question = {.chain = chain,
                                                      .address = one->signature->signer,
                                                      .digest = *digest,
                                                      .blob = one->signature->bytes};

    if (one->signature->chain != chain)
        return ms_diag_set(diag, MS_ERR_SIGNERS,
                           "the document says that it is on chain %llu, the specifier says %llu "
                           "(chain=)",
                           (unsigned long long)one->signature->chain, (unsigned long long)chain);
    return contract_signer_new(s, &question, &one->child, diag);
}

bool signed_contracts_start(struct source *s, struct signed_route *routes,
                            struct signed_contracts *all, const struct eth_hash *digest,
                            const struct msig_signatures *signatures,
                            const struct msig_tally *tally, uint64_t chain, struct ms_now now)
{
    for (size_t i = 0; i < tally->n_unresolved && i < SIGNED_CONTRACTS_MAX; i++) {
        struct signed_contract *one = &all->items[all->n++];
        one->signature = &signatures->items[tally->unresolved[i]];
        one->verdict.err = begin(s, one, digest, chain, &one->verdict.diag);
        one->ended = one->verdict.err != MS_OK;
        all->running += !one->ended;
    }
    for (size_t i = 0; i < all->n; i++)
        if (!all->items[i].ended && !step(s, routes, all, &all->items[i], NULL, now))
            return false;
    return true;
}

bool signed_contracts_take(struct source *s, struct signed_route *routes,
                           const struct source_response *response, struct ms_now now)
{
    const struct signed_route *route = &routes[response->id];
    struct source_response own = *response;

    own.id = route->id;
    if (!route->one->ended)
        return step(s, routes, route->all, route->one, &own, now);
    /* it went on without this answer, which is here now */
    uint32_t provider = s->requests[response->id - 1].provider;
    if (route->one->child->owing[provider] > 0)
        route->one->child->owing[provider]--;
    source_merge_conduct(s);
    return true;
}

bool signed_contracts_waited(struct source *s, struct signed_route *routes,
                             struct signed_contracts *all, const struct source_response *response,
                             struct ms_now now)
{
    for (size_t i = 0; i < all->n; i++) {
        struct signed_contract *one = &all->items[i];
        struct source_response own = *response;
        if (one->ended || one->child->wait_id == 0)
            continue;
        own.id = one->child->wait_id;
        if (!step(s, routes, all, one, &own, now))
            return false;
    }
    return true;
}

/* ---- what was seen before ---- */

static bool read_addr(const json_t *one, struct eth_addr *ret)
{
    struct ms_span text = ms_json_member_str(one, "signer");
    enum eth_checksum checksum;
    return text.ptr != NULL && eth_addr_parse(text, ret, &checksum, NULL) == MS_OK;
}

/* The record of a contract that took its word back, or NULL. */
static const json_t *gone_before(const struct source *s, const struct eth_addr *signer)
{
    const json_t *list = json_object_get(s->previous.carry, "gone"), *one;
    size_t i;

    json_array_foreach(list, i, one)
    {
        struct eth_addr addr;
        if (read_addr(one, &addr) && eth_addr_eq(&addr, signer))
            return one;
    }
    return NULL;
}

/* It was read at a block that knows of what was seen before. */
static bool as_new(const struct source *s, const struct signed_contract *one, uint64_t *ret_block)
{
    const struct source_result *r = one->child->result;
    const json_t *before = gone_before(s, &one->signature->signer);
    json_int_t block = json_integer_value(json_object_get(before, "block"));

    *ret_block = block < 0 ? 0 : (uint64_t)block;
    return before == NULL || r->block.number >= *ret_block ||
           (r->has_head && r->head_number >= *ret_block);
}

/* ---- counting ---- */

static enum ms_err name(const struct signed_contract *one, enum ms_err err, struct ms_diag *diag)
{
    char text[ETH_ADDR_TEXT + 1];

    eth_addr_text(&one->signature->signer, text);
    return ms_diag_set(diag, err, "signer %s, a contract on chain %llu: %s", text,
                       (unsigned long long)one->signature->chain,
                       ms_diag_text(&one->verdict.diag, one->verdict.err));
}

static void hold_against(const struct source *s, struct signed_contract *one)
{
    struct contract_signer_verdict *v = &one->verdict;
    uint64_t block = 0;

    if (!counts(one) || as_new(s, one, &block))
        return;
    v->answer = CONTRACT_SIGNER_UNKNOWN;
    v->err = ms_diag_set(&v->diag, MS_ERR_UNAVAILABLE,
                         "block %llu was seen to take its signature away, and no block as new can "
                         "be read",
                         (unsigned long long)block);
}

static enum ms_err too_few(const struct signed_contracts *all, const struct msig_signers *signers,
                           const struct msig_tally *tally, struct ms_diag *diag)
{
    for (size_t i = 0; i < all->n; i++) {
        struct ms_diag why = {0};
        if (counts(&all->items[i]))
            continue;
        enum ms_err err = name(&all->items[i], all->items[i].verdict.err, &why);
        return ms_diag_set(diag, err, "%zu of the %u signatures needed count; %s", tally->n_counted,
                           signers->threshold, why.text);
    }
    return ms_diag_set(diag, MS_ERR_LIMIT,
                       "%zu of the %u signatures needed are there or can be had: more than %d "
                       "contracts are to be asked",
                       tally->n_counted, signers->threshold, SIGNED_CONTRACTS_MAX);
}

enum ms_err signed_contracts_count(const struct source *s, struct signed_contracts *all,
                                   const struct msig_signers *signers, struct msig_tally *tally,
                                   bool *ret_gone, struct ms_diag *diag)
{
    size_t n_gone = 0;

    for (size_t i = 0; i < all->n; i++) {
        struct signed_contract *one = &all->items[i];
        if (one->verdict.answer == CONTRACT_SIGNER_NO)
            return name(one, MS_ERR_SIGNATURE, diag);
        hold_against(s, one);
        if (!counts(one))
            continue;
        msig_count(tally, one->signature, signers);
        n_gone += is_gone(one);
    }
    if (msig_met(tally, signers) != MSIG_MET)
        return too_few(all, signers, tally, diag);
    *ret_gone = tally->n_counted - n_gone < signers->threshold;
    return MS_OK;
}

/* ---- what to remember ---- */

static json_t *addr_json(const struct eth_addr *addr)
{
    char text[ETH_ADDR_TEXT + 1];
    eth_addr_text(addr, text);
    return json_string(text);
}

static const struct signed_contract *counted(const struct signed_contracts *all,
                                             const struct eth_addr *signer)
{
    for (size_t i = 0; all != NULL && i < all->n; i++)
        if (counts(&all->items[i]) && eth_addr_eq(&all->items[i].signature->signer, signer))
            return &all->items[i];
    return NULL;
}

json_t *signed_contracts_gone_json(const struct source *s, const struct signed_contracts *all,
                                   const struct msig_signers *signers)
{
    json_t *out = json_array();

    for (size_t i = 0; out != NULL && i < signers->n; i++) {
        const struct signed_contract *one = counted(all, &signers->addrs[i]);
        const json_t *before = gone_before(s, &signers->addrs[i]);
        json_t *record = NULL;
        if (one != NULL && !is_gone(one))
            continue; /* read at a block as new: what was before is over */
        if (one != NULL)
            record = json_pack("{s:o, s:I}", "signer", addr_json(&signers->addrs[i]), "block",
                               (json_int_t)one->child->result->head_number);
        else if (before != NULL)
            record = json_deep_copy(before);
        else
            continue;
        if (json_array_append_new(out, record) != 0) {
            json_decref(out);
            return NULL;
        }
    }
    return out;
}

enum ms_err signed_contracts_add_gone(const struct signed_contracts *all, struct ms_buf *out)
{
    for (size_t i = 0; i < all->n; i++)
        if (is_gone(&all->items[i]))
            (void)ms_buf_add(out, ms_span_of(all->items[i].signature->signer.b, ETH_ADDR_BYTES));
    return ms_buf_err(out);
}

/* ---- the result ---- */

json_t *signed_contracts_json(const struct signed_contracts *all)
{
    json_t *out = json_array();

    for (size_t i = 0; out != NULL && i < all->n; i++) {
        const struct signed_contract *one = &all->items[i];
        if (!counts(one))
            continue;
        const struct source_result *r = one->child->result;
        json_t *about = json_deep_copy(r->governance);
        (void)json_object_set_new(about, "level", json_string(spec_level_name(r->level)));
        (void)json_object_set_new(about, "block", json_integer((json_int_t)r->block.number));
        (void)json_object_set_new(about, "block_time", json_integer(r->block.time_s));
        (void)json_object_set_new(
            about, "approved_by",
            json_string(one->verdict.on_chain ? "signed-message" : "signature"));
        if (about == NULL || json_array_append_new(out, about) != 0) {
            json_decref(out);
            return NULL;
        }
    }
    return out;
}

static void least(int64_t *value, int64_t other)
{
    if (other >= 0 && (*value < 0 || other < *value))
        *value = other;
}

void signed_contracts_facts(const struct signed_contracts *all, struct source_result *result)
{
    for (size_t i = 0; i < all->n; i++) {
        const struct signed_contract *one = &all->items[i];
        char text[ETH_ADDR_TEXT + 1];
        if (!counts(one))
            continue;
        const struct source_result *r = one->child->result;
        eth_addr_text(&one->signature->signer, text);
        least(&result->evidence_time_s, r->evidence_time_s);
        least(&result->life.fresh_s, r->life.fresh_s);
        least(&result->life.swr_s, r->life.swr_s);
        least(&result->life.sie_s, r->life.sie_s);
        least(&result->life.ceiling_s, r->life.ceiling_s);
        for (size_t w = 0; w < r->n_warnings; w++)
            source_result_warn(result, r->warnings[w].code, "signer %s: %s", text,
                               r->warnings[w].text);
        if (one->verdict.gone)
            source_result_warn(result, "revoked-at-head",
                               "signer %s: its signature is gone in block %llu, which is not final "
                               "yet",
                               text, (unsigned long long)r->head_number);
    }
}
