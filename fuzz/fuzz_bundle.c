/* fuzz/fuzz_bundle.c - any bytes as a bundle: refused, or a bundle that says the same when verified
 * again. */
#include "resolver/entry/bundle.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct source_result *result = NULL, *again = NULL;
    struct ms_diag diag = {0};
    struct spec spec, other;

    spec_init(&spec);
    enum ms_err err = bundle_verify(ms_span_of(data, size), &spec, &result, &diag);
    if (err != MS_OK) {
        must(result == NULL && diag.text[0] != '\0');
        return 0;
    }
    spec_init(&other);
    must(bundle_verify(ms_span_of(data, size), &other, &again, NULL) == MS_OK);
    must(ms_sha256_eq(&result->set_hash, &again->set_hash) && result->trust == again->trust &&
         ms_sha256_eq(&spec.key, &other.key) && !result->unchanged);
    source_result_free(result);
    source_result_free(again);
    spec_done(&spec);
    spec_done(&other);
    return 0;
}
