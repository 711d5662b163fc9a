/* base/json_parse.c - strict JSON text to a jansson tree, in one pass that checks its limits as it
 * goes. jansson's own reader takes a byte at a time through three functions; most of what a chain
 * answers is long strings, which are found and copied here as wholes. */
#include "base/json.h"
#include "base/utf8.h"

struct parser {
    struct ms_span text;
    size_t at;
    const struct ms_json_limits *limits;
    size_t values;
    struct ms_buf scratch; /* a string with escapes */
    json_t *root;
    json_t *open[MS_JSON_DEPTH_MAX]; /* borrowed from root */
    size_t depth;
    bool opened; /* the last value is a container whose first element may follow */
    enum ms_err err;
    const char *what; /* why, or NULL */
    size_t fault_at;
};

static bool fail_at(struct parser *p, size_t at, enum ms_err err, const char *what)
{
    if (p->err == MS_OK) {
        p->err = err;
        p->what = what;
        p->fault_at = at;
    }
    return false;
}

static bool fail(struct parser *p, enum ms_err err, const char *what)
{
    return fail_at(p, p->at, err, what);
}

/* The byte at hand; -1 at the end. */
static int peek(const struct parser *p)
{
    return p->at < p->text.len ? p->text.ptr[p->at] : -1;
}

static struct ms_span rest(const struct parser *p)
{
    return ms_span_of(p->text.ptr + p->at, p->text.len - p->at);
}

static void skip_space(struct parser *p)
{
    for (int c = peek(p); c == ' ' || c == '\n' || c == '\t' || c == '\r'; c = peek(p))
        p->at++;
}

/* Something stands here that must not. */
static bool unexpected(struct parser *p, const char *what)
{
    int c = peek(p);

    if (c < 0)
        return fail(p, MS_ERR_JSON, "the text ends too early");
    if (c == '\0')
        return fail(p, MS_ERR_JSON, "a NUL byte");
    if (c >= 0x80 && ms_utf8_char(rest(p)) == 0)
        return fail(p, MS_ERR_UTF8, "invalid UTF-8");
    return fail(p, MS_ERR_JSON, what);
}

/* One more value, as ms_json_limits counts them. */
static bool count(struct parser *p)
{
    return ++p->values <= p->limits->max_values || fail(p, MS_ERR_LIMIT, "too many values");
}

/* ---- strings ---- */

static bool hex4(struct parser *p, uint32_t *ret_unit)
{
    uint32_t unit = 0;

    for (int i = 0; i < 4; i++, p->at++) {
        int c = peek(p);
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0)
            return unexpected(p, "\\u needs four hexadecimal digits");
        unit = unit << 4 | (uint32_t)digit;
    }
    *ret_unit = unit;
    return true;
}

/* Behind the u of an escape. */
static bool unicode_escape(struct parser *p, bool is_name)
{
    size_t start = p->at;
    uint32_t high, low = 0;
    uint8_t bytes[4];

    if (!hex4(p, &high))
        return false;
    if (high >= 0xdc00 && high <= 0xdfff)
        return fail_at(p, start, MS_ERR_JSON, "a lone surrogate");
    if (high >= 0xd800 && high <= 0xdbff) {
        if (peek(p) != '\\' || p->at + 1 >= p->text.len || p->text.ptr[p->at + 1] != 'u')
            return fail_at(p, start, MS_ERR_JSON, "a lone surrogate");
        p->at += 2;
        if (!hex4(p, &low))
            return false;
        if (low < 0xdc00 || low > 0xdfff)
            return fail_at(p, start, MS_ERR_JSON, "a lone surrogate");
        high = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
    }
    if (high == 0 && (p->limits->flags & MS_JSON_ALLOW_NUL) == 0)
        return fail_at(p, start, MS_ERR_JSON, "\\u0000 is not allowed");
    if (high == 0 && is_name)
        high = 0xfffd;
    return ms_buf_add(&p->scratch, ms_span_of(bytes, ms_utf8_encode(high, bytes))) == MS_OK ||
           fail(p, ms_buf_err(&p->scratch), NULL);
}

static bool escape(struct parser *p, bool is_name)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    int c = peek(p);
    const char *found = c > 0 ? strchr(from, c) : NULL;

    if (c == 'u') {
        p->at++;
        return unicode_escape(p, is_name);
    }
    if (found == NULL)
        return unexpected(p, "an escape that does not exist");
    p->at++;
    return ms_buf_add_byte(&p->scratch, (uint8_t)to[found - from]) == MS_OK ||
           fail(p, ms_buf_err(&p->scratch), NULL);
}

/* Nonzero when one of eight bytes is a quote, a backslash, a control character or no ASCII. The
 * usual trick: a byte below n borrows from its top bit; with the lowest such byte it is exact, and
 * a false one above it changes no answer. */
static uint64_t special(const uint8_t *bytes)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), tops = ones << 7;
    uint64_t w;

    memcpy(&w, bytes, sizeof(w));
    uint64_t quote = w ^ (ones * '"'), backslash = w ^ (ones * '\\');
    return ((w - ones * 0x20) | (quote - ones) | (backslash - ones) | w) & tops;
}

/* To the next byte that means something: a quote, an escape, or a fault. */
static bool plain_run(struct parser *p)
{
    const uint8_t *text = p->text.ptr;

    while (p->at < p->text.len) {
        while (p->text.len - p->at >= 8 && special(text + p->at) == 0)
            p->at += 8;
        if (p->at == p->text.len)
            break;
        uint8_t c = text[p->at];
        if (c == '"' || c == '\\')
            return true;
        if (c < 0x20)
            return unexpected(p, "a control character in a string");
        size_t n = c < 0x80 ? 1 : ms_utf8_char(rest(p));
        if (n == 0)
            return fail(p, MS_ERR_UTF8, "invalid UTF-8");
        p->at += n;
    }
    return unexpected(p, "a string does not end");
}

/* From behind the opening quote to behind the closing one. The span is the text's own, or scratch's
 * when there were escapes. */
static bool string(struct parser *p, bool is_name, struct ms_span *ret_bytes)
{
    size_t start = p->at;

    if (!plain_run(p))
        return false;
    if (peek(p) == '"') {
        *ret_bytes = ms_span_of(p->text.ptr + start, p->at++ - start);
        return true;
    }
    ms_buf_reset(&p->scratch);
    for (;;) {
        if (ms_buf_add(&p->scratch, ms_span_of(p->text.ptr + start, p->at - start)) != MS_OK)
            return fail(p, ms_buf_err(&p->scratch), NULL);
        if (p->text.ptr[p->at++] == '"')
            break;
        if (!escape(p, is_name))
            return false;
        start = p->at;
        if (!plain_run(p))
            return false;
    }
    *ret_bytes = ms_buf_span(&p->scratch);
    return true;
}

/* ---- other scalars ---- */

static size_t digits(struct parser *p)
{
    size_t start = p->at;

    while (peek(p) >= '0' && peek(p) <= '9')
        p->at++;
    return p->at - start;
}

/* Walk over a number by its grammar. */
static bool number_text(struct parser *p, bool *ret_real)
{
    p->at += peek(p) == '-';
    bool zero = peek(p) == '0';
    size_t n = digits(p);
    if (n == 0)
        return unexpected(p, "a digit is missing");
    if (zero && n > 1)
        return fail_at(p, p->at - n, MS_ERR_JSON, "a number with a leading zero");
    if (peek(p) == '.') {
        *ret_real = true;
        p->at++;
        if (digits(p) == 0)
            return unexpected(p, "a digit is missing");
    }
    if (peek(p) == 'e' || peek(p) == 'E') {
        *ret_real = true;
        p->at++;
        p->at += peek(p) == '+' || peek(p) == '-';
        if (digits(p) == 0)
            return unexpected(p, "a digit is missing");
    }
    return true;
}

/* 64 bits with sign; false when it does not fit. */
static bool integer(struct ms_span text, json_int_t *ret_value)
{
    bool negative = text.ptr[0] == '-';
    json_int_t value = 0;

    for (size_t i = negative; i < text.len; i++) {
        json_int_t digit = text.ptr[i] - '0';
        if (__builtin_mul_overflow(value, (json_int_t)10, &value) ||
            __builtin_add_overflow(value, negative ? -digit : digit, &value))
            return false;
    }
    *ret_value = value;
    return true;
}

static json_t *number(struct parser *p)
{
    size_t start = p->at;
    bool real = false;
    json_int_t value = 0;
    json_t *out = NULL;

    if (!number_text(p, &real))
        return NULL;
    struct ms_span text = ms_span_of(p->text.ptr + start, p->at - start);
    if (real) /* whatever the locale says; NULL for what no double holds */
        out = json_loadb((const char *)text.ptr, text.len, JSON_DECODE_ANY, NULL);
    else if (integer(text, &value))
        out = json_integer(value);
    if (out == NULL)
        (void)fail_at(p, start, MS_ERR_JSON,
                      real ? "a number too large" : "an integer of more than 64 bits");
    return out;
}

static json_t *word(struct parser *p)
{
    static const struct {
        const char *text;
        size_t len;
    } words[] = {{"true", 4}, {"false", 5}, {"null", 4}};

    for (size_t i = 0; i < MS_ARRAY_LEN(words); i++) {
        if (!ms_span_starts(rest(p), words[i].text))
            continue;
        p->at += words[i].len;
        return i == 0 ? json_true() : i == 1 ? json_false() : json_null();
    }
    (void)unexpected(p, "no JSON value starts like this");
    return NULL;
}

/* ---- the tree ---- */

static bool attach(struct parser *p, struct ms_span name, json_t *value)
{
    json_t *parent = p->depth > 0 ? p->open[p->depth - 1] : NULL;

    if (value == NULL)
        return fail(p, MS_ERR_MEMORY, NULL); /* or what was said before */
    if (parent == NULL) {
        p->root = value;
        return true;
    }
    int failed =
        json_is_array(parent)
            ? json_array_append_new(parent, value)
            : json_object_setn_new_nocheck(parent, (const char *)name.ptr, name.len, value);
    return failed == 0 || fail(p, MS_ERR_MEMORY, NULL);
}

static bool open_container(struct parser *p, struct ms_span name, bool array)
{
    size_t max =
        p->limits->max_depth < MS_JSON_DEPTH_MAX ? p->limits->max_depth : MS_JSON_DEPTH_MAX;
    json_t *container;

    if (p->depth >= max)
        return fail(p, MS_ERR_DEPTH, "nested too deeply");
    if (!count(p))
        return false;
    container = array ? json_array() : json_object();
    if (!attach(p, name, container))
        return false;
    p->open[p->depth++] = container;
    p->opened = true;
    p->at++;
    return true;
}

/* The value at hand; of a container only its beginning. */
static bool value(struct parser *p, struct ms_span name)
{
    int c = peek(p);
    struct ms_span bytes;

    p->opened = false;
    if (c == '{' || c == '[')
        return open_container(p, name, c == '[');
    if (c == '-' || (c >= '0' && c <= '9'))
        return attach(p, name, number(p));
    if (c != '"')
        return attach(p, name, word(p));
    p->at++;
    return string(p, false, &bytes) &&
           attach(p, name, json_stringn_nocheck((const char *)bytes.ptr, bytes.len));
}

/* `"name": value` of the object at hand. */
static bool member(struct parser *p)
{
    json_t *object = p->open[p->depth - 1];
    struct ms_buf copy = MS_BUF_INIT(p->text.len + 1);
    struct ms_span name;
    size_t start = p->at;
    bool ok = false;

    if (peek(p) != '"')
        return unexpected(p, "a member name is missing");
    p->at++;
    if (!string(p, true, &name))
        return false;
    if ((p->limits->flags & MS_JSON_ALLOW_DUPLICATES) == 0 &&
        json_object_getn(object, (const char *)name.ptr, name.len) != NULL)
        return fail_at(p, start, MS_ERR_JSON_DUPLICATE, "a member name twice");
    skip_space(p);
    if (peek(p) != ':')
        return unexpected(p, "':' is missing");
    p->at++;
    skip_space(p);
    if (name.ptr == p->scratch.ptr && name.len > 0) { /* the value may need scratch, too */
        if (ms_buf_add(&copy, name) != MS_OK)
            return fail(p, MS_ERR_MEMORY, NULL);
        name = ms_buf_span(&copy);
    }
    ok = value(p, name);
    ms_buf_done(&copy);
    return ok;
}

static bool next_element(struct parser *p)
{
    if (json_is_object(p->open[p->depth - 1]))
        return member(p);
    return value(p, (struct ms_span){NULL, 0});
}

/* Behind a value: close what ends here, up to the next element or the end of all. */
static bool after_value(struct parser *p, bool *ret_more)
{
    *ret_more = false;
    while (p->depth > 0) {
        bool array = json_is_array(p->open[p->depth - 1]);
        skip_space(p);
        int c = peek(p);
        if (c == ',') {
            if (!count(p))
                return false;
            p->at++;
            skip_space(p);
            *ret_more = true;
            return true;
        }
        if (c != (array ? ']' : '}'))
            return unexpected(p, array ? "',' or ']' is missing" : "',' or '}' is missing");
        p->at++;
        p->depth--;
    }
    return true;
}

/* Whether the container at hand ends here. */
static bool at_end(struct parser *p)
{
    skip_space(p);
    return peek(p) == (json_is_array(p->open[p->depth - 1]) ? ']' : '}');
}

static bool document(struct parser *p)
{
    bool more = true;

    skip_space(p);
    if (!count(p) || !value(p, (struct ms_span){NULL, 0}))
        return false;
    while (more) {
        bool first = p->opened && !at_end(p);
        if (!first && !after_value(p, &more))
            return false;
        if (more && !next_element(p))
            return false;
    }
    skip_space(p);
    return p->at == p->text.len || unexpected(p, "something stands behind the value");
}

static enum ms_err explain(const struct parser *p, struct ms_diag *diag)
{
    size_t line = 1, start = 0;

    if (p->what == NULL)
        return p->err;
    for (size_t i = 0; i < p->fault_at && i < p->text.len; i++) {
        if (p->text.ptr[i] == '\n') {
            line++;
            start = i + 1;
        }
    }
    size_t column = p->fault_at - start + 1;
    if (diag != NULL && diag->text[0] == '\0') {
        diag->line = line;
        diag->column = column;
    }
    return ms_diag_set(diag, p->err, "JSON: %s (line %zu, column %zu)", p->what, line, column);
}

enum ms_err ms_json_parse(struct ms_span text, const struct ms_json_limits *limits,
                          json_t **ret_root, struct ms_diag *diag)
{
    struct parser p = {.text = text, .limits = limits, .scratch = MS_BUF_INIT(text.len + 1)};

    if (text.len > limits->max_bytes)
        return ms_diag_set(diag, MS_ERR_LIMIT, "JSON: %zu bytes, the limit is %zu", text.len,
                           limits->max_bytes);
    if (text.len == 0)
        return ms_diag_set(diag, MS_ERR_JSON, "JSON: empty text");
    bool ok = document(&p);
    ms_buf_done(&p.scratch);
    if (ok) {
        *ret_root = p.root;
        return MS_OK;
    }
    json_decref(p.root);
    return explain(&p, diag);
}
