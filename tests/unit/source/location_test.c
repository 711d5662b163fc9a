/* Documents at https locations: what is taken, what is refused, and for how long. */
#include "base/gzip.h"
#include "tests/support/play.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define NOW_S INT64_C(1700000000) /* Tue, 14 Nov 2023 22:13:20 GMT */
#define URL "url:https://a.example/list.json"

struct origin {
    uint32_t status;
    enum ms_err err;
    struct ms_span body;
    const char *header[SOURCE_HEADER_COUNT];
    size_t asked;
    char url[256], etag[64], modified[64];
    size_t max_bytes;
};

static struct source_response serve(void *arg, const struct source_request *request)
{
    struct origin *o = arg;
    struct source_response r = {.status = o->status, .err = o->err, .body = o->body};

    o->asked++;
    o->max_bytes = request->max_bytes;
    assert_int_equal(request->kind, SOURCE_REQUEST_HTTP);
    (void)snprintf(o->url, sizeof(o->url), "%s", request->location->url);
    (void)snprintf(o->etag, sizeof(o->etag), "%s",
                   request->if_none_match == NULL ? "" : request->if_none_match);
    (void)snprintf(o->modified, sizeof(o->modified), "%s",
                   request->if_modified_since == NULL ? "" : request->if_modified_since);
    memcpy(r.header, o->header, sizeof(r.header));
    return r;
}

static void run(struct play *p, struct origin *o, const char *spec)
{
    *p = (struct play){.spec = spec,
                       .previous = p->previous,
                       .policy = play_policy(SPEC_LEVEL_L1, 1, 1),
                       .now = {NOW_S, 5, 0},
                       .http = serve,
                       .arg = o};
    play_run(p);
}

static void test_statuses(void **state)
{
    (void)state;
    static const struct {
        uint32_t status;
        enum ms_err err, want;
        int64_t negative_s;
    } rows[] = {
        {200, MS_OK, MS_OK, 0},
        {201, MS_OK, MS_ERR_HTTP, 0},
        {204, MS_OK, MS_ERR_HTTP, 0},
        {206, MS_OK, MS_ERR_HTTP, 0}, /* a part is not the document */
        {301, MS_OK, MS_ERR_HTTP, 0},
        {304, MS_OK, MS_ERR_HTTP, 0}, /* nobody asked for it */
        {401, MS_OK, MS_ERR_HTTP, 0},
        {404, MS_OK, MS_ERR_NOT_FOUND, 60},
        {410, MS_OK, MS_ERR_NOT_FOUND, 60},
        {429, MS_OK, MS_ERR_HTTP, 0},
        {500, MS_OK, MS_ERR_HTTP, 0},
        {0, MS_ERR_TLS, MS_ERR_TLS, 0},
        {200, MS_ERR_TOO_LARGE, MS_ERR_TOO_LARGE, 0},
    };
    for (size_t i = 0; i < MS_ARRAY_LEN(rows); i++) {
        struct origin o = {
            .status = rows[i].status, .err = rows[i].err, .body = ms_span_str(chain_document(1))};
        struct play p = {0};
        run(&p, &o, URL);
        if (p.err != rows[i].want || p.negative_s != rows[i].negative_s)
            fail_msg("%u: %s, negative %lld", rows[i].status, ms_err_name(p.err),
                     (long long)p.negative_s);
        assert_int_equal(o.asked, 1);
        assert_int_equal(o.max_bytes, SOURCE_BODY_MAX_BYTES);
        assert_string_equal(o.url, "https://a.example/list.json");
        if (p.err == MS_OK) {
            assert_int_equal(p.result->trust, SOURCE_TRUST_TLS);
            assert_false(p.result->has_sequence);
            assert_true(ms_sha256_eq(&p.result->commitment, &p.result->set_hash));
            assert_int_equal(p.result->life.fresh_s, 299); /* the answer took a second */
            assert_int_equal(p.result->life.ceiling_s, 86400);
        }
        play_done(&p);
    }
}

static void test_bodies(void **state)
{
    (void)state;
    static const char *const refused[] = {
        "",
        "{",
        "null",
        "17",
        "[{}]",
        "[{\"measurement_id\":\"x\",\"attestation_type\":\"none\"}]",
        "[{\"measurement_id\":\"x\",\"attestation_type\":\"dcap-tdx\",\"measurements\":{}}]",
    };
    for (size_t i = 0; i < MS_ARRAY_LEN(refused); i++) {
        struct origin o = {.status = 200, .body = ms_span_str(refused[i])};
        struct play p = {0};
        run(&p, &o, URL);
        if (p.err == MS_OK)
            fail_msg("%s is taken", refused[i]);
        assert_int_equal(p.negative_s, 0);
        play_done(&p);
    }
    struct origin o = {.status = 200,
                       .body = ms_span_str("[]")}; /* nothing approved is an answer */
    struct play p = {0};
    run(&p, &o, URL);
    assert_int_equal(p.err, MS_OK);
    assert_int_equal(p.result->releases[0].set->n_records, 0);
    play_done(&p);
}

static void test_conditional(void **state)
{
    (void)state;
    struct origin o = {.status = 304};
    struct play p = {.previous = {.etag = "W/\"v\"", .last_modified = "yesterday"}};

    o.header[SOURCE_HEADER_CACHE_CONTROL] = "max-age=77";
    o.header[SOURCE_HEADER_AGE] = "7";
    run(&p, &o, URL);
    assert_int_equal(p.err, MS_OK);
    assert_string_equal(o.etag, "W/\"v\"");
    assert_string_equal(o.modified, "yesterday");
    assert_true(p.result->unchanged);
    assert_int_equal(p.result->n_releases, 0);
    assert_in_range(p.result->life.fresh_s, 69, 70);
    assert_int_equal(p.result->evidence_time_s, NOW_S + 1 - 7);
    play_done(&p);

    p.previous = (struct source_previous){.etag = "\"v\""}; /* another document: taken whole */
    o.status = 200;
    o.body = ms_span_str(chain_document(2));
    o.header[SOURCE_HEADER_ETAG] = "\"w\"";
    o.header[SOURCE_HEADER_LAST_MODIFIED] = "today";
    run(&p, &o, URL);
    assert_int_equal(p.err, MS_OK);
    assert_false(p.result->unchanged);
    assert_string_equal(p.result->etag, "\"w\"");
    assert_string_equal(p.result->last_modified, "today");
    play_done(&p);
}

static void test_pins(void **state)
{
    (void)state;
    struct origin o = {.status = 200, .body = ms_span_str(chain_document(3))};
    struct ms_sha256 hash = ms_sha256(o.body);
    char hex[2 * MS_SHA256_BYTES + 1], zero[2 * MS_SHA256_BYTES + 1], spec[512];
    struct play p = {0};

    ms_sha256_hex(&hash, hex);
    (void)snprintf(zero, sizeof(zero), "%064d", 0);
    (void)snprintf(spec, sizeof(spec), URL ";sha256=%s", hex);
    run(&p, &o, spec);
    assert_int_equal(p.err, MS_OK);
    play_done(&p);
    (void)snprintf(spec, sizeof(spec), URL ";sha256=%s,%s", zero, hex);
    run(&p, &o, spec);
    assert_int_equal(p.err, MS_OK);
    play_done(&p);
    (void)snprintf(spec, sizeof(spec), URL ";sha256=%s", zero);
    run(&p, &o, spec);
    assert_int_equal(p.err, MS_ERR_HASH);
    play_done(&p);
}

static void test_content(void **state)
{
    (void)state;
    struct ms_buf packed = MS_BUF_INIT(4096);
    struct origin o = {.status = 200, .body = ms_span_str(chain_document(4))};
    struct ms_sha256 hash = ms_sha256(o.body);
    char hex[2 * MS_SHA256_BYTES + 1], spec[512];
    struct play p = {.previous = {.etag = "\"v\""}};

    ms_sha256_hex(&hash, hex);
    (void)snprintf(spec, sizeof(spec), "sha256:%s;at=https://b.example/x", hex);
    o.header[SOURCE_HEADER_CACHE_CONTROL] = "no-store";
    run(&p, &o, spec);
    assert_int_equal(p.err, MS_OK);
    assert_string_equal(o.url, "https://b.example/x");
    assert_string_equal(o.etag, ""); /* its hash says more */
    assert_int_equal(p.result->trust, SOURCE_TRUST_SELF);
    assert_int_equal(p.result->life.fresh_s, -1); /* for ever, whatever the server says */
    assert_false(p.result->life.no_store);
    play_done(&p);

    assert_int_equal(ms_gzip(o.body, &packed), MS_OK); /* compressed on the way */
    o.body = ms_buf_span(&packed);
    run(&p, &o, spec);
    assert_int_equal(p.err, MS_OK);
    play_done(&p);
    o.body.len -= 5;
    run(&p, &o, spec);
    assert_int_not_equal(p.err, MS_OK);
    play_done(&p);
    o.body = ms_span_str("[]");
    run(&p, &o, spec);
    assert_int_equal(p.err, MS_ERR_HASH);
    play_done(&p);
    o.status = 304;
    run(&p, &o, spec);
    assert_int_equal(p.err, MS_ERR_HTTP);
    play_done(&p);
    ms_buf_done(&packed);

    (void)snprintf(spec, sizeof(spec), "sha256:%s", hex); /* nowhere to get it */
    run(&p, &o, spec);
    assert_int_equal(p.err, MS_ERR_UNAVAILABLE);
    play_done(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_statuses),    cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_conditional), cmocka_unit_test(test_pins),
        cmocka_unit_test(test_content),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
