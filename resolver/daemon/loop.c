/* resolver/daemon/loop.c - the loop thread's inbox and its clocks. */
#define _GNU_SOURCE
#include "resolver/daemon/loop.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

struct loop {
    uv_loop_t uv;
    uv_async_t wake;
    struct ms_now now;
    uint64_t batch;
    pthread_mutex_t lock;
    struct loop_job *head, **tail;
};

struct ms_now clocks_now(void)
{
    struct timespec wall = {0}, boot = {0};

    (void)clock_gettime(CLOCK_REALTIME, &wall);
    (void)clock_gettime(CLOCK_BOOTTIME, &boot);
    return (struct ms_now){.wall_s = wall.tv_sec,
                           .wall_ms = (int32_t)(wall.tv_nsec / 1000000),
                           .boot_ms = (int64_t)boot.tv_sec * 1000 + boot.tv_nsec / 1000000};
}

struct ms_now loop_now(struct loop *loop)
{
    return loop->now;
}

uint64_t loop_batch(const struct loop *loop)
{
    return loop->batch;
}

void loop_run_posted(struct loop *loop)
{
    (void)pthread_mutex_lock(&loop->lock);
    struct loop_job *job = loop->head;
    loop->head = NULL;
    loop->tail = &loop->head;
    (void)pthread_mutex_unlock(&loop->lock);
    loop->now = clocks_now();
    loop->batch++;
    while (job != NULL) {
        struct loop_job *next = job->next; /* run may free the job */
        job->run(job);
        job = next;
    }
}

static void on_wake(uv_async_t *handle)
{
    loop_run_posted(handle->data);
}

void loop_turn(struct loop *loop)
{
    loop->now = clocks_now();
}

struct loop *loop_new(void)
{
    struct loop *loop = calloc(1, sizeof(*loop));
    if (loop == NULL)
        return NULL;
    loop->tail = &loop->head;
    loop->now = clocks_now();
    (void)pthread_mutex_init(&loop->lock, NULL);
    if (uv_loop_init(&loop->uv) != 0) {
        free(loop);
        return NULL;
    }
    (void)uv_async_init(&loop->uv, &loop->wake, on_wake);
    loop->wake.data = loop;
    return loop;
}

void loop_free(struct loop *loop)
{
    if (loop == NULL)
        return;
    uv_close((uv_handle_t *)&loop->wake, NULL);
    (void)uv_run(&loop->uv, UV_RUN_DEFAULT);
    (void)uv_loop_close(&loop->uv);
    (void)pthread_mutex_destroy(&loop->lock);
    free(loop);
}

uv_loop_t *loop_uv(struct loop *loop)
{
    return &loop->uv;
}

void loop_post(struct loop *loop, struct loop_job *job)
{
    job->next = NULL;
    (void)pthread_mutex_lock(&loop->lock);
    *loop->tail = job;
    loop->tail = &job->next;
    (void)pthread_mutex_unlock(&loop->lock);
    (void)uv_async_send(&loop->wake);
}
