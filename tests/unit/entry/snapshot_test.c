/* The snapshot: when its releases are in force, and that it holds what was approved and nothing
 * else. That a reader finds in it what rec_match finds is tests/unit/plugin/. */
#include "resolver/entry/snapshot.h"

#include "include/measured/feed_format.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define WALL_S INT64_C(1800000000)
#define BOOT_MS INT64_C(5000000)

static const struct ms_now now = {.wall_s = WALL_S, .boot_ms = BOOT_MS};

/* ---- windows ---- */

static const struct {
    const char *name;
    int64_t not_before_s, not_after_s; /* beside WALL_S; 0: none */
    int64_t block_s, head_s;           /* beside WALL_S; INT64_MIN: not a chain; no head known */
    int64_t from_ms, until_ms;         /* beside BOOT_MS; the ends of INT64 as they are */
} windows[] = {
    {"no window", 0, 0, INT64_MIN, 0, INT64_MIN, INT64_MAX},
    {"ends later", 0, 60, INT64_MIN, 0, INT64_MIN, 60000},
    {"is over", 0, -1, INT64_MIN, 0, INT64_MIN, INT64_MIN},
    {"ends now", 0, 1, INT64_MIN, 0, INT64_MIN, 1000},
    {"begins later, and no chain has a say", 30, 0, INT64_MIN, 0, 30000, INT64_MAX},
    {"begins and ends later", 30, 90, INT64_MIN, 0, 30000, 90000},
    {"has begun", -30, 0, INT64_MIN, 0, INT64_MIN, INT64_MAX},
    {"chain, its newest block agrees with our clock", 30, 0, -700, -5, 30000, INT64_MAX},
    {"chain, its newest block is far behind our clock", 30, 0, -700, -500, INT64_MAX, INT64_MAX},
    {"chain, its newest block is not known", 30, 0, -700, INT64_MIN, INT64_MAX, INT64_MAX},
    {"chain behind: has begun by our clock, not by its own", -30, 0, -700, -500, INT64_MAX,
     INT64_MAX},
    {"chain behind: our clock ends it all the same", 0, 60, -700, -500, INT64_MIN, 60000},
    {"chain ahead of our clock: it has ended", 0, 60, 90, 95, INT64_MIN, INT64_MIN},
    {"chain ahead of our clock: it has begun", 60, 0, 90, 95, INT64_MIN, INT64_MAX},
};

static int64_t beside(int64_t base, int64_t value)
{
    return value == INT64_MIN || value == INT64_MAX ? value : base + value;
}

static void test_windows(void **state)
{
    (void)state;
    for (size_t i = 0; i < MS_ARRAY_LEN(windows); i++) {
        bool chain = windows[i].block_s != INT64_MIN, head = windows[i].head_s != INT64_MIN;
        int64_t block_s = chain ? WALL_S + windows[i].block_s : 0;
        struct entry entry = {.good = true,
                              .chain = chain,
                              .evidence_time_s = block_s,
                              .head_time_s = chain && head ? WALL_S + windows[i].head_s : 0,
                              .head_boot_ms = BOOT_MS};
        struct source_release release = {
            .not_before_s = windows[i].not_before_s == 0 ? 0 : WALL_S + windows[i].not_before_s,
            .not_after_s = windows[i].not_after_s == 0 ? 0 : WALL_S + windows[i].not_after_s};
        struct snapshot_window w = snapshot_window(&release, &entry, block_s, now);
        if (w.from_ms != beside(BOOT_MS, windows[i].from_ms) ||
            w.until_ms != beside(BOOT_MS, windows[i].until_ms))
            fail_msg("%s: from %lld until %lld", windows[i].name, (long long)(w.from_ms - BOOT_MS),
                     (long long)(w.until_ms - BOOT_MS));
    }
}

/* At every second of the next minutes a window says what the state machine says, as long as nothing
 * more is heard of the chain; pending releases of chains that disagree with our clock wait. */
static void test_windows_follow_the_rules(void **state)
{
    (void)state;
    for (size_t i = 0; i < MS_ARRAY_LEN(windows); i++) {
        bool chain = windows[i].block_s != INT64_MIN, head = windows[i].head_s != INT64_MIN;
        int64_t block_s = chain ? WALL_S + windows[i].block_s : 0;
        struct entry entry = {.good = true,
                              .chain = chain,
                              .evidence_time_s = block_s,
                              .head_time_s = chain && head ? WALL_S + windows[i].head_s : 0,
                              .head_boot_ms = BOOT_MS};
        struct source_release release = {
            .not_before_s = windows[i].not_before_s == 0 ? 0 : WALL_S + windows[i].not_before_s,
            .not_after_s = windows[i].not_after_s == 0 ? 0 : WALL_S + windows[i].not_after_s};
        struct snapshot_window w = snapshot_window(&release, &entry, block_s, now);
        for (int64_t s = 0; s < 200; s++) {
            struct ms_now then = {.wall_s = WALL_S + s, .boot_ms = BOOT_MS + s * 1000};
            enum entry_window rule = entry_release_window(
                &release, entry_chain_time(&entry, block_s, then), then.wall_s);
            bool in_force = w.from_ms <= then.boot_ms && then.boot_ms < w.until_ms;
            if (in_force != (rule == ENTRY_WINDOW_IN_FORCE))
                fail_msg("%s, %lld s later", windows[i].name, (long long)s);
        }
    }
}

/* ---- content ---- */

/* the numbers are widths and values of hexadecimal strings */
#define DOCUMENT                                                                          \
    "[{\"measurement_id\":\"one\",\"attestation_type\":\"dcap-tdx\",\"measurements\":{"   \
    "\"0\":{\"expected_any\":[\"%0*d\",\"%0*d\"]},\"1\":{\"expected\":\"%0*d\"}}},"       \
    "{\"measurement_id\":\"two\",\"attestation_type\":\"gcp-tdx\",\"measurements\":{"     \
    "\"0\":{\"expected\":\"%0*d\"},\"1\":{\"expected\":\"%0*d\"}}},"                      \
    "{\"measurement_id\":\"three\",\"attestation_type\":\"azure-tdx\",\"measurements\":{" \
    "\"4\":{\"expected\":\"%0*d\"}}},"                                                    \
    "{\"measurement_id\":\"not ours\",\"attestation_type\":\"nitro\",\"measurements\":{"  \
    "\"4\":{\"expected\":\"00\"}}}]"

static struct rec_set *read_document(void)
{
    char text[4096];
    struct rec_set *set = malloc(sizeof(*set));
    struct ms_diag diag = {0};
    int n = snprintf(text, sizeof(text), DOCUMENT, 96, 1, 96, 2, 96, 3, 96, 4, 96, 5, 64, 6);

    assert_true(n > 0 && (size_t)n < sizeof(text));
    rec_set_init(set);
    if (rec_parse(ms_span_str(text), REC_MODE_DIALECTS, set, &diag) != MS_OK)
        fail_msg("%s", diag.text);
    return set;
}

static void test_content(void **state)
{
    (void)state;
    struct rec_set *set = read_document();
    struct source_release releases[] = {{.id = 7, .version = "3", .set = set},
                                        {.id = 8, .version = "4", .set = set}};
    struct source_result result = {.n_releases = 2, .releases = releases};
    struct snapshot_window both[] = {{INT64_MIN, ENTRY_NEVER}, {INT64_MIN, INT64_MIN}};
    struct snapshot_input in = {.result = &result,
                                .windows = both,
                                .generation = 9,
                                .sequence = 5,
                                .seed = 1,
                                .built_boot_ms = BOOT_MS,
                                .fresh_until_ms = BOOT_MS + 1,
                                .hard_until_ms = BOOT_MS + 2,
                                .state = ENTRY_FRESH};
    struct ms_buf out = MS_BUF_INIT(1 << 20);
    struct feed_header h;

    assert_int_equal(snapshot_build(&in, &out), MS_OK);
    memcpy(&h, out.ptr, sizeof(h));
    assert_int_equal(h.size, out.len);
    assert_int_equal(h.flags, FEED_FLAG_SERVE);
    assert_int_equal(h.state, FEED_STATE_FRESH);
    assert_int_equal(h.n_releases, 1); /* the second is over */
    assert_int_equal(h.n_records, 3);  /* what no registers can satisfy is left out */
    assert_int_equal(h.n_shapes, 2);
    /* one register tells the records of a shape apart, so one is hashed: of those that do, the one
     * with the fewest values */
    struct feed_shape dcap;
    memcpy(&dcap, out.ptr + h.shapes_off + sizeof(dcap), sizeof(dcap));
    assert_int_equal(dcap.class_, FEED_CLASS_DCAP);
    assert_int_equal(dcap.mask, 3);
    assert_int_equal(dcap.key_mask, 2);
    assert_int_equal(h.generation, 9);
    assert_int_equal(h.sequence, 5);
    assert_int_equal(h.fresh_until_ms, BOOT_MS + 1);
    assert_int_equal(h.hard_until_ms, BOOT_MS + 2);
    ms_buf_done(&out);

    in.result = NULL; /* nothing may be served */
    in.state = ENTRY_CONFLICT;
    assert_int_equal(snapshot_build(&in, &out), MS_OK);
    memcpy(&h, out.ptr, sizeof(h));
    assert_int_equal(out.len, sizeof(h));
    assert_int_equal(h.flags, 0);
    assert_int_equal(h.state, FEED_STATE_CONFLICT);
    assert_int_equal(h.n_releases + h.n_records + h.n_slots, 0);
    ms_buf_done(&out);

    struct ms_buf small = MS_BUF_INIT(300);
    in.result = &result;
    assert_int_equal(snapshot_build(&in, &small), MS_ERR_LIMIT);
    assert_int_equal(small.len, 0);
    ms_buf_done(&small);
    rec_set_done(set);
    free(set);
}

/* Every state that is shown has a number of its own. */
static void test_states(void **state)
{
    (void)state;
    uint32_t seen = 0;

    assert_int_equal(snapshot_state(ENTRY_EMPTY), 0);
    for (int s = ENTRY_FRESH; s <= ENTRY_CLOCK_SUSPECT; s++) {
        uint32_t number = snapshot_state((enum entry_state)s);
        assert_in_range(number, 1, 31);
        assert_false(seen >> number & 1u);
        seen |= 1u << number;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_windows),
        cmocka_unit_test(test_windows_follow_the_rules),
        cmocka_unit_test(test_content),
        cmocka_unit_test(test_states),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
