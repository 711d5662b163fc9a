/* cli/output.c - files replaced as a whole. */
#define _GNU_SOURCE /* openat, flock */

#include "cli/output.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOCK_TRIES 10
#define READ_STEP_BYTES 65536u

/* ---- arguments ---- */

enum ms_err output_mode(const char *text, mode_t *ret_mode, struct ms_diag *diag)
{
    size_t len = strlen(text);
    mode_t mode = 0;

    if ((len != 3 && len != 4) || strspn(text, "01234567") != len)
        return ms_diag_set(diag, MS_ERR_ARGUMENT, "a mode has three octal digits, such as 0640");
    for (size_t i = 0; i < len; i++)
        mode = (mode << 3) | (mode_t)(text[i] - '0');
    /* who can write it approves what he likes; and nobody executes a list */
    if ((mode & ~(mode_t)0664) != 0 || (mode & 0600) != 0600)
        return ms_diag_set(diag, MS_ERR_ARGUMENT,
                           "mode %s: the owner has to read and write, everybody else may not write "
                           "and nobody executes it",
                           text);
    *ret_mode = mode;
    return MS_OK;
}

enum ms_err output_group(const char *text, gid_t *ret_group, struct ms_diag *diag)
{
    const struct group *entry = getgrnam(text);
    uint64_t number;

    if (entry != NULL) {
        *ret_group = entry->gr_gid;
        return MS_OK;
    }
    if (!ms_span_u64(ms_span_str(text), &number) || number >= UINT32_MAX)
        return ms_diag_set(diag, MS_ERR_ARGUMENT, "there is no group %s", text);
    *ret_group = (gid_t)number;
    return MS_OK;
}

/* ---- the folder ---- */

static enum ms_err take_apart(struct output_file *file, struct ms_diag *diag)
{
    const char *slash = strrchr(file->path, '/');
    const char *name = slash == NULL ? file->path : slash + 1;
    size_t dir_len = slash == NULL ? 0 : (size_t)(slash - file->path);

    if (name[0] == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
        strlen(name) > 200 || dir_len >= sizeof(file->dir_name))
        return ms_diag_set(diag, MS_ERR_IO, "%s: not the name of a file", file->path);
    if (slash == NULL)
        (void)snprintf(file->dir_name, sizeof(file->dir_name), ".");
    else
        (void)snprintf(file->dir_name, sizeof(file->dir_name), "%.*s",
                       dir_len == 0 ? 1 : (int)dir_len, file->path);
    (void)snprintf(file->name, sizeof(file->name), "%s", name);
    (void)snprintf(file->temporary, sizeof(file->temporary), ".%s.measuredctl-%ld", name,
                   (long)getpid());
    (void)snprintf(file->lock_name, sizeof(file->lock_name), ".%s.measuredctl-lock", name);
    return MS_OK;
}

/* Whether the file that we hold is the one of that name: who had it may have removed it. */
static bool lock_is_there(const struct output_file *file)
{
    struct stat held, there;

    return fstat(file->lock, &held) == 0 &&
           fstatat(file->dir, file->lock_name, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
           held.st_dev == there.st_dev && held.st_ino == there.st_ino;
}

static enum ms_err take_lock(struct output_file *file, struct ms_diag *diag)
{
    for (int i = 0; i < LOCK_TRIES; i++) {
        file->lock =
            openat(file->dir, file->lock_name, O_RDONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (file->lock < 0)
            return ms_diag_set(diag, MS_ERR_IO, "%s/%s: %s", file->dir_name, file->lock_name,
                               strerror(errno));
        if (flock(file->lock, LOCK_EX | LOCK_NB) != 0)
            break;
        if (lock_is_there(file))
            return MS_OK;
        (void)close(file->lock);
        file->lock = -1;
    }
    return ms_diag_set(diag, MS_ERR_IO, "%s is kept by another measuredctl watch", file->path);
}

/* What is there is a file of ours or none. */
static enum ms_err look_at_file(const struct output_file *file, struct ms_diag *diag)
{
    struct stat there;

    if (fstatat(file->dir, file->name, &there, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT
                   ? MS_OK
                   : ms_diag_set(diag, MS_ERR_IO, "%s: %s", file->path, strerror(errno));
    if (S_ISLNK(there.st_mode))
        return ms_diag_set(diag, MS_ERR_IO,
                           "%s is a symbolic link, which is not followed: name the file itself",
                           file->path);
    if (!S_ISREG(there.st_mode))
        return ms_diag_set(diag, MS_ERR_IO, "%s is no regular file", file->path);
    return MS_OK;
}

/* What a writer left that died; we hold the lock, so none is at work. */
static void clean(const struct output_file *file)
{
    char prefix[300];
    int fd = openat(file->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);

    if (dir == NULL) {
        if (fd >= 0)
            (void)close(fd);
        return;
    }
    (void)snprintf(prefix, sizeof(prefix), ".%s.measuredctl-", file->name);
    for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir))
        if (strncmp(entry->d_name, prefix, strlen(prefix)) == 0 &&
            strcmp(entry->d_name, file->lock_name) != 0)
            (void)unlinkat(file->dir, entry->d_name, 0);
    (void)closedir(dir);
}

static void let_go(struct output_file *file, bool remove_lock)
{
    /* removed while we still hold it, so that nobody takes one without a name */
    if (file->lock >= 0 && file->dir >= 0 && remove_lock && lock_is_there(file))
        (void)unlinkat(file->dir, file->lock_name, 0);
    if (file->lock >= 0)
        (void)close(file->lock);
    if (file->dir >= 0)
        (void)close(file->dir);
    file->lock = file->dir = -1;
}

static enum ms_err open_dir(struct output_file *file, struct ms_diag *diag)
{
    file->dir = open(file->dir_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (file->dir < 0)
        return ms_diag_set(diag, MS_ERR_IO, "%s: %s", file->dir_name, strerror(errno));
    return MS_OK;
}

static enum ms_err enter(struct output_file *file, struct ms_diag *diag)
{
    enum ms_err err = open_dir(file, diag);

    if (err == MS_OK)
        err = take_lock(file, diag);
    if (err != MS_OK) {
        let_go(file, false);
        return err;
    }
    clean(file);
    return MS_OK;
}

/* The folder may have been removed and made anew, as a runtime directory is. */
static enum ms_err enter_again(struct output_file *file, struct ms_diag *diag)
{
    struct stat held, there;

    if (file->dir >= 0 && fstat(file->dir, &held) == 0 && stat(file->dir_name, &there) == 0 &&
        held.st_dev == there.st_dev && held.st_ino == there.st_ino)
        return MS_OK;
    let_go(file, true);
    return enter(file, diag);
}

void output_init(struct output_file *file)
{
    *file = (struct output_file){.mode = OUTPUT_FILE_MODE, .dir = -1, .lock = -1};
}

enum ms_err output_open(struct output_file *file, struct ms_diag *diag)
{
    enum ms_err err = take_apart(file, diag);

    if (err == MS_OK)
        err = enter(file, diag);
    if (err == MS_OK)
        err = look_at_file(file, diag);
    return err;
}

void output_close(struct output_file *file)
{
    let_go(file, true);
}

/* ---- reading and writing ---- */

bool output_load(const struct output_file *file, struct ms_buf *buf)
{
    struct stat is;
    int fd = openat(file->dir, file->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    bool ok = fd >= 0 && fstat(fd, &is) == 0 && S_ISREG(is.st_mode) &&
              (is.st_mode & 07777) == file->mode && (!file->has_group || is.st_gid == file->group);
    ssize_t n = ok ? 1 : 0;

    while (ok && n > 0) {
        uint8_t *room = ms_buf_room(buf, READ_STEP_BYTES);
        n = room == NULL ? -1 : read(fd, room, READ_STEP_BYTES);
        ok = n >= 0;
        buf->len += n > 0 ? (size_t)n : 0;
    }
    if (fd >= 0)
        (void)close(fd);
    return ok;
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

static bool write_temporary(const struct output_file *file, struct ms_span text)
{
    (void)unlinkat(file->dir, file->temporary, 0);
    int fd = openat(file->dir, file->temporary,
                    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return false;
    /* the group before the mode that lets it in; the mode whatever the umask */
    bool ok = (!file->has_group || fchown(fd, (uid_t)-1, file->group) == 0) &&
              fchmod(fd, file->mode) == 0 && write_all(fd, text) && fsync(fd) == 0;
    int saved = errno;
    if (close(fd) != 0 && ok) {
        saved = errno;
        ok = false;
    }
    errno = saved;
    return ok;
}

static enum ms_err replace(const struct output_file *file, struct ms_span text,
                           struct ms_diag *diag)
{
    if (!write_temporary(file, text) ||
        renameat(file->dir, file->temporary, file->dir, file->name) != 0) {
        enum ms_err err = ms_diag_set(diag, MS_ERR_IO, "%s: %s", file->path, strerror(errno));
        (void)unlinkat(file->dir, file->temporary, 0);
        return err;
    }
    if (fsync(file->dir) != 0)
        return ms_diag_set(diag, MS_ERR_IO, "%s: %s", file->dir_name, strerror(errno));
    return MS_OK;
}

enum ms_err output_write(const char *path, struct ms_span text, struct ms_diag *diag)
{
    struct output_file file;

    output_init(&file);
    file.path = path;
    enum ms_err err = take_apart(&file, diag);
    if (err == MS_OK)
        err = open_dir(&file, diag);
    if (err == MS_OK)
        err = replace(&file, text, diag);
    let_go(&file, false);
    return err;
}

enum ms_err output_replace(struct output_file *file, struct ms_span text, struct ms_diag *diag)
{
    enum ms_err err = enter_again(file, diag);

    if (err == MS_OK)
        err = look_at_file(file, diag);
    return err == MS_OK ? replace(file, text, diag) : err;
}

enum ms_err output_remove(struct output_file *file, struct ms_diag *diag)
{
    enum ms_err err = enter_again(file, diag);

    if (err != MS_OK)
        return err;
    if (unlinkat(file->dir, file->name, 0) != 0 && errno != ENOENT)
        return ms_diag_set(diag, MS_ERR_IO, "%s: %s", file->path, strerror(errno));
    (void)fsync(file->dir); /* it comes back after a crash at worst, and then we start anew */
    return MS_OK;
}
