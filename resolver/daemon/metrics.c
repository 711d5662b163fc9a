/* resolver/daemon/metrics.c - rendering counters. */
#include "resolver/daemon/metrics.h"

struct metrics metrics;

static void render_one(struct ms_buf *out, const char *name, const char *help,
                       unsigned long long value)
{
    if (help != NULL) {
        struct ms_span bare = ms_span_str(name), rest;
        (void)ms_span_cut(bare, '{', &bare, &rest);
        (void)ms_buf_addf(out, "# HELP %.*s %s\n# TYPE %.*s counter\n", (int)bare.len,
                          (const char *)bare.ptr, help, (int)bare.len, (const char *)bare.ptr);
    }
    (void)ms_buf_addf(out, "%s %llu\n", name, value);
}

void metrics_render(struct ms_buf *out)
{
#define METRICS_RENDER(member, name, help) \
    render_one(out, name, help, atomic_load_explicit(&metrics.member, memory_order_relaxed));
    METRICS_MAP(METRICS_RENDER)
#undef METRICS_RENDER
}
