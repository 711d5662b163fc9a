/* Entries of the log: one value, one line, and no other line is read. */
#include "resolver/entry/leaf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define HASH(digit)                                                                               \
    digit digit digit digit digit digit digit digit digit digit digit digit digit digit digit     \
        digit digit digit digit digit digit digit digit digit digit digit digit digit digit digit \
            digit digit

#define FULL                                                                          \
    "{\"v\":1,\"n\":7,\"t\":1700000000,\"spec\":\"" HASH(                             \
        "0a") "\",\"level\":\"l3\","                                                  \
              "\"state\":\"good\",\"seq\":18446744073709551615,\"commit\":\"0x" HASH( \
                  "0b") "\","                                                         \
                        "\"result\":\"" HASH("0c") "\",\"evidence\":\"" HASH(         \
                            "0d") "\",\"policy\":\"" HASH("0e") "\",\"prev\":\"" HASH("0f") "\"}"
#define LEAST                                                    \
    "{\"v\":1,\"n\":1,\"t\":0,\"spec\":\"" HASH(                 \
        "00") "\",\"level\":null,\"state\":\"hold\","            \
              "\"seq\":null,\"commit\":null,\"result\":\"" HASH( \
                  "00") "\",\"evidence\":null,"                  \
                        "\"policy\":null,\"prev\":null}"

static struct ms_sha256 of(uint8_t byte)
{
    struct ms_sha256 hash;
    memset(hash.b, byte, sizeof(hash.b));
    return hash;
}

static void must_print(const struct leaf *leaf, const char *want)
{
    struct ms_buf out = MS_BUF_INIT(LEAF_MAX_BYTES);
    struct leaf again;

    assert_int_equal(leaf_print(leaf, &out), MS_OK);
    assert_string_equal(ms_buf_str(&out), want);
    assert_int_equal(leaf_parse(ms_buf_span(&out), &again), MS_OK);
    ms_buf_reset(&out);
    assert_int_equal(leaf_print(&again, &out), MS_OK);
    assert_string_equal(ms_buf_str(&out), want);
    ms_buf_done(&out);
}

static void test_print(void **state)
{
    (void)state;
    struct leaf full = {.n = 7,
                        .time_s = 1700000000,
                        .spec = of(0x0a),
                        .level = SPEC_LEVEL_L3,
                        .state = "good",
                        .has_sequence = true,
                        .sequence = UINT64_MAX,
                        .has_commitment = true,
                        .commitment = of(0x0b),
                        .result = of(0x0c),
                        .has_evidence = true,
                        .evidence = of(0x0d),
                        .has_policy = true,
                        .policy = of(0x0e),
                        .has_prev = true,
                        .prev = of(0x0f)};
    struct leaf least = {.n = 1, .state = "hold"};
    struct ms_buf out = MS_BUF_INIT(LEAF_MAX_BYTES);

    must_print(&full, FULL);
    must_print(&least, LEAST);
    least.n = 0;
    assert_int_equal(leaf_print(&least, &out), MS_ERR_ARGUMENT);
    least.n = 1;
    least.time_s = -1;
    assert_int_equal(leaf_print(&least, &out), MS_ERR_ARGUMENT);
    least.time_s = 0;
    memset(least.state, 'x', sizeof(least.state));
    assert_int_equal(leaf_print(&least, &out), MS_ERR_ARGUMENT);
    ms_buf_done(&out);
}

/* Every changed byte is either refused, or another entry that prints as what was read. */
static void test_one_form(void **state)
{
    (void)state;
    char text[] = FULL;
    struct ms_buf out = MS_BUF_INIT(LEAF_MAX_BYTES);
    struct leaf leaf;

    for (size_t i = 0; i < sizeof(text) - 1; i++)
        for (int bit = 0; bit < 8; bit++) {
            text[i] = (char)(text[i] ^ (1 << bit));
            if (leaf_parse(ms_span_str(text), &leaf) == MS_OK) {
                ms_buf_reset(&out);
                assert_int_equal(leaf_print(&leaf, &out), MS_OK);
                assert_string_equal(ms_buf_str(&out), text);
            }
            text[i] = (char)(text[i] ^ (1 << bit));
        }
    for (size_t len = 0; len < sizeof(text) - 1; len++)
        assert_int_equal(leaf_parse(ms_span_of(text, len), &leaf), MS_ERR_SYNTAX);
    ms_buf_done(&out);
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *name, *from, *to;
    } cases[] = {
        {"white space", "\"n\":", "\"n\": "},
        {"another version", "\"v\":1", "\"v\":2"},
        {"number zero", "\"n\":7", "\"n\":0"},
        {"a leading zero", "\"n\":7", "\"n\":07"},
        {"a negative time", "\"t\":1", "\"t\":-1"},
        {"upper case", HASH("0a"), HASH("0A")},
        {"an unknown level", "\"l3\"", "\"l9\""},
        {"no level", "\"l3\"", "\"none\""},
        {"a state in capitals", "good", "GOOD"},
        {"a commitment without 0x", "\"0x", "\""},
        {"a result of nothing", "\"result\":\"" HASH("0c") "\"", "\"result\":null"},
        {"a sequence too large", "18446744073709551615", "18446744073709551616"},
        {"a newline behind", "\"}", "\"}\n"},
    };

    for (size_t i = 0; i < MS_ARRAY_LEN(cases); i++) {
        struct ms_buf text = MS_BUF_INIT(2000);
        struct leaf leaf;
        static const char full[] = FULL;
        const char *at = strstr(full, cases[i].from);
        assert_non_null(at);
        (void)ms_buf_add(&text, ms_span_of(full, (size_t)(at - full)));
        (void)ms_buf_add_str(&text, cases[i].to);
        (void)ms_buf_add_str(&text, at + strlen(cases[i].from));
        if (leaf_parse(ms_buf_span(&text), &leaf) != MS_ERR_SYNTAX)
            fail_msg("%s was taken", cases[i].name);
        ms_buf_done(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_print),
        cmocka_unit_test(test_one_form),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
