/* tests/support/tools/rpcliar.h - shared by the two halves of rpcliar: lies in JSON and lies in
 * HTTP. */
#ifndef RPCLIAR_H
#define RPCLIAR_H

#include "base/buf.h"

#include <jansson.h>

#define LIES_MAX 16
#define LIE_WORDS 4

struct lie { /* one line of the control file; words beyond the name may be NULL */
    char *name;
    char *word[LIE_WORDS];
};

struct control {
    size_t n;
    struct lie lies[LIES_MAX];
};

_Noreturn void die(const char *what, const char *text);

/* NULL when this lie is not told now. */
const struct lie *lie_find(const struct control *control, const char *name);
/* As a number, for lies that take one; `fallback` without it. */
uint64_t lie_number(const struct lie *lie, size_t word, uint64_t fallback);

/* POST `body` to http://127.0.0.1:PORT/...; false when there is no answer. */
bool upstream_post(const char *url, struct ms_span body, struct ms_buf *ret_body);

/* The answer (new reference) to a message of the client, an object or an array; NULL for silence.
 */
json_t *answer_message(const struct control *control, const char *upstream, const json_t *message);

#endif
