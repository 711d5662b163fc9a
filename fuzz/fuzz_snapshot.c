/* fuzz_snapshot.c - any bytes as a snapshot: refused with a reason, or safe to ask, and then an
 * approval is backed by a whole record that is in force, and nothing is said at or after the
 * deadline. */
#include "proxy-plugin/lib/check.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
    if (!ok)
        abort();
}

#define REGS_MAX 64u

/* The slow and plain reading of a record: each register pinned, each value presented for it among
 * the approved. */
static bool satisfies(const struct feed_record *record, const struct measured_register *regs,
                      size_t n)
{
    const struct feed_register *pinned = plug_registers(record);
    size_t bytes = plug_value_bytes(record->class_);

    for (size_t r = 0; r < record->n_registers; r++) {
        size_t seen = 0;
        for (size_t i = 0; i < n; i++) {
            bool among = false;
            if (regs[i].index != pinned[r].index)
                continue;
            for (size_t v = 0; v < pinned[r].n_values && regs[i].size == bytes; v++)
                among |=
                    memcmp(plug_values(record, &pinned[r]) + v * bytes, regs[i].value, bytes) == 0;
            if (!among)
                return false;
            seen++;
        }
        if (seen == 0)
            return false;
    }
    return true;
}

static bool backed(const struct plug_snapshot *s, uint32_t class_, int64_t now_ms,
                   const struct measured_register *regs, size_t n,
                   const struct measured_match *match)
{
    const uint8_t *end = s->records + s->header->records_bytes;
    const struct feed_record *record;

    for (const uint8_t *at = s->records; at < end; at += record->bytes) {
        record = (const void *)at;
        const struct feed_release *release = &s->releases[record->release];
        if (record->class_ == class_ && release->from_ms <= now_ms && now_ms < release->until_ms &&
            release->id == match->release_id &&
            strncmp(match->measurement_id, s->strings + record->id_off, record->id_bytes) == 0 &&
            satisfies(record, regs, n))
            return true;
    }
    return false;
}

static void ask(const struct plug_view *view, int64_t now_ms, const struct measured_register *regs,
                size_t n)
{
    static const struct {
        const char *type;
        uint32_t class_;
    } types[] = {{"dcap-tdx", FEED_CLASS_DCAP}, {"azure-tdx", FEED_CLASS_AZURE}, {"x", 0}};

    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        struct measured_match match;
        enum measured_verdict verdict = plug_check(view, now_ms, types[i].type, regs, n, &match);
        if (now_ms >= view->hard_until_ms)
            require(verdict == MEASURED_UNKNOWN);
        if (verdict == MEASURED_APPROVED)
            require(backed(view->snapshot, types[i].class_, now_ms, regs, n, &match));
    }
}

/* What the record pins: one of its values for each register, then further ones. */
static size_t registers_of(const struct feed_record *record, struct measured_register *regs)
{
    const struct feed_register *pinned = plug_registers(record);
    size_t bytes = plug_value_bytes(record->class_), n = 0;

    for (size_t r = 0; r < record->n_registers; r++)
        regs[n++] =
            (struct measured_register){pinned[r].index, plug_values(record, &pinned[r]), bytes};
    for (size_t r = 0; r < record->n_registers; r++)
        regs[n++] = (struct measured_register){
            pinned[r].index, plug_values(record, &pinned[r]) + (pinned[r].n_values - 1u) * bytes,
            bytes};
    return n;
}

static void ask_about(const struct plug_view *view, const struct feed_record *record)
{
    const struct feed_release *release = &view->snapshot->releases[record->release];
    const int64_t clocks[] = {0,
                              release->from_ms,
                              release->until_ms,
                              view->hard_until_ms,
                              view->hard_until_ms - (view->hard_until_ms != INT64_MIN),
                              INT64_MAX};
    struct measured_register regs[REGS_MAX];
    size_t n = registers_of(record, regs);

    for (size_t i = 0; i < sizeof(clocks) / sizeof(clocks[0]); i++) {
        ask(view, clocks[i], regs, record->n_registers);
        ask(view, clocks[i], regs, n);
    }
    regs[0].size--;
    ask(view, 0, regs, n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct plug_snapshot s;
    const char *why = NULL;
    uint8_t *bytes = malloc(size + (size == 0)); /* aligned, and of the exact size */
    size_t asked = 0;

    require(bytes != NULL);
    if (size > 0)
        memcpy(bytes, data, size);
    int err = plug_snapshot_read(bytes, size, &s, &why);
    require(err == 0 || err == EPROTO || err == ENOMEM);
    require(err != EPROTO || why != NULL);
    if (err == 0) {
        struct plug_view view = {&s, s.header->fresh_until_ms, s.header->hard_until_ms,
                                 s.header->state};
        const uint8_t *end = s.records + s.header->records_bytes;
        struct measured_description description;
        plug_describe(&view, 0, &description);
        ask(&view, 0, NULL, 0);
        const struct feed_record *record;
        for (const uint8_t *at = s.records; at < end && asked < 32; at += record->bytes, asked++) {
            record = (const void *)at;
            ask_about(&view, record);
        }
    }
    free(bytes);
    return 0;
}
