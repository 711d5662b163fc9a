/* cli/lint.c - mistakes in measurement documents, and in where they come from (rules L001.. of
 * docs/measurements.md). */
#include "cli/client.h"
#include "cli/lint_gate.h"
#include "cli/release.h"

#include <errno.h>
#include <stdio.h>

#define COOL_DOWN_H 24
#define HOUR_S 3600
#define INPUT_MAX_BYTES CLIENT_BODY_MAX_BYTES /* an envelope is larger than a document */

struct report {
    const struct cli *cli;
    int64_t now_s, cool_down_s;
    const char *where; /* "release 2: ", before a finding's record */
    json_t *findings;  /* with --json */
    size_t errors, others;
};

static void add_finding(const struct rec_finding *finding, void *arg)
{
    struct report *report = arg;
    const char *grade = lint_grade_name(finding->grade);
    char record[64 + REC_ID_MAX_BYTES];

    (void)snprintf(record, sizeof(record), "%s%s", report->where, finding->record);
    if (finding->grade == REC_GRADE_ERROR)
        report->errors++;
    else
        report->others++;
    if (report->findings != NULL)
        (void)json_array_append_new(report->findings,
                                    json_pack("{s:s,s:s,s:s,s:s}", "rule", finding->rule, "grade",
                                              grade, "record", record, "text", finding->text));
    else if (record[0] != '\0')
        printf("%s %s: %s: %s\n", finding->rule, grade, record, finding->text);
    else
        printf("%s %s: %s\n", finding->rule, grade, finding->text);
}

static void lint_document(struct report *report, struct ms_span document)
{
    (void)rec_lint(document, add_finding, report);
}

/* ---- what the daemon answered ---- */
static int64_t number_of(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    return json_is_integer(value) ? json_integer_value(value) : 0;
}

static enum rec_owner owner_of(const json_t *governance)
{
    static const struct {
        const char *name;
        enum rec_owner owner;
    } kinds[] = {{"account", REC_OWNER_ACCOUNT},
                 {"safe", REC_OWNER_SAFE},
                 {"timelock", REC_OWNER_TIMELOCK},
                 {"contract", REC_OWNER_CONTRACT}};
    struct ms_span kind = ms_json_member_str(governance, "owner_kind");
    struct ms_span owner = ms_json_member_str(governance, "owner");
    enum eth_checksum checksum;
    struct eth_addr addr;

    if (eth_addr_parse(owner, &addr, &checksum, NULL) == MS_OK && eth_addr_is_zero(&addr))
        return REC_OWNER_NOBODY;
    for (size_t i = 0; i < MS_ARRAY_LEN(kinds); i++)
        if (ms_span_eq_str(kind, kinds[i].name))
            return kinds[i].owner;
    /* a Safe that signs sets is its own owner */
    return ms_span_eq_str(ms_json_member_str(governance, "adapter"), "safe") ? REC_OWNER_SAFE
                                                                             : REC_OWNER_UNKNOWN;
}

/* "proof", "signers 2/3" and "self" (the document is in the specifier) need nobody's word. */
static const char *unproven(const json_t *envelope)
{
    struct ms_span trust = ms_json_member_str(envelope, "trust");

    if (trust.ptr == NULL || ms_span_eq_str(trust, "proof") || ms_span_eq_str(trust, "self") ||
        ms_span_starts(trust, "signers"))
        return NULL;
    return (const char *)trust.ptr;
}

/* The newest approval that is in force: when its release began to count, or when the source says.
 */
static struct rec_origin origin_of(const json_t *envelope, const struct report *report)
{
    const json_t *governance = json_object_get(envelope, "governance"), *release;
    struct rec_origin origin = {.owner = owner_of(governance),
                                .upgradeable =
                                    json_object_get(governance, "implementation") != NULL,
                                .paused = json_is_true(json_object_get(governance, "paused")),
                                .unproven = unproven(envelope),
                                .changed_s = number_of(governance, "updated_at"),
                                .now_s = report->now_s,
                                .cool_down_s = report->cool_down_s};
    size_t i;

    if (origin.changed_s == 0)
        origin.changed_s = number_of(governance, "issued_at");
    json_array_foreach(json_object_get(envelope, "releases"), i, release)
    {
        int64_t begun_s = number_of(release, "not_before");
        if (begun_s > origin.approved_s &&
            ms_span_eq_str(ms_json_member_str(release, "status"), "in-force"))
            origin.approved_s = begun_s;
    }
    if (origin.approved_s == 0)
        origin.approved_s = origin.changed_s;
    return origin;
}

/* All that is in force, as one document: that is what a proxy gets. */
static json_t *in_force(const json_t *envelope)
{
    const json_t *release, *predicate;
    json_t *all = json_array();
    size_t i, p;

    json_array_foreach(json_object_get(envelope, "releases"), i, release)
    {
        if (!ms_span_eq_str(ms_json_member_str(release, "status"), "in-force"))
            continue;
        (void)json_array_extend(all, json_object_get(release, "records"));
        json_array_foreach(json_object_get(release, "predicates"), p, predicate)
        {
            json_t *copy = json_deep_copy(predicate);
            (void)json_array_append_new(all, json_pack("{s:o}", "predicate", copy));
        }
    }
    return all;
}

static enum ms_err lint_envelope(struct report *report, const json_t *envelope)
{
    struct rec_origin origin = origin_of(envelope, report);
    struct ms_buf text = MS_BUF_INIT(INPUT_MAX_BYTES);
    json_t *all = in_force(envelope);

    enum ms_err err = ms_json_dump(all, &text);
    json_decref(all);
    if (err == MS_OK) {
        lint_document(report, ms_buf_span(&text));
        rec_lint_origin(&origin, add_finding, report);
    }
    ms_buf_done(&text);
    return err;
}

/* ---- a release set: each payload that is in it ---- */
static enum ms_err lint_set(struct report *report, struct ms_span text, struct ms_diag *diag)
{
    struct ms_arena arena = MS_ARENA_INIT(MSIG_DOC_ARENA_BYTES);
    struct rec_origin origin = {.now_s = report->now_s, .cool_down_s = report->cool_down_s};
    struct msig_set_doc doc;
    char where[64];

    enum ms_err err = msig_set_parse(text, &arena, &doc, diag);
    for (size_t i = 0; err == MS_OK && i < doc.set.n_releases; i++) {
        const struct msig_release *release = &doc.set.releases[i];
        (void)snprintf(where, sizeof(where), "release %llu: ", (unsigned long long)release->id);
        report->where = where;
        if (release->payload.ptr == NULL)
            cli_say(report->cli, "%sits payload is not in the document", where);
        else if (release->payload_format == 1)
            lint_document(report, release->payload);
        report->where = "";
        if (release->approved_seq == doc.set.sequence && release->not_before_s <= INT64_MAX &&
            (int64_t)release->not_before_s > origin.approved_s)
            origin.approved_s = (int64_t)release->not_before_s;
    }
    if (err == MS_OK) {
        if (doc.signatures.n == 0)
            origin.unproven = "nobody, it is not signed yet";
        rec_lint_origin(&origin, add_finding, report);
    }
    ms_arena_done(&arena);
    return err;
}

/* ---- inputs ---- */
enum input { INPUT_DOCUMENT = 0, INPUT_SET, INPUT_ENVELOPE };

/* By their members, before anything is judged. */
static enum input input_of(const json_t *tree)
{
    if (ms_span_eq_str(ms_json_member_str(tree, "type"), "measured-release-set/1"))
        return INPUT_SET;
    if (json_is_integer(json_object_get(tree, "v")) && json_object_get(tree, "specifier") != NULL &&
        json_is_array(json_object_get(tree, "releases")))
        return INPUT_ENVELOPE;
    return INPUT_DOCUMENT;
}

static int finish(const struct report *report)
{
    int code = report->errors > 0 ? CLI_NO : CLI_YES;

    if (report->findings != NULL)
        return cli_print_json(report->cli,
                              json_pack("{s:O,s:I}", "findings", report->findings, "errors",
                                        (json_int_t)report->errors),
                              code);
    cli_say(report->cli, "%zu errors, %zu other findings", report->errors, report->others);
    return fflush(stdout) == 0 ? code : CLI_UNKNOWN;
}

static int lint_text(struct report *report, struct ms_span text)
{
    static const struct ms_json_limits limits = {INPUT_MAX_BYTES, 32, (size_t)1 << 20, 0};
    struct ms_diag diag = {0};
    json_t *tree = NULL;
    enum ms_err err = MS_OK;

    /* what is no JSON is a document that is refused, with the words of its own reader */
    enum input input =
        ms_json_parse(text, &limits, &tree, NULL) == MS_OK ? input_of(tree) : INPUT_DOCUMENT;
    switch (input) {
    case INPUT_DOCUMENT:
        lint_document(report, text);
        break;
    case INPUT_SET:
        err = lint_set(report, text, &diag);
        break;
    case INPUT_ENVELOPE:
        err = lint_envelope(report, tree);
        break;
    }
    json_decref(tree);
    return err == MS_OK ? finish(report)
                        : cli_print_error(report->cli, err, &diag, cli_exit_of(err));
}

/* The document is elsewhere: the daemon knows it. */
static int lint_resolved(struct report *report, const char *arg)
{
    struct ms_buf target = MS_BUF_INIT(4 * SPEC_URL_MAX);
    struct client_subject subject;
    struct client_reply reply;
    struct ms_diag diag = {0};
    int code = client_subject(report->cli, arg, &subject);

    if (code != CLI_YES)
        return code;
    client_reply_init(&reply);
    enum ms_err err = client_target("/v1/resolve", &subject, &target);
    const struct client_ask ask = {
        .socket = "api.sock", .target = ms_buf_str(&target), .timeout_ms = CLIENT_TIMEOUT_MS};
    if (err == MS_OK)
        err = client_ask(report->cli, &ask, &reply, &diag);
    if (err != MS_OK)
        code = client_fail_err(report->cli, err, &diag);
    else if (reply.status != 200)
        code = client_fail_reply(report->cli, &reply);
    else
        code = lint_text(report, ms_buf_span(&reply.body));
    client_reply_done(&reply);
    ms_buf_done(&target);
    return code;
}

/* No such file: a specifier, whose document is in it or with the daemon. */
static int lint_specifier(struct report *report, const char *text)
{
    static const struct spec_context unread = {.inline_unread = true};
    const struct cli *cli = report->cli;
    struct ms_diag diag = {0};
    struct spec_url url;
    struct spec spec;
    int code;

    spec_init(&spec);
    enum ms_err err = spec_parse_any(ms_span_str(text), &unread, &spec, &url, &diag);
    if (err != MS_OK) {
        cli_say(cli, "'%.64s' is neither a file that is there nor a specifier", text);
        code = cli_print_error(cli, err, &diag, cli_exit_of(err));
    } else if (spec.kind == SPEC_INLINE) {
        cli_say_warnings(cli, &spec);
        lint_document(report, spec.document);
        code = finish(report);
    } else {
        code = lint_resolved(report, text);
    }
    spec_done(&spec);
    return code;
}

static int print_rules(const struct cli *cli)
{
    const struct rec_rule *rules;
    size_t n = rec_rules(&rules);
    json_t *list = json_array();

    for (size_t i = 0; i < n; i++)
        if (cli->json)
            (void)json_array_append_new(list,
                                        json_pack("{s:s,s:s,s:s,s:s}", "rule", rules[i].id, "grade",
                                                  lint_grade_name(rules[i].grade), "title",
                                                  rules[i].title, "why", rules[i].why));
        else
            printf("%s %s: %s\n    %s\n", rules[i].id, lint_grade_name(rules[i].grade),
                   rules[i].title, rules[i].why);
    if (cli->json)
        return cli_print_json(cli, list, CLI_YES);
    json_decref(list);
    return fflush(stdout) == 0 ? CLI_YES : CLI_UNKNOWN;
}

static int lint_arg(struct report *report, const char *arg)
{
    struct ms_buf document = MS_BUF_INIT(INPUT_MAX_BYTES);
    struct ms_diag diag = {0};
    int code;

    errno = 0;
    enum ms_err err = cli_read(arg, &document);
    if (err == MS_OK) {
        code = lint_text(report, ms_buf_span(&document));
    } else if (err == MS_ERR_IO && (errno == ENOENT || errno == ENAMETOOLONG || errno == ENOTDIR)) {
        code = lint_specifier(report, arg);
    } else {
        (void)ms_diag_set(&diag, err, "%s: %s", arg,
                          err == MS_ERR_IO ? strerror(errno) : ms_err_text(err));
        code = cli_print_error(report->cli, err, &diag, err == MS_ERR_LIMIT ? CLI_NO : CLI_UNKNOWN);
    }
    ms_buf_done(&document);
    return code;
}

int cli_lint(struct cli *cli, int argc, char **argv)
{
    const char *arg, *cool_down = NULL;
    bool rules = false;
    const struct cli_option options[] = {{"cool-down", &cool_down, NULL}, {"rules", NULL, &rules}};
    uint64_t hours = COOL_DOWN_H;

    if (!cli_args(cli, argc, argv, options, MS_ARRAY_LEN(options), "FILE|SPEC|URL|-", &arg, 0, 1) ||
        !release_number(cli, "--cool-down", cool_down, 24 * 365, &hours))
        return CLI_USAGE;
    if (rules == (arg != NULL)) {
        cli_say(cli, rules ? "--rules takes no argument" : "missing argument: FILE|SPEC|URL|-");
        return CLI_USAGE;
    }
    if (rules)
        return print_rules(cli);
    struct report report = {.cli = cli,
                            .now_s = (int64_t)release_now(),
                            .cool_down_s = (int64_t)hours * HOUR_S,
                            .where = "",
                            .findings = cli->json ? json_array() : NULL};
    int code = lint_arg(&report, arg);
    json_decref(report.findings);
    return code;
}
