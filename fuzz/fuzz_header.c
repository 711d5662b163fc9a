/* Headers, raw and JSON. A raw header that parses has the hash of just its bytes. */
#include "eth/header.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct ms_json_limits limits = {65536, 16, 4096, MS_JSON_ALLOW_NUL};
    struct ms_span bytes = ms_span_of(data, size);
    struct eth_header header;
    json_t *block = NULL;

    if (eth_header_parse(bytes, &header, NULL) == MS_OK) {
        struct eth_hash hash = eth_keccak256(bytes);
        if (!eth_hash_eq(&hash, &header.hash) || header.n_items < ETH_HEADER_ITEMS_MIN)
            abort();
    }
    if (ms_json_parse(bytes, &limits, &block, NULL) == MS_OK) {
        struct ms_diag diag = {0};
        struct ms_buf rlp = MS_BUF_INIT(ETH_HEADER_RLP_MAX_BYTES);
        if (eth_header_encode_json(block, &rlp, &diag) == MS_OK &&
            eth_header_parse(ms_buf_span(&rlp), &header, NULL) == MS_ERR_RLP)
            abort(); /* what we encode is canonical */
        (void)!eth_header_verify_json(block, &header, NULL);
        ms_buf_done(&rlp);
        json_decref(block);
    }
    return 0;
}
