/* resolver/daemon/http_api.c - what each path answers. */
#define _GNU_SOURCE
#include "resolver/daemon/http_audit.h"
#include "resolver/daemon/http_ui.h"

#include "base/base64.h"
#include "base/hex.h"
#include "resolver/daemon/metrics.h"
#include "resolver/daemon/publish.h"
#include "resolver/daemon/query.h"

#include <stdio.h>
#include <string.h>

static enum MHD_Result queue_shared(struct http_request *r, unsigned status,
                                    struct MHD_Response *response)
{
    return MHD_queue_response(r->connection, status, response);
}

/* RFC 9110 13.1.2: a list of entity tags, or '*'; ours are strong, a weak prefix compares equal. */
static bool none_match(const struct http_request *r, const char *etag)
{
    const char *header =
        MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_IF_NONE_MATCH);
    return header != NULL && (strcmp(header, "*") == 0 || strstr(header, etag) != NULL);
}

/* RFC 9110 15.4.5: with those headers of the 200 that tell of its age. */
static enum MHD_Result copy_header(void *cls, enum MHD_ValueKind kind, const char *name,
                                   const char *value)
{
    (void)kind;
    if (strncmp(name, "X-Measured-", 11) == 0 || strcmp(name, MHD_HTTP_HEADER_ETAG) == 0 ||
        strcmp(name, MHD_HTTP_HEADER_EXPIRES) == 0)
        (void)MHD_add_response_header(cls, name, value);
    return MHD_YES;
}

static enum MHD_Result not_modified(struct http_request *r, struct MHD_Response *full)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    if (response == NULL)
        return MHD_NO;
    (void)MHD_get_response_headers(full, copy_header, response);
    enum MHD_Result result = MHD_queue_response(r->connection, MHD_HTTP_NOT_MODIFIED, response);
    MHD_destroy_response(response);
    return result;
}

/* ---- measurements ---- */

/* A member of the query, which is short; MS_OK with an empty text when it is not there. */
static enum ms_err option(const struct http_request *r, const char *name, struct ms_buf *out,
                          bool *ret_found, struct ms_diag *diag)
{
    ms_buf_reset(out);
    return query_member(ms_span_str(r->target), name, out, ret_found, diag);
}

static enum ms_err read_profile(struct http_request *r, struct ms_buf *text, struct ms_diag *diag)
{
    bool found = false;

    r->list = (struct publish_ask){.profile = REC_PROFILE_ATLS_1};
    enum ms_err err = option(r, "profile", text, &found, diag);
    if (err == MS_OK && found) {
        r->list.profile = rec_profile_parse(ms_buf_span(text));
        if (r->list.profile == REC_PROFILE_NONE)
            err = ms_diag_set(diag, MS_ERR_PROFILE, "no such profile; there are %s",
                              rec_profile_names());
    } else if (err == MS_ERR_LIMIT) {
        err = ms_diag_set(diag, MS_ERR_PROFILE, "no such profile");
    }
    return err;
}

/* An option that would change nothing is a mistake, and told. */
static enum ms_err read_options(struct http_request *r, struct ms_buf *text, struct ms_diag *diag)
{
    bool found = false;

    enum ms_err err = option(r, "skip-unsupported", text, &found, diag);
    if (err == MS_ERR_LIMIT || (found && !ms_span_eq_str(ms_buf_span(text), "1")))
        return ms_diag_set(diag, MS_ERR_ARGUMENT, "skip-unsupported may only be 1");
    if (err == MS_OK && found && r->list.profile != REC_PROFILE_CVM)
        return ms_diag_set(diag, MS_ERR_ARGUMENT, "skip-unsupported is an option of profile cvm");
    r->list.skip_unsupported = found;
    if (err == MS_OK)
        err = option(r, "app", text, &found, diag);
    if (err == MS_ERR_LIMIT)
        return ms_diag_set(diag, MS_ERR_ARGUMENT, "app is not 40 hex digits");
    if (err != MS_OK || !found)
        return err;
    if (!rec_profile_of_dstack(r->list.profile))
        return ms_diag_set(diag, MS_ERR_ARGUMENT,
                           "app is an option of the profiles dstack-auth and auth-simple");
    r->list.has_app = rec_dstack_app_parse(ms_buf_span(text), r->list.app);
    return r->list.has_app ? MS_OK : ms_diag_set(diag, MS_ERR_ARGUMENT, "app is not 40 hex digits");
}

static enum ms_err prepare_measurements(struct http_request *r, struct ms_diag *diag)
{
    struct ms_buf text = MS_BUF_INIT(64);

    if (http_known_target(r))
        return MS_OK;
    enum ms_err err = read_profile(r, &text, diag);
    if (err == MS_OK)
        err = read_options(r, &text, diag);
    ms_buf_done(&text);
    if (err == MS_OK)
        err = http_parse_spec(r, diag);
    if (err == MS_OK)
        http_remember_target(r);
    return err;
}

static enum MHD_Result answer_measurements(struct http_request *r, struct answer *a)
{
    struct MHD_Response *response = NULL;
    struct ms_diag diag = {0};
    bool once = false;

    if (!a->serve)
        return http_fail(r, a->err, a->diag);
    enum ms_err err = publish_records(a, &r->list, &response, &once, &diag);
    if (err == MS_ERR_ARGUMENT) /* the request lacks what only the answer told is needed */
        return r->route->error(r, MHD_HTTP_BAD_REQUEST, err, &diag);
    if (err != MS_OK)
        return http_fail(r, err, &diag);
    const char *etag = MHD_get_response_header(response, MHD_HTTP_HEADER_ETAG);
    enum MHD_Result result = etag != NULL && none_match(r, etag)
                                 ? not_modified(r, response)
                                 : queue_shared(r, MHD_HTTP_OK, response);
    if (once)
        MHD_destroy_response(response);
    return result;
}

/* ---- resolve ---- */

static enum ms_err prepare_resolve(struct http_request *r, struct ms_diag *diag)
{
    if (http_known_target(r))
        return MS_OK;
    enum ms_err err = http_parse_spec(r, diag);
    if (err == MS_OK)
        http_remember_target(r);
    return err;
}

static enum MHD_Result answer_resolve(struct http_request *r, struct answer *a)
{
    if (!a->serve)
        return http_fail(r, a->err, a->diag);
    if (!r->has_spelling) {
        struct MHD_Response *response = NULL;
        enum ms_err err = publish_envelope(a, &response);
        return err == MS_OK ? queue_shared(r, MHD_HTTP_OK, response) : http_fail(r, err, NULL);
    }
    struct ms_buf text = MS_BUF_INIT(ENVELOPE_MAX_BYTES + 65536);
    enum MHD_Result result = MHD_NO;
    if (ms_buf_err(&r->spelling) == MS_OK &&
        envelope_add_spelling(ms_span_of(a->envelope, a->envelope_len), ms_buf_span(&r->spelling),
                              &text) == MS_OK)
        result = http_send(r, MHD_HTTP_OK, ms_buf_span(&text), "application/json");
    ms_buf_done(&text);
    return result;
}

/* ---- check ---- */

static void want_candidate(struct http_request *r, enum source_candidate_kind kind,
                           const uint8_t value[32])
{
    struct source_candidate *candidate = &r->core.candidates[r->core.n_candidates++];

    candidate->kind = kind;
    memcpy(candidate->value, value, sizeof(candidate->value));
}

static enum ms_err check_predicate(struct http_request *r, const json_t *predicate,
                                   struct ms_diag *diag)
{
    struct rec_predicate *to = &r->predicates[r->n_predicates];
    struct ms_span value = ms_json_member_str(predicate, "value");

    to->kind = rec_predicate_kind_parse(ms_json_member_str(predicate, "kind"));
    if (to->kind == REC_PREDICATE_NONE)
        return ms_diag_set(diag, MS_ERR_ARGUMENT,
                           "predicate.kind is none of dstack-compose-hash, dstack-os-image, "
                           "tdx-workload-id");
    if (ms_span_starts(value, "0x"))
        value = ms_span_sub(value, 2, value.len);
    if (ms_hex_decode(value, to->value, sizeof(to->value)) != MS_OK)
        return ms_diag_set(diag, MS_ERR_ARGUMENT, "predicate.value is not 64 hex digits");
    want_candidate(r, (enum source_candidate_kind)to->kind, to->value);
    r->n_predicates++;
    return MS_OK;
}

/* Several questions at once; two of one kind would be alternatives to a reader who knows sets. */
static enum ms_err check_predicates(struct http_request *r, const json_t *all, struct ms_diag *diag)
{
    size_t n = json_array_size(all);

    if (n == 0 || n > MS_ARRAY_LEN(r->predicates))
        return ms_diag_set(diag, MS_ERR_ARGUMENT, "predicates is no list of one or two");
    for (size_t i = 0; i < n; i++) {
        enum ms_err err = check_predicate(r, json_array_get(all, i), diag);
        if (err != MS_OK)
            return err;
    }
    if (n == 2 && r->predicates[0].kind == r->predicates[1].kind)
        return ms_diag_set(diag, MS_ERR_ARGUMENT, "predicates has two of one kind");
    return MS_OK;
}

/* By which formula the contract computes ids is known when it has been read: both are asked about,
 * one is looked at. */
static void want_workload(struct http_request *r)
{
    struct eth_hash v1 = workload_id_v1(&r->workload), v2 = workload_id_v2(&r->workload);

    want_candidate(r, SOURCE_CANDIDATE_WORKLOAD_ID, v1.b);
    want_candidate(r, SOURCE_CANDIDATE_WORKLOAD_ID, v2.b);
}

/* A quote is evidence that somebody else verified: here only its measurements are read. */
static enum ms_err check_quote(struct http_request *r, const json_t *quote, struct ms_diag *diag)
{
    struct ms_span text = ms_span_str(json_string_value(quote));
    struct ms_buf bytes = MS_BUF_INIT(HTTP_BODY_MAX_BYTES);
    enum ms_base64_alphabet alphabet;
    bool padded;

    enum ms_err err = json_is_string(quote)
                          ? ms_base64_decode(text, &bytes, &alphabet, &padded, diag)
                          : MS_ERR_BASE64;
    if (err == MS_OK)
        err = workload_from_quote(ms_buf_span(&bytes), &r->workload);
    ms_buf_done(&bytes);
    if (err != MS_OK)
        return ms_diag_set(diag, MS_ERR_ARGUMENT,
                           "quote is no base64 of a TDX quote, version 4 or 5");
    r->has_workload = true;
    r->type = REC_TYPE_DCAP_TDX;
    for (uint32_t i = 0; i <= WORKLOAD_RTMRS; i++)
        r->presented[i] = (struct rec_presented){
            .index = i,
            .value = ms_span_of(i == 0 ? r->workload.mr_td : r->workload.rtmr[i - 1],
                                WORKLOAD_REGISTER_BYTES)};
    r->n_presented = 1 + WORKLOAD_RTMRS;
    want_workload(r);
    return MS_OK;
}

/* What of a workload is among the registers, and in words what is missing. */
static enum ms_err read_workload(struct http_request *r, json_t *measurements, struct ms_diag *diag)
{
    struct ms_buf lacks = MS_BUF_INIT(256);

    workload_missing(measurements, &lacks);
    r->workload_lacks = ms_arena_strdup(&r->arena, ms_buf_span(&lacks));
    enum ms_err err = ms_buf_err(&lacks);
    ms_buf_done(&lacks);
    if (err != MS_OK || r->workload_lacks == NULL)
        return MS_ERR_MEMORY;
    return workload_from_registers(measurements, &r->has_workload, &r->workload, diag);
}

enum ms_err http_take_registers(struct http_request *r, struct ms_span type, json_t *measurements,
                                struct ms_diag *diag)
{
    r->type = rec_type_parse(type);
    if (r->type == REC_TYPE_UNKNOWN)
        return MS_OK; /* a type nobody approves is refused, not malformed */
    if (rec_type_comparable(r->type, REC_TYPE_DCAP_TDX)) {
        enum ms_err err = read_workload(r, measurements, diag);
        if (err != MS_OK)
            return err;
    }
    if (r->has_workload)
        want_workload(r);
    return rec_presented_parse(measurements, r->type, &r->arena, r->presented, &r->n_presented,
                               diag);
}

static enum ms_err check_registers(struct http_request *r, const json_t *root, struct ms_diag *diag)
{
    struct ms_span type = ms_json_member_str(root, "attestation_type");
    json_t *measurements = json_object_get(root, "measurements");

    if (type.ptr == NULL)
        return ms_diag_set(diag, MS_ERR_ARGUMENT, "attestation_type is missing");
    if (!json_is_object(measurements))
        return ms_diag_set(diag, MS_ERR_ARGUMENT, "measurements is missing or no object");
    return http_take_registers(r, type, measurements, diag);
}

static enum ms_err check_body(struct http_request *r, const json_t *root, struct ms_diag *diag)
{
    struct ms_span text = ms_json_member_str(root, "specifier");
    struct ms_span url = ms_json_member_str(root, "url");
    const json_t *predicate = json_object_get(root, "predicate");
    const json_t *predicates = json_object_get(root, "predicates");
    const json_t *quote = json_object_get(root, "quote");
    const json_t *boot = json_object_get(root, "boot_info");
    int ways = (boot != NULL) + (predicate != NULL) + (predicates != NULL) + (quote != NULL) +
               (json_object_get(root, "measurements") != NULL);

    if ((text.ptr != NULL) == (url.ptr != NULL))
        return ms_diag_set(diag, MS_ERR_ARGUMENT, "exactly one of specifier and url is needed");
    if (ways != 1)
        return ms_diag_set(
            diag, MS_ERR_ARGUMENT,
            "exactly one of measurements, quote, predicate, predicates and boot_info is needed");
    enum ms_err err = boot != NULL         ? http_check_boot(r, boot, diag)
                      : predicate != NULL  ? check_predicate(r, predicate, diag)
                      : predicates != NULL ? check_predicates(r, predicates, diag)
                      : quote != NULL      ? check_quote(r, quote, diag)
                                           : check_registers(r, root, diag);
    if (err != MS_OK)
        return err;
    return http_take_spec(r, url.ptr != NULL ? url : text, url.ptr != NULL, diag);
}

static enum ms_err prepare_check(struct http_request *r, struct ms_diag *diag)
{
    static const struct ms_json_limits limits = {HTTP_BODY_MAX_BYTES, 8, 1024, 0};
    json_t *root = NULL;

    enum ms_err err = ms_json_parse(ms_buf_span(&r->body), &limits, &root, diag);
    if (err != MS_OK)
        return err;
    err = json_is_object(root) ? check_body(r, root, diag)
                               : ms_diag_set(diag, MS_ERR_ARGUMENT, "the body is no JSON object");
    json_decref(root);
    return err;
}

static bool predicate_approved(const struct rec_set *set, const struct rec_predicate *want)
{
    for (size_t i = 0; i < set->n_predicates; i++)
        if (set->predicates[i].kind == want->kind &&
            memcmp(set->predicates[i].value, want->value, sizeof(want->value)) == 0)
            return true;
    return false;
}

static bool predicates_approved(const struct rec_set *set, const struct http_request *r)
{
    for (size_t i = 0; i < r->n_predicates; i++)
        if (!predicate_approved(set, &r->predicates[i]))
            return false;
    return true;
}

/* Only the id by the contract's own formula counts: another formula makes the same id of another
 * guest. */
static bool workload_approved(const struct rec_set *set, const struct workload_input *workload)
{
    struct eth_hash v1 = workload_id_v1(workload), v2 = workload_id_v2(workload);

    for (size_t i = 0; i < set->n_predicates; i++) {
        const struct rec_predicate *p = &set->predicates[i];
        const struct eth_hash *id = p->version == 1 ? &v1 : &v2;
        if (p->kind == REC_PREDICATE_TDX_WORKLOAD_ID && p->version != 0 &&
            memcmp(p->value, id->b, sizeof(p->value)) == 0)
            return true;
    }
    return false;
}

struct check_outcome {
    bool approved;
    const char *measurement_id; /* "" for a predicate */
    size_t set;                 /* index of the set that approves */
    const char *why;
};

static struct check_outcome check_sets(const struct http_request *r, const struct answer *a)
{
    for (size_t i = 0; i < a->n_sets; i++) {
        if (r->n_predicates > 0) {
            if (predicates_approved(a->sets[i], r))
                return (struct check_outcome){true, "", i,
                                              r->n_predicates > 1 ? "both values are approved"
                                                                  : "the value is approved"};
            continue;
        }
        const struct rec_record *match =
            r->type == REC_TYPE_UNKNOWN
                ? NULL
                : rec_match(a->sets[i], r->type, r->presented, r->n_presented);
        if (match != NULL)
            return (struct check_outcome){true, match->id, i, "an approved record matches"};
        if (r->has_workload && workload_approved(a->sets[i], &r->workload))
            return (struct check_outcome){true, "", i, "its workload id is approved"};
    }
    return (struct check_outcome){false, "", 0, ""};
}

/* The formula of the ids that are approved; *ret_any: there are any, or may be. */
static uint32_t workload_formula(const struct answer *a, bool *ret_any)
{
    const struct source_result *result = a->shared->result;
    uint32_t formula = result->workload_version;

    *ret_any = (result->candidate_kinds >> SOURCE_CANDIDATE_WORKLOAD_ID & 1u) != 0;
    for (size_t i = 0; !*ret_any && i < a->n_sets; i++) {
        for (size_t k = 0; !*ret_any && k < a->sets[i]->n_predicates; k++) {
            *ret_any = a->sets[i]->predicates[k].kind == REC_PREDICATE_TDX_WORKLOAD_ID;
            formula = a->sets[i]->predicates[k].version;
        }
    }
    return formula;
}

/* Where workload ids are approved: what id this one has, or what is missing to tell. */
static bool why_no_workload(const struct http_request *r, const struct answer *a,
                            struct ms_diag *diag)
{
    bool any;
    uint32_t formula = workload_formula(a, &any);
    char hex[2 * ETH_HASH_BYTES + 1];

    if (!any || !rec_type_comparable(r->type, REC_TYPE_DCAP_TDX))
        return false;
    if (!r->has_workload) {
        (void)ms_diag_set(diag, MS_OK,
                          "workload ids are approved here: that takes a quote, or beside the "
                          "registers: %s",
                          r->workload_lacks);
        return true;
    }
    if (formula == 0) {
        (void)ms_diag_set(diag, MS_OK,
                          "the contract computes workload ids by no formula known here");
        return true;
    }
    struct eth_hash id = formula == 1 ? workload_id_v1(&r->workload) : workload_id_v2(&r->workload);
    ms_hex_encode(eth_hash_span(&id), hex);
    (void)ms_diag_set(diag, MS_OK, "workload id 0x%s (formula %u) is not approved", hex, formula);
    return true;
}

static bool has_records(const struct answer *a)
{
    for (size_t i = 0; i < a->n_sets; i++)
        if (a->sets[i]->n_records > 0)
            return true;
    return false;
}

/* Registers, or those of a quote: compared with records, and where there are any with workload
 * ids. */
static void why_registers(const struct http_request *r, const struct answer *a,
                          struct ms_diag *diag)
{
    struct ms_diag workload = {0}, record = {0};

    bool about_workload = why_no_workload(r, a, &workload);
    if (!about_workload && a->state == ENTRY_REVOKED) {
        (void)ms_diag_set(diag, MS_OK, "nothing is approved");
        return;
    }
    rec_explain_mismatch(a->sets, a->n_sets, r->type, r->presented, r->n_presented, &record);
    if (about_workload && has_records(a))
        (void)ms_diag_set(diag, MS_OK, "%s; %s", record.text, workload.text);
    else
        *diag = about_workload ? workload : record;
}

/* Of several the first that no release approves; else none approves them together. */
static void why_predicates(const struct http_request *r, const struct answer *a,
                           struct ms_diag *diag)
{
    if (r->n_predicates == 1) {
        (void)ms_diag_set(diag, MS_OK, "the value is not among the approved predicates");
        return;
    }
    for (size_t i = 0; i < r->n_predicates; i++) {
        bool any = false;
        for (size_t k = 0; k < a->n_sets; k++)
            any = any || predicate_approved(a->sets[k], &r->predicates[i]);
        if (any)
            continue;
        (void)ms_diag_set(diag, MS_OK, "the value is not among the approved predicates %s",
                          rec_predicate_kind_name(r->predicates[i].kind));
        return;
    }
    (void)ms_diag_set(diag, MS_OK, "both values are approved, but by no release together");
}

/* Nothing is approved; where governance says why, its words. */
static void why_nothing(const struct answer *a, struct ms_diag *diag)
{
    const struct source_result *result = a->shared->result;

    for (size_t i = 0; i < result->n_warnings; i++) {
        if (strcmp(result->warnings[i].code, "not-registered") != 0)
            continue;
        (void)ms_diag_set(diag, MS_OK, "%s", result->warnings[i].text);
        return;
    }
    (void)ms_diag_set(diag, MS_OK, "nothing is approved");
}

static void why_refused(const struct http_request *r, const struct answer *a, struct ms_diag *diag)
{
    if (r->n_predicates == 0 && r->type != REC_TYPE_UNKNOWN)
        why_registers(r, a, diag);
    else if (a->state == ENTRY_REVOKED)
        why_nothing(a, diag);
    else if (r->n_predicates > 0)
        why_predicates(r, a, diag);
    else
        (void)ms_diag_set(diag, MS_OK, "no record is of this attestation type");
}

static enum MHD_Result send_check(struct http_request *r, unsigned status, const char *verdict,
                                  const char *id, const char *release, const char *state,
                                  const char *reason)
{
    struct ms_buf text = MS_BUF_INIT(8192);

    (void)ms_buf_addf(&text, "{\"verdict\":\"%s\",\"measurement_id\":", verdict);
    (void)ms_json_add_string(&text, ms_span_str(id));
    (void)ms_buf_addf(&text, ",\"release\":%s,\"state\":\"%s\",\"reason\":", release, state);
    (void)ms_json_add_string(&text, ms_span_str(reason));
    (void)ms_buf_add_str(&text, "}\n");
    enum MHD_Result result = http_send(r, status, ms_buf_span(&text), "application/json");
    ms_buf_done(&text);
    return result;
}

void http_judge(const struct http_request *r, const struct answer *a,
                struct http_judgement *ret_judgement)
{
    struct http_judgement judgement = {.verdict = HTTP_UNKNOWN, .measurement_id = ""};
    struct check_outcome outcome = check_sets(r, a);

    if (r->boot != NULL) {
        outcome.approved = http_check_boot_allowed(r, a, &judgement.reason) && outcome.approved;
        outcome.why = "by the rules for apps it may boot";
    }
    if (!outcome.approved && !http_knows_candidates(r, a)) {
        (void)ms_diag_set(&judgement.reason, MS_OK,
                          "the contract could not be asked about this value");
        *ret_judgement = judgement;
        return;
    }
    if (outcome.approved) {
        METRIC_INC(checks_approved);
        judgement.verdict = HTTP_APPROVED;
        judgement.measurement_id = outcome.measurement_id;
        judgement.release = &a->shared->result->releases[a->set_release[outcome.set]];
        (void)ms_diag_set(&judgement.reason, MS_OK, "%s", outcome.why);
    } else {
        METRIC_INC(checks_refused);
        judgement.verdict = HTTP_REFUSED;
        why_refused(r, a, &judgement.reason);
    }
    *ret_judgement = judgement;
}

static enum MHD_Result answer_check(struct http_request *r, struct answer *a)
{
    struct http_judgement judgement;
    struct ms_buf release = MS_BUF_INIT(1024);

    if (!a->serve)
        return http_fail(r, a->err, a->diag);
    http_judge(r, a, &judgement);
    if (judgement.verdict == HTTP_UNKNOWN)
        return http_fail(r, MS_ERR_UNAVAILABLE, &judgement.reason);
    if (judgement.verdict == HTTP_REFUSED)
        return send_check(r, MHD_HTTP_OK, "refused", "", "null", entry_state_name(a->state),
                          judgement.reason.text);
    (void)ms_buf_addf(&release,
                      "{\"id\":%llu,\"version\":", (unsigned long long)judgement.release->id);
    (void)ms_json_add_string(&release, ms_span_str(judgement.release->version));
    (void)ms_buf_add_str(&release, "}");
    const char *text = ms_buf_str(&release);
    enum MHD_Result result =
        send_check(r, MHD_HTTP_OK, "approved", judgement.measurement_id,
                   text == NULL ? "null" : text, entry_state_name(a->state), judgement.reason.text);
    ms_buf_done(&release);
    return result;
}

/* 400 is a problem document; whatever else stands in the way of an answer is the verdict "unknown".
 */
static enum MHD_Result error_check(struct http_request *r, unsigned status, enum ms_err err,
                                   const struct ms_diag *diag)
{
    struct ms_buf reason = MS_BUF_INIT(1024);

    if (status == MHD_HTTP_BAD_REQUEST || status == MHD_HTTP_CONTENT_TOO_LARGE ||
        status == MHD_HTTP_METHOD_NOT_ALLOWED || status == MHD_HTTP_FORBIDDEN)
        return http_error_problem(r, status, err, diag);
    METRIC_INC(checks_unknown);
    (void)ms_buf_addf(&reason, "%s: %s", ms_err_code(err), ms_diag_text(diag, err));
    const char *text = ms_buf_str(&reason);
    enum MHD_Result result = send_check(r, MHD_HTTP_SERVICE_UNAVAILABLE, "unknown", "", "null",
                                        "unknown", text == NULL ? "" : text);
    ms_buf_done(&reason);
    return result;
}

/* ---- refresh ---- */

static enum ms_err prepare_refresh(struct http_request *r, struct ms_diag *diag)
{
    struct ms_buf value = MS_BUF_INIT(8);
    bool found = false;

    r->core.force = true;
    enum ms_err err = query_member(ms_span_str(r->target), "accept", &value, &found, diag);
    if (err == MS_ERR_LIMIT || (err == MS_OK && found && !ms_span_eq_str(ms_buf_span(&value), "1")))
        err = ms_diag_set(diag, MS_ERR_ARGUMENT, "accept may only be 1");
    r->core.accept = found;
    ms_buf_done(&value);
    return err == MS_OK ? http_parse_spec(r, diag) : err;
}

static enum MHD_Result answer_refresh(struct http_request *r, struct answer *a)
{
    if (!r->asked)
        return MHD_NO; /* usable() never lets a forced request through before it was asked */
    if (r->core.err != MS_OK)
        return http_fail(r, r->core.err, &r->core.diag);
    return answer_resolve(r, a);
}

/* ---- operators ---- */

static void run_reply(struct loop_job *job)
{
    struct http_request *r =
        (struct http_request *)((char *)job - offsetof(struct http_request, job));
    bool is_metrics = strcmp(r->route->path, "/metrics") == 0;
    const struct http_env *env = &r->http->env;
    struct http_page *page = is_metrics ? &r->http->metrics : &r->http->status;

    /* many who ask at once get one rendering, so that they do not hold up the core */
    if (page->batch != loop_batch(env->loop)) {
        ms_buf_reset(&page->text);
        (is_metrics ? env->metrics : env->status)(env->arg, &page->text);
        page->batch = loop_batch(env->loop);
    }
    (void)ms_buf_add(&r->reply, ms_buf_span(&page->text));
    http_resume(r);
}

/* Made on the loop thread, which owns what is told. */
static enum MHD_Result direct_reply(struct http_request *r)
{
    struct ms_diag diag = {0};
    bool is_metrics = strcmp(r->route->path, "/metrics") == 0;

    if (r->asked)
        return http_send(r, MHD_HTTP_OK, ms_buf_span(&r->reply),
                         is_metrics ? "text/plain; version=0.0.4" : "application/json");
    enum ms_err err = clients_take(r->http->env.clients, r->client, CLIENT_REPLIES, &diag);
    if (err != MS_OK)
        return http_fail(r, err, &diag);
    r->replying = true;
    r->asked = true;
    r->stage = HTTP_WAITING;
    r->job.run = run_reply;
    if (!http_suspend(r))
        return http_fail(r, MS_ERR_SHUTDOWN, NULL);
    loop_post(r->http->env.loop, &r->job);
    return MHD_YES;
}

static enum MHD_Result direct_health(struct http_request *r)
{
    int64_t alive = atomic_load_explicit(&r->http->loop_alive_ms, memory_order_relaxed);
    bool ok = clocks_now().boot_ms - alive < HTTP_LOOP_STALL_MS;
    if (ok && strcmp(r->route->path, "/readyz") == 0)
        ok = atomic_load(&r->http->ready) && !atomic_load(&r->http->stopping);
    return http_send(r, ok ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE,
                     ms_span_str(ok ? "ok\n" : "not ok\n"), "text/plain; charset=utf-8");
}

/* ---- routes ---- */

static const struct http_route routes[] = {
    {"/v1/measurements", "GET", false, prepare_measurements, answer_measurements, NULL,
     http_error_text, NULL},
    {"/v1/resolve", "GET", false, prepare_resolve, answer_resolve, NULL, http_error_problem, NULL},
    {"/v1/check", "POST", false, prepare_check, answer_check, NULL, error_check, NULL},
    {"/v1/authorize", NULL, false, http_authorize_prepare, http_authorize_answer, NULL,
     http_authorize_error, NULL},
    {"/v1/watch", "GET", false, http_parse_spec, NULL, http_watch, http_error_problem, NULL},
    {"/v1/refresh", "POST", true, prepare_refresh, answer_refresh, NULL, http_error_problem, NULL},
    {"/", "GET", false, http_dstack_prepare, http_dstack_answer, NULL, http_dstack_error,
     http_dstack_enabled},
    {"/bootAuth/app", "POST", false, http_boot_app_prepare, http_boot_answer, NULL, http_boot_error,
     http_dstack_enabled},
    {"/bootAuth/kms", "POST", false, http_boot_kms_prepare, http_boot_answer, NULL, http_boot_error,
     http_dstack_enabled},
    {"/v1/history", "GET", false, http_prepare_history, NULL, http_audit, http_error_problem, NULL},
    {"/v1/diff", "GET", false, http_prepare_diff, NULL, http_audit, http_error_problem, NULL},
    {"/v1/at", "GET", false, http_prepare_at, NULL, http_audit, http_error_problem, NULL},
    {"/v1/past", "GET", false, http_prepare_past, NULL, http_audit, http_error_problem, NULL},
    {"/v1/evidence/", "GET", false, http_prepare_evidence, NULL, http_audit, http_error_problem,
     NULL},
    {"/v1/log/", "GET", false, http_prepare_log, NULL, http_log, http_error_problem, NULL},
    {"/v1/backfill", "POST", true, prepare_resolve, http_backfill_ask, NULL, http_error_problem,
     NULL},
    {"/v1/backfill", "GET", false, http_parse_spec, NULL, http_backfill_status, http_error_problem,
     NULL},
    {"/v1/operations", "GET", false, http_prepare_operations, NULL, http_operations,
     http_error_problem, NULL},
    {"/v1/entries", "GET", false, http_prepare_entries, NULL, http_audit, http_error_problem, NULL},
    {"/ui", "GET", false, NULL, NULL, http_ui, http_error_problem, NULL},
    {"/ui/", "GET", false, NULL, NULL, http_ui, http_error_problem, NULL},
    {"/v1/status", "GET", false, NULL, NULL, direct_reply, http_error_problem, NULL},
    {"/metrics", "GET", false, NULL, NULL, direct_reply, http_error_problem, NULL},
    {"/healthz", "GET", false, NULL, NULL, direct_health, http_error_problem, NULL},
    {"/readyz", "GET", false, NULL, NULL, direct_health, http_error_problem, NULL},
};

static bool is_path(const struct http_route *route, struct ms_span path)
{
    size_t len = strlen(route->path);

    if (ms_span_eq_str(path, route->path) || !ms_span_starts(path, route->path) || len == 1)
        return ms_span_eq_str(path, route->path);
    return route->path[len - 1] == '/' || (route->method == NULL && path.ptr[len] == '/');
}

const struct http_route *http_route_find(struct ms_span path, const char *method,
                                         const struct http_route **ret_other)
{
    *ret_other = NULL;
    if (strcmp(method, MHD_HTTP_METHOD_HEAD) == 0)
        method = MHD_HTTP_METHOD_GET;
    for (size_t i = 0; i < MS_ARRAY_LEN(routes); i++) {
        if (!is_path(&routes[i], path))
            continue;
        if (routes[i].method == NULL || strcmp(method, routes[i].method) == 0)
            return &routes[i];
        *ret_other = &routes[i];
    }
    return NULL;
}
