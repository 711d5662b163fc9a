/* Packets of the feed: what a reader may say, and nothing else. */
#include "resolver/daemon/feed_message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static size_t hello(uint8_t *out, uint16_t min, uint16_t max)
{
    struct feed_message head = {FEED_MAGIC, FEED_HELLO, 0, 0, 32};
    struct feed_hello body = {.version_min = min, .version_max = max, .boot_ms = 5};

    memcpy(out, &head, sizeof(head));
    memcpy(out + sizeof(head), &body, sizeof(body));
    return 32;
}

static size_t subscribe(uint8_t *out, uint32_t sub, uint32_t kind, size_t text)
{
    struct feed_message head = {FEED_MAGIC, FEED_SUBSCRIBE, 0, sub, (uint32_t)(24 + text)};
    struct feed_subscribe body = {.text = kind};

    memcpy(out, &head, sizeof(head));
    memcpy(out + sizeof(head), &body, sizeof(body));
    memset(out + 24, 'x', text);
    return 24 + text;
}

static size_t unsubscribe(uint8_t *out, uint32_t sub)
{
    struct feed_message head = {FEED_MAGIC, FEED_UNSUBSCRIBE, 0, sub, 16};

    memcpy(out, &head, sizeof(head));
    return sizeof(head);
}

/* From a heap block of exactly that size, for the sanitizer. */
static enum ms_err read_copy(const uint8_t *bytes, size_t n, struct feed_request *request)
{
    uint8_t *copy = malloc(n == 0 ? 1 : n);
    struct ms_diag diag = {0};

    assert_non_null(copy);
    memcpy(copy, bytes, n);
    enum ms_err err = feed_message_read(ms_span_of(copy, n), request, &diag);
    assert_true(err == MS_OK || diag.text[0] != '\0');
    request->text.ptr = NULL;
    free(copy);
    return err;
}

static void test_good(void **state)
{
    (void)state;
    static uint8_t packet[FEED_MESSAGE_MAX_BYTES];
    struct feed_request r = {0};

    assert_int_equal(read_copy(packet, hello(packet, 1, 3), &r), MS_OK);
    assert_int_equal(r.type, FEED_HELLO);
    assert_int_equal(r.version_max, 3);
    assert_int_equal(read_copy(packet, subscribe(packet, 9, FEED_TEXT_URL, 1), &r), MS_OK);
    assert_int_equal(r.type, FEED_SUBSCRIBE);
    assert_int_equal(r.sub, 9);
    assert_true(r.is_url);
    assert_int_equal(r.text.len, 1);
    assert_int_equal(
        read_copy(packet, subscribe(packet, UINT32_MAX, FEED_TEXT_SPECIFIER, FEED_TEXT_MAX_BYTES),
                  &r),
        MS_OK);
    assert_int_equal(r.text.len, FEED_TEXT_MAX_BYTES);
    assert_int_equal(read_copy(packet, unsubscribe(packet, 1), &r), MS_OK);
    assert_int_equal(r.type, FEED_UNSUBSCRIBE);
}

static void test_bad(void **state)
{
    (void)state;
    static uint8_t packet[FEED_MESSAGE_MAX_BYTES + 64];
    struct feed_request r = {0};

    assert_int_equal(read_copy(packet, hello(packet, 0, 1), &r), MS_ERR_SYNTAX);
    assert_int_equal(read_copy(packet, hello(packet, 2, 1), &r), MS_ERR_SYNTAX);
    assert_int_equal(read_copy(packet, subscribe(packet, 0, 0, 1), &r), MS_ERR_SYNTAX);
    assert_int_equal(read_copy(packet, subscribe(packet, 1, 2, 1), &r), MS_ERR_SYNTAX);
    assert_int_equal(read_copy(packet, subscribe(packet, 1, 0, 0), &r), MS_ERR_SYNTAX);
    assert_int_equal(read_copy(packet, subscribe(packet, 1, 0, FEED_TEXT_MAX_BYTES + 1), &r),
                     MS_ERR_SYNTAX);
    assert_int_equal(read_copy(packet, unsubscribe(packet, 0), &r), MS_ERR_SYNTAX);
    size_t n = hello(packet, 1, 1);
    packet[4] = FEED_WELCOME; /* ours to say */
    assert_int_equal(read_copy(packet, n, &r), MS_ERR_SYNTAX);
}

/* No proper prefix is a packet, and neither is one with a byte more, or with a bit turned in its
 * head that means something else than a number of the reader's choice. */
static void test_every_byte_counts(void **state)
{
    (void)state;
    static uint8_t packet[256];
    struct feed_request r = {0};
    size_t n = subscribe(packet, 5, 0, 40);

    for (size_t cut = 0; cut < n; cut++)
        assert_int_equal(read_copy(packet, cut, &r), MS_ERR_SYNTAX);
    assert_int_equal(read_copy(packet, n + 1, &r), MS_ERR_SYNTAX);
    for (size_t bit = 0; bit < 24 * 8; bit++) {
        if (bit / 8 >= 8 && bit / 8 < 12)
            continue; /* the number */
        if (bit == 16 * 8)
            continue; /* specifier or URL */
        packet[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(read_copy(packet, n, &r), MS_ERR_SYNTAX);
        packet[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

static void test_written(void **state)
{
    (void)state;
    uint8_t packet[FEED_ERROR_PACKET_BYTES];
    struct feed_message head;
    struct ms_diag diag = {0};

    size_t n = feed_message_error(4, MS_ERR_QUOTA, &diag, packet);
    memcpy(&head, packet, sizeof(head));
    assert_int_equal(head.magic, FEED_MAGIC);
    assert_int_equal(head.type, FEED_ERROR);
    assert_int_equal(head.sub, 4);
    assert_int_equal(head.size, n);
    assert_string_equal((const char *)packet + sizeof(head), "quota");
    assert_true(n > sizeof(head) + sizeof(struct feed_error));
    memset(diag.text, 'y', sizeof(diag.text) - 1);
    assert_true(feed_message_error(4, MS_ERR_QUOTA, &diag, packet) <= sizeof(packet));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_every_byte_counts),
        cmocka_unit_test(test_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
