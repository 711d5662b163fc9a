/* resolver/source/owner.h - who owns a contract: a Safe with its owners, a timelock with what it is
 * about to do to the contract, or an account (consumers.md 3.3, ethereum.md 3.11). A description
 * for people and an early warning: nothing is approved by it, and when it cannot be had it is left
 * out. Private to resolver/source/. */
#ifndef MS_SOURCE_OWNER_H
#define MS_SOURCE_OWNER_H

#include "resolver/source/contract.h"

#define OWNER_OPERATIONS_MAX 16 /* of a timelock, the newest */

enum owner_phase { OWNER_VIEW = 0, OWNER_LOGS, OWNER_TIMES, OWNER_DONE };

struct owner_operation { /* scheduled, and for this contract */
    struct eth_hash id;
    uint8_t selector[4]; /* of the call; zero when it has none */
};

struct owner {
    enum owner_phase phase;
    bool begun;
    struct eth_addr address;
    struct reading view, times;
    bool logs_narrow; /* the whole range was refused */
    bool has_logs;
    struct eth_log_filter filter;
    size_t n_operations;
    struct owner_operation operations[OWNER_OPERATIONS_MAX];
    json_t *description; /* members for governance; the source's scratch */
};

/* The first time with the owner's address; WANTS while something is out, DONE when there is a
 * description or will be none. */
enum source_state owner_step(struct source *s, struct owner *o, const struct eth_addr *address);
/* As reading_hurry, of what is out. */
void owner_hurry(struct owner *o);
/* Calls of its own; false: none of them. */
bool owner_result(struct source *s, struct owner *o, uint32_t peer, const struct rpc_call *call,
                  const json_t *result);
bool owner_failed(struct source *s, struct owner *o, uint32_t peer, const struct rpc_call *call,
                  enum ms_err err, const struct ms_diag *diag);

#endif
