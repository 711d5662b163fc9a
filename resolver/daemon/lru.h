/* resolver/daemon/lru.h - items by when they were last used, and when each is to be looked at
 * again.
 *
 * Others note uses without telling (readers of published answers do), so what is kept here is when
 * an item was used at the least: who wants the oldest looks at the first, and when it was used
 * since puts it back with lru_used until the first one's time is true. That makes it the oldest of
 * all, in a few steps. Looking through lru_due touches nothing of the items themselves, of which
 * there may be very many. Not thread-safe. */
#ifndef MS_DAEMON_LRU_H
#define MS_DAEMON_LRU_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct lru_slot {
    void *item;
    size_t *at; /* where the item keeps the number of its slot; it changes with every call below */
    int64_t used_ms;
    int64_t due_ms;
};

struct lru {                /* zero: empty */
    struct lru_slot *slots; /* a heap: the first has the smallest used_ms */
    size_t n, max;
};

void lru_done(struct lru *lru);
/* A new item is due at once. False: out of memory. */
bool lru_add(struct lru *lru, void *item, size_t *at, int64_t used_ms);
void lru_remove(struct lru *lru, size_t at);
/* The item was used at used_ms, or later than what is known. */
void lru_used(struct lru *lru, size_t at, int64_t used_ms);

#endif
