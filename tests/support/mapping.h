/* tests/support/mapping.h - dstack's and flashtestations' contracts for tests/support/chain.h: what
 * they answer when asked what they are, where they store what they approve, what they log. Written
 * from the contracts, not from the adapter. */
#ifndef MS_TESTS_MAPPING_H
#define MS_TESTS_MAPPING_H

#include "resolver/source/source.h"
#include "tests/support/chain.h"

/* Each an empty one with an owner; its code differs from the others'. */
void mapping_app(struct chain_contract *contract);
void mapping_kms(struct chain_contract *contract);
/* version: the formula of workload ids, 1 or 2; 0: another one. */
void mapping_policy(struct chain_contract *contract, uint32_t version);

/* The value of candidates here: `byte` 32 times. */
struct source_candidate mapping_candidate(enum source_candidate_kind kind, uint8_t byte);
/* As the contract's owner would do, without the log. */
void mapping_set(struct chain_contract *contract, const struct source_candidate *candidate,
                 bool approved);
/* Flags of an app. */
void mapping_any_device(struct chain_contract *app, bool on);
void mapping_require_tcb(struct chain_contract *app, bool on);

/* The gateway that a KMS names; `id` has at most 96 bytes. */
void mapping_gateway(struct chain_contract *kms, const char *id);
/* Whether a KMS knows an app. */
void mapping_register(struct chain_contract *kms, const struct eth_addr *app, bool registered);

/* The event that tells of it. */
struct chain_log mapping_log(const struct chain *chain, const struct source_candidate *candidate,
                             uint64_t block);

/* Answer data that begins with `selector` in this way; NULL: revert. `word` is kept by the caller.
 */
void mapping_answer(struct chain_contract *contract, const uint8_t selector[4],
                    const struct eth_word *word);

#endif
