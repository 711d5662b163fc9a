/* resolver/daemon/fetch_loop.c - curl's sockets and timer on libuv, and their closing. */
#define _GNU_SOURCE
#include "resolver/daemon/fetch_internal.h"

#include <stdlib.h>

static void on_handle_closed(struct fetch *fetch)
{
    if (--fetch->handles > 0 || !fetch->closing)
        return;
    free(fetch);
    curl_global_cleanup();
}

static void on_poll_closed(uv_handle_t *handle)
{
    struct poll *poll = handle->data;
    struct fetch *fetch = poll->fetch;

    free(poll);
    on_handle_closed(fetch);
}

static void on_timer_closed(uv_handle_t *handle)
{
    on_handle_closed(handle->data);
}

static void drive(struct fetch *fetch, curl_socket_t socket, int flags)
{
    int running;

    (void)curl_multi_socket_action(fetch->multi, socket, flags, &running);
    fetch_reap(fetch);
}

static void on_poll(uv_poll_t *handle, int status, int events)
{
    struct poll *poll = handle->data;
    int flags = status < 0 ? CURL_CSELECT_ERR : 0;

    if ((events & UV_READABLE) != 0)
        flags |= CURL_CSELECT_IN;
    if ((events & UV_WRITABLE) != 0)
        flags |= CURL_CSELECT_OUT;
    drive(poll->fetch, poll->socket, flags);
}

static void on_curl_timer(uv_timer_t *timer)
{
    drive(timer->data, CURL_SOCKET_TIMEOUT, 0);
}

static int on_timer_wanted(CURLM *multi, long timeout_ms, void *arg)
{
    struct fetch *fetch = arg;

    (void)multi;
    if (fetch->closing)
        return 0;
    if (timeout_ms < 0)
        (void)uv_timer_stop(&fetch->curl_timer);
    else /* 0 too: curl must not be called from within its own callback */
        (void)uv_timer_start(&fetch->curl_timer, on_curl_timer, (uint64_t)timeout_ms, 0);
    return 0;
}

static void poll_close(struct poll *poll)
{
    if (poll->prev != NULL)
        poll->prev->next = poll->next;
    else
        poll->fetch->polls = poll->next;
    if (poll->next != NULL)
        poll->next->prev = poll->prev;
    uv_close((uv_handle_t *)&poll->uv, on_poll_closed);
}

static struct poll *poll_new(struct fetch *fetch, curl_socket_t socket)
{
    struct poll *poll = calloc(1, sizeof(*poll));

    if (poll == NULL)
        return NULL;
    if (uv_poll_init_socket(fetch->loop, &poll->uv, socket) != 0) {
        free(poll);
        return NULL;
    }
    poll->fetch = fetch;
    poll->socket = socket;
    poll->uv.data = poll;
    poll->next = fetch->polls;
    if (poll->next != NULL)
        poll->next->prev = poll;
    fetch->polls = poll;
    fetch->handles++;
    (void)curl_multi_assign(fetch->multi, socket, poll);
    return poll;
}

static int on_socket_wanted(CURL *easy, curl_socket_t socket, int what, void *arg, void *socket_arg)
{
    struct fetch *fetch = arg;
    struct poll *poll = socket_arg;
    int events = 0;

    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (poll != NULL)
            poll_close(poll);
        (void)curl_multi_assign(fetch->multi, socket, NULL);
        return 0;
    }
    if (poll == NULL)
        poll = poll_new(fetch, socket);
    if (poll == NULL)
        return -1; /* curl gives the transfers up */
    if (what == CURL_POLL_IN || what == CURL_POLL_INOUT)
        events |= UV_READABLE;
    if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT)
        events |= UV_WRITABLE;
    return uv_poll_start(&poll->uv, events, on_poll) == 0 ? 0 : -1;
}

void fetch_loop_init(struct fetch *fetch)
{
    (void)curl_multi_setopt(fetch->multi, CURLMOPT_SOCKETFUNCTION, on_socket_wanted);
    (void)curl_multi_setopt(fetch->multi, CURLMOPT_SOCKETDATA, fetch);
    (void)curl_multi_setopt(fetch->multi, CURLMOPT_TIMERFUNCTION, on_timer_wanted);
    (void)curl_multi_setopt(fetch->multi, CURLMOPT_TIMERDATA, fetch);
    (void)uv_timer_init(fetch->loop, &fetch->curl_timer);
    (void)uv_timer_init(fetch->loop, &fetch->queue_timer);
    fetch->curl_timer.data = fetch;
    fetch->queue_timer.data = fetch;
    fetch->handles = 2;
}

void fetch_loop_close(struct fetch *fetch)
{
    while (fetch->polls != NULL)
        poll_close(fetch->polls);
    uv_close((uv_handle_t *)&fetch->curl_timer, on_timer_closed);
    uv_close((uv_handle_t *)&fetch->queue_timer, on_timer_closed);
}
