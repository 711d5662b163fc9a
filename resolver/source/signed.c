/* resolver/source/signed.c - `2of3:0x..,0x..,0x..`: sets of releases that so many of these signers
 * approved, on web servers that nobody needs to trust (ethereum.md section 5). The documents are
 * files of one folder: at= names it, or else the hosts that clients asked for by URL have it under
 * /.well-known/measured/.
 *
 * Every folder is asked for roots, one after the other from the last one known until there is no
 * next one; the highest root counts for all of them. Then each is read by itself: the set, and what
 * the root demands beside it. The highest (epoch, sequence) wins, so one host that withholds or
 * invents changes nothing where another one is honest. Roots and revocations that were good once go
 * from attempt to attempt (source_previous.carry): a server that forgets them brings nothing back.
 */
#include "resolver/source/contract.h"
#include "resolver/source/documents.h"
#include "resolver/source/set_chain.h"
#include "resolver/source/signed_contracts.h"
#include "sig/secp.h"

#include <stdio.h>

#define ROOTS_MAX 64 /* new ones in one attempt */
#define OLDER_MAX 32 /* sets fetched to close a gap */
#define SIGNED_NEGATIVE_S 60
#define SIGNED_FRESH_S 300
#define SIGNED_SWR_S 300
#define SIGNED_SIE_S 21600
/* The ceiling is validUntil. The longest life that it allows stands beside it, for a clock that was
 * set back shows by what has a ceiling (T10). */
#define SIGNED_CEILING_S (MSIG_SET_LIFE_MAX_S + MSIG_CLOCK_SKEW_S)

static const struct ms_json_limits doc_limits = {MSIG_DOC_MAX_BYTES, 16, 65536, 0};

enum file { FILE_NONE = 0, FILE_ROOT, FILE_SET, FILE_FRESHNESS, FILE_REVOCATIONS, FILE_OLDER };

/* Which list is in force, and the documents that led there from the specifier's own. */
struct roots {
    struct msig_root last; /* epoch 0: the specifier's list */
    size_t n;
    json_t **docs; /* borrowed from s->scratch */
};

struct site { /* one folder */
    struct ms_span folder;
    const struct spec_location *set_at;
    bool rooted; /* there is no next root there */
    bool done;
    size_t out; /* files asked for and not answered */
    enum ms_err err;
    struct ms_diag diag;
    struct roots roots;
    size_t new_roots;
    bool has_set, has_fresh;
    struct msig_set_doc set;
    struct msig_freshness_doc fresh;
    struct msig_tally tally;
    struct signed_contracts *contracts; /* asked whether they signed; NULL: nobody had to be */
    bool counted;
    bool gone;           /* enough signed in finalized state, and in the newest not any more */
    json_t *revocations; /* array of entries; borrowed from s->scratch */
    bool gap;            /* sets between were not to be had */
    uint64_t older;      /* the one asked for */
    struct eth_hash older_hash;
    size_t n_older;
};

struct ask {
    struct site *site;
    enum file file;
};

struct own {
    struct ms_span app;
    struct roots known; /* by what was carried */
    struct roots top;   /* the highest that any folder led to: it counts for all of them */
    bool files_asked;
    size_t n_sites;
    struct site sites[SOURCE_HOSTS_MAX];
    struct ask asks[SOURCE_REQUESTS_MAX + 1];
    struct signed_route routes[SOURCE_REQUESTS_MAX + 1]; /* of requests to contracts' chains */
    struct site *best;
    size_t n_revoked;
    json_t *revocations; /* those in force, in the order of `revoked`; borrowed from s->scratch */
    struct ms_sha256 revoked[MSIG_REVOCATIONS_MAX];
    struct documents documents;
};

static struct own *own_of(const struct source *s)
{
    return s->kind_state;
}

/* Trees that live as long as the source. NULL, and the attempt has failed, when memory is short. */
static json_t *keep_tree(struct source *s, json_t *tree)
{
    if (s->scratch == NULL)
        s->scratch = json_array();
    if (tree == NULL || json_array_append_new(s->scratch, tree) != 0) {
        (void)source_fail(s, MS_ERR_MEMORY, NULL);
        return NULL;
    }
    return tree;
}

static json_t *parse_tree(struct source *s, struct ms_span text)
{
    json_t *tree = NULL;
    enum ms_err err = ms_json_parse(text, &doc_limits, &tree, NULL);
    if (err != MS_OK) {
        (void)source_fail(s, err, NULL);
        return NULL;
    }
    return keep_tree(s, tree);
}

/* ---- roots ---- */

static bool add_root(struct source *s, struct roots *roots, const struct msig_root *root,
                     json_t *doc)
{
    json_t **docs = ms_arena_alloc(&s->arena, roots->n + 1, sizeof(json_t *));

    if (docs == NULL) {
        (void)source_fail(s, MS_ERR_MEMORY, NULL);
        return false;
    }
    if (roots->n > 0)
        memcpy(docs, roots->docs, roots->n * sizeof(docs[0]));
    docs[roots->n] = doc;
    roots->docs = docs;
    roots->n++;
    roots->last = *root;
    return true;
}

/* What is carried is what was verified: no member beside the message, and only signatures that may
 * count. */
static json_t *slim_signatures(const json_t *array)
{
    json_t *out = json_array();

    for (size_t i = 0; out != NULL && i < json_array_size(array); i++) {
        const json_t *entry = json_array_get(array, i);
        json_t *signature = json_object_get(entry, "signature");
        if (!ms_span_eq_str(ms_json_member_str(entry, "scheme"), "eip712") ||
            json_string_length(signature) != 2 + 2 * MSIG_BYTES)
            continue;
        json_t *slim = json_pack("{s:O, s:s, s:O}", "signer", json_object_get(entry, "signer"),
                                 "scheme", "eip712", "signature", signature);
        if (slim == NULL || json_array_append_new(out, slim) != 0) {
            json_decref(out);
            return NULL;
        }
    }
    return out;
}

static json_t *slim_root(const json_t *doc)
{
    return json_pack("{s:s, s:O, s:o}", "type", "measured-root/1", "root",
                     json_object_get(doc, "root"), "signatures",
                     slim_signatures(json_object_get(doc, "signatures")));
}

static json_t *slim_revocation(const json_t *entry)
{
    return json_pack("{s:O, s:o}", "revocation", json_object_get(entry, "revocation"), "signatures",
                     slim_signatures(json_object_get(entry, "signatures")));
}

/* The next root, by its text. */
static enum ms_err take_root(struct source *s, struct roots *roots, struct ms_span text,
                             struct ms_diag *diag)
{
    struct msig_root_doc doc;

    enum ms_err err = msig_root_parse(text, &s->arena, &doc, diag);
    if (err == MS_OK)
        err = msig_root_follows(&doc, &roots->last, diag);
    if (err != MS_OK)
        return err;
    const json_t *tree = parse_tree(s, text);
    json_t *slim = tree == NULL ? NULL : keep_tree(s, slim_root(tree));
    return slim != NULL && add_root(s, roots, &doc.root, slim) ? MS_OK : MS_ERR_MEMORY;
}

/* What earlier attempts verified is verified again: it may come from a disk. */
static enum ms_err take_known_roots(struct source *s, struct ms_diag *diag)
{
    struct own *own = own_of(s);
    const json_t *carried = json_object_get(s->previous.carry, "roots");
    enum ms_err err = MS_OK;

    own->known = (struct roots){.last = set_own_list(s->spec)};
    for (size_t i = 0; err == MS_OK && i < json_array_size(carried); i++) {
        struct ms_buf text = MS_BUF_INIT(MSIG_ROOT_MAX_BYTES);
        err = ms_json_dump(json_array_get(carried, i), &text);
        if (err == MS_OK)
            err = take_root(s, &own->known, ms_buf_span(&text), diag);
        ms_buf_done(&text);
    }
    return err;
}

/* ---- asking ---- */

static bool ask(struct source *s, struct site *site, enum file file,
                const struct spec_location *location)
{
    struct source_request request = {.kind = SOURCE_REQUEST_HTTP,
                                     .location = location,
                                     .max_bytes = file == FILE_ROOT ? MSIG_ROOT_MAX_BYTES
                                                                    : MSIG_DOC_MAX_BYTES};
    const struct source_request *sent = source_want(s, &request);

    if (sent == NULL)
        return false;
    own_of(s)->asks[sent->id] = (struct ask){site, file};
    site->out++;
    return true;
}

static bool ask_named(struct source *s, struct site *site, enum file file, const char *name)
{
    const struct spec_location *location = NULL;
    struct ms_diag diag = {0};

    enum ms_err err = set_locate(site->folder, name, &s->arena, &location, &diag);
    if (err != MS_OK)
        (void)source_fail(s, err, &diag);
    return err == MS_OK && ask(s, site, file, location);
}

static bool ask_numbered(struct source *s, struct site *site, enum file file, uint64_t number,
                         const char *suffix)
{
    char name[64];
    (void)snprintf(name, sizeof(name), "%llu%s", (unsigned long long)number, suffix);
    return ask_named(s, site, file, name);
}

static bool ask_root(struct source *s, struct site *site)
{
    return ask_numbered(s, site, FILE_ROOT, site->roots.last.epoch + 1, ".root.json");
}

static bool ask_files(struct source *s, struct site *site)
{
    const struct msig_root *root = &site->roots.last;

    return ask(s, site, FILE_SET, site->set_at) &&
           (root->fresh.n == 0 || ask_named(s, site, FILE_FRESHNESS, "freshness.json")) &&
           (root->revokers.n == 0 || ask_named(s, site, FILE_REVOCATIONS, "revocations.json"));
}

/* ---- one folder ---- */

static void site_fail(struct site *site, enum ms_err err, const struct ms_diag *diag)
{
    site->done = true;
    if (site->err != MS_OK)
        return;
    site->err = err;
    (void)ms_diag_set(&site->diag, err, "%s: %s", site->set_at->host, ms_diag_text(diag, err));
}

/* Steps 2 to 4 and 6 of 5.4. What contracts say is still to be asked. */
static enum ms_err check_set(struct source *s, struct site *site, struct ms_diag *diag)
{
    const struct msig_root *root = &site->roots.last;

    if (!ms_span_eq(site->set.set.app, own_of(s)->app))
        return ms_diag_set(diag, MS_ERR_SIGNERS, "the set is for another application than app=%.*s",
                           (int)own_of(s)->app.len, (const char *)own_of(s)->app.ptr);
    enum ms_err err =
        msig_tally(&site->set.digest, &site->set.signatures, &root->signers, &site->tally, diag);
    if (err != MS_OK)
        return err;
    if (msig_met(&site->tally, &root->signers) == MSIG_SHORT)
        return ms_diag_set(diag, MS_ERR_SIGNATURE, "%zu of the %u signatures needed are there",
                           site->tally.n_counted, root->signers.threshold);
    return msig_set_time(&site->set.set, s->started_s, diag);
}

/* A root that names signers of freshness demands their word about this very set (5.5). */
static enum ms_err check_fresh(struct source *s, const struct site *site, struct ms_diag *diag)
{
    const struct msig_root *root = &site->roots.last;
    const struct msig_freshness *fresh = &site->fresh.freshness;
    struct msig_tally tally;

    if (root->fresh.n == 0)
        return MS_OK;
    if (!site->has_fresh)
        return ms_diag_set(diag, MS_ERR_STALE,
                           "there is no freshness.json, which root %llu demands",
                           (unsigned long long)root->epoch);
    if (!ms_span_eq(fresh->app, own_of(s)->app))
        return ms_diag_set(diag, MS_ERR_SIGNERS, "freshness.json is of another application");
    enum ms_err err =
        msig_tally(&site->fresh.digest, &site->fresh.signatures, &root->fresh, &tally, diag);
    if (err == MS_OK && msig_met(&tally, &root->fresh) != MSIG_MET)
        err = ms_diag_set(diag, MS_ERR_SIGNATURE, "freshness.json: %zu of %u signatures needed",
                          tally.n_counted, root->fresh.threshold);
    if (err == MS_OK)
        err = msig_freshness_time(fresh, s->started_s, diag);
    if (err == MS_OK && (fresh->sequence != site->set.set.sequence ||
                         !eth_hash_eq(&fresh->set_hash, &site->set.set_hash)))
        err = ms_diag_set(
            diag, MS_ERR_STALE, "freshness.json speaks of set %llu, not of the set %llu beside it",
            (unsigned long long)fresh->sequence, (unsigned long long)site->set.set.sequence);
    return err;
}

static enum ms_err unlinked(uint64_t sequence, struct ms_diag *diag)
{
    return ms_diag_set(diag, MS_ERR_ROLLBACK,
                       "set %llu does not name the set before it, which was verified",
                       (unsigned long long)sequence);
}

/* Step 5. What is below the floor or beside it the entry judges (entry_judge). */
static enum ms_err check_order(struct source *s, struct site *site, struct ms_diag *diag)
{
    const struct source_previous *p = &s->previous;
    const struct msig_floor floor = {.epoch = p->floor_epoch,
                                     .sequence = p->floor_sequence,
                                     .set_hash = p->set_hash,
                                     .known = p->has_set};
    const struct msig_release_set *set = &site->set.set;

    switch (msig_set_order(&site->set, site->roots.last.epoch, &floor)) {
    case MSIG_ORDER_BROKEN:
        return unlinked(set->sequence, diag);
    case MSIG_ORDER_GAP:
        site->older = set->sequence - 1;
        site->older_hash = set->previous;
        return MS_OK;
    case MSIG_ORDER_ROLLBACK:
    case MSIG_ORDER_CONFLICT:
    case MSIG_ORDER_SAME:
    case MSIG_ORDER_FIRST:
    case MSIG_ORDER_NEXT:
        break;
    }
    return MS_OK;
}

/* Sets that were never seen are fetched back to the one that was: each is the one that its
 * successor names, so they need no signatures. */
static bool ask_older(struct source *s, struct site *site)
{
    static const struct eth_hash none;

    site->gap = true; /* until it is closed */
    if (!s->previous.has_set || site->n_older == OLDER_MAX ||
        eth_hash_eq(&site->older_hash, &none)) {
        site->done = true;
        return true;
    }
    site->n_older++;
    return ask_numbered(s, site, FILE_OLDER, site->older, ".set.json");
}

/* Everything about the set is known. */
static bool site_good(struct source *s, struct site *site)
{
    if (site->older != 0)
        return ask_older(s, site);
    site->done = true;
    return true;
}

/* When no contract is waited for any more. */
static bool judge_contracts(struct source *s, struct site *site)
{
    struct ms_diag diag = {0};

    if (site->done || site->counted || site->contracts->running > 0)
        return true;
    site->counted = true;
    enum ms_err err = signed_contracts_count(s, site->contracts, &site->roots.last.signers,
                                             &site->tally, &site->gone, &diag);
    if (err == MS_OK)
        return site_good(s, site);
    site_fail(site, err, &diag);
    return true;
}

/* Last of all, when everything else about the set is good: chains are not asked for nothing. */
static bool ask_contracts(struct source *s, struct site *site, struct ms_now now)
{
    site->contracts = ms_arena_alloc(&s->arena, 1, sizeof(*site->contracts));
    if (site->contracts == NULL) {
        (void)source_fail(s, MS_ERR_MEMORY, NULL);
        return false;
    }
    site->contracts->max_requests = SIGNED_CONTRACTS_REQUESTS_MAX / own_of(s)->n_sites;
    return signed_contracts_start(s, own_of(s)->routes, site->contracts, &site->set.digest,
                                  &site->set.signatures, &site->tally, s->spec->chain, now) &&
           judge_contracts(s, site);
}

static bool judge_site(struct source *s, struct site *site, struct ms_now now)
{
    struct ms_diag diag = {0};

    if (site->done)
        return true;
    if (!site->has_set) {
        site_fail(site, MS_ERR_NOT_FOUND, NULL);
        return true;
    }
    enum ms_err err = check_set(s, site, &diag);
    if (err == MS_OK)
        err = check_fresh(s, site, &diag);
    if (err == MS_OK)
        err = check_order(s, site, &diag);
    if (err == MS_OK)
        return msig_met(&site->tally, &site->roots.last.signers) == MSIG_MET
                   ? site_good(s, site)
                   : ask_contracts(s, site, now);
    site_fail(site, err, &diag);
    return true;
}

static bool missing(const struct source_response *response)
{
    return response->status == 404 || response->status == 410;
}

static bool ask_site(struct source *s, struct site *site)
{
    struct ms_diag diag = {0};
    enum ms_err err = MS_OK;

    site->roots = own_of(s)->top;
    if (site->roots.last.epoch > 0) /* of the last one only (5.5) */
        err = msig_root_time(&site->roots.last, s->started_s, &diag);
    if (err != MS_OK) {
        site_fail(site, err, &diag);
        return true;
    }
    return ask_files(s, site);
}

/* When every folder has told its roots, the highest counts for all: a root is what its signatures
 * make it, and a folder that has lost it, or whose set is bad, takes none away. */
static bool roots_next(struct source *s)
{
    struct own *own = own_of(s);

    for (size_t i = 0; i < own->n_sites; i++)
        if (!own->sites[i].done && !own->sites[i].rooted)
            return true;
    own->files_asked = true;
    own->top = own->known;
    for (size_t i = 0; i < own->n_sites; i++)
        if (own->sites[i].roots.last.epoch > own->top.last.epoch)
            own->top = own->sites[i].roots;
    for (size_t i = 0; i < own->n_sites; i++)
        if (!own->sites[i].done && !ask_site(s, &own->sites[i]))
            return false;
    return true;
}

static bool take_root_file(struct source *s, struct site *site,
                           const struct source_response *response)
{
    struct ms_diag diag = {0};

    if (missing(response)) {
        site->rooted = true;
        return true;
    }
    enum ms_err err = take_root(s, &site->roots, response->body, &diag);
    if (err == MS_OK && ++site->new_roots > ROOTS_MAX)
        err = ms_diag_set(&diag, MS_ERR_LIMIT, "more than %d new roots", ROOTS_MAX);
    if (err == MS_OK)
        return ask_root(s, site);
    struct ms_diag named = {0};
    (void)ms_diag_set(&named, err, "%llu.root.json: %s",
                      (unsigned long long)site->roots.last.epoch + 1, ms_diag_text(&diag, err));
    site_fail(site, err, &named);
    return s->err == MS_OK;
}

static enum ms_err take_revocations(struct source *s, struct site *site, struct ms_span body,
                                    struct ms_diag *diag)
{
    struct msig_revocation_doc *docs = NULL;
    size_t n = 0;

    enum ms_err err = msig_revocations_parse(body, &s->arena, &docs, &n, diag);
    if (err != MS_OK)
        return err;
    const json_t *tree = parse_tree(s, body);
    site->revocations = json_object_get(tree, "revocations");
    return s->err;
}

/* The set before one that is believed; anything else is a gap and no fault. */
static bool take_older(struct source *s, struct site *site, struct ms_span body)
{
    struct msig_set_doc doc;

    if (msig_set_parse(body, &s->arena, &doc, NULL) != MS_OK ||
        !eth_hash_eq(&doc.set_hash, &site->older_hash) || doc.set.sequence != site->older) {
        site->done = true;
        return true;
    }
    if (site->older > s->previous.floor_sequence + 1) {
        site->older--;
        site->older_hash = doc.set.previous;
        return ask_older(s, site);
    }
    site->gap = false;
    site->done = true;
    if (!eth_hash_eq(&doc.set.previous, &s->previous.set_hash)) {
        struct ms_diag diag = {0};
        site_fail(site, unlinked(doc.set.sequence, &diag), &diag);
    }
    return true;
}

static const char *file_name(enum file file)
{
    static const char *const names[] = {[FILE_NONE] = "",
                                        [FILE_ROOT] = "the next root",
                                        [FILE_SET] = "the set",
                                        [FILE_FRESHNESS] = "freshness.json",
                                        [FILE_REVOCATIONS] = "revocations.json",
                                        [FILE_OLDER] = "an older set"};
    return names[file];
}

static void read_file(struct source *s, struct site *site, enum file file,
                      const struct source_response *response)
{
    struct ms_diag diag = {0}, named = {0};
    enum ms_err err = MS_OK;

    if (missing(response) && file != FILE_SET)
        return; /* revocations: there are none; freshness: judge_site says whether that will do */
    if (missing(response)) {
        err = ms_diag_set(&diag, MS_ERR_NOT_FOUND, "HTTP status %u", response->status);
    } else if (file == FILE_SET) {
        err = msig_set_parse(response->body, &s->arena, &site->set, &diag);
        site->has_set = err == MS_OK;
    } else if (file == FILE_FRESHNESS) {
        err = msig_freshness_parse(response->body, &s->arena, &site->fresh, &diag);
        site->has_fresh = err == MS_OK;
    } else {
        err = take_revocations(s, site, response->body, &diag);
    }
    if (err == MS_OK)
        return;
    (void)ms_diag_set(&named, err, "%s: %s", file_name(file), ms_diag_text(&diag, err));
    site_fail(site, err, &named);
}

/* false: the attempt has failed. */
static bool take_file(struct source *s, struct site *site, enum file file,
                      const struct source_response *response, struct ms_now now)
{
    struct ms_diag diag = {0};

    site->out--;
    if (site->done) { /* a revocation needs no good set beside it */
        if (file == FILE_REVOCATIONS && response->err == MS_OK && response->status == 200)
            (void)take_revocations(s, site, response->body, &diag);
        return s->err == MS_OK;
    }
    if (file == FILE_OLDER)
        return take_older(s, site,
                          response->err == MS_OK && response->status == 200
                              ? response->body
                              : (struct ms_span){NULL, 0});
    if (response->err != MS_OK) {
        site_fail(site, response->err, &response->diag);
    } else if (response->status != 200 && !missing(response)) {
        (void)ms_diag_set(&diag, MS_ERR_HTTP, "%s: HTTP status %u", file_name(file),
                          response->status);
        site_fail(site, MS_ERR_HTTP, &diag);
    } else if (file == FILE_ROOT) {
        (void)take_root_file(s, site, response);
    } else {
        read_file(s, site, file, response);
    }
    if (s->err != MS_OK)
        return false;
    if (!own_of(s)->files_asked)
        return roots_next(s);
    return site->out > 0 || judge_site(s, site, now);
}

/* ---- which one ---- */

static int compare(const struct site *a, const struct site *b)
{
    if (a->roots.last.epoch != b->roots.last.epoch)
        return a->roots.last.epoch < b->roots.last.epoch ? -1 : 1;
    if (a->set.set.sequence != b->set.set.sequence)
        return a->set.set.sequence < b->set.set.sequence ? -1 : 1;
    return 0;
}

static bool at_floor(const struct source *s, const struct site *site)
{
    return s->previous.has_set && site->roots.last.epoch == s->previous.floor_epoch &&
           site->set.set.sequence == s->previous.floor_sequence;
}

/* Of two sets of one sequence the one that was not there before: the entry sees the conflict. */
static struct site *fork(struct source *s, struct site *a, struct site *b)
{
    if (at_floor(s, a))
        return eth_hash_eq(&a->set.set_hash, &s->previous.set_hash) ? b : a;
    s->has_fork = true;
    s->fork_epoch = a->roots.last.epoch;
    s->fork_sequence = a->set.set.sequence;
    (void)source_failf(s, MS_ERR_CONFLICT, "%s and %s have different sets of sequence %llu",
                       a->set_at->host, b->set_at->host, (unsigned long long)a->set.set.sequence);
    return NULL;
}

static enum source_state no_site(struct source *s)
{
    const struct own *own = own_of(s);
    bool none = true;

    for (size_t i = 0; i < own->n_sites; i++)
        none = none && own->sites[i].err == MS_ERR_NOT_FOUND;
    if (none)
        return source_fail_negative(s, MS_ERR_NOT_FOUND, SIGNED_NEGATIVE_S, "%s",
                                    own->sites[0].diag.text);
    for (size_t i = 0; i < own->n_sites; i++) /* what says more than that it is not there */
        if (own->sites[i].err != MS_ERR_NOT_FOUND)
            return source_fail(s, own->sites[i].err, &own->sites[i].diag);
    return SOURCE_FAILED;
}

/* Of two that have the same set: what stands beside it may be newer, or say more. */
static bool better(const struct site *a, const struct site *than)
{
    if (a->gone != than->gone)
        return than->gone;
    return a->has_fresh && than->has_fresh &&
           a->fresh.freshness.issued_at_s > than->fresh.freshness.issued_at_s;
}

static bool choose(struct source *s)
{
    struct own *own = own_of(s);

    for (size_t i = 0; i < own->n_sites; i++) {
        struct site *site = &own->sites[i];
        if (site->err == MS_OK && (own->best == NULL || compare(own->best, site) < 0))
            own->best = site;
    }
    if (own->best == NULL) {
        (void)no_site(s);
        return false;
    }
    for (size_t i = 0; i < own->n_sites && own->best != NULL; i++) {
        struct site *site = &own->sites[i];
        if (site->err != MS_OK || compare(own->best, site) != 0)
            continue;
        if (!eth_hash_eq(&own->best->set.set_hash, &site->set.set_hash))
            own->best = fork(s, own->best, site);
        else if (better(site, own->best))
            own->best = site;
    }
    return own->best != NULL;
}

/* ---- revocations ---- */

static bool is_revoked(const struct own *own, const struct ms_sha256 *payload)
{
    for (size_t i = 0; i < own->n_revoked; i++)
        if (ms_sha256_eq(&own->revoked[i], payload))
            return true;
    return false;
}

/* One entry counts if one of the root's revokers signed it. A bad one takes nothing away, and
 * nothing from the others. */
static enum ms_err add_revocation(struct source *s, json_t *entry)
{
    struct own *own = own_of(s);
    const struct msig_root *root = &own->top.last;
    struct msig_revocation_doc *docs = NULL;
    struct ms_buf text = MS_BUF_INIT(MSIG_DOC_MAX_BYTES);
    struct msig_tally tally;
    size_t n = 0;

    json_t *document =
        json_pack("{s:s, s:[O]}", "type", "measured-revocations/1", "revocations", entry);
    enum ms_err err = document == NULL ? MS_ERR_MEMORY : ms_json_dump(document, &text);
    json_decref(document);
    if (err == MS_OK)
        err = msig_revocations_parse(ms_buf_span(&text), &s->arena, &docs, &n, NULL);
    ms_buf_done(&text);
    if (err != MS_OK || n != 1 || !ms_span_eq(docs[0].revocation.app, own->app))
        return err == MS_ERR_MEMORY ? err : MS_OK;
    const struct ms_sha256 *payload = &docs[0].revocation.payload_hash;
    if (is_revoked(own, payload) ||
        msig_tally(&docs[0].digest, &docs[0].signatures, &root->revokers, &tally, NULL) != MS_OK ||
        tally.n_counted == 0)
        return MS_OK;
    if (own->n_revoked == MSIG_REVOCATIONS_MAX)
        return MS_ERR_LIMIT;
    own->revoked[own->n_revoked++] = *payload;
    return json_array_append_new(own->revocations, slim_revocation(entry)) == 0 ? MS_OK
                                                                                : MS_ERR_MEMORY;
}

static bool add_revocations(struct source *s, const json_t *entries)
{
    for (size_t i = 0; i < json_array_size(entries); i++) {
        enum ms_err err = add_revocation(s, json_array_get(entries, i));
        if (err == MS_OK)
            continue;
        (void)source_failf(s, err,
                           "more than %d revoked payloads: a new root without the old "
                           "revokers ends their revocations",
                           MSIG_REVOCATIONS_MAX);
        return false;
    }
    return true;
}

/* Known ones first, so that they keep their places; and those of every folder, good or not: a
 * revocation needs no set beside it. */
static bool collect_revocations(struct source *s)
{
    struct own *own = own_of(s);

    own->revocations = keep_tree(s, json_array());
    if (own->revocations == NULL ||
        !add_revocations(s, json_object_get(s->previous.carry, "revocations")))
        return false;
    for (size_t i = 0; i < own->n_sites; i++)
        if (!add_revocations(s, own->sites[i].revocations))
            return false;
    return true;
}

/* ---- the result ---- */

static json_t *addrs_json(const struct msig_signers *list, const bool *only)
{
    json_t *out = json_array();

    for (size_t i = 0; i < list->n; i++) {
        char text[ETH_ADDR_TEXT + 1];
        eth_addr_text(&list->addrs[i], text);
        if (only == NULL || only[i])
            (void)json_array_append_new(out, json_string(text));
    }
    return out;
}

static json_t *governance_json(const struct source *s)
{
    const struct own *own = own_of(s);
    const struct site *site = own->best;
    const struct msig_root *root = &site->roots.last;
    json_t *out =
        json_pack("{s:I, s:I, s:o, s:o, s:o, s:I}", "epoch", (json_int_t)root->epoch, "threshold",
                  (json_int_t)root->signers.threshold, "signers", addrs_json(&root->signers, NULL),
                  "signed_by", addrs_json(&root->signers, site->tally.counted), "signed_set_hash",
                  contract_hash_json(site->set.set_hash.b), "issued_at",
                  (json_int_t)site->set.set.issued_at_s);

    if (out == NULL)
        return NULL;
    if (site->contracts != NULL)
        (void)json_object_set_new(out, "contracts", signed_contracts_json(site->contracts));
    if (root->epoch > 0)
        (void)json_object_set_new(out, "root_valid_until",
                                  json_integer((json_int_t)source_clamp_time(root->valid_until_s)));
    if (root->fresh.n > 0)
        (void)json_object_set_new(out, "freshness_issued_at",
                                  json_integer((json_int_t)site->fresh.freshness.issued_at_s));
    json_t *revoked = json_array();
    for (size_t i = 0; i < own->n_revoked; i++)
        (void)json_array_append_new(revoked, contract_hash_json(own->revoked[i].b));
    (void)json_object_set_new(out, "revoked", revoked);
    return out;
}

static void add_warnings(struct source *s)
{
    const struct own *own = own_of(s);
    const struct site *best = own->best;

    for (size_t i = 0; i < own->n_sites; i++)
        if (own->sites[i].err != MS_OK)
            source_result_warn(s->result, "host-failed", "%s", own->sites[i].diag.text);
        else if (compare(&own->sites[i], best) < 0)
            source_result_warn(s->result, "host-behind", "%s has set %llu only",
                               own->sites[i].set_at->host,
                               (unsigned long long)own->sites[i].set.set.sequence);
    if (best->gap)
        source_result_warn(s->result, "gap", "not all of the sets %llu to %llu were seen",
                           (unsigned long long)s->previous.floor_sequence + 1,
                           (unsigned long long)best->set.set.sequence - 1);
    for (size_t i = 0; i < own->documents.n; i++)
        if (is_revoked(own, &own->documents.releases[i].payload_hash))
            source_result_warn(s->result, "revoked", "release %llu was revoked",
                               (unsigned long long)own->documents.releases[i].id);
}

static void sooner(uint64_t *until, uint64_t other)
{
    if (other < *until)
        *until = other;
}

static void set_times(struct source *s, struct source_result *r)
{
    const struct site *site = own_of(s)->best;
    const struct msig_root *root = &site->roots.last;
    uint64_t until = site->set.set.valid_until_s, issued = site->set.set.issued_at_s;

    if (root->epoch > 0)
        sooner(&until, root->valid_until_s);
    if (root->fresh.n > 0) {
        sooner(&until, site->fresh.freshness.valid_until_s);
        issued = site->fresh.freshness.issued_at_s;
    }
    r->valid_until_s = source_clamp_time(until - 1); /* ours is inclusive */
    /* never ahead of our clock: a set of a signer whose clock is does not make ours suspect */
    r->evidence_time_s =
        source_clamp_time(issued) < s->started_s ? source_clamp_time(issued) : s->started_s;
    r->life = (struct source_lifetime){.fresh_s = SIGNED_FRESH_S,
                                       .swr_s = SIGNED_SWR_S,
                                       .sie_s = SIGNED_SIE_S,
                                       .ceiling_s = SIGNED_CEILING_S};
    if (site->contracts != NULL)
        signed_contracts_facts(site->contracts, r);
}

static json_t *hosts_json(const struct source *s)
{
    json_t *out = json_array();
    for (size_t i = 0; i < s->previous.n_hosts; i++)
        (void)json_array_append_new(out, json_string(s->previous.hosts[i]));
    return out;
}

/* What the next attempt begins with, whatever becomes of this one: roots and revocations that were
 * verified, and the hosts, for who asks after a restart without naming one. */
static bool set_carry(struct source *s)
{
    const struct own *own = own_of(s);
    json_t *docs = json_array(), *gone = json_object_get(s->previous.carry, "gone");

    for (size_t i = 0; docs != NULL && i < own->top.n; i++)
        if (json_array_append(docs, own->top.docs[i]) != 0) {
            json_decref(docs);
            docs = NULL;
        }
    s->carry = json_pack("{s:o, s:O, s:o}", "roots", docs, "revocations", own->revocations, "hosts",
                         hosts_json(s));
    if (s->carry != NULL && gone != NULL)
        (void)json_object_set(s->carry, "gone", gone);
    if (s->carry == NULL)
        (void)source_fail(s, MS_ERR_MEMORY, NULL);
    return s->carry != NULL;
}

static bool add_gone(struct source *s)
{
    const struct own *own = own_of(s);
    json_t *gone = signed_contracts_gone_json(s, own->best->contracts, &own->top.last.signers);

    if (gone == NULL)
        return false;
    if (json_array_size(gone) > 0)
        return json_object_set_new(s->carry, "gone", gone) == 0;
    json_decref(gone);
    (void)json_object_del(s->carry, "gone");
    return true;
}

/* What was taken away: revoked payloads, and signatures that the newest state of their contracts
 * does not know any more. */
static enum ms_err overlay_of(const struct own *own, struct ms_sha256 *ret)
{
    struct ms_buf text = MS_BUF_INIT((size_t)1 << 16);

    (void)ms_buf_add(&text, ms_span_of(own->revoked, own->n_revoked * sizeof(own->revoked[0])));
    if (own->best->contracts != NULL)
        (void)signed_contracts_add_gone(own->best->contracts, &text);
    enum ms_err err = ms_buf_err(&text);
    *ret = (struct ms_sha256){{0}};
    if (err == MS_OK && text.len > 0)
        *ret = ms_sha256(ms_buf_span(&text));
    ms_buf_done(&text);
    return err;
}

static bool in_force(const struct own *own, size_t release)
{
    return !own->best->gone && !is_revoked(own, &own->documents.releases[release].payload_hash);
}

static enum source_state finish(struct source *s)
{
    struct own *own = own_of(s);
    struct source_result *r = source_result_begin(s);

    if (r == NULL)
        return source_fail(s, MS_ERR_MEMORY, NULL);
    for (size_t i = 0; i < own->documents.n; i++) {
        if (in_force(own, i) && !documents_add_release(s, &own->documents, i))
            return SOURCE_FAILED;
    }
    r->trust = SOURCE_TRUST_SIGNERS;
    r->trust_k = (uint32_t)own->best->tally.n_counted;
    r->trust_n = (uint32_t)own->best->roots.last.signers.n;
    r->has_sequence = true;
    r->epoch = own->best->roots.last.epoch;
    r->sequence = own->best->set.set.sequence;
    r->previous_set = own->best->set.set.previous;
    memcpy(r->commitment.b, own->best->set.set_hash.b, MS_SHA256_BYTES);
    enum ms_err err = overlay_of(own, &r->overlay);
    r->has_head = true; /* whatever was revoked once is in every answer */
    r->carry = add_gone(s) ? json_incref(s->carry) : NULL;
    r->governance = governance_json(s);
    if (err != MS_OK || r->governance == NULL || r->carry == NULL)
        return source_fail(s, MS_ERR_MEMORY, NULL);
    set_times(s, r);
    add_warnings(s);
    return source_finish(s);
}

/* ---- documents ---- */

/* A host that leaves out the payloads of a set does not keep them from those who have them of
 * another. */
static void borrow_payloads(struct own *own)
{
    struct msig_release_set *best = &own->best->set.set;

    for (size_t k = 0; k < own->n_sites; k++) {
        const struct site *site = &own->sites[k];
        if (site->err != MS_OK || !eth_hash_eq(&site->set.set_hash, &own->best->set.set_hash))
            continue;
        for (size_t i = 0; i < best->n_releases; i++)
            if (best->releases[i].payload.len == 0)
                best->releases[i].payload = site->set.set.releases[i].payload;
    }
}

static bool ask_documents(struct source *s)
{
    struct own *own = own_of(s);
    struct documents *d = &own->documents;

    borrow_payloads(own);
    if (!documents_of_set(s, d, &own->best->set.set))
        return false;
    for (size_t i = 0; i < d->n; i++)
        d->unneeded[i] = d->unneeded[i] || !in_force(own, i);
    return documents_ask(s, d);
}

static enum source_state sites_done(struct source *s)
{
    struct own *own = own_of(s);

    for (size_t i = 0; i < own->n_sites; i++)
        if (!own->sites[i].done || own->sites[i].out > 0)
            return SOURCE_WANTS;
    if (!collect_revocations(s) || !set_carry(s) || !choose(s) || !ask_documents(s))
        return SOURCE_FAILED;
    return own->documents.out > 0 ? SOURCE_WANTS : finish(s);
}

/* ---- the machine ---- */

static enum source_state start(struct source *s)
{
    struct own *own = own_of(s);

    for (size_t i = 0; i < own->n_sites; i++) {
        own->sites[i].roots = own->known;
        if (!ask_root(s, &own->sites[i]))
            return SOURCE_FAILED;
    }
    return SOURCE_WANTS;
}

/* A response of a contract's chain, or to a wait, which is for all of them. */
static bool take_chain(struct source *s, const struct source_response *response, struct ms_now now)
{
    struct own *own = own_of(s);
    bool ok = true;

    if (response->id <= SOURCE_REQUESTS_MAX)
        ok = signed_contracts_take(s, own->routes, response, now);
    for (size_t i = 0; ok && i < own->n_sites; i++) {
        struct site *site = &own->sites[i];
        if (site->contracts == NULL || site->done)
            continue;
        if (response->id > SOURCE_REQUESTS_MAX)
            ok = signed_contracts_waited(s, own->routes, site->contracts, response, now);
        ok = ok && judge_contracts(s, site);
    }
    return ok;
}

static bool is_chain(const struct own *own, const struct source_response *response)
{
    return response->id > SOURCE_REQUESTS_MAX || own->routes[response->id].all != NULL;
}

static enum source_state signed_step(struct source *s, const struct source_response *response,
                                     struct ms_now now)
{
    struct own *own = own_of(s);

    /* ages are counted from the start, so that a replay sees the same */
    if (response == NULL)
        return start(s);
    if (is_chain(own, response)) {
        if (!take_chain(s, response, now))
            return SOURCE_FAILED;
        return own->best != NULL ? s->state : sites_done(s);
    }
    const struct ask *asked = &own->asks[response->id];
    if (asked->file == FILE_NONE) {
        if (!documents_take(s, &own->documents, response))
            return s->err == MS_OK ? s->state : SOURCE_FAILED;
        return own->documents.out > 0 ? SOURCE_WANTS : finish(s);
    }
    if (!take_file(s, asked->site, asked->file, response, now))
        return SOURCE_FAILED;
    return sites_done(s);
}

/* ---- where ---- */

static enum ms_err add_site(struct source *s, struct ms_span folder,
                            const struct spec_location *set_at, struct ms_diag *diag)
{
    struct own *own = own_of(s);
    struct site *site = &own->sites[own->n_sites];

    site->folder = folder;
    site->set_at = set_at;
    enum ms_err err =
        set_at == NULL ? set_locate(folder, "set.json", &s->arena, &site->set_at, diag) : MS_OK;
    if (err == MS_OK)
        own->n_sites++;
    return err;
}

/* at= may name the folder, or the set in it. */
static enum ms_err site_of_at(struct source *s, struct ms_diag *diag)
{
    struct ms_span folder = set_folder_of_at(s->spec);
    bool whole = folder.len == strlen(s->spec->at.url);

    return add_site(s, folder, whole ? NULL : &s->spec->at, diag);
}

static enum ms_err site_of_host(struct source *s, const char *host, struct ms_diag *diag)
{
    struct ms_span folder = set_folder_of_host(host, &s->arena);
    return folder.len == 0 ? MS_ERR_MEMORY : add_site(s, folder, NULL, diag);
}

/* A host that cannot be one of ours spoils nothing for the others. */
static enum ms_err find_sites(struct source *s, struct ms_diag *diag)
{
    if (s->spec->at.url != NULL)
        return site_of_at(s, diag);
    for (size_t i = 0; i < s->previous.n_hosts; i++) {
        enum ms_err err = site_of_host(s, s->previous.hosts[i], diag);
        if (err != MS_OK && i + 1 == s->previous.n_hosts && own_of(s)->n_sites == 0)
            return err;
    }
    if (own_of(s)->n_sites > 0)
        return MS_OK;
    return ms_diag_set(diag, MS_ERR_UNAVAILABLE,
                       "signers do not say where their set is: ask with the whole URL "
                       "https://SIGNERS@HOST, or add ;at=<base64url of an https URL>");
}

enum ms_err source_signed_init(struct source *s, struct ms_now now, struct ms_diag *diag)
{
    struct own *own = ms_arena_alloc(&s->arena, 1, sizeof(*own));

    (void)now;
    if (own == NULL)
        return MS_ERR_MEMORY;
    s->kind_state = own;
    s->step = signed_step;
    own->app = set_app(s->spec);
    enum ms_err err = take_known_roots(s, diag);
    return err == MS_OK ? find_sites(s, diag) : err;
}
