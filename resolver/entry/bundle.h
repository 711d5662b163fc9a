/* resolver/entry/bundle.h - the one object that moves: an accepted change with everything needed to
 * reach the same verdict again - specifier, policy, the answers in their order of arrival, the
 * verdict - in one self-contained JSON text ("measured-bundle/1", docs/bundle.md). Verification
 * replays the answers through the very source code that produced the verdict: there is no second
 * reading of evidence. Pure. The serialisation is deterministic, so a bundle's name is its SHA-256.
 */
#ifndef MS_BUNDLE_H
#define MS_BUNDLE_H

#include "resolver/source/source.h"

#define BUNDLE_MAX_BYTES ((size_t)16 << 20)
#define BUNDLE_GROUP_MAX 64u /* bytes of a group's name; a bundle with a longer one is refused */

/* The answers of one attempt, in order of arrival. Owns copies. */
struct bundle_transcript;

MS_MUST_USE enum ms_err bundle_transcript_new(struct bundle_transcript **ret_transcript);
void bundle_transcript_free(struct bundle_transcript *transcript);
/* Keep one answer before it is given to source_step. MS_ERR_MEMORY, MS_ERR_LIMIT. */
MS_MUST_USE enum ms_err bundle_transcript_add(struct bundle_transcript *transcript,
                                              const struct source_response *response);

/* Serialise. `started` is the `now` of source_new and of the first step.
 *   result  NULL for an attempt that failed with `err` and is kept as evidence of that (dissent)
 * MS_ERR_LIMIT beyond BUNDLE_MAX_BYTES. */
MS_MUST_USE enum ms_err bundle_write(const struct spec *spec, const struct source_policy *policy,
                                     const struct source_previous *previous, struct ms_now started,
                                     const struct bundle_transcript *transcript,
                                     const struct source_result *result, enum ms_err err,
                                     struct ms_buf *out);

/* SHA-256 of the policy as it stands in a bundle: which rules a verdict was reached under. */
MS_MUST_USE enum ms_err bundle_policy_hash(const struct source_policy *policy,
                                           struct ms_sha256 *ret_hash);

/* What a bundle says about itself. */
struct bundle_about {
    int64_t time_s;          /* when the attempt began */
    enum ms_err error;       /* evidence of this failure; MS_OK: of a set */
    struct ms_sha256 policy; /* bundle_policy_hash */
    enum spec_level level;   /* of the policy */
    uint32_t quorum;
    bool has_checkpoint;
    bool safe;       /* blocks that were not final could do (nonfinality) */
    size_t n_groups; /* operator groups of the chain that was read, each once */
    char groups[SOURCE_PROVIDERS_MAX][BUNDLE_GROUP_MAX + 1];
    size_t n_peers; /* SHA-256 of TLS certificates seen, each once; more are left out */
    char peers[8][2 * MS_SHA256_BYTES + 1];
};

/* Drop what belongs to one query and not to the identity of a specifier (level, max-age, seq, tag,
 * from): an entry is shared by all of them, and the level read is the policy's. */
void bundle_identity_only(struct spec *spec);

/* Read a bundle and reach its verdict again from its evidence alone.
 *   spec        initialised by spec_init; on MS_OK the bundle's specifier
 *   ret_result  the verified result, the caller's (source_result_free); NULL when the bundle is
 * evidence of a failure, and the replay fails in the same way MS_ERR_EVIDENCE when it is malformed,
 * when the replay fails, or when it ends in another verdict: the sentence says which. */
MS_MUST_USE enum ms_err bundle_verify(struct ms_span text, struct spec *spec,
                                      struct source_result **ret_result, struct ms_diag *diag);
/* The same, and the documents of its releases as source_documents_each gives them; an error of fn
 * is returned. */
MS_MUST_USE enum ms_err bundle_verify_documents(struct ms_span text, struct spec *spec,
                                                source_document_fn *fn, void *arg,
                                                struct source_result **ret_result,
                                                struct ms_diag *diag);
/* The same, and what it says about itself, in one reading. */
MS_MUST_USE enum ms_err bundle_read(struct ms_span text, struct spec *spec,
                                    struct source_result **ret_result,
                                    struct bundle_about *ret_about, struct ms_diag *diag);

#endif
