/* resolver/source/contract_kept.h - level L3 where no endpoint proves finalized state, only the
 * newest: what was read and proven at a head is kept, and counts when that block is final and a
 * quorum still calls it by that hash (ethereum.md 2.4, "head-only providers"). Private to
 * resolver/source/. */
#ifndef MS_SOURCE_CONTRACT_KEPT_H
#define MS_SOURCE_CONTRACT_KEPT_H

#include "resolver/source/contract.h"

#define KEPT_SPACING_S \
    120 /* between two blocks that are kept: finality takes 13 minutes and more */

struct kept {
    int chosen; /* index of source.kept, -1: none is final yet */
    bool captured, code_asked;
    struct {
        bool has;
        struct eth_header header;
    } votes[SOURCE_PROVIDERS_MAX]; /* for the chosen one's block */
    struct trusted_hash pin;       /* when they agree */
};

/* Whether this is the way to go, by what the endpoints prove. */
bool kept_needed(const struct source *s);
/* Ask for the newest state, and for the block of what was kept. */
enum source_state kept_start(struct source *s);
/* When nothing is out: WANTS; DONE: contract.final holds what was kept, contract.kept->pin is its
 * block; FAILED. */
enum source_state kept_next(struct source *s);
void kept_result(struct source *s, uint32_t peer, const json_t *result);

#endif
