/* resolver/source/set_walk.h - the sets that signers signed before the accepted one, fetched back
 * from it: each is the one that the set after it names as `previous`, which proves it whatever
 * server gave it (ethereum.md 5.1, 7.3). Of a set that no server has nothing can be proven by hash;
 * those below such a gap are taken only when enough of a known root's signers signed them.
 *
 * A walk is a struct source: source_step, source_take_request, source_error, source_retry_s and
 * source_free work on it. It has no result, but what it found. One walk takes a number of sets; the
 * next begins where it ended. Pure; not thread-safe. */
#ifndef MS_SOURCE_SET_WALK_H
#define MS_SOURCE_SET_WALK_H

#include "resolver/source/set_chain.h"
#include "resolver/source/source.h"

#define SET_WALK_SETS_MAX 16u    /* of one walk: what a crash may lose */
#define SET_WALK_NUMBERS_MAX 32u /* of one walk, be they there or not */
#define SET_WALK_MISSING_MAX 64u /* in a row: then those below are not looked for */

/* Where a walk stands, below a set that is proven. */
struct set_at {
    uint64_t sequence;     /* of that set */
    struct eth_hash named; /* what it names as the set before it; zero: it was the first */
    uint64_t number;       /* to be asked for next; lower than sequence - 1: those between are not
                              to be had. 0: none is left */
};

/* Below the set with this sequence. */
struct set_at set_at_below(uint64_t sequence, const struct eth_hash *named);
/* Nothing is left to be asked for: the first set was reached, or too many are missing. */
bool set_at_ended(const struct set_at *at);

struct set_walk {
    struct set_at from;
    uint64_t until;      /* a set of this number is stored: the walk ends when it is the next one to
                            be asked for; 0: none */
    const json_t *carry; /* of the answer: roots, verified again. Borrowed for the call of new */
    size_t n_hosts;      /* where sets are looked for, unless at= says */
    const char *const *hosts; /* borrowed for the call of new */
};

struct set_found {
    struct eth_hash hash, previous;
    uint64_t sequence;
    bool linked;         /* the set taken before it names it; else its signers prove it */
    struct ms_span text; /* as served; lives as long as the walk */
    uint32_t host;       /* gave it */
};

/* `spec` is of signers and outlives the walk. MS_ERR_UNAVAILABLE there is no place to look;
 * MS_ERR_SIGNERS, MS_ERR_SIGNATURE the roots do not follow one another; MS_ERR_MEMORY. */
MS_MUST_USE enum ms_err set_walk_new(const struct spec *spec, const struct source_policy *policy,
                                     const struct set_walk *walk, struct ms_now now,
                                     struct source **ret_walk, struct ms_diag *diag);

/* When it has ended, well or not; borrowed, from the newest back. MS_ERR_UNAVAILABLE: no host could
 * be asked, and nothing was found. */
size_t set_walk_found(const struct source *walk, const struct set_found **ret_found);
/* Where the next one begins. */
struct set_at set_walk_next(const struct source *walk);

/* What hosts did, in the order of their doing; more are left out. */
#define SET_WALK_COMPLAINTS_MAX 16u
struct set_complaint {
    uint32_t host;
    struct ms_diag diag;
};
size_t set_walk_complaints(const struct source *walk, const struct set_complaint **ret);
/* By what name the host is told, "example.org:8443"; the one asked last when it is UINT32_MAX. ""
 * when there is none. Lives as long as the walk. */
const char *set_walk_host(const struct source *walk, uint32_t host);

#endif
