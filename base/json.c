/* base/json.c - strict JSON over jansson. */
#include "base/json.h"

static enum ms_err fault(struct ms_diag *diag, enum ms_err err, size_t line, size_t column,
                         const char *what)
{
    if (diag != NULL && diag->text[0] == '\0') {
        diag->line = line;
        diag->column = column;
    }
    return ms_diag_set(diag, err, "JSON: %s (line %zu, column %zu)", what, line, column);
}

/* Depth and number of values, by bytes outside strings, and NUL bytes: what would be costly or
 * misread never reaches the parser. Other text that is not JSON may pass; the parser refuses it. */
static enum ms_err scan(struct ms_span text, const struct ms_json_limits *limits,
                        struct ms_diag *diag)
{
    size_t depth = 0, values = 1, line = 1, start = 0;
    size_t max_depth =
        limits->max_depth < MS_JSON_DEPTH_MAX ? limits->max_depth : MS_JSON_DEPTH_MAX;
    bool in_string = false;

    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        if (c == '\0') /* jansson drops one that it has to put back, as behind a number */
            return fault(diag, MS_ERR_JSON, line, i - start + 1, "a NUL byte");
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
            continue;
        }
        if (c == '\n') {
            line++;
            start = i + 1;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '[' || c == '{') {
            values++;
            if (++depth > max_depth)
                return fault(diag, MS_ERR_DEPTH, line, i - start + 1, "nested too deeply");
        } else if (c == ']' || c == '}') {
            depth -= depth > 0;
        } else if (c == ',') {
            values++;
        }
        if (values > limits->max_values)
            return fault(diag, MS_ERR_LIMIT, line, i - start + 1, "too many values");
    }
    return MS_OK;
}

static enum ms_err from_jansson(const json_error_t *error, struct ms_diag *diag)
{
    size_t line = error->line > 0 ? (size_t)error->line : 1;
    size_t column = error->column > 0 ? (size_t)error->column : 1;
    enum ms_err err = MS_ERR_JSON;

    switch (json_error_code(error)) {
    case json_error_out_of_memory:
        return MS_ERR_MEMORY;
    case json_error_duplicate_key:
        err = MS_ERR_JSON_DUPLICATE;
        break;
    case json_error_invalid_utf8:
        err = MS_ERR_UTF8;
        break;
    case json_error_unknown:
    case json_error_cannot_open_file:
    case json_error_stack_overflow:
    case json_error_invalid_argument:
    case json_error_premature_end_of_input:
    case json_error_end_of_input_expected:
    case json_error_invalid_syntax:
    case json_error_invalid_format:
    case json_error_wrong_type:
    case json_error_null_character:
    case json_error_null_value:
    case json_error_null_byte_in_key:
    case json_error_numeric_overflow:
    case json_error_item_not_found:
    case json_error_index_out_of_range:
        break;
    }
    return fault(diag, err, line, column, error->text);
}

/* jansson's member names are C strings. Who asked for U+0000 gets U+FFFD in its place there, and
 * then in every string: RFC 8259 allows the text, so it parses. */
static json_t *load_names_with_nul(struct ms_span text, size_t flags, json_error_t *error)
{
    static const char nul[] = "\\u0000", shown[] = "\\ufffd";
    struct ms_buf copy = MS_BUF_INIT(text.len);
    json_t *root = NULL;

    if (ms_buf_add(&copy, text) != MS_OK)
        return NULL;
    for (size_t i = 0; i < copy.len; i++) {
        if (copy.ptr[i] != '\\')
            continue;
        if (ms_span_starts(ms_span_sub(ms_buf_span(&copy), i, copy.len), nul))
            memcpy(copy.ptr + i, shown, sizeof(shown) - 1);
        i++; /* what is escaped starts no escape of its own */
    }
    root = json_loadb((const char *)copy.ptr, copy.len, flags, error);
    ms_buf_done(&copy);
    return root;
}

enum ms_err ms_json_parse(struct ms_span text, const struct ms_json_limits *limits,
                          json_t **ret_root, struct ms_diag *diag)
{
    if (text.len > limits->max_bytes)
        return ms_diag_set(diag, MS_ERR_LIMIT, "JSON: %zu bytes, the limit is %zu", text.len,
                           limits->max_bytes);
    if (text.len == 0)
        return ms_diag_set(diag, MS_ERR_JSON, "JSON: empty text");
    enum ms_err err = scan(text, limits, diag);
    if (err != MS_OK)
        return err;

    json_error_t error;
    size_t flags = JSON_DECODE_ANY;
    if ((limits->flags & MS_JSON_ALLOW_DUPLICATES) == 0)
        flags |= JSON_REJECT_DUPLICATES;
    if ((limits->flags & MS_JSON_ALLOW_NUL) != 0)
        flags |= JSON_ALLOW_NUL;
    json_t *root = json_loadb((const char *)text.ptr, text.len, flags, &error);
    if (root == NULL && (flags & JSON_ALLOW_NUL) != 0 &&
        json_error_code(&error) == json_error_null_byte_in_key)
        root = load_names_with_nul(text, flags, &error);
    if (root == NULL)
        return from_jansson(&error, diag);
    *ret_root = root;
    return MS_OK;
}

static int add_piece(const char *piece, size_t len, void *arg)
{
    return ms_buf_add(arg, ms_span_of(piece, len)) == MS_OK ? 0 : -1;
}

static enum ms_err dump(const json_t *root, size_t flags, struct ms_buf *out)
{
    if (json_dump_callback(root, add_piece, out, flags | JSON_ENCODE_ANY) != 0)
        return ms_buf_err(out) != MS_OK ? ms_buf_err(out) : MS_ERR_MEMORY;
    return MS_OK;
}

enum ms_err ms_json_dump(const json_t *root, struct ms_buf *out)
{
    return dump(root, JSON_COMPACT | JSON_SORT_KEYS, out);
}

enum ms_err ms_json_print(const json_t *root, bool pretty, struct ms_buf *out)
{
    return dump(root, pretty ? JSON_INDENT(2) : JSON_COMPACT, out);
}

enum ms_err ms_json_add_string(struct ms_buf *out, struct ms_span text)
{
    (void)ms_buf_add_byte(out, '"');
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        if (c == '"' || c == '\\')
            (void)ms_buf_addf(out, "\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            (void)ms_buf_addf(out, "\\u%04x", c);
        else
            (void)ms_buf_add_byte(out, c);
    }
    return ms_buf_add_byte(out, '"');
}

struct ms_span ms_json_member_str(const json_t *object, const char *name)
{
    const json_t *member = json_object_get(object, name);
    if (!json_is_string(member))
        return (struct ms_span){NULL, 0};
    return ms_span_of(json_string_value(member), json_string_length(member));
}
