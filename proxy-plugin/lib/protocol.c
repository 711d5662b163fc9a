/* proxy-plugin/lib/protocol.c - packets to messages and back. */
#include "proxy-plugin/lib/protocol.h"

#include "proxy-plugin/lib/snapshot.h"

#include <errno.h>
#include <string.h>

/* ---- what a daemon says ---- */

static bool sub_fits(enum feed_type type, uint32_t sub)
{
    switch (type) {
    case FEED_WELCOME:
        return sub == 0;
    case FEED_SNAPSHOT:
    case FEED_RENEW:
        return sub != 0;
    case FEED_ERROR:
        return true;
    case FEED_HELLO:
    case FEED_SUBSCRIBE:
    case FEED_UNSUBSCRIBE:
        break;
    }
    return false;
}

/* A body of a fixed size. */
static int take(const uint8_t *body, size_t size, void *to, size_t wanted)
{
    if (size != wanted)
        return EPROTO;
    memcpy(to, body, wanted);
    return 0;
}

static int take_welcome(const uint8_t *body, size_t size, struct feed_hello *to)
{
    if (take(body, size, to, sizeof(*to)) != 0 || to->reserved != 0 ||
        to->version_min != to->version_max)
        return EPROTO;
    return 0;
}

static int take_renew(const uint8_t *body, size_t size, struct feed_renew *to)
{
    if (take(body, size, to, sizeof(*to)) != 0 || to->reserved != 0 || !plug_state_known(to->state))
        return EPROTO;
    return 0;
}

/* Lower-case words with hyphens, as codes are everywhere; NUL to its end. */
static int take_code(const uint8_t *body, char *to)
{
    size_t n = 0;

    while (n < FEED_CODE_BYTES && ((body[n] >= 'a' && body[n] <= 'z') ||
                                   (body[n] >= '0' && body[n] <= '9') || body[n] == '-'))
        n++;
    for (size_t i = n; i < FEED_CODE_BYTES; i++)
        if (body[i] != '\0')
            return EPROTO;
    memcpy(to, body, n);
    to[n] = '\0';
    return n == 0 ? EPROTO : 0;
}

/* It will be shown to people and written into logs: nothing but printable ASCII. */
static void append_printable(char *text, const uint8_t *more, size_t n)
{
    size_t at = strlen(text);

    for (size_t i = 0; i < n && at < MEASURED_ERROR_MAX; i++)
        text[at++] = more[i] >= 0x20 && more[i] < 0x7f ? (char)more[i] : '?';
    text[at] = '\0';
}

static int take_error(const uint8_t *body, size_t size, struct plug_message *m)
{
    if (size < FEED_CODE_BYTES || size - FEED_CODE_BYTES > FEED_WHY_MAX_BYTES ||
        take_code(body, m->error.code) != 0)
        return EPROTO;
    m->error.text[0] = '\0';
    append_printable(m->error.text, (const uint8_t *)m->error.code, strlen(m->error.code));
    append_printable(m->error.text, (const uint8_t *)": ", 2);
    append_printable(m->error.text, body + FEED_CODE_BYTES, size - FEED_CODE_BYTES);
    return 0;
}

static int take_body(const uint8_t *body, size_t size, struct plug_message *m)
{
    switch (m->type) {
    case FEED_WELCOME:
        return take_welcome(body, size, &m->welcome);
    case FEED_SNAPSHOT:
        return take(body, size, &m->snapshot, sizeof(m->snapshot));
    case FEED_RENEW:
        return take_renew(body, size, &m->renew);
    case FEED_ERROR:
        return take_error(body, size, m);
    case FEED_HELLO:
    case FEED_SUBSCRIBE:
    case FEED_UNSUBSCRIBE:
        break;
    }
    return EPROTO;
}

int plug_message_parse(const uint8_t *packet, size_t size, size_t n_descriptors,
                       struct plug_message *ret_message)
{
    struct plug_message m = {0};
    struct feed_message head;

    if (size < sizeof(head))
        return EPROTO;
    memcpy(&head, packet, sizeof(head));
    if (head.magic != FEED_MAGIC || head.reserved != 0 || head.size != size)
        return EPROTO;
    m.type = (enum feed_type)head.type;
    m.sub = head.sub;
    if (!sub_fits(m.type, m.sub) || n_descriptors != (m.type == FEED_SNAPSHOT ? 1u : 0u) ||
        take_body(packet + sizeof(head), size - sizeof(head), &m) != 0)
        return EPROTO;
    *ret_message = m;
    return 0;
}

/* ---- what a reader says ---- */

static size_t put(uint8_t *to, enum feed_type type, uint32_t sub, const void *body,
                  size_t body_bytes, size_t more)
{
    struct feed_message head = {
        .magic = FEED_MAGIC,
        .type = (uint16_t)type,
        .sub = sub,
        .size = (uint32_t)(sizeof(head) + body_bytes + more),
    };

    memcpy(to, &head, sizeof(head));
    if (body_bytes > 0)
        memcpy(to + sizeof(head), body, body_bytes);
    return sizeof(head) + body_bytes;
}

size_t plug_hello_put(int64_t boot_ms, uint8_t *to)
{
    struct feed_hello hello = {
        .version_min = FEED_VERSION, .version_max = FEED_VERSION, .boot_ms = boot_ms};

    return put(to, FEED_HELLO, 0, &hello, sizeof(hello), 0);
}

size_t plug_subscribe_head_put(uint32_t sub, enum feed_text text, size_t text_bytes, uint8_t *to)
{
    struct feed_subscribe subscribe = {.text = (uint32_t)text};

    return put(to, FEED_SUBSCRIBE, sub, &subscribe, sizeof(subscribe), text_bytes);
}

size_t plug_unsubscribe_put(uint32_t sub, uint8_t *to)
{
    return put(to, FEED_UNSUBSCRIBE, sub, NULL, 0, 0);
}

enum feed_text plug_text_kind(const char *text)
{
    return strncmp(text, "https://", 8) == 0 || strncmp(text, "http://", 7) == 0
               ? FEED_TEXT_URL
               : FEED_TEXT_SPECIFIER;
}
