/* resolver/entry/snapshot.c - building snapshots.
 *
 * Passes over the same walk: for which registers tell records apart, for sizes (so that every
 * section's place is known), and to write. Hash tables are at most half full. */
#include "resolver/entry/snapshot.h"

#include "include/measured/feed_format.h"

#include <stdlib.h>

#define CHOICES_MAX 64u /* entries of one record in its table */
#define SHAPES_MAX 65536u
#define FAMILIES_MAX 8u     /* beyond, no register is looked for that tells records apart */
#define TELLING_MAX 262144u /* as with so many values of one family */
#define TELLING_RUN_MAX 4u  /* entries with the same value of it */

_Static_assert(FEED_REGISTERS == REC_REGISTERS_MAX, "registers of a record");
_Static_assert(FEED_ALTERNATIVES_MAX == REC_ALTERNATIVES_MAX, "values of a register");
_Static_assert(FEED_NEVER == ENTRY_NEVER, "no end");

/* ---- windows ---- */

struct snapshot_window snapshot_window(const struct source_release *release,
                                       const struct entry *entry, int64_t block_s,
                                       struct ms_now now)
{
    struct snapshot_window window = {.from_ms = INT64_MIN, .until_ms = ENTRY_NEVER};
    int64_t chain_s = entry_chain_time(entry, block_s, now);

    if (release->not_after_s != 0)
        window.until_ms = entry_boot_ms(release->not_after_s, now);
    switch (entry_release_window(release, chain_s, now.wall_s)) {
    case ENTRY_WINDOW_EXPIRED:
        window.until_ms = INT64_MIN;
        break;
    case ENTRY_WINDOW_PENDING: {
        /* would it have begun when the wall clock says so, if nothing more was heard till then? */
        struct ms_now then = {.wall_s = release->not_before_s,
                              .boot_ms = entry_boot_ms(release->not_before_s, now)};
        bool begins = entry_chain_time(entry, block_s, then) >= release->not_before_s;
        window.from_ms = begins && then.boot_ms > now.boot_ms ? then.boot_ms : ENTRY_NEVER;
        break;
    }
    case ENTRY_WINDOW_IN_FORCE:
        break;
    }
    return window;
}

uint32_t snapshot_state(enum entry_state state)
{
    switch (state) {
    case ENTRY_EMPTY:
        return 0;
    case ENTRY_FRESH:
        return FEED_STATE_FRESH;
    case ENTRY_SWR:
        return FEED_STATE_SWR;
    case ENTRY_SIE:
        return FEED_STATE_SIE;
    case ENTRY_EXPIRED:
        return FEED_STATE_EXPIRED;
    case ENTRY_NEGATIVE:
        return FEED_STATE_NEGATIVE;
    case ENTRY_REVOKED:
        return FEED_STATE_REVOKED;
    case ENTRY_HOLD:
        return FEED_STATE_HOLD;
    case ENTRY_CONFLICT:
        return FEED_STATE_CONFLICT;
    case ENTRY_CLOCK_SUSPECT:
        return FEED_STATE_CLOCK_SUSPECT;
    }
    return 0;
}

/* ---- what is in it ---- */

struct shape {
    uint32_t class_, mask, key_mask;
    size_t n_entries;
    uint32_t n_slots, first_slot;
};

/* Records that pin the same registers. */
struct family {
    uint32_t class_, mask;
    size_t n_values;  /* of all their registers */
    uint32_t telling; /* bit of a register that (nearly) tells them apart; 0: none */
};

struct builder {
    const struct snapshot_input *in;
    size_t n_families; /* FAMILIES_MAX + 1: there are more */
    struct family families[FAMILIES_MAX];
    struct family *looking; /* the family, register and values that are being looked at */
    uint32_t looking_index;
    uint64_t *hashes;
    size_t n_hashes;
    struct shape *shapes; /* sorted by (class, mask, key_mask) once all are known */
    size_t n_shapes, cap_shapes;
    size_t n_releases, n_records, records_bytes, n_slots, strings_bytes;
    struct feed_header header;
    uint8_t *base; /* second pass: the whole snapshot */
    size_t strings_at;
};

static uint32_t class_of(const struct rec_record *record)
{
    switch (record->type) {
    case REC_TYPE_UNKNOWN:
        return 0;
    case REC_TYPE_AZURE_TDX:
        return FEED_CLASS_AZURE;
    case REC_TYPE_DCAP_TDX:
    case REC_TYPE_GCP_TDX:
    case REC_TYPE_QEMU_TDX:
        return FEED_CLASS_DCAP;
    }
    return 0;
}

static bool counts(const struct rec_record *record)
{
    return class_of(record) != 0 && record->n_registers > 0;
}

static size_t aligned(size_t n)
{
    return (n + 7) / 8 * 8;
}

static size_t values_at(const struct rec_record *record)
{
    return aligned(sizeof(struct feed_record) + record->n_registers * sizeof(struct feed_register));
}

static size_t record_bytes(const struct rec_record *record)
{
    size_t values = 0;

    for (size_t i = 0; i < record->n_registers; i++)
        values += record->registers[i].n_values;
    return values_at(record) + values * rec_type_value_bytes(record->type);
}

static uint32_t mask_of(const struct rec_record *record)
{
    uint32_t mask = 0;

    for (size_t i = 0; i < record->n_registers; i++)
        mask |= 1u << record->registers[i].index;
    return mask;
}

static struct family *family_of(struct builder *b, const struct rec_record *record)
{
    uint32_t class_ = class_of(record), mask = mask_of(record);

    for (size_t i = 0; i < b->n_families && i < FAMILIES_MAX; i++)
        if (b->families[i].class_ == class_ && b->families[i].mask == mask)
            return &b->families[i];
    return NULL;
}

static const struct rec_register *register_of(const struct rec_record *record, uint32_t index)
{
    for (size_t i = 0; i < record->n_registers; i++)
        if (record->registers[i].index == index)
            return &record->registers[i];
    return NULL;
}

/* The register that tells records apart, where there is one: a check hashes no more than it needs.
 * Else fewest alternatives first, as many registers as keep the record's entries few. */
static struct shape shape_of(struct builder *b, const struct rec_record *record)
{
    struct shape shape = {.class_ = class_of(record), .mask = mask_of(record), .n_entries = 1};
    const struct family *family = family_of(b, record);

    if (family != NULL && family->telling != 0) {
        shape.key_mask = family->telling;
        shape.n_entries = register_of(record, (uint32_t)__builtin_ctz(family->telling))->n_values;
        return shape;
    }
    for (;;) {
        const struct rec_register *next = NULL;
        for (size_t i = 0; i < record->n_registers; i++) {
            const struct rec_register *r = &record->registers[i];
            if ((shape.key_mask >> r->index & 1u) == 0 &&
                (next == NULL || r->n_values < next->n_values))
                next = r;
        }
        if (next == NULL || (shape.key_mask != 0 && shape.n_entries * next->n_values > CHOICES_MAX))
            return shape;
        shape.key_mask |= 1u << next->index;
        shape.n_entries *= next->n_values;
    }
}

static int shape_cmp(const struct shape *a, const struct shape *b)
{
    if (a->class_ != b->class_)
        return a->class_ < b->class_ ? -1 : 1;
    if (a->mask != b->mask)
        return a->mask < b->mask ? -1 : 1;
    if (a->key_mask != b->key_mask)
        return a->key_mask < b->key_mask ? -1 : 1;
    return 0;
}

/* The place of a shape, or where it belongs. */
static size_t shape_place(const struct builder *b, const struct shape *wanted)
{
    size_t low = 0, high = b->n_shapes;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (shape_cmp(&b->shapes[middle], wanted) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static enum ms_err count_shape(struct builder *b, const struct shape *found)
{
    size_t at = shape_place(b, found);

    if (at < b->n_shapes && shape_cmp(&b->shapes[at], found) == 0) {
        b->shapes[at].n_entries += found->n_entries;
        return MS_OK;
    }
    if (b->n_shapes == SHAPES_MAX)
        return MS_ERR_LIMIT;
    if (b->n_shapes == b->cap_shapes) {
        size_t cap = b->cap_shapes == 0 ? 8 : 2 * b->cap_shapes;
        struct shape *grown = realloc(b->shapes, cap * sizeof(*grown));
        if (grown == NULL)
            return MS_ERR_MEMORY;
        b->shapes = grown;
        b->cap_shapes = cap;
    }
    memmove(&b->shapes[at + 1], &b->shapes[at], (b->n_shapes - at) * sizeof(*b->shapes));
    b->shapes[at] = *found;
    b->n_shapes++;
    return MS_OK;
}

/* Calls fn for every record that is to be in it, by release; `release` is the index among those
 * that are. */
static enum ms_err
walk(struct builder *b,
     enum ms_err (*on_release)(struct builder *b, const struct source_release *release,
                               const struct snapshot_window *window),
     enum ms_err (*on_record)(struct builder *b, const struct rec_record *record, uint32_t release))
{
    const struct source_result *result = b->in->result;
    enum ms_err err = MS_OK;
    uint32_t n = 0;

    for (size_t i = 0; result != NULL && i < result->n_releases; i++) {
        if (b->in->windows[i].until_ms <= b->in->built_boot_ms)
            continue;
        const struct rec_set *set = result->releases[i].set;
        err = on_release(b, &result->releases[i], &b->in->windows[i]);
        for (size_t r = 0; err == MS_OK && r < set->n_records; r++)
            if (counts(&set->records[r]))
                err = on_record(b, &set->records[r], n);
        if (err != MS_OK)
            return err;
        n++;
    }
    return MS_OK;
}

/* ---- which register tells records apart ---- */

static enum ms_err no_release(struct builder *b, const struct source_release *release,
                              const struct snapshot_window *window)
{
    (void)b;
    (void)release;
    (void)window;
    return MS_OK;
}

static enum ms_err count_family(struct builder *b, const struct rec_record *record,
                                uint32_t release)
{
    struct family *family = family_of(b, record);

    (void)release;
    if (family == NULL && b->n_families < FAMILIES_MAX) {
        family = &b->families[b->n_families++];
        *family = (struct family){.class_ = class_of(record), .mask = mask_of(record)};
    } else if (family == NULL) {
        b->n_families = FAMILIES_MAX + 1;
        return MS_OK;
    }
    for (size_t i = 0; i < record->n_registers; i++)
        family->n_values += record->registers[i].n_values;
    return MS_OK;
}

static enum ms_err hash_values(struct builder *b, const struct rec_record *record, uint32_t release)
{
    (void)release;
    if (family_of(b, record) != b->looking)
        return MS_OK;
    const struct rec_register *r = register_of(record, b->looking_index);
    for (size_t i = 0; i < r->n_values; i++)
        b->hashes[b->n_hashes++] = feed_hash_value(0, b->in->seed, r->index, r->values[i].b,
                                                   rec_type_value_bytes(record->type));
    return MS_OK;
}

static int hash_cmp(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

static size_t longest_run(uint64_t *hashes, size_t n)
{
    size_t longest = 0, run = 0;

    qsort(hashes, n, sizeof(*hashes), hash_cmp);
    for (size_t i = 0; i < n; i++) {
        run = i > 0 && hashes[i] == hashes[i - 1] ? run + 1 : 1;
        longest = run > longest ? run : longest;
    }
    return longest;
}

/* The one with the fewest entries of those that tell. */
static enum ms_err find_telling(struct builder *b, struct family *family)
{
    size_t fewest = SIZE_MAX;

    if (family->n_values > TELLING_MAX)
        return MS_OK;
    b->hashes = malloc(family->n_values * sizeof(*b->hashes));
    if (b->hashes == NULL)
        return MS_ERR_MEMORY;
    b->looking = family;
    for (uint32_t left = family->mask; left != 0; left &= left - 1) {
        b->looking_index = (uint32_t)__builtin_ctz(left);
        b->n_hashes = 0;
        (void)walk(b, no_release, hash_values);
        if (b->n_hashes >= fewest || longest_run(b->hashes, b->n_hashes) > TELLING_RUN_MAX)
            continue;
        fewest = b->n_hashes;
        family->telling = left & -left;
    }
    free(b->hashes);
    b->hashes = NULL;
    return MS_OK;
}

static enum ms_err find_all_telling(struct builder *b)
{
    enum ms_err err = walk(b, no_release, count_family);

    for (size_t i = 0; err == MS_OK && b->n_families <= FAMILIES_MAX && i < b->n_families; i++)
        err = find_telling(b, &b->families[i]);
    return err;
}

/* ---- first pass ---- */

static enum ms_err count_release(struct builder *b, const struct source_release *release,
                                 const struct snapshot_window *window)
{
    (void)window;
    b->n_releases++;
    b->strings_bytes += strlen(release->version);
    return MS_OK;
}

static enum ms_err count_record(struct builder *b, const struct rec_record *record,
                                uint32_t release)
{
    struct shape shape = shape_of(b, record);

    (void)release;
    b->n_records++;
    b->records_bytes += aligned(record_bytes(record));
    b->strings_bytes += strlen(record->id);
    return count_shape(b, &shape);
}

static enum ms_err size_tables(struct builder *b)
{
    for (size_t i = 0; i < b->n_shapes; i++) {
        size_t slots = 2;
        while (slots < 2 * b->shapes[i].n_entries)
            slots *= 2;
        b->shapes[i].first_slot = (uint32_t)b->n_slots;
        b->shapes[i].n_slots = (uint32_t)slots;
        b->n_slots += slots;
        if (b->n_slots > FEED_SNAPSHOT_MAX_BYTES / sizeof(struct feed_slot))
            return MS_ERR_LIMIT;
    }
    return MS_OK;
}

static enum ms_err lay_out(struct builder *b, size_t max)
{
    const struct snapshot_input *in = b->in;
    size_t at = sizeof(b->header);
    struct feed_header *h = &b->header;

    *h = (struct feed_header){.magic = FEED_SNAPSHOT_MAGIC,
                              .version = FEED_VERSION,
                              .header_bytes = sizeof(*h),
                              .generation = in->generation,
                              .sequence = in->sequence,
                              .built_boot_ms = in->built_boot_ms,
                              .fresh_until_ms = in->fresh_until_ms,
                              .hard_until_ms = in->hard_until_ms,
                              .state = snapshot_state(in->state),
                              .flags = in->result != NULL ? FEED_FLAG_SERVE : 0,
                              .hash_seed = in->seed,
                              .n_releases = (uint32_t)b->n_releases,
                              .n_shapes = (uint32_t)b->n_shapes,
                              .n_slots = (uint32_t)b->n_slots,
                              .n_records = (uint32_t)b->n_records};
    memcpy(h->key, in->key.b, sizeof(h->key));
    if (in->result != NULL)
        memcpy(h->set_hash, in->result->set_hash.b, sizeof(h->set_hash));
    if (b->records_bytes > FEED_SNAPSHOT_MAX_BYTES || b->strings_bytes > FEED_SNAPSHOT_MAX_BYTES)
        return MS_ERR_LIMIT;
    h->releases_off = (uint32_t)at;
    at += b->n_releases * sizeof(struct feed_release);
    h->records_off = (uint32_t)at;
    h->records_bytes = (uint32_t)b->records_bytes;
    at += b->records_bytes;
    h->shapes_off = (uint32_t)at;
    at += b->n_shapes * sizeof(struct feed_shape);
    h->slots_off = (uint32_t)at;
    at += b->n_slots * sizeof(struct feed_slot);
    h->strings_off = (uint32_t)at;
    h->strings_bytes = (uint32_t)b->strings_bytes;
    at += b->strings_bytes;
    h->size = at;
    return at > max || at > FEED_SNAPSHOT_MAX_BYTES ? MS_ERR_LIMIT : MS_OK;
}

/* ---- second pass ---- */

static uint32_t put_string(struct builder *b, const char *text, size_t *ret_bytes)
{
    size_t at = b->strings_at, len = strlen(text);

    memcpy(b->base + b->header.strings_off + at, text, len);
    b->strings_at += len;
    *ret_bytes = len;
    return (uint32_t)at;
}

static enum ms_err put_release(struct builder *b, const struct source_release *release,
                               const struct snapshot_window *window)
{
    size_t len = 0;
    struct feed_release out = {.id = release->id,
                               .from_ms = window->from_ms,
                               .until_ms = window->until_ms,
                               .not_before_s = release->not_before_s,
                               .not_after_s = release->not_after_s};

    out.version_off = put_string(b, release->version, &len);
    out.version_bytes = (uint32_t)len;
    memcpy(b->base + b->header.releases_off + b->n_releases++ * sizeof(out), &out, sizeof(out));
    return MS_OK;
}

static void put_slot(struct builder *b, const struct shape *shape, uint64_t hash, uint32_t record)
{
    struct feed_slot *slots =
        (struct feed_slot *)(void *)(b->base + b->header.slots_off) + shape->first_slot;
    uint32_t at = (uint32_t)hash & (shape->n_slots - 1);

    while (slots[at].record != 0)
        at = (at + 1) & (shape->n_slots - 1);
    slots[at] = (struct feed_slot){.tag = (uint32_t)(hash >> 32), .record = record};
}

/* One entry for each choice of values for the hashed registers; registers stand by rising index. */
static void put_entries(struct builder *b, const struct rec_record *record,
                        const struct shape *shape, uint32_t offset)
{
    size_t choice[REC_REGISTERS_MAX] = {0};
    size_t bytes = rec_type_value_bytes(record->type);

    for (;;) {
        uint64_t hash = feed_hash_begin(b->in->seed);
        for (size_t i = 0; i < record->n_registers; i++) {
            const struct rec_register *r = &record->registers[i];
            if ((shape->key_mask >> r->index & 1u) != 0)
                hash = feed_hash_value(hash, b->in->seed, r->index, r->values[choice[i]].b, bytes);
        }
        put_slot(b, shape, feed_hash_end(hash), offset / 8 + 1);
        size_t i = 0;
        for (; i < record->n_registers; i++) {
            const struct rec_register *r = &record->registers[i];
            if ((shape->key_mask >> r->index & 1u) == 0)
                continue;
            if (++choice[i] < r->n_values)
                break;
            choice[i] = 0;
        }
        if (i == record->n_registers)
            return;
    }
}

static void put_registers(const struct rec_record *record, uint8_t *to)
{
    struct feed_register *registers =
        (struct feed_register *)(void *)(to + sizeof(struct feed_record));
    size_t at = values_at(record), bytes = rec_type_value_bytes(record->type);

    for (size_t i = 0; i < record->n_registers; i++) {
        const struct rec_register *r = &record->registers[i];
        registers[i] = (struct feed_register){.index = (uint8_t)r->index,
                                              .n_values = (uint8_t)r->n_values,
                                              .values_off = (uint16_t)(at / 8)};
        for (size_t v = 0; v < r->n_values; v++, at += bytes)
            memcpy(to + at, r->values[v].b, bytes);
    }
}

static enum ms_err put_record(struct builder *b, const struct rec_record *record, uint32_t release)
{
    struct shape wanted = shape_of(b, record);
    uint32_t offset = (uint32_t)b->records_bytes;
    uint8_t *to = b->base + b->header.records_off + offset;
    size_t id_bytes = 0;
    struct feed_record out = {.bytes = (uint32_t)aligned(record_bytes(record)),
                              .order = (uint32_t)b->n_records++,
                              .release = release,
                              .class_ = (uint8_t)wanted.class_,
                              .n_registers = (uint8_t)record->n_registers,
                              .mask = wanted.mask};

    out.id_off = put_string(b, record->id, &id_bytes);
    out.id_bytes = (uint16_t)id_bytes;
    memcpy(to, &out, sizeof(out));
    put_registers(record, to);
    b->records_bytes += out.bytes;
    put_entries(b, record, &b->shapes[shape_place(b, &wanted)], offset);
    return MS_OK;
}

static void put_shapes(struct builder *b)
{
    for (size_t i = 0; i < b->n_shapes; i++) {
        const struct shape *s = &b->shapes[i];
        struct feed_shape out = {.class_ = s->class_,
                                 .mask = s->mask,
                                 .key_mask = s->key_mask,
                                 .n_slots = s->n_slots,
                                 .first_slot = s->first_slot};
        memcpy(b->base + b->header.shapes_off + i * sizeof(out), &out, sizeof(out));
    }
}

enum ms_err snapshot_build(const struct snapshot_input *in, struct ms_buf *out)
{
    struct builder b = {.in = in};

    enum ms_err err = find_all_telling(&b);
    if (err == MS_OK)
        err = walk(&b, count_release, count_record);
    if (err == MS_OK)
        err = size_tables(&b);
    if (err == MS_OK)
        err = lay_out(&b, out->max);
    if (err != MS_OK)
        goto out;
    b.base = ms_buf_room(out, b.header.size);
    if (b.base == NULL) {
        err = ms_buf_err(out);
        goto out;
    }
    memset(b.base, 0, b.header.size);
    memcpy(b.base, &b.header, sizeof(b.header));
    put_shapes(&b);
    b.n_releases = b.n_records = b.records_bytes = 0; /* counted again, as places */
    err = walk(&b, put_release, put_record);
    if (err == MS_OK)
        out->len += b.header.size;
out:
    free(b.shapes);
    return err;
}
