/* resolver/daemon/feed.c - the feed's thread: connections, what they say, what is sent to them. */
#define _GNU_SOURCE
#include "resolver/daemon/feed_internal.h"

#include "resolver/daemon/log.h"
#include "resolver/daemon/metrics.h"
#include "resolver/daemon/specifier.h"

#include <errno.h>
#include <linux/sockios.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS_AT_ONCE 128
#define REST_MS 5   /* before what the system, or a user's share, had no room for is tried again */
#define TICK_MS 100 /* while somebody waits for tokens, a deadline or a second try */

static int64_t boot_ms(void)
{
    return clocks_now().boot_ms;
}

void feed_wake(struct feed *feed)
{
    (void)eventfd_write(feed->wake, 1);
}

/* ---- who may say how much ---- */

static struct feed_purse *purse_of(struct feed *feed, uint64_t client)
{
    for (struct feed_purse *p = feed->purses; p != NULL; p = p->next)
        if (p->client == client)
            return p;
    struct feed_purse *purse = calloc(1, sizeof(*purse));
    if (purse == NULL)
        return NULL;
    *purse = (struct feed_purse){
        .next = feed->purses, .client = client, .tokens = FEED_BURST, .filled_ms = feed->now_ms};
    feed->purses = purse;
    return purse;
}

static void fill_purses(struct feed *feed)
{
    for (struct feed_purse **at = &feed->purses; *at != NULL;) {
        struct feed_purse *p = *at;
        int64_t more = (feed->now_ms - p->filled_ms) * FEED_REFILL_PER_S / 1000;
        if (more > 0) {
            p->tokens = p->tokens + more > FEED_BURST ? FEED_BURST : p->tokens + more;
            p->filled_ms = feed->now_ms;
        }
        /* what was lost from sight comes back slowly: it may lie unread for ever */
        if (p->unread > 0 && feed->now_ms - p->eased_ms >= 1000) {
            p->eased_ms = feed->now_ms;
            p->unread -= p->unread > p->seen ? 1 : 0;
        }
        /* an empty purse outlives its connections: coming again does not fill it */
        if (p->conns == 0 && p->tokens == FEED_BURST && p->unread == 0) {
            *at = p->next;
            free(p);
        } else {
            at = &p->next;
        }
    }
}

/* ---- subscriptions ---- */

static struct feed_sub **bucket_of(struct feed *feed, const struct feed_conn *conn, uint32_t number)
{
    /* seeded: nobody chooses numbers that lie in one chain */
    uint64_t h = feed_hash_mix(conn->serial ^ feed->seed, number ^ FEED_HASH_K0);
    return &feed->sub_buckets[h % FEED_BUCKETS];
}

static struct feed_sub *find_sub(struct feed *feed, const struct feed_conn *conn, uint32_t number)
{
    struct feed_sub *s = *bucket_of(feed, conn, number);

    while (s != NULL && (s->conn != conn || s->number != number))
        s = s->next_bucket;
    return s;
}

static void flush_later(struct feed *feed, struct feed_conn *conn)
{
    if (conn->in_flush || conn->blocked || conn->resting)
        return;
    conn->in_flush = true;
    conn->next_flush = feed->flush;
    feed->flush = conn;
}

static void enlist(struct feed_sub *sub)
{
    struct feed_conn *conn = sub->conn;

    sub->unsent = true;
    sub->next_unsent = NULL;
    sub->prev_unsent = conn->unsent_last;
    if (conn->unsent_last != NULL)
        conn->unsent_last->next_unsent = sub;
    else
        conn->unsent = sub;
    conn->unsent_last = sub;
    sub->topic->n_unsent++;
}

static void unlist(struct feed_sub *sub)
{
    struct feed_conn *conn = sub->conn;

    if (!sub->unsent)
        return;
    if (sub->prev_unsent != NULL)
        sub->prev_unsent->next_unsent = sub->next_unsent;
    else
        conn->unsent = sub->next_unsent;
    if (sub->next_unsent != NULL)
        sub->next_unsent->prev_unsent = sub->prev_unsent;
    else
        conn->unsent_last = sub->prev_unsent;
    sub->unsent = false;
    sub->topic->n_unsent--;
}

void feed_sub_mark(struct feed_sub *sub)
{
    if (!sub->unsent)
        enlist(sub);
    flush_later(sub->topic->feed, sub->conn);
}

static void drop_sub(struct feed *feed, struct feed_sub *sub)
{
    struct feed_sub **at = bucket_of(feed, sub->conn, sub->number);

    while (*at != sub)
        at = &(*at)->next_bucket;
    *at = sub->next_bucket;
    if (sub->prev_conn != NULL)
        sub->prev_conn->next_conn = sub->next_conn;
    else
        sub->conn->subs = sub->next_conn;
    if (sub->next_conn != NULL)
        sub->next_conn->prev_conn = sub->prev_conn;
    unlist(sub);
    sub->conn->n_subs--;
    (void)atomic_fetch_sub(&feed->n_subscriptions, 1);
    clients_give(feed->env.clients, sub->conn->client, CLIENT_WATCHERS);
    feed_topic_remove(sub->topic, sub);
    free(sub);
}

static void want(struct feed *feed, struct feed_conn *conn)
{
    struct epoll_event event = {.events = EPOLLRDHUP, .data.ptr = conn};

    if (!conn->paced && !conn->closing)
        event.events |= EPOLLIN;
    if (conn->blocked)
        event.events |= EPOLLOUT;
    (void)epoll_ctl(feed->epoll, EPOLL_CTL_MOD, conn->fd, &event);
}

/* An error that a connection is to hear; one that lets too many pile up is closed. */
static void say_error(struct feed *feed, struct feed_conn *conn, uint32_t number, enum ms_err err,
                      const struct ms_diag *diag)
{
    struct feed_error_out *out = conn->n_errors < FEED_ERRORS_MAX ? calloc(1, sizeof(*out)) : NULL;

    METRIC_INC(feed_refusals);
    if (number == 0 || out == NULL) {
        conn->closing = true;
        want(feed, conn); /* what it still says is not read, so it must not wake us */
    }
    if (out == NULL) {
        flush_later(feed, conn);
        return;
    }
    out->bytes = feed_message_error(number, err, diag, out->packet);
    *conn->errors_tail = out;
    conn->errors_tail = &out->next;
    conn->n_errors++;
    flush_later(feed, conn);
}

void feed_sub_fail(struct feed_sub *sub, enum ms_err err, const struct ms_diag *diag)
{
    struct feed *feed = sub->topic->feed;

    say_error(feed, sub->conn, sub->number, err, diag);
    drop_sub(feed, sub);
}

static enum ms_err subscribe(struct feed *feed, struct feed_conn *conn,
                             const struct feed_request *request, struct ms_diag *diag)
{
    struct spec *spec = NULL;
    struct answer_id id;

    if (conn->n_subs == FEED_SUBS_MAX)
        return ms_diag_set(diag, MS_ERR_QUOTA, "a connection has at most %u subscriptions",
                           FEED_SUBS_MAX);
    enum ms_err err = clients_take(feed->env.clients, conn->client, CLIENT_WATCHERS, diag);
    if (err != MS_OK)
        return err;
    err = specifier_read(atomic_load(&feed->config), request->text, request->is_url, &spec, &id,
                         diag);
    struct feed_sub *sub = err == MS_OK ? calloc(1, sizeof(*sub)) : NULL;
    if (err == MS_OK && sub == NULL) {
        spec_done(spec);
        free(spec);
        err = MS_ERR_MEMORY;
    }
    if (err == MS_OK) {
        sub->topic = feed_topic_get(feed, &id, spec, conn->client);
        err = sub->topic == NULL ? MS_ERR_MEMORY : MS_OK;
    }
    if (err != MS_OK) {
        free(sub);
        clients_give(feed->env.clients, conn->client, CLIENT_WATCHERS);
        return err;
    }
    struct feed_sub **bucket = bucket_of(feed, conn, request->sub);
    sub->conn = conn;
    sub->number = request->sub;
    sub->outdated = true;
    sub->next_bucket = *bucket;
    *bucket = sub;
    sub->next_conn = conn->subs;
    if (sub->next_conn != NULL)
        sub->next_conn->prev_conn = sub;
    conn->subs = sub;
    conn->n_subs++;
    (void)atomic_fetch_add(&feed->n_subscriptions, 1);
    feed_topic_add(sub->topic, sub);
    return MS_OK;
}

/* ---- connections ---- */

/* Descriptors that nobody has received count against the daemon's limit (ETOOMANYREFS), whoever
 * lets them lie. */
static void see_unread(struct feed_conn *conn)
{
    int left = 0;

    if (conn->unread == 0 || ioctl(conn->fd, SIOCOUTQ, &left) != 0 || left > 0)
        return;
    conn->purse->unread -= conn->unread;
    conn->purse->seen -= conn->unread;
    conn->unread = 0;
}

static bool may_send_descriptor(struct feed_conn *conn)
{
    if (conn->purse->unread >= FEED_UNREAD_MAX)
        see_unread(conn);
    return conn->purse->unread < FEED_UNREAD_MAX;
}

static void close_conn(struct feed *feed, struct feed_conn *conn)
{
    see_unread(conn);
    conn->purse->seen -= conn->unread; /* the rest lies there as long as the peer likes */
    while (conn->subs != NULL)
        drop_sub(feed, conn->subs);
    while (conn->errors != NULL) {
        struct feed_error_out *next = conn->errors->next;
        free(conn->errors);
        conn->errors = next;
    }
    if (conn->in_flush) {
        struct feed_conn **at = &feed->flush;
        while (*at != conn)
            at = &(*at)->next_flush;
        *at = conn->next_flush;
    }
    if (conn->prev != NULL)
        conn->prev->next = conn->next;
    else
        feed->conns = conn->next;
    if (conn->next != NULL)
        conn->next->prev = conn->prev;
    conn->purse->conns--;
    (void)atomic_fetch_sub(&feed->n_connections, 1);
    acceptor_closed(feed->env.acceptor, conn->fd);
    (void)close(conn->fd);
    free(conn);
}

static void turn_down(struct feed *feed, struct feed_arrival *a)
{
    acceptor_closed(feed->env.acceptor, a->fd);
    (void)close(a->fd);
}

static void let_in(struct feed *feed, struct feed_arrival *a)
{
    struct feed_purse *purse = purse_of(feed, a->client);
    struct feed_conn *conn = purse == NULL ? NULL : calloc(1, sizeof(*conn));
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP, .data.ptr = conn};

    if (conn == NULL || atomic_load(&feed->stopping) ||
        epoll_ctl(feed->epoll, EPOLL_CTL_ADD, a->fd, &event) != 0) {
        free(conn);
        turn_down(feed, a);
        return;
    }
    *conn = (struct feed_conn){.fd = a->fd,
                               .client = a->client,
                               .serial = ++feed->serial,
                               .purse = purse,
                               .since_ms = feed->now_ms,
                               .next = feed->conns};
    conn->errors_tail = &conn->errors;
    if (conn->next != NULL)
        conn->next->prev = conn;
    feed->conns = conn;
    purse->conns++;
    (void)atomic_fetch_add(&feed->n_connections, 1);
}

static void let_all_in(struct feed *feed)
{
    (void)pthread_mutex_lock(&feed->lock);
    struct feed_arrival *list = feed->arrivals;
    feed->arrivals = NULL;
    (void)pthread_mutex_unlock(&feed->lock);
    while (list != NULL) {
        struct feed_arrival *next = list->next;
        let_in(feed, list);
        free(list);
        list = next;
    }
}

/* Acceptor's thread. */
static bool take_connection(void *arg, int fd)
{
    struct feed *feed = arg;
    struct feed_arrival *a = malloc(sizeof(*a));

    if (a == NULL) {
        (void)close(fd);
        return false;
    }
    a->fd = fd;
    a->client = acceptor_client(feed->env.acceptor, fd);
    (void)pthread_mutex_lock(&feed->lock);
    a->next = feed->arrivals;
    feed->arrivals = a;
    (void)pthread_mutex_unlock(&feed->lock);
    feed_wake(feed);
    return true;
}

/* ---- sending ---- */

enum sent {
    SENT = 0,
    SENT_LATER, /* when the socket is writable again */
    SENT_REST,  /* at the next tick: the system is short of something */
    SENT_NEVER,
};

static enum sent send_packet(struct feed_conn *conn, const uint8_t *packet, size_t bytes, int fd)
{
    union {
        const uint8_t *in;
        void *out;
    } base = {.in = packet}; /* sendmsg does not write to it */
    struct iovec part = {.iov_base = base.out, .iov_len = bytes};
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {0};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

    if (fd >= 0) {
        message.msg_control = control;
        message.msg_controllen = sizeof(control);
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(header), &fd, sizeof(fd));
    }
    for (;;) {
        if (sendmsg(conn->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
            return SENT;
        if (errno == EINTR)
            continue;
        if (errno == EAGAIN || errno == EWOULDBLOCK)
            return SENT_LATER;
        /* ETOOMANYREFS: too many descriptors of ours are on their way; some will arrive */
        return errno == ENOBUFS || errno == ETOOMANYREFS || errno == ENOMEM ? SENT_REST
                                                                            : SENT_NEVER;
    }
}

static enum sent send_times(struct feed_sub *sub, const struct feed_renew *times)
{
    uint8_t packet[sizeof(struct feed_message) + sizeof(struct feed_renew)];
    struct feed_renew renew = *times;

    renew.generation = sub->generation;
    enum sent sent =
        send_packet(sub->conn, packet, feed_message_renew(sub->number, &renew, packet), -1);
    if (sent == SENT) {
        sub->sent = renew;
        METRIC_INC(feed_renewals);
    }
    return sent;
}

/* No snapshot can be made or sent (no memory, no descriptor, too many lie unread): the next tick
 * tries again. When that goes on, what the reader has is withdrawn rather than used. */
static enum sent withdraw(struct feed_sub *sub)
{
    int64_t now_ms = sub->topic->feed->now_ms;
    struct feed_renew gone = {
        .fresh_until_ms = now_ms, .hard_until_ms = now_ms, .state = FEED_STATE_EXPIRED};

    sub->resting_ms = sub->resting_ms == 0 ? now_ms : sub->resting_ms;
    if (sub->generation == 0 || sub->sent.hard_until_ms <= now_ms ||
        now_ms - sub->resting_ms < FEED_PATIENCE_MS)
        return SENT_REST;
    enum sent sent = send_times(sub, &gone);
    return sent == SENT ? SENT_REST : sent;
}

static enum sent send_sub(struct feed_sub *sub)
{
    struct feed_topic *topic = sub->topic;
    uint8_t packet[sizeof(struct feed_message) + sizeof(struct feed_snapshot)];

    if (!sub->outdated)
        return send_times(sub, &topic->times);
    int fd = feed_topic_snapshot(topic);
    if (fd < 0)
        return withdraw(sub);
    size_t bytes = feed_message_snapshot(sub->number, topic->generation, topic->bytes, packet);
    enum sent sent =
        may_send_descriptor(sub->conn) ? send_packet(sub->conn, packet, bytes, fd) : SENT_REST;
    if (sent == SENT_REST)
        return withdraw(sub);
    if (sent == SENT) {
        sub->conn->unread++;
        sub->conn->purse->unread++;
        sub->conn->purse->seen++;
        sub->outdated = false;
        sub->resting_ms = 0;
        sub->generation = topic->generation;
        sub->sent = topic->built; /* the times of then: */
        if (feed_times_moved(&sub->sent, &topic->times, topic->feed->now_ms))
            sub->again = true;
        METRIC_INC(feed_snapshots);
    }
    return sent;
}

static enum sent send_errors(struct feed_conn *conn)
{
    while (conn->errors != NULL) {
        struct feed_error_out *out = conn->errors;
        enum sent sent = send_packet(conn, out->packet, out->bytes, -1);
        if (sent != SENT)
            return sent;
        conn->errors = out->next;
        conn->n_errors--;
        free(out);
        if (conn->errors == NULL)
            conn->errors_tail = &conn->errors;
    }
    return SENT;
}

/* One whose snapshot cannot be made now lets the others go first. */
static enum sent send_subs(struct feed *feed, struct feed_conn *conn)
{
    const struct feed_sub *put_off = NULL;

    for (unsigned i = 0; conn->unsent != NULL; i++) {
        struct feed_sub *sub = conn->unsent;
        if (sub == put_off)
            return SENT_REST;         /* all have had their turn */
        if (i == FEED_SEND_AT_ONCE) { /* the other connections first */
            if (put_off != NULL)
                return SENT_REST;
            flush_later(feed, conn);
            return SENT;
        }
        enum sent sent = send_sub(sub);
        if (sent != SENT && sent != SENT_REST)
            return sent;
        unlist(sub);
        if (sent == SENT_REST) {
            enlist(sub);
            put_off = put_off == NULL ? sub : put_off;
            continue;
        }
        conn->since_ms = feed->now_ms;
        if (sub->again)
            feed_sub_mark(sub);
        sub->again = false;
        feed_topic_rest(sub->topic);
    }
    return SENT;
}

/* Before a connection is closed, what was published goes out: its reader uses that for a while. */
static void flush_conn(struct feed *feed, struct feed_conn *conn)
{
    enum sent sent = conn->welcomed ? send_subs(feed, conn) : SENT;

    if (sent == SENT && conn->unsent == NULL)
        sent = send_errors(conn);
    if (sent == SENT_NEVER || (sent == SENT && conn->closing && conn->unsent == NULL)) {
        close_conn(feed, conn);
        return;
    }
    conn->resting = sent == SENT_REST;
    feed->resting = feed->resting || conn->resting;
    if (conn->blocked != (sent == SENT_LATER)) {
        conn->blocked = sent == SENT_LATER;
        want(feed, conn);
    }
}

static void flush_all(struct feed *feed)
{
    while (feed->flush != NULL) {
        struct feed_conn *list = feed->flush; /* whoever is not done comes into the next list */
        feed->flush = NULL;
        while (list != NULL) {
            struct feed_conn *conn = list;
            list = conn->next_flush;
            conn->in_flush = false;
            flush_conn(feed, conn);
        }
    }
}

/* ---- reading ---- */

static enum ms_err handle_hello(struct feed_conn *conn, const struct feed_request *request,
                                struct ms_diag *diag)
{
    uint8_t packet[sizeof(struct feed_message) + sizeof(struct feed_hello)];

    if (request->version_min > FEED_VERSION || request->version_max < FEED_VERSION)
        return ms_diag_set(diag, MS_ERR_UNKNOWN,
                           "this daemon speaks version %u of the feed, the reader %u to %u",
                           FEED_VERSION, request->version_min, request->version_max);
    if (send_packet(conn, packet, feed_message_welcome(boot_ms(), packet), -1) != SENT)
        return ms_diag_set(diag, MS_ERR_SYNTAX, "WELCOME was not taken");
    conn->welcomed = true;
    return MS_OK;
}

static void handle(struct feed *feed, struct feed_conn *conn, struct ms_span packet)
{
    struct feed_request request = {0};
    struct ms_diag diag = {0};
    struct feed_sub *sub;
    uint32_t number = 0;
    enum ms_err err = feed_message_read(packet, &request, &diag);

    if (err == MS_OK && (request.type == FEED_HELLO) == conn->welcomed)
        err = ms_diag_set(&diag, MS_ERR_SYNTAX, "HELLO comes first, and once");
    if (err == MS_OK && request.type == FEED_HELLO)
        err = handle_hello(conn, &request, &diag);
    if (err != MS_OK || request.type == FEED_HELLO)
        goto out;
    sub = find_sub(feed, conn, request.sub);
    if (request.type == FEED_UNSUBSCRIBE) {
        if (sub != NULL) /* one that failed meanwhile is forgotten already */
            drop_sub(feed, sub);
    } else if (sub != NULL) {
        err =
            ms_diag_set(&diag, MS_ERR_SYNTAX, "the subscription number %u is in use", request.sub);
    } else {
        number = request.sub;
        err = subscribe(feed, conn, &request, &diag);
    }
out:
    if (err != MS_OK)
        say_error(feed, conn, number, err, &diag);
}

static void read_some(struct feed *feed, struct feed_conn *conn)
{
    for (unsigned i = 0; i < FEED_READ_AT_ONCE && !conn->closing; i++) {
        if (conn->purse->tokens <= 0) {
            conn->paced = true;
            want(feed, conn);
            return;
        }
        ssize_t n = recv(conn->fd, feed->packet, sizeof(feed->packet), MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
            return;
        if (n <= 0) {
            close_conn(feed, conn);
            return;
        }
        conn->purse->tokens -= 1 + n / (ssize_t)FEED_WEIGHT_BYTES;
        handle(feed, conn, ms_span_of(feed->packet, (size_t)n));
        if (atomic_load(&feed->has_mail))
            return;
    }
}

/* ---- the thread ---- */

static void end_all(struct feed *feed)
{
    struct ms_diag diag = {0};

    (void)ms_diag_set(&diag, MS_ERR_SHUTDOWN, "the daemon stops or reads its configuration anew");
    for (struct feed_conn *conn = feed->conns; conn != NULL; conn = conn->next)
        if (!conn->closing)
            say_error(feed, conn, 0, MS_ERR_SHUTDOWN, &diag);
}

/* Deadlines, tokens and second tries. */
static void tick(struct feed *feed)
{
    fill_purses(feed);
    for (struct feed_conn *conn = feed->conns, *next; conn != NULL; conn = next) {
        next = conn->next;
        see_unread(conn);
        bool waiting = conn->unsent != NULL || conn->errors != NULL;
        if (conn->welcomed && !waiting)
            conn->since_ms = feed->now_ms;
        if (feed->now_ms - conn->since_ms >= (conn->welcomed ? FEED_STUCK_MS : FEED_HELLO_MS)) {
            close_conn(feed, conn);
            continue;
        }
        if (conn->paced && conn->purse->tokens > 0) {
            conn->paced = false;
            want(feed, conn);
        }
        if (conn->resting) {
            conn->resting = false;
            flush_later(feed, conn);
        }
    }
}

static void on_event(struct feed *feed, const struct epoll_event *event)
{
    struct feed_conn *conn = event->data.ptr;

    if (conn == NULL) {
        eventfd_t ignored;
        (void)eventfd_read(feed->wake, &ignored);
        return;
    }
    if ((event->events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) { /* nobody is there to hear */
        close_conn(feed, conn);
        return;
    }
    if ((event->events & EPOLLOUT) != 0) {
        conn->blocked = false;
        want(feed, conn);
        flush_later(feed, conn);
    }
    if ((event->events & EPOLLIN) != 0)
        read_some(feed, conn);
}

static void turn(struct feed *feed, int64_t *next_tick_ms)
{
    struct epoll_event events[EVENTS_AT_ONCE];
    int64_t wait_ms = *next_tick_ms - feed->now_ms;

    wait_ms = feed->conns == NULL && feed->purses == NULL ? -1 : wait_ms < 0 ? 0 : wait_ms;
    int n = epoll_wait(feed->epoll, events, EVENTS_AT_ONCE, (int)wait_ms);
    feed->now_ms = boot_ms();
    /* news goes before what readers have to say: they are asked again */
    for (int i = 0; i < n && (i == 0 || !atomic_load(&feed->has_mail)); i++)
        on_event(feed, &events[i]);
    feed_topics_take_mail(feed);
    let_all_in(feed);
    if (atomic_exchange(&feed->come_again, false))
        end_all(feed);
    if (feed->now_ms >= *next_tick_ms) {
        tick(feed);
        *next_tick_ms = feed->now_ms + TICK_MS;
    }
    flush_all(feed); /* it may close connections: events speak of none of them any more */
    if (feed->resting && *next_tick_ms > feed->now_ms + REST_MS)
        *next_tick_ms = feed->now_ms + REST_MS;
    feed->resting = false;
}

static void *run(void *arg)
{
    struct feed *feed = arg;
    int64_t next_tick_ms = 0;

    while (!atomic_load(&feed->quit))
        turn(feed, &next_tick_ms);
    while (feed->conns != NULL)
        close_conn(feed, feed->conns);
    return NULL;
}

/* ---- life ---- */

static bool open_descriptors(struct feed *feed)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};

    feed->epoll = epoll_create1(EPOLL_CLOEXEC);
    feed->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return feed->epoll >= 0 && feed->wake >= 0 &&
           epoll_ctl(feed->epoll, EPOLL_CTL_ADD, feed->wake, &event) == 0;
}

enum ms_err feed_new(const struct feed_env *env, struct feed **ret_feed)
{
    struct feed *feed = calloc(1, sizeof(*feed));

    if (feed == NULL)
        return MS_ERR_MEMORY;
    feed->env = *env;
    feed->listener = -1;
    feed->mail_tail = &feed->mail;
    feed->now_ms = boot_ms();
    feed->generation = (uint64_t)feed->now_ms << 20; /* higher than before a restart */
    atomic_init(&feed->config, env->config);
    (void)pthread_mutex_init(&feed->lock, NULL);
    if (!open_descriptors(feed) ||
        RAND_bytes((unsigned char *)&feed->seed, sizeof(feed->seed)) != 1 ||
        pthread_create(&feed->thread, NULL, run, feed) != 0) {
        feed_free(feed);
        return MS_ERR_IO;
    }
    feed->running = true;
    *ret_feed = feed;
    return MS_OK;
}

enum ms_err feed_listen(struct feed *feed, int fd)
{
    feed->listener = fd;
    return acceptor_listen(feed->env.acceptor, fd, ACCEPT_FEED, take_connection, feed);
}

void feed_set_config(struct feed *feed, const struct config *config)
{
    atomic_store(&feed->config, config);
    atomic_store(&feed->come_again, true);
    feed_wake(feed);
}

void feed_stop(struct feed *feed)
{
    atomic_store(&feed->stopping, true);
    atomic_store(&feed->come_again, true);
    feed_wake(feed);
}

void feed_close(struct feed *feed)
{
    if (feed == NULL || !feed->running)
        return;
    atomic_store(&feed->quit, true);
    feed_wake(feed);
    (void)pthread_join(feed->thread, NULL);
    feed->running = false;
}

void feed_free(struct feed *feed)
{
    if (feed == NULL)
        return;
    feed_close(feed);
    while (feed->arrivals != NULL) {
        struct feed_arrival *next = feed->arrivals->next;
        turn_down(feed, feed->arrivals);
        free(feed->arrivals);
        feed->arrivals = next;
    }
    feed_topics_free(feed);
    while (feed->purses != NULL) {
        struct feed_purse *next = feed->purses->next;
        free(feed->purses);
        feed->purses = next;
    }
    if (feed->listener >= 0)
        (void)close(feed->listener);
    if (feed->epoll >= 0)
        (void)close(feed->epoll);
    if (feed->wake >= 0)
        (void)close(feed->wake);
    (void)pthread_mutex_destroy(&feed->lock);
    free(feed);
}

void feed_count(const struct feed *feed, struct feed_counts *ret_counts)
{
    *ret_counts = (struct feed_counts){.connections = atomic_load(&feed->n_connections),
                                       .subscriptions = atomic_load(&feed->n_subscriptions),
                                       .topics = atomic_load(&feed->n_topics)};
}
