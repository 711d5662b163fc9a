/* tests/support/header_both.h - the nginx module's reader of X-Flashbots-Measurement and the
 * daemon's, on the same bytes. */
#ifndef TESTS_SUPPORT_HEADER_BOTH_H
#define TESTS_SUPPORT_HEADER_BOTH_H

#include "proxy-plugin/nginx/measured_header.h"
#include "resolver/records/records.h"

#include <stdlib.h>
#include <string.h>

#define HEADER_BOTH_ARENA_BYTES 65536

/* As resolver/daemon does with the header: NULL, or why not. */
static inline bool header_daemon_reads(enum rec_type type, struct ms_span text,
                                       struct ms_arena *arena, struct rec_presented *regs,
                                       size_t *ret_n)
{
    static const struct ms_json_limits limits = {MEASURED_HEADER_MAX_BYTES, 4, 512, 0};
    struct ms_diag diag = {0};
    json_t *root = NULL;

    if (ms_json_parse(text, &limits, &root, &diag) != MS_OK)
        return false;
    enum ms_err err = rec_presented_parse(root, type, arena, regs, ret_n, &diag);
    json_decref(root);
    return err == MS_OK;
}

static inline bool header_same(const struct measured_presented *ours,
                               const struct rec_presented *theirs, size_t n)
{
    if (ours->n != n)
        return false;
    for (size_t i = 0; i < n; i++)
        if (ours->regs[i].index != theirs[i].index || ours->regs[i].size != theirs[i].value.len ||
            memcmp(ours->regs[i].value, theirs[i].value.ptr, theirs[i].value.len) != 0)
            return false;
    return true;
}

/* Whether both say the same of it: refuse, or these registers in this order. *ret_accepted: what
 * ours says. */
static inline bool header_both(enum measured_header_type type, struct ms_span text,
                               bool *ret_accepted)
{
    const char *name = measured_header_type_name(type);
    struct measured_presented ours;
    struct rec_presented theirs[REC_REGISTERS_MAX];
    struct ms_arena arena = MS_ARENA_INIT(HEADER_BOTH_ARENA_BYTES);
    size_t n = 0;

    const char *why = measured_header_read(type, (const char *)text.ptr, text.len, &ours);
    bool daemon = header_daemon_reads(rec_type_parse(ms_span_str(name)), text, &arena, theirs, &n);
    bool same = (why == NULL) == daemon && header_same(&ours, theirs, daemon ? n : 0);
    ms_arena_done(&arena);
    *ret_accepted = why == NULL;
    return same;
}

#endif
