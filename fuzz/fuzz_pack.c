/* fuzz/fuzz_pack.c - any bytes come back as they were packed; any bytes unpacked, and any pieces
 * within what was deflated, are refused or have the length that was asked for. */
#include "base/gzip.h"
#include "resolver/entry/pack.h"

#include <stdlib.h>

#define SIZE_MAX_BYTES ((size_t)1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

static void try_unpack(struct ms_span packed, size_t size)
{
    struct ms_buf out = MS_BUF_INIT(SIZE_MAX_BYTES);

    must(unpack_text(packed, size, &out) != MS_OK || out.len == size);
    ms_buf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ms_span text = ms_span_of(data, size), rest = ms_span_sub(text, 2, size);
    struct ms_buf packed = MS_BUF_INIT(SIZE_MAX_BYTES), again = MS_BUF_INIT(SIZE_MAX_BYTES);

    if (size > SIZE_MAX_BYTES / 2)
        return 0;
    must(pack_text(text, &packed) == MS_OK && packed.ptr[0] == PACK_FIRST_BYTE);
    must(unpack_text(ms_buf_span(&packed), size, &again) == MS_OK);
    must(ms_span_eq(ms_buf_span(&again), text));
    if (size >= 2) {
        size_t asked = (size_t)data[0] << 8 | data[1];
        try_unpack(rest, asked);
        ms_buf_reset(&packed);
        must(ms_deflate(rest, ms_span_str(""), &packed) == MS_OK);
        try_unpack(ms_buf_span(&packed), asked);
    }
    ms_buf_done(&packed);
    ms_buf_done(&again);
    return 0;
}
