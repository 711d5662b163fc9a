/* tests/support/tools/httpsink.c - an http server on loopback that tells what it was sent. Never
 * installed.
 *
 *   httpsink [--port N] [--log FILE] [--status N]
 *
 * Prints `Listening on 127.0.0.1:PORT` to stdout when it answers. Every request gets its own head
 * back, byte for byte, as text/plain with the status (default 200), and the connection is closed.
 * --log appends each head to FILE. A client that speaks SOCKS5 is told to give a user name (RFC
 * 1929), whose request is appended to FILE as `socks5 user=HEX password=HEX`; it is then refused.
 *
 * One connection at a time; ends at SIGTERM. */
#define _POSIX_C_SOURCE 200809L

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define HEAD_MAX ((size_t)256 << 10)
#define WAIT_S 5 /* for each read */

static struct {
    uint16_t port;
    int status;
    FILE *log;
} sink = {.status = 200};

static void send_all(int fd, const void *bytes, size_t len)
{
    const char *at = bytes;

    while (len > 0) {
        ssize_t n = send(fd, at, len, MSG_NOSIGNAL);
        if (n <= 0)
            return;
        at += n;
        len -= (size_t)n;
    }
}

static bool read_all(int fd, uint8_t *to, size_t len)
{
    while (len > 0) {
        ssize_t n = read(fd, to, len);
        if (n <= 0)
            return false;
        to += n;
        len -= (size_t)n;
    }
    return true;
}

/* ---- SOCKS5 (RFC 1928, 1929) ---- */

static bool read_string(int fd, uint8_t *ret_len, uint8_t text[255])
{
    return read_all(fd, ret_len, 1) && read_all(fd, text, *ret_len);
}

static void log_hex(const char *name, const uint8_t *bytes, size_t len)
{
    (void)fprintf(sink.log, " %s=", name);
    for (size_t i = 0; i < len; i++)
        (void)fprintf(sink.log, "%02x", bytes[i]);
}

static void socks5(int fd)
{
    static const uint8_t with_user[2] = {5, 2}, refused[2] = {1, 1};
    uint8_t methods[255], n, version, user[255], user_len, password[255], password_len;

    if (!read_string(fd, &n, methods))
        return;
    send_all(fd, with_user, sizeof(with_user));
    if (!read_all(fd, &version, 1) || !read_string(fd, &user_len, user) ||
        !read_string(fd, &password_len, password))
        return;
    (void)fputs("socks5", sink.log);
    log_hex("user", user, user_len);
    log_hex("password", password, password_len);
    (void)fputc('\n', sink.log);
    (void)fflush(sink.log);
    send_all(fd, refused, sizeof(refused));
}

/* ---- HTTP ---- */

/* Up to and with the empty line; 0: the client left or wrote too much. */
static size_t read_head(int fd, char *head)
{
    size_t len = 0;

    while (len < HEAD_MAX && read_all(fd, (uint8_t *)head + len, 1)) {
        len++;
        if (len >= 4 && memcmp(head + len - 4, "\r\n\r\n", 4) == 0)
            return len;
    }
    return 0;
}

static void serve(int fd)
{
    static char head[HEAD_MAX];
    char answer[256];
    uint8_t first = 0;

    if (recv(fd, &first, 1, MSG_PEEK) == 1 && first == 5) {
        (void)read_all(fd, &first, 1);
        socks5(fd);
        return;
    }
    size_t len = read_head(fd, head);
    if (len == 0)
        return;
    (void)fwrite(head, 1, len, sink.log);
    (void)fflush(sink.log);
    int n = snprintf(answer, sizeof(answer),
                     "HTTP/1.1 %d Sink\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n"
                     "Connection: close\r\n\r\n",
                     sink.status, len);
    send_all(fd, answer, (size_t)n);
    send_all(fd, head, len);
    (void)shutdown(fd, SHUT_WR);
    while (recv(fd, answer, sizeof(answer), 0) >
           0) /* a body: read, so that no reset eats the answer */
        ;
}

static int listen_on(uint16_t *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(*port)};
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
        bind(fd, (struct sockaddr *)&address, len) != 0 || listen(fd, 16) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &len) != 0) {
        perror("httpsink");
        exit(1);
    }
    *port = ntohs(address.sin_port);
    return fd;
}

static void read_options(int argc, char **argv)
{
    const char *log = "/dev/null";

    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--port") == 0)
            sink.port = (uint16_t)strtoul(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--status") == 0)
            sink.status = (int)strtoul(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--log") == 0)
            log = argv[i + 1];
    }
    sink.log = fopen(log, "ae");
    if (sink.log == NULL) {
        perror(log);
        exit(1);
    }
}

int main(int argc, char **argv)
{
    const struct timeval wait = {.tv_sec = WAIT_S};

    read_options(argc, argv);
    int listener = listen_on(&sink.port);
    (void)printf("Listening on 127.0.0.1:%u\n", sink.port);
    (void)fflush(stdout);
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        if (fd < 0)
            continue;
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
        serve(fd);
        (void)close(fd);
    }
}
