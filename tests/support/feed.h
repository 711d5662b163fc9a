/* tests/support/feed.h - the daemon's side of the feed for tests: snapshots of record sets by a
 * builder that shares nothing with the daemon's, and a daemon that says what a test tells it to
 * say. */
#ifndef MS_TESTS_FEED_H
#define MS_TESTS_FEED_H

#include "include/measured/feed_format.h"
#include "resolver/records/records.h"

#include <sys/types.h>

struct feed_release_in {
    const struct rec_set *set;
    uint64_t id;
    const char *version;
    int64_t from_ms, until_ms;
};

struct feed_snapshot_in {
    const struct feed_release_in *releases;
    size_t n_releases;
    uint64_t generation, sequence, seed;
    int64_t fresh_until_ms, hard_until_ms;
    uint32_t state;
    bool serve;
    uint8_t key; /* its first byte */
};

/* Every record has a shape and a table of its own, which docs/feed.md allows. Exactly *ret_size
 * bytes, to be freed. */
uint8_t *feed_snapshot_new(const struct feed_snapshot_in *in, size_t *ret_size);

/* One record "id" of dcap-tdx that pins register 0 to 48 times `byte`, in force for ever; the rest
 * of `in` as it is. */
uint8_t *feed_snapshot_of_byte(const struct feed_snapshot_in *in, uint8_t byte, size_t *ret_size);

/* CLOCK_BOOTTIME in ms. */
int64_t feed_boot_ms(void);

/* ---- a daemon of our own ---- */

struct feed_fake {
    char dir[64];
    int listener, conn;
};

void feed_fake_start(struct feed_fake *fake); /* in a new folder */
void feed_fake_listen(struct feed_fake *fake);
void feed_fake_unlisten(
    struct feed_fake *fake); /* as a daemon that is gone; its connection stays */
void feed_fake_hang_up(struct feed_fake *fake);
void feed_fake_stop(struct feed_fake *fake);
/* Takes a connection when one comes within wait_ms. */
bool feed_fake_accept(struct feed_fake *fake, int wait_ms);
/* The next packet of the reader; its bytes, 0 when it has closed, -1 when none comes within
 * wait_ms. */
ssize_t feed_fake_read(struct feed_fake *fake, void *packet, size_t max, int wait_ms);
/* The same, which must be of this type; its subscription number. */
uint32_t feed_fake_want(struct feed_fake *fake, enum feed_type type);

/* A packet as it is, with these descriptors; false when the reader does not take it. */
bool feed_fake_send(struct feed_fake *fake, const void *packet, size_t bytes, const int *fds,
                    size_t n_fds);
void feed_fake_say(struct feed_fake *fake, enum feed_type type, uint32_t sub, const void *body,
                   size_t bytes, const int *fds, size_t n_fds);
void feed_fake_welcome(struct feed_fake *fake);
void feed_fake_snapshot(struct feed_fake *fake, uint32_t sub, uint64_t generation,
                        const uint8_t *bytes, size_t size);
void feed_fake_renew(struct feed_fake *fake, uint32_t sub, const struct feed_renew *renew);
void feed_fake_error(struct feed_fake *fake, uint32_t sub, const char *code, const char *why);

#define FEED_SEALS_ALL 15 /* F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE */
int feed_memfd(const uint8_t *bytes, size_t size, int seals);

#endif
