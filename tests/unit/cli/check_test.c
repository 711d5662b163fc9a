/* The files of `check` and `workload-id`: shapes of registers, forms of a quote. */
#include "cli/check.h"
#include "cli/quote.h"

#include "base/base64.h"
#include "base/hex.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct {
    const char *name, *text, *want; /* NULL: refused */
} cases[] = {
    {"registers", "{\"0\":\"aa\",\"1\":\"bb\"}", "{\"0\":\"aa\",\"1\":\"bb\"}"},
    {"a record", "{\"measurement_id\":\"x\",\"measurements\":{\"0\":\"aa\"}}", "{\"0\":\"aa\"}"},
    {"expected", "{\"measurements\":{\"0\":{\"expected\":\"aa\"}}}", "{\"0\":\"aa\"}"},
    {"one alternative", "{\"0\":{\"expected_any\":[\"aa\"]}}", "{\"0\":\"aa\"}"},
    {"two are no value of a peer", "{\"0\":{\"expected_any\":[\"aa\",\"bb\"]}}",
     "{\"0\":{\"expected_any\":[\"aa\",\"bb\"]}}"},
    {"both", "{\"0\":{\"expected\":\"aa\",\"expected_any\":[\"aa\"]}}",
     "{\"0\":{\"expected\":\"aa\",\"expected_any\":[\"aa\"]}}"},
    {"matched policy", "{\"type\":\"dcap\",\"measurements\":{\"0\":[\"aa\",\"bb\"]}}",
     "{\"measurements\":{\"0\":[\"aa\",\"bb\"]},\"type\":\"dcap\"}"},
    {"nothing", "{}", "{}"},
    {"a list", "[{\"0\":\"aa\"}]", NULL},
    {"no JSON", "0=aa", NULL},
    {"empty", "", NULL},
    {"measurements is a list", "{\"measurements\":[]}", NULL},
    {"twice", "{\"0\":\"aa\",\"0\":\"bb\"}", NULL},
};

static void test_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < MS_ARRAY_LEN(cases); i++) {
        struct ms_buf out = MS_BUF_INIT(4096);
        json_t *got = NULL;
        enum ms_err err = check_presented(ms_span_str(cases[i].text), &got, NULL);
        assert_int_equal(err == MS_OK, cases[i].want != NULL);
        assert_int_equal(got != NULL, cases[i].want != NULL);
        if (got != NULL) {
            assert_int_equal(ms_json_dump(got, &out), MS_OK);
            if (!ms_span_eq_str(ms_buf_span(&out), cases[i].want))
                fail_msg("%s: got %s", cases[i].name, ms_buf_str(&out));
        }
        json_decref(got);
        ms_buf_done(&out);
    }
}

/* ---- boot info ---- */

#define H64 "0011223344556677001122334455667700112233445566770011223344556677"
#define BOOT                                                               \
    "{\"mrAggregated\":\"" H64 "\",\"osImageHash\":\"" H64 "\",\"appId\":" \
    "\"0011223344556677001122334455667700112233\",\"composeHash\":\"" H64  \
    "\",\"instanceId\":\"\",\"deviceId\":\"" H64 "\",\"tcbStatus\":\"UpToDate\"}"

static void test_boot_info(void **state)
{
    static const struct {
        const char *name, *text;
        enum ms_err want;
    } rows[] = {
        {"the object", BOOT, MS_OK},
        {"an answer", "{\"is_valid\":true,\"details\":{\"boot_info\":" BOOT "}}", MS_OK},
        {"not valid", "{\"is_valid\":false,\"details\":{\"boot_info\":" BOOT "}}",
         MS_ERR_SIGNATURE},
        {"valid, perhaps", "{\"is_valid\":\"true\",\"details\":{\"boot_info\":" BOOT "}}",
         MS_ERR_SIGNATURE},
        {"not said", "{\"details\":{\"boot_info\":" BOOT "}}", MS_ERR_SIGNATURE},
        {"no boot info", "{\"is_valid\":true,\"details\":{}}", MS_ERR_JSON},
        {"details are a list", "{\"is_valid\":true,\"details\":[" BOOT "]}", MS_ERR_JSON},
        {"nothing", "{}", MS_ERR_ARGUMENT},
        {"a list", "[" BOOT "]", MS_ERR_ARGUMENT},
        {"cut", "{\"appId\":", MS_ERR_JSON},
    };
    (void)state;
    for (size_t i = 0; i < MS_ARRAY_LEN(rows); i++) {
        json_t *got = NULL;
        enum ms_err err = check_boot_info(ms_span_str(rows[i].text), &got, NULL);
        if (err != rows[i].want || (got != NULL) != (err == MS_OK))
            fail_msg("%s: %s", rows[i].name, ms_err_name(err));
        if (err == MS_OK)
            assert_string_equal(json_string_value(json_object_get(got, "composeHash")), H64);
        json_decref(got);
    }
}

/* ---- what goes into a workload id, among registers ---- */

#define HEX8 "0011223344556677"
#define HEX48 HEX8 HEX8 HEX8 HEX8 HEX8 HEX8
#define FIVE                                                                         \
    "\"0\":\"" HEX48 "\",\"1\":\"" HEX48 "\",\"RTMR1\":\"" HEX48 "\",\"3\":\"" HEX48 \
    "\",\"4\":\"" HEX48 "\""
#define CONFIG ",\"mrconfigid\":\"" HEX48 "\""
#define XFAM ",\"XFAM\":\"0x" HEX8 "\""
#define ATTRIBUTES ",\"tdattributes\":\"" HEX8 "\""

static const struct {
    const char *name, *text;
    enum rec_type type;
    enum ms_err err;
    const char *lacks;
} guests[] = {
    {"all eight", "{" FIVE CONFIG XFAM ATTRIBUTES "}", REC_TYPE_DCAP_TDX, MS_OK, ""},
    {"all eight on GCP", "{" FIVE CONFIG XFAM ATTRIBUTES "}", REC_TYPE_GCP_TDX, MS_OK, ""},
    {"one is not there", "{" FIVE CONFIG ATTRIBUTES "}", REC_TYPE_DCAP_TDX, MS_OK, "xfam"},
    {"registers alone", "{" FIVE "}", REC_TYPE_DCAP_TDX, MS_OK, "mrconfigid, xfam, tdattributes"},
    {"a register is not there", "{\"0\":\"" HEX48 "\"" CONFIG XFAM ATTRIBUTES "}",
     REC_TYPE_DCAP_TDX, MS_OK, "rtmr0, rtmr1, rtmr2, rtmr3"},
    {"too short", "{" FIVE CONFIG XFAM ",\"tdattributes\":\"00\"}", REC_TYPE_DCAP_TDX,
     MS_ERR_REGISTER, "tdattributes"},
    {"twice", "{" FIVE CONFIG XFAM ATTRIBUTES ",\"xfam\":\"" HEX8 "\"}", REC_TYPE_DCAP_TDX,
     MS_ERR_REGISTER, ""},
    {"unknown member", "{" FIVE CONFIG XFAM ATTRIBUTES ",\"mrseam\":\"" HEX48 "\"}",
     REC_TYPE_DCAP_TDX, MS_ERR_REGISTER, ""},
    {"a register under both names", "{" FIVE CONFIG XFAM ATTRIBUTES ",\"mrtd\":\"" HEX48 "\"}",
     REC_TYPE_DCAP_TDX, MS_ERR_REGISTER, ""},
    {"none but the three", "{\"xfam\":\"" HEX8 "\"}", REC_TYPE_DCAP_TDX, MS_ERR_REGISTER,
     "mrconfigid, tdattributes, mrtd, rtmr0, rtmr1, rtmr2, rtmr3"},
    {"Azure has none of the three", "{\"4\":\"" HEX8 HEX8 HEX8 HEX8 "\"" XFAM "}",
     REC_TYPE_AZURE_TDX, MS_ERR_REGISTER, ""},
};

static void test_guests(void **state)
{
    (void)state;
    static const struct ms_json_limits limits = {65536, 8, 4096, 0};
    for (size_t i = 0; i < MS_ARRAY_LEN(guests); i++) {
        struct ms_buf lacks = MS_BUF_INIT(256);
        struct workload_input input = {0};
        json_t *root = NULL;
        assert_int_equal(ms_json_parse(ms_span_str(guests[i].text), &limits, &root, NULL), MS_OK);
        json_t *before = json_deep_copy(root);
        enum ms_err err = check_registers(root, guests[i].type, &input, &lacks, NULL);
        if (err != guests[i].err || !ms_span_eq_str(ms_buf_span(&lacks), guests[i].lacks))
            fail_msg("%s: %s, lacks %s", guests[i].name, ms_err_name(err), ms_buf_str(&lacks));
        assert_true(json_equal(root, before)); /* it is what is sent afterwards */
        if (err == MS_OK && lacks.len == 0)
            assert_memory_equal(input.xfam, "\x00\x11\x22\x33\x44\x55\x66\x77", 8);
        json_decref(before);
        json_decref(root);
        ms_buf_done(&lacks);
    }
}

/* ---- quotes ---- */

#define QUOTE_BYTES 632u /* header and body of version 4 */

static void make_quote(uint8_t bytes[QUOTE_BYTES])
{
    for (size_t i = 0; i < QUOTE_BYTES; i++)
        bytes[i] = (uint8_t)(i * 11 + 3);
    memcpy(bytes, "\x04\x00\x02\x00\x81\x00\x00\x00", 8);
}

/* A copy of exact size, for ASan; what was decoded is compared with the quote. */
static enum ms_err decode(struct ms_span file, const uint8_t *want)
{
    struct ms_buf out = MS_BUF_INIT(QUOTE_FILE_MAX_BYTES);
    struct workload_input input = {0};
    uint8_t *copy = malloc(file.len + 1);

    assert_non_null(copy);
    memmove(copy + 1, file.ptr == NULL ? copy : file.ptr, file.len);
    enum ms_err err = quote_decode(ms_span_of(copy + 1, file.len), &out, &input, NULL);
    if (err == MS_OK) {
        assert_true(ms_span_eq(ms_buf_span(&out), ms_span_of(want, QUOTE_BYTES)));
        assert_memory_equal(input.mr_td, want + 48 + 136, 48);
    }
    ms_buf_done(&out);
    free(copy);
    return err;
}

enum form { RAW, HEX, HEX_0X, HEX_CAPS, BASE64, BASE64URL, FORMS };

static void write_form(enum form form, struct ms_span quote, struct ms_buf *out)
{
    switch (form) {
    case RAW:
        (void)ms_buf_add(out, quote);
        break;
    case HEX_0X:
        (void)ms_buf_add_str(out, "0x");
        (void)ms_buf_add_hex(out, quote);
        break;
    case HEX:
    case HEX_CAPS:
        (void)ms_buf_add_hex(out, quote);
        break;
    case BASE64:
        (void)ms_base64_encode(quote, out);
        break;
    case BASE64URL:
        (void)ms_base64url_encode(quote, out);
        break;
    case FORMS:
        break;
    }
    for (size_t i = 0; form == HEX_CAPS && i < out->len; i++)
        if (out->ptr[i] >= 'a')
            out->ptr[i] = (uint8_t)(out->ptr[i] - 'a' + 'A');
    assert_int_equal(ms_buf_err(out), MS_OK);
}

/* As base64(1) and xxd(1) write it. */
static void wrap(struct ms_span text, struct ms_buf *out)
{
    for (size_t i = 0; i < text.len; i++) {
        if (i % 60 == 0)
            (void)ms_buf_add_str(out, i % 120 == 0 ? "\n" : " \r\n\t");
        (void)ms_buf_add_byte(out, text.ptr[i]);
    }
    (void)ms_buf_add_str(out, "\n");
    assert_int_equal(ms_buf_err(out), MS_OK);
}

static void test_quotes(void **state)
{
    (void)state;
    uint8_t quote[QUOTE_BYTES];
    make_quote(quote);
    for (enum form form = RAW; form < FORMS; form++) {
        struct ms_buf text = MS_BUF_INIT(8192), wrapped = text, bad = text;
        write_form(form, ms_span_of(quote, QUOTE_BYTES), &text);
        assert_int_equal(decode(ms_buf_span(&text), quote), MS_OK);
        wrap(ms_buf_span(&text), &wrapped);
        /* in text white space is none of it, in bytes it is */
        assert_int_equal(decode(ms_buf_span(&wrapped), quote),
                         form == RAW ? MS_ERR_ARGUMENT : MS_OK);
        write_form(form, ms_span_of(quote, QUOTE_BYTES - 1), &bad);
        assert_int_equal(decode(ms_buf_span(&bad), quote), MS_ERR_ARGUMENT);
        size_t padding = form == BASE64 ? 1 : 0; /* which may be left out */
        for (size_t n = 0; n + padding < text.len; n++)
            assert_int_equal(decode(ms_span_of(text.ptr, n), quote), MS_ERR_ARGUMENT);
        text.ptr[text.len / 2] = '!';
        if (form != RAW) /* where it is as good as any byte */
            assert_int_equal(decode(ms_buf_span(&text), quote), MS_ERR_ARGUMENT);
        ms_buf_done(&text);
        ms_buf_done(&wrapped);
        ms_buf_done(&bad);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases), cmocka_unit_test(test_boot_info),
        cmocka_unit_test(test_guests), cmocka_unit_test(test_quotes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
