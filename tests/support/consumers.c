/* tests/support/consumers.c - who reads our renderings, and how. */
#include "tests/support/consumers.h"

#include "base/base64.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static json_t *iterable(const json_t *json)
{
    return (json_t *)(uintptr_t)json;
}

static const char *text_of(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

static bool is_hex(const char *text, size_t digits)
{
    return text != NULL && strlen(text) == digits &&
           strspn(text, "0123456789abcdefABCDEF") == digits;
}

static bool is_azure(const char *type)
{
    return strcmp(type, "azure-tdx") == 0;
}

static bool is_dcap(const char *type)
{
    return strcmp(type, "dcap-tdx") == 0 || strcmp(type, "gcp-tdx") == 0 ||
           strcmp(type, "qemu-tdx") == 0;
}

/* A decimal register; PEER_REGISTERS when it is none. */
static size_t number(const char *name)
{
    size_t len = strlen(name);

    if (len == 0 || len > 2 || strspn(name, "0123456789") != len)
        return PEER_REGISTERS;
    size_t at = (size_t)strtoul(name, NULL, 10);
    return at < PEER_REGISTERS ? at : PEER_REGISTERS;
}

/* ---- cvm-reverse-proxy ---- */

/* `expected` and nothing else is known: without it the value is empty, and has no valid length. */
static enum consumer cvm_register(const char *name, const json_t *json, size_t *len,
                                  const struct peer *peer)
{
    const char *value = json_is_string(json) ? json_string_value(json) : text_of(json, "expected");
    size_t at = number(name);

    if (at == PEER_REGISTERS || value == NULL)
        return CONSUMER_BROKEN;
    if (!is_hex(value, 64) && !is_hex(value, 96))
        return CONSUMER_BROKEN;
    if (*len != 0 && *len != strlen(value)) /* all of a record are of one length */
        return CONSUMER_BROKEN;
    *len = strlen(value);
    if (json_is_true(json_object_get(json, "warnOnly")))
        return CONSUMER_ACCEPTS;
    return peer->hex[at] != NULL && strcasecmp(peer->hex[at], value) == 0 ? CONSUMER_ACCEPTS
                                                                          : CONSUMER_REFUSES;
}

static enum consumer cvm_record(const json_t *record, const struct peer *peer)
{
    const char *type = text_of(record, "attestation_type"), *name;
    const json_t *registers = json_object_get(record, "measurements");
    enum consumer verdict = CONSUMER_ACCEPTS; /* a register that is not listed is not checked */
    size_t len = 0;
    json_t *value;

    if (type == NULL || (strcmp(type, "azure-tdx") != 0 && strcmp(type, "dcap-tdx") != 0))
        return CONSUMER_BROKEN;
    json_object_foreach(iterable(registers), name, value)
    {
        enum consumer one = cvm_register(name, value, &len, peer);
        if (one == CONSUMER_BROKEN)
            return CONSUMER_BROKEN;
        if (one == CONSUMER_REFUSES)
            verdict = CONSUMER_REFUSES;
    }
    return is_azure(type) == is_azure(peer->type) ? verdict : CONSUMER_REFUSES;
}

/* One record it cannot read and it does not start; one that matches is enough. */
static enum consumer any_record(const json_t *list, const struct peer *peer,
                                enum consumer (*judge)(const json_t *, const struct peer *))
{
    enum consumer verdict = CONSUMER_REFUSES;

    for (size_t i = 0; i < json_array_size(list); i++) {
        enum consumer one = judge(json_array_get(list, i), peer);
        if (one == CONSUMER_BROKEN)
            return CONSUMER_BROKEN;
        if (one == CONSUMER_ACCEPTS)
            verdict = CONSUMER_ACCEPTS;
    }
    return verdict;
}

enum consumer consumer_cvm(const json_t *file, const struct peer *peer)
{
    if (json_is_null(file) || (json_is_array(file) && json_array_size(file) == 0))
        return CONSUMER_ACCEPTS; /* no validators: the attestation is not looked at */
    return json_is_array(file) ? any_record(file, peer, cvm_record) : CONSUMER_BROKEN;
}

/* ---- attested-tls-proxy 1.x, attested-tls ---- */

static enum consumer one_of(const json_t *list, const char *shown)
{
    enum consumer verdict = CONSUMER_REFUSES;

    if (json_array_size(list) == 0)
        return CONSUMER_BROKEN;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *value = json_string_value(json_array_get(list, i));
        if (!is_hex(value, 64) && !is_hex(value, 96))
            return CONSUMER_BROKEN;
        if (shown != NULL && strcasecmp(shown, value) == 0)
            verdict = CONSUMER_ACCEPTS;
    }
    return verdict;
}

static enum consumer atls_register(const json_t *json, const char *shown)
{
    const json_t *one = json_object_get(json, "expected");
    const json_t *any = json_object_get(json, "expected_any");

    if ((one != NULL) == (any != NULL))
        return CONSUMER_BROKEN;
    if (any != NULL)
        return one_of(any, shown);
    if (!is_hex(json_string_value(one), 64) && !is_hex(json_string_value(one), 96))
        return CONSUMER_BROKEN;
    return shown != NULL && strcasecmp(shown, json_string_value(one)) == 0 ? CONSUMER_ACCEPTS
                                                                           : CONSUMER_REFUSES;
}

/* Names in any case, and numbers still. */
static size_t name_2(const char *name, bool azure)
{
    static const char *const dcap[] = {"mrtd", "rtmr0", "rtmr1", "rtmr2", "rtmr3"};

    if (azure && strncasecmp(name, "pcr", 3) == 0)
        return number(name + 3);
    for (size_t i = 0; !azure && i < 5; i++)
        if (strcasecmp(name, dcap[i]) == 0)
            return i;
    return number(name);
}

static enum consumer atls_registers(const json_t *registers, const struct peer *peer, bool azure,
                                    bool names)
{
    enum consumer verdict = CONSUMER_ACCEPTS; /* no `measurements`: any machine of the type */
    const char *name;
    json_t *value;

    json_object_foreach(iterable(registers), name, value)
    {
        size_t at = names ? name_2(name, azure) : number(name);
        if (at == PEER_REGISTERS || (!azure && at > 4))
            return CONSUMER_BROKEN;
        enum consumer one = atls_register(value, peer->hex[at]);
        if (one == CONSUMER_BROKEN)
            return CONSUMER_BROKEN;
        if (one == CONSUMER_REFUSES)
            verdict = CONSUMER_REFUSES;
    }
    return verdict;
}

static enum consumer atls_record(const json_t *record, const struct peer *peer, bool names)
{
    const char *type = text_of(record, "attestation_type");
    const json_t *registers = json_object_get(record, "measurements");

    if (type == NULL)
        return CONSUMER_BROKEN;
    if (strcmp(type, "none") == 0)
        return CONSUMER_ACCEPTS; /* a peer without any evidence */
    if (!is_azure(type) && !is_dcap(type))
        return CONSUMER_BROKEN;
    enum consumer verdict = atls_registers(registers, peer, is_azure(type), names);
    return verdict == CONSUMER_BROKEN || is_azure(type) == is_azure(peer->type) ? verdict
                                                                                : CONSUMER_REFUSES;
}

static enum consumer atls_1_record(const json_t *record, const struct peer *peer)
{
    return atls_record(record, peer, false);
}

/* A portable policy is about the image, from which the verifier computes registers: that of a peer
 * whose registers alone are shown is not known, and it is not let in here. */
static enum consumer atls_2_record(const json_t *record, const struct peer *peer)
{
    const char *type = text_of(record, "attestation_type");

    if (json_object_get(record, "dcap_image_hashes") == NULL)
        return atls_record(record, peer, true);
    return type != NULL && strcmp(type, "gcp-tdx") == 0 &&
                   json_object_get(record, "measurements") == NULL
               ? CONSUMER_REFUSES
               : CONSUMER_BROKEN;
}

enum consumer consumer_atls_1(const json_t *file, const struct peer *peer)
{
    return json_is_array(file) ? any_record(file, peer, atls_1_record) : CONSUMER_BROKEN;
}

enum consumer consumer_atls_2(const json_t *file, const struct peer *peer)
{
    return json_is_array(file) ? any_record(file, peer, atls_2_record) : atls_2_record(file, peer);
}

/* ---- BuilderHub ---- */

static bool hub_register(const json_t *json, const char *shown)
{
    const json_t *any = json_object_get(json, "expected_any");
    const char *one = text_of(json, "expected");

    if (shown == NULL)
        return false;
    for (size_t i = 0; i < json_array_size(any); i++)
        if (strcmp(json_string_value(json_array_get(any, i)), shown) == 0)
            return true;
    return json_array_size(any) == 0 && one != NULL && strcmp(one, shown) == 0;
}

/* The header's type is compared as a text, and so are its values. */
static enum consumer hub_record(const json_t *record, const struct peer *peer)
{
    const char *type = text_of(record, "attestation_type"), *name;
    json_t *value;

    if (type == NULL || text_of(record, "measurement_id") == NULL)
        return CONSUMER_BROKEN;
    if (strcmp(type, peer->type) != 0)
        return CONSUMER_REFUSES;
    json_object_foreach(iterable(json_object_get(record, "measurements")), name, value)
    {
        size_t at = number(name);
        if (at == PEER_REGISTERS)
            return CONSUMER_BROKEN;
        if (!hub_register(value, peer->hex[at]))
            return CONSUMER_REFUSES;
    }
    return CONSUMER_ACCEPTS;
}

enum consumer consumer_builderhub(const json_t *posted, const struct peer *peer)
{
    if (!json_is_array(posted))
        return CONSUMER_BROKEN;
    for (size_t i = 0; i < json_array_size(posted); i++) {
        const char *id = text_of(json_array_get(posted, i), "measurement_id");
        if (id == NULL || id[0] == '\0' || strchr(id, '/') != NULL) /* .../activation/NAME */
            return CONSUMER_BROKEN;
        for (size_t k = 0; k < i; k++) /* UNIQUE, over all types */
            if (strcmp(id, text_of(json_array_get(posted, k), "measurement_id")) == 0)
                return CONSUMER_BROKEN;
    }
    return any_record(posted, peer, hub_record);
}

/* ---- dstack ---- */

static const char *bare(const char *hex)
{
    return strncasecmp(hex, "0x", 2) == 0 ? hex + 2 : hex;
}

static bool contains(const json_t *list, const char *hex)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *one = json_string_value(json_array_get(list, i));
        if (one != NULL && strcasecmp(bare(one), bare(hex)) == 0)
            return true;
    }
    return false;
}

static bool device_ok(const json_t *rules, const char *device)
{
    const json_t *devices = json_object_get(rules, "devices");

    return json_is_true(json_object_get(rules, "allowAnyDevice")) ||
           json_array_size(devices) == 0 || contains(devices, device);
}

static const json_t *app_of(const json_t *file, const char *app)
{
    const char *name;
    json_t *rules;

    json_object_foreach(iterable(json_object_get(file, "apps")), name, rules)
    {
        if (strcasecmp(bare(name), bare(app)) == 0)
            return rules;
    }
    return NULL;
}

static enum consumer app_or_kms(const json_t *file, const struct boot *boot)
{
    const json_t *kms = json_object_get(file, "kms"), *app = app_of(file, boot->app);

    if (boot->kms)
        return contains(json_object_get(kms, "mrAggregated"), boot->mr_aggregated) &&
                       device_ok(kms, boot->device)
                   ? CONSUMER_ACCEPTS
                   : CONSUMER_REFUSES;
    return app != NULL && contains(json_object_get(app, "composeHashes"), boot->compose) &&
                   device_ok(app, boot->device)
               ? CONSUMER_ACCEPTS
               : CONSUMER_REFUSES;
}

/* The types that both of them demand; a file that has others denies everything, which a person
 * would call broken. */
static bool well_formed(const json_t *file)
{
    static const char *const lists[] = {"osImages", "allowedTcbStatuses", "allowedAdvisoryIds"};
    const json_t *gateway = json_object_get(file, "gatewayAppId");

    for (size_t i = 0; i < 3; i++) {
        const json_t *list = json_object_get(file, lists[i]);
        if (list != NULL && !json_is_array(list))
            return false;
    }
    return json_is_object(file) && (gateway == NULL || json_is_string(gateway)) &&
           json_is_object(json_object_get(file, "apps"));
}

/* No look at the TCB, and at images only where some are listed; never for the KMS itself. */
enum consumer consumer_dstack_auth(const json_t *file, const struct boot *boot)
{
    const json_t *images = json_object_get(file, "osImages");

    if (!well_formed(file))
        return CONSUMER_BROKEN;
    if (!boot->kms && json_array_size(images) > 0 && !contains(images, boot->image))
        return CONSUMER_REFUSES;
    return app_or_kms(file, boot);
}

static bool listed(const json_t *list, const char *text)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (strcmp(json_string_value(json_array_get(list, i)), text) == 0)
            return true;
    return false;
}

enum consumer consumer_auth_simple(const json_t *file, const struct boot *boot)
{
    const json_t *tcb = json_object_get(file, "allowedTcbStatuses");

    if (!well_formed(file))
        return CONSUMER_BROKEN;
    if (tcb == NULL ? strcmp(boot->tcb, "UpToDate") != 0 : !listed(tcb, boot->tcb))
        return CONSUMER_REFUSES;
    if (boot->advisory != NULL &&
        !listed(json_object_get(file, "allowedAdvisoryIds"), boot->advisory))
        return CONSUMER_REFUSES;
    if (!contains(json_object_get(file, "osImages"), boot->image))
        return CONSUMER_REFUSES;
    return app_or_kms(file, boot);
}

/* ---- trustee ---- */

static enum consumer rvps_name(const char *name, const json_t *values, const struct peer *peer)
{
    static const char *const names[] = {"mr_td", "rtmr_0", "rtmr_1", "rtmr_2", "rtmr_3"};

    for (size_t i = 0; i < 5; i++) {
        if (strcmp(name, names[i]) != 0)
            continue;
        return is_dcap(peer->type) && peer->hex[i] != NULL && listed(values, peer->hex[i])
                   ? CONSUMER_ACCEPTS
                   : CONSUMER_REFUSES;
    }
    return CONSUMER_BROKEN;
}

/* A policy without any value to compare with affirms nobody. */
static enum consumer rvps_policy(const json_t *values, const struct peer *peer)
{
    enum consumer verdict = json_object_size(values) == 0 ? CONSUMER_REFUSES : CONSUMER_ACCEPTS;
    const char *name;
    json_t *list;

    json_object_foreach(iterable(values), name, list)
    {
        enum consumer one = rvps_name(name, list, peer);
        if (one == CONSUMER_BROKEN || !json_is_array(list))
            return CONSUMER_BROKEN;
        if (one == CONSUMER_REFUSES)
            verdict = CONSUMER_REFUSES;
    }
    return verdict;
}

static json_t *decoded(const char *base64, enum ms_base64_alphabet want)
{
    struct ms_buf bytes = MS_BUF_INIT((size_t)8 << 20);
    enum ms_base64_alphabet alphabet = MS_BASE64_NONE;
    bool padded = false;
    json_t *out = NULL;

    if (base64 != NULL && strlen(base64) % 4 == 0 && /* with its padding, or it is refused */
        ms_base64_decode(ms_span_str(base64), &bytes, &alphabet, &padded, NULL) == MS_OK &&
        (alphabet == MS_BASE64_NONE || alphabet == want))
        out = json_loadb((const char *)bytes.ptr, bytes.len, JSON_REJECT_DUPLICATES, NULL);
    ms_buf_done(&bytes);
    return out;
}

/* chrono's "%Y-%m-%dT%H:%M:%SZ", for the years that we write. */
static bool is_expiration(const char *text)
{
    static const char shape[] = "dddd-dd-ddTdd:dd:ddZ";
    unsigned month = 0, day = 0, hour = 0;

    if (text == NULL || strlen(text) != strlen(shape))
        return false;
    for (size_t i = 0; shape[i] != '\0'; i++)
        if (shape[i] == 'd' ? text[i] < '0' || text[i] > '9' : text[i] != shape[i])
            return false;
    month = (unsigned)strtoul(text + 5, NULL, 10);
    day = (unsigned)strtoul(text + 8, NULL, 10);
    hour = (unsigned)strtoul(text + 11, NULL, 10);
    return month >= 1 && month <= 12 && day >= 1 && day <= 31 && hour <= 23;
}

enum consumer consumer_rvps_localjson(const json_t *file, const struct peer *peer)
{
    json_t *values = json_object(), *text;
    const char *name;
    bool ok = json_is_object(file);

    json_object_foreach(iterable(file), name, text)
    {
        json_t *record = decoded(json_string_value(text), MS_BASE64_URL);
        const char *own = text_of(record, "name");
        ok = ok && own != NULL && strcmp(own, name) == 0 && text_of(record, "version") != NULL &&
             is_expiration(text_of(record, "expiration"));
        (void)json_object_set(values, name, json_object_get(record, "value"));
        json_decref(record);
    }
    enum consumer verdict = ok ? rvps_policy(values, peer) : CONSUMER_BROKEN;
    json_decref(values);
    return verdict;
}

json_t *consumer_rvps_payload(const json_t *message)
{
    const char *version = text_of(message, "version"), *type = text_of(message, "type");

    if (version == NULL || strcmp(version, "0.1.0") != 0 || type == NULL ||
        strcmp(type, "sample") != 0)
        return NULL;
    return decoded(text_of(message, "payload"), MS_BASE64_STD);
}

enum consumer consumer_rvps_sample(const json_t *message, const json_t *before,
                                   const struct peer *peer)
{
    json_t *values = before == NULL ? json_object() : json_deep_copy(before);
    json_t *fresh = consumer_rvps_payload(message);

    enum consumer verdict = CONSUMER_BROKEN;
    if (json_is_object(fresh) && json_object_update(values, fresh) == 0)
        verdict = rvps_policy(values, peer);
    json_decref(fresh);
    json_decref(values);
    return verdict;
}
