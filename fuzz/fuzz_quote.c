/* fuzz_quote.c - any bytes as the file of a quote, and as that of registers with what belongs to a
 * workload id. */
#include "cli/check.h"
#include "cli/quote.h"

#include "base/base64.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
    if (!ok)
        abort();
}

static void require_same(struct ms_span text, struct ms_span quote)
{
    struct ms_buf out = MS_BUF_INIT(QUOTE_FILE_MAX_BYTES);
    struct workload_input input;

    require(quote_decode(text, &out, &input, NULL) == MS_OK);
    require(ms_span_eq(ms_buf_span(&out), quote));
    ms_buf_done(&out);
}

/* A quote in one form is the same quote in the others. */
static void check_forms(struct ms_span file)
{
    struct ms_buf quote = MS_BUF_INIT(QUOTE_FILE_MAX_BYTES), text = MS_BUF_INIT(262144);
    struct workload_input input;
    struct ms_diag diag = {0};

    enum ms_err err = quote_decode(file, &quote, &input, &diag);
    require(err == MS_OK || err == MS_ERR_ARGUMENT || err == MS_ERR_MEMORY);
    require(err != MS_ERR_ARGUMENT || diag.text[0] != '\0');
    if (err == MS_OK) {
        require_same(ms_buf_span(&quote), ms_buf_span(&quote));
        require(ms_buf_add_hex(&text, ms_buf_span(&quote)) == MS_OK);
        require_same(ms_buf_span(&text), ms_buf_span(&quote));
        ms_buf_reset(&text);
        require(ms_base64_encode(ms_buf_span(&quote), &text) == MS_OK);
        require_same(ms_buf_span(&text), ms_buf_span(&quote));
    }
    ms_buf_done(&quote);
    ms_buf_done(&text);
}

static void check_guest(struct ms_span file, enum rec_type type)
{
    struct ms_buf lacks = MS_BUF_INIT(256);
    struct workload_input input;
    json_t *presented = NULL;

    if (check_presented(file, &presented, NULL) != MS_OK)
        return;
    json_t *before = json_deep_copy(presented);
    enum ms_err err = check_registers(presented, type, &input, &lacks, NULL);
    require(before == NULL || json_equal(before, presented));
    require(ms_buf_err(&lacks) == MS_OK); /* all eight names have room */
    if (err == MS_OK && type == REC_TYPE_DCAP_TDX && lacks.len == 0) {
        struct eth_hash v1 = workload_id_v1(&input), v2 = workload_id_v2(&input);
        require(!eth_hash_eq(&v1, &v2)); /* the first formula changes a byte always */
    }
    json_decref(before);
    json_decref(presented);
    ms_buf_done(&lacks);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ms_span file = ms_span_of(data, size);

    if (size > QUOTE_FILE_MAX_BYTES)
        return 0;
    check_forms(file);
    check_guest(file, REC_TYPE_DCAP_TDX);
    check_guest(file, REC_TYPE_AZURE_TDX);
    return 0;
}
