/* cli/quote.c - bytes, hex and base64 of a quote told apart. */
#include "cli/quote.h"

#include "base/base64.h"
#include "base/hex.h"

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* A quote starts with its version, a byte that no text has. */
static bool is_text(struct ms_span file)
{
    return file.len > 0 && (is_space(file.ptr[0]) || (file.ptr[0] > 0x20 && file.ptr[0] < 0x7f));
}

static enum ms_err decode_hex(struct ms_span digits, struct ms_buf *out)
{
    uint8_t *room = ms_buf_room(out, digits.len / 2);

    if (room == NULL)
        return ms_buf_err(out);
    enum ms_err err = ms_hex_decode(digits, room, digits.len / 2);
    if (err == MS_OK)
        out->len += digits.len / 2;
    return err;
}

static enum ms_err decode_text(struct ms_span file, struct ms_buf *out)
{
    struct ms_buf compact = MS_BUF_INIT(file.len);

    for (size_t i = 0; i < file.len; i++)
        if (!is_space(file.ptr[i]))
            (void)ms_buf_add_byte(&compact, file.ptr[i]);
    struct ms_span text = ms_buf_span(&compact);
    bool prefixed = ms_span_starts(text, "0x");
    enum ms_err err = ms_buf_err(&compact);
    if (err == MS_OK)
        err = decode_hex(prefixed ? ms_span_sub(text, 2, text.len) : text, out);
    /* base64 of only hex digits is no quote: its version would not be one */
    if ((err == MS_ERR_HEX || err == MS_ERR_LENGTH) && !prefixed)
        err = ms_base64_decode(text, out, NULL, NULL, NULL);
    ms_buf_done(&compact);
    return err;
}

enum ms_err quote_decode(struct ms_span file, struct ms_buf *ret_bytes,
                         struct workload_input *ret_input, struct ms_diag *diag)
{
    enum ms_err err = is_text(file) ? decode_text(file, ret_bytes) : ms_buf_add(ret_bytes, file);

    if (err == MS_ERR_MEMORY)
        return err;
    if (err != MS_OK)
        return ms_diag_set(diag, MS_ERR_ARGUMENT, "neither bytes nor hex nor base64 of a quote");
    err = workload_from_quote(ms_buf_span(ret_bytes), ret_input);
    if (err == MS_ERR_LENGTH)
        return ms_diag_set(diag, MS_ERR_ARGUMENT, "%zu bytes are too few for a TDX quote",
                           ret_bytes->len);
    if (err != MS_OK)
        return ms_diag_set(diag, MS_ERR_ARGUMENT, "no TDX quote of version 4 or 5");
    return MS_OK;
}
