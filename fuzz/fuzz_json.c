/* fuzz/fuzz_json.c - strict JSON: what parses prints and parses again to an equal value, and the
 * sorted compact form is a fixed point. */
#include "base/json.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
    if (!ok)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct ms_json_limits limits = {65536, 32, 8192, 0};
    struct ms_buf first = MS_BUF_INIT(1 << 20), second = MS_BUF_INIT(1 << 20);
    struct ms_diag diag = {0};
    json_t *root = NULL, *again = NULL;

    if (ms_json_parse(ms_span_of(data, size), &limits, &root, &diag) != MS_OK) {
        require(root == NULL && diag.text[0] != '\0');
        return 0;
    }
    require(ms_json_dump(root, &first) == MS_OK);
    require(ms_json_parse(ms_buf_span(&first), &limits, &again, NULL) == MS_OK);
    require(json_equal(root, again) == 1);
    require(ms_json_dump(again, &second) == MS_OK);
    require(ms_span_eq(ms_buf_span(&first), ms_buf_span(&second)));
    json_decref(root);
    json_decref(again);
    ms_buf_done(&first);
    ms_buf_done(&second);
    return 0;
}
