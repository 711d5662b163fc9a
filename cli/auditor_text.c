/* cli/auditor_text.c - histories, differences and moments, for people and for spreadsheets. What
 * comes from documents and contracts is printed as printable ASCII. */
#include "cli/auditor.h"

#include "cli/when.h"

#include <stdio.h>

#define CELL_MAX_BYTES 65536u

/* ---- words ---- */

/* One line; without memory the error stays in out. */
static void add_json(struct ms_buf *out, const json_t *value)
{
    if (ms_json_print(value, false, out) != MS_OK && out->err == MS_OK)
        out->err = MS_ERR_MEMORY;
}

static void add_text(struct ms_buf *out, const char *text)
{
    for (const char *c = text == NULL ? "" : text; *c != '\0'; c++)
        (void)ms_buf_add_byte(out, (uint8_t)*c < 0x20 || (uint8_t)*c > 0x7e ? '?' : (uint8_t)*c);
}

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text == NULL ? "" : text;
}

static long long number_of(const json_t *object, const char *name)
{
    return (long long)json_integer_value(json_object_get(object, name));
}

static void add_time(struct ms_buf *out, long long time_s)
{
    char text[WHEN_TEXT];

    when_text(time_s < 0 ? 0 : (uint64_t)time_s, text);
    (void)ms_buf_add_str(out, text);
}

/* "release 2 (2.3.2): web-server (dcap-tdx)" */
static void add_item(struct ms_buf *out, const json_t *item)
{
    if (json_object_get(item, "release") == NULL && json_object_get(item, "kind") != NULL) {
        add_text(out, text_of(item, "kind")); /* of a log */
        (void)ms_buf_add_str(out, " ");
        add_text(out, text_of(item, "value"));
        return;
    }
    (void)ms_buf_addf(out, "release %lld", number_of(item, "release"));
    if (text_of(item, "version")[0] != '\0') {
        (void)ms_buf_add_str(out, " (version ");
        add_text(out, text_of(item, "version"));
        (void)ms_buf_add_str(out, ")");
    }
    (void)ms_buf_add_str(out, ": ");
    if (json_object_get(item, "window") != NULL) {
        add_text(out, text_of(item, "window"));
        (void)ms_buf_add_str(out, " was ");
        add_time(out, number_of(item, "was"));
        (void)ms_buf_add_str(out, ", is ");
        add_time(out, number_of(item, "is"));
    } else if (json_object_get(item, "payload") != NULL) { /* of an operation, or a past set */
        (void)ms_buf_add_str(out, "document ");
        add_text(out, text_of(item, "payload"));
    } else if (json_object_get(item, "kind") != NULL) {
        add_text(out, text_of(item, "kind"));
        (void)ms_buf_add_str(out, " ");
        add_text(out, text_of(item, "value"));
    } else if (text_of(item, "payload")[0] != '\0') { /* what the chain tells of a release */
        (void)ms_buf_add_str(out, "document ");
        add_text(out, text_of(item, "payload"));
    } else {
        const char *id = text_of(item, "id");
        add_text(out, id[0] == '\0' ? "record without a name" : id);
        (void)ms_buf_add_str(out, " (");
        add_text(out, text_of(item, "type"));
        (void)ms_buf_add_str(out, ")");
    }
}

/* Each on a line of its own behind `sign`, or (sign NULL) all on one, parted by "; ". */
static void add_items(struct ms_buf *out, const json_t *row, const char *name, const char *sign)
{
    const json_t *items = json_object_get(row, name);
    char count[32];
    size_t i;
    json_t *item;

    json_array_foreach(items, i, item)
    {
        (void)ms_buf_add_str(out, sign != NULL ? sign : i > 0 ? "; " : "");
        add_item(out, item);
        (void)ms_buf_add_str(out, sign != NULL ? "\n" : "");
    }
    (void)snprintf(count, sizeof(count), "n_%s", name);
    long long more = number_of(row, count) - (long long)json_array_size(items);
    if (more > 0)
        (void)ms_buf_addf(out, "%sand %lld more%s", sign != NULL ? sign : "; ", more,
                          sign != NULL ? "\n" : "");
}

static bool is_log(const json_t *row)
{
    return strcmp(text_of(row, "source"), "logs") == 0;
}

/* Whose word a log is, and what it is worth. */
static void add_teller(struct ms_buf *out, const json_t *row)
{
    bool checked = strcmp(text_of(row, "checked"), "receipts") == 0;

    if (json_object_get(row, "provider") == NULL)
        return; /* the row is not to be believed */
    (void)ms_buf_add_str(out, "told by ");
    add_text(out, text_of(row, "provider"));
    bool wrong = strcmp(text_of(row, "checked"), "wrong") == 0;
    (void)ms_buf_add_str(out, checked ? ", in its block's receipts"
                              : wrong ? ", and wrong ("
                                      : ", not checked (");
    add_text(out, checked ? "" : text_of(row, "why"));
    (void)ms_buf_add_str(out, checked ? "" : ")");
    (void)ms_buf_add_str(out, "; not known to be complete");
}

static bool is_gap(const json_t *row)
{
    return strcmp(text_of(row, "kind"), "gap") == 0;
}

/* Who governs or signed, in a few words; of a gap what is missing. */
static void add_who(struct ms_buf *out, const json_t *row)
{
    if (is_log(row)) {
        add_teller(out, row);
        return;
    }
    const json_t *governance = json_object_get(row, "governance");
    const json_t *signers = json_object_get(row, "signers"); /* of a set of the past */
    const json_t *signed_by = json_object_get(signers != NULL ? signers : governance, "signed_by");
    size_t i;
    json_t *signer;

    if (is_gap(row)) {
        (void)ms_buf_addf(out, "sets %lld to %lld are missing", number_of(row, "from"),
                          number_of(row, "to"));
    } else if (json_array_size(signed_by) > 0) {
        (void)ms_buf_add_str(out, "signed by");
        json_array_foreach(signed_by, i, signer)
        {
            (void)ms_buf_add_str(out, " ");
            add_text(out, json_string_value(signer));
        }
        if (signers != NULL)
            (void)ms_buf_addf(out, " (%lld of %lld, %lld needed, root %lld)",
                              number_of(signers, "counted"), number_of(signers, "of"),
                              number_of(signers, "threshold"), number_of(signers, "epoch"));
        if (json_is_false(json_object_get(signers, "met")))
            (void)ms_buf_add_str(out, ": too few");
    } else if (signers != NULL) {
        (void)ms_buf_add_str(out, "signed by nobody who may");
    } else if (text_of(governance, "owner")[0] != '\0') {
        (void)ms_buf_add_str(out, "owner ");
        add_text(out, text_of(governance, "owner"));
        if (text_of(governance, "owner_kind")[0] != '\0') {
            (void)ms_buf_add_str(out, " (");
            add_text(out, text_of(governance, "owner_kind"));
            (void)ms_buf_add_str(out, ")");
        }
    }
}

/* ---- rows ---- */

static const char *const csv_columns =
    "n,sequence,time,state,kind,source,level,trust,block,added,removed,changed,who,set_hash,"
    "evidence,accepted\n";
static const char *const md_head =
    "| sequence | time | kind | state | block | added | removed | changed | who | evidence |\n"
    "|---|---|---|---|---|---|---|---|---|---|\n";

void auditor_form_begin(enum auditor_form form, struct ms_buf *out)
{
    if (form == AUDITOR_JSON)
        (void)ms_buf_add_str(out, "[");
    else if (form == AUDITOR_CSV)
        (void)ms_buf_add_str(out, csv_columns);
    else if (form == AUDITOR_MD)
        (void)ms_buf_add_str(out, md_head);
}

void auditor_form_end(enum auditor_form form, struct ms_buf *out)
{
    if (form == AUDITOR_JSON)
        (void)ms_buf_add_str(out, "]\n");
}

static void add_block(struct ms_buf *out, const json_t *row)
{
    if (json_is_integer(json_object_get(row, "block")))
        (void)ms_buf_addf(out, "%lld", number_of(row, "block"));
}

/* Of a set of the past: what shows that it is one. */
static void add_proof(struct ms_buf *out, const json_t *row)
{
    const char *proof = text_of(row, "proof");

    if (strcmp(proof, "chain") == 0)
        (void)ms_buf_add_str(out, "    named by the set after it\n");
    else if (proof[0] != '\0')
        (void)ms_buf_add_str(out, "    below a gap: rests on signatures alone\n");
    if (json_object_get(row, "older") != NULL)
        (void)ms_buf_add_str(out, "    older ones are stored and not told here\n");
}

static void add_trust(struct ms_buf *out, const json_t *row)
{
    if (text_of(row, "trust")[0] == '\0')
        return;
    (void)ms_buf_add_str(out, "  ");
    add_text(out, text_of(row, "level"));
    (void)ms_buf_add_str(out, text_of(row, "level")[0] == '\0' ? "" : " ");
    add_text(out, text_of(row, "trust"));
}

static void add_error(struct ms_buf *out, const json_t *row)
{
    const json_t *error = json_object_get(row, "error");

    if (error == NULL)
        return;
    (void)ms_buf_add_str(out, "    ! ");
    add_text(out, json_is_string(error) ? json_string_value(error) : text_of(error, "text"));
    (void)ms_buf_add_str(out, "\n");
}

static void add_changes(struct ms_buf *out, const json_t *row)
{
    add_items(out, row, "added", "    + ");
    add_items(out, row, "removed", "    - ");
    add_items(out, row, "changed", "    ~ ");
    if (json_is_false(json_object_get(row, "compared")))
        (void)ms_buf_add_str(out,
                             "    the set before could not be read: nothing is said about what "
                             "differs\n");
    if (json_is_integer(json_object_get(row, "head_removes")))
        (void)ms_buf_addf(out,
                          "    what is removed rests on the newest block %lld, not yet final\n",
                          number_of(row, "head_removes"));
}

static void add_confirmed_until(struct ms_buf *out, const json_t *row)
{
    const json_t *confirmed = json_object_get(row, "confirmed");

    if (confirmed == NULL || number_of(confirmed, "times") <= 1)
        return;
    (void)ms_buf_add_str(out, "    confirmed until ");
    add_time(out, number_of(confirmed, "until"));
    (void)ms_buf_add_str(out, "\n");
}

static void add_evidence(struct ms_buf *out, const json_t *row)
{
    if (text_of(row, "evidence")[0] == '\0')
        return;
    (void)ms_buf_add_str(out, "    evidence ");
    add_text(out, text_of(row, "evidence"));
    (void)ms_buf_add_str(out, "\n");
}

/* What this daemon saw of what the contract's own history tells. */
static void add_accepted(struct ms_buf *out, const json_t *row)
{
    size_t i;
    json_t *one;

    json_array_foreach(json_object_get(row, "accepted"), i, one)
    {
        (void)ms_buf_add_str(out, "    accepted here ");
        add_time(out, number_of(one, "time"));
        add_trust(out, one);
        (void)ms_buf_addf(out, "  (row %lld)\n", number_of(one, "n"));
        add_error(out, one);
        add_items(out, one, "added", "      + ");
        add_items(out, one, "removed", "      - ");
        add_items(out, one, "changed", "      ~ ");
        add_confirmed_until(out, one);
    }
}

static void row_text(const json_t *row, struct ms_buf *out)
{
    if (is_gap(row)) { /* it has no time of its own */
        add_who(out, row);
        (void)ms_buf_add_str(out, "\n");
        return;
    }
    if (is_log(row) && number_of(row, "time") == 0)
        (void)ms_buf_add_str(out, "(time not known)");
    else
        add_time(out, number_of(row, "time"));
    if (!is_log(row))
        (void)ms_buf_addf(out, "  sequence %lld", number_of(row, "sequence"));
    (void)ms_buf_add_str(out, "  ");
    add_text(out, text_of(row, "kind"));
    (void)ms_buf_add_str(out, "  ");
    add_text(out, text_of(row, "state"));
    if (json_is_integer(json_object_get(row, "block"))) {
        (void)ms_buf_add_str(out, "  block ");
        add_block(out, row);
    }
    if (is_log(row))
        (void)ms_buf_addf(out, "  (log %lld)", number_of(row, "index"));
    add_trust(out, row);
    if (json_is_integer(json_object_get(row, "n")))
        (void)ms_buf_addf(out, "  (row %lld)", number_of(row, "n"));
    (void)ms_buf_add_str(out, "\n");
    add_error(out, row);
    add_changes(out, row);
    add_proof(out, row);
    size_t at = out->len;
    (void)ms_buf_add_str(out, "    ");
    add_who(out, row);
    if (out->len == at + 4)
        out->len = at;
    else
        (void)ms_buf_add_str(out, "\n");
    add_accepted(out, row);
    add_confirmed_until(out, row);
    add_evidence(out, row);
}

/* A cell of CSV (RFC 4180) or of a Markdown table. */
static void add_cell(enum auditor_form form, const struct ms_buf *text, bool last,
                     struct ms_buf *out)
{
    if (form == AUDITOR_CSV)
        (void)ms_buf_add_byte(out, '"');
    /* a spreadsheet takes such a cell for a formula */
    if (form == AUDITOR_CSV && text->len > 0 && strchr("=+-@", text->ptr[0]) != NULL)
        (void)ms_buf_add_byte(out, '\'');
    for (size_t i = 0; i < text->len; i++) {
        if (form == AUDITOR_CSV && text->ptr[i] == '"')
            (void)ms_buf_add_byte(out, '"');
        if (form == AUDITOR_MD && strchr("|\\`<>[]*_", text->ptr[i]) != NULL)
            (void)ms_buf_add_byte(out, '\\');
        (void)ms_buf_add_byte(out, text->ptr[i]);
    }
    if (form == AUDITOR_CSV)
        (void)ms_buf_add_str(out, last ? "\"\n" : "\",");
    else
        (void)ms_buf_add_str(out, last ? " |\n" : " | ");
}

static void fill_cell(const json_t *row, const char *name, enum auditor_form form,
                      struct ms_buf *cell)
{
    /* what an operation itself does not say is said by what was seen of it first */
    const json_t *seen = json_array_get(json_object_get(row, "accepted"), 0);
    const json_t *value = json_object_get(row, name);

    if (value == NULL)
        value = json_object_get(seen, name);
    if (strcmp(name, "who") == 0)
        add_who(cell, row);
    else if (strcmp(name, "time") == 0 && is_log(row) && number_of(row, name) == 0)
        (void)ms_buf_add_str(cell, "");
    else if (strcmp(name, "time") == 0)
        add_time(cell, number_of(row, name));
    else if (strcmp(name, "accepted") == 0 && (seen != NULL || json_object_get(row, "n") != NULL))
        add_time(cell, number_of(seen != NULL ? seen : row, "time"));
    else if (json_is_array(value))
        add_items(cell, row, name, NULL);
    else if (json_is_integer(value))
        (void)ms_buf_addf(cell, "%lld", (long long)json_integer_value(value));
    else if (form == AUDITOR_MD && strcmp(name, "evidence") == 0)
        (void)ms_buf_addf(cell, "%.19s", text_of(row, name));
    else
        add_text(cell, json_string_value(value));
}

static void row_cells(enum auditor_form form, const json_t *row, struct ms_buf *out)
{
    static const char *const csv[] = {
        "n",     "sequence", "time",    "state",   "kind", "source",   "level",    "trust",
        "block", "added",    "removed", "changed", "who",  "set_hash", "evidence", "accepted"};
    static const char *const md[] = {"sequence", "time",    "kind",    "state", "block",
                                     "added",    "removed", "changed", "who",   "evidence"};
    const char *const *names = form == AUDITOR_CSV ? csv : md;
    size_t n = form == AUDITOR_CSV ? MS_ARRAY_LEN(csv) : MS_ARRAY_LEN(md);

    if (form == AUDITOR_MD)
        (void)ms_buf_add_str(out, "| ");
    for (size_t i = 0; i < n; i++) {
        struct ms_buf cell = MS_BUF_INIT(CELL_MAX_BYTES);
        fill_cell(row, names[i], form, &cell);
        add_cell(form, &cell, i + 1 == n, out);
        ms_buf_done(&cell);
    }
}

enum ms_err auditor_form_row(enum auditor_form form, bool first, const json_t *row,
                             struct ms_buf *out)
{
    switch (form) {
    case AUDITOR_TEXT:
        row_text(row, out);
        break;
    case AUDITOR_JSON:
        (void)ms_buf_add_str(out, first ? "" : ",\n");
        add_json(out, row);
        break;
    case AUDITOR_JSONL:
        add_json(out, row);
        (void)ms_buf_add_str(out, "\n");
        break;
    case AUDITOR_CSV:
    case AUDITOR_MD:
        row_cells(form, row, out);
        break;
    }
    return ms_buf_err(out);
}

/* ---- differences ---- */

static void add_values(struct ms_buf *out, const json_t *values)
{
    size_t i;
    json_t *value;

    if (json_array_size(values) == 0)
        (void)ms_buf_add_str(out, "anything"); /* no constraint stands there */
    json_array_foreach(values, i, value)
    {
        (void)ms_buf_add_str(out, i > 0 ? " or " : "");
        add_text(out, json_string_value(value));
    }
}

static void add_registers(struct ms_buf *out, const json_t *item, bool was, bool is)
{
    size_t i;
    json_t *reg;

    json_array_foreach(json_object_get(item, "registers"), i, reg)
    {
        (void)ms_buf_add_str(out, "      ");
        add_text(out, text_of(reg, "register"));
        if (was) {
            (void)ms_buf_add_str(out, is ? "  was " : "  ");
            add_values(out, json_object_get(reg, "was"));
        }
        if (is) {
            (void)ms_buf_add_str(out, was ? "\n      " : "  ");
            if (was) {
                add_text(out, text_of(reg, "register"));
                (void)ms_buf_add_str(out, "  is  ");
            }
            add_values(out, json_object_get(reg, "is"));
        }
        (void)ms_buf_add_str(out, "\n");
    }
}

static void add_side(struct ms_buf *out, const char *name, const json_t *side)
{
    (void)ms_buf_addf(out, "%s  ", name);
    add_time(out, number_of(side, "time"));
    (void)ms_buf_addf(out, "  sequence %lld ", number_of(side, "sequence"));
    if (json_is_integer(json_object_get(side, "n")))
        (void)ms_buf_addf(out, "(row %lld)  ", number_of(side, "n"));
    else
        (void)ms_buf_addf(out, "(%s, block %lld)  ", text_of(side, "kind"),
                          number_of(side, "block"));
    add_text(out, text_of(side, "set_hash"));
    (void)ms_buf_add_str(out, "\n");
}

static void add_list(struct ms_buf *out, const json_t *root, const char *name, const char *sign,
                     bool was, bool is)
{
    size_t i;
    json_t *item;

    json_array_foreach(json_object_get(root, name), i, item)
    {
        (void)ms_buf_add_str(out, sign);
        add_item(out, item);
        (void)ms_buf_add_str(out, "\n");
        add_registers(out, item, was, is);
    }
}

static void add_plain(struct ms_buf *out, const json_t *value)
{
    struct ms_buf text = MS_BUF_INIT(CELL_MAX_BYTES);

    if (value == NULL || json_is_null(value))
        (void)ms_buf_add_str(&text, "nothing");
    else if (json_is_string(value))
        (void)ms_buf_add_str(&text, json_string_value(value));
    else
        add_json(&text, value);
    add_text(out, ms_buf_str(&text));
    ms_buf_done(&text);
}

enum ms_err auditor_diff_text(const json_t *root, struct ms_buf *out)
{
    size_t i;
    json_t *one;

    add_side(out, "from", json_object_get(root, "from"));
    add_side(out, "to  ", json_object_get(root, "to"));
    if (json_is_true(json_object_get(root, "same")))
        (void)ms_buf_add_str(out, "  the same set\n");
    add_list(out, root, "added", "  + ", false, true);
    add_list(out, root, "removed", "  - ", true, false);
    add_list(out, root, "changed", "  ~ ", true, true);
    json_array_foreach(json_object_get(root, "metadata"), i, one)
    {
        (void)ms_buf_add_str(out, "  ");
        add_text(out, text_of(one, "what"));
        (void)ms_buf_add_str(out, "  was ");
        add_plain(out, json_object_get(one, "was"));
        (void)ms_buf_add_str(out, ", is ");
        add_plain(out, json_object_get(one, "is"));
        (void)ms_buf_add_str(out, "\n");
    }
    return ms_buf_err(out);
}

/* ---- at ---- */

static void add_names(struct ms_buf *out, const json_t *release)
{
    size_t i;
    json_t *one;

    json_array_foreach(json_object_get(release, "records"), i, one)
    {
        (void)ms_buf_add_str(out, "      ");
        add_text(out, text_of(one, "measurement_id"));
        (void)ms_buf_add_str(out, " (");
        add_text(out, text_of(one, "attestation_type"));
        (void)ms_buf_add_str(out, ")\n");
    }
    json_array_foreach(json_object_get(release, "predicates"), i, one)
    {
        (void)ms_buf_add_str(out, "      ");
        add_text(out, text_of(one, "kind"));
        (void)ms_buf_add_str(out, " ");
        add_text(out, text_of(one, "value"));
        (void)ms_buf_add_str(out, "\n");
    }
}

static void add_confirmed(struct ms_buf *out, const json_t *confirmed)
{
    if (!json_is_object(confirmed))
        return;
    (void)ms_buf_add_str(out, json_is_true(json_object_get(confirmed, "exact"))
                                  ? "  last confirmed  "
                                  : "  confirmed since ");
    add_time(out, number_of(confirmed, "last"));
    if (json_object_get(confirmed, "next") != NULL) {
        (void)ms_buf_add_str(out, "\n  looked again at ");
        add_time(out, number_of(confirmed, "next"));
    }
    (void)ms_buf_add_str(out, "\n");
}

/* What signers had signed before anything was accepted here. */
static void add_signed(struct ms_buf *out, const json_t *set)
{
    size_t i;
    json_t *release;

    if (set == NULL)
        return;
    (void)ms_buf_addf(out, "  signed by then: set %lld, issued ", number_of(set, "sequence"));
    add_time(out, number_of(set, "time"));
    if (json_is_false(json_object_get(set, "valid")))
        (void)ms_buf_add_str(out, ", no longer valid then");
    (void)ms_buf_add_str(out, "\n");
    if (json_object_get(set, "signers") == NULL)
        return; /* it was accepted later: its row says the rest */
    (void)ms_buf_add_str(out, "  ");
    add_who(out, set);
    (void)ms_buf_add_str(out, "\n");
    if (json_is_true(json_object_get(set, "gap")))
        (void)ms_buf_add_str(out,
                             "  sets after it are missing: one may have been signed by then\n");
    json_array_foreach(json_object_get(set, "releases"), i, release)
    {
        (void)ms_buf_add_str(out, "  ");
        add_item(out, release);
        (void)ms_buf_add_str(out, "\n");
    }
}

/* What is said of a document that is not there to be read. */
static void add_absent(struct ms_buf *out, const json_t *release)
{
    const char *document = text_of(release, "document");

    if (document[0] == '\0' || strcmp(document, "known") == 0)
        return;
    (void)ms_buf_add_str(out, "      its document is ");
    add_text(out, document);
    (void)ms_buf_add_str(out, ": ");
    add_text(out, text_of(release, "payload"));
    (void)ms_buf_addf(out, ", %lld bytes", number_of(release, "size"));
    if (text_of(release, "uri")[0] != '\0') {
        (void)ms_buf_add_str(out, ", ");
        add_text(out, text_of(release, "uri"));
    }
    (void)ms_buf_add_str(out, "\n");
}

static void add_releases(struct ms_buf *out, const json_t *releases)
{
    size_t i;
    json_t *release;

    json_array_foreach(releases, i, release)
    {
        (void)ms_buf_addf(out, "  release %lld  ", number_of(release, "id"));
        if (text_of(release, "version")[0] != '\0') {
            (void)ms_buf_add_str(out, "version ");
            add_text(out, text_of(release, "version"));
            (void)ms_buf_add_str(out, "  ");
        }
        add_text(out, text_of(release, "status"));
        (void)ms_buf_add_str(out, "\n");
        add_names(out, release);
        add_absent(out, release);
    }
}

/* What the registry's own history proves, beside what was accepted here, or instead of it. */
static void add_chain(struct ms_buf *out, const json_t *chain, bool alone)
{
    if (!json_is_object(chain))
        return;
    if (!alone) {
        (void)ms_buf_add_str(out, "the registry's own history: ");
        add_text(out, text_of(chain, "why"));
        (void)ms_buf_add_str(out, "\n");
    }
    if (!json_is_true(json_object_get(chain, "complete")))
        return;
    if (number_of(chain, "operation") != 0) {
        (void)ms_buf_addf(out, "  operation %lld, block %lld  ", number_of(chain, "operation"),
                          number_of(chain, "block"));
        add_time(out, number_of(chain, "time"));
        (void)ms_buf_add_str(out, "  owner ");
        add_text(out, text_of(chain, "owner"));
        (void)ms_buf_add_str(out, "\n");
    }
    (void)ms_buf_add_str(out, "  proven until    ");
    add_time(out, number_of(chain, "until"));
    (void)ms_buf_add_str(out, " by ");
    add_text(out, text_of(chain, "evidence"));
    (void)ms_buf_add_str(out, "\n");
    add_releases(out, json_object_get(chain, "releases"));
}

enum ms_err auditor_at_text(const json_t *root, struct ms_buf *out)
{
    const json_t *row = json_object_get(root, "row");
    bool by_chain = strcmp(text_of(root, "by"), "chain") == 0;

    (void)ms_buf_add_str(out, "at ");
    add_time(out, number_of(root, "time"));
    (void)ms_buf_addf(
        out,
        "  %s: ", json_is_true(json_object_get(root, "in_force")) ? "in force" : "NOT in force");
    add_text(out, text_of(root, "why"));
    (void)ms_buf_add_str(out, "\n");
    add_confirmed(out, json_object_get(root, "confirmed"));
    if (json_is_object(row)) {
        (void)ms_buf_add_str(out, "  accepted        ");
        add_time(out, number_of(row, "time"));
        (void)ms_buf_addf(out, "  sequence %lld (row %lld)\n  ", number_of(row, "sequence"),
                          number_of(row, "n"));
        add_who(out, row);
        (void)ms_buf_add_str(out, "\n");
    }
    add_signed(out, json_object_get(root, "signed"));
    if (!by_chain)
        add_releases(out, json_object_get(root, "releases"));
    add_chain(out, json_object_get(root, "chain"), by_chain);
    return ms_buf_err(out);
}
