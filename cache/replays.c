/* cache/replays.c - a ring of rows whose evidence is replayed. Numbers of rows only grow:
 * dropped <= begun <= pushed; row n stands in slot n % REPLAYS_AHEAD. */
#define _GNU_SOURCE /* sysconf */
#include "cache/replays.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

struct slot {
    struct replay replay;
    size_t bytes; /* of the evidence that was pushed */
    bool done;    /* under the lock */
};

struct replays {
    struct slot slots[REPLAYS_AHEAD];
    size_t bytes; /* of the slots; the caller's alone */
    pthread_t threads[REPLAYS_THREADS_MAX];
    size_t n_threads;
    pthread_mutex_t lock; /* of all below */
    pthread_cond_t more, done;
    size_t dropped, begun, pushed;
    bool ending;
};

static struct slot *slot_of(struct replays *r, size_t n)
{
    return &r->slots[n % REPLAYS_AHEAD];
}

static void run(struct replay *p)
{
    if (p->err == MS_OK)
        p->err = report_replay_text(&p->row.h, ms_buf_span(&p->text), &p->spec, &p->facts,
                                    &p->result, &p->diag);
    ms_buf_done(&p->text);
}

/* The next one that nobody has begun; with the lock, which is let go meanwhile. */
static void run_next(struct replays *r)
{
    struct slot *slot = slot_of(r, r->begun++);

    (void)pthread_mutex_unlock(&r->lock);
    run(&slot->replay);
    (void)pthread_mutex_lock(&r->lock);
    slot->done = true;
    (void)pthread_cond_signal(&r->done);
}

static void *work(void *arg)
{
    struct replays *r = arg;

    (void)pthread_mutex_lock(&r->lock);
    while (!r->ending) {
        if (r->begun < r->pushed)
            run_next(r);
        else
            (void)pthread_cond_wait(&r->more, &r->lock);
    }
    (void)pthread_mutex_unlock(&r->lock);
    return NULL;
}

enum ms_err replays_new(struct replays **ret_replays)
{
    struct replays *r = calloc(1, sizeof(*r));
    long processors = sysconf(_SC_NPROCESSORS_ONLN);

    if (r == NULL)
        return MS_ERR_MEMORY;
    (void)pthread_mutex_init(&r->lock, NULL);
    (void)pthread_cond_init(&r->more, NULL);
    (void)pthread_cond_init(&r->done, NULL);
    while (r->n_threads < REPLAYS_THREADS_MAX && (long)r->n_threads + 1 < processors &&
           pthread_create(&r->threads[r->n_threads], NULL, work, r) == 0)
        r->n_threads++;
    *ret_replays = r;
    return MS_OK;
}

void replays_free(struct replays *r)
{
    if (r == NULL)
        return;
    (void)pthread_mutex_lock(&r->lock);
    r->ending = true;
    (void)pthread_cond_broadcast(&r->more);
    (void)pthread_mutex_unlock(&r->lock);
    for (size_t i = 0; i < r->n_threads; i++)
        (void)pthread_join(r->threads[i], NULL);
    while (r->dropped < r->pushed)
        replays_drop(r);
    (void)pthread_cond_destroy(&r->done);
    (void)pthread_cond_destroy(&r->more);
    (void)pthread_mutex_destroy(&r->lock);
    free(r);
}

struct replay *replays_room(struct replays *r)
{
    if (r->pushed - r->dropped == REPLAYS_AHEAD || r->bytes > REPLAYS_BYTES_MAX)
        return NULL;
    struct replay *p = &slot_of(r, r->pushed)->replay;
    *p = (struct replay){.text = MS_BUF_INIT(BUNDLE_MAX_BYTES)};
    spec_init(&p->spec);
    return p;
}

void replays_push(struct replays *r)
{
    struct slot *slot = slot_of(r, r->pushed);

    slot->bytes = slot->replay.text.len;
    r->bytes += slot->bytes;
    (void)pthread_mutex_lock(&r->lock);
    slot->done = false;
    r->pushed++;
    (void)pthread_cond_signal(&r->more);
    (void)pthread_mutex_unlock(&r->lock);
}

struct replay *replays_take(struct replays *r)
{
    assert(r->dropped < r->pushed);
    struct slot *slot = slot_of(r, r->dropped);

    (void)pthread_mutex_lock(&r->lock);
    while (!slot->done) {
        if (r->begun < r->pushed)
            run_next(r);
        else
            (void)pthread_cond_wait(&r->done, &r->lock);
    }
    (void)pthread_mutex_unlock(&r->lock);
    return &slot->replay;
}

void replays_drop(struct replays *r)
{
    struct slot *slot = slot_of(r, r->dropped++);
    struct replay *p = &slot->replay;

    r->bytes -= slot->bytes;
    source_result_free(p->result);
    json_decref(p->facts);
    spec_done(&p->spec);
    ms_buf_done(&p->text);
    report_row_done(&p->row);
}
