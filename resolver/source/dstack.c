/* resolver/source/dstack.c - an app of dstack, as its contract tells of it. */
#include "resolver/source/dstack.h"

#include "base/hex.h"

#define APP "dstack-app"

static bool read_device(const json_t *json, uint8_t out[32])
{
    struct ms_span text = ms_span_of(json_string_value(json), json_string_length(json));

    return json_is_string(json) && ms_span_starts(text, "0x") &&
           ms_hex_decode(ms_span_sub(text, 2, text.len), out, 32) == MS_OK;
}

static bool read_app(const json_t *governance, struct rec_dstack *about)
{
    const json_t *any = json_object_get(governance, "allow_any_device");
    const json_t *tcb = json_object_get(governance, "require_tcb_up_to_date");
    const json_t *devices = json_object_get(governance, "devices");

    about->has_app = rec_dstack_app_parse(ms_json_member_str(governance, "address"), about->app);
    about->any_device = json_is_true(any);
    about->tcb_up_to_date = !json_is_false(tcb);
    about->n_devices = json_array_size(devices);
    if (!about->has_app || !json_is_boolean(any) || !json_is_boolean(tcb) ||
        !json_is_array(devices) || about->n_devices > REC_DSTACK_DEVICES_MAX)
        return false;
    for (size_t i = 0; i < about->n_devices; i++)
        if (!read_device(json_array_get(devices, i), about->devices[i]))
            return false;
    return true;
}

enum ms_err source_dstack(const struct source_result *result, struct rec_dstack *ret_about,
                          bool *ret_is_app)
{
    struct rec_dstack about = {0};
    bool is_app = ms_span_eq_str(ms_json_member_str(result->governance, "adapter"), APP) ||
                  (result->adapter != NULL && strcmp(result->adapter, APP) == 0);

    if (!is_app)
        about.any_device = true;
    else if (!read_app(result->governance, &about))
        return MS_ERR_INTERNAL;
    *ret_about = about;
    *ret_is_app = is_app;
    return MS_OK;
}
