/* resolver/records/lint.c - rules L001..L014: what a document alone can tell
 * (consumers.md 3.10). */
#include "resolver/records/internal.h"

#include <stdio.h>
#include <stdlib.h>

struct linter {
    void (*fn)(const struct rec_finding *finding, void *arg);
    void *arg;
};

static void find(const struct linter *l, const char *rule, enum rec_grade grade, const char *id,
                 const char *text)
{
    struct rec_finding finding = {.grade = grade};
    struct ms_diag escaped = {0};

    (void)ms_diag_set(&escaped, MS_OK, "%s", id);
    (void)snprintf(finding.rule, sizeof(finding.rule), "%s", rule);
    (void)snprintf(finding.record, sizeof(finding.record), "%s", escaped.text);
    (void)snprintf(finding.text, sizeof(finding.text), "%s", text);
    l->fn(&finding, l->arg);
}

static const struct rec_register *get(const struct rec_record *record, uint32_t index)
{
    for (size_t i = 0; i < record->n_registers; i++)
        if (record->registers[i].index == index)
            return &record->registers[i];
    return NULL;
}

/* L003, L004: registers without which other code boots unnoticed. */
static void lint_missing(const struct linter *l, const struct rec_record *record)
{
    static const uint32_t dcap[] = {0, 3}, azure[] = {4, 9, 11};
    bool is_azure = record->type == REC_TYPE_AZURE_TDX;
    const uint32_t *wanted = is_azure ? azure : dcap;
    size_t n = is_azure ? MS_ARRAY_LEN(azure) : MS_ARRAY_LEN(dcap);
    struct ms_diag text = {0};

    for (size_t i = 0; record->n_registers > 0 && i < n; i++) {
        if (get(record, wanted[i]) != NULL)
            continue;
        text.text[0] = '\0';
        (void)ms_diag_set(&text, MS_OK, "register %u (%s) is not pinned", wanted[i],
                          rec_register_name(record->type, wanted[i]));
        find(l, is_azure ? "L004" : "L003", REC_GRADE_WARNING, record->id, text.text);
    }
}

static bool has_zero(const struct rec_register *reg)
{
    static const uint8_t zero[REC_VALUE_MAX_BYTES] = {0};

    return reg->n_values > 0 && memcmp(reg->values[0].b, zero, reg->values[0].len) == 0;
}

/* L005: zero is what a register holds that nothing was measured into. RTMR3 is so by design. */
static void lint_zero(const struct linter *l, const struct rec_record *record)
{
    for (size_t i = 0; i < record->n_registers; i++) {
        const struct rec_register *reg = &record->registers[i];
        bool rtmr3 = record->type != REC_TYPE_AZURE_TDX && reg->index == 4;
        struct ms_diag text = {0};
        if (!has_zero(reg)) /* values are sorted: a zero stands first */
            continue;
        (void)ms_diag_set(&text, MS_OK, "register %u (%s) is pinned to zero", reg->index,
                          rec_register_name(record->type, reg->index));
        find(l, "L005", rtmr3 ? REC_GRADE_INFO : REC_GRADE_WARNING, record->id, text.text);
    }
}

#define MANY_ALTERNATIVES 8u
#define MANY_COMBINATIONS 64u

/* L008 */
static void lint_width(const struct linter *l, const struct rec_record *record)
{
    size_t product = 1;
    struct ms_diag text = {0};

    for (size_t i = 0; i < record->n_registers; i++) {
        const struct rec_register *reg = &record->registers[i];
        if (product <= MANY_COMBINATIONS)
            product *= reg->n_values;
        if (reg->n_values > MANY_ALTERNATIVES)
            (void)ms_diag_set(&text, MS_OK, "register %u (%s) has %zu alternatives", reg->index,
                              rec_register_name(record->type, reg->index), reg->n_values);
    }
    if (product > MANY_COMBINATIONS)
        (void)ms_diag_set(&text, MS_OK, "the alternatives combine in more than %u ways",
                          MANY_COMBINATIONS);
    if (text.text[0] != '\0')
        find(l, "L008", REC_GRADE_WARNING, record->id, text.text);
}

/* ---- words in names ---- */

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

struct word {
    const char *text;
    bool prefix; /* also longer words that begin so */
};

/* The first of `words` among the runs of letters in id, or NULL. */
static const char *find_word(const char *id, const struct word *words, size_t n)
{
    for (const char *at = id; *at != '\0';) {
        size_t len = 0;
        while (is_letter(at[len]))
            len++;
        struct ms_span run = ms_span_of(at, len);
        for (size_t i = 0; i < n; i++)
            if (words[i].prefix ? ms_span_starts_nocase(run, words[i].text)
                                : ms_span_eq_str_nocase(run, words[i].text))
                return words[i].text;
        at += len == 0 ? 1 : len;
    }
    return NULL;
}

/* L009 */
static void lint_name(const struct linter *l, const struct rec_record *record)
{
    static const struct word words[] = {
        {"dev", true}, {"test", true}, {"rc", false}, {"ssh", true}, {"debug", true}};
    const char *word = find_word(record->id, words, MS_ARRAY_LEN(words));
    struct ms_diag text = {0};

    if (word == NULL)
        return;
    (void)ms_diag_set(&text, MS_OK, "the name says \"%s\": meant for production?", word);
    find(l, "L009", REC_GRADE_WARNING, record->id, text.text);
}

/* L011: a place or a single machine in the name. */
static void lint_host(const struct linter *l, const struct rec_set *set,
                      const struct rec_record *record)
{
    static const struct word words[] = {
        {"host", false},  {"node", false},      {"instance", false},  {"machine", false},
        {"eu", false},    {"us", false},        {"asia", false},      {"europe", false},
        {"eastus", true}, {"westus", true},     {"westeurope", true}, {"northeurope", true},
        {"tokyo", false}, {"frankfurt", false}, {"singapore", false}, {"london", false},
        {"paris", false}, {"virginia", false},  {"oregon", false},    {"sydney", false}};
    const char *word = find_word(record->id, words, MS_ARRAY_LEN(words));
    struct ms_diag text = {0};

    if (word == NULL || set->n_records < 2)
        return;
    (void)ms_diag_set(&text, MS_OK, "the name says \"%s\": one host's record in a shared list?",
                      word);
    find(l, "L011", REC_GRADE_WARNING, record->id, text.text);
}

static int number(const char *digits, size_t len)
{
    int value = 0;
    for (size_t i = 0; i < len; i++)
        value = value * 10 + (digits[i] - '0');
    return value;
}

/* The number before the first dot of "2.3.1" or "v1.0", or -1. Longer numbers are dates, not
 * versions. */
static int major_version(const char *id)
{
    for (const char *at = id; *at != '\0'; at++) {
        char before = '-';
        size_t len = 0;
        if (at != id)
            before = at[-1];
        if (!is_digit(*at) || is_digit(before) || before == '.' ||
            (is_letter(before) && before != 'v' && before != 'V'))
            continue;
        while (is_digit(at[len]))
            len++;
        if (len <= 3 && at[len] == '.' && is_digit(at[len + 1]))
            return number(at, len);
        at += len - 1;
    }
    return -1;
}

/* L010 */
static void lint_majors(const struct linter *l, const struct rec_set *set)
{
    int low = -1, high = -1;
    struct ms_diag text = {0};

    for (size_t i = 0; i < set->n_records; i++) {
        int major = major_version(set->records[i].id);
        if (major < 0)
            continue;
        low = low < 0 || major < low ? major : low;
        high = major > high ? major : high;
    }
    if (low == high)
        return;
    (void)ms_diag_set(&text, MS_OK, "major versions %d to %d are approved at the same time", low,
                      high);
    find(l, "L010", REC_GRADE_WARNING, "", text.text);
}

/* ---- pairs of records ---- */

static bool same_values(const struct rec_register *a, const struct rec_register *b)
{
    if (a->n_values != b->n_values)
        return false;
    for (size_t i = 0; i < a->n_values; i++)
        if (!ms_span_eq(ms_span_of(a->values[i].b, a->values[i].len),
                        ms_span_of(b->values[i].b, b->values[i].len)))
            return false;
    return true;
}

/* Registers in which two records of the same shape differ, the last of them in ret_index; 24 and
 * more when their shapes differ. */
static size_t differences(const struct rec_record *a, const struct rec_record *b,
                          uint32_t *ret_index)
{
    size_t n = 0;

    if (!rec_type_comparable(a->type, b->type) || a->n_registers != b->n_registers ||
        a->n_registers == 0)
        return REC_REGISTERS_MAX;
    for (size_t i = 0; n < 2 && i < a->n_registers; i++) {
        if (a->registers[i].index != b->registers[i].index)
            return REC_REGISTERS_MAX;
        if (same_values(&a->registers[i], &b->registers[i]))
            continue;
        *ret_index = a->registers[i].index;
        n++;
    }
    return n;
}

/* L012, L013, each told once a record, with the first partner before it: a list of a thousand
 * machines that differ in one register gives a thousand findings, not half a million. */
static void lint_pairs(const struct linter *l, const struct rec_set *set, size_t at)
{
    const struct rec_record *record = &set->records[at];
    bool twin = false, sibling = false;

    for (size_t i = 0; i < at && !(twin && sibling); i++) {
        const struct rec_record *other = &set->records[i];
        struct ms_diag text = {0};
        uint32_t index = 0;
        size_t n = differences(record, other, &index);
        if (n == 0 && !twin && strcmp(record->id, other->id) != 0) {
            twin = true;
            (void)ms_diag_set(&text, MS_OK, "the same values as \"%.60s\"", other->id);
            find(l, "L012", REC_GRADE_WARNING, record->id, text.text);
        } else if (n == 1 && !sibling && record->n_registers > 1) {
            sibling = true;
            (void)ms_diag_set(&text, MS_OK,
                              "differs from \"%.40s\" in register %u (%s) only: a typo?", other->id,
                              index, rec_register_name(record->type, index));
            find(l, "L013", REC_GRADE_WARNING, record->id, text.text);
        }
    }
}

/* L014: which compose file runs is told by the guest, and any OS can tell it. */
static void lint_boot_chain(const struct linter *l, const struct rec_set *set)
{
    bool compose = false, image = false;

    for (size_t i = 0; i < set->n_predicates; i++) {
        compose = compose || set->predicates[i].kind == REC_PREDICATE_DSTACK_COMPOSE_HASH;
        image = image || set->predicates[i].kind == REC_PREDICATE_DSTACK_OS_IMAGE;
    }
    if (compose && !image)
        find(l, "L014", REC_GRADE_WARNING, "",
             "a dstack-compose-hash is approved, and no dstack-os-image");
}

static void lint_notes(const struct linter *l, const struct rec_set *set)
{
    for (size_t i = 0; i < set->n_warnings; i++)
        find(l, "L000", REC_GRADE_WARNING, "", set->warnings[i].text);
}

void rec_lint_set(const struct rec_set *set,
                  void (*fn)(const struct rec_finding *finding, void *arg), void *arg)
{
    struct linter l = {fn, arg};

    for (size_t i = 0; i < set->n_records; i++) {
        const struct rec_record *record = &set->records[i];
        lint_name(&l, record);
        lint_host(&l, set, record);
        if (record->type == REC_TYPE_UNKNOWN)
            continue;
        lint_missing(&l, record);
        lint_zero(&l, record);
        lint_width(&l, record);
        lint_pairs(&l, set, i);
    }
    lint_majors(&l, set);
    lint_boot_chain(&l, set);
    lint_notes(&l, set);
}

bool rec_lint(struct ms_span text, void (*fn)(const struct rec_finding *finding, void *arg),
              void *arg)
{
    struct linter l = {fn, arg};
    struct ms_diag diag = {0};
    struct rec_set set;

    rec_set_init(&set);
    struct rec_ctx ctx = {.mode = REC_MODE_DIALECTS, .set = &set, .diag = &diag};
    enum ms_err err = rec_parse_ctx(&ctx, text);
    if (err == MS_OK)
        rec_lint_set(&set, fn, arg);
    else
        find(&l, ctx.rule == NULL ? "L000" : ctx.rule, REC_GRADE_ERROR, ctx.refused_id,
             ms_diag_text(&diag, err));
    rec_set_done(&set);
    return err != MS_OK;
}
