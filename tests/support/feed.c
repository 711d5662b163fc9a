/* tests/support/feed.c - a builder of snapshots, and a daemon that lies on demand. */
#define _GNU_SOURCE /* memfd_create, F_ADD_SEALS */

#include "tests/support/feed.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    (void)fprintf(stderr, "tests/support/feed.c: %s: %s\n", what, strerror(errno));
    abort();
}

int64_t feed_boot_ms(void)
{
    struct timespec now;

    must(clock_gettime(CLOCK_BOOTTIME, &now) == 0, "clock");
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- snapshots ---- */

struct section {
    uint8_t *bytes;
    size_t len;
};

static uint32_t put(struct section *s, const void *bytes, size_t n)
{
    size_t at = s->len;

    s->bytes = realloc(s->bytes, s->len + n + 1);
    must(s->bytes != NULL, "memory");
    if (n > 0)
        memcpy(s->bytes + at, bytes, n);
    s->len += n;
    return (uint32_t)at;
}

static void pad(struct section *s)
{
    static const uint8_t zero[8];

    (void)put(s, zero, (8 - s->len % 8) % 8);
}

struct building {
    const struct feed_snapshot_in *in;
    struct section releases, records, shapes, slots, strings;
    uint32_t n_records, n_shapes;
};

static size_t value_bytes(const struct rec_record *record)
{
    return record->type == REC_TYPE_AZURE_TDX ? 32 : 48;
}

/* All registers when their choices are few, else the first one alone: any part will do. */
static uint32_t key_registers(const struct rec_record *record, size_t *ret_choices)
{
    size_t choices = 1;

    for (size_t i = 0; i < record->n_registers && choices <= 64; i++)
        choices *= record->registers[i].n_values;
    *ret_choices = choices <= 64 ? choices : record->registers[0].n_values;
    return (uint32_t)(choices <= 64 ? record->n_registers : 1);
}

static void put_table(struct building *b, const struct rec_record *record, uint32_t mask,
                      uint32_t class_, uint32_t offset)
{
    struct feed_shape shape = {.class_ = class_, .mask = mask, .n_slots = 1};
    struct feed_slot empty = {0};
    size_t choices;
    uint32_t keys = key_registers(record, &choices);

    for (uint32_t i = 0; i < keys; i++)
        shape.key_mask |= 1u << record->registers[i].index;
    while (shape.n_slots <= choices)
        shape.n_slots *= 2;
    shape.first_slot = (uint32_t)(b->slots.len / sizeof(empty));
    for (uint32_t i = 0; i < shape.n_slots; i++)
        (void)put(&b->slots, &empty, sizeof(empty));
    for (size_t c = 0; c < choices; c++) {
        uint64_t hash = feed_hash_begin(b->in->seed);
        size_t left = c;
        for (uint32_t i = 0; i < keys; i++) {
            const struct rec_register *r = &record->registers[i];
            hash = feed_hash_value(hash, b->in->seed, r->index, r->values[left % r->n_values].b,
                                   value_bytes(record));
            left /= r->n_values;
        }
        hash = feed_hash_end(hash);
        struct feed_slot *slots = (struct feed_slot *)(void *)b->slots.bytes + shape.first_slot;
        uint32_t at = (uint32_t)hash % shape.n_slots;
        while (slots[at].record != 0)
            at = (at + 1) % shape.n_slots;
        slots[at] = (struct feed_slot){(uint32_t)(hash >> 32), offset / 8 + 1};
    }
    (void)put(&b->shapes, &shape, sizeof(shape));
    b->n_shapes++;
}

static void put_record(struct building *b, const struct rec_record *record, uint32_t release)
{
    struct section s = {0};
    struct feed_record head = {.order = b->n_records++,
                               .release = release,
                               .id_off = put(&b->strings, record->id, strlen(record->id)),
                               .id_bytes = (uint16_t)strlen(record->id),
                               .class_ = record->type == REC_TYPE_AZURE_TDX ? FEED_CLASS_AZURE
                                                                            : FEED_CLASS_DCAP,
                               .n_registers = (uint8_t)record->n_registers};
    size_t first = sizeof(head) + record->n_registers * sizeof(struct feed_register);

    first = (first + 7) / 8 * 8;
    (void)put(&s, &head, sizeof(head));
    for (size_t i = 0; i < record->n_registers; i++) {
        const struct rec_register *r = &record->registers[i];
        struct feed_register reg = {(uint8_t)r->index, (uint8_t)r->n_values, (uint16_t)(first / 8)};
        (void)put(&s, &reg, sizeof(reg));
        first += r->n_values * value_bytes(record);
        head.mask |= 1u << r->index;
    }
    pad(&s);
    for (size_t i = 0; i < record->n_registers; i++)
        for (size_t v = 0; v < record->registers[i].n_values; v++)
            (void)put(&s, record->registers[i].values[v].b, value_bytes(record));
    head.bytes = (uint32_t)s.len;
    memcpy(s.bytes, &head, sizeof(head));
    uint32_t offset = put(&b->records, s.bytes, s.len);
    put_table(b, record, head.mask, head.class_, offset);
    free(s.bytes);
}

static void put_release(struct building *b, const struct feed_release_in *release, uint32_t index)
{
    struct feed_release out = {.id = release->id,
                               .from_ms = release->from_ms,
                               .until_ms = release->until_ms,
                               .version_off =
                                   put(&b->strings, release->version, strlen(release->version)),
                               .version_bytes = (uint32_t)strlen(release->version)};

    (void)put(&b->releases, &out, sizeof(out));
    for (size_t i = 0; i < release->set->n_records; i++)
        if (release->set->records[i].n_registers > 0 &&
            release->set->records[i].type != REC_TYPE_UNKNOWN)
            put_record(b, &release->set->records[i], index);
}

static uint32_t place(struct section *all, struct section *part)
{
    uint32_t at = put(all, part->bytes, part->len);

    free(part->bytes);
    return at;
}

uint8_t *feed_snapshot_new(const struct feed_snapshot_in *in, size_t *ret_size)
{
    struct building b = {.in = in};
    struct section all = {0};
    struct feed_header h = {.magic = FEED_SNAPSHOT_MAGIC,
                            .version = FEED_VERSION,
                            .header_bytes = sizeof(h),
                            .generation = in->generation,
                            .sequence = in->sequence,
                            .fresh_until_ms = in->fresh_until_ms,
                            .hard_until_ms = in->hard_until_ms,
                            .state = in->state,
                            .flags = in->serve ? FEED_FLAG_SERVE : 0,
                            .key = {in->key},
                            .hash_seed = in->seed};

    for (size_t i = 0; in->serve && i < in->n_releases; i++)
        put_release(&b, &in->releases[i], (uint32_t)i);
    h.n_releases = (uint32_t)(b.releases.len / sizeof(struct feed_release));
    h.records_bytes = (uint32_t)b.records.len;
    h.n_records = b.n_records;
    h.n_shapes = b.n_shapes;
    h.n_slots = (uint32_t)(b.slots.len / sizeof(struct feed_slot));
    h.strings_bytes = (uint32_t)b.strings.len;
    (void)put(&all, &h, sizeof(h));
    h.releases_off = place(&all, &b.releases);
    h.records_off = place(&all, &b.records);
    h.shapes_off = place(&all, &b.shapes);
    h.slots_off = place(&all, &b.slots);
    h.strings_off = place(&all, &b.strings);
    h.size = all.len;
    memcpy(all.bytes, &h, sizeof(h));
    uint8_t *exact = malloc(all.len);
    must(exact != NULL, "memory");
    memcpy(exact, all.bytes, all.len);
    free(all.bytes);
    *ret_size = all.len;
    return exact;
}

uint8_t *feed_snapshot_of_byte(const struct feed_snapshot_in *in, uint8_t byte, size_t *ret_size)
{
    struct rec_value value = {.len = 48};
    struct rec_register reg = {.n_values = 1, .values = &value};
    char id[] = "id";
    struct rec_record record = {
        .id = id, .type = REC_TYPE_DCAP_TDX, .n_registers = 1, .registers = &reg};
    struct rec_set set = {.n_records = 1, .records = &record};
    struct feed_release_in release = {&set, 7, "1.2", INT64_MIN, INT64_MAX};
    struct feed_snapshot_in with = *in;

    memset(value.b, byte, sizeof(value.b));
    with.releases = &release;
    with.n_releases = 1;
    return feed_snapshot_new(&with, ret_size);
}

int feed_memfd(const uint8_t *bytes, size_t size, int seals)
{
    int fd = memfd_create("snapshot", MFD_ALLOW_SEALING | MFD_CLOEXEC);

    must(fd != -1 && write(fd, bytes, size) == (ssize_t)size, "memfd");
    must(fcntl(fd, F_ADD_SEALS, seals) == 0, "seals");
    return fd;
}

/* ---- the daemon ---- */

static void address_of(const struct feed_fake *fake, struct sockaddr_un *address)
{
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    (void)snprintf(address->sun_path, sizeof(address->sun_path), "%s/feed.sock", fake->dir);
}

void feed_fake_start(struct feed_fake *fake)
{
    *fake = (struct feed_fake){.dir = "/tmp/feedXXXXXX", .listener = -1, .conn = -1};
    must(mkdtemp(fake->dir) != NULL, "mkdtemp");
    feed_fake_listen(fake);
}

void feed_fake_listen(struct feed_fake *fake)
{
    struct sockaddr_un address;

    address_of(fake, &address);
    fake->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    must(fake->listener != -1 &&
             bind(fake->listener, (struct sockaddr *)&address, sizeof(address)) == 0 &&
             listen(fake->listener, 4096) == 0,
         "listen");
}

void feed_fake_unlisten(struct feed_fake *fake)
{
    struct sockaddr_un address;

    address_of(fake, &address);
    if (fake->listener != -1)
        (void)close(fake->listener);
    fake->listener = -1;
    (void)unlink(address.sun_path);
}

void feed_fake_hang_up(struct feed_fake *fake)
{
    if (fake->conn != -1)
        (void)close(fake->conn);
    fake->conn = -1;
}

void feed_fake_stop(struct feed_fake *fake)
{
    feed_fake_hang_up(fake);
    feed_fake_unlisten(fake);
    (void)rmdir(fake->dir);
}

static bool readable(int fd, int wait_ms)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};

    return poll(&poll_fd, 1, wait_ms) == 1;
}

bool feed_fake_accept(struct feed_fake *fake, int wait_ms)
{
    if (!readable(fake->listener, wait_ms))
        return false;
    feed_fake_hang_up(fake);
    fake->conn = accept4(fake->listener, NULL, NULL, SOCK_CLOEXEC);
    return fake->conn != -1;
}

ssize_t feed_fake_read(struct feed_fake *fake, void *packet, size_t max, int wait_ms)
{
    if (!readable(fake->conn, wait_ms))
        return -1;
    ssize_t n = recv(fake->conn, packet, max, 0);
    return n < 0 ? 0 : n;
}

uint32_t feed_fake_want(struct feed_fake *fake, enum feed_type type)
{
    static uint8_t packet[FEED_MESSAGE_MAX_BYTES];
    struct feed_message head = {0};
    ssize_t n = feed_fake_read(fake, packet, sizeof(packet), 5000);

    must(n >= (ssize_t)sizeof(head), "a packet");
    memcpy(&head, packet, sizeof(head));
    must(head.magic == FEED_MAGIC && head.type == type && head.size == (uint32_t)n &&
             head.reserved == 0,
         "a packet of the type");
    return head.sub;
}

bool feed_fake_send(struct feed_fake *fake, const void *packet, size_t bytes, const int *fds,
                    size_t n_fds)
{
    struct iovec part = {(void *)(uintptr_t)packet, bytes};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    _Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(8 * sizeof(int))] = {0};

    if (n_fds > 0) {
        message.msg_control = control;
        message.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&message);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
        memcpy(CMSG_DATA(c), fds, n_fds * sizeof(int));
    }
    return sendmsg(fake->conn, &message, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)bytes;
}

void feed_fake_say(struct feed_fake *fake, enum feed_type type, uint32_t sub, const void *body,
                   size_t bytes, const int *fds, size_t n_fds)
{
    uint8_t packet[1024];
    struct feed_message head = {.magic = FEED_MAGIC,
                                .type = (uint16_t)type,
                                .sub = sub,
                                .size = (uint32_t)(sizeof(head) + bytes)};

    must(sizeof(head) + bytes <= sizeof(packet), "a small packet");
    memcpy(packet, &head, sizeof(head));
    memcpy(packet + sizeof(head), body, bytes);
    bool sent = feed_fake_send(fake, packet, head.size, fds, n_fds);
    while (!sent && errno == EAGAIN) { /* a reader in another thread makes room */
        struct pollfd poll_fd = {.fd = fake->conn, .events = POLLOUT};
        must(poll(&poll_fd, 1, 20000) == 1, "room to send");
        sent = feed_fake_send(fake, packet, head.size, fds, n_fds);
    }
    must(sent, "send");
}

void feed_fake_welcome(struct feed_fake *fake)
{
    struct feed_hello hello = {
        .version_min = FEED_VERSION, .version_max = FEED_VERSION, .boot_ms = feed_boot_ms()};

    feed_fake_say(fake, FEED_WELCOME, 0, &hello, sizeof(hello), NULL, 0);
}

void feed_fake_snapshot(struct feed_fake *fake, uint32_t sub, uint64_t generation,
                        const uint8_t *bytes, size_t size)
{
    int fd = feed_memfd(bytes, size, FEED_SEALS_ALL);
    struct feed_snapshot body = {generation, size};

    feed_fake_say(fake, FEED_SNAPSHOT, sub, &body, sizeof(body), &fd, 1);
    (void)close(fd);
}

void feed_fake_renew(struct feed_fake *fake, uint32_t sub, const struct feed_renew *renew)
{
    feed_fake_say(fake, FEED_RENEW, sub, renew, sizeof(*renew), NULL, 0);
}

void feed_fake_error(struct feed_fake *fake, uint32_t sub, const char *code, const char *why)
{
    uint8_t body[sizeof(struct feed_error) + FEED_WHY_MAX_BYTES] = {0};

    memcpy(body, code, strlen(code));
    memcpy(body + sizeof(struct feed_error), why, strlen(why));
    feed_fake_say(fake, FEED_ERROR, sub, body, sizeof(struct feed_error) + strlen(why), NULL, 0);
}
