/* vectors/measurements: documents of the peers load, policies of attested-tls get its verdict
 * except where our rules are stricter on purpose, and the seed document's examples read as they
 * say. */
#include "resolver/records/records.h"
#include "tests/support/consumers.h"
#include "tests/support/vectors.h"

#include "base/base64.h"
#include "base/gzip.h"
#include "base/hex.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* ---- documents ---- */

static size_t rendered(const struct rec_set *set, enum rec_profile profile)
{
    static const struct ms_json_limits limits = {(size_t)8 << 20, 16, (size_t)1 << 20, 0};
    const struct rec_set *sets[] = {set};
    struct ms_buf out = MS_BUF_INIT((size_t)8 << 20);
    json_t *root = NULL;

    assert_int_equal(rec_render(sets, 1, &(struct rec_options){.profile = profile}, &out, NULL),
                     MS_OK);
    assert_int_equal(ms_json_parse(ms_buf_span(&out), &limits, &root, NULL), MS_OK);
    size_t n = json_array_size(root);
    json_decref(root);
    ms_buf_done(&out);
    return n;
}

/* Records in the document, as a plain JSON reader counts them. */
static size_t listed(struct ms_span text)
{
    static const struct ms_json_limits limits = {262144, 16, 16384, 0};
    json_t *root = NULL;

    assert_int_equal(ms_json_parse(text, &limits, &root, NULL), MS_OK);
    size_t n = json_array_size(root);
    json_decref(root);
    return n;
}

/* Every machine that a record of the list names, by the consumer's own rules: those of cvm take the
 * rendering, as those of atls do; the hub takes it by the record's own spelling. */
static bool all_pass(const struct rec_set *set)
{
    static const struct {
        enum rec_profile profile;
        enum consumer (*reads)(const json_t *, const struct peer *);
    } readers[] = {{REC_PROFILE_ATLS_1, consumer_atls_1},
                   {REC_PROFILE_ATLS_2, consumer_atls_2},
                   {REC_PROFILE_CVM, consumer_cvm},
                   {REC_PROFILE_BUILDERHUB, consumer_builderhub}};
    const struct rec_set *sets[] = {set};
    bool ok = set->n_records > 0;

    for (size_t r = 0; r < MS_ARRAY_LEN(readers); r++) {
        struct ms_buf out = MS_BUF_INIT((size_t)8 << 20);
        assert_int_equal(
            rec_render(sets, 1, &(struct rec_options){.profile = readers[r].profile}, &out, NULL),
            MS_OK);
        json_t *root = json_loadb((const char *)out.ptr, out.len, JSON_REJECT_DUPLICATES, NULL);
        for (size_t i = 0; i < set->n_records; i++) {
            char hex[REC_REGISTERS_MAX][2 * REC_VALUE_MAX_BYTES + 1];
            const struct rec_record *record = &set->records[i];
            struct peer peer = {.type = record->type_text};
            for (size_t k = 0; k < record->n_registers; k++) {
                const struct rec_value *last =
                    &record->registers[k].values[record->registers[k].n_values - 1];
                ms_hex_encode(ms_span_of(last->b, last->len), hex[k]);
                peer.hex[record->registers[k].index] = hex[k];
            }
            ok = ok && readers[r].reads(root, &peer) == CONSUMER_ACCEPTS;
            hex[0][0] = hex[0][0] == '0' ? '1' : '0';
            ok = ok && readers[r].reads(root, &peer) == CONSUMER_REFUSES;
        }
        json_decref(root);
        ms_buf_done(&out);
    }
    return ok;
}

static void check_document(const char *name, const char *path, void *arg)
{
    bool live = strcmp(name, "buildernet-live.json") == 0;

    for (enum rec_mode mode = REC_MODE_STRICT; mode <= REC_MODE_DIALECTS; mode++) {
        struct ms_buf text = MS_BUF_INIT(REC_DOC_MAX_BYTES);
        struct ms_diag diag = {0};
        struct rec_set set;
        rec_set_init(&set);
        assert_true(vec_read(path, &text));
        enum ms_err err = rec_parse(ms_buf_span(&text), mode, &set, &diag);
        bool right = err == MS_OK && set.n_records == listed(ms_buf_span(&text)) &&
                     rendered(&set, REC_PROFILE_ATLS_1) == set.n_records;
        size_t expanded = err == MS_OK ? rendered(&set, REC_PROFILE_CVM) : 0;
        right = right && (live ? expanded == 38 : expanded >= set.n_records) &&
                rendered(&set, REC_PROFILE_BUILDERHUB) == set.n_records && all_pass(&set);
        vec_check(arg, right, name, "mode %d: %zu records, %zu expanded: %s", mode, set.n_records,
                  expanded, diag.text);
        rec_set_done(&set);
        ms_buf_done(&text);
    }
}

static void test_documents(void **state)
{
    (void)state;
    struct vec_count count = {.topic = "measurements", .file = "documents"};
    if (!vec_exists("measurements", "documents")) {
        printf("measurements/documents: not there, skipped\n");
        return;
    }
    assert_true(vec_each_file("measurements", "documents", check_document, &count) > 0);
    assert_true(vec_end(&count));
}

/* ---- policies of attested-tls ---- */

/* Whether our rules refuse what attested-tls accepts: a record without any measurement, which it
 * reads as "any machine of this type" (consumers.md 1.3, 3.1). */
static bool allows_any(const json_t *record)
{
    return json_object_get(record, "attestation_type") != NULL &&
           json_object_size(json_object_get(record, "measurements")) == 0 &&
           json_object_get(record, "dcap_image_hashes") == NULL;
}

static bool stricter_here(const json_t *root)
{
    if (!json_is_array(root))
        return allows_any(root);
    for (size_t i = 0; i < json_array_size(root); i++)
        if (allows_any(json_array_get(root, i)))
            return true;
    return false;
}

static void check_policy(struct vec_count *count, const json_t *c)
{
    static const struct ms_json_limits limits = {262144, 16, 16384, 0};
    const char *text = vec_str(c, "json"), *peer = vec_str(c, "peer");
    const json_t *records = json_object_get(c, "records");
    struct ms_diag diag = {0};
    struct rec_set set;
    json_t *root = NULL;

    rec_set_init(&set);
    enum ms_err err = rec_parse(ms_span_str(text), REC_MODE_DIALECTS, &set, &diag);
    bool want = strcmp(peer, "accept") == 0;
    if (ms_json_parse(ms_span_str(text), &limits, &root, NULL) == MS_OK && stricter_here(root))
        want = false;
    bool right = (err == MS_OK) == want;
    if (right && want && json_is_integer(records))
        right = set.n_records == (size_t)json_integer_value(records);
    vec_check(count, right, vec_str(c, "id"), "peer %s, ours %s: %s", peer, ms_err_name(err),
              diag.text);
    json_decref(root);
    rec_set_done(&set);
}

static void test_policies(void **state)
{
    (void)state;
    struct vec_count count;
    json_t *root = vec_load(&count, "measurements", "attested_tls_policy_texts.json");
    if (root == NULL)
        return;
    const json_t *cases = vec_cases(root);
    for (size_t i = 0; i < json_array_size(cases); i++)
        check_policy(&count, json_array_get(cases, i));
    json_decref(root);
    assert_true(vec_end(&count));
}

/* ---- the seed document ---- */

/* What stands between https:// and the last @. */
static struct ms_span userinfo(const char *url)
{
    struct ms_span rest = ms_span_sub(ms_span_str(url), strlen("https://"), SIZE_MAX);
    size_t at = rest.len;

    while (at > 0 && rest.ptr[at - 1] != '@')
        at--;
    return ms_span_sub(rest, 0, at == 0 ? 0 : at - 1);
}

static void check_inline(struct vec_count *count, const json_t *c)
{
    struct ms_buf packed = MS_BUF_INIT(65536), text = MS_BUF_INIT(REC_DOC_MAX_BYTES),
                  out = MS_BUF_INIT(65536);
    struct ms_diag diag = {0};
    struct rec_set set;
    char hex[65] = "";

    rec_set_init(&set);
    enum ms_err err = ms_base64_decode(userinfo(vec_str(c, "url")), &packed, NULL, NULL, &diag);
    if (err == MS_OK)
        err = ms_gunzip(ms_buf_span(&packed), 256, &text, &diag);
    struct ms_sha256 hash = ms_sha256(ms_buf_span(&text));
    ms_sha256_hex(&hash, hex);
    if (err == MS_OK)
        err = rec_parse(ms_buf_span(&text), REC_MODE_STRICT, &set, &diag);
    vec_check(count, err == MS_OK && strcmp(hex, vec_str(c, "sha256")) == 0, "inline", "%s",
              diag.text);
    const struct rec_set *sets[] = {&set};
    err = rec_render(sets, 1, &(struct rec_options){.profile = REC_PROFILE_SEED}, &out, NULL);
    vec_check(count, err == MS_OK && ms_span_eq_str(ms_buf_span(&out), vec_str(c, "text")),
              "inline, rendered", "profile seed does not give the text back");
    rec_set_done(&set);
    ms_buf_done(&packed);
    ms_buf_done(&text);
    ms_buf_done(&out);
}

static void check_listed(struct vec_count *count, const json_t *list)
{
    struct ms_buf text = MS_BUF_INIT(65536), out = MS_BUF_INIT(65536);
    struct ms_diag diag = {0};
    struct rec_set set;

    rec_set_init(&set);
    assert_int_equal(ms_json_print(list, false, &text), MS_OK);
    enum ms_err err = rec_parse(ms_buf_span(&text), REC_MODE_STRICT, &set, &diag);
    vec_check(count, err == MS_OK && set.n_records == json_array_size(list), "listed_json", "%s",
              diag.text);
    json_t *again = rec_records_json(&set);
    vec_check(count, json_equal(list, again) == 1, "listed_json, as records",
              "not the same records");
    json_decref(again);
    rec_set_done(&set);
    ms_buf_done(&text);
    ms_buf_done(&out);
}

static void test_seed(void **state)
{
    (void)state;
    struct vec_count count;
    json_t *root = vec_load(&count, "measurements", "seed_example.json");
    if (root == NULL)
        return;
    check_inline(&count, json_object_get(root, "inline"));
    check_listed(&count, json_object_get(root, "listed_json"));
    json_decref(root);
    assert_true(vec_end(&count));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_documents),
        cmocka_unit_test(test_policies),
        cmocka_unit_test(test_seed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
