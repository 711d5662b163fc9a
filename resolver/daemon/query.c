/* resolver/daemon/query.c - query members. */
#include "resolver/daemon/query.h"

#include "base/hex.h"

struct ms_span query_path(struct ms_span target)
{
    return ms_span_sub(target, 0, ms_span_find(target, '?'));
}

static enum ms_err decode(struct ms_span text, struct ms_buf *out, const char *name,
                          struct ms_diag *diag)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        if (c == '%') {
            struct ms_span digits = ms_span_sub(text, i + 1, 2);
            int hi = digits.len == 2 ? ms_hex_digit(digits.ptr[0]) : -1;
            int lo = digits.len == 2 ? ms_hex_digit(digits.ptr[1]) : -1;
            if (hi < 0 || lo < 0)
                return ms_diag_set(diag, MS_ERR_PCT, "bad percent-encoding in the query member %s",
                                   name);
            c = (uint8_t)(hi << 4 | lo);
            i += 2;
        }
        if (ms_buf_add_byte(out, c) != MS_OK)
            return ms_buf_err(out);
    }
    return MS_OK;
}

enum ms_err query_member(struct ms_span target, const char *name, struct ms_buf *out,
                         bool *ret_found, struct ms_diag *diag)
{
    size_t at = ms_span_find(target, '?');
    struct ms_span rest = ms_span_sub(target, at + 1, target.len);
    bool found = false;

    rest = ms_span_sub(rest, 0, ms_span_find(rest, '#'));
    while (at < target.len && rest.len > 0) {
        struct ms_span one = rest, value = {NULL, 0}, member;
        if (!ms_span_cut(rest, '&', &one, &rest))
            rest = (struct ms_span){NULL, 0};
        member = one;
        (void)ms_span_cut(one, '=', &member, &value);
        if (!ms_span_eq_str(member, name))
            continue;
        if (found)
            return ms_diag_set(diag, MS_ERR_ARGUMENT, "the query member %s stands twice", name);
        found = true;
        enum ms_err err = decode(value, out, name, diag);
        if (err != MS_OK)
            return err;
    }
    *ret_found = found;
    return MS_OK;
}
