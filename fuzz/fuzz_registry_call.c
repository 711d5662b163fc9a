/* What the publishing tool reads: the first byte chooses. '0' a Safe's transaction as typed data,
 * '1' a file of Safe's Transaction Builder, anything else what a call that reverted answered. */
#include "cli/registry_call.h"
#include "cli/safe_builder.h"
#include "sig/typed_data.h"

#include <stdlib.h>

#define ARENA_BYTES (MSIG_TYPED_ARENA_BYTES + MSIG_SAFE_TX_DATA_MAX_BYTES)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is taken is taken again from what we write of it, as the same transaction. */
static void safe_tx(struct ms_span text)
{
    struct ms_arena arena = MS_ARENA_INIT(ARENA_BYTES), second = MS_ARENA_INIT(ARENA_BYTES);
    struct ms_buf out = MS_BUF_INIT((size_t)4 * MSIG_TYPED_MAX_BYTES);
    struct msig_safe_tx tx, again;

    if (msig_safe_tx_parse(text, &arena, &tx, NULL) == MS_OK) {
        struct eth_hash digest = msig_safe_tx_digest(&tx), other;
        json_t *json = msig_safe_tx_json(&tx);
        if (json == NULL || ms_json_print(json, false, &out) != MS_OK)
            abort();
        if (out.len <= MSIG_TYPED_MAX_BYTES) {
            if (msig_safe_tx_parse(ms_buf_span(&out), &second, &again, NULL) != MS_OK)
                abort();
            other = msig_safe_tx_digest(&again);
            if (!eth_hash_eq(&digest, &other))
                abort();
        }
        json_decref(json);
    }
    ms_buf_done(&out);
    ms_arena_done(&arena);
    ms_arena_done(&second);
}

static void builder(struct ms_span text)
{
    json_t *transactions = NULL;
    uint64_t chain = 0;

    if (builder_parse(text, &chain, &transactions, NULL) != MS_OK)
        return;
    struct builder_file file = {.chain_id = chain, .name = "again", .created_at_ms = 1};
    struct ms_buf out = MS_BUF_INIT((size_t)8 * BUILDER_MAX_BYTES);
    json_t *root = builder_new(&file, transactions), *same = NULL;
    if (root == NULL || ms_json_print(root, false, &out) != MS_OK)
        abort();
    if (out.len <= BUILDER_MAX_BYTES &&
        builder_parse(ms_buf_span(&out), &chain, &same, NULL) != MS_OK)
        abort();
    json_decref(root);
    json_decref(same);
    ms_buf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ms_span rest = ms_span_sub(ms_span_of(data, size), 1, size);
    char words[CALL_ERROR_TEXT];

    if (size == 0)
        return 0;
    if (data[0] == '0')
        safe_tx(rest);
    else if (data[0] == '1')
        builder(rest);
    else if (call_error(rest, words) && strlen(words) >= sizeof(words))
        abort();
    return 0;
}
