/* resolver/source/contract_mapping.c - adapters of contracts that keep what they approve in
 * mappings: dstack's DstackApp and DstackKms, flashtestations' BlockBuilderPolicy
 * (ethereum.md 3.8, 3.9).
 *
 * A mapping cannot be listed by proof; one storage proof answers whether one value is in it. So
 * values to ask about are collected from logs and from whoever asks (candidates), each is asked
 * about at the finalized and at the newest block, and what the storage says has to be what the
 * contract says: a layout other than the one known here then fails instead of being misread. The
 * list is never complete, and the envelope says so.
 *
 * With kms= an app and its KMS are one thing to ask: both are read in one plan, so at one block, by
 * one endpoint, all or nothing. What either approves counts while the KMS knows the app. */
#include "base/hex.h"
#include "contracts-abi/dstack_abi.h"
#include "contracts-abi/flashtestations_abi.h"
#include "eth/abi.h"
#include "eth/slot.h"
#include "resolver/source/kind.h"
#include "resolver/source/scan.h"

#include <stdlib.h>

/* Which of the plan's contracts. */
enum { AT_SELF = 0, AT_KMS };

#define LISTS_MAX 3
#define FLAGS_MAX 3
#define FACTS_MAX 2
#define FACT_TEXT_MAX ((size_t)2 * ETH_WORD_BYTES) /* a longer text is not told */
#define CALL_BYTES (4 + ETH_WORD_BYTES)

struct list { /* one mapping from bytes32 */
    enum source_candidate_kind kind;
    const char *name; /* in governance; NULL: its members are predicates of the release */
    uint8_t getter[4];
    uint8_t slot;
    bool metadata; /* the value is (string, string[]), approved when the string is not empty; else
                      bool */
    struct eth_hash added; /* event; the value is its first indexed one, or its data */
    size_t at;             /* AT_SELF, AT_KMS */
};

struct flag { /* a bool in a slot of its own or packed; false where the contract has no such getter
               */
    const char *name;
    uint8_t getter[4];
    uint8_t slot, byte; /* counted from the low end */
    bool loosens; /* true approves more: the newest state may only turn it off; others only on */
    bool gate;    /* the KMS's word about the app, a mapping from its address: it must be there, and
                     nothing is approved while it is false */
};

/* What a KMS says beside its lists, for governance: a text, or an address where is_text is not set.
 * Nothing is approved by it, but who boots is told of it, so it is read and proven with the rest.
 */
struct fact {
    const char *name;
    uint8_t getter[4];
    uint8_t slot;
    bool is_text;
    size_t at; /* AT_SELF, AT_KMS */
};

struct shape {
    size_t n_lists, n_flags, n_facts;
    struct list lists[LISTS_MAX];
    struct flag flags[FLAGS_MAX];
    struct fact facts[FACTS_MAX];
};

static const struct shape dstack_app = {
    .n_lists = 2,
    .lists = {{SOURCE_CANDIDATE_COMPOSE_HASH, NULL, DSTACK_CALL_ALLOWED_COMPOSE_HASHES, 0, false,
               DSTACK_EVENT_COMPOSE_HASH_ADDED, AT_SELF},
              {SOURCE_CANDIDATE_DEVICE, "devices", DSTACK_CALL_ALLOWED_DEVICE_IDS, 2, false,
               DSTACK_EVENT_DEVICE_ADDED, AT_SELF}},
    .n_flags = 2,
    .flags = {{"allow_any_device", DSTACK_CALL_ALLOW_ANY_DEVICE, 1, 1, true, false},
              {"require_tcb_up_to_date", DSTACK_CALL_REQUIRE_TCB_UP_TO_DATE, 3, 0, false, false}},
};

/* Of the KMS only what is about apps: its other lists say who may be a KMS. */
static const struct shape dstack_app_of_kms = {
    .n_lists = 3,
    .lists = {{SOURCE_CANDIDATE_COMPOSE_HASH, NULL, DSTACK_CALL_ALLOWED_COMPOSE_HASHES, 0, false,
               DSTACK_EVENT_COMPOSE_HASH_ADDED, AT_SELF},
              {SOURCE_CANDIDATE_DEVICE, "devices", DSTACK_CALL_ALLOWED_DEVICE_IDS, 2, false,
               DSTACK_EVENT_DEVICE_ADDED, AT_SELF},
              {SOURCE_CANDIDATE_OS_IMAGE, NULL, DSTACK_CALL_ALLOWED_OS_IMAGES, 8, false,
               DSTACK_EVENT_OS_IMAGE_HASH_ADDED, AT_KMS}},
    .n_flags = 3,
    .flags = {{"allow_any_device", DSTACK_CALL_ALLOW_ANY_DEVICE, 1, 1, true, false},
              {"require_tcb_up_to_date", DSTACK_CALL_REQUIRE_TCB_UP_TO_DATE, 3, 0, false, false},
              {"registered", DSTACK_CALL_REGISTERED_APPS, 5, 0, true, true}},
    .n_facts = 1,
    .facts = {{"gateway_app_id", DSTACK_CALL_GATEWAY_APP_ID, 4, true, AT_KMS}},
};

static const struct shape dstack_kms = {
    .n_lists = 3,
    .lists = {{SOURCE_CANDIDATE_OS_IMAGE, NULL, DSTACK_CALL_ALLOWED_OS_IMAGES, 8, false,
               DSTACK_EVENT_OS_IMAGE_HASH_ADDED, AT_SELF},
              {SOURCE_CANDIDATE_AGGREGATED_MR, "aggregated_mrs",
               DSTACK_CALL_KMS_ALLOWED_AGGREGATED_MRS, 6, false,
               DSTACK_EVENT_KMS_AGGREGATED_MR_ADDED, AT_SELF},
              {SOURCE_CANDIDATE_DEVICE, "devices", DSTACK_CALL_KMS_ALLOWED_DEVICE_IDS, 7, false,
               DSTACK_EVENT_KMS_DEVICE_ADDED, AT_SELF}},
    .n_facts = 2,
    .facts = {{"gateway_app_id", DSTACK_CALL_GATEWAY_APP_ID, 4, true, AT_SELF},
              {"app_implementation", DSTACK_CALL_APP_IMPLEMENTATION, 9, false, AT_SELF}},
};

static const struct shape flashtestations = {
    .n_lists = 1,
    .lists = {{SOURCE_CANDIDATE_WORKLOAD_ID, NULL, FLASHTESTATIONS_CALL_GET_WORKLOAD_METADATA, 0,
               true, FLASHTESTATIONS_EVENT_WORKLOAD_ADDED_TO_POLICY, AT_SELF}},
};

struct fact_value {
    size_t len; /* 0: the contract says nothing, or nothing that can be told */
    uint8_t bytes[FACT_TEXT_MAX];
};

struct state { /* at one block */
    bool flags[FLAGS_MAX];
    struct fact_value facts[FACTS_MAX];
    bool member[SOURCE_CANDIDATES_MAX];
    struct ms_span commit[SOURCE_CANDIDATES_MAX]; /* flashtestations: what it was built from */
};

struct own {
    const struct shape *shape;
    struct scan scan;
    struct eth_hash topics[LISTS_MAX];
    size_t n_candidates; /* sorted, distinct */
    struct source_candidate candidates[SOURCE_CANDIDATES_MAX];
    size_t lost;                                              /* candidates without room */
    size_t flag_call[FLAGS_MAX], call[SOURCE_CANDIDATES_MAX]; /* by flag, candidate: in the plan */
    size_t fact_call[FACTS_MAX], fact_key[FACTS_MAX];
    struct state final, head;
};

static const struct shape *shape_of(const struct source *s)
{
    const struct contract_adapter *adapter = contract_of(s)->adapter;

    if (adapter == &contract_dstack_app)
        return s->spec->has_kms ? &dstack_app_of_kms : &dstack_app;
    return adapter == &contract_dstack_kms ? &dstack_kms : &flashtestations;
}

static struct own *own_of(const struct source *s)
{
    return contract_of(s)->own;
}

static const struct list *list_of(const struct own *own, enum source_candidate_kind kind)
{
    for (size_t i = 0; i < own->shape->n_lists; i++)
        if (own->shape->lists[i].kind == kind)
            return &own->shape->lists[i];
    return NULL;
}

/* ---- candidates ---- */

static void add_candidate(struct own *own, const struct source_candidate *candidate)
{
    size_t at = 0;

    if (list_of(own, candidate->kind) == NULL)
        return;
    while (at < own->n_candidates && source_candidate_cmp(&own->candidates[at], candidate) < 0)
        at++;
    if (at < own->n_candidates && source_candidate_cmp(&own->candidates[at], candidate) == 0)
        return;
    if (own->n_candidates == SOURCE_CANDIDATES_MAX) {
        own->lost++;
        return;
    }
    memmove(&own->candidates[at + 1], &own->candidates[at],
            (own->n_candidates - at) * sizeof(own->candidates[0]));
    own->candidates[at] = *candidate;
    own->n_candidates++;
}

static void found_log(struct source *s, const struct eth_log *log)
{
    struct own *own = own_of(s);

    for (size_t i = 0; i < own->shape->n_lists; i++) {
        const struct list *list = &own->shape->lists[i];
        struct source_candidate candidate = {.kind = list->kind};
        const struct eth_addr *from = list->at == AT_KMS ? &s->spec->kms : &s->spec->address;
        if (log->n_topics == 0 || !eth_addr_eq(&log->address, from) ||
            !eth_hash_eq(&log->topics[0], &list->added))
            continue;
        if (log->n_topics == 2)
            memcpy(candidate.value, log->topics[1].b, ETH_WORD_BYTES);
        else if (log->data.len == ETH_WORD_BYTES)
            memcpy(candidate.value, log->data.ptr, ETH_WORD_BYTES);
        else
            continue;
        add_candidate(own, &candidate);
    }
}

static struct own *begin(struct source *s)
{
    bool first = contract_of(s)->own == NULL;
    struct own *own = contract_own(s, sizeof(*own));

    if (own == NULL || !first)
        return own;
    own->shape = shape_of(s);
    for (size_t i = 0; i < own->shape->n_lists; i++)
        own->topics[i] = own->shape->lists[i].added;
    own->scan = (struct scan){.topics = own->topics,
                              .n_topics = own->shape->n_lists,
                              .found = found_log,
                              .at = s->previous.scan};
    for (size_t i = 0; i < s->previous.n_candidates; i++)
        add_candidate(own, &s->previous.candidates[i]);
    return own;
}

/* ---- what to read ---- */

static struct eth_word slot_of(const struct own *own, const struct source_candidate *candidate)
{
    struct eth_word p = eth_word_u64(list_of(own, candidate->kind)->slot), key;
    memcpy(key.b, candidate->value, ETH_WORD_BYTES);
    return eth_slot_mapping(&key, &p);
}

struct writing { /* a plan; the arrays are large enough */
    struct ms_span *calls;
    struct eth_word *keys;
    uint8_t *text; /* of calls with an argument */
    size_t n_calls, n_keys;
};

static size_t add_ask(struct writing *w, struct ms_span call, struct eth_word key)
{
    w->keys[w->n_keys++] = key;
    w->calls[w->n_calls] = call;
    return w->n_calls++;
}

static struct ms_span call_with(struct writing *w, const uint8_t getter[4],
                                const struct eth_word *argument)
{
    uint8_t *data = w->text;

    w->text += CALL_BYTES;
    memcpy(data, getter, 4);
    memcpy(data + 4, argument->b, ETH_WORD_BYTES);
    return ms_span_of(data, CALL_BYTES);
}

static void add_flag(const struct source *s, const struct flag *flag, struct writing *w,
                     size_t *ret_call)
{
    struct eth_word slot = eth_word_u64(flag->slot), app = {{0}};

    if (!flag->gate) {
        *ret_call = add_ask(w, ms_span_of(flag->getter, 4), slot);
        return;
    }
    memcpy(app.b + ETH_WORD_BYTES - ETH_ADDR_BYTES, s->spec->address.b, ETH_ADDR_BYTES);
    *ret_call = add_ask(w, call_with(w, flag->getter, &app), eth_slot_mapping(&app, &slot));
}

/* A text that does not fit its slot lies in those that eth_slot_string_data names. */
static void add_fact(struct own *own, size_t i, struct writing *w)
{
    const struct fact *fact = &own->shape->facts[i];
    struct eth_word slot = eth_word_u64(fact->slot);

    own->fact_key[i] = w->n_keys;
    own->fact_call[i] = add_ask(w, ms_span_of(fact->getter, 4), slot);
    for (size_t k = 0; fact->is_text && k < FACT_TEXT_MAX / ETH_WORD_BYTES; k++)
        w->keys[w->n_keys++] = eth_slot_string_data(&slot, k);
}

/* Of each contract: keys of the owner, the flags, the candidates, the facts; calls of the flags,
 * the candidates, the facts. A fact may have several keys, so none but facts come after it. */
static void write_at(const struct source *s, struct own *own, size_t at, struct writing *w)
{
    w->keys[w->n_keys++] = eth_slot_erc7201("openzeppelin.storage.Ownable");
    for (size_t i = 0; i < own->shape->n_flags; i++)
        if (own->shape->flags[i].gate == (at == AT_KMS))
            add_flag(s, &own->shape->flags[i], w, &own->flag_call[i]);
    for (size_t i = 0; i < own->n_candidates; i++) {
        const struct source_candidate *candidate = &own->candidates[i];
        const struct list *list = list_of(own, candidate->kind);
        struct eth_word value;
        if (list->at != at)
            continue;
        memcpy(value.b, candidate->value, ETH_WORD_BYTES);
        own->call[i] = add_ask(w, call_with(w, list->getter, &value), slot_of(own, candidate));
    }
    for (size_t i = 0; i < own->shape->n_facts; i++)
        if (own->shape->facts[i].at == at)
            add_fact(own, i, w);
}

static bool plan(struct source *s, struct own *own)
{
    struct reading_plan *out = &contract_of(s)->plan;
    size_t n = own->shape->n_flags + own->n_candidates + own->shape->n_facts;
    size_t n_keys = n + READING_CONTRACTS_MAX + FACTS_MAX * FACT_TEXT_MAX / ETH_WORD_BYTES;
    struct writing w = {.calls = ms_arena_alloc(&s->arena, n + 1, sizeof(*w.calls)),
                        .keys = ms_arena_alloc(&s->arena, n_keys, sizeof(*w.keys)),
                        .text = ms_arena_alloc(&s->arena, n + 1, CALL_BYTES)};

    if (w.calls == NULL || w.keys == NULL || w.text == NULL) {
        (void)source_fail(s, MS_ERR_MEMORY, NULL);
        return false;
    }
    write_at(s, own, AT_SELF, &w);
    if (s->spec->has_kms) {
        out->has_other = true;
        out->other = s->spec->kms;
        out->other_call = w.n_calls;
        out->other_key = w.n_keys;
        write_at(s, own, AT_KMS, &w);
    }
    out->n_calls = w.n_calls;
    out->calls = w.calls;
    out->n_keys = w.n_keys;
    out->keys = w.keys;
    out->soft = true;
    return true;
}

/* The slot that a call reads: each contract's keys begin with one more, its owner's. */
static const struct eth_word *stored_of(const struct reading_plan *plan,
                                        const struct reading_peer *peer, size_t call)
{
    return &peer->values[call + (plan->has_other && call >= plan->other_call ? 2 : 1)];
}

static enum source_state prepare(struct source *s)
{
    const struct trusted_hash *final = &contract_of(s)->trusted.final;
    struct own *own = begin(s);

    if (own == NULL)
        return SOURCE_FAILED;
    /* these contracts count nothing, so an older state is known only by its block */
    if (s->previous.has_final && final->header.number < s->previous.final_number)
        return source_failf(
            s, MS_ERR_ROLLBACK,
            "finalized block %llu is older than block %llu, which was believed before",
            (unsigned long long) final->header.number,
            (unsigned long long)s->previous.final_number);
    enum source_state state = scan_step(s, &own->scan);
    if (state != SOURCE_DONE)
        return state;
    return plan(s, own) ? SOURCE_DONE : SOURCE_FAILED;
}

/* ---- what an answer says ---- */

static bool read_bool(struct ms_span answer, bool *ret)
{
    struct eth_word word;
    uint64_t value = 0;

    if (!eth_word_of_span(answer, &word) || !eth_word_to_u64(&word, &value) || value > 1)
        return false;
    *ret = value == 1;
    return true;
}

/* Metadata(string commitHash, string[] sourceLocators). */
static bool read_metadata(struct ms_span answer, struct ms_arena *arena, bool *ret,
                          struct ms_span *ret_commit)
{
    const struct eth_abi_type *type = NULL;
    struct eth_abi_value value;

    if (eth_abi_params_parse(ms_span_str(FLASHTESTATIONS_RETURNS_GET_WORKLOAD_METADATA), arena,
                             &type) != MS_OK ||
        eth_abi_decode(type, answer, arena, &value, NULL) != MS_OK)
        return false;
    *ret_commit = value.items[0].items[0].bytes;
    *ret = ret_commit->len > 0;
    return true;
}

static enum ms_err differs(struct ms_diag *diag, const char *what)
{
    return ms_diag_set(diag, MS_ERR_COMMITMENT,
                       "%s: storage and answer differ; the contract keeps it in another place than "
                       "those we know, or somebody lies",
                       what);
}

/* A flag without a getter is one that this version of the contract does not have; its place is
 * empty then, or the getter was only left out by who answered. */
static enum ms_err read_flag(const struct reading_plan *plan, size_t call, const struct flag *flag,
                             const struct reading_peer *peer, bool proven, bool *ret,
                             struct ms_diag *diag)
{
    bool missing = peer->reverted[call] || peer->calls[call].len == 0;

    *ret = false;
    if (missing && flag->gate)
        return ms_diag_set(diag, MS_ERR_KIND, "the KMS does not say whether the app is registered");
    if (!missing && !read_bool(peer->calls[call], ret))
        return ms_diag_set(diag, MS_ERR_KIND, "%s is no bool", flag->name);
    uint8_t stored = stored_of(plan, peer, call)->b[ETH_WORD_BYTES - 1 - flag->byte];
    return proven && stored != (uint8_t)*ret ? differs(diag, flag->name) : MS_OK;
}

static enum ms_err read_member(const struct reading_plan *plan, struct own *own, size_t i,
                               const struct reading_peer *peer, bool proven, struct ms_arena *arena,
                               struct state *out, struct ms_diag *diag)
{
    size_t call = own->call[i];
    const struct list *list = list_of(own, own->candidates[i].kind);
    bool ok =
        !peer->reverted[call] &&
        (list->metadata ? read_metadata(peer->calls[call], arena, &out->member[i], &out->commit[i])
                        : read_bool(peer->calls[call], &out->member[i]));

    if (!ok)
        return ms_diag_set(diag, MS_ERR_KIND,
                           "the contract does not say whether a value is approved");
    bool stored = !eth_word_is_zero(stored_of(plan, peer, call));
    return proven && stored != out->member[i] ? differs(diag, "an approval") : MS_OK;
}

static bool read_text(struct ms_span answer, struct ms_arena *arena, struct ms_span *ret)
{
    const struct eth_abi_type *type = NULL;
    struct eth_abi_value value;

    if (eth_abi_params_parse(ms_span_str("string"), arena, &type) != MS_OK ||
        eth_abi_decode(type, answer, arena, &value, NULL) != MS_OK)
        return false;
    *ret = value.items[0].bytes;
    return true;
}

static bool read_address(struct ms_span answer, struct ms_span *ret)
{
    static const uint8_t zeros[ETH_WORD_BYTES];

    if (answer.len != ETH_WORD_BYTES ||
        memcmp(answer.ptr, zeros, ETH_WORD_BYTES - ETH_ADDR_BYTES) != 0)
        return false;
    bool none = memcmp(answer.ptr, zeros, ETH_WORD_BYTES) == 0;
    *ret = ms_span_sub(answer, ETH_WORD_BYTES - ETH_ADDR_BYTES, none ? 0 : ETH_ADDR_BYTES);
    return true;
}

/* Whether the slots, beginning with that of the fact, hold what the getter says. */
static bool is_stored(const struct fact *fact, struct ms_span said, const struct eth_word *slots)
{
    uint64_t len = 0;
    bool fits = false;
    struct eth_word whole = {{0}};

    if (!fact->is_text) {
        if (said.len > 0)
            memcpy(whole.b + ETH_WORD_BYTES - ETH_ADDR_BYTES, said.ptr, ETH_ADDR_BYTES);
        return memcmp(whole.b, slots[0].b, ETH_WORD_BYTES) == 0;
    }
    if (eth_slot_string(&slots[0], &fits, &len) != MS_OK || len != said.len)
        return false;
    /* of one that is too long to be told only the length was looked at */
    return len > FACT_TEXT_MAX || len == 0 ||
           memcmp(fits ? &slots[0] : &slots[1], said.ptr, said.len) == 0;
}

/* It goes into answers and logs of others; ids are plain text. */
static bool is_tellable(const struct fact *fact, struct ms_span said)
{
    for (size_t i = 0; fact->is_text && i < said.len; i++)
        if (said.ptr[i] < 0x20 || said.ptr[i] > 0x7e)
            return false;
    return said.len > 0 && said.len <= FACT_TEXT_MAX;
}

/* One without a getter is one that this version of the contract does not have. */
static enum ms_err read_fact(const struct own *own, size_t i, const struct reading_peer *peer,
                             bool proven, struct ms_arena *arena, struct fact_value *out,
                             struct ms_diag *diag)
{
    const struct fact *fact = &own->shape->facts[i];
    struct ms_span answer = peer->calls[own->fact_call[i]], said = {NULL, 0};
    bool missing = peer->reverted[own->fact_call[i]] || answer.len == 0;

    out->len = 0;
    if (!missing &&
        !(fact->is_text ? read_text(answer, arena, &said) : read_address(answer, &said)))
        return ms_diag_set(diag, MS_ERR_KIND, "%s is no %s", fact->name,
                           fact->is_text ? "text" : "address");
    if (proven && !is_stored(fact, said, &peer->values[own->fact_key[i]]))
        return differs(diag, fact->name);
    if (is_tellable(fact, said)) {
        out->len = said.len;
        memcpy(out->bytes, said.ptr, said.len);
    }
    return MS_OK;
}

static enum ms_err read_state(const struct reading_plan *plan, struct own *own,
                              const struct reading_peer *peer, bool proven, struct ms_arena *arena,
                              struct state *out, struct ms_diag *diag)
{
    enum ms_err err = MS_OK;

    for (size_t i = 0; err == MS_OK && i < own->shape->n_flags; i++)
        err = read_flag(plan, own->flag_call[i], &own->shape->flags[i], peer, proven,
                        &out->flags[i], diag);
    for (size_t i = 0; err == MS_OK && i < own->n_candidates; i++)
        err = read_member(plan, own, i, peer, proven, arena, out, diag);
    for (size_t i = 0; err == MS_OK && i < own->shape->n_facts; i++)
        err = read_fact(own, i, peer, proven, arena, &out->facts[i], diag);
    return err;
}

static enum ms_err verify(struct source *s, const struct reading *r, struct ms_diag *diag)
{
    struct own *own = own_of(s);
    enum ms_err err = read_state(&r->plan, own, reading_answer(r), r->proven, &s->arena,
                                 r->head ? &own->head : &own->final, diag);

    /* a quorum said what kind it is; that it has no such getter is one provider's word at L3 */
    return err == MS_ERR_KIND && contract_of(s)->level >= SPEC_LEVEL_L3 ? MS_ERR_ABI : err;
}

/* The contract may be a stranger's that contradicts itself, so nobody is called a liar for it. */
static bool agrees(struct reading *r, const struct reading_peer *peer)
{
    struct source *s = r->trusted->set->s;
    struct ms_arena scratch = MS_ARENA_INIT(s->arena.max);
    struct state ignored;

    enum ms_err err = read_state(&r->plan, own_of(s), peer, true, &scratch, &ignored, NULL);
    ms_arena_done(&scratch);
    return err != MS_ERR_COMMITMENT;
}

/* ---- the result ---- */

static bool is_member(const struct source *s, size_t i)
{
    const struct own *own = own_of(s);
    return own->final.member[i] && (!contract_of(s)->has_head || own->head.member[i]);
}

static bool flag_of(const struct source *s, size_t i)
{
    const struct own *own = own_of(s);
    bool final = own->final.flags[i], head = own->head.flags[i];

    if (!contract_of(s)->has_head)
        return final;
    return own->shape->flags[i].loosens ? final && head : final || head;
}

static bool same_fact(const struct fact_value *a, const struct fact_value *b)
{
    return a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
}

/* What both blocks say; NULL while they differ: the old one is taken back, the new one not final.
 */
static const struct fact_value *fact_of(const struct source *s, size_t i)
{
    const struct own *own = own_of(s);

    if (contract_of(s)->has_head && !same_fact(&own->final.facts[i], &own->head.facts[i]))
        return NULL;
    return &own->final.facts[i];
}

/* Whether there is no KMS that has to know the app, or it does. */
static bool is_open(const struct source *s)
{
    const struct own *own = own_of(s);

    for (size_t i = 0; i < own->shape->n_flags; i++)
        if (own->shape->flags[i].gate && !flag_of(s, i))
            return false;
    return true;
}

static void hash_candidate(struct ms_buf *text, const struct source_candidate *candidate)
{
    (void)ms_buf_add_byte(text, (uint8_t)candidate->kind);
    (void)ms_buf_add(text, ms_span_of(candidate->value, sizeof(candidate->value)));
}

/* commitment: all that is approved and how; overlay: what the newest state takes away, zero for
 * nothing. */
static enum ms_err hash_state(struct source *s, struct source_result *r)
{
    const struct own *own = own_of(s);
    struct ms_buf all = MS_BUF_INIT(64 + SOURCE_CANDIDATES_MAX * 33 +
                                    FACTS_MAX * (FACT_TEXT_MAX + 1)),
                  gone = all;

    (void)ms_buf_add_str(&all, "measured/mapping/1\n");
    for (size_t i = 0; i < own->shape->n_flags; i++) {
        (void)ms_buf_add_byte(&all, own->final.flags[i]);
        if (flag_of(s, i) != own->final.flags[i])
            (void)ms_buf_add_byte(&gone, (uint8_t)(0x80 + i));
    }
    for (size_t i = 0; i < own->shape->n_facts; i++) {
        const struct fact_value *fact = &own->final.facts[i];
        (void)ms_buf_add_byte(&all, (uint8_t)fact->len);
        (void)ms_buf_add(&all, ms_span_of(fact->bytes, fact->len));
        if (fact_of(s, i) == NULL)
            (void)ms_buf_add_byte(&gone, (uint8_t)(0xc0 + i));
    }
    for (size_t i = 0; i < own->n_candidates; i++) {
        if (own->final.member[i])
            hash_candidate(&all, &own->candidates[i]);
        if (own->final.member[i] && !is_member(s, i))
            hash_candidate(&gone, &own->candidates[i]);
    }
    /* what is approved in the end is part of it too: there is no counter that would move */
    struct ms_sha256 overlay = gone.len > 0 ? ms_sha256(ms_buf_span(&gone)) : (struct ms_sha256){0};
    (void)ms_buf_add(&all, ms_span_of(overlay.b, sizeof(overlay.b)));
    enum ms_err err = ms_buf_err(&all) == MS_OK ? ms_buf_err(&gone) : ms_buf_err(&all);
    if (err == MS_OK) {
        r->overlay = overlay;
        r->commitment = ms_sha256(ms_buf_span(&all));
    }
    ms_buf_done(&all);
    ms_buf_done(&gone);
    return err;
}

/* What is approved, as predicates of one release. */
static enum ms_err add_release(struct source *s, uint32_t version)
{
    const struct own *own = own_of(s);
    struct source_release *release = source_result_add_release(s->result);
    enum ms_err err = release == NULL ? MS_ERR_MEMORY : MS_OK;

    for (size_t i = 0; err == MS_OK && is_open(s) && i < own->n_candidates; i++) {
        const struct source_candidate *candidate = &own->candidates[i];
        bool workload = candidate->kind == SOURCE_CANDIDATE_WORKLOAD_ID;
        struct rec_predicate predicate = {.kind = (enum rec_predicate_kind)candidate->kind,
                                          .version = workload ? version : 0};
        if (list_of(own, candidate->kind)->name != NULL || !is_member(s, i))
            continue;
        memcpy(predicate.value, candidate->value, sizeof(predicate.value));
        err = rec_set_add_predicate(release->set, &predicate);
    }
    if (release != NULL)
        release->id = 1;
    return err;
}

static json_t *members_json(const struct source *s, const struct list *list)
{
    const struct own *own = own_of(s);
    json_t *out = json_array();

    for (size_t i = 0; i < own->n_candidates; i++)
        if (own->candidates[i].kind == list->kind && is_member(s, i))
            (void)json_array_append_new(out, contract_hash_json(own->candidates[i].value));
    return out;
}

/* Which source code a workload was built from, as governance says. */
static json_t *commits_json(const struct source *s)
{
    const struct own *own = own_of(s);
    json_t *out = json_object();

    for (size_t i = 0; i < own->n_candidates; i++) {
        struct ms_span commit = own->final.commit[i];
        char id[2 + 2 * ETH_HASH_BYTES + 1] = "0x";
        if (!is_member(s, i) || commit.len == 0 || commit.len > 256)
            continue;
        ms_hex_encode(ms_span_of(own->candidates[i].value, ETH_HASH_BYTES), id + 2);
        (void)json_object_set_new(out, id, json_stringn((const char *)commit.ptr, commit.len));
    }
    return out;
}

static struct eth_addr owner_at(const struct source *s, size_t which)
{
    const struct reading *final = &contract_of(s)->final;
    struct eth_addr out = {{0}};
    size_t first;

    (void)reading_keys_at(&final->plan, which, &first);
    if (final->proven)
        memcpy(out.b, reading_answer(final)->values[first].b + ETH_WORD_BYTES - ETH_ADDR_BYTES,
               ETH_ADDR_BYTES);
    return out;
}

static struct eth_addr owner(const struct source *s)
{
    return owner_at(s, AT_SELF);
}

static json_t *fact_json(const struct source *s, size_t i)
{
    const struct fact_value *fact = fact_of(s, i);
    struct eth_addr addr = {{0}};

    if (own_of(s)->shape->facts[i].is_text)
        return fact == NULL || fact->len == 0 ? json_null()
                                              : json_stringn((const char *)fact->bytes, fact->len);
    if (fact != NULL && fact->len > 0)
        memcpy(addr.b, fact->bytes, ETH_ADDR_BYTES);
    return contract_address_json(&addr);
}

static void add_facts(const struct source *s, size_t at, json_t *out)
{
    const struct shape *shape = own_of(s)->shape;

    for (size_t i = 0; i < shape->n_facts; i++)
        if (shape->facts[i].at == at)
            (void)json_object_set_new(out, shape->facts[i].name, fact_json(s, i));
}

static json_t *kms_json(const struct source *s)
{
    json_t *out = json_pack("{s:o, s:b}", "address", contract_address_json(&s->spec->kms),
                            "registered", is_open(s));
    struct eth_addr addr = owner_at(s, AT_KMS);

    if (out == NULL)
        return NULL;
    contract_add_code(s, AT_KMS, out);
    add_facts(s, AT_KMS, out);
    if (contract_of(s)->final.proven)
        (void)json_object_set_new(out, "owner", contract_address_json(&addr));
    return out;
}

static json_t *governance_json(const struct source *s, uint32_t version)
{
    const struct contract *c = contract_of(s);
    const struct own *own = own_of(s);
    json_t *out = contract_governance(s);

    if (out == NULL)
        return NULL;
    if (c->final.proven) {
        struct eth_addr addr = owner(s);
        (void)json_object_set_new(out, "owner", contract_address_json(&addr));
    }
    for (size_t i = 0; i < own->shape->n_flags; i++)
        if (!own->shape->flags[i].gate)
            (void)json_object_set_new(out, own->shape->flags[i].name, json_boolean(flag_of(s, i)));
    add_facts(s, AT_SELF, out);
    if (s->spec->has_kms)
        (void)json_object_set_new(out, "kms", kms_json(s));
    for (size_t i = 0; i < own->shape->n_lists; i++)
        if (own->shape->lists[i].name != NULL)
            (void)json_object_set_new(out, own->shape->lists[i].name,
                                      members_json(s, &own->shape->lists[i]));
    if (own->shape == &flashtestations) {
        (void)json_object_set_new(out, "workload_id_version", json_integer(version));
        (void)json_object_set_new(out, "commits", commits_json(s));
    }
    (void)json_object_set_new(out, "complete", json_false());
    (void)json_object_set_new(out, "searched",
                              json_pack("{s:I, s:I}", "from", (json_int_t)own->scan.at.from, "to",
                                        (json_int_t)own->scan.at.next - 1));
    return out;
}

/* Finality takes the app in, the newest block only out. */
static void warn_gate(struct source *s)
{
    const struct own *own = own_of(s);

    for (size_t i = 0; i < own->shape->n_flags; i++) {
        if (!own->shape->flags[i].gate || flag_of(s, i))
            continue;
        if (own->final.flags[i])
            source_result_warn(
                s->result, "revoked-at-head",
                "the app's registration at the KMS was removed in block %llu, which is not final "
                "yet: nothing is approved",
                (unsigned long long)contract_of(s)->trusted.head.header.number);
        else
            source_result_warn(s->result, "not-registered",
                               "the app is not registered at the KMS that kms= names: nothing is "
                               "approved");
    }
}

static void add_warnings(struct source *s, uint32_t version)
{
    const struct own *own = own_of(s);

    warn_gate(s);
    for (size_t i = 0; i < own->n_candidates; i++)
        if (own->final.member[i] && !is_member(s, i))
            source_result_warn(
                s->result, "revoked-at-head",
                "an approved value was removed in block %llu, which is not final yet",
                (unsigned long long)contract_of(s)->trusted.head.header.number);
    for (size_t i = 0; i < own->shape->n_facts; i++)
        if (fact_of(s, i) == NULL)
            source_result_warn(s->result, "revoked-at-head",
                               "%s was changed in block %llu, which is not final yet: none is told",
                               own->shape->facts[i].name,
                               (unsigned long long)contract_of(s)->trusted.head.header.number);
    if (own->scan.why != NULL)
        source_result_warn(s->result, "incomplete", "%s: there may be approved values not listed",
                           own->scan.why);
    if (own->lost > 0)
        source_result_warn(s->result, "incomplete", "%zu more values than the %u asked about",
                           own->lost, SOURCE_CANDIDATES_MAX);
    if (own->shape == &flashtestations && version == 0)
        source_result_warn(
            s->result, "workload-id",
            "the contract computes workload ids by no formula we know: quotes cannot "
            "be checked, ids can");
}

static bool keep_candidates(struct source *s)
{
    const struct own *own = own_of(s);
    struct source_result *r = s->result;

    r->scan = own->scan.at;
    for (size_t i = 0; i < own->shape->n_lists; i++)
        r->candidate_kinds |= 1u << own->shape->lists[i].kind;
    r->n_candidates = own->n_candidates;
    r->candidates = ms_arena_alloc(&r->arena, own->n_candidates + 1, sizeof(*r->candidates));
    if (r->candidates == NULL)
        return false;
    memcpy(r->candidates, own->candidates, own->n_candidates * sizeof(*r->candidates));
    for (size_t i = 0; i < own->n_candidates; i++)
        r->candidates[i].approved = own->final.member[i]; /* a removal may be undone by a reorg */
    return true;
}

static enum source_state after(struct source *s)
{
    uint32_t version =
        own_of(s)->shape == &flashtestations ? kind_workload_version(&contract_of(s)->kind) : 0;
    struct source_result *r = source_result_begin(s);

    if (r == NULL || add_release(s, version) != MS_OK || !keep_candidates(s) ||
        !contract_probe(s, r) || hash_state(s, r) != MS_OK)
        return source_fail(s, MS_ERR_MEMORY, NULL);
    r->workload_version = version;
    r->governance = governance_json(s, version);
    if (r->governance == NULL)
        return source_fail(s, MS_ERR_MEMORY, NULL);
    contract_facts(s, r);
    add_warnings(s, version);
    return source_finish(s);
}

static void result(struct source *s, uint32_t peer, const struct rpc_call *call,
                   const json_t *value)
{
    (void)peer;
    scan_result(s, &own_of(s)->scan, call, value);
}

static void failed(struct source *s, uint32_t peer, const struct rpc_call *call, enum ms_err err)
{
    (void)peer;
    (void)call;
    scan_failed(s, &own_of(s)->scan, err);
}

#define MAPPING_ADAPTER(NAME)                                                                 \
    {                                                                                         \
        .name = NAME, .prepare = prepare, .agrees = agrees, .verify = verify, .after = after, \
        .result = result, .failed = failed, .owner = owner                                    \
    }

const struct contract_adapter contract_dstack_app = MAPPING_ADAPTER("dstack-app");
const struct contract_adapter contract_dstack_kms = MAPPING_ADAPTER("dstack-kms");
const struct contract_adapter contract_flashtestations = MAPPING_ADAPTER("flashtestations");
