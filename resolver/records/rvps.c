/* resolver/records/rvps.c - reference values of trustee (consumers.md 1.7, 2.2 C10): the file of
 * its LocalJson store, and the message of type `sample` for its KBS.
 *
 * A reference value is a name and a list, and a policy looks at each name by itself. Only sets
 * whose lists approve nothing else can be written. trustee neither lets values expire nor notices
 * that one is gone from a message, so "nothing is approved" is written as values that nothing has.
 */
#include "resolver/records/internal.h"

#include "base/base64.h"

#include <inttypes.h>
#include <stdlib.h>

#define VALUE_VERSION "0.1.0"            /* of trustee's ReferenceValue, and of its messages */
#define NEVER "9999-12-31T23:59:59Z"     /* the record has to have an end */
#define LAST_S INT64_C(253402300799)     /* the same, as a Unix time */
#define TEXT_MAX_BYTES ((size_t)8 << 20) /* 65,536 values of 99 bytes each */

static const char *const names[] = {"mr_td", "rtmr_0", "rtmr_1", "rtmr_2", "rtmr_3"};

static size_t collect(struct rec_rendering *w, struct rec_box *boxes)
{
    size_t n = 0;

    for (size_t s = 0; s < w->n_sets; s++) {
        w->predicates += w->sets[s]->n_predicates;
        for (size_t i = 0; i < w->sets[s]->n_records; i++) {
            const struct rec_record *record = &w->sets[s]->records[i];
            if (rec_expressible(record, w->options->profile))
                boxes[n++] = (struct rec_box){record->n_registers, record->registers};
            else
                w->records++;
        }
    }
    return n;
}

static enum ms_err judge(const struct rec_rendering *w, enum ms_err err, enum rec_mixing mixing)
{
    const char *profile = rec_profile_name(w->options->profile);

    if (err == MS_ERR_EXPANSION)
        return ms_diag_set(w->diag, err,
                           "profile %s: too many values to know that no combination of them is "
                           "approved by accident",
                           profile);
    if (err != MS_OK || mixing == REC_MIXING_NONE)
        return err;
    if (mixing == REC_MIXING_REGISTERS)
        return ms_diag_set(w->diag, MS_ERR_PROFILE,
                           "profile %s: the records list different registers, and trustee has one "
                           "list a register for all of them",
                           profile);
    return ms_diag_set(w->diag, MS_ERR_PROFILE,
                       "profile %s: trustee looks at each register by itself, so it would accept "
                       "values of different records together, which no record approves",
                       profile);
}

/* Values that nothing has, under every name a policy may ask for. */
static size_t deny_all(struct rec_value *ones, struct rec_register *axes)
{
    *ones = (struct rec_value){.len = (uint8_t)rec_type_value_bytes(REC_TYPE_DCAP_TDX)};
    memset(ones->b, 0xff, ones->len);
    for (uint32_t i = 0; i < MS_ARRAY_LEN(names); i++)
        axes[i] = (struct rec_register){.index = i, .n_values = 1, .values = ones};
    return MS_ARRAY_LEN(names);
}

static void put_values(const struct rec_register *axis, struct ms_buf *out)
{
    for (size_t i = 0; i < axis->n_values; i++) {
        (void)ms_buf_add_byte(out, i == 0 ? '[' : ',');
        rec_put_value(out, &axis->values[i]);
    }
    (void)ms_buf_add_byte(out, ']');
}

static bool is_leap(int64_t year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* trustee parses "%Y-%m-%dT%H:%M:%SZ" and nothing else. */
static void put_expiration(int64_t until_s, struct ms_buf *out)
{
    static const int64_t of_month[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int64_t days = until_s / 86400, of_day = until_s % 86400, year = 1970;
    size_t month = 0;

    if (until_s <= 0 || until_s > LAST_S) {
        (void)ms_buf_add_str(out, NEVER);
        return;
    }
    for (; days >= 365 + is_leap(year); year++)
        days -= 365 + is_leap(year);
    for (int64_t n; month < 11; month++) {
        n = of_month[month] + (month == 1 && is_leap(year));
        if (days < n)
            break;
        days -= n;
    }
    (void)ms_buf_addf(
        out, "%04" PRId64 "-%02zu-%02" PRId64 "T%02" PRId64 ":%02" PRId64 ":%02" PRId64 "Z", year,
        month + 1, days + 1, of_day / 3600, of_day / 60 % 60, of_day % 60);
}

/* trustee's decoder wants the padding. */
static enum ms_err put_base64url(struct ms_span bytes, struct ms_buf *out)
{
    enum ms_err err = ms_base64url_encode(bytes, out);

    for (size_t i = bytes.len % 3; i == 1 || i == 2; i++)
        err = ms_buf_add_byte(out, '=');
    return err;
}

static void put_store(struct rec_rendering *w, const struct rec_register *axes, size_t n)
{
    struct ms_buf value = MS_BUF_INIT(TEXT_MAX_BYTES);

    for (size_t i = 0; i < n; i++) {
        const char *name = names[axes[i].index];
        ms_buf_reset(&value);
        (void)ms_buf_addf(&value, "{\"version\":\"" VALUE_VERSION "\",\"name\":\"%s\",", name);
        (void)ms_buf_add_str(&value, "\"expiration\":\"");
        put_expiration(w->options->valid_until_s, &value);
        (void)ms_buf_add_str(&value, "\",\"value\":");
        put_values(&axes[i], &value);
        (void)ms_buf_add_byte(&value, '}');
        (void)ms_buf_addf(w->out, "%c\"%s\":\"", i == 0 ? '{' : ',', name);
        (void)put_base64url(ms_buf_span(&value), w->out);
        (void)ms_buf_add_byte(w->out, '"');
        w->err = w->err != MS_OK ? w->err : ms_buf_err(&value);
    }
    (void)ms_buf_add_str(w->out, "}\n");
    ms_buf_done(&value);
}

static void put_message(struct rec_rendering *w, const struct rec_register *axes, size_t n)
{
    struct ms_buf payload = MS_BUF_INIT(TEXT_MAX_BYTES);

    for (size_t i = 0; i < n; i++) {
        (void)ms_buf_addf(&payload, "%c\"%s\":", i == 0 ? '{' : ',', names[axes[i].index]);
        put_values(&axes[i], &payload);
    }
    (void)ms_buf_add_byte(&payload, '}');
    (void)ms_buf_add_str(w->out,
                         "{\"version\":\"" VALUE_VERSION "\",\"type\":\"sample\",\"payload\":\"");
    (void)ms_base64_encode(ms_buf_span(&payload), w->out);
    (void)ms_buf_add_str(w->out, "\"}\n");
    w->err = ms_buf_err(&payload);
    ms_buf_done(&payload);
}

/* The names that trustee's own policy for TDX looks at; what a set lists beyond them is only
 * checked by a policy that was written for it. */
static void tell_policy(const struct rec_rendering *w, const struct rec_register *axes, size_t n)
{
    const char *beyond[2] = {NULL, NULL};
    size_t found = 0;

    for (size_t i = 0; i < n; i++)
        if (axes[i].index == 1 || axes[i].index == 4)
            beyond[found++] = names[axes[i].index];
    if (found > 0)
        (void)ms_diag_set(w->diag, MS_OK,
                          "trustee's default policy does not look at %s%s%s: yours has to; %zu "
                          "records and %zu predicates cannot be written and were left out",
                          beyond[0], found > 1 ? " and " : "", found > 1 ? beyond[1] : "",
                          w->records, w->predicates);
}

static enum ms_err render(struct rec_rendering *w, struct ms_arena *arena, struct rec_box *boxes)
{
    struct rec_register axes[REC_REGISTERS_MAX];
    enum rec_mixing mixing = REC_MIXING_UNSURE;
    struct rec_value ones;
    size_t n = collect(w, boxes), n_axes = 0;

    if (n == 0) {
        n_axes = deny_all(&ones, axes);
    } else {
        enum ms_err err = rec_flatten(boxes, n, arena, axes, &n_axes, &mixing);
        err = judge(w, err, mixing);
        if (err != MS_OK)
            return err;
        tell_policy(w, axes, n_axes);
    }
    if (w->options->profile == REC_PROFILE_RVPS_SAMPLE)
        put_message(w, axes, n_axes);
    else
        put_store(w, axes, n_axes);
    return MS_OK;
}

enum ms_err rec_render_rvps(struct rec_rendering *w)
{
    struct ms_arena arena = MS_ARENA_INIT(2 * REC_ARENA_MAX_BYTES);
    size_t n = 0;

    for (size_t s = 0; s < w->n_sets; s++)
        n += w->sets[s]->n_records;
    struct rec_box *boxes = calloc(n + 1, sizeof(*boxes));
    enum ms_err err = boxes == NULL ? MS_ERR_MEMORY : render(w, &arena, boxes);
    free(boxes);
    ms_arena_done(&arena);
    return err;
}
