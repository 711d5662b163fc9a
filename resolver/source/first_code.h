/* resolver/source/first_code.h - the block in which a contract appeared, by asking for its code in
 * the middle of what is left. Only endpoints with old states can say, and believed is what as many
 * groups as the quorum say: whoever says too late a block hides what was before.
 *
 * For a walk with an rpcset of its own, one request at a time. Private to resolver/source/. */
#ifndef MS_SOURCE_FIRST_CODE_H
#define MS_SOURCE_FIRST_CODE_H

#include "resolver/source/rpcset.h"

#define FIRST_CODE_WHAT 32u

struct first_code {
    struct rpcset *set;
    const struct eth_addr *address; /* borrowed */
    uint64_t low, high;             /* no code below low, code at high: then it is in between */
    uint32_t peer;
    bool has_peer;
    bool mute[SOURCE_PROVIDERS_MAX]; /* does not say what code there was */
    bool said[SOURCE_PROVIDERS_MAX]; /* that it appeared in `high` */
    bool done;
    size_t n_requests;
};

/* `search` lies in the source's arena; looks at blocks up to `last`. */
void first_code_begin(struct first_code *search, struct rpcset *set, const struct eth_addr *address,
                      uint64_t last);
/* WANTS: one request is out; DONE; FAILED: the attempt has. */
enum source_state first_code_next(struct first_code *search);
/* 0 when nobody, or too few, can say. */
uint64_t first_code_block(const struct first_code *search);
void first_code_result(struct first_code *search, uint32_t peer, const struct rpc_call *call,
                       const json_t *result);
bool first_code_failed(struct first_code *search, uint32_t peer, enum ms_err err);

#endif
