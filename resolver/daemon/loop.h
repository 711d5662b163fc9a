/* resolver/daemon/loop.h - the one thread that owns everything mutable, and how others hand it
 * work. */
#ifndef MS_DAEMON_LOOP_H
#define MS_DAEMON_LOOP_H

#include "resolver/daemon/core.h"

#include <uv.h>

/* A piece of work for the loop thread; embedded in what it works on. */
struct loop_job {
    struct loop_job *next;
    void (*run)(struct loop_job *job);
};

struct loop;

struct loop *loop_new(void);
void loop_free(struct loop *loop);
uv_loop_t *loop_uv(struct loop *loop);
/* From any thread: run job->run(job) on the loop thread, in order of posting. */
void loop_post(struct loop *loop, struct loop_job *job);
/* On the loop thread: run what was posted; for shutdown, when uv does not run any more. */
void loop_run_posted(struct loop *loop);
/* Read the clocks; first thing in every callback that uv makes. */
void loop_turn(struct loop *loop);
/* Clocks as read once this turn; on the loop thread. */
/* How often jobs were run: two that see the same number were posted before either ran. */
uint64_t loop_batch(const struct loop *loop);
struct ms_now loop_now(struct loop *loop);
/* Clocks read now; any thread. */
struct ms_now clocks_now(void);

#endif
