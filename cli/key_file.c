/* cli/key_file.c - secret keys. */
#define _POSIX_C_SOURCE 200809L /* open, fstat, O_CLOEXEC */

#include "cli/key_file.h"

#include "base/digest.h"
#include "base/hex.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define OTHERS 0077
#define TEXT_MAX_BYTES 256 /* more than any key has */

static enum ms_err check_file(int fd, const char *path, struct ms_diag *diag)
{
    struct stat st;

    if (fstat(fd, &st) != 0)
        return ms_diag_set(diag, MS_ERR_IO, "key file %s: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return ms_diag_set(diag, MS_ERR_ARGUMENT,
                           "key file %s: not a regular file; `-` reads standard input", path);
    if (st.st_uid != geteuid() && st.st_uid != 0)
        return ms_diag_set(diag, MS_ERR_ARGUMENT, "key file %s: it belongs to user %ld, not to you",
                           path, (long)st.st_uid);
    if ((st.st_mode & OTHERS) != 0)
        return ms_diag_set(diag, MS_ERR_ARGUMENT,
                           "key file %s: its mode is %04o, others may read or write it: chmod 600",
                           path, (unsigned)(st.st_mode & 07777));
    return MS_OK;
}

/* No stdio: its buffers cannot be wiped. */
static ssize_t read_some(int fd, uint8_t *out, size_t max)
{
    size_t len = 0;

    while (len < max) {
        ssize_t n = read(fd, out + len, max - len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        len += (size_t)n;
    }
    return (ssize_t)len;
}

static enum ms_err decode(struct ms_span text, const char *path, uint8_t *ret_key,
                          struct ms_diag *diag)
{
    while (text.len > 0 && (text.ptr[text.len - 1] == '\n' || text.ptr[text.len - 1] == '\r'))
        text.len--;
    if (ms_span_starts(text, "0x"))
        text = ms_span_sub(text, 2, text.len);
    enum ms_err err = ms_hex_decode(text, ret_key, KEY_BYTES);
    if (err != MS_OK)
        return ms_diag_set(diag, err, "key file %s: not the 64 hex digits of a key", path);
    return MS_OK;
}

enum ms_err key_file_read(const char *path, uint8_t ret_key[KEY_BYTES], struct ms_diag *diag)
{
    bool is_stdin = strcmp(path, "-") == 0;
    uint8_t text[TEXT_MAX_BYTES];
    ssize_t len = 0;

    int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return ms_diag_set(diag, MS_ERR_IO, "key file %s: %s", path, strerror(errno));
    enum ms_err err = is_stdin ? MS_OK : check_file(fd, path, diag);
    if (err == MS_OK) {
        len = read_some(fd, text, sizeof(text));
        err = len >= 0 ? decode(ms_span_of(text, (size_t)len), path, ret_key, diag)
                       : ms_diag_set(diag, MS_ERR_IO, "key file %s: %s", path, strerror(errno));
    }
    ms_wipe(text, sizeof(text));
    if (!is_stdin)
        (void)close(fd);
    return err;
}
