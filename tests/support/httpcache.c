/* tests/support/httpcache.c - which cases apply, and dates. */
#include "tests/support/httpcache.h"

#include "tests/support/vectors.h"

#include <stdio.h>
#include <time.h>

const char *httpcache_date(int64_t time_s, struct ms_arena *arena)
{
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    time_t when = (time_t)time_s;
    struct tm *tm = gmtime(&when);
    char text[64];
    (void)snprintf(text, sizeof(text), "%.3s, %02d %.3s %04d %02d:%02d:%02d GMT",
                   days + 3 * tm->tm_wday, tm->tm_mday, months + 3 * tm->tm_mon, tm->tm_year + 1900,
                   tm->tm_hour, tm->tm_min, tm->tm_sec);
    return ms_arena_strdup(arena, ms_span_str(text));
}

const char *httpcache_not_ours(const json_t *c)
{
    static const struct {
        const char *prefix, *why;
    } suites[] = {
        {"headers-store-", "about stored header fields: measured serves records, not responses"},
        {"304-etag-update", "about stored header fields: measured serves records, not responses"},
        {"partial-", "about ranges: measured asks for none"},
        {"interim-", "about 1xx answers: the HTTP library drops them"},
        {"pragma-", "Pragma is deprecated (RFC 9111 5.4) and not read"},
        {"other-age-delay", "about the Age field of a proxy's own answers"},
    };
    const json_t *requests = json_object_get(c, "requests"), *request;
    bool vary = ms_span_starts(ms_span_str(vec_str(c, "id")), "vary-");
    size_t i;

    if (json_is_true(json_object_get(c, "browser_only")))
        return "browser_only";
    if (json_is_true(json_object_get(c, "cdn_only")))
        return "cdn_only";
    for (size_t k = 0; k < MS_ARRAY_LEN(suites); k++)
        if (ms_span_starts(ms_span_str(vec_str(c, "id")), suites[k].prefix))
            return suites[k].why;
    json_array_foreach(requests, i, request)
    {
        const char *method = vec_str(request, "request_method");
        if (method != NULL && strcmp(method, "GET") != 0)
            return "another method: measured only sends GET";
        if (!vary && json_object_get(request, "request_headers") != NULL)
            return "about request header fields: measured's GET is always the same";
    }
    return NULL;
}
