/* What a reader checks of a snapshot before it uses any of it (docs/feed.md): each rule broken by
 * itself. */
#include "proxy-plugin/lib/check.h"
#include "tests/support/feed.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- a good one: two releases, three records, of both classes ---- */

static struct rec_value values[8];
static struct rec_register dcap[] = {{0, 2, values}, {4, 1, &values[2]}};
static struct rec_register azure[] = {{11, 3, &values[4]}};
static struct rec_record first[] = {
    {.id = "one", .type = REC_TYPE_DCAP_TDX, .n_registers = 2, .registers = dcap},
    {.id = "two", .type = REC_TYPE_AZURE_TDX, .n_registers = 1, .registers = azure},
};
static struct rec_record second[] = {
    {.id = "three", .type = REC_TYPE_DCAP_TDX, .n_registers = 2, .registers = dcap},
};
static struct rec_set sets[] = {{.n_records = 2, .records = first},
                                {.n_records = 1, .records = second}};
static const struct feed_release_in releases[] = {{&sets[0], 1, "1.0", INT64_MIN, INT64_MAX},
                                                  {&sets[1], 2, "2.0", 10, 20}};

static int setup(void **state)
{
    (void)state;
    for (size_t i = 0; i < 8; i++) {
        values[i].len = i < 4 ? 48 : 32;
        memset(values[i].b, (int)i + 1, values[i].len);
    }
    return 0;
}

static uint8_t *good(size_t *ret_size)
{
    struct feed_snapshot_in in = {.releases = releases,
                                  .n_releases = 2,
                                  .generation = 1,
                                  .seed = 5,
                                  .hard_until_ms = FEED_NEVER,
                                  .state = FEED_STATE_FRESH,
                                  .serve = true};

    return feed_snapshot_new(&in, ret_size);
}

/* Its sections, to be written into. */
struct open {
    uint8_t *bytes;
    size_t size;
    struct feed_header *h;
    struct feed_release *releases;
    struct feed_record *record[3];
    struct feed_register *regs[3];
    struct feed_shape *shapes;
    struct feed_slot *slots;
    uint8_t *strings;
};

static struct open open_good(void)
{
    struct open o = {0};

    o.bytes = good(&o.size);
    o.h = (void *)o.bytes;
    o.releases = (void *)(o.bytes + o.h->releases_off);
    uint8_t *at = o.bytes + o.h->records_off;
    for (size_t i = 0; i < 3; i++) {
        o.record[i] = (void *)at;
        o.regs[i] = (void *)(at + sizeof(*o.record[i]));
        at += o.record[i]->bytes;
    }
    o.shapes = (void *)(o.bytes + o.h->shapes_off);
    o.slots = (void *)(o.bytes + o.h->slots_off);
    o.strings = o.bytes + o.h->strings_off;
    return o;
}

static void insert(struct open *o, size_t at, size_t n, uint8_t fill)
{
    uint8_t *bytes = malloc(o->size + n);

    assert_non_null(bytes);
    memcpy(bytes, o->bytes, at);
    memset(bytes + at, fill, n);
    memcpy(bytes + at + n, o->bytes + at, o->size - at);
    free(o->bytes);
    o->bytes = bytes;
    o->size += n;
    o->h = (void *)bytes;
    o->h->size += n;
}

/* ---- each rule ---- */

#define ROW(name, ...)                       \
    static void break_##name(struct open *o) \
    {                                        \
        __VA_ARGS__;                         \
    }

static struct feed_slot *used_slot(struct open *o, size_t shape)
{
    struct feed_slot *slot = o->slots + o->shapes[shape].first_slot;

    while (slot->record == 0)
        slot++;
    return slot;
}

static void fill_table(struct open *o)
{
    for (uint32_t i = 0; i < o->shapes[0].n_slots; i++)
        o->slots[i] = *used_slot(o, 0);
}

static void swap_values(struct open *o)
{
    uint8_t *at = (uint8_t *)o->record[0] + (size_t)o->regs[0][0].values_off * 8, kept[48];

    memcpy(kept, at, 48);
    memcpy(at, at + 48, 48);
    memcpy(at + 48, kept, 48);
}

static void same_values(struct open *o)
{
    uint8_t *at = (uint8_t *)o->record[0] + (size_t)o->regs[0][0].values_off * 8;

    memcpy(at, at + 48, 48);
}

static void gap(struct open *o)
{
    insert(o, o->h->shapes_off, 8, 0x01);
    o->h->shapes_off += 8;
    o->h->slots_off += 8;
    o->h->strings_off += 8;
}

static void no_serving_but_records(struct open *o)
{
    o->h->flags = 0;
}

ROW(magic, o->h->magic ^= 1)
ROW(version, o->h->version = 2)
ROW(header_bytes, o->h->header_bytes = 200)
ROW(size, o->h->size += 8)
ROW(flags, o->h->flags = 3)
ROW(state_zero, o->h->state = 0)
ROW(state_high, o->h->state = 10)
ROW(reserved, o->h->reserved = 1)
ROW(after_the_end, insert(o, o->size, 1, 0))
ROW(strings_short, o->h->strings_bytes--)
ROW(releases_into_header, o->h->releases_off = 184)
ROW(releases_unaligned, o->h->releases_off += 4)
ROW(releases_many, o->h->n_releases = UINT32_MAX)
ROW(records_over_releases, o->h->records_off -= 8)
ROW(records_many, o->h->records_bytes = UINT32_MAX)
ROW(shapes_many, o->h->n_shapes = UINT32_MAX)
ROW(slots_many, o->h->n_slots = UINT32_MAX)
ROW(slots_fewer, o->h->n_slots--)
ROW(strings_beyond, o->h->strings_off = UINT32_MAX - 7)
ROW(n_records_more, o->h->n_records++)
ROW(n_records_fewer, o->h->n_records--)
ROW(control, o->strings[1] = 0x1f)
ROW(del, o->strings[1] = 0x7f)
ROW(nul, o->strings[1] = 0)
ROW(version_off, o->releases[0].version_off = o->h->strings_bytes - 2)
ROW(version_far, o->releases[0].version_off = UINT32_MAX)
ROW(version_bytes, o->releases[0].version_bytes = UINT32_MAX)
ROW(record_zero, o->record[0]->bytes = 0)
ROW(record_small, o->record[0]->bytes = 16)
ROW(record_unaligned, o->record[0]->bytes += 4)
ROW(record_long, o->record[0]->bytes = UINT32_MAX - 7)
ROW(record_swallows, o->record[0]->bytes += o->record[1]->bytes)
ROW(record_order, o->record[1]->order = 2)
ROW(record_release, o->record[2]->release = 2)
ROW(record_release_falls, o->record[0]->release = 1)
ROW(record_id_off, o->record[0]->id_off = o->h->strings_bytes)
ROW(record_id_long, o->record[0]->id_bytes = 257)
ROW(record_class_zero, o->record[0]->class_ = 0)
ROW(record_class_high, o->record[0]->class_ = 3)
ROW(record_class_other, o->record[0]->class_ = FEED_CLASS_AZURE)
ROW(record_no_registers, o->record[0]->n_registers = 0)
ROW(record_registers_many, o->record[0]->n_registers = 255)
ROW(record_mask, o->record[0]->mask |= 2)
ROW(register_high, o->regs[0][1].index = 24; o->record[0]->mask = 1u | 1u << 24)
ROW(register_falls, o->regs[0][0].index = 5; o->record[0]->mask = 1u << 4 | 1u << 5)
ROW(register_twice, o->regs[0][1].index = 0; o->record[0]->mask = 1)
ROW(register_no_values, o->regs[0][0].n_values = 0)
ROW(register_values_many, o->regs[0][1].n_values = 65)
ROW(register_values_one_more, o->regs[0][1].n_values = 2)
ROW(register_values_in_head, o->regs[0][0].values_off = 2)
ROW(register_values_far, o->regs[0][0].values_off = UINT16_MAX)
ROW(register_values_shared, o->regs[0][1].values_off = o->regs[0][0].values_off)
ROW(shape_no_key, o->shapes[0].key_mask = 0)
ROW(shape_other_key, o->shapes[0].key_mask |= 2)
ROW(shape_high, o->shapes[2].mask |= 1u << 24)
ROW(shape_mask, o->shapes[0].mask |= 2)
ROW(shape_class, o->shapes[0].class_ = FEED_CLASS_AZURE)
ROW(shape_reserved, o->shapes[0].reserved = 1)
ROW(shape_first, o->shapes[1].first_slot++)
ROW(shape_slots_odd, o->shapes[2].n_slots--)
ROW(shape_slots_zero, o->shapes[2].n_slots = 0)
ROW(shape_slots_many, o->shapes[2].n_slots = 1u << 31)
ROW(shape_full, fill_table(o))
ROW(slot_between, used_slot(o, 0)->record++)
ROW(slot_beyond, used_slot(o, 0)->record = o->h->records_bytes / 8 + 1)
ROW(slot_far, used_slot(o, 0)->record = UINT32_MAX)
ROW(slot_other_shape, used_slot(o, 0)->record = used_slot(o, 1)->record)
ROW(no_serving, no_serving_but_records(o))
ROW(values_unsorted, swap_values(o))
ROW(values_twice, same_values(o))
ROW(gap, gap(o))

static const struct {
    const char *name;
    void (*fn)(struct open *o);
} rows[] = {
#define R(name)             \
    {                       \
#name, break_##name \
    }
    R(magic),
    R(version),
    R(header_bytes),
    R(size),
    R(flags),
    R(state_zero),
    R(state_high),
    R(reserved),
    R(after_the_end),
    R(strings_short),
    R(releases_into_header),
    R(releases_unaligned),
    R(releases_many),
    R(records_over_releases),
    R(records_many),
    R(shapes_many),
    R(slots_many),
    R(slots_fewer),
    R(strings_beyond),
    R(n_records_more),
    R(n_records_fewer),
    R(control),
    R(del),
    R(nul),
    R(version_off),
    R(version_far),
    R(version_bytes),
    R(record_zero),
    R(record_small),
    R(record_unaligned),
    R(record_long),
    R(record_swallows),
    R(record_order),
    R(record_release),
    R(record_release_falls),
    R(record_id_off),
    R(record_id_long),
    R(record_class_zero),
    R(record_class_high),
    R(record_class_other),
    R(record_no_registers),
    R(record_registers_many),
    R(record_mask),
    R(register_high),
    R(register_falls),
    R(register_twice),
    R(register_no_values),
    R(register_values_many),
    R(register_values_one_more),
    R(register_values_in_head),
    R(register_values_far),
    R(register_values_shared),
    R(shape_no_key),
    R(shape_other_key),
    R(shape_high),
    R(shape_mask),
    R(shape_class),
    R(shape_reserved),
    R(shape_first),
    R(shape_slots_odd),
    R(shape_slots_zero),
    R(shape_slots_many),
    R(shape_full),
    R(slot_between),
    R(slot_beyond),
    R(slot_far),
    R(slot_other_shape),
    R(no_serving),
    R(values_unsorted),
    R(values_twice),
    R(gap),
};

static void test_rules(void **state)
{
    (void)state;
    for (size_t i = 0; i < MS_ARRAY_LEN(rows); i++) {
        struct open o = open_good();
        struct plug_snapshot s;
        const char *why = NULL;
        assert_int_equal(plug_snapshot_read(o.bytes, o.size, &s, &why), 0);
        rows[i].fn(&o);
        if (plug_snapshot_read(o.bytes, o.size, &s, &why) != EPROTO)
            fail_msg("%s: taken", rows[i].name);
        assert_non_null(why);
        free(o.bytes);
    }
}

/* ---- what is allowed though nobody builds it ---- */

static void test_allowed(void **state)
{
    (void)state;
    struct plug_snapshot s;
    const char *why = NULL;
    struct open o = open_good();

    insert(&o, o.h->shapes_off, 16, 0); /* a gap of zeros */
    o.h->shapes_off += 16;
    o.h->slots_off += 16;
    o.h->strings_off += 16;
    assert_int_equal(plug_snapshot_read(o.bytes, o.size, &s, &why), 0);
    free(o.bytes);
    struct feed_snapshot_in empty = {.state = FEED_STATE_NEGATIVE};
    size_t size;
    uint8_t *bytes = feed_snapshot_new(&empty, &size);
    assert_int_equal(size, sizeof(struct feed_header));
    assert_int_equal(plug_snapshot_read(bytes, size, &s, &why), 0);
    assert_int_equal(plug_snapshot_read(bytes, size - 1, &s, &why), EPROTO);
    free(bytes);
}

/* ---- everything else ---- */

static void ask_all(const struct plug_snapshot *s)
{
    struct plug_view view = {s, s->header->fresh_until_ms, s->header->hard_until_ms,
                             s->header->state};
    struct measured_register regs[] = {
        {0, values[0].b, 48}, {4, values[2].b, 48}, {11, values[4].b, 32}, {0, values[1].b, 48}};
    struct measured_match match;

    for (size_t n = 0; n <= 4; n++) {
        (void)plug_check(&view, 15, "dcap-tdx", regs, n, &match);
        (void)plug_check(&view, 15, "azure-tdx", regs, n, &match);
        assert_int_equal(plug_check(&view, view.hard_until_ms, "dcap-tdx", regs, n, &match),
                         MEASURED_UNKNOWN);
    }
}

/* No prefix is taken; whatever bit is flipped, it is refused or safe to ask (ASan watches). */
static void test_changed_bytes(void **state)
{
    (void)state;
    struct open o = open_good();
    struct plug_snapshot s;
    const char *why = NULL;
    size_t taken = 0;

    for (size_t n = 0; n < o.size; n++) {
        uint8_t *copy = malloc(n + 1);
        assert_non_null(copy);
        memcpy(copy, o.bytes, n);
        assert_int_equal(plug_snapshot_read(copy, n, &s, &why), EPROTO);
        free(copy);
    }
    for (size_t bit = 0; bit < o.size * 8; bit++) {
        o.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (plug_snapshot_read(o.bytes, o.size, &s, &why) == 0) {
            ask_all(&s);
            taken++;
        }
        o.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_true(taken > 0 && taken < o.size * 8);
    free(o.bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_allowed),
        cmocka_unit_test(test_changed_bytes),
    };
    return cmocka_run_group_tests_name("plugin.snapshot", tests, setup, NULL);
}
