/* cli/notify.c - words to systemd. */
#define _GNU_SOURCE /* SOCK_CLOEXEC, unsetenv */

#include "cli/notify.h"

#include "base/span.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* WATCHDOG_PID names whom it is about; without it, us. */
static bool is_for_us(const char *pid)
{
    uint64_t number;

    return pid == NULL || (ms_span_u64(ms_span_str(pid), &number) && number == (uint64_t)getpid());
}

void notify_init(struct notify *notify)
{
    const char *path = getenv("NOTIFY_SOCKET"), *usec = getenv("WATCHDOG_USEC");
    uint64_t number;

    *notify = (struct notify){.next_ms = 0};
    size_t len = path == NULL ? 0 : strlen(path);
    if (len >= 2 && len < sizeof(notify->socket) && (path[0] == '/' || path[0] == '@'))
        memcpy(notify->socket, path, len + 1);
    /* half of it, as sd_watchdog_enabled(3) advises */
    if (usec != NULL && is_for_us(getenv("WATCHDOG_PID")) &&
        ms_span_u64(ms_span_str(usec), &number) && number >= 2000 && number < UINT64_C(1) << 50)
        notify->watchdog_ms = (int64_t)(number / 2000);
    (void)unsetenv("NOTIFY_SOCKET");
    (void)unsetenv("WATCHDOG_USEC");
    (void)unsetenv("WATCHDOG_PID");
}

void notify_send(const struct notify *notify, const char *state)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    size_t len = strlen(notify->socket);

    if (len == 0)
        return;
    memcpy(addr.sun_path, notify->socket, len);
    if (addr.sun_path[0] == '@')
        addr.sun_path[0] = '\0'; /* an abstract name has no NUL at its end */
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    (void)sendto(fd, state, strlen(state), MSG_NOSIGNAL | MSG_DONTWAIT,
                 (const struct sockaddr *)&addr,
                 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
    (void)close(fd);
}

int64_t notify_alive(struct notify *notify, int64_t now_ms)
{
    if (notify->watchdog_ms == 0)
        return INT64_MAX;
    if (now_ms >= notify->next_ms) {
        notify_send(notify, "WATCHDOG=1");
        notify->next_ms = now_ms + notify->watchdog_ms;
    }
    return notify->next_ms;
}
