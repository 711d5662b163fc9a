/* A check says what rec_match says of the same records: over random sets, releases that begin and
 * end, and whatever registers are presented, with snapshots of the daemon's builder and of one that
 * shares nothing with it. */
#include "proxy-plugin/lib/check.h"
#include "resolver/entry/snapshot.h"
#include "tests/support/feed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define RELEASES_MAX 4u
#define RECORDS_MAX 24u
#define REGISTERS_MAX 6u
#define VALUES_MAX 70u
#define PRESENTED_MAX 12u
#define BUILT_MS 1000

static uint64_t random_state;

static uint32_t rnd(uint32_t below)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)((random_state >> 33) % below);
}

/* ---- a random world: few registers and values, so that much matches ---- */

struct world {
    size_t n_releases;
    struct feed_release_in in[RELEASES_MAX];
    struct rec_set sets[RELEASES_MAX];
    struct rec_record records[RELEASES_MAX][RECORDS_MAX];
    struct rec_register registers[RELEASES_MAX][RECORDS_MAX][REGISTERS_MAX];
    struct rec_value values[RELEASES_MAX][RECORDS_MAX][REGISTERS_MAX][VALUES_MAX];
    char ids[RELEASES_MAX][RECORDS_MAX][8];
    uint32_t alphabet; /* distinct values of a register */
};

static const enum rec_type types[] = {REC_TYPE_DCAP_TDX, REC_TYPE_AZURE_TDX, REC_TYPE_GCP_TDX,
                                      REC_TYPE_QEMU_TDX, REC_TYPE_UNKNOWN};
static const char *const type_names[] = {"dcap-tdx", "azure-tdx", "gcp-tdx", "qemu-tdx", "sev-snp"};

/* The letter in the last byte, so that a comparison which stops early shows. */
static void set_value(uint8_t *to, size_t len, uint32_t letter)
{
    memset(to, 0x40, len);
    to[len - 1] = (uint8_t)letter;
}

static void random_register(struct world *w, struct rec_register *reg, struct rec_value *values,
                            enum rec_type type, uint32_t index)
{
    size_t len = type == REC_TYPE_AZURE_TDX ? 32 : 48;
    uint32_t wanted = rnd(4) == 0 ? 1 + rnd(w->alphabet < 64 ? w->alphabet : 64) : 1;

    *reg = (struct rec_register){.index = index, .values = values};
    for (uint32_t letter = 0; letter < w->alphabet && reg->n_values < wanted; letter++) {
        if (w->alphabet - letter > wanted - reg->n_values && rnd(w->alphabet) >= wanted)
            continue;
        values[reg->n_values].len = (uint8_t)len;
        set_value(values[reg->n_values++].b, len, letter);
    }
}

static void random_record(struct world *w, size_t release, size_t i)
{
    struct rec_record *record = &w->records[release][i];
    enum rec_type type = types[rnd(3) == 0 ? rnd(5) : 0];
    uint32_t registers = type == REC_TYPE_AZURE_TDX ? 24 : 5;
    uint32_t mask = 1 + rnd(rnd(2) == 0 ? 3 : (1u << 5) - 1); /* few shapes, or many */

    (void)snprintf(w->ids[release][i], sizeof(w->ids[0][0]), "r%zu-%zu", release, i);
    *record = (struct rec_record){
        .id = w->ids[release][i], .type = type, .registers = w->registers[release][i]};
    if (rnd(30) == 0)
        return; /* a portable policy: approves nothing */
    for (uint32_t bit = 0; bit < 5; bit++)
        if ((mask >> bit & 1u) != 0)
            random_register(w, &record->registers[record->n_registers],
                            w->values[release][i][record->n_registers], type,
                            bit + (registers == 24 ? 19 : 0)),
                record->n_registers++;
}

static void random_world(struct world *w)
{
    *w = (struct world){.n_releases = rnd(RELEASES_MAX + 1),
                        .alphabet = rnd(3) == 0 ? VALUES_MAX : 1 + rnd(4)};
    for (size_t r = 0; r < w->n_releases; r++) {
        static const int64_t froms[] = {INT64_MIN, 500, 1500, 2500, INT64_MAX};
        static const int64_t untils[] = {INT64_MAX, 1500, 2000, 3000};
        w->in[r] =
            (struct feed_release_in){&w->sets[r], 100 + r, r % 2 ? "1.0" : "",
                                     froms[rnd(3) ? 0 : rnd(5)], untils[rnd(3) ? 0 : rnd(4)]};
        w->sets[r] = (struct rec_set){.n_records = rnd(RECORDS_MAX + 1), .records = w->records[r]};
        for (size_t i = 0; i < w->sets[r].n_records; i++)
            random_record(w, r, i);
    }
}

/* ---- the two builders ---- */

static uint8_t *built_here(const struct world *w, size_t *ret_size)
{
    struct feed_snapshot_in in = {.releases = w->in,
                                  .n_releases = w->n_releases,
                                  .generation = 3,
                                  .sequence = 4,
                                  .seed = random_state,
                                  .hard_until_ms = FEED_NEVER,
                                  .state = FEED_STATE_FRESH,
                                  .serve = true};

    return feed_snapshot_new(&in, ret_size);
}

static uint8_t *built_by_daemon(struct world *w, size_t *ret_size)
{
    struct snapshot_window windows[RELEASES_MAX];
    struct source_release releases[RELEASES_MAX] = {0};
    struct source_result result = {.n_releases = w->n_releases, .releases = releases};
    struct ms_buf out = MS_BUF_INIT(FEED_SNAPSHOT_MAX_BYTES);
    struct snapshot_input in = {.result = &result,
                                .windows = windows,
                                .generation = 3,
                                .sequence = 4,
                                .seed = random_state,
                                .built_boot_ms = BUILT_MS,
                                .hard_until_ms = ENTRY_NEVER,
                                .state = ENTRY_FRESH};

    for (size_t r = 0; r < w->n_releases; r++) {
        releases[r] = (struct source_release){
            .id = w->in[r].id, .version = w->in[r].version, .set = &w->sets[r]};
        windows[r] = (struct snapshot_window){w->in[r].from_ms, w->in[r].until_ms};
    }
    assert_int_equal(snapshot_build(&in, &out), MS_OK);
    uint8_t *exact = malloc(out.len);
    assert_non_null(exact);
    memcpy(exact, out.ptr, out.len);
    *ret_size = out.len;
    ms_buf_done(&out);
    return exact;
}

/* ---- asking both ---- */

struct question {
    size_t type, n;
    struct measured_register regs[PRESENTED_MAX];
    struct rec_presented same[PRESENTED_MAX];
    uint8_t values[PRESENTED_MAX][64];
};

static void add_presented(struct question *q, uint32_t index, size_t size, uint32_t letter)
{
    uint8_t *value = q->values[q->n];

    if (size > 0)
        set_value(value, size, letter);
    q->regs[q->n] = (struct measured_register){index, value, size};
    q->same[q->n] = (struct rec_presented){index, ms_span_of(value, size)};
    q->n++;
}

/* What a record of the world pins, with changes now and then, so that yes and no are both frequent.
 */
static void random_question(const struct world *w, struct question *q)
{
    *q = (struct question){.type = rnd(3) == 0 ? rnd(5) : 0};
    size_t size = types[q->type] == REC_TYPE_AZURE_TDX ? 32 : 48;
    const struct rec_record *like = NULL;

    if (w->n_releases > 0) {
        size_t r = rnd((uint32_t)w->n_releases);
        if (w->sets[r].n_records > 0)
            like = &w->records[r][rnd((uint32_t)w->sets[r].n_records)];
    }
    for (size_t i = 0; like != NULL && i < like->n_registers; i++) {
        const struct rec_register *reg = &like->registers[i];
        const struct rec_value *value = &reg->values[rnd((uint32_t)reg->n_values)];
        if (rnd(20) > 0)
            add_presented(q, reg->index, rnd(30) ? size : rnd(64),
                          rnd(10) ? value->b[value->len - 1u] : rnd(w->alphabet));
        if (rnd(6) == 0) /* once more, the same value or another */
            add_presented(q, reg->index, rnd(30) ? size : 80 - size,
                          rnd(2) ? value->b[value->len - 1u] : rnd(w->alphabet));
        if (q->n + 2 > PRESENTED_MAX)
            return;
    }
    if (rnd(3) == 0)
        add_presented(q, rnd(40), size, rnd(w->alphabet));
    if (q->n < PRESENTED_MAX && rnd(10) == 0)
        add_presented(q, UINT32_MAX - rnd(3), size, 0);
}

/* The first record, of the first release in force, that rec_match finds. */
static const struct rec_record *expected(const struct world *w, const struct question *q,
                                         int64_t now_ms, size_t *ret_release)
{
    for (size_t r = 0; r < w->n_releases; r++) {
        if (now_ms < w->in[r].from_ms || now_ms >= w->in[r].until_ms)
            continue;
        *ret_release = r;
        const struct rec_record *record = rec_match(&w->sets[r], types[q->type], q->same, q->n);
        if (record != NULL)
            return record;
    }
    return NULL;
}

static bool ask(const struct world *w, const struct plug_snapshot *s, const struct question *q,
                int64_t now_ms, const char *builder)
{
    struct plug_view view = {.snapshot = s, .hard_until_ms = FEED_NEVER, .state = FEED_STATE_FRESH};
    struct measured_match match = {0};
    size_t release = 0;
    const struct rec_record *want = expected(w, q, now_ms, &release);
    enum measured_verdict got =
        plug_check(&view, now_ms, type_names[q->type], q->regs, q->n, &match);

    if (got != (want == NULL ? MEASURED_REFUSED : MEASURED_APPROVED))
        fail_msg("%s builder, %s, %zu values, at %lld: verdict %d, expected record %s", builder,
                 type_names[q->type], q->n, (long long)now_ms, got, want == NULL ? "-" : want->id);
    if (want == NULL) {
        assert_string_equal(match.measurement_id, ""); /* written only on approval */
        return false;
    }
    if (strcmp(match.measurement_id, want->id) != 0)
        fail_msg("%s builder: matched %s, first is %s", builder, match.measurement_id, want->id);
    assert_int_equal(match.release_id, w->in[release].id);
    assert_string_equal(match.release_version, w->in[release].version);
    assert_int_equal(match.sequence, 4);
    assert_int_equal(match.generation, 3);
    return true;
}

static void test_as_rec_match(void **state)
{
    (void)state;
    static const int64_t clocks[] = {BUILT_MS, 1499, 1500, 1999, 2000, 2499, 2500, 3000, 1 << 30};
    static struct world w;
    size_t approved = 0, asked = 0;

    random_state = (uint64_t)time(NULL);
    print_message("seed %llu\n", (unsigned long long)random_state);
    for (size_t round = 0; round < 400; round++) {
        struct plug_snapshot ours, daemons;
        const char *why = NULL;
        size_t our_size, daemon_size;
        random_world(&w);
        uint8_t *our_bytes = built_here(&w, &our_size);
        uint8_t *daemon_bytes = built_by_daemon(&w, &daemon_size);
        if (plug_snapshot_read(our_bytes, our_size, &ours, &why) != 0 ||
            plug_snapshot_read(daemon_bytes, daemon_size, &daemons, &why) != 0)
            fail_msg("refused: %s", why);
        for (size_t i = 0; i < 60; i++) {
            struct question q;
            random_question(&w, &q);
            int64_t now_ms = clocks[rnd(MS_ARRAY_LEN(clocks))];
            approved += ask(&w, &ours, &q, now_ms, "own");
            (void)ask(&w, &daemons, &q, now_ms, "daemon's");
            asked++;
        }
        free(our_bytes);
        free(daemon_bytes);
    }
    print_message("%zu of %zu approved\n", approved, asked);
    assert_true(approved > asked / 10 && approved < asked * 9 / 10);
}

/* ---- what random questions do not reach ---- */

static uint8_t *fixed(const struct feed_release_in *release, struct plug_snapshot *ret_snapshot)
{
    struct feed_snapshot_in in = {.releases = release,
                                  .n_releases = 1,
                                  .hard_until_ms = FEED_NEVER,
                                  .state = FEED_STATE_FRESH,
                                  .serve = true};
    size_t size;
    const char *why = NULL;
    uint8_t *bytes = feed_snapshot_new(&in, &size);

    assert_int_equal(plug_snapshot_read(bytes, size, ret_snapshot, &why), 0);
    return bytes;
}

/* One record: register 0 has 64 alternatives, register 1 one. */
static void test_many_presented(void **state)
{
    (void)state;
    enum { MANY = 200000 };
    static struct rec_value values[65];
    struct rec_register regs[] = {{0, 64, values}, {1, 1, &values[64]}};
    struct rec_record record = {
        .id = "many", .type = REC_TYPE_DCAP_TDX, .n_registers = 2, .registers = regs};
    struct rec_set set = {.n_records = 1, .records = &record};
    struct feed_release_in release = {&set, 1, "", INT64_MIN, INT64_MAX};
    struct plug_snapshot s;
    struct measured_register *many = calloc(MANY, sizeof(*many));
    uint8_t other[48];

    assert_non_null(many);
    for (uint32_t i = 0; i < 65; i++) {
        values[i].len = 48;
        set_value(values[i].b, 48, i % 64);
    }
    set_value(other, 48, 64);
    uint8_t *bytes = fixed(&release, &s);
    struct plug_view view = {&s, FEED_NEVER, FEED_NEVER, FEED_STATE_FRESH};
#define ASK(n) plug_check(&view, 0, "dcap-tdx", many, (n), NULL)

    assert_int_equal(ASK(0), MEASURED_REFUSED);
    for (size_t i = 0; i < MANY; i++)
        many[i] = (struct measured_register){i == 7, values[i == 7 ? 64 : i % 64].b, 48};
    assert_int_equal(ASK(MANY), MEASURED_APPROVED);
    many[MANY - 1].value = other; /* a 65th value */
    assert_int_equal(ASK(MANY), MEASURED_REFUSED);
    assert_int_equal(ASK(MANY - 1), MEASURED_APPROVED);
    many[MANY - 1].index = 2; /* of a register that nothing pins */
    assert_int_equal(ASK(MANY), MEASURED_APPROVED);
    many[9].size = 47;
    assert_int_equal(ASK(MANY), MEASURED_REFUSED);
    many[9].size = 48;
    many[9].value = NULL;
    assert_int_equal(ASK(MANY), MEASURED_REFUSED);
    free(many);
    free(bytes);
}

/* At every moment beside a deadline, the very millisecond included. */
static void test_deadline(void **state)
{
    (void)state;
    struct rec_value value = {.len = 48};
    struct rec_register reg = {0, 1, &value};
    struct rec_record record = {
        .id = "", .type = REC_TYPE_DCAP_TDX, .n_registers = 1, .registers = &reg};
    struct rec_set set = {.n_records = 1, .records = &record};
    struct feed_release_in release = {&set, 1, "", 1000, 3000};
    struct plug_snapshot s;
    uint8_t *bytes = fixed(&release, &s);
    struct plug_view view = {&s, 500, 2000, FEED_STATE_FRESH};
    struct measured_register given = {0, value.b, 48};
    static const struct {
        int64_t now_ms, hard_until_ms;
        enum measured_verdict want;
    } rows[] = {
        {0, 2000, MEASURED_REFUSED},
        {999, 2000, MEASURED_REFUSED},
        {1000, 2000, MEASURED_APPROVED},
        {1999, 2000, MEASURED_APPROVED},
        {2000, 2000, MEASURED_UNKNOWN},
        {2001, 2000, MEASURED_UNKNOWN},
        {2999, 5000, MEASURED_APPROVED},
        {3000, 5000, MEASURED_REFUSED},
        {2999, INT64_MAX, MEASURED_APPROVED},
        {1500, INT64_MIN, MEASURED_UNKNOWN},
        {INT64_MAX, INT64_MAX, MEASURED_UNKNOWN}, /* a clock that cannot be read */
    };

    for (size_t i = 0; i < MS_ARRAY_LEN(rows); i++) {
        view.hard_until_ms = rows[i].hard_until_ms;
        if (plug_check(&view, rows[i].now_ms, "dcap-tdx", &given, 1, NULL) != rows[i].want)
            fail_msg("row %zu", i);
    }
    free(bytes);
}

/* Ids of the greatest length fit, whatever their bytes. */
static void test_long_names(void **state)
{
    (void)state;
    char id[257], version[128];
    struct rec_value value = {.len = 48};
    struct rec_register reg = {3, 1, &value};
    struct rec_record record = {
        .id = id, .type = REC_TYPE_QEMU_TDX, .n_registers = 1, .registers = &reg};
    struct rec_set set = {.n_records = 1, .records = &record};
    struct feed_release_in release = {&set, 1, version, 0, INT64_MAX};
    struct plug_snapshot s;
    struct measured_register given = {3, value.b, 48};
    struct measured_match match;

    memset(id, 0xc3, 256);
    memset(version, 'v', 127);
    id[256] = version[127] = '\0';
    uint8_t *bytes = fixed(&release, &s);
    struct plug_view view = {&s, FEED_NEVER, FEED_NEVER, FEED_STATE_FRESH};
    memset(&match, 'x', sizeof(match));
    assert_int_equal(plug_check(&view, 0, "dcap-tdx", &given, 1, &match), MEASURED_APPROVED);
    assert_string_equal(match.measurement_id, id);
    assert_string_equal(match.release_version, version);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_as_rec_match),
        cmocka_unit_test(test_many_presented),
        cmocka_unit_test(test_deadline),
        cmocka_unit_test(test_long_names),
    };
    return cmocka_run_group_tests_name("plugin.check", tests, NULL, NULL);
}
