/* vectors/json: RFC 8259 conformance of ms_json_parse, and what the flags of measurement documents
 * add. */
#include "tests/support/vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define FILE_MAX ((size_t)16 << 20)

static const struct ms_json_limits rfc = {FILE_MAX, MS_JSON_DEPTH_MAX, (size_t)1 << 20,
                                          MS_JSON_ALLOW_DUPLICATES | MS_JSON_ALLOW_NUL};
static const struct ms_json_limits document = {262144, 16, 16384, 0};

/* On a heap block of its exact size, so that ASan sees a byte too far. */
static enum ms_err parse_file(const char *path, const struct ms_json_limits *limits,
                              json_t **ret_root, struct ms_diag *diag)
{
    struct ms_buf text = MS_BUF_INIT(FILE_MAX);

    assert_true(vec_read(path, &text));
    uint8_t *copy = malloc(text.len == 0 ? 1 : text.len);
    assert_non_null(copy);
    if (text.len > 0)
        memcpy(copy, text.ptr, text.len);
    *ret_root = NULL;
    enum ms_err err = ms_json_parse(ms_span_of(copy, text.len), limits, ret_root, diag);
    free(copy);
    ms_buf_done(&text);
    return err;
}

/* Whatever the RFC leaves open, one document has one reading and one answer. */
static bool parses(const char *path, char *text, size_t size)
{
    json_t *root, *strict;
    struct ms_diag diag = {0};

    bool ok = parse_file(path, &rfc, &root, &diag) == MS_OK;
    bool strict_ok = parse_file(path, &document, &strict, NULL) == MS_OK;
    (void)snprintf(text, size, "%s%s", ok ? "accepted" : diag.text,
                   strict_ok && !ok ? ", but accepted as a document" : "");
    json_decref(root);
    json_decref(strict);
    return ok && !(strict_ok && !ok);
}

static void check_parsing(const char *name, const char *path, void *arg)
{
    char text[512];
    bool ok = parses(path, text, sizeof(text));
    bool right = name[0] == 'i' || ok == (name[0] == 'y');

    vec_check(arg, right, name, "%s", text);
}

static void check_jsonchecker(const char *name, const char *path, void *arg)
{
    char text[512];
    bool ok = parses(path, text, sizeof(text));
    bool right = strstr(name, "_EXCLUDE") != NULL || ok == (strncmp(name, "pass", 4) == 0);

    vec_check(arg, right, name, "%s", text);
}

static void check_roundtrip(const char *name, const char *path, void *arg)
{
    struct ms_buf printed = MS_BUF_INIT(FILE_MAX);
    struct ms_diag diag = {0};
    json_t *first, *second = NULL;

    enum ms_err err = parse_file(path, &rfc, &first, &diag);
    if (err == MS_OK)
        err = ms_json_print(first, false, &printed);
    if (err == MS_OK)
        err = ms_json_parse(ms_buf_span(&printed), &rfc, &second, &diag);
    vec_check(arg, err == MS_OK && json_equal(first, second) == 1, name, "%s", diag.text);
    json_decref(first);
    json_decref(second);
    ms_buf_done(&printed);
}

/* No answer is prescribed; what ours is, by rule: duplicate names, U+0000 and anything that is no
 * Unicode text (lone surrogates, bad UTF-8) refuse a document; names are compared as bytes, not
 * normalised; an integer beyond 64 bits is refused; a fraction becomes the nearest double. */
static void check_transform(const char *name, const char *path, void *arg)
{
    bool duplicate = strncmp(name, "object_same_key", 15) == 0;
    bool no_text = strstr(name, "invalid_codepoint") != NULL || strstr(name, "NULL") != NULL;
    bool too_big = strcmp(name, "number_10000000000000000999.json") == 0;
    struct ms_diag diag = {0};
    json_t *root;

    enum ms_err err = parse_file(path, &document, &root, &diag);
    bool right = duplicate ? err == MS_ERR_JSON_DUPLICATE : (err != MS_OK) == (no_text || too_big);
    vec_check(arg, right, name, "%s %s", ms_err_name(err), diag.text);
    json_decref(root);
}

static void run_folder(const char *folder,
                       void (*fn)(const char *name, const char *path, void *arg))
{
    struct vec_count count = {.topic = "json", .file = folder};

    if (!vec_exists("json", folder)) {
        printf("json/%s: not there, skipped\n", folder);
        return;
    }
    assert_true(vec_each_file("json", folder, fn, &count) > 0);
    assert_true(vec_end(&count));
}

static void test_parsing(void **state)
{
    (void)state;
    run_folder("test_parsing", check_parsing);
}

static void test_jsonchecker(void **state)
{
    (void)state;
    run_folder("jsonchecker", check_jsonchecker);
}

static void test_roundtrip(void **state)
{
    (void)state;
    run_folder("roundtrip", check_roundtrip);
}

static void test_transform(void **state)
{
    (void)state;
    run_folder("test_transform", check_transform);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parsing),
        cmocka_unit_test(test_jsonchecker),
        cmocka_unit_test(test_roundtrip),
        cmocka_unit_test(test_transform),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
