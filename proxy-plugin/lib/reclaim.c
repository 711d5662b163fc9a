/* proxy-plugin/lib/reclaim.c - the writer's side: rounds of seeing every counter at zero once. */
#include "proxy-plugin/lib/reclaim.h"

#define ALL_SHARDS ((1u << PLUG_SHARDS) - 1)

_Static_assert(PLUG_SHARDS == 16, "the upper 4 bits of a hash");

void plug_reclaim_init(struct plug_reclaim *r, void (*free_one)(struct plug_retired *one))
{
    for (size_t i = 0; i < 2; i++)
        for (size_t s = 0; s < PLUG_SHARDS; s++)
            atomic_init(&r->shards[i][s].readers, 0);
    atomic_init(&r->epoch, 0);
    r->free_one = free_one;
    r->waiting = r->next = NULL;
    r->unseen[0] = r->unseen[1] = 0;
}

static void free_list(struct plug_reclaim *r, struct plug_retired *list)
{
    while (list != NULL) {
        struct plug_retired *one = list;
        list = one->next;
        r->free_one(one);
    }
}

void plug_reclaim_done(struct plug_reclaim *r)
{
    free_list(r, r->waiting);
    free_list(r, r->next);
    r->waiting = r->next = NULL;
}

static void begin_round(struct plug_reclaim *r)
{
    r->waiting = r->next;
    r->next = NULL;
    r->unseen[0] = r->unseen[1] = ALL_SHARDS;
}

void plug_reclaim_retire(struct plug_reclaim *r, struct plug_retired *one)
{
    one->next = r->next;
    r->next = one;
    if (r->waiting == NULL)
        begin_round(r);
}

/* Whether all counters of one set have been seen at zero in this round. */
static bool look(struct plug_reclaim *r, unsigned set)
{
    for (unsigned s = 0; s < PLUG_SHARDS; s++)
        if ((r->unseen[set] >> s & 1u) != 0 &&
            atomic_load_explicit(&r->shards[set][s].readers, memory_order_seq_cst) == 0)
            r->unseen[set] &= ~(1u << s);
    return r->unseen[set] == 0;
}

/* One round: the idle set, the turn, the set that is idle from then on. */
static bool round_over(struct plug_reclaim *r)
{
    unsigned epoch = atomic_load_explicit(&r->epoch, memory_order_relaxed);
    bool busy_seen = look(r, epoch & 1u);

    if (!look(r, (epoch & 1u) ^ 1u))
        return false;
    if (busy_seen)
        return true;
    atomic_store_explicit(&r->epoch, epoch ^ 1u, memory_order_seq_cst);
    return look(r, epoch & 1u);
}

bool plug_reclaim_advance(struct plug_reclaim *r)
{
    while (r->waiting != NULL && round_over(r)) {
        free_list(r, r->waiting);
        begin_round(r);
    }
    return r->waiting != NULL;
}
