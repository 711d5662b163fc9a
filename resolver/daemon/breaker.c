/* resolver/daemon/breaker.c - circuit breaker and back-off. */
#define _GNU_SOURCE
#include "resolver/daemon/breaker.h"

#include "base/span.h"

#include <time.h>

enum breaker_state breaker_state(const struct breaker *breaker, int64_t now_ms)
{
    if (breaker->benched && now_ms < breaker->bench_until_ms)
        return BREAKER_BENCHED;
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
    bool benched = breaker->benched;
    int64_t until_ms = breaker->bench_until_ms;

    /* A late answer to a request from before the breaker opened says nothing about now. */
    if (breaker->open && !breaker->probing)
        return;
    *breaker = (struct breaker){.benched = benched, .bench_until_ms = until_ms};
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

static int64_t clamp_s(int64_t seconds)
{
    if (seconds < BACKOFF_RETRY_AFTER_MIN_S)
        return BACKOFF_RETRY_AFTER_MIN_S;
    return seconds > BACKOFF_RETRY_AFTER_MAX_S ? BACKOFF_RETRY_AFTER_MAX_S : seconds;
}

int64_t backoff_retry_after_s(const char *text, int64_t wall_s)
{
    struct ms_span value = ms_span_str(text);
    struct tm tm = {0};
    size_t digits = 0;

    if (value.len == 0)
        return 0;
    while (digits < value.len && value.ptr[digits] >= '0' && value.ptr[digits] <= '9')
        digits++;
    if (digits == value.len) {
        uint64_t seconds;
        bool small = ms_span_u64(value, &seconds) && seconds <= BACKOFF_RETRY_AFTER_MAX_S;
        return clamp_s(small ? (int64_t)seconds : BACKOFF_RETRY_AFTER_MAX_S);
    }
    const char *end = strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &tm);
    if (end == NULL || *end != '\0')
        return 0;
    return clamp_s((int64_t)timegm(&tm) - wall_s);
}
