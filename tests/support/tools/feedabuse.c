/* feedabuse.c - one way each of what a local user could do to the feed of others.
 *
 *   feedabuse churn SOCKET_DIR SPECIFIER SECONDS   subscribe and leave again, as fast as it is read
 *   feedabuse deaf SOCKET_DIR SPECIFIER SECONDS    say what is wrong, read nothing, stay
 *   feedabuse linger SOCKET_DIR SPECIFIER SECONDS  leave the daemon the last descriptor of a
 *                                                  connection that takes SECONDS to close
 *   feedabuse hoard SOCKET_DIR SPECIFIER SECONDS   let snapshots lie unread on many connections
 *   feedabuse vary SOCKET_DIR SPECIFIER SECONDS    follow one thing 1000 times, each in another way
 *
 * Prints "ready" when the harm is done, then stays for SECONDS. Ends with 0, or 1: the daemon is
 * gone, or there is no such way. */
#define _GNU_SOURCE
#include "include/measured/feed_format.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define HOARD_CONNECTIONS 60
#define HOARD_EACH 200
#define TOKENS 40000 /* more than a user's messages at once: from here on they are read slowly */

static uint8_t packet[FEED_MESSAGE_MAX_BYTES];
static struct sockaddr_un addr = {.sun_family = AF_UNIX};
static const char *specifier;
static long seconds;

static size_t message(uint16_t type, uint32_t sub, size_t body_bytes)
{
    struct feed_message head = {FEED_MAGIC, type, 0, sub, (uint32_t)(sizeof(head) + body_bytes)};

    memcpy(packet, &head, sizeof(head));
    return head.size;
}

static size_t subscribe(uint32_t sub, const char *text)
{
    struct feed_subscribe body = {.text = FEED_TEXT_SPECIFIER};

    memcpy(packet + sizeof(struct feed_message), &body, sizeof(body));
    memcpy(packet + sizeof(struct feed_message) + sizeof(body), text, strlen(text));
    return message(FEED_SUBSCRIBE, sub, sizeof(body) + strlen(text));
}

static int dial(void)
{
    struct feed_hello hello = {.version_min = 1, .version_max = 1, .boot_ms = 1};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    if (fd < 0 || connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) != 0)
        exit(1);
    memcpy(packet + sizeof(struct feed_message), &hello, sizeof(hello));
    if (send(fd, packet, message(FEED_HELLO, 0, sizeof(hello)), MSG_NOSIGNAL) < 0)
        exit(1);
    return fd;
}

static int say(int fd, size_t bytes, int flags)
{
    return send(fd, packet, bytes, MSG_NOSIGNAL | flags) < 0 ? errno : 0;
}

static void drain(int fd)
{
    uint8_t in[1024]; /* without room for a descriptor: the kernel closes it */

    while (recv(fd, in, sizeof(in), MSG_DONTWAIT) > 0)
        continue;
}

static void ready(void)
{
    (void)printf("ready\n");
    (void)fflush(stdout);
}

static int churn(void)
{
    int fd = dial();
    time_t until = time(NULL) + seconds;

    ready();
    while (time(NULL) < until) {
        for (int i = 0; i < 100; i++)
            if (say(fd, subscribe(1, specifier), 0) != 0 ||
                say(fd, message(FEED_UNSUBSCRIBE, 1, 0), 0) != 0)
                return 1;
        drain(fd);
    }
    return 0;
}

static int vary(void)
{
    static char text[FEED_TEXT_MAX_BYTES + 32];
    int fd = dial();

    for (uint32_t n = 1; n <= 1000; n++) {
        (void)snprintf(text, sizeof(text), "%s;max-age=%u", specifier, 100000 + n);
        if (say(fd, subscribe(n, text), 0) != 0)
            return 1;
        drain(fd);
    }
    ready();
    (void)sleep((unsigned)seconds);
    return 0;
}

static int deaf(void)
{
    int fd = dial(), quiet = 0;

    for (uint32_t n = 1; quiet < 10; n++) {
        int err = say(fd, subscribe(n, "this is none"), MSG_DONTWAIT);
        quiet = err == 0 ? 0 : quiet + 1;
        if (err == EPIPE)
            break;
        if (err != 0)
            (void)usleep(100000);
    }
    ready();
    (void)sleep((unsigned)seconds);
    return 0;
}

/* A connection over loopback whose other end reads nothing, full, and told to linger. */
static int slow_to_close(void)
{
    static char block[65536];
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct linger linger = {1, (int)seconds};
    socklen_t len = sizeof(to);
    int listener = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM, 0);

    if (listener < 0 || fd < 0 || bind(listener, (struct sockaddr *)&to, len) != 0 ||
        listen(listener, 1) != 0 || getsockname(listener, (struct sockaddr *)&to, &len) != 0 ||
        connect(fd, (struct sockaddr *)&to, len) != 0 || accept(listener, NULL, NULL) < 0)
        exit(1);
    while (send(fd, block, sizeof(block), MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
        continue;
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    return fd;
}

static int linger(void)
{
    int fd = dial(), slow = slow_to_close();
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {0};

    for (int i = 0; i < TOKENS; i++)
        if (say(fd, message(FEED_UNSUBSCRIBE, 1, 0), 0) != 0)
            return 1;
    struct iovec part = {packet, message(FEED_UNSUBSCRIBE, 1, 0)};
    struct msghdr with = {.msg_iov = &part,
                          .msg_iovlen = 1,
                          .msg_control = control,
                          .msg_controllen = sizeof(control)};
    struct cmsghdr *header = CMSG_FIRSTHDR(&with);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &slow, sizeof(slow));
    if (sendmsg(fd, &with, MSG_NOSIGNAL) <
        0) { /* as it should be: and it must not be us who wait */
        struct linger none = {0, 0};
        (void)setsockopt(slow, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
    }
    (void)close(slow);
    ready();
    (void)sleep((unsigned)seconds);
    return 0;
}

static int hoard(void)
{
    for (int c = 0; c < HOARD_CONNECTIONS; c++) {
        int fd = dial();
        for (uint32_t n = 1; n <= HOARD_EACH; n++)
            if (say(fd, subscribe(n, specifier), 0) != 0)
                break;
        (void)usleep(100000);
        for (uint32_t n = 1; n <= HOARD_EACH; n++) /* within the share of subscriptions */
            if (say(fd, message(FEED_UNSUBSCRIBE, n, 0), 0) != 0)
                break;
    }
    ready();
    (void)sleep((unsigned)seconds);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc != 5 || strlen(argv[3]) > FEED_TEXT_MAX_BYTES ||
        snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/feed.sock", argv[2]) >=
            (int)sizeof(addr.sun_path))
        return 1;
    specifier = argv[3];
    seconds = strtol(argv[4], NULL, 10);
    if (strcmp(argv[1], "churn") == 0)
        return churn();
    if (strcmp(argv[1], "vary") == 0)
        return vary();
    if (strcmp(argv[1], "deaf") == 0)
        return deaf();
    if (strcmp(argv[1], "linger") == 0)
        return linger();
    return strcmp(argv[1], "hoard") == 0 ? hoard() : 1;
}
