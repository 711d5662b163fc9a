/* base/json.h - strict JSON (RFC 8259) as jansson trees, for hostile bytes: size, depth and number
 * of values are bounded while a tree is built; duplicate member names and U+0000 are refused unless
 * asked for; invalid UTF-8, a byte order mark, lone surrogates and trailing bytes always. Pure. */
#ifndef MS_BASE_JSON_H
#define MS_BASE_JSON_H

#include "base/buf.h"

#include <jansson.h>

enum ms_json_flag {
    MS_JSON_ALLOW_DUPLICATES = 1u << 0, /* last one wins; only for conformance tests */
    MS_JSON_ALLOW_NUL = 1u << 1,        /* \u0000 in strings: use json_string_length; in a
                                         * member name it is read as U+FFFD */
};

struct ms_json_limits {
    size_t max_bytes;
    size_t max_depth;  /* nested arrays and objects; at most MS_JSON_DEPTH_MAX */
    size_t max_values; /* bound of arrays, objects, members and elements together */
    unsigned flags;
};

#define MS_JSON_DEPTH_MAX 512 /* jansson frees and prints a tree by recursion */

/* Whole text to a new tree (json_decref it). Any JSON value may stand at the top.
 * MS_ERR_LIMIT too long or too many values, MS_ERR_DEPTH, MS_ERR_JSON_DUPLICATE, MS_ERR_UTF8,
 * MS_ERR_JSON otherwise; line, column and cause in diag. */
MS_MUST_USE enum ms_err ms_json_parse(struct ms_span text, const struct ms_json_limits *limits,
                                      json_t **ret_root, struct ms_diag *diag);

/* Compact text with sorted member names, appended: equal values give equal bytes. */
MS_MUST_USE enum ms_err ms_json_dump(const json_t *root, struct ms_buf *out);
/* The same, in member order, indented by two when `pretty`. */
MS_MUST_USE enum ms_err ms_json_print(const json_t *root, bool pretty, struct ms_buf *out);

/* Append text as a JSON string with its quotes. Text must be valid UTF-8; control characters are
 * escaped. */
enum ms_err ms_json_add_string(struct ms_buf *out, struct ms_span text);

/* "0x" and lower-case digits as a new JSON string; NULL when memory is short. */
json_t *ms_json_hex(struct ms_span bytes);

/* A string member as a span (borrowed from the tree); the empty span with ptr NULL when the member
 * is missing or no string. */
struct ms_span ms_json_member_str(const json_t *object, const char *name);

#endif
