/* JSON-RPC answers to one call and to batches of one to three, and what is read from their results.
 */
#include "eth/header.h"
#include "eth/receipt.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void results(const json_t *result)
{
    struct ms_arena arena = MS_ARENA_INIT((size_t)1 << 20);
    struct ms_buf bytes = MS_BUF_INIT((size_t)1 << 20);
    struct eth_log *logs = NULL;
    struct eth_header header;
    struct eth_hash hash = {0};
    struct eth_addr zero = {0};
    const struct eth_addr *const addresses[] = {&zero};
    struct eth_receipts receipts;
    uint64_t value = 0;
    size_t n = 0;

    (void)!eth_rpc_result_u64(result, &value, NULL);
    (void)!eth_rpc_result_data(result, &bytes, NULL);
    (void)!eth_header_verify_json(result, &header, NULL);
    (void)!eth_rpc_result_logs(result, &arena, &logs, &n, NULL);
    if (eth_rpc_result_receipts(result, 1, &hash, addresses, 1, &arena, &receipts, NULL) == MS_OK &&
        receipts.n != json_array_size(result))
        abort();
    ms_buf_done(&bytes);
    ms_arena_done(&arena);
}

static void read_as(struct ms_span body, size_t n, bool batch)
{
    struct eth_rpc_reply reply = {0};
    struct ms_diag diag = {0};

    if (eth_rpc_read(body, ETH_RPC_HEADERS_MAX_BYTES, 1, n, batch, &reply, &diag) != MS_OK)
        return;
    for (size_t i = 0; i < reply.n; i++) {
        const json_t *result = NULL;
        if (reply.answers[i].id != 1 + i)
            abort();
        if (eth_rpc_result(&reply.answers[i], &result, &diag) == MS_OK)
            results(result);
    }
    eth_rpc_reply_done(&reply);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ms_span body = ms_span_of(data, size);

    read_as(body, 1, false);
    for (size_t n = 1; n <= 3; n++)
        read_as(body, n, true);
    return 0;
}
