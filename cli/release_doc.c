/* cli/release_doc.c - signed documents from files and to files. */
#define _POSIX_C_SOURCE 200809L /* stat, fileno */

#include "cli/release.h"

#include "cli/output.h"
#include "sig/message_json.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

/* of a document's JSON: those of sig/release_set.h */
#define DEPTH_MAX 8
#define VALUES_MAX 16384

static const struct {
    const char *name, *type;
} kinds[] = {
    [RELEASE_SET] = {"release set", "measured-release-set/1"},
    [RELEASE_ROOT] = {"root", "measured-root/1"},
    [RELEASE_FRESHNESS] = {"freshness statement", "measured-freshness/1"},
    [RELEASE_REVOCATIONS] = {"list of revocations", "measured-revocations/1"},
};

const char *release_kind_name(enum release_kind kind)
{
    return kinds[kind].name;
}

void release_doc_init(struct release_doc *doc)
{
    const struct ms_arena arena = MS_ARENA_INIT(MSIG_DOC_ARENA_BYTES);
    *doc = (struct release_doc){.arena = arena};
}

void release_doc_done(struct release_doc *doc)
{
    json_decref(doc->tree);
    ms_arena_done(&doc->arena);
    release_doc_init(doc);
}

static enum ms_err parse_message(struct ms_span text, struct release_doc *doc, struct ms_diag *diag)
{
    switch (doc->kind) {
    case RELEASE_SET:
        return msig_set_parse(text, &doc->arena, &doc->set, diag);
    case RELEASE_ROOT:
        return msig_root_parse(text, &doc->arena, &doc->root, diag);
    case RELEASE_FRESHNESS:
        return msig_freshness_parse(text, &doc->arena, &doc->freshness, diag);
    case RELEASE_REVOCATIONS:
        return msig_revocations_parse(text, &doc->arena, &doc->revocations, &doc->n_revocations,
                                      diag);
    }
    return MS_ERR_INTERNAL;
}

static enum ms_err parse(struct ms_span text, struct release_doc *doc, struct ms_diag *diag)
{
    static const struct ms_json_limits limits = {MSIG_DOC_MAX_BYTES, DEPTH_MAX, VALUES_MAX, 0};

    enum ms_err err = ms_json_parse(text, &limits, &doc->tree, diag);
    if (err != MS_OK)
        return err;
    struct ms_span type = ms_json_member_str(doc->tree, "type");
    for (size_t i = 0; i < MS_ARRAY_LEN(kinds); i++)
        if (ms_span_eq_str(type, kinds[i].type)) {
            doc->kind = (enum release_kind)i;
            return parse_message(text, doc, diag);
        }
    return ms_diag_set(diag, MS_ERR_SYNTAX,
                       "not a signed document: its type is none of measured-release-set/1, "
                       "measured-root/1, measured-freshness/1 and measured-revocations/1");
}

static int fail_at(const struct cli *cli, const char *path, enum ms_err err,
                   const struct ms_diag *cause, int code)
{
    struct ms_diag diag = {0};

    (void)ms_diag_set(&diag, err, "%.100s: %s", path, ms_diag_text(cause, err));
    return cli_print_error(cli, err, &diag, code);
}

int release_read(const struct cli *cli, const char *path, struct release_doc *doc)
{
    struct ms_buf text = MS_BUF_INIT(MSIG_DOC_MAX_BYTES);
    struct ms_diag diag = {0};
    int code = CLI_YES;

    doc->path = path;
    errno = 0;
    enum ms_err err = cli_read(path, &text);
    if (err == MS_ERR_IO)
        (void)ms_diag_set(&diag, err, "%s", strerror(errno));
    if (err == MS_ERR_LIMIT)
        (void)ms_diag_set(&diag, err, "larger than %d bytes", MSIG_DOC_MAX_BYTES);
    if (err == MS_OK)
        err = parse(ms_buf_span(&text), doc, &diag);
    if (err != MS_OK) {
        release_doc_done(doc);
        code = fail_at(cli, path, err, &diag, cli_exit_of(err));
    }
    ms_buf_done(&text);
    return code;
}

int release_read_kind(const struct cli *cli, const char *option, const char *path,
                      enum release_kind kind, struct release_doc *doc)
{
    int code = release_read(cli, path, doc);

    if (code != CLI_YES || doc->kind == kind)
        return code;
    cli_say(cli, "%s %s is a %s, not a %s", option, path, kinds[doc->kind].name, kinds[kind].name);
    release_doc_done(doc);
    return CLI_USAGE;
}

/* ---- messages ---- */
/* The revocation that is meant; n_revocations after the words. */
static size_t pick(const struct cli *cli, const struct release_doc *doc, const char *entry)
{
    size_t n = doc->n_revocations, unsigned_at = n, n_unsigned = 0;
    uint64_t number = 0;

    if (entry != NULL) {
        if (ms_span_u64(ms_span_str(entry), &number) && number >= 1 && number <= n)
            return (size_t)number - 1;
        cli_say(cli, "--entry %s: %s has %zu revocations, counted from 1", entry, doc->path, n);
        return n;
    }
    if (n == 1)
        return 0;
    for (size_t i = 0; i < n; i++)
        if (doc->revocations[i].signatures.n == 0) {
            unsigned_at = i;
            n_unsigned++;
        }
    if (n_unsigned == 1)
        return unsigned_at;
    cli_say(cli, "%s has %zu revocations: name one with --entry N, counted from 1", doc->path, n);
    return n;
}

int release_subject(const struct cli *cli, const struct release_doc *doc, const char *entry,
                    struct release_subject *ret_subject)
{
    struct release_subject subject = {.doc = doc, .holder = doc->tree};

    if (entry != NULL && doc->kind != RELEASE_REVOCATIONS) {
        cli_say(cli, "--entry is for revocations; %s is a %s", doc->path, kinds[doc->kind].name);
        return CLI_USAGE;
    }
    switch (doc->kind) {
    case RELEASE_SET:
        subject.type = MSIG_TYPE_SET;
        subject.app = doc->set.set.app;
        subject.struct_hash = doc->set.set_hash;
        subject.digest = doc->set.digest;
        subject.signatures = &doc->set.signatures;
        break;
    case RELEASE_ROOT:
        subject.type = MSIG_TYPE_ROOT;
        subject.app = doc->root.root.app;
        subject.struct_hash = doc->root.root_hash;
        subject.digest = doc->root.digest;
        subject.signatures = &doc->root.signatures;
        break;
    case RELEASE_FRESHNESS:
        subject.type = MSIG_TYPE_FRESHNESS;
        subject.app = doc->freshness.freshness.app;
        subject.struct_hash = msig_freshness_hash(&doc->freshness.freshness);
        subject.digest = doc->freshness.digest;
        subject.signatures = &doc->freshness.signatures;
        break;
    case RELEASE_REVOCATIONS:
        subject.entry = pick(cli, doc, entry);
        if (subject.entry == doc->n_revocations)
            return CLI_USAGE;
        subject.type = MSIG_TYPE_REVOCATION;
        subject.app = doc->revocations[subject.entry].revocation.app;
        subject.struct_hash = msig_revocation_hash(&doc->revocations[subject.entry].revocation);
        subject.digest = doc->revocations[subject.entry].digest;
        subject.signatures = &doc->revocations[subject.entry].signatures;
        subject.holder = json_array_get(json_object_get(doc->tree, "revocations"), subject.entry);
        break;
    }
    *ret_subject = subject;
    return CLI_YES;
}

json_t *release_message(const struct release_subject *subject)
{
    const struct release_doc *doc = subject->doc;

    switch (doc->kind) {
    case RELEASE_SET:
        return msig_set_json(&doc->set.set);
    case RELEASE_ROOT:
        return msig_root_json(&doc->root.root);
    case RELEASE_FRESHNESS:
        return msig_freshness_json(&doc->freshness.freshness);
    case RELEASE_REVOCATIONS:
        return msig_revocation_json(&doc->revocations[subject->entry].revocation);
    }
    return NULL;
}

/* ---- writing ---- */
static bool same_file(const char *a, const char *b)
{
    struct stat x, y;
    return a != NULL && stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev &&
           x.st_ino == y.st_ino;
}

/* What was built is read as anybody else will read it. */
static enum ms_err readable(struct ms_span text, struct ms_diag *diag)
{
    struct release_doc again;

    release_doc_init(&again);
    enum ms_err err = parse(text, &again, diag);
    if (err == MS_ERR_LIMIT)
        (void)ms_diag_set(diag, err, "a document has at most %d bytes (a root %d), this one %zu",
                          MSIG_DOC_MAX_BYTES, MSIG_ROOT_MAX_BYTES, text.len);
    release_doc_done(&again);
    return err;
}

static int put(const struct cli *cli, struct ms_span text, const struct release_out *out,
               const char *from)
{
    struct ms_diag diag = {0};
    struct stat there;

    if (out->path == NULL || strcmp(out->path, "-") == 0) {
        if (fwrite(text.ptr, 1, text.len, stdout) == text.len && fflush(stdout) == 0)
            return CLI_YES;
        cli_say(cli, "cannot write to stdout: %s", strerror(errno));
        return CLI_UNKNOWN;
    }
    if (!out->replace && stat(out->path, &there) == 0 && !same_file(from, out->path)) {
        cli_say(cli, "%s is there already; --replace replaces it", out->path);
        return CLI_NO;
    }
    enum ms_err err = output_write(out->path, text, &diag);
    return err == MS_OK ? CLI_YES : cli_print_error(cli, err, &diag, CLI_UNKNOWN);
}

int release_write(const struct cli *cli, const json_t *tree, const struct release_out *out,
                  const char *from)
{
    struct ms_buf text = MS_BUF_INIT((size_t)4 * MSIG_DOC_MAX_BYTES);
    struct ms_diag diag = {0};
    int code;

    enum ms_err err = ms_json_print(tree, true, &text);
    if (err == MS_OK)
        err = ms_buf_add_byte(&text, '\n');
    if (err == MS_OK)
        err = readable(ms_buf_span(&text), &diag);
    if (err == MS_OK)
        code = put(cli, ms_buf_span(&text), out, from);
    else
        code = cli_print_error(cli, err, &diag, cli_exit_of(err));
    ms_buf_done(&text);
    return code;
}
