/* resolver/entry/operations.h - the stored operations of a registry: checked again offline against
 * the states that bundles prove, and told as JSON. Pure; a caller who reads rows of a database
 * gives them one by one. */
#ifndef MS_OPERATIONS_H
#define MS_OPERATIONS_H

#include "resolver/source/history_chain.h"
#include "resolver/source/source.h"

/* ---- what a bundle proves of the past ---- */
struct operations_proof {
    struct history_at newest;
    struct ms_sha256 commitment; /* to the state and the live releases */
};

/* From the verified result of a registry's bundle. MS_ERR_KIND it is of another kind. */
MS_MUST_USE enum ms_err operations_proof_of(const struct source_result *result,
                                            struct operations_proof *ret_proof,
                                            struct ms_diag *diag);

/* ---- checking ---- */
#define OPERATIONS_BUNDLES_MAX 1024u /* that rows at one place rest on; usually one */

struct operations_row {
    struct registry_event event;
    struct eth_hash before;
    struct ms_sha256 bundle;
};

/* Of one registry, rows by rising sequence. */
struct operations_check;

/* `prove` gives what the bundle with this hash proves, after verifying it; an error of its ends the
 * check. MS_ERR_MEMORY. */
MS_MUST_USE enum ms_err
operations_check_new(enum ms_err (*prove)(void *arg, const struct ms_sha256 *bundle,
                                          struct operations_proof *ret_proof, struct ms_diag *diag),
                     void *arg, struct operations_check **ret_check);
/* Every link is computed again; the row must be one that its bundle's state leads back to, without
 * a gap; and what all operations from the first on add up to must be what the state commits to.
 * MS_ERR_COMMITMENT names the operation; MS_ERR_LIMIT. The data need not outlive the call. */
MS_MUST_USE enum ms_err operations_check_add(struct operations_check *check,
                                             const struct operations_row *row,
                                             struct ms_diag *diag);

struct operations_verdict {
    uint64_t n;          /* rows */
    uint64_t newest;     /* sequence of the last one */
    bool whole;          /* from the first to the newest, none is missing */
    uint64_t missing;    /* the newest that is missing below it, 0: none */
    uint64_t recomputed; /* up to here past states are known: 0 when the first is missing */
};
/* After the last row. MS_ERR_COMMITMENT as above. */
MS_MUST_USE enum ms_err operations_check_end(struct operations_check *check,
                                             struct operations_verdict *ret_verdict,
                                             struct ms_diag *diag);
void operations_check_free(struct operations_check *check);

/* ---- telling ---- */
struct operation_facts {
    const struct ms_sha256 *evidence; /* bundle; NULL: left out */
    const char *provider;             /* NULL: left out */
    /* Whether the document of a release is at hand; NULL: nothing is said of documents. */
    bool (*has_document)(void *arg, const struct registry_release *release);
    void *arg;
};

/* One operation, and what it did to `past`, the state before it, which is advanced:
 * {"sequence","time","state","block","kind","added","removed",...}. `state` is that of the set
 * after it: good, revoked (nothing is approved) or unknown. A new reference; NULL when memory is
 * out. */
json_t *operation_json(const struct history_operation *operation, struct history_past *past,
                       const struct operation_facts *facts);

#endif
