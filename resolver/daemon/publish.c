/* resolver/daemon/publish.c - rendering answers. */
#define _GNU_SOURCE
#include "resolver/daemon/publish.h"

#include "base/hex.h"

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

static void add_headers(struct MHD_Response *response, const struct answer *answer,
                        const struct envelope_input *in)
{
    char text[64];

    (void)MHD_add_response_header(response, "X-Measured-State", entry_state_name(answer->state));
    (void)MHD_add_response_header(response, "X-Measured-Trust", answer->trust);
    (void)snprintf(text, sizeof(text), "%llu",
                   (unsigned long long)envelope_sequence(in->result, in->entry));
    (void)MHD_add_response_header(response, "X-Measured-Sequence", text);
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_ETAG, answer->etag);
    int64_t until_s = entry_wall_s(in->view.soft_until_ms, in->now);
    http_date(until_s != 0 ? until_s : in->now.wall_s + PUBLISH_FOR_EVER_S, text);
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_EXPIRES, text);
}

/* Every profile of the set in force; one that cannot be expressed keeps its error. */
static void render_profiles(struct answer *answer, const struct envelope_input *in)
{
    for (size_t p = REC_PROFILE_SEED; p < ANSWER_PROFILES; p++) {
        struct ms_buf text = MS_BUF_INIT(ENVELOPE_MAX_BYTES);
        answer->records_err[p] = rec_render(answer->sets, answer->n_sets, (enum rec_profile)p,
                                            &text, &answer->records_diag[p]);
        if (answer->records_err[p] == MS_OK) {
            answer->records_response[p] = response_of(ms_buf_span(&text), "application/json");
            if (answer->records_response[p] == NULL)
                answer->records_err[p] = MS_ERR_MEMORY;
            else
                add_headers(answer->records_response[p], answer, in);
            /* what the profile cannot express and leaves out is said (docs/measurements.md) */
            if (answer->records_response[p] != NULL && answer->records_diag[p].text[0] != '\0')
                (void)MHD_add_response_header(answer->records_response[p], "X-Measured-Warning",
                                              answer->records_diag[p].text);
        }
        ms_buf_done(&text);
    }
}

/* The ETag names what is in force, so that it changes exactly when the list changes. */
static void make_etag(struct answer *answer)
{
    struct ms_buf all = MS_BUF_INIT(64 * MS_SHA256_BYTES + 64);
    char hex[2 * MS_SHA256_BYTES + 1];

    for (size_t i = 0; i < answer->n_sets; i++) {
        struct ms_sha256 one = {0};
        if (rec_set_hash(answer->sets[i], &one) == MS_OK)
            (void)ms_buf_add(&all, ms_span_of(one.b, sizeof(one.b)));
    }
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
    if (answer->sets == NULL || answer->set_release == NULL)
        return false;
    answer->n_sets =
        envelope_in_force(e->result, e->block, e->now, answer->sets, answer->set_release, NULL);
    envelope_trust(e->result, answer->trust);
    make_etag(answer);
    render_profiles(answer, e);
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
    answer->diag = e->entry->last_diag;
    answer->fast_until_ms = in->fast_until_ms;
    answer->checked_boot_ms = e->entry->checked_boot_ms;
    answer->refresh_due = answer->serve && e->view.refresh;
    if (e->evidence != NULL)
        ms_sha256_hex(e->evidence, answer->evidence_hex);

    if ((answer->serve && !render_good(answer, in)) || envelope_render(e, &text) != MS_OK ||
        ms_buf_str(&text) == NULL)
        goto fail;
    answer->envelope_len = text.len;
    answer->envelope = (char *)text.ptr; /* moved */
    if (answer->serve) {
        answer->envelope_response =
            response_of(ms_span_of(answer->envelope, answer->envelope_len), "application/json");
        if (answer->envelope_response == NULL)
            goto fail_moved;
        add_headers(answer->envelope_response, answer, e);
    }
    return answer;
fail:
    ms_buf_done(&text);
fail_moved:
    answer_free(answer);
    return NULL;
}
