/* resolver/records/dialects.c - foreign forms of a measurement document, turned into the ordinary
 * list.
 *
 * Rule of every translation: an approval that cannot be expressed may be left out with a warning
 * (fewer machines pass); a constraint that cannot be expressed refuses the document (more would
 * pass). Which form a document has is decided by its members alone, before any of it is judged: a
 * broken document of one form never falls through to another. */
#include "resolver/records/internal.h"

#include "base/base64.h"

/* ---- building ---- */

/* Appends {measurement_id, attestation_type, <content>: value}; takes `value`. */
static enum ms_err add_record(json_t *list, const char *id, const char *type, const char *content,
                              json_t *value)
{
    json_t *record = json_object();

    bool ok = json_object_set_new(record, content, value) == 0 &&
              json_object_set_new(record, "measurement_id", json_string(id)) == 0 &&
              json_object_set_new(record, "attestation_type", json_string(type)) == 0;
    if (!ok) {
        json_decref(record);
        return MS_ERR_MEMORY;
    }
    return json_array_append_new(list, record) == 0 ? MS_OK : MS_ERR_MEMORY;
}

static enum ms_err add_predicate(json_t *list, enum rec_predicate_kind kind, struct ms_span hex)
{
    json_t *entry = json_pack("{s:{s:s,s:s%}}", "predicate", "kind", rec_predicate_kind_name(kind),
                              "value", hex.ptr, hex.len);

    return json_array_append_new(list, entry) == 0 ? MS_OK : MS_ERR_MEMORY;
}

static enum ms_err shape(struct rec_ctx *ctx, const char *what)
{
    return rec_refuse(ctx, MS_ERR_RECORDS, "L000", "%s", what);
}

static bool has(const json_t *object, const char *name)
{
    return json_object_get(object, name) != NULL;
}

/* A member that is not understood may be a constraint. */
static enum ms_err check_members(struct rec_ctx *ctx, json_t *object, const char *form,
                                 const char *const *known, size_t n_known)
{
    const char *name;
    json_t *value;

    json_object_foreach(object, name, value)
    {
        bool found = false;
        for (size_t i = 0; i < n_known; i++)
            found = found || strcmp(name, known[i]) == 0;
        if (!found)
            return rec_refuse(ctx, MS_ERR_RECORDS, "L000", "%s: member \"%.40s\" is not understood",
                              form, name);
    }
    return MS_OK;
}

/* ---- `attest measure` (consumers.md 1.3) ---- */

static enum ms_err from_attest_measure(struct rec_ctx *ctx, json_t *root, json_t *list)
{
    static const char *const known[] = {"kind", "azure", "dcap"};
    struct ms_span kind = ms_json_member_str(root, "kind");
    json_t *azure = json_object_get(root, "azure");
    json_t *dcap = json_object_get(root, "dcap");

    if (ms_span_eq_str(kind, "dcap"))
        return shape(ctx, "attest measure: kind dcap holds values of one machine, not a policy");
    if (!ms_span_eq_str(kind, "portable") && !ms_span_eq_str(kind, "azure"))
        return shape(ctx, "attest measure: unknown kind");
    enum ms_err err = check_members(ctx, root, "attest measure", known, MS_ARRAY_LEN(known));
    if (err == MS_OK && azure != NULL && !json_is_null(azure))
        err = add_record(list, "", "azure-tdx", "measurements", json_incref(azure));
    if (err == MS_OK && dcap != NULL && !json_is_null(dcap))
        err = add_record(list, "", "gcp-tdx", "dcap_image_hashes", json_incref(dcap));
    if (err == MS_OK && json_array_size(list) == 0)
        return shape(ctx, "attest measure: neither azure nor dcap");
    return err;
}

/* ---- trustee RVPS, message type `sample` (consumers.md 1.7) ---- */

static const struct {
    const char *theirs, *ours;
} trustee_names[] = {
    {"mr_td", "0"}, {"rtmr_0", "1"}, {"rtmr_1", "2"}, {"rtmr_2", "3"}, {"rtmr_3", "4"},
};

static const char *trustee_register(const char *name)
{
    for (size_t i = 0; i < MS_ARRAY_LEN(trustee_names); i++)
        if (strcmp(name, trustee_names[i].theirs) == 0)
            return trustee_names[i].ours;
    return NULL;
}

/* Trustee's policy demands every listed name, so a name that is no register of ours is a
 * constraint. */
static enum ms_err trustee_registers(struct rec_ctx *ctx, json_t *values, json_t *registers)
{
    const char *name;
    json_t *list;

    json_object_foreach(values, name, list)
    {
        const char *reg = trustee_register(name);
        if (reg == NULL)
            return rec_refuse(ctx, MS_ERR_RECORDS, "L002",
                              "trustee: reference value \"%.40s\" is no TDX register", name);
        if (!json_is_array(list))
            return rec_refuse(ctx, MS_ERR_RECORDS, "L000",
                              "trustee: reference value \"%s\" is no list", name);
        if (json_object_set(registers, reg, list) != 0)
            return MS_ERR_MEMORY;
    }
    return MS_OK;
}

static enum ms_err from_trustee(struct rec_ctx *ctx, json_t *root, json_t *list)
{
    static const struct ms_json_limits limits = {REC_DOC_MAX_BYTES, 4, REC_DOC_VALUES_MAX, 0};
    struct ms_buf text = MS_BUF_INIT(REC_DOC_MAX_BYTES);
    json_t *values = NULL, *registers = NULL;
    bool padded = false;

    if (!ms_span_eq_str(ms_json_member_str(root, "type"), "sample"))
        return shape(ctx, "trustee: only messages of type sample are read");
    enum ms_err err =
        ms_base64_decode(ms_json_member_str(root, "payload"), &text, NULL, &padded, ctx->diag);
    if (err != MS_OK)
        goto out;
    err = ms_json_parse(ms_buf_span(&text), &limits, &values, ctx->diag);
    if (err != MS_OK)
        goto out;
    if (!json_is_object(values)) {
        err = shape(ctx, "trustee: the payload is no object");
        goto out;
    }
    registers = json_object();
    err = registers == NULL ? MS_ERR_MEMORY : trustee_registers(ctx, values, registers);
    if (err == MS_OK)
        err = add_record(list, "", "dcap-tdx", "measurements", json_incref(registers));
out:
    json_decref(registers);
    json_decref(values);
    ms_buf_done(&text);
    return err;
}

/* ---- Constellation ImageMeasurementsV2 (consumers.md 1.9) ---- */

static enum ms_err add_constellation(struct rec_ctx *ctx, json_t *root, json_t *entry, json_t *list)
{
    struct ms_span version = ms_json_member_str(root, "version");
    struct ms_span csp = ms_json_member_str(entry, "csp");
    struct ms_span variant = ms_json_member_str(entry, "attestationVariant");
    struct ms_buf id = MS_BUF_INIT(REC_DOC_MAX_BYTES);
    json_t *values = json_object_get(entry, "measurements");

    if (csp.ptr == NULL || variant.ptr == NULL || values == NULL || json_object_size(entry) != 3)
        return shape(ctx, "Constellation: an entry has csp, attestationVariant and measurements");
    (void)ms_buf_add(&id, version);
    (void)ms_buf_add_byte(&id, '-');
    (void)ms_buf_add(&id, csp);
    (void)ms_buf_add_byte(&id, '-');
    (void)ms_buf_add(&id, variant);
    const char *text = ms_buf_str(&id);
    const char *type = json_string_value(json_object_get(entry, "attestationVariant"));
    enum ms_err err = text == NULL
                          ? MS_ERR_MEMORY
                          : add_record(list, text, type, "measurements", json_incref(values));
    ms_buf_done(&id);
    return err;
}

static enum ms_err from_constellation(struct rec_ctx *ctx, json_t *root, json_t *list)
{
    json_t *entries = json_object_get(root, "list");
    json_t *entry;
    size_t i;

    if (!json_is_array(entries) || json_array_size(entries) == 0)
        return shape(ctx, "Constellation: list is empty or no list");
    json_array_foreach(entries, i, entry)
    {
        enum ms_err err = add_constellation(ctx, root, entry, list);
        if (err != MS_OK)
            return err;
    }
    return MS_OK;
}

/* ---- Contrast ReferenceValues (consumers.md 1.9) ---- */

static bool is_blank(const json_t *json)
{
    return json == NULL || json_is_null(json) ||
           (json_is_string(json) && json_string_length(json) == 0);
}

/* MrSeam and Xfam (and whatever else stands there) narrow an entry and are no register of a record.
 */
static enum ms_err check_contrast(struct rec_ctx *ctx, json_t *entry)
{
    const char *name;
    json_t *value;

    json_object_foreach(entry, name, value)
    {
        if (strcmp(name, "MrTd") == 0 || strcmp(name, "Rtmrs") == 0 || is_blank(value))
            continue;
        return rec_refuse(ctx, MS_ERR_RECORDS, "L000",
                          "Contrast: \"%.40s\" narrows the entry and cannot be enforced", name);
    }
    if (!json_is_string(json_object_get(entry, "MrTd")) ||
        json_array_size(json_object_get(entry, "Rtmrs")) != 4)
        return shape(ctx, "Contrast: an entry of tdx has MrTd and four Rtmrs");
    return MS_OK;
}

static enum ms_err add_contrast(struct rec_ctx *ctx, json_t *entry, json_t *list)
{
    static const char *const names[] = {"1", "2", "3", "4"};

    enum ms_err err = check_contrast(ctx, entry);
    if (err != MS_OK)
        return err;
    json_t *registers = json_object();
    bool ok = json_object_set(registers, "0", json_object_get(entry, "MrTd")) == 0;
    for (size_t i = 0; ok && i < MS_ARRAY_LEN(names); i++)
        ok = json_object_set(registers, names[i],
                             json_array_get(json_object_get(entry, "Rtmrs"), i)) == 0;
    if (!ok) {
        json_decref(registers);
        return MS_ERR_MEMORY;
    }
    return add_record(list, "", "dcap-tdx", "measurements", registers);
}

static enum ms_err from_contrast(struct rec_ctx *ctx, json_t *values, json_t *list)
{
    json_t *entries = json_object_get(values, "tdx");
    json_t *entry;
    size_t i;

    if (!json_is_array(entries) || json_array_size(entries) == 0)
        return shape(ctx, "Contrast: no entries for tdx");
    if (json_array_size(json_object_get(values, "snp")) > 0)
        rec_warn(ctx, "left-out", "Contrast: the reference values for SEV-SNP were left out");
    json_array_foreach(entries, i, entry)
    {
        enum ms_err err = add_contrast(ctx, entry, list);
        if (err != MS_OK)
            return err;
    }
    return MS_OK;
}

/* ---- dstack auth-config (consumers.md 1.6) ---- */

/* 64 digits, with or without 0x: the back-ends strip it. */
static enum ms_err add_hashes(struct rec_ctx *ctx, const json_t *hashes, const char *what,
                              enum rec_predicate_kind kind, json_t *list)
{
    if (!json_is_array(hashes) || json_array_size(hashes) == 0)
        return rec_refuse(ctx, MS_ERR_RECORDS, "L000",
                          "dstack: %s is missing or empty, which back-ends read in opposite ways",
                          what);
    for (size_t i = 0; i < json_array_size(hashes); i++) {
        const json_t *one = json_array_get(hashes, i);
        if (!json_is_string(one))
            return rec_refuse(ctx, MS_ERR_RECORDS, "L000", "dstack: %s holds no string", what);
        struct ms_span hex = rec_json_str(one);
        if (ms_span_starts_nocase(hex, "0x"))
            hex = ms_span_sub(hex, 2, hex.len);
        enum ms_err err = add_predicate(list, kind, hex);
        if (err != MS_OK)
            return err;
    }
    return MS_OK;
}

/* A hash approved for one app must not count for another, and a predicate does not name its app. */
static enum ms_err the_app(struct rec_ctx *ctx, json_t *apps, json_t **ret_app)
{
    if (json_object_size(apps) != 1)
        return shape(ctx,
                     "dstack: exactly one app, a predicate cannot say which of several it is for");
    json_t *app = json_object_iter_value(json_object_iter(apps));
    if (!json_is_object(app))
        return shape(ctx, "dstack: the app is no object");
    const json_t *devices = json_object_get(app, "devices");
    if (!json_is_true(json_object_get(app, "allowAnyDevice")) &&
        (!json_is_array(devices) || json_array_size(devices) > 0))
        return shape(ctx, "dstack: a list of devices narrows the app and cannot be enforced");
    *ret_app = app;
    return MS_OK;
}

static bool is_default_tcb(const json_t *statuses)
{
    return statuses == NULL ||
           (json_array_size(statuses) == 1 &&
            ms_span_eq_str(rec_json_str(json_array_get(statuses, 0)), "UpToDate"));
}

static enum ms_err from_dstack(struct rec_ctx *ctx, json_t *root, json_t *list)
{
    static const char *const known[] = {"osImages",           "gatewayAppId", "allowedTcbStatuses",
                                        "allowedAdvisoryIds", "kms",          "apps"};
    static const char *const of_app[] = {"composeHashes", "devices", "allowAnyDevice"};
    json_t *app = NULL;

    enum ms_err err = check_members(ctx, root, "dstack", known, MS_ARRAY_LEN(known));
    if (err == MS_OK)
        err = the_app(ctx, json_object_get(root, "apps"), &app);
    if (err == MS_OK)
        err = check_members(ctx, app, "dstack app", of_app, MS_ARRAY_LEN(of_app));
    if (err != MS_OK)
        return err;
    if (!is_default_tcb(json_object_get(root, "allowedTcbStatuses")) ||
        json_array_size(json_object_get(root, "allowedAdvisoryIds")) > 0)
        rec_warn(ctx, "left-out", "dstack: only the TCB status UpToDate is carried over");
    if (has(root, "kms"))
        rec_warn(ctx, "left-out", "dstack: what the KMS itself may run was left out");
    err = add_hashes(ctx, json_object_get(root, "osImages"), "osImages",
                     REC_PREDICATE_DSTACK_OS_IMAGE, list);
    if (err != MS_OK)
        return err;
    return add_hashes(ctx, json_object_get(app, "composeHashes"), "composeHashes",
                      REC_PREDICATE_DSTACK_COMPOSE_HASH, list);
}

/* ---- predicates, as in the envelope of an answer ---- */

/* Ids of workloads or hashes of dstack: no guest has both, and no payload format. */
static enum ms_err check_kinds(struct rec_ctx *ctx, const json_t *all)
{
    bool workload = ctx->mode == REC_MODE_WORKLOAD_IDS, dstack = ctx->mode == REC_MODE_DSTACK;

    for (size_t i = 0; i < json_array_size(all); i++) {
        switch (rec_predicate_kind_parse(ms_json_member_str(json_array_get(all, i), "kind"))) {
        case REC_PREDICATE_NONE:
            break; /* said with its place when it is read */
        case REC_PREDICATE_TDX_WORKLOAD_ID:
            workload = true;
            break;
        case REC_PREDICATE_DSTACK_COMPOSE_HASH:
        case REC_PREDICATE_DSTACK_OS_IMAGE:
            dstack = true;
            break;
        }
    }
    if (!workload || !dstack)
        return MS_OK;
    if (ctx->mode == REC_MODE_WORKLOAD_IDS)
        return shape(ctx, "predicates: a payload of format 3 has tdx-workload-id only");
    if (ctx->mode == REC_MODE_DSTACK)
        return shape(ctx, "predicates: a payload of format 4 has dstack-compose-hash and "
                          "dstack-os-image only");
    return shape(ctx, "predicates: tdx-workload-id beside hashes of dstack");
}

static enum ms_err from_predicates(struct rec_ctx *ctx, json_t *root, json_t *list)
{
    static const char *const known[] = {"predicates"};
    json_t *all = json_object_get(root, "predicates");

    enum ms_err err = check_members(ctx, root, "predicates", known, MS_ARRAY_LEN(known));
    if (err != MS_OK)
        return err;
    if (json_array_size(all) == 0)
        return shape(ctx, "predicates is no list, or an empty one");
    err = check_kinds(ctx, all);
    for (size_t i = 0; err == MS_OK && i < json_array_size(all); i++) {
        json_t *entry = json_pack("{s:O}", "predicate", json_array_get(all, i));
        err = json_array_append_new(list, entry) == 0 ? MS_OK : MS_ERR_MEMORY;
    }
    return err;
}

/* ---- cvm-reverse-proxy's older map: name to registers, all azure-tdx ---- */

static const char *const no_names[] = {
    "measurement_id", "attestation_type", "measurements", "dcap_image_hashes",
    "expected",       "expected_any",     "records",      "releases",
};

static enum ms_err from_map(struct rec_ctx *ctx, json_t *root, json_t *list)
{
    const char *name;
    json_t *registers;

    if (json_object_size(root) == 0)
        return shape(ctx, "an empty object");
    for (size_t i = 0; i < MS_ARRAY_LEN(no_names); i++)
        if (has(root, no_names[i]))
            return rec_refuse(ctx, MS_ERR_TYPE, "L000",
                              "an object with \"%s\" and without attestation_type", no_names[i]);
    json_object_foreach(root, name, registers)
    {
        if (!json_is_object(registers))
            return rec_refuse(ctx, MS_ERR_RECORDS, "L000",
                              "neither a record nor another form that is known: \"%.40s\"", name);
        enum ms_err err =
            add_record(list, name, "azure-tdx", "measurements", json_incref(registers));
        if (err != MS_OK)
            return err;
    }
    rec_warn(ctx, "legacy-map", "older form without attestation_type, read as azure-tdx");
    return MS_OK;
}

static enum ms_err from_object(struct rec_ctx *ctx, json_t *root, json_t *list)
{
    json_t *contrast = json_object_get(root, "ReferenceValues");

    if (has(root, "attestation_type") || has(root, "predicate"))
        return json_array_append(list, root) == 0 ? MS_OK : MS_ERR_MEMORY;
    if (has(root, "predicates"))
        return from_predicates(ctx, root, list);
    if (has(root, "kind"))
        return from_attest_measure(ctx, root, list);
    if (has(root, "payload"))
        return from_trustee(ctx, root, list);
    if (has(root, "list"))
        return from_constellation(ctx, root, list);
    if (contrast != NULL || (has(root, "tdx") && has(root, "snp")))
        return from_contrast(ctx, contrast != NULL ? contrast : root, list);
    if (has(root, "osImages") || has(root, "apps"))
        return from_dstack(ctx, root, list);
    return from_map(ctx, root, list);
}

enum ms_err rec_dialect_list(struct rec_ctx *ctx, json_t *root, json_t **ret_list)
{
    if (json_is_array(root)) {
        *ret_list = json_incref(root);
        return MS_OK;
    }
    if (!json_is_object(root))
        return shape(ctx, "neither a list nor an object");
    json_t *list = json_array();
    enum ms_err err = list == NULL ? MS_ERR_MEMORY : from_object(ctx, root, list);
    if (err == MS_OK)
        *ret_list = list;
    else
        json_decref(list);
    return err;
}

enum ms_err rec_predicates_list(struct rec_ctx *ctx, json_t *root, json_t **ret_list)
{
    json_t *list = json_array();

    if (list == NULL)
        return MS_ERR_MEMORY;
    enum ms_err err = json_is_object(root)
                          ? from_predicates(ctx, root, list)
                          : shape(ctx, "a payload of this format is {\"predicates\": [...]}");
    if (err != MS_OK) {
        json_decref(list);
        return err;
    }
    *ret_list = list;
    return MS_OK;
}
