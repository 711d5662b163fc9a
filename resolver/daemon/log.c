/* resolver/daemon/log.c - rendering, escaping and rate-limiting of log lines. */
#define _GNU_SOURCE
#include "resolver/daemon/log.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define WINDOW_MS 60000
#define KEYS_MAX 128 /* area and event pairs that are counted at once */
#define KEY_MAX 48   /* bytes of an area or event that are kept */

static int64_t monotonic_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

struct repeat { /* one area and event in its minute */
    char area[KEY_MAX], event[KEY_MAX];
    enum log_level level;
    int64_t since_ms;
    uint32_t written;
    uint64_t dropped;
};

static struct {
    pthread_mutex_t lock;
    struct log_config config;
    struct repeat repeats[KEYS_MAX];
    size_t n_repeats;
} state = {
    .lock = PTHREAD_MUTEX_INITIALIZER,
    .config = {.fd = STDERR_FILENO,
               .threshold = LOG_LEVEL_INFO,
               .per_minute = LOG_PER_MINUTE,
               .now_ms = monotonic_ms},
};

struct line { /* text that cuts itself off before the newline */
    char text[LOG_LINE_MAX];
    size_t len;
};

static void put(struct line *line, const char *text, size_t len)
{
    size_t room = sizeof(line->text) - 1 - line->len;
    size_t n = len < room ? len : room;

    memcpy(line->text + line->len, text, n);
    line->len += n;
}

static void putf(struct line *line, const char *fmt, ...) MS_PRINTF(2, 3);
static void putf(struct line *line, const char *fmt, ...)
{
    char text[128];
    va_list args;

    va_start(args, fmt);
    int n = vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    if (n > 0)
        put(line, text, (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1);
}

/* How one byte looks in quotes. */
static size_t escape(uint8_t c, char out[4])
{
    static const char digits[] = "0123456789abcdef";

    if (c == '"' || c == '\\') {
        out[0] = '\\';
        out[1] = (char)c;
        return 2;
    }
    if (c >= 0x20 && c <= 0x7e) {
        out[0] = (char)c;
        return 1;
    }
    out[0] = '\\';
    out[1] = 'x';
    out[2] = digits[c >> 4];
    out[3] = digits[c & 15];
    return 4;
}

static bool needs_quotes(struct ms_span text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] <= 0x20 || text.ptr[i] > 0x7e || strchr("\"\\=", text.ptr[i]) != NULL)
            return true;
    return text.len == 0;
}

static void put_value(struct line *line, struct ms_span text)
{
    bool quotes = needs_quotes(text) || text.len > LOG_VALUE_MAX;
    size_t used = 0;

    if (quotes)
        put(line, "\"", 1);
    for (size_t i = 0; i < text.len; i++) {
        char bytes[4];
        size_t n = escape(text.ptr[i], bytes);
        if (used + n > LOG_VALUE_MAX) {
            put(line, "...", 3);
            break;
        }
        put(line, bytes, n);
        used += n;
    }
    if (quotes)
        put(line, "\"", 1);
}

static const char *level_name(enum log_level level)
{
    switch (level) {
    case LOG_LEVEL_ERROR:
        return "error";
    case LOG_LEVEL_WARNING:
        return "warning";
    case LOG_LEVEL_NOTICE:
        return "notice";
    case LOG_LEVEL_INFO:
        return "info";
    case LOG_LEVEL_DEBUG:
        return "debug";
    }
    return "error";
}

/* ---- under the lock ---- */
static void write_line(struct line *line)
{
    size_t done = 0;

    line->text[line->len++] = '\n';
    while (done < line->len) {
        ssize_t n = write(state.config.fd, line->text + done, line->len - done);
        if (n < 0 && errno != EINTR)
            return; /* nobody reads: the log must not stop the daemon */
        if (n > 0)
            done += (size_t)n;
    }
}

static void begin(struct line *line, enum log_level level, const char *area, const char *event)
{
    line->len = 0;
    if (state.config.journal)
        putf(line, "<%d>", (int)level);
    putf(line, "%s %s: %s", level_name(level), area, event);
}

static void write_summary(struct repeat *repeat)
{
    struct line line;

    if (repeat->dropped == 0)
        return;
    begin(&line, repeat->level, repeat->area, repeat->event);
    putf(&line, " repeated=%" PRIu64, repeat->dropped);
    write_line(&line);
}

static void forget_old(int64_t now_ms)
{
    for (size_t i = 0; i < state.n_repeats;) {
        if (now_ms - state.repeats[i].since_ms < WINDOW_MS) {
            i++;
            continue;
        }
        write_summary(&state.repeats[i]);
        state.repeats[i] = state.repeats[--state.n_repeats];
    }
}

/* Where area and event are counted; a full table gives up its oldest row. */
static struct repeat *find_repeat(enum log_level level, const char *area, const char *event,
                                  int64_t now_ms)
{
    size_t oldest = 0;

    for (size_t i = 0; i < state.n_repeats; i++) {
        struct repeat *repeat = &state.repeats[i];
        if (strncmp(repeat->area, area, KEY_MAX - 1) == 0 &&
            strncmp(repeat->event, event, KEY_MAX - 1) == 0)
            return repeat;
        if (repeat->since_ms < state.repeats[oldest].since_ms)
            oldest = i;
    }
    struct repeat *repeat = &state.repeats[oldest];
    if (state.n_repeats < KEYS_MAX)
        repeat = &state.repeats[state.n_repeats++];
    else
        write_summary(repeat);
    *repeat = (struct repeat){.level = level, .since_ms = now_ms};
    (void)snprintf(repeat->area, sizeof(repeat->area), "%s", area);
    (void)snprintf(repeat->event, sizeof(repeat->event), "%s", event);
    return repeat;
}

static bool allowed(enum log_level level, const char *area, const char *event)
{
    int64_t now_ms = state.config.now_ms();

    forget_old(now_ms);
    if (state.config.per_minute == 0)
        return true;
    struct repeat *repeat = find_repeat(level, area, event, now_ms);
    if (repeat->written < state.config.per_minute) {
        repeat->written++;
        return true;
    }
    repeat->dropped++;
    return false;
}

/* ---- public ---- */
struct log_config log_config_default(const char *journal_stream)
{
    return (struct log_config){
        .fd = STDERR_FILENO,
        .journal = journal_stream != NULL && journal_stream[0] != '\0',
        .threshold = LOG_LEVEL_INFO,
        .per_minute = LOG_PER_MINUTE,
        .now_ms = monotonic_ms,
    };
}

void log_init(const struct log_config *config)
{
    (void)pthread_mutex_lock(&state.lock);
    state.config = *config;
    state.n_repeats = 0;
    (void)pthread_mutex_unlock(&state.lock);
}

/* Under the lock. */
static void write_event(enum log_level level, const char *area, const char *event,
                        const struct log_field *fields, size_t n_fields)
{
    struct line line;

    begin(&line, level, area, event);
    for (size_t i = 0; i < n_fields; i++) {
        putf(&line, " %s=", fields[i].key);
        switch (fields[i].kind) {
        case LOG_KIND_SPAN:
            put_value(&line, fields[i].text);
            break;
        case LOG_KIND_SIGNED:
            putf(&line, "%" PRId64, fields[i].i);
            break;
        case LOG_KIND_UNSIGNED:
            putf(&line, "%" PRIu64, fields[i].u);
            break;
        case LOG_KIND_NONE:
            break;
        }
    }
    write_line(&line);
}

void log_event(enum log_level level, const char *area, const char *event,
               const struct log_field *fields, size_t n_fields)
{
    (void)pthread_mutex_lock(&state.lock);
    if (level <= state.config.threshold && allowed(level, area, event))
        write_event(level, area, event, fields, n_fields);
    (void)pthread_mutex_unlock(&state.lock);
}

void log_decision(enum log_level level, const char *area, const char *event,
                  const struct log_field *fields, size_t n_fields)
{
    (void)pthread_mutex_lock(&state.lock);
    if (level <= state.config.threshold)
        write_event(level, area, event, fields, n_fields);
    (void)pthread_mutex_unlock(&state.lock);
}

void log_flush(void)
{
    (void)pthread_mutex_lock(&state.lock);
    forget_old(state.config.now_ms());
    (void)pthread_mutex_unlock(&state.lock);
}
