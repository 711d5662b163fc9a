/* cache/replays.h - evidence of rows replayed by as many threads as there are processors, and given
 * back in the order in which it came. Replaying is pure; whoever reads the database, and whoever
 * judges what comes out, stays one thread. Shared by audit.c and replays.c, by nobody else. */
#ifndef MS_CACHE_REPLAYS_H
#define MS_CACHE_REPLAYS_H

#include "cache/report_internal.h"

#define REPLAYS_AHEAD 32u                    /* rows read before the oldest is done with */
#define REPLAYS_BYTES_MAX ((size_t)32 << 20) /* of their evidence; one row may have more */
#define REPLAYS_THREADS_MAX 15u              /* besides the caller's */

struct replay { /* of one row: the caller fills row, text and err */
    struct report_row row;
    struct ms_buf text; /* its evidence; empty once it was replayed */
    enum ms_err err;    /* MS_OK: to be replayed; then how that went, as report_replay */
    struct ms_diag diag;
    struct spec spec; /* the rest on MS_OK only */
    json_t *facts;
    struct source_result *result;
};

struct replays;

/* MS_ERR_MEMORY. Without any further thread the caller's does all. */
MS_MUST_USE enum ms_err replays_new(struct replays **ret_replays);
void replays_free(struct replays *replays);

/* An empty one to fill and push; NULL: take one first. */
struct replay *replays_room(struct replays *replays);
/* What replays_room gave is filled. */
void replays_push(struct replays *replays);
/* Wait for the oldest, replaying others meanwhile. There must be one. It is gone with
 * replays_drop. */
struct replay *replays_take(struct replays *replays);
void replays_drop(struct replays *replays);

#endif
