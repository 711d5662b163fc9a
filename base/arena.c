/* base/arena.c - capped bump allocator. */
#include "base/arena.h"

#include <stdalign.h>
#include <stdlib.h>

/* Chunks grow, so that what keeps little keeps little. */
#define ARENA_CHUNK_MIN_BYTES 256
#define ARENA_CHUNK_MAX_BYTES 4096

struct ms_arena_chunk {
    struct ms_arena_chunk *next;
    size_t cap, len;
    alignas(max_align_t) uint8_t data[];
};

void ms_arena_done(struct ms_arena *arena)
{
    struct ms_arena_chunk *chunk = arena->head;
    while (chunk != NULL) {
        struct ms_arena_chunk *next = chunk->next;
        free(chunk);
        chunk = next;
    }
    *arena = (struct ms_arena)MS_ARENA_INIT(arena->max);
}

static bool add_chunk(struct ms_arena *arena, size_t need)
{
    size_t cap = arena->used < ARENA_CHUNK_MIN_BYTES   ? ARENA_CHUNK_MIN_BYTES
                 : arena->used < ARENA_CHUNK_MAX_BYTES ? arena->used
                                                       : ARENA_CHUNK_MAX_BYTES;
    if (cap < need)
        cap = need;
    if (cap > arena->max - arena->used)
        cap = need; /* near the cap: just what is needed */
    if (cap > arena->max - arena->used)
        return false;
    struct ms_arena_chunk *chunk = calloc(1, sizeof(*chunk) + cap);
    if (chunk == NULL)
        return false;
    chunk->cap = cap;
    chunk->next = arena->head;
    arena->head = chunk;
    arena->used += cap;
    return true;
}

void *ms_arena_alloc(struct ms_arena *arena, size_t count, size_t size)
{
    const size_t align = alignof(max_align_t);

    if (size != 0 && count > (SIZE_MAX - align) / size)
        return NULL;
    size_t need = (count * size + align - 1) / align * align;
    if (need == 0)
        need = align;
    if (need > arena->max)
        return NULL;
    if ((arena->head == NULL || need > arena->head->cap - arena->head->len) &&
        !add_chunk(arena, need))
        return NULL;
    void *out = arena->head->data + arena->head->len;
    arena->head->len += need;
    return out;
}

char *ms_arena_strdup(struct ms_arena *arena, struct ms_span text)
{
    if (text.len == SIZE_MAX)
        return NULL;
    char *out = ms_arena_alloc(arena, text.len + 1, 1);
    if (out != NULL && text.len > 0)
        memcpy(out, text.ptr, text.len);
    return out;
}
