/* fuzz_feed_reader.c - a hostile daemon: any packets, with any files beside them, into the client.
 * Nothing breaks, no descriptor is left behind, and once the connection is over what was accepted
 * stands until its deadline.
 *
 * The input is packets one after the other: a byte of flags, two of length, the packet; when files
 * are beside it, three of length and what is in them. The flags: bits 0..1 how many files, 2 they
 * lack their seals, 3 bytes 24 to 31 become the clock (a WELCOME), 4 pump behind it, 5 the packet's
 * bytes 12 to 15 become its size. */
#define _GNU_SOURCE /* memfd_create */

#include "proxy-plugin/lib/client.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
    if (!ok)
        abort();
}

static size_t open_files(void)
{
    DIR *dir = opendir("/proc/self/fd");
    size_t n = 0;

    require(dir != NULL);
    while (readdir(dir) != NULL)
        n++;
    (void)closedir(dir);
    return n;
}

struct input {
    const uint8_t *at;
    size_t left;
};

/* At most `n` bytes. */
static const uint8_t *take(struct input *in, size_t n, size_t *ret_n)
{
    const uint8_t *at = in->at;

    *ret_n = n < in->left ? n : in->left;
    in->at += *ret_n;
    in->left -= *ret_n;
    return at;
}

static size_t take_length(struct input *in, size_t bytes)
{
    size_t n = 0, got;
    const uint8_t *at = take(in, bytes, &got);

    for (size_t i = 0; i < got; i++)
        n |= (size_t)at[i] << 8 * i;
    return n;
}

static int file_of(const uint8_t *bytes, size_t n, bool sealed)
{
    int fd = memfd_create("fuzz", MFD_ALLOW_SEALING | MFD_CLOEXEC);

    require(fd != -1 && write(fd, bytes, n) == (ssize_t)n);
    if (sealed)
        require(fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) ==
                0);
    return fd;
}

/* Whether the reader still took it. */
static bool send_packet(int sock, const uint8_t *packet, size_t n, const int *fds, size_t n_fds)
{
    struct iovec part = {(void *)(uintptr_t)packet, n};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    _Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(3 * sizeof(int))] = {0};

    if (n_fds > 0) {
        message.msg_control = control;
        message.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&message);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
        memcpy(CMSG_DATA(c), fds, n_fds * sizeof(int));
    }
    return sendmsg(sock, &message, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)n;
}

static bool say_next(struct input *in, int sock, uint8_t flags)
{
    uint8_t packet[65536];
    int fds[3];
    size_t n_fds = flags & 3u, n, file_n;
    const uint8_t *at = take(in, take_length(in, 2), &n);

    memcpy(packet, at, n);
    int64_t now_ms = plug_boot_ms();
    if ((flags & 8u) != 0 && n >= 32)
        memcpy(packet + 24, &now_ms, sizeof(now_ms));
    uint32_t packet_size = (uint32_t)n;
    if ((flags & 32u) != 0 && n >= 16)
        memcpy(packet + 12, &packet_size, sizeof(packet_size));
    if (n_fds > 0) {
        const uint8_t *file = take(in, take_length(in, 3), &file_n);
        for (size_t i = 0; i < n_fds; i++)
            fds[i] = file_of(file, file_n, (flags & 4u) == 0);
    }
    bool sent = send_packet(sock, packet, n, fds, n_fds);
    for (size_t i = 0; i < n_fds; i++)
        (void)close(fds[i]);
    return sent;
}

static enum measured_verdict ask(struct measured_set *set)
{
    static const uint8_t value[48] = {1};
    struct measured_register reg = {0, value, sizeof(value)};

    return measured_check(set, "dcap-tdx", &reg, 1, NULL);
}

static void check_state(struct measured *m, struct measured_set *set)
{
    struct measured_description d;

    measured_describe(set, &d);
    enum measured_verdict verdict = ask(set);
    require(measured_state_name(d.state) != NULL && strlen(measured_error(set)) <= 255);
    for (const char *c = measured_error(set); *c != '\0'; c++)
        require(*c >= 0x20 && *c < 0x7f);
    if (d.state == MEASURED_STATE_WAITING)
        require(verdict == MEASURED_UNKNOWN);
    if (plug_boot_ms() < d.hard_until_ms && d.serves)
        require(verdict != MEASURED_UNKNOWN || plug_boot_ms() >= d.hard_until_ms);
    require(m->n_asked <= m->n_sets && m->n_sets == 2);
}

/* As plug_connect leaves it, with an end of a pair in the place of the daemon's socket. */
static void join(struct measured *m, int sock)
{
    struct epoll_event event = {.events = EPOLLIN};

    m->sock = sock;
    m->hello_at_ms = plug_boot_ms();
    require(epoll_ctl(m->epoll_fd, EPOLL_CTL_ADD, sock, &event) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    size_t before = open_files(), got;
    int pair[2];

    if (size > 1u << 20)
        return 0;
    require(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
    struct measured *m = measured_open("/nowhere");
    require(m != NULL);
    struct measured_set *sets[] = {measured_subscribe(m, "a"), measured_subscribe(m, "b")};
    require(sets[0] != NULL && sets[1] != NULL);
    join(m, pair[0]);
    while (in.left > 0 && m->sock != -1) {
        uint8_t flags = *take(&in, 1, &got);
        if (!say_next(&in, pair[1], flags) || (flags & 16u) != 0)
            (void)measured_pump(m);
        check_state(m, sets[0]);
    }
    for (size_t i = 0; i < 20 && m->sock != -1; i++) /* all that a socket holds */
        (void)measured_pump(m);
    bool up = m->sock != -1;
    require(open_files() == before + 3 + up);
    for (size_t i = 0; i < 2; i++)
        check_state(m, sets[i]);
    if (up) { /* what it has, it keeps when the daemon goes */
        enum measured_verdict verdict = ask(sets[0]);
        struct measured_description d;
        measured_describe(sets[0], &d);
        (void)close(pair[1]);
        for (size_t i = 0; i < 300 && m->sock != -1; i++)
            (void)measured_pump(m);
        require(m->sock == -1);
        if (d.hard_until_ms == FEED_NEVER)
            require(ask(sets[0]) == verdict && m->down_errno == ECONNRESET);
    } else {
        (void)close(pair[1]);
    }
    measured_close(m);
    require(open_files() == before);
    return 0;
}
