/* Matching: every register approved, comparable types, both shapes of what a peer presents. */
#include "resolver/records/records.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define H8 "0123456789abcdef"
#define H32 H8 H8 H8 H8
#define H48 H32 H8 H8
#define G32 "fedcba9876543210" H8 H8 H8
#define G48 "fedcba9876543210" H8 H8 H8 H8 H8
#define CAPS48 "0123456789ABCDEF" H8 H8 H8 H8 H8

static const char set_text[] =
    "[{\"measurement_id\":\"dcap\",\"attestation_type\":\"dcap-tdx\",\"measurements\":{"
    "\"0\":{\"expected_any\":[\"" H48 "\",\"" G48 "\"]},\"2\":{\"expected\":\"" H48 "\"}}},"
    "{\"measurement_id\":\"azure\",\"attestation_type\":\"azure-tdx\",\"measurements\":{"
    "\"4\":{\"expected\":\"" H32 "\"},\"11\":{\"expected\":\"" G32 "\"}}},"
    "{\"measurement_id\":\"image\",\"attestation_type\":\"gcp-tdx\",\"dcap_image_hashes\":{"
    "\"uki_authenticode\":\"" H48 "\",\"kernel_authenticode\":\"" H48 "\",\"cmdline_hash\":\"" H48
    "\",\"initrd_hash\":\"" H48 "\",\"gpt_disk_guid_hash\":\"" H48 "\"}},"
    "{\"measurement_id\":\"other\",\"attestation_type\":\"sev-snp\",\"measurements\":{\"0\":\"" H48
    "\"}}]";

/* want: the id that matches, "" for none; err: what reading the registers says. */
static const struct {
    const char *name;
    enum rec_type type;
    const char *regs;
    enum ms_err err;
    const char *want;
} cases[] = {
    {"all there", REC_TYPE_DCAP_TDX, "{\"0\":\"" H48 "\",\"2\":\"" H48 "\"}", MS_OK, "dcap"},
    {"the other alternative", REC_TYPE_DCAP_TDX, "{\"0\":\"" G48 "\",\"2\":\"" H48 "\"}", MS_OK,
     "dcap"},
    {"more than is pinned", REC_TYPE_DCAP_TDX,
     "{\"0\":\"" H48 "\",\"1\":\"" G48 "\",\"2\":\"" H48 "\"}", MS_OK, "dcap"},
    {"as gcp", REC_TYPE_GCP_TDX, "{\"0\":\"" H48 "\",\"2\":\"" H48 "\"}", MS_OK, "dcap"},
    {"as qemu, by name, in capitals", REC_TYPE_QEMU_TDX,
     "{\"MRTD\":\"" CAPS48 "\",\"rtmr1\":\"" H48 "\"}", MS_OK, "dcap"},
    {"a value not approved", REC_TYPE_DCAP_TDX, "{\"0\":\"" H48 "\",\"2\":\"" G48 "\"}", MS_OK, ""},
    {"a register missing", REC_TYPE_DCAP_TDX, "{\"0\":\"" H48 "\"}", MS_OK, ""},
    {"values swapped", REC_TYPE_DCAP_TDX, "{\"2\":\"" G48 "\",\"0\":\"" H48 "\"}", MS_OK, ""},
    {"azure", REC_TYPE_AZURE_TDX, "{\"pcr4\":\"" H32 "\",\"11\":\"" G32 "\"}", MS_OK, "azure"},
    {"azure, all but one", REC_TYPE_AZURE_TDX, "{\"4\":\"" H32 "\",\"12\":\"" G32 "\"}", MS_OK, ""},
    {"matched policy", REC_TYPE_DCAP_TDX,
     "{\"type\":\"dcap\",\"measurements\":{\"0\":[\"" G48 "\"],\"2\":[\"" H48 "\"]}}", MS_OK,
     "dcap"},
    {"matched policy, all alternatives approved", REC_TYPE_DCAP_TDX,
     "{\"type\":\"dcap\",\"measurements\":{\"0\":[\"" G48 "\",\"" H48 "\"],\"2\":[\"" H48 "\"]}}",
     MS_OK, "dcap"},
    {"matched policy, one alternative not approved", REC_TYPE_DCAP_TDX,
     "{\"type\":\"dcap\",\"measurements\":{\"0\":[\"" H48 "\"],\"2\":[\"" H48 "\",\"" G48 "\"]}}",
     MS_OK, ""},
    {"matched policy, azure", REC_TYPE_AZURE_TDX,
     "{\"type\":\"azure\",\"measurements\":{\"4\":[\"" H32 "\"],\"11\":[\"" G32 "\"]}}", MS_OK,
     "azure"},

    {"unknown type", REC_TYPE_UNKNOWN, "{\"0\":\"" H48 "\"}", MS_ERR_TYPE, ""},
    {"matched policy of another type", REC_TYPE_AZURE_TDX,
     "{\"type\":\"dcap\",\"measurements\":{\"0\":[\"" H48 "\"]}}", MS_ERR_TYPE, ""},
    {"matched image", REC_TYPE_GCP_TDX,
     "{\"type\":\"image\",\"measurements\":{\"uki_authenticode\":\"" H48 "\"}}", MS_ERR_TYPE, ""},
    {"no attestation", REC_TYPE_DCAP_TDX, "{\"type\":\"no_attestation\"}", MS_ERR_TYPE, ""},
    {"matched policy, empty list", REC_TYPE_DCAP_TDX,
     "{\"type\":\"dcap\",\"measurements\":{\"0\":[]}}", MS_ERR_REGISTER, ""},
    {"matched policy, extra member", REC_TYPE_DCAP_TDX,
     "{\"type\":\"dcap\",\"x\":1,\"measurements\":{\"0\":[\"" H48 "\"]}}", MS_ERR_JSON, ""},
    {"a list in the map", REC_TYPE_DCAP_TDX, "{\"0\":[\"" H48 "\"]}", MS_ERR_REGISTER, ""},
    {"no registers", REC_TYPE_DCAP_TDX, "{}", MS_ERR_REGISTER, ""},
    {"an array", REC_TYPE_DCAP_TDX, "[]", MS_ERR_JSON, ""},
    {"one register twice", REC_TYPE_DCAP_TDX, "{\"0\":\"" H48 "\",\"mrtd\":\"" H48 "\"}",
     MS_ERR_REGISTER, ""},
    {"47 bytes", REC_TYPE_DCAP_TDX, "{\"0\":\"" H32 H8 "0123456789abcd\"}", MS_ERR_REGISTER, ""},
    {"32 bytes for dcap", REC_TYPE_DCAP_TDX, "{\"0\":\"" H32 "\"}", MS_ERR_REGISTER, ""},
    {"register 5", REC_TYPE_DCAP_TDX, "{\"5\":\"" H48 "\"}", MS_ERR_REGISTER, ""},
    {"a number", REC_TYPE_DCAP_TDX, "{\"0\":5}", MS_ERR_REGISTER, ""},
};

static void load(const char *text, struct rec_set *set)
{
    rec_set_init(set);
    assert_int_equal(rec_parse(ms_span_str(text), REC_MODE_DIALECTS, set, NULL), MS_OK);
}

static enum ms_err present(const char *text, enum rec_type type, struct ms_arena *arena,
                           struct rec_presented *regs, size_t *ret_n, struct ms_diag *diag)
{
    static const struct ms_json_limits limits = {65536, 8, 1000, 0};
    json_t *root = NULL;

    assert_int_equal(ms_json_parse(ms_span_str(text), &limits, &root, NULL), MS_OK);
    enum ms_err err = rec_presented_parse(root, type, arena, regs, ret_n, diag);
    json_decref(root);
    return err;
}

static void test_cases(void **state)
{
    (void)state;
    struct rec_set set;
    load(set_text, &set);
    for (size_t i = 0; i < MS_ARRAY_LEN(cases); i++) {
        struct ms_arena arena = MS_ARENA_INIT(65536);
        struct rec_presented regs[REC_REGISTERS_MAX];
        struct ms_diag diag = {0};
        size_t n = 0;
        enum ms_err err = present(cases[i].regs, cases[i].type, &arena, regs, &n, &diag);
        if (err != cases[i].err)
            fail_msg("%s: got %s (%s)", cases[i].name, ms_err_name(err), diag.text);
        const struct rec_record *record = rec_match(&set, cases[i].type, regs, n);
        if (strcmp(record == NULL ? "" : record->id, cases[i].want) != 0)
            fail_msg("%s: matched %s", cases[i].name, record == NULL ? "nothing" : record->id);
        ms_arena_done(&arena);
    }
    rec_set_done(&set);
}

/* Each record, presented exactly, matches; one changed bit of any value no longer does, nor does
 * one register less. */
static void test_flips(void **state)
{
    (void)state;
    struct rec_set set;
    load(set_text, &set);
    for (size_t r = 0; r < 2; r++) {
        const struct rec_record *record = &set.records[r];
        struct rec_presented regs[REC_REGISTERS_MAX];
        for (size_t i = 0; i < record->n_registers; i++)
            regs[i] = (struct rec_presented){
                record->registers[i].index,
                ms_span_of(record->registers[i].values[0].b, record->registers[i].values[0].len)};
        assert_ptr_equal(rec_match(&set, record->type, regs, record->n_registers), record);
        assert_null(rec_match(&set, record->type, regs, record->n_registers - 1));
        for (size_t bit = 0; bit < 8 * regs[1].value.len; bit++) {
            for (size_t i = 0; i < record->n_registers; i++) {
                uint8_t value[REC_VALUE_MAX_BYTES];
                struct rec_presented was = regs[i];
                memcpy(value, was.value.ptr, was.value.len);
                value[bit / 8] ^= (uint8_t)(1u << bit % 8);
                regs[i].value.ptr = value;
                assert_null(rec_match(&set, record->type, regs, record->n_registers));
                regs[i] = was;
            }
        }
    }
    rec_set_done(&set);
}

static void test_short_value(void **state)
{
    (void)state;
    struct rec_set set;
    load(set_text, &set);
    const struct rec_record *azure = &set.records[1];
    struct rec_presented regs[2];
    for (size_t i = 0; i < 2; i++)
        regs[i] = (struct rec_presented){azure->registers[i].index,
                                         ms_span_of(azure->registers[i].values[0].b, 31)};
    assert_null(rec_match(&set, REC_TYPE_AZURE_TDX, regs, 2));
    assert_null(rec_match(&set, REC_TYPE_AZURE_TDX, NULL, 0));
    assert_null(rec_match(&set, REC_TYPE_UNKNOWN, regs, 2));
    rec_set_done(&set);
}

static void explain(const struct rec_set *set, enum rec_type type, const char *text,
                    const char *want)
{
    struct ms_arena arena = MS_ARENA_INIT(65536);
    struct rec_presented regs[REC_REGISTERS_MAX];
    struct ms_diag diag = {0};
    size_t n = 0;

    assert_int_equal(present(text, type, &arena, regs, &n, NULL), MS_OK);
    rec_explain_mismatch(&set, 1, type, regs, n, &diag);
    assert_string_equal(diag.text, want);
    ms_arena_done(&arena);
}

static void test_explain(void **state)
{
    (void)state;
    struct rec_set set, empty;
    load(set_text, &set);
    load("[]", &empty);
    explain(&set, REC_TYPE_DCAP_TDX, "{\"0\":\"" H48 "\",\"2\":\"" G48 "\"}",
            "nearest record \"dcap\": register 2 (rtmr1) has a value not approved");
    explain(&set, REC_TYPE_AZURE_TDX, "{\"4\":\"" H32 "\"}",
            "nearest record \"azure\": register 11 (pcr11) was not presented");
    explain(&empty, REC_TYPE_GCP_TDX, "{\"0\":\"" H48 "\"}",
            "nothing is approved for attestation type gcp-tdx");
    rec_set_done(&set);
    rec_set_done(&empty);
}

static void test_comparable(void **state)
{
    (void)state;
    for (enum rec_type a = REC_TYPE_UNKNOWN; a <= REC_TYPE_QEMU_TDX; a++) {
        for (enum rec_type b = REC_TYPE_UNKNOWN; b <= REC_TYPE_QEMU_TDX; b++) {
            bool want = a != REC_TYPE_UNKNOWN && b != REC_TYPE_UNKNOWN &&
                        (a == REC_TYPE_AZURE_TDX) == (b == REC_TYPE_AZURE_TDX);
            assert_int_equal(rec_type_comparable(a, b), want);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),       cmocka_unit_test(test_flips),
        cmocka_unit_test(test_short_value), cmocka_unit_test(test_explain),
        cmocka_unit_test(test_comparable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
