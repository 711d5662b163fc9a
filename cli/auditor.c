/* cli/auditor.c - asking the daemon, or a database. */
#define _POSIX_C_SOURCE 200809L /* stat */
#include "cli/auditor.h"

#include "cli/when.h"
#include "resolver/entry/past_file.h"

#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

#define DB_PATH_MAX 4096u

enum ms_err auditor_db_path(const char *db, struct ms_buf *out)
{
    struct stat st;
    bool is_dir = stat(db, &st) == 0 && S_ISDIR(st.st_mode);

    (void)ms_buf_add_str(out, db);
    if (is_dir)
        (void)ms_buf_addf(out, "/%s", CACHE_DB_NAME);
    return ms_buf_str(out) == NULL ? MS_ERR_MEMORY : ms_buf_err(out);
}

static int open_db(const struct cli *cli, const char *db, struct auditor *a)
{
    static const struct spec_context context = {0}; /* aliases stand in a configuration */
    struct ms_buf path = MS_BUF_INIT(DB_PATH_MAX);
    struct ms_diag diag = {0};
    struct spec_url url = {0};

    enum ms_err err = spec_parse_any(ms_span_str(a->subject.text), &context, &a->spec, &url, &diag);
    if (err != MS_OK)
        return client_fail(cli, ms_err_code(err), ms_diag_text(&diag, err), cli_exit_of(err));
    err = auditor_db_path(db, &path);
    if (err == MS_OK)
        err = cache_open_readonly(ms_buf_str(&path), &a->cache, &diag);
    ms_buf_done(&path);
    return err == MS_OK ? CLI_YES : client_fail_err(cli, err, &diag);
}

int auditor_open(const struct cli *cli, const char *arg, const char *db,
                 struct auditor *ret_auditor)
{
    struct auditor *a = ret_auditor;

    *a = (struct auditor){.cli = cli};
    spec_init(&a->spec);
    int code = client_subject(cli, arg, &a->subject);
    return code == CLI_YES && db != NULL ? open_db(cli, db, a) : code;
}

void auditor_close(struct auditor *auditor)
{
    cache_close(auditor->cache);
    spec_done(&auditor->spec);
    auditor->cache = NULL;
}

/* ---- the daemon ---- */

static enum ms_err get(const struct auditor *a, const char *target, size_t max_bytes,
                       struct client_reply *reply, struct ms_diag *diag)
{
    const struct client_ask ask = {
        .socket = "api.sock", .target = target, .timeout_ms = CLIENT_TIMEOUT_MS};

    reply->body.max = max_bytes;
    return client_ask(a->cli, &ask, reply, diag);
}

/* `query` is appended to the target. ret_missing  may be NULL; else a 404 is told so, with CLI_YES
 * and no words. */
static int ask_for(const struct auditor *a, const char *path, const char *query, bool *ret_missing,
                   json_t **ret_root)
{
    struct ms_buf target = MS_BUF_INIT(4 * SPEC_URL_MAX);
    struct client_reply reply;
    struct ms_diag diag = {0};

    client_reply_init(&reply);
    enum ms_err err = client_target(path, &a->subject, &target);
    (void)ms_buf_add_str(&target, query);
    if (err == MS_OK)
        err = ms_buf_str(&target) == NULL
                  ? MS_ERR_MEMORY
                  : get(a, ms_buf_str(&target), CACHE_BLOB_MAX_BYTES, &reply, &diag);
    if (err == MS_OK && reply.status == 200)
        err = client_json(ms_buf_span(&reply.body), ret_root, &diag);
    bool missing = err == MS_OK && reply.status == 404 && ret_missing != NULL;
    int code = missing               ? CLI_YES
               : err != MS_OK        ? client_fail_err(a->cli, err, &diag)
               : reply.status != 200 ? client_fail_reply(a->cli, &reply)
                                     : CLI_YES;
    if (missing)
        *ret_missing = true;
    client_reply_done(&reply);
    ms_buf_done(&target);
    return code;
}

static int ask_daemon(const struct auditor *a, const char *path, const char *query,
                      json_t **ret_root)
{
    return ask_for(a, path, query, NULL, ret_root);
}

/* ---- both ---- */

/* What a report over the database says; takes err and diag of it. */
static int from_report(const struct auditor *a, enum ms_err err, struct ms_buf *text,
                       struct ms_diag *diag, json_t **ret_root)
{
    bool no = err == MS_ERR_ARGUMENT || err == MS_ERR_NOT_FOUND || err == MS_ERR_EVIDENCE ||
              err == MS_ERR_HMAC;

    if (err == MS_OK)
        err = client_json(ms_buf_span(text), ret_root, diag);
    ms_buf_done(text);
    if (err == MS_OK)
        return CLI_YES;
    return client_fail(a->cli, ms_err_code(err), ms_diag_text(diag, err),
                       no ? CLI_NO : CLI_UNKNOWN);
}

int auditor_history(struct auditor *a, const struct report_page *page, json_t **ret_root)
{
    struct ms_buf text = MS_BUF_INIT(REPORT_MAX_BYTES);
    struct ms_diag diag = {0};
    char query[64 + REPORT_POINT_MAX];

    if (a->cache != NULL) {
        enum ms_err err = report_history(a->cache, &a->spec, page, &text, &diag);
        return from_report(a, err, &text, &diag, ret_root);
    }
    (void)snprintf(query, sizeof(query), "&%s=%llu&limit=%zu",
                   page->has_before ? "before" : "after",
                   (unsigned long long)(page->has_before ? page->before : page->after),
                   page->limit == 0 ? (size_t)REPORT_ROWS_USUAL : page->limit);
    return ask_daemon(a, "/v1/history", query, ret_root);
}

int auditor_diff(struct auditor *a, const char *from, const char *to, json_t **ret_root)
{
    struct ms_buf text = MS_BUF_INIT(REPORT_MAX_BYTES);
    struct ms_diag diag = {0};
    char query[16 + 2 * AUDITOR_POINT_MAX];

    if (a->cache != NULL) {
        enum ms_err err =
            report_diff(a->cache, &a->spec, ms_span_str(from), ms_span_str(to), &text, &diag);
        return from_report(a, err, &text, &diag, ret_root);
    }
    (void)snprintf(query, sizeof(query), "&from=%s&to=%s", from, to);
    return ask_daemon(a, "/v1/diff", query, ret_root);
}

int auditor_at(struct auditor *a, int64_t time_s, json_t **ret_root)
{
    struct ms_buf text = MS_BUF_INIT(REPORT_MAX_BYTES);
    struct ms_diag diag = {0};
    char query[48];

    if (a->cache != NULL) {
        enum ms_err err = report_at(a->cache, &a->spec, time_s, (int64_t)time(NULL), &text, &diag);
        return from_report(a, err, &text, &diag, ret_root);
    }
    (void)snprintf(query, sizeof(query), "&time=%lld", (long long)time_s);
    return ask_daemon(a, "/v1/at", query, ret_root);
}

/* ---- evidence ---- */

static int fetch_evidence(struct auditor *a, const char *name, struct ms_buf *out)
{
    struct client_reply reply;
    struct ms_diag diag = {0};
    char target[128], got[7 + 2 * MS_SHA256_BYTES + 1] = "sha256:";

    client_reply_init(&reply);
    (void)snprintf(target, sizeof(target), "/v1/evidence/%.80s", name);
    enum ms_err err = get(a, target, CACHE_BLOB_MAX_BYTES, &reply, &diag);
    struct ms_sha256 hash = ms_sha256(ms_buf_span(&reply.body));
    ms_sha256_hex(&hash, got + 7);
    if (err == MS_OK && reply.status == 200 && strcmp(got, name) != 0)
        err = ms_diag_set(&diag, MS_ERR_EVIDENCE, "the evidence does not hash to its name");
    if (err == MS_OK && reply.status == 200)
        err = ms_buf_add(out, ms_buf_span(&reply.body));
    int code = err != MS_OK          ? client_fail_err(a->cli, err, &diag)
               : reply.status != 200 ? client_fail_reply(a->cli, &reply)
                                     : CLI_YES;
    client_reply_done(&reply);
    return code;
}

static int fetch_past(struct auditor *a, struct ms_buf *out)
{
    struct ms_buf target = MS_BUF_INIT(4 * SPEC_URL_MAX);
    struct client_reply reply;
    struct ms_diag diag = {0};

    client_reply_init(&reply);
    enum ms_err err = client_target("/v1/past", &a->subject, &target);
    if (err == MS_OK)
        err = ms_buf_str(&target) == NULL
                  ? MS_ERR_MEMORY
                  : get(a, ms_buf_str(&target), PAST_FILE_MAX_BYTES, &reply, &diag);
    if (err == MS_OK && reply.status == 200)
        err = ms_buf_add(out, ms_buf_span(&reply.body));
    int code = err != MS_OK          ? client_fail_err(a->cli, err, &diag)
               : reply.status != 200 ? client_fail_reply(a->cli, &reply)
                                     : CLI_YES;
    client_reply_done(&reply);
    ms_buf_done(&target);
    return code;
}

/* What a report over the database says, whose text is evidence. */
static int from_evidence(const struct auditor *a, enum ms_err err, struct ms_diag *diag)
{
    struct ms_buf nothing = MS_BUF_INIT(0);
    json_t *root = NULL;

    return err == MS_OK ? CLI_YES : from_report(a, err, &nothing, diag, &root);
}

static int past_of(struct auditor *a, struct ms_buf *out)
{
    struct ms_diag diag = {0};

    if (a->cache == NULL)
        return fetch_past(a, out);
    return from_evidence(a, report_past(a->cache, &a->spec, out, &diag), &diag);
}

/* Of a sequence there may be no row here: it was read back from the contract's own history. */
int auditor_evidence(struct auditor *a, const char *point, struct ms_buf *out)
{
    struct ms_diag diag = {0};
    char query[16 + AUDITOR_POINT_MAX];
    json_t *root = NULL;
    uint64_t sequence;
    bool is_sequence = ms_span_u64(ms_span_str(point), &sequence), missing = false;

    if (strcmp(point, AUDITOR_PAST) == 0)
        return past_of(a, out);
    if (a->cache != NULL) {
        enum ms_err err = report_evidence(a->cache, &a->spec, ms_span_str(point), out, &diag);
        return err == MS_ERR_NOT_FOUND && is_sequence ? past_of(a, out)
                                                      : from_evidence(a, err, &diag);
    }
    (void)snprintf(query, sizeof(query), "&point=%s", point);
    int code = ask_for(a, "/v1/history", query, is_sequence ? &missing : NULL, &root);
    if (code != CLI_YES || missing)
        return code == CLI_YES ? past_of(a, out) : code;
    const json_t *row = json_array_get(json_object_get(root, "rows"), 0);
    const char *name = json_string_value(json_object_get(row, "evidence"));
    code = name == NULL
               ? client_fail(a->cli, "evidence", "the row has no evidence that can be read", CLI_NO)
               : fetch_evidence(a, name, out);
    json_decref(root);
    return code;
}

/* ---- points ---- */

static bool is_point(struct ms_span text)
{
    uint64_t number;

    return ms_span_u64(text, &number) || ms_span_starts(text, "row:") ||
           ms_span_starts(text, "sha256:") || ms_span_starts(text, "@");
}

bool auditor_point(const struct cli *cli, const char *text, char out[AUDITOR_POINT_MAX])
{
    struct ms_span point = ms_span_str(text);
    uint64_t time_s = 0;

    if (is_point(point) && point.len <= REPORT_POINT_MAX) {
        for (const char *c = text; *c != '\0'; c++)
            if (!((*c >= '0' && *c <= '9') || (*c >= 'a' && *c <= 'z') || *c == ':' || *c == '@'))
                goto none;
        (void)snprintf(out, AUDITOR_POINT_MAX, "%s", text);
        return true;
    }
    if (when_parse(point, &time_s) == MS_OK) {
        (void)snprintf(out, AUDITOR_POINT_MAX, "@%llu", (unsigned long long)time_s);
        return true;
    }
none:
    cli_say(cli,
            "'%.80s' is no point of a history: a sequence (17), row:N, sha256:HEX, a time such as "
            "2026-03-03 or 2026-03-03T12:00:00Z, or @ and Unix seconds",
            text);
    return false;
}
