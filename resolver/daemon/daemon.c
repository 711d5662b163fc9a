/* resolver/daemon/daemon.c - assembly, reload and shutdown. */
#define _GNU_SOURCE
#include "resolver/daemon/daemon.h"

#include "resolver/daemon/backfill.h"
#include "resolver/daemon/feed.h"
#include "resolver/daemon/http.h"
#include "resolver/daemon/log.h"
#include "resolver/daemon/metrics.h"
#include "resolver/daemon/sockets.h"
#include "resolver/daemon/store.h"
#include "resolver/daemon/tlog.h"
#include "resolver/daemon/upstream.h"
#include "resolver/daemon/witness.h"

#include "base/hex.h"

#include <openssl/rand.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define TICK_MS 200
#define SHUTDOWN_MAX_MS 8000 /* answers in flight have their own, shorter deadlines */
#define STATUS_ENTRIES_MAX 500u
#define OPEN_FILES_WANTED 32768u
/* Of these never a client's: 64 transfers, what libcurl keeps open of earlier ones (four times as
 * many), resolver threads, the database, the log, and those who are being turned away. */
#define OPEN_FILES_RESERVED 512u
#define STATUS_CLIENTS_MAX 100u

struct retired { /* configurations of before: attempts under way may still name their strings */
    struct retired *next;
    struct config *config;
};

struct daemon {
    const struct daemon_options *options;
    struct config *config;
    struct retired *retired;
    struct loop *loop;
    struct table *table;
    struct core *core;
    struct store *store;
    struct reader *reader;
    struct tlog *tlog;
    struct witnesses *witnesses;
    struct upstream *upstream;
    struct clients *clients;
    struct acceptor *acceptor;
    struct http *http;
    struct feed *feed;
    struct backfill *backfill;
    struct identity *identity; /* NULL: nothing is signed */
    uint32_t files;            /* descriptors there may be */
    uv_timer_t tick;
    uv_signal_t sighup, sigterm, sigint;
    struct ms_now started;
    int64_t stop_ms; /* boot clock; 0: not stopping */
    bool abandoned;  /* stopping took too long: who waited was told so */
};

/* ---- what the core wants from its surroundings ---- */

static struct ms_now env_now(void *arg)
{
    return loop_now(((struct daemon *)arg)->loop);
}

static uint32_t env_random(void *arg)
{
    uint32_t value = 0;
    (void)arg;
    (void)RAND_bytes((unsigned char *)&value, sizeof(value)); /* jitter: 0 on failure is harmless */
    return value;
}

static void env_fetch(void *arg, uint64_t tag, const struct source_request *request)
{
    upstream_send(((struct daemon *)arg)->upstream, tag, request);
}

static void env_cancel(void *arg, uint64_t tag)
{
    upstream_cancel(((struct daemon *)arg)->upstream, tag);
}

static void env_share(void *arg, uint64_t tag)
{
    upstream_share(((struct daemon *)arg)->upstream, tag);
}

static void env_store(void *arg, struct core_change *change)
{
    store_commit(((struct daemon *)arg)->store, change);
}

static void env_load(void *arg, const struct answer_id *id)
{
    store_load(((struct daemon *)arg)->store, id);
}

static void env_conduct(void *arg, uint32_t provider, enum source_conduct conduct,
                        struct source_manners learned)
{
    upstream_conduct(((struct daemon *)arg)->upstream, provider, conduct);
    upstream_learned(((struct daemon *)arg)->upstream, provider, learned);
}

static void env_mark_providers(void *arg, struct source_policy *policy)
{
    upstream_mark_providers(((struct daemon *)arg)->upstream, policy);
}

static void env_log(void *arg, int level, const char *event, const struct answer_id *id,
                    const char *detail)
{
    char key[2 * MS_SHA256_BYTES + 1];
    (void)arg;
    ms_sha256_hex(&id->key, key);
    log_line((enum log_level)level, "core", event, log_str("key", key), log_str("detail", detail));
}

static void on_upstream(void *arg, uint64_t tag, const struct source_response *response)
{
    struct daemon *d = arg;

    if ((tag & BACKFILL_TAG) != 0 && tag >> 63 == 0) /* above it is the core's own flag */
        backfill_response(d->backfill, tag, response);
    else
        core_response(d->core, tag, response);
}

static void on_stored(void *arg, struct core_change *change, enum ms_err err,
                      const struct ms_diag *diag)
{
    core_stored(((struct daemon *)arg)->core, change, err, diag);
}

static void on_loaded(void *arg, struct core_loaded *loaded)
{
    core_loaded_entry(((struct daemon *)arg)->core, loaded);
}

/* ---- clients ---- */

/* Connections of all, beside those of admin.sock. */
static uint32_t connections_max(uint32_t files)
{
    uint32_t reserved =
        files < 2 * OPEN_FILES_RESERVED ? files / 2 : OPEN_FILES_RESERVED + ACCEPT_ADMIN_MAX;
    return files - reserved;
}

/* Whatever is configured, one client leaves a quarter of the connections to others. */
static struct client_limits limits_of(const struct config *config, uint32_t files)
{
    struct client_limits limits = {.max = {[CLIENT_CONNECTIONS] = config->uid_connections,
                                           [CLIENT_WAITING] = config->uid_waiting,
                                           [CLIENT_WATCHERS] = config->uid_watchers,
                                           [CLIENT_RESOLUTIONS] = config->uid_resolutions,
                                           [CLIENT_REPLIES] = CLIENT_REPLIES_MAX}};
    uint32_t share = connections_max(files) / 4 * 3;

    if (limits.max[CLIENT_CONNECTIONS] > share)
        limits.max[CLIENT_CONNECTIONS] = share == 0 ? 1 : share;
    return limits;
}

static json_t *limits_json(const struct daemon *d)
{
    struct client_limits limits = limits_of(d->config, d->files);
    struct accept_counts counts;
    json_t *one = json_object();

    for (size_t s = 0; one != NULL && s < CLIENT_SHARES; s++)
        if (limits.max[s] > 0)
            (void)json_object_set_new(one, client_share_name((enum client_share)s),
                                      json_integer((json_int_t)limits.max[s]));
    acceptor_count(d->acceptor, &counts);
    return json_pack("{s:I, s:I, s:I, s:o}", "files", (json_int_t)d->files, "connections",
                     (json_int_t)counts.open, "connections_max", (json_int_t)counts.max,
                     "one_client", one);
}

/* ---- status and metrics ---- */

/* The numbers and choices in force (docs/reliability.md). */
static json_t *times_json(const struct config *config)
{
    const char *code = config->code_delay_s == CONFIG_CODE_HOLD ? "hold"
                       : config->code_delay_s == 0              ? "accept"
                                                                : "delay";
    bool safe = config->nonfinality == CONFIG_NONFINALITY_SAFE;
    json_t *out =
        json_pack("{s:I, s:I, s:I, s:I, s:s, s:s}", "poll", (json_int_t)config->poll_s, "head-poll",
                  (json_int_t)config->head_poll_s, "max-evidence-age",
                  (json_int_t)config->max_evidence_age_s, "sie", (json_int_t)config->sie_max_s,
                  "nonfinality", safe ? "safe" : "keep", "code-change", code);

    if (out != NULL && config->code_delay_s > 0)
        (void)json_object_set_new(out, "code-change-delay",
                                  json_integer((json_int_t)config->code_delay_s));
    for (size_t i = 0; out != NULL && i < SOURCE_TIMES_N; i++)
        (void)json_object_set_new(
            out, source_time_rows[i].name,
            json_integer((json_int_t)source_time_get(&config->times, &source_time_rows[i])));
    return out;
}

/* The transparency log: its key, what is signed, and who has cosigned it. */
static json_t *log_json(const struct daemon *d)
{
    struct ms_buf vkey = MS_BUF_INIT(MSIG_NOTE_TEXT_KEY_MAX);
    struct tlog_counts counts;

    tlog_count(d->tlog, &counts);
    (void)tlog_vkey(d->tlog, &vkey);
    const char *key = ms_buf_str(&vkey);
    json_t *out =
        json_pack("{s:s, s:I, s:I, s:b, s:o}", "key", key == NULL ? "" : key, "size",
                  (json_int_t)counts.size, "cosigned_size", (json_int_t)counts.cosigned_size,
                  "frozen", (int)counts.frozen, "witnesses", witnesses_json(d->witnesses));
    ms_buf_done(&vkey);
    return out;
}

static void render_log_metrics(struct daemon *d, struct ms_buf *out)
{
    struct tlog_counts counts;

    tlog_count(d->tlog, &counts);
    (void)ms_buf_addf(
        out,
        "# HELP measured_log_size entries under the last checkpoint\n"
        "# TYPE measured_log_size gauge\n"
        "measured_log_size %llu\n"
        "# HELP measured_log_cosigned_size entries under the last cosigned one\n"
        "# TYPE measured_log_cosigned_size gauge\n"
        "measured_log_cosigned_size %llu\n"
        "# HELP measured_log_frozen 1 when the log does not continue what was signed\n"
        "# TYPE measured_log_frozen gauge\n"
        "measured_log_frozen %d\n"
        "# HELP measured_log_checkpoints_total checkpoints signed\n"
        "# TYPE measured_log_checkpoints_total counter\n"
        "measured_log_checkpoints_total %llu\n",
        (unsigned long long)counts.size, (unsigned long long)counts.cosigned_size,
        (int)counts.frozen, (unsigned long long)counts.checkpoints);
}

static void render_status(void *arg, struct ms_buf *out)
{
    struct daemon *d = arg;
    struct ms_now now = loop_now(d->loop);
    size_t counts[ENTRY_CLOCK_SUSPECT + 1];
    json_t *by_state = json_object();

    core_count(d->core, counts);
    for (size_t s = 0; s < MS_ARRAY_LEN(counts); s++)
        (void)json_object_set_new(by_state, entry_state_name((enum entry_state)s),
                                  json_integer((json_int_t)counts[s]));
    json_t *root = json_pack(
        "{s:s, s:i, s:I, s:I, s:s, s:s, s:o, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "version",
        d->options->version, "pid", (int)getpid(), "started", (json_int_t)d->started.wall_s,
        "uptime_s", (json_int_t)((now.boot_ms - d->started.boot_ms) / 1000), "state_dir",
        d->config->state_dir, "level", spec_level_name(d->config->level), "times",
        times_json(d->config), "time_floor", (json_int_t)core_time_floor(d->core),
        "entries_by_state", by_state, "entries", core_entries_json(d->core, STATUS_ENTRIES_MAX),
        "rpc", upstream_providers_json(d->upstream), "fetch", upstream_counters_json(d->upstream),
        "log", log_json(d), "limits", limits_json(d), "clients",
        clients_json(d->clients, STATUS_CLIENTS_MAX));
    if (root == NULL || ms_json_print(root, true, out) != MS_OK)
        ms_buf_reset(out);
    (void)ms_buf_add_byte(out, '\n');
    json_decref(root);
}

static void render_metrics(void *arg, struct ms_buf *out)
{
    struct daemon *d = arg;
    size_t counts[ENTRY_CLOCK_SUSPECT + 1];

    struct accept_counts connections;

    metrics_render(out);
    upstream_metrics_render(d->upstream, out);
    clients_metrics_render(d->clients, out);
    render_log_metrics(d, out);
    acceptor_count(d->acceptor, &connections);
    (void)ms_buf_addf(out,
                      "# HELP measured_connections connections open, without those of admin.sock\n"
                      "# TYPE measured_connections gauge\n"
                      "measured_connections %u\n"
                      "# HELP measured_connections_max the most there may be\n"
                      "# TYPE measured_connections_max gauge\n"
                      "measured_connections_max %u\n",
                      connections.open, connections.max);
    struct feed_counts feed;
    feed_count(d->feed, &feed);
    (void)ms_buf_addf(out,
                      "# HELP measured_feed_connections connections on feed.sock\n"
                      "# TYPE measured_feed_connections gauge\n"
                      "measured_feed_connections %u\n"
                      "# HELP measured_feed_subscriptions what they follow, all in all\n"
                      "# TYPE measured_feed_subscriptions gauge\n"
                      "measured_feed_subscriptions %u\n",
                      feed.connections, feed.subscriptions);
    (void)ms_buf_add_str(out, "# HELP measured_entries entries in memory by state\n"
                              "# TYPE measured_entries gauge\n");
    core_count(d->core, counts);
    for (size_t s = 0; s < MS_ARRAY_LEN(counts); s++)
        (void)ms_buf_addf(out, "measured_entries{state=\"%s\"} %zu\n",
                          entry_state_name((enum entry_state)s), counts[s]);
    (void)ms_buf_addf(out,
                      "# HELP measured_start_time_seconds when the daemon started, Unix time\n"
                      "# TYPE measured_start_time_seconds gauge\n"
                      "measured_start_time_seconds %lld\n",
                      (long long)d->started.wall_s);
}

/* ---- reload ---- */

static struct core_options core_options_of(const struct config *config)
{
    struct core_options options = {.audit_require = config->audit == CONFIG_AUDIT_REQUIRE,
                                   .max_entries = config->max_entries};
    config_policy(config, &options.policy);
    options.rules = (struct entry_rules){.sie_max_s = config->sie_max_s,
                                         .warn_s = config->times.finality_warn,
                                         .stale_s = config->times.finality_stale,
                                         .code_delay_s = config->code_delay_s};
    return options;
}

/* Choices that trade safety for something are told (6.2). */
static void warn_choices(const struct config *config)
{
    if (config->nonfinality == CONFIG_NONFINALITY_SAFE)
        log_line(LOG_LEVEL_WARNING, "config", "nonfinality-safe",
                 log_str("text", "contracts are read at safe blocks, which may be undone"));
    if (config->code_delay_s != CONFIG_CODE_HOLD)
        log_line(LOG_LEVEL_WARNING, "config", "code-change",
                 log_int("accepted_after_s", config->code_delay_s));
    if (config->max_evidence_age_s != CONFIG_MAX_EVIDENCE_AGE_S)
        log_line(LOG_LEVEL_NOTICE, "config", "max-evidence-age",
                 log_int("seconds", config->max_evidence_age_s));
}

static void log_warning(void *arg, const char *text)
{
    (void)arg;
    log_line(LOG_LEVEL_WARNING, "config", "warning", log_str("text", text));
}

static struct config *read_again(struct daemon *d)
{
    struct ms_diag diag = {0};
    struct config *fresh = NULL;
    struct ms_buf text = MS_BUF_INIT(4096);

    enum ms_err err =
        config_load_file(d->options->config_path, &d->options->context, &fresh, &diag);
    if (err == MS_OK)
        return fresh;
    (void)config_error_text(d->options->config_path, err, &diag, &text);
    const char *line = ms_buf_str(&text);
    log_line(LOG_LEVEL_ERROR, "config", "reload-refused",
             log_str("cause", line == NULL ? "" : line));
    ms_buf_done(&text);
    return NULL;
}

/* All or nothing: what fails here leaves the old configuration in force. */
static void reload(struct daemon *d)
{
    struct ms_diag diag = {0};

    if (d->options->config_path == NULL)
        return;
    struct config *fresh = read_again(d);
    if (fresh == NULL)
        return;
    struct retired *old = calloc(1, sizeof(*old));
    if (old == NULL || upstream_configure(d->upstream, fresh, &diag) != MS_OK) {
        log_line(LOG_LEVEL_ERROR, "config", "reload-refused", log_str("cause", diag.text));
        config_free(fresh);
        free(old);
        return;
    }
    const char *fixed = config_fixed_difference(d->config, fresh);
    if (fixed != NULL)
        log_line(LOG_LEVEL_WARNING, "config", "needs-restart", log_str("key", fixed));
    struct core_options options = core_options_of(fresh);
    struct client_limits limits = limits_of(fresh, d->files);
    core_set_options(d->core, &options);
    clients_set_limits(d->clients, &limits);
    warn_choices(fresh);
    http_set_config(d->http, fresh);
    /* watchers come back, to the new level, and to what an alias means now */
    http_end_streams(d->http);
    feed_set_config(d->feed, fresh);
    witnesses_configure(d->witnesses, fresh);
    backfill_set_config(d->backfill, fresh);
    old->config = d->config;
    old->next = d->retired;
    d->retired = old;
    d->config = fresh;
    config_each_warning(fresh, log_warning, NULL);
    log_line(LOG_LEVEL_NOTICE, "config", "reloaded", log_str("file", d->options->config_path));
}

/* ---- the loop ---- */

static void on_tick(uv_timer_t *timer)
{
    struct daemon *d = timer->data;

    loop_turn(d->loop);
    core_tick(d->core);
    backfill_tick(d->backfill);
    http_tick(d->http);
    if (d->stop_ms == 0)
        witnesses_tick(d->witnesses);
    log_flush();
    if (d->stop_ms == 0)
        return;
    if (d->abandoned && http_may_close(d->http)) {
        uv_stop(loop_uv(d->loop));
    } else if (loop_now(d->loop).boot_ms >= d->stop_ms) {
        core_abandon(d->core); /* and the workers have until the next tick to say so */
        d->abandoned = true;
    } else if (core_drain(d->core) && http_idle(d->http)) {
        uv_stop(loop_uv(d->loop));
    }
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct daemon *d = handle->data;

    loop_turn(d->loop);
    if (number == SIGHUP) {
        reload(d);
        return;
    }
    if (d->stop_ms != 0)
        return;
    log_line(LOG_LEVEL_NOTICE, "daemon", "stopping", log_int("signal", number));
    sockets_notify(d->options->notify_socket, "STOPPING=1");
    d->stop_ms = loop_now(d->loop).boot_ms + SHUTDOWN_MAX_MS;
    http_stop_waiting(d->http);
    feed_stop(d->feed);
    (void)core_drain(d->core);
}

static void watch_signals(struct daemon *d)
{
    struct {
        uv_signal_t *handle;
        int number;
    } all[] = {{&d->sighup, SIGHUP}, {&d->sigterm, SIGTERM}, {&d->sigint, SIGINT}};

    for (size_t i = 0; i < MS_ARRAY_LEN(all); i++) {
        (void)uv_signal_init(loop_uv(d->loop), all[i].handle);
        all[i].handle->data = d;
        (void)uv_signal_start(all[i].handle, on_signal, all[i].number);
    }
    (void)uv_timer_init(loop_uv(d->loop), &d->tick);
    d->tick.data = d;
    (void)uv_timer_start(&d->tick, on_tick, TICK_MS, TICK_MS);
}

/* ---- start ---- */

static enum ms_err open_identity(struct daemon *d, struct ms_diag *diag)
{
    if (!d->config->dstack.enabled || !d->config->dstack.sign)
        return MS_OK;
    enum ms_err err = identity_open(d->config->state_dir, &d->identity, diag);
    if (err == MS_OK)
        log_line(LOG_LEVEL_NOTICE, "daemon", "signing",
                 log_str("key_id", identity_key_id(d->identity)));
    return err;
}

/* After the fetcher, before anything is stored. */
static enum ms_err open_log(struct daemon *d, struct cache *cache, struct ms_diag *diag)
{
    struct witness_env env = {.loop = d->loop,
                              .fetch = upstream_fetch(d->upstream),
                              .reader = d->reader,
                              .store = d->store};

    enum ms_err err = witnesses_new(&env, d->config, &d->witnesses);
    if (err == MS_OK)
        err = tlog_new(d->config->state_dir, d->config->log_origin, cache, witnesses_checkpoint,
                       d->witnesses, &d->tlog, diag);
    if (err == MS_OK) {
        witnesses_set_log(d->witnesses, d->tlog);
        store_set_log(d->store, d->tlog);
    }
    return err;
}

static enum ms_err open_parts(struct daemon *d, struct ms_diag *diag)
{
    struct cache *cache = NULL;
    struct client_limits limits = limits_of(d->config, d->files);
    d->clients = clients_new(&limits);
    struct store_events events = {.arg = d, .stored = on_stored, .loaded = on_loaded};
    struct core_env env = {.arg = d,
                           .now = env_now,
                           .random = env_random,
                           .fetch = env_fetch,
                           .cancel = env_cancel,
                           .share = env_share,
                           .clients = d->clients,
                           .store = env_store,
                           .load = env_load,
                           .conduct = env_conduct,
                           .mark_providers = env_mark_providers,
                           .log = env_log};
    struct core_options options = core_options_of(d->config);

    if (d->clients == NULL)
        return MS_ERR_MEMORY;
    enum ms_err err = cache_open(d->config->state_dir, NULL, &cache, diag);
    if (err != MS_OK)
        return err;
    options.rules.time_floor_s = store_time_floor(cache);
    d->loop = loop_new();
    d->table = table_new();
    if (d->loop == NULL || d->table == NULL) {
        cache_close(cache);
        return MS_ERR_MEMORY;
    }
    err = store_new(d->loop, cache, &events, &d->store);
    if (err != MS_OK) {
        cache_close(cache);
        return err;
    }
    err = reader_new(d->config->state_dir, &d->reader);
    if (err == MS_OK)
        err = upstream_new(d->loop, d->config, on_upstream, d, &d->upstream, diag);
    if (err == MS_OK)
        err = open_log(d, cache, diag);
    if (err == MS_OK)
        err = core_new(&env, &options, d->table, &d->core);
    if (err == MS_OK)
        err = open_identity(d, diag);
    if (err != MS_OK)
        return err;
    struct backfill_env fill = {
        .loop = d->loop, .core = d->core, .store = d->store, .upstream = d->upstream};
    return backfill_new(&fill, d->config, &d->backfill);
}

static enum ms_err listen_one(struct daemon *d, const char *name, mode_t mode,
                              enum accept_kind kind, struct ms_diag *diag)
{
    int fd = -1;
    enum ms_err err =
        sockets_listen_unix(d->config->socket_dir, name, SOCK_STREAM, mode, &fd, diag);
    if (err != MS_OK)
        return err;
    err = http_listen(d->http, fd, kind, kind == ACCEPT_ADMIN ? 1 : d->config->http_threads);
    if (err != MS_OK)
        (void)close(fd);
    return err;
}

static enum ms_err open_feed(struct daemon *d, struct ms_diag *diag)
{
    struct feed_env env = {.loop = d->loop,
                           .core = d->core,
                           .clients = d->clients,
                           .acceptor = d->acceptor,
                           .config = d->config};
    int fd = -1;

    enum ms_err err = feed_new(&env, &d->feed);
    if (err == MS_OK)
        err = sockets_listen_unix(d->config->socket_dir, "feed.sock", SOCK_SEQPACKET, 0660, &fd,
                                  diag);
    return err == MS_OK ? feed_listen(d->feed, fd) : err;
}

static enum ms_err open_http(struct daemon *d, struct ms_diag *diag)
{
    uint32_t most = connections_max(d->files);
    enum ms_err err = acceptor_new(d->clients, most, d->files, &d->acceptor);
    if (err != MS_OK)
        return err;
    struct http_env env = {.loop = d->loop,
                           .core = d->core,
                           .table = d->table,
                           .clients = d->clients,
                           .acceptor = d->acceptor,
                           .identity = d->identity,
                           .reader = d->reader,
                           .backfill = d->backfill,
                           .status = render_status,
                           .metrics = render_metrics,
                           .arg = d};
    int fd = -1;

    err = http_new(&env, &d->http);
    if (err != MS_OK)
        return err;
    http_set_config(d->http, d->config);
    warn_choices(d->config);
    http_tick(d->http);
    err = sockets_make_dir(d->config->socket_dir, 0755, diag);
    if (err == MS_OK)
        err = listen_one(d, "api.sock", 0660, ACCEPT_UNIX, diag);
    if (err == MS_OK)
        err = listen_one(d, "admin.sock", 0600, ACCEPT_ADMIN, diag);
    if (err == MS_OK && d->config->http_enabled) {
        err = sockets_listen_tcp(&d->config->http_listen, &fd, diag);
        if (err == MS_OK)
            err = http_listen(d->http, fd, ACCEPT_TCP, d->config->http_threads);
    }
    if (err == MS_OK)
        err = open_feed(d, diag);
    if (err == MS_OK)
        err = acceptor_start(d->acceptor);
    return err;
}

static void remove_sockets(const struct daemon *d)
{
    static const char *const names[] = {"api.sock", "admin.sock", "feed.sock"};
    char path[4096];

    for (size_t i = 0; i < MS_ARRAY_LEN(names); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", d->config->socket_dir, names[i]);
        (void)unlink(path);
    }
}

/* Workers first, so that nobody asks; then the store, so that nothing accepted is lost; then the
 * rest. */
static void close_parts(struct daemon *d)
{
    if (d->http != NULL)
        http_close(d->http);
    reader_free(d->reader); /* nobody waits for it any more */
    feed_close(d->feed);
    if (d->loop != NULL)
        loop_run_posted(d->loop);
    backfill_stop(d->backfill);
    core_stop(d->core); /* what comes back from the store begins nothing new */
    store_free(d->store);
    if (d->loop != NULL)
        loop_run_posted(d->loop);
    witnesses_free(d->witnesses);
    tlog_free(d->tlog);
    feed_free(d->feed);
    core_free(d->core);
    upstream_free(d->upstream);
    table_free(d->table);
    http_free(d->http);
    identity_free(d->identity);
    if (d->loop != NULL) {
        loop_run_posted(d->loop);
        loop_free(d->loop);
    }
    backfill_free(d->backfill);
    acceptor_free(d->acceptor);
    clients_free(d->clients);
    while (d->retired != NULL) {
        struct retired *next = d->retired->next;
        config_free(d->retired->config);
        free(d->retired);
        d->retired = next;
    }
    config_free(d->config);
}

static void serve(struct daemon *d)
{
    watch_signals(d);
    http_set_ready(d->http, true);
    (void)fprintf(stderr, "measured: ready socket=%s/api.sock\n", d->config->socket_dir);
    sockets_notify(d->options->notify_socket, "READY=1");
    (void)uv_run(loop_uv(d->loop), UV_RUN_DEFAULT);
    uv_close((uv_handle_t *)&d->tick, NULL);
    uv_close((uv_handle_t *)&d->sighup, NULL);
    uv_close((uv_handle_t *)&d->sigterm, NULL);
    uv_close((uv_handle_t *)&d->sigint, NULL);
}

/* A connection is a descriptor, and the usual soft limit of 1024 is less than we accept. Returns
 * what the limit is then. */
static uint32_t raise_file_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return 1024;
    struct rlimit wanted = {.rlim_cur = OPEN_FILES_WANTED, .rlim_max = limit.rlim_max};
    if (wanted.rlim_cur > limit.rlim_max)
        wanted.rlim_cur = limit.rlim_max;
    if (wanted.rlim_cur > limit.rlim_cur && setrlimit(RLIMIT_NOFILE, &wanted) == 0)
        limit = wanted;
    return limit.rlim_cur > OPEN_FILES_WANTED ? OPEN_FILES_WANTED : (uint32_t)limit.rlim_cur;
}

static void tell_file_limit(uint32_t files)
{
    if (files < OPEN_FILES_WANTED)
        log_line(LOG_LEVEL_WARNING, "daemon", "few-descriptors", log_int("limit", files),
                 log_int("wanted", OPEN_FILES_WANTED),
                 log_int("connections", connections_max(files)),
                 log_str("help", "raise the hard limit of open files (LimitNOFILE=, ulimit -Hn)"));
}

int daemon_run(struct config *config, const struct daemon_options *options)
{
    struct daemon d = {.options = options, .config = config, .started = clocks_now()};
    struct ms_diag diag = {0};

    (void)signal(SIGPIPE, SIG_IGN);
    d.files = raise_file_limit();
    tell_file_limit(d.files);
    enum ms_err err = open_parts(&d, &diag);
    bool listening = false;
    if (err == MS_OK) {
        err = open_http(&d, &diag);
        listening = err == MS_OK;
    }
    if (err == MS_OK)
        serve(&d);
    else
        log_line(LOG_LEVEL_ERROR, "daemon", "cannot-start", log_str("code", ms_err_code(err)),
                 log_str("cause", ms_diag_text(&diag, err)));
    if (listening)
        remove_sockets(&d);
    close_parts(&d);
    return err == MS_OK ? 0 : 1;
}
