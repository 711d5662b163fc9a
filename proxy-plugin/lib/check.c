/* proxy-plugin/lib/check.c - the way of a check: no system call, no allocation, no lock.
 *
 * The cost is one hash of what was presented for each set of registers that records pin, and one
 * comparison for each record with that hash. Only when a register was presented with several values
 * are all records gone through. */
#include "proxy-plugin/lib/check.h"

#include <string.h>

/* What was presented, by register. Registers that no record can pin are not in it. */
struct presented {
    uint32_t have;    /* bit n: value[n] is set, and of the class's size */
    uint32_t several; /* bit n: further values were given, all of the class's size */
    uint32_t bad;     /* bit n: one was of another size, so that nothing approves the register */
    size_t value_bytes;
    const uint8_t *value[FEED_REGISTERS];
};

/* ---- what was presented ---- */

/* strcmp without the call, which costs more than these few bytes. */
static inline bool is_text(const char *text, const char *word)
{
    while (*word != '\0' && *text == *word)
        text++, word++;
    return *text == *word;
}

/* 0 for what no record can be compared with. */
static inline uint32_t class_of(const char *attestation_type)
{
    if (is_text(attestation_type, "dcap-tdx") || is_text(attestation_type, "gcp-tdx") ||
        is_text(attestation_type, "qemu-tdx"))
        return FEED_CLASS_DCAP;
    return is_text(attestation_type, "azure-tdx") ? FEED_CLASS_AZURE : 0;
}

static inline uint64_t differ(const uint8_t *a, const uint8_t *b)
{
    return (feed_hash_word(a) ^ feed_hash_word(b)) |
           (feed_hash_word(a + 8) ^ feed_hash_word(b + 8));
}

/* 32 or 48 bytes: all of them at once, again without a call. */
static inline bool equal(const uint8_t *a, const uint8_t *b, size_t bytes)
{
    uint64_t difference = differ(a, b) | differ(a + 16, b + 16);

    if (bytes == 48)
        difference |= differ(a + 32, b + 32);
    return difference == 0;
}

static void present(struct presented *p, const struct measured_register *reg)
{
    uint32_t bit;

    if (reg->index >= FEED_REGISTERS)
        return;
    bit = 1u << reg->index;
    if (reg->value == NULL || reg->size != p->value_bytes)
        p->bad |= bit;
    else if ((p->have & bit) == 0)
        p->value[reg->index] = reg->value;
    else if ((p->bad & bit) == 0 && !equal(p->value[reg->index], reg->value, p->value_bytes))
        p->several |= bit;
    p->have |= bit;
}

static void present_all(struct presented *p, const struct measured_register *regs, size_t n)
{
    for (size_t i = 0; i < n; i++)
        present(p, &regs[i]);
    p->have &= ~p->bad;
    p->several &= ~p->bad;
}

/* ---- one record ---- */

static bool among(const struct feed_record *record, const struct feed_register *reg,
                  const uint8_t *value, size_t value_bytes)
{
    const uint8_t *one = plug_values(record, reg);

    for (size_t i = 0; i < reg->n_values; i++, one += value_bytes)
        if (equal(one, value, value_bytes))
            return true;
    return false;
}

/* The record pins nothing but what was presented. */
static bool approves(const struct feed_record *record, const struct presented *p)
{
    const struct feed_register *regs = plug_registers(record);

    for (size_t i = 0; i < record->n_registers; i++)
        if (!among(record, &regs[i], p->value[regs[i].index], p->value_bytes))
            return false;
    return true;
}

static bool in_force(const struct plug_snapshot *s, const struct feed_record *record,
                     int64_t now_ms)
{
    const struct feed_release *release = &s->releases[record->release];

    return release->from_ms <= now_ms && now_ms < release->until_ms;
}

/* ---- every register with one value: by hash ---- */

static uint64_t hash_presented(const struct plug_snapshot *s, const struct presented *p,
                               uint32_t key_mask)
{
    uint64_t seed = s->header->hash_seed, hash = feed_hash_begin(seed);

    for (uint32_t left = key_mask; left != 0; left &= left - 1) {
        uint32_t index = (uint32_t)__builtin_ctz(left);
        hash = feed_hash_value(hash, seed, index, p->value[index], p->value_bytes);
    }
    return feed_hash_end(hash);
}

/* The better of `best` and what this shape's table has. */
static const struct feed_record *search(const struct plug_snapshot *s,
                                        const struct feed_shape *shape, const struct presented *p,
                                        int64_t now_ms, const struct feed_record *best)
{
    const struct feed_slot *slots = s->slots + shape->first_slot;
    uint64_t hash = hash_presented(s, p, shape->key_mask);
    uint32_t tag = (uint32_t)(hash >> 32), wrap = shape->n_slots - 1;

    for (uint32_t at = (uint32_t)hash & wrap; slots[at].record != 0; at = (at + 1) & wrap) {
        if (slots[at].tag != tag)
            continue;
        const struct feed_record *record =
            (const struct feed_record *)(const void *)(s->records +
                                                       ((size_t)slots[at].record - 1) * 8);
        if ((best == NULL || record->order < best->order) && approves(record, p) &&
            in_force(s, record, now_ms))
            best = record;
    }
    return best;
}

static const struct feed_record *match_by_hash(const struct plug_snapshot *s, uint32_t class_,
                                               const struct presented *p, int64_t now_ms)
{
    const struct feed_record *best = NULL;

    for (size_t i = 0; i < s->header->n_shapes; i++)
        if (s->shapes[i].class_ == class_ && (s->shapes[i].mask & ~p->have) == 0)
            best = search(s, &s->shapes[i], p, now_ms, best);
    return best;
}

/* ---- several values for a register: every record ---- */

/* The distinct values of each register. More than a record can have alternatives are never all
 * approved, so that the register is bad then and n may be anything. */
struct alternatives {
    uint32_t n[FEED_REGISTERS];
    const uint8_t *value[FEED_REGISTERS][FEED_ALTERNATIVES_MAX];
};

static bool add_alternative(struct alternatives *a, const struct measured_register *reg)
{
    const uint8_t **values = a->value[reg->index];
    uint32_t n = a->n[reg->index];

    for (uint32_t i = 0; i < n; i++)
        if (equal(values[i], reg->value, reg->size))
            return true;
    if (n == FEED_ALTERNATIVES_MAX)
        return false;
    values[n] = reg->value;
    a->n[reg->index] = n + 1;
    return true;
}

static void collect(struct alternatives *a, struct presented *p,
                    const struct measured_register *regs, size_t n)
{
    memset(a->n, 0, sizeof(a->n));
    for (size_t i = 0; i < n; i++) {
        uint32_t index = regs[i].index;
        if (index < FEED_REGISTERS && (p->have >> index & 1u) != 0 && !add_alternative(a, &regs[i]))
            p->have &= ~(1u << index);
    }
}

static bool approves_all(const struct feed_record *record, const struct alternatives *a,
                         size_t value_bytes)
{
    const struct feed_register *regs = plug_registers(record);

    for (size_t i = 0; i < record->n_registers; i++)
        for (uint32_t v = 0; v < a->n[regs[i].index]; v++)
            if (!among(record, &regs[i], a->value[regs[i].index][v], value_bytes))
                return false;
    return true;
}

/* Apart, so that the 12 KiB of alternatives are on the stack only here. */
__attribute__((noinline)) static const struct feed_record *
match_by_scan(const struct plug_snapshot *s, uint32_t class_, struct presented *p,
              const struct measured_register *regs, size_t n, int64_t now_ms)
{
    const uint8_t *end = s->records + s->header->records_bytes;
    const struct feed_record *record;
    struct alternatives a;

    collect(&a, p, regs, n);
    for (const uint8_t *at = s->records; at < end; at += record->bytes) {
        record = (const struct feed_record *)(const void *)at;
        if (record->class_ == class_ && (record->mask & ~p->have) == 0 &&
            in_force(s, record, now_ms) && approves_all(record, &a, p->value_bytes))
            return record;
    }
    return NULL;
}

/* ---- the answer ---- */

static void fill_match(const struct plug_snapshot *s, const struct feed_record *record,
                       struct measured_match *match)
{
    const struct feed_release *release = &s->releases[record->release];

    match->release_id = release->id;
    match->sequence = s->header->sequence;
    match->generation = s->header->generation;
    memcpy(match->measurement_id, s->strings + record->id_off, record->id_bytes);
    match->measurement_id[record->id_bytes] = '\0';
    memcpy(match->release_version, s->strings + release->version_off, release->version_bytes);
    match->release_version[release->version_bytes] = '\0';
}

bool plug_view_serves(const struct plug_view *view, int64_t now_ms)
{
    return view != NULL && (view->snapshot->header->flags & FEED_FLAG_SERVE) != 0 &&
           plug_state_serves(view->state) && now_ms < view->hard_until_ms;
}

enum measured_verdict plug_check(const struct plug_view *view, int64_t now_ms,
                                 const char *attestation_type, const struct measured_register *regs,
                                 size_t n, struct measured_match *ret_match)
{
    const struct feed_record *record;
    uint32_t class_;

    if (attestation_type == NULL || !plug_view_serves(view, now_ms))
        return MEASURED_UNKNOWN;
    class_ = class_of(attestation_type);
    if (class_ == 0 || regs == NULL)
        return MEASURED_REFUSED;
    struct presented p; /* value[] is set where `have` says so */
    p.have = p.several = p.bad = 0;
    p.value_bytes = plug_value_bytes(class_);
    present_all(&p, regs, n);
    if (p.several == 0)
        record = match_by_hash(view->snapshot, class_, &p, now_ms);
    else
        record = match_by_scan(view->snapshot, class_, &p, regs, n, now_ms);
    if (record == NULL)
        return MEASURED_REFUSED;
    if (ret_match != NULL)
        fill_match(view->snapshot, record, ret_match);
    return MEASURED_APPROVED;
}

/* ---- what it is answered from ---- */

static enum measured_state state_of(const struct plug_view *view, int64_t now_ms)
{
    static const enum measured_state states[] = {
        [FEED_STATE_FRESH] = MEASURED_STATE_FRESH,
        [FEED_STATE_SWR] = MEASURED_STATE_STALE_WHILE_REVALIDATE,
        [FEED_STATE_SIE] = MEASURED_STATE_STALE_IF_ERROR,
        [FEED_STATE_EXPIRED] = MEASURED_STATE_EXPIRED,
        [FEED_STATE_NEGATIVE] = MEASURED_STATE_NEGATIVE,
        [FEED_STATE_REVOKED] = MEASURED_STATE_REVOKED,
        [FEED_STATE_HOLD] = MEASURED_STATE_HOLD,
        [FEED_STATE_CONFLICT] = MEASURED_STATE_CONFLICT,
        [FEED_STATE_CLOCK_SUSPECT] = MEASURED_STATE_CLOCK_SUSPECT,
    };
    bool served = (view->snapshot->header->flags & FEED_FLAG_SERVE) != 0;

    if (served && now_ms >= view->hard_until_ms)
        return MEASURED_STATE_EXPIRED;
    if (view->state == FEED_STATE_FRESH && now_ms >= view->fresh_until_ms)
        return MEASURED_STATE_STALE_WHILE_REVALIDATE;
    return states[view->state];
}

void plug_describe(const struct plug_view *view, int64_t now_ms,
                   struct measured_description *ret_description)
{
    const struct feed_header *header = view->snapshot->header;

    *ret_description = (struct measured_description){
        .state = state_of(view, now_ms),
        .serves = plug_view_serves(view, now_ms),
        .generation = header->generation,
        .sequence = header->sequence,
        .fresh_until_ms = view->fresh_until_ms,
        .hard_until_ms = view->hard_until_ms,
        .n_records = header->n_records,
    };
}
