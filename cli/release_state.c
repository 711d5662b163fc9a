/* cli/release_state.c - what stands beside a release set: roots, freshness, revocations. */
#include "cli/release.h"

#include "sig/message_json.h"

#include <inttypes.h>

#define ROOT_LIFE_S (365 * 86400)
#define FRESHNESS_LIFE_S 86400
#define HOUR_S 3600

/* {"type":TYPE,MEMBER:message,"signatures":[]}, written. Takes the reference of message. */
static int write_doc(const struct cli *cli, const char *type, const char *member, json_t *message,
                     const struct release_out *out)
{
    json_t *tree = json_pack("{s:s, s:o, s:[]}", "type", type, member, message, "signatures");

    if (tree == NULL)
        return cli_print_error(cli, MS_ERR_UTF8, NULL, CLI_NO);
    int code = release_write(cli, tree, out, NULL);
    json_decref(tree);
    return code;
}

/* ---- roots ---- */
struct root_wish {
    const char *app, *signers, *fresh, *revokers, *valid_until, *days, *previous;
    struct release_out out;
};

/* "none", or a list between commas of those who may each revoke. */
static bool take_revokers(const struct cli *cli, const char *text, struct msig_signers *out)
{
    struct ms_span rest = ms_span_str(text), one;
    char addr[ETH_ADDR_TEXT + 1];

    *out = (struct msig_signers){.threshold = 1};
    if (strcmp(text, "none") == 0)
        return true;
    while (rest.len > 0 && out->n < MSIG_SIGNERS_MAX) {
        one = rest;
        rest = ms_span_of(NULL, 0);
        (void)ms_span_cut(one, ',', &one, &rest);
        if (one.len >= sizeof(addr)) {
            cli_say(cli, "--revokers %s: not addresses between commas", text);
            return false;
        }
        memcpy(addr, one.ptr, one.len);
        addr[one.len] = '\0';
        if (!release_addr(cli, "--revokers", addr, &out->addrs[out->n]))
            return false;
        out->n++;
    }
    if (rest.len > 0)
        cli_say(cli, "--revokers: more than %d addresses", MSIG_SIGNERS_MAX);
    return rest.len == 0;
}

/* What the command line changes of `root`, which has the lists of the root before. */
static bool change_root(const struct cli *cli, const struct root_wish *w, struct msig_root *root)
{
    if (w->app != NULL)
        root->app = ms_span_str(w->app);
    if (w->signers != NULL && !release_signers(cli, "--signers", w->signers, &root->signers))
        return false;
    if (w->fresh != NULL && strcmp(w->fresh, "none") == 0)
        root->fresh = (struct msig_signers){0};
    else if (w->fresh != NULL && !release_signers(cli, "--fresh", w->fresh, &root->fresh))
        return false;
    if (w->revokers != NULL && !take_revokers(cli, w->revokers, &root->revokers))
        return false;
    return release_validity(cli, w->valid_until, w->days, release_now(), ROOT_LIFE_S,
                            &root->valid_until_s);
}

static int write_root(const struct cli *cli, const struct root_wish *w,
                      const struct msig_root *root)
{
    int code = write_doc(cli, "measured-root/1", "root", msig_root_json(root), &w->out);

    if (code == CLI_YES)
        cli_say(cli,
                "root of epoch %" PRIu64 "; it needs %lu signatures of its own signers and "
                "those of the list before it",
                root->epoch, (unsigned long)root->signers.threshold);
    return code;
}

int release_root_new(struct cli *cli, int argc, char **argv)
{
    struct root_wish w = {0};
    const struct cli_option options[] = {{"app", &w.app, NULL},
                                         {"signers", &w.signers, NULL},
                                         {"fresh", &w.fresh, NULL},
                                         {"revokers", &w.revokers, NULL},
                                         {"valid-until", &w.valid_until, NULL},
                                         {"days", &w.days, NULL},
                                         {"o", &w.out.path, NULL},
                                         {"replace", NULL, &w.out.replace}};
    struct msig_root root = {.epoch = 1, .revokers = {.threshold = 1}};

    if (!cli_args(cli, argc, argv, options, MS_ARRAY_LEN(options), "", NULL, 0, 0))
        return CLI_USAGE;
    if (w.signers == NULL) {
        cli_say(cli, "missing argument: --signers MofN:ADDRESS,...");
        return CLI_USAGE;
    }
    return change_root(cli, &w, &root) ? write_root(cli, &w, &root) : CLI_USAGE;
}

int release_root_rotate(struct cli *cli, int argc, char **argv)
{
    struct root_wish w = {0};
    const struct cli_option options[] = {{"previous", &w.previous, NULL},
                                         {"signers", &w.signers, NULL},
                                         {"fresh", &w.fresh, NULL},
                                         {"revokers", &w.revokers, NULL},
                                         {"valid-until", &w.valid_until, NULL},
                                         {"days", &w.days, NULL},
                                         {"o", &w.out.path, NULL},
                                         {"replace", NULL, &w.out.replace}};
    struct release_doc before;

    if (!cli_args(cli, argc, argv, options, MS_ARRAY_LEN(options), "", NULL, 0, 0))
        return CLI_USAGE;
    if (w.previous == NULL) {
        cli_say(cli, "missing argument: --previous N.root.json (`root new` makes the first)");
        return CLI_USAGE;
    }
    release_doc_init(&before);
    int code = release_read_kind(cli, "--previous", w.previous, RELEASE_ROOT, &before);
    if (code == CLI_YES) {
        struct msig_root root = before.root.root;
        root.epoch++;
        root.previous = before.root.root_hash;
        code = change_root(cli, &w, &root) ? write_root(cli, &w, &root) : CLI_USAGE;
    }
    release_doc_done(&before);
    return code;
}

/* ---- freshness ---- */
int release_freshness(struct cli *cli, int argc, char **argv)
{
    const char *set_path = NULL, *issued_at = NULL, *valid_until = NULL, *hours = NULL;
    struct release_out out = {0};
    const struct cli_option options[] = {{"set", &set_path, NULL},
                                         {"issued-at", &issued_at, NULL},
                                         {"valid-until", &valid_until, NULL},
                                         {"hours", &hours, NULL},
                                         {"o", &out.path, NULL},
                                         {"replace", NULL, &out.replace}};
    struct msig_freshness fresh = {.issued_at_s = release_now()};
    uint64_t n_hours = FRESHNESS_LIFE_S / HOUR_S;
    struct ms_diag diag = {0};
    struct release_doc set;

    if (!cli_args(cli, argc, argv, options, MS_ARRAY_LEN(options), "", NULL, 0, 0))
        return CLI_USAGE;
    if (set_path == NULL || (valid_until != NULL && hours != NULL)) {
        cli_say(cli, set_path == NULL ? "missing argument: --set SET, the newest one"
                                      : "give --valid-until or --hours, not both");
        return CLI_USAGE;
    }
    if (!release_time(cli, "--issued-at", issued_at, &fresh.issued_at_s) ||
        !release_number(cli, "--hours", hours, 24 * 365, &n_hours))
        return CLI_USAGE;
    fresh.valid_until_s = fresh.issued_at_s + n_hours * HOUR_S;
    if (!release_time(cli, "--valid-until", valid_until, &fresh.valid_until_s))
        return CLI_USAGE;
    release_doc_init(&set);
    int code = release_read_kind(cli, "--set", set_path, RELEASE_SET, &set);
    if (code == CLI_YES) {
        fresh.app = set.set.set.app;
        fresh.sequence = set.set.set.sequence;
        fresh.set_hash = set.set.set_hash;
        enum ms_err err = fresh.issued_at_s > INT64_MAX
                              ? MS_ERR_RANGE
                              : msig_freshness_time(&fresh, (int64_t)fresh.issued_at_s, &diag);
        code = err != MS_OK ? cli_print_error(cli, err, &diag, CLI_NO)
                            : write_doc(cli, "measured-freshness/1", "freshness",
                                        msig_freshness_json(&fresh), &out);
    }
    release_doc_done(&set);
    return code;
}

/* ---- revocations ---- */
struct revoke_wish {
    const char *set, *id, *reason, *issued_at, *append;
    struct release_out out;
};

/* The release of --set and --id, as a revocation. */
static int make_revocation(const struct cli *cli, const struct revoke_wish *w,
                           const struct release_doc *set, json_t **ret_message)
{
    struct msig_revocation revocation = {.app = set->set.set.app, .issued_at_s = release_now()};
    uint64_t reason = 0;
    size_t i = 0;

    if (!release_number(cli, "--id", w->id, UINT64_MAX, &revocation.release_id) ||
        !release_number(cli, "--reason", w->reason, UINT32_MAX, &reason) ||
        !release_time(cli, "--issued-at", w->issued_at, &revocation.issued_at_s))
        return CLI_USAGE;
    while (i < set->set.set.n_releases && set->set.set.releases[i].id != revocation.release_id)
        i++;
    if (i == set->set.set.n_releases) {
        cli_say(cli, "--id %s: %s has no such release", w->id, w->set);
        return CLI_NO;
    }
    revocation.reason = (uint32_t)reason;
    revocation.payload_hash = set->set.set.releases[i].payload_hash;
    *ret_message = msig_revocation_json(&revocation);
    return *ret_message == NULL ? cli_print_error(cli, MS_ERR_MEMORY, NULL, CLI_UNKNOWN) : CLI_YES;
}

/* Behind those that are there already: they never expire, so none may get lost. Takes `message`. */
static int append(const struct cli *cli, const struct revoke_wish *w, json_t *message)
{
    json_t *entry = json_pack("{s:o, s:[]}", "revocation", message, "signatures");
    struct release_doc before;
    int code = CLI_YES;

    release_doc_init(&before);
    if (w->append != NULL)
        code = release_read_kind(cli, "--append", w->append, RELEASE_REVOCATIONS, &before);
    else
        before.tree = json_pack("{s:s, s:[]}", "type", "measured-revocations/1", "revocations");
    if (code == CLI_YES &&
        json_array_append(json_object_get(before.tree, "revocations"), entry) != 0)
        code = cli_print_error(cli, MS_ERR_MEMORY, NULL, CLI_UNKNOWN);
    if (code == CLI_YES)
        code = release_write(cli, before.tree, &w->out, w->append);
    json_decref(entry);
    release_doc_done(&before);
    return code;
}

int release_revoke(struct cli *cli, int argc, char **argv)
{
    struct revoke_wish w = {0};
    const struct cli_option options[] = {{"set", &w.set, NULL},
                                         {"id", &w.id, NULL},
                                         {"reason", &w.reason, NULL},
                                         {"issued-at", &w.issued_at, NULL},
                                         {"append", &w.append, NULL},
                                         {"o", &w.out.path, NULL},
                                         {"replace", NULL, &w.out.replace}};
    struct release_doc set;
    json_t *message = NULL;

    if (!cli_args(cli, argc, argv, options, MS_ARRAY_LEN(options), "", NULL, 0, 0))
        return CLI_USAGE;
    if (w.set == NULL || w.id == NULL) {
        cli_say(cli, "missing argument: --set SET --id N, the release that must not run");
        return CLI_USAGE;
    }
    release_doc_init(&set);
    int code = release_read_kind(cli, "--set", w.set, RELEASE_SET, &set);
    if (code == CLI_YES)
        code = make_revocation(cli, &w, &set, &message);
    release_doc_done(&set);
    return code == CLI_YES ? append(cli, &w, message) : code;
}
