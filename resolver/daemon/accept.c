/* resolver/daemon/accept.c - the accepting thread. */
#define _GNU_SOURCE
#include "resolver/daemon/accept.h"

#include "resolver/daemon/feed_message.h"
#include "resolver/daemon/log.h"
#include "resolver/daemon/loop.h"
#include "resolver/daemon/metrics.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define AT_ONCE 64u     /* of one socket, before the others have their turn */
#define REST_MS 100     /* after accept(2) found no descriptor */
#define FULL_MS 20      /* how soon a closed connection's room is seen */
#define LEAVING_MAX 64u /* turned away, and given time to read why */
#define LEAVING_MS 1000

struct seat { /* of a descriptor */
    uint64_t client;
    enum accept_kind kind;
    atomic_bool taken; /* false: whoever had it does not look at it any more */
};

struct listener {
    int fd;
    enum accept_kind kind;
    bool (*take)(void *arg, int fd);
    void *arg;
};

struct leaving {
    int fd; /* -1: free */
    int64_t until_ms;
};

struct acceptor {
    struct clients *clients;
    uint32_t max, max_fd;
    struct seat *seats; /* by descriptor; one is written before it is handed on, and after that by
                           acceptor_closed only */
    atomic_uint open, open_admin;
    int wake; /* eventfd: stop */
    bool running;
    pthread_t thread;
    size_t n_listeners;
    struct listener listeners[ACCEPT_LISTENERS_MAX];
    /* the thread's own: */
    struct leaving leaving[LEAVING_MAX];
    size_t next_leaving;
    int64_t rest_until_ms;
};

enum ms_err acceptor_new(struct clients *clients, uint32_t max, uint32_t max_fd,
                         struct acceptor **ret_acceptor)
{
    struct acceptor *a = calloc(1, sizeof(*a));
    if (a == NULL)
        return MS_ERR_MEMORY;
    a->clients = clients;
    a->max = max;
    a->max_fd = max_fd;
    a->seats = calloc(max_fd, sizeof(*a->seats));
    a->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    for (size_t i = 0; i < LEAVING_MAX; i++)
        a->leaving[i].fd = -1;
    if (a->seats == NULL || a->wake < 0) {
        enum ms_err err = a->seats == NULL ? MS_ERR_MEMORY : MS_ERR_IO;
        acceptor_free(a);
        return err;
    }
    *ret_acceptor = a;
    return MS_OK;
}

enum ms_err acceptor_listen(struct acceptor *a, int fd, enum accept_kind kind,
                            bool (*take)(void *arg, int fd), void *arg)
{
    if (a->n_listeners == ACCEPT_LISTENERS_MAX)
        return MS_ERR_LIMIT;
    a->listeners[a->n_listeners++] = (struct listener){fd, kind, take, arg};
    return MS_OK;
}

/* ---- who ---- */

static uint64_t client_of(int fd, enum accept_kind kind)
{
    struct ucred who = {0};
    socklen_t len = sizeof(who);

    if (kind == ACCEPT_ADMIN)
        return CLIENT_NONE;
    if (kind == ACCEPT_TCP || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) != 0)
        return CLIENT_TCP;
    return client_of_uid(who.uid);
}

uint64_t acceptor_client(const struct acceptor *a, int fd)
{
    return a->seats[fd].client;
}

static void give_back(struct acceptor *a, struct seat *seat)
{
    uint64_t client = seat->client;
    atomic_uint *open = seat->kind == ACCEPT_ADMIN ? &a->open_admin : &a->open;

    atomic_store_explicit(&seat->taken, false, memory_order_release);
    clients_give(a->clients, client, CLIENT_CONNECTIONS);
    (void)atomic_fetch_sub(open, 1);
}

void acceptor_closed(struct acceptor *a, int fd)
{
    give_back(a, &a->seats[fd]);
}

void acceptor_count(struct acceptor *a, struct accept_counts *ret_counts)
{
    *ret_counts = (struct accept_counts){.open = atomic_load(&a->open), .max = a->max};
}

/* ---- turned away ---- */

static void let_go(struct leaving *l)
{
    if (l->fd >= 0)
        (void)close(l->fd);
    l->fd = -1;
}

static size_t http_refusal(const struct ms_diag *diag, char *out, size_t size)
{
    char body[MS_DIAG_TEXT_MAX + 64];
    int body_len = snprintf(body, sizeof(body), "measured: %s: %s\n", ms_err_code(MS_ERR_QUOTA),
                            ms_diag_text(diag, MS_ERR_QUOTA));

    return (size_t)snprintf(out, size,
                            "HTTP/1.1 429 Too Many Requests\r\n"
                            "Content-Type: text/plain; charset=utf-8\r\nCache-Control: no-store\r\n"
                            "Retry-After: 1\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s",
                            body_len, body);
}

/* Why, in the form of every error of this API; then the connection stays for a moment, so that a
 * client that is still sending its request can read it. The oldest makes room. */
static void turn_away(struct acceptor *a, enum accept_kind kind, int fd, const struct ms_diag *diag)
{
    char text[1024];
    struct leaving *l = &a->leaving[a->next_leaving];
    size_t len = kind == ACCEPT_FEED ? feed_message_error(0, MS_ERR_QUOTA, diag, (uint8_t *)text)
                                     : http_refusal(diag, text, sizeof(text));

    (void)send(fd, text, len, MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)shutdown(fd, SHUT_WR);
    let_go(l);
    *l = (struct leaving){.fd = fd, .until_ms = clocks_now().boot_ms + LEAVING_MS};
    a->next_leaving = (a->next_leaving + 1) % LEAVING_MAX;
}

/* Milliseconds until the next has had its time, or -1. */
static int let_leave(struct acceptor *a, int64_t now_ms)
{
    int64_t next_ms = -1;

    for (size_t i = 0; i < LEAVING_MAX; i++) {
        struct leaving *l = &a->leaving[i];
        if (l->fd >= 0 && l->until_ms <= now_ms)
            let_go(l);
        if (l->fd >= 0 && (next_ms < 0 || l->until_ms - now_ms < next_ms))
            next_ms = l->until_ms - now_ms;
    }
    return (int)next_ms;
}

/* ---- coming in ---- */

static bool is_full(struct acceptor *a, enum accept_kind kind)
{
    return kind == ACCEPT_ADMIN ? atomic_load(&a->open_admin) >= ACCEPT_ADMIN_MAX
                                : atomic_load(&a->open) >= a->max;
}

static void seat_one(struct acceptor *a, const struct listener *l, int fd)
{
    struct ms_diag diag = {0};

    if ((uint32_t)fd >= a->max_fd) { /* the limit was raised from outside */
        (void)close(fd);
        return;
    }
    struct seat *seat = &a->seats[fd];
    if (atomic_load_explicit(
            &seat->taken,
            memory_order_acquire)) /* closed without a word: its descriptor is here again */
        give_back(a, seat);
    uint64_t client = client_of(fd, l->kind);
    if (clients_take(a->clients, client, CLIENT_CONNECTIONS, &diag) != MS_OK) {
        turn_away(a, l->kind, fd, &diag);
        return;
    }
    seat->client = client;
    seat->kind = l->kind;
    atomic_store_explicit(&seat->taken, true, memory_order_release);
    (void)atomic_fetch_add(l->kind == ACCEPT_ADMIN ? &a->open_admin : &a->open, 1);
    if (!l->take(l->arg, fd) && atomic_load(&seat->taken))
        give_back(a, seat);
}

static void accept_some(struct acceptor *a, const struct listener *l)
{
    for (unsigned i = 0; i < AT_ONCE && !is_full(a, l->kind); i++) {
        int fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            seat_one(a, l, fd);
            continue;
        }
        if (errno == EINTR || errno == ECONNABORTED)
            continue;
        if (errno != EAGAIN && errno != EWOULDBLOCK) {
            METRIC_INC(accept_failures);
            log_line(LOG_LEVEL_WARNING, "http", "cannot-accept", log_str("cause", strerror(errno)));
            a->rest_until_ms = clocks_now().boot_ms + REST_MS;
        }
        return;
    }
}

static int sooner(int a_ms, int b_ms)
{
    return a_ms < 0 || (b_ms >= 0 && b_ms < a_ms) ? b_ms : a_ms;
}

/* Wait for somebody on the sockets that may be looked at; false: stop. */
static bool turn(struct acceptor *a)
{
    struct pollfd fds[1 + ACCEPT_LISTENERS_MAX] = {{.fd = a->wake, .events = POLLIN}};
    int64_t now_ms = clocks_now().boot_ms;
    int wait_ms = let_leave(a, now_ms);
    bool resting = now_ms < a->rest_until_ms;

    if (resting)
        wait_ms = sooner(wait_ms, (int)(a->rest_until_ms - now_ms));
    for (size_t i = 0; i < a->n_listeners; i++) {
        bool full = is_full(a, a->listeners[i].kind);
        if (full)
            wait_ms = sooner(wait_ms, FULL_MS);
        fds[1 + i] =
            (struct pollfd){.fd = resting || full ? -1 : a->listeners[i].fd, .events = POLLIN};
    }
    if (poll(fds, 1 + (nfds_t)a->n_listeners, wait_ms) < 0)
        return errno == EINTR;
    for (size_t i = 0; i < a->n_listeners; i++)
        if ((fds[1 + i].revents & POLLIN) != 0)
            accept_some(a, &a->listeners[i]);
    return fds[0].revents == 0;
}

static void *run(void *arg)
{
    struct acceptor *a = arg;

    while (turn(a)) {
    }
    for (size_t i = 0; i < LEAVING_MAX; i++)
        let_go(&a->leaving[i]);
    return NULL;
}

enum ms_err acceptor_start(struct acceptor *a)
{
    if (pthread_create(&a->thread, NULL, run, a) != 0)
        return MS_ERR_IO;
    a->running = true;
    return MS_OK;
}

void acceptor_stop(struct acceptor *a)
{
    if (!a->running)
        return;
    (void)eventfd_write(a->wake, 1);
    (void)pthread_join(a->thread, NULL);
    a->running = false;
}

void acceptor_free(struct acceptor *a)
{
    if (a == NULL)
        return;
    acceptor_stop(a);
    if (a->wake >= 0)
        (void)close(a->wake);
    free(a->seats);
    free(a);
}
