/* resolver/records/table.c - tables for people: csv and md. One row a value, so that two tables can
 * be compared by line; everything of a set is in them, also what no consumer gets.
 *
 * Ids and types come from whoever publishes, and are read by programs that take some texts for
 * more than texts: a spreadsheet computes a cell that begins with '=', a Markdown viewer makes
 * links and cells of them. */
#include "resolver/records/internal.h"

#include <stdio.h>

enum { RECORD = 0, ID, TYPE, REGISTER, NAME, VALUE, COLUMNS };

static const char *const titles[COLUMNS] = {
    [RECORD] = "record",     [ID] = "id",     [TYPE] = "type",
    [REGISTER] = "register", [NAME] = "name", [VALUE] = "value",
};

/* ---- cells ---- */

/* Signs that make a formula of a cell, in the wide forms of East Asian keyboards too. */
static bool begins_formula(uint32_t c)
{
    return c == '=' || c == '+' || c == '-' || c == '@' || c == 0xff1d || c == 0xff0b ||
           c == 0xff0d || c == 0xff20;
}

static bool is_formula(struct ms_span text)
{
    size_t at = 0;
    uint32_t c = ' ';

    while (at < text.len && (c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == 0xa0))
        c = rec_next_char(text, &at);
    return begins_formula(c);
}

/* Inside a code span or not, a backslash takes any of these its meaning (CommonMark 2.4). A dot
 * does no harm but in "www.", where GFM makes a link; nor does a hyphen inside of a cell. */
static bool means_something(uint32_t c, uint32_t before)
{
    if (c == '.')
        return before == 'w' || before == 'W';
    return c != '-' && ((c >= '!' && c <= '/') || (c >= ':' && c <= '@') ||
                        (c >= '[' && c <= '`') || (c >= '{' && c <= '~'));
}

static void put_char(struct rec_rendering *w, struct ms_span bytes, uint32_t c, uint32_t before)
{
    bool md = w->options->profile == REC_PROFILE_MD;

    if (c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0x2028 || c == 0x2029 ||
        rec_char_misleads(c)) {
        (void)ms_buf_addf(w->out, md ? "\\\\u%04x" : "\\u%04x", c);
        return;
    }
    if (md && means_something(c, before))
        (void)ms_buf_add_byte(w->out, '\\');
    if (!md && c == '"')
        (void)ms_buf_add_byte(w->out, '"');
    (void)ms_buf_add(w->out, bytes);
}

static void put_cell(struct rec_rendering *w, struct ms_span text)
{
    uint32_t before = 0;

    if (w->options->profile == REC_PROFILE_CSV)
        (void)ms_buf_add_str(w->out, is_formula(text) ? "\"'" : "\"");
    for (size_t at = 0; at < text.len;) {
        size_t from = at;
        uint32_t c = rec_next_char(text, &at);
        put_char(w, ms_span_sub(text, from, at - from), c, before);
        before = c;
    }
    if (w->options->profile == REC_PROFILE_CSV)
        (void)ms_buf_add_byte(w->out, '"');
}

static void put_row(struct rec_rendering *w, const struct ms_span cells[COLUMNS])
{
    bool md = w->options->profile == REC_PROFILE_MD;

    for (size_t i = 0; i < COLUMNS; i++) {
        (void)ms_buf_add_str(w->out, md ? "| " : i == 0 ? "" : ",");
        put_cell(w, cells[i]);
        (void)ms_buf_add_str(w->out, md ? " " : "");
    }
    (void)ms_buf_add_str(w->out, md ? "|\n" : "\n");
}

/* ---- rows ---- */

/* The cells of a record that are the same in all of its rows. */
static void begin(struct rec_rendering *w, char number[24], const char *id, const char *type,
                  struct ms_span cells[COLUMNS])
{
    (void)snprintf(number, 24, "%zu", ++w->written);
    for (size_t i = 0; i < COLUMNS; i++)
        cells[i] = ms_span_str("");
    cells[RECORD] = ms_span_str(number);
    cells[ID] = ms_span_str(id);
    cells[TYPE] = ms_span_str(type);
}

static void put_values(struct rec_rendering *w, const struct rec_record *record,
                       struct ms_span cells[COLUMNS])
{
    char number[16];

    for (size_t i = 0; i < record->n_registers; i++) {
        const struct rec_register *reg = &record->registers[i];
        (void)snprintf(number, sizeof(number), "%u", reg->index);
        cells[REGISTER] = ms_span_str(number);
        cells[NAME] = ms_span_str(rec_register_name(record->type, reg->index));
        for (size_t k = 0; k < reg->n_values; k++) {
            struct ms_buf hex = MS_BUF_INIT(2 * REC_VALUE_MAX_BYTES);
            (void)ms_buf_add_hex(&hex, ms_span_of(reg->values[k].b, reg->values[k].len));
            cells[VALUE] = ms_buf_span(&hex);
            put_row(w, cells);
            ms_buf_done(&hex);
        }
    }
}

/* Every member of an object: hashes of a portable policy, registers of a type unknown here. */
static void put_members(struct rec_rendering *w, const json_t *object,
                        struct ms_span cells[COLUMNS])
{
    const char *name;
    json_t *value;

    json_object_foreach(rec_json_iterable(object), name, value)
    {
        struct ms_buf text = MS_BUF_INIT(REC_ARENA_MAX_BYTES);
        enum ms_err err = json_is_string(value) ? ms_buf_add(&text, rec_json_str(value))
                                                : ms_json_dump(value, &text);
        cells[NAME] = ms_span_str(name);
        cells[VALUE] = ms_buf_span(&text);
        put_row(w, cells);
        w->err = w->err != MS_OK ? w->err : err;
        ms_buf_done(&text);
    }
}

static void put_record(struct rec_rendering *w, const struct rec_record *record)
{
    struct ms_span cells[COLUMNS];
    char number[24];

    begin(w, number, record->id, record->type_text, cells);
    put_values(w, record, cells);
    if (record->image.hashes != NULL)
        put_members(w, record->image.hashes, cells);
    if (record->raw != NULL)
        put_members(w, record->raw, cells);
}

static void put_predicate(struct rec_rendering *w, const struct rec_predicate *predicate)
{
    struct ms_span cells[COLUMNS];
    struct ms_buf hex = MS_BUF_INIT(2 * sizeof(predicate->value));
    char number[24], name[48];

    (void)snprintf(name, sizeof(name), predicate->version == 0 ? "%s" : "%s (formula %u)",
                   rec_predicate_kind_name(predicate->kind), predicate->version);
    begin(w, number, "", "predicate", cells);
    (void)ms_buf_add_hex(&hex, ms_span_of(predicate->value, sizeof(predicate->value)));
    cells[NAME] = ms_span_str(name);
    cells[VALUE] = ms_buf_span(&hex);
    put_row(w, cells);
    ms_buf_done(&hex);
}

static void put_titles(struct rec_rendering *w)
{
    struct ms_span cells[COLUMNS];

    for (size_t i = 0; i < COLUMNS; i++)
        cells[i] = ms_span_str(titles[i]);
    put_row(w, cells);
    for (size_t i = 0; w->options->profile == REC_PROFILE_MD && i < COLUMNS; i++)
        (void)ms_buf_add_str(w->out, i + 1 < COLUMNS ? "| --- " : "| --- |\n");
}

enum ms_err rec_render_table(struct rec_rendering *w)
{
    put_titles(w);
    for (size_t s = 0; s < w->n_sets; s++) {
        for (size_t i = 0; i < w->sets[s]->n_records; i++)
            put_record(w, &w->sets[s]->records[i]);
        for (size_t i = 0; i < w->sets[s]->n_predicates; i++)
            put_predicate(w, &w->sets[s]->predicates[i]);
    }
    if (w->written == 0 && w->options->profile == REC_PROFILE_MD)
        (void)ms_buf_add_str(w->out, "\nNothing is approved.\n");
    return MS_OK;
}
