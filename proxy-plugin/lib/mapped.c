/* proxy-plugin/lib/mapped.c - sealed files that become views. */
#define _GNU_SOURCE /* F_GET_SEALS, MAP_POPULATE */

#include "proxy-plugin/lib/mapped.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

/* The seals first: what may change or shrink is not worth a look, it would be another file a moment
 * later. */
static bool file_fits(int fd, uint64_t size)
{
    struct stat st;
    int seals = fcntl(fd, F_GET_SEALS);

    if (seals == -1 || (seals & SEALS) != SEALS || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        return false;
    return size >= sizeof(struct feed_header) && size <= FEED_SNAPSHOT_MAX_BYTES &&
           st.st_size == (off_t)size;
}

/* Private, because kernels before 6.7 refuse a shared mapping, even to read, of a file sealed
 * against writing. The pages are the file's own all the same: nobody can write to either, so
 * nothing is ever copied. Populated, so that no check waits for a page. */
static void *map_file(int fd, size_t size)
{
    return mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
}

static void free_mapped(struct plug_mapped *mapped)
{
    if (mapped->base != NULL)
        (void)munmap(mapped->base, mapped->bytes);
    free(mapped);
}

static int mapped_new(int fd, size_t size, struct plug_mapped **ret_mapped)
{
    const char *why = NULL;
    struct plug_mapped *mapped = calloc(1, sizeof(*mapped));

    if (mapped == NULL)
        return ENOMEM;
    mapped->bytes = size;
    void *base = map_file(fd, size);
    mapped->base = base == MAP_FAILED ? NULL : base;
    int err =
        mapped->base == NULL ? ENOMEM : plug_snapshot_read(base, size, &mapped->snapshot, &why);
    if (err != 0)
        free_mapped(mapped);
    else
        *ret_mapped = mapped;
    return err;
}

/* A first or further view of a snapshot. */
static int held_new(struct plug_mapped *mapped, const struct plug_view *view,
                    struct plug_held **ret_held)
{
    struct plug_held *held = calloc(1, sizeof(*held));

    if (held == NULL)
        return ENOMEM;
    held->view = *view;
    held->view.snapshot = &mapped->snapshot;
    held->mapped = mapped;
    mapped->views++;
    *ret_held = held;
    return 0;
}

int plug_held_map(int fd, uint64_t size, struct plug_held **ret_held)
{
    struct plug_mapped *mapped = NULL;

    if (!file_fits(fd, size))
        return EPROTO;
    int err = mapped_new(fd, (size_t)size, &mapped);
    if (err != 0)
        return err;
    const struct feed_header *header = mapped->snapshot.header;
    err = held_new(mapped,
                   &(struct plug_view){.fresh_until_ms = header->fresh_until_ms,
                                       .hard_until_ms = header->hard_until_ms,
                                       .state = header->state},
                   ret_held);
    if (err != 0)
        free_mapped(mapped);
    return err;
}

int plug_held_renew(const struct plug_held *held, const struct feed_renew *renew,
                    struct plug_held **ret_held)
{
    return held_new(held->mapped,
                    &(struct plug_view){.fresh_until_ms = renew->fresh_until_ms,
                                        .hard_until_ms = renew->hard_until_ms,
                                        .state = renew->state},
                    ret_held);
}

void plug_held_free(struct plug_held *held)
{
    if (held == NULL)
        return;
    if (--held->mapped->views == 0)
        free_mapped(held->mapped);
    free(held);
}

void plug_held_free_retired(struct plug_retired *retired)
{
    plug_held_free((struct plug_held *)(void *)retired);
}
