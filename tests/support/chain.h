/* tests/support/chain.h - a small synthetic chain, and nodes that tell about it, honestly or not.
 * At each of its addresses there is a measurement registry or a contract with getters; all others
 * are empty accounts. A block carries the state it has when it is first told of; give nodes a
 * higher block for a new state. A block's time is CHAIN_GENESIS_S + 12 * number. Proofs come from
 * tests/support/trie.h, hashes are real. Aborts when memory is short. */
#ifndef MS_TESTS_CHAIN_H
#define MS_TESTS_CHAIN_H

#include "resolver/source/registry.h"

#define CHAIN_GENESIS_S INT64_C(1700000000)
#define CHAIN_ADDRESS "0xae519fc2ba8e6ffe6473195c092bf1bae986ff90"
#define CHAIN_SPEC "eip155:1:" CHAIN_ADDRESS

/* ---- a contract that is no registry: what it stores, and getters that read it ---- */
#define CHAIN_SLOTS_MAX 400
#define CHAIN_GETTERS_MAX 8
#define CHAIN_CALLS_MAX 16
#define CHAIN_COMMIT "0123456789012345678901234567890123456789" /* of all metadata */

enum chain_getter_form {
    CHAIN_MAP_BOOL = 0, /* mapping(bytes32 => bool) */
    CHAIN_MAP_METADATA, /* mapping(bytes32 => (string, string[])): CHAIN_COMMIT where it is set */
    CHAIN_FLAG,         /* bool, packed */
};

struct chain_getter {
    enum chain_getter_form form;
    uint8_t selector[4], slot, byte; /* byte of a flag, from the low end */
};

struct chain_call { /* an answer to data that begins with these bytes */
    struct ms_span data, answer;
    bool reverts;
};

struct chain_log {
    struct eth_addr address;
    size_t n_topics;
    struct eth_hash topics[4];
    uint8_t data[64];
    size_t n_data;
    uint64_t block;
};

/* Any other call reverts. Plain data: a copy is another contract, or another state of it. */
struct chain_contract {
    struct ms_span code;
    uint64_t born; /* no code before this block */
    size_t n_getters, n_calls, n_slots, n_logs;
    struct chain_getter getters[CHAIN_GETTERS_MAX];
    struct chain_call calls[CHAIN_CALLS_MAX]; /* before getters */
    struct eth_word slots[CHAIN_SLOTS_MAX], values[CHAIN_SLOTS_MAX];
    const struct chain_log *logs; /* borrowed */
};

/* Zero takes the slot away. */
void chain_store(struct chain_contract *contract, const struct eth_word *slot,
                 const struct eth_word *value);

#define CHAIN_MORE_MAX 256

/* A chain is also what is at its first address; others are chains of their own. */
struct chain {
    struct ms_arena arena;
    uint64_t id;
    struct eth_addr registry;
    bool strange_code; /* the account's code is not the reference registry's */
    bool no_account;   /* nothing at the address */
    bool empty_slot0;
    bool delegated;                        /* strange code that is an EIP-7702 pointer */
    struct eth_word implementation;        /* of a proxy, in the EIP-1967 slot; zero: none */
    const struct chain_contract *contract; /* not NULL: this is there, and no registry */
    struct registry_snapshot snapshot;
    struct registry_release releases[REGISTRY_RELEASES_MAX];
    struct ms_span documents[REGISTRY_RELEASES_MAX]; /* whole payloads, on chain or not */
    /* What is there in blocks above a node's finalized one; NULL: the same. Has the same address;
     * the rest of the chain is not looked at. */
    const struct chain *newest;
    size_t n_more;
    const struct chain *more[CHAIN_MORE_MAX]; /* others of the same chain, elsewhere */
    bool no_multicall;                        /* no Multicall3 on this chain */
    bool wrong_commitment;                    /* its commitment() is not what slot 0 says */
    json_t *told; /* by number: blocks that honest nodes called finalized or latest; they stay as
                     they are */
    json_t *told_hashes; /* their numbers, by hash */
};

/* An owner, sequence 1, no releases. */
void chain_init(struct chain *chain);
/* A registry of the same chain at another address: chain_init, and byte 0 of its address is `at`.
 */
void chain_init_more(struct chain *chain, struct chain *more, uint8_t at);
void chain_done(struct chain *chain);
/* One operation each: the sequence grows by one. uri not NULL: the document is not on chain. */
struct registry_release *chain_approve(struct chain *chain, const char *document, const char *uri);
void chain_revoke_all(struct chain *chain);
void chain_touch(struct chain *chain); /* as a heartbeat: sequence only */
/* A measurement document with one DCAP record whose MRTD is `byte` 48 times; static storage. */
const char *chain_document(uint8_t byte);

int64_t chain_time(uint64_t number);

enum node_lie {
    NODE_HONEST = 0,
    /* transport */
    NODE_DEAD,       /* no answer: MS_ERR_TIMEOUT */
    NODE_HANGS,      /* the same, but only when nobody waits for it any more */
    NODE_DATA_HANGS, /* to eth_call and eth_getProof only */
    NODE_500,
    NODE_BUSY, /* 429 with a Retry-After, and a JSON-RPC error as body */
    NODE_NOT_JSON,
    NODE_OVERSIZE, /* more than the body cap */
    /* batches; the first four still lead to an answer */
    NODE_REVERSED,
    NODE_BATCH_ERROR, /* one -32600 for the whole batch; single calls are answered */
    NODE_BATCH_413,
    NODE_BATCH_ONE, /* answers the first call of a batch, as if it were alone */
    NODE_PARTIAL,   /* one answer of a batch is missing */
    NODE_IDS_REPEATED,
    NODE_ERRORS, /* HTTP 200, every call an error */
    /* heads */
    NODE_WRONG_CHAIN,
    NODE_HEADER_FIELD, /* one field changed, hash kept */
    NODE_FUTURE,       /* 16 s ahead of started */
    NODE_FUTURE_2_63,
    NODE_FINAL_ABOVE_HEAD,
    NODE_NULL_BLOCK,
    NODE_FORK,         /* another block at each height, hashing well */
    NODE_FORK_HEAD,    /* the same above the finalized one only */
    NODE_OTHER_NUMBER, /* asked by number it says its finalized block */
    /* data */
    NODE_NO_EIP1898, /* only bare hashes */
    NODE_NO_PROOF,   /* -32601 */
    NODE_PROOF_ACCOUNT,
    NODE_PROOF_KEY,
    NODE_PROOF_TRUNCATED,
    NODE_PROOF_DOUBLED,
    NODE_PROOF_VALUE, /* the claim differs from the proof */
    NODE_CALL_EMPTY,  /* "0x" */
    NODE_REVERT,
    NODE_CALL_ERROR, /* -32000 for eth_call */
    NODE_SNAPSHOT,   /* well-formed, another state */
    NODE_PAYLOAD,    /* a payload byte differs */
    NODE_GARBAGE,    /* no ABI */
    /* polls */
    NODE_NO_MULTICALL,      /* "0x" from Multicall3 */
    NODE_MULTICALL_ERROR,   /* -32000 from Multicall3 only */
    NODE_MULTICALL_GARBAGE, /* no ABI */
    NODE_MULTICALL_FEWER,   /* one result is missing */
    NODE_NO_HEAD,           /* -32001 for calls and proofs at blocks that are not final */
};

struct node {
    const struct chain *chain;
    enum node_lie lie;
    uint64_t final, head;     /* block numbers */
    int64_t now_s;            /* for NODE_FUTURE */
    const struct chain *says; /* calls are answered from here; NULL: from chain */
    size_t asked;             /* messages so far */
    size_t calls, multicalls, snapshots, proofs; /* of these */
    /* of contracts with getters: */
    const struct chain_log *logs; /* told instead of the contract's */
    size_t n_logs;
    bool no_old_code;      /* eth_getCode by number is an error */
    bool dead_on_old_code; /* or is not answered */
    const char *dead_on;   /* no answer to a message with this method */
    const char *refuses;   /* an error for this method */
    const char *garbles;   /* `true` for this method */
    uint64_t max_blocks;   /* of one eth_getLogs; 0: any */
    size_t logs_padding;   /* bytes that an answer with logs is longer */
    size_t log_calls;      /* eth_getLogs so far */
    size_t code_calls;     /* eth_getCode by number so far */
    uint64_t log_from;     /* of the last eth_getLogs */
    uint64_t log_to;
};

/* Whether this message gets no answer before the attempt's patience is over. */
bool node_hangs(const struct node *node, struct ms_span request);

struct node_answer {
    enum ms_err err;
    uint32_t status;
    const char *retry_after; /* NULL: none */
    struct ms_buf body;      /* the caller's */
};

void node_answer(struct node *node, struct ms_span request, struct node_answer *ret);

#endif
