/* resolver/entry/snapshot.h - an answer as the bytes that readers of the feed look into
 * (docs/feed.md, include/measured/feed_format.h). Pure. */
#ifndef MS_SNAPSHOT_H
#define MS_SNAPSHOT_H

#include "resolver/entry/entry.h"

/* When a release is in force, on this boot's clock; both ends computed from the chain's time and
 * the wall clock, pessimistically. */
struct snapshot_window {
    int64_t from_ms;  /* INT64_MIN: it has begun; ENTRY_NEVER: not by our clock alone */
    int64_t until_ms; /* INT64_MIN: it is over; ENTRY_NEVER: no end */
};

/* block_s: time of the block that the answer was read at, 0 for other sources. */
struct snapshot_window snapshot_window(const struct source_release *release,
                                       const struct entry *entry, int64_t block_s,
                                       struct ms_now now);

struct snapshot_input {
    const struct source_result *result;    /* NULL: nothing is served */
    const struct snapshot_window *windows; /* one for each release */
    struct ms_sha256 key;
    uint64_t generation, sequence;
    uint64_t seed; /* random, of the hash tables */
    int64_t built_boot_ms, fresh_until_ms, hard_until_ms;
    enum entry_state state; /* not EMPTY */
};

/* The whole snapshot, appended to an empty `out`. Releases that are over when it is built are left
 * out, as are records that no registers can satisfy (unknown types, portable policies) and
 * predicates: a check of registers cannot meet them. MS_ERR_MEMORY, MS_ERR_LIMIT: beyond out's
 * maximum or the format's. */
MS_MUST_USE enum ms_err snapshot_build(const struct snapshot_input *in, struct ms_buf *out);

/* The number of a state in the format. EMPTY has none: 0. */
uint32_t snapshot_state(enum entry_state state);

#endif
