/* tests/support/core/world.h - the real core under a fake clock: fetches are recorded and answered
 * by the test, the store can be slow or fail, the disk can have rows. One world at a time; a cmocka
 * failure ends the test. */
#ifndef MS_TESTS_WORLD_H
#define MS_TESTS_WORLD_H

#include "resolver/daemon/core.h"
#include "tests/support/mapping.h"
#include "tests/support/play.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define BOOT_MS INT64_C(5000000)
#define WALL_S (CHAIN_GENESIS_S + 12 * 180) /* when the clocks begin */
#define ENTRIES_MAX 300u
#define OUT_MAX 64

struct sent {
    uint64_t tag;
    struct source_request request;
};

struct world {
    struct core *core;
    struct table *table;
    struct core_options options;
    struct clients *clients;
    struct client_limits limits; /* none unless a test sets them */
    struct ms_now now;
    int64_t wall_offset_s; /* how far the wall clock has been set, for tick_at */
    uint32_t random;       /* what the core gets: 0 means no backoff at all */
    struct sent out[OUT_MAX];
    size_t n_out, n_fetches, n_cancels;
    uint64_t shared_tag; /* the last one told */
    struct core_change *stores[OUT_MAX];
    size_t n_stores, n_bundles; /* n_bundles: changes ever to be stored with evidence */
    bool store_slow;
    enum ms_err store_err;
    struct answer_id loads[OUT_MAX];
    size_t n_loads, n_loads_ever;
    bool load_slow;
    struct core_loaded *row; /* given to the next load when set */
    size_t n_benched;
    bool benched[SOURCE_PROVIDERS_MAX];
    struct source_manners manners[SOURCE_PROVIDERS_MAX];
    enum source_conduct conduct[SOURCE_PROVIDERS_MAX]; /* the last one told */
    size_t n_attempts;                                 /* begun, as the first provider sees it */
    const char *needle;
    size_t n_needles; /* messages with it */
    char last_event[64];
    struct node nodes[4];
    struct ms_buf last_bundle;
    /* what is on disk of the one entry of a scenario: the row, and its evidence */
    bool saved;
    struct answer_id saved_id; /* the first that was stored; others are not kept */
    struct entry saved_entry;
    struct ms_sha256 saved_set;
    struct ms_buf saved_bundle;
};

extern struct world w;

/* ---- life; the policy is l3 over two endpoints until it is changed ---- */
void world_start(void); /* a core with w.options, and an empty table */
void world_stop(void);
int world_setup(void **state);
int world_teardown(void **state);

/* ---- time and the store ---- */
/* What is out but needs no answer of a test: loads and stores, unless they are slow. */
void settle(void);
void settle_stores(void);
void settle_loads(void);
/* Throw the core away and start another that finds what was stored, `down_ms` later by the wall
 * clock. reboot: the boot clock begins anew. */
void world_restart(bool reboot, int64_t down_ms);
/* ms later on both clocks, and a tick. */
void tick_at(int64_t ms);

/* ---- the callers ---- */
struct caller {
    struct core_request r;
    struct spec spec_kept;
    bool done;
    struct answer *answer; /* what it may see: in the table, of its generation */
    bool serve;
    enum entry_state state;
    enum ms_err err; /* of the request, or of the answer */
    char envelope[65536];
};

struct outcome {
    bool done, serve;
    enum entry_state state;
    enum ms_err err;
};

/* The text as play_text has it; the heap's. */
struct spec *spec_of(const char *text);
struct answer_id id_of(const char *text);
struct caller *new_caller(const char *text);
struct caller *ask(const char *text);
struct caller *ask_as(const char *text, uint64_t client);
struct caller *ask_with(const char *text, bool force, int64_t max_age_s);
/* As a check that a compose hash is approved. */
struct caller *ask_about(const char *text, uint8_t byte);
/* About two values in one question, by somebody who waits no longer than wait_ms (0: as ever). */
struct caller *ask_about_both(const char *text, uint8_t one, uint8_t other, int64_t wait_ms);
/* What it got; it must be done. Frees it. */
struct outcome end(struct caller *c);
/* What a worker finds without asking the core; false: it must ask. */
bool fast(const char *text, bool *ret_serve);
bool fast_serves(const char *text);

#define expect_served(caller, want)                                        \
    do {                                                                   \
        struct outcome o_ = end(caller);                                   \
        if (!o_.serve || o_.state != (want))                               \
            fail_msg("line %d: serve %d, %s, %s", __LINE__, (int)o_.serve, \
                     entry_state_name(o_.state), ms_err_name(o_.err));     \
    } while (0)

#define expect_refused(caller, want)                                       \
    do {                                                                   \
        struct outcome o_ = end(caller);                                   \
        if (o_.serve || o_.err != (want))                                  \
            fail_msg("line %d: serve %d, %s, %s", __LINE__, (int)o_.serve, \
                     entry_state_name(o_.state), ms_err_name(o_.err));     \
    } while (0)

/* ---- the upstream ---- */
/* Answer the i-th request that is out. */
void respond(size_t i, struct source_response r);
/* The one request out is answered, with a document (max-age=100), a status, or not at all. */
void reply(const char *body);
void reply_with(const char *body, const char *cache_control, const char *etag);
void reply_status(uint32_t status);
void reply_error(enum ms_err err);
void node_replies(size_t i);
/* Nodes answer whatever is out, until nothing is or what is left hangs. */
void chain_replies(void);
/* All nodes tell about this chain, at a finalized block that is 14 minutes old, or a new one. */
void use_chain(const struct chain *chain);

#endif
