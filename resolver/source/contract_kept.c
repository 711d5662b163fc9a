/* resolver/source/contract_kept.c - proofs of the newest state, kept until it is final. */
#include "resolver/source/contract_kept.h"

bool kept_needed(const struct source *s)
{
    const struct contract *c = contract_of(s);
    bool head = false;

    if (c->level < SPEC_LEVEL_L3)
        return false;
    for (uint32_t p = 0; p < rpcset_n(&c->set); p++) {
        enum source_proofs proofs = rpcset_provider(&c->set, p)->proofs;
        if (rpcset_alive(&c->set, p) && proofs == SOURCE_PROOFS_FINALIZED)
            return false;
        head = head || (rpcset_alive(&c->set, p) && proofs == SOURCE_PROOFS_HEAD);
    }
    return head;
}

static void drop(struct source *s, size_t i)
{
    json_decref(s->kept[i].answers);
    memmove(&s->kept[i], &s->kept[i + 1], (s->n_kept - i - 1) * sizeof(s->kept[0]));
    s->n_kept--;
}

/* The newest that is final; older ones are of no use any more, nor is what was asked otherwise. */
static int choose(struct source *s)
{
    const struct contract *c = contract_of(s);
    struct ms_sha256 plan = reading_plan_hash(&c->plan);

    for (size_t i = s->n_kept; i-- > 0;)
        if (!ms_sha256_eq(&s->kept[i].plan, &plan))
            drop(s, i);
    for (size_t i = s->n_kept; i-- > 0;) {
        if (s->kept[i].number > c->trusted.final.header.number)
            continue;
        while (i-- > 0)
            drop(s, 0);
        return 0;
    }
    return -1;
}

static bool ask_block(struct source *s)
{
    struct contract *c = contract_of(s);
    struct rpc_call call = {
        .method = RPC_BLOCK_BY_NUMBER,
        .what = CONTRACT_WHAT_KEPT,
        .block = {.form = ETH_BLOCK_NUMBER, .number = s->kept[c->kept->chosen].number}};

    for (uint32_t p = 0; p < rpcset_n(&c->set); p++)
        if (rpcset_alive(&c->set, p) && trusted_voted_final(&c->trusted, p) &&
            !rpcset_send(&c->set, p, &call, 1))
            return false;
    return true;
}

static enum source_state wait_for_final(struct source *s)
{
    uint64_t first = s->n_kept > 0 ? s->kept[0].number : 0;

    if (first == 0)
        return source_failf(s, MS_ERR_LEVEL,
                            "the endpoints prove only the newest state, and that could not be had");
    return source_failf(s, MS_ERR_UNAVAILABLE,
                        "the endpoints prove only the newest state: there is an answer when block "
                        "%llu is final",
                        (unsigned long long)first);
}

enum source_state kept_start(struct source *s)
{
    struct contract *c = contract_of(s);

    c->kept = ms_arena_alloc(&s->arena, 1, sizeof(*c->kept));
    json_decref(s->record);
    s->record = json_array();
    if (c->kept == NULL || s->record == NULL)
        return source_fail(s, MS_ERR_MEMORY, NULL);
    c->head.record = s->record;
    c->kept->chosen = choose(s);
    if (c->kept->chosen >= 0 && !ask_block(s))
        return SOURCE_FAILED;
    if (c->reads_head)
        c->reads_head = reading_ask(&c->head);
    if (s->err != MS_OK)
        return SOURCE_FAILED;
    return c->set.out > 0 ? SOURCE_WANTS : wait_for_final(s);
}

void kept_result(struct source *s, uint32_t peer, const json_t *result)
{
    struct contract *c = contract_of(s);
    struct ms_diag diag = {0};
    struct eth_header header;

    if (json_is_null(result) || eth_header_verify_json(result, &header, &diag) != MS_OK ||
        header.number != s->kept[c->kept->chosen].number)
        return; /* no vote */
    c->kept->votes[peer].has = true;
    c->kept->votes[peer].header = header;
}

/* Whether a quorum still knows the block by the hash it had. One that knows another one there says
 * that it was reorganised away. */
static bool still_there(const struct source *s)
{
    struct contract *c = contract_of(s);
    const struct source_kept *one = &s->kept[c->kept->chosen];
    bool counts[SOURCE_PROVIDERS_MAX] = {false};

    for (uint32_t p = 0; p < rpcset_n(&c->set); p++) {
        if (!c->kept->votes[p].has || !rpcset_alive(&c->set, p))
            continue;
        if (!eth_hash_eq(&c->kept->votes[p].header.hash, &one->hash))
            return false;
        counts[p] = true;
        c->kept->pin.header = c->kept->votes[p].header;
    }
    c->kept->pin.how = c->trusted.final.how;
    c->kept->pin.groups = rpcset_groups(&c->set, counts);
    return c->kept->pin.groups >= c->trusted.need;
}

/* What was read at the head joins what is kept. */
static void capture(struct source *s)
{
    const struct contract *c = contract_of(s);
    const struct eth_header *at = &c->trusted.head.header;
    const struct source_kept *last = s->n_kept > 0 ? &s->kept[s->n_kept - 1] : NULL;
    struct source_kept one = {.number = at->number,
                              .hash = at->hash,
                              .time_s = (int64_t)at->timestamp_s,
                              .plan = reading_plan_hash(&c->plan)};

    if (s->n_kept == SOURCE_KEPT_MAX || (last != NULL && last->number >= one.number))
        return;
    /* one that counts and one that will; a third only when it is worth its place */
    if (s->n_kept == SOURCE_KEPT_MAX - 1 && last->time_s > one.time_s - KEPT_SPACING_S)
        return;
    one.answers = reading_recorded(&c->head);
    if (one.answers != NULL)
        s->kept[s->n_kept++] = one;
}

/* The code too: at that block nobody will tell it later. */
static bool wants_code(struct source *s)
{
    struct contract *c = contract_of(s);

    if (!c->has_head || c->kept->code_asked || contract_is_reference(&c->head))
        return false;
    c->kept->code_asked = true;
    return reading_ask_code(&c->head);
}

/* Any endpoint will do as the one who seems to say it: it was verified when it was kept. */
static enum source_state feed(struct source *s)
{
    struct contract *c = contract_of(s);

    reading_init(&c->final, &c->trusted, &c->kept->pin, false, CONTRACT_WHAT_FINAL, &c->plan);
    c->final.agrees = c->adapter->agrees;
    for (uint32_t p = 0; p < rpcset_n(&c->set); p++)
        if (rpcset_alive(&c->set, p))
            return reading_feed(&c->final, p, s->kept[c->kept->chosen].answers) ? SOURCE_DONE
                                                                                : SOURCE_FAILED;
    return wait_for_final(s);
}

enum source_state kept_next(struct source *s)
{
    struct contract *c = contract_of(s);
    enum source_state state = contract_judge_head(s);

    if (state != SOURCE_DONE)
        return state;
    if (wants_code(s))
        return SOURCE_WANTS;
    if (s->err != MS_OK)
        return SOURCE_FAILED;
    if (c->has_head && !c->kept->captured) {
        c->kept->captured = true;
        capture(s);
    }
    if (c->kept->chosen >= 0 && still_there(s))
        return feed(s);
    if (c->kept->chosen >= 0)
        drop(s, (size_t)c->kept->chosen);
    return wait_for_final(s);
}
