/* fuzz/fuzz_past_file.c - any bytes as the past of a registry: refused with a reason, or one whose
 * operations and moments can be told. */
#include "resolver/entry/past_file.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct past_file file;
    struct ms_diag diag = {0};

    past_file_init(&file);
    enum ms_err err = past_file_read(ms_span_of(data, size), &file, &diag);
    if (err != MS_OK) {
        must(file.result == NULL && file.n == 0 && ms_diag_text(&diag, err)[0] != '\0');
        past_file_done(&file);
        return 0;
    }
    must(file.n == file.result->sequence && file.events[file.n - 1].sequence == file.n);
    json_t *at = past_file_at(&file, (int64_t)file.events[file.n - 1].timestamp_s);
    must(json_is_object(at) && json_object_get(at, "why") != NULL);
    json_decref(at);
    past_file_done(&file);
    return 0;
}
