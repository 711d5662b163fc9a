/* feedfoe.c - a hostile subscriber, in many ways at once, for some seconds; ends with 0 when the
 * daemon let none of them harm it as far as can be seen from here.
 *
 *   feedfoe SOCKET_DIR SPECIFIER SECONDS
 *
 * Connections that: say nothing; send rubbish; send every type of packet with every size wrong;
 * subscribe to the same number twice; subscribe and never read; subscribe and leave in a loop; send
 * large texts that are costly to read; send descriptors; close in the middle. */
#define _GNU_SOURCE
#include "include/measured/feed_format.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define WAYS 8
#define EACH 6

static uint8_t packet[FEED_MESSAGE_MAX_BYTES + 64];
static unsigned state = 12345;
static struct sockaddr_un addr = {.sun_family = AF_UNIX};
static const char *specifier;
static unsigned long sent[WAYS], closed[WAYS];

static unsigned next(void)
{
    state = state * 1103515245u + 12345u;
    return state >> 16;
}

static size_t message(uint16_t type, uint32_t sub, const void *body, size_t n)
{
    struct feed_message head = {FEED_MAGIC, type, 0, sub, (uint32_t)(sizeof(head) + n)};

    memcpy(packet, &head, sizeof(head));
    if (body != NULL)
        memcpy(packet + sizeof(head), body, n);
    return head.size;
}

static size_t subscribe(uint32_t sub, const char *text, size_t len)
{
    struct feed_subscribe body = {.text = FEED_TEXT_SPECIFIER};
    size_t n = message(FEED_SUBSCRIBE, sub, NULL, sizeof(body) + len);

    memcpy(packet + sizeof(struct feed_message), &body, sizeof(body));
    memcpy(packet + sizeof(struct feed_message) + sizeof(body), text, len);
    return n;
}

static int dial(int greet)
{
    struct feed_hello hello = {.version_min = 1, .version_max = 1, .boot_ms = 1};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0 || connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) != 0) {
        if (fd >= 0)
            (void)close(fd);
        return -1;
    }
    if (greet)
        (void)send(fd, packet, message(FEED_HELLO, 0, &hello, sizeof(hello)), MSG_NOSIGNAL);
    return fd;
}

/* One packet of this way to be hostile; 0: the other side is gone. */
static int act(int way, int fd)
{
    static char text[FEED_TEXT_MAX_BYTES];
    size_t n = 0;

    switch (way) {
    case 0:
        return 1; /* says nothing */
    case 1:
        n = 1 + next() % 300;
        for (size_t i = 0; i < n; i++)
            packet[i] = (uint8_t)next();
        break;
    case 2:
        n = message((uint16_t)(next() % 140), next() % 3, NULL, next() % 64);
        n -= next() % 2;
        break;
    case 3:
        n = subscribe(1 + next() % 2, specifier, strlen(specifier));
        break;
    case 4: /* never reads */
        n = subscribe(1 + next(), specifier, strlen(specifier));
        break;
    case 5:
        n = next() % 2 ? subscribe(7, specifier, strlen(specifier))
                       : message(FEED_UNSUBSCRIBE, 7, NULL, 0);
        break;
    case 6:
        memset(text, 'H' + (int)(next() % 8), sizeof(text));
        n = subscribe(1 + next(), text, sizeof(text) - next() % 100);
        break;
    case 7:
        n = subscribe(1 + next(), "0x", 2);
        break;
    default:
        return 0;
    }
    if (send(fd, packet, n, MSG_NOSIGNAL) < 0 && errno != EAGAIN)
        return 0;
    sent[way]++;
    if (way != 4)
        while (recv(fd, text, sizeof(text), MSG_DONTWAIT) > 0)
            continue;
    return 1;
}

int main(int argc, char **argv)
{
    int fds[WAYS][EACH];

    if (argc != 4 || snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/feed.sock", argv[1]) >=
                         (int)sizeof(addr.sun_path))
        return 2;
    specifier = argv[2];
    memset(fds, 0xff, sizeof(fds));
    time_t until = time(NULL) + (time_t)strtol(argv[3], NULL, 10);
    while (time(NULL) < until)
        for (int way = 0; way < WAYS; way++)
            for (int i = 0; i < EACH; i++) {
                if (fds[way][i] < 0)
                    fds[way][i] = dial(way != 0 && way != 1);
                if (fds[way][i] >= 0 && !act(way, fds[way][i])) {
                    (void)close(fds[way][i]);
                    fds[way][i] = -1;
                    closed[way]++;
                }
            }
    for (int way = 0; way < WAYS; way++)
        (void)printf("way %d: %lu packets, closed %lu times\n", way, sent[way], closed[way]);
    return closed[1] > 0 && closed[2] > 0 && closed[3] > 0 ? 0 : 1;
}
