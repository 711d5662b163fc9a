/* proxy-plugin/lib/protocol.h - the messages of docs/feed.md as a reader sees them. Pure; any
 * thread. */
#ifndef MEASURED_LIB_PROTOCOL_H
#define MEASURED_LIB_PROTOCOL_H

#include "include/measured/feed_format.h"
#include "include/measured/measured.h"

/* The longest message a daemon sends: an ERROR. */
#define PLUG_MESSAGE_MAX_BYTES \
    (sizeof(struct feed_message) + sizeof(struct feed_error) + FEED_WHY_MAX_BYTES)

struct plug_message {
    enum feed_type type; /* what a daemon sends */
    uint32_t sub;
    union {
        struct feed_hello welcome;
        struct feed_snapshot snapshot;
        struct feed_renew renew;
        struct {
            char code[FEED_CODE_BYTES + 1];
            char text[MEASURED_ERROR_MAX + 1]; /* "code: sentence", printable */
        } error;
    };
};

/* One packet, all of it, with so many descriptors beside it.
 * 0; EPROTO: no message of a daemon, or not a descriptor beside a SNAPSHOT and none beside all
 * else. */
int plug_message_parse(const uint8_t *packet, size_t size, size_t n_descriptors,
                       struct plug_message *ret_message);

/* What a reader sends. Each returns the bytes of the packet that it wrote to `to`, which is large
 * enough. */
#define PLUG_HELLO_BYTES (sizeof(struct feed_message) + sizeof(struct feed_hello))
#define PLUG_SUBSCRIBE_HEAD_BYTES (sizeof(struct feed_message) + sizeof(struct feed_subscribe))
#define PLUG_UNSUBSCRIBE_BYTES sizeof(struct feed_message)
size_t plug_hello_put(int64_t boot_ms, uint8_t *to);
/* The head only: `text_bytes` of text follow in the packet. */
size_t plug_subscribe_head_put(uint32_t sub, enum feed_text text, size_t text_bytes, uint8_t *to);
size_t plug_unsubscribe_put(uint32_t sub, uint8_t *to);

/* Whether a text is a URL; all else is a specifier. */
enum feed_text plug_text_kind(const char *text);

#endif
