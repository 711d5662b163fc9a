/* Registry answers. The commitment of what decodes never matches a slot that it is not the value
 * of. */
#include "resolver/source/registry.h"

#include <stdlib.h>

#define ARENA_MAX_BYTES ((size_t)1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void answer(struct ms_span bytes, struct ms_arena *arena)
{
    struct registry_snapshot snapshot;
    struct eth_word slot0 = {0};

    if (registry_decode(bytes, arena, &snapshot, NULL) == MS_OK) {
        if (snapshot.n_releases > REGISTRY_RELEASES_MAX)
            abort();
        for (size_t i = 0; i < snapshot.n_releases; i++)
            (void)registry_in_force(&snapshot.state, &snapshot.releases[i], 1, 1);
        if (registry_verify(&slot0, bytes, arena, &snapshot, NULL) == MS_OK)
            abort();
    }
    (void)!registry_decode_bare(bytes, arena, &snapshot, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ms_arena arena = MS_ARENA_INIT(ARENA_MAX_BYTES);

    answer(ms_span_of(data, size), &arena);
    ms_arena_done(&arena);
    return 0;
}
