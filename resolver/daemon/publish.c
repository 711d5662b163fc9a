/* resolver/daemon/publish.c - rendering answers. */
#define _GNU_SOURCE
#include "resolver/daemon/publish.h"

#include "base/hex.h"
#include "resolver/source/dstack.h"

#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define PUBLISH_FOR_EVER_S                                                \
    31536000 /* Expires of what never ages: a year, RFC 2616 14.21's most \
              */

static void free_text(void *text)
{
    free(text);
}

/* A response that owns a copy of `text`. */
static struct MHD_Response *response_of(struct ms_span text, const char *type)
{
    char *copy = malloc(text.len == 0 ? 1 : text.len);
    if (copy == NULL)
        return NULL;
    if (text.len > 0)
        memcpy(copy, text.ptr, text.len);
    struct MHD_Response *response =
        MHD_create_response_from_buffer_with_free_callback(text.len, copy, free_text);
    if (response == NULL) {
        free(copy);
        return NULL;
    }
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    (void)MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    return response;
}

/* IMF-fixdate (RFC 9110 5.6.7). */
static void http_date(int64_t unix_s, char out[64])
{
    static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t t = (time_t)unix_s;
    struct tm tm = {0};

    (void)gmtime_r(&t, &tm);
    (void)snprintf(out, 64, "%s, %02d %s %04d %02d:%02d:%02d GMT", days[tm.tm_wday % 7], tm.tm_mday,
                   months[tm.tm_mon % 12], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

static void add_headers(struct MHD_Response *response, const struct answer *answer)
{
    char text[64];

    (void)MHD_add_response_header(response, "X-Measured-State", entry_state_name(answer->state));
    (void)MHD_add_response_header(response, "X-Measured-Trust", answer->trust);
    (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)answer->sequence);
    (void)MHD_add_response_header(response, "X-Measured-Sequence", text);
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_ETAG, answer->etag);
    http_date(answer->expires_s, text);
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_EXPIRES, text);
}

/* Several may have rendered at the same time: the first one's is everybody's. */
static struct MHD_Response *keep(_Atomic(struct MHD_Response *) *slot, struct MHD_Response *fresh)
{
    struct MHD_Response *there = NULL;

    if (atomic_compare_exchange_strong_explicit(slot, &there, fresh, memory_order_acq_rel,
                                                memory_order_acquire))
        return fresh;
    MHD_destroy_response(fresh);
    return there;
}

/* ---- a list ---- */

/* Which app it is for, and what its contract demands beside. */
static enum ms_err about_app(const struct answer *answer, const struct publish_ask *ask,
                             struct rec_dstack *about, struct ms_diag *diag)
{
    bool is_app = false;

    enum ms_err err = source_dstack(answer->shared->result, about, &is_app);
    if (err != MS_OK || !ask->has_app)
        return err;
    if (is_app && memcmp(about->app, ask->app, sizeof(ask->app)) != 0)
        return ms_diag_set(diag, MS_ERR_ARGUMENT,
                           "app= is another app than the contract of the specifier, whose address "
                           "is its app's id");
    about->has_app = true;
    memcpy(about->app, ask->app, sizeof(about->app));
    return MS_OK;
}

static enum ms_err render_list(const struct answer *answer, const struct publish_ask *ask,
                               struct ms_buf *out, struct ms_diag *said)
{
    struct rec_dstack about = {0};
    struct rec_options options = {.profile = ask->profile,
                                  .skip_unsupported = ask->skip_unsupported,
                                  .valid_until_s = answer->valid_until_s,
                                  .dstack = &about};

    if (rec_profile_of_dstack(ask->profile)) {
        enum ms_err err = about_app(answer, ask, &about, said);
        if (err != MS_OK)
            return err;
    }
    return rec_render(answer->sets, answer->n_sets, &options, out, said);
}

/* What the answer's own tag does not tell of: this form changes while the set stands. */
static void retag(struct MHD_Response *response, struct ms_span text)
{
    struct ms_sha256 hash = ms_sha256(text);
    char tag[2 * MS_SHA256_BYTES + 3], hex[2 * MS_SHA256_BYTES + 1];
    const char *old = MHD_get_response_header(response, MHD_HTTP_HEADER_ETAG);

    ms_sha256_hex(&hash, hex);
    (void)snprintf(tag, sizeof(tag), "\"%s\"", hex);
    if (old != NULL)
        (void)MHD_del_response_header(response, MHD_HTTP_HEADER_ETAG, old);
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_ETAG, tag);
}

static enum ms_err make_list(const struct answer *answer, const struct publish_ask *ask,
                             struct MHD_Response **ret_response, struct ms_diag *diag)
{
    struct ms_buf text = MS_BUF_INIT(ENVELOPE_MAX_BYTES);
    struct ms_diag said = {0};
    struct MHD_Response *response = NULL;

    enum ms_err err = render_list(answer, ask, &text, &said);
    if (err == MS_OK) {
        response = response_of(ms_buf_span(&text), rec_profile_media_type(ask->profile));
        err = response == NULL ? MS_ERR_MEMORY : MS_OK;
    } else if (diag != NULL) {
        *diag = said;
    }
    if (err == MS_OK) {
        add_headers(response, answer);
        if (ask->profile == REC_PROFILE_RVPS_LOCALJSON)
            retag(response, ms_buf_span(&text));
        /* what the profile cannot express and leaves out is said (docs/profiles.md) */
        if (said.text[0] != '\0')
            (void)MHD_add_response_header(response, "X-Measured-Warning", said.text);
        *ret_response = response;
    }
    ms_buf_done(&text);
    return err;
}

enum ms_err publish_records(struct answer *answer, const struct publish_ask *ask,
                            struct MHD_Response **ret_response, bool *ret_once,
                            struct ms_diag *diag)
{
    _Atomic(struct MHD_Response *) *slot = &answer->records_response[ask->profile];
    bool once = ask->skip_unsupported || ask->has_app;
    struct MHD_Response *response = once ? NULL : atomic_load_explicit(slot, memory_order_acquire);

    if (response == NULL) {
        enum ms_err err = make_list(answer, ask, &response, diag);
        if (err != MS_OK)
            return err;
        if (!once)
            response = keep(slot, response);
    }
    *ret_response = response;
    *ret_once = once;
    return MS_OK;
}

enum ms_err publish_envelope(struct answer *answer, struct MHD_Response **ret_response)
{
    struct MHD_Response *response =
        atomic_load_explicit(&answer->envelope_response, memory_order_acquire);

    if (response == NULL) {
        response =
            response_of(ms_span_of(answer->envelope, answer->envelope_len), "application/json");
        if (response == NULL)
            return MS_ERR_MEMORY;
        add_headers(response, answer);
        response = keep(&answer->envelope_response, response);
    }
    *ret_response = response;
    return MS_OK;
}

/* What the answer before was asked for will be asked for again. */
static bool render_asked(struct answer *answer, struct answer *before)
{
    struct MHD_Response *response;
    struct ms_diag diag;
    bool once;

    if (atomic_load_explicit(&before->envelope_response, memory_order_acquire) != NULL &&
        publish_envelope(answer, &response) != MS_OK)
        return false;
    for (size_t p = REC_PROFILE_SEED; p < ANSWER_PROFILES; p++)
        if (atomic_load_explicit(&before->records_response[p], memory_order_acquire) != NULL &&
            publish_records(answer, &(struct publish_ask){.profile = (enum rec_profile)p},
                            &response, &once, &diag) == MS_ERR_MEMORY)
            return false;
    return true;
}

/* What an app of dstack demands of machines is in no set, but in what its back-ends are given. */
static void add_demands(const struct answer *answer, struct ms_buf *all)
{
    struct rec_dstack about;
    bool is_app;

    if (source_dstack(answer->shared->result, &about, &is_app) != MS_OK || !is_app)
        return;
    (void)ms_buf_add_byte(all, (uint8_t)(about.any_device | about.tcb_up_to_date << 1));
    for (size_t i = 0; i < about.n_devices; i++)
        (void)ms_buf_add(all, ms_span_of(about.devices[i], sizeof(about.devices[i])));
}

/* The ETag names what is in force, so that it changes exactly when the list changes; watchers are
 * told when it does. */
static void make_etag(struct answer *answer)
{
    struct ms_buf all =
        MS_BUF_INIT((SOURCE_RELEASES_MAX + REC_DSTACK_DEVICES_MAX) * MS_SHA256_BYTES + 64);
    char hex[2 * MS_SHA256_BYTES + 1];

    for (size_t i = 0; i < answer->n_sets; i++) {
        struct ms_sha256 one = {0};
        if (rec_set_hash(answer->sets[i], &one) == MS_OK)
            (void)ms_buf_add(&all, ms_span_of(one.b, sizeof(one.b)));
    }
    add_demands(answer, &all);
    struct ms_sha256 hash = ms_sha256(ms_buf_span(&all));
    ms_buf_done(&all);
    ms_sha256_hex(&hash, hex);
    (void)snprintf(answer->etag, sizeof(answer->etag), "\"%s\"", hex);
}

static bool render_good(struct answer *answer, const struct publish_input *in)
{
    const struct envelope_input *e = &in->envelope;
    size_t n = e->result->n_releases;

    answer->shared = shared_result_ref(in->shared);
    answer->sets = calloc(n == 0 ? 1 : n, sizeof(*answer->sets));
    answer->set_release = calloc(n == 0 ? 1 : n, sizeof(*answer->set_release));
    answer->windows = calloc(n == 0 ? 1 : n, sizeof(*answer->windows));
    if (answer->sets == NULL || answer->set_release == NULL || answer->windows == NULL)
        return false;
    const struct source_block *block = e->block != NULL ? e->block : &e->result->block;
    for (size_t i = 0; i < n; i++)
        answer->windows[i] =
            snapshot_window(&e->result->releases[i], e->entry, block->time_s, e->now);
    answer->fresh_until_ms = e->view.soft_until_ms;
    answer->serve_until_ms = e->view.serve_until_ms;
    answer->n_sets = envelope_in_force(e->result, e->block, e->entry, e->now, answer->sets,
                                       answer->set_release, NULL);
    envelope_trust(e->result, answer->trust);
    make_etag(answer);
    answer->sequence = envelope_sequence(e->result, e->entry);
    int64_t until_s = entry_wall_s(e->view.soft_until_ms, e->now);
    answer->valid_until_s = entry_wall_s(e->view.serve_until_ms, e->now);
    answer->expires_s = until_s != 0 ? until_s : e->now.wall_s + PUBLISH_FOR_EVER_S;
    return true;
}

struct answer *publish_render(const struct publish_input *in)
{
    const struct envelope_input *e = &in->envelope;
    struct ms_buf text = MS_BUF_INIT(ENVELOPE_MAX_BYTES);
    struct answer *answer = calloc(1, sizeof(*answer));

    if (answer == NULL)
        return NULL;
    cds_lfht_node_init(&answer->node);
    answer->id = in->id;
    answer->generation = in->generation;
    answer->state = envelope_state(e);
    answer->serve = e->view.serve && e->result != NULL;
    answer->err = answer->serve ? MS_OK : e->view.err == MS_OK ? MS_ERR_UNAVAILABLE : e->view.err;
    if (e->entry->last_diag.text[0] != '\0') {
        answer->diag = malloc(sizeof(*answer->diag));
        if (answer->diag == NULL)
            goto fail;
        *answer->diag = e->entry->last_diag;
    }
    answer->fast_until_ms = in->fast_until_ms;
    answer->checked_boot_ms = e->entry->checked_boot_ms;
    answer->refresh_due = answer->serve && e->view.refresh;
    if (e->evidence != NULL)
        ms_sha256_hex(e->evidence, answer->evidence_hex);

    if ((answer->serve && !render_good(answer, in)) || envelope_render(e, &text) != MS_OK ||
        ms_buf_str(&text) == NULL)
        goto fail;
    answer->envelope_len = text.len;
    answer->envelope = realloc(text.ptr, text.len + 1); /* moved, without the buffer's slack */
    if (answer->envelope == NULL)
        goto fail;
    if (answer->serve && in->before != NULL && !render_asked(answer, in->before))
        goto fail_moved;
    return answer;
fail:
    ms_buf_done(&text);
fail_moved:
    answer_free(answer);
    return NULL;
}
