/* cli/safe_builder.h - files for the Transaction Builder of the Safe web app: transactions that its
 * owners import, look at and sign as one. Pure. */
#ifndef MS_CLI_SAFE_BUILDER_H
#define MS_CLI_SAFE_BUILDER_H

#include "base/json.h"
#include "eth/address.h"

#define BUILDER_MAX_BYTES ((size_t)1 << 20)
#define BUILDER_TRANSACTIONS_MAX 64
#define BUILDER_CHECKSUM_TEXT 67 /* "0x", 64 digits, NUL */

struct builder_file {
    uint64_t chain_id;
    const struct eth_addr *safe; /* NULL: any */
    const char *name;            /* what the app shows above the transactions; printable ASCII */
    uint64_t created_at_ms;      /* Unix time */
};

/* A transaction for builder_new; a new reference, NULL when out of memory. */
json_t *builder_transaction(const struct eth_addr *to, struct ms_span data);
/* A file with its checksum; takes the reference to the array. NULL when out of memory. */
json_t *builder_new(const struct builder_file *file, json_t *transactions);
/* The app's own checksum, which shows that a file was changed: Keccak-256 of a canonical text of
 * all but the checksum and the name. MS_ERR_MEMORY; MS_ERR_SYNTAX a number that is no integer */
MS_MUST_USE enum ms_err builder_checksum(const json_t *file, char out[BUILDER_CHECKSUM_TEXT]);
/* Read such a file, from the app or from us.
 *   ret_chain         of all its transactions
 *   ret_transactions  a new reference to the array
 * MS_ERR_JSON..., MS_ERR_LIMIT; MS_ERR_SYNTAX another format, or a transaction without data or
 * address; MS_ERR_HASH its checksum is not that of the file */
MS_MUST_USE enum ms_err builder_parse(struct ms_span text, uint64_t *ret_chain,
                                      json_t **ret_transactions, struct ms_diag *diag);

#endif
