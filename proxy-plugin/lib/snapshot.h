/* proxy-plugin/lib/snapshot.h - the bytes of a snapshot (docs/feed.md), looked through once and
 * then only read. Pure but for memory: no descriptors, no clock. Any thread; what it points to is
 * the caller's. */
#ifndef MEASURED_LIB_SNAPSHOT_H
#define MEASURED_LIB_SNAPSHOT_H

#include "include/measured/feed_format.h"

#include <stdbool.h>

/* Where the sections of an accepted snapshot are. Borrowed: the bytes must outlive it. */
struct plug_snapshot {
    const struct feed_header *header;
    const struct feed_release *releases;
    const uint8_t *records;
    const struct feed_shape *shapes;
    const struct feed_slot *slots;
    const char *strings;
};

/* Look through a whole snapshot: rules 2 to 6 of docs/feed.md, "What a reader checks". After it no
 * number in there can lead outside or let a search go on for ever. bytes    at a multiple of 8;
 * must not change from here on (a sealed file, or the caller's memory) ret_why  which rule was
 * broken, for people; static storage; written only on EPROTO 0, EPROTO, or ENOMEM (a bit for each 8
 * bytes of records is needed while it looks). */
int plug_snapshot_read(const void *bytes, size_t size, struct plug_snapshot *ret_snapshot,
                       const char **ret_why);

/* Bytes of a register value of a class that plug_snapshot_read has seen. */
static inline size_t plug_value_bytes(uint32_t class_)
{
    return class_ == FEED_CLASS_AZURE ? 32 : 48;
}

static inline const struct feed_register *plug_registers(const struct feed_record *record)
{
    return (const struct feed_register *)(const void *)(record + 1);
}

static inline const uint8_t *plug_values(const struct feed_record *record,
                                         const struct feed_register *reg)
{
    return (const uint8_t *)record + (size_t)reg->values_off * 8;
}

bool plug_state_known(uint32_t state);
/* Whether checks may be answered in it at all; the snapshot's flag must say so too. */
bool plug_state_serves(uint32_t state);

#endif
