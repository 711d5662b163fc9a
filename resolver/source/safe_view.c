/* resolver/source/safe_view.c - a Safe's description of itself. */
#include "resolver/source/safe_view.h"

#include "contracts-abi/safe_abi.h"
#include "eth/abi.h"
#include "resolver/source/contract.h"

enum { VIEW_VERSION = 0, VIEW_THRESHOLD, VIEW_OWNERS, VIEW_MODULES };

#define VIEW_ARENA_MAX ((size_t)1 << 20)

/* getModulesPaginated(0x1, 32): the list begins at its sentinel. */
static const struct {
    uint8_t selector[4], start[ETH_WORD_BYTES], size[ETH_WORD_BYTES];
} modules_call = {SAFE_CALL_GET_MODULES_PAGINATED,
                  {[ETH_WORD_BYTES - 1] = 1},
                  {[ETH_WORD_BYTES - 1] = SAFE_VIEW_ADDRESSES_MAX}};

void safe_view_calls(struct ms_span calls[SAFE_VIEW_CALLS])
{
    static const uint8_t version[4] = SAFE_CALL_VERSION, threshold[4] = SAFE_CALL_GET_THRESHOLD,
                         owners[4] = SAFE_CALL_GET_OWNERS;

    calls[VIEW_VERSION] = ms_span_of(version, sizeof(version));
    calls[VIEW_THRESHOLD] = ms_span_of(threshold, sizeof(threshold));
    calls[VIEW_OWNERS] = ms_span_of(owners, sizeof(owners));
    calls[VIEW_MODULES] = ms_span_of(&modules_call, sizeof(modules_call));
}

static bool decode(const char *returns, struct ms_span answer, struct ms_arena *arena,
                   struct eth_abi_value *ret)
{
    const struct eth_abi_type *type = NULL;
    return eth_abi_params_parse(ms_span_str(returns), arena, &type) == MS_OK &&
           eth_abi_decode(type, answer, arena, ret, NULL) == MS_OK;
}

static json_t *addresses_json(const struct eth_abi_value *list)
{
    json_t *out = json_array();

    for (size_t i = 0; i < list->n && i < SAFE_VIEW_ADDRESSES_MAX; i++) {
        struct eth_addr addr;
        memcpy(addr.b, list->items[i].word.b + ETH_WORD_BYTES - ETH_ADDR_BYTES, ETH_ADDR_BYTES);
        (void)json_array_append_new(out, contract_address_json(&addr));
    }
    return out;
}

json_t *safe_view_json(const struct reading_peer *peer, size_t first_call)
{
    const struct ms_span *said = peer->calls + first_call;
    struct ms_arena arena = MS_ARENA_INIT(VIEW_ARENA_MAX);
    struct eth_abi_value version, threshold, owners, modules;
    uint64_t n = 0;
    json_t *out = NULL;

    if (decode(SAFE_RETURNS_VERSION, said[VIEW_VERSION], &arena, &version) &&
        decode(SAFE_RETURNS_GET_THRESHOLD, said[VIEW_THRESHOLD], &arena, &threshold) &&
        decode(SAFE_RETURNS_GET_OWNERS, said[VIEW_OWNERS], &arena, &owners) &&
        eth_word_to_u64(&threshold.items[0].word, &n) && n > 0 && n <= INT64_MAX)
        out = json_pack("{s:s%, s:I, s:o}", "version", (const char *)version.items[0].bytes.ptr,
                        version.items[0].bytes.len, "threshold", (json_int_t)n, "owners",
                        addresses_json(&owners.items[0]));
    if (out != NULL &&
        decode(SAFE_RETURNS_GET_MODULES_PAGINATED, said[VIEW_MODULES], &arena, &modules))
        (void)json_object_set_new(out, "modules", addresses_json(&modules.items[0]));
    ms_arena_done(&arena);
    return out;
}

bool safe_view_has_modules(const json_t *view)
{
    return json_array_size(json_object_get(view, "modules")) > 0;
}
