/* resolver/daemon/core.c - entries, flights, waiters. */
#define _GNU_SOURCE
#include "resolver/daemon/core.h"

#include "base/hex.h"
#include "resolver/daemon/lru.h"
#include "resolver/daemon/metrics.h"
#include "resolver/daemon/publish.h"
#include "resolver/entry/summary.h"
#include "resolver/source/poll.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define CORE_BUCKETS 4096u    /* a power of two; keys are hashes */
#define CORE_DOCUMENTS_MAX 8u /* of one entry, kept by hash; 256 KiB each at most */
#define CORE_WATCH_MIN_MS                                                  \
    60000 /* watchers alone do not ask the source of a good set more often \
           */
#define CORE_CLOCK_STEP_MS                                                                       \
    2000                       /* wall against boot clock: more than rounding, the clock was set \
                                */
#define CORE_LEAD_MIN_MS 3000  /* before its end a watched set is confirmed */
#define CORE_AGED_MIN_MS 10000 /* no max-age= has a source asked more often */
/* Contracts that are polled together are read in full at least every 10 minutes, spread out. */
#define CORE_FULL_MIN_MS 480000
#define CORE_FULL_SPREAD_MS 100000
#define CORE_APART_MS                                                           \
    600000 /* a poll said "changed", and nothing had: read it by itself so long \
            */
#define CORE_NO_MULTICALL_MS 3600000 /* a chain without Multicall3 is asked again */
#define CORE_STORE_AGAIN_MS 30000    /* what could not be stored is tried again */
#define CORE_READS_MAX 64u           /* attempts at once that polls and the clock begin */
#define CORE_RIVALS_MAX 64u
#define CORE_POLL_TAG (UINT64_C(1) << 63) /* in tags: a poll's */

/* One attempt of one entry. */
struct flight {
    struct source *source;
    struct bundle_transcript *transcript;
    struct source_policy policy; /* as it was at the start: it goes into the bundle */
    struct source_previous previous;
    struct ms_now started;
    size_t out;       /* requests without an answer */
    uint32_t wait_id; /* 0: the source waits for answers only */
    int64_t wait_until_ms;
    struct source_result *result; /* while it is being stored */
    enum entry_verdict verdict;
    json_t *carry;     /* previous.carry; a reference */
    bool accept;       /* an operator says that what it finds is fine */
    struct entry base; /* what the result is judged against, and changes */
};

struct document { /* one that governance names by its hash and keeps elsewhere */
    struct ms_sha256 hash;
    struct ms_buf body;
};

struct member {
    struct core_entry *entry;   /* NULL when it is gone */
    struct shared_result *good; /* whose probe is asked; a reference */
};

/* Contracts of one chain and level that are asked together whether they changed. */
struct poll {
    struct poll *next;
    uint64_t serial; /* high bits of a fetch's tag */
    uint64_t chain;
    enum spec_level level;
    bool known_code;
    bool full; /* there were more than one poll takes */
    struct source *source;
    struct source_policy policy;
    size_t out;       /* requests without an answer */
    uint32_t wait_id; /* as in a flight */
    int64_t wait_until_ms;
    size_t n;
    struct member *members;
};

struct chain_hints { /* what polls found out about a chain's endpoints */
    uint64_t chain;  /* 0: free */
    struct source_poll_hints hints;
    int64_t until_ms; /* no_multicall holds so long */
};

/* Where a signed set is looked for, the last one asked for first. */
struct hosts {
    size_t n;
    char name[SOURCE_HOSTS_MAX][SOURCE_HOST_MAX_BYTES];
};

struct core_entry {
    size_t n_documents;
    struct document *documents; /* room for CORE_DOCUMENTS_MAX once there is one */
    struct core_entry *next;    /* in its bucket */
    size_t slot;                /* in core->lru */
    uint64_t serial;            /* high bits of a fetch's tag: never reused */
    struct answer_id id;
    uint64_t owner;   /* the client that made it */
    uint64_t charged; /* the client among whose resolutions loading or the flight counts */
    bool is_charged;
    bool is_shared; /* and another client waits for it, too */
    struct spec *spec;
    struct entry facts;
    struct shared_result *good;
    struct ms_sha256 evidence, set_hash, previous_set;
    bool has_evidence, has_previous_set;
    bool loading;
    bool load_again; /* the disk could not be read: what it knows comes before an attempt */
    bool unstored;   /* what it knows is not on disk: it must not leave memory */
    int64_t store_again_ms;
    struct flight *flight;
    struct core_request *waiters;
    size_t n_waiters;
    struct core_watcher *watchers;
    struct answer *answer; /* the published one; the table owns it */
    uint64_t generation;
    int64_t next_change_ms;
    int64_t poll_ms; /* contracts: next poll; ENTRY_NEVER otherwise */
    int64_t used_ms;
    bool has_final; /* contracts: the last finalized block believed */
    uint64_t final_number;
    struct eth_hash final_hash;
    uint64_t n_flights; /* begun so far */
    int64_t flight_ms;  /* when the last one began */
    size_t n_kept;      /* reads of blocks that were not final (source.h) */
    struct source_kept kept[SOURCE_KEPT_MAX];
    uint64_t from;  /* from=: where a search of logs is to begin, 0 when nobody said */
    size_t n_asked; /* values to ask about next time */
    struct source_candidate *asked; /* room for CORE_ASKED_MAX once there is one */
    struct hosts *hosts;            /* NULL: no need of any, or none known */
    json_t *carry; /* what a failed attempt verified (source_carry), NULL: the good set's counts */
    bool dissent_kept; /* the evidence of this dissent is stored */
    /* contracts, for polls of several: */
    struct poll *poll;         /* that it is part of now */
    struct source_block block; /* the last in which the good set is known to stand */
    bool solo;                 /* the next read is its own, in full */
    bool told_changed;         /* because a poll said so */
    int64_t full_ms;           /* when the next read in full is due */
    int64_t apart_until_ms;    /* it takes no part in polls before */
    int64_t proven_ms;         /* L3: when its state was last proven */
    int64_t touched_ms;        /* when its times were last stored */
    struct core_mark mark;     /* for those who look into its past */
};

struct core {
    struct core_env env;
    struct core_options options; /* whose rules every entry refers to */
    struct table *table;
    struct core_entry *buckets[CORE_BUCKETS];
    struct lru lru; /* all entries */
    uint64_t last_serial;
    bool draining, stopped;
    size_t n_flying; /* attempts under way */
    struct poll *polls;
    uint64_t last_poll;
    struct chain_hints hints[SOURCE_PROVIDERS_MAX];
    int64_t offset_ms; /* wall minus boot clock, as answers were rendered with */
};

static struct ms_now now_of(const struct core *core)
{
    return core->env.now(core->env.arg);
}

static void note_event(const struct core *core, int level, const char *event,
                       const struct core_entry *e, const char *detail)
{
    core->env.log(core->env.arg, level, event, &e->id, detail);
}

struct answer_id core_id(const struct spec *spec, enum spec_level policy_level)
{
    struct answer_id id = {.key = spec->key};
    if (spec->kind == SPEC_CONTRACT)
        id.level = spec->level > policy_level ? spec->level : policy_level;
    return id;
}

/* ---- the map ---- */

static size_t bucket_of(const struct answer_id *id)
{
    return ((size_t)id->key.b[0] << 8 | id->key.b[1]) & (CORE_BUCKETS - 1);
}

/* Something happens to it: the next tick looks at it. */
static struct core_entry *wake(struct core *core, struct core_entry *e)
{
    core->lru.slots[e->slot].due_ms = 0;
    return e;
}

static struct core_entry *find(struct core *core, const struct answer_id *id)
{
    for (struct core_entry *e = core->buckets[bucket_of(id)]; e != NULL; e = e->next)
        if (e->id.level == id->level && ms_sha256_eq(&e->id.key, &id->key))
            return wake(core, e);
    return NULL;
}

/* A fetch's tag: serial of the entry, its bucket (12 bits), id of the request (12 bits). */
static uint64_t tag_of(const struct core_entry *e, uint32_t request_id)
{
    return e->serial << 24 | (uint64_t)bucket_of(&e->id) << 12 | request_id;
}

static struct core_entry *find_tag(struct core *core, uint64_t tag)
{
    for (struct core_entry *e = core->buckets[tag >> 12 & (CORE_BUCKETS - 1)]; e != NULL;
         e = e->next)
        if (e->serial == tag >> 24)
            return wake(core, e);
    return NULL;
}

static void spec_release(struct spec *spec)
{
    if (spec == NULL)
        return;
    spec_done(spec);
    free(spec);
}

/* Loading and the flight that follows count as one resolution of the client that asked first. */
static enum ms_err charge(struct core *core, struct core_entry *e, uint64_t client,
                          struct ms_diag *diag)
{
    if (e->is_charged)
        return MS_OK;
    enum ms_err err = clients_take(core->env.clients, client, CLIENT_RESOLUTIONS, diag);
    e->is_charged = err == MS_OK;
    e->charged = client;
    e->is_shared = false;
    return err;
}

static void uncharge(struct core *core, struct core_entry *e)
{
    if (e->is_charged && e->flight == NULL && !e->loading) {
        clients_give(core->env.clients, e->charged, CLIENT_RESOLUTIONS);
        e->is_charged = false;
    }
}

/* Another client than the one it is fetched for waits as well: that one's limits are not to hold it
 * up. */
static void share_flight(struct core *core, struct core_entry *e, uint64_t client)
{
    if (!e->is_charged || e->is_shared || client == e->charged)
        return;
    e->is_shared = true;
    if (e->flight != NULL && core->env.share != NULL)
        core->env.share(core->env.arg, tag_of(e, 0));
}

static void cancel_requests(struct core *core, struct core_entry *e)
{
    for (uint32_t id = 1; e->flight->out > 0 && id <= SOURCE_REQUESTS_MAX; id++)
        core->env.cancel(core->env.arg, tag_of(e, id));
    e->flight->out = 0;
    e->flight->wait_id = 0;
}

/* What is kept for later attempts; each holder has its own references. */
static void kept_copy(const struct source_kept *from, size_t n, struct source_kept *to,
                      size_t *to_n)
{
    for (size_t i = 0; i < n; i++) {
        to[i] = from[i];
        (void)json_incref(to[i].answers);
    }
    *to_n = n;
}

static void kept_free(struct source_kept *kept, size_t *n)
{
    for (size_t i = 0; i < *n; i++)
        json_decref(kept[i].answers);
    *n = 0;
}

static void flight_free(struct core *core, struct core_entry *e)
{
    struct flight *f = e->flight;
    if (f == NULL) {
        uncharge(core, e); /* it never came to a flight */
        return;
    }
    cancel_requests(core, e);
    source_free(f->source);
    bundle_transcript_free(f->transcript);
    source_result_free(f->result);
    kept_free(f->previous.kept, &f->previous.n_kept);
    json_decref(f->carry);
    free(f);
    e->flight = NULL;
    core->n_flying--;
    uncharge(core, e);
}

static void leave_poll(struct core_entry *e)
{
    for (size_t i = 0; e->poll != NULL && i < e->poll->n; i++)
        if (e->poll->members[i].entry == e)
            e->poll->members[i].entry = NULL;
    e->poll = NULL;
}

static void entry_release(struct core *core, struct core_entry *e)
{
    flight_free(core, e);
    e->loading = false;
    uncharge(core, e);
    clients_give(core->env.clients, e->owner, CLIENT_ENTRIES);
    leave_poll(e);
    kept_free(e->kept, &e->n_kept);
    shared_result_unref(e->good);
    spec_release(e->spec);
    for (size_t i = 0; i < e->n_documents; i++)
        ms_buf_done(&e->documents[i].body);
    free(e->hosts);
    json_decref(e->carry);
    free(e->documents);
    free(e->asked);
    free(e);
}

static bool idle(const struct core_entry *e)
{
    return e->flight == NULL && e->waiters == NULL && e->watchers == NULL && !e->loading;
}

static int64_t last_used(const struct core_entry *e)
{
    int64_t used = e->used_ms;
    if (e->answer != NULL) {
        int64_t read = atomic_load_explicit(&e->answer->last_used_ms, memory_order_relaxed);
        if (read > used)
            used = read;
    }
    return used;
}

static void unlink_entry(struct core *core, struct core_entry *e)
{
    struct core_entry **at = &core->buckets[bucket_of(&e->id)];
    while (*at != e)
        at = &(*at)->next;
    *at = e->next;
    lru_remove(&core->lru, e->slot);
    table_remove(core->table, &e->id);
}

static bool may_leave(const struct core_entry *e)
{
    return idle(e) && !e->unstored;
}

static void evict(struct core *core, struct core_entry *e)
{
    unlink_entry(core, e);
    entry_release(core, e);
}

/* The client's entry that was asked for longest ago. False: all of its are in use. */
static bool evict_of(struct core *core, uint64_t client)
{
    struct core_entry *oldest = NULL;

    for (size_t b = 0; b < CORE_BUCKETS; b++)
        for (struct core_entry *e = core->buckets[b]; e != NULL; e = e->next)
            if (e->owner == client && may_leave(e) &&
                (oldest == NULL || last_used(e) < last_used(oldest)))
                oldest = e;
    if (oldest != NULL)
        evict(core, oldest);
    return oldest != NULL;
}

/* Make room for one more: what was asked for longest ago goes. Disk keeps its floor and its
 * evidence; what disk does not have stays. */
static bool evict_one(struct core *core)
{
    int64_t now_ms = now_of(core).boot_ms;

    while (core->lru.n > 0 && core->lru.slots[0].used_ms <= now_ms) {
        struct core_entry *e = core->lru.slots[0].item;
        bool stays = !may_leave(e);
        int64_t used_ms = stays ? now_ms + 1 : last_used(e);
        if (!stays && used_ms <= core->lru.slots[0].used_ms) {
            evict(core, e);
            return true;
        }
        lru_used(&core->lru, 0, used_ms);
    }
    return false;
}

/* The client with the most entries makes room: nobody loses his because of another's many. Where
 * all are of one client the oldest is known without looking at each. */
static bool make_room(struct core *core)
{
    size_t held;
    uint64_t client = clients_largest(core->env.clients, CLIENT_ENTRIES, &held);
    return (held > 0 && held < core->lru.n && evict_of(core, client)) || evict_one(core);
}

/* A set of signers without at= is looked for where clients say that it is. Who names a host that
 * was not known does not wait for the failures of others. */
static void note_host(struct core_entry *e, const char *host)
{
    size_t at = 0;

    if (host == NULL || e->spec->kind != SPEC_SIGNERS || e->spec->at.url != NULL ||
        strlen(host) >= SOURCE_HOST_MAX_BYTES)
        return;
    if (e->hosts == NULL)
        e->hosts = calloc(1, sizeof(*e->hosts));
    if (e->hosts == NULL)
        return;
    while (at < e->hosts->n && strcmp(e->hosts->name[at], host) != 0)
        at++;
    bool news = at == e->hosts->n;
    if (news && !e->facts.good)
        e->facts.next_try_ms = e->facts.negative_until_ms = 0;
    if (at == SOURCE_HOSTS_MAX)
        at--;
    else if (news)
        e->hosts->n++;
    if (at > 0)
        memmove(e->hosts->name[1], e->hosts->name[0], at * SOURCE_HOST_MAX_BYTES);
    (void)snprintf(e->hosts->name[0], SOURCE_HOST_MAX_BYTES, "%s", host);
}

/* What was known when the set was accepted, behind the one that was just asked for. */
static void recall_hosts(struct core_entry *e, const json_t *carry)
{
    const json_t *hosts = json_object_get(carry, "hosts");
    char asked[SOURCE_HOST_MAX_BYTES] = "";

    if (e->hosts != NULL && e->hosts->n > 0)
        memcpy(asked, e->hosts->name[0], sizeof(asked));
    for (size_t i = json_array_size(hosts); i-- > 0;)
        note_host(e, json_string_value(json_array_get(hosts, i)));
    if (asked[0] != '\0')
        note_host(e, asked);
}

/* Two sets of one sequence, neither known before: from now on only a higher one counts. */
static void take_fork(struct core_entry *e)
{
    uint64_t epoch = 0, sequence = 0;

    if (!source_fork(e->flight->source, &epoch, &sequence) || epoch < e->facts.floor_epoch ||
        (epoch == e->facts.floor_epoch && sequence <= e->facts.floor_sequence))
        return;
    e->facts.has_sequence = true;
    e->facts.floor_epoch = epoch;
    e->facts.floor_sequence = sequence;
}

/* What an entry does not know by itself. */
static void rule(const struct core *core, struct core_entry *e)
{
    e->facts.rules = &core->options.rules;
    e->facts.chain = e->spec->kind == SPEC_CONTRACT;
}

/* A new entry that takes the spec; it starts by looking on disk. MS_ERR_OVERLOAD: no room;
 * MS_ERR_QUOTA. */
static enum ms_err add_entry(struct core *core, const struct answer_id *id, uint64_t client,
                             struct spec **spec, struct core_entry **ret_entry,
                             struct ms_diag *diag)
{
    struct core_entry *e = calloc(1, sizeof(*e));
    if (e == NULL)
        return MS_ERR_MEMORY;
    enum ms_err err = charge(core, e, client, diag);
    while (err == MS_OK && core->lru.n >= core->options.max_entries)
        if (!make_room(core))
            err = MS_ERR_OVERLOAD;
    if (err == MS_OK)
        err = clients_take(core->env.clients, client, CLIENT_ENTRIES, diag);
    if (err == MS_OK && !lru_add(&core->lru, e, &e->slot, now_of(core).boot_ms)) {
        clients_give(core->env.clients, client, CLIENT_ENTRIES);
        err = MS_ERR_MEMORY;
    }
    if (err != MS_OK) {
        uncharge(core, e);
        free(e);
        return err;
    }
    e->id = *id;
    e->owner = client;
    e->serial = ++core->last_serial;
    e->spec = *spec;
    *spec = NULL;
    e->from = e->spec->from;
    note_host(e, e->spec->host);
    bundle_identity_only(e->spec);
    e->next_change_ms = ENTRY_NEVER;
    e->poll_ms = ENTRY_NEVER;
    e->full_ms = ENTRY_NEVER;
    e->loading = true;
    rule(core, e);
    size_t b = bucket_of(id);
    e->next = core->buckets[b];
    core->buckets[b] = e;
    core->env.load(core->env.arg, id);
    *ret_entry = e;
    return MS_OK;
}

/* T10: what a quorum has verified to be past. One endpoint's word binds nobody else. */
static void note_time(struct core *core, const struct core_entry *e)
{
    bool verified = e->facts.chain && e->facts.good && e->id.level >= SPEC_LEVEL_L2;

    if (verified && e->facts.evidence_time_s > core->options.rules.time_floor_s)
        core->options.rules.time_floor_s = e->facts.evidence_time_s;
}

int64_t core_time_floor(const struct core *core)
{
    return core->options.rules.time_floor_s;
}

/* ---- publishing ---- */

static void tell_event(struct core_watcher *w, const struct answer *answer,
                       const struct ms_sha256 *shown)
{
    if (w->sent && w->last_state == answer->state && ms_sha256_eq(&w->last_set, shown))
        return;
    w->sent = true;
    w->last_state = answer->state;
    w->last_set = *shown;
    METRIC_INC(watch_events);
    w->event(w, answer->envelope, answer->envelope_len);
}

static struct ms_sha256 shown_of(const struct answer *answer)
{
    return answer->serve ? ms_sha256(ms_span_str(answer->etag))
                         : ms_sha256(ms_span_str(ms_err_code(answer->err)));
}

/* answer is NULL when there is none any more. */
static void tell_watcher(struct core_watcher *w, const struct answer *answer,
                         const struct ms_sha256 *shown)
{
    if (w->published != NULL)
        w->published(w, answer);
    if (w->event != NULL && answer != NULL)
        tell_event(w, answer, shown);
}

static void tell_watchers(struct core_entry *e, const struct answer *answer)
{
    struct ms_sha256 shown = {0};

    if (answer != NULL)
        shown = shown_of(answer);
    for (struct core_watcher *w = e->watchers, *next; w != NULL; w = next) {
        next = w->next;
        tell_watcher(w, answer, &shown);
    }
}

/* A later block than the result's own, in which a poll found it unchanged. */
static const struct source_block *later_block(const struct core_entry *e)
{
    bool own = e->good == NULL || e->block.chain == 0 ||
               eth_hash_eq(&e->block.hash, &e->good->result->block.hash);
    return own ? NULL : &e->block;
}

static int64_t window_change_ms(const struct core_entry *e, struct ms_now now)
{
    const struct rec_set *sets[SOURCE_RELEASES_MAX];
    int64_t next_s = 0;

    if (e->good == NULL)
        return ENTRY_NEVER;
    (void)envelope_in_force(e->good->result, later_block(e), &e->facts, now, sets, NULL, &next_s);
    return next_s == 0 ? ENTRY_NEVER : entry_boot_ms(next_s, now);
}

/* Render what the entry is worth now and put it in the table. `confirmed`: the source has just
 * answered, so those who waited for it have a fresh set even if it may not be kept a second
 * (no-store, max-age=0). */
static void publish(struct core *core, struct core_entry *e, bool confirmed)
{
    struct ms_now now = now_of(core);
    struct entry_view view = entry_view(&e->facts, now);
    bool stale = view.state == ENTRY_SWR || view.state == ENTRY_SIE || view.state == ENTRY_EXPIRED;
    bool one_shot = confirmed && e->good != NULL && stale && e->facts.life.fresh_s == 0 &&
                    now.boot_ms < entry_hard_end_ms(&e->facts, now);

    if (one_shot)
        view = (struct entry_view){.state = ENTRY_FRESH,
                                   .serve = true,
                                   .soft_until_ms = now.boot_ms,
                                   .serve_until_ms = now.boot_ms,
                                   .next_change_ms = ENTRY_NEVER};
    int64_t window_ms = window_change_ms(e, now);
    if (window_ms < view.next_change_ms)
        view.next_change_ms = window_ms;
    struct publish_input in = {
        .envelope = {.spec = e->spec,
                     .result = e->good == NULL ? NULL : e->good->result,
                     .block = later_block(e),
                     .view = view,
                     .entry = &e->facts,
                     .evidence = e->has_evidence ? &e->evidence : NULL,
                     .previous_set = e->has_previous_set ? &e->previous_set : NULL,
                     .now = now},
        .shared = e->good,
        .id = e->id,
        .generation = ++e->generation,
        .before = e->answer,
        /* a wait or an error that may end earlier is the core's to decide */
        .fast_until_ms = one_shot || view.wait_first ? 0 : view.next_change_ms,
    };
    struct answer *answer = publish_render(&in);
    if (answer == NULL) {
        note_event(core, 3, "publish-failed", e, "out of memory");
        e->answer = NULL;
        table_remove(core->table, &e->id); /* rather no answer than an old one */
        tell_watchers(e, NULL);
        return;
    }
    atomic_store_explicit(&answer->last_used_ms, last_used(e), memory_order_relaxed);
    e->next_change_ms = view.next_change_ms;
    e->answer = answer;
    table_publish(core->table, answer);
    tell_watchers(e, answer);
}

static void finish_request(struct core_request *r, enum ms_err err, const struct ms_diag *diag,
                           uint64_t generation)
{
    r->err = err;
    r->diag = diag == NULL ? (struct ms_diag){0} : *diag;
    r->generation = generation;
    r->done(r);
}

/* Whether what is published now knows of all values that it was asked about. */
static bool knows_all(const struct core_entry *e, const struct core_request *r)
{
    for (size_t i = 0; i < r->n_candidates; i++)
        if (e->good == NULL || !source_result_knows(e->good->result, &r->candidates[i]))
            return false;
    return true;
}

/* An attempt has ended that was begun before the question. Who wants a new one gets it; who asks
 * about a value does so only while the source answers: questions are no way around a backoff. */
static bool waits_on(const struct core_entry *e, const struct core_request *r, enum ms_err err)
{
    if (e->n_flights >= r->flight || err == MS_ERR_SHUTDOWN)
        return false;
    return r->force || (err == MS_OK && !knows_all(e, r));
}

/* Everybody who waited looks at what is published now. */
static void release_waiters(struct core_entry *e, enum ms_err err, const struct ms_diag *diag)
{
    struct core_request **at = &e->waiters;

    while (*at != NULL) {
        struct core_request *r = *at;
        if (waits_on(e, r, err)) {
            at = &r->next; /* the tick begins the attempt it waits for */
            continue;
        }
        *at = r->next;
        e->n_waiters--;
        finish_request(r, err, diag, e->generation);
    }
}

/* ---- flights ---- */

/* Documents that were asked for by their hash are the same for ever: they are not fetched at every
 * poll, and a host that is down does not stand in the way of a revocation. */
static const struct ms_buf *find_document(const struct core_entry *e,
                                          const struct source_request *request)
{
    for (size_t i = 0; request->sha256 != NULL && i < e->n_documents; i++)
        if (ms_sha256_eq(&e->documents[i].hash, request->sha256))
            return &e->documents[i].body;
    return NULL;
}

/* Keep one; when there is no room for it, it is fetched again next time. */
static void keep_document(struct core_entry *e, const struct source_response *response)
{
    struct ms_sha256 hash;

    if (response->err != MS_OK || response->status != 200 ||
        !source_wants_hash(e->flight->source, response->id, &hash) ||
        e->n_documents == CORE_DOCUMENTS_MAX)
        return;
    struct ms_sha256 got = ms_sha256(response->body);
    struct source_request same = {.sha256 = &hash};
    if (!ms_sha256_eq(&got, &hash) || find_document(e, &same) != NULL)
        return;
    if (e->documents == NULL)
        e->documents = calloc(CORE_DOCUMENTS_MAX, sizeof(*e->documents));
    if (e->documents == NULL)
        return;
    struct document *slot = &e->documents[e->n_documents];
    slot->hash = hash;
    slot->body = (struct ms_buf)MS_BUF_INIT(SOURCE_BODY_MAX_BYTES);
    if (ms_buf_add(&slot->body, response->body) == MS_OK)
        e->n_documents++;
    else
        ms_buf_done(&slot->body);
}

static void flight_response(struct core *core, uint64_t tag,
                            const struct source_response *response);

static void send_requests(struct core *core, struct core_entry *e)
{
    struct source_request request;
    struct flight *f = e->flight;

    uint32_t at_hand[SOURCE_RELEASES_MAX];
    const struct ms_buf *bodies[SOURCE_RELEASES_MAX];
    size_t n = 0;

    while (source_take_request(f->source, &request)) {
        if (request.kind == SOURCE_REQUEST_WAIT) {
            f->wait_id = request.id;
            f->wait_until_ms = now_of(core).boot_ms + request.wait_ms;
            continue;
        }
        f->out++;
        const struct ms_buf *body = find_document(e, &request);
        if (body != NULL && n < SOURCE_RELEASES_MAX) {
            at_hand[n] = request.id;
            bodies[n++] = body;
            continue;
        }
        request.client = !e->is_charged ? e->owner : e->is_shared ? CLIENT_NONE : e->charged;
        core->env.fetch(core->env.arg, tag_of(e, request.id), &request);
    }
    uint64_t tag_base = tag_of(e, 0);
    for (size_t i = 0; i < n && find_tag(core, tag_base) == e && e->flight == f; i++) {
        struct source_response response = {.id = at_hand[i],
                                           .status = 200,
                                           .time_s = now_of(core).wall_s,
                                           .body = ms_buf_span(bodies[i])};
        flight_response(core, tag_base | at_hand[i], &response);
    }
}

static bool is_contract(const struct core_entry *e)
{
    return e->spec->kind == SPEC_CONTRACT;
}

static int64_t random_ms(struct core *core, int64_t span_ms)
{
    return (int64_t)((uint64_t)span_ms * core->env.random(core->env.arg) >> 32);
}

/* When contracts are to be asked again. */
static int64_t next_poll_ms(struct core *core)
{
    /* each attempt reads the finalized and the newest state; 12 + U(0,4) s, or 60 s +-10 % (6.2) */
    bool by_head = core->options.policy.head_poll_s > 0 &&
                   core->options.policy.head_poll_s < core->options.policy.poll_s;
    int64_t period =
        1000 * (by_head ? core->options.policy.head_poll_s : core->options.policy.poll_s);
    int64_t spread = by_head ? period / 3 : period / 5;
    return now_of(core).boot_ms + period + random_ms(core, spread) - (by_head ? 0 : period / 10);
}

static void schedule_poll(struct core *core, struct core_entry *e)
{
    bool polled = is_contract(e) && e->facts.good;

    e->poll_ms = polled ? next_poll_ms(core) : ENTRY_NEVER;
    if (polled && e->good != NULL && e->good->result->document_elsewhere) {
        int64_t rested_ms = now_of(core).boot_ms + 1000 * core->options.policy.poll_s;
        e->poll_ms = e->poll_ms > rested_ms ? e->poll_ms
                                            : rested_ms; /* its host is not asked at each head */
    }
    e->full_ms = ENTRY_NEVER;
    if (polled)
        e->full_ms = now_of(core).boot_ms + CORE_FULL_MIN_MS + random_ms(core, CORE_FULL_SPREAD_MS);
}

/* An attempt of its own has told all there is to know. */
static void read_in_full(struct core *core, struct core_entry *e)
{
    e->solo = false;
    e->told_changed = false;
    e->proven_ms = now_of(core).boot_ms;
    schedule_poll(core, e);
}

static void change_free(struct core_change *change)
{
    if (change == NULL)
        return;
    json_decref(change->facts);
    ms_buf_done(&change->bundle);
    free(change->canonical);
    free(change);
}

/* The bundle of the attempt that is in flight, its name, and what it says. */
static enum ms_err write_evidence(struct core_entry *e, const struct source_result *result,
                                  enum ms_err error, struct core_change *change)
{
    const struct flight *f = e->flight;
    struct ms_sha256 policy;

    enum ms_err err = bundle_write(e->spec, &f->policy, &f->previous, f->started, f->transcript,
                                   result, error, &change->bundle);
    if (err == MS_OK)
        err = bundle_policy_hash(&f->policy, &policy);
    if (err == MS_OK)
        err = summary_facts(e->spec, result, error, change->now.wall_s, &policy, &change->facts);
    if (err == MS_OK)
        change->bundle_hash = ms_sha256(ms_buf_span(&change->bundle));
    return err;
}

static struct core_change *new_change(struct core_entry *e, enum core_change_kind kind,
                                      struct ms_now now)
{
    struct core_change *change = calloc(1, sizeof(*change));
    if (change == NULL)
        return NULL;
    change->canonical = strdup(e->spec->canonical);
    if (change->canonical == NULL) {
        free(change);
        return NULL;
    }
    change->change = kind;
    change->id = e->id;
    change->kind = e->spec->kind;
    change->entry = e->facts;
    change->now = now;
    change->set_hash = e->set_hash;
    change->evidence = e->evidence;
    change->bundle.max = BUNDLE_MAX_BYTES;
    change->owner = e;
    return change;
}

/* The source's own sequence, not our count of its changes: other logs know the same. */
static enum ms_err tell_log(const struct flight *f, struct core_change *change)
{
    struct cache_leaf *leaf = &change->leaf;

    leaf->has_policy = true;
    if (f->result != NULL) {
        leaf->has_sequence = f->result->has_sequence;
        leaf->sequence = f->result->sequence;
        leaf->has_commitment = true;
        leaf->commitment = f->result->commitment;
    }
    return bundle_policy_hash(&f->policy, &leaf->policy);
}

/* Both sides of a contradiction are kept, once for each time it begins. */
static void keep_failure(struct core *core, struct core_entry *e, enum ms_err err)
{
    struct flight *f = e->flight;

    if (e->dissent_kept || f == NULL || f->transcript == NULL || f->result != NULL)
        return;
    struct core_change *change = new_change(e, CORE_CHANGE_DISSENT, now_of(core));
    if (change == NULL)
        return;
    if (write_evidence(e, NULL, err, change) != MS_OK || tell_log(f, change) != MS_OK) {
        change_free(change);
        return;
    }
    e->dissent_kept = true;
    METRIC_INC(conflicts);
    note_event(core, 2, err == MS_ERR_DISSENT ? "dissent" : "conflict", e, e->spec->canonical);
    core->env.store(core->env.arg, change);
}

static void flight_failed(struct core *core, struct core_entry *e, enum ms_err err,
                          const struct ms_diag *diag, int64_t negative_s)
{
    struct ms_now now = now_of(core);
    struct ms_diag copy = diag == NULL ? (struct ms_diag){0} : *diag;

    METRIC_INC(flights_failed);
    note_event(core, 5, "resolve-failed", e, ms_diag_text(&copy, err));
    if (err == MS_ERR_DISSENT || err == MS_ERR_CONFLICT)
        keep_failure(core, e, err);
    entry_fail(&e->facts, err, &copy, negative_s,
               1000 * (is_contract(e) ? core->options.policy.times.backoff_rpc
                                      : core->options.policy.times.backoff_location),
               core->env.random(core->env.arg), now);
    int64_t retry_s = e->flight == NULL ? 0 : source_retry_s(e->flight->source);
    int64_t retry_ms = now.boot_ms + 1000 * retry_s;
    if (e->facts.next_try_ms < retry_ms)
        e->facts.next_try_ms = retry_ms;
    flight_free(core, e);
    e->solo = true; /* a poll of several says nothing about what is wrong with this one */
    if (e->poll_ms != ENTRY_NEVER)
        e->poll_ms = e->facts.next_try_ms;
    publish(core, e, false);
    release_waiters(e, err, &copy);
}

/* The finalized block of an accepted answer is what the next one must still contain. */
static void remember_final(const struct core *core, struct core_entry *e,
                           const struct source_block *block)
{
    bool word = e->id.level <= SPEC_LEVEL_L1; /* may have been a lie: the newest word counts */
    bool may_go = core->options.policy.nonfinality == SOURCE_NONFINALITY_SAFE; /* a "safe" block */
    if (block->chain == 0 || may_go || (e->has_final && block->number < e->final_number && !word))
        return;
    e->has_final = true;
    e->final_number = block->number;
    e->final_hash = block->hash;
}

/* The set the attempt found becomes the entry's. */
static void take_result(const struct core *core, struct core_entry *e)
{
    struct flight *f = e->flight;

    e->has_final = e->has_final && !f->accept;
    remember_final(core, e, &f->result->block);

    if (e->good != NULL) {
        e->previous_set = e->set_hash;
        e->has_previous_set = true;
    }
    e->set_hash = f->result->set_hash;
    shared_result_unref(e->good);
    e->good = shared_result_new(f->result);
    f->result = NULL;
    json_decref(e->carry);
    e->carry = NULL;
    e->block = e->good == NULL ? (struct source_block){0} : e->good->result->block;
}

/* A poll said that this one changed, and it is as it was: whatever answers the probe's calls so, it
 * is not to cost a full read at each poll. */
static bool cried_wolf(const struct core_entry *e, const struct source_result *fresh)
{
    const struct source_probe *now = &fresh->probe;

    if (!e->told_changed || e->good == NULL || e->good->result->probe.n_calls != now->n_calls)
        return false;
    for (size_t i = 0; i < now->n_calls; i++) {
        const struct source_probe_call *old = &e->good->result->probe.calls[i];
        if (!ms_span_eq(old->final, now->calls[i].final) ||
            !ms_span_eq(old->head, now->calls[i].head))
            return false;
    }
    return true;
}

/* Times that a crash may lose; restarting with older ones is harmless. */
static void store_touch(struct core *core, struct core_entry *e, struct ms_now now)
{
    struct core_change *change = e->unstored ? NULL : new_change(e, CORE_CHANGE_TOUCH, now);

    if (change == NULL)
        return;
    e->touched_ms = now.boot_ms;
    change->block = e->block;
    core->env.store(core->env.arg, change);
}

/* Same set: only times are new. They need not be durable before they are used. */
static void flight_confirmed(struct core *core, struct core_entry *e)
{
    struct flight *f = e->flight;
    struct ms_now now = now_of(core);
    struct source_result *fresh = f->result;

    e->dissent_kept = false;
    if (cried_wolf(e, fresh))
        e->apart_until_ms = now.boot_ms + CORE_APART_MS;
    entry_accept(&e->facts, fresh, ENTRY_SAME, now);
    note_time(core, e);
    if (!fresh->unchanged && e->good != NULL &&
        fresh->evidence_time_s >= e->good->result->evidence_time_s &&
        fresh->block.time_s >= e->block.time_s) {
        /* a newer block of the same state: newer evidence time, pending releases may be in force
         * now; an older one, of a node that lags, does not turn the chain's time back */
        struct ms_sha256 kept = e->set_hash, previous = e->previous_set;
        bool had_previous = e->has_previous_set;
        take_result(core, e);
        e->set_hash = kept;
        e->previous_set = previous;
        e->has_previous_set = had_previous;
    }
    flight_free(core, e);
    if (e->good != NULL)
        store_touch(core, e, now);
    read_in_full(core, e);
    publish(core, e, e->good != NULL);
    release_waiters(e, e->good == NULL ? MS_ERR_MEMORY : MS_OK, NULL);
}

static enum core_change_kind change_of(enum entry_verdict verdict)
{
    switch (verdict) {
    case ENTRY_REFUSED:
    case ENTRY_SAME:
        return CORE_CHANGE_TOUCH;
    case ENTRY_CHANGED:
        return CORE_CHANGE_SET;
    case ENTRY_CONTRADICTS:
        return CORE_CHANGE_CONFLICT;
    case ENTRY_HELD:
        return CORE_CHANGE_HOLD;
    }
    return CORE_CHANGE_TOUCH;
}

/* A new set, a contradiction, other code, or the set at hand when it is not stored yet: evidence
 * first. */
static void flight_changed(struct core *core, struct core_entry *e)
{
    struct flight *f = e->flight;
    struct ms_now now = now_of(core);
    struct core_change *change = new_change(e, change_of(f->verdict), now);
    enum ms_err err = change == NULL ? MS_ERR_MEMORY : MS_OK;
    bool of_set = f->verdict == ENTRY_CHANGED || f->verdict == ENTRY_SAME;

    if (err == MS_OK)
        err = write_evidence(e, f->result, MS_OK, change);
    if (err == MS_OK)
        err = tell_log(f, change);
    if (err != MS_OK) {
        change_free(change);
        flight_failed(core, e, err, NULL, 0);
        return;
    }
    change->entry = f->base;
    entry_accept(&change->entry, f->result, f->verdict, now);
    change->found_set = f->result->set_hash;
    if (of_set) {
        change->change = CORE_CHANGE_SET;
        change->evidence = change->bundle_hash;
        change->set_hash = f->result->set_hash;
    }
    change->has_sequence = true;
    change->sequence = f->result->has_sequence ? f->result->sequence : change->entry.floor_sequence;
    change->block = f->result->block;
    core->env.store(core->env.arg, change);
}

/* The code is still the other one: known already, nothing new to keep. */
static void flight_still_held(struct core *core, struct core_entry *e)
{
    entry_accept(&e->facts, e->flight->result, ENTRY_HELD, now_of(core));
    flight_free(core, e);
    read_in_full(core, e);
    publish(core, e, false);
    release_waiters(e, MS_ERR_CODE_IDENTITY, NULL);
}

static void flight_refused(struct core *core, struct core_entry *e, enum ms_err why)
{
    struct ms_diag diag = {0};

    if (why == MS_ERR_UNAVAILABLE)
        (void)ms_diag_set(
            &diag, why,
            "a revocation seen in the newest state stands, and that state could not be "
            "read this time");
    else if (why == MS_ERR_CODE_IDENTITY)
        (void)ms_diag_set(
            &diag, why, "governance moved on, but no endpoint proved the code behind the contract");
    else
        (void)ms_diag_set(&diag, why, "%s (sequence %llu, already verified %llu)", ms_err_text(why),
                          (unsigned long long)e->flight->result->sequence,
                          (unsigned long long)e->facts.floor_sequence);
    flight_failed(core, e, why, &diag, 0);
}

static void flight_done(struct core *core, struct core_entry *e)
{
    struct flight *f = e->flight;
    enum ms_err why = MS_OK;

    f->result = source_take_result(f->source);
    f->base = e->facts;
    if (f->accept) { /* whatever code, whatever branch it is now; the entry learns it when it is
                        stored */
        f->base.has_identity = f->base.hold = f->base.conflict = false;
        f->base.overlay = f->base.commitment = (struct ms_sha256){0};
    }
    f->verdict = entry_judge(&f->base, f->result, now_of(core), &why);
    switch (f->verdict) {
    case ENTRY_REFUSED:
        flight_refused(core, e, why);
        return;
    case ENTRY_SAME:
        if (e->unstored && !f->result->unchanged)
            flight_changed(core, e);
        else
            flight_confirmed(core, e);
        return;
    case ENTRY_HELD:
        if (e->facts.hold && ms_sha256_eq(&e->facts.held_identity, &f->result->identity)) {
            flight_still_held(core, e);
            return;
        }
        flight_changed(core, e);
        return;
    case ENTRY_CHANGED:
    case ENTRY_CONTRADICTS:
        flight_changed(core, e);
        return;
    }
}

/* Of an attempt, or a poll, that has ended. */
static void tell_conduct(const struct core *core, const struct source *source,
                         const struct source_policy *policy)
{
    for (uint32_t p = 0; p < policy->n_providers; p++) {
        enum source_conduct conduct = source_conduct(source, p);
        if (conduct != SOURCE_CONDUCT_NOT_ASKED)
            core->env.conduct(core->env.arg, p, conduct, source_learned(source, p));
    }
}

static void flight_advance(struct core *core, struct core_entry *e, enum source_state state)
{
    struct flight *f = e->flight;

    if (state != SOURCE_WANTS) {
        tell_conduct(core, f->source, &f->policy);
        const struct source_kept *kept;
        size_t n = source_kept(f->source, &kept);
        cancel_requests(core, e); /* of those it went on without */
        kept_free(e->kept, &e->n_kept);
        kept_copy(kept, n, e->kept, &e->n_kept);
    }

    switch (state) {
    case SOURCE_WANTS:
        send_requests(core, e);
        return;
    case SOURCE_DONE:
        flight_done(core, e);
        return;
    case SOURCE_FAILED: {
        struct ms_diag diag = {0};
        enum ms_err err = source_error(f->source, &diag);
        if (err == MS_ERR_CONFLICT) { /* the finalized chain lost a block: never clears by itself */
            e->facts.conflict = true;
            e->facts.conflict_err = err;
            e->dissent_kept = false; /* this one is kept whatever came before */
            take_fork(e);
        }
        if (source_carry(f->source) != NULL) {
            json_decref(e->carry);
            e->carry = json_incref(source_carry(f->source));
        }
        flight_failed(core, e, err, &diag, source_negative_s(f->source));
        return;
    }
    }
}

static void add_candidate(struct source_previous *previous,
                          const struct source_candidate *candidate, size_t max)
{
    if (previous->n_candidates < max)
        previous->candidates[previous->n_candidates++] = *candidate;
}

/* What a contract with mappings is asked about: what it approves as far as known, and what somebody
 * wants to know. Values found unapproved are not asked about for ever: they come back by a log or a
 * question. Where there is no room for all, whoever asks does not push out what is listed, but for
 * a few places: the logs do not tell of it again. */
static void plan_candidates(struct core_entry *e, struct source_previous *previous)
{
    const struct source_result *good = e->good == NULL ? NULL : e->good->result;
    size_t places = e->n_asked < CORE_ASKED_PLACES ? e->n_asked : CORE_ASKED_PLACES;

    for (size_t i = 0; good != NULL && i < good->n_candidates; i++)
        if (good->candidates[i].approved)
            add_candidate(previous, &good->candidates[i], SOURCE_CANDIDATES_MAX - places);
    for (size_t i = 0; i < e->n_asked; i++)
        add_candidate(previous, &e->asked[i], SOURCE_CANDIDATES_MAX);
    e->n_asked = 0;
    free(e->asked);
    e->asked = NULL;
    if (good != NULL)
        previous->scan = good->scan;
    /* from= is where to begin, not where to end: whoever named a block first hides nothing from
     * others */
    if (e->from > 0 && !previous->scan.begun)
        previous->scan = (struct source_scan){
            .begun = true, .from = e->from, .next = e->from, .window = UINT64_MAX};
    else if (previous->scan.begun && !previous->scan.whole && good != NULL &&
             previous->scan.next > good->block.number)
        previous->scan = (struct source_scan){0};
}

static bool wants_accept(const struct core_entry *e)
{
    for (const struct core_request *r = e->waiters; r != NULL; r = r->next)
        if (r->accept)
            return true;
    return false;
}

static void start_flight(struct core *core, struct core_entry *e)
{
    struct ms_diag diag = {0};

    if (e->flight != NULL || e->loading || core->stopped)
        return;
    if (e->load_again) {
        e->load_again = false;
        e->loading = true;
        core->env.load(core->env.arg, &e->id);
        return;
    }
    struct flight *f = calloc(1, sizeof(*f));
    METRIC_INC(flights);
    if (f == NULL) {
        flight_failed(core, e, MS_ERR_MEMORY, NULL, 0);
        return;
    }
    e->flight = f;
    core->n_flying++;
    f->policy = core->options.policy;
    core->env.mark_providers(core->env.arg, &f->policy);
    f->policy.level = e->id.level != SPEC_LEVEL_NONE ? e->id.level : f->policy.level;
    f->started = now_of(core);
    f->accept = wants_accept(e);
    e->n_flights++;
    e->flight_ms = f->started.boot_ms;
    plan_candidates(e, &f->previous);
    kept_copy(e->kept, e->n_kept, f->previous.kept, &f->previous.n_kept);
    f->previous.floor_sequence = f->accept ? 0 : entry_floor(&e->facts, e->id.level, f->started);
    bool lapsed =
        f->previous.floor_sequence < e->facts.floor_sequence; /* nothing is held against it */
    f->previous.has_final = e->has_final && !lapsed && e->id.level != SPEC_LEVEL_L0;
    f->previous.has_set =
        e->good != NULL && e->good->result->has_sequence && !lapsed && !f->accept && !e->unstored;
    memcpy(f->previous.set_hash.b, e->facts.commitment.b, ETH_HASH_BYTES);
    f->previous.final_number = e->final_number;
    f->previous.final_hash = e->final_hash;
    f->previous.floor_epoch = f->accept ? 0 : e->facts.floor_epoch;
    for (size_t i = 0; e->hosts != NULL && i < e->hosts->n; i++)
        memcpy(f->previous.hosts[f->previous.n_hosts++], e->hosts->name[i], SOURCE_HOST_MAX_BYTES);
    f->carry = json_incref(e->carry != NULL  ? e->carry
                           : e->good != NULL ? e->good->result->carry
                                             : NULL);
    f->previous.carry = f->carry;
    if (e->good != NULL && !e->unstored) { /* else all of it is wanted, to be stored */
        f->previous.etag = e->good->result->etag;
        f->previous.last_modified = e->good->result->last_modified;
    }
    enum ms_err err = bundle_transcript_new(&f->transcript);
    if (err == MS_OK)
        err = source_new(e->spec, &f->policy, &f->previous, f->started, &f->source, &diag);
    if (err != MS_OK) {
        flight_failed(core, e, err, &diag, 0);
        return;
    }
    flight_advance(core, e, source_step(f->source, NULL, f->started));
}

static void flight_response(struct core *core, uint64_t tag, const struct source_response *response)
{
    struct core_entry *e = find_tag(core, tag);
    if (e == NULL || e->flight == NULL || e->flight->result != NULL)
        return;
    struct flight *f = e->flight;

    if (response->id > SOURCE_REQUESTS_MAX) {
        f->wait_id = 0;
    } else {
        f->out--;
        if (response->err != MS_OK)
            METRIC_INC(upstream_failed);
    }
    keep_document(e, response);
    enum ms_err err = bundle_transcript_add(f->transcript, response);
    if (err != MS_OK) {
        flight_failed(core, e, err, NULL, 0);
        return;
    }
    struct ms_now now = now_of(core);
    now.wall_s = response->time_s; /* what the bundle will replay */
    flight_advance(core, e, source_step(f->source, response, now));
}

/* ---- polls of several contracts ---- */

static struct chain_hints *hints_of(struct core *core, uint64_t chain)
{
    for (size_t i = 0; i < MS_ARRAY_LEN(core->hints); i++) {
        struct chain_hints *h = &core->hints[i];
        if (h->chain == 0)
            h->chain = chain;
        if (h->chain == chain)
            return h;
    }
    return &core->hints[0]; /* there are no more chains than endpoints */
}

static uint64_t poll_tag(const struct poll *p, uint32_t request_id)
{
    return CORE_POLL_TAG | p->serial << 24 | request_id;
}

static bool is_poll_tag(uint64_t tag)
{
    return (tag & CORE_POLL_TAG) != 0;
}

/* Its members, if it still has any, are due. */
static void poll_free(struct core *core, struct poll *p)
{
    struct poll **at = &core->polls;

    while (*at != p)
        at = &(*at)->next;
    *at = p->next;
    for (uint32_t id = 1; p->out > 0 && id <= SOURCE_REQUESTS_MAX; id++)
        core->env.cancel(core->env.arg, poll_tag(p, id));
    for (size_t i = 0; i < p->n; i++) {
        if (p->members[i].entry != NULL && p->members[i].entry->poll == p)
            wake(core, p->members[i].entry)->poll = NULL;
        shared_result_unref(p->members[i].good);
    }
    source_free(p->source);
    free(p->members);
    free(p);
}

/* Its own attempt decides, and not before its backoff is over. */
static void read_alone(struct core_entry *e, struct ms_now now)
{
    e->solo = true;
    e->poll_ms = now.boot_ms < e->facts.next_try_ms ? e->facts.next_try_ms : now.boot_ms;
}

static void member_failed(struct core *core, struct core_entry *e, enum ms_err err,
                          const struct ms_diag *diag, uint32_t random, struct ms_now now)
{
    entry_fail(&e->facts, err, diag, 0, 1000 * core->options.policy.times.backoff_rpc, random, now);
    publish(core, e, false);
}

static void member_confirmed(struct core *core, struct core_entry *e,
                             const struct source_block *block, int64_t head_time_s,
                             struct ms_now now)
{
    entry_confirm(&e->facts, block->time_s, head_time_s, now);
    note_time(core, e);
    if (block->time_s >= e->block.time_s) {
        e->block = *block;
        remember_final(core, e, block);
    }
    if (e->id.level >= SPEC_LEVEL_L3) { /* code and state are proven: as good as a full read */
        e->proven_ms = now.boot_ms;
        e->full_ms = now.boot_ms + CORE_FULL_MIN_MS + random_ms(core, CORE_FULL_SPREAD_MS);
    }
    if (now.boot_ms - e->touched_ms >= core->options.policy.poll_s * 1000)
        store_touch(core, e, now);
    publish(core, e, true);
}

static void member_done(struct core *core, const struct poll *p, size_t i, struct ms_now now)
{
    struct core_entry *e = p->members[i].entry;
    struct source_block block = source_poll_final(p->source);
    struct ms_diag diag = {0};
    enum ms_err err = MS_OK;
    uint64_t head = 0;
    bool has_head = source_poll_head(p->source, &head);

    switch (source_poll_verdict(p->source, i, &err, &diag)) {
    case SOURCE_POLL_CHANGED:
        e->told_changed = true;
        read_alone(e, now);
        return;
    case SOURCE_POLL_UNKNOWN:
        read_alone(e, now);
        return;
    case SOURCE_POLL_UNPROVEN:
        member_failed(core, e, err, &diag, core->env.random(core->env.arg), now);
        return;
    case SOURCE_POLL_STANDS:
        return;
    case SOURCE_POLL_SAME:
        if (entry_may_confirm(&e->facts, has_head, head, now))
            member_confirmed(core, e, &block, source_poll_head_time(p->source), now);
        else
            read_alone(e, now);
        return;
    }
}

/* No block was agreed on: that holds for every member, with one backoff for all. A contradiction is
 * for each to look at, because its evidence is kept with it. */
static void poll_failed(struct core *core, const struct poll *p, struct ms_now now)
{
    uint32_t random = core->env.random(core->env.arg);
    struct ms_diag diag = {0};
    enum ms_err err = source_error(p->source, &diag);

    bool told = false;

    for (size_t i = 0; i < p->n; i++) {
        struct core_entry *e = p->members[i].entry;
        if (e == NULL)
            continue;
        if (err == MS_ERR_DISSENT || err == MS_ERR_CONFLICT) {
            read_alone(e, now);
            continue;
        }
        if (!told) /* once for all of them */
            note_event(core, 5, "poll-failed", e, ms_diag_text(&diag, err));
        told = true;
        member_failed(core, e, err, &diag, random, now);
        e->poll_ms = e->facts.next_try_ms;
    }
}

static void poll_done(struct core *core, struct poll *p)
{
    struct ms_now now = now_of(core);
    struct chain_hints *hints = hints_of(core, p->chain);
    struct source_poll_hints found = source_poll_hints(p->source);
    int64_t next_ms = next_poll_ms(core);

    if (found.no_multicall && !hints->hints.no_multicall)
        hints->until_ms = now.boot_ms + CORE_NO_MULTICALL_MS;
    hints->hints = found;
    for (size_t i = 0; i < p->n; i++) {
        struct member *m = &p->members[i];
        if (m->entry == NULL)
            continue;
        wake(core, m->entry)->poll = NULL;
        if (m->entry->flight != NULL || m->entry->good != m->good) {
            m->entry = NULL; /* an attempt of its own knows better */
            continue;
        }
        m->entry->poll_ms = next_ms;
    }
    if (source_poll_no_block(p->source))
        poll_failed(core, p, now);
    else
        for (size_t i = 0; i < p->n; i++)
            if (p->members[i].entry != NULL)
                member_done(core, p, i, now);
    poll_free(core, p);
}

static void poll_advance(struct core *core, struct poll *p, enum source_state state)
{
    struct source_request request;

    if (state != SOURCE_WANTS) {
        tell_conduct(core, p->source, &p->policy);
        poll_done(core, p);
        return;
    }
    while (source_take_request(p->source, &request)) {
        if (request.kind == SOURCE_REQUEST_WAIT) {
            p->wait_id = request.id;
            p->wait_until_ms = now_of(core).boot_ms + request.wait_ms;
            continue;
        }
        p->out++;
        core->env.fetch(core->env.arg, poll_tag(p, request.id), &request);
    }
}

static void poll_response(struct core *core, uint64_t tag, const struct source_response *response)
{
    struct poll *p = core->polls;

    while (p != NULL && p->serial != (tag & ~CORE_POLL_TAG) >> 24)
        p = p->next;
    if (p == NULL)
        return;
    if (response->id > SOURCE_REQUESTS_MAX) {
        p->wait_id = 0;
    } else {
        p->out--;
        if (response->err != MS_OK)
            METRIC_INC(upstream_failed);
    }
    poll_advance(core, p, source_step(p->source, response, now_of(core)));
}

void core_response(struct core *core, uint64_t tag, const struct source_response *response)
{
    if (is_poll_tag(tag))
        poll_response(core, tag, response);
    else
        flight_response(core, tag, response);
}

static bool wanted(const struct core_entry *e, struct ms_now now)
{
    return e->watchers != NULL || now.boot_ms - last_used(e) < CORE_IDLE_MS;
}

/* A checkpoint is one block for ever, and l0 has no finalized state: nothing to share. */
static bool may_join(const struct core *core, const struct core_entry *e, struct ms_now now)
{
    const struct source_policy *policy = &core->options.policy;

    if (!is_contract(e) || e->good == NULL || e->good->result->probe.n_calls == 0 ||
        e->id.level < SPEC_LEVEL_L1 || e->id.level > SPEC_LEVEL_L3 || e->flight != NULL ||
        e->poll != NULL || e->loading || e->waiters != NULL || e->solo ||
        now.boot_ms >= e->full_ms || now.boot_ms < e->apart_until_ms || !wanted(e, now))
        return false;
    if (policy->has_checkpoint && policy->checkpoint_chain == e->spec->chain &&
        e->id.level >= SPEC_LEVEL_L3)
        return false;
    return e->facts.good && !e->facts.hold && !e->facts.conflict && !e->facts.dissent &&
           entry_view(&e->facts, now).serve;
}

static bool same_group(const struct core_entry *a, const struct core_entry *b)
{
    return a->id.level == b->id.level && a->spec->chain == b->spec->chain &&
           a->good->result->probe.known_code == b->good->result->probe.known_code;
}

static bool is_polled(const struct core *core, const struct core_entry *e)
{
    for (const struct poll *p = core->polls; p != NULL; p = p->next)
        if (!p->full && p->chain == e->spec->chain && p->level == e->id.level &&
            p->known_code == e->good->result->probe.known_code)
            return true;
    return false;
}

struct gathering {
    struct core_entry *like;
    struct core_entry **entries;
    size_t n, n_calls, max_calls;
    bool full;
};

/* Those that are due first, so that none has to wait when there are more than one poll takes. */
static void gather(struct core *core, struct gathering *g, bool due, struct ms_now now)
{
    for (size_t b = 0; b < CORE_BUCKETS; b++) {
        for (struct core_entry *e = core->buckets[b]; e != NULL; e = e->next) {
            if ((now.boot_ms >= e->poll_ms) != due || !may_join(core, e, now) ||
                !same_group(g->like, e))
                continue;
            size_t calls = e->good->result->probe.n_calls;
            if (g->n_calls + calls > g->max_calls) {
                g->full = true;
                continue;
            }
            g->n_calls += calls;
            g->entries[g->n++] = e;
        }
    }
}

static void fill_items(const struct core *core, const struct gathering *g,
                       struct source_poll_item *items, struct ms_now now)
{
    int64_t rest_ms = core->options.policy.poll_s * 900; /* in time, although polls have jitter */

    for (size_t i = 0; i < g->n; i++) {
        const struct core_entry *e = g->entries[i];
        items[i] = (struct source_poll_item){.probe = &e->good->result->probe,
                                             .has_final = e->has_final,
                                             .final_number = e->final_number,
                                             .final_hash = e->final_hash,
                                             .prove = e->id.level >= SPEC_LEVEL_L3 &&
                                                      now.boot_ms - e->proven_ms >= rest_ms};
    }
}

static struct poll *new_poll(struct core *core, const struct gathering *g, struct ms_now now)
{
    struct poll *p = calloc(1, sizeof(*p));
    struct member *members = calloc(g->n, sizeof(*members));
    struct source_poll_item *items = calloc(g->n, sizeof(*items));
    struct chain_hints *hints = hints_of(core, g->like->spec->chain);
    enum ms_err err = MS_ERR_MEMORY;

    if (p != NULL && members != NULL && items != NULL) {
        fill_items(core, g, items, now);
        p->policy = core->options.policy;
        core->env.mark_providers(core->env.arg, &p->policy);
        p->policy.level = g->like->id.level;
        err = source_poll_new(g->like->spec->chain, &p->policy, items, g->n, &hints->hints, now,
                              &p->source, NULL);
    }
    free(items);
    if (err != MS_OK) {
        free(members);
        free(p);
        return NULL;
    }
    for (size_t i = 0; i < g->n; i++) {
        members[i].entry = g->entries[i];
        members[i].good = shared_result_ref(g->entries[i]->good);
        g->entries[i]->poll = p;
    }
    p->serial = ++core->last_poll;
    p->chain = g->like->spec->chain;
    p->level = g->like->id.level;
    p->known_code = g->like->good->result->probe.known_code;
    p->full = g->full;
    p->members = members;
    p->n = g->n;
    p->next = core->polls;
    core->polls = p;
    return p;
}

/* The entry is due: ask for all that are like it. false: it is to be read by itself, because it is
 * alone or because a poll cannot be begun; its own attempt says why. */
static bool start_poll(struct core *core, struct core_entry *e, struct ms_now now)
{
    struct gathering g = {.like = e, .max_calls = SOURCE_POLL_CALLS_MAX};
    struct chain_hints *hints = hints_of(core, e->spec->chain);

    if (!may_join(core, e, now))
        return false;
    if (is_polled(core, e))
        return true; /* it is of the next one */
    if (now.boot_ms >= hints->until_ms)
        hints->hints.no_multicall = false;
    if (hints->hints.no_multicall) /* halved with the calls of a message until all is answered */
        g.max_calls = SOURCE_POLL_SINGLES_MAX * hints->hints.chunk_calls / SOURCE_POLL_CHUNK_MAX;
    g.entries = calloc(core->lru.n, sizeof(*g.entries));
    if (g.entries == NULL)
        return false;
    gather(core, &g, true, now);
    gather(core, &g, false, now);
    struct poll *p = g.n < 2 ? NULL : new_poll(core, &g, now);
    free(g.entries);
    if (p == NULL)
        return false;
    METRIC_INC(polls);
    poll_advance(core, p, source_step(p->source, NULL, now));
    return true;
}

/* What the entry knows now is not on disk; it is read once more, to be stored. */
static void note_unstored(struct core *core, struct core_entry *e)
{
    e->unstored = true;
    e->solo = true;
    e->store_again_ms =
        now_of(core).boot_ms + CORE_STORE_AGAIN_MS + random_ms(core, CORE_STORE_AGAIN_MS);
}

/* Nobody waits for it. When the chain was caught contradicting itself, that must not be forgotten.
 */
static void aside_stored(struct core *core, const struct core_change *change, enum ms_err err)
{
    struct core_entry *e = err == MS_OK || !change->entry.conflict ? NULL : find(core, &change->id);

    if (e != NULL && e->facts.conflict)
        note_unstored(core, e);
}

/* The answer may not rest on it: it is required to be stored, or the disk knows better. */
static void refuse_unstored(struct core *core, struct core_entry *e,
                            const struct core_change *change, enum ms_err err,
                            const struct ms_diag *diag)
{
    struct ms_diag copy = {0};

    if (e->flight->verdict == ENTRY_CONTRADICTS) {
        e->facts = change->entry; /* to serve nothing needs no evidence */
        note_unstored(core, e);
    }
    (void)ms_diag_set(&copy, MS_ERR_STORE, "the evidence could not be stored: %s",
                      ms_diag_text(diag, err));
    flight_failed(core, e, MS_ERR_STORE, &copy, 0);
}

static void set_stored(struct core *core, struct core_entry *e, const struct core_change *change)
{
    struct ms_sha256 previous = e->previous_set;
    bool had_previous = e->has_previous_set, same = e->flight->verdict == ENTRY_SAME;

    e->dissent_kept = false;
    e->evidence = change->evidence;
    e->has_evidence = true;
    take_result(core, e);
    note_time(core, e);
    if (same) { /* only now it is stored, but it is no news */
        e->previous_set = previous;
        e->has_previous_set = had_previous;
        return;
    }
    METRIC_INC(changes);
    note_event(core, 6, "changed", e, e->spec->canonical);
}

void core_stored(struct core *core, struct core_change *change, enum ms_err err,
                 const struct ms_diag *diag)
{
    struct core_entry *e = change->owner;
    enum ms_err outcome = MS_OK;

    if (change->change == CORE_CHANGE_TOUCH || change->change == CORE_CHANGE_DISSENT) {
        aside_stored(core, change, err); /* its owner may be gone */
        change_free(change);
        return;
    }
    if (e->flight == NULL || e->flight->result == NULL) {
        change_free(change);
        return;
    }
    (void)wake(core, e);
    if (err != MS_OK && (core->options.audit_require || err == MS_ERR_ROLLBACK)) {
        refuse_unstored(core, e, change, err, diag);
        change_free(change);
        return;
    }
    e->unstored = false;
    bool other_code = e->facts.good && e->facts.has_identity && change->entry.has_identity &&
                      !ms_sha256_eq(&e->facts.identity, &change->entry.identity);
    e->facts = change->entry;
    if (err != MS_OK)
        source_result_warn(e->flight->result, "audit", "the evidence could not be stored");
    if (e->flight->verdict == ENTRY_CHANGED || e->flight->verdict == ENTRY_SAME) {
        set_stored(core, e, change);
        if (other_code) /* by an operator's word, or by code-change= */
            note_event(core, 4, "code-accepted", e, e->spec->canonical);
    } else if (e->flight->verdict == ENTRY_HELD) {
        outcome = MS_ERR_CODE_IDENTITY;
        note_event(core, 2, "hold", e, "the code behind the contract changed");
    } else {
        METRIC_INC(conflicts);
        outcome = MS_ERR_CONFLICT;
        note_event(core, 2, "conflict", e, e->spec->canonical);
    }
    change_free(change);
    flight_free(core, e);
    read_in_full(core, e);
    if (err != MS_OK)
        note_unstored(core, e);
    publish(core, e, e->good != NULL);
    release_waiters(e, outcome, NULL);
}

/* ---- questions ---- */

/* How many of an entry's waiters are this client's. */
static size_t count_waiters(const struct core_entry *e, uint64_t client)
{
    size_t n = 0;
    for (const struct core_request *r = e->waiters; r != NULL; r = r->next)
        n += r->client == client;
    return n;
}

/* The client with the most waiters, of the first CORE_RIVALS_MAX there are: among more nobody has
 * so many that he stands in the others' way. */
static uint64_t most_waiting(const struct core_entry *e, size_t *ret_n)
{
    struct {
        uint64_t client;
        size_t n;
    } rivals[CORE_RIVALS_MAX];
    size_t n = 0, most = 0;

    for (const struct core_request *r = e->waiters; r != NULL; r = r->next) {
        size_t i = 0;
        while (i < n && rivals[i].client != r->client)
            i++;
        if (i == CORE_RIVALS_MAX)
            continue;
        if (i == n) {
            rivals[n].client = r->client;
            rivals[n++].n = 0;
        }
        rivals[i].n++;
        if (rivals[i].n > rivals[most].n)
            most = i;
    }
    *ret_n = rivals[most].n;
    return rivals[most].client;
}

/* The list is full: the newest request of the client that has the most makes room, when it has
 * more than this one would have. */
static bool displace(struct core_entry *e, const struct core_request *r)
{
    static const struct ms_diag why = {.text = "another user wants to wait for this, too"};
    size_t mine = count_waiters(e, r->client), most = 0;

    if (mine >= e->n_waiters / 2) /* who could have more? */
        return false;
    uint64_t client = most_waiting(e, &most);
    if (most <= mine + 1)
        return false;
    for (struct core_request **at = &e->waiters; *at != NULL; at = &(*at)->next) {
        struct core_request *other = *at;
        if (other->client != client)
            continue;
        *at = other->next;
        e->n_waiters--;
        finish_request(other, MS_ERR_QUOTA, &why, 0);
        return true;
    }
    return false;
}

/* `anew`: what is under way was begun before the question and is no answer to it. */
static void enqueue(struct core *core, struct core_entry *e, struct core_request *r,
                    int64_t wait_ms, bool anew)
{
    if (e->n_waiters >= CORE_WAITERS_MAX && !displace(e, r)) {
        METRIC_INC(overloads);
        finish_request(r, MS_ERR_OVERLOAD, NULL, 0);
        return;
    }
    share_flight(core, e, r->client);
    if (r->wait_ms > 0 && r->wait_ms < wait_ms)
        wait_ms = r->wait_ms;
    r->deadline_ms = now_of(core).boot_ms + wait_ms;
    r->flight = anew ? e->n_flights + 1 : 0;
    r->next = e->waiters;
    e->waiters = r;
    e->n_waiters++;
}

static bool too_old(const struct core_entry *e, const struct core_request *r, struct ms_now now)
{
    return r->max_age_s > 0 && (now.boot_ms - e->facts.checked_boot_ms - 1) / 1000 >= r->max_age_s;
}

static bool is_asked(const struct core_entry *e, const struct source_candidate *candidate)
{
    for (size_t i = 0; i < e->n_asked; i++)
        if (source_candidate_cmp(&e->asked[i], candidate) == 0)
            return true;
    return false;
}

/* Whether somebody asks about a value that no answer knows of; it will be part of the next attempt,
 * and so will be the others of the same question: one that is known and not approved would be left
 * out there, and then it is the unknown one. */
static bool note_candidates(struct core_entry *e, const struct core_request *r)
{
    bool news = !knows_all(e, r);

    for (size_t i = 0; news && i < r->n_candidates; i++) {
        if (is_asked(e, &r->candidates[i]))
            continue;
        if (e->asked == NULL)
            e->asked = calloc(CORE_ASKED_MAX, sizeof(*e->asked));
        if (e->asked != NULL && e->n_asked < CORE_ASKED_MAX)
            e->asked[e->n_asked++] = r->candidates[i];
    }
    return news;
}

static void ask_entry(struct core *core, struct core_entry *e, struct core_request *r)
{
    struct ms_now now = now_of(core);
    struct entry_view view = entry_view(&e->facts, now);

    e->used_ms = now.boot_ms;
    bool news = note_candidates(e, r);
    if (e->loading) {
        enqueue(core, e, r, r->force ? CORE_REFRESH_WAIT_MS : ENTRY_FIRST_WAIT_MS,
                r->force || news);
        return;
    }
    bool stale = view.serve && (news || too_old(e, r, now)) && now.boot_ms >= e->facts.next_try_ms;
    if (news && stale && !r->force && now.boot_ms - e->flight_ms < CORE_CANDIDATE_REST_MS) {
        enqueue(core, e, r, ENTRY_FIRST_WAIT_MS, true); /* the tick begins the attempt */
        return;
    }
    if (r->force || stale || (view.wait_first && view.refresh) ||
        (!view.serve && e->flight != NULL)) {
        struct ms_diag diag = {0};
        enum ms_err err = e->flight == NULL ? charge(core, e, r->client, &diag) : MS_OK;
        if (err != MS_OK) {
            finish_request(r, err, &diag, 0);
            return;
        }
        enqueue(core, e, r,
                r->force       ? CORE_REFRESH_WAIT_MS
                : stale        ? ENTRY_FIRST_WAIT_MS
                : view.wait_ms ? view.wait_ms
                               : ENTRY_FIRST_WAIT_MS,
                r->force || news);
        start_flight(core, e);
        return;
    }
    publish(core, e, false); /* time has moved on since the last publication */
    finish_request(r, MS_OK, NULL, e->generation);
    if (view.refresh)
        start_flight(core, e);
}

/* `sha256:` and the inline list it names are one entry; who comes with the bytes brings the source.
 */
static void take_bytes(struct core_entry *e, struct spec **spec)
{
    if (*spec == NULL || (*spec)->kind != SPEC_INLINE || e->spec->kind != SPEC_SHA256 ||
        e->facts.good || e->flight != NULL)
        return;
    spec_release(e->spec);
    e->spec = *spec;
    *spec = NULL;
    bundle_identity_only(e->spec);
    e->facts.next_try_ms = 0;
    e->facts.negative_until_ms = 0;
    e->next_change_ms = 0; /* what is published says that nobody knows */
}

void core_ask(struct core *core, struct core_request *r)
{
    if (core->draining) {
        finish_request(r, MS_ERR_SHUTDOWN, NULL, 0);
        return;
    }
    struct core_entry *e = find(core, &r->id);
    if (e != NULL && r->spec != NULL)
        note_host(e, r->spec->host);
    if (e == NULL) {
        struct ms_diag diag = {0};
        enum ms_err err = r->spec == NULL ? MS_ERR_OVERLOAD
                                          : add_entry(core, &r->id, r->client, &r->spec, &e, &diag);
        if (err != MS_OK) {
            if (err == MS_ERR_OVERLOAD)
                METRIC_INC(overloads);
            finish_request(r, err, &diag, 0);
            return;
        }
    }
    take_bytes(e, &r->spec);
    ask_entry(core, e, r);
}

/* What is published is what would be published now. Rendering it for each who begins to watch, and
 * telling all the others, is work that one client could make without end. */
static bool is_current(const struct core_entry *e, struct ms_now now)
{
    return e->answer != NULL && now.boot_ms < e->next_change_ms &&
           (!e->answer->serve || now.boot_ms < e->answer->serve_until_ms);
}

enum ms_err core_watch(struct core *core, struct core_watcher *w, struct spec *spec,
                       struct ms_diag *diag)
{
    struct core_entry *e = find(core, &w->id);
    enum ms_err err = MS_OK;

    if (e == NULL)
        err = add_entry(core, &w->id, w->client, &spec, &e, diag);
    else
        note_host(e, spec->host);
    if (err == MS_OK)
        take_bytes(e, &spec);
    spec_release(spec);
    if (err != MS_OK)
        return err;
    w->sent = false;
    w->next = e->watchers;
    e->watchers = w;
    e->used_ms = now_of(core).boot_ms;
    if (e->loading)
        return MS_OK;
    struct entry_view view = entry_view(&e->facts, now_of(core));
    if (is_current(e, now_of(core))) {
        struct ms_sha256 shown = shown_of(e->answer);
        tell_watcher(w, e->answer, &shown);
    } else if (view.serve || !view.refresh) {
        publish(core, e, false);
    }
    if (view.refresh)
        start_flight(core, e);
    return MS_OK;
}

void core_unwatch(struct core *core, struct core_watcher *w)
{
    struct core_entry *e = find(core, &w->id);
    if (e == NULL)
        return;
    for (struct core_watcher **at = &e->watchers; *at != NULL; at = &(*at)->next) {
        if (*at == w) {
            *at = w->next;
            return;
        }
    }
}

void core_touch(struct core *core, const struct answer_id *id)
{
    struct core_entry *e = find(core, id);
    if (e == NULL || e->loading || core->draining)
        return;
    e->used_ms = now_of(core).boot_ms;
    if (entry_view(&e->facts, now_of(core)).refresh)
        start_flight(core, e);
}

/* There may be a floor on that disk: nothing is resolved without it. The next question after a
 * while tries again. */
static void load_failed(struct core *core, struct core_entry *e, const struct core_loaded *loaded)
{
    struct ms_diag diag = {0};

    (void)ms_diag_set(&diag, MS_ERR_STORE, "the stored entry could not be read: %s",
                      ms_diag_text(&loaded->diag, loaded->err));
    source_result_free(loaded->result);
    e->load_again = true;
    entry_fail(&e->facts, MS_ERR_STORE, &diag, 0, 1000 * core->options.policy.times.backoff_rpc,
               core->env.random(core->env.arg), now_of(core));
    publish(core, e, false);
    for (struct core_request *r = e->waiters; r != NULL; r = r->next)
        r->flight = 0; /* no attempt is begun for them */
    release_waiters(e, MS_ERR_STORE, &diag);
}

void core_loaded_entry(struct core *core, struct core_loaded *loaded)
{
    struct core_entry *e = find(core, &loaded->id);
    bool force = false;

    if (e == NULL || !e->loading) {
        source_result_free(loaded->result);
        return;
    }
    e->loading = false;
    if (core->stopped) {
        uncharge(core, e);
        source_result_free(loaded->result);
        return;
    }
    if (loaded->err != MS_OK)
        note_event(core, 3, "stored-entry-refused", e, ms_diag_text(&loaded->diag, loaded->err));
    if (core->options.audit_require && !loaded->found &&
        (loaded->err == MS_ERR_STORE || loaded->err == MS_ERR_MEMORY)) {
        load_failed(core, e, loaded);
        return;
    }
    /* without what an earlier try to read it said */
    e->facts = loaded->found ? loaded->entry : (struct entry){0};
    rule(core, e);
    if (loaded->found) {
        e->good = loaded->result == NULL ? NULL : shared_result_new(loaded->result);
        e->facts.good = e->good != NULL;
        e->set_hash = loaded->set_hash;
        e->evidence = loaded->evidence;
        e->has_evidence = e->good != NULL;
        if (e->good != NULL) {
            const struct source_result *good = e->good->result;
            e->facts.overlay = good->overlay;
            e->facts.overlay_head = good->head_number;
            e->facts.has_identity = good->has_identity;
            e->facts.identity = good->identity;
            e->block = good->block;
            recall_hosts(e, good->carry);
            remember_final(core, e, &good->block);
        }
        /* its revocations and roots went with the evidence: only a higher set, or an operator */
        if (e->good == NULL && e->spec->kind == SPEC_SIGNERS && e->facts.has_sequence) {
            e->facts.conflict = true;
            e->facts.conflict_err = MS_ERR_EVIDENCE;
        }
        schedule_poll(core, e);
        if (e->full_ms != ENTRY_NEVER) /* many may be loaded at once */
            e->full_ms = now_of(core).boot_ms + random_ms(core, CORE_FULL_MIN_MS);
    }
    struct entry_view view = entry_view(&e->facts, now_of(core));
    for (struct core_request *r = e->waiters; r != NULL; r = r->next) {
        int64_t enough_ms = now_of(core).boot_ms + view.wait_ms;
        /* not where a definite no or a backoff is known */
        bool news = note_candidates(e, r) && (view.serve || view.refresh);
        if (!r->force && !news)
            r->flight = 0;
        force = force || r->force || r->max_age_s > 0 || news;
        if (view.serve && view.wait_first && !r->force && enough_ms < r->deadline_ms)
            r->deadline_ms =
                enough_ms; /* the old set is there, no need to wait as long as without */
    }
    if (view.serve && !view.wait_first && !force) {
        publish(core, e, false);
        release_waiters(e, MS_OK, NULL);
    } else if (!view.refresh && !force) {
        publish(core, e, false);
        release_waiters(e, MS_OK, NULL);
        uncharge(core, e);
        return;
    }
    if (view.refresh || force)
        start_flight(core, e);
    uncharge(core, e);
}

/* ---- time ---- */

static void expire_waiters(struct core *core, struct core_entry *e, int64_t now_ms)
{
    struct core_request **at = &e->waiters;
    bool published = !e->facts.good; /* nothing to take */

    while (*at != NULL) {
        struct core_request *r = *at;
        if (now_ms < r->deadline_ms) {
            at = &r->next;
            continue;
        }
        *at = r->next;
        e->n_waiters--;
        if (!published)
            publish(core, e, false); /* worth less than when it was published, maybe nothing */
        published = true;
        /* a servable old set is still there for the taking; else this is the error */
        bool old_set = e->answer != NULL && e->answer->serve && !r->force;
        finish_request(r, old_set ? MS_OK : MS_ERR_TIMEOUT, NULL, e->generation);
    }
}

/* How long before the end of a life of so many ms it is confirmed. */
static int64_t lead_of(int64_t life_ms)
{
    int64_t lead_ms = life_ms / 5;

    /* answers tell the end in whole seconds, up to two too early: it has to move before that */
    if (lead_ms < CORE_LEAD_MIN_MS)
        lead_ms = life_ms / 2 < CORE_LEAD_MIN_MS ? life_ms / 2 : CORE_LEAD_MIN_MS;
    return lead_ms;
}

/* A set that ends with its lifetime (must-revalidate) is confirmed shortly before, so that watchers
 * do not see it withdrawn and approved again each time. */
static bool ends_soon(const struct core_entry *e, const struct entry_view *view, struct ms_now now)
{
    int64_t fresh_ms = e->facts.life.fresh_s * 1000, lead_ms = lead_of(fresh_ms);

    return view->serve && fresh_ms > 0 && view->serve_until_ms - now.boot_ms <= lead_ms &&
           now.boot_ms - e->facts.checked_boot_ms >= fresh_ms - lead_ms &&
           now.boot_ms >= e->facts.next_try_ms;
}

/* The same for a watcher whose specifier takes nothing older than max-age=. */
static bool grows_too_old(const struct core_entry *e, struct ms_now now)
{
    int64_t age_ms = now.boot_ms - e->facts.checked_boot_ms, max_ms = 0;

    for (const struct core_watcher *w = e->watchers; w != NULL; w = w->next)
        if (w->max_age_s > 0 && (max_ms == 0 || w->max_age_s * 1000 < max_ms))
            max_ms = w->max_age_s * 1000;
    return max_ms != 0 && e->facts.good && age_ms >= max_ms - lead_of(max_ms) &&
           age_ms >= CORE_AGED_MIN_MS && now.boot_ms >= e->facts.next_try_ms;
}

/* Nobody asks, but somebody watches. What may not be kept at all (no-cache) is not asked for all
 * the time. */
static bool watchers_want(const struct core_entry *e, struct ms_now now)
{
    struct entry_view view = entry_view(&e->facts, now);
    bool rested = now.boot_ms - e->facts.checked_boot_ms >= CORE_WATCH_MIN_MS;
    bool lapsed = !view.serve && e->facts.life.fresh_s > 0;

    return ends_soon(e, &view, now) || grows_too_old(e, now) ||
           (view.refresh && (!e->facts.good || rested || lapsed));
}

/* The source wanted to be told when some time has passed: an answer like any other, so that a
 * replay sees it too. */
static void end_wait(struct core *core, struct core_entry *e, struct ms_now now)
{
    struct source_response over = {.err = MS_ERR_TIMEOUT, .time_s = now.wall_s};

    if (e->flight == NULL || e->flight->wait_id == 0 || now.boot_ms < e->flight->wait_until_ms)
        return;
    over.id = e->flight->wait_id;
    core_response(core, tag_of(e, over.id), &over);
}

/* As end_wait, of polls. */
static void end_poll_waits(struct core *core, struct ms_now now)
{
    struct source_response over = {.err = MS_ERR_TIMEOUT, .time_s = now.wall_s};

    for (struct poll *p = core->polls, *next; p != NULL; p = next) {
        next = p->next; /* it may end, and nothing else does */
        if (p->wait_id == 0 || now.boot_ms < p->wait_until_ms)
            continue;
        over.id = p->wait_id;
        core_response(core, poll_tag(p, over.id), &over);
    }
}

static void tick_entry(struct core *core, struct core_entry *e, struct ms_now now)
{
    end_wait(core, e, now);
    if (e->waiters != NULL)
        expire_waiters(core, e, now.boot_ms);
    if (e->loading)
        return;
    if (now.boot_ms >= e->next_change_ms)
        publish(core, e, false);
    if (e->flight != NULL || core->draining)
        return;
    if (e->waiters != NULL) {
        if (e->n_asked == 0 || now.boot_ms - e->flight_ms >= CORE_CANDIDATE_REST_MS)
            start_flight(core, e);
        return;
    }
    bool due = now.boot_ms >= e->poll_ms || (!e->solo && now.boot_ms >= e->full_ms);
    if (due && e->poll == NULL && wanted(e, now) && !start_poll(core, e, now) &&
        core->n_flying < CORE_READS_MAX)
        start_flight(core, e);
    if (e->flight == NULL && e->watchers != NULL && watchers_want(e, now))
        start_flight(core, e);
    if (e->unstored && !e->facts.conflict && now.boot_ms >= e->store_again_ms &&
        now.boot_ms >= e->facts.next_try_ms && core->n_flying < CORE_READS_MAX)
        start_flight(core, e);
}

/* When time alone may have something to do with it; 0: at every tick. */
static int64_t due_ms(const struct core_entry *e)
{
    if (!idle(e) || e->unstored)
        return 0;
    int64_t due = e->next_change_ms < e->poll_ms ? e->next_change_ms : e->poll_ms;
    return !e->solo && e->full_ms < due ? e->full_ms : due;
}

/* Ends that are told by the wall clock are moments of the boot clock in what is published. When the
 * wall clock is set they are others. */
static bool clock_was_set(struct core *core, struct ms_now now)
{
    int64_t offset_ms = now.wall_s * 1000 - now.boot_ms;
    int64_t step_ms = offset_ms - core->offset_ms;

    if (step_ms < CORE_CLOCK_STEP_MS && -step_ms < CORE_CLOCK_STEP_MS)
        return false;
    core->offset_ms = offset_ms;
    return true;
}

void core_tick(struct core *core)
{
    struct ms_now now = now_of(core);
    bool set = clock_was_set(core, now);

    end_poll_waits(core, now);
    for (size_t i = 0; i < core->lru.n; i++) { /* nothing in a tick adds or removes entries */
        if (!set && now.boot_ms < core->lru.slots[i].due_ms)
            continue;
        struct core_entry *e = core->lru.slots[i].item;
        if (set && e->answer != NULL)
            publish(core, e, false);
        tick_entry(core, e, now);
        core->lru.slots[i].due_ms = due_ms(e);
    }
}

/* ---- life ---- */

enum ms_err core_new(const struct core_env *env, const struct core_options *options,
                     struct table *table, struct core **ret_core)
{
    struct core *core = calloc(1, sizeof(*core));
    if (core == NULL)
        return MS_ERR_MEMORY;
    core->env = *env;
    core->options = *options;
    core->table = table;
    (void)clock_was_set(core, now_of(core));
    *ret_core = core;
    return MS_OK;
}

/* What failed may succeed with these options: the next who asks need not wait for the backoff to
 * end. */
static void forget_backoff(struct core *core, struct core_entry *e)
{
    if (e->loading || e->flight != NULL || e->facts.fails == 0)
        return;
    e->facts.fails = 0;
    e->facts.next_try_ms = 0;
    publish(core, e, false);
}

/* Attempts under way were planned for the old endpoints, by index: they start again. */
void core_set_options(struct core *core, const struct core_options *options)
{
    int64_t floor_s = core->options.rules.time_floor_s;
    core->options = *options;
    if (floor_s > core->options.rules.time_floor_s)
        core->options.rules.time_floor_s = floor_s;
    memset(core->hints, 0, sizeof(core->hints));
    while (core->polls != NULL)
        poll_free(core, core->polls);
    for (size_t b = 0; b < CORE_BUCKETS; b++) {
        for (struct core_entry *e = core->buckets[b]; e != NULL; e = e->next) {
            if (e->answer != NULL)
                publish(core, e, false); /* other rules may be worth another answer */
            forget_backoff(core, wake(core, e));
            if (e->flight == NULL || e->flight->result != NULL)
                continue;
            flight_free(core, e);
            start_flight(core, e);
        }
    }
}

bool core_drain(struct core *core)
{
    bool quiet = true;

    core->draining = true;
    for (size_t b = 0; b < CORE_BUCKETS; b++)
        for (struct core_entry *e = core->buckets[b]; e != NULL; e = e->next)
            quiet = quiet && e->waiters == NULL;
    return quiet;
}

void core_abandon(struct core *core)
{
    core->draining = true;
    for (size_t b = 0; b < CORE_BUCKETS; b++)
        for (struct core_entry *e = core->buckets[b]; e != NULL; e = e->next)
            release_waiters(e, MS_ERR_SHUTDOWN, NULL);
}

void core_stop(struct core *core)
{
    if (core == NULL)
        return;
    core->draining = true;
    core->stopped = true;
    while (core->polls != NULL)
        poll_free(core, core->polls);
    for (size_t b = 0; b < CORE_BUCKETS; b++) {
        for (struct core_entry *e = core->buckets[b]; e != NULL; e = e->next) {
            if (e->flight != NULL && e->flight->result == NULL)
                flight_free(core, e);
            release_waiters(e, MS_ERR_SHUTDOWN, NULL);
        }
    }
}

void core_free(struct core *core)
{
    if (core == NULL)
        return;
    core_stop(core);
    for (size_t b = 0; b < CORE_BUCKETS; b++) {
        while (core->buckets[b] != NULL) {
            struct core_entry *e = core->buckets[b];
            core->buckets[b] = e->next;
            entry_release(core, e);
        }
    }
    lru_done(&core->lru);
    free(core);
}

void core_count(const struct core *core, size_t counts[ENTRY_CLOCK_SUSPECT + 1])
{
    for (size_t s = 0; s <= ENTRY_CLOCK_SUSPECT; s++)
        counts[s] = 0;
    for (size_t b = 0; b < CORE_BUCKETS; b++)
        for (const struct core_entry *e = core->buckets[b]; e != NULL; e = e->next)
            counts[e->answer == NULL ? ENTRY_EMPTY : e->answer->state]++;
}

json_t *core_entries_json(const struct core *core, size_t max)
{
    json_t *list = json_array();

    for (size_t b = 0; list != NULL && b < CORE_BUCKETS; b++) {
        for (const struct core_entry *e = core->buckets[b]; e != NULL; e = e->next) {
            char key[2 * MS_SHA256_BYTES + 1];
            if (json_array_size(list) >= max)
                return list;
            ms_sha256_hex(&e->id.key, key);
            (void)json_array_append_new(
                list,
                json_pack(
                    "{s:s, s:s, s:s, s:s, s:I, s:b}", "specifier", e->spec->canonical, "key", key,
                    "kind", spec_kind_name(e->spec->kind), "state",
                    e->answer == NULL ? "empty" : entry_state_name(e->answer->state), "fetched_at",
                    e->facts.good ? (json_int_t)entry_wall_s(e->facts.checked_boot_ms, now_of(core))
                                  : (json_int_t)0,
                    "refreshing", (int)(e->flight != NULL)));
        }
    }
    return list;
}

/* ---- for what looks into the past ---- */

static bool good_of(struct core_entry *e, struct core_good *ret_good)
{
    bool has_past = is_contract(e) || e->spec->kind == SPEC_SIGNERS;

    if (!has_past || e->good == NULL || !e->has_evidence || e->unstored || e->facts.conflict ||
        e->facts.hold)
        return false;
    *ret_good = (struct core_good){.id = e->id,
                                   .spec = e->spec,
                                   .result = e->good->result,
                                   .evidence = e->evidence,
                                   .mark = &e->mark};
    return true;
}

bool core_good(struct core *core, const struct answer_id *id, struct core_good *ret_good)
{
    struct core_entry *e = find(core, id);
    return e != NULL && good_of(e, ret_good);
}

void core_each_good(struct core *core, bool (*fn)(void *arg, const struct core_good *good),
                    void *arg)
{
    struct core_good good;

    for (size_t b = 0; b < CORE_BUCKETS; b++)
        for (struct core_entry *e = core->buckets[b]; e != NULL; e = e->next)
            if (good_of(e, &good) && !fn(arg, &good))
                return;
}

bool core_quiet(const struct core *core)
{
    return core->n_flying == 0 && core->polls == NULL;
}
