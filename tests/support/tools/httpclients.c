/* tests/support/tools/httpclients.c - many or misbehaving http clients for tests. Never installed.
 *
 *   httpclients ADDRESS get N TARGET     N GETs sent at one moment; prints `STATUS ETAG` for each
 *   httpclients ADDRESS leave N TARGET   N GETs whose client closes 20 ms later without reading
 *   httpclients ADDRESS raw 1 -          sends stdin as it is; prints what comes in until 2 s of
 *                                        silence
 *   httpclients ADDRESS idle N -         N connections that say nothing
 *   httpclients ADDRESS partial N -      N requests without the end of their head
 *   httpclients ADDRESS slow N -         N heads of one byte every 100 ms
 *   httpclients ADDRESS body N TARGET    N POSTs that promise a body and send half of it
 *   httpclients ADDRESS noread N TARGET  N GETs that are never read
 *   httpclients ADDRESS flood N TARGET   N GETs at any time, each on a connection of its own, until
 *                                        SIGTERM; then prints `STATUS COUNT`. %n in TARGET is a
 *                                        number, another one each time, %h its last two digits, %i
 *                                        an inline specifier with it, %{TEXT} TEXT in base64url
 *
 * ADDRESS is the path of a Unix socket or a port on 127.0.0.1. idle and what follows print
 * `holding` when all are connected and stay until SIGTERM. */
#define _GNU_SOURCE

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define CLIENTS_MAX 20000
#define REQUEST_MAX 300000
#define ANSWER_MAX 65536

static _Noreturn void die(const char *what)
{
    (void)fprintf(stderr, "httpclients: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int dial(const char *address)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct sockaddr_in in = {.sin_family = AF_INET};
    const struct sockaddr *addr = (const struct sockaddr *)&in;
    socklen_t len = sizeof(in);
    int small = 4096;

    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    in.sin_port = htons((uint16_t)strtoul(address, NULL, 10));
    if (strchr(address, '/') != NULL) {
        if (strlen(address) >= sizeof(un.sun_path))
            die(address);
        memcpy(un.sun_path, address, strlen(address) + 1);
        addr = (const struct sockaddr *)&un;
        len = sizeof(un);
    }
    int fd = socket(addr->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        die("socket");
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    if (connect(fd, addr, len) != 0)
        die("connect");
    return fd;
}

static void send_text(int fd, const char *text, size_t len)
{
    if (send(fd, text, len, MSG_NOSIGNAL) != (ssize_t)len)
        (void)fprintf(stderr, "httpclients: the other side closed early\n");
}

/* One answer read to its end; prints `STATUS ETAG`. */
static void print_answer(int fd)
{
    static char text[ANSWER_MAX + 1];
    size_t len = 0;
    ssize_t n = 1;

    while (len < ANSWER_MAX && (n = recv(fd, text + len, ANSWER_MAX - len, 0)) > 0)
        len += (size_t)n;
    text[len] = '\0';
    const char *etag = strcasestr(text, "\r\nETag: ");
    size_t etag_len = etag == NULL ? 0 : strcspn(etag + 8, "\r");
    (void)printf("%.3s %.*s\n", len < 12 ? "---" : text + 9, (int)etag_len,
                 etag == NULL ? "" : etag + 8);
}

/* stdin out, and meanwhile what comes in: a server may answer before it has read everything. */
static int raw(int fd)
{
    static char text[REQUEST_MAX];
    size_t len = fread(text, 1, sizeof(text), stdin), sent = 0;

    for (;;) {
        struct pollfd want = {.fd = fd, .events = (short)(POLLIN | (sent < len ? POLLOUT : 0))};
        char in[4096];
        if (poll(&want, 1, 500) <= 0)
            return 0;
        if ((want.revents & (POLLIN | POLLHUP | POLLERR)) != 0) {
            ssize_t n = recv(fd, in, sizeof(in), 0);
            if (n <= 0)
                return 0;
            (void)fwrite(in, 1, (size_t)n, stdout);
        } else {
            ssize_t n = send(fd, text + sent, len - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
            if (n <= 0)
                return 0;
            sent += (size_t)n;
        }
    }
}

static _Noreturn void hold(const int *fds, size_t n, bool slowly)
{
    static const char head[] = "GET /v1/status HTTP/1.1\r\nHost: localhost\r\nX-Slow: ";

    (void)puts("holding");
    (void)fflush(stdout);
    for (size_t at = 0;; at++) {
        (void)usleep(100000);
        for (size_t i = 0; slowly && i < n; i++)
            (void)send(fds[i], at < sizeof(head) - 1 ? &head[at] : "x", 1, MSG_NOSIGNAL);
    }
}

/* ---- flood ---- */

static volatile sig_atomic_t over;

static void on_term(int number)
{
    (void)number;
    over = 1;
}

/* base64url without padding; `text` is taken to whole groups by spaces, which a list may have. */
static void add_base64(char *out, size_t size, const char *text)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    size_t at = strlen(out), len = strlen(text);

    for (size_t i = 0; i < len && at + 5 < size; i += 3) {
        unsigned three = (unsigned)(uint8_t)text[i] << 16;
        three |= (unsigned)(uint8_t)(i + 1 < len ? text[i + 1] : 0) << 8;
        three |= (unsigned)(uint8_t)(i + 2 < len ? text[i + 2] : 0);
        for (int k = 0; k < 4 && i + (size_t)k <= len; k++)
            out[at++] = alphabet[three >> (18 - 6 * k) & 63];
    }
    out[at] = '\0';
}

/* A list of one record, another one for each number. */
static void add_inline(char *out, size_t size, unsigned number)
{
    char text[300];

    (void)snprintf(text, sizeof(text),
                   "[{\"measurement_id\":\"flood\",\"attestation_type\":\"dcap-tdx\","
                   "\"measurements\":{\"0\":{\"expected\":\"%096x\"}}}]",
                   number);
    add_base64(out, size, text);
}

/* Append `target` with its % members replaced. */
static void expand(const char *target, unsigned number, char *out, size_t size)
{
    char inner[1024];

    for (const char *c = target; *c != '\0'; c++) {
        size_t at = strlen(out);
        const char *end = strncmp(c, "%{", 2) == 0 ? strchr(c, '}') : NULL;
        if (end != NULL && (size_t)(end - c) < sizeof(inner) / 2) {
            char text[512] = "";
            memcpy(text, c + 2, (size_t)(end - c - 2));
            inner[0] = '\0';
            expand(text, number, inner, sizeof(inner));
            add_base64(out, size, inner);
            c = end;
        } else if (strncmp(c, "%n", 2) == 0 || strncmp(c, "%h", 2) == 0) {
            (void)snprintf(out + at, size - at, "%u", c[1] == 'h' ? number % 100 : number);
            c++;
        } else if (strncmp(c, "%i", 2) == 0) {
            add_inline(out, size, number);
            c++;
        } else {
            (void)snprintf(out + at, size - at, "%c", *c);
        }
    }
}

static void make_request(const char *target, unsigned number, char *out, size_t size)
{
    (void)snprintf(out, size, "GET ");
    expand(target, number, out, size);
    size_t at = strlen(out);
    (void)snprintf(out + at, size - at,
                   " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
}

static int flood(const char *address, size_t n, const char *target)
{
    static struct pollfd fds[CLIENTS_MAX];
    static char status[CLIENTS_MAX][16];
    static size_t have[CLIENTS_MAX];
    static unsigned counts[1000];
    static char request[4096], sink[65536];
    /* runs differ: what one has asked for is new to the next */
    unsigned number = (unsigned)getpid() << 16;

    (void)signal(SIGTERM, on_term);
    for (size_t i = 0; i < n; i++)
        fds[i] = (struct pollfd){.fd = -1, .events = POLLIN};
    for (bool first = true; over == 0; first = false) {
        for (size_t i = 0; i < n && over == 0; i++) {
            if (fds[i].fd >= 0)
                continue;
            fds[i].fd = dial(address);
            have[i] = 0;
            make_request(target, number++, request, sizeof(request));
            (void)send(fds[i].fd, request, strlen(request), MSG_NOSIGNAL);
        }
        if (first) {
            (void)puts("holding");
            (void)fflush(stdout);
        }
        if (poll(fds, (nfds_t)n, 1000) <= 0)
            continue;
        for (size_t i = 0; i < n; i++) {
            if (fds[i].revents == 0)
                continue;
            ssize_t got = recv(fds[i].fd, sink, sizeof(sink), 0);
            for (ssize_t k = 0; k < got && have[i] < 12; k++)
                status[i][have[i]++] = sink[k];
            if (got > 0)
                continue;
            counts[have[i] < 12 ? 0 : strtoul(&status[i][9], NULL, 10) % 1000]++;
            (void)close(fds[i].fd);
            fds[i].fd = -1;
        }
    }
    for (size_t i = 0; i < 1000; i++)
        if (counts[i] > 0)
            (void)printf("%03zu %u\n", i, counts[i]);
    return 0;
}

int main(int argc, char **argv)
{
    static int fds[CLIENTS_MAX];
    static char request[REQUEST_MAX];
    struct rlimit files;

    if (argc != 5) {
        (void)fprintf(stderr, "usage: httpclients ADDRESS MODE N TARGET\n");
        return 2;
    }
    const char *mode = argv[2];
    size_t n = strtoul(argv[3], NULL, 10);
    if (n == 0 || n > CLIENTS_MAX)
        die("N");
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    if (strcmp(mode, "flood") == 0)
        return flood(argv[1], n, argv[4]);
    bool get = strcmp(mode, "get") == 0, leave = strcmp(mode, "leave") == 0;
    int len = 0;
    if (get || leave || strcmp(mode, "noread") == 0)
        len = snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n",
                       argv[4], get ? "Connection: close\r\n" : "");
    else if (strcmp(mode, "partial") == 0)
        len = snprintf(request, sizeof(request), "GET /v1/status HTTP/1.1\r\nHost: local");
    else if (strcmp(mode, "body") == 0)
        len =
            snprintf(request, sizeof(request),
                     "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20\r\n\r\n{\"specifie",
                     argv[4]);
    if (len < 0 || (size_t)len >= sizeof(request))
        die("TARGET");

    for (size_t i = 0; i < n; i++)
        fds[i] = dial(argv[1]);
    if (strcmp(mode, "raw") == 0)
        return raw(fds[0]);
    for (size_t i = 0; i < n && len > 0; i++)
        send_text(fds[i], request, (size_t)len);
    if (leave) {
        (void)usleep(20000);
        return 0;
    }
    for (size_t i = 0; get && i < n; i++)
        print_answer(fds[i]);
    if (!get)
        hold(fds, n, strcmp(mode, "slow") == 0);
    return 0;
}
