/* Checks from many threads while snapshots come, are renewed, replaced and freed. Each approval
 * must be of one snapshot from one end to the other. Built twice: with ASan, to which memory given
 * back too early shows, and by tests/plugin with ThreadSanitizer, to which an order that only seems
 * to hold does. */
#include "include/measured/measured.h"
#include "tests/support/feed.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define READERS 6
#define CHANGES 1500u

static struct feed_fake fake;
static struct measured *m;
static struct measured_set *set;
static atomic_bool done;
static atomic_uint_fast64_t approvals, refusals;

static void require(bool ok, const char *what)
{
    if (ok)
        return;
    (void)fprintf(stderr, "FAILED: %s\n", what);
    abort();
}

/* Generation g approves the byte g % 251. */
static void *read_on(void *arg)
{
    uint8_t byte = *(const uint8_t *)arg, value[48];
    struct measured_register reg = {0, value, sizeof(value)};
    struct measured_match match;
    struct measured_description description;
    uint64_t newest = 0;

    while (!atomic_load(&done)) {
        memset(value, byte, sizeof(value));
        switch (measured_check(set, "dcap-tdx", &reg, 1, &match)) {
        case MEASURED_APPROVED:
            require(match.generation % 251 == byte, "a byte of another generation");
            require(match.generation >= newest, "time goes back");
            require(strcmp(match.measurement_id, "id") == 0, "another id");
            newest = match.generation;
            (void)atomic_fetch_add(&approvals, 1);
            break;
        case MEASURED_REFUSED:
        case MEASURED_UNKNOWN:
            (void)atomic_fetch_add(&refusals, 1);
            break;
        }
        measured_describe(set, &description);
        require(description.generation >= newest, "described before it was");
        byte = (uint8_t)(description.generation % 251); /* go with what is now */
    }
    return NULL;
}

static void *say_on(void *arg)
{
    struct feed_snapshot_in in = {.hard_until_ms = FEED_NEVER,
                                  .fresh_until_ms = FEED_NEVER,
                                  .state = FEED_STATE_FRESH,
                                  .serve = true};
    uint32_t sub;

    (void)arg;
    require(feed_fake_accept(&fake, 10000), "a connection");
    (void)feed_fake_want(&fake, FEED_HELLO);
    feed_fake_welcome(&fake);
    sub = feed_fake_want(&fake, FEED_SUBSCRIBE);
    for (uint64_t generation = 1; generation <= CHANGES; generation++) {
        size_t size;
        in.generation = generation;
        uint8_t *bytes = feed_snapshot_of_byte(&in, (uint8_t)(generation % 251), &size);
        feed_fake_snapshot(&fake, sub, generation, bytes, size);
        free(bytes);
        feed_fake_renew(&fake, sub,
                        &(struct feed_renew){.generation = generation,
                                             .fresh_until_ms = FEED_NEVER,
                                             .hard_until_ms = FEED_NEVER,
                                             .state = FEED_STATE_SWR});
        if (generation % 8 == 0) /* some of them live for a while */
            (void)poll(NULL, 0, 1);
    }
    return NULL;
}

static uint64_t pump_until(uint64_t wanted)
{
    struct measured_description description = {0};
    int64_t give_up_ms = feed_boot_ms() + 60000;

    while (description.generation < wanted && feed_boot_ms() < give_up_ms) {
        struct pollfd poll_fd = {.fd = measured_fd(m), .events = POLLIN};
        (void)poll(&poll_fd, 1, 100);
        require(measured_pump(m) == 0, "the connection stands");
        measured_describe(set, &description);
    }
    return description.generation;
}

int main(void)
{
    pthread_t readers[READERS], daemon_thread;
    uint8_t bytes[READERS];

    feed_fake_start(&fake);
    m = measured_open(fake.dir);
    require(m != NULL, "open");
    set = measured_subscribe(m, "sha256:aa");
    require(set != NULL, "subscribe");
    require(pthread_create(&daemon_thread, NULL, say_on, NULL) == 0, "thread");
    for (size_t i = 0; i < READERS; i++) {
        bytes[i] = (uint8_t)i;
        require(pthread_create(&readers[i], NULL, read_on, &bytes[i]) == 0, "thread");
    }
    uint64_t reached = pump_until(CHANGES);
    atomic_store(&done, true);
    for (size_t i = 0; i < READERS; i++)
        (void)pthread_join(readers[i], NULL);
    (void)pthread_join(daemon_thread, NULL);
    measured_close(m);
    feed_fake_stop(&fake);
    printf("%llu changes, %llu approvals, %llu other answers\n", (unsigned long long)reached,
           (unsigned long long)approvals, (unsigned long long)refusals);
    require(reached == CHANGES, "all changes");
    require(approvals > CHANGES, "approvals while it changes");
    return 0;
}
