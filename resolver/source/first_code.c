/* resolver/source/first_code.c - halves, then a second opinion. */
#include "resolver/source/first_code.h"

#define REQUESTS_MAX 128u /* two searches, and some who contradict each other */

void first_code_begin(struct first_code *f, struct rpcset *set, const struct eth_addr *address,
                      uint64_t last)
{
    *f = (struct first_code){.set = set, .address = address, .high = last};
}

static bool enough(const struct first_code *f)
{
    return rpcset_groups(f->set, f->said) >= f->set->s->policy.quorum;
}

static bool group_said(const struct first_code *f, uint32_t peer)
{
    for (uint32_t p = 0; p < rpcset_n(f->set); p++)
        if (f->said[p] && rpcset_same_group(f->set, p, peer))
            return true;
    return false;
}

static bool can_ask(const struct first_code *f, uint32_t p)
{
    return rpcset_alive(f->set, p) && !f->mute[p] && !group_said(f, p);
}

static bool pick_peer(struct first_code *f)
{
    if (f->has_peer && can_ask(f, f->peer))
        return true;
    for (uint32_t p = 0; p < rpcset_n(f->set); p++) {
        if (!can_ask(f, p))
            continue;
        if (rpcset_groups(f->set, f->said) == 0)
            f->low = 0; /* what another one said there was not is its word alone */
        f->peer = p;
        f->has_peer = true;
        return true;
    }
    return false;
}

/* Whether what is found needs nobody else's word, or somebody is to be asked for it. */
static bool confirm(struct first_code *f)
{
    f->said[f->peer] = true;
    if (f->high == 0 || enough(f))
        return false;
    f->low = f->high - 1; /* was there code just before? */
    return true;
}

enum source_state first_code_next(struct first_code *f)
{
    if (!f->done && f->has_peer && f->low == f->high)
        f->done = !confirm(f);
    if (!f->done && f->low < f->high && (f->n_requests == REQUESTS_MAX || !pick_peer(f))) {
        f->done = true;
        f->high = 0;
    }
    if (f->done || f->low == f->high)
        return SOURCE_DONE;
    struct rpc_call call = {
        .method = RPC_CODE,
        .what = FIRST_CODE_WHAT,
        .hint = true,
        .to = *f->address,
        .block = {.form = ETH_BLOCK_NUMBER, .number = f->low + (f->high - f->low) / 2}};
    f->n_requests++;
    return rpcset_send(f->set, f->peer, &call, 1) ? SOURCE_WANTS : SOURCE_FAILED;
}

uint64_t first_code_block(const struct first_code *f)
{
    return f->high;
}

void first_code_result(struct first_code *f, uint32_t peer, const struct rpc_call *call,
                       const json_t *result)
{
    const char *code = json_string_value(result);

    if (code == NULL || strncmp(code, "0x", 2) != 0) {
        f->mute[peer] = true;
        return;
    }
    if (code[2] == '\0') {
        f->low = call->block.number + 1;
        return;
    }
    f->high = call->block.number;
    if (rpcset_groups(f->set, f->said) > 0) { /* it contradicts who said it was not there yet */
        memset(f->said, 0, sizeof(f->said));
        f->low = 0;
    }
}

/* An error of its own: it has no old states. */
bool first_code_failed(struct first_code *f, uint32_t peer, enum ms_err err)
{
    if (err != MS_ERR_RPC)
        return false;
    f->mute[peer] = true;
    return true;
}
