/* base/err.c - names, codes and sentences of errors. */
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
    enum ms_err err;
    const char *name, *code, *text;
} errors[] = {
#define MS_ERR_ROW(name, number, code, text) {name, #name, code, text},
    MS_ERR_MAP(MS_ERR_ROW)
#undef MS_ERR_ROW
};

const char *ms_err_name(enum ms_err err)
{
    for (size_t i = 0; i < MS_ARRAY_LEN(errors); i++)
        if (errors[i].err == err)
            return errors[i].name;
    return "MS_ERR_?";
}

const char *ms_err_code(enum ms_err err)
{
    for (size_t i = 0; i < MS_ARRAY_LEN(errors); i++)
        if (errors[i].err == err)
            return errors[i].code;
    return "internal";
}

const char *ms_err_text(enum ms_err err)
{
    for (size_t i = 0; i < MS_ARRAY_LEN(errors); i++)
        if (errors[i].err == err)
            return errors[i].text;
    return "unknown error";
}

enum ms_err ms_err_from_code(const char *code)
{
    for (size_t i = 0; i < MS_ARRAY_LEN(errors); i++)
        if (strcmp(errors[i].code, code) == 0)
            return errors[i].err;
    return MS_ERR_INTERNAL;
}

/* Copy `in` to `out` with everything unprintable as \xNN; cuts at the end of `out`. */
static void escape(const char *in, char *out, size_t out_size)
{
    static const char digits[] = "0123456789abcdef";
    size_t n = 0;

    for (; *in != '\0'; in++) {
        unsigned char c = (unsigned char)*in;
        if (c >= 0x20 && c <= 0x7e) {
            if (n + 1 >= out_size)
                break;
            out[n++] = (char)c;
        } else {
            if (n + 4 >= out_size)
                break;
            out[n++] = '\\';
            out[n++] = 'x';
            out[n++] = digits[c >> 4];
            out[n++] = digits[c & 15];
        }
    }
    out[n] = '\0';
}

enum ms_err ms_diag_setv(struct ms_diag *diag, enum ms_err err, const char *fmt, va_list args)
{
    if (diag == NULL || diag->text[0] != '\0')
        return err;

    char raw[MS_DIAG_TEXT_MAX];
    (void)vsnprintf(raw, sizeof(raw), fmt, args);
    escape(raw, diag->text, sizeof(diag->text));
    return err;
}

enum ms_err ms_diag_set(struct ms_diag *diag, enum ms_err err, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    (void)ms_diag_setv(diag, err, fmt, args);
    va_end(args);
    return err;
}

const char *ms_diag_text(const struct ms_diag *diag, enum ms_err err)
{
    if (diag != NULL && diag->text[0] != '\0')
        return diag->text;
    return ms_err_text(err);
}
