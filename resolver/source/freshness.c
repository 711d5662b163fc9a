/* resolver/source/freshness.c - RFC 9111 freshness within local limits. */
#include "resolver/source/freshness.h"

#define DELTA_MAX_S INT64_C(2147483648) /* RFC 9111 1.2.2: what greater numbers count as */
#define DAY_S 86400

const struct source_freshness_limits source_freshness_location = {
    .min_s = 60,
    .max_s = 3600,
    .default_s = 300,
    .swr_max_s = 60,
    .swr_default_s = 60,
    .sie_max_s = 3600,
    .sie_default_s = 3600,
    .ceiling_s = DAY_S,
};

struct source_freshness_limits source_freshness_limits_of(const struct source_times *times)
{
    return (struct source_freshness_limits){
        .min_s = times->location_min,
        .max_s = times->location_max,
        .default_s = times->location_default,
        .swr_max_s = times->location_swr,
        .swr_default_s = times->location_swr,
        .sie_max_s = times->location_sie,
        .sie_default_s = times->location_sie,
        .ceiling_s = times->location_max_evidence_age,
    };
}

const struct source_freshness_limits source_freshness_strict = {
    .min_s = 0,
    .max_s = 3600,
    .default_s = 0,
    .swr_max_s = 60,
    .swr_default_s = 0,
    .sie_max_s = 3600,
    .sie_default_s = 0,
    .ceiling_s = DAY_S,
};

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

/* RFC 9110 5.6.2 tchar. */
static bool is_token(uint8_t c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t';
}

static struct ms_span trim(struct ms_span a)
{
    while (a.len > 0 && is_space(a.ptr[0]))
        a = ms_span_sub(a, 1, a.len);
    while (a.len > 0 && is_space(a.ptr[a.len - 1]))
        a.len--;
    return a;
}

/* delta-seconds: digits only, leading zeros allowed, saturated. */
static bool parse_delta(struct ms_span text, int64_t *ret_s)
{
    int64_t value = 0;

    if (text.len == 0)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (!is_digit(text.ptr[i]))
            return false;
        value = value * 10 + (text.ptr[i] - '0');
        if (value > DELTA_MAX_S)
            value = DELTA_MAX_S;
    }
    *ret_s = value;
    return true;
}

/* ---- HTTP-date ---- */
struct date { /* a cursor that stays failed, and what it has read */
    struct ms_span rest;
    bool failed;
    int64_t year, month, day, hour, minute, second; /* month and day from 1 */
};

static void date_byte(struct date *d, char c)
{
    if (d->failed || d->rest.len == 0 || d->rest.ptr[0] != (uint8_t)c)
        d->failed = true;
    else
        d->rest = ms_span_sub(d->rest, 1, d->rest.len);
}

static int64_t date_digits(struct date *d, size_t n, int64_t max)
{
    int64_t value = 0;

    if (d->failed || d->rest.len < n || !parse_delta(ms_span_sub(d->rest, 0, n), &value) ||
        value > max) {
        d->failed = true;
        return 0;
    }
    d->rest = ms_span_sub(d->rest, n, d->rest.len);
    return value;
}

/* Index of the name the text goes on with. */
static int64_t date_name(struct date *d, const char *const *names, size_t n)
{
    for (size_t i = 0; !d->failed && i < n; i++) {
        if (!ms_span_starts_nocase(d->rest, names[i]))
            continue;
        d->rest = ms_span_sub(d->rest, strlen(names[i]), d->rest.len);
        return (int64_t)i;
    }
    d->failed = true;
    return 0;
}

static void date_month(struct date *d)
{
    static const char *const names[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                        "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    d->month = date_name(d, names, MS_ARRAY_LEN(names)) + 1;
}

static void date_clock(struct date *d)
{
    d->hour = date_digits(d, 2, 23);
    date_byte(d, ':');
    d->minute = date_digits(d, 2, 59);
    date_byte(d, ':');
    d->second = date_digits(d, 2, 60); /* a leap second */
}

static void date_gmt(struct date *d)
{
    static const char *const names[] = {" GMT"};
    (void)date_name(d, names, 1);
}

static bool is_leap(int64_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/* Days from 0000-01-01 to the first of January of that year, year >= 0, in the Gregorian calendar.
 */
static int64_t days_before(int64_t year)
{
    int64_t y = year + 399; /* so that the leap days of the years before it come out of divisions */
    return year * 365 + (y / 4 - y / 100 + y / 400) - (399 / 4 - 399 / 100);
}

static bool date_end(const struct date *d, int64_t *ret_time_s)
{
    static const int64_t before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365};

    if (d->failed || d->rest.len != 0)
        return false;
    int64_t leap = is_leap(d->year) ? 1 : 0;
    int64_t in_month = before[d->month] - before[d->month - 1] + (d->month == 2 ? leap : 0);
    if (d->day < 1 || d->day > in_month)
        return false;
    int64_t days = days_before(d->year) - days_before(1970) + before[d->month - 1] +
                   (d->month > 2 ? leap : 0) + d->day - 1;
    *ret_time_s = days * DAY_S + d->hour * 3600 + d->minute * 60 + d->second;
    return true;
}

static const char *const short_days[] = {"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"};

/* Sun, 06 Nov 1994 08:49:37 GMT */
static bool imf_date(struct ms_span text, int64_t *ret_time_s)
{
    struct date d = {.rest = text};

    (void)date_name(&d, short_days, MS_ARRAY_LEN(short_days));
    date_byte(&d, ',');
    date_byte(&d, ' ');
    d.day = date_digits(&d, 2, 31);
    date_byte(&d, ' ');
    date_month(&d);
    date_byte(&d, ' ');
    d.year = date_digits(&d, 4, 9999);
    date_byte(&d, ' ');
    date_clock(&d);
    date_gmt(&d);
    return date_end(&d, ret_time_s);
}

/* Sunday, 06-Nov-94 08:49:37 GMT */
static bool rfc850_date(struct ms_span text, int64_t now_s, int64_t *ret_time_s)
{
    static const char *const days[] = {"Monday", "Tuesday",  "Wednesday", "Thursday",
                                       "Friday", "Saturday", "Sunday"};
    struct date d = {.rest = text};

    (void)date_name(&d, days, MS_ARRAY_LEN(days));
    date_byte(&d, ',');
    date_byte(&d, ' ');
    d.day = date_digits(&d, 2, 31);
    date_byte(&d, '-');
    date_month(&d);
    date_byte(&d, '-');
    int64_t year = date_digits(&d, 2, 99);
    date_byte(&d, ' ');
    date_clock(&d);
    date_gmt(&d);
    /* More than 50 years ahead is the most recent past year with these digits (RFC 9110 5.6.7). */
    int64_t now_year = 1970 + (now_s > 0 ? now_s : 0) / 31556952; /* mean Gregorian year */
    if (now_year > 9900)
        now_year = 9900;
    d.year = now_year / 100 * 100 + year;
    if (d.year > now_year + 50)
        d.year -= 100;
    else if (d.year <= now_year - 50)
        d.year += 100;
    return date_end(&d, ret_time_s);
}

/* Sun Nov  6 08:49:37 1994 */
static bool asctime_date(struct ms_span text, int64_t *ret_time_s)
{
    struct date d = {.rest = text};

    (void)date_name(&d, short_days, MS_ARRAY_LEN(short_days));
    date_byte(&d, ' ');
    date_month(&d);
    date_byte(&d, ' ');
    if (d.rest.len > 0 && d.rest.ptr[0] == ' ') {
        date_byte(&d, ' ');
        d.day = date_digits(&d, 1, 9);
    } else {
        d.day = date_digits(&d, 2, 31);
    }
    date_byte(&d, ' ');
    date_clock(&d);
    date_byte(&d, ' ');
    d.year = date_digits(&d, 4, 9999);
    return date_end(&d, ret_time_s);
}

bool source_http_date(struct ms_span text, int64_t now_s, int64_t *ret_time_s)
{
    text = trim(text);
    return imf_date(text, ret_time_s) || rfc850_date(text, now_s, ret_time_s) ||
           asctime_date(text, ret_time_s);
}

/* ---- Retry-After ---- */

static int64_t clamp_retry(int64_t seconds)
{
    if (seconds < SOURCE_RETRY_AFTER_MIN_S)
        return SOURCE_RETRY_AFTER_MIN_S;
    return seconds > SOURCE_RETRY_AFTER_MAX_S ? SOURCE_RETRY_AFTER_MAX_S : seconds;
}

int64_t source_retry_after(const struct source_response *response)
{
    int64_t seconds = 0, date_s = 0;
    bool asks = response->err == MS_OK && (response->status == 429 || response->status == 503);

    if (!asks || response->header[SOURCE_HEADER_RETRY_AFTER] == NULL)
        return 0;
    struct ms_span text = trim(ms_span_str(response->header[SOURCE_HEADER_RETRY_AFTER]));
    if (parse_delta(text, &seconds))
        return clamp_retry(seconds);
    return source_http_date(text, response->time_s, &date_s)
               ? clamp_retry(date_s - response->time_s)
               : 0;
}

/* ---- Cache-Control ---- */
#define DELTA_NONE (-1)

struct control {
    int64_t max_age_s, s_maxage_s, swr_s, sie_s; /* DELTA_NONE: not there */
    bool no_store, no_cache, revalidate;
    bool invalid; /* a number that is none */
    bool broken;  /* the list itself breaks the grammar */
};

static void set_delta(struct control *control, int64_t *delta_s, struct ms_span value)
{
    int64_t got = 0;

    if (!parse_delta(value, &got)) {
        control->invalid = true;
        got = 0;
    }
    if (*delta_s == DELTA_NONE || got < *delta_s)
        *delta_s = got;
}

static void directive(struct control *control, struct ms_span name, struct ms_span value)
{
    if (ms_span_eq_str_nocase(name, "max-age"))
        set_delta(control, &control->max_age_s, value);
    else if (ms_span_eq_str_nocase(name, "s-maxage"))
        set_delta(control, &control->s_maxage_s, value);
    else if (ms_span_eq_str_nocase(name, "stale-while-revalidate"))
        set_delta(control, &control->swr_s, value);
    else if (ms_span_eq_str_nocase(name, "stale-if-error"))
        set_delta(control, &control->sie_s, value);
    else if (ms_span_eq_str_nocase(name, "no-store") || ms_span_eq_str_nocase(name, "private"))
        control->no_store = true;
    else if (ms_span_eq_str_nocase(name, "no-cache"))
        control->no_cache = true;
    else if (ms_span_eq_str_nocase(name, "must-revalidate") ||
             ms_span_eq_str_nocase(name, "proxy-revalidate"))
        control->revalidate = true;
}

static struct ms_span take_token(struct ms_span *rest)
{
    size_t n = 0;
    while (n < rest->len && is_token(rest->ptr[n]))
        n++;
    struct ms_span token = ms_span_sub(*rest, 0, n);
    *rest = ms_span_sub(*rest, n, rest->len);
    return token;
}

/* rest starts with '"'. Gives what stands between the quotes, escapes as written: no directive we
 * know has a value with one. false when the string has no end; rest is then empty. */
static bool take_quoted(struct ms_span *rest, struct ms_span *ret_value)
{
    for (size_t i = 1; i < rest->len; i++) {
        if (rest->ptr[i] == '\\') {
            i++;
            continue;
        }
        if (rest->ptr[i] != '"')
            continue;
        *ret_value = ms_span_sub(*rest, 1, i - 1);
        *rest = ms_span_sub(*rest, i + 1, rest->len);
        return true;
    }
    *rest = ms_span_sub(*rest, rest->len, 0);
    return false;
}

/* Up to the next comma outside quotes; whether there was nothing but white space before it. */
static bool skip_to_comma(struct ms_span *rest, struct control *control)
{
    struct ms_span ignored;
    bool clean = true;

    while (rest->len > 0 && rest->ptr[0] != ',') {
        clean = clean && is_space(rest->ptr[0]);
        if (rest->ptr[0] != '"')
            *rest = ms_span_sub(*rest, 1, rest->len);
        else if (!take_quoted(rest, &ignored))
            control->no_store = true; /* whatever stands in there */
    }
    return clean;
}

/* 1#( token [ "=" ( token / quoted-string ) ] ), empty elements allowed (RFC 9110 5.6.1). */
static struct control parse_control(struct ms_span rest)
{
    struct control control = {DELTA_NONE, DELTA_NONE, DELTA_NONE, DELTA_NONE, false,
                              false,      false,      false,      false};

    while (rest.len > 0) {
        if (rest.ptr[0] == ',' || is_space(rest.ptr[0])) {
            rest = ms_span_sub(rest, 1, rest.len);
            continue;
        }
        struct ms_span name = take_token(&rest), value = {0};
        bool good = name.len > 0;
        if (good && rest.len > 0 && rest.ptr[0] == '=') {
            rest = ms_span_sub(rest, 1, rest.len);
            if (rest.len > 0 && rest.ptr[0] == '"') {
                good = take_quoted(&rest, &value);
                control.no_store = control.no_store || !good;
            } else {
                value = take_token(&rest);
                good = value.len > 0;
            }
        }
        if (!skip_to_comma(&rest, &control) || !good)
            control.broken = true;
        directive(&control, name,
                  value); /* also of a broken element: it can only make us stricter */
    }
    return control;
}

/* ---- the other fields ---- */
static bool vary_allows(struct ms_span rest)
{
    while (rest.len > 0) {
        size_t comma = ms_span_find(rest, ',');
        struct ms_span name = trim(ms_span_sub(rest, 0, comma));
        if (name.len > 0 && !ms_span_eq_str_nocase(name, "accept-encoding"))
            return false;
        rest = ms_span_sub(rest, comma + 1, rest.len);
    }
    return true;
}

/* The first member without parameters; 0 when that is no number. */
static int64_t parse_age(struct ms_span text, bool *ret_invalid)
{
    struct ms_span first = trim(ms_span_sub(text, 0, ms_span_find(text, ',')));
    int64_t age_s = 0;

    first = trim(ms_span_sub(first, 0, ms_span_find(first, ';')));
    *ret_invalid = text.ptr != NULL && !parse_delta(first, &age_s);
    return age_s;
}

static struct ms_span field(const struct source_response *response, enum source_header header)
{
    return ms_span_str(response->header[header]);
}

static int64_t min64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t max64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

struct times {
    int64_t date_s; /* Date, or time_s without a good one */
    int64_t age_header_s;
    int64_t age_s; /* RFC 9111 4.2.3 corrected_initial_age */
};

static struct times read_times(const struct source_response *response, int64_t request_time_s,
                               unsigned *flags)
{
    struct times t = {.date_s = response->time_s};
    struct ms_span date = field(response, SOURCE_HEADER_DATE);
    bool invalid = false;

    if (date.ptr != NULL && !source_http_date(date, response->time_s, &t.date_s))
        *flags |= FRESHNESS_INVALID;
    t.age_header_s = parse_age(field(response, SOURCE_HEADER_AGE), &invalid);
    if (invalid)
        *flags |= FRESHNESS_INVALID;
    int64_t delay_s = max64(0, response->time_s - min64(request_time_s, response->time_s));
    t.age_s = max64(max64(0, response->time_s - t.date_s), t.age_header_s + delay_s);
    return t;
}

/* The explicit lifetime, or DELTA_NONE. */
static int64_t explicit_lifetime(const struct source_response *response,
                                 const struct control *control, const struct times *t,
                                 unsigned *flags)
{
    struct ms_span expires = field(response, SOURCE_HEADER_EXPIRES);
    int64_t expires_s = 0;

    if (control->s_maxage_s != DELTA_NONE)
        return control->s_maxage_s;
    if (control->max_age_s != DELTA_NONE)
        return control->max_age_s;
    if (expires.ptr == NULL)
        return DELTA_NONE;
    if (!source_http_date(expires, response->time_s, &expires_s)) {
        *flags |= FRESHNESS_INVALID;
        return 0;
    }
    return max64(0, expires_s - t->date_s);
}

/* F: what remains of the lifetime, within the limits. */
static int64_t fresh_for(int64_t lifetime_s, int64_t age_s,
                         const struct source_freshness_limits *limits, unsigned *flags)
{
    if (lifetime_s == DELTA_NONE)
        return max64(0, limits->default_s - age_s);
    *flags |= FRESHNESS_EXPLICIT;
    if (lifetime_s <= age_s)
        return 0;
    if (lifetime_s < limits->min_s && (*flags & FRESHNESS_REVALIDATE) == 0) {
        *flags |= FRESHNESS_RAISED;
        lifetime_s = limits->min_s;
    }
    return min64(lifetime_s - age_s, limits->max_s);
}

static int64_t window(int64_t directive_s, int64_t default_s, int64_t max_s)
{
    return directive_s == DELTA_NONE ? default_s : min64(directive_s, max_s);
}

struct source_freshness source_freshness(const struct source_response *response,
                                         int64_t request_time_s,
                                         const struct source_freshness_limits *limits)
{
    struct source_freshness out = {.life = {.ceiling_s = limits->ceiling_s}};
    struct control control = parse_control(field(response, SOURCE_HEADER_CACHE_CONTROL));
    struct times t = read_times(response, request_time_s, &out.flags);

    out.evidence_time_s = min64(t.date_s, response->time_s) - t.age_header_s;
    out.life.no_store = control.no_store;
    if (control.invalid || control.broken)
        out.flags |= FRESHNESS_INVALID;
    if (control.no_cache)
        out.flags |= FRESHNESS_NO_CACHE;
    if (control.revalidate || control.s_maxage_s != DELTA_NONE)
        out.flags |= FRESHNESS_REVALIDATE;
    if (!vary_allows(field(response, SOURCE_HEADER_VARY))) {
        out.flags |= FRESHNESS_VARY;
        out.life.no_store = true;
    }
    if (response->status != 200 && response->status != 304) {
        out.flags |= FRESHNESS_STATUS;
        out.life.no_store = true;
    }
    int64_t lifetime_s = explicit_lifetime(response, &control, &t, &out.flags);
    if (out.life.no_store || control.no_cache || control.broken)
        return out;
    out.life.fresh_s = fresh_for(lifetime_s, t.age_s, limits, &out.flags);
    if ((out.flags & FRESHNESS_REVALIDATE) != 0)
        return out;
    out.life.swr_s =
        window(control.swr_s, out.life.fresh_s > 0 ? limits->swr_default_s : 0, limits->swr_max_s);
    out.life.sie_s = window(control.sie_s, limits->sie_default_s, limits->sie_max_s);
    return out;
}
