/* tests/support/httpcache.h - what the two players of httpcache/cache_tests.json share (http-tests'
 * cache-tests): the pure rules (tests/vectors) and the daemon's own fetch and core
 * (tests/scenario). */
#ifndef MS_TESTS_HTTPCACHE_H
#define MS_TESTS_HTTPCACHE_H

#include "base/arena.h"

#include <jansson.h>

/* IMF-fixdate; in the arena. */
const char *httpcache_date(int64_t time_s, struct ms_arena *arena);
/* Why a case is about something `measured` has not; NULL when it applies. */
const char *httpcache_not_ours(const json_t *one);

#endif
