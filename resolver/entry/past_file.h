/* resolver/entry/past_file.h - the whole past of a registry in one file that verifies anywhere
 * ("measured-past/1", docs/bundle.md): the bundle that proves a state, every operation that led to
 * it from the first on, and the documents at hand. Nothing in it needs to be believed but what the
 * bundle's own verdict rests on. Pure. */
#ifndef MS_PAST_FILE_H
#define MS_PAST_FILE_H

#include "resolver/entry/bundle.h"
#include "resolver/entry/operations.h"

#define PAST_FILE_MAX_BYTES ((size_t)64 << 20)
#define PAST_FILE_TYPE "measured-past/1"

/* ---- writing, in this order; errors stay in out ---- */
void past_file_begin(struct ms_span bundle, struct ms_buf *out);
void past_file_operation(const struct registry_event *event, bool first, struct ms_buf *out);
void past_file_documents(struct ms_buf *out);
void past_file_document(const struct ms_sha256 *hash, struct ms_span bytes, bool first,
                        struct ms_buf *out);
void past_file_end(struct ms_buf *out);

/* ---- reading ---- */
struct past_file {
    struct spec spec;
    struct source_result *result; /* what the bundle proves */
    struct bundle_about about;
    struct ms_sha256 bundle; /* its name */
    size_t n;                /* operations, by rising number from 1 on, and so all there were */
    struct registry_event *events; /* in the arena */
    struct ms_arena arena;
    json_t *documents; /* base64 by SHA-256 */
};

void past_file_init(struct past_file *file);
/* An initialised one is fine. */
void past_file_done(struct past_file *file);

/* Whether this says that it is such a file, well-formed or not. */
bool past_file_is(struct ms_span text);

/* Replay the bundle, follow every link from the first operation to the state that it proves, make
 * that state again from them, and compare every document with the hash that an operation names.
 * MS_ERR_EVIDENCE malformed, the bundle does not verify or is of no registry; MS_ERR_COMMITMENT
 * with the operation or the document; MS_ERR_LIMIT, MS_ERR_MEMORY. On error *file holds nothing. */
MS_MUST_USE enum ms_err past_file_read(struct ms_span text, struct past_file *file,
                                       struct ms_diag *diag);

bool past_file_has(const struct past_file *file, const struct ms_sha256 *hash);
/* The document of this hash, appended; *ret_found false: it is not in the file. */
MS_MUST_USE enum ms_err past_file_find(const struct past_file *file, const struct ms_sha256 *hash,
                                       struct ms_buf *out, bool *ret_found);

/* What was in force at a time, as past_at_json has it, with `in_force` and `why`: {"known": false}
 * when the bundle's state is older than that, or an operation is not understood. A new reference;
 * NULL when memory is out. */
json_t *past_file_at(const struct past_file *file, int64_t time_s);

#endif
