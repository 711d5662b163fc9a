/* EIP-712 typed data. What is taken is taken again from its own dump, with the same digest: one
 * document, one value, whatever the order of its members. */
#include "base/json.h"
#include "sig/typed_data.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void again(struct ms_span text, const struct eth_hash *digest)
{
    static const struct ms_json_limits limits = {MSIG_TYPED_MAX_BYTES, MSIG_TYPED_DEPTH_MAX,
                                                 MSIG_TYPED_MAX_BYTES, 0};
    struct ms_arena arena = MS_ARENA_INIT(MSIG_TYPED_ARENA_BYTES);
    struct ms_buf dump = MS_BUF_INIT(8 * MSIG_TYPED_MAX_BYTES);
    struct msig_typed_data other;
    json_t *root = NULL;

    if (ms_json_parse(text, &limits, &root, NULL) != MS_OK || ms_json_dump(root, &dump) != MS_OK)
        abort();
    if (dump.len <= MSIG_TYPED_MAX_BYTES &&
        (msig_typed_data_parse(ms_buf_span(&dump), &arena, &other, NULL) != MS_OK ||
         !eth_hash_eq(&other.digest, digest)))
        abort();
    json_decref(root);
    ms_buf_done(&dump);
    ms_arena_done(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ms_arena arena = MS_ARENA_INIT(MSIG_TYPED_ARENA_BYTES);
    struct msig_typed_data typed;
    struct ms_diag diag = {0};

    if (msig_typed_data_parse(ms_span_of(data, size), &arena, &typed, &diag) == MS_OK)
        again(ms_span_of(data, size), &typed.digest);
    ms_arena_done(&arena);
    return 0;
}
