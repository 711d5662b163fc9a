/* cli/list.c - lists in profiles, as the daemon renders them. */
#include "cli/list.h"

bool list_ok(const struct cli *cli, struct list *list)
{
    uint8_t app[REC_DSTACK_APP_BYTES];

    list->profile = rec_profile_parse(ms_span_str(list->name == NULL ? "atls-1" : list->name));
    if (list->profile == REC_PROFILE_NONE) {
        cli_say(cli, "--profile %.40s: there are %s", list->name, rec_profile_names());
        return false;
    }
    if (list->app != NULL && !rec_dstack_app_parse(ms_span_str(list->app), app)) {
        cli_say(cli, "--app %.60s: not 40 hex digits", list->app);
        return false;
    }
    if (list->app != NULL && !rec_profile_of_dstack(list->profile)) {
        cli_say(cli, "--app is an option of the profiles dstack-auth and auth-simple");
        return false;
    }
    if (list->skip && list->profile != REC_PROFILE_CVM) {
        cli_say(cli, "--skip-unsupported is an option of profile cvm");
        return false;
    }
    return true;
}

enum ms_err list_target(const struct list *list, const struct client_subject *subject,
                        struct ms_buf *out)
{
    enum ms_err err = client_target("/v1/measurements", subject, out);

    if (err != MS_OK)
        return err;
    (void)ms_buf_addf(out, "&profile=%s", rec_profile_name(list->profile));
    if (list->app != NULL)
        (void)ms_buf_addf(out, "&app=%s", list->app);
    if (list->skip)
        (void)ms_buf_add_str(out, "&skip-unsupported=1");
    return ms_buf_str(out) == NULL ? MS_ERR_MEMORY : ms_buf_err(out);
}

/* "text/csv" of "text/csv; charset=utf-8". */
static bool is_media_type(const char *got, const char *want)
{
    size_t len = strcspn(want, ";");

    return strncmp(got, want, len) == 0 && (got[len] == '\0' || strchr("; ", got[len]) != NULL);
}

/* What the consumer would take for "anything goes", or for nothing it knows. */
static const char *fault_of(enum rec_profile profile, const json_t *root)
{
    switch (profile) {
    case REC_PROFILE_CVM:
        if (json_is_array(root) && json_array_size(root) == 0)
            return "an empty list would approve everything in cvm";
        return json_is_array(root) ? NULL : "the daemon's list is no list";
    case REC_PROFILE_SEED:
    case REC_PROFILE_ATLS_1:
    case REC_PROFILE_ATLS_2:
    case REC_PROFILE_BUILDERHUB:
        return json_is_array(root) ? NULL : "the daemon's list is no list";
    case REC_PROFILE_DSTACK_AUTH:
    case REC_PROFILE_AUTH_SIMPLE:
        if (json_array_size(json_object_get(root, "osImages")) == 0)
            return "no OS image in the list would approve every one of them";
        return json_is_object(json_object_get(root, "apps")) ? NULL
                                                             : "the daemon's list has no apps";
    case REC_PROFILE_RVPS_LOCALJSON:
    case REC_PROFILE_RVPS_SAMPLE:
        return json_object_size(root) > 0 ? NULL : "the daemon's list holds no values";
    case REC_PROFILE_NONE:
    case REC_PROFILE_CSV:
    case REC_PROFILE_MD:
        return NULL;
    }
    return NULL;
}

enum ms_err list_judge(const struct list *list, const struct client_reply *reply,
                       struct ms_diag *diag)
{
    const char *type = rec_profile_media_type(list->profile);
    json_t *root = NULL;

    if (!is_media_type(reply->type, type))
        return ms_diag_set(diag, MS_ERR_RECORDS, "the daemon's list is %.60s and not %s",
                           reply->type, type);
    if (strcmp(type, "application/json") != 0)
        return MS_OK;
    enum ms_err err = client_json(ms_buf_span(&reply->body), &root, diag);
    if (err != MS_OK)
        return err;
    const char *fault = fault_of(list->profile, root);
    json_decref(root);
    return fault == NULL ? MS_OK : ms_diag_set(diag, MS_ERR_RECORDS, "%s", fault);
}
