/* base/arena.h - memory of one request or one document: a byte cap, freed whole.
 * Not thread-safe. Pointers stay valid until ms_arena_done. */
#ifndef MS_BASE_ARENA_H
#define MS_BASE_ARENA_H

#include "base/span.h"

struct ms_arena_chunk;

struct ms_arena {
    struct ms_arena_chunk *head;
    size_t used; /* bytes taken from malloc so far */
    size_t max;  /* `used` may never exceed it */
};

#define MS_ARENA_INIT(max_bytes)                    \
    {                                               \
        .head = NULL, .used = 0, .max = (max_bytes) \
    }

void ms_arena_done(struct ms_arena *arena);
/* Zeroed, aligned for any type; NULL when the cap or the memory is exhausted, or count*size
 * overflows. */
void *ms_arena_alloc(struct ms_arena *arena, size_t count, size_t size);
/* A NUL-terminated copy of the bytes. NULL as above. */
char *ms_arena_strdup(struct ms_arena *arena, struct ms_span text);

#endif
