/* resolver/source/contract.c - a contract read from a chain (ethereum.md sections 2 and 3): the way
 * that all kinds of contracts go. What is particular to a kind is in its adapter.
 *
 * A level is never lowered: what cannot be reached fails, and the entry ages. */
#include "resolver/source/contract.h"

#include "base/hex.h"
#include "contracts-abi/registry_abi.h"
#include "eth/slot.h"
#include "resolver/source/contract_kept.h"
#include "resolver/source/kind.h"
#include "resolver/source/owner.h"

void *contract_own(struct source *s, size_t size)
{
    struct contract *c = contract_of(s);

    if (c->own == NULL)
        c->own = ms_arena_alloc(&s->arena, 1, size);
    if (c->own == NULL)
        (void)source_fail(s, MS_ERR_MEMORY, NULL);
    return c->own;
}

/* ---- results of calls ---- */

static struct reading *reading_of(struct contract *c, const struct rpc_call *call)
{
    struct reading *all[] = {&c->final, &c->head, &c->kind};

    for (size_t i = 0; i < MS_ARRAY_LEN(all); i++)
        if (reading_owns(all[i], call))
            return all[i];
    return NULL;
}

static void on_result(struct rpcset *set, uint32_t peer, const struct rpc_call *call,
                      const json_t *result)
{
    struct contract *c = set->owner;
    struct reading *r = reading_of(c, call);

    if (call->what < TRUSTED_WHAT_END)
        trusted_result(&c->trusted, peer, call, result);
    else if (r != NULL)
        reading_result(r, peer, call, result);
    else if (call->what == CONTRACT_WHAT_KEPT)
        kept_result(set->s, peer, result);
    else if (c->owner == NULL || !owner_result(set->s, c->owner, peer, call, result))
        c->adapter->result(set->s, peer, call, result);
}

static bool on_failed(struct rpcset *set, uint32_t peer, const struct rpc_call *call,
                      enum ms_err err, const struct ms_diag *diag)
{
    struct contract *c = set->owner;
    struct reading *r = reading_of(c, call);

    if (call->what < TRUSTED_WHAT_END)
        return false;
    if (r != NULL)
        return reading_failed(r, peer, call, err, diag);
    if (call->what == CONTRACT_WHAT_KEPT)
        return true; /* no vote */
    if (c->owner != NULL && owner_failed(set->s, c->owner, peer, call, err, diag))
        return true;
    c->adapter->failed(set->s, peer, call, err);
    return true;
}

/* ---- definite answers ---- */

static bool has_code(const struct reading *r, size_t which)
{
    const struct eth_account *account = &reading_answer(r)->at[which].account;
    return account->exists && !eth_hash_eq(&account->code_hash, &eth_empty_code_hash);
}

static enum source_state no_code(struct source *s)
{
    const struct reading *final = &contract_of(s)->final;
    bool other = final->plan.has_other && final->proven && has_code(final, 0);
    char text[ETH_ADDR_TEXT + 1];

    eth_addr_text(other ? &final->plan.other : &s->spec->address, text);
    return source_fail_negative(s, MS_ERR_NO_CODE, s->policy.times.contract_no_code,
                                "there is no contract at %s on chain %llu", text,
                                (unsigned long long)s->spec->chain);
}

bool contract_is_reference(const struct reading *r)
{
    static const struct eth_hash known = REGISTRY_CODE_HASH;
    return r->proven && eth_hash_eq(&known, &reading_answer(r)->at[0].account.code_hash);
}

static enum source_state ask_kind(struct source *s);

/* It is not of the kind it was read as. Where nobody said that it is, other kinds are tried. */
static enum source_state not_this_kind(struct source *s, int64_t negative_s)
{
    struct contract *c = contract_of(s);

    c->negative_s = negative_s;
    if (c->guessed)
        return ask_kind(s);
    return source_fail_negative(
        s, MS_ERR_KIND, negative_s, "the contract is not of kind %s%s: it answers otherwise",
        c->adapter->name, c->plan.has_other ? ", or the other one is no KMS" : "");
}

/* ---- the data ---- */

/* An answer that slot 0 does not commit to is the provider's lie only where the registry's own code
 * gave it: any other contract, which a stranger may deploy and name in a URL, may contradict itself
 * and must not cost honest providers their place. */
static void reject(struct source *s, struct reading *r, enum ms_err err, const struct ms_diag *diag)
{
    if (err == MS_ERR_COMMITMENT && contract_is_reference(r))
        s->lied[r->from] = true;
    reading_reject(r, err, diag);
}

static enum source_state restart_with_next(struct source *s);
static enum source_state after_data(struct source *s);

static enum source_state data_failed(struct source *s)
{
    struct contract *c = contract_of(s);
    struct ms_diag diag = {0};

    if (s->err != MS_OK)
        return SOURCE_FAILED;
    if (reading_reverted(&c->final))
        return not_this_kind(s, s->policy.times.contract_revert);
    if (c->trusted.one_by_one && c->level < SPEC_LEVEL_L3)
        return restart_with_next(s);
    enum ms_err err = reading_why(&c->final, &diag);
    /* nobody who proves says more */
    if (c->guessed && c->level >= SPEC_LEVEL_L3 && (err == MS_ERR_REVERT || err == MS_ERR_ABI))
        return ask_kind(s);
    return source_fail(s, err, &diag);
}

static enum ms_err verify(struct source *s, const struct reading *r, struct ms_diag *diag)
{
    const struct contract *c = contract_of(s);

    for (size_t i = 0; r->proven && i < reading_contracts(&r->plan); i++)
        if (!has_code(r, i))
            return MS_ERR_NO_CODE;
    return c->adapter->verify(s, r, diag);
}

/* The finalized state: it must be had, or the attempt fails. */
static enum source_state judge_final(struct source *s)
{
    struct contract *c = contract_of(s);

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
        enum ms_err err = verify(s, &c->final, &diag);
        if (err == MS_OK)
            return SOURCE_DONE;
        if (err == MS_ERR_NO_CODE)
            return no_code(s);
        if (err == MS_ERR_KIND)
            return not_this_kind(s, s->policy.times.contract_no_code);
        if (c->level == SPEC_LEVEL_L2)
            return source_fail(s, err, &diag); /* a quorum said it: nobody is left to say better */
        reject(s, &c->final, err, &diag);
    }
}

/* The newest state can only take away, so failing to have it is no failure. */
enum source_state contract_judge_head(struct source *s)
{
    struct contract *c = contract_of(s);

    while (c->reads_head) {
        struct ms_diag diag = {0};
        enum reading_state state = reading_judge(&c->head);
        if (s->err != MS_OK)
            return SOURCE_FAILED;
        if (state == READING_MORE)
            return SOURCE_WANTS;
        if (state != READING_DONE)
            return SOURCE_DONE;
        enum ms_err err = verify(s, &c->head, &diag);
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

    if (state == SOURCE_DONE && contract_of(s)->phase == CONTRACT_DATA)
        state = contract_judge_head(s);
    return state == SOURCE_DONE ? after_data(s) : state;
}

static enum source_state judge_kept(struct source *s)
{
    enum source_state state = kept_next(s);

    if (state != SOURCE_DONE)
        return state;
    contract_of(s)->phase = CONTRACT_DATA;
    return judge_data(s);
}

static enum source_state start_data(struct source *s)
{
    struct contract *c = contract_of(s);
    const struct trusted *t = &c->trusted;

    c->phase = CONTRACT_DATA;
    c->has_head = false;
    reading_init(&c->final, &c->trusted, &t->final, false, CONTRACT_WHAT_FINAL, &c->plan);
    reading_init(&c->head, &c->trusted, &t->head, true, CONTRACT_WHAT_HEAD, &c->plan);
    c->final.agrees = c->head.agrees = c->adapter->agrees;
    c->reads_head = t->head.how != TRUSTED_NOT && t->head.header.number > t->final.header.number;
    c->kept = NULL;
    if (kept_needed(s)) {
        if (c->adapter->signer)
            return source_failf(s, MS_ERR_LEVEL,
                                "the endpoints prove only the newest state; a contract among "
                                "signers needs one with proofs = finalized");
        c->phase = CONTRACT_KEPT;
        return kept_start(s);
    }
    if (!reading_ask(&c->final))
        return data_failed(s);
    if (c->reads_head)
        c->reads_head = reading_ask(&c->head);
    return s->err == MS_OK ? SOURCE_WANTS : SOURCE_FAILED;
}

static enum source_state prepare(struct source *s)
{
    struct contract *c = contract_of(s);

    c->phase = CONTRACT_PREPARE;
    c->plan = (struct reading_plan){.address = s->spec->address};
    enum source_state state = c->adapter->prepare(s);
    return state == SOURCE_DONE ? start_data(s) : state;
}

/* Nobody says of what kind it is. */
static bool guesses(const struct source *s)
{
    return s->spec->adapter == NULL && !s->spec->has_kms;
}

/* L0, L1: the one that was asked is of no use; the next one is asked from the start. */
static enum source_state restart_with_next(struct source *s)
{
    struct contract *c = contract_of(s);
    struct ms_diag diag = {0};

    enum ms_err err = reading_why(&c->final, &diag);
    rpcset_kill(&c->set, c->trusted.current, err, &diag);
    c->phase = CONTRACT_BLOCK;
    c->guessed = guesses(s);
    if (c->guessed && c->adapter != &contract_registry) { /* that was its word, too */
        c->adapter = &contract_registry;
        c->own = NULL;
    }
    return trusted_ask(&c->trusted);
}

/* ---- the kind ---- */

static enum source_state kind_failed(struct source *s)
{
    struct ms_diag diag = {0};
    enum ms_err err = reading_why(&contract_of(s)->kind, &diag);
    return s->err == MS_OK ? source_fail(s, err, &diag) : SOURCE_FAILED;
}

static enum source_state ask_kind(struct source *s)
{
    struct contract *c = contract_of(s);
    struct reading_plan plan;

    c->phase = CONTRACT_KIND;
    enum ms_err err = kind_plan(s, &plan);
    if (err != MS_OK)
        return source_fail(s, err, NULL);
    reading_init(&c->kind, &c->trusted, &c->trusted.final, false, CONTRACT_WHAT_KIND, &plan);
    if (reading_ask(&c->kind))
        return SOURCE_WANTS;
    return kind_failed(s);
}

static enum source_state judge_kind(struct source *s)
{
    struct contract *c = contract_of(s);
    struct ms_diag diag = {0};

    switch (reading_judge(&c->kind)) {
    case READING_FAILED:
        return kind_failed(s);
    case READING_MORE:
        return SOURCE_WANTS;
    case READING_DIFFER:
        return source_failf(s, MS_ERR_DISSENT, "RPC groups differ about what contract it is");
    case READING_DONE:
        break;
    }
    const char *name = kind_judge(&c->kind, c->guessed ? NULL : c->adapter->name, &diag);
    if (name == NULL)
        return source_fail_negative(s, MS_ERR_KIND, c->negative_s, "%s",
                                    ms_diag_text(&diag, MS_ERR_KIND));
    const struct contract_adapter *adapter =
        c->guessed ? kind_adapter(ms_span_str(name)) : c->adapter;
    if (adapter == NULL)
        return source_fail_negative(s, MS_ERR_KIND, s->policy.times.contract_no_code,
                                    "a contract of kind %s approves nothing by itself", name);
    if (c->adapter != adapter)
        c->own = NULL; /* of the other one */
    c->adapter = adapter;
    c->guessed = false;
    return prepare(s);
}

/* A registry is known by its slot 0, and any contract may sign; every other kind has to show what
 * it is, and so has what is believed by proof. */
static enum source_state block_believed(struct source *s)
{
    struct contract *c = contract_of(s);
    bool any = c->adapter->signer && c->level < SPEC_LEVEL_L3;
    return c->adapter == &contract_registry || any ? prepare(s) : ask_kind(s);
}

/* ---- code ---- */

/* `code=` pins what the account proof says. */
static enum source_state check_code_pin(struct source *s)
{
    struct contract *c = contract_of(s);
    const struct reading_peer *answer = reading_answer(&c->final);

    if (!s->spec->has_code)
        return SOURCE_DONE;
    if (!c->final.proven)
        return source_failf(s, MS_ERR_CODE_IDENTITY,
                            "code= needs an endpoint that proves finalized state");
    if (memcmp(s->spec->code, answer->at[0].account.code_hash.b, ETH_HASH_BYTES) != 0)
        return source_failf(s, MS_ERR_CODE_IDENTITY,
                            "the contract's code is not the one pinned by code=");
    return SOURCE_DONE;
}

static enum source_state judge_owner(struct source *s)
{
    struct contract *c = contract_of(s);
    struct eth_addr owner = c->adapter->owner(s);
    enum source_state state = owner_step(s, c->owner, &owner);

    if (state != SOURCE_DONE)
        return state;
    c->phase = CONTRACT_AFTER;
    return c->adapter->after(s);
}

static enum source_state start_after(struct source *s)
{
    struct contract *c = contract_of(s);
    struct eth_addr owner = {{0}};

    if (c->adapter->owner != NULL)
        owner = c->adapter->owner(s);
    c->phase = eth_addr_is_zero(&owner) ? CONTRACT_AFTER : CONTRACT_OWNER;
    if (c->phase == CONTRACT_AFTER)
        return c->adapter->after(s);
    c->owner = ms_arena_alloc(&s->arena, 1, sizeof(*c->owner));
    return c->owner == NULL ? source_fail(s, MS_ERR_MEMORY, NULL) : judge_owner(s);
}

static enum source_state judge_code(struct source *s);

static enum source_state after_data(struct source *s)
{
    struct contract *c = contract_of(s);

    if (check_code_pin(s) != SOURCE_DONE)
        return SOURCE_FAILED;
    if (!c->final.proven || contract_is_reference(&c->final))
        return start_after(s);
    c->phase = CONTRACT_CODE;
    if (c->kept != NULL) /* kept with the rest, or never to be had */
        return judge_code(s);
    return reading_ask_code(&c->final) ? SOURCE_WANTS : SOURCE_FAILED;
}

/* An account whose code is a pointer to other code (EIP-7702) can be turned by one key: no registry
 * (T4). */
static enum source_state judge_code_at(struct source *s, size_t which)
{
    static const uint8_t delegation[3] = {0xef, 0x01, 0x00};
    struct contract *c = contract_of(s);
    const struct reading_peer *answer = reading_answer(&c->final);
    const struct reading_account *at = &answer->at[which];
    struct ms_diag diag = {0};

    if (!at->has_code || !at->has_implementation || answer->failed)
        return source_fail(s, answer->err == MS_OK ? MS_ERR_RPC : answer->err, &answer->diag);
    struct eth_hash hash = eth_keccak256(at->code);
    if (!eth_hash_eq(&hash, &at->account.code_hash)) {
        (void)ms_diag_set(&diag, MS_ERR_PROOF, "gives code that is not what its proof says");
        reading_reject(&c->final, MS_ERR_PROOF, &diag);
        return source_fail(s, MS_ERR_PROOF, &answer->diag);
    }
    if (at->code.len == 23 && memcmp(at->code.ptr, delegation, sizeof(delegation)) == 0)
        return source_fail_negative(s, MS_ERR_KIND, s->policy.times.contract_no_code,
                                    "%s is an account with delegated code (EIP-7702): its "
                                    "one key can change what it says",
                                    which == 0 ? "the address" : "the KMS");
    return SOURCE_DONE;
}

static enum source_state judge_code(struct source *s)
{
    for (size_t i = 0; i < reading_contracts(&contract_of(s)->final.plan); i++) {
        enum source_state state = judge_code_at(s, i);
        if (state != SOURCE_DONE)
            return state;
    }
    return start_after(s);
}

/* ---- what the result says whatever the kind ---- */

json_t *contract_address_json(const struct eth_addr *addr)
{
    char text[ETH_ADDR_TEXT + 1];
    if (eth_addr_is_zero(addr))
        return json_null();
    eth_addr_text(addr, text);
    return json_string(text);
}

json_t *contract_hash_json(const uint8_t *bytes)
{
    char text[2 + 2 * ETH_HASH_BYTES + 1] = "0x";
    ms_hex_encode(ms_span_of(bytes, ETH_HASH_BYTES), text + 2);
    return json_string(text);
}

static json_t *block_json(const struct eth_header *header)
{
    return json_pack("{s:I, s:o, s:I}", "block", (json_int_t)header->number, "block_hash",
                     contract_hash_json(header->hash.b), "block_time",
                     (json_int_t)header->timestamp_s);
}

void contract_add_code(const struct source *s, size_t which, json_t *out)
{
    const struct contract *c = contract_of(s);
    const struct reading_account *at = &reading_answer(&c->final)->at[which];
    struct eth_addr implementation;

    if (!c->final.proven)
        return;
    (void)json_object_set_new(out, "code_hash", contract_hash_json(at->account.code_hash.b));
    if (eth_word_is_zero(&at->implementation))
        return;
    memcpy(implementation.b, at->implementation.b + ETH_WORD_BYTES - ETH_ADDR_BYTES,
           ETH_ADDR_BYTES);
    (void)json_object_set_new(out, "implementation", contract_address_json(&implementation));
}

json_t *contract_governance(const struct source *s)
{
    const struct contract *c = contract_of(s);
    json_t *out =
        json_pack("{s:s, s:I, s:o}", "adapter", c->adapter->name, "chain",
                  (json_int_t)s->spec->chain, "address", contract_address_json(&s->spec->address));

    if (out == NULL)
        return NULL;
    contract_add_code(s, 0, out);
    if (c->has_head)
        (void)json_object_set_new(out, "head", block_json(&c->trusted.head.header));
    if (c->owner != NULL && c->owner->description != NULL)
        (void)json_object_update(out, c->owner->description);
    return out;
}

/* The newest block tells what time it is, about. T10: one of the two is wrong. */
static void warn_clock(const struct source *s, struct source_result *result)
{
    const struct trusted_hash *head = &contract_of(s)->trusted.head;
    int64_t lag_s = s->started_s - (int64_t)head->header.timestamp_s;

    if (head->how != TRUSTED_NOT && lag_s > SOURCE_HEAD_LAG_S)
        source_result_warn(result, "old-head",
                           "the newest block is %lld s old: the endpoints stand still, or the "
                           "clock of this machine is ahead",
                           (long long)lag_s);
}

static void add_warnings(struct source *s, struct source_result *result)
{
    const struct contract *c = contract_of(s);
    int64_t age_s = s->started_s - (int64_t)c->trusted.final.header.timestamp_s;

    warn_clock(s, result);
    if (s->policy.nonfinality == SOURCE_NONFINALITY_SAFE)
        source_result_warn(result, "safe-block",
                           "read from the chain's safe block, not its finalized one, as configured "
                           "(nonfinality = safe): a reorganisation may undo it");
    if (age_s > s->policy.times.finality_warn)
        source_result_warn(result, "old-finality", "the finalized block is %lld minutes old",
                           (long long)(age_s / 60));
    if (!c->final.proven)
        source_result_warn(result, "no-proof",
                           "the endpoint gave no proof: the answer rests on its word alone");
    else if (!contract_is_reference(&c->final))
        source_result_warn(result, "unknown-code",
                           c->adapter == &contract_registry
                               ? "the registry's code is not that of the reference contract"
                               : "the contract's code is not among those whose rules are known");
    for (size_t i = 0; c->final.proven && i < reading_contracts(&c->final.plan); i++)
        if (!eth_word_is_zero(&reading_answer(&c->final)->at[i].implementation))
            source_result_warn(result, "proxy",
                               "the %s is a proxy: who may upgrade it may change its rules",
                               i == 0 ? "contract" : "KMS");
}

/* What is behind the address: hash of its code and, behind a proxy, the implementation (T4); and
 * the same of the other contract that is read with it. */
static void set_identity(const struct source *s, struct source_result *r)
{
    const struct contract *c = contract_of(s);
    const struct reading_peer *answer = reading_answer(&c->final);
    struct eth_word runs = {0};
    struct ms_span parts[2 * READING_CONTRACTS_MAX + 1];
    size_t n = 0;

    if (!c->final.proven)
        return;
    for (size_t i = 0; i < reading_contracts(&c->final.plan); i++) {
        parts[n++] = eth_hash_span(&answer->at[i].account.code_hash);
        parts[n++] = eth_word_span(&answer->at[i].implementation);
    }
    if (c->adapter->runs != NULL) {
        runs = c->adapter->runs(s);
        parts[n++] = eth_word_span(&runs);
    }
    r->has_identity = true;
    r->identity = ms_sha256_parts(parts, n);
}

/* ---- what to ask to know that nothing has changed ---- */

static struct ms_span keep(struct source_result *r, struct ms_span bytes)
{
    const char *copy = ms_arena_strdup(&r->arena, bytes);
    return ms_span_of(copy, copy == NULL ? 0 : bytes.len);
}

static bool probe_calls(const struct contract *c, struct source_result *r)
{
    const struct reading_peer *final = reading_answer(&c->final), *head = reading_answer(&c->head);
    struct source_probe_call *calls =
        ms_arena_alloc(&r->arena, c->plan.n_calls + 1, sizeof(*calls));
    size_t n = 0;

    for (size_t i = 0; calls != NULL && i < c->plan.n_calls; i++) {
        struct ms_span newest = c->has_head ? head->calls[i] : final->calls[i];
        if (final->reverted[i] || (c->has_head && head->reverted[i]))
            continue;
        calls[n] = (struct source_probe_call){.to = *reading_call_to(&c->plan, i),
                                              .data = keep(r, c->plan.calls[i]),
                                              .final = keep(r, final->calls[i]),
                                              .head = keep(r, newest)};
        if (calls[n].data.ptr == NULL || calls[n].final.ptr == NULL || calls[n].head.ptr == NULL)
            return false;
        n++;
    }
    r->probe.n_calls = n;
    r->probe.calls = calls;
    return calls != NULL;
}

/* One contract's keys of the plan and EIP-1967's, so many to an account's proof. */
static bool probe_slots_at(const struct source *s, size_t which, struct source_result *r,
                           struct source_probe_account *accounts)
{
    const struct contract *c = contract_of(s);
    const struct reading_peer *final = reading_answer(&c->final);
    const struct reading_account *at = &final->at[which];
    size_t first, n_keys = reading_keys_at(&c->plan, which, &first), n = n_keys + 1;
    size_t per = SOURCE_PROBE_SLOTS_MAX;
    struct source_probe_slot *slots = ms_arena_alloc(&r->arena, n, sizeof(*slots));

    if (slots == NULL)
        return false;
    for (size_t i = 0; i < n_keys; i++)
        slots[i] = (struct source_probe_slot){c->plan.keys[first + i], final->values[first + i]};
    slots[n - 1] = (struct source_probe_slot){eth_slot_eip1967("eip1967.proxy.implementation"),
                                              at->implementation};
    if (!at->has_implementation)
        n--;
    for (size_t i = 0; i < n; i += per)
        accounts[r->probe.n_accounts++] =
            (struct source_probe_account){.address = which == 0 ? c->plan.address : c->plan.other,
                                          .code_hash = at->account.code_hash,
                                          .n_slots = n - i < per ? n - i : per,
                                          .slots = slots + i};
    return true;
}

bool contract_probe_slots(const struct source *s, struct source_result *r)
{
    const struct contract *c = contract_of(s);

    if (!c->final.proven)
        return true;
    struct source_probe_account *accounts =
        ms_arena_alloc(&r->arena, SOURCE_PROBE_ACCOUNTS_MAX, sizeof(*accounts));
    if (accounts == NULL)
        return false;
    for (size_t i = 0; i < reading_contracts(&c->plan); i++)
        if (!probe_slots_at(s, i, r, accounts))
            return false;
    r->probe.accounts = accounts;
    return true;
}

/* Proofs that it takes: keys and EIP-1967's, rounded up for each contract. */
static size_t probe_accounts(const struct reading_plan *plan)
{
    size_t n = 0, ignored;

    for (size_t i = 0; i < reading_contracts(plan); i++)
        n += reading_keys_at(plan, i, &ignored) / SOURCE_PROBE_SLOTS_MAX + 1;
    return n;
}

bool contract_probe(const struct source *s, struct source_result *r)
{
    const struct contract *c = contract_of(s);

    if (c->kept != NULL || c->plan.n_calls == 0 || c->plan.n_calls > SOURCE_PROBE_CALLS_MAX ||
        probe_accounts(&c->plan) > SOURCE_PROBE_ACCOUNTS_MAX)
        return true;
    return probe_calls(c, r) && contract_probe_slots(s, r);
}

static enum source_trust trust_of(const struct contract *c)
{
    if (c->level >= SPEC_LEVEL_L3)
        return SOURCE_TRUST_PROOF;
    return c->level == SPEC_LEVEL_L2 ? SOURCE_TRUST_QUORUM : SOURCE_TRUST_SINGLE;
}

void contract_facts(struct source *s, struct source_result *r)
{
    const struct contract *c = contract_of(s);
    const struct eth_header *pin =
        &c->final.pin->header; /* the finalized block, or one before it */

    r->adapter = c->adapter->name;
    r->level = c->level;
    r->trust = trust_of(c);
    r->trust_k = c->final.pin->groups;
    r->trust_n = c->set.groups;
    r->block = (struct source_block){.chain = s->spec->chain,
                                     .number = pin->number,
                                     .hash = pin->hash,
                                     .time_s = (int64_t)pin->timestamp_s};
    r->hash_by = trusted_how_name(c->trusted.final.how);
    /* the newest block was read, or it is the finalized one; no agreement about it is neither */
    const struct trusted_hash *head = &c->trusted.head;
    bool is_final = head->how != TRUSTED_NOT && head->header.number <= pin->number;
    r->has_head = c->has_head || is_final;
    r->head_number = r->has_head ? head->header.number : 0;
    r->evidence_time_s = (int64_t)pin->timestamp_s;
    r->head_time_s = head->how != TRUSTED_NOT ? (int64_t)head->header.timestamp_s : 0;
    if (r->head_time_s < r->evidence_time_s)
        r->head_time_s = r->evidence_time_s;
    r->life = (struct source_lifetime){.fresh_s = s->policy.times.contract_fresh,
                                       .swr_s = s->policy.times.contract_swr,
                                       .sie_s = s->policy.times.contract_sie,
                                       .ceiling_s = s->policy.max_evidence_age_s};
    set_identity(s, r);
    add_warnings(s, r);
}

/* ---- the machine ---- */

static enum source_state advance(struct source *s)
{
    struct contract *c = contract_of(s);
    enum source_state state;

    switch (c->phase) {
    case CONTRACT_BLOCK:
        state = trusted_next(&c->trusted);
        return state == SOURCE_DONE ? block_believed(s) : state;
    case CONTRACT_KIND:
        return judge_kind(s);
    case CONTRACT_PREPARE:
        return prepare(s);
    case CONTRACT_KEPT:
        return judge_kept(s);
    case CONTRACT_DATA:
        return judge_data(s);
    case CONTRACT_CODE:
        return judge_code(s);
    case CONTRACT_OWNER:
        return judge_owner(s);
    case CONTRACT_AFTER:
        return c->adapter->after(s);
    }
    return SOURCE_FAILED;
}

enum source_state contract_continue(struct source *s)
{
    if (s->err != MS_OK)
        return SOURCE_FAILED;
    return contract_of(s)->set.out > 0 ? SOURCE_WANTS : advance(s);
}

static enum source_state take_document(struct source *s, const struct source_response *response)
{
    const struct contract *c = contract_of(s);
    return c->adapter->document == NULL ? s->state : c->adapter->document(s, response);
}

/* Whether what is there, or can be had from others, does without those who are still out. */
static bool can_hurry(const struct contract *c)
{
    switch (c->phase) {
    case CONTRACT_BLOCK:
        return trusted_enough(&c->trusted);
    case CONTRACT_KIND:
        return reading_can_hurry(&c->kind);
    case CONTRACT_DATA:
        return reading_can_hurry(&c->final) && (!c->reads_head || reading_can_hurry(&c->head));
    case CONTRACT_PREPARE: /* logs: another endpoint is asked */
    case CONTRACT_OWNER:   /* a description that may be left out */
        return true;
    case CONTRACT_KEPT:
    case CONTRACT_CODE:
    case CONTRACT_AFTER:
        return false;
    }
    return false;
}

static void hurry_reading(struct reading *r)
{
    reading_hurry(r);
    (void)reading_ask(r); /* others */
}

static enum source_state hurry(struct source *s)
{
    struct contract *c = contract_of(s);

    if (c->phase == CONTRACT_KIND)
        hurry_reading(&c->kind);
    if (c->phase == CONTRACT_OWNER)
        owner_hurry(c->owner);
    if (c->phase == CONTRACT_DATA) { /* of both at once */
        hurry_reading(&c->final);
        if (c->reads_head)
            hurry_reading(&c->head);
    }
    return s->err == MS_OK ? advance(s) : SOURCE_FAILED;
}

static enum source_state take(struct source *s, const struct source_response *response)
{
    struct contract *c = contract_of(s);

    if (response == NULL)
        return trusted_ask(&c->trusted);
    if (rpcset_hurry(&c->set, response))
        return hurry(s);
    if (!rpcset_take(&c->set, response))
        return take_document(s, response);
    return contract_continue(s);
}

static enum source_state contract_step(struct source *s, const struct source_response *response,
                                       struct ms_now now)
{
    struct contract *c = contract_of(s);
    (void)now; /* ages are counted from the start, so that a replay sees the same */

    enum source_state state = take(s, response);
    if (state == SOURCE_WANTS && c->set.out > 0 && can_hurry(c))
        rpcset_grace(&c->set);
    return state;
}

/* What kind= says, or kms=; without them a registry is tried first. */
static enum ms_err choose_adapter(const struct source *s, const struct contract_adapter **ret,
                                  struct ms_diag *diag)
{
    if (guesses(s))
        *ret = &contract_registry;
    else if (s->spec->adapter == NULL) /* only an app has a KMS */
        *ret = &contract_dstack_app;
    else
        *ret = kind_adapter(ms_span_str(s->spec->adapter));
    if (s->spec->has_kms && *ret != &contract_dstack_app)
        return ms_diag_set(diag, MS_ERR_UNSUPPORTED,
                           "kms= has a meaning for contracts of kind=dstack-app only, so the "
                           "specifier is not resolved");
    if (s->spec->has_kms && eth_addr_eq(&s->spec->kms, &s->spec->address))
        return ms_diag_set(diag, MS_ERR_UNSUPPORTED,
                           "kms= names the app itself: no contract is both, so the specifier is "
                           "not resolved");
    if (s->spec->at.url != NULL && *ret != &contract_safe)
        return ms_diag_set(
            diag, MS_ERR_UNSUPPORTED,
            "at= has a meaning for contracts of kind=safe only, so the specifier is not resolved");
    if (*ret != NULL)
        return MS_OK;
    return ms_diag_set(diag, MS_ERR_UNSUPPORTED, "contracts of kind=%s are not yet resolvable",
                       s->spec->adapter);
}

enum ms_err contract_start(struct source *s, const struct contract_adapter *adapter,
                           struct ms_diag *diag)
{
    struct contract *c = ms_arena_alloc(&s->arena, 1, sizeof(*c));
    if (c == NULL)
        return MS_ERR_MEMORY;
    c->adapter = adapter;
    c->guessed = guesses(s);
    s->kind_state = c;
    s->step = contract_step;
    c->negative_s = s->policy.times.contract_no_code;
    c->level = s->policy.level;
    if (c->level < SPEC_LEVEL_L0 || c->level > SPEC_LEVEL_L3)
        return ms_diag_set(diag, MS_ERR_LEVEL, "read level %s is not available",
                           spec_level_name(c->level));
    c->set.result = on_result;
    c->set.failed = on_failed;
    c->set.owner = c;
    enum ms_err err = rpcset_init(&c->set, s, s->spec->chain, diag);
    if (err != MS_OK)
        return err;
    c->trusted.has_previous = s->previous.has_final;
    c->trusted.previous_number = s->previous.final_number;
    c->trusted.previous_hash = s->previous.final_hash;
    return trusted_init(&c->trusted, &c->set, c->level, diag);
}

enum ms_err source_contract_init(struct source *s, struct ms_now now, struct ms_diag *diag)
{
    const struct contract_adapter *adapter = NULL;

    (void)now;
    enum ms_err err = choose_adapter(s, &adapter, diag);
    return err == MS_OK ? contract_start(s, adapter, diag) : err;
}
