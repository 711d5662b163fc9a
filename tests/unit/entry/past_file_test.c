/* The past of a registry in one file: what was written reads back, and nothing in it can be
 * changed, left out, doubled, moved or added without being refused. past_1.json is one that a
 * daemon wrote of a registry on a chain (init, approve, approve, heartbeat, revoke), and never
 * edited: it must be read for ever. */
#define _POSIX_C_SOURCE 200809L /* rand_r */
#include "resolver/entry/past_file.h"

#include "base/hex.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define FILE_PATH "tests/unit/entry/past_1.json"
#define FLIPS 400u

static struct ms_buf whole = MS_BUF_INIT(PAST_FILE_MAX_BYTES);

static int load(void **state)
{
    FILE *f = fopen(FILE_PATH, "rb");
    char part[4096];
    size_t n;

    (void)state;
    if (f == NULL)
        return 1;
    while ((n = fread(part, 1, sizeof(part), f)) > 0)
        (void)ms_buf_add(&whole, ms_span_of(part, n));
    (void)fclose(f);
    return ms_buf_err(&whole) == MS_OK ? 0 : 1;
}

static int unload(void **state)
{
    (void)state;
    ms_buf_done(&whole);
    return 0;
}

static void write_back(const struct past_file *file, const json_t *root, struct ms_buf *out)
{
    const char *name;
    json_t *text;
    bool first = true;

    past_file_begin(ms_json_member_str(root, "bundle"), out);
    for (size_t i = 0; i < file->n; i++)
        past_file_operation(&file->events[i], i == 0, out);
    past_file_documents(out);
    json_object_foreach(file->documents, name, text)
    {
        struct ms_buf bytes = MS_BUF_INIT(PAST_FILE_MAX_BYTES);
        struct ms_sha256 hash;
        bool found = false;
        (void)text;
        assert_int_equal(ms_hex_decode(ms_span_str(name), hash.b, sizeof(hash.b)), MS_OK);
        assert_int_equal(past_file_find(file, &hash, &bytes, &found), MS_OK);
        assert_true(found);
        past_file_document(&hash, ms_buf_span(&bytes), first, out);
        first = false;
        ms_buf_done(&bytes);
    }
    past_file_end(out);
}

static json_t *parse(struct ms_span text)
{
    const struct ms_json_limits limits = {
        .max_bytes = PAST_FILE_MAX_BYTES, .max_depth = 4, .max_values = 1000};
    json_t *root = NULL;
    assert_int_equal(ms_json_parse(text, &limits, &root, NULL), MS_OK);
    return root;
}

static void test_reads(void **state)
{
    struct ms_buf again = MS_BUF_INIT(PAST_FILE_MAX_BYTES);
    json_t *root = parse(ms_buf_span(&whole));
    struct past_file file;
    struct ms_diag diag = {0};
    (void)state;

    assert_true(past_file_is(ms_buf_span(&whole)));
    past_file_init(&file);
    if (past_file_read(ms_buf_span(&whole), &file, &diag) != MS_OK)
        fail_msg("%s", diag.text);
    assert_int_equal(file.n, 5);
    assert_int_equal(file.result->level, SPEC_LEVEL_L3);
    assert_int_equal(json_object_size(file.documents), 2);
    write_back(&file, root, &again);
    assert_true(ms_span_eq(ms_buf_span(&again), ms_buf_span(&whole)));
    past_file_done(&file);
    ms_buf_done(&again);
    json_decref(root);
}

/* ---- moments ---- */

static void must_be(const struct past_file *file, int64_t time_s, bool known, bool in_force,
                    const char *first_record)
{
    json_t *at = past_file_at(file, time_s);
    const json_t *releases = json_object_get(at, "releases");
    const char *id = NULL;

    for (size_t i = 0; i < json_array_size(releases) && id == NULL; i++) {
        const json_t *one = json_array_get(releases, i);
        if (ms_span_eq_str(ms_json_member_str(one, "status"), "in-force"))
            id = json_string_value(json_object_get(
                json_array_get(json_object_get(one, "records"), 0), "measurement_id"));
    }
    assert_int_equal(json_is_true(json_object_get(at, "known")), known);
    assert_int_equal(json_is_true(json_object_get(at, "in_force")), in_force);
    if (first_record == NULL)
        assert_null(id);
    else
        assert_string_equal(id, first_record);
    json_decref(at);
}

static void test_at(void **state)
{
    struct past_file file;
    (void)state;

    past_file_init(&file);
    assert_int_equal(past_file_read(ms_buf_span(&whole), &file, NULL), MS_OK);
    const struct registry_event *e = file.events;
    int64_t first_s = (int64_t)e[1].timestamp_s, gone_s = (int64_t)e[4].timestamp_s;
    must_be(&file, (int64_t)e[0].timestamp_s - 1, true, false, NULL);
    must_be(&file, (int64_t)e[0].timestamp_s, true, true, NULL); /* nothing is approved yet */
    must_be(&file, first_s, true, true, "one");
    must_be(&file, gone_s - 1, true, true, "one");
    must_be(&file, gone_s, true, true, "two"); /* the operation's own second counts */
    must_be(&file, file.result->evidence_time_s + 1, false, false, NULL);
    past_file_done(&file);
}

/* ---- what is refused ---- */

static enum ms_err read_json(const json_t *root, struct ms_diag *diag)
{
    struct ms_buf text = MS_BUF_INIT(PAST_FILE_MAX_BYTES);
    struct past_file file;

    past_file_init(&file);
    assert_int_equal(ms_json_print(root, false, &text), MS_OK);
    enum ms_err err = past_file_read(ms_buf_span(&text), &file, diag);
    past_file_done(&file);
    ms_buf_done(&text);
    return err;
}

static void must_refuse(json_t *root, enum ms_err want, const char *words)
{
    struct ms_diag diag = {0};
    enum ms_err err = read_json(root, &diag);

    if (err != want || strstr(diag.text, words) == NULL)
        fail_msg("wanted %s (%s), got %s: %s", ms_err_name(want), words, ms_err_name(err),
                 diag.text);
    json_decref(root);
}

static json_t *operations(const json_t *root)
{
    return json_object_get(root, "operations");
}

static void test_links(void **state)
{
    static const char *const numbers[] = {"sequence", "kind", "id", "block", "prev_block", "time"};
    (void)state;

    for (size_t i = 0; i < 5; i++) {
        json_t *root = parse(ms_buf_span(&whole));
        char name[32];
        assert_int_equal(json_array_remove(operations(root), i), 0);
        /* a missing one is told by the one behind it, or as the newest that is missing */
        (void)snprintf(name, sizeof(name), "operation %zu", i < 4 ? i + 2 : (size_t)4);
        must_refuse(root, MS_ERR_COMMITMENT, name);
        root = parse(ms_buf_span(&whole));
        assert_int_equal(
            json_array_insert(operations(root), i, json_array_get(operations(root), i)), 0);
        must_refuse(root, MS_ERR_COMMITMENT, "operation");
        for (size_t k = 0; k < MS_ARRAY_LEN(numbers); k++) {
            root = parse(ms_buf_span(&whole));
            json_t *one = json_array_get(operations(root), i);
            json_int_t was = json_integer_value(json_object_get(one, numbers[k]));
            (void)json_object_set_new(one, numbers[k], json_integer(was ^ 1));
            must_refuse(root, MS_ERR_COMMITMENT, "operation");
        }
    }
    json_t *root = parse(ms_buf_span(&whole)),
           *two = json_incref(json_array_get(operations(root), 2));
    (void)json_array_remove(operations(root), 2);
    (void)json_array_insert_new(operations(root), 1, two);
    must_refuse(root, MS_ERR_COMMITMENT, "operation 3");
}

static void test_documents(void **state)
{
    json_t *root = parse(ms_buf_span(&whole)), *documents = json_object_get(root, "documents");
    const char *name = json_object_iter_key(json_object_iter(documents));
    (void)state;

    (void)json_object_set_new(documents, name, json_string("AAAA"));
    must_refuse(root, MS_ERR_COMMITMENT, "is not the one that was approved");
    root = parse(ms_buf_span(&whole));
    (void)json_object_set_new(json_object_get(root, "documents"), "ab", json_string("AAAA"));
    must_refuse(root, MS_ERR_EVIDENCE, "that no operation approved");
    root = parse(ms_buf_span(&whole)); /* one that is missing is no lie */
    (void)json_object_clear(json_object_get(root, "documents"));
    assert_int_equal(read_json(root, NULL), MS_OK);
    json_decref(root);
    root = parse(ms_buf_span(&whole));
    (void)json_object_set_new(root, "more", json_true());
    must_refuse(root, MS_ERR_EVIDENCE, "it is no");
    root = parse(ms_buf_span(&whole));
    (void)json_object_set_new(root, "bundle", json_string("{}"));
    must_refuse(root, MS_ERR_EVIDENCE, "");
    root = parse(ms_buf_span(&whole));
    (void)json_object_set_new(root, "operations", json_array());
    must_refuse(root, MS_ERR_EVIDENCE, "no operations");
}

/* What a file says, without its name, its layout and what the bundle says of itself. */
static json_t *meaning(const struct past_file *file)
{
    json_t *out = json_array();

    for (size_t i = 0; i < file->n; i++)
        (void)json_array_append_new(out, past_file_at(file, (int64_t)file->events[i].timestamp_s));
    (void)json_array_append_new(out, json_string(file->spec.canonical));
    (void)json_array_append_new(out, ms_json_hex(eth_hash_span(&file->result->block.hash)));
    (void)json_array_append_new(out,
                                ms_json_hex(ms_span_of(file->result->set_hash.b, MS_SHA256_BYTES)));
    (void)json_array_append(out, file->documents);
    return out;
}

/* One byte anywhere: it is refused, or it says the same. (What stands in the bundle beside the
 * evidence, times of this machine and texts of endpoints, is on that machine's word: its name
 * tells, audit --sha256.) */
static void test_flips(void **state)
{
    struct past_file file;
    unsigned seed = (unsigned)time(NULL);
    size_t refused = 0;
    (void)state;

    print_message("seed %u\n", seed);
    past_file_init(&file);
    assert_int_equal(past_file_read(ms_buf_span(&whole), &file, NULL), MS_OK);
    json_t *want = meaning(&file);
    past_file_done(&file);
    for (size_t i = 0; i < FLIPS; i++) {
        size_t at = (size_t)rand_r(&seed) % whole.len;
        uint8_t was = whole.ptr[at];
        whole.ptr[at] = (uint8_t)(was ^ 1u << (unsigned)rand_r(&seed) % 8);
        struct ms_diag diag = {0};
        enum ms_err err = past_file_read(ms_buf_span(&whole), &file, &diag);
        if (err == MS_OK) {
            json_t *got = meaning(&file);
            if (!json_equal(want, got))
                fail_msg("byte %zu, %02x for %02x: it says something else", at, whole.ptr[at], was);
            json_decref(got);
        } else {
            refused++;
        }
        past_file_done(&file);
        whole.ptr[at] = was;
    }
    json_decref(want);
    assert_true(refused > FLIPS / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads), cmocka_unit_test(test_at), cmocka_unit_test(test_links),
        cmocka_unit_test(test_documents), cmocka_unit_test(test_flips)};
    return cmocka_run_group_tests(tests, load, unload);
}
