/* cache/bundle.c - stored evidence, replayed. */
#include "cache/internal.h"
#include "resolver/entry/bundle.h"

enum ms_err cache_bundle_replay(struct cache *cache, const struct ms_sha256 *bundle,
                                const struct ms_sha256 *key, struct spec *spec,
                                struct source_result **ret_result, struct ms_diag *diag)
{
    struct ms_buf text = MS_BUF_INIT(BUNDLE_MAX_BYTES);
    struct source_result *result = NULL;
    bool found = false;

    enum ms_err err = cache_blob_get(cache, bundle, &text, &found, diag);
    if (err == MS_OK && !found)
        err = ms_diag_set(diag, MS_ERR_EVIDENCE, "the evidence of what is stored is missing");
    if (err == MS_OK)
        err = bundle_verify(ms_buf_span(&text), spec, &result, diag);
    ms_buf_done(&text);
    if (err == MS_OK && (result == NULL || !ms_sha256_eq(&spec->key, key))) {
        source_result_free(result);
        return ms_diag_set(diag, MS_ERR_EVIDENCE,
                           "the evidence of what is stored is of another answer");
    }
    if (err == MS_OK)
        *ret_result = result;
    return err;
}
