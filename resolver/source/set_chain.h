/* resolver/source/set_chain.h - what the sets of one specifier's signers have in common, the newest
 * and those of the past: the folder they stand in, the chain of roots from the specifier's own list
 * on, and whose signatures a set has (ethereum.md 5). Pure; thread-safe on different arenas. */
#ifndef MS_SOURCE_SET_CHAIN_H
#define MS_SOURCE_SET_CHAIN_H

#include "resolver/spec/spec.h"
#include "sig/release_set.h"

/* ---- where ---- */
/* The folder that at= names: the url itself when it ends in a slash, else where the set in it
 * stands. Borrowed from the specifier; empty without at=. */
struct ms_span set_folder_of_at(const struct spec *spec);
/* https://HOST/.well-known/measured/, in the arena; empty when memory is out. */
struct ms_span set_folder_of_host(const char *host, struct ms_arena *arena);
/* A file of a folder, in the arena. Errors as spec_location_parse; MS_ERR_MEMORY. */
MS_MUST_USE enum ms_err set_locate(struct ms_span folder, const char *name, struct ms_arena *arena,
                                   const struct spec_location **ret_location, struct ms_diag *diag);

/* ---- who ---- */
/* Of app=, empty without. Borrowed from the specifier. */
struct ms_span set_app(const struct spec *spec);
/* The list of the specifier, as the root of epoch 0. */
struct msig_root set_own_list(const struct spec *spec);

struct set_roots { /* by epoch, without a gap: the first is the specifier's own list */
    size_t n;
    struct msig_root *roots; /* in the arena */
};
/* From what an answer carries (source_previous.carry), each verified again.
 *   carry  NULL or without roots: the own list is all there is
 * MS_ERR_SIGNERS, MS_ERR_SIGNATURE one does not follow the one before; errors of msig_root_parse */
MS_MUST_USE enum ms_err set_roots_read(const struct spec *spec, const json_t *carry,
                                       struct ms_arena *arena, struct set_roots *ret_roots,
                                       struct ms_diag *diag);

struct set_signers {
    bool met;                /* as many as the list demands have signed */
    bool bad;                /* a signature of the list's is wrong, so none of them counts */
    uint64_t epoch;          /* of the list */
    struct msig_tally tally; /* by that list; contracts are not asked: unresolved */
};
/* By the newest list whose threshold is met; when none is, by the one of which most have signed.
 */
struct set_signers set_signers_judge(const struct set_roots *roots, const struct msig_set_doc *doc);

#endif
