/* Signed notes, checkpoints, keys: what is taken is printed again as it was, and its parts lie
 * within it. */
#include "sig/tlog_text.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must_be_within(struct ms_span part, struct ms_span all)
{
    if (part.len > all.len || part.ptr < all.ptr || part.ptr + part.len > all.ptr + all.len)
        abort();
}

static void as_note(struct ms_span text)
{
    static struct msig_note note;
    struct msig_checkpoint c, again;
    struct ms_buf out = MS_BUF_INIT(MSIG_NOTE_MAX_BYTES);

    if (msig_note_parse(text, &note, NULL) != MS_OK)
        return;
    must_be_within(note.text, text);
    size_t lines = 0;
    for (size_t i = 0; i < note.n_lines; i++) {
        must_be_within(note.lines[i].name, note.lines[i].whole);
        must_be_within(note.lines[i].base64, note.lines[i].whole);
        lines += note.lines[i].whole.len;
    }
    if (note.text.len + 1 + lines != text.len) /* a text, an empty line, lines, and nothing else */
        abort();
    if (msig_checkpoint_parse(note.text, &c, NULL) == MS_OK) {
        if (msig_checkpoint_print(&c, &out) != MS_OK ||
            !ms_span_eq(ms_buf_span(&out), ms_span_sub(note.text, 0, out.len)) ||
            msig_checkpoint_parse(ms_buf_span(&out), &again, NULL) != MS_OK)
            abort();
    }
    ms_buf_done(&out);
}

static void as_key(struct ms_span text)
{
    struct msig_vkey vkey;
    struct msig_skey skey;
    struct ms_buf out = MS_BUF_INIT(2 * MSIG_NOTE_TEXT_KEY_MAX);

    if (msig_vkey_parse(text, &vkey, NULL) == MS_OK && msig_vkey_print(&vkey, &out) != MS_OK)
        abort();
    if (msig_skey_parse(text, &skey, NULL) == MS_OK && msig_skey_print(&skey, &out) != MS_OK)
        abort();
    if (out.len > 0 && out.len != text.len)
        abort();
    ms_buf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ms_span text = ms_span_of(data, size);

    as_note(text);
    as_key(text);
    return 0;
}
