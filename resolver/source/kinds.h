/* resolver/source/kinds.h - what each kind of source implements; private to resolver/source/. */
#ifndef MS_SOURCE_KINDS_H
#define MS_SOURCE_KINDS_H

#include "resolver/source/source.h"

#define SOURCE_ARENA_MAX_BYTES ((size_t)24 << 20)

struct source {
    const struct spec *spec;
    struct source_policy policy;
    struct source_previous previous;
    bool asked[SOURCE_PROVIDERS_MAX];
    bool faulted[SOURCE_PROVIDERS_MAX]; /* no usable answer: the provider's own failing */
    bool lied[SOURCE_PROVIDERS_MAX];    /* gave something that does not verify */
    bool busy[SOURCE_PROVIDERS_MAX];    /* asked to be left alone */
    struct source_manners learned[SOURCE_PROVIDERS_MAX];
    size_t owing[SOURCE_PROVIDERS_MAX]; /* messages without an answer */
    int64_t started_s;                  /* wall clock of source_new */
    struct ms_arena arena;              /* request bodies, copies of strings */
    enum source_state state;
    enum ms_err err;
    struct ms_diag diag;
    int64_t negative_s, retry_s;
    struct source_result *result;
    size_t n_kept; /* owned */
    struct source_kept kept[SOURCE_KEPT_MAX];
    json_t *carry; /* signed sets: for the next attempt; freed with the source */
    bool has_fork; /* signed sets: two sets of one sequence, neither known before */
    uint64_t fork_epoch, fork_sequence;
    json_t *record;  /* answers that may be kept; freed with the source */
    json_t *scratch; /* what a kind keeps between steps outside the arena; freed with the source */
    /* Attempts of their own that this one makes (source_child), newest first; freed with it. */
    struct source *children, *next_child;

    size_t n_requests, n_taken;
    struct source_request requests[SOURCE_REQUESTS_MAX];
    bool answered[SOURCE_REQUESTS_MAX];
    uint32_t n_waits, wait_id; /* wait_id: the one that counts, 0 for none */
    int64_t wait_ms;
    bool wait_taken;
    size_t bytes; /* of all bodies so far */

    /* the kind's own step and what it keeps between steps */
    enum source_state (*step)(struct source *s, const struct source_response *response,
                              struct ms_now now);
    void *kind_state;                  /* in the arena */
    const struct documents *documents; /* of its releases, once they were asked for; or NULL */
};

/* End the attempt. The first cause wins. Returns SOURCE_FAILED. */
enum source_state source_fail(struct source *s, enum ms_err err, const struct ms_diag *diag);
enum source_state source_failf(struct source *s, enum ms_err err, const char *fmt, ...)
    MS_PRINTF(3, 4);
/* As source_fail, remembered for negative_s seconds: a definite no. */
enum source_state source_fail_negative(struct source *s, enum ms_err err, int64_t negative_s,
                                       const char *fmt, ...) MS_PRINTF(4, 5);

/* Queue a request; its id is set. NULL after source_fail when there are too many. */
struct source_request *source_want(struct source *s, const struct source_request *request);
/* Ask to be told when `ms` have passed, in place of any wait before: the step then gets a response
 * with an id above SOURCE_REQUESTS_MAX, unless wait_id is set to 0 meanwhile. false when there were
 * too many. */
bool source_want_wait(struct source *s, int64_t ms);

/* An attempt that wants something, with an arena of so many bytes; spec may be NULL and is
 * borrowed. Its kind is for the caller to set. NULL when out of memory. */
struct source *source_begin(const struct spec *spec, const struct source_policy *policy,
                            size_t arena_max, int64_t started_s);

/* What a maker ends with: the attempt, or on error nothing. */
MS_MUST_USE enum ms_err source_made(struct source *s, enum ms_err err, struct source **ret_source);

/* An attempt inside another one, under its policy and begun when it was: its kind is for the caller
 * to set, who also steps it and passes its requests on. `spec` lives as long as the parent, which
 * frees it. NULL when out of memory. */
struct source *source_child(struct source *parent, const struct spec *spec, size_t arena_max);
/* What the parent says of providers covers what its children have seen (source_conduct). */
void source_merge_conduct(struct source *parent);

/* A zeroed result with its arena, kept in s->result. NULL when out of memory. */
struct source_result *source_result_begin(struct source *s);
/* A new release whose set is to be filled by the caller; NULL when out of memory. */
struct source_release *source_result_add_release(struct source_result *result);
/* Fill set_hash from the releases and finish: returns SOURCE_DONE, or SOURCE_FAILED. */
enum source_state source_finish(struct source *s);

/* Unix time of governance, which may name any. */
int64_t source_clamp_time(uint64_t unix_s);

/* Read `body` as a measurement document into a new release (id 1). On error the attempt has failed.
 */
bool source_read_document(struct source *s, struct ms_span body, enum rec_mode mode);

/* ---- the kinds ---- */
enum ms_err source_inline_init(struct source *s, struct ms_now now, struct ms_diag *diag);
enum ms_err source_location_init(struct source *s, struct ms_now now, struct ms_diag *diag);
enum ms_err source_contract_init(struct source *s, struct ms_now now, struct ms_diag *diag);
enum ms_err source_signed_init(struct source *s, struct ms_now now, struct ms_diag *diag);

#endif
