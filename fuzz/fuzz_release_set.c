/* Signed documents of all four kinds. What parses has the shape the rules promise, and no document
 * is met by a list whose keys nobody has. */
#include "sig/release_set.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A list of the signers that the document itself names, one more than they are. */
static void count(const struct eth_hash *digest, const struct msig_signatures *signatures)
{
    struct msig_signers signers = {0};
    struct msig_tally tally;

    for (size_t i = 0; i < signatures->n && signers.n < MSIG_SIGNERS_MAX; i++)
        signers.addrs[signers.n++] = signatures->items[i].signer;
    signers.threshold = (uint32_t)signers.n + 1;
    if (msig_tally(digest, signatures, &signers, &tally, NULL) != MS_OK)
        return;
    if (msig_met(&tally, &signers) != MSIG_SHORT)
        abort();
}

static void check_set(const struct msig_set_doc *doc)
{
    if (doc->set.n_releases > MSIG_RELEASES_MAX || doc->set.valid_until_s <= doc->set.issued_at_s)
        abort();
    for (size_t i = 0; i < doc->set.n_releases; i++) {
        const struct msig_release *release = &doc->set.releases[i];
        struct ms_sha256 hash = ms_sha256(release->payload);
        if (i > 0 && (release->id <= release[-1].id || release->version <= release[-1].version))
            abort();
        if (release->payload.len != 0 && !ms_sha256_eq(&hash, &release->payload_hash))
            abort();
    }
    (void)!msig_set_time(&doc->set, 1770000000, NULL);
    count(&doc->digest, &doc->signatures);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ms_arena arena = MS_ARENA_INIT(4 * MSIG_DOC_ARENA_BYTES);
    struct ms_span text = ms_span_of(data, size);
    struct ms_diag diag = {0};
    struct msig_set_doc set;
    struct msig_root_doc root;
    struct msig_freshness_doc fresh;
    struct msig_revocation_doc *revocations;
    size_t n = 0;

    if (msig_set_parse(text, &arena, &set, &diag) == MS_OK)
        check_set(&set);
    if (msig_root_parse(text, &arena, &root, NULL) == MS_OK) {
        if (root.root.signers.threshold == 0 || root.root.signers.threshold > root.root.signers.n)
            abort();
        count(&root.digest, &root.signatures);
    }
    if (msig_freshness_parse(text, &arena, &fresh, NULL) == MS_OK)
        count(&fresh.digest, &fresh.signatures);
    if (msig_revocations_parse(text, &arena, &revocations, &n, NULL) == MS_OK)
        for (size_t i = 0; i < n; i++)
            count(&revocations[i].digest, &revocations[i].signatures);
    ms_arena_done(&arena);
    return 0;
}
