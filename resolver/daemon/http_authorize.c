/* resolver/daemon/http_authorize.c - forward-auth: may this request pass, of whose sender a proxy
 * in front says by headers what it measured (docs/proxies.md).
 *
 * Proxies understand few statuses, so there are three: 200, 403 and 503. Everything that is wrong
 * with the question is 403, whosever fault it is; everything that keeps us from knowing is 503. */
#define _GNU_SOURCE
#include "resolver/daemon/http_internal.h"

#include "resolver/daemon/metrics.h"
#include "resolver/daemon/query.h"
#include "resolver/spec/basic.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* 24 registers of 48 bytes in digits, with names, lists and spaces: a quarter of that. */
#define MEASUREMENT_MAX_BYTES 16384u
#define NAME_MAX_BYTES REC_ID_MAX_BYTES /* percent-encoded, thrice that */

/* ---- the headers that count ---- */

enum which { SPECIFIER, BASIC, MEASUREMENT, TYPE, N_HEADERS };
static const char *const names[N_HEADERS] = {
    [SPECIFIER] = "X-Measured-Specifier",
    [BASIC] = "X-Measured-Basic",
    [MEASUREMENT] = "X-Flashbots-Measurement",
    [TYPE] = "X-Flashbots-Attestation-Type",
};

struct headers {
    struct ms_span value[N_HEADERS]; /* ptr NULL: not there */
    bool twice[N_HEADERS];
};

static enum MHD_Result note_header(void *cls, enum MHD_ValueKind kind, const char *name,
                                   size_t name_len, const char *value, size_t value_len)
{
    struct headers *headers = cls;
    (void)kind;

    for (size_t i = 0; i < N_HEADERS; i++) {
        if (!ms_span_eq_str_nocase(ms_span_of(name, name_len), names[i]))
            continue;
        headers->twice[i] = headers->value[i].ptr != NULL;
        headers->value[i] = ms_span_of(value == NULL ? "" : value, value == NULL ? 0 : value_len);
    }
    return MHD_YES;
}

/* Of two copies one may be the client's own, and nobody here knows which. */
static enum ms_err read_headers(struct http_request *r, struct headers *headers,
                                struct ms_diag *diag)
{
    (void)MHD_get_connection_values_n(r->connection, MHD_HEADER_KIND, note_header, headers);
    for (size_t i = 0; i < N_HEADERS; i++)
        if (headers->twice[i])
            return ms_diag_set(diag, MS_ERR_ARGUMENT, "the header %s stands twice", names[i]);
    return MS_OK;
}

/* ---- what the peer showed ---- */

static enum ms_err take_measurement(struct http_request *r, struct ms_span type,
                                    struct ms_span measurement, struct ms_diag *diag)
{
    static const struct ms_json_limits limits = {MEASUREMENT_MAX_BYTES, 4, 512, 0};
    json_t *root = NULL;

    if (rec_type_parse(type) == REC_TYPE_UNKNOWN)
        return ms_diag_set(diag, MS_ERR_ARGUMENT, "%s is of no known type", names[TYPE]);
    enum ms_err err = ms_json_parse(measurement, &limits, &root, diag);
    if (err == MS_OK)
        err = http_take_registers(r, type, root, diag);
    json_decref(root);
    return err;
}

static enum ms_err take_evidence(struct http_request *r, const struct headers *headers,
                                 struct ms_diag *diag)
{
    if (ms_span_eq_str(headers->value[TYPE], "none"))
        return ms_diag_set(diag, MS_ERR_ARGUMENT, "the peer is not attested");
    for (size_t i = MEASUREMENT; i <= TYPE; i++)
        if (headers->value[i].len == 0)
            return ms_diag_set(diag, MS_ERR_ARGUMENT,
                               "the header %s is %s: it comes from an attested hop only", names[i],
                               headers->value[i].ptr == NULL ? "missing" : "empty");
    return take_measurement(r, headers->value[TYPE], headers->value[MEASUREMENT], diag);
}

/* ---- whose approval is asked for ---- */

static void drop_spec(struct http_request *r)
{
    if (r->spec != NULL)
        spec_done(r->spec);
    free(r->spec);
    r->spec = NULL;
}

struct asked { /* what makes two ways of saying it the same */
    bool any;
    struct answer_id id;
    int64_t max_age_s;
    uint64_t seq;
};

/* The specifier just read into r must be that of before, if there was one. */
static enum ms_err agree(const struct http_request *r, struct asked *asked, struct ms_diag *diag)
{
    if (asked->any && (memcmp(asked->id.key.b, r->id.key.b, sizeof(r->id.key.b)) != 0 ||
                       asked->id.level != r->id.level || asked->max_age_s != r->max_age_s ||
                       asked->seq != r->seq))
        return ms_diag_set(diag, MS_ERR_ARGUMENT,
                           "the request names two specifiers: what the proxy's configuration fixes "
                           "cannot be replaced");
    *asked = (struct asked){true, r->id, r->max_age_s, r->seq};
    return MS_OK;
}

/* A person wrote it, so a URL is told by its "://" (docs/specifiers.md). */
static enum ms_err take_text(struct http_request *r, struct ms_span text, struct ms_diag *diag)
{
    bool is_url = text.len > 0 && memmem(text.ptr, text.len, "://", 3) != NULL;

    drop_spec(r);
    return http_take_spec(r, text, is_url, diag);
}

static enum ms_err take_basic(struct http_request *r, struct ms_span credentials,
                              struct ms_diag *diag)
{
    struct ms_buf text = MS_BUF_INIT(SPEC_TEXT_MAX + 1);

    drop_spec(r);
    enum ms_err err = spec_from_basic(credentials, &text, diag);
    if (err == MS_OK)
        err = http_take_spec(r, ms_buf_span(&text), false, diag);
    ms_buf_done(&text);
    return err;
}

/* Behind a suffix stands the query of the request that is asked about: its sender's words. */
static bool own_query(const struct http_request *r)
{
    struct ms_span target = ms_span_str(r->target);
    struct ms_span path = query_path(target);

    return path.len < target.len && ms_span_eq_str(path, r->route->path);
}

/* The query comes last, so that it is its host which is used where a host says where to look. */
static enum ms_err take_specifier(struct http_request *r, const struct headers *headers,
                                  struct ms_diag *diag)
{
    struct asked asked = {0};
    enum ms_err err = MS_OK;

    if (headers->value[BASIC].ptr != NULL) {
        err = take_basic(r, headers->value[BASIC], diag);
        if (err == MS_OK)
            err = agree(r, &asked, diag);
    }
    if (err == MS_OK && headers->value[SPECIFIER].ptr != NULL) {
        err = take_text(r, headers->value[SPECIFIER], diag);
        if (err == MS_OK)
            err = agree(r, &asked, diag);
    }
    if (err == MS_OK && own_query(r)) {
        drop_spec(r);
        err = http_parse_spec(r, diag);
        if (err == MS_OK)
            err = agree(r, &asked, diag);
    }
    if (err == MS_OK && !asked.any)
        err = ms_diag_set(diag, MS_ERR_ARGUMENT,
                          "nobody says by whose approval: ?specifier=, ?url= or the header %s is "
                          "needed",
                          names[SPECIFIER]);
    return err;
}

enum ms_err http_authorize_prepare(struct http_request *r, struct ms_diag *diag)
{
    struct headers headers = {0};

    enum ms_err err = read_headers(r, &headers, diag);
    if (err == MS_OK)
        err = take_evidence(r, &headers, diag);
    if (err != MS_OK)
        return err;
    bool query_only =
        own_query(r) && headers.value[BASIC].ptr == NULL && headers.value[SPECIFIER].ptr == NULL;
    if (query_only && http_known_target(r))
        return MS_OK;
    err = take_specifier(r, &headers, diag);
    if (err == MS_OK && query_only)
        http_remember_target(r);
    return err;
}

/* ---- answers ---- */

/* One value, one spelling: visible ASCII but '%' as it is, every other byte %XX. Always a value,
 * for a proxy that sets no header leaves the one the client sent. */
static bool add_name(struct MHD_Response *response, const char *header, const char *name)
{
    struct ms_buf text = MS_BUF_INIT(3 * NAME_MAX_BYTES + 1);

    for (const unsigned char *c = (const unsigned char *)name; *c != '\0'; c++)
        if (*c > 0x20 && *c < 0x7f && *c != '%')
            (void)ms_buf_add_byte(&text, *c);
        else
            (void)ms_buf_addf(&text, "%%%02X", *c);
    const char *value = ms_buf_str(&text);
    bool ok = value != NULL &&
              MHD_add_response_header(response, header, value[0] == '\0' ? "-" : value) == MHD_YES;
    ms_buf_done(&text);
    return ok;
}

/* For people: what is not printable becomes '?'. */
static void add_reason(struct MHD_Response *response, const char *reason)
{
    char text[MS_DIAG_TEXT_MAX];
    size_t n = 0;

    for (const char *c = reason; *c != '\0' && n + 1 < sizeof(text); c++)
        text[n++] = *c >= 0x20 && *c < 0x7f ? *c : '?';
    text[n] = '\0';
    if (n > 0)
        (void)MHD_add_response_header(response, "X-Measured-Reason", text);
}

static struct MHD_Response *new_response(const struct http_request *r, const char *verdict,
                                         const char *reason)
{
    struct ms_buf text = MS_BUF_INIT(1024);

    (void)ms_buf_addf(&text, "%s: %s\n", verdict, reason);
    struct MHD_Response *response =
        ms_buf_err(&text) == MS_OK
            ? http_response(r, ms_buf_span(&text), "text/plain; charset=utf-8")
            : NULL;
    ms_buf_done(&text);
    return response;
}

static enum MHD_Result send_no(struct http_request *r, unsigned status, const char *verdict,
                               const char *reason)
{
    struct MHD_Response *response = new_response(r, verdict, reason);

    if (response == NULL)
        return MHD_NO;
    add_reason(response, reason);
    return http_queue(r, status, response);
}

static enum MHD_Result send_refused(struct http_request *r, const char *reason)
{
    return send_no(r, MHD_HTTP_FORBIDDEN, "refused", reason);
}

static enum MHD_Result send_approved(struct http_request *r, const struct answer *a,
                                     const struct http_judgement *judgement)
{
    struct MHD_Response *response = new_response(r, "approved", judgement->reason.text);
    char sequence[24];

    if (response == NULL)
        return MHD_NO;
    (void)snprintf(sequence, sizeof(sequence), "%llu", (unsigned long long)a->sequence);
    if (!add_name(response, "X-Measured-Id", judgement->measurement_id) ||
        !add_name(response, "X-Measured-Release", judgement->release->version) ||
        !add_name(response, "X-Measured-State", entry_state_name(a->state)) ||
        !add_name(response, "X-Measured-Sequence", sequence)) {
        MHD_destroy_response(response);
        return MHD_NO;
    }
    return http_queue(r, MHD_HTTP_OK, response);
}

enum MHD_Result http_authorize_answer(struct http_request *r, struct answer *a)
{
    struct http_judgement judgement;

    if (!a->serve)
        return http_fail(r, a->err, a->diag);
    http_judge(r, a, &judgement);
    switch (judgement.verdict) {
    case HTTP_APPROVED:
        return send_approved(r, a, &judgement);
    case HTTP_REFUSED:
        return send_refused(r, judgement.reason.text);
    case HTTP_UNKNOWN:
        break;
    }
    return http_fail(r, MS_ERR_UNAVAILABLE, &judgement.reason);
}

/* What stands in the way of an answer is 503; what is wrong with the question is a refusal. */
enum MHD_Result http_authorize_error(struct http_request *r, unsigned status, enum ms_err err,
                                     const struct ms_diag *diag)
{
    struct ms_buf reason = MS_BUF_INIT(1024);

    (void)ms_buf_addf(&reason, "%s: %s", ms_err_code(err), ms_diag_text(diag, err));
    const char *text = ms_buf_str(&reason);
    enum MHD_Result result;
    if (status == MHD_HTTP_BAD_REQUEST || status == MHD_HTTP_URI_TOO_LONG) {
        METRIC_INC(checks_refused);
        result = send_refused(r, text == NULL ? "" : text);
    } else {
        METRIC_INC(checks_unknown);
        METRIC_INC(http_errors);
        result = send_no(r, MHD_HTTP_SERVICE_UNAVAILABLE, "unknown", text == NULL ? "" : text);
    }
    ms_buf_done(&reason);
    return result;
}
