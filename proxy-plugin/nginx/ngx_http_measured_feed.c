/*
 * proxy-plugin/nginx/ngx_http_measured_feed.c - what a worker follows.
 *
 * Each worker has a connection to the daemon of its own.  libmeasured never
 * blocks and brings its own timer, so all that is left is one descriptor among
 * the worker's events.
 */

#include "proxy-plugin/nginx/ngx_http_measured_module.h"


#define NGX_HTTP_MEASURED_REOPEN  1000  /* ms, after there was no descriptor */


typedef struct {
    struct measured    *client;      /* NULL: not open */
    ngx_connection_t   *connection;
    ngx_msec_t          reopen_at;
    ngx_err_t           down;        /* as last logged; 0: it is up */

    ngx_rbtree_t        tree;        /* of ngx_http_measured_entry_t */
    ngx_rbtree_node_t   sentinel;
    ngx_queue_t         lru;         /* the last used first */
    ngx_queue_t         awaited;
    ngx_uint_t          n;           /* in lru */
} ngx_http_measured_worker_t;


static void ngx_http_measured_pump(ngx_event_t *ev);
static void ngx_http_measured_note(ngx_err_t err);
static void ngx_http_measured_wake(void);
static void ngx_http_measured_resume(ngx_http_measured_wait_t *w);
static void ngx_http_measured_timeout(ngx_event_t *ev);
static void ngx_http_measured_unlink(void *data);
static ngx_int_t ngx_http_measured_open(ngx_http_measured_main_conf_t *mcf);
static void ngx_http_measured_close(void);


static ngx_http_measured_worker_t  worker;


/* ---- the connection ---- */

static ngx_int_t
ngx_http_measured_open(ngx_http_measured_main_conf_t *mcf)
{
    ngx_connection_t  *c;

    if (worker.client != NULL) {
        return NGX_OK;
    }

    if (worker.reopen_at != 0
        && (ngx_msec_int_t) (worker.reopen_at - ngx_current_msec) > 0)
    {
        return NGX_ERROR;
    }

    worker.reopen_at = ngx_current_msec + NGX_HTTP_MEASURED_REOPEN;

    worker.client = measured_open((const char *) mcf->dir.data);
    if (worker.client == NULL) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, ngx_errno,
                      "measured: cannot get ready to talk to the daemon");
        return NGX_ERROR;
    }

    c = ngx_get_connection(measured_fd(worker.client), ngx_cycle->log);
    if (c == NULL) {
        goto failed;
    }

    c->read->handler = ngx_http_measured_pump;
    c->read->log = ngx_cycle->log;
    c->write->log = ngx_cycle->log;

    /*
     * A pump takes in a bounded part and leaves the descriptor readable when
     * there is more: an edge would be told once.
     */

    if (ngx_add_event(c->read, NGX_READ_EVENT, NGX_LEVEL_EVENT) != NGX_OK) {
        ngx_free_connection(c);
        c->fd = (ngx_socket_t) -1;
        goto failed;
    }

    worker.connection = c;
    worker.down = 0;

    return NGX_OK;

failed:

    ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                  "measured: the worker has no connection left for the daemon "
                  "(worker_connections)");
    measured_close(worker.client);
    worker.client = NULL;

    return NGX_ERROR;
}


/* The descriptor is the client's: it closes it. */

static void
ngx_http_measured_close(void)
{
    ngx_connection_t  *c;

    c = worker.connection;

    if (c != NULL) {
        if (c->read->posted) {
            ngx_delete_posted_event(c->read);
        }

        (void) ngx_del_event(c->read, NGX_READ_EVENT, 0);
        ngx_free_connection(c);
        c->fd = (ngx_socket_t) -1;
        worker.connection = NULL;
    }

    measured_close(worker.client);
    worker.client = NULL;
}


static void
ngx_http_measured_pump(ngx_event_t *ev)
{
    (void) ev;

    ngx_http_measured_note(measured_pump(worker.client) == 0 ? 0 : ngx_errno);
    ngx_http_measured_wake();
}


static void
ngx_http_measured_note(ngx_err_t err)
{
    if (err == worker.down) {
        return;
    }

    worker.down = err;

    if (err == 0) {
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "measured: connected to the daemon");
        return;
    }

    ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, err,
                  "measured: no connection to the daemon, what is known is "
                  "used until its deadline");
}


/* ---- sets ---- */

static void
ngx_http_measured_drop(ngx_http_measured_entry_t *entry)
{
    ngx_rbtree_delete(&worker.tree, &entry->node.node);
    measured_unsubscribe(entry->set);
    ngx_free(entry);
}


/* Give up the set that was not used for longest, if nobody waits for it. */

static ngx_uint_t
ngx_http_measured_make_room(void)
{
    ngx_queue_t                *q;
    ngx_http_measured_entry_t  *entry;

    for (q = ngx_queue_last(&worker.lru);
         q != ngx_queue_sentinel(&worker.lru);
         q = ngx_queue_prev(q))
    {
        entry = ngx_queue_data(q, ngx_http_measured_entry_t, lru);

        if (ngx_queue_empty(&entry->waiters)) {
            ngx_queue_remove(q);
            worker.n--;
            ngx_http_measured_drop(entry);
            return 1;
        }
    }

    return 0;
}


static ngx_http_measured_entry_t *
ngx_http_measured_entry_new(ngx_str_t *text, uint32_t hash)
{
    ngx_http_measured_entry_t  *entry;

    entry = ngx_calloc(sizeof(ngx_http_measured_entry_t) + text->len,
                       ngx_cycle->log);
    if (entry == NULL) {
        return NULL;
    }

    ngx_memcpy(entry->text, text->data, text->len);

    entry->set = measured_subscribe(worker.client, (const char *) entry->text);
    if (entry->set == NULL) {
        ngx_free(entry);
        return NULL;
    }

    entry->node.node.key = hash;
    entry->node.str.len = text->len;
    entry->node.str.data = entry->text;
    entry->since = ngx_current_msec;
    ngx_queue_init(&entry->waiters);
    ngx_rbtree_insert(&worker.tree, &entry->node.node);

    return entry;
}


ngx_http_measured_entry_t *
ngx_http_measured_follow(ngx_http_measured_main_conf_t *mcf, ngx_str_t *text,
    ngx_uint_t pinned, const char **why)
{
    uint32_t                    hash;
    ngx_http_measured_entry_t  *entry;

    if (ngx_http_measured_open(mcf) != NGX_OK) {
        *why = "the worker cannot talk to the daemon";
        return NULL;
    }

    hash = ngx_murmur_hash2(text->data, text->len);
    entry = (ngx_http_measured_entry_t *)
                ngx_str_rbtree_lookup(&worker.tree, text, hash);

    if (entry == NULL) {

        if (!pinned && worker.n >= mcf->max_sets
            && !ngx_http_measured_make_room())
        {
            *why = "requests wait for as many sets as measured_max_sets allows";
            return NULL;
        }

        entry = ngx_http_measured_entry_new(text, hash);
        if (entry == NULL) {
            *why = "there is no memory for another set";
            return NULL;
        }

        entry->pinned = pinned;

    } else if (entry->pinned) {
        return entry;

    } else {
        ngx_queue_remove(&entry->lru);
        worker.n--;
        entry->pinned = pinned;
    }

    if (!entry->pinned) {
        ngx_queue_insert_head(&worker.lru, &entry->lru);
        worker.n++;
    }

    return entry;
}


/* Whether its first snapshot may still come. */

static ngx_uint_t
ngx_http_measured_pending(ngx_http_measured_entry_t *entry)
{
    struct measured_description  d;

    measured_describe(entry->set, &d);
    return d.state == MEASURED_STATE_WAITING;
}


/* ---- requests that wait ---- */

ngx_int_t
ngx_http_measured_wait(ngx_http_request_t *r, ngx_http_measured_entry_t *entry,
    ngx_msec_t wait, ngx_http_measured_wait_t **wp)
{
    ngx_msec_int_t             left;
    ngx_http_cleanup_t        *cln;
    ngx_http_measured_wait_t  *w;

    w = *wp;

    if (w != NULL && w->linked) {
        return NGX_AGAIN;
    }

    /*
     * The time is the set's, not each request's: when the daemon is gone not
     * every request shall stay for so long.
     */

    left = (ngx_msec_int_t) (entry->since + wait - ngx_current_msec);

    if (left <= 0 || (w != NULL && w->over)) {
        return NGX_DECLINED;
    }

    if (w == NULL) {
        w = ngx_pcalloc(r->pool, sizeof(ngx_http_measured_wait_t));
        if (w == NULL) {
            return NGX_ERROR;
        }

        cln = ngx_http_cleanup_add(r, 0);
        if (cln == NULL) {
            return NGX_ERROR;
        }

        cln->handler = ngx_http_measured_unlink;
        cln->data = w;

        w->request = r;
        w->timer.handler = ngx_http_measured_timeout;
        w->timer.data = w;
        w->timer.log = r->connection->log;
        *wp = w;
    }

    /* that the client goes away is heard of by the request that reads */

    if (r == r->main) {
        if (ngx_handle_read_event(r->connection->read, 0) != NGX_OK) {
            return NGX_ERROR;
        }

        r->read_event_handler = ngx_http_test_reading;
    }

    r->write_event_handler = ngx_http_request_empty_handler;

    if (ngx_queue_empty(&entry->waiters)) {
        ngx_queue_insert_tail(&worker.awaited, &entry->awaited);
    }

    ngx_queue_insert_tail(&entry->waiters, &w->queue);
    w->entry = entry;
    w->linked = 1;
    ngx_add_timer(&w->timer, (ngx_msec_t) left);

    return NGX_AGAIN;
}


/* Also a cleanup: the request ends, whyever. */

static void
ngx_http_measured_unlink(void *data)
{
    ngx_http_measured_wait_t *w = data;

    if (!w->linked) {
        return;
    }

    if (w->timer.timer_set) {
        ngx_del_timer(&w->timer);
    }

    ngx_queue_remove(&w->queue);
    w->linked = 0;

    if (w->entry != NULL && ngx_queue_empty(&w->entry->waiters)) {
        ngx_queue_remove(&w->entry->awaited);
    }

    w->entry = NULL;
}


static void
ngx_http_measured_timeout(ngx_event_t *ev)
{
    ngx_http_measured_wait_t *w = ev->data;

    w->over = 1;
    ngx_http_measured_resume(w);
}


/*
 * A request that goes on may end others and change every list here, so those
 * that are to go on are first taken out of them.
 */

static void
ngx_http_measured_wake(void)
{
    ngx_queue_t                *q, *next, ready;
    ngx_http_measured_wait_t   *w;
    ngx_http_measured_entry_t  *entry;

    ngx_queue_init(&ready);

    for (q = ngx_queue_head(&worker.awaited);
         q != ngx_queue_sentinel(&worker.awaited);
         q = next)
    {
        next = ngx_queue_next(q);
        entry = ngx_queue_data(q, ngx_http_measured_entry_t, awaited);

        if (ngx_http_measured_pending(entry)) {
            continue;
        }

        ngx_queue_remove(q);

        while (!ngx_queue_empty(&entry->waiters)) {
            w = ngx_queue_data(ngx_queue_head(&entry->waiters),
                               ngx_http_measured_wait_t, queue);
            ngx_queue_remove(&w->queue);
            ngx_queue_insert_tail(&ready, &w->queue);
            w->entry = NULL;
        }
    }

    while (!ngx_queue_empty(&ready)) {
        w = ngx_queue_data(ngx_queue_head(&ready), ngx_http_measured_wait_t,
                           queue);
        ngx_http_measured_resume(w);
    }
}


static void
ngx_http_measured_resume(ngx_http_measured_wait_t *w)
{
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    ngx_http_measured_unlink(w);

    r = w->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    if (r == r->main) {
        r->read_event_handler = ngx_http_block_reading;
    }

    r->write_event_handler = ngx_http_core_run_phases;

    if (r == r->main && ngx_handle_read_event(c->read, 0) != NGX_OK) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);

    } else {
        ngx_http_core_run_phases(r);
    }

    ngx_http_run_posted_requests(c);
}


/* ---- the process ---- */

ngx_int_t
ngx_http_measured_init_process(ngx_cycle_t *cycle)
{
    const char                      *why;
    ngx_uint_t                       i;
    ngx_http_measured_require_t    **named;
    ngx_http_measured_main_conf_t   *mcf;

    /* the cache's helpers come by here too */

    if (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE) {
        return NGX_OK;
    }

    ngx_memzero(&worker, sizeof(ngx_http_measured_worker_t));
    ngx_rbtree_init(&worker.tree, &worker.sentinel,
                    ngx_str_rbtree_insert_value);
    ngx_queue_init(&worker.lru);
    ngx_queue_init(&worker.awaited);

    mcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_measured_module);

    if (mcf == NULL) {
        return NGX_OK;
    }

    /* A worker without the daemon refuses, but it serves what needs no check. */

    named = mcf->named.elts;

    for (i = 0; i < mcf->named.nelts; i++) {
        named[i]->entry = ngx_http_measured_follow(mcf, &named[i]->text, 1,
                                                   &why);
        if (named[i]->entry == NULL) {
            ngx_log_error(NGX_LOG_ERR, cycle->log, 0,
                          "measured: a specifier of the configuration is not "
                          "followed: %s", why);
        }
    }

    return NGX_OK;
}


void
ngx_http_measured_exit_process(ngx_cycle_t *cycle)
{
    (void) cycle;

    if (worker.client == NULL) {
        return;
    }

    while (worker.tree.root != &worker.sentinel) {
        ngx_http_measured_drop((ngx_http_measured_entry_t *) worker.tree.root);
    }

    ngx_http_measured_close();
}
