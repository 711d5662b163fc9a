/* fuzz/fuzz_json.c - strict JSON: what parses is what jansson's own reader makes of it, it prints
 * as jansson prints it and parses again to an equal value, and the sorted compact form is a fixed
 * point. */
#include "base/json.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
    if (!ok)
        abort();
}

/* What we accept jansson accepts, as the same value; with NUL bytes in the text it may misread. */
static void compare(struct ms_span text, const json_t *root, struct ms_span printed)
{
    json_t *theirs = json_loadb((const char *)text.ptr, text.len,
                                JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
    char *dumped = json_dumps(theirs, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);

    require(theirs != NULL && dumped != NULL && json_equal(root, theirs) == 1);
    require(ms_span_eq_str(printed, dumped));
    free(dumped);
    json_decref(theirs);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct ms_json_limits limits = {65536, 32, 8192, 0};
    struct ms_buf first = MS_BUF_INIT(1 << 20), second = MS_BUF_INIT(1 << 20);
    struct ms_diag diag = {0};
    json_t *root = NULL, *again = NULL;

    enum ms_err err = ms_json_parse(ms_span_of(data, size), &limits, &root, &diag);
    if (err != MS_OK) {
        require(root == NULL && diag.text[0] != '\0');
        require(err != MS_ERR_JSON || memchr(data, 0, size) != NULL || size == 0 ||
                json_loadb((const char *)data, size, JSON_DECODE_ANY, NULL) == NULL);
        return 0;
    }
    require(ms_json_dump(root, &first) == MS_OK);
    compare(ms_span_of(data, size), root, ms_buf_span(&first));
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
