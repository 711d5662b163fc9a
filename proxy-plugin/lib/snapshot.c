/* proxy-plugin/lib/snapshot.c - what a reader checks before it uses a snapshot. */
#include "proxy-plugin/lib/snapshot.h"

#include "include/measured/measured.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A reading in progress. `starts` has a bit for each 8 bytes of the records: where one begins. */
struct reading {
    const uint8_t *bytes;
    size_t size;
    struct plug_snapshot s;
    uint8_t *starts;
};

bool plug_state_known(uint32_t state)
{
    return state >= FEED_STATE_FRESH && state <= FEED_STATE_CLOCK_SUSPECT;
}

bool plug_state_serves(uint32_t state)
{
    return state == FEED_STATE_FRESH || state == FEED_STATE_SWR || state == FEED_STATE_SIE ||
           state == FEED_STATE_REVOKED || state == FEED_STATE_HOLD;
}

static bool is_zero(const uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (bytes[i] != 0)
            return false;
    return true;
}

/* ---- 2: the header and where the sections are ---- */

static const char *check_header(const struct reading *r)
{
    const struct feed_header *h = r->s.header;

    if (h->magic != FEED_SNAPSHOT_MAGIC)
        return "it does not begin as a snapshot";
    if (h->version != FEED_VERSION || h->header_bytes != sizeof(*h))
        return "another version of the format";
    if (h->size != r->size)
        return "the header tells another size";
    if ((h->flags & ~FEED_FLAG_SERVE) != 0 || h->reserved != 0)
        return "flags that are not known";
    if (!plug_state_known(h->state))
        return "a state that is not known";
    if ((h->flags & FEED_FLAG_SERVE) == 0 && (h->n_releases != 0 || h->n_records != 0))
        return "records although nothing may be served";
    return NULL;
}

/* The section at `off`, which follows what ended at *end; moves *end behind it. */
static const char *check_section(const struct reading *r, uint64_t off, uint64_t bytes,
                                 uint64_t *end)
{
    if (off % 8 != 0 || off < *end)
        return "a section is not where it may be";
    if (off > r->size || bytes > r->size - off)
        return "a section goes beyond the end";
    if (!is_zero(r->bytes + *end, (size_t)(off - *end)))
        return "bytes between sections";
    *end = off + bytes;
    return NULL;
}

static const char *check_sections(struct reading *r)
{
    const struct feed_header *h = r->s.header;
    const struct {
        uint64_t off, bytes;
    } sections[] = {
        {h->releases_off, (uint64_t)h->n_releases * sizeof(struct feed_release)},
        {h->records_off, h->records_bytes},
        {h->shapes_off, (uint64_t)h->n_shapes * sizeof(struct feed_shape)},
        {h->slots_off, (uint64_t)h->n_slots * sizeof(struct feed_slot)},
        {h->strings_off, h->strings_bytes},
    };
    uint64_t end = sizeof(*h);

    for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++) {
        const char *why = check_section(r, sections[i].off, sections[i].bytes, &end);
        if (why != NULL)
            return why;
    }
    if (end != r->size)
        return "bytes after the last section";
    r->s.releases = (const struct feed_release *)(const void *)(r->bytes + h->releases_off);
    r->s.records = r->bytes + h->records_off;
    r->s.shapes = (const struct feed_shape *)(const void *)(r->bytes + h->shapes_off);
    r->s.slots = (const struct feed_slot *)(const void *)(r->bytes + h->slots_off);
    r->s.strings = (const char *)(r->bytes + h->strings_off);
    return NULL;
}

/* ---- 3: strings and releases ---- */

/* All of them at once: many records may share one string, and it is looked at only here. */
static const char *check_strings(const struct reading *r)
{
    const uint8_t *text = (const uint8_t *)r->s.strings;

    for (size_t i = 0; i < r->s.header->strings_bytes; i++)
        if (text[i] < 0x20 || text[i] == 0x7f)
            return "a control character in a string";
    return NULL;
}

static bool string_inside(const struct reading *r, uint32_t off, uint32_t bytes, uint32_t max)
{
    uint32_t all = r->s.header->strings_bytes;

    return bytes <= max && off <= all && bytes <= all - off;
}

static const char *check_releases(const struct reading *r)
{
    for (size_t i = 0; i < r->s.header->n_releases; i++) {
        const struct feed_release *release = &r->s.releases[i];
        if (!string_inside(r, release->version_off, release->version_bytes, MEASURED_VERSION_MAX))
            return "the version of a release is not among the strings, or too long";
    }
    return NULL;
}

/* ---- 4: records ---- */

static void set_start(const struct reading *r, size_t at)
{
    r->starts[at / 64] |= (uint8_t)(1u << (at / 8 % 8));
}

static bool is_start(const struct reading *r, size_t at)
{
    return ((unsigned)r->starts[at / 64] >> (at / 8 % 8) & 1u) != 0;
}

static bool values_sorted(const uint8_t *values, size_t n, size_t bytes)
{
    for (size_t i = 1; i < n; i++)
        if (memcmp(values + (i - 1) * bytes, values + i * bytes, bytes) >= 0)
            return false;
    return true;
}

static const char *check_registers(const struct feed_record *record)
{
    const struct feed_register *regs = plug_registers(record);
    size_t value_bytes = plug_value_bytes(record->class_);
    size_t end = sizeof(*record) + record->n_registers * sizeof(*regs);
    uint32_t mask = 0;

    if (record->n_registers == 0 || end > record->bytes)
        return "a record without registers, or with more than it has room for";
    for (size_t i = 0; i < record->n_registers; i++) {
        size_t at = (size_t)regs[i].values_off * 8, bytes = regs[i].n_values * value_bytes;
        if (regs[i].index >= FEED_REGISTERS || mask >> regs[i].index != 0)
            return "registers that do not rise";
        mask |= 1u << regs[i].index;
        if (regs[i].n_values == 0 || regs[i].n_values > FEED_ALTERNATIVES_MAX)
            return "a register with no values or too many";
        if (at < end || at > record->bytes || bytes > record->bytes - at)
            return "values outside of their place in the record";
        end = at + bytes;
        if (!values_sorted(plug_values(record, &regs[i]), regs[i].n_values, value_bytes))
            return "values that are not sorted";
    }
    return mask == record->mask ? NULL : "a record that pins other registers than it says";
}

static const char *check_record(const struct reading *r, const struct feed_record *record,
                                uint32_t order, uint32_t least_release)
{
    if (record->class_ != FEED_CLASS_AZURE && record->class_ != FEED_CLASS_DCAP)
        return "a record of a class that is not known";
    if (record->order != order)
        return "records out of order";
    if (record->release < least_release || record->release >= r->s.header->n_releases)
        return "a record of no release, or out of its release's order";
    if (!string_inside(r, record->id_off, record->id_bytes, MEASURED_ID_MAX))
        return "the id of a record is not among the strings, or too long";
    return check_registers(record);
}

static const char *check_records(const struct reading *r)
{
    const struct feed_header *h = r->s.header;
    uint32_t release = 0, order = 0;
    size_t at = 0;

    while (at < h->records_bytes) {
        const struct feed_record *record =
            (const struct feed_record *)(const void *)(r->s.records + at);
        size_t left = h->records_bytes - at;
        if (left < sizeof(*record) || record->bytes > left || record->bytes % 8 != 0 ||
            record->bytes < sizeof(*record))
            return "a record that does not fit";
        const char *why = check_record(r, record, order, release);
        if (why != NULL)
            return why;
        set_start(r, at);
        release = record->release;
        order++;
        at += record->bytes;
    }
    return order == h->n_records ? NULL : "another number of records than the header says";
}

/* ---- 5 and 6: shapes and their slots ---- */

static const char *check_slot(const struct reading *r, const struct feed_shape *shape,
                              const struct feed_slot *slot)
{
    uint64_t at = ((uint64_t)slot->record - 1) * 8;

    if (at >= r->s.header->records_bytes || !is_start(r, at))
        return "a slot that leads to no record";
    const struct feed_record *record =
        (const struct feed_record *)(const void *)(r->s.records + at);
    if (record->class_ != shape->class_ || record->mask != shape->mask)
        return "a slot that leads to a record of another shape";
    return NULL;
}

static const char *check_shape(const struct reading *r, const struct feed_shape *shape,
                               uint64_t *first_slot)
{
    uint64_t left = r->s.header->n_slots - *first_slot;
    bool empty = false;

    if (shape->key_mask == 0 || (shape->key_mask & ~shape->mask) != 0 ||
        shape->mask >> FEED_REGISTERS != 0 || shape->reserved != 0)
        return "a shape that hashes what it does not pin";
    if (shape->first_slot != *first_slot || shape->n_slots == 0 || shape->n_slots > left ||
        (shape->n_slots & (shape->n_slots - 1)) != 0)
        return "a hash table that is not where it may be";
    for (size_t i = 0; i < shape->n_slots; i++) {
        const struct feed_slot *slot = &r->s.slots[*first_slot + i];
        empty |= slot->record == 0;
        const char *why = slot->record == 0 ? NULL : check_slot(r, shape, slot);
        if (why != NULL)
            return why;
    }
    *first_slot += shape->n_slots;
    return empty ? NULL : "a hash table without an empty slot";
}

static const char *check_shapes(const struct reading *r)
{
    uint64_t first_slot = 0;

    for (size_t i = 0; i < r->s.header->n_shapes; i++) {
        const char *why = check_shape(r, &r->s.shapes[i], &first_slot);
        if (why != NULL)
            return why;
    }
    return first_slot == r->s.header->n_slots ? NULL : "slots that belong to no shape";
}

static const char *check_content(const struct reading *r)
{
    const char *why = check_strings(r);

    if (why == NULL)
        why = check_releases(r);
    if (why == NULL)
        why = check_records(r);
    return why != NULL ? why : check_shapes(r);
}

int plug_snapshot_read(const void *bytes, size_t size, struct plug_snapshot *ret_snapshot,
                       const char **ret_why)
{
    struct reading r = {.bytes = bytes, .size = size, .s.header = bytes};
    const char *why = NULL;

    if ((uintptr_t)bytes % 8 != 0 || size < sizeof(*r.s.header) || size > FEED_SNAPSHOT_MAX_BYTES)
        why = "too small or too large for a snapshot";
    if (why == NULL)
        why = check_header(&r);
    if (why == NULL)
        why = check_sections(&r);
    if (why == NULL) {
        r.starts = calloc(r.s.header->records_bytes / 64 + 1, 1);
        if (r.starts == NULL)
            return ENOMEM;
        why = check_content(&r);
        free(r.starts);
    }
    if (why != NULL) {
        *ret_why = why;
        return EPROTO;
    }
    *ret_snapshot = r.s;
    return 0;
}
