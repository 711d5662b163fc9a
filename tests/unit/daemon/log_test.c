/* Log lines: one form, untrusted bytes escaped, repeats limited. */
#define _GNU_SOURCE
#include "resolver/daemon/log.h"

#include "base/buf.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static int64_t now_ms;
static int fds[2];
static char seen[65536];

static int64_t fake_now(void)
{
    return now_ms;
}

static struct log_config setup(void)
{
    assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
    now_ms = 1000;
    struct log_config config = log_config_default(NULL);
    assert_int_equal(config.fd, STDERR_FILENO);
    assert_false(config.journal);
    config.fd = fds[1];
    config.now_ms = fake_now;
    return config;
}

/* Everything written since the last call. */
static const char *output(void)
{
    size_t len = 0;
    for (ssize_t n = 1; n > 0; len += n > 0 ? (size_t)n : 0)
        n = read(fds[0], seen + len, sizeof(seen) - 1 - len);
    seen[len] = '\0';
    return seen;
}

static void teardown(void)
{
    struct log_config config = log_config_default(NULL);
    log_init(&config);
    (void)close(fds[0]);
    (void)close(fds[1]);
}

static const struct {
    const char *name, *value;
    size_t len;
    const char *want;
} values[] = {
    {"plain", "example.org:443", 15, "example.org:443"},
    {"empty", "", 0, "\"\""},
    {"space", "a b", 3, "\"a b\""},
    {"quote and backslash", "a\"\\", 3, "\"a\\\"\\\\\""},
    {"equals sign", "a=b", 3, "\"a=b\""},
    {"newline cannot start a line", "x\nerror a: b", 12, "\"x\\x0aerror a: b\""},
    {"escape sequence", "\x1b[31m", 5, "\"\\x1b[31m\""},
    {"NUL", "a\0b", 3, "\"a\\x00b\""},
    {"UTF-8", "\xc3\xa9", 2, "\"\\xc3\\xa9\""},
};

static void test_values(void **state)
{
    (void)state;
    struct log_config config = setup();
    config.per_minute = 0;
    log_init(&config);
    for (size_t i = 0; i < MS_ARRAY_LEN(values); i++) {
        struct ms_buf want = MS_BUF_INIT(1000);
        log_line(LOG_LEVEL_WARNING, "fetch", "failed",
                 log_span("v", ms_span_of(values[i].value, values[i].len)));
        ms_buf_addf(&want, "warning fetch: failed v=%s\n", values[i].want);
        if (strcmp(output(), ms_buf_str(&want)) != 0)
            fail_msg("%s: got %s", values[i].name, seen);
        ms_buf_done(&want);
    }
    teardown();
}

static void test_form(void **state)
{
    (void)state;
    struct log_config config = setup();
    log_init(&config);
    log_line(LOG_LEVEL_NOTICE, "core", "ready", log_str("socket", "/run/measured"),
             log_int("delta", -5), log_uint("n", UINT64_MAX));
    log_event(LOG_LEVEL_ERROR, "store", "full", NULL, 0);
    log_event(LOG_LEVEL_DEBUG, "store", "below the threshold", NULL, 0);
    assert_string_equal(output(), "notice core: ready socket=/run/measured delta=-5 "
                                  "n=18446744073709551615\nerror store: full\n");
    config.journal = log_config_default("8:1234").journal;
    assert_true(config.journal);
    assert_false(log_config_default("").journal);
    log_init(&config);
    log_event(LOG_LEVEL_ERROR, "store", "full", NULL, 0);
    assert_string_equal(output(), "<3>error store: full\n");
    teardown();
}

/* Decisions are all told, and do not use up what others may say. */
static void test_decisions(void **state)
{
    (void)state;
    struct log_config config = setup();
    const struct log_field field = log_str("why", "a\nb");
    log_init(&config);
    for (size_t i = 0; i < 5 * LOG_PER_MINUTE; i++)
        log_decision(LOG_LEVEL_NOTICE, "dstack", "boot", &field, 1);
    const char *at = output();
    size_t n = 0;
    for (; (at = strstr(at, "notice dstack: boot why=\"a\\x0ab\"\n")) != NULL; at++)
        n++;
    assert_int_equal(n, 5 * LOG_PER_MINUTE);
    log_event(LOG_LEVEL_NOTICE, "dstack", "boot", &field, 1);
    assert_string_equal(output(), "notice dstack: boot why=\"a\\x0ab\"\n");
    log_decision(LOG_LEVEL_DEBUG, "dstack", "below the threshold", NULL, 0);
    assert_string_equal(output(), "");
    teardown();
}

static void test_long(void **state)
{
    (void)state;
    struct log_config config = setup();
    log_init(&config);
    char big[3000];
    memset(big, 'x', sizeof(big));
    struct ms_span span = ms_span_of(big, sizeof(big));
    log_line(LOG_LEVEL_INFO, "a", "b", log_span("k", span));
    assert_int_equal(strlen(output()), strlen("info a: b k=\"\"\n") + LOG_VALUE_MAX + 3);
    log_line(LOG_LEVEL_INFO, "a", "b", log_span("k", span), log_span("k", span),
             log_span("k", span), log_span("k", span), log_span("k", span));
    assert_int_equal(strlen(output()), LOG_LINE_MAX);
    assert_int_equal(seen[LOG_LINE_MAX - 1], '\n');
    teardown();
}

static void test_repeats(void **state)
{
    (void)state;
    struct log_config config = setup();
    config.per_minute = 2;
    log_init(&config);
    for (int i = 0; i < 5; i++)
        log_line(LOG_LEVEL_WARNING, "fetch", "failed", log_int("i", i));
    log_event(LOG_LEVEL_WARNING, "fetch", "blocked", NULL, 0); /* its own count */
    assert_string_equal(output(), "warning fetch: failed i=0\nwarning fetch: failed i=1\n"
                                  "warning fetch: blocked\n");
    now_ms += 59999;
    log_flush();
    log_line(LOG_LEVEL_WARNING, "fetch", "failed", log_int("i", 5));
    assert_string_equal(output(), "");
    now_ms += 1;
    log_line(LOG_LEVEL_WARNING, "fetch", "failed", log_int("i", 6));
    assert_string_equal(output(), "warning fetch: failed repeated=4\nwarning fetch: failed i=6\n");
    now_ms += 60000;
    log_flush();
    assert_string_equal(output(), ""); /* nothing was dropped in that minute */
    teardown();
}

/* More events than are counted at once: the oldest gives way and tells what it held back. */
static void test_many_events(void **state)
{
    (void)state;
    static const char digits[] = "0123456789abcdef";
    struct log_config config = setup();
    config.per_minute = 1;
    log_init(&config);
    log_event(LOG_LEVEL_INFO, "first", "event", NULL, 0);
    log_event(LOG_LEVEL_INFO, "first", "event", NULL, 0);
    now_ms++;
    for (unsigned i = 0; i < 128; i++) {
        char name[3] = {digits[i >> 4], digits[i & 15], '\0'};
        log_event(LOG_LEVEL_INFO, name, "e", NULL, 0);
    }
    assert_non_null(strstr(output(), "info first: event repeated=1\n"));
    teardown();
}

static void *writer(void *arg)
{
    for (int i = 0; i < 50; i++)
        log_line(LOG_LEVEL_INFO, arg, "tick", log_str("pad", "0123456789 0123456789"));
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    struct log_config config = setup();
    config.per_minute = 0;
    log_init(&config);
    static char names[4][2] = {"a", "b", "c", "d"};
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, writer, names[i]), 0);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    size_t lines = 0;
    char *save = NULL;
    (void)output();
    for (char *line = strtok_r(seen, "\n", &save); line != NULL;
         line = strtok_r(NULL, "\n", &save)) {
        assert_memory_equal(line, "info ", 5);
        assert_string_equal(line + 6, ": tick pad=\"0123456789 0123456789\"");
        lines++;
    }
    assert_int_equal(lines, 200);
    teardown();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),    cmocka_unit_test(test_form),
        cmocka_unit_test(test_decisions), cmocka_unit_test(test_long),
        cmocka_unit_test(test_repeats),   cmocka_unit_test(test_many_events),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
