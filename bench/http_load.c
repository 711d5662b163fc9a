/* bench/http_load.c - closed-loop load on a Unix socket, HTTP or redis: C connections, each with
 * one request in flight.
 *
 *   http_load SOCKET REQUEST_FILE CONNECTIONS SECONDS
 *
 * Replies must have one length, which the first one tells. Prints
 * `REQUESTS_A_SECOND P50_US P99_US MAX_US`. */
#define _GNU_SOURCE

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define BUCKETS 100000 /* of 1 us */
#define WARM_UP_NS 200000000
#define CONNECTIONS_MAX 4096

struct client {
    int fd;
    int64_t sent_ns;
    size_t got;
};

static struct {
    const char *path;
    char request[65536];
    size_t request_len, reply_len;
    uint64_t histogram[BUCKETS + 1], n;
    int64_t max_ns;
} load;

static _Noreturn void die(const char *what)
{
    perror(what);
    exit(1);
}

static int64_t now_ns(void)
{
    struct timespec t = {0};
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int dial(void)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (strlen(load.path) >= sizeof(addr.sun_path))
        die("the path of the socket");
    memcpy(addr.sun_path, load.path, strlen(load.path) + 1);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) != 0)
        die(load.path);
    return fd;
}

static void ask(struct client *c)
{
    c->got = 0;
    c->sent_ns = now_ns();
    if (write(c->fd, load.request, load.request_len) != (ssize_t)load.request_len)
        die("write");
}

/* The end of a reply as far as it is known: HTTP by its head and Content-Length, a redis bulk
 * string by its length, any other redis reply by its line; 0: not yet. */
static size_t reply_end(const char *text)
{
    const char *line = strstr(text, "\r\n"), *end = strstr(text, "\r\n\r\n");
    const char *body = strstr(text, "Content-Length: ");

    if (line == NULL)
        return 0;
    if (text[0] == '$')
        return (size_t)(line + 2 - text) + strtoul(text + 1, NULL, 10) + 2;
    if (text[0] != 'H')
        return (size_t)(line + 2 - text);
    if (end == NULL || body == NULL)
        return 0;
    return (size_t)(end + 4 - text) + strtoul(body + 16, NULL, 10);
}

/* All of the first reply. */
static void measure_reply(void)
{
    static char text[1 << 20];
    size_t len = 0;
    struct client c = {.fd = dial()};

    ask(&c);
    while (load.reply_len == 0 || len < load.reply_len) {
        ssize_t n = read(c.fd, text + len, sizeof(text) - 1 - len);
        if (n <= 0)
            die("the first reply");
        len += (size_t)n;
        text[len] = '\0';
        load.reply_len = reply_end(text);
    }
    bool good = strncmp(text, "HTTP/1.1 200", 12) == 0 || text[0] == '$' || text[0] == '+';
    if (!good || len != load.reply_len)
        die("the first reply is not a good one");
    (void)close(c.fd);
}

static void on_readable(struct client *c, bool counting)
{
    static char sink[1 << 18];
    ssize_t n = read(c->fd, sink, sizeof(sink));

    if (n <= 0)
        die("the server closed");
    c->got += (size_t)n;
    if (c->got < load.reply_len)
        return;
    int64_t took = now_ns() - c->sent_ns;
    if (counting) {
        load.n++;
        load.histogram[took / 1000 < BUCKETS ? took / 1000 : BUCKETS]++;
        load.max_ns = took > load.max_ns ? took : load.max_ns;
    }
    ask(c);
}

static unsigned quantile(double q)
{
    uint64_t want = (uint64_t)((double)load.n * q), seen = 0;
    unsigned us = 0;
    while (us < BUCKETS && (seen += load.histogram[us]) <= want)
        us++;
    return us;
}

int main(int argc, char **argv)
{
    static struct client clients[CONNECTIONS_MAX];
    struct epoll_event events[64];

    if (argc != 5)
        return 2;
    load.path = argv[1];
    FILE *file = fopen(argv[2], "rb");
    if (file == NULL)
        die(argv[2]);
    load.request_len = fread(load.request, 1, sizeof(load.request), file);
    (void)fclose(file);
    size_t n = strtoul(argv[3], NULL, 10);
    if (n == 0 || n > CONNECTIONS_MAX)
        return 2;
    measure_reply();

    int poll = epoll_create1(EPOLL_CLOEXEC);
    for (size_t i = 0; i < n; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &clients[i]};
        clients[i].fd = dial();
        if (epoll_ctl(poll, EPOLL_CTL_ADD, clients[i].fd, &event) != 0)
            die("epoll");
        ask(&clients[i]);
    }
    int64_t from = now_ns() + WARM_UP_NS, now = from - WARM_UP_NS;
    int64_t until = from + (int64_t)(strtod(argv[4], NULL) * 1e9);
    while ((now = now_ns()) < until) {
        int ready = epoll_wait(poll, events, 64, 1000);
        if (ready <= 0)
            die("no reply for a second");
        for (int i = 0; i < ready; i++)
            on_readable(events[i].data.ptr, now >= from);
    }
    (void)printf("%.0f %u %u %.0f\n", (double)load.n * 1e9 / (double)(now - from), quantile(0.5),
                 quantile(0.99), (double)load.max_ns / 1000);
    return 0;
}
