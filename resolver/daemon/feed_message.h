/* resolver/daemon/feed_message.h - the packets of the feed, as the daemon reads and writes them
 * (docs/feed.md). Pure. */
#ifndef MS_DAEMON_FEED_MESSAGE_H
#define MS_DAEMON_FEED_MESSAGE_H

#include "base/err.h"
#include "base/span.h"
#include "include/measured/feed_format.h"

/* What a reader said. */
struct feed_request {
    enum feed_type type; /* HELLO, SUBSCRIBE, UNSUBSCRIBE */
    uint32_t sub;
    uint16_t version_min, version_max; /* HELLO */
    bool is_url;                       /* SUBSCRIBE */
    struct ms_span text;               /* SUBSCRIBE: into the packet, 1 to FEED_TEXT_MAX_BYTES */
};

/* One whole packet. MS_ERR_SYNTAX: it is not one that a reader may send; diag says what is wrong.
 */
MS_MUST_USE enum ms_err feed_message_read(struct ms_span packet, struct feed_request *ret_request,
                                          struct ms_diag *diag);

/* Packets to a reader, written whole; they return how many bytes that is. */
#define FEED_ERROR_PACKET_BYTES \
    (sizeof(struct feed_message) + sizeof(struct feed_error) + FEED_WHY_MAX_BYTES)
size_t feed_message_welcome(int64_t boot_ms,
                            uint8_t out[sizeof(struct feed_message) + sizeof(struct feed_hello)]);
size_t
feed_message_snapshot(uint32_t sub, uint64_t generation, uint64_t size,
                      uint8_t out[sizeof(struct feed_message) + sizeof(struct feed_snapshot)]);
size_t feed_message_renew(uint32_t sub, const struct feed_renew *renew,
                          uint8_t out[sizeof(struct feed_message) + sizeof(struct feed_renew)]);
/* The code of `err`, and what diag says, cut to FEED_WHY_MAX_BYTES. */
size_t feed_message_error(uint32_t sub, enum ms_err err, const struct ms_diag *diag,
                          uint8_t out[FEED_ERROR_PACKET_BYTES]);

#endif
