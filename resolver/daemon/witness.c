/* resolver/daemon/witness.c - cosignatures from witnesses. */
#define _GNU_SOURCE
#include "resolver/daemon/witness.h"

#include "resolver/daemon/log.h"
#include "resolver/daemon/metrics.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_MAX_BYTES 65536u
#define URL_MAX_BYTES 8192u
#define ADD_CHECKPOINT "/add-checkpoint"

enum stage { STAGE_IDLE = 0, STAGE_PROOF, STAGE_SENT };

struct witness {
    struct witnesses *all;
    const struct config_witness *config; /* NULL: configured no more, free when idle */
    char name[CONFIG_NAME_MAX + 1];
    struct msig_vkey vkey;
    enum stage stage;
    uint64_t known;    /* size it saw last, as far as we know */
    uint64_t cosigned; /* size of the last checkpoint it cosigned for us */
    int64_t next_ms;
    unsigned failures; /* in a row */
    bool told_size;    /* it has told us its size for this checkpoint */
    /* on the way: */
    uint64_t size;
    struct ms_buf note, body;
    enum ms_err err;
    struct ms_diag diag;
    uint64_t fetch_id;
    struct reader_job read;
    struct loop_job job;
    struct msig_tlog_tree *tree;
};

struct witnesses {
    struct witness_env env;
    struct tlog *tlog;
    struct witness *list[CONFIG_WITNESSES_MAX];
    uint64_t size; /* of the newest checkpoint */
    struct ms_buf note;
    bool has_note;
};

static int64_t now_ms(const struct witnesses *all)
{
    return loop_now(all->env.loop).boot_ms;
}

/* ---- outcomes ---- */

static void rest(struct witness *w, int64_t ms)
{
    w->stage = STAGE_IDLE;
    w->next_ms = now_ms(w->all) + ms;
    ms_buf_reset(&w->body);
}

static void failed(struct witness *w, const char *cause)
{
    int64_t ms = WITNESS_RETRY_MS;

    for (unsigned i = 0; i < w->failures && ms < WITNESS_RETRY_MAX_MS; i++)
        ms *= 2;
    w->failures++;
    METRIC_INC(witness_failures);
    log_line(LOG_LEVEL_WARNING, "witness", "failed", log_str("name", w->name),
             log_str("cause", cause), log_int("again_in_s", ms / 1000));
    rest(w, ms < WITNESS_RETRY_MAX_MS ? ms : WITNESS_RETRY_MAX_MS);
}

static void send_next(struct witness *w);

/* 409: the size it saw last, or, when that is ours, another root. */
static void conflict(struct witness *w, struct ms_span body)
{
    uint64_t size = 0;

    if (body.len > 0 && body.ptr[body.len - 1] == '\n')
        body.len--;
    if (!ms_span_u64(body, &size)) {
        failed(w, "it answered 409 without a size");
    } else if (size > w->size || (size == w->size && w->known == w->size)) {
        /* it has seen a longer log, or another of the same length, under our key */
        METRIC_INC(witness_conflicts);
        log_line(LOG_LEVEL_ERROR, "witness", "contradicts", log_str("name", w->name),
                 log_uint("its_size", size), log_uint("our_size", w->size),
                 log_str("help", "this log was rolled back or rewritten, or two daemons have one "
                                 "key: compare the database with a backup"));
        failed(w, "it has seen another log under our key");
    } else if (w->told_size) {
        failed(w, "it answered 409 twice");
    } else {
        w->told_size = true;
        w->known = size;
        send_next(w);
    }
}

/* Only its own lines are kept, and only when they verify. */
static void cosigned(struct witness *w, struct ms_span lines)
{
    struct msig_note *sent = malloc(sizeof(*sent)), *got = malloc(sizeof(*got));
    struct ms_diag diag = {0};
    int64_t time_s = 0;
    enum ms_err err = sent == NULL || got == NULL ? MS_ERR_MEMORY : MS_OK;

    if (err == MS_OK)
        err = msig_note_parse(ms_buf_span(&w->note), sent, &diag);
    if (err == MS_OK)
        err = msig_note_lines(sent->text, lines, got, &diag);
    if (err == MS_OK)
        err = msig_note_verify(got, &w->vkey, &time_s, &diag);
    for (size_t i = 0; err == MS_OK && i < got->n_lines; i++)
        if (ms_span_eq_str(got->lines[i].name, w->vkey.name) &&
            memcmp(got->lines[i].id, w->vkey.id, sizeof(w->vkey.id)) == 0) {
            err = tlog_cosigned(w->all->tlog, w->size, ms_buf_span(&w->note), got->lines[i].whole);
            break; /* one line says it */
        }
    if (err == MS_OK) {
        METRIC_INC(witness_cosignatures);
        w->known = w->cosigned = w->size;
        w->failures = 0;
        rest(w, WITNESS_REST_MS);
        store_wake(w->all->env.store);
    } else {
        failed(w, ms_diag_text(&diag, err));
    }
    free(sent);
    free(got);
}

static void on_answer(void *arg, const struct source_response *response)
{
    struct witness *w = arg;
    char text[64];

    if (response->err != MS_OK) {
        failed(w, ms_diag_text(&response->diag, response->err));
    } else if (response->status == 200) {
        cosigned(w, response->body);
    } else if (response->status == 409) {
        conflict(w, response->body);
    } else {
        (void)snprintf(text, sizeof(text), "it answered with status %u", response->status);
        failed(w, text);
    }
}

/* ---- sending ---- */

static enum ms_err start(struct witness *w, struct ms_diag *diag)
{
    struct ms_buf url = MS_BUF_INIT(URL_MAX_BYTES);
    const char *prefix = w->config->url;
    size_t len = strlen(prefix);

    if (len > 0 && prefix[len - 1] == '/')
        len--;
    (void)ms_buf_add(&url, ms_span_of(prefix, len));
    (void)ms_buf_add_str(&url, ADD_CHECKPOINT);
    struct fetch_request request = {.kind = FETCH_RPC,
                                    .url = ms_buf_str(&url),
                                    .content_type = "text/plain; charset=utf-8",
                                    .body = ms_buf_span(&w->body),
                                    .max_bytes = ANSWER_MAX_BYTES};
    enum ms_err err = request.url == NULL ? MS_ERR_MEMORY : MS_OK;
    if (err == MS_OK)
        err = fetch_start(w->all->env.fetch, &request, on_answer, w, &w->fetch_id);
    ms_buf_done(&url);
    if (err != MS_OK)
        return ms_diag_set(diag, err, "%s", ms_err_text(err));
    w->stage = STAGE_SENT;
    return MS_OK;
}

/* The proof is made; on the loop. */
static void proof_made(struct loop_job *job)
{
    struct witness *w = (struct witness *)((char *)job - offsetof(struct witness, job));
    struct ms_diag diag = {0};

    if (w->config == NULL) {
        w->stage = STAGE_IDLE; /* the next tick frees it */
        return;
    }
    enum ms_err err = w->err;
    if (err == MS_OK)
        err = start(w, &diag);
    else
        diag = w->diag;
    if (err != MS_OK)
        failed(w, ms_diag_text(&diag, err));
}

/* On the reader's thread. */
static void make_proof(struct reader_job *job, struct cache *cache, enum ms_err err,
                       const struct ms_diag *diag)
{
    struct witness *w = (struct witness *)((char *)job - offsetof(struct witness, read));
    struct msig_tlog_growth growth = {.old_size = w->known, .checkpoint = ms_buf_span(&w->note)};

    w->diag = *diag;
    if (err == MS_OK)
        err = cache_log_tree(cache, w->tree, &w->diag);
    if (err == MS_OK)
        err = msig_tlog_consistency(w->tree, w->known, w->size, &growth.path, &w->diag);
    ms_buf_reset(&w->body);
    if (err == MS_OK)
        err = msig_tlog_growth_print(&growth, &w->body);
    w->err = err;
    w->job.run = proof_made;
    loop_post(w->all->env.loop, &w->job);
}

static void send_next(struct witness *w)
{
    w->read.run = make_proof;
    w->stage = STAGE_PROOF;
    if (w->known > w->size)
        w->known = 0; /* of another log under the name of this one: it will tell */
    if (reader_post(w->all->env.reader, &w->read) != MS_OK)
        failed(w, "too many wait for the database");
}

static void begin(struct witness *w)
{
    w->size = w->all->size;
    w->told_size = false;
    ms_buf_reset(&w->note);
    if (ms_buf_add(&w->note, ms_buf_span(&w->all->note)) != MS_OK)
        failed(w, ms_err_text(MS_ERR_MEMORY));
    else
        send_next(w);
}

/* ---- life ---- */

static void witness_free(struct witness *w)
{
    if (w == NULL)
        return;
    ms_buf_done(&w->note);
    ms_buf_done(&w->body);
    free(w->tree);
    free(w);
}

void witnesses_tick(struct witnesses *all)
{
    for (size_t i = 0; i < CONFIG_WITNESSES_MAX; i++) {
        struct witness *w = all->list[i];
        if (w == NULL || w->stage != STAGE_IDLE)
            continue;
        if (w->config == NULL) {
            witness_free(w);
            all->list[i] = NULL;
        } else if (all->has_note && all->size > w->cosigned && now_ms(all) >= w->next_ms) {
            begin(w);
        }
    }
}

struct news { /* of a checkpoint, on its way to the loop */
    struct loop_job job;
    struct witnesses *all;
    uint64_t size;
    struct ms_buf note;
};

static void take_news(struct loop_job *job)
{
    struct news *news = (struct news *)job;
    struct witnesses *all = news->all;

    ms_buf_done(&all->note);
    all->note = news->note;
    all->size = news->size;
    all->has_note = true;
    free(news);
}

void witnesses_checkpoint(void *witnesses, uint64_t size, struct ms_span note)
{
    struct news *news = calloc(1, sizeof(*news));

    if (news == NULL)
        return; /* the next one will do */
    news->job.run = take_news;
    news->all = witnesses;
    news->size = size;
    news->note.max = MSIG_NOTE_MAX_BYTES;
    if (ms_buf_add(&news->note, note) != MS_OK) {
        free(news);
        return;
    }
    loop_post(news->all->env.loop, &news->job);
}

static struct witness *find(struct witnesses *all, const struct config_witness *c)
{
    for (size_t i = 0; i < CONFIG_WITNESSES_MAX; i++) {
        struct witness *w = all->list[i];
        if (w != NULL && strcmp(w->name, c->name) == 0 &&
            memcmp(&w->vkey, &c->vkey, sizeof(w->vkey)) == 0)
            return w;
    }
    return NULL;
}

static struct witness *make(struct witnesses *all, const struct config_witness *c)
{
    struct witness *w = calloc(1, sizeof(*w));

    if (w == NULL)
        return NULL;
    w->all = all;
    w->note.max = MSIG_NOTE_MAX_BYTES;
    w->body.max = MSIG_TLOG_TEXT_MAX_BYTES;
    w->vkey = c->vkey;
    (void)snprintf(w->name, sizeof(w->name), "%s", c->name);
    w->tree = calloc(1, sizeof(*w->tree));
    for (size_t i = 0; w->tree != NULL && i < CONFIG_WITNESSES_MAX; i++)
        if (all->list[i] == NULL) {
            all->list[i] = w;
            return w;
        }
    witness_free(w); /* the places are those who are asked just now: the next reload finds room */
    return NULL;
}

void witnesses_configure(struct witnesses *all, const struct config *config)
{
    for (size_t i = 0; i < CONFIG_WITNESSES_MAX; i++)
        if (all->list[i] != NULL)
            all->list[i]->config = NULL;
    for (size_t i = 0; i < config->n_witnesses; i++) {
        struct witness *w = find(all, &config->witnesses[i]);
        if (w == NULL)
            w = make(all, &config->witnesses[i]);
        if (w != NULL)
            w->config = &config->witnesses[i];
        else
            log_line(LOG_LEVEL_WARNING, "witness", "no-room",
                     log_str("name", config->witnesses[i].name));
    }
}

enum ms_err witnesses_new(const struct witness_env *env, const struct config *config,
                          struct witnesses **ret_witnesses)
{
    struct witnesses *all = calloc(1, sizeof(*all));

    if (all == NULL)
        return MS_ERR_MEMORY;
    all->env = *env;
    witnesses_configure(all, config);
    *ret_witnesses = all;
    return MS_OK;
}

void witnesses_set_log(struct witnesses *all, struct tlog *tlog)
{
    all->tlog = tlog;
}

json_t *witnesses_json(const struct witnesses *all)
{
    json_t *out = json_array();

    for (size_t i = 0; out != NULL && i < CONFIG_WITNESSES_MAX; i++) {
        const struct witness *w = all->list[i];
        if (w != NULL && w->config != NULL)
            (void)json_array_append_new(out, json_pack("{s:s, s:I, s:I}", "name", w->name, "size",
                                                       (json_int_t)w->cosigned, "failures",
                                                       (json_int_t)w->failures));
    }
    return out;
}

void witnesses_free(struct witnesses *all)
{
    if (all == NULL)
        return;
    for (size_t i = 0; i < CONFIG_WITNESSES_MAX; i++) {
        if (all->list[i] != NULL && all->list[i]->stage == STAGE_SENT)
            fetch_cancel(all->env.fetch, all->list[i]->fetch_id);
        witness_free(all->list[i]);
    }
    ms_buf_done(&all->note);
    free(all);
}
