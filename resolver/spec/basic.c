/* resolver/spec/basic.c - userinfo out of Basic credentials. */
#include "resolver/spec/basic.h"

#include "base/base64.h"

#define SCHEME "Basic "

static enum ms_err decode(struct ms_span token, struct ms_buf *out, struct ms_diag *diag)
{
    enum ms_base64_alphabet alphabet = MS_BASE64_NONE;
    bool padded = false;

    enum ms_err err = ms_base64_decode(token, out, &alphabet, &padded, diag);
    if (err == MS_OK && (alphabet == MS_BASE64_URL || !padded))
        err = ms_diag_set(diag, MS_ERR_BASE64,
                          "Basic credentials are standard base64 with its padding");
    return err;
}

/* The decoded text without the ':' at its end. */
static enum ms_err check(struct ms_span text, size_t *ret_len, struct ms_diag *diag)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] < 0x21 || text.ptr[i] > 0x7e)
            return ms_diag_set(diag, MS_ERR_ARGUMENT,
                               "Basic credentials with byte 0x%02x are no specifier", text.ptr[i]);
    if (ms_span_find(text, ':') == text.len)
        return ms_diag_set(diag, MS_ERR_ARGUMENT, "Basic credentials without a colon");
    *ret_len = text.len - (text.ptr[text.len - 1] == ':');
    if (*ret_len == 0)
        return ms_diag_set(diag, MS_ERR_ARGUMENT, "Basic credentials without a user");
    return MS_OK;
}

enum ms_err spec_from_basic(struct ms_span credentials, struct ms_buf *out, struct ms_diag *diag)
{
    struct ms_buf text = MS_BUF_INIT(out->max);
    size_t len = 0;

    if (!ms_span_starts_nocase(credentials, SCHEME))
        return ms_diag_set(diag, MS_ERR_ARGUMENT, "credentials of another scheme than Basic");
    enum ms_err err =
        decode(ms_span_sub(credentials, sizeof(SCHEME) - 1, credentials.len), &text, diag);
    if (err == MS_OK)
        err = check(ms_buf_span(&text), &len, diag);
    if (err == MS_OK)
        err = ms_buf_add(out, ms_span_sub(ms_buf_span(&text), 0, len));
    ms_buf_done(&text);
    return err;
}
