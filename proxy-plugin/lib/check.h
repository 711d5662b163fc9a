/* proxy-plugin/lib/check.h - is what a peer showed approved by a snapshot at one moment. Pure; any
 * thread. */
#ifndef MEASURED_LIB_CHECK_H
#define MEASURED_LIB_CHECK_H

#include "include/measured/measured.h"
#include "proxy-plugin/lib/snapshot.h"

/* What checks are answered from: never changes once it is published. A RENEW makes another one. */
struct plug_view {
    const struct plug_snapshot *snapshot;
    int64_t fresh_until_ms, hard_until_ms; /* CLOCK_BOOTTIME; FEED_NEVER: no end */
    uint32_t state;                        /* enum feed_state */
};

/* Whether checks are answered with yes or no at now_ms. */
bool plug_view_serves(const struct plug_view *view, int64_t now_ms);

/* As measured_check, at a moment of CLOCK_BOOTTIME. `view` may be NULL: no snapshot yet. */
enum measured_verdict plug_check(const struct plug_view *view, int64_t now_ms,
                                 const char *attestation_type, const struct measured_register *regs,
                                 size_t n, struct measured_match *ret_match);

/* As measured_describe, but for the failed and the waiting ones, which have no view. */
void plug_describe(const struct plug_view *view, int64_t now_ms,
                   struct measured_description *ret_description);

#endif
