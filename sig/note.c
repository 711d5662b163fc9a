/* sig/note.c - signed notes. */
#include "sig/note.h"

#include "base/base64.h"
#include "base/digest.h"
#include "base/hex.h"
#include "base/utf8.h"

#include <inttypes.h>
#include <openssl/evp.h>

#define SIGNATURE_BYTES 64
#define TIME_BYTES 8
#define LINE_START "\xe2\x80\x94 " /* an em dash and a space */
#define LINE_START_BYTES 4u
#define SKEY_START "PRIVATE+KEY+"
/* post-quantum signatures of keys that are not ours are long */
#define LINE_SIGNATURE_MAX 8192u

/* ---- names ---- */

/* White_Space of Unicode, above ASCII. */
static bool is_wide_space(uint32_t c)
{
    return c == 0x85 || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 ||
           c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

static uint32_t code_point(const uint8_t *c, size_t len)
{
    uint32_t value = len == 1 ? c[0] : len == 2 ? c[0] & 0x1fu : len == 3 ? c[0] & 0xfu : c[0] & 7u;

    for (size_t i = 1; i < len; i++)
        value = value << 6 | (c[i] & 0x3fu);
    return value;
}

bool msig_note_name_ok(struct ms_span name)
{
    if (name.len == 0 || name.len > MSIG_NOTE_NAME_MAX)
        return false;
    while (name.len > 0) {
        size_t n = ms_utf8_char(name);
        if (n == 0 || name.ptr[0] <= 0x20 || name.ptr[0] == 0x7f || name.ptr[0] == '+' ||
            (n > 1 && is_wide_space(code_point(name.ptr, n))))
            return false;
        name = ms_span_sub(name, n, name.len);
    }
    return true;
}

/* ---- keys ---- */

static bool is_our_type(unsigned type)
{
    return type == MSIG_NOTE_ED25519 || type == MSIG_NOTE_COSIGNATURE;
}

enum ms_err msig_vkey_make(struct ms_span name, enum msig_note_type type,
                           const uint8_t key[MSIG_NOTE_KEY_BYTES], struct msig_vkey *ret_vkey)
{
    struct msig_vkey vkey = {.type = type};
    uint8_t head[2] = {'\n', (uint8_t)type};

    if (!msig_note_name_ok(name) || !is_our_type(type))
        return MS_ERR_ARGUMENT;
    struct ms_span parts[] = {name, {head, sizeof(head)}, ms_span_of(key, MSIG_NOTE_KEY_BYTES)};
    struct ms_sha256 id = ms_sha256_parts(parts, MS_ARRAY_LEN(parts));
    memcpy(vkey.name, name.ptr, name.len);
    memcpy(vkey.id, id.b, sizeof(vkey.id));
    memcpy(vkey.key, key, sizeof(vkey.key));
    *ret_vkey = vkey;
    return MS_OK;
}

enum ms_err msig_skey_make(struct ms_span name, enum msig_note_type type,
                           const uint8_t seed[MSIG_NOTE_KEY_BYTES], struct msig_skey *ret_skey)
{
    struct msig_skey skey = {0};
    uint8_t key[MSIG_NOTE_KEY_BYTES];
    size_t len = sizeof(key);
    enum ms_err err = MS_ERR_MEMORY;

    EVP_PKEY *pkey =
        EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, MSIG_NOTE_KEY_BYTES);
    if (pkey != NULL && EVP_PKEY_get_raw_public_key(pkey, key, &len) == 1 && len == sizeof(key))
        err = msig_vkey_make(name, type, key, &skey.public);
    EVP_PKEY_free(pkey);
    if (err == MS_OK) {
        memcpy(skey.seed, seed, sizeof(skey.seed));
        *ret_skey = skey;
        ms_wipe(&skey, sizeof(skey));
    }
    return err;
}

static enum ms_err print_key(const char *start, const struct msig_vkey *vkey, const uint8_t *bytes,
                             struct ms_buf *out)
{
    uint8_t typed[1 + MSIG_NOTE_KEY_BYTES] = {(uint8_t)vkey->type};

    memcpy(typed + 1, bytes, MSIG_NOTE_KEY_BYTES);
    (void)ms_buf_addf(out, "%s%s+", start, vkey->name);
    (void)ms_buf_add_hex(out, ms_span_of(vkey->id, sizeof(vkey->id)));
    (void)ms_buf_add_byte(out, '+');
    (void)ms_base64_encode(ms_span_of(typed, sizeof(typed)), out);
    ms_wipe(typed, sizeof(typed));
    return ms_buf_err(out);
}

enum ms_err msig_vkey_print(const struct msig_vkey *vkey, struct ms_buf *out)
{
    return print_key("", vkey, vkey->key, out);
}

enum ms_err msig_skey_print(const struct msig_skey *skey, struct ms_buf *out)
{
    return print_key(SKEY_START, &skey->public, skey->seed, out);
}

static enum ms_err bad_key(struct ms_diag *diag, const char *what)
{
    return ms_diag_set(diag, MS_ERR_SYNTAX, "not a key of the form NAME+ID+BASE64: %s", what);
}

/* Exactly the standard alphabet, padded: one value, one text. */
static bool decode_base64(struct ms_span text, struct ms_buf *out)
{
    enum ms_base64_alphabet alphabet = MS_BASE64_NONE;
    bool padded = false;

    return ms_base64_decode(text, out, &alphabet, &padded, NULL) == MS_OK && padded &&
           alphabet != MS_BASE64_URL;
}

/* name+id+base64(type || key): what stands there, id not yet compared. */
static enum ms_err parse_key(struct ms_span text, struct ms_span *ret_name,
                             uint8_t ret_id[MSIG_NOTE_ID_BYTES], enum msig_note_type *ret_type,
                             uint8_t ret_key[MSIG_NOTE_KEY_BYTES], struct ms_diag *diag)
{
    struct ms_buf typed = MS_BUF_INIT(1 + MSIG_NOTE_KEY_BYTES);
    struct ms_span name, id, base64;
    char lower[2 * MSIG_NOTE_ID_BYTES + 1];
    enum ms_err err = MS_OK;

    if (text.len > MSIG_NOTE_TEXT_KEY_MAX || !ms_span_cut(text, '+', &name, &id) ||
        !ms_span_cut(id, '+', &id, &base64))
        return bad_key(diag, "it has no three parts");
    if (!msig_note_name_ok(name))
        return bad_key(diag, "its name");
    if (ms_hex_decode(id, ret_id, MSIG_NOTE_ID_BYTES) != MS_OK)
        return bad_key(diag, "its id is not 8 hex digits");
    ms_hex_encode(ms_span_of(ret_id, MSIG_NOTE_ID_BYTES), lower);
    if (!ms_span_eq_str(id, lower))
        return bad_key(diag, "its id is not in lower case");
    if (!decode_base64(base64, &typed) || typed.len != 1 + MSIG_NOTE_KEY_BYTES)
        err = bad_key(diag, "it has not the 32 bytes of an Ed25519 key");
    else if (!is_our_type(typed.ptr[0]))
        err = bad_key(diag, "neither of type 1 (Ed25519) nor 4 (witness)");
    if (err == MS_OK) {
        *ret_name = name;
        *ret_type = (enum msig_note_type)typed.ptr[0];
        memcpy(ret_key, typed.ptr + 1, MSIG_NOTE_KEY_BYTES);
    }
    if (typed.ptr != NULL)
        ms_wipe(typed.ptr, typed.len);
    ms_buf_done(&typed);
    return err;
}

enum ms_err msig_vkey_parse(struct ms_span text, struct msig_vkey *ret_vkey, struct ms_diag *diag)
{
    uint8_t id[MSIG_NOTE_ID_BYTES], key[MSIG_NOTE_KEY_BYTES];
    enum msig_note_type type = MSIG_NOTE_NONE;
    struct msig_vkey vkey;
    struct ms_span name;

    enum ms_err err = parse_key(text, &name, id, &type, key, diag);
    if (err == MS_OK)
        err = msig_vkey_make(name, type, key, &vkey);
    if (err == MS_OK && memcmp(id, vkey.id, sizeof(id)) != 0)
        err = bad_key(diag, "its id is not that of its name and key");
    if (err == MS_OK)
        *ret_vkey = vkey;
    return err;
}

enum ms_err msig_skey_parse(struct ms_span text, struct msig_skey *ret_skey, struct ms_diag *diag)
{
    uint8_t id[MSIG_NOTE_ID_BYTES], seed[MSIG_NOTE_KEY_BYTES];
    enum msig_note_type type = MSIG_NOTE_NONE;
    struct msig_skey skey;
    struct ms_span name;

    if (!ms_span_starts(text, SKEY_START))
        return bad_key(diag, "it does not begin with " SKEY_START);
    text = ms_span_sub(text, sizeof(SKEY_START) - 1, text.len);
    enum ms_err err = parse_key(text, &name, id, &type, seed, diag);
    if (err == MS_OK)
        err = msig_skey_make(name, type, seed, &skey);
    ms_wipe(seed, sizeof(seed));
    if (err != MS_OK)
        return err;
    if (memcmp(id, skey.public.id, sizeof(id)) != 0)
        err = bad_key(diag, "its id is not that of its name and key");
    else
        *ret_skey = skey;
    ms_wipe(&skey, sizeof(skey));
    return err;
}

/* ---- notes ---- */

static enum ms_err bad_note(struct ms_diag *diag, const char *what)
{
    return ms_diag_set(diag, MS_ERR_SYNTAX, "not a signed note: %s", what);
}

/* The line without its newline; false: it is no signature line. */
static bool parse_line(struct ms_span line, struct msig_note_line *ret_line)
{
    struct ms_buf bytes = MS_BUF_INIT(LINE_SIGNATURE_MAX);
    struct ms_span name, base64;

    if (!ms_span_starts(line, LINE_START) ||
        !ms_span_cut(ms_span_sub(line, LINE_START_BYTES, line.len), ' ', &name, &base64) ||
        !msig_note_name_ok(name))
        return false;
    bool ok = decode_base64(base64, &bytes) && bytes.len > MSIG_NOTE_ID_BYTES;
    if (ok) {
        *ret_line = (struct msig_note_line){.name = name, .base64 = base64};
        memcpy(ret_line->id, bytes.ptr, MSIG_NOTE_ID_BYTES);
    }
    ms_buf_done(&bytes);
    return ok;
}

enum ms_err msig_note_lines(struct ms_span text, struct ms_span lines, struct msig_note *ret_note,
                            struct ms_diag *diag)
{
    struct msig_note_line line;
    struct ms_span one, rest = lines;

    if (lines.len == 0 || lines.ptr[lines.len - 1] != '\n')
        return bad_note(diag, "no signature line, or one without its newline");
    if (lines.len > MSIG_NOTE_MAX_BYTES)
        return ms_diag_set(diag, MS_ERR_LIMIT, "more than %u bytes of signatures",
                           MSIG_NOTE_MAX_BYTES);
    ret_note->text = text;
    ret_note->n_lines = 0;
    while (rest.len > 0 && ms_span_cut(rest, '\n', &one, &rest)) {
        if (ret_note->n_lines == MSIG_NOTE_LINES_MAX)
            return ms_diag_set(diag, MS_ERR_LIMIT, "a note of more than %u signatures",
                               MSIG_NOTE_LINES_MAX);
        if (!parse_line(one, &line))
            return bad_note(diag, "a line that is no signature line");
        line.whole = ms_span_of(one.ptr, one.len + 1);
        ret_note->lines[ret_note->n_lines++] = line;
    }
    return MS_OK;
}

/* The index behind the last empty line; 0 when there is none. */
static size_t find_lines(struct ms_span bytes)
{
    for (size_t i = bytes.len; i >= 2; i--)
        if (bytes.ptr[i - 1] == '\n' && bytes.ptr[i - 2] == '\n')
            return i;
    return 0;
}

enum ms_err msig_note_parse(struct ms_span bytes, struct msig_note *ret_note, struct ms_diag *diag)
{
    if (bytes.len > MSIG_NOTE_MAX_BYTES)
        return ms_diag_set(diag, MS_ERR_LIMIT, "a note of more than %u bytes", MSIG_NOTE_MAX_BYTES);
    if (!ms_utf8_valid(bytes))
        return bad_note(diag, "it is not UTF-8");
    for (size_t i = 0; i < bytes.len; i++)
        if (bytes.ptr[i] < 0x20 && bytes.ptr[i] != '\n')
            return bad_note(diag, "it holds a control character");
    size_t at = find_lines(bytes);
    if (at < 2)
        return bad_note(diag, "no empty line stands before signatures");
    return msig_note_lines(ms_span_sub(bytes, 0, at - 1), ms_span_sub(bytes, at, bytes.len),
                           ret_note, diag);
}

/* ---- signatures ---- */

/* What is signed: the text, after a head for cosignatures. */
static enum ms_err message(enum msig_note_type type, uint64_t time_s, struct ms_span text,
                           struct ms_buf *out)
{
    if (type == MSIG_NOTE_COSIGNATURE)
        (void)ms_buf_addf(out, "cosignature/v1\ntime %" PRIu64 "\n", time_s);
    return ms_buf_add(out, text);
}

static bool verify_ed25519(const uint8_t key[MSIG_NOTE_KEY_BYTES],
                           const uint8_t signature[SIGNATURE_BYTES], struct ms_span text)
{
    EVP_PKEY *pkey = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, key, MSIG_NOTE_KEY_BYTES);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();

    bool ok = pkey != NULL && ctx != NULL &&
              EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, pkey) == 1 &&
              EVP_DigestVerify(ctx, signature, SIGNATURE_BYTES, text.ptr, text.len) == 1;
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(pkey);
    return ok;
}

static uint64_t read_be64(const uint8_t *bytes)
{
    uint64_t value = 0;

    for (size_t i = 0; i < TIME_BYTES; i++)
        value = value << 8 | bytes[i];
    return value;
}

/* The line has the key's name and id. */
static bool verify_line(const struct msig_note *note, const struct msig_note_line *line,
                        const struct msig_vkey *vkey, uint64_t *ret_time_s)
{
    size_t time_bytes = vkey->type == MSIG_NOTE_COSIGNATURE ? TIME_BYTES : 0;
    struct ms_buf bytes = MS_BUF_INIT(LINE_SIGNATURE_MAX);
    struct ms_buf text = MS_BUF_INIT(MSIG_NOTE_MAX_BYTES + 64);
    uint64_t time_s = 0;

    bool ok = decode_base64(line->base64, &bytes) &&
              bytes.len == MSIG_NOTE_ID_BYTES + time_bytes + SIGNATURE_BYTES;
    if (ok && time_bytes > 0)
        time_s = read_be64(bytes.ptr + MSIG_NOTE_ID_BYTES);
    ok = ok && time_s <= INT64_MAX && message(vkey->type, time_s, note->text, &text) == MS_OK &&
         verify_ed25519(vkey->key, bytes.ptr + MSIG_NOTE_ID_BYTES + time_bytes, ms_buf_span(&text));
    ms_buf_done(&bytes);
    ms_buf_done(&text);
    if (ok)
        *ret_time_s = time_s;
    return ok;
}

enum ms_err msig_note_verify(const struct msig_note *note, const struct msig_vkey *vkey,
                             int64_t *ret_time_s, struct ms_diag *diag)
{
    uint64_t time_s = 0, latest_s = 0;
    size_t n = 0;

    for (size_t i = 0; i < note->n_lines; i++) {
        const struct msig_note_line *line = &note->lines[i];
        if (!ms_span_eq_str(line->name, vkey->name) ||
            memcmp(line->id, vkey->id, sizeof(vkey->id)) != 0)
            continue;
        if (!verify_line(note, line, vkey, &time_s))
            return ms_diag_set(diag, MS_ERR_SIGNATURE, "the signature of %.100s is wrong",
                               vkey->name);
        latest_s = time_s > latest_s ? time_s : latest_s;
        n++;
    }
    if (n == 0)
        return ms_diag_set(diag, MS_ERR_NOT_FOUND, "it is not signed by %.100s+%02x%02x%02x%02x",
                           vkey->name, vkey->id[0], vkey->id[1], vkey->id[2], vkey->id[3]);
    if (ret_time_s != NULL)
        *ret_time_s = (int64_t)latest_s;
    return MS_OK;
}

static bool sign_ed25519(const struct msig_skey *skey, struct ms_span text,
                         uint8_t ret_signature[SIGNATURE_BYTES])
{
    EVP_PKEY *pkey =
        EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, skey->seed, sizeof(skey->seed));
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    size_t len = SIGNATURE_BYTES;

    bool ok = pkey != NULL && ctx != NULL && EVP_DigestSignInit(ctx, NULL, NULL, NULL, pkey) == 1 &&
              EVP_DigestSign(ctx, ret_signature, &len, text.ptr, text.len) == 1 &&
              len == SIGNATURE_BYTES;
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(pkey);
    /* a fault while signing can give the key away: what does not verify is not given out */
    return ok && verify_ed25519(skey->public.key, ret_signature, text);
}

enum ms_err msig_note_sign(const struct msig_skey *skey, struct ms_span text, int64_t time_s,
                           struct ms_buf *out)
{
    bool timed = skey->public.type == MSIG_NOTE_COSIGNATURE;
    struct ms_buf what = MS_BUF_INIT(MSIG_NOTE_MAX_BYTES + 64);
    uint8_t bytes[MSIG_NOTE_ID_BYTES + TIME_BYTES + SIGNATURE_BYTES];
    size_t at = MSIG_NOTE_ID_BYTES;

    if (text.len == 0 || text.ptr[text.len - 1] != '\n' || text.len > MSIG_NOTE_MAX_BYTES ||
        time_s < 0)
        return MS_ERR_ARGUMENT;
    memcpy(bytes, skey->public.id, MSIG_NOTE_ID_BYTES);
    for (size_t i = 0; timed && i < TIME_BYTES; i++)
        bytes[at++] = (uint8_t)((uint64_t)time_s >> (8 * (TIME_BYTES - 1 - i)));
    enum ms_err err = message(skey->public.type, (uint64_t)time_s, text, &what);
    if (err == MS_OK && !sign_ed25519(skey, ms_buf_span(&what), bytes + at))
        err = MS_ERR_INTERNAL;
    if (err == MS_OK) {
        (void)ms_buf_addf(out, LINE_START "%s ", skey->public.name);
        (void)ms_base64_encode(ms_span_of(bytes, at + SIGNATURE_BYTES), out);
        err = ms_buf_add_byte(out, '\n');
    }
    ms_buf_done(&what);
    return err;
}
