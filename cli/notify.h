/* cli/notify.h - words to systemd (sd_notify(3)) without its library. Single-threaded. */
#ifndef MS_CLI_NOTIFY_H
#define MS_CLI_NOTIFY_H

#include <stdint.h>

struct notify {
    char socket[108];    /* "" when nobody listens */
    int64_t watchdog_ms; /* a sign of life this often; 0: none wanted */
    int64_t next_ms;     /* of it */
};

/* Take NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID out of the environment, so that what we start
 * does not speak for us. */
void notify_init(struct notify *notify);
/* "READY=1", "STATUS=...", lines of them. Lost when nobody listens. */
void notify_send(const struct notify *notify, const char *state);
/* The watchdog's sign of life when it is due; returns when the next one is, INT64_MAX for never. */
int64_t notify_alive(struct notify *notify, int64_t now_ms);

#endif
