/* tests/support/play.h - plays one attempt of a source with scripted answers, and replays its
 * bundle: every play that ends well is written as a bundle, verified, and must reach the same
 * verdict. */
#ifndef MS_TESTS_PLAY_H
#define MS_TESTS_PLAY_H

#include "resolver/entry/bundle.h"
#include "tests/support/chain.h"

enum play_order { PLAY_FIFO = 0, PLAY_LIFO, PLAY_RANDOM };

struct play {
    const char *spec; /* for play_text */
    struct source_policy policy;
    struct source_previous previous;
    struct ms_now now;
    struct node *nodes; /* one for each provider of the policy */
    /* answers an HTTP request; what it points to lives until the next call. Its id is set by the
     * play. */
    struct source_response (*http)(void *arg, const struct source_request *request);
    void *arg;
    enum play_order order;
    uint32_t seed;
    bool impatient;    /* waits are over at once; else when nobody who answers is left */
    bool keep_options; /* level=, seq= and the like of the specifier stay, as without a core */

    /* outcome */
    enum ms_err err; /* of source_new or of the attempt; MS_OK when done */
    struct ms_diag diag;
    int64_t negative_s;
    bool lied[SOURCE_PROVIDERS_MAX];
    enum source_conduct conduct[SOURCE_PROVIDERS_MAX];
    struct source_manners learned[SOURCE_PROVIDERS_MAX];
    struct source_result *result;
    size_t n_requests;
    struct ms_buf bundle; /* when done */
    size_t n_kept;        /* for the next attempt's previous.kept */
    struct source_kept kept[SOURCE_KEPT_MAX];
};

void play_run(struct play *play);
void play_done(struct play *play);

/* "url:https://...", "inline:[...]" and "sha256:...;at=https://..." as a person would write them,
 * encoded as the grammar wants them; other texts as they are. Static storage, overwritten by the
 * next call. */
const char *play_text(const char *text);

/* A policy at this level over n providers of chain 1, each its own group "a", "b", ..., proofs
 * finalized. */
struct source_policy play_policy(enum spec_level level, uint32_t quorum, size_t n);

#endif
