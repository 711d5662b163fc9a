/* base/clock.h - what "now" is. No clock is read here: the daemon's loop reads the clocks once a
 * turn and hands the value down, so everything time-dependent is a function of its arguments. */
#ifndef MS_BASE_CLOCK_H
#define MS_BASE_CLOCK_H

#include <stdint.h>

struct ms_now {
    int64_t wall_s;  /* Unix seconds, CLOCK_REALTIME: only against signed or served times */
    int64_t boot_ms; /* CLOCK_BOOTTIME in milliseconds: ages and deadlines; counts suspend */
    int32_t wall_ms; /* 0..999, the wall clock's part of a second */
};

#endif
