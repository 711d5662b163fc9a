/* tests/unit/base/hex_test.c - digits, both ways, and nothing written on error. */
#include "base/hex.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void test_digits(void **state)
{
    (void)state;
    for (int c = 0; c < 256; c++) {
        char text[2] = {(char)c, '\0'};
        int want = c < 128 && isxdigit(c) ? (int)strtol(text, NULL, 16) : -1;
        if (ms_hex_digit((uint8_t)c) != want)
            fail_msg("byte %d: %d instead of %d", c, ms_hex_digit((uint8_t)c), want);
    }
}

static void test_round_trip(void **state)
{
    uint8_t bytes[256], back[256];
    char text[2 * 256 + 1];

    (void)state;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)i;
    ms_hex_encode(ms_span_of(bytes, sizeof(bytes)), text);
    assert_int_equal(strlen(text), 512);
    assert_memory_equal(text + 2 * 0x5a, "5a", 2);
    assert_int_equal(ms_hex_decode(ms_span_str(text), back, sizeof(back)), MS_OK);
    assert_memory_equal(back, bytes, sizeof(bytes));
    for (char *p = text; *p != '\0'; p++)
        *p = (char)toupper(*p);
    memset(back, 0, sizeof(back));
    assert_int_equal(ms_hex_decode(ms_span_str(text), back, sizeof(back)), MS_OK);
    assert_memory_equal(back, bytes, sizeof(bytes));
}

static const struct {
    const char *text;
    enum ms_err want;
} refused[] = {
    {"", MS_ERR_LENGTH},       {"00", MS_ERR_LENGTH}, {"00112", MS_ERR_LENGTH},
    {"001122", MS_ERR_LENGTH}, {"g011", MS_ERR_HEX},  {"001:", MS_ERR_HEX},
    {"00 1", MS_ERR_HEX},      {"0x11", MS_ERR_HEX},  {"00\xb1\x31", MS_ERR_HEX},
};

static void test_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < MS_ARRAY_LEN(refused); i++) {
        uint8_t out[2] = {0xa5, 0xa5};
        enum ms_err err = ms_hex_decode(ms_span_str(refused[i].text), out, sizeof(out));
        if (err != refused[i].want || out[0] != 0xa5 || out[1] != 0xa5)
            fail_msg("\"%s\": %s, %02x%02x", refused[i].text, ms_err_name(err), out[0], out[1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_digits),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
