/* resolver/daemon/lru.c - a binary heap. */
#include "resolver/daemon/lru.h"

#include <assert.h>
#include <stdlib.h>

void lru_done(struct lru *lru)
{
    free(lru->slots);
    *lru = (struct lru){0};
}

static void put(struct lru *lru, size_t at, struct lru_slot slot)
{
    lru->slots[at] = slot;
    *slot.at = at;
}

static void move_up(struct lru *lru, size_t at)
{
    struct lru_slot slot = lru->slots[at];

    while (at > 0 && slot.used_ms < lru->slots[(at - 1) / 2].used_ms) {
        put(lru, at, lru->slots[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    put(lru, at, slot);
}

static void move_down(struct lru *lru, size_t at)
{
    struct lru_slot slot = lru->slots[at];

    for (size_t child = 2 * at + 1; child < lru->n; child = 2 * at + 1) {
        if (child + 1 < lru->n && lru->slots[child + 1].used_ms < lru->slots[child].used_ms)
            child++;
        if (slot.used_ms <= lru->slots[child].used_ms)
            break;
        put(lru, at, lru->slots[child]);
        at = child;
    }
    put(lru, at, slot);
}

bool lru_add(struct lru *lru, void *item, size_t *at, int64_t used_ms)
{
    if (lru->n == lru->max) {
        size_t max = lru->max == 0 ? 64 : 2 * lru->max;
        struct lru_slot *more = realloc(lru->slots, max * sizeof(*more));
        if (more == NULL)
            return false;
        lru->slots = more;
        lru->max = max;
    }
    put(lru, lru->n, (struct lru_slot){.item = item, .at = at, .used_ms = used_ms});
    move_up(lru, lru->n++);
    return true;
}

void lru_remove(struct lru *lru, size_t at)
{
    assert(at < lru->n);
    struct lru_slot last = lru->slots[--lru->n];
    if (at == lru->n)
        return;
    put(lru, at, last);
    move_up(lru, at);
    move_down(lru, *last.at);
}

void lru_used(struct lru *lru, size_t at, int64_t used_ms)
{
    assert(at < lru->n);
    if (used_ms <= lru->slots[at].used_ms)
        return;
    lru->slots[at].used_ms = used_ms;
    move_down(lru, at);
}
