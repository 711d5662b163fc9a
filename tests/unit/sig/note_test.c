/* Signed notes, checkpoints, proofs: the bytes of the specifications, and that no byte may change.
 */
#include "base/base64.h"
#include "sig/tlog_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* The keys and notes of the documentation of golang.org/x/mod/sumdb/note. */
#define PETER_SKEY "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
#define PETER_VKEY "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
#define PETER_TEXT                                               \
    "If you think cryptography is the answer to your problem,\n" \
    "then you don't know what your problem is.\n"
#define PETER_LINE               \
    "\xe2\x80\x94 PeterNeumann " \
    "x08go/ZJkuBS9UG/"           \
    "SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"

static struct msig_note note;

static struct msig_skey skey_of(const char *name, enum msig_note_type type, uint8_t fill)
{
    uint8_t seed[MSIG_NOTE_KEY_BYTES];
    struct msig_skey skey;

    memset(seed, fill, sizeof(seed));
    assert_int_equal(msig_skey_make(ms_span_str(name), type, seed, &skey), MS_OK);
    return skey;
}

static void test_published(void **state)
{
    (void)state;
    struct msig_skey skey;
    struct msig_vkey vkey;
    struct ms_diag diag = {0};
    struct ms_buf out = MS_BUF_INIT(2000);

    assert_int_equal(msig_skey_parse(ms_span_str(PETER_SKEY), &skey, &diag), MS_OK);
    assert_int_equal(msig_vkey_parse(ms_span_str(PETER_VKEY), &vkey, &diag), MS_OK);
    assert_memory_equal(&skey.public, &vkey, sizeof(vkey));
    assert_int_equal(msig_vkey_print(&skey.public, &out), MS_OK);
    assert_string_equal(ms_buf_str(&out), PETER_VKEY);
    ms_buf_reset(&out);
    assert_int_equal(msig_skey_print(&skey, &out), MS_OK);
    assert_string_equal(ms_buf_str(&out), PETER_SKEY);
    ms_buf_reset(&out);
    assert_int_equal(msig_note_sign(&skey, ms_span_str(PETER_TEXT), 0, &out), MS_OK);
    assert_string_equal(ms_buf_str(&out), PETER_LINE);
    assert_int_equal(msig_note_parse(ms_span_str(PETER_TEXT "\n" PETER_LINE), &note, &diag), MS_OK);
    assert_int_equal(msig_note_verify(&note, &vkey, NULL, &diag), MS_OK);
    ms_buf_done(&out);
}

/* The checkpoint and the cosignature of c2sp.org/tlog-cosignature, whose witness key is not
 * published: the forms are read, and a key of ours is not among the signers. */
static void test_example_of_the_specification(void **state)
{
    (void)state;
    static const char text[] =
        "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
        "\xe2\x80\x94 example.com/behind-the-sofa "
        "Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/"
        "Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
        "\xe2\x80\x94 witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/"
        "zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n";
    struct msig_checkpoint c;
    struct ms_diag diag = {0};
    struct msig_skey other = skey_of("witness.example.com/w1", MSIG_NOTE_COSIGNATURE, 1);

    assert_int_equal(msig_note_parse(ms_span_str(text), &note, &diag), MS_OK);
    assert_int_equal(note.n_lines, 2);
    assert_int_equal(msig_checkpoint_parse(note.text, &c, &diag), MS_OK);
    assert_string_equal(c.origin, "example.com/behind-the-sofa");
    assert_int_equal(c.size, 20852163);
    assert_int_equal(c.root.b[0], 0x0a);
    assert_int_equal(msig_note_verify(&note, &other.public, NULL, &diag), MS_ERR_NOT_FOUND);
    /* the same name and id: then it must be right */
    memcpy(other.public.id, note.lines[1].id, 4);
    assert_int_equal(msig_note_verify(&note, &other.public, NULL, &diag), MS_ERR_SIGNATURE);
}

static void make_checkpoint(struct ms_buf *out)
{
    struct msig_skey log = skey_of("log.example/1", MSIG_NOTE_ED25519, 2);
    struct msig_skey witness = skey_of("witness.example/w", MSIG_NOTE_COSIGNATURE, 3);
    struct msig_checkpoint c = {.origin = "log.example/1", .size = 7, .root = {{1, 2, 3}}};
    struct ms_buf text = MS_BUF_INIT(1000);

    assert_int_equal(msig_checkpoint_print(&c, &text), MS_OK);
    (void)ms_buf_add(out, ms_buf_span(&text));
    (void)ms_buf_add_byte(out, '\n');
    assert_int_equal(msig_note_sign(&log, ms_buf_span(&text), 0, out), MS_OK);
    assert_int_equal(msig_note_sign(&witness, ms_buf_span(&text), 1700000000, out), MS_OK);
    ms_buf_done(&text);
}

/* No byte of a checkpoint may change: either it is malformed, or a signature is wrong, or there is
 * no signature of that key any more. Base64 padding and case of letters included. */
static void test_every_byte(void **state)
{
    (void)state;
    struct msig_skey log = skey_of("log.example/1", MSIG_NOTE_ED25519, 2);
    struct msig_skey witness = skey_of("witness.example/w", MSIG_NOTE_COSIGNATURE, 3);
    struct ms_buf out = MS_BUF_INIT(2000);
    struct msig_checkpoint c;
    int64_t time_s = 0;

    make_checkpoint(&out);
    assert_int_equal(msig_checkpoint_open(ms_buf_span(&out), &log.public, &note, &c, NULL), MS_OK);
    assert_int_equal(c.size, 7);
    assert_int_equal(msig_note_verify(&note, &witness.public, &time_s, NULL), MS_OK);
    assert_int_equal(time_s, 1700000000);
    for (size_t i = 0; i < out.len; i++)
        for (int bit = 0; bit < 8; bit++) {
            out.ptr[i] ^= (uint8_t)(1 << bit);
            bool ok =
                msig_checkpoint_open(ms_buf_span(&out), &log.public, &note, &c, NULL) == MS_OK &&
                msig_note_verify(&note, &witness.public, NULL, NULL) == MS_OK;
            if (ok)
                fail_msg("byte %zu, bit %d", i, bit);
            out.ptr[i] ^= (uint8_t)(1 << bit);
        }
    for (size_t len = 0; len < out.len; len++) { /* no proper beginning is good for both */
        bool ok =
            msig_checkpoint_open(ms_span_of(out.ptr, len), &log.public, &note, &c, NULL) == MS_OK &&
            msig_note_verify(&note, &witness.public, NULL, NULL) == MS_OK;
        if (ok)
            fail_msg("its first %zu bytes", len);
    }
    ms_buf_done(&out);
}

/* A cosignature is of its time, and of its type: neither can be taken for the other. */
static void test_types(void **state)
{
    (void)state;
    struct msig_skey plain = skey_of("one.example/k", MSIG_NOTE_ED25519, 9);
    struct msig_skey timed = skey_of("one.example/k", MSIG_NOTE_COSIGNATURE, 9);
    struct ms_buf out = MS_BUF_INIT(2000);

    assert_memory_not_equal(plain.public.id, timed.public.id, 4);
    assert_memory_equal(plain.public.key, timed.public.key, 32);
    (void)ms_buf_add_str(&out, "text\n\n");
    assert_int_equal(msig_note_sign(&timed, ms_span_str("text\n"), 5, &out), MS_OK);
    assert_int_equal(msig_note_parse(ms_buf_span(&out), &note, NULL), MS_OK);
    assert_int_equal(msig_note_verify(&note, &plain.public, NULL, NULL), MS_ERR_NOT_FOUND);
    assert_int_equal(msig_note_verify(&note, &timed.public, NULL, NULL), MS_OK);
    assert_int_equal(msig_note_sign(&timed, ms_span_str("text\n"), -1, &out), MS_ERR_ARGUMENT);
    assert_int_equal(msig_note_sign(&timed, ms_span_str("text"), 1, &out), MS_ERR_ARGUMENT);
    ms_buf_done(&out);
}

static void test_malformed_notes(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text;
    } bad[] = {
        {"empty", ""},
        {"no signature", "text\n\n"},
        {"no empty line", "text\n" PETER_LINE},
        {"no last newline", "text\n\n\xe2\x80\x94 a AAAAAAA="},
        {"a hyphen", "text\n\n- a AAAAAAA=\n"},
        {"no name", "text\n\n\xe2\x80\x94  AAAAAAA=\n"},
        {"a plus in the name", "text\n\n\xe2\x80\x94 a+b AAAAAAA=\n"},
        {"a wide space in the name", "text\n\n\xe2\x80\x94 a\xe2\x80\x89"
                                     "b AAAAAAA=\n"},
        {"an id alone", "text\n\n\xe2\x80\x94 a AAAAAA==\n"},
        {"no padding", "text\n\n\xe2\x80\x94 a AAAAAAA\n"},
        {"url alphabet", "text\n\n\xe2\x80\x94 a -AAAAAA=\n"},
        {"a tab", "te\txt\n\n\xe2\x80\x94 a AAAAAAA=\n"},
        {"carriage return", "text\r\n\n\xe2\x80\x94 a AAAAAAA=\n"},
        {"no UTF-8", "te\xfft\n\n\xe2\x80\x94 a AAAAAAA=\n"},
    };
    struct ms_buf many = MS_BUF_INIT(100000);

    assert_int_equal(msig_note_parse(ms_span_str("text\n\n\xe2\x80\x94 a AAAAAAA=\n"), &note, NULL),
                     MS_OK);
    for (size_t i = 0; i < MS_ARRAY_LEN(bad); i++) {
        struct ms_diag diag = {0};
        if (msig_note_parse(ms_span_str(bad[i].text), &note, &diag) != MS_ERR_SYNTAX ||
            diag.text[0] == '\0')
            fail_msg("%s was taken", bad[i].name);
    }
    (void)ms_buf_add_str(&many, "text\n\n");
    for (int i = 0; i < 64; i++)
        (void)ms_buf_add_str(&many, "\xe2\x80\x94 a AAAAAAA=\n");
    assert_int_equal(msig_note_parse(ms_buf_span(&many), &note, NULL), MS_OK);
    (void)ms_buf_add_str(&many, "\xe2\x80\x94 a AAAAAAA=\n");
    assert_int_equal(msig_note_parse(ms_buf_span(&many), &note, NULL), MS_ERR_LIMIT);
    ms_buf_done(&many);
    /* empty lines belong to the text: the last one counts */
    assert_int_equal(
        msig_note_parse(ms_span_str("a\n\nb\n\n\xe2\x80\x94 a AAAAAAA=\n"), &note, NULL), MS_OK);
    assert_true(ms_span_eq_str(note.text, "a\n\nb\n"));
}

static void test_malformed_keys(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "PeterNeumann",
        "PeterNeumann+c74f20a3",
        "PeterNeumann+C74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "Peterneumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a3+BRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10Q=",
        "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq_LDE4izWy10TW",
        "+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        PETER_VKEY "\n",
    };
    struct msig_vkey vkey;
    struct msig_skey skey;

    for (size_t i = 0; i < MS_ARRAY_LEN(bad); i++)
        if (msig_vkey_parse(ms_span_str(bad[i]), &vkey, NULL) != MS_ERR_SYNTAX)
            fail_msg("%s was taken", bad[i]);
    assert_int_equal(msig_skey_parse(ms_span_str(PETER_VKEY), &skey, NULL), MS_ERR_SYNTAX);
    assert_int_equal(msig_vkey_parse(ms_span_str(PETER_SKEY), &vkey, NULL), MS_ERR_SYNTAX);
}

static void test_checkpoint_text(void **state)
{
    (void)state;
    static const char root[] = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
    static const struct {
        const char *head, *tail;
        bool good;
    } cases[] = {
        {"o\n0\n", "", true},      {"o\n18\n", "extension\n", true},
        {"\n1\n", "", false},      {"o\n01\n", "", false},
        {"o\n-1\n", "", false},    {"o\n\n", "", false},
        {"o\n1 \n", "", false},    {"o\n1\n", "\n", false},
        {"o\n1\n", "open", false}, {"o\n9223372036854775808\n", "", false},
        {"o\n1\nAA\n", "", false},
    };
    struct msig_checkpoint c;

    for (size_t i = 0; i < MS_ARRAY_LEN(cases); i++) {
        char text[200];
        (void)snprintf(text, sizeof(text), "%s%s%s", cases[i].head, root, cases[i].tail);
        bool taken = msig_checkpoint_parse(ms_span_str(text), &c, NULL) == MS_OK;
        if (taken != cases[i].good)
            fail_msg("case %zu", i);
    }
    /* a key signs only under its own origin */
    struct msig_skey log = skey_of("log.example/1", MSIG_NOTE_ED25519, 2);
    struct msig_checkpoint other = {.origin = "log.example/2", .size = 1};
    struct ms_buf body = MS_BUF_INIT(1000), whole = MS_BUF_INIT(2000);
    (void)msig_checkpoint_print(&other, &body);
    (void)ms_buf_add(&whole, ms_buf_span(&body));
    (void)ms_buf_add_byte(&whole, '\n');
    assert_int_equal(msig_note_sign(&log, ms_buf_span(&body), 0, &whole), MS_OK);
    assert_int_equal(msig_checkpoint_open(ms_buf_span(&whole), &log.public, &note, &c, NULL),
                     MS_ERR_SIGNATURE);
    ms_buf_done(&body);
    ms_buf_done(&whole);
}

static void test_proof_text(void **state)
{
    (void)state;
    struct msig_tlog_proof proof = {.has_extra = true,
                                    .extra = ms_span_str("an entry"),
                                    .index = 5,
                                    .path = {.n = 2, .hash = {{{1}}, {{2}}}}},
                           again;
    struct ms_buf checkpoint = MS_BUF_INIT(2000), out = MS_BUF_INIT(4000), two = MS_BUF_INIT(4000);

    make_checkpoint(&checkpoint);
    proof.checkpoint = ms_buf_span(&checkpoint);
    assert_int_equal(msig_tlog_proof_print(&proof, &out), MS_OK);
    assert_true(ms_span_starts(ms_buf_span(&out),
                               "c2sp.org/tlog-proof@v1\nextra YW4gZW50cnk=\nindex 5\nAQAAAA"));
    assert_int_equal(msig_tlog_proof_parse(ms_buf_span(&out), &again, NULL), MS_OK);
    assert_true(again.index == 5 && again.path.n == 2 && again.has_extra &&
                ms_span_eq_str(again.extra, "YW4gZW50cnk=") &&
                ms_span_eq(again.checkpoint, proof.checkpoint));
    static const char *const bad[] = {
        "c2sp.org/tlog-proof@v2\nindex 5\n\nx",
        "c2sp.org/tlog-proof@v1\n\nx",
        "c2sp.org/tlog-proof@v1\nindex 05\n\nx",
        "c2sp.org/tlog-proof@v1\nindex 5\nAA==\n\nx",
        "c2sp.org/tlog-proof@v1\nindex 5\n\n",
        "c2sp.org/tlog-proof@v1\nindex 5\n",
        "c2sp.org/tlog-proof@v1\nextra ?\nindex 5\n\nx",
        "c2sp.org/tlog-proof@v1\nindex 5\nextra AA==\n\nx",
    };
    for (size_t i = 0; i < MS_ARRAY_LEN(bad); i++)
        if (msig_tlog_proof_parse(ms_span_str(bad[i]), &again, NULL) != MS_ERR_SYNTAX)
            fail_msg("proof %zu was taken", i);

    struct msig_tlog_growth growth = {.old_size = 3,
                                      .path = proof.path,
                                      .checkpoint = proof.checkpoint},
                            read;
    assert_int_equal(msig_tlog_growth_print(&growth, &two), MS_OK);
    assert_true(ms_span_starts(ms_buf_span(&two), "old 3\nAQAAAA"));
    assert_int_equal(msig_tlog_growth_parse(ms_buf_span(&two), &read, NULL), MS_OK);
    assert_true(read.old_size == 3 && read.path.n == 2);
    assert_int_equal(msig_tlog_growth_parse(ms_buf_span(&out), &read, NULL), MS_ERR_SYNTAX);
    /* at most 63 hashes */
    growth.path.n = 63;
    ms_buf_reset(&two);
    two.max = 100000;
    (void)msig_tlog_growth_print(&growth, &two);
    assert_int_equal(msig_tlog_growth_parse(ms_buf_span(&two), &read, NULL), MS_OK);
    growth.path.n = 64;
    ms_buf_reset(&two);
    (void)msig_tlog_growth_print(&growth, &two);
    assert_int_equal(msig_tlog_growth_parse(ms_buf_span(&two), &read, NULL), MS_ERR_SYNTAX);
    ms_buf_done(&checkpoint);
    ms_buf_done(&out);
    ms_buf_done(&two);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published),       cmocka_unit_test(test_example_of_the_specification),
        cmocka_unit_test(test_every_byte),      cmocka_unit_test(test_types),
        cmocka_unit_test(test_malformed_notes), cmocka_unit_test(test_malformed_keys),
        cmocka_unit_test(test_checkpoint_text), cmocka_unit_test(test_proof_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
