/* Proofs of a log, requests to witnesses, names of tiles, bundles and entries: one value, one text;
 * and no proof of a stranger verifies. */
#include "base/base64.h"
#include "resolver/entry/leaf.h"
#include "sig/tlog_text.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must_eq(struct ms_buf *out, struct ms_span text)
{
    if (ms_buf_err(out) != MS_OK || !ms_span_eq(ms_buf_span(out), text))
        abort();
    ms_buf_reset(out);
}

static void as_texts(struct ms_span text, struct ms_buf *out)
{
    static const struct ms_sha256 zero;
    struct ms_buf extra = MS_BUF_INIT(MSIG_TLOG_TEXT_MAX_BYTES);
    struct msig_tlog_proof proof;
    struct msig_tlog_growth growth;

    if (msig_tlog_proof_parse(text, &proof, NULL) == MS_OK) {
        if (proof.has_extra && ms_base64_decode(proof.extra, &extra, NULL, NULL, NULL) != MS_OK)
            abort();
        proof.extra = ms_buf_span(&extra);
        (void)msig_tlog_proof_print(&proof, out);
        must_eq(out, text);
        if (msig_tlog_verify_inclusion(&proof.path, proof.index, proof.index + proof.path.n + 1,
                                       &zero, &zero) == MS_OK)
            abort();
    }
    if (msig_tlog_growth_parse(text, &growth, NULL) == MS_OK) {
        (void)msig_tlog_growth_print(&growth, out);
        must_eq(out, text);
        if (msig_tlog_verify_consistency(&growth.path, growth.old_size,
                                         growth.old_size + growth.path.n + 1, &zero,
                                         &zero) == MS_OK)
            abort();
    }
    ms_buf_done(&extra);
}

static void as_entries(struct ms_span text, struct ms_buf *out)
{
    struct ms_span entry;
    struct leaf leaf;
    size_t at = 0;

    while (msig_tlog_next_entry(text, &at, &entry))
        if (msig_tlog_add_entry(out, entry) != MS_OK)
            abort();
    must_eq(out, ms_span_sub(text, 0, at));
    if (leaf_parse(text, &leaf) == MS_OK) {
        if (leaf_print(&leaf, out) != MS_OK)
            abort();
        must_eq(out, text);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ms_span text = ms_span_of(data, size);
    struct ms_buf out = MS_BUF_INIT((size_t)1 << 22);
    struct msig_tlog_tile tile;

    if (size > (size_t)1 << 20)
        return 0;
    as_texts(text, &out);
    as_entries(text, &out);
    if (msig_tlog_tile_parse(text, &tile) == MS_OK) {
        (void)msig_tlog_tile_path(&tile, &out);
        must_eq(&out, text);
    }
    ms_buf_done(&out);
    return 0;
}
