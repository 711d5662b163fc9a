/* proxy-plugin/lib/reclaim.h - when may what was published be freed, although checks that nobody
 * registered are looking into it.
 *
 * Readers (any thread, wait-free): plug_reclaim_enter, load the published pointer (seq_cst), look,
 * plug_reclaim_leave. One writer (the pump's thread): replace the pointer (seq_cst), give what it
 * was to plug_reclaim_retire, and call plug_reclaim_advance now and then, which frees without ever
 * waiting.
 *
 * Why it is right. A reader adds 1 to one counter before it loads the pointer and takes the 1 away
 * when it has done. So a counter holds, at each point of its own modification order, the readers
 * that are counted there: every subtraction stands behind its own addition. Retired things are
 * freed when each of the counters has been seen at zero at least once after the pointer was
 * replaced; they need not be zero at the same moment. Take a reader that got the old pointer. Its
 * load comes before the replacement in the one order of all seq_cst operations (else it would have
 * got the new one), its addition before its load, and the writer's look at that counter after the
 * replacement. So the look sees the addition or what came later in the counter's modification
 *   order; as it sees zero, it sees the matching subtraction too. That subtraction is a release,
 * everything after it on the counter is read-modify-write and continues its release sequence, and
 * the look acquires: all that the reader read happened before the free. A reader counted later
 * loads the pointer after the replacement and gets the new one. This holds whichever of its
 * counters a reader has chosen, and however long it slept between choosing and adding. Why it ends.
 * One set of counters that always has readers might never be seen at zero. So there are two:
 * readers take the one that `epoch` points to. The writer waits for the idle set, which no new
 * reader takes (but the few that had chosen before it was idle), then turns the epoch, so that the
 * other set drains in its turn. A check lasts far below a millisecond; a thread that is stopped in
 * the middle of one delays freeing and nothing else. The shards keep threads from writing into one
 * cache line. Which one a thread takes follows from where its stack is, so that none needs an
 * identity. */
#ifndef MEASURED_LIB_RECLAIM_H
#define MEASURED_LIB_RECLAIM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PLUG_SHARDS 16u

struct plug_shard {
    _Alignas(64) atomic_uint_fast64_t readers;
};

/* Begins what is retired; embedded as its first member. */
struct plug_retired {
    struct plug_retired *next;
};

struct plug_reclaim {
    struct plug_shard shards[2][PLUG_SHARDS];
    _Alignas(64) atomic_uint epoch;

    /* the writer's own */
    void (*free_one)(struct plug_retired *one);
    struct plug_retired *waiting; /* until each counter of `unseen` has been seen at zero */
    struct plug_retired *next;    /* retired since then: they wait for the round after it */
    uint32_t unseen[2];           /* bit n: shard n has not been seen at zero in this round */
};

/* free_one frees what is retired; called from retire's and advance's thread. */
void plug_reclaim_init(struct plug_reclaim *r, void (*free_one)(struct plug_retired *one));
/* Free all that is retired: no reader may be in, or begin. */
void plug_reclaim_done(struct plug_reclaim *r);
/* `one` can no longer be got by a reader that enters now. */
void plug_reclaim_retire(struct plug_reclaim *r, struct plug_retired *one);
/* Free what no reader can have any more. true: something waits still, so call again soon. */
bool plug_reclaim_advance(struct plug_reclaim *r);

static inline struct plug_shard *plug_reclaim_enter(struct plug_reclaim *r)
{
    char here;
    /* A stack is at a place of its own, at least some pages from the next: 16 KiB and up tell them
     * apart. */
    uint64_t place = (uint64_t)(uintptr_t)&here >> 14;
    size_t shard = (size_t)(place * UINT64_C(0x9e3779b97f4a7c15) >> 60);
    unsigned epoch = atomic_load_explicit(&r->epoch, memory_order_relaxed);
    struct plug_shard *mine = &r->shards[epoch & 1u][shard];

    (void)atomic_fetch_add_explicit(&mine->readers, 1, memory_order_seq_cst);
    return mine;
}

static inline void plug_reclaim_leave(struct plug_shard *mine)
{
    (void)atomic_fetch_sub_explicit(&mine->readers, 1, memory_order_release);
}

#endif
