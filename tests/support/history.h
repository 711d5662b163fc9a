/* tests/support/history.h - a registry that never was: operations as its contract would log them,
 * and the state they lead to. */
#ifndef MS_TESTS_HISTORY_H
#define MS_TESTS_HISTORY_H

#include "resolver/source/history_chain.h"

#define FAKE_OPERATIONS_MAX 512
#define FAKE_HISTORY_START_S 1700000000u /* of block 0; a second a block */

struct fake_history {
    struct ms_arena arena;
    struct eth_addr registry;
    size_t n;
    struct eth_log log[FAKE_OPERATIONS_MAX + 1];
    struct registry_event event[FAKE_OPERATIONS_MAX]; /* what each log says */
    struct registry_state state;
    uint64_t n_releases;
    struct registry_release live[REGISTRY_RELEASES_MAX];
    size_t n_live;
};

void fake_history_init(struct fake_history *fake);
void fake_history_done(struct fake_history *fake);
/* One operation in `block`, a second a block; picks what is possible there by itself. `pick` any
 * number. */
void fake_history_add(struct fake_history *fake, uint64_t block, uint64_t pick);
/* Chosen ones, after the first: with a document on chain, of the release that is the i-th of those
 * live. */
void fake_history_approve(struct fake_history *fake, uint64_t block, const char *document,
                          uint64_t not_before_s, uint64_t not_after_s);
/* With a size that is not the document's. */
void fake_history_approve_wrong(struct fake_history *fake, uint64_t block, const char *document);
void fake_history_revoke(struct fake_history *fake, uint64_t block, size_t i);
void fake_history_heartbeat(struct fake_history *fake, uint64_t block, uint64_t valid_until_s);
/* A log as eth_getLogs tells it (new reference). */
json_t *fake_log_json(const struct eth_log *log, size_t index);

#endif
