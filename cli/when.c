/* cli/when.c - dates of the proleptic Gregorian calendar. */
#include "cli/when.h"

#include <inttypes.h>
#include <stdio.h>

#define DAY_S 86400
#define YEAR_MAX 9999
/* 10000-01-01T00:00:00Z: date -u -d 10000-01-01 +%s */
#define END_S UINT64_C(253402300800)

/* Days from 1970-01-01 to a day; years counted from March, so that the leap day is the last one. */
static int64_t days_of(int64_t year, int64_t month, int64_t day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era_years = y % 400, m = (month + 9) % 12;
    int64_t day_of_era =
        era_years * 365 + era_years / 4 - era_years / 100 + (153 * m + 2) / 5 + day - 1;

    return y / 400 * 146097 + day_of_era - 719468;
}

static int64_t month_days(int64_t year, int64_t month)
{
    int64_t next = month == 12 ? days_of(year + 1, 1, 1) : days_of(year, month + 1, 1);
    return next - days_of(year, month, 1);
}

struct cursor {
    struct ms_span rest;
    bool bad;
};

/* Exactly n digits. */
static int64_t digits(struct cursor *c, size_t n)
{
    int64_t value = 0;

    c->bad = c->bad || c->rest.len < n;
    for (size_t i = 0; !c->bad && i < n; i++) {
        uint8_t digit = c->rest.ptr[i];
        c->bad = digit < '0' || digit > '9';
        value = value * 10 + (digit - '0');
    }
    if (!c->bad)
        c->rest = ms_span_sub(c->rest, n, c->rest.len);
    return value;
}

/* One of the characters, taken; 0 when none of them stands there. */
static char one_of(struct cursor *c, const char *chars)
{
    char at = '\0';

    if (!c->bad && c->rest.len > 0)
        at = (char)c->rest.ptr[0];
    if (at == '\0' || strchr(chars, at) == NULL) {
        c->bad = true;
        return '\0';
    }
    c->rest = ms_span_sub(c->rest, 1, c->rest.len);
    return at;
}

/* "Z" or "+hh:mm": what local time is ahead of UTC, in seconds. */
static int64_t offset(struct cursor *c, bool *ret_in_range)
{
    char sign = one_of(c, "Zz+-");
    if (sign == 'Z' || sign == 'z' || sign == '\0')
        return 0;
    int64_t hours = digits(c, 2);
    (void)one_of(c, ":");
    int64_t minutes = digits(c, 2);
    *ret_in_range = *ret_in_range && hours <= 23 && minutes <= 59;
    return (sign == '-' ? -1 : 1) * (hours * 3600 + minutes * 60);
}

enum ms_err when_parse(struct ms_span text, uint64_t *ret_s)
{
    struct cursor c = {.rest = text};
    int64_t hour = 0, minute = 0, second = 0, ahead = 0;
    bool in_range = true;

    if (ms_span_u64(text, ret_s))
        return MS_OK;
    int64_t year = digits(&c, 4);
    (void)one_of(&c, "-");
    int64_t month = digits(&c, 2);
    (void)one_of(&c, "-");
    int64_t day = digits(&c, 2);
    if (!c.bad && c.rest.len > 0) {
        (void)one_of(&c, "Tt ");
        hour = digits(&c, 2);
        (void)one_of(&c, ":");
        minute = digits(&c, 2);
        (void)one_of(&c, ":");
        second = digits(&c, 2);
        ahead = offset(&c, &in_range);
    }
    if (c.bad || c.rest.len > 0)
        return MS_ERR_SYNTAX;
    if (!in_range || year < 1970 || month < 1 || month > 12 || day < 1 ||
        day > month_days(year, month) || hour > 23 || minute > 59 || second > 59)
        return MS_ERR_RANGE;
    int64_t unix_s = days_of(year, month, day) * DAY_S + hour * 3600 + minute * 60 + second - ahead;
    if (unix_s < 0)
        return MS_ERR_RANGE;
    *ret_s = (uint64_t)unix_s;
    return MS_OK;
}

void when_text(uint64_t unix_s, char out[WHEN_TEXT])
{
    if (unix_s >= END_S) {
        (void)snprintf(out, WHEN_TEXT, "after the year %d", YEAR_MAX);
        return;
    }
    int64_t days = (int64_t)(unix_s / DAY_S), rest = (int64_t)(unix_s % DAY_S);
    int64_t year = 1970 + days / 366, month = 1; /* never too late */
    while (days_of(year + 1, 1, 1) <= days)
        year++;
    while (month < 12 && days_of(year, month + 1, 1) <= days)
        month++;
    int64_t day = days - days_of(year, month, 1) + 1;
    char raw[8 * WHEN_TEXT]; /* what the compiler thinks numbers may need */
    (void)snprintf(raw, sizeof(raw),
                   "%04" PRId64 "-%02" PRId64 "-%02" PRId64 "T%02" PRId64 ":%02" PRId64
                   ":%02" PRId64 "Z",
                   year, month, day, rest / 3600, rest / 60 % 60, rest % 60);
    (void)snprintf(out, WHEN_TEXT, "%.*s", WHEN_TEXT - 1, raw);
}
