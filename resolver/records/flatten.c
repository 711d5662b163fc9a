/* resolver/records/flatten.c - records as one list of values a register, for consumers that look at
 * each register by itself.
 *
 * A record approves combinations. A list a register approves the product of all lists, the MRTD of
 * one release beside the RTMR2 of another: so lists stand for records only where that product is
 * what the records approve together. */
#include "resolver/records/internal.h"

#include <stdlib.h>

static bool same_registers(const struct rec_box *a, const struct rec_box *b)
{
    if (a->n_registers != b->n_registers)
        return false;
    for (size_t i = 0; i < a->n_registers; i++)
        if (a->registers[i].index != b->registers[i].index)
            return false;
    return true;
}

/* The values of register `at` in all boxes. */
static enum ms_err join(const struct rec_box *boxes, size_t n, size_t at, struct ms_arena *arena,
                        struct rec_register *axis)
{
    size_t total = 0;

    for (size_t i = 0; i < n; i++) {
        total += boxes[i].registers[at].n_values;
        if (total > REC_FLAT_VALUES_MAX)
            return MS_ERR_EXPANSION;
    }
    struct rec_value *values = ms_arena_alloc(arena, total, sizeof(*values));
    if (values == NULL)
        return MS_ERR_MEMORY;
    size_t used = 0;
    for (size_t i = 0; i < n; i++) {
        const struct rec_register *reg = &boxes[i].registers[at];
        memcpy(values + used, reg->values, reg->n_values * sizeof(*values));
        used += reg->n_values;
    }
    *axis = (struct rec_register){.index = boxes[0].registers[at].index,
                                  .n_values = rec_sort_values(values, total),
                                  .values = values};
    return MS_OK;
}

/* How many combinations there are, or one more than the cap. */
static size_t combinations(const struct rec_register *registers, size_t n)
{
    size_t product = 1;

    for (size_t i = 0; i < n; i++) {
        product *= registers[i].n_values; /* at most 2^16 * 2^16 */
        if (product > REC_FLAT_COMBINATIONS_MAX)
            return REC_FLAT_COMBINATIONS_MAX + 1;
    }
    return product;
}

static size_t place_of(const struct rec_register *axis, const struct rec_value *value)
{
    const struct rec_value *found =
        bsearch(value, axis->values, axis->n_values, sizeof(*value), rec_value_cmp);

    return (size_t)(found - axis->values); /* it was joined from this one, too */
}

/* Marks every combination of one box; returns how many were not yet marked. */
static size_t mark(const struct rec_box *box, const struct rec_register *axes, uint8_t *marks)
{
    size_t choice[REC_REGISTERS_MAX] = {0}, fresh = 0, n = box->n_registers;

    for (;;) {
        size_t at = 0;
        for (size_t i = 0; i < n; i++)
            at = at * axes[i].n_values + place_of(&axes[i], &box->registers[i].values[choice[i]]);
        unsigned bit = 1u << at % 8;
        fresh += (marks[at / 8] & bit) == 0;
        marks[at / 8] = (uint8_t)(marks[at / 8] | bit);
        size_t i = n;
        while (i > 0 && ++choice[i - 1] == box->registers[i - 1].n_values)
            choice[--i] = 0;
        if (i == 0)
            return fresh;
    }
}

static bool covers(const struct rec_box *box, const struct rec_register *axes)
{
    for (size_t i = 0; i < box->n_registers; i++)
        if (box->registers[i].n_values != axes[i].n_values)
            return false;
    return true;
}

static enum ms_err judge(const struct rec_box *boxes, size_t n, const struct rec_register *axes,
                         size_t n_axes, enum rec_mixing *ret_mixing)
{
    size_t all = combinations(axes, n_axes), marked = 0, work = 0;

    for (size_t i = 0; i < n; i++) {
        if (covers(&boxes[i], axes)) {
            *ret_mixing = REC_MIXING_NONE;
            return MS_OK;
        }
        if (work <= REC_FLAT_COMBINATIONS_MAX)
            work += combinations(boxes[i].registers, boxes[i].n_registers);
    }
    if (work < all && work <= REC_FLAT_COMBINATIONS_MAX) { /* too few to be all of them */
        *ret_mixing = REC_MIXING_VALUES;
        return MS_OK;
    }
    if (all > REC_FLAT_COMBINATIONS_MAX || work > REC_FLAT_COMBINATIONS_MAX)
        return MS_ERR_EXPANSION;
    uint8_t *marks = calloc(all / 8 + 1, 1);
    if (marks == NULL)
        return MS_ERR_MEMORY;
    for (size_t i = 0; i < n; i++)
        marked += mark(&boxes[i], axes, marks);
    free(marks);
    *ret_mixing = marked == all ? REC_MIXING_NONE : REC_MIXING_VALUES;
    return MS_OK;
}

enum ms_err rec_flatten(const struct rec_box *boxes, size_t n, struct ms_arena *arena,
                        struct rec_register *ret_axes, size_t *ret_n_axes,
                        enum rec_mixing *ret_mixing)
{
    for (size_t i = 1; i < n; i++) {
        if (same_registers(&boxes[0], &boxes[i]))
            continue;
        *ret_n_axes = 0;
        *ret_mixing = REC_MIXING_REGISTERS;
        return MS_OK;
    }
    for (size_t i = 0; i < boxes[0].n_registers; i++) {
        enum ms_err err = join(boxes, n, i, arena, &ret_axes[i]);
        if (err != MS_OK)
            return err;
    }
    *ret_n_axes = boxes[0].n_registers;
    return judge(boxes, n, ret_axes, boxes[0].n_registers, ret_mixing);
}
