/* cli/view.c - envelopes for people. */
#include "cli/view.h"

#include "cli/client.h"

#include <inttypes.h>
#include <stdlib.h>

#define ARENA_MAX_BYTES ((size_t)64 << 20)
#define NAMED_MAX 12u /* ids in one list of a line */

void view_init(struct view *view)
{
    *view = (struct view){.arena = MS_ARENA_INIT(ARENA_MAX_BYTES), .state = ""};
}

void view_done(struct view *view)
{
    ms_arena_done(&view->arena);
    view_init(view);
}

/* A terminal obeys some bytes. */
static const char *printable(struct view *view, struct ms_span text)
{
    char *copy = ms_arena_strdup(&view->arena, text);

    for (char *c = copy; c != NULL && *c != '\0'; c++)
        if ((unsigned char)*c < 0x20 || (unsigned char)*c > 0x7e)
            *c = '?';
    return copy;
}

static const char *member(struct view *view, const json_t *object, const char *name)
{
    struct ms_span text = ms_json_member_str(object, name);
    return printable(view, text.ptr == NULL ? ms_span_str("") : text);
}

static int64_t number(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    return json_is_integer(value) && json_integer_value(value) > 0 ? json_integer_value(value) : 0;
}

static enum ms_err add_item(struct view *view, const json_t *json, struct ms_span id)
{
    struct ms_buf text = MS_BUF_INIT(CLIENT_BODY_MAX_BYTES);
    struct view_item item = {.id = printable(view, id)};

    enum ms_err err = ms_json_dump(json, &text);
    if (err == MS_OK)
        item.canon = ms_arena_strdup(&view->arena, ms_buf_span(&text));
    ms_buf_done(&text);
    if (err == MS_OK && (item.id == NULL || item.canon == NULL))
        err = MS_ERR_MEMORY;
    if (err == MS_OK)
        view->items[view->n_items++] = item;
    return err;
}

static enum ms_err add_predicate(struct view *view, const json_t *json)
{
    struct ms_buf id = MS_BUF_INIT(1024);
    struct ms_span kind = ms_json_member_str(json, "kind");
    struct ms_span value = ms_json_member_str(json, "value");

    (void)ms_buf_add(&id, kind);
    (void)ms_buf_add_byte(&id, ' ');
    enum ms_err err = ms_buf_add(&id, value);
    if (err == MS_OK)
        err = add_item(view, json, ms_buf_span(&id));
    ms_buf_done(&id);
    return err;
}

static bool in_force(const json_t *release)
{
    return ms_span_eq_str(ms_json_member_str(release, "status"), "in-force");
}

static enum ms_err add_release(struct view *view, const json_t *release)
{
    const json_t *records = json_object_get(release, "records");
    const json_t *predicates = json_object_get(release, "predicates");
    enum ms_err err = MS_OK;

    struct view_release *one = &view->releases[view->n_releases];
    one->id = (uint64_t)number(release, "id");
    one->version = member(view, release, "version");
    if (one->version == NULL)
        return MS_ERR_MEMORY;
    view->n_releases++;
    for (size_t i = 0; err == MS_OK && i < json_array_size(records); i++) {
        const json_t *record = json_array_get(records, i);
        struct ms_span id = ms_json_member_str(record, "measurement_id");
        err = add_item(view, record, id.len == 0 ? ms_span_str("(no id)") : id);
    }
    for (size_t i = 0; err == MS_OK && i < json_array_size(predicates); i++)
        err = add_predicate(view, json_array_get(predicates, i));
    return err;
}

static int compare_items(const void *a, const void *b)
{
    const struct view_item *x = a, *y = b;
    int by_id = strcmp(x->id, y->id);

    return by_id != 0 ? by_id : strcmp(x->canon, y->canon);
}

static enum ms_err add_releases(struct view *view, const json_t *releases)
{
    size_t n_releases = 0, n_items = 0;
    enum ms_err err = MS_OK;

    for (size_t i = 0; i < json_array_size(releases); i++) {
        const json_t *release = json_array_get(releases, i);
        n_releases += in_force(release);
        n_items += json_array_size(json_object_get(release, "records")) +
                   json_array_size(json_object_get(release, "predicates"));
    }
    view->releases = ms_arena_alloc(&view->arena, n_releases + 1, sizeof(*view->releases));
    view->items = ms_arena_alloc(&view->arena, n_items + 1, sizeof(*view->items));
    if (view->releases == NULL || view->items == NULL)
        return MS_ERR_MEMORY;
    for (size_t i = 0; err == MS_OK && i < json_array_size(releases); i++)
        if (in_force(json_array_get(releases, i)))
            err = add_release(view, json_array_get(releases, i));
    qsort(view->items, view->n_items, sizeof(*view->items), compare_items);
    return err;
}

static enum ms_err read_envelope(struct view *view, const json_t *root, struct ms_diag *diag)
{
    const json_t *sequence = json_object_get(root, "sequence");
    const json_t *error = json_object_get(root, "error");

    if (ms_json_member_str(root, "state").len == 0 ||
        !json_is_array(json_object_get(root, "releases")))
        return ms_diag_set(diag, MS_ERR_SYNTAX, "the daemon's answer is no envelope");
    view->state = member(view, root, "state");
    view->trust = member(view, root, "trust");
    view->set_hash = member(view, root, "set_hash");
    if (error != NULL) {
        view->error_code = member(view, error, "code");
        view->error_text = member(view, error, "text");
    }
    if (view->state == NULL || view->trust == NULL || view->set_hash == NULL ||
        (error != NULL && (view->error_code == NULL || view->error_text == NULL)))
        return MS_ERR_MEMORY;
    view->has_sequence = json_is_integer(sequence);
    view->sequence = (uint64_t)number(root, "sequence");
    view->fetched_at_s = number(root, "fetched_at");
    view->valid_until_s = number(root, "valid_until");
    return add_releases(view, json_object_get(root, "releases"));
}

enum ms_err view_parse(struct ms_span envelope, struct view *view, struct ms_diag *diag)
{
    json_t *root = NULL;

    enum ms_err err = client_json(envelope, &root, diag);
    if (err == MS_OK)
        err = read_envelope(view, root, diag);
    json_decref(root);
    if (err != MS_OK)
        view_done(view);
    return err;
}

bool view_served(const struct view *view)
{
    return view->error_code == NULL;
}

static bool same_but_state(const struct view *a, const struct view *b)
{
    if (view_served(a) != view_served(b) || a->has_sequence != b->has_sequence ||
        a->sequence != b->sequence || strcmp(a->set_hash, b->set_hash) != 0 ||
        a->n_items != b->n_items)
        return false;
    if (!view_served(a) && strcmp(a->error_code, b->error_code) != 0)
        return false;
    for (size_t i = 0; i < a->n_items; i++)
        if (compare_items(&a->items[i], &b->items[i]) != 0)
            return false;
    return true;
}

bool view_same(const struct view *a, const struct view *b)
{
    return strcmp(a->state, b->state) == 0 && same_but_state(a, b);
}

static const char *meaning(const char *state)
{
    return strcmp(state, "stale-while-revalidate") == 0 ? "fresh" : state;
}

bool view_same_meaning(const struct view *a, const struct view *b)
{
    return strcmp(meaning(a->state), meaning(b->state)) == 0 && same_but_state(a, b);
}

/* ---- a line ---- */

struct names { /* one list of a line, such as "added a, b" */
    struct ms_buf text;
    const char *title;
    size_t n;
};

static void add_name(struct names *names, const char *id)
{
    if (names->n++ < NAMED_MAX)
        (void)ms_buf_addf(&names->text, "%s%s", names->n == 1 ? "" : ", ", id);
}

static void put_names(struct names *names, struct ms_buf *out)
{
    if (names->n > 0)
        (void)ms_buf_addf(out, "; %s ", names->title);
    (void)ms_buf_add(out, ms_buf_span(&names->text));
    if (names->n > NAMED_MAX)
        (void)ms_buf_addf(out, " and %zu more", names->n - NAMED_MAX);
    ms_buf_done(&names->text);
}

/* End of the run of items with the id of items[at]. */
static size_t run_end(const struct view *view, size_t at)
{
    size_t end = at;

    while (end < view->n_items && strcmp(view->items[at].id, view->items[end].id) == 0)
        end++;
    return end;
}

static bool same_run(const struct view *a, size_t a_at, size_t a_end, const struct view *b,
                     size_t b_at, size_t b_end)
{
    bool same = a_end - a_at == b_end - b_at;

    for (size_t i = 0; same && i < a_end - a_at; i++)
        same = strcmp(a->items[a_at + i].canon, b->items[b_at + i].canon) == 0;
    return same;
}

static void put_difference(const struct view *old, const struct view *now, struct ms_buf *out)
{
    struct names added = {.text = MS_BUF_INIT(8192), .title = "added"};
    struct names removed = {.text = MS_BUF_INIT(8192), .title = "removed"};
    struct names changed = {.text = MS_BUF_INIT(8192), .title = "changed"};
    size_t i = 0, j = 0;

    while (i < old->n_items || j < now->n_items) {
        int order = i == old->n_items   ? 1
                    : j == now->n_items ? -1
                                        : strcmp(old->items[i].id, now->items[j].id);
        size_t i_end = order <= 0 ? run_end(old, i) : i;
        size_t j_end = order >= 0 ? run_end(now, j) : j;
        if (order < 0)
            add_name(&removed, old->items[i].id);
        else if (order > 0)
            add_name(&added, now->items[j].id);
        else if (!same_run(old, i, i_end, now, j, j_end))
            add_name(&changed, now->items[j].id);
        i = i_end;
        j = j_end;
    }
    put_names(&added, out);
    put_names(&removed, out);
    put_names(&changed, out);
}

static void put_releases(const struct view *view, struct ms_buf *out)
{
    for (size_t i = 0; i < view->n_releases && i < NAMED_MAX; i++) {
        const struct view_release *r = &view->releases[i];
        (void)ms_buf_addf(out, "%s%s%s%" PRIu64 "%s", i == 0 ? "" : ", ", r->version,
                          r->version[0] == '\0' ? "#" : " (#", r->id,
                          r->version[0] == '\0' ? "" : ")");
    }
    if (view->n_releases > NAMED_MAX)
        (void)ms_buf_addf(out, " and %zu more", view->n_releases - NAMED_MAX);
}

enum ms_err view_line(const struct view *old, const struct view *now, struct ms_buf *out)
{
    struct view nothing = {.state = ""};

    (void)ms_buf_add_str(out, now->state);
    if (now->has_sequence)
        (void)ms_buf_addf(out, ", sequence %" PRIu64, now->sequence);
    if (!view_served(now)) {
        (void)ms_buf_addf(out, ": nothing may be served: %s (%s)", now->error_text,
                          now->error_code);
    } else if (now->n_items == 0) {
        (void)ms_buf_add_str(out, ": nothing is approved");
    } else {
        (void)ms_buf_addf(out, ": %s ", now->n_releases == 1 ? "release" : "releases");
        put_releases(now, out);
    }
    put_difference(old == NULL ? &nothing : old, now, out);
    return ms_buf_err(out);
}

/* ---- several lines ---- */

enum ms_err view_duration(int64_t seconds, struct ms_buf *out)
{
    static const struct {
        int64_t from, unit;
        const char *name;
    } units[] = {{172800, 86400, "d"}, {7200, 3600, "h"}, {120, 60, "min"}};

    for (size_t i = 0; i < MS_ARRAY_LEN(units); i++)
        if (seconds >= units[i].from)
            return ms_buf_addf(out, "%" PRId64 " %s", seconds / units[i].unit, units[i].name);
    return ms_buf_addf(out, "%" PRId64 " s", seconds < 0 ? 0 : seconds);
}

enum ms_err view_age(const struct view *view, int64_t now_s, struct ms_buf *out)
{
    (void)ms_buf_add_str(out, view->state);
    if (view->fetched_at_s != 0) {
        (void)ms_buf_add_str(out, ", last confirmed ");
        (void)view_duration(now_s - view->fetched_at_s, out);
        (void)ms_buf_add_str(out, " ago");
    }
    if (!view_served(view))
        (void)ms_buf_addf(out, ": %s (%s)", view->error_text, view->error_code);
    return ms_buf_err(out);
}

enum ms_err view_text(const struct view *view, int64_t now_s, struct ms_buf *out)
{
    (void)ms_buf_add_str(out, "state      ");
    (void)view_age(view, now_s, out);
    if (view->has_sequence)
        (void)ms_buf_addf(out, "\nsequence   %" PRIu64, view->sequence);
    if (view->trust[0] != '\0')
        (void)ms_buf_addf(out, "\ntrust      %s", view->trust);
    if (view_served(view)) {
        (void)ms_buf_add_str(out, "\nreleases   ");
        if (view->n_releases == 0)
            (void)ms_buf_add_str(out, "none");
        put_releases(view, out);
        (void)ms_buf_add_str(out, "\napproved   ");
        for (size_t i = 0; i < view->n_items && i < NAMED_MAX; i++)
            (void)ms_buf_addf(out, "%s%s", i == 0 ? "" : ", ", view->items[i].id);
        if (view->n_items > NAMED_MAX)
            (void)ms_buf_addf(out, " and %zu more", view->n_items - NAMED_MAX);
        if (view->n_items == 0)
            (void)ms_buf_add_str(out, "nothing");
    }
    if (view->valid_until_s != 0) {
        (void)ms_buf_add_str(out, "\nvalid for  ");
        (void)view_duration(view->valid_until_s - now_s, out);
    }
    return ms_buf_add_byte(out, '\n');
}
