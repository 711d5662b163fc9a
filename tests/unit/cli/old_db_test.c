/* A database of an older schema under the tools that only read: they say what to do, find out
 * nothing, and leave it as it is. */
#define _GNU_SOURCE /* mkdtemp */

#include "cli/log.h"
#include "tests/support/vectors.h"
#include "tests/unit/cache/cache_test_util.h"
#include "tests/unit/cli/capture.h"

#define SPEC "url:aHR0cHM6Ly9hLmV4YW1wbGUv" /* https://a.example/ */

static struct ms_sha256 hash_of_file(const char *name)
{
    struct ms_buf bytes = MS_BUF_INIT((size_t)4 << 20);

    assert_true(vec_read(in_dir(name), &bytes));
    struct ms_sha256 hash = ms_sha256(ms_buf_span(&bytes));
    ms_buf_done(&bytes);
    return hash;
}

static void must_tell(const char *command, int code)
{
    struct ms_buf words = MS_BUF_INIT((size_t)1 << 20);

    assert_true(vec_read(in_dir("words"), &words));
    const char *text = ms_buf_str(&words);
    assert_non_null(text);
    if (code != CLI_UNKNOWN || strstr(text, "has the older schema 4") == NULL ||
        strstr(text, "start this version of the daemon once") == NULL ||
        strstr(text, "state-dir") == NULL)
        fail_msg("%s: exit %d: %s", command, code, text);
    ms_buf_done(&words);
}

static void test_readers(void **state)
{
    static char db[128];
    static const struct {
        int (*run)(struct cli *, int, char **);
        const char *argv[8];
    } commands[] = {
        {cli_audit, {"audit", "--db", db}},
        {cli_history, {"history", SPEC, "--db", db}},
        {cli_diff, {"diff", SPEC, "1", "2", "--db", db}},
        {cli_at, {"at", SPEC, "2026-01-01", "--db", db}},
        {cli_evidence, {"evidence", SPEC, "1", "--db", db}},
        {log_checkpoint, {"checkpoint", "--db", db}},
        {log_prove, {"prove", "--leaf", "0", "--db", db}},
        {log_export, {"export", "/nowhere", "--db", db}},
    };
    struct ms_buf sql = MS_BUF_INIT((size_t)1 << 20);

    (void)state;
    assert_true(vec_read("tests/unit/cache/schema_4.sql", &sql));
    raw(ms_buf_str(&sql));
    ms_buf_done(&sql);
    FILE *key = fopen(in_dir("measured.hmac"), "w");
    assert_non_null(key);
    assert_true(fputs("kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk", key) >= 0);
    assert_int_equal(fclose(key), 0);
    assert_int_equal(chmod(in_dir("measured.hmac"), 0600), 0);
    (void)snprintf(db, sizeof(db), "%s", in_dir("measured.db"));
    struct ms_sha256 before = hash_of_file("measured.db");
    for (size_t i = 0; i < MS_ARRAY_LEN(commands); i++) {
        must_tell(commands[i].argv[0], run(commands[i].run, commands[i].argv));
        struct ms_sha256 after = hash_of_file("measured.db");
        assert_true(ms_sha256_eq(&before, &after));
    }
    (void)unlink(in_dir("said"));
    (void)unlink(in_dir("words"));
    cache_close(must_open()); /* and that is what helps */
    const char *const audit[] = {"audit", "--db", db, NULL};
    int code = run(cli_audit, audit);
    if (code != CLI_YES)
        fail_msg("audit of what the daemon brought up to date: exit %d", code);
    (void)unlink(in_dir("said"));
    (void)unlink(in_dir("words"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_readers, fresh_dir, drop_dir),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
