/* base/json.c - JSON text from jansson trees, and what is asked of them. */
#include "base/json.h"

#include <stdlib.h>

/* ---- sorted and compact ----
 * Evidence is long strings; they are added as wholes, where jansson's printer looks at one
 * character at a time. The bytes are the same. */

static void dump_escape(struct ms_buf *out, uint8_t c)
{
    static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
    const char *found = c == '\0' ? NULL : strchr(from, c);

    if (found != NULL)
        (void)ms_buf_addf(out, "\\%c", to[found - from]);
    else
        (void)ms_buf_addf(out, "\\u%04X", c);
}

static void dump_string(struct ms_span text, struct ms_buf *out)
{
    size_t start = 0;

    (void)ms_buf_add_byte(out, '"');
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        (void)ms_buf_add(out, ms_span_sub(text, start, i - start));
        dump_escape(out, c);
        start = i + 1;
    }
    (void)ms_buf_add(out, ms_span_sub(text, start, text.len));
    (void)ms_buf_add_byte(out, '"');
}

struct dump_member {
    struct ms_span name;
    const json_t *value;
};

static int by_name(const void *a, const void *b)
{
    const struct dump_member *left = a, *right = b;
    return ms_span_cmp(left->name, right->name);
}

static enum ms_err dump_value(const json_t *value, struct ms_buf *out);

static enum ms_err dump_members(struct dump_member *members, size_t n, struct ms_buf *out)
{
    enum ms_err err = ms_buf_add_byte(out, '{');

    qsort(members, n, sizeof(members[0]), by_name);
    for (size_t i = 0; err == MS_OK && i < n; i++) {
        if (i > 0)
            (void)ms_buf_add_byte(out, ',');
        dump_string(members[i].name, out);
        (void)ms_buf_add_byte(out, ':');
        err = dump_value(members[i].value, out);
    }
    return err == MS_OK ? ms_buf_add_byte(out, '}') : err;
}

static enum ms_err dump_object(const json_t *value, struct ms_buf *out)
{
    json_t *object =
        (json_t *)(uintptr_t)value; /* jansson's iterators want it so; nothing is changed */
    size_t n = 0, size = json_object_size(object);
    struct dump_member few[16], *members = few;

    if (size > MS_ARRAY_LEN(few))
        members = calloc(size, sizeof(members[0]));
    if (members == NULL)
        return MS_ERR_MEMORY;
    for (void *i = json_object_iter(object); i != NULL; i = json_object_iter_next(object, i))
        members[n++] = (struct dump_member){
            .name = ms_span_of(json_object_iter_key(i), json_object_iter_key_len(i)),
            .value = json_object_iter_value(i)};
    enum ms_err err = dump_members(members, n, out);
    if (members != few)
        free(members);
    return err;
}

static enum ms_err dump_array(const json_t *array, struct ms_buf *out)
{
    enum ms_err err = ms_buf_add_byte(out, '[');

    for (size_t i = 0; err == MS_OK && i < json_array_size(array); i++) {
        if (i > 0)
            (void)ms_buf_add_byte(out, ',');
        err = dump_value(json_array_get(array, i), out);
    }
    return err == MS_OK ? ms_buf_add_byte(out, ']') : err;
}

static int add_piece(const char *piece, size_t len, void *arg)
{
    return ms_buf_add(arg, ms_span_of(piece, len)) == MS_OK ? 0 : -1;
}

static enum ms_err print(const json_t *root, size_t flags, struct ms_buf *out)
{
    if (json_dump_callback(root, add_piece, out, flags | JSON_ENCODE_ANY) != 0)
        return ms_buf_err(out) != MS_OK ? ms_buf_err(out) : MS_ERR_MEMORY;
    return MS_OK;
}

/* The recursion follows the value, whose depth the parser has bounded. */
static enum ms_err dump_value(const json_t *value, struct ms_buf *out)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return dump_object(value, out);
    case JSON_ARRAY:
        return dump_array(value, out);
    case JSON_STRING:
        dump_string(ms_span_of(json_string_value(value), json_string_length(value)), out);
        return ms_buf_err(out);
    case JSON_INTEGER:
        return ms_buf_addf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    case JSON_REAL:
        return print(value, JSON_COMPACT, out);
    case JSON_TRUE:
        return ms_buf_add_str(out, "true");
    case JSON_FALSE:
        return ms_buf_add_str(out, "false");
    case JSON_NULL:
        return ms_buf_add_str(out, "null");
    }
    return MS_ERR_JSON;
}

enum ms_err ms_json_dump(const json_t *root, struct ms_buf *out)
{
    return root == NULL ? MS_ERR_MEMORY : dump_value(root, out);
}

enum ms_err ms_json_print(const json_t *root, bool pretty, struct ms_buf *out)
{
    return print(root, pretty ? JSON_INDENT(2) : JSON_COMPACT, out);
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

json_t *ms_json_hex(struct ms_span bytes)
{
    struct ms_buf hex = MS_BUF_INIT(2 * bytes.len + 3);

    (void)ms_buf_add_str(&hex, "0x");
    (void)ms_buf_add_hex(&hex, bytes);
    const char *text = ms_buf_str(&hex);
    json_t *json = text == NULL ? NULL : json_string(text);
    ms_buf_done(&hex);
    return json;
}

struct ms_span ms_json_member_str(const json_t *object, const char *name)
{
    const json_t *member = json_object_get(object, name);
    if (!json_is_string(member))
        return (struct ms_span){NULL, 0};
    return ms_span_of(json_string_value(member), json_string_length(member));
}
