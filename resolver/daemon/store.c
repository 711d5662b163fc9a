/* resolver/daemon/store.c - the store thread. */
#define _GNU_SOURCE
#include "resolver/daemon/store.h"

#include "cache/report.h"
#include "resolver/daemon/build.h"
#include "resolver/daemon/log.h"
#include "resolver/daemon/metrics.h"
#include "resolver/daemon/tlog.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STORE_GROUP_MAX 64u /* operations at once */
#define STORE_ALONE_MS 2000 /* then the rest of a group that failed is not tried one by one */

struct store_op {
    struct loop_job job; /* first: the outcome travels back as this */
    struct store_op *next;
    struct store_events events; /* the store may be gone when the outcome is told */
    struct core_change *change; /* commit, or NULL */
    struct core_loaded loaded;  /* load */
    struct store_job *work;     /* neither of them, or NULL */
    enum ms_err err;
    struct ms_diag diag;
};

struct store {
    struct loop *loop;
    struct cache *cache;
    struct store_events events;
    char boot_id[CACHE_BOOT_ID_LEN + 1];
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct store_op *head, **tail;
    struct tlog *tlog;  /* NULL: none */
    int64_t log_due_ms; /* the store thread's; monotonic, -1: when something changes */
    bool woken;
    bool ending;
    enum cache_floor floor; /* the store thread's: as last told */
    bool failing;           /* the store thread's: the last change could not be made durable */
};

/* ---- rows and entries ---- */

static struct cache_time stamp(const struct store *store, int64_t boot_ms, struct ms_now now)
{
    struct cache_time t = {.wall_s = now.wall_s + (boot_ms - now.boot_ms) / 1000,
                           .boot_ms = boot_ms};
    memcpy(t.boot_id, store->boot_id, sizeof(t.boot_id));
    return t;
}

/* The moment on this boot's clock: exact within one boot, by the wall clock across a reboot (6.3).
 */
static int64_t boot_of(const struct store *store, const struct cache_time *t, struct ms_now now,
                       bool *ret_other_boot)
{
    *ret_other_boot = store->boot_id[0] == '\0' || strcmp(t->boot_id, store->boot_id) != 0;
    if (!*ret_other_boot)
        return t->boot_ms < now.boot_ms ? t->boot_ms : now.boot_ms;
    int64_t age_s = now.wall_s > t->wall_s ? now.wall_s - t->wall_s : 0;
    return now.boot_ms - age_s * 1000;
}

/* What rests on one endpoint's word binds nobody for ever: it leaves no floor in the database. */
static bool one_word(enum spec_level level)
{
    return level != SPEC_LEVEL_NONE && level <= SPEC_LEVEL_L1;
}

static struct cache_entry row_of(const struct store *store, const struct core_change *change)
{
    const struct entry *e = &change->entry;
    enum cache_status status = e->conflict ? CACHE_CONFLICT : e->hold ? CACHE_HOLD : CACHE_GOOD;
    struct cache_entry row = {
        .key = change->id.key,
        .level = change->id.level,
        .canonical = change->canonical,
        .kind = change->kind,
        .status = e->good       ? status
                  : e->conflict ? CACHE_CONFLICT
                                : CACHE_HOLD,
        .has_bundle = e->good,
        .bundle = change->evidence,
        .has_sequence = e->has_sequence,
        .sequence = e->has_sequence ? e->floor_sequence : 0,
        .commitment = e->commitment,
        .set_hash = change->set_hash,
        .floor_epoch = e->floor_epoch,
        .floor_sequence = one_word(change->id.level) ? 0 : e->floor_sequence,
        .fetched = stamp(store, change->now.boot_ms, change->now),
        .checked = stamp(store, e->checked_boot_ms, change->now),
        .evidence_time_s = e->evidence_time_s,
        .life = e->life,
        .valid_until_s = e->valid_until_s,
        .error = e->conflict ? e->conflict_err : MS_OK,
    };
    return row;
}

static struct entry entry_of(const struct store *store, const struct cache_entry *row,
                             struct ms_now now)
{
    bool other_boot = false;
    struct entry e = {
        .evidence_time_s = row->evidence_time_s,
        .life = row->life,
        .valid_until_s = row->valid_until_s,
        .has_sequence = row->has_sequence,
        .floor_epoch = row->floor_epoch,
        .floor_sequence = one_word(row->level) ? row->sequence : row->floor_sequence,
        .commitment = row->commitment,
        .conflict = row->status == CACHE_CONFLICT,
        .conflict_err = row->status == CACHE_CONFLICT ? MS_ERR_CONFLICT : MS_OK,
        .hold = row->status == CACHE_HOLD && row->has_bundle,
    };
    e.checked_boot_ms = boot_of(store, &row->checked, now, &other_boot);
    e.recheck = other_boot && row->life.fresh_s >= 0;
    return e;
}

/* ---- operations, on the store thread ---- */

static const char *change_name(enum core_change_kind kind)
{
    switch (kind) {
    case CORE_CHANGE_TOUCH:
        return "touch";
    case CORE_CHANGE_SET:
        return "change";
    case CORE_CHANGE_CONFLICT:
        return "conflict";
    case CORE_CHANGE_HOLD:
        return "hold";
    case CORE_CHANGE_DISSENT:
        return "dissent";
    }
    return "change";
}

/* What history says of it; empty when that could not be told. Facts are changed, as if this change
 * were its own, so the same text comes of a second try. */
static enum ms_err summarise(struct store *store, const struct core_change *change,
                             struct ms_buf *out, struct ms_diag *diag)
{
    if (change->facts == NULL)
        return MS_OK;
    return report_summary(store->cache, &change->id.key, change->id.level, 0, change->facts,
                          change->change == CORE_CHANGE_SET, out, diag);
}

static enum ms_err commit_once(struct store *store, const struct core_change *change,
                               struct ms_diag *diag)
{
    struct cache_entry row = row_of(store, change);
    struct ms_span bundle = ms_buf_span(&change->bundle);
    struct cache_history history = {
        .key = change->id.key,
        .level = change->id.level,
        .time_s = change->now.wall_s,
        .status = row.status,
        .kind = change_name(change->change),
        .has_sequence = change->has_sequence,
        .sequence = change->sequence,
        .set_hash = change->found_set,
        .has_bundle = true,
        .bundle = change->bundle_hash,
        .has_block = change->block.chain != 0,
        .block_number = change->block.number,
        .block_hash = change->block.hash,
        .build = build_id(),
        .leaf = &change->leaf,
    };
    struct cache_change write = {
        .n_blobs = 1, .blobs = &bundle, .entry = &row, .history = &history};
    struct ms_buf summary = MS_BUF_INIT(CACHE_SUMMARY_MAX_BYTES);
    enum ms_err err = summarise(store, change, &summary, diag);
    if (err == MS_OK && summary.len > 0)
        history.summary = ms_buf_str(&summary);
    if (err == MS_OK)
        err = cache_commit(store->cache, &write, diag);
    ms_buf_done(&summary);
    return err;
}

static enum ms_err commit(struct store *store, const struct core_change *change,
                          struct ms_diag *diag)
{
    if (change->change == CORE_CHANGE_TOUCH) {
        struct cache_freshness fresh = {
            .bundle = change->evidence,
            .checked = stamp(store, change->entry.checked_boot_ms, change->now),
            .evidence_time_s = change->entry.evidence_time_s,
            .life = change->entry.life,
            .valid_until_s = change->entry.valid_until_s,
            .has_block = change->block.chain != 0,
            .block_number = change->block.number,
            .block_hash = change->block.hash,
        };
        return cache_touch(store->cache, &change->id.key, change->id.level, &fresh, diag);
    }
    enum ms_err err = commit_once(store, change, diag);
    if (err == MS_ERR_HMAC) {
        /* somebody changed the row: the alarm is in the log, the row goes, the new one is ours */
        log_line(LOG_LEVEL_WARNING, "store", "row-replaced", log_str("cause", diag->text));
        struct ms_diag again = {0};
        err = cache_entry_delete(store->cache, &change->id.key, change->id.level, &again);
        if (err == MS_OK)
            err = commit_once(store, change, &again);
        *diag = again;
    }
    return err;
}

/* The stored bundle must lead to what the row says. */
static enum ms_err verify_row(struct store *store, const struct cache_entry *row,
                              struct source_result **ret_result, struct ms_diag *diag)
{
    struct ms_buf text = MS_BUF_INIT(BUNDLE_MAX_BYTES);
    struct source_result *result = NULL;
    bool found = false;
    struct spec spec;

    spec_init(&spec);
    enum ms_err err = cache_blob_get(store->cache, &row->bundle, &text, &found, diag);
    if (err == MS_OK && !found)
        err = ms_diag_set(diag, MS_ERR_EVIDENCE, "the evidence of the row is missing");
    if (err == MS_OK)
        err = bundle_verify(ms_buf_span(&text), &spec, &result, diag);
    if (err == MS_OK && result == NULL)
        err = ms_diag_set(diag, MS_ERR_EVIDENCE, "the evidence of the row is that of a failure");
    if (err == MS_OK &&
        (!ms_sha256_eq(&spec.key, &row->key) || !ms_sha256_eq(&result->set_hash, &row->set_hash) ||
         !ms_sha256_eq(&result->commitment, &row->commitment) ||
         (row->level != SPEC_LEVEL_NONE && result->level != row->level))) {
        source_result_free(result);
        err = ms_diag_set(diag, MS_ERR_EVIDENCE, "the evidence belongs to another answer");
    }
    if (err == MS_OK)
        *ret_result = result;
    spec_done(&spec);
    ms_buf_done(&text);
    return err;
}

static void load(struct store *store, struct core_loaded *loaded)
{
    struct ms_arena arena = MS_ARENA_INIT((size_t)128 << 10);
    struct cache_entry row = {0};
    bool found = false;

    loaded->err = cache_entry_get(store->cache, &loaded->id.key, loaded->id.level, &arena, &row,
                                  &found, &loaded->diag);
    if (loaded->err == MS_OK && found) {
        loaded->entry = entry_of(store, &row, clocks_now());
        loaded->set_hash = row.set_hash;
        loaded->evidence = row.bundle;
        loaded->found = true;
        if (row.has_bundle)
            loaded->err = verify_row(store, &row, &loaded->result, &loaded->diag);
    }
    if (loaded->err != MS_OK)
        METRIC_INC(store_errors_load);
    ms_arena_done(&arena);
}

static enum ms_err take_time(void *arg, enum ms_err row, const struct cache_entry *entry,
                             const struct ms_diag *why)
{
    int64_t *floor_s = arg;
    (void)why;
    if (row == MS_OK && entry->kind == SPEC_CONTRACT && entry->level >= SPEC_LEVEL_L2 &&
        entry->has_bundle && entry->evidence_time_s > *floor_s)
        *floor_s = entry->evidence_time_s;
    return MS_OK;
}

int64_t store_time_floor(struct cache *cache)
{
    struct ms_diag diag = {0};
    int64_t floor_s = 0;

    if (cache_each_entry(cache, take_time, &floor_s, &diag) != MS_OK)
        log_line(LOG_LEVEL_WARNING, "store", "no-time-floor", log_str("cause", diag.text));
    return floor_s;
}

/* ---- the thread ---- */

static void deliver(struct loop_job *job)
{
    struct store_op *op = (struct store_op *)job;
    struct store_events *events = &op->events;

    if (op->work != NULL)
        op->work->done(op->work);
    else if (op->change != NULL)
        events->stored(events->arg, op->change, op->err, &op->diag);
    else
        events->loaded(events->arg, &op->loaded);
    free(op);
}

/* Until something waits, the end, or the log wants its turn. */
static void wait_for_more(struct store *store)
{
    struct timespec until = {.tv_sec = store->log_due_ms / 1000,
                             .tv_nsec = store->log_due_ms % 1000 * 1000000};

    while (store->head == NULL && !store->ending && !store->woken)
        if (store->log_due_ms < 0)
            (void)pthread_cond_wait(&store->more, &store->lock);
        else if (pthread_cond_timedwait(&store->more, &store->lock, &until) == ETIMEDOUT)
            break;
    store->woken = false;
}

/* What waits, oldest first, at most STORE_GROUP_MAX; waits for some. NULL: nothing, so it is the
 * log's turn or the end. */
static struct store_op *next_ops(struct store *store, bool *ret_end)
{
    (void)pthread_mutex_lock(&store->lock);
    wait_for_more(store);
    *ret_end = store->head == NULL && store->ending;
    struct store_op *ops = store->head, **end = &store->head;
    for (size_t n = 0; n < STORE_GROUP_MAX && *end != NULL; n++)
        end = &(*end)->next;
    store->head = *end;
    *end = NULL;
    if (store->head == NULL)
        store->tail = &store->head;
    (void)pthread_mutex_unlock(&store->lock);
    return ops;
}

/* Each in a transaction of its own. What is broken for all of them is not waited for by each. */
static void commit_each(struct store *store, struct store_op *ops)
{
    int64_t end_ms = clocks_now().boot_ms + STORE_ALONE_MS;
    struct store_op *failed = NULL;

    for (struct store_op *op = ops; op != NULL; op = op->next) {
        if (op->change == NULL)
            continue;
        if (failed != NULL && clocks_now().boot_ms >= end_ms) {
            op->err = failed->err;
            op->diag = failed->diag;
            continue;
        }
        op->diag = (struct ms_diag){0};
        op->err = commit(store, op->change, &op->diag);
        if (op->err == MS_OK)
            METRIC_INC(store_transactions);
        else if (op->err == MS_ERR_STORE)
            failed = op;
    }
}

/* All changes in one transaction; one that is refused leaves the others as they are. When the
 * database fails, one of them may be the cause (too large for what the disk has left): each alone.
 */
static void commit_group(struct store *store, struct store_op *ops)
{
    struct ms_diag diag = {0};

    enum ms_err err = cache_group_begin(store->cache, &diag);
    for (struct store_op *op = ops; op != NULL; op = op->next) {
        if (op->change == NULL)
            continue;
        op->err = err;
        op->diag = diag;
        if (err == MS_OK)
            op->err = commit(store, op->change, &op->diag);
    }
    if (err != MS_OK)
        return;
    if (cache_group_end(store->cache, &diag) == MS_OK)
        METRIC_INC(store_transactions);
    else
        commit_each(store, ops);
}

static void count_outcome(struct store *store, const struct store_op *op)
{
    if (op->err == MS_OK) {
        METRIC_INC(store_commits);
        if (store->failing)
            log_event(LOG_LEVEL_NOTICE, "store", "works-again", NULL, 0);
        store->failing = false;
        return;
    }
    struct ms_diag diag = op->diag;
    METRIC_INC(store_errors_commit);
    log_line(LOG_LEVEL_ERROR, "store", "commit-failed",
             log_str("cause", ms_diag_text(&diag, op->err)));
    store->failing = store->failing || op->err == MS_ERR_STORE;
}

static bool is_changed(const struct store_op *ops, const struct answer_id *id)
{
    for (const struct store_op *op = ops; op != NULL; op = op->next)
        if (op->change != NULL && op->change->id.level == id->level &&
            ms_sha256_eq(&op->change->id.key, &id->key))
            return true;
    return false;
}

static void finish(struct store *store, struct store_op *op)
{
    op->job.run = deliver;
    loop_post(store->loop, &op->job); /* from here on it is the loop's */
}

/* Questions first, for a database that cannot be written to makes changes wait; but not before the
 * changes of the same entry. */
static void run_loads(struct store *store, struct store_op **ops, bool all)
{
    for (struct store_op **at = ops; *at != NULL;) {
        struct store_op *op = *at;
        if (op->change != NULL || (!all && is_changed(*ops, &op->loaded.id))) {
            at = &op->next;
            continue;
        }
        *at = op->next;
        if (op->work != NULL)
            op->work->run(op->work, store->cache);
        else
            load(store, &op->loaded);
        finish(store, op);
    }
}

/* An older database was put back, or it cannot be told any more: once, when it shows. */
static void tell_floor(struct store *store)
{
    const char *why = NULL;
    enum cache_floor now = cache_floor(store->cache, &why);

    if (now == store->floor)
        return;
    store->floor = now;
    if (now == CACHE_FLOOR_NONE || now == CACHE_FLOOR_OK)
        return;
    METRIC_INC(store_errors_floor);
    log_line(LOG_LEVEL_ERROR, "store", now == CACHE_FLOOR_OLDER ? "older-database" : "no-floor",
             log_str("cause", why));
}

static void run_ops(struct store *store, struct store_op *ops)
{
    run_loads(store, &ops, false);
    if (ops == NULL)
        return;
    if (ops->next == NULL)
        commit_each(store, ops);
    else
        commit_group(store, ops);
    tell_floor(store);
    run_loads(store, &ops, true);
    while (ops != NULL) {
        struct store_op *next = ops->next;
        count_outcome(store, ops);
        finish(store, ops);
        ops = next;
    }
}

/* What is committed is signed; nobody waits for that. */
static void run_log(struct store *store)
{
    if (store->tlog == NULL)
        return;
    struct timespec now = {0};
    int64_t wait_ms = tlog_turn(store->tlog, store->cache, clocks_now());
    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* the clock of the condition */
    store->log_due_ms =
        wait_ms < 0 ? -1 : (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000 + wait_ms + 1;
}

static void *run(void *arg)
{
    struct store *store = arg;
    bool end = false;

    tell_floor(store);
    while (!end) {
        run_ops(store, next_ops(store, &end));
        run_log(store);
    }
    return NULL;
}

void store_wake(struct store *store)
{
    (void)pthread_mutex_lock(&store->lock);
    store->woken = true;
    (void)pthread_cond_signal(&store->more);
    (void)pthread_mutex_unlock(&store->lock);
}

void store_set_log(struct store *store, struct tlog *tlog)
{
    (void)pthread_mutex_lock(&store->lock);
    store->tlog = tlog;
    (void)pthread_mutex_unlock(&store->lock);
    store_wake(store);
}

static void push(struct store *store, struct store_op *op)
{
    op->events = store->events;
    (void)pthread_mutex_lock(&store->lock);
    *store->tail = op;
    store->tail = &op->next;
    (void)pthread_cond_signal(&store->more);
    (void)pthread_mutex_unlock(&store->lock);
}

/* Without memory for the operation itself its outcome is still told, later and on the loop. */
static struct store_op *new_op(void)
{
    struct store_op *op = calloc(1, sizeof(*op));
    if (op == NULL)
        abort(); /* a few hundred bytes: nothing could be told any more either */
    return op;
}

void store_commit(struct store *store, struct core_change *change)
{
    struct store_op *op = new_op();
    op->change = change;
    push(store, op);
}

void store_load(struct store *store, const struct answer_id *id)
{
    struct store_op *op = new_op();
    op->loaded.id = *id;
    push(store, op);
}

void store_run(struct store *store, struct store_job *job)
{
    struct store_op *op = new_op();
    op->work = job;
    push(store, op);
}

/* ---- life ---- */

static void read_boot_id(char out[CACHE_BOOT_ID_LEN + 1])
{
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, out, CACHE_BOOT_ID_LEN);
    if (fd >= 0)
        (void)close(fd);
    out[n == CACHE_BOOT_ID_LEN ? n : 0] = '\0';
}

enum ms_err store_new(struct loop *loop, struct cache *cache, const struct store_events *events,
                      struct store **ret_store)
{
    pthread_condattr_t clock;
    struct store *store = calloc(1, sizeof(*store));
    if (store == NULL)
        return MS_ERR_MEMORY;
    store->loop = loop;
    store->cache = cache;
    store->events = *events;
    store->tail = &store->head;
    read_boot_id(store->boot_id);
    (void)pthread_mutex_init(&store->lock, NULL);
    store->log_due_ms = -1;
    (void)pthread_condattr_init(&clock);
    (void)pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&store->more, &clock);
    (void)pthread_condattr_destroy(&clock);
    if (pthread_create(&store->thread, NULL, run, store) != 0) {
        free(store);
        return MS_ERR_IO;
    }
    *ret_store = store;
    return MS_OK;
}

void store_free(struct store *store)
{
    if (store == NULL)
        return;
    (void)pthread_mutex_lock(&store->lock);
    store->ending = true;
    (void)pthread_cond_signal(&store->more);
    (void)pthread_mutex_unlock(&store->lock);
    (void)pthread_join(store->thread, NULL);
    cache_close(store->cache);
    (void)pthread_cond_destroy(&store->more);
    (void)pthread_mutex_destroy(&store->lock);
    free(store);
}
