/* resolver/source/set_walk.c - back, set by set.
 *
 * Files are named after sequences, and a sequence may rise by more than one: so the next lower
 * number is asked for until a set is found that the one above names. Whether the numbers between
 * were left out by the signers or are withheld shows only then. */
#include "resolver/source/set_walk.h"

#include "resolver/source/kinds.h"

#include <stdio.h>

#define WALK_ARENA_MAX_BYTES ((size_t)8 << 20) /* SETS_MAX documents, requests, roots */
#define NO_HOST UINT32_MAX

struct host {
    struct ms_span folder;
    const char *name;
    bool dead; /* no usable answer: not asked again by this walk */
};

struct walk {
    struct set_at at;
    uint64_t until;
    struct ms_span app;
    struct set_roots roots;
    size_t n_hosts, n_found, n_numbers, n_complaints;
    struct host hosts[SOURCE_HOSTS_MAX];
    struct set_found found[SET_WALK_SETS_MAX];
    struct set_complaint complaints[SET_WALK_COMPLAINTS_MAX];
    /* the number that is being asked for */
    uint32_t host;   /* asked now, or last */
    bool answered;   /* somebody said something about it */
    bool has_signed; /* below a gap: what counts if nobody has the one that is named */
    struct set_found candidate;
};

static struct walk *walk_of(const struct source *s)
{
    return s->kind_state;
}

/* ---- places ---- */

struct set_at set_at_below(uint64_t sequence, const struct eth_hash *named)
{
    return (struct set_at){
        .sequence = sequence, .named = *named, .number = sequence == 0 ? 0 : sequence - 1};
}

bool set_at_ended(const struct set_at *at)
{
    static const struct eth_hash none;

    return eth_hash_eq(&at->named, &none) || at->number == 0 ||
           at->sequence - 1 - at->number >= SET_WALK_MISSING_MAX;
}

static bool below_gap(const struct set_at *at)
{
    return at->number + 1 < at->sequence;
}

/* ---- what hosts did ---- */

static void complain(struct walk *w, enum ms_err err, const char *what)
{
    if (w->n_complaints == SET_WALK_COMPLAINTS_MAX)
        return;
    struct set_complaint *c = &w->complaints[w->n_complaints++];
    c->host = w->host;
    c->diag = (struct ms_diag){0};
    (void)ms_diag_set(&c->diag, err, "%llu.set.json: %s", (unsigned long long)w->at.number, what);
}

/* ---- asking ---- */

static enum source_state ask(struct source *s)
{
    struct walk *w = walk_of(s);
    const struct spec_location *location = NULL;
    struct ms_diag diag = {0};
    char name[48];

    (void)snprintf(name, sizeof(name), "%llu.set.json", (unsigned long long)w->at.number);
    enum ms_err err = set_locate(w->hosts[w->host].folder, name, &s->arena, &location, &diag);
    if (err != MS_OK)
        return source_fail(s, err, &diag);
    struct source_request request = {
        .kind = SOURCE_REQUEST_HTTP, .location = location, .max_bytes = MSIG_DOC_MAX_BYTES};
    return source_want(s, &request) == NULL ? SOURCE_FAILED : SOURCE_WANTS;
}

/* The next host that has not been asked for this number; false: there is none. */
static bool next_host(struct walk *w, uint32_t from)
{
    for (uint32_t h = from; h < w->n_hosts; h++) {
        if (w->hosts[h].dead)
            continue;
        w->host = h;
        return true;
    }
    return false;
}

static bool enough(const struct walk *w)
{
    return set_at_ended(&w->at) || w->at.number == w->until || w->n_found == SET_WALK_SETS_MAX ||
           w->n_numbers == SET_WALK_NUMBERS_MAX;
}

static enum source_state no_host(struct source *s)
{
    const struct walk *w = walk_of(s);

    if (w->n_numbers > 1) /* got somewhere before that */
        return SOURCE_DONE;
    const char *why = w->n_complaints == 0 ? "" : w->complaints[w->n_complaints - 1].diag.text;
    return source_failf(s, MS_ERR_UNAVAILABLE, "no host can be asked for sets now; %s: %s",
                        set_walk_host(s, NO_HOST), why);
}

static enum source_state next_number(struct source *s)
{
    struct walk *w = walk_of(s);

    w->answered = w->has_signed = false;
    if (enough(w))
        return SOURCE_DONE;
    w->n_numbers++;
    return next_host(w, 0) ? ask(s) : no_host(s);
}

/* ---- what came ---- */

static void take(struct walk *w, const struct set_found *found)
{
    w->found[w->n_found++] = *found;
    w->at = set_at_below(found->sequence, &found->previous);
}

/* Everybody was asked for this number. */
static enum source_state number_done(struct source *s)
{
    struct walk *w = walk_of(s);

    if (!w->answered)
        return no_host(s);
    if (w->has_signed)
        take(w, &w->candidate);
    else
        w->at.number--;
    return next_number(s);
}

/* Whether it is one of those that are looked for: named, or below a gap and signed. */
static bool is_wanted(struct walk *w, const struct msig_set_doc *doc, bool *ret_linked)
{
    *ret_linked = eth_hash_eq(&doc->set_hash, &w->at.named);
    if (*ret_linked)
        return true;
    if (!below_gap(&w->at)) {
        complain(w, MS_ERR_HASH, "it is not the set that the one after it names");
        return false;
    }
    struct set_signers signers = set_signers_judge(&w->roots, doc);
    if (!signers.met)
        complain(w, MS_ERR_SIGNATURE,
                 "the set after it is missing, and too few signed this one to believe it");
    return signers.met;
}

static void take_document(struct source *s, struct ms_span body)
{
    struct walk *w = walk_of(s);
    struct ms_arena arena = MS_ARENA_INIT(MSIG_DOC_ARENA_BYTES);
    struct ms_diag diag = {0};
    struct msig_set_doc doc;
    bool linked = false;

    enum ms_err err = msig_set_parse(body, &arena, &doc, &diag);
    if (err != MS_OK)
        complain(w, err, ms_diag_text(&diag, err));
    else if (!ms_span_eq(doc.set.app, w->app))
        complain(w, MS_ERR_SIGNERS, "it is a set of another application");
    else if (doc.set.sequence != w->at.number)
        complain(w, MS_ERR_SYNTAX, "it is the set of another number");
    else if (is_wanted(w, &doc, &linked) && (linked || !w->has_signed)) {
        const char *copy = ms_arena_strdup(&s->arena, body);
        if (copy == NULL)
            (void)source_fail(s, MS_ERR_MEMORY, NULL);
        w->candidate = (struct set_found){.hash = doc.set_hash,
                                          .previous = doc.set.previous,
                                          .sequence = doc.set.sequence,
                                          .linked = linked,
                                          .text = ms_span_of(copy, body.len),
                                          .host = w->host};
        w->has_signed = true;
    }
    ms_arena_done(&arena);
}

static void take_response(struct source *s, const struct source_response *response)
{
    struct walk *w = walk_of(s);
    char status[32];

    if (response->err != MS_OK) {
        complain(w, response->err, ms_diag_text(&response->diag, response->err));
        w->hosts[w->host].dead = true;
    } else if (response->status == 404 || response->status == 410) {
        w->answered = true;
    } else if (response->status != 200) {
        (void)snprintf(status, sizeof(status), "HTTP status %u", response->status);
        complain(w, MS_ERR_HTTP, status);
        w->hosts[w->host].dead = true;
    } else {
        w->answered = true;
        take_document(s, response->body);
    }
}

static enum source_state step(struct source *s, const struct source_response *response,
                              struct ms_now now)
{
    struct walk *w = walk_of(s);

    (void)now;
    if (response == NULL)
        return next_number(s);
    take_response(s, response);
    if (s->err != MS_OK)
        return SOURCE_FAILED;
    bool named = w->has_signed && w->candidate.linked;
    return !named && next_host(w, w->host + 1) ? ask(s) : number_done(s);
}

/* ---- beginning ---- */

static enum ms_err add_host(struct source *s, struct ms_span folder, struct ms_diag *diag)
{
    struct walk *w = walk_of(s);
    const struct spec_location *location = NULL;

    if (folder.len == 0)
        return MS_ERR_MEMORY;
    enum ms_err err = set_locate(folder, "set.json", &s->arena, &location, diag);
    if (err == MS_OK)
        w->hosts[w->n_hosts++] = (struct host){.folder = folder, .name = location->host};
    return err;
}

/* A host that cannot be one of ours spoils nothing for the others. */
static enum ms_err find_hosts(struct source *s, const struct set_walk *in, struct ms_diag *diag)
{
    enum ms_err err = MS_ERR_UNAVAILABLE;

    if (s->spec->at.url != NULL)
        return add_host(s, set_folder_of_at(s->spec), diag);
    for (size_t i = 0; i < in->n_hosts && i < SOURCE_HOSTS_MAX; i++)
        err = add_host(s, set_folder_of_host(in->hosts[i], &s->arena), diag);
    if (walk_of(s)->n_hosts > 0)
        return MS_OK;
    return in->n_hosts > 0 ? err
                           : ms_diag_set(diag, MS_ERR_UNAVAILABLE, "no host is known to have sets");
}

static enum ms_err init(struct source *s, const struct set_walk *in, struct ms_diag *diag)
{
    struct walk *w = ms_arena_alloc(&s->arena, 1, sizeof(*w));

    if (w == NULL)
        return MS_ERR_MEMORY;
    s->kind_state = w;
    s->step = step;
    w->at = in->from;
    w->until = in->until;
    w->app = set_app(s->spec);
    enum ms_err err = set_roots_read(s->spec, in->carry, &s->arena, &w->roots, diag);
    return err == MS_OK ? find_hosts(s, in, diag) : err;
}

enum ms_err set_walk_new(const struct spec *spec, const struct source_policy *policy,
                         const struct set_walk *walk, struct ms_now now, struct source **ret_walk,
                         struct ms_diag *diag)
{
    struct source *s = source_begin(spec, policy, WALK_ARENA_MAX_BYTES, now.wall_s);

    if (s == NULL)
        return MS_ERR_MEMORY;
    return source_made(s, init(s, walk, diag), ret_walk);
}

/* ---- the outcome ---- */

size_t set_walk_found(const struct source *s, const struct set_found **ret_found)
{
    *ret_found = walk_of(s)->found;
    return walk_of(s)->n_found;
}

struct set_at set_walk_next(const struct source *s)
{
    return walk_of(s)->at;
}

size_t set_walk_complaints(const struct source *s, const struct set_complaint **ret)
{
    *ret = walk_of(s)->complaints;
    return walk_of(s)->n_complaints;
}

const char *set_walk_host(const struct source *s, uint32_t host)
{
    const struct walk *w = walk_of(s);
    uint32_t h = host == NO_HOST ? w->host : host;

    return h < w->n_hosts ? w->hosts[h].name : "";
}
