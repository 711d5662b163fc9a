/* The linter: each rule once hit and once missed, and the rule behind each refusal. */
#include "resolver/records/records.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define A32 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde"
#define A48 A32 "f0123456789abcdef0123456789abcde"
#define Z48                                                                                        \
    "00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000" \
    "0000"
#define Z32 "0000000000000000000000000000000000000000000000000000000000000000"
#define V48(d) "\"" A48 d "\""
#define V32(d) "\"" A32 d "\""
#define REC(id, type, regs)                                                                        \
    "{\"measurement_id\":\"" id "\",\"attestation_type\":\"" type "\",\"measurements\":{" regs "}" \
    "}"
#define DCAP(id, d) REC(id, "dcap-tdx", "\"0\":" V48("0") ",\"3\":" V48(d) ",\"1\":" V48(d))
#define AZURE(id, d) REC(id, "azure-tdx", "\"4\":" V32("0") ",\"9\":" V32(d) ",\"11\":" V32(d))

#define PREDICATE(kind) "{\"predicate\":{\"kind\":\"" kind "\",\"value\":" V32("0") "}}"

/* rules: all findings in order, "L003w" for rule and grade (i, w, e); "" for none */
static const struct {
    const char *name, *text, *rules;
} cases[] = {
    {"clean dcap", "[" DCAP("a", "1") "]", ""},
    {"clean azure", "[" AZURE("a", "1") "]", ""},
    {"nothing approved", "[]", ""},
    {"L003, no MRTD", "[" REC("a", "gcp-tdx", "\"3\":" V48("0")) "]", "L003w"},
    {"L003, neither", "[" REC("a", "dcap-tdx", "\"1\":" V48("0")) "]", "L003w L003w"},
    {"L004, no PCR 11", "[" REC("a", "azure-tdx", "\"4\":" V32("0") ",\"9\":" V32("1")) "]",
     "L004w"},
    {"L005, RTMR3",
     "[" REC("a", "dcap-tdx", "\"0\":" V48("0") ",\"3\":" V48("1") ",\"4\":\"" Z48 "\"") "]",
     "L005i"},
    {"L005, RTMR2", "[" REC("a", "dcap-tdx", "\"0\":" V48("0") ",\"3\":\"" Z48 "\"") "]", "L005w"},
    {"L005, an alternative",
     "[" REC("a", "azure-tdx",
             "\"4\":[" V32("0") ",\"" Z32 "\"],\"9\":" V32("1") ",\"11\":" V32("1")) "]",
     "L005w"},
    {"L008, nine",
     "[" REC("a", "dcap-tdx",
             "\"0\":[" V48("0") "," V48("1") "," V48("2") "," V48("3") "," V48("4") "," V48(
                 "5") "," V48("6") "," V48("7") "," V48("8") "],\"3\":" V48("1")) "]",
     "L008w"},
    {"eight",
     "[" REC("a", "dcap-tdx",
             "\"0\":[" V48("0") "," V48("1") "," V48("2") "," V48("3") "," V48("4") "," V48(
                 "5") "," V48("6") "," V48("7") "],\"3\":" V48("1")) "]",
     ""},
    {"L009", "[" DCAP("app-v1.0.0-rc2", "1") "]", "L009w"},
    {"L009, dev", "[" DCAP("buildernet_DEV-2026", "1") "]", "L009w"},
    {"march, latest, source", "[" DCAP("march-latest-source", "1") "]", ""},
    {"L010", "[" DCAP("app-v1.2.0", "1") "," DCAP("app-v2.0.0", "2") "]", "L010w"},
    {"one major", "[" DCAP("app-v1.2.0", "1") "," DCAP("app_1.3.0", "2") "]", ""},
    {"a date and a hash are no versions",
     "[" DCAP("app-v1.2.0", "1") "," DCAP("app-20260903.1", "2") "," DCAP("x-ab2.3", "3") "]", ""},
    {"L011", "[" DCAP("app", "1") "," DCAP("app_tokyo_101", "2") "]", "L011w"},
    {"one host alone", "[" DCAP("app_tokyo_101", "2") "]", ""},
    {"L012", "[" DCAP("a", "1") "," DCAP("b", "1") "]", "L012w"},
    {"L012, other spelling of the type",
     "[" REC("a", "dcap-tdx", "\"0\":" V48("0") ",\"3\":" V48("1")) "," REC(
         "b", "qemu-tdx", "\"3\":" V48("1") ",\"mrtd\":" V48("0")) "]",
     "L012w"},
    {"L013",
     "[" REC("a", "dcap-tdx", "\"0\":" V48("0") ",\"3\":" V48("1")) "," REC(
         "b", "dcap-tdx", "\"0\":" V48("0") ",\"3\":" V48("2")) "]",
     "L013w"},
    {"two registers differ", "[" DCAP("a", "1") "," DCAP("b", "2") "]", ""},
    {"a note of the parser", "[" REC("a", "sev-snp", "\"0\":" V48("0")) "," DCAP("b", "2") "]",
     "L000w"},

    {"L014", "[" PREDICATE("dstack-compose-hash") "]", "L014w"},
    {"an image beside it",
     "[" PREDICATE("dstack-compose-hash") "," PREDICATE("dstack-os-image") "]", ""},
    {"an image alone", "[" PREDICATE("dstack-os-image") "]", ""},

    {"L001", "[" REC("a", "dcap-tdx", "") "]", "L001e"},
    {"L001, missing", "[{\"measurement_id\":\"a\",\"attestation_type\":\"dcap-tdx\"}]", "L001e"},
    {"L002", "[" REC("a", "dcap-tdx", "\"rtmr4\":" V48("0")) "]", "L002e"},
    {"L002, out of range", "[" REC("a", "azure-tdx", "\"24\":" V32("0")) "]", "L002e"},
    {"L006", "[" REC("a", "dcap-tdx", "\"0\":{\"expected\":" V48("0") ",\"warnOnly\":true}") "]",
     "L006e"},
    {"L007",
     "[" REC("a", "dcap-tdx",
             "\"0\":{\"expected\":" V48("0") ",\"expected_any\":[" V48("0") "]}") "]",
     "L007e"},
    {"type none", "[" REC("a", "none", "\"0\":" V48("0")) "]", "L000e"},
    {"no JSON", "[", "L000e"},
};

struct heard {
    char rules[512];
    char record[REC_ID_MAX_BYTES + 1];
};

static void hear(const struct rec_finding *finding, void *arg)
{
    struct heard *heard = arg;
    size_t at = strlen(heard->rules);

    (void)snprintf(heard->rules + at, sizeof(heard->rules) - at, "%s%s%c", at == 0 ? "" : " ",
                   finding->rule, "iwe"[finding->grade]);
    (void)snprintf(heard->record, sizeof(heard->record), "%s", finding->record);
    assert_true(finding->text[0] != '\0');
}

static void test_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < MS_ARRAY_LEN(cases); i++) {
        struct heard heard = {0};
        bool refused = rec_lint(ms_span_str(cases[i].text), hear, &heard);
        if (strcmp(heard.rules, cases[i].rules) != 0)
            fail_msg("%s: got \"%s\"", cases[i].name, heard.rules);
        assert_int_equal(refused, strchr(cases[i].rules, 'e') != NULL);
    }
}

static void test_names_are_escaped(void **state)
{
    (void)state;
    struct heard heard = {0};
    assert_true(rec_lint(ms_span_str("[" REC("\\u00e4", "dcap-tdx", "") "]"), hear, &heard));
    assert_string_equal(heard.record, "\\xc3\\xa4");
}

#define NOW 1800000000
#define HOUR 3600
#define YEAR (365 * 24 * HOUR)

static const struct {
    const char *name;
    struct rec_origin origin;
    const char *rules;
} origins[] = {
    {"nothing is known", {0}, ""},
    {"a Safe, proven, settled",
     {.owner = REC_OWNER_SAFE, .approved_s = NOW - 25 * HOUR, .changed_s = NOW - YEAR + 1},
     ""},
    {"L015", {.owner = REC_OWNER_ACCOUNT}, "L015w"},
    {"L016", {.owner = REC_OWNER_SAFE, .upgradeable = true}, "L016w"},
    {"a timelock upgrades", {.owner = REC_OWNER_TIMELOCK, .upgradeable = true}, ""},
    {"an account upgrades", {.owner = REC_OWNER_ACCOUNT, .upgradeable = true}, "L015w L016w"},
    {"L017, paused", {.owner = REC_OWNER_SAFE, .paused = true}, "L017w"},
    {"L017, nobody", {.owner = REC_OWNER_NOBODY}, "L017w"},
    {"L018", {.approved_s = NOW - 24 * HOUR + 1}, "L018w"},
    {"as old as the cool-down", {.approved_s = NOW - 24 * HOUR}, ""},
    {"L018, ahead", {.approved_s = NOW + 10}, "L018w"},
    {"L019", {.unproven = "tls"}, "L019w"},
    {"L020", {.changed_s = NOW - YEAR}, "L020w"},
};

static void test_origins(void **state)
{
    (void)state;
    for (size_t i = 0; i < MS_ARRAY_LEN(origins); i++) {
        struct rec_origin origin = origins[i].origin;
        struct heard heard = {0};
        origin.now_s = NOW;
        origin.cool_down_s = 24 * HOUR;
        rec_lint_origin(&origin, hear, &heard);
        if (strcmp(heard.rules, origins[i].rules) != 0)
            fail_msg("%s: got \"%s\"", origins[i].name, heard.rules);
    }
}

/* Twenty, in their order, each explained, and of the grade that findings of it have. */
static void test_rules(void **state)
{
    (void)state;
    const struct rec_rule *rules;

    assert_int_equal(rec_rules(&rules), 20);
    for (size_t i = 0; i < 20; i++) {
        char id[8], found[12];
        (void)snprintf(id, sizeof(id), "L%03zu", i + 1);
        assert_string_equal(rules[i].id, id);
        assert_true(rules[i].title[0] != '\0' && rules[i].why[0] != '\0');
        (void)snprintf(found, sizeof(found), "%s%c", id, "iwe"[rules[i].grade]);
        bool met = false;
        for (size_t c = 0; c < MS_ARRAY_LEN(cases); c++)
            met = met || strstr(cases[c].rules, found) != NULL;
        for (size_t c = 0; c < MS_ARRAY_LEN(origins); c++)
            met = met || strstr(origins[c].rules, found) != NULL;
        if (!met)
            fail_msg("%s: no case gives it this grade", id);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_origins),
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_names_are_escaped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
