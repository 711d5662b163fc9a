/* fuzz/fuzz_freshness.c - seven header fields, one a line, in the order of enum source_header. */
#include "resolver/source/freshness.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

static void check(const struct source_response *response,
                  const struct source_freshness_limits *limits)
{
    struct source_freshness got = source_freshness(response, response->time_s - 1, limits);

    must(got.life.fresh_s >= 0 && got.life.fresh_s <= limits->max_s);
    must(got.life.swr_s >= 0 && got.life.swr_s <= limits->swr_max_s);
    must(got.life.sie_s >= 0 && got.life.sie_s <= limits->sie_max_s);
    must(got.evidence_time_s <= response->time_s);
    if (got.life.no_store || (got.flags & FRESHNESS_NO_CACHE) != 0)
        must(got.life.fresh_s == 0 && got.life.swr_s == 0 && got.life.sie_s == 0);
    if ((got.flags & FRESHNESS_REVALIDATE) != 0)
        must(got.life.swr_s == 0 && got.life.sie_s == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct source_response response = {.status = 200, .time_s = 1700000000};
    struct ms_arena arena = MS_ARENA_INIT((size_t)1 << 22);
    struct ms_span rest = ms_span_of(data, size);

    for (size_t i = 0; i <= SOURCE_HEADER_VARY && rest.len > 0; i++) {
        size_t end = ms_span_find(rest, '\n');
        if (end > 0)
            response.header[i] = ms_arena_strdup(&arena, ms_span_sub(rest, 0, end));
        rest = ms_span_sub(rest, end + 1, rest.len);
    }
    check(&response, &source_freshness_location);
    check(&response, &source_freshness_strict);
    ms_arena_done(&arena);
    return 0;
}
