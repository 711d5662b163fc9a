/* RLP: what decodes encodes to the same bytes, and the whole-tree check agrees. */
#include "eth/rlp.h"

#include <stdlib.h>

#define MAX_BYTES ((size_t)1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool recode(struct ms_span bytes, struct ms_buf *out, size_t depth)
{
    struct eth_rlp item, member;
    struct ms_buf payload = MS_BUF_INIT(MAX_BYTES);

    if (eth_rlp_one(bytes, &item) != MS_OK)
        return false;
    if (item.kind == ETH_RLP_STRING)
        return eth_rlp_add_string(out, item.payload) == MS_OK;
    bool ok = depth > 0;
    for (struct ms_span rest = item.payload; ok && rest.len > 0;)
        ok = eth_rlp_next(&rest, &member) == MS_OK && recode(member.raw, &payload, depth - 1);
    ok = ok && eth_rlp_add_list(out, ms_buf_span(&payload)) == MS_OK;
    ms_buf_done(&payload);
    return ok;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ms_buf again = MS_BUF_INIT(MAX_BYTES);
    struct ms_span bytes = ms_span_of(data, size);

    if (size > 65536)
        return 0;
    bool good = eth_rlp_check(bytes, 32) == MS_OK;
    bool same = recode(bytes, &again, 32);
    if (good != same || (same && !ms_span_eq(bytes, ms_buf_span(&again))))
        abort();
    ms_buf_done(&again);
    return 0;
}
