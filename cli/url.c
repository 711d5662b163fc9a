/* cli/url.c - the one safe URL of a specifier. Whatever is written here has been read again. */
#include "cli/cli.h"

#include "base/base64.h"
#include "base/gzip.h"
#include "cli/release.h"

#include <errno.h>

struct wish { /* what was asked for on the command line */
    const char *host, *file, *location, *contract, *chain, *signers, *app, *at, *set, *option;
    bool strict;
};

/* Exactly one kind, and what belongs to it. */
static bool wish_ok(const struct cli *cli, const struct wish *w)
{
    size_t kinds = (size_t)(w->file != NULL) + (w->location != NULL) + (w->contract != NULL) +
                   (w->signers != NULL);
    uint64_t chain;

    if (w->host == NULL)
        cli_say(cli, "missing argument: --host HOST[:PORT]");
    else if (kinds != 1)
        cli_say(cli, "give exactly one of --inline, --location, --contract and --signers");
    else if (w->chain != NULL && w->contract == NULL && w->signers == NULL)
        cli_say(cli, "--chain belongs to --contract and --signers");
    else if (w->chain != NULL && !ms_span_u64(ms_span_str(w->chain), &chain))
        cli_say(cli, "--chain is a number");
    else if (w->signers == NULL && (w->app != NULL || w->at != NULL || w->set != NULL))
        cli_say(cli, "--app, --at and --set belong to --signers");
    else if (w->app != NULL && w->set != NULL)
        cli_say(cli, "--set has an app of its own: give it or --app");
    else
        return true;
    return false;
}

static enum ms_err add_inline(const struct wish *w, struct ms_buf *out, struct ms_diag *diag)
{
    struct ms_buf document = MS_BUF_INIT(SPEC_INLINE_MAX_BYTES);
    struct ms_buf packed = MS_BUF_INIT(2 * SPEC_INLINE_MAX_BYTES);

    enum ms_err err = cli_read(w->file, &document);
    if (err == MS_ERR_IO)
        (void)ms_diag_set(diag, err, "--inline %s: %s", w->file, strerror(errno));
    if (err == MS_ERR_LIMIT)
        (void)ms_diag_set(diag, err, "--inline %s: larger than %u bytes", w->file,
                          SPEC_INLINE_MAX_BYTES);
    if (err == MS_OK)
        err = ms_gzip(ms_buf_span(&document), &packed);
    if (err == MS_OK)
        err = ms_base64url_encode(ms_buf_span(&packed), out);
    ms_buf_done(&packed);
    ms_buf_done(&document);
    return err;
}

static enum ms_err add_location(const char *url, struct ms_buf *out, struct ms_diag *diag)
{
    struct ms_arena arena = MS_ARENA_INIT(65536);
    struct spec_location location;

    enum ms_err err = spec_location_parse(ms_span_str(url), &arena, &location, diag);
    if (err == MS_OK)
        err = ms_base64url_encode(ms_span_str(location.url), out);
    ms_arena_done(&arena);
    return err;
}

/* "2:0x.." gains its count; "2of3:0x.." is taken as it is. */
static enum ms_err add_list(const struct wish *w, struct ms_buf *out)
{
    struct ms_span text = ms_span_str(w->signers), m, list;
    size_t n = 1;

    if (!ms_span_cut(text, ':', &m, &list) || ms_span_find(m, 'o') != m.len)
        return ms_buf_add(out, text);
    for (size_t i = 0; i < list.len; i++)
        n += list.ptr[i] == ',';
    (void)ms_buf_add(out, m);
    (void)ms_buf_addf(out, "of%zu:", n);
    return ms_buf_add(out, list);
}

/* The list, what it signs and where that is: a name must not become an option of its own. */
static enum ms_err add_signers(const struct wish *w, struct ms_buf *out, struct ms_diag *diag)
{
    if (w->app != NULL && strchr(w->app, ';') != NULL)
        return ms_diag_set(diag, MS_ERR_OPT, "--app: a name in a specifier has no semicolon");
    enum ms_err err = add_list(w, out);
    if (err == MS_OK && w->app != NULL && w->app[0] != '\0')
        err = ms_buf_addf(out, ";app=%s", w->app);
    if (err == MS_OK && w->chain != NULL) /* where the contracts among them are */
        err = ms_buf_addf(out, ";chain=%s", w->chain);
    if (err == MS_OK && w->at != NULL)
        err = ms_buf_add_str(out, ";at=");
    if (err == MS_OK && w->at != NULL)
        err = add_location(w->at, out, diag);
    return err;
}

/* D, not judged yet but for what it is made of. */
static enum ms_err write_specifier(const struct wish *w, struct ms_buf *out, struct ms_diag *diag)
{
    enum ms_err err = MS_OK;

    if (w->file != NULL)
        err = add_inline(w, out, diag);
    else if (w->location != NULL)
        err = add_location(w->location, out, diag);
    else if (w->signers != NULL)
        err = add_signers(w, out, diag);
    else if (w->chain != NULL)
        err = ms_buf_addf(out, "eip155:%s:%s", w->chain, w->contract);
    else
        err = ms_buf_add_str(out, w->contract);
    if (err == MS_OK && w->option != NULL)
        err = ms_buf_addf(out, ";%s", w->option);
    return err;
}

static enum spec_kind wanted_kind(const struct wish *w)
{
    if (w->file != NULL)
        return SPEC_INLINE;
    if (w->location != NULL)
        return SPEC_LOCATION;
    return w->signers != NULL ? SPEC_SIGNERS : SPEC_CONTRACT;
}

/* The URL, read again: same meaning, same host. */
static enum ms_err write_url(const struct wish *w, const struct spec *spec, struct ms_buf *out,
                             struct ms_diag *diag)
{
    struct spec_url typed = {.host = w->host, .path = ""}, url = {0};
    struct spec again;

    spec_init(&again);
    enum ms_err err = cli_safe_url(spec, &typed, out);
    if (err == MS_ERR_LIMIT)
        (void)ms_diag_set(diag, err, "the specifier exceeds %u characters", SPEC_TEXT_MAX);
    if (err == MS_OK)
        err = spec_parse_url(ms_buf_span(out), NULL, &again, &url, diag);
    if (err == MS_OK && url.path[0] != '\0')
        err = ms_diag_set(diag, MS_ERR_URL, "--host takes a host and a port, no path");
    if (err == MS_OK && !ms_sha256_eq(&spec->key, &again.key))
        err = MS_ERR_INTERNAL;
    if (err == MS_OK) {
        ms_buf_reset(out);
        err = cli_safe_url(&again, &url, out);
    }
    spec_done(&again);
    return err;
}

/* With --set a URL that its signers' document fits: the app is that of the document, and enough of
 * the signers have signed it. CLI_YES, or the exit code after the words. */
static int check_set(const struct cli *cli, const struct wish *w, const struct spec *spec,
                     const struct release_doc *doc)
{
    struct msig_signers signers = {.threshold = spec->signers.m, .n = spec->signers.n};
    struct msig_tally tally;
    struct ms_diag diag = {0};

    if (w->set == NULL)
        return CLI_YES;
    for (size_t i = 0; i < signers.n; i++)
        signers.addrs[i] = spec->signers.addr[i];
    enum ms_err err = msig_tally(&doc->set.digest, &doc->set.signatures, &signers, &tally, &diag);
    if (err == MS_OK && msig_met(&tally, &signers) == MSIG_SHORT)
        err = ms_diag_set(&diag, MS_ERR_SIGNATURE, "%.100s: %zu of %lu signatures", w->set,
                          tally.n_counted, (unsigned long)signers.threshold);
    return err == MS_OK ? CLI_YES : cli_print_error(cli, err, &diag, cli_exit_of(err));
}

static int run(const struct cli *cli, const struct wish *w, const struct release_doc *doc)
{
    const struct spec_context context = {.eip55_strict = w->strict};
    struct ms_buf text = MS_BUF_INIT(2 * SPEC_INLINE_MAX_BYTES),
                  out = MS_BUF_INIT(4 * SPEC_URL_MAX);
    struct ms_diag diag = {0};
    struct spec spec;
    int code;

    spec_init(&spec);
    enum ms_err err = write_specifier(w, &text, &diag);
    if (err == MS_OK)
        err = spec_parse(ms_buf_span(&text), &context, &spec, &diag);
    if (err == MS_OK && spec.kind != wanted_kind(w))
        err = ms_diag_set(&diag, MS_ERR_ARGUMENT, "the value is a specifier of kind %s",
                          spec_kind_name(spec.kind));
    if (err == MS_OK)
        err = write_url(w, &spec, &out, &diag);
    if (err != MS_OK) {
        code = cli_print_error(cli, err, &diag, cli_exit_of(err));
        if (err == MS_ERR_LIMIT && w->file != NULL)
            cli_say(cli, "publish the document and use --location, or let a contract name it");
    } else if (check_set(cli, w, &spec, doc) != CLI_YES) {
        code = CLI_NO;
    } else {
        cli_say_warnings(cli, &spec);
        code = cli->json ? cli_print_json(cli, json_pack("{s:s}", "url", ms_buf_str(&out)), CLI_YES)
                         : cli_print_line(cli, ms_buf_span(&out), CLI_YES);
    }
    spec_done(&spec);
    ms_buf_done(&out);
    ms_buf_done(&text);
    return code;
}

int cli_url(struct cli *cli, int argc, char **argv)
{
    struct wish w = {0};
    const struct cli_option options[] = {
        {"host", &w.host, NULL},         {"inline", &w.file, NULL},
        {"location", &w.location, NULL}, {"contract", &w.contract, NULL},
        {"chain", &w.chain, NULL},       {"signers", &w.signers, NULL},
        {"app", &w.app, NULL},           {"at", &w.at, NULL},
        {"set", &w.set, NULL},           {"option", &w.option, NULL},
        {"strict", NULL, &w.strict},
    };
    struct release_doc doc;
    int code = CLI_YES;

    if (!cli_args(cli, argc, argv, options, MS_ARRAY_LEN(options), "", NULL, 0, 0) ||
        !wish_ok(cli, &w))
        return CLI_USAGE;
    release_doc_init(&doc);
    if (w.set != NULL)
        code = release_read_kind(cli, "--set", w.set, RELEASE_SET, &doc);
    if (code == CLI_YES && w.set != NULL) {
        w.app = ms_arena_strdup(&doc.arena, doc.set.set.app);
        if (w.app == NULL || strlen(w.app) != doc.set.set.app.len)
            code = cli_print_error(cli, MS_ERR_MEMORY, NULL, CLI_UNKNOWN);
    }
    if (code == CLI_YES)
        code = run(cli, &w, &doc);
    release_doc_done(&doc);
    return code;
}
