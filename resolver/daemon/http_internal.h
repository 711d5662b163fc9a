/* resolver/daemon/http_internal.h - shared by the http_*.c files. */
#ifndef MS_DAEMON_HTTP_INTERNAL_H
#define MS_DAEMON_HTTP_INTERNAL_H

#include "cache/log.h"
#include "cache/report.h"
#include "resolver/daemon/backfill.h"
#include "resolver/daemon/http.h"
#include "resolver/daemon/publish.h"
#include "resolver/source/workload.h"

#include <microhttpd.h>
#include <pthread.h>

#define HTTP_DAEMONS_MAX 4
#define HTTP_KEEPALIVE_MS 15000
#define HTTP_BODY_DROP_MAX_BYTES \
    ((size_t)1 << 20) /* a longer body loses its connection, unanswered */

struct http_listener {
    struct http *http;
    struct MHD_Daemon *daemon;
    int fd;
    bool admin, is_unix;
};

struct http {
    struct http_env env;
    size_t n_listeners;
    struct http_listener listeners[HTTP_DAEMONS_MAX];
    _Atomic(const struct config *) config;
    atomic_bool stopping, ready;
    atomic_uint suspended;
    atomic_uint
        answering; /* requests read in full whose answer is not sent in full; without watchers */
    atomic_llong loop_alive_ms;
    struct http_stream *streams; /* loop thread only */
    struct http_page { /* loop thread only: what the operator's page was in this batch of jobs */
        uint64_t batch;
        struct ms_buf text;
    } status, metrics;
};

enum http_stage { HTTP_NEW = 0, HTTP_BODY, HTTP_WAITING, HTTP_ANSWERED };

/* One request, from its first byte to its completion. */
struct http_request {
    struct http *http;
    struct http_listener *listener;
    struct MHD_Connection *connection;
    char *target; /* raw, as received */
    enum http_stage stage;
    const struct http_route *route;
    struct ms_buf body;
    bool body_too_large;
    size_t body_seen;
    bool come_again; /* the error is one of the moment: Retry-After */
    bool counted;    /* in http->answering */
    uint64_t client;
    bool waits, replying; /* takes a place among the client's waiting, or its replies */
    /* what is asked */
    struct spec *spec;           /* heap; moved to the core on a miss */
    const struct config *config; /* by which it was understood; only to compare */
    struct answer_id id;
    int64_t max_age_s;
    uint64_t seq;
    bool has_bytes; /* the specifier is the list itself */
    struct publish_ask list;
    struct ms_buf
        spelling; /* warnings about the spelling of this request, elements of a JSON array */
    bool has_spelling;
    struct rec_presented presented[REC_REGISTERS_MAX]; /* check */
    size_t n_presented;
    enum rec_type type;
    size_t n_predicates; /* all of them have to be approved, of one release */
    struct rec_predicate predicates[2];
    bool has_workload; /* a quote, or registers enough for one: ids of workloads can be computed */
    struct workload_input workload;
    const char *workload_lacks; /* what of the registers is missing for that, for words */
    struct http_boot *boot;     /* http_dstack.c, in the arena; NULL: no such request */
    struct ms_arena arena;
    /* waiting for the core */
    struct loop_job job;
    struct core_request core;
    bool asked;
    struct ms_buf reply; /* status, metrics: made on the loop thread */
    bool holding;        /* one of the client's replies, until it is sent */
    struct {             /* http_read.c */
        struct reader_job job;
        enum ms_err (*fn)(struct http_request *r, struct cache *cache, struct ms_diag *diag);
        enum ms_err err;
        struct ms_diag diag;
    } read;
    union { /* what the one route that needs it asks for */
        struct http_audit {
            struct report_page page;
            const char *from, *to; /* in the arena */
            int64_t time_s;
            struct ms_sha256 hash;
        } audit;
        struct http_log {
            bool is_tile, cosigned, has_leaf;
            struct msig_tlog_tile tile;
            uint64_t leaf, old_size;
        } log;
        uint64_t operations_from; /* first number wanted */
    };
};

/* What a handler does with a published answer (inside a read section). */
typedef enum MHD_Result http_answer_fn(struct http_request *r, struct answer *answer);

struct http_route {
    const char *path; /* one that ends in '/' stands for all below it, but "/" */
    /* NULL: any, of a proxy that asks about a request and comes with its method; some send its
     * body, which is dropped, or its path behind ours and a '/'. */
    const char *method;
    bool admin_only;
    /* Prepare the request; MS_OK: continue with `answer` (or `direct`), else the error is sent. */
    enum ms_err (*prepare)(struct http_request *r, struct ms_diag *diag);
    http_answer_fn *answer; /* needs a published answer */
    enum MHD_Result (*direct)(struct http_request *r);
    /* How errors are told here. */
    enum MHD_Result (*error)(struct http_request *r, unsigned status, enum ms_err err,
                             const struct ms_diag *diag);
    /* NULL: always; false: by the configuration in force there is no such path. */
    bool (*enabled)(const struct config *config);
};

/* NULL: none; then *ret_other is a route of this path for another method, if there is one. */
const struct http_route *http_route_find(struct ms_span path, const char *method,
                                         const struct http_route **ret_other);
unsigned http_status_of(enum ms_err err);

/* For requests over TCP: the Host must be an address or localhost. A name that some other site
 * points at 127.0.0.1 would let that site's scripts read along (DNS rebinding). MS_ERR_ARGUMENT. */
MS_MUST_USE enum ms_err http_local_host(const struct http_request *r, struct ms_diag *diag);

enum MHD_Result http_send(struct http_request *r, unsigned status, struct ms_span text,
                          const char *type);
/* The same in two steps, for who has headers to add: a response with those that all have (NULL: out
 * of memory), and sending it, which takes it. */
struct MHD_Response *http_response(const struct http_request *r, struct ms_span text,
                                   const char *type);
enum MHD_Result http_queue(struct http_request *r, unsigned status, struct MHD_Response *response);
enum MHD_Result http_error_text(struct http_request *r, unsigned status, enum ms_err err,
                                const struct ms_diag *diag);
enum MHD_Result http_error_problem(struct http_request *r, unsigned status, enum ms_err err,
                                   const struct ms_diag *diag);
/* By the route's manner; who may come again soon is told when. */
enum MHD_Result http_fail(struct http_request *r, enum ms_err err, const struct ms_diag *diag);

/* Suspend unless the daemon is stopping; false: not suspended, answer with MS_ERR_SHUTDOWN. */
bool http_suspend(struct http_request *r);
/* Any thread. The request must not be touched afterwards. */
void http_resume(struct http_request *r);

/* The specifier in ?specifier= or ?url= (exactly one) to r->spec and r->id. */
enum ms_err http_parse_spec(struct http_request *r, struct ms_diag *diag);
enum ms_err http_take_spec(struct http_request *r, struct ms_span text, bool is_url,
                           struct ms_diag *diag);

/* A contract with mappings says nothing of a value it was not asked about. */
bool http_knows_candidates(const struct http_request *r, const struct answer *a);

/* Whether this worker has understood this very target before, by the configuration in force: then
 * id, max_age_s, seq and list are set, spec is not. Remember only what had no warnings. */
bool http_known_target(struct http_request *r);
void http_remember_target(const struct http_request *r);

/* http_sockopt.c: of the calling thread. */
void http_worker_serves_unix(bool is_unix);
/* Registers that a peer presented, in either shape of X-Flashbots-Measurement, to r. An unknown
 * type is MS_OK: nothing will match it. */
enum ms_err http_take_registers(struct http_request *r, struct ms_span type, json_t *measurements,
                                struct ms_diag *diag);

enum http_verdict { HTTP_UNKNOWN = 0, HTTP_APPROVED, HTTP_REFUSED };
struct http_judgement {
    enum http_verdict verdict;
    const char *measurement_id;           /* "" for a predicate; the answer's */
    const struct source_release *release; /* that approves; NULL: none does; the answer's */
    struct ms_diag reason;
};
/* What the answer (that serves) says of what r presents; counts the verdict unless it is unknown:
 * then the contract has to be asked about this very value and was not. */
void http_judge(const struct http_request *r, const struct answer *a,
                struct http_judgement *ret_judgement);

/* http_authorize.c */
enum ms_err http_authorize_prepare(struct http_request *r, struct ms_diag *diag);
enum MHD_Result http_authorize_answer(struct http_request *r, struct answer *a);
enum MHD_Result http_authorize_error(struct http_request *r, unsigned status, enum ms_err err,
                                     const struct ms_diag *diag);
/* http_dstack.c */
bool http_dstack_enabled(const struct config *config);
enum ms_err http_boot_app_prepare(struct http_request *r, struct ms_diag *diag);
enum ms_err http_boot_kms_prepare(struct http_request *r, struct ms_diag *diag);
enum MHD_Result http_boot_answer(struct http_request *r, struct answer *a);
enum MHD_Result http_boot_error(struct http_request *r, unsigned status, enum ms_err err,
                                const struct ms_diag *diag);
/* /v1/check with `boot_info`: r->boot, the predicates and candidates of it; then what the rules
 * say. */
enum ms_err http_check_boot(struct http_request *r, const json_t *boot_info, struct ms_diag *diag);
bool http_check_boot_allowed(const struct http_request *r, const struct answer *a,
                             struct ms_diag *reason);
enum ms_err http_dstack_prepare(struct http_request *r, struct ms_diag *diag);
enum MHD_Result http_dstack_answer(struct http_request *r, struct answer *a);
enum MHD_Result http_dstack_error(struct http_request *r, unsigned status, enum ms_err err,
                                  const struct ms_diag *diag);
/* http_read.c. What a question is answered with, written to r->reply on the reader's thread. */
typedef enum ms_err http_read_fn(struct http_request *r, struct cache *cache, struct ms_diag *diag);
/* Has it read; the route is called again when r->asked, with the outcome in r->read. */
enum MHD_Result http_read(struct http_request *r, http_read_fn *fn);
/* 200 with r->reply, which moves to the response, so that it is in memory once. immutable: it is
 * named by what it is. */
enum MHD_Result http_send_read(struct http_request *r, const char *type, bool immutable);

/* http_log.c */
enum ms_err http_prepare_log(struct http_request *r, struct ms_diag *diag);
enum MHD_Result http_log(struct http_request *r);
/* http_past.c */
enum MHD_Result http_backfill_ask(struct http_request *r, struct answer *answer);
enum MHD_Result http_backfill_status(struct http_request *r);
enum ms_err http_prepare_operations(struct http_request *r, struct ms_diag *diag);
enum MHD_Result http_operations(struct http_request *r);

/* http_watch.c */
enum MHD_Result http_watch(struct http_request *r);
void http_streams_tick(struct http *http);
void http_streams_end(struct http *http);

#endif
