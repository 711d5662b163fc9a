/* sig/note.h - signed notes (c2sp.org/signed-note): a text, and lines of signatures under it. Keys,
 * the lines, signing and verifying with Ed25519, and the timestamped cosignatures of witnesses
 * (c2sp.org/tlog-cosignature).
 *
 * A key has a name and an id of four bytes made of name, type and key; a verifier looks only at
 * lines of the names and ids it knows. Pure; thread-safe. */
#ifndef MS_SIG_NOTE_H
#define MS_SIG_NOTE_H

#include "base/buf.h"

#define MSIG_NOTE_NAME_MAX 255u
#define MSIG_NOTE_MAX_BYTES 65536u
#define MSIG_NOTE_LINES_MAX 64u /* signatures of one note; the specification asks for 16 */
#define MSIG_NOTE_KEY_BYTES 32
#define MSIG_NOTE_ID_BYTES 4
#define MSIG_NOTE_TEXT_KEY_MAX 400u /* a key as text: name, id, 44 characters of base64 */

enum msig_note_type { /* the numbers of the specification */
                      MSIG_NOTE_NONE = 0,
                      MSIG_NOTE_ED25519 = 1,     /* over the text */
                      MSIG_NOTE_COSIGNATURE = 4, /* over a time and the text: a witness */
};

struct msig_vkey { /* what a verifier knows */
    char name[MSIG_NOTE_NAME_MAX + 1];
    enum msig_note_type type;
    uint8_t id[MSIG_NOTE_ID_BYTES];
    uint8_t key[MSIG_NOTE_KEY_BYTES];
};

struct msig_skey { /* a signer; wipe it */
    struct msig_vkey public;
    uint8_t seed[MSIG_NOTE_KEY_BYTES];
};

/* 1 to MSIG_NOTE_NAME_MAX bytes of UTF-8 without '+', control characters and Unicode's spaces. */
bool msig_note_name_ok(struct ms_span name);

/* MS_ERR_ARGUMENT the name; MS_ERR_MEMORY. */
MS_MUST_USE enum ms_err msig_vkey_make(struct ms_span name, enum msig_note_type type,
                                       const uint8_t key[MSIG_NOTE_KEY_BYTES],
                                       struct msig_vkey *ret_vkey);
/* "name+0123abcd+base64". MS_ERR_SYNTAX with the fault in diag: also when the id is not that of
 * name and key, or the type is neither of ours. */
MS_MUST_USE enum ms_err msig_vkey_parse(struct ms_span text, struct msig_vkey *ret_vkey,
                                        struct ms_diag *diag);
enum ms_err msig_vkey_print(const struct msig_vkey *vkey, struct ms_buf *out);

MS_MUST_USE enum ms_err msig_skey_make(struct ms_span name, enum msig_note_type type,
                                       const uint8_t seed[MSIG_NOTE_KEY_BYTES],
                                       struct msig_skey *ret_skey);
/* "PRIVATE+KEY+name+0123abcd+base64". Errors as msig_vkey_parse; diag quotes nothing. */
MS_MUST_USE enum ms_err msig_skey_parse(struct ms_span text, struct msig_skey *ret_skey,
                                        struct ms_diag *diag);
enum ms_err msig_skey_print(const struct msig_skey *skey, struct ms_buf *out);

struct msig_note_line {
    struct ms_span whole; /* with its newline */
    struct ms_span name;
    struct ms_span base64;
    uint8_t id[MSIG_NOTE_ID_BYTES];
};

struct msig_note {       /* borrows from what was parsed */
    struct ms_span text; /* with its last newline */
    size_t n_lines;
    struct msig_note_line lines[MSIG_NOTE_LINES_MAX];
};

/* Take a note apart; nothing is verified. MS_ERR_SYNTAX with the fault in diag, MS_ERR_LIMIT too
 * long or too many lines. */
MS_MUST_USE enum ms_err msig_note_parse(struct ms_span bytes, struct msig_note *ret_note,
                                        struct ms_diag *diag);
/* Signature lines alone, under a text that is known: a witness's answer. */
MS_MUST_USE enum ms_err msig_note_lines(struct ms_span text, struct ms_span lines,
                                        struct msig_note *ret_note, struct ms_diag *diag);

/* Whether this key signed it: all lines of its name and id must be right.
 *   ret_time_s  of the (latest) cosignature, 0 for another type; may be NULL
 * MS_ERR_NOT_FOUND no line of this key; MS_ERR_SIGNATURE a line of it that is wrong. */
MS_MUST_USE enum ms_err msig_note_verify(const struct msig_note *note, const struct msig_vkey *vkey,
                                         int64_t *ret_time_s, struct ms_diag *diag);

/* Append the signature line of `text` (which ends in a newline), after checking it. time_s counts
 * for cosignatures only. MS_ERR_ARGUMENT the text, or the time is negative; MS_ERR_INTERNAL. */
MS_MUST_USE enum ms_err msig_note_sign(const struct msig_skey *skey, struct ms_span text,
                                       int64_t time_s, struct ms_buf *out);

#endif
