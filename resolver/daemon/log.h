/* resolver/daemon/log.h - lines on stderr: `level area: event key=value ...`.
 *
 * syslog's levels; the prefix "<N>" of sd-daemon(3) only when the journal reads stderr. Values are
 * untrusted: everything outside printable ASCII is escaped, what needs quotes gets them, long ones
 * are cut. Level, area, event and key come from our own code. Of one area and event only so many
 * lines a minute are written; the rest is counted and told in one line when the minute is over.
 * URLs of RPC endpoints, keys and tokens are never passed in here. Thread-safe; one write(2) a
 * line. */
#ifndef MS_LOG_H
#define MS_LOG_H

#include "base/err.h"
#include "base/span.h"

#define LOG_LINE_MAX 2048u /* bytes, newline included */
#define LOG_VALUE_MAX 512u /* bytes of one value as it is printed */
#define LOG_PER_MINUTE 10u

enum log_level { /* numbers of syslog(3) */
                 LOG_LEVEL_ERROR = 3,
                 LOG_LEVEL_WARNING = 4,
                 LOG_LEVEL_NOTICE = 5,
                 LOG_LEVEL_INFO = 6,
                 LOG_LEVEL_DEBUG = 7,
};

enum log_kind { LOG_KIND_NONE = 0, LOG_KIND_SPAN, LOG_KIND_SIGNED, LOG_KIND_UNSIGNED };

struct log_field {
    const char *key;
    enum log_kind kind;
    struct ms_span text;
    int64_t i;
    uint64_t u;
};

struct log_config {
    int fd;                   /* where lines go; 2 */
    bool journal;             /* write "<N>" first */
    enum log_level threshold; /* less urgent lines are dropped */
    uint32_t per_minute;      /* lines of one area and event; 0: no limit */
    int64_t (*now_ms)(void);  /* any clock that does not go back */
};

/* stderr, "<N>" when `journal_stream` (the value of $JOURNAL_STREAM, may be NULL) is not empty,
 * level info, LOG_PER_MINUTE, CLOCK_MONOTONIC. */
struct log_config log_config_default(const char *journal_stream);
/* Before the first line and before other threads start; may be called again, which forgets counts.
 * Without it the default without journal holds. */
void log_init(const struct log_config *config);

void log_event(enum log_level level, const char *area, const char *event,
               const struct log_field *fields, size_t n_fields);
/* The same without a limit on how many a minute: for decisions that have to be accounted for, each
 * of which somebody asked for with a request of their own. */
void log_decision(enum log_level level, const char *area, const char *event,
                  const struct log_field *fields, size_t n_fields);
/* Write the summaries of minutes that are over; the core calls it now and then. */
void log_flush(void);

static inline struct log_field log_str(const char *key, const char *value)
{
    return (struct log_field){.key = key, .kind = LOG_KIND_SPAN, .text = ms_span_str(value)};
}
static inline struct log_field log_span(const char *key, struct ms_span value)
{
    return (struct log_field){.key = key, .kind = LOG_KIND_SPAN, .text = value};
}
static inline struct log_field log_int(const char *key, int64_t value)
{
    return (struct log_field){.key = key, .kind = LOG_KIND_SIGNED, .i = value};
}
static inline struct log_field log_uint(const char *key, uint64_t value)
{
    return (struct log_field){.key = key, .kind = LOG_KIND_UNSIGNED, .u = value};
}

/* log_line(LOG_LEVEL_WARNING, "fetch", "failed", log_str("host", host), log_uint("status", 503)); a
 * line without fields is log_event(level, area, event, NULL, 0). */
#define log_line(level, area, event, ...)                                        \
    log_event((level), (area), (event), (const struct log_field[]){__VA_ARGS__}, \
              sizeof((const struct log_field[]){__VA_ARGS__}) / sizeof(struct log_field))

#endif
