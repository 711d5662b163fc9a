/* fuzz/fuzz_summary.c - any bytes as the summary of a change, and as that of the one before it,
 * parted by a NUL: refused, or what differs between them is told in a text that is a summary again,
 * the same each time. */
#include "resolver/entry/summary.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

static json_t *read_one(struct ms_span text)
{
    struct ms_diag diag = {0};
    json_t *summary = NULL;
    bool whole = false;

    enum ms_err err = summary_read(text, &summary, &whole, &diag);
    must(err == MS_OK || (summary == NULL && diag.text[0] != '\0'));
    return summary;
}

static void render(const json_t *after, const json_t *before, struct ms_buf *out)
{
    enum ms_err err = summary_render(after, before, true, out);
    must(err == MS_OK || (err == MS_ERR_LIMIT && out->len == 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ms_span first = ms_span_of(data, size), second = {0};
    struct ms_buf text = MS_BUF_INIT(SUMMARY_MAX_BYTES), again = MS_BUF_INIT(SUMMARY_MAX_BYTES);

    (void)ms_span_cut(first, 0, &first, &second);
    json_t *after = read_one(first), *before = read_one(second);
    if (after != NULL) {
        render(after, before, &text);
        render(after, before, &again);
        must(ms_span_eq(ms_buf_span(&text), ms_buf_span(&again)));
        if (text.len > 0)
            json_decref(read_one(ms_buf_span(&text)));
    }
    json_decref(after);
    json_decref(before);
    ms_buf_done(&text);
    ms_buf_done(&again);
    return 0;
}
