/* cli/eth_rpc.h - one JSON-RPC endpoint, asked one question at a time. What it says is believed:
 * for operators who look and for test chains; the daemon reads in another way. */
#ifndef MS_CLI_ETH_RPC_H
#define MS_CLI_ETH_RPC_H

#include "cli/cli.h"
#include "eth/jsonrpc.h"

#include <curl/curl.h>

#define RPC_TIMEOUT_S 30    /* for everything that is asked, without a wish of the user */
#define RPC_WHERE_BYTES 300 /* "host:port": never the path or the query, they hold keys */

struct rpc {
    CURL *curl;
    struct curl_slist *headers;
    struct ms_buf body; /* of the last answer */
    char where[RPC_WHERE_BYTES];
    uint64_t last_id;
    int64_t deadline_ms; /* monotonic */
};

/* https to anywhere, http to this machine only. Nothing is asked yet.
 *   timeout_s  until which all answers must be there
 * MS_ERR_SCHEME, MS_ERR_URL, MS_ERR_MEMORY; rpc_close it in any case */
MS_MUST_USE enum ms_err rpc_open(struct rpc *rpc, const char *url, uint64_t timeout_s,
                                 struct ms_diag *diag);
void rpc_close(struct rpc *rpc);
/* Milliseconds until the deadline; at most 0 behind it. */
int64_t rpc_left_ms(const struct rpc *rpc);

/* Ask; takes the reference to the array of parameters.
 *   ret_result  a new reference; may be a JSON null
 * MS_ERR_REVERT  what was called refuses; diag says why as the contract does
 * MS_ERR_RPC, MS_ERR_RPC_SHAPE  the endpoint's error, or no JSON-RPC answer
 * MS_ERR_CONNECT, MS_ERR_TLS, MS_ERR_TIMEOUT, MS_ERR_HTTP, MS_ERR_TOO_LARGE, MS_ERR_MEMORY */
MS_MUST_USE enum ms_err rpc_ask(struct rpc *rpc, const char *method, json_t *params,
                                json_t **ret_result, struct ms_diag *diag);
/* The same for a result that is one number, or bytes, appended. */
MS_MUST_USE enum ms_err rpc_ask_u64(struct rpc *rpc, const char *method, json_t *params,
                                    uint64_t *ret_value, struct ms_diag *diag);
MS_MUST_USE enum ms_err rpc_ask_data(struct rpc *rpc, const char *method, json_t *params,
                                     struct ms_buf *out, struct ms_diag *diag);
/* eth_call at `block`, "latest" or {"blockHash"}: a new reference is made of it. from may be NULL
 */
MS_MUST_USE enum ms_err rpc_call(struct rpc *rpc, const struct eth_addr *from,
                                 const struct eth_addr *to, struct ms_span data, json_t *block,
                                 struct ms_buf *out, struct ms_diag *diag);
json_t *rpc_addr_json(const struct eth_addr *addr);
/* {"from","to","data"} of a call; a new reference, NULL when out of memory */
json_t *rpc_call_json(const struct eth_addr *from, const struct eth_addr *to, struct ms_span data);

#endif
