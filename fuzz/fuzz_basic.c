/* fuzz_basic.c - any bytes as Basic credentials: what is taken has one spelling. */
#include "base/base64.h"
#include "resolver/spec/basic.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
    if (!ok)
        abort();
}

/* The same text comes back out of the one of two spellings that was given. */
static bool spells(struct ms_span text, const char *end, struct ms_span token)
{
    struct ms_buf plain = MS_BUF_INIT(text.len + 1), again = MS_BUF_INIT(2 * text.len + 8);

    (void)ms_buf_add(&plain, text);
    (void)ms_buf_add_str(&plain, end);
    require(ms_base64_encode(ms_buf_span(&plain), &again) == MS_OK);
    bool same = ms_span_eq(ms_buf_span(&again), token);
    ms_buf_done(&plain);
    ms_buf_done(&again);
    return same;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ms_span credentials = ms_span_of(data, size);
    struct ms_buf out = MS_BUF_INIT(1024);
    struct ms_diag diag = {0};

    if (spec_from_basic(credentials, &out, &diag) == MS_OK) {
        struct ms_span text = ms_buf_span(&out), token = ms_span_sub(credentials, 6, size);
        require(text.len > 0);
        for (size_t i = 0; i < text.len; i++)
            require(text.ptr[i] > 0x20 && text.ptr[i] < 0x7f);
        require(spells(text, ":", token) || spells(text, "", token));
    }
    ms_buf_done(&out);
    return 0;
}
