/* bench/peer_echo.c - the least a server can do: one epoll thread, the same bytes for every request
 * of a known size on a Unix socket. Nothing is parsed.
 *
 *   peer_echo SOCKET REPLY_FILE REQUEST_BYTES
 */
#define _GNU_SOURCE

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define CONNECTIONS_MAX 4096

static char reply[1 << 20], request[1 << 16];
static size_t reply_len, request_len, got[CONNECTIONS_MAX];

static int listen_on(const char *path)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0 || strlen(path) >= sizeof(addr.sun_path))
        return -1;
    memcpy(addr.sun_path, path, strlen(path) + 1);
    (void)unlink(path);
    if (bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) != 0 || listen(fd, 1024) != 0)
        return -1;
    return fd;
}

static void answer(int fd)
{
    ssize_t n = recv(fd, request, sizeof(request), 0);

    if (n <= 0) {
        (void)close(fd);
        return;
    }
    for (got[fd] += (size_t)n; got[fd] >= request_len; got[fd] -= request_len)
        if (send(fd, reply, reply_len, MSG_NOSIGNAL) != (ssize_t)reply_len)
            return;
}

int main(int argc, char **argv)
{
    struct epoll_event events[128];

    FILE *file = argc != 4 ? NULL : fopen(argv[2], "rb");
    if (file == NULL)
        return 2;
    reply_len = fread(reply, 1, sizeof(reply), file);
    request_len = strtoul(argv[3], NULL, 10);
    (void)fclose(file);
    int listener = listen_on(argv[1]), epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener};
    if (listener < 0 || request_len == 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event) != 0)
        return 1;
    for (;;) {
        int n = epoll_wait(epoll, events, 128, -1);
        for (int i = 0; i < n; i++) {
            if (events[i].data.fd != listener) {
                answer(events[i].data.fd);
                continue;
            }
            int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
            if (fd < 0 || fd >= CONNECTIONS_MAX)
                return 1;
            got[fd] = 0;
            event.data.fd = fd;
            (void)epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
        }
    }
}
