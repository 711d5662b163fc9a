/* resolver/daemon/sockets.c - listening sockets. */
#define _GNU_SOURCE
#include "resolver/daemon/sockets.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define SOCKETS_BACKLOG 1024
#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83 /* Linux 6.16, include/uapi/asm-generic/socket.h */
#endif

enum ms_err sockets_make_dir(const char *dir, mode_t mode, struct ms_diag *diag)
{
    char path[4096];
    size_t len = strlen(dir);

    if (len == 0 || len >= sizeof(path))
        return ms_diag_set(diag, MS_ERR_IO, "the folder name %s is empty or too long", dir);
    memcpy(path, dir, len + 1);
    for (size_t i = 1; i <= len; i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        char kept = path[i];
        path[i] = '\0';
        if (mkdir(path, mode) != 0 && errno != EEXIST)
            return ms_diag_set(diag, MS_ERR_IO, "cannot make the folder %s: %s", path,
                               strerror(errno));
        path[i] = kept;
    }
    return MS_OK;
}

/* 1 somebody answers, 0 nobody, -1 it is no socket. */
static int answers(const struct sockaddr_un *addr, int type)
{
    struct stat st;

    if (lstat(addr->sun_path, &st) != 0)
        return 0;
    if (!S_ISSOCK(st.st_mode))
        return -1;
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int rc = fd < 0 ? -1 : connect(fd, (const struct sockaddr *)addr, sizeof(*addr));
    bool alive = rc == 0 || errno == EAGAIN;
    if (fd >= 0)
        (void)close(fd);
    return alive;
}

static enum ms_err bind_unix(int fd, const struct sockaddr_un *addr, mode_t mode)
{
    mode_t old = umask((mode_t)(0777 & ~mode));
    int rc = bind(fd, (const struct sockaddr *)addr, sizeof(*addr));

    (void)umask(old);
    if (rc != 0 || listen(fd, SOCKETS_BACKLOG) != 0)
        return MS_ERR_IO;
    return MS_OK;
}

/* Nobody sends us descriptors. One that is thrown away with a packet is closed by our thread, and
 * closing can take as long as its sender likes (SO_LINGER on a full connection, a file of a FUSE).
 * Connections inherit it. Kernels before 6.16 cannot refuse them. */
static void refuse_descriptors(int fd)
{
    int no = 0;
    (void)setsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, &no, sizeof(no));
}

enum ms_err sockets_listen_unix(const char *dir, const char *name, int type, mode_t mode,
                                int *ret_fd, struct ms_diag *diag)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};

    int n = snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/%s", dir, name);
    if (n < 0 || (size_t)n >= sizeof(addr.sun_path))
        return ms_diag_set(diag, MS_ERR_IO, "the socket path %s/%s is too long", dir, name);
    switch (answers(&addr, type)) {
    case 1:
        return ms_diag_set(diag, MS_ERR_IO, "another daemon answers on %s", addr.sun_path);
    case -1:
        return ms_diag_set(diag, MS_ERR_IO, "%s is in the way and no socket", addr.sun_path);
    default:
        (void)unlink(addr.sun_path);
    }
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    refuse_descriptors(fd);
    enum ms_err err = fd < 0 ? MS_ERR_IO : bind_unix(fd, &addr, mode);
    if (err != MS_OK) {
        (void)ms_diag_set(diag, err, "cannot listen on %s: %s", addr.sun_path, strerror(errno));
        if (fd >= 0)
            (void)close(fd);
        return err;
    }
    *ret_fd = fd;
    return MS_OK;
}

enum ms_err sockets_listen_tcp(const struct net_addr *addr, int *ret_fd, struct ms_diag *diag)
{
    struct sockaddr_storage storage;
    char text[NET_ADDR_TEXT_MAX];
    int one = 1;

    socklen_t len = net_addr_to_sockaddr(addr, &storage);
    int fd = socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) != 0 ||
        bind(fd, (const struct sockaddr *)&storage, len) != 0 || listen(fd, SOCKETS_BACKLOG) != 0) {
        int cause = errno;
        net_addr_text(addr, text);
        if (fd >= 0)
            (void)close(fd);
        return ms_diag_set(diag, MS_ERR_IO, "cannot listen on %s port %u: %s", text,
                           (unsigned)addr->port, strerror(cause));
    }
    *ret_fd = fd;
    return MS_OK;
}

void sockets_notify(const char *notify_socket, const char *state)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    size_t len = notify_socket == NULL ? 0 : strlen(notify_socket);

    if (len < 2 || len >= sizeof(addr.sun_path) ||
        (notify_socket[0] != '/' && notify_socket[0] != '@'))
        return;
    memcpy(addr.sun_path, notify_socket, len);
    if (notify_socket[0] == '@')
        addr.sun_path[0] = '\0'; /* abstract name */
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    socklen_t addr_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    (void)sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&addr, addr_len);
    (void)close(fd);
}
