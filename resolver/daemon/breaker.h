/* resolver/daemon/breaker.h - when not to ask an upstream: a circuit breaker for each provider, and
 * how long to wait before the next try (ethereum.md 6.3, Retry).
 *
 * Five faults within 60 s open the breaker for 30 s; then one probe goes through, and its outcome
 * closes or reopens it. A provider that asks to be left alone for a while (Retry-After) is; that is
 * no fault. A provider whose answer failed verification is benched for an hour, which
 * no success ends. Pure: time comes in as a monotonic now_ms, randomness as a number. Not
 * thread-safe. A zeroed struct is a closed breaker. */
#ifndef MS_BREAKER_H
#define MS_BREAKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BREAKER_FAULTS 5u
#define BREAKER_WINDOW_MS 60000
#define BREAKER_OPEN_MS 30000
#define BREAKER_BENCH_MS 3600000
#define BREAKER_PROBE_MS 30000 /* a probe nobody reported on is forgotten after this */

#define BACKOFF_BASE_MS 1000
#define BACKOFF_CAP_RPC_MS 60000
#define BACKOFF_CAP_HTTP_MS 300000

enum breaker_state {
    BREAKER_BENCHED = 0,
    BREAKER_PAUSED,
    BREAKER_OPEN,
    BREAKER_PROBING,
    BREAKER_CLOSED
};

struct breaker {
    int64_t fault_ms[BREAKER_FAULTS]; /* times of the last faults, a ring */
    uint32_t n_faults;                /* in the ring */
    uint32_t next;
    bool open, probing, benched;
    int64_t open_until_ms, probe_until_ms, bench_until_ms;
    int64_t pause_until_ms; /* as the provider asked: 0 for none */
};

/* What holds now. PROBING: one request is out that decides. */
enum breaker_state breaker_state(const struct breaker *breaker, int64_t now_ms);
/* Whether a request may be made now, without making it: for source_provider.benched. */
bool breaker_would_allow(const struct breaker *breaker, int64_t now_ms);
/* Ask before each request. True from an open breaker whose time is up is the one probe: report its
 * outcome. */
bool breaker_allow(struct breaker *breaker, int64_t now_ms);
/* The request was answered in a usable way. */
void breaker_ok(struct breaker *breaker);
/* It was not (no answer, HTTP 429 or 5xx, an error that is the provider's). Ignored in a pause:
 * that was about requests from before. */
void breaker_fault(struct breaker *breaker, int64_t now_ms);
/* The answer did not verify. */
void breaker_bench(struct breaker *breaker, int64_t now_ms);
/* It asked not to be asked before then. A shorter pause does not end a longer one. */
void breaker_pause(struct breaker *breaker, int64_t until_ms);
/* The operator lifts the bench and closes the breaker (`refresh --unbench`). */
void breaker_reset(struct breaker *breaker);

/* Full jitter: U(0, min(cap_ms, 1 s * 2^fails)); `random` is uniform over uint64_t. */
int64_t backoff_ms(uint32_t fails, int64_t cap_ms, uint64_t random);

#endif
