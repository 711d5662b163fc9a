/* resolver/records/dstack_auth.c - the files of dstack's two back-ends that decide by a file,
 * dstack-auth and auth-simple (consumers.md 1.6).
 *
 * They read emptiness in opposite ways: no OS images are none to auth-simple and any to
 * dstack-auth, no devices are any to both. So no list that counts is ever empty here: what approves
 * nothing holds a hash that nothing has. Both look at compose hash and OS image one after the
 * other, so every pair of the two lists is approved. */
#include "resolver/records/internal.h"

#include "base/hex.h"

#include <stdlib.h>

enum { COMPOSE = 0, IMAGE, KINDS };

bool rec_dstack_app_parse(struct ms_span text, uint8_t ret_app[REC_DSTACK_APP_BYTES])
{
    uint8_t app[REC_DSTACK_APP_BYTES];

    if (ms_span_starts(text, "0x"))
        text = ms_span_sub(text, 2, text.len);
    if (ms_hex_decode(text, app, sizeof(app)) != MS_OK)
        return false;
    memcpy(ret_app, app, sizeof(app));
    return true;
}

/* ---- what is approved ---- */

static enum ms_err values_of(const struct rec_set *set, enum rec_predicate_kind kind,
                             struct ms_arena *arena, struct rec_register *reg)
{
    reg->values = ms_arena_alloc(arena, set->n_predicates + 1, sizeof(*reg->values));
    if (reg->values == NULL)
        return MS_ERR_MEMORY;
    for (size_t i = 0; i < set->n_predicates; i++) {
        const struct rec_predicate *p = &set->predicates[i];
        if (p->kind != kind)
            continue;
        struct rec_value *value = &reg->values[reg->n_values++];
        *value = (struct rec_value){.len = sizeof(p->value)};
        memcpy(value->b, p->value, sizeof(p->value));
    }
    reg->n_values = rec_sort_values(reg->values, reg->n_values);
    return MS_OK;
}

/* One box a release that approves whole machines. A release with a compose hash or an OS image
 * and nothing of the other kind approves none; *ret_bare: some have compose hashes. */
static enum ms_err collect(struct rec_rendering *w, struct ms_arena *arena, struct rec_box *boxes,
                           size_t *ret_n, bool *ret_bare)
{
    for (size_t s = 0; s < w->n_sets; s++) {
        const struct rec_set *set = w->sets[s];
        struct rec_register *regs = ms_arena_alloc(arena, KINDS, sizeof(*regs));
        if (regs == NULL)
            return MS_ERR_MEMORY;
        regs[IMAGE].index = IMAGE;
        enum ms_err err = values_of(set, REC_PREDICATE_DSTACK_COMPOSE_HASH, arena, &regs[COMPOSE]);
        if (err == MS_OK)
            err = values_of(set, REC_PREDICATE_DSTACK_OS_IMAGE, arena, &regs[IMAGE]);
        if (err != MS_OK)
            return err;
        w->records += set->n_records;
        for (size_t i = 0; i < set->n_predicates; i++)
            w->predicates += set->predicates[i].kind == REC_PREDICATE_TDX_WORKLOAD_ID;
        if (regs[COMPOSE].n_values > 0 && regs[IMAGE].n_values > 0) {
            boxes[(*ret_n)++] = (struct rec_box){KINDS, regs};
        } else {
            w->predicates += regs[COMPOSE].n_values + regs[IMAGE].n_values;
            *ret_bare = *ret_bare || regs[COMPOSE].n_values > 0;
        }
    }
    return MS_OK;
}

/* ---- whether the back-end would let pass what governance does not ---- */

static enum ms_err check_app(const struct rec_rendering *w, const struct rec_dstack *about)
{
    if (!about->has_app)
        return ms_diag_set(w->diag, MS_ERR_ARGUMENT,
                           "profile %s: the specifier does not tell of which app this is: give its "
                           "id, app= and 40 hex digits (measuredctl: --app)",
                           rec_profile_name(w->options->profile));
    if (about->tcb_up_to_date && w->options->profile == REC_PROFILE_DSTACK_AUTH)
        return ms_diag_set(w->diag, MS_ERR_PROFILE,
                           "profile dstack-auth: the app demands the TCB status UpToDate, which "
                           "dstack-auth does not look at: use auth-simple, or the webhook");
    return MS_OK;
}

static enum ms_err check_mixing(const struct rec_rendering *w, enum ms_err err,
                                enum rec_mixing mixing)
{
    const char *profile = rec_profile_name(w->options->profile);

    if (err == MS_ERR_EXPANSION)
        return ms_diag_set(w->diag, err,
                           "profile %s: too many compose hashes and OS images to know that no two "
                           "of them are approved by accident",
                           profile);
    if (err == MS_OK && mixing != REC_MIXING_NONE)
        return ms_diag_set(
            w->diag, MS_ERR_PROFILE,
            "profile %s: the releases approve different pairs of compose hash and OS "
            "image, and the file would approve every pair of them",
            profile);
    return err;
}

/* ---- writing ---- */

/* As both compare: 0x, lower case. */
static void put_hash(struct rec_rendering *w, struct ms_span hash)
{
    (void)ms_buf_add_str(w->out, "\"0x");
    (void)ms_buf_add_hex(w->out, hash);
    (void)ms_buf_add_byte(w->out, '"');
}

/* No SHA-256 that anybody knows an input of. */
static void put_impossible(struct rec_rendering *w)
{
    uint8_t ones[32];

    memset(ones, 0xff, sizeof(ones));
    (void)ms_buf_add_byte(w->out, '[');
    put_hash(w, ms_span_of(ones, sizeof(ones)));
    (void)ms_buf_add_byte(w->out, ']');
}

static void put_list(struct rec_rendering *w, const struct rec_register *axis)
{
    for (size_t i = 0; i < axis->n_values; i++) {
        (void)ms_buf_add_byte(w->out, i == 0 ? '[' : ',');
        put_hash(w, ms_span_of(axis->values[i].b, axis->values[i].len));
    }
    (void)ms_buf_add_byte(w->out, ']');
}

static void put_devices(struct rec_rendering *w, const struct rec_dstack *about)
{
    (void)ms_buf_add_str(w->out, ",\"devices\":");
    if (about->any_device) {
        (void)ms_buf_add_str(w->out, "[]");
    } else if (about->n_devices == 0) {
        put_impossible(w);
    } else {
        for (size_t i = 0; i < about->n_devices; i++) {
            (void)ms_buf_add_byte(w->out, i == 0 ? '[' : ',');
            put_hash(w, ms_span_of(about->devices[i], sizeof(about->devices[i])));
        }
        (void)ms_buf_add_byte(w->out, ']');
    }
    (void)ms_buf_addf(w->out, ",\"allowAnyDevice\":%s", about->any_device ? "true" : "false");
}

/* What the KMS itself may run is not the app's to say: none. */
static void put_kms(struct rec_rendering *w)
{
    static const struct rec_dstack nobody = {0};

    (void)ms_buf_add_str(w->out, ",\"gatewayAppId\":\"\"");
    if (w->options->profile == REC_PROFILE_AUTH_SIMPLE)
        (void)ms_buf_add_str(w->out,
                             ",\"allowedTcbStatuses\":[\"UpToDate\"],\"allowedAdvisoryIds\":[]");
    (void)ms_buf_add_str(w->out, ",\"kms\":{\"mrAggregated\":");
    put_impossible(w);
    put_devices(w, &nobody);
    (void)ms_buf_add_str(w->out, "}");
}

static void put_file(struct rec_rendering *w, const struct rec_dstack *about,
                     const struct rec_register *axes)
{
    (void)ms_buf_add_str(w->out, "{\"osImages\":");
    if (axes == NULL)
        put_impossible(w);
    else
        put_list(w, &axes[IMAGE]);
    put_kms(w);
    (void)ms_buf_add_str(w->out, ",\"apps\":{");
    if (axes != NULL) {
        put_hash(w, ms_span_of(about->app, sizeof(about->app)));
        (void)ms_buf_add_str(w->out, ":{\"composeHashes\":");
        put_list(w, &axes[COMPOSE]);
        put_devices(w, about);
        (void)ms_buf_add_byte(w->out, '}');
    }
    (void)ms_buf_add_str(w->out, "}}\n");
}

static enum ms_err render(struct rec_rendering *w, struct ms_arena *arena, struct rec_box *boxes)
{
    static const struct rec_dstack nothing = {0};
    const struct rec_dstack *about = w->options->dstack == NULL ? &nothing : w->options->dstack;
    struct rec_register axes[REC_REGISTERS_MAX];
    enum rec_mixing mixing = REC_MIXING_UNSURE;
    size_t n = 0, n_axes;
    bool bare = false;

    enum ms_err err = collect(w, arena, boxes, &n, &bare);
    if (err != MS_OK)
        return err;
    if (n == 0 && bare)
        return ms_diag_set(
            w->diag, MS_ERR_PROFILE,
            "profile %s: compose hashes are approved and no OS image to run them "
            "on: name the app's KMS in the specifier with kms=, or approve OS images "
            "in the same release",
            rec_profile_name(w->options->profile));
    if (n == 0) {
        put_file(w, about, NULL);
        return MS_OK;
    }
    err = check_app(w, about);
    if (err != MS_OK)
        return err;
    err = rec_flatten(boxes, n, arena, axes, &n_axes, &mixing);
    err = check_mixing(w, err, mixing);
    if (err == MS_OK)
        put_file(w, about, axes);
    return err;
}

enum ms_err rec_render_dstack(struct rec_rendering *w)
{
    struct ms_arena arena = MS_ARENA_INIT(4 * REC_ARENA_MAX_BYTES);
    struct rec_box *boxes = calloc(w->n_sets + 1, sizeof(*boxes));

    enum ms_err err = boxes == NULL ? MS_ERR_MEMORY : render(w, &arena, boxes);
    free(boxes);
    ms_arena_done(&arena);
    return err;
}
