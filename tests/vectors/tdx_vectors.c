/* vectors/tdx/parse.json: registers of real quotes; and the workload ids of ethereum.md 3.9 and
 * consumers.md B.4, which both contracts' code confirmed. */
#include "base/hex.h"
#include "resolver/source/workload.h"
#include "tests/support/vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define QUOTE_MAX 65536

static bool same(const json_t *fields, const char *name, const uint8_t *bytes, size_t len)
{
    struct ms_buf want = MS_BUF_INIT(WORKLOAD_REGISTER_BYTES);
    char base[64]; /* a TDX 1.5 report holds the 1.0 report as its base */

    (void)snprintf(base, sizeof(base), "base.%s", name);
    const char *hex = vec_str(fields, name) != NULL ? vec_str(fields, name) : vec_str(fields, base);
    bool ok = vec_hex(hex, &want) && ms_span_eq(ms_buf_span(&want), ms_span_of(bytes, len));
    ms_buf_done(&want);
    return ok;
}

static bool same_fields(const json_t *fields, const struct workload_input *in)
{
    return same(fields, "mrTd", in->mr_td, 48) && same(fields, "rtMr0", in->rtmr[0], 48) &&
           same(fields, "rtMr1", in->rtmr[1], 48) && same(fields, "rtMr2", in->rtmr[2], 48) &&
           same(fields, "rtMr3", in->rtmr[3], 48) &&
           same(fields, "mrConfigId", in->mr_config_id, 48) && same(fields, "xfam", in->xfam, 8) &&
           same(fields, "tdAttributes", in->td_attributes, 8);
}

static void parse_case(struct vec_count *count, const json_t *c)
{
    struct ms_buf quote = MS_BUF_INIT(QUOTE_MAX + 65536);
    struct workload_input in;
    const char *id = vec_str(c, "id"), *file = vec_str(c, "file");

    if (file == NULL || !vec_read(vec_path("tdx", file), &quote)) {
        vec_check(count, false, id, "cannot read %s", file == NULL ? "?" : file);
        ms_buf_done(&quote);
        return;
    }
    enum ms_err err = workload_from_quote(ms_buf_span(&quote), &in);
    const json_t *fields = json_object_get(json_object_get(c, "parsed"), "fields");
    bool ok = err == MS_OK && same_fields(fields, &in);
    vec_check(count, ok, id, "%s: %s", file, ms_err_name(err));
    ms_buf_done(&quote);
}

static void test_parse(void **state)
{
    (void)state;
    assert_true(vec_run("tdx", "parse.json", parse_case));
}

static void assert_id(struct eth_hash got, const char *want)
{
    char hex[2 * ETH_HASH_BYTES + 1];
    ms_hex_encode(eth_hash_span(&got), hex);
    assert_string_equal(hex, want);
}

static void test_ids(void **state)
{
    static const char file[] =
        "parse/flashtestations-0xf200f222043C5bC6c70AA6e35f5C5FDe079F3a03-quote.bin.bin";
    (void)state;
    struct ms_buf quote = MS_BUF_INIT(QUOTE_MAX + 65536);
    struct workload_input in;
    if (!vec_read(vec_path("tdx", file), &quote)) {
        printf("tdx/%s: not there, skipped\n", file);
        ms_buf_done(&quote);
        return;
    }
    assert_int_equal(workload_from_quote(ms_buf_span(&quote), &in), MS_OK);
    assert_id(workload_id_v2(&in),
              "952569f637f3f7e36cd8f5a7578ae4d03a1cb05ddaf33b35d3054464bb1c862e");
    assert_id(workload_id_v1(&in),
              "f724e7d117f5655cf33beefdfc7d31e930278fcb65cf6d1de632595e97ca82b2");
    for (size_t n = 0; n < 632; n++)
        assert_int_not_equal(workload_from_quote(ms_span_of(quote.ptr, n), &in), MS_OK);
    ms_buf_done(&quote);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_parse), cmocka_unit_test(test_ids)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
