/* Inline documents: every way to write one, and the ways that are refused (ethereum.md 4.4). */
#include "tests/unit/spec/helper.h"

static enum ms_err parse_own(char *text, struct spec *spec, struct ms_diag *diag)
{
    enum ms_err err = parse_text(text, spec, diag);
    free(text);
    return err;
}

/* One document, one key, however it is written; sha256: of it has that key too. */
static void test_one_key(void **state)
{
    (void)state;
    struct ms_span document = ms_span_str(DOCUMENT);
    struct ms_sha256 hash = ms_sha256(document);
    char by_hash[8 + 2 * MS_SHA256_BYTES] = "sha256:";
    struct ms_sha256 key;
    struct spec spec;

    ms_sha256_hex(&hash, by_hash + 7);
    spec_init(&spec);
    assert_int_equal(parse_text(by_hash, &spec, NULL), MS_OK);
    assert_int_equal(spec.kind, SPEC_SHA256);
    assert_int_equal(spec.document.len, 0);
    key = spec.key;
    for (unsigned form = 0; form < 8; form++) {
        char *text = encoded(form & 1 ? "inline:" : "", document, form & 2, form & 4);
        bool has_std = strpbrk(text, "+/") != NULL;
        enum ms_err err = parse_own(text, &spec, NULL);
        if ((form & 1) && has_std) {
            assert_int_equal(err, MS_ERR_BASE64);
            continue;
        }
        assert_int_equal(err, MS_OK);
        assert_int_equal(spec.kind, SPEC_INLINE);
        assert_true(ms_span_eq(spec.document, document));
        assert_true(ms_sha256_eq(&spec.content, &hash));
        assert_true(ms_sha256_eq(&spec.key, &key));
    }
    spec_done(&spec);
}

/* Another document is another key, even when it says the same. */
static void test_bytes_count(void **state)
{
    (void)state;
    struct spec a, b;

    spec_init(&a);
    spec_init(&b);
    assert_int_equal(parse_own(encoded("", ms_span_str(DOCUMENT), true, true), &a, NULL), MS_OK);
    assert_int_equal(parse_own(encoded("", ms_span_str(" " DOCUMENT "\n"), true, true), &b, NULL),
                     MS_OK);
    assert_false(ms_sha256_eq(&a.key, &b.key));
    assert_int_equal(parse_own(encoded("", ms_span_str(" " DOCUMENT "\n"), false, true), &b, NULL),
                     MS_OK);
    spec_done(&a);
    spec_done(&b);
}

static void test_padding(void **state)
{
    (void)state;
    /* one byte over a multiple of three needs "==" */
    char *text = encoded("", ms_span_str(DOCUMENT), false, false);
    size_t n = strlen(text), pad = n - strcspn(text, "=");
    struct spec spec;

    spec_init(&spec);
    if (pad == 0) {
        free(text);
        text = encoded("", ms_span_str(DOCUMENT " "), false, false);
        n = strlen(text);
        pad = n - strcspn(text, "=");
    }
    assert_true(pad > 0);
    assert_int_equal(parse_text(text, &spec, NULL), MS_OK);
    assert_int_equal(spec.n_warnings, 0);
    text[n - pad] = '\0';
    assert_int_equal(parse_text(text, &spec, NULL), MS_OK);
    assert_true(warns(&spec, "no-padding") == (strpbrk(text, "+/") != NULL));
    text[n - pad] = '=';
    if (pad == 2) {
        text[n - 1] = '\0';
        assert_int_equal(parse_text(text, &spec, NULL), MS_ERR_BASE64);
    }
    free(text);
    spec_done(&spec);
}

/* Standard alphabet, unpadded: warned of; base64url, unpadded: the safe form. */
static void test_no_padding_warning(void **state)
{
    (void)state;
    static const char list[] = "[{\"measurement_id\":\"???~~\",\"attestation_type\":\"dcap-tdx\","
                               "\"measurements\":{\"0\":{\"expected\":\"" HEX48 "\"}}}]";
    struct spec spec;
    char *text = NULL;

    spec_init(&spec);
    for (size_t spaces = 0; spaces < 3; spaces++) { /* until padding is needed */
        char document[sizeof(list) + 3];
        (void)snprintf(document, sizeof(document), "%s%.*s", list, (int)spaces, "  ");
        free(text);
        text = encoded("", ms_span_str(document), false, false);
        if (strchr(text, '=') != NULL)
            break;
    }
    assert_non_null(strchr(text, '='));
    assert_non_null(strpbrk(text, "+/"));
    *strchr(text, '=') = '\0';
    assert_int_equal(parse_text(text, &spec, NULL), MS_OK);
    assert_true(warns(&spec, "no-padding"));
    for (char *c = text; *c != '\0'; c++)
        *c = *c == '+' ? '-' : *c == '/' ? '_' : *c;
    assert_int_equal(parse_text(text, &spec, NULL), MS_OK);
    assert_int_equal(spec.n_warnings, 0);
    free(text);
    spec_done(&spec);
}

static void check_gzip(const char *what, struct ms_span bytes, enum ms_err want)
{
    struct ms_diag diag = {0};
    struct spec spec;

    spec_init(&spec);
    enum ms_err err = parse_own(encoded("", bytes, false, true), &spec, &diag);
    if (err != want)
        fail_msg("%s: got %s: %s", what, ms_err_name(err), diag.text);
    spec_done(&spec);
}

static void test_gzip(void **state)
{
    (void)state;
    struct ms_buf member = MS_BUF_INIT(65536), bytes = MS_BUF_INIT(65536);

    assert_int_equal(ms_gzip(ms_span_str(DOCUMENT), &member), MS_OK);
    struct ms_span one = ms_buf_span(&member);
    check_gzip("one member", one, MS_OK);
    for (size_t n = 2; n < one.len; n++)
        check_gzip("cut", ms_span_sub(one, 0, n), MS_ERR_GZIP);
    (void)ms_buf_add(&bytes, one);
    (void)ms_buf_add_byte(&bytes, 0);
    check_gzip("a zero behind", ms_buf_span(&bytes), MS_ERR_GZIP);
    ms_buf_reset(&bytes);
    (void)ms_buf_add(&bytes, one);
    (void)ms_buf_add(&bytes, one);
    check_gzip("two members", ms_buf_span(&bytes), MS_ERR_GZIP);
    ms_buf_done(&bytes);
    ms_buf_done(&member);
}

/* The document with spaces behind it: bounded by size and by ratio. */
static void test_bombs(void **state)
{
    (void)state;
    static const struct {
        size_t spaces;
        enum ms_err want;
    } rows[] = {{20000, MS_OK},
                {200000, MS_ERR_LIMIT},
                {SPEC_INLINE_MAX_BYTES + 1, MS_ERR_LIMIT},
                {8u << 20, MS_ERR_LIMIT}};

    for (size_t i = 0; i < MS_ARRAY_LEN(rows); i++) {
        size_t len = strlen(DOCUMENT) + rows[i].spaces;
        struct ms_buf packed = MS_BUF_INIT(16u << 20);
        uint8_t *document = malloc(len);
        assert_non_null(document);
        memset(document, ' ', len);
        memcpy(document, DOCUMENT, strlen(DOCUMENT));
        assert_int_equal(ms_gzip(ms_span_of(document, len), &packed), MS_OK);
        check_gzip("spaces", ms_buf_span(&packed), rows[i].want);
        ms_buf_done(&packed);
        free(document);
    }
}

/* What the linter reads: decoded, whatever the document says. */
static void test_unread(void **state)
{
    (void)state;
    const struct spec_context unread = {.inline_unread = true};
    struct spec spec;

    spec_init(&spec);
    assert_int_equal(parse_text("W10=", &spec, NULL), MS_ERR_RECORDS);
    assert_int_equal(parse_bytes(ms_span_str("W10="), &unread, &spec, NULL), MS_OK);
    assert_true(ms_span_eq_str(spec.document, "[]"));
    spec_done(&spec);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_key), cmocka_unit_test(test_bytes_count),
        cmocka_unit_test(test_padding), cmocka_unit_test(test_no_padding_warning),
        cmocka_unit_test(test_gzip),    cmocka_unit_test(test_bombs),
        cmocka_unit_test(test_unread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
