/* Commands of measuredctl run in the test's own process: what they print goes to files in its
 * folder, `said` (stdout) and `words` (stderr). After tests/unit/cache/cache_test_util.h. */
#ifndef MS_TESTS_CLI_CAPTURE_H
#define MS_TESTS_CLI_CAPTURE_H

#include "cli/cli.h"

#include <fcntl.h>

static int kept_out = -1, kept_err = -1;

/* What follows prints into a file. */
static inline void capture(void)
{
    (void)fflush(stdout);
    (void)fflush(stderr);
    kept_out = dup(STDOUT_FILENO);
    kept_err = dup(STDERR_FILENO);
    int out = open(in_dir("said"), O_RDWR | O_CREAT | O_TRUNC, 0600);
    int err = open(in_dir("words"), O_RDWR | O_CREAT | O_TRUNC, 0600);
    assert_true(kept_out >= 0 && kept_err >= 0 && out >= 0 && err >= 0);
    assert_true(dup2(out, STDOUT_FILENO) >= 0 && dup2(err, STDERR_FILENO) >= 0);
    (void)close(out);
    (void)close(err);
}

static inline void release(void)
{
    (void)fflush(stdout);
    (void)fflush(stderr);
    assert_true(dup2(kept_out, STDOUT_FILENO) >= 0 && dup2(kept_err, STDERR_FILENO) >= 0);
    (void)close(kept_out);
    (void)close(kept_err);
}

static inline int run(int (*command)(struct cli *, int, char **), const char *const *argv)
{
    struct cli cli = {.command = argv[0], .json = true};
    char *args[12];
    int n = 0;

    for (; argv[n] != NULL; n++)
        args[n] = (char *)(uintptr_t)argv[n];
    capture();
    int code = command(&cli, n, args);
    release();
    return code;
}

#endif
