/* proxy-plugin/lib/pump.c - one turn: connect, hear, say, free, and when the next turn is due. */
#include "proxy-plugin/lib/client.h"

#include <errno.h>
#include <sys/timerfd.h>

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t next_turn_ms(const struct measured *m, int64_t now_ms, bool reclaims)
{
    int64_t at_ms = reclaims ? now_ms + PLUG_RECLAIM_MS : FEED_NEVER;

    if (m->sock == -1)
        return earlier(at_ms, m->retry_at_ms);
    if (!m->welcomed)
        return earlier(at_ms, m->hello_at_ms + PLUG_WELCOME_MS);
    return earlier(at_ms, m->ask_again_at_ms);
}

static void set_timer(struct measured *m, int64_t at_ms)
{
    struct itimerspec at = {0}; /* disarmed, and what had expired is forgotten */

    if (at_ms != FEED_NEVER) {
        at.it_value.tv_sec = (time_t)(at_ms / 1000);
        at.it_value.tv_nsec = at_ms % 1000 * 1000000 + 1; /* never 0, which disarms */
    }
    (void)timerfd_settime(m->timer_fd, TFD_TIMER_ABSTIME, &at, NULL);
}

PLUG_EXPORT int measured_pump(struct measured *m)
{
    int64_t now_ms = plug_boot_ms();

    if (m->sock == -1 && now_ms >= m->retry_at_ms)
        plug_connect(m);
    if (m->sock != -1)
        plug_receive(m);
    if (m->sock != -1 && !m->welcomed && now_ms >= m->hello_at_ms + PLUG_WELCOME_MS)
        plug_drop(m, ETIMEDOUT);
    if (m->welcomed && now_ms >= m->ask_again_at_ms)
        plug_ask_again(m);
    if (m->welcomed)
        plug_send_waiting(m);
    set_timer(m, next_turn_ms(m, now_ms, plug_reclaim_advance(&m->reclaim)));
    if (m->sock != -1)
        return 0;
    errno = m->down_errno;
    return -1;
}
