/* resolver/records/boot_info.c - the JSON of dstack's KMS webhook. */
#include "resolver/records/boot_info.h"

#include "base/hex.h"

enum ms_err boot_hex(struct ms_span text, uint8_t *out, size_t len)
{
    if (ms_span_starts(text, "0x"))
        text = ms_span_sub(text, 2, text.len);
    return ms_hex_decode(text, out, len);
}

/* ---- members ---- */

/* Where ret_given is not NULL it may be empty. */
static enum ms_err read_hash(const json_t *root, const char *name, uint8_t *out, size_t len,
                             bool *ret_given, struct ms_diag *diag)
{
    struct ms_span text = ms_json_member_str(root, name);

    if (json_object_get(root, name) == NULL)
        return ms_diag_set(diag, MS_ERR_ARGUMENT, "%s is missing", name);
    if (text.ptr == NULL)
        return ms_diag_set(diag, MS_ERR_ARGUMENT, "%s is no string", name);
    if (ret_given != NULL && text.len == 0)
        return MS_OK;
    enum ms_err err = boot_hex(text, out, len);
    if (err == MS_ERR_LENGTH)
        return ms_diag_set(diag, err, "%s has %zu characters, not the %zu hex digits of %zu bytes",
                           name, text.len, 2 * len, len);
    if (err != MS_OK)
        return ms_diag_set(diag, MS_ERR_ARGUMENT, "%s is not hex", name);
    if (ret_given != NULL)
        *ret_given = true;
    return MS_OK;
}

/* Printable, so that it can be told and logged as it is. */
static enum ms_err read_text(const json_t *value, const char *name, struct ms_arena *arena,
                             const char **ret_text, struct ms_diag *diag)
{
    struct ms_span text;

    if (!json_is_string(value))
        return ms_diag_set(diag, MS_ERR_ARGUMENT, "%s is no string", name);
    text = ms_span_of(json_string_value(value), json_string_length(value));
    if (text.len > BOOT_TEXT_MAX)
        return ms_diag_set(diag, MS_ERR_ARGUMENT, "%s is longer than %u bytes", name,
                           BOOT_TEXT_MAX);
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] < 0x20 || text.ptr[i] > 0x7e)
            return ms_diag_set(diag, MS_ERR_ARGUMENT, "%s is not printable ASCII", name);
    *ret_text = ms_arena_strdup(arena, text);
    return *ret_text == NULL ? MS_ERR_MEMORY : MS_OK;
}

static enum ms_err read_advisories(const json_t *root, struct ms_arena *arena,
                                   struct boot_info *out, struct ms_diag *diag)
{
    const json_t *all = json_object_get(root, "advisoryIds");
    size_t n = json_array_size(all);

    if (all == NULL)
        return MS_OK;
    if (!json_is_array(all))
        return ms_diag_set(diag, MS_ERR_ARGUMENT, "advisoryIds is no list");
    if (n > BOOT_ADVISORIES_MAX)
        return ms_diag_set(diag, MS_ERR_ARGUMENT, "advisoryIds has more than %u items",
                           BOOT_ADVISORIES_MAX);
    const char **ids = ms_arena_alloc(arena, n + 1, sizeof(*ids));
    if (ids == NULL)
        return MS_ERR_MEMORY;
    for (size_t i = 0; i < n; i++) {
        enum ms_err err =
            read_text(json_array_get(all, i), "an item of advisoryIds", arena, &ids[i], diag);
        if (err != MS_OK)
            return err;
    }
    out->has_advisories = true;
    out->n_advisories = n;
    out->advisories = ids;
    return MS_OK;
}

static enum ms_err read_texts(const json_t *root, struct ms_arena *arena, struct boot_info *out,
                              struct ms_diag *diag)
{
    const json_t *status = json_object_get(root, "tcbStatus"),
                 *variant = json_object_get(root, "teeVariant");

    if (status == NULL)
        return ms_diag_set(diag, MS_ERR_ARGUMENT, "tcbStatus is missing");
    enum ms_err err = read_text(status, "tcbStatus", arena, &out->tcb_status, diag);
    out->tee_variant = "";
    if (err == MS_OK && variant != NULL)
        err = read_text(variant, "teeVariant", arena, &out->tee_variant, diag);
    return err == MS_OK ? read_advisories(root, arena, out, diag) : err;
}

enum ms_err boot_info_read(const json_t *root, struct ms_arena *arena, struct boot_info *ret_info,
                           struct ms_diag *diag)
{
    struct boot_info info = {0};
    const struct {
        const char *name;
        uint8_t *out;
        size_t len;
        bool *given;
    } hashes[] = {
        {"appId", info.app_id, sizeof(info.app_id), NULL},
        {"composeHash", info.compose_hash, sizeof(info.compose_hash), NULL},
        {"instanceId", info.instance_id, sizeof(info.instance_id), &info.has_instance_id},
        {"deviceId", info.device_id, sizeof(info.device_id), NULL},
        {"mrAggregated", info.mr_aggregated, sizeof(info.mr_aggregated), NULL},
        {"mrSystem", info.mr_system, sizeof(info.mr_system), &info.has_mr_system},
        {"osImageHash", info.os_image_hash, sizeof(info.os_image_hash), NULL},
    };

    if (!json_is_object(root))
        return ms_diag_set(diag, MS_ERR_ARGUMENT, "the boot info is no JSON object");
    for (size_t i = 0; i < MS_ARRAY_LEN(hashes); i++) {
        /* older KMSs do not send it, and no rule looks at it */
        if (hashes[i].out == info.mr_system && json_object_get(root, hashes[i].name) == NULL)
            continue;
        enum ms_err err =
            read_hash(root, hashes[i].name, hashes[i].out, hashes[i].len, hashes[i].given, diag);
        if (err != MS_OK)
            return err;
    }
    enum ms_err err = read_texts(root, arena, &info, diag);
    if (err == MS_OK)
        *ret_info = info;
    return err;
}

enum ms_err boot_info_parse(struct ms_span text, struct ms_arena *arena, struct boot_info *ret_info,
                            struct ms_diag *diag)
{
    static const struct ms_json_limits limits = {BOOT_INFO_MAX_BYTES, 8, 1024, 0};
    json_t *root = NULL;

    enum ms_err err = ms_json_parse(text, &limits, &root, diag);
    if (err != MS_OK)
        return err;
    err = boot_info_read(root, arena, ret_info, diag);
    json_decref(root);
    return err;
}
