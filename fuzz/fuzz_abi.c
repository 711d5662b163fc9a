/* ABI: a line of type text, then data. What decodes encodes to the same bytes. */
#include "eth/abi.h"

#include <stdlib.h>

#define ARENA_MAX_BYTES ((size_t)1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ms_arena arena = MS_ARENA_INIT(ARENA_MAX_BYTES);
    struct ms_buf again = MS_BUF_INIT(ARENA_MAX_BYTES);
    const struct eth_abi_type *type = NULL;
    struct eth_abi_value value;
    struct ms_span text, body;

    if (ms_span_cut(ms_span_of(data, size), '\n', &text, &body) &&
        eth_abi_params_parse(text, &arena, &type) == MS_OK &&
        eth_abi_decode(type, body, &arena, &value, NULL) == MS_OK &&
        (eth_abi_encode(type, &value, &again) != MS_OK || !ms_span_eq(ms_buf_span(&again), body)))
        abort();
    ms_buf_done(&again);
    ms_arena_done(&arena);
    return 0;
}
