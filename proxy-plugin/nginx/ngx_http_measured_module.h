/*
 * proxy-plugin/nginx/ngx_http_measured_module.h - what the two files of the
 * module share.  ngx_http_measured_module.c: directives, what a request is
 * asked, variables.  ngx_http_measured_feed.c: a worker's connection to the
 * daemon, the sets that it follows, and requests that wait for one of them.
 */

#ifndef NGX_HTTP_MEASURED_MODULE_H
#define NGX_HTTP_MEASURED_MODULE_H

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "include/measured/measured.h"


#define NGX_HTTP_MEASURED_TEXT_MAX  64000   /* what measured_subscribe takes */


/* A set that this worker follows. */

typedef struct {
    ngx_str_node_t             node;     /* by the text; len without the NUL */
    ngx_queue_t                lru;      /* those that no configuration names */
    ngx_queue_t                waiters;
    ngx_queue_t                awaited;  /* those that have waiters */
    ngx_msec_t                 since;
    struct measured_set       *set;
    unsigned                   pinned:1; /* named in the configuration */
    u_char                     text[1];
} ngx_http_measured_entry_t;


/* measured_require; one that is inherited is the same object everywhere. */

typedef struct {
    ngx_str_t                  text;     /* ends in NUL; unless there is: */
    ngx_http_complex_value_t  *value;
    ngx_http_measured_entry_t *entry;    /* of this worker, once it follows it */
} ngx_http_measured_require_t;


typedef struct {
    ngx_str_t                  dir;      /* ends in NUL; data NULL: the default */
    ngx_uint_t                 max_sets;
    ngx_array_t                named;    /* of ngx_http_measured_require_t * */
    unsigned                   used:1;   /* a directive of the module stands somewhere */
    unsigned                   warned:1;
} ngx_http_measured_main_conf_t;


/* A request that waits for the first snapshot of a set. */

typedef struct {
    ngx_queue_t                queue;
    ngx_event_t                timer;
    ngx_http_measured_entry_t *entry;
    ngx_http_request_t        *request;
    unsigned                   linked:1;
    unsigned                   over:1;   /* its time was up: never again */
} ngx_http_measured_wait_t;


extern ngx_module_t  ngx_http_measured_module;


ngx_int_t ngx_http_measured_init_process(ngx_cycle_t *cycle);
void ngx_http_measured_exit_process(ngx_cycle_t *cycle);

/*
 * The set of a specifier, from now on followed; `text` need not end in NUL.
 * One that is pinned is never given up for another.  NULL: there is no room or
 * no memory, *why says so.
 */
ngx_http_measured_entry_t *ngx_http_measured_follow(
    ngx_http_measured_main_conf_t *mcf, ngx_str_t *text, ngx_uint_t pinned,
    const char **why);

/*
 * Let the request's phases be run again when the snapshot has come or the set
 * is followed for `wait` ms.  NGX_AGAIN; NGX_DECLINED when that is over; or
 * NGX_ERROR.  *wp: NULL the first time.
 */
ngx_int_t ngx_http_measured_wait(ngx_http_request_t *r,
    ngx_http_measured_entry_t *entry, ngx_msec_t wait,
    ngx_http_measured_wait_t **wp);


#endif
