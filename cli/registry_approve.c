/* cli/registry_approve.c - approving a release: the document, its window, and where it is kept. */
#include "cli/registry.h"

#include "base/gzip.h"
#include "base/hex.h"
#include "cli/lint_gate.h"
#include "cli/version.h"
#include "cli/when.h"
#include "resolver/records/records.h"
#include "resolver/source/registry.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#define FORMAT_GZIP 2
#define GZIP_RATIO_MAX 256 /* as the readers allow (resolver/source/documents.c) */

struct wish {
    struct registry_target target;
    const char *version, *not_before, *not_after, *uri, *force, *path;
    bool on_chain, gzip;
};

/* ---- the document ---- */
/* What is linted is what readers will see; what is approved are the bytes of the file, or with
 * --gzip its compressed form. */
static enum ms_err unpack(const struct wish *w, struct ms_buf *payload, struct ms_buf *document,
                          uint16_t *ret_format, struct ms_diag *diag)
{
    struct ms_span bytes = ms_buf_span(payload);
    bool packed = bytes.len >= 2 && bytes.ptr[0] == 0x1f && bytes.ptr[1] == 0x8b; /* RFC 1952 */

    enum ms_err err = MS_OK;

    *ret_format = packed || w->gzip ? FORMAT_GZIP : rec_payload_format(bytes);
    if (packed && w->gzip)
        return ms_diag_set(diag, MS_ERR_ARGUMENT, "--gzip: it is a gzip file already");
    if (w->gzip) {
        struct ms_buf smaller = MS_BUF_INIT(REC_DOC_MAX_BYTES);
        err = ms_gzip(bytes, &smaller);
        ms_buf_done(payload);
        *payload = smaller;
    }
    if (err == MS_OK && *ret_format == FORMAT_GZIP)
        return ms_gunzip(ms_buf_span(payload), GZIP_RATIO_MAX, document, diag);
    return err == MS_OK ? ms_buf_add(document, bytes) : err;
}

static int read_document(const struct cli *cli, const struct wish *w, struct ms_buf *payload,
                         uint16_t *ret_format)
{
    struct ms_buf document = MS_BUF_INIT(REC_DOC_MAX_BYTES);
    struct ms_diag diag = {0}, cause = {0};
    int code = CLI_YES;

    errno = 0;
    enum ms_err err = cli_read(w->path, payload);
    if (err == MS_ERR_IO)
        (void)ms_diag_set(&cause, err, "%s", strerror(errno));
    if (err == MS_OK)
        err = unpack(w, payload, &document, ret_format, &cause);
    if (err == MS_OK) {
        code = lint_gate(cli, w->path, ms_buf_span(&document), w->force);
    } else {
        (void)ms_diag_set(&diag, err, "%.100s: %s", w->path, ms_diag_text(&cause, err));
        code = err == MS_ERR_ARGUMENT ? CLI_USAGE : cli_exit_of(err);
        code = cli_print_error(cli, err, &diag, code);
    }
    ms_buf_done(&document);
    return code;
}

/* ---- the rules of the contract, before it says them ---- */
static bool uri_ok(const struct cli *cli, const char *uri)
{
    struct ms_arena arena = MS_ARENA_INIT(65536);
    struct spec_location location;
    struct ms_diag diag = {0};

    enum ms_err err = spec_location_parse(ms_span_str(uri), &arena, &location, &diag);
    if (err == MS_OK && strlen(uri) > REGISTRY_URI_MAX_BYTES)
        err = ms_diag_set(&diag, MS_ERR_LIMIT, "more than %d bytes", REGISTRY_URI_MAX_BYTES);
    if (err != MS_OK)
        cli_say(cli, "--uri %s: %s", uri, ms_diag_text(&diag, err));
    ms_arena_done(&arena);
    return err == MS_OK;
}

static bool window_ok(const struct cli *cli, const struct wish *w, struct call *call)
{
    if (!registry_time(cli, "--not-before", w->not_before, &call->not_before_s) ||
        !registry_time(cli, "--not-after", w->not_after, &call->not_after_s))
        return false;
    if (call->not_after_s != 0 && call->not_after_s <= call->not_before_s)
        cli_say(cli, "--not-after: a release ends behind its beginning");
    return call->not_after_s == 0 || call->not_after_s > call->not_before_s;
}

static bool wish_ok(const struct cli *cli, const struct wish *w, struct call *call)
{
    if (w->version == NULL) {
        cli_say(cli, "missing argument: --version N or MAJOR.MINOR.PATCH");
        return false;
    }
    if (!version_parse(ms_span_str(w->version), &call->version) || call->version == 0) {
        cli_say(cli,
                "--version %s: neither a number above 0 nor MAJOR.MINOR.PATCH of at most "
                "65535.65535.4294967295",
                w->version);
        return false;
    }
    if (w->not_before == NULL) {
        cli_say(cli, "missing argument: --not-before TIME; not before the transaction is in a "
                     "block, and later by the minimum delay unless it is the first release");
        return false;
    }
    if (!w->on_chain && w->uri == NULL) {
        cli_say(cli, "give --on-chain, --uri URL or both: where else would the measurements be?");
        return false;
    }
    return window_ok(cli, w, call) && (w->uri == NULL || uri_ok(cli, w->uri));
}

static int size_ok(const struct cli *cli, const struct call *call)
{
    if (!call->on_chain || call->payload.len <= CALL_ON_CHAIN_MAX_BYTES)
        return CLI_YES;
    cli_say(cli, "%zu bytes: at most %d are kept on chain; --gzip, or --uri without --on-chain",
            call->payload.len, CALL_ON_CHAIN_MAX_BYTES);
    return CLI_NO;
}

/* ---- words ---- */
static void say(const struct cli *cli, const struct wish *w, const struct call *call)
{
    char version[VERSION_TEXT], from[WHEN_TEXT], to[WHEN_TEXT] = "without end";
    char hash[2 * MS_SHA256_BYTES + 1];
    struct ms_sha256 sha256 = ms_sha256(call->payload);

    version_text(call->version, version);
    when_text(call->not_before_s, from);
    if (call->not_after_s != 0)
        when_text(call->not_after_s, to);
    ms_sha256_hex(&sha256, hash);
    cli_say(cli, "approve version %s, from %" PRIu64 " (%s) %s%s", version, call->not_before_s,
            from, call->not_after_s == 0 ? "" : "until ", to);
    cli_say(cli, "payload: %zu bytes, format %u (%s), %s%s%s", call->payload.len,
            (unsigned)call->payload_format, rec_payload_format_name(call->payload_format),
            call->on_chain ? "kept on chain" : "fetched from ",
            call->on_chain && w->uri ? ", and at " : "", w->uri == NULL ? "" : w->uri);
    cli_say(cli, "payload SHA-256: %s", hash);
    if (call->not_before_s < release_now())
        cli_say(cli, "warning: --not-before is over already; a chain with the right time refuses");
}

static int approve(const struct cli *cli, struct wish *w, struct call *call)
{
    struct ms_buf data = MS_BUF_INIT(CALL_MAX_BYTES);
    char version[VERSION_TEXT], title[VERSION_TEXT + 32];
    int code = size_ok(cli, call);

    if (code == CLI_YES) {
        enum ms_err err = call_encode(call, &data);
        say(cli, w, call);
        version_text(call->version, version);
        (void)snprintf(title, sizeof(title), "approve version %s", version);
        code = err != MS_OK ? cli_print_error(cli, err, NULL, CLI_UNKNOWN)
                            : registry_give_out(cli, &w->target,
                                                &(struct registry_act){.to = w->target.contract,
                                                                       .data = ms_buf_span(&data),
                                                                       .title = title},
                                                CALL_APPROVE);
    }
    ms_buf_done(&data);
    return code;
}

int registry_approve(struct cli *cli, int argc, char **argv)
{
    struct wish w = {0};
    const struct cli_option options[] = {
        {"version", &w.version, NULL},     {"not-before", &w.not_before, NULL},
        {"not-after", &w.not_after, NULL}, {"uri", &w.uri, NULL},
        {"force", &w.force, NULL},         {"on-chain", NULL, &w.on_chain},
        {"gzip", NULL, &w.gzip},           REGISTRY_CALL_OPTIONS(&w.target)};
    struct ms_buf payload = MS_BUF_INIT(REC_DOC_MAX_BYTES);
    struct call call = {.op = CALL_APPROVE};

    if (!cli_args(cli, argc, argv, options, MS_ARRAY_LEN(options), "MEASUREMENTS.json", &w.path, 1,
                  1) ||
        !registry_target(cli, &w.target) || !wish_ok(cli, &w, &call))
        return CLI_USAGE;
    int code = read_document(cli, &w, &payload, &call.payload_format);
    if (code == CLI_YES) {
        call.payload = ms_buf_span(&payload);
        call.on_chain = w.on_chain;
        call.uri = ms_span_str(w.uri == NULL ? "" : w.uri);
        code = approve(cli, &w, &call);
    }
    ms_buf_done(&payload);
    return code;
}
