/* tests/support/sets.h - signed sets and a root, with the worthless keys of sign.h. Aborts when
 * something does not work. */
#ifndef MS_TESTS_SETS_H
#define MS_TESTS_SETS_H

#include "base/buf.h"
#include "eth/keccak.h"

#include <jansson.h>

#define SETS_NOW_S 1770000000

struct sets_made {
    uint64_t sequence;
    struct eth_hash hash, previous;
    struct ms_buf text; /* owned */
};

/* Of no release, issued at SETS_NOW_S - 100000 + 1000 * sequence, valid for a week. `by` is a
 * string of keys, "\xa1\xb2". */
struct sets_made sets_make(const char *app, uint64_t sequence, const struct eth_hash *previous,
                           const char *by);
/* What an answer carries: root 1, with 2 of b2 c3 d4 after the 2 of a1 b2 c3 of sets_spec, signed
 * by these. New reference. */
json_t *sets_carry(const char *by);
/* "2of3:..." of the keys a1 b2 c3, and this behind it. Static storage. */
const char *sets_spec(const char *options);

#endif
