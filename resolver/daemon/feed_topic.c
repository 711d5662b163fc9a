/* resolver/daemon/feed_topic.c - what is followed: from the core's answers to sealed snapshots. */
#define _GNU_SOURCE
#include "resolver/daemon/feed_internal.h"

#include "resolver/daemon/log.h"
#include "resolver/daemon/metrics.h"
#include "resolver/daemon/specifier.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static void publication_free(struct feed_publication *p)
{
    if (p == NULL)
        return;
    shared_result_unref(p->shared);
    free(p->windows);
    free(p);
}

/* ---- loop thread ---- */

/* `last`: nobody watches any more. Whoever takes that mail frees the topic, so it must not be seen
 * before the topic is in the list for the last time. */
static void post(struct feed_topic *topic, struct feed_publication *p, bool last)
{
    struct feed *feed = topic->feed;

    (void)pthread_mutex_lock(&feed->lock);
    publication_free(topic->mail);
    topic->mail = p;
    topic->ended = last;
    if (!topic->in_mail) {
        topic->in_mail = true;
        topic->next_mail = NULL;
        *feed->mail_tail = topic;
        feed->mail_tail = &topic->next_mail;
    }
    (void)pthread_mutex_unlock(&feed->lock);
    atomic_store(&feed->has_mail, true);
    feed_wake(feed);
}

static bool copy_answer(struct feed_publication *p, const struct answer *answer)
{
    size_t n = answer->shared->result->n_releases;

    p->windows = malloc((n == 0 ? 1 : n) * sizeof(*p->windows));
    if (p->windows == NULL)
        return false;
    if (n > 0)
        memcpy(p->windows, answer->windows, n * sizeof(*p->windows));
    p->shared = shared_result_ref(answer->shared);
    p->sequence = answer->sequence;
    p->fresh_until_ms = answer->fresh_until_ms;
    p->serve_until_ms = answer->serve_until_ms;
    p->checked_boot_ms = answer->checked_boot_ms;
    return true;
}

/* Whether the subscribers' own conditions let them have it: seq= and max-age= of the specifier. */
static bool meets(const struct feed_topic *topic, const struct answer *answer)
{
    const struct source_result *result = answer->shared->result;

    return topic->min_sequence == 0 ||
           (result->has_sequence && result->sequence >= topic->min_sequence);
}

/* Without memory the topic's spare one: a revocation must not be lost for want of 400 bytes. NULL:
 * that has gone too. */
static struct feed_publication *new_publication(struct feed_topic *topic)
{
    struct feed_publication *p = calloc(1, sizeof(*p));

    if (p == NULL) {
        p = topic->spare;
        topic->spare = NULL;
    }
    return p;
}

static void on_published(struct core_watcher *watcher, const struct answer *answer)
{
    struct feed_topic *topic =
        (struct feed_topic *)((char *)watcher - offsetof(struct feed_topic, watcher));
    struct feed_publication *p = new_publication(topic);

    if (p == NULL)
        return; /* the spare one has gone already, and with it what readers had */
    p->published_ms = loop_now(topic->feed->env.loop).boot_ms;
    p->state = answer == NULL || answer->state == ENTRY_EMPTY ? ENTRY_NEGATIVE : answer->state;
    if (answer != NULL && answer->serve) {
        bool meeting = meets(topic, answer);
        if (!meeting)
            p->state = ENTRY_NEGATIVE;
        if (meeting && !copy_answer(p, answer))
            p->state = ENTRY_EXPIRED; /* rather nothing than what was before */
    }
    if (p->shared != NULL && topic->max_age_s > 0) {
        int64_t end_ms = p->checked_boot_ms + topic->max_age_s * 1000;
        p->fresh_until_ms = p->fresh_until_ms < end_ms ? p->fresh_until_ms : end_ms;
        p->serve_until_ms = p->serve_until_ms < end_ms ? p->serve_until_ms : end_ms;
    }
    post(topic, p, false);
}

static void run_begin(struct loop_job *job)
{
    struct feed_topic *topic =
        (struct feed_topic *)((char *)job - offsetof(struct feed_topic, begin));
    struct spec *spec = topic->spec;
    struct ms_diag diag = {0};

    topic->spec = NULL;
    enum ms_err err = core_watch(topic->feed->env.core, &topic->watcher, spec, &diag);
    if (err == MS_OK)
        return;
    struct feed_publication *p = new_publication(topic);
    if (p == NULL)
        return;
    p->err = err;
    p->diag = diag;
    post(topic, p, false);
}

static void run_end(struct loop_job *job)
{
    struct feed_topic *topic =
        (struct feed_topic *)((char *)job - offsetof(struct feed_topic, end));

    core_unwatch(topic->feed->env.core, &topic->watcher);
    post(topic, NULL, true);
}

/* ---- feed thread ---- */

static size_t bucket_of(const struct answer_id *id)
{
    size_t h;

    memcpy(&h, id->key.b, sizeof(h)); /* a SHA-256 already */
    return h % FEED_BUCKETS;
}

static bool is_topic(const struct feed_topic *t, const struct answer_id *id,
                     const struct spec *spec, const char *host)
{
    return t->id.level == id->level && ms_sha256_eq(&t->id.key, &id->key) &&
           t->min_sequence == spec->seq && t->max_age_s == specifier_max_age_s(spec) &&
           t->has_bytes == (spec->kind == SPEC_INLINE) &&
           (host == NULL ? t->host == NULL : t->host != NULL && strcmp(host, t->host) == 0);
}

static void topic_free(struct feed_topic *topic)
{
    publication_free(topic->mail);
    publication_free(topic->now);
    publication_free(topic->spare);
    if (topic->fd >= 0)
        (void)close(topic->fd);
    if (topic->spec != NULL) {
        spec_done(topic->spec);
        free(topic->spec);
    }
    free(topic->host);
    free(topic);
}

struct feed_topic *feed_topic_get(struct feed *feed, const struct answer_id *id, struct spec *spec,
                                  uint64_t client)
{
    struct feed_topic **bucket = &feed->topic_buckets[bucket_of(id)];
    const char *host = spec->kind == SPEC_SIGNERS ? spec->host : NULL;

    for (struct feed_topic *t = *bucket; t != NULL; t = t->next_bucket) {
        if (is_topic(t, id, spec, host)) {
            spec_done(spec);
            free(spec);
            return t;
        }
    }
    struct feed_topic *topic = calloc(1, sizeof(*topic));
    char *copy = host == NULL ? NULL : strdup(host);
    struct feed_publication *spare = calloc(1, sizeof(*spare));
    if (topic == NULL || spare == NULL || (host != NULL && copy == NULL)) {
        free(topic);
        free(spare);
        free(copy);
        spec_done(spec);
        free(spec);
        return NULL;
    }
    *topic = (struct feed_topic){.feed = feed,
                                 .id = *id,
                                 .min_sequence = spec->seq,
                                 .max_age_s = specifier_max_age_s(spec),
                                 .host = copy,
                                 .has_bytes = spec->kind == SPEC_INLINE,
                                 .watcher = {.id = *id,
                                             .client = client,
                                             .max_age_s = specifier_max_age_s(spec),
                                             .published = on_published},
                                 .spec = spec,
                                 .spare = spare,
                                 .begin = {.run = run_begin},
                                 .end = {.run = run_end},
                                 .next_bucket = *bucket,
                                 .fd = -1};
    *bucket = topic;
    (void)pthread_mutex_lock(&feed->lock);
    topic->next_all = feed->topics;
    if (topic->next_all != NULL)
        topic->next_all->prev_all = topic;
    feed->topics = topic;
    (void)pthread_mutex_unlock(&feed->lock);
    (void)atomic_fetch_add(&feed->n_topics, 1);
    loop_post(feed->env.loop, &topic->begin);
    return topic;
}

void feed_topic_add(struct feed_topic *topic, struct feed_sub *sub)
{
    sub->next_topic = topic->subs;
    if (sub->next_topic != NULL)
        sub->next_topic->prev_topic = sub;
    topic->subs = sub;
    if (topic->now != NULL)
        feed_sub_mark(sub);
}

static void drop_descriptor(struct feed_topic *topic)
{
    if (topic->fd < 0)
        return;
    (void)close(topic->fd);
    topic->fd = -1;
    topic->feed->n_open--;
}

void feed_topic_remove(struct feed_topic *topic, struct feed_sub *sub)
{
    if (sub->prev_topic != NULL)
        sub->prev_topic->next_topic = sub->next_topic;
    else
        topic->subs = sub->next_topic;
    if (sub->next_topic != NULL)
        sub->next_topic->prev_topic = sub->prev_topic;
    if (topic->subs != NULL)
        return;
    struct feed_topic **at = &topic->feed->topic_buckets[bucket_of(&topic->id)];
    while (*at != topic)
        at = &(*at)->next_bucket;
    *at = topic->next_bucket;
    drop_descriptor(topic);
    (void)atomic_fetch_sub(&topic->feed->n_topics, 1);
    loop_post(topic->feed->env.loop, &topic->end); /* freed when its last mail comes back */
}

/* ---- what has changed ---- */

static bool same_moment(int64_t a, int64_t b)
{
    int64_t low = a < b ? a : b, high = a < b ? b : a;
    return low == high ||
           (high != ENTRY_NEVER && low != INT64_MIN && high - low <= FEED_WINDOW_SLACK_MS);
}

/* Whether a reader that has the one needs only other times for the other. */
static bool same_content(const struct feed_publication *a, const struct feed_publication *b)
{
    if (a == NULL || (a->shared == NULL) != (b->shared == NULL))
        return false;
    if (a->shared == NULL)
        return a->state == b->state;
    const struct source_result *x = a->shared->result, *y = b->shared->result;
    if (a->sequence != b->sequence || x->n_releases != y->n_releases ||
        !ms_sha256_eq(&x->set_hash, &y->set_hash))
        return false;
    for (size_t i = 0; i < x->n_releases; i++)
        if (!same_moment(a->windows[i].from_ms, b->windows[i].from_ms) ||
            !same_moment(a->windows[i].until_ms, b->windows[i].until_ms))
            return false;
    return true;
}

/* Nearer at once; farther when it is by more than a tenth of what is left. */
static bool moved(int64_t from_ms, int64_t to_ms, int64_t now_ms)
{
    if (to_ms <= from_ms)
        return to_ms < from_ms;
    return from_ms <= now_ms || to_ms == FEED_NEVER || to_ms - from_ms > (from_ms - now_ms) / 10;
}

bool feed_times_moved(const struct feed_renew *sent, const struct feed_renew *now, int64_t now_ms)
{
    return sent->state != now->state || moved(sent->hard_until_ms, now->hard_until_ms, now_ms) ||
           moved(sent->fresh_until_ms, now->fresh_until_ms, now_ms);
}

static void take_publication(struct feed_topic *topic, struct feed_publication *p)
{
    bool same = same_content(topic->now, p);

    topic->times = (struct feed_renew){.fresh_until_ms = p->fresh_until_ms,
                                       .hard_until_ms = p->serve_until_ms,
                                       .state = snapshot_state(p->state)};
    if (same) { /* the windows stay those that were sent: the slack does not add up */
        struct snapshot_window *sent = topic->now->windows;
        topic->now->windows = p->windows;
        p->windows = sent;
    } else {
        drop_descriptor(topic);
    }
    publication_free(topic->now);
    topic->now = p;
    for (struct feed_sub *sub = topic->subs; sub != NULL; sub = sub->next_topic) {
        sub->outdated = sub->outdated || !same;
        if (sub->outdated || feed_times_moved(&sub->sent, &topic->times, topic->feed->now_ms))
            feed_sub_mark(sub);
    }
}

static void fail_all(struct feed_topic *topic, const struct feed_publication *p)
{
    /* the last one ends the topic, which lives until its mail has come back */
    for (struct feed_sub *sub = topic->subs, *next; sub != NULL; sub = next) {
        next = sub->next_topic;
        feed_sub_fail(sub, p->err, &p->diag);
    }
}

static void forget(struct feed *feed, struct feed_topic *topic)
{
    (void)pthread_mutex_lock(&feed->lock);
    if (topic->prev_all != NULL)
        topic->prev_all->next_all = topic->next_all;
    else
        feed->topics = topic->next_all;
    if (topic->next_all != NULL)
        topic->next_all->prev_all = topic->prev_all;
    (void)pthread_mutex_unlock(&feed->lock);
    topic_free(topic);
}

void feed_topics_take_mail(struct feed *feed)
{
    if (!atomic_exchange(&feed->has_mail, false))
        return;
    for (;;) {
        (void)pthread_mutex_lock(&feed->lock);
        struct feed_topic *topic = feed->mail;
        struct feed_publication *p = NULL;
        bool ended = false;
        if (topic != NULL) {
            feed->mail = topic->next_mail;
            if (feed->mail == NULL)
                feed->mail_tail = &feed->mail;
            p = topic->mail;
            topic->mail = NULL;
            topic->in_mail = false;
            ended = topic->ended;
        }
        (void)pthread_mutex_unlock(&feed->lock);
        if (topic == NULL)
            return;
        if (ended) {
            publication_free(p);
            forget(feed, topic);
        } else if (p != NULL && p->err != MS_OK) {
            fail_all(topic, p);
            publication_free(p);
        } else if (p != NULL) {
            take_publication(topic, p);
        }
    }
}

/* ---- snapshots ---- */

/* All readers share the descriptor's offset: it stays 0. */
static bool write_all(int fd, struct ms_span bytes)
{
    for (size_t at = 0; at < bytes.len;) {
        ssize_t n = pwrite(fd, bytes.ptr + at, bytes.len - at, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        at += (size_t)n;
    }
    return true;
}

static int sealed(struct ms_span bytes)
{
    int fd = memfd_create("measured", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd < 0)
        return -1;
    if (write_all(fd, bytes) &&
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) == 0)
        return fd;
    int saved = errno;
    (void)close(fd);
    errno = saved;
    return -1;
}

int feed_topic_snapshot(struct feed_topic *topic)
{
    struct feed *feed = topic->feed;
    const struct feed_publication *p = topic->now;

    if (topic->fd >= 0)
        return topic->fd;
    struct ms_buf bytes = MS_BUF_INIT(FEED_SNAPSHOT_MAX_BYTES);
    struct snapshot_input in = {.result = p->shared == NULL ? NULL : p->shared->result,
                                .windows = p->windows,
                                .key = topic->id.key,
                                .generation = feed->generation + 1,
                                .sequence = p->sequence,
                                .seed = feed_hash_mix(feed->seed, feed->generation | 1),
                                .built_boot_ms = p->published_ms,
                                .fresh_until_ms = p->fresh_until_ms,
                                .hard_until_ms = p->serve_until_ms,
                                .state = p->state};
    enum ms_err err = snapshot_build(&in, &bytes);
    if (err == MS_OK) {
        topic->fd = sealed(ms_buf_span(&bytes));
        err = topic->fd < 0 ? MS_ERR_IO : MS_OK;
    }
    if (err == MS_OK) {
        topic->generation = ++feed->generation;
        topic->bytes = bytes.len;
        topic->built = topic->times;
        feed->n_open++;
        METRIC_INC(feed_built);
    } else {
        log_line(LOG_LEVEL_ERROR, "feed", "no-snapshot", log_str("code", ms_err_code(err)),
                 log_str("cause", err == MS_ERR_IO ? strerror(errno) : ms_err_text(err)));
    }
    ms_buf_done(&bytes);
    return topic->fd;
}

void feed_topic_rest(struct feed_topic *topic)
{
    size_t open = topic->feed->n_open;

    if (open > 2 * FEED_OPEN_MAX || (open > FEED_OPEN_MAX && topic->n_unsent == 0))
        drop_descriptor(topic);
}

void feed_topics_free(struct feed *feed)
{
    while (feed->topics != NULL) {
        struct feed_topic *topic = feed->topics;
        feed->topics = topic->next_all;
        topic_free(topic);
    }
}
