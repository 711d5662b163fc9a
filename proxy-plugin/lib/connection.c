/* proxy-plugin/lib/connection.c - one connection to the daemon: what is said, what is heard, and
 * when it is over. */
#define _GNU_SOURCE /* SOCK_CLOEXEC, MSG_CMSG_CLOEXEC */

#include "proxy-plugin/lib/client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <unistd.h>

/* ---- up and down ---- */

/* Uniform in 0 to max_ms. Many readers lose their daemon in the same moment; they must not come
 * back in one. */
static int64_t random_wait_ms(int64_t max_ms)
{
    uint64_t random = 0;

    if (getrandom(&random, sizeof(random), GRND_NONBLOCK) != sizeof(random))
        random =
            (uint64_t)plug_boot_ms() ^ (uint64_t)getpid(); /* early in a boot: better than none */
    return (int64_t)(random % (uint64_t)(max_ms + 1));
}

static void forget_connection(struct measured_set *set)
{
    set->number = 0;
    set->has_snapshot = set->refused = false;
    set->generation = 0;
}

void plug_drop(struct measured *m, int err)
{
    int64_t now_ms = plug_boot_ms();

    if (m->sock != -1) {
        /* a forked child may have the socket still: closing alone would leave it in the epoll set
         */
        (void)epoll_ctl(m->epoll_fd, EPOLL_CTL_DEL, m->sock, NULL);
        (void)close(m->sock);
    }
    if (m->welcomed && now_ms - m->welcomed_at_ms >= PLUG_STANDS_MS)
        m->wait_max_ms = PLUG_WAIT_FIRST_MS;
    m->sock = -1;
    m->welcomed = m->wants_out = false;
    m->down_errno = err;
    m->retry_at_ms = now_ms + random_wait_ms(m->wait_max_ms);
    m->wait_max_ms = 2 * m->wait_max_ms < PLUG_WAIT_MAX_MS ? 2 * m->wait_max_ms : PLUG_WAIT_MAX_MS;
    m->ask_again_at_ms = FEED_NEVER;
    m->n_asked = 0;
    m->last_number = 0;
    for (size_t i = 0; i < m->n_sets; i++)
        forget_connection(m->sets[i]);
    while (m->leaving != NULL) { /* over there they are gone with the connection */
        struct measured_set *set = m->leaving;
        m->leaving = set->next_leaving;
        plug_set_free(set);
    }
}

/* A full backlog is "not now", as nobody listening is. */
static int connect_errno(void)
{
    return errno == EAGAIN || errno == EINPROGRESS ? ECONNREFUSED : errno;
}

void plug_connect(struct measured *m)
{
    struct epoll_event event = {.events = EPOLLIN};
    uint8_t hello[PLUG_HELLO_BYTES];

    m->sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (m->sock == -1 ||
        connect(m->sock, (struct sockaddr *)&m->address, sizeof(m->address)) != 0 ||
        epoll_ctl(m->epoll_fd, EPOLL_CTL_ADD, m->sock, &event) != 0) {
        plug_drop(m, connect_errno());
        return;
    }
    m->hello_at_ms = plug_boot_ms();
    size_t bytes = plug_hello_put(m->hello_at_ms, hello);
    if (send(m->sock, hello, bytes, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)bytes)
        plug_drop(m, ECONNRESET);
}

/* ---- what is said ---- */

static void want_out(struct measured *m, bool wants)
{
    struct epoll_event event = {.events = wants ? EPOLLIN | EPOLLOUT : EPOLLIN};

    if (m->wants_out == wants)
        return;
    m->wants_out = wants;
    if (epoll_ctl(m->epoll_fd, EPOLL_CTL_MOD, m->sock, &event) != 0)
        plug_drop(m, ECONNRESET);
}

/* 0, EAGAIN, or why the packet cannot be sent. */
static int send_packet(struct measured *m, const uint8_t *head, size_t head_bytes, char *text,
                       size_t text_bytes)
{
    struct iovec parts[] = {{(void *)(uintptr_t)head, head_bytes}, {text, text_bytes}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = text_bytes == 0 ? 1 : 2};
    ssize_t n;

    do
        n = sendmsg(m->sock, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (n == -1 && errno == EINTR);
    return n == -1 ? errno : 0;
}

static int send_unsubscribe(struct measured *m)
{
    struct measured_set *set = m->leaving;
    uint8_t packet[PLUG_UNSUBSCRIBE_BYTES];

    int err = send_packet(m, packet, plug_unsubscribe_put(set->number, packet), NULL, 0);
    if (err == 0) {
        m->leaving = set->next_leaving;
        plug_set_free(set);
    }
    return err;
}

static void refuse_set(struct measured *m, struct measured_set *set, const char *why)
{
    size_t bytes = strlen(why);

    memcpy(set->error, why, bytes < MEASURED_ERROR_MAX ? bytes + 1 : MEASURED_ERROR_MAX);
    set->refused = true;
    atomic_store_explicit(&set->failed, true, memory_order_relaxed);
    if (m->ask_again_at_ms == FEED_NEVER)
        m->ask_again_at_ms = plug_boot_ms() + PLUG_ASK_AGAIN_MS + random_wait_ms(PLUG_ASK_AGAIN_MS);
}

static int send_subscribe(struct measured *m)
{
    struct measured_set *set = m->sets[m->n_asked];
    uint8_t head[PLUG_SUBSCRIBE_HEAD_BYTES];
    size_t bytes;

    if (m->last_number == UINT32_MAX) /* a new connection counts anew */
        return ECONNRESET;
    bytes = plug_subscribe_head_put(m->last_number + 1, plug_text_kind(set->text), set->text_bytes,
                                    head);
    int err = send_packet(m, head, bytes, set->text, set->text_bytes);
    if (err != 0 && err != EMSGSIZE)
        return err;
    set->number = ++m->last_number;
    m->n_asked++;
    if (err == EMSGSIZE) /* net.core.wmem_default */
        refuse_set(m, set, "too-long: the kernel sends no packet of this size");
    return 0;
}

void plug_send_waiting(struct measured *m)
{
    int err = 0;

    /* what leaves first: it makes room in a quota */
    for (size_t i = 0; err == 0 && i < PLUG_PUMP_SENDS; i++) {
        if (m->leaving != NULL)
            err = send_unsubscribe(m);
        else if (m->n_asked < m->n_sets)
            err = send_subscribe(m);
        else
            break;
    }
    if (err != 0 && err != EAGAIN && err != ENOBUFS && err != ENOMEM)
        plug_drop(m, ECONNRESET);
    else
        want_out(m, m->leaving != NULL || m->n_asked < m->n_sets);
}

/* To the end of the order, as they get new numbers. */
void plug_ask_again(struct measured *m)
{
    size_t kept = 0;

    for (size_t i = 0; i < m->n_asked; i++) {
        struct measured_set *set = m->sets[i];
        if (set->refused)
            continue;
        m->sets[i] = m->sets[kept];
        m->sets[kept++] = set;
    }
    for (size_t i = kept; i < m->n_asked; i++)
        forget_connection(m->sets[i]);
    m->n_asked = kept;
    m->ask_again_at_ms = FEED_NEVER;
}

/* ---- what is heard ---- */

/* The set that a message is for. NULL with 0 in *ret_err: of one that has left, so it is for
 * nobody. */
static struct measured_set *find_set(struct measured *m, uint32_t number, int *ret_err)
{
    size_t low = 0, high = m->n_asked;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (m->sets[middle]->number < number)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < m->n_asked && m->sets[low]->number == number && !m->sets[low]->refused) {
        *ret_err = 0;
        return m->sets[low];
    }
    /* of a number that was never given, or given back by an ERROR */
    bool known = number <= m->last_number && (low == m->n_asked || m->sets[low]->number != number);
    *ret_err = known ? 0 : EPROTO;
    return NULL;
}

static void publish(struct measured_set *set, struct plug_held *held)
{
    struct plug_held *old = atomic_exchange_explicit(&set->current, held, memory_order_seq_cst);

    if (old != NULL)
        plug_reclaim_retire(&set->m->reclaim, &old->retired);
}

/* Rule 7 of docs/feed.md. */
static bool follows(const struct measured_set *set, const struct plug_held *held,
                    const struct feed_snapshot *message)
{
    const struct feed_header *header = held->mapped->snapshot.header;

    if (header->generation != message->generation)
        return false;
    return !set->has_snapshot || (header->generation > set->generation &&
                                  memcmp(header->key, set->key, sizeof(set->key)) == 0);
}

static int on_snapshot(struct measured *m, const struct plug_message *message, int fd)
{
    struct plug_held *held = NULL;
    int err = 0;
    struct measured_set *set = find_set(m, message->sub, &err);

    if (set == NULL)
        return err;
    err = plug_held_map(fd, message->snapshot.size, &held);
    if (err != 0)
        return err;
    if (!follows(set, held, &message->snapshot)) {
        plug_held_free(held);
        return EPROTO;
    }
    const struct feed_header *header = held->mapped->snapshot.header;
    set->has_snapshot = true;
    set->generation = header->generation;
    memcpy(set->key, header->key, sizeof(set->key));
    set->error[0] = '\0';
    publish(set, held);
    atomic_store_explicit(&set->failed, false, memory_order_relaxed);
    return 0;
}

static int on_renew(struct measured *m, const struct plug_message *message)
{
    struct plug_held *held = NULL;
    int err = 0;
    struct measured_set *set = find_set(m, message->sub, &err);

    if (set == NULL)
        return err;
    if (!set->has_snapshot || message->renew.generation != set->generation)
        return EPROTO;
    err = plug_held_renew(atomic_load_explicit(&set->current, memory_order_relaxed),
                          &message->renew, &held);
    if (err == 0)
        publish(set, held);
    return err;
}

/* What may be otherwise in a moment says nothing of the set. All else does: the text is no
 * specifier (any more), an alias is gone. */
static bool passes(const char *code)
{
    static const char *const codes[] = {"quota", "overload", "memory", "io", "store", "shutdown"};

    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
        if (strcmp(code, codes[i]) == 0)
            return true;
    return false;
}

/* Against the connection, which is closed behind it; or against one set, whose old snapshot goes on
 * to its end when the reason may pass, and else is withdrawn. */
static int on_error(struct measured *m, const struct plug_message *message)
{
    int err = 0;

    if (message->sub == 0) {
        memcpy(m->said, message->error.text, sizeof(m->said));
        /* docs/feed.md: what stands in the place of a WELCOME when no version is spoken by both */
        bool version = !m->welcomed && strcmp(message->error.code, "unknown") == 0;
        return version ? EPROTONOSUPPORT : ECONNRESET;
    }
    struct measured_set *set = find_set(m, message->sub, &err);
    if (set != NULL) {
        refuse_set(m, set, message->error.text);
        if (!passes(message->error.code))
            publish(set, NULL);
    }
    return err;
}

static int on_welcome(struct measured *m, const struct feed_hello *welcome)
{
    int64_t now_ms = plug_boot_ms();

    if (welcome->version_min != FEED_VERSION)
        return EPROTONOSUPPORT;
    if (welcome->boot_ms < m->hello_at_ms - PLUG_CLOCK_SLACK_MS ||
        welcome->boot_ms > now_ms + PLUG_CLOCK_SLACK_MS)
        return EXDEV;
    m->welcomed = true;
    m->welcomed_at_ms = now_ms;
    m->said[0] = '\0';
    return 0;
}

static int on_message(struct measured *m, const struct plug_message *message, int fd)
{
    bool first = message->type == FEED_WELCOME;

    if (message->type == FEED_ERROR && message->sub == 0)
        return on_error(m, message);
    if (first == m->welcomed) /* WELCOME is the first, once */
        return EPROTO;
    switch (message->type) {
    case FEED_WELCOME:
        return on_welcome(m, &message->welcome);
    case FEED_SNAPSHOT:
        return on_snapshot(m, message, fd);
    case FEED_RENEW:
        return on_renew(m, message);
    case FEED_ERROR:
        return on_error(m, message);
    case FEED_HELLO:
    case FEED_SUBSCRIBE:
    case FEED_UNSUBSCRIBE:
        break;
    }
    return EPROTO;
}

/* ---- packets ---- */

/* The first descriptor is kept, every other one closed; how many there were. */
static size_t take_descriptors(struct msghdr *message, int *ret_fd)
{
    size_t n = 0;

    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c != NULL; c = CMSG_NXTHDR(message, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t bytes = c->cmsg_len - CMSG_LEN(0);
        for (size_t at = 0; at + sizeof(int) <= bytes; at += sizeof(int)) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + at, sizeof(fd));
            if (n++ == 0)
                *ret_fd = fd;
            else
                (void)close(fd);
        }
    }
    return n;
}

/* One packet and its descriptor. 0, EAGAIN: nothing is there, or why the connection is over. */
static int receive_packet(struct measured *m, struct plug_message *ret_message, int *ret_fd)
{
    uint8_t packet[PLUG_MESSAGE_MAX_BYTES];
    /* Room for more than the one that may come: what does not fit, the kernel closes and says
     * MSG_CTRUNC. */
    _Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(2 * sizeof(int))];
    struct iovec part = {packet, sizeof(packet)};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof(control)};
    ssize_t n;

    do
        n = recvmsg(m->sock, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (n == -1 && errno == EINTR);
    if (n == -1)
        return errno == EAGAIN ? EAGAIN : ECONNRESET;
    size_t n_fds = take_descriptors(&message, ret_fd);
    if (n == 0 && n_fds == 0)
        return ECONNRESET;
    if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0)
        return EPROTO;
    return plug_message_parse(packet, (size_t)n, n_fds, ret_message);
}

static int receive_one(struct measured *m, uint64_t *bytes)
{
    struct plug_message message = {0};
    int fd = -1;

    int err = receive_packet(m, &message, &fd);
    if (err == 0) {
        if (message.type == FEED_SNAPSHOT)
            *bytes += message.snapshot.size;
        err = on_message(m, &message, fd);
    }
    if (fd != -1)
        (void)close(fd);
    return err;
}

void plug_receive(struct measured *m)
{
    uint64_t bytes = 0;
    int err = 0;

    /* what is left keeps the descriptor readable */
    for (size_t i = 0; err == 0 && i < PLUG_PUMP_MESSAGES && bytes <= PLUG_PUMP_BYTES; i++)
        err = receive_one(m, &bytes);
    if (err != 0 && err != EAGAIN)
        plug_drop(m, err);
}
