/* resolver/source/log_event.h - what logs of the contracts known here say: names, and what an
 * approval or a removal names. Of any contract's logs, so nothing is believed because of it. Pure;
 * thread-safe. */
#ifndef MS_SOURCE_LOG_EVENT_H
#define MS_SOURCE_LOG_EVENT_H

#include "eth/quantity.h"

/* "ComposeHashAdded(bytes32)" for the first topic of an event of a contract known here, else NULL.
 * Static storage. */
const char *log_event_name(const struct eth_hash *topic);

struct log_change {
    const char *kind; /* "dstack-compose-hash", "owner", ..; static */
    bool removed;     /* else added */
    bool is_address;  /* the last 20 bytes */
    struct eth_word value;
};

/* false: the log adds nothing and takes nothing away, as far as is known here. */
bool log_event_change(const struct eth_hash *topics, size_t n_topics, struct ms_span data,
                      struct log_change *ret_change);

#endif
