/* bench/feed_crowd.c - many subscribers of one specifier: how long a change takes to all of them.
 *
 *   feed_crowd SOCKET_DIR SPECIFIER SUBSCRIBERS CHANGES
 *
 * Each has a connection of its own and does with a packet no more than take it and close its
 * descriptor: in life they are so many processes. Prints `ready` when all have a snapshot, then for
 * each of CHANGES new generations the milliseconds from the moment at which the core published it
 * (it stands in the snapshot, to the millisecond) to its arrival: `N P50 P99 MAX`. */
#define _GNU_SOURCE
#include "include/measured/feed_format.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define SUBSCRIBERS_MAX 20000

static uint8_t packet[4096];
static double delays[SUBSCRIBERS_MAX];
static uint64_t has[SUBSCRIBERS_MAX * 2]; /* generation by descriptor */

static _Noreturn void die(const char *what)
{
    perror(what);
    exit(1);
}

static double boot_ms(void)
{
    struct timespec t = {0};
    (void)clock_gettime(CLOCK_BOOTTIME, &t);
    return (double)t.tv_sec * 1000 + (double)t.tv_nsec / 1e6;
}

static size_t message(uint8_t *out, enum feed_type type, uint32_t sub, const void *body, size_t n,
                      const char *text)
{
    size_t len = text == NULL ? 0 : strlen(text);
    struct feed_message head = {.magic = FEED_MAGIC,
                                .type = (uint16_t)type,
                                .sub = sub,
                                .size = (uint32_t)(sizeof(head) + n + len)};

    memcpy(out, &head, sizeof(head));
    memcpy(out + sizeof(head), body, n);
    if (len > 0)
        memcpy(out + sizeof(head) + n, text, len);
    return head.size;
}

static int join(const struct sockaddr_un *addr, const char *specifier)
{
    struct feed_hello hello = {
        .version_min = FEED_VERSION, .version_max = FEED_VERSION, .boot_ms = (int64_t)boot_ms()};
    struct feed_subscribe subscribe = {.text = FEED_TEXT_SPECIFIER};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    if (fd < 0 || fd >= 2 * SUBSCRIBERS_MAX ||
        connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) != 0)
        die("connect");
    size_t n = message(packet, FEED_HELLO, 0, &hello, sizeof(hello), NULL);
    if (send(fd, packet, n, 0) != (ssize_t)n)
        die("HELLO");
    n = message(packet, FEED_SUBSCRIBE, 1, &subscribe, sizeof(subscribe), specifier);
    if (send(fd, packet, n, 0) != (ssize_t)n)
        die("SUBSCRIBE");
    if (fcntl(fd, F_SETFL, O_NONBLOCK) != 0)
        die("fcntl");
    return fd;
}

/* One packet; 0: nothing there. The snapshot's descriptor is taken where it is wanted, else the
 * kernel drops it. */
static int take(int fd, struct feed_message *head, struct feed_snapshot *snapshot, int *ret_memory)
{
    struct iovec part = {.iov_base = packet, .iov_len = sizeof(packet)};
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
    struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1};

    if (ret_memory != NULL) {
        m.msg_control = control;
        m.msg_controllen = sizeof(control);
        *ret_memory = -1;
    }
    ssize_t n = recvmsg(fd, &m, MSG_CMSG_CLOEXEC);
    if (n < 0 && errno == EAGAIN)
        return 0;
    if (n < (ssize_t)sizeof(*head))
        die("a connection ended");
    memcpy(head, packet, sizeof(*head));
    if (head->type == FEED_ERROR) {
        (void)fprintf(stderr, "feed_crowd: %.*s\n", (int)(n - 16), packet + 16);
        exit(1);
    }
    if (head->type != FEED_SNAPSHOT)
        return 1;
    memcpy(snapshot, packet + sizeof(*head), sizeof(*snapshot));
    if (ret_memory != NULL && CMSG_FIRSTHDR(&m) == NULL)
        die("a snapshot without a descriptor");
    if (ret_memory != NULL)
        memcpy(ret_memory, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(int));
    return 1;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

int main(int argc, char **argv)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    struct epoll_event events[256];

    if (argc != 5)
        return 2;
    size_t n = strtoul(argv[3], NULL, 10), changes = strtoul(argv[4], NULL, 10), here = 0,
           round = 0;
    int epoll = epoll_create1(EPOLL_CLOEXEC), first = -1;
    if (n == 0 || n > SUBSCRIBERS_MAX ||
        snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/feed.sock", argv[1]) >=
            (int)sizeof(addr.sun_path))
        return 2;
    for (size_t i = 0; i < n; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.fd = join(&addr, argv[2])};
        first = i == 0 ? event.data.fd : first;
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, event.data.fd, &event) != 0)
            die("epoll_ctl");
    }
    uint64_t generation = 0;
    double published_ms = 0;
    while (round <= changes) {
        int ready = epoll_wait(epoll, events, 256, 60000);
        if (ready <= 0)
            die("nothing comes");
        for (int i = 0; i < ready; i++) {
            struct feed_message head;
            struct feed_snapshot snapshot = {0};
            int fd = events[i].data.fd, memory = -1;
            if (take(fd, &head, &snapshot, fd == first ? &memory : NULL) == 0 ||
                head.type != FEED_SNAPSHOT)
                continue;
            double now = boot_ms();
            if (snapshot.generation > generation) {
                generation = snapshot.generation;
                here = 0;
            }
            if (memory >= 0) { /* when was it published? */
                struct feed_header h;
                if (pread(memory, &h, sizeof(h), 0) != sizeof(h))
                    die("pread");
                published_ms = (double)h.built_boot_ms;
                (void)close(memory);
            }
            if (snapshot.generation != generation || has[fd] == generation)
                continue;
            has[fd] = generation;
            delays[here++] = now;
            if (here < n)
                continue;
            for (size_t k = 0; k < n; k++)
                delays[k] -= published_ms;
            qsort(delays, n, sizeof(delays[0]), by_value);
            if (round++ == 0)
                (void)printf("ready\n");
            else
                (void)printf("%zu %.1f %.1f %.1f\n", n, delays[n / 2], delays[n * 99 / 100],
                             delays[n - 1]);
            (void)fflush(stdout);
        }
    }
    return 0;
}
