/* Who may boot, rule by rule: by dstack's contracts as isAppAllowed and isKmsAllowed would have it,
 * by lists with the operator's word on devices and TCB. One thing wrong is enough for a no. */
#include "resolver/source/boot_rules.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define APP_TEXT "0x0101010101010101010101010101010101010101"
#define OTHER_TEXT "0x0202020202020202020202020202020202020202"
#define HASH_TEXT(c) "0x" c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c

enum { APP = 1, COMPOSE = 0xc1, IMAGE = 0x1a, DEVICE = 0xde, MR = 0xa6 };

static struct scene {
    struct boot_info info;
    struct source_result result;
    struct rec_set sets[2];
    const struct rec_set *in_force[2];
    struct boot_governance governance;
    struct boot_policy policy;
    struct ms_diag reason;
} s;

static void add(size_t set, enum rec_predicate_kind kind, uint8_t byte)
{
    struct rec_predicate p = {.kind = kind};
    memset(p.value, byte, sizeof(p.value));
    assert_int_equal(rec_set_add_predicate(&s.sets[set], &p), MS_OK);
}

/* A guest whose every value is approved by the set; what governs comes on top. */
static void begin(const char *adapter, const char *governance)
{
    s = (struct scene){
        .info = {.tcb_status = "UpToDate", .tee_variant = "", .has_advisories = true}};
    memset(s.info.app_id, APP, sizeof(s.info.app_id));
    memset(s.info.compose_hash, COMPOSE, sizeof(s.info.compose_hash));
    memset(s.info.os_image_hash, IMAGE, sizeof(s.info.os_image_hash));
    memset(s.info.device_id, DEVICE, sizeof(s.info.device_id));
    memset(s.info.mr_aggregated, MR, sizeof(s.info.mr_aggregated));
    s.result.adapter = adapter;
    s.result.governance = governance == NULL ? NULL : json_loads(governance, 0, NULL);
    assert_true(governance == NULL || s.result.governance != NULL);
    for (size_t i = 0; i < 2; i++) {
        rec_set_init(&s.sets[i]);
        s.in_force[i] = &s.sets[i];
    }
    s.governance = (struct boot_governance){&s.result, 1, s.in_force};
}

static void both(void)
{
    add(0, REC_PREDICATE_DSTACK_COMPOSE_HASH, COMPOSE);
    add(0, REC_PREDICATE_DSTACK_OS_IMAGE, IMAGE);
}

static void end(void)
{
    for (size_t i = 0; i < 2; i++)
        rec_set_done(&s.sets[i]);
    json_decref(s.result.governance);
}

static bool allowed(enum boot_whom whom)
{
    s.reason = (struct ms_diag){0};
    bool yes = boot_allowed(&s.info, whom, &s.governance, &s.policy, &s.reason);
    assert_int_equal(s.reason.text[0] == '\0', yes); /* a no says why, a yes says nothing */
    return yes;
}

static void refused(const char *name, enum boot_whom whom, const char *says)
{
    if (allowed(whom))
        fail_msg("%s: allowed", name);
    if (strstr(s.reason.text, says) == NULL)
        fail_msg("%s: %s", name, s.reason.text);
}

/* ---- an app's contract ---- */

#define GOVERNANCE(address, kms, rest) "{\"address\":\"" address "\"" kms rest "}"
#define KMS(registered) ",\"kms\":{\"registered\":" registered ",\"gateway_app_id\":\"gw\"}"
#define FLAGS(any, tcb, devices) \
    ",\"allow_any_device\":" any ",\"require_tcb_up_to_date\":" tcb ",\"devices\":[" devices "]"
#define THIS_DEVICE "\"" HASH_TEXT("de") "\""

static const struct {
    const char *name, *governance;
    const char *tcb;
    uint8_t compose, image, device;
    const char *says; /* NULL: allowed */
} apps[] = {
    {"all is well", GOVERNANCE(APP_TEXT, KMS("true"), FLAGS("false", "true", THIS_DEVICE)),
     "UpToDate", COMPOSE, IMAGE, DEVICE, NULL},
    {"any device", GOVERNANCE(APP_TEXT, KMS("true"), FLAGS("true", "true", "")), "UpToDate",
     COMPOSE, IMAGE, 9, NULL},
    {"old TCB where any will do",
     GOVERNANCE(APP_TEXT, KMS("true"), FLAGS("false", "false", THIS_DEVICE)), "OutOfDate", COMPOSE,
     IMAGE, DEVICE, NULL},
    {"old TCB", GOVERNANCE(APP_TEXT, KMS("true"), FLAGS("true", "true", "")), "OutOfDate", COMPOSE,
     IMAGE, DEVICE, "TCB status is 'OutOfDate'"},
    {"TCB in another case", GOVERNANCE(APP_TEXT, KMS("true"), FLAGS("true", "true", "")),
     "uptodate", COMPOSE, IMAGE, DEVICE, "TCB"},
    {"no TCB", GOVERNANCE(APP_TEXT, KMS("true"), FLAGS("true", "true", "")), "", COMPOSE, IMAGE,
     DEVICE, "TCB"},
    {"the flag about TCB missing",
     GOVERNANCE(APP_TEXT, KMS("true"), ",\"allow_any_device\":true,\"devices\":[]"), "OutOfDate",
     COMPOSE, IMAGE, DEVICE, "TCB"},
    {"another device", GOVERNANCE(APP_TEXT, KMS("true"), FLAGS("false", "true", THIS_DEVICE)),
     "UpToDate", COMPOSE, IMAGE, 9, "device 0x0909"},
    {"no device", GOVERNANCE(APP_TEXT, KMS("true"), FLAGS("false", "true", "")), "UpToDate",
     COMPOSE, IMAGE, DEVICE, "device 0xdede"},
    {"no word of devices", GOVERNANCE(APP_TEXT, KMS("true"), ",\"require_tcb_up_to_date\":false"),
     "UpToDate", COMPOSE, IMAGE, DEVICE, "device"},
    {"a device of half the length",
     GOVERNANCE(APP_TEXT, KMS("true"), FLAGS("false", "true", "\"0xdede\"")), "UpToDate", COMPOSE,
     IMAGE, DEVICE, "device"},
    {"another compose hash", GOVERNANCE(APP_TEXT, KMS("true"), FLAGS("true", "true", "")),
     "UpToDate", 9, IMAGE, DEVICE, "compose hash 0x0909"},
    {"the image as compose hash", GOVERNANCE(APP_TEXT, KMS("true"), FLAGS("true", "true", "")),
     "UpToDate", IMAGE, IMAGE, DEVICE, "compose hash"},
    {"another image", GOVERNANCE(APP_TEXT, KMS("true"), FLAGS("true", "true", "")), "UpToDate",
     COMPOSE, 9, DEVICE, "OS image 0x0909"},
    {"the compose hash as image", GOVERNANCE(APP_TEXT, KMS("true"), FLAGS("true", "true", "")),
     "UpToDate", COMPOSE, COMPOSE, DEVICE, "OS image"},
    {"not registered", GOVERNANCE(APP_TEXT, KMS("false"), FLAGS("true", "true", "")), "UpToDate",
     COMPOSE, IMAGE, DEVICE, "not registered"},
    {"no word of registration", GOVERNANCE(APP_TEXT, ",\"kms\":{}", FLAGS("true", "true", "")),
     "UpToDate", COMPOSE, IMAGE, DEVICE, "not registered"},
    {"no KMS", GOVERNANCE(APP_TEXT, "", FLAGS("true", "true", "")), "UpToDate", COMPOSE, IMAGE,
     DEVICE, "kms="},
    {"another app's contract", GOVERNANCE(OTHER_TEXT, KMS("true"), FLAGS("true", "true", "")),
     "UpToDate", COMPOSE, IMAGE, DEVICE, "another app"},
    {"no address", "{\"kms\":{\"registered\":true},\"allow_any_device\":true}", "UpToDate", COMPOSE,
     IMAGE, DEVICE, "another app"},
};

static void test_app_contract(void **state)
{
    (void)state;
    for (size_t i = 0; i < MS_ARRAY_LEN(apps); i++) {
        begin("dstack-app", apps[i].governance);
        both();
        s.info.tcb_status = apps[i].tcb;
        memset(s.info.compose_hash, apps[i].compose, sizeof(s.info.compose_hash));
        memset(s.info.os_image_hash, apps[i].image, sizeof(s.info.os_image_hash));
        memset(s.info.device_id, apps[i].device, sizeof(s.info.device_id));
        /* the operator's lists are no part of it: neither wider nor narrower */
        s.policy.any_device = apps[i].says != NULL;
        if (apps[i].says == NULL && !allowed(BOOT_APP))
            fail_msg("%s: %s", apps[i].name, s.reason.text);
        if (apps[i].says != NULL)
            refused(apps[i].name, BOOT_APP, apps[i].says);
        refused(apps[i].name, BOOT_KMS, "does not say which KMS");
        end();
    }
}

/* ---- a KMS's contract ---- */

static void test_kms_contract(void **state)
{
    static const char good[] =
        "{\"aggregated_mrs\":[\"" HASH_TEXT("a6") "\"],\"devices\":[" THIS_DEVICE "]}";
    static const struct {
        const char *name, *governance, *tcb;
        uint8_t image, mr, device;
        const char *says;
    } cases[] = {
        {"all is well", good, "UpToDate", IMAGE, MR, DEVICE, NULL},
        {"old TCB", good, "SWHardeningNeeded", IMAGE, MR, DEVICE, "TCB"},
        {"another image", good, "UpToDate", 9, MR, DEVICE, "OS image"},
        {"another measurement", good, "UpToDate", IMAGE, 9, DEVICE,
         "aggregated measurement 0x0909"},
        {"a device as measurement", good, "UpToDate", IMAGE, DEVICE, DEVICE, "aggregated"},
        {"another device", good, "UpToDate", IMAGE, MR, 9, "device of a KMS"},
        {"no word of any", "{}", "UpToDate", IMAGE, MR, DEVICE, "aggregated"},
        {"any device says nothing of a KMS",
         "{\"allow_any_device\":true,\"aggregated_mrs\":[\"" HASH_TEXT("a6") "\"],\"devices\":[]}",
         "UpToDate", IMAGE, MR, DEVICE, "device"},
    };
    (void)state;
    for (size_t i = 0; i < MS_ARRAY_LEN(cases); i++) {
        begin("dstack-kms", cases[i].governance);
        add(0, REC_PREDICATE_DSTACK_OS_IMAGE, IMAGE);
        s.info.tcb_status = cases[i].tcb;
        memset(s.info.os_image_hash, cases[i].image, sizeof(s.info.os_image_hash));
        memset(s.info.mr_aggregated, cases[i].mr, sizeof(s.info.mr_aggregated));
        memset(s.info.device_id, cases[i].device, sizeof(s.info.device_id));
        s.policy.any_device = true;
        if (cases[i].says == NULL && !allowed(BOOT_KMS))
            fail_msg("%s: %s", cases[i].name, s.reason.text);
        if (cases[i].says != NULL)
            refused(cases[i].name, BOOT_KMS, cases[i].says);
        refused(cases[i].name, BOOT_APP, "what an app may run");
        end();
    }
}

/* ---- lists ---- */

static const char *const up_to_date[] = {"UpToDate"}, *const wider[] = {"OutOfDate", "UpToDate"},
                         *const advisories[] = {"INTEL-SA-1", "INTEL-SA-2"};
static struct eth_hash devices[2], mrs[1];

static void list_policy(void)
{
    memset(devices[1].b, DEVICE, sizeof(devices[1].b));
    memset(mrs[0].b, MR, sizeof(mrs[0].b));
    s.policy = (struct boot_policy){
        .tcb_statuses = {1, up_to_date}, .devices = {2, devices}, .aggregated_mrs = {1, mrs}};
}

static void begin_list(void)
{
    begin(NULL, NULL);
    both();
    list_policy();
}

static void test_list_app(void **state)
{
    (void)state;
    begin_list();
    assert_true(allowed(BOOT_APP));
    s.info.tcb_status = "OutOfDate";
    refused("old TCB", BOOT_APP, "allowed-tcb-statuses");
    s.policy.tcb_statuses = (struct boot_texts){2, wider};
    assert_true(allowed(BOOT_APP));
    s.policy.tcb_statuses.n = 0;
    refused("no status is allowed", BOOT_APP, "allowed-tcb-statuses");
    end();

    begin_list();
    s.info.n_advisories = 2;
    s.info.advisories = advisories;
    refused("advisories", BOOT_APP, "'INTEL-SA-1'");
    s.policy.advisories = (struct boot_texts){1, advisories};
    refused("one of two", BOOT_APP, "'INTEL-SA-2'");
    s.policy.advisories.n = 2;
    assert_true(allowed(BOOT_APP));
    s.info.n_advisories = 0;
    s.info.has_advisories = false;
    refused("nobody says", BOOT_APP, "advisoryIds is missing");
    end();

    begin_list();
    memset(s.info.device_id, 9, sizeof(s.info.device_id));
    refused("another device", BOOT_APP, "device 0x0909");
    s.policy.any_device = true;
    assert_true(allowed(BOOT_APP));
    s.policy = (struct boot_policy){.tcb_statuses = {1, up_to_date}};
    refused("an empty list is no device", BOOT_APP, "device");
    end();

    begin_list();
    memset(s.info.compose_hash, 9, sizeof(s.info.compose_hash));
    refused("another compose hash", BOOT_APP, "compose hash");
    memset(s.info.compose_hash, COMPOSE, sizeof(s.info.compose_hash));
    memset(s.info.os_image_hash, 9, sizeof(s.info.os_image_hash));
    refused("another image", BOOT_APP, "OS image");
    end();

    begin(NULL, NULL); /* a list that says nothing of images */
    list_policy();
    add(0, REC_PREDICATE_DSTACK_COMPOSE_HASH, COMPOSE);
    refused("no images", BOOT_APP, "OS image");
    end();
}

/* Two releases in force: what each approves is not approved together. */
static void test_releases(void **state)
{
    (void)state;
    begin(NULL, NULL);
    list_policy();
    s.governance.n_sets = 2;
    add(0, REC_PREDICATE_DSTACK_COMPOSE_HASH, COMPOSE);
    add(1, REC_PREDICATE_DSTACK_OS_IMAGE, IMAGE);
    refused("apart", BOOT_APP, "by no release together");
    add(1, REC_PREDICATE_DSTACK_COMPOSE_HASH, COMPOSE);
    assert_true(allowed(BOOT_APP));
    s.governance.n_sets = 1;
    refused("that release is over", BOOT_APP, "OS image");
    s.governance.n_sets = 0;
    refused("none is in force", BOOT_APP, "OS image");
    end();
}

static void test_list_kms(void **state)
{
    (void)state;
    begin_list();
    assert_true(allowed(BOOT_KMS));
    memset(s.info.mr_aggregated, 9, sizeof(s.info.mr_aggregated));
    refused("another measurement", BOOT_KMS, "aggregated measurement");
    memset(s.info.mr_aggregated, MR, sizeof(s.info.mr_aggregated));
    s.policy.aggregated_mrs.n = 0;
    refused("no measurement", BOOT_KMS, "aggregated measurement");
    s.policy.aggregated_mrs.n = 1;
    s.policy.devices.n = 1;
    refused("another device", BOOT_KMS, "device");
    s.policy.any_device = true;
    assert_true(allowed(BOOT_KMS));
    s.info.tcb_status = "Revoked";
    refused("TCB", BOOT_KMS, "TCB");
    s.info.tcb_status = "UpToDate";
    memset(s.info.os_image_hash, 9, sizeof(s.info.os_image_hash));
    refused("another image", BOOT_KMS, "OS image");
    end();
}

static void test_gateway(void **state)
{
    static const struct {
        const char *adapter, *governance, *want;
        bool contract;
    } cases[] = {
        {"dstack-app", "{\"kms\":{\"gateway_app_id\":\"gw\"}}", "gw", true},
        {"dstack-app", "{\"gateway_app_id\":\"gw\"}", NULL, true}, /* an app names none itself */
        {"dstack-kms", "{\"gateway_app_id\":\"gw\"}", "gw", true},
        {"dstack-kms", "{\"gateway_app_id\":null}", NULL, true},
        {"registry", "{\"gateway_app_id\":\"gw\"}", NULL, false},
        {NULL, NULL, NULL, false},
    };
    (void)state;
    for (size_t i = 0; i < MS_ARRAY_LEN(cases); i++) {
        bool contract = !cases[i].contract;
        begin(cases[i].adapter, cases[i].governance);
        const char *id = boot_gateway(&s.result, &contract);
        assert_int_equal(contract, cases[i].contract);
        assert_true(cases[i].want == NULL ? id == NULL
                                          : id != NULL && strcmp(id, cases[i].want) == 0);
        end();
    }
}

static void test_candidates(void **state)
{
    struct source_candidate c[BOOT_CANDIDATES];
    (void)state;

    begin(NULL, NULL);
    boot_candidates(&s.info, BOOT_APP, c);
    assert_int_equal(c[0].kind, SOURCE_CANDIDATE_OS_IMAGE);
    assert_int_equal(c[0].value[31], IMAGE);
    assert_int_equal(c[1].kind, SOURCE_CANDIDATE_DEVICE);
    assert_int_equal(c[1].value[31], DEVICE);
    assert_int_equal(c[2].kind, SOURCE_CANDIDATE_COMPOSE_HASH);
    assert_int_equal(c[2].value[31], COMPOSE);
    boot_candidates(&s.info, BOOT_KMS, c);
    assert_int_equal(c[2].kind, SOURCE_CANDIDATE_AGGREGATED_MR);
    assert_int_equal(c[2].value[31], MR);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_app_contract), cmocka_unit_test(test_kms_contract),
        cmocka_unit_test(test_list_app),     cmocka_unit_test(test_releases),
        cmocka_unit_test(test_list_kms),     cmocka_unit_test(test_gateway),
        cmocka_unit_test(test_candidates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
