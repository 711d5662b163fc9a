/* feed_check_bench.c - how long measured_check takes, beside a scan over parsed records as proxies
 * do it that read a list of measurements: record by record, register by register, bytes compared.
 * Both are asked the same things in the same run: half of them approved, a quarter differ from a
 * record in one register, a quarter are unknown. feed_check_bench [ROUNDS] Prints one line for each
 * number of records: nanoseconds at the median and the 99th percentile. Each check is timed by
 * itself; what reading the timer costs is told, and not taken off. */
#define _GNU_SOURCE /* clock_gettime */

#include "base/buf.h"
#include "include/measured/measured.h"
#include "resolver/entry/snapshot.h"
#include "tests/support/feed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define REGISTERS 5u
#define BYTES 48u
#define QUESTIONS 4096u

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    (void)fprintf(stderr, "feed_check_bench: %s\n", what);
    exit(1);
}

static uint64_t now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

#if defined(__x86_64__)
#include <x86intrin.h>
static inline uint64_t ticks(void)
{
    unsigned aux;
    uint64_t now = __rdtscp(&aux); /* what is before has been done; */

    _mm_lfence(); /* what is behind has not begun */
    return now;
}
#else
static inline uint64_t ticks(void)
{
    return now_ns();
}
#endif

static double ns_a_tick(void)
{
    uint64_t from_ns = now_ns(), from = ticks();

    while (now_ns() - from_ns < 100000000u)
        continue;
    return (double)(now_ns() - from_ns) / (double)(ticks() - from);
}

static uint64_t random_state = 1;
static uint64_t rnd(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static void fill(uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        bytes[i] = (uint8_t)(rnd() >> 24);
}

/* ---- the records, in both forms ---- */

struct list_register { /* as decoded from a list: an index and its bytes */
    uint32_t index;
    uint8_t value[BYTES];
};

struct list_record {
    struct list_register registers[REGISTERS];
    char id[16];
};

struct world {
    size_t n;
    struct list_record *list;
    struct rec_record *records;
    struct rec_register *registers;
    struct rec_value *values;
};

static void make(struct world *w, size_t n)
{
    *w = (struct world){.n = n,
                        .list = calloc(n, sizeof(*w->list)),
                        .records = calloc(n, sizeof(*w->records)),
                        .registers = calloc(n * REGISTERS, sizeof(*w->registers)),
                        .values = calloc(n * REGISTERS, sizeof(*w->values))};
    must(w->list != NULL && w->records != NULL && w->registers != NULL && w->values != NULL,
         "no memory");
    for (size_t i = 0; i < n; i++) {
        struct list_record *one = &w->list[i];
        (void)snprintf(one->id, sizeof(one->id), "record-%zu", i);
        w->records[i] = (struct rec_record){.id = one->id,
                                            .type = REC_TYPE_DCAP_TDX,
                                            .n_registers = REGISTERS,
                                            .registers = &w->registers[i * REGISTERS]};
        for (uint32_t r = 0; r < REGISTERS; r++) {
            struct rec_value *value = &w->values[i * REGISTERS + r];
            one->registers[r].index = r;
            fill(one->registers[r].value, BYTES);
            memcpy(value->b, one->registers[r].value, BYTES);
            value->len = BYTES;
            w->registers[i * REGISTERS + r] =
                (struct rec_register){.index = r, .n_values = 1, .values = value};
        }
    }
}

static void unmake(struct world *w)
{
    free(w->list);
    free(w->records);
    free(w->registers);
    free(w->values);
}

static bool scan(const struct world *w, const struct measured_register *regs, size_t n)
{
    for (size_t i = 0; i < w->n; i++) {
        bool good = true;
        for (size_t r = 0; good && r < REGISTERS; r++) {
            const struct list_register *wanted = &w->list[i].registers[r];
            good = false;
            for (size_t p = 0; !good && p < n; p++)
                good = regs[p].index == wanted->index && regs[p].size == BYTES &&
                       memcmp(regs[p].value, wanted->value, BYTES) == 0;
        }
        if (good)
            return true;
    }
    return false;
}

/* ---- the library, fed through its socket ---- */

static void push(struct feed_fake *fake, const struct world *w)
{
    struct rec_set set = {.n_records = w->n, .records = w->records};
    struct source_release release = {.id = 1, .version = "1", .set = &set};
    struct source_result result = {.n_releases = 1, .releases = &release};
    struct snapshot_window window = {INT64_MIN, ENTRY_NEVER};
    struct ms_buf out = MS_BUF_INIT(FEED_SNAPSHOT_MAX_BYTES);
    struct snapshot_input in = {.result = &result,
                                .windows = &window,
                                .generation = 1,
                                .seed = rnd(),
                                .hard_until_ms = ENTRY_NEVER,
                                .fresh_until_ms = ENTRY_NEVER,
                                .state = ENTRY_FRESH};

    must(snapshot_build(&in, &out) == MS_OK, "the snapshot");
    feed_fake_snapshot(fake, feed_fake_want(fake, FEED_SUBSCRIBE), 1, out.ptr, out.len);
    ms_buf_done(&out);
}

static struct measured_set *subscribe(struct measured *m, struct feed_fake *fake,
                                      const struct world *w)
{
    struct measured_set *set = measured_subscribe(m, "sha256:00");
    struct measured_description description;

    must(set != NULL && measured_pump(m) == 0 && feed_fake_accept(fake, 1000), "no connection");
    (void)feed_fake_want(fake, FEED_HELLO);
    feed_fake_welcome(fake);
    must(measured_pump(m) == 0, "no welcome");
    push(fake, w);
    must(measured_pump(m) == 0, "no snapshot");
    measured_describe(set, &description);
    must(description.n_records == w->n, "another snapshot");
    return set;
}

/* ---- asking ---- */

struct question {
    uint8_t values[REGISTERS][BYTES];
    bool approved;
};

static void ask_about(const struct world *w, struct question *q)
{
    const struct list_record *record = &w->list[rnd() % w->n];

    for (size_t r = 0; r < REGISTERS; r++)
        memcpy(q->values[r], record->registers[r].value, BYTES);
    uint64_t kind = rnd() % 4;
    q->approved = kind < 2;
    if (kind == 2)
        q->values[rnd() % REGISTERS][BYTES - 1] ^= 1;
    if (kind == 3)
        fill(q->values[0], sizeof(q->values));
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

struct figures {
    double p50, p99;
};

/* The question is put where a verifier has just written it: into warm memory. */
static struct figures measure(const struct world *w, struct measured_set *set,
                              const struct question *questions, size_t n, double tick_ns)
{
    static struct question hot;
    struct measured_register regs[REGISTERS];
    struct measured_match match;
    uint64_t *times = calloc(n, sizeof(*times));

    must(times != NULL, "no memory");
    for (uint32_t r = 0; r < REGISTERS; r++)
        regs[r] = (struct measured_register){r, hot.values[r], BYTES};
    for (size_t i = 0; i < n; i++) {
        hot = questions[i % QUESTIONS];
        uint64_t from = ticks();
        bool yes = set == NULL ? scan(w, regs, REGISTERS)
                               : measured_check(set, "dcap-tdx", regs, REGISTERS, &match) ==
                                     MEASURED_APPROVED;
        times[i] = ticks() - from;
        must(yes == hot.approved, "a wrong answer");
    }
    qsort(times, n, sizeof(*times), compare);
    struct figures f = {(double)times[n / 2] * tick_ns, (double)times[n * 99 / 100] * tick_ns};
    free(times);
    return f;
}

/* Many checks between two looks at the clock: what one takes in the mean, without the timer. */
static double mean_ns(struct measured_set *set, const struct question *questions, size_t n)
{
    uint64_t from = now_ns(), approved = 0;

    for (size_t i = 0; i < n; i++) {
        const struct question *q = &questions[i % QUESTIONS];
        struct measured_register regs[REGISTERS];
        for (uint32_t r = 0; r < REGISTERS; r++)
            regs[r] = (struct measured_register){r, q->values[r], BYTES};
        approved += measured_check(set, "dcap-tdx", regs, REGISTERS, NULL) == MEASURED_APPROVED;
    }
    must(approved > 0, "nothing approved");
    return (double)(now_ns() - from) / (double)n;
}

static void tell_timer(double tick_ns)
{
    static uint64_t times[10001];

    for (size_t i = 0; i < 10001; i++) {
        uint64_t from = ticks();
        times[i] = ticks() - from;
    }
    qsort(times, 10001, sizeof(times[0]), compare);
    printf("timer: %.0f ns at the median, in all times below but the mean\n",
           (double)times[5000] * tick_ns);
}

static void run(size_t n_records, size_t rounds, double tick_ns)
{
    static struct question questions[QUESTIONS];
    struct feed_fake fake;
    struct world w;

    make(&w, n_records);
    feed_fake_start(&fake);
    struct measured *m = measured_open(fake.dir);
    must(m != NULL, "open");
    struct measured_set *set = subscribe(m, &fake, &w);
    for (size_t i = 0; i < QUESTIONS; i++)
        ask_about(&w, &questions[i]);
    size_t scans = rounds * 10 / n_records + QUESTIONS;    /* it takes so much longer */
    (void)measure(&w, set, questions, QUESTIONS, tick_ns); /* warm */
    struct figures ours = measure(&w, set, questions, rounds, tick_ns);
    struct figures theirs = measure(&w, NULL, questions, scans < rounds ? scans : rounds, tick_ns);
    printf("%6zu records  check p50 %5.0f p99 %5.0f mean %4.0f ns   scan p50 %8.0f p99 %8.0f ns   "
           "ratio p50 %.1f p99 %.1f\n",
           n_records, ours.p50, ours.p99, mean_ns(set, questions, rounds), theirs.p50, theirs.p99,
           theirs.p50 / ours.p50, theirs.p99 / ours.p99);
    measured_close(m);
    feed_fake_stop(&fake);
    unmake(&w);
}

int main(int argc, char **argv)
{
    uint64_t rounds = 1000000;
    double tick_ns = ns_a_tick();

    if (argc > 1)
        must(ms_span_u64(ms_span_str(argv[1]), &rounds) && rounds >= QUESTIONS,
             "usage: feed_check_bench [ROUNDS]");
    tell_timer(tick_ns);
    run(10, rounds, tick_ns);
    run(1000, rounds, tick_ns);
    run(10000, rounds, tick_ns);
    return 0;
}
