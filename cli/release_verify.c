/* cli/release_verify.c - a document against signers, offline: the steps of docs/signed-sets.md,
 * each told. What only a chain knows (contracts that sign) is neither yes nor no. */
#include "cli/release.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#define ROOTS_MAX 64

enum verdict { REFUSED = 0, UNSURE, GOOD };

struct wish { /* the command line */
    const char *signers, *app, *freshness, *revocations, *now, *floor;
    const char *roots[ROOTS_MAX];
    size_t n_roots;
};

struct check {
    const struct cli *cli;
    const struct wish *wish;
    int64_t now_s;
    struct ms_span app; /* wanted */
    bool any_app;       /* no app is wanted: that of the document is told */
    uint64_t seq;       /* seq= of the specifier */
    struct msig_floor floor;
    bool floor_hash; /* the floor has a set hash */

    struct msig_root root;     /* in force; epoch 0 for the list of the specifier */
    struct release_doc *holds; /* the roots that were read, n_holds: they own the apps */
    size_t n_holds;
    struct release_doc doc;            /* what is verified */
    struct release_doc fresh, revoked; /* beside a set; when their files were given */
    struct msig_tally tally;

    enum verdict verdict; /* the worst so far */
    json_t *steps;        /* with --json */
};

static void tell(struct check *c, enum verdict verdict, const char *step, const char *fmt, ...)
    MS_PRINTF(4, 5);

static void tell(struct check *c, enum verdict verdict, const char *step, const char *fmt, ...)
{
    static const char *const names[] = {[REFUSED] = "refused", [UNSURE] = "unknown", [GOOD] = "ok"};
    struct ms_diag text = {0};
    va_list args;

    va_start(args, fmt);
    (void)ms_diag_setv(&text, MS_OK, fmt, args);
    va_end(args);
    if (verdict < c->verdict)
        c->verdict = verdict;
    if (c->steps != NULL)
        (void)json_array_append_new(c->steps, json_pack("{s:s, s:s, s:s}", "step", step, "verdict",
                                                        names[verdict], "text", text.text));
    else
        printf("%-8s %-12s %s\n", names[verdict], step, text.text);
}

/* ---- step 2: the application ---- */
static void check_app(struct check *c, struct ms_span app)
{
    struct ms_buf got = MS_BUF_INIT(2048), want = MS_BUF_INIT(2048);

    (void)release_quote(app, &got);
    (void)release_quote(c->app, &want);
    const char *a = ms_buf_str(&got), *b = ms_buf_str(&want);
    if (a == NULL || b == NULL)
        tell(c, UNSURE, "app", "%s", ms_err_text(MS_ERR_MEMORY));
    else if (c->any_app)
        tell(c, GOOD, "app", "%.100s, not compared: --app says which one is meant", a);
    else
        tell(c, ms_span_eq(app, c->app) ? GOOD : REFUSED, "app", "%.100s%s%.100s", a,
             ms_span_eq(app, c->app) ? "" : " instead of ", ms_span_eq(app, c->app) ? "" : b);
    /* every other document must agree with this one */
    c->app = app;
    c->root.app = app;
    ms_buf_done(&got);
    ms_buf_done(&want);
}

/* ---- roots ---- */
static void follow(struct check *c, const struct msig_root_doc *doc)
{
    struct ms_diag diag = {0};

    enum ms_err err = msig_root_follows(doc, &c->root, &diag);
    if (err != MS_OK)
        tell(c, REFUSED, "root", "%s", ms_diag_text(&diag, err));
    else
        tell(c, GOOD, "root",
             "epoch %" PRIu64 ", signed by %lu of the %zu signers before and %lu of its own %zu",
             doc->root.epoch, (unsigned long)c->root.signers.threshold, c->root.signers.n,
             (unsigned long)doc->root.signers.threshold, doc->root.signers.n);
    c->root = doc->root;
}

/* Only the last one's end counts. */
static void check_root_time(struct check *c)
{
    struct ms_diag diag = {0};

    if (c->root.epoch == 0)
        return;
    enum ms_err err = msig_root_time(&c->root, c->now_s, &diag);
    tell(c, err == MS_OK ? GOOD : REFUSED, "root", "%s",
         err == MS_OK ? "the last one is valid now" : ms_diag_text(&diag, err));
}

/* ---- steps 3 and 4: signatures ---- */
/* Whether enough of the list have signed. */
static enum verdict check_signatures(struct check *c, const struct eth_hash *digest,
                                     const struct msig_signatures *signatures,
                                     const struct msig_signers *list, const char *step,
                                     const char *whose)
{
    struct ms_diag diag = {0};

    enum ms_err err = msig_tally(digest, signatures, list, &c->tally, &diag);
    if (err != MS_OK) {
        tell(c, REFUSED, step, "%s", ms_diag_text(&diag, err));
        return REFUSED;
    }
    unsigned long need = (unsigned long)list->threshold;
    switch (msig_met(&c->tally, list)) {
    case MSIG_MET:
        tell(c, GOOD, step, "%zu good signatures of %zu %s, %lu are needed", c->tally.n_counted,
             list->n, whose, need);
        return GOOD;
    case MSIG_PENDING:
        tell(
            c, UNSURE, step,
            "%zu good signatures of %zu %s, %lu are needed; %zu contracts are said to have signed, "
            "which only their chain can tell",
            c->tally.n_counted, list->n, whose, need, c->tally.n_unresolved);
        return UNSURE;
    case MSIG_SHORT:
        break;
    }
    tell(c, REFUSED, step, "%zu good signatures of %zu %s, %lu are needed", c->tally.n_counted,
         list->n, whose, need);
    return REFUSED;
}

/* ---- step 5: order ---- */
static void check_order(struct check *c, const struct msig_set_doc *set)
{
    static const struct {
        enum verdict verdict;
        const char *text;
    } orders[] = {
        [MSIG_ORDER_ROLLBACK] = {REFUSED, "below the floor: a rollback"},
        [MSIG_ORDER_CONFLICT] = {REFUSED, "the floor's sequence with another set hash: a conflict"},
        [MSIG_ORDER_BROKEN] = {REFUSED, "follows the floor, but its previous is not the floor's"},
        [MSIG_ORDER_SAME] = {GOOD, "the set of the floor"},
        [MSIG_ORDER_FIRST] = {GOOD, "a new epoch"},
        [MSIG_ORDER_NEXT] = {GOOD, "follows the floor"},
        [MSIG_ORDER_GAP] = {GOOD, "above the floor; sets between them are missing"},
    };
    struct msig_set_doc looked_at = *set;

    if (set->set.sequence < c->seq) {
        tell(c, REFUSED, "order", "sequence %" PRIu64 ", seq= asks for %" PRIu64 " at least",
             set->set.sequence, c->seq);
        return;
    }
    if (!c->floor.known) {
        tell(c, GOOD, "order",
             "epoch %" PRIu64 ", sequence %" PRIu64 "; no --floor to compare with", c->root.epoch,
             set->set.sequence);
        return;
    }
    if (!c->floor_hash) { /* a floor of two numbers: nothing to compare hashes with */
        looked_at.set_hash = c->floor.set_hash;
        looked_at.set.previous = c->floor.set_hash;
    }
    enum msig_order order = msig_set_order(&looked_at, c->root.epoch, &c->floor);
    tell(c, orders[order].verdict, "order", "epoch %" PRIu64 ", sequence %" PRIu64 ": %s",
         c->root.epoch, set->set.sequence, orders[order].text);
}

/* ---- step 6: time ---- */
static void check_time(struct check *c, enum ms_err err, const struct ms_diag *diag,
                       const char *step)
{
    tell(c, err == MS_OK ? GOOD : REFUSED, step, "%s",
         err == MS_OK ? "issued, not over, and not too long" : ms_diag_text(diag, err));
}

/* ---- what roots add ---- */
static void check_statement(struct check *c, const struct msig_freshness_doc *doc)
{
    struct ms_diag diag = {0};

    if (!ms_span_eq(doc->freshness.app, c->app))
        tell(c, REFUSED, "freshness", "it is of another app");
    if (c->root.fresh.n == 0) {
        tell(c, REFUSED, "freshness", "the root in force names no freshSigners");
        return;
    }
    (void)check_signatures(c, &doc->digest, &doc->signatures, &c->root.fresh, "freshness",
                           "freshSigners");
    check_time(c, msig_freshness_time(&doc->freshness, c->now_s, &diag), &diag, "freshness");
}

/* Required when the root names freshSigners; and then it names the newest set. */
static void check_freshness(struct check *c, const struct msig_set_doc *set)
{
    const struct msig_freshness *fresh = &c->fresh.freshness.freshness;
    struct msig_tally of_set = c->tally;

    if (c->wish->freshness == NULL) {
        if (c->root.fresh.n > 0)
            tell(c, REFUSED, "freshness", "the root asks for a statement: --freshness FILE");
        return;
    }
    check_statement(c, &c->fresh.freshness);
    c->tally = of_set;
    bool names =
        fresh->sequence == set->set.sequence && eth_hash_eq(&fresh->set_hash, &set->set_hash);
    tell(c, names ? GOOD : REFUSED, "freshness", "it names %s set, sequence %" PRIu64,
         names ? "this" : "another", fresh->sequence);
}

/* What a revocation that counts does to the set. */
static void apply_revocation(struct check *c, const struct msig_revocation *revocation,
                             const struct msig_set_doc *set)
{
    for (size_t i = 0; set != NULL && i < set->set.n_releases; i++)
        if (ms_sha256_eq(&set->set.releases[i].payload_hash, &revocation->payload_hash))
            tell(c, GOOD, "revocations", "release %" PRIu64 " of the set is revoked: not served",
                 set->set.releases[i].id);
}

static void check_revocation(struct check *c, const struct msig_revocation_doc *doc, size_t i,
                             const struct msig_set_doc *set)
{
    struct ms_diag diag = {0};
    struct msig_tally tally;

    if (!ms_span_eq(doc->revocation.app, c->app)) {
        tell(c, REFUSED, "revocations", "entry %zu is of another app", i + 1);
        return;
    }
    enum ms_err err = msig_tally(&doc->digest, &doc->signatures, &c->root.revokers, &tally, &diag);
    bool counts = err == MS_OK && tally.n_counted > 0;
    if (err != MS_OK)
        tell(c, REFUSED, "revocations", "entry %zu: %s", i + 1, ms_diag_text(&diag, err));
    else if (!counts && tally.n_unresolved > 0)
        tell(c, UNSURE, "revocations", "entry %zu: of a contract, which only its chain can tell",
             i + 1);
    else
        /* beside a set an entry of somebody else is nobody's business; alone it is what is asked */
        tell(c, counts || set != NULL ? GOOD : REFUSED, "revocations",
             "entry %zu, of release %" PRIu64 ": %s", i + 1, doc->revocation.release_id,
             counts ? "signed by a revoker" : "not signed by a revoker, of no effect");
    if (counts)
        apply_revocation(c, &doc->revocation, set);
}

static void check_revocations(struct check *c, const struct release_doc *doc,
                              const struct msig_set_doc *set)
{
    for (size_t i = 0; i < doc->n_revocations; i++)
        check_revocation(c, &doc->revocations[i], i, set);
}

/* ---- a document ---- */
static void check_set(struct check *c)
{
    const struct msig_set_doc *set = &c->doc.set;
    struct ms_diag diag = {0};

    (void)check_signatures(c, &set->digest, &set->signatures, &c->root.signers, "signatures",
                           "signers");
    check_order(c, set);
    check_time(c, msig_set_time(&set->set, c->now_s, &diag), &diag, "time");
    check_freshness(c, set);
    check_revocations(c, &c->revoked, set);
}

static void check_doc(struct check *c)
{
    switch (c->doc.kind) {
    case RELEASE_SET:
        check_set(c);
        break;
    case RELEASE_ROOT:
        follow(c, &c->doc.root);
        check_root_time(c);
        break;
    case RELEASE_FRESHNESS:
        check_statement(c, &c->doc.freshness);
        break;
    case RELEASE_REVOCATIONS:
        check_revocations(c, &c->doc, NULL);
        break;
    }
}

static struct ms_span app_of(const struct release_doc *doc)
{
    switch (doc->kind) {
    case RELEASE_SET:
        return doc->set.set.app;
    case RELEASE_ROOT:
        return doc->root.root.app;
    case RELEASE_FRESHNESS:
        return doc->freshness.freshness.app;
    case RELEASE_REVOCATIONS:
        break;
    }
    return doc->n_revocations == 0 ? ms_span_str("") : doc->revocations[0].revocation.app;
}

static json_t *signers_json(const struct check *c)
{
    json_t *list = json_array();
    char text[ETH_ADDR_TEXT + 1];

    for (size_t i = 0; c->doc.kind == RELEASE_SET && i < c->root.signers.n; i++) {
        if (!c->tally.counted[i])
            continue;
        eth_addr_text(&c->root.signers.addrs[i], text);
        (void)json_array_append_new(list, json_string(text));
    }
    return list;
}

static int conclude(struct check *c)
{
    static const struct {
        const char *word;
        int code;
    } ends[] = {[REFUSED] = {"refused", CLI_NO},
                [UNSURE] = {"unknown", CLI_UNKNOWN},
                [GOOD] = {"valid", CLI_YES}};
    const char *word = ends[c->verdict].word;
    int code = ends[c->verdict].code;

    if (c->steps == NULL) {
        printf("%s\n", word);
        return fflush(stdout) == 0 ? code : CLI_UNKNOWN;
    }
    json_t *root = json_pack("{s:s, s:s, s:I, s:o, s:O}", "verdict", word, "kind",
                             release_kind_name(c->doc.kind), "epoch", (json_int_t)c->root.epoch,
                             "signers", signers_json(c), "steps", c->steps);
    return cli_print_json(c->cli, root, code);
}

/* All files, before anything is told. CLI_YES, or the exit code after the words. */
static int read_all(struct check *c, const char *path)
{
    const struct wish *w = c->wish;
    int code = release_read(c->cli, path, &c->doc);

    for (size_t i = 0; code == CLI_YES && i < w->n_roots; i++) {
        release_doc_init(&c->holds[i]);
        c->n_holds = i + 1;
        code = release_read_kind(c->cli, "--root", w->roots[i], RELEASE_ROOT, &c->holds[i]);
    }
    if (code == CLI_YES && w->freshness != NULL)
        code = release_read_kind(c->cli, "--freshness", w->freshness, RELEASE_FRESHNESS, &c->fresh);
    if (code == CLI_YES && w->revocations != NULL)
        code = release_read_kind(c->cli, "--revocations", w->revocations, RELEASE_REVOCATIONS,
                                 &c->revoked);
    if (code == CLI_YES && c->doc.kind != RELEASE_SET &&
        (w->freshness != NULL || w->revocations != NULL || w->floor != NULL)) {
        cli_say(c->cli, "--freshness, --revocations and --floor are for a release set; %s is a %s",
                path, release_kind_name(c->doc.kind));
        code = CLI_USAGE;
    }
    return code;
}

/* The roots in the order they were given, then the document. */
static int run(struct check *c, const char *path)
{
    int code = read_all(c, path);

    if (code != CLI_YES)
        return code;
    tell(c, GOOD, "document", "a well-formed %s", release_kind_name(c->doc.kind));
    check_app(c, app_of(&c->doc));
    for (size_t i = 0; i < c->n_holds; i++)
        follow(c, &c->holds[i].root);
    if (c->doc.kind != RELEASE_ROOT)
        check_root_time(c);
    check_doc(c);
    return conclude(c);
}

/* ---- the command line ---- */
/* A list of signers, or a specifier or URL with options: then its app= is what is wanted. */
static bool take_signers(struct check *c, struct spec *spec)
{
    struct ms_diag diag = {0};
    struct spec_url url;

    enum ms_err err = spec_parse_any(ms_span_str(c->wish->signers), NULL, spec, &url, &diag);
    if (err == MS_OK && spec->kind != SPEC_SIGNERS)
        err = ms_diag_set(&diag, MS_ERR_SIGNERS, "it is a specifier of kind %s",
                          spec_kind_name(spec->kind));
    if (err != MS_OK) {
        cli_say(c->cli, "--signers %s: %s; it is a list such as 2of3:0x..,0x..,0x..",
                c->wish->signers, ms_diag_text(&diag, err));
        return false;
    }
    cli_say_warnings(c->cli, spec);
    c->root.signers.threshold = spec->signers.m;
    c->root.signers.n = spec->signers.n;
    for (size_t i = 0; i < spec->signers.n; i++)
        c->root.signers.addrs[i] = spec->signers.addr[i];
    const char *app = spec_option_value(spec, "app");
    if (c->wish->app != NULL && app != NULL && strcmp(app, c->wish->app) != 0) {
        cli_say(c->cli, "--app %s: the specifier says app=%s", c->wish->app, app);
        return false;
    }
    c->any_app = c->wish->app == NULL && spec->n_options == 0 && url.host == NULL;
    if (c->wish->app != NULL)
        app = c->wish->app;
    c->app = ms_span_str(app == NULL ? "" : app);
    c->seq = spec->seq;
    return true;
}

/* EPOCH:SEQUENCE or EPOCH:SEQUENCE:0xSETHASH */
static bool take_floor(struct check *c)
{
    struct ms_span rest = ms_span_str(c->wish->floor), epoch, sequence, hash = {0};

    if (c->wish->floor == NULL)
        return true;
    bool ok = ms_span_cut(rest, ':', &epoch, &rest);
    sequence = rest;
    if (ok && ms_span_cut(rest, ':', &sequence, &hash)) {
        c->floor_hash = true;
        ok = eth_data_fixed(hash, c->floor.set_hash.b, ETH_HASH_BYTES) == MS_OK;
    }
    c->floor.known =
        ok && ms_span_u64(epoch, &c->floor.epoch) && ms_span_u64(sequence, &c->floor.sequence);
    if (!c->floor.known)
        cli_say(c->cli, "--floor %s: not EPOCH:SEQUENCE or EPOCH:SEQUENCE:0xSETHASH",
                c->wish->floor);
    return c->floor.known;
}

static bool take_now(struct check *c)
{
    uint64_t now_s = release_now();

    if (!release_time(c->cli, "--now", c->wish->now, &now_s))
        return false;
    c->now_s = now_s > INT64_MAX ? INT64_MAX : (int64_t)now_s;
    return true;
}

int release_verify(struct cli *cli, int argc, char **argv)
{
    struct wish w = {0};
    const struct cli_option options[] = {{"signers", &w.signers, NULL},
                                         {"app", &w.app, NULL},
                                         {"freshness", &w.freshness, NULL},
                                         {"revocations", &w.revocations, NULL},
                                         {"now", &w.now, NULL},
                                         {"floor", &w.floor, NULL}};
    struct release_doc roots[ROOTS_MAX];
    struct check c = {.cli = cli, .wish = &w, .verdict = GOOD, .holds = roots};
    struct spec spec;
    const char *path;
    int code = CLI_USAGE;

    if (!release_repeated(cli, "root", &argc, argv, w.roots, ROOTS_MAX, &w.n_roots) ||
        !cli_args(cli, argc, argv, options, MS_ARRAY_LEN(options), "FILE|-", &path, 1, 1))
        return CLI_USAGE;
    if (w.signers == NULL) {
        cli_say(cli, "missing argument: --signers MofN:ADDRESS,..., who may sign");
        return CLI_USAGE;
    }
    spec_init(&spec);
    release_doc_init(&c.doc);
    release_doc_init(&c.fresh);
    release_doc_init(&c.revoked);
    if (take_signers(&c, &spec) && take_floor(&c) && take_now(&c)) {
        c.steps = cli->json ? json_array() : NULL;
        code = run(&c, path);
    }
    for (size_t i = 0; i < c.n_holds; i++)
        release_doc_done(&roots[i]);
    json_decref(c.steps);
    release_doc_done(&c.doc);
    release_doc_done(&c.fresh);
    release_doc_done(&c.revoked);
    spec_done(&spec);
    return code;
}
