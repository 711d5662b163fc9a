/* resolver/daemon/feed_message.c - packets of the feed. */
#include "resolver/daemon/feed_message.h"

#include <string.h>

/* ---- reading ---- */

static enum ms_err refuse(struct ms_diag *diag, const char *what)
{
    return ms_diag_set(diag, MS_ERR_SYNTAX, "docs/feed.md: %s", what);
}

static enum ms_err read_hello(struct ms_span body, struct feed_request *r, struct ms_diag *diag)
{
    struct feed_hello hello;

    if (r->sub != 0 || body.len != sizeof(hello))
        return refuse(diag, "a HELLO has 16 bytes and no subscription number");
    memcpy(&hello, body.ptr, sizeof(hello));
    if (hello.reserved != 0 || hello.version_min == 0 || hello.version_min > hello.version_max)
        return refuse(diag, "the versions of a HELLO are a lowest and a highest one");
    r->version_min = hello.version_min;
    r->version_max = hello.version_max;
    return MS_OK;
}

static enum ms_err read_subscribe(struct ms_span body, struct feed_request *r, struct ms_diag *diag)
{
    struct feed_subscribe subscribe;

    if (r->sub == 0 || body.len <= sizeof(subscribe) ||
        body.len > sizeof(subscribe) + FEED_TEXT_MAX_BYTES)
        return refuse(diag, "a SUBSCRIBE has a number and a text of 1 to 64000 bytes");
    memcpy(&subscribe, body.ptr, sizeof(subscribe));
    if (subscribe.reserved != 0 || subscribe.text > FEED_TEXT_URL)
        return refuse(diag, "the text of a SUBSCRIBE is a specifier or a URL");
    r->is_url = subscribe.text == FEED_TEXT_URL;
    r->text = ms_span_sub(body, sizeof(subscribe), body.len);
    return MS_OK;
}

enum ms_err feed_message_read(struct ms_span packet, struct feed_request *ret_request,
                              struct ms_diag *diag)
{
    struct feed_message head;
    struct feed_request r = {0};
    enum ms_err err;

    if (packet.len < sizeof(head))
        return refuse(diag, "a packet has at least 16 bytes");
    memcpy(&head, packet.ptr, sizeof(head));
    if (head.magic != FEED_MAGIC || head.reserved != 0 || head.size != packet.len)
        return refuse(diag, "a packet begins with MSFD and tells its own size");
    struct ms_span body = ms_span_sub(packet, sizeof(head), packet.len);
    r.sub = head.sub;
    if (head.type == FEED_HELLO)
        err = read_hello(body, &r, diag);
    else if (head.type == FEED_SUBSCRIBE)
        err = read_subscribe(body, &r, diag);
    else if (head.type == FEED_UNSUBSCRIBE && r.sub != 0 && body.len == 0)
        err = MS_OK;
    else
        err = refuse(diag, "readers send HELLO, SUBSCRIBE and UNSUBSCRIBE");
    if (err != MS_OK)
        return err;
    r.type = (enum feed_type)head.type;
    *ret_request = r;
    return MS_OK;
}

/* ---- writing ---- */

static size_t put(uint8_t *out, enum feed_type type, uint32_t sub, const void *body, size_t bytes,
                  struct ms_span more)
{
    struct feed_message head = {.magic = FEED_MAGIC,
                                .type = (uint16_t)type,
                                .sub = sub,
                                .size = (uint32_t)(sizeof(head) + bytes + more.len)};

    memcpy(out, &head, sizeof(head));
    memcpy(out + sizeof(head), body, bytes);
    if (more.len > 0)
        memcpy(out + sizeof(head) + bytes, more.ptr, more.len);
    return head.size;
}

size_t feed_message_welcome(int64_t boot_ms,
                            uint8_t out[sizeof(struct feed_message) + sizeof(struct feed_hello)])
{
    struct feed_hello hello = {
        .version_min = FEED_VERSION, .version_max = FEED_VERSION, .boot_ms = boot_ms};
    return put(out, FEED_WELCOME, 0, &hello, sizeof(hello), (struct ms_span){NULL, 0});
}

size_t
feed_message_snapshot(uint32_t sub, uint64_t generation, uint64_t size,
                      uint8_t out[sizeof(struct feed_message) + sizeof(struct feed_snapshot)])
{
    struct feed_snapshot snapshot = {.generation = generation, .size = size};
    return put(out, FEED_SNAPSHOT, sub, &snapshot, sizeof(snapshot), (struct ms_span){NULL, 0});
}

size_t feed_message_renew(uint32_t sub, const struct feed_renew *renew,
                          uint8_t out[sizeof(struct feed_message) + sizeof(struct feed_renew)])
{
    return put(out, FEED_RENEW, sub, renew, sizeof(*renew), (struct ms_span){NULL, 0});
}

size_t feed_message_error(uint32_t sub, enum ms_err err, const struct ms_diag *diag,
                          uint8_t out[FEED_ERROR_PACKET_BYTES])
{
    struct feed_error body = {0};
    const char *code = ms_err_code(err);
    size_t len = strlen(code);

    memcpy(body.code, code, len < sizeof(body.code) ? len : sizeof(body.code) - 1);
    return put(out, FEED_ERROR, sub, &body, sizeof(body),
               ms_span_sub(ms_span_str(ms_diag_text(diag, err)), 0, FEED_WHY_MAX_BYTES));
}
