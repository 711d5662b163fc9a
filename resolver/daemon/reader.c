/* resolver/daemon/reader.c - the thread that reads for auditors. */
#include "resolver/daemon/reader.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define READER_PATH_MAX 4096

struct reader {
    char path[READER_PATH_MAX];
    struct cache *cache; /* the thread's own */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct reader_job *head, **tail;
    unsigned n_waiting;
    bool ending;
};

/* NULL: the end, and nothing waits. */
static struct reader_job *next_job(struct reader *reader)
{
    (void)pthread_mutex_lock(&reader->lock);
    while (reader->head == NULL && !reader->ending)
        (void)pthread_cond_wait(&reader->more, &reader->lock);
    struct reader_job *job = reader->head;
    if (job != NULL) {
        reader->head = job->next;
        if (reader->head == NULL)
            reader->tail = &reader->head;
        reader->n_waiting--;
    }
    (void)pthread_mutex_unlock(&reader->lock);
    return job;
}

static void *run(void *arg)
{
    struct reader *reader = arg;
    struct reader_job *job;

    while ((job = next_job(reader)) != NULL) {
        struct ms_diag diag = {0};
        enum ms_err err = MS_OK;
        if (reader->cache == NULL)
            err = cache_open_second(reader->path, &reader->cache, &diag);
        job->run(job, err == MS_OK ? reader->cache : NULL, err, &diag);
    }
    return NULL;
}

enum ms_err reader_new(const char *state_dir, struct reader **ret_reader)
{
    struct reader *reader = calloc(1, sizeof(*reader));

    if (reader == NULL)
        return MS_ERR_MEMORY;
    int n = snprintf(reader->path, sizeof(reader->path), "%s/%s", state_dir, CACHE_DB_NAME);
    if (n < 0 || (size_t)n >= sizeof(reader->path)) {
        free(reader);
        return MS_ERR_ARGUMENT;
    }
    reader->tail = &reader->head;
    (void)pthread_mutex_init(&reader->lock, NULL);
    (void)pthread_cond_init(&reader->more, NULL);
    if (pthread_create(&reader->thread, NULL, run, reader) != 0) {
        free(reader);
        return MS_ERR_IO;
    }
    *ret_reader = reader;
    return MS_OK;
}

enum ms_err reader_post(struct reader *reader, struct reader_job *job)
{
    enum ms_err err = MS_OK;

    job->next = NULL;
    (void)pthread_mutex_lock(&reader->lock);
    if (reader->n_waiting >= READER_JOBS_MAX) {
        err = MS_ERR_OVERLOAD;
    } else {
        *reader->tail = job;
        reader->tail = &job->next;
        reader->n_waiting++;
        (void)pthread_cond_signal(&reader->more);
    }
    (void)pthread_mutex_unlock(&reader->lock);
    return err;
}

void reader_free(struct reader *reader)
{
    if (reader == NULL)
        return;
    (void)pthread_mutex_lock(&reader->lock);
    reader->ending = true;
    (void)pthread_cond_signal(&reader->more);
    (void)pthread_mutex_unlock(&reader->lock);
    (void)pthread_join(reader->thread, NULL);
    cache_close(reader->cache);
    (void)pthread_cond_destroy(&reader->more);
    (void)pthread_mutex_destroy(&reader->lock);
    free(reader);
}
