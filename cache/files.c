/* cache/files.c - the files of state-dir and who may read them. */
#define _GNU_SOURCE /* O_CLOEXEC, O_NOFOLLOW, O_DIRECTORY, flock, fchmod */

#include "cache/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEY_NEW_NAME CACHE_KEY_NAME ".new"

static enum ms_err io_error(struct ms_diag *diag, const char *path, const char *what)
{
    char text[128] = "";
    int cause = errno;
    const char *message = strerror_r(cause, text, sizeof(text)); /* the GNU form, thread-safe */
    return ms_diag_set(diag, MS_ERR_IO, "cannot %s %s: %s", what, path, message);
}

enum ms_err cache_files_path(const char *dir, const char *name, char ret_path[CACHE_PATH_MAX],
                             struct ms_diag *diag)
{
    int n = snprintf(ret_path, CACHE_PATH_MAX, "%s/%s", dir, name);
    if (n < 0 || n >= CACHE_PATH_MAX)
        return ms_diag_set(diag, MS_ERR_ARGUMENT, "the path of the state directory is too long");
    return MS_OK;
}

static enum ms_err sync_dir(const char *dir, struct ms_diag *diag)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return io_error(diag, dir, "open");
    enum ms_err err = fsync(fd) == 0 ? MS_OK : io_error(diag, dir, "sync");
    (void)close(fd);
    return err;
}

/* mkdir, 0700 whatever the umask; an existing one is fine. */
static enum ms_err make_dir(const char *path, struct ms_diag *diag)
{
    if (mkdir(path, 0700) == 0)
        return chmod(path, 0700) == 0 ? MS_OK : io_error(diag, path, "set the mode of");
    return errno == EEXIST ? MS_OK : io_error(diag, path, "create directory");
}

enum ms_err cache_files_dir(const char *dir, struct ms_diag *diag)
{
    char path[CACHE_PATH_MAX];
    struct stat st;
    size_t len = strlen(dir);

    if (len == 0 || len >= sizeof(path))
        return ms_diag_set(diag, MS_ERR_ARGUMENT, "the path of the state directory is %s",
                           len == 0 ? "empty" : "too long");
    memcpy(path, dir, len + 1);
    for (size_t i = 1; i <= len; i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        path[i] = '\0';
        enum ms_err err = stat(path, &st) == 0 ? MS_OK : make_dir(path, diag);
        if (err != MS_OK)
            return err;
        path[i] = dir[i];
    }
    if (stat(dir, &st) != 0)
        return io_error(diag, dir, "examine");
    if (!S_ISDIR(st.st_mode))
        return ms_diag_set(diag, MS_ERR_IO, "%s is not a directory", dir);
    if ((st.st_mode & S_IWOTH) != 0)
        return ms_diag_set(
            diag, MS_ERR_IO,
            "everyone may write to %s, so anyone could replace the database: chmod it "
            "to 0700",
            dir);
    return MS_OK;
}

enum ms_err cache_files_lock(const char *dir, int *ret_fd, struct ms_diag *diag)
{
    char path[CACHE_PATH_MAX];

    enum ms_err err = cache_files_path(dir, CACHE_LOCK_NAME, path, diag);
    if (err != MS_OK)
        return err;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return io_error(diag, path, "open");
    if (fchmod(fd, 0600) != 0) {
        err = io_error(diag, path, "set the mode of");
    } else if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        err = errno == EWOULDBLOCK
                  ? ms_diag_set(diag, MS_ERR_STORE, "another measured is using %s", dir)
                  : io_error(diag, path, "lock");
    }
    if (err != MS_OK) {
        (void)close(fd);
        return err;
    }
    *ret_fd = fd;
    return MS_OK;
}

static bool write_all(int fd, const uint8_t *ptr, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, ptr, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        ptr += n;
        len -= (size_t)n;
    }
    return true;
}

/* Under another name first: a crash leaves either no key or a whole one. The lock is held, so what
 * stands under that other name is left over from a crash. link, not rename: it never replaces. */
static enum ms_err create_key(const char *dir, const char *path, struct ms_diag *diag)
{
    char fresh[CACHE_PATH_MAX];
    uint8_t key[CACHE_HMAC_KEY_BYTES];

    enum ms_err err = cache_files_path(dir, KEY_NEW_NAME, fresh, diag);
    if (err != MS_OK)
        return err;
    if (getrandom(key, sizeof(key), 0) != (ssize_t)sizeof(key))
        return io_error(diag, path, "get random bytes for");
    (void)unlink(fresh);
    int fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        err = io_error(diag, fresh, "create");
    } else {
        if (fchmod(fd, 0600) != 0 || !write_all(fd, key, sizeof(key)) || fsync(fd) != 0)
            err = io_error(diag, fresh, "write");
        if (close(fd) != 0 && err == MS_OK)
            err = io_error(diag, fresh, "write");
        if (err == MS_OK && link(fresh, path) != 0)
            err = io_error(diag, path, "create");
        (void)unlink(fresh);
    }
    ms_wipe(key, sizeof(key));
    return err == MS_OK ? sync_dir(dir, diag) : err;
}

/* The file is open as fd. */
static enum ms_err read_key(int fd, const char *path, uint8_t ret_key[CACHE_HMAC_KEY_BYTES],
                            struct ms_diag *diag)
{
    uint8_t key[CACHE_HMAC_KEY_BYTES + 1]; /* one more, to see a longer file */
    struct stat st;

    if (fstat(fd, &st) != 0)
        return io_error(diag, path, "examine");
    if (!S_ISREG(st.st_mode) || (st.st_mode & 077) != 0)
        return ms_diag_set(diag, MS_ERR_IO,
                           "%s must be a regular file that only its owner can read (chmod 600)",
                           path);
    size_t len = 0;
    while (len < sizeof(key)) {
        ssize_t n = read(fd, key + len, sizeof(key) - len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return io_error(diag, path, "read");
        if (n == 0)
            break;
        len += (size_t)n;
    }
    enum ms_err err = MS_OK;
    if (len == CACHE_HMAC_KEY_BYTES)
        memcpy(ret_key, key, CACHE_HMAC_KEY_BYTES);
    else
        err = ms_diag_set(
            diag, MS_ERR_HMAC,
            "%s has not the %d bytes of a key: restore it, or move it away together with "
            "the database to start anew",
            path, CACHE_HMAC_KEY_BYTES);
    ms_wipe(key, sizeof(key));
    return err;
}

enum ms_err cache_files_key(const char *dir, bool create, uint8_t ret_key[CACHE_HMAC_KEY_BYTES],
                            struct ms_diag *diag)
{
    char path[CACHE_PATH_MAX];

    enum ms_err err = cache_files_path(dir, CACHE_KEY_NAME, path, diag);
    if (err != MS_OK)
        return err;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT && create) {
        err = create_key(dir, path, diag);
        if (err != MS_OK)
            return err;
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    } else if (fd < 0 && errno == ENOENT) {
        return ms_diag_set(
            diag, MS_ERR_HMAC,
            "%s is missing, so no row of the database beside it can be trusted: restore "
            "it, or move the database away to start anew",
            path);
    }
    if (fd < 0)
        return io_error(diag, path, "open");
    err = read_key(fd, path, ret_key, diag);
    (void)close(fd);
    return err;
}

enum ms_err cache_files_db(const char *path, bool *ret_has_content, struct ms_diag *diag)
{
    struct stat st;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0)
        return io_error(diag, path, "open");
    enum ms_err err = MS_OK;
    if (fstat(fd, &st) != 0)
        err = io_error(diag, path, "examine");
    else if (!S_ISREG(st.st_mode))
        err = ms_diag_set(diag, MS_ERR_IO, "%s is not a regular file", path);
    else if ((st.st_mode & 07777) != 0600 && fchmod(fd, 0600) != 0)
        err = io_error(diag, path, "set the mode of");
    (void)close(fd);
    if (err == MS_OK)
        *ret_has_content = st.st_size > 0;
    return err;
}
