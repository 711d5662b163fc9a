/* resolver/source/freshness.h - how long an https location's answer may be used: RFC 9111 as a
 * shared cache, within local limits (ethereum.md 6.2 "https location", 6.3 HTTP). Pure;
 * thread-safe.
 *
 * How we read the places where the texts leave room:
 * - Lifetime: s-maxage, else max-age, else Expires - Date, else the local default. No heuristics.
 * Age is that of RFC 9111 4.2.3, the greater of the apparent one and Age plus the time the request
 * took.
 * - "max-age in [60,3600]": a positive explicit lifetime below min_s is raised to min_s, so that an
 *   origin cannot make us fetch in a loop; FRESHNESS_RAISED tells. Never raised: an answer that is
 *   already stale when it arrives, max-age=0, s-maxage (RFC 9111 5.2.2.10 gives it the meaning of
 *   proxy-revalidate), must-revalidate, proxy-revalidate, no-cache.
 * - An answer that is stale on arrival has no stale-while-revalidate window unless the origin named
 * one.
 * - no-cache also closes both stale windows (RFC 9111 4.2.4: it prohibits stale answers).
 * - no-cache="field" and private="field" count as their unqualified forms (RFC 9111 5.2.2.4 and .7
 * allow it).
 * - Of repeated directives the smallest counts; an invalid or missing number is 0. A list that
 * breaks RFC 9110's grammar makes the answer stale at once with no windows; one that hides its end
 * in an open quoted string is not stored at all. An invalid Expires lies in the past; an invalid
 * Date is absent.
 * - Age: the first member counts, an invalid one is ignored (RFC 9111 5.1).
 * - Statuses other than 200 and 304 are not stored. A 304 must repeat the fields its 200 had (RFC
 * 9110 15.4.5), so it is read by itself. */
#ifndef MS_SOURCE_FRESHNESS_H
#define MS_SOURCE_FRESHNESS_H

#include "resolver/source/source.h"

struct source_freshness_limits { /* seconds */
    int64_t min_s, max_s;        /* F of an explicit lifetime */
    int64_t default_s;           /* F without one */
    int64_t swr_max_s, swr_default_s;
    int64_t sie_max_s, sie_default_s;
    int64_t ceiling_s;
};

/* 6.2: F in [60,3600] else 300, W 60, E 3600, X 86400. */
extern const struct source_freshness_limits source_freshness_location;
/* The same with an operator's numbers. */
struct source_freshness_limits source_freshness_limits_of(const struct source_times *times);
/* Nothing beyond what the origin allows in so many words: no default, no raise, no local windows.
 */
extern const struct source_freshness_limits source_freshness_strict;

enum source_freshness_flag {
    FRESHNESS_EXPLICIT = 1u << 0, /* s-maxage, max-age or Expires was there */
    FRESHNESS_RAISED = 1u << 1,   /* to min_s */
    FRESHNESS_NO_CACHE = 1u << 2,
    FRESHNESS_REVALIDATE =
        1u << 3,                 /* must-revalidate, proxy-revalidate, s-maxage: a hard deadline */
    FRESHNESS_VARY = 1u << 4,    /* on something else than Accept-Encoding: not stored */
    FRESHNESS_INVALID = 1u << 5, /* some field was malformed, the strictest reading was taken */
    FRESHNESS_STATUS = 1u << 6,  /* neither 200 nor 304: not stored */
};

struct source_freshness {
    struct source_lifetime life; /* from response->time_s; age is already taken off */
    int64_t evidence_time_s;     /* Date (not after time_s; time_s without one) - Age */
    unsigned flags;
};

/* Total: every response has an answer.
 *   request_time_s  wall clock when the request was sent; after time_s it counts as equal */
struct source_freshness source_freshness(const struct source_response *response,
                                         int64_t request_time_s,
                                         const struct source_freshness_limits *limits);

/* One HTTP-date in any of the three forms of RFC 9110 5.6.7; names in any case, the day of the week
 * is not checked against the date. Two-digit years are within 50 years of now_s. false: none of
 * them. */
bool source_http_date(struct ms_span text, int64_t now_s, int64_t *ret_time_s);

#define SOURCE_RETRY_AFTER_MIN_S 1
#define SOURCE_RETRY_AFTER_MAX_S 600
/* How long a 429 or 503 asks to be left alone by its Retry-After (RFC 9110 10.2.3: seconds or a
 * date), in [1, 600] s (ethereum.md 6.3); 0 when it does not, or says neither. */
int64_t source_retry_after(const struct source_response *response);

#endif
