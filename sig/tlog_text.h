/* sig/tlog_text.h - the texts of a transparency log: checkpoints (c2sp.org/tlog-checkpoint), proofs
 * that an entry is in a log (c2sp.org/tlog-proof), and what is sent to a witness
 * (c2sp.org/tlog-witness). What is read is taken apart strictly; signatures are sig/note.h's.
 * Pure; thread-safe. */
#ifndef MS_SIG_TLOG_TEXT_H
#define MS_SIG_TLOG_TEXT_H

#include "sig/note.h"
#include "sig/tlog.h"

#define MSIG_TLOG_TEXT_MAX_BYTES ((size_t)262144) /* an entry as base64, a path, a note */

struct msig_checkpoint { /* a tree head */
    char origin[MSIG_NOTE_NAME_MAX + 1];
    uint64_t size;
    struct ms_sha256 root;
};

/* The text of a note. Extension lines are passed over. MS_ERR_SYNTAX with the fault in diag; also
 * an origin that is longer than MSIG_NOTE_NAME_MAX. */
MS_MUST_USE enum ms_err msig_checkpoint_parse(struct ms_span text,
                                              struct msig_checkpoint *ret_checkpoint,
                                              struct ms_diag *diag);
/* The three lines that are signed. */
enum ms_err msig_checkpoint_print(const struct msig_checkpoint *checkpoint, struct ms_buf *out);

/* A whole checkpoint: parse the note, look whether `key` signed it and whether its origin is the
 * name of that key. Errors of msig_note_parse, msig_note_verify, msig_checkpoint_parse; for another
 * origin MS_ERR_SIGNATURE. */
MS_MUST_USE enum ms_err msig_checkpoint_open(struct ms_span note, const struct msig_vkey *key,
                                             struct msig_note *ret_note,
                                             struct msig_checkpoint *ret_checkpoint,
                                             struct ms_diag *diag);

struct msig_tlog_proof { /* that an entry is in a log; borrows from what was parsed */
    bool has_extra;
    struct ms_span extra; /* base64; nothing vouches for it */
    uint64_t index;
    struct msig_tlog_path path;
    struct ms_span checkpoint; /* a note */
};
/* MS_ERR_SYNTAX with the fault in diag, MS_ERR_LIMIT. */
MS_MUST_USE enum ms_err
msig_tlog_proof_parse(struct ms_span text, struct msig_tlog_proof *ret_proof, struct ms_diag *diag);
/* extra is bytes here, and written when has_extra. */
enum ms_err msig_tlog_proof_print(const struct msig_tlog_proof *proof, struct ms_buf *out);

struct msig_tlog_growth { /* that a checkpoint continues a tree of old_size: add-checkpoint */
    uint64_t old_size;
    struct msig_tlog_path path;
    struct ms_span checkpoint;
};
MS_MUST_USE enum ms_err msig_tlog_growth_parse(struct ms_span text,
                                               struct msig_tlog_growth *ret_growth,
                                               struct ms_diag *diag);
enum ms_err msig_tlog_growth_print(const struct msig_tlog_growth *growth, struct ms_buf *out);

#endif
