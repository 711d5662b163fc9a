/* resolver/source/boot_rules.c - who may boot. */
#include "resolver/source/boot_rules.h"

#include "base/hex.h"

/* ---- what governance says ---- */

static bool is_adapter(const struct source_result *result, const char *name)
{
    return result->adapter != NULL && strcmp(result->adapter, name) == 0;
}

static const json_t *said(const struct boot_governance *g, const char *name)
{
    return json_object_get(g->result->governance, name);
}

/* Whether a list of governance, "0x" and digits, has this value. */
static bool has_hash(const json_t *list, const uint8_t value[BOOT_HASH_BYTES])
{
    uint8_t item[BOOT_HASH_BYTES];

    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *text = json_array_get(list, i);
        struct ms_span span = ms_span_of(json_string_value(text), json_string_length(text));
        if (boot_hex(span, item, sizeof(item)) == MS_OK &&
            memcmp(item, value, BOOT_HASH_BYTES) == 0)
            return true;
    }
    return false;
}

static bool set_has(const struct rec_set *set, enum rec_predicate_kind kind,
                    const uint8_t value[BOOT_HASH_BYTES])
{
    for (size_t i = 0; i < set->n_predicates; i++)
        if (set->predicates[i].kind == kind &&
            memcmp(set->predicates[i].value, value, BOOT_HASH_BYTES) == 0)
            return true;
    return false;
}

static bool any_has(const struct boot_governance *g, enum rec_predicate_kind kind,
                    const uint8_t value[BOOT_HASH_BYTES])
{
    for (size_t i = 0; i < g->n_sets; i++)
        if (set_has(g->sets[i], kind, value))
            return true;
    return false;
}

static bool texts_have(const struct boot_texts *list, const char *text)
{
    for (size_t i = 0; i < list->n; i++)
        if (strcmp(list->items[i], text) == 0)
            return true;
    return false;
}

static bool hashes_have(const struct boot_hashes *list, const uint8_t value[BOOT_HASH_BYTES])
{
    for (size_t i = 0; i < list->n; i++)
        if (memcmp(list->items[i].b, value, BOOT_HASH_BYTES) == 0)
            return true;
    return false;
}

/* ---- steps; each says why when it refuses ---- */

static bool refuse(struct ms_diag *reason, const char *what, const uint8_t value[BOOT_HASH_BYTES])
{
    char hex[2 * BOOT_HASH_BYTES + 1];

    ms_hex_encode(ms_span_of(value, BOOT_HASH_BYTES), hex);
    (void)ms_diag_set(reason, MS_OK, "%s 0x%s is not approved", what, hex);
    return false;
}

static bool image_approved(const struct boot_info *info, const struct boot_governance *g,
                           struct ms_diag *reason)
{
    return any_has(g, REC_PREDICATE_DSTACK_OS_IMAGE, info->os_image_hash) ||
           refuse(reason, "OS image", info->os_image_hash);
}

/* One release has to approve both: an old image under a new app was never released. */
static bool app_approved(const struct boot_info *info, const struct boot_governance *g,
                         struct ms_diag *reason)
{
    if (!any_has(g, REC_PREDICATE_DSTACK_COMPOSE_HASH, info->compose_hash))
        return refuse(reason, "compose hash", info->compose_hash);
    for (size_t i = 0; i < g->n_sets; i++)
        if (set_has(g->sets[i], REC_PREDICATE_DSTACK_COMPOSE_HASH, info->compose_hash) &&
            set_has(g->sets[i], REC_PREDICATE_DSTACK_OS_IMAGE, info->os_image_hash))
            return true;
    (void)ms_diag_set(reason, MS_OK,
                      "compose hash and OS image are approved, but by no release together");
    return false;
}

static bool tcb_up_to_date(const struct boot_info *info, struct ms_diag *reason)
{
    if (strcmp(info->tcb_status, BOOT_TCB_UP_TO_DATE) == 0)
        return true;
    (void)ms_diag_set(reason, MS_OK, "the TCB status is '%s' and has to be " BOOT_TCB_UP_TO_DATE,
                      info->tcb_status);
    return false;
}

static bool platform_allowed(const struct boot_info *info, const struct boot_policy *policy,
                             struct ms_diag *reason)
{
    if (!texts_have(&policy->tcb_statuses, info->tcb_status)) {
        (void)ms_diag_set(reason, MS_OK, "the TCB status '%s' is not among allowed-tcb-statuses",
                          info->tcb_status);
        return false;
    }
    if (!info->has_advisories) {
        (void)ms_diag_set(reason, MS_OK, "advisoryIds is missing: nobody says which apply");
        return false;
    }
    for (size_t i = 0; i < info->n_advisories; i++) {
        if (texts_have(&policy->advisories, info->advisories[i]))
            continue;
        (void)ms_diag_set(reason, MS_OK, "the advisory '%s' is not among allowed-advisories",
                          info->advisories[i]);
        return false;
    }
    return true;
}

static bool device_allowed(const struct boot_info *info, const struct boot_policy *policy,
                           struct ms_diag *reason)
{
    return policy->any_device || hashes_have(&policy->devices, info->device_id) ||
           refuse(reason, "device", info->device_id);
}

/* ---- apps ---- */

static bool is_own_contract(const struct boot_info *info, const struct boot_governance *g,
                            struct ms_diag *reason)
{
    const char *text = json_string_value(said(g, "address"));
    enum eth_checksum ignored;
    struct eth_addr address;

    if (text != NULL && eth_addr_parse(ms_span_str(text), &address, &ignored, NULL) == MS_OK &&
        memcmp(address.b, info->app_id, BOOT_APP_ID_BYTES) == 0)
        return true;
    (void)ms_diag_set(reason, MS_OK,
                      "the contract is that of another app: an app's id is its address");
    return false;
}

/* DstackKms.isAppAllowed, then DstackApp.isAppAllowed; in their order. */
static bool contract_app(const struct boot_info *info, const struct boot_governance *g,
                         struct ms_diag *reason)
{
    const json_t *kms = said(g, "kms");

    if (!is_own_contract(info, g, reason))
        return false;
    if (kms == NULL) {
        (void)ms_diag_set(
            reason, MS_OK,
            "the specifier names no KMS (kms=): nothing says which OS images may run");
        return false;
    }
    if (!json_is_true(json_object_get(kms, "registered"))) {
        (void)ms_diag_set(reason, MS_OK, "the app is not registered at the KMS contract");
        return false;
    }
    if (!image_approved(info, g, reason))
        return false;
    /* what is not false is true: a flag that is missing must not loosen anything */
    if (!json_is_false(said(g, "require_tcb_up_to_date")) && !tcb_up_to_date(info, reason))
        return false;
    if (!app_approved(info, g, reason))
        return false;
    return json_is_true(said(g, "allow_any_device")) ||
           has_hash(said(g, "devices"), info->device_id) ||
           refuse(reason, "device", info->device_id);
}

static bool list_app(const struct boot_info *info, const struct boot_governance *g,
                     const struct boot_policy *policy, struct ms_diag *reason)
{
    return platform_allowed(info, policy, reason) && image_approved(info, g, reason) &&
           app_approved(info, g, reason) && device_allowed(info, policy, reason);
}

/* ---- KMS ---- */

/* DstackKms.isKmsAllowed, in its order. */
static bool contract_kms(const struct boot_info *info, const struct boot_governance *g,
                         struct ms_diag *reason)
{
    if (!tcb_up_to_date(info, reason) || !image_approved(info, g, reason))
        return false;
    if (!has_hash(said(g, "aggregated_mrs"), info->mr_aggregated))
        return refuse(reason, "aggregated measurement", info->mr_aggregated);
    return has_hash(said(g, "devices"), info->device_id) ||
           refuse(reason, "device of a KMS", info->device_id);
}

static bool list_kms(const struct boot_info *info, const struct boot_governance *g,
                     const struct boot_policy *policy, struct ms_diag *reason)
{
    if (!platform_allowed(info, policy, reason) || !image_approved(info, g, reason))
        return false;
    if (!hashes_have(&policy->aggregated_mrs, info->mr_aggregated))
        return refuse(reason, "aggregated measurement", info->mr_aggregated);
    return device_allowed(info, policy, reason);
}

/* ---- the module ---- */

void boot_candidates(const struct boot_info *info, enum boot_whom whom,
                     struct source_candidate out[BOOT_CANDIDATES])
{
    bool app = whom == BOOT_APP;

    for (size_t i = 0; i < BOOT_CANDIDATES; i++)
        out[i] = (struct source_candidate){0};
    out[0].kind = SOURCE_CANDIDATE_OS_IMAGE;
    memcpy(out[0].value, info->os_image_hash, BOOT_HASH_BYTES);
    out[1].kind = SOURCE_CANDIDATE_DEVICE;
    memcpy(out[1].value, info->device_id, BOOT_HASH_BYTES);
    out[2].kind = app ? SOURCE_CANDIDATE_COMPOSE_HASH : SOURCE_CANDIDATE_AGGREGATED_MR;
    memcpy(out[2].value, app ? info->compose_hash : info->mr_aggregated, BOOT_HASH_BYTES);
}

bool boot_allowed(const struct boot_info *info, enum boot_whom whom,
                  const struct boot_governance *governance, const struct boot_policy *policy,
                  struct ms_diag *reason)
{
    bool app = is_adapter(governance->result, "dstack-app"),
         kms = is_adapter(governance->result, "dstack-kms");

    if (whom == BOOT_APP && app)
        return contract_app(info, governance, reason);
    if (whom == BOOT_KMS && kms)
        return contract_kms(info, governance, reason);
    if (app || kms) {
        (void)ms_diag_set(reason, MS_OK,
                          app ? "the contract of an app does not say which KMS may run"
                              : "the contract of a KMS alone does not say what an app may run");
        return false;
    }
    return whom == BOOT_APP ? list_app(info, governance, policy, reason)
                            : list_kms(info, governance, policy, reason);
}

const char *boot_gateway(const struct source_result *result, bool *ret_contract)
{
    const json_t *at = result->governance;

    *ret_contract = is_adapter(result, "dstack-app") || is_adapter(result, "dstack-kms");
    if (is_adapter(result, "dstack-app"))
        at = json_object_get(at, "kms");
    return *ret_contract ? json_string_value(json_object_get(at, "gateway_app_id")) : NULL;
}
