/* cli/release_new.c - a release set from measurement documents, after the set before. */
#include "cli/release.h"

#include "base/base64.h"
#include "cli/lint_gate.h"
#include "cli/version.h"
#include "resolver/records/records.h"
#include "sig/message_json.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#define FILES_MAX 64
#define DROPS_MAX 64
#define DEFAULT_LIFE_S (30 * 86400)

struct wish { /* the command line */
    const char *app, *version, *id, *sequence, *not_before, *not_after, *issued_at, *valid_until,
        *days, *previous, *uri, *force;
    bool embed, no_embed;
    struct release_out out;
    const char *drops[DROPS_MAX], *files[FILES_MAX];
    size_t n_drops, n_files;
};

struct draft { /* what becomes the document */
    struct release_doc previous;
    struct msig_release releases[MSIG_RELEASES_MAX + 1];
    struct msig_release_set set;
    struct ms_buf payload; /* of the new release */
    json_t *payloads;      /* of the document */
};

/* ---- the payload of the new release ---- */
static enum ms_err canonical(struct ms_span document, struct ms_buf *out, struct ms_diag *diag)
{
    struct rec_set set;

    rec_set_init(&set);
    enum ms_err err = rec_parse(document, REC_MODE_DIALECTS, &set, diag);
    if (err == MS_OK)
        err = rec_set_canonical(&set, out);
    rec_set_done(&set);
    return err;
}

/* The records of one more document, whatever its dialect. */
static enum ms_err extend(struct ms_span document, json_t *list, struct ms_diag *diag)
{
    static const struct ms_json_limits limits = {(size_t)4 * REC_DOC_MAX_BYTES, 16, 65536, 0};
    struct ms_buf text = MS_BUF_INIT((size_t)4 * REC_DOC_MAX_BYTES);
    json_t *more = NULL;

    enum ms_err err = canonical(document, &text, diag);
    if (err == MS_OK)
        err = ms_json_parse(ms_buf_span(&text), &limits, &more, diag);
    if (err == MS_OK && json_array_extend(list, more) != 0)
        err = MS_ERR_MEMORY;
    json_decref(more);
    ms_buf_done(&text);
    return err;
}

/* Several documents become one: the canonical form of all their records, each once. */
static enum ms_err merge(const json_t *list, struct ms_buf *out, struct ms_diag *diag)
{
    struct ms_buf text = MS_BUF_INIT((size_t)4 * REC_DOC_MAX_BYTES);

    enum ms_err err = ms_json_dump(list, &text);
    if (err == MS_OK)
        err = canonical(ms_buf_span(&text), out, diag);
    ms_buf_done(&text);
    return err;
}

static int read_one(const struct cli *cli, const struct wish *w, const char *path,
                    struct ms_buf *document)
{
    struct ms_diag diag = {0};

    errno = 0;
    enum ms_err err = cli_read(path, document);
    if (err == MS_OK)
        return lint_gate(cli, path, ms_buf_span(document), w->force);
    (void)ms_diag_set(&diag, err, "%s: %s", path,
                      err == MS_ERR_IO ? strerror(errno) : ms_err_text(err));
    return cli_print_error(cli, err, &diag, cli_exit_of(err));
}

/* One document is published byte for byte, so that its SHA-256 is that of the file. */
static int read_payload(const struct cli *cli, const struct wish *w, struct draft *d)
{
    json_t *list = json_array();
    struct ms_diag diag = {0};
    enum ms_err err = MS_OK;
    int code = CLI_YES;

    if (w->n_files == 1)
        code = read_one(cli, w, w->files[0], &d->payload);
    for (size_t i = 0; w->n_files > 1 && code == CLI_YES && err == MS_OK && i < w->n_files; i++) {
        struct ms_buf document = MS_BUF_INIT(REC_DOC_MAX_BYTES);
        code = read_one(cli, w, w->files[i], &document);
        if (code == CLI_YES)
            err = extend(ms_buf_span(&document), list, &diag);
        ms_buf_done(&document);
    }
    if (w->n_files > 1 && code == CLI_YES && err == MS_OK)
        err = merge(list, &d->payload, &diag);
    json_decref(list);
    if (err != MS_OK)
        return cli_print_error(cli, err, &diag, cli_exit_of(err));
    return code;
}

/* ---- the releases that stay ---- */
static bool dropped(const struct wish *w, uint64_t id)
{
    uint64_t drop = 0;

    for (size_t i = 0; i < w->n_drops; i++)
        if (ms_span_u64(ms_span_str(w->drops[i]), &drop) && drop == id)
            return true;
    return false;
}

static bool drops_ok(const struct cli *cli, const struct wish *w, const struct draft *d)
{
    const struct msig_release_set *before = &d->previous.set.set;

    for (size_t i = 0; i < w->n_drops; i++) {
        uint64_t drop = 0;
        size_t at = before->n_releases;
        if (ms_span_u64(ms_span_str(w->drops[i]), &drop))
            for (at = 0; at < before->n_releases && before->releases[at].id != drop; at++)
                ;
        if (at < before->n_releases)
            continue;
        cli_say(cli, "--drop %s: the set before has no such release", w->drops[i]);
        return false;
    }
    return true;
}

static enum ms_err keep_payload(struct draft *d, const struct msig_release *release)
{
    struct ms_buf text = MS_BUF_INIT(2 * MSIG_DOC_MAX_BYTES);
    char key[2 + 2 * MS_SHA256_BYTES + 1] = "0x";

    ms_sha256_hex(&release->payload_hash, key + 2);
    enum ms_err err = ms_base64_encode(release->payload, &text);
    const char *value = err == MS_OK ? ms_buf_str(&text) : NULL;
    if (err == MS_OK &&
        (value == NULL || json_object_set_new(d->payloads, key, json_string(value)) != 0))
        err = MS_ERR_MEMORY;
    ms_buf_done(&text);
    return err;
}

static enum ms_err carry_over(const struct cli *cli, const struct wish *w, struct draft *d)
{
    const struct msig_release_set *before = &d->previous.set.set;

    for (size_t i = 0; i < before->n_releases; i++) {
        const struct msig_release *release = &before->releases[i];
        if (dropped(w, release->id)) {
            cli_say(cli, "release %" PRIu64 " is dropped", release->id);
            continue;
        }
        d->releases[d->set.n_releases++] = *release;
        if (release->payload.ptr == NULL)
            continue;
        enum ms_err err = keep_payload(d, release);
        if (err != MS_OK)
            return err;
    }
    return MS_OK;
}

/* ---- the new release ---- */
static bool parse_version(const struct cli *cli, const char *text, uint64_t *ret_version)
{
    if (version_parse(ms_span_str(text), ret_version))
        return true;
    cli_say(cli,
            "--version %s: neither a number nor MAJOR.MINOR.PATCH of at most "
            "65535.65535.4294967295",
            text);
    return false;
}

static bool location_ok(const struct cli *cli, const char *uri)
{
    struct ms_arena arena = MS_ARENA_INIT(65536);
    struct spec_location location;
    struct ms_diag diag = {0};

    enum ms_err err = spec_location_parse(ms_span_str(uri), &arena, &location, &diag);
    if (err != MS_OK)
        cli_say(cli, "--uri %s: %s", uri, ms_diag_text(&diag, err));
    ms_arena_done(&arena);
    return err == MS_OK;
}

/* CLI_YES, or CLI_USAGE after the words. */
static int new_release(const struct cli *cli, const struct wish *w, struct draft *d)
{
    const struct msig_release *last =
        d->set.n_releases == 0 ? NULL : &d->releases[d->set.n_releases - 1];
    const struct msig_release_set *before = &d->previous.set.set;
    struct msig_release *release = &d->releases[d->set.n_releases];
    /* after the highest that ever was in the set before: a dropped id does not come back */
    uint64_t id = before->n_releases == 0 ? 1 : before->releases[before->n_releases - 1].id + 1;

    *release = (struct msig_release){.not_before_s = d->set.issued_at_s,
                                     .approved_seq = d->set.sequence,
                                     .payload_format = rec_payload_format(ms_buf_span(&d->payload)),
                                     .payload_size = (uint32_t)d->payload.len,
                                     .payload_hash = ms_sha256(ms_buf_span(&d->payload)),
                                     .uri = ms_span_str(w->uri == NULL ? "" : w->uri)};
    if (!parse_version(cli, w->version, &release->version) ||
        !release_number(cli, "--id", w->id, UINT64_MAX, &id) ||
        !release_time(cli, "--not-before", w->not_before, &release->not_before_s) ||
        !release_time(cli, "--not-after", w->not_after, &release->not_after_s) ||
        (w->uri != NULL && !location_ok(cli, w->uri)))
        return CLI_USAGE;
    release->id = id;
    if (last != NULL && release->version <= last->version) {
        cli_say(cli, "--version %s: versions rise, and release %" PRIu64 " has %" PRIu64,
                w->version, last->id, last->version);
        return CLI_NO;
    }
    d->set.n_releases++;
    if (w->no_embed)
        return CLI_YES;
    release->payload = ms_buf_span(&d->payload);
    enum ms_err err = keep_payload(d, release);
    return err == MS_OK ? CLI_YES : cli_print_error(cli, err, NULL, CLI_UNKNOWN);
}

/* ---- the set ---- */
/* CLI_YES, or CLI_USAGE after the words. */
static int begin(const struct cli *cli, const struct wish *w, struct draft *d)
{
    const struct msig_release_set *before = &d->previous.set.set;
    bool follows = w->previous != NULL;

    d->set.releases = d->releases;
    d->set.app = w->app == NULL ? before->app : ms_span_str(w->app);
    d->set.sequence = follows ? before->sequence + 1 : 1;
    d->set.issued_at_s = release_now();
    if (follows)
        d->set.previous = d->previous.set.set_hash;
    if (!release_number(cli, "--sequence", w->sequence, UINT64_MAX, &d->set.sequence) ||
        !release_time(cli, "--issued-at", w->issued_at, &d->set.issued_at_s) ||
        !release_validity(cli, w->valid_until, w->days, d->set.issued_at_s, DEFAULT_LIFE_S,
                          &d->set.valid_until_s) ||
        !drops_ok(cli, w, d))
        return CLI_USAGE;
    if (follows && !ms_span_eq(d->set.app, before->app)) {
        cli_say(cli, "--app %s: the set before is of another application", w->app);
        return CLI_USAGE;
    }
    if (follows && d->set.sequence <= before->sequence) {
        cli_say(cli, "--sequence: the set before has %" PRIu64 ", sequences rise",
                before->sequence);
        return CLI_USAGE;
    }
    return CLI_YES;
}

/* As the readers will, at the time it is issued. */
static int check_time(const struct cli *cli, const struct draft *d)
{
    struct ms_diag diag = {0};

    if (d->set.issued_at_s > INT64_MAX)
        return cli_print_error(cli, MS_ERR_RANGE, NULL, CLI_NO);
    enum ms_err err = msig_set_time(&d->set, (int64_t)d->set.issued_at_s, &diag);
    return err == MS_OK ? CLI_YES : cli_print_error(cli, err, &diag, CLI_NO);
}

static int write_draft(const struct cli *cli, const struct wish *w, struct draft *d)
{
    json_t *tree = json_pack("{s:s, s:o, s:O, s:[]}", "type", "measured-release-set/1", "set",
                             msig_set_json(&d->set), "payloads", d->payloads, "signatures");

    if (tree == NULL) /* the texts of the command line are the only ones not looked at */
        return cli_print_error(cli, MS_ERR_UTF8, NULL, CLI_NO);
    int code = release_write(cli, tree, &w->out, NULL);
    json_decref(tree);
    if (code == CLI_YES)
        cli_say(cli,
                "release set %" PRIu64 " with %zu releases; compare it with `measuredctl "
                "release digest`, then sign it",
                d->set.sequence, d->set.n_releases);
    return code;
}

static int build(const struct cli *cli, const struct wish *w, struct draft *d)
{
    int code = CLI_YES;

    if (w->previous != NULL)
        code = release_read_kind(cli, "--previous", w->previous, RELEASE_SET, &d->previous);
    if (code == CLI_YES)
        code = begin(cli, w, d);
    if (code == CLI_YES) {
        enum ms_err err = carry_over(cli, w, d);
        if (err != MS_OK)
            code = cli_print_error(cli, err, NULL, CLI_UNKNOWN);
    }
    if (code == CLI_YES && w->n_files > 0)
        code = read_payload(cli, w, d);
    if (code == CLI_YES && w->n_files > 0)
        code = new_release(cli, w, d);
    if (code == CLI_YES)
        code = check_time(cli, d);
    return code == CLI_YES ? write_draft(cli, w, d) : code;
}

static bool wish_ok(const struct cli *cli, struct wish *w)
{
    while (w->n_files < FILES_MAX && w->files[w->n_files] != NULL)
        w->n_files++;
    if (w->n_files == 0 && w->previous == NULL)
        cli_say(cli, "missing argument: MEASUREMENTS.json, or --previous to issue a set again");
    else if (w->n_files == 0 && (w->version != NULL || w->id != NULL || w->uri != NULL))
        cli_say(cli, "--version, --id and --uri are of a new release: give its MEASUREMENTS.json");
    else if (w->n_files > 0 && w->version == NULL)
        cli_say(cli, "missing argument: --version N or MAJOR.MINOR.PATCH of the new release");
    else if (w->n_drops > 0 && w->previous == NULL)
        cli_say(cli, "--drop needs --previous");
    else if (w->embed && w->no_embed)
        cli_say(cli, "give --embed or --no-embed, not both");
    else if (w->no_embed && w->n_files > 0 && w->uri == NULL)
        cli_say(cli, "--no-embed needs --uri: where else would the measurements be?");
    else
        return true;
    return false;
}

int release_new(struct cli *cli, int argc, char **argv)
{
    struct wish w = {0};
    const struct cli_option options[] = {{"app", &w.app, NULL},
                                         {"version", &w.version, NULL},
                                         {"id", &w.id, NULL},
                                         {"sequence", &w.sequence, NULL},
                                         {"not-before", &w.not_before, NULL},
                                         {"not-after", &w.not_after, NULL},
                                         {"issued-at", &w.issued_at, NULL},
                                         {"valid-until", &w.valid_until, NULL},
                                         {"days", &w.days, NULL},
                                         {"previous", &w.previous, NULL},
                                         {"uri", &w.uri, NULL},
                                         {"force", &w.force, NULL},
                                         {"embed", NULL, &w.embed},
                                         {"no-embed", NULL, &w.no_embed},
                                         {"o", &w.out.path, NULL},
                                         {"replace", NULL, &w.out.replace}};
    struct draft d = {.payload = MS_BUF_INIT(REC_DOC_MAX_BYTES)};

    if (!release_repeated(cli, "drop", &argc, argv, w.drops, DROPS_MAX, &w.n_drops) ||
        !cli_args(cli, argc, argv, options, MS_ARRAY_LEN(options), "MEASUREMENTS.json", w.files, 0,
                  FILES_MAX) ||
        !wish_ok(cli, &w))
        return CLI_USAGE;
    release_doc_init(&d.previous);
    d.payloads = json_object();
    int code = build(cli, &w, &d);
    json_decref(d.payloads);
    ms_buf_done(&d.payload);
    release_doc_done(&d.previous);
    return code;
}
