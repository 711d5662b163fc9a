/* The order of leaving against a plain search, with uses that nobody told of. */
#include "resolver/daemon/lru.h"

#include "base/span.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#define ITEMS 300

struct item {
    size_t at;
    bool there;
    int64_t used_ms;
};

static struct item items[ITEMS];

static size_t oldest(void)
{
    size_t found = ITEMS;

    for (size_t i = 0; i < ITEMS; i++)
        if (items[i].there && (found == ITEMS || items[i].used_ms < items[found].used_ms))
            found = i;
    return found;
}

/* As core.c looks for it. */
static struct item *first(struct lru *lru)
{
    for (;;) {
        struct item *item = lru->slots[0].item;
        if (item->used_ms <= lru->slots[0].used_ms)
            return item;
        lru_used(lru, 0, item->used_ms);
    }
}

static void check_slots(const struct lru *lru)
{
    size_t n = 0;

    for (size_t i = 0; i < ITEMS; i++) {
        n += items[i].there;
        assert_true(!items[i].there || lru->slots[items[i].at].item == &items[i]);
    }
    assert_int_equal(lru->n, n);
}

static void test_order(void **state)
{
    (void)state;
    struct lru lru = {0};
    unsigned seed = (unsigned)time(NULL);
    int64_t now = 1;

    print_message("seed %u\n", seed);
    srand(seed);
    for (int step = 0; step < 20000; step++) {
        struct item *item = &items[rand() % ITEMS];
        int what = rand() % 8;
        now++;
        if (!item->there) {
            item->there = true;
            item->used_ms = now;
            assert_true(lru_add(&lru, item, &item->at, now));
            assert_int_equal(lru.slots[item->at].due_ms, 0);
        } else if (what < 5) {
            item->used_ms = now; /* nobody is told */
        } else if (what == 5) {
            item->used_ms = now;
            lru_used(&lru, item->at, now);
        } else if (what == 6) {
            lru_remove(&lru, item->at);
            item->there = false;
        } else {
            struct item *go = first(&lru);
            assert_ptr_equal(go, &items[oldest()]);
            lru_remove(&lru, go->at);
            go->there = false;
        }
        if (step % 100 == 0)
            check_slots(&lru);
    }
    lru_done(&lru);
    assert_int_equal(lru.n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_order)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
