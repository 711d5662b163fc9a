/* resolver/daemon/http_dstack.c - the webhook of dstack's KMS (consumers.md 1.6, 2.2 C5): it asks
 * whether an app, or a KMS, that boots may have its keys.
 *
 * Who asks is the KMS, and what it says of the guest it has verified; which governance counts is
 * the configuration's to say: of an app its own section, else the contract at its id behind the KMS
 * contract of the configuration, on that contract's chain. Everything that is no clear yes is a no:
 * a well-formed question gets 200 with isAllowed false and the reason, for that is what the KMS
 * shows to people. Keys cannot be taken back, so what is only served until something else is known
 * (stale-if-error, hold) is not enough here. */
#define _GNU_SOURCE
#include "resolver/daemon/http_internal.h"

#include "base/base64.h"
#include "resolver/daemon/log.h"
#include "resolver/daemon/metrics.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define REPLY_MAX_BYTES 8192u
#define STATEMENT_MAX_BYTES 2048u
#define SPEC_MAX_BYTES 512u /* of an app's contract */

enum verdict { VERDICT_UNKNOWN = 0, VERDICT_REFUSED, VERDICT_APPROVED };

static const char *const verdict_names[] = {"unknown", "refused", "approved"};

struct http_boot {
    const struct config_dstack *config;
    enum boot_whom whom;
    bool understood; /* the question is well-formed: from here on the answer is a decision */
    bool nobody;     /* nobody governs it */
    struct boot_info info;
};

/* One decision, for the reply, the log and the signature. */
struct decision {
    enum verdict verdict;
    const char *reason, *gateway;
    const char *state;          /* of the answer it rests on; "" without one */
    const struct answer *basis; /* NULL: there is none */
    int64_t time_s;
};

bool http_dstack_enabled(const struct config *config)
{
    return config->dstack.enabled;
}

/* ---- the log ---- */

static struct log_field hex_field(const char *key, const uint8_t *bytes, size_t len, char *text)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < len; i++) {
        text[2 * i] = digits[bytes[i] >> 4];
        text[2 * i + 1] = digits[bytes[i] & 15];
    }
    text[2 * len] = '\0';
    return log_str(key, text);
}

/* Each one: whoever has to explain a key that was given, or was not, finds it here. */
static void log_boot(const struct http_request *r, const struct decision *d)
{
    const struct boot_info *info = &r->boot->info;
    const struct source_result *result = d->basis == NULL ? NULL : d->basis->shared->result;
    char app[2 * BOOT_APP_ID_BYTES + 1], instance[2 * BOOT_APP_ID_BYTES + 1] = "";
    char compose[2 * BOOT_HASH_BYTES + 1], image[2 * BOOT_HASH_BYTES + 1];
    char device[2 * BOOT_HASH_BYTES + 1], mr[2 * BOOT_HASH_BYTES + 1];
    char key[2 * MS_SHA256_BYTES + 1];

    ms_sha256_hex(&r->id.key, key);
    const struct log_field fields[] = {
        log_str("whom", r->boot->whom == BOOT_APP ? "app" : "kms"),
        log_str("verdict", verdict_names[d->verdict]),
        log_str("reason", d->reason),
        hex_field("app", info->app_id, BOOT_APP_ID_BYTES, app),
        info->has_instance_id
            ? hex_field("instance", info->instance_id, BOOT_APP_ID_BYTES, instance)
            : log_str("instance", instance),
        hex_field("compose", info->compose_hash, BOOT_HASH_BYTES, compose),
        hex_field("image", info->os_image_hash, BOOT_HASH_BYTES, image),
        hex_field("device", info->device_id, BOOT_HASH_BYTES, device),
        hex_field("mr", info->mr_aggregated, BOOT_HASH_BYTES, mr),
        log_str("tcb", info->tcb_status),
        log_str("key", r->boot->nobody ? "" : key),
        log_str("state", d->state),
        log_uint("sequence", d->basis == NULL ? 0 : d->basis->sequence),
        log_uint("chain", result == NULL ? 0 : result->block.chain),
        log_uint("block", result == NULL ? 0 : result->block.number),
    };
    log_decision(d->verdict == VERDICT_APPROVED ? LOG_LEVEL_INFO : LOG_LEVEL_NOTICE, "dstack",
                 "boot", fields, MS_ARRAY_LEN(fields));
}

/* ---- the signature ---- */

static void add_digest(struct ms_buf *out, const char *name, struct ms_span bytes)
{
    struct ms_sha256 hash = ms_sha256(bytes);

    (void)ms_buf_addf(out, "%s=", name);
    (void)ms_buf_add_hex(out, ms_span_of(hash.b, sizeof(hash.b)));
    (void)ms_buf_add_byte(out, '\n');
}

/* docs/dstack.md: one value a line, in this order, each line with its line feed. */
static void write_statement(const struct http_request *r, const struct decision *d,
                            struct ms_span reply, struct ms_buf *out)
{
    const struct source_result *result = d->basis == NULL ? NULL : d->basis->shared->result;
    bool chain = result != NULL && result->block.chain != 0;

    (void)ms_buf_addf(out, "measured/boot-decision/1\npath=%s\n", r->route->path);
    add_digest(out, "request-sha256", ms_buf_span(&r->body));
    add_digest(out, "reply-sha256", reply);
    (void)ms_buf_addf(out, "verdict=%s\nspecifier-key=", verdict_names[d->verdict]);
    if (!r->boot->nobody)
        (void)ms_buf_add_hex(out, ms_span_of(r->id.key.b, sizeof(r->id.key.b)));
    (void)ms_buf_addf(out, "\nstate=%s\nsequence=%" PRIu64 "\nchain=%" PRIu64 "\nblock=%" PRIu64,
                      d->state, d->basis == NULL ? 0 : d->basis->sequence,
                      chain ? result->block.chain : 0, chain ? result->block.number : 0);
    (void)ms_buf_add_str(out, "\nblock-hash=");
    if (chain)
        (void)ms_buf_add_hex(out, eth_hash_span(&result->block.hash));
    (void)ms_buf_addf(out, "\nevidence=%s\ntime=%" PRId64 "\n",
                      d->basis == NULL ? "" : d->basis->evidence_hex, d->time_s);
}

/* Both headers, or neither and false. */
static bool sign(const struct http_request *r, const struct decision *d, struct ms_span reply,
                 struct ms_buf *statement, struct ms_buf *signature)
{
    const struct identity *identity = r->http->env.identity;
    struct ms_buf text = MS_BUF_INIT(STATEMENT_MAX_BYTES);
    uint8_t bytes[IDENTITY_SIGNATURE_BYTES];

    write_statement(r, d, reply, &text);
    bool ok =
        ms_buf_err(&text) == MS_OK && identity_sign(identity, ms_buf_span(&text), bytes) == MS_OK;
    if (ok) {
        (void)ms_base64_encode(ms_buf_span(&text), statement);
        (void)ms_buf_addf(signature, "ed25519 %s ", identity_key_id(identity));
        (void)ms_base64_encode(ms_span_of(bytes, sizeof(bytes)), signature);
        ok = ms_buf_str(statement) != NULL && ms_buf_str(signature) != NULL;
    }
    ms_buf_done(&text);
    return ok;
}

/* ---- decisions ---- */

static void count_boot(enum verdict verdict)
{
    switch (verdict) {
    case VERDICT_APPROVED:
        METRIC_INC(boots_approved);
        return;
    case VERDICT_REFUSED:
        METRIC_INC(boots_refused);
        return;
    case VERDICT_UNKNOWN:
        METRIC_INC(boots_unknown);
        return;
    }
}

static void write_reply(const struct decision *d, struct ms_buf *out)
{
    (void)ms_buf_addf(out, "{\"isAllowed\":%s,\"gatewayAppId\":",
                      d->verdict == VERDICT_APPROVED ? "true" : "false");
    (void)ms_json_add_string(out, ms_span_str(d->gateway));
    (void)ms_buf_add_str(out, ",\"reason\":");
    (void)ms_json_add_string(out, ms_span_str(d->reason));
    (void)ms_buf_add_str(out, "}\n");
}

/* Nobody is given a yes that was asked to be signed and could not be. */
static enum MHD_Result send_decision(struct http_request *r, const struct decision *d)
{
    static const struct decision failed = {
        .reason = "the decision could not be signed", .gateway = "", .state = ""};
    struct ms_buf reply = MS_BUF_INIT(REPLY_MAX_BYTES), statement = MS_BUF_INIT(REPLY_MAX_BYTES),
                  signature = MS_BUF_INIT(REPLY_MAX_BYTES);
    bool is_signed = false;

    write_reply(d, &reply);
    if (r->http->env.identity != NULL) {
        is_signed = sign(r, d, ms_buf_span(&reply), &statement, &signature);
        if (!is_signed) {
            d = &failed;
            ms_buf_reset(&reply);
            write_reply(d, &reply);
        }
    }
    count_boot(d->verdict);
    log_boot(r, d);
    r->come_again = false;
    struct MHD_Response *response = ms_buf_err(&reply) == MS_OK
                                        ? http_response(r, ms_buf_span(&reply), "application/json")
                                        : NULL;
    enum MHD_Result result = MHD_NO;
    if (response != NULL) {
        (void)MHD_add_response_header(response, "X-Measured-Verdict", verdict_names[d->verdict]);
        if (is_signed) {
            (void)MHD_add_response_header(response, "X-Measured-Statement", ms_buf_str(&statement));
            (void)MHD_add_response_header(response, "X-Measured-Signature", ms_buf_str(&signature));
        }
        result = http_queue(r, MHD_HTTP_OK, response);
    }
    ms_buf_done(&reply);
    ms_buf_done(&statement);
    ms_buf_done(&signature);
    return result;
}

/* The gateway that governance names; of a list the operator's. */
static const char *gateway_of(const struct config_dstack *config, const struct answer *a)
{
    bool contract;
    const char *id = boot_gateway(a->shared->result, &contract);

    if (!contract)
        id = config->gateway_app_id;
    return id == NULL ? "" : id;
}

/* Confirmed within its lifetime, and nothing is odd about it. */
static bool is_current(const struct answer *a)
{
    return a->state == ENTRY_FRESH || a->state == ENTRY_SWR || a->state == ENTRY_REVOKED;
}

static void why_not_current(const struct answer *a, struct ms_diag *reason)
{
    (void)ms_diag_set(reason, MS_OK, "could not find out: the last answer is %s%s%s",
                      entry_state_name(a->state), a->diag == NULL ? "" : ": ",
                      a->diag == NULL ? "" : a->diag->text);
}

/* The old answer is there, but the question that these values made necessary was not answered. */
static void why_not_asked(const struct http_request *r, const struct answer *a,
                          struct ms_diag *reason)
{
    const char *why = r->core.err != MS_OK ? ms_diag_text(&r->core.diag, r->core.err)
                      : a->diag != NULL    ? a->diag->text
                                           : "no answer in time";

    (void)ms_diag_set(reason, MS_OK,
                      "could not find out: the contract could not be asked about these values: %s",
                      why);
}

enum MHD_Result http_boot_answer(struct http_request *r, struct answer *a)
{
    const struct http_boot *boot = r->boot;
    struct ms_diag reason = {0};
    struct decision d = {.state = entry_state_name(a->state), .time_s = clocks_now().wall_s};

    if (!a->serve)
        return http_fail(r, a->err, a->diag);
    const struct boot_governance governance = {a->shared->result, a->n_sets, a->sets};
    d.basis = a;
    d.gateway = gateway_of(boot->config, a);
    if (!is_current(a))
        why_not_current(a, &reason);
    else if (!http_knows_candidates(r, a))
        why_not_asked(r, a, &reason);
    else if (boot_allowed(&boot->info, boot->whom, &governance, &boot->config->policy, &reason))
        d.verdict = VERDICT_APPROVED;
    else
        d.verdict = VERDICT_REFUSED;
    d.reason = reason.text;
    return send_decision(r, &d);
}

/* Before the question was understood it is an error; afterwards a decision: no. */
enum MHD_Result http_boot_error(struct http_request *r, unsigned status, enum ms_err err,
                                const struct ms_diag *diag)
{
    struct ms_diag reason = {0};
    bool proven = http_status_of(err) == MHD_HTTP_NOT_FOUND;

    if (r->boot == NULL || !r->boot->understood)
        return http_error_problem(r, status, err, diag);
    if (r->boot->nobody)
        reason = *diag;
    else
        (void)ms_diag_set(&reason, MS_OK, "%s%s: %s",
                          proven ? "" : "could not find out: ", ms_err_code(err),
                          ms_diag_text(diag, err));
    const struct decision d = {.verdict =
                                   proven || r->boot->nobody ? VERDICT_REFUSED : VERDICT_UNKNOWN,
                               .reason = reason.text,
                               .gateway = "",
                               .state = "",
                               .time_s = clocks_now().wall_s};
    return send_decision(r, &d);
}

/* ---- who governs ---- */

static enum ms_err nobody(struct http_request *r, struct ms_diag *diag, const char *text)
{
    r->boot->nobody = true;
    return ms_diag_set(diag, MS_ERR_NOT_FOUND, "%s", text);
}

static void drop_spec(struct http_request *r)
{
    if (r->spec != NULL)
        spec_done(r->spec);
    free(r->spec);
    r->spec = NULL;
}

/* What tightens the KMS tightens its apps; what cannot be said of an app's contract cannot be held
 * there, and an option that is dropped would loosen. */
static enum ms_err add_options(const struct spec *kms, struct ms_buf *out, struct ms_diag *diag)
{
    for (size_t i = 0; i < kms->n_options; i++) {
        const char *name = kms->options[i].name;
        if (strcmp(name, "kind") == 0 || strcmp(name, "from") == 0)
            continue;
        if (strcmp(name, "level") != 0 && strcmp(name, "max-age") != 0)
            return ms_diag_set(diag, MS_ERR_OPT,
                               "the option %s= of kms-specifier cannot be held for its apps: name "
                               "this app in a section [dstack-app]",
                               name);
        (void)ms_buf_addf(out, ";%s=%s", name, kms->options[i].value);
    }
    return MS_OK;
}

/* The contract at the app's id, behind the KMS contract; on no other chain, by no other KMS. */
static enum ms_err contract_text(const struct spec *kms, const uint8_t app_id[BOOT_APP_ID_BYTES],
                                 struct ms_buf *out, struct ms_diag *diag)
{
    char app[ETH_ADDR_TEXT + 1], at[ETH_ADDR_TEXT + 1];
    struct eth_addr address;

    memcpy(address.b, app_id, ETH_ADDR_BYTES);
    eth_addr_text(&address, app);
    eth_addr_text(&kms->address, at);
    (void)ms_buf_addf(out, "eip155:%" PRIu64 ":%s;kind=dstack-app;kms=%s", kms->chain, app, at);
    enum ms_err err = add_options(kms, out, diag);
    return err == MS_OK ? ms_buf_err(out) : err;
}

static bool is_kms_contract(const struct spec *spec)
{
    return spec->kind == SPEC_CONTRACT &&
           (spec->adapter == NULL || strcmp(spec->adapter, "dstack-kms") == 0);
}

static enum ms_err take_app(struct http_request *r, const struct config *config,
                            struct ms_diag *diag)
{
    const struct http_boot *boot = r->boot;
    const struct config_dstack_app *app = config_dstack_app(config, boot->info.app_id);
    struct ms_buf text = MS_BUF_INIT(SPEC_MAX_BYTES);

    if (app != NULL)
        return http_take_spec(r, ms_span_str(app->specifier), false, diag);
    if (boot->config->kms_specifier == NULL)
        return nobody(r, diag,
                      "nobody governs this app: it has no section [dstack-app], and there "
                      "is no kms-specifier");
    enum ms_err err = http_take_spec(r, ms_span_str(boot->config->kms_specifier), false, diag);
    if (err != MS_OK)
        return err;
    if (!is_kms_contract(r->spec))
        return nobody(r, diag,
                      "nobody governs this app: it has no section [dstack-app], and "
                      "kms-specifier is not the contract of a KMS");
    err = contract_text(r->spec, boot->info.app_id, &text, diag);
    drop_spec(r);
    if (err == MS_OK)
        err = http_take_spec(r, ms_buf_span(&text), false, diag);
    ms_buf_done(&text);
    return err;
}

/* ---- requests ---- */

static enum ms_err begin(struct http_request *r, const struct config *config)
{
    r->boot = ms_arena_alloc(&r->arena, 1, sizeof(*r->boot));
    if (r->boot == NULL)
        return MS_ERR_MEMORY;
    *r->boot = (struct http_boot){.config = &config->dstack};
    r->core.wait_ms = config->dstack.deadline_s * 1000;
    return MS_OK;
}

static enum ms_err prepare_boot(struct http_request *r, enum boot_whom whom, struct ms_diag *diag)
{
    /* replaced configurations are kept while the daemon runs */
    const struct config *config = atomic_load(&r->http->config);
    enum ms_err err = begin(r, config);

    if (err != MS_OK)
        return err;
    struct http_boot *boot = r->boot;
    err = boot_info_parse(ms_buf_span(&r->body), &r->arena, &boot->info, diag);
    if (err != MS_OK)
        return err;
    boot->whom = whom;
    boot->understood = true;
    r->core.n_candidates = BOOT_CANDIDATES;
    boot_candidates(&boot->info, whom, r->core.candidates);
    if (whom == BOOT_APP)
        return take_app(r, config, diag);
    if (boot->config->kms_specifier == NULL)
        return nobody(r, diag, "nobody governs the KMS: there is no kms-specifier");
    return http_take_spec(r, ms_span_str(boot->config->kms_specifier), false, diag);
}

/* The same question about a specifier that whoever asks names, by the rules for apps. */
enum ms_err http_check_boot(struct http_request *r, const json_t *boot_info, struct ms_diag *diag)
{
    enum ms_err err = begin(r, atomic_load(&r->http->config));

    r->core.wait_ms = 0;
    if (err == MS_OK)
        err = boot_info_read(boot_info, &r->arena, &r->boot->info, diag);
    if (err != MS_OK)
        return err;
    const struct boot_info *info = &r->boot->info;
    r->core.n_candidates = BOOT_CANDIDATES;
    boot_candidates(info, BOOT_APP, r->core.candidates);
    r->n_predicates = 2;
    r->predicates[0].kind = REC_PREDICATE_DSTACK_OS_IMAGE;
    memcpy(r->predicates[0].value, info->os_image_hash, sizeof(info->os_image_hash));
    r->predicates[1].kind = REC_PREDICATE_DSTACK_COMPOSE_HASH;
    memcpy(r->predicates[1].value, info->compose_hash, sizeof(info->compose_hash));
    return MS_OK;
}

bool http_check_boot_allowed(const struct http_request *r, const struct answer *a,
                             struct ms_diag *reason)
{
    const struct boot_governance governance = {a->shared->result, a->n_sets, a->sets};

    return boot_allowed(&r->boot->info, BOOT_APP, &governance, &r->boot->config->policy, reason);
}

enum ms_err http_boot_app_prepare(struct http_request *r, struct ms_diag *diag)
{
    return prepare_boot(r, BOOT_APP, diag);
}

enum ms_err http_boot_kms_prepare(struct http_request *r, struct ms_diag *diag)
{
    return prepare_boot(r, BOOT_KMS, diag);
}

/* ---- GET /: which KMS this is the webhook of; never where its chain is read ---- */

enum ms_err http_dstack_prepare(struct http_request *r, struct ms_diag *diag)
{
    const struct config *config = atomic_load(&r->http->config);
    enum ms_err err = begin(r, config);

    if (err != MS_OK)
        return err;
    if (config->dstack.kms_specifier == NULL)
        return nobody(r, diag, "there is no kms-specifier");
    return http_take_spec(r, ms_span_str(config->dstack.kms_specifier), false, diag);
}

static const char *text_of(const json_t *governance, const char *name)
{
    const char *text = json_string_value(json_object_get(governance, name));
    return text == NULL ? "" : text;
}

/* `governance` NULL: no contract of a KMS is behind it. */
static enum MHD_Result send_meta(struct http_request *r, const json_t *governance, uint64_t chain,
                                 const char *gateway)
{
    struct ms_buf text = MS_BUF_INIT(REPLY_MAX_BYTES);

    (void)ms_buf_add_str(&text, "{\"status\":\"ok\",\"kmsContractAddr\":");
    (void)ms_json_add_string(&text, ms_span_str(text_of(governance, "address")));
    (void)ms_buf_add_str(&text, ",\"gatewayAppId\":");
    (void)ms_json_add_string(&text, ms_span_str(gateway));
    (void)ms_buf_addf(&text, ",\"chainId\":%" PRIu64 ",\"appImplementation\":", chain);
    (void)ms_json_add_string(&text, ms_span_str(text_of(governance, "app_implementation")));
    (void)ms_buf_add_str(&text, "}\n");
    enum MHD_Result result = ms_buf_err(&text) == MS_OK
                                 ? http_send(r, MHD_HTTP_OK, ms_buf_span(&text), "application/json")
                                 : MHD_NO;
    ms_buf_done(&text);
    return result;
}

enum MHD_Result http_dstack_answer(struct http_request *r, struct answer *a)
{
    if (!a->serve)
        return http_fail(r, a->err, a->diag);
    const struct source_result *result = a->shared->result;
    bool kms = result->adapter != NULL && strcmp(result->adapter, "dstack-kms") == 0;
    return send_meta(r, kms ? result->governance : NULL, kms ? result->block.chain : 0,
                     gateway_of(r->boot->config, a));
}

enum MHD_Result http_dstack_error(struct http_request *r, unsigned status, enum ms_err err,
                                  const struct ms_diag *diag)
{
    if (r->boot == NULL || !r->boot->nobody)
        return http_error_problem(r, status, err, diag);
    const char *gateway = r->boot->config->gateway_app_id;
    return send_meta(r, NULL, 0, gateway == NULL ? "" : gateway);
}
