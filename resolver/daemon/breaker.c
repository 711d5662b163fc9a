/* resolver/daemon/breaker.c - circuit breaker and back-off. */
#define _GNU_SOURCE
#include "resolver/daemon/breaker.h"

enum breaker_state breaker_state(const struct breaker *breaker, int64_t now_ms)
{
    if (breaker->benched && now_ms < breaker->bench_until_ms)
        return BREAKER_BENCHED;
    if (now_ms < breaker->pause_until_ms)
        return BREAKER_PAUSED;
    if (!breaker->open)
        return BREAKER_CLOSED;
    if (breaker->probing && now_ms < breaker->probe_until_ms)
        return BREAKER_PROBING;
    return BREAKER_OPEN;
}

bool breaker_would_allow(const struct breaker *breaker, int64_t now_ms)
{
    switch (breaker_state(breaker, now_ms)) {
    case BREAKER_CLOSED:
        return true;
    case BREAKER_OPEN:
        return now_ms >= breaker->open_until_ms;
    case BREAKER_PROBING:
    case BREAKER_PAUSED:
    case BREAKER_BENCHED:
        break;
    }
    return false;
}

bool breaker_allow(struct breaker *breaker, int64_t now_ms)
{
    if (!breaker_would_allow(breaker, now_ms))
        return false;
    if (breaker->open) {
        breaker->probing = true;
        breaker->probe_until_ms = now_ms + BREAKER_PROBE_MS;
    }
    return true;
}

void breaker_ok(struct breaker *breaker)
{
    /* A late answer to a request from before the breaker opened says nothing about now. */
    if (breaker->open && !breaker->probing)
        return;
    *breaker = (struct breaker){.benched = breaker->benched,
                                .bench_until_ms = breaker->bench_until_ms,
                                .pause_until_ms = breaker->pause_until_ms};
}

static void open_breaker(struct breaker *breaker, int64_t now_ms)
{
    breaker->open = true;
    breaker->probing = false;
    breaker->open_until_ms = now_ms + BREAKER_OPEN_MS;
    breaker->n_faults = 0;
    breaker->next = 0;
}

void breaker_fault(struct breaker *breaker, int64_t now_ms)
{
    if (now_ms < breaker->pause_until_ms)
        return;
    if (breaker->open) {
        if (breaker->probing)
            open_breaker(breaker, now_ms);
        return;
    }
    breaker->fault_ms[breaker->next] = now_ms;
    breaker->next = (breaker->next + 1) % BREAKER_FAULTS;
    if (breaker->n_faults < BREAKER_FAULTS)
        breaker->n_faults++;
    /* The ring is full: `next` is its oldest entry. */
    if (breaker->n_faults == BREAKER_FAULTS &&
        now_ms - breaker->fault_ms[breaker->next] <= BREAKER_WINDOW_MS)
        open_breaker(breaker, now_ms);
}

void breaker_bench(struct breaker *breaker, int64_t now_ms)
{
    breaker->benched = true;
    breaker->bench_until_ms = now_ms + BREAKER_BENCH_MS;
    breaker->probing = false;
}

void breaker_pause(struct breaker *breaker, int64_t until_ms)
{
    if (until_ms > breaker->pause_until_ms)
        breaker->pause_until_ms = until_ms;
    breaker->probing = false; /* no word on whether it works again: the next one probes */
}

void breaker_reset(struct breaker *breaker)
{
    *breaker = (struct breaker){0};
}

int64_t backoff_ms(uint32_t fails, int64_t cap_ms, uint64_t random)
{
    int64_t limit_ms = cap_ms;

    /* 2^20 s is beyond every cap; a larger shift would overflow. */
    if (fails < 20 && ((int64_t)BACKOFF_BASE_MS << fails) < cap_ms)
        limit_ms = (int64_t)BACKOFF_BASE_MS << fails;
    return limit_ms <= 0 ? 0 : (int64_t)(random % ((uint64_t)limit_ms + 1));
}
