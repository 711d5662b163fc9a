/* tests/support/core/world.c - the core's surroundings, played. */
#include "tests/support/core/world.h"

#include <stdio.h>
#include <stdlib.h>

struct world w;

static struct ms_now env_now(void *arg)
{
    (void)arg;
    return w.now;
}

static uint32_t env_random(void *arg)
{
    (void)arg;
    return w.random;
}

static bool mentions(struct ms_span body, const char *needle)
{
    size_t n = strlen(needle);
    for (size_t i = 0; i + n <= body.len; i++)
        if (memcmp(body.ptr + i, needle, n) == 0)
            return true;
    return false;
}

static void env_fetch(void *arg, uint64_t tag, const struct source_request *request)
{
    (void)arg;
    assert_true(w.n_out < OUT_MAX);
    w.out[w.n_out++] = (struct sent){tag, *request};
    w.n_fetches++;
    w.n_attempts += request->provider == 0 && mentions(request->body, "eth_chainId");
    w.n_needles += w.needle != NULL && mentions(request->body, w.needle);
}

static void env_share(void *arg, uint64_t tag)
{
    (void)arg;
    w.shared_tag = tag;
}

static void drop(size_t i)
{
    memmove(&w.out[i], &w.out[i + 1], (w.n_out - i - 1) * sizeof(w.out[0]));
    w.n_out--;
}

static void env_cancel(void *arg, uint64_t tag)
{
    (void)arg;
    for (size_t i = 0; i < w.n_out; i++) {
        if (w.out[i].tag == tag) {
            drop(i);
            w.n_cancels++;
            return;
        }
    }
}

static void env_store(void *arg, struct core_change *change)
{
    (void)arg;
    assert_true(w.n_stores < OUT_MAX);
    w.stores[w.n_stores++] = change;
    if (change->bundle.len > 0)
        w.n_bundles++;
}

static void env_load(void *arg, const struct answer_id *id)
{
    (void)arg;
    assert_true(w.n_loads < OUT_MAX);
    w.loads[w.n_loads++] = *id;
    w.n_loads_ever++;
}

static void env_conduct(void *arg, uint32_t provider, enum source_conduct conduct,
                        struct source_manners learned)
{
    (void)arg;
    w.manners[provider] = learned;
    w.conduct[provider] = conduct;
    if (conduct != SOURCE_CONDUCT_LIED)
        return;
    w.n_benched++;
    w.benched[provider] = true;
}

static void env_mark_providers(void *arg, struct source_policy *policy)
{
    (void)arg;
    for (size_t i = 0; i < policy->n_providers; i++) {
        policy->providers[i].benched = w.benched[i];
        policy->providers[i].manners = w.manners[i];
    }
}

static void env_log(void *arg, int level, const char *event, const struct answer_id *id,
                    const char *detail)
{
    (void)arg;
    (void)level;
    (void)id;
    (void)detail;
    (void)snprintf(w.last_event, sizeof(w.last_event), "%s", event);
}

/* As store.c writes it: only what was accepted, and the times. */
static void save(const struct core_change *change)
{
    bool other = w.saved && (w.saved_id.level != change->id.level ||
                             !ms_sha256_eq(&w.saved_id.key, &change->id.key));
    if (w.store_err != MS_OK || other)
        return;
    w.saved = true;
    w.saved_id = change->id;
    w.saved_entry = change->entry;
    w.saved_set = change->set_hash;
    if (change->change != CORE_CHANGE_SET)
        return;
    ms_buf_reset(&w.saved_bundle);
    (void)ms_buf_add(&w.saved_bundle, ms_buf_span(&change->bundle));
}

void settle_stores(void)
{
    static const struct ms_diag none;

    while (w.n_stores > 0) {
        struct core_change *change = w.stores[0];
        w.n_stores--;
        memmove(w.stores, w.stores + 1, w.n_stores * sizeof(w.stores[0]));
        if (change->bundle.len > 0) {
            ms_buf_reset(&w.last_bundle);
            (void)ms_buf_add(&w.last_bundle, ms_buf_span(&change->bundle));
        }
        save(change);
        core_stored(w.core, change, w.store_err, &none);
    }
}

void settle_loads(void)
{
    while (w.n_loads > 0) {
        struct core_loaded loaded = {.id = w.loads[--w.n_loads]};
        static const struct answer_id any;
        bool ours =
            w.row != NULL &&
            (memcmp(&w.row->id, &any, sizeof(any)) == 0 ||
             (w.row->id.level == loaded.id.level && ms_sha256_eq(&w.row->id.key, &loaded.id.key)));
        if (ours) {
            struct answer_id id = loaded.id;
            loaded = *w.row;
            loaded.id = id;
            w.row = NULL;
        }
        core_loaded_entry(w.core, &loaded);
    }
}

/* What is out but needs no answer of a test: loads and stores, unless they are slow. */
void settle(void)
{
    if (!w.load_slow)
        settle_loads();
    if (!w.store_slow)
        settle_stores();
}

void tick_at(int64_t ms)
{
    w.now.boot_ms += ms;
    w.now.wall_s = WALL_S + w.wall_offset_s + (w.now.boot_ms - BOOT_MS) / 1000;
    w.now.wall_ms = (int32_t)((w.now.boot_ms - BOOT_MS) % 1000);
    core_tick(w.core);
    settle();
}

/* ---- the callers ---- */

struct spec *spec_of(const char *text)
{
    static const struct spec_context context;
    struct ms_diag diag = {0};
    struct spec *spec = calloc(1, sizeof(*spec));

    assert_non_null(spec);
    spec_init(spec);
    if (spec_parse(ms_span_str(play_text(text)), &context, spec, &diag) != MS_OK)
        fail_msg("%s: %s", text, diag.text);
    return spec;
}

struct answer_id id_of(const char *text)
{
    struct spec *spec = spec_of(text);
    struct answer_id id = core_id(spec, w.options.policy.level);
    spec_done(spec);
    free(spec);
    return id;
}

/* As http.c looks at the table after it has asked. */
static void on_done(struct core_request *r)
{
    struct caller *c = (struct caller *)((char *)r - offsetof(struct caller, r));

    assert_false(c->done);
    c->done = true;
    c->err = r->err;
    if (r->spec != NULL) {
        spec_done(r->spec);
        free(r->spec);
        r->spec = NULL;
    }
    answer_read_lock();
    struct answer *a = table_find(w.table, &r->id);
    if (a != NULL && r->generation != 0 && a->generation >= r->generation) {
        c->serve = a->serve;
        c->state = a->state;
        c->err = a->serve ? MS_OK : a->err;
        assert_true(a->envelope_len < sizeof(c->envelope));
        memcpy(c->envelope, a->envelope, a->envelope_len);
    }
    answer_read_unlock();
}

struct caller *new_caller(const char *text)
{
    struct caller *c = calloc(1, sizeof(*c));
    assert_non_null(c);
    c->r = (struct core_request){.id = id_of(text), .spec = spec_of(text), .done = on_done};
    return c;
}

struct caller *ask_with(const char *text, bool force, int64_t max_age_s)
{
    struct caller *c = new_caller(text);
    c->r.force = force;
    c->r.max_age_s = max_age_s;
    core_ask(w.core, &c->r);
    settle();
    return c;
}

/* As a check that a compose hash is approved. */
struct caller *ask_about(const char *text, uint8_t byte)
{
    struct caller *c = new_caller(text);
    c->r.n_candidates = 1;
    c->r.candidates[0] = mapping_candidate(SOURCE_CANDIDATE_COMPOSE_HASH, byte);
    core_ask(w.core, &c->r);
    settle();
    return c;
}

struct caller *ask_about_both(const char *text, uint8_t one, uint8_t other, int64_t wait_ms)
{
    struct caller *c = new_caller(text);
    c->r.wait_ms = wait_ms;
    c->r.n_candidates = 2;
    c->r.candidates[0] = mapping_candidate(SOURCE_CANDIDATE_COMPOSE_HASH, one);
    c->r.candidates[1] = mapping_candidate(SOURCE_CANDIDATE_COMPOSE_HASH, other);
    core_ask(w.core, &c->r);
    settle();
    return c;
}

struct caller *ask(const char *text)
{
    return ask_with(text, false, 0);
}

struct caller *ask_as(const char *text, uint64_t client)
{
    struct caller *c = new_caller(text);
    c->r.client = client;
    core_ask(w.core, &c->r);
    settle();
    return c;
}

/* What a worker finds without asking the core; false: it must ask. */
bool fast(const char *text, bool *ret_serve)
{
    struct answer_id id = id_of(text);
    bool usable = false;

    answer_read_lock();
    struct answer *a = table_find(w.table, &id);
    if (a != NULL && w.now.boot_ms < a->fast_until_ms) {
        usable = true;
        *ret_serve = a->serve;
    }
    answer_read_unlock();
    return usable;
}

bool fast_serves(const char *text)
{
    bool serve = false;
    return fast(text, &serve) && serve;
}

struct outcome end(struct caller *c)
{
    struct outcome o = {c->done, c->serve, c->state, c->err};
    assert_true(c->done);
    free(c);
    return o;
}

/* ---- the upstream ---- */

void respond(size_t i, struct source_response r)
{
    struct sent sent = w.out[i];

    drop(i);
    r.id = sent.request.id;
    if (r.time_s == 0)
        r.time_s = w.now.wall_s;
    core_response(w.core, sent.tag, &r);
    settle();
}

/* The one request out is answered with a document. */
void reply_with(const char *body, const char *cache_control, const char *etag)
{
    struct source_response r = {.status = 200, .body = ms_span_str(body)};
    assert_int_equal(w.n_out, 1);
    r.header[SOURCE_HEADER_CACHE_CONTROL] = cache_control;
    r.header[SOURCE_HEADER_ETAG] = etag;
    respond(0, r);
}

void reply(const char *body)
{
    reply_with(body, "max-age=100", NULL);
}

void reply_status(uint32_t status)
{
    assert_int_equal(w.n_out, 1);
    respond(0, (struct source_response){.status = status, .body = ms_span_str("no")});
}

void reply_error(enum ms_err err)
{
    assert_int_equal(w.n_out, 1);
    respond(0, (struct source_response){.err = err});
}

void node_replies(size_t i)
{
    struct node_answer from;

    assert_int_equal(w.out[i].request.kind, SOURCE_REQUEST_RPC);
    node_answer(&w.nodes[w.out[i].request.provider], w.out[i].request.body, &from);
    respond(i, (struct source_response){
                   .err = from.err, .status = from.status, .body = ms_buf_span(&from.body)});
    ms_buf_done(&from.body);
}

/* Nodes answer whatever is out, until nothing is or what is left hangs. */
void chain_replies(void)
{
    for (size_t i = 0; i < w.n_out;) {
        if (node_hangs(&w.nodes[w.out[i].request.provider], w.out[i].request.body)) {
            i++;
            continue;
        }
        node_replies(i);
        i = 0;
    }
}

void use_chain(const struct chain *chain)
{
    uint64_t final = (uint64_t)((w.now.wall_s - CHAIN_GENESIS_S) / 12 - 70);
    if (final <= w.nodes[0].final && w.nodes[0].chain != NULL)
        final = w.nodes[0].final + 1; /* a new state needs a new block */
    for (size_t i = 0; i < MS_ARRAY_LEN(w.nodes); i++)
        w.nodes[i] = (struct node){
            .chain = chain, .lie = w.nodes[i].lie, .final = final, .head = final + 64};
}

/* ---- life ---- */

void world_start(void)
{
    struct core_env env = {.now = env_now,
                           .random = env_random,
                           .fetch = env_fetch,
                           .cancel = env_cancel,
                           .share = env_share,
                           .store = env_store,
                           .load = env_load,
                           .conduct = env_conduct,
                           .mark_providers = env_mark_providers,
                           .log = env_log};
    w.clients = clients_new(&w.limits);
    assert_non_null(w.clients);
    env.clients = w.clients;
    w.table = table_new();
    assert_non_null(w.table);
    assert_int_equal(core_new(&env, &w.options, w.table, &w.core), MS_OK);
}

void world_stop(void)
{
    core_stop(w.core);
    settle_loads(); /* as the daemon does it: the store comes to its end, then the core */
    settle_stores();
    assert_int_equal(w.n_out, 0);
    assert_int_equal(w.n_loads, 0);
    assert_int_equal(w.n_stores, 0);
    core_free(w.core);
    table_free(w.table);
    w.core = NULL;
    json_t *holding = clients_json(w.clients, 1);
    assert_int_equal(json_array_size(holding), 0); /* what was taken was given back */
    json_decref(holding);
    clients_free(w.clients);
}

int world_setup(void **state)
{
    (void)state;
    w = (struct world){.options = {.policy = play_policy(SPEC_LEVEL_L3, 2, 2),
                                   .rules = entry_rules_default,
                                   .audit_require = true,
                                   .max_entries = ENTRIES_MAX},
                       .now = {WALL_S, BOOT_MS, 0},
                       .last_bundle = MS_BUF_INIT(BUNDLE_MAX_BYTES),
                       .saved_bundle = MS_BUF_INIT(BUNDLE_MAX_BYTES)};
    world_start();
    return 0;
}

int world_teardown(void **state)
{
    (void)state;
    if (w.core != NULL)
        world_stop();
    ms_buf_done(&w.last_bundle);
    ms_buf_done(&w.saved_bundle);
    return 0;
}

/* As store.c reads a row back. */
static struct entry read_back(bool reboot, int64_t stored_wall_ms)
{
    const struct entry *e = &w.saved_entry;
    struct entry out = {
        .evidence_time_s = e->evidence_time_s,
        .life = e->life,
        .valid_until_s = e->valid_until_s,
        .has_sequence = e->has_sequence,
        .floor_sequence = e->floor_sequence,
        .commitment = e->commitment,
        .conflict = e->conflict,
        .conflict_err = e->conflict_err,
        .hold = e->hold && e->good,
        .recheck = reboot && e->life.fresh_s >= 0,
        .checked_boot_ms = e->checked_boot_ms,
    };
    if (reboot) { /* by the wall clock: 6.3 */
        int64_t age_ms = w.now.wall_s * 1000 - stored_wall_ms;
        out.checked_boot_ms = w.now.boot_ms - (age_ms > 0 ? age_ms : 0);
    }
    return out;
}

void world_restart(bool reboot, int64_t down_ms)
{
    static struct core_loaded row;
    struct ms_diag diag = {0};
    struct spec spec;

    int64_t floor_s = core_time_floor(w.core);
    world_stop();
    if (w.row == &row) /* down again before anybody asked for it */
        source_result_free(row.result);
    w.row = NULL;
    int64_t stored_wall_ms =
        (w.now.wall_s * 1000 + w.now.wall_ms) - (w.now.boot_ms - w.saved_entry.checked_boot_ms);
    int64_t wall_s = w.now.wall_s + down_ms / 1000;
    w.now.boot_ms = reboot ? BOOT_MS : w.now.boot_ms + down_ms;
    w.now.wall_s = wall_s;
    w.wall_offset_s = wall_s - WALL_S - (w.now.boot_ms - BOOT_MS) / 1000;
    w.options.rules.time_floor_s = floor_s; /* the daemon finds it in its rows */
    world_start();
    if (!w.saved)
        return;
    row = (struct core_loaded){
        .id = w.saved_id, .found = true, .entry = read_back(reboot, stored_wall_ms)};
    spec_init(&spec);
    if (w.saved_bundle.len > 0 && w.saved_entry.good) {
        if (bundle_verify(ms_buf_span(&w.saved_bundle), &spec, &row.result, &diag) != MS_OK)
            fail_msg("%s", diag.text);
        row.set_hash = row.result->set_hash;
        row.evidence = ms_sha256(ms_buf_span(&w.saved_bundle));
    }
    spec_done(&spec);
    w.row = &row;
}
