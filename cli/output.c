/* cli/output.c - files and commands. */
#define _GNU_SOURCE /* openat, posix_spawn, setenv */

#include "cli/output.h"

#include "base/buf.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_MAX_BYTES 4096u

extern char **environ;

struct target { /* a path taken apart */
    char dir[PATH_MAX_BYTES];
    char name[256];
    char temporary[300];
};

static enum ms_err take_apart(const char *path, struct target *ret_target, struct ms_diag *diag)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash == NULL ? path : slash + 1;
    size_t dir_len = slash == NULL ? 0 : (size_t)(slash - path);

    if (name[0] == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
        strlen(name) > 200 || dir_len >= PATH_MAX_BYTES)
        return ms_diag_set(diag, MS_ERR_IO, "%s: not the name of a file", path);
    if (slash == NULL)
        (void)snprintf(ret_target->dir, sizeof(ret_target->dir), ".");
    else
        (void)snprintf(ret_target->dir, sizeof(ret_target->dir), "%.*s",
                       dir_len == 0 ? 1 : (int)dir_len, path);
    (void)snprintf(ret_target->name, sizeof(ret_target->name), "%s", name);
    (void)snprintf(ret_target->temporary, sizeof(ret_target->temporary), ".%s.measuredctl-%ld",
                   name, (long)getpid());
    return MS_OK;
}

static bool write_all(int fd, struct ms_span text)
{
    while (text.len > 0) {
        ssize_t n = write(fd, text.ptr, text.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        text = ms_span_sub(text, (size_t)n, text.len);
    }
    return true;
}

static bool write_temporary(int dir, const struct target *target, struct ms_span text)
{
    (void)unlinkat(dir, target->temporary, 0); /* of a process that had our number and died */
    int fd = openat(dir, target->temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                    OUTPUT_FILE_MODE);
    if (fd < 0)
        return false;
    /* the mode whatever the umask */
    bool ok = fchmod(fd, OUTPUT_FILE_MODE) == 0 && write_all(fd, text) && fsync(fd) == 0;
    int saved = errno;
    if (close(fd) != 0 && ok) {
        saved = errno;
        ok = false;
    }
    errno = saved;
    return ok;
}

enum ms_err output_write(const char *path, struct ms_span text, struct ms_diag *diag)
{
    struct target target;

    enum ms_err err = take_apart(path, &target, diag);
    if (err != MS_OK)
        return err;
    int dir = open(target.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return ms_diag_set(diag, MS_ERR_IO, "%s: %s", target.dir, strerror(errno));
    bool written = write_temporary(dir, &target, text);
    if (!written || renameat(dir, target.temporary, dir, target.name) != 0) {
        err = ms_diag_set(diag, MS_ERR_IO, "%s: %s", path, strerror(errno));
        (void)unlinkat(dir, target.temporary, 0);
    } else if (fsync(dir) != 0) {
        err = ms_diag_set(diag, MS_ERR_IO, "%s: %s", target.dir, strerror(errno));
    }
    (void)close(dir);
    return err;
}

/* The child's own signals: we have blocked and ignored some. */
static int spawn(const char *command, bool words_only, pid_t *ret_pid)
{
    char shell[] = "/bin/sh", flag[] = "-c";
    char *copy = strdup(command);
    char *argv[] = {shell, flag, copy, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    sigset_t none, usual;

    if (copy == NULL)
        return ENOMEM;
    (void)sigemptyset(&none);
    (void)sigemptyset(&usual);
    (void)sigaddset(&usual, SIGPIPE);
    (void)posix_spawnattr_init(&attr);
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    (void)posix_spawnattr_setsigmask(&attr, &none);
    (void)posix_spawnattr_setsigdefault(&attr, &usual);
    (void)posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (words_only)
        (void)posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
    int failed = posix_spawn(ret_pid, shell, &actions, &attr, argv, environ);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)posix_spawnattr_destroy(&attr);
    free(copy);
    return failed;
}

enum ms_err output_run(const char *command, const struct output_env *env, bool words_only,
                       pid_t *ret_pid, struct ms_diag *diag)
{
    if (setenv("MEASURED_STATE", env->state, 1) != 0 ||
        setenv("MEASURED_SEQUENCE", env->sequence, 1) != 0 ||
        setenv("MEASURED_FILE", env->file, 1) != 0)
        return ms_diag_set(diag, MS_ERR_IO, "--exec: %s", strerror(errno));
    int failed = spawn(command, words_only, ret_pid);
    if (failed != 0)
        return ms_diag_set(diag, MS_ERR_IO, "--exec: cannot start /bin/sh: %s", strerror(failed));
    return MS_OK;
}
