/* resolver/entry/envelope.h - what consumers are told: the envelope of interface.md and the record
 * lists. Pure. */
#ifndef MS_ENVELOPE_H
#define MS_ENVELOPE_H

#include "resolver/entry/entry.h"

#define ENVELOPE_MAX_BYTES ((size_t)8 << 20)

struct envelope_input {
    const struct spec *spec;
    const struct source_result *result; /* NULL when there is no good set */
    const struct source_block *block;   /* a later one in which it still stands; NULL: its own */
    struct entry_view view;
    const struct entry *entry;
    const struct ms_sha256 *evidence;     /* NULL when there is none */
    const struct ms_sha256 *previous_set; /* NULL when there is none */
    struct ms_now now;
};

/* "proof", "quorum 2/3", "single", "signers 2/3", "tls", "self". */
void envelope_trust(const struct source_result *result, char out[32]);

/* The sets in force now (releases expired or pending left out); at most the number of releases are
 * written to ret_sets. block and entry: as in envelope_input. ret_next_s: the Unix time at which
 * that may change, 0 for never. */
size_t envelope_in_force(const struct source_result *result, const struct source_block *block,
                         const struct entry *entry, struct ms_now now,
                         const struct rec_set **ret_sets, size_t *ret_index, int64_t *ret_next_s);

/* Governance's own counter, or how many changes were accepted here when it has none. */
uint64_t envelope_sequence(const struct source_result *result, const struct entry *entry);

/* The state shown: view.state, or REVOKED when the set served is empty. */
enum entry_state envelope_state(const struct envelope_input *in);

/* The envelope, one JSON object without a newline. When nothing may be served `releases` is empty
 * and `error` says why. MS_ERR_MEMORY, MS_ERR_LIMIT. */
MS_MUST_USE enum ms_err envelope_render(const struct envelope_input *in, struct ms_buf *out);

/* An envelope is shared by every spelling of a specifier; what was odd about the spelling of one
 * request
 * (`eip55`, `raw-slash`) is put in front of its warnings. envelope_spelling renders the elements,
 * without brackets; envelope_add_spelling writes the envelope with them. */
MS_MUST_USE enum ms_err envelope_spelling(const struct spec *spec, struct ms_buf *out);
MS_MUST_USE enum ms_err envelope_add_spelling(struct ms_span envelope, struct ms_span elements,
                                              struct ms_buf *out);

#endif
