/* eth/jsonrpc.h - Ethereum JSON-RPC messages: requests into a buffer, answers from hostile bytes.
 *
 * Only messages: no transport, no retries. An answer is believed to answer our request only when it
 * carries our ids, each once. Pure; thread-safe. https://ethereum.github.io/execution-apis,
 * https://www.jsonrpc.org/specification, EIP-1898. */
#ifndef MS_ETH_JSONRPC_H
#define MS_ETH_JSONRPC_H

#include "base/arena.h"
#include "eth/address.h"
#include "eth/quantity.h"

#define ETH_RPC_BATCH_MAX 8  /* calls in a batch: public gateways refuse more */
#define ETH_RPC_DEPTH_MAX 16 /* nesting of an answer */
#define ETH_RPC_VALUES_MAX 65536
#define ETH_RPC_LARGE_VALUES_MAX 131072 /* of an answer that may exceed ETH_RPC_BODY_MAX_BYTES */
#define ETH_RPC_BODY_MAX_BYTES 1048576
#define ETH_RPC_HEADERS_MAX_BYTES 262144 /* answers to batches that ask for headers only */
#define ETH_RPC_LOGS_MAX 4096            /* logs of one answer */
#define ETH_RPC_TOPICS_MAX 4
#define ETH_RPC_ANY_MAX 8 /* alternatives for topic 0 */

/* ---- requests ---- */
enum eth_block_form {
    ETH_BLOCK_NONE = 0, /* not set: refused */
    ETH_BLOCK_LATEST,
    ETH_BLOCK_SAFE,
    ETH_BLOCK_FINALIZED,
    ETH_BLOCK_NUMBER,
    ETH_BLOCK_HASH,           /* {"blockHash":"0x.."} */
    ETH_BLOCK_HASH_CANONICAL, /* the same with "requireCanonical":true */
    ETH_BLOCK_HASH_BARE,      /* "0x..": what servers take that do not know EIP-1898 */
};

struct eth_block_ref {
    enum eth_block_form form;
    uint64_t number;      /* NUMBER */
    struct eth_hash hash; /* HASH.. */
};

struct eth_log_filter {
    bool has_address;
    struct eth_addr address;
    const struct eth_addr *other; /* or logs of this one; NULL: of the first only */
    /* HASH, HASH_CANONICAL or HASH_BARE in `from`: just that block, and `to` is not looked at */
    struct eth_block_ref from, to;
    const struct eth_hash *topics; /* each position exactly this one */
    size_t n_topics;               /* at most ETH_RPC_TOPICS_MAX */
    const struct eth_hash
        *any;     /* instead of topics: topic 0 is one of these, the rest is anything */
    size_t n_any; /* at most ETH_RPC_ANY_MAX */
};

/* Writes one call, or a batch of up to ETH_RPC_BATCH_MAX; ids are first_id, first_id + 1, ... */
struct eth_rpc_writer {
    struct ms_buf *out; /* borrowed; errors stick in it */
    uint64_t first_id;
    size_t n; /* calls so far */
    bool batch;
};

void eth_rpc_begin(struct eth_rpc_writer *w, struct ms_buf *out, uint64_t first_id, bool batch);
/* Each appends a call and returns its id. More calls than fit are our bug (asserted). */
uint64_t eth_rpc_chain_id(struct eth_rpc_writer *w);
uint64_t eth_rpc_block_by_number(struct eth_rpc_writer *w, const struct eth_block_ref *block);
uint64_t eth_rpc_block_by_hash(struct eth_rpc_writer *w, const struct eth_hash *hash);
uint64_t eth_rpc_call(struct eth_rpc_writer *w, const struct eth_addr *to, struct ms_span data,
                      const struct eth_block_ref *block);
/* Keys are sent as 32 bytes: some nodes refuse shorter ones. */
uint64_t eth_rpc_get_proof(struct eth_rpc_writer *w, const struct eth_addr *address,
                           const struct eth_word *keys, size_t n_keys,
                           const struct eth_block_ref *block);
uint64_t eth_rpc_get_code(struct eth_rpc_writer *w, const struct eth_addr *address,
                          const struct eth_block_ref *block);
uint64_t eth_rpc_get_logs(struct eth_rpc_writer *w, const struct eth_log_filter *filter);
/* eth_getBlockReceipts, by tag or number (receipt.h reads the answer). */
uint64_t eth_rpc_get_receipts(struct eth_rpc_writer *w, const struct eth_block_ref *block);
/* debug_getRawHeader; not every provider has it. */
uint64_t eth_rpc_raw_header(struct eth_rpc_writer *w, const struct eth_block_ref *block);
/* Close the message. MS_ERR_ARGUMENT no call, or a block form that the call cannot carry;
 * MS_ERR_LIMIT, MS_ERR_MEMORY from the buffer. */
MS_MUST_USE enum ms_err eth_rpc_end(struct eth_rpc_writer *w);

/* ---- answers ---- */
/* What an error means for us. None ever means "not approved". */
enum eth_rpc_class {
    ETH_RPC_FAULT = 0,     /* provider fault; counts for the breaker */
    ETH_RPC_REVERT,        /* 3: the contract said no; deterministic; data is the ABI error */
    ETH_RPC_PARAMS,        /* -32602: the other shape of the block, or a smaller range of logs */
    ETH_RPC_LIMITED,       /* -32005: back off (HTTP 429 means the same) */
    ETH_RPC_UNKNOWN_BLOCK, /* -32001, -39001, "header not found", "not currently canonical": pin
                              anew */
    ETH_RPC_PRUNED,        /* 4444: no such history here */
    ETH_RPC_NO_METHOD,     /* -32601, -32004 */
    ETH_RPC_BATCH,         /* -32600 to a whole batch: send singly, and remember */
};
/* "revert", "params", ... for logs and metrics. Static storage. */
const char *eth_rpc_class_name(enum eth_rpc_class class);

struct eth_rpc_error {
    enum eth_rpc_class class;
    int64_t code;
    struct ms_span message; /* borrowed from the reply; untrusted, may hold any character */
    const json_t *data;     /* borrowed, NULL when there is none */
};

struct eth_rpc_answer {
    uint64_t id;
    const json_t *result;       /* borrowed from the reply; NULL: see error. May be a JSON null */
    struct eth_rpc_error error; /* when result is NULL */
};

struct eth_rpc_reply {
    json_t *root;
    bool whole_failed; /* one error for a whole batch: each answer carries it */
    size_t n;
    struct eth_rpc_answer answers[ETH_RPC_BATCH_MAX]; /* in the order of the calls */
};

/* Read the body that answers a message with ids first_id .. first_id + n - 1.
 *   batch      whether it was sent as a batch (n may be 1 even so)
 *   max_bytes  cap of the body
 *   ret_reply  eth_rpc_reply_done it; written only on MS_OK
 * A call that failed is not an error here: its answer says so.
 * MS_ERR_RPC_SHAPE  not a JSON-RPC 2.0 answer to this message
 * MS_ERR_LIMIT, MS_ERR_DEPTH, MS_ERR_JSON, MS_ERR_JSON_DUPLICATE, MS_ERR_UTF8  from the JSON parser
 */
MS_MUST_USE enum ms_err eth_rpc_read(struct ms_span body, size_t max_bytes, uint64_t first_id,
                                     size_t n, bool batch, struct eth_rpc_reply *ret_reply,
                                     struct ms_diag *diag);
void eth_rpc_reply_done(struct eth_rpc_reply *reply);

/* An answer's result, or its error as MS_ERR_REVERT or MS_ERR_RPC with the message in diag. */
MS_MUST_USE enum ms_err eth_rpc_result(const struct eth_rpc_answer *answer,
                                       const json_t **ret_result, struct ms_diag *diag);
/* Results of one string. MS_ERR_RPC_SHAPE; MS_ERR_LIMIT, MS_ERR_MEMORY from the buffer. */
MS_MUST_USE enum ms_err eth_rpc_result_u64(const json_t *result, uint64_t *ret_value,
                                           struct ms_diag *diag);
MS_MUST_USE enum ms_err eth_rpc_result_data(const json_t *result, struct ms_buf *out,
                                            struct ms_diag *diag);

struct eth_log {
    struct eth_addr address;
    struct eth_hash topics[ETH_RPC_TOPICS_MAX];
    size_t n_topics;
    struct ms_span data; /* in the arena */
    uint64_t block;
    struct eth_hash block_hash;
    uint64_t index; /* logIndex, in its block */
};

/* What the contract logged, of one log object: address, topics, and data into the arena; the rest
 * of ret_log stays. May be written in part on error. MS_ERR_RPC_SHAPE, MS_ERR_MEMORY the arena. */
MS_MUST_USE enum ms_err eth_rpc_log_content(const json_t *object, struct ms_arena *arena,
                                            struct eth_log *ret_log, struct ms_diag *diag);
/* The result of eth_getLogs, in the order given. A log that is pending or marked removed is
 * refused. MS_ERR_RPC_SHAPE, MS_ERR_LIMIT more than ETH_RPC_LOGS_MAX, MS_ERR_MEMORY the arena. */
MS_MUST_USE enum ms_err eth_rpc_result_logs(const json_t *result, struct ms_arena *arena,
                                            struct eth_log **ret_logs, size_t *ret_n,
                                            struct ms_diag *diag);

#endif
