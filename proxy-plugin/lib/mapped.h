/* proxy-plugin/lib/mapped.h - snapshots in memory: from a descriptor to a checked mapping, and the
 * views that sets publish of it. The pump's thread only; readers see finished views through a set's
 * atomic pointer. */
#ifndef MEASURED_LIB_MAPPED_H
#define MEASURED_LIB_MAPPED_H

#include "proxy-plugin/lib/check.h"
#include "proxy-plugin/lib/reclaim.h"

struct plug_mapped {
    struct plug_snapshot snapshot;
    void *base;
    size_t bytes;
    size_t views; /* that hold it */
};

struct plug_held {
    struct plug_retired retired; /* first: what reclaim.h keeps */
    struct plug_view view;
    struct plug_mapped *mapped;
};

/* Rules 1 to 6 of docs/feed.md over a descriptor that a SNAPSHOT said has `size` bytes; then a view
 * of it with the header's own deadlines and state. The descriptor stays the caller's and is not
 * needed afterwards. EPROTO: not sealed, not of that size, or not a snapshot. ENOMEM, EMFILE: as
 * they say. */
int plug_held_map(int fd, uint64_t size, struct plug_held **ret_held);
/* Another view of the same snapshot. ENOMEM. */
int plug_held_renew(const struct plug_held *held, const struct feed_renew *renew,
                    struct plug_held **ret_held);
/* The mapping goes with its last view. NULL is fine. */
void plug_held_free(struct plug_held *held);
void plug_held_free_retired(struct plug_retired *retired);

#endif
